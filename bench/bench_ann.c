/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ann.c: the HNSW and IVF indexes over vectors from a file, at the command of
 * bench/ann and bench/filter.
 *
 *   bench_ann BASE QUERIES TRUTH DIMENSIONS INDEX HOW KIND CODES M EF_CONSTRUCTION THREADS
 *
 * BASE and QUERIES are binary32, one vector after another; TRUTH holds the numbers of
 * each query's ten nearest, uint32. KIND is hnsw or ivf. HOW is build, which builds and
 * writes the file INDEX; map, which maps it, as a search of a collection does; or load, which
 * reads an hnsw into large pages. Prints a line of JSON, then answers lines of standard input
 * with a line of JSON each, on one thread:
 *
 *   search EFFORT     for all queries, with this ef or nprobe
 *   allow EF PATH     some, where one lets those through whose bit is set in a file (the first
 *                     is the lowest of the first byte); and what comparing with all of these takes
 *   exact THREADS     some, compared with all vectors
 *   read THREADS      the vectors read as fast as a plain loop can
 *   churn SHARE       takes SHARE of the vectors out of a graph that was built or loaded, writes
 *                     and loads it, and puts them back in
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
#include "base/threads.h"
#include "index/hnsw.h"
#include "index/ivf.h"

enum { K = 10, MOST_EF = 20000, SOME = 200, MOST_SCORED = 200, READ_AT_ONCE = 1 << 20 };

typedef struct bench {
    assay_mapping base, queries, truth;
    uint32_t dimensions, count, query_count, threads;
    const char *index;
    uint64_t *keys; /* [count] i + 1 */
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

static assay_status build_lists(bench *b, assay_code_kind codes, assay_error *error)
{
    const float *base = (const float *)(const void *)b->base.data;
    const assay_ivf_options options = {.dimensions = b->dimensions, .codes = codes};
    return assay_ivf_build(&options, b->keys, base, b->count, b->threads, NULL, NULL, &b->ivf, error);
}

static assay_status build_graph(bench *b, assay_code_kind codes, char **argv, assay_error *error)
{
    const float *base = (const float *)(const void *)b->base.data;
    const assay_hnsw_options options = {.dimensions = b->dimensions,
                                        .codes = codes,
                                        .m = (uint32_t)atol(argv[9]),
                                        .ef_construction = (uint32_t)atol(argv[10])};
    ASSAY_TRY(assay_hnsw_new(&options, b->count, &b->hnsw, error));
    return assay_hnsw_insert(b->hnsw, b->keys, base, b->count, b->threads, NULL, NULL, error);
}

static assay_status open_index(bench *b, bool lists, bool load, assay_error *error)
{
    if (lists)
        return assay_ivf_open(b->index, &b->ivf, error);
    return load ? assay_hnsw_load(b->index, 0, &b->hnsw, error)
                : assay_hnsw_open(b->index, &b->hnsw, error);
}

/* Builds and writes, or opens. */
static int prepare(bench *b, char **argv)
{
    assay_error error;
    assay_code_kind codes = 0;
    bool lists = strcmp(argv[7], "ivf") == 0, build = strcmp(argv[6], "build") == 0;
    assay_code_named(argv[8], &codes);
    double begun = assay_seconds(), cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    assay_status status = !build ? open_index(b, lists, strcmp(argv[6], "load") == 0, &error)
                          : lists ? build_lists(b, codes, &error)
                                  : build_graph(b, codes, argv, &error);
    double seconds = assay_seconds() - begun;
    cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (status == ASSAY_OK && build)
        status = lists ? assay_ivf_save(b->ivf, b->index, 1, 1, &error)
                       : assay_hnsw_save(b->hnsw, b->index, 1, 1, &error);
    if (status != ASSAY_OK)
        return fail(error.message);
    tell_built(b, seconds, cpu);
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
            .k = K, .nprobe = effort, .allowed = allowed};
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

static void search_flat(bench *b, uint32_t threads)
{
    assay_candidate found[K];
    assay_flat_scratch *scan = assay_flat_scratch_new(K, threads);
    double wall = assay_seconds(), begun = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t q = 0; scan != NULL && q < some_queries(b); q++)
        assay_flat_search(b->flat, query_of(b, q), NULL, scan, found);
    printf("{\"queries\": %" PRIu32 ", \"cpu_seconds\": %.5f, \"seconds\": %.5f}\n",
           some_queries(b), cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - begun, assay_seconds() - wall);
    fflush(stdout);
    assay_flat_scratch_free(scan);
}

/* ---- What memory gives */

typedef struct reading {
    const uint64_t *words;
    size_t count;
    uint64_t sums[64]; /* of workers, so that nothing is left out */
} reading;

static void read_some(void *context, size_t item, uint32_t worker)
{
    reading *r = context;
    uint64_t sums[8] = {0};
    size_t first = item * READ_AT_ONCE, end = first + READ_AT_ONCE;
    for (size_t i = first; i + 8 <= end && i + 8 <= r->count; i += 8) {
        __builtin_prefetch(r->words + i + 256);
        for (size_t j = 0; j < 8; j++)
            sums[j] |= r->words[i + j];
    }
    for (size_t j = 0; j < 8; j++)
        r->sums[worker % 64] |= sums[j];
}

static void read_vectors(bench *b, uint32_t threads)
{
    reading r = {.count = (size_t)b->count * b->dimensions / 2};
    r.words = (const uint64_t *)(const void *)(b->hnsw != NULL ? assay_hnsw_vector(b->hnsw, 0)
                                                               : (const void *)b->base.data);
    double best = 1e9;
    for (int round = 0; round < 10; round++) {
        double begun = assay_seconds();
        assay_loop((r.count + READ_AT_ONCE - 1) / READ_AT_ONCE, threads, read_some, &r);
        double took = assay_seconds() - begun;
        best = took < best ? took : best;
    }
    printf("{\"bytes\": %zu, \"seconds\": %.6f, \"seen\": %d}\n", r.count * sizeof *r.words, best,
           r.sums[0] != 0);
    fflush(stdout);
}

/* ---- Vectors that go and come */

static bool is_among(uint64_t number, double share)
{
    return (double)assay_hash64(&number, sizeof number) * 0x1p-64 < share;
}

/* Those chosen, to keys[] and vectors[]; returns how many. */
static size_t choose_some(const bench *b, double share, uint64_t *keys, float *vectors)
{
    const float *base = (const float *)(const void *)b->base.data;
    size_t count = 0, d = b->dimensions;
    for (uint32_t i = 0; i < b->count; i++)
        if (is_among(i, share)) {
            keys[count] = b->keys[i];
            memcpy(vectors + count++ * d, base + i * d, d * sizeof *vectors);
        }
    return count;
}

static assay_status take_out_and_put_back(bench *b, const uint64_t *keys, const float *vectors,
                                          size_t count, double times[3], assay_error *error)
{
    char path[600];
    snprintf(path, sizeof path, "%s.churned", b->index);
    double begun = assay_seconds();
    ASSAY_TRY(assay_hnsw_remove(b->hnsw, keys, count, b->threads, error));
    times[0] = assay_seconds() - begun;
    ASSAY_TRY(assay_hnsw_save(b->hnsw, path, 1, 2, error));
    assay_hnsw_free(b->hnsw);
    b->hnsw = NULL;
    ASSAY_TRY(assay_hnsw_load(path, (uint32_t)count, &b->hnsw, error));
    times[1] = assay_seconds() - begun - times[0];
    ASSAY_TRY(assay_hnsw_insert(b->hnsw, keys, vectors, count, b->threads, NULL, NULL, error));
    times[2] = assay_seconds() - begun - times[0] - times[1];
    return remove(path) == 0 ? ASSAY_OK : ASSAY_E_IO;
}

static void look_anew(bench *b)
{
    assay_hnsw_scratch_free(b->scratch);
    assay_flat_close(b->flat);
    b->scratch = assay_hnsw_scratch_new(b->hnsw, MOST_EF);
    b->flat = assay_hnsw_flat(b->hnsw);
}

static void churn(bench *b, double share)
{
    assay_error error = {0};
    uint64_t *keys = calloc(b->count, sizeof *keys);
    float *vectors = calloc((size_t)b->count * b->dimensions, sizeof *vectors);
    double times[3] = {0};
    if (b->hnsw != NULL && keys != NULL && vectors != NULL) {
        size_t count = choose_some(b, share, keys, vectors);
        if (take_out_and_put_back(b, keys, vectors, count, times, &error) != ASSAY_OK)
            exit(fail(error.message));
        look_anew(b);
        printf("{\"vectors\": %zu, \"remove_seconds\": %.3f, \"file_seconds\": %.3f, "
               "\"insert_seconds\": %.3f}\n", count, times[0], times[1], times[2]);
        fflush(stdout);
    }
    free(keys);
    free(vectors);
}

/* ---- Filters */

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
    else if (sscanf(line, "allow %u %511s", &ef, path) == 2)
        search_file(b, ef, path);
    else if (sscanf(line, "exact %u", &ef) == 1)
        search_flat(b, ef);
    else if (sscanf(line, "read %u", &ef) == 1)
        read_vectors(b, ef);
    else if (sscanf(line, "churn %lf", &share) == 1)
        churn(b, share);
}

int main(int argc, char **argv)
{
    bench b = {0};
    if (argc != 12)
        return fail("BASE QUERIES TRUTH DIMENSIONS INDEX HOW KIND CODES M EF_CONSTRUCTION THREADS");
    b.dimensions = (uint32_t)atol(argv[4]);
    b.index = argv[5];
    b.threads = (uint32_t)atol(argv[11]);
    if (b.dimensions == 0 || assay_map_open(argv[1], &b.base, NULL) != ASSAY_OK ||
        assay_map_open(argv[2], &b.queries, NULL) != ASSAY_OK ||
        assay_map_open(argv[3], &b.truth, NULL) != ASSAY_OK)
        return fail("cannot read the files");
    b.count = (uint32_t)(b.base.size / b.dimensions / sizeof(float));
    b.query_count = (uint32_t)(b.queries.size / b.dimensions / sizeof(float));
    if (b.truth.size < (size_t)b.query_count * K * sizeof(uint32_t))
        return fail("the truth is too short");
    b.keys = calloc(b.count + 1u, sizeof *b.keys);
    for (uint32_t i = 0; b.keys != NULL && i < b.count; i++)
        b.keys[i] = i + 1;
    if (b.keys == NULL || prepare(&b, argv) != 0)
        return 1;
    if (b.hnsw != NULL)
        b.scratch = assay_hnsw_scratch_new(b.hnsw, MOST_EF);
    else
        b.ivf_scratch = assay_ivf_scratch_new(b.ivf, MOST_SCORED);
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
    free(b.keys);
    assay_map_close(&b.base);
    assay_map_close(&b.queries);
    assay_map_close(&b.truth);
    return 0;
}
