/* SPDX-License-Identifier: Apache-2.0 */
/* passage_list.h: the keys of all passages of a collection, to draw from. */
#ifndef ASSAY_PASSAGE_LIST_H
#define ASSAY_PASSAGE_LIST_H

#include "store/store.h"

typedef struct assay_passage_list {
    uint64_t *keys; /* [count], ascending; the caller frees them */
    size_t count;
} assay_passage_list;

/* FORMAT when there are none. */
assay_status assay_passage_list_read(assay_store *store, const assay_collection *collection,
                                     assay_passage_list *out, assay_error *error);

#endif
