/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_avx512bf16.c: the kernels on bfloat16 with AVX-512 BF16: two products
 * added to a lane in one instruction. The set's other kernels are those of
 * kernels_avx512.c and kernels_avx512vnni.c.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_avx512.h"

#define BF16_NAME(kernel) assay_##kernel##_avx512bf16

/* Accumulators: 12 x 2 registers of 32, 2 for the panels' rows, 1 factor. */
#define BF16_ROWS 12
#define TILE_PANELS 2

#include "kernels/kernels_bf16.inc"
