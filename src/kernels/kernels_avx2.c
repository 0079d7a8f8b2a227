/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_avx2.c: the kernels for AVX2, FMA and F16C. Sixteen lanes are two
 * registers; kernels_x86.inc makes the kernels from the operations below.
 */
#include <immintrin.h>

#include "kernels/kernels_sets.h"

#define NAME(kernel) assay_##kernel##_avx2
#define INLINE static inline __attribute__((always_inline))

typedef struct vector {
    __m256 low, high; /* lanes 0-7 and 8-15 */
} vector;

typedef struct mask { /* a lane is chosen where its top bit is set */
    __m256 low, high;
} mask;

/* Accumulators: 6 x 2 registers, 2 for the panel's row and 1 for the factor. */
#define TILE_ROWS 6
#define TILE_PANELS 1
#define DEPTH_BLOCK 384 /* 24 KiB of panel, in a level-1 cache of 32 */

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

#include "kernels/kernels_x86.inc"
