/* SPDX-License-Identifier: Apache-2.0 */
/* test_bm25.c: scores against Lucene's formula computed elsewhere
 * (tools/golden/bm25.py), exact top k, and questions meant to do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <unistd.h>

#include "base/json.h"
#include "store/store.h"
#include "assert_ok.h"

enum { ALL = 4000 };

static assay_store *store;
static char home[64];

static int open_store(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-bm25-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    return assay_store_open(home, &(assay_store_options){.create = true}, &store, &error) !=
           ASSAY_OK;
}

static int close_store(void **state)
{
    (void)state;
    char file[96];
    assay_store_close(store);
    snprintf(file, sizeof file, "%s/assay.sqlite", home);
    unlink(file);
    return rmdir(home);
}

static assay_collection make_collection(const char *name)
{
    assay_collection collection;
    assert_ok(assay_collection_create(store, name, &(assay_collection_config){0}, &collection,
                                      &error));
    return collection;
}

static void put(assay_collection *collection, const char *id, const char *title,
                const char *heading, const char *text)
{
    assay_stored_passage passage = {.length = strlen(text), .heading = heading};
    assay_stored_document document = {.id = id, .title = title, .text = {text, strlen(text)},
                                      .passages = &passage, .passage_count = 1};
    assert_ok(assay_document_put(store, collection, &document, &error));
}

static assay_candidate found[ALL];

static size_t ask_bytes(const assay_collection *collection, const char *question, size_t length,
                        double k1, double b, size_t k)
{
    size_t count = SIZE_MAX;
    assert_ok(assay_store_bm25(store, collection, (assay_text){question, length}, k1, b, NULL, k, found,
                               &count, &error));
    assert_true(count <= k);
    for (size_t i = 1; i < count; i++)
        assert_true(assay_candidate_before(found[i - 1], found[i]));
    return count;
}

static size_t ask(const assay_collection *collection, const char *question)
{
    return ask_bytes(collection, question, strlen(question), 0.9, 0.4, ALL);
}

/* ---- Goldens ------------------------------------------------------------------- */

/* Keys count from `first` in the order of the passages. */
static void check_case(const assay_collection *collection, json_t *item, uint64_t first)
{
    const char *question = json_string_value(json_object_get(item, "question"));
    json_t *scores = json_object_get(item, "scores");
    size_t count = ask_bytes(collection, question, strlen(question),
                             json_number_value(json_object_get(item, "k1")),
                             json_number_value(json_object_get(item, "b")), ALL);
    if (count != json_object_size(scores))
        fail_msg("'%s' found %zu passages, expected %zu", question, count,
                 json_object_size(scores));
    for (size_t i = 0; i < count; i++) {
        char id[24];
        snprintf(id, sizeof id, "%llu", (unsigned long long)(found[i].passage - first));
        json_t *expected = json_object_get(scores, id);
        if (expected == NULL ||
            fabs(json_number_value(expected) - (double)found[i].score) > 2e-6)
            fail_msg("'%s', passage %s: %.7f, expected %.7f", question, id,
                     (double)found[i].score, json_number_value(expected));
    }
}

static void scores_are_lucenes(void **state)
{
    (void)state;
    json_t *golden;
    assert_ok(assay_json_read("tests/golden/bm25.json", 1 << 20, &golden, &error));
    /* Another collection with the same words must not count. */
    assay_collection collection = make_collection("golden"), other = make_collection("noise");
    size_t i;
    json_t *item;
    assert_ok(assay_store_begin(store, &error));
    json_array_foreach(json_object_get(golden, "passages"), i, item) {
        char id[24];
        snprintf(id, sizeof id, "%zu", i);
        put(&collection, id, json_string_value(json_object_get(item, "title")),
            json_string_value(json_object_get(item, "heading")),
            json_string_value(json_object_get(item, "text")));
    }
    put(&other, "1", "Holidays", "", "holiday carry year");
    assert_ok(assay_store_commit(store, &error));
    json_array_foreach(json_object_get(golden, "cases"), i, item)
        check_case(&collection, item, 1);

    /* The same after deleting and adding: sums of lengths are kept right. */
    bool deleted;
    assert_ok(assay_store_begin(store, &error));
    for (i = 0; i < 60; i++) {
        char id[24];
        snprintf(id, sizeof id, "%zu", i);
        assert_ok(assay_document_delete(store, &collection, id, &deleted, &error));
        item = json_array_get(json_object_get(golden, "passages"), i);
        put(&collection, id, json_string_value(json_object_get(item, "title")),
            json_string_value(json_object_get(item, "heading")),
            json_string_value(json_object_get(item, "text")));
    }
    assert_ok(assay_store_commit(store, &error));
    json_array_foreach(json_object_get(golden, "cases"), i, item)
        check_case(&collection, item, 62);
    json_decref(golden);
}

/* ---- Exact top k ------------------------------------------------------------------ */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Words w0 ... w49, low numbers often; many equal texts, so many equal scores. */
static void random_text(uint32_t *seed, char *out, size_t size, size_t words)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < words; i++) {
        uint32_t limit = 1 + next_random(seed) % 50;
        length += (size_t)snprintf(out + length, size - length, "w%u ",
                                   next_random(seed) % limit);
    }
}

static void a_smaller_k_is_a_prefix(void **state)
{
    (void)state;
    assay_collection collection = make_collection("random");
    uint32_t seed = 5;
    char text[400], id[16];
    assert_ok(assay_store_begin(store, &error));
    for (int i = 0; i < 3000; i++) {
        random_text(&seed, text, sizeof text, next_random(&seed) % 3 == 0 ? 2 : 30);
        snprintf(id, sizeof id, "%d", i);
        put(&collection, id, "", "", text);
    }
    assert_ok(assay_store_commit(store, &error));
    static assay_candidate whole[ALL];
    for (int i = 0; i < 60; i++) {
        random_text(&seed, text, sizeof text, 1 + next_random(&seed) % 12);
        double k1 = next_random(&seed) % 30 / 10.0, b = next_random(&seed) % 11 / 10.0;
        size_t all = ask_bytes(&collection, text, strlen(text), k1, b, ALL);
        memcpy(whole, found, all * sizeof *found);
        static const size_t sizes[] = {0, 1, 2, 10, 100, 1000};
        for (size_t s = 0; s < 6; s++) {
            size_t count = ask_bytes(&collection, text, strlen(text), k1, b, sizes[s]);
            assert_int_equal(count, all < sizes[s] ? all : sizes[s]);
            for (size_t c = 0; c < count; c++)
                assert_true(found[c].passage == whole[c].passage &&
                            found[c].score == whole[c].score);
        }
    }
}

/* ---- Questions ------------------------------------------------------------------------ */

static void questions_are_cut_as_passages_are(void **state)
{
    (void)state;
    assay_collection collection = make_collection("words");
    assert_ok(assay_store_begin(store, &error));
    put(&collection, "1", "", "", "The universities of Z\xc3\xbcrich, to be or not");
    put(&collection, "2", "", "", "Universal laws 2020 \xe6\x97\xa5\xe6\x9c\xac");
    put(&collection, "3", "", "", "nothing of this");
    assert_ok(assay_store_commit(store, &error));
    assert_int_equal(ask(&collection, "ZURICH"), 1);
    assert_int_equal(ask(&collection, "zu\xcc\x88rich?"), 1);
    assert_int_equal(ask(&collection, "university"), 2); /* Porter: one stem, univers */
    assert_int_equal(ask(&collection, "\xe6\x97\xa5\xe6\x9c\xac"), 1);
    assert_int_equal(ask(&collection, "of zurich"), 1);     /* a stop word is left out */
    assert_int_equal(ask(&collection, "to be, Or NOT?"), 1); /* unless nothing is left */
    assert_int_equal(ask(&collection, "of"), 2);
    assert_int_equal(ask(&collection, "elsewhere"), 0);
    ask(&collection, "laws");
    float once = found[0].score;
    ask(&collection, "law Laws");
    assert_float_equal(found[0].score, 2 * once, 1e-6);
}

static void hostile_questions_do_no_harm(void **state)
{
    (void)state;
    assay_collection collection = make_collection("hostile");
    assert_ok(assay_store_begin(store, &error));
    put(&collection, "1", "title", "heading", "near and body AND \xff word \xc2\xaa");
    assert_ok(assay_store_commit(store, &error));
    static const struct {
        const char *question;
        size_t length, count;
    } cases[] = {
        {"", 0, 0},
        {" \t\n", 3, 0},
        {"\"", 1, 0},
        {"word\"", 5, 1},
        {"\"word\" OR NOT (", 15, 1},
        {"NEAR(word body, 2)", 18, 1},
        {"title:word*", 11, 1},
        {"{title body} : word ^near + -", 29, 1},
        {"* OR *", 6, 0},
        {"nothing\0word", 12, 1},
        {"\0\0\0", 3, 0},
        {"\xff\xfe word \x80\xbf\xc3", 10, 1},
        {"\xc3", 1, 0},
        {"\xf0\x9f\x98\x80 \xf0\x9f\x98\x82", 9, 0},
        {"'; DROP TABLE documents; -- word", 32, 1},
        {"\xed\xa0\x80\xf4\x90\x80\x80word", 11, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = ask_bytes(&collection, cases[i].question, cases[i].length, 0.9, 0.4, ALL);
        if (count != cases[i].count)
            fail_msg("case %zu ('%s') found %zu, expected %zu", i, cases[i].question, count,
                     cases[i].count);
    }
    assert_int_equal(ask_bytes(&collection, NULL, 0, 0.9, 0.4, ALL), 0);
}

static void long_questions_are_answered(void **state)
{
    (void)state;
    assay_collection collection = make_collection("long");
    assert_ok(assay_store_begin(store, &error));
    put(&collection, "1", "", "", "needle");
    put(&collection, "2", "", "", "late");
    assert_ok(assay_store_commit(store, &error));
    size_t size = 1 << 20, length = 0;
    char *question = malloc(size);
    assert_non_null(question);
    /* The needle first, 1100 other words, one that comes too late, and noise. */
    length += (size_t)snprintf(question, size, "needle ");
    for (int i = 0; i < 1100; i++)
        length += (size_t)snprintf(question + length, size - length, "n%dx ", i);
    length += (size_t)snprintf(question + length, size - length, "late ");
    while (length + 8 < size)
        length += (size_t)snprintf(question + length, size - length, "needle ");
    memset(question + length, 'y', size - length);
    assert_int_equal(ask_bytes(&collection, question, size, 0.9, 0.4, ALL), 1);
    assert_true(found[0].score > 1000);
    memset(question, 'z', size);
    assert_int_equal(ask_bytes(&collection, question, size, 0.9, 0.4, ALL), 0);
    memset(question, '"', size);
    assert_int_equal(ask_bytes(&collection, question, size, 0.9, 0.4, ALL), 0);
    free(question);
}

static void parameters_are_checked(void **state)
{
    (void)state;
    assay_collection collection = make_collection("parameters");
    size_t count;
    static const struct {
        double k1, b;
        const char *where;
    } cases[] = {{-0.1, 0.4, "k1"}, {NAN, 0.4, "k1"}, {INFINITY, 0.4, "k1"},
                 {0.9, -0.1, "b"},  {0.9, 1.1, "b"},  {0.9, NAN, "b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(assay_store_bm25(store, &collection, (assay_text){"x", 1}, cases[i].k1,
                                          cases[i].b, NULL, 10, found, &count, &error),
                         ASSAY_E_ARGUMENT);
        assert_string_equal(error.where, cases[i].where);
    }
    assert_int_equal(ask(&collection, "anything in an empty collection"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_are_lucenes, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_smaller_k_is_a_prefix, open_store, close_store),
        cmocka_unit_test_setup_teardown(questions_are_cut_as_passages_are, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(hostile_questions_do_no_harm, open_store, close_store),
        cmocka_unit_test_setup_teardown(long_questions_are_answered, open_store, close_store),
        cmocka_unit_test_setup_teardown(parameters_are_checked, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
