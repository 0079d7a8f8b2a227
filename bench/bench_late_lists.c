/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_late_lists.c: late interaction as a retriever over many passages, against all of
 * them scored.
 *
 *   bench_late_lists make HOME COLLECTION PASSAGES [BITS]
 *   bench_late_lists ask HOME QUERIES [COUNT [EVERY]]
 *
 * make: a data directory HOME with a collection of PASSAGES passages and their codes of
 * BITS (4) bits, out of the vectors that COLLECTION, of the data directory, keeps as bytes.
 * The first passages are COLLECTION's own; each of the others is the beginning of one of
 * them and the end of another, so that no two are alike. Their centres are made as
 * `assay index` makes them of a collection of that size.
 *
 * ask: COUNT (100) of QUERIES, a queries.jsonl, every EVERY-th (1), on one thread, through
 * the retriever as `assay search` calls it, files and database included. Each is first
 * answered by scoring all passages, then with several numbers of centres and of passages
 * scored. A JSON line for each: the share found of the 100 best, and milliseconds of a
 * query, which include its encoding: median and 95th percentile, and of processor time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_common.h"
#include "base/clock.h"
#include "base/random.h"
#include "pipeline/late_retriever.h"

enum { K = 100, BATCH = 1000 };

static const char name[] = "large";

/* ---- What there is ------------------------------------------------------------------ */

typedef struct source {
    size_t passages, dimensions, room;
    size_t *starts; /* [passages + 1] */
    float *vectors;
    uint16_t *centres, *factors;
    uint8_t *codes;
    size_t code_bytes;
} source;

static void take_rows(void *user, const assay_token_rows *rows)
{
    source *s = user;
    size_t d = s->dimensions, at = s->starts[s->passages];
    if (rows->count == 0 || rows->bits > 0 || rows->row_bytes != d)
        return;
    if (at + rows->count > s->room) {
        s->room = 2 * (at + rows->count);
        s->vectors = realloc(s->vectors, s->room * d * sizeof *s->vectors);
        if (s->vectors == NULL)
            abort();
    }
    const int8_t *bytes = rows->rows;
    for (size_t i = 0; i < rows->count; i++) {
        float step;
        memcpy(&step, (const char *)rows->steps + i * sizeof step, sizeof step);
        for (size_t j = 0; j < d; j++)
            s->vectors[(at + i) * d + j] = step * (float)bytes[i * d + j];
    }
    s->starts[++s->passages] = at + rows->count;
}

static assay_status read_source(source *s, const char *collection_name, assay_late_model *set,
                                assay_error *error)
{
    assay_store *store;
    assay_collection collection;
    assay_collection_info info;
    assay_late late;
    ASSAY_TRY(assay_store_open(NULL, &(assay_store_options){.read_only = true}, &store, error));
    ASSAY_TRY(assay_collection_open(store, collection_name, &collection, error));
    ASSAY_TRY(assay_collection_describe(store, collection_name, &info, error));
    ASSAY_TRY(assay_late_get(store, &collection, set, error));
    ASSAY_TRY(assay_late_begin(&late, store, &(assay_late_options){.model = set->model}, error));
    s->dimensions = late.model->info.dimensions;
    s->starts = take((info.passages + 1) * sizeof *s->starts);
    s->starts[0] = 0;
    uint64_t *keys = take((info.passages + 1) * sizeof *keys);
    size_t count;
    ASSAY_TRY(assay_passage_keys(store, &collection, 0, keys, info.passages, &count, error));
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(assay_token_vectors_read(store, keys[i], take_rows, s, error));
    free(keys);
    assay_late_end(&late);
    assay_store_close(store);
    say("passages read", s->passages, s->passages);
    return s->passages > 0 ? ASSAY_OK
                           : assay_fail(error, ASSAY_E_ARGUMENT, collection_name,
                                        "keeps no token vectors as bytes");
}

/* ---- The large collection ------------------------------------------------------------- */

/* Passage i of the large collection: the first half of one, the second of another. */
typedef struct splice {
    size_t head, head_count, tail, tail_count; /* places of vectors */
} splice;

static splice splice_of(const source *s, size_t i)
{
    uint64_t state = assay_random_stream(1, i);
    size_t a = i < s->passages ? i : assay_random_below(&state, s->passages);
    size_t b = i < s->passages ? i : assay_random_below(&state, s->passages);
    size_t head = s->starts[a + 1] - s->starts[a], tail = s->starts[b + 1] - s->starts[b];
    return (splice){s->starts[a], head / 2, s->starts[b] + tail / 2, tail - tail / 2};
}

static assay_status make_book(const source *s, size_t passages, uint32_t bits,
                              assay_token_book **out, assay_error *error)
{
    size_t wanted = (size_t)assay_token_book_sample(passages), d = s->dimensions, taken = 0;
    size_t all = 0, own = s->starts[s->passages];
    wanted = wanted < s->passages ? wanted : s->passages;
    for (size_t i = 0; i < passages; i++) {
        splice p = splice_of(s, i);
        all += p.head_count + p.tail_count;
    }
    float *sample = take(own * d * sizeof *sample);
    for (size_t i = 0; i < wanted; i++) {
        size_t p = i * s->passages / wanted, n = s->starts[p + 1] - s->starts[p];
        memcpy(sample + taken * d, s->vectors + s->starts[p] * d, n * d * sizeof *sample);
        taken += n;
    }
    fprintf(stderr, "centres of %zu vectors, for %zu in all\n", taken, all);
    assay_status status = assay_token_book_make((uint32_t)d, bits, passages,
                                                (double)taken / (double)all, sample, taken, 0,
                                                out, error);
    free(sample);
    return status;
}

static assay_status make_codes(source *s, const assay_token_book *book, assay_error *error)
{
    size_t all = s->starts[s->passages];
    s->code_bytes = assay_token_code_bytes(book->bits, book->dimensions);
    s->centres = take(all * sizeof *s->centres);
    s->factors = take(all * sizeof *s->factors);
    s->codes = take(all * s->code_bytes);
    return assay_token_encode(book, s->vectors, all, 0, s->centres, s->factors, s->codes, error);
}

static assay_status put_documents(assay_store *store, assay_collection *collection, size_t count,
                                  assay_error *error)
{
    for (size_t i = 0; i < count; i++) {
        char id[32];
        const assay_stored_passage passage = {.length = 1, .heading = ""};
        assay_stored_document document = {.id = id, .title = "", .source = "", .text = {"x", 1},
                                          .passages = &passage, .passage_count = 1};
        snprintf(id, sizeof id, "%zu", i);
        if (i % BATCH == 0)
            ASSAY_TRY(assay_store_begin(store, error));
        ASSAY_TRY(assay_document_put(store, collection, &document, error));
        if (i % BATCH == BATCH - 1 || i + 1 == count)
            ASSAY_TRY(assay_store_commit(store, error));
    }
    return ASSAY_OK;
}

static assay_status put_vectors(assay_store *store, const source *s, const uint64_t *keys,
                                size_t count, const assay_late_model *set, assay_error *error)
{
    size_t most = 0;
    for (size_t i = 0; i < s->passages; i++)
        most = s->starts[i + 1] - s->starts[i] > most ? s->starts[i + 1] - s->starts[i] : most;
    uint16_t *halves = take(4 * most * sizeof *halves);
    uint8_t *codes = take(2 * most * s->code_bytes);
    for (size_t i = 0; i < count; i++) {
        splice p = splice_of(s, i);
        size_t n = p.head_count + p.tail_count, h = p.head_count, c = s->code_bytes;
        memcpy(halves, s->centres + p.head, h * sizeof *halves);
        memcpy(halves + h, s->centres + p.tail, p.tail_count * sizeof *halves);
        memcpy(halves + n, s->factors + p.head, h * sizeof *halves);
        memcpy(halves + n + h, s->factors + p.tail, p.tail_count * sizeof *halves);
        memcpy(codes, s->codes + p.head * c, h * c);
        memcpy(codes + h * c, s->codes + p.tail * c, p.tail_count * c);
        const assay_token_rows rows = {.count = n, .tokens = (uint32_t)n, .bits = set->bits,
                                       .book = set->book, .row_bytes = c, .centres = halves,
                                       .steps = halves + n, .rows = codes};
        if (i % BATCH == 0)
            ASSAY_TRY(assay_store_begin(store, error));
        ASSAY_TRY(assay_token_vectors_put(store, keys[i], &rows, error));
        if (i % BATCH == BATCH - 1 || i + 1 == count) {
            ASSAY_TRY(assay_store_commit(store, error));
            say("passages written", i + 1, count);
        }
    }
    free(halves);
    free(codes);
    return ASSAY_OK;
}

static assay_status make(const char *home, const char *from, size_t count, uint32_t bits,
                         assay_error *error)
{
    source s = {0};
    assay_late_model set;
    assay_store *store;
    assay_collection collection;
    assay_token_book *book;
    assay_buffer bytes;
    size_t found;
    ASSAY_TRY(read_source(&s, from, &set, error));
    ASSAY_TRY(make_book(&s, count, bits, &book, error));
    ASSAY_TRY(make_codes(&s, book, error));
    ASSAY_TRY(assay_store_open(home, &(assay_store_options){.create = true}, &store, error));
    ASSAY_TRY(assay_collection_create(store, name, &(assay_collection_config){0}, &collection,
                                      error));
    ASSAY_TRY(put_documents(store, &collection, count, error));
    assay_buffer_init(&bytes, 0);
    assay_token_book_write(book, &bytes);
    set.bits = bits;
    ASSAY_TRY(assay_late_set(store, &collection, &set, bytes.data, bytes.length, error));
    uint64_t *keys = take(count * sizeof *keys);
    ASSAY_TRY(assay_passage_keys(store, &collection, 0, keys, count, &found, error));
    ASSAY_TRY(put_vectors(store, &s, keys, found, &set, error));
    printf("{\"passages\":%zu,\"centres\":%u,\"bits\":%u}\n", found, book->count, bits);
    assay_token_book_free(book);
    assay_store_close(store);
    return ASSAY_OK;
}

/* ---- Asking ---------------------------------------------------------------------------- */

static const struct effort {
    uint32_t nprobe, scored;
} efforts[] = {{4, 800}, {8, 400}, {8, 800}, {8, 1600}, {16, 800}, {16, 1600}, {16, 3200}, {32, 3200}};

typedef struct asking {
    assay_late_retriever retriever;
    assay_collection collection;
    assay_queries queries;
    size_t count, every;
    assay_candidate *truth; /* [count][K] */
    size_t *truth_count;
    double *ms, *cpu_ms;    /* [count] */
} asking;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double share_found(const assay_candidate *truth, size_t all, const assay_candidate *found,
                          size_t count)
{
    size_t same = 0;
    for (size_t i = 0; i < all; i++)
        for (size_t j = 0; j < count; j++)
            same += truth[i].passage == found[j].passage;
    return all > 0 ? (double)same / (double)all : 1;
}

static assay_status ask_one(asking *a, size_t q, const assay_late_search *search,
                            assay_candidate *found, size_t *count, assay_error *error)
{
    bool truncated;
    double begun = assay_seconds(), cpu = cpu_seconds();
    ASSAY_TRY(assay_late_retrieve(&a->retriever, &a->collection, a->queries.texts[q * a->every],
                                  search, found, count, &truncated, error));
    a->ms[q] = (assay_seconds() - begun) * 1e3;
    a->cpu_ms[q] = (cpu_seconds() - cpu) * 1e3;
    return ASSAY_OK;
}

static void print(asking *a, const char *what, const struct effort *e, double recall)
{
    qsort(a->ms, a->count, sizeof *a->ms, compare);
    qsort(a->cpu_ms, a->count, sizeof *a->cpu_ms, compare);
    printf("{\"how\":\"%s\",\"nprobe\":%u,\"scored\":%u,\"recall\":%.4f,\"p50_ms\":%.1f,"
           "\"p95_ms\":%.1f,\"cpu_ms\":%.1f}\n", what, e->nprobe, e->scored, recall,
           a->ms[a->count / 2], a->ms[a->count * 95 / 100], a->cpu_ms[a->count / 2]);
    fflush(stdout);
}

static assay_status ask_all(asking *a, assay_error *error)
{
    size_t count;
    assay_candidate found[K];
    for (size_t q = 0; q < a->count; q++) {
        const assay_late_search all = {.k = K, .exact = true};
        ASSAY_TRY(ask_one(a, q, &all, a->truth + q * K, &a->truth_count[q], error));
        say("queries compared with all", q + 1, a->count);
    }
    print(a, "exact", &(struct effort){0}, 1);
    for (size_t e = 0; e < sizeof efforts / sizeof *efforts; e++) {
        const assay_late_search some = {.k = K, .scored = efforts[e].scored,
                                        .nprobe = efforts[e].nprobe};
        double recall = 0;
        ASSAY_TRY(ask_one(a, 0, &some, found, &count, error)); /* opens the file */
        for (size_t q = 0; q < a->count; q++) {
            ASSAY_TRY(ask_one(a, q, &some, found, &count, error));
            recall += share_found(a->truth + q * K, a->truth_count[q], found, count);
        }
        print(a, "lists", &efforts[e], recall / (double)a->count);
    }
    return ASSAY_OK;
}

static assay_status ask(const char *home, const char *path, size_t count, size_t every,
                        assay_error *error)
{
    asking a = {.every = every};
    assay_store *store;
    ASSAY_TRY(assay_store_open(home, &(assay_store_options){.create = false}, &store, error));
    ASSAY_TRY(assay_collection_open(store, name, &a.collection, error));
    ASSAY_TRY(assay_queries_read(path, &a.queries, error));
    a.count = count < a.queries.count / every ? count : a.queries.count / every;
    a.truth = take(a.count * K * sizeof *a.truth);
    a.truth_count = take(a.count * sizeof *a.truth_count);
    a.ms = take(a.count * sizeof *a.ms);
    a.cpu_ms = take(a.count * sizeof *a.cpu_ms);
    ASSAY_TRY(assay_late_retriever_open(&a.retriever, store, &a.collection, 1, error));
    ASSAY_TRY(ask_all(&a, error));
    assay_late_retriever_close(&a.retriever);
    assay_store_close(store);
    return ASSAY_OK;
}

int main(int argc, char **argv)
{
    assay_error error;
    assay_status status;
    if (argc > 4 && strcmp(argv[1], "make") == 0)
        status = make(argv[2], argv[3], strtoul(argv[4], NULL, 10),
                      argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 4, &error);
    else if (argc > 3 && strcmp(argv[1], "ask") == 0)
        status = ask(argv[2], argv[3], argc > 4 ? strtoul(argv[4], NULL, 10) : 100,
                     argc > 5 ? strtoul(argv[5], NULL, 10) : 1, &error);
    else {
        fprintf(stderr, "usage: bench_late_lists make HOME COLLECTION PASSAGES [BITS]\n"
                        "       bench_late_lists ask HOME QUERIES [COUNT [EVERY]]\n");
        return 2;
    }
    if (status == ASSAY_OK)
        return 0;
    fprintf(stderr, "bench_late_lists: %s: %s\n", error.where, error.message);
    return 1;
}
