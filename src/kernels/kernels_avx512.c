/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_avx512.c: the kernels for AVX-512 F, BW, DQ and VL. Bytes are widened
 * to 16 bits, as in kernels_avx2.c.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_avx512.h"

#define NAME(kernel) assay_##kernel##_avx512
#define BF16_NAME NAME
#define INTEGER_NAME NAME

/* Accumulators: 12 x 2 registers of 32, 2 for the panels' rows, 1 factor. */
#define TILE_ROWS 12
#define TILE_PANELS 2
#define DEPTH_BLOCK 192 /* 24 KiB of two panels, in a level-1 cache of 32 or 48 */

#define BF16_ROWS 12

#define WIDEN

#include "kernels/kernels_float.inc"

#include "kernels/kernels_bf16.inc"

#include "kernels/kernels_integer.inc"
