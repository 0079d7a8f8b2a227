/* SPDX-License-Identifier: Apache-2.0 */
/* wordpiece.c: see wordpiece.h. */
#include "text/wordpiece.h"

#include <string.h>

void assay_wordpiece_init(assay_wordpiece *model, const assay_vocabulary *vocabulary,
                          const char *prefix, size_t longest_word, int32_t unknown)
{
    *model = (assay_wordpiece){.vocabulary = vocabulary,
                               .prefix = prefix,
                               .prefix_length = strlen(prefix),
                               .word_seed = assay_vocabulary_seed("", 0),
                               .longest_word = longest_word,
                               .unknown = unknown};
    model->piece_seed = assay_vocabulary_seed(prefix, model->prefix_length);
}

/* Whether the word has more characters than allowed. */
static bool too_long(const assay_wordpiece *model, const uint8_t *word, size_t length)
{
    if (length <= model->longest_word)
        return false;
    size_t characters = 0;
    for (size_t i = 0; i < length; i++)
        characters += (word[i] & 0xC0) != 0x80;
    return characters > model->longest_word;
}

assay_status assay_wordpiece_encode(const assay_wordpiece *model, const uint8_t *word,
                                    size_t length, size_t base, assay_tokens *tokens,
                                    assay_error *error)
{
    size_t first = tokens->count;
    bool known = !too_long(model, word, length);
    for (size_t at = 0; at < length && known;) {
        size_t matched = 0;
        int32_t id = at == 0 ? assay_vocabulary_longest(model->vocabulary, "", 0,
                                                        model->word_seed, word, length, &matched)
                             : assay_vocabulary_longest(model->vocabulary, model->prefix,
                                                        model->prefix_length, model->piece_seed,
                                                        word + at, length - at, &matched);
        known = id >= 0;
        if (known)
            ASSAY_TRY(assay_tokens_add(tokens, id, base + at, base + at + matched, error));
        at += matched;
    }
    if (known)
        return ASSAY_OK;
    tokens->count = first;
    return assay_tokens_add(tokens, model->unknown, base, base + length, error);
}
