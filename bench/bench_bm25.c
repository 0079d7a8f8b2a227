/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_bm25.c: how long BM25 takes: the word index file and FTS5 on the same
 * collection and questions, whose answers must be equal.
 *
 *   bench_bm25 HOME COLLECTION QUERIES [K [FTS5-QUERIES]]
 *
 * Prints one line of JSON: times in milliseconds, of one thread, of queries that
 * were asked once before; what the file took to build, of the processor, and its size. The first
 * FTS5-QUERIES of the queries are asked of FTS5 too (100).
 */
#include <assay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/store.h"

enum { K_MAX = 10000, ROUNDS = 3 };
#define K1 0.9
#define B 0.4

static int fail(const assay_error *error)
{
    fprintf(stderr, "bench_bm25: %s: %s\n", error->where, error->message);
    return 1;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? 1 : x < y ? -1 : 0;
}

static void print_times(const char *name, double *times, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += times[i];
    qsort(times, count, sizeof *times, ascending);
    printf(", \"%s\": {\"p50\": %.4f, \"p95\": %.4f, \"p99\": %.4f, \"mean\": %.4f}", name,
           times[count / 2] * 1e3, times[count * 95 / 100] * 1e3, times[count * 99 / 100] * 1e3,
           sum / (double)count * 1e3);
}

typedef struct bench {
    assay_store *store;
    assay_collection collection;
    assay_postings *postings;
    assay_queries queries;
    assay_arena *arena;
    size_t k;
    assay_candidate found[K_MAX], expected[K_MAX];
} bench;

static assay_status ask(bench *b, size_t i, size_t *count, assay_error *error)
{
    const assay_term *terms;
    size_t term_count;
    assay_arena_reset(b->arena);
    assay_status status = assay_store_terms(b->store, b->queries.texts[i], b->arena, &terms,
                                            &term_count, error);
    return status != ASSAY_OK ? status
                              : assay_postings_search(b->postings, terms, term_count, K1, B, NULL,
                                                      b->k, b->found, count, error);
}

static assay_status run(bench *b, size_t fts_queries, assay_error *error)
{
    size_t n = b->queries.count, count, same = 0;
    double *times = calloc(n, sizeof *times), *fts = calloc(n, sizeof *fts);
    assay_status status = times != NULL && fts != NULL ? ASSAY_OK : ASSAY_E_MEMORY;
    for (int round = 0; round <= ROUNDS && status == ASSAY_OK; round++)
        for (size_t i = 0; i < n && status == ASSAY_OK; i++) {
            double begun = assay_seconds();
            status = ask(b, i, &count, error);
            double took = assay_seconds() - begun;
            if (round == 1 || (round > 1 && took < times[i]))
                times[i] = took;
        }
    if (fts_queries > n)
        fts_queries = n;
    for (size_t i = 0; i < fts_queries && status == ASSAY_OK; i++) {
        size_t expected = 0;
        status = ask(b, i, &count, error);
        double begun = assay_seconds();
        if (status == ASSAY_OK)
            status = assay_store_bm25(b->store, &b->collection, b->queries.texts[i], K1, B, NULL,
                                      b->k, b->expected, &expected, error);
        fts[i] = assay_seconds() - begun;
        bool equal = count == expected;
        for (size_t j = 0; j < count && equal; j++)
            equal = b->found[j].passage == b->expected[j].passage &&
                    b->found[j].score == b->expected[j].score;
        same += equal;
    }
    if (status == ASSAY_OK) {
        printf(", \"queries\": %zu, \"k\": %zu, \"compared\": %zu, \"equal\": %zu", n, b->k,
               fts_queries, same);
        print_times("assay", times, n);
        if (fts_queries > 0)
            print_times("fts5", fts, fts_queries);
    }
    free(times);
    free(fts);
    return status;
}

static assay_status open_all(bench *b, char **argv, assay_error *error)
{
    char path[1024];
    assay_status status = assay_store_open(argv[1], &(assay_store_options){.read_only = true},
                                           &b->store, error);
    if (status == ASSAY_OK)
        status = assay_collection_open(b->store, argv[2], &b->collection, error);
    if (status == ASSAY_OK)
        status = assay_queries_read(argv[3], &b->queries, error);
    if (status == ASSAY_OK)
        status = assay_path_join(path, sizeof path, argv[1], "bench.words", error);
    clock_t begun = clock();
    if (status == ASSAY_OK)
        status = assay_store_write_postings(b->store, &b->collection, path, K1, B, NULL, NULL,
                                            error);
    double built = (double)(clock() - begun) / CLOCKS_PER_SEC;
    if (status == ASSAY_OK)
        status = assay_postings_open(path, &b->postings, error);
    unlink(path);
    if (status != ASSAY_OK)
        return status;
    assay_postings_size size = assay_postings_size_of(b->postings);
    printf("{\"passages\": %llu, \"terms\": %llu, \"bytes\": %llu, \"build_processor_seconds\": %.2f",
           (unsigned long long)size.passages, (unsigned long long)size.terms,
           (unsigned long long)size.bytes, built);
    return ASSAY_OK;
}

int main(int argc, char **argv)
{
    assay_error error = {0};
    static bench b;
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: bench_bm25 HOME COLLECTION QUERIES [K [FTS5-QUERIES]]\n");
        return 2;
    }
    b.k = argc > 4 ? strtoul(argv[4], NULL, 10) : 100;
    if (b.k == 0 || b.k > K_MAX) {
        fprintf(stderr, "bench_bm25: K is 1 to %d\n", K_MAX);
        return 2;
    }
    b.arena = assay_arena_new(0);
    if (b.arena == NULL || open_all(&b, argv, &error) != ASSAY_OK ||
        run(&b, argc > 5 ? strtoul(argv[5], NULL, 10) : 100, &error) != ASSAY_OK)
        return fail(&error);
    printf("}\n");
    assay_postings_close(b.postings);
    assay_queries_free(&b.queries);
    assay_store_close(b.store);
    assay_arena_free(b.arena);
    return 0;
}
