/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_all.c: assay_store_check: the database, then the files derived from it:
 * vector indexes and the score cache.
 *
 * A file that is missing or behind is no problem, since the next search makes
 * it anew; one that says it is right and is not, is.
 */
#include "pipeline/vectors.h"
#include "store/score_cache.h"

/* A file, where it is there. */
static assay_status check_file(assay_vector_index kind, const char *path, assay_error *error)
{
    assay_hnsw *hnsw = NULL;
    assay_ivf *ivf = NULL;
    assay_status status = kind == ASSAY_VECTORS_HNSW ? assay_hnsw_open(path, &hnsw, error)
                                                     : assay_ivf_open(path, &ivf, error);
    if (status == ASSAY_OK)
        status = hnsw != NULL ? assay_hnsw_verify(hnsw, error) : assay_ivf_verify(ivf, error);
    assay_hnsw_free(hnsw);
    assay_ivf_free(ivf);
    return status == ASSAY_E_NOT_FOUND ? ASSAY_OK : status;
}

static assay_status check_flat(assay_store *store, const assay_collection *collection,
                               const char *path, assay_error *error)
{
    assay_flat *flat;
    assay_status status = assay_flat_open(path, &flat, error);
    if (status == ASSAY_E_NOT_FOUND)
        return ASSAY_OK;
    ASSAY_TRY(status);
    status = assay_flat_verify(flat, error);
    uint64_t stored = assay_flat_count(flat);
    if (status == ASSAY_OK && assay_vectors_current(flat, collection))
        status = assay_store_vector_count(store, collection, &stored, error);
    if (status == ASSAY_OK && assay_flat_count(flat) != stored)
        status = assay_fail(error, ASSAY_E_CORRUPT, path,
                            "holds %llu vectors, the store %llu; remove the file, the next "
                            "search makes it anew",
                            (unsigned long long)assay_flat_count(flat),
                            (unsigned long long)stored);
    assay_flat_close(flat);
    return status;
}

static assay_status check_vectors(assay_store *store, const char *name, assay_error *error)
{
    assay_collection collection;
    char path[1024];
    ASSAY_TRY(assay_collection_open(store, name, &collection, error));
    if (collection.config.dimensions == 0)
        return ASSAY_OK;
    for (assay_vector_index kind = ASSAY_VECTORS_HNSW; kind <= ASSAY_VECTORS_IVF; kind++) {
        ASSAY_TRY(assay_vectors_path(store, &collection, kind, path, sizeof path, error));
        ASSAY_TRY(check_file(kind, path, error));
    }
    ASSAY_TRY(assay_vectors_path(store, &collection, ASSAY_VECTORS_FLAT, path, sizeof path,
                                 error));
    return check_flat(store, &collection, path, error);
}

typedef struct check {
    assay_progress_fn progress;
    void *user;
    uint64_t done, total, found;
    assay_error *error;
} check;

/* Tells that `item` was looked at, with what was wrong if `result` says so. */
static assay_status tell(check *c, const char *item, assay_status result,
                         const assay_error *problem)
{
    bool bad = result != ASSAY_OK;
    assay_progress step = {.phase = ASSAY_PHASE_CHECK,
                           .done = ++c->done,
                           .total = c->total,
                           .item = item,
                           .problem = bad ? problem : NULL};
    c->found += bad;
    if (bad && c->error != NULL)
        *c->error = *problem;
    if (c->progress != NULL && !c->progress(&step, c->user))
        return assay_fail(c->error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return ASSAY_OK;
}

static assay_status check_words(assay_store *store, const char *name, assay_error *error)
{
    assay_collection collection;
    assay_postings *postings;
    char path[1024];
    ASSAY_TRY(assay_collection_open(store, name, &collection, error));
    ASSAY_TRY(assay_word_index_path(store, &collection, path, sizeof path, error));
    assay_status status = assay_postings_open(path, &postings, error);
    if (status == ASSAY_E_NOT_FOUND)
        return ASSAY_OK;
    ASSAY_TRY(status);
    status = assay_postings_verify(postings, error);
    assay_postings_close(postings);
    return status;
}

static assay_status check_scores(assay_store *store, assay_error *error)
{
    assay_error problem;
    assay_status status = assay_score_cache_check(assay_store_home(store), &problem);
    if (status == ASSAY_OK)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_CORRUPT, problem.where,
                      "%s; remove the file, searches make it anew", problem.message);
}

static assay_status check_files(check *c, assay_store *store)
{
    assay_collection_info *collections;
    assay_error problem;
    size_t count;
    ASSAY_TRY(assay_collection_list(store, &collections, &count, c->error));
    c->total = 2 * count + 1;
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        assay_status result = check_vectors(store, collections[i].name, &problem);
        status = tell(c, collections[i].name, result, &problem);
        result = check_words(store, collections[i].name, &problem);
        if (status == ASSAY_OK)
            status = tell(c, collections[i].name, result, &problem);
    }
    assay_free(collections);
    ASSAY_TRY(status);
    assay_status result = check_scores(store, &problem);
    return tell(c, "score cache", result, &problem);
}

assay_status assay_store_check(assay_store *store, assay_progress_fn progress, void *user,
                               uint64_t *problems, assay_error *error)
{
    check c = {.progress = progress, .user = user, .error = error};
    assay_status status = assay_store_check_database(store, progress, user, &c.found, error);
    if (status != ASSAY_OK && status != ASSAY_E_CORRUPT)
        return status;
    ASSAY_TRY(check_files(&c, store));
    if (problems != NULL)
        *problems = c.found;
    return c.found > 0 ? ASSAY_E_CORRUPT : ASSAY_OK;
}
