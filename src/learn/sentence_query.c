/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentence_query.c: sentences of passages as queries. Fit is one of 8 to 32 words, most of
 * it letters, that ends with a stop and stands in the passage once; the passage has two
 * more at least. Half of them, by chance, lose their stop: people type none.
 */
#include <string.h>

#include "base/random.h"
#include "learn/synth.h"
#include "pipeline/words.h"
#include "text/sentences.h"

enum { MOST_SENTENCES = 512, FEWEST = 3, SHORTEST = 8, LONGEST = 32 };

static bool is_letter(unsigned char c)
{
    return ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

static bool is_fit(assay_text sentence, assay_text passage)
{
    size_t letters = 0, words = assay_words_count(sentence);
    for (size_t i = 0; i < sentence.length; i++)
        letters += is_letter((unsigned char)sentence.data[i]);
    if (words < SHORTEST || words > LONGEST || sentence.data[sentence.length - 1] != '.' ||
        letters * 10 <= sentence.length * 7)
        return false;
    const char *behind = sentence.data + 1, *end = passage.data + passage.length;
    return memmem(behind, (size_t)(end - behind), sentence.data, sentence.length) == NULL &&
           memmem(passage.data, passage.length, sentence.data, sentence.length) == sentence.data;
}

static assay_status take(assay_text sentence, uint64_t *state, assay_arena *arena,
                         assay_text *out, assay_error *error)
{
    if (assay_random_below(state, 2) == 1)
        while (sentence.length > 0 && strchr(" .", sentence.data[sentence.length - 1]) != NULL)
            sentence.length--;
    char *copy = assay_arena_copy(arena, sentence.data, sentence.length);
    if (copy == NULL)
        return assay_fail_memory(error, sentence.length);
    for (size_t i = 0; i < sentence.length; i++)
        if ((unsigned char)copy[i] < ' ')
            copy[i] = ' ';
    *out = (assay_text){copy, sentence.length};
    return ASSAY_OK;
}

assay_status assay_sentence_queries(assay_text passage, size_t most, uint64_t *state,
                                    assay_arena *arena, assay_text *queries, size_t *count,
                                    assay_error *error)
{
    assay_text fit[MOST_SENTENCES];
    uint32_t order[MOST_SENTENCES];
    size_t sentences = 0, found = 0, at = 0;
    *count = 0;
    while (found < MOST_SENTENCES) {
        while (at < passage.length && assay_words_space(passage.data[at]))
            at++;
        if (at == passage.length)
            break;
        size_t end = assay_sentence_end(passage.data, at, passage.length);
        assay_text one = {passage.data + at, end - at};
        sentences++;
        if (is_fit(one, passage)) {
            order[found] = (uint32_t)found;
            fit[found++] = one;
        }
        at = end;
    }
    if (sentences < FEWEST)
        return ASSAY_OK;
    assay_random_shuffle(state, order, found);
    for (size_t i = 0; i < found && *count < most; i++) {
        ASSAY_TRY(take(fit[order[i]], state, arena, &queries[*count], error));
        ++*count;
    }
    return ASSAY_OK;
}
