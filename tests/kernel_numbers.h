/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_numbers.h: the numbers that the kernels are tested with, from a seed. */
#ifndef ASSAY_TEST_KERNEL_NUMBERS_H
#define ASSAY_TEST_KERNEL_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state_of_random = 1;
static bool quick; /* fewer shapes */

/* What $ASSAY_TEST_SEED and $ASSAY_TEST_QUICK ask for. */
static inline void read_settings(void)
{
    const char *seed = getenv("ASSAY_TEST_SEED"), *few = getenv("ASSAY_TEST_QUICK");
    state_of_random = seed ? strtoull(seed, NULL, 10) : 1;
    quick = few && strcmp(few, "0") != 0;
}

static inline uint32_t next(void)
{
    state_of_random += 0x9e3779b97f4a7c15u; /* SplitMix64 */
    uint64_t z = state_of_random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

static inline size_t below(size_t n)
{
    return next() % n;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Within [-2, 2]. */
static inline float tame(void)
{
    return (float)(int32_t)next() * 0x1p-30f;
}

#endif
