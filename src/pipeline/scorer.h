/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scorer.h: the logits of candidates, with as little work as gives them.
 *
 * The query alone is tokenised: the passages' token ids are in the store. Those
 * that are not, because the reranker has another tokenizer than they were made
 * with, are made here and counted. A pair that was scored before, by the same
 * model at the same precision, has its logit in the score cache; one that was
 * not is scored and put there. Neither changes a bit of a score, and a cache that
 * cannot be used changes nothing but the time it takes.
 */
#ifndef ASSAY_SCORER_H
#define ASSAY_SCORER_H

#include "pipeline/passage_tokens.h"
#include "rank/cross_encoder.h"
#include "store/score_cache.h"
#include "store/store.h"

typedef struct assay_scorer {
    assay_store *store;
    assay_session *session;
    assay_passage_tokenizer maker;
    assay_score_cache *cache; /* NULL: none */
    assay_error cache_error;  /* why there is none, though it was asked for */
    assay_digest model;       /* what a logit depends on beside query and passage */
    struct assay_scorer_work *work; /* of the query at hand, in its arena */
} assay_scorer;

/* Where the scores came from. */
typedef struct assay_score_sources {
    uint32_t tokenized; /* passages whose ids were not in the store */
    uint32_t cached;    /* passages whose logit was in the cache */
    uint64_t tokens;    /* of the other pairs */
    assay_error cache;  /* code is not ASSAY_OK: why the cache could not be used */
} assay_score_sources;

typedef struct assay_scorer_options {
    uint32_t threads;    /* 0: all */
    uint32_t max_tokens; /* of a pair; 0: as many as the model and the store allow */
    bool no_cache;
} assay_scorer_options;

/* With a cross-encoder; store and model must outlive it. One thread. */
assay_status assay_scorer_open(assay_scorer *scorer, assay_store *store, assay_model *model,
                               assay_scorer_options options, assay_error *error);
/* Takes one that is all zeros, too. */
void assay_scorer_close(assay_scorer *scorer);

/* A query and its passages, in three steps; scores are those of assay_rerank, to the
 * bit. begin: tokens[count] become those that scoring each will take; 0: its score is
 * known, and in scores. The arena must live until end. */
assay_status assay_scorer_begin(assay_scorer *scorer, assay_text query,
                                const assay_passage_view *const *passages, size_t count,
                                assay_arena *arena, assay_score *scores, double *tokens,
                                assay_error *error);
/* Makes scores[first .. first + count). */
assay_status assay_scorer_score(assay_scorer *scorer, size_t first, size_t count,
                                assay_score *scores, assay_error *error);
/* Keeps the first `done`. */
void assay_scorer_end(assay_scorer *scorer, size_t done, const assay_score *scores,
                      assay_score_sources *sources);

#endif
