/* SPDX-License-Identifier: Apache-2.0 */
/* bert_normalizer.c: see bert_normalizer.h. */
#include "text/bert_normalizer.h"

#include <stdlib.h>
#include <string.h>

void assay_bert_normalizer_init(assay_bert_normalizer *normalizer, assay_bert_options options,
                                const assay_char_table *classes)
{
    normalizer->options = options;
    normalizer->classes = classes;
    for (unsigned c = 0; c < 256; c++)
        normalizer->slow[c] = c >= 128;
    for (unsigned c = 0; c < 128; c++) {
        uint8_t bits = assay_char_class(classes, c);
        normalizer->ascii[c] = (uint8_t)c;
        if (options.lowercase && c >= 'A' && c <= 'Z')
            normalizer->ascii[c] = (uint8_t)(c + 'a' - 'A');
        if (options.clean_text && (bits & ASSAY_CHAR_SPACE) != 0)
            normalizer->ascii[c] = ' ';
        normalizer->slow[c] = options.clean_text && (bits & ASSAY_CHAR_OTHER) != 0;
    }
}

static bool resize(void *list, size_t count, size_t item)
{
    void *grown = realloc(*(void **)list, count * item);
    if (grown != NULL)
        *(void **)list = grown;
    return grown != NULL;
}

static bool reserve_pending(assay_normal *normal, size_t more)
{
    size_t needed = normal->pending_count + more;
    if (needed <= normal->pending_capacity)
        return true;
    size_t capacity = needed > 2 * normal->pending_capacity ? needed
                                                            : 2 * normal->pending_capacity;
    if (!resize(&normal->pending, capacity, sizeof *normal->pending) ||
        !resize(&normal->sorted, capacity, sizeof *normal->sorted))
        return false;
    normal->pending_capacity = capacity;
    return true;
}

/* The state of one run over a text. */
typedef struct run {
    const assay_bert_normalizer *normalizer;
    assay_normal *normal;
    uint32_t begin, end; /* place of the last character that had one of its own */
} run;

static bool put(run *r, uint32_t point, uint32_t begin, uint32_t end)
{
    uint8_t bytes[4];
    return assay_normal_put(r->normal, bytes, assay_utf8_put(point, bytes), begin, end);
}

/* Last step: lower case. */
static bool put_lower(run *r, uint32_t point, uint32_t begin, uint32_t end)
{
    if (!r->normalizer->options.lowercase)
        return put(r, point, begin, end);
    uint32_t lower[2];
    size_t count = assay_char_lower(point, lower);
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine = fine && put(r, lower[i], begin, end);
    return fine;
}

/* Sorts the pending characters by combining class, equal ones in the order they
 * came: in linear time, since a hostile text may be one run of marks. */
static void sort_pending(assay_normal *normal)
{
    size_t starts[257] = {0};
    for (size_t i = 0; i < normal->pending_count; i++)
        starts[normal->pending[i].combining + 1u]++;
    for (size_t k = 1; k < 257; k++)
        starts[k] += starts[k - 1];
    for (size_t i = 0; i < normal->pending_count; i++)
        normal->sorted[starts[normal->pending[i].combining]++] = normal->pending[i];
}

/* Third step, second half: what was waiting is put in canonical order; the
 * places stay where they were, and marks are dropped. */
static bool flush(run *r)
{
    assay_normal *normal = r->normal;
    size_t count = normal->pending_count;
    if (count == 0)
        return true;
    const assay_pending_char *order = normal->pending;
    if (count > 1) {
        sort_pending(normal);
        order = normal->sorted;
    }
    bool fine = true;
    size_t place = 0;
    for (size_t i = 0; i < count && fine; i++) {
        if (!order[i].added) {
            while (normal->pending[place].added)
                place++;
            r->begin = normal->pending[place].begin;
            r->end = normal->pending[place].end;
            place++;
        }
        if ((assay_char_class(r->normalizer->classes, order[i].point) & ASSAY_CHAR_MARK) == 0)
            fine = put_lower(r, order[i].point, r->begin, r->end);
    }
    normal->pending_count = 0;
    return fine;
}

static bool wait_or_put(run *r, const assay_pending_char *c)
{
    if (c->combining > 0) {
        if (!reserve_pending(r->normal, 1))
            return false;
        r->normal->pending[r->normal->pending_count++] = *c;
        return true;
    }
    if (!flush(r))
        return false;
    if (!c->added) {
        r->begin = c->begin;
        r->end = c->end;
    }
    if ((assay_char_class(r->normalizer->classes, c->point) & ASSAY_CHAR_MARK) != 0)
        return true;
    return put_lower(r, c->point, r->begin, r->end);
}

/* Third step: accents. */
static bool put_stripped(run *r, uint32_t point, uint8_t bits, uint32_t begin, uint32_t end)
{
    if (!r->normalizer->options.strip_accents)
        return put_lower(r, point, begin, end);
    assay_pending_char c = {.point = point, .begin = begin, .end = end};
    if ((bits & ASSAY_CHAR_NORMALIZES) == 0)
        return wait_or_put(r, &c);
    uint32_t parts[4];
    size_t count = assay_char_decompose(point, parts);
    for (size_t i = 0; i < count; i++) {
        uint8_t part = assay_char_class(r->normalizer->classes, parts[i]);
        c.point = parts[i];
        c.combining = (part & ASSAY_CHAR_NORMALIZES) != 0 ? assay_char_combining(parts[i]) : 0;
        c.added = i > 0;
        if (!wait_or_put(r, &c))
            return false;
    }
    return true;
}

/* First and second step: control characters, white space, ideographs. */
static bool put_cleaned(run *r, uint32_t point, uint32_t begin, uint32_t end)
{
    const assay_bert_options *options = &r->normalizer->options;
    uint8_t bits = assay_char_class(r->normalizer->classes, point);
    if (options->clean_text) {
        if ((bits & ASSAY_CHAR_OTHER) != 0)
            return true;
        if ((bits & ASSAY_CHAR_SPACE) != 0) {
            point = ' ';
            bits = ASSAY_CHAR_SPACE;
        }
    }
    bool apart = options->split_ideographs && (bits & ASSAY_CHAR_IDEOGRAPH) != 0;
    if (!apart)
        return put_stripped(r, point, bits, begin, end);
    return put_stripped(r, ' ', 0, begin, end) && put_stripped(r, point, bits, begin, end) &&
           put_stripped(r, ' ', 0, begin, end);
}

/* Text in which every byte stands for itself, as most text does. False when it
 * is not such a text. */
static bool straight(const assay_bert_normalizer *normalizer, const uint8_t *text,
                     size_t length, uint8_t *out)
{
    uint8_t slow = 0;
    for (size_t i = 0; i < length; i++) {
        slow |= normalizer->slow[text[i]];
        out[i] = normalizer->ascii[text[i] & 127];
    }
    return slow == 0;
}

static bool normalize(run *r, const uint8_t *text, size_t from, size_t to)
{
    const assay_bert_normalizer *normalizer = r->normalizer;
    bool fine = true;
    for (size_t at = from; at < to && fine;) {
        uint32_t begin = (uint32_t)at;
        if (!normalizer->slow[text[at]]) {
            /* An ASCII character waits for nothing, and nothing changes it. */
            fine = flush(r);
            at++;
            r->begin = begin;
            r->end = (uint32_t)at;
            fine = fine && put(r, normalizer->ascii[text[begin]], r->begin, r->end);
            continue;
        }
        uint32_t point = assay_utf8_next(text, to, &at);
        fine = put_cleaned(r, point, begin, (uint32_t)at);
    }
    return fine && flush(r);
}

assay_status assay_bert_normalize(const assay_bert_normalizer *normalizer,
                                  const uint8_t *text, size_t from, size_t to,
                                  assay_normal *normal, assay_error *error)
{
    size_t length = to - from;
    normal->count = 0;
    normal->pending_count = 0;
    if (!assay_normal_reserve(normal, length + 4))
        return assay_fail_memory(error, length * 9);
    normal->base = (uint32_t)from;
    normal->straight = straight(normalizer, text + from, length, normal->bytes);
    if (normal->straight) {
        normal->count = length;
        return ASSAY_OK;
    }
    run r = {.normalizer = normalizer, .normal = normal};
    if (!normalize(&r, text, from, to))
        return assay_fail_memory(error, length * 18);
    return ASSAY_OK;
}
