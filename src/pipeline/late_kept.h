/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_kept.h: scores of passages by the token vectors that a collection keeps of them,
 * as bytes, as halves or in codes of its book.
 */
#ifndef ASSAY_LATE_KEPT_H
#define ASSAY_LATE_KEPT_H

#include "index/token_codes.h"
#include "pipeline/late.h"

/* {0} at first. One thread. */
typedef struct assay_late_kept {
    assay_late *late;
    bool usable;      /* the collection at hand keeps vectors of this very model */
    bool damaged;     /* it does, but its book is of no use */
    bool coded;       /* in codes of `book` */
    int64_t collection;
    uint32_t tag;     /* of the book that is open */
    assay_token_book *book; /* NULL: they are bytes */
    assay_token_query query;
    float *steps;     /* [capacity] of the passage at hand, aligned, */
    uint16_t *halves; /* [capacity][dimensions, at least 2] */
    size_t capacity;
} assay_late_kept;

/* To be called once the session holds a question. */
assay_status assay_late_kept_begin(assay_late_kept *kept, assay_late *late,
                                   const assay_collection *collection, assay_error *error);

/* *found: there are vectors, which *score is by. *damaged: there are some of no use. */
assay_status assay_late_kept_score(assay_late_kept *kept, uint64_t passage, assay_score *score,
                                   bool *found, bool *damaged, assay_error *error);

void assay_late_kept_free(assay_late_kept *kept);

#endif
