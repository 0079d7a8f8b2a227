/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_config.c: see model_config.h.
 *
 * Departs from transformers on purpose: a setting that would change the numbers
 * and that assay does not implement is refused by name, never passed over.
 */
#include "model/model_config.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum {
    MAX_LAYERS = 256,
    MAX_HIDDEN = 16384,
    MAX_INTERMEDIATE = 65536,
    MAX_VOCABULARY = 1 << 22,
    MAX_POSITIONS = 1 << 17,
    MAX_TYPES = 1024,
    MAX_QUERY_WORDS = 1000000,
    SPLIT_POSITIONS = 8, /* one in so many is left to the query */
};

static assay_status refuse(assay_error *error, const char *where, const char *field,
                           const char *found, const char *expected)
{
    assay_fail(error, ASSAY_E_UNSUPPORTED, field, "%.100s is not supported, expected %s", found,
               expected);
    assay_error_prefix(error, where);
    return ASSAY_E_UNSUPPORTED;
}

/* A number that must be there. */
static assay_status need_uint(const json_t *object, const char *field, const char *where,
                              uint64_t high, uint32_t *value, assay_error *error)
{
    uint64_t number = 0;
    ASSAY_TRY(assay_json_uint(object, field, where, 1, high, &number, error));
    if (number == 0) {
        assay_fail(error, ASSAY_E_FORMAT, field, "missing, expected a number from 1 to %llu",
                   (unsigned long long)high);
        assay_error_prefix(error, where);
        return ASSAY_E_FORMAT;
    }
    *value = (uint32_t)number;
    return ASSAY_OK;
}

/* A text field that, when it is there, must be `expected`. */
static assay_status need_text(const json_t *object, const char *field, const char *where,
                              const char *expected, assay_error *error)
{
    const char *found = expected;
    ASSAY_TRY(assay_json_string(object, field, where, &found, error));
    if (strcmp(found, expected) != 0)
        return refuse(error, where, field, found, expected);
    return ASSAY_OK;
}

/* A switch that, when it is there, must be off. */
static assay_status need_off(const json_t *object, const char *field, const char *where,
                             assay_error *error)
{
    bool on = false;
    ASSAY_TRY(assay_json_bool(object, field, where, &on, error));
    return on ? refuse(error, where, field, "true", "false") : ASSAY_OK;
}

static assay_status read_activation(const json_t *root, const char *where,
                                    assay_model_config *out, assay_error *error)
{
    const char *name = "gelu";
    ASSAY_TRY(assay_json_string(root, "hidden_act", where, &name, error));
    if (strcmp(name, "gelu") == 0)
        out->activation = ASSAY_ACTIVATION_GELU;
    else if (strcmp(name, "relu") == 0)
        out->activation = ASSAY_ACTIVATION_RELU;
    else
        return refuse(error, where, "hidden_act", name, "gelu or relu");
    return ASSAY_OK;
}

/* transformers: as many labels as id2label has, else num_labels, else 2. */
static assay_status need_one_label(const json_t *root, const char *where, assay_error *error)
{
    uint64_t labels = 2;
    ASSAY_TRY(assay_json_uint(root, "num_labels", where, 0, 1u << 20, &labels, error));
    const json_t *names = json_object_get(root, "id2label");
    if (json_is_object(names))
        labels = json_object_size(names);
    if (labels == 1)
        return ASSAY_OK;
    char found[40];
    snprintf(found, sizeof found, "a classifier with %llu labels", (unsigned long long)labels);
    return refuse(error, where, json_is_object(names) ? "id2label" : "num_labels", found,
                  "one label, as a reranker has");
}

static assay_status read_architecture(const json_t *root, const char *where,
                                      assay_model_config *out, assay_error *error)
{
    const char *type = "";
    ASSAY_TRY(assay_json_string(root, "model_type", where, &type, error));
    out->family = assay_architecture_find(type);
    if (out->family == NULL)
        return refuse(error, where, "model_type", type[0] != '\0' ? type : "none",
                      ASSAY_ARCHITECTURES);
    snprintf(out->architecture, sizeof out->architecture, "%sModel", out->family->classes);
    const json_t *names = json_object_get(root, "architectures");
    const char *name = out->architecture;
    if (json_array_size(names) > 0 && json_is_string(json_array_get(names, 0)))
        name = json_string_value(json_array_get(names, 0));
    if (strcmp(name, "HF_ColBERT") == 0) {
        memcpy(out->architecture, "HF_ColBERT", sizeof "HF_ColBERT");
        out->kind = ASSAY_MODEL_LATE;
        return ASSAY_OK;
    }
    if (!assay_architecture_kind(out->family, name, &out->kind)) {
        char expected[160];
        snprintf(expected, sizeof expected, "%s or %sForSequenceClassification",
                 out->architecture, out->family->classes);
        return refuse(error, where, "architectures", name, expected);
    }
    snprintf(out->architecture, sizeof out->architecture, "%.63s", name);
    return out->kind == ASSAY_MODEL_CROSS_ENCODER ? need_one_label(root, where, error) : ASSAY_OK;
}

/* RoBERTa counts positions from behind the id of the padding token. */
static assay_status read_positions(const json_t *root, const char *where,
                                   assay_model_config *out, assay_error *error)
{
    ASSAY_TRY(need_uint(root, "max_position_embeddings", where, MAX_POSITIONS, &out->positions,
                        error));
    out->padding = -1;
    out->longest = out->positions;
    if (!out->family->after_padding)
        return ASSAY_OK;
    uint64_t padding = 1; /* as in transformers */
    ASSAY_TRY(assay_json_uint(root, "pad_token_id", where, 0, MAX_VOCABULARY, &padding, error));
    if (padding + 1 >= out->positions) {
        assay_fail(error, ASSAY_E_FORMAT, "max_position_embeddings",
                   "%u leaves none for a token: the first is pad_token_id + 1, %llu",
                   out->positions, (unsigned long long)padding + 1);
        assay_error_prefix(error, where);
        return ASSAY_E_FORMAT;
    }
    out->padding = (int32_t)padding;
    out->longest = out->positions - (uint32_t)padding - 1;
    return ASSAY_OK;
}

static assay_status read_sizes(const json_t *root, const char *where, assay_model_config *out,
                               assay_error *error)
{
    ASSAY_TRY(need_uint(root, "num_hidden_layers", where, MAX_LAYERS, &out->layers, error));
    ASSAY_TRY(need_uint(root, "hidden_size", where, MAX_HIDDEN, &out->hidden, error));
    ASSAY_TRY(
        need_uint(root, "num_attention_heads", where, MAX_HIDDEN, &out->heads, error));
    ASSAY_TRY(need_uint(root, "intermediate_size", where, MAX_INTERMEDIATE, &out->intermediate,
                        error));
    ASSAY_TRY(need_uint(root, "vocab_size", where, MAX_VOCABULARY, &out->vocabulary, error));
    ASSAY_TRY(read_positions(root, where, out, error));
    ASSAY_TRY(need_uint(root, "type_vocab_size", where, MAX_TYPES, &out->types, error));
    if (out->hidden % out->heads != 0) {
        assay_fail(error, ASSAY_E_FORMAT, "num_attention_heads",
                   "%u does not divide hidden_size %u", out->heads, out->hidden);
        assay_error_prefix(error, where);
        return ASSAY_E_FORMAT;
    }
    return ASSAY_OK;
}

/* Only int8 weights, symmetric, one scale a row, in the compressed-tensors
 * convention "int-quantized" (https://github.com/neuralmagic/compressed-tensors). */
static assay_status check_quantisation(const json_t *root, const char *where,
                                       assay_error *error)
{
    const json_t *settings = json_object_get(root, "quantization_config");
    if (settings == NULL || json_is_null(settings))
        return ASSAY_OK;
    const char *place = "quantization_config";
    if (!json_is_object(settings))
        return assay_fail(error, ASSAY_E_FORMAT, where, "%s: expected an object", place);
    ASSAY_TRY(need_text(settings, "quant_method", where, "compressed-tensors", error));
    ASSAY_TRY(need_text(settings, "format", where, "int-quantized", error));
    const char *name;
    json_t *group;
    json_object_foreach (json_object_get(settings, "config_groups"), name, group) {
        const json_t *weights = json_object_get(group, "weights");
        uint64_t bits = 8;
        bool symmetric = true;
        ASSAY_TRY(assay_json_uint(weights, "num_bits", where, 1, 64, &bits, error));
        ASSAY_TRY(assay_json_bool(weights, "symmetric", where, &symmetric, error));
        ASSAY_TRY(need_text(weights, "type", where, "int", error));
        ASSAY_TRY(need_text(weights, "strategy", where, "channel", error));
        if (bits != 8 || !symmetric)
            return refuse(error, where, "quantization_config", name,
                          "8 bits, symmetric, strategy channel");
    }
    return ASSAY_OK;
}

/* A field of assay's own: the longest query that a reranker was trained on. */
static assay_status read_query_words(const json_t *root, const char *where,
                                     assay_model_config *out, assay_error *error)
{
    uint64_t words = 0;
    ASSAY_TRY(assay_json_uint(root, "assay_query_words", where, 1, MAX_QUERY_WORDS, &words,
                              error));
    out->query_words = (uint32_t)words;
    return ASSAY_OK;
}

/* Another: in so many layers, the lower ones, a cross-encoder's two texts are apart. What
 * tells them from each other is their type. */
assay_status assay_model_config_split(const char *where, uint64_t split, assay_model_config *out,
                                      assay_error *error)
{
    const char *field = "assay_split";
    out->split = (uint32_t)split;
    out->second_position = split > 0 ? out->positions / SPLIT_POSITIONS : 0;
    if (split == 0)
        return ASSAY_OK;
    if (out->kind != ASSAY_MODEL_CROSS_ENCODER)
        return refuse(error, where, field, out->architecture, "a cross-encoder");
    if (!out->family->types || out->types < 2)
        return refuse(error, where, field, "a model without two token types",
                      "one of BERT's kind");
    if (split < out->layers)
        return ASSAY_OK;
    assay_fail(error, ASSAY_E_FORMAT, field, "%llu of %u layers leave none in which the texts meet",
               (unsigned long long)split, out->layers);
    assay_error_prefix(error, where);
    return ASSAY_E_FORMAT;
}

static assay_status read_split(const json_t *root, const char *where, assay_model_config *out,
                               assay_error *error)
{
    uint64_t split = 0;
    ASSAY_TRY(assay_json_uint(root, "assay_split", where, 0, MAX_LAYERS, &split, error));
    return assay_model_config_split(where, split, out, error);
}

static assay_status read_root(const json_t *root, const char *where, assay_model_config *out,
                              assay_error *error)
{
    if (!json_is_object(root))
        return assay_fail(error, ASSAY_E_FORMAT, where, "expected a JSON object");
    const char *name = "";
    ASSAY_TRY(assay_json_string(root, "_name_or_path", where, &name, error));
    snprintf(out->name, sizeof out->name, "%.255s", name);
    ASSAY_TRY(read_architecture(root, where, out, error));
    ASSAY_TRY(read_sizes(root, where, out, error));
    ASSAY_TRY(read_activation(root, where, out, error));
    double epsilon = 1e-12;
    ASSAY_TRY(assay_json_double(root, "layer_norm_eps", where, 0, 1, &epsilon, error));
    out->epsilon = (float)epsilon;
    ASSAY_TRY(need_text(root, "position_embedding_type", where, "absolute", error));
    ASSAY_TRY(need_off(root, "is_decoder", where, error));
    ASSAY_TRY(need_off(root, "add_cross_attention", where, error));
    ASSAY_TRY(read_query_words(root, where, out, error));
    ASSAY_TRY(read_split(root, where, out, error));
    return check_quantisation(root, where, error);
}

assay_status assay_model_config_parse(const char *data, size_t length, const char *where,
                                      assay_model_config *out, assay_error *error)
{
    json_t *root;
    ASSAY_TRY(assay_json_parse(data, length, where, &root, error));
    *out = (assay_model_config){0};
    assay_status status = read_root(root, where, out, error);
    json_decref(root);
    return status;
}

/* A JSON file of the folder; *out is NULL when there is none. */
static assay_status read_optional(const char *folder, const char *name, assay_hasher *digest,
                                  char path[4096], json_t **out, assay_error *error)
{
    *out = NULL;
    ASSAY_TRY(assay_path_join(path, 4096, folder, name, error));
    if (!assay_is_file(path))
        return ASSAY_OK;
    assay_buffer text;
    assay_buffer_init(&text, ASSAY_CONFIG_LIMIT);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK) {
        assay_hasher_add(digest, text.data, text.length);
        status = assay_json_parse(text.data != NULL ? text.data : "", text.length, path, out,
                                  error);
    }
    assay_buffer_free(&text);
    return status;
}

/* ---- Prompts ------------------------------------------------------------------ */

static assay_status copy_prompt(const json_t *prompts, const char *name, const char *where,
                                char out[ASSAY_PROMPT_SIZE], assay_error *error)
{
    const char *text = "";
    ASSAY_TRY(assay_json_string(prompts, name, where, &text, error));
    size_t length = strlen(text);
    if (length >= ASSAY_PROMPT_SIZE)
        return assay_fail(error, ASSAY_E_LIMIT, where,
                          "the prompt \"%.60s\" has %zu bytes, expected at most %zu", name,
                          length, ASSAY_PROMPT_SIZE - 1);
    memcpy(out, text, length + 1);
    return ASSAY_OK;
}

/* As sentence-transformers chooses, except that its own empty "document" does not
 * stand before a "passage" of the file. */
static const char *passage_prompt(const json_t *prompts)
{
    static const char *const names[] = {"document", "passage", "corpus"};
    size_t i = 0;
    while (i + 1 < sizeof names / sizeof *names && json_object_get(prompts, names[i]) == NULL)
        i++;
    return names[i];
}

static assay_status use_prompts(const json_t *root, const char *where, assay_model_config *out,
                                assay_error *error)
{
    const json_t *prompts = json_object_get(root, "prompts");
    if (prompts != NULL && !json_is_null(prompts) && !json_is_object(prompts))
        return assay_fail(error, ASSAY_E_FORMAT, where, "prompts: expected an object");
    const char *name = NULL;
    ASSAY_TRY(assay_json_string(root, "default_prompt_name", where, &name, error));
    if (name != NULL && out->kind == ASSAY_MODEL_CROSS_ENCODER)
        return refuse(error, where, "default_prompt_name", name, "none for a cross-encoder");
    if (name != NULL && json_object_get(prompts, name) == NULL)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "default_prompt_name: \"%.60s\" is not among the prompts", name);
    if (name != NULL)
        ASSAY_TRY(copy_prompt(prompts, name, where, out->prompts[ASSAY_ROLE_NONE], error));
    ASSAY_TRY(copy_prompt(prompts, "query", where, out->prompts[ASSAY_ROLE_QUERY], error));
    return copy_prompt(prompts, passage_prompt(prompts), where,
                       out->prompts[ASSAY_ROLE_PASSAGE], error);
}

static bool has_prompts(const assay_model_config *config)
{
    return config->prompts[ASSAY_ROLE_NONE][0] != '\0' ||
           config->prompts[ASSAY_ROLE_QUERY][0] != '\0' ||
           config->prompts[ASSAY_ROLE_PASSAGE][0] != '\0';
}

/* Vectors that were made when assay knew no prompts are those of another model. */
#define PROMPTS_HEEDED "prompts 1"

static assay_status read_prompts(const char *folder, assay_hasher *digest,
                                 assay_model_config *out, assay_error *error)
{
    char path[4096];
    json_t *root;
    ASSAY_TRY(read_optional(folder, "config_sentence_transformers.json", digest, path, &root,
                            error));
    assay_status status = use_prompts(root, path, out, error);
    json_decref(root);
    if (status == ASSAY_OK && has_prompts(out))
        assay_hasher_add(digest, PROMPTS_HEEDED, strlen(PROMPTS_HEEDED));
    return status;
}

/* ---- Pooling ------------------------------------------------------------------ */

static const struct {
    const char *old_field, *name;
} poolings[] = {
    {"pooling_mode_cls_token", "cls"},
    {"pooling_mode_mean_tokens", "mean"},
    {"pooling_mode_max_tokens", "max"},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
    {"pooling_mode_weightedmean_tokens", "weightedmean"},
    {"pooling_mode_lasttoken", "lasttoken"},
};

/* The pooling that the file asks for and the field that said so. Version 6
 * writes "pooling_mode", older ones a switch for each kind. */
static assay_status find_pooling(const json_t *root, const char *where, const char **mode,
                                 const char **field, assay_error *error)
{
    const json_t *modes = json_object_get(root, "pooling_mode");
    *field = "pooling_mode";
    *mode = NULL;
    if (json_is_array(modes) && json_array_size(modes) == 1)
        modes = json_array_get(modes, 0);
    if (json_is_string(modes)) {
        *mode = json_string_value(modes);
        return ASSAY_OK;
    }
    if (modes != NULL)
        return refuse(error, where, *field, "several kinds at once", "mean or cls");
    for (size_t i = 0; i < sizeof poolings / sizeof *poolings; i++) {
        bool on = false;
        ASSAY_TRY(assay_json_bool(root, poolings[i].old_field, where, &on, error));
        if (!on)
            continue;
        if (*mode != NULL)
            return refuse(error, where, poolings[i].old_field, "several kinds at once",
                          "mean or cls");
        *mode = poolings[i].name;
        *field = poolings[i].old_field;
    }
    if (*mode == NULL)
        *mode = "mean"; /* as sentence-transformers does */
    return ASSAY_OK;
}

static assay_status use_pooling(const json_t *root, const char *where, assay_model_config *out,
                                assay_error *error)
{
    const char *mode, *field;
    ASSAY_TRY(find_pooling(root, where, &mode, &field, error));
    if (strcmp(mode, "cls") == 0)
        out->pooling = ASSAY_POOLING_CLS;
    else if (strcmp(mode, "mean") == 0)
        out->pooling = ASSAY_POOLING_MEAN;
    else
        return refuse(error, where, field, mode, "mean or cls");
    bool whole = true; /* of no account where there is no prompt */
    ASSAY_TRY(assay_json_bool(root, "include_prompt", where, &whole, error));
    if (!whole && has_prompts(out))
        return refuse(error, where, "include_prompt", "false, for a model with prompts,", "true");
    uint64_t dimension = out->hidden;
    ASSAY_TRY(assay_json_uint(root, "word_embedding_dimension", where, 1, MAX_HIDDEN,
                              &dimension, error));
    ASSAY_TRY(
        assay_json_uint(root, "embedding_dimension", where, 1, MAX_HIDDEN, &dimension, error));
    if (dimension != out->hidden)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "embedding dimension %llu, expected hidden_size %u",
                          (unsigned long long)dimension, out->hidden);
    return ASSAY_OK;
}

static assay_status read_pooling(const char *folder, assay_hasher *digest,
                                 assay_model_config *out, assay_error *error)
{
    char path[4096];
    json_t *root;
    ASSAY_TRY(read_optional(folder, "config.json", digest, path, &root, error));
    if (root == NULL)
        return assay_fail(error, ASSAY_E_NOT_FOUND, path, "modules.json wants this file");
    assay_status status = use_pooling(root, path, out, error);
    json_decref(root);
    return status;
}

/* A module's folder: inside the model's, never above it. */
static bool safe_path(const char *path)
{
    return path[0] != '/' && strstr(path, "..") == NULL && strlen(path) < 256;
}

typedef struct module {
    const char *kind; /* last part of the type: "Pooling" */
    const char *path;
} module;

static assay_status read_module(const json_t *modules, size_t i, const char *where, module *out,
                                assay_error *error)
{
    const json_t *entry = json_array_get(modules, i);
    const char *type = "";
    out->path = "";
    if (json_is_object(entry)) {
        ASSAY_TRY(assay_json_string(entry, "type", where, &type, error));
        ASSAY_TRY(assay_json_string(entry, "path", where, &out->path, error));
    }
    const char *dot = strrchr(type, '.');
    out->kind = dot != NULL ? dot + 1 : type;
    if (type[0] == '\0' || !safe_path(out->path))
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "module %zu: expected an object with type and path", i);
    return ASSAY_OK;
}

/* ---- Late interaction --------------------------------------------------------- */

/* The Dense of a model of pylate, whose other settings are those of the sentence
 * config. */
static assay_status read_dense(const char *folder, const module *m, assay_hasher *digest,
                               assay_model_config *out, assay_error *error)
{
    char path[4096], inside[4096];
    json_t *root;
    assay_late_config_default(&out->late);
    ASSAY_TRY(read_optional(folder, "config_sentence_transformers.json", digest, path, &root,
                            error));
    assay_status status = assay_late_config_sentence(root, path, &out->late, error);
    json_decref(root);
    ASSAY_TRY(status);
    ASSAY_TRY(assay_path_join(inside, sizeof inside, folder, m->path, error));
    ASSAY_TRY(read_optional(inside, "config.json", digest, path, &root, error));
    if (root == NULL)
        return assay_fail(error, ASSAY_E_NOT_FOUND, path, "modules.json wants this file");
    status = assay_late_config_dense(root, path, out->hidden, &out->late, error);
    json_decref(root);
    snprintf(out->late.projection, sizeof out->late.projection, "%s", m->path);
    out->kind = ASSAY_MODEL_LATE;
    out->pooling = ASSAY_POOLING_TOKENS;
    return status;
}

/* What the ColBERT authors' layout says; without the file, pylate's defaults. */
static assay_status read_metadata(const char *folder, assay_hasher *digest,
                                  assay_model_config *out, assay_error *error)
{
    char path[4096];
    json_t *root;
    assay_late_config_default(&out->late);
    ASSAY_TRY(read_optional(folder, "artifact.metadata", digest, path, &root, error));
    assay_status status = assay_late_config_metadata(root, path, &out->late, error);
    json_decref(root);
    return status;
}

/* pylate puts the default prompt before all texts, which no checkpoint wants, and
 * leaves the others to its caller. */
static assay_status drop_prompts(const char *folder, assay_model_config *out, assay_error *error)
{
    if (out->prompts[ASSAY_ROLE_NONE][0] != '\0')
        return refuse(error, folder, "default_prompt_name", out->prompts[ASSAY_ROLE_NONE],
                      "none for late interaction");
    memset(out->prompts, 0, sizeof out->prompts);
    return ASSAY_OK;
}

/* Transformer, then Pooling, then Normalize; of late interaction Transformer and
 * Dense; a cross-encoder has the first only. */
static assay_status read_modules(const json_t *modules, const char *folder, const char *where,
                                 assay_hasher *digest, assay_model_config *out,
                                 assay_error *error)
{
    bool bi = out->kind == ASSAY_MODEL_BI_ENCODER;
    for (size_t i = 1; i < json_array_size(modules); i++) {
        module m;
        char path[4096], place[40];
        ASSAY_TRY(read_module(modules, i, where, &m, error));
        ASSAY_TRY(assay_path_join(path, sizeof path, folder, m.path, error));
        if (i == 1 && bi && strcmp(m.kind, "Dense") == 0 && json_array_size(modules) == 2) {
            ASSAY_TRY(read_dense(folder, &m, digest, out, error));
        } else if (i == 1 && bi && strcmp(m.kind, "Pooling") == 0) {
            ASSAY_TRY(read_pooling(path, digest, out, error));
        } else if (i == 2 && bi && strcmp(m.kind, "Normalize") == 0) {
            out->normalized = true;
        } else {
            snprintf(place, sizeof place, "module %zu", i);
            return refuse(error, where, place, m.kind,
                          "Transformer, Pooling, Normalize or Transformer, Dense");
        }
    }
    return ASSAY_OK;
}

/* sentence-transformers can lower-case before the tokenizer does. That changes
 * nothing with an uncased tokenizer and is refused with another. */
static assay_status check_lower_case(const assay_model_config *config, const char *where,
                                     assay_hasher *digest, assay_error *error)
{
    char path[4096];
    json_t *root;
    ASSAY_TRY(read_optional(config->weights, "tokenizer_config.json", digest, path, &root,
                            error));
    bool lower = true;
    assay_status status = assay_json_bool(root, "do_lower_case", path, &lower, error);
    json_decref(root);
    if (status == ASSAY_OK && !lower)
        return refuse(error, where, "do_lower_case", "true, with a cased tokenizer,", "false");
    return status;
}

static assay_status read_sentence_config(assay_hasher *digest, assay_model_config *out,
                                         assay_error *error)
{
    char path[4096];
    json_t *root;
    ASSAY_TRY(read_optional(out->weights, "sentence_bert_config.json", digest, path, &root,
                            error));
    if (root == NULL)
        return ASSAY_OK;
    uint64_t limit = 0;
    bool lower = false;
    assay_status status =
        assay_json_uint(root, "max_seq_length", path, 1, MAX_POSITIONS, &limit, error);
    if (status == ASSAY_OK)
        status = assay_json_bool(root, "do_lower_case", path, &lower, error);
    json_decref(root);
    if (status == ASSAY_OK && lower)
        status = check_lower_case(out, path, digest, error);
    out->max_tokens = (uint32_t)limit;
    return status;
}

/* ---- The folder --------------------------------------------------------------- */

static assay_status read_main(const char *folder, assay_hasher *digest, assay_model_config *out,
                              assay_error *error)
{
    char path[4096];
    json_t *root;
    ASSAY_TRY(read_optional(folder, "config.json", digest, path, &root, error));
    if (root == NULL)
        return assay_fail(error, ASSAY_E_NOT_FOUND, path,
                          "missing: a model is a folder with config.json, tokenizer.json and "
                          "model.safetensors");
    assay_status status = read_root(root, path, out, error);
    json_decref(root);
    return status;
}

static assay_status read_folder(const char *folder, const json_t *modules, const char *where,
                                assay_hasher *digest, assay_model_config *out,
                                assay_error *error)
{
    module first = {.kind = "Transformer", .path = ""};
    if (modules != NULL)
        ASSAY_TRY(read_module(modules, 0, where, &first, error));
    if (strcmp(first.kind, "Transformer") != 0)
        return refuse(error, where, "module 0", first.kind, "Transformer");
    if (first.path[0] == '\0' || strcmp(first.path, ".") == 0)
        snprintf(out->weights, sizeof out->weights, "%s", folder);
    else
        ASSAY_TRY(assay_path_join(out->weights, sizeof out->weights, folder, first.path, error));
    char weights[sizeof out->weights];
    memcpy(weights, out->weights, sizeof weights);
    ASSAY_TRY(read_main(weights, digest, out, error));
    out->pooling = out->kind == ASSAY_MODEL_BI_ENCODER ? ASSAY_POOLING_MEAN : ASSAY_POOLING_CLS;
    if (out->kind == ASSAY_MODEL_LATE) {
        out->pooling = ASSAY_POOLING_TOKENS;
        ASSAY_TRY(read_metadata(weights, digest, out, error));
    }
    if (modules != NULL || out->kind == ASSAY_MODEL_BI_ENCODER)
        ASSAY_TRY(read_sentence_config(digest, out, error));
    ASSAY_TRY(read_prompts(folder, digest, out, error));
    ASSAY_TRY(read_modules(modules, folder, where, digest, out, error));
    return out->kind == ASSAY_MODEL_LATE ? drop_prompts(folder, out, error) : ASSAY_OK;
}

assay_status assay_model_config_read(const char *folder, assay_hasher *digest,
                                     assay_model_config *out, assay_error *error)
{
    if (strlen(folder) >= sizeof out->weights)
        return assay_fail(error, ASSAY_E_LIMIT, folder, "path too long");
    *out = (assay_model_config){0};
    char path[4096];
    json_t *modules;
    ASSAY_TRY(read_optional(folder, "modules.json", digest, path, &modules, error));
    assay_status status = ASSAY_OK;
    if (modules != NULL && json_array_size(modules) == 0)
        status = assay_fail(error, ASSAY_E_FORMAT, path, "expected a list of modules");
    if (status == ASSAY_OK)
        status = read_folder(folder, modules, path, digest, out, error);
    json_decref(modules);
    return status;
}
