/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cascade.c: candidates reordered by one stage after the other.
 *
 * What comes to a stage is scored and ordered by a weighted sum of the
 * z-normalised scores so far and of its own; its best `keep` go on to the next.
 * Scores so far are normalised over all that came, however few the stage scores: two
 * alone are always one deviation off their mean, and how far the first is ahead of the
 * second is what says whether the stage should have a word in it.
 * A stage's own scores are divided by no less than its `spread`: what a reranker
 * scores nearly alike it has no opinion on, and z-scores would make it one.
 * All others stay behind in the order they had, with scores that say so. Thus
 * every stage returns what it got, ranked, and one that fails changes nothing. One
 * that a deadline stops has scored the first of what came to it (blocks.h), and leaves
 * the rest behind these likewise.
 *
 * A reranker trained on one kind of question can hurt on another, hence the sum
 * instead of its order alone.
 *
 * A stage that validates gives no scores of a reranker: it says yes or no. What it says no
 * to goes behind the rest of what came to it, or, if that is asked for, out.
 */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "pipeline/blocks.h"
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

static assay_status expect_passages(assay_pipeline *p, size_t candidates, assay_arena *arena,
                                    assay_error *error)
{
    int64_t *keys = assay_arena_small(arena, candidates * sizeof *keys);
    if (keys == NULL)
        return assay_fail_memory(error, candidates * sizeof *keys);
    for (size_t i = 0; i < candidates; i++)
        keys[i] = (int64_t)p->retrieval.fused[i].passage;
    return assay_passages_expect(p->store, &p->collection, keys, candidates, error);
}

static assay_status read_passages(assay_pipeline *p, size_t candidates, assay_arena *arena,
                                  assay_entry *entries, size_t *count, assay_error *error)
{
    *count = 0;
    ASSAY_TRY(expect_passages(p, candidates, arena, error));
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
    assay_pipeline *pipeline;
    const assay_stage_options *options;
    const assay_reranker_class *class;
    void *reranker;
    size_t number; /* from 0 */
    assay_entry *entries;
    size_t count;  /* of all */
    size_t taken;  /* of those that come to the stage, then of those that it scored */
    assay_moments so_far; /* of the scores of those that come */
    const assay_passage_view **views; /* [count] */
    assay_score *scores;              /* [count] */
    assay_validation *validations;    /* [count]; NULL: the stage does not validate */
    double *before, *own, *effort;    /* [count] */
    uint32_t *ranks;                  /* [2 * count] */
    size_t wanted; /* first places whose order matters */
    assay_stage_result *result;
} work;

static assay_status take_lists(work *w, assay_arena *arena, assay_error *error)
{
    size_t count = w->count;
    w->views = assay_arena_small(arena, count * sizeof *w->views);
    w->scores = assay_arena_small(arena, count * sizeof *w->scores);
    w->before = assay_arena_small(arena, count * sizeof *w->before);
    w->own = assay_arena_small(arena, count * sizeof *w->own);
    w->effort = assay_arena_small(arena, count * sizeof *w->effort);
    w->ranks = assay_arena_small(arena, 2 * count * sizeof *w->ranks);
    bool whole = w->views && w->scores && w->before && w->own && w->effort && w->ranks;
    return whole ? ASSAY_OK : assay_fail_memory(error, count * sizeof *w->scores);
}

/* The reranker's own, or what its logit was found to mean. */
static float probability_of(const work *w, size_t i)
{
    const assay_stage_options *o = w->options;
    if (!o->probability_slope.set && !o->probability_offset.set)
        return w->scores[i].probability;
    double slope = o->probability_slope.set ? o->probability_slope.value : 1;
    return (float)(1 / (1 + exp(-slope * w->scores[i].logit - o->probability_offset.value)));
}

/* What the stage's own scores are normalised by. */
static assay_moments own_moments(const work *w, size_t count)
{
    assay_moments m = assay_moments_of(w->own, count);
    m.deviation = fmax(m.deviation, w->options->spread.value);
    return m;
}

/* The first `count` entries' scores so far, and of the stage; one that has none of its
 * own counts as the worst. */
static void list_scores(work *w, size_t count)
{
    double worst = INFINITY;
    for (size_t i = 0; i < count; i++)
        if (isfinite(w->scores[i].logit))
            worst = fmin(worst, w->scores[i].logit);
    for (size_t i = 0; i < count; i++) {
        w->before[i] = w->entries[i].score;
        w->own[i] = isfinite(w->scores[i].logit) ? w->scores[i].logit : worst;
    }
}

/* score = weight_before * z(score so far) + weight * z(own), over the entries
 * that were scored, the latter by own_moments. */
static void interpolate(work *w)
{
    list_scores(w, w->taken);
    assay_moments own = own_moments(w, w->taken);
    for (size_t i = 0; i < w->taken; i++)
        w->entries[i].score = w->options->weight_before.value * assay_z(w->before[i], w->so_far) +
                              w->options->weight.value * assay_z(w->own[i], own);
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
            .probability = probability_of(w, i),
            .status = score->status,
        };
        if (w->validations == NULL) {
            e->last = (uint32_t)w->number + 1;
            continue;
        }
        e->stages[w->number].verdict = w->validations[i].verdict;
        e->stages[w->number].reason = w->validations[i].reason;
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

/* Takes out the documents of pages that do not answer, where that is asked for. */
static assay_status drop_rejected(work *w, assay_arena *arena, assay_error *error)
{
    size_t kept = 0;
    if (w->options->page.rejected != ASSAY_REJECTED_DROP || w->result->rejected == 0)
        return ASSAY_OK;
    bool *out = assay_arena_small(arena, w->count * sizeof *out);
    if (out == NULL)
        return assay_fail_memory(error, w->count * sizeof *out);
    for (size_t i = 0; i < w->count; i++)
        out[i] = false;
    for (size_t i = 0; i < w->count; i++)
        if (w->entries[i].stages[w->number].verdict == ASSAY_VERDICT_NO)
            out[w->entries[i].document] = true;
    for (size_t i = 0; i < w->count; i++)
        if (!out[w->entries[i].document])
            w->entries[kept++] = w->entries[i];
    w->result->dropped = (uint32_t)(w->count - kept);
    w->count = kept;
    return number_documents(w->entries, kept, arena, error);
}

/* What a reranker that cannot work on this query is allowed to fail with. */
static bool degrades(assay_status status)
{
    return status == ASSAY_E_LIMIT || status == ASSAY_E_NETWORK;
}

/* -------------------------------------------------- how many are worth it */

enum { STEP = 8, WANTED = 10 };

/* Both retrievers have the same passage first. */
static bool retrievers_agree(const work *w)
{
    const assay_fused *first = &w->pipeline->retrieval.fused[0];
    return first->rank_bm25 == 1 && first->rank_dense == 1;
}

static void list_so_far(work *w)
{
    for (size_t i = 0; i < w->taken; i++)
        w->before[i] = w->entries[i].score;
    w->so_far = assay_moments_of(w->before, w->taken);
}

/* Those that are not too far behind the best for their order to matter. */
static size_t count_near(const work *w)
{
    const assay_stage_options *o = w->options;
    const assay_setting *within = o->within_agreed.set && retrievers_agree(w) ? &o->within_agreed
                                                                             : &o->within;
    if (!within->set || w->taken == 0)
        return w->taken;
    double least = w->entries[0].score - within->value * w->so_far.deviation;
    size_t near = 1;
    while (near < w->taken && w->entries[near].score >= least)
        near++;
    /* One alone has nobody to be ordered with. */
    return near == 1 && !w->pipeline->least.set ? 0 : near;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a < b) - (a > b);
}

/* Whether the first ones that matter would stay, were the next passage liked as well as
 * the best so far, and `hope` standard deviations better. */
static bool is_settled(void *user, size_t done)
{
    work *w = user;
    const assay_stage_options *o = w->options;
    if (done <= w->wanted)
        return false;
    list_scores(w, done);
    assay_moments own = own_moments(w, done);
    double weight = o->weight.value, best = -INFINITY;
    for (size_t i = 0; i < done; i++) {
        best = fmax(best, assay_z(w->own[i], own));
        w->before[i] = o->weight_before.value * assay_z(w->before[i], w->so_far) +
                       weight * assay_z(w->own[i], own);
    }
    qsort(w->before, done, sizeof *w->before, by_value);
    double hoped = o->weight_before.value * assay_z(w->entries[done].score, w->so_far) +
                   weight * (best + o->hope.value);
    return w->before[w->wanted - 1] >= hoped;
}

/* ------------------------------------------------------------ in its time */

/* Seconds that stage i of the pipeline would take for so many passages. */
static assay_demand demand_of(const assay_pipeline *p, size_t i, size_t passages)
{
    return (assay_demand){assay_cost_of_query(&p->costs[i], passages), p->classes[i]->whole};
}

/* When the stage at hand is to be done, so that those after it have their time. */
static double deadline_of(const work *w)
{
    const assay_pipeline *p = w->pipeline;
    const assay_pipeline_options *o = &p->settings.options;
    assay_demand demands[ASSAY_STAGES_MAX];
    double now = assay_seconds();
    size_t comes = w->taken;
    if (!(p->deadline < INFINITY))
        return INFINITY;
    for (size_t i = w->number; i < o->stage_count; i++) {
        demands[i - w->number] = demand_of(p, i, comes);
        comes = o->stages[i].keep < comes ? o->stages[i].keep : comes;
    }
    return now + assay_time_share(demands, o->stage_count - w->number, p->deadline - now);
}

static void tell_late(work *w, size_t done)
{
    size_t left = w->taken - done;
    const char *name = w->options->model != NULL ? w->options->model : w->class->name;
    assay_error *degraded = &w->result->degraded;
    w->result->left_out = (uint32_t)left;
    if (left > 0)
        assay_fail(degraded, ASSAY_E_LIMIT, "deadline",
                   "%zu of %zu passages were not reranked by %.100s: the deadline of %u ms left "
                   "no time for them", left, w->taken, name, w->pipeline->deadline_ms);
    else
        assay_fail(degraded, ASSAY_E_LIMIT, "deadline",
                   "some answers of %.100s had not come by the deadline of %u ms", name,
                   w->pipeline->deadline_ms);
}

static assay_status score(work *w, assay_text query, assay_arena *arena, assay_error *error)
{
    for (size_t i = 0; i < w->taken; i++)
        w->views[i] = &w->entries[i].view;
    const assay_rerank_call call = {
        .query = query,
        .collection = &w->pipeline->collection,
        .passages = w->views,
        .count = w->taken,
        .keep = w->options->keep,
        .deadline = deadline_of(w),
        .validations = w->validations,
        .arena = arena,
    };
    assay_blocks blocks = {
        .class = w->class,
        .reranker = w->reranker,
        .call = &call,
        .cost = &w->pipeline->costs[w->number],
        .scores = w->scores,
        .work = w->effort,
        .result = w->result,
        .settled = w->options->hope.set ? is_settled : NULL,
        .user = w,
        .step = STEP,
    };
    assay_status status = assay_blocks_score(&blocks, error);
    w->result->scored = (uint32_t)blocks.done;
    if (status == ASSAY_OK && !blocks.late && w->result->skipped.code == ASSAY_OK)
        w->result->spared += (uint32_t)(w->taken - blocks.done);
    if (blocks.late && (status == ASSAY_OK || degrades(status)))
        tell_late(w, blocks.done);
    w->taken = blocks.done;
    return status;
}

static assay_status run_stage(work *w, assay_text query, assay_arena *arena, assay_error *error)
{
    for (size_t i = 0; i < w->count; i++)
        w->entries[i].stages[w->number] = (assay_hit_stage){0};
    assay_error problem;
    list_so_far(w);
    size_t near = count_near(w);
    w->result->spared = (uint32_t)(w->taken - near);
    w->taken = near;
    w->validations = NULL;
    if (w->class->validates) {
        w->validations = assay_arena_small(arena, w->count * sizeof *w->validations);
        if (w->validations == NULL)
            return assay_fail_memory(error, w->count * sizeof *w->validations);
    }
    assay_status status = near > 0 ? score(w, query, arena, &problem) : ASSAY_OK;
    if (status != ASSAY_OK && !degrades(status)) {
        if (error != NULL)
            *error = problem;
        return status;
    }
    if (status != ASSAY_OK && w->result->degraded.code == ASSAY_OK)
        w->result->degraded = problem;
    if (w->taken > 0)
        reorder(w);
    ASSAY_TRY(drop_rejected(w, arena, error));
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
    result->left_out += stage->left_out;
    result->spared += stage->spared;
    result->damaged += stage->damaged;
    result->tokens += stage->tokens;
    result->dropped += stage->dropped;
    if (stage->skipped.code == ASSAY_OK)
        result->rerank_seconds += stage->seconds;
}

assay_status assay_cascade_run(assay_pipeline *p, assay_text query, assay_entry *entries,
                               size_t *count, uint32_t top, assay_arena *arena,
                               assay_result *result, assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    work w = {.pipeline = p, .entries = entries, .count = *count};
    result->stages = assay_arena_small(arena, o->stage_count * sizeof *result->stages);
    if (result->stages == NULL)
        return assay_fail_memory(error, o->stage_count * sizeof *result->stages);
    ASSAY_TRY(take_lists(&w, arena, error));
    size_t comes = o->rerank;
    for (; result->stage_count < o->stage_count; result->stage_count++) {
        size_t i = result->stage_count;
        double begun = assay_seconds();
        w.options = &o->stages[i];
        w.class = p->classes[i];
        w.reranker = p->rerankers[i];
        w.number = i;
        w.taken = comes < w.count ? comes : w.count;
        w.wanted = i + 1 < o->stage_count ? w.options->keep : top > 0 ? top : WANTED;
        w.result = &result->stages[i];
        *w.result = (assay_stage_result){0};
        if (w.count > 0)
            ASSAY_TRY(run_stage(&w, query, arena, error));
        w.result->seconds = assay_seconds() - begun;
        w.result->tokens += w.result->llm.input_tokens;
        add_up(result, w.result);
        comes = w.options->keep;
    }
    *count = w.count;
    return ASSAY_OK;
}
