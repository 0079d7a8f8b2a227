/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h: how much memory may be taken; large pieces of it. */
#ifndef ASSAY_MEMORY_H
#define ASSAY_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that this process may take before the system or its cgroup runs out: what Linux
 * calls available, at most what the cgroup (version 2 or 1) has left. UINT64_MAX where
 * nobody says. */
uint64_t assay_memory_available(void);

/* Zeroed memory, aligned to 64, for free(); NULL when it is short. A large piece lies in large
 * pages where the system has them: what jumps about in it then misses fewer addresses. */
void *assay_memory_take(uint64_t bytes);

#endif
