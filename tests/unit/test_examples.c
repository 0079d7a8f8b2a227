/* SPDX-License-Identifier: Apache-2.0 */
/* test_examples.c: training data in all its forms, what is wrong with it, near-duplicates,
 * and splits that tell nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "learn/examples.h"
#include "learn/shingles.h"

static char told[4096];

static bool tell(const assay_progress *progress, void *user)
{
    (void)user;
    size_t used = strlen(told);
    if (progress->problem != NULL)
        snprintf(told + used, sizeof told - used, "%s: %s\n", progress->problem->where,
                 progress->problem->message);
    return true;
}

static const assay_examples_options options = {.style = ASSAY_CONTEXT_SENTENCES,
                                               .progress = tell};

static assay_status try(const char *text, assay_examples *out, assay_error *error)
{
    told[0] = '\0';
    return assay_examples_parse(text, strlen(text), "data", &options, out, error);
}

static assay_examples parse(const char *text)
{
    assay_examples examples;
    assay_error error;
    if (try(text, &examples, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return examples;
}

static const char *text_at(const assay_examples *examples, size_t example, size_t k)
{
    const assay_example *e = &examples->list[example];
    assert_true(k < e->count);
    return assay_examples_text(examples, examples->labelled[e->first + k].text);
}

static const assay_labelled *label_at(const assay_examples *examples, size_t example, size_t k)
{
    return &examples->labelled[examples->list[example].first + k];
}

static void json_lines(void **state)
{
    (void)state;
    assay_examples x = parse(
        "{\"query_id\": 7, \"query\": \"how long\", \"positives\": [{\"title\": \"Leave\", "
        "\"heading\": \"Sick\", \"text\": \"Six weeks\", \"grade\": 2, \"score\": 1.5, \"missed\": "
        "true}], \"negatives\": [\"No\", {\"text\": \"Never\", \"score\": -1}, \"No\"]}\n"
        "\n"
        "{\"anchor\": \"who\", \"positive\": \"The board\", \"negative\": \"No\"}\n"
        "{\"query\": \"where\", \"pos\": [\"Here\", \"There\"], \"neg\": [\"No\"], "
        "\"pos_scores\": [2, 1], \"neg_scores\": [0.25]}\n");
    assert_int_equal(x.count, 3);
    assert_string_equal(x.list[0].id, "7");
    assert_string_equal(x.list[0].query, "how long");
    assert_int_equal(x.list[0].count, 3); /* one twice */
    assert_string_equal(text_at(&x, 0, 0), "Leave. Sick. Six weeks");
    assert_int_equal(label_at(&x, 0, 0)->grade, 2);
    assert_true(label_at(&x, 0, 0)->teacher == 1.5f && label_at(&x, 0, 0)->missed);
    assert_true(isnan(label_at(&x, 0, 1)->teacher) && label_at(&x, 0, 2)->teacher == -1);
    assert_string_equal(x.list[1].id, "");
    assert_int_equal(x.list[1].line, 3);
    assert_int_equal(label_at(&x, 1, 1)->text, label_at(&x, 0, 1)->text); /* kept once */
    assert_int_equal(x.list[2].positives, 2);
    assert_true(label_at(&x, 2, 1)->teacher == 1 && label_at(&x, 2, 2)->teacher == 0.25f);
    assert_false(x.taught);
    assert_int_equal(x.counts.queries, 3);
    assert_int_equal(x.counts.positives, 4);
    assert_int_equal(x.counts.negatives, 4);
    assert_string_equal(told, "");
    assay_examples_free(&x);
}

static void tab_lines(void **state)
{
    (void)state;
    assay_examples x = parse("a query\tgood\tbad\nother\tfine\tpoor\na query\tgood\tworse\r\n");
    assert_int_equal(x.count, 2);
    assert_int_equal(x.list[0].count, 3);
    assert_int_equal(x.list[0].positives, 1);
    assert_string_equal(text_at(&x, 0, 0), "good");
    assert_string_equal(text_at(&x, 0, 2), "worse");
    assay_examples_free(&x);
    x = parse("1.5\t-2\tq\tgood\tbad\n");
    assert_true(x.taught && label_at(&x, 0, 0)->teacher == 1.5f && label_at(&x, 0, 1)->teacher == -2);
    assay_examples_free(&x);
    x = parse("1\t0\tq\tgood\tbad\n1e39\t0\tr\tgood\tbad\n"); /* more than a float holds */
    assert_int_equal(x.counts.bad_lines, 1);
    assert_int_equal(x.count, 1);
    assay_examples_free(&x);
    x = parse("q\tgood\nr\tbetter\n");
    assert_int_equal(x.counts.without_negative, 2);
    assay_examples_free(&x);
}

static void expect_told(const char *text, const char *problem)
{
    char whole[4096];
    assay_examples x;
    assay_error error;
    /* Behind a good line: the bad one is passed over. */
    bool json = text[0] == '{' || text[0] == '[' || text[0] == 'n';
    snprintf(whole, sizeof whole, "%s\n%s\n",
             json ? "{\"query\": \"q\", \"positives\": \"p\", \"negatives\": \"n\"}" : "q\tp\tn", text);
    if (try(whole, &x, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    assert_int_equal(x.counts.bad_lines, 1);
    if (strncmp(told, "data:2: ", 8) != 0 || strstr(told, problem) == NULL)
        fail_msg("'%s' told '%s'", text, told);
    assay_examples_free(&x);
}

static void bad_lines(void **state)
{
    (void)state;
    expect_told("{\"query\": \"q\"", "not JSON");
    expect_told("[1]", "expected an object");
    expect_told("{\"positives\": [\"p\"]}", "query: expected a text, found nothing");
    expect_told("{\"query\": 5}", "found something else");
    expect_told("{\"query\": \" \"}", "query: is empty");
    expect_told("{\"query\": \"q\", \"query_id\": []}", "query_id: expected");
    expect_told("{\"query\": \"q\", \"positives\": [5]}", "positives: expected a text");
    expect_told("{\"query\": \"q\", \"neg\": [{\"title\": \"t\"}]}", "neg: expected a text");
    expect_told("{\"query\": \"q\", \"positives\": [{\"text\": \"x\", \"grade\": 0}]}",
                "grade: expected a whole number from 1");
    expect_told("{\"query\": \"q\", \"negatives\": [{\"text\": \"x\", \"grade\": 1}]}",
                "grade: expected 0");
    expect_told("{\"query\": \"q\", \"negatives\": [{\"text\": \"x\", \"score\": \"1\"}]}",
                "score: expected a number");
    expect_told("{\"query\": \"q\", \"negatives\": [{\"text\": \"x\", \"score\": 1e39}]}",
                "score: expected a number");
    expect_told("{\"query\": \"q\", \"pos\": [\"a\", \"b\"], \"pos_scores\": [1]}",
                "pos_scores: expected a list of 2 numbers");
    expect_told("a\tb", "2 columns between tabs; expected 3");
    expect_told("\tb\tc", "the query is empty");
    expect_told("a\tb\t", "the negative passage is empty");
}

/* What stands before the fault is passed over with the rest of its line. */
static void a_bad_line_gives_nothing(void **state)
{
    (void)state;
    assay_examples x = parse("{\"query\": \"q\", \"positives\": \"p\"}\n"
                             "{\"query\": \"q\", \"positives\": \"more\", \"negatives\": 5}\n"
                             "{\"query\": \"r\", \"positives\": [\"p\", 5]}\n");
    assert_int_equal(x.counts.bad_lines, 2);
    assert_int_equal(x.count, 1);
    assert_int_equal(x.list[0].count, 1);
    assert_string_equal(text_at(&x, 0, 0), "p");
    assay_examples_free(&x);
}

static void expect_failure(const char *text, const char *message)
{
    assay_examples x;
    assay_error error;
    assert_int_equal(try(text, &x, &error), ASSAY_E_FORMAT);
    if (strstr(error.message, message) == NULL)
        fail_msg("'%s': %s: %s", text, error.where, error.message);
}

static void nothing_to_learn(void **state)
{
    (void)state;
    expect_failure("", "no query has a relevant passage");
    expect_failure("one column\n", "expected JSON, or 2, 3 or 5 columns");
    expect_failure("{\"query\": \"q\", \"negatives\": [\"n\"]}", "no query has a relevant passage (1");
    expect_failure("x\ty\tq\tp\tn\n", "1 lines or judgments are no good");
    assay_examples x = parse("{\"query\": \"q\", \"positives\": [\"p\", \" \"]}\n");
    assert_int_equal(x.counts.empty, 1); /* a passage without text is left out */
    assert_int_equal(x.list[0].count, 1);
    assay_examples_free(&x);
}

static bool stop(const assay_progress *progress, void *user)
{
    (void)progress;
    (void)user;
    return false;
}

static void interrupted(void **state)
{
    (void)state;
    assay_examples x;
    const assay_examples_options stopping = {.progress = stop};
    assert_int_equal(assay_examples_parse("a\tb\n\n\nc\n", 8, "data", &stopping, &x, NULL),
                     ASSAY_E_INTERRUPTED);
}

/* ------------------------------------------------------------------- a folder */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void beir_folder(void **state)
{
    (void)state;
    char folder[] = "/tmp/assay-examples-XXXXXX", command[256];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "mkdir %s/qrels", folder);
    assert_int_equal(system(command), 0);
    write_file(folder, "corpus.jsonl",
               "{\"_id\": \"d1\", \"title\": \"One\", \"text\": \"First\"}\n"
               "{\"_id\": \"d2\", \"text\": \"Second\"}\n"
               "{\"_id\": \"d3\", \"text\": \" \"}\n"
               "{\"_id\": \"d4\"}\n");
    write_file(folder, "queries.jsonl", "{\"_id\": \"q1\", \"text\": \"which\"}\n"
                                        "{\"_id\": \"q2\", \"text\": \"what\"}\n");
    write_file(folder, "qrels/train.tsv", "q1\td1\t2\nq1\td2\t0\nq1\tgone\t1\nq2\td3\t1\n"
                                          "lost\td1\t1\n");
    assay_examples x;
    assay_error error;
    told[0] = '\0';
    if (assay_examples_read(folder, &options, &x, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    assert_int_equal(x.count, 1);
    assert_string_equal(x.list[0].id, "q1");
    assert_string_equal(text_at(&x, 0, 0), "One. First");
    assert_int_equal(label_at(&x, 0, 0)->grade, 2);
    assert_string_equal(text_at(&x, 0, 1), "Second");
    assert_int_equal(x.counts.bad_lines, 1);
    assert_int_equal(x.counts.missing_documents, 1);
    assert_int_equal(x.counts.missing_queries, 1);
    assert_int_equal(x.counts.without_positive, 1);
    assert_int_equal(x.counts.empty, 1);
    assert_int_equal(x.counts.passages, 2);
    assert_non_null(strstr(told, "corpus.jsonl:4"));
    assert_non_null(strstr(told, "query \"q1\": document \"gone\" is not in the corpus"));
    assert_non_null(strstr(told, "document \"d3\" has no text"));
    assert_non_null(strstr(told, "query \"lost\" is not in"));
    assay_examples_free(&x);
    assert_int_equal(assay_examples_read(folder, &(assay_examples_options){.split = "dev"}, &x,
                                         &error), ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.where, "qrels/dev.tsv"));
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* ----------------------------------------------------------------- duplicates */

static double overlap(const char *a, const char *b)
{
    assay_shingles left, right;
    assert_int_equal(assay_shingles_of((assay_text){a, strlen(a)}, &left, NULL), ASSAY_OK);
    assert_int_equal(assay_shingles_of((assay_text){b, strlen(b)}, &right, NULL), ASSAY_OK);
    double share = assay_shingles_overlap(&left, &right);
    assert_true(share == assay_shingles_overlap(&right, &left));
    assay_shingles_free(&left);
    assay_shingles_free(&right);
    return share;
}

static void near_duplicates(void **state)
{
    (void)state;
    assert_true(overlap("One two three four five", "one, TWO three four: five!") == 1);
    assert_true(overlap("a b c d e f", "a b c d x y") > 0.3 - 1e-9);
    assert_true(fabs(overlap("a b c d e f", "a b c d x y") - 1.0 / 3) < 1e-9);
    assert_true(overlap("a b c d", "z a b c d z z z z") == 1); /* the smaller is in the other */
    assert_true(overlap("one two", "one two") == 1);
    assert_true(overlap("one two", "two one") == 0);
    assert_true(overlap("", "one") == 0 && overlap("...", "...") == 0);
    assert_true(overlap("überall ist ein weg", "Überall ist ein weg") == 0); /* case of ASCII only */
}

/* ---------------------------------------------------------------------- splits */

/* Queries in pairs that share a passage, copy it, or ask the same. */
static void splits_keep_groups_together(void **state)
{
    (void)state;
    enum { GROUPS = 30 };
    static char text[64 * 1024];
    size_t used = 0;
    for (int g = 0; g < GROUPS; g++) {
        for (int twin = 0; twin < 2; twin++) {
            char passage[256], query[64];
            snprintf(query, sizeof query, g % 3 == 2 && twin ? "%d? about what" : "what about %d", g);
            if (g % 3 != 2)
                snprintf(query, sizeof query, "what about %d-%d", g, twin);
            snprintf(passage, sizeof passage, "passage w%d x%d y%d z%d and so on until the end", g, g,
                     g, g);
            if (g % 3 == 1 && twin)
                strcat(passage, " slightly longer");
            if (g % 3 == 2)
                snprintf(passage, sizeof passage, "passage %d of twin %d", g, twin);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s\t%s\tnothing\n", query,
                                     passage);
        }
    }
    assay_examples x = parse(text);
    assert_int_equal(x.count, 2 * GROUPS);
    bool held[2 * GROUPS], again[2 * GROUPS], other[2 * GROUPS];
    assert_int_equal(assay_examples_split(&x, 0.2, 100, 1, held, NULL), ASSAY_OK);
    size_t count = 0;
    for (size_t i = 0; i < x.count; i++) {
        count += held[i];
        if (held[i] != held[i ^ 1])
            fail_msg("the pair of %s is parted", x.list[i].query);
    }
    assert_int_equal(count, 12);
    assert_int_equal(assay_examples_split(&x, 0.2, 100, 1, again, NULL), ASSAY_OK);
    assert_memory_equal(held, again, sizeof held);
    assert_int_equal(assay_examples_split(&x, 0.2, 100, 2, other, NULL), ASSAY_OK);
    assert_memory_not_equal(held, other, sizeof held);
    assert_int_equal(assay_examples_split(&x, 0.5, 4, 1, held, NULL), ASSAY_OK);
    count = 0;
    for (size_t i = 0; i < x.count; i++)
        count += held[i];
    assert_int_equal(count, 4);
    assay_examples_free(&x);
}

static void splits_that_cannot_be(void **state)
{
    (void)state;
    bool held[8];
    assay_error error;
    assay_examples x = parse("q\tp\tn\n");
    assert_int_equal(assay_examples_split(&x, 0.1, 100, 0, held, &error), ASSAY_E_FORMAT);
    assert_non_null(strstr(error.message, "expected at least 2"));
    assay_examples_free(&x);
    x = parse("q\tp\tn\nr\tp\tn\ns\tp\tn\n"); /* one passage for all */
    assert_int_equal(assay_examples_split(&x, 0.1, 100, 0, held, &error), ASSAY_E_FORMAT);
    assert_non_null(strstr(error.message, "none can be held out"));
    assay_examples_free(&x);
    x = parse("q\tp\tn\nr\to\tn\n");
    assert_int_equal(assay_examples_split(&x, 0.1, 100, 0, held, &error), ASSAY_OK);
    assert_true(held[0] != held[1]);
    assay_examples_free(&x);
}

static void random_numbers(void **state)
{
    (void)state;
    uint64_t first = 0;
    assert_true(assay_random_next(&first) == UINT64_C(0xE220A8397B1DCDAF)); /* as published */
    uint32_t numbers[100];
    for (uint32_t i = 0; i < 100; i++)
        numbers[i] = i;
    uint64_t random = assay_random_stream(1, 2);
    assert_true(random != assay_random_stream(1, 3) && random != assay_random_stream(2, 2));
    assay_random_shuffle(&random, numbers, 100);
    bool seen[100] = {false};
    size_t moved = 0;
    for (uint32_t i = 0; i < 100; i++) {
        assert_false(seen[numbers[i]]);
        seen[numbers[i]] = true;
        moved += numbers[i] != i;
    }
    assert_true(moved > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),
        cmocka_unit_test(tab_lines),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(a_bad_line_gives_nothing),
        cmocka_unit_test(nothing_to_learn),
        cmocka_unit_test(interrupted),
        cmocka_unit_test(beir_folder),
        cmocka_unit_test(near_duplicates),
        cmocka_unit_test(splits_keep_groups_together),
        cmocka_unit_test(splits_that_cannot_be),
        cmocka_unit_test(random_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
