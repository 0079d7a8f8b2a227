/* SPDX-License-Identifier: Apache-2.0 */
/* lists_file.c: see lists_file.h. */
#include "pipeline/lists_file.h"

#include "pipeline/difference.h"

#define MOST_CHANGES 1.0 /* for each vector; beyond that lists are made anew */

typedef struct telling {
    assay_progress_fn progress;
    void *user;
} telling;

static bool tell(uint64_t done, uint64_t total, void *user)
{
    const telling *t = user;
    assay_progress step = {.phase = ASSAY_PHASE_VECTORS, .done = done, .total = total};
    return t->progress == NULL || t->progress(&step, t->user);
}

/* The file, where it can be caught up; else *out is NULL. */
static void open_old(const assay_collection *collection, const char *path,
                     const assay_ivf_options *options, assay_ivf **out)
{
    assay_ivf_info info;
    *out = NULL;
    if (assay_ivf_open(path, out, NULL) != ASSAY_OK)
        return;
    assay_ivf_describe(*out, &info);
    if (info.collection == (uint64_t)collection->key &&
        info.options.dimensions == options->dimensions && info.options.codes == options->codes &&
        assay_ivf_verify(*out, NULL) == ASSAY_OK)
        return;
    assay_ivf_free(*out);
    *out = NULL;
}

static assay_status compare(assay_store *store, const assay_collection *collection,
                            const assay_ivf *old, double most, assay_difference *d,
                            assay_error *error)
{
    assay_ivf_info info = {0};
    if (old != NULL)
        assay_ivf_describe(old, &info);
    ASSAY_TRY(assay_difference_new(collection->config.dimensions, info.count, d, error));
    for (uint32_t slot = 0; slot < info.count; slot++)
        assay_difference_have(d, assay_ivf_key(old, slot), assay_ivf_vector(old, slot));
    return assay_difference_read(store, collection, most, d, error);
}

/* The old lists with what is new and without what is gone; *out is NULL where they do
 * not suit any more. */
static assay_status catch_up(assay_store *store, const assay_collection *collection,
                             const assay_ivf *old, assay_ivf **out, assay_error *error)
{
    assay_difference d = {0};
    assay_status status = compare(store, collection, old, MOST_CHANGES, &d, error);
    *out = NULL;
    if (status == ASSAY_OK && d.have_count > 0)
        status = assay_ivf_change(old, d.gone, d.gone_count, d.keys, d.vectors, d.count, 0, out,
                                  error);
    if (status == ASSAY_OK && *out != NULL && assay_ivf_drifted(*out)) {
        assay_ivf_free(*out);
        *out = NULL;
    }
    assay_difference_free(&d);
    return status;
}

static assay_status build(assay_store *store, const assay_collection *collection,
                          const assay_ivf_options *options, telling *t, assay_ivf **out,
                          assay_error *error)
{
    assay_difference d = {0};
    assay_status status = compare(store, collection, NULL, 0, &d, error);
    if (status == ASSAY_OK)
        status = assay_ivf_build(options, d.keys, d.vectors, d.count, 0, tell, t, out, error);
    assay_difference_free(&d);
    return status;
}

assay_status assay_lists_file_update(assay_store *store, const assay_collection *collection,
                                     assay_code_kind codes, const char *path,
                                     assay_progress_fn progress, void *user, assay_error *error)
{
    const assay_ivf_options options = {.dimensions = collection->config.dimensions,
                                       .codes = codes};
    telling t = {progress, user};
    assay_ivf *old, *ivf = NULL;
    assay_status status = ASSAY_OK;
    open_old(collection, path, &options, &old);
    if (old != NULL)
        status = catch_up(store, collection, old, &ivf, error);
    if (status == ASSAY_OK && ivf == NULL)
        status = build(store, collection, &options, &t, &ivf, error);
    if (status == ASSAY_OK)
        status = assay_ivf_save(ivf, path, (uint64_t)collection->key, collection->generation,
                                error);
    assay_ivf_free(ivf);
    assay_ivf_free(old);
    return status;
}
