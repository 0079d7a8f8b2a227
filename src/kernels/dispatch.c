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
#define FLOAT_KERNEL(name, parameters) .name = assay_##name##_scalar,
#define INTEGER_KERNEL FLOAT_KERNEL
    {.name = "scalar",
#include "kernels/kernels.inc"
    },
#undef FLOAT_KERNEL
#undef INTEGER_KERNEL
#ifdef __x86_64__
#define FLOAT_KERNEL(name, parameters) .name = assay_##name##_avx2,
#define INTEGER_KERNEL FLOAT_KERNEL
    {.name = "avx2",
#include "kernels/kernels.inc"
    },
#undef INTEGER_KERNEL
#define INTEGER_KERNEL(name, parameters) .name = assay_##name##_avxvnni,
    {.name = "avxvnni",
#include "kernels/kernels.inc"
    },
#undef FLOAT_KERNEL
#undef INTEGER_KERNEL
#define FLOAT_KERNEL(name, parameters) .name = assay_##name##_avx512,
#define INTEGER_KERNEL FLOAT_KERNEL
    {.name = "avx512",
#include "kernels/kernels.inc"
    },
#undef INTEGER_KERNEL
#define INTEGER_KERNEL(name, parameters) .name = assay_##name##_avx512vnni,
    {.name = "avx512vnni",
#include "kernels/kernels.inc"
    },
#undef FLOAT_KERNEL
#undef INTEGER_KERNEL
#endif
};

#define SETS (sizeof sets / sizeof sets[0])

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

static bool all_of(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

/* Which of `sets` run here. */
static void find_usable(bool usable[SETS])
{
    const uint32_t avx2_1c = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    const uint32_t avx512_7b = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    uint32_t a, b, c, d, b7, c7, a71 = 0;
    usable[0] = true;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !all_of(c, avx2_1c) ||
        !__get_cpuid_count(7, 0, &a, &b7, &c7, &d) || !all_of(saved_state(), XCR0_AVX))
        return;
    if (a > 0)
        __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    usable[1] = b7 & bit_AVX2;
    usable[2] = usable[1] && a71 & bit_AVXVNNI;
    usable[3] = usable[1] && all_of(b7, avx512_7b) && all_of(saved_state(), XCR0_AVX512);
    usable[4] = usable[3] && c7 & bit_AVX512VNNI;
}

#else

static void find_usable(bool usable[SETS])
{
    usable[0] = true;
}

#endif

/* The number of sets that $ASSAY_CPU allows; all where it is unset or not
 * understood, which includes the names of sets to come. */
static size_t allowed(void)
{
    const char *cap = getenv("ASSAY_CPU");
    for (size_t i = 0; cap && i < SETS; i++)
        if (strcmp(cap, sets[i].name) == 0)
            return i + 1;
    return SETS;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const assay_kernels *active;

static void choose(void)
{
    bool usable_sets[SETS] = {false};
    find_usable(usable_sets);
    active = &sets[0];
    for (size_t i = 1; i < allowed(); i++)
        if (usable_sets[i])
            active = &sets[i];
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
    bool usable_sets[SETS] = {false};
    find_usable(usable_sets);
    *usable = usable_sets[i];
    return &sets[i];
}

const char *assay_cpu(void)
{
    return assay_kernels_active()->name;
}
