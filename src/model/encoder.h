/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.h: the transformer trunk (Vaswani et al. 2017; Devlin et al. 2019)
 * and what stands on it: the classification head, or the projection of every
 * token's state that late interaction has (Khattab & Zaharia 2020).
 *
 * A block is some whole sequences whose tokens lie end to end. Its way through
 * all layers is a pass: steps of items, which are rows, or heads. A step's items
 * may be done in any order and by several threads at once, each with scratch of
 * its own, once all of the steps before are done; mostly one thread does them all.
 * What comes out for a sequence is the same bits in any block, however it is cut.
 *
 * A model may be split (config->split): in its lower layers a pair's two texts are apart,
 * and the second one's positions begin at a place of their own, behind most queries, so
 * that what those layers make of a text depends on nothing else and can be kept (MacAvaney
 * et al. 2020, PreTTR). Then there
 * are passes through these layers alone, of either text, and through the others, which
 * begin with what was kept.
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
    assay_linear projection; /* hidden -> late.dimensions: late interaction only; no
                                columns where states are taken as they are */
} assay_encoder;

/* What the lower layers of a model that is split made of a text's tokens: floats, or
 * bytes. */
typedef struct assay_states {
    const float *floats; /* [count][hidden]; NULL: */
    const int8_t *bytes; /* [count][hidden], and */
    const float *steps;  /* [count] what 1 means in each row */
} assay_states;

/* The layers of a pass. */
typedef enum assay_stretch {
    ASSAY_STRETCH_ALL,
    ASSAY_STRETCH_APART, /* those below the split; what comes out is all tokens' states */
    ASSAY_STRETCH_JOINED, /* the others; a sequence begins with its `below` */
} assay_stretch;

typedef struct assay_sequence {
    const int32_t *ids; /* [count], each below the vocabulary's size */
    uint32_t count;     /* at least 1, at most config->longest */
    uint32_t second;    /* tokens from here on have type 1; count: none */
    uint32_t unseen;    /* tokens at the end that none attends to, themselves included */
    size_t item;        /* the caller's own number for it */
    const assay_states *below; /* [2] of ASSAY_STRETCH_JOINED: of both texts */
} assay_sequence;

/* Floats of a thread's scratch for blocks of at most `tokens` tokens in at most
 * `sequences` sequences of at most `longest` tokens. */
size_t assay_encoder_scratch(const assay_encoder *encoder, size_t tokens, size_t sequences,
                             size_t longest);

typedef struct assay_pass {
    const assay_encoder *encoder;
    uint32_t begin, end;    /* layers */
    const assay_sequence *sequences;
    size_t count;
    size_t tokens, longest; /* of all sequences; of one */
    size_t rows;            /* of an item, at most */
    size_t heads;           /* of an item: one, or a sequence's */
    size_t parts;           /* that a head's queries are cut into */
    float *memory;          /* scratch of the block, */
    float *states;          /* and what comes out */
} assay_pass;

/* For so many threads; `memory` is the scratch of one of them. */
assay_pass assay_pass_of(const assay_encoder *encoder, assay_stretch stretch,
                         const assay_sequence *sequences, size_t count, uint32_t threads,
                         float *memory, float *states);
size_t assay_pass_steps(const assay_pass *pass);
/* Of any pass, at most. */
size_t assay_pass_most_steps(const assay_encoder *encoder);
size_t assay_pass_items(const assay_pass *pass, size_t step);
void assay_pass_item(const assay_pass *pass, size_t step, size_t item, float *scratch,
                     assay_audit *audit, assay_stopwatch *watch);

/* Runs a block on this thread; states[count][hidden] are the sequences' pooled last states,
 * as config->pooling says. audit: NULL, or what to tell of every product; watch:
 * NULL, or this thread's. */
void assay_encoder_run(const assay_encoder *encoder, assay_stretch stretch,
                       const assay_sequence *sequences, size_t count, float *scratch,
                       float *states, assay_audit *audit, assay_stopwatch *watch);

/* What a block that went through this scratch left there with ASSAY_POOLING_TOKENS:
 * [tokens][dimensions], the projected states of all tokens, of no particular length; or
 * with ASSAY_STRETCH_APART: [tokens][hidden]. */
float *assay_encoder_tokens(const assay_encoder *encoder, const assay_sequence *sequences,
                            size_t count, float *scratch);

/* Floats of one of these. */
size_t assay_encoder_dimensions(const assay_encoder *encoder);

/* Sends one text, or pair, through for what is seen on the way, with scratch of its
 * own: MEMORY. */
assay_status assay_encoder_try(const assay_encoder *encoder, const assay_encoding *text,
                               assay_audit *audit, assay_error *error);

/* logits[count] of pooled states; scratch[count][hidden]. */
void assay_encoder_classify(const assay_encoder *encoder, const float *states, size_t count,
                            float *scratch, float *logits);

#endif
