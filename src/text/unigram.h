/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unigram.h: a text cut into the pieces of the largest sum of scores (Kudo 2018,
 * "Subword Regularization", section 3.2), by Viterbi's algorithm.
 *
 * Equal to the model Unigram of the Hugging Face tokenizers library: sums are
 * added up from the text's beginning in double precision, of equal ones that of
 * the longer last piece wins, a character that is no piece scores 10 less than
 * the worst piece, and such characters in a row are one unknown token.
 *
 * Pieces and texts have a space in place of U+2581, by which SentencePiece marks
 * the beginning of a word.
 *
 * The lattice is kept from the last place that every best path goes through:
 * memory is bounded by how far paths run side by side, time is linear.
 */
#ifndef ASSAY_UNIGRAM_H
#define ASSAY_UNIGRAM_H

#include "text/piece_trie.h"
#include "text/tokenizer.h"

/* Immutable once made. */
typedef struct assay_unigram {
    assay_piece_trie trie;
    double *scores;       /* [pieces] by id */
    double unknown_score; /* of a character that is no piece */
    int32_t unknown;
    bool byte_fallback;   /* an unknown token becomes those of its bytes */
    int32_t bytes[256];   /* -1: there is none */
} assay_unigram;

void assay_unigram_free(assay_unigram *model);

/* Scratch; a zeroed struct will do, and it is reused from text to text. */
typedef struct assay_lattice {
    struct assay_lattice_node *nodes;
    size_t capacity;
} assay_lattice;

void assay_lattice_free(assay_lattice *lattice);

/* A text: a space, if `marked`, and bytes[length], valid UTF-8. */
typedef struct assay_unigram_text {
    bool marked;
    const uint8_t *bytes;
    size_t length;
} assay_unigram_text;

/* Appends the pieces of a text, which isn't empty, with their offsets in it (the
 * marking space is at 0). What comes after tokens->count reached `enough` may be
 * left out. Fails with MEMORY only. */
assay_status assay_unigram_encode(const assay_unigram *model, assay_lattice *lattice,
                                  assay_unigram_text text, size_t enough, assay_tokens *tokens,
                                  assay_error *error);

#endif
