/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h: the two questions that walking over UTF-8 text asks at every step.
 * Both work on damaged UTF-8 too: a stray byte is a character of its own.
 */
#ifndef ASSAY_SCAN_H
#define ASSAY_SCAN_H

#include <utf8proc.h>

#include "base/status.h"

/* Bytes of the white-space character (Unicode's White_Space property) that
 * begins at data[0]; 0 when it is something else. */
static inline size_t assay_space_at(const char *data, size_t length)
{
    if (length == 0)
        return 0;
    unsigned char a = (unsigned char)data[0];
    if (a == ' ' || (a >= '\t' && a <= '\r'))
        return 1;
    if (a < 0xC2 || a > 0xE3 || length < 2)
        return 0;
    unsigned char b = (unsigned char)data[1];
    if (a == 0xC2)
        return b == 0x85 || b == 0xA0 ? 2 : 0;
    if (length < 3)
        return 0;
    unsigned char c = (unsigned char)data[2];
    if (a == 0xE1)
        return b == 0x9A && c == 0x80 ? 3 : 0;
    if (a == 0xE2 && b == 0x80)
        return (c >= 0x80 && c <= 0x8A) || c == 0xA8 || c == 0xA9 || c == 0xAF ? 3 : 0;
    if (a == 0xE2)
        return b == 0x81 && c == 0x9F ? 3 : 0;
    return a == 0xE3 && b == 0x80 && c == 0x80 ? 3 : 0;
}

/* The code point at data[0] and its length in bytes (length > 0). */
static inline int32_t assay_char_at(const char *data, size_t length, size_t *bytes)
{
    unsigned char first = (unsigned char)data[0];
    if (first < 0x80) {
        *bytes = 1;
        return first;
    }
    utf8proc_int32_t point;
    utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)data,
                                            length > 4 ? 4 : (utf8proc_ssize_t)length, &point);
    if (got <= 0) {
        *bytes = 1;
        return 0xFFFD;
    }
    *bytes = (size_t)got;
    return point;
}

/* Where the next character that is not white space begins; `length` if none. */
static inline size_t assay_skip_space(const char *data, size_t from, size_t length)
{
    while (from < length) {
        size_t space = assay_space_at(data + from, length - from);
        if (space == 0)
            break;
        from += space;
    }
    return from;
}

/* The end of data[0..end) without trailing white space, not below `from`. */
static inline size_t assay_trim_end(const char *data, size_t from, size_t end)
{
    while (end > from) {
        size_t last = end - 1;
        while (last > from && end - last < 3 && ((unsigned char)data[last] & 0xC0) == 0x80)
            last--;
        if (assay_space_at(data + last, end - last) != end - last)
            break;
        end = last;
    }
    return end;
}

#endif
