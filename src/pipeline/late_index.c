/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_index.c: token vectors of a collection's passages, computed and kept; see
 * late.h. A batch is encoded, then written in one transaction, so that an interrupted
 * call is resumed by the next: it finds what is missing.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/late.h"

enum { BATCH = 32 }; /* passages */

typedef struct indexing {
    assay_late late;
    const assay_collection *collection;
    assay_progress_fn progress;
    void *user;
    uint64_t *done, total;
    assay_arena *arena;
    size_t count;
    uint64_t passages[BATCH];
    assay_token_ids ids[BATCH];
    float *steps[BATCH];   /* [what there is room for of each] */
    int8_t *rows[BATCH];
    size_t vectors[BATCH]; /* SIZE_MAX: they are not finite */
} indexing;

static size_t dimensions_of(const indexing *in)
{
    return in->late.session->model->info.dimensions;
}

static void keep(void *user, size_t item, float *vectors, size_t count)
{
    indexing *in = user;
    size_t d = dimensions_of(in);
    in->vectors[item] = vectors != NULL ? count : SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        in->steps[item][i] = assay_late_quantize(vectors + i * d, d, in->rows[item] + i * d);
}

/* The ids of the batch, and room for its vectors. Passages deleted meanwhile are left
 * out. */
static assay_status read_batch(indexing *in, assay_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < in->count; i++) {
        assay_passage_view view;
        bool made;
        assay_status status =
            assay_passage_get(in->late.store, in->passages[i], in->arena, &view, error);
        if (status == ASSAY_E_NOT_FOUND)
            continue;
        ASSAY_TRY(status);
        ASSAY_TRY(assay_late_ids(&in->late, &view, in->arena, &in->ids[count], &made, error));
        size_t most = in->late.session->max_tokens;
        in->steps[count] = assay_arena_take(in->arena, most * sizeof(float));
        in->rows[count] = assay_arena_take(in->arena, most * dimensions_of(in));
        if (in->steps[count] == NULL || in->rows[count] == NULL)
            return assay_fail_memory(error, most * dimensions_of(in));
        in->passages[count++] = in->passages[i];
    }
    in->count = count;
    return ASSAY_OK;
}

static assay_status put_batch(indexing *in, assay_error *error)
{
    for (size_t i = 0; i < in->count; i++) {
        if (in->vectors[i] == SIZE_MAX)
            return assay_fail(error, ASSAY_E_CORRUPT, in->late.session->model->info.path,
                              "token vectors are not finite: the weights may be damaged (assay "
                              "check MODEL)");
        const assay_token_rows rows = {
            .count = in->vectors[i],
            .dimensions = dimensions_of(in),
            .tokens = (uint32_t)assay_late_tokens(in->late.session, &in->ids[i]),
            .truncated = in->ids[i].total > assay_late_room(in->late.session),
            .steps = in->steps[i],
            .rows = in->rows[i],
        };
        ASSAY_TRY(assay_token_vectors_put(in->late.store, in->passages[i], &rows, error));
    }
    return ASSAY_OK;
}

static assay_status write_batch(indexing *in, assay_error *error)
{
    ASSAY_TRY(assay_store_begin(in->late.store, error));
    assay_status status = put_batch(in, error);
    if (status == ASSAY_OK)
        status = assay_store_commit(in->late.store, error);
    if (status != ASSAY_OK)
        assay_store_rollback(in->late.store);
    return status;
}

static assay_status tell(indexing *in, assay_error *error)
{
    assay_progress step = {.phase = ASSAY_PHASE_TOKENS, .done = *in->done, .total = in->total};
    if (in->progress == NULL || in->progress(&step, in->user))
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_INTERRUPTED, in->collection->name,
                      "interrupted; what is finished is kept, and the same call resumes");
}

static assay_status complete(indexing *in, assay_error *error)
{
    uint64_t last = 0;
    for (;;) {
        assay_arena_reset(in->arena);
        ASSAY_TRY(assay_token_vectors_missing(in->late.store, in->collection, last, in->passages,
                                              BATCH, &in->count, error));
        if (in->count == 0)
            return ASSAY_OK;
        last = in->passages[in->count - 1];
        ASSAY_TRY(read_batch(in, error));
        ASSAY_TRY(assay_late_encode(in->late.session, in->ids, in->count, keep, in, error));
        ASSAY_TRY(write_batch(in, error));
        *in->done += in->count;
        ASSAY_TRY(tell(in, error));
    }
}

/* How many passages lack vectors, for the progress. */
static assay_status count_missing(indexing *in, assay_error *error)
{
    assay_collection_info info;
    ASSAY_TRY(assay_collection_describe(in->late.store, in->collection->name, &info, error));
    in->total = info.passages - (info.late_vectors < info.passages ? info.late_vectors
                                                                   : info.passages);
    return ASSAY_OK;
}

static assay_status run(indexing *in, assay_store *store, const assay_late_model *set,
                        const char *model, uint32_t threads, bool anew, assay_error *error)
{
    const assay_late_options options = {.model = model, .threads = threads};
    ASSAY_TRY(assay_late_begin(&in->late, store, &options, error));
    if (anew || memcmp(set->digest.bytes, in->late.digest.bytes, sizeof set->digest.bytes) != 0) {
        assay_late_model now = {.digest = in->late.digest};
        snprintf(now.model, sizeof now.model, "%s", model);
        ASSAY_TRY(assay_late_set(store, in->collection, &now, error));
    }
    ASSAY_TRY(count_missing(in, error));
    return complete(in, error);
}

assay_status assay_late_complete(assay_store *store, const assay_collection *collection,
                                 const char *model, uint32_t threads, bool anew,
                                 assay_progress_fn progress, void *user, uint64_t *done,
                                 assay_error *error)
{
    assay_late_model set;
    *done = 0;
    ASSAY_TRY(assay_late_get(store, collection, &set, error));
    if (model == NULL)
        model = set.model;
    if (strlen(model) >= sizeof set.model)
        return assay_fail(error, ASSAY_E_LIMIT, "late", "a name of %zu bytes, expected at most %zu",
                          strlen(model), sizeof set.model - 1);
    if (strcmp(model, "none") == 0)
        return set.model[0] != '\0'
                   ? assay_late_set(store, collection, &(assay_late_model){0}, error)
                   : ASSAY_OK;
    if (model[0] == '\0')
        return ASSAY_OK;
    indexing in = {.collection = collection, .progress = progress, .user = user, .done = done,
                   .arena = assay_arena_new(0)};
    if (in.arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_status status = run(&in, store, &set, model, threads, anew, error);
    assay_late_end(&in.late);
    assay_arena_free(in.arena);
    return status;
}
