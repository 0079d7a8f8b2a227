/* SPDX-License-Identifier: Apache-2.0 */
/* test_passages.c: sentence ends, and passages as properties of random text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "text/charset.h"
#include "text/passages.h"
#include "text/scan.h"
#include "text/sentences.h"

/* ---------------------------------------------------------------- sentences */

/* Cuts `text` and compares with `expected`, sentences with " / " between. */
static void check_sentences(const char *text, const char *expected)
{
    char joined[4096] = "";
    size_t length = strlen(text), used = 0;
    size_t at = assay_skip_space(text, 0, length);
    while (at < length) {
        size_t end = assay_sentence_end(text, at, length);
        assert_true(end > at && end <= length);
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%.*s",
                                 used > 0 ? " / " : "", (int)(end - at), text + at);
        at = assay_skip_space(text, end, length);
    }
    assert_string_equal(joined, expected);
}

static void sentences_end_at_stops(void **state)
{
    (void)state;
    check_sentences("One. Two! Three? Four", "One. / Two! / Three? / Four");
    check_sentences("He said \"Go.\" She went.", "He said \"Go.\" / She went.");
    check_sentences("\"Really?\" he asked. Yes.", "\"Really?\" he asked. / Yes.");
    check_sentences("Wait... what? Done\xE2\x80\xA6 Next.",
                    "Wait... what? / Done\xE2\x80\xA6 / Next.");
    check_sentences("It works.[12] Others do not.", "It works.[12] / Others do not.");
    check_sentences("**Bold.** Then plain.", "**Bold.** / Then plain.");
    check_sentences("No space.Here it goes on.", "No space.Here it goes on.");
}

static void abbreviations_and_numbers_do_not_end_sentences(void **state)
{
    (void)state;
    check_sentences("Use 3.5 mg, e.g. Tuesdays. Then stop.",
                    "Use 3.5 mg, e.g. Tuesdays. / Then stop.");
    check_sentences("Dr. Who met Mr. T. J. Smith vs. Mrs. Jones. End.",
                    "Dr. Who met Mr. T. J. Smith vs. Mrs. Jones. / End.");
    check_sentences("See Fig. 3 and No. 5. The answer is no. Then go.",
                    "See Fig. 3 and No. 5. / The answer is no. / Then go.");
    check_sentences("Smith et al. 2019 found it. So did J. K. Rowling in the U.S. Army.",
                    "Smith et al. 2019 found it. / So did J. K. Rowling in the U.S. Army.");
    check_sentences("At 5 p.m. we left. Apples, pears etc. The rest stays.",
                    "At 5 p.m. we left. / Apples, pears etc. / The rest stays.");
    check_sentences("1. First point. 2. Second.", "1. First point. / 2. Second.");
}

static void other_scripts_have_their_stops(void **state)
{
    (void)state;
    check_sentences("これは文です。次の文！終わり？はい",
                    "これは文です。 / 次の文！ / 終わり？ / はい");
    check_sentences("「行く。」と言った。", "「行く。」 / と言った。");
    check_sentences("كيف حالك؟ أنا بخير.", "كيف حالك؟ / أنا بخير.");
    check_sentences("यह एक वाक्य है। यह दूसरा है।", "यह एक वाक्य है। / यह दूसरा है।");
}

static void lines_of_structure_are_sentences(void **state)
{
    (void)state;
    check_sentences("A wrapped\nsentence. Next\n\nParagraph",
                    "A wrapped\nsentence. / Next / Paragraph");
    check_sentences("Items:\n- one\n- two\n  goes on\n* three\n4. four",
                    "Items: / - one / - two\n  goes on / * three / 4. four");
    check_sentences("| a | b |\n|---|---|\n| 1 | 2 |\nText",
                    "| a | b | / |---|---| / | 1 | 2 | / Text");
    check_sentences("a\tb\nc\td\nText here", "a\tb / c\td / Text here");
    check_sentences("Intro\n## What is it?\n\nAn answer. More.",
                    "Intro / ## What is it?\n\nAn answer. / More.");
    check_sentences("Title\n=====\n\nText here. More.", "Title\n=====\n\nText here. / More.");
    check_sentences("a\r\nb\r\n\r\nc", "a\r\nb / c");
}

/* ----------------------------------------------------------------- passages */

static assay_status push_token(assay_tokens *tokens, size_t begin, size_t end)
{
    if (tokens->count == tokens->capacity) {
        tokens->capacity = tokens->capacity > 0 ? 2 * tokens->capacity : 64;
        tokens->ids = realloc(tokens->ids, tokens->capacity * sizeof *tokens->ids);
        tokens->begins = realloc(tokens->begins, tokens->capacity * sizeof *tokens->begins);
        tokens->ends = realloc(tokens->ends, tokens->capacity * sizeof *tokens->ends);
    }
    tokens->ids[tokens->count] = 0;
    tokens->begins[tokens->count] = (uint32_t)begin;
    tokens->ends[tokens->count++] = (uint32_t)end;
    return ASSAY_OK;
}

/* A token a byte, as of a byte-level vocabulary: begins inside characters. */
static assay_status encode_bytes(const void *context, assay_text text, assay_tokens *tokens,
                                 assay_error *error)
{
    (void)context, (void)error;
    for (size_t i = 0; i < text.length; i++)
        if (assay_space_at(text.data + i, text.length - i) == 0)
            push_token(tokens, i, i + 1);
    return ASSAY_OK;
}

/* Tokens of one to three characters, some of several at one place, none for
 * control characters and the letter x. */
static assay_status encode_odd(const void *context, assay_text text, assay_tokens *tokens,
                               assay_error *error)
{
    (void)context, (void)error;
    for (size_t i = 0; i < text.length;) {
        size_t bytes;
        int32_t point = assay_char_at(text.data + i, text.length - i, &bytes);
        size_t end = i + bytes;
        if (assay_space_at(text.data + i, text.length - i) == 0 && point >= 32 && point != 'x') {
            for (int more = point % 3; more > 0 && end < text.length &&
                                       assay_space_at(text.data + end, text.length - end) == 0;
                 more--) {
                assay_char_at(text.data + end, text.length - end, &bytes);
                end += bytes;
            }
            for (int again = point % 5 == 0 ? 3 : 1; again > 0; again--)
                push_token(tokens, i, end);
        }
        i = end;
    }
    return ASSAY_OK;
}

/* A token a word, with the white space before it, as some tokenizers of
 * SentencePiece models have it; what is left at the end is a token, too. */
static assay_status encode_spaced(const void *context, assay_text text, assay_tokens *tokens,
                                  assay_error *error)
{
    (void)context, (void)error;
    for (size_t at = 0; at < text.length;) {
        size_t end = assay_skip_space(text.data, at, text.length);
        while (end < text.length && assay_space_at(text.data + end, text.length - end) == 0)
            end++;
        push_token(tokens, at, end);
        at = end;
    }
    return ASSAY_OK;
}

static assay_status encode_fails(const void *context, assay_text text, assay_tokens *tokens,
                                 assay_error *error)
{
    (void)context, (void)text, (void)tokens;
    return assay_fail(error, ASSAY_E_LIMIT, "stub", "refuses");
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (*seed >> 11) % below;
}

/* Random text with everything that means something to the splitter. */
static size_t random_text(uint64_t *seed, char *text, size_t size)
{
    static const char *const parts[] = {
        " ", " ", " ", " ", "\n", "\n\n", "\t", "\r\n", ".", ". ", "! ", "?\" ", "...",
        "e.g. ", "Dr. ", "J. ", "1. ", "\n- ", "\n# ", "\n## A\n", "\n===\n",
        "\n---\n", "\n| a | b |\n",
        "word", "Word", "a", "x", "xx", "longerword", "longestwordofall", "3.14", "[1]",
        "\xE3\x80\x82", "\xE6\xBC\xA2\xE5\xAD\x97", "\xE3\x80\x80", "\xC2\xA0", "\xE2\x80\xA8",
        "\xE2\x80\xA9", "\xC2\x85", "\xE2\x80\xA6", "\xF0\x9F\x98\x80", "e\xCC\x81", "\xD8\x9F ",
        "\xE0\xA5\xA4", "\xEF\xBB\xBF", "\xE2\x80\x8B", "\xED\x95\x9C", "\x01", "\x7F", "\xC3\xA9",
        "\xF4\x8F\xBF\xBF", "\xE2\x80\xAE", "\f", "\v", "``` ", "\xE2\x80\xA2 ", "*", "_", "\"",
    };
    size_t length = 0, want = draw(seed, size);
    bool dense = draw(seed, 8) == 0; /* hardly any space */
    while (length < want) {
        const char *part = parts[draw(seed, sizeof parts / sizeof *parts)];
        if (dense && assay_space_at(part, strlen(part)) > 0 && draw(seed, 20) > 0)
            continue;
        size_t bytes = strlen(part);
        if (length + bytes >= size)
            break;
        memcpy(text + length, part, bytes);
        length += bytes;
    }
    return length;
}

static bool starts_character(const char *text, size_t at, size_t length)
{
    return at == length || ((unsigned char)text[at] & 0xC0) != 0x80;
}

/* What must be true of every list of passages. */
static void check_passages(const assay_document *document, uint32_t max_tokens,
                           uint32_t overlap, const assay_passage_list *list)
{
    const char *text = document->text.data;
    size_t length = document->text.length, covered = 0, begun = 0;
    for (size_t i = 0; i < list->count; i++) {
        const assay_passage *passage = &list->items[i];
        size_t begin = passage->offset, end = begin + passage->length;
        assert_true(begin < end && end <= length);
        assert_true(starts_character(text, begin, length) && starts_character(text, end, length));
        assert_int_equal(assay_space_at(text + begin, length - begin), 0);
        assert_int_equal(assay_trim_end(text, begin, end), end);
        assert_true(i == 0 || begin > begun); /* each begins later than the last */
        if (overlap == 0 || begin > covered)
            assert_int_equal(assay_skip_space(text, covered, length), begin);
        assert_true(end > covered);
        begun = begin;
        covered = end;
        const char *heading = "";
        for (size_t h = 0; h < document->heading_count; h++) {
            size_t mark = document->headings[h].offset;
            assert_true(max_tokens == ASSAY_WHOLE_DOCUMENT || mark <= begin || mark >= end);
            if (mark <= begin && max_tokens != ASSAY_WHOLE_DOCUMENT)
                heading = document->headings[h].path;
        }
        assert_string_equal(passage->heading, heading);
    }
    assert_int_equal(assay_skip_space(text, covered, length), length);
}

static void random_documents_are_covered_exactly_once(void **state)
{
    (void)state;
    static const assay_encode_fn encoders[] = {NULL, encode_bytes, encode_odd,
                                               encode_spaced};
    assay_passage_list list = {0};
    char text[4000];
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 6000; round++) {
        size_t length = random_text(&seed, text, sizeof text);
        assay_heading headings[4] = {{0, "A"}, {0, "A > B"}, {0, "C"}, {0, "D"}};
        assay_document document = {.text = {text, length}, .headings = headings};
        for (size_t at = 0; document.heading_count < draw(&seed, 5);) {
            at += draw(&seed, length / 3 + 1);
            while (!starts_character(text, at, length))
                at++;
            if (at > length)
                break;
            headings[document.heading_count++].offset = at;
        }
        uint32_t max_tokens = round % 50 == 0 ? ASSAY_WHOLE_DOCUMENT : 1 + (uint32_t)round % 200;
        uint32_t overlap = round % 3 == 0 && max_tokens > 1
                               ? (uint32_t)draw(&seed, max_tokens > 200 ? 200 : max_tokens)
                               : 0;
        assay_encode_fn encode = encoders[round % 4];
        assay_error error;
        assay_status status =
            encode == NULL
                ? assay_split_passages(NULL, &document, max_tokens, overlap, &list, &error)
                : assay_split_with(encode, NULL, &document, max_tokens, overlap, &list, &error);
        assert_int_equal(status, ASSAY_OK);
        check_passages(&document, max_tokens, overlap, &list);
        /* One character of the stubs has twelve tokens at most. */
        uint32_t most = encode == NULL || max_tokens > 12 ? max_tokens : 12;
        for (size_t i = 0; i < list.count; i++)
            assert_true(list.items[i].tokens <= most);
    }
    assay_passage_list_free(&list);
}

/* Passages of `text` by words (encode NULL) or other tokens, " / " between. */
static void check_split_with(assay_encode_fn encode, const char *text, uint32_t max_tokens,
                             uint32_t overlap, const char *expected)
{
    assay_passage_list list = {0};
    assay_error error;
    assay_document document = {.text = {text, strlen(text)}};
    assay_status status =
        encode == NULL
            ? assay_split_passages(NULL, &document, max_tokens, overlap, &list, &error)
            : assay_split_with(encode, NULL, &document, max_tokens, overlap, &list, &error);
    assert_int_equal(status, ASSAY_OK);
    char joined[4096] = "";
    size_t used = 0;
    for (size_t i = 0; i < list.count; i++)
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%.*s",
                                 i > 0 ? " / " : "", (int)list.items[i].length,
                                 text + list.items[i].offset);
    assert_string_equal(joined, expected);
    assay_passage_list_free(&list);
}

static void check_split(const char *text, uint32_t max_tokens, uint32_t overlap,
                        const char *expected)
{
    check_split_with(NULL, text, max_tokens, overlap, expected);
}

static void passages_are_filled_with_whole_sentences(void **state)
{
    (void)state;
    check_split("One two. Three four. Five six.", 4, 0, "One two. Three four. / Five six.");
    check_split("One two. Three four. Five six.", 100, 0, "One two. Three four. Five six.");
    check_split("One two three four five six. Seven.", 4, 0,
                "One two three four / five six. Seven.");
    check_split("", 4, 0, "");
    check_split(" \n\t ", 4, 0, "");
}

static void overlap_repeats_whole_sentences(void **state)
{
    (void)state;
    check_split("A b. C d. E f. G h.", 4, 2, "A b. C d. / C d. E f. / E f. G h.");
    check_split("A b. C d. E f. G h.", 4, 1, "A b. C d. / E f. G h.");
    check_split("A b. C d. E f g h. I.", 4, 2, "A b. C d. / E f g h. / I.");
}

static void a_tiny_rest_is_evened_out(void **state)
{
    (void)state;
    check_split("A b c. D e f. G h i. J k l. M.", 12, 0, "A b c. D e f. / G h i. J k l. M.");
}

static void headings_stay_with_their_text(void **state)
{
    (void)state;
    check_split("Text of four words.\n\n## Heading\n\nBody here.", 5, 0,
                "Text of four words. / ## Heading\n\nBody here.");
}

static void a_giant_word_is_cut_between_characters(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    char text[COUNT * 2];
    for (size_t i = 0; i < COUNT; i++)
        memcpy(text + 2 * i, "\xC3\xA9", 2);
    assay_document document = {.text = {text, sizeof text}};
    assay_passage_list list = {0};
    assay_error error;
    assert_int_equal(assay_split_with(encode_bytes, NULL, &document, 7, 0, &list, &error),
                     ASSAY_OK);
    check_passages(&document, 7, 0, &list);
    for (size_t i = 0; i < list.count; i++)
        assert_true(list.items[i].length <= 7 && list.items[i].length % 2 == 0);
    assay_passage_list_free(&list);
}

static void long_sentences_are_cut_between_words(void **state)
{
    (void)state;
    check_split_with(encode_bytes, "four five sixty sevens", 10, 0, "four five / sixty / sevens");
    check_split_with(encode_bytes, "a giantwordhere b", 6, 0, "a / giantw / ordher / e b");
    check_split_with(encode_bytes, "ab 漢字漢字 cd", 7, 0, "ab 漢 / 字漢 / 字 cd");
}

/* Whether a token begins with the space before its word or behind it. */
static void spaces_in_tokens_cut_nothing_elsewhere(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "One two. Three four. Five six.", "One two three four five six. Seven.",
        "  A b. C d.\n\nE f. G h.", "a  b  c  d  e  f  g  h",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (uint32_t most = 1; most <= 8; most++) {
            assay_document document = {.text = {texts[i], strlen(texts[i])}};
            assay_passage_list words = {0}, spaced = {0};
            assert_int_equal(assay_split_passages(NULL, &document, most, most / 2, &words, NULL),
                             ASSAY_OK);
            assert_int_equal(assay_split_with(encode_spaced, NULL, &document, most, most / 2,
                                              &spaced, NULL), ASSAY_OK);
            assert_int_equal(words.count, spaced.count);
            for (size_t j = 0; j < words.count; j++) {
                assert_int_equal(words.items[j].offset, spaced.items[j].offset);
                assert_int_equal(words.items[j].length, spaced.items[j].length);
            }
            assay_passage_list_free(&words);
            assay_passage_list_free(&spaced);
        }
}

static void white_space_is_as_unicode_says(void **state)
{
    (void)state;
    for (int32_t point = 0; point < 0x110000; point++) {
        utf8proc_uint8_t bytes[4];
        size_t length = (size_t)utf8proc_encode_char(point, bytes);
        utf8proc_category_t category = utf8proc_category(point);
        bool space = (point >= 9 && point <= 13) || point == 0x85 ||
                     category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
                     category == UTF8PROC_CATEGORY_ZP;
        assert_int_equal(assay_space_at((const char *)bytes, length), space ? length : 0);
    }
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    assay_passage_list list = {0};
    assay_document document = {.text = {"a b", 3}};
    assay_error error;
    assert_int_equal(assay_split_passages(NULL, &document, 0, 0, &list, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "passage_tokens");
    assert_int_equal(assay_split_passages(NULL, &document, 5, 5, &list, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "overlap_tokens");
    assert_int_equal(assay_split_with(encode_fails, NULL, &document, 5, 0, &list, &error),
                     ASSAY_E_LIMIT);
    assert_string_equal(error.where, "stub");
    assay_passage_list_free(&list);
}

static void damaged_text_does_no_harm(void **state)
{
    (void)state;
    char text[2000];
    uint64_t seed = 7;
    assay_passage_list list = {0};
    assay_error error;
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)draw(&seed, 256);
        assay_document document = {.text = {text, draw(&seed, sizeof text)}};
        assert_int_equal(
            assay_split_with(encode_odd, NULL, &document, 1 + round % 20, 0, &list, &error),
            ASSAY_OK);
    }
    assay_passage_list_free(&list);
}

/* Ten times the text takes about ten times as long: a generous thirty, for the
 * shapes of text that make careless splitters quadratic. */
static void time_is_linear(void **state)
{
    (void)state;
    static const char *const shapes[] = {"a. ", "a ", "a", "# a. ", "- ", ".", "(", "\n", "a\n",
                                         ".) ", " ", "\t", "1. ", "a\tb ", "| ", "Dr. "};
    enum { LARGE = 2000000 };
    char *text = malloc(LARGE);
    assay_passage_list list = {0};
    assay_error error;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t bytes = strlen(shapes[s]);
        for (size_t i = 0; i < LARGE; i++)
            text[i] = shapes[s][i % bytes];
        double seconds[2];
        for (int large = 0; large < 2; large++) {
            assay_document document = {.text = {text, large ? LARGE : LARGE / 10}};
            double begun = assay_seconds();
            assert_int_equal(
                assay_split_with(encode_bytes, NULL, &document, 160, 0, &list, &error), ASSAY_OK);
            seconds[large] = assay_seconds() - begun;
        }
        if (seconds[1] > 30 * seconds[0] + 0.5)
            fail_msg("shape \"%s\": %.3f s, then %.3f s", shapes[s], seconds[0], seconds[1]);
    }
    free(text);
    assay_passage_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_end_at_stops),
        cmocka_unit_test(abbreviations_and_numbers_do_not_end_sentences),
        cmocka_unit_test(other_scripts_have_their_stops),
        cmocka_unit_test(lines_of_structure_are_sentences),
        cmocka_unit_test(random_documents_are_covered_exactly_once),
        cmocka_unit_test(passages_are_filled_with_whole_sentences),
        cmocka_unit_test(overlap_repeats_whole_sentences),
        cmocka_unit_test(a_tiny_rest_is_evened_out),
        cmocka_unit_test(headings_stay_with_their_text),
        cmocka_unit_test(a_giant_word_is_cut_between_characters),
        cmocka_unit_test(long_sentences_are_cut_between_words),
        cmocka_unit_test(spaces_in_tokens_cut_nothing_elsewhere),
        cmocka_unit_test(white_space_is_as_unicode_says),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
        cmocka_unit_test(damaged_text_does_no_harm),
        cmocka_unit_test(time_is_linear),
    };
    return cmocka_run_group_tests_name("passages", tests, NULL, NULL);
}
