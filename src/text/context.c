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

/* Appends `text` as a sentence of its own. */
static void append_sentence(const char *text, assay_buffer *out)
{
    size_t length = strlen(text);
    if (length == 0)
        return;
    assay_buffer_append(out, text, length);
    assay_buffer_string(out, strchr(".?!:", text[length - 1]) != NULL ? " " : ". ");
}

void assay_passage_context(const char *title, const char *heading, assay_text passage,
                           assay_buffer *out)
{
    assay_text path = {heading, strlen(heading)};
    if (!begins_with(path, title) && !begins_with(passage, title))
        append_sentence(title, out);
    if (!begins_with(passage, heading))
        append_sentence(heading, out);
    assay_buffer_append(out, passage.data, passage.length);
}
