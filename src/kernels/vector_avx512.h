/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_avx512.h: sixteen lanes in one AVX-512 register, for kernels_float.inc and
 * kernels_integer.inc.
 */
#ifndef ASSAY_VECTOR_AVX512_H
#define ASSAY_VECTOR_AVX512_H

#include <float.h>
#include <immintrin.h>

#include "kernels/vector_base.h"

typedef __m512 vector;
typedef __mmask16 mask;

INLINE vector v_all(float x)
{
    return _mm512_set1_ps(x);
}

INLINE vector v_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

INLINE void v_store(float *x, vector a)
{
    _mm512_storeu_ps(x, a);
}

INLINE vector v_add(vector a, vector b)
{
    return _mm512_add_ps(a, b);
}

INLINE vector v_sub(vector a, vector b)
{
    return _mm512_sub_ps(a, b);
}

INLINE vector v_mul(vector a, vector b)
{
    return _mm512_mul_ps(a, b);
}

INLINE vector v_div(vector a, vector b)
{
    return _mm512_div_ps(a, b);
}

INLINE vector v_fma(vector a, vector b, vector c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* a > b ? a : b, so b where one is NaN. */
INLINE vector v_max(vector a, vector b)
{
    return _mm512_max_ps(a, b);
}

/* a < b ? a : b. */
INLINE vector v_min(vector a, vector b)
{
    return _mm512_min_ps(a, b);
}

/* Without the sign. */
INLINE vector v_abs(vector a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}

INLINE vector v_or(vector a, vector b)
{
    return _mm512_or_ps(a, b);
}

/* |a| with b's sign; a has none. */
INLINE vector v_sign(vector a, vector b)
{
    return _mm512_or_ps(a, _mm512_and_ps(_mm512_set1_ps(-0.0f), b));
}

/* The float whose bits are (a's + add) << 23. */
INLINE vector v_power(vector a, int add)
{
    __m512i sum = _mm512_add_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(add));
    return _mm512_castsi512_ps(_mm512_slli_epi32(sum, 23));
}

/* a to the nearest integer, ties to even, and a times that power of two. */
#define V_SCALE_TWO
INLINE vector v_nearest(vector a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE vector v_scale_two(vector a, vector power)
{
    return _mm512_scalef_ps(a, power);
}

INLINE mask m_less(vector a, vector b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

/* The first n lanes. */
INLINE mask m_first(size_t n)
{
    return (mask)((1u << n) - 1);
}

/* m ? a : b. */
INLINE vector v_select(mask m, vector a, vector b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

/* Lanes outside m are 0, and their memory is not touched. */
INLINE vector v_load_masked(const float *x, mask m)
{
    return _mm512_maskz_loadu_ps(m, x);
}

/* x[at[l]] in lane l < n, 0 in the rest. */
#define V_LOAD_AT
INLINE vector v_load_at(const float *x, const uint16_t *at, size_t n)
{
    mask m = m_first(MIN(n, LANES));
    __m512i places = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, at));
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), m, places, x, sizeof *x);
}

INLINE void v_store_masked(float *x, mask m, vector a)
{
    _mm512_mask_storeu_ps(x, m, a);
}

/* Lanes 0-7 and 8-15. */
INLINE __m256 v_low(vector a)
{
    return _mm512_castps512_ps256(a);
}

INLINE __m256 v_high(vector a)
{
    return _mm512_extractf32x8_ps(a, 1);
}

INLINE vector v_of_f16(const uint16_t x[16])
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x));
}

INLINE vector v_of_bf16(const uint16_t x[16])
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

INLINE vector v_of_i8(const int8_t x[16])
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)x)));
}

/* -------------------------------------------------------- sixteen integers */

typedef __m512i integers;

INLINE integers i_load(const void *x)
{
    return _mm512_loadu_si512(x);
}

INLINE void i_store(void *x, integers a)
{
    _mm512_storeu_si512(x, a);
}

INLINE integers i_all(int32_t x)
{
    return _mm512_set1_epi32(x);
}

INLINE integers i_xor(integers a, integers b)
{
    return _mm512_xor_si512(a, b);
}

INLINE integers i_add(integers a, integers b)
{
    return _mm512_add_epi32(a, b);
}

INLINE integers i_sub(integers a, integers b)
{
    return _mm512_sub_epi32(a, b);
}

INLINE integers i_mul(integers a, integers b)
{
    return _mm512_mullo_epi32(a, b);
}

INLINE integers i_max(integers a, integers b)
{
    return _mm512_max_epi32(a, b);
}

INLINE integers i_select(mask m, integers a, integers b)
{
    return _mm512_mask_blend_epi32(m, b, a);
}

/* Of all lanes. */
INLINE int32_t i_sum(integers a)
{
    return _mm512_reduce_add_epi32(a);
}

/* The same of each of four. */
INLINE void i_sum_4(const integers a[4], int32_t out[4])
{
    __m512i first = _mm512_add_epi32(_mm512_unpacklo_epi32(a[0], a[1]),
                                     _mm512_unpackhi_epi32(a[0], a[1]));
    __m512i second = _mm512_add_epi32(_mm512_unpacklo_epi32(a[2], a[3]),
                                      _mm512_unpackhi_epi32(a[2], a[3]));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(first, second),
                                   _mm512_unpackhi_epi64(first, second));
    __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    _mm_storeu_si128((__m128i *)(void *)out, four);
}

INLINE vector v_of_integers(integers a)
{
    return _mm512_cvtepi32_ps(a);
}

/* Rounded to nearest, ties to even. */
INLINE integers i_of_vector(vector a)
{
    return _mm512_cvtps_epi32(a);
}

INLINE integers i_bits(vector a)
{
    return _mm512_castps_si512(a);
}

/* Lanes that fit into 16 bits. */
INLINE void i_store_i16(int16_t *x, integers a)
{
    _mm256_storeu_si256((__m256i *)x, _mm512_cvtepi32_epi16(a));
}

/* Lanes from -128 to 127, as bytes with 128 added. */
INLINE void i_store_u8(uint8_t *x, integers a)
{
    __m128i bytes = _mm512_cvtepi32_epi8(a);
    _mm_storeu_si128((__m128i *)x, _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
}

/* Four times sixteen lanes that fit into 16 bits, `more` added to each: bytes from 0
 * to 255, what is beyond them being the nearer end. */
#define I_STORE_FOUR
INLINE void i_store_sum_u8(uint8_t *x, const integers a[4], int32_t more)
{
    const __m512i sixteen = _mm512_set1_epi16((int16_t)more);
    const __m512i places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(a[0], a[1]), sixteen);
    __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(a[2], a[3]), sixteen);
    __m512i bytes = _mm512_packus_epi16(low, high);
    _mm512_storeu_si512(x, _mm512_permutexvar_epi32(places, bytes));
}

/* Sixteen pairs of 16-bit integers: a's product sums added to the sums. */
INLINE integers i_dot_i16(integers sums, integers a, integers b)
{
#ifdef __AVX512VNNI__
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b)); /* see kernels_avx512vnni.c */
    return sums;
#else
    return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b));
#endif
}

/* 32 bytes as 16-bit integers. */
INLINE integers i_load_i8(const int8_t *x)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)x));
}

/* Sixteen pairs of bfloat16: the products of the upper halves added to the sums,
 * then those of the lower. */
INLINE vector v_dot_bf16(vector sums, integers a, integers b)
{
#ifdef __AVX512BF16__
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b)); /* as in i_dot_i16 */
    return sums;
#else
    const __m512i upper = _mm512_set1_epi32(-65536);
    sums = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(a, upper)),
                           _mm512_castsi512_ps(_mm512_and_si512(b, upper)), sums);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)),
                           _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), sums);
#endif
}

/* Rounded to bfloat16 (kernels.h). */
INLINE void v_store_bf16(uint16_t *x, vector a)
{
#ifdef __AVX512BF16__
    __m256i halves = (__m256i)_mm512_cvtneps_pbh(a);
#else
    __m512i bits = _mm512_castps_si512(a);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
    __mmask16 tiny = m_less(v_abs(a), v_all(FLT_MIN));
    up = _mm512_mask_and_epi32(up, tiny, bits, _mm512_set1_epi32(INT32_MIN));
    __m256i halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
#endif
    _mm256_storeu_si256((__m256i *)x, halves);
}

/* Pairs (low[i], high[i]) of 16-bit integers. */
INLINE integers i_pair_i16(const int16_t *low, const int16_t *high)
{
    __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)low));
    __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)high));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

#include "kernels/vector_x86.inc"

#endif
