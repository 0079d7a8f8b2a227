/* SPDX-License-Identifier: Apache-2.0 */
/* test_rerank.c: cross-encoder scores against transformers' (see
 * tools/golden/models.py), their independence of the batch, and bad input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden_model.h"
#include "rank/cross_encoder.h"

#define TOLERANCE 1e-5

static const char *const names[] = {"cross-f32", "cross-f16", "cross-int8", "cross-old-names",
                                    "cross-roberta", "cross-xlmr", "cross-xlmr-f16",
                                    "cross-split"};
enum { NAMES = sizeof names / sizeof *names };

static void scores_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t m = 0; m < NAMES; m++) {
        json_t *expected = golden_expected(names[m]);
        assay_text passages[GOLDEN_TEXTS];
        size_t count = golden_texts(json_object_get(expected, "passages"), passages);
        assay_text query = golden_text(json_string_value(json_object_get(expected, "query")));
        assay_model *model = golden_open(names[m]);
        assay_session *session = golden_session(model, 0);
        assay_model_info info;
        assay_model_describe(model, &info);
        assay_score scores[GOLDEN_TEXTS];
        assert_int_equal(assay_rerank(session, query, passages, count, scores, NULL), ASSAY_OK);
        for (size_t i = 0; i < count; i++) {
            double logit =
                json_real_value(json_array_get(json_object_get(expected, "logits"), i));
            json_int_t tokens =
                json_integer_value(json_array_get(json_object_get(expected, "tokens"), i));
            if (!(fabs(scores[i].logit - logit) < TOLERANCE))
                fail_msg("%s, passage %zu: %.8g, expected %.8g", names[m], i, scores[i].logit,
                         logit);
            assert_int_equal(scores[i].status, ASSAY_OK);
            assert_int_equal(scores[i].tokens, tokens);
            assert_int_equal(scores[i].truncated, i == 5);
            assert_true(fabs(scores[i].probability - 1 / (1 + exp(-logit))) < TOLERANCE);
        }
        assay_session_close(session);
        assay_model_close(model);
        json_decref(expected);
    }
}

static int same(const assay_score *a, const assay_score *b)
{
    return memcmp(&a->logit, &b->logit, sizeof a->logit) == 0 &&
           memcmp(&a->probability, &b->probability, sizeof a->probability) == 0 &&
           a->tokens == b->tokens && a->truncated == b->truncated && a->status == b->status;
}

/* A pair alone, in a large batch, in reverse, on one thread or all: one result,
 * to the bit. */
static void expect_independence(assay_precision precision)
{
    enum { MANY = 1500 };
    static assay_text many[MANY];
    static assay_score found[MANY];
    for (size_t m = 0; m < NAMES; m++) {
        json_t *expected = golden_expected(names[m]);
        assay_text passages[GOLDEN_TEXTS];
        size_t count = golden_texts(json_object_get(expected, "passages"), passages);
        assay_text query = golden_text(json_string_value(json_object_get(expected, "query")));
        assay_model *model = golden_open_at(names[m], precision);
        assay_session *one = golden_session(model, 1), *all = golden_session(model, 0);
        assay_score alone[GOLDEN_TEXTS];
        for (size_t i = 0; i < count; i++)
            assert_int_equal(assay_rerank(one, query, &passages[i], 1, &alone[i], NULL),
                             ASSAY_OK);
        for (size_t size = count; size <= MANY; size = size * 3 + 7) {
            for (int way = 0; way < 4; way++) {
                for (size_t i = 0; i < size; i++)
                    many[i] = passages[(way & 1 ? size - 1 - i : i * 5) % count];
                assert_int_equal(
                    assay_rerank(way & 2 ? one : all, query, many, size, found, NULL), ASSAY_OK);
                for (size_t i = 0; i < size; i++)
                    assert_true(
                        same(&found[i], &alone[(way & 1 ? size - 1 - i : i * 5) % count]));
            }
        }
        assay_session_close(one);
        assay_session_close(all);
        assay_model_close(model);
        json_decref(expected);
    }
}

static void scores_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    expect_independence(ASSAY_PRECISION_FP32);
    expect_independence(ASSAY_PRECISION_INT8);
    if (golden_has_bf16())
        expect_independence(ASSAY_PRECISION_BF16);
}

/* Random weights amplify every rounding, those of the weights most: within a share
 * of what the logits range over, or of the largest where all are alike. How near
 * trained models are is measured, not tested. */
static void expect_near(assay_precision precision, const char *name, double share)
{
    for (size_t m = 0; m < NAMES; m++) {
        json_t *expected = golden_expected(names[m]);
        assay_text passages[GOLDEN_TEXTS];
        size_t count = golden_texts(json_object_get(expected, "passages"), passages);
        assay_text query = golden_text(json_string_value(json_object_get(expected, "query")));
        assay_model *model = golden_open_at(names[m], precision);
        assay_session *session = golden_session(model, 0);
        assay_model_info info;
        assay_model_describe(model, &info);
        assert_string_equal(info.precision, name);
        assay_score scores[GOLDEN_TEXTS];
        assert_int_equal(assay_rerank(session, query, passages, count, scores, NULL), ASSAY_OK);
        double least = INFINITY, most = -INFINITY, off = 0;
        for (size_t i = 0; i < count; i++) {
            double logit =
                json_real_value(json_array_get(json_object_get(expected, "logits"), i));
            least = fmin(least, logit);
            most = fmax(most, logit);
            off = fmax(off, fabs((double)scores[i].logit - logit));
        }
        double size = fmax(most - least, fmax(fabs(least), fabs(most)));
        if (!(off <= share * size))
            fail_msg("%s: off by %.3g, the logits' size is %.3g", names[m], off, size);
        assay_session_close(session);
        assay_model_close(model);
        json_decref(expected);
    }
}

static void scores_of_less_precision_are_near(void **state)
{
    (void)state;
    expect_near(ASSAY_PRECISION_INT8, "int8", 0.08);
    if (golden_has_bf16())
        expect_near(ASSAY_PRECISION_BF16, "bf16", 0.05);
}

/* How many pairs went through the model in the call before: they were one batch. */
static size_t pairs_run(const assay_session *session)
{
    return session->batch.count;
}

static void equal_passages_are_scored_once(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static assay_text many[MANY];
    static assay_score found[MANY];
    assay_model *model = golden_open("cross-f32");
    assay_session *session = golden_session(model, 1);
    assay_text query = golden_text("how many days of leave");
    /* Equal bytes at other places; a beginning of another; nothing. */
    static const char text[] = "days of leave, days of leave, days of";
    const assay_text texts[] = {{text, 13}, {text + 15, 13}, {text, 12}, {NULL, 0}, {text, 0}};
    assay_score alone[5];
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(assay_rerank(session, query, &texts[i], 1, &alone[i], NULL), ASSAY_OK);
    for (size_t i = 0; i < MANY; i++)
        many[i] = texts[i * 7 % 5];
    assert_int_equal(assay_rerank(session, query, many, MANY, found, NULL), ASSAY_OK);
    assert_int_equal(pairs_run(session), 3);
    for (size_t i = 0; i < MANY; i++)
        assert_true(same(&found[i], &alone[i * 7 % 5]));
    assay_session_close(session);
    assay_model_close(model);
}

/* Passages that were tokenised before give the bits of the texts, cut or not. */
static void tokens_score_as_texts(void **state)
{
    (void)state;
    json_t *expected = golden_expected("cross-f32");
    assay_text passages[GOLDEN_TEXTS];
    size_t count = golden_texts(json_object_get(expected, "passages"), passages);
    assay_text query = golden_text(json_string_value(json_object_get(expected, "query")));
    assay_model *model = golden_open("cross-f32");
    for (uint32_t limit = 20; limit <= 120; limit += 20) {
        assay_session *session;
        assay_tokens tokens[GOLDEN_TEXTS] = {{0}};
        assay_token_ids ids[GOLDEN_TEXTS];
        assay_score texts[GOLDEN_TEXTS], found[GOLDEN_TEXTS];
        assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = limit},
                                            &session, NULL), ASSAY_OK);
        assert_int_equal(assay_rerank(session, query, passages, count, texts, NULL), ASSAY_OK);
        assert_int_equal(assay_cross_query(session, query, NULL), ASSAY_OK);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(assay_tokenizer_encode(assay_model_tokenizer(model), passages[i],
                                                    &tokens[i], NULL), ASSAY_OK);
            ids[i] = (assay_token_ids){tokens[i].ids, tokens[i].count, tokens[i].count};
            assay_cross_cut(session, &ids[i]);
        }
        assert_int_equal(assay_cross_score(session, ids, count, found, NULL), ASSAY_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(same(&found[i], &texts[i]));
            assay_score known = assay_cross_known(session, &ids[i], texts[i].logit);
            assert_true(same(&known, &texts[i]));
            assay_tokens_free(&tokens[i]);
        }
        assay_session_close(session);
    }
    /* Equal as far as they are read; only one has more. */
    assay_session *session = golden_session(model, 1);
    assay_score found[2];
    assert_int_equal(assay_cross_query(session, query, NULL), ASSAY_OK);
    const int32_t id = 7;
    const assay_token_ids cut[] = {{&id, 1, 1}, {&id, 1, 9}};
    assert_int_equal(assay_cross_score(session, cut, 2, found, NULL), ASSAY_OK);
    assert_int_equal(pairs_run(session), 1);
    assert_true(found[0].logit == found[1].logit);
    assert_true(!found[0].truncated && found[1].truncated);
    assay_session_close(session);
    assay_model_close(model);
    json_decref(expected);
}

/* A limit that does not bind changes nothing; one that does cuts the passage. */
/* Pairs of several queries in one call have the scores that each query's passages
 * have alone, and a query that cannot be taken fails by itself. */
static void pairs_score_as_their_queries_do(void **state)
{
    (void)state;
    static const char *const queries[] = {"how tall is it", "", "who opens it"};
    static const char *const texts[] = {"It is blue.", "", "It is 8 m tall.", "It is blue."};
    enum { QUERIES = 3, TEXTS = 4, ROUNDS = 150, PAIRS = QUERIES * TEXTS * ROUNDS };
    static assay_pair pairs[PAIRS];
    static assay_score scores[PAIRS];
    assay_model *model = golden_open("cross-f32");
    assay_session *session = golden_session(model, 0);
    assay_text passages[TEXTS];
    for (size_t i = 0; i < TEXTS; i++)
        passages[i] = golden_text(texts[i]);
    for (size_t i = 0; i < PAIRS; i++)
        pairs[i] = (assay_pair){golden_text(queries[i / TEXTS % QUERIES]), passages[i % TEXTS]};
    assert_int_equal(assay_score_pairs(session, pairs, PAIRS, scores, NULL), ASSAY_OK);
    for (size_t q = 0; q < QUERIES; q++) {
        assay_score alone[TEXTS];
        assay_status status =
            assay_rerank(session, golden_text(queries[q]), passages, TEXTS, alone, NULL);
        assert_int_equal(status, queries[q][0] ? ASSAY_OK : ASSAY_E_ARGUMENT);
        for (size_t i = 0; i < PAIRS; i++) {
            if (i / TEXTS % QUERIES != q)
                continue;
            if (status == ASSAY_OK)
                assert_true(same(&scores[i], &alone[i % TEXTS]));
            else
                assert_int_equal(scores[i].status, ASSAY_E_ARGUMENT);
        }
    }
    assert_int_equal(assay_score_pairs(session, NULL, 0, NULL, NULL), ASSAY_OK);
    assert_int_equal(assay_score_pairs(session, NULL, 1, scores, NULL), ASSAY_E_ARGUMENT);
    assay_session_close(session);
    assay_model_close(model);
}

static void limits_cut_the_passage_only(void **state)
{
    (void)state;
    assay_model *model = golden_open("cross-f32");
    assay_session *whole = golden_session(model, 1), *limited, *tight;
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 37},
                                        &limited, NULL), ASSAY_OK);
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 20},
                                        &tight, NULL), ASSAY_OK);
    assay_text query = golden_text("How many days of leave may an employee carry over?");
    assay_text passage =
        golden_text("An employee may carry over ten days of leave into the next year.");
    assay_score a, b, c;
    assert_int_equal(assay_rerank(whole, query, &passage, 1, &a, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(limited, query, &passage, 1, &b, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(tight, query, &passage, 1, &c, NULL), ASSAY_OK);
    assert_int_equal(a.tokens, 37);
    assert_true(same(&a, &b));
    assert_false(b.truncated);
    assert_int_equal(c.tokens, 20);
    assert_true(c.truncated);
    /* 12 tokens of query, 3 special ones: 15 leave no room, 16 leave one. */
    assay_session *least;
    assay_error error;
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 15},
                                        &least, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(least, query, &passage, 1, &a, &error), ASSAY_E_LIMIT);
    assert_string_equal(error.where, "query");
    assert_non_null(strstr(error.message, "12 tokens"));
    assert_non_null(strstr(error.message, "takes 15"));
    assay_session_close(least);
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 16},
                                        &least, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(least, query, &passage, 1, &a, &error), ASSAY_OK);
    assert_int_equal(a.tokens, 16);
    assay_session_close(least);
    assay_session_close(whole);
    assay_session_close(limited);
    assay_session_close(tight);
    assay_model_close(model);
}

/* <s> query </s></s> passage </s>: four special tokens. */
static void roberta_lays_out_pairs_with_four(void **state)
{
    (void)state;
    assay_model *model = golden_open("cross-roberta");
    assay_session *session;
    assay_text query = golden_text("days"), passage = golden_text("leave leave leave");
    assay_score score;
    assay_error error;
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 5},
                                        &session, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "at least 6"));
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 6},
                                        &session, &error), ASSAY_OK);
    assert_int_equal(assay_rerank(session, query, &passage, 1, &score, &error), ASSAY_OK);
    assert_int_equal(score.tokens, 6);
    assert_true(score.truncated);
    assert_int_equal(assay_rerank(session, golden_text("days of"), &passage, 1, &score, &error),
                     ASSAY_E_LIMIT);
    assert_non_null(strstr(error.message, "takes 6 with 4"));
    assert_non_null(strstr(error.message, "may have 1"));
    assay_session_close(session);
    assay_model_close(model);
}

/* Scratch follows what comes, not what a model could take: long passages after
 * short ones, and back. */
static void lengths_may_come_in_any_order(void **state)
{
    (void)state;
    json_t *expected = golden_expected("cross-long");
    assay_text passages[GOLDEN_TEXTS];
    size_t count = golden_texts(json_object_get(expected, "passages"), passages);
    assay_text query = golden_text(json_string_value(json_object_get(expected, "query")));
    assay_model *model = golden_open("cross-long");
    assay_session *session = golden_session(model, 1);
    assay_score one[GOLDEN_TEXTS], all[GOLDEN_TEXTS];
    assert_int_equal(assay_rerank(session, query, &passages[0], 1, &one[0], NULL), ASSAY_OK);
    size_t floats = session->scratch_floats;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(assay_rerank(session, query, &passages[i], 1, &one[i], NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(session, query, passages, count, all, NULL), ASSAY_OK);
    assert_true(session->scratch_floats > floats);
    for (size_t i = 0; i < count; i++) {
        assert_true(same(&one[i], &all[i]));
        assert_true(fabs(one[i].logit - json_real_value(json_array_get(
                                            json_object_get(expected, "logits"), i))) < TOLERANCE);
        assert_int_equal(one[i].tokens, json_integer_value(json_array_get(
                                            json_object_get(expected, "tokens"), i)));
    }
    assay_session_close(session);
    assay_model_close(model);
    json_decref(expected);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    assay_model *model = golden_open("cross-f32"), *dense = golden_open("dense-cls");
    assay_session *session = golden_session(model, 1), *other = golden_session(dense, 1), *none;
    assay_text query = golden_text("leave"), passage = golden_text("days");
    assay_score score;
    assay_error error;
    assert_int_equal(assay_rerank(session, (assay_text){NULL, 0}, &passage, 1, &score, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "query");
    assert_int_equal(assay_rerank(session, golden_text(" \n "), &passage, 1, &score, &error),
                     ASSAY_E_ARGUMENT);
    assert_int_equal(assay_rerank(other, query, &passage, 1, &score, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "cross-encoder"));
    assert_int_equal(assay_rerank(NULL, query, &passage, 1, &score, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_rerank(session, query, NULL, 1, &score, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_rerank(session, query, NULL, 0, NULL, &error), ASSAY_OK);
    assert_int_equal(assay_session_open(model, &(assay_session_options){.max_tokens = 4}, &none,
                                        &error), ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "max_tokens");
    assert_int_equal(assay_session_open(NULL, NULL, &none, &error), ASSAY_E_ARGUMENT);
    /* Text that is not UTF-8 is scored, as whatever it can be read as. */
    assert_int_equal(assay_rerank(session, query, &(assay_text){"\xff\xc3\0days\xf0", 8}, 1,
                                  &score, &error), ASSAY_OK);
    assert_int_equal(score.status, ASSAY_OK);
    assert_true(isfinite(score.logit));
    assay_session_close(session);
    assay_session_close(other);
    assay_session_close(NULL);
    assay_model_close(model);
    assay_model_close(dense);
    assay_model_close(NULL);
}

/* Of two passages of n tokens, each once: what the formulas of a transformer say, and
 * seconds where they were asked for. */
static void profiles_tell_of_what_was_done(void **state)
{
    (void)state;
    assay_model *model = golden_open_at("cross-f32", ASSAY_PRECISION_INT8);
    assay_session *session, *plain = golden_session(model, 1);
    assay_model_info info;
    assay_model_describe(model, &info);
    assert_int_equal(assay_session_open(model,
                                        &(assay_session_options){.threads = 1, .profile = true},
                                        &session, NULL), ASSAY_OK);
    assay_text passages[] = {golden_text("days"), golden_text("sick days"), golden_text("days")};
    assay_score scores[3];
    assay_profile profile;
    double work[ASSAY_OPERATIONS] = {0};
    assert_int_equal(assay_rerank(session, golden_text("leave"), passages, 3, scores, NULL),
                     ASSAY_OK);
    assay_session_profile(session, &profile);
    for (size_t i = 0; i < 2; i++) {
        double n = scores[i].tokens, h = info.hidden, most = n * (info.layers - 1);
        work[ASSAY_OPERATION_QUERY] += 2 * h * h * (most + 1);
        work[ASSAY_OPERATION_KEY_VALUE] += 4 * h * h * n * info.layers;
        work[ASSAY_OPERATION_ATTENTION] += 4 * h * n * (most + 1);
        work[ASSAY_OPERATION_OUTPUT] += 2 * h * h * (most + 1);
        work[ASSAY_OPERATION_UP] += 2 * h * info.intermediate * (most + 1);
        work[ASSAY_OPERATION_DOWN] += 2 * h * info.intermediate * (most + 1);
        work[ASSAY_OPERATION_HEAD] += 2 * h * h + 2 * h;
    }
    assert_memory_equal(profile.work, work, sizeof work);
    assert_int_equal(profile.sequences, 2);
    assert_int_equal(profile.tokens, scores[0].tokens + scores[1].tokens);
    assert_int_equal(profile.threads, 1);
    for (size_t i = 0; i < ASSAY_OPERATIONS; i++)
        assert_true(profile.seconds[i] > 0 && profile.seconds[i] < 10);
    assay_session_profile(session, &profile);
    assert_int_equal(profile.tokens, 0);
    assert_true(profile.seconds[ASSAY_OPERATION_UP] == 0);
    assert_int_equal(assay_rerank(plain, golden_text("leave"), passages, 1, scores, NULL),
                     ASSAY_OK);
    assay_session_profile(plain, &profile);
    assert_int_equal(profile.sequences, 1);
    for (size_t i = 0; i < ASSAY_OPERATIONS; i++)
        assert_true(profile.seconds[i] == 0);
    assert_string_equal(assay_operation_name(ASSAY_OPERATION_KEY_VALUE), "key_value");
    assert_string_equal(assay_operation_name(ASSAY_OPERATIONS), "unknown");
    assay_session_close(session);
    assay_session_close(plain);
    assay_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_transformers),
        cmocka_unit_test(scores_do_not_depend_on_the_batch),
        cmocka_unit_test(scores_of_less_precision_are_near),
        cmocka_unit_test(equal_passages_are_scored_once),
        cmocka_unit_test(tokens_score_as_texts),
        cmocka_unit_test(pairs_score_as_their_queries_do),
        cmocka_unit_test(limits_cut_the_passage_only),
        cmocka_unit_test(roberta_lays_out_pairs_with_four),
        cmocka_unit_test(lengths_may_come_in_any_order),
        cmocka_unit_test(profiles_tell_of_what_was_done),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
