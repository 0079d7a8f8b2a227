/* SPDX-License-Identifier: Apache-2.0 */
/* test_measures.c: measures equal to trec_eval's, the randomisation test, and
 * what they refuse. Goldens: tools/golden/measures.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "evaluate/qrels.h"
#include "evaluate/run.h"

static void check_near(double value, double right, double within)
{
    if (!(fabs(value - right) <= within))
        fail_msg("%.17g is not %.17g", value, right);
}

#define FOLDER "tests/golden/measures/"

static assay_qrels *qrels_of(const char *text)
{
    assay_qrels *qrels = NULL;
    assay_error error;
    if (assay_qrels_parse(text, strlen(text), "qrels", &qrels, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return qrels;
}

static assay_run *run_of(const char *text)
{
    assay_run *run = NULL;
    assay_error error;
    if (assay_run_parse(text, strlen(text), "run", &run, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return run;
}

static json_t *expected(void)
{
    json_t *all = NULL;
    assert_int_equal(assay_json_read(FOLDER "expected.json", 1 << 20, &all, NULL), ASSAY_OK);
    return all;
}

static void measures_equal_trec_eval(void **state)
{
    (void)state;
    assay_qrels *qrels;
    assay_run *run;
    assert_int_equal(assay_qrels_read(FOLDER "qrels.txt", &qrels, NULL), ASSAY_OK);
    assert_int_equal(assay_run_read(FOLDER "run.txt", &run, NULL), ASSAY_OK);
    json_t *all = expected();
    const char *name;
    json_t *golden;
    size_t seen = 0;
    json_object_foreach (json_object_get(all, "measures"), name, golden) {
        double mean, values[64];
        assert_true(assay_qrels_queries(qrels) <= 64);
        assert_int_equal(assay_measure(qrels, run, name, &mean, values, NULL), ASSAY_OK);
        check_near(mean, json_real_value(json_object_get(golden, "mean")), 1e-12);
        json_t *queries = json_object_get(golden, "queries");
        assert_int_equal(json_object_size(queries), assay_qrels_queries(qrels));
        for (size_t q = 0; q < assay_qrels_queries(qrels); q++) {
            double value =
                json_real_value(json_object_get(queries, assay_qrels_query(qrels, q)));
            if (fabs(values[q] - value) > 1e-12)
                fail_msg("%s of %s: %.17g, trec_eval has %.17g", name,
                         assay_qrels_query(qrels, q), values[q], value);
            seen++;
        }
    }
    assert_true(seen > 300);
    json_decref(all);
    assay_run_free(run);
    assay_qrels_free(qrels);
}

/* By hand, so that a wrong golden does not go unnoticed. */
static void measures_by_hand(void **state)
{
    (void)state;
    assay_qrels *qrels = qrels_of("q 0 a 2\nq 0 b 1\nq 0 c 0\nlost 0 a 1\n");
    assay_run *run = run_of("q Q0 c 1 3 t\nq Q0 a 2 2 t\nq Q0 x 3 1 t\nextra Q0 a 1 1 t\n");
    double mean, values[2];
    assert_int_equal(assay_measure(qrels, run, "ndcg@10", &mean, values, NULL), ASSAY_OK);
    double one = (2 / log2(3)) / (2 + 1 / log2(3));
    check_near(values[0], one, 1e-12);
    check_near(values[1], 0, 0);
    check_near(mean, one / 2, 1e-12);
    assert_int_equal(assay_measure(qrels, run, "mrr", &mean, NULL, NULL), ASSAY_OK);
    check_near(mean, 0.25, 1e-12);
    assert_int_equal(assay_measure(qrels, run, "RR@1", &mean, NULL, NULL), ASSAY_OK);
    check_near(mean, 0, 0);
    assert_int_equal(assay_measure(qrels, run, "MAP@5", &mean, values, NULL), ASSAY_OK);
    check_near(values[0], 0.25, 1e-12);
    assert_int_equal(assay_measure(qrels, run, "P@10", &mean, values, NULL), ASSAY_OK);
    check_near(values[0], 0.1, 1e-12);
    assert_int_equal(assay_measure(qrels, run, "SUCCESS@2", &mean, NULL, NULL), ASSAY_OK);
    check_near(mean, 0.5, 1e-12);
    assay_run_free(run);
    assay_qrels_free(qrels);
}

static void wrong_names_are_told(void **state)
{
    (void)state;
    assay_qrels *qrels = qrels_of("q 0 a 2\n");
    assay_run *run = run_of("");
    static const struct {
        const char *name, *says;
    } wrong[] = {
        {"bpref", "Success@k"},  {"", "known are"},      {"R", "needs a cutoff"},
        {"P@", "whole number"},  {"P@0", "from 1"},      {"nDCG@-3", "whole number"},
        {"nDCG@ten", "\"ten\""}, {"nDCG@1.5", "\"1.5\""}, {"P@99999999999", "whole number"},
        {"nDCG@10@5", "\"10@5\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        double mean = -1;
        assay_error error;
        assert_int_equal(assay_measure(qrels, run, wrong[i].name, &mean, NULL, &error),
                         ASSAY_E_ARGUMENT);
        assert_string_equal(error.where, wrong[i].name);
        if (strstr(error.message, wrong[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", error.message, wrong[i].says);
        check_near(mean, -1, 0);
    }
    assay_run_free(run);
    assay_qrels_free(qrels);
}

static void comparison_equals_scipy(void **state)
{
    (void)state;
    json_t *all = expected(), *golden;
    size_t i;
    json_array_foreach (json_object_get(all, "comparisons"), i, golden) {
        json_t *a = json_object_get(golden, "a"), *b = json_object_get(golden, "b");
        double left[300], right[300], difference, p, again;
        size_t count = json_array_size(a);
        assert_true(count <= 300);
        for (size_t j = 0; j < count; j++) {
            left[j] = json_real_value(json_array_get(a, j));
            right[j] = json_real_value(json_array_get(b, j));
        }
        assert_int_equal(assay_compare(left, right, count, &difference, &p, NULL), ASSAY_OK);
        check_near(difference, json_real_value(json_object_get(golden, "difference")), 1e-12);
        /* Exact up to 16 queries; beyond, both are drawn. */
        check_near(p, json_real_value(json_object_get(golden, "p")),
                            count <= 16 ? 1e-9 : 0.01);
        assert_int_equal(assay_compare(left, right, count, &difference, &again, NULL),
                         ASSAY_OK);
        assert_memory_equal(&p, &again, sizeof p);
    }
    assert_true(i >= 5);
    json_decref(all);
}

static void comparison_at_its_ends(void **state)
{
    (void)state;
    double zero[100] = {0}, one[100], difference, p;
    for (int i = 0; i < 100; i++)
        one[i] = 1;
    assert_int_equal(assay_compare(zero, zero, 100, &difference, &p, NULL), ASSAY_OK);
    check_near(difference, 0, 0);
    check_near(p, 1, 0);
    assert_int_equal(assay_compare(zero, one, 100, &difference, &p, NULL), ASSAY_OK);
    check_near(difference, -1, 0);
    assert_true(p > 0 && p < 1e-4);
    assert_int_equal(assay_compare(one, zero, 3, &difference, &p, NULL), ASSAY_OK);
    check_near(p, 0.25, 1e-12);
    assay_error error;
    assert_int_equal(assay_compare(one, zero, 0, &difference, &p, &error), ASSAY_E_ARGUMENT);
    one[5] = NAN;
    assert_int_equal(assay_compare(one, zero, 100, &difference, &p, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "value 5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_equal_trec_eval),
        cmocka_unit_test(measures_by_hand),
        cmocka_unit_test(wrong_names_are_told),
        cmocka_unit_test(comparison_equals_scipy),
        cmocka_unit_test(comparison_at_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
