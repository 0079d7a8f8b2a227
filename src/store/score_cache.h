/* SPDX-License-Identifier: Apache-2.0 */
/*
 * score_cache.h: logits that a reranker gave before, and answers of language models.
 *
 * A file of the data directory beside the store, <home>/scores.sqlite: what is in
 * it can be computed again, so a search, which only reads the store, may write
 * it, lose it or find it damaged, and neither waits for a writer of documents nor
 * makes one wait. Whoever cannot write it reads it, and whoever cannot read it
 * computes.
 *
 * The key is made by the caller: of a question, all that a logit depends on but
 * the passage (model, precision, query); of a passage, what is read of it.
 */
#ifndef ASSAY_SCORE_CACHE_H
#define ASSAY_SCORE_CACHE_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/status.h"

/* Room for about 90,000 questions with 30 passages each. */
#define ASSAY_SCORE_CACHE_BYTES ((uint64_t)64 << 20)

typedef struct assay_score_cache assay_score_cache; /* one thread */

/* Opens the file in this folder, or makes it. It grows to about `limit` bytes,
 * then loses the questions that were not asked for longest. NOT_FOUND where
 * there is none and none can be made; FORMAT for another program's file, VERSION
 * for that of a newer assay; else IO, BUSY, FULL. */
assay_status assay_score_cache_open(const char *home, uint64_t limit, assay_score_cache **out,
                                    assay_error *error);
void assay_score_cache_close(assay_score_cache *cache);

/* Looks up passages[count]: logits[i] where known[i] is set. On failure none is
 * known. CORRUPT: the file was damaged; it has been begun anew where it can be
 * written. */
assay_status assay_score_cache_get(assay_score_cache *cache, const assay_digest *question,
                                   const assay_digest *passages, size_t count, float *logits,
                                   bool *known, assay_error *error);

/* Keeps logits for the question looked up last, or, with a count of 0, notes that
 * it was asked again. Does nothing to a cache that can only be read. */
assay_status assay_score_cache_put(assay_score_cache *cache, const assay_digest *question,
                                   const assay_digest *passages, const float *logits,
                                   size_t count, assay_error *error);

/* The answer to a language model's question, appended; nothing when it is not known.
 * One of more than 80 KB, or that ends in NUL, is not kept. */
assay_status assay_score_cache_get_answer(assay_score_cache *cache, const assay_digest *question,
                                          assay_buffer *out, assay_error *error);
assay_status assay_score_cache_put_answer(assay_score_cache *cache, const assay_digest *question,
                                          const char *answer, size_t length, assay_error *error);

/* Reads the whole file in this folder, if there is one; CORRUPT says what is
 * wrong. */
assay_status assay_score_cache_check(const char *home, assay_error *error);

#endif
