/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_neondot.c: the integer kernels with the dot product extension: four
 * products of signed bytes added to a lane in one instruction. The set's float
 * kernels are those of kernels_neon.c.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_neon.h"

#define INTEGER_NAME(kernel) assay_##kernel##_neondot

/* Accumulators: 6 x 4 registers of 32, 4 for the panel's row, up to 4 factors. */
#define TILE_ROWS 6
#define TILE_PANELS 1

#define BYTE_OFFSET 0

/* As for 16 bits, the instruction takes a row's four bytes from a lane. */
typedef int8x8_t group_i8;

INLINE group_i8 group_i8_of(const void *x)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    return vcreate_s8(bits);
}

INLINE integers i_dot_i8(integers sums, group_i8 a, integers w)
{
#define DOT(sum, bytes) vdotq_lane_s32(sum, vreinterpretq_s8_s32(bytes), a, 0)
    return (integers)EACH_OF_2(DOT, sums, w);
#undef DOT
}

#include "kernels/kernels_integer.inc"
