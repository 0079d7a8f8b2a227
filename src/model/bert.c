/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bert.c: see bert.h. Names are those of transformers' BertModel, which RoBERTa
 * kept, with or without the "bert." or "roberta." that task models put before
 * them, and with the LayerNorm names "gamma" and "beta" of checkpoints converted
 * from TensorFlow.
 */
#include "model/bert.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

typedef struct loader {
    const assay_safetensors *tensors;
    const assay_model_config *config;
    assay_arena *arena;
    const char *prefix;
    assay_error *error;
} loader;

enum { NAME_SIZE = 256 };

/* "bert." + "encoder.layer.3." + rest; layer < 0: no middle. */
static void make_name(const loader *l, int layer, const char *rest, const char *suffix,
                      char name[NAME_SIZE])
{
    char middle[40] = "";
    if (layer >= 0)
        snprintf(middle, sizeof middle, "encoder.layer.%d.", layer);
    snprintf(name, NAME_SIZE, "%s%s%s%s", l->prefix, middle, rest, suffix);
}

static const char *find_prefix(const assay_safetensors *tensors, const char *prefix)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", prefix);
    return assay_safetensors_find(tensors, name) != NULL ? prefix : "";
}

static assay_status load_table(const loader *l, const char *rest, size_t rows, assay_table *out)
{
    char name[NAME_SIZE];
    make_name(l, -1, rest, ".weight", name);
    return assay_table_find(l->tensors, name, rows, l->config->hidden, out, l->error);
}

static assay_status load_norm(const loader *l, int layer, const char *rest, assay_norm *out)
{
    char gamma[NAME_SIZE], beta[NAME_SIZE];
    make_name(l, layer, rest, ".gamma", gamma);
    bool old = assay_safetensors_find(l->tensors, gamma) != NULL;
    make_name(l, layer, rest, old ? ".gamma" : ".weight", gamma);
    make_name(l, layer, rest, old ? ".beta" : ".bias", beta);
    ASSAY_TRY(assay_vector_load(l->tensors, gamma, l->config->hidden, l->arena, &out->gamma,
                                l->error));
    return assay_vector_load(l->tensors, beta, l->config->hidden, l->arena, &out->beta,
                             l->error);
}

static assay_status load_linear(const loader *l, int layer, const char *rest, size_t columns,
                                size_t depth, assay_linear *out)
{
    char name[NAME_SIZE];
    *out = (assay_linear){.part_count = 1, .columns = columns, .depth = depth};
    make_name(l, layer, rest, ".weight", name);
    ASSAY_TRY(assay_table_find(l->tensors, name, columns, depth, &out->parts[0], l->error));
    make_name(l, layer, rest, ".bias", name);
    return assay_vector_load(l->tensors, name, columns, l->arena, &out->bias, l->error);
}

/* What int8 left of some rows of a layer, as a layer of its own; and these rows' biases. */
static assay_status load_rests(const loader *l, int layer, const char *rest, assay_linear *out)
{
    char name[NAME_SIZE];
    make_name(l, layer, rest, ".weight", name);
    ASSAY_TRY(assay_refined_find(l->tensors, name, l->arena, &out->parts[0], l->error));
    const assay_refined *refined = out->parts[0].refined;
    if (refined == NULL)
        return ASSAY_OK;
    assay_linear *rests = assay_arena_take(l->arena, sizeof *rests);
    float *bias = assay_arena_take(l->arena, out->columns * sizeof *bias);
    if (rests == NULL || bias == NULL)
        return assay_fail_memory(l->error, sizeof *rests + out->columns * sizeof *bias);
    *rests = (assay_linear){.parts = {refined->table}, .part_count = 1,
                            .columns = refined->count, .depth = out->depth};
    memcpy(bias, out->bias, out->columns * sizeof *bias);
    for (size_t i = 0; i < refined->count; i++)
        bias[refined->rows[i]] = refined->bias[i];
    out->rests = rests;
    out->bias = bias;
    return ASSAY_OK;
}

/* Key and value as one layer of twice the width. */
static assay_status load_key_value(const loader *l, int layer, assay_linear *out)
{
    size_t hidden = l->config->hidden;
    assay_linear key, value;
    ASSAY_TRY(load_linear(l, layer, "attention.self.key", hidden, hidden, &key));
    ASSAY_TRY(load_linear(l, layer, "attention.self.value", hidden, hidden, &value));
    float *bias = assay_arena_take(l->arena, 2 * hidden * sizeof *bias);
    if (bias == NULL)
        return assay_fail_memory(l->error, 2 * hidden * sizeof *bias);
    memcpy(bias, key.bias, hidden * sizeof *bias);
    memcpy(bias + hidden, value.bias, hidden * sizeof *bias);
    *out = (assay_linear){.parts = {key.parts[0], value.parts[0]},
                          .part_count = 2,
                          .columns = 2 * hidden,
                          .depth = hidden,
                          .bias = bias};
    return ASSAY_OK;
}

static assay_status load_layer(const loader *l, int layer, assay_layer *out)
{
    size_t hidden = l->config->hidden, intermediate = l->config->intermediate;
    ASSAY_TRY(load_linear(l, layer, "attention.self.query", hidden, hidden, &out->query));
    ASSAY_TRY(load_key_value(l, layer, &out->key_value));
    ASSAY_TRY(load_linear(l, layer, "attention.output.dense", hidden, hidden, &out->output));
    ASSAY_TRY(load_norm(l, layer, "attention.output.LayerNorm", &out->output_norm));
    ASSAY_TRY(load_linear(l, layer, "intermediate.dense", intermediate, hidden, &out->up));
    ASSAY_TRY(load_linear(l, layer, "output.dense", hidden, intermediate, &out->down));
    ASSAY_TRY(load_rests(l, layer, "output.dense", &out->down));
    return load_norm(l, layer, "output.LayerNorm", &out->down_norm);
}

static assay_status load_head(loader *l, assay_encoder *out)
{
    const assay_architecture *family = l->config->family;
    size_t hidden = l->config->hidden;
    if (!family->dense_in_trunk)
        l->prefix = "";
    ASSAY_TRY(load_linear(l, -1, family->dense, hidden, hidden, &out->pooler));
    l->prefix = "";
    return load_linear(l, -1, family->classifier, 1, hidden, &out->classifier);
}

/* The layer of late interaction, which may lie in a folder of its own. */
static assay_status load_projection(loader *l, const assay_safetensors *tensors,
                                    assay_encoder *out)
{
    const assay_late_config *late = &l->config->late;
    assay_linear *projection = &out->projection;
    *projection = (assay_linear){
        .part_count = 1, .columns = late->dimensions, .depth = l->config->hidden};
    ASSAY_TRY(assay_table_find(tensors, "linear.weight", projection->columns, projection->depth,
                               &projection->parts[0], l->error));
    if (!late->bias)
        return ASSAY_OK;
    return assay_vector_load(tensors, "linear.bias", projection->columns, l->arena,
                             &projection->bias, l->error);
}

assay_status assay_bert_find_projection(const char *folder, const assay_safetensors *tensors,
                                        assay_model_config *config, assay_safetensors **own,
                                        const assay_safetensors **out, assay_error *error)
{
    assay_late_config *late = &config->late;
    *out = tensors;
    if (late->projection[0] != '\0') {
        char path[4096];
        ASSAY_TRY(assay_path_join(path, sizeof path, folder, late->projection, error));
        ASSAY_TRY(assay_safetensors_open(path, own, error));
        *out = *own;
        return ASSAY_OK;
    }
    const assay_tensor *weight = assay_safetensors_find(tensors, "linear.weight");
    bool colbert = strcmp(config->architecture, "HF_ColBERT") == 0;
    if (colbert && late->dimensions == 0 && weight != NULL && weight->rank == 2 &&
        weight->shape[0] <= ASSAY_LATE_DIMENSIONS)
        late->dimensions = (uint32_t)weight->shape[0];
    if (colbert && late->dimensions == 0)
        return assay_fail(error, ASSAY_E_FORMAT, config->weights,
                          "tensor linear.weight: missing or of a wrong shape; HF_ColBERT has it");
    return ASSAY_OK;
}

assay_status assay_bert_load(const assay_safetensors *tensors, const assay_model_config *config,
                             const assay_safetensors *projection, assay_arena *arena,
                             assay_encoder *out, assay_error *error)
{
    loader l = {tensors, config, arena, find_prefix(tensors, config->family->prefix),
                error};
    assay_encoder encoder = {.config = config};
    ASSAY_TRY(load_table(&l, "embeddings.word_embeddings", config->vocabulary, &encoder.words));
    ASSAY_TRY(load_table(&l, "embeddings.position_embeddings", config->positions,
                         &encoder.positions));
    ASSAY_TRY(load_table(&l, "embeddings.token_type_embeddings", config->types, &encoder.types));
    ASSAY_TRY(load_norm(&l, -1, "embeddings.LayerNorm", &encoder.norm));
    size_t bytes = config->layers * sizeof *encoder.layers;
    encoder.layers = assay_arena_take(arena, bytes);
    if (encoder.layers == NULL)
        return assay_fail_memory(error, bytes);
    for (uint32_t i = 0; i < config->layers; i++)
        ASSAY_TRY(load_layer(&l, (int)i, &encoder.layers[i]));
    if (config->kind == ASSAY_MODEL_CROSS_ENCODER)
        ASSAY_TRY(load_head(&l, &encoder));
    if (config->late.dimensions > 0)
        ASSAY_TRY(load_projection(&l, projection, &encoder));
    *out = encoder;
    return ASSAY_OK;
}
