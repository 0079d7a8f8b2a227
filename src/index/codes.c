/* SPDX-License-Identifier: Apache-2.0 */
/* codes.c: see codes.h. */
#include "index/codes.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "index/rotation.h"
#include "kernels/kernels.h"

enum {
    HALF_STEP = 16, /* of dots_at_f16 */
    COLUMNS = 64,   /* whose means are taken at a time */
};

static const char *const names[] = {
    [ASSAY_CODE_F32] = "f32",
    [ASSAY_CODE_F16] = "f16",
    [ASSAY_CODE_I8] = "i8",
    [ASSAY_CODE_B1] = "b1",
};

const char *assay_code_name(assay_code_kind kind)
{
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

bool assay_code_named(const char *name, assay_code_kind *out)
{
    for (assay_code_kind kind = ASSAY_CODE_F32; kind <= ASSAY_CODE_B1; kind++)
        if (strcmp(name, names[kind]) == 0) {
            *out = kind;
            return true;
        }
    return false;
}

/* What stands behind the bits of a code. */
typedef struct bits_tail {
    float scale; /* of the sum of the query's coordinates with the code's signs */
    float add;   /* the centre's inner product with what is left without it */
    float reach; /* standard deviation of the estimate, for a query of length 1 */
} bits_tail;

#define CACHE_LINE 64
#define SURE 1.9f /* standard deviations within which an estimate is taken to be: as in the paper */

/* Elements of a code, filler included. */
static size_t width_of(assay_code_kind kind, size_t dimensions)
{
    size_t step = kind == ASSAY_CODE_F16 ? HALF_STEP : kind == ASSAY_CODE_F32 ? 1 : ASSAY_I8_STEP;
    return (dimensions + step - 1) / step * step;
}

size_t assay_code_bytes(assay_code_kind kind, uint32_t dimensions)
{
    size_t width = width_of(kind, dimensions);
    if (kind == ASSAY_CODE_B1) /* as few cache lines as can be */
        return (width / 8 + sizeof(bits_tail) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    return width * (kind == ASSAY_CODE_I8 ? 1 : kind == ASSAY_CODE_F16 ? 2 : 4);
}

size_t assay_code_query_bytes(assay_code_kind kind, uint32_t dimensions)
{
    size_t width = width_of(kind, dimensions);
    if (kind == ASSAY_CODE_B1) /* the turned vector, and its bytes */
        return width * (sizeof(float) + 1);
    return width * (kind == ASSAY_CODE_I8 ? 1 : sizeof(float));
}

uint64_t assay_code_scale_count(assay_code_kind kind, uint32_t dimensions, uint64_t slots)
{
    return kind == ASSAY_CODE_I8 ? slots : kind == ASSAY_CODE_B1 ? dimensions : 0;
}

assay_codes assay_codes_over(assay_code_kind kind, uint32_t dimensions, void *rows,
                             float *scales)
{
    return (assay_codes){kind, dimensions, assay_code_bytes(kind, dimensions), rows, scales};
}

/* Writes bytes, filled up with 0, and returns the scale; of a vector that is 0 or
 * holds what is no number all bytes are 0. */
static float put_bytes(const float *vector, size_t n, size_t width, int8_t *bytes)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabsf(vector[i]) > largest ? fabsf(vector[i]) : largest;
    float factor = ASSAY_I8_LIMIT / largest;
    memset(bytes, 0, width);
    if (!(factor < INFINITY) || !(factor > 0))
        return 0;
    for (size_t i = 0; i < n; i++) {
        float scaled = vector[i] * factor;
        bytes[i] = scaled == scaled ? (int8_t)lrintf(scaled) : 0;
    }
    return largest / ASSAY_I8_LIMIT;
}

static void put_halves(const float *vector, size_t n, size_t width, uint16_t *halves)
{
    for (size_t i = 0; i < width; i++) {
        float x = i < n && vector[i] == vector[i] ? vector[i] : 0;
        halves[i] = assay_half_of(fminf(fmaxf(x, -ASSAY_HALF_LIMIT), ASSAY_HALF_LIMIT));
    }
}

bool assay_vector_is_finite(const float *vector, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += 0 * vector[i];
    return sum == 0;
}

void assay_codes_begin(const assay_codes *codes, const float *vectors, size_t count)
{
    size_t n = codes->dimensions;
    for (size_t j = 0; codes->kind == ASSAY_CODE_B1 && count > 0 && j < n; j += COLUMNS) {
        size_t some = n - j < COLUMNS ? n - j : COLUMNS;
        double sums[COLUMNS] = {0};
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < some; k++)
                sums[k] += vectors[i * n + j + k];
        for (size_t k = 0; k < some; k++)
            codes->scales[j + k] = (float)(sums[k] / (double)count);
    }
}

/* The inner product of two vectors. */
static float product(const float *a, const float *b, size_t n)
{
    float sum;
    assay_kernels_active()->dots_f32(a, b, 1, n, &sum);
    return sum;
}

/* A vector without the centre, turned: to turned[width]. */
static void turn(const assay_codes *codes, const float *vector, size_t width, float *turned)
{
    size_t n = codes->dimensions;
    for (size_t i = 0; i < n; i++)
        turned[i] = vector[i] - codes->scales[i];
    memset(turned + n, 0, (width - n) * sizeof *turned);
    assay_rotate(turned, width);
}

/* With o the rest's direction, and that of its signs s = sign(o) / sqrt(width), the
 * product of o and a query q is near that of s and q over that of s and o; the error has
 * no mean and falls as 1 / sqrt(width) (theorem 3.2 of the paper). */
static void put_bits(const assay_codes *codes, const float *vector, size_t width, uint8_t *row,
                     float *turned)
{
    bits_tail tail = {0};
    double sizes = 0;
    turn(codes, vector, width, turned);
    memset(row, 0, width / 8);
    for (size_t i = 0; i < width; i++) {
        row[i / 8] |= (uint8_t)((turned[i] > 0) << i % 8);
        sizes += fabsf(turned[i]);
    }
    double squares = product(turned, turned, width);
    double along = sizes * sizes / ((double)width * squares); /* of s and o, squared */
    if (along > 0 && along < INFINITY) {
        tail.scale = (float)(squares / sizes);
        tail.add = product(codes->scales, vector, codes->dimensions) -
                   product(codes->scales, codes->scales, codes->dimensions);
        tail.reach = (float)sqrt(squares * fmax(1 / along - 1, 0) / (double)(width - 1));
    }
    memcpy(row + width / 8, &tail, sizeof tail);
}

void assay_codes_put(const assay_codes *codes, uint32_t slot, const float *vector, void *room)
{
    size_t n = codes->dimensions, width = width_of(codes->kind, n);
    if (codes->kind == ASSAY_CODE_F32)
        memcpy((float *)codes->rows + slot * width, vector, n * sizeof *vector);
    else if (codes->kind == ASSAY_CODE_F16)
        put_halves(vector, n, width, (uint16_t *)codes->rows + slot * width);
    else if (codes->kind == ASSAY_CODE_I8)
        codes->scales[slot] = put_bytes(vector, n, width, (int8_t *)codes->rows + slot * width);
    else
        put_bits(codes, vector, width, (uint8_t *)codes->rows + slot * codes->stride, room);
}

static assay_code_query ask_bits(const assay_codes *codes, const float *vector, size_t width,
                                 float *turned)
{
    int8_t *bytes = (int8_t *)(turned + width);
    turn(codes, vector, width, turned);
    return (assay_code_query){
        .codes = codes,
        .row = bytes,
        .scale = put_bytes(turned, width, width, bytes),
        .add = product(codes->scales, vector, codes->dimensions),
        .length = sqrtf(product(turned, turned, width)),
    };
}

assay_code_query assay_codes_ask(const assay_codes *codes, const float *vector, void *room)
{
    size_t n = codes->dimensions, width = width_of(codes->kind, n);
    if (codes->kind == ASSAY_CODE_I8)
        return (assay_code_query){
            .codes = codes, .row = room, .scale = put_bytes(vector, n, width, room)};
    if (codes->kind == ASSAY_CODE_B1)
        return ask_bits(codes, vector, width, room);
    memset(room, 0, width * sizeof *vector);
    memcpy(room, vector, n * sizeof *vector);
    return (assay_code_query){.codes = codes, .row = room};
}

assay_code_query assay_codes_ask_slot(const assay_codes *codes, uint32_t slot, void *room)
{
    size_t width = width_of(codes->kind, codes->dimensions);
    if (codes->kind == ASSAY_CODE_F32)
        return (assay_code_query){.codes = codes, .row = (const float *)codes->rows + slot * width};
    if (codes->kind == ASSAY_CODE_I8)
        return (assay_code_query){.codes = codes,
                                  .row = (const int8_t *)codes->rows + slot * width,
                                  .scale = codes->scales[slot]};
    assay_kernels_active()->f16_to_f32((const uint16_t *)codes->rows + slot * width, width, room);
    return (assay_code_query){.codes = codes, .row = room};
}

enum { SOME = 64 }; /* integer sums on the stack at a time */

static void score_bytes(const assay_code_query *query, const uint32_t *at, size_t count,
                        float *scores)
{
    const assay_codes *codes = query->codes;
    size_t width = width_of(codes->kind, codes->dimensions);
    int32_t sums[SOME];
    for (size_t done = 0; done < count; done += SOME) {
        size_t some = count - done < SOME ? count - done : SOME;
        assay_kernels_active()->dots_at_i8(query->row, codes->rows, at + done, some, width, sums);
        for (size_t i = 0; i < some; i++)
            scores[done + i] = (float)sums[i] * (query->scale * codes->scales[at[done + i]]);
    }
}

static void score_bits(const assay_code_query *query, const uint32_t *at, size_t count,
                       float *scores)
{
    const assay_codes *codes = query->codes;
    size_t width = width_of(codes->kind, codes->dimensions);
    const uint8_t *tails = (const uint8_t *)codes->rows + width / 8;
    int32_t sums[SOME];
    bits_tail tail;
    for (size_t done = 0; done < count; done += SOME) {
        size_t some = count - done < SOME ? count - done : SOME;
        assay_kernels_active()->dots_at_bits(query->row, codes->rows, codes->stride, at + done,
                                             some, width, sums);
        for (size_t i = 0; i < some; i++) {
            memcpy(&tail, tails + at[done + i] * codes->stride, sizeof tail);
            scores[done + i] = (float)sums[i] * (query->scale * tail.scale) +
                               (tail.add + query->add);
        }
    }
}

void assay_codes_score(const assay_code_query *query, const uint32_t *at, size_t count,
                       float *scores)
{
    const assay_codes *codes = query->codes;
    const assay_kernels *kernels = assay_kernels_active();
    size_t width = width_of(codes->kind, codes->dimensions);
    if (codes->kind == ASSAY_CODE_B1)
        score_bits(query, at, count, scores);
    else if (codes->kind == ASSAY_CODE_I8)
        score_bytes(query, at, count, scores);
    else if (codes->kind == ASSAY_CODE_F16)
        kernels->dots_at_f16(query->row, codes->rows, at, count, width, scores);
    else
        kernels->dots_at_f32(query->row, codes->rows, at, count, width, scores);
}

float assay_codes_reach(const assay_code_query *query, uint32_t slot)
{
    const assay_codes *codes = query->codes;
    bits_tail tail;
    if (codes->kind != ASSAY_CODE_B1)
        return 0;
    const uint8_t *row = (const uint8_t *)codes->rows + slot * codes->stride;
    memcpy(&tail, row + width_of(codes->kind, codes->dimensions) / 8, sizeof tail);
    return SURE * tail.reach * query->length;
}
