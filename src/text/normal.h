/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normal.h: a normalised text, every byte with the place in the original that it
 * came from.
 */
#ifndef ASSAY_NORMAL_H
#define ASSAY_NORMAL_H

#include "base/status.h"

typedef struct assay_pending_char {
    uint32_t point, begin, end;
    uint8_t combining;
    bool added; /* by a decomposition: it has no place of its own */
} assay_pending_char;

/* Normalised text; a zeroed struct is empty. Reused from text to text. */
typedef struct assay_normal {
    uint8_t *bytes;   /* [count] UTF-8 */
    uint32_t *begins; /* [count] where in the original the byte's character began */
    uint32_t *ends;   /* [count] and ended */
    size_t count, capacity;
    bool straight; /* byte i is original byte base + i; begins and ends are unset */
    uint32_t base;
    assay_pending_char *pending, *sorted; /* characters that NFD may yet reorder */
    size_t pending_count, pending_capacity;
} assay_normal;

void assay_normal_free(assay_normal *normal);

/* Room for `more` bytes; false when there is no memory for them. */
bool assay_normal_reserve(assay_normal *normal, size_t more);

/* Appends bytes that have one place. */
static inline bool assay_normal_put(assay_normal *normal, const void *bytes, size_t length,
                                    uint32_t begin, uint32_t end)
{
    if (length > normal->capacity - normal->count && !assay_normal_reserve(normal, length))
        return false;
    for (size_t i = 0; i < length; i++) {
        normal->bytes[normal->count + i] = ((const uint8_t *)bytes)[i];
        normal->begins[normal->count + i] = begin;
        normal->ends[normal->count + i] = end;
    }
    normal->count += length;
    return true;
}

/* Original range of the normalised bytes [from, to), from < to. */
static inline uint32_t assay_normal_begin(const assay_normal *normal, size_t from)
{
    return normal->straight ? normal->base + (uint32_t)from : normal->begins[from];
}
static inline uint32_t assay_normal_end(const assay_normal *normal, size_t to)
{
    return normal->straight ? normal->base + (uint32_t)to : normal->ends[to - 1];
}

#endif
