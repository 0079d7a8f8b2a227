/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_late_forms.c: what a ranking by late interaction is worth with token vectors in
 * each form that they can be kept in.
 *
 *   bench_late_forms FOLDER COLLECTION [QUERIES [POOLS [MODEL]]]
 *
 * COLLECTION, of the data directory, was indexed from the BEIR folder FOLDER, a passage a
 * document. All passages are encoded once by MODEL (default: late), pooled by up to POOLS
 * (default: 3) besides, and put into halves, bytes and codes as `assay index --late` would. The
 * first QUERIES (default: all) judged ones are scored against every passage in every form. A
 * JSON line a form tells nDCG@10 of late interaction's order alone: of all passages, and of the 100
 * that hybrid retrieval and BM25 find; recall@100 of all; and bytes and vectors a passage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_common.h"
#include "base/half.h"
#include "base/threads.h"
#include "pipeline/late.h"
#include "index/candidates.h"
#include "index/token_codes.h"
#include "rank/token_pool.h"

enum { CANDIDATES = 100, BATCH = 256, POOLS = 3, WIDTHS = 3, MOST_WORKERS = 64 };

/* Vectors of all passages, one after another. */
typedef struct token_set {
    size_t *starts; /* [passages + 1] */
    float *vectors, *steps;
    uint16_t *halves;
    int8_t *rows;
    assay_token_book books[WIDTHS]; /* of 4, 2 and 1 bits; they share their centres */
    uint16_t *centres[WIDTHS], *factors[WIDTHS];
    uint8_t *codes[WIDTHS];
} token_set;

typedef struct form {
    const char *name;
    uint32_t pool;
    int width; /* of `books`; -1: bytes; -2: floats; -3: halves */
} form;

static const form forms[] = {
    {"f32", 1, -2},       {"f16", 1, -3},       {"i8", 1, -1},        {"b4", 1, 0},
    {"b2", 1, 1},         {"b1", 1, 2},         {"f32 pool 2", 2, -2}, {"i8 pool 2", 2, -1},
    {"b4 pool 2", 2, 0},  {"b2 pool 2", 2, 1},  {"f32 pool 3", 3, -2}, {"i8 pool 3", 3, -1},
    {"b4 pool 3", 3, 0},  {"b2 pool 3", 3, 1},
};
enum { FORMS = sizeof forms / sizeof *forms };

typedef struct bench {
    assay_store *store;
    assay_collection collection;
    assay_late late;
    size_t passages, dimensions, workers, pools;
    uint64_t *keys;           /* [passages] ascending */
    const char **documents;   /* [passages] ids */
    assay_arena *names;
    token_set sets[POOLS];
    assay_queries queries;
    assay_qrels *qrels;
    size_t count;             /* of queries asked, whose places are chosen[] */
    size_t *chosen;
    uint32_t *found[2];       /* [count][CANDIDATES] passages of hybrid and BM25 */
    size_t *found_count[2];   /* [count] */
    float *scores;            /* [FORMS][count][passages] */
    assay_session *sessions[MOST_WORKERS];
    assay_token_query asked[MOST_WORKERS][POOLS][WIDTHS];
    size_t first;             /* passage of the batch at hand */
} bench;

/* ---- Passages ---------------------------------------------------------------------- */

static assay_status read_ids(bench *b, assay_arena *arena, assay_token_ids *ids,
                             assay_error *error)
{
    size_t all = 0;
    for (size_t i = 0; i < b->passages; i++) {
        assay_passage_view view;
        bool made;
        ASSAY_TRY(assay_passage_get(b->store, b->keys[i], arena, &view, error));
        ASSAY_TRY(assay_late_ids(&b->late, &view, arena, &ids[i], &made, error));
        b->documents[i] = assay_arena_copy(b->names, view.id, strlen(view.id));
        b->sets[0].starts[i] = all;
        all += assay_late_tokens(b->late.session, &ids[i]);
    }
    b->sets[0].starts[b->passages] = all;
    return ASSAY_OK;
}

typedef struct kept {
    const bench *b;
    size_t *counts; /* [passages] */
} kept;

static void keep(void *user, size_t item, float *vectors, size_t count)
{
    const kept *k = user;
    size_t i = k->b->first + item, d = k->b->dimensions;
    if (vectors == NULL)
        abort();
    memcpy(k->b->sets[0].vectors + k->b->sets[0].starts[i] * d, vectors,
           count * d * sizeof *vectors);
    k->counts[i] = count;
}

/* Puts what is left of each passage side by side. */
static void close_up(token_set *set, const size_t *counts, size_t passages, size_t d)
{
    size_t at = 0;
    for (size_t i = 0; i < passages; i++) {
        memmove(set->vectors + at * d, set->vectors + set->starts[i] * d,
                counts[i] * d * sizeof *set->vectors);
        set->starts[i] = at;
        at += counts[i];
    }
    set->starts[passages] = at;
}

static assay_status encode(bench *b, assay_error *error)
{
    assay_arena *arena = assay_arena_new(0);
    assay_token_ids *ids = take(b->passages * sizeof *ids);
    kept k = {b, take(b->passages * sizeof *k.counts)};
    b->sets[0].starts = take((b->passages + 1) * sizeof(size_t));
    ASSAY_TRY(read_ids(b, arena, ids, error));
    b->sets[0].vectors = take(b->sets[0].starts[b->passages] * b->dimensions * sizeof(float));
    for (b->first = 0; b->first < b->passages; b->first += BATCH) {
        size_t some = b->passages - b->first < BATCH ? b->passages - b->first : BATCH;
        ASSAY_TRY(assay_late_encode(b->late.session, ids + b->first, some, keep, &k, error));
        say("passages encoded", b->first + some, b->passages);
    }
    close_up(&b->sets[0], k.counts, b->passages, b->dimensions);
    assay_arena_free(arena);
    free(ids);
    free(k.counts);
    return ASSAY_OK;
}

/* ---- Forms -------------------------------------------------------------------------- */

typedef struct pooling {
    token_set *set;
    size_t *counts, dimensions;
    uint32_t factor;
} pooling;

static void pool_one(void *context, size_t item, uint32_t worker)
{
    (void)worker;
    const pooling *p = context;
    p->counts[item] = p->set->starts[item + 1] - p->set->starts[item];
    if (assay_token_pool(p->set->vectors + p->set->starts[item] * p->dimensions, &p->counts[item],
                         p->dimensions, p->factor, NULL) != ASSAY_OK)
        abort();
}

static void pool(bench *b, uint32_t factor)
{
    const token_set *whole = &b->sets[0];
    token_set *set = &b->sets[factor - 1];
    size_t all = whole->starts[b->passages];
    set->starts = take((b->passages + 1) * sizeof *set->starts);
    set->vectors = take(all * b->dimensions * sizeof *set->vectors);
    memcpy(set->starts, whole->starts, (b->passages + 1) * sizeof *set->starts);
    memcpy(set->vectors, whole->vectors, all * b->dimensions * sizeof *set->vectors);
    pooling p = {set, take(b->passages * sizeof *p.counts), b->dimensions, factor};
    assay_loop(b->passages, 0, pool_one, &p);
    close_up(set, p.counts, b->passages, b->dimensions);
    free(p.counts);
}

static void put_bytes(token_set *set, size_t all, size_t d)
{
    set->rows = take(all * d);
    set->steps = take(all * sizeof *set->steps);
    for (size_t i = 0; i < all; i++)
        set->steps[i] = assay_late_quantize(set->vectors + i * d, d, set->rows + i * d);
}

static void put_halves(token_set *set, size_t all, size_t d)
{
    set->halves = take(all * d * sizeof *set->halves);
    for (size_t i = 0; i < all * d; i++)
        set->halves[i] = assay_half_of(set->vectors[i]);
}

/* Of vectors of passages that lie apart. */
static assay_status make_book(const bench *b, const token_set *set, assay_token_book **out,
                              assay_error *error)
{
    size_t wanted = (size_t)assay_token_book_sample(b->passages), d = b->dimensions, taken = 0;
    size_t most = 0;
    for (size_t i = 0; i < b->passages; i++)
        most = set->starts[i + 1] - set->starts[i] > most ? set->starts[i + 1] - set->starts[i]
                                                          : most;
    float *sample = take(wanted * most * d * sizeof *sample);
    for (size_t i = 0; i < wanted; i++) {
        size_t p = i * b->passages / wanted, n = set->starts[p + 1] - set->starts[p];
        memcpy(sample + taken * d, set->vectors + set->starts[p] * d, n * d * sizeof *sample);
        taken += n;
    }
    assay_status status =
        assay_token_book_make((uint32_t)d, 4, b->passages, (double)wanted / (double)b->passages,
                              sample, taken, 0, out, error);
    free(sample);
    return status;
}

static assay_status put_codes(bench *b, token_set *set, assay_error *error)
{
    size_t all = set->starts[b->passages];
    assay_token_book *book;
    ASSAY_TRY(make_book(b, set, &book, error));
    for (int w = 0; w < WIDTHS; w++) {
        set->books[w] = *book;
        set->books[w].bits = 4u >> w;
        size_t bytes = assay_token_code_bytes(set->books[w].bits, book->dimensions);
        set->centres[w] = take(all * sizeof(uint16_t));
        set->factors[w] = take(all * sizeof(uint16_t));
        set->codes[w] = take(all * bytes);
        ASSAY_TRY(assay_token_encode(&set->books[w], set->vectors, all, 0, set->centres[w],
                                     set->factors[w], set->codes[w], error));
    }
    return ASSAY_OK;
}

static assay_status make_forms(bench *b, assay_error *error)
{
    for (uint32_t factor = 1; factor <= b->pools; factor++) {
        token_set *set = &b->sets[factor - 1];
        if (factor > 1)
            pool(b, factor);
        put_bytes(set, set->starts[b->passages], b->dimensions);
        if (factor == 1)
            put_halves(set, set->starts[b->passages], b->dimensions);
        ASSAY_TRY(put_codes(b, set, error));
        say("pools made", factor, b->pools);
    }
    return ASSAY_OK;
}

/* ---- Scores -------------------------------------------------------------------------- */

static float score(const bench *b, uint32_t worker, const form *f, size_t passage)
{
    const token_set *set = &b->sets[f->pool - 1];
    size_t first = set->starts[passage], count = set->starts[passage + 1] - first;
    size_t d = b->dimensions;
    if (f->width == -2)
        return assay_late_maxsim(b->sessions[worker], set->vectors + first * d, count, NULL);
    if (f->width == -3)
        return assay_late_maxsim_f16(b->sessions[worker], set->halves + first * d, count, NULL);
    if (f->width == -1)
        return assay_late_maxsim_i8(
            b->sessions[worker],
            (assay_late_bytes){set->steps + first, set->rows + first * d, count}, NULL);
    size_t bytes = assay_token_code_bytes(set->books[f->width].bits, (uint32_t)d);
    const assay_token_codes codes = {count, set->centres[f->width] + first,
                                     set->factors[f->width] + first,
                                     set->codes[f->width] + first * bytes};
    return assay_token_maxsim(&b->asked[worker][f->pool - 1][f->width], &codes);
}

static void score_query(void *context, size_t item, uint32_t worker)
{
    bench *b = context;
    assay_session *session = b->sessions[worker];
    if (assay_late_query(session, b->queries.texts[b->chosen[item]], NULL) != ASSAY_OK)
        abort();
    for (size_t p = 0; p < b->pools; p++)
        for (int w = 0; w < WIDTHS; w++)
            if (assay_token_ask(&b->asked[worker][p][w], &b->sets[p].books[w], &session->question,
                                NULL) != ASSAY_OK)
                abort();
    for (size_t f = 0; f < FORMS && forms[f].pool <= b->pools; f++) {
        float *scores = b->scores + (f * b->count + item) * b->passages;
        for (size_t i = 0; i < b->passages; i++)
            scores[i] = score(b, worker, &forms[f], i);
    }
    if (worker == 0)
        say("queries scored", item + 1, b->count);
}

static assay_status open_sessions(bench *b, assay_error *error)
{
    b->workers = assay_cores() < MOST_WORKERS ? assay_cores() : MOST_WORKERS;
    for (size_t i = 0; i < b->workers; i++)
        ASSAY_TRY(assay_session_open(b->late.model, &(assay_session_options){.threads = 1},
                                     &b->sessions[i], error));
    return ASSAY_OK;
}

/* ---- Candidates ---------------------------------------------------------------------- */

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static assay_status find_candidates(bench *b, int kind, assay_error *error)
{
    assay_pipeline *pipeline;
    const assay_pipeline_options options = {
        .retriever = kind == 0 ? ASSAY_RETRIEVER_HYBRID : ASSAY_RETRIEVER_BM25,
        .retrieve = CANDIDATES};
    ASSAY_TRY(assay_pipeline_open(b->store, b->collection.name, &options, &pipeline, error));
    b->found[kind] = take(b->count * CANDIDATES * sizeof(uint32_t));
    b->found_count[kind] = take(b->count * sizeof(size_t));
    for (size_t q = 0; q < b->count; q++) {
        assay_result result;
        ASSAY_TRY(assay_search(pipeline, b->queries.texts[b->chosen[q]], CANDIDATES, &result,
                               error));
        b->found_count[kind][q] = result.count;
        for (size_t i = 0; i < result.count; i++) {
            const uint64_t *key = bsearch(&result.hits[i].passage, b->keys, b->passages,
                                          sizeof *key, compare_keys);
            b->found[kind][q * CANDIDATES + i] = (uint32_t)(key - b->keys);
        }
        assay_result_free(&result);
    }
    assay_pipeline_close(pipeline);
    return ASSAY_OK;
}

/* ---- Measures ------------------------------------------------------------------------ */

/* Of the order that the scores of some passages make, or without scores of theirs. */
static void add_run(const bench *b, size_t q, const float *scores, const uint32_t *some,
                    size_t count, assay_run *run)
{
    assay_candidate room[CANDIDATES];
    assay_best best = {.items = room, .limit = CANDIDATES};
    for (size_t i = 0; i < count; i++) {
        size_t p = some != NULL ? some[i] : i;
        assay_best_add(&best, (assay_candidate){p, scores != NULL ? scores[p] : -(float)i});
    }
    assay_best_sort(&best);
    for (size_t i = 0; i < best.count; i++)
        assay_run_add(run, b->queries.ids[b->chosen[q]], b->documents[best.items[i].passage],
                      (double)(CANDIDATES - i), NULL);
}

/* kind -1: all passages. */
static double measure(const bench *b, const float *scores, int kind, const char *name)
{
    assay_run *run;
    double mean, sum = 0, *each = take(assay_qrels_queries(b->qrels) * sizeof *each);
    if (assay_run_new("late", &run, NULL) != ASSAY_OK)
        abort();
    for (size_t q = 0; q < b->count; q++)
        add_run(b, q, scores != NULL ? scores + q * b->passages : NULL,
                kind < 0 ? NULL : b->found[kind] + q * CANDIDATES,
                kind < 0 ? b->passages : b->found_count[kind][q], run);
    if (assay_measure(b->qrels, run, name, &mean, each, NULL) != ASSAY_OK)
        abort();
    for (size_t i = 0; i < assay_qrels_queries(b->qrels); i++)
        sum += each[i];
    assay_run_free(run);
    free(each);
    return sum / (double)b->count; /* of the queries asked alone */
}

/* As src/store/token_vectors.c lays them out; floats, which are not kept, by themselves. */
static double bytes_of(const bench *b, const form *f, double vectors)
{
    double d = (double)b->dimensions;
    if (f->width < 0)
        return f->width == -2   ? vectors * d * 4
               : f->width == -3 ? 16 + vectors * d * 2
                                : 16 + vectors * (d + 4);
    return 20 + vectors * (double)(4 + assay_token_code_bytes(4u >> f->width,
                                                              (uint32_t)b->dimensions));
}

static void print(const bench *b)
{
    printf("{\"form\":\"none\",\"cpu\":\"%s\",\"collection\":\"%s\",\"model\":\"%s\",\"passages\":%zu,"
           "\"queries\":%zu,\"hybrid\":%.4f,\"bm25\":%.4f}\n", assay_cpu(), b->collection.name,
           b->late.model->info.name, b->passages, b->count, measure(b, NULL, 0, "nDCG@10"),
           measure(b, NULL, 1, "nDCG@10"));
    for (size_t f = 0; f < FORMS && forms[f].pool <= b->pools; f++) {
        const float *scores = b->scores + f * b->count * b->passages;
        double vectors = (double)b->sets[forms[f].pool - 1].starts[b->passages] /
                         (double)b->passages;
        printf("{\"form\":\"%s\",\"alone\":%.4f,\"recall\":%.4f,\"hybrid\":%.4f,\"bm25\":%.4f,"
               "\"vectors\":%.1f,\"bytes\":%.0f}\n", forms[f].name,
               measure(b, scores, -1, "nDCG@10"), measure(b, scores, -1, "R@100"),
               measure(b, scores, 0, "nDCG@10"), measure(b, scores, 1, "nDCG@10"), vectors,
               bytes_of(b, &forms[f], vectors));
    }
}

/* ---- All of it ------------------------------------------------------------------------ */

static assay_status read_queries(bench *b, const char *folder, size_t most, assay_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/queries.jsonl", folder);
    ASSAY_TRY(assay_queries_read(path, &b->queries, error));
    snprintf(path, sizeof path, "%s/qrels/test.tsv", folder);
    ASSAY_TRY(assay_qrels_read(path, &b->qrels, error));
    b->chosen = take(b->queries.count * sizeof *b->chosen);
    for (size_t i = 0; i < b->queries.count && b->count < most; i++)
        if (assay_qrels_judged(b->qrels, b->queries.ids[i]))
            b->chosen[b->count++] = i;
    return ASSAY_OK;
}

static assay_status open_all(bench *b, const char *name, const char *model, assay_error *error)
{
    assay_collection_info info;
    size_t found;
    ASSAY_TRY(assay_store_open(NULL, &(assay_store_options){.read_only = true}, &b->store, error));
    ASSAY_TRY(assay_collection_open(b->store, name, &b->collection, error));
    ASSAY_TRY(assay_collection_describe(b->store, name, &info, error));
    ASSAY_TRY(assay_late_begin(&b->late, b->store, &(assay_late_options){.model = model}, error));
    b->keys = take((info.passages + 1) * sizeof *b->keys);
    b->documents = take((info.passages + 1) * sizeof *b->documents);
    b->names = assay_arena_new(0);
    b->dimensions = b->late.model->info.dimensions;
    ASSAY_TRY(assay_passage_keys(b->store, &b->collection, 0, b->keys, info.passages, &found,
                                 error));
    b->passages = found;
    return ASSAY_OK;
}

static assay_status run(bench *b, char **arguments, int count, assay_error *error)
{
    size_t most = count > 3 ? strtoul(arguments[3], NULL, 10) : SIZE_MAX;
    b->pools = count > 4 ? strtoul(arguments[4], NULL, 10) : POOLS;
    if (b->pools < 1 || b->pools > POOLS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "POOLS", "is not 1 to %d", POOLS);
    ASSAY_TRY(open_all(b, arguments[2], count > 5 ? arguments[5] : "late", error));
    ASSAY_TRY(read_queries(b, arguments[1], most, error));
    ASSAY_TRY(find_candidates(b, 0, error));
    ASSAY_TRY(find_candidates(b, 1, error));
    ASSAY_TRY(encode(b, error));
    ASSAY_TRY(make_forms(b, error));
    ASSAY_TRY(open_sessions(b, error));
    b->scores = take(FORMS * b->count * b->passages * sizeof *b->scores);
    assay_loop(b->count, (uint32_t)b->workers, score_query, b);
    print(b);
    return ASSAY_OK;
}

int main(int argc, char **argv)
{
    static bench b; /* what it takes, the system takes back */
    assay_error error;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_late_forms FOLDER COLLECTION [QUERIES [POOLS [MODEL]]]\n");
        return 2;
    }
    if (run(&b, argv, argc, &error) == ASSAY_OK)
        return 0;
    fprintf(stderr, "bench_late_forms: %s: %s\n", error.where, error.message);
    return 1;
}
