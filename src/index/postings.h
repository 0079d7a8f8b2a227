/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postings.h: an inverted index of a collection's passages, over a mapped file.
 *
 * For each term the passages that have it and how often, in the order of their
 * keys; the number of a passage in that order is its slot. Derived from the
 * store's FTS5 table, whose tokenizer is the only one: written whole, opened by
 * mmap, thrown away when its stamp is not the collection's. The format stands at
 * the top of postings.c, the search at that of postings_search.c.
 */
#ifndef ASSAY_POSTINGS_H
#define ASSAY_POSTINGS_H

#include "base/bits.h"
#include "index/candidates.h"

/* What a file was made from; a file with another stamp is out of date. */
typedef struct assay_postings_stamp {
    uint64_t collection; /* key in the store */
    uint64_t generation;
} assay_postings_stamp;

/* Writing: the file appears under its name when commit succeeds. One thread. */
typedef struct assay_postings_writer assay_postings_writer;

/* keys[count] ascending, and the passages' lengths in tokens: the caller's, until
 * commit or abort. k1 and b: those that most searches will have; any others are
 * answered, with looser bounds. */
assay_status assay_postings_create(const char *path, const assay_postings_stamp *stamp,
                                   const uint64_t *keys, const uint32_t *lengths,
                                   uint64_t count, double k1, double b,
                                   assay_postings_writer **out, assay_error *error);
/* The next term, behind the last one by bytes: it stands frequencies[i] > 0 times
 * in slots[i], which ascend. */
assay_status assay_postings_add(assay_postings_writer *writer, assay_text term,
                                const uint32_t *slots, const uint32_t *frequencies,
                                size_t count, assay_error *error);
/* Both free the writer. */
assay_status assay_postings_commit(assay_postings_writer *writer, assay_error *error);
void assay_postings_abort(assay_postings_writer *writer);

typedef struct assay_postings assay_postings; /* one thread: it keeps scratch memory */

/* Checks header and sizes, not the lists, which may be gigabytes
 * (assay_postings_verify does). NOT_FOUND, CORRUPT, VERSION. */
assay_status assay_postings_open(const char *path, assay_postings **out, assay_error *error);
void assay_postings_close(assay_postings *postings);
assay_postings_stamp assay_postings_stamp_of(const assay_postings *postings);

typedef struct assay_postings_size {
    uint64_t passages, terms, bytes;
} assay_postings_size;
assay_postings_size assay_postings_size_of(const assay_postings *postings);

/* Reads all of it against the checksum. */
assay_status assay_postings_verify(const assay_postings *postings, assay_error *error);

/* The slots of the passages in the set: *slots is the caller's, assay_bits_free. */
assay_status assay_postings_slots(const assay_postings *postings, const assay_bits *passages,
                                  assay_bits *slots, assay_error *error);

/* A term of a question, as FTS5 keeps it, and how often it stands there. */
typedef struct assay_term {
    assay_text text;
    uint32_t count;
} assay_term;

enum { ASSAY_TERMS_MAX = 1024 }; /* of a question */

/* BM25 as assay_store_bm25 has it, to the bit: the best k passages of those in the
 * slots (NULL: all), best first, ties by key. CORRUPT when a list is damaged. */
assay_status assay_postings_search(assay_postings *postings, const assay_term *terms,
                                   size_t count, double k1, double b, const assay_bits *slots,
                                   size_t k, assay_candidate *out, size_t *found,
                                   assay_error *error);

#endif
