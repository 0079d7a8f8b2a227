/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maxsim_gradient.h: the score of late interaction (Khattab & Zaharia 2020), the sum over
 * the query's vectors of the largest product with one of the passage's, and its gradient.
 *
 * Several queries' vectors may go at once, one after another: they are compared with the
 * passage in one product, and each query's values are then summed by the caller.
 */
#ifndef ASSAY_MAXSIM_GRADIENT_H
#define ASSAY_MAXSIM_GRADIENT_H

#include <stddef.h>
#include <stdint.h>

/* Floats of scratch. */
size_t assay_maxsim_scratch(size_t passage_count, size_t dimensions);

/* Of each of count vectors, value is its largest product with a row of
 * passage[passage_count][dimensions] and best that row's number; rows with skipped[row] set
 * (NULL: none) are passed over. With nothing to compare with, value is 0 and best
 * UINT32_MAX. The first of equal ones counts. */
void assay_maxsim_forth(const float *vectors, size_t count, const float *passage,
                        const uint8_t *skipped, size_t passage_count, size_t dimensions,
                        float *scratch, float *values, uint32_t *best);

/* Adds to the gradients by the vectors and by the passage's: by_value[count] is the loss's
 * gradient by each value. */
void assay_maxsim_back(const float *vectors, size_t count, const float *passage,
                       size_t dimensions, const uint32_t *best, const float *by_value,
                       float *vectors_gradient, float *passage_gradient);

#endif
