/* SPDX-License-Identifier: Apache-2.0 */
/* graph_file.h: a collection's HNSW file, made or caught up. */
#ifndef ASSAY_GRAPH_FILE_H
#define ASSAY_GRAPH_FILE_H

#include "index/hnsw.h"
#include "store/store.h"

/* Makes the file at `path` that of the collection as it is now, with codes of a kind. Passages have a key for
 * good and a vector that does not change, so a file that is behind lacks those with new
 * keys and has some that are gone: these are put in and taken out, unless they are many
 * or the file is damaged or has other codes; then it is built anew. `progress` may be NULL. */
assay_status assay_graph_file_update(assay_store *store, const assay_collection *collection,
                                     assay_code_kind codes, const char *path,
                                     assay_progress_fn progress, void *user, assay_error *error);

#endif
