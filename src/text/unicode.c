/* SPDX-License-Identifier: Apache-2.0 */
/* unicode.c: see unicode.h. */
#include "text/unicode.h"

#include <string.h>

#include <utf8proc.h>

typedef struct range {
    uint32_t first, last;
} range;

typedef struct lower_range {
    uint32_t first, last;
    int32_t delta;
} lower_range;

#include "text/unicode_tables.inc"

/* As BERT defines "Chinese character" (google-research/bert, tokenization.py). */
static const range ideograph_ranges[] = {
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
    {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const struct {
    const range *ranges;
    size_t count;
    uint8_t bit;
} classes[] = {
    {space_ranges, COUNT(space_ranges), ASSAY_CHAR_SPACE},
    {punctuation_ranges, COUNT(punctuation_ranges), ASSAY_CHAR_PUNCTUATION},
    {other_ranges, COUNT(other_ranges), ASSAY_CHAR_OTHER},
    {ideograph_ranges, COUNT(ideograph_ranges), ASSAY_CHAR_IDEOGRAPH},
    {mark_ranges, COUNT(mark_ranges), ASSAY_CHAR_MARK},
    {normalizes_ranges, COUNT(normalizes_ranges), ASSAY_CHAR_NORMALIZES},
};

void assay_char_table_fill(assay_char_table *table)
{
    memset(table->classes, 0, sizeof table->classes);
    for (size_t k = 0; k < COUNT(classes); k++)
        for (size_t i = 0; i < classes[k].count; i++) {
            const range *r = &classes[k].ranges[i];
            for (uint32_t c = r->first; c <= r->last && c < ASSAY_CLASS_POINTS; c++)
                table->classes[c] |= classes[k].bit;
        }
}

static bool in_ranges(const range *ranges, size_t count, uint32_t point)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (point > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && point >= ranges[low].first;
}

uint8_t assay_char_class_high(uint32_t point)
{
    uint8_t bits = 0;
    for (size_t k = 0; k < COUNT(classes); k++)
        if (in_ranges(classes[k].ranges, classes[k].count, point))
            bits |= classes[k].bit;
    return bits;
}

/* What a lead byte asks for: how many bytes follow, and the range of the first
 * of them, which keeps out overlong forms, surrogates and points past U+10FFFF. */
static size_t sequence_of(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0)
            *low = 0xA0;
        if (lead == 0xED)
            *high = 0x9F;
        return 2;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0)
            *low = 0x90;
        if (lead == 0xF4)
            *high = 0x8F;
        return 3;
    }
    return 0;
}

/* As assay_utf8_next; *valid tells a true U+FFFD from an invalid sequence. */
static uint32_t decode(const uint8_t *text, size_t length, size_t *at, bool *valid)
{
    uint8_t lead = text[(*at)++];
    *valid = true;
    if (lead < 0x80)
        return lead;
    uint8_t low, high;
    size_t follow = sequence_of(lead, &low, &high);
    uint32_t point = lead & (0x3Fu >> follow);
    for (size_t i = 0; i < follow; i++) {
        if (*at == length || text[*at] < low || text[*at] > high) {
            *valid = false;
            return ASSAY_REPLACEMENT;
        }
        point = point << 6 | (text[(*at)++] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *valid = follow > 0;
    return follow > 0 ? point : ASSAY_REPLACEMENT;
}

uint32_t assay_utf8_next(const uint8_t *text, size_t length, size_t *at)
{
    bool valid;
    return decode(text, length, at, &valid);
}

uint32_t assay_utf8_previous(const uint8_t *text, size_t *at)
{
    size_t end = *at;
    for (size_t back = 1; back <= 4 && back <= end; back++) {
        size_t next = end - back;
        if ((text[next] & 0xC0) == 0x80)
            continue;
        bool valid;
        uint32_t point = decode(text, end, &next, &valid);
        if (!valid || next != end)
            break;
        *at = end - back;
        return point;
    }
    *at = end - 1;
    return ASSAY_REPLACEMENT;
}

size_t assay_utf8_put(uint32_t point, uint8_t out[4])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xC0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xE0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (point & 0x3F));
    return 4;
}

size_t assay_utf8_check(const uint8_t *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t begin = at;
        bool valid;
        decode(text, length, &at, &valid);
        if (!valid)
            return begin;
    }
    return length;
}

size_t assay_char_decompose(uint32_t point, uint32_t out[4])
{
    utf8proc_int32_t parts[8];
    int boundary = UTF8PROC_BOUNDCLASS_START;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)point, parts, 8,
                                                     UTF8PROC_DECOMPOSE, &boundary);
    if (count < 1 || count > 4) {
        out[0] = point;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < count; i++)
        out[i] = (uint32_t)parts[i];
    return (size_t)count;
}

uint8_t assay_char_combining(uint32_t point)
{
    return (uint8_t)utf8proc_get_property((utf8proc_int32_t)point)->combining_class;
}

size_t assay_char_lower(uint32_t point, uint32_t out[2])
{
    if (point == 0x130) { /* the one letter with a lower case of two: i and a dot */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)point);
    for (size_t i = 0; i < COUNT(lower_ranges) && lower == point; i++)
        if (point >= lower_ranges[i].first && point <= lower_ranges[i].last)
            lower = (uint32_t)((int32_t)point + lower_ranges[i].delta);
    out[0] = lower;
    return 1;
}

/* The part of Other_Alphabetic that is neither a letter, a mark nor a number:
 * circled and squared Latin letters. */
static const range alphabetic_symbols[] = {
    {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189},
};

bool assay_char_is_word(uint32_t point)
{
    if (point == 0x200C || point == 0x200D) /* Join_Control */
        return true;
    switch (utf8proc_category((utf8proc_int32_t)point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return in_ranges(alphabetic_symbols, COUNT(alphabetic_symbols), point) ||
               in_ranges(word_ranges, COUNT(word_ranges), point);
    }
}
