/* SPDX-License-Identifier: Apache-2.0 */
/* test_split.c: a cross-encoder whose lower layers keep query and passage apart: what is
 * computed of passages beforehand gives the scores that the model gives (these against
 * transformers: test_rerank.c). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden_model.h"
#include "rank/cross_split.h"
#include "rank/late_interaction.h"

enum { HIDDEN = 36, MOST = 16, ROWS = 100 };

static const char *const queries[] = {"How many days of leave may an employee carry over?", "pay",
                                      "what is the notice period of a contract, and who may say so?"};
enum { QUERIES = sizeof queries / sizeof *queries };

static const char *const texts[MOST] = {
    "An employee may carry over ten days of leave into the next year.",
    "The notice period is three months.",
    "",
    "x",
    "Sick pay (what a parent may ask for) is paid when the contract says so - 26 weeks. Sick pay "
    "(what a parent may ask for) is paid when the contract says so - 26 weeks. Sick pay (what a "
    "parent may ask for) is paid when the contract says so - 26 weeks. Rain, water, cell, "
    "protein.",
    "Rain, water; cell? protein!",
};
enum { TEXTS = 6 };

/* What is kept of passages. */
typedef struct kept {
    float floats[TEXTS][ROWS * HIDDEN];
    int8_t bytes[TEXTS][ROWS * HIDDEN];
    float steps[TEXTS][ROWS];
    size_t counts[TEXTS];
} kept;

static kept one, other;
static assay_token_ids ids[TEXTS];
static int32_t all_ids[TEXTS][400];

static void take(void *user, size_t item, float *states, size_t count)
{
    kept *k = user;
    assert_in_range(count, 1, ROWS);
    k->counts[item] = count;
    memcpy(k->floats[item], states, count * HIDDEN * sizeof *states);
    for (size_t i = 0; i < count; i++)
        k->steps[item][i] = assay_late_quantize(states + i * HIDDEN, HIDDEN,
                                                k->bytes[item] + i * HIDDEN);
}

static void tokenize(const assay_model *model)
{
    for (size_t i = 0; i < TEXTS; i++) {
        assay_encoding encoding;
        assert_int_equal(assay_tokenize(model->tokenizer, golden_text(texts[i]), NULL, NULL,
                                        &encoding, NULL), ASSAY_OK);
        assert_in_range(encoding.count, 0, 400);
        if (encoding.count > 0)
            memcpy(all_ids[i], encoding.ids, encoding.count * sizeof *encoding.ids);
        ids[i] = (assay_token_ids){all_ids[i], encoding.count, encoding.count};
        assay_encoding_free(&encoding);
    }
}

static void encode(assay_session *session, size_t first, size_t count, kept *out)
{
    kept *k = calloc(1, sizeof *k);
    assert_int_equal(assay_split_encode(session, ids + first, count, take, k, NULL), ASSAY_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(k->counts[i], assay_split_tokens(session, &ids[first + i]));
        memcpy(out->floats[first + i], k->floats[i], sizeof k->floats[i]);
        memcpy(out->bytes[first + i], k->bytes[i], sizeof k->bytes[i]);
        memcpy(out->steps[first + i], k->steps[i], sizeof k->steps[i]);
        out->counts[first + i] = k->counts[i];
    }
    free(k);
}

static assay_split_passage passage_of(const assay_session *session, const kept *k, size_t i,
                                      bool bytes)
{
    return (assay_split_passage){
        .states = bytes ? (assay_states){.bytes = k->bytes[i], .steps = k->steps[i]}
                        : (assay_states){.floats = k->floats[i]},
        .count = k->counts[i],
        .truncated = ids[i].total > assay_cross_room(session)};
}

static void score(assay_session *session, const char *query, const kept *k, bool bytes,
                  assay_score *scores)
{
    assay_split_passage passages[TEXTS];
    assert_int_equal(assay_split_query(session, golden_text(query), NULL), ASSAY_OK);
    for (size_t i = 0; i < TEXTS; i++)
        passages[i] = passage_of(session, k, i, bytes);
    assert_int_equal(assay_split_score(session, passages, TEXTS, scores, NULL), ASSAY_OK);
}

static void expect_same_scores(assay_precision precision)
{
    assay_model *model = golden_open_at("cross-split", precision);
    assay_session *session = golden_session(model, 1), *threads = golden_session(model, 0);
    assay_text passages[TEXTS];
    for (size_t i = 0; i < TEXTS; i++)
        passages[i] = golden_text(texts[i]);
    assert_true(assay_split_is(model));
    tokenize(model);
    encode(session, 0, TEXTS, &one);
    for (size_t i = 0; i < TEXTS; i++) /* alone, and by others: the same */
        encode(threads, i, 1, &other);
    assert_memory_equal(&one, &other, sizeof one);
    for (size_t q = 0; q < QUERIES; q++) {
        assay_score whole[TEXTS], joined[TEXTS], bytes[TEXTS], again[TEXTS];
        assert_int_equal(assay_rerank(session, golden_text(queries[q]), passages, TEXTS, whole,
                                      NULL), ASSAY_OK);
        score(threads, queries[q], &one, false, joined);
        score(session, queries[q], &one, true, bytes);
        score(threads, queries[q], &one, true, again);
        for (size_t i = 0; i < TEXTS; i++) {
            assert_memory_equal(&whole[i].logit, &joined[i].logit, sizeof(float));
            assert_memory_equal(&whole[i].probability, &joined[i].probability, sizeof(float));
            assert_memory_equal(&bytes[i].logit, &again[i].logit, sizeof(float));
            assert_int_equal(whole[i].tokens, joined[i].tokens);
            assert_int_equal(whole[i].truncated, joined[i].truncated);
            assert_int_equal(whole[i].truncated, i == 4);
            assert_true(fabsf(bytes[i].logit - whole[i].logit) < 0.5f);
        }
    }
    assay_session_close(session);
    assay_session_close(threads);
    assay_model_close(model);
}

static void kept_states_give_the_models_scores(void **state)
{
    (void)state;
    expect_same_scores(ASSAY_PRECISION_FP32);
    expect_same_scores(ASSAY_PRECISION_INT8);
    if (golden_has_bf16())
        expect_same_scores(ASSAY_PRECISION_BF16);
}

/* The lower layers see one text alone: the query's words matter to the logit, and where
 * the texts meet from the first layer on they matter to it otherwise. */
static void texts_meet_above_the_split_only(void **state)
{
    (void)state;
    char folder[] = "/tmp/assay-test-split-XXXXXX", command[256];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cp " GOLDEN_MODELS "cross-split/* %s && sed -i '/assay_split/d' %s/config.json",
             folder, folder);
    assert_int_equal(system(command), 0);
    assay_model *split = golden_open("cross-split"), *plain = golden_open_path(folder,
                                                                     ASSAY_PRECISION_FP32);
    assay_model_info info;
    assay_model_describe(split, &info);
    assert_int_equal(info.split, 2);
    assay_model_describe(plain, &info);
    assert_int_equal(info.split, 0);
    assert_false(assay_split_is(plain));
    assay_session *apart = golden_session(split, 1), *joined = golden_session(plain, 1);
    assay_score a, b, c;
    assay_text text = golden_text(texts[0]);
    assert_int_equal(assay_rerank(apart, golden_text(queries[0]), &text, 1, &a, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(joined, golden_text(queries[0]), &text, 1, &b, NULL), ASSAY_OK);
    assert_int_equal(assay_rerank(apart, golden_text(queries[1]), &text, 1, &c, NULL), ASSAY_OK);
    assert_true(fabsf(a.logit - b.logit) > 1e-3f);
    assert_true(fabsf(a.logit - c.logit) > 1e-3f);
    assay_session_close(apart);
    assay_session_close(joined);
    assay_model_close(split);
    assay_model_close(plain);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_states_give_the_models_scores),
        cmocka_unit_test(texts_meet_above_the_split_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
