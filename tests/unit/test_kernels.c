/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kernels.c: every instruction set that this CPU has against the scalar
 * one, bit for bit (a NaN equals any NaN), and the scalar one against double
 * precision. Outputs stand between guards, at odd addresses.
 *
 * $ASSAY_TEST_SEED chooses the numbers; $ASSAY_TEST_QUICK=1 takes fewer shapes,
 * for emulators.
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <assay.h>

#include "base/half.h"
#include "kernel_numbers.h"
#include "kernel_sets.h"

/* ----------------------------------------------------------------- numbers */

typedef enum kind {
    TAME,     /* within [-2, 2] */
    WILD,     /* any exponent, denormals too */
    SPECIAL,  /* tame, with zeros, infinities, NaN and extremes among them */
    KINDS
} kind;

static float number(kind k)
{
    static const uint32_t special[] = {0,          0x80000000, 1,          0x807fffff,
                                       0x00800000, 0x7f7fffff, 0xff7fffff, 0x7f800000,
                                       0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345};
    if (k == WILD)
        return float_of(next() & 0xbfffffff); /* up to 2 */
    if (k == SPECIAL && below(20) == 0)
        return float_of(special[below(sizeof special / sizeof special[0])]);
    return tame();
}

/* ------------------------------------------------------------------ blocks */

#define GUARD 80
#define GUARD_BITS 0x7fa5a5a5u

typedef struct block {
    float *memory;
    float *data; /* [size], not aligned */
    size_t size;
} block;

static block block_new(size_t size)
{
    block b = {malloc((size + 2 * GUARD) * sizeof(float)), NULL, size};
    assert_non_null(b.memory);
    uint32_t bits = GUARD_BITS;
    for (size_t i = 0; i < size + 2 * GUARD; i++)
        memcpy(&b.memory[i], &bits, sizeof bits);
    b.data = b.memory + GUARD - 8 + below(16);
    return b;
}

static block block_random(size_t size, kind k)
{
    block b = block_new(size);
    for (size_t i = 0; i < size; i++)
        b.data[i] = number(k);
    return b;
}

static block block_copy(const block *other)
{
    block b = block_new(other->size);
    memcpy(b.data, other->data, other->size * sizeof(float));
    return b;
}

/* Ends a block; its guards must be whole. */
static void block_free(block *b)
{
    uint32_t bits;
    for (float *p = b->memory; p < b->memory + b->size + 2 * GUARD; p++) {
        if (p >= b->data && p < b->data + b->size)
            continue;
        memcpy(&bits, p, sizeof bits);
        assert_int_equal(bits, GUARD_BITS);
    }
    free(b->memory);
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void expect_same(const block *got, const block *expected, const char *set,
                        const char *what, size_t rows, size_t columns, size_t depth)
{
    assert_int_equal(got->size, expected->size);
    for (size_t i = 0; i < got->size; i++)
        if (!same(got->data[i], expected->data[i]))
            fail_msg("%s %s %zu x %zu x %zu: element %zu is %a, scalar has %a", set, what, rows,
                     columns, depth, i, (double)got->data[i], (double)expected->data[i]);
}

/* -------------------------------------------------------------------- gemm */

typedef struct problem {
    size_t rows, columns, depth, lda, ldc, ld_residual;
    block a, panels, bias, residual, c;
    assay_epilogue epilogue;
    bool has_epilogue, residual_is_c;
} problem;

static problem problem_new(size_t rows, size_t columns, size_t depth, kind k)
{
    problem p = {.rows = rows, .columns = columns, .depth = depth};
    p.lda = depth + below(4);
    p.ldc = columns + below(4);
    p.ld_residual = columns + below(4);
    p.a = block_random(rows * p.lda, k);
    p.c = block_random(rows * p.ldc, TAME);
    p.bias = block_random(columns, k);
    p.residual = block_random(rows * p.ld_residual, k);
    block w = block_random(columns * depth, k);
    p.panels = block_new(assay_panels_size(columns, depth));
    scalar()->pack_f32(w.data, depth, columns, depth, p.panels.data);
    block_free(&w);
    p.has_epilogue = below(4) != 0;
    p.epilogue.activation = (assay_activation)below(4);
    p.epilogue.bias = below(2) ? p.bias.data : NULL;
    size_t residual = below(3);
    p.residual_is_c = residual == 1;
    p.epilogue.residual = residual == 2 ? p.residual.data : NULL;
    p.epilogue.ld_residual = p.residual_is_c ? p.ldc : p.ld_residual;
    return p;
}

static void problem_free(problem *p)
{
    block_free(&p->a);
    block_free(&p->c);
    block_free(&p->bias);
    block_free(&p->residual);
    block_free(&p->panels);
}

static block solve(const problem *p, const assay_kernels *k)
{
    block c = block_copy(&p->c);
    assay_epilogue epilogue = p->epilogue;
    if (p->residual_is_c)
        epilogue.residual = c.data;
    k->gemm_f32(p->a.data, p->lda, p->rows, p->panels.data, p->columns, p->depth,
                p->has_epilogue ? &epilogue : NULL, c.data, p->ldc);
    return c;
}

/* Columns of c that belong to no output keep what they held: expect_same sees
 * it, as both copies held the same. */
static void expect_gemm_agrees(size_t rows, size_t columns, size_t depth, kind k)
{
    problem p = problem_new(rows, columns, depth, k);
    block expected = solve(&p, scalar());
    const assay_kernels *set;
    for (size_t i = 1; (set = next_set(&i)) != NULL;) {
        block got = solve(&p, set);
        expect_same(&got, &expected, set->name, "gemm_f32", rows, columns, depth);
        block_free(&got);
    }
    block_free(&expected);
    problem_free(&p);
}

static void gemm_agrees_on_small_shapes(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 20; rows++)
        for (size_t columns = 1; columns <= 40; columns += quick ? 3 : 1)
            expect_gemm_agrees(rows, columns, 1 + below(70), (kind)below(KINDS));
    for (size_t depth = 0; depth <= 70; depth += quick ? 3 : 1)
        for (kind k = TAME; k < KINDS; k++)
            expect_gemm_agrees(1 + below(30), 1 + below(80), depth, k);
    expect_gemm_agrees(3, 0, 3, TAME);
}

static void gemm_agrees_across_blocks(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {
        {7, 17, 193},   {97, 33, 321},  {13, 16, 641},  {193, 48, 65},  {200, 31, 385},
        {25, 384, 384}, {31, 100, 960}, {385, 20, 70},  {14, 96, 1536}, {128, 128, 32},
        {128, 32, 128}, {65, 300, 300}, {300, 20, 650}, {1, 384, 1537}, {19, 64, 2000},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        size_t rows = shapes[i][0], columns = shapes[i][1], depth = shapes[i][2];
        if (!quick || rows * columns * depth < 700000)
            expect_gemm_agrees(rows, columns, depth, i % 5 ? TAME : WILD);
    }
}

static double exact_activation(assay_activation activation, double x)
{
    switch (activation) {
    case ASSAY_ACTIVATION_GELU:
        return 0.5 * x * erfc(-x * M_SQRT1_2);
    case ASSAY_ACTIVATION_TANH:
        return tanh(x);
    case ASSAY_ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ASSAY_ACTIVATION_NONE:
        break;
    }
    return x;
}

/* Every set against sums in double precision, within the bound of a chain of
 * depth roundings. */
static void gemm_is_a_product(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        problem p = problem_new(1 + below(20), 1 + below(50), 1 + below(400), TAME);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            block c = solve(&p, set);
            for (size_t i = 0; i < p.rows; i++)
                for (size_t j = 0; j < p.columns; j++) {
                    const float *panel = p.panels.data + j / ASSAY_PANEL * ASSAY_PANEL * p.depth;
                    double sum = 0, size = 0;
                    for (size_t k = 0; k < p.depth; k++) {
                        double term = (double)p.a.data[i * p.lda + k] *
                                      (double)panel[k * ASSAY_PANEL + j % ASSAY_PANEL];
                        sum += term;
                        size += fabs(term);
                    }
                    const assay_epilogue *e = &p.epilogue;
                    if (p.has_epilogue) {
                        sum += e->bias ? (double)e->bias[j] : 0;
                        sum = exact_activation(e->activation, sum);
                        if (p.residual_is_c)
                            sum += (double)p.c.data[i * p.ldc + j];
                        else if (e->residual)
                            sum += (double)e->residual[i * e->ld_residual + j];
                    }
                    double bound = ((double)p.depth + 4) * 0x1p-23 * (size + 4);
                    assert_true(fabs((double)c.data[i * p.ldc + j] - sum) <= bound);
                }
            block_free(&c);
        }
        problem_free(&p);
    }
}

/* A row's result does not depend on the rows around it. */
static void gemm_rows_are_independent(void **state)
{
    (void)state;
    problem p = problem_new(50, 37, 700, TAME);
    p.residual_is_c = false;
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        block all = solve(&p, set);
        for (size_t i = 0; i < p.rows; i++) {
            assay_epilogue epilogue = p.epilogue;
            if (epilogue.residual)
                epilogue.residual += i * epilogue.ld_residual;
            block one = block_new(p.columns);
            set->gemm_f32(p.a.data + i * p.lda, p.lda, 1, p.panels.data, p.columns, p.depth,
                          p.has_epilogue ? &epilogue : NULL, one.data, p.columns);
            assert_memory_equal(one.data, all.data + i * p.ldc, p.columns * sizeof(float));
            block_free(&one);
        }
        block_free(&all);
    }
    problem_free(&p);
}

/* -------------------------------------------------------------- activations */

#define BATCH 1024

/* y = activation(x): the product with {1} leaves x as it is, but for -0. */
static void apply(const assay_kernels *k, assay_activation activation, const float *x, size_t n,
                  float *y)
{
    float one[ASSAY_PANEL] = {1};
    assay_epilogue epilogue = {.activation = activation};
    k->gemm_f32(x, 1, n, one, 1, 1, &epilogue, y, 1);
}

/* The bounds that kernels_math.h states. */
static void activations_keep_their_bounds(void **state)
{
    (void)state;
    static float x[BATCH], y[BATCH], z[BATCH];
    for (int batch = 0; batch < (quick ? 16 : 256); batch++) {
        for (size_t i = 0; i < BATCH; i++)
            x[i] = batch % 2 ? number(WILD) : 6 * tame();
        for (assay_activation a = ASSAY_ACTIVATION_GELU; a <= ASSAY_ACTIVATION_RELU; a++) {
            apply(scalar(), a, x, BATCH, y);
            for (size_t i = 0; i < BATCH; i++) {
                double exact = exact_activation(a, (double)x[i]);
                double bound = a == ASSAY_ACTIVATION_GELU   ? 2.5e-7
                               : a == ASSAY_ACTIVATION_TANH ? 9e-8
                                                            : 0;
                assert_true(fabs((double)y[i] - exact) <= bound * fmax(1, fabs((double)x[i])));
            }
            const assay_kernels *set;
            for (size_t s = 1; (set = next_set(&s)) != NULL;) {
                apply(set, a, x, BATCH, z);
                assert_memory_equal(y, z, sizeof y);
            }
        }
    }
}

static void activations_at_the_ends(void **state)
{
    (void)state;
    const float x[] = {NAN, INFINITY, -INFINITY, 0, FLT_MAX, -FLT_MAX, 1e-45f, -1e-45f};
    float y[8];
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        apply(set, ASSAY_ACTIVATION_GELU, x, 8, y);
        assert_true(isnan(y[0]) && y[1] == INFINITY && fabsf(y[2]) < 1e-20f && y[3] == 0);
        assert_true(y[4] == x[4] && fabsf(y[5]) < 1e-20f);
        apply(set, ASSAY_ACTIVATION_TANH, x, 8, y);
        assert_true(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0);
        assert_true(y[4] == 1 && y[5] == -1 && y[6] == x[6] && y[7] == x[7]);
        apply(set, ASSAY_ACTIVATION_RELU, x, 8, y);
        assert_true(isnan(y[0]) && y[1] == INFINITY && y[2] == 0 && y[5] == 0 && y[7] == 0);
    }
}

/* GELU alone, with its derivative: the same as in a product, and within its bound. */
static void gelu_has_its_derivative(void **state)
{
    (void)state;
    for (size_t n = 0; n < (quick ? 40u : 200u); n++) {
        block x = block_random(n, (kind)below(KINDS)), factor = block_random(n, TAME);
        block y = block_new(n), back = block_copy(&factor);
        scalar()->gelu_f32(x.data, n, y.data, back.data);
        for (size_t i = 0; i < n; i++) {
            double at = (double)x.data[i], phi = exp(-at * at / 2) / sqrt(2 * M_PI);
            double slope = 0.5 * erfc(-at * M_SQRT1_2) + (isfinite(at) ? at * phi : 0);
            double found = (double)back.data[i], expected = slope * (double)factor.data[i];
            if (!(isnan(at) ? isnan(back.data[i]) : fabs(found - expected) <= 2 * 1e-6))
                fail_msg("GELU's derivative at %a times %a: %g, expected %g", at,
                         (double)factor.data[i], found, expected);
        }
        block plain = block_new(n);
        apply(scalar(), ASSAY_ACTIVATION_GELU, x.data, n, plain.data);
        for (size_t i = 0; i < n; i++) /* a product makes 0 of -0 */
            assert_true(plain.data[i] == y.data[i] || isnan(y.data[i]));
        const assay_kernels *set;
        for (size_t s = 1; (set = next_set(&s)) != NULL;) {
            block in_place = block_copy(&x), gradient = block_copy(&factor), alone = block_new(n);
            set->gelu_f32(x.data, n, alone.data, NULL);
            set->gelu_f32(in_place.data, n, in_place.data, gradient.data);
            expect_same(&alone, &y, set->name, "gelu_f32", 1, n, 0);
            expect_same(&in_place, &y, set->name, "gelu_f32 in place", 1, n, 0);
            expect_same(&gradient, &back, set->name, "gelu_f32's gradient", 1, n, 0);
            block_free(&in_place);
            block_free(&gradient);
            block_free(&alone);
        }
        block *blocks[] = {&x, &factor, &y, &back, &plain};
        for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
            block_free(blocks[i]);
    }
}

/* ----------------------------------------------------------------- packing */

static void transposing_puts_each_in_its_place(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t rows = below(70), columns = below(50), ldx = columns + below(5);
        size_t width = (rows + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL;
        size_t ldy = width + below(3);
        block x = block_random(rows * ldx, SPECIAL);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            block y = block_new(columns * ldy);
            set->transpose_f32(x.data, ldx, rows, columns, y.data, ldy);
            for (size_t j = 0; j < columns; j++)
                for (size_t i = 0; i < width; i++) {
                    float expected = i < rows ? x.data[i * ldx + j] : 0;
                    assert_memory_equal(&y.data[j * ldy + i], &expected, sizeof expected);
                }
            block_free(&y);
        }
        block_free(&x);
    }
}

static void packing_puts_each_in_its_place(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t columns = below(50), depth = below(60), extra = below(5);
        size_t ldw = depth + extra, ldb = columns + extra;
        block w = block_random(columns * ldw, SPECIAL), b = block_new(depth * ldb);
        for (size_t k = 0; k < depth; k++)
            for (size_t j = 0; j < columns; j++)
                b.data[k * ldb + j] = w.data[j * ldw + k];
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            block p = block_new(assay_panels_size(columns, depth)), t = block_new(p.size);
            set->pack_f32(w.data, ldw, columns, depth, p.data);
            set->pack_transposed_f32(b.data, ldb, columns, depth, t.data);
            for (size_t i = 0; i < p.size; i++) {
                size_t panel = i / (ASSAY_PANEL * depth), k = i / ASSAY_PANEL % depth;
                size_t j = panel * ASSAY_PANEL + i % ASSAY_PANEL;
                float expected = j < columns ? w.data[j * ldw + k] : 0;
                assert_memory_equal(&p.data[i], &expected, sizeof expected);
                assert_memory_equal(&t.data[i], &expected, sizeof expected);
            }
            block_free(&p);
            block_free(&t);
        }
        block_free(&w);
        block_free(&b);
    }
}

/* -------------------------------------------------------------------- rows */

static void expect_rows_agree(size_t rows, size_t n, kind k)
{
    size_t ld = n + below(3);
    block x = block_random(rows * ld, k), query = block_random(n, k);
    block gamma = block_random(n, k), beta = block_random(n, k);
    float scale = below(4) ? 0.25f : number(k);
    block norm = block_copy(&x), soft = block_copy(&x), dots = block_new(rows);
    block dense = block_random(rows * n, k);
    scalar()->layer_norm_f32(x.data, ld, rows, n, gamma.data, beta.data, 1e-12f, norm.data, ld);
    scalar()->softmax_f32(soft.data, ld, rows, n, scale);
    scalar()->dots_f32(query.data, dense.data, rows, n, dots.data);
    const assay_kernels *set;
    for (size_t s = 1; (set = next_set(&s)) != NULL;) {
        block y = block_copy(&x), in_place = block_copy(&x), z = block_copy(&x);
        block d = block_new(rows);
        set->layer_norm_f32(x.data, ld, rows, n, gamma.data, beta.data, 1e-12f, y.data, ld);
        set->layer_norm_f32(in_place.data, ld, rows, n, gamma.data, beta.data, 1e-12f,
                            in_place.data, ld);
        set->softmax_f32(z.data, ld, rows, n, scale);
        set->dots_f32(query.data, dense.data, rows, n, d.data);
        expect_same(&y, &norm, set->name, "layer_norm_f32", rows, n, 0);
        expect_same(&in_place, &norm, set->name, "layer_norm_f32 in place", rows, n, 0);
        expect_same(&z, &soft, set->name, "softmax_f32", rows, n, 0);
        expect_same(&d, &dots, set->name, "dots_f32", rows, n, 0);
        block_free(&y);
        block_free(&in_place);
        block_free(&z);
        block_free(&d);
    }
    block *blocks[] = {&x, &query, &gamma, &beta, &norm, &soft, &dots, &dense};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        block_free(blocks[i]);
}

/* Rows of a matrix here and there, floats and halves. */
static void expect_dots_at_agree(size_t rows, size_t count, size_t n, kind k)
{
    size_t even = (n + 15) / 16 * 16;
    block query = block_random(even, k), matrix = block_random(rows * even, k);
    block expected = block_new(count), got = block_new(count);
    uint32_t *at = calloc(count + 1, sizeof *at);
    assert_non_null(at);
    for (size_t i = 0; i < count; i++)
        at[i] = (uint32_t)below(rows);
    const assay_kernels *set;
    for (size_t s = 1; (set = next_set(&s)) != NULL;) {
        scalar()->dots_at_f32(query.data, matrix.data, at, count, n, expected.data);
        set->dots_at_f32(query.data, matrix.data, at, count, n, got.data);
        expect_same(&got, &expected, set->name, "dots_at_f32", count, n, 0);
        const uint16_t *halves = (const void *)matrix.data; /* any bits, NaN among them */
        scalar()->dots_at_f16(query.data, halves, at, count, even, expected.data);
        set->dots_at_f16(query.data, halves, at, count, even, got.data);
        expect_same(&got, &expected, set->name, "dots_at_f16", count, even, 0);
    }
    for (size_t i = 0; i < count; i++) {
        float alone;
        scalar()->dots_at_f32(query.data, matrix.data, at, count, n, expected.data);
        scalar()->dots_f32(query.data, matrix.data + at[i] * n, 1, n, &alone);
        assert_memory_equal(&alone, expected.data + i, sizeof alone);
    }
    free(at);
    block *blocks[] = {&query, &matrix, &expected, &got};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        block_free(blocks[i]);
}

static void dots_at_agree(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 100; n += quick ? 7 : 1)
        expect_dots_at_agree(1 + below(30), below(20), n, TAME);
    expect_dots_at_agree(50, 33, 384, TAME);
}

static void row_kernels_agree(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 100; n += quick ? 3 : 1)
        for (kind k = TAME; k < KINDS; k++)
            expect_rows_agree(below(12), n, k);
    for (kind k = TAME; k < KINDS; k++) {
        expect_rows_agree(33, 384, k);
        expect_rows_agree(5, 1000, k);
    }
}

static void expect_maxsim_agrees(size_t rows, size_t columns, size_t depth, kind k)
{
    block x = block_random(rows * depth, k), w = block_random(columns * depth, k);
    block before = block_random(columns, k), expected = block_copy(&before);
    block panels = block_new(assay_panels_size(columns, depth));
    scalar()->pack_f32(w.data, depth, columns, depth, panels.data);
    scalar()->maxsim_f32(x.data, rows, panels.data, columns, depth, expected.data);
    for (size_t j = 0; k == TAME && j < columns; j++) {
        double most = (double)before.data[j];
        for (size_t i = 0; i < rows; i++) {
            double sum = 0;
            for (size_t d = 0; d < depth; d++)
                sum += (double)x.data[i * depth + d] * (double)w.data[j * depth + d];
            most = fmax(most, sum);
        }
        assert_true(fabs((double)expected.data[j] - most) < 1e-6 * (double)(depth + 1));
    }
    const assay_kernels *set;
    for (size_t s = 1; (set = next_set(&s)) != NULL;) {
        block best = block_copy(&before);
        set->maxsim_f32(x.data, rows, panels.data, columns, depth, best.data);
        expect_same(&best, &expected, set->name, "maxsim_f32", rows, columns, depth);
        block_free(&best);
    }
    block *blocks[] = {&x, &w, &before, &expected, &panels};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        block_free(blocks[i]);
}

/* Of halves: what widened rows give, to the bit, any bits among them. */
static void expect_maxsim_f16_agrees(size_t rows, size_t columns, size_t depth, kind k)
{
    block x = block_random(rows * depth, k), w = block_random(columns * depth, TAME);
    block wide = block_new(rows * depth), before = block_random(columns, TAME);
    block panels = block_new(assay_panels_size(columns, depth)), expected = block_copy(&before);
    uint16_t *halves = calloc(rows * depth + 1, sizeof *halves);
    assert_non_null(halves);
    for (size_t i = 0; i < rows * depth; i++)
        halves[i] = k == TAME ? assay_half_of(x.data[i]) : (uint16_t)below(65536);
    scalar()->f16_to_f32(halves, rows * depth, wide.data);
    scalar()->pack_f32(w.data, depth, columns, depth, panels.data);
    scalar()->maxsim_f32(wide.data, rows, panels.data, columns, depth, expected.data);
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        block best = block_copy(&before);
        set->maxsim_f16(halves, rows, panels.data, columns, depth, best.data);
        expect_same(&best, &expected, set->name, "maxsim_f16", rows, columns, depth);
        block_free(&best);
    }
    free(halves);
    block *blocks[] = {&x, &w, &wide, &before, &expected, &panels};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        block_free(blocks[i]);
}

static void maxsim_f16_agrees(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 26; rows += quick ? 3 : 1)
        for (size_t columns = 0; columns <= 50; columns += 1 + below(5))
            expect_maxsim_f16_agrees(rows, columns, 1 + below(40), below(3) ? TAME : WILD);
    expect_maxsim_f16_agrees(181, 32, 384, TAME);
    expect_maxsim_f16_agrees(13, 33, ASSAY_MAXSIM_DEPTH, TAME);
}

static void maxsim_agrees(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 26; rows += quick ? 3 : 1)
        for (size_t columns = 0; columns <= 50; columns += 1 + below(5))
            expect_maxsim_agrees(rows, columns, 1 + below(40), below(3) ? TAME : (kind)below(KINDS));
    expect_maxsim_agrees(181, 32, 384, TAME);
}

static void row_kernels_are_right(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        size_t n = 1 + below(400);
        block x = block_random(n, TAME), g = block_random(n, TAME), b = block_random(n, TAME);
        double sum = 0, spread = 0, most = -INFINITY, total = 0, dot = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)x.data[i];
        for (size_t i = 0; i < n; i++) {
            double v = (double)x.data[i];
            spread += (v - sum / (double)n) * (v - sum / (double)n);
            most = fmax(most, 0.5 * v);
            dot += v * (double)g.data[i];
        }
        for (size_t i = 0; i < n; i++)
            total += exp(0.5 * (double)x.data[i] - most);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            block y = block_new(n), z = block_copy(&x);
            float d;
            set->layer_norm_f32(x.data, n, 1, n, g.data, b.data, 1e-3f, y.data, n);
            set->softmax_f32(z.data, n, 1, n, 0.5f);
            set->dots_f32(g.data, x.data, 1, n, &d);
            double inverse = 1 / sqrt(spread / (double)n + 1e-3);
            for (size_t i = 0; i < n; i++) {
                double v = (double)x.data[i];
                double norm = (v - sum / (double)n) * inverse * (double)g.data[i] +
                              (double)b.data[i];
                double soft = exp(0.5 * v - most) / total;
                assert_true(fabs((double)y.data[i] - norm) < 2e-5);
                assert_true(fabs((double)z.data[i] - soft) < 1e-6 * soft);
            }
            assert_true(fabs((double)d - dot) < 1e-6 * (double)n);
            block_free(&y);
            block_free(&z);
        }
        block_free(&x);
        block_free(&g);
        block_free(&b);
    }
}

static void softmax_at_the_ends(void **state)
{
    (void)state;
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        float x[4][3] = {{1, -INFINITY, 1},      /* masked */
                         {NAN, 1, 2},            /* spoils its row only */
                         {1e30f, -1e30f, 1e30f}, /* far apart */
                         {-3e38f, -3e38f, -200}};
        set->softmax_f32(x[0], 3, 4, 3, 1.0f);
        assert_true(x[0][0] == 0.5f && x[0][1] == 0 && x[0][2] == 0.5f);
        assert_true(isnan(x[1][0]) && isnan(x[1][1]) && isnan(x[1][2]));
        assert_true(x[2][0] == 0.5f && x[2][1] == 0 && x[2][2] == 0.5f);
        assert_true(x[3][0] == 0 && x[3][2] == 1);
        float y[3] = {1, 2, 3}; /* a scale below 0 turns the order round */
        set->softmax_f32(y, 3, 1, 3, -10.0f);
        assert_true(y[0] > 0.9999f && y[1] > 4.5e-5f && y[1] < 4.6e-5f && y[2] < 1e-8f);
    }
}

/* ------------------------------------------------------------- conversions */

/* The value of a binary16, by its definition. */
static double value_of_half(uint32_t bits)
{
    int exponent = (int)(bits >> 10 & 0x1f), fraction = (int)(bits & 0x3ff);
    double size = exponent == 0    ? ldexp(fraction, -24)
                  : exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                                   : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -size : size;
}

static void every_half_is_converted(void **state)
{
    (void)state;
    static uint16_t x[65536];
    block half = block_new(65536), brain = block_new(65536);
    for (uint32_t i = 0; i < 65536; i++)
        x[i] = (uint16_t)i;
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;) {
        set->f16_to_f32(x, 65536, half.data);
        set->bf16_to_f32(x, 65536, brain.data);
        for (uint32_t i = 0; i < 65536; i++) {
            uint32_t bits;
            memcpy(&bits, &brain.data[i], sizeof bits);
            assert_int_equal(bits, i << 16);
            memcpy(&bits, &half.data[i], sizeof bits);
            bool nan = (i & 0x7c00) == 0x7c00 && (i & 0x3ff);
            if (nan) /* payload kept, made quiet */
                assert_int_equal(bits, (i & 0x8000) << 16 | 0x7fc00000 | (i & 0x3ff) << 13);
            else
                assert_true((double)half.data[i] == value_of_half(i));
            assert_int_equal(bits >> 31, i >> 15);
        }
    }
    block_free(&half);
    block_free(&brain);
}

static void conversions_keep_to_their_length(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 50; n++) {
        uint16_t *x = malloc(n * sizeof *x + 1); /* exact, so that ASan sees overreads */
        int8_t *b = malloc(n + 1);
        assert_true(x && b);
        for (size_t i = 0; i < n; i++) {
            x[i] = (uint16_t)next();
            b[i] = (int8_t)next();
        }
        block expected[3] = {block_new(n), block_new(n), block_new(n)};
        scalar()->f16_to_f32(x, n, expected[0].data);
        scalar()->bf16_to_f32(x, n, expected[1].data);
        scalar()->i8_to_f32(b, n, 0.37f, expected[2].data);
        for (size_t i = 0; i < n; i++)
            assert_true(expected[2].data[i] == (float)b[i] * 0.37f);
        const assay_kernels *set;
        for (size_t s = 1; (set = next_set(&s)) != NULL;) {
            block got[3] = {block_new(n), block_new(n), block_new(n)};
            set->f16_to_f32(x, n, got[0].data);
            set->bf16_to_f32(x, n, got[1].data);
            set->i8_to_f32(b, n, 0.37f, got[2].data);
            for (size_t i = 0; i < 3; i++) {
                assert_memory_equal(got[i].data, expected[i].data, n * sizeof(float));
                block_free(&got[i]);
            }
        }
        for (size_t i = 0; i < 3; i++)
            block_free(&expected[i]);
        free(x);
        free(b);
    }
}

/* ---------------------------------------------------------------- dispatch */

/* The set chosen in a process of its own, as the choice is made once. */
static void expect_choice(const char *cap, const char *expected)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (cap)
            setenv("ASSAY_CPU", cap, 1);
        else
            unsetenv("ASSAY_CPU");
        _exit(strcmp(assay_cpu(), expected) != 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("ASSAY_CPU=%s does not choose %s", cap ? cap : "(unset)", expected);
}

static void environment_only_lowers_the_choice(void **state)
{
    (void)state;
    const char *best = "scalar";
    expect_choice("scalar", best);
    int usable;
    const assay_kernels *set;
    for (size_t s = 1; (set = assay_kernels_at(s, &usable)) != NULL; s++) {
        best = usable ? set->name : best;
        expect_choice(set->name, best);
    }
    expect_choice(NULL, best);
    expect_choice("", best);
    expect_choice("AVX9", best);
}

int main(void)
{
    read_settings();
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;)
        printf("kernels: %s\n", set->name);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_only_lowers_the_choice), /* before any other */
        cmocka_unit_test(gemm_agrees_on_small_shapes),
        cmocka_unit_test(gemm_agrees_across_blocks),
        cmocka_unit_test(gemm_is_a_product),
        cmocka_unit_test(gemm_rows_are_independent),
        cmocka_unit_test(activations_keep_their_bounds),
        cmocka_unit_test(activations_at_the_ends),
        cmocka_unit_test(gelu_has_its_derivative),
        cmocka_unit_test(transposing_puts_each_in_its_place),
        cmocka_unit_test(packing_puts_each_in_its_place),
        cmocka_unit_test(maxsim_agrees),
        cmocka_unit_test(maxsim_f16_agrees),
        cmocka_unit_test(row_kernels_agree),
        cmocka_unit_test(dots_at_agree),
        cmocka_unit_test(row_kernels_are_right),
        cmocka_unit_test(softmax_at_the_ends),
        cmocka_unit_test(every_half_is_converted),
        cmocka_unit_test(conversions_keep_to_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
