/* SPDX-License-Identifier: Apache-2.0 */
/* reranker.c: assay_rerank, whichever kind of model the session has. */
#include "rank/cross_encoder.h"
#include "rank/late_interaction.h"

static assay_status check(const assay_session *session, const assay_text *passages, size_t count,
                          const assay_score *scores, assay_error *error)
{
    if (session == NULL || (count > 0 && (passages == NULL || scores == NULL)))
        return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                          "expected a session, passages and a place for scores");
    if (session->model->config.kind == ASSAY_MODEL_BI_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, session->model->info.path,
                          "a bi-encoder embeds texts; reranking needs a cross-encoder, or the "
                          "model opened as \"late:NAME\"");
    return ASSAY_OK;
}

assay_status assay_rerank(assay_session *session, assay_text query, const assay_text *passages,
                          size_t count, assay_score *scores, assay_error *error)
{
    ASSAY_TRY(check(session, passages, count, scores, error));
    bool late = session->model->config.kind == ASSAY_MODEL_LATE;
    return (late ? assay_late_rerank : assay_cross_rerank)(session, query, passages, count, scores,
                                                           error);
}
