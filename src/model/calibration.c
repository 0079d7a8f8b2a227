/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration.c: see calibration.h.
 *
 * Of a site's bytes a sixteenth are extra ones. They go, one by one, to the input
 * whose share of its largest value is the largest: what is left is the least that
 * the largest share can be. The texts are short, of several kinds and languages:
 * which inputs are large is much the same for all texts, and a few tell.
 */
#include "model/calibration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXTRA_SHARE = 16,        /* one byte in so many is extra */
    BYTES_MOST = 127,        /* of one input */
    WIDTH_LIMIT = 65532,     /* depth + extra of an int8 product, a multiple of 4 */
    TEXT_TOKENS = 128,       /* of a pair, at most */
};

static const char *const texts[][2] = {
#include "model/calibration_texts.inc"
};
enum {
    TEXTS = sizeof texts / sizeof *texts,
    TEXTS_FEW = 5,
};

/* All passages are sent with their own question and with those so many further on. */
static const size_t others[] = {0, 7, 19};

void assay_layer_sites(assay_layer *layer, assay_site sites[ASSAY_LAYER_SITES])
{
    sites[0] = (assay_site){{&layer->query, &layer->key_value}, 2};
    sites[1] = (assay_site){{&layer->output}, 1};
    sites[2] = (assay_site){{&layer->up}, 1};
    sites[ASSAY_SITE_DOWN] = (assay_site){{&layer->down, layer->down.rests},
                                          layer->down.rests != NULL ? 2 : 1};
}

bool assay_site_name(const assay_site *site, char *name, size_t size)
{
    const char *weight = site->layers[0]->parts[0].weight->name;
    size_t length = strlen(weight), end = strlen(".weight");
    if (length < end)
        return false;
    int written = snprintf(name, size, "%.*s" ASSAY_INPUT_BYTES, (int)(length - end), weight);
    return written > 0 && (size_t)written < size;
}

/* ---- Bytes of a site ------------------------------------------------------------- */

/* Makes the site's layers read their inputs in so many bytes each. */
static assay_status set_inputs(const assay_site *site, const uint8_t *bytes, assay_arena *arena,
                               assay_error *error)
{
    size_t depth = site->layers[0]->depth, extra = 0;
    for (size_t i = 0; i < depth; i++)
        extra += bytes[i] - 1u;
    assay_i8_inputs *inputs = assay_arena_take(arena, sizeof *inputs);
    uint16_t *owner = assay_arena_take(arena, extra * sizeof *owner);
    float *order = assay_arena_take(arena, extra * sizeof *order);
    float *counts = assay_arena_take(arena, depth * sizeof *counts);
    float *shares = assay_arena_take(arena, depth * sizeof *shares);
    if (inputs == NULL || owner == NULL || order == NULL || counts == NULL || shares == NULL)
        return assay_fail_memory(error, depth * sizeof *counts);
    *inputs = (assay_i8_inputs){depth, extra, owner, order, counts, shares};
    for (size_t i = 0; i < depth; i++) {
        counts[i] = bytes[i];
        shares[i] = 1.0f / counts[i];
        for (uint8_t more = 1; more < bytes[i]; more++) {
            *owner++ = (uint16_t)i;
            *order++ = more;
        }
    }
    for (size_t i = 0; i < site->count; i++)
        site->layers[i]->inputs = inputs;
    return ASSAY_OK;
}

static size_t extra_bytes(size_t depth)
{
    size_t extra = (depth / EXTRA_SHARE + 3) / 4 * 4;
    return extra < WIDTH_LIMIT - depth ? extra : WIDTH_LIMIT - depth;
}

/* Hands the extra bytes out. */
static void share_out(const float *largest, size_t depth, uint8_t *bytes)
{
    memset(bytes, 1, depth);
    for (size_t left = extra_bytes(depth); left > 0; left--) {
        size_t neediest = 0;
        float need = 0;
        for (size_t i = 0; i < depth; i++)
            if (bytes[i] < BYTES_MOST && largest[i] / bytes[i] > need) {
                need = largest[i] / bytes[i];
                neediest = i;
            }
        if (need == 0)
            return;
        bytes[neediest]++;
    }
}

static assay_status check_depth(const assay_site *site, assay_error *error)
{
    const assay_tensor *weight = site->layers[0]->parts[0].weight;
    if (site->layers[0]->depth <= WIDTH_LIMIT)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_UNSUPPORTED, weight->name,
                      "%zu inputs; at int8 a layer may have %d", site->layers[0]->depth,
                      WIDTH_LIMIT);
}

/* ---- From the folder -------------------------------------------------------------- */

static assay_status load_site(const assay_safetensors *tensors, const assay_site *site,
                              assay_arena *arena, size_t *found, assay_error *error)
{
    char name[300];
    const assay_tensor *tensor = NULL;
    if (assay_site_name(site, name, sizeof name))
        tensor = assay_safetensors_find(tensors, name);
    if (tensor == NULL)
        return ASSAY_OK;
    size_t depth = site->layers[0]->depth, sum = 0;
    bool sensible = strcmp(tensor->dtype_name, "U8") == 0 && tensor->rank == 1 &&
                    tensor->shape[0] == depth;
    for (size_t i = 0; sensible && i < depth; i++) {
        sensible = tensor->data[i] >= 1 && tensor->data[i] <= BYTES_MOST;
        sum += tensor->data[i];
    }
    if (!sensible || sum > WIDTH_LIMIT) {
        assay_fail(error, ASSAY_E_FORMAT, name,
                   "expected U8 of shape [%zu], each from 1 to %d, together at most %d", depth,
                   BYTES_MOST, WIDTH_LIMIT);
        assay_error_prefix(error, tensor->file);
        return ASSAY_E_FORMAT;
    }
    ++*found;
    return set_inputs(site, tensor->data, arena, error);
}

assay_status assay_calibration_load(const assay_safetensors *tensors, assay_encoder *encoder,
                                    assay_arena *arena, bool *found, assay_error *error)
{
    size_t count = 0, all = (size_t)encoder->config->layers * ASSAY_LAYER_SITES;
    assay_site sites[ASSAY_LAYER_SITES];
    for (uint32_t i = 0; i < encoder->config->layers; i++) {
        assay_layer_sites(&encoder->layers[i], sites);
        for (size_t s = 0; s < ASSAY_LAYER_SITES; s++) {
            ASSAY_TRY(check_depth(&sites[s], error));
            ASSAY_TRY(load_site(tensors, &sites[s], arena, &count, error));
        }
    }
    *found = count == all;
    if (count == 0 || count == all)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_FORMAT, assay_safetensors_at(tensors, 0)->file,
                      "%zu tensors X" ASSAY_INPUT_BYTES ", expected %zu or none", count, all);
}

/* ---- By running texts --------------------------------------------------------------- */

static assay_text text_of(const char *text)
{
    return (assay_text){text, strlen(text)};
}

static assay_status send(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                         const char *text, const char *second, assay_error *error)
{
    uint32_t longest = encoder->config->longest;
    const assay_tokenize_options options = {
        .special = true,
        .max_tokens = longest < TEXT_TOKENS ? longest : TEXT_TOKENS,
        .truncation = ASSAY_TRUNCATE_LONGEST_FIRST,
    };
    assay_text other = text_of(second != NULL ? second : "");
    assay_encoding encoding;
    ASSAY_TRY(assay_tokenize(tokenizer, text_of(text), second != NULL ? &other : NULL, &options,
                             &encoding, error));
    assay_status status = assay_encoder_try(encoder, &encoding, NULL, error);
    assay_encoding_free(&encoding);
    return status;
}

/* Pairs for what reads pairs, else one text after the other. */
static assay_status send_both(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                              size_t question, size_t passage, assay_error *error)
{
    const char *first = texts[question][0], *second = texts[passage][1];
    if (encoder->config->kind == ASSAY_MODEL_CROSS_ENCODER)
        return send(encoder, tokenizer, first, second, error);
    ASSAY_TRY(send(encoder, tokenizer, first, NULL, error));
    return send(encoder, tokenizer, second, NULL, error);
}

static assay_status send_few(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                             assay_error *error)
{
    for (size_t i = 0; i < TEXTS_FEW; i++)
        ASSAY_TRY(send_both(encoder, tokenizer, i, i, error));
    return ASSAY_OK;
}

assay_status assay_calibration_send(const assay_encoder *encoder,
                                    const assay_tokenizer *tokenizer,
                                    assay_status (*tick)(void *), void *context,
                                    assay_error *error)
{
    assay_model_config config = *encoder->config;
    if (config.pooling == ASSAY_POOLING_CLS) /* of the last layer, too, all rows */
        config.pooling = ASSAY_POOLING_MEAN;
    assay_encoder whole = *encoder;
    whole.config = &config;
    size_t turns = encoder->config->kind == ASSAY_MODEL_CROSS_ENCODER
                       ? sizeof others / sizeof *others : 1;
    for (size_t turn = 0; turn < turns; turn++)
        for (size_t i = 0; i < TEXTS; i++) {
            ASSAY_TRY(tick(context));
            ASSAY_TRY(send_both(&whole, tokenizer, (i + others[turn]) % TEXTS, i, error));
        }
    return ASSAY_OK;
}

assay_status assay_calibration_share(const assay_site *site, const float *largest,
                                     assay_arena *arena, assay_error *error)
{
    size_t depth = site->layers[0]->depth;
    uint8_t *bytes = malloc(depth);
    if (bytes == NULL)
        return assay_fail_memory(error, depth);
    share_out(largest, depth, bytes);
    assay_status status = set_inputs(site, bytes, arena, error);
    free(bytes);
    return status;
}

static assay_status share_all(const assay_site *sites, const assay_observed *observed,
                              size_t count, assay_arena *arena, assay_error *error)
{
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(assay_calibration_share(&sites[i], observed[i].largest, arena, error));
    return ASSAY_OK;
}

bool assay_sites_observe(const assay_site *sites, size_t count, bool products,
                         assay_observed *observed)
{
    for (size_t i = 0; i < count; i++) {
        if (!assay_observed_open(&observed[i], sites[i].layers[0]->depth, products)) {
            assay_sites_forget(sites, i, observed);
            return false;
        }
        sites[i].layers[0]->observed = &observed[i];
    }
    return true;
}

void assay_sites_forget(const assay_site *sites, size_t count, assay_observed *observed)
{
    for (size_t i = 0; i < count; i++) {
        sites[i].layers[0]->observed = NULL;
        assay_observed_close(&observed[i]);
    }
}

assay_status assay_calibration_run(assay_encoder *encoder, const assay_tokenizer *tokenizer,
                                   assay_arena *arena, assay_error *error)
{
    size_t count = (size_t)encoder->config->layers * ASSAY_LAYER_SITES;
    assay_site *sites = calloc(count, sizeof *sites);
    assay_observed *observed = calloc(count, sizeof *observed);
    assay_status status = ASSAY_OK;
    for (uint32_t i = 0; sites != NULL && i < encoder->config->layers; i++)
        assay_layer_sites(&encoder->layers[i], sites + (size_t)i * ASSAY_LAYER_SITES);
    if (!sites || !observed || !assay_sites_observe(sites, count, false, observed)) {
        status = assay_fail_memory(error, count * sizeof *observed);
    } else {
        status = send_few(encoder, tokenizer, error);
        if (status == ASSAY_OK)
            status = share_all(sites, observed, count, arena, error);
        assay_sites_forget(sites, count, observed);
    }
    free(sites);
    free(observed);
    return status;
}
