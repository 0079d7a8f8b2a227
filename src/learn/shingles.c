/* SPDX-License-Identifier: Apache-2.0 */
/* shingles.c: see shingles.h. */
#include "learn/shingles.h"

#include <stdlib.h>

#include "base/hash.h"

enum { RUN = 4, MOST_WORDS = 400, LONGEST_WORD = 64 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* A long word counts by its beginning. */
size_t assay_shingles_words(assay_text text, uint64_t *hashes, size_t most)
{
    size_t count = 0;
    for (size_t at = 0; at < text.length && count < most;) {
        char word[LONGEST_WORD];
        size_t length = 0;
        for (; at < text.length && in_word(lower(text.data[at])); at++)
            if (length < LONGEST_WORD)
                word[length++] = lower(text.data[at]);
        if (length > 0)
            hashes[count++] = assay_hash64(word, length);
        else
            at++;
    }
    return count;
}

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

assay_status assay_shingles_of(assay_text text, assay_shingles *out, assay_error *error)
{
    uint64_t words[MOST_WORDS];
    size_t count = assay_shingles_words(text, words, MOST_WORDS);
    size_t run = count < RUN ? count : RUN, runs = count > 0 ? count - run + 1 : 0;
    *out = (assay_shingles){0};
    if (runs == 0)
        return ASSAY_OK;
    out->hashes = malloc(runs * sizeof *out->hashes);
    if (out->hashes == NULL)
        return assay_fail_memory(error, runs * sizeof *out->hashes);
    for (size_t i = 0; i < runs; i++)
        out->hashes[i] = assay_hash64(words + i, run * sizeof *words);
    qsort(out->hashes, runs, sizeof *out->hashes, by_value);
    for (size_t i = 0; i < runs; i++)
        if (i == 0 || out->hashes[i] != out->hashes[out->count - 1])
            out->hashes[out->count++] = out->hashes[i];
    return ASSAY_OK;
}

void assay_shingles_free(assay_shingles *shingles)
{
    free(shingles->hashes);
    *shingles = (assay_shingles){0};
}

double assay_shingles_overlap(const assay_shingles *a, const assay_shingles *b)
{
    size_t both = 0, least = a->count < b->count ? a->count : b->count;
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        both += a->hashes[i] == b->hashes[j];
        uint64_t left = a->hashes[i], right = b->hashes[j];
        i += left <= right;
        j += right <= left;
    }
    return least > 0 ? (double)both / (double)least : 0;
}
