/* SPDX-License-Identifier: Apache-2.0 */
/* difference.c: see difference.h. */
#include "pipeline/difference.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

typedef struct reading {
    assay_difference *d;
    size_t at; /* in have */
    assay_status status;
    assay_error *error;
} reading;

assay_status assay_difference_new(uint32_t dimensions, size_t most, assay_difference *out,
                                  assay_error *error)
{
    *out = (assay_difference){.dimensions = dimensions,
                              .have = malloc((most + 1) * sizeof *out->have),
                              .gone = malloc((most + 1) * sizeof *out->gone)};
    if (out->have != NULL && out->gone != NULL)
        return ASSAY_OK;
    assay_difference_free(out);
    return assay_fail_memory(error, most * sizeof *out->have);
}

void assay_difference_free(assay_difference *d)
{
    free(d->have);
    free(d->keys);
    free(d->vectors);
    free(d->gone);
    *d = (assay_difference){0};
}

static assay_difference_entry entry(const assay_difference *d, uint64_t key, const float *vector)
{
    return (assay_difference_entry){key, assay_hash64(vector, d->dimensions * sizeof *vector)};
}

void assay_difference_have(assay_difference *d, uint64_t key, const float *vector)
{
    d->have[d->have_count++] = entry(d, key, vector);
}

static assay_status make_room(reading *r)
{
    assay_difference *d = r->d;
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
        return assay_fail_memory(r->error, room * d->dimensions * sizeof *vectors);
    d->room = room;
    return ASSAY_OK;
}

/* The store's keys come in ascending order, as those of the index are. */
static bool compare_one(uint64_t key, const float *vector, void *user)
{
    reading *r = user;
    assay_difference *d = r->d;
    while (r->at < d->have_count && d->have[r->at].key < key)
        d->gone[d->gone_count++] = d->have[r->at++].key;
    if (r->at < d->have_count && d->have[r->at].key == key) {
        if (d->have[r->at++].hash == entry(d, key, vector).hash)
            return true;
        d->gone[d->gone_count++] = key;
    }
    r->status = make_room(r);
    if (r->status != ASSAY_OK)
        return false;
    d->keys[d->count] = key;
    memcpy(d->vectors + d->count++ * d->dimensions, vector, d->dimensions * sizeof *vector);
    return true;
}

static assay_status read_store(assay_store *store, const assay_collection *collection,
                               assay_difference *d, assay_error *error)
{
    reading r = {.d = d, .error = error};
    d->count = d->gone_count = 0;
    assay_status status = assay_store_vectors(store, collection, compare_one, &r, error);
    while (r.at < d->have_count)
        d->gone[d->gone_count++] = d->have[r.at++].key;
    return status == ASSAY_OK ? r.status : status;
}

static int ascending(const void *left, const void *right)
{
    const assay_difference_entry *a = left, *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}

assay_status assay_difference_read(assay_store *store, const assay_collection *collection,
                                   double most, assay_difference *d, assay_error *error)
{
    if (d->have_count > 1)
        qsort(d->have, d->have_count, sizeof *d->have, ascending);
    ASSAY_TRY(read_store(store, collection, d, error));
    if (d->have_count == 0 ||
        (double)(d->count + d->gone_count) <= most * (double)d->have_count)
        return ASSAY_OK;
    d->have_count = 0;
    return read_store(store, collection, d, error);
}
