/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_token_ids.c: what it saves to keep the token ids of passages.
 *
 *   bench_token_ids HOME COLLECTION [MODEL]
 *
 * For 300 draws of 30 passages of a collection (seeded): what the cross-encoder
 * MODEL (default: cross) reads of each is tokenised, and then read from the store.
 * Prints one JSON line: milliseconds for 30 passages either way, and how many had
 * no ids, or others than tokenising gives.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/passage_tokens.h"
#include "store/store.h"

enum { DRAWS = 300, PASSAGES = 30 };

typedef struct bench {
    assay_store *store;
    assay_passage_tokenizer maker;
    assay_arena *arena;
    uint64_t *keys; /* [count] of the collection's passages */
    size_t count;
    double tokenise, read; /* seconds */
    uint64_t missing, different, tokens;
} bench;

static int fail(const assay_error *error)
{
    fprintf(stderr, "bench_token_ids: %s: %s\n", error->where, error->message);
    return 1;
}

/* All passages: those that lack the ids of a tokenizer that there is not. */
static assay_status list_passages(bench *b, const char *name, assay_error *error)
{
    static const assay_digest nobody;
    assay_collection collection;
    assay_collection_info info;
    ASSAY_TRY(assay_collection_open(b->store, name, &collection, error));
    ASSAY_TRY(assay_collection_describe(b->store, name, &info, error));
    b->keys = calloc(info.passages + 1, sizeof *b->keys);
    if (b->keys == NULL)
        return assay_fail_memory(error, info.passages * sizeof *b->keys);
    ASSAY_TRY(assay_tokens_missing(b->store, &collection, &nobody, 0, b->keys, info.passages,
                                   &b->count, error));
    if (b->count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "has no passages");
    return ASSAY_OK;
}

static assay_status draw(bench *b, assay_error *error)
{
    assay_passage_view views[PASSAGES];
    assay_token_ids made[PASSAGES], kept[PASSAGES];
    assay_arena_reset(b->arena);
    for (size_t i = 0; i < PASSAGES; i++)
        ASSAY_TRY(assay_passage_get(b->store, b->keys[(size_t)rand() % b->count], b->arena,
                                    &views[i], error));
    double begun = assay_seconds();
    for (size_t i = 0; i < PASSAGES; i++)
        ASSAY_TRY(assay_passage_tokenizer_encode(&b->maker, views[i].title, views[i].heading,
                                                 views[i].text, b->arena, &made[i], error));
    double tokenised = assay_seconds();
    for (size_t i = 0; i < PASSAGES; i++)
        ASSAY_TRY(assay_tokens_get(b->store, views[i].passage, &b->maker.digest, b->arena,
                                   &kept[i], error));
    b->read += assay_seconds() - tokenised;
    b->tokenise += tokenised - begun;
    for (size_t i = 0; i < PASSAGES; i++) {
        b->tokens += made[i].count;
        b->missing += kept[i].ids == NULL;
        if (kept[i].ids != NULL)
            b->different += kept[i].total != made[i].total ||
                            memcmp(kept[i].ids, made[i].ids,
                                   kept[i].count * sizeof *kept[i].ids) != 0;
    }
    return ASSAY_OK;
}

static assay_status measure(bench *b, const char *name, assay_error *error)
{
    ASSAY_TRY(list_passages(b, name, error));
    srand(1);
    for (int i = 0; i < DRAWS; i++)
        ASSAY_TRY(draw(b, error));
    printf("{\"collection\": \"%s\", \"passages\": %d, \"tokens_each\": %.1f, "
           "\"tokenise_ms\": %.3f, \"read_ms\": %.3f, \"missing\": %llu, \"different\": %llu}\n",
           name, PASSAGES, (double)b->tokens / (DRAWS * PASSAGES), b->tokenise / DRAWS * 1e3,
           b->read / DRAWS * 1e3, (unsigned long long)b->missing,
           (unsigned long long)b->different);
    return ASSAY_OK;
}

int main(int count, char **arguments)
{
    assay_error error;
    assay_tokenizer *tokenizer = NULL;
    bench b = {.arena = assay_arena_new(0)};
    char path[4096];
    if (count < 3 || count > 4) {
        fprintf(stderr, "usage: bench_token_ids HOME COLLECTION [MODEL]\n");
        return 2;
    }
    assay_status status = b.arena != NULL ? ASSAY_OK : assay_fail_memory(&error, 64 * 1024);
    if (status == ASSAY_OK)
        status = assay_store_open(arguments[1], &(assay_store_options){.read_only = true},
                                  &b.store, &error);
    if (status == ASSAY_OK)
        status = assay_model_find(count > 3 ? arguments[3] : "cross", path, sizeof path, &error);
    if (status == ASSAY_OK)
        status = assay_tokenizer_open(path, &tokenizer, &error);
    if (status == ASSAY_OK) {
        assay_passage_tokenizer_open(&b.maker, tokenizer);
        status = measure(&b, arguments[2], &error);
    }
    assay_passage_tokenizer_close(&b.maker);
    assay_tokenizer_close(tokenizer);
    assay_store_close(b.store);
    assay_arena_free(b.arena);
    free(b.keys);
    return status == ASSAY_OK ? 0 : fail(&error);
}
