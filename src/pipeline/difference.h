/* SPDX-License-Identifier: Apache-2.0 */
/*
 * difference.h: what the store has and an index file lacks, and the other way.
 *
 * Where an older copy of a database is put back and written to, keys of passages that an
 * index file knows are given to others. So what is compared is the vector, by its hash.
 */
#ifndef ASSAY_DIFFERENCE_H
#define ASSAY_DIFFERENCE_H

#include "store/store.h"

typedef struct assay_difference_entry {
    uint64_t key, hash;
} assay_difference_entry;

typedef struct assay_difference {
    uint32_t dimensions;
    assay_difference_entry *have; /* [have_count] those of the index, by ascending keys */
    size_t have_count;
    uint64_t *keys;   /* [count] of new vectors, ascending ... */
    float *vectors;   /* ... and these, [count][dimensions] */
    uint64_t *gone;   /* [gone_count] of those no longer in the store, ascending; the same key
                         may be new, with another vector */
    size_t count, gone_count, room;
} assay_difference;

/* An empty one that holds `most` vectors of an index. */
assay_status assay_difference_new(uint32_t dimensions, size_t most, assay_difference *out,
                                  assay_error *error);
void assay_difference_free(assay_difference *d);

/* Adds a vector of the index, in any order. */
void assay_difference_have(assay_difference *d, uint64_t key, const float *vector);

/* Compares with the store. Where more than `most` changes are needed for each vector that
 * the index has, all of the store counts as new: have_count is 0 then. */
assay_status assay_difference_read(assay_store *store, const assay_collection *collection,
                                   double most, assay_difference *d, assay_error *error);

#endif
