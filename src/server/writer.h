/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h: JSON, and any text, written into memory that grows.
 *
 * An answer may hold a hundred thousand floats: they go straight into the body,
 * without a tree in between. A failed allocation marks the writer; whoever sends
 * the body asks once. Commas are the writer's: it puts one before a value or a
 * name wherever something stands before it at that level.
 */
#ifndef ASSAY_SERVER_WRITER_H
#define ASSAY_SERVER_WRITER_H

#include <assay.h>

typedef struct assay_writer {
    char *data;
    size_t length, capacity;
    bool failed;
} assay_writer;

void assay_writer_free(assay_writer *writer);

/* Bytes as they are. */
void assay_write_bytes(assay_writer *writer, const void *data, size_t length);
void assay_write(assay_writer *writer, const char *string);
void assay_write_format(assay_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* JSON. A name is written with its colon; the value comes next. `mark` is one of
 * "{}[]". Invalid UTF-8 becomes U+FFFD. */
void assay_write_mark(assay_writer *writer, char mark);
void assay_write_name(assay_writer *writer, const char *name);
void assay_write_text(assay_writer *writer, assay_text text);
void assay_write_string(assay_writer *writer, const char *string); /* NULL: null */
void assay_write_float(assay_writer *writer, float value);  /* nine digits carry it */
void assay_write_double(assay_writer *writer, double value);
void assay_write_count(assay_writer *writer, uint64_t value);
void assay_write_bool(assay_writer *writer, bool value);
void assay_write_null(assay_writer *writer);

/* Little-endian floats in base 64, as a JSON string. */
void assay_write_base64(assay_writer *writer, const float *values, size_t count);

#endif
