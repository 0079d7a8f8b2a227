/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw_connect.c: seeing to it that every vector can be reached.
 *
 * Lists let go of neighbours when they are full, and nothing in the paper keeps the
 * last link to a slot. Here the ground is walked from the entry, and what was not
 * reached gets a link from a near slot that was. It is rarely more than one vector in
 * thousands; with many equal vectors it is more.
 */
#include <stdlib.h>

#include "index/hnsw_graph.h"

typedef struct reach {
    assay_hnsw *h;
    uint64_t *seen;   /* [slots / 64 + 1] */
    uint32_t *queue;  /* [slots] */
    assay_hnsw_scratch *scratch;
} reach;

static bool was_seen(const reach *r, uint32_t slot)
{
    return r->seen[slot / 64] >> slot % 64 & 1;
}

static void see(reach *r, uint32_t slot)
{
    r->seen[slot / 64] |= (uint64_t)1 << slot % 64;
}

/* Sees what can be reached from a slot and was not seen before. */
static void flood(reach *r, uint32_t from)
{
    uint32_t links[2 * ASSAY_HNSW_MOST_M];
    size_t first = 0, last = 0;
    see(r, from);
    r->queue[last++] = from;
    while (first < last) {
        uint32_t count = assay_hnsw_read_list(r->h, r->queue[first++], 0, links);
        for (uint32_t i = 0; i < count; i++) {
            if (was_seen(r, links[i]))
                continue;
            see(r, links[i]);
            r->queue[last++] = links[i];
        }
    }
}

/* Links a slot from the nearest that has room, or else in place of the nearest's last. */
static void link_from_near(reach *r, uint32_t slot)
{
    assay_hnsw *h = r->h;
    assay_hnsw_scratch *s = r->scratch;
    uint32_t links[2 * ASSAY_HNSW_MOST_M], width = 2 * h->options.m;
    assay_code_query query = assay_codes_ask_slot(&h->builder, slot, s->room);
    assay_hnsw_walk(h, &query, 0, h->options.ef_construction, assay_hnsw_wide(h), s);
    uint32_t at = ASSAY_HNSW_NONE;
    for (uint32_t i = 0; i < s->count && at == ASSAY_HNSW_NONE; i++) {
        uint32_t near = assay_near_slot(s->pool[i]);
        if (near != slot && was_seen(r, near) && assay_hnsw_read_list(h, near, 0, links) < width)
            at = near;
    }
    if (at == ASSAY_HNSW_NONE && s->count > 0)
        at = assay_near_slot(s->pool[0]);
    if (at == ASSAY_HNSW_NONE || at == slot)
        return;
    uint32_t count = assay_hnsw_read_list(h, at, 0, links);
    if (count == width)
        count--;
    links[count++] = slot;
    assay_hnsw_write_list(h, at, 0, links, count);
}

assay_status assay_hnsw_connect(assay_hnsw *h, assay_error *error)
{
    uint32_t slots = atomic_load(&h->slots), entry = (uint32_t)atomic_load(&h->entry);
    if (entry == ASSAY_HNSW_NONE)
        return ASSAY_OK;
    reach r = {.h = h,
               .seen = calloc(slots / 64 + 1, sizeof *r.seen),
               .queue = malloc((size_t)slots * sizeof *r.queue),
               .scratch = assay_hnsw_scratch_new(h, h->options.ef_construction)};
    bool room = r.seen != NULL && r.queue != NULL && r.scratch != NULL;
    if (room) {
        flood(&r, entry);
        for (uint32_t slot = 0; slot < slots; slot++) {
            if (assay_hnsw_key(h, slot) == 0 || was_seen(&r, slot))
                continue;
            link_from_near(&r, slot);
            flood(&r, slot);
        }
    }
    free(r.seen);
    free(r.queue);
    assay_hnsw_scratch_free(r.scratch);
    return room ? ASSAY_OK : assay_fail_memory(error, (size_t)slots * 4);
}
