/* SPDX-License-Identifier: Apache-2.0 */
/* spm_normalizer.c: see spm_normalizer.h. */
#include "text/spm_normalizer.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT 512     /* bytes; a segment may be longer where there is no space */
#define SHORT_CLUSTER 6 /* bytes; a longer one is mapped by characters */

void assay_spm_normalizer_free(assay_spm_normalizer *normalizer)
{
    assay_charsmap_free(&normalizer->map);
    free(normalizer->graphemes);
    normalizer->graphemes = NULL;
}

assay_status assay_spm_normalizer_ready(assay_spm_normalizer *normalizer,
                                        const assay_char_table *classes, assay_error *error)
{
    normalizer->classes = classes;
    normalizer->graphemes = malloc(sizeof *normalizer->graphemes);
    if (normalizer->graphemes == NULL)
        return assay_fail_memory(error, sizeof *normalizer->graphemes);
    assay_grapheme_table_fill(normalizer->graphemes);
    for (unsigned c = 0; c < 256; c++)
        normalizer->slow[c] = c >= 128 || normalizer->map.ascii[c] ||
                              ((assay_char_class(classes, c) & ASSAY_CHAR_SPACE) != 0 && c != ' ');
    normalizer->simple = !normalizer->slow[' '];
    normalizer->prepends = false;
    for (size_t i = 0; i < normalizer->count; i++) {
        assay_spm_kind kind = normalizer->steps[i].kind;
        normalizer->simple = normalizer->simple && kind != ASSAY_SPM_REPLACE;
        normalizer->prepends = normalizer->prepends || kind == ASSAY_SPM_PREPEND;
    }
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- first step */

/* Moves the cursor past a character. It stands before all that were read. */
static void take_place(assay_spm_run *run)
{
    size_t at = run->cursor;
    run->last_begin = (uint32_t)at;
    assay_utf8_next(run->text, run->end, &at);
    run->last_end = (uint32_t)at;
    run->cursor = at;
}

static bool put_bytes(assay_spm_run *run, const void *bytes, size_t length)
{
    run->any = true;
    return assay_normal_put(run->normal, bytes, length, run->last_begin, run->last_end);
}

/* A character in place of one of the original. */
static bool put_instead(assay_spm_run *run, const void *bytes, size_t length)
{
    take_place(run);
    run->added = false;
    return put_bytes(run, bytes, length);
}

/* Characters of the original that nothing stands for. */
static void drop(assay_spm_run *run, size_t count)
{
    if (!run->any || count == 0)
        return;
    if (run->added) { /* the character before them gets the place of the first */
        assay_normal *normal = run->normal;
        take_place(run);
        for (size_t i = normal->count; i > 0; i--) {
            normal->begins[i - 1] = run->last_begin;
            normal->ends[i - 1] = run->last_end;
            if ((normal->bytes[i - 1] & 0xC0) != 0x80)
                break;
        }
        run->added = false;
        count--;
    }
    while (count-- > 0)
        take_place(run);
}

static size_t character_bytes(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* A string in place of `old` characters. */
static bool put_string(assay_spm_run *run, size_t old, const char *string)
{
    bool fine = true;
    for (; *string != '\0' && fine; string += character_bytes((uint8_t)*string)) {
        size_t bytes = character_bytes((uint8_t)*string);
        if (old > 0) {
            fine = put_instead(run, string, bytes);
            old--;
        } else {
            run->added = true;
            fine = put_bytes(run, string, bytes);
        }
    }
    drop(run, old);
    return fine;
}

static bool map_character(const assay_spm_normalizer *normalizer, assay_spm_run *run,
                          uint32_t point)
{
    uint8_t bytes[4];
    size_t length = assay_utf8_put(point, bytes);
    const char *found = assay_charsmap_find(&normalizer->map, bytes, length);
    return found != NULL ? put_string(run, 1, found) : put_instead(run, bytes, length);
}

/* Reads the grapheme cluster at `at` and returns its end. Of its bytes (as valid
 * UTF-8) only those of a short one are kept. */
static size_t read_cluster(const assay_spm_normalizer *normalizer, const assay_spm_run *run,
                           size_t at, uint8_t bytes[SHORT_CLUSTER + 4], size_t *length,
                           size_t *characters)
{
    assay_grapheme cluster = {0};
    *length = *characters = 0;
    while (at < run->end) {
        size_t next = at;
        uint32_t point = assay_utf8_next(run->text, run->end, &next);
        if (!assay_grapheme_take(&cluster, normalizer->graphemes, point))
            break;
        if (*length < SHORT_CLUSTER)
            *length += assay_utf8_put(point, bytes + *length);
        ++*characters;
        at = next;
    }
    return at;
}

static bool map_cluster(const assay_spm_normalizer *normalizer, assay_spm_run *run)
{
    uint8_t bytes[SHORT_CLUSTER + 4];
    size_t length, characters;
    size_t end = read_cluster(normalizer, run, run->done, bytes, &length, &characters);
    if (characters > 1 && length < SHORT_CLUSTER) {
        const char *found = assay_charsmap_find(&normalizer->map, bytes, length);
        if (found != NULL) {
            run->done = end;
            return put_string(run, characters, found);
        }
    }
    bool fine = true;
    while (run->done < end && fine)
        fine = map_character(normalizer, run, assay_utf8_next(run->text, run->end, &run->done));
    return fine;
}

static bool map_text(const assay_spm_normalizer *normalizer, assay_spm_run *run, size_t to)
{
    bool fine = true;
    while (run->done < to && fine) {
        const uint8_t *here = run->text + run->done;
        /* Nothing joins two ASCII characters but CR LF, which are slow. */
        bool alone = !normalizer->slow[*here] && (run->done + 1 == run->end || here[1] < 0x80);
        if (alone) {
            run->done++;
            fine = put_instead(run, here, 1);
        } else {
            fine = map_cluster(normalizer, run);
        }
    }
    return fine;
}

/* ---------------------------------------------------------------- later steps */

static void cut(assay_normal *normal, size_t from, size_t to)
{
    normal->count = to - from;
    if (from == 0)
        return;
    memmove(normal->bytes, normal->bytes + from, normal->count);
    memmove(normal->begins, normal->begins + from, normal->count * sizeof *normal->begins);
    memmove(normal->ends, normal->ends + from, normal->count * sizeof *normal->ends);
}

static bool is_space(const assay_spm_normalizer *normalizer, uint32_t point)
{
    return (assay_char_class(normalizer->classes, point) & ASSAY_CHAR_SPACE) != 0;
}

static void strip(const assay_spm_normalizer *normalizer, assay_normal *normal, bool left,
                  bool right)
{
    size_t from = 0, to = normal->count;
    while (right && to > 0) {
        size_t before = to;
        if (!is_space(normalizer, assay_utf8_previous(normal->bytes, &before)))
            break;
        to = before;
    }
    while (left && from < to) {
        size_t after = from;
        if (!is_space(normalizer, assay_utf8_next(normal->bytes, to, &after)))
            break;
        from = after;
    }
    cut(normal, from, to);
}

static bool copy(assay_normal *out, const assay_normal *in, size_t from, size_t to)
{
    if (from == to)
        return true;
    size_t count = to - from;
    if (!assay_normal_reserve(out, count))
        return false;
    memcpy(out->bytes + out->count, in->bytes + from, count);
    memcpy(out->begins + out->count, in->begins + from, count * sizeof *out->begins);
    memcpy(out->ends + out->count, in->ends + from, count * sizeof *out->ends);
    out->count += count;
    return true;
}

/* The next match at or after `at`, [*begin, *end). */
static bool find_match(const assay_spm_step *step, const assay_normal *in, size_t at,
                       size_t *begin, size_t *end)
{
    const char *pattern = step->kind == ASSAY_SPM_RUNS ? "  " : step->pattern;
    size_t length = strlen(pattern);
    const uint8_t *found = at < in->count
                               ? memmem(in->bytes + at, in->count - at, pattern, length)
                               : NULL;
    if (found == NULL)
        return false;
    *begin = (size_t)(found - in->bytes);
    *end = *begin + length;
    while (step->kind == ASSAY_SPM_RUNS && *end < in->count && in->bytes[*end] == ' ')
        ++*end;
    return true;
}

/* What is put in has the place of the last character that goes. */
static bool replace(const assay_spm_step *step, assay_spm_run *run)
{
    assay_normal *in = run->normal, *out = run->spare;
    size_t at = 0, begin, end, length = strlen(step->content);
    if (!find_match(step, in, 0, &begin, &end))
        return true;
    out->count = 0;
    out->straight = false;
    do {
        if (!copy(out, in, at, begin) ||
            !assay_normal_put(out, step->content, length, in->begins[end - 1],
                              in->ends[end - 1]))
            return false;
        at = end;
    } while (find_match(step, in, at, &begin, &end));
    run->spare = in;
    run->normal = out;
    return copy(out, in, at, in->count);
}

/* What is put in has the place of the first character. */
static bool prepend(const assay_spm_step *step, assay_spm_run *run)
{
    assay_normal *in = run->normal, *out = run->spare;
    if (in->count == 0)
        return true;
    out->count = 0;
    out->straight = false;
    run->spare = in;
    run->normal = out;
    return assay_normal_put(out, step->content, strlen(step->content), in->begins[0],
                            in->ends[0]) &&
           copy(out, in, 0, in->count);
}

static bool take_step(const assay_spm_normalizer *normalizer, const assay_spm_step *step,
                      assay_spm_run *run, bool first, bool last)
{
    switch (step->kind) {
    case ASSAY_SPM_STRIP:
        strip(normalizer, run->normal, step->left && first, step->right && last);
        return true;
    case ASSAY_SPM_PREPEND:
        return !first || prepend(step, run);
    default:
        return replace(step, run);
    }
}

/* ------------------------------------------------------------------- segments */

/* Before a space that follows a character which no step changes: there, no
 * cluster and no white space goes on. */
static bool may_cut(const assay_spm_normalizer *normalizer, const uint8_t *text, size_t at)
{
    return text[at] == ' ' && text[at - 1] != ' ' && !normalizer->slow[text[at - 1]];
}

static size_t segment_end(const assay_spm_normalizer *normalizer, const assay_spm_run *run)
{
    size_t from = run->done, end = from + SEGMENT;
    if (!normalizer->in_segments || run->end - from <= SEGMENT)
        return run->end;
    while (end > from + 1 && !may_cut(normalizer, run->text, end))
        end--;
    if (end > from + 1)
        return end;
    end = from + SEGMENT;
    while (end < run->end && !may_cut(normalizer, run->text, end))
        end++;
    return end;
}

/* Text in which every byte stands for itself, as most text does, copied. False
 * when it is not such a text. */
static bool straight(const assay_spm_normalizer *normalizer, assay_spm_run *run, size_t to,
                     bool first, bool last)
{
    assay_normal *normal = run->normal;
    size_t from = run->done, length = to - from;
    const uint8_t *text = run->text + from;
    if (!normalizer->simple || run->cursor != from || (first && normalizer->prepends) ||
        (normalizer->count > 0 && (first || last) && (text[0] == ' ' || text[length - 1] == ' ')))
        return false;
    bool slow = false;
    uint8_t before = 0;
    for (size_t i = 0; i < length; i++) {
        slow |= normalizer->slow[text[i]] | (before == ' ' && text[i] == ' ');
        before = text[i];
        normal->bytes[i] = text[i];
    }
    if (slow)
        return false;
    normal->straight = true;
    normal->base = (uint32_t)from;
    normal->count = length;
    run->done = run->cursor = to;
    run->last_begin = (uint32_t)to - 1;
    run->last_end = (uint32_t)to;
    run->any = true;
    run->added = false;
    return true;
}

assay_status assay_spm_segment(const assay_spm_normalizer *normalizer, assay_spm_run *run,
                               assay_error *error)
{
    bool first = run->done == run->begin;
    size_t to = segment_end(normalizer, run), length = to - run->done;
    bool last = to == run->end;
    run->normal->count = 0;
    run->normal->straight = false;
    bool fine = assay_normal_reserve(run->normal, length + 4);
    if (fine && length > 0 && straight(normalizer, run, to, first, last))
        return ASSAY_OK;
    fine = fine && map_text(normalizer, run, to);
    for (size_t i = 0; i < normalizer->count && fine; i++)
        fine = take_step(normalizer, &normalizer->steps[i], run, first, last);
    if (!fine)
        return assay_fail_memory(error, length * 18);
    if (run->normal->count > UINT32_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, NULL,
                          "%zu bytes when normalised; at most 4294967295 are allowed",
                          run->normal->count);
    return ASSAY_OK;
}
