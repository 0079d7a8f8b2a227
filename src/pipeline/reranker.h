/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reranker.h: the one interface of all that gives candidates new scores.
 *
 * A kind of reranker is a table of functions, and one line in rerankers.c. What
 * comes of its scores, and what happens when it has none, is the cascade's
 * concern (cascade.c): a reranker cannot lose a candidate.
 */
#ifndef ASSAY_RERANKER_H
#define ASSAY_RERANKER_H

#include "store/store.h"

/* What a class that validates says of a passage. */
typedef struct assay_validation {
    assay_verdict verdict;
    const char *reason; /* in the call's arena; NULL: none */
} assay_validation;

typedef struct assay_rerank_call {
    assay_text query;
    const assay_collection *collection;
    const assay_passage_view *const *passages; /* [count] in the order so far */
    size_t count;
    size_t keep;        /* the best so many go on; what is behind them matters less */
    double deadline;    /* assay_seconds by which to be done; INFINITY: none. One that
                           is `whole` sees to it itself */
    assay_validation *validations; /* [count], to be filled; NULL: the class does not */
    assay_arena *arena; /* as long as the search's result */
} assay_rerank_call;

typedef struct assay_reranker_class {
    const char *name;     /* in pipelines */
    const char *model;    /* when none is named; NULL: what open says */
    double weight, weight_before, spread; /* when none are set */
    /* options has stage->precision, limits and so on; the pipeline's own options
     * say threads and no_cache. */
    assay_status (*open)(assay_store *store, const assay_stage_options *stage,
                         const assay_pipeline_options *options, void **out, assay_error *error);
    void (*close)(void *state); /* takes NULL */
    bool whole; /* all passages are scored together, or none */
    bool validates; /* it says yes or no: its scores are no reranker's */
    /* Gets ready for a query. work[count]: what scoring each passage will take, in
     * units of the class's own; 0: nothing, its score is known. Leaving the query out
     * on purpose is ASSAY_OK with result->skipped. */
    assay_status (*begin)(void *state, const assay_rerank_call *call, assay_score *scores,
                          double *work, assay_stage_result *result, assay_error *error);
    /* scores[first .. first + count) of the call's passages, in the order of the call,
     * each once. A passage that failed has a status. LIMIT and NETWORK, here and in
     * begin, degrade: what was not scored keeps its order. All else ends the search. */
    assay_status (*score)(void *state, const assay_rerank_call *call, size_t first, size_t count,
                          assay_score *scores, assay_stage_result *result, assay_error *error);
    /* After the first `done` were scored; tells what result->tokenized, cached, tokens and
     * cache are to say. NULL: there is nothing to do. */
    void (*end)(void *state, const assay_rerank_call *call, size_t done,
                const assay_score *scores, assay_stage_result *result);
    /* NULL: it has no model that assay runs. */
    void (*describe)(const void *state, assay_model_info *out);
} assay_reranker_class;

extern const assay_reranker_class assay_reranker_cross;
extern const assay_reranker_class assay_reranker_late;
extern const assay_reranker_class assay_reranker_llm;
extern const assay_reranker_class assay_reranker_split;
extern const assay_reranker_class assay_reranker_vision;

/* Whether the query has more words than the model called `name` was trained on, 0: any
 * number; *skipped then says so. */
bool assay_reranker_too_long(const char *name, uint32_t words, assay_text query,
                             assay_error *skipped);

/* By assay_reranker_kind; NULL beyond the last. */
const assay_reranker_class *assay_reranker_class_of(assay_reranker_kind kind);
/* For tests: what stands in for a kind from now on; returns what it was. */
const assay_reranker_class *assay_reranker_replace(assay_reranker_kind kind,
                                                   const assay_reranker_class *class);
/* "cross|late|...": the names, as a choice. */
extern const char assay_reranker_names[];

#endif
