/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_split.h: a cross-encoder that is split (model/encoder.h; MacAvaney et al. 2020,
 * "Efficient Document Re-Ranking for Transformers by Precomputing Term Representations"):
 * its lower layers' part of a passage may be done long before there is a query.
 *
 *     assay_split_encode(session, passages, ...)        the passages' states, to be kept
 *     assay_split_query(session, query, &error)         the query's, which the session keeps
 *     assay_split_score(session, states, ...)           the layers in which both meet
 *
 * With the states as they come, floats, scores are those of assay_cross_score, to the bit.
 * As they are kept, in bytes (assay_late_quantize a row), they are not; but those of a
 * passage are the same whether its bytes were kept or just made.
 */
#ifndef ASSAY_CROSS_SPLIT_H
#define ASSAY_CROSS_SPLIT_H

#include "rank/cross_encoder.h"

/* Whether a model's passages can be done before. */
bool assay_split_is(const assay_model *model);

/* assay_cross_query, and the query's way through the lower layers. */
assay_status assay_split_query(assay_session *session, assay_text query, assay_error *error);

/* Rows of states that a passage comes to, which is cut: its tokens and the special ones. */
size_t assay_split_tokens(const assay_session *session, const assay_token_ids *passage);

/* states[count][hidden], until it returns; NULL, 0: they are not finite. From several
 * threads at once, each item once. */
typedef void (*assay_split_fn)(void *user, size_t item, float *states, size_t count);

/* Takes passages, cut or not, through the lower layers. The session's query stays. */
assay_status assay_split_encode(assay_session *session, const assay_token_ids *passages,
                                size_t count, assay_split_fn fn, void *user, assay_error *error);

typedef struct assay_split_passage {
    assay_states states;
    size_t count;   /* rows */
    bool truncated;
} assay_split_passage;

/* scores[count] for the session's query. */
assay_status assay_split_score(assay_session *session, const assay_split_passage *passages,
                               size_t count, assay_score *scores, assay_error *error);

#endif
