/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ivf_search.c: searching lists: the nearest centres, the codes of their lists, and the
 * vectors of the best of these.
 *
 * Centres are compared as bytes, a quarter of what there is to read: lists whose centres
 * are about as near are as likely to hold what is looked for.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "index/ivf_lists.h"
#include "kernels/kernels.h"

enum {
    AT_ONCE = 256,         /* slots that are scored at a time */
    RESCORED_AT_ONCE = 32,
    DEFAULT_SHARE = 24,    /* of the lists one in so many is looked into ... */
    DEFAULT_LEAST = 128,   /* ... at least so many, and */
    DEFAULT_VECTORS = 4096, /* those of so many: a small collection's lists are short */
    MORE_OF_BITS = 100,    /* than k are scored exactly by default */
    MORE_OF_BYTES = 10,
};

struct assay_ivf_scratch {
    uint32_t most;
    assay_candidate *lists;  /* [lists] nearest first; the passage is the list's number */
    assay_candidate *pool;   /* [most] best first; the passage is the slot */
    uint32_t slots[AT_ONCE];
    float scores[AT_ONCE];
    void *room;              /* of the query */
    void *route;             /* ... and as the centres' bytes */
};

assay_ivf_scratch *assay_ivf_scratch_new(const assay_ivf *ivf, uint32_t most)
{
    assay_ivf_scratch *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    size_t room = assay_code_query_bytes(ivf->options.codes, ivf->options.dimensions);
    size_t route = assay_code_query_bytes(ASSAY_CODE_I8, ivf->options.dimensions);
    s->most = most > 0 ? most : 1;
    s->lists = calloc(ivf->options.lists, sizeof *s->lists);
    s->pool = calloc(s->most, sizeof *s->pool);
    s->room = aligned_alloc(64, (room + 63) / 64 * 64);
    s->route = aligned_alloc(64, (route + 63) / 64 * 64);
    if (!s->lists || !s->pool || !s->room || !s->route) {
        assay_ivf_scratch_free(s);
        return NULL;
    }
    return s;
}

void assay_ivf_scratch_free(assay_ivf_scratch *s)
{
    if (s == NULL)
        return;
    free(s->lists);
    free(s->pool);
    free(s->room);
    free(s->route);
    free(s);
}

uint32_t assay_ivf_nprobe(const assay_ivf *ivf)
{
    uint32_t lists = ivf->options.lists, most = lists / DEFAULT_SHARE;
    uint64_t holding = (uint64_t)DEFAULT_VECTORS * lists / (ivf->count + 1);
    if (most < DEFAULT_LEAST)
        most = DEFAULT_LEAST;
    if (most < holding)
        most = (uint32_t)holding;
    return most < lists ? most : lists;
}

static void score_some(const assay_code_query *query, size_t count, assay_ivf_scratch *s,
                       assay_best *best)
{
    assay_codes_score(query, s->slots, count, s->scores);
    for (size_t i = 0; i < count; i++)
        assay_best_add(best, (assay_candidate){s->slots[i], s->scores[i]});
}

/* The nearest lists, to s->lists; returns their number. */
static size_t choose_lists(const assay_ivf *ivf, const float *query, uint32_t nprobe,
                           assay_ivf_scratch *s)
{
    assay_best best = {.items = s->lists, .limit = nprobe};
    assay_code_query route = assay_codes_ask(&ivf->routes, query, s->route);
    for (uint32_t l = 0; l < ivf->options.lists;) {
        size_t count = 0;
        for (; count < AT_ONCE && l < ivf->options.lists; l++)
            s->slots[count++] = l;
        score_some(&route, count, s, &best);
    }
    assay_best_sort(&best);
    return best.count;
}

static bool may_find(const uint64_t *allowed, uint32_t slot)
{
    return allowed == NULL || (allowed[slot / 64] >> slot % 64 & 1);
}

/* The codes of the chosen lists. */
static void scan(const assay_ivf *ivf, const assay_code_query *query, const uint64_t *allowed,
                 size_t lists, assay_ivf_scratch *s, assay_best *pool)
{
    size_t count = 0;
    for (size_t i = 0; i < lists; i++) {
        uint32_t l = (uint32_t)s->lists[i].passage;
        for (uint32_t slot = ivf->starts[l]; slot < ivf->starts[l + 1]; slot++) {
            s->slots[count] = slot;
            count += may_find(allowed, slot);
            if (count < AT_ONCE)
                continue;
            score_some(query, count, s, pool);
            count = 0;
        }
    }
    score_some(query, count, s, pool);
}

/* Exact scores of the pool; what even at its best would not be among the k is passed
 * over. */
static size_t rescore(const assay_ivf *ivf, const float *query, const assay_code_query *coded,
                      const assay_best *pool, uint32_t k, assay_ivf_scratch *s,
                      assay_candidate *out)
{
    assay_best best = {.items = out, .limit = k};
    bool bits = ivf->options.codes == ASSAY_CODE_B1;
    for (size_t i = 0; i < pool->count;) {
        size_t count = 0;
        float least = best.count > 0 && best.count == k ? out[0].score : -INFINITY;
        for (; i < pool->count && count < RESCORED_AT_ONCE; i++) {
            uint32_t slot = (uint32_t)pool->items[i].passage;
            s->slots[count] = slot;
            count += !(bits && pool->items[i].score + assay_codes_reach(coded, slot) < least);
        }
        assay_kernels_active()->dots_at_f32(query, ivf->vectors, s->slots, count,
                                            ivf->options.dimensions, s->scores);
        for (size_t j = 0; j < count; j++)
            assay_best_add(&best, (assay_candidate){ivf->keys[s->slots[j]], s->scores[j]});
    }
    assay_best_sort(&best);
    return best.count;
}

static uint64_t count_allowed(const assay_ivf *ivf, const uint64_t *allowed)
{
    const assay_bits bits = {(uint64_t *)(uintptr_t)allowed, ivf->count}; /* only read */
    return assay_bits_count(&bits);
}

/* As many lists as hold what would be compared without a filter. */
static uint32_t lists_to_probe(const assay_ivf *ivf, const assay_ivf_find *find)
{
    uint32_t lists = ivf->options.lists;
    double nprobe = find->nprobe > 0 ? find->nprobe : assay_ivf_nprobe(ivf);
    if (find->allowed != NULL)
        nprobe = ceil(nprobe * ivf->count / ((double)count_allowed(ivf, find->allowed) + 1e-9));
    return nprobe < lists ? (uint32_t)nprobe : lists;
}

static uint32_t scored_exactly(const assay_ivf *ivf, const assay_ivf_find *find)
{
    uint32_t k = find->k, ef = find->ef;
    if (ivf->options.codes == ASSAY_CODE_F32)
        return k;
    if (ef == 0)
        ef = ivf->options.codes == ASSAY_CODE_B1 ? k + MORE_OF_BITS : k + k / 2 + MORE_OF_BYTES;
    return ef > k ? ef : k;
}

size_t assay_ivf_search(const assay_ivf *ivf, const float *query, const assay_ivf_find *find,
                        assay_ivf_scratch *s, assay_candidate *out)
{
    if (ivf->count == 0 || find->k == 0)
        return 0;
    uint32_t ef = scored_exactly(ivf, find);
    assay_best pool = {.items = s->pool, .limit = ef < s->most ? ef : s->most};
    assay_code_query coded = assay_codes_ask(&ivf->codes, query, s->room);
    uint32_t lists = lists_to_probe(ivf, find), all = ivf->options.lists;
    for (;; lists = lists < all / 2 ? 2 * lists : all) {
        pool.count = 0;
        scan(ivf, &coded, find->allowed, choose_lists(ivf, query, lists, s), s, &pool);
        if (pool.count >= find->k || pool.count == pool.limit || lists == all)
            break;
    }
    assay_best_sort(&pool);
    return rescore(ivf, query, &coded, &pool, find->k, s, out);
}
