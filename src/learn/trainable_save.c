/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainable_save.c: a folder in Hugging Face layout of a trainable's weights as they are
 * (trainable.h). config.json is the base's, with the class that the model has become and
 * nothing about how the base's weights were stored. A bi-encoder keeps the tensors of a
 * pooler that it carries unused, as transformers' BertModel wants them. What has become a
 * model for late interaction is written as pylate writes it: modules Transformer and Dense.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "learn/trainable_parts.h"
#include "model/safetensors_writer.h"

enum { PATH_SIZE = 4096, TABLES = 3 };

typedef struct saving {
    const assay_trainable *model;
    const char *folder; /* filled; */
    char below[2048];   /* folder of the weights in it, "" or "0_Transformer" */
    assay_tensor_plan *plans;
    size_t count;
    assay_arena *names; /* of tensors that are no parameters */
    assay_error *error;
} saving;

static assay_status target_path(const saving *s, const char *name, char path[PATH_SIZE])
{
    char folder[PATH_SIZE];
    ASSAY_TRY(assay_path_join(folder, sizeof folder, s->folder, s->below, s->error));
    if (s->below[0] != '\0')
        ASSAY_TRY(assay_folder_make(folder, s->error));
    return assay_path_join(path, PATH_SIZE, folder, name, s->error);
}

/* ---- Weights --------------------------------------------------------------------- */

/* A matrix of `rows` rows of a layer's weight, which its rank has moved. */
static assay_status plan_merged(saving *s, const assay_trained_linear *linear, const char *name,
                                const char *part, size_t rows, const float *values)
{
    char *kept = assay_arena_take(s->names, strlen(name) + 32);
    if (kept == NULL)
        return assay_fail_memory(s->error, strlen(name) + 32);
    snprintf(kept, strlen(name) + 32, "%s%s.weight", name, part);
    s->plans[s->count++] = (assay_tensor_plan){.name = kept,
                                               .dtype_name = "F32",
                                               .rank = 2,
                                               .shape = {rows, linear->depth},
                                               .bytes = rows * linear->depth * sizeof(float),
                                               .data = (const uint8_t *)values};
    return ASSAY_OK;
}

static assay_status plan_all_merged(saving *s)
{
    const assay_trainable *model = s->model;
    for (size_t i = 0; i < model->linear_count; i++) {
        const assay_trained_linear *linear = model->linears[i];
        const char *name = model->linear_names[i];
        size_t half = linear->columns / 2;
        if (linear->low.rank == 0)
            continue;
        if (model->linear_sources[i]->part_count == 1) {
            ASSAY_TRY(plan_merged(s, linear, name, "", linear->columns, linear->weight));
            continue;
        }
        ASSAY_TRY(plan_merged(s, linear, name, ".key", half, linear->weight));
        ASSAY_TRY(plan_merged(s, linear, name, ".value", half,
                              linear->weight + half * linear->depth));
    }
    return ASSAY_OK;
}

static bool is_low_rank(const char *name)
{
    return strstr(name, ".lora_") != NULL;
}

static bool is_projection(const char *name)
{
    return strncmp(name, "linear.", strlen("linear.")) == 0;
}

/* Folder of the projection's own file, below the model's; "": it is among the others. */
static const char *projection_folder(const assay_trainable *model)
{
    if (model->config.kind != ASSAY_MODEL_LATE)
        return "";
    return model->base_kind == ASSAY_MODEL_LATE ? model->config.late.projection : "1_Dense";
}

static void plan_parameter(saving *s, const assay_parameter *p)
{
    bool matrix = p->rows > 1 || p->decays;
    s->plans[s->count++] =
        (assay_tensor_plan){.name = p->name,
                            .dtype_name = "F32",
                            .rank = matrix ? 2 : 1,
                            .shape = {matrix ? p->rows : p->columns, p->columns},
                            .bytes = p->rows * p->columns * sizeof(float),
                            .data = (const uint8_t *)p->values};
}

/* Under the name that the trained model gives it. */
static void plan_frozen(saving *s, const assay_trained_table *table, char *name, size_t size)
{
    const char *found = strstr(table->frozen.weight->name, "embeddings.");
    if (table->values != NULL)
        return;
    snprintf(name, size, "%s%s", assay_trainable_prefix(s->model),
             found != NULL ? found : table->frozen.weight->name);
    size_t rows = table->frozen.rows, columns = table->frozen.columns;
    s->plans[s->count++] = (assay_tensor_plan){.name = name,
                                               .dtype_name = "F32",
                                               .rank = 2,
                                               .shape = {rows, columns},
                                               .bytes = rows * columns * sizeof(float),
                                               .source = table->frozen.weight};
}

/* The base's own bytes. */
static void plan_pooler(saving *s)
{
    const assay_safetensors *tensors = s->model->tensors;
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(tensors, i);
        if (strncmp(tensor->name, "pooler.dense.", strlen("pooler.dense.")) != 0 ||
            tensor->dtype == ASSAY_DTYPE_I8 || strstr(tensor->name, "_scale") != NULL)
            continue;
        assay_tensor_plan *plan = &s->plans[s->count++];
        *plan = (assay_tensor_plan){.name = tensor->name,
                                    .dtype_name = tensor->dtype_name,
                                    .rank = tensor->rank,
                                    .bytes = tensor->bytes,
                                    .data = tensor->data};
        memcpy(plan->shape, tensor->shape, sizeof plan->shape);
    }
}

static const assay_trained_table *table_of(const assay_trained_encoder *encoder,
                                           const assay_tensor *weight)
{
    const assay_trained_table *tables[] = {&encoder->words, &encoder->positions,
                                           &encoder->types};
    for (size_t i = 0; i < TABLES; i++)
        if (tables[i]->frozen.weight == weight)
            return tables[i];
    return NULL;
}

static assay_status write_frozen(const saving *s, const assay_tensor *weight,
                                 assay_new_file *file)
{
    const assay_table *table = &table_of(&s->model->encoder, weight)->frozen;
    float *row = malloc(table->columns * sizeof *row);
    if (row == NULL)
        return assay_fail_memory(s->error, table->columns * sizeof *row);
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < table->rows && status == ASSAY_OK; i++) {
        assay_table_row(table, i, row);
        status = assay_new_file_write(file, row, table->columns * sizeof *row, s->error);
    }
    free(row);
    return status;
}

static assay_status write_tensors(const saving *s, assay_new_file *file)
{
    ASSAY_TRY(assay_safetensors_begin(s->plans, s->count, "assay " ASSAY_VERSION, file->stream,
                                      s->error));
    for (size_t i = 0; i < s->count; i++) {
        const assay_tensor_plan *plan = &s->plans[i];
        ASSAY_TRY(plan->source != NULL
                      ? write_frozen(s, plan->source, file)
                      : assay_new_file_write(file, plan->data, plan->bytes, s->error));
    }
    return ASSAY_OK;
}

static assay_status write_planned(saving *s, const char *path)
{
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, s->error));
    assay_status status = write_tensors(s, &file);
    s->count = 0;
    if (status != ASSAY_OK) {
        assay_new_file_abort(&file);
        return status;
    }
    return assay_new_file_commit(&file, s->error);
}

static void plan_parameters(saving *s, bool projection)
{
    bool apart = projection_folder(s->model)[0] != '\0';
    for (size_t i = 0; i < s->model->parameter_count; i++) {
        const assay_parameter *p = &s->model->parameters[i];
        if ((apart && is_projection(p->name)) == projection && !is_low_rank(p->name))
            plan_parameter(s, p);
    }
}

static assay_status write_projection(saving *s)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    ASSAY_TRY(assay_path_join(folder, sizeof folder, s->folder, projection_folder(s->model),
                              s->error));
    ASSAY_TRY(assay_folder_make(folder, s->error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "model.safetensors", s->error));
    plan_parameters(s, true);
    return write_planned(s, path);
}

static assay_status write_weights(saving *s)
{
    const assay_trained_encoder *encoder = &s->model->encoder;
    char names[TABLES][300], path[PATH_SIZE];
    plan_parameters(s, false);
    ASSAY_TRY(plan_all_merged(s));
    plan_frozen(s, &encoder->words, names[0], sizeof names[0]);
    plan_frozen(s, &encoder->positions, names[1], sizeof names[1]);
    plan_frozen(s, &encoder->types, names[2], sizeof names[2]);
    if (s->model->config.kind == ASSAY_MODEL_BI_ENCODER)
        plan_pooler(s);
    ASSAY_TRY(target_path(s, "model.safetensors", path));
    ASSAY_TRY(write_planned(s, path));
    return projection_folder(s->model)[0] != '\0' ? write_projection(s) : ASSAY_OK;
}

/* ---- config.json ----------------------------------------------------------------- */

static int set_class(json_t *root, const assay_model_config *config)
{
    bool cross = config->kind == ASSAY_MODEL_CROSS_ENCODER;
    char name[80];
    snprintf(name, sizeof name, "%s%s", config->family->classes,
             cross ? "ForSequenceClassification" : "Model");
    int failed = json_object_set_new(root, "architectures", json_pack("[s]", name));
    if (!cross)
        return failed;
    json_object_del(root, "num_labels");
    failed |= json_object_set_new(root, "id2label", json_pack("{s:s}", "0", "LABEL_0"));
    return failed | json_object_set_new(root, "label2id", json_pack("{s:i}", "LABEL_0", 0));
}

/* The text is to be freed. */
static assay_status config_text(const saving *s, char **text)
{
    static const char *const gone[] = {"quantization_config", "torch_dtype", "_name_or_path"};
    char path[PATH_SIZE];
    json_t *root;
    ASSAY_TRY(assay_path_join(path, sizeof path, s->model->weights, "config.json", s->error));
    ASSAY_TRY(assay_json_read(path, ASSAY_CONFIG_LIMIT, &root, s->error));
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        json_object_del(root, gone[i]);
    int failed = json_object_set_new(root, "dtype", json_string("float32"));
    if (s->model->base_kind != s->model->config.kind)
        failed |= set_class(root, &s->model->config);
    if (s->model->config.split > 0)
        failed |= json_object_set_new(root, "assay_split",
                                      json_integer(s->model->config.split));
    /* 15 digits: a number such as 1e-12 is written as it was. */
    *text = failed ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(root);
    return *text != NULL ? ASSAY_OK : assay_fail_memory(s->error, ASSAY_CONFIG_LIMIT);
}

static assay_status write_text(const saving *s, const char *path, const char *text)
{
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, s->error));
    fprintf(file.stream, "%s\n", text);
    return assay_new_file_commit(&file, s->error);
}

static assay_status write_config(saving *s)
{
    char path[PATH_SIZE], *text;
    ASSAY_TRY(target_path(s, "config.json", path));
    ASSAY_TRY(config_text(s, &text));
    assay_status status = write_text(s, path, text);
    free(text);
    return status;
}

/* Takes the object. */
static assay_status write_json(const saving *s, const char *name, json_t *root)
{
    char path[PATH_SIZE], *text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (text == NULL)
        return assay_fail_memory(s->error, ASSAY_CONFIG_LIMIT);
    assay_status status = assay_path_join(path, sizeof path, s->folder, name, s->error);
    if (status == ASSAY_OK)
        status = write_text(s, path, text);
    free(text);
    return status;
}

static json_t *late_settings(const assay_late_config *late)
{
    json_t *words = json_array();
    for (uint32_t i = 0; i < late->skipped_count; i++)
        json_array_append_new(words, json_string(late->skipped[i]));
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:b, s:b, s:o, s:{s:s, s:s}, s:n, s:s}",
                     "model_type", "ColBERT", "query_prefix", late->query_marker,
                     "document_prefix", late->document_marker, "query_length",
                     (int)late->query_length, "document_length", (int)late->document_length,
                     "do_query_expansion", late->expand, "attend_to_expansion_tokens",
                     late->attend, "skiplist_words", words, "prompts", "query", "", "document",
                     "", "default_prompt_name", "similarity_fn_name", "MaxSim");
}

/* What makes a model for late interaction of a folder with a trunk in it. */
static assay_status write_late(const saving *s)
{
    const assay_model_config *config = &s->model->config;
    ASSAY_TRY(write_json(s, "modules.json",
                         json_pack("[{s:i, s:s, s:s, s:s}, {s:i, s:s, s:s, s:s}]", "idx", 0,
                                   "name", "0", "path", "", "type",
                                   "sentence_transformers.models.Transformer", "idx", 1, "name",
                                   "1", "path", projection_folder(s->model), "type",
                                   "pylate.models.Dense.Dense")));
    ASSAY_TRY(write_json(s, "1_Dense/config.json",
                         json_pack("{s:i, s:i, s:b, s:s, s:b}", "in_features",
                                   (int)config->hidden, "out_features",
                                   (int)config->late.dimensions, "bias", 0,
                                   "activation_function", "torch.nn.modules.linear.Identity",
                                   "use_residual", 0)));
    return write_json(s, "config_sentence_transformers.json", late_settings(&config->late));
}

/* ---- Other files ----------------------------------------------------------------- */

/* What only a bi-encoder has. */
static bool is_sentence_file(const char *name)
{
    static const char *const names[] = {"modules.json", "sentence_bert_config.json",
                                        "config_sentence_transformers.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strchr(name, '/') != NULL; /* its modules' */
}

/* What tells of the base's training, not of this one's. */
static bool is_told(const char *name)
{
    static const char *const names[] = {"README.md", "training.csv", "training.svg",
                                        "pipeline.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_left_out(const saving *s, const char *name)
{
    if (assay_is_weights_file(name) || is_told(name))
        return true;
    return s->model->base_kind != s->model->config.kind && is_sentence_file(name);
}

static assay_status copy_file(void *context, const char *name, assay_error *error)
{
    const saving *s = context;
    bool same = s->model->base_kind == s->model->config.kind;
    char from[PATH_SIZE], to[PATH_SIZE], config[PATH_SIZE];
    ASSAY_TRY(assay_path_join(from, sizeof from, same ? s->model->folder : s->model->weights,
                              name, error));
    ASSAY_TRY(assay_path_join(config, sizeof config, s->model->weights, "config.json", error));
    if (is_left_out(s, name) || strcmp(from, config) == 0)
        return ASSAY_OK;
    ASSAY_TRY(assay_path_join(to, sizeof to, s->folder, name, error));
    char *slash = strrchr(to, '/');
    *slash = '\0';
    ASSAY_TRY(assay_folder_make(to, error));
    *slash = '/';
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(to, &file, error));
    assay_status status = assay_file_copy(from, file.stream, error);
    if (status != ASSAY_OK) {
        assay_new_file_abort(&file);
        return status;
    }
    return assay_new_file_commit(&file, error);
}

/* A folder of the weights below the base's is one here, unless the kind changed. */
static void find_below(saving *s)
{
    const assay_trainable *model = s->model;
    size_t length = strlen(model->folder);
    while (length > 1 && model->folder[length - 1] == '/')
        length--;
    if (model->base_kind == model->config.kind && strlen(model->weights) > length + 1)
        snprintf(s->below, sizeof s->below, "%s",
                 model->weights + length + strspn(model->weights + length, "/"));
}

assay_status assay_trainable_save(assay_trainable *model, const char *folder, assay_error *error)
{
    saving s = {.model = model, .folder = folder, .error = error, .names = assay_arena_new(0)};
    size_t most = model->parameter_count + 2 * model->linear_count + TABLES +
                  assay_safetensors_count(model->tensors);
    s.plans = calloc(most, sizeof *s.plans);
    if (s.plans == NULL || s.names == NULL) {
        assay_arena_free(s.names);
        free(s.plans);
        return assay_fail_memory(error, most * sizeof *s.plans);
    }
    assay_trainable_pack(model);
    find_below(&s);
    bool same = model->base_kind == model->config.kind;
    assay_status status = write_weights(&s);
    if (status == ASSAY_OK)
        status = write_config(&s);
    if (status == ASSAY_OK)
        status = assay_folder_each(same ? model->folder : model->weights, copy_file, &s, error);
    if (status == ASSAY_OK && !same && model->config.kind == ASSAY_MODEL_LATE)
        status = write_late(&s);
    assay_arena_free(s.names);
    free(s.plans);
    return status;
}
