/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weights.c: see weights.h.
 *
 * Int8 follows the compressed-tensors convention "int-quantized": X.weight int8
 * [rows, columns], X.weight_scale [rows, 1], value = int8 * scale. A layer
 * wanted as bytes takes them as they are; one stored as floats is quantised
 * symmetrically, a row at a time, when it is packed.
 *
 * Beside the feed-forward part's second layer X there may be what int8 left of n of its
 * rows, at most ASSAY_PANEL: X.weight_refined int8 [n, columns], X.weight_refined_scale
 * [n, 1], X.weight_refined_rows I32 [n], which rows they are, ascending, and
 * X.weight_refined_bias [n], these rows' biases in the place of those in X.bias, which go
 * with the rows alone. Whoever does not know of them reads the model a little coarser.
 */
#include "model/weights.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/threads.h"

enum {
    CHUNK = 256,          /* elements converted at a time */
    HUGE_PAGE = 2 << 20,
    GROUPS_AN_ITEM = 16,  /* panels that one item of the packing loop makes */
};

/* Elements first .. first+count of a float tensor, whatever its alignment. */
static void convert(const assay_tensor *tensor, size_t first, size_t count, float *out)
{
    const assay_kernels *kernels = assay_kernels_active();
    if (tensor->dtype == ASSAY_DTYPE_F32) {
        memcpy(out, tensor->data + 4 * first, 4 * count);
        return;
    }
    uint16_t aligned[CHUNK];
    for (size_t done = 0; done < count;) {
        size_t part = count - done < CHUNK ? count - done : CHUNK;
        memcpy(aligned, tensor->data + 2 * (first + done), 2 * part);
        if (tensor->dtype == ASSAY_DTYPE_F16)
            kernels->f16_to_f32(aligned, part, out + done);
        else
            kernels->bf16_to_f32(aligned, part, out + done);
        done += part;
    }
}

/* Adds what is left of the row, if it is refined. */
static void add_rest(const assay_refined *refined, size_t row, float *out)
{
    size_t columns = refined->table.columns, at = 0;
    while (at < refined->count && refined->rows[at] != row)
        at++;
    if (at == refined->count)
        return;
    float scale;
    convert(refined->table.scale, at, 1, &scale);
    const int8_t *rest = (const int8_t *)refined->table.weight->data + at * columns;
    for (size_t i = 0; i < columns; i++)
        out[i] += (float)rest[i] * scale;
}

void assay_table_row(const assay_table *table, size_t row, float *out)
{
    if (table->scale == NULL) {
        convert(table->weight, row * table->columns, table->columns, out);
        return;
    }
    float scale;
    convert(table->scale, row, 1, &scale);
    const int8_t *values = (const int8_t *)table->weight->data + row * table->columns;
    assay_kernels_active()->i8_to_f32(values, table->columns, scale, out);
    if (table->refined != NULL)
        add_rest(table->refined, row, out);
}

static assay_status tensor_fail(const assay_tensor *tensor, assay_status code,
                                assay_error *error, const char *found, const char *expected)
{
    char place[300];
    snprintf(place, sizeof place, "tensor %s", tensor->name);
    assay_fail(error, code, place, "%s, expected %s", found, expected);
    assay_error_prefix(error, tensor->file);
    return code;
}

static bool is_float(const assay_tensor *tensor)
{
    return tensor->dtype == ASSAY_DTYPE_F32 || tensor->dtype == ASSAY_DTYPE_F16 ||
           tensor->dtype == ASSAY_DTYPE_BF16;
}

/* Whether none is NaN or infinite: no exponent of all ones. */
static bool all_finite(const float *values, size_t count)
{
    enum { LANES = 16 };
    uint32_t met[LANES] = {0};
    for (size_t i = 0; i < count; i += LANES) {
        uint32_t bits[LANES] = {0};
        memcpy(bits, values + i, (count - i < LANES ? count - i : LANES) * sizeof *bits);
        for (size_t j = 0; j < LANES; j++)
            met[j] |= (bits[j] & 0x7FFFFFFFu) + 0x00800000u;
    }
    for (size_t j = 1; j < LANES; j++)
        met[0] |= met[j];
    return met[0] >> 31 == 0;
}

assay_status assay_tensor_check(const assay_tensor *tensor, assay_error *error)
{
    float values[CHUNK];
    for (size_t first = 0; is_float(tensor) && first < tensor->elements; first += CHUNK) {
        size_t count = tensor->elements - first < CHUNK ? tensor->elements - first : CHUNK;
        convert(tensor, first, count, values);
        if (all_finite(values, count))
            continue;
        size_t at = 0;
        while (isfinite(values[at]))
            at++;
        char found[80];
        snprintf(found, sizeof found, "value %zu is %s", first + at,
                 isnan(values[at]) ? "NaN" : "infinite");
        return tensor_fail(tensor, ASSAY_E_CORRUPT, error, found, "finite values");
    }
    return ASSAY_OK;
}

static assay_status check_shape(const assay_tensor *tensor, const uint64_t *shape, uint32_t rank,
                                assay_error *error)
{
    if (tensor->rank == rank && memcmp(tensor->shape, shape, rank * sizeof *shape) == 0)
        return ASSAY_OK;
    char found[160], expected[160];
    memcpy(found, "shape ", 6);
    assay_shape_text(tensor->shape, tensor->rank, found + 6, sizeof found - 6);
    assay_shape_text(shape, rank, expected, sizeof expected);
    return tensor_fail(tensor, ASSAY_E_FORMAT, error, found, expected);
}

static assay_status find(const assay_safetensors *tensors, const char *name,
                         const assay_tensor **out, assay_error *error)
{
    *out = assay_safetensors_find(tensors, name);
    if (*out != NULL)
        return ASSAY_OK;
    char place[300];
    snprintf(place, sizeof place, "tensor %.280s", name);
    assay_fail(error, ASSAY_E_FORMAT, place, "missing, and the model needs it");
    if (assay_safetensors_count(tensors) > 0)
        assay_error_prefix(error, assay_safetensors_at(tensors, 0)->file);
    return ASSAY_E_FORMAT;
}

static assay_status find_scale(const assay_safetensors *tensors, const char *name,
                               assay_table *table, assay_error *error)
{
    char other[400];
    snprintf(other, sizeof other, "%.380s_zero_point", name);
    if (assay_safetensors_find(tensors, other) != NULL)
        return tensor_fail(assay_safetensors_find(tensors, other), ASSAY_E_UNSUPPORTED, error,
                           "a zero point", "symmetric int8");
    snprintf(other, sizeof other, "%.380s_scale", name);
    ASSAY_TRY(find(tensors, other, &table->scale, error));
    if (!is_float(table->scale))
        return tensor_fail(table->scale, ASSAY_E_UNSUPPORTED, error, table->scale->dtype_name,
                           "F32, F16 or BF16");
    uint64_t shape[2] = {table->rows, 1};
    ASSAY_TRY(check_shape(table->scale, shape, table->scale->rank == 1 ? 1 : 2, error));
    return assay_tensor_check(table->scale, error);
}

assay_status assay_table_find(const assay_safetensors *tensors, const char *name, size_t rows,
                              size_t columns, assay_table *out, assay_error *error)
{
    assay_table table = {.rows = rows, .columns = columns};
    ASSAY_TRY(find(tensors, name, &table.weight, error));
    uint64_t shape[2] = {rows, columns};
    ASSAY_TRY(check_shape(table.weight, shape, 2, error));
    if (table.weight->dtype == ASSAY_DTYPE_I8)
        ASSAY_TRY(find_scale(tensors, name, &table, error));
    else if (!is_float(table.weight))
        return tensor_fail(table.weight, ASSAY_E_UNSUPPORTED, error, table.weight->dtype_name,
                           "F32, F16, BF16 or I8");
    *out = table;
    return ASSAY_OK;
}

/* Which rows are refined. */
static assay_status load_rows(const assay_tensor *tensor, size_t limit, assay_arena *arena,
                              assay_refined *out, assay_error *error)
{
    char found[160], shape[120];
    size_t count = tensor->elements;
    assay_shape_text(tensor->shape, tensor->rank, shape, sizeof shape);
    snprintf(found, sizeof found, "%s of shape %s", tensor->dtype_name, shape);
    if (strcmp(tensor->dtype_name, "I32") != 0 || tensor->rank != 1 || count < 1 ||
        count > ASSAY_PANEL)
        return tensor_fail(tensor, ASSAY_E_FORMAT, error, found, "I32 of shape [1] to [16]");
    uint32_t *rows = assay_arena_take(arena, count * sizeof *rows);
    if (rows == NULL)
        return assay_fail_memory(error, count * sizeof *rows);
    memcpy(rows, tensor->data, count * sizeof *rows);
    for (size_t i = 0; i < count; i++)
        if (rows[i] >= limit || (i > 0 && rows[i] <= rows[i - 1]))
            return tensor_fail(tensor, ASSAY_E_FORMAT, error, "a row that is not there, or not in "
                               "order", "ascending numbers of the weight's rows");
    out->rows = rows;
    out->count = count;
    return ASSAY_OK;
}

static assay_status need_bytes(const assay_table *table, assay_error *error)
{
    if (table->scale != NULL)
        return ASSAY_OK;
    return tensor_fail(table->weight, ASSAY_E_FORMAT, error, table->weight->dtype_name,
                       "I8 where rows are refined");
}

assay_status assay_refined_find(const assay_safetensors *tensors, const char *name,
                                assay_arena *arena, assay_table *table, assay_error *error)
{
    char rest[300], other[320];
    const assay_tensor *numbers;
    snprintf(rest, sizeof rest, "%.270s_refined", name);
    if (assay_safetensors_find(tensors, rest) == NULL)
        return ASSAY_OK;
    assay_refined *refined = assay_arena_take(arena, sizeof *refined);
    if (refined == NULL)
        return assay_fail_memory(error, sizeof *refined);
    snprintf(other, sizeof other, "%s_rows", rest);
    ASSAY_TRY(find(tensors, other, &numbers, error));
    ASSAY_TRY(load_rows(numbers, table->rows, arena, refined, error));
    ASSAY_TRY(assay_table_find(tensors, rest, refined->count, table->columns, &refined->table,
                               error));
    ASSAY_TRY(need_bytes(table, error));
    ASSAY_TRY(need_bytes(&refined->table, error));
    snprintf(other, sizeof other, "%s_bias", rest);
    ASSAY_TRY(assay_vector_load(tensors, other, refined->count, arena, &refined->bias, error));
    table->refined = refined;
    return ASSAY_OK;
}

assay_status assay_vector_load(const assay_safetensors *tensors, const char *name, size_t count,
                               assay_arena *arena, const float **out, assay_error *error)
{
    const assay_tensor *tensor;
    ASSAY_TRY(find(tensors, name, &tensor, error));
    uint64_t shape[1] = {count};
    ASSAY_TRY(check_shape(tensor, shape, 1, error));
    if (!is_float(tensor))
        return tensor_fail(tensor, ASSAY_E_UNSUPPORTED, error, tensor->dtype_name,
                           "F32, F16 or BF16");
    ASSAY_TRY(assay_tensor_check(tensor, error));
    float *values = assay_arena_take(arena, count * sizeof *values);
    if (values == NULL)
        return assay_fail_memory(error, count * sizeof *values);
    convert(tensor, 0, count, values);
    *out = values;
    return ASSAY_OK;
}

/* ---- Packing --------------------------------------------------------------- */

/* Some panels of one layer: an item of the loop. */
typedef struct task {
    const assay_linear *linear;
    size_t first; /* output feature, a multiple of ASSAY_PANEL */
} task;

typedef struct packing {
    const task *tasks;
    float *rows;        /* [workers][ASSAY_PANEL * deepest] */
    int8_t *byte_rows;  /* likewise */
    size_t rows_stride;
    atomic_bool *damaged; /* a value is not finite */
    void (*first)(void *);
    void *context;
} packing;

static const assay_table *part_of(const assay_linear *linear, size_t *row)
{
    size_t part = 0;
    while (*row >= linear->parts[part].rows)
        *row -= linear->parts[part++].rows;
    return &linear->parts[part];
}

void assay_linear_row(const assay_linear *linear, size_t row, float *out)
{
    const assay_table *table = part_of(linear, &row);
    assay_table_row(table, row, out);
}

/* A row as integers of at most 127; returns their scale. -128, which symmetric
 * int8 does not have, goes by way of floats. */
static float linear_row_i8(const assay_linear *linear, size_t row, float *floats, int8_t *out)
{
    size_t depth = linear->depth, at = row;
    const assay_table *table = part_of(linear, &at);
    if (table->scale != NULL) {
        const int8_t *values = (const int8_t *)table->weight->data + at * depth;
        if (memchr(values, -128, depth) == NULL) {
            float scale;
            memcpy(out, values, depth);
            convert(table->scale, at, 1, &scale);
            return scale;
        }
    }
    assay_table whole = *table; /* without rests, which are packed by themselves */
    whole.refined = NULL;
    assay_table_row(&whole, at, floats);
    float largest = 0; /* NaN once one is met: the scale then makes NaN of every result */
    for (size_t i = 0; i < depth; i++)
        largest = isnan(largest) || fabsf(floats[i]) <= largest ? largest : fabsf(floats[i]);
    float scale = largest / ASSAY_I8_LIMIT;
    for (size_t i = 0; i < depth; i++)
        out[i] = scale > 0 && isfinite(scale) ? (int8_t)rintf(floats[i] / scale) : 0;
    return scale;
}

/* Both return whether all values are finite. */
static bool pack_floats(const assay_linear *linear, size_t at, size_t count, float *rows)
{
    for (size_t i = 0; i < count; i++)
        assay_linear_row(linear, at + i, rows + i * linear->depth);
    const assay_kernels *kernels = assay_kernels_active();
    size_t depth = linear->depth;
    if (linear->halves)
        kernels->pack_bf16(rows, depth, count, depth, (uint16_t *)(uintptr_t)linear->panels +
                                                          assay_bf16_panels_size(at, depth));
    else
        kernels->pack_f32(rows, depth, count, depth,
                          (float *)(uintptr_t)linear->panels + at * depth);
    return all_finite(rows, count * linear->depth);
}

static bool pack_bytes(const assay_linear *linear, size_t at, size_t count, float *rows,
                       int8_t *byte_rows)
{
    size_t depth = linear->depth;
    float *scales = (float *)(uintptr_t)linear->scales;
    for (size_t i = 0; i < count; i++)
        scales[at + i] = linear_row_i8(linear, at + i, rows, byte_rows + i * depth);
    assay_kernels_active()->pack_i8(byte_rows, depth, count, linear->inputs,
                                    (int8_t *)(uintptr_t)linear->panels +
                                        assay_i8_panels_size(at, linear->inputs));
    return all_finite(scales + at, count);
}

static void pack_task(void *context, size_t item, uint32_t worker)
{
    const packing *work = context;
    if (item == 0) {
        if (work->first != NULL)
            work->first(work->context);
        return;
    }
    const task *t = &work->tasks[item - 1];
    const assay_linear *linear = t->linear;
    float *rows = work->rows + worker * work->rows_stride;
    size_t end = t->first + (size_t)GROUPS_AN_ITEM * ASSAY_PANEL;
    for (size_t at = t->first; at < end && at < linear->columns; at += ASSAY_PANEL) {
        size_t count = linear->columns - at < ASSAY_PANEL ? linear->columns - at : ASSAY_PANEL;
        int8_t *byte_rows = work->byte_rows + worker * work->rows_stride;
        if (!(linear->bytes ? pack_bytes(linear, at, count, rows, byte_rows)
                            : pack_floats(linear, at, count, rows)))
            atomic_store(work->damaged, true);
    }
}

/* Pages of 2 MiB where the system gives them: fewer faults now, fewer TLB
 * misses in every product. */
static void *panels_new(size_t bytes)
{
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *panels = aligned_alloc(HUGE_PAGE, whole);
    if (panels != NULL)
        madvise(panels, whole, MADV_HUGEPAGE);
    return panels;
}

/* Bytes of a layer's panels, and of its scales; each a multiple of 64. */
static size_t panels_bytes(const assay_linear *linear)
{
    if (linear->bytes)
        return (assay_i8_panels_size(linear->columns, linear->inputs) + 63) / 64 * 64;
    if (linear->halves)
        return assay_bf16_panels_size(linear->columns, linear->depth) * sizeof(uint16_t);
    return assay_panels_size(linear->columns, linear->depth) * sizeof(float);
}

static size_t scales_bytes(const assay_linear *linear)
{
    return linear->bytes ? (linear->columns * sizeof(float) + 63) / 64 * 64 : 0;
}

static size_t tasks_of(const assay_linear *linear)
{
    size_t width = (size_t)GROUPS_AN_ITEM * ASSAY_PANEL;
    return (linear->columns + width - 1) / width;
}

/* Which tensor it was: the first in the order of the layers. */
static assay_status find_damage(assay_linear *const *linears, size_t count, assay_error *error)
{
    const assay_tensor *tensor = NULL;
    for (size_t i = 0; i < count; i++)
        for (size_t part = 0; part < linears[i]->part_count; part++) {
            tensor = linears[i]->parts[part].weight;
            ASSAY_TRY(assay_tensor_check(tensor, error));
        }
    /* Finite in the file, and not when multiplied by its scale. */
    return tensor_fail(tensor, ASSAY_E_CORRUPT, error, "or a layer before it: values beyond float32",
                       "finite values");
}

/* Gives every layer its place in the block and lists the work. */
static void plan(assay_linear *const *linears, size_t count, char *block, task *tasks)
{
    for (size_t i = 0; i < count; i++) {
        linears[i]->panels = block;
        block += panels_bytes(linears[i]);
        linears[i]->scales = linears[i]->bytes ? (const float *)(const void *)block : NULL;
        block += scales_bytes(linears[i]);
        for (size_t j = 0; j < tasks_of(linears[i]); j++)
            *tasks++ = (task){linears[i], j * GROUPS_AN_ITEM * ASSAY_PANEL};
    }
}

assay_status assay_linears_pack(assay_linear *const *linears, size_t count,
                                void (*first)(void *), void *context, void **block,
                                assay_error *error)
{
    size_t bytes = 0, deepest = 0, task_count = 0, workers = assay_cores();
    for (size_t i = 0; i < count; i++) {
        bytes += panels_bytes(linears[i]) + scales_bytes(linears[i]);
        deepest = linears[i]->depth > deepest ? linears[i]->depth : deepest;
        task_count += tasks_of(linears[i]);
    }
    atomic_bool damaged = false;
    packing work = {.rows_stride = deepest * ASSAY_PANEL, .damaged = &damaged, .first = first,
                    .context = context};
    void *panels = panels_new(bytes);
    task *tasks = calloc(task_count + 1, sizeof *tasks);
    work.tasks = tasks;
    work.rows = calloc(workers, work.rows_stride * sizeof(float));
    work.byte_rows = calloc(workers, work.rows_stride);
    assay_status status = ASSAY_OK;
    if (panels == NULL || tasks == NULL || work.rows == NULL || work.byte_rows == NULL) {
        free(panels);
        status = assay_fail_memory(error, bytes);
    } else {
        plan(linears, count, panels, tasks);
        assay_loop(task_count + 1, 0, pack_task, &work);
        *block = panels;
        if (damaged)
            status = find_damage(linears, count, error);
    }
    free(tasks);
    free(work.rows);
    free(work.byte_rows);
    return status;
}
