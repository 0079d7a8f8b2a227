/* SPDX-License-Identifier: Apache-2.0 */
/* codes.c: see codes.h. */
#include "index/codes.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

enum { HALF_STEP = 16 }; /* of dots_at_f16 */

static const char *const names[] = {
    [ASSAY_CODE_F32] = "f32",
    [ASSAY_CODE_F16] = "f16",
    [ASSAY_CODE_I8] = "i8",
};

const char *assay_code_name(assay_code_kind kind)
{
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

bool assay_code_named(const char *name, assay_code_kind *out)
{
    for (assay_code_kind kind = ASSAY_CODE_F32; kind <= ASSAY_CODE_I8; kind++)
        if (strcmp(name, names[kind]) == 0) {
            *out = kind;
            return true;
        }
    return false;
}

/* Elements of a code, filler included. */
static size_t width_of(assay_code_kind kind, size_t dimensions)
{
    size_t step = kind == ASSAY_CODE_I8 ? ASSAY_I8_STEP : kind == ASSAY_CODE_F16 ? HALF_STEP : 1;
    return (dimensions + step - 1) / step * step;
}

size_t assay_code_bytes(assay_code_kind kind, uint32_t dimensions)
{
    size_t element = kind == ASSAY_CODE_I8 ? 1 : kind == ASSAY_CODE_F16 ? 2 : 4;
    return width_of(kind, dimensions) * element;
}

size_t assay_code_query_bytes(assay_code_kind kind, uint32_t dimensions)
{
    return width_of(kind, dimensions) * (kind == ASSAY_CODE_I8 ? 1 : sizeof(float));
}

bool assay_code_scaled(assay_code_kind kind)
{
    return kind == ASSAY_CODE_I8;
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

void assay_codes_put(const assay_codes *codes, uint32_t slot, const float *vector)
{
    size_t n = codes->dimensions, width = width_of(codes->kind, n);
    if (codes->kind == ASSAY_CODE_F32)
        memcpy((float *)codes->rows + slot * width, vector, n * sizeof *vector);
    else if (codes->kind == ASSAY_CODE_F16)
        put_halves(vector, n, width, (uint16_t *)codes->rows + slot * width);
    else
        codes->scales[slot] = put_bytes(vector, n, width, (int8_t *)codes->rows + slot * width);
}

assay_code_query assay_codes_ask(const assay_codes *codes, const float *vector, void *room)
{
    size_t n = codes->dimensions, width = width_of(codes->kind, n);
    if (codes->kind == ASSAY_CODE_I8)
        return (assay_code_query){.row = room, .scale = put_bytes(vector, n, width, room)};
    memset(room, 0, width * sizeof *vector);
    memcpy(room, vector, n * sizeof *vector);
    return (assay_code_query){.row = room};
}

assay_code_query assay_codes_ask_slot(const assay_codes *codes, uint32_t slot, void *room)
{
    size_t width = width_of(codes->kind, codes->dimensions);
    if (codes->kind == ASSAY_CODE_F32)
        return (assay_code_query){.row = (const float *)codes->rows + slot * width};
    if (codes->kind == ASSAY_CODE_I8)
        return (assay_code_query){.row = (const int8_t *)codes->rows + slot * width,
                                  .scale = codes->scales[slot]};
    assay_kernels_active()->f16_to_f32((const uint16_t *)codes->rows + slot * width, width, room);
    return (assay_code_query){.row = room};
}

enum { SOME = 64 }; /* integer sums on the stack at a time */

static void score_bytes(const assay_codes *codes, const assay_code_query *query,
                        const uint32_t *at, size_t count, float *scores)
{
    size_t width = width_of(codes->kind, codes->dimensions);
    int32_t sums[SOME];
    for (size_t done = 0; done < count; done += SOME) {
        size_t some = count - done < SOME ? count - done : SOME;
        assay_kernels_active()->dots_at_i8(query->row, codes->rows, at + done, some, width, sums);
        for (size_t i = 0; i < some; i++)
            scores[done + i] = (float)sums[i] * (query->scale * codes->scales[at[done + i]]);
    }
}

void assay_codes_score(const assay_codes *codes, const assay_code_query *query,
                       const uint32_t *at, size_t count, float *scores)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t width = width_of(codes->kind, codes->dimensions);
    if (codes->kind == ASSAY_CODE_I8)
        score_bytes(codes, query, at, count, scores);
    else if (codes->kind == ASSAY_CODE_F16)
        kernels->dots_at_f16(query->row, codes->rows, at, count, width, scores);
    else
        kernels->dots_at_f32(query->row, codes->rows, at, count, width, scores);
}
