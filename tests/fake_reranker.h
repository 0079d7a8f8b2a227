/* SPDX-License-Identifier: Apache-2.0 */
/* fake_reranker.h: what rerankers that stand in for real ones in tests have in common: no
 * state, and the same work for each passage. Only `score` is their own. */
#ifndef ASSAY_FAKE_RERANKER_H
#define ASSAY_FAKE_RERANKER_H

#include "pipeline/reranker.h"

static assay_status open_fake(assay_store *store, const assay_stage_options *stage,
                              const assay_pipeline_options *options, void **out,
                              assay_error *problem)
{
    static char none;
    (void)store, (void)stage, (void)options, (void)problem;
    *out = &none;
    return ASSAY_OK;
}

static void close_fake(void *state)
{
    (void)state;
}

static assay_status begin_fake(void *state, const assay_rerank_call *call, assay_score *scores,
                               double *work, assay_stage_result *result, assay_error *problem)
{
    (void)state, (void)scores, (void)result, (void)problem;
    for (size_t i = 0; i < call->count; i++)
        work[i] = 1;
    return ASSAY_OK;
}

#endif
