/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.c: see buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void assay_buffer_init(assay_buffer *buffer, size_t limit)
{
    *buffer = (assay_buffer){.limit = limit};
}

void assay_buffer_free(assay_buffer *buffer)
{
    free(buffer->data);
    *buffer = (assay_buffer){.limit = buffer->limit};
}

void assay_buffer_clear(assay_buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = ASSAY_OK;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

static bool reserve(assay_buffer *buffer, size_t length)
{
    if (buffer->failed != ASSAY_OK)
        return false;
    if (length >= SIZE_MAX / 2 - buffer->length ||
        (buffer->limit > 0 && length > buffer->limit - buffer->length)) {
        buffer->failed = ASSAY_E_LIMIT;
        return false;
    }
    size_t needed = buffer->length + length + 1;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = needed > 2 * buffer->capacity ? needed : 2 * buffer->capacity;
    char *data = realloc(buffer->data, capacity < 64 ? 64 : capacity);
    if (data == NULL) {
        buffer->failed = ASSAY_E_MEMORY;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity < 64 ? 64 : capacity;
    return true;
}

void *assay_buffer_room(assay_buffer *buffer, size_t length)
{
    return reserve(buffer, length) ? buffer->data + buffer->length : NULL;
}

void assay_buffer_append(assay_buffer *buffer, const void *data, size_t length)
{
    if (!reserve(buffer, length))
        return;
    if (length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void assay_buffer_string(assay_buffer *buffer, const char *string)
{
    assay_buffer_append(buffer, string, strlen(string));
}

void assay_buffer_byte(assay_buffer *buffer, char byte)
{
    assay_buffer_append(buffer, &byte, 1);
}

void assay_buffer_format(assay_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length >= 0 && reserve(buffer, (size_t)length)) {
        vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

assay_status assay_buffer_status(const assay_buffer *buffer, const char *where,
                                 assay_error *error)
{
    if (buffer->failed == ASSAY_E_LIMIT)
        return assay_fail(error, ASSAY_E_LIMIT, where, "larger than the limit of %zu bytes",
                          buffer->limit);
    if (buffer->failed != ASSAY_OK)
        return assay_fail_memory(error, buffer->capacity * 2);
    return ASSAY_OK;
}
