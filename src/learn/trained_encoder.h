/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trained_encoder.h: the encoder of src/model forth with what the way back needs, and
 * back; and the heads on it. Batches are ragged: the sequences' tokens lie end to end.
 *
 * A pass has rows, of all tokens, and of each layer the rows that go on: all of them, or,
 * in the last layer of a model that pools [CLS], each sequence's first.
 */
#ifndef ASSAY_TRAINED_ENCODER_H
#define ASSAY_TRAINED_ENCODER_H

#include "learn/gradient_steps.h"
#include "learn/trained_linear.h"
#include "model/encoder.h"

typedef struct assay_trained_norm {
    float *gamma, *beta;
    float *gamma_gradient, *beta_gradient;
} assay_trained_norm;

/* A table of embeddings; one that is frozen stays in the file. */
typedef struct assay_trained_table {
    float *values;   /* [rows][hidden]; NULL: frozen */
    float *gradient;
    assay_table frozen;
} assay_trained_table;

typedef struct assay_trained_layer {
    assay_trained_linear query, key_value, output, up, down; /* as assay_layer's */
    assay_trained_norm output_norm, down_norm;
} assay_trained_layer;

typedef struct assay_trained_encoder {
    const assay_model_config *config;
    assay_trained_table words, positions, types;
    assay_trained_norm norm;
    assay_trained_layer *layers;
    assay_trained_linear pooler, classifier; /* of a cross-encoder */
    assay_trained_linear projection; /* of late interaction; no columns: states as they are */
    uint32_t threads;
    float dropout, attention_dropout;
    uint64_t seed;
    bool recompute;
    uint32_t rank;      /* of its layers' low.rank; 0: none */
    bool bf16;          /* as its layers' */
} assay_trained_encoder;

/* What a layer's way back needs; R rows go on of T. */
typedef struct assay_kept_layer {
    size_t rows;            /* R */
    bool firsts;            /* R are the sequences' first rows */
    float *x;               /* [T][hidden] what goes in */
    float *going;           /* [R][hidden] of that, what goes on: x itself, or copies */
    float *query;           /* [R][hidden] */
    float *key_value;       /* [T][2 hidden] */
    float *context;         /* [R][hidden] */
    float *output_normal, *output_inverse; /* [R][hidden], [R] */
    float *up;              /* [R][intermediate] before the activation */
    float *down_normal, *down_inverse;
} assay_kept_layer;

/* On the way back, of one layer at a time; dX is the gradient by X. */
typedef struct assay_back_space {
    float *tokens;    /* [T][hidden] by what goes in */
    float *going;     /* [R][hidden] by what comes out, then by what goes on: tokens itself
                         where all do */
    float *query, *key_value, *context;
    float *output;    /* [R][hidden] by the output layer's result */
    float *up;        /* [R][intermediate] */
    float *down;      /* [R][hidden] */
    float *input_panels, *going_panels, *context_panels, *up_panels, *down_panels;
    float *low_panels[5]; /* of layers with a rank, in the order of assay_trained_layer */
    float *norms;     /* [blocks][4 hidden] gradients by gamma and beta, of each block */
} assay_back_space;

typedef struct assay_worker_space {
    float *hidden;       /* [block][hidden] */
    float *feed;         /* [block][intermediate] */
    float *turned;       /* ASSAY_TURNED_SIZE */
    float *narrow;       /* ASSAY_NARROW_SIZE, with a rank */
    uint16_t *rounded;   /* for products of bfloat16 */
    float *panels[3];    /* of one head */
    float *scores, *score_gradients, *turned_scores;
    float *query_panels; /* of some rows of one head */
} assay_worker_space;

enum { ASSAY_TRAINED_THREADS = 256 };

typedef struct assay_trained_pass {
    const assay_trained_encoder *encoder;
    const assay_sequence *sequences;
    size_t count, tokens, longest;
    bool keep;
    uint64_t draw;
    size_t *starts;                /* [count + 1] first row of each sequence */
    uint32_t *ids, *positions, *types; /* [T] */
    float *embedded_normal, *embedded_inverse;
    assay_kept_layer *layers;      /* [config->layers] */
    float *states;                 /* what comes out of the last one */
    assay_back_space back;
    assay_worker_space workers[ASSAY_TRAINED_THREADS];
    /* Of the head: */
    float *pooled;     /* [count][hidden] states that it takes, or vectors that it gives; of
                          late interaction [T][dimensions] */
    float *head;       /* [count][hidden] after the layer with tanh */
    float *dropped;    /* [count][hidden] the same after dropout */
    float *head_gradient; /* as pooled */
    float *head_panels;
    float *lengths;    /* of vectors, [count], or [T] */
    void *memory;
    size_t capacity;   /* bytes of it */
} assay_trained_pass;

/* Bytes of the memory of a pass. */
size_t assay_trained_pass_bytes(const assay_trained_encoder *encoder, size_t tokens,
                                size_t sequences, size_t longest, bool keep);

/* Makes room in *pass, whose memory may be there from another one, and numbers the
 * tokens. Errors: MEMORY, ARGUMENT. */
assay_status assay_trained_pass_begin(assay_trained_pass *pass,
                                      const assay_trained_encoder *encoder,
                                      const assay_sequence *sequences, size_t count, bool keep,
                                      uint64_t draw, assay_error *error);

/* Embeddings and all layers: pass->states. */
void assay_trained_encoder_forth(assay_trained_pass *pass);
/* From the gradient by pass->states, in pass->back.going. */
void assay_trained_encoder_back(assay_trained_pass *pass);

/* ---- Attention ------------------------------------------------------------------- */

/* One head of one sequence. */
void assay_attention_forth(const assay_trained_pass *pass, size_t layer, size_t sequence,
                           size_t head, const assay_worker_space *space);
void assay_attention_back(const assay_trained_pass *pass, size_t layer, size_t sequence,
                          size_t head, const assay_worker_space *space);

/* Lays the worker's part of that out: floats. base NULL: the size alone. */
size_t assay_attention_space(float *base, size_t head_size, size_t longest, bool keep,
                             assay_worker_space *space);

/* ---- Heads ----------------------------------------------------------------------- */

/* Floats of one of its outputs. */
size_t assay_trained_dimensions(const assay_trained_encoder *encoder);

/* outputs of pass->states, and the gradient by these from that by the outputs. */
void assay_trained_head_forth(assay_trained_pass *pass, float *outputs);
void assay_trained_head_back(assay_trained_pass *pass, const float *outputs_gradient);

/* Places of dropout: three a layer, and what comes before and after. */
enum {
    ASSAY_PLACE_ATTENTION,
    ASSAY_PLACE_OUTPUT,
    ASSAY_PLACE_DOWN,
    ASSAY_PLACES,
    ASSAY_PLACE_EMBEDDINGS = 1 << 20,
    ASSAY_PLACE_HEAD_IN,
    ASSAY_PLACE_HEAD_OUT,
};

static inline assay_dropout assay_layer_dropout(const assay_trained_pass *pass, size_t layer,
                                                int place)
{
    const assay_trained_encoder *encoder = pass->encoder;
    float rate = place == ASSAY_PLACE_ATTENTION ? encoder->attention_dropout : encoder->dropout;
    return assay_dropout_at(rate, encoder->seed, pass->draw,
                            layer * ASSAY_PLACES + (size_t)place);
}

/* From *used on; NULL when only the size is wanted. */
static inline float *assay_space_take(float *base, size_t *used, size_t floats)
{
    float *place = base != NULL ? base + *used : NULL;
    *used += (floats + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL;
    return place;
}

#endif
