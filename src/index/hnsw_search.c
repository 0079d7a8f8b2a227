/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw_search.c: walking the graph.
 *
 * The candidates are one array in order, the best first, of limited length; the
 * best whose neighbours were not looked at is next (this is the paper's algorithm 2
 * with both of its heaps in one). Of a slot's neighbours all that were not visited
 * are scored in one call, which fetches their codes ahead.
 *
 * Departure from the paper: above the level that is searched a walk does not go to the
 * nearest alone, from there down, but looks at the neighbours of several, and all that it
 * met goes down. One vector is easily of the wrong cluster, out of which a short pool does
 * not find: of a million vectors ef 40 found 0.890 of the ten nearest by bytes, and finds
 * 0.953 (bench/ann). Of 50,000 it misses few, and the way down is a good part of a search;
 * so there is one, and one more for each 100,000 vectors.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/hnsw_graph.h"
#include "kernels/kernels.h"

/* ---------------------------------------------------------- working memory */

static void *aligned(size_t bytes)
{
    return aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
}

assay_hnsw_scratch *assay_hnsw_scratch_new(const assay_hnsw *h, uint32_t most_ef)
{
    assay_hnsw_scratch *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    size_t query = assay_code_query_bytes(h->options.codes, h->options.dimensions);
    size_t built = assay_code_query_bytes(ASSAY_CODE_I8, h->options.dimensions);
    query = query > built ? query : built;
    s->most = most_ef > 0 ? most_ef : 1;
    s->visited_words = h->capacity / 64 + 1;
    s->pool = aligned(((size_t)s->most + 1) * sizeof *s->pool);
    s->visited = aligned(s->visited_words * sizeof *s->visited);
    s->slots = aligned(2 * ASSAY_HNSW_MOST_M * sizeof *s->slots);
    s->scores = aligned(2 * ASSAY_HNSW_MOST_M * sizeof *s->scores);
    s->room = aligned(query);
    s->other = aligned(query);
    if (!s->pool || !s->visited || !s->slots || !s->scores || !s->room || !s->other) {
        assay_hnsw_scratch_free(s);
        return NULL;
    }
    return s;
}

void assay_hnsw_scratch_free(assay_hnsw_scratch *s)
{
    if (s == NULL)
        return;
    free(s->pool);
    free(s->visited);
    free(s->slots);
    free(s->scores);
    free(s->room);
    free(s->other);
    free(s);
}

/* ---------------------------------------------------------------- the pool */

static void pool_clear(assay_hnsw_scratch *s, uint32_t limit)
{
    s->limit = limit < s->most ? limit : s->most;
    s->count = s->next = 0;
}

/* Puts a candidate in its place; equal ones keep their order. */
static void pool_add(assay_hnsw_scratch *s, uint32_t slot, float score)
{
    if (s->count == s->limit ? !(score > s->pool[s->count - 1].score) : score != score)
        return;
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->pool[middle].score < score)
            high = middle;
        else
            low = middle + 1;
    }
    memmove(s->pool + low + 1, s->pool + low, (s->count - low) * sizeof *s->pool);
    s->pool[low] = (assay_near){score, slot};
    s->count += s->count < s->limit;
    if (low < s->next)
        s->next = low;
}

/* The best that is not done, marked as done; the pool has one. */
static uint32_t pool_take(assay_hnsw_scratch *s)
{
    uint32_t slot = s->pool[s->next].slot;
    s->pool[s->next].slot |= ASSAY_NEAR_DONE;
    while (s->next < s->count && (s->pool[s->next].slot & ASSAY_NEAR_DONE))
        s->next++;
    return slot;
}

/* Every candidate's neighbours are to be looked at once more, on the next level. */
static void pool_reopen(assay_hnsw_scratch *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        s->pool[i].slot &= ~ASSAY_NEAR_DONE;
    s->next = 0;
}

/* ----------------------------------------------------------------- walking */

static bool visit(assay_hnsw_scratch *s, uint32_t slot)
{
    uint64_t *word = s->visited + slot / 64, bit = (uint64_t)1 << slot % 64;
    bool before = *word & bit;
    *word |= bit;
    return !before;
}

/* A slot's neighbours that were not visited, to s->slots. */
static uint32_t meet(const assay_hnsw *h, const assay_codes *codes, uint32_t slot, uint32_t level,
                     assay_hnsw_scratch *s)
{
    uint32_t width, count = 0;
    const assay_link *list = assay_hnsw_list(h, slot, level, &width);
    for (uint32_t i = 0; list != NULL && i < width; i++) {
        uint32_t link = assay_link_read(list + i);
        if (link >= h->capacity)
            break;
        s->slots[count] = link;
        if (visit(s, link)) {
            assay_codes_fetch(codes, link);
            count++;
        }
    }
    return count;
}

/* A list that is likely to be read next. */
static void fetch_list(const assay_hnsw *h, uint32_t slot, uint32_t level)
{
    uint32_t width;
    const assay_link *list = assay_hnsw_list(h, slot, level, &width);
    for (uint32_t i = 0; list != NULL && i < width; i += 64 / sizeof *list)
        __builtin_prefetch(list + i);
}

/* From what is in the pool to the best of the level: until the neighbours of the first
 * `wide` were looked at. */
static void walk_level(const assay_hnsw *h, const assay_code_query *query, uint32_t level,
                       uint32_t wide, assay_hnsw_scratch *s)
{
    uint32_t width;
    while (s->next < s->count && s->next < wide) {
        uint32_t slot = pool_take(s);
        if (s->next < s->count)
            fetch_list(h, assay_near_slot(s->pool[s->next]), level);
        uint32_t count = meet(h, query->codes, slot, level, s);
        assay_codes_score(query, s->slots, count, s->scores);
        for (uint32_t i = 0; i < count; i++)
            pool_add(s, s->slots[i], s->scores[i]);
        if (level == 0 && s->next < s->count)
            __builtin_prefetch(assay_hnsw_list(h, s->pool[s->next].slot, 0, &width));
    }
}

uint32_t assay_hnsw_wide(const assay_hnsw *h)
{
    enum { FOR_EACH = 100000, MOST = 16 };
    uint32_t wide = 1 + atomic_load_explicit(&h->slots, memory_order_relaxed) / FOR_EACH;
    return wide < MOST ? wide : MOST;
}

void assay_hnsw_walk(const assay_hnsw *h, const assay_code_query *query, uint32_t level,
                     uint32_t limit, uint32_t wide, assay_hnsw_scratch *s)
{
    uint64_t entry = atomic_load_explicit(&h->entry, memory_order_acquire);
    uint32_t from = (uint32_t)entry;
    float score;
    pool_clear(s, limit);
    if (from >= h->capacity)
        return;
    memset(s->visited, 0, s->visited_words * sizeof *s->visited);
    visit(s, from);
    assay_codes_score(query, &from, 1, &score);
    pool_add(s, from, score);
    for (uint32_t l = (uint32_t)(entry >> 32); l > level; l--) {
        walk_level(h, query, l, wide, s);
        pool_reopen(s);
    }
    walk_level(h, query, level, s->limit, s);
}

/* --------------------------------------------------------------- searching */

static bool may_find(const assay_hnsw *h, const uint64_t *allowed, uint32_t slot)
{
    return assay_hnsw_key(h, slot) != 0 && (allowed == NULL || (allowed[slot / 64] >> slot % 64 & 1));
}

static uint32_t count_allowed(const assay_hnsw *h, const uint64_t *allowed, uint32_t slots)
{
    uint32_t count = 0;
    for (uint32_t word = 0; word < slots / 64; word++)
        count += (uint32_t)__builtin_popcountll(allowed[word]);
    for (uint32_t slot = slots / 64 * 64; slot < slots; slot++)
        count += may_find(h, allowed, slot);
    return count;
}

/* Scores every slot that may be found. */
static void scan(const assay_hnsw *h, const assay_code_query *query, const uint64_t *allowed,
                 uint32_t limit, uint32_t slots, assay_hnsw_scratch *s)
{
    uint32_t count = 0;
    pool_clear(s, limit);
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (allowed != NULL && allowed[slot / 64] == 0) {
            slot |= 63;
        } else if (may_find(h, allowed, slot)) {
            s->slots[count++] = slot;
        }
        if (count < 2 * ASSAY_HNSW_MOST_M && slot + 1 < slots)
            continue;
        assay_codes_score(query, s->slots, count, s->scores);
        for (uint32_t i = 0; i < count; i++)
            pool_add(s, s->slots[i], s->scores[i]);
        count = 0;
    }
}

enum { RESCORED_AT_ONCE = 32 };

/* Exact scores of the first candidates that may be found, sorted. Those that even at
 * their best would not be among the k are passed over. */
static size_t rescore(const assay_hnsw *h, const float *query, const assay_code_query *coded,
                      const assay_hnsw_find *find, uint32_t most, assay_hnsw_scratch *s,
                      assay_candidate *out)
{
    assay_best best = {.items = out, .limit = find->k};
    bool bits = h->options.codes == ASSAY_CODE_B1;
    uint64_t key;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < s->count && seen < most;) {
        uint32_t count = 0;
        float least = best.count > 0 && best.count == best.limit ? out[0].score : -INFINITY;
        for (; i < s->count && count < RESCORED_AT_ONCE && seen < most; i++) {
            uint32_t slot = assay_near_slot(s->pool[i]);
            bool may = slot < h->capacity && may_find(h, find->allowed, slot);
            s->slots[count] = slot;
            seen += may;
            count += may && !(bits && s->pool[i].score + assay_codes_reach(coded, slot) < least);
        }
        assay_kernels_active()->dots_at_f32(query, h->vectors, s->slots, count,
                                            h->options.dimensions, s->scores);
        for (uint32_t j = 0; j < count; j++)
            if ((key = assay_hnsw_key(h, s->slots[j])) != 0)
                assay_best_add(&best, (assay_candidate){key, s->scores[j]});
    }
    assay_best_sort(&best);
    return best.count;
}

/* A walk that widens by the share let through meets about ef * WALK_COST / share
 * slots, a scan share * slots. An estimate: neighbours scored for each one kept. */
#define WALK_COST 20.0

size_t assay_hnsw_search(const assay_hnsw *h, const float *query, const assay_hnsw_find *find,
                         assay_hnsw_scratch *s, assay_candidate *out)
{
    uint32_t slots = atomic_load_explicit(&h->slots, memory_order_acquire);
    uint32_t ef = find->ef > find->k ? find->ef : find->k;
    assay_code_query coded = assay_codes_ask(&h->codes, query, s->room);
    double share = 1;
    if (find->allowed != NULL && slots > 0)
        share = (double)count_allowed(h, find->allowed, slots) / slots;
    double limit = share > 0 ? ceil(ef / share) : INFINITY;
    if (limit > s->most && share == 1)
        limit = s->most;
    if (limit > s->most || (share < 1 && limit * WALK_COST > share * slots))
        scan(h, &coded, find->allowed, ef, slots, s);
    else
        assay_hnsw_walk(h, &coded, 0, (uint32_t)limit, assay_hnsw_wide(h), s);
    uint32_t most = find->rescore > find->k ? find->rescore : find->k + find->k / 2 + 10;
    if (h->options.codes == ASSAY_CODE_F32)
        most = find->k;
    if (h->options.codes == ASSAY_CODE_B1) /* estimates: any of them may be the best */
        most = ef;
    return rescore(h, query, &coded, find, most, s, out);
}
