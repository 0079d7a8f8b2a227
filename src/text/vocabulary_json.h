/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocabulary_json.h: the vocabulary inside a tokenizer.json.
 *
 * Nearly all of such a file is one object of tokens and ids, or a list of pieces
 * and scores, which a general JSON reader turns into a tree slowly (20 ms for
 * 30,000 tokens): here it is found, cut out and read by itself; Jansson reads
 * what remains.
 */
#ifndef ASSAY_VOCABULARY_JSON_H
#define ASSAY_VOCABULARY_JSON_H

#include "text/vocabulary.h"

typedef struct assay_json_span {
    size_t begin, end; /* of the value's text; begin == end: not found */
} assay_json_span;

/* Finds where the value of "model"."vocab" begins; `end` is the text's. What is
 * malformed is not found: whoever reads the text then says why. */
assay_json_span assay_vocabulary_json_find(const char *text, size_t length);

/* Reads {"token": id, ...}: every id from 0 to count - 1 exactly once, every
 * token once. `where` and the field "model.vocab" go into errors. span->end
 * becomes that of what was read. */
assay_status assay_vocabulary_json_read(const char *text, assay_json_span *span,
                                        const char *where, assay_vocabulary *out,
                                        assay_error *error);

/* Reads [["piece", score], ...], a Unigram model's: ids are places in the list.
 * *scores is for free(). A score is the number that serde_json, and with it the
 * Hugging Face tokenizers library, reads: one bit off the nearest now and then,
 * which decides between cuts of equal score. */
assay_status assay_vocabulary_json_read_scored(const char *text, assay_json_span *span,
                                               const char *where, assay_vocabulary *out,
                                               double **scores, assay_error *error);

#endif
