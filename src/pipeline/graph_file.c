/* SPDX-License-Identifier: Apache-2.0 */
/* graph_file.c: see graph_file.h. */
#include "pipeline/graph_file.h"

#include "pipeline/difference.h"

#define MOST_CHANGES 0.25 /* for each vector; beyond that a graph is built anew */

typedef struct telling {
    assay_progress_fn progress;
    void *user;
} telling;

/* What is in the file; nothing where there is no file that can be caught up. */
static assay_status read_file(const assay_collection *collection, const char *path,
                              const assay_hnsw_options *options, assay_difference *d,
                              assay_error *error)
{
    assay_hnsw *hnsw;
    assay_hnsw_info info;
    if (assay_hnsw_open(path, &hnsw, NULL) != ASSAY_OK)
        return assay_difference_new(options->dimensions, 0, d, error);
    assay_hnsw_describe(hnsw, &info);
    assay_status status = assay_difference_new(options->dimensions, info.slots, d, error);
    bool fits = status == ASSAY_OK && info.collection == (uint64_t)collection->key &&
                info.options.dimensions == options->dimensions &&
                info.options.codes == options->codes &&
                assay_hnsw_verify(hnsw, NULL) == ASSAY_OK;
    for (uint32_t slot = 0; fits && slot < info.slots; slot++)
        if (assay_hnsw_key(hnsw, slot) != 0)
            assay_difference_have(d, assay_hnsw_key(hnsw, slot), assay_hnsw_vector(hnsw, slot));
    assay_hnsw_free(hnsw);
    return status;
}

static bool tell(uint64_t done, uint64_t total, void *user)
{
    const telling *t = user;
    assay_progress step = {.phase = ASSAY_PHASE_VECTORS, .done = done, .total = total};
    return t->progress == NULL || t->progress(&step, t->user);
}

static assay_status make(const assay_hnsw_options *options, const assay_difference *d,
                         const char *path, assay_hnsw **out, assay_error *error)
{
    if (d->count > UINT32_MAX / 4)
        return assay_fail(error, ASSAY_E_LIMIT, path,
                          "%zu vectors are more than an hnsw index holds; use --index flat",
                          d->count);
    return d->have_count > 0 ? assay_hnsw_load(path, (uint32_t)d->count, out, error)
                             : assay_hnsw_new(options, (uint32_t)d->count, out, error);
}

static assay_status apply(assay_hnsw *hnsw, const assay_collection *collection,
                          const char *path, const assay_difference *d, telling *t,
                          assay_error *error)
{
    ASSAY_TRY(assay_hnsw_remove(hnsw, d->gone, d->gone_count, 0, error));
    ASSAY_TRY(assay_hnsw_insert(hnsw, d->keys, d->vectors, d->count, 0, tell, t, error));
    return assay_hnsw_save(hnsw, path, (uint64_t)collection->key, collection->generation, error);
}

assay_status assay_graph_file_update(assay_store *store, const assay_collection *collection,
                                     assay_code_kind codes, const char *path,
                                     assay_progress_fn progress, void *user, assay_error *error)
{
    telling t = {progress, user};
    const assay_hnsw_options options = {.dimensions = collection->config.dimensions,
                                        .codes = codes};
    assay_difference d;
    assay_hnsw *hnsw = NULL;
    ASSAY_TRY(read_file(collection, path, &options, &d, error));
    assay_status status = assay_difference_read(store, collection, MOST_CHANGES, &d, error);
    if (status == ASSAY_OK)
        status = make(&options, &d, path, &hnsw, error);
    if (status == ASSAY_OK)
        status = apply(hnsw, collection, path, &d, &t, error);
    assay_hnsw_free(hnsw);
    assay_difference_free(&d);
    return status;
}
