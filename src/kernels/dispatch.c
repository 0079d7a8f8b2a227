/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c: chooses the kernels, once, by what the CPU can do (CPUID), what
 * the operating system saves on a context switch (XGETBV), and $ASSAY_CPU,
 * which can only lower the choice.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <assay.h>

#include "kernels/kernels_sets.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

/* In the order of preference, best last. */
static const assay_kernels sets[] = {
#define KERNEL(name, parameters) .name = assay_##name##_scalar,
    {.name = "scalar",
#include "kernels/kernels.inc"
    },
#undef KERNEL
#ifdef __x86_64__
#define KERNEL(name, parameters) .name = assay_##name##_avx2,
    {.name = "avx2",
#include "kernels/kernels.inc"
    },
#undef KERNEL
#define KERNEL(name, parameters) .name = assay_##name##_avx512,
    {.name = "avx512",
#include "kernels/kernels.inc"
    },
#undef KERNEL
#endif
};

#define SETS (sizeof sets / sizeof sets[0])

/* What $ASSAY_CPU may name, in the order of `sets`. A set that has no kernels
 * yet means all below it. */
static const char *const caps[] = {"scalar", "avx2", "avx512", "amx"};

#ifdef __x86_64__

/* State components in XCR0: SSE and AVX registers; the AVX-512 mask registers
 * and both halves of its vector registers. */
#define XCR0_AVX 0x06u
#define XCR0_AVX512 0xe6u

static uint64_t saved_state(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* The index in `sets` of the best set that runs here. */
static size_t best_set(void)
{
    const uint32_t avx2_1c = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    const uint32_t avx512_7b = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    uint32_t a, b, c, d, b7, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & avx2_1c) != avx2_1c ||
        !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) || !(b7 & bit_AVX2))
        return 0;
    uint64_t saved = saved_state();
    if ((saved & XCR0_AVX) != XCR0_AVX)
        return 0;
    return (b7 & avx512_7b) == avx512_7b && (saved & XCR0_AVX512) == XCR0_AVX512 ? 2 : 1;
}

#else

static size_t best_set(void)
{
    return 0;
}

#endif

/* The cap that $ASSAY_CPU sets; no cap where it is unset or not understood. */
static size_t capped(size_t set)
{
    const char *cap = getenv("ASSAY_CPU");
    for (size_t i = 0; cap && i < sizeof caps / sizeof caps[0]; i++)
        if (strcmp(cap, caps[i]) == 0)
            return i < set ? i : set;
    return set;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const assay_kernels *active;

static void choose(void)
{
    active = &sets[capped(best_set())];
}

const assay_kernels *assay_kernels_active(void)
{
    pthread_once(&once, choose);
    return active;
}

const assay_kernels *assay_kernels_at(size_t i, int *usable)
{
    if (i >= SETS)
        return NULL;
    *usable = i <= best_set();
    return &sets[i];
}

const char *assay_cpu(void)
{
    return assay_kernels_active()->name;
}
