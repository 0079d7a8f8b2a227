/* SPDX-License-Identifier: Apache-2.0 */
/*
 * texts.h: texts from the command line or from standard input, one a line.
 */
#ifndef ASSAY_CLI_TEXTS_H
#define ASSAY_CLI_TEXTS_H

#include <assay.h>

typedef struct assay_texts {
    assay_text *items; /* [count] into `block` or argv */
    size_t count;
    char *block;
} assay_texts;

/* The arguments as they are; without any, the lines of standard input. A line
 * of any length and any bytes is a text, an empty one too; "\n" or "\r\n" ends
 * it. `what` ("passages") is for the hint shown when input is a terminal.
 * Returns an exit code, after saying what went wrong. */
int assay_texts_gather(char **arguments, size_t count, const char *what, assay_texts *out);
void assay_texts_free(assay_texts *texts);

#endif
