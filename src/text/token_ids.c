/* SPDX-License-Identifier: Apache-2.0 */
/* token_ids.c: see token_ids.h. */
#include "text/token_ids.h"

#include <string.h>

#include "base/hash.h"

enum { CHECK_BYTES = 4 };

static void put_number(assay_buffer *out, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        assay_buffer_byte(out, (char)(0x80 | (number & 0x7F)));
    assay_buffer_byte(out, (char)number);
}

static void make_check(const void *bytes, size_t length, uint8_t check[CHECK_BYTES])
{
    uint64_t hash = assay_hash64(bytes, length);
    for (int i = 0; i < CHECK_BYTES; i++)
        check[i] = (uint8_t)(hash >> (8 * i));
}

void assay_token_ids_encode(const int32_t *ids, size_t count, assay_buffer *out)
{
    static const uint8_t none[CHECK_BYTES];
    size_t begin = out->length;
    size_t kept = count < ASSAY_TOKEN_IDS_MAX ? count : ASSAY_TOKEN_IDS_MAX;
    assay_buffer_append(out, none, CHECK_BYTES);
    put_number(out, count);
    for (size_t i = 0; i < kept; i++)
        put_number(out, (uint32_t)ids[i]);
    if (out->failed != ASSAY_OK)
        return;
    uint8_t *check = (uint8_t *)out->data + begin;
    make_check(check + CHECK_BYTES, out->length - begin - CHECK_BYTES, check);
}

/* Moves *at behind the number; false when there is none below `limit`. */
static bool take_number(const uint8_t *bytes, size_t length, size_t *at, uint64_t limit,
                        uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned shift = 0; *at < length && shift < 63; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        number |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *out = number;
            return number < limit;
        }
    }
    return false;
}

static bool decode(const uint8_t *bytes, size_t length, int32_t *ids, assay_token_ids *out)
{
    size_t at = CHECK_BYTES;
    uint64_t number;
    if (!take_number(bytes, length, &at, SIZE_MAX, &number))
        return false;
    *out = (assay_token_ids){.ids = ids, .total = (size_t)number};
    while (at < length) {
        if (!take_number(bytes, length, &at, (uint64_t)INT32_MAX + 1, &number))
            return false;
        ids[out->count++] = (int32_t)number;
    }
    return out->count == (out->total < ASSAY_TOKEN_IDS_MAX ? out->total : ASSAY_TOKEN_IDS_MAX);
}

assay_status assay_token_ids_decode(const void *bytes, size_t length, assay_arena *arena,
                                    assay_token_ids *out, assay_error *error)
{
    uint8_t check[CHECK_BYTES];
    if (length > CHECK_BYTES)
        make_check((const uint8_t *)bytes + CHECK_BYTES, length - CHECK_BYTES, check);
    if (length <= CHECK_BYTES || memcmp(bytes, check, CHECK_BYTES) != 0)
        return assay_fail(error, ASSAY_E_CORRUPT, NULL, "token ids of %zu bytes are damaged",
                          length);
    /* An id takes a byte at least. */
    int32_t *ids = assay_arena_small(arena, (length - CHECK_BYTES) * sizeof *ids);
    if (ids == NULL)
        return assay_fail_memory(error, length * sizeof *ids);
    assay_token_ids found;
    if (!decode(bytes, length, ids, &found))
        return assay_fail(error, ASSAY_E_CORRUPT, NULL, "token ids of %zu bytes are damaged",
                          length);
    *out = found;
    return ASSAY_OK;
}
