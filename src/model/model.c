/* SPDX-License-Identifier: Apache-2.0 */
/* model.c: opening a model folder; see assay.h and model.h. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/bert.h"
#include "model/calibration.h"
#include "model/self_check.h"

#define LATE_PREFIX "late:"

static void copy_text(char *target, size_t size, const char *source)
{
    snprintf(target, size, "%.*s", (int)size - 1, source);
}

/* The tokenizer is read while other cores pack the weights. */
typedef struct tokenizer_work {
    const char *folder;
    assay_tokenizer *tokenizer;
    assay_status status;
    assay_error error;
} tokenizer_work;

static void open_tokenizer(void *context)
{
    tokenizer_work *work = context;
    work->status = assay_tokenizer_open(work->folder, &work->tokenizer, &work->error);
}

/* All linear layers. Those of the trunk are bytes at int8, which the head, read
 * once a sequence, is not worth. */
static size_t list_linears(assay_encoder *encoder, assay_linear **out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < encoder->config->layers; i++) {
        assay_layer *layer = &encoder->layers[i];
        out[count++] = &layer->query;
        out[count++] = &layer->key_value;
        out[count++] = &layer->output;
        out[count++] = &layer->up;
        out[count++] = &layer->down;
        if (encoder->bytes && layer->down.rests != NULL)
            out[count++] = layer->down.rests;
    }
    for (size_t i = 0; i < count; i++)
        out[i]->bytes = encoder->bytes, out[i]->halves = encoder->halves;
    if (encoder->classifier.columns > 0) {
        out[count++] = &encoder->pooler;
        out[count++] = &encoder->classifier;
    }
    if (encoder->projection.columns > 0)
        out[count++] = &encoder->projection;
    return count;
}

/* Packs the layers at the precision that encoder.bytes tells, and opens the
 * tokenizer where that is still to do. */
static assay_status pack(assay_model *model, assay_error *error)
{
    size_t most = (size_t)model->config.layers * 6 + 3;
    assay_linear **linears = calloc(most, sizeof(assay_linear *));
    if (linears == NULL)
        return assay_fail_memory(error, most * sizeof *linears);
    free(model->panels);
    model->panels = NULL;
    tokenizer_work work = {.folder = model->config.weights, .tokenizer = model->tokenizer};
    assay_status status = assay_linears_pack(linears, list_linears(&model->encoder, linears),
                                             model->tokenizer == NULL ? open_tokenizer : NULL,
                                             &work, &model->panels, error);
    free(linears);
    model->tokenizer = work.tokenizer;
    if (status == ASSAY_OK && work.status != ASSAY_OK) {
        status = work.status;
        if (error != NULL)
            *error = work.error;
    }
    return status;
}

/* A special token comes first, where the states of a whole text are read, and
 * types go from 0 to 1 once. */
static assay_status check_layout(const assay_model *model, bool pair, assay_error *error)
{
    const assay_template *layout = assay_tokenizer_template(model->tokenizer, pair);
    const assay_template_piece *pieces = layout->pieces;
    if (pieces[0].kind != ASSAY_PIECE_SPECIAL)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, model->config.weights,
                          "the tokenizer's post_processor begins with no special token, "
                          "expected one such as [CLS]");
    for (size_t i = 0; i < layout->count; i++)
        if (pieces[i].type > 1 || (i > 0 && pieces[i].type < pieces[i - 1].type))
            return assay_fail(error, ASSAY_E_UNSUPPORTED, model->config.weights,
                              "the tokenizer's post_processor gives token types in another "
                              "order than 0, then 1");
    for (size_t i = 0; i < layout->count && model->config.split > 0; i++)
        if (layout->pieces[i].type != 1 && layout->pieces[i].kind == ASSAY_PIECE_SECOND)
            return assay_fail(error, ASSAY_E_UNSUPPORTED, model->config.weights,
                              "assay_split tells the texts of a pair apart by their types, and the "
                              "tokenizer's post_processor gives both type 0");
    return ASSAY_OK;
}

static assay_status check_tokenizer(const assay_model *model, assay_error *error)
{
    size_t size = assay_tokenizer_vocabulary(model->tokenizer);
    if (size > model->config.vocabulary)
        return assay_fail(error, ASSAY_E_FORMAT, model->config.weights,
                          "the tokenizer has %zu tokens, the model embeds %u", size,
                          model->config.vocabulary);
    ASSAY_TRY(check_layout(model, false, error));
    return check_layout(model, true, error);
}

static uint64_t count_parameters(const assay_safetensors *tensors)
{
    uint64_t parameters = 0;
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(tensors, i);
        size_t length = strlen(tensor->name);
        bool scale = length > 6 && strcmp(tensor->name + length - 6, "_scale") == 0;
        bool again = scale || strstr(tensor->name, ".weight_refined") != NULL;
        if (tensor->dtype != ASSAY_DTYPE_OTHER && !again)
            parameters += tensor->elements;
    }
    return parameters;
}

static uint32_t least_limit(const assay_model *model)
{
    uint32_t limit = model->config.longest;
    uint32_t said = model->config.max_tokens;
    if (said == 0)
        said = assay_tokenizer_limit(model->tokenizer);
    return said > 0 && said < limit ? said : limit;
}



static uint32_t at_most(uint32_t length, uint32_t limit)
{
    return length > 0 && length < limit ? length : limit;
}

static void describe_late(assay_model *model)
{
    const assay_late_config *late = &model->config.late;
    assay_model_info *info = &model->info;
    info->dimensions = (uint32_t)assay_encoder_dimensions(&model->encoder);
    if (late->document_length > 0) /* else a bi-encoder's own limit */
        info->max_tokens = at_most(late->document_length, model->config.longest);
    info->query_tokens = at_most(late->query_length, model->config.longest);
    if (late->query_length == 0)
        info->query_tokens = info->max_tokens;
    info->query_tokens = at_most(info->query_tokens, ASSAY_LATE_QUERY_MAX);
    info->query_filled = model->late.filler >= 0;
    info->normalized = true;
}

static void describe(assay_model *model, const char *path)
{
    const assay_model_config *config = &model->config;
    assay_model_info *info = &model->info;
    bool bi = config->kind == ASSAY_MODEL_BI_ENCODER;
    copy_text(info->path, sizeof info->path, path);
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    char folder[sizeof info->path];
    snprintf(folder, sizeof folder, "%.*s", (int)length, path);
    copy_text(info->name, sizeof info->name,
              config->name[0] != '\0' ? config->name : assay_path_name(folder));
    copy_text(info->architecture, sizeof info->architecture, config->architecture);
    copy_text(info->precision, sizeof info->precision,
              model->encoder.bytes ? "int8" : model->encoder.halves ? "bf16" : "fp32");
    copy_text(info->stored, sizeof info->stored,
              model->encoder.layers[0].query.parts[0].weight->dtype_name);
    if (bi)
        copy_text(info->pooling, sizeof info->pooling,
                  config->pooling == ASSAY_POOLING_CLS ? "cls" : "mean");
    copy_text(info->query_prompt, sizeof info->query_prompt, config->prompts[ASSAY_ROLE_QUERY]);
    copy_text(info->passage_prompt, sizeof info->passage_prompt,
              config->prompts[ASSAY_ROLE_PASSAGE]);
    info->kind = config->kind;
    info->layers = config->layers;
    info->hidden = config->hidden;
    info->heads = config->heads;
    info->intermediate = config->intermediate;
    info->vocabulary = config->vocabulary;
    info->max_tokens = least_limit(model);
    info->query_words = config->query_words;
    info->split = config->split;
    info->dimensions = bi ? config->hidden : 0;
    if (config->kind == ASSAY_MODEL_LATE)
        describe_late(model);
    info->parameters = count_parameters(model->tensors);
    info->file_bytes = assay_safetensors_bytes(model->tensors);
    info->normalized = config->normalized;
}

/* The tokenizer decides what a vector means as much as the weights do. */
static void digest_tokenizer(const char *folder, assay_hasher *hasher)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        assay_mapping mapping;
        if (assay_path_join(path, sizeof path, folder, names[i], NULL) != ASSAY_OK ||
            assay_map_open(path, &mapping, NULL) != ASSAY_OK)
            continue;
        assay_hasher_add(hasher, mapping.data, mapping.size);
        assay_map_close(&mapping);
        return;
    }
}

/* Packs the layers again, as bytes, once it is known which inputs need several. */
static assay_status calibrate(assay_model *model, assay_error *error)
{
    ASSAY_TRY(assay_calibration_run(&model->encoder, model->tokenizer, model->arena, error));
    model->encoder.bytes = true;
    return pack(model, error);
}

/* Packs the layers again, as floats, when int8 does not suit them. */
static assay_status fall_back(assay_model *model, assay_error *error)
{
    assay_model_info *info = &model->info;
    ASSAY_TRY(assay_self_check(&model->encoder, model->tokenizer, info->notice,
                               sizeof info->notice, error));
    if (info->notice[0] == '\0')
        return ASSAY_OK;
    model->encoder.bytes = false;
    return pack(model, error);
}

/* What "the fastest that keeps rankings" is for this model. Int8 weights were
 * quantised once already, and lose little to int8 arithmetic; others would lose
 * twice. Vectors stay fp32: they are kept, and compared with those that other
 * machines make. */
static assay_precision choose(const assay_model *model, assay_precision asked)
{
    if (asked != ASSAY_PRECISION_AUTO)
        return asked;
    if (model->config.kind != ASSAY_MODEL_CROSS_ENCODER)
        return ASSAY_PRECISION_FP32;
    if (model->encoder.layers[0].query.parts[0].weight->dtype == ASSAY_DTYPE_I8)
        return ASSAY_PRECISION_INT8;
    return assay_kernels_active()->has_bf16 ? ASSAY_PRECISION_BF16 : ASSAY_PRECISION_FP32;
}

/* ---- Late interaction -------------------------------------------------------- */

static assay_status find_late_tokens(assay_model *model, assay_error *error)
{
    const assay_late_config *late = &model->config.late;
    ASSAY_TRY(assay_late_marks_find(late, model->tokenizer, model->config.weights, &model->late,
                                     error));
    if (assay_encoder_dimensions(&model->encoder) > ASSAY_LATE_DIMENSIONS)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, model->config.weights,
                          "token vectors of %zu dimensions, expected at most %u",
                          assay_encoder_dimensions(&model->encoder), ASSAY_LATE_DIMENSIONS);
    if (late->dimensions > 3 * model->config.hidden)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, model->config.weights,
                          "a projection from %u features to %u, expected at most three times "
                          "as many", model->config.hidden, late->dimensions);
    return ASSAY_OK;
}

static assay_status load(assay_model *model, assay_precision precision, assay_error *error)
{
    ASSAY_TRY(assay_safetensors_open(model->config.weights, &model->tensors, error));
    const assay_safetensors *projection = model->tensors;
    ASSAY_TRY(assay_bert_find_projection(model->folder, model->tensors, &model->config,
                                         &model->projection, &projection, error));
    ASSAY_TRY(assay_bert_load(model->tensors, &model->config, projection, model->arena,
                              &model->encoder, error));
    precision = choose(model, precision);
    bool int8 = precision == ASSAY_PRECISION_INT8;
    model->encoder.halves = precision == ASSAY_PRECISION_BF16;
    if (int8)
        ASSAY_TRY(assay_calibration_load(model->tensors, &model->encoder, model->arena,
                                         &model->encoder.bytes, error));
    ASSAY_TRY(pack(model, error));
    ASSAY_TRY(check_tokenizer(model, error));
    if (model->config.kind == ASSAY_MODEL_LATE)
        ASSAY_TRY(find_late_tokens(model, error));
    if (int8 && !model->encoder.bytes)
        ASSAY_TRY(calibrate(model, error));
    return int8 ? fall_back(model, error) : ASSAY_OK;
}

/* A bi-encoder's hidden states, as they are, for late interaction. */
static assay_status read_as_late(assay_model *model, assay_hasher *hasher, assay_error *error)
{
    if (model->config.kind == ASSAY_MODEL_CROSS_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, model->config.weights,
                          "is a cross-encoder, which has no vectors for late interaction, "
                          "expected a ColBERT or a bi-encoder");
    if (model->config.kind == ASSAY_MODEL_BI_ENCODER)
        assay_hasher_add(hasher, LATE_PREFIX, sizeof LATE_PREFIX - 1);
    model->config.kind = ASSAY_MODEL_LATE;
    model->config.pooling = ASSAY_POOLING_TOKENS;
    return ASSAY_OK;
}

static assay_status open_folder(assay_model *model, const char *path, bool late,
                                assay_precision precision, assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    model->folder = path;
    assay_status status = assay_model_config_read(path, hasher, &model->config, error);
    if (status == ASSAY_OK && late)
        status = read_as_late(model, hasher, error);
    if (status == ASSAY_OK)
        status = load(model, precision, error);
    if (status == ASSAY_OK) {
        assay_safetensors_digest(model->tensors, hasher);
        if (model->projection != NULL)
            assay_safetensors_digest(model->projection, hasher);
        digest_tokenizer(model->config.weights, hasher);
        assay_safetensors_forget(model->tensors);
        describe(model, path);
    }
    assay_digest digest = assay_hasher_finish(hasher);
    assay_digest_hex(&digest, model->info.digest);
    return status;
}

assay_status assay_precision_check(assay_precision precision, const char *others,
                                   assay_error *error)
{
    if (precision < ASSAY_PRECISION_AUTO || precision > ASSAY_PRECISION_BF16)
        return assay_fail(error, ASSAY_E_ARGUMENT, "precision", "%d is not known",
                          (int)precision);
    if (precision == ASSAY_PRECISION_BF16 && !assay_kernels_active()->has_bf16)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, "precision",
                          "the instruction set in use, %s, has nothing for bf16, expected %s",
                          assay_cpu(), others);
    return ASSAY_OK;
}

/* "late:NAME" is the bi-encoder NAME read for late interaction; "late" the model of
 * that name, where there is one, else "late:dense". */
static assay_status find_folder(const char *name, char *path, size_t size, bool *late,
                                assay_error *error)
{
    size_t length = sizeof LATE_PREFIX - 1;
    *late = strncmp(name, LATE_PREFIX, length) == 0;
    if (*late)
        return assay_model_find(name + length, path, size, error);
    if (strcmp(name, "late") == 0 && assay_model_find(name, path, size, NULL) != ASSAY_OK) {
        *late = true;
        return assay_model_find("dense", path, size, error);
    }
    return assay_model_find(name, path, size, error);
}

assay_status assay_model_open(const char *name, const assay_model_options *options,
                              assay_model **out, assay_error *error)
{
    if (name == NULL || out == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "model", "expected a name and a place for it");
    assay_precision precision = options != NULL ? options->precision : ASSAY_PRECISION_AUTO;
    ASSAY_TRY(assay_precision_check(precision, "fp32 or int8", error));
    char path[sizeof((assay_model_info *)0)->path];
    bool late;
    ASSAY_TRY(find_folder(name, path, sizeof path, &late, error));
    assay_model *model = calloc(1, sizeof *model);
    if (model == NULL || (model->arena = assay_arena_new(0)) == NULL) {
        free(model);
        return assay_fail_memory(error, sizeof *model);
    }
    assay_status status = open_folder(model, path, late, precision, error);
    if (status != ASSAY_OK) {
        assay_model_close(model);
        return status;
    }
    *out = model;
    return ASSAY_OK;
}

void assay_model_close(assay_model *model)
{
    if (model == NULL)
        return;
    assay_tokenizer_close(model->tokenizer);
    assay_safetensors_close(model->tensors);
    assay_safetensors_close(model->projection);
    assay_arena_free(model->arena);
    free(model->panels);
    free(model);
}

void assay_model_describe(const assay_model *model, assay_model_info *out)
{
    *out = model->info;
}

const assay_tokenizer *assay_model_tokenizer(const assay_model *model)
{
    return model->tokenizer;
}
