/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h: how much memory may be taken. */
#ifndef ASSAY_MEMORY_H
#define ASSAY_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that this process may take before the system or its cgroup runs out: what Linux
 * calls available, at most what the cgroup (version 2 or 1) has left. UINT64_MAX where
 * nobody says. */
uint64_t assay_memory_available(void);

#endif
