/* SPDX-License-Identifier: Apache-2.0 */
/* test_llm_answer.c: what models say, read as orders, grades, yes or no, choices. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rank/llm_answer.h"

enum { MOST = 100 };

static assay_text text_of(const char *string)
{
    return (assay_text){string, strlen(string)};
}

/* "3 1 2 ok": what an answer about `count` passages is read as. */
static const char *read_order(const char *answer, size_t count)
{
    static char text[512];
    static const char *const verdicts[] = {"ok", "repaired", "failed"};
    size_t order[MOST], length = 0;
    bool seen[MOST];
    assay_llm_verdict verdict = assay_llm_read_order(text_of(answer), count, order, seen);
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%zu ", order[i] + 1);
    snprintf(text + length, sizeof text - length, "%s", verdicts[verdict]);
    return text;
}

static void orders_as_models_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *read;
    } cases[] = {
        /* as asked for */
        {"[3] > [1] > [2]", "3 1 2 ok"},
        {"3 > 1 > 2", "3 1 2 ok"},
        {"3>1>2", "3 1 2 ok"},
        {"{\"order\": [3, 1, 2]}", "3 1 2 ok"},
        {"[3, 1, 2]", "3 1 2 ok"},
        {"```json\n{\"order\": [3, 1, 2]}\n```", "3 1 2 ok"},
        {"[\"[3]\", \"[1]\", \"[2]\"]", "3 1 2 ok"},
        {"{\"ranking\": [{\"id\": 3, \"score\": 9}, {\"id\": 1, \"score\": 2}, {\"id\": 2}]}",
         "3 1 2 ok"},
        {"3, 1, 2", "3 1 2 ok"},
        {"[3][1][2]", "3 1 2 ok"},
        {"3\n1\n2\n", "3 1 2 ok"},
        /* prose around */
        {"The ranking of the 3 passages is: [3] > [1] > [2].\nHope that helps!", "3 1 2 ok"},
        {"<think>Is [1] better than [2]? 1 > 2 maybe.</think>\n[3] > [1] > [2]", "3 1 2 ok"},
        {"Here you go:\n1. Passage 3 (it has 20 lockers)\n2. Passage 1\n3. Passage 2", "3 1 2 ok"},
        {"1) [3]\n2) [1]\n3) [2]", "3 1 2 ok"},
        {"**1.** nothing\n**[3]** > **[1]** > **[2]**", "3 1 2 ok"},
        {"passages 3, 1 and then 2", "3 1 2 ok"},
        /* duplicates, missing, invented */
        {"[3] > [3] > [1] > [2]", "3 1 2 repaired"},
        {"[3] > [1]", "3 1 2 repaired"},
        {"[2]", "2 1 3 repaired"},
        {"[7] > [3] > [0] > [1] > [2]", "3 1 2 repaired"},
        {"[99999999999999999999] > [3] > [1] > [2]", "3 1 2 repaired"},
        {"{\"order\": [3, 1", "3 1 2 repaired"},
        {"{\"order\": [3, \"x\", 1, 2]}", "3 1 2 repaired"},
        {"{\"order\": [-3, 1.5, 2, 1]}", "2 1 3 repaired"},
        /* nothing to be used */
        {"", "1 2 3 failed"},
        {"I'm sorry, I cannot rank these.", "1 2 3 failed"},
        {"I cannot rank 3 passages about medicine.", "1 2 3 failed"},
        {"null", "1 2 3 failed"},
        {"{}", "1 2 3 failed"},
        {"{\"order\": []}", "1 2 3 failed"},
        {"[9] > [8]", "1 2 3 failed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *read = read_order(cases[i].answer, 3);
        if (strcmp(read, cases[i].read) != 0)
            fail_msg("\"%s\": read as %s, expected %s", cases[i].answer, read, cases[i].read);
    }
    assert_string_equal(read_order("[1]", 1), "1 ok");
    assert_string_equal(read_order("", 1), "1 failed");
}

static void grades(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        double grade; /* -1: failed */
        assay_llm_verdict verdict;
    } cases[] = {
        {"7", 7, ASSAY_LLM_OK},
        {" 7.5\n", 7.5, ASSAY_LLM_OK},
        {"**10**", 10, ASSAY_LLM_OK},
        {"0", 0, ASSAY_LLM_OK},
        {"7/10", 7, ASSAY_LLM_REPAIRED},
        {"{\"grade\": 7}", 7, ASSAY_LLM_OK},
        {"{\"grade\": 7, \"why\": \"x\"}", 7, ASSAY_LLM_REPAIRED},
        {"Score: 8 out of 10", 8, ASSAY_LLM_REPAIRED},
        {"On a scale of 0 to 10 I would say 3.", 3, ASSAY_LLM_REPAIRED},
        {"Scale 0-10: 4", 4, ASSAY_LLM_REPAIRED},
        {"<think>maybe 9</think>2", 2, ASSAY_LLM_OK},
        {"85", -1, ASSAY_LLM_FAILED},
        {"-3", -1, ASSAY_LLM_FAILED},
        {"", -1, ASSAY_LLM_FAILED},
        {"very relevant", -1, ASSAY_LLM_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double grade = -1;
        assay_llm_verdict verdict = assay_llm_read_grade(text_of(cases[i].answer), &grade);
        if (verdict != cases[i].verdict || grade < cases[i].grade - 1e-9 ||
            grade > cases[i].grade + 1e-9)
            fail_msg("\"%s\": %g, verdict %d", cases[i].answer, grade, (int)verdict);
    }
}

static void yes_and_no(void **state)
{
    (void)state;
    bool yes = false;
    assert_int_equal(assay_llm_read_yes(text_of("Yes."), &yes), ASSAY_LLM_OK);
    assert_true(yes);
    assert_int_equal(assay_llm_read_yes(text_of("no"), &yes), ASSAY_LLM_OK);
    assert_false(yes);
    assert_int_equal(assay_llm_read_yes(text_of("{\"relevant\": true}"), &yes),
                     ASSAY_LLM_REPAIRED);
    assert_true(yes);
    assert_int_equal(assay_llm_read_yes(text_of("The answer is no, as it..."), &yes),
                     ASSAY_LLM_REPAIRED);
    assert_false(yes);
    assert_int_equal(assay_llm_read_yes(text_of("I know nothing of notes"), &yes),
                     ASSAY_LLM_FAILED);
    assert_int_equal(assay_llm_read_yes((assay_text){NULL, 0}, &yes), ASSAY_LLM_FAILED);
}

static void choices(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int choice;
        assay_llm_verdict verdict;
    } cases[] = {
        {"A", 1, ASSAY_LLM_OK},
        {"**B**.", -1, ASSAY_LLM_OK},
        {"(B)", -1, ASSAY_LLM_OK},
        {"tie", 0, ASSAY_LLM_OK},
        {"Passage B is better than Passage A", -1, ASSAY_LLM_REPAIRED},
        {"A short answer: [B]", -1, ASSAY_LLM_REPAIRED},
        {"{\"better\": \"B\"}", -1, ASSAY_LLM_OK},
        {"It is B", -1, ASSAY_LLM_REPAIRED},
        {"A or B, who knows", 7, ASSAY_LLM_FAILED},
        {"neither", 7, ASSAY_LLM_FAILED},
        {"", 7, ASSAY_LLM_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int choice = 7;
        assay_llm_verdict verdict = assay_llm_read_choice(text_of(cases[i].answer), &choice);
        if (verdict != cases[i].verdict || choice != cases[i].choice)
            fail_msg("\"%s\": %d, verdict %d", cases[i].answer, choice, (int)verdict);
    }
}

/* "yes 0.9 because": what an answer about a page is read as, and how well. */
static const char *read_page(const char *answer)
{
    static char text[512];
    static const char *const verdicts[] = {"ok", "repaired", "failed"};
    bool yes;
    double confidence;
    assay_text reason;
    assay_arena *arena = assay_arena_new(0);
    assert_non_null(arena);
    assay_llm_verdict verdict = assay_llm_read_page(text_of(answer), arena, &yes, &confidence,
                                                    &reason);
    if (verdict == ASSAY_LLM_FAILED)
        snprintf(text, sizeof text, "failed");
    else
        snprintf(text, sizeof text, "%s %g '%.*s' %s", yes ? "yes" : "no",
                 isnan(confidence) ? -1 : confidence, (int)reason.length, reason.data,
                 verdicts[verdict]);
    assay_arena_free(arena);
    return text;
}

static void pages(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *read;
    } cases[] = {
        {"{\"answers\": true, \"confidence\": 0.9, \"reason\": \"It says so.\"}",
         "yes 0.9 'It says so.' ok"},
        {"```json\n{\"answers\": false, \"confidence\": 1, \"reason\": \"a\\n b\"}\n```",
         "no 1 'a b' ok"},
        {"<think>{\"answers\": true}</think>{\"answers\": false, \"confidence\": 0, "
         "\"reason\": \"\"}", "no 0 '' ok"},
        {"{\"answers\": \"yes\", \"confidence\": \"90%\", \"reason\": \"x\"}", "yes 0.9 'x' repaired"},
        {"{\"answer\": \"No.\", \"confidence\": 75}", "no 0.75 '' repaired"},
        {"{\"answers\": true, \"confidence\": -1, \"reason\": 3}", "yes -1 '' repaired"},
        {"{\"answers\": true, \"confidence\": 1e9}", "yes -1 '' repaired"},
        {"Sure: {\"page\": 1} {\"answers\": true}", "yes -1 '' repaired"},
        {"Yes, the table names it.", "yes -1 'Yes, the table names it.' repaired"},
        {"**No**", "no -1 'No' repaired"},
        {"{\"answers\": tr", "failed"},
        {"{\"confidence\": 1}", "failed"},
        {"{\"answers\": 7}", "failed"},
        {"I'm sorry, I cannot say yes to that.", "failed"},
        {"", "failed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read_page(cases[i].answer), cases[i].read);
}

/* ---- 10,000 mutated answers ----------------------------------------------------- */

static uint64_t random_state = 6;

static size_t random_below(size_t most)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(random_state >> 33) % most;
}

/* One of the forms that answers have, of a random order. */
static size_t write_answer(char *text, size_t size, size_t count)
{
    static const char *const forms[][3] = {
        {"", "[%zu]", " > "}, {"{\"order\": [", "%zu", ", "}, {"Ranking:\n", "%zu", "\n"},
        {"<think>1 > 2</think>", "%zu", ">"}, {"Sure! ", "[%zu]", ", "},
        {"[", "{\"id\": %zu}", ","}, {"", "Passage %zu", ".\n2. "},
        {"{\"answers\": true, \"reason\": \"because\", \"confidence\": 0.", "%zu", "},"},
    };
    const char *const *form = forms[random_below(sizeof forms / sizeof *forms)];
    size_t length = (size_t)snprintf(text, size, "%s", form[0]);
    for (size_t i = 0; i < count && length < size - 64; i++) {
        char number[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(number, sizeof number, form[1], random_below(count) + 1);
#pragma GCC diagnostic pop
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? form[2] : "", number);
    }
    return length;
}

static size_t mutate(char *text, size_t length, size_t size)
{
    static const char bytes[] = "[]{}>,.\"0123456789\n :AB/-\0\xff\xe2";
    for (size_t i = 0, most = random_below(12); i < most && length > 1; i++) {
        size_t at = random_below(length), run = 1 + random_below(8);
        if (run > length - at)
            run = length - at;
        switch (random_below(4)) {
        case 0: /* change */
            text[at] = bytes[random_below(sizeof bytes)];
            break;
        case 1: /* lose */
            memmove(text + at, text + at + run, length - at - run);
            length -= run;
            break;
        case 2: /* double */
            if (length + run > size)
                break;
            memmove(text + at + run, text + at, length - at);
            length += run;
            break;
        default: /* cut off */
            length = random_below(4) == 0 ? at : length;
        }
    }
    return length;
}

static void check_page(assay_text answer)
{
    bool yes;
    double confidence;
    assay_text reason;
    assay_arena *arena = assay_arena_new(0);
    assert_non_null(arena);
    if (assay_llm_read_page(answer, arena, &yes, &confidence, &reason) != ASSAY_LLM_FAILED) {
        assert_true(isnan(confidence) || (confidence >= 0 && confidence <= 1));
        assert_null(memchr(reason.data, '\n', reason.length));
    }
    assay_arena_free(arena);
}

static void no_candidate_is_lost_in_10000_mutated_answers(void **state)
{
    (void)state;
    char text[4096];
    size_t verdicts[3] = {0};
    for (int i = 0; i < 10000; i++) {
        size_t count = 1 + random_below(30), order[MOST];
        bool seen[MOST], found[MOST] = {false};
        size_t length = mutate(text, write_answer(text, sizeof text, count), sizeof text);
        assay_text answer = {text, length};
        verdicts[assay_llm_read_order(answer, count, order, seen)]++;
        for (size_t j = 0; j < count; j++) {
            assert_true(order[j] < count);
            assert_false(found[order[j]]);
            found[order[j]] = true;
        }
        double grade;
        int choice;
        bool yes;
        if (assay_llm_read_grade(answer, &grade) != ASSAY_LLM_FAILED)
            assert_true(grade >= 0 && grade <= 10);
        assay_llm_read_choice(answer, &choice);
        assay_llm_read_yes(answer, &yes);
        check_page(answer);
    }
    /* They are mutated, not noise: most say something. */
    assert_true(verdicts[ASSAY_LLM_OK] > 100 && verdicts[ASSAY_LLM_REPAIRED] > 5000);
    print_message("ok %zu, repaired %zu, failed %zu\n", verdicts[0], verdicts[1], verdicts[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_as_models_write_them),
        cmocka_unit_test(grades),
        cmocka_unit_test(yes_and_no),
        cmocka_unit_test(choices),
        cmocka_unit_test(pages),
        cmocka_unit_test(no_candidate_is_lost_in_10000_mutated_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
