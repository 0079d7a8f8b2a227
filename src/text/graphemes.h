/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphemes.h: where one grapheme cluster ends and the next begins (Unicode
 * Standard Annex 29, extended clusters, of the version that the Hugging Face
 * tokenizers library has: see tools/grapheme_tables.py).
 */
#ifndef ASSAY_GRAPHEMES_H
#define ASSAY_GRAPHEMES_H

#include "base/status.h"

/* Classes by code point, planes 0 and 1. 128 KiB; made once, then read only. */
typedef struct assay_grapheme_table {
    uint8_t classes[0x20000];
} assay_grapheme_table;

void assay_grapheme_table_fill(assay_grapheme_table *table);

/* A cluster as far as it was read; zeroed: nothing was. */
typedef struct assay_grapheme {
    uint8_t last;     /* class of its last code point */
    uint8_t emoji;    /* 1: pictograph with its extensions, 2: and a joiner */
    uint8_t conjunct; /* 1: consonant with its extensions, 2: and a linker */
    bool flag_half;   /* an odd number of regional indicators */
    bool any;
} assay_grapheme;

/* Whether the cluster goes on with this code point, which it then takes; it
 * always does while there is nothing in it. */
bool assay_grapheme_take(assay_grapheme *cluster, const assay_grapheme_table *table,
                         uint32_t point);

#endif
