/* SPDX-License-Identifier: Apache-2.0 */
/* test_fusion.c: two lists become one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/fusion.h"

static const assay_candidate bm25[] = {{5, 9.0f}, {1, 6.0f}, {2, 3.0f}};
static const assay_candidate dense[] = {{2, 0.8f}, {7, 0.6f}};

static void normalizing_gives_mean_0_and_deviation_1(void **state)
{
    (void)state;
    const double values[] = {1, 2, 3, 4}, equal[] = {5, 5};
    assay_moments m = assay_moments_of(values, 4);
    assert_true(fabs(assay_z(values[0], m) + 1.3416407864998738) < 1e-12);
    assert_true(fabs(assay_z(values[3], m) - 1.3416407864998738) < 1e-12);
    assert_true(assay_z(5, assay_moments_of(equal, 2)) == 0);
    assert_true(assay_z(values[2], assay_moments_of(values + 2, 1)) == 0);
    assert_true(assay_moments_of(NULL, 0).deviation == 0);
}

static void one_list_keeps_its_scores(void **state)
{
    (void)state;
    assay_fused out[3];
    assert_int_equal(assay_fuse((assay_fusion_list){bm25, 3, 1}, (assay_fusion_list){0},
                                ASSAY_FUSION_ZSCORE, out), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(out[i].passage, bm25[i].passage);
        assert_int_equal(out[i].rank_bm25, i + 1);
        assert_int_equal(out[i].rank_dense, 0);
        assert_true(out[i].score == bm25[i].score && isnan(out[i].score_dense));
    }
}

static void expect(const assay_fused out[4], const uint64_t order[4], const double scores[4])
{
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(out[i].passage, order[i]);
        assert_true(fabs(out[i].score - scores[i]) < 1e-6);
    }
}

/* z(bm25) is 1.2247, 0, -1.2247; z(dense) is 1, -1. Passage 2 is in both. */
static void zscores_are_added(void **state)
{
    (void)state;
    assay_fused out[5];
    assert_int_equal(assay_fuse((assay_fusion_list){bm25, 3, 1}, (assay_fusion_list){dense, 2, 2},
                                ASSAY_FUSION_ZSCORE, out), 4);
    const uint64_t order[] = {2, 5, 1, 7};
    const double scores[] = {2 - 1.224744871, 1.224744871 - 2, -2, -1.224744871 - 2};
    expect(out, order, scores);
    assert_int_equal(out[0].rank_bm25, 3);
    assert_int_equal(out[0].rank_dense, 1);
}

/* From 0 to 1 bm25 is 1, 0.5, 0, and dense is 1, 0. */
static void shares_of_the_range_are_added(void **state)
{
    (void)state;
    assay_fused out[5];
    assert_int_equal(assay_fuse((assay_fusion_list){bm25, 3, 1}, (assay_fusion_list){dense, 2, 2},
                                ASSAY_FUSION_MINMAX, out), 4);
    const uint64_t order[] = {2, 5, 1, 7};
    const double scores[] = {2, 1, 0.5, 0};
    expect(out, order, scores);
}

static void reciprocal_ranks_are_added(void **state)
{
    (void)state;
    assay_fused out[5];
    assert_int_equal(assay_fuse((assay_fusion_list){bm25, 3, 1}, (assay_fusion_list){dense, 2, 1},
                                ASSAY_FUSION_RRF, out), 4);
    assert_int_equal(out[0].passage, 2);
    assert_true(fabs(out[0].score - (1.0 / 63 + 1.0 / 61)) < 1e-7);
    assert_int_equal(out[1].passage, 5);
    assert_int_equal(out[2].passage, 1); /* 1/62 twice: by passage */
    assert_int_equal(out[3].passage, 7);
}

static void empty_lists_are_fine(void **state)
{
    (void)state;
    assay_fused out[2];
    assay_fusion_list none = {NULL, 0, 1};
    assert_int_equal(assay_fuse(none, none, ASSAY_FUSION_ZSCORE, out), 0);
    assert_int_equal(assay_fuse(none, (assay_fusion_list){dense, 2, 1}, ASSAY_FUSION_ZSCORE, out),
                     2);
    assert_int_equal(out[0].passage, 2);
    assert_true(fabs(out[0].score - 1) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizing_gives_mean_0_and_deviation_1),
        cmocka_unit_test(one_list_keeps_its_scores),
        cmocka_unit_test(zscores_are_added),
        cmocka_unit_test(shares_of_the_range_are_added),
        cmocka_unit_test(reciprocal_ranks_are_added),
        cmocka_unit_test(empty_lists_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
