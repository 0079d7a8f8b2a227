/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounding.h: a layer's weights rounded to int8 so that what it puts out, and not
 * each weight, stays near.
 */
#ifndef ASSAY_ROUNDING_H
#define ASSAY_ROUNDING_H

#include "base/status.h"
#include "model/observed.h"

/* How errors of one weight are made good by others; read by many threads. */
typedef struct assay_rounding assay_rounding;

/* From inputs observed with products. Where there is nothing to learn (no rows,
 * inputs beyond float32) every weight is rounded to the nearest. MEMORY. */
assay_status assay_rounding_open(const assay_observed *observed, assay_rounding **out,
                                 assay_error *error);
void assay_rounding_close(assay_rounding *rounding);

/* What 1 means in a row of int8: its largest magnitude / 127, and never zero. */
float assay_row_scale(const float *values, size_t count);

/* The weights[rows][depth] of some outputs as integers[rows][depth] of at most 127 times
 * the row's scale; its shift is what to add to the output's bias so that its mean over the
 * observed rows stays. scratch[rows][depth] is the caller's. A row comes out the same
 * whatever the rows beside it; together they are read less often. */
void assay_round_rows(const assay_rounding *rounding, const float *weights, size_t rows,
                      int8_t *integers, float *scales, float *shifts, float *scratch);

#endif
