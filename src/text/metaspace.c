/* SPDX-License-Identifier: Apache-2.0 */
/* metaspace.c: see metaspace.h. */
#include "text/metaspace.h"

#include <string.h>

static const char mark[] = "\xE2\x96\x81"; /* U+2581 */
#define MARK_BYTES 3

/* Makes every mark in [from, to) a space, which is shorter; returns the new end. */
static size_t marks_to_spaces(assay_normal *normal, size_t from, size_t to)
{
    const uint8_t *found = normal->straight
                               ? NULL
                               : memmem(normal->bytes + from, to - from, mark, MARK_BYTES);
    if (found == NULL)
        return to;
    size_t out = (size_t)(found - normal->bytes);
    for (size_t at = out; at < to; out++) {
        bool is_mark = to - at >= MARK_BYTES &&
                       memcmp(normal->bytes + at, mark, MARK_BYTES) == 0;
        normal->bytes[out] = is_mark ? ' ' : normal->bytes[at];
        normal->begins[out] = normal->begins[at];
        normal->ends[out] = normal->ends[at];
        at += is_mark ? MARK_BYTES : 1;
    }
    return out;
}

/* The next text between white space. */
static bool next_word(const assay_char_table *classes, const assay_normal *normal,
                      assay_metaspace_walk *walk)
{
    bool inside = false;
    while (walk->next < walk->to) {
        size_t begin = walk->next;
        uint32_t point = normal->bytes[begin] < 0x80
                             ? normal->bytes[walk->next++]
                             : assay_utf8_next(normal->bytes, walk->to, &walk->next);
        bool space = (assay_char_class(classes, point) & ASSAY_CHAR_SPACE) != 0;
        if (space && inside) {
            walk->end = begin;
            return true;
        }
        if (!space && !inside)
            walk->at = begin;
        inside = !space;
    }
    walk->end = walk->to;
    if (!inside)
        walk->at = walk->to;
    return inside;
}

static bool next_text(const assay_metaspace *how, const assay_char_table *classes,
                      const assay_normal *normal, assay_metaspace_walk *walk)
{
    if (how->words)
        return next_word(classes, normal, walk);
    walk->at = walk->next;
    walk->next = walk->end = walk->to;
    return walk->at < walk->end;
}

static bool needs_mark(const assay_metaspace *how, const assay_normal *normal, size_t from)
{
    return how->prepend != ASSAY_PREPEND_NEVER && normal->bytes[from] != ' ' &&
           (how->prepend == ASSAY_PREPEND_ALWAYS || assay_normal_begin(normal, from) == 0);
}

bool assay_metaspace_next(const assay_metaspace *how, const assay_char_table *classes,
                          assay_normal *normal, assay_metaspace_walk *walk,
                          assay_metaspace_piece *piece)
{
    if (walk->at == walk->end) {
        if (!next_text(how, classes, normal, walk))
            return false;
        walk->end = marks_to_spaces(normal, walk->at, walk->end);
        walk->marked = needs_mark(how, normal, walk->at);
    }
    *piece = (assay_metaspace_piece){walk->at, walk->end, walk->marked};
    const uint8_t *space = how->split ? memchr(normal->bytes + walk->at + 1, ' ',
                                               walk->end - walk->at - 1)
                                      : NULL;
    if (space != NULL)
        piece->to = (size_t)(space - normal->bytes);
    walk->at = piece->to;
    walk->marked = false;
    return true;
}
