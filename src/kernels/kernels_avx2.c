/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_avx2.c: the kernels for AVX2, FMA and F16C. There is no product of
 * bytes that cannot saturate, so bytes are widened to 16 bits.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_avx2.h"

#define NAME(kernel) assay_##kernel##_avx2
#define BF16_NAME NAME
#define INTEGER_NAME NAME

/* Accumulators: 6 x 2 registers, 2 for the panel's row and 1 for the factor. */
#define TILE_ROWS 6
#define TILE_PANELS 1
#define DEPTH_BLOCK 384 /* 24 KiB of panel, in a level-1 cache of 32 */

/* Of bfloat16, whose halves take registers of their own: 4 x 2, and 4 for the
 * panel's row, 2 for the factor. */
#define BF16_ROWS 4

#define WIDEN

#define ROW_OFFSET 0

INLINE __m256i row_products(__m256i sums, __m256i query, __m256i row)
{
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(query), _mm256_sign_epi8(row, query));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Pairs of products fit 16 bits, as no byte is -128: 2 * 127 * 127 < 32768. */
INLINE integers i_dot_row(integers sums, integers query, integers row)
{
    return (integers){row_products(sums.low, query.low, row.low),
                      row_products(sums.high, query.high, row.high)};
}

INLINE __m256i sums_where(__m256i sums, __m256i query, const uint8_t *bits)
{
    __m256i chosen = _mm256_and_si256(query, bytes_where(bits));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), chosen);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

INLINE integers i_add_where(integers sums, integers query, const uint8_t *bits)
{
    return (integers){sums_where(sums.low, query.low, bits),
                      sums_where(sums.high, query.high, bits + 4)};
}

#include "kernels/kernels_float.inc"

#include "kernels/kernels_bf16.inc"

#include "kernels/kernels_integer.inc"
