/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.h: one pool of threads for the whole process.
 *
 * Work comes as a loop: `count` independent items, taken one by one by the
 * calling thread and by pool threads that are free. The pool has as many
 * threads as assay_cores() says, less one for the caller, made at first use;
 * two loops at a time share them, so sessions together never oversubscribe.
 */
#ifndef ASSAY_THREADS_H
#define ASSAY_THREADS_H

#include "base/status.h"

/* Cores this process may use: affinity mask, capped by the cgroup's CPU quota
 * (rounded up), at least 1. */
uint32_t assay_cores(void);

/* `worker` is 0 .. workers-1, distinct among the threads inside one loop at one
 * time: an index to scratch. Worker 0 is the calling thread. */
typedef void (*assay_loop_fn)(void *context, size_t item, uint32_t worker);

/* Runs fn for every item 0 .. count-1, in about that order, on at most
 * `workers` threads (0: assay_cores()); returns when all are done. Must not be
 * called from inside fn, but for loops of one worker. */
void assay_loop(size_t count, uint32_t workers, assay_loop_fn fn, void *context);

/* Loops one after another without going back to the pool between them: step s has
 * the items 0 .. counts[s]-1, and begins when all of the steps before are done. */
typedef void (*assay_steps_fn)(void *context, size_t step, size_t item, uint32_t worker);
void assay_loop_steps(const size_t *counts, size_t steps, uint32_t workers, assay_steps_fn fn,
                      void *context);

#endif
