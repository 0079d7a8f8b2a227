/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_narrow.c: what fewer bits would be worth where there is no VNNI.
 *
 *   bench_narrow
 *
 * AVX2 has no product of bytes that cannot saturate. The kernels widen bytes to
 * 16 bits and add products of pairs to 32-bit sums (8x8 below). With fewer bits
 * the instruction that multiplies bytes and adds pairs in 16 bits
 * (vpmaddubsw) is safe, and several of its results can be added before they are
 * widened: 2, 4 or 8 products fit when an activation (unsigned) and a weight
 * (signed) are at most
 *
 *   products  7 bits (127) with weights to   8 bits (255) with weights to
 *   2         +-127                          +-64
 *   4         +-64                           +-32
 *   8         +-32                           +-16
 *
 * Printed are the inner loops' rates over a tile of sums kept in registers, with
 * panels in the first or second level cache, multiplications and additions
 * counted, best of many short samples. bench/narrow says what rankings lose.
 */
#include <stdio.h>

#if defined __x86_64__
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"

enum { ROWS = 192, COLUMNS = 384, LANES = 16, MOST_DEPTH = 1536 };

static const double SAMPLE = 0.003, SECONDS = 0.4;

#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))
#define UNROLL _Pragma("GCC unroll 16")

static uint8_t left[ROWS * MOST_DEPTH * 2] __attribute__((aligned(64)));
static int8_t right[COLUMNS * MOST_DEPTH] __attribute__((aligned(64)));
static int32_t sums[ROWS * COLUMNS] __attribute__((aligned(64)));

INLINE __m256i load(const void *x)
{
    return _mm256_load_si256(x);
}

INLINE __m256i broadcast(const uint8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return _mm256_set1_epi32(four);
}

INLINE void store(int32_t *out, size_t rows, __m256i s[][2])
{
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
        for (size_t p = 0; p < 2; p++)
            _mm256_store_si256((__m256i *)(out + i * COLUMNS + p * 8), s[i][p]);
}

/* As the kernel for AVX2 does it: two depths at a time, left a 16-bit integer each. */
AVX2 static void tile_widened(const uint8_t *a, const int8_t *b, size_t depth, int32_t *out)
{
    enum { TILE = 6 };
    __m256i s[TILE][2] = {{{0}}};
    for (size_t k = 0; k < depth; k += 2, b += 2 * LANES) {
        __m256i low = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)b));
        __m256i high = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(b + 16)));
        UNROLL
        for (size_t i = 0; i < TILE; i++) {
            __m256i factor = broadcast(a + 2 * (i * depth + k));
            s[i][0] = _mm256_add_epi32(s[i][0], _mm256_madd_epi16(factor, low));
            s[i][1] = _mm256_add_epi32(s[i][1], _mm256_madd_epi16(factor, high));
        }
    }
    store(out, TILE, s);
}

/* `products` (a constant) of bytes in 16 bits before they are widened; a row of the
 * panel is four depths of eight columns. */
INLINE void tile_narrow(size_t rows, size_t products, const uint8_t *a, const int8_t *b,
                        size_t depth, int32_t *out)
{
    __m256i s[6][2] = {{{0}}};
    const __m256i ones = _mm256_set1_epi16(1);
    size_t groups = products / 2; /* of four depths: pairs go into one sum */
    for (size_t k = 0; k < depth; k += 4 * groups, b += 4 * groups * LANES)
        UNROLL
        for (size_t i = 0; i < rows; i++)
            UNROLL
            for (size_t p = 0; p < 2; p++) {
                __m256i few = _mm256_maddubs_epi16(broadcast(a + i * depth + k), load(b + 32 * p));
                UNROLL
                for (size_t g = 1; g < groups; g++)
                    few = _mm256_add_epi16(
                        few, _mm256_maddubs_epi16(broadcast(a + i * depth + k + 4 * g),
                                                  load(b + 4 * g * LANES + 32 * p)));
                s[i][p] = _mm256_add_epi32(s[i][p], _mm256_madd_epi16(few, ones));
            }
    store(out, rows, s);
}

#define NARROW(rows, products)                                                              \
    AVX2 static void tile_##products(const uint8_t *a, const int8_t *b, size_t depth,       \
                                     int32_t *out)                                          \
    {                                                                                       \
        tile_narrow(rows, products, a, b, depth, out);                                      \
    }
NARROW(6, 2)
NARROW(6, 4)
NARROW(6, 8)

typedef struct variant {
    const char *name;
    void (*tile)(const uint8_t *a, const int8_t *b, size_t depth, int32_t *out);
    size_t width; /* bytes of an activation */
} variant;

static const variant variants[] = {
    {"8x8 widened", tile_widened, 2},
    {"2 products: 7x8, 8x7", tile_2, 1},
    {"4 products: 7x7, 8x6", tile_4, 1},
    {"8 products: 7x6, 8x5", tile_8, 1},
};

static void product(const variant *v, size_t depth)
{
    for (size_t j = 0; j < COLUMNS; j += LANES)
        for (size_t i = 0; i < ROWS; i += 6)
            v->tile(left + i * depth * v->width, right + j * depth, depth,
                    sums + i * COLUMNS + j);
}

static double rate(const variant *v, size_t depth)
{
    double best = 0, end = assay_seconds() + SECONDS, now;
    do {
        double start = assay_seconds();
        int count = 0;
        do {
            product(v, depth);
            count++;
            now = assay_seconds();
        } while (now - start < SAMPLE);
        double one = 2.0 * ROWS * COLUMNS * (double)depth * count / (now - start);
        best = one > best ? one : best;
    } while (now < end);
    return best * 1e-9;
}

int main(void)
{
    if (!__builtin_cpu_supports("avx2")) {
        puts("SKIP: this processor has no AVX2");
        return 0;
    }
    for (size_t i = 0; i < sizeof left; i++)
        left[i] = (uint8_t)(i * 7 % 128);
    for (size_t i = 0; i < sizeof right; i++)
        right[i] = (int8_t)(i * 5 % 32);
    for (size_t depth = 384; depth <= MOST_DEPTH; depth *= 4) {
        double first = 0;
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
            double found = rate(&variants[i], depth);
            first = i == 0 ? found : first;
            printf("%4zu deep  %-22s %6.1f GOP/s  %.2f\n", depth, variants[i].name, found,
                   found / first);
        }
    }
    return 0;
}
#else
int main(void)
{
    puts("SKIP: for processors with AVX2");
    return 0;
}
#endif
