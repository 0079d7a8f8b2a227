/* SPDX-License-Identifier: Apache-2.0 */
/* test_embed.c: bi-encoder vectors against sentence-transformers' (see
 * tools/golden/models.py), their independence of the batch, and bad input.
 * $ASSAY_TEST_QUICK=1 takes smaller batches, for emulators. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden_model.h"

#define TOLERANCE 1e-5

static const char *const names[] = {"dense-mean", "dense-cls", "dense-plain", "dense-prompts",
                                    "dense-xlmr"};
enum { NAMES = sizeof names / sizeof *names, LARGEST = 64 };

/* Embeds the texts of a part of expected.json and compares. */
static void expect_vectors(const char *name, assay_model *model, assay_role role,
                           const json_t *expected)
{
    assay_text texts[GOLDEN_TEXTS];
    size_t count = golden_texts(json_object_get(expected, "texts"), texts);
    assay_session *session = golden_session_for(model, role);
    assay_model_info info;
    assay_model_describe(model, &info);
    float vectors[GOLDEN_TEXTS * LARGEST];
    assay_embedding_info infos[GOLDEN_TEXTS];
    assert_int_equal(assay_embed(session, texts, count, vectors, infos, NULL), ASSAY_OK);
    for (size_t i = 0; i < count; i++) {
        json_t *row = json_array_get(json_object_get(expected, "embeddings"), i);
        assert_int_equal(json_array_size(row), info.dimensions);
        for (size_t j = 0; j < info.dimensions; j++) {
            double value = json_real_value(json_array_get(row, j));
            float found = vectors[i * info.dimensions + j];
            if (!(fabs(found - value) < TOLERANCE))
                fail_msg("%s, text %zu, dimension %zu: %.8g, expected %.8g", name, i, j, found,
                         value);
        }
        json_int_t tokens =
            json_integer_value(json_array_get(json_object_get(expected, "tokens"), i));
        assert_int_equal(infos[i].tokens, tokens);
        assert_int_equal(infos[i].truncated, texts[i].length > 500);
    }
    assay_session_close(session);
}

static void vectors_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    for (size_t m = 0; m < NAMES; m++) {
        json_t *expected = golden_expected(names[m]);
        assay_model *model = golden_open(names[m]);
        expect_vectors(names[m], model, ASSAY_ROLE_NONE, expected);
        assay_model_close(model);
        json_decref(expected);
    }
}

/* With the prompts that the model's settings have for queries and passages. */
static void prompts_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    static const char *const prompted[] = {"dense-prompts", "dense-xlmr"};
    for (size_t m = 0; m < sizeof prompted / sizeof *prompted; m++) {
        json_t *expected = golden_expected(prompted[m]);
        assay_model *model = golden_open(prompted[m]);
        expect_vectors(prompted[m], model, ASSAY_ROLE_QUERY, json_object_get(expected, "query"));
        expect_vectors(prompted[m], model, ASSAY_ROLE_PASSAGE,
                       json_object_get(expected, "document"));
        assay_model_close(model);
        json_decref(expected);
    }
}

/* A model without prompts gives the same bits in any role. */
static void roles_change_nothing_without_prompts(void **state)
{
    (void)state;
    assay_model *model = golden_open("dense-mean");
    assay_text text = golden_text("how many days of leave");
    float first[LARGEST], vector[LARGEST];
    for (assay_role role = ASSAY_ROLE_NONE; role <= ASSAY_ROLE_PASSAGE; role++) {
        assay_session *session = golden_session_for(model, role);
        assert_int_equal(assay_embed(session, &text, 1, role > 0 ? vector : first, NULL, NULL),
                         ASSAY_OK);
        if (role > 0)
            assert_memory_equal(first, vector, 40 * sizeof *first);
        assay_session_close(session);
    }
    assay_model_close(model);
}

static void expect_independence(assay_precision precision)
{
    enum { MANY = 1300 };
    static assay_text many[MANY];
    static float found[MANY * LARGEST], alone[GOLDEN_TEXTS * LARGEST];
    for (size_t m = 0; m < NAMES; m++) {
        json_t *expected = golden_expected(names[m]);
        assay_text texts[GOLDEN_TEXTS];
        size_t count = golden_texts(json_object_get(expected, "texts"), texts);
        assay_model *model = golden_open_at(names[m], precision);
        assay_session *one = golden_session(model, 1), *all = golden_session(model, 0);
        assay_model_info info;
        assay_model_describe(model, &info);
        size_t n = info.dimensions;
        for (size_t i = 0; i < count; i++)
            assert_int_equal(assay_embed(one, &texts[i], 1, alone + i * n, NULL, NULL), ASSAY_OK);
        for (int way = 0; way < 4; way++) {
            size_t size = way == 0 && !getenv("ASSAY_TEST_QUICK") ? MANY : 17 * (size_t)way;
            for (size_t i = 0; i < size; i++)
                many[i] = texts[(i * 7 + (size_t)way) % count];
            assert_int_equal(assay_embed(way & 1 ? one : all, many, size, found, NULL, NULL),
                             ASSAY_OK);
            for (size_t i = 0; i < size; i++)
                assert_memory_equal(found + i * n, alone + (i * 7 + (size_t)way) % count * n,
                                    n * sizeof *found);
        }
        assay_session_close(one);
        assay_session_close(all);
        assay_model_close(model);
        json_decref(expected);
    }
}

static void vectors_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    expect_independence(ASSAY_PRECISION_FP32);
    expect_independence(ASSAY_PRECISION_INT8);
    if (golden_has_bf16())
        expect_independence(ASSAY_PRECISION_BF16);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    assay_model *model = golden_open("dense-mean"), *cross = golden_open("cross-f32");
    assay_session *session = golden_session(model, 1), *other = golden_session(cross, 1);
    assay_text text = golden_text("leave");
    float vector[LARGEST];
    assay_error error;
    assert_int_equal(assay_embed(NULL, &text, 1, vector, NULL, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_embed(session, NULL, 1, vector, NULL, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_embed(session, &text, 1, NULL, NULL, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_embed(session, NULL, 0, NULL, NULL, &error), ASSAY_OK);
    assert_int_equal(assay_embed(other, &text, 1, vector, NULL, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "bi-encoder"));
    assay_session *none;
    assert_int_equal(assay_session_open(model, &(assay_session_options){.role = 3}, &none, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "role");
    assay_session_close(session);
    assay_session_close(other);
    assay_model_close(model);
    assay_model_close(cross);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_those_of_sentence_transformers),
        cmocka_unit_test(prompts_are_those_of_sentence_transformers),
        cmocka_unit_test(roles_change_nothing_without_prompts),
        cmocka_unit_test(vectors_do_not_depend_on_the_batch),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
