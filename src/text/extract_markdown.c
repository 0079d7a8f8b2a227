/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract_markdown.c: headings and front matter of Markdown.
 *
 * Follows CommonMark 0.31 for what makes a heading: ATX lines, Setext
 * underlines of paragraphs, neither inside fenced or indented code. Departs
 * from it in not knowing HTML blocks, nor headings inside lists and quotes. The
 * text itself stays as it is in the file. Front matter between two "---" lines
 * at the very beginning is read as the simplest YAML: "key: value" lines, a
 * value over several lines kept as it is written; it becomes metadata and is
 * taken off the text.
 */
#include <stdlib.h>
#include <string.h>

#include "text/charset.h"
#include "text/extract.h"
#include "text/scan.h"

#define FRONT_MATTER_LIMIT 65536 /* bytes in which its end must be found */

typedef struct line {
    const char *data; /* without indentation of up to three spaces */
    size_t length;    /* without the line's end and trailing spaces */
    size_t begin;     /* offset of the line in the text */
    size_t end;       /* one past its newline */
    size_t indent;    /* columns; a tab counts four */
} line;

static line line_at(assay_text text, size_t begin)
{
    const char *newline = memchr(text.data + begin, '\n', text.length - begin);
    size_t stop = newline != NULL ? (size_t)(newline - text.data) : text.length;
    line found = {.begin = begin, .end = newline != NULL ? stop + 1 : stop};
    size_t at = begin;
    while (at < stop && found.indent < 4 && (text.data[at] == ' ' || text.data[at] == '\t'))
        found.indent += text.data[at++] == '\t' ? 4 : 1;
    while (stop > at && (text.data[stop - 1] == ' ' || text.data[stop - 1] == '\t' ||
                         text.data[stop - 1] == '\r'))
        stop--;
    found.data = text.data + at;
    found.length = stop - at;
    return found;
}

static size_t run_of(const line *at, char byte)
{
    size_t run = 0;
    while (run < at->length && at->data[run] == byte)
        run++;
    return run;
}

/* Level of an ATX heading and its name; 0 when the line is none. */
static int atx_level(const line *at, assay_text *name)
{
    size_t level = run_of(at, '#');
    if (at->indent > 3 || level == 0 || level > 6 ||
        (level < at->length && at->data[level] != ' ' && at->data[level] != '\t'))
        return 0;
    size_t end = at->length;
    while (end > level && at->data[end - 1] == '#')
        end--;
    /* A closing run of # counts as such only after a space. */
    if (end > level && at->data[end - 1] != ' ' && at->data[end - 1] != '\t')
        end = at->length;
    *name = (assay_text){at->data + level, end - level};
    return (int)level;
}

/* 1 for a line of "=", 2 for a line of "-", else 0. */
static int underline_level(const line *at)
{
    if (at->indent > 3 || at->length == 0)
        return 0;
    if (run_of(at, '=') == at->length)
        return 1;
    return run_of(at, '-') == at->length ? 2 : 0;
}

/* A line that is not the text of a paragraph: a list item, quote or table. */
static bool is_block_start(const line *at)
{
    char first = at->data[0];
    if (first == '>' || first == '|')
        return true;
    bool spaced = at->length == 1 || at->data[1] == ' ' || at->data[1] == '\t';
    if ((first == '-' || first == '*' || first == '+') && spaced)
        return true;
    size_t digits = 0;
    while (digits < at->length && digits < 10 && at->data[digits] >= '0' && at->data[digits] <= '9')
        digits++;
    return digits > 0 && digits < at->length &&
           (at->data[digits] == '.' || at->data[digits] == ')') &&
           (digits + 1 == at->length || at->data[digits + 1] == ' ');
}

/* A thematic break: three or more of one of -*_, blanks between. */
static bool is_ruler(const line *at)
{
    size_t marks = 0;
    char mark = at->length > 0 ? at->data[0] : 'x';
    if (at->indent > 3 || (mark != '-' && mark != '*' && mark != '_'))
        return false;
    for (size_t i = 0; i < at->length; i++) {
        if (at->data[i] == mark)
            marks++;
        else if (at->data[i] != ' ' && at->data[i] != '\t')
            return false;
    }
    return marks >= 3;
}

typedef struct fence {
    char byte; /* '`' or '~'; 0 outside */
    size_t run;
} fence;

/* Follows fences; true when the line is a fence or lies inside one. */
static bool in_fence(fence *open, const line *at)
{
    if (open->byte != 0) {
        size_t run = run_of(at, open->byte);
        if (at->indent <= 3 && run >= open->run && run == at->length)
            open->byte = 0;
        return true;
    }
    if (at->indent > 3 || at->length < 3 || (at->data[0] != '`' && at->data[0] != '~'))
        return false;
    size_t run = run_of(at, at->data[0]);
    if (run < 3 || (at->data[0] == '`' && memchr(at->data + run, '`', at->length - run) != NULL))
        return false;
    *open = (fence){at->data[0], run};
    return true;
}

static assay_status find_headings(assay_extract *extract, assay_error *error)
{
    assay_text text = extract->text;
    fence open = {0};
    /* Inside a paragraph an underline makes its lines a heading; the lines of a
     * list item or quote, lazy ones too, are no such paragraph. */
    enum { NOTHING, PARAGRAPH, OTHER_BLOCK } state = NOTHING;
    size_t paragraph_begin = 0;
    for (size_t at = 0; at < text.length;) {
        line now = line_at(text, at);
        at = now.end;
        assay_text name;
        int level;
        if (in_fence(&open, &now)) {
            state = NOTHING;
        } else if ((level = atx_level(&now, &name)) > 0) {
            state = NOTHING;
            ASSAY_TRY(assay_extract_heading(extract, level, name, text.data, now.begin, now.end,
                                            error));
        } else if (state == PARAGRAPH && (level = underline_level(&now)) > 0) {
            state = NOTHING;
            name = (assay_text){text.data + paragraph_begin, now.begin - paragraph_begin};
            ASSAY_TRY(assay_extract_heading(extract, level, name, text.data, paragraph_begin,
                                            now.end, error));
        } else if (now.length == 0 || is_ruler(&now)) {
            state = NOTHING;
        } else if (is_block_start(&now)) {
            state = OTHER_BLOCK;
        } else if (state == NOTHING && now.indent <= 3) {
            state = PARAGRAPH;
            paragraph_begin = now.begin;
        }
    }
    return ASSAY_OK;
}

/* ------------------------------------------------------------ front matter */

/* The key of a "key: value" line without indentation; length 0 when it is none. */
static assay_text key_of(const line *at)
{
    size_t length = 0;
    while (length < at->length && at->data[length] != ':' && at->data[length] != ' ' &&
           at->data[length] != '#' && at->data[length] != '"')
        length++;
    bool is_key = at->indent == 0 && length > 0 && length < at->length &&
                  at->data[length] == ':' && at->data[0] != '-' &&
                  (length + 1 == at->length || at->data[length + 1] == ' ');
    return (assay_text){at->data, is_key ? length : 0};
}

static assay_text unquoted(assay_text value)
{
    size_t skip = assay_skip_space(value.data, 0, value.length);
    value.data += skip;
    value.length = assay_trim_end(value.data, 0, value.length - skip);
    if (value.length >= 2 && (value.data[0] == '"' || value.data[0] == '\'') &&
        value.data[value.length - 1] == value.data[0])
        return (assay_text){value.data + 1, value.length - 2};
    return value;
}

static bool is_fence_of_matter(const line *at, bool closing)
{
    return at->indent == 0 && at->length == 3 &&
           (memcmp(at->data, "---", 3) == 0 || (closing && memcmp(at->data, "...", 3) == 0));
}

/* Where the front matter's lines end and the text begins; false when there is
 * no front matter. */
static bool find_front_matter(assay_text text, size_t *begin, size_t *end, size_t *rest)
{
    line first = line_at(text, 0);
    if (!is_fence_of_matter(&first, false))
        return false;
    bool keyed = false;
    *begin = first.end;
    for (size_t at = first.end; at < text.length && at < FRONT_MATTER_LIMIT;) {
        line now = line_at(text, at);
        if (is_fence_of_matter(&now, true)) {
            *end = now.begin;
            *rest = now.end;
            return keyed;
        }
        if (!keyed && now.length > 0 && now.data[0] != '#') {
            if (key_of(&now).length == 0)
                return false;
            keyed = true;
        }
        at = now.end;
    }
    return false;
}

/* The key's value: the rest of its line and the lines up to the next key. */
static assay_text value_at(assay_text text, const line *at, size_t key_length, size_t end,
                           size_t *next)
{
    size_t begin = at->begin + key_length + 1;
    *next = at->end;
    while (*next < end) {
        line more = line_at(text, *next);
        if (key_of(&more).length > 0)
            break;
        *next = more.end;
    }
    size_t stop = *next < end ? *next : end;
    return unquoted((assay_text){text.data + begin, stop > begin ? stop - begin : 0});
}

static assay_status read_front_matter(assay_extract *extract, size_t begin, size_t end,
                                      assay_error *error)
{
    assay_text text = extract->text;
    json_t *fields = json_object();
    bool whole = fields != NULL;
    for (size_t at = begin; whole && at < end;) {
        line now = line_at(text, at);
        assay_text key = key_of(&now);
        at = now.end;
        if (key.length == 0)
            continue;
        assay_text value = value_at(text, &now, key.length, end, &at);
        if (key.length == 5 && memcmp(key.data, "title", 5) == 0 && value.length > 0) {
            if (assay_extract_line(extract, value, 0, &extract->title, error) != ASSAY_OK)
                whole = false;
        } else {
            whole = json_object_setn_new(fields, key.data, key.length,
                                         json_stringn(value.data, value.length)) == 0;
        }
    }
    if (whole && json_object_size(fields) > 0) {
        char *dump = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
        whole = dump != NULL;
        if (whole)
            extract->metadata = assay_arena_copy(extract->strings, dump, strlen(dump));
        whole = whole && extract->metadata != NULL;
        free(dump);
    }
    json_decref(fields);
    return whole ? ASSAY_OK : assay_fail_memory(error, end - begin);
}

assay_status assay_extract_markdown(assay_extract *extract, assay_error *error)
{
    ASSAY_TRY(assay_extract_text(extract, error));
    size_t begin, end, rest = 0;
    if (find_front_matter(extract->text, &begin, &end, &rest)) {
        ASSAY_TRY(read_front_matter(extract, begin, end, error));
        extract->text.data += rest;
        extract->text.length -= rest;
    }
    return find_headings(extract, error);
}
