/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer.h: bytes that grow, up to a cap.
 *
 * A failed append marks the buffer and does nothing from then on, so a run of
 * appends needs one check at its end (assay_buffer_status). The content is
 * always followed by a NUL that `length` does not count. One thread.
 */
#ifndef ASSAY_BUFFER_H
#define ASSAY_BUFFER_H

#include "base/status.h"

typedef struct assay_buffer {
    char *data;
    size_t length;
    size_t capacity;
    size_t limit; /* 0: none but memory */
    assay_status failed;
} assay_buffer;

void assay_buffer_init(assay_buffer *buffer, size_t limit);
void assay_buffer_free(assay_buffer *buffer);
void assay_buffer_clear(assay_buffer *buffer); /* keeps memory, forgets failure */
void assay_buffer_append(assay_buffer *buffer, const void *data, size_t length);
void assay_buffer_string(assay_buffer *buffer, const char *string);
void assay_buffer_byte(assay_buffer *buffer, char byte);
void assay_buffer_format(assay_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for `length` more bytes, to be written by the caller and then counted by
 * buffer->length += written. NULL on failure. */
void *assay_buffer_room(assay_buffer *buffer, size_t length);
/* ASSAY_OK, ASSAY_E_LIMIT or ASSAY_E_MEMORY with *error filled in. */
assay_status assay_buffer_status(const assay_buffer *buffer, const char *where,
                                 assay_error *error);

#endif
