/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vectors.h: a collection's vector index file, kept equal to the store.
 *
 * <home>/index/<collection key>.flat is made from the store's vectors and
 * stamped with the collection's generation. Whoever opens it and finds it
 * missing, damaged or behind makes it anew; two who do so at once write the
 * same thing aside and rename it.
 */
#ifndef ASSAY_VECTORS_H
#define ASSAY_VECTORS_H

#include "index/flat.h"
#include "store/store.h"

/* Gives vector[n] length 1, in place, so that inner products are cosines; a zero
 * vector stays as it is. Documents and queries both need it: not every model
 * normalises. */
void assay_vector_scale(float *vector, size_t n);

/* Makes *flat (NULL, or what an earlier call gave) the index of the collection
 * as it is now. Where the data directory cannot be written, the file is made
 * in $TMPDIR for this process alone. `progress` may be NULL. */
assay_status assay_vectors_open(assay_store *store, const assay_collection *collection,
                                assay_flat **flat, assay_progress_fn progress, void *user,
                                assay_error *error);

/* Whether a file was made from the collection as it is now. */
bool assay_vectors_current(const assay_flat *flat, const assay_collection *collection);

/* Path of the file, into path[size]. */
assay_status assay_vectors_path(const assay_store *store, const assay_collection *collection,
                                char *path, size_t size, assay_error *error);

#endif
