/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_math.h: the numbers of exp, GELU and tanh, one place for all
 * instruction sets. Fitted by tools/fit_kernels (minimax by Lawson's
 * reweighting, rounded to float); evaluated by Horner's rule with fused
 * multiply-adds, highest power first. Largest errors, by bench_kernels
 * --accuracy against double precision: exp 1.8 ulp, tanh 1.5 ulp and 9e-8,
 * GELU 2.5e-7 (from 4 up that is half an ulp).
 *
 * exp(x), x <= 0 only (its callers' case):
 *     t = fma(x, LOG2E, ROUND): n = t - ROUND is x/ln 2 rounded to even, and
 *     the low bits of t hold n as an integer. r = x - n ln 2 in two steps.
 *     exp(r) = 1 + r (1 + r q(r)), multiplied by 2^n.
 *     Below EXP_LOWEST the result is 0, so that no denormal is ever made.
 * gelu(x): max(x, 0) - |x| Phi(-|x|), the second term at most 0.17 and so
 *     nothing is lost by cancellation. The normal distribution's tail Phi(-a)
 *     is p(a)^-8, a form after Abramowitz & Stegun 7.1.28 with other degree and
 *     coefficients. Beyond GELU_LIMIT its value there is kept, about
 *     1e-24, so that -inf gives no NaN and large x no denormal.
 *     Its derivative is Phi(x) + x phi(x), off by at most 1e-6.
 * tanh(x): x + x (x^2 p(x^2)) below TANH_SMALL, else, with e = exp(-2|x|),
 *     1 - 2e / (1 + e) with the sign of x.
 */
#ifndef ASSAY_KERNELS_MATH_H
#define ASSAY_KERNELS_MATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"

#define EXP_LOWEST -0x1.5d589ep+6f /* ln of the smallest normal float */
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_ROUND 0x1.8p+23f
#define EXP_LN2_HIGH 0x1.62e4p-1f /* n * this is exact */
#define EXP_LN2_LOW 0x1.7f7d1cp-20f
#define EXP_BIAS 127

static const float exp_q[] = {0x1.6a2352p-10f, 0x1.123a6cp-7f, 0x1.5558f4p-5f, 0x1.555490p-3f,
                              0x1.fffffcp-2f};

#define GELU_LIMIT 10.0f
static const float gelu_p[] = {0x1.ea8c02p-24f,  -0x1.a89b56p-20f, 0x1.8d8640p-17f,
                               -0x1.5c8232p-15f, 0x1.1d6010p-13f,  0x1.de9c0cp-14f,
                               0x1.124976p-10f,  0x1.33cfb6p-7f,   0x1.900d8cp-5f,
                               0x1.bd7a60p-4f,   0x1.172b86p+0f};

#define NORMAL_DENSITY 0x1.988454p-2f /* 1 / sqrt(2 pi) */

#define TANH_SMALL 0.625f
static const float tanh_p[] = {-0x1.76ac1ap-8f, 0x1.5256d8p-6f, -0x1.b84448p-5f, 0x1.110768p-3f,
                               -0x1.555534p-2f};

/*
 * The integer kernels' own, whose results are rounded to 8 or 15 bits anyway:
 * gelu_near(x) = max(x, 0) - a p(a) with a = min(|x|, GELU_NEAR_LIMIT), where p
 *     is the normal distribution's tail; off by at most 1.3e-4.
 * exp2_near(x), x <= 0: 2^n p(r), n the nearest integer; off by at most 7.5e-5
 *     of itself. What is below EXP2_LOWEST counts as that.
 */
#define GELU_NEAR_LIMIT 4.0f
static const float gelu_near_p[] = {0x1.98726cp-15f, -0x1.795c72p-10f, 0x1.f35f2ep-7f,
                                    -0x1.37ea52p-4f, 0x1.68d436p-3f,   -0x1.4d5e7ap-4f,
                                    -0x1.7b8532p-2f, 0x1.fc993ap-2f};

#define EXP2_LOWEST -126.0f
static const float exp2_near_p[] = {0x1.c3f760p-5f, 0x1.f0de1ap-3f, 0x1.62f31ap-1f,
                                    0x1.fff692p-1f};

/* The factor that turns values of at most |x| = the float with these bits into
 * integers of at most `limit`, and its inverse, *scale. Values too small to be
 * told from zero count as zero; infinity and NaN give the scale NaN. */
static inline float quantize_factor(uint32_t largest, float limit, float *scale)
{
    float x;
    memcpy(&x, &largest, sizeof x);
    *scale = largest > 0x7f7fffff ? NAN : 0.0f;
    if (largest > 0x7f7fffff || x < limit * FLT_MIN)
        return 0.0f;
    *scale = x / limit;
    return limit / x;
}

/* The same for a row of bytes whose shares lie in [low, high], which holds 0; `odd`
 * is NaN when one of them is no finite number, else 0. */
static inline float quantize_span(float low, float high, float odd, assay_i8_row *row)
{
    float span = high - low;
    *row = (assay_i8_row){.scale = 0.0f};
    if (odd != 0.0f || !(span <= FLT_MAX))
        row->scale = NAN;
    if (isnan(row->scale) || span < 255.0f * FLT_MIN)
        return 0.0f;
    float factor = 255.0f / span;
    row->scale = span / 255.0f;
    row->zero = (int32_t)rintf(-low * factor);
    return factor;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
