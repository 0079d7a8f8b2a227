/* SPDX-License-Identifier: Apache-2.0 */
/* json.c: see json.h. */
#include "base/json.h"

#include <stdio.h>

#include "base/file.h"

assay_status assay_json_parse(const char *data, size_t length, const char *where, json_t **out,
                              assay_error *error)
{
    json_error_t reason;
    *out = json_loadb(data, length, JSON_REJECT_DUPLICATES, &reason);
    if (*out == NULL)
        return assay_fail(error, ASSAY_E_FORMAT, where, "not JSON: line %d, column %d: %s",
                          reason.line, reason.column, reason.text);
    return ASSAY_OK;
}

assay_status assay_json_read(const char *path, size_t limit, json_t **out, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, limit);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK)
        status = assay_json_parse(text.data != NULL ? text.data : "", text.length, path, out,
                                  error);
    assay_buffer_free(&text);
    return status;
}

/* The field's value; NULL when absent or null. */
static const json_t *field_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    return json_is_null(value) ? NULL : value;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "a string", "a number",
                                        "a number",  "true",   "false",    "null"};
    return names[json_typeof(value)];
}

static assay_status wrong_type(const json_t *value, const char *field, const char *where,
                               const char *expected, assay_error *error)
{
    assay_fail(error, ASSAY_E_FORMAT, field, "expected %s, found %s", expected,
               type_name(value));
    assay_error_prefix(error, where);
    return ASSAY_E_FORMAT;
}

assay_status assay_json_uint(const json_t *object, const char *field, const char *where,
                             uint64_t low, uint64_t high, uint64_t *value, assay_error *error)
{
    const json_t *found = field_of(object, field);
    if (found == NULL)
        return ASSAY_OK;
    if (!json_is_integer(found))
        return wrong_type(found, field, where, "a whole number", error);
    json_int_t number = json_integer_value(found);
    if (number < 0 || (uint64_t)number < low || (uint64_t)number > high) {
        assay_fail(error, ASSAY_E_FORMAT, field, "%lld is not between %llu and %llu",
                   (long long)number, (unsigned long long)low, (unsigned long long)high);
        assay_error_prefix(error, where);
        return ASSAY_E_FORMAT;
    }
    *value = (uint64_t)number;
    return ASSAY_OK;
}

assay_status assay_json_double(const json_t *object, const char *field, const char *where,
                               double low, double high, double *value, assay_error *error)
{
    const json_t *found = field_of(object, field);
    if (found == NULL)
        return ASSAY_OK;
    if (!json_is_number(found))
        return wrong_type(found, field, where, "a number", error);
    double number = json_number_value(found);
    if (!(number >= low && number <= high)) {
        assay_fail(error, ASSAY_E_FORMAT, field, "%g is not between %g and %g", number, low,
                   high);
        assay_error_prefix(error, where);
        return ASSAY_E_FORMAT;
    }
    *value = number;
    return ASSAY_OK;
}

assay_status assay_json_bool(const json_t *object, const char *field, const char *where,
                             bool *value, assay_error *error)
{
    const json_t *found = field_of(object, field);
    if (found == NULL)
        return ASSAY_OK;
    if (!json_is_boolean(found))
        return wrong_type(found, field, where, "true or false", error);
    *value = json_is_true(found);
    return ASSAY_OK;
}

assay_status assay_json_string(const json_t *object, const char *field, const char *where,
                               const char **value, assay_error *error)
{
    const json_t *found = field_of(object, field);
    if (found == NULL)
        return ASSAY_OK;
    if (!json_is_string(found))
        return wrong_type(found, field, where, "a string", error);
    *value = json_string_value(found);
    return ASSAY_OK;
}
