/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_neon.c: the kernels for what every ARMv8-A processor has.
 *
 * Bytes: the products of two depths are added in 16 bits, where they fit because
 * no weight is -128, and pairs of those sums to a lane's 32 (SMULL, SMLAL2,
 * SADALP): 16 products in three instructions, against 8 in two where bytes are
 * widened first.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_neon.h"

#define NAME(kernel) assay_##kernel##_neon
#define BF16_NAME NAME
#define INTEGER_NAME NAME

/* Accumulators: 6 x 4 registers of 32, 4 for the panel's row, up to 4 factors. */
#define TILE_ROWS 6
#define TILE_PANELS 1
#define DEPTH_BLOCK 384 /* 24 KiB of panel, in a level-1 cache of 32 or more */

/* Of bfloat16, whose halves take registers of their own: 5 x 4, 8 for the panel's
 * row, a factor, a constant, and 2 for the panel's row as it is loaded. */
#define BF16_ROWS 5

#include "kernels/kernels_float.inc"

#include "kernels/kernels_bf16.inc"

/* Four columns' depths 0 and 1, then their depths 2 and 3. */
#define BYTE_PLACE(l, e) ((l) / 4 * 16 + (e) / 2 * 8 + (l) % 4 * 2 + (e) % 2)
#define BYTE_OFFSET 0

typedef struct group_i8 {
    int8x16_t first, second; /* depths 0 and 1, 2 and 3, again and again */
} group_i8;

INLINE group_i8 group_i8_of(const void *x)
{
    int16x4_t pairs = group_i16_of(x);
    __asm__("" : "+w"(pairs)); /* not by way of general registers */
    return (group_i8){vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 0)),
                      vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 1))};
}

INLINE int32x4_t add_products(int32x4_t sums, group_i8 a, int32x4_t w)
{
    int8x16_t bytes = vreinterpretq_s8_s32(w);
    int16x8_t products = vmull_s8(vget_low_s8(bytes), vget_low_s8(a.first));
    products = vmlal_high_s8(products, bytes, a.second);
    return vpadalq_s16(sums, products);
}

INLINE integers i_dot_i8(integers sums, group_i8 a, integers w)
{
    return (integers){add_products(sums.a, a, w.a), add_products(sums.b, a, w.b),
                      add_products(sums.c, a, w.c), add_products(sums.d, a, w.d)};
}

#define ROW_OFFSET 0

INLINE int32x4_t row_products(int32x4_t sums, int32x4_t query, int32x4_t row)
{
    int8x16_t q = vreinterpretq_s8_s32(query), r = vreinterpretq_s8_s32(row);
    int16x8_t products = vmull_s8(vget_low_s8(q), vget_low_s8(r));
    return vpadalq_s16(sums, vmlal_high_s8(products, q, r));
}

INLINE integers i_dot_row(integers sums, integers query, integers row)
{
    return (integers){row_products(sums.a, query.a, row.a), row_products(sums.b, query.b, row.b),
                      row_products(sums.c, query.c, row.c), row_products(sums.d, query.d, row.d)};
}

INLINE int32x4_t sums_where(int32x4_t sums, int32x4_t query, const uint8_t *bits)
{
    int8x16_t chosen = vandq_s8(vreinterpretq_s8_s32(query), bytes_where(bits));
    return vpadalq_s16(sums, vpaddlq_s8(chosen));
}

INLINE integers i_add_where(integers sums, integers query, const uint8_t *bits)
{
    return (integers){sums_where(sums.a, query.a, bits), sums_where(sums.b, query.b, bits + 2),
                      sums_where(sums.c, query.c, bits + 4),
                      sums_where(sums.d, query.d, bits + 6)};
}

#include "kernels/kernels_integer.inc"
