/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gradient_steps.c: see gradient_steps.h.
 *
 * Dropout's numbers are those of sixteen xorshift generators (Marsaglia 2003), set anew
 * for each row by SplitMix64 of the row's number: shifts and exclusive ors are all
 * that every vector unit has.
 */
#include "learn/gradient_steps.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

#define LANES 16

/* ---- Sums ------------------------------------------------------------------------ */

static float tree(float lanes[LANES])
{
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

static float sum_of(const float *x, size_t n)
{
    float lanes[LANES] = {0};
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += x[i + l];
    for (size_t i = whole; i < n; i++)
        lanes[i - whole] += x[i];
    return tree(lanes);
}

static float product_sum(const float *x, const float *y, size_t n)
{
    float lanes[LANES] = {0};
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += x[i + l] * y[i + l];
    for (size_t i = whole; i < n; i++)
        lanes[i - whole] += x[i] * y[i];
    return tree(lanes);
}

void assay_add_row(float *restrict x, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

void assay_add_sums(const float *x, size_t ld, size_t rows, size_t n, float *sums)
{
    for (size_t row = 0; row < rows; row++)
        sums[row] += sum_of(x + row * ld, n);
}

/* ---- LayerNorm ------------------------------------------------------------------- */

void assay_norm_apply(const float *restrict normal, size_t rows, size_t n, const float *gamma,
                      const float *beta, float *restrict y)
{
    for (size_t row = 0; row < rows; row++, normal += n, y += n)
        for (size_t i = 0; i < n; i++)
            y[i] = normal[i] * gamma[i] + beta[i];
}

/* Returns the inverse deviation. */
static float norm_row(const float *restrict x, size_t n, float epsilon, float *restrict normal)
{
    float mean = sum_of(x, n) / (float)n;
    for (size_t i = 0; i < n; i++)
        normal[i] = x[i] - mean;
    float inverse = 1.0f / sqrtf(product_sum(normal, normal, n) / (float)n + epsilon);
    for (size_t i = 0; i < n; i++)
        normal[i] *= inverse;
    return inverse;
}

void assay_norm_forth(const float *x, size_t rows, size_t n, const float *gamma,
                      const float *beta, float epsilon, float *normal, float *inverse, float *y)
{
    for (size_t row = 0; row < rows; row++)
        inverse[row] = norm_row(x + row * n, n, epsilon, normal + row * n);
    assay_norm_apply(normal, rows, n, gamma, beta, y);
}

static void norm_row_back(float *restrict gradient, const float *restrict normal, float inverse,
                          const float *restrict gamma, size_t n, float *restrict gamma_gradient,
                          float *restrict beta_gradient)
{
    for (size_t i = 0; i < n; i++) {
        gamma_gradient[i] += gradient[i] * normal[i];
        beta_gradient[i] += gradient[i];
        gradient[i] *= gamma[i];
    }
    float mean = sum_of(gradient, n) / (float)n;
    float along = product_sum(gradient, normal, n) / (float)n;
    for (size_t i = 0; i < n; i++)
        gradient[i] = (gradient[i] - mean - normal[i] * along) * inverse;
}

void assay_norm_back(float *gradient, const float *normal, const float *inverse,
                     const float *gamma, size_t rows, size_t n, float *gamma_gradient,
                     float *beta_gradient)
{
    for (size_t row = 0; row < rows; row++)
        norm_row_back(gradient + row * n, normal + row * n, inverse[row], gamma, n,
                      gamma_gradient, beta_gradient);
}

/* ---- Others ---------------------------------------------------------------------- */

static void softmax_row_back(float *restrict gradient, const float *restrict p, size_t n,
                             float scale)
{
    float along = product_sum(gradient, p, n);
    for (size_t i = 0; i < n; i++)
        gradient[i] = p[i] * (gradient[i] - along) * scale;
}

void assay_softmax_back(float *gradient, const float *p, size_t ld, size_t rows, size_t n,
                        float scale)
{
    for (size_t row = 0; row < rows; row++)
        softmax_row_back(gradient + row * ld, p + row * ld, n, scale);
}

void assay_tanh_back(float *restrict gradient, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gradient[i] *= 1.0f - y[i] * y[i];
}

float assay_unit_forth(float *x, size_t n)
{
    float length = fmaxf(sqrtf(product_sum(x, x, n)), 1e-12f);
    for (size_t i = 0; i < n; i++)
        x[i] /= length;
    return length;
}

void assay_unit_back(float *restrict gradient, const float *restrict y, float length, size_t n)
{
    float along = length > 1e-12f ? product_sum(gradient, y, n) : 0;
    for (size_t i = 0; i < n; i++)
        gradient[i] = (gradient[i] - y[i] * along) / length;
}

/* ---- Dropout --------------------------------------------------------------------- */

/* Four of the sixteen, which any vector unit takes at a time. */
typedef uint32_t numbers __attribute__((vector_size(16)));
typedef int32_t signed_numbers __attribute__((vector_size(16)));
typedef float floats __attribute__((vector_size(16)));

enum { FOURS = LANES / 4 };

assay_dropout assay_dropout_at(float rate, uint64_t seed, uint64_t draw, uint64_t place)
{
    if (draw == 0 || !(rate > 0))
        return (assay_dropout){.factor = 1};
    uint64_t key = assay_random_stream(assay_random_stream(seed, draw), place);
    return (assay_dropout){.key = key,
                           .least = (int32_t)((double)rate * 0x1p31),
                           .factor = (float)(1 / (1 - (double)rate))};
}

static void set_generators(const assay_dropout *dropout, uint64_t row, uint32_t lanes[LANES])
{
    uint64_t state = assay_random_stream(dropout->key, row);
    for (size_t l = 0; l < LANES; l += 2) {
        uint64_t bits = assay_random_next(&state);
        lanes[l] = (uint32_t)bits | 1; /* 0 would stay 0 */
        lanes[l + 1] = (uint32_t)(bits >> 32) | 1;
    }
}

/* The next numbers, and of x[4] what they leave. */
static inline void drop_four(const assay_dropout *dropout, numbers *state, float *x)
{
    numbers n = *state;
    n ^= n << 13;
    n ^= n >> 17;
    n ^= n << 5;
    *state = n;
    floats values;
    memcpy(&values, x, sizeof values);
    values *= dropout->factor;
    numbers kept = (numbers)((signed_numbers)(n >> 1) >= dropout->least) & (numbers)values;
    memcpy(x, &kept, sizeof kept);
}

static inline void drop_some(const assay_dropout *dropout, numbers state[FOURS], float *x)
{
    for (size_t i = 0; i < FOURS; i++)
        drop_four(dropout, &state[i], x + 4 * i);
}

void assay_dropout_row(const assay_dropout *dropout, uint64_t row, float *x, size_t n)
{
    if (dropout->least == 0)
        return;
    uint32_t lanes[LANES];
    numbers state[FOURS];
    set_generators(dropout, row, lanes);
    memcpy(state, lanes, sizeof state);
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        drop_some(dropout, state, x + i);
    if (whole < n) {
        float rest[LANES] = {0};
        memcpy(rest, x + whole, (n - whole) * sizeof *rest);
        drop_some(dropout, state, rest);
        memcpy(x + whole, rest, (n - whole) * sizeof *rest);
    }
}
