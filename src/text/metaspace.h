/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metaspace.h: normalised text cut into what a Unigram model sees at a time, as
 * Metaspace of the Hugging Face tokenizers library does, alone or after
 * WhitespaceSplit.
 *
 * SentencePiece marks spaces by U+2581. Here marks become spaces instead, which
 * is the same to the model (see unigram.h) and leaves most text as it is.
 */
#ifndef ASSAY_METASPACE_H
#define ASSAY_METASPACE_H

#include "text/normal.h"
#include "text/unicode.h"

typedef enum assay_metaspace_prepend {
    ASSAY_PREPEND_ALWAYS, /* a mark before every text that does not begin with one */
    ASSAY_PREPEND_FIRST,  /* before one that begins where the original does */
    ASSAY_PREPEND_NEVER,
} assay_metaspace_prepend;

typedef struct assay_metaspace {
    bool words; /* white space separates texts and is dropped */
    bool split; /* at each mark, which goes with what follows */
    assay_metaspace_prepend prepend;
} assay_metaspace;

/* Bytes [from, to) of a normal text, with a mark before them when `marked`. */
typedef struct assay_metaspace_piece {
    size_t from, to;
    bool marked;
} assay_metaspace_piece;

/* Where a walk stands: begin with {.next = from, .to = to}. */
typedef struct assay_metaspace_walk {
    size_t next, to; /* not looked at yet */
    size_t at, end;  /* of the text that is being cut, what is left */
    bool marked;
} assay_metaspace_walk;

/* The next piece; false when there is none. Marks in *normal become spaces. */
bool assay_metaspace_next(const assay_metaspace *how, const assay_char_table *classes,
                          assay_normal *normal, assay_metaspace_walk *walk,
                          assay_metaspace_piece *piece);

#endif
