/* SPDX-License-Identifier: Apache-2.0 */
/* test_losses.c: losses and gradients equal to PyTorch's (tools/golden/losses.py), and
 * gradients to finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/random.h"
#include "learn/losses.h"

enum { MOST = 64 };

static void check_near(double value, double right, double within, const char *what)
{
    if (!(fabs(value - right) <= within * (1 + fabs(right))))
        fail_msg("%s: %.9g is not %.9g", what, value, right);
}

static json_t *goldens(void)
{
    json_t *all = NULL;
    assert_int_equal(assay_json_read("tests/golden/losses.json", 1 << 20, &all, NULL), ASSAY_OK);
    return all;
}

static size_t floats_of(const json_t *list, float *out)
{
    size_t count = json_array_size(list);
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)json_number_value(json_array_get(list, i));
    return count;
}

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static assay_loss_kind kind_named(const char *name)
{
    for (assay_loss_kind kind = 0; kind < ASSAY_LOSS_KINDS; kind++)
        if (strcmp(assay_loss_name(kind), name) == 0)
            return kind;
    fail_msg("%s is no loss", name);
    return 0;
}

static void lists_equal_torch(void **state)
{
    (void)state;
    json_t *all = goldens();
    const json_t *lists = json_object_get(all, "lists"), *golden;
    size_t i, seen[ASSAY_LOSS_KINDS] = {0};
    json_array_foreach (lists, i, golden) {
        const char *name = json_string_value(json_object_get(golden, "kind"));
        float scores[MOST], teacher[MOST], expected[MOST], gradient[MOST];
        int32_t grades[MOST];
        size_t count = floats_of(json_object_get(golden, "scores"), scores);
        floats_of(json_object_get(golden, "teacher"), teacher);
        floats_of(json_object_get(golden, "gradient"), expected);
        for (size_t k = 0; k < count; k++)
            grades[k] = (int32_t)json_integer_value(
                json_array_get(json_object_get(golden, "grades"), k));
        assay_loss loss = {.kind = kind_named(name),
                           .binary = number(golden, "binary"),
                           .margin = number(golden, "margin"),
                           .temperature = number(golden, "temperature"),
                           .labels = number(golden, "labels")};
        assay_loss_list list = {scores, grades, teacher, count};
        check_near(assay_loss_of_list(&loss, &list, 1, gradient), number(golden, "loss"), 1e-6,
                   name);
        for (size_t k = 0; k < count; k++)
            check_near((double)gradient[k], (double)expected[k], 1e-6, name);
        assay_loss_of_list(&loss, &list, 0.25, gradient);
        for (size_t k = 0; k < count; k++)
            check_near((double)gradient[k], 0.25 * (double)expected[k], 1e-6, "scaled");
        seen[loss.kind]++;
    }
    for (assay_loss_kind kind = 0; kind < ASSAY_LOSS_KINDS; kind++)
        assert_true(seen[kind] > 0);
    json_decref(all);
}

static void batches_equal_torch(void **state)
{
    (void)state;
    json_t *all = goldens();
    const json_t *batches = json_object_get(all, "batches"), *golden;
    size_t i;
    json_array_foreach (batches, i, golden) {
        const json_t *rows = json_object_get(golden, "similarity");
        size_t queries = json_array_size(rows), passages = 0;
        float similarity[MOST], expected[MOST], gradient[MOST];
        uint32_t own[MOST];
        uint8_t left_out[MOST];
        for (size_t q = 0; q < queries; q++) {
            passages = floats_of(json_array_get(rows, q), similarity + q * passages);
            floats_of(json_array_get(json_object_get(golden, "gradient"), q),
                      expected + q * passages);
            own[q] = (uint32_t)json_integer_value(
                json_array_get(json_object_get(golden, "own"), q));
            for (size_t p = 0; p < passages; p++)
                left_out[q * passages + p] = (uint8_t)json_integer_value(json_array_get(
                    json_array_get(json_object_get(golden, "left_out"), q), p));
        }
        double loss = assay_loss_in_batch(similarity, queries, passages, own, left_out,
                                          number(golden, "temperature"), 1, gradient);
        check_near(loss, number(golden, "loss"), 1e-6, "in batch");
        for (size_t k = 0; k < queries * passages; k++)
            check_near((double)gradient[k], (double)expected[k], 1e-6, "in batch");
    }
    assert_true(i > 0);
    json_decref(all);
}

/* A step in float is coarse: what is compared is scaled by it. */
static void gradients_are_differences(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    uint64_t random = 3;
    const int32_t grades[COUNT] = {2, 0, 1, 0, 0, 0};
    for (assay_loss_kind kind = 0; kind < ASSAY_LOSS_KINDS; kind++) {
        assay_loss loss = {
            .kind = kind, .binary = 0.3, .margin = 1, .temperature = 2, .labels = 0.5};
        float scores[COUNT], teacher[COUNT], gradient[COUNT], ignored[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            scores[i] = (float)assay_random_below(&random, 1000) / 250 - 2;
            teacher[i] = (float)assay_random_below(&random, 1000) / 250 - 2;
        }
        assay_loss_list list = {scores, grades, teacher, COUNT};
        assay_loss_of_list(&loss, &list, 1, gradient);
        for (size_t i = 0; i < COUNT; i++) {
            float middle = scores[i], step = 1.0f / 1024;
            scores[i] = middle + step;
            double above = assay_loss_of_list(&loss, &list, 1, ignored);
            scores[i] = middle - step;
            double below = assay_loss_of_list(&loss, &list, 1, ignored);
            scores[i] = middle;
            check_near((double)gradient[i], (above - below) / (2 * (double)step), 1e-4,
                       assay_loss_name(kind));
        }
    }
}

/* Lists that say nothing move nothing, and nothing overflows. */
static void extremes(void **state)
{
    (void)state;
    const int32_t all[3] = {1, 1, 2}, none[3] = {0, 0, 0}, one[3] = {1, 0, 0}, huge[3] = {1000, 0, 0};
    float scores[3] = {1000, -1000, 500}, teacher[3] = {-500, 700, 0}, gradient[3];
    const int32_t *const cases[] = {all, none, one, huge};
    for (assay_loss_kind kind = 0; kind < ASSAY_LOSS_KINDS; kind++) {
        assay_loss loss = {.kind = kind, .margin = 1, .temperature = 1, .labels = 1};
        for (size_t c = 0; c < 4; c++) {
            assay_loss_list list = {scores, cases[c], teacher, 3};
            double value = assay_loss_of_list(&loss, &list, 1, gradient);
            assert_true(isfinite(value));
            for (size_t i = 0; i < 3; i++)
                assert_true(isfinite(gradient[i]));
        }
    }
    assay_loss listwise = {.kind = ASSAY_LOSS_LISTWISE};
    for (size_t c = 0; c < 2; c++) {
        assay_loss_list list = {scores, cases[c], NULL, 3};
        assert_true(assay_loss_of_list(&listwise, &list, 1, gradient) == 0);
        for (size_t i = 0; i < 3; i++)
            assert_true(gradient[i] == 0);
    }
    assay_loss_list empty = {scores, all, NULL, 0};
    assert_true(assay_loss_of_list(&listwise, &empty, 1, gradient) == 0);
    scores[0] = NAN; /* is seen in what comes out */
    assay_loss_list broken = {scores, one, NULL, 3};
    assert_true(!isfinite(assay_loss_of_list(&listwise, &broken, 1, gradient)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_equal_torch),
        cmocka_unit_test(batches_equal_torch),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
