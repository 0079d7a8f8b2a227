/* SPDX-License-Identifier: Apache-2.0 */
/* texts.c: standard input read whole and cut at its newlines. */
#include "cli/texts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

static int read_input(char **block, size_t *length)
{
    size_t size = 0, capacity = 1 << 16;
    char *data = malloc(capacity);
    while (data) {
        size_t got = fread(data + size, 1, capacity - size, stdin);
        size += got;
        if (ferror(stdin)) {
            assay_warn("standard input: cannot read: %s", strerror(errno));
            free(data);
            return ASSAY_EXIT_ERROR;
        }
        if (size < capacity) {
            *block = data;
            *length = size;
            return ASSAY_EXIT_OK;
        }
        char *more = capacity <= SIZE_MAX / 2 ? realloc(data, capacity * 2) : NULL;
        if (!more)
            break;
        data = more;
        capacity *= 2;
    }
    free(data);
    return assay_report_memory();
}

static size_t count_lines(const char *data, size_t length)
{
    size_t count = 0;
    for (const char *at = data; (at = memchr(at, '\n', length - (size_t)(at - data))); at++)
        count++;
    return count + (length > 0 && data[length - 1] != '\n');
}

static void cut_lines(assay_texts *texts, size_t length)
{
    const char *at = texts->block, *end = texts->block + length;
    for (size_t i = 0; i < texts->count; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline ? newline : end) - at);
        texts->items[i] = (assay_text){at, size && at[size - 1] == '\r' ? size - 1 : size};
        at += size + 1;
    }
}

int assay_texts_gather(char **arguments, size_t count, const char *what, assay_texts *out)
{
    *out = (assay_texts){.count = count};
    size_t length = 0;
    if (count == 0) {
        if (isatty(STDIN_FILENO))
            fprintf(stderr, "Type %s, one a line; Ctrl-D ends them.\n", what);
        int code = read_input(&out->block, &length);
        if (code != ASSAY_EXIT_OK)
            return code;
        out->count = count_lines(out->block, length);
    }
    out->items = calloc(out->count + 1, sizeof *out->items);
    if (!out->items) {
        assay_texts_free(out);
        return assay_report_memory();
    }
    for (size_t i = 0; i < count; i++)
        out->items[i] = (assay_text){arguments[i], strlen(arguments[i])};
    if (out->block)
        cut_lines(out, length);
    return ASSAY_EXIT_OK;
}

void assay_texts_free(assay_texts *texts)
{
    free(texts->items);
    free(texts->block);
    *texts = (assay_texts){0};
}
