/* SPDX-License-Identifier: Apache-2.0 */
/* test_runs.c: runs, qrels and queries from files, what their readers refuse,
 * and the string map and numbers that they stand on. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "base/string_map.h"
#include "evaluate/qrels.h"
#include "evaluate/queries.h"
#include "evaluate/run.h"

static void check_near(double value, double right, double within)
{
    if (!(fabs(value - right) <= within))
        fail_msg("%.17g is not %.17g", value, right);
}

typedef struct wrong {
    const char *text, *where, *says;
} wrong;

static void check_error(const wrong *case_, assay_status status, const assay_error *error)
{
    if (status != ASSAY_E_FORMAT || strcmp(error->where, case_->where) != 0 ||
        strstr(error->message, case_->says) == NULL)
        fail_msg("%s: %s at %s: \"%s\", expected \"%s\" at %s", case_->text,
                 assay_status_name(status), error->where, error->message, case_->says,
                 case_->where);
}

/* ------------------------------------------------------------- foundations */

static void map_numbers_strings_in_order(void **state)
{
    (void)state;
    assay_string_map *map = assay_string_map_new();
    char key[32];
    uint32_t index;
    bool added;
    for (uint32_t i = 0; i < 20000; i++) {
        int length = snprintf(key, sizeof key, "key-%u", i * 7919);
        assert_int_equal(assay_string_map_add(map, key, (size_t)length, &index, &added, NULL),
                         ASSAY_OK);
        assert_true(added);
        assert_int_equal(index, i);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        int length = snprintf(key, sizeof key, "key-%u", i * 7919);
        assert_true(assay_string_map_find(map, key, (size_t)length, &index));
        assert_int_equal(index, i);
        assert_string_equal(assay_string_map_key(map, i), key);
        assert_int_equal(assay_string_map_add(map, key, (size_t)length, &index, &added, NULL),
                         ASSAY_OK);
        assert_false(added);
        assert_int_equal(index, i);
    }
    assert_false(assay_string_map_find(map, "key-", 4, &index));
    assert_false(assay_string_map_find(map, "", 0, &index));
    assert_int_equal(assay_string_map_add(map, "", 0, &index, NULL, NULL), ASSAY_OK);
    assert_true(assay_string_map_find(map, "", 0, &index));
    assert_int_equal(assay_string_map_add(map, "a\0b", 3, &index, &added, NULL), ASSAY_OK);
    assert_int_equal(assay_string_map_add(map, "a\0c", 3, &index, &added, NULL), ASSAY_OK);
    assert_true(added);
    assert_int_equal(assay_string_map_count(map), 20003);
    assay_string_map_free(map);
    assay_string_map_free(NULL);
}

static void numbers_read_whole_and_in_any_locale(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    " 1",  "1 ",   "1,5", "0x10", "nan", "inf", "-inf",
                                      "1e999", "1.5.2", "e5", "-",   "1f",   "+-1"};
    double value;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(assay_number_read(bad[i], strlen(bad[i]), &value));
    assert_true(assay_number_read("-1.5e-3x", 7, &value));
    check_near(value, -1.5e-3, 0);
    int64_t whole;
    assert_true(assay_number_whole("-12", 3, &whole));
    assert_int_equal(whole, -12);
    static const char *const not_whole[] = {"", "1.0", "1e3", "9223372036854775808", " 1", "x"};
    for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; i++)
        assert_false(assay_number_whole(not_whole[i], strlen(not_whole[i]), &whole));
    /* A comma locale where the machine has one; else this shows nothing more. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    static const double values[] = {0.1, 1.0 / 3, -2.5, 1e-300, 123456789.25, 0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[ASSAY_NUMBER_SIZE];
        assay_number_write(text, values[i]);
        assert_null(strchr(text, ','));
        assert_true(assay_number_read(text, strlen(text), &value));
        check_near(value, values[i], 0);
    }
    setlocale(LC_ALL, "C");
}

/* -------------------------------------------------------------------- runs */

static assay_run *run_of(const char *text)
{
    assay_run *run = NULL;
    assay_error error;
    if (assay_run_parse(text, strlen(text), "run", &run, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return run;
}

static void check_entry(const assay_run *run, size_t i, const char *query, const char *document,
                        uint32_t rank)
{
    assay_run_entry entry = assay_run_at(run, i);
    assert_string_equal(entry.query, query);
    assert_string_equal(entry.document, document);
    assert_int_equal(entry.rank, rank);
}

static void runs_are_ordered_by_score_then_id(void **state)
{
    (void)state;
    /* Byte order mark, CRLF, tabs, blank line, queries in turns, no last line end. */
    assay_run *run = run_of("\xEF\xBB\xBFq2 Q0 a 1 1.0 t\r\n\r\nq1\tQ0\tx\t9\t-1e1\tt\n"
                            "q2 Q0 c 2 1.0 t\n  q2 Q0 b 3 1.00000000001 t\nq2 Q0 z 1 0.5 t\n"
                            "q1 Q0 y 1 7 t");
    assert_int_equal(assay_run_count(run), 6);
    check_entry(run, 0, "q2", "c", 1);
    check_entry(run, 1, "q2", "b", 2);
    check_entry(run, 2, "q2", "a", 3);
    check_entry(run, 3, "q2", "z", 4);
    check_entry(run, 4, "q1", "y", 1);
    check_entry(run, 5, "q1", "x", 2);
    assert_null(assay_run_at(run, 6).query);
    assay_run_free(run);
    run = run_of("");
    assert_int_equal(assay_run_count(run), 0);
    assert_null(assay_run_at(run, 0).query);
    assay_run_free(run);
    assay_run_free(NULL);
}

static void wrong_runs_are_refused(void **state)
{
    (void)state;
    static const wrong cases[] = {
        {"q Q0 d 1 1.0 t\nq Q0 e 2 0.5\n", "run:2", "5 columns; expected 6"},
        {"q Q0 d 1 1.0 t more\n", "run:1", "7 columns"},
        {"q Q0 d 1 high t\n", "run:1", "score (column 5) \"high\""},
        {"\nq Q0 d 1 nan t\n", "run:2", "\"nan\" is not a finite number"},
        {"q Q0 d 1 inf t\n", "run:1", "finite"},
        {"q Q0 d 1 1,5 t\n", "run:1", "\"1,5\""},
        {"q Q0 d 1 \x01\xff t\n", "run:1", "\"?\?\""},
        {"a Q0 d 1 1 t\nq Q0 d 1 1 t\nq Q0 e 2 1 t\na Q0 x 1 1 t\nq Q0 d 3 .1 t\n", "run:5",
         "document \"d\" is there twice for query \"q\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_run *run = NULL;
        assay_error error = {0};
        check_error(&cases[i],
                    assay_run_parse(cases[i].text, strlen(cases[i].text), "run", &run, &error),
                    &error);
        assert_null(run);
    }
    assay_run *run = NULL;
    assay_error error;
    static const char binary[] = "q Q0 d 1 1 t\nq\0 Q0 e 1 1 t\n";
    assert_int_equal(assay_run_parse(binary, sizeof binary - 1, "run", &run, &error),
                     ASSAY_E_FORMAT);
    assert_string_equal(error.where, "run:2");
    assert_non_null(strstr(error.message, "NUL"));
    assert_int_equal(assay_run_read("/nonexistent/run", &run, &error), ASSAY_E_NOT_FOUND);
    char name[400];
    memset(name, 'x', sizeof name);
    name[399] = '\0';
    assert_int_equal(assay_run_parse("1", 1, name, &run, &error), ASSAY_E_FORMAT);
    assert_string_equal(error.where + strlen(error.where) - 3, "x:1");
}

static void built_runs_equal_read_ones(void **state)
{
    (void)state;
    assay_run *run;
    assay_error error;
    assert_int_equal(assay_run_new("tag with space", &run, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_run_new("mine", &run, &error), ASSAY_OK);
    static const char *const documents[] = {"m", "c", "z", "a", "k", "q"};
    static const double scores[] = {0.25, 1, 0.25, 1.0 / 3, 2, 0.25};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(assay_run_add(run, "q1", documents[i], scores[i], &error), ASSAY_OK);
        assert_int_equal(assay_run_add(run, "q0", documents[i], -scores[i], &error), ASSAY_OK);
    }
    assert_int_equal(assay_run_add(run, "q1", "z", 9, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "\"z\" is already among the hits of query \"q1\""));
    assert_int_equal(assay_run_add(run, "", "z", 9, &error), ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "query");
    assert_int_equal(assay_run_add(run, "q", "", 9, &error), ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "document");
    assert_int_equal(assay_run_add(run, "q1", "n", NAN, &error), ASSAY_E_ARGUMENT);
    static const char *const order[] = {"k", "c", "a", "z", "q", "m"};
    for (size_t i = 0; i < 6; i++)
        check_entry(run, i, "q1", order[i], (uint32_t)i + 1);
    check_entry(run, 6, "q0", "z", 1);

    char path[] = "/tmp/assay-run-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(assay_run_write(run, path, &error), ASSAY_OK);
    assay_run *again;
    assert_int_equal(assay_run_read(path, &again, &error), ASSAY_OK);
    assert_int_equal(assay_run_count(again), assay_run_count(run));
    for (size_t i = 0; i < assay_run_count(run); i++) {
        assay_run_entry a = assay_run_at(run, i);
        check_entry(again, i, a.query, a.document, a.rank);
        check_near(assay_run_at(again, i).score, a.score, 0);
    }
    assay_buffer text;
    assay_buffer_init(&text, 0);
    assert_int_equal(assay_file_read(path, &text, &error), ASSAY_OK);
    assert_memory_equal(text.data, "q1 Q0 k 1 2 mine\nq1 Q0 c 2 1 mine\n", 34);
    assay_buffer_free(&text);

    assert_int_equal(assay_run_add(run, "q1", "my file.txt", 0, &error), ASSAY_OK);
    assert_int_equal(assay_run_write(run, path, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "my file.txt"));
    assert_int_equal(assay_run_write(again, "/nonexistent/x/run", &error), ASSAY_E_NOT_FOUND);
    unlink(path);
    assay_run_free(run);
    assay_run_free(again);
}

/* A million hits, shuffled: not a timed test, but quadratic work would show. */
static void large_runs_are_read(void **state)
{
    (void)state;
    assay_buffer text;
    assay_buffer_init(&text, 0);
    for (uint32_t q = 0; q < 1000; q++)
        for (uint32_t d = 0; d < 1000; d++)
            assay_buffer_format(&text, "q%u Q0 doc-%u 1 %u.5 t\n", q, (q * 31 + d * 17) % 5000,
                                d * 7919 % 1000);
    double start = assay_seconds();
    assay_run *run;
    assert_int_equal(assay_run_parse(text.data, text.length, "run", &run, NULL), ASSAY_OK);
    print_message("1000 x 1000 hits read in %.2f s\n", assay_seconds() - start);
    assert_int_equal(assay_run_count(run), 1000000);
    check_near(assay_run_at(run, 999000).score, 999.5, 0);
    assay_run_free(run);
    assay_buffer_free(&text);
}

/* ------------------------------------------------------------------- qrels */

static void qrels_of_every_layout_agree(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "q1 0 a 1\nq1 0 b -1\nq2 Q0 a 3\n",
        "q1\t0\ta\t1\r\nq1\t0\tb\t-1\r\nq2\t0\ta\t3",
        "query-id\tcorpus-id\tscore\nq1\ta\t1\nq1\tb\t-1\nq2\ta\t3\n",
        "\xEF\xBB\xBFQUERY-ID corpus-id score\nq1 a 1\nq1 b -1\nq2 a 3\n",
        "q1\ta\t1\nq1\tb\t-1\nq2\ta\t3\nq1\ta\t1\n",
        "q1 a 1\nq1 b -1\nq2 a 3\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assay_qrels *qrels = NULL;
        assay_error error = {0};
        if (assay_qrels_parse(texts[i], strlen(texts[i]), "qrels", &qrels, &error) != ASSAY_OK)
            fail_msg("%s: %s: %s", texts[i], error.where, error.message);
        assert_int_equal(assay_qrels_queries(qrels), 2);
        assert_string_equal(assay_qrels_query(qrels, 0), "q1");
        assert_string_equal(assay_qrels_query(qrels, 1), "q2");
        assert_null(assay_qrels_query(qrels, 2));
        assert_true(assay_qrels_judged(qrels, "q2"));
        assert_false(assay_qrels_judged(qrels, "a"));
        assert_int_equal(assay_qrels_grade(qrels, 0, "a"), 1);
        assert_int_equal(assay_qrels_grade(qrels, 0, "b"), -1);
        assert_int_equal(assay_qrels_grade(qrels, 1, "a"), 3);
        assert_int_equal(assay_qrels_grade(qrels, 1, "b"), 0);
        assert_int_equal(assay_qrels_grade(qrels, 1, "nobody"), 0);
        assert_int_equal(assay_qrels_depth(qrels, 0), 2);
        assay_qrels_free(qrels);
    }
    assay_qrels *qrels;
    assert_int_equal(assay_qrels_parse("q\tmy file.txt\t2\n", 16, "qrels", &qrels, NULL),
                     ASSAY_OK);
    assert_int_equal(assay_qrels_grade(qrels, 0, "my file.txt"), 2);
    assay_qrels_free(qrels);
    assay_qrels_free(NULL);
}

static void wrong_qrels_are_refused(void **state)
{
    (void)state;
    static const wrong cases[] = {
        {"", "qrels", "no judgments"},
        {"query-id\tcorpus-id\tscore\n", "qrels", "no judgments"},
        {"q 0 d\nq 0 e 1\n", "qrels:1", "\"d\" is not a whole number"},
        {"q d\n", "qrels:1", "2 columns; expected 4"},
        {"q 0 d 1\nq d 1\n", "qrels:2", "3 columns; expected 4"},
        {"q d 1\nq 0 d 1\n", "qrels:2", "4 columns; expected 3"},
        {"q\td\t1\nq\td\n", "qrels:2", "2 columns between tabs"},
        {"q 0 d 1.5\n", "qrels:1", "grade (column 4) \"1.5\""},
        {"q 0 d yes\n", "qrels:1", "\"yes\""},
        {"q 0 d 99999999999\n", "qrels:1", "32 bits"},
        {"q\td\t1\n\td\t1\n", "qrels:2", "empty query id"},
        {"q\td\t1\nq\t\t1\n", "qrels:2", "empty document id"},
        {"q 0 d 1\nq 0 e 1\nq 0 d 2\n", "qrels:3",
         "document \"d\" of query \"q\" has grade 2 here and 1 in line 1"},
        {"name\tcorpus-id\tscore\n", "qrels:1", "grade (column 3) \"score\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_qrels *qrels = NULL;
        assay_error error = {0};
        check_error(
            &cases[i],
            assay_qrels_parse(cases[i].text, strlen(cases[i].text), "qrels", &qrels, &error),
            &error);
        assert_null(qrels);
    }
}

/* ----------------------------------------------------------------- queries */

static void queries_of_both_formats_agree(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"_id\": \"1\", \"text\": \"what\\tis it?\", \"metadata\": {}}\n"
        "\n{\"id\": 2, \"text\": \"caf\\u00e9\"}",
        "1\twhat\tis it?\r\n2\tcaf\xC3\xA9\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        assay_queries queries;
        assay_error error = {0};
        if (assay_queries_parse(texts[i], strlen(texts[i]), "queries", &queries, &error) !=
            ASSAY_OK)
            fail_msg("%s: %s", error.where, error.message);
        assert_int_equal(queries.count, 2);
        assert_string_equal(queries.ids[0], "1");
        assert_string_equal(queries.ids[1], "2");
        assert_int_equal(queries.texts[0].length, 11);
        assert_memory_equal(queries.texts[0].data, "what\tis it?", 12);
        assert_memory_equal(queries.texts[1].data, "caf\xC3\xA9", 6);
        assay_queries_free(&queries);
        assert_null(queries.block);
        assay_queries_free(&queries);
    }
    assay_queries_free(NULL);
}

static void wrong_queries_are_refused(void **state)
{
    (void)state;
    static const wrong cases[] = {
        {"", "queries", "no queries"},
        {"1\ta\njust text\n", "queries:2", "no tab"},
        {"1\ta\n\tb\n", "queries:2", "empty query id"},
        {"1\t \n", "queries:1", "query \"1\" has no text"},
        {"1\ta\n2\tb\n1\tc\n", "queries:3", "query id \"1\" was there before"},
        {"{\"_id\": \"1\", \"text\": \"a\"}\n{\"_id\": \"2\"\n", "queries:2", "not JSON"},
        {"{\"_id\": \"1\", \"text\": \"a\"}\n[1]\n", "queries:2", "expected an object"},
        {"{\"text\": \"a\"}\n", "queries:1", "_id: expected a string, found nothing"},
        {"{\"_id\": [1], \"text\": \"a\"}\n", "queries:1", "_id: expected a string"},
        {"{\"_id\": \"1\", \"query\": \"a\"}\n", "queries:1",
         "text: expected a string, found nothing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_queries queries = {0};
        assay_error error = {0};
        check_error(&cases[i],
                    assay_queries_parse(cases[i].text, strlen(cases[i].text), "queries",
                                        &queries, &error),
                    &error);
        assert_null(queries.block);
    }
    assay_queries queries;
    assay_error error;
    assert_int_equal(assay_queries_read("/nonexistent/q.jsonl", &queries, &error),
                     ASSAY_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_numbers_strings_in_order),
        cmocka_unit_test(numbers_read_whole_and_in_any_locale),
        cmocka_unit_test(runs_are_ordered_by_score_then_id),
        cmocka_unit_test(wrong_runs_are_refused),
        cmocka_unit_test(built_runs_equal_read_ones),
        cmocka_unit_test(large_runs_are_read),
        cmocka_unit_test(qrels_of_every_layout_agree),
        cmocka_unit_test(wrong_qrels_are_refused),
        cmocka_unit_test(queries_of_both_formats_agree),
        cmocka_unit_test(wrong_queries_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
