/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_encoder.h: passages that are tokens already, against one query.
 *
 *     assay_cross_query(session, query, &error)      tokenises the query alone
 *     assay_cross_cut(session, &passage)             what is read of a passage
 *     assay_cross_score(session, passages, ...)      as assay_rerank scores texts
 *
 * What the query was tokenised to lies in the session until its next call of
 * anything else.
 */
#ifndef ASSAY_CROSS_ENCODER_H
#define ASSAY_CROSS_ENCODER_H

#include "rank/session.h"
#include "text/token_ids.h"

/* assay_rerank with a cross-encoder. */
assay_status assay_cross_rerank(assay_session *session, assay_text query,
                                const assay_text *passages, size_t count, assay_score *scores,
                                assay_error *error);

/* assay_score_pairs with a cross-encoder. */
assay_status assay_cross_score_pairs(assay_session *session, const assay_pair *pairs,
                                     size_t count, assay_score *scores, assay_error *error);

/* How many pairs at the beginning have the same query. */
static inline size_t assay_pairs_of_query(const assay_pair *pairs, size_t count)
{
    size_t n = 1;
    while (n < count && pairs[n].query.data == pairs[0].query.data &&
           pairs[n].query.length == pairs[0].query.length)
        n++;
    return n;
}

/* Errors are those of assay_rerank. */
assay_status assay_cross_query(assay_session *session, assay_text query, assay_error *error);

/* Tokens of a passage that have room beside the query. */
size_t assay_cross_room(const assay_session *session);

/* Cuts a passage to what is read of it. It must have as many ids as there is
 * room for, or all of its text's. */
void assay_cross_cut(const assay_session *session, assay_token_ids *passage);

/* Scores passages that are cut, by the tokenizer of the session's model; scores
 * are the same to the bit as assay_rerank's of the texts. */
assay_status assay_cross_score(assay_session *session, const assay_token_ids *passages,
                               size_t count, assay_score *scores, assay_error *error);

/* Runs the batch and puts logits and probabilities into scores[item], which have the
 * rest already. */
void assay_cross_run(assay_session *session, assay_score *scores);

/* The score of a passage, cut, whose logit is known. */
assay_score assay_cross_known(const assay_session *session, const assay_token_ids *passage,
                              float logit);

#endif
