/* SPDX-License-Identifier: Apache-2.0 */
/*
 * piece_trie.h: strings with ids, and all of them that begin a text.
 *
 * A double array (Aoe 1989): the child of node n by byte c is the unit
 * units[n].base ^ c, if that unit's parent is n. A node's children lie in one
 * block of 256 units. Built at once from a list, then immutable and shared.
 */
#ifndef ASSAY_PIECE_TRIE_H
#define ASSAY_PIECE_TRIE_H

#include "base/status.h"

#define ASSAY_PIECE_NONE UINT32_MAX

typedef struct assay_piece_unit {
    uint32_t base;
    uint32_t parent; /* ASSAY_PIECE_NONE: the unit is free, or the root */
    int32_t id;      /* of the piece that ends here; -1: none does */
} assay_piece_unit;

typedef struct assay_piece_trie {
    assay_piece_unit *units; /* the root is the first */
    size_t count; /* a multiple of 256 */
} assay_piece_trie;

typedef struct assay_piece {
    const uint8_t *bytes;
    uint32_t length; /* a piece of length 0 is left out */
    int32_t id;
} assay_piece;

/* A zeroed struct is a trie that cannot be asked. */
void assay_piece_trie_free(assay_piece_trie *trie);

/* Of equal pieces that of the highest id counts. No byte of a piece may be 0. */
assay_status assay_piece_trie_build(assay_piece_trie *trie, const assay_piece *pieces,
                                    size_t count, assay_error *error);

/* The node below `node` by a byte; ASSAY_PIECE_NONE when there is none. */
static inline uint32_t assay_piece_trie_step(const assay_piece_trie *trie, uint32_t node,
                                             uint8_t byte)
{
    uint32_t next = trie->units[node].base ^ byte;
    return trie->units[next].parent == node ? next : ASSAY_PIECE_NONE;
}

/* The id of exactly this piece; -1 when there is none. */
int32_t assay_piece_trie_find(const assay_piece_trie *trie, const void *bytes, size_t length);

#endif
