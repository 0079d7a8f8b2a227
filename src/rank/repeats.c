/* SPDX-License-Identifier: Apache-2.0 */
/* repeats.c: see repeats.h. */
#include "rank/repeats.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { LEAST_SLOTS = 64 };

void assay_repeats_free(assay_repeats *repeats)
{
    free(repeats->first);
    free(repeats->slots);
    *repeats = (assay_repeats){0};
}

static assay_status grow(size_t **list, size_t *capacity, size_t wanted, assay_error *error)
{
    if (wanted <= *capacity)
        return ASSAY_OK;
    size_t *grown = realloc(*list, wanted * sizeof *grown);
    if (grown == NULL)
        return assay_fail_memory(error, wanted * sizeof *grown);
    *list = grown;
    *capacity = wanted;
    return ASSAY_OK;
}

static bool equal(assay_text a, assay_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

assay_status assay_repeats_find(assay_repeats *repeats, const assay_text *texts, size_t count,
                                assay_error *error)
{
    size_t slots = LEAST_SLOTS;
    while (slots < 2 * count)
        slots *= 2;
    ASSAY_TRY(grow(&repeats->first, &repeats->capacity, count, error));
    ASSAY_TRY(grow(&repeats->slots, &repeats->slot_count, slots, error));
    memset(repeats->slots, 0xFF, slots * sizeof *repeats->slots); /* SIZE_MAX */
    for (size_t i = 0; i < count; i++) {
        size_t slot = assay_hash64(texts[i].data, texts[i].length) & (slots - 1);
        while (repeats->slots[slot] != SIZE_MAX && !equal(texts[repeats->slots[slot]], texts[i]))
            slot = (slot + 1) & (slots - 1);
        if (repeats->slots[slot] == SIZE_MAX)
            repeats->slots[slot] = i;
        repeats->first[i] = repeats->slots[slot];
    }
    return ASSAY_OK;
}
