/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codes.h: vectors in the form in which an index compares them.
 *
 * f32 is the vector itself, f16 its halves, i8 bytes with one scale a vector
 * (symmetric: the largest coordinate becomes 127). A score is an inner product;
 * with i8 the query is bytes, too, and products are exact integers. Codes that are
 * not f32 are for finding candidates, whose vectors then give the exact score.
 *
 * b1 has one bit a coordinate (RaBitQ, Gao & Long 2024): the sign of what is left of
 * the vector without the centre of all, turned by a fixed rotation (rotation.h). Of a
 * query, whose coordinates are bytes, a code gives an estimate of the inner product
 * without bias and says how far off it may be. Departures: the query's bytes are not
 * rounded at random, as seven bits leave little to be gained by it, and there is one
 * centre instead of one a cluster.
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
    ASSAY_CODE_B1 = 4,
} assay_code_kind;

/* Rows of codes; the memory is the caller's. */
typedef struct assay_codes {
    assay_code_kind kind;
    uint32_t dimensions;
    size_t stride; /* assay_code_bytes */
    void *rows;    /* [slots][assay_code_bytes], aligned to 64 */
    float *scales; /* of i8 [slots]; of b1 the centre, [dimensions]; else NULL */
} assay_codes;

/* "f32", "f16", "i8", "b1"; NULL, false: none of them. */
const char *assay_code_name(assay_code_kind kind);
bool assay_code_named(const char *name, assay_code_kind *out);

/* Of one code, filler included; of a query's form; floats of the scales. */
size_t assay_code_bytes(assay_code_kind kind, uint32_t dimensions);
size_t assay_code_query_bytes(assay_code_kind kind, uint32_t dimensions);
uint64_t assay_code_scale_count(assay_code_kind kind, uint32_t dimensions, uint64_t slots);

/* Codes in memory that is there. */
assay_codes assay_codes_over(assay_code_kind kind, uint32_t dimensions, void *rows,
                             float *scales);

/* To be called with the first vectors[count][dimensions] before any is put: the centre
 * of b1 is theirs. */
void assay_codes_begin(const assay_codes *codes, const float *vectors, size_t count);

/* Writes the code of vector[dimensions]; numbers beyond what a half holds become
 * the largest it does. `room` is assay_code_query_bytes, aligned to 64. */
void assay_codes_put(const assay_codes *codes, uint32_t slot, const float *vector, void *room);

/* Whether none of vector[n] is NaN or infinite. */
bool assay_vector_is_finite(const float *vector, size_t n);

/* A query in the form that fits its codes. */
typedef struct assay_code_query {
    const assay_codes *codes;
    const void *row;
    float scale;
    float add;    /* of b1: to every score, ... */
    float length; /* ... and of the query without the centre */
} assay_code_query;

/* Of a vector, or of a stored code that is not b1; `room` is assay_code_query_bytes,
 * aligned to 64, and must live as long as the query. */
assay_code_query assay_codes_ask(const assay_codes *codes, const float *vector, void *room);
assay_code_query assay_codes_ask_slot(const assay_codes *codes, uint32_t slot, void *room);

/* scores[i] of the codes in slots at[i]. */
void assay_codes_score(const assay_code_query *query, const uint32_t *at, size_t count,
                       float *scores);

/* Fetches a code that is going to be scored: all of it where it is short. Of a longer one
 * the processor fetches the rest by itself. */
static inline void assay_codes_fetch(const assay_codes *codes, uint32_t slot)
{
    enum { AHEAD = 512, LINE = 64 };
    const uint8_t *code = (const uint8_t *)codes->rows + (size_t)slot * codes->stride;
    for (size_t i = 0; i < codes->stride && i < AHEAD; i += LINE)
        __builtin_prefetch(code + i);
}

/* How far the exact score may lie above that of b1, nearly certainly; 0 of others. */
float assay_codes_reach(const assay_code_query *query, uint32_t slot);

#endif
