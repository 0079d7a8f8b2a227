/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unicode.h: UTF-8 and what a tokenizer asks of a code point.
 *
 * The answers are those of the Hugging Face tokenizers library, whose tables
 * are of several versions of Unicode (see tools/unicode_tables.py); values that
 * never change between versions (decompositions, combining classes, lower case)
 * come from utf8proc. Everything here is a pure function of its arguments.
 */
#ifndef ASSAY_UNICODE_H
#define ASSAY_UNICODE_H

#include "base/status.h"

#define ASSAY_REPLACEMENT 0xFFFDu /* what an invalid sequence reads as */

enum {
    ASSAY_CHAR_SPACE = 1,       /* White_Space */
    ASSAY_CHAR_PUNCTUATION = 2, /* category P*, and ASCII symbols */
    ASSAY_CHAR_OTHER = 4,       /* control, format, private use; NUL and U+FFFD */
    ASSAY_CHAR_IDEOGRAPH = 8,   /* the CJK blocks of BERT's multilingual.md */
    ASSAY_CHAR_MARK = 16,       /* category Mn: what stripping accents strips */
    ASSAY_CHAR_NORMALIZES = 32, /* NFD decomposes it, or it has a combining class */
};

#define ASSAY_CLASS_POINTS 0x20000u /* planes 0 and 1 are tabled, others computed */

/* Classes by code point. 128 KiB; made once (some 50 us), then read only. */
typedef struct assay_char_table {
    uint8_t classes[ASSAY_CLASS_POINTS];
} assay_char_table;

void assay_char_table_fill(assay_char_table *table);
uint8_t assay_char_class_high(uint32_t point); /* of points past the table */

static inline uint8_t assay_char_class(const assay_char_table *table, uint32_t point)
{
    return point < ASSAY_CLASS_POINTS ? table->classes[point] : assay_char_class_high(point);
}

/* The code point at text[*at] (*at < length), and *at moved past it. An invalid
 * sequence, as long as it could have become a character (Unicode 15, table 3-8:
 * as Python's errors="replace" and the WHATWG decoder do), is ASSAY_REPLACEMENT. */
uint32_t assay_utf8_next(const uint8_t *text, size_t length, size_t *at);

/* The code point that ends at text[*at] (*at > 0), and *at moved before it. */
uint32_t assay_utf8_previous(const uint8_t *text, size_t *at);

/* Writes 1 to 4 bytes; returns how many. */
size_t assay_utf8_put(uint32_t point, uint8_t out[4]);

/* Offset of the first byte that is not valid UTF-8; length when there is none. */
size_t assay_utf8_check(const uint8_t *text, size_t length);

/* Full canonical decomposition, in the order of the tables; returns how many
 * points (1 to 4). Only of points with ASSAY_CHAR_NORMALIZES. */
size_t assay_char_decompose(uint32_t point, uint32_t out[4]);

/* Canonical combining class; only of points with ASSAY_CHAR_NORMALIZES. */
uint8_t assay_char_combining(uint32_t point);

/* Lower case without context, as Rust's char::to_lowercase; 1 or 2 points. */
size_t assay_char_lower(uint32_t point, uint32_t out[2]);

/* Whether \w of a Unicode regular expression matches (UTS 18, annex C). */
bool assay_char_is_word(uint32_t point);

#endif
