/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequences.h: texts as the token sequences that a model reads, many at a time.
 *
 * Laid out and cut as the reranker and the bi-encoder do (rank/): of a pair the query is
 * kept whole and the passage cut; a query of more than half of the tokens is cut to that.
 * Texts of late interaction have its markers, lengths and fillers. One thread.
 */
#ifndef ASSAY_SEQUENCES_H
#define ASSAY_SEQUENCES_H

#include "base/buffer.h"
#include "model/encoder.h"
#include "text/tokenizer.h"

typedef struct assay_sequences {
    const assay_tokenizer *tokenizer;
    const assay_model_config *config;
    uint32_t max_tokens;       /* of a sequence, special ones counted; of late interaction of */
    uint32_t query_tokens;     /* a passage, and its queries have their own limit, else 0 */
    assay_late_marks late;
    assay_sequence *list;      /* [count]; ids are set by assay_sequences_ready */
    size_t *offsets;           /* of each in ids */
    size_t count, capacity;
    int32_t *ids;              /* [id_count] */
    size_t id_count, id_capacity;
    assay_tokens first, second;
    assay_buffer prompted;
} assay_sequences;

/* max_tokens: 0, or more than the model takes, is what it takes (late interaction: of a
 * passage). */
assay_status assay_sequences_open(assay_sequences *sequences, const assay_tokenizer *tokenizer,
                                  const assay_model_config *config, uint32_t max_tokens,
                                  assay_error *error);
void assay_sequences_free(assay_sequences *sequences);

/* Forgets all sequences. */
void assay_sequences_clear(assay_sequences *sequences);

/* Appends [CLS] query [SEP] passage [SEP], or as the tokenizer lays out a pair. */
assay_status assay_sequences_pair(assay_sequences *sequences, const char *query,
                                  const char *passage, assay_error *error);
/* Appends a text by itself, with the prompt or the marker of its role before it. */
assay_status assay_sequences_text(assay_sequences *sequences, const char *text, assay_role role,
                                  assay_error *error);

/* Makes the sequences point to their ids, which stay where they are until the next
 * append. */
void assay_sequences_ready(assay_sequences *sequences);

#endif
