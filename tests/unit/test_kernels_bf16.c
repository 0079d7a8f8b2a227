/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kernels_bf16.c: the kernels on bfloat16, every instruction set that this
 * CPU has against the scalar one, bit for bit where kernels.h promises it (a NaN
 * equals any NaN), and all of them against double precision. Blocks have exactly
 * the promised size, so that AddressSanitizer sees what reads or writes past them.
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

#include <cmocka.h>

#include "kernel_numbers.h"
#include "kernel_sets.h"

static float float_of_bf16(uint16_t x)
{
    return float_of((uint32_t)x << 16);
}

/* Within [-2, 2]; wild ones hold denormals, infinities, NaN and extremes. */
static float number(bool wild)
{
    static const uint32_t odd[] = {0,          0x80000000, 1,          0x807fffff, 0x7f7fffff,
                                   0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001};
    if (wild && below(100) == 0)
        return float_of(odd[below(sizeof odd / sizeof *odd)]);
    return tame();
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

/* ---------------------------------------------------------------- rounding */

/* The nearest bfloat16 by its definition: of the two around x, the nearer, or
 * the one whose last bit is 0. */
static uint16_t nearest(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint16_t lower = (uint16_t)(bits >> 16), sign = lower & 0x8000;
    if (isnan(x))
        return lower | 0x40;
    if (isinf(x))
        return lower;
    if (fabsf(x) < FLT_MIN)
        return sign;
    double size = fabs((double)x), low = fabs((double)float_of_bf16(lower));
    double step = (lower & 0x7fff) == 0x7f7f ? ldexp(1, 120) /* to what would come next */
                                             : fabs((double)float_of_bf16(lower + 1)) - low;
    double rest = size - low;
    return rest > step / 2 || (rest == step / 2 && lower % 2) ? lower + 1 : lower;
}

static void rounding_is_to_the_nearest(void **state)
{
    (void)state;
    static const uint16_t tails[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { TAILS = sizeof tails / sizeof *tails };
    float x[96];
    uint16_t y[96];
    for (uint32_t upper = 0; upper < 65536; upper += 96 / TAILS) {
        for (uint32_t i = 0; i < 96; i++)
            x[i] = float_of(((upper + i / TAILS) & 0xffff) << 16 | tails[i % TAILS]);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            set->round_bf16(x, 96, 1, 96, y);
            for (size_t i = 0; i < 96; i++)
                if (y[i] != nearest(x[i]))
                    fail_msg("%s: %a becomes %04x, expected %04x", set->name, (double)x[i], y[i],
                             nearest(x[i]));
        }
    }
}

/* Rows of any length, filled up with zeros; panels as kernels.h describes them. */
static void operands_keep_their_form(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 100; n += quick ? 7 : 1) {
        size_t rows = below(40), ldx = n + below(3), width = assay_bf16_row_size(n);
        float *x = floats(rows * ldx, true), *turned = floats(n * (rows + 1), false);
        uint16_t *y = block(rows * width * sizeof *y);
        uint16_t *panels = block(assay_bf16_panels_size(rows, n) * sizeof *panels);
        uint16_t *others = block(assay_bf16_panels_size(rows, n) * sizeof *others);
        for (size_t k = 0; k < n; k++)
            for (size_t i = 0; i < rows; i++)
                turned[k * (rows + 1) + i] = x[i * ldx + k];
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            set->round_bf16(x, ldx, rows, n, y);
            set->pack_bf16(x, ldx, rows, n, panels);
            set->pack_transposed_bf16(turned, rows + 1, rows, n, others);
            for (size_t i = 0; i < assay_bf16_panels_size(rows, n); i++) {
                size_t row = i / (ASSAY_PANEL * width) * ASSAY_PANEL + i / 2 % ASSAY_PANEL;
                size_t k = i % (ASSAY_PANEL * width) / (2 * ASSAY_PANEL) * 2 + i % 2;
                uint16_t expected = row < rows && k < n ? nearest(x[row * ldx + k]) : 0;
                assert_int_equal(panels[i], expected);
                assert_int_equal(others[i], expected);
                if (row < rows)
                    assert_int_equal(y[row * width + k], expected);
            }
        }
        free(x);
        free(turned);
        free(y);
        free(panels);
        free(others);
    }
}

/* ----------------------------------------------------------------- product */

typedef struct problem {
    size_t rows, columns, depth, ldc;
    uint16_t *a, *panels;
    float *bias, *residual, *c;
    assay_epilogue epilogue;
    bool residual_is_c;
} problem;

static problem problem_new(size_t rows, size_t columns, size_t depth, bool wild)
{
    problem p = {rows, columns, depth, .ldc = columns + below(4)};
    size_t lda = depth + below(3);
    float *a = floats(rows * lda, wild), *w = floats(columns * depth, wild);
    p.a = block(rows * assay_bf16_row_size(depth) * sizeof *p.a);
    p.panels = block(assay_bf16_panels_size(columns, depth) * sizeof *p.panels);
    scalar()->round_bf16(a, lda, rows, depth, p.a);
    scalar()->pack_bf16(w, depth, columns, depth, p.panels);
    free(a);
    free(w);
    p.bias = floats(columns, wild);
    p.residual = floats(rows * p.ldc, wild);
    p.c = floats(rows * p.ldc, false);
    size_t residual = below(3);
    p.residual_is_c = residual == 1;
    p.epilogue = (assay_epilogue){.bias = below(2) ? p.bias : NULL,
                                  .residual = residual == 2 ? p.residual : NULL,
                                  .ld_residual = p.ldc,
                                  .activation = (assay_activation)below(4)};
    return p;
}

static void problem_free(problem *p)
{
    free(p->a);
    free(p->panels);
    free(p->bias);
    free(p->residual);
    free(p->c);
}

static float *solve(const problem *p, const assay_kernels *k)
{
    float *c = block(p->rows * p->ldc * sizeof *c);
    memcpy(c, p->c, p->rows * p->ldc * sizeof *c);
    assay_epilogue epilogue = p->epilogue;
    if (p->residual_is_c)
        epilogue.residual = c;
    k->gemm_bf16(p->a, p->rows, p->panels, p->columns, p->depth, &epilogue, c, p->ldc);
    return c;
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

/* Output i, j of double precision, and what roundings may make of it. */
static double exact(const problem *p, size_t i, size_t j, double *bound)
{
    size_t width = assay_bf16_row_size(p->depth);
    const uint16_t *panel = p->panels + j / ASSAY_PANEL * ASSAY_PANEL * width;
    double sum = 0, size = 0;
    for (size_t k = 0; k < p->depth; k++) {
        double x = (double)float_of_bf16(p->a[i * width + k]);
        double w = (double)float_of_bf16(
            panel[(k / 2 * ASSAY_PANEL + j % ASSAY_PANEL) * 2 + k % 2]);
        sum += x * w;
        size += fabs(x * w);
    }
    *bound = ((double)p->depth + 4) * 0x1p-23 * (size + 4);
    sum = exact_activation(p->epilogue.activation,
                           sum + (p->epilogue.bias ? (double)p->epilogue.bias[j] : 0));
    const float *residual = p->residual_is_c ? p->c : p->epilogue.residual;
    return sum + (residual ? (double)residual[i * p->ldc + j] : 0);
}

/* Where kernels.h says that the bits are those of the scalar set. */
static bool has_one_chain(const assay_kernels *set)
{
    return strcmp(set->name, "amx") != 0;
}

static void expect_near(const problem *p, const float *c, const char *set)
{
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = 0; j < p->columns; j++) {
            double bound, value = exact(p, i, j, &bound), got = (double)c[i * p->ldc + j];
            if (!(fabs(got - value) <= bound))
                fail_msg("%s gemm_bf16 %zu x %zu x %zu: %g, expected %g", set, p->rows,
                         p->columns, p->depth, got, value);
        }
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* Columns of c that belong to no output keep what they held. */
static void expect_agreement(size_t rows, size_t columns, size_t depth, bool wild)
{
    problem p = problem_new(rows, columns, depth, wild);
    float *expected = solve(&p, scalar());
    const assay_kernels *set;
    for (size_t s = 1; (set = next_set(&s)) != NULL;) {
        float *got = solve(&p, set);
        for (size_t i = 0; i < rows * p.ldc; i++)
            if (has_one_chain(set) ? !same(got[i], expected[i])
                                   : i % p.ldc >= columns && got[i] != p.c[i])
                fail_msg("%s gemm_bf16 %zu x %zu x %zu: element %zu is %a, scalar has %a",
                         set->name, rows, columns, depth, i, (double)got[i],
                         (double)expected[i]);
        free(got);
    }
    free(expected);
    problem_free(&p);
}

static void gemm_bf16_agrees(void **state)
{
    (void)state;
    for (size_t rows = 0; rows <= 36; rows += quick ? 5 : 1)
        for (size_t columns = 1; columns <= 70; columns += quick ? 11 : 3)
            expect_agreement(rows, columns, 1 + below(100), below(2));
    for (size_t depth = 0; depth <= 140; depth += quick ? 9 : 1)
        expect_agreement(1 + below(40), 1 + below(50), depth, below(2));
    expect_agreement(3, 0, 3, false);
    static const size_t shapes[][3] = {
        {200, 31, 385}, {25, 384, 384}, {5, 33, 1536}, {67, 100, 3072}, {1, 64, 5000}};
    for (size_t i = 0; i < (quick ? 1 : sizeof shapes / sizeof *shapes); i++)
        for (size_t round = 0; round < 2; round++)
            expect_agreement(shapes[i][0], shapes[i][1], shapes[i][2], round);
}

static void gemm_bf16_is_a_product(void **state)
{
    (void)state;
    for (size_t round = 0; round < (quick ? 15 : 60); round++) {
        problem p = problem_new(1 + below(40), 1 + below(70), 1 + below(400), false);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            float *c = solve(&p, set);
            expect_near(&p, c, set->name);
            free(c);
        }
        problem_free(&p);
    }
}

/* A row's result does not depend on the rows around it. */
static void rows_are_independent(void **state)
{
    (void)state;
    for (size_t round = 0; round < (quick ? 2 : 8); round++) {
        problem p = problem_new(1 + below(70), 1 + below(70), 1 + below(700), false);
        p.residual_is_c = false;
        size_t width = assay_bf16_row_size(p.depth);
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            float *all = solve(&p, set), *some = block(p.rows * p.columns * sizeof *some);
            for (size_t i = 0, count; i < p.rows; i += count) {
                count = 1 + below(p.rows - i);
                assay_epilogue epilogue = p.epilogue;
                if (epilogue.residual)
                    epilogue.residual += i * epilogue.ld_residual;
                set->gemm_bf16(p.a + i * width, count, p.panels, p.columns, p.depth, &epilogue,
                               some, p.columns);
                for (size_t row = 0; row < count; row++)
                    assert_memory_equal(some + row * p.columns, all + (i + row) * p.ldc,
                                        p.columns * sizeof *some);
            }
            free(all);
            free(some);
        }
        problem_free(&p);
    }
}

/* Sums below the smallest normal float may be made 0 on the way, and no more. */
static void tiny_sums_are_small(void **state)
{
    (void)state;
    float x[40], w[40];
    for (size_t round = 0; round < 200; round++) {
        double sum = 0;
        for (size_t i = 0; i < 40; i++) {
            x[i] = ldexpf((float)(1 + below(100)), -70 - (int)below(3));
            w[i] = ldexpf((float)below(100) - 50, -70 - (int)below(3));
            sum += (double)x[i] * (double)w[i];
        }
        uint16_t a[64], panels[64 * ASSAY_PANEL];
        const assay_kernels *set;
        for (size_t s = 0; (set = next_set(&s)) != NULL;) {
            float c;
            set->round_bf16(x, 40, 1, 40, a);
            set->pack_bf16(w, 40, 1, 40, panels);
            set->gemm_bf16(a, 1, panels, 1, 40, NULL, &c, 1);
            assert_true(fabs((double)c - sum) <= 80 * (double)FLT_MIN);
        }
    }
}

/* NaN and infinity reach their row, and no other. */
static void what_is_no_number_stays_in_its_row(void **state)
{
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, FLT_MAX};
    const size_t rows = 40, columns = 33, depth = 70;
    const assay_kernels *set;
    for (size_t s = 0; (set = next_set(&s)) != NULL;)
        for (size_t i = 0; i < 40; i++) {
            problem p = problem_new(rows, columns, depth, false);
            p.epilogue = (assay_epilogue){0};
            p.residual_is_c = false;
            size_t row = below(rows), width = assay_bf16_row_size(depth);
            float x = odd[i % 4];
            set->round_bf16(&x, 1, 1, 1, p.a + row * width); /* the rest of the row is 0 */
            float *c = solve(&p, set);
            for (size_t r = 0; r < rows; r++)
                for (size_t j = 0; j < columns; j++)
                    assert_int_equal(!isfinite(c[r * p.ldc + j]), r == row);
            free(c);
            problem_free(&p);
        }
}

int main(void)
{
    read_settings();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_is_to_the_nearest),
        cmocka_unit_test(operands_keep_their_form),
        cmocka_unit_test(gemm_bf16_agrees),
        cmocka_unit_test(gemm_bf16_is_a_product),
        cmocka_unit_test(rows_are_independent),
        cmocka_unit_test(tiny_sums_are_small),
        cmocka_unit_test(what_is_no_number_stays_in_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
