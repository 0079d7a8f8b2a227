/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_split.c: see cross_split.h.
 *
 * Departs from the paper in that there is no layer that makes states narrower: a row of
 * bytes is a quarter of its floats already, and reading it costs next to nothing.
 */
#include "rank/cross_split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool assay_split_is(const assay_model *model)
{
    return model->config.split > 0;
}

/* ---- Lower layers ---------------------------------------------------------------- */

static bool all_finite(const float *x, size_t n)
{
    float sum = 0; /* of what is 0, unless it is no number */
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0.0f;
    return sum == 0;
}

static void take_query(void *user, const assay_sequence *sequence, size_t count, float *states,
                       float *spare)
{
    (void)spare, (void)count;
    assay_asked *asked = &((assay_session *)user)->asked;
    asked->count = sequence->count;
    memcpy(asked->states, states, asked->count * asked->hidden * sizeof *states);
}

static assay_status make_room(assay_asked *asked, size_t count, assay_error *error)
{
    if (count <= asked->capacity)
        return ASSAY_OK;
    size_t bytes = count * asked->hidden * sizeof *asked->states;
    free(asked->states);
    asked->states = malloc(bytes);
    asked->capacity = asked->states != NULL ? count : 0;
    return asked->states != NULL ? ASSAY_OK : assay_fail_memory(error, bytes);
}

assay_status assay_split_query(assay_session *session, assay_text query, assay_error *error)
{
    assay_asked *asked = &session->asked;
    const assay_tokens *tokens = &session->first;
    ASSAY_TRY(assay_cross_query(session, query, error));
    asked->hidden = session->model->config.hidden;
    ASSAY_TRY(make_room(asked, tokens->count + session->pair->special, error));
    assay_batch_begin_stretch(session, ASSAY_STRETCH_APART);
    ASSAY_TRY(assay_batch_add_part(session, 0, 0, tokens->ids, tokens->count, error));
    assay_batch_run(session, take_query, session);
    return ASSAY_OK;
}

/* Special tokens that lie in the passage's part of a pair. */
static size_t special_of(const assay_session *session)
{
    size_t count = 0;
    for (size_t i = 0; i < session->pair->count; i++)
        count += session->pair->pieces[i].kind == ASSAY_PIECE_SPECIAL &&
                 session->pair->pieces[i].type == 1;
    return count;
}

size_t assay_split_tokens(const assay_session *session, const assay_token_ids *passage)
{
    size_t room = assay_cross_room(session);
    return special_of(session) + (passage->count < room ? passage->count : room);
}

typedef struct encoding {
    const assay_session *session;
    assay_split_fn fn;
    void *user;
} encoding;

static void take_passages(void *user, const assay_sequence *sequences, size_t count,
                          float *states, float *spare)
{
    (void)spare;
    const encoding *work = user;
    size_t hidden = work->session->model->config.hidden;
    for (size_t i = 0; i < count; i++) {
        size_t rows = sequences[i].count;
        bool finite = all_finite(states, rows * hidden);
        work->fn(work->user, sequences[i].item, finite ? states : NULL, finite ? rows : 0);
        states += rows * hidden;
    }
}

assay_status assay_split_encode(assay_session *session, const assay_token_ids *passages,
                                size_t count, assay_split_fn fn, void *user, assay_error *error)
{
    encoding work = {session, fn, user};
    assay_batch_begin_stretch(session, ASSAY_STRETCH_APART);
    for (size_t i = 0; i < count; i++) {
        if (session->batch.count == ASSAY_BATCH_SEQUENCES) {
            assay_batch_run(session, take_passages, &work);
            assay_batch_begin_stretch(session, ASSAY_STRETCH_APART);
        }
        assay_token_ids cut = passages[i];
        assay_cross_cut(session, &cut);
        ASSAY_TRY(assay_batch_add_part(session, i, 1, cut.ids, cut.count, error));
    }
    assay_batch_run(session, take_passages, &work);
    return ASSAY_OK;
}

/* ---- Upper layers ---------------------------------------------------------------- */

static assay_status score_some(assay_session *session, const assay_split_passage *passages,
                               assay_states (*below)[2], size_t count, assay_score *scores,
                               assay_error *error)
{
    const assay_asked *asked = &session->asked;
    size_t special = special_of(session);
    assay_batch_begin_stretch(session, ASSAY_STRETCH_JOINED);
    for (size_t i = 0; i < count; i++) {
        const assay_token_ids ids = {.count = passages[i].count - special,
                                     .total = passages[i].count - special + passages[i].truncated};
        below[i][0] = (assay_states){.floats = asked->states};
        below[i][1] = passages[i].states;
        scores[i] = assay_cross_known(session, &ids, 0);
        ASSAY_TRY(assay_batch_add_states(session, i, below[i], asked->count, passages[i].count,
                                         error));
    }
    assay_cross_run(session, scores);
    return ASSAY_OK;
}

assay_status assay_split_score(assay_session *session, const assay_split_passage *passages,
                               size_t count, assay_score *scores, assay_error *error)
{
    size_t most = count < ASSAY_BATCH_SEQUENCES ? count : ASSAY_BATCH_SEQUENCES;
    assay_states(*below)[2] = calloc(most + 1, sizeof *below);
    assay_status status = ASSAY_OK;
    if (below == NULL)
        return assay_fail_memory(error, most * sizeof *below);
    for (size_t i = 0, n; i < count && status == ASSAY_OK; i += n) {
        n = count - i < most ? count - i : most;
        status = score_some(session, passages + i, below, n, scores + i, error);
    }
    free(below);
    return status;
}
