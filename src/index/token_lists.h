/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_lists.h: which passages have a token near a centre: what late interaction finds
 * candidates by, as PLAID does (Santhanam et al. 2022).
 *
 * A passage is known by the centres of its tokens, and a centre by the passages that have
 * a token there. A search takes, of each of the question's vectors, the centres with the
 * largest products; what has a token at one of them is scored by its centres alone, and
 * the best are left to whoever has their codes. Departures: no centre is passed over for
 * being unlikely, since scoring by centres is a look-up and a maximum a token; and codes
 * stay in the store.
 *
 * An index does not change; with passages gone and come it is another one. The format of
 * its file stands at the top of token_lists.c.
 */
#ifndef ASSAY_TOKEN_LISTS_H
#define ASSAY_TOKEN_LISTS_H

#include "base/bits.h"
#include "index/candidates.h"
#include "index/token_codes.h"

typedef struct assay_token_lists assay_token_lists;

/* What it was made from. */
typedef struct assay_token_stamp {
    uint64_t collection, generation;
    uint32_t book;    /* tells it from others */
    uint32_t centres; /* of it */
} assay_token_stamp;

/* ---- Making one: passages in ascending order of their keys, then the end. */

assay_status assay_token_lists_new(const assay_token_stamp *stamp, assay_token_lists **out,
                                   assay_error *error);
/* centres[count] need no alignment. A centre that there is none of is ARGUMENT. */
assay_status assay_token_lists_add(assay_token_lists *lists, uint64_t passage,
                                   const void *centres, size_t count, assay_error *error);
assay_status assay_token_lists_finish(assay_token_lists *lists, assay_error *error);

void assay_token_lists_free(assay_token_lists *lists);

/* ---- What is in it. */

assay_token_stamp assay_token_lists_stamp(const assay_token_lists *lists);
uint32_t assay_token_lists_count(const assay_token_lists *lists); /* passages */
uint64_t assay_token_lists_key(const assay_token_lists *lists, uint32_t passage);
const uint16_t *assay_token_lists_centres(const assay_token_lists *lists, uint32_t passage,
                                          size_t *count);

/* ---- Searching. */

typedef struct assay_token_probing {
    uint32_t nprobe;           /* centres of each of the question's vectors; 0: by default */
    const assay_bits *allowed; /* keys that may be found; NULL: all */
} assay_token_probing;

/* The best by their centres, into `best`, which the caller made and sorts. Scores are
 * assay_token_maxsim's but for what centres do not tell. */
assay_status assay_token_lists_search(const assay_token_lists *lists,
                                      const assay_token_query *query,
                                      const assay_token_probing *find, assay_best *best,
                                      assay_error *error);

/* ---- The file. */

/* Writes it aside and renames it. */
assay_status assay_token_lists_save(const assay_token_lists *lists, const char *path,
                                    assay_error *error);
/* Maps a file and checks all of it. NOT_FOUND, CORRUPT, VERSION. */
assay_status assay_token_lists_open(const char *path, assay_token_lists **out,
                                    assay_error *error);

#endif
