/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.h: expressions over documents' metadata, as a program of sets.
 *
 *   year >= 2020 and lang in ("en", "de") and not (tag = "draft" or exists(gone))
 *
 *   filter  = both { "or" both }          both = one { "and" one }
 *   one     = "not" one | "(" filter ")" | "exists" "(" field ")"
 *           | field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
 *           | field [ "not" ] "in" "(" value { "," value } ")"
 *   field   = a letter or "_", then letters, digits, "_", "-", "."; or anything
 *             in backquotes. Letters are those of ASCII and all bytes above it
 *   value   = "text" or 'text' (with \" \' \\) | number | date | true | false
 *   date    = 2020-05 | 2020-05-01 | 2020-05-01T10:30[:00[.000]][Z|+02:00]
 *
 * Words of the language are read in any case. "==" and "<>" are read as "=" and
 * "!=". A comparison holds for a document when one of the field's values is of
 * the literal's kind and fulfils it; text compares by bytes. A date stands for
 * the span that it names: "<= 2020-05" takes in all of May. "!=" and "not in"
 * are the negations of "=" and "in", and hold where the field is missing.
 *
 * The same in JSON, which is what a text that begins with "{" is:
 *
 *   {"year": {"$gte": 2020}, "lang": {"$in": ["en", "de"]},
 *    "$not": {"$or": [{"tag": "draft"}, {"gone": {"$exists": true}}]}}
 *
 *   filter  = { member, ... }, which all must hold
 *   member  = "field": value | "field": { operator: value, ... }, all of them
 *           | "$and": [filter, ...] | "$or": [filter, ...] | "$not": filter
 *   operator: $eq $ne $lt $lte $gt $gte, $in and $nin with a list, $exists with a truth
 *   value   = text | number | true | false | {"$date": "2020-05"}
 */
#ifndef ASSAY_FILTER_H
#define ASSAY_FILTER_H

#include "text/metadata.h"

typedef enum assay_filter_op {
    ASSAY_FILTER_RANGE,  /* push: documents with a value of the field in the range */
    ASSAY_FILTER_EXISTS, /* push: documents that have the field */
    ASSAY_FILTER_AND,    /* of the two sets on top, and so on */
    ASSAY_FILTER_OR,
    ASSAY_FILTER_NOT,
} assay_filter_op;

typedef struct assay_filter_step {
    assay_filter_op op;
    const char *field;
    assay_value low, high; /* of one kind, that of `low` */
    bool has_low, has_high;
    bool low_open, high_open; /* the end itself is outside */
} assay_filter_step;

enum {
    ASSAY_FILTER_STEPS = 4096, /* most in a program */
    ASSAY_FILTER_DEPTH = 32,   /* of parentheses and negations */
    ASSAY_FILTER_STACK = 2 * ASSAY_FILTER_DEPTH + 4, /* sets at a time, at most */
    ASSAY_FILTER_LENGTH = 65536, /* bytes of an expression */
};

typedef struct assay_filter assay_filter; /* immutable; shared */

/* Errors: FORMAT with the place, LIMIT. *out is NULL for "{}", which lets all through. */
assay_status assay_filter_parse(const char *text, assay_filter **out, assay_error *error);
void assay_filter_free(assay_filter *filter);

/* The program, in postfix order: it leaves one set. */
const assay_filter_step *assay_filter_steps(const assay_filter *filter, size_t *count);

#endif
