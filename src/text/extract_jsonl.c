/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract_jsonl.c: a document out of one line of JSONL.
 *
 * BEIR's {"_id", "title", "text", "metadata"} and its like; Pyserini's
 * {"id", "contents"} by the same defaults. Ids may be numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "text/extract.h"
#include "text/scan.h"

#define ID_LIMIT 1024 /* bytes */

/* The name of the field to read: the one asked for, else the first default if
 * the record has it, else the second. */
static const char *field_name(const json_t *record, const char *asked, const char *first,
                              const char *second)
{
    if (asked != NULL)
        return asked;
    return json_object_get(record, first) == NULL && json_object_get(record, second) != NULL
               ? second
               : first;
}

static assay_status missing(const char *asked, const char *first, const char *second,
                            const char *where, assay_error *error)
{
    if (asked != NULL)
        return assay_fail(error, ASSAY_E_FORMAT, where, "field \"%s\" is missing", asked);
    return assay_fail(error, ASSAY_E_FORMAT, where, "field \"%s\" (or \"%s\") is missing", first,
                      second);
}

static assay_status read_id(assay_extract *extract, const char *name, const char *where,
                            const char **id, assay_error *error)
{
    const json_t *value = json_object_get(extract->record, name);
    char number[64];
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        *id = assay_arena_copy(extract->strings, number, strlen(number));
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        *id = assay_arena_copy(extract->strings, number, strlen(number));
    } else if (json_is_string(value)) {
        *id = json_string_value(value);
    } else {
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "field \"%s\": expected a string or a number", name);
    }
    if (*id == NULL)
        return assay_fail_memory(error, sizeof number);
    if ((*id)[0] == '\0' || strlen(*id) > ID_LIMIT)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "field \"%s\": expected an id of 1 to %d bytes, found %zu", name,
                          ID_LIMIT, strlen(*id));
    return ASSAY_OK;
}

/* What is left of the record once id, title and text are taken: metadata. */
static assay_status read_metadata(assay_extract *extract, const char *id, const char *title,
                                  const char *text, assay_error *error)
{
    json_t *rest = json_copy(extract->record);
    if (rest == NULL)
        return assay_fail_memory(error, 64);
    json_object_del(rest, id);
    json_object_del(rest, title);
    json_object_del(rest, text);
    json_t *beir = json_object_get(rest, "metadata");
    if (json_is_object(beir) && json_object_size(beir) == 0)
        json_object_del(rest, "metadata");
    char *dump = NULL;
    bool whole = true;
    if (json_object_size(rest) > 0) {
        dump = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
        if (dump != NULL)
            extract->metadata = assay_arena_copy(extract->strings, dump, strlen(dump));
        whole = extract->metadata != NULL;
    }
    free(dump);
    json_decref(rest);
    return whole ? ASSAY_OK : assay_fail_memory(error, 64);
}

assay_status assay_extract_record(assay_extract *extract, assay_text line,
                                  const assay_reader_options *options, const char *where,
                                  const char **id, assay_error *error)
{
    ASSAY_TRY(assay_json_parse(line.data, line.length, where, &extract->record, error));
    const json_t *record = extract->record;
    if (!json_is_object(record))
        return assay_fail(error, ASSAY_E_FORMAT, where, "expected a JSON object on each line");
    const char *id_field = field_name(record, options->id_field, "_id", "id");
    const char *text_field = field_name(record, options->text_field, "text", "contents");
    const char *title_field = options->title_field != NULL ? options->title_field : "title";
    if (json_object_get(record, id_field) == NULL)
        return missing(options->id_field, "_id", "id", where, error);
    if (json_object_get(record, text_field) == NULL)
        return missing(options->text_field, "text", "contents", where, error);
    ASSAY_TRY(read_id(extract, id_field, where, id, error));
    const char *title = "", *text = "";
    ASSAY_TRY(assay_json_string(record, title_field, where, &title, error));
    ASSAY_TRY(assay_json_string(record, text_field, where, &text, error));
    size_t length = strlen(text);
    if (assay_skip_space(text, 0, length) == length) {
        text = title; /* BEIR has records that are a title alone */
        length = strlen(title);
    }
    extract->title = title;
    extract->text = (assay_text){text, length};
    return read_metadata(extract, id_field, title_field, text_field, error);
}
