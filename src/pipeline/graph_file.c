/* SPDX-License-Identifier: Apache-2.0 */
/* graph_file.c: see graph_file.h. */
#include "pipeline/graph_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 4 }; /* changes worth catching up with: at most one in so many vectors */

/* Vectors read from the store, and the index's keys that were not among them. */
typedef struct difference {
    uint32_t dimensions;
    uint64_t *have;          /* [have_count] keys of the index, ascending */
    size_t have_count, at;
    uint64_t *keys;          /* [count] new ones ... */
    float *vectors;          /* ... and their vectors */
    uint64_t *gone;          /* [gone_count] */
    size_t count, room, gone_count;
    assay_status status;
    assay_error *error;
} difference;

typedef struct telling {
    assay_progress_fn progress;
    void *user;
} telling;

static void difference_free(difference *d)
{
    free(d->have);
    free(d->keys);
    free(d->vectors);
    free(d->gone);
}

static assay_status make_room(difference *d)
{
    if (d->count < d->room)
        return ASSAY_OK;
    size_t room = d->room > 0 ? 2 * d->room : 1024;
    uint64_t *keys = realloc(d->keys, room * sizeof *keys);
    if (keys != NULL)
        d->keys = keys;
    float *vectors = realloc(d->vectors, room * d->dimensions * sizeof *vectors);
    if (vectors != NULL)
        d->vectors = vectors;
    if (keys == NULL || vectors == NULL)
        return assay_fail_memory(d->error, room * d->dimensions * sizeof *vectors);
    d->room = room;
    return ASSAY_OK;
}

/* The store's keys come in ascending order, as those of the index are. */
static bool compare_one(uint64_t key, const float *vector, void *user)
{
    difference *d = user;
    while (d->at < d->have_count && d->have[d->at] < key)
        d->gone[d->gone_count++] = d->have[d->at++];
    if (d->at < d->have_count && d->have[d->at] == key) {
        d->at++;
        return true;
    }
    d->status = make_room(d);
    if (d->status != ASSAY_OK)
        return false;
    d->keys[d->count] = key;
    memcpy(d->vectors + d->count++ * d->dimensions, vector, d->dimensions * sizeof *vector);
    return true;
}

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The keys of the file; none where there is no file that can be caught up. */
static assay_status read_keys(const assay_collection *collection, const char *path, difference *d)
{
    assay_hnsw *hnsw;
    assay_hnsw_info info;
    if (assay_hnsw_open(path, &hnsw, NULL) != ASSAY_OK)
        return ASSAY_OK;
    assay_hnsw_describe(hnsw, &info);
    bool fits = info.collection == (uint64_t)collection->key &&
                info.options.dimensions == d->dimensions &&
                assay_hnsw_verify(hnsw, NULL) == ASSAY_OK;
    if (fits) {
        d->have = malloc((info.slots + 1u) * sizeof *d->have);
        d->gone = malloc((info.slots + 1u) * sizeof *d->gone);
    }
    for (uint32_t slot = 0; d->have != NULL && d->gone != NULL && slot < info.slots; slot++)
        if (assay_hnsw_key(hnsw, slot) != 0)
            d->have[d->have_count++] = assay_hnsw_key(hnsw, slot);
    assay_hnsw_free(hnsw);
    if (fits && (d->have == NULL || d->gone == NULL))
        return assay_fail_memory(d->error, info.slots * sizeof *d->have);
    if (d->have_count > 1)
        qsort(d->have, d->have_count, sizeof *d->have, ascending);
    return ASSAY_OK;
}

static assay_status read_store(assay_store *store, const assay_collection *collection,
                               difference *d)
{
    d->status = ASSAY_OK;
    d->at = d->count = d->gone_count = 0;
    assay_status status = assay_store_vectors(store, collection, compare_one, d, d->error);
    if (status == ASSAY_OK)
        status = d->status;
    while (d->at < d->have_count)
        d->gone[d->gone_count++] = d->have[d->at++];
    return status;
}

static bool tell(uint64_t done, uint64_t total, void *user)
{
    const telling *t = user;
    assay_progress step = {.phase = ASSAY_PHASE_VECTORS, .done = done, .total = total};
    return t->progress == NULL || t->progress(&step, t->user);
}

static assay_status apply(assay_hnsw *hnsw, const assay_collection *collection,
                          const char *path, const difference *d, telling *t)
{
    ASSAY_TRY(assay_hnsw_remove(hnsw, d->gone, d->gone_count, 0, d->error));
    ASSAY_TRY(assay_hnsw_insert(hnsw, d->keys, d->vectors, d->count, 0, tell, t, d->error));
    return assay_hnsw_save(hnsw, path, (uint64_t)collection->key, collection->generation,
                           d->error);
}

static assay_status too_many(const assay_collection *collection, size_t count,
                             assay_error *error)
{
    return assay_fail(error, ASSAY_E_LIMIT, collection->name,
                      "%zu vectors are more than an hnsw index holds; use --index flat", count);
}

assay_status assay_graph_file_update(assay_store *store, const assay_collection *collection,
                                     const char *path, assay_progress_fn progress, void *user,
                                     assay_error *error)
{
    telling t = {progress, user};
    difference d = {.dimensions = collection->config.dimensions, .error = error};
    assay_hnsw *hnsw = NULL;
    assay_status status = read_keys(collection, path, &d);
    if (status == ASSAY_OK)
        status = read_store(store, collection, &d);
    bool few = (d.count + d.gone_count) <= d.have_count / FEW;
    if (status == ASSAY_OK && !few && d.have_count > 0) {
        d.have_count = 0;
        status = read_store(store, collection, &d);
    }
    if (status == ASSAY_OK && d.count > UINT32_MAX / 4)
        status = too_many(collection, d.count, error);
    if (status == ASSAY_OK && few && d.have_count > 0)
        status = assay_hnsw_load(path, (uint32_t)d.count, &hnsw, error);
    else if (status == ASSAY_OK)
        status = assay_hnsw_new(&(assay_hnsw_options){.dimensions = d.dimensions},
                                (uint32_t)d.count, &hnsw, error);
    if (status == ASSAY_OK)
        status = apply(hnsw, collection, path, &d, &t);
    assay_hnsw_free(hnsw);
    difference_free(&d);
    return status;
}
