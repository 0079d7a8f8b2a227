/* SPDX-License-Identifier: Apache-2.0 */
/* vectors.c: see vectors.h. */
#include "pipeline/vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

void assay_vector_scale(float *vector, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)vector[i] * vector[i];
    if (squares <= 0)
        return;
    float scale = (float)(1 / sqrt(squares));
    for (size_t i = 0; i < n; i++)
        vector[i] *= scale;
}

assay_status assay_vectors_path(const assay_store *store, const assay_collection *collection,
                                char *path, size_t size, assay_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "index/%" PRId64 ".flat", collection->key);
    return assay_path_join(path, size, assay_store_home(store), name, error);
}

static assay_flat_stamp stamp_for(const assay_collection *collection)
{
    return (assay_flat_stamp){
        .collection = (uint64_t)collection->key,
        .generation = collection->generation,
        .dimensions = collection->config.dimensions,
    };
}

bool assay_vectors_current(const assay_flat *flat, const assay_collection *collection)
{
    assay_flat_stamp is = assay_flat_stamp_of(flat), want = stamp_for(collection);
    return is.collection == want.collection && is.generation == want.generation &&
           is.dimensions == want.dimensions;
}

typedef struct copying {
    assay_flat_writer *writer;
    uint64_t done, total;
    assay_progress_fn progress;
    void *user;
    assay_status status;
    assay_error *error;
} copying;

static bool copy_vector(uint64_t passage, const float *vector, void *user)
{
    copying *c = user;
    c->status = assay_flat_append(c->writer, passage, vector, c->error);
    assay_progress step = {.phase = ASSAY_PHASE_VECTORS, .done = ++c->done, .total = c->total};
    if (c->status == ASSAY_OK && c->progress != NULL && c->done % 1024 == 0 &&
        !c->progress(&step, c->user))
        c->status = assay_fail(c->error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return c->status == ASSAY_OK;
}

/* The stamp is the generation read before the vectors were: were they changed
 * meanwhile, the next look at the file finds it behind and makes it anew. */
static assay_status write_file(assay_store *store, const assay_collection *collection,
                               const char *path, assay_progress_fn progress, void *user,
                               assay_error *error)
{
    assay_flat_stamp stamp = stamp_for(collection);
    copying c = {.progress = progress, .user = user, .error = error};
    ASSAY_TRY(assay_store_vector_count(store, collection, &c.total, error));
    ASSAY_TRY(assay_flat_create(path, &stamp, &c.writer, error));
    assay_status status = assay_store_vectors(store, collection, copy_vector, &c, error);
    if (status == ASSAY_OK)
        status = c.status;
    if (status != ASSAY_OK) {
        assay_flat_abort(c.writer);
        return status;
    }
    return assay_flat_commit(c.writer, error);
}

/* A file of this process alone, in a folder that nobody else can write to; both
 * are gone from the file system when it is open. */
static assay_status make_private(assay_store *store, const assay_collection *collection,
                                 assay_flat **flat, assay_error *error)
{
    const char *temporary = getenv("TMPDIR");
    char folder[1024], path[1024];
    ASSAY_TRY(assay_path_join(folder, sizeof folder, temporary != NULL ? temporary : "/tmp",
                              "assay-XXXXXX", error));
    if (mkdtemp(folder) == NULL)
        return assay_fail_errno(error, errno, folder, "cannot make folder");
    assay_status status = assay_path_join(path, sizeof path, folder, "flat", error);
    if (status == ASSAY_OK)
        status = write_file(store, collection, path, NULL, NULL, error);
    if (status == ASSAY_OK)
        status = assay_flat_open(path, flat, error);
    unlink(path);
    rmdir(folder);
    return status;
}

assay_status assay_vectors_open(assay_store *store, const assay_collection *collection,
                                assay_flat **flat, assay_progress_fn progress, void *user,
                                assay_error *error)
{
    char path[1024], folder[1024];
    if (*flat != NULL && assay_vectors_current(*flat, collection))
        return ASSAY_OK;
    assay_flat_close(*flat);
    *flat = NULL;
    ASSAY_TRY(assay_vectors_path(store, collection, path, sizeof path, error));
    if (assay_flat_open(path, flat, NULL) == ASSAY_OK) {
        if (assay_vectors_current(*flat, collection))
            return ASSAY_OK;
        assay_flat_close(*flat);
        *flat = NULL;
    }
    ASSAY_TRY(assay_path_join(folder, sizeof folder, assay_store_home(store), "index", error));
    if (assay_folder_make(folder, NULL) != ASSAY_OK || access(folder, W_OK) != 0)
        return make_private(store, collection, flat, error);
    ASSAY_TRY(write_file(store, collection, path, progress, user, error));
    return assay_flat_open(path, flat, error);
}
