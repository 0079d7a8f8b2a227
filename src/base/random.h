/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h: numbers drawn from a seed, the same on every machine.
 *
 * SplitMix64 (Steele et al. 2014). The state is one number, so that a stream can be
 * begun anywhere: what a step or a query draws depends on the seed and on its own
 * number alone, not on what was drawn before it.
 */
#ifndef ASSAY_RANDOM_H
#define ASSAY_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t assay_random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* The state of stream number `stream` of a seed. */
static inline uint64_t assay_random_stream(uint64_t seed, uint64_t stream)
{
    uint64_t state = seed ^ stream * UINT64_C(0xD1342543DE82EF95);
    return assay_random_next(&state);
}

/* 0 .. limit - 1; limit > 0. The bias is below limit / 2^64. */
static inline size_t assay_random_below(uint64_t *state, size_t limit)
{
    return (size_t)(assay_random_next(state) % limit);
}

/* Puts numbers[count] into an order drawn at random (Fisher-Yates). */
static inline void assay_random_shuffle(uint64_t *state, uint32_t *numbers, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = assay_random_below(state, i);
        uint32_t swapped = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = swapped;
    }
}

#endif
