/* SPDX-License-Identifier: Apache-2.0 */
/* context.h: what a model reads of a passage. */
#ifndef ASSAY_CONTEXT_H
#define ASSAY_CONTEXT_H

#include "base/buffer.h"

/* How title and headings are joined to the passage. */
typedef enum assay_context_style {
    ASSAY_CONTEXT_WORDS,     /* "Title Heading passage": as BEIR joins title and
                                text, and bi-encoders are measured */
    ASSAY_CONTEXT_SENTENCES, /* "Title. Heading. passage": as the default
                                cross-encoder was trained */
} assay_context_style;

/* Appends title, heading path and passage to *out: a passage alone often does
 * not say what it is about. What the passage begins with, or the heading path
 * with, is not said twice. Title and heading may be "". */
void assay_passage_context(assay_context_style style, const char *title, const char *heading,
                           assay_text passage, assay_buffer *out);

#endif
