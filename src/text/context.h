/* SPDX-License-Identifier: Apache-2.0 */
/* context.h: what a model reads of a passage. */
#ifndef ASSAY_CONTEXT_H
#define ASSAY_CONTEXT_H

#include "base/buffer.h"

/* Appends "Title. Heading. passage" to *out: a passage alone often does not say
 * what it is about. What the passage begins with, or the heading path with, is
 * not said twice. Title and heading may be "". */
void assay_passage_context(const char *title, const char *heading, assay_text passage,
                           assay_buffer *out);

#endif
