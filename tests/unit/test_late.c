/* SPDX-License-Identifier: Apache-2.0 */
/* test_late.c: late interaction against pylate and the ColBERT authors' formulas (see
 * tools/golden/late.py), its independence of the batch, and bad input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden_model.h"
#include "rank/late_interaction.h"
#include "rank/token_pool.h"

#define TOLERANCE 1e-5

/* Opened as, folder, file of answers. */
static const struct golden {
    const char *prefix, *name, *file;
} goldens[] = {
    {"", "late-colbert", "expected.json"},
    {"", "late-pylate", "expected.json"},
    {"", "late-pylate-attend", "expected.json"},
    {"", "late-pylate-plain", "expected.json"},
    {"late:", "dense-mean", "expected_late.json"},
};
enum { GOLDENS = sizeof goldens / sizeof *goldens };

static json_t *expected_of(const struct golden *g)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_MODELS "%s/%s", g->name, g->file);
    json_t *expected = json_load_file(path, 0, NULL);
    assert_non_null(expected);
    return expected;
}

static assay_model *open_golden(const struct golden *g, assay_precision precision)
{
    char path[256];
    snprintf(path, sizeof path, "%s" GOLDEN_MODELS "%s", g->prefix, g->name);
    assay_model *model = NULL;
    assay_error error = {0};
    if (assay_model_open(path, &(assay_model_options){.precision = precision}, &model, &error) !=
        ASSAY_OK)
        fail_msg("%s: %s: %s", path, error.where, error.message);
    return model;
}

/* Vectors as they come, those of each passage in its place. */
typedef struct kept {
    const json_t *expected; /* a list of lists of vectors */
    size_t dimensions;
    const char *what;
} kept;

static void compare(void *user, size_t item, float *vectors, size_t count)
{
    const kept *k = user;
    const json_t *rows = json_array_get(k->expected, item);
    if (count != json_array_size(rows))
        fail_msg("%s %zu: %zu vectors, expected %zu", k->what, item, count,
                 json_array_size(rows));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(json_array_size(json_array_get(rows, i)), k->dimensions);
        for (size_t j = 0; j < k->dimensions; j++) {
            double value = json_number_value(json_array_get(json_array_get(rows, i), j));
            double found = (double)vectors[i * k->dimensions + j];
            if (!(fabs(found - value) < TOLERANCE))
                fail_msg("%s %zu, token %zu, dimension %zu: %g, expected %g", k->what, item, i, j,
                         found, value);
        }
    }
}

static void tokens_of(const assay_model *model, const assay_text *texts, size_t count,
                      assay_tokens *tokens, assay_token_ids *ids)
{
    for (size_t i = 0; i < count; i++) {
        tokens[i] = (assay_tokens){0};
        assert_int_equal(assay_tokenizer_encode(assay_model_tokenizer(model), texts[i],
                                                &tokens[i], NULL), ASSAY_OK);
        ids[i] = (assay_token_ids){tokens[i].ids, tokens[i].count, tokens[i].count};
    }
}

static void expect_vectors(const struct golden *g)
{
    json_t *expected = expected_of(g);
    assay_model *model = open_golden(g, ASSAY_PRECISION_FP32);
    assay_session *session = golden_session(model, 1);
    assay_model_info info;
    assay_model_describe(model, &info);
    assert_int_equal(info.kind, ASSAY_MODEL_LATE);
    assay_text queries[GOLDEN_TEXTS], documents[GOLDEN_TEXTS];
    size_t query_count = golden_texts(json_object_get(expected, "queries"), queries);
    size_t count = golden_texts(json_object_get(expected, "documents"), documents);
    kept k = {json_object_get(expected, "query_vectors"), info.dimensions, g->name};
    for (size_t i = 0; i < query_count; i++) {
        assert_int_equal(assay_late_query(session, queries[i], NULL), ASSAY_OK);
        compare(&k, i, session->question.vectors, session->question.count);
    }
    k.expected = json_object_get(expected, "document_vectors");
    assay_token_ids ids[GOLDEN_TEXTS];
    assay_tokens tokens[GOLDEN_TEXTS];
    tokens_of(model, documents, count, tokens, ids);
    assert_int_equal(assay_late_encode(session, ids, count, compare, &k, NULL), ASSAY_OK);
    for (size_t i = 0; i < count; i++)
        assay_tokens_free(&tokens[i]);
    assay_session_close(session);
    assay_model_close(model);
    json_decref(expected);
}

static void vectors_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t g = 0; g < GOLDENS; g++)
        expect_vectors(&goldens[g]);
}

/* ---- Pooling --------------------------------------------------------------------- */

static double apart(const json_t *row, const float *vector, size_t dimensions)
{
    double most = 0;
    for (size_t j = 0; j < dimensions; j++)
        most = fmax(most, fabs(json_number_value(json_array_get(row, j)) - (double)vector[j]));
    return most;
}

/* The same vectors, in any order but that of the first. */
static void compare_pooled(void *user, size_t item, float *vectors, size_t count)
{
    const kept *k = user;
    const json_t *rows = json_array_get(k->expected, item);
    if (count != json_array_size(rows))
        fail_msg("%s %zu: %zu vectors, expected %zu", k->what, item, count,
                 json_array_size(rows));
    assert_true(apart(json_array_get(rows, 0), vectors, k->dimensions) < TOLERANCE);
    for (size_t i = 1; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        double least = INFINITY;
        for (size_t j = 1; j < count; j++)
            least = fmin(least, apart(row, vectors + j * k->dimensions, k->dimensions));
        if (!(least < TOLERANCE))
            fail_msg("%s %zu, cluster %zu is not there: the nearest is %g off", k->what, item, i,
                     least);
    }
}

static void pooled_vectors_are_those_of_pylate(void **state)
{
    (void)state;
    for (size_t g = 0; goldens[g].prefix[0] == '\0'; g++) {
        const struct golden file = {"", goldens[g].name, "expected_pool.json"};
        json_t *expected = expected_of(&file), *factors, *rows;
        const char *factor;
        assay_model *model = open_golden(&file, ASSAY_PRECISION_FP32);
        assay_session *session = golden_session(model, 2);
        assay_text documents[GOLDEN_TEXTS];
        assay_tokens tokens[GOLDEN_TEXTS];
        assay_token_ids ids[GOLDEN_TEXTS];
        size_t count = golden_texts(json_object_get(expected, "documents"), documents);
        tokens_of(model, documents, count, tokens, ids);
        factors = json_object_get(expected, "document_vectors");
        assert_int_equal(json_object_size(factors), 3);
        json_object_foreach(factors, factor, rows) {
            kept k = {rows, session->model->info.dimensions, file.name};
            session->pool = (uint32_t)atoi(factor);
            assert_int_equal(assay_late_encode(session, ids, count, compare_pooled, &k, NULL),
                             ASSAY_OK);
        }
        for (size_t i = 0; i < count; i++)
            assay_tokens_free(&tokens[i]);
        assay_session_close(session);
        assay_model_close(model);
        json_decref(expected);
    }
}

static void vectors_that_are_the_same_become_one(void **state)
{
    (void)state;
    enum { MANY = 40, D = 4 };
    float vectors[MANY * D] = {0};
    size_t count = MANY;
    for (size_t i = 0; i < MANY; i++)
        vectors[i * D + i % 3] = 1;
    assert_int_equal(assay_token_pool(vectors, &count, D, 2, NULL), ASSAY_OK);
    assert_int_equal(count, 1 + 3); /* the first of all stays by itself */
    for (size_t i = 0; i < count; i++) {
        float square = 0;
        for (size_t j = 0; j < D; j++)
            square += vectors[i * D + j] * vectors[i * D + j];
        assert_true(fabsf(square - 1) < 1e-6f);
    }
    size_t counts[] = {0, 1, 2, 3}, left[] = {0, 1, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(assay_token_pool(vectors, &counts[i], D, 2, NULL), ASSAY_OK);
        assert_int_equal(counts[i], left[i]);
    }
}

static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t g = 0; g < GOLDENS; g++) {
        json_t *expected = expected_of(&goldens[g]);
        assay_model *model = open_golden(&goldens[g], ASSAY_PRECISION_AUTO);
        assay_session *session = golden_session(model, 0);
        assay_text queries[GOLDEN_TEXTS], documents[GOLDEN_TEXTS];
        size_t query_count = golden_texts(json_object_get(expected, "queries"), queries);
        size_t count = golden_texts(json_object_get(expected, "documents"), documents);
        for (size_t q = 0; q < query_count; q++) {
            assay_score scores[GOLDEN_TEXTS];
            assert_int_equal(assay_rerank(session, queries[q], documents, count, scores, NULL),
                             ASSAY_OK);
            const json_t *row = json_array_get(json_object_get(expected, "scores"), q);
            for (size_t i = 0; i < count; i++) {
                double score = json_real_value(json_array_get(row, i));
                if (!(fabs((double)scores[i].logit - score) < 1e-4))
                    fail_msg("%s, query %zu, document %zu: %.8g, expected %.8g",
                             goldens[g].name, q, i, (double)scores[i].logit, score);
                assert_int_equal(scores[i].status, ASSAY_OK);
                assert_true(isnan(scores[i].probability));
                assert_int_equal(scores[i].truncated, i == 5);
                assert_int_equal(scores[i].query_truncated, q == 2);
            }
        }
        assay_session_close(session);
        assay_model_close(model);
        json_decref(expected);
    }
}

static void scores_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    enum { MANY = 1100 };
    static assay_text many[MANY];
    static assay_score found[MANY];
    static char texts[MANY][64];
    assay_model *model = open_golden(&goldens[0], ASSAY_PRECISION_FP32);
    assay_session *one = golden_session(model, 1), *all = golden_session(model, 0);
    assay_text query = golden_text("days of leave");
    for (size_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "the notice period is %zu days%.*s", i % 700,
                 (int)(i % 13), ", or more; x");
        many[i] = golden_text(texts[i]);
    }
    assert_int_equal(assay_rerank(all, query, many, MANY, found, NULL), ASSAY_OK);
    for (size_t i = 0; i < MANY; i += 7) {
        assay_score alone;
        assert_int_equal(assay_rerank(one, query, &many[i], 1, &alone, NULL), ASSAY_OK);
        assert_memory_equal(&alone.logit, &found[i].logit, sizeof alone.logit);
        assert_int_equal(alone.tokens, found[i].tokens);
    }
    assay_session_close(one);
    assay_session_close(all);
    assay_model_close(model);
}

/* Of vectors kept as bytes: near the exact one. */
typedef struct bytes_check {
    const assay_session *session;
    size_t seen;
} bytes_check;

static void score_bytes(void *user, size_t item, float *vectors, size_t count)
{
    (void)item;
    bytes_check *check = user;
    size_t d = check->session->model->info.dimensions, n = check->session->question.count;
    int8_t *rows = malloc(count * d);
    float *steps = malloc(count * sizeof *steps), best[ASSAY_LATE_QUERY_MAX];
    for (size_t i = 0; i < count; i++)
        steps[i] = assay_late_quantize(vectors + i * d, d, rows + i * d);
    float exact = assay_late_maxsim(check->session, vectors, count, NULL);
    float near = assay_late_maxsim_i8(check->session, (assay_late_bytes){steps, rows, count}, best);
    assert_true(fabsf(exact - near) < 0.01f * (float)n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)best[i];
    assert_true(fabs(sum - (double)near) < 1e-4);
    check->seen++;
    free(rows);
    free(steps);
}

static void bytes_score_nearly_the_same(void **state)
{
    (void)state;
    assay_model *model = open_golden(&goldens[0], ASSAY_PRECISION_FP32);
    assay_session *session = golden_session(model, 1);
    assert_int_equal(assay_late_query(session, golden_text("carry over leave?"), NULL), ASSAY_OK);
    const int32_t ids[] = {60, 61, 62, 63, 64, 65};
    const assay_token_ids passages[] = {{ids, 6, 6}, {ids, 3, 3}, {ids, 0, 0}};
    bytes_check check = {session, 0};
    assert_int_equal(assay_late_encode(session, passages, 3, score_bytes, &check, NULL), ASSAY_OK);
    assert_int_equal(check.seen, 3);
    assay_session_close(session);
    assay_model_close(model);
}

/* Below 1.0 of what is exact, and the same with every thread count; the head stays
 * fp32. */
static void less_precision_is_near(void **state)
{
    (void)state;
    assay_text documents[GOLDEN_TEXTS];
    json_t *expected = expected_of(&goldens[0]);
    size_t count = golden_texts(json_object_get(expected, "documents"), documents);
    assay_text query = golden_text("How many days of leave may an employee carry over?");
    assay_model *exact = open_golden(&goldens[0], ASSAY_PRECISION_FP32);
    assay_model *less = open_golden(&goldens[0], ASSAY_PRECISION_INT8);
    assay_session *a = golden_session(exact, 0), *b = golden_session(less, 0);
    assay_score wanted[GOLDEN_TEXTS], found[GOLDEN_TEXTS];
    assert_int_equal(assay_rerank(a, query, documents, count, wanted, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(b, query, documents, count, found, NULL), ASSAY_OK);
    for (size_t i = 0; i < count; i++)
        assert_true(fabsf(wanted[i].logit - found[i].logit) < 1.0f);
    assay_session_close(a);
    assay_session_close(b);
    assay_model_close(exact);
    assay_model_close(less);
    json_decref(expected);
}

static void more_of_a_passage_is_read_on_request(void **state)
{
    (void)state;
    assay_model *model = open_golden(&goldens[0], ASSAY_PRECISION_FP32);
    assay_text query = golden_text("days"), passage = golden_text(
        "rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain "
        "rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain "
        "rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain rain "
        "rain rain rain rain rain rain rain rain rain rain rain rain rain rain days");
    const uint32_t limits[] = {0, 80, 10, 5}, tokens[] = {64, 72, 10, 5};
    for (size_t i = 0; i < 4; i++) {
        assay_session *session = NULL;
        assay_score score;
        assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = limits[i]},
                                            &session, NULL), ASSAY_OK);
        assert_int_equal(assay_rerank(session, query, &passage, 1, &score, NULL), ASSAY_OK);
        assert_int_equal(score.tokens, tokens[i]);
        assert_int_equal(score.truncated, i != 1);
        assay_session_close(session);
    }
    assay_model_close(model);
}

static void bad_calls_say_what_is_wrong(void **state)
{
    (void)state;
    assay_error error = {0};
    assay_model *model = open_golden(&goldens[0], ASSAY_PRECISION_FP32), *other;
    assay_session *session = golden_session(model, 1);
    assay_text text = golden_text("x");
    assay_score score;
    float vector[64];
    assert_int_equal(assay_rerank(session, golden_text(" "), &text, 1, &score, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "query");
    assert_int_equal(assay_embed(session, &text, 1, vector, NULL, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "bi-encoder"));
    assay_session_close(session);
    assay_model_close(model);
    assert_int_equal(assay_model_open("late:" GOLDEN_MODELS "cross-f32", NULL, &other, &error),
                     ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "late interaction"));
    assert_int_equal(assay_model_open("late:nowhere", NULL, &other, &error), ASSAY_E_NOT_FOUND);
}

/* ---- Broken folders -------------------------------------------------------------- */

static void run_command(const char *format, const char *a, const char *b)
{
    char command[600];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

/* A copy of a model with one thing changed by sed; what opening it says. */
static void expect_refusal(const char *name, const char *file, const char *edit,
                           assay_status status, const char *said)
{
    char folder[] = "/tmp/assay-late-XXXXXX", path[64], edits[300];
    assay_error error = {0};
    assay_model *model = NULL;
    assert_non_null(mkdtemp(folder));
    run_command("cp -R " GOLDEN_MODELS "%s %s/m", name, folder);
    snprintf(edits, sizeof edits, "'%s' %s/m/%s", edit, folder, file);
    run_command("sed -i %s%s", edits, "");
    snprintf(path, sizeof path, "%s/m", folder);
    assay_status found = assay_model_open(path, NULL, &model, &error);
    if (found != status || (!strstr(error.message, said) && !strstr(error.where, said)))
        fail_msg("%s: %s: \"%s: %s\"", edit, assay_status_name(found), error.where, error.message);
    run_command("rm -r %s%s", folder, "");
}

static void broken_folders_are_refused(void **state)
{
    (void)state;
    const char *sentence = "config_sentence_transformers.json", *dense = "1_Dense/config.json";
    const char *metadata = "artifact.metadata";
    expect_refusal("late-colbert", metadata, "s/\"cosine\"/\"l2\"/", ASSAY_E_UNSUPPORTED, "cosine");
    expect_refusal("late-colbert", metadata, "s/\"dim\": 20/\"dim\": 21/", ASSAY_E_FORMAT, "21");
    expect_refusal("late-colbert", metadata, "s/unused0/unused7/", ASSAY_E_FORMAT, "unused7");
    expect_refusal("late-colbert", metadata, "s/\"query_maxlen\": 24/\"query_maxlen\": 2/",
                   ASSAY_E_FORMAT, "query_maxlen");
    expect_refusal("late-pylate", sentence, "s/\"query_length\": 20/\"query_length\": -1/",
                   ASSAY_E_FORMAT, "query_length");
    expect_refusal("late-pylate", sentence, "s/\"do_query_expansion\": true/\"do_query_expansion\": 1/",
                   ASSAY_E_FORMAT, "do_query_expansion");
    expect_refusal("late-pylate", dense, "s/\"in_features\": 32/\"in_features\": 33/", ASSAY_E_FORMAT,
                   "33");
    expect_refusal("late-pylate", dense, "s/linear.Identity/activation.Tanh/", ASSAY_E_UNSUPPORTED,
                   "Tanh");
    expect_refusal("late-pylate", dense, "s/\"use_residual\": false/\"use_residual\": true/",
                   ASSAY_E_UNSUPPORTED, "use_residual");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_those_of_the_reference),
        cmocka_unit_test(pooled_vectors_are_those_of_pylate),
        cmocka_unit_test(vectors_that_are_the_same_become_one),
        cmocka_unit_test(scores_are_those_of_the_reference),
        cmocka_unit_test(scores_do_not_depend_on_the_batch),
        cmocka_unit_test(bytes_score_nearly_the_same),
        cmocka_unit_test(less_precision_is_near),
        cmocka_unit_test(more_of_a_passage_is_read_on_request),
        cmocka_unit_test(bad_calls_say_what_is_wrong),
        cmocka_unit_test(broken_folders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
