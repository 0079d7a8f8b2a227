/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: see status.h. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const status_names[] = {
    [ASSAY_OK] = "ok",
    [ASSAY_E_ARGUMENT] = "argument",
    [ASSAY_E_NOT_FOUND] = "not_found",
    [ASSAY_E_IO] = "io",
    [ASSAY_E_FORMAT] = "format",
    [ASSAY_E_UNSUPPORTED] = "unsupported",
    [ASSAY_E_LIMIT] = "limit",
    [ASSAY_E_MEMORY] = "memory",
    [ASSAY_E_BUSY] = "busy",
    [ASSAY_E_VERSION] = "version",
    [ASSAY_E_CORRUPT] = "corrupt",
    [ASSAY_E_FULL] = "full",
    [ASSAY_E_NETWORK] = "network",
    [ASSAY_E_INTERRUPTED] = "interrupted",
    [ASSAY_E_INTERNAL] = "internal",
};

const char *assay_status_name(assay_status status)
{
    size_t i = (size_t)status;
    return i < sizeof status_names / sizeof *status_names ? status_names[i] : "unknown";
}

const char *assay_version(void)
{
    return ASSAY_VERSION;
}

/* Where text[length] was cut by a size limit: takes off a UTF-8 sequence that
 * lost its end and puts "..." there. */
static void mark_cut(char *text, size_t size)
{
    size_t end = size - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    memcpy(text + end, "...", 4);
}

static void copy_cut(char *target, size_t size, const char *source)
{
    size_t length = strlen(source);
    if (length < size) {
        memcpy(target, source, length + 1);
        return;
    }
    memcpy(target, source, size - 1);
    target[size - 1] = '\0';
    mark_cut(target, size);
}

assay_status assay_fail(assay_error *error, assay_status code, const char *where,
                        const char *format, ...)
{
    if (error == NULL)
        return code;
    error->code = code;
    copy_cut(error->where, sizeof error->where, where != NULL ? where : "");
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof error->message)
        mark_cut(error->message, sizeof error->message);
    return code;
}

assay_status assay_fail_errno(assay_error *error, int errno_value, const char *where,
                              const char *action)
{
    assay_status code = ASSAY_E_IO;
    if (errno_value == ENOENT || errno_value == ENOTDIR)
        code = ASSAY_E_NOT_FOUND;
    else if (errno_value == ENOSPC || errno_value == EDQUOT)
        code = ASSAY_E_FULL;
    else if (errno_value == ENOMEM)
        code = ASSAY_E_MEMORY;
    char reason[128];
    return assay_fail(error, code, where, "%s: %s", action,
                      strerror_r(errno_value, reason, sizeof reason));
}

assay_status assay_fail_memory(assay_error *error, size_t bytes)
{
    return assay_fail(error, ASSAY_E_MEMORY, NULL, "out of memory: %zu bytes were needed", bytes);
}

void assay_error_prefix(assay_error *error, const char *prefix)
{
    if (error == NULL)
        return;
    char joined[sizeof error->where + 256];
    if (error->where[0] == '\0')
        snprintf(joined, sizeof joined, "%s", prefix);
    else
        snprintf(joined, sizeof joined, "%s: %s", prefix, error->where);
    copy_cut(error->where, sizeof error->where, joined);
}
