/* SPDX-License-Identifier: Apache-2.0 */
/* reranker_cross.c: a cross-encoder as a stage, with stored token ids and the
 * score cache (scorer.h). */
#include <inttypes.h>
#include <stdlib.h>

#include "pipeline/reranker.h"
#include "pipeline/scorer.h"
#include "pipeline/words.h"

typedef struct cross {
    const char *name; /* as it was asked for */
    assay_model *model;
    assay_scorer scorer;
    uint32_t query_words; /* longest query to rerank for; 0: any */
} cross;

static void close_cross(void *state)
{
    cross *c = state;
    if (c == NULL)
        return;
    assay_scorer_close(&c->scorer);
    assay_model_close(c->model);
    free(c);
}

static assay_status open_parts(cross *c, assay_store *store, const assay_stage_options *stage,
                               const assay_pipeline_options *options, assay_error *error)
{
    c->name = stage->model;
    const assay_model_options at = {.precision = stage->precision};
    ASSAY_TRY(assay_model_open(stage->model, &at, &c->model, error));
    assay_model_info info;
    assay_model_describe(c->model, &info);
    if (info.kind != ASSAY_MODEL_CROSS_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, info.path,
                          "is a %s (%s), expected a cross-encoder; it can rerank by late "
                          "interaction, as late:%.200s",
                          info.kind == ASSAY_MODEL_LATE ? "model of late interaction"
                                                        : "bi-encoder",
                          info.architecture, stage->model);
    c->query_words = stage->rerank_long ? 0 : info.query_words;
    const assay_scorer_options scoring = {.threads = options->threads,
                                          .max_tokens = stage->max_tokens,
                                          .no_cache = options->no_cache};
    return assay_scorer_open(&c->scorer, store, c->model, scoring, error);
}

static assay_status open_cross(assay_store *store, const assay_stage_options *stage,
                               const assay_pipeline_options *options, void **out,
                               assay_error *error)
{
    cross *c = calloc(1, sizeof *c);
    if (c == NULL)
        return assay_fail_memory(error, sizeof *c);
    assay_status status = open_parts(c, store, stage, options, error);
    if (status != ASSAY_OK) {
        close_cross(c);
        return status;
    }
    *out = c;
    return ASSAY_OK;
}

/* A reranker is not to be trusted with queries of a kind it never saw, and those
 * longer than any it was trained on are such: where the model says how long that
 * is, they keep the order that they have (docs/evaluation.md). */
bool assay_reranker_too_long(const char *name, uint32_t words, assay_text query,
                             assay_error *skipped)
{
    size_t found = words > 0 ? assay_words_count(query) : 0;
    if (found <= words)
        return false;
    assay_fail(skipped, ASSAY_E_LIMIT, "query",
               "the query has %zu words, and '%s' was trained on queries of at most %" PRIu32,
               found, name, words);
    return true;
}

static assay_status begin_cross(void *state, const assay_rerank_call *call, assay_score *scores,
                                double *work, assay_stage_result *result, assay_error *error)
{
    cross *c = state;
    if (assay_reranker_too_long(c->name, c->query_words, call->query, &result->skipped))
        return ASSAY_OK;
    return assay_scorer_begin(&c->scorer, call->query, call->passages, call->count, call->arena,
                              scores, work, error);
}

static assay_status score_cross(void *state, const assay_rerank_call *call, size_t first,
                                size_t count, assay_score *scores, assay_stage_result *result,
                                assay_error *error)
{
    (void)call, (void)result;
    return assay_scorer_score(&((cross *)state)->scorer, first, count, scores, error);
}

static void end_cross(void *state, const assay_rerank_call *call, size_t done,
                      const assay_score *scores, assay_stage_result *result)
{
    (void)call;
    assay_score_sources sources;
    assay_scorer_end(&((cross *)state)->scorer, done, scores, &sources);
    result->tokenized = sources.tokenized;
    result->cached = sources.cached;
    result->tokens = sources.tokens;
    result->cache = sources.cache;
}

static void describe_cross(const void *state, assay_model_info *out)
{
    assay_model_describe(((const cross *)state)->model, out);
}

/* Weight and spread were fitted on training splits, behind hybrid retrieval
 * (docs/evaluation.md). Where all logits of a query lie close together the model cannot tell
 * its passages apart, and z-scores would make as much of them as of any others. */
const assay_reranker_class assay_reranker_cross = {
    .name = "cross",
    .model = "cross",
    .weight = 1.0,
    .weight_before = 1.0,
    .spread = 1.5,
    .open = open_cross,
    .close = close_cross,
    .begin = begin_cross,
    .score = score_cross,
    .end = end_cross,
    .describe = describe_cross,
};
