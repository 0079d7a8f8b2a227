/* SPDX-License-Identifier: Apache-2.0 */
/* playback.c: see playback.h. */
#include "evaluate/playback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "evaluate/measures.h"
#include "evaluate/qrels.h"
#include "pipeline/blocks.h"

/* ------------------------------------------------------------------ replaying */

/* A stage's reranker: knows what it said. */
typedef struct replay {
    const assay_recorded *at;
    size_t stage;
} replay;

static assay_status begin_replay(void *state, const assay_rerank_call *call, assay_score *scores,
                                 double *work, assay_stage_result *result, assay_error *error)
{
    (void)scores;
    const replay *r = state;
    for (size_t i = 0; i < call->count; i++)
        work[i] = 1;
    result->skipped = r->at->skipped[r->stage];
    if (r->at->failed[r->stage].code != ASSAY_OK)
        *error = r->at->failed[r->stage];
    return r->at->failed[r->stage].code;
}

/* The entry of a passage, which is there. */
static size_t place_of(const assay_recorded *at, uint64_t passage)
{
    size_t low = 0, high = at->count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (at->passages[middle] < passage)
            low = middle + 1;
        else
            high = middle;
    }
    return at->places[low];
}

static assay_status score_replay(void *state, const assay_rerank_call *call, size_t first,
                                 size_t count, assay_score *scores, assay_stage_result *result,
                                 assay_error *error)
{
    (void)result, (void)error;
    const replay *r = state;
    for (size_t i = first; i < first + count; i++)
        scores[i] = r->at->scores[r->stage][place_of(r->at, call->passages[i]->passage)];
    return ASSAY_OK;
}

static const assay_reranker_class replaying = {
    .name = "replay", .begin = begin_replay, .score = score_replay,
};

/* ------------------------------------------------------------------ recording */

static int by_passage(const void *left, const void *right)
{
    const assay_entry *a = *(assay_entry *const *)left, *b = *(assay_entry *const *)right;
    return (a->view.passage > b->view.passage) - (a->view.passage < b->view.passage);
}

static assay_status sort_passages(assay_recorded *at, assay_arena *arena, assay_error *error)
{
    assay_entry **sorted = assay_arena_small(arena, at->count * sizeof *sorted);
    at->passages = assay_arena_small(arena, at->count * sizeof *at->passages);
    at->places = assay_arena_small(arena, at->count * sizeof *at->places);
    if (sorted == NULL || at->passages == NULL || at->places == NULL)
        return assay_fail_memory(error, at->count * sizeof *sorted);
    for (size_t i = 0; i < at->count; i++)
        sorted[i] = &at->entries[i];
    qsort(sorted, at->count, sizeof *sorted, by_passage);
    for (size_t i = 0; i < at->count; i++) {
        at->passages[i] = sorted[i]->view.passage;
        at->places[i] = (size_t)(sorted[i] - at->entries);
    }
    return ASSAY_OK;
}

static int by_grade(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a < b) - (a > b);
}

assay_status assay_playback_ideal(const assay_qrels *qrels, size_t query, assay_arena *arena,
                                  int32_t **ideal, size_t *relevant, assay_error *error)
{
    size_t depth = assay_qrels_depth(qrels, query), count = 0;
    int32_t *list = *ideal = assay_arena_small(arena, depth * sizeof *list);
    if (list == NULL)
        return assay_fail_memory(error, depth * sizeof *list);
    for (size_t i = 0; i < depth; i++) {
        int32_t grade = assay_qrels_grade_at(qrels, query, i);
        if (grade > 0)
            list[count++] = grade;
    }
    qsort(list, count, sizeof *list, by_grade);
    *relevant = count;
    return ASSAY_OK;
}

static assay_status judge(assay_recorded *at, const assay_qrels *qrels, assay_arena *arena,
                          assay_error *error)
{
    ASSAY_TRY(assay_playback_ideal(qrels, at->query, arena, &at->ideal, &at->relevant, error));
    at->grades = assay_arena_small(arena, at->count * sizeof *at->grades);
    if (at->grades == NULL)
        return assay_fail_memory(error, at->count * sizeof *at->grades);
    for (size_t i = 0; i < at->count; i++)
        at->grades[i] = assay_qrels_grade(qrels, at->query, at->entries[i].view.id);
    return ASSAY_OK;
}

/* What a stage says of all candidates that could come to it. */
static assay_status record_stage(assay_pipeline *p, size_t stage, assay_recorded *at,
                                 assay_arena *arena, double *seconds, assay_error *error)
{
    size_t count = at->count < p->settings.options.rerank ? at->count
                                                          : p->settings.options.rerank;
    const assay_passage_view **views = assay_arena_small(arena, count * sizeof *views);
    double *work = assay_arena_small(arena, count * sizeof *work);
    at->scores[stage] = assay_arena_small(arena, at->count * sizeof(assay_score));
    if (views == NULL || work == NULL || at->scores[stage] == NULL)
        return assay_fail_memory(error, at->count * sizeof(assay_score));
    for (size_t i = 0; i < count; i++)
        views[i] = &at->entries[i].view;
    const assay_rerank_call call = {.query = at->text, .collection = &p->collection,
                                    .passages = views, .count = count, .keep = count,
                                    .deadline = INFINITY, .arena = arena};
    assay_stage_result result = {0};
    assay_cost cost = {0};
    assay_blocks blocks = {.class = p->classes[stage], .reranker = p->rerankers[stage],
                           .call = &call, .cost = &cost, .scores = at->scores[stage],
                           .work = work, .result = &result};
    double begun = assay_seconds();
    assay_status status = assay_blocks_score(&blocks, &at->failed[stage]);
    *seconds = count > 0 ? (assay_seconds() - begun) / (double)count : 0;
    at->skipped[stage] = result.skipped;
    if (status == ASSAY_OK || status == ASSAY_E_LIMIT)
        return ASSAY_OK;
    if (error != NULL)
        *error = at->failed[stage];
    return status;
}

static assay_status record_query(assay_pipeline *p, const assay_qrels *qrels,
                                 assay_playback *out, assay_recorded *at, assay_error *error)
{
    size_t candidates;
    assay_result unused = {0};
    p->deadline = INFINITY;
    ASSAY_TRY(assay_retrieve(p, at->text, &candidates, &unused, error));
    at->fused = assay_arena_small(out->arena, (candidates + 1) * sizeof *at->fused);
    if (at->fused == NULL)
        return assay_fail_memory(error, candidates * sizeof *at->fused);
    memcpy(at->fused, p->retrieval.fused, candidates * sizeof *at->fused);
    ASSAY_TRY(assay_entries_read(p, candidates, out->arena, &at->entries, &at->count, error));
    for (size_t i = 0; i < at->count; i++) /* the pipeline's own is overwritten by the next */
        at->entries[i].fused = at->fused + (at->entries[i].fused - p->retrieval.fused);
    ASSAY_TRY(sort_passages(at, out->arena, error));
    ASSAY_TRY(judge(at, qrels, out->arena, error));
    for (size_t i = 0; i < p->settings.options.stage_count; i++) {
        double seconds = 0;
        ASSAY_TRY(record_stage(p, i, at, out->arena, &seconds, error));
        out->seconds[i] += seconds / (double)out->count;
    }
    return ASSAY_OK;
}

size_t assay_playback_number(const assay_qrels *qrels, const char *id)
{
    size_t i = 0;
    while (strcmp(assay_qrels_query(qrels, i), id) != 0)
        i++;
    return i;
}

static assay_status record_all(assay_pipeline *p, const assay_queries *queries,
                               const size_t *picked, const assay_qrels *qrels,
                               assay_progress_fn progress, void *user, assay_playback *out,
                               assay_error *error)
{
    for (size_t i = 0; i < out->count; i++) {
        const assay_progress now = {.phase = ASSAY_PHASE_INDEX, .done = i, .total = out->count};
        if (progress != NULL && !progress(&now, user))
            return assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
        assay_recorded *at = &out->queries[i];
        at->query = assay_playback_number(qrels, queries->ids[picked[i]]);
        at->text = queries->texts[picked[i]];
        ASSAY_TRY(record_query(p, qrels, out, at, error));
    }
    return ASSAY_OK;
}

static assay_status make_shell(assay_pipeline *p, assay_playback *out, assay_error *error)
{
    replay *replays = assay_arena_small(out->arena, ASSAY_STAGES_MAX * sizeof *replays);
    if (replays == NULL)
        return assay_fail_memory(error, ASSAY_STAGES_MAX * sizeof *replays);
    out->shell = (assay_pipeline){.settings = p->settings, .deadline = INFINITY,
                                  .least = p->least};
    out->shell.settings.options.stages = out->shell.settings.stages;
    for (size_t i = 0; i < ASSAY_STAGES_MAX; i++) {
        replays[i] = (replay){.stage = i};
        out->shell.classes[i] = &replaying;
        out->shell.rerankers[i] = &replays[i];
    }
    return ASSAY_OK;
}

assay_status assay_playback_record(assay_pipeline *pipeline, const assay_queries *queries,
                          const size_t *picked, size_t count, const assay_qrels *qrels,
                          assay_progress_fn progress, void *user, assay_playback *out,
                          assay_error *error)
{
    *out = (assay_playback){.count = count,
                             .arena = assay_arena_new(0),
                             .scratch = assay_arena_new(0),
                             .queries = calloc(count + 1, sizeof *out->queries)};
    assay_status status = out->arena != NULL && out->scratch != NULL && out->queries != NULL
                              ? make_shell(pipeline, out, error)
                              : assay_fail_memory(error, count * sizeof *out->queries);
    if (status == ASSAY_OK)
        status = record_all(pipeline, queries, picked, qrels, progress, user, out, error);
    if (status != ASSAY_OK)
        assay_playback_free(out);
    return status;
}

void assay_playback_free(assay_playback *recording)
{
    assay_arena_free(recording->arena);
    assay_arena_free(recording->scratch);
    free(recording->queries);
    *recording = (assay_playback){0};
}

/* -------------------------------------------------------------------- playing */

/* Of the documents, each by its best passage. */
static double ndcg(const assay_recorded *at, const assay_entry *entries)
{
    int32_t grades[ASSAY_PLAYBACK_TOP];
    size_t documents[ASSAY_PLAYBACK_TOP], count = 0;
    for (size_t i = 0; i < at->count && count < ASSAY_PLAYBACK_TOP; i++) {
        size_t j = 0;
        while (j < count && documents[j] != entries[i].document)
            j++;
        if (j < count)
            continue;
        documents[count] = entries[i].document;
        grades[count++] = at->grades[place_of(at, entries[i].view.passage)];
    }
    return assay_ndcg(grades, count, at->ideal, at->relevant, ASSAY_PLAYBACK_TOP);
}

assay_status assay_playback_run(assay_playback *recording, size_t i, assay_played *out,
                        assay_error *error)
{
    assay_pipeline *p = &recording->shell;
    assay_recorded *at = &recording->queries[i];
    assay_arena_reset(recording->scratch);
    assay_entry *entries = assay_arena_take(recording->scratch, at->count * sizeof *entries);
    if (entries == NULL)
        return assay_fail_memory(error, at->count * sizeof *entries);
    if (at->count > 0)
        memcpy(entries, at->entries, at->count * sizeof *entries);
    for (size_t s = 0; s < p->settings.options.stage_count; s++)
        ((replay *)p->rerankers[s])->at = at;
    p->retrieval.fused = at->fused;
    assay_result result = {0};
    size_t count = at->count;
    ASSAY_TRY(assay_cascade_run(p, at->text, entries, &count, ASSAY_PLAYBACK_TOP,
                                recording->scratch, &result, error));
    *out = (assay_played){.ndcg = ndcg(at, entries)};
    for (size_t s = 0; s < result.stage_count; s++) {
        out->scored[s] = result.stages[s].scored;
        out->seconds += out->scored[s] * recording->seconds[s];
    }
    return ASSAY_OK;
}
