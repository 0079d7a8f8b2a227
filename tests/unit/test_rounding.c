/* SPDX-License-Identifier: Apache-2.0 */
/* test_rounding.c: weights rounded with what is known of their inputs lose less of
 * the output than weights rounded to the nearest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/rounding.h"

enum { DEPTH = 37, ROWS = 500, OUTPUTS = 50 };

static uint64_t seed = 1;

static float uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) / (float)(1 << 23) - 1.0f;
}

/* Rows that are mixtures of `sources` numbers each, about a mean that is not 0. */
static void mix(float *x, size_t rows, size_t depth, size_t sources)
{
    static float loads[DEPTH * DEPTH];
    for (size_t i = 0; i < sources * depth; i++)
        loads[i] = uniform();
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < depth; k++)
            x[i * depth + k] = 3.0f;
        for (size_t s = 0; s < sources; s++) {
            float value = uniform();
            for (size_t k = 0; k < depth; k++)
                x[i * depth + k] += value * loads[s * depth + k];
        }
    }
}

static assay_rounding *learn(const float *x, size_t rows, size_t depth)
{
    assay_observed observed;
    assay_rounding *rounding;
    assert_true(assay_observed_open(&observed, depth, true));
    assay_observe(&observed, x, depth, rows);
    assert_int_equal(observed.rows, rows);
    assert_int_equal(assay_rounding_open(&observed, &rounding, NULL), ASSAY_OK);
    assay_observed_close(&observed);
    return rounding;
}

/* Sum of squares that one output is off over the rows. */
static double off(const float *x, size_t rows, size_t depth, const float *weights,
                  const int8_t *integers, float scale, float shift)
{
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        double error = (double)-shift;
        for (size_t k = 0; k < depth; k++)
            error += (double)x[i * depth + k] *
                     ((double)weights[k] - (double)integers[k] * (double)scale);
        sum += error * error;
    }
    return sum;
}

/* What keeps the mean output where it is. */
static float mean_off(const float *x, size_t rows, size_t depth, const float *weights,
                      const int8_t *integers, float scale)
{
    double sum = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < depth; k++)
            sum += (double)x[i * depth + k] *
                   ((double)weights[k] - (double)integers[k] * (double)scale);
    return (float)(sum / (double)rows);
}

/* Of that of weights rounded to the nearest, with the mean kept too, which part is
 * left? */
static double part_left(size_t rows, size_t depth, size_t sources)
{
    static float x[ROWS * DEPTH], weights[DEPTH], scratch[DEPTH];
    static int8_t integers[DEPTH];
    double compensated = 0, nearest = 0;
    mix(x, rows, depth, sources);
    assay_rounding *rounding = learn(x, rows, depth);
    for (size_t output = 0; output < OUTPUTS; output++) {
        float scale, shift;
        for (size_t k = 0; k < depth; k++)
            weights[k] = uniform();
        assay_round_rows(rounding, weights, 1, integers, &scale, &shift, scratch);
        assert_true(fabsf(shift - mean_off(x, rows, depth, weights, integers, scale)) < 1e-5f);
        compensated += off(x, rows, depth, weights, integers, scale, shift);
        for (size_t k = 0; k < depth; k++) {
            assert_true(integers[k] >= -127);
            integers[k] = (int8_t)rintf(weights[k] / scale);
        }
        shift = mean_off(x, rows, depth, weights, integers, scale);
        nearest += off(x, rows, depth, weights, integers, scale, shift);
    }
    assay_rounding_close(rounding);
    return compensated / nearest;
}

static void correlated_inputs_lose_less(void **state)
{
    (void)state;
    assert_true(part_left(ROWS, DEPTH, 12) < 0.25);
    assert_true(part_left(ROWS, DEPTH, DEPTH) < 0.7);
}

/* Fewer rows than inputs, and inputs that say the same. */
static void inputs_of_low_rank_are_borne(void **state)
{
    (void)state;
    assert_true(part_left(8, DEPTH, DEPTH) < 0.1);
    assert_true(part_left(ROWS, DEPTH, 1) < 0.1);
}

/* One input, whose weight is its row's largest; and one row, whose output stays. */
static void one_is_enough(void **state)
{
    (void)state;
    static float x[ROWS * DEPTH], scratch[DEPTH];
    float weights[DEPTH], scale, shift;
    int8_t integers[DEPTH];
    for (size_t k = 0; k < DEPTH; k++)
        weights[k] = uniform();
    mix(x, ROWS, 1, 1);
    assay_rounding *rounding = learn(x, ROWS, 1);
    assay_round_rows(rounding, weights, 1, integers, &scale, &shift, scratch);
    assert_int_equal(abs(integers[0]), 127);
    assay_rounding_close(rounding);
    mix(x, 1, DEPTH, 3);
    rounding = learn(x, 1, DEPTH);
    assay_round_rows(rounding, weights, 1, integers, &scale, &shift, scratch);
    assert_true(off(x, 1, DEPTH, weights, integers, scale, shift) < 1e-9);
    assay_rounding_close(rounding);
}

static void expect_nearest(const assay_rounding *rounding)
{
    float weights[DEPTH], scratch[DEPTH], scale, shift;
    int8_t integers[DEPTH];
    for (size_t k = 0; k < DEPTH; k++)
        weights[k] = uniform();
    weights[5] = -2.0f;
    assay_round_rows(rounding, weights, 1, integers, &scale, &shift, scratch);
    assert_true(scale == 2.0f / 127.0f && shift == 0);
    for (size_t k = 0; k < DEPTH; k++)
        assert_int_equal(integers[k], (int)rintf(weights[k] / scale));
}

static void nothing_known_rounds_to_the_nearest(void **state)
{
    (void)state;
    static float x[3 * DEPTH];
    assay_rounding *rounding = learn(x, 0, DEPTH);
    expect_nearest(rounding);
    assay_rounding_close(rounding);
    rounding = learn(x, 3, DEPTH); /* all 0 */
    expect_nearest(rounding);
    assay_rounding_close(rounding);
    for (size_t k = 0; k < DEPTH; k++)
        x[k] = k == 7 ? 1e30f : 1.0f; /* its square is beyond float32 */
    rounding = learn(x, 3, DEPTH);
    expect_nearest(rounding);
    assay_rounding_close(rounding);
}

static void zero_weights_have_a_scale(void **state)
{
    (void)state;
    static float x[20 * DEPTH], weights[DEPTH], scratch[DEPTH];
    int8_t integers[DEPTH];
    float scale, shift;
    mix(x, 20, DEPTH, 4);
    assay_rounding *rounding = learn(x, 20, DEPTH);
    assay_round_rows(rounding, weights, 1, integers, &scale, &shift, scratch);
    assert_true(scale > 0 && shift == 0);
    for (size_t k = 0; k < DEPTH; k++)
        assert_int_equal(integers[k], 0);
    assay_rounding_close(rounding);
}

/* Bit for bit. */
static void rows_beside_a_row_change_nothing(void **state)
{
    (void)state;
    enum { TOGETHER = 5 };
    static float x[ROWS * DEPTH], weights[TOGETHER * DEPTH], scratch[TOGETHER * DEPTH];
    int8_t integers[TOGETHER * DEPTH], alone[DEPTH];
    float scales[TOGETHER], shifts[TOGETHER], scale, shift;
    mix(x, ROWS, DEPTH, 12);
    for (size_t k = 0; k < TOGETHER * DEPTH; k++)
        weights[k] = uniform();
    assay_rounding *rounding = learn(x, ROWS, DEPTH);
    assay_round_rows(rounding, weights, TOGETHER, integers, scales, shifts, scratch);
    for (size_t i = 0; i < TOGETHER; i++) {
        assay_round_rows(rounding, weights + i * DEPTH, 1, alone, &scale, &shift, scratch);
        assert_memory_equal(integers + i * DEPTH, alone, DEPTH);
        assert_true(scale == scales[i] && shift == shifts[i]);
    }
    assay_rounding_close(rounding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlated_inputs_lose_less),
        cmocka_unit_test(inputs_of_low_rank_are_borne),
        cmocka_unit_test(one_is_enough),
        cmocka_unit_test(rows_beside_a_row_change_nothing),
        cmocka_unit_test(nothing_known_rounds_to_the_nearest),
        cmocka_unit_test(zero_weights_have_a_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
