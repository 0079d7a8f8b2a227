/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_avxvnni.c: the integer kernels with AVX-VNNI, on 256 bits: four products of unsigned and
 * signed bytes added to a lane in one instruction. The set's float kernels are
 * those of kernels_avx2.c.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_avx2.h"

#define INTEGER_NAME(kernel) assay_##kernel##_avxvnni

/* Accumulators: 6 x 2 registers, 2 for the panel's row and 1 for the factor. */
#define TILE_ROWS 6
#define TILE_PANELS 1

#define BYTE_OFFSET 128

/* Not the intrinsic: see kernels_avx512vnni.c. */
INLINE integers i_dot_i8(integers sums, integers a, integers b)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums.low) : "x"(a.low), "x"(b.low));
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums.high) : "x"(a.high), "x"(b.high));
    return sums;
}

#define ROW_OFFSET 128

INLINE integers i_dot_row(integers sums, integers query, integers row)
{
    const __m256i offset = _mm256_set1_epi8(-128);
    integers above = {_mm256_xor_si256(row.low, offset), _mm256_xor_si256(row.high, offset)};
    return i_dot_i8(sums, above, query);
}

INLINE integers i_add_where(integers sums, integers query, const uint8_t *bits)
{
    const __m256i one = _mm256_set1_epi8(1);
    integers chosen = {_mm256_and_si256(bytes_where(bits), one),
                       _mm256_and_si256(bytes_where(bits + 4), one)};
    return i_dot_i8(sums, chosen, query);
}

#include "kernels/kernels_integer.inc"
