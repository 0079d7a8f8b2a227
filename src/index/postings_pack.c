/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postings_pack.c: 128 numbers in as many bits each as the largest needs.
 *
 * The layout is that of SIMD-BP128 (Lemire & Boytsov 2015): four words are filled
 * side by side, number i into word i % 4, from its low bits on; so four numbers
 * that follow one another come out of one vector register. Written with the
 * compilers' own vectors, which every machine has some instructions for.
 */
#include <string.h>

#include "index/postings_file.h"

typedef uint32_t four __attribute__((vector_size(16)));

enum { ROWS = ASSAY_POSTINGS_BLOCK / 4 };

static unsigned width_of(const uint32_t *numbers)
{
    uint32_t all = 0;
    for (size_t i = 0; i < ASSAY_POSTINGS_BLOCK; i++)
        all |= numbers[i];
    return all == 0 ? 0 : 32 - (unsigned)__builtin_clz(all);
}

static uint8_t *pack(const uint32_t *numbers, unsigned width, uint8_t *out)
{
    uint32_t words[ASSAY_POSTINGS_BLOCK] = {0};
    for (size_t i = 0; i < ASSAY_POSTINGS_BLOCK && width > 0; i++) {
        size_t bit = i / 4 * width, word = bit / 32 * 4 + i % 4;
        words[word] |= numbers[i] << (bit % 32);
        if (bit % 32 + width > 32)
            words[word + 4] |= numbers[i] >> (32 - bit % 32);
    }
    memcpy(out, words, 16 * width);
    return out + 16 * width;
}

size_t assay_postings_pack(const uint32_t *slots, const uint32_t *frequencies, uint32_t before,
                           uint8_t *out)
{
    uint32_t gaps[ASSAY_POSTINGS_BLOCK], counts[ASSAY_POSTINGS_BLOCK];
    for (size_t i = 0; i < ASSAY_POSTINGS_BLOCK; i++) {
        gaps[i] = slots[i] - (i > 0 ? slots[i - 1] : before) - 1;
        counts[i] = frequencies[i] - 1;
    }
    out[0] = (uint8_t)width_of(gaps);
    out[1] = (uint8_t)width_of(counts);
    uint8_t *end = pack(counts, out[1], pack(gaps, out[0], out + 2));
    return (size_t)(end - out);
}

static inline four load(const uint8_t *in)
{
    four v;
    memcpy(&v, in, sizeof v);
    return v;
}

static inline void store(uint32_t *out, four v)
{
    memcpy(out, &v, sizeof v);
}

/* One row after another; `width` is 1 to 32. */
typedef struct unpacker {
    const uint8_t *in;
    four word;
    unsigned width, shift; /* bits of the word that are used up */
    four mask;
} unpacker;

static inline unpacker begin(const uint8_t *in, unsigned width)
{
    uint32_t mask = width == 32 ? UINT32_MAX : (UINT32_C(1) << width) - 1;
    return (unpacker){in + 16, load(in), width, 0, (four){mask, mask, mask, mask}};
}

/* `last`: no word is read behind the block's own. */
static inline four next(unpacker *u, bool last)
{
    four v = u->word >> u->shift;
    u->shift += u->width;
    if (u->shift >= 32) {
        u->shift -= 32;
        if (!last || u->shift > 0) {
            u->word = load(u->in);
            u->in += 16;
            if (u->shift > 0)
                v |= u->word << (u->width - u->shift);
        }
    }
    return v & u->mask;
}

static void unpack_counts(const uint8_t *in, unsigned width, uint32_t *out)
{
    const four ones = {1, 1, 1, 1};
    if (width == 0) {
        for (size_t r = 0; r < ROWS; r++)
            store(out + 4 * r, ones);
        return;
    }
    unpacker u = begin(in, width);
    for (size_t r = 0; r < ROWS; r++)
        store(out + 4 * r, next(&u, r + 1 == ROWS) + ones);
}

/* Gaps become slots: each is the sum of those before, and of one for each. */
static void unpack_slots(const uint8_t *in, unsigned width, uint32_t before, uint32_t *out)
{
    const four zero = {0}, steps = {1, 2, 3, 4};
    four base = {before, before, before, before};
    if (width == 0) {
        for (size_t r = 0; r < ROWS; r++, base += 4)
            store(out + 4 * r, base + steps);
        return;
    }
    unpacker u = begin(in, width);
    for (size_t r = 0; r < ROWS; r++) {
        four v = next(&u, r + 1 == ROWS);
        v += __builtin_shufflevector(v, zero, 4, 0, 1, 2);
        v += __builtin_shufflevector(v, zero, 4, 4, 0, 1);
        v += base + steps;
        store(out + 4 * r, v);
        base = __builtin_shufflevector(v, v, 3, 3, 3, 3);
    }
}

bool assay_postings_unpack(const uint8_t *in, size_t size, uint32_t before, uint32_t *slots,
                           uint32_t *frequencies)
{
    if (size < 2 || in[0] > 32 || in[1] > 32 || size != 2 + 16 * ((size_t)in[0] + in[1]))
        return false;
    unpack_slots(in + 2, in[0], before, slots);
    unpack_counts(in + 2 + 16 * (size_t)in[0], in[1], frequencies);
    return true;
}
