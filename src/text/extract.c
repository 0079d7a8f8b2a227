/* SPDX-License-Identifier: Apache-2.0 */
/* extract.c: what the formats share: the outline, strings, plain text. */
#include "text/extract.h"

#include <stdlib.h>
#include <string.h>

#include "text/charset.h"
#include "text/scan.h"

assay_status assay_extract_init(assay_extract *extract, assay_error *error)
{
    *extract = (assay_extract){.strings = assay_arena_new(0)};
    if (extract->strings == NULL)
        return assay_fail_memory(error, sizeof *extract);
    assay_buffer_init(&extract->raw, ASSAY_FILE_LIMIT);
    assay_buffer_init(&extract->made, ASSAY_FILE_LIMIT);
    return ASSAY_OK;
}

void assay_extract_free(assay_extract *extract)
{
    assay_buffer_free(&extract->raw);
    assay_buffer_free(&extract->made);
    free(extract->headings);
    json_decref(extract->record);
    assay_arena_free(extract->strings);
    *extract = (assay_extract){0};
}

void assay_extract_reset(assay_extract *extract)
{
    /* One huge file must not keep its memory for the rest of a walk. */
    if (extract->raw.capacity > (size_t)16 << 20)
        assay_buffer_free(&extract->raw);
    if (extract->made.capacity > (size_t)16 << 20)
        assay_buffer_free(&extract->made);
    assay_buffer_clear(&extract->raw);
    assay_buffer_clear(&extract->made);
    assay_arena_reset(extract->strings);
    json_decref(extract->record);
    extract->record = NULL;
    extract->path = extract->title = extract->metadata = NULL;
    extract->text = (assay_text){0};
    extract->heading_count = 0;
    memset(extract->outline, 0, sizeof extract->outline);
    extract->path_bytes = 0;
    extract->heading_end = 0;
    extract->heading_level = 0;
}

assay_status assay_extract_line(assay_extract *extract, assay_text text, size_t limit,
                                const char **out, assay_error *error)
{
    size_t room = limit > 0 && limit < text.length ? limit : text.length;
    char *copy = assay_arena_small(extract->strings, room + 1);
    if (copy == NULL)
        return assay_fail_memory(error, room + 1);
    size_t length = 0;
    size_t i = assay_skip_space(text.data, 0, text.length);
    while (i < text.length) {
        size_t bytes;
        size_t space = assay_space_at(text.data + i, text.length - i);
        if (space > 0) {
            i = assay_skip_space(text.data, i, text.length);
            if (i == text.length || length + 1 > room)
                break;
            copy[length++] = ' ';
            continue;
        }
        assay_char_at(text.data + i, text.length - i, &bytes);
        if (length + bytes > room)
            break;
        memcpy(copy + length, text.data + i, bytes);
        length += bytes;
        i += bytes;
    }
    while (length > 0 && copy[length - 1] == ' ')
        length--;
    copy[length] = '\0';
    *out = copy;
    return ASSAY_OK;
}

assay_status assay_extract_mark(assay_extract *extract, const char *path, size_t offset,
                                assay_error *error)
{
    if (extract->heading_count == extract->heading_capacity) {
        size_t capacity = extract->heading_capacity > 0 ? 2 * extract->heading_capacity : 16;
        assay_heading *grown = realloc(extract->headings, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, capacity * sizeof *grown);
        extract->headings = grown;
        extract->heading_capacity = capacity;
    }
    extract->headings[extract->heading_count++] = (assay_heading){offset, path};
    return ASSAY_OK;
}

/* "Chapter > Section" of the outline down to `level`. */
static assay_status outline_path(assay_extract *extract, int level, const char **out,
                                 assay_error *error)
{
    size_t length = 0;
    for (int i = 0; i < level; i++)
        if (extract->outline[i] != NULL && extract->outline[i][0] != '\0')
            length += strlen(extract->outline[i]) + (length > 0 ? 3 : 0);
    extract->path_bytes += length + 1 + sizeof(assay_heading);
    if (extract->path_bytes > ASSAY_HEADING_LIMIT)
        return assay_fail(error, ASSAY_E_LIMIT, extract->path,
                          "its headings take more than the limit of %zu bytes",
                          ASSAY_HEADING_LIMIT);
    char *path = assay_arena_small(extract->strings, length + 1);
    if (path == NULL)
        return assay_fail_memory(error, length + 1);
    size_t at = 0;
    for (int i = 0; i < level; i++) {
        const char *name = extract->outline[i];
        if (name == NULL || name[0] == '\0')
            continue;
        if (at > 0) {
            memcpy(path + at, " > ", 3);
            at += 3;
        }
        memcpy(path + at, name, strlen(name));
        at += strlen(name);
    }
    path[at] = '\0';
    *out = path;
    return ASSAY_OK;
}

assay_status assay_extract_heading(assay_extract *extract, int level, assay_text name,
                                   const char *text, size_t begin, size_t end,
                                   assay_error *error)
{
    const char *line = NULL, *path = NULL;
    ASSAY_TRY(assay_extract_line(extract, name, ASSAY_HEADING_BYTES, &line, error));
    if (level == 1 && line[0] != '\0') {
        if (extract->title == NULL)
            ASSAY_TRY(assay_extract_line(extract, name, 0, &extract->title, error));
        const char *full;
        ASSAY_TRY(assay_extract_line(extract, name, 0, &full, error));
        if (strcmp(full, extract->title) == 0)
            line = "";
    }
    extract->outline[level - 1] = line;
    for (int below = level; below < 6; below++)
        extract->outline[below] = NULL;
    ASSAY_TRY(outline_path(extract, level, &path, error));
    bool bare = extract->heading_count > 0 && level > extract->heading_level &&
                extract->heading_level > 0 &&
                assay_skip_space(text, extract->heading_end, begin) >= begin;
    extract->heading_end = end;
    extract->heading_level = level;
    if (bare) {
        extract->headings[extract->heading_count - 1].path = path;
        return ASSAY_OK;
    }
    return assay_extract_mark(extract, path, begin, error);
}

assay_status assay_extract_text(assay_extract *extract, assay_error *error)
{
    size_t skip;
    ASSAY_TRY(assay_charset_decode(&extract->raw, NULL, extract->path, &skip, error));
    extract->text = (assay_text){extract->raw.data + skip, extract->raw.length - skip};
    return ASSAY_OK;
}
