/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut_query.c: see cut_query.h. A passage that holds its query word for word teaches a
 * model to look for the same words; without them it has to see that the rest is about the
 * same (the inverse cloze task of Lee et al. 2019).
 */
#include "learn/cut_query.h"

#include <string.h>

#include "pipeline/words.h"

static size_t behind_space(assay_text text, size_t at)
{
    while (at < text.length && assay_words_space(text.data[at]))
        at++;
    return at;
}

/* Where the query ends that begins at text[at]; 0: it does not stand there. */
static size_t end_of(assay_text query, assay_text text, size_t at)
{
    size_t i = 0;
    while (i < query.length && at < text.length) {
        if (assay_words_space(query.data[i]) && assay_words_space(text.data[at])) {
            i = behind_space(query, i);
            at = behind_space(text, at);
        } else if (query.data[i++] != text.data[at++]) {
            return 0;
        }
    }
    if (i < query.length)
        return 0;
    while (at < text.length && strchr(".!?", text.data[at]) != NULL && text.data[at] != '\0')
        at++;
    return at;
}

/* Whether a word begins at text[at], so that "a" is not cut out of "data". */
static bool begins(assay_text text, size_t at)
{
    return at == 0 || assay_words_space(text.data[at - 1]);
}

assay_status assay_cut_query(assay_text query, assay_text passage, assay_arena *arena,
                             assay_text *out, bool *cut, assay_error *error)
{
    *out = passage;
    *cut = false;
    char *copy = assay_arena_small(arena, passage.length + 1);
    if (copy == NULL)
        return assay_fail_memory(error, passage.length);
    size_t length = 0;
    for (size_t at = 0; at < passage.length;) {
        size_t end = query.length > 0 && begins(passage, at) ? end_of(query, passage, at) : 0;
        if (end > 0 && (end == passage.length || assay_words_space(passage.data[end]))) {
            *cut = true;
            at = behind_space(passage, end);
        } else {
            copy[length++] = passage.data[at++];
        }
    }
    while (length > 0 && assay_words_space(copy[length - 1]))
        length--;
    if (*cut)
        *out = (assay_text){copy, length};
    return ASSAY_OK;
}
