/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_late.c: what late interaction costs once passages' vectors are kept.
 *
 *   bench_late [MODEL [COLLECTION]]
 *
 * MODEL (default: late) encodes a question of ten words; 100 passages of 180 random
 * vectors each are scored, as floats and halves, as bytes and in codes of 4, 2 and 1 bits with
 * 4096 centres, on one core; what a question costs by itself before codes is ask_ms. With
 * COLLECTION, of the data directory and indexed with --late, 100 of its passages are read
 * from the database and scored, too. Prints one JSON line: milliseconds of processor time,
 * the median of ROUNDS, and the bytes that were read in a second; read_i8_ms is what it takes
 * to read the bytes without doing anything with them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/half.h"
#include "pipeline/late_kept.h"

enum { PASSAGES = 100, TOKENS = 180, ROUNDS = 101, CENTRES = 4096 };

typedef struct bench {
    assay_session *session;
    size_t dimensions;
    float *vectors, *steps;
    int8_t *rows;
    uint16_t *narrow; /* the vectors in binary16 */
    assay_token_book book;
    assay_token_query query;
    uint16_t *halves; /* centres, then factors, of all */
    uint8_t *codes;
    assay_store *store;
    assay_late late;
    assay_late_kept kept;
    uint64_t keys[PASSAGES];
    size_t key_count, found, tokens;
    double sum; /* so that nothing is left out */
} bench;

static const char question[] = "how many days of holiday may be carried over then";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(void (*run)(bench *), bench *b)
{
    double times[ROUNDS];
    run(b);
    for (size_t i = 0; i < ROUNDS; i++) {
        double begun = now();
        run(b);
        times[i] = now() - begun;
    }
    qsort(times, ROUNDS, sizeof *times, compare);
    return times[ROUNDS / 2];
}

static void encode(bench *b)
{
    if (assay_late_query(b->session, (assay_text){question, sizeof question - 1}, NULL) != ASSAY_OK)
        abort();
}

static void score_floats(bench *b)
{
    for (size_t i = 0; i < PASSAGES; i++)
        b->sum += (double)assay_late_maxsim(
            b->session, b->vectors + i * TOKENS * b->dimensions, TOKENS, NULL);
}

static void score_halves(bench *b)
{
    for (size_t i = 0; i < PASSAGES; i++)
        b->sum += (double)assay_late_maxsim_f16(
            b->session, b->narrow + i * TOKENS * b->dimensions, TOKENS, NULL);
}

static void score_bytes(bench *b)
{
    for (size_t i = 0; i < PASSAGES; i++) {
        const assay_late_bytes bytes = {b->steps + i * TOKENS,
                                        b->rows + i * TOKENS * b->dimensions, TOKENS};
        b->sum += (double)assay_late_maxsim_i8(b->session, bytes, NULL);
    }
}

/* The bytes that are read at least, and nothing done with them but a sum. */
static void read_bytes(bench *b)
{
    const uint64_t *words = (const uint64_t *)b->rows;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 8 <= (size_t)PASSAGES * TOKENS * b->dimensions / sizeof *words; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += words[i + j];
    for (size_t j = 0; j < 8; j++)
        b->sum += (double)(sums[j] & 1);
}

static void ask(bench *b)
{
    if (assay_token_ask(&b->query, &b->book, &b->session->question, NULL) != ASSAY_OK)
        abort();
}

static void score_codes(bench *b)
{
    size_t bytes = assay_token_code_bytes(b->book.bits, b->book.dimensions);
    const uint16_t *factors = b->halves + PASSAGES * TOKENS;
    for (size_t i = 0; i < PASSAGES * TOKENS; i += TOKENS) {
        const assay_token_codes codes = {TOKENS, b->halves + i, factors + i,
                                         b->codes + i * bytes};
        b->sum += (double)assay_token_maxsim(&b->query, &codes);
    }
}

static void score_kept(bench *b)
{
    b->found = b->tokens = 0;
    for (size_t i = 0; i < b->key_count; i++) {
        assay_score score = {0};
        bool found, damaged;
        if (assay_late_kept_score(&b->kept, b->keys[i], &score, &found, &damaged, NULL) !=
            ASSAY_OK)
            abort();
        b->found += found;
        b->tokens += found ? score.tokens : 0;
    }
}

/* Codes of the random vectors, the first of which are the centres. */
static bool encode_codes(bench *b, uint32_t bits)
{
    size_t rows = (size_t)PASSAGES * TOKENS;
    b->book.bits = bits;
    return assay_token_encode(&b->book, b->vectors, rows, 0, b->halves, b->halves + rows,
                              b->codes, NULL) == ASSAY_OK;
}

static bool fill(bench *b)
{
    size_t rows = (size_t)PASSAGES * TOKENS, d = b->dimensions;
    b->vectors = aligned_alloc(64, rows * d * sizeof(float) / 64 * 64 + 64);
    b->rows = aligned_alloc(64, rows * d / 64 * 64 + 64);
    b->steps = malloc(rows * sizeof(float));
    b->narrow = aligned_alloc(64, rows * d * sizeof *b->narrow / 64 * 64 + 64);
    b->halves = malloc(2 * rows * sizeof *b->halves);
    b->codes = malloc(rows * assay_token_code_bytes(4, (uint32_t)d));
    if (!b->vectors || !b->rows || !b->narrow || !b->steps || !b->halves || !b->codes)
        return false;
    uint32_t state = 1;
    for (size_t i = 0; i < rows * d; i++) {
        state = state * 1664525u + 1013904223u;
        b->vectors[i] = (float)(int32_t)state * 0x1p-31f;
    }
    for (size_t i = 0; i < rows; i++) {
        assay_unit_length(b->vectors + i * d, d);
        b->steps[i] = assay_late_quantize(b->vectors + i * d, d, b->rows + i * d);
    }
    for (size_t i = 0; i < rows * d; i++)
        b->narrow[i] = assay_half_of(b->vectors[i]);
    b->book = (assay_token_book){.dimensions = (uint32_t)d, .count = CENTRES,
                                 .centres = b->vectors};
    return true;
}

/* Every n-th passage, so that they lie apart. */
static assay_status choose(bench *b, const char *model, const char *name, assay_error *error)
{
    static const assay_digest nobody;
    assay_collection collection;
    assay_collection_info info;
    ASSAY_TRY(assay_store_open(NULL, &(assay_store_options){.read_only = true}, &b->store, error));
    ASSAY_TRY(assay_collection_open(b->store, name, &collection, error));
    ASSAY_TRY(assay_collection_describe(b->store, name, &info, error));
    uint64_t *all = calloc(info.passages + 1, sizeof *all);
    size_t count;
    if (all == NULL)
        return assay_fail_memory(error, info.passages * sizeof *all);
    assay_status status = assay_tokens_missing(b->store, &collection, &nobody, 0, all,
                                               info.passages, &count, error);
    b->key_count = count < PASSAGES ? count : PASSAGES;
    for (size_t i = 0; status == ASSAY_OK && i < b->key_count; i++)
        b->keys[i] = all[i * (count / b->key_count)];
    free(all);
    if (status == ASSAY_OK)
        status = assay_late_begin(&b->late, b->store, &(assay_late_options){.model = model,
                                  .threads = 1}, error);
    const assay_text text = {question, sizeof question - 1};
    if (status == ASSAY_OK)
        status = assay_late_query(b->late.session, text, error);
    return status == ASSAY_OK ? assay_late_kept_begin(&b->kept, &b->late, &collection, error)
                              : status;
}

int main(int argc, char **argv)
{
    bench b = {0};
    assay_error error;
    assay_model *model;
    assay_model_info info;
    if (assay_model_open(argc > 1 ? argv[1] : "late", NULL, &model, &error) != ASSAY_OK ||
        assay_session_open(model, &(assay_session_options){.threads = 1}, &b.session, &error) !=
            ASSAY_OK ||
        (argc > 2 && choose(&b, argv[1], argv[2], &error) != ASSAY_OK)) {
        fprintf(stderr, "bench_late: %s: %s\n", error.where, error.message);
        return 1;
    }
    assay_model_describe(model, &info);
    b.dimensions = info.dimensions;
    if (info.kind != ASSAY_MODEL_LATE || !fill(&b))
        return 1;
    double query = median(encode, &b), floats = median(score_floats, &b);
    double halves = median(score_halves, &b);
    double bytes = median(score_bytes, &b), reading = median(read_bytes, &b);
    double values = (double)PASSAGES * TOKENS * (double)b.dimensions;
    printf("{\"model\":\"%s\",\"cpu\":\"%s\",\"dimensions\":%zu,\"query_vectors\":%zu,"
           "\"passages\":%d,\"tokens\":%d,\"query_ms\":%.3f,\"maxsim_f32_ms\":%.3f,"
           "\"maxsim_f16_ms\":%.3f,"
           "\"maxsim_i8_ms\":%.3f,\"f32_gb_s\":%.1f,\"i8_gb_s\":%.1f,\"read_i8_ms\":%.3f,"
           "\"read_gb_s\":%.1f",
           info.name, assay_cpu(), b.dimensions, b.session->question.count, PASSAGES, TOKENS,
           query, floats, halves, bytes, values * 4e-6 / floats, values * 1e-6 / bytes, reading,
           values * 1e-6 / reading);
    for (uint32_t bits = 4; bits > 0; bits /= 2) {
        if (!encode_codes(&b, bits))
            return 1;
        double asking = median(ask, &b);
        printf(",\"ask_b%u_ms\":%.3f,\"maxsim_b%u_ms\":%.3f", bits, asking, bits,
               median(score_codes, &b));
    }
    if (b.store != NULL) {
        double kept = median(score_kept, &b);
        printf(",\"kept_passages\":%zu,\"kept_tokens\":%zu,\"kept_ms\":%.3f", b.found, b.tokens,
               kept);
    }
    printf("}\n");
    assay_late_kept_free(&b.kept);
    assay_late_end(&b.late);
    assay_token_query_free(&b.query);
    assay_store_close(b.store);
    assay_session_close(b.session);
    assay_model_close(model);
    free(b.vectors);
    free(b.rows);
    free(b.narrow);
    free(b.steps);
    free(b.halves);
    free(b.codes);
    return isfinite(b.sum) ? 0 : 1;
}
