/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_avx512vnni.c: the integer kernels with AVX-512 VNNI: four products of unsigned and
 * signed bytes added to a lane in one instruction. The set's float kernels are
 * those of kernels_avx512.c.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_avx512.h"

#define INTEGER_NAME(kernel) assay_##kernel##_avx512vnni

/* Accumulators: 12 x 2 registers of 32, 2 for the panels' rows, 1 factor. */
#define TILE_ROWS 12
#define TILE_PANELS 2

#define BYTE_OFFSET 128

/* Not the intrinsic: gcc 12 copies the sums before and after each one. */
INLINE integers i_dot_i8(integers sums, integers a, integers b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
    return sums;
}

#define ROW_OFFSET 128

INLINE integers i_dot_row(integers sums, integers query, integers row)
{
    return i_dot_i8(sums, _mm512_xor_si512(row, _mm512_set1_epi8(-128)), query);
}

INLINE integers i_add_where(integers sums, integers query, const uint8_t *bits)
{
    __mmask64 set;
    memcpy(&set, bits, sizeof set);
    return i_dot_i8(sums, _mm512_maskz_mov_epi8(set, _mm512_set1_epi8(1)), query);
}

#include "kernels/kernels_integer.inc"
