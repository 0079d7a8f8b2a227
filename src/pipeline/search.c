/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.c: a query's way through a pipeline, and the pipeline's own life.
 *
 * Retrieve (retrieve.c), rerank stage by stage (cascade.c), keep each document's
 * best passage.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/pipeline.h"
#include "pipeline/tune.h"
#include "pipeline/words.h"

/* ---------------------------------------------------------------- opening */

static assay_status open_parts(assay_pipeline *p, const char *name,
                               const assay_pipeline_options *options, assay_error *error)
{
    assay_pipeline_options *o = &p->settings.options;
    ASSAY_TRY(assay_collection_open(p->store, name, &p->collection, error));
    p->arena = assay_arena_new(0);
    if (p->arena == NULL)
        return assay_fail_memory(error, 1024);
    assay_pipeline_options asked = {0};
    if (options != NULL)
        asked = *options;
    assay_tune_apply(p->store, &p->collection, &asked);
    ASSAY_TRY(assay_settings_fill(&asked, p->arena, &p->settings, error));
    ASSAY_TRY(assay_settings_fit(&p->settings, &p->collection, error));
    p->deadline_ms = o->deadline_ms;
    p->least = o->min_probability;
    ASSAY_TRY(assay_retrieval_open(p, error));
    for (size_t i = 0; i < o->stage_count; i++) {
        p->classes[i] = assay_reranker_class_of(o->stages[i].kind);
        ASSAY_TRY(p->classes[i]->open(p->store, &o->stages[i], o, &p->rerankers[i], error));
    }
    return ASSAY_OK;
}

assay_status assay_pipeline_open(assay_store *store, const char *collection,
                                 const assay_pipeline_options *options, assay_pipeline **out,
                                 assay_error *error)
{
    assay_pipeline *p = calloc(1, sizeof *p);
    if (p == NULL)
        return assay_fail_memory(error, sizeof *p);
    p->store = store;
    p->reserve = ASSAY_RESERVE;
    assay_status status = open_parts(p, collection, options, error);
    if (status != ASSAY_OK) {
        assay_pipeline_close(p);
        return status;
    }
    *out = p;
    return ASSAY_OK;
}

void assay_pipeline_close(assay_pipeline *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < ASSAY_STAGES_MAX; i++)
        if (p->rerankers[i] != NULL)
            p->classes[i]->close(p->rerankers[i]);
    assay_late_end(&p->explainer);
    assay_retrieval_close(&p->retrieval);
    assay_arena_free(p->arena);
    free(p);
}

assay_status assay_pipeline_filter(assay_pipeline *pipeline, const char *expression,
                                   assay_error *error)
{
    return assay_allowed_set(&pipeline->retrieval.allowed, expression, error);
}

void assay_pipeline_deadline(assay_pipeline *pipeline, uint32_t milliseconds)
{
    uint32_t own = pipeline->settings.options.deadline_ms;
    bool asked = milliseconds > 0 && (own == 0 || milliseconds < own);
    pipeline->deadline_ms = asked ? milliseconds : own;
}

assay_status assay_pipeline_min_probability(assay_pipeline *pipeline, assay_setting least,
                                            assay_error *error)
{
    const assay_pipeline_options *o = &pipeline->settings.options;
    ASSAY_TRY(assay_settings_check_probability(o, least, error));
    pipeline->least = least.set ? least : o->min_probability;
    return ASSAY_OK;
}

void assay_pipeline_describe(const assay_pipeline *pipeline, assay_pipeline_options *out)
{
    *out = pipeline->settings.options;
}

bool assay_pipeline_reranker(const assay_pipeline *pipeline, size_t stage, assay_model_info *out)
{
    if (stage >= pipeline->settings.options.stage_count ||
        pipeline->classes[stage]->describe == NULL)
        return false;
    pipeline->classes[stage]->describe(pipeline->rerankers[stage], out);
    return true;
}

/* ------------------------------------------------------------- the result */

static assay_hit hit_of(const assay_entry *e, uint32_t rank)
{
    const assay_hit_stage none = {0}, *last = e->last > 0 ? &e->stages[e->last - 1] : &none;
    return (assay_hit){
        .document = e->view.id,
        .title = e->view.title,
        .source = e->view.source,
        .heading = e->view.heading,
        .text = e->view.text,
        .passage = e->view.passage,
        .offset = e->view.offset,
        .rank = rank,
        .rank_first = e->rank_first,
        .rank_bm25 = e->fused->rank_bm25,
        .rank_dense = e->fused->rank_dense,
        .score = (float)e->score,
        .score_first = e->fused->score,
        .score_bm25 = e->fused->score_bm25,
        .score_dense = e->fused->score_dense,
        .stages = e->stages,
        .reranked = last->scored,
        .truncated = last->truncated,
        .tokens = last->tokens,
        .logit = last->logit,
        .probability = last->probability,
        .status = last->status,
    };
}

/* What the last stage that tells a probability says of an entry; NAN: none does. */
static float probability_of(const assay_entry *e, size_t stages)
{
    for (size_t i = stages; i > 0; i--)
        if (e->stages[i - 1].scored && isfinite(e->stages[i - 1].probability))
            return e->stages[i - 1].probability;
    return NAN;
}

static float best_probability(const assay_pipeline *p, const assay_entry *entries, size_t count)
{
    float best = NAN;
    for (size_t i = 0; i < count; i++)
        best = fmaxf(best, probability_of(&entries[i], p->settings.options.stage_count));
    return best;
}

/* Whether an entry is too improbable an answer. Where no stage could tell of any, nobody
 * knows, and all are shown. */
static bool withhold(const assay_pipeline *p, const assay_entry *e, float best)
{
    return p->least.set && !isnan(best) &&
           !(probability_of(e, p->settings.options.stage_count) >= p->least.value);
}

/* The best passage of each document, until there are `top`. */
static assay_status collect_hits(const assay_pipeline *p, const assay_entry *entries, size_t count,
                                 uint32_t top, assay_arena *arena, assay_result *result,
                                 assay_error *error)
{
    result->hits = assay_arena_take(arena, count * sizeof *result->hits);
    bool *seen = assay_arena_small(arena, count * sizeof *seen);
    if (result->hits == NULL || seen == NULL)
        return assay_fail_memory(error, count * sizeof *result->hits);
    memset(seen, 0, count * sizeof *seen);
    result->least = p->least;
    result->best_probability = best_probability(p, entries, count);
    for (size_t i = 0; i < count && (top == 0 || result->count < top); i++) {
        if (seen[entries[i].document])
            continue;
        if (withhold(p, &entries[i], result->best_probability)) {
            result->withheld++;
            continue;
        }
        seen[entries[i].document] = true;
        uint32_t rank = (uint32_t)++result->count;
        result->hits[rank - 1] = hit_of(&entries[i], rank);
    }
    return ASSAY_OK;
}

/* What the end of a search says of the reserve; nothing where it was late before the
 * stages had any time. */
static void learn_reserve(assay_pipeline *p, double begun, const assay_result *result)
{
    bool late = assay_seconds() > begun + p->deadline_ms / 1e3;
    if (begun + result->first_seconds < p->deadline && (late || result->left_out > 0))
        p->reserve = assay_reserve_learn(p->reserve, late);
}

/* The collection as it is now; another process may have made it anew. */
static assay_status look_again(assay_pipeline *p, assay_error *error)
{
    assay_collection now;
    ASSAY_TRY(assay_collection_open(p->store, p->collection.name, &now, error));
    if ((p->settings.options.retriever & ASSAY_RETRIEVER_DENSE) &&
        strcmp(now.config.model_digest, p->collection.config.model_digest) != 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, p->collection.name,
                          "was made anew with another model than is open to embed questions; "
                          "open the pipeline again");
    p->collection = now;
    return ASSAY_OK;
}

static assay_status run(assay_pipeline *p, assay_text query, uint32_t top, assay_arena *arena,
                        assay_result *result, assay_error *error)
{
    double begun = assay_seconds();
    size_t candidates, count;
    assay_entry *entries;
    p->deadline = p->deadline_ms > 0 ? begun + p->deadline_ms / 1e3 * (1 - p->reserve) : INFINITY;
    ASSAY_TRY(look_again(p, error));
    ASSAY_TRY(assay_retrieve(p, query, &candidates, result, error));
    result->word_index = p->retrieval.postings != NULL;
    result->words = p->retrieval.words;
    if ((p->settings.options.retriever & ASSAY_RETRIEVER_DENSE) &&
        result->degraded.code == ASSAY_OK)
        result->vectors = p->retrieval.kind;
    result->rebuilt = p->retrieval.vectors.notice;
    p->retrieval.vectors.notice = (assay_error){0};
    result->filtered = p->retrieval.allowed.filter != NULL;
    result->allowed = p->retrieval.allowed.selection.count;
    result->missing = p->retrieval.allowed.missing;
    ASSAY_TRY(assay_entries_read(p, candidates, arena, &entries, &count, error));
    result->candidates = (uint32_t)count;
    result->first_seconds = assay_seconds() - begun;
    ASSAY_TRY(assay_cascade_run(p, query, entries, &count, top, arena, result, error));
    ASSAY_TRY(collect_hits(p, entries, count, top, arena, result, error));
    if (p->deadline < INFINITY)
        learn_reserve(p, begun, result);
    return ASSAY_OK;
}

assay_status assay_search(assay_pipeline *pipeline, assay_text query, uint32_t top,
                          assay_result *out, assay_error *error)
{
    if (assay_words_count(query) == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "query", "is empty");
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_result result = {.block = arena};
    assay_status status = run(pipeline, query, top, arena, &result, error);
    if (status != ASSAY_OK) {
        assay_arena_free(arena);
        return status;
    }
    *out = result;
    return ASSAY_OK;
}

void assay_result_free(assay_result *result)
{
    if (result == NULL)
        return;
    assay_arena_free(result->block);
    *result = (assay_result){0};
}
