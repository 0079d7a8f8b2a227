/* SPDX-License-Identifier: Apache-2.0 */
/* passage_list.c: see passage_list.h. */
#include "learn/passage_list.h"

#include <stdlib.h>

assay_status assay_passage_list_read(assay_store *store, const assay_collection *collection,
                                     assay_passage_list *out, assay_error *error)
{
    size_t capacity = 0, count;
    *out = (assay_passage_list){0};
    do {
        if (out->count == capacity) {
            capacity = capacity > 0 ? capacity * 2 : 65536;
            uint64_t *keys = realloc(out->keys, capacity * sizeof *keys);
            if (keys == NULL)
                return assay_fail_memory(error, capacity * sizeof *keys);
            out->keys = keys;
        }
        uint64_t after = out->count > 0 ? out->keys[out->count - 1] : 0;
        ASSAY_TRY(assay_passage_keys(store, collection, after, out->keys + out->count,
                                     capacity - out->count, &count, error));
        out->count += count;
    } while (count > 0);
    return out->count > 0 ? ASSAY_OK
                          : assay_fail(error, ASSAY_E_FORMAT, collection->name,
                                       "the collection is empty");
}
