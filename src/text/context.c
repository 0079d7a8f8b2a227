/* SPDX-License-Identifier: Apache-2.0 */
/* context.c: see context.h. */
#include "text/context.h"

#include <string.h>
#include <strings.h>

static bool begins_with(assay_text text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && (length == 0 || strncasecmp(text.data, prefix, length) == 0);
}

static void append_part(assay_context_style style, const char *text, assay_buffer *out)
{
    size_t length = strlen(text);
    if (length == 0)
        return;
    bool stop = style == ASSAY_CONTEXT_SENTENCES && strchr(".?!:", text[length - 1]) == NULL;
    assay_buffer_append(out, text, length);
    assay_buffer_string(out, stop ? ". " : " ");
}

void assay_passage_context(assay_context_style style, const char *title, const char *heading,
                           assay_text passage, assay_buffer *out)
{
    assay_text path = {heading, strlen(heading)};
    if (!begins_with(path, title) && !begins_with(passage, title))
        append_part(style, title, out);
    if (!begins_with(passage, heading))
        append_part(style, heading, out);
    assay_buffer_append(out, passage.data, passage.length);
}
