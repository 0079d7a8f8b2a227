/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queries.c: queries with ids, from BEIR's queries.jsonl (an object a line with
 * "_id", or "id", and "text") or from TSV ("id<tab>text" a line). A file whose
 * first line starts with '{' is JSON. Ids are strings; a whole number in JSON is
 * taken as its digits. An id given twice and a query without text are refused.
 */
#include "evaluate/queries.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/string_map.h"
#include "evaluate/lines.h"
#include "pipeline/words.h"

/* Owner of everything that an assay_queries shows. */
typedef struct queries_block {
    assay_string_map *ids;
    assay_arena *texts;
    const char **id_list; /* [capacity] */
    assay_text *text_list;
    size_t capacity;
} queries_block;

static void block_free(queries_block *block)
{
    if (block == NULL)
        return;
    assay_string_map_free(block->ids);
    assay_arena_free(block->texts);
    free(block->id_list);
    free(block->text_list);
    free(block);
}

void assay_queries_free(assay_queries *queries)
{
    if (queries == NULL)
        return;
    block_free(queries->block);
    *queries = (assay_queries){0};
}

static queries_block *block_new(void)
{
    queries_block *block = calloc(1, sizeof *block);
    if (block == NULL)
        return NULL;
    block->ids = assay_string_map_new();
    block->texts = assay_arena_new(0);
    if (block->ids == NULL || block->texts == NULL) {
        block_free(block);
        return NULL;
    }
    return block;
}

static assay_status reserve(queries_block *block, assay_error *error)
{
    if (assay_string_map_count(block->ids) < block->capacity)
        return ASSAY_OK;
    size_t capacity = block->capacity > 0 ? block->capacity * 2 : 64;
    const char **ids = realloc(block->id_list, capacity * sizeof *ids);
    if (ids != NULL)
        block->id_list = ids;
    assay_text *texts = realloc(block->text_list, capacity * sizeof *texts);
    if (texts != NULL)
        block->text_list = texts;
    if (ids == NULL || texts == NULL)
        return assay_fail_memory(error, capacity * sizeof *texts);
    block->capacity = capacity;
    return ASSAY_OK;
}

static assay_status add_query(queries_block *block, const assay_lines *lines, assay_text id,
                              assay_text text, assay_error *error)
{
    if (assay_words_none(id))
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error, "empty query id");
    if (assay_words_none(text))
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error, "query \"%.*s\" has no text",
                                ASSAY_SHOWN(id));
    bool added;
    uint32_t index;
    ASSAY_TRY(reserve(block, error));
    ASSAY_TRY(assay_string_map_add(block->ids, id.data, id.length, &index, &added, error));
    if (!added)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "query id \"%.*s\" was there before; expected each once",
                                ASSAY_SHOWN(id));
    char *copy = assay_arena_copy(block->texts, text.data, text.length);
    if (copy == NULL)
        return assay_fail_memory(error, text.length + 1);
    block->id_list[index] = assay_string_map_key(block->ids, index);
    block->text_list[index] = (assay_text){.data = copy, .length = text.length};
    return ASSAY_OK;
}

static assay_status read_tab_line(queries_block *block, const assay_lines *lines,
                                  assay_text line, assay_error *error)
{
    const char *tab = memchr(line.data, '\t', line.length);
    if (tab == NULL)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "no tab; expected \"id<tab>text\", or JSON in the whole file");
    assay_text id = {.data = line.data, .length = (size_t)(tab - line.data)};
    assay_text text = {.data = tab + 1, .length = line.length - id.length - 1};
    return add_query(block, lines, id, text, error);
}

static assay_status read_object(queries_block *block, const assay_lines *lines,
                                const json_t *object, assay_error *error)
{
    const json_t *id = json_object_get(object, "_id");
    if (id == NULL)
        id = json_object_get(object, "id");
    const json_t *text = json_object_get(object, "text");
    if (!json_is_string(id) && !json_is_integer(id))
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "_id: expected a string, found %s",
                                id == NULL ? "nothing" : "something else");
    if (!json_is_string(text))
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "text: expected a string, found %s",
                                text == NULL ? "nothing" : "something else");
    char digits[24];
    assay_text name = {.data = digits};
    if (json_is_integer(id))
        name.length = (size_t)snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT,
                                       json_integer_value(id));
    else
        name = (assay_text){json_string_value(id), json_string_length(id)};
    return add_query(block, lines, name,
                     (assay_text){json_string_value(text), json_string_length(text)}, error);
}

static assay_status read_json_line(queries_block *block, const assay_lines *lines,
                                   assay_text line, assay_error *error)
{
    json_error_t reason;
    json_t *object = json_loadb(line.data, line.length, JSON_REJECT_DUPLICATES, &reason);
    if (object == NULL)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error, "not JSON: column %d: %s",
                                reason.column, reason.text);
    assay_status status = ASSAY_OK;
    if (json_is_object(object))
        status = read_object(block, lines, object, error);
    else
        status = assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                  "expected an object {\"_id\": ..., \"text\": ...}");
    json_decref(object);
    return status;
}

static bool starts_object(assay_text line)
{
    size_t i = 0;
    while (i < line.length && (line.data[i] == ' ' || line.data[i] == '\t'))
        i++;
    return i < line.length && line.data[i] == '{';
}

static assay_status read_lines(queries_block *block, assay_lines *lines, assay_error *error)
{
    assay_text line;
    assay_status status;
    bool first = true, json = false;
    while (assay_lines_next(lines, &line, &status, error)) {
        if (first)
            json = starts_object(line);
        first = false;
        ASSAY_TRY(json ? read_json_line(block, lines, line, error)
                       : read_tab_line(block, lines, line, error));
    }
    ASSAY_TRY(status);
    if (first)
        return assay_fail(error, ASSAY_E_FORMAT, lines->name,
                          "no queries; expected JSON or \"id<tab>text\" a line");
    return ASSAY_OK;
}

assay_status assay_queries_parse(const char *data, size_t length, const char *name,
                                 assay_queries *out, assay_error *error)
{
    queries_block *block = block_new();
    if (block == NULL)
        return assay_fail_memory(error, sizeof *block);
    assay_lines lines;
    assay_lines_start(&lines, data, length, name);
    assay_status status = read_lines(block, &lines, error);
    if (status != ASSAY_OK) {
        block_free(block);
        return status;
    }
    *out = (assay_queries){.count = assay_string_map_count(block->ids),
                           .ids = block->id_list,
                           .texts = block->text_list,
                           .block = block};
    return ASSAY_OK;
}

assay_status assay_queries_read(const char *path, assay_queries *out, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, ASSAY_LINES_LIMIT);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK)
        status = assay_queries_parse(text.data, text.length, path, out, error);
    assay_buffer_free(&text);
    return status;
}
