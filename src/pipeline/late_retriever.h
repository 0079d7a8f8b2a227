/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_retriever.h: late interaction that retrieves by itself, from the token vectors
 * that a collection keeps.
 *
 * Where these are in codes, <home>/index/<collection key>.tokens (index/token_lists.h)
 * gives candidates, and their codes the scores. The file is derived from the store: made
 * when it is missing, damaged, behind or of another book. Who has searched by it catches up
 * with what has come and gone since; a file alone does not tell passages that another
 * history of the collection gave the same keys (store.h, assay_generation_after). Bytes,
 * and a search that is to be exact, go over all passages.
 */
#ifndef ASSAY_LATE_RETRIEVER_H
#define ASSAY_LATE_RETRIEVER_H

#include "index/token_lists.h"
#include "pipeline/late_kept.h"

typedef struct assay_late_retriever {
    assay_late late; /* the collection's own model */
    assay_late_kept kept;
    assay_token_lists *lists;
    assay_candidate *near; /* [near_room] what centres found */
    size_t near_room;
} assay_late_retriever;

typedef struct assay_late_search {
    uint32_t k;
    uint32_t scored;     /* passages whose codes are looked at, at least k */
    uint32_t nprobe;     /* centres of each of the question's vectors; 0: by default */
    bool exact;          /* all passages are */
    const assay_bits *allowed; /* keys that may be found; NULL: all */
} assay_late_search;

/* ARGUMENT when the collection keeps no token vectors. */
assay_status assay_late_retriever_open(assay_late_retriever *r, assay_store *store,
                                       const assay_collection *collection, uint32_t threads,
                                       assay_error *error);
void assay_late_retriever_close(assay_late_retriever *r);

/* Writes at most k candidates, best first, by the scores of late interaction. *truncated:
 * the question's end was not seen. */
assay_status assay_late_retrieve(assay_late_retriever *r, const assay_collection *collection,
                                 assay_text query, const assay_late_search *search,
                                 assay_candidate *out, size_t *count, bool *truncated,
                                 assay_error *error);

#endif
