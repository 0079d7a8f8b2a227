/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scorer.h: the logits of candidates, with as little work as gives them.
 *
 * The query alone is tokenised: the passages' token ids are in the store. Those
 * that are not, because the reranker has another tokenizer than they were made
 * with, are made here and counted.
 */
#ifndef ASSAY_SCORER_H
#define ASSAY_SCORER_H

#include "pipeline/passage_tokens.h"
#include "rank/cross_encoder.h"
#include "store/store.h"

typedef struct assay_scorer {
    assay_store *store;
    assay_session *session;
    assay_passage_tokenizer maker;
} assay_scorer;

/* Where the scores came from. */
typedef struct assay_score_sources {
    uint32_t tokenized; /* passages whose ids were not in the store */
} assay_score_sources;

/* With a cross-encoder; store and model must outlive it. One thread. */
assay_status assay_scorer_open(assay_scorer *scorer, assay_store *store, assay_model *model,
                               uint32_t threads, assay_error *error);
/* Takes one that is all zeros, too. */
void assay_scorer_close(assay_scorer *scorer);

/* As assay_rerank, whose scores they are to the bit. The arena is used for
 * scratch. */
assay_status assay_scorer_score(assay_scorer *scorer, assay_text query,
                                const assay_passage_view *const *passages, size_t count,
                                assay_arena *arena, assay_score *scores,
                                assay_score_sources *sources, assay_error *error);

#endif
