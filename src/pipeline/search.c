/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.c: a query's way through the stages.
 *
 * Retrieve (BM25, dense or both), fuse, keep the best `retrieve` passages;
 * rerank the first `rerank` of them; order by a weighted sum of the z-normalised
 * scores of both stages; keep each document's best passage.
 *
 * A reranker trained on one kind of question can hurt on another, hence the sum
 * instead of the reranker's order alone; the default weights were fitted on
 * training splits (docs/evaluation.md).
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/fusion.h"
#include "pipeline/scorer.h"
#include "pipeline/vectors.h"

enum { DEFAULT_RETRIEVE = 100, DEFAULT_RERANK = 30, MAX_RETRIEVE = 100000 };

#define DEFAULT_K1 0.9
#define DEFAULT_B 0.4
#define DEFAULT_BM25_WEIGHT 1.0
#define DEFAULT_DENSE_WEIGHT 1.0
#define DEFAULT_FIRST_WEIGHT 1.0
#define DEFAULT_RERANK_WEIGHT 0.4

struct assay_pipeline {
    assay_store *store;
    assay_collection collection; /* as it was at the last search */
    assay_pipeline_options options;
    char *reranker_name;

    assay_model *encoder;
    assay_session *encoder_session; /* NULL: BM25 only */
    float *query_vector;            /* [dimensions] */
    assay_flat *flat;
    assay_flat_scratch *scratch;

    assay_model *reranker; /* NULL: none */
    assay_scorer scorer;
    uint32_t query_words; /* longest query to rerank for; 0: any */

    assay_candidate *bm25, *dense; /* [retrieve] */
    assay_fused *fused;            /* [2 * retrieve] */
};

/* ---------------------------------------------------------------- opening */

static assay_status settle(assay_setting *setting, const char *name, double value, double high,
                           assay_error *error)
{
    if (!setting->set)
        *setting = (assay_setting){true, value};
    if (!(setting->value >= 0 && setting->value <= high))
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "%g is not between 0 and %g",
                          setting->value, high);
    return ASSAY_OK;
}

static assay_status settle_retriever(assay_pipeline *p, assay_error *error)
{
    assay_pipeline_options *o = &p->options;
    bool vectors = p->collection.config.dimensions > 0;
    if (o->retriever == ASSAY_RETRIEVER_AUTO)
        o->retriever = vectors ? ASSAY_RETRIEVER_HYBRID : ASSAY_RETRIEVER_BM25;
    if ((o->retriever & ASSAY_RETRIEVER_DENSE) && !vectors)
        return assay_fail(error, ASSAY_E_ARGUMENT, p->collection.name,
                          "the collection was indexed without a model, so only the retriever "
                          "bm25 can search it");
    return ASSAY_OK;
}

static assay_status settle_options(assay_pipeline *p, assay_error *error)
{
    assay_pipeline_options *o = &p->options;
    if (o->retrieve == 0)
        o->retrieve = DEFAULT_RETRIEVE;
    if (o->retrieve > MAX_RETRIEVE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "retrieve",
                          "%" PRIu32 " is more than the limit of %d", o->retrieve, MAX_RETRIEVE);
    if (o->rerank == 0)
        o->rerank = DEFAULT_RERANK;
    if (o->rerank > o->retrieve)
        o->rerank = o->retrieve;
    ASSAY_TRY(settle(&o->bm25_weight, "bm25_weight", DEFAULT_BM25_WEIGHT, 1e6, error));
    ASSAY_TRY(settle(&o->dense_weight, "dense_weight", DEFAULT_DENSE_WEIGHT, 1e6, error));
    ASSAY_TRY(settle(&o->first_weight, "first_weight", DEFAULT_FIRST_WEIGHT, 1e6, error));
    ASSAY_TRY(settle(&o->rerank_weight, "rerank_weight", DEFAULT_RERANK_WEIGHT, 1e6, error));
    ASSAY_TRY(settle(&o->k1, "k1", DEFAULT_K1, 1e3, error));
    ASSAY_TRY(settle(&o->b, "b", DEFAULT_B, 1, error));
    ASSAY_TRY(settle_retriever(p, error));
    if (o->retriever == ASSAY_RETRIEVER_HYBRID && o->bm25_weight.value + o->dense_weight.value <= 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "bm25_weight, dense_weight",
                          "both are 0; at least one must be more");
    if (o->reranker != NULL && o->first_weight.value + o->rerank_weight.value <= 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "first_weight, rerank_weight",
                          "both are 0; at least one must be more");
    return ASSAY_OK;
}

static assay_status open_encoder(assay_pipeline *p, assay_error *error)
{
    const assay_collection_config *config = &p->collection.config;
    ASSAY_TRY(assay_model_open(config->model, NULL, &p->encoder, error));
    assay_model_info info;
    assay_model_describe(p->encoder, &info);
    if (strcmp(info.digest, config->model_digest) != 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, info.path,
                          "is not the model that the collection \"%s\" was indexed with; index "
                          "it anew under another name, or put that model back",
                          p->collection.name);
    assay_session_options options = {.threads = p->options.threads, .role = ASSAY_ROLE_QUERY};
    ASSAY_TRY(assay_session_open(p->encoder, &options, &p->encoder_session, error));
    p->query_vector = calloc(config->dimensions, sizeof *p->query_vector);
    p->scratch = assay_flat_scratch_new(p->options.retrieve, p->options.threads);
    if (p->query_vector == NULL || p->scratch == NULL)
        return assay_fail_memory(error, p->options.retrieve * sizeof(assay_candidate));
    return ASSAY_OK;
}

static assay_status open_reranker(assay_pipeline *p, assay_error *error)
{
    p->reranker_name = strdup(p->options.reranker);
    if (p->reranker_name == NULL)
        return assay_fail_memory(error, strlen(p->options.reranker) + 1);
    p->options.reranker = p->reranker_name;
    const assay_model_options at = {.precision = p->options.precision};
    ASSAY_TRY(assay_model_open(p->reranker_name, &at, &p->reranker, error));
    assay_model_info info;
    assay_model_describe(p->reranker, &info);
    if (info.kind != ASSAY_MODEL_CROSS_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, info.path,
                          "is a bi-encoder (%s); a reranker must be a cross-encoder",
                          info.architecture);
    p->query_words = p->options.rerank_long ? 0 : info.query_words;
    assay_scorer_options options = {.threads = p->options.threads,
                                    .no_cache = p->options.no_cache};
    return assay_scorer_open(&p->scorer, p->store, p->reranker, options, error);
}

static assay_status open_parts(assay_pipeline *p, const char *name, assay_error *error)
{
    ASSAY_TRY(assay_collection_open(p->store, name, &p->collection, error));
    ASSAY_TRY(settle_options(p, error));
    size_t retrieve = p->options.retrieve;
    p->bm25 = calloc(retrieve, sizeof *p->bm25);
    p->dense = calloc(retrieve, sizeof *p->dense);
    p->fused = calloc(2 * retrieve, sizeof *p->fused);
    if (p->bm25 == NULL || p->dense == NULL || p->fused == NULL)
        return assay_fail_memory(error, 2 * retrieve * sizeof *p->fused);
    if (p->options.retriever & ASSAY_RETRIEVER_DENSE)
        ASSAY_TRY(open_encoder(p, error));
    if (p->options.reranker != NULL)
        ASSAY_TRY(open_reranker(p, error));
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
    if (options != NULL)
        p->options = *options;
    assay_status status = open_parts(p, collection, error);
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
    assay_session_close(p->encoder_session);
    assay_model_close(p->encoder);
    assay_scorer_close(&p->scorer);
    assay_model_close(p->reranker);
    assay_flat_close(p->flat);
    assay_flat_scratch_free(p->scratch);
    free(p->query_vector);
    free(p->bm25);
    free(p->dense);
    free(p->fused);
    free(p->reranker_name);
    free(p);
}

void assay_pipeline_describe(const assay_pipeline *pipeline, assay_pipeline_options *out)
{
    *out = pipeline->options;
}

bool assay_pipeline_reranker(const assay_pipeline *pipeline, assay_model_info *out)
{
    if (pipeline->reranker == NULL)
        return false;
    assay_model_describe(pipeline->reranker, out);
    return true;
}

/* -------------------------------------------------------- the first stage */

static assay_status retrieve_dense(assay_pipeline *p, assay_text query, size_t *count,
                                   bool *truncated, assay_error *error)
{
    ASSAY_TRY(assay_vectors_open(p->store, &p->collection, &p->flat, NULL, NULL, error));
    assay_embedding_info info;
    ASSAY_TRY(assay_embed(p->encoder_session, &query, 1, p->query_vector, &info, error));
    assay_vector_scale(p->query_vector, p->collection.config.dimensions);
    *truncated = info.truncated;
    *count = assay_flat_search(p->flat, p->query_vector, p->scratch, p->dense);
    return ASSAY_OK;
}

/* Fills p->fused, best first; *count is at most options.retrieve. */
static assay_status first_stage(assay_pipeline *p, assay_text query, size_t *count,
                                bool *truncated, assay_error *error)
{
    const assay_pipeline_options *o = &p->options;
    assay_fusion_list bm25 = {p->bm25, 0, 0}, dense = {p->dense, 0, 0};
    if (o->retriever & ASSAY_RETRIEVER_BM25) {
        bm25.weight = o->bm25_weight.value;
        ASSAY_TRY(assay_store_bm25(p->store, &p->collection, query, o->k1.value, o->b.value,
                                   o->retrieve, p->bm25, &bm25.count, error));
    }
    if (o->retriever & ASSAY_RETRIEVER_DENSE) {
        dense.weight = o->dense_weight.value;
        ASSAY_TRY(retrieve_dense(p, query, &dense.count, truncated, error));
    }
    *count = assay_fuse(bm25, dense, o->fusion, p->fused);
    if (*count > o->retrieve)
        *count = o->retrieve;
    return ASSAY_OK;
}

/* --------------------------------------------------------- the second one */

/* A candidate on its way. */
typedef struct entry {
    const assay_fused *fused;
    assay_passage_view view;
    uint32_t rank_first; /* of its document */
    double final;
    bool reranked;
    assay_score score;
} entry;

/* Reads the candidates' passages, leaving out those deleted meanwhile. */
static assay_status read_passages(assay_pipeline *p, size_t candidates, assay_arena *arena,
                                  entry *entries, size_t *count, assay_error *error)
{
    *count = 0;
    for (size_t i = 0; i < candidates; i++) {
        entry *e = &entries[*count];
        *e = (entry){.fused = &p->fused[i]};
        assay_status status =
            assay_passage_get(p->store, p->fused[i].passage, arena, &e->view, error);
        if (status == ASSAY_E_NOT_FOUND)
            continue;
        ASSAY_TRY(status);
        e->final = p->fused[i].score;
        ++*count;
    }
    return ASSAY_OK;
}

/* Whether an earlier entry has the same document. Entries are hundreds: the
 * square of them costs less than a table. */
static bool document_seen(const entry *entries, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (entries[j].view.document == entries[i].view.document)
            return true;
    return false;
}

static void rank_documents_first(entry *entries, size_t count)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        if (!document_seen(entries, i)) {
            entries[i].rank_first = ++rank;
            continue;
        }
        for (size_t j = 0; j < i; j++)
            if (entries[j].view.document == entries[i].view.document)
                entries[i].rank_first = entries[j].rank_first;
    }
}

/* Scores the first `count` entries with the cross-encoder. */
static assay_status score_entries(assay_pipeline *p, assay_text query, entry *entries,
                                  size_t count, assay_arena *arena, assay_result *result,
                                  assay_error *error)
{
    const assay_passage_view **views = assay_arena_small(arena, count * sizeof *views);
    assay_score *scores = assay_arena_small(arena, count * sizeof *scores);
    if (views == NULL || scores == NULL)
        return assay_fail_memory(error, count * sizeof *scores);
    for (size_t i = 0; i < count; i++)
        views[i] = &entries[i].view;
    assay_score_sources sources;
    ASSAY_TRY(assay_scorer_score(&p->scorer, query, views, count, arena, scores, &sources,
                                 error));
    for (size_t i = 0; i < count; i++) {
        entries[i].score = scores[i];
        entries[i].reranked = scores[i].status == ASSAY_OK;
    }
    result->scored = (uint32_t)count;
    result->tokenized = sources.tokenized;
    result->cached = sources.cached;
    result->cache = sources.cache;
    return ASSAY_OK;
}

/* final = first_weight * z(first stage) + rerank_weight * z(logit), over the
 * entries that were scored; one that the reranker failed on counts as its
 * worst. */
static void interpolate(const assay_pipeline *p, entry *entries, size_t count, double *first,
                        double *second)
{
    double worst = INFINITY;
    for (size_t i = 0; i < count; i++)
        if (entries[i].score.status == ASSAY_OK && entries[i].score.logit < worst)
            worst = entries[i].score.logit;
    for (size_t i = 0; i < count; i++) {
        first[i] = entries[i].fused->score;
        second[i] = entries[i].score.status == ASSAY_OK ? entries[i].score.logit : worst;
    }
    assay_normalize(first, count);
    assay_normalize(second, count);
    for (size_t i = 0; i < count; i++)
        entries[i].final = p->options.first_weight.value * first[i] +
                           p->options.rerank_weight.value * second[i];
}

static int by_final(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->final != b->final)
        return a->final > b->final ? -1 : 1;
    return a->fused < b->fused ? -1 : a->fused > b->fused; /* the first stage's order */
}

/* Entries that were not reranked keep their order behind those that were, and
 * get scores that say so: shifted to begin 1 below the last. */
static void shift_rest(entry *entries, size_t reranked, size_t count)
{
    if (reranked == count)
        return;
    double shift = entries[reranked - 1].final - 1 - entries[reranked].final;
    for (size_t i = reranked; i < count; i++)
        entries[i].final += shift;
}

static bool is_space(char byte)
{
    return byte != '\0' && strchr(" \t\r\n\f\v", byte) != NULL;
}

static size_t count_words(assay_text text)
{
    size_t words = 0;
    for (size_t i = 0; i < text.length; i++)
        words += !is_space(text.data[i]) && (i == 0 || is_space(text.data[i - 1]));
    return words;
}

/* A reranker is not to be trusted with queries of a kind it never saw, and those
 * longer than any it was trained on are such: where the model says how long that
 * is, they keep the first stage's order (docs/evaluation.md). */
static bool too_long_to_rerank(const assay_pipeline *p, assay_text query, assay_error *skipped)
{
    size_t words = p->query_words > 0 ? count_words(query) : 0;
    if (words <= p->query_words)
        return false;
    assay_fail(skipped, ASSAY_E_LIMIT, "query",
               "the query has %zu words, and '%s' was trained on queries of at most %" PRIu32,
               words, p->reranker_name, p->query_words);
    return true;
}

/* Reranks and sorts the first entries. A query that the reranker cannot take
 * or had better not is told in *result and leaves the order as it was. */
static assay_status second_stage(assay_pipeline *p, assay_text query, entry *entries,
                                 size_t count, assay_arena *arena, assay_result *result,
                                 assay_error *error)
{
    assay_error *degraded = &result->degraded;
    size_t reranked = count < p->options.rerank ? count : p->options.rerank;
    if (p->reranker == NULL || too_long_to_rerank(p, query, &result->skipped) ||
        reranked == 0)
        return ASSAY_OK;
    double *values = assay_arena_take(arena, 2 * reranked * sizeof *values);
    if (values == NULL)
        return assay_fail_memory(error, 2 * reranked * sizeof *values);
    assay_status status =
        score_entries(p, query, entries, reranked, arena, result, degraded);
    if (status == ASSAY_E_LIMIT)
        return ASSAY_OK;
    if (status != ASSAY_OK) {
        if (error != NULL)
            *error = *degraded;
        return status;
    }
    interpolate(p, entries, reranked, values, values + reranked);
    qsort(entries, reranked, sizeof *entries, by_final);
    shift_rest(entries, reranked, count);
    return ASSAY_OK;
}

/* ------------------------------------------------------------- the result */

static assay_hit hit_of(const entry *e, uint32_t rank)
{
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
        .score = (float)e->final,
        .score_first = e->fused->score,
        .score_bm25 = e->fused->score_bm25,
        .score_dense = e->fused->score_dense,
        .reranked = e->reranked,
        .truncated = e->score.truncated,
        .tokens = e->score.tokens,
        .logit = e->score.logit,
        .probability = e->score.probability,
        .status = e->score.status,
    };
}

/* The best passage of each document, until there are `top`. */
static void collect_hits(const entry *entries, size_t count, uint32_t top, assay_result *result)
{
    for (size_t i = 0; i < count && (top == 0 || result->count < top); i++) {
        if (document_seen(entries, i))
            continue;
        uint32_t rank = (uint32_t)++result->count;
        result->hits[rank - 1] = hit_of(&entries[i], rank);
    }
}

static bool blank(assay_text text)
{
    return count_words(text) == 0;
}

static assay_status run_stages(assay_pipeline *p, assay_text query, uint32_t top,
                               assay_arena *arena, assay_result *result, assay_error *error)
{
    double begun = assay_seconds();
    size_t candidates, count;
    ASSAY_TRY(assay_collection_open(p->store, p->collection.name, &p->collection, error));
    ASSAY_TRY(first_stage(p, query, &candidates, &result->query_truncated, error));
    entry *entries = assay_arena_take(arena, candidates * sizeof *entries);
    result->hits = assay_arena_take(arena, candidates * sizeof *result->hits);
    if (entries == NULL || result->hits == NULL)
        return assay_fail_memory(error, candidates * sizeof *entries);
    ASSAY_TRY(read_passages(p, candidates, arena, entries, &count, error));
    rank_documents_first(entries, count);
    result->candidates = (uint32_t)count;
    double retrieved = assay_seconds();
    ASSAY_TRY(second_stage(p, query, entries, count, arena, result, error));
    collect_hits(entries, count, top, result);
    result->first_seconds = retrieved - begun;
    bool reranking = p->reranker != NULL && result->skipped.code == ASSAY_OK;
    result->rerank_seconds = reranking ? assay_seconds() - retrieved : 0;
    return ASSAY_OK;
}

assay_status assay_search(assay_pipeline *pipeline, assay_text query, uint32_t top,
                          assay_result *out, assay_error *error)
{
    if (blank(query))
        return assay_fail(error, ASSAY_E_ARGUMENT, "query", "is empty");
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_result result = {.block = arena};
    assay_status status = run_stages(pipeline, query, top, arena, &result, error);
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
