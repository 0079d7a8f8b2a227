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

#define ROW_OFFSET 0

/* Pairs of products fit 16 bits, as no byte is -128: 2 * 127 * 127 < 32768. */
INLINE integers i_dot_row(integers sums, integers query, integers row)
{
    __mmask64 negative = _mm512_movepi8_mask(query);
    __m512i signed_row = _mm512_mask_sub_epi8(row, negative, _mm512_setzero_si512(), row);
    __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(query), signed_row);
    return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

INLINE integers i_add_where(integers sums, integers query, const uint8_t *bits)
{
    __mmask64 set;
    memcpy(&set, bits, sizeof set);
    __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), _mm512_maskz_mov_epi8(set, query));
    return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "kernels/kernels_float.inc"

#include "kernels/kernels_bf16.inc"

#include "kernels/kernels_integer.inc"
