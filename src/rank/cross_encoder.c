/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_encoder.c: query and passage through the model together (Nogueira & Cho
 * 2019); see assay_rerank. Input is a pair as the tokenizer lays it out, with
 * BERT's [CLS] query [SEP] passage [SEP]; the passage alone is cut to fit. Of a model
 * that is split (model/encoder.h) each text has room of its own.
 */
#include "rank/cross_encoder.h"

#include <math.h>
#include <stdlib.h>

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

static float probability(float logit)
{
    return 1.0f / (1.0f + expf(-logit));
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
        score->probability = probability(logits[i]);
        if (!isfinite(logits[i])) /* weights that are no numbers */
            fail_score(score, ASSAY_E_CORRUPT);
    }
}

void assay_cross_run(assay_session *session, assay_score *scores)
{
    rerank work = {session, scores};
    assay_batch_run(session, score_block, &work);
}

/* Adds one passage to the batch, or marks it failed; memory fails the call. */
static assay_status add_ids(assay_session *session, const assay_token_ids *passage, size_t item,
                            assay_score *score, assay_error *error)
{
    const assay_tokens *query = &session->first;
    assay_error reason;
    const int32_t *ids = passage->count > 0 ? passage->ids : query->ids;
    assay_status status = assay_batch_add(session, item, query->ids, query->count, ids,
                                          passage->count, &reason);
    *score = assay_cross_known(session, passage, 0);
    if (status == ASSAY_E_MEMORY && error != NULL)
        *error = reason;
    if (status != ASSAY_OK)
        fail_score(score, status);
    return status == ASSAY_E_MEMORY ? status : ASSAY_OK;
}

static assay_status add_text(assay_session *session, assay_text passage, size_t item,
                             assay_score *score, assay_error *error)
{
    assay_tokens *tokens = &session->second;
    tokens->count = 0;
    assay_error reason;
    assay_stopwatch_start(assay_session_watch(session));
    /* One more than there is room for tells of a cut. */
    assay_status status = assay_tokenizer_encode_first(session->model->tokenizer, passage,
                                                       assay_cross_room(session) + 1, tokens,
                                                       &reason);
    assay_stopwatch_read(assay_session_watch(session), ASSAY_OPERATION_TOKENIZE);
    assay_token_ids ids = {tokens->ids, tokens->count, tokens->count};
    assay_cross_cut(session, &ids);
    if (status == ASSAY_OK)
        return add_ids(session, &ids, item, score, error);
    if (status == ASSAY_E_MEMORY && error != NULL)
        *error = reason;
    *score = assay_cross_known(session, &ids, 0);
    fail_score(score, status);
    return status == ASSAY_E_MEMORY ? status : ASSAY_OK;
}

assay_status assay_cross_query(assay_session *session, assay_text query, assay_error *error)
{
    assay_tokens *tokens = &session->first;
    tokens->count = 0;
    assay_stopwatch_start(assay_session_watch(session));
    ASSAY_TRY(assay_tokenizer_encode(session->model->tokenizer, query, tokens, error));
    assay_stopwatch_read(assay_session_watch(session), ASSAY_OPERATION_TOKENIZE);
    if (tokens->count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "query", "empty: there is nothing to look for");
    size_t special = session->pair->special, most = session->max_tokens - special - 1;
    if (tokens->count > most)
        return assay_fail(error, ASSAY_E_LIMIT, "query",
                          "%zu tokens leave no room for a passage: the model takes %u with %zu "
                          "special ones, so a query may have %zu",
                          tokens->count, session->max_tokens, special, most);
    return ASSAY_OK;
}

/* What is read of a passage may depend on the query only where what is made of it does. */
size_t assay_cross_room(const assay_session *session)
{
    const assay_model_config *config = &session->model->config;
    size_t special = session->pair->special, room = session->max_tokens - special;
    if (config->split == 0)
        return room - session->first.count;
    size_t most = assay_split_room(config) - special;
    return room < most ? room : most;
}

void assay_cross_cut(const assay_session *session, assay_token_ids *passage)
{
    size_t room = assay_cross_room(session);
    if (passage->count > room)
        passage->count = room;
}

assay_score assay_cross_known(const assay_session *session, const assay_token_ids *passage,
                              float logit)
{
    return (assay_score){
        .logit = logit,
        .probability = probability(logit),
        .tokens = (uint32_t)(session->first.count + passage->count + session->pair->special),
        .truncated = passage->count < passage->total,
    };
}

/* ---- Scoring ------------------------------------------------------------------ */

/* Passages as texts, or as ids; the other is NULL. */
typedef struct source {
    const assay_text *texts;
    const assay_token_ids *ids;
} source;

/* Scores those that are equal to no earlier one, and copies. */
static assay_status score_all(assay_session *session, source from, size_t count,
                              assay_score *scores, assay_error *error)
{
    const size_t *first = session->repeats.first;
    rerank work = {session, scores};
    assay_batch_begin(session);
    for (size_t i = 0; i < count; i++) {
        if (first[i] != i)
            continue;
        if (session->batch.count == ASSAY_BATCH_SEQUENCES) {
            assay_batch_run(session, score_block, &work);
            assay_batch_begin(session);
        }
        ASSAY_TRY(from.texts != NULL
                      ? add_text(session, from.texts[i], i, &scores[i], error)
                      : add_ids(session, &from.ids[i], i, &scores[i], error));
    }
    assay_batch_run(session, score_block, &work);
    for (size_t i = 0; i < count; i++) {
        scores[i] = scores[first[i]];
        if (from.ids != NULL) /* equal ones may be cut from texts that are not */
            scores[i].truncated = from.ids[i].count < from.ids[i].total;
    }
    return ASSAY_OK;
}

assay_status assay_cross_rerank(assay_session *session, assay_text query,
                                const assay_text *passages, size_t count, assay_score *scores,
                                assay_error *error)
{
    ASSAY_TRY(assay_cross_query(session, query, error));
    ASSAY_TRY(assay_repeats_find(&session->repeats, passages, count, error));
    return score_all(session, (source){.texts = passages}, count, scores, error);
}

assay_status assay_cross_score(assay_session *session, const assay_token_ids *passages,
                               size_t count, assay_score *scores, assay_error *error)
{
    assay_text *bytes = calloc(count + 1, sizeof *bytes);
    if (bytes == NULL)
        return assay_fail_memory(error, count * sizeof *bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (assay_text){(const char *)passages[i].ids,
                                passages[i].count * sizeof *passages[i].ids};
    assay_status status = assay_repeats_find(&session->repeats, bytes, count, error);
    free(bytes);
    ASSAY_TRY(status);
    return score_all(session, (source){.ids = passages}, count, scores, error);
}

/* ---- Pairs of many queries ------------------------------------------------------ */

/* Adds the pairs begin .. begin + count - 1, which have one query, to the batch.
 * first[i] becomes the pair that i gets its score from. */
static assay_status add_pairs(assay_session *session, const assay_pair *pairs, size_t begin,
                              size_t count, size_t *first, rerank *work, assay_error *error)
{
    assay_text *passages = calloc(count, sizeof *passages);
    if (passages == NULL)
        return assay_fail_memory(error, count * sizeof *passages);
    for (size_t i = 0; i < count; i++)
        passages[i] = pairs[begin + i].passage;
    assay_status status = assay_repeats_find(&session->repeats, passages, count, error);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        first[begin + i] = begin + session->repeats.first[i];
        if (session->repeats.first[i] != i)
            continue;
        if (session->batch.count == ASSAY_BATCH_SEQUENCES) {
            assay_batch_run(session, score_block, work);
            assay_batch_begin(session);
        }
        status = add_text(session, passages[i], begin + i, &work->scores[begin + i], error);
    }
    free(passages);
    return status;
}

static assay_status score_groups(assay_session *session, const assay_pair *pairs, size_t count,
                                 size_t *first, rerank *work, assay_error *error)
{
    assay_batch_begin(session);
    for (size_t begin = 0, n; begin < count; begin += n) {
        n = assay_pairs_of_query(pairs + begin, count - begin);
        assay_error reason;
        assay_status status = assay_cross_query(session, pairs[begin].query, &reason);
        if (status == ASSAY_OK) {
            ASSAY_TRY(add_pairs(session, pairs, begin, n, first, work, error));
            continue;
        }
        for (size_t i = begin; i < begin + n; i++) {
            work->scores[i] = (assay_score){.tokens = (uint32_t)session->first.count};
            fail_score(&work->scores[i], status);
            first[i] = i;
        }
    }
    assay_batch_run(session, score_block, work);
    for (size_t i = 0; i < count; i++)
        work->scores[i] = work->scores[first[i]];
    return ASSAY_OK;
}

assay_status assay_cross_score_pairs(assay_session *session, const assay_pair *pairs,
                                     size_t count, assay_score *scores, assay_error *error)
{
    size_t *first = calloc(count + 1, sizeof *first);
    if (first == NULL)
        return assay_fail_memory(error, count * sizeof *first);
    rerank work = {session, scores};
    assay_status status = score_groups(session, pairs, count, first, &work, error);
    free(first);
    return status;
}
