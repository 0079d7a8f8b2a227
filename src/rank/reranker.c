/* SPDX-License-Identifier: Apache-2.0 */
/* reranker.c: assay_rerank and assay_score_pairs, whichever kind of model the session
 * has. */
#include <math.h>
#include <stdlib.h>

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

/* One query's pairs after the other's: late interaction encodes each text alone, so
 * little is gained by more at a time. */
static assay_status late_query(assay_session *session, const assay_pair *pairs, size_t count,
                               assay_score *scores, assay_error *error)
{
    assay_error reason;
    assay_text *passages = calloc(count, sizeof *passages);
    if (passages == NULL)
        return assay_fail_memory(error, count * sizeof *passages);
    for (size_t i = 0; i < count; i++)
        passages[i] = pairs[i].passage;
    assay_status status =
        assay_late_rerank(session, pairs[0].query, passages, count, scores, &reason);
    free(passages);
    if (status == ASSAY_E_ARGUMENT || status == ASSAY_E_LIMIT) { /* the query's fault */
        for (size_t i = 0; i < count; i++)
            scores[i] = (assay_score){.logit = -INFINITY, .status = status};
        return ASSAY_OK;
    }
    if (status != ASSAY_OK && error != NULL)
        *error = reason;
    return status;
}

assay_status assay_score_pairs(assay_session *session, const assay_pair *pairs, size_t count,
                               assay_score *scores, assay_error *error)
{
    static const assay_text none;
    ASSAY_TRY(check(session, pairs != NULL ? &none : NULL, count, scores, error));
    if (session->model->config.kind != ASSAY_MODEL_LATE)
        return assay_cross_score_pairs(session, pairs, count, scores, error);
    for (size_t i = 0, n; i < count; i += n) {
        n = assay_pairs_of_query(pairs + i, count - i);
        ASSAY_TRY(late_query(session, pairs + i, n, scores + i, error));
    }
    return ASSAY_OK;
}
