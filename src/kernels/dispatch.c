/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c: chooses the kernels, once, by what the CPU can do (CPUID; on ARM
 * the operating system tells), what the operating system saves on a context
 * switch (XGETBV), and $ASSAY_CPU, which can only lower the choice. AMX is asked
 * of the operating system, and only where nothing else speaks against it: from
 * then on each thread that uses it has 8 KiB more to be saved, and signals want
 * larger stacks.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <assay.h>

#include "kernels/kernels_sets.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined __aarch64__ && defined __linux__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* What a set needs of the processor. */
enum {
    AVX2 = 1,
    AVXVNNI = 2,
    AVX512 = 4,
    AVX512VNNI = 8,
    AVX512BF16 = 16,
    AMX = 32,
    DOT_PRODUCT = 64, /* NEON's; NEON itself is always there */
};

#define KERNEL(set, name, parameters) .name = assay_##name##_##set,
/* A set, what it needs, and whose kernels it has. */
#define SET(set, features, floats, bf16, i8, i16) \
    {{.name = #set,                               \
      .has_bf16 = ((features) & AVX512BF16) != 0, \
      ASSAY_FLOAT_KERNELS(KERNEL, floats)         \
      ASSAY_BF16_KERNELS(KERNEL, bf16)            \
      ASSAY_I8_KERNELS(KERNEL, i8)                \
      ASSAY_I16_KERNELS(KERNEL, i16)},            \
     features}

/* In the order of preference, best last. */
static const struct {
    assay_kernels kernels;
    uint32_t features;
} sets[] = {
    SET(scalar, 0, scalar, scalar, scalar, scalar),
#ifdef __x86_64__
    SET(avx2, AVX2, avx2, avx2, avx2, avx2),
    SET(avxvnni, AVX2 | AVXVNNI, avx2, avx2, avxvnni, avxvnni),
    SET(avx512, AVX512, avx512, avx512, avx512, avx512),
    SET(avx512vnni, AVX512 | AVX512VNNI, avx512, avx512, avx512vnni, avx512vnni),
    SET(avx512bf16, AVX512 | AVX512VNNI | AVX512BF16, avx512, avx512bf16, avx512vnni, avx512vnni),
    SET(amx, AVX512 | AVX512VNNI | AVX512BF16 | AMX, avx512, amx, amx, avx512vnni),
#elif defined __aarch64__
    SET(neon, 0, neon, neon, neon, neon),
    SET(neondot, DOT_PRODUCT, neon, neon, neondot, neondot),
#endif
};

#define SETS (sizeof sets / sizeof sets[0])

#ifdef __x86_64__

/* State components in XCR0: SSE and AVX registers; the AVX-512 mask registers
 * and both halves of its vector registers. */
#define XCR0_AVX 0x06u
#define XCR0_AVX512 0xe6u
/* ... and the tiles and their configuration. */
#define XCR0_AMX 0x60000u

/* In CPUID 7's edx, all of AMX that is used here. */
#define AMX_7D (1u << 22 | 1u << 24 | 1u << 25) /* bf16, tile, int8 */

/* Linux since 5.16 (Documentation/arch/x86/xstate.rst). */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

static uint64_t saved_state(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool all_of(uint64_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

static uint32_t features_here(void)
{
    const uint32_t avx2_1c = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    const uint32_t avx512_7b = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    uint32_t a, b, c, d, b7, c7, d7, a71 = 0, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !all_of(c, avx2_1c) ||
        !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) || !all_of(saved_state(), XCR0_AVX) ||
        !(b7 & bit_AVX2))
        return 0;
    if (a > 0)
        __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    features |= AVX2;
    features |= a71 & bit_AVXVNNI ? AVXVNNI : 0;
    if (!all_of(b7, avx512_7b) || !all_of(saved_state(), XCR0_AVX512))
        return features;
    features |= AVX512;
    features |= c7 & bit_AVX512VNNI ? AVX512VNNI : 0;
    features |= a71 & bit_AVX512BF16 ? AVX512BF16 : 0;
    features |= all_of(d7, AMX_7D) && all_of(saved_state(), XCR0_AMX) ? AMX : 0;
    return features;
}

#elif defined __aarch64__ && defined __linux__

static uint32_t features_here(void)
{
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? DOT_PRODUCT : 0;
}

#else

static uint32_t features_here(void)
{
    return 0;
}

#endif

/* Whether this process may use tiles: every thread of it may from then on. */
static bool may_use_amx(void)
{
#if defined __x86_64__ && defined __linux__
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

static bool runs_here(size_t set)
{
    uint32_t needed = sets[set].features;
    return (needed & ~features_here()) == 0 && (!(needed & AMX) || may_use_amx());
}

/* The number of sets that $ASSAY_CPU allows; all where it is unset or not
 * understood, which includes the names of sets to come. */
static size_t allowed(void)
{
    const char *cap = getenv("ASSAY_CPU");
    for (size_t i = 0; cap && i < SETS; i++)
        if (strcmp(cap, sets[i].kernels.name) == 0)
            return i + 1;
    return SETS;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const assay_kernels *active;

static void choose(void)
{
    size_t best = allowed() - 1;
    while (!runs_here(best)) /* scalar does */
        best--;
    active = &sets[best].kernels;
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
    *usable = runs_here(i);
    return &sets[i].kernels;
}

const char *assay_cpu(void)
{
    return assay_kernels_active()->name;
}
