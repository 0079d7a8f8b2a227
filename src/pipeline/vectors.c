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
#include "pipeline/lists_file.h"
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

/* By the file of the graph where that is of now: the database takes most of a second to count a
 * million, at every opening. */
static assay_status count_vectors(assay_store *store, const assay_collection *collection,
                                  uint64_t *count, assay_error *error)
{
    char path[1024];
    assay_hnsw *graph;
    assay_hnsw_info info = {0};
    assay_error ignored;
    ASSAY_TRY(assay_vectors_path(store, collection, ASSAY_VECTORS_HNSW, path, sizeof path, error));
    if (assay_hnsw_open(path, &graph, &ignored) == ASSAY_OK) {
        assay_hnsw_describe(graph, &info);
        assay_hnsw_free(graph);
        *count = info.live;
        if (info.collection == (uint64_t)collection->key &&
            info.generation == collection->generation)
            return ASSAY_OK;
    }
    return assay_store_vector_count(store, collection, count, error);
}

/* What the collection is to have now: kind and codes are never "as you like". */
static assay_status wanted_now(assay_store *store, const assay_collection *collection,
                               assay_vector_choice *choice, assay_error *error)
{
    uint64_t count;
    *choice = assay_vector_choice_read(store, collection);
    if (choice->codes == 0)
        choice->codes = ASSAY_CODE_I8;
    if (choice->kind != ASSAY_VECTORS_AUTO)
        return ASSAY_OK;
    ASSAY_TRY(count_vectors(store, collection, &count, error));
    choice->kind = count >= ASSAY_VECTORS_HNSW_FROM ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT;
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
    assay_ivf_free(vectors->ivf);
    *vectors = (assay_vectors){.verify = vectors->verify};
}

assay_vector_index assay_vectors_kind(const assay_vectors *vectors)
{
    return vectors->hnsw != NULL  ? ASSAY_VECTORS_HNSW
           : vectors->ivf != NULL ? ASSAY_VECTORS_IVF
                                  : ASSAY_VECTORS_FLAT;
}

static assay_status open_file(assay_vector_index kind, const char *path, assay_vectors *out,
                              assay_error *error)
{
    if (kind == ASSAY_VECTORS_FLAT)
        return assay_flat_open(path, &out->flat, error);
    if (kind == ASSAY_VECTORS_HNSW) {
        ASSAY_TRY(assay_hnsw_open(path, &out->hnsw, error));
        out->flat = assay_hnsw_flat(out->hnsw);
    } else {
        ASSAY_TRY(assay_ivf_open(path, &out->ivf, error));
        out->flat = assay_ivf_flat(out->ivf);
    }
    return out->flat != NULL ? ASSAY_OK : assay_fail_memory(error, 1024);
}

static assay_status verify(const assay_vectors *vectors, assay_error *error)
{
    return vectors->hnsw != NULL  ? assay_hnsw_verify(vectors->hnsw, error)
           : vectors->ivf != NULL ? assay_ivf_verify(vectors->ivf, error)
                                  : assay_flat_verify(vectors->flat, error);
}

static bool has_codes(const assay_vectors *vectors, assay_code_kind codes)
{
    assay_hnsw_info graph;
    assay_ivf_info lists;
    if (vectors->hnsw != NULL) {
        assay_hnsw_describe(vectors->hnsw, &graph);
        return graph.options.codes == codes;
    }
    if (vectors->ivf == NULL)
        return true;
    assay_ivf_describe(vectors->ivf, &lists);
    return lists.options.codes == codes;
}

/* Whether the file is there, of what is wanted, and, where that is asked, whole. What is
 * wrong with one that is of no use to this assay goes to the vectors' notice. */
static bool open_current(const assay_collection *collection, const assay_vector_choice *wanted,
                         const char *path, assay_vectors *vectors)
{
    assay_error problem;
    assay_status status = open_file(wanted->kind, path, vectors, &problem);
    bool current = status == ASSAY_OK && assay_vectors_current(vectors->flat, collection) &&
                   has_codes(vectors, wanted->codes);
    if (current && vectors->verify)
        status = verify(vectors, &problem);
    if (current && status == ASSAY_OK)
        return true;
    assay_vectors_close(vectors);
    if (status != ASSAY_OK && status != ASSAY_E_NOT_FOUND)
        assay_fail(&vectors->notice, status, problem.where, "%s; it was made anew",
                   problem.message);
    return false;
}

/* The files of other kinds are of no use any more. */
static void remove_others(const assay_store *store, const assay_collection *collection,
                          assay_vector_index kind)
{
    char path[1024];
    for (assay_vector_index other = ASSAY_VECTORS_FLAT; other <= ASSAY_VECTORS_IVF; other++)
        if (other != kind && assay_vectors_path(store, collection, other, path, sizeof path,
                                                NULL) == ASSAY_OK)
            unlink(path);
}

static assay_status make_file(assay_store *store, const assay_collection *collection,
                              const assay_vector_choice *wanted, const char *path,
                              assay_progress_fn progress, void *user, assay_error *error)
{
    if (wanted->kind == ASSAY_VECTORS_FLAT)
        return write_file(store, collection, path, progress, user, error);
    if (wanted->kind == ASSAY_VECTORS_IVF)
        return assay_lists_file_update(store, collection, wanted->codes, path, progress, user,
                                       error);
    return assay_graph_file_update(store, collection, wanted->codes, path, progress, user,
                                   error);
}

assay_status assay_vectors_open(assay_store *store, const assay_collection *collection,
                                assay_vectors *vectors, assay_progress_fn progress, void *user,
                                assay_error *error)
{
    char path[1024];
    assay_vector_choice wanted;
    if (vectors->flat != NULL && assay_vectors_current(vectors->flat, collection))
        return ASSAY_OK;
    assay_vectors_close(vectors);
    ASSAY_TRY(wanted_now(store, collection, &wanted, error));
    ASSAY_TRY(assay_vectors_path(store, collection, wanted.kind, path, sizeof path, error));
    if (open_current(collection, &wanted, path, vectors))
        return ASSAY_OK;
    if (assay_vector_folder_make(store, NULL) != ASSAY_OK)
        return make_private(store, collection, &vectors->flat, error);
    ASSAY_TRY(make_file(store, collection, &wanted, path, progress, user, error));
    remove_others(store, collection, wanted.kind);
    return open_file(wanted.kind, path, vectors, error);
}

/* --------------------------------------------------------------- describing */

static void describe_graph(const assay_hnsw *hnsw, assay_vector_index_info *out)
{
    assay_hnsw_info info;
    assay_hnsw_describe(hnsw, &info);
    out->vectors = info.live;
    out->m = info.options.m;
    out->ef_construction = info.options.ef_construction;
    out->codes = assay_code_name(info.options.codes);
    out->graph_bytes = info.graph_bytes;
    out->code_bytes = info.code_bytes;
}

static void describe_lists(const assay_ivf *ivf, assay_vector_index_info *out)
{
    assay_ivf_info info;
    assay_ivf_describe(ivf, &info);
    out->lists = info.options.lists;
    out->longest = info.longest;
    out->codes = assay_code_name(info.options.codes);
    out->graph_bytes = info.list_bytes;
    out->code_bytes = info.code_bytes;
}

static void describe_file(const assay_vectors *vectors, const assay_collection *collection,
                          assay_vector_index kind, assay_vector_index_info *out)
{
    out->kind = kind;
    out->current = assay_vectors_current(vectors->flat, collection);
    out->vectors = assay_flat_count(vectors->flat);
    out->dimensions = assay_flat_stamp_of(vectors->flat).dimensions;
    out->memory_bytes = out->vectors * out->dimensions * sizeof(float);
    if (vectors->hnsw != NULL)
        describe_graph(vectors->hnsw, out);
    if (vectors->ivf != NULL)
        describe_lists(vectors->ivf, out);
    if (kind != ASSAY_VECTORS_FLAT)
        out->memory_bytes = out->graph_bytes + out->code_bytes;
}

assay_status assay_vector_index_describe(assay_store *store, const char *name,
                                         assay_vector_index_info *out, assay_error *error)
{
    assay_collection collection;
    assay_vector_choice wanted, chosen;
    assay_vectors vectors = {0};
    struct stat file;
    char path[1024];
    ASSAY_TRY(assay_collection_open(store, name, &collection, error));
    if (collection.config.dimensions == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "has no vectors: it is for BM25 only");
    chosen = assay_vector_choice_read(store, &collection);
    if (assay_store_finds_vectors(store)) {
        ASSAY_TRY(assay_store_vector_index_describe(store, &collection, out, error));
        if (chosen.tuned.kind == out->kind)
            out->tuned = chosen.tuned;
        return ASSAY_OK;
    }
    ASSAY_TRY(wanted_now(store, &collection, &wanted, error));
    ASSAY_TRY(assay_vectors_path(store, &collection, wanted.kind, path, sizeof path, error));
    *out = (assay_vector_index_info){.wanted = chosen.kind,
                                     .wanted_codes = (assay_vector_codes)chosen.codes,
                                     .codes = ""};
    if (chosen.tuned.kind == wanted.kind)
        out->tuned = chosen.tuned;
    if (open_file(wanted.kind, path, &vectors, NULL) == ASSAY_OK)
        describe_file(&vectors, &collection, wanted.kind, out);
    if (out->kind != ASSAY_VECTORS_AUTO && stat(path, &file) == 0)
        out->file_bytes = (uint64_t)file.st_size;
    assay_vectors_close(&vectors);
    return ASSAY_OK;
}
