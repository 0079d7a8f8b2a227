/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: memory handed out in order and given back all at once.
 *
 * Two uses: a fixed arena, sized when a session opens, from which a forward
 * pass takes scratch and to which it rewinds (no allocation, cannot grow); and
 * a growing arena, for results made of many small pieces with one owner.
 * One thread.
 */
#ifndef ASSAY_ARENA_H
#define ASSAY_ARENA_H

#include "base/status.h"

#define ASSAY_ALIGNMENT 64 /* a cache line, and the widest vector */

typedef struct assay_arena assay_arena;

/* A fixed arena of `bytes`; 0: a growing one. NULL when memory is short. */
assay_arena *assay_arena_new(size_t bytes);
void assay_arena_free(assay_arena *arena);

/* Memory aligned to ASSAY_ALIGNMENT, not cleared. NULL when the fixed arena is
 * used up or the system is out of memory. 0 bytes gives a valid pointer. */
void *assay_arena_take(assay_arena *arena, size_t bytes);

/* As above, aligned to 8 only: for the small pieces of a result. */
void *assay_arena_small(assay_arena *arena, size_t bytes);

/* A NUL-terminated copy of text[length]; NULL when memory is short. */
char *assay_arena_copy(assay_arena *arena, const char *text, size_t length);

/* Forgets all that was taken, keeps the memory. */
void assay_arena_reset(assay_arena *arena);

/* Bytes a fixed arena must have for a take of `bytes`. */
static inline size_t assay_arena_need(size_t bytes)
{
    return (bytes + ASSAY_ALIGNMENT - 1) / ASSAY_ALIGNMENT * ASSAY_ALIGNMENT;
}

#endif
