/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charsmap.h: the table by which a SentencePiece model normalises characters
 * ("precompiled_charsmap"), as tokenizer.json holds it.
 *
 * Base64 of: the length of a trie in bytes (32 bits, little endian); the trie, a
 * double array of Darts-clone (Yata), units of 32 bits; strings, each ended by a
 * NUL. A key's value is the offset of the string that replaces it.
 *
 * Of a unit, bits 0-7 and 31 are the label, 8 tells that a value follows, 10-30
 * are the offset to the children (in units of 256 when bit 9 is set); a value's
 * unit has bit 31 set. Children of the node at offset n are at n ^ label, its
 * value is at n. Subtrees are shared, cycles are not allowed.
 */
#ifndef ASSAY_CHARSMAP_H
#define ASSAY_CHARSMAP_H

#include "base/buffer.h"

typedef struct assay_charsmap {
    assay_buffer blob; /* of the file, decoded */
    const uint32_t *units;
    size_t unit_count;
    const char *strings;
    bool ascii[128]; /* which single ASCII characters are replaced */
} assay_charsmap;

/* A zeroed struct is an empty map, in which nothing is ever found. */
void assay_charsmap_free(assay_charsmap *map);

/* Everything that a lookup can reach is checked here. `where` is file and field. */
assay_status assay_charsmap_read(assay_charsmap *map, const char *base64, size_t length,
                                 const char *where, assay_error *error);

/* What replaces bytes[length]: the string of the shortest key that they begin
 * with; NULL when there is none. */
const char *assay_charsmap_find(const assay_charsmap *map, const uint8_t *bytes, size_t length);

#endif
