/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_growth.c: a collection of many passages without embedding them, and what searching and
 * changing it takes, for bench/growth.
 *
 *   bench_growth put HOME TEXTS VECTORS COUNT
 *   bench_growth make HOME
 *   bench_growth change HOME TEXTS VECTORS FIRST COUNT
 *   bench_growth search HOME QUERIES ROUNDS
 *
 * TEXTS has a passage a line, VECTORS one binary32 vector after another, of as many dimensions as
 * the default bi-encoder's. They need not belong together: neither the words' index nor the
 * vectors' looks at the other. `put` puts the first COUNT of both into the collection "growth",
 * `make` makes its indexes; `change` puts COUNT from FIRST on in, takes the oldest COUNT out, and catches
 * up; `search` asks QUERIES (JSONL), ROUNDS times, with parts of the pipeline and with all of it.
 * Each prints one line of JSON, times in seconds; that of `put` is of the processor.
 */
#include <assay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "pipeline/passage_tokens.h"
#include "pipeline/vectors.h"
#include "store/store.h"

enum { AT_ONCE = 1000, MOST_TIMES = 100000 };

static const char name[] = "growth";

static int fail(const assay_error *error)
{
    fprintf(stderr, "bench_growth: %s: %s\n", error->where, error->message);
    return 1;
}

/* ------------------------------------------------------- putting in, taking out */

typedef struct source {
    assay_store *store;
    assay_collection collection;
    assay_model *model;
    assay_passage_tokenizer tokenizer;
    assay_arena *arena;
    assay_mapping texts, vectors;
    const char *line; /* the next */
} source;

static assay_status source_open(source *s, char **argv, assay_error *error)
{
    s->arena = assay_arena_new(0);
    ASSAY_TRY(assay_store_open(argv[2], &(assay_store_options){.create = true}, &s->store, error));
    ASSAY_TRY(assay_model_open("dense", NULL, &s->model, error));
    ASSAY_TRY(assay_map_open(argv[3], &s->texts, error));
    ASSAY_TRY(assay_map_open(argv[4], &s->vectors, error));
    assay_passage_tokenizer_open(&s->tokenizer, assay_model_tokenizer(s->model));
    s->line = (const char *)s->texts.data;
    return ASSAY_OK;
}

static void source_close(source *s)
{
    assay_passage_tokenizer_close(&s->tokenizer);
    assay_model_close(s->model);
    assay_map_close(&s->texts);
    assay_map_close(&s->vectors);
    assay_store_close(s->store);
    assay_arena_free(s->arena);
}

static assay_status create(source *s, assay_error *error)
{
    assay_model_info info;
    assay_model_describe(s->model, &info);
    assay_collection_config config = {.model = "dense",
                                      .dimensions = info.dimensions,
                                      .passage_tokens = ASSAY_WHOLE_DOCUMENT};
    memcpy(config.model_digest, info.digest, sizeof config.model_digest);
    return assay_collection_create(s->store, name, &config, &s->collection, error);
}

/* The next line; it is empty behind the last. */
static assay_text take_line(source *s)
{
    const char *end = (const char *)s->texts.data + s->texts.size;
    const char *stop = s->line < end ? memchr(s->line, '\n', (size_t)(end - s->line)) : NULL;
    assay_text text = {s->line, (size_t)((stop != NULL ? stop : end) - s->line)};
    s->line = stop != NULL ? stop + 1 : end;
    return text;
}

static assay_status put_one(source *s, uint64_t number, assay_text text, assay_error *error)
{
    char id[24];
    assay_token_ids ids;
    size_t d = s->collection.config.dimensions;
    if (text.length == 0 || (number + 1) * d * sizeof(float) > s->vectors.size)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "there are %" PRIu64 " texts or vectors", number);
    snprintf(id, sizeof id, "%" PRIu64, number);
    ASSAY_TRY(assay_passage_tokenizer_encode(&s->tokenizer, "", "", text, s->arena, &ids, error));
    const assay_stored_passage passage = {
        .length = text.length,
        .heading = "",
        .tokens = (uint32_t)ids.count,
        .vector = (const float *)(const void *)s->vectors.data + number * d,
        .ids = ids.ids,
        .id_count = ids.count,
    };
    const assay_stored_document document = {
        .id = id,
        .title = "",
        .source = "texts",
        .text = text,
        .digest = assay_hash128(text.data, text.length),
        .passages = &passage,
        .passage_count = 1,
        .tokenizer = &s->tokenizer.digest,
    };
    return assay_document_put(s->store, &s->collection, &document, error);
}

static assay_status put_some(source *s, uint64_t first, uint64_t end, assay_error *error)
{
    assay_status status = ASSAY_OK;
    for (uint64_t i = 0; i < first; i++)
        take_line(s);
    for (uint64_t i = first; i < end && status == ASSAY_OK; i++) {
        if (i == first || i % AT_ONCE == 0)
            status = assay_store_begin(s->store, error);
        assay_arena_reset(s->arena);
        if (status == ASSAY_OK)
            status = put_one(s, i, take_line(s), error);
        if (status == ASSAY_OK && ((i + 1) % AT_ONCE == 0 || i + 1 == end))
            status = assay_store_commit(s->store, error);
    }
    return status;
}

static assay_status take_out(source *s, uint64_t first, uint64_t end, assay_error *error)
{
    char id[24];
    bool found;
    ASSAY_TRY(assay_store_begin(s->store, error));
    for (uint64_t i = first; i < end; i++) {
        snprintf(id, sizeof id, "%" PRIu64, i);
        ASSAY_TRY(assay_document_delete(s->store, &s->collection, id, &found, error));
    }
    return assay_store_commit(s->store, error);
}

/* Both indexes as the collection is now; prints what it took and how large they are. */
static assay_status update_indexes(assay_store *store, double put_seconds, assay_error *error)
{
    assay_collection collection;
    assay_vectors vectors = {0};
    bool current;
    uint64_t bytes;
    double begun = assay_seconds();
    ASSAY_TRY(assay_collection_open(store, name, &collection, error));
    ASSAY_TRY(assay_word_index_update(store, &collection, ASSAY_WORD_INDEX_AUTO, ASSAY_DEFAULT_K1,
                                      ASSAY_DEFAULT_B, NULL, NULL, error));
    double words = assay_seconds() - begun;
    begun = assay_seconds();
    ASSAY_TRY(assay_vectors_open(store, &collection, &vectors, NULL, NULL, error));
    double graph = assay_seconds() - begun;
    assay_word_index_describe(store, &collection, &bytes, &current);
    printf("{\"put\": %.2f, \"words\": %.2f, \"vectors\": %.2f, \"count\": %" PRIu64 ", \"index\": \"%s\", "
           "\"word_bytes\": %" PRIu64 "}\n", put_seconds, words, graph, assay_flat_count(vectors.flat),
           assay_vector_index_name(assay_vectors_kind(&vectors)), bytes);
    assay_vectors_close(&vectors);
    return ASSAY_OK;
}

static assay_status put(char **argv, assay_error *error)
{
    source s = {0};
    assay_status status = source_open(&s, argv, error);
    if (status == ASSAY_OK)
        status = create(&s, error);
    if (status == ASSAY_OK)
        status = put_some(&s, 0, strtoull(argv[5], NULL, 10), error);
    source_close(&s);
    if (status == ASSAY_OK)
        printf("{\"processor\": %.2f}\n", (double)clock() / CLOCKS_PER_SEC);
    return status;
}

static assay_status make(char **argv, assay_error *error)
{
    assay_store *store = NULL;
    assay_status status = assay_store_open(argv[2], NULL, &store, error);
    if (status == ASSAY_OK)
        status = update_indexes(store, 0, error);
    assay_store_close(store);
    return status;
}

static assay_status change(char **argv, assay_error *error)
{
    source s = {0};
    double begun = assay_seconds();
    uint64_t first = strtoull(argv[5], NULL, 10), count = strtoull(argv[6], NULL, 10);
    assay_status status = source_open(&s, argv, error);
    if (status == ASSAY_OK)
        status = assay_collection_open(s.store, name, &s.collection, error);
    if (status == ASSAY_OK)
        status = put_some(&s, first, first + count, error);
    if (status == ASSAY_OK)
        status = take_out(&s, 0, count, error);
    if (status == ASSAY_OK)
        status = update_indexes(s.store, assay_seconds() - begun, error);
    source_close(&s);
    return status;
}

/* -------------------------------------------------------------------- searching */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? 1 : x < y ? -1 : 0;
}

static void print_times(const char *what, double *times, size_t count)
{
    qsort(times, count, sizeof *times, ascending);
    printf(", \"%s\": {\"p50\": %.6f, \"p95\": %.6f}", what, times[count / 2], times[count * 95 / 100]);
}

/* One pipeline, all queries, ROUNDS times after one that is not counted. */
static assay_status time_pipeline(assay_store *store, const assay_queries *queries, unsigned rounds,
                                  const char *what, const assay_pipeline_options *options,
                                  assay_error *error)
{
    static double first[MOST_TIMES], rerank[MOST_TIMES];
    assay_pipeline *pipeline = NULL;
    size_t count = 0;
    double begun = assay_seconds(), opened = 0;
    assay_status status = assay_pipeline_open(store, name, options, &pipeline, error);
    for (unsigned round = 0; round <= rounds && status == ASSAY_OK; round++)
        for (size_t i = 0; i < queries->count && count < MOST_TIMES && status == ASSAY_OK; i++) {
            assay_result result;
            status = assay_search(pipeline, queries->texts[i], 5, &result, error);
            if (status != ASSAY_OK)
                break;
            if (round == 0 && i == 0)
                opened = assay_seconds() - begun;
            first[count] = result.first_seconds;
            rerank[count] = result.rerank_seconds;
            count += round > 0;
            assay_result_free(&result);
        }
    if (status == ASSAY_OK && count > 0) {
        char reranked[64];
        snprintf(reranked, sizeof reranked, "%s, rerank", what);
        print_times(what, first, count);
        if (options->reranker != NULL)
            print_times(reranked, rerank, count);
        printf(", \"%s, first\": %.4f", what, opened);
    }
    assay_pipeline_close(pipeline);
    return status;
}

static assay_status time_embedding(const assay_queries *queries, assay_error *error)
{
    static float vector[1 << 16];
    static double times[MOST_TIMES];
    assay_model *model = NULL;
    assay_session *session = NULL;
    size_t count = queries->count < MOST_TIMES ? queries->count : MOST_TIMES;
    assay_status status = assay_model_open("dense", NULL, &model, error);
    if (status == ASSAY_OK)
        status = assay_session_open(model, &(assay_session_options){.role = ASSAY_ROLE_QUERY}, &session, error);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        double begun = assay_seconds();
        status = assay_embed(session, &queries->texts[i], 1, vector, NULL, error);
        times[i] = assay_seconds() - begun;
    }
    if (status == ASSAY_OK)
        print_times("embed", times, count);
    assay_session_close(session);
    assay_model_close(model);
    return status;
}

static assay_status search(char **argv, assay_error *error)
{
    assay_queries queries = {0};
    assay_store *store = NULL;
    unsigned rounds = (unsigned)atol(argv[4]);
    const assay_pipeline_options words = {.retriever = ASSAY_RETRIEVER_BM25},
                                 vectors = {.retriever = ASSAY_RETRIEVER_DENSE},
                                 some = {.reranker = "cross", .no_cache = true},
                                 all = {.reranker = "cross", .no_cache = true, .rerank = 100};
    assay_status status = assay_queries_read(argv[3], &queries, error);
    if (status == ASSAY_OK)
        status = assay_store_open(argv[2], &(assay_store_options){.read_only = true}, &store, error);
    if (status == ASSAY_OK)
        printf("{\"queries\": %zu", queries.count);
    if (status == ASSAY_OK)
        status = time_embedding(&queries, error);
    if (status == ASSAY_OK)
        status = time_pipeline(store, &queries, rounds, "bm25", &words, error);
    if (status == ASSAY_OK)
        status = time_pipeline(store, &queries, rounds, "dense", &vectors, error);
    if (status == ASSAY_OK)
        status = time_pipeline(store, &queries, 1, "default", &some, error);
    if (status == ASSAY_OK)
        status = time_pipeline(store, &queries, 1, "all", &all, error);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    if (status == ASSAY_OK)
        printf(", \"resident_bytes\": %ld}\n", used.ru_maxrss * 1024);
    assay_store_close(store);
    assay_queries_free(&queries);
    return status;
}

int main(int argc, char **argv)
{
    assay_error error = {0};
    assay_status status;
    if (argc == 6 && strcmp(argv[1], "put") == 0)
        status = put(argv, &error);
    else if (argc == 3 && strcmp(argv[1], "make") == 0)
        status = make(argv, &error);
    else if (argc == 7 && strcmp(argv[1], "change") == 0)
        status = change(argv, &error);
    else if (argc == 5 && strcmp(argv[1], "search") == 0)
        status = search(argv, &error);
    else
        return fprintf(stderr, "usage: see the top of bench_growth.c\n"), 2;
    return status == ASSAY_OK ? 0 : fail(&error);
}
