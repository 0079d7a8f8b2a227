/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late.h: late interaction with a store's passages: their token ids, and their
 * tokens' vectors where these are kept. Such vectors are also what the lower layers of a
 * cross-encoder that is split make of them (rank/cross_split.h).
 *
 * Vectors are kept, as bytes or in fewer bits, of collections that were told to (assay_index_options.
 * late). Those that are missing, damaged or another model's are computed.
 */
#ifndef ASSAY_LATE_H
#define ASSAY_LATE_H

#include "pipeline/passage_tokens.h"
#include "rank/cross_split.h"
#include "rank/late_interaction.h"
#include "store/store.h"

typedef struct assay_late {
    assay_store *store;
    assay_model *model;
    assay_session *session;
    assay_passage_tokenizer maker;
    assay_digest digest; /* all that vectors of passages depend on */
    bool split;          /* it is a cross-encoder that is split */
} assay_late;

typedef enum assay_late_wanted {
    ASSAY_LATE_INTERACTION,
    ASSAY_LATE_SPLIT,
    ASSAY_LATE_EITHER,
} assay_late_wanted;

typedef struct assay_late_options {
    const char *model;
    assay_late_wanted wanted;
    assay_precision precision;
    uint32_t threads;    /* 0: all */
    uint32_t max_tokens; /* of a passage; 0: the model's */
} assay_late_options;

/* A bi-encoder is read as late interaction. One thread. */
assay_status assay_late_begin(assay_late *late, assay_store *store,
                              const assay_late_options *options, assay_error *error);
/* Takes one that is all zeros, too. */
void assay_late_end(assay_late *late);

/* Tokens of a passage's own that are read, at most. */
size_t assay_late_limit(const assay_late *late);

/* What the model reads of a passage, in the arena. *made: its ids were not in the
 * store. */
assay_status assay_late_ids(assay_late *late, const assay_passage_view *view,
                            assay_arena *arena, assay_token_ids *out, bool *made,
                            assay_error *error);

/* The session of a stage of late interaction (reranker.h). */
assay_session *assay_reranker_late_session(void *state);

/* Gives every passage of the collection vectors of options->late, or split (assay.h).
 * *done: how many were computed. */
assay_status assay_late_complete(assay_store *store, const assay_collection *collection,
                                 const assay_index_options *options, assay_progress_fn progress,
                                 void *user, uint64_t *done, assay_error *error);
/* Bits a coordinate; 0: bytes, or as it was. */
uint32_t assay_late_bits(assay_late_codes codes);

#endif
