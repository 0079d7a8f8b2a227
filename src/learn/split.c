/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split.c: some examples held out, none of which is known from those that stay.
 *
 * Examples are joined that have a query of the same words, a relevant passage in common,
 * or relevant passages that are nearly the same (shingles.h). Groups of joined examples
 * are then taken in an order drawn from the seed, until there are enough. Passages that
 * are nearly the same are found by the smallest hashes among their shingles (Broder
 * 1997): two of which none agrees are not compared, so a pair that is barely over the
 * bound may be missed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "learn/examples.h"
#include "learn/shingles.h"

enum { SKETCH = 16, COMPARED = 32 };

/* What joins examples: those with an equal key. */
typedef struct key {
    uint64_t value;
    uint32_t example;
} key;

typedef struct split {
    const assay_examples *examples;
    uint32_t *parents; /* [examples] union-find */
    key *keys;
    size_t count, capacity;
} split;

static uint32_t root_of(const split *s, uint32_t example)
{
    while (s->parents[example] != example)
        example = s->parents[example] = s->parents[s->parents[example]];
    return example;
}

/* The smaller number is the root, whatever the order of joining. */
static void join(const split *s, uint32_t a, uint32_t b)
{
    a = root_of(s, a);
    b = root_of(s, b);
    s->parents[a < b ? b : a] = a < b ? a : b;
}

static assay_status add_key(split *s, uint64_t value, uint32_t example, assay_error *error)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity > 0 ? s->capacity * 2 : 1024;
        key *keys = realloc(s->keys, capacity * sizeof *keys);
        if (keys == NULL)
            return assay_fail_memory(error, capacity * sizeof *keys);
        s->keys = keys;
        s->capacity = capacity;
    }
    s->keys[s->count++] = (key){value, example};
    return ASSAY_OK;
}

static int by_key(const void *left, const void *right)
{
    const key *a = left, *b = right;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

static void sort_keys(const split *s)
{
    if (s->count > 0)
        qsort(s->keys, s->count, sizeof *s->keys, by_key);
}

static void join_equal(split *s)
{
    sort_keys(s);
    for (size_t i = 1; i < s->count; i++)
        if (s->keys[i].value == s->keys[i - 1].value)
            join(s, s->keys[i].example, s->keys[i - 1].example);
    s->count = 0;
}

/* ---- Queries and passages that are the same -------------------------------------- */

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Of the words of a query, whatever their order and case; words part at blanks. */
static uint64_t hash_of_query(const char *query)
{
    uint64_t words[256];
    size_t count = 0;
    for (const char *at = query; *at != '\0' && count < 256;) {
        char word[64];
        size_t length = 0;
        for (; *at != '\0' && strchr(" \t\r\n.,;:?!", *at) == NULL; at++)
            if (length < sizeof word)
                word[length++] = (char)(*at >= 'A' && *at <= 'Z' ? *at + 'a' - 'A' : *at);
        if (length > 0)
            words[count++] = assay_hash64(word, length);
        else
            at++;
    }
    qsort(words, count, sizeof *words, by_value);
    return assay_hash64(words, count * sizeof *words);
}

static assay_status join_same(split *s, assay_error *error)
{
    const assay_examples *all = s->examples;
    for (uint32_t i = 0; i < all->count; i++)
        ASSAY_TRY(add_key(s, hash_of_query(all->list[i].query), i, error));
    join_equal(s);
    for (uint32_t i = 0; i < all->count; i++)
        for (uint32_t p = 0; p < all->list[i].positives; p++)
            ASSAY_TRY(add_key(s, all->labelled[all->list[i].first + p].text, i, error));
    join_equal(s);
    return ASSAY_OK;
}

/* ---- Passages that are nearly the same ------------------------------------------- */

/* Of the passages that are relevant to any query: a query that one is relevant to (all of
 * them are joined; UINT32_MAX: none), and its shingles. */
typedef struct relevant {
    uint32_t *owners;        /* [texts] */
    assay_shingles *shingles; /* [texts] */
} relevant;

/* Keys of a passage's smallest hashes; .example is the passage's number here. */
static assay_status add_sketch(split *s, uint32_t text, assay_shingles *shingles,
                               assay_error *error)
{
    const char *string = assay_examples_text(s->examples, text);
    ASSAY_TRY(assay_shingles_of((assay_text){string, strlen(string)}, shingles, error));
    for (size_t i = 0; i < shingles->count && i < SKETCH; i++)
        ASSAY_TRY(add_key(s, shingles->hashes[i], text, error));
    return ASSAY_OK;
}

static assay_status sketch_all(split *s, const relevant *r, assay_error *error)
{
    const assay_examples *all = s->examples;
    for (uint32_t i = 0; i < all->count; i++) {
        for (uint32_t p = 0; p < all->list[i].positives; p++) {
            uint32_t text = all->labelled[all->list[i].first + p].text;
            if (r->owners[text] == UINT32_MAX)
                ASSAY_TRY(add_sketch(s, text, &r->shingles[text], error));
            r->owners[text] = i;
        }
    }
    return ASSAY_OK;
}

/* Of the passages with one hash each is compared with the first few. */
static void join_near(split *s, const relevant *r)
{
    sort_keys(s);
    for (size_t begin = 0, end; begin < s->count; begin = end) {
        for (end = begin + 1; end < s->count && s->keys[end].value == s->keys[begin].value;)
            end++;
        for (size_t i = begin; i < end; i++) {
            for (size_t j = i + 1; j < end && j <= i + COMPARED; j++) {
                uint32_t a = s->keys[i].example, b = s->keys[j].example;
                if (root_of(s, r->owners[a]) != root_of(s, r->owners[b]) &&
                    assay_shingles_overlap(&r->shingles[a], &r->shingles[b]) >
                        ASSAY_NEAR_DUPLICATE)
                    join(s, r->owners[a], r->owners[b]);
            }
        }
    }
    s->count = 0;
}

static assay_status join_near_duplicates(split *s, assay_error *error)
{
    size_t texts = assay_string_map_count(s->examples->passages);
    relevant r = {.owners = malloc((texts + 1) * sizeof *r.owners),
                  .shingles = calloc(texts + 1, sizeof *r.shingles)};
    assay_status status = ASSAY_OK;
    if (r.owners == NULL || r.shingles == NULL)
        status = assay_fail_memory(error, texts * sizeof *r.shingles);
    if (status == ASSAY_OK) {
        memset(r.owners, 0xFF, (texts + 1) * sizeof *r.owners);
        status = sketch_all(s, &r, error);
    }
    if (status == ASSAY_OK)
        join_near(s, &r);
    for (size_t i = 0; r.shingles != NULL && i < texts; i++)
        assay_shingles_free(&r.shingles[i]);
    free(r.shingles);
    free(r.owners);
    return status;
}

/* ---- Choosing ------------------------------------------------------------------ */

/* Groups as keys: .value the place in an order drawn at random, .example the root. */
static assay_status list_groups(split *s, uint64_t seed, assay_error *error)
{
    for (uint32_t i = 0; i < s->examples->count; i++)
        if (root_of(s, i) == i)
            ASSAY_TRY(add_key(s, assay_random_stream(seed, i), i, error));
    sort_keys(s);
    return ASSAY_OK;
}

static size_t take(uint32_t root, const uint32_t *sizes, bool *held)
{
    held[root] = true;
    return sizes[root];
}

/* Takes groups while there is room for them whole; where there is for none, the smallest
 * that is no more than half of all. */
static size_t choose(const split *s, size_t wanted, const uint32_t *sizes, bool *held)
{
    size_t taken = 0, half = s->examples->count / 2;
    uint32_t smallest = s->keys[0].example;
    for (size_t g = 0; g < s->count && taken < wanted; g++) {
        uint32_t root = s->keys[g].example;
        if (sizes[root] < sizes[smallest])
            smallest = root;
        if (taken + sizes[root] <= wanted + wanted / 10 && taken + sizes[root] <= half)
            taken += take(root, sizes, held);
    }
    if (taken == 0 && sizes[smallest] <= half)
        taken = take(smallest, sizes, held);
    for (uint32_t i = 0; i < s->examples->count; i++) /* a root comes before its group */
        held[i] = held[root_of(s, i)];
    return taken;
}

static assay_status hold_out(split *s, size_t wanted, uint64_t seed, bool *held,
                             assay_error *error)
{
    size_t count = s->examples->count;
    uint32_t *sizes = calloc(count + 1, sizeof *sizes);
    if (sizes == NULL)
        return assay_fail_memory(error, count * sizeof *sizes);
    for (uint32_t i = 0; i < count; i++)
        sizes[root_of(s, i)]++;
    assay_status status = list_groups(s, seed, error);
    size_t taken = status == ASSAY_OK ? choose(s, wanted, sizes, held) : 0;
    free(sizes);
    if (status == ASSAY_OK && taken == 0)
        status = assay_fail(error, ASSAY_E_FORMAT, "data",
                            "%zu queries in %zu groups that have relevant passages in common: "
                            "none can be held out without leaving nothing to learn from or "
                            "telling the answer; give a development set of its own",
                            count, s->count);
    return status;
}

assay_status assay_examples_split(const assay_examples *examples, double share, size_t most,
                                  uint64_t seed, bool *held, assay_error *error)
{
    size_t count = examples->count, wanted = (size_t)(share * (double)count + 0.5);
    if (wanted > most)
        wanted = most;
    if (wanted == 0)
        wanted = 1;
    memset(held, 0, count * sizeof *held);
    if (count < 2)
        return assay_fail(error, ASSAY_E_FORMAT, "data",
                          "%zu query with a relevant passage; expected at least 2, some to learn "
                          "from and some to measure by, or a development set of its own", count);
    split s = {.examples = examples, .parents = malloc(count * sizeof *s.parents)};
    if (s.parents == NULL)
        return assay_fail_memory(error, count * sizeof *s.parents);
    for (uint32_t i = 0; i < count; i++)
        s.parents[i] = i;
    assay_status status = join_same(&s, error);
    if (status == ASSAY_OK)
        status = join_near_duplicates(&s, error);
    if (status == ASSAY_OK)
        status = hold_out(&s, wanted, seed, held, error);
    free(s.keys);
    free(s.parents);
    return status;
}
