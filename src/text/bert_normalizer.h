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

typedef struct assay_pending_char {
    uint32_t point, begin, end;
    uint8_t combining;
    bool added; /* by a decomposition: it has no place of its own */
} assay_pending_char;

/* Normalised text; a zeroed struct is empty. Reused from text to text. */
typedef struct assay_normal {
    uint8_t *bytes;   /* [count] UTF-8 */
    uint32_t *begins; /* [count] where in the original the byte's character began */
    uint32_t *ends;   /* [count] and ended */
    size_t count, capacity;
    bool straight; /* byte i is original byte base + i; begins and ends are unset */
    uint32_t base;
    assay_pending_char *pending, *sorted; /* characters that NFD may yet reorder */
    size_t pending_count, pending_capacity;
} assay_normal;

void assay_normal_free(assay_normal *normal);

/* Original range of the normalised bytes [from, to), from < to. */
static inline uint32_t assay_normal_begin(const assay_normal *normal, size_t from)
{
    return normal->straight ? normal->base + (uint32_t)from : normal->begins[from];
}
static inline uint32_t assay_normal_end(const assay_normal *normal, size_t to)
{
    return normal->straight ? normal->base + (uint32_t)to : normal->ends[to - 1];
}

/* Replaces the content of *normal by the normal form of text[from, to).
 * to <= UINT32_MAX. Fails with MEMORY only. */
assay_status assay_bert_normalize(const assay_bert_normalizer *normalizer,
                                  const uint8_t *text, size_t from, size_t to,
                                  assay_normal *normal, assay_error *error);

#endif
