/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_config.h: what the files of a ColBERT checkpoint say about how its texts are
 * laid out and what becomes of its last hidden states.
 *
 * Two layouts. That of the ColBERT authors (colbertv2.0, answerai-colbert-small):
 * class HF_ColBERT, the projection among the model's own tensors, settings in
 * artifact.metadata. That of pylate: sentence-transformers modules, a Transformer
 * and a Dense, settings in config_sentence_transformers.json.
 */
#ifndef ASSAY_LATE_CONFIG_H
#define ASSAY_LATE_CONFIG_H

#include <jansson.h>

#include "text/tokenizer.h"

#define ASSAY_LATE_TOKEN_SIZE 64u    /* of a token in the settings, with its NUL */
#define ASSAY_LATE_SKIPPED_MAX 256u  /* tokens of the skip list */
#define ASSAY_LATE_DIMENSIONS 4096u  /* most of a token's vector */
#define ASSAY_LATE_QUERY_MAX 1024u   /* most tokens of a query */

typedef struct assay_late_config {
    uint32_t dimensions;      /* of a token's vector; 0: its hidden state as it is */
    bool bias;                /* of the projection */
    char projection[256];     /* folder of it below the model's; "": the model's own */
    char query_marker[ASSAY_LATE_TOKEN_SIZE];    /* token put behind the first one; */
    char document_marker[ASSAY_LATE_TOKEN_SIZE]; /* "": none */
    uint32_t query_length;    /* tokens, special ones and the marker counted; 0: the */
    uint32_t document_length; /* model's longest input */
    bool expand;              /* queries are filled up with mask tokens to their length, */
    bool attend;              /* to which the others attend */
    char skipped[ASSAY_LATE_SKIPPED_MAX][ASSAY_LATE_TOKEN_SIZE]; /* tokens whose vectors */
    uint32_t skipped_count;                                      /* documents leave out */
} assay_late_config;

/* The same by the tokenizer's ids. */
typedef struct assay_late_marks {
    int32_t query_marker, document_marker; /* -1: none */
    int32_t filler;                        /* of queries; -1: they are not filled up */
    int32_t skipped[ASSAY_LATE_SKIPPED_MAX];
    uint32_t skipped_count;
} assay_late_marks;

/* `where` is what the tokenizer is of. Errors: FORMAT for a marker that it lacks,
 * UNSUPPORTED for a filler. */
assay_status assay_late_marks_find(const assay_late_config *config,
                                    const assay_tokenizer *tokenizer, const char *where,
                                    assay_late_marks *out, assay_error *error);

/* Whether documents leave out the vectors of this token. */
bool assay_late_marks_skip(const assay_late_marks *tokens, int32_t id);

/* What pylate and ColBERT take where nothing is said. */
void assay_late_config_default(assay_late_config *out);

/* Settings out of artifact.metadata, of config_sentence_transformers.json, and of
 * the Dense module's config.json for a model of `hidden` features. `where` is the
 * file. A setting that would change the vectors and is not understood is
 * UNSUPPORTED. */
assay_status assay_late_config_metadata(const json_t *root, const char *where,
                                        assay_late_config *out, assay_error *error);
assay_status assay_late_config_sentence(const json_t *root, const char *where,
                                        assay_late_config *out, assay_error *error);
assay_status assay_late_config_dense(const json_t *root, const char *where, uint32_t hidden,
                                     assay_late_config *out, assay_error *error);

#endif
