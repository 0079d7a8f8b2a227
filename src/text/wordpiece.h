/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wordpiece.h: a word cut into the longest pieces of a vocabulary, greedily from
 * its beginning (Wu et al. 2016, section 4.1, as BERT uses it).
 */
#ifndef ASSAY_WORDPIECE_H
#define ASSAY_WORDPIECE_H

#include "text/tokenizer.h"
#include "text/vocabulary.h"

typedef struct assay_wordpiece {
    const assay_vocabulary *vocabulary;
    const char *prefix; /* of a piece that continues a word: "##" */
    size_t prefix_length;
    uint64_t word_seed, piece_seed;
    size_t longest_word; /* in characters; a longer one is unknown */
    int32_t unknown;
} assay_wordpiece;

/* `prefix` is kept, not copied. */
void assay_wordpiece_init(assay_wordpiece *model, const assay_vocabulary *vocabulary,
                          const char *prefix, size_t longest_word, int32_t unknown);

/* Appends the pieces of word[length] (not empty, valid UTF-8), or the unknown
 * token. Offsets are bytes into the word, plus `base`. Fails with MEMORY only. */
assay_status assay_wordpiece_encode(const assay_wordpiece *model, const uint8_t *word,
                                    size_t length, size_t base, assay_tokens *tokens,
                                    assay_error *error);

#endif
