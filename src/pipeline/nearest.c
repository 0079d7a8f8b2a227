/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.c: see nearest.h. */
#include "pipeline/nearest.h"

enum { WIDE = 16 }; /* how far a filter may widen a walk, in ef */

void assay_nearest_forget(assay_nearest *n)
{
    assay_hnsw_scratch_free(n->hnsw);
    assay_ivf_scratch_free(n->ivf);
    n->hnsw = NULL;
    n->ivf = NULL;
}

void assay_nearest_free(assay_nearest *n)
{
    assay_nearest_forget(n);
    assay_flat_scratch_free(n->flat);
    *n = (assay_nearest){0};
}

static assay_status compare_all(assay_nearest *n, const assay_vectors *vectors,
                                const float *query, const assay_nearest_options *o,
                                assay_candidate *out, size_t *count, assay_error *error)
{
    if (n->flat == NULL || n->flat_k != o->k) {
        assay_flat_scratch_free(n->flat);
        n->flat = assay_flat_scratch_new(o->k, o->threads);
        n->flat_k = o->k;
    }
    if (n->flat == NULL)
        return assay_fail_memory(error, o->k * sizeof(assay_candidate));
    *count = assay_flat_search(vectors->flat, query, o->slots, n->flat, out);
    return ASSAY_OK;
}

static assay_status walk(assay_nearest *n, const assay_hnsw *hnsw, const float *query,
                         const assay_nearest_options *o, assay_candidate *out, size_t *count,
                         assay_error *error)
{
    uint32_t ef = o->ef > o->k ? o->ef : o->k;
    if (n->hnsw == NULL || n->hnsw_of != hnsw || n->hnsw_ef < ef) {
        assay_nearest_forget(n);
        n->hnsw = assay_hnsw_scratch_new(hnsw, ef * WIDE);
        n->hnsw_of = hnsw;
        n->hnsw_ef = ef;
    }
    if (n->hnsw == NULL)
        return assay_fail_memory(error, (size_t)ef * WIDE * 8);
    assay_hnsw_find find = {.k = o->k, .ef = ef, .rescore = ef};
    find.allowed = o->slots != NULL ? o->slots->words : NULL;
    *count = assay_hnsw_search(hnsw, query, &find, n->hnsw, out);
    return ASSAY_OK;
}

static assay_status probe(assay_nearest *n, const assay_ivf *ivf, const float *query,
                          const assay_nearest_options *o, assay_candidate *out, size_t *count,
                          assay_error *error)
{
    uint32_t ef = o->ef > o->k ? o->ef : o->k;
    if (n->ivf == NULL || n->ivf_of != ivf || n->ivf_ef < ef) {
        assay_nearest_forget(n);
        n->ivf = assay_ivf_scratch_new(ivf, ef);
        n->ivf_of = ivf;
        n->ivf_ef = ef;
    }
    if (n->ivf == NULL)
        return assay_fail_memory(error, ef * sizeof(assay_candidate));
    assay_ivf_find find = {.k = o->k, .nprobe = o->nprobe, .ef = ef};
    find.allowed = o->slots != NULL ? o->slots->words : NULL;
    *count = assay_ivf_search(ivf, query, &find, n->ivf, out);
    return ASSAY_OK;
}

assay_status assay_nearest_search(assay_nearest *n, const assay_vectors *vectors,
                                  const float *query, const assay_nearest_options *options,
                                  assay_candidate *out, size_t *count, assay_error *error)
{
    if (vectors->hnsw != NULL && !options->exact)
        return walk(n, vectors->hnsw, query, options, out, count, error);
    if (vectors->ivf != NULL && !options->exact)
        return probe(n, vectors->ivf, query, options, out, count, error);
    return compare_all(n, vectors, query, options, out, count, error);
}
