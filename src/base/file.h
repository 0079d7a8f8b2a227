/* SPDX-License-Identifier: Apache-2.0 */
/* file.h: whole files, mapped or read, and files replaced in one step. */
#ifndef ASSAY_FILE_H
#define ASSAY_FILE_H

#include <stdio.h>
#include <sys/types.h>

#include "base/buffer.h"

/* A file mapped for reading. data is NULL for an empty file. */
typedef struct assay_mapping {
    const uint8_t *data;
    size_t size;
} assay_mapping;

assay_status assay_map_open(const char *path, assay_mapping *out, assay_error *error);
void assay_map_close(assay_mapping *mapping);

/* Appends the whole file (or stream) to *out; longer than the buffer's limit is
 * ASSAY_E_LIMIT and names the limit. */
assay_status assay_file_read(const char *path, assay_buffer *out, assay_error *error);

/* A file written aside and renamed into place by commit: a reader sees the old
 * file or the new one, never half. abort removes what was written; what a process that
 * was killed has left is removed by the next that writes the same file. */
typedef struct assay_new_file {
    FILE *stream;
    char *path;
    char *temporary;
} assay_new_file;

assay_status assay_new_file_open(const char *path, assay_new_file *out, assay_error *error);
assay_status assay_new_file_write(assay_new_file *file, const void *data, size_t size,
                                  assay_error *error);
assay_status assay_new_file_commit(assay_new_file *file, assay_error *error);
void assay_new_file_abort(assay_new_file *file);

/* A new file of these bytes, in one step. */
assay_status assay_file_write(const char *path, const void *data, size_t size,
                              assay_error *error);

/* Writes all of a file to a stream, whose own errors are found by ferror. */
assay_status assay_file_copy(const char *path, FILE *out, assay_error *error);

/* "a/b" from "a" and "b", into path[size]; ASSAY_E_LIMIT when it does not fit. */
assay_status assay_path_join(char *path, size_t size, const char *folder, const char *name,
                             assay_error *error);
/* Makes a folder and those above it. */
assay_status assay_folder_make(const char *path, assay_error *error);
bool assay_is_folder(const char *path);
bool assay_is_file(const char *path);
/* The part after the last '/'. */
const char *assay_path_name(const char *path);

#endif
