/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h: how far the products of a run on bytes are from exact ones.
 *
 * A model whose activations hold outliers (a channel thousands of times larger
 * than the others) loses the others when a row is rounded to 8 bits. While one
 * short text goes through all layers, some outputs of every layer are computed
 * in fp32 too, from the same input, and compared. The error of a layer is the
 * root of the sum of squared differences over that of the exact outputs'
 * squares, of what the layer hands on: with bias, activation and residual.
 */
#ifndef ASSAY_AUDIT_H
#define ASSAY_AUDIT_H

#include "model/weights.h"

typedef struct assay_audit {
    double error;      /* the largest so far; NaN once results are no numbers */
    const char *where; /* the weight of that layer, as the file calls it */
    float *weights;    /* rows of one panel, and */
    float *panel;      /* the panel, [ASSAY_PANEL * deepest] both */
    float *exact;      /* [tokens][columns of all samples] */
} assay_audit;

/* For runs of at most `tokens` tokens through layers at most `deepest` deep.
 * False when memory is short. */
bool assay_audit_open(assay_audit *audit, size_t tokens, size_t deepest);
/* Frees the memory; the verdict stays. */
void assay_audit_close(assay_audit *audit);

/* Before and after a product: x[rows] are the floats that go in, c the result,
 * which may stand in the residual's place. */
void assay_audit_expect(assay_audit *audit, const assay_linear *layer, const float *x, size_t ldx,
                        size_t rows, const assay_epilogue *epilogue);
void assay_audit_compare(assay_audit *audit, const assay_linear *layer, size_t rows,
                         const float *c, size_t ldc);

#endif
