/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration.c: see calibration.h.
 *
 * Of a site's bytes a sixteenth are extra ones. They go, one by one, to the input
 * whose share of its largest value is the largest: what is left is the least that
 * the largest share can be. The texts are short, of several kinds and languages:
 * which inputs are large is much the same for all texts.
 */
#include "model/calibration.h"

#include <float.h>
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
    {"how long may a passport be kept after it has expired?",
     "Returned documents are cancelled by clipping a corner. The holder may keep them for as "
     "long as they like; visas in them stay valid until their own date, 31.12.2027 at most."},
    {"who won the first race across the lake",
     "The Regatta of 1868 (see table 4) was won by Anna M. Kowalski's boat \"Swift\" in 3 h 41 "
     "min., ahead of eleven others, although two of her oars had been broken at the start."},
    {"Effects of vitamin B12 deficiency on bone density in older adults",
     "In 214 patients aged 65-80, serum levels below 150 pmol/L were associated with lower "
     "femoral BMD (p < 0.01), whereas folate was not."},
    {"Wie reinigt man eine Kaffeemaschine?",
     "Den Tank mit Wasser und Essig f\u00fcllen, einmal durchlaufen lassen; puis rincer deux fois "
     "\u00e0 l'eau claire. \u041f\u043e\u0432\u0442\u043e\u0440\u0438\u0442\u0435 \u0447\u0435\u0440\u0435\u0437 \u043c\u0435\u0441\u044f\u0446. "
     "\u6bcf\u6708\u91cd\u590d\u4e00\u6b21\u3002"},
    {"segmentation fault when list is empty",
     "for (i = 0; i <= n; i++) free(items[i]); // reads items[n]: use i < n, or check n > 0 first"},
};
enum { TEXTS = sizeof texts / sizeof *texts };

void assay_layer_sites(assay_layer *layer, assay_site sites[ASSAY_LAYER_SITES])
{
    sites[0] = (assay_site){{&layer->query, &layer->key_value}, 2};
    sites[1] = (assay_site){{&layer->output}, 1};
    sites[2] = (assay_site){{&layer->up}, 1};
    sites[3] = (assay_site){{&layer->down}, 1};
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

/* Sends the pairs through; every layer notes its largest inputs. */
static assay_status run_texts(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                              assay_error *error)
{
    uint32_t longest = encoder->config->longest;
    const assay_tokenize_options options = {
        .special = true,
        .max_tokens = longest < TEXT_TOKENS ? longest : TEXT_TOKENS,
        .truncation = ASSAY_TRUNCATE_LONGEST_FIRST,
    };
    for (size_t i = 0; i < TEXTS; i++) {
        assay_text query = {texts[i][0], strlen(texts[i][0])};
        assay_text passage = {texts[i][1], strlen(texts[i][1])};
        assay_encoding pair;
        ASSAY_TRY(assay_tokenize(tokenizer, query, &passage, &options, &pair, error));
        assay_status status = assay_encoder_try(encoder, &pair, NULL, error);
        assay_encoding_free(&pair);
        ASSAY_TRY(status);
    }
    return ASSAY_OK;
}

/* Gives every site its list of largest inputs, or takes them all away. */
static void observe(assay_encoder *encoder, float *largest)
{
    assay_site sites[ASSAY_LAYER_SITES];
    for (uint32_t i = 0; i < encoder->config->layers; i++) {
        assay_layer_sites(&encoder->layers[i], sites);
        for (size_t s = 0; s < ASSAY_LAYER_SITES; s++) {
            sites[s].layers[0]->largest = largest;
            largest += largest != NULL ? sites[s].layers[0]->depth : 0;
        }
    }
}

static assay_status use_observed(assay_encoder *encoder, uint8_t *bytes, assay_arena *arena,
                                 assay_error *error)
{
    assay_site sites[ASSAY_LAYER_SITES];
    for (uint32_t i = 0; i < encoder->config->layers; i++) {
        assay_layer_sites(&encoder->layers[i], sites);
        for (size_t s = 0; s < ASSAY_LAYER_SITES; s++) {
            share_out(sites[s].layers[0]->largest, sites[s].layers[0]->depth, bytes);
            ASSAY_TRY(set_inputs(&sites[s], bytes, arena, error));
        }
    }
    return ASSAY_OK;
}

assay_status assay_calibration_run(assay_encoder *encoder, const assay_tokenizer *tokenizer,
                                   assay_arena *arena, assay_error *error)
{
    const assay_model_config *config = encoder->config;
    size_t widest = config->hidden > config->intermediate ? config->hidden : config->intermediate;
    size_t floats = config->layers * (3 * (size_t)config->hidden + config->intermediate);
    float *largest = calloc(floats, sizeof *largest);
    uint8_t *bytes = calloc(widest, 1);
    assay_status status = ASSAY_OK;
    if (largest == NULL || bytes == NULL) {
        status = assay_fail_memory(error, floats * sizeof *largest);
    } else {
        observe(encoder, largest);
        status = run_texts(encoder, tokenizer, error);
        if (status == ASSAY_OK)
            status = use_observed(encoder, bytes, arena, error);
        observe(encoder, NULL);
    }
    free(largest);
    free(bytes);
    return status;
}
