/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw_graph.h: the parts of an HNSW index, for hnsw*.c.
 *
 * A list of neighbours is an array of fixed width of slots, ended by NONE where it
 * is not full. Every slot has one on the ground, of 2m; slots of a higher level have
 * one of m for each, one after another, among the upper lists. Readers take links one
 * by one, atomically, and may meet a list half rewritten: every link leads to a slot
 * whose code was written before. A link from a damaged file may say anything, so each
 * is compared with the number of slots before it is followed.
 */
#ifndef ASSAY_HNSW_GRAPH_H
#define ASSAY_HNSW_GRAPH_H

#include <stdatomic.h>

#include "base/file.h"
#include "index/hnsw.h"

#define ASSAY_HNSW_NONE UINT32_MAX

enum {
    ASSAY_HNSW_MOST_LEVEL = 15,
    ASSAY_HNSW_SLOTS = 1 << 30, /* at most; the pool has a bit to spare in a slot */
};

typedef _Atomic uint32_t assay_link;

/* The sections of memory and of the file, in this order. */
typedef enum assay_hnsw_section {
    HNSW_KEYS,   /* uint64_t [capacity]; 0: free */
    HNSW_LEVELS, /* uint8_t [capacity] */
    HNSW_UPPER,  /* uint32_t [capacity]: the first upper list, of level 1 */
    HNSW_GROUND, /* assay_link [capacity][2m] */
    HNSW_HIGH,   /* assay_link [upper capacity][m] */
    HNSW_CODES,
    HNSW_SCALES, /* float: of i8 [capacity], of b1 the centre */
    HNSW_VECTORS, /* float [capacity][dimensions]; those of f32 codes are the codes */
    HNSW_SECTIONS,
} assay_hnsw_section;

struct assay_hnsw {
    assay_hnsw_options options;
    uint64_t collection, generation;
    uint32_t capacity, upper_capacity;
    _Atomic uint32_t slots;  /* used so far */
    uint32_t upper_lists;    /* used so far */
    uint32_t live;
    _Atomic uint64_t entry;  /* level << 32 | slot; the slot is NONE while it is empty */
    uint32_t *free_slots;    /* [free_count] to be used again */
    size_t free_count;

    void *sections[HNSW_SECTIONS];
    _Atomic uint64_t *keys;
    uint8_t *levels;
    uint32_t *upper;
    assay_link *ground, *high;
    assay_codes codes;   /* by which it is searched, */
    assay_codes builder; /* and built: the same, but bytes in place of bits, which
                            choose neighbours badly; they are not in the file */
    float *vectors;

    assay_mapping mapping; /* where it is of a file */
    bool mapped;
    uint64_t checksums[HNSW_SECTIONS];
    char path[512];
};

/* Bytes of a section for so many slots and upper lists. */
uint64_t assay_hnsw_section_bytes(const assay_hnsw *hnsw, assay_hnsw_section section,
                                  uint64_t slots, uint64_t upper_lists);
/* Sets the typed pointers by `sections`. */
void assay_hnsw_arrange(assay_hnsw *hnsw);
/* Allocates the sections for `capacity`. */
assay_status assay_hnsw_allocate(assay_hnsw *hnsw, uint32_t capacity, assay_error *error);
assay_status assay_hnsw_check_options(assay_hnsw_options *options, assay_error *error);

/* The links of a slot on a level and how many there may be; NULL where it has none. */
static inline assay_link *assay_hnsw_list(const assay_hnsw *hnsw, uint32_t slot, uint32_t level,
                                          uint32_t *width)
{
    *width = level == 0 ? 2 * hnsw->options.m : hnsw->options.m;
    if (level == 0)
        return hnsw->ground + (size_t)slot * *width;
    uint64_t list = (uint64_t)hnsw->upper[slot] + level - 1;
    if (level > hnsw->levels[slot] || list >= hnsw->upper_capacity)
        return NULL;
    return hnsw->high + list * *width;
}

static inline void assay_hnsw_set_key(assay_hnsw *hnsw, uint32_t slot, uint64_t key)
{
    atomic_store_explicit(hnsw->keys + slot, key, memory_order_relaxed);
}

static inline uint32_t assay_link_read(const assay_link *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

/* Copies a list; returns how many links it has. */
uint32_t assay_hnsw_read_list(const assay_hnsw *hnsw, uint32_t slot, uint32_t level,
                              uint32_t *out);
void assay_hnsw_write_list(assay_hnsw *hnsw, uint32_t slot, uint32_t level, const uint32_t *links,
                           uint32_t count);

/* ---- Walking (hnsw_search.c) */

typedef struct assay_near {
    float score;
    uint32_t slot; /* the top bit: its neighbours were looked at */
} assay_near;

#define ASSAY_NEAR_DONE 0x80000000u

struct assay_hnsw_scratch {
    uint32_t most;      /* of the pool */
    uint32_t limit;     /* of the pool, in this walk */
    uint32_t count, next;
    assay_near *pool;   /* [most + 1] best first */
    uint64_t *visited;  /* [capacity / 64 + 1] */
    size_t visited_words;
    uint32_t *slots;    /* [2 * ASSAY_HNSW_MOST_M] met and not visited before */
    float *scores;
    void *room, *other; /* of queries */
};

static inline uint32_t assay_near_slot(assay_near near)
{
    return near.slot & ~ASSAY_NEAR_DONE;
}

/* Leaves the `limit` best of a level in the scratch's pool, found from the entry; on each
 * level above it the neighbours of `wide` candidates are looked at. */
void assay_hnsw_walk(const assay_hnsw *hnsw, const assay_code_query *query, uint32_t level,
                     uint32_t limit, uint32_t wide, assay_hnsw_scratch *scratch);

/* How wide the way down ought to be in a graph of this size. */
uint32_t assay_hnsw_wide(const assay_hnsw *hnsw);

/* ---- Choosing neighbours (hnsw_insert.c) */

/* Adds to chosen[kept] those of candidates[count], best first and not among them, that are
 * nearer to the query than to any chosen; returns how many there are then, at most `most`. */
uint32_t assay_hnsw_choose(const assay_hnsw *hnsw, const assay_near *candidates, size_t count,
                           uint32_t most, assay_hnsw_scratch *scratch, uint32_t *chosen,
                           uint32_t kept);

/* Scores candidates' slots against a slot's code and sorts them, best first, each once
 * and the slot itself left out; returns how many there are. */
size_t assay_hnsw_rank(const assay_hnsw *hnsw, uint32_t slot, assay_near *candidates,
                       size_t count, assay_hnsw_scratch *scratch);

/* ---- Reaching all (hnsw_connect.c) */
assay_status assay_hnsw_connect(assay_hnsw *hnsw, assay_error *error);

#endif
