/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_interaction.h: a vector of each token, and MaxSim (Khattab & Zaharia 2020):
 * a passage's score is the sum, over the query's tokens, of the largest inner product
 * with one of the passage's.
 *
 *     assay_late_query(session, query, &error)        encodes the query, once
 *     assay_late_score(session, passages, ...)        encodes passages and scores them
 *     assay_late_maxsim(session, vectors, ...)        scores vectors that were kept
 *
 * What the query became lies in the session until its next query.
 */
#ifndef ASSAY_LATE_INTERACTION_H
#define ASSAY_LATE_INTERACTION_H

#include "rank/session.h"
#include "text/token_ids.h"


/* What a session of late interaction has besides; it is freed with it. */
assay_status assay_late_open(assay_session *session, assay_error *error);

/* assay_rerank with late interaction. */
assay_status assay_late_rerank(assay_session *session, assay_text query,
                               const assay_text *passages, size_t count, assay_score *scores,
                               assay_error *error);

/* A query longer than the model takes is cut, which question.truncated tells. An
 * empty one is ARGUMENT. */
assay_status assay_late_query(assay_session *session, assay_text query, assay_error *error);

/* Whether documents leave out the vectors of this token. */
bool assay_late_skips(const assay_model *model, int32_t id);

/* Tokens of a passage that there is room for. */
size_t assay_late_room(const assay_session *session);

/* Tokens of a passage as it is encoded, cut, with all that is put around it. */
size_t assay_late_tokens(const assay_session *session, const assay_token_ids *passage);

/* As assay_late_rerank, of passages that are tokens already: as many as there is
 * room for, or all. */
assay_status assay_late_score(assay_session *session, const assay_token_ids *passages,
                              size_t count, assay_score *scores, assay_error *error);

/* Gets the vectors of passage `item`, [count][dimensions] of length 1, which it may
 * change; NULL: they are not finite. Called from several threads at once. */
typedef void (*assay_late_fn)(void *user, size_t item, float *vectors, size_t count);

/* Encodes passages; their vectors are pooled where session->pool says so. */
assay_status assay_late_encode(assay_session *session, const assay_token_ids *passages,
                               size_t count, assay_late_fn fn, void *user, assay_error *error);

/* Rows of bytes, each counting a step: what is kept of vectors (see
 * assay_late_quantize). */
typedef struct assay_late_bytes {
    const float *steps; /* [count] */
    const int8_t *rows; /* [count][dimensions] */
    size_t count;
} assay_late_bytes;

/* A row of bytes of a vector: each value over the step, which is returned, rounded to
 * nearest; the largest becomes 127 or -127. */
float assay_late_quantize(const float *vector, size_t n, int8_t *row);

/* Scores of the query and one passage; best[question.count], or NULL, gets the
 * largest product of each of the query's tokens. */
float assay_late_maxsim(const assay_session *session, const float *vectors, size_t count,
                        float *best);
float assay_late_maxsim_i8(const assay_session *session, assay_late_bytes passage, float *best);
/* Of vectors that were kept as binary16. */
float assay_late_maxsim_f16(const assay_session *session, const uint16_t *vectors, size_t count,
                            float *best);

#endif
