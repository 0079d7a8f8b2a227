/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_json.c: the JSON form of a filter (filter.h): members of an object are joined by
 * and, as are the operators of a field. Programs that make filters need not quote anything
 * then, and many know these names from MongoDB.
 */
#include "text/filter_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

typedef struct reader {
    assay_filter *filter;
    assay_error *error;
    char path[160]; /* of the value at hand: "$or[1].year" */
    size_t length;
    int depth;
} reader;

/* ---- Places ---------------------------------------------------------------------- */

/* Goes down to a member; returns the length to go back to. A long path loses its end. */
static size_t enter(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static size_t enter(reader *r, const char *format, ...)
{
    size_t before = r->length, room = sizeof r->path - before;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(r->path + before, room, format, arguments);
    va_end(arguments);
    r->length += length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
    return before;
}

static size_t enter_member(reader *r, const char *name)
{
    return enter(r, "%s%.60s", r->length > 0 ? "." : "", name);
}

static void leave(reader *r, size_t before)
{
    r->length = before;
    r->path[before] = '\0';
}

static assay_status expected(const reader *r, const char *what)
{
    char where[sizeof r->path + 16];
    snprintf(where, sizeof where, "filter%s%s", r->length > 0 ? ", " : "", r->path);
    return assay_fail(r->error, ASSAY_E_FORMAT, where, "expected %s", what);
}

/* ---- Values ---------------------------------------------------------------------- */

static assay_status read_date(reader *r, const json_t *value, assay_filter_step *range)
{
    int64_t from, to;
    const char *text = json_string_value(json_object_get(value, "$date"));
    if (text == NULL || json_object_size(value) != 1 ||
        !assay_date_read(text, strlen(text), &from, &to))
        return expected(r, "a date as {\"$date\": \"2020-05-01\"} or "
                        "{\"$date\": \"2020-05-01T10:30:00Z\"}");
    *range = assay_filter_span(from, to);
    return ASSAY_OK;
}

static assay_status read_text(reader *r, const json_t *value, assay_value *out)
{
    size_t length = json_string_length(value);
    const char *copy = assay_arena_copy(r->filter->arena, json_string_value(value), length);
    *out = (assay_value){.kind = ASSAY_VALUE_TEXT, .text = {copy, length}};
    return copy != NULL ? ASSAY_OK : assay_fail_memory(r->error, length);
}

static assay_status read_value(reader *r, const json_t *value, assay_filter_step *range)
{
    assay_value one = {0};
    switch (json_typeof(value)) {
    case JSON_STRING:
        ASSAY_TRY(read_text(r, value, &one));
        break;
    case JSON_INTEGER:
        one = (assay_value){.kind = ASSAY_VALUE_NUMBER, .is_whole = true,
                            .whole = json_integer_value(value)};
        break;
    case JSON_REAL:
        one = (assay_value){.kind = ASSAY_VALUE_NUMBER, .real = json_real_value(value)};
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        one = (assay_value){.kind = ASSAY_VALUE_TRUTH, .whole = json_is_true(value)};
        break;
    case JSON_OBJECT:
        return read_date(r, value, range);
    case JSON_NULL:
        return expected(r, "a value; for a missing one {\"$exists\": false}");
    default:
        return expected(r, "a value; for one of several {\"$in\": [...]}");
    }
    *range = assay_filter_equal(one);
    return ASSAY_OK;
}

/* ---- Fields ---------------------------------------------------------------------- */

/* One of the list. */
static assay_status read_in(reader *r, const char *field, const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return expected(r, "a list of values");
    for (size_t i = 0; i < json_array_size(list); i++) {
        assay_filter_step range;
        size_t before = enter(r, "[%zu]", i);
        ASSAY_TRY(read_value(r, json_array_get(list, i), &range));
        leave(r, before);
        range.field = field;
        ASSAY_TRY(assay_filter_add(r->filter, range, r->error));
        if (i > 0)
            ASSAY_TRY(assay_filter_add_op(r->filter, ASSAY_FILTER_OR, r->error));
    }
    return ASSAY_OK;
}

static assay_status read_exists(reader *r, const char *field, const json_t *value)
{
    if (!json_is_boolean(value))
        return expected(r, "true or false");
    ASSAY_TRY(assay_filter_add(r->filter,
                               (assay_filter_step){.op = ASSAY_FILTER_EXISTS, .field = field},
                               r->error));
    return json_is_true(value) ? ASSAY_OK
                               : assay_filter_add_op(r->filter, ASSAY_FILTER_NOT, r->error);
}

static assay_status read_comparison(reader *r, const char *field, const char *sign,
                                    const json_t *value)
{
    assay_filter_step range;
    bool ordered = strcmp(sign, "$eq") != 0 && strcmp(sign, "$ne") != 0;
    ASSAY_TRY(read_value(r, value, &range));
    if (ordered && range.low.kind == ASSAY_VALUE_TRUTH)
        return expected(r, "a number, a text or a date; true and false compare with $eq and $ne "
                        "only");
    if (ordered)
        assay_filter_order(&range, sign[1] == 'l' ? '<' : '>', sign[3] == 'e');
    range.field = field;
    ASSAY_TRY(assay_filter_add(r->filter, range, r->error));
    return strcmp(sign, "$ne") == 0 ? assay_filter_add_op(r->filter, ASSAY_FILTER_NOT, r->error)
                                    : ASSAY_OK;
}

static assay_status read_operator(reader *r, const char *field, const char *name,
                                  const json_t *value)
{
    static const char *const signs[] = {"$eq", "$ne", "$lt", "$lte", "$gt", "$gte"};
    if (strcmp(name, "$in") == 0)
        return read_in(r, field, value);
    if (strcmp(name, "$nin") == 0) {
        ASSAY_TRY(read_in(r, field, value));
        return assay_filter_add_op(r->filter, ASSAY_FILTER_NOT, r->error);
    }
    if (strcmp(name, "$exists") == 0)
        return read_exists(r, field, value);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strcmp(name, signs[i]) == 0)
            return read_comparison(r, field, name, value);
    return expected(r, "$eq, $ne, $lt, $lte, $gt, $gte, $in, $nin or $exists");
}

/* {"$gte": 2020, "$lt": 2024}, or a value. */
static assay_status read_field(reader *r, const char *name, const json_t *value)
{
    const char *key, *field = assay_arena_copy(r->filter->arena, name, strlen(name));
    json_t *one;
    bool first = true;
    if (field == NULL)
        return assay_fail_memory(r->error, strlen(name));
    if (!json_is_object(value) || json_object_get(value, "$date") != NULL)
        return read_comparison(r, field, "$eq", value);
    if (json_object_size(value) == 0)
        return expected(r, "a value, or an operator such as {\"$gte\": 2020}");
    json_object_foreach((json_t *)value, key, one)
    {
        size_t before = enter_member(r, key);
        ASSAY_TRY(read_operator(r, field, key, one));
        leave(r, before);
        if (!first)
            ASSAY_TRY(assay_filter_add_op(r->filter, ASSAY_FILTER_AND, r->error));
        first = false;
    }
    return ASSAY_OK;
}

/* ---- Objects --------------------------------------------------------------------- */

static assay_status read_object(reader *r, const json_t *object);

static assay_status read_inner(reader *r, const json_t *object)
{
    if (r->depth == ASSAY_FILTER_DEPTH)
        return expected(r, "at most 32 of $and, $or and $not in one another");
    r->depth++;
    ASSAY_TRY(read_object(r, object));
    r->depth--;
    return ASSAY_OK;
}

static assay_status read_list(reader *r, const json_t *list, assay_filter_op op)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return expected(r, "a list of objects");
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t before = enter(r, "[%zu]", i);
        ASSAY_TRY(read_inner(r, json_array_get(list, i)));
        leave(r, before);
        if (i > 0)
            ASSAY_TRY(assay_filter_add_op(r->filter, op, r->error));
    }
    return ASSAY_OK;
}

static assay_status read_member(reader *r, const char *name, const json_t *value)
{
    if (strcmp(name, "$and") == 0)
        return read_list(r, value, ASSAY_FILTER_AND);
    if (strcmp(name, "$or") == 0)
        return read_list(r, value, ASSAY_FILTER_OR);
    if (strcmp(name, "$not") == 0) {
        ASSAY_TRY(read_inner(r, value));
        return assay_filter_add_op(r->filter, ASSAY_FILTER_NOT, r->error);
    }
    if (name[0] == '$' || name[0] == '\0' || strlen(name) > ASSAY_FIELD_LIMIT)
        return expected(r, "$and, $or, $not or a field's name of 1 to 256 bytes");
    return read_field(r, name, value);
}

static assay_status read_object(reader *r, const json_t *object)
{
    const char *name;
    json_t *value;
    bool first = true;
    if (!json_is_object(object) || json_object_size(object) == 0)
        return expected(r, "an object with a field's name, $and, $or or $not");
    json_object_foreach((json_t *)object, name, value)
    {
        size_t before = enter_member(r, name);
        ASSAY_TRY(read_member(r, name, value));
        leave(r, before);
        if (!first)
            ASSAY_TRY(assay_filter_add_op(r->filter, ASSAY_FILTER_AND, r->error));
        first = false;
    }
    return ASSAY_OK;
}

assay_status assay_filter_parse_json(const char *text, size_t length, assay_filter *filter,
                                     bool *everything, assay_error *error)
{
    reader r = {.filter = filter, .error = error};
    json_t *root;
    ASSAY_TRY(assay_json_parse(text, length, "filter", &root, error));
    *everything = json_is_object(root) && json_object_size(root) == 0;
    assay_status status = *everything ? ASSAY_OK : read_object(&r, root);
    json_decref(root);
    return status;
}
