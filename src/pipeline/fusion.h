/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fusion.h: one list out of two, and one order out of two stages.
 *
 * Scores of different retrievers and rerankers have different scales. Before
 * they are added each list is z-normalised over itself: (score - mean) /
 * standard deviation, 0 where all are equal. It measured better than reciprocal
 * rank fusion (Cormack, Clarke & Buettcher 2009), which can be chosen instead, as can
 * min-max: (score - least) / (best - least).
 */
#ifndef ASSAY_FUSION_H
#define ASSAY_FUSION_H

#include <assay.h>

#include "index/candidates.h"

/* One retriever's list, best first. A retriever that was not asked has no
 * candidates and weight 0. */
typedef struct assay_fusion_list {
    const assay_candidate *candidates; /* [count] */
    size_t count;
    double weight;
} assay_fusion_list;

typedef struct assay_fused {
    uint64_t passage;
    uint32_t rank_bm25, rank_dense; /* 1 is best; 0: not in that list */
    float score_bm25, score_dense;  /* NAN where the rank is 0 */
    float score;                    /* sorted by, descending; ties by passage */
} assay_fused;

/* A passage that one list lacks counts there as the list's last (reciprocal
 * rank: as nothing). With one retriever alone, scores are its own.
 * out[bm25.count + dense.count]; returns how many were written. */
size_t assay_fuse(assay_fusion_list bm25, assay_fusion_list dense, assay_fusion kind,
                  assay_fused *out);

typedef struct assay_moments {
    double mean, deviation;
} assay_moments;

assay_moments assay_moments_of(const double *values, size_t count);
/* (value - mean) / deviation; 0 where all are equal. */
double assay_z(double value, assay_moments moments);

#endif
