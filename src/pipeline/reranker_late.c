/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reranker_late.c: late interaction as a stage. The query is encoded; passages whose
 * tokens' vectors are kept by the same model (late.h) cost MaxSim alone, the others are
 * encoded, too.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/late.h"
#include "pipeline/reranker.h"

typedef struct late_stage {
    assay_late late;
    float *steps; /* [capacity] of the passage at hand, aligned */
    size_t capacity;
    bool kept; /* the collection at hand keeps vectors of this very model */
} late_stage;

static void close_late(void *state)
{
    late_stage *stage = state;
    if (stage == NULL)
        return;
    assay_late_end(&stage->late);
    free(stage->steps);
    free(stage);
}

static assay_status open_late(assay_store *store, const assay_stage_options *options,
                              const assay_pipeline_options *pipeline, void **out,
                              assay_error *error)
{
    late_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL)
        return assay_fail_memory(error, sizeof *stage);
    const assay_late_options how = {.model = options->model,
                                    .precision = options->precision,
                                    .threads = pipeline->threads,
                                    .max_tokens = options->max_tokens};
    assay_status status = assay_late_begin(&stage->late, store, &how, error);
    if (status != ASSAY_OK) {
        close_late(stage);
        return status;
    }
    *out = stage;
    return ASSAY_OK;
}

/* ---- Kept vectors ---------------------------------------------------------------- */

/* One passage's. */
typedef struct reading {
    late_stage *stage;
    assay_score *score;
    bool found, damaged;
    assay_status status;
} reading;

static bool make_room(late_stage *stage, size_t count)
{
    if (count <= stage->capacity)
        return true;
    float *steps = realloc(stage->steps, count * sizeof *steps);
    if (steps == NULL)
        return false;
    stage->steps = steps;
    stage->capacity = count;
    return true;
}

static void score_rows(void *user, const assay_token_rows *rows)
{
    reading *r = user;
    const assay_session *session = r->stage->late.session;
    r->damaged = rows->damaged || (rows->count > 0 &&
                                   rows->dimensions != session->model->info.dimensions);
    r->found = rows->count > 0 && !r->damaged;
    if (!r->found)
        return;
    if (!make_room(r->stage, rows->count)) {
        r->status = ASSAY_E_MEMORY;
        return;
    }
    memcpy(r->stage->steps, rows->steps, rows->count * sizeof(float));
    const assay_late_bytes bytes = {r->stage->steps, rows->rows, rows->count};
    *r->score = (assay_score){.logit = assay_late_maxsim_i8(session, bytes, NULL),
                              .probability = NAN,
                              .tokens = rows->tokens,
                              .truncated = rows->truncated,
                              .query_truncated = session->question.truncated};
}

static assay_status find_kept(late_stage *stage, const assay_collection *collection,
                              assay_error *error)
{
    assay_late_model set;
    ASSAY_TRY(assay_late_get(stage->late.store, collection, &set, error));
    stage->kept = set.model[0] != '\0' && memcmp(set.digest.bytes, stage->late.digest.bytes,
                                                 sizeof set.digest.bytes) == 0;
    return ASSAY_OK;
}

/* Scores [first, end) from kept vectors; places[rest] are those that have none. */
static assay_status score_kept(late_stage *stage, const assay_rerank_call *call, size_t first,
                               size_t end, assay_score *scores, size_t *places, size_t *rest,
                               assay_stage_result *result, assay_error *error)
{
    *rest = 0;
    for (size_t i = first; i < end; i++) {
        reading r = {.stage = stage, .score = &scores[i]};
        if (stage->kept)
            ASSAY_TRY(assay_token_vectors_read(stage->late.store, call->passages[i]->passage,
                                               score_rows, &r, error));
        if (r.status != ASSAY_OK)
            return assay_fail_memory(error, stage->capacity * sizeof(float));
        result->damaged += r.damaged;
        if (!r.found)
            places[(*rest)++] = i;
    }
    result->kept += (uint32_t)(end - first - *rest);
    return ASSAY_OK;
}

/* ---- The others ------------------------------------------------------------------ */

static assay_status score_rest(late_stage *stage, const assay_rerank_call *call,
                               const size_t *places, size_t rest, assay_score *scores,
                               assay_stage_result *result, assay_error *error)
{
    assay_token_ids *ids = assay_arena_small(call->arena, rest * sizeof *ids);
    assay_score *found = assay_arena_small(call->arena, rest * sizeof *found);
    if (ids == NULL || found == NULL)
        return assay_fail_memory(error, rest * sizeof *found);
    for (size_t i = 0; i < rest; i++) {
        bool made;
        ASSAY_TRY(assay_late_ids(&stage->late, call->passages[places[i]], call->arena, &ids[i],
                                 &made, error));
        result->tokenized += made;
    }
    ASSAY_TRY(assay_late_score(stage->late.session, ids, rest, found, error));
    for (size_t i = 0; i < rest; i++)
        scores[places[i]] = found[i];
    return ASSAY_OK;
}

/* ---- The stage ------------------------------------------------------------------- */

enum { TOKEN_BYTES = 4 }; /* of a text, about */

/* The work of a passage whose vectors are kept is 1, of another its tokens, about. */
static assay_status begin_late(void *state, const assay_rerank_call *call, assay_score *scores,
                               double *work, assay_stage_result *result, assay_error *error)
{
    (void)scores;
    late_stage *stage = state;
    double begun = assay_seconds();
    ASSAY_TRY(assay_late_query(stage->late.session, call->query, error));
    result->query_seconds = assay_seconds() - begun;
    result->query_truncated = stage->late.session->question.truncated;
    ASSAY_TRY(find_kept(stage, call->collection, error));
    double most = (double)assay_late_room(stage->late.session);
    for (size_t i = 0; i < call->count; i++)
        work[i] = stage->kept ? 1
                              : fmin(3 + (double)call->passages[i]->text.length / TOKEN_BYTES,
                                     most);
    return ASSAY_OK;
}

static assay_status score_late(void *state, const assay_rerank_call *call, size_t first,
                               size_t count, assay_score *scores, assay_stage_result *result,
                               assay_error *error)
{
    late_stage *stage = state;
    size_t rest, *places = assay_arena_small(call->arena, count * sizeof *places);
    if (places == NULL)
        return assay_fail_memory(error, count * sizeof *places);
    ASSAY_TRY(score_kept(stage, call, first, first + count, scores, places, &rest, result,
                         error));
    return rest > 0 ? score_rest(stage, call, places, rest, scores, result, error) : ASSAY_OK;
}

assay_session *assay_reranker_late_session(void *state)
{
    return ((late_stage *)state)->late.session;
}

static void describe_late(const void *state, assay_model_info *out)
{
    assay_model_describe(((const late_stage *)state)->late.model, out);
}

const assay_reranker_class assay_reranker_late = {
    .name = "late",
    .model = "late",
    .weight = 0.4,
    .weight_before = 1.0,
    .open = open_late,
    .close = close_late,
    .begin = begin_late,
    .score = score_late,
    .describe = describe_late,
};
