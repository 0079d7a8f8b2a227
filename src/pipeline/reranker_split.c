/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reranker_split.c: a cross-encoder that is split (rank/cross_split.h) as a stage. The
 * query goes through the lower layers; of passages whose states are kept by the same
 * model (late.h) it meets these, of the others what is made of them now, rounded to the
 * bytes that would be kept: so a score does not depend on which they are.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/late.h"
#include "pipeline/reranker.h"

typedef struct split_stage {
    assay_late late;
    const char *name;     /* as it was asked for */
    uint32_t query_words; /* longest query to rerank for; 0: any */
    bool usable;          /* the collection at hand keeps states of this very model */
} split_stage;

static void close_split(void *state)
{
    split_stage *stage = state;
    if (stage == NULL)
        return;
    assay_late_end(&stage->late);
    free(stage);
}

static assay_status open_split(assay_store *store, const assay_stage_options *options,
                               const assay_pipeline_options *pipeline, void **out,
                               assay_error *error)
{
    split_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL)
        return assay_fail_memory(error, sizeof *stage);
    const assay_late_options how = {.model = options->model,
                                    .wanted = ASSAY_LATE_SPLIT,
                                    .precision = options->precision,
                                    .threads = pipeline->threads,
                                    .max_tokens = options->max_tokens};
    assay_status status = assay_late_begin(&stage->late, store, &how, error);
    if (status != ASSAY_OK) {
        close_split(stage);
        return status;
    }
    stage->name = options->model;
    stage->query_words = options->rerank_long ? 0 : stage->late.model->info.query_words;
    *out = stage;
    return ASSAY_OK;
}

/* ---- States ---------------------------------------------------------------------- */

/* The passages of a call on their way: states as bytes, in the call's arena. */
typedef struct gathering {
    const split_stage *stage;
    assay_arena *arena;
    assay_split_passage *passages; /* [count] */
    bool *corrupt;                 /* [count] what was made is not finite */
    size_t at;                     /* of the one that is read, */
    bool damaged;                  /* and whether it is of no use */
    /* Of those that have none: */
    size_t rest;
    size_t *places;                /* [rest] */
    assay_token_ids *ids;          /* [rest] */
} gathering;

static size_t width_of(const split_stage *stage)
{
    return stage->late.model->config.hidden;
}

/* Room for so many rows of a passage; false: there is none. */
static bool make_room(gathering *g, size_t i, size_t rows)
{
    assay_split_passage *p = &g->passages[i];
    int8_t *bytes = assay_arena_small(g->arena, rows * width_of(g->stage));
    float *steps = assay_arena_small(g->arena, rows * sizeof *steps);
    p->states = (assay_states){.bytes = bytes, .steps = steps};
    p->count = rows;
    return bytes != NULL && steps != NULL;
}

static void take_rows(void *user, const assay_token_rows *rows)
{
    gathering *g = user;
    assay_split_passage *p = &g->passages[g->at];
    g->damaged = rows->damaged || (rows->count > 0 && (rows->bits > 0 ||
                                                       rows->row_bytes != width_of(g->stage)));
    if (rows->count == 0 || g->damaged || !make_room(g, g->at, rows->count))
        return;
    memcpy((int8_t *)p->states.bytes, rows->rows, rows->count * rows->row_bytes);
    memcpy((float *)p->states.steps, rows->steps, rows->count * sizeof *p->states.steps);
    p->truncated = rows->truncated;
}

/* What is kept of passages first .. first + count; the others are put down. */
static assay_status read_kept(gathering *g, const assay_rerank_call *call, size_t first,
                              size_t count, assay_stage_result *result, assay_error *error)
{
    for (g->at = 0; g->at < count; g->at++) {
        g->damaged = false;
        if (g->stage->usable)
            ASSAY_TRY(assay_token_vectors_read(g->stage->late.store,
                                               call->passages[first + g->at]->passage, take_rows,
                                               g, error));
        result->damaged += g->damaged;
        if (g->passages[g->at].count == 0)
            g->places[g->rest++] = g->at;
    }
    result->kept += (uint32_t)(count - g->rest);
    return ASSAY_OK;
}

/* From several threads, each with passages of its own. */
static void take_states(void *user, size_t item, float *states, size_t count)
{
    gathering *g = user;
    size_t width = width_of(g->stage), i = g->places[item];
    const assay_states *to = &g->passages[i].states;
    g->corrupt[i] = states == NULL;
    for (size_t row = 0; row < count; row++)
        ((float *)to->steps)[row] = assay_late_quantize(states + row * width, width,
                                                        (int8_t *)to->bytes + row * width);
}

static assay_status make_rest(split_stage *stage, gathering *g, const assay_rerank_call *call,
                              size_t first, assay_stage_result *result, assay_error *error)
{
    for (size_t i = 0; i < g->rest; i++) {
        bool made;
        assay_split_passage *p = &g->passages[g->places[i]];
        ASSAY_TRY(assay_late_ids(&stage->late, call->passages[first + g->places[i]], g->arena,
                                 &g->ids[i], &made, error));
        result->tokenized += made;
        size_t rows = assay_split_tokens(stage->late.session, &g->ids[i]);
        if (!make_room(g, g->places[i], rows))
            return assay_fail_memory(error, rows * width_of(stage));
        p->truncated = g->ids[i].total > assay_late_limit(&stage->late);
    }
    return assay_split_encode(stage->late.session, g->ids, g->rest, take_states, g, error);
}

/* ---- The stage ------------------------------------------------------------------- */

enum { TOKEN_BYTES = 4 }; /* of a text, about */

/* The work of a passage is its tokens, about. */
static assay_status begin_split(void *state, const assay_rerank_call *call, assay_score *scores,
                                double *work, assay_stage_result *result, assay_error *error)
{
    (void)scores;
    split_stage *stage = state;
    assay_late_model set;
    if (assay_reranker_too_long(stage->name, stage->query_words, call->query, &result->skipped))
        return ASSAY_OK;
    double begun = assay_seconds(), most = (double)assay_late_limit(&stage->late);
    ASSAY_TRY(assay_split_query(stage->late.session, call->query, error));
    result->query_seconds = assay_seconds() - begun;
    ASSAY_TRY(assay_late_get(stage->late.store, call->collection, &set, error));
    stage->usable = set.model[0] != '\0' && memcmp(set.digest.bytes, stage->late.digest.bytes,
                                                   sizeof set.digest.bytes) == 0;
    for (size_t i = 0; i < call->count; i++)
        work[i] = fmin(3 + (double)call->passages[i]->text.length / TOKEN_BYTES, most);
    return ASSAY_OK;
}

static assay_status score_split(void *state, const assay_rerank_call *call, size_t first,
                                size_t count, assay_score *scores, assay_stage_result *result,
                                assay_error *error)
{
    split_stage *stage = state;
    gathering g = {
        .stage = stage,
        .arena = call->arena,
        .passages = assay_arena_small(call->arena, count * sizeof *g.passages),
        .corrupt = assay_arena_small(call->arena, count * sizeof *g.corrupt),
        .places = assay_arena_small(call->arena, count * sizeof *g.places),
        .ids = assay_arena_small(call->arena, count * sizeof *g.ids),
    };
    if (g.passages == NULL || g.corrupt == NULL || g.places == NULL || g.ids == NULL)
        return assay_fail_memory(error, count * sizeof *g.passages);
    memset(g.passages, 0, count * sizeof *g.passages);
    memset(g.corrupt, 0, count * sizeof *g.corrupt);
    ASSAY_TRY(read_kept(&g, call, first, count, result, error));
    if (g.rest > 0)
        ASSAY_TRY(make_rest(stage, &g, call, first, result, error));
    ASSAY_TRY(assay_split_score(stage->late.session, g.passages, count, scores + first, error));
    for (size_t i = 0; i < count; i++) {
        result->tokens += scores[first + i].tokens; /* the upper layers read them all */
        if (g.corrupt[i]) { /* weights that are no numbers */
            scores[first + i].status = ASSAY_E_CORRUPT;
            scores[first + i].logit = -INFINITY;
        }
    }
    return ASSAY_OK;
}

static void describe_split(const void *state, assay_model_info *out)
{
    assay_model_describe(((const split_stage *)state)->late.model, out);
}

/* As the plain cross-encoder's, whose scores it learns. */
const assay_reranker_class assay_reranker_split = {
    .name = "cross-split",
    .model = "cross-split",
    .weight = 1.0,
    .weight_before = 1.0,
    .spread = 1.5,
    .open = open_split,
    .close = close_split,
    .begin = begin_split,
    .score = score_split,
    .describe = describe_split,
};
