/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gradient_steps.h: what a network does to rows beside its products, and the way back:
 * given the loss's gradient by what came out, that by what went in. Gradients by
 * weights are added to what is there.
 *
 * Sums along a row are kept in 16 lanes, as the kernels do, so that compilers may use
 * vectors without changing the order.
 */
#ifndef ASSAY_GRADIENT_STEPS_H
#define ASSAY_GRADIENT_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- LayerNorm: y = normal * gamma + beta, normal = (x - mean) * inverse ---------- */

/* Rows of n, one after another. y may be x. */
void assay_norm_forth(const float *x, size_t rows, size_t n, const float *gamma,
                      const float *beta, float epsilon, float *normal, float *inverse, float *y);

/* y again. */
void assay_norm_apply(const float *normal, size_t rows, size_t n, const float *gamma,
                      const float *beta, float *y);

/* gradient, by y, becomes that by x. */
void assay_norm_back(float *gradient, const float *normal, const float *inverse,
                     const float *gamma, size_t rows, size_t n, float *gamma_gradient,
                     float *beta_gradient);

/* ---- Others ---------------------------------------------------------------------- */

/* gradient[rows][ld], by p = softmax(scale * x), becomes that by x. */
void assay_softmax_back(float *gradient, const float *p, size_t ld, size_t rows, size_t n,
                        float scale);

/* gradient[i] by y[i] = tanh(x[i]) becomes that by x[i]. */
void assay_tanh_back(float *gradient, const float *y, size_t n);

/* y = x / max(|x|, 1e-12), in place; what x was divided by is returned. */
float assay_unit_forth(float *x, size_t n);
void assay_unit_back(float *gradient, const float *y, float length, size_t n);

/* x += y. */
void assay_add_row(float *x, const float *y, size_t n);

/* sums[i] += the sum of x[i][n]; rows are ld apart. */
void assay_add_sums(const float *x, size_t ld, size_t rows, size_t n, float *sums);

/* ---- Dropout --------------------------------------------------------------------- */

/* Which values of a row are dropped depends on seed, draw, place and the row's number
 * alone: no mask is kept, the way back draws it again. */
typedef struct assay_dropout {
    uint64_t key;
    int32_t least; /* of 2^31; 0: nothing is dropped */
    float factor;  /* of what stays: 1 / (1 - rate) */
} assay_dropout;

/* draw 0: none. */
assay_dropout assay_dropout_at(float rate, uint64_t seed, uint64_t draw, uint64_t place);

/* Forth and back. */
void assay_dropout_row(const assay_dropout *dropout, uint64_t row, float *x, size_t n);

#endif
