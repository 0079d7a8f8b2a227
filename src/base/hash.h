/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h: XXH3 of bytes, 64 and 128 bits; for change detection and checksums,
 * not against an adversary. */
#ifndef ASSAY_HASH_H
#define ASSAY_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t assay_hash64(const void *data, size_t length);

typedef struct assay_digest {
    uint8_t bytes[16]; /* XXH3-128, canonical (big-endian) */
} assay_digest;

assay_digest assay_hash128(const void *data, size_t length);

/* A digest of several pieces: the lengths are mixed in, so that ("ab","c") and
 * ("a","bc") differ. */
typedef struct assay_hasher assay_hasher;
assay_hasher *assay_hasher_new(void); /* NULL when memory is short */
void assay_hasher_add(assay_hasher *hasher, const void *data, size_t length);
/* Bytes alone: the pieces together hash as assay_hash128 does. */
void assay_hasher_bytes(assay_hasher *hasher, const void *data, size_t length);
assay_digest assay_hasher_finish(assay_hasher *hasher); /* frees it */

/* 32 hex digits and a NUL. */
void assay_digest_hex(const assay_digest *digest, char hex[33]);

#endif
