/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flat.h: exact nearest vectors by inner product, over a mapped file.
 *
 * Where there are codes of bytes beside the vectors, as in a graph or lists, a search reads these,
 * a quarter of the bytes, and of the vectors only those that might be among the best for all
 * that rounding may have taken from their score. The result is the same to the bit.
 *
 * Derived from the store: written whole, opened by mmap, thrown away and
 * written again when its stamp is not the collection's. The format stands at
 * the top of flat.c.
 */
#ifndef ASSAY_FLAT_H
#define ASSAY_FLAT_H

#include "base/bits.h"
#include "index/candidates.h"
#include "index/codes.h"

/* What a file was made from; a file with another stamp is out of date. */
typedef struct assay_flat_stamp {
    uint64_t collection; /* key in the store */
    uint64_t generation;
    uint32_t dimensions;
} assay_flat_stamp;

/* Writing: the file appears under its name when commit succeeds. One thread. */
typedef struct assay_flat_writer assay_flat_writer;

assay_status assay_flat_create(const char *path, const assay_flat_stamp *stamp,
                               assay_flat_writer **out, assay_error *error);
/* vector: [dimensions]; of length 1, for the inner product to be the cosine. */
assay_status assay_flat_append(assay_flat_writer *writer, uint64_t passage,
                               const float *vector, assay_error *error);
/* Both free the writer. */
assay_status assay_flat_commit(assay_flat_writer *writer, assay_error *error);
void assay_flat_abort(assay_flat_writer *writer);

typedef struct assay_flat assay_flat; /* immutable; shared */

/* Checks header, sizes and the header's checksum; not the vectors, which may be
 * gigabytes (assay_flat_verify does). NOT_FOUND, CORRUPT, VERSION. */
assay_status assay_flat_open(const char *path, assay_flat **out, assay_error *error);
/* The same over vectors[stamp.dimensions], their codes (NULL: none) and keys in memory, which
 * must outlive it; a key of 0 is none. NULL when memory is short. */
assay_flat *assay_flat_over(const float *vectors, const assay_codes *codes, const uint64_t *keys,
                            uint64_t count, const assay_flat_stamp *stamp);
void assay_flat_close(assay_flat *flat);
assay_flat_stamp assay_flat_stamp_of(const assay_flat *flat);
uint64_t assay_flat_count(const assay_flat *flat);
/* The passage in a slot below the count; 0: none. */
uint64_t assay_flat_key(const assay_flat *flat, uint64_t slot);
/* The vector of a passage, [dimensions], as long as the index is open; NULL: there is none.
 * Looks through all keys. */
const float *assay_flat_vector(const assay_flat *flat, uint64_t passage);

/* Reads all of it against the checksums. */
assay_status assay_flat_verify(const assay_flat *flat, assay_error *error);

/* The places in the file of the passages in the set: *slots is the caller's,
 * assay_bits_free; *count how many there are. */
assay_status assay_flat_slots(const assay_flat *flat, const assay_bits *passages,
                              assay_bits *slots, uint64_t *count, assay_error *error);

/* Working memory of searches: one per searching thread, made once. */
typedef struct assay_flat_scratch assay_flat_scratch;

/* limit: most candidates a search returns; workers: most threads it uses, 0 for
 * all cores. NULL when memory is short. */
assay_flat_scratch *assay_flat_scratch_new(uint32_t limit, uint32_t workers);
void assay_flat_scratch_free(assay_flat_scratch *scratch);

/* The best min(limit, count) vectors for query[dimensions] of those in the slots
 * (NULL: all), in order, to out[limit of the scratch]; returns their number. The
 * scan is split over the scratch's workers; the result does not depend on how.
 * Allocates nothing. */
size_t assay_flat_search(const assay_flat *flat, const float *query, const assay_bits *slots,
                         assay_flat_scratch *scratch, assay_candidate *out);

#endif
