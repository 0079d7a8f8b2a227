/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c: see hash.h. */
#include "base/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

uint64_t assay_hash64(const void *data, size_t length)
{
    return XXH3_64bits(data, length);
}

assay_hasher *assay_hasher_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL)
        XXH3_128bits_reset(state);
    return (assay_hasher *)state;
}

void assay_hasher_add(assay_hasher *hasher, const void *data, size_t length)
{
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)length >> (8 * i));
    XXH3_128bits_update((XXH3_state_t *)hasher, prefix, sizeof prefix);
    assay_hasher_bytes(hasher, data, length);
}

void assay_hasher_bytes(assay_hasher *hasher, const void *data, size_t length)
{
    if (length > 0)
        XXH3_128bits_update((XXH3_state_t *)hasher, data, length);
}

static assay_digest digest_of(XXH128_hash_t hash)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    assay_digest digest;
    memcpy(digest.bytes, canonical.digest, sizeof digest.bytes);
    return digest;
}

assay_digest assay_hasher_finish(assay_hasher *hasher)
{
    assay_digest digest = digest_of(XXH3_128bits_digest((XXH3_state_t *)hasher));
    XXH3_freeState((XXH3_state_t *)hasher);
    return digest;
}

assay_digest assay_hash128(const void *data, size_t length)
{
    return digest_of(XXH3_128bits(data, length));
}

void assay_digest_hex(const assay_digest *digest, char hex[33])
{
    for (size_t i = 0; i < sizeof digest->bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest->bytes[i]);
}
