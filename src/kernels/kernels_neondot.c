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

#define ROW_OFFSET 0

INLINE integers i_dot_row(integers sums, integers query, integers row)
{
#define ROW_DOT(sum, q, r) vdotq_s32(sum, vreinterpretq_s8_s32(q), vreinterpretq_s8_s32(r))
    return (integers){ROW_DOT(sums.a, query.a, row.a), ROW_DOT(sums.b, query.b, row.b),
                      ROW_DOT(sums.c, query.c, row.c), ROW_DOT(sums.d, query.d, row.d)};
#undef ROW_DOT
}

INLINE int32x4_t sums_where(int32x4_t sums, int32x4_t query, const uint8_t *bits)
{
    int8x16_t one = vandq_s8(bytes_where(bits), vdupq_n_s8(1));
    return vdotq_s32(sums, vreinterpretq_s8_s32(query), one);
}

INLINE integers i_add_where(integers sums, integers query, const uint8_t *bits)
{
    return (integers){sums_where(sums.a, query.a, bits), sums_where(sums.b, query.b, bits + 2),
                      sums_where(sums.c, query.c, bits + 4),
                      sums_where(sums.d, query.d, bits + 6)};
}

#include "kernels/kernels_integer.inc"
