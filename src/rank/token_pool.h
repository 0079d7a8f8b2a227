/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_pool.h: fewer vectors for a passage: tokens whose vectors are alike become one,
 * their mean (token pooling, Clavié, Chaffin & Adams 2024).
 *
 * It is pylate's: the first vector, [CLS]'s, stays as it is; the others are clustered by
 * Ward's method with 1 - cosine as distance, until one in `factor` is left. Means are not
 * brought back to length 1. Departure: clusters come in the order of their first tokens.
 */
#ifndef ASSAY_TOKEN_POOL_H
#define ASSAY_TOKEN_POOL_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Puts fewer in place of vectors[*count][dimensions] of length 1, and in *count how many.
 * Factor 0 or 1 leaves them as they are. */
assay_status assay_token_pool(float *vectors, size_t *count, size_t dimensions, uint32_t factor,
                              assay_error *error);

#endif
