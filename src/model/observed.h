/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observed.h: what is seen of a layer's inputs while texts go through a model at
 * fp32: how large each becomes, and how they go together.
 */
#ifndef ASSAY_OBSERVED_H
#define ASSAY_OBSERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct assay_observed {
    size_t depth;
    float *largest;  /* [depth] of |input| */
    uint64_t rows;
    double *sums;    /* [depth] over rows; NULL: neither these are wanted, */
    float *products; /* [depth][depth] of two inputs of a row, over rows; nor these */
    float *scratch;
} assay_observed;

/* False, and nothing is held, when there is no memory. */
bool assay_observed_open(assay_observed *observed, size_t depth, bool products);
void assay_observed_close(assay_observed *observed);

void assay_observe(assay_observed *observed, const float *x, size_t ldx, size_t rows);

#endif
