/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw_insert.c: growing the graph.
 *
 * Slots join in random order, so that pieces of one document do not come together,
 * and in batches, each a small part of what is there. The slots of a batch look for
 * their neighbours in the graph as it was before it, each by itself and writing only
 * lists of its own; then every slot that was chosen takes in those that chose it, all
 * of the batch at once. Threads share both steps without a lock, and the graph does
 * not depend on their number. (The paper inserts one by one; batches are those of
 * ParlayANN, Manohar et al. 2024.)
 *
 * Neighbours are chosen by the paper's heuristic (algorithm 4, without the fillers):
 * best first, one that is not nearer to one chosen before than to the slot. Of copies
 * of one vector the second is left out: they would fill a list and lead nowhere. On the
 * ground a new slot chooses as many as its list holds, 2m, where the paper has it choose
 * m: in a million vectors in clusters, ef 320 then finds 0.988 of the ten nearest in place
 * of 0.984, and a smaller graph is as it was.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/threads.h"
#include "index/hnsw_graph.h"

enum {
    SHARE = 32,         /* a batch is at most one of so many that are there ... */
    MOST_BATCH = 4096,
    PROGRESS_EVERY = 1024,
};

/* --------------------------------------------------------------- choosing */

/* Whether a candidate may stand beside those chosen: nearer to the slot than to each of
 * them, or as near and not the same vector. scores: of the candidate and those. */
static bool stands_apart(assay_near candidate, const assay_code_query *query,
                         const float *scores, uint32_t kept)
{
    bool tie = false;
    for (uint32_t j = 0; j < kept; j++) {
        if (!(scores[j] <= candidate.score))
            return false;
        tie |= scores[j] == candidate.score;
    }
    if (!tie)
        return true;
    float own;
    uint32_t slot = assay_near_slot(candidate);
    assay_codes_score(query, &slot, 1, &own);
    return own > candidate.score;
}

uint32_t assay_hnsw_choose(const assay_hnsw *h, const assay_near *candidates, size_t count,
                           uint32_t most, assay_hnsw_scratch *s, uint32_t *chosen,
                           uint32_t kept)
{
    for (size_t i = 0; i < count && kept < most; i++) {
        uint32_t slot = assay_near_slot(candidates[i]);
        assay_code_query query = assay_codes_ask_slot(&h->builder, slot, s->other);
        assay_codes_score(&query, chosen, kept, s->scores);
        if (stands_apart(candidates[i], &query, s->scores, kept))
            chosen[kept++] = slot;
    }
    return kept;
}

static int best_first(const void *left, const void *right)
{
    const assay_near *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

size_t assay_hnsw_rank(const assay_hnsw *h, uint32_t slot, assay_near *near, size_t count,
                       assay_hnsw_scratch *s)
{
    assay_code_query query = assay_codes_ask_slot(&h->builder, slot, s->room);
    for (size_t done = 0; done < count; done += 2 * ASSAY_HNSW_MOST_M) {
        size_t some = count - done;
        if (some > 2 * ASSAY_HNSW_MOST_M)
            some = 2 * ASSAY_HNSW_MOST_M;
        for (size_t i = 0; i < some; i++)
            s->slots[i] = near[done + i].slot;
        assay_codes_score(&query, s->slots, some, s->scores);
        for (size_t i = 0; i < some; i++)
            near[done + i].score = s->scores[i] == s->scores[i] ? s->scores[i] : -INFINITY;
    }
    qsort(near, count, sizeof *near, best_first);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (near[i].slot != slot && (kept == 0 || near[kept - 1].slot != near[i].slot))
            near[kept++] = near[i];
    return kept;
}

/* ---------------------------------------------------------------- a batch */

typedef struct edge {
    uint32_t from, next;
} edge;

/* A list that slots of the batch chose to be in. */
typedef struct touched {
    uint32_t slot, level;
} touched;

typedef struct insertion {
    assay_hnsw *h;
    const uint32_t *batch; /* [count] slots */
    uint32_t count, threads;
    uint32_t *first;       /* [capacity + upper capacity] edge by list, NONE: none */
    edge *edges;           /* [batch * (2m + levels * m)] */
    touched *touched;
    size_t edge_count, touched_count, edge_room;
    struct {
        assay_hnsw_scratch *scratch;
        assay_near *near;  /* [2m + MOST_BATCH] */
    } *workers;            /* [threads] */
} insertion;

/* The number of a list among all. */
static size_t list_number(const assay_hnsw *h, uint32_t slot, uint32_t level)
{
    return level == 0 ? slot : (size_t)h->capacity + h->upper[slot] + level - 1;
}

/* One slot's neighbours on all of its levels. */
static void find_neighbours(void *context, size_t item, uint32_t worker)
{
    insertion *in = context;
    assay_hnsw *h = in->h;
    assay_hnsw_scratch *s = in->workers[worker].scratch;
    uint32_t slot = in->batch[item], chosen[2 * ASSAY_HNSW_MOST_M];
    uint32_t top = (uint32_t)(atomic_load(&h->entry) >> 32);
    uint32_t level = h->levels[slot] < top ? h->levels[slot] : top;
    assay_code_query query = assay_codes_ask_slot(&h->builder, slot, s->room);
    for (uint32_t l = 0; l <= level; l++) {
        assay_hnsw_walk(h, &query, l, h->options.ef_construction, assay_hnsw_wide(h), s);
        uint32_t most = l == 0 ? 2 * h->options.m : h->options.m;
        uint32_t count = assay_hnsw_choose(h, s->pool, s->count, most, s, chosen, 0);
        assay_hnsw_write_list(h, slot, l, chosen, count);
    }
}

/* Collects who chose whom, by list. */
static void turn_around(insertion *in)
{
    assay_hnsw *h = in->h;
    uint32_t links[2 * ASSAY_HNSW_MOST_M];
    in->edge_count = in->touched_count = 0;
    for (uint32_t i = 0; i < in->count; i++)
        for (uint32_t l = 0; l <= h->levels[in->batch[i]]; l++) {
            uint32_t count = assay_hnsw_read_list(h, in->batch[i], l, links);
            for (uint32_t j = 0; j < count; j++) {
                uint32_t *first = &in->first[list_number(h, links[j], l)];
                if (*first == ASSAY_HNSW_NONE)
                    in->touched[in->touched_count++] = (touched){links[j], l};
                in->edges[in->edge_count] = (edge){in->batch[i], *first};
                *first = (uint32_t)in->edge_count++;
            }
        }
}

/* A list takes in those that chose it, and lets go of what is then too much. */
static void take_in(void *context, size_t item, uint32_t worker)
{
    insertion *in = context;
    assay_hnsw *h = in->h;
    assay_near *near = in->workers[worker].near;
    touched t = in->touched[item];
    uint32_t width, links[2 * ASSAY_HNSW_MOST_M];
    if (assay_hnsw_list(h, t.slot, t.level, &width) == NULL)
        return;
    uint32_t count = assay_hnsw_read_list(h, t.slot, t.level, links);
    size_t all = 0;
    for (; all < count; all++)
        near[all].slot = links[all];
    uint32_t *first = &in->first[list_number(h, t.slot, t.level)];
    for (uint32_t e = *first; e != ASSAY_HNSW_NONE; e = in->edges[e].next)
        near[all++].slot = in->edges[e].from;
    *first = ASSAY_HNSW_NONE;
    if (all <= width) {
        for (; count < all; count++)
            links[count] = near[count].slot;
    } else {
        assay_hnsw_scratch *s = in->workers[worker].scratch;
        all = assay_hnsw_rank(h, t.slot, near, all, s);
        count = assay_hnsw_choose(h, near, all, width, s, links, 0);
    }
    assay_hnsw_write_list(h, t.slot, t.level, links, count);
}

static void raise_entry(insertion *in)
{
    assay_hnsw *h = in->h;
    for (uint32_t i = 0; i < in->count; i++) {
        uint64_t entry = atomic_load(&h->entry);
        uint32_t slot = in->batch[i];
        if ((uint32_t)entry == ASSAY_HNSW_NONE || h->levels[slot] > entry >> 32)
            atomic_store(&h->entry, (uint64_t)h->levels[slot] << 32 | slot);
    }
}

static void insert_batch(insertion *in)
{
    assay_hnsw *h = in->h;
    if ((uint32_t)atomic_load(&h->entry) != ASSAY_HNSW_NONE) {
        assay_loop(in->count, in->threads, find_neighbours, in);
        turn_around(in);
        assay_loop(in->touched_count, in->threads, take_in, in);
    }
    raise_entry(in);
    h->live += in->count;
}

/* How many of order[left] come next: one of SHARE of what is there, and not beyond one
 * that rises above all before it, as those after it are to find it. */
static uint32_t batch_size(const assay_hnsw *h, const uint32_t *order, size_t left)
{
    uint64_t entry = atomic_load(&h->entry);
    size_t most = h->live / SHARE;
    if (most > MOST_BATCH)
        most = MOST_BATCH;
    if (most > left)
        most = left;
    for (uint32_t i = 0; i < most; i++)
        if (h->levels[order[i]] > entry >> 32)
            return i + 1;
    return most > 0 ? (uint32_t)most : 1;
}

/* ------------------------------------------------------------ new slots */

static uint64_t mix(uint64_t seed, uint64_t key)
{
    uint64_t both[2] = {seed, key};
    return assay_hash64(both, sizeof both);
}

/* The level of a key: one in m rises to the first, one in m * m to the second ... */
static uint32_t level_of(const assay_hnsw *h, uint64_t key)
{
    double uniform = (double)((mix(h->options.seed, key) >> 11) + 1) * 0x1p-53;
    double level = -log(uniform) / log(h->options.m);
    return level < ASSAY_HNSW_MOST_LEVEL ? (uint32_t)level : ASSAY_HNSW_MOST_LEVEL;
}

/* Fills a slot; readers come to it when a link leads there. */
static void fill_slot(assay_hnsw *h, uint32_t slot, uint64_t key, const float *vector,
                      void *room)
{
    uint32_t level = level_of(h, key);
    if (level > h->upper_capacity - h->upper_lists)
        level = 0;
    h->levels[slot] = (uint8_t)level;
    h->upper[slot] = h->upper_lists;
    h->upper_lists += level;
    assay_hnsw_set_key(h, slot, key);
    memcpy(h->vectors + (size_t)slot * h->options.dimensions, vector,
           h->options.dimensions * sizeof *vector);
    assay_codes_put(&h->codes, slot, vector, room);
    if (h->builder.rows != h->codes.rows)
        assay_codes_put(&h->builder, slot, vector, room);
    for (uint32_t l = 0; l <= level; l++)
        assay_hnsw_write_list(h, slot, l, NULL, 0);
}

static assay_status check_vectors(const assay_hnsw *h, const uint64_t *keys,
                                  const float *vectors, size_t count, assay_error *error)
{
    uint32_t slots = atomic_load(&h->slots);
    if (count > h->capacity - slots + h->free_count)
        return assay_fail(error, ASSAY_E_LIMIT, NULL,
                          "%zu vectors, and there is room for %zu", count,
                          h->capacity - slots + h->free_count);
    for (size_t i = 0; i < count; i++) {
        if (!assay_vector_is_finite(vectors + i * h->options.dimensions, h->options.dimensions))
            return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                              "the vector of %" PRIu64 " holds what is no number", keys[i]);
        if (keys[i] == 0)
            return assay_fail(error, ASSAY_E_ARGUMENT, NULL, "the key 0 is not allowed");
    }
    return ASSAY_OK;
}

/* Slots for the vectors, in random order. */
static void fill_slots(assay_hnsw *h, const uint64_t *keys, const float *vectors, size_t count,
                       uint32_t *order, void *room)
{
    uint32_t slots = atomic_load(&h->slots);
    for (size_t i = 0; i < count; i++) {
        order[i] = h->free_count > 0 ? h->free_slots[--h->free_count] : slots++;
        fill_slot(h, order[i], keys[i], vectors + i * h->options.dimensions, room);
    }
    atomic_store_explicit(&h->slots, slots, memory_order_release);
    for (size_t i = count; i > 1; i--) {
        size_t j = mix(h->options.seed, i) % i;
        uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* ------------------------------------------------------------- all of it */

static void insertion_free(insertion *in)
{
    for (uint32_t i = 0; in->workers != NULL && i < in->threads; i++) {
        assay_hnsw_scratch_free(in->workers[i].scratch);
        free(in->workers[i].near);
    }
    free(in->workers);
    free(in->first);
    free(in->edges);
    free(in->touched);
}

static assay_status insertion_new(assay_hnsw *h, size_t count, uint32_t threads, insertion *in,
                                  assay_error *error)
{
    *in = (insertion){.h = h, .threads = threads};
    size_t lists = (size_t)h->capacity + h->upper_capacity;
    size_t batch = count < MOST_BATCH ? count : MOST_BATCH;
    /* Of a batch's slots few have upper lists; but all might. */
    in->edge_room = batch * h->options.m * (2 + ASSAY_HNSW_MOST_LEVEL);
    in->first = malloc(lists * sizeof *in->first);
    in->edges = malloc((in->edge_room + 1) * sizeof *in->edges);
    in->touched = malloc((in->edge_room + 1) * sizeof *in->touched);
    in->workers = calloc(threads, sizeof *in->workers);
    bool all = in->first && in->edges && in->touched && in->workers;
    for (uint32_t i = 0; all && i < threads; i++) {
        in->workers[i].scratch = assay_hnsw_scratch_new(h, h->options.ef_construction);
        in->workers[i].near = malloc((2 * h->options.m + batch) * sizeof *in->workers[i].near);
        all = in->workers[i].scratch && in->workers[i].near;
    }
    if (!all) {
        insertion_free(in);
        return assay_fail_memory(error, in->edge_room * sizeof *in->edges);
    }
    memset(in->first, 0xff, lists * sizeof *in->first);
    return ASSAY_OK;
}

/* What a stop leaves out has no list and no key. */
static void leave_out(assay_hnsw *h, const uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assay_hnsw_set_key(h, order[i], 0);
}

static assay_status insert_all(insertion *in, const uint32_t *order, size_t count,
                               assay_hnsw_progress progress, void *user, assay_error *error)
{
    size_t told = 0;
    for (size_t done = 0; done < count; done += in->count) {
        in->batch = order + done;
        in->count = batch_size(in->h, order + done, count - done);
        insert_batch(in);
        if (progress == NULL || done + in->count - told < PROGRESS_EVERY)
            continue;
        told = done + in->count;
        if (!progress(told, count, user)) {
            leave_out(in->h, order + told, count - told);
            return assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
        }
    }
    return ASSAY_OK;
}

assay_status assay_hnsw_insert(assay_hnsw *h, const uint64_t *keys, const float *vectors,
                               size_t count, uint32_t threads, assay_hnsw_progress progress,
                               void *user, assay_error *error)
{
    insertion in;
    if (threads == 0 || threads > assay_cores())
        threads = assay_cores();
    ASSAY_TRY(check_vectors(h, keys, vectors, count, error));
    if (count == 0)
        return ASSAY_OK;
    uint32_t *order = malloc(count * sizeof *order);
    if (order == NULL)
        return assay_fail_memory(error, count * sizeof *order);
    assay_status status = insertion_new(h, count, threads, &in, error);
    if (status == ASSAY_OK) {
        if (atomic_load(&h->slots) == 0)
            assay_codes_begin(&h->codes, vectors, count);
        fill_slots(h, keys, vectors, count, order, in.workers[0].scratch->room);
        status = insert_all(&in, order, count, progress, user, error);
        insertion_free(&in);
    }
    free(order);
    if (status == ASSAY_OK)
        status = assay_hnsw_connect(h, error);
    return status;
}
