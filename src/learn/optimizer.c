/* SPDX-License-Identifier: Apache-2.0 */
/*
 * optimizer.c: see optimizer.h.
 *
 * With m and v the running means of gradients and of their squares, t the steps,
 *
 *     w -= rate decay w
 *     w -= rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 *
 * Rows of the table of words that never had a gradient have m = v = 0 and are but
 * decayed, which is what the formula gives, at a fraction of the memory's traffic.
 *
 * File of the moments: "assaymom", then little-endian uint32 version 1 and count of
 * parameters, uint64 steps and floats, a digest of names and sizes (16 bytes), all m, all
 * v, with LoRA all values, and the digest of everything before (16 bytes).
 */
#include "learn/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/threads.h"
#include "learn/trainable_parts.h"

enum { PIECE = 1 << 16, VERSION = 1 };
#define MAGIC "assaymom"

/* Some rows of one parameter: an item of work. */
typedef struct piece {
    uint32_t parameter;
    size_t first, count; /* rows; of a vector its one row */
} piece;

struct assay_optimizer {
    assay_trainable *model;
    assay_optimizer_options options;
    float *m, *v;     /* as the parameters' values lie */
    piece *pieces;
    double *squares;  /* [piece_count] sums of the gradients' */
    size_t piece_count;
    uint32_t deepest;
    uint64_t steps;
};

/* ---- Opening --------------------------------------------------------------------- */

static size_t rows_a_piece(const assay_parameter *p)
{
    size_t rows = PIECE / p->columns;
    return rows > 0 ? rows : 1;
}

static size_t pieces_of(const assay_parameter *p)
{
    return (p->rows + rows_a_piece(p) - 1) / rows_a_piece(p);
}

static void list_pieces(assay_optimizer *o)
{
    for (size_t i = 0; i < o->model->parameter_count; i++) {
        const assay_parameter *p = &o->model->parameters[i];
        size_t step = rows_a_piece(p);
        for (size_t row = 0; row < p->rows; row += step)
            o->pieces[o->piece_count++] = (piece){
                (uint32_t)i, row, p->rows - row < step ? p->rows - row : step};
        o->deepest = p->depth > o->deepest ? p->depth : o->deepest;
    }
}

static assay_status set_options(const assay_optimizer_options *options, assay_optimizer *o,
                                assay_error *error)
{
    assay_optimizer_options *own = &o->options;
    *own = *options;
    own->beta1 = options->beta1 != 0 ? options->beta1 : 0.9f;
    own->beta2 = options->beta2 != 0 ? options->beta2 : 0.999f;
    own->epsilon = options->epsilon != 0 ? options->epsilon : 1e-8f;
    own->layer_rate = options->layer_rate != 0 ? options->layer_rate : 1;
    bool betas = own->beta1 > 0 && own->beta1 < 1 && own->beta2 > 0 && own->beta2 < 1;
    if (!betas || !(own->epsilon > 0) || !(own->decay >= 0) || !(own->clip >= 0) ||
        !(own->layer_rate > 0 && own->layer_rate <= 1))
        return assay_fail(error, ASSAY_E_ARGUMENT, "optimizer",
                          "betas %g and %g, epsilon %g, decay %g, layer rate %g, clip %g: "
                          "expected betas and layer rate above 0 and at most 1, none below 0",
                          (double)own->beta1, (double)own->beta2, (double)own->epsilon,
                          (double)own->decay, (double)own->layer_rate, (double)own->clip);
    return ASSAY_OK;
}

static assay_status make(assay_optimizer *o, assay_error *error)
{
    size_t count = 0, floats = o->model->floats + ASSAY_PANEL;
    for (size_t i = 0; i < o->model->parameter_count; i++)
        count += pieces_of(&o->model->parameters[i]);
    o->m = calloc(floats, sizeof *o->m);
    o->v = calloc(floats, sizeof *o->v);
    o->pieces = calloc(count + 1, sizeof *o->pieces);
    o->squares = calloc(count + 1, sizeof *o->squares);
    if (o->m == NULL || o->v == NULL || o->pieces == NULL || o->squares == NULL)
        return assay_fail_memory(error, 2 * floats * sizeof *o->m);
    list_pieces(o);
    return ASSAY_OK;
}

assay_status assay_optimizer_open(assay_trainable *model, const assay_optimizer_options *options,
                                  assay_optimizer **out, assay_error *error)
{
    assay_optimizer *o = calloc(1, sizeof *o);
    if (o == NULL)
        return assay_fail_memory(error, sizeof *o);
    o->model = model;
    assay_status status = set_options(options, o, error);
    if (status == ASSAY_OK)
        status = make(o, error);
    if (status != ASSAY_OK) {
        assay_optimizer_close(o);
        return status;
    }
    *out = o;
    return ASSAY_OK;
}

void assay_optimizer_close(assay_optimizer *o)
{
    if (o == NULL)
        return;
    free(o->m);
    free(o->v);
    free(o->pieces);
    free(o->squares);
    free(o);
}

uint64_t assay_optimizer_steps(const assay_optimizer *o)
{
    return o->steps;
}

/* ---- A step ---------------------------------------------------------------------- */

/* Runs of a piece's rows that are alike: all of them, or rows with the same `bits` of
 * touched. Returns how many from `row` on. */
static size_t run_of(const assay_parameter *p, size_t row, size_t end, uint8_t bits)
{
    size_t at = row + 1;
    if (p->touched == NULL)
        return end - row;
    while (at < end && (p->touched[at] & bits) == (p->touched[row] & bits))
        at++;
    return at - row;
}

static bool is_set(const assay_parameter *p, size_t row, uint8_t bit)
{
    return p->touched == NULL || (p->touched[row] & bit) != 0;
}

static double square_sum(const float *x, size_t n)
{
    enum { LANES = 8 };
    double lanes[LANES] = {0}, sum = 0;
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t i = whole; i < n; i++)
        lanes[i - whole] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

static void square_item(void *context, size_t item, uint32_t worker)
{
    (void)worker;
    assay_optimizer *o = context;
    const piece *at = &o->pieces[item];
    const assay_parameter *p = &o->model->parameters[at->parameter];
    size_t end = at->first + at->count;
    o->squares[item] = 0;
    for (size_t row = at->first, run; row < end; row += run) {
        run = run_of(p, row, end, ASSAY_ROW_TOUCHED);
        if (is_set(p, row, ASSAY_ROW_TOUCHED))
            o->squares[item] += square_sum(p->gradient + row * p->columns, run * p->columns);
    }
}

static double gradient_norm(assay_optimizer *o)
{
    double sum = 0;
    assay_loop(o->piece_count, o->model->options.threads, square_item, o);
    for (size_t i = 0; i < o->piece_count; i++)
        sum += o->squares[i];
    return sqrt(sum);
}

/* What a step multiplies by. */
typedef struct moving {
    assay_optimizer *o;
    float scale;         /* of gradients: the caller's, and clipping */
    double rate;
    double first, second; /* 1 - beta1^t, sqrt(1 - beta2^t) */
} moving;

typedef struct factors {
    float scale, beta1, beta2, step, second, epsilon;
} factors;

static void move_values(float *restrict values, float *restrict gradient, float *restrict m,
                        float *restrict v, size_t n, factors f)
{
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] * f.scale;
        m[i] += (g - m[i]) * (1 - f.beta1);
        v[i] = v[i] * f.beta2 + g * g * (1 - f.beta2);
        values[i] -= f.step * m[i] / (sqrtf(v[i]) / f.second + f.epsilon);
        gradient[i] = 0;
    }
}

static void decay_values(float *values, size_t n, float share)
{
    for (size_t i = 0; i < n; i++)
        values[i] *= share;
}

static void move_item(void *context, size_t item, uint32_t worker)
{
    (void)worker;
    const moving *move = context;
    const assay_optimizer_options *options = &move->o->options;
    const piece *at = &move->o->pieces[item];
    const assay_parameter *p = &move->o->model->parameters[at->parameter];
    double rate = move->rate * pow((double)options->layer_rate, move->o->deepest - p->depth);
    factors f = {move->scale, options->beta1, options->beta2, (float)(rate / move->first),
                 (float)move->second, options->epsilon};
    size_t offset = (size_t)(p->values - move->o->model->values), end = at->first + at->count;
    if (p->decays && options->decay > 0)
        decay_values(p->values + at->first * p->columns, at->count * p->columns,
                     (float)(1 - rate * (double)options->decay));
    for (size_t row = at->first, run; row < end; row += run) {
        size_t place = row * p->columns;
        run = run_of(p, row, end, ASSAY_ROW_MOVED);
        if (is_set(p, row, ASSAY_ROW_MOVED))
            move_values(p->values + place, p->gradient + place, move->o->m + offset + place,
                        move->o->v + offset + place, run * p->columns, f);
        for (size_t i = row; p->touched != NULL && i < row + run; i++)
            p->touched[i] &= (uint8_t)~ASSAY_ROW_TOUCHED;
    }
}

/* torch: the largest norm over (the norm + 1e-6), at most 1. */
static double clip_factor(const assay_optimizer *o, double norm)
{
    double factor = o->options.clip > 0 ? (double)o->options.clip / (norm + 1e-6) : 1;
    return factor < 1 ? factor : 1;
}

assay_status assay_optimizer_step(assay_optimizer *o, float rate, float scale, double *norm,
                                  assay_error *error)
{
    double found = gradient_norm(o) * (double)scale;
    if (norm != NULL)
        *norm = found;
    if (!isfinite(found)) {
        assay_trainable_clear(o->model);
        return assay_fail(error, ASSAY_E_CORRUPT, "gradients", "not finite: the step was not taken");
    }
    o->steps++;
    moving move = {.o = o, .rate = (double)rate};
    move.scale = (float)((double)scale * clip_factor(o, found));
    move.first = 1 - pow((double)o->options.beta1, (double)o->steps);
    move.second = sqrt(1 - pow((double)o->options.beta2, (double)o->steps));
    assay_loop(o->piece_count, o->model->options.threads, move_item, &move);
    assay_trainable_changed(o->model);
    return ASSAY_OK;
}

/* ---- The file -------------------------------------------------------------------- */

typedef struct header {
    char magic[8];
    uint32_t version, parameters;
    uint64_t steps, floats;
    assay_digest shapes;
} header;

static assay_status describe(const assay_optimizer *o, header *out, assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    for (size_t i = 0; i < o->model->parameter_count; i++) {
        const assay_parameter *p = &o->model->parameters[i];
        uint64_t sizes[] = {p->rows, p->columns};
        assay_hasher_add(hasher, p->name, strlen(p->name));
        assay_hasher_add(hasher, sizes, sizeof sizes);
    }
    *out = (header){.magic = MAGIC,
                    .version = VERSION,
                    .parameters = (uint32_t)o->model->parameter_count,
                    .steps = o->steps,
                    .floats = o->model->floats,
                    .shapes = assay_hasher_finish(hasher)};
    return ASSAY_OK;
}

/* What the file holds, one after another. */
enum { SECTIONS = 3 };

static size_t sections_of(const assay_optimizer *o, float *out[SECTIONS])
{
    out[0] = o->m;
    out[1] = o->v;
    out[2] = o->model->values;
    return o->model->options.lora_rank > 0 ? 3 : 2;
}

static assay_status digest_of(const header *head, float *const *sections, size_t count,
                              size_t bytes, assay_digest *out, assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_bytes(hasher, head, sizeof *head);
    for (size_t i = 0; i < count; i++)
        assay_hasher_bytes(hasher, sections[i], bytes);
    *out = assay_hasher_finish(hasher);
    return ASSAY_OK;
}

assay_status assay_optimizer_save(const assay_optimizer *o, const char *path, assay_error *error)
{
    header head;
    assay_digest digest;
    assay_new_file file;
    float *sections[SECTIONS];
    size_t bytes = o->model->floats * sizeof(float), count = sections_of(o, sections);
    ASSAY_TRY(describe(o, &head, error));
    ASSAY_TRY(digest_of(&head, sections, count, bytes, &digest, error));
    ASSAY_TRY(assay_new_file_open(path, &file, error));
    assay_status status = assay_new_file_write(&file, &head, sizeof head, error);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++)
        status = assay_new_file_write(&file, sections[i], bytes, error);
    if (status == ASSAY_OK)
        status = assay_new_file_write(&file, &digest, sizeof digest, error);
    if (status == ASSAY_OK)
        return assay_new_file_commit(&file, error);
    assay_new_file_abort(&file);
    return status;
}

/* Which rows of the table of words have moments. */
static void find_moved(assay_optimizer *o)
{
    for (size_t i = 0; i < o->model->parameter_count; i++) {
        assay_parameter *p = &o->model->parameters[i];
        const float *m = o->m + (p->values - o->model->values);
        const float *v = o->v + (p->values - o->model->values);
        for (size_t row = 0; p->touched != NULL && row < p->rows; row++) {
            bool moved = false;
            for (size_t j = row * p->columns; j < (row + 1) * p->columns && !moved; j++)
                moved = m[j] != 0 || v[j] != 0;
            p->touched[row] |= moved ? ASSAY_ROW_MOVED : 0;
        }
    }
}

static assay_status load(assay_optimizer *o, const assay_mapping *file, const char *path,
                         assay_error *error)
{
    header head, own;
    assay_digest digest;
    float *sections[SECTIONS];
    size_t bytes = o->model->floats * sizeof(float), count = sections_of(o, sections);
    ASSAY_TRY(describe(o, &own, error));
    if (file->size < sizeof head || memcmp(file->data, MAGIC, sizeof own.magic) != 0)
        return assay_fail(error, ASSAY_E_FORMAT, path, "is no file of an optimizer's moments");
    memcpy(&head, file->data, sizeof head);
    own.steps = head.steps;
    if (memcmp(&head, &own, sizeof head) != 0)
        return assay_fail(error, ASSAY_E_FORMAT, path,
                          "moments of another model or another version: %u parameters of "
                          "%llu floats, expected %u of %llu", head.parameters,
                          (unsigned long long)head.floats, own.parameters,
                          (unsigned long long)own.floats);
    if (file->size != sizeof head + count * bytes + sizeof digest)
        return assay_fail(error, ASSAY_E_CORRUPT, path, "%zu bytes, expected %zu", file->size,
                          sizeof head + count * bytes + sizeof digest);
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_bytes(hasher, file->data, sizeof head + count * bytes);
    digest = assay_hasher_finish(hasher);
    if (memcmp(&digest, file->data + sizeof head + count * bytes, sizeof digest) != 0)
        return assay_fail(error, ASSAY_E_CORRUPT, path, "damaged: its checksum is another");
    for (size_t i = 0; i < count; i++)
        memcpy(sections[i], file->data + sizeof head + i * bytes, bytes);
    assay_trainable_changed(o->model);
    o->steps = head.steps;
    find_moved(o);
    return ASSAY_OK;
}

assay_status assay_optimizer_load(assay_optimizer *o, const char *path, assay_error *error)
{
    assay_mapping file;
    ASSAY_TRY(assay_map_open(path, &file, error));
    assay_status status = load(o, &file, path, error);
    assay_map_close(&file);
    return status;
}
