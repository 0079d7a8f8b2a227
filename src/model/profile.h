/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.h: where the time goes (assay_profile in assay.h).
 *
 * A thread has a stopwatch of its own and reads it after each operation: all that
 * passed since the last reading counts for that one. It goes only while the thread
 * runs, so that other work on the machine does not show. NULL is a stopwatch that
 * nobody looks at, and costs a comparison.
 */
#ifndef ASSAY_PROFILE_H
#define ASSAY_PROFILE_H

#include "base/clock.h"
#include "model/model_config.h"

typedef struct assay_stopwatch {
    double last; /* reading */
    double spent[ASSAY_OPERATIONS];
} __attribute__((aligned(128))) assay_stopwatch; /* none shares a cache line with another */

static inline void assay_stopwatch_start(assay_stopwatch *watch)
{
    if (watch != NULL)
        watch->last = assay_thread_seconds();
}

static inline void assay_stopwatch_read(assay_stopwatch *watch, assay_operation operation)
{
    if (watch == NULL)
        return;
    double now = assay_thread_seconds();
    watch->spent[operation] += now - watch->last;
    watch->last = now;
}

/* Adds what a sequence of first + second tokens, of two texts, has to go through in the
 * layers [begin, end) to the counts: the products that its result depends on, not all
 * that are computed. */
void assay_profile_count(const assay_model_config *config, uint32_t begin, uint32_t end,
                         size_t first, size_t second, assay_profile *profile);

#endif
