/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.c: see added_tokens.h. */
#include "text/added_tokens.h"

#include <stdlib.h>

void assay_added_tokens_free(assay_added_tokens *set)
{
    assay_vocabulary_free(&set->contents);
    free(set->items);
    *set = (assay_added_tokens){0};
}

assay_status assay_added_tokens_add(assay_added_tokens *set, const char *content,
                                    size_t length, const assay_added_token *token,
                                    const char *where, assay_error *error)
{
    size_t index = set->contents.count;
    if ((index & (index - 1)) == 0) { /* full at every power of two */
        size_t capacity = index > 0 ? 2 * index : 1;
        assay_added_token *items = realloc(set->items, capacity * sizeof *items);
        if (items == NULL)
            return assay_fail_memory(error, capacity * sizeof *items);
        set->items = items;
    }
    ASSAY_TRY(assay_vocabulary_add(&set->contents, content, length, where, error));
    set->items[index] = *token;
    if (length > 0)
        set->begins[(uint8_t)content[0]] = true;
    return ASSAY_OK;
}

assay_status assay_added_tokens_index(assay_added_tokens *set, const char *where,
                                      assay_error *error)
{
    set->seed = assay_vocabulary_seed("", 0);
    return assay_vocabulary_index(&set->contents, false, where, error);
}

static bool word_around(const uint8_t *text, size_t from, size_t to, size_t begin, size_t end)
{
    size_t before = begin - from, after = end;
    if (before > 0 && assay_char_is_word(assay_utf8_previous(text + from, &before)))
        return true;
    return after < to && assay_char_is_word(assay_utf8_next(text, to, &after));
}

static size_t skip_space_left(const assay_char_table *classes, const uint8_t *text,
                              size_t limit, size_t begin)
{
    while (begin > limit) {
        size_t before = begin - limit;
        uint32_t point = assay_utf8_previous(text + limit, &before);
        if ((assay_char_class(classes, point) & ASSAY_CHAR_SPACE) == 0)
            break;
        begin = limit + before;
    }
    return begin;
}

static size_t skip_space_right(const assay_char_table *classes, const uint8_t *text, size_t to,
                               size_t end)
{
    while (end < to) {
        size_t after = end;
        uint32_t point = assay_utf8_next(text, to, &after);
        if ((assay_char_class(classes, point) & ASSAY_CHAR_SPACE) == 0)
            break;
        end = after;
    }
    return end;
}

assay_added_match assay_added_tokens_next(const assay_added_tokens *set,
                                          const assay_char_table *classes,
                                          const uint8_t *text, size_t from, size_t to,
                                          assay_added_search *search)
{
    assay_added_match match = {.before = search->taken, .begin = to, .end = to, .id = -1};
    while (set->contents.count > 0) {
        while (search->at < to && !set->begins[text[search->at]])
            search->at++;
        if (search->at == to)
            break;
        size_t begin = search->at, length = 0;
        int32_t index = assay_vocabulary_longest(&set->contents, "", 0, set->seed, text + begin,
                                                 to - begin, &length);
        if (index < 0) {
            search->at++;
            continue;
        }
        size_t end = begin + length;
        search->at = end;
        const assay_added_token *token = &set->items[index];
        if (token->single_word && word_around(text, from, to, begin, end))
            continue;
        /* White space that an earlier match took is not taken again. */
        if (token->left_strip && begin > search->taken)
            begin = skip_space_left(classes, text, search->taken, begin);
        if (token->right_strip)
            end = skip_space_right(classes, text, to, end);
        match = (assay_added_match){.before = search->taken < begin ? search->taken : begin,
                                    .begin = begin, .end = end, .id = token->id};
        search->taken = end;
        return match;
    }
    search->taken = to;
    return match;
}
