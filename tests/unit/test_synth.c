/* SPDX-License-Identifier: Apache-2.0 */
/* test_synth.c: queries made up for passages: what a model's answer is read as, sentences
 * that are taken out of passages, what is filtered. tests/cli/synth.sh has the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "learn/cut_query.h"
#include "learn/synth.h"
#include "rank/llm_answer.h"

enum { MOST = 4 };

static assay_text text_of(const char *string)
{
    return (assay_text){string, strlen(string)};
}

/* "one|two ok" */
static const char *read(const char *answer, size_t most)
{
    static char text[1024];
    static const char *const verdicts[] = {"ok", "repaired", "failed"};
    assay_text queries[MOST];
    size_t count, length = 0;
    assay_arena *arena = assay_arena_new(0);
    assay_llm_verdict verdict =
        assay_llm_read_queries(text_of(answer), most, arena, queries, &count);
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%.*s", i ? "|" : "",
                                   (int)queries[i].length, queries[i].data);
    snprintf(text + length, sizeof text - length, " %s", verdicts[verdict]);
    assay_arena_free(arena);
    return text;
}

static void answers_as_models_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *read;
    } cases[] = {
        {"{\"queries\": [\"who pays?\", \"when?\"]}", "who pays?|when? ok"},
        {"[\"who pays?\", \"when?\"]", "who pays?|when? ok"},
        {"```json\n{\"queries\": [\"who pays?\", \"when?\"]}\n```", "who pays?|when? ok"},
        {"[{\"question\": \"who pays?\"}, {\"query\": \"when?\"}]", "who pays?|when? ok"},
        {"<think>[\"no\"]</think>{\"queries\": [\"who pays?\", \"when?\"]}", "who pays?|when? ok"},
        {"who pays?\nwhen?", "who pays?|when? ok"},
        {"Here are two:\n\n1. who pays?\n2) **when?**\n", "who pays?|when? ok"},
        {"- \"who pays?\"\n- `when?`", "who pays?|when? ok"},
        {"3 days notice?\n1.5 metres wide?", "3 days notice?|1.5 metres wide? ok"},
        {"{\"queries\": [\"a\\nb  c\", \"d\\u0000e\\u001b[31m\"]}", "a b c|d e [31m ok"},
        /* less, more, with something else in it */
        {"who pays?", "who pays? repaired"},
        {"[\"a\", \"b\", \"c\"]", "a|b repaired"},
        {"[\"a\", 7, null, [], {}, \"b\", \"\"]", "a|b ok"},
        /* nothing */
        {"", " failed"},
        {"\n \n", " failed"},
        {"[]", " failed"},
        {"{\"queries\": []}", " failed"},
        {"{\"queries\": [\"who", " failed"},
        {"I'm sorry, but I cannot help with that.", " failed"},
        {"I\xE2\x80\x99m sorry, I cannot.", " failed"},
        {"As an AI language model, I cannot.", " failed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read(cases[i].answer, 2), cases[i].read);
}

static const char *cut(const char *query, const char *passage)
{
    static char text[512];
    assay_text out;
    bool found;
    assay_arena *arena = assay_arena_new(0);
    assert_int_equal(assay_cut_query(text_of(query), text_of(passage), arena, &out, &found, NULL),
                     ASSAY_OK);
    snprintf(text, sizeof text, "%s%.*s", found ? "cut: " : "", (int)out.length, out.data);
    assay_arena_free(arena);
    return text;
}

static void queries_are_cut_out(void **state)
{
    (void)state;
    assert_string_equal(cut("It rains", "Cold. It rains. Wet."), "cut: Cold. Wet.");
    assert_string_equal(cut("It rains.", "Cold. It\n  rains. Wet."), "cut: Cold. Wet.");
    assert_string_equal(cut("It rains", "It rains. Wet. It rains."), "cut: Wet.");
    assert_string_equal(cut("It rains", "It rains"), "cut: ");
    assert_string_equal(cut("It rains", "It rain"), "It rain");
    assert_string_equal(cut("a", "data a"), "cut: data");
    assert_string_equal(cut("rain", "rainy train rain's"), "rainy train rain's");
    assert_string_equal(cut("", "text"), "text");
    assert_string_equal(cut("text", ""), "");
}

static const char passage[] =
    "Short one. The harbour is closed to ships longer than ninety metres. Is it? "
    "Pilots come aboard near the second buoy when it is light.\nThe harbour master "
    "decides. 1234 5678 9012 3456 7890 1234 5678 9012 x. Pilots come.";

static size_t sentences(const char *text, uint64_t seed, size_t most, char out[2][256])
{
    assay_text queries[MOST];
    size_t count;
    assay_arena *arena = assay_arena_new(0);
    assert_int_equal(assay_sentence_queries(text_of(text), most, &seed, arena, queries, &count,
                                            NULL), ASSAY_OK);
    for (size_t i = 0; i < count && i < 2; i++)
        snprintf(out[i], 256, "%.*s", (int)queries[i].length, queries[i].data);
    assay_arena_free(arena);
    return count;
}

static void sentences_say_something(void **state)
{
    (void)state;
    char found[2][256], again[2][256];
    bool with = false, without = false, other = false;
    assert_int_equal(sentences(passage, 1, 4, found), 2);
    assert_int_equal(sentences(passage, 1, 1, found), 1);
    for (uint64_t seed = 1; seed < 40; seed++) {
        sentences(passage, seed, 1, found);
        sentences(passage, seed, 1, again);
        assert_string_equal(found[0], again[0]);
        assert_true(strncmp(found[0], "The harbour is", 14) == 0 ||
                    strncmp(found[0], "Pilots come aboard", 18) == 0);
        other = other || found[0][0] == 'P';
        with = with || found[0][strlen(found[0]) - 1] == '.';
        without = without || found[0][strlen(found[0]) - 1] != '.';
    }
    assert_true(with && without && other);
    assert_int_equal(sentences("The harbour is closed to ships longer than ninety metres.", 1, 4,
                               found), 0);
    assert_int_equal(sentences("", 1, 4, found), 0);
    assert_int_equal(sentences("The harbour is closed to all ships at night. "
                               "The harbour is closed to all ships at night. Why?", 1, 4, found),
                     0);
}

static void unfit_queries_are_counted(void **state)
{
    (void)state;
    assay_string_map *seen = assay_string_map_new();
    assay_synth_report r = {0};
    const assay_text text = text_of(passage);
#define FIT(kind, query) assay_synth_fit(ASSAY_QUERY_##kind, text_of(query), text, seen, &r)
    assert_true(FIT(QUESTION, "Which ships may not enter?"));
    assert_int_equal(assay_synth_remember(seen, text_of("Which ships may not enter?"), NULL),
                     ASSAY_OK);
    assert_false(FIT(QUESTION, "which ships may NOT enter"));
    assert_false(FIT(CLAIM, "ships which may enter not."));
    assert_int_equal(r.duplicates, 2);
    assert_false(FIT(QUESTION, "ships"));
    assert_false(FIT(QUESTION, "?!"));
    assert_false(FIT(QUESTION, "more at http://example.org/ now"));
    assert_int_equal(r.malformed, 3);
    assert_false(FIT(QUESTION, "What does the passage say of ships?"));
    assert_int_equal(r.pointing, 1);
    assert_false(FIT(CLAIM, "The harbour is closed to ships"));
    assert_true(FIT(KEYWORDS, "ships longer than ninety metres"));
    assert_true(FIT(SENTENCE, "The harbour is closed to ships longer than ninety metres."));
    assert_int_equal(r.copied, 1);
    char many[400] = "";
    for (int i = 0; i < 65; i++)
        strcat(many, "word ");
    assert_false(FIT(CLAIM, many));
    assert_int_equal(r.malformed, 4);
    assay_string_map_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_models_write_them),
        cmocka_unit_test(queries_are_cut_out),
        cmocka_unit_test(sentences_say_something),
        cmocka_unit_test(unfit_queries_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
