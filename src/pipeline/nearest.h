/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.h: the nearest vectors of a collection, by whatever index it has. */
#ifndef ASSAY_NEAREST_H
#define ASSAY_NEAREST_H

#include "pipeline/vectors.h"

typedef struct assay_nearest_options {
    uint32_t k;              /* wanted */
    uint32_t ef;             /* of hnsw vectors kept on the way, of ivf those scored exactly */
    uint32_t nprobe;         /* of ivf: lists looked into; 0: by default */
    bool exact;              /* compare with all, whatever index there is */
    uint32_t threads;        /* of comparing with all; 0: all */
    const assay_bits *slots; /* that may be found; NULL: all */
} assay_nearest_options;

/* Working memory, made as it is needed; {0} at first. One thread. */
typedef struct assay_nearest {
    assay_flat_scratch *flat;
    uint32_t flat_k;
    assay_hnsw_scratch *hnsw;
    const assay_hnsw *hnsw_of;
    uint32_t hnsw_ef;
    assay_ivf_scratch *ivf;
    const assay_ivf *ivf_of;
    uint32_t ivf_ef;
} assay_nearest;

/* Writes at most k candidates, best first, with exact scores. */
assay_status assay_nearest_search(assay_nearest *nearest, const assay_vectors *vectors,
                                  const float *query, const assay_nearest_options *options,
                                  assay_candidate *out, size_t *count, assay_error *error);

/* Forgets what belongs to an index that is about to be closed. */
void assay_nearest_forget(assay_nearest *nearest);
void assay_nearest_free(assay_nearest *nearest);

#endif
