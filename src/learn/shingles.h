/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shingles.h: texts that say nearly the same (Broder 1997).
 *
 * A text is the set of its runs of four words. Words are of letters and digits, case
 * aside, everything outside ASCII counting as letters; of a long text the first 400.
 */
#ifndef ASSAY_SHINGLES_H
#define ASSAY_SHINGLES_H

#include "base/status.h"

/* Texts at least so alike are the same document to whoever judges them. */
#define ASSAY_NEAR_DUPLICATE 0.5

typedef struct assay_shingles {
    uint64_t *hashes; /* [count], ascending, each once */
    size_t count;
} assay_shingles;

/* Of a text without a word there are none. Free with assay_shingles_free. */
assay_status assay_shingles_of(assay_text text, assay_shingles *out, assay_error *error);
void assay_shingles_free(assay_shingles *shingles);

/* Hashes of the first `most` of its words, in their order; returns how many. */
size_t assay_shingles_words(assay_text text, uint64_t *hashes, size_t most);

/* The share of the smaller set that is in the other, too; 0 when one is empty. */
double assay_shingles_overlap(const assay_shingles *a, const assay_shingles *b);

#endif
