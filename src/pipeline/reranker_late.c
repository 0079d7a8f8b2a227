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
#include "pipeline/late_kept.h"
#include "pipeline/reranker.h"

typedef struct late_stage {
    assay_late late;
    assay_late_kept kept;
} late_stage;

static void close_late(void *state)
{
    late_stage *stage = state;
    if (stage == NULL)
        return;
    assay_late_kept_free(&stage->kept);
    assay_late_end(&stage->late);
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

static assay_status expect_kept(late_stage *stage, const assay_rerank_call *call, size_t first,
                                size_t end, assay_error *error)
{
    int64_t *keys = assay_arena_small(call->arena, (end - first) * sizeof *keys);
    if (keys == NULL)
        return assay_fail_memory(error, (end - first) * sizeof *keys);
    for (size_t i = first; i < end; i++)
        keys[i - first] = (int64_t)call->passages[i]->passage;
    return assay_token_vectors_expect(stage->late.store, call->collection, keys, end - first,
                                      error);
}

/* Scores [first, end) from kept vectors; places[rest] are those that have none. */
static assay_status score_kept(late_stage *stage, const assay_rerank_call *call, size_t first,
                               size_t end, assay_score *scores, size_t *places, size_t *rest,
                               assay_stage_result *result, assay_error *error)
{
    *rest = 0;
    if (stage->kept.usable)
        ASSAY_TRY(expect_kept(stage, call, first, end, error));
    for (size_t i = first; i < end; i++) {
        bool found, damaged;
        ASSAY_TRY(assay_late_kept_score(&stage->kept, call->passages[i]->passage, &scores[i],
                                        &found, &damaged, error));
        result->damaged += damaged;
        if (!found)
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
    for (size_t i = 0; i < rest; i++) {
        scores[places[i]] = found[i];
        result->tokens += found[i].tokens;
    }
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
    result->tokens = stage->late.session->question.count;
    ASSAY_TRY(assay_late_kept_begin(&stage->kept, &stage->late, call->collection, error));
    double most = (double)assay_late_room(stage->late.session);
    for (size_t i = 0; i < call->count; i++)
        work[i] = stage->kept.usable ? 1 : fmin(3 + (double)call->passages[i]->text.length / TOKEN_BYTES,
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
