/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth_examples.c: passages with queries as they are wanted, as JSON lines:
 *
 *   {"passage": "...", "question": "...", "claim": ["...", "..."], "keywords": "..."}
 *
 * of which each line has a passage and one kind of query at least. They are few, and are
 * shown with every request: sixteen lines and a megabyte are the most.
 */
#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "evaluate/lines.h"
#include "learn/synth.h"

enum { MOST_LINES = 16, MOST_QUERIES = 16, MOST_BYTES = 1 << 20 };

typedef struct reader {
    assay_lines lines;
    assay_arena *arena;
    assay_synth_examples *out;
    uint32_t kinds; /* that were there */
} reader;

static assay_status take_text(const reader *r, const char *name, const json_t *value,
                              assay_text *out, assay_error *error)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (length == 0)
        return assay_lines_fail(&r->lines, ASSAY_E_FORMAT, error,
                                "%s: expected a text that is not empty", name);
    *out = (assay_text){assay_arena_copy(r->arena, text, length), length};
    return out->data != NULL ? ASSAY_OK : assay_fail_memory(error, length);
}

/* A text, or a list of such. */
static assay_status take_queries(reader *r, assay_query_kind kind, assay_text passage,
                                 const json_t *value, assay_error *error)
{
    const char *name = assay_query_kind_name(kind);
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count == 0 || count > MOST_QUERIES)
        return assay_lines_fail(&r->lines, ASSAY_E_FORMAT, error,
                                "%s: expected one to %d, not %zu", name, MOST_QUERIES, count);
    assay_text *queries = assay_arena_small(r->arena, count * sizeof *queries);
    if (queries == NULL)
        return assay_fail_memory(error, count * sizeof *queries);
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(take_text(r, name, json_is_array(value) ? json_array_get(value, i) : value,
                            &queries[i], error));
    for (size_t i = 0; i < count; i++)
        if (memchr(queries[i].data, '\n', queries[i].length) != NULL)
            return assay_lines_fail(&r->lines, ASSAY_E_FORMAT, error,
                                    "%s: holds a line break; queries have one line", name);
    r->out->list[r->out->count++] = (assay_llm_example){kind, passage, queries, count};
    r->kinds |= 1u << kind;
    return ASSAY_OK;
}

static assay_status take_object(reader *r, const json_t *object, assay_error *error)
{
    assay_text passage;
    size_t before = r->out->count;
    ASSAY_TRY(take_text(r, "passage", json_object_get(object, "passage"), &passage, error));
    for (unsigned kind = 0; kind < ASSAY_QUERY_SENTENCE; kind++) {
        const json_t *value = json_object_get(object, assay_query_kind_name(kind));
        if (value != NULL)
            ASSAY_TRY(take_queries(r, kind, passage, value, error));
    }
    if (r->out->count > before)
        return ASSAY_OK;
    return assay_lines_fail(&r->lines, ASSAY_E_FORMAT, error,
                            "no query: expected \"question\", \"claim\" or \"keywords\"");
}

static assay_status take_line(reader *r, assay_text line, assay_error *error)
{
    json_error_t reason;
    json_t *object = json_loadb(line.data, line.length, JSON_REJECT_DUPLICATES, &reason);
    if (object == NULL)
        return assay_lines_fail(&r->lines, ASSAY_E_FORMAT, error, "not JSON: column %d: %s",
                                reason.column, reason.text);
    assay_status status = take_object(r, object, error);
    json_decref(object);
    return status;
}

static assay_status take_lines(reader *r, uint32_t kinds, const char *path, assay_error *error)
{
    assay_text line;
    assay_status status = ASSAY_OK;
    size_t count = 0;
    while (assay_lines_next(&r->lines, &line, &status, error)) {
        if (++count > MOST_LINES)
            return assay_lines_fail(&r->lines, ASSAY_E_LIMIT, error,
                                    "more than %d examples; a model is shown all of them with "
                                    "each request", MOST_LINES);
        ASSAY_TRY(take_line(r, line, error));
    }
    ASSAY_TRY(status);
    for (unsigned kind = 0; kind < ASSAY_QUERY_SENTENCE; kind++)
        if (kinds & ~r->kinds & 1u << kind)
            return assay_fail(error, ASSAY_E_FORMAT, path, "has no example of a %s",
                              kind == ASSAY_QUERY_KEYWORDS ? "search of keywords"
                                                           : assay_query_kind_name(kind));
    return ASSAY_OK;
}

assay_status assay_synth_examples_read(const char *path, uint32_t kinds, assay_arena *arena,
                                       assay_synth_examples *out, assay_error *error)
{
    reader r = {.arena = arena, .out = out};
    assay_buffer text;
    *out = (assay_synth_examples){
        .list = assay_arena_small(arena, MOST_LINES * ASSAY_QUERY_KINDS * sizeof *out->list),
    };
    if (out->list == NULL)
        return assay_fail_memory(error, MOST_LINES * ASSAY_QUERY_KINDS * sizeof *out->list);
    assay_buffer_init(&text, MOST_BYTES);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK) {
        out->digest = assay_hash128(text.data, text.length);
        assay_lines_start(&r.lines, text.data != NULL ? text.data : "", text.length, path);
        status = take_lines(&r, kinds, path, error);
    }
    assay_buffer_free(&text);
    return status;
}
