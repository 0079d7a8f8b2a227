/* SPDX-License-Identifier: Apache-2.0 */
/* vectors.c: see vectors.h. */
#include "pipeline/vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "pipeline/graph_file.h"
#include "pipeline/vector_choice.h"

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

/* ------------------------------------------------------------ which index */

assay_status assay_vectors_path(const assay_store *store, const assay_collection *collection,
                                assay_vector_index kind, char *path, size_t size,
                                assay_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "index/%" PRId64 ".%s", collection->key,
             assay_vector_index_name(kind));
    return assay_path_join(path, size, assay_store_home(store), name, error);
}

/* The kind that the collection is to have now. */
static assay_status kind_of(assay_store *store, const assay_collection *collection,
                            assay_vector_index *kind, assay_error *error)
{
    uint64_t count;
    *kind = assay_vector_choice_read(store, collection).kind;
    if (*kind != ASSAY_VECTORS_AUTO)
        return ASSAY_OK;
    ASSAY_TRY(assay_store_vector_count(store, collection, &count, error));
    *kind = count >= ASSAY_VECTORS_HNSW_FROM ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT;
    return ASSAY_OK;
}

/* ----------------------------------------------------------- the flat file */

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

/* ----------------------------------------------------------------- opening */

void assay_vectors_close(assay_vectors *vectors)
{
    assay_flat_close(vectors->flat);
    assay_hnsw_free(vectors->hnsw);
    *vectors = (assay_vectors){0};
}

static assay_status open_file(assay_vector_index kind, const char *path, assay_vectors *out,
                              assay_error *error)
{
    if (kind == ASSAY_VECTORS_FLAT)
        return assay_flat_open(path, &out->flat, error);
    ASSAY_TRY(assay_hnsw_open(path, &out->hnsw, error));
    out->flat = assay_hnsw_flat(out->hnsw);
    return out->flat != NULL ? ASSAY_OK : assay_fail_memory(error, 1024);
}

/* The file of the other kind is of no use any more. */
static void remove_other(const assay_store *store, const assay_collection *collection,
                         assay_vector_index kind)
{
    char path[1024];
    assay_vector_index other = kind == ASSAY_VECTORS_FLAT ? ASSAY_VECTORS_HNSW
                                                          : ASSAY_VECTORS_FLAT;
    if (assay_vectors_path(store, collection, other, path, sizeof path, NULL) == ASSAY_OK)
        unlink(path);
}

assay_status assay_vectors_open(assay_store *store, const assay_collection *collection,
                                assay_vectors *vectors, assay_progress_fn progress, void *user,
                                assay_error *error)
{
    char path[1024];
    assay_vector_index kind;
    if (vectors->flat != NULL && assay_vectors_current(vectors->flat, collection))
        return ASSAY_OK;
    assay_vectors_close(vectors);
    ASSAY_TRY(kind_of(store, collection, &kind, error));
    ASSAY_TRY(assay_vectors_path(store, collection, kind, path, sizeof path, error));
    if (open_file(kind, path, vectors, NULL) == ASSAY_OK &&
        assay_vectors_current(vectors->flat, collection))
        return ASSAY_OK;
    assay_vectors_close(vectors);
    if (assay_vector_folder_make(store, NULL) != ASSAY_OK)
        return make_private(store, collection, &vectors->flat, error);
    ASSAY_TRY(kind == ASSAY_VECTORS_FLAT
                  ? write_file(store, collection, path, progress, user, error)
                  : assay_graph_file_update(store, collection, path, progress, user, error));
    remove_other(store, collection, kind);
    return open_file(kind, path, vectors, error);
}

/* --------------------------------------------------------------- describing */

static void describe_file(const assay_vectors *vectors, const assay_collection *collection,
                          assay_vector_index kind, assay_vector_index_info *out)
{
    out->kind = kind;
    out->current = assay_vectors_current(vectors->flat, collection);
    out->vectors = assay_flat_count(vectors->flat);
    out->dimensions = assay_flat_stamp_of(vectors->flat).dimensions;
    out->memory_bytes = out->vectors * out->dimensions * sizeof(float);
    if (vectors->hnsw == NULL)
        return;
    assay_hnsw_info info;
    assay_hnsw_describe(vectors->hnsw, &info);
    out->vectors = info.live;
    out->m = info.options.m;
    out->ef_construction = info.options.ef_construction;
    out->codes = assay_code_name(info.options.codes);
    out->graph_bytes = info.graph_bytes;
    out->code_bytes = info.code_bytes;
    out->memory_bytes = info.graph_bytes + info.code_bytes;
}

assay_status assay_vector_index_describe(assay_store *store, const char *name,
                                         assay_vector_index_info *out, assay_error *error)
{
    assay_collection collection;
    assay_vector_index kind;
    assay_vector_choice choice;
    assay_vectors vectors = {0};
    struct stat file;
    char path[1024];
    ASSAY_TRY(assay_collection_open(store, name, &collection, error));
    if (collection.config.dimensions == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "has no vectors: it is for BM25 only");
    ASSAY_TRY(kind_of(store, &collection, &kind, error));
    ASSAY_TRY(assay_vectors_path(store, &collection, kind, path, sizeof path, error));
    choice = assay_vector_choice_read(store, &collection);
    *out = (assay_vector_index_info){.wanted = choice.kind, .codes = ""};
    if (choice.tuned.kind == kind)
        out->tuned = choice.tuned;
    if (open_file(kind, path, &vectors, NULL) == ASSAY_OK)
        describe_file(&vectors, &collection, kind, out);
    if (out->kind != ASSAY_VECTORS_AUTO && stat(path, &file) == 0)
        out->file_bytes = (uint64_t)file.st_size;
    assay_vectors_close(&vectors);
    return ASSAY_OK;
}
