/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer_parts.h: what a tokenizer is made of, for those that make it
 * (tokenizer_file.c) and that run it (tokenizer.c), and nobody else.
 */
#ifndef ASSAY_TOKENIZER_PARTS_H
#define ASSAY_TOKENIZER_PARTS_H

#include "text/added_tokens.h"
#include "text/bert_normalizer.h"
#include "text/metaspace.h"
#include "text/spm_normalizer.h"
#include "text/tokenizer.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

typedef enum assay_tokenizer_kind {
    ASSAY_WORDPIECE, /* normalizer, model */
    ASSAY_UNIGRAM,   /* spm, metaspace, unigram */
} assay_tokenizer_kind;

struct assay_tokenizer {
    assay_tokenizer_kind kind;
    assay_char_table classes;
    assay_vocabulary vocabulary;    /* of the model, then added tokens outside it */
    char prefix[64];                /* of continuing pieces */
    assay_bert_normalizer normalizer;
    assay_wordpiece model;
    assay_spm_normalizer spm;
    assay_metaspace metaspace;
    assay_unigram unigram;
    assay_added_tokens plain;       /* looked for in the text as it is */
    assay_added_tokens normalized;  /* looked for in the normalised text */
    assay_template single, pair;
    assay_special_tokens special;
    uint32_t limit;
    assay_digest digest;
};

#endif
