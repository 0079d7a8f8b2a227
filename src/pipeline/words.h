/* SPDX-License-Identifier: Apache-2.0 */
/* words.h: words between white space, which is how long a query is said to be. */
#ifndef ASSAY_WORDS_H
#define ASSAY_WORDS_H

#include <assay.h>

static inline bool assay_words_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static inline size_t assay_words_count(assay_text text)
{
    size_t words = 0;
    for (size_t i = 0; i < text.length; i++)
        words += !assay_words_space(text.data[i]) &&
                 (i == 0 || assay_words_space(text.data[i - 1]));
    return words;
}

/* Whether there is none. */
static inline bool assay_words_none(assay_text text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!assay_words_space(text.data[i]))
            return false;
    return true;
}

#endif
