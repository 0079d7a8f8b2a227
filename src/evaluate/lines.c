/* SPDX-License-Identifier: Apache-2.0 */
/* lines.c: see lines.h. */
#include "evaluate/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void assay_lines_start(assay_lines *lines, const char *data, size_t length, const char *name)
{
    if (length == 0)
        data = "";
    if (length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        data += 3;
        length -= 3;
    }
    *lines = (assay_lines){.name = name, .next = data, .end = data + length};
}

bool assay_lines_next(assay_lines *lines, assay_text *line, assay_status *status,
                      assay_error *error)
{
    *status = ASSAY_OK;
    while (lines->next < lines->end) {
        const char *start = lines->next;
        const char *end = memchr(start, '\n', (size_t)(lines->end - start));
        lines->next = end != NULL ? end + 1 : lines->end;
        end = end != NULL ? end : lines->end;
        lines->number++;
        if (memchr(start, '\0', (size_t)(end - start)) != NULL) {
            *status = assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                       "holds a NUL byte; expected UTF-8 text");
            return false;
        }
        if (end > start && end[-1] == '\r')
            end--;
        const char *seen = start;
        while (seen < end && is_blank(*seen))
            seen++;
        if (seen == end)
            continue;
        *line = (assay_text){.data = start, .length = (size_t)(end - start)};
        return true;
    }
    return false;
}

/* Puts '?' for control characters and for what is not UTF-8: a message may go
 * to a terminal or into JSON. */
static void make_printable(char *text)
{
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text);
    for (char *at = text; left > 0;) {
        utf8proc_int32_t point;
        utf8proc_ssize_t used = utf8proc_iterate((utf8proc_uint8_t *)at, left, &point);
        if (used <= 0 || point < 0x20 || (point >= 0x7F && point < 0xA0)) {
            used = used <= 0 ? 1 : used;
            memset(at, '?', (size_t)used);
        }
        at += used;
        left -= used;
    }
}

assay_status assay_lines_fail(const assay_lines *lines, assay_status code, assay_error *error,
                              const char *format, ...)
{
    /* The end of a long path tells more than its beginning, and the number must
     * not be cut off. */
    char where[sizeof error->where];
    size_t length = strlen(lines->name);
    const char *name = length > 200 ? lines->name + length - 200 : lines->name;
    snprintf(where, sizeof where, "%s%s:%llu", length > 200 ? "..." : "", name,
             (unsigned long long)lines->number);
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    make_printable(where);
    make_printable(message);
    return assay_fail(error, code, where, "%s", message);
}

size_t assay_columns_blank(assay_text line, assay_text *columns, size_t most)
{
    size_t count = 0;
    for (size_t at = 0; at < line.length;) {
        if (is_blank(line.data[at])) {
            at++;
            continue;
        }
        size_t start = at;
        while (at < line.length && !is_blank(line.data[at]))
            at++;
        if (count < most)
            columns[count] = (assay_text){.data = line.data + start, .length = at - start};
        count++;
    }
    return count;
}

size_t assay_columns_tab(assay_text line, assay_text *columns, size_t most)
{
    size_t count = 0;
    for (size_t start = 0; start <= line.length; count++) {
        const char *tab = memchr(line.data + start, '\t', line.length - start);
        size_t end = tab != NULL ? (size_t)(tab - line.data) : line.length;
        if (count < most)
            columns[count] = (assay_text){.data = line.data + start, .length = end - start};
        start = end + 1;
    }
    return count;
}
