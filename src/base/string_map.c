/* SPDX-License-Identifier: Apache-2.0 */
/* string_map.c: see string_map.h. Slots hold 1 + the number of an entry; 0 is
 * empty. At most 3/4 of the slots are used. */
#include "base/string_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

enum { FIRST_SLOTS = 64 };

typedef struct entry {
    uint64_t hash;
    const char *key;
    size_t length;
} entry;

struct assay_string_map {
    assay_arena *keys;
    entry *entries;  /* [capacity], of which count are used */
    uint32_t *slots; /* [slot_count], a power of two */
    size_t slot_count;
    size_t capacity;
    uint32_t count;
};

assay_string_map *assay_string_map_new(void)
{
    assay_string_map *map = calloc(1, sizeof *map);
    if (map == NULL)
        return NULL;
    map->keys = assay_arena_new(0);
    map->slot_count = FIRST_SLOTS;
    map->slots = calloc(map->slot_count, sizeof *map->slots);
    if (map->keys == NULL || map->slots == NULL) {
        assay_string_map_free(map);
        return NULL;
    }
    return map;
}

void assay_string_map_free(assay_string_map *map)
{
    if (map == NULL)
        return;
    assay_arena_free(map->keys);
    free(map->entries);
    free(map->slots);
    free(map);
}

/* Where the key is, or the empty slot where it would go. */
static uint32_t *slot_of(const assay_string_map *map, uint64_t hash, const void *key,
                         size_t length)
{
    size_t mask = map->slot_count - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &map->slots[at];
        if (*slot == 0)
            return slot;
        const entry *found = &map->entries[*slot - 1];
        if (found->hash == hash && found->length == length &&
            (length == 0 || memcmp(found->key, key, length) == 0))
            return slot;
    }
}

static assay_status grow_slots(assay_string_map *map, assay_error *error)
{
    size_t slot_count = map->slot_count * 2;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL)
        return assay_fail_memory(error, slot_count * sizeof *slots);
    for (uint32_t i = 0; i < map->count; i++) {
        size_t at = map->entries[i].hash & (slot_count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (slot_count - 1);
        slots[at] = i + 1;
    }
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    return ASSAY_OK;
}

static assay_status grow_entries(assay_string_map *map, assay_error *error)
{
    size_t capacity = map->capacity > 0 ? map->capacity * 2 : FIRST_SLOTS;
    entry *entries = realloc(map->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return assay_fail_memory(error, capacity * sizeof *entries);
    map->entries = entries;
    map->capacity = capacity;
    return ASSAY_OK;
}

assay_status assay_string_map_add(assay_string_map *map, const void *key, size_t length,
                                  uint32_t *index, bool *added, assay_error *error)
{
    uint64_t hash = assay_hash64(key, length);
    uint32_t *slot = slot_of(map, hash, key, length);
    if (added != NULL)
        *added = *slot == 0;
    if (*slot != 0) {
        *index = *slot - 1;
        return ASSAY_OK;
    }
    if (map->count == UINT32_MAX - 1)
        return assay_fail(error, ASSAY_E_LIMIT, NULL, "more than %u different strings",
                          UINT32_MAX - 1);
    if (map->count == map->capacity)
        ASSAY_TRY(grow_entries(map, error));
    if (map->count >= map->slot_count / 4 * 3) {
        ASSAY_TRY(grow_slots(map, error));
        slot = slot_of(map, hash, key, length);
    }
    char *copy = assay_arena_copy(map->keys, key, length);
    if (copy == NULL)
        return assay_fail_memory(error, length + 1);
    map->entries[map->count] = (entry){.hash = hash, .key = copy, .length = length};
    *slot = ++map->count;
    *index = map->count - 1;
    return ASSAY_OK;
}

bool assay_string_map_find(const assay_string_map *map, const void *key, size_t length,
                           uint32_t *index)
{
    uint32_t slot = *slot_of(map, assay_hash64(key, length), key, length);
    if (slot == 0)
        return false;
    *index = slot - 1;
    return true;
}

const char *assay_string_map_key(const assay_string_map *map, uint32_t index)
{
    return map->entries[index].key;
}

uint32_t assay_string_map_count(const assay_string_map *map)
{
    return map->count;
}
