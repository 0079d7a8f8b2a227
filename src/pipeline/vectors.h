/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vectors.h: a collection's vector index file, kept equal to the store.
 *
 * <home>/index/<collection key>.flat, .hnsw or .ivf is made from the store's vectors and
 * stamped with the collection's generation. Whoever opens it and finds it missing,
 * damaged or behind makes it anew, or, with a graph or lists that lack little, catches up;
 * two who do so at once write the same thing aside and rename it. Which of them it is
 * goes by size, unless somebody has chosen (vector_choice.h).
 */
#ifndef ASSAY_VECTORS_H
#define ASSAY_VECTORS_H

#include "index/hnsw.h"
#include "index/ivf.h"
#include "store/store.h"

/* Gives vector[n] length 1, in place, so that inner products are cosines; a zero
 * vector stays as it is. Documents and queries both need it: not every model
 * normalises. */
void assay_vector_scale(float *vector, size_t n);

/* An open index; {0} is none. */
typedef struct assay_vectors {
    assay_flat *flat; /* all vectors, those of the graph where there is one */
    assay_hnsw *hnsw; /* NULL: the index is of another kind */
    assay_ivf *ivf;   /* the same */
    bool verify;      /* to open: read all of a file before it is trusted */
    assay_error notice; /* code is not ASSAY_OK: why a file was of no use, and made anew */
} assay_vectors;

/* Makes *vectors ({0}, or what an earlier call gave) the index of the collection as it
 * is now. Where the data directory cannot be written, a flat file is made in $TMPDIR
 * for this process alone. `progress` may be NULL. */
assay_status assay_vectors_open(assay_store *store, const assay_collection *collection,
                                assay_vectors *vectors, assay_progress_fn progress, void *user,
                                assay_error *error);
assay_vector_index assay_vectors_kind(const assay_vectors *vectors);
void assay_vectors_close(assay_vectors *vectors);

/* Whether a file was made from the collection as it is now. */
bool assay_vectors_current(const assay_flat *flat, const assay_collection *collection);

/* Path of the file of a kind that is not AUTO, into path[size]. */
assay_status assay_vectors_path(const assay_store *store, const assay_collection *collection,
                                assay_vector_index kind, char *path, size_t size,
                                assay_error *error);

#endif
