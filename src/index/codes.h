/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codes.h: vectors in the form in which an index compares them.
 *
 * f32 is the vector itself, f16 its halves, i8 bytes with one scale a vector
 * (symmetric: the largest coordinate becomes 127). A score is an inner product;
 * with i8 the query is bytes, too, and products are exact integers. Codes that are
 * not f32 are for finding candidates, whose vectors then give the exact score.
 *
 * Scores are the same bits whatever the instruction set. Reading is thread-safe.
 */
#ifndef ASSAY_CODES_H
#define ASSAY_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum assay_code_kind {
    ASSAY_CODE_F32 = 1,
    ASSAY_CODE_F16 = 2,
    ASSAY_CODE_I8 = 3,
} assay_code_kind;

/* Rows of codes; the memory is the caller's. */
typedef struct assay_codes {
    assay_code_kind kind;
    uint32_t dimensions;
    void *rows;    /* [slots][assay_code_bytes], aligned to 64 */
    float *scales; /* [slots] where assay_code_scaled, or NULL */
} assay_codes;

/* "f32", "f16", "i8"; NULL, false: none of them. */
const char *assay_code_name(assay_code_kind kind);
bool assay_code_named(const char *name, assay_code_kind *out);

/* Of one code, filler included; of a query's form. */
size_t assay_code_bytes(assay_code_kind kind, uint32_t dimensions);
size_t assay_code_query_bytes(assay_code_kind kind, uint32_t dimensions);
bool assay_code_scaled(assay_code_kind kind);

/* Writes the code of vector[dimensions]; numbers beyond what a half holds become
 * the largest it does. */
void assay_codes_put(const assay_codes *codes, uint32_t slot, const float *vector);

/* A query in the form that fits the codes. */
typedef struct assay_code_query {
    const void *row;
    float scale;
} assay_code_query;

/* Of a vector, or of a stored code; `room` is assay_code_query_bytes, aligned to 64,
 * and must live as long as the query. */
assay_code_query assay_codes_ask(const assay_codes *codes, const float *vector, void *room);
assay_code_query assay_codes_ask_slot(const assay_codes *codes, uint32_t slot, void *room);

/* scores[i] of the codes in slots at[i]. */
void assay_codes_score(const assay_codes *codes, const assay_code_query *query,
                       const uint32_t *at, size_t count, float *scores);

#endif
