/* SPDX-License-Identifier: Apache-2.0 */
/* round_layers.h: all of a model's layers rounded to int8, by what texts that are
 * sent through it show of their inputs. */
#ifndef ASSAY_ROUND_LAYERS_H
#define ASSAY_ROUND_LAYERS_H

#include "model/calibration.h"

/* A weight of a layer, and the bias that goes with it. */
typedef struct assay_rounded {
    const assay_tensor *weight; /* [outputs][inputs] */
    int8_t *integers;           /* likewise, */
    float *scales;              /* times these [outputs] */
    float *bias;                /* [outputs] */
    size_t refined;             /* rows of it whose rests are kept, at most ASSAY_PANEL: */
    uint32_t *refined_rows;     /* [refined], ascending, */
    int8_t *refined_integers;   /* [refined][inputs], */
    float *refined_scales;      /* times these [refined], */
    float *refined_bias;        /* [refined], which goes with row and rest */
} assay_rounded;

/* Rounds the encoder's layers, which are packed at fp32, and shares the bytes of
 * their inputs out. All memory that stays is the arena's. tick: as for
 * assay_calibration_send. */
assay_status assay_round_layers(assay_encoder *encoder, const assay_tokenizer *tokenizer,
                                assay_arena *arena, assay_status (*tick)(void *), void *context,
                                assay_rounded **out, size_t *count, assay_error *error);

#endif
