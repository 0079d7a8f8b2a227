/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainable_load.c: opening a model folder as one whose weights can be moved
 * (trainable.h): what it becomes, the list of its parameters, and their first values.
 *
 * Parameters lie in one block of floats, their gradients in another, in the order of the
 * list. Names are those that transformers gives the model's class.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/random.h"
#include "learn/trainable_parts.h"
#include "model/bert.h"
#include "model/model.h"

enum {
    NAME_SIZE = 200,
    PARAMETERS_A_LAYER = 24,
    PARAMETERS_BESIDE = 16,
    LINEARS_A_LAYER = 5,
    LINEARS_BESIDE = 2,
    LATE_DIMENSIONS = 128, /* as ColBERT has */
    HUGE_PAGE = 2 << 20,
};

/* Of LoRA's product B A: the usual "alpha" of twice the rank, over the rank. */
#define LOW_RANK_FACTOR 2.0f

#define FIRST_DEVIATION 0.02 /* initializer_range of every model of this kind */

/* ---- What it becomes ------------------------------------------------------------- */

static assay_status refuse(const assay_trainable *model, assay_error *error, const char *found,
                           const char *expected)
{
    return assay_fail(error, ASSAY_E_ARGUMENT, model->folder, "%s, expected %s", found, expected);
}

/* As pylate begins from a bi-encoder: its defaults, a projection to be drawn, and BERT's
 * spare tokens for markers. */
static assay_status become_late(assay_trainable *model, assay_error *error)
{
    assay_model_config *config = &model->config;
    uint32_t dimensions = model->options.dimensions;
    assay_late_config_default(&config->late);
    config->late.dimensions = dimensions > 0 ? dimensions : LATE_DIMENSIONS;
    if (dimensions == 0 && config->hidden < LATE_DIMENSIONS)
        config->late.dimensions = config->hidden;
    memcpy(config->late.query_marker, "[unused0]", sizeof "[unused0]");
    memcpy(config->late.document_marker, "[unused1]", sizeof "[unused1]");
    if (config->late.query_length > config->longest)
        config->late.query_length = config->longest;
    if (config->late.document_length > config->longest)
        config->late.document_length = config->longest;
    config->pooling = ASSAY_POOLING_TOKENS;
    memset(config->prompts, 0, sizeof config->prompts);
    return config->late.dimensions <= 3 * config->hidden
               ? ASSAY_OK
               : refuse(model, error, "is narrower than a third of the dimensions", "fewer");
}

static assay_status choose_kind(assay_trainable *model, assay_error *error)
{
    assay_model_config *config = &model->config;
    assay_model_kind wanted = model->options.kind;
    model->base_kind = config->kind;
    if (config->kind == ASSAY_MODEL_LATE && wanted != ASSAY_MODEL_LATE)
        return refuse(model, error, "is a model for late interaction",
                      "a cross-encoder or a bi-encoder to begin from");
    if (wanted != ASSAY_MODEL_CROSS_ENCODER && config->kind == ASSAY_MODEL_CROSS_ENCODER)
        return refuse(model, error, "is a cross-encoder, whose states were never vectors",
                      "a bi-encoder to begin from");
    if (wanted == ASSAY_MODEL_CROSS_ENCODER)
        config->pooling = ASSAY_POOLING_CLS;
    if (wanted == ASSAY_MODEL_LATE && config->kind != ASSAY_MODEL_LATE)
        ASSAY_TRY(become_late(model, error));
    else if (wanted == ASSAY_MODEL_LATE && model->options.dimensions > 0)
        return refuse(model, error, "is a model for late interaction, whose dimensions it says",
                      "none to be asked for");
    config->kind = wanted;
    return model->options.split > 0
               ? assay_model_config_split(model->folder, model->options.split, config, error)
               : ASSAY_OK;
}

/* Dropout as the files say, where the options leave it to them. */
static assay_status read_dropout(assay_trainable *model, assay_error *error)
{
    char path[4096];
    json_t *root;
    double hidden = 0.1, attention = 0.1; /* as transformers */
    ASSAY_TRY(assay_path_join(path, sizeof path, model->weights, "config.json", error));
    ASSAY_TRY(assay_json_read(path, ASSAY_CONFIG_LIMIT, &root, error));
    assay_status status =
        assay_json_double(root, "hidden_dropout_prob", path, 0, 0.99, &hidden, error);
    if (status == ASSAY_OK)
        status = assay_json_double(root, "attention_probs_dropout_prob", path, 0, 0.99,
                                   &attention, error);
    json_decref(root);
    const assay_trainable_options *options = &model->options;
    model->encoder.dropout = options->dropout < 0 ? (float)hidden : options->dropout;
    model->encoder.attention_dropout =
        options->attention_dropout < 0 ? (float)attention : options->attention_dropout;
    return status;
}

static assay_status check_options(const assay_trainable_options *options, assay_error *error)
{
    if (!(options->dropout < 1) || !(options->attention_dropout < 1))
        return assay_fail(error, ASSAY_E_ARGUMENT, "dropout", "expected less than 1");
    if (options->lora_rank > ASSAY_RANK_MOST)
        return assay_fail(error, ASSAY_E_ARGUMENT, "lora_rank", "%u, expected at most %d",
                          options->lora_rank, ASSAY_RANK_MOST);
    if (options->precision == ASSAY_PRECISION_INT8)
        return assay_fail(error, ASSAY_E_ARGUMENT, "precision",
                          "nothing is learned at int8, expected fp32 or bf16");
    return assay_precision_check(options->precision, "fp32", error);
}

static assay_status read_config(assay_trainable *model, assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_model_config_read(model->folder, hasher, &model->config, error);
    assay_hasher_finish(hasher);
    ASSAY_TRY(status);
    snprintf(model->weights, sizeof model->weights, "%s", model->config.weights);
    ASSAY_TRY(choose_kind(model, error));
    return read_dropout(model, error);
}

/* What a model newly for late interaction asks of its tokenizer, as far as it has it. */
static void adapt_late(assay_trainable *model)
{
    assay_late_config *late = &model->config.late;
    if (assay_token_find(model->tokenizer, late->query_marker) < 0 ||
        assay_token_find(model->tokenizer, late->document_marker) < 0)
        late->query_marker[0] = late->document_marker[0] = '\0';
    if (assay_tokenizer_special(model->tokenizer).mask < 0)
        late->expand = false;
}

static assay_status open_tokenizer(assay_trainable *model, assay_error *error)
{
    ASSAY_TRY(assay_tokenizer_open(model->weights, &model->tokenizer, error));
    size_t size = assay_tokenizer_vocabulary(model->tokenizer);
    if (size > model->config.vocabulary)
        return assay_fail(error, ASSAY_E_FORMAT, model->weights,
                          "the tokenizer has %zu tokens, the model embeds %u", size,
                          model->config.vocabulary);
    if (model->config.kind == ASSAY_MODEL_LATE && model->base_kind != ASSAY_MODEL_LATE)
        adapt_late(model);
    return ASSAY_OK;
}

/* The trunk, and the head where the base has it. */
static assay_status find_tensors(assay_trainable *model, assay_error *error)
{
    assay_model_config base = model->config;
    const assay_safetensors *projection;
    ASSAY_TRY(assay_safetensors_open(model->weights, &model->tensors, error));
    base.kind = model->base_kind;
    if (base.kind != ASSAY_MODEL_LATE)
        base.late.dimensions = 0;
    ASSAY_TRY(assay_bert_find_projection(model->folder, model->tensors, &base,
                                         &model->projection, &projection, error));
    ASSAY_TRY(assay_bert_load(model->tensors, &base, projection, model->arena, &model->base,
                              error));
    if (base.kind == ASSAY_MODEL_LATE)
        model->config.late = base.late;
    model->base.config = model->encoder.config = &model->config;
    return ASSAY_OK;
}

/* ---- The list -------------------------------------------------------------------- */

typedef struct lister {
    assay_trainable *model;
    uint32_t depth;
    bool failed; /* memory */
} lister;

typedef struct entry {
    size_t rows, columns;
    assay_parameter_source from;
} entry;

__attribute__((format(printf, 3, 4)))
static void add(lister *l, entry e, const char *format, ...)
{
    char name[NAME_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    assay_trainable *model = l->model;
    const char *kept = assay_arena_copy(model->arena, name, strlen(name));
    l->failed |= kept == NULL;
    size_t i = model->parameter_count++;
    model->sources[i] = e.from;
    model->parameters[i] = (assay_parameter){.name = kept,
                                             .rows = e.rows,
                                             .columns = e.columns,
                                             .decays = e.rows > 1 || e.from.table != NULL,
                                             .depth = l->depth};
}

static void add_vector(lister *l, size_t n, const float *from, float **to, float **gradient,
                       const char *name, const char *end)
{
    add(l, (entry){1, n, {.vector = from, .values = to, .gradient = gradient}}, "%s.%s", name,
        end);
}

static void add_norm(lister *l, const char *name, const assay_norm *from,
                     assay_trained_norm *to)
{
    size_t n = l->model->config.hidden;
    add_vector(l, n, from->gamma, &to->gamma, &to->gamma_gradient, name, "weight");
    add_vector(l, n, from->beta, &to->beta, &to->beta_gradient, name, "bias");
}

static void use_linear(lister *l, const char *name, const assay_linear *from,
                       assay_trained_linear *to)
{
    assay_trainable *model = l->model;
    to->columns = from->columns;
    to->depth = from->depth;
    model->linear_sources[model->linear_count] = from;
    model->linear_names[model->linear_count] = assay_arena_copy(model->arena, name, strlen(name));
    l->failed |= model->linear_names[model->linear_count] == NULL;
    model->linears[model->linear_count++] = to;
}

/* What learns of a layer's weight: itself, or two matrices of a rank. */
static bool add_low(lister *l, const char *name, const char *part, assay_trained_linear *to)
{
    size_t rank = l->model->options.lora_rank;
    if (rank == 0)
        return false;
    to->low.rank = rank;
    to->low.factor = LOW_RANK_FACTOR;
    add(l, (entry){rank, to->depth, {.values = &to->low.a, .gradient = &to->low.a_gradient}},
        "%s%s.lora_A.weight", name, part);
    l->model->parameters[l->model->parameter_count - 1].decays = true;
    add(l, (entry){to->columns, rank,
                   {.values = &to->low.b, .gradient = &to->low.b_gradient, .zero = true}},
        "%s%s.lora_B.weight", name, part);
    return true;
}

/* from->part_count is 0 where the base has no such layer. */
static void add_weight(lister *l, const char *name, const assay_linear *from,
                       assay_trained_linear *to)
{
    const assay_table *table = from->part_count > 0 ? &from->parts[0] : NULL;
    use_linear(l, name, from, to);
    add(l, (entry){to->columns, to->depth,
                   {.table = table, .values = &to->weight, .gradient = &to->weight_gradient}},
        "%s.weight", name);
    l->model->parameters[l->model->parameter_count - 1].decays = true; /* of one row, too */
}

static void add_whole(lister *l, const char *name, const assay_linear *from,
                      assay_trained_linear *to)
{
    add_weight(l, name, from, to);
    add_vector(l, to->columns, from->bias, &to->bias, &to->bias_gradient, name, "bias");
}

/* One of an encoder's layer. */
static void add_linear(lister *l, const char *name, const assay_linear *from,
                       assay_trained_linear *to)
{
    to->bf16 = l->model->encoder.bf16;
    if (l->model->options.lora_rank == 0) {
        add_whole(l, name, from, to);
        return;
    }
    use_linear(l, name, from, to);
    add_low(l, name, "", to);
    add_vector(l, to->columns, from->bias, &to->bias, &to->bias_gradient, name, "bias");
}

/* One product, two tensors each of weights and bias. */
static void add_key_value(lister *l, const char *name, const assay_linear *from,
                          assay_trained_linear *to)
{
    size_t n = from->depth;
    to->bf16 = l->model->encoder.bf16;
    use_linear(l, name, from, to);
    if (!add_low(l, name, ".key_value", to)) {
        add(l, (entry){n, n, {.table = &from->parts[0], .values = &to->weight,
                              .gradient = &to->weight_gradient, .joined = true}},
            "%s.key.weight", name);
        add(l, (entry){n, n, {.table = &from->parts[1]}}, "%s.value.weight", name);
    }
    add(l, (entry){1, n, {.vector = from->bias, .values = &to->bias,
                          .gradient = &to->bias_gradient, .joined = true}}, "%s.key.bias", name);
    add(l, (entry){1, n, {.vector = from->bias + n}}, "%s.value.bias", name);
}

static void add_table(lister *l, const char *name, const assay_table *from,
                      assay_trained_table *to)
{
    to->frozen = *from;
    if (!l->model->options.freeze_embeddings)
        add(l, (entry){from->rows, from->columns,
                       {.table = from, .values = &to->values, .gradient = &to->gradient}},
            "%s.weight", name);
}

#define BELOW(name, prefix, format, ...) \
    snprintf(name, sizeof name, "%s" format, prefix, __VA_ARGS__)

static void add_embeddings(lister *l, const char *prefix)
{
    assay_trainable *model = l->model;
    assay_trained_encoder *to = &model->encoder;
    char name[NAME_SIZE];
    size_t words = model->parameter_count;
    BELOW(name, prefix, "embeddings.%s", "word_embeddings");
    add_table(l, name, &model->base.words, &to->words);
    if (model->parameter_count > words) {
        model->parameters[words].touched = assay_arena_take(model->arena, model->base.words.rows);
        l->failed |= model->parameters[words].touched == NULL;
    }
    BELOW(name, prefix, "embeddings.%s", "position_embeddings");
    add_table(l, name, &model->base.positions, &to->positions);
    BELOW(name, prefix, "embeddings.%s", "token_type_embeddings");
    add_table(l, name, &model->base.types, &to->types);
    BELOW(name, prefix, "embeddings.%s", "LayerNorm");
    add_norm(l, name, &model->base.norm, &to->norm);
}

static void add_layer(lister *l, const char *prefix, size_t index)
{
    const assay_layer *from = &l->model->base.layers[index];
    assay_trained_layer *to = &l->model->encoder.layers[index];
    char name[NAME_SIZE];
    BELOW(name, prefix, "encoder.layer.%zu.attention.self.query", index);
    add_linear(l, name, &from->query, &to->query);
    BELOW(name, prefix, "encoder.layer.%zu.attention.self", index);
    add_key_value(l, name, &from->key_value, &to->key_value);
    BELOW(name, prefix, "encoder.layer.%zu.attention.output.dense", index);
    add_linear(l, name, &from->output, &to->output);
    BELOW(name, prefix, "encoder.layer.%zu.attention.output.LayerNorm", index);
    add_norm(l, name, &from->output_norm, &to->output_norm);
    BELOW(name, prefix, "encoder.layer.%zu.intermediate.dense", index);
    add_linear(l, name, &from->up, &to->up);
    BELOW(name, prefix, "encoder.layer.%zu.output.dense", index);
    add_linear(l, name, &from->down, &to->down);
    BELOW(name, prefix, "encoder.layer.%zu.output.LayerNorm", index);
    add_norm(l, name, &from->down_norm, &to->down_norm);
}

/* The base's, a pooler that it carries unused, or none. */
static assay_status find_head(assay_trainable *model, assay_linear *dense,
                              assay_linear *classifier, assay_error *error)
{
    const assay_architecture *family = model->config.family;
    size_t hidden = model->config.hidden;
    *dense = (assay_linear){.columns = hidden, .depth = hidden};
    *classifier = (assay_linear){.columns = 1, .depth = hidden};
    if (model->base_kind == ASSAY_MODEL_CROSS_ENCODER) {
        *dense = model->base.pooler;
        *classifier = model->base.classifier;
        return ASSAY_OK;
    }
    if (!family->dense_in_trunk)
        return ASSAY_OK;
    char weight[NAME_SIZE], bias[NAME_SIZE];
    const char *prefixes[] = {"", family->prefix};
    for (size_t i = 0; i < 2; i++) {
        snprintf(weight, sizeof weight, "%s%s.weight", prefixes[i], family->dense);
        snprintf(bias, sizeof bias, "%s%s.bias", prefixes[i], family->dense);
        if (assay_safetensors_find(model->tensors, weight) == NULL ||
            assay_safetensors_find(model->tensors, bias) == NULL)
            continue;
        dense->part_count = 1;
        ASSAY_TRY(assay_table_find(model->tensors, weight, hidden, hidden, &dense->parts[0],
                                   error));
        return assay_vector_load(model->tensors, bias, hidden, model->arena, &dense->bias, error);
    }
    return ASSAY_OK;
}

static assay_status add_head(lister *l, const char *prefix, bool *drawn, assay_error *error)
{
    assay_trainable *model = l->model;
    const assay_architecture *family = model->config.family;
    /* Sources point at them: they live as long as the model. */
    assay_linear *head = assay_arena_take(model->arena, 2 * sizeof *head);
    if (head == NULL)
        return assay_fail_memory(error, 2 * sizeof *head);
    ASSAY_TRY(find_head(model, &head[0], &head[1], error));
    *drawn = head[0].part_count == 0 || head[1].part_count == 0;
    char name[NAME_SIZE];
    BELOW(name, family->dense_in_trunk ? prefix : "", "%s", family->dense);
    add_whole(l, name, &head[0], &model->encoder.pooler);
    add_whole(l, family->classifier, &head[1], &model->encoder.classifier);
    return ASSAY_OK;
}

/* The base's, or one to be drawn; none where states are taken as they are. */
static assay_status add_projection(lister *l, bool *drawn, assay_error *error)
{
    assay_trainable *model = l->model;
    assay_linear *projection = assay_arena_take(model->arena, sizeof *projection);
    if (projection == NULL)
        return assay_fail_memory(error, sizeof *projection);
    *projection = model->base.projection;
    *drawn = model->base_kind != ASSAY_MODEL_LATE;
    if (*drawn)
        *projection = (assay_linear){.columns = model->config.late.dimensions,
                                     .depth = model->config.hidden};
    if (projection->columns > 0)
        (projection->bias != NULL ? add_whole : add_weight)(l, "linear", projection,
                                                             &model->encoder.projection);
    return ASSAY_OK;
}

static assay_status make_lists(assay_trainable *model, assay_error *error)
{
    size_t layers = model->config.layers;
    size_t most = layers * PARAMETERS_A_LAYER + PARAMETERS_BESIDE;
    model->parameters = calloc(most, sizeof *model->parameters);
    model->sources = calloc(most, sizeof *model->sources);
    size_t linears = layers * LINEARS_A_LAYER + LINEARS_BESIDE;
    model->linears = calloc(linears, sizeof(assay_trained_linear *));
    model->linear_sources = calloc(linears, sizeof(assay_linear *));
    model->linear_names = calloc(linears, sizeof(char *));
    model->encoder.layers = calloc(layers, sizeof *model->encoder.layers);
    model->pass.layers = calloc(layers, sizeof *model->pass.layers);
    if (model->parameters == NULL || model->sources == NULL || model->linears == NULL ||
        model->linear_sources == NULL || model->linear_names == NULL ||
        model->encoder.layers == NULL || model->pass.layers == NULL)
        return assay_fail_memory(error, most * sizeof *model->parameters);
    return ASSAY_OK;
}

/* Of the trunk's tensors: task models have one, and the ColBERT authors' layout. */
const char *assay_trainable_prefix(const assay_trainable *model)
{
    const assay_model_config *config = &model->config;
    bool task = config->kind == ASSAY_MODEL_CROSS_ENCODER ||
                strcmp(config->architecture, "HF_ColBERT") == 0;
    return task ? config->family->prefix : "";
}

static assay_status list_parameters(assay_trainable *model, bool *drawn, assay_error *error)
{
    const char *prefix = assay_trainable_prefix(model);
    lister l = {.model = model};
    ASSAY_TRY(make_lists(model, error));
    add_embeddings(&l, prefix);
    for (size_t i = 0; i < model->config.layers; i++) {
        l.depth++;
        add_layer(&l, prefix, i);
    }
    l.depth++;
    *drawn = false;
    if (model->config.kind == ASSAY_MODEL_CROSS_ENCODER)
        ASSAY_TRY(add_head(&l, prefix, drawn, error));
    if (model->config.kind == ASSAY_MODEL_LATE)
        ASSAY_TRY(add_projection(&l, drawn, error));
    return l.failed ? assay_fail_memory(error, NAME_SIZE) : ASSAY_OK;
}

/* ---- Values ---------------------------------------------------------------------- */

static float *floats_new(size_t count)
{
    size_t bytes = (count * sizeof(float) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    float *floats = aligned_alloc(HUGE_PAGE, bytes);
    if (floats != NULL)
        memset(floats, 0, bytes);
    return floats;
}

static assay_status place_parameters(assay_trainable *model, assay_error *error)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        assay_parameter *p = &model->parameters[i];
        size_t size = p->rows * p->columns;
        model->floats += model->sources[i].joined ? size : assay_whole_panels(size);
        if (p->touched != NULL)
            memset(p->touched, 0, p->rows);
    }
    /* A joined one may leave the next ones off their boundaries; none needs them. */
    model->values = floats_new(model->floats + ASSAY_PANEL);
    model->gradients = floats_new(model->floats + ASSAY_PANEL);
    if (model->values == NULL || model->gradients == NULL)
        return assay_fail_memory(error, 2 * model->floats * sizeof(float));
    size_t at = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        assay_parameter *p = &model->parameters[i];
        const assay_parameter_source *from = &model->sources[i];
        size_t size = p->rows * p->columns;
        p->values = model->values + at;
        p->gradient = model->gradients + at;
        if (from->values != NULL) {
            *from->values = p->values;
            *from->gradient = p->gradient;
        }
        at += from->joined ? size : assay_whole_panels(size);
    }
    return ASSAY_OK;
}

/* Normally distributed (Box & Muller 1958), the same for a seed and a parameter's name. */
static void draw(const assay_trainable *model, assay_parameter *p)
{
    uint64_t state = assay_random_stream(model->options.seed,
                                         assay_hash64(p->name, strlen(p->name)));
    size_t size = p->rows * p->columns;
    for (size_t i = 0; i < size && p->decays; i++) { /* biases are 0 */
        uint64_t bits = assay_random_next(&state);
        double u = ((double)(bits >> 32) + 0.5) * 0x1p-32;
        double v = ((double)(bits & 0xffffffffu) + 0.5) * 0x1p-32;
        p->values[i] = (float)(FIRST_DEVIATION * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
    }
}

static assay_status fill(assay_trainable *model, size_t i, assay_error *error)
{
    assay_parameter *p = &model->parameters[i];
    const assay_parameter_source *from = &model->sources[i];
    if (from->table != NULL) {
        if (from->table->weight->dtype != ASSAY_DTYPE_I8)
            ASSAY_TRY(assay_tensor_check(from->table->weight, error));
        for (size_t row = 0; row < p->rows; row++)
            assay_table_row(from->table, row, p->values + row * p->columns);
    } else if (from->vector != NULL) {
        memcpy(p->values, from->vector, p->columns * sizeof *p->values);
    } else if (!from->zero) {
        draw(model, p);
    }
    return ASSAY_OK;
}

/* The base's weights of layers with a rank, and what is made of them. */
static assay_status make_low(assay_trainable *model, assay_error *error)
{
    for (size_t i = 0; i < model->linear_count; i++) {
        const assay_trained_linear *linear = model->linears[i];
        if (linear->low.rank > 0)
            model->low_floats += 2 * assay_whole_panels(linear->columns * linear->depth) +
                                 assay_low_size(linear);
    }
    model->low_memory = floats_new(model->low_floats + ASSAY_PANEL);
    if (model->low_memory == NULL)
        return assay_fail_memory(error, model->low_floats * sizeof(float));
    float *at = model->low_memory;
    for (size_t i = 0; i < model->linear_count; i++) {
        assay_trained_linear *linear = model->linears[i];
        if (linear->low.rank == 0)
            continue;
        size_t size = assay_whole_panels(linear->columns * linear->depth);
        linear->weight = at;
        linear->low.base = at + size;
        assay_low_place(linear, at + 2 * size);
        at += 2 * size + assay_low_size(linear);
        for (size_t row = 0; row < linear->columns; row++)
            assay_linear_row(model->linear_sources[i], row,
                             linear->low.base + row * linear->depth);
    }
    return ASSAY_OK;
}

static assay_status make_panels(assay_trainable *model, assay_error *error)
{
    for (size_t i = 0; i < model->linear_count; i++)
        model->panel_floats += assay_trained_forth_size(model->linears[i]) +
                               assay_trained_back_size(model->linears[i]);
    model->panels = floats_new(model->panel_floats);
    if (model->panels == NULL)
        return assay_fail_memory(error, model->panel_floats * sizeof(float));
    float *at = model->panels;
    for (size_t i = 0; i < model->linear_count; i++) {
        model->linears[i]->forth = at;
        at += assay_trained_forth_size(model->linears[i]);
        model->linears[i]->back = at;
        at += assay_trained_back_size(model->linears[i]);
    }
    return ASSAY_OK;
}

assay_status assay_trainable_load(assay_trainable *model, const char *folder, bool *drawn,
                                  assay_error *error)
{
    if (strlen(folder) >= sizeof model->folder)
        return assay_fail(error, ASSAY_E_LIMIT, folder, "path too long");
    snprintf(model->folder, sizeof model->folder, "%s", folder);
    ASSAY_TRY(check_options(&model->options, error));
    model->encoder.rank = model->options.lora_rank;
    model->encoder.bf16 = model->options.precision == ASSAY_PRECISION_BF16;
    model->options.freeze_embeddings |= model->options.lora_rank > 0;
    ASSAY_TRY(read_config(model, error));
    ASSAY_TRY(open_tokenizer(model, error));
    ASSAY_TRY(find_tensors(model, error));
    ASSAY_TRY(list_parameters(model, drawn, error));
    ASSAY_TRY(place_parameters(model, error));
    for (size_t i = 0; i < model->parameter_count; i++)
        ASSAY_TRY(fill(model, i, error));
    ASSAY_TRY(make_low(model, error));
    return make_panels(model, error);
}
