/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rotation.h: one fixed pseudo-random rotation for each width.
 *
 * Of a vector turned so, no direction is special: its coordinates are about equally
 * large, whatever they were before, which codes of one bit live by. Lengths and inner
 * products are kept, but for rounding. The same bits on every machine.
 */
#ifndef ASSAY_ROTATION_H
#define ASSAY_ROTATION_H

#include <stddef.h>

enum { ASSAY_ROTATION_STEP = 64 };

/* Turns x[width] in place; width is a multiple of ASSAY_ROTATION_STEP, at least that. */
void assay_rotate(float *x, size_t width);

#endif
