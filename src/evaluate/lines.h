/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.h: text files of one record a line, as evaluation knows them.
 *
 * Lines end in LF or CRLF, the last may lack it; a byte order mark at the start
 * and blank lines are passed over. Errors name "file:line". One thread.
 */
#ifndef ASSAY_LINES_H
#define ASSAY_LINES_H

#include "base/buffer.h"

typedef struct assay_lines {
    const char *name; /* of the file, for errors; borrowed */
    const char *next;
    const char *end;
    uint64_t number; /* of the last line that was given, from 1 */
} assay_lines;

#define ASSAY_LINES_LIMIT (UINT64_C(8) << 30) /* bytes of a file */

/* data[length] is borrowed and may be NULL when length is 0. */
void assay_lines_start(assay_lines *lines, const char *data, size_t length, const char *name);

/* The next line that is not blank, without its end. False after the last one,
 * with *status OK, or FORMAT for a line that holds a NUL byte: binary, UTF-16. */
bool assay_lines_next(assay_lines *lines, assay_text *line, assay_status *status,
                      assay_error *error);

/* assay_fail with "file:line" as where. */
assay_status assay_lines_fail(const assay_lines *lines, assay_status code, assay_error *error,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Columns between runs of spaces and tabs. Returns how many there are, which may
 * be more than `most`, of which the first `most` are written. */
size_t assay_columns_blank(assay_text line, assay_text *columns, size_t most);
/* Columns between single tabs: they may be empty and may hold spaces. */
size_t assay_columns_tab(assay_text line, assay_text *columns, size_t most);

/* For "%.*s" of what was found, cut so that it fits into a message. */
#define ASSAY_SHOWN(text) (int)((text).length < 80 ? (text).length : 80), (text).data

#endif
