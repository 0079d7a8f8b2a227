/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kernels_integer.c: the kernels on 8 and 16 bits, every instruction set
 * that this CPU has against the scalar one, bit for bit (a NaN equals any NaN),
 * and the scalar one against double precision. Blocks have exactly the promised
 * size, so that AddressSanitizer sees what reads or writes past them.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_numbers.h"
#include "kernel_sets.h"

/* Within [-2, 2]; wild ones have any exponent, or are no numbers. */
static float number(bool wild)
{
    static const float odd[] = {0.0f,     -0.0f,     1e-40f,   -FLT_MIN, FLT_MAX,
                                -FLT_MAX, INFINITY, -INFINITY, NAN,      1e30f};
    if (wild && below(60) == 0)
        return odd[below(sizeof odd / sizeof *odd)];
    float x = tame();
    return wild && below(8) == 0 ? x * 1e-30f : x;
}

static void *block(size_t bytes)
{
    void *b = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(b);
    memset(b, 0x5a, bytes);
    return b;
}

static float *floats(size_t count, bool wild)
{
    float *x = block(count * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = number(wild);
    return x;
}

static void expect_same(const float *got, const float *expected, size_t count, const char *set,
                        const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&got[i], &expected[i], sizeof *got) != 0 &&
            !(isnan(got[i]) && isnan(expected[i])))
            fail_msg("%s %s: element %zu is %a, scalar has %a", set, what, i, (double)got[i],
                     (double)expected[i]);
}

static void maxsim_i8_agrees_at(size_t rows, size_t columns, size_t depth)
{
    const assay_i8_inputs inputs = {.depth = depth};
    int8_t *x = block(rows * depth), *w = block(columns * depth);
    float *steps = floats(rows, false), *before = floats(columns, false), *expected = NULL;
    for (size_t i = 0; i < rows * depth; i++)
        x[i] = (int8_t)((int)below(255) - 127);
    for (size_t i = 0; i < columns * depth; i++)
        w[i] = (int8_t)((int)below(255) - 127);
    for (size_t i = 0; i < columns; i++)
        before[i] = below(3) ? -INFINITY : before[i];
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        int8_t *panels = block(assay_i8_panels_size(columns, &inputs));
        float *best = block(columns * sizeof *best);
        memcpy(best, before, columns * sizeof *best);
        set->pack_i8(w, depth, columns, &inputs, panels);
        set->maxsim_i8(x, steps, rows, panels, columns, depth, best);
        free(panels);
        if (expected != NULL) {
            expect_same(best, expected, columns, set->name, "maxsim_i8");
            free(best);
            continue;
        }
        expected = best;
        for (size_t j = 0; j < columns; j++) { /* the scalar one, against plain arithmetic */
            double most = (double)before[j];
            for (size_t i = 0; i < rows; i++) {
                int64_t sum = 0;
                for (size_t k = 0; k < depth; k++)
                    sum += x[i * depth + k] * w[j * depth + k];
                most = fmax(most, (double)sum * (double)steps[i]);
            }
            if (isinf(most) ? (double)best[j] != most
                            : !(fabs((double)best[j] - most) <= 1e-6 * fabs(most)))
                fail_msg("maxsim_i8: %a, expected %a", (double)best[j], most);
        }
    }
    free(expected);
    free(x);
    free(w);
    free(steps);
    free(before);
}

static void maxsim_i8_agrees(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 26; rows++)
        for (size_t columns = 0; columns <= 68; columns += 1 + below(4))
            maxsim_i8_agrees_at(rows, columns, 1 + below(70));
    maxsim_i8_agrees_at(181, 32, 128);
    maxsim_i8_agrees_at(13, 33, ASSAY_MAXSIM_DEPTH);
}

/* What centres add, and what they tell alone. */
static void maxsim_residual_agrees_at(size_t rows, size_t columns, size_t depth)
{
    const assay_i8_inputs inputs = {.depth = depth};
    size_t ld = assay_whole_panels(columns), centres = 1 + below(5);
    int8_t *x = block(rows * depth), *w = block(columns * depth);
    uint16_t *of = block(rows * sizeof *of);
    float *steps = floats(rows, false), *products = floats(centres * ld, false);
    float *before = floats(columns, false), *expected = NULL, *alone = NULL;
    for (size_t i = 0; i < rows * depth; i++)
        x[i] = (int8_t)(2 * (int)below(16) - 15);
    for (size_t i = 0; i < columns * depth; i++)
        w[i] = (int8_t)((int)below(255) - 127);
    for (size_t i = 0; i < rows; i++)
        of[i] = (uint16_t)below((uint32_t)centres);
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        int8_t *panels = block(assay_i8_panels_size(columns, &inputs));
        float *best = block(columns * sizeof *best), *coarse = block(columns * sizeof *coarse);
        memcpy(best, before, columns * sizeof *best);
        memcpy(coarse, before, columns * sizeof *coarse);
        set->pack_i8(w, depth, columns, &inputs, panels);
        set->maxsim_residual_i8(x, steps, of, rows, panels, products, columns, depth, best);
        set->maxsim_centres(of, rows, products, columns, coarse);
        free(panels);
        if (expected != NULL) {
            expect_same(best, expected, columns, set->name, "maxsim_residual_i8");
            expect_same(coarse, alone, columns, set->name, "maxsim_centres");
            free(best);
            free(coarse);
            continue;
        }
        expected = best;
        alone = coarse;
        for (size_t j = 0; j < columns; j++) { /* the scalar one, against plain arithmetic */
            double most = (double)before[j], least = most;
            for (size_t i = 0; i < rows; i++) {
                int64_t sum = 0;
                for (size_t k = 0; k < depth; k++)
                    sum += x[i * depth + k] * w[j * depth + k];
                double centre = (double)products[of[i] * ld + j];
                most = fmax(most, centre + (double)sum * (double)steps[i]);
                least = fmax(least, centre);
            }
            if (!(fabs((double)best[j] - most) <= 1e-6 * (fabs(most) + 4)) ||
                (double)coarse[j] != least)
                fail_msg("maxsim_residual_i8: %a, expected %a", (double)best[j], most);
        }
    }
    void *blocks[] = {x, w, of, steps, products, before, expected, alone};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
}

static void maxsim_residual_agrees(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 26; rows++)
        for (size_t columns = 0; columns <= 68; columns += 1 + below(9))
            maxsim_residual_agrees_at(rows, columns, 1 + below(70));
    maxsim_residual_agrees_at(181, 32, 384);
}

/* ------------------------------------------------------------------ 8 bits */

/* Some inputs with more bytes than one; none where `extra` is 0. */
static assay_i8_inputs *inputs_new(size_t depth, size_t extra)
{
    assay_i8_inputs *in = block(sizeof *in);
    *in = (assay_i8_inputs){.depth = depth};
    if (depth == 0 || extra == 0)
        return in;
    float *bytes = block(depth * sizeof *bytes), *shares = block(depth * sizeof *shares);
    uint16_t *owner = block(extra * sizeof *owner);
    float *order = block(extra * sizeof *order);
    for (size_t k = 0; k < depth; k++)
        bytes[k] = 1;
    for (size_t e = 0; e < extra; e++)
        bytes[below(below(2) ? depth : 1 + depth / 8)] += 1;
    size_t at = 0;
    for (size_t k = 0; k < depth; k++) {
        shares[k] = 1 / bytes[k];
        for (size_t b = 1; b < (size_t)bytes[k]; b++, at++) {
            owner[at] = (uint16_t)k;
            order[at] = (float)b;
        }
    }
    *in = (assay_i8_inputs){depth, extra, owner, order, bytes, shares};
    return in;
}

static void inputs_free(assay_i8_inputs *in)
{
    free((void *)(uintptr_t)in->owner);
    free((void *)(uintptr_t)in->order);
    free((void *)(uintptr_t)in->bytes);
    free((void *)(uintptr_t)in->shares);
    free(in);
}

typedef struct problem {
    size_t rows, columns, depth, lda, ldc;
    assay_i8_inputs *inputs;
    float *a, *bias, *residual, *scales;
    int8_t *w;
    assay_epilogue epilogue;
} problem;

static problem problem_new(size_t rows, size_t columns, size_t depth, bool wild)
{
    problem p = {rows, columns, depth, .lda = depth + below(3), .ldc = columns + below(3)};
    p.inputs = inputs_new(depth, depth < 65000 && below(2) ? below(70) : 0);
    p.a = floats(rows * p.lda, wild);
    for (size_t i = 0; p.inputs->bytes && i < rows; i++) /* wide inputs are large */
        for (size_t k = 0; k < depth; k++)
            p.a[i * p.lda + k] *= p.inputs->bytes[k] * (below(9) ? 1 : 1.5f);
    p.bias = floats(columns, wild);
    p.residual = floats(rows * p.ldc, wild);
    p.scales = floats(columns, false);
    p.w = block(columns * depth);
    bool extreme = below(4) == 0; /* sums as large as they get */
    for (size_t i = 0; i < columns * depth; i++)
        p.w[i] = (int8_t)(extreme ? (below(50) ? 127 : -127) : (int)below(255) - 127);
    for (size_t i = 0; extreme && i < rows * p.lda; i++)
        p.a[i] = 1.0f;
    static const assay_activation activations[] = {ASSAY_ACTIVATION_NONE, ASSAY_ACTIVATION_GELU,
                                                   ASSAY_ACTIVATION_RELU};
    p.epilogue = (assay_epilogue){.bias = below(4) ? p.bias : NULL,
                                  .residual = below(2) ? p.residual : NULL,
                                  .ld_residual = p.ldc,
                                  .activation = activations[below(3)]};
    return p;
}

static void problem_free(problem *p)
{
    inputs_free(p->inputs);
    free(p->a);
    free(p->bias);
    free(p->residual);
    free(p->scales);
    free(p->w);
}

/* c[rows][ldc], then the rows' scales and zero points. */
static float *solve(const problem *p, const assay_kernels *k)
{
    float *c = block((p->rows * p->ldc + 2 * p->rows) * sizeof *c);
    assay_i8_row *steps = block(p->rows * sizeof *steps);
    void *q = block(p->rows * assay_i8_row_size(p->inputs));
    int8_t *panels = block(assay_i8_panels_size(p->columns, p->inputs));
    k->quantize_i8(p->a, p->lda, p->rows, p->inputs, q, steps);
    k->pack_i8(p->w, p->depth, p->columns, p->inputs, panels);
    k->gemm_i8(q, steps, p->rows, panels, p->scales, p->columns, p->inputs, &p->epilogue, c,
               p->ldc);
    for (size_t i = 0; i < p->rows; i++) {
        c[p->rows * p->ldc + 2 * i] = steps[i].scale;
        c[p->rows * p->ldc + 2 * i + 1] = (float)steps[i].zero;
    }
    free(steps);
    free(q);
    free(panels);
    return c;
}

static void expect_agreement(size_t rows, size_t columns, size_t depth, bool wild)
{
    problem p = problem_new(rows, columns, depth, wild);
    size_t i = 0;
    float *expected = solve(&p, next_set(&i));
    const assay_kernels *set;
    char what[80];
    snprintf(what, sizeof what, "gemm_i8 %zu x %zu x %zu", rows, columns, depth);
    while ((set = next_set(&i)) != NULL) {
        float *got = solve(&p, set);
        expect_same(got, expected, rows * p.ldc + 2 * rows, set->name, what);
        free(got);
    }
    free(expected);
    problem_free(&p);
}

static void gemm_i8_agrees(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 26; rows++)
        for (size_t columns = 1; columns <= 68; columns += 3)
            expect_agreement(rows, columns, 1 + below(70), below(2));
    for (size_t depth = 0; depth <= 140; depth++)
        expect_agreement(1 + below(30), 1 + below(50), depth, below(2));
    static const size_t shapes[][3] = {
        {200, 31, 385}, {25, 384, 384}, {5, 33, 1536}, {67, 100, 3072}, {3, 17, 65535}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t round = 0; round < 3; round++)
            expect_agreement(shapes[i][0], shapes[i][1], shapes[i][2], round == 2);
}

static double exact(const problem *p, size_t i, size_t j, double *bound)
{
    double sum = 0, low = 0, high = 0, weights = 0;
    for (size_t k = 0; k < p->depth; k++) {
        double x = (double)p->a[i * p->lda + k], w = p->w[j * p->depth + k];
        sum += x * w;
        double share = p->inputs->bytes ? x / (double)p->inputs->bytes[k] : x;
        low = fmin(low, share);
        high = fmax(high, share);
        weights += fabs(w);
    }
    double scale = fabs((double)p->scales[j]);
    /* Half a step of the row's integers a weight, one at the ends, where rounding
     * the zero point cuts as much off; GELU bends by 1.13 at most. */
    *bound = 1.14 * 1.0001 * (high - low) / 255 * weights * scale + 2e-4;
    double x = sum * (double)p->scales[j] + (p->epilogue.bias ? (double)p->bias[j] : 0);
    if (p->epilogue.activation == ASSAY_ACTIVATION_GELU)
        x = 0.5 * x * erfc(-x * M_SQRT1_2);
    else if (p->epilogue.activation == ASSAY_ACTIVATION_RELU)
        x = fmax(x, 0);
    return x + (p->epilogue.residual ? (double)p->residual[i * p->ldc + j] : 0);
}

static void gemm_i8_is_a_product(void **state)
{
    (void)state;
    for (size_t round = 0; round < 60; round++) {
        problem p = problem_new(1 + below(20), 1 + below(50), 1 + below(400), false);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            float *c = solve(&p, set);
            for (size_t i = 0; i < p.rows; i++)
                for (size_t j = 0; j < p.columns; j++) {
                    double bound, value = exact(&p, i, j, &bound);
                    assert_true(fabs((double)c[i * p.ldc + j] - value) <= bound);
                }
            free(c);
        }
        problem_free(&p);
    }
}

static void rows_without_numbers_have_no_scale(void **state)
{
    (void)state;
    static const struct {
        float x;
        bool valid;
    } cases[] = {{NAN, false}, {INFINITY, false}, {-INFINITY, false}, {1e-41f, true}, {FLT_MAX, true}};
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (size_t at = 0; at < 37; at++) {
                float x[37] = {0}, scale;
                x[at] = cases[i].x;
                assay_i8_inputs inputs = {.depth = 37};
                assay_i8_row steps;
                void *q = block(assay_i8_row_size(&inputs));
                set->quantize_i8(x, 37, 1, &inputs, q, &steps);
                assert_int_equal(!isnan(steps.scale), cases[i].valid);
                free(q);
                int16_t q16[38];
                set->quantize_i16(x, 37, 1, 37, 5000, q16, &scale);
                assert_int_equal(!isnan(scale), cases[i].valid);
            }
}

/* ----------------------------------------------------------------- 16 bits */

/* Scores of q and k, probabilities, and the sum of v: attention of one head. */
static float *attend(const assay_kernels *k, const float *x, size_t rows, size_t length,
                     size_t size)
{
    size_t even = size + size % 2, ld = assay_whole_panels(length);
    float *out = block((rows * size + rows * length) * sizeof *out), *scores = out + rows * size;
    int16_t *q = block(rows * even * 2), *key = block(length * even * 2);
    int16_t *value = block(length * even * 2), *p = block(rows * ld * 2);
    int16_t *keys = block(assay_i16_panels_size(length, size) * 2);
    int16_t *values = block(assay_i16_panels_size(size, length) * 2);
    float scales[3];
    k->quantize_i16(x, size, rows, size, 4000, q, &scales[0]);
    k->quantize_i16(x, size, length, size, 4000, key, &scales[1]);
    k->quantize_i16(x, size, length, size, 32767, value, &scales[2]);
    k->pack_i16(key, even, length, size, keys);
    k->pack_transposed_i16(value, even, size, length, values);
    k->gemm_i16(q, even, rows, keys, length, size, scales[0] * scales[1], scores, length);
    int32_t *sums = block(rows * ld * sizeof *sums);
    k->sums_i16(q, even, rows, keys, length, size, sums, ld);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < ld; j++)
            assert_true(j < length ? (float)sums[i * ld + j] * (scales[0] * scales[1]) ==
                                         scores[i * length + j] : sums[i * ld + j] == 0);
    k->softmax_i16(sums, ld, rows, length, scales[0] * scales[1], p, ld);
    k->gemm_i16(p, ld, rows, values, size, length, scales[2] / ASSAY_I16_ONE, out, size);
    free(q), free(key), free(value), free(p), free(keys), free(values), free(sums);
    return out;
}

static void expect_attention(const float *x, const float *got, size_t rows, size_t length,
                             size_t size)
{
    double *p = block(length * sizeof *p);
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < length; j++) {
            double score = 0;
            for (size_t d = 0; d < size; d++)
                score += (double)x[i * size + d] * (double)x[j * size + d];
            assert_true(fabs((double)got[rows * size + i * length + j] - score) < 0.03);
            sum += p[j] = exp2(score);
        }
        for (size_t d = 0; d < size; d++) {
            double value = 0;
            for (size_t j = 0; j < length; j++)
                value += p[j] / sum * (double)x[j * size + d];
            assert_true(fabs((double)got[i * size + d] - value) < 0.02);
        }
    }
    free(p);
}

static void attention_agrees_and_is_right(void **state)
{
    (void)state;
    for (size_t round = 0; round < 150; round++) {
        size_t length = 1 + below(round % 10 ? 60 : 300), size = 1 + below(70);
        size_t rows = 1 + below(length), i = 0;
        float *x = floats(length * size, false);
        float *expected = attend(next_set(&i), x, rows, length, size);
        expect_attention(x, expected, rows, length, size);
        const assay_kernels *set;
        while ((set = next_set(&i)) != NULL) {
            float *got = attend(set, x, rows, length, size);
            expect_same(got, expected, rows * size + rows * length, set->name, "attention");
            free(got);
        }
        free(expected);
        free(x);
    }
}

/* A row of sums anywhere in what 32 bits hold, the least and the largest among them. */
static int32_t *any_sums(size_t n)
{
    int32_t *x = block(assay_whole_panels(n) * sizeof *x);
    for (size_t i = 0; i < assay_whole_panels(n); i++)
        x[i] = (int32_t)(below(UINT32_MAX) >> below(31)) * (below(2) ? 1 : -1);
    x[below(n)] = INT32_MIN;
    x[below(n)] = below(2) ? INT32_MAX : 1 << below(30);
    return x;
}

/* Of a long row: all sets the same, their sum near 1. */
static void probabilities_sum_to_one(void **state)
{
    (void)state;
    static const float scales[] = {0, 0x1p-40f, 0x1p-31f, 0x1p-24f, 1e-3f, 1};
    for (size_t n = 1; n < 9000; n = n * 3 + below(20))
        for (size_t c = 0; c < sizeof scales / sizeof *scales; c++) {
            int32_t *x = any_sums(n);
            size_t room = assay_whole_panels(n), bytes = room * sizeof *x;
            int16_t *expected = block(room * sizeof *expected), *p = block(room * sizeof *p);
            const assay_kernels *set;
            for (size_t s = 0; (set = next_set(&s)) != NULL;) {
                int32_t *kept = block(bytes);
                memcpy(kept, x, bytes);
                int16_t *to = set == scalar() ? expected : p;
                set->softmax_i16(kept, n, 1, n, scales[c], to, room);
                double sum = 0;
                for (size_t i = 0; i < n; i++) {
                    assert_true(to[i] >= 0);
                    assert_int_equal(to[i], expected[i]);
                    sum += to[i];
                }
                assert_true(fabs(sum / 32767 - 1) < 0.5 * (double)n / 32767 + 1e-6);
                for (size_t i = n; i < room; i++)
                    assert_int_equal(to[i], 0);
                free(kept);
            }
            free(x), free(expected), free(p);
        }
}

/* ------------------------------------------------------ rows here and there */

static void dots_at_agree(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 1024; n += ASSAY_I8_STEP) {
        size_t rows = 1 + below(40), count = below(30);
        int8_t *query = block(n), *vectors = block(rows * n);
        uint32_t *at = block(count * sizeof *at);
        int32_t *expected = block(count * sizeof *expected), *got = block(count * sizeof *got);
        bool extreme = below(3) == 0;
        for (size_t i = 0; i < n; i++)
            query[i] = extreme ? 127 : (int8_t)((int)below(255) - 127);
        for (size_t i = 0; i < rows * n; i++)
            vectors[i] = extreme ? (below(2) ? 127 : -127) : (int8_t)((int)below(255) - 127);
        for (size_t i = 0; i < count; i++)
            at[i] = (uint32_t)below(rows);
        scalar()->dots_at_i8(query, vectors, at, count, n, expected);
        const assay_kernels *set;
        for (size_t s = 1; (set = next_set(&s)) != NULL;) {
            set->dots_at_i8(query, vectors, at, count, n, got);
            for (size_t i = 0; i < count; i++)
                if (got[i] != expected[i])
                    fail_msg("%s dots_at_i8: %d, expected %d", set->name, (int)got[i],
                             (int)expected[i]);
        }
        free(query);
        free(vectors);
        free(at);
        free(expected);
        free(got);
    }
}

static void bits_agree(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 1024; n += ASSAY_I8_STEP) {
        size_t rows = 1 + below(90), count = below(70), stride = n / 8 + below(3) * 12;
        int8_t *query = block(n);
        uint8_t *bits = block(rows * stride);
        uint32_t *at = block(count * sizeof *at);
        int32_t *expected = block(count * sizeof *expected), *got = block(count * sizeof *got);
        bool extreme = below(3) == 0;
        for (size_t i = 0; i < n; i++)
            query[i] = extreme ? -127 : (int8_t)((int)below(255) - 127);
        for (size_t i = 0; i < rows * stride; i++)
            bits[i] = extreme ? (below(2) ? 255 : 0) : (uint8_t)below(256);
        for (size_t i = 0; i < count; i++)
            at[i] = (uint32_t)below(rows);
        scalar()->dots_at_bits(query, bits, stride, at, count, n, expected);
        const assay_kernels *set;
        for (size_t s = 1; (set = next_set(&s)) != NULL;) {
            set->dots_at_bits(query, bits, stride, at, count, n, got);
            for (size_t i = 0; i < count; i++)
                if (got[i] != expected[i])
                    fail_msg("%s dots_at_bits: %d, expected %d", set->name, (int)got[i],
                             (int)expected[i]);
        }
        free(query);
        free(bits);
        free(at);
        free(expected);
        free(got);
    }
}

int main(void)
{
    read_settings();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maxsim_i8_agrees),
        cmocka_unit_test(maxsim_residual_agrees),
        cmocka_unit_test(gemm_i8_agrees),
        cmocka_unit_test(gemm_i8_is_a_product),
        cmocka_unit_test(rows_without_numbers_have_no_scale),
        cmocka_unit_test(attention_agrees_and_is_right),
        cmocka_unit_test(probabilities_sum_to_one),
        cmocka_unit_test(dots_at_agree),
        cmocka_unit_test(bits_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
