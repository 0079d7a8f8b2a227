/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c: see arena.h. A list of blocks; a fixed arena has one and no more. */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { GROWING_BLOCK = 64 * 1024 };

typedef struct block {
    struct block *next;
    size_t size; /* of memory */
    size_t used;
    unsigned char *memory; /* aligned to ASSAY_ALIGNMENT */
} block;

struct assay_arena {
    block *first;
    block *current;
    bool fixed;
};

static block *block_new(size_t size)
{
    block *new = malloc(sizeof *new);
    if (new == NULL)
        return NULL;
    new->memory = aligned_alloc(ASSAY_ALIGNMENT, assay_arena_need(size));
    if (new->memory == NULL) {
        free(new);
        return NULL;
    }
    new->next = NULL;
    new->size = assay_arena_need(size);
    new->used = 0;
    return new;
}

assay_arena *assay_arena_new(size_t bytes)
{
    assay_arena *arena = malloc(sizeof *arena);
    if (arena == NULL)
        return NULL;
    arena->fixed = bytes > 0;
    arena->first = block_new(bytes > 0 ? bytes : GROWING_BLOCK);
    arena->current = arena->first;
    if (arena->first == NULL) {
        free(arena);
        return NULL;
    }
    return arena;
}

void assay_arena_free(assay_arena *arena)
{
    if (arena == NULL)
        return;
    for (block *b = arena->first, *next; b != NULL; b = next) {
        next = b->next;
        free(b->memory);
        free(b);
    }
    free(arena);
}

/* Memory at the next multiple of `alignment` of block b, or NULL. */
static void *block_take(block *b, size_t bytes, size_t alignment)
{
    size_t start = (b->used + alignment - 1) / alignment * alignment;
    if (start > b->size || bytes > b->size - start)
        return NULL;
    b->used = start + bytes;
    return b->memory + start;
}

static void *take(assay_arena *arena, size_t bytes, size_t alignment)
{
    if (bytes > SIZE_MAX - ASSAY_ALIGNMENT)
        return NULL;
    void *memory = block_take(arena->current, bytes, alignment);
    while (memory == NULL && !arena->fixed) {
        if (arena->current->next == NULL)
            arena->current->next = block_new(bytes > GROWING_BLOCK ? bytes : GROWING_BLOCK);
        if (arena->current->next == NULL)
            return NULL;
        arena->current = arena->current->next;
        memory = block_take(arena->current, bytes, alignment);
    }
    return memory;
}

void *assay_arena_take(assay_arena *arena, size_t bytes)
{
    return take(arena, bytes, ASSAY_ALIGNMENT);
}

void *assay_arena_small(assay_arena *arena, size_t bytes)
{
    return take(arena, bytes, 8);
}

char *assay_arena_copy(assay_arena *arena, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? take(arena, length + 1, 1) : NULL;
    if (copy == NULL)
        return NULL;
    if (length > 0)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void assay_arena_reset(assay_arena *arena)
{
    for (block *b = arena->first; b != NULL; b = b->next)
        b->used = 0;
    arena->current = arena->first;
}
