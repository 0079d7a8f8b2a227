/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.h: cryptographic checksums of files, as model hubs publish them. */
#ifndef ASSAY_CHECKSUM_H
#define ASSAY_CHECKSUM_H

#include "base/status.h"

typedef struct assay_checksum {
    uint64_t size;
    char sha256[65]; /* lower-case hex */
    char blob[41];   /* id of the content in git: SHA-1 of "blob <size>" NUL content */
} assay_checksum;

/* Reads the whole file. Errors: NOT_FOUND, IO, MEMORY. */
assay_status assay_checksum_file(const char *path, assay_checksum *out, assay_error *error);

#endif
