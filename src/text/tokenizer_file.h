/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer_file.h: what the readers of tokenizer.json share: tokenizer_file.c,
 * which reads what every kind has, and unigram_file.c. Nobody else's business.
 */
#ifndef ASSAY_TOKENIZER_FILE_H
#define ASSAY_TOKENIZER_FILE_H

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "text/tokenizer_parts.h"

/* A field of a file, for the `where` of errors. */
typedef struct assay_place {
    char text[256];
} assay_place;

static inline assay_place assay_place_of(const char *path, const char *field)
{
    assay_place place;
    size_t length = strlen(path);
    const char *tail = length > 160 ? path + length - 160 : path;
    snprintf(place.text, sizeof place.text, "%s: %s", tail, field);
    return place;
}

/* The field "type" of a component; "null" when there is no component. */
static inline const char *assay_type_of(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    if (type != NULL)
        return type;
    return component == NULL || json_is_null(component) ? "null" : "a component without type";
}

/* UNSUPPORTED: what was found, and what it would have to be. */
static inline assay_status assay_refuse(const char *path, const char *field, const char *found,
                                        const char *expected, assay_error *error)
{
    return assay_fail(error, ASSAY_E_UNSUPPORTED, assay_place_of(path, field).text,
                      "%s is not supported, %s is", found, expected);
}

/* A Unigram tokenizer's normalizer, pre_tokenizer and model out of the root of
 * tokenizer.json; the vocabulary and the scores are there already. */
assay_status assay_unigram_read(assay_tokenizer *tokenizer, const json_t *root, const char *path,
                                assay_error *error);

/* Lets texts be cut at spaces, where nothing looks across: to be called when the
 * added tokens are known. */
void assay_unigram_allow_segments(assay_tokenizer *tokenizer);

/* The id of a piece; -1 when there is none. May make the vocabulary's index. */
assay_status assay_unigram_find(assay_tokenizer *tokenizer, const char *content, size_t length,
                                const char *where, int32_t *id, assay_error *error);

#endif
