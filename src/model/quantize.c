/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantize.c: assay_quantize, a model folder written again with int8 weights.
 *
 * Format: compressed-tensors "int-quantized" (see weights.c): symmetric, one
 * scale a row, the scale being the row's largest magnitude / 127. Layers of the
 * trunk become int8 by what texts that are sent through show of their inputs
 * (round_layers.h), which changes their biases too; word embeddings by the nearest.
 * Position and type embeddings, of which every token adds one to its word's, become
 * float16; the head, read once a text, and norms stay as they are. What no embedding and
 * no logit depends on (stored position numbers, the pooler and the language-model head of
 * a bi-encoder) is left out. What int8 leaves of a few rows is written beside them
 * (X.weight_refined, weights.c), and so is which inputs of a layer get more than a byte at
 * int8 (calibration.h), which is found in the source. "ignore" in config.json tells other
 * readers which modules are not int8, by patterns: a module's name differs with the class
 * that loads it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/half.h"
#include "base/json.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/round_layers.h"
#include "model/rounding.h"
#include "model/safetensors_writer.h"

enum {
    PATH_SIZE = 4096,
    CHUNK_BYTES = 1 << 20, /* between two looks at the progress callback */
    SCALE_SUFFIX = 8,      /* "_scale" and a NUL */
    REFINED_TENSORS = 4,   /* of a layer: integers, scales, rows, bias */
};

typedef struct job {
    assay_model_config config;
    assay_safetensors *tensors;
    assay_tensor_plan *plans; /* for an int8 matrix also its scales, and rests */
    size_t plan_count;
    char *names;              /* of the scales */
    assay_model *model;       /* the source */
    assay_arena *arena;       /* what rounding made; names and values of what is new */
    float *row;               /* [widest matrix] */
    int8_t *bytes;
    uint16_t *halves;
    assay_new_folder target;
    assay_progress progress;
    assay_progress_fn report_progress;
    void *user;
    assay_quantize_report *report;
    const char *source;
    char provenance[512];
    char weights_below[PATH_SIZE]; /* folder of the weights, below source; "" */
    assay_error *error;
} job;

/* ---- What becomes of a tensor -------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), size = strlen(end);
    return length >= size && strcmp(name + length - size, end) == 0;
}

static bool is_dropped(const job *j, const char *name)
{
    static const char *const heads[] = {"cls.", "lm_head.", "pooler.", "bert.pooler.",
                                        "roberta.pooler."};
    if (ends_with(name, "position_ids"))
        return true;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (j->config.kind == ASSAY_MODEL_BI_ENCODER &&
            strncmp(name, heads[i], strlen(heads[i])) == 0)
            return true;
    return false;
}

static bool is_float(const assay_tensor *tensor)
{
    return tensor->dtype == ASSAY_DTYPE_F32 || tensor->dtype == ASSAY_DTYPE_F16 ||
           tensor->dtype == ASSAY_DTYPE_BF16;
}

static assay_tensor_kind kind_of(const assay_tensor *tensor)
{
    if (tensor->rank != 2 || tensor->elements == 0 || !is_float(tensor) ||
        !ends_with(tensor->name, ".weight"))
        return ASSAY_TENSOR_KEPT;
    if (strstr(tensor->name, "encoder.layer.") != NULL)
        return ASSAY_TENSOR_LINEAR;
    if (ends_with(tensor->name, "word_embeddings.weight"))
        return ASSAY_TENSOR_EMBEDDING;
    return strstr(tensor->name, "embeddings.") != NULL ? ASSAY_TENSOR_POSITION
                                                       : ASSAY_TENSOR_KEPT;
}

static bool is_int8(assay_tensor_kind kind)
{
    return kind == ASSAY_TENSOR_LINEAR || kind == ASSAY_TENSOR_EMBEDDING;
}

/* ---- Values --------------------------------------------------------------------- */

static void read_row(const assay_tensor *tensor, uint64_t row, float *out)
{
    const assay_table table = {.weight = tensor, .rows = tensor->shape[0],
                               .columns = tensor->shape[1]};
    assay_table_row(&table, row, out);
}

static float largest_of(const float *values, size_t count)
{
    float largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fabsf(values[i]) > largest ? fabsf(values[i]) : largest;
    return largest;
}

static bool fits_half(job *j, const assay_tensor *tensor)
{
    float largest = 0;
    for (uint64_t row = 0; row < tensor->shape[0] && largest <= ASSAY_HALF_LIMIT; row++) {
        read_row(tensor, row, j->row);
        largest = largest_of(j->row, tensor->shape[1]);
    }
    return largest <= ASSAY_HALF_LIMIT;
}

/* Opens the source: every tensor is there, in the right shape. */
static assay_status open_source(job *j)
{
    return assay_model_open(j->source,
                            &(assay_model_options){.precision = ASSAY_PRECISION_FP32}, &j->model,
                            j->error);
}

/* ---- The plan: names, types and sizes ------------------------------------------- */

static void count_in(job *j, assay_tensor_kind kind, const assay_tensor *tensor,
                     uint64_t bytes)
{
    assay_quantized *sum = &j->report->kinds[kind];
    sum->tensors++;
    sum->bytes_before += tensor->bytes;
    sum->bytes_after += bytes;
}

static assay_status refuse(const job *j, const assay_tensor *tensor, const char *message)
{
    char place[300];
    snprintf(place, sizeof place, "tensor %.280s", tensor->name);
    assay_fail(j->error, ASSAY_E_UNSUPPORTED, place, "%s", message);
    assay_error_prefix(j->error, tensor->file);
    return ASSAY_E_UNSUPPORTED;
}

static void plan_int8(job *j, const assay_tensor *tensor, char *name)
{
    snprintf(name, strlen(tensor->name) + SCALE_SUFFIX, "%s_scale", tensor->name);
    j->plans[j->plan_count++] = (assay_tensor_plan){
        .name = tensor->name, .dtype_name = "I8", .rank = 2,
        .shape = {tensor->shape[0], tensor->shape[1]}, .bytes = tensor->elements,
        .source = tensor};
    j->plans[j->plan_count++] = (assay_tensor_plan){
        .name = name, .dtype_name = "F32", .rank = 2, .shape = {tensor->shape[0], 1},
        .bytes = 4 * tensor->shape[0], .source = tensor};
}

static void plan_other(job *j, const assay_tensor *tensor, bool half)
{
    assay_tensor_plan plan = {.name = tensor->name,
                              .dtype_name = half ? "F16" : tensor->dtype_name,
                              .rank = tensor->rank,
                              .bytes = half ? 2 * tensor->elements : tensor->bytes,
                              .source = tensor};
    memcpy(plan.shape, tensor->shape, sizeof plan.shape);
    j->plans[j->plan_count++] = plan;
}

static assay_status plan_tensor(job *j, const assay_tensor *tensor, char *name)
{
    assay_tensor_kind kind = kind_of(tensor);
    ASSAY_TRY(assay_tensor_check(tensor, j->error));
    if (is_int8(kind)) {
        plan_int8(j, tensor, name);
        count_in(j, kind, tensor, tensor->elements + 4 * tensor->shape[0]);
        return ASSAY_OK;
    }
    bool half = kind == ASSAY_TENSOR_POSITION && tensor->dtype == ASSAY_DTYPE_F32 &&
                fits_half(j, tensor);
    plan_other(j, tensor, half);
    count_in(j, kind, tensor, j->plans[j->plan_count - 1].bytes);
    return ASSAY_OK;
}

/* Memory for the plan of all tensors and for one row of the widest. */
static assay_status make_room(job *j)
{
    size_t count = assay_safetensors_count(j->tensors), names = 0, widest = 1;
    for (size_t i = 0; i < count; i++) {
        const assay_tensor *tensor = assay_safetensors_at(j->tensors, i);
        names += strlen(tensor->name) + SCALE_SUFFIX;
        if (tensor->rank == 2 && tensor->elements > 0 && tensor->shape[1] > widest)
            widest = tensor->shape[1];
    }
    count = 2 * count + (size_t)j->config.layers * (ASSAY_LAYER_SITES + REFINED_TENSORS);
    j->plans = calloc(count, sizeof *j->plans);
    j->names = calloc(names + 1, 1);
    j->arena = assay_arena_new(0);
    j->row = calloc(widest, sizeof *j->row);
    j->bytes = calloc(widest, sizeof *j->bytes);
    j->halves = calloc(widest, sizeof *j->halves);
    if (!j->plans || !j->names || !j->arena || !j->row || !j->bytes || !j->halves)
        return assay_fail_memory(j->error, count * sizeof *j->plans + names + 7 * widest);
    return ASSAY_OK;
}

/* Adds a tensor that the source has not, called `name` and `end`. */
static assay_status plan_more(job *j, const char *name, const char *end,
                              assay_tensor_plan plan)
{
    size_t size = strlen(name) + strlen(end) + 1;
    char *whole = assay_arena_take(j->arena, size);
    if (whole == NULL)
        return assay_fail_memory(j->error, size);
    snprintf(whole, size, "%s%s", name, end);
    plan.name = whole;
    j->plans[j->plan_count++] = plan;
    j->report->kinds[ASSAY_TENSOR_LINEAR].bytes_after += plan.bytes;
    return ASSAY_OK;
}

/* How many bytes a site's inputs get. */
static assay_status plan_input_bytes(job *j, const assay_site *site)
{
    const assay_i8_inputs *inputs = site->layers[0]->inputs;
    char name[300];
    if (!assay_site_name(site, name, sizeof name))
        return refuse(j, site->layers[0]->parts[0].weight, "its name is too long");
    uint8_t *bytes = assay_arena_take(j->arena, inputs->depth);
    if (bytes == NULL)
        return assay_fail_memory(j->error, inputs->depth);
    for (size_t i = 0; i < inputs->depth; i++)
        bytes[i] = (uint8_t)inputs->bytes[i];
    return plan_more(j, name, "",
                     (assay_tensor_plan){.dtype_name = "U8", .rank = 1, .shape = {inputs->depth},
                                         .bytes = inputs->depth, .data = bytes});
}

static assay_status plan_calibration(job *j)
{
    assay_site sites[ASSAY_LAYER_SITES];
    for (uint32_t i = 0; i < j->config.layers; i++) {
        assay_layer_sites(&j->model->encoder.layers[i], sites);
        for (size_t s = 0; s < ASSAY_LAYER_SITES; s++)
            ASSAY_TRY(plan_input_bytes(j, &sites[s]));
    }
    return ASSAY_OK;
}

static assay_status plan_all(job *j)
{
    ASSAY_TRY(make_room(j));
    char *name = j->names;
    for (size_t i = 0; i < assay_safetensors_count(j->tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(j->tensors, i);
        j->report->bytes_before += tensor->bytes;
        if (tensor->dtype == ASSAY_DTYPE_I8)
            return refuse(j, tensor, "int8 already, expected F32, F16 or BF16");
        if (is_dropped(j, tensor->name)) {
            j->report->dropped++;
            continue;
        }
        ASSAY_TRY(plan_tensor(j, tensor, name));
        name += strlen(tensor->name) + SCALE_SUFFIX;
    }
    if (j->report->kinds[ASSAY_TENSOR_LINEAR].tensors == 0)
        return assay_fail(j->error, ASSAY_E_FORMAT, j->config.weights, "no layers to quantise");
    return ASSAY_OK;
}

/* ---- Rounding --------------------------------------------------------------------- */

static assay_status advance(job *j, uint64_t bytes)
{
    j->progress.done += bytes;
    return j->report_progress == NULL || j->report_progress(&j->progress, j->user)
               ? ASSAY_OK
               : assay_fail(j->error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
}

static assay_status tick(void *context)
{
    return advance(context, 0);
}

/* Sums of squares, of which the tensor's error is made. */
typedef struct squares {
    double value, difference;
} squares;

static void note_error(job *j, const assay_tensor *tensor, const squares *sums)
{
    assay_quantized *kind = &j->report->kinds[kind_of(tensor)];
    double error = sums->value > 0 ? sqrt(sums->difference / sums->value) : 0;
    if (error >= kind->error && error > 0) {
        kind->error = error;
        snprintf(kind->worst, sizeof kind->worst, "%.*s", (int)sizeof kind->worst - 1,
                 tensor->name);
    }
}

static void add_squares(squares *sums, const float *row, const int8_t *integers, size_t count,
                        float scale)
{
    for (size_t i = 0; i < count; i++) {
        double value = (double)row[i], difference = value - (double)(integers[i] * scale);
        sums->value += value * value;
        sums->difference += difference * difference;
    }
}

/* The plan of the tensor that is called X.weight but for its end, `end`. */
static assay_tensor_plan *plan_beside(job *j, const char *weight, const char *end)
{
    size_t stem = strlen(weight) - strlen(".weight");
    for (size_t i = 0; i < j->plan_count; i++)
        if (strncmp(j->plans[i].name, weight, stem) == 0 &&
            strcmp(j->plans[i].name + stem, end) == 0)
            return &j->plans[i];
    return NULL;
}

static void plan_bias(job *j, assay_tensor_plan *plan, const float *bias)
{
    uint64_t bytes = sizeof *bias * plan->shape[0];
    j->report->kinds[ASSAY_TENSOR_KEPT].bytes_after += bytes - plan->bytes;
    plan->dtype_name = "F32";
    plan->bytes = bytes;
    plan->data = (const uint8_t *)bias;
}

static assay_status plan_refined(job *j, const assay_rounded *rounded)
{
    const char *name = rounded->weight->name;
    uint64_t rows = rounded->refined, columns = rounded->weight->shape[1];
    if (rows == 0)
        return ASSAY_OK;
    ASSAY_TRY(plan_more(j, name, "_refined",
                        (assay_tensor_plan){.dtype_name = "I8", .rank = 2, .shape = {rows, columns},
                                            .bytes = rows * columns,
                                            .data = (const uint8_t *)rounded->refined_integers}));
    ASSAY_TRY(plan_more(j, name, "_refined_scale",
                        (assay_tensor_plan){.dtype_name = "F32", .rank = 2, .shape = {rows, 1},
                                            .bytes = rows * sizeof(float),
                                            .data = (const uint8_t *)rounded->refined_scales}));
    ASSAY_TRY(plan_more(j, name, "_refined_rows",
                        (assay_tensor_plan){.dtype_name = "I32", .rank = 1, .shape = {rows},
                                            .bytes = rows * sizeof(uint32_t),
                                            .data = (const uint8_t *)rounded->refined_rows}));
    return plan_more(j, name, "_refined_bias",
                     (assay_tensor_plan){.dtype_name = "F32", .rank = 1, .shape = {rows},
                                         .bytes = rows * sizeof(float),
                                         .data = (const uint8_t *)rounded->refined_bias});
}

/* From a row's weights, which the integers and the rest make up for together. */
static void subtract_rest(const assay_rounded *rounded, uint64_t rest, size_t columns, float *row)
{
    const int8_t *integers = rounded->refined_integers + rest * columns;
    for (size_t i = 0; i < columns; i++)
        row[i] -= (float)integers[i] * rounded->refined_scales[rest];
}

/* The model opened, so these tensors are there; weights that are no matrices of
 * theirs in the plan are rounded when they are written. */
static assay_status plan_rounded(job *j, const assay_rounded *rounded)
{
    const char *name = rounded->weight->name;
    assay_tensor_plan *weight = plan_beside(j, name, ".weight");
    assay_tensor_plan *scale = plan_beside(j, name, ".weight_scale");
    assay_tensor_plan *bias = plan_beside(j, name, ".bias");
    if (weight == NULL || scale == NULL || bias == NULL)
        return ASSAY_OK;
    size_t columns = weight->shape[1];
    squares sums = {0};
    for (uint64_t row = 0, rest = 0; row < weight->shape[0]; row++) {
        read_row(weight->source, row, j->row);
        if (rest < rounded->refined && rounded->refined_rows[rest] == row)
            subtract_rest(rounded, rest++, columns, j->row);
        add_squares(&sums, j->row, rounded->integers + row * columns, columns,
                    rounded->scales[row]);
    }
    note_error(j, weight->source, &sums);
    weight->data = (const uint8_t *)rounded->integers;
    scale->data = (const uint8_t *)rounded->scales;
    plan_bias(j, bias, rounded->bias);
    return plan_refined(j, rounded);
}

static assay_status round_layers(job *j)
{
    assay_rounded *rounded;
    size_t count;
    ASSAY_TRY(assay_round_layers(&j->model->encoder, assay_model_tokenizer(j->model), j->arena,
                                 tick, j, &rounded, &count, j->error));
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(plan_rounded(j, &rounded[i]));
    return plan_calibration(j);
}

/* ---- Writing -------------------------------------------------------------------- */

static void put_scale(job *j, const assay_tensor *tensor, uint64_t row, FILE *stream)
{
    read_row(tensor, row, j->row);
    float scale = assay_row_scale(j->row, tensor->shape[1]);
    fwrite(&scale, sizeof scale, 1, stream);
}

static void put_bytes(job *j, const assay_tensor *tensor, uint64_t row, squares *sums,
                      FILE *stream)
{
    size_t count = tensor->shape[1];
    read_row(tensor, row, j->row);
    float scale = assay_row_scale(j->row, count);
    for (size_t i = 0; i < count; i++)
        j->bytes[i] = (int8_t)rintf(j->row[i] / scale);
    add_squares(sums, j->row, j->bytes, count, scale);
    fwrite(j->bytes, 1, count, stream);
}

static void put_halves(job *j, const assay_tensor *tensor, uint64_t row, squares *sums,
                       FILE *stream)
{
    size_t count = tensor->shape[1];
    read_row(tensor, row, j->row);
    for (size_t i = 0; i < count; i++) {
        float back;
        j->halves[i] = assay_half_of(j->row[i]);
        assay_kernels_active()->f16_to_f32(&j->halves[i], 1, &back);
        double value = (double)j->row[i], difference = value - (double)back;
        sums->value += value * value;
        sums->difference += difference * difference;
    }
    fwrite(j->halves, sizeof *j->halves, count, stream);
}

static assay_status put_rows(job *j, const assay_tensor_plan *plan, FILE *stream)
{
    const assay_tensor *tensor = plan->source;
    bool scales = plan->name != tensor->name, halves = plan->dtype_name[0] == 'F';
    uint64_t row_bytes = scales ? 0 : tensor->bytes / tensor->shape[0];
    uint64_t pending = 0;
    squares sums = {0};
    for (uint64_t row = 0; row < tensor->shape[0] && !ferror(stream); row++) {
        if (scales)
            put_scale(j, tensor, row, stream);
        else
            (halves ? put_halves : put_bytes)(j, tensor, row, &sums, stream);
        pending += row_bytes;
        if (pending >= CHUNK_BYTES || row + 1 == tensor->shape[0]) {
            ASSAY_TRY(advance(j, pending));
            pending = 0;
        }
    }
    if (!scales)
        note_error(j, tensor, &sums);
    return ASSAY_OK;
}

static assay_status put_unchanged(job *j, const assay_tensor *tensor, FILE *stream)
{
    for (uint64_t done = 0; done < tensor->bytes && !ferror(stream);) {
        uint64_t part = tensor->bytes - done < CHUNK_BYTES ? tensor->bytes - done : CHUNK_BYTES;
        fwrite(tensor->data + done, 1, part, stream);
        done += part;
        ASSAY_TRY(advance(j, part));
    }
    return ASSAY_OK;
}

static assay_status put_tensors(job *j, FILE *stream)
{
    ASSAY_TRY(assay_safetensors_begin(j->plans, j->plan_count, j->provenance, stream, j->error));
    for (size_t i = 0; i < j->plan_count; i++) {
        const assay_tensor_plan *plan = &j->plans[i];
        j->report->bytes_after += plan->bytes;
        if (plan->data != NULL) {
            fwrite(plan->data, 1, plan->bytes, stream);
            bool scale = plan->source == NULL || plan->name != plan->source->name;
            ASSAY_TRY(advance(j, scale ? 0 : plan->source->bytes));
            continue;
        }
        bool same = plan->name == plan->source->name &&
                    strcmp(plan->dtype_name, plan->source->dtype_name) == 0;
        j->progress.item = plan->source->name;
        ASSAY_TRY(same ? put_unchanged(j, plan->source, stream) : put_rows(j, plan, stream));
    }
    return ASSAY_OK;
}

/* The path of a file of the new folder, whose own folder is made. */
static assay_status target_path(const job *j, const char *name, char path[PATH_SIZE])
{
    ASSAY_TRY(assay_path_join(path, PATH_SIZE, j->target.temporary, name, j->error));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assay_status status = assay_folder_make(path, j->error);
    *slash = '/';
    return status;
}

/* "name" where the weights are: below the source as below the target. */
static assay_status weights_path(const job *j, const char *name, char path[PATH_SIZE])
{
    char below[PATH_SIZE];
    if (j->weights_below[0] == '\0')
        return target_path(j, name, path);
    ASSAY_TRY(assay_path_join(below, sizeof below, j->weights_below, name, j->error));
    return target_path(j, below, path);
}

static assay_status write_weights(job *j)
{
    char path[PATH_SIZE];
    assay_new_file file;
    ASSAY_TRY(weights_path(j, "model.safetensors", path));
    ASSAY_TRY(assay_new_file_open(path, &file, j->error));
    assay_status status = put_tensors(j, file.stream);
    if (status == ASSAY_OK)
        return assay_new_file_commit(&file, j->error);
    assay_new_file_abort(&file);
    return status;
}

static assay_status write_text(const job *j, const char *path, const char *text, size_t length)
{
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, j->error));
    fwrite(text, 1, length, file.stream);
    return assay_new_file_commit(&file, j->error);
}

/* ---- config.json, the card, all other files ------------------------------------- */

static json_t *quantization_config(void)
{
    return json_pack("{s:s, s:s, s:s, s:[s, s, s, s],"
                     " s:{s:{s:[s, s], s:s, s:n, s:n, s:{s:i, s:s, s:b, s:s, s:b}}}}",
                     "quant_method", "compressed-tensors", "format", "int-quantized",
                     "quantization_status", "compressed", "ignore", "re:.*position_embeddings$",
                     "re:.*token_type_embeddings$", "re:.*pooler.*", "re:.*classifier.*",
                     "config_groups", "group_0", "targets", "Linear", "Embedding", "format",
                     "int-quantized", "input_activations", "output_activations", "weights",
                     "num_bits", 8, "type", "int", "symmetric", 1, "strategy", "channel",
                     "dynamic", 0);
}

static assay_status write_config(job *j)
{
    char path[PATH_SIZE];
    json_t *root;
    ASSAY_TRY(assay_path_join(path, sizeof path, j->config.weights, "config.json", j->error));
    ASSAY_TRY(assay_json_read(path, ASSAY_CONFIG_LIMIT, &root, j->error));
    int failed = json_object_set_new(root, "quantization_config", quantization_config());
    /* 15 digits: a number such as 1e-12 is written as it was. */
    char *text = failed ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(root);
    if (text == NULL)
        return assay_fail_memory(j->error, ASSAY_CONFIG_LIMIT);
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of the NUL */
    assay_status status = weights_path(j, "config.json", path);
    if (status == ASSAY_OK)
        status = write_text(j, path, text, length + 1);
    free(text);
    return status;
}

/* The model's card: what it was, and a paragraph on what was done to it. */
static void add_provenance(const job *j, const char *name, FILE *stream)
{
    if (strcmp(name, "README.md") == 0)
        fprintf(stream,
                "\n\n## Quantisation\n\n%s: layers and word embeddings int8, symmetric, one "
                "scale a row (compressed-tensors \"int-quantized\"); layers rounded so that their "
                "outputs stay near, and their biases with them; what that leaves of a few rows "
                "beside them (\"refined\"); position and type embeddings "
                "float16; head and norms as they were.\n", j->provenance);
}

/* Of late interaction, what lies in a folder of its own: small, and kept as it is. */
static bool is_projection(const job *j, const char *name)
{
    size_t length = strlen(j->config.late.projection);
    return length > 0 && strncmp(name, j->config.late.projection, length) == 0 &&
           name[length] == '/';
}

static assay_status copy_file(void *context, const char *name, assay_error *error)
{
    job *j = context;
    char from[PATH_SIZE], to[PATH_SIZE], config[PATH_SIZE];
    ASSAY_TRY(assay_path_join(from, sizeof from, j->source, name, error));
    ASSAY_TRY(assay_path_join(config, sizeof config, j->config.weights, "config.json", error));
    if ((assay_is_weights_file(name) && !is_projection(j, name)) || strcmp(from, config) == 0)
        return ASSAY_OK;
    j->progress.item = name;
    ASSAY_TRY(advance(j, 0));
    ASSAY_TRY(target_path(j, name, to));
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(to, &file, error));
    assay_status status = assay_file_copy(from, file.stream, error);
    if (status != ASSAY_OK) {
        assay_new_file_abort(&file);
        return status;
    }
    add_provenance(j, name, file.stream);
    j->report->files++;
    return assay_new_file_commit(&file, error);
}

static assay_status write_card(job *j)
{
    char path[PATH_SIZE];
    ASSAY_TRY(target_path(j, "README.md", path));
    if (assay_is_file(path))
        return ASSAY_OK; /* copied, with its paragraph */
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, j->error));
    fprintf(file.stream, "# %s, int8", assay_path_name(j->target.path));
    add_provenance(j, "README.md", file.stream);
    return assay_new_file_commit(&file, j->error);
}

/* ---- All of it -------------------------------------------------------------------- */

/* What was written opens: every tensor is there, in the right shape. */
static assay_status prove(job *j)
{
    assay_model *model;
    ASSAY_TRY(assay_model_open(j->target.temporary,
                               &(assay_model_options){.precision = ASSAY_PRECISION_INT8}, &model,
                               j->error));
    assay_model_info info;
    assay_model_describe(model, &info);
    snprintf(j->report->notice, sizeof j->report->notice, "%s", info.notice);
    assay_model_close(model);
    return ASSAY_OK;
}

static assay_status fill(job *j)
{
    ASSAY_TRY(write_weights(j));
    ASSAY_TRY(write_config(j));
    ASSAY_TRY(assay_folder_each(j->source, copy_file, j, j->error));
    ASSAY_TRY(write_card(j));
    return prove(j);
}

/* Users know the folder by the name it was to have. */
static void rename_in_error(const assay_new_folder *folder, assay_error *error)
{
    size_t length = strlen(folder->temporary);
    if (error == NULL || strncmp(error->where, folder->temporary, length) != 0)
        return;
    char where[sizeof error->where];
    snprintf(where, sizeof where, "%.*s%s", (int)(sizeof where / 2), folder->path,
             error->where + length);
    memcpy(error->where, where, sizeof where);
}

static assay_status write_folder(job *j, const char *target, bool replace)
{
    ASSAY_TRY(assay_new_folder_open(target, replace, &j->target, j->error));
    assay_status status = fill(j);
    if (status == ASSAY_OK)
        return assay_new_folder_commit(&j->target, j->error);
    rename_in_error(&j->target, j->error);
    assay_new_folder_abort(&j->target);
    return status;
}

/* A folder goes only when it is a model, or nothing at all. */
static assay_status check_target(const char *source, const char *target, bool replace,
                                 assay_error *error)
{
    char config[PATH_SIZE];
    ASSAY_TRY(assay_path_join(config, sizeof config, target, "config.json", error));
    if (assay_folders_overlap(source, target))
        return assay_fail(error, ASSAY_E_ARGUMENT, target,
                          "source and target are one folder, or one is inside the other");
    if (!assay_is_folder(target))
        return ASSAY_OK;
    if (!replace)
        return assay_fail(error, ASSAY_E_ARGUMENT, target,
                          "is there already, and was not to be replaced (--force)");
    if (!assay_is_file(config))
        return assay_fail(error, ASSAY_E_ARGUMENT, target,
                          "is not a model folder (no config.json), and not replaced");
    return ASSAY_OK;
}

static void say_where_from(job *j)
{
    char folder[sizeof j->config.weights];
    snprintf(folder, sizeof folder, "%.*s", (int)sizeof folder - 1, j->source);
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        folder[--length] = '\0';
    const char *name = j->config.name[0] != '\0' ? j->config.name : assay_path_name(folder);
    snprintf(j->provenance, sizeof j->provenance, "Quantised by assay %s from %s",
             assay_version(), name);
    const char *below = j->config.weights + strlen(j->source);
    if (strlen(j->config.weights) > strlen(j->source))
        snprintf(j->weights_below, sizeof j->weights_below, "%s", below + strspn(below, "/"));
}

static assay_status run(job *j, const char *target, const assay_quantize_options *options)
{
    bool replace = options != NULL && options->replace;
    ASSAY_TRY(check_target(j->source, target, replace, j->error));
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(j->error, 1024);
    assay_status status = assay_model_config_read(j->source, hasher, &j->config, j->error);
    assay_hasher_finish(hasher);
    if (status != ASSAY_OK)
        return status;
    say_where_from(j);
    ASSAY_TRY(assay_safetensors_open(j->config.weights, &j->tensors, j->error));
    ASSAY_TRY(open_source(j));
    ASSAY_TRY(plan_all(j));
    j->progress.total = j->report->bytes_before;
    ASSAY_TRY(round_layers(j));
    return write_folder(j, target, replace);
}

assay_status assay_quantize(const char *source, const char *target,
                            const assay_quantize_options *options, assay_progress_fn progress,
                            void *user, assay_quantize_report *report, assay_error *error)
{
    if (source == NULL || target == NULL || report == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "quantize",
                          "expected a source, a target and a place for the report");
    char path[sizeof((assay_model_info *)0)->path];
    ASSAY_TRY(assay_model_find(source, path, sizeof path, error));
    assay_quantize_report made = {0};
    double start = assay_seconds();
    job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return assay_fail_memory(error, sizeof *j);
    j->progress.phase = ASSAY_PHASE_QUANTIZE;
    j->report_progress = progress;
    j->user = user;
    j->report = &made;
    j->source = path;
    j->error = error;
    assay_status status = run(j, target, options);
    assay_safetensors_close(j->tensors);
    assay_model_close(j->model);
    assay_arena_free(j->arena);
    free(j->plans);
    free(j->names);
    free(j->row);
    free(j->bytes);
    free(j->halves);
    free(j);
    made.seconds = assay_seconds() - start;
    if (status == ASSAY_OK)
        *report = made;
    return status;
}
