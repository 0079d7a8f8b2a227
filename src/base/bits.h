/* SPDX-License-Identifier: Apache-2.0 */
/* bits.h: a set of small numbers, one bit each: bit i of word i / 64. */
#ifndef ASSAY_BITS_H
#define ASSAY_BITS_H

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

typedef struct assay_bits {
    uint64_t *words; /* [(limit + 63) / 64]; NULL when limit is 0 */
    uint64_t limit;  /* one past the largest number that it can hold */
} assay_bits;

static inline size_t assay_bits_words(const assay_bits *bits)
{
    return (size_t)((bits->limit + 63) / 64);
}

/* An empty set of numbers below `limit`. */
static inline assay_status assay_bits_new(assay_bits *out, uint64_t limit, assay_error *error)
{
    *out = (assay_bits){.limit = limit};
    if (limit == 0)
        return ASSAY_OK;
    out->words = calloc(assay_bits_words(out), sizeof *out->words);
    return out->words != NULL ? ASSAY_OK : assay_fail_memory(error, (size_t)(limit / 8));
}

static inline void assay_bits_free(assay_bits *bits)
{
    free(bits->words);
    *bits = (assay_bits){0};
}

static inline bool assay_bits_has(const assay_bits *bits, uint64_t number)
{
    return number < bits->limit && (bits->words[number / 64] >> (number % 64) & 1) != 0;
}

/* Numbers beyond the limit are passed over. */
static inline void assay_bits_add(assay_bits *bits, uint64_t number)
{
    if (number < bits->limit)
        bits->words[number / 64] |= UINT64_C(1) << (number % 64);
}

static inline uint64_t assay_bits_count(const assay_bits *bits)
{
    uint64_t count = 0;
    for (size_t i = 0; i < assay_bits_words(bits); i++)
        count += (uint64_t)__builtin_popcountll(bits->words[i]);
    return count;
}

#endif
