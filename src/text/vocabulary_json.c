/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary_json.c: see vocabulary_json.h. */
#include "text/vocabulary_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

#define FIELD "model.vocab"

/* ------------------------------------------------------------- finding it */

typedef struct cursor {
    const char *text;
    size_t at, end;
} cursor;

static void skip_space(cursor *c)
{
    static const char spaces[8] = "        ";
    /* Most of a file that is indented. */
    while (c->end - c->at >= sizeof spaces && memcmp(c->text + c->at, spaces, sizeof spaces) == 0)
        c->at += sizeof spaces;
    while (c->at < c->end && (c->text[c->at] == ' ' || c->text[c->at] == '\n' ||
                              c->text[c->at] == '\t' || c->text[c->at] == '\r'))
        c->at++;
}

/* Takes the character if it is next, after white space. */
static bool take(cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || c->text[c->at] != wanted)
        return false;
    c->at++;
    return true;
}

/* Past the closing quote; at the text's end when there is none. */
static void skip_string(cursor *c)
{
    while (c->at < c->end && c->text[c->at] != '"')
        c->at += c->text[c->at] == '\\' && c->at + 1 < c->end ? 2 : 1;
    if (c->at < c->end)
        c->at++;
}

static void skip_value(cursor *c)
{
    size_t depth = 0;
    skip_space(c);
    while (c->at < c->end) {
        char next = c->text[c->at];
        if (depth == 0 && (next == ',' || next == '}' || next == ']'))
            return;
        c->at++;
        if (next == '"')
            skip_string(c);
        else if (next == '{' || next == '[')
            depth++;
        else if ((next == '}' || next == ']') && --depth == 0)
            return;
    }
}

/* Inside an object: moves to the value of `key`. */
static bool enter(cursor *c, const char *key)
{
    if (!take(c, '{'))
        return false;
    while (take(c, '"')) {
        size_t begin = c->at;
        skip_string(c);
        bool found = c->at - begin == strlen(key) + 1 &&
                     memcmp(c->text + begin, key, strlen(key)) == 0;
        if (!take(c, ':'))
            return false;
        skip_space(c);
        if (found)
            return true;
        skip_value(c);
        if (!take(c, ','))
            return false;
    }
    return false;
}

assay_json_span assay_vocabulary_json_find(const char *text, size_t length)
{
    cursor c = {.text = text, .end = length};
    if (!enter(&c, "model") || !enter(&c, "vocab"))
        return (assay_json_span){0};
    return (assay_json_span){.begin = c.at, .end = length};
}

/* ------------------------------------------------------------- reading it */

typedef struct entry {
    size_t offset, length; /* into the buffer of decoded strings */
    uint64_t id;
} entry;

typedef struct reader {
    cursor c;
    const char *where;
    assay_error *error;
    assay_buffer strings;
    entry *entries;
    size_t count, capacity;
} reader;

static assay_status fail(reader *r, const char *expected)
{
    size_t line = 1;
    for (size_t i = 0; i < r->c.at; i++)
        line += r->c.text[i] == '\n';
    assay_fail(r->error, ASSAY_E_FORMAT, FIELD, "line %zu, byte %zu of the file: expected %s",
               line, r->c.at, expected);
    assay_error_prefix(r->error, r->where);
    return ASSAY_E_FORMAT;
}

static bool hex4(reader *r, uint32_t *value)
{
    if (r->c.end - r->c.at < 4)
        return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char digit = r->c.text[r->c.at++];
        int v = digit >= '0' && digit <= '9'   ? digit - '0'
                : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                               : -1;
        if (v < 0)
            return false;
        *value = *value << 4 | (uint32_t)v;
    }
    return true;
}

/* \uXXXX, or a pair of them; the cursor is after the first "\u". */
static assay_status read_code(reader *r)
{
    uint32_t point, second = 0;
    if (!hex4(r, &point) || point == 0)
        return fail(r, "four hexadecimal digits, not all 0, after \\u");
    if (point >= 0xD800 && point < 0xE000) {
        bool pair = point < 0xDC00 && r->c.end - r->c.at >= 6 &&
                    memcmp(r->c.text + r->c.at, "\\u", 2) == 0;
        if (pair) {
            r->c.at += 2;
            pair = hex4(r, &second) && second >= 0xDC00 && second < 0xE000;
        }
        if (!pair)
            return fail(r, "a pair of UTF-16 surrogates");
        point = 0x10000 + ((point - 0xD800) << 10) + (second - 0xDC00);
    }
    uint8_t bytes[4];
    assay_buffer_append(&r->strings, bytes, assay_utf8_put(point, bytes));
    return ASSAY_OK;
}

static assay_status read_escape(reader *r)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char name = r->c.at < r->c.end ? r->c.text[r->c.at++] : '\0';
    if (name == 'u')
        return read_code(r);
    const char *found = name != '\0' ? strchr(names, name) : NULL;
    if (found == NULL)
        return fail(r, "one of \"\\/bfnrtu after a backslash");
    assay_buffer_byte(&r->strings, values[found - names]);
    return ASSAY_OK;
}

/* Appends a string to r->strings; the cursor is after the opening quote. */
static assay_status read_string(reader *r)
{
    const char *text = r->c.text;
    for (;;) {
        size_t begin = r->c.at;
        while (r->c.at < r->c.end && text[r->c.at] != '"' && text[r->c.at] != '\\' &&
               (unsigned char)text[r->c.at] >= 0x20)
            r->c.at++;
        size_t run = r->c.at - begin;
        size_t valid = assay_utf8_check((const uint8_t *)text + begin, run);
        if (valid < run) {
            r->c.at = begin + valid;
            return fail(r, "valid UTF-8");
        }
        assay_buffer_append(&r->strings, text + begin, run);
        if (r->c.at == r->c.end || (unsigned char)text[r->c.at] < 0x20)
            return fail(r, "the end of a string");
        if (text[r->c.at++] == '"')
            return ASSAY_OK;
        ASSAY_TRY(read_escape(r));
    }
}

static assay_status read_id(reader *r, uint64_t *id)
{
    skip_space(&r->c);
    size_t begin = r->c.at;
    *id = 0;
    while (r->c.at < r->c.end && r->c.text[r->c.at] >= '0' && r->c.text[r->c.at] <= '9' &&
           *id < ASSAY_VOCABULARY_MAX)
        *id = *id * 10 + (uint64_t)(r->c.text[r->c.at++] - '0');
    char next = r->c.at < r->c.end ? r->c.text[r->c.at] : '\0';
    if (r->c.at == begin || (next != ',' && next != '}' && next != ' ' && next != '\n' &&
                             next != '\r' && next != '\t'))
        return fail(r, "a whole number from 0 to 8388607 as token id");
    return ASSAY_OK;
}

static assay_status read_entry(reader *r)
{
    if (r->count == ASSAY_VOCABULARY_MAX)
        return fail(r, "at most 8388608 tokens");
    if (r->count == r->capacity) {
        size_t capacity = r->capacity > 0 ? 2 * r->capacity : 4096;
        entry *entries = realloc(r->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return assay_fail_memory(r->error, capacity * sizeof *entries);
        r->entries = entries;
        r->capacity = capacity;
    }
    entry *e = &r->entries[r->count];
    if (!take(&r->c, '"'))
        return fail(r, "a token in quotes");
    e->offset = r->strings.length;
    ASSAY_TRY(read_string(r));
    e->length = r->strings.length - e->offset;
    if (!take(&r->c, ':'))
        return fail(r, "':' after a token");
    ASSAY_TRY(read_id(r, &e->id));
    r->count++;
    return ASSAY_OK;
}

static assay_status read_entries(reader *r)
{
    if (!take(&r->c, '{'))
        return fail(r, "an object of tokens and ids");
    if (take(&r->c, '}'))
        return ASSAY_OK;
    do
        ASSAY_TRY(read_entry(r));
    while (take(&r->c, ','));
    if (!take(&r->c, '}'))
        return fail(r, "',' or '}'");
    return assay_buffer_status(&r->strings, r->where, r->error);
}

static assay_status fail_id(reader *r, const entry *e, const char *problem)
{
    assay_fail(r->error, ASSAY_E_FORMAT, FIELD,
               "token \"%.*s\": id %llu %s; the ids of %zu tokens are 0 to %zu, each once",
               (int)(e->length < 60 ? e->length : 60), r->strings.data + e->offset,
               (unsigned long long)e->id, problem, r->count, r->count - 1);
    assay_error_prefix(r->error, r->where);
    return ASSAY_E_FORMAT;
}

/* Adds the entries to the vocabulary in the order of their ids. */
static assay_status order_entries(reader *r, const entry **order, assay_vocabulary *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const entry *e = &r->entries[i];
        if (e->id >= r->count)
            return fail_id(r, e, "is too large");
        if (order[e->id] != NULL)
            return fail_id(r, e, "is taken");
        order[e->id] = e;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (order[i]->length == 0)
            ASSAY_TRY(assay_vocabulary_add(out, "", 0, r->where, r->error));
        else
            ASSAY_TRY(assay_vocabulary_add(out, r->strings.data + order[i]->offset,
                                           order[i]->length, r->where, r->error));
    }
    return ASSAY_OK;
}

assay_status assay_vocabulary_json_read(const char *text, assay_json_span *span,
                                        const char *where, assay_vocabulary *out,
                                        assay_error *error)
{
    reader r = {.c = {.text = text, .at = span->begin, .end = span->end},
                .where = where, .error = error};
    assay_buffer_init(&r.strings, 0);
    assay_status status = read_entries(&r);
    span->end = r.c.at;
    const entry **order = NULL;
    if (status == ASSAY_OK) {
        order = calloc(r.count + 1, sizeof *order);
        status = order != NULL ? order_entries(&r, order, out)
                               : assay_fail_memory(error, r.count * sizeof *order);
    }
    free(order);
    free(r.entries);
    assay_buffer_free(&r.strings);
    return status;
}

/* -------------------------------------------------------- pieces and scores */

/* A number as far as it was read: digits x 10^exponent. */
typedef struct decimal {
    bool negative;
    uint64_t digits;
    int64_t exponent;
} decimal;

static bool is_digit(const reader *r)
{
    return r->c.at < r->c.end && r->c.text[r->c.at] >= '0' && r->c.text[r->c.at] <= '9';
}

/* Digits that 64 bits have no room for count as zeros; after the point, so do
 * all that follow. */
static bool read_digits(reader *r, decimal *d, bool fraction)
{
    const char *begin = r->c.text + r->c.at, *end = r->c.text + r->c.end, *at = begin;
    uint64_t digits = d->digits;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (digits >= UINT64_MAX / 10 && (digits > UINT64_MAX / 10 || digit > UINT64_MAX % 10))
            break;
        digits = digits * 10 + digit;
    }
    d->digits = digits;
    if (fraction)
        d->exponent -= at - begin;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        d->exponent += !fraction;
    r->c.at = (size_t)(at - r->c.text);
    return at > begin;
}

static bool read_exponent(reader *r, decimal *d)
{
    bool negative = false, any = false;
    int64_t exponent = 0;
    if (r->c.at < r->c.end && (r->c.text[r->c.at] == '+' || r->c.text[r->c.at] == '-'))
        negative = r->c.text[r->c.at++] == '-';
    for (; is_digit(r); r->c.at++, any = true)
        if (exponent < 1000000000)
            exponent = exponent * 10 + (r->c.text[r->c.at] - '0');
    d->exponent += negative ? -exponent : exponent;
    return any;
}

static bool read_decimal(reader *r, decimal *d)
{
    skip_space(&r->c);
    if (r->c.at < r->c.end && r->c.text[r->c.at] == '-') {
        d->negative = true;
        r->c.at++;
    }
    bool zero = r->c.at < r->c.end && r->c.text[r->c.at] == '0';
    size_t begin = r->c.at;
    if (!read_digits(r, d, false) || (zero && r->c.at > begin + 1))
        return false;
    if (r->c.at < r->c.end && r->c.text[r->c.at] == '.') {
        r->c.at++;
        if (!read_digits(r, d, true))
            return false;
    }
    if (r->c.at < r->c.end && (r->c.text[r->c.at] == 'e' || r->c.text[r->c.at] == 'E')) {
        r->c.at++;
        return read_exponent(r, d);
    }
    return true;
}

static double power_of_ten(int64_t exponent)
{
    static const double small[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char text[16];
    if (exponent < (int64_t)(sizeof small / sizeof *small))
        return small[exponent];
    snprintf(text, sizeof text, "1e%d", (int)exponent);
    return strtod(text, NULL);
}

/* In one division or multiplication, as serde_json does. */
static double value_of(const decimal *d)
{
    double value = (double)d->digits;
    int64_t exponent = d->exponent;
    while (exponent < -308 && value != 0.0) {
        value /= 1e308;
        exponent += 308;
    }
    if (value != 0.0)
        value = exponent > 308 ? HUGE_VAL
                : exponent >= 0 ? value * power_of_ten(exponent)
                                : value / power_of_ten(-exponent);
    return d->negative ? -value : value;
}

static assay_status read_score(reader *r, double *score)
{
    decimal d = {0};
    size_t begin = r->c.at;
    bool fine = read_decimal(r, &d);
    if (fine)
        *score = value_of(&d);
    if (fine && isfinite(*score))
        return ASSAY_OK;
    r->c.at = begin;
    return fail(r, "a finite number as a piece's score");
}

typedef struct scored {
    double *scores;
    size_t capacity;
} scored;

/* A string that stands in the file as it is; false when it is another. */
static bool plain_string(reader *r, const char **text, size_t *length)
{
    const char *begin = r->c.text + r->c.at, *end = r->c.text + r->c.end, *at = begin;
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    *text = begin;
    *length = (size_t)(at - begin);
    if (at == end || *at != '"' || assay_utf8_check((const uint8_t *)begin, *length) < *length)
        return false;
    r->c.at += *length + 1;
    return true;
}

static assay_status read_piece(reader *r, assay_vocabulary *out, scored *scores)
{
    const char *text;
    size_t length;
    if (out->count == scores->capacity) {
        size_t capacity = scores->capacity > 0 ? 2 * scores->capacity : 4096;
        double *grown = realloc(scores->scores, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(r->error, capacity * sizeof *grown);
        scores->scores = grown;
        scores->capacity = capacity;
    }
    if (!take(&r->c, '[') || !take(&r->c, '"'))
        return fail(r, "a list of a piece in quotes and its score");
    if (!plain_string(r, &text, &length)) {
        assay_buffer_clear(&r->strings);
        ASSAY_TRY(read_string(r));
        ASSAY_TRY(assay_buffer_status(&r->strings, r->where, r->error));
        length = r->strings.length;
        text = length > 0 ? r->strings.data : "";
    }
    if (!take(&r->c, ','))
        return fail(r, "',' after a piece");
    ASSAY_TRY(read_score(r, &scores->scores[out->count]));
    if (!take(&r->c, ']'))
        return fail(r, "']' after a score");
    return assay_vocabulary_add(out, text, length, r->where, r->error);
}

static assay_status read_pieces(reader *r, assay_vocabulary *out, scored *scores)
{
    if (!take(&r->c, '['))
        return fail(r, "a list of pieces and scores");
    if (take(&r->c, ']'))
        return ASSAY_OK;
    do
        ASSAY_TRY(read_piece(r, out, scores));
    while (take(&r->c, ','));
    return take(&r->c, ']') ? ASSAY_OK : fail(r, "',' or ']'");
}

assay_status assay_vocabulary_json_read_scored(const char *text, assay_json_span *span,
                                               const char *where, assay_vocabulary *out,
                                               double **scores, assay_error *error)
{
    reader r = {.c = {.text = text, .at = span->begin, .end = span->end},
                .where = where, .error = error};
    scored list = {0};
    assay_buffer_init(&r.strings, 0);
    assay_status status = read_pieces(&r, out, &list);
    span->end = r.c.at;
    assay_buffer_free(&r.strings);
    *scores = list.scores;
    return status;
}
