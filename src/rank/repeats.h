/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeats.h: which texts of a call are equal to an earlier one.
 *
 * A flat hash table (open addressing, linear probing, at most half full); equal
 * means byte by byte. Passages cut by an overlap, boilerplate and the same page
 * under two addresses come more than once: they are scored once.
 */
#ifndef ASSAY_REPEATS_H
#define ASSAY_REPEATS_H

#include "base/status.h"

/* Memory is kept between calls. A zeroed struct is empty. One thread. */
typedef struct assay_repeats {
    size_t *first; /* [count] the first text that is equal: its own place, when none is */
    size_t capacity;
    size_t *slots; /* [slot_count] place of a text, or SIZE_MAX */
    size_t slot_count;
} assay_repeats;

void assay_repeats_free(assay_repeats *repeats);

/* Fills in `first` for the texts. */
assay_status assay_repeats_find(assay_repeats *repeats, const assay_text *texts, size_t count,
                                assay_error *error);

#endif
