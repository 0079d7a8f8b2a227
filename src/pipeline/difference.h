/* SPDX-License-Identifier: Apache-2.0 */
/*
 * difference.h: what the store has and an index file lacks, and the other way.
 *
 * A passage has a key for good and a vector that does not change, so keys tell all.
 */
#ifndef ASSAY_DIFFERENCE_H
#define ASSAY_DIFFERENCE_H

#include "store/store.h"

typedef struct assay_difference {
    uint32_t dimensions;
    uint64_t *have;   /* [have_count] keys of the index, ascending */
    size_t have_count;
    uint64_t *keys;   /* [count] new ones, ascending ... */
    float *vectors;   /* ... and their vectors, [count][dimensions] */
    uint64_t *gone;   /* [gone_count] no longer in the store, ascending */
    size_t count, gone_count, room;
} assay_difference;

/* An empty one that holds `most` keys of an index. */
assay_status assay_difference_new(uint32_t dimensions, size_t most, assay_difference *out,
                                  assay_error *error);
void assay_difference_free(assay_difference *d);

/* Adds a key of the index, in any order. */
static inline void assay_difference_have(assay_difference *d, uint64_t key)
{
    d->have[d->have_count++] = key;
}

/* Compares with the store. Where more than `most` changes are needed for each vector that
 * the index has, all of the store counts as new: have_count is 0 then. */
assay_status assay_difference_read(assay_store *store, const assay_collection *collection,
                                   double most, assay_difference *d, assay_error *error);

#endif
