/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fit_fusion.c: see fit_fusion.h. Both lists of every query are kept and fused anew with
 * each weight (pipeline/fusion.c itself does it), by nDCG@10 of retrieval alone. As what
 * counts is only how the two compare, one number is tried: the vectors' share. It replaces
 * what is there if it is better by more than two standard errors.
 */
#include "evaluate/fit_fusion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/measures.h"
#include "evaluate/playback.h"
#include "evaluate/qrels.h"

enum { STEPS = 20 }; /* of the share, from none to all */
#define SUM 2.0      /* of both weights, as by default */

/* A passage that a list has. */
typedef struct known {
    uint64_t passage;
    size_t document;
    int32_t grade;
} known;

typedef struct asked {
    assay_candidate *bm25, *dense;
    size_t bm25_count, dense_count;
    known *passages; /* [count], ascending */
    size_t count;
    int32_t *ideal; /* [relevant] */
    size_t relevant;
} asked;

typedef struct fitting {
    assay_pipeline *pipeline;
    assay_arena *arena, *scratch;
    asked *queries; /* [count] */
    size_t count;
    assay_fused *fused; /* scratch */
    double *now, *best, *given; /* [count] nDCG@10 */
} fitting;

/* ---- Recording ------------------------------------------------------------------- */

static int by_passage(const void *left, const void *right)
{
    const known *a = left, *b = right;
    return (a->passage > b->passage) - (a->passage < b->passage);
}

static assay_candidate *copy_list(assay_arena *arena, const assay_candidate *list, size_t count,
                                  assay_error *error)
{
    assay_candidate *copy = assay_arena_small(arena, (count + 1) * sizeof *copy);
    if (copy == NULL)
        assay_fail_memory(error, count * sizeof *copy);
    else if (count > 0)
        memcpy(copy, list, count * sizeof *copy);
    return copy;
}

static size_t fuse(const asked *at, double bm25, double dense, assay_fusion kind,
                   assay_fused *out)
{
    return assay_fuse((assay_fusion_list){at->bm25, at->bm25_count, bm25},
                      (assay_fusion_list){at->dense, at->dense_count, dense}, kind, out);
}

static assay_status record(fitting *f, assay_text text, const assay_qrels *qrels, size_t query,
                           asked *at, assay_error *error)
{
    assay_pipeline *p = f->pipeline;
    assay_retrieval *r = &p->retrieval;
    assay_result unused = {0};
    assay_entry *entries;
    size_t candidates, count;
    p->deadline = INFINITY;
    assay_arena_reset(f->scratch);
    ASSAY_TRY(assay_retrieve(p, text, &candidates, &unused, error));
    at->bm25_count = r->bm25_count;
    at->dense_count = r->dense_count;
    if ((at->bm25 = copy_list(f->arena, r->bm25, r->bm25_count, error)) == NULL ||
        (at->dense = copy_list(f->arena, r->dense, r->dense_count, error)) == NULL)
        return ASSAY_E_MEMORY;
    candidates = fuse(at, 1, 1, p->settings.options.fusion, r->fused); /* all of both */
    ASSAY_TRY(assay_entries_read(p, candidates, f->scratch, &entries, &count, error));
    at->passages = assay_arena_small(f->arena, (count + 1) * sizeof *at->passages);
    if (at->passages == NULL)
        return assay_fail_memory(error, count * sizeof *at->passages);
    at->count = count;
    for (size_t i = 0; i < count; i++)
        at->passages[i] = (known){entries[i].view.passage, entries[i].document,
                                  assay_qrels_grade(qrels, query, entries[i].view.id)};
    qsort(at->passages, count, sizeof *at->passages, by_passage);
    return assay_playback_ideal(qrels, query, f->arena, &at->ideal, &at->relevant, error);
}

/* ---- Trying ---------------------------------------------------------------------- */

/* Of the documents, each by its best passage. */
static double ndcg(const asked *at, const assay_fused *fused, size_t count)
{
    int32_t grades[ASSAY_PLAYBACK_TOP];
    size_t documents[ASSAY_PLAYBACK_TOP], taken = 0;
    for (size_t i = 0; i < count && taken < ASSAY_PLAYBACK_TOP; i++) {
        const known wanted = {.passage = fused[i].passage};
        const known *one = at->count > 0 ? bsearch(&wanted, at->passages, at->count,
                                                   sizeof wanted, by_passage)
                                         : NULL;
        size_t j = 0;
        while (one != NULL && j < taken && documents[j] != one->document)
            j++;
        if (one == NULL || j < taken) /* deleted meanwhile, or another passage of one */
            continue;
        documents[taken] = one->document;
        grades[taken++] = one->grade;
    }
    return assay_ndcg(grades, taken, at->ideal, at->relevant, ASSAY_PLAYBACK_TOP);
}

/* Its mean; each query's into values[]. */
static double try_out(fitting *f, double bm25, double dense, double *values)
{
    double mean = 0;
    for (size_t i = 0; i < f->count; i++) {
        const asked *at = &f->queries[i];
        size_t count = fuse(at, bm25, dense, f->pipeline->settings.options.fusion, f->fused);
        values[i] = ndcg(at, f->fused, count);
        mean += values[i] / (double)f->count;
    }
    return mean;
}

/* The standard error of the mean of best less given. */
static double error_of(const fitting *f, double difference)
{
    double squares = 0;
    for (size_t i = 0; i < f->count; i++)
        squares += pow(f->best[i] - f->given[i] - difference, 2);
    return sqrt(squares) / (double)f->count;
}

static void choose(fitting *f, assay_fusion_fit *out)
{
    double given = try_out(f, out->bm25_weight, out->dense_weight, f->given), best = -1;
    double share = 0;
    for (int i = 0; i <= STEPS; i++) {
        double now = try_out(f, SUM * (STEPS - i) / STEPS, SUM * i / STEPS, f->now);
        if (now <= best)
            continue;
        best = now;
        share = (double)i / STEPS;
        memcpy(f->best, f->now, f->count * sizeof *f->best);
    }
    out->better = best - given > 2 * error_of(f, best - given);
    if (!out->better)
        return;
    out->bm25_weight = SUM * (1 - share);
    out->dense_weight = SUM * share;
}

/* ---- The whole ------------------------------------------------------------------- */

static assay_status open_all(fitting *f, assay_error *error)
{
    size_t retrieve = f->pipeline->settings.options.retrieve;
    f->arena = assay_arena_new(0);
    f->scratch = assay_arena_new(0);
    f->queries = calloc(f->count + 1, sizeof *f->queries);
    f->fused = calloc(2 * retrieve, sizeof *f->fused);
    f->now = calloc(3 * f->count + 1, sizeof *f->now);
    if (f->arena == NULL || f->scratch == NULL || f->queries == NULL || f->fused == NULL ||
        f->now == NULL)
        return assay_fail_memory(error, 2 * retrieve * sizeof *f->fused);
    f->best = f->now + f->count;
    f->given = f->best + f->count;
    return ASSAY_OK;
}

assay_status assay_fusion_weights(assay_pipeline *pipeline, const assay_queries *queries,
                                  const size_t *picked, size_t count, const assay_qrels *qrels,
                                  assay_progress_fn progress, void *user, assay_fusion_fit *out,
                                  assay_error *error)
{
    fitting f = {.pipeline = pipeline, .count = (count + 1) / 2};
    assay_status status = open_all(&f, error);
    for (size_t i = 0; i < f.count && status == ASSAY_OK; i++) {
        const assay_progress now = {.phase = ASSAY_PHASE_INDEX, .done = i, .total = f.count};
        size_t place = picked[2 * i];
        if (progress != NULL && !progress(&now, user))
            status = assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
        else
            status = record(&f, queries->texts[place], qrels,
                            assay_playback_number(qrels, queries->ids[place]), &f.queries[i],
                            error);
    }
    *out = (assay_fusion_fit){.bm25_weight = pipeline->settings.options.bm25_weight.value,
                              .dense_weight = pipeline->settings.options.dense_weight.value};
    if (status == ASSAY_OK)
        choose(&f, out);
    assay_arena_free(f.arena);
    assay_arena_free(f.scratch);
    free(f.queries);
    free(f.fused);
    free(f.now);
    return status;
}
