/* SPDX-License-Identifier: Apache-2.0 */
/*
 * optimizer.h: AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, with
 * clipping by the norm of all gradients (torch.nn.utils.clip_grad_norm_).
 */
#ifndef ASSAY_OPTIMIZER_H
#define ASSAY_OPTIMIZER_H

#include "learn/trainable.h"

typedef struct assay_optimizer assay_optimizer;

typedef struct assay_optimizer_options {
    float beta1, beta2;  /* 0: 0.9 and 0.999 */
    float epsilon;       /* 0: 1e-8 */
    float decay;         /* of the parameters that decay; decoupled: w -= rate * decay * w */
    float layer_rate;    /* a layer's rate as a share of that of the layer above it; 0: 1 */
    float clip;          /* largest norm of all gradients together; 0: any */
} assay_optimizer_options;

/* The model must outlive it. Errors: MEMORY, ARGUMENT. */
assay_status assay_optimizer_open(assay_trainable *model, const assay_optimizer_options *options,
                                  assay_optimizer **out, assay_error *error);
void assay_optimizer_close(assay_optimizer *optimizer);

/* Moves the weights by the gradients times `scale` (1 / parts where a batch's losses are
 * to be averaged over its parts, else 1), and sets the gradients to 0. *norm (may be NULL)
 * is the norm of the scaled gradients before clipping. When that is no finite number
 * nothing is moved, gradients are set to 0, and CORRUPT is returned: what to do is the
 * caller's to say. */
assay_status assay_optimizer_step(assay_optimizer *optimizer, float rate, float scale,
                                  double *norm, assay_error *error);

/* Steps that were taken. */
uint64_t assay_optimizer_steps(const assay_optimizer *optimizer);

/* Moments and step number in one file with a checksum; with the saved model, training goes
 * on as if it had not been interrupted, to the bit. With LoRA the file holds the moved
 * values, too, and goes with the base that was opened before, not with the merged model. load: FORMAT when the file is of
 * another model, CORRUPT when it is damaged. */
assay_status assay_optimizer_save(const assay_optimizer *optimizer, const char *path,
                                  assay_error *error);
assay_status assay_optimizer_load(assay_optimizer *optimizer, const char *path,
                                  assay_error *error);

#endif
