/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h: Jansson with assay's errors.
 *
 * Reading a configuration is a list of "this field, of that type, or this
 * default": each getter says which field was wrong and what was expected.
 * `where` is the file's name, put before the field's in errors.
 */
#ifndef ASSAY_JSON_H
#define ASSAY_JSON_H

#include <jansson.h>

#include "base/status.h"

/* Parses; errors carry line and column. Depth is bounded by Jansson (2048),
 * duplicate keys are refused. *out is freed with json_decref. */
assay_status assay_json_parse(const char *data, size_t length, const char *where, json_t **out,
                              assay_error *error);
/* Reads and parses a file of at most `limit` bytes. */
assay_status assay_json_read(const char *path, size_t limit, json_t **out, assay_error *error);

/* Optional fields: absent or null leaves *value as it is. A wrong type, or a
 * number outside [low, high], is ASSAY_E_FORMAT. */
assay_status assay_json_uint(const json_t *object, const char *field, const char *where,
                             uint64_t low, uint64_t high, uint64_t *value, assay_error *error);
assay_status assay_json_double(const json_t *object, const char *field, const char *where,
                               double low, double high, double *value, assay_error *error);
assay_status assay_json_bool(const json_t *object, const char *field, const char *where,
                             bool *value, assay_error *error);
/* *value points into the object. */
assay_status assay_json_string(const json_t *object, const char *field, const char *where,
                               const char **value, assay_error *error);

#endif
