/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth_filter.c: see synth.h. Two queries of the same words, in whatever order, are the
 * same. One that the passage holds word for word was copied, be it for want of better ones
 * or because the passage asked for it.
 */
#include <stdlib.h>
#include <string.h>

#include "learn/shingles.h"
#include "learn/synth.h"

enum { FEWEST = 2, MOST = 64, MOST_OF_PASSAGE = 4000 };

/* The place of needle[n] among hay[count] as a run; count: none. */
static size_t run_in(const uint64_t *hay, size_t count, const uint64_t *needle, size_t n)
{
    for (size_t i = 0; n > 0 && i + n <= count; i++)
        if (memcmp(hay + i, needle, n * sizeof *needle) == 0)
            return i;
    return count;
}

static bool points(const uint64_t *words, size_t count)
{
    static const char *const phrases[] = {"the passage", "this passage", "the text",
                                          "this text",   "the excerpt",  "this excerpt",
                                          "the paragraph", "this paragraph"};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        uint64_t pair[2];
        assay_shingles_words((assay_text){phrases[i], strlen(phrases[i])}, pair, 2);
        if (run_in(words, count, pair, 2) < count)
            return true;
    }
    return false;
}

static bool copied(const uint64_t *words, size_t count, assay_text passage)
{
    uint64_t *whole = malloc(MOST_OF_PASSAGE * sizeof *whole);
    if (whole == NULL)
        return true; /* what cannot be looked at is not kept */
    size_t length = assay_shingles_words(passage, whole, MOST_OF_PASSAGE);
    bool found = run_in(whole, length, words, count) < length;
    free(whole);
    return found;
}

static bool has_address(assay_text query)
{
    return memmem(query.data, query.length, "://", 3) != NULL ||
           memmem(query.data, query.length, "www.", 4) != NULL;
}

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* The query's words without their order: what `seen` knows it by. */
static size_t key_of(assay_text query, uint64_t *words)
{
    size_t count = assay_shingles_words(query, words, MOST + 1);
    qsort(words, count, sizeof *words, by_value);
    return count;
}

bool assay_synth_fit(assay_query_kind kind, assay_text query, assay_text passage,
                     const assay_string_map *seen, assay_synth_report *report)
{
    uint64_t words[MOST + 1], key[MOST + 1];
    uint32_t number;
    size_t count = assay_shingles_words(query, words, MOST + 1);
    bool own = kind == ASSAY_QUERY_SENTENCE;
    uint64_t *reason = NULL;
    if (count < FEWEST || count > MOST || has_address(query))
        reason = &report->malformed;
    else if (!own && points(words, count))
        reason = &report->pointing;
    else if (!own && kind != ASSAY_QUERY_KEYWORDS && copied(words, count, passage))
        reason = &report->copied;
    else if (assay_string_map_find(seen, key, key_of(query, key) * sizeof *key, &number))
        reason = &report->duplicates;
    if (reason != NULL)
        ++*reason;
    return reason == NULL;
}

assay_status assay_synth_remember(assay_string_map *seen, assay_text query, assay_error *error)
{
    uint64_t key[MOST + 1];
    uint32_t number;
    size_t count = key_of(query, key);
    return assay_string_map_add(seen, key, count * sizeof *key, &number, NULL, error);
}
