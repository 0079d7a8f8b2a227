/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_avx2.h: sixteen lanes in two AVX registers, for kernels_float.inc and
 * kernels_integer.inc.
 */
#ifndef ASSAY_VECTOR_AVX2_H
#define ASSAY_VECTOR_AVX2_H

#include <float.h>
#include <immintrin.h>

#include "kernels/vector_base.h"

typedef struct vector {
    __m256 low, high; /* lanes 0-7 and 8-15 */
} vector;

typedef struct mask { /* a lane is chosen where its top bit is set */
    __m256 low, high;
} mask;

INLINE vector v_all(float x)
{
    return (vector){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

INLINE vector v_load(const float *x)
{
    return (vector){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}

INLINE void v_store(float *x, vector a)
{
    _mm256_storeu_ps(x, a.low);
    _mm256_storeu_ps(x + 8, a.high);
}

INLINE vector v_add(vector a, vector b)
{
    return (vector){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

INLINE vector v_sub(vector a, vector b)
{
    return (vector){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

INLINE vector v_mul(vector a, vector b)
{
    return (vector){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

INLINE vector v_div(vector a, vector b)
{
    return (vector){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}

INLINE vector v_fma(vector a, vector b, vector c)
{
    return (vector){_mm256_fmadd_ps(a.low, b.low, c.low),
                    _mm256_fmadd_ps(a.high, b.high, c.high)};
}

/* a > b ? a : b, so b where one is NaN. */
INLINE vector v_max(vector a, vector b)
{
    return (vector){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

/* a < b ? a : b. */
INLINE vector v_min(vector a, vector b)
{
    return (vector){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

/* Without the sign. */
INLINE vector v_abs(vector a)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (vector){_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}

INLINE vector v_or(vector a, vector b)
{
    return (vector){_mm256_or_ps(a.low, b.low), _mm256_or_ps(a.high, b.high)};
}

/* |a| with b's sign; a has none. */
INLINE vector v_sign(vector a, vector b)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (vector){_mm256_or_ps(a.low, _mm256_and_ps(sign, b.low)),
                    _mm256_or_ps(a.high, _mm256_and_ps(sign, b.high))};
}

/* The float whose bits are (a's + add) << 23. */
INLINE vector v_power(vector a, int add)
{
    const __m256i bias = _mm256_set1_epi32(add);
    __m256i low = _mm256_add_epi32(_mm256_castps_si256(a.low), bias);
    __m256i high = _mm256_add_epi32(_mm256_castps_si256(a.high), bias);
    return (vector){_mm256_castsi256_ps(_mm256_slli_epi32(low, 23)),
                    _mm256_castsi256_ps(_mm256_slli_epi32(high, 23))};
}

INLINE mask m_less(vector a, vector b)
{
    return (mask){_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ),
                  _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}

/* The first n lanes. */
INLINE mask m_first(size_t n)
{
    static const int32_t window[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                       -1, -1, -1, -1, -1, -1, -1, -1};
    const float *start = (const float *)(window + 16 - n);
    return (mask){_mm256_loadu_ps(start), _mm256_loadu_ps(start + 8)};
}

/* m ? a : b. */
INLINE vector v_select(mask m, vector a, vector b)
{
    return (vector){_mm256_blendv_ps(b.low, a.low, m.low),
                    _mm256_blendv_ps(b.high, a.high, m.high)};
}

/* Lanes outside m are 0, and their memory is not touched. */
INLINE vector v_load_masked(const float *x, mask m)
{
    return (vector){_mm256_maskload_ps(x, _mm256_castps_si256(m.low)),
                    _mm256_maskload_ps(x + 8, _mm256_castps_si256(m.high))};
}

INLINE void v_store_masked(float *x, mask m, vector a)
{
    _mm256_maskstore_ps(x, _mm256_castps_si256(m.low), a.low);
    _mm256_maskstore_ps(x + 8, _mm256_castps_si256(m.high), a.high);
}

/* Lanes 0-7 and 8-15. */
INLINE __m256 v_low(vector a)
{
    return a.low;
}

INLINE __m256 v_high(vector a)
{
    return a.high;
}

INLINE vector v_of_f16(const uint16_t x[16])
{
    return (vector){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x)),
                    _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + 8)))};
}

INLINE vector v_of_bf16(const uint16_t x[16])
{
    __m256i low = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)x));
    __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(x + 8)));
    return (vector){_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)),
                    _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
}

INLINE vector v_of_i8(const int8_t x[16])
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)x);
    __m256i low = _mm256_cvtepi8_epi32(bytes);
    __m256i high = _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8));
    return (vector){_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)};
}

/* -------------------------------------------------------- sixteen integers */

typedef struct integers {
    __m256i low, high; /* lanes 0-7 and 8-15 */
} integers;

INLINE integers i_load(const void *x)
{
    const __m256i *at = x;
    return (integers){_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}

INLINE void i_store(void *x, integers a)
{
    __m256i *at = x;
    _mm256_storeu_si256(at, a.low);
    _mm256_storeu_si256(at + 1, a.high);
}

INLINE integers i_all(int32_t x)
{
    return (integers){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

INLINE integers i_xor(integers a, integers b)
{
    return (integers){_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)};
}

INLINE integers i_add(integers a, integers b)
{
    return (integers){_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}

INLINE integers i_sub(integers a, integers b)
{
    return (integers){_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}

INLINE integers i_mul(integers a, integers b)
{
    return (integers){_mm256_mullo_epi32(a.low, b.low), _mm256_mullo_epi32(a.high, b.high)};
}

INLINE integers i_max(integers a, integers b)
{
    return (integers){_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
}

INLINE integers i_select(mask m, integers a, integers b)
{
    return (integers){_mm256_blendv_epi8(b.low, a.low, _mm256_castps_si256(m.low)),
                      _mm256_blendv_epi8(b.high, a.high, _mm256_castps_si256(m.high))};
}

/* Of all lanes. */
INLINE int32_t i_sum(integers a)
{
    __m256i eight = _mm256_add_epi32(a.low, a.high);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_srli_si128(two, 4)));
}

/* The same of each of four. */
INLINE void i_sum_4(const integers a[4], int32_t out[4])
{
    __m256i one = _mm256_hadd_epi32(_mm256_add_epi32(a[0].low, a[0].high),
                                    _mm256_add_epi32(a[1].low, a[1].high));
    __m256i other = _mm256_hadd_epi32(_mm256_add_epi32(a[2].low, a[2].high),
                                      _mm256_add_epi32(a[3].low, a[3].high));
    __m256i all = _mm256_hadd_epi32(one, other);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    _mm_storeu_si128((__m128i *)(void *)out, four);
}

INLINE vector v_of_integers(integers a)
{
    return (vector){_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}

/* Rounded to nearest, ties to even. */
INLINE integers i_of_vector(vector a)
{
    return (integers){_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)};
}

INLINE integers i_bits(vector a)
{
    return (integers){_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}

/* 32 bits as bytes: all ones where one is set. */
INLINE __m256i bytes_where(const uint8_t *bits)
{
    int32_t four;
    memcpy(&four, bits, sizeof four);
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i place = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(four), spread);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, place), place);
}

/* Lanes that fit into 16 bits. */
INLINE void i_store_i16(int16_t *x, integers a)
{
    __m256i both = _mm256_packs_epi32(a.low, a.high);
    _mm256_storeu_si256((__m256i *)x, _mm256_permute4x64_epi64(both, _MM_SHUFFLE(3, 1, 2, 0)));
}

/* Lanes from -128 to 127, as bytes with 128 added. */
INLINE void i_store_u8(uint8_t *x, integers a)
{
    __m256i both = _mm256_packs_epi32(a.low, a.high);
    both = _mm256_permute4x64_epi64(both, _MM_SHUFFLE(3, 1, 2, 0));
    __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(both),
                                    _mm256_extracti128_si256(both, 1));
    _mm_storeu_si128((__m128i *)x, _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
}

/* Sixteen pairs of 16-bit integers: a's product sums added to the sums. */
INLINE integers i_dot_i16(integers sums, integers a, integers b)
{
#ifdef __AVXVNNI__
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sums.low) : "x"(a.low), "x"(b.low));
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sums.high) : "x"(a.high), "x"(b.high));
    return sums; /* not the intrinsic: see kernels_avx512vnni.c */
#else
    return (integers){_mm256_add_epi32(sums.low, _mm256_madd_epi16(a.low, b.low)),
                      _mm256_add_epi32(sums.high, _mm256_madd_epi16(a.high, b.high))};
#endif
}

/* 32 bytes as 16-bit integers. */
INLINE integers i_load_i8(const int8_t *x)
{
    const __m128i *at = (const __m128i *)x;
    return (integers){_mm256_cvtepi8_epi16(_mm_loadu_si128(at)),
                      _mm256_cvtepi8_epi16(_mm_loadu_si128(at + 1))};
}

/* Sixteen pairs of bfloat16: the products of the upper halves added to the sums,
 * then those of the lower. */
INLINE vector v_dot_bf16(vector sums, integers a, integers b)
{
#define HIGH(x) _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-65536)))
#define LOW(x) _mm256_castsi256_ps(_mm256_slli_epi32(x, 16))
    sums.low = _mm256_fmadd_ps(HIGH(a.low), HIGH(b.low), sums.low);
    sums.high = _mm256_fmadd_ps(HIGH(a.high), HIGH(b.high), sums.high);
    return (vector){_mm256_fmadd_ps(LOW(a.low), LOW(b.low), sums.low),
                    _mm256_fmadd_ps(LOW(a.high), LOW(b.high), sums.high)};
#undef HIGH
#undef LOW
}

/* Eight floats rounded to bfloat16, in the upper halves (kernels.h). */
INLINE __m256i rounded_bf16(__m256 a)
{
    __m256i bits = _mm256_castps_si256(a), sign = _mm256_set1_epi32(INT32_MIN);
    __m256 size = _mm256_andnot_ps(_mm256_castsi256_ps(sign), a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    __m256i tiny = _mm256_castps_si256(_mm256_cmp_ps(size, _mm256_set1_ps(FLT_MIN), _CMP_LT_OQ));
    up = _mm256_blendv_epi8(up, quiet, nan);
    return _mm256_blendv_epi8(up, _mm256_and_si256(bits, sign), tiny);
}

INLINE void v_store_bf16(uint16_t *x, vector a)
{
    __m256i both = _mm256_packus_epi32(_mm256_srli_epi32(rounded_bf16(a.low), 16),
                                       _mm256_srli_epi32(rounded_bf16(a.high), 16));
    _mm256_storeu_si256((__m256i *)x, _mm256_permute4x64_epi64(both, _MM_SHUFFLE(3, 1, 2, 0)));
}

/* Pairs (low[i], high[i]) of 16-bit integers. */
INLINE integers i_pair_i16(const int16_t *low, const int16_t *high)
{
    __m256i a = _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)low),
                                         _MM_SHUFFLE(3, 1, 2, 0));
    __m256i b = _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)high),
                                         _MM_SHUFFLE(3, 1, 2, 0));
    return (integers){_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)};
}

#include "kernels/vector_x86.inc"

#endif
