/* SPDX-License-Identifier: Apache-2.0 */
/* lists_file.h: a collection's IVF file, made or caught up. */
#ifndef ASSAY_LISTS_FILE_H
#define ASSAY_LISTS_FILE_H

#include "index/ivf.h"
#include "store/store.h"

/* Makes the file at `path` that of the collection as it is now, with codes of a kind.
 * What is new goes into the lists that there are, and what is gone out of them; where
 * the lists do not suit the vectors any more (assay_ivf_drifted), or the file is damaged
 * or has other codes, it is built anew. `progress` may be NULL. */
assay_status assay_lists_file_update(assay_store *store, const assay_collection *collection,
                                     assay_code_kind codes, const char *path,
                                     assay_progress_fn progress, void *user, assay_error *error);

#endif
