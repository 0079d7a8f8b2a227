/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.h: the files under some paths, in an order that does not depend on the
 * file system: paths as given, inside folders names in byte order.
 */
#ifndef ASSAY_WALK_H
#define ASSAY_WALK_H

#include "base/status.h"

typedef enum assay_file_kind {
    ASSAY_FILE_OTHER = 0, /* an unknown ending */
    ASSAY_FILE_TEXT,
    ASSAY_FILE_MARKDOWN,
    ASSAY_FILE_HTML,
    ASSAY_FILE_JSONL,
    ASSAY_FILE_PDF,
} assay_file_kind;

/* By the name's ending, in any case. */
assay_file_kind assay_file_kind_of(const char *path);

/* In place: without "./", doubled slashes and a slash at the end; "." when
 * nothing else is left. */
void assay_path_clean(char *path);

typedef struct assay_walk assay_walk; /* one thread */

typedef struct assay_walked {
    const char *path; /* without "./" and doubled slashes; until the next call */
    assay_file_kind kind;
    uint64_t size;
} assay_walked;

typedef enum assay_walking {
    ASSAY_WALK_FILE,
    ASSAY_WALK_FAILURE, /* *error says what could not be opened; go on */
    ASSAY_WALK_END,
} assay_walking;

/* Copies the paths. */
assay_status assay_walk_open(const char *const *paths, size_t count, assay_walk **out,
                             assay_error *error);
void assay_walk_close(assay_walk *walk);
assay_walking assay_walk_next(assay_walk *walk, assay_walked *file, assay_error *error);
/* Files of other kinds in folders, passed over so far. */
uint64_t assay_walk_skipped(const assay_walk *walk);

#endif
