/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trained_linear.h: a linear layer that learns, y = x W' + bias, and its three products:
 *
 *     forth        y  = x W'        rows by panels of W
 *     back         dx = dy W        rows by panels of W the other way
 *     weights      dW += dy' x      outputs by panels of x, which the way back makes
 *
 * all by the one product of the kernels, which wants its right side in panels: that of
 * floats, or, of a layer that says so, that of bfloat16, for which what comes in is rounded
 * to 8 bits of mantissa; sums, weights and gradients are floats all the same.
 *
 * With a rank (LoRA, Hu et al. 2021) W = base + factor B A, and A[rank][depth] and
 * B[columns][rank] learn in its place: forth and back go by W, which packing makes, but
 * the gradient by W is never made: dA = factor (dy B)' x, dB = factor dy' (x A'). What has
 * the rank's width is made of floats.
 */
#ifndef ASSAY_TRAINED_LINEAR_H
#define ASSAY_TRAINED_LINEAR_H

#include <stdbool.h>

#include "kernels/kernels.h"

enum {
    ASSAY_INPUT_ROWS = 256,   /* of the pieces that inputs' panels are cut into */
    ASSAY_OUTPUT_GROUP = 96,  /* outputs whose weights' gradients are one item of work */
    ASSAY_TURNED_LD = ASSAY_INPUT_ROWS + ASSAY_PANEL, /* not a power of two: cache sets */
    ASSAY_TURNED_SIZE = ASSAY_OUTPUT_GROUP * ASSAY_TURNED_LD,
    ASSAY_RANK_MOST = ASSAY_OUTPUT_GROUP,
    ASSAY_NARROW_SIZE = ASSAY_INPUT_ROWS * ASSAY_RANK_MOST,
};

typedef struct assay_low_rank {
    size_t rank;                 /* 0: the weight itself learns */
    float factor;
    float *base;                 /* [columns][depth] */
    float *a, *b;                /* [rank][depth], [columns][rank] */
    float *a_gradient, *b_gradient;
    float *b_scaled;             /* factor * B, made by packing, as are panels: */
    float *a_forth, *a_merging, *b_back;
} assay_low_rank;

typedef struct assay_trained_linear {
    size_t columns, depth;  /* outputs, inputs */
    bool bf16;              /* products of bfloat16 */
    float *weight, *bias;   /* [columns][depth], [columns]; bias may be NULL */
    float *weight_gradient, *bias_gradient;
    void *forth, *back;     /* panels of weight; behind it until packed again */
    assay_low_rank low;
} assay_trained_linear;

/* Floats of forth, and of back, each a multiple of ASSAY_PANEL. */
size_t assay_trained_forth_size(const assay_trained_linear *linear);
size_t assay_trained_back_size(const assay_trained_linear *linear);

void assay_trained_pack(const assay_trained_linear *linear);

/* Elements of the scratch that products of bfloat16 of so many rows want, of a layer with
 * so many outputs or inputs, whichever is more; none (NULL) is wanted for floats. */
size_t assay_rounded_size(size_t rows, size_t width);

void assay_trained_forth(const assay_trained_linear *linear, const float *x, size_t ldx,
                         size_t rows, assay_activation activation, float *y, size_t ldy,
                         uint16_t *rounded);

/* dx = dy W, or with `add` dx += dy W. */
void assay_trained_back(const assay_trained_linear *linear, const float *dy, size_t ldy,
                        size_t rows, bool add, float *dx, size_t ldx, uint16_t *rounded);

/* Floats of the panels of `rows` inputs of `depth`. */
size_t assay_inputs_size(size_t rows, size_t depth, bool bf16);

/* Puts x[first .. first + count) of `rows` inputs into their panels; the rows lie in one
 * piece of ASSAY_INPUT_ROWS, and first is a multiple of ASSAY_BF16_STEP. */
void assay_inputs_put(const assay_trained_linear *linear, const float *x, size_t ldx,
                      size_t first, size_t count, size_t rows, float *panels);

/* The same of factor x A', for a layer with a rank; narrow[ASSAY_NARROW_SIZE]. */
void assay_low_inputs_put(const assay_trained_linear *linear, const float *x, size_t ldx,
                          size_t first, size_t count, size_t rows, float *narrow, float *panels);

/* Floats that packing of a layer with a rank wants beside weight and panels, and their
 * places. */
size_t assay_low_size(const assay_trained_linear *linear);
void assay_low_place(assay_trained_linear *linear, float *memory);

/* Items of the weights' gradients. */
size_t assay_trained_groups(const assay_trained_linear *linear);

/* Adds up item `group`, of bias too; scratch[ASSAY_TURNED_SIZE], rounded of
 * assay_rounded_size(ASSAY_OUTPUT_GROUP, ASSAY_INPUT_ROWS). With a rank, low_inputs
 * are the panels of assay_low_inputs_put, and narrow[ASSAY_NARROW_SIZE]. */
void assay_trained_weights(const assay_trained_linear *linear, size_t group, const float *dy,
                           size_t ldy, size_t rows, const float *inputs,
                           const float *low_inputs, float *narrow, float *scratch,
                           uint16_t *rounded);

#endif
