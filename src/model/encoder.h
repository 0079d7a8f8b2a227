/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.h: the transformer trunk (Vaswani et al. 2017; Devlin et al. 2019)
 * and the classification head on it.
 *
 * A block is some whole sequences whose tokens lie end to end; it goes through
 * all layers on one thread, with scratch of that thread. What comes out for a
 * sequence is the same bits in any block.
 */
#ifndef ASSAY_ENCODER_H
#define ASSAY_ENCODER_H

#include "model/audit.h"
#include "model/model_config.h"
#include "model/profile.h"
#include "model/weights.h"

typedef struct assay_norm {
    const float *gamma, *beta; /* [hidden] */
} assay_norm;

typedef struct assay_layer {
    assay_linear query;     /* hidden -> hidden */
    assay_linear key_value; /* hidden -> 2 hidden, key first */
    assay_linear output;
    assay_norm output_norm;
    assay_linear up;   /* hidden -> intermediate */
    assay_linear down; /* intermediate -> hidden */
    assay_norm down_norm;
} assay_layer;

typedef struct assay_encoder {
    const assay_model_config *config;
    bool halves;             /* bf16: the layers' products, and 16 bits in attention */
    bool bytes;              /* int8: likewise */
    assay_table words, positions, types;
    assay_norm norm;
    assay_layer *layers;     /* [config->layers] */
    assay_linear pooler;     /* hidden -> hidden, then tanh: cross-encoder only */
    assay_linear classifier; /* hidden -> 1 */
} assay_encoder;

typedef struct assay_sequence {
    const int32_t *ids; /* [count], each below the vocabulary's size */
    uint32_t count;     /* at least 1, at most config->longest */
    uint32_t second;    /* tokens from here on have type 1; count: none */
    size_t item;        /* the caller's own number for it */
} assay_sequence;

/* Floats of scratch for blocks of at most `tokens` tokens in at most
 * `sequences` sequences of at most `longest` tokens. */
size_t assay_encoder_scratch(const assay_encoder *encoder, size_t tokens, size_t sequences,
                             size_t longest);

/* Runs a block; states[count][hidden] are the sequences' pooled last states,
 * as config->pooling says. audit: NULL, or what to tell of every product; watch:
 * NULL, or this thread's. */
void assay_encoder_run(const assay_encoder *encoder, const assay_sequence *sequences,
                       size_t count, float *scratch, float *states, assay_audit *audit,
                       assay_stopwatch *watch);

/* Sends one text, or pair, through for what is seen on the way, with scratch of its
 * own: MEMORY. */
assay_status assay_encoder_try(const assay_encoder *encoder, const assay_encoding *text,
                               assay_audit *audit, assay_error *error);

/* logits[count] of pooled states; scratch[count][hidden]. */
void assay_encoder_classify(const assay_encoder *encoder, const float *states, size_t count,
                            float *scratch, float *logits);

#endif
