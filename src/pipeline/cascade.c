/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cascade.c: candidates reordered by one stage after the other.
 *
 * What comes to a stage is scored and ordered by a weighted sum of the
 * z-normalised scores so far and of its own; its best `keep` go on to the next.
 * All others stay behind in the order they had, with scores that say so. Thus
 * every stage returns what it got, ranked, and one that fails changes nothing.
 *
 * A reranker trained on one kind of question can hurt on another, hence the sum
 * instead of its order alone, and a weight that depends on whether it is sure.
 */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "pipeline/pipeline.h"

/* ------------------------------------------------------------- documents */

static int by_document(const void *left, const void *right)
{
    const assay_entry *a = *(assay_entry *const *)left, *b = *(assay_entry *const *)right;
    return (a->view.document > b->view.document) - (a->view.document < b->view.document);
}

/* Numbers the entries' documents 0 .. n - 1. */
static assay_status number_documents(assay_entry *entries, size_t count, assay_arena *arena,
                                     assay_error *error)
{
    assay_entry **sorted = assay_arena_small(arena, count * sizeof *sorted);
    if (sorted == NULL)
        return assay_fail_memory(error, count * sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &entries[i];
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, by_document);
    size_t number = 0;
    for (size_t i = 0; i < count; i++) {
        number += i > 0 && by_document(&sorted[i - 1], &sorted[i]) != 0;
        sorted[i]->document = number;
    }
    return ASSAY_OK;
}

/* ranks[i]: of the document of entry i, by its best passage. first[count] is
 * scratch. */
static void rank_documents(const assay_entry *entries, size_t count, uint32_t *first,
                           uint32_t *ranks)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < count; i++)
        first[i] = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t *of_document = &first[entries[i].document];
        if (*of_document == 0)
            *of_document = ++rank;
        ranks[i] = *of_document;
    }
}

/* ------------------------------------------------------------- the entries */

static assay_status read_passages(assay_pipeline *p, size_t candidates, assay_arena *arena,
                                  assay_entry *entries, size_t *count, assay_error *error)
{
    *count = 0;
    for (size_t i = 0; i < candidates; i++) {
        const assay_fused *fused = &p->retrieval.fused[i];
        assay_entry *e = &entries[*count];
        *e = (assay_entry){.fused = fused, .score = fused->score};
        assay_status status = assay_passage_get(p->store, fused->passage, arena, &e->view, error);
        if (status == ASSAY_E_NOT_FOUND)
            continue;
        ASSAY_TRY(status);
        ++*count;
    }
    return ASSAY_OK;
}

assay_status assay_entries_read(assay_pipeline *p, size_t candidates, assay_arena *arena,
                                assay_entry **out, size_t *count, assay_error *error)
{
    size_t stages = p->settings.options.stage_count;
    assay_entry *entries = assay_arena_take(arena, candidates * sizeof *entries);
    assay_hit_stage *places = assay_arena_take(arena, candidates * stages * sizeof *places);
    uint32_t *ranks = assay_arena_small(arena, 2 * candidates * sizeof *ranks);
    if (entries == NULL || places == NULL || ranks == NULL)
        return assay_fail_memory(error, candidates * sizeof *entries);
    ASSAY_TRY(read_passages(p, candidates, arena, entries, count, error));
    ASSAY_TRY(number_documents(entries, *count, arena, error));
    rank_documents(entries, *count, ranks + candidates, ranks);
    for (size_t i = 0; i < *count; i++) {
        entries[i].rank_first = ranks[i];
        entries[i].stages = places + i * stages;
    }
    *out = entries;
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- a stage */

/* One stage at work on one query. */
typedef struct work {
    const assay_stage_options *options;
    const assay_reranker_class *class;
    void *reranker;
    size_t number; /* from 0 */
    assay_entry *entries;
    size_t count;  /* of all */
    size_t taken;  /* of those that come to the stage */
    const assay_passage_view **views; /* [count] */
    assay_score *scores;              /* [count] */
    double *before, *own;             /* [count] */
    uint32_t *ranks;                  /* [2 * count] */
    assay_stage_result *result;
} work;

static assay_status take_lists(work *w, assay_arena *arena, assay_error *error)
{
    size_t count = w->count;
    w->views = assay_arena_small(arena, count * sizeof *w->views);
    w->scores = assay_arena_small(arena, count * sizeof *w->scores);
    w->before = assay_arena_small(arena, count * sizeof *w->before);
    w->own = assay_arena_small(arena, count * sizeof *w->own);
    w->ranks = assay_arena_small(arena, 2 * count * sizeof *w->ranks);
    bool whole = w->views && w->scores && w->before && w->own && w->ranks;
    return whole ? ASSAY_OK : assay_fail_memory(error, count * sizeof *w->scores);
}

static double weight_of(const work *w)
{
    float best = 0;
    for (size_t i = 0; i < w->taken; i++)
        if (w->scores[i].status == ASSAY_OK && w->scores[i].probability > best)
            best = w->scores[i].probability;
    return best >= w->options->sure.value ? w->options->weight_sure.value
                                          : w->options->weight.value;
}

/* score = weight_before * z(score so far) + weight * z(own), over the entries
 * that were scored; one that has no score of its own counts as the worst. */
static void interpolate(work *w)
{
    double worst = INFINITY;
    for (size_t i = 0; i < w->taken; i++)
        if (isfinite(w->scores[i].logit))
            worst = fmin(worst, w->scores[i].logit);
    for (size_t i = 0; i < w->taken; i++) {
        w->before[i] = w->entries[i].score;
        w->own[i] = isfinite(w->scores[i].logit) ? w->scores[i].logit : worst;
    }
    assay_normalize(w->before, w->taken);
    assay_normalize(w->own, w->taken);
    w->result->weight = weight_of(w);
    for (size_t i = 0; i < w->taken; i++)
        w->entries[i].score = w->options->weight_before.value * w->before[i] +
                              w->result->weight * w->own[i];
}

static int by_score(const void *left, const void *right)
{
    const assay_entry *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* Entries that were not scored keep their order behind those that were, and get
 * scores that say so: shifted to begin 1 below the last. */
static void shift_rest(work *w)
{
    if (w->taken == w->count)
        return;
    double shift = w->entries[w->taken - 1].score - 1 - w->entries[w->taken].score;
    for (size_t i = w->taken; i < w->count; i++)
        w->entries[i].score += shift;
}

static void note_scores(work *w)
{
    for (size_t i = 0; i < w->taken; i++) {
        const assay_score *score = &w->scores[i];
        assay_entry *e = &w->entries[i];
        e->stages[w->number] = (assay_hit_stage){
            .scored = score->status == ASSAY_OK,
            .truncated = score->truncated,
            .tokens = score->tokens,
            .logit = score->logit,
            .probability = score->probability,
            .status = score->status,
        };
        e->last = (uint32_t)w->number + 1;
    }
}

/* Reorders by the scores that there are. */
static void reorder(work *w)
{
    for (size_t i = 0; i < w->taken; i++)
        w->entries[i].place = i;
    note_scores(w);
    interpolate(w);
    qsort(w->entries, w->taken, sizeof *w->entries, by_score);
    shift_rest(w);
}

/* What a reranker that cannot work on this query is allowed to fail with. */
static bool degrades(assay_status status)
{
    return status == ASSAY_E_LIMIT || status == ASSAY_E_NETWORK;
}

static assay_status run_stage(work *w, const assay_collection *collection, assay_text query,
                              assay_arena *arena, assay_error *error)
{
    for (size_t i = 0; i < w->count; i++)
        w->entries[i].stages[w->number] = (assay_hit_stage){0};
    for (size_t i = 0; i < w->taken; i++)
        w->views[i] = &w->entries[i].view;
    const assay_rerank_call call = {
        .query = query,
        .collection = collection,
        .passages = w->views,
        .count = w->taken,
        .keep = w->options->keep,
        .deadline = INFINITY,
        .arena = arena,
    };
    assay_error *degraded = &w->result->degraded;
    assay_status status = w->class->score(w->reranker, &call, w->scores, w->result, degraded);
    if (status != ASSAY_OK && !degrades(status)) {
        if (error != NULL)
            *error = *degraded;
        return status;
    }
    if (status == ASSAY_OK && w->result->skipped.code == ASSAY_OK)
        reorder(w);
    rank_documents(w->entries, w->count, w->ranks + w->count, w->ranks);
    for (size_t i = 0; i < w->count; i++) {
        w->entries[i].stages[w->number].rank = w->ranks[i];
        w->entries[i].stages[w->number].score = (float)w->entries[i].score;
    }
    return ASSAY_OK;
}

/* ------------------------------------------------------------ all of them */

static void first_of(assay_error *all, const assay_error *one)
{
    if (all->code == ASSAY_OK)
        *all = *one;
}

static void add_up(assay_result *result, const assay_stage_result *stage)
{
    first_of(&result->degraded, &stage->degraded);
    first_of(&result->skipped, &stage->skipped);
    first_of(&result->cache, &stage->cache);
    result->scored += stage->scored;
    result->tokenized += stage->tokenized;
    result->cached += stage->cached;
    result->kept += stage->kept;
    result->damaged += stage->damaged;
    if (stage->skipped.code == ASSAY_OK)
        result->rerank_seconds += stage->seconds;
}

assay_status assay_cascade_run(assay_pipeline *p, assay_text query, assay_entry *entries,
                               size_t count, assay_arena *arena, assay_result *result,
                               assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    work w = {.entries = entries, .count = count};
    result->stages = assay_arena_small(arena, o->stage_count * sizeof *result->stages);
    if (result->stages == NULL)
        return assay_fail_memory(error, o->stage_count * sizeof *result->stages);
    ASSAY_TRY(take_lists(&w, arena, error));
    size_t comes = o->rerank;
    for (; result->stage_count < o->stage_count; result->stage_count++) {
        size_t i = result->stage_count;
        double begun = assay_seconds();
        w.options = &o->stages[i];
        w.class = assay_reranker_class_of(w.options->kind);
        w.reranker = p->rerankers[i];
        w.number = i;
        w.taken = comes < count ? comes : count;
        w.result = &result->stages[i];
        *w.result = (assay_stage_result){0};
        if (count > 0)
            ASSAY_TRY(run_stage(&w, &p->collection, query, arena, error));
        w.result->seconds = assay_seconds() - begun;
        add_up(result, w.result);
        comes = w.options->keep;
    }
    return ASSAY_OK;
}
