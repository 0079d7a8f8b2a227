/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c: see checksum.h. The arithmetic is libcrypto's, which libcurl
 * brings along. */
#include "base/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

enum { PIECE = 1 << 20 };

static void write_hex(const unsigned char *bytes, unsigned count, char *hex)
{
    for (unsigned i = 0; i < count; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

/* Feeds the file to both digests. *size is what fstat says, and must be what is
 * read: git's id starts with it. */
static assay_status feed(int fd, const char *path, EVP_MD_CTX *sha256, EVP_MD_CTX *blob,
                         uint64_t size, unsigned char *piece, assay_error *error)
{
    char header[32];
    int length = snprintf(header, sizeof header, "blob %llu", (unsigned long long)size);
    EVP_DigestUpdate(blob, header, (size_t)length + 1);
    for (uint64_t done = 0;;) {
        ssize_t got = read(fd, piece, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return assay_fail_errno(error, errno, path, "cannot read");
        if (got == 0 && done != size)
            return assay_fail(error, ASSAY_E_IO, path, "changed while it was read");
        if (got == 0)
            return ASSAY_OK;
        done += (uint64_t)got;
        EVP_DigestUpdate(sha256, piece, (size_t)got);
        EVP_DigestUpdate(blob, piece, (size_t)got);
    }
}

static assay_status checksum_fd(int fd, const char *path, assay_checksum *out,
                                assay_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return assay_fail(error, ASSAY_E_IO, path, "not a regular file");
    out->size = (uint64_t)status.st_size;
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new(), *blob = EVP_MD_CTX_new();
    unsigned char *piece = malloc(PIECE);
    assay_status result = ASSAY_OK;
    if (sha256 == NULL || blob == NULL || piece == NULL)
        result = assay_fail_memory(error, PIECE);
    else if (EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1 ||
             EVP_DigestInit_ex(blob, EVP_sha1(), NULL) != 1)
        result = assay_fail(error, ASSAY_E_UNSUPPORTED, path,
                            "libcrypto on this system offers no SHA-256 or SHA-1");
    else
        result = feed(fd, path, sha256, blob, out->size, piece, error);
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (result == ASSAY_OK) {
        EVP_DigestFinal_ex(sha256, digest, NULL);
        write_hex(digest, 32, out->sha256);
        EVP_DigestFinal_ex(blob, digest, NULL);
        write_hex(digest, 20, out->blob);
    }
    free(piece);
    EVP_MD_CTX_free(sha256);
    EVP_MD_CTX_free(blob);
    return result;
}

assay_status assay_checksum_file(const char *path, assay_checksum *out, assay_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return assay_fail_errno(error, errno, path, "cannot open");
    assay_status status = checksum_fd(fd, path, out, error);
    close(fd);
    return status;
}
