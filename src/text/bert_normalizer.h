/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bert_normalizer.h: text as BERT's WordPiece wants it (Devlin et al. 2019,
 * google-research/bert tokenization.py), every byte with the place in the
 * original text that it came from.
 *
 * Equal to BertNormalizer of the Hugging Face tokenizers library, in its quirks
 * too: characters that NFD moves keep the place, not the origin, of the one
 * they change places with.
 */
#ifndef ASSAY_BERT_NORMALIZER_H
#define ASSAY_BERT_NORMALIZER_H

#include "text/normal.h"
#include "text/unicode.h"

typedef struct assay_bert_options {
    bool clean_text;    /* drop control characters, make all white space ' ' */
    bool split_ideographs; /* put spaces around Chinese characters */
    bool strip_accents; /* NFD, then drop non-spacing marks */
    bool lowercase;
} assay_bert_options;

/* Immutable once made. */
typedef struct assay_bert_normalizer {
    assay_bert_options options;
    const assay_char_table *classes;
    uint8_t ascii[128];  /* what an ASCII byte becomes */
    uint8_t slow[256];   /* not 0: the byte needs more than the table above */
} assay_bert_normalizer;

void assay_bert_normalizer_init(assay_bert_normalizer *normalizer, assay_bert_options options,
                                const assay_char_table *classes);

/* Replaces the content of *normal by the normal form of text[from, to).
 * to <= UINT32_MAX. Fails with MEMORY only. */
assay_status assay_bert_normalize(const assay_bert_normalizer *normalizer,
                                  const uint8_t *text, size_t from, size_t to,
                                  assay_normal *normal, assay_error *error);

#endif
