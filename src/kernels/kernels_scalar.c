/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_scalar.c: the reference. Says in plain C, one float at a time, what
 * every other set computes sixteen at a time; also serves processors without
 * vector units of a known kind.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels_math.h"
#include "kernels/kernels_sets.h"

#define LANES 16

static float horner(const float *coefficients, size_t count, float x)
{
    float y = coefficients[0];
    for (size_t i = 1; i < count; i++)
        y = fmaf(y, x, coefficients[i]);
    return y;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float exp_negative(float x)
{
    float t = fmaf(x, EXP_LOG2E, EXP_ROUND);
    float n = t - EXP_ROUND;
    float r = fmaf(n, -EXP_LN2_HIGH, x);
    r = fmaf(n, -EXP_LN2_LOW, r);
    float y = fmaf(horner(exp_q, COUNT(exp_q), r), r, 1.0f);
    y = fmaf(y, r, 1.0f);
    float power = float_of((bits_of(t) + EXP_BIAS) << 23);
    return x < EXP_LOWEST ? 0.0f : y * power;
}

static float tanh_of(float x)
{
    float size = fabsf(x);
    float z = x * x;
    float small = fmaf(horner(tanh_p, COUNT(tanh_p), z) * z, x, x);
    float e = exp_negative(size * -2.0f);
    float large = 1.0f - (e + e) / (1.0f + e);
    return size < TANH_SMALL ? small : copysignf(large, x);
}

/* NaN stays NaN: it is not less than 0. */
static float relu(float x)
{
    return 0.0f > x ? 0.0f : x;
}

static float gelu_size(float x)
{
    return GELU_LIMIT < fabsf(x) ? GELU_LIMIT : fabsf(x);
}

/* -Phi(-size). */
static float gelu_tail(float size)
{
    float y = horner(gelu_p, COUNT(gelu_p), size);
    y *= y;
    y *= y;
    y *= y;
    return -1.0f / y;
}

static float gelu(float x)
{
    float size = gelu_size(x);
    return fmaf(size, gelu_tail(size), relu(x));
}

static float gelu_slope(float x)
{
    float size = gelu_size(x), tail = gelu_tail(size);
    float density = exp_negative(size * size * -0.5f) * NORMAL_DENSITY;
    float below = x < 0.0f ? 0.0f - tail : 1.0f + tail;
    return fmaf(copysignf(size, x), density, below);
}

static float activate(assay_activation activation, float x)
{
    switch (activation) {
    case ASSAY_ACTIVATION_GELU:
        return gelu(x);
    case ASSAY_ACTIVATION_TANH:
        return tanh_of(x);
    case ASSAY_ACTIVATION_RELU:
        return relu(x);
    case ASSAY_ACTIVATION_NONE:
        break;
    }
    return x;
}

/* The epilogue of one row's `count` sums, which belong to columns j, j+1 ... of
 * row i. */
static void finish(const assay_epilogue *epilogue, const float *sums, size_t i, size_t j,
                   size_t count, float *c)
{
    for (size_t l = 0; l < count; l++) {
        float x = sums[l];
        if (epilogue && epilogue->bias)
            x += epilogue->bias[j + l];
        if (epilogue)
            x = activate(epilogue->activation, x);
        if (epilogue && epilogue->residual)
            x += epilogue->residual[i * epilogue->ld_residual + j + l];
        c[l] = x;
    }
}

void assay_gemm_f32_scalar(const float *a, size_t lda, size_t rows, const float *panels,
                           size_t columns, size_t depth, const assay_epilogue *epilogue, float *c,
                           size_t ldc)
{
    for (size_t j = 0; j < columns; j += ASSAY_PANEL) {
        const float *panel = panels + j * depth;
        size_t count = columns - j < ASSAY_PANEL ? columns - j : ASSAY_PANEL;
        for (size_t i = 0; i < rows; i++) {
            float sums[ASSAY_PANEL] = {0};
            for (size_t k = 0; k < depth; k++)
                for (size_t l = 0; l < ASSAY_PANEL; l++)
                    sums[l] = fmaf(a[i * lda + k], panel[k * ASSAY_PANEL + l], sums[l]);
            finish(epilogue, sums, i, j, count, c + i * ldc + j);
        }
    }
}

void assay_pack_f32_scalar(const float *w, size_t ldw, size_t columns, size_t depth,
                           float *panels)
{
    for (size_t j = 0; j < columns; j += ASSAY_PANEL)
        for (size_t k = 0; k < depth; k++)
            for (size_t l = 0; l < ASSAY_PANEL; l++)
                *panels++ = j + l < columns ? w[(j + l) * ldw + k] : 0.0f;
}

void assay_pack_transposed_f32_scalar(const float *b, size_t ldb, size_t columns, size_t depth,
                                      float *panels)
{
    for (size_t j = 0; j < columns; j += ASSAY_PANEL)
        for (size_t k = 0; k < depth; k++)
            for (size_t l = 0; l < ASSAY_PANEL; l++)
                *panels++ = j + l < columns ? b[k * ldb + j + l] : 0.0f;
}

void assay_transpose_f32_scalar(const float *x, size_t ldx, size_t rows, size_t columns, float *y,
                                size_t ldy)
{
    size_t width = (rows + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL;
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < width; i++)
            y[j * ldy + i] = i < rows ? x[i * ldx + j] : 0.0f;
}

void assay_gelu_f32_scalar(const float *x, size_t n, float *y, float *gradient)
{
    for (size_t i = 0; i < n; i++) {
        if (gradient)
            gradient[i] *= gelu_slope(x[i]);
        y[i] = gelu(x[i]);
    }
}

/* The lanes' sum, in the contract's tree. */
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
    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] += x[i];
    return tree(lanes);
}

/* Sum of (x - mean)^2. */
static float spread_of(const float *x, size_t n, float mean)
{
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        float d = x[i] - mean;
        lanes[i % LANES] = fmaf(d, d, lanes[i % LANES]);
    }
    return tree(lanes);
}

void assay_layer_norm_f32_scalar(const float *x, size_t ldx, size_t rows, size_t n,
                                 const float *gamma, const float *beta, float epsilon, float *y,
                                 size_t ldy)
{
    for (size_t row = 0; row < rows; row++, x += ldx, y += ldy) {
        float mean = sum_of(x, n) / (float)n;
        float variance = spread_of(x, n, mean) / (float)n;
        float inverse = 1.0f / sqrtf(variance + epsilon);
        for (size_t i = 0; i < n; i++)
            y[i] = fmaf((x[i] - mean) * inverse, gamma[i], beta[i]);
    }
}

void assay_softmax_f32_scalar(float *x, size_t ldx, size_t rows, size_t n, float scale)
{
    for (size_t row = 0; row < rows; row++, x += ldx) {
        float largest = -INFINITY;
        for (size_t i = 0; i < n; i++)
            largest = x[i] * scale > largest ? x[i] * scale : largest;
        float lanes[LANES] = {0};
        for (size_t i = 0; i < n; i++) {
            x[i] = exp_negative(x[i] * scale - largest);
            lanes[i % LANES] += x[i];
        }
        float inverse = 1.0f / tree(lanes);
        for (size_t i = 0; i < n; i++)
            x[i] *= inverse;
    }
}

void assay_dots_f32_scalar(const float *query, const float *vectors, size_t count, size_t n,
                           float *out)
{
    for (size_t v = 0; v < count; v++, vectors += n) {
        float lanes[LANES] = {0};
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] = fmaf(query[i], vectors[i], lanes[i % LANES]);
        out[v] = tree(lanes);
    }
}

void assay_dots_at_f32_scalar(const float *query, const float *vectors, const uint32_t *at,
                              size_t count, size_t n, float *out)
{
    for (size_t v = 0; v < count; v++)
        assay_dots_f32_scalar(query, vectors + (size_t)at[v] * n, 1, n, out + v);
}

/* Exact: a binary16 is a binary32. A signalling NaN becomes quiet, its payload
 * moves up, as F16C does it. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 0) /* zero and subnormals: fraction * 2^-24 */
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    if (exponent == 0x1f)
        return float_of(sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0));
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

void assay_dots_at_f16_scalar(const float *query, const uint16_t *vectors, const uint32_t *at,
                              size_t count, size_t n, float *out)
{
    for (size_t v = 0; v < count; v++) {
        const uint16_t *row = vectors + (size_t)at[v] * n;
        float lanes[LANES] = {0};
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] = fmaf(query[i], half_to_float(row[i]), lanes[i % LANES]);
        out[v] = tree(lanes);
    }
}

void assay_f16_to_f32_scalar(const uint16_t *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = half_to_float(x[i]);
}

void assay_bf16_to_f32_scalar(const uint16_t *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = float_of((uint32_t)x[i] << 16);
}

void assay_maxsim_f32_scalar(const float *rows, size_t count, const float *panels,
                             size_t columns, size_t depth, float *best)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < columns; j++) {
            const float *column =
                panels + j / ASSAY_PANEL * ASSAY_PANEL * depth + j % ASSAY_PANEL;
            float sum = 0;
            for (size_t k = 0; k < depth; k++)
                sum = fmaf(rows[i * depth + k], column[k * ASSAY_PANEL], sum);
            best[j] = sum > best[j] ? sum : best[j];
        }
}

void assay_maxsim_f16_scalar(const uint16_t *rows, size_t count, const float *panels,
                             size_t columns, size_t depth, float *best)
{
    float row[ASSAY_MAXSIM_DEPTH];
    for (size_t i = 0; i < count; i++) {
        assay_f16_to_f32_scalar(rows + i * depth, depth, row);
        assay_maxsim_f32_scalar(row, 1, panels, columns, depth, best);
    }
}

void assay_i8_to_f32_scalar(const int8_t *x, size_t n, float scale, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i] * scale;
}

/* ---------------------------------------------------------------- bfloat16 */

static uint16_t bf16_of(float x)
{
    uint32_t bits = bits_of(x);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    if (fabsf(x) < FLT_MIN)
        return (uint16_t)(bits >> 31 << 15);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16); /* beyond the largest: infinity */
}

static float float_of_bf16(uint16_t x)
{
    return float_of((uint32_t)x << 16);
}

void assay_round_bf16_scalar(const float *x, size_t ldx, size_t rows, size_t n, uint16_t *y)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < assay_bf16_row_size(n); i++)
            *y++ = i < n ? bf16_of(x[row * ldx + i]) : 0;
}

/* Of w[column * by_column + k * by_depth]. */
static void pack_bf16(const float *w, size_t by_column, size_t by_depth, size_t columns,
                      size_t depth, uint16_t *panels)
{
    for (size_t j = 0; j < columns; j += ASSAY_PANEL)
        for (size_t k = 0; k < assay_bf16_row_size(depth); k += 2)
            for (size_t l = j; l < j + ASSAY_PANEL; l++)
                for (size_t e = k; e < k + 2; e++)
                    *panels++ = l < columns && e < depth ? bf16_of(w[l * by_column + e * by_depth])
                                                         : 0;
}

void assay_pack_bf16_scalar(const float *w, size_t ldw, size_t columns, size_t depth,
                            uint16_t *panels)
{
    pack_bf16(w, ldw, 1, columns, depth, panels);
}

void assay_pack_transposed_bf16_scalar(const float *b, size_t ldb, size_t columns, size_t depth,
                                       uint16_t *panels)
{
    pack_bf16(b, 1, ldb, columns, depth, panels);
}

void assay_gemm_bf16_scalar(const uint16_t *a, size_t rows, const uint16_t *panels,
                            size_t columns, size_t depth, const assay_epilogue *epilogue,
                            float *c, size_t ldc)
{
    size_t width = assay_bf16_row_size(depth);
    for (size_t j = 0; j < columns; j += ASSAY_PANEL) {
        size_t count = columns - j < ASSAY_PANEL ? columns - j : ASSAY_PANEL;
        for (size_t i = 0; i < rows; i++) {
            float sums[ASSAY_PANEL] = {0};
            for (size_t k = 0; k < width; k++)
                for (size_t l = 0; l < ASSAY_PANEL; l++) {
                    size_t other = k ^ 1; /* of a pair the second comes first */
                    const uint16_t *pair = panels + j * width + (k / 2 * ASSAY_PANEL + l) * 2;
                    sums[l] = fmaf(float_of_bf16(a[i * width + other]),
                                   float_of_bf16(pair[other % 2]), sums[l]);
                }
            finish(epilogue, sums, i, j, count, c + i * ldc + j);
        }
    }
}

/* ---------------------------------------------------------------- integers */

static float gelu_near(float x)
{
    float size = GELU_NEAR_LIMIT < fabsf(x) ? GELU_NEAR_LIMIT : fabsf(x);
    float y = horner(gelu_near_p, COUNT(gelu_near_p), size);
    return relu(x) - y * size;
}

static float exp2_near(float x)
{
    x = x > EXP2_LOWEST ? x : EXP2_LOWEST;
    float t = x + EXP_ROUND;
    float r = x - (t - EXP_ROUND);
    return horner(exp2_near_p, COUNT(exp2_near_p), r) * float_of((bits_of(t) + EXP_BIAS) << 23);
}

static uint32_t largest_bits(const float *x, size_t n)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(fabsf(x[i]));
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* A factor of 0 stands for values that no integer can express, among them NaN
 * and infinity. */
static int32_t quantize(float x, float factor)
{
    return factor != 0.0f ? (int32_t)rintf(x * factor) : 0;
}

/* Rows are kept as whole integers: a zero point taken off, an input's bytes added. */
static float quantize_row(const float *x, const assay_i8_inputs *in, assay_i8_row *row)
{
    float low = 0.0f, high = 0.0f, odd = 0.0f;
    for (size_t i = 0; i < in->depth; i++) {
        float share = in->shares ? x[i] * in->shares[i] : x[i];
        odd = fmaf(share, 0.0f, odd);
        low = share < low ? share : low;
        high = share > high ? share : high;
    }
    return quantize_span(low, high, odd, row);
}

void assay_quantize_i8_scalar(const float *x, size_t ldx, size_t rows,
                              const assay_i8_inputs *inputs, void *q, assay_i8_row *steps)
{
    int16_t *out = q;
    for (size_t row = 0; row < rows; row++, x += ldx, out += inputs->depth) {
        float factor = quantize_row(x, inputs, &steps[row]);
        for (size_t i = 0; i < inputs->depth; i++) {
            int32_t bytes = inputs->bytes ? (int32_t)inputs->bytes[i] : 1;
            int32_t value = quantize(x[i], factor), low = -steps[row].zero * bytes;
            int32_t high = low + 255 * bytes;
            out[i] = (int16_t)(value < low ? low : value > high ? high : value);
        }
    }
}

/* Where column j is: panels are as long as the other sets', and whole columns
 * stand in them. */
static size_t column_place(size_t j, const assay_i8_inputs *inputs)
{
    return assay_i8_panels_size(j / ASSAY_PANEL * ASSAY_PANEL, inputs) +
           j % ASSAY_PANEL * inputs->depth;
}

void assay_pack_i8_scalar(const int8_t *w, size_t ldw, size_t columns,
                          const assay_i8_inputs *inputs, int8_t *panels)
{
    for (size_t j = 0; j < columns; j++)
        memcpy(panels + column_place(j, inputs), w + j * ldw, inputs->depth);
}

void assay_gemm_i8_scalar(const void *a, const assay_i8_row *steps, size_t rows,
                          const int8_t *panels, const float *scales, size_t columns,
                          const assay_i8_inputs *inputs, const assay_epilogue *epilogue,
                          float *c, size_t ldc)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const int16_t *left = (const int16_t *)a + i * inputs->depth;
            const int8_t *right = panels + column_place(j, inputs);
            int32_t sum = 0;
            for (size_t k = 0; k < inputs->depth; k++)
                sum += left[k] * right[k];
            float bias = epilogue && epilogue->bias ? epilogue->bias[j] : 0.0f;
            float x = fmaf((float)sum, steps[i].scale * scales[j], bias);
            if (epilogue && epilogue->activation == ASSAY_ACTIVATION_GELU)
                x = gelu_near(x);
            else if (epilogue)
                x = activate(epilogue->activation, x);
            if (epilogue && epilogue->residual)
                x += epilogue->residual[i * epilogue->ld_residual + j];
            c[i * ldc + j] = x;
        }
}

void assay_dots_at_i8_scalar(const int8_t *query, const int8_t *vectors, const uint32_t *at,
                             size_t count, size_t n, int32_t *out)
{
    for (size_t v = 0; v < count; v++) {
        const int8_t *row = vectors + (size_t)at[v] * n;
        out[v] = 0;
        for (size_t i = 0; i < n; i++)
            out[v] += query[i] * row[i];
    }
}

void assay_dots_at_bits_scalar(const int8_t *query, const uint8_t *rows, size_t stride,
                               const uint32_t *at, size_t count, size_t n, int32_t *out)
{
    for (size_t v = 0; v < count; v++) {
        const uint8_t *row = rows + (size_t)at[v] * stride;
        out[v] = 0;
        for (size_t i = 0; i < n; i++)
            out[v] += row[i / 8] >> i % 8 & 1 ? query[i] : -query[i];
    }
}

static int32_t row_product(const int8_t *row, const int8_t *panels, size_t column, size_t depth)
{
    const assay_i8_inputs inputs = {.depth = depth};
    const int8_t *other = panels + column_place(column, &inputs);
    int32_t sum = 0;
    for (size_t k = 0; k < depth; k++)
        sum += row[k] * other[k];
    return sum;
}

void assay_maxsim_i8_scalar(const int8_t *rows, const float *steps, size_t count,
                            const int8_t *panels, size_t columns, size_t depth, float *best)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < columns; j++) {
            float value = (float)row_product(rows + i * depth, panels, j, depth) * steps[i];
            best[j] = value > best[j] ? value : best[j];
        }
}

void assay_maxsim_residual_i8_scalar(const int8_t *rows, const float *steps,
                                     const uint16_t *centres, size_t count,
                                     const int8_t *panels, const float *products,
                                     size_t columns, size_t depth, float *best)
{
    for (size_t i = 0; i < count; i++) {
        const float *of_centre = products + centres[i] * assay_whole_panels(columns);
        for (size_t j = 0; j < columns; j++) {
            float value = (float)row_product(rows + i * depth, panels, j, depth) * steps[i];
            value += of_centre[j];
            best[j] = value > best[j] ? value : best[j];
        }
    }
}

void assay_maxsim_centres_scalar(const uint16_t *centres, size_t count, const float *products,
                                 size_t columns, float *best)
{
    for (size_t i = 0; i < count; i++) {
        const float *of_centre = products + centres[i] * assay_whole_panels(columns);
        for (size_t j = 0; j < columns; j++)
            best[j] = of_centre[j] > best[j] ? of_centre[j] : best[j];
    }
}

void assay_quantize_i16_scalar(const float *x, size_t ldx, size_t rows, size_t n, int32_t limit,
                               int16_t *q, float *scale)
{
    uint32_t largest = 0;
    for (size_t row = 0; row < rows; row++) {
        uint32_t bits = largest_bits(x + row * ldx, n);
        largest = bits > largest ? bits : largest;
    }
    float factor = quantize_factor(largest, (float)limit, scale);
    for (size_t row = 0; row < rows; row++, x += ldx, q += n + n % 2)
        for (size_t i = 0; i < n + n % 2; i++)
            q[i] = i < n ? (int16_t)quantize(x[i], factor) : 0;
}

/* Element k of column j in panels of pairs. */
static size_t pair_place(size_t j, size_t k, size_t depth)
{
    size_t groups = (depth + 1) / 2;
    return ((j / LANES * groups + k / 2) * LANES + j % LANES) * 2 + k % 2;
}

void assay_pack_i16_scalar(const int16_t *w, size_t ldw, size_t columns, size_t depth,
                           int16_t *panels)
{
    memset(panels, 0, assay_i16_panels_size(columns, depth) * sizeof *panels);
    for (size_t j = 0; j < columns; j++)
        for (size_t k = 0; k < depth; k++)
            panels[pair_place(j, k, depth)] = w[j * ldw + k];
}

void assay_pack_transposed_i16_scalar(const int16_t *b, size_t ldb, size_t columns,
                                      size_t depth, int16_t *panels)
{
    memset(panels, 0, assay_i16_panels_size(columns, depth) * sizeof *panels);
    for (size_t j = 0; j < columns; j++)
        for (size_t k = 0; k < depth; k++)
            panels[pair_place(j, k, depth)] = b[k * ldb + j];
}

static int32_t sum_i16(const int16_t *a, const int16_t *panels, size_t j, size_t depth)
{
    int32_t sum = 0;
    for (size_t k = 0; k < depth; k++)
        sum += a[k] * panels[pair_place(j, k, depth)];
    return sum;
}

void assay_gemm_i16_scalar(const int16_t *a, size_t lda, size_t rows, const int16_t *panels,
                           size_t columns, size_t depth, float scale, float *c, size_t ldc)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            c[i * ldc + j] = (float)sum_i16(a + i * lda, panels, j, depth) * scale;
}

void assay_sums_i16_scalar(const int16_t *a, size_t lda, size_t rows, const int16_t *panels,
                           size_t columns, size_t depth, int32_t *c, size_t ldc)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < assay_whole_panels(columns); j++)
            c[i * ldc + j] = sum_i16(a + i * lda, panels, j, depth);
}

void assay_softmax_i16_scalar(void *x, size_t ldx, size_t rows, size_t n, float scale,
                              int16_t *p, size_t ldp)
{
    float *powers = x;
    for (size_t row = 0; row < rows; row++, powers += ldx, p += ldp) {
        const int32_t *sums = (const int32_t *)(const void *)powers;
        int32_t largest = INT32_MIN;
        float lanes[LANES] = {0};
        for (size_t i = 0; i < n; i++)
            largest = sums[i] > largest ? sums[i] : largest;
        float base = -((float)largest * scale);
        for (size_t i = 0; i < n; i++) {
            powers[i] = exp2_near(fmaf((float)sums[i], scale, base));
            lanes[i % LANES] += powers[i];
        }
        float factor = ASSAY_I16_ONE / tree(lanes);
        for (size_t i = 0; i < n; i++)
            p[i] = (int16_t)rintf(powers[i] * factor);
        for (size_t i = n; i < assay_whole_panels(n); i++)
            p[i] = 0;
    }
}
