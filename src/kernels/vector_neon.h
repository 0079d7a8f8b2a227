/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_neon.h: sixteen lanes in four NEON registers, for kernels_float.inc and
 * kernels_integer.inc. What it asks for is the baseline of ARMv8-A, fused
 * multiply-add and conversion of binary16 among it.
 */
#ifndef ASSAY_VECTOR_NEON_H
#define ASSAY_VECTOR_NEON_H

#include <arm_neon.h>
#include <float.h>

#include "kernels/vector_base.h"

typedef struct vector {
    float32x4_t a, b, c, d; /* lanes 0-3, 4-7, 8-11, 12-15 */
} vector;

typedef struct mask { /* a lane is chosen where its bits are set */
    uint32x4_t a, b, c, d;
    size_t first; /* of m_first: memory is read and written by number */
} mask;

/* f of each register of one vector, or of two. */
#define EACH(f, x) {f((x).a), f((x).b), f((x).c), f((x).d)}
#define EACH_OF_2(f, x, y) {f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)}

INLINE vector v_all(float x)
{
    float32x4_t q = vdupq_n_f32(x);
    return (vector){q, q, q, q};
}

INLINE vector v_load(const float *x)
{
    return (vector){vld1q_f32(x), vld1q_f32(x + 4), vld1q_f32(x + 8), vld1q_f32(x + 12)};
}

INLINE void v_store(float *x, vector a)
{
    vst1q_f32(x, a.a);
    vst1q_f32(x + 4, a.b);
    vst1q_f32(x + 8, a.c);
    vst1q_f32(x + 12, a.d);
}

INLINE vector v_add(vector a, vector b)
{
    return (vector)EACH_OF_2(vaddq_f32, a, b);
}

INLINE vector v_sub(vector a, vector b)
{
    return (vector)EACH_OF_2(vsubq_f32, a, b);
}

INLINE vector v_mul(vector a, vector b)
{
    return (vector)EACH_OF_2(vmulq_f32, a, b);
}

INLINE vector v_div(vector a, vector b)
{
    return (vector)EACH_OF_2(vdivq_f32, a, b);
}

INLINE vector v_fma(vector a, vector b, vector c)
{
    return (vector){vfmaq_f32(c.a, a.a, b.a), vfmaq_f32(c.b, a.b, b.b), vfmaq_f32(c.c, a.c, b.c),
                    vfmaq_f32(c.d, a.d, b.d)};
}

/* sum + x * w. The multiply-add takes x from lane 0 of a register that an
 * ordinary load has filled; spreading it over the lanes would be one operation
 * more for the units that add and multiply. */
INLINE vector v_add_scaled(vector sum, float x, vector w)
{
    float32x4_t factor = vsetq_lane_f32(x, vdupq_n_f32(0.0f), 0);
    return (vector){vfmaq_laneq_f32(sum.a, w.a, factor, 0), vfmaq_laneq_f32(sum.b, w.b, factor, 0),
                    vfmaq_laneq_f32(sum.c, w.c, factor, 0), vfmaq_laneq_f32(sum.d, w.d, factor, 0)};
}

/* a > b ? a : b, so b where one is NaN, and for zeros: FMAX has other ideas. */
INLINE vector v_max(vector a, vector b)
{
#define GREATER(x, y) vbslq_f32(vcgtq_f32(x, y), x, y)
    return (vector)EACH_OF_2(GREATER, a, b);
#undef GREATER
}

/* a < b ? a : b. */
INLINE vector v_min(vector a, vector b)
{
#define LESSER(x, y) vbslq_f32(vcltq_f32(x, y), x, y)
    return (vector)EACH_OF_2(LESSER, a, b);
#undef LESSER
}

/* Without the sign. */
INLINE vector v_abs(vector a)
{
    return (vector)EACH(vabsq_f32, a);
}

INLINE vector v_or(vector a, vector b)
{
#define EITHER(x, y) \
    vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)))
    return (vector)EACH_OF_2(EITHER, a, b);
#undef EITHER
}

/* |a| with b's sign; a has none. */
INLINE vector v_sign(vector a, vector b)
{
    const uint32x4_t sign = vdupq_n_u32(0x80000000);
#define WITH_SIGN(x, y) vbslq_f32(sign, y, x)
    return (vector)EACH_OF_2(WITH_SIGN, a, b);
#undef WITH_SIGN
}

/* The float whose bits are (a's + add) << 23. */
INLINE vector v_power(vector a, int add)
{
    const int32x4_t bias = vdupq_n_s32(add);
#define POWER(x) \
    vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vreinterpretq_s32_f32(x), bias), 23))
    return (vector)EACH(POWER, a);
#undef POWER
}

INLINE mask m_less(vector a, vector b)
{
    return (mask){vcltq_f32(a.a, b.a), vcltq_f32(a.b, b.b), vcltq_f32(a.c, b.c),
                  vcltq_f32(a.d, b.d), 0};
}

/* The first n lanes. */
INLINE mask m_first(size_t n)
{
    static const uint32_t window[32] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u,
                                        ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
    const uint32_t *start = window + 16 - n;
    return (mask){vld1q_u32(start), vld1q_u32(start + 4), vld1q_u32(start + 8),
                  vld1q_u32(start + 12), n};
}

/* m ? a : b. */
INLINE vector v_select(mask m, vector a, vector b)
{
    return (vector){vbslq_f32(m.a, a.a, b.a), vbslq_f32(m.b, a.b, b.b), vbslq_f32(m.c, a.c, b.c),
                    vbslq_f32(m.d, a.d, b.d)};
}

/* Four lanes, of which the first n are in memory, and n may be more. */
INLINE float32x4_t load_some(const float *x, size_t n)
{
    float32x4_t q = vdupq_n_f32(0.0f);
    if (n >= 4)
        return vld1q_f32(x);
    if (n > 0)
        q = vld1q_lane_f32(x, q, 0);
    if (n > 1)
        q = vld1q_lane_f32(x + 1, q, 1);
    if (n > 2)
        q = vld1q_lane_f32(x + 2, q, 2);
    return q;
}

INLINE void store_some(float *x, size_t n, float32x4_t q)
{
    if (n >= 4)
        vst1q_f32(x, q);
    else if (n > 0)
        vst1q_lane_f32(x, q, 0);
    if (n == 2 || n == 3)
        vst1q_lane_f32(x + 1, q, 1);
    if (n == 3)
        vst1q_lane_f32(x + 2, q, 2);
}

#define BEYOND(n, lanes) ((n) > (lanes) ? (n) - (lanes) : 0)

/* Ends of rows only: not to be inlined into every one of them. */
__attribute__((noinline)) static vector load_count(const float *x, size_t n)
{
    return (vector){load_some(x, n), load_some(x + 4, BEYOND(n, 4)),
                    load_some(x + 8, BEYOND(n, 8)), load_some(x + 12, BEYOND(n, 12))};
}

__attribute__((noinline)) static void store_count(float *x, size_t n, vector a)
{
    store_some(x, n, a.a);
    store_some(x + 4, BEYOND(n, 4), a.b);
    store_some(x + 8, BEYOND(n, 8), a.c);
    store_some(x + 12, BEYOND(n, 12), a.d);
}

/* Lanes outside m, which is from m_first, are 0, and their memory is not
 * touched. */
INLINE vector v_load_masked(const float *x, mask m)
{
    return load_count(x, m.first);
}

INLINE void v_store_masked(float *x, mask m, vector a)
{
    store_count(x, m.first, a);
}

INLINE vector v_of_f16(const uint16_t x[16])
{
#define OF_F16(at) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at)))
    return (vector){OF_F16(x), OF_F16(x + 4), OF_F16(x + 8), OF_F16(x + 12)};
#undef OF_F16
}

INLINE vector v_of_bf16(const uint16_t x[16])
{
#define OF_BF16(at) vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(at)), 16))
    return (vector){OF_BF16(x), OF_BF16(x + 4), OF_BF16(x + 8), OF_BF16(x + 12)};
#undef OF_BF16
}

INLINE vector v_of_i8(const int8_t x[16])
{
    int8x16_t bytes = vld1q_s8(x);
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return (vector){vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                    vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                    vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                    vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
}

/* The lanes' sum, in the contract's tree. */
INLINE float tree(vector a)
{
    float32x4_t four = vaddq_f32(vaddq_f32(a.a, a.c), vaddq_f32(a.b, a.d));
    return vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}

/* Of lanes among which there is no NaN. */
INLINE float largest_lane(vector a)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.a, a.c), vmaxq_f32(a.b, a.d)));
}

/* ---------------------------------------------------------- squares of floats */

#define SIDE 4
typedef float32x4_t side;

/* r[i] = the first n floats at x + i * ldx for i < rows, the rest 0. */
INLINE void square_load(side r[SIDE], const float *x, size_t ldx, size_t rows, size_t n)
{
    UNROLL
    for (size_t i = 0; i < SIDE; i++)
        r[i] = i < rows ? load_some(x + i * ldx, n) : vdupq_n_f32(0.0f);
}

INLINE void square_transpose(side r[SIDE])
{
    float64x2_t t[SIDE];
    UNROLL
    for (size_t i = 0; i < 4; i += 2) {
        t[i] = vreinterpretq_f64_f32(vtrn1q_f32(r[i], r[i + 1]));
        t[i + 1] = vreinterpretq_f64_f32(vtrn2q_f32(r[i], r[i + 1]));
    }
    UNROLL
    for (size_t i = 0; i < 2; i++) {
        r[i] = vreinterpretq_f32_f64(vtrn1q_f64(t[i], t[i + 2]));
        r[i + 2] = vreinterpretq_f32_f64(vtrn2q_f64(t[i], t[i + 2]));
    }
}

INLINE void side_store(float *x, side a)
{
    vst1q_f32(x, a);
}

/* -------------------------------------------------------- sixteen integers */

typedef struct integers {
    int32x4_t a, b, c, d; /* lanes 0-3, 4-7, 8-11, 12-15 */
} integers;

INLINE integers i_load(const void *x)
{
    const uint8_t *at = x;
#define AT(offset) vreinterpretq_s32_u8(vld1q_u8(at + (offset)))
    return (integers){AT(0), AT(16), AT(32), AT(48)};
#undef AT
}

INLINE void i_store(void *x, integers a)
{
    uint8_t *at = x;
    vst1q_u8(at, vreinterpretq_u8_s32(a.a));
    vst1q_u8(at + 16, vreinterpretq_u8_s32(a.b));
    vst1q_u8(at + 32, vreinterpretq_u8_s32(a.c));
    vst1q_u8(at + 48, vreinterpretq_u8_s32(a.d));
}

INLINE integers i_all(int32_t x)
{
    int32x4_t q = vdupq_n_s32(x);
    return (integers){q, q, q, q};
}

INLINE integers i_add(integers a, integers b)
{
    return (integers)EACH_OF_2(vaddq_s32, a, b);
}

INLINE integers i_sub(integers a, integers b)
{
    return (integers)EACH_OF_2(vsubq_s32, a, b);
}

INLINE integers i_mul(integers a, integers b)
{
    return (integers)EACH_OF_2(vmulq_s32, a, b);
}

INLINE integers i_select(mask m, integers a, integers b)
{
    return (integers){vbslq_s32(m.a, a.a, b.a), vbslq_s32(m.b, a.b, b.b), vbslq_s32(m.c, a.c, b.c),
                      vbslq_s32(m.d, a.d, b.d)};
}

/* Of all lanes. */
INLINE int32_t i_sum(integers a)
{
    return vaddvq_s32(vaddq_s32(vaddq_s32(a.a, a.b), vaddq_s32(a.c, a.d)));
}

/* The same of each of four. */
INLINE void i_sum_4(const integers a[4], int32_t out[4])
{
    int32x4_t sums[4];
    for (size_t i = 0; i < 4; i++)
        sums[i] = vaddq_s32(vaddq_s32(a[i].a, a[i].b), vaddq_s32(a[i].c, a[i].d));
    vst1q_s32(out, vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3])));
}

INLINE integers i_max(integers a, integers b)
{
    return (integers)EACH_OF_2(vmaxq_s32, a, b);
}

INLINE vector v_of_integers(integers a)
{
    return (vector)EACH(vcvtq_f32_s32, a);
}

/* Rounded to nearest, ties to even. */
INLINE integers i_of_vector(vector a)
{
    return (integers)EACH(vcvtnq_s32_f32, a);
}

INLINE integers i_bits(vector a)
{
    return (integers)EACH(vreinterpretq_s32_f32, a);
}

/* 16 bits as bytes: all ones where one is set. */
INLINE int8x16_t bytes_where(const uint8_t *bits)
{
    const uint8x16_t place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t bytes = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));
    return vreinterpretq_s8_u8(vtstq_u8(bytes, place));
}

/* Lanes that fit into 16 bits. */
INLINE void i_store_i16(int16_t *x, integers a)
{
    vst1q_s16(x, vcombine_s16(vmovn_s32(a.a), vmovn_s32(a.b)));
    vst1q_s16(x + 8, vcombine_s16(vmovn_s32(a.c), vmovn_s32(a.d)));
}

/* Lanes that fit into 8 bits. */
INLINE void i_store_i8(uint8_t *x, integers a)
{
    int16x8_t low = vcombine_s16(vmovn_s32(a.a), vmovn_s32(a.b));
    int16x8_t high = vcombine_s16(vmovn_s32(a.c), vmovn_s32(a.d));
    vst1q_u8(x, vreinterpretq_u8_s8(vcombine_s8(vmovn_s16(low), vmovn_s16(high))));
}

/* --------------------------------------------------------- products of 16 bits */

/*
 * A row of a panel of pairs holds the sixteen first elements, then the sixteen
 * second ones: there is no sum of two products in one instruction, but one that
 * takes one factor from a lane. The row's pair stands in lanes 0 and 1.
 */
typedef int16x4_t group_i16;

INLINE group_i16 group_i16_of(const void *x)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    return vcreate_s16(bits);
}

INLINE integers i_dot_i16(integers sums, group_i16 pair, integers w)
{
    int16x8_t a = vreinterpretq_s16_s32(w.a), b = vreinterpretq_s16_s32(w.b);
    int16x8_t c = vreinterpretq_s16_s32(w.c), d = vreinterpretq_s16_s32(w.d);
    sums.a = vmlal_lane_s16(sums.a, vget_low_s16(a), pair, 0);
    sums.b = vmlal_high_lane_s16(sums.b, a, pair, 0);
    sums.c = vmlal_lane_s16(sums.c, vget_low_s16(b), pair, 0);
    sums.d = vmlal_high_lane_s16(sums.d, b, pair, 0);
    sums.a = vmlal_lane_s16(sums.a, vget_low_s16(c), pair, 1);
    sums.b = vmlal_high_lane_s16(sums.b, c, pair, 1);
    sums.c = vmlal_lane_s16(sums.c, vget_low_s16(d), pair, 1);
    sums.d = vmlal_high_lane_s16(sums.d, d, pair, 1);
    return sums;
}

/* Column l's pair in a row of a panel. */
INLINE void put_pair(int16_t *row, size_t l, const int16_t pair[2])
{
    row[l] = pair[0];
    row[LANES + l] = pair[1];
}

/* The row of the pairs (low[i], high[i]). */
INLINE integers i_pair_i16(const int16_t *low, const int16_t *high)
{
#define HALF(x) vreinterpretq_s32_s16(vld1q_s16(x))
    return (integers){HALF(low), HALF(low + 8), HALF(high), HALF(high + 8)};
#undef HALF
}

/* ------------------------------------------------------- products of bfloat16 */

/* A row's pair as floats, in lanes 0 and 1. */
typedef float32x2_t group_bf16;

INLINE group_bf16 group_bf16_of(const void *x)
{
    return vreinterpret_f32_s16(vzip1_s16(vdup_n_s16(0), group_i16_of(x)));
}

/* Sixteen pairs: the products of the upper halves added to the sums, then those
 * of the lower. */
INLINE vector v_dot_bf16(vector sums, group_bf16 pair, integers w)
{
    const uint32x4_t upper = vdupq_n_u32(0xffff0000);
#define HIGH(x) vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_s32(x), upper))
#define LOW(x) vreinterpretq_f32_s32(vshlq_n_s32(x, 16))
#define DOT(sum, x) \
    vfmaq_lane_f32(vfmaq_lane_f32(sum, HIGH(x), pair, 1), LOW(x), pair, 0)
    return (vector)EACH_OF_2(DOT, sums, w);
#undef HIGH
#undef LOW
#undef DOT
}

/* Four floats rounded to bfloat16 (kernels.h). */
INLINE uint16x4_t rounded_bf16(float32x4_t a)
{
    uint32x4_t bits = vreinterpretq_u32_f32(a);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t tiny = vcltq_f32(vabsq_f32(a), vdupq_n_f32(FLT_MIN));
    up = vbslq_u32(vceqq_f32(a, a), up, vorrq_u32(bits, vdupq_n_u32(0x400000)));
    up = vbslq_u32(tiny, vandq_u32(bits, vdupq_n_u32(0x80000000)), up);
    return vshrn_n_u32(up, 16);
}

INLINE void v_store_bf16(uint16_t *x, vector a)
{
    vst1q_u16(x, vcombine_u16(rounded_bf16(a.a), rounded_bf16(a.b)));
    vst1q_u16(x + 8, vcombine_u16(rounded_bf16(a.c), rounded_bf16(a.d)));
}

#endif
