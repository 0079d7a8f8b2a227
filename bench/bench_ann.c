/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ann.c: the HNSW and IVF indexes over vectors from a file, at the command of
 * bench/ann and bench/filter.
 *
 *   bench_ann BASE QUERIES TRUTH DIMENSIONS KIND CODES M EF_CONSTRUCTION THREADS
 *
 * BASE and QUERIES are binary32, one vector after another; TRUTH holds the numbers of
 * each query's ten nearest, uint32. KIND is hnsw or ivf. Builds and prints a line of
 * JSON, then answers lines of standard input with a line of JSON each, on one thread:
 * "search EFFORT" (ef, nprobe) searches for all queries, "exact" compares some of them with all vectors, "filter EF SHARE"
 * searches for some where a filter lets SHARE of the vectors through, "allow EF PATH" where
 * one lets those through whose bit is set in a file (the first is the lowest of the first byte), and
 * tells beside it what comparing with all of these takes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "index/hnsw.h"
#include "index/ivf.h"

enum { K = 10, MOST_EF = 20000, SOME = 200, IVF_EF = 100 };

typedef struct bench {
    assay_mapping base, queries, truth;
    uint32_t dimensions, count, query_count;
    assay_hnsw *hnsw;
    assay_hnsw_scratch *scratch;
    assay_ivf *ivf; /* one of the two is NULL */
    assay_ivf_scratch *ivf_scratch;
    assay_flat *flat;
    assay_flat_scratch *scan;
} bench;

static int fail(const char *what)
{
    fprintf(stderr, "bench_ann: %s\n", what);
    return 1;
}

static double cpu_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void tell_built(const bench *b, double seconds, double cpu)
{
    assay_hnsw_info graph = {0};
    assay_ivf_info lists = {0};
    if (b->hnsw != NULL)
        assay_hnsw_describe(b->hnsw, &graph);
    else
        assay_ivf_describe(b->ivf, &lists);
    printf("{\"build_seconds\": %.3f, \"build_cpu_seconds\": %.3f, \"graph_bytes\": %" PRIu64
           ", \"code_bytes\": %" PRIu64 ", \"vector_bytes\": %" PRIu64 ", \"lists\": %" PRIu32 "}\n",
           seconds, cpu, graph.graph_bytes + lists.list_bytes,
           graph.code_bytes + lists.code_bytes, graph.vector_bytes + lists.vector_bytes,
           lists.options.lists);
    fflush(stdout);
}

static assay_status build_kind(bench *b, char **argv, const uint64_t *keys, assay_error *error)
{
    const float *base = (const float *)(const void *)b->base.data;
    uint32_t threads = (uint32_t)atol(argv[9]);
    assay_code_kind codes = 0;
    assay_code_named(argv[6], &codes);
    if (strcmp(argv[5], "ivf") == 0) {
        const assay_ivf_options options = {.dimensions = b->dimensions, .codes = codes};
        return assay_ivf_build(&options, keys, base, b->count, threads, NULL, NULL, &b->ivf, error);
    }
    const assay_hnsw_options options = {.dimensions = b->dimensions,
                                        .codes = codes,
                                        .m = (uint32_t)atol(argv[7]),
                                        .ef_construction = (uint32_t)atol(argv[8])};
    ASSAY_TRY(assay_hnsw_new(&options, b->count, &b->hnsw, error));
    return assay_hnsw_insert(b->hnsw, keys, base, b->count, threads, NULL, NULL, error);
}

static int build(bench *b, char **argv)
{
    assay_error error;
    uint64_t *keys = calloc(b->count, sizeof *keys);
    if (keys == NULL)
        return fail("no memory");
    for (uint32_t i = 0; i < b->count; i++)
        keys[i] = i + 1;
    double begun = assay_seconds(), cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    assay_status status = build_kind(b, argv, keys, &error);
    free(keys);
    if (status != ASSAY_OK)
        return fail(error.message);
    tell_built(b, assay_seconds() - begun, cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    return 0;
}

static bool among(const uint32_t *truth, uint64_t key)
{
    for (size_t i = 0; i < K; i++)
        if (truth[i] + 1 == key)
            return true;
    return false;
}

static const float *query_of(const bench *b, uint32_t q)
{
    return (const float *)(const void *)b->queries.data + (size_t)q * b->dimensions;
}

static void tell(uint32_t queries, double cpu, size_t hits, size_t wanted)
{
    printf("{\"queries\": %" PRIu32 ", \"cpu_seconds\": %.5f, \"recall\": %.5f}\n", queries, cpu,
           wanted > 0 ? (double)hits / (double)wanted : 1.0);
    fflush(stdout);
}

/* With an effort, which is ef or nprobe. */
static size_t search_one(bench *b, const float *query, uint32_t effort, const uint64_t *allowed,
                         assay_candidate *found)
{
    if (b->ivf != NULL) {
        const assay_ivf_find find = {
            .k = K, .nprobe = effort, .ef = IVF_EF, .allowed = allowed};
        return assay_ivf_search(b->ivf, query, &find, b->ivf_scratch, found);
    }
    const assay_hnsw_find find = {.k = K, .ef = effort, .allowed = allowed};
    return assay_hnsw_search(b->hnsw, query, &find, b->scratch, found);
}

static void search(bench *b, uint32_t ef)
{
    const uint32_t *truth = (const void *)b->truth.data;
    size_t hits = 0;
    double begun = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t q = 0; q < b->query_count; q++) {
        assay_candidate found[K];
        size_t count = search_one(b, query_of(b, q), ef, NULL, found);
        for (size_t i = 0; i < count; i++)
            hits += among(truth + (size_t)q * K, found[i].passage);
    }
    tell(b->query_count, cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begun, hits,
         (size_t)K * b->query_count);
}

static uint32_t some_queries(const bench *b)
{
    return b->query_count < SOME ? b->query_count : SOME;
}

static void search_flat(bench *b)
{
    assay_candidate found[K];
    double begun = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t q = 0; q < some_queries(b); q++)
        assay_flat_search(b->flat, query_of(b, q), NULL, b->scan, found);
    tell(some_queries(b), cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begun, 1, 1);
}

static void search_allowed(bench *b, uint32_t ef, const assay_bits *bits)
{
    size_t hits = 0, wanted = 0;
    double spent = 0, exact = 0;
    for (uint32_t q = 0; q < some_queries(b); q++) {
        assay_candidate found[K], best[K];
        double begun = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
        size_t count = search_one(b, query_of(b, q), ef, bits->words, found);
        double middle = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
        spent += middle - begun;
        size_t all = assay_flat_search(b->flat, query_of(b, q), bits, b->scan, best);
        exact += cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - middle;
        wanted += all;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < all; j++)
                hits += found[i].passage == best[j].passage;
    }
    printf("{\"queries\": %" PRIu32 ", \"cpu_seconds\": %.5f, \"recall\": %.5f, "
           "\"exact_seconds\": %.5f}\n", some_queries(b), spent,
           wanted > 0 ? (double)hits / (double)wanted : 1.0, exact);
    fflush(stdout);
}

static void search_filtered(bench *b, uint32_t ef, double share)
{
    assay_bits bits;
    if (assay_bits_new(&bits, b->count, NULL) != ASSAY_OK)
        return;
    for (uint32_t i = 0; i < b->count; i++)
        if ((double)assay_hash64(&i, sizeof i) * 0x1p-64 < share)
            assay_bits_add(&bits, i);
    search_allowed(b, ef, &bits);
    assay_bits_free(&bits);
}

static void search_file(bench *b, uint32_t ef, const char *path)
{
    assay_mapping map;
    assay_bits bits;
    if (assay_map_open(path, &map, NULL) != ASSAY_OK)
        return;
    if (assay_bits_new(&bits, b->count, NULL) == ASSAY_OK) {
        for (uint32_t i = 0; i < b->count && i / 8 < map.size; i++)
            if (map.data[i / 8] >> (i % 8) & 1)
                assay_bits_add(&bits, i);
        search_allowed(b, ef, &bits);
        assay_bits_free(&bits);
    }
    assay_map_close(&map);
}

static void answer(bench *b, const char *line)
{
    unsigned ef;
    double share;
    char path[512];
    if (sscanf(line, "search %u", &ef) == 1)
        search(b, ef);
    else if (sscanf(line, "filter %u %lf", &ef, &share) == 2)
        search_filtered(b, ef, share);
    else if (sscanf(line, "allow %u %511s", &ef, path) == 2)
        search_file(b, ef, path);
    else if (strncmp(line, "exact", 5) == 0)
        search_flat(b);
}

int main(int argc, char **argv)
{
    bench b = {0};
    if (argc != 10)
        return fail("BASE QUERIES TRUTH DIMENSIONS KIND CODES M EF_CONSTRUCTION THREADS");
    b.dimensions = (uint32_t)atol(argv[4]);
    if (b.dimensions == 0 || assay_map_open(argv[1], &b.base, NULL) != ASSAY_OK ||
        assay_map_open(argv[2], &b.queries, NULL) != ASSAY_OK ||
        assay_map_open(argv[3], &b.truth, NULL) != ASSAY_OK)
        return fail("cannot read the files");
    b.count = (uint32_t)(b.base.size / b.dimensions / sizeof(float));
    b.query_count = (uint32_t)(b.queries.size / b.dimensions / sizeof(float));
    if (b.truth.size < (size_t)b.query_count * K * sizeof(uint32_t))
        return fail("the truth is too short");
    if (build(&b, argv) != 0)
        return 1;
    if (b.hnsw != NULL)
        b.scratch = assay_hnsw_scratch_new(b.hnsw, MOST_EF);
    else
        b.ivf_scratch = assay_ivf_scratch_new(b.ivf, IVF_EF);
    b.flat = b.hnsw != NULL ? assay_hnsw_flat(b.hnsw) : assay_ivf_flat(b.ivf);
    b.scan = assay_flat_scratch_new(K, 1);
    char line[600];
    while ((b.scratch || b.ivf_scratch) && b.flat && b.scan && fgets(line, sizeof line, stdin) != NULL)
        answer(&b, line);
    assay_flat_scratch_free(b.scan);
    assay_flat_close(b.flat);
    assay_hnsw_scratch_free(b.scratch);
    assay_ivf_scratch_free(b.ivf_scratch);
    assay_hnsw_free(b.hnsw);
    assay_ivf_free(b.ivf);
    assay_map_close(&b.base);
    assay_map_close(&b.queries);
    assay_map_close(&b.truth);
    return 0;
}
