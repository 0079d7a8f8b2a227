/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_config.h: what the JSON files of a model folder say about it.
 *
 * Hugging Face layout (config.json), sentence-transformers layout on top of it
 * (modules.json, pooling, prompts and sentence_bert_config.json, in the old form
 * and in that of version 6), and ColBERT checkpoints in either (late_config.h). Every number is bounded here, so that sizes computed from
 * it cannot overflow 64 bits.
 */
#ifndef ASSAY_MODEL_CONFIG_H
#define ASSAY_MODEL_CONFIG_H

#include "base/hash.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "model/architectures.h"
#include "model/late_config.h"

#define ASSAY_CONFIG_LIMIT (4u << 20) /* bytes of one JSON file */

#define ASSAY_PROMPT_SIZE sizeof(((assay_model_info *)0)->query_prompt)

typedef enum assay_pooling {
    ASSAY_POOLING_CLS,
    ASSAY_POOLING_MEAN,
    ASSAY_POOLING_TOKENS, /* late interaction: all tokens' states */
} assay_pooling;

typedef struct assay_model_config {
    char name[256];          /* _name_or_path, or "" */
    const assay_architecture *family;
    char architecture[64];   /* class name */
    assay_model_kind kind;
    assay_late_config late;  /* of late interaction; of a bi-encoder read as that, all 0 */
    assay_pooling pooling;   /* of a bi-encoder; CLS for a cross-encoder, TOKENS for late */
    bool normalized;
    char prompts[3][ASSAY_PROMPT_SIZE]; /* by assay_role; "": none */
    uint32_t layers, hidden, heads, intermediate, vocabulary, positions, types;
    int32_t padding;         /* first position less one: a token id, or -1 */
    uint32_t longest;        /* input that there are positions for */
    uint32_t max_tokens;     /* that the files demand; 0: they say nothing */
    uint32_t query_words;    /* assay_query_words; 0: they say nothing */
    uint32_t split;          /* assay_split: layers in which query and passage do not see
                                each other; 0: none */
    uint32_t second_position; /* of a model that is split: of the passage's first token */
    float epsilon;
    assay_activation activation;
    char weights[2048];      /* folder of config.json, weights and tokenizer */
} assay_model_config;

/* Reads the folder. Errors: NOT_FOUND, FORMAT and UNSUPPORTED naming file and
 * field. The files' bytes are added to the digest. */
assay_status assay_model_config_read(const char *folder, assay_hasher *digest,
                                     assay_model_config *out, assay_error *error);

/* Tokens that a passage may have in a model that is split, special ones counted. */
static inline uint32_t assay_split_room(const assay_model_config *config)
{
    return config->longest - config->second_position;
}

/* Lets the model's texts meet after the first `split` layers; 0: in all. ARGUMENT-like
 * errors are those of a file: FORMAT, UNSUPPORTED. */
assay_status assay_model_config_split(const char *where, uint64_t split, assay_model_config *out,
                                      assay_error *error);

/* The part of it that is in config.json (tests, fuzzing). */
assay_status assay_model_config_parse(const char *data, size_t length, const char *where,
                                      assay_model_config *out, assay_error *error);

#endif
