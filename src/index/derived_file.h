/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derived_file.h: what the headers of all files have in common that are derived from
 * the database: 8 bytes of magic, a version in 32 bits, and, as the last 8 bytes, XXH3
 * of all before them.
 */
#ifndef ASSAY_DERIVED_FILE_H
#define ASSAY_DERIVED_FILE_H

#include "base/file.h"

/* Puts the checksum into a header that is complete otherwise. */
void assay_derived_header_seal(void *header, size_t size);
/* The same, and writes it over the one that the file began with. */
assay_status assay_derived_header_finish(assay_new_file *file, void *header, size_t size,
                                         assay_error *error);

/*
 * Sections behind the header, each filled up with zeros to a multiple of 64 bytes. Given
 * are where each lies, its bytes, and its checksum, XXH3 without the filler.
 */
void assay_derived_sections_sum(void *const *sections, const uint64_t *bytes, size_t count,
                                uint64_t *checksums);
/* Writes the whole file aside and renames it. */
assay_status assay_derived_save(const char *path, const void *header, size_t size,
                                void *const *sections, const uint64_t *bytes, size_t count,
                                assay_error *error);
/* Where the sections lie in a mapped file, to be read only; false when it is not as long as
 * the header of `size` bytes and they are. */
bool assay_derived_sections_place(const assay_mapping *mapping, size_t size,
                                  const uint64_t *bytes, size_t count, void **sections);
assay_status assay_derived_sections_verify(const char *path, void *const *sections,
                                           const uint64_t *bytes, const uint64_t *checksums,
                                           const char *const *names, size_t count,
                                           assay_error *error);

/* Copies the header of a mapped file. CORRUPT: too short, another kind of file, an older
 * version, a wrong checksum; VERSION: written by a newer assay. */
assay_status assay_derived_header_read(const assay_mapping *mapping, const char *path,
                                       const char magic[8], uint32_t version, void *header,
                                       size_t size, assay_error *error);

#endif
