/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_encoder.c: query and passage through the model together (Nogueira & Cho
 * 2019); see assay_rerank. Input is [CLS] query [SEP] passage [SEP] with token
 * types 0 and 1; the passage alone is cut to fit.
 */
#include <math.h>

#include "rank/session.h"

enum { SPECIAL = 3 };

typedef struct rerank {
    const assay_session *session;
    assay_score *scores;
} rerank;

static void fail_score(assay_score *score, assay_status status)
{
    score->status = status;
    score->logit = -INFINITY;
    score->probability = 0;
}

static void score_block(void *user, const assay_sequence *sequences, size_t count,
                        float *states, float *spare)
{
    const rerank *work = user;
    /* The head takes the states to spare, and leaves the logits in their place. */
    float *logits = states;
    assay_encoder_classify(&work->session->model->encoder, states, count, spare, logits);
    for (size_t i = 0; i < count; i++) {
        assay_score *score = &work->scores[sequences[i].item];
        score->logit = logits[i];
        score->probability = 1.0f / (1.0f + expf(-logits[i]));
        if (!isfinite(logits[i])) /* weights that are no numbers */
            fail_score(score, ASSAY_E_CORRUPT);
    }
}

/* Adds one passage to the batch, or marks it failed; memory fails the call. */
static assay_status add_passage(assay_session *session, assay_text passage, size_t item,
                                assay_score *score, assay_error *error)
{
    assay_tokens *tokens = &session->second;
    tokens->count = 0;
    *score = (assay_score){0};
    assay_error reason;
    size_t room = session->max_tokens - SPECIAL - session->first.count;
    assay_status status = assay_tokenizer_encode(session->model->tokenizer, passage, tokens,
                                                 &reason);
    size_t keep = tokens->count < room ? tokens->count : room;
    if (status == ASSAY_OK)
        status = assay_batch_add(session, item, session->first.ids, session->first.count,
                                 tokens->count > 0 ? tokens->ids : session->first.ids, keep,
                                 &reason);
    if (status == ASSAY_E_MEMORY && error != NULL)
        *error = reason;
    if (status != ASSAY_OK)
        fail_score(score, status);
    score->tokens = (uint32_t)(session->first.count + keep + SPECIAL);
    score->truncated = keep < tokens->count;
    return status == ASSAY_E_MEMORY ? status : ASSAY_OK;
}

static assay_status read_query(assay_session *session, assay_text query, assay_error *error)
{
    assay_tokens *tokens = &session->first;
    tokens->count = 0;
    ASSAY_TRY(assay_tokenizer_encode(session->model->tokenizer, query, tokens, error));
    if (tokens->count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "query", "empty: there is nothing to look for");
    if (tokens->count + SPECIAL + 1 > session->max_tokens)
        return assay_fail(error, ASSAY_E_LIMIT, "query",
                          "%zu tokens leave no room for a passage: the model takes %u with %d "
                          "special ones, so a query may have %u",
                          tokens->count, session->max_tokens, SPECIAL,
                          session->max_tokens - SPECIAL - 1);
    return ASSAY_OK;
}

static assay_status check(const assay_session *session, const assay_text *passages, size_t count,
                          const assay_score *scores, assay_error *error)
{
    if (session == NULL || (count > 0 && (passages == NULL || scores == NULL)))
        return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                          "expected a session, passages and a place for scores");
    if (session->model->config.kind != ASSAY_MODEL_CROSS_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, session->model->info.path,
                          "a bi-encoder embeds texts; reranking needs a cross-encoder");
    return ASSAY_OK;
}

assay_status assay_rerank(assay_session *session, assay_text query, const assay_text *passages,
                          size_t count, assay_score *scores, assay_error *error)
{
    ASSAY_TRY(check(session, passages, count, scores, error));
    ASSAY_TRY(read_query(session, query, error));
    rerank work = {session, scores};
    for (size_t first = 0; first < count; first += ASSAY_BATCH_SEQUENCES) {
        assay_batch_begin(session);
        for (size_t i = first; i < count && i - first < ASSAY_BATCH_SEQUENCES; i++)
            ASSAY_TRY(add_passage(session, passages[i], i, &scores[i], error));
        assay_batch_run(session, score_block, &work);
    }
    return ASSAY_OK;
}
