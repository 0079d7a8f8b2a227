/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rotation.c: see rotation.h.
 *
 * Signs are changed by pseudo-random bits and a Hadamard transform mixes the largest
 * power of two of coordinates, four times, by turns those at the beginning and those at
 * the end (Ailon & Chazelle 2006; for widths between powers of two as in the RaBitQ
 * library). n log n additions instead of the n * n products of a matrix, and none to
 * keep.
 */
#include "index/rotation.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { ROUNDS = 4 };

/* Four lanes, as every processor has them; the compiler makes what it can of them. */
typedef float four __attribute__((vector_size(16)));
typedef uint32_t four_bits __attribute__((vector_size(16)));

static four load(const float *x)
{
    four y;
    memcpy(&y, x, sizeof y);
    return y;
}

static void store(float *x, four y)
{
    memcpy(x, &y, sizeof y);
}

/* Bit i: the sign of coordinate i of 64 changes (SplitMix64). */
static uint64_t signs_of(size_t round, size_t word)
{
    uint64_t z = (uint64_t)(round << 32 | (word + 1)) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void change_signs(float *x, size_t width, size_t round)
{
    const four_bits places = {1, 2, 4, 8};
    for (size_t i = 0; i < width; i += ASSAY_ROTATION_STEP) {
        uint64_t signs = signs_of(round, i / ASSAY_ROTATION_STEP);
        for (size_t j = i; j < i + ASSAY_ROTATION_STEP; j += 4, signs >>= 4) {
            uint32_t low = (uint32_t)signs;
            four_bits chosen = (four_bits)((((four_bits){low, low, low, low}) & places) != 0);
            four y = load(x + j);
            store(x + j, (four)((four_bits)y ^ (chosen & 0x80000000u)));
        }
    }
}

/* The transform of n coordinates, a power of two, at least 4, each times `factor`. */
static void hadamard(float *x, size_t n, float factor)
{
    for (size_t i = 0; i < n; i += 4) {
        float a = x[i] + x[i + 1], b = x[i] - x[i + 1];
        float c = x[i + 2] + x[i + 3], d = x[i + 2] - x[i + 3];
        x[i] = factor * (a + c);
        x[i + 1] = factor * (b + d);
        x[i + 2] = factor * (a - c);
        x[i + 3] = factor * (b - d);
    }
    for (size_t half = 4; half < n; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            for (size_t j = i; j < i + half; j += 4) {
                four a = load(x + j), b = load(x + j + half);
                store(x + j, a + b);
                store(x + j + half, a - b);
            }
}

void assay_rotate(float *x, size_t width)
{
    size_t power = ASSAY_ROTATION_STEP;
    while (2 * power <= width)
        power *= 2;
    float factor = (float)(1 / sqrt((double)power));
    for (size_t round = 0; round < ROUNDS; round++) {
        change_signs(x, width, round);
        hadamard(round % 2 == 0 ? x : x + (width - power), power, factor);
    }
}
