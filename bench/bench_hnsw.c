/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_hnsw.c: the HNSW index over vectors from a file, at the command of bench/ann.
 *
 *   bench_hnsw BASE QUERIES TRUTH DIMENSIONS CODES M EF_CONSTRUCTION THREADS
 *
 * BASE and QUERIES are binary32, one vector after another; TRUTH holds the numbers of
 * each query's ten nearest, uint32. Builds and prints a line of JSON, then answers
 * lines of standard input: "search EF [SHARE]" searches for all queries on one thread,
 * SHARE of the vectors let through by a filter.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "index/hnsw.h"

enum { K = 10, MOST_EF = 20000 };

typedef struct bench {
    assay_mapping base, queries, truth;
    uint32_t dimensions, count, query_count;
    assay_hnsw *hnsw;
    assay_hnsw_scratch *scratch;
    uint64_t *allowed;
    double share;
} bench;

static int fail(const char *what)
{
    fprintf(stderr, "bench_hnsw: %s\n", what);
    return 1;
}

static double cpu_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int build(bench *b, char **argv)
{
    assay_error error;
    assay_hnsw_options options = {.dimensions = b->dimensions,
                                  .m = (uint32_t)atol(argv[6]),
                                  .ef_construction = (uint32_t)atol(argv[7])};
    uint64_t *keys = calloc(b->count, sizeof *keys);
    if (keys == NULL || !assay_code_named(argv[5], &options.codes))
        return fail("no memory, or no kind of code");
    for (uint32_t i = 0; i < b->count; i++)
        keys[i] = i + 1;
    double begun = assay_seconds(), cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (assay_hnsw_new(&options, b->count, &b->hnsw, &error) != ASSAY_OK ||
        assay_hnsw_insert(b->hnsw, keys, (const float *)(const void *)b->base.data, b->count,
                          (uint32_t)atol(argv[8]), NULL, NULL, &error) != ASSAY_OK)
        return fail(error.message);
    assay_hnsw_info info;
    assay_hnsw_describe(b->hnsw, &info);
    printf("{\"build_seconds\": %.3f, \"build_cpu_seconds\": %.3f, \"graph_bytes\": %" PRIu64
           ", \"code_bytes\": %" PRIu64 ", \"vector_bytes\": %" PRIu64 "}\n",
           assay_seconds() - begun, cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, info.graph_bytes,
           info.code_bytes, info.vector_bytes);
    fflush(stdout);
    free(keys);
    return 0;
}

static void let_through(bench *b, double share)
{
    if (share == b->share)
        return;
    b->share = share;
    memset(b->allowed, 0, (b->count / 64 + 1) * sizeof *b->allowed);
    for (uint32_t i = 0; i < b->count; i++)
        if ((double)assay_hash64(&i, sizeof i) * 0x1p-64 < share)
            b->allowed[i / 64] |= (uint64_t)1 << i % 64;
}

static bool among(const uint32_t *truth, uint64_t key)
{
    for (size_t i = 0; i < K; i++)
        if (truth[i] + 1 == key)
            return true;
    return false;
}

static void search(bench *b, uint32_t ef, double share)
{
    const float *queries = (const void *)b->queries.data;
    const uint32_t *truth = (const void *)b->truth.data;
    size_t hits = 0;
    let_through(b, share);
    assay_hnsw_find find = {.k = K, .ef = ef, .allowed = share < 1 ? b->allowed : NULL};
    double begun = assay_seconds(), cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t q = 0; q < b->query_count; q++) {
        assay_candidate found[K];
        size_t count = assay_hnsw_search(b->hnsw, queries + (size_t)q * b->dimensions, &find,
                                         b->scratch, found);
        for (size_t i = 0; i < count; i++)
            hits += among(truth + (size_t)q * K, found[i].passage);
    }
    printf("{\"ef\": %" PRIu32 ", \"seconds\": %.5f, \"cpu_seconds\": %.5f, \"recall\": %.5f}\n",
           ef, assay_seconds() - begun, cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu,
           (double)hits / ((double)K * b->query_count));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    bench b = {.share = -1};
    if (argc != 9)
        return fail("BASE QUERIES TRUTH DIMENSIONS CODES M EF_CONSTRUCTION THREADS");
    b.dimensions = (uint32_t)atol(argv[4]);
    if (b.dimensions == 0 || assay_map_open(argv[1], &b.base, NULL) != ASSAY_OK ||
        assay_map_open(argv[2], &b.queries, NULL) != ASSAY_OK ||
        assay_map_open(argv[3], &b.truth, NULL) != ASSAY_OK)
        return fail("cannot read the files");
    b.count = (uint32_t)(b.base.size / b.dimensions / sizeof(float));
    b.query_count = (uint32_t)(b.queries.size / b.dimensions / sizeof(float));
    if (b.truth.size < (size_t)b.query_count * K * sizeof(uint32_t))
        return fail("the truth is too short");
    b.allowed = calloc(b.count / 64 + 1, sizeof *b.allowed);
    if (b.allowed == NULL || build(&b, argv) != 0)
        return 1;
    b.scratch = assay_hnsw_scratch_new(b.hnsw, MOST_EF);
    char line[100];
    unsigned ef;
    while (b.scratch != NULL && fgets(line, sizeof line, stdin) != NULL) {
        double share = 1;
        if (sscanf(line, "search %u %lf", &ef, &share) >= 1)
            search(&b, ef, share);
    }
    assay_hnsw_scratch_free(b.scratch);
    assay_hnsw_free(b.hnsw);
    free(b.allowed);
    assay_map_close(&b.base);
    assay_map_close(&b.queries);
    assay_map_close(&b.truth);
    return 0;
}
