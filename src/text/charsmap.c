/* SPDX-License-Identifier: Apache-2.0 */
/* charsmap.c: see charsmap.h. */
#include "text/charsmap.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

#define BLOB_MAX (8u * 1024 * 1024) /* the largest known is 320 KB */

/* ------------------------------------------------------------------- units */

static uint32_t label_of(uint32_t unit)
{
    return unit & (1u << 31 | 0xFF);
}

static bool has_value(uint32_t unit)
{
    return (unit >> 8 & 1) != 0;
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

static uint32_t value_of(uint32_t unit)
{
    return unit & ~(1u << 31);
}

const char *assay_charsmap_find(const assay_charsmap *map, const uint8_t *bytes, size_t length)
{
    if (map->unit_count == 0)
        return NULL;
    uint32_t node = offset_of(map->units[0]);
    for (size_t i = 0; i < length && bytes[i] != 0; i++) {
        uint32_t unit = map->units[node ^ bytes[i]];
        if (label_of(unit) != bytes[i])
            return NULL;
        node ^= bytes[i] ^ offset_of(unit);
        if (has_value(unit))
            return map->strings + value_of(map->units[node]);
    }
    return NULL;
}

/* -------------------------------------------------------------------- base64 */

static void fill_digits(int8_t digits[256])
{
    static const char order[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(digits, -1, 256);
    for (int i = 0; i < 64; i++)
        digits[(uint8_t)order[i]] = (int8_t)i;
}

static assay_status decode(assay_buffer *out, const char *text, size_t length,
                           const char *where, assay_error *error)
{
    int8_t digits[256];
    char *room = assay_buffer_room(out, length / 4 * 3);
    ASSAY_TRY(assay_buffer_status(out, where, error));
    if (length % 4 != 0)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "expected base64: %zu characters are not a multiple of 4", length);
    size_t padding = length > 0 ? (text[length - 1] == '=') + (text[length - 2] == '=') : 0;
    uint32_t bits = 0;
    fill_digits(digits);
    for (size_t i = 0; i < length; i++) {
        int digit = i + padding >= length ? 0 : digits[(uint8_t)text[i]];
        if (digit < 0)
            return assay_fail(error, ASSAY_E_FORMAT, where,
                              "expected base64: character %zu is none of it", i);
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 3)
            continue;
        *room++ = (char)(bits >> 16);
        *room++ = (char)(bits >> 8);
        *room++ = (char)bits;
    }
    out->length += length / 4 * 3 - padding;
    out->data[out->length] = '\0'; /* ends the last string in any case */
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ checking */

typedef struct visit {
    uint32_t node;
    uint32_t label; /* the last one that was followed */
} visit;

typedef struct checker {
    const assay_charsmap *map;
    size_t string_bytes;
    const char *where;
    assay_error *error;
    uint8_t *seen; /* [unit_count] by node: 1 while below it, 2 when done */
    visit *path;   /* [unit_count] */
    size_t depth;
} checker;

/* Enters the node that a unit leads to, unless it was looked at already. */
static assay_status enter(checker *c, uint32_t node, bool valued)
{
    const assay_charsmap *map = c->map;
    if ((node | 0xFF) >= map->unit_count)
        return assay_fail(c->error, ASSAY_E_FORMAT, c->where,
                          "the trie points to unit %u, it has %zu", node | 0xFF,
                          map->unit_count);
    if (valued) {
        uint32_t value = value_of(map->units[node]);
        if (value >= c->string_bytes || ((uint8_t)map->strings[value] & 0xC0) == 0x80)
            return assay_fail(c->error, ASSAY_E_FORMAT, c->where,
                              "no string begins at byte %u of %zu", value, c->string_bytes);
    }
    if (c->seen[node] == 1)
        return assay_fail(c->error, ASSAY_E_FORMAT, c->where,
                          "the trie goes in a circle at unit %u", node);
    if (c->seen[node] == 2)
        return ASSAY_OK;
    c->seen[node] = 1;
    c->path[c->depth++] = (visit){.node = node};
    return ASSAY_OK;
}

/* Looks at every node that a key can reach, each once, depth first. */
static assay_status check_nodes(checker *c)
{
    ASSAY_TRY(enter(c, offset_of(c->map->units[0]), false));
    while (c->depth > 0) {
        visit *here = &c->path[c->depth - 1];
        uint32_t unit = 0, label = here->label + 1;
        for (; label < 256; label++) {
            unit = c->map->units[here->node ^ label];
            if (label_of(unit) == label)
                break;
        }
        here->label = label;
        if (label < 256) {
            ASSAY_TRY(enter(c, here->node ^ label ^ offset_of(unit), has_value(unit)));
        } else {
            c->seen[here->node] = 2;
            c->depth--;
        }
    }
    return ASSAY_OK;
}

static assay_status check(const assay_charsmap *map, size_t string_bytes, const char *where,
                          assay_error *error)
{
    if (map->unit_count == 0)
        return assay_fail(error, ASSAY_E_FORMAT, where, "the trie is empty");
    size_t valid = assay_utf8_check((const uint8_t *)map->strings, string_bytes);
    if (valid < string_bytes)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "the strings are not valid UTF-8 at byte %zu", valid);
    checker c = {.map = map, .string_bytes = string_bytes, .where = where, .error = error,
                 .seen = calloc(map->unit_count, 1),
                 .path = malloc(map->unit_count * sizeof *c.path)};
    assay_status status = c.seen != NULL && c.path != NULL
                              ? check_nodes(&c)
                              : assay_fail_memory(error, map->unit_count * sizeof *c.path);
    free(c.seen);
    free(c.path);
    return status;
}

/* -------------------------------------------------------------------- reading */

void assay_charsmap_free(assay_charsmap *map)
{
    assay_buffer_free(&map->blob);
    *map = (assay_charsmap){0};
}

static assay_status split_blob(assay_charsmap *map, const char *where, assay_error *error)
{
    const assay_buffer *blob = &map->blob;
    uint32_t bytes = 0;
    if (blob->length >= sizeof bytes) {
        memcpy(&bytes, blob->data, sizeof bytes);
        bytes = le32toh(bytes);
    }
    if (blob->length < sizeof bytes || bytes > blob->length - sizeof bytes || bytes % 4 != 0)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "a trie of %u bytes does not fit into %zu", bytes, blob->length);
    map->units = (const uint32_t *)(const void *)(blob->data + sizeof bytes);
    map->unit_count = bytes / 4;
    map->strings = blob->data + sizeof bytes + bytes;
    uint32_t *units = (uint32_t *)(void *)(blob->data + sizeof bytes);
    for (size_t i = 0; i < map->unit_count; i++)
        units[i] = le32toh(units[i]);
    return check(map, blob->length - sizeof bytes - bytes, where, error);
}

assay_status assay_charsmap_read(assay_charsmap *map, const char *base64, size_t length,
                                 const char *where, assay_error *error)
{
    if (length / 4 * 3 > BLOB_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, where,
                          "larger than the limit of %u bytes", BLOB_MAX);
    assay_buffer_init(&map->blob, 0);
    ASSAY_TRY(decode(&map->blob, base64, length, where, error));
    ASSAY_TRY(split_blob(map, where, error));
    for (unsigned c = 1; c < 128; c++)
        map->ascii[c] = assay_charsmap_find(map, &(uint8_t){(uint8_t)c}, 1) != NULL;
    return ASSAY_OK;
}
