/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allowed.h: what a pipeline's filter lets through, as each retriever counts it.
 *
 * The sets are made at the first search after the filter or the collection has
 * changed, and kept.
 */
#ifndef ASSAY_ALLOWED_H
#define ASSAY_ALLOWED_H

#include "index/flat.h"
#include "store/store.h"

typedef struct assay_allowed {
    assay_filter *filter; /* NULL: none */
    assay_selection selection; /* passages by key, and how many */
    assay_bits slots;     /* by place in the vector file, */
    assay_bits words;     /* and in the word index */
    uint64_t passages_generation, keys_generation, slots_generation, words_generation;
                          /* of the collection; 0: not made */
    assay_error missing;  /* see assay_store_filter */
} assay_allowed;

/* NULL or "": no filter. A filter that is none leaves the old one. */
assay_status assay_allowed_set(assay_allowed *allowed, const char *expression,
                               assay_error *error);
void assay_allowed_free(assay_allowed *allowed);

/* Brings the sets up to date; does nothing without a filter. */
assay_status assay_allowed_passages(assay_allowed *allowed, assay_store *store,
                                    const assay_collection *collection, assay_error *error);
assay_status assay_allowed_keys(assay_allowed *allowed, assay_store *store,
                                const assay_collection *collection, assay_error *error);
assay_status assay_allowed_slots(assay_allowed *allowed, const assay_flat *flat,
                                 const assay_collection *collection, assay_error *error);
assay_status assay_allowed_words(assay_allowed *allowed, const assay_postings *postings,
                                 const assay_collection *collection, assay_error *error);

#endif
