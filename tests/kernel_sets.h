/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_sets.h: the sets of kernels that can be tested here: those that this CPU
 * has, and AMX on tiles that amx_emulation.h plays where it has all the rest. */
#ifndef ASSAY_TEST_KERNEL_SETS_H
#define ASSAY_TEST_KERNEL_SETS_H

#include <stdbool.h>
#include <string.h>

#include "amx_emulation.h"
#include "kernels/kernels.h"

static inline const assay_kernels *scalar(void)
{
    int usable;
    return assay_kernels_at(0, &usable);
}

/* Set number i runs here, perhaps with help. */
static inline bool can_test(size_t i)
{
    int usable;
    const assay_kernels *k = assay_kernels_at(i, &usable);
#ifdef __x86_64__
    if (!usable && strcmp(k->name, "amx") == 0) {
        assay_kernels_at(i - 1, &usable);
        if (usable)
            amx_emulate();
    }
#else
    (void)k;
#endif
    return usable;
}

/* The first set from number *i on that can be tested; *i is then the one after. */
static inline const assay_kernels *next_set(size_t *i)
{
    int usable;
    while (assay_kernels_at(*i, &usable) != NULL)
        if (can_test((*i)++))
            return assay_kernels_at(*i - 1, &usable);
    return NULL;
}

#endif
