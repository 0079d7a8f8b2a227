/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c: see writer.h. JSON is RFC 8259's, base 64 RFC 4648's. */
#include "server/writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void assay_writer_free(assay_writer *writer)
{
    free(writer->data);
    *writer = (assay_writer){0};
}

/* Room for `more` bytes at the end; NULL when memory is short. */
static char *room(assay_writer *w, size_t more)
{
    if (w->failed)
        return NULL;
    if (w->capacity - w->length < more) {
        size_t capacity = w->capacity + w->capacity / 2 + more + 512;
        char *data = realloc(w->data, capacity);
        if (data == NULL) {
            w->failed = true;
            return NULL;
        }
        w->data = data;
        w->capacity = capacity;
    }
    return w->data + w->length;
}

void assay_write_bytes(assay_writer *w, const void *data, size_t length)
{
    char *at = room(w, length);
    if (at != NULL && length > 0)
        memcpy(at, data, length);
    if (at != NULL)
        w->length += length;
}

void assay_write(assay_writer *w, const char *string)
{
    assay_write_bytes(w, string, strlen(string));
}

void assay_write_format(assay_writer *w, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0)
        assay_write_bytes(w, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

/* ------------------------------------------------------------------- JSON */

static void separate(assay_writer *w)
{
    if (w->length > 0 && strchr("{[:,\n", w->data[w->length - 1]) == NULL)
        assay_write_bytes(w, ",", 1);
}

void assay_write_mark(assay_writer *w, char mark)
{
    if (mark == '{' || mark == '[')
        separate(w);
    assay_write_bytes(w, &mark, 1);
}

/* Bytes of the UTF-8 sequence at text[length > 0]; 0 when it is broken (Unicode 15,
 * table 3-7), and then *skip says how many bytes go together. */
static size_t sequence_at(const unsigned char *text, size_t length, size_t *skip)
{
    unsigned char c = text[0];
    *skip = 1;
    size_t need = c < 0x80 ? 0 : c >= 0xC2 && c <= 0xDF ? 1 : c >= 0xE0 && c <= 0xEF ? 2
                  : c >= 0xF0 && c <= 0xF4 ? 3 : SIZE_MAX;
    if (need == SIZE_MAX)
        return 0;
    unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i <= need; i++, low = 0x80, high = 0xBF) {
        if (i == length || text[i] < low || text[i] > high)
            return 0;
        *skip = i + 1;
    }
    return need + 1;
}

static void escape(assay_writer *w, unsigned char c)
{
    static const char shorts[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if ((unsigned char)shorts[i + 1] == c) {
            char pair[2] = {'\\', shorts[i]};
            assay_write_bytes(w, pair, 2);
            return;
        }
    }
    assay_write_format(w, "\\u%04x", c);
}

void assay_write_text(assay_writer *w, assay_text text)
{
    const unsigned char *data = (const unsigned char *)text.data;
    separate(w);
    assay_write_bytes(w, "\"", 1);
    size_t plain = 0; /* where the bytes that need nothing begin */
    for (size_t i = 0; i < text.length;) {
        size_t skip, size = sequence_at(data + i, text.length - i, &skip);
        if (size > 0 && data[i] >= 0x20 && data[i] != '"' && data[i] != '\\' && data[i] != 0x7F) {
            i += size;
            continue;
        }
        assay_write_bytes(w, data + plain, i - plain);
        if (size == 0)
            assay_write_bytes(w, "\xEF\xBF\xBD", 3);
        else
            escape(w, data[i]);
        i += skip;
        plain = i;
    }
    if (text.length > plain)
        assay_write_bytes(w, data + plain, text.length - plain);
    assay_write_bytes(w, "\"", 1);
}

void assay_write_string(assay_writer *w, const char *string)
{
    if (string == NULL)
        assay_write_null(w);
    else
        assay_write_text(w, (assay_text){string, strlen(string)});
}

void assay_write_name(assay_writer *w, const char *name)
{
    assay_write_string(w, name);
    assay_write_bytes(w, ":", 1);
}

static void number(assay_writer *w, double value, int digits)
{
    char text[32];
    separate(w);
    if (!isfinite(value)) {
        assay_write(w, "null");
        return;
    }
    int length = snprintf(text, sizeof text, "%.*g", digits, value);
    assay_write_bytes(w, text, (size_t)length);
    if (strcspn(text, ".e") == (size_t)length) /* stays a real number for readers that tell */
        assay_write(w, ".0");
}

void assay_write_float(assay_writer *w, float value)
{
    number(w, (double)value, 9);
}

void assay_write_double(assay_writer *w, double value)
{
    number(w, value, 12);
}

void assay_write_count(assay_writer *w, uint64_t value)
{
    separate(w);
    assay_write_format(w, "%llu", (unsigned long long)value);
}

void assay_write_bool(assay_writer *w, bool value)
{
    separate(w);
    assay_write(w, value ? "true" : "false");
}

void assay_write_null(assay_writer *w)
{
    separate(w);
    assay_write(w, "null");
}

void assay_write_base64(assay_writer *w, const float *values, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bytes = count * sizeof *values;
    const unsigned char *data = (const unsigned char *)values; /* all of assay's are little-endian */
    separate(w);
    char *at = room(w, bytes / 3 * 4 + 8);
    if (at == NULL)
        return;
    char *begin = at;
    *at++ = '"';
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[bits & 63] : '=';
    }
    *at++ = '"';
    w->length += (size_t)(at - begin);
}
