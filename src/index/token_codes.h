/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_codes.h: vectors of tokens in a few bits a coordinate: residual codes, as of
 * ColBERTv2 (Santhanam et al. 2022): the number of the centre nearest to a vector, and
 * coarsely what is left of the vector without it.
 *
 * Departures: what is left is turned first (rotation.h), so that all its coordinates are
 * about equally large and one grid of odd integers suits them all, +-1 with one bit, to
 * +-15 with four; and each vector has a factor of its own, with which products come out
 * without bias (as of RaBitQ, Gao & Long 2024).
 *
 * MaxSim needs no vector back: a product with a query's vector is that with the centre,
 * computed once a query for all centres, and that of integers with the bytes of the
 * query's vector, turned. Scores are the same bits whatever the instruction set.
 *
 * A book says what codes mean. As bytes, little-endian:
 *
 *   offset  bytes
 *        0      8  "assaybk" and a NUL
 *        8      4  version, 1; of halves 2
 *       12      4  dimensions d
 *       16      4  bits a coordinate: 1, 2 or 4; 16: vectors are kept whole, as halves
 *                  (binary16), and the book does no more than say so: n is 0
 *       20      4  number of centres n
 *       24      8  passages that there were when it was made
 *       32  2*n*d  the centres, binary16
 *        +      8  XXH3-64 of all before
 */
#ifndef ASSAY_TOKEN_CODES_H
#define ASSAY_TOKEN_CODES_H

#include "base/buffer.h"
#include "rank/late_interaction.h"

typedef struct assay_token_book {
    uint32_t dimensions, bits, count;
    uint64_t passages;
    float *centres; /* [count][dimensions] */
} assay_token_book;

/* Codes of vectors, each part an array. */
typedef struct assay_token_codes {
    size_t count;
    const uint16_t *centres; /* [count] */
    const uint16_t *factors; /* [count] binary16 */
    const uint8_t *codes;    /* [count][assay_token_code_bytes] */
} assay_token_codes;

#define ASSAY_TOKEN_HALVES 16 /* bits of a coordinate that is kept as binary16 */

/* Of one code, without centre and factor. */
size_t assay_token_code_bytes(uint32_t bits, uint32_t dimensions);

/* What a book is made from: vectors of so many of a collection's passages; and how many
 * vectors at most. */
uint64_t assay_token_book_sample(uint64_t passages);
size_t assay_token_book_most(uint32_t dimensions);

/* Makes one of vectors[count][dimensions], which are a share of all that the passages
 * have. The same for the same input, whatever the number of threads (0: all). */
assay_status assay_token_book_make(uint32_t dimensions, uint32_t bits, uint64_t passages,
                                   double share, const float *vectors, size_t count,
                                   uint32_t threads, assay_token_book **out,
                                   assay_error *error);
/* That of halves. */
assay_status assay_token_book_plain(uint32_t dimensions, uint64_t passages,
                                    assay_token_book **out, assay_error *error);
/* Whether vectors are codes of it, and not halves. */
bool assay_token_book_coded(const assay_token_book *book);
/* Whether a collection of so many passages should have another. */
bool assay_token_book_outgrown(const assay_token_book *book, uint64_t passages);
void assay_token_book_free(assay_token_book *book);

/* Appends its bytes. */
void assay_token_book_write(const assay_token_book *book, assay_buffer *out);
/* CORRUPT, VERSION. */
assay_status assay_token_book_read(const void *bytes, size_t length, const char *where,
                                   assay_token_book **out, assay_error *error);

/* Codes of vectors[count][dimensions], to arrays of the caller's. */
assay_status assay_token_encode(const assay_token_book *book, const float *vectors, size_t count,
                                uint32_t threads, uint16_t *centres, uint16_t *factors,
                                uint8_t *codes, assay_error *error);

/* A question in the form that fits a book; {0} at first. One thread. */
typedef struct assay_token_query {
    const assay_token_book *book;
    size_t count;    /* vectors */
    float *products; /* [centres][assay_whole_panels(count)], over steps */
    int8_t *panels;  /* of bytes of the turned vectors */
    float *steps;    /* [count] what 1 means in them */
    float *scaled, *scaled_panels, *turned; /* while it is made */
    int8_t *bytes;
    int8_t *rows;    /* of some of a passage */
    void *block;
    size_t block_bytes;
} assay_token_query;

/* The book must live as long as the query. */
assay_status assay_token_ask(assay_token_query *query, const assay_token_book *book,
                             const assay_question *question, assay_error *error);
void assay_token_query_free(assay_token_query *query);

/* A passage's score (assay_late_maxsim); NAN when a centre is none of the book's. */
float assay_token_maxsim(const assay_token_query *query, const assay_token_codes *passage);
/* What its centres alone, all of the book's, tell of a passage. */
float assay_token_maxsim_centres(const assay_token_query *query, const uint16_t *centres,
                                 size_t count);

#endif
