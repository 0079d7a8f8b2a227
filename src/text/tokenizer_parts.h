/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer_parts.h: what a tokenizer is made of, for those that make it
 * (tokenizer_file.c) and that run it (tokenizer.c), and nobody else.
 */
#ifndef ASSAY_TOKENIZER_PARTS_H
#define ASSAY_TOKENIZER_PARTS_H

#include "text/added_tokens.h"
#include "text/bert_normalizer.h"
#include "text/wordpiece.h"

#define ASSAY_TEMPLATE_MAX 32

/* How the tokens of the texts and the special ones lie in an encoding. */
typedef enum assay_piece_kind {
    ASSAY_PIECE_SPECIAL,
    ASSAY_PIECE_FIRST, /* all tokens of the first text */
    ASSAY_PIECE_SECOND,
} assay_piece_kind;

typedef struct assay_template_piece {
    assay_piece_kind kind;
    uint8_t type; /* token type */
    int32_t id;   /* of a special token */
} assay_template_piece;

typedef struct assay_template {
    assay_template_piece pieces[ASSAY_TEMPLATE_MAX];
    size_t count;
    size_t special; /* pieces that are special tokens */
} assay_template;

struct assay_tokenizer {
    assay_char_table classes;
    assay_vocabulary vocabulary;    /* of the model, then added tokens outside it */
    char prefix[64];                /* of continuing pieces */
    assay_bert_normalizer normalizer;
    assay_wordpiece model;
    assay_added_tokens plain;       /* looked for in the text as it is */
    assay_added_tokens normalized;  /* looked for in the normalised text */
    assay_template single, pair;
    assay_special_tokens special;
    uint32_t limit;
    assay_digest digest;
};

#endif
