/* SPDX-License-Identifier: Apache-2.0 */
/*
 * string_map.h: numbers strings 0, 1, 2 ... in the order they first appear.
 *
 * A hash table with open addressing (linear probing, XXH3) from bytes to that
 * number, so that whatever belongs to a string is kept in a plain array beside
 * the map. Keys are copied; nothing is removed. At most UINT32_MAX - 1 keys.
 * One thread while it grows, shared afterwards.
 */
#ifndef ASSAY_STRING_MAP_H
#define ASSAY_STRING_MAP_H

#include "base/status.h"

typedef struct assay_string_map assay_string_map;

assay_string_map *assay_string_map_new(void); /* NULL when memory is short */
void assay_string_map_free(assay_string_map *map);

/* Number of key[length], given now if it is new (*added, which may be NULL).
 * Errors: MEMORY, LIMIT. */
assay_status assay_string_map_add(assay_string_map *map, const void *key, size_t length,
                                  uint32_t *index, bool *added, assay_error *error);

/* False when the key is not there. */
bool assay_string_map_find(const assay_string_map *map, const void *key, size_t length,
                           uint32_t *index);

/* The key with that number, followed by a NUL; owned by the map. */
const char *assay_string_map_key(const assay_string_map *map, uint32_t index);
uint32_t assay_string_map_count(const assay_string_map *map);

#endif
