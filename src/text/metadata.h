/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata.h: what a document's metadata says, as fields with values.
 *
 * Metadata is one JSON object (text/reader.h). A member is a field; of an object
 * inside, the members are fields named "outer.inner", but those of BEIR's
 * "metadata" keep their own names. A list gives each of its values to its field.
 * Text that is written as a number or a date counts as that as well, for in
 * front matter and in many a corpus all values are text. null is no value.
 */
#ifndef ASSAY_METADATA_H
#define ASSAY_METADATA_H

#include "base/status.h"

typedef enum assay_value_kind { /* kept in stores: never renumbered */
    ASSAY_VALUE_NUMBER = 1,
    ASSAY_VALUE_TEXT = 2,
    ASSAY_VALUE_TRUTH = 3,
    ASSAY_VALUE_DATE = 4,  /* whole: milliseconds since 1970 in UTC */
    ASSAY_VALUE_OTHER = 5, /* is there, and compares with nothing */
} assay_value_kind;

typedef struct assay_value {
    assay_value_kind kind;
    bool is_whole; /* of a NUMBER: `whole` holds it, else `real` */
    int64_t whole; /* also of DATE; 0 or 1 of TRUTH */
    double real;
    assay_text text;
} assay_value;

enum {
    ASSAY_FIELD_LIMIT = 256,      /* bytes of a field's name; longer ones are left out */
    ASSAY_VALUE_TEXT_LIMIT = 1000, /* bytes of a text; longer ones are OTHER */
    ASSAY_METADATA_DEPTH = 16,    /* objects and lists in one another; deeper is OTHER */
};

/* Calls fn for each value, the same one perhaps twice. A field without a value
 * (an empty list) is not told. FORMAT when it is no JSON object. */
typedef assay_status (*assay_field_fn)(void *user, const char *field, const assay_value *value,
                                       assay_error *error);
assay_status assay_metadata_each(const char *json, assay_field_fn fn, void *user,
                                 assay_error *error);

/* The whole of text[length] as a number; it keeps 64 bits of a whole one. */
bool assay_value_number(const char *text, size_t length, assay_value *out);

/* The whole of text[length] as a date of ISO 8601: 2020-05, 2020-05-01,
 * 2020-05-01T10:30, with seconds, with a fraction; "Z", an offset from UTC, or
 * none, which is read as UTC. *begin and *end: the span that it names, end
 * excluded. */
bool assay_date_read(const char *text, size_t length, int64_t *begin, int64_t *end);

#endif
