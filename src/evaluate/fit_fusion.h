/* SPDX-License-Identifier: Apache-2.0 */
/* fit_fusion.h: the weights of BM25 and vectors, fitted to judged queries. */
#ifndef ASSAY_FIT_FUSION_H
#define ASSAY_FIT_FUSION_H

#include "pipeline/pipeline.h"

typedef struct assay_fusion_fit {
    bool better;                       /* than what the pipeline has: these are: */
    double bm25_weight, dense_weight;  /* as it has them where it is not */
} assay_fusion_fit;

/* Fits on queries[picked[0]], queries[picked[2]], ...: the other half is for who tells
 * what it was worth. The pipeline is hybrid; it is not changed. */
assay_status assay_fusion_weights(assay_pipeline *pipeline, const assay_queries *queries,
                                  const size_t *picked, size_t count, const assay_qrels *qrels,
                                  assay_progress_fn progress, void *user, assay_fusion_fit *out,
                                  assay_error *error);

#endif
