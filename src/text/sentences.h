/* SPDX-License-Identifier: Apache-2.0 */
/* sentences.h: where sentences end. */
#ifndef ASSAY_SENTENCES_H
#define ASSAY_SENTENCES_H

#include <stddef.h>

/* The end of the sentence that begins at text[begin] (a character that is not
 * white space; begin < length): begin < end <= length, and text[end - 1] ends a
 * character that is not white space. Only white space, or nothing, lies between
 * a sentence and the next. Time is linear in the sentence. */
size_t assay_sentence_end(const char *text, size_t begin, size_t length);

#endif
