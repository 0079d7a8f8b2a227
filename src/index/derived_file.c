/* SPDX-License-Identifier: Apache-2.0 */
/* derived_file.c: see derived_file.h. */
#include "index/derived_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"

static uint64_t checksum_of(const void *header, size_t size)
{
    return assay_hash64(header, size - sizeof(uint64_t));
}

void assay_derived_header_seal(void *header, size_t size)
{
    uint64_t checksum = checksum_of(header, size);
    memcpy((uint8_t *)header + size - sizeof checksum, &checksum, sizeof checksum);
}

assay_status assay_derived_header_finish(assay_new_file *file, void *header, size_t size,
                                         assay_error *error)
{
    assay_derived_header_seal(header, size);
    if (fseek(file->stream, 0, SEEK_SET) != 0)
        return assay_fail_errno(error, errno, file->path, "cannot seek");
    return assay_new_file_write(file, header, size, error);
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

void assay_derived_sections_sum(void *const *sections, const uint64_t *bytes, size_t count,
                                uint64_t *checksums)
{
    for (size_t i = 0; i < count; i++)
        checksums[i] = assay_hash64(sections[i], bytes[i]);
}

static assay_status write_section(assay_new_file *file, const void *data, uint64_t bytes,
                                  assay_error *error)
{
    static const uint8_t zeros[64];
    ASSAY_TRY(assay_new_file_write(file, data, bytes, error));
    return assay_new_file_write(file, zeros, padded(bytes) - bytes, error);
}

assay_status assay_derived_save(const char *path, const void *header, size_t size,
                                void *const *sections, const uint64_t *bytes, size_t count,
                                assay_error *error)
{
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, error));
    assay_status status = assay_new_file_write(&file, header, size, error);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++)
        status = write_section(&file, sections[i], bytes[i], error);
    if (status == ASSAY_OK)
        status = assay_new_file_commit(&file, error);
    assay_new_file_abort(&file);
    return status;
}

bool assay_derived_sections_place(const assay_mapping *mapping, size_t size,
                                  const uint64_t *bytes, size_t count, void **sections)
{
    uint64_t offset = size;
    for (size_t i = 0; i < count && offset <= mapping->size; i++) {
        sections[i] = (uint8_t *)(uintptr_t)mapping->data + offset;
        offset += padded(bytes[i]);
    }
    return offset == mapping->size;
}

assay_status assay_derived_sections_verify(const char *path, void *const *sections,
                                           const uint64_t *bytes, const uint64_t *checksums,
                                           const char *const *names, size_t count,
                                           assay_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (assay_hash64(sections[i], bytes[i]) != checksums[i])
            return assay_fail(error, ASSAY_E_CORRUPT, path, "the checksum of its %s is wrong",
                              names[i]);
    return ASSAY_OK;
}

assay_status assay_derived_header_read(const assay_mapping *mapping, const char *path,
                                       const char magic[8], uint32_t version, void *header,
                                       size_t size, assay_error *error)
{
    uint32_t found;
    uint64_t checksum;
    if (mapping->size < size)
        return assay_fail(error, ASSAY_E_CORRUPT, path, "%zu bytes, too short for a header",
                          mapping->size);
    memcpy(header, mapping->data, size);
    if (memcmp(header, magic, 8) != 0)
        return assay_fail(error, ASSAY_E_CORRUPT, path, "does not begin with \"%.8s\"", magic);
    memcpy(&found, (const uint8_t *)header + 8, sizeof found);
    memcpy(&checksum, (const uint8_t *)header + size - sizeof checksum, sizeof checksum);
    if (found > version)
        return assay_fail(error, ASSAY_E_VERSION, path,
                          "format version %" PRIu32 ", written by a newer assay (known: %" PRIu32
                          ")",
                          found, version);
    if (found != version || checksum != checksum_of(header, size))
        return assay_fail(error, ASSAY_E_CORRUPT, path, "the header's checksum is wrong");
    return ASSAY_OK;
}
