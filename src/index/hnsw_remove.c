/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw_remove.c: taking vectors out.
 *
 * A vector is first one that is not found any more (its key is 0), then every list with
 * a link to it takes in neighbours of the ones that are gone, by the heuristic of
 * hnsw_insert.c. FreshDiskANN (Singh et al. 2021) makes the list anew of these and of its
 * other neighbours; here those stay whatever the heuristic says, as a list that is not full
 * never asked it about them: chosen anew, lists lost a third of their links, and a walk
 * recall. The lists of what is gone stay as they are, so that lists can be made by several
 * threads in any order, and a reader who stands there finds the way on.
 */
#include <stdlib.h>

#include "base/threads.h"
#include "index/hnsw_graph.h"

enum { SLOTS_AT_ONCE = 256 };

typedef struct removal {
    assay_hnsw *h;
    uint64_t *gone; /* [slots / 64 + 1] */
    uint32_t slots, threads;
    struct {
        assay_hnsw_scratch *scratch;
        assay_near *near; /* [2m * 2m] */
    } *workers;
} removal;

static bool is_gone(const removal *r, uint32_t slot)
{
    return r->gone[slot / 64] >> slot % 64 & 1;
}

static bool is_among(const uint32_t *slots, uint32_t count, uint32_t slot)
{
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] == slot)
            return true;
    return false;
}

/* Those of a list that are left, to left[]; the neighbours of those that are gone, as far as
 * they are none of these, to near[]. Returns how many are left; *gone: that any is gone. */
static uint32_t gather(const removal *r, uint32_t slot, uint32_t level, uint32_t *left,
                       assay_near *near, size_t *count, bool *gone)
{
    uint32_t links[2 * ASSAY_HNSW_MOST_M], beyond[2 * ASSAY_HNSW_MOST_M], kept = 0;
    uint32_t own = assay_hnsw_read_list(r->h, slot, level, links);
    for (uint32_t i = 0; i < own; i++)
        if (!is_gone(r, links[i]))
            left[kept++] = links[i];
    *gone = kept < own;
    *count = 0;
    for (uint32_t i = 0; i < own && *gone; i++) {
        uint32_t more = is_gone(r, links[i]) ? assay_hnsw_read_list(r->h, links[i], level, beyond) : 0;
        for (uint32_t j = 0; j < more; j++)
            if (!is_gone(r, beyond[j]) && !is_among(left, kept, beyond[j]))
                near[(*count)++].slot = beyond[j];
    }
    return kept;
}

static void repair(removal *r, uint32_t slot, uint32_t level, uint32_t worker)
{
    assay_near *near = r->workers[worker].near;
    uint32_t width, chosen[2 * ASSAY_HNSW_MOST_M];
    size_t count;
    bool gone;
    if (assay_hnsw_list(r->h, slot, level, &width) == NULL)
        return;
    uint32_t kept = gather(r, slot, level, chosen, near, &count, &gone);
    if (!gone)
        return;
    assay_hnsw_scratch *s = r->workers[worker].scratch;
    count = assay_hnsw_rank(r->h, slot, near, count, s);
    kept = assay_hnsw_choose(r->h, near, count, width, s, chosen, kept);
    assay_hnsw_write_list(r->h, slot, level, chosen, kept);
}

static void repair_some(void *context, size_t item, uint32_t worker)
{
    removal *r = context;
    uint32_t first = (uint32_t)item * SLOTS_AT_ONCE;
    for (uint32_t slot = first; slot < first + SLOTS_AT_ONCE && slot < r->slots; slot++)
        for (uint32_t l = 0; assay_hnsw_key(r->h, slot) != 0 && l <= r->h->levels[slot]; l++)
            repair(r, slot, l, worker);
}

/* The highest of those that are there. */
static void choose_entry(assay_hnsw *h, uint32_t slots)
{
    uint64_t best = ASSAY_HNSW_NONE;
    for (uint32_t slot = 0; slot < slots; slot++)
        if (assay_hnsw_key(h, slot) != 0 && ((uint32_t)best == ASSAY_HNSW_NONE || h->levels[slot] > best >> 32))
            best = (uint64_t)h->levels[slot] << 32 | slot;
    atomic_store(&h->entry, best);
}

/* Marks the slots whose keys are among these; returns how many. */
static uint32_t mark(removal *r, const uint64_t *keys, size_t count)
{
    uint32_t marked = 0;
    for (uint32_t slot = 0; slot < r->slots; slot++) {
        uint64_t key = assay_hnsw_key(r->h, slot);
        size_t low = 0, high = count;
        while (key != 0 && low < high) {
            size_t middle = (low + high) / 2;
            if (keys[middle] < key)
                low = middle + 1;
            else
                high = middle;
        }
        if (key == 0 || low == count || keys[low] != key)
            continue;
        r->gone[slot / 64] |= (uint64_t)1 << slot % 64;
        marked++;
    }
    return marked;
}

static void removal_free(removal *r)
{
    for (uint32_t i = 0; r->workers != NULL && i < r->threads; i++) {
        assay_hnsw_scratch_free(r->workers[i].scratch);
        free(r->workers[i].near);
    }
    free(r->workers);
    free(r->gone);
}

static bool removal_new(assay_hnsw *h, uint32_t threads, removal *r)
{
    size_t width = 2 * h->options.m;
    *r = (removal){.h = h, .slots = atomic_load(&h->slots), .threads = threads};
    r->gone = calloc(r->slots / 64 + 1, sizeof *r->gone);
    r->workers = calloc(threads, sizeof *r->workers);
    for (uint32_t i = 0; r->workers != NULL && i < threads; i++) {
        r->workers[i].scratch = assay_hnsw_scratch_new(h, 1);
        r->workers[i].near = malloc(width * width * sizeof *r->workers[i].near);
        if (r->workers[i].scratch == NULL || r->workers[i].near == NULL)
            return false;
    }
    return r->gone != NULL && r->workers != NULL;
}

assay_status assay_hnsw_remove(assay_hnsw *h, const uint64_t *keys, size_t count,
                               uint32_t threads, assay_error *error)
{
    removal r;
    if (threads == 0 || threads > assay_cores())
        threads = assay_cores();
    if (!removal_new(h, threads, &r)) {
        removal_free(&r);
        return assay_fail_memory(error, r.slots / 8);
    }
    uint32_t marked = mark(&r, keys, count);
    if (marked > 0) {
        for (uint32_t slot = 0; slot < r.slots; slot++)
            if (is_gone(&r, slot))
                assay_hnsw_set_key(h, slot, 0);
        h->live -= marked;
        assay_loop((r.slots + SLOTS_AT_ONCE - 1) / SLOTS_AT_ONCE, threads, repair_some, &r);
        choose_entry(h, r.slots);
    }
    removal_free(&r);
    return marked > 0 ? assay_hnsw_connect(h, error) : ASSAY_OK;
}
