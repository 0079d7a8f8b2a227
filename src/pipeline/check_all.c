/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_all.c: assay_store_check: the database, then each vector index file.
 *
 * A file that is missing or behind is no problem, since the next search makes
 * it anew; one that says it is right and is not, is.
 */
#include "pipeline/vectors.h"

static assay_status check_vectors(assay_store *store, const char *name, assay_error *error)
{
    assay_collection collection;
    assay_flat *flat;
    char path[1024];
    ASSAY_TRY(assay_collection_open(store, name, &collection, error));
    if (collection.config.dimensions == 0)
        return ASSAY_OK;
    ASSAY_TRY(assay_vectors_path(store, &collection, path, sizeof path, error));
    assay_status status = assay_flat_open(path, &flat, error);
    if (status == ASSAY_E_NOT_FOUND)
        return ASSAY_OK;
    ASSAY_TRY(status);
    status = assay_flat_verify(flat, error);
    uint64_t stored = assay_flat_count(flat);
    if (status == ASSAY_OK && assay_vectors_current(flat, &collection))
        status = assay_store_vector_count(store, &collection, &stored, error);
    if (status == ASSAY_OK && assay_flat_count(flat) != stored)
        status = assay_fail(error, ASSAY_E_CORRUPT, path,
                            "holds %llu vectors, the store %llu; remove the file, the next "
                            "search makes it anew",
                            (unsigned long long)assay_flat_count(flat),
                            (unsigned long long)stored);
    assay_flat_close(flat);
    return status;
}

assay_status assay_store_check(assay_store *store, assay_progress_fn progress, void *user,
                               uint64_t *problems, assay_error *error)
{
    uint64_t found = 0;
    assay_status worst = assay_store_check_database(store, progress, user, &found, error);
    if (worst != ASSAY_OK && worst != ASSAY_E_CORRUPT)
        return worst;
    assay_collection_info *collections;
    size_t count;
    ASSAY_TRY(assay_collection_list(store, &collections, &count, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        assay_error problem;
        assay_status result = check_vectors(store, collections[i].name, &problem);
        assay_progress step = {.phase = ASSAY_PHASE_CHECK,
                               .done = i + 1,
                               .total = count,
                               .item = collections[i].name,
                               .problem = result != ASSAY_OK ? &problem : NULL};
        if (result != ASSAY_OK) {
            found++;
            worst = ASSAY_E_CORRUPT;
            if (error != NULL)
                *error = problem;
        }
        if (progress != NULL && !progress(&step, user))
            status = assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    }
    assay_free(collections);
    ASSAY_TRY(status);
    if (problems != NULL)
        *problems = found;
    return worst;
}
