/* SPDX-License-Identifier: Apache-2.0 */
/* test_unigram.c: Unigram tokenizers: goldens of the Hugging Face tokenizers
 * library (made by tools/golden/unigram.py), the lattice against a plain one,
 * and every way a file can be wrong. */
#include "tokenizer_test.h"

#include "text/charsmap.h"
#include "text/graphemes.h"
#include "text/unigram.h"
#include "text/vocabulary_json.h"

#define GOLDEN "tests/golden/unigram/"

static void as_xlm_roberta_is_converted(void **state)
{
    (void)state;
    check_goldens(GOLDEN "xlmr", GOLDEN "xlmr/cases.json");
}

static void words_then_marks_as_the_library(void **state)
{
    (void)state;
    check_goldens(GOLDEN "words", GOLDEN "words/cases.json");
}

static void whole_texts_and_bytes_as_the_library(void **state)
{
    (void)state;
    check_goldens(GOLDEN "whole", GOLDEN "whole/cases.json");
}

static void every_step_as_the_library(void **state)
{
    (void)state;
    check_goldens(GOLDEN "steps", GOLDEN "steps/cases.json");
}

/* --------------------------------------------------------------- properties */

static void special_tokens_and_templates_are_told(void **state)
{
    (void)state;
    static const int32_t pair_ids[] = {0, -1, 2, 2, -1, 2};
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "xlmr");
    assay_special_tokens special = assay_tokenizer_special(tokenizer);
    assert_int_equal(special.cls, 0);
    assert_int_equal(special.pad, 1);
    assert_int_equal(special.sep, 2);
    assert_int_equal(special.unk, 3);
    assert_int_equal(special.mask, assay_tokenizer_vocabulary(tokenizer) - 1);
    assert_string_equal(assay_token_text(tokenizer, special.mask), "<mask>");
    const assay_template *pair = assay_tokenizer_template(tokenizer, true);
    assert_int_equal(pair->count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pair->pieces[i].id, pair_ids[i]);
        assert_int_equal(pair->pieces[i].type, 0);
    }
    assay_tokenizer_close(tokenizer);
}

/* Every prefix that a limit asks for is one of the whole. */
static void check_limits(const char *path, const char *unit, size_t times)
{
    assay_tokenizer *tokenizer = open_or_fail(path);
    assay_buffer text;
    assay_buffer_init(&text, 0);
    for (size_t i = 0; i < times; i++)
        assay_buffer_string(&text, unit);
    assay_text given = {text.data, text.length};
    assay_tokens all = {0};
    assert_int_equal(assay_tokenizer_encode(tokenizer, given, &all, NULL), ASSAY_OK);
    for (uint32_t limit = 1; limit < all.count + 3; limit += 1 + limit / 5) {
        assay_encoding some;
        assay_tokenize_options options = {.max_tokens = limit};
        assert_int_equal(assay_tokenize(tokenizer, given, NULL, &options, &some, NULL),
                         ASSAY_OK);
        assert_int_equal(some.count, limit < all.count ? limit : all.count);
        assert_int_equal(some.truncated, limit < all.count);
        assert_memory_equal(some.ids, all.ids, some.count * sizeof *all.ids);
        assert_memory_equal(some.begins, all.begins, some.count * sizeof *all.begins);
        assert_memory_equal(some.ends, all.ends, some.count * sizeof *all.ends);
        assay_encoding_free(&some);
    }
    assay_tokens_free(&all);
    assay_buffer_free(&text);
    assay_tokenizer_close(tokenizer);
}

static void a_limit_that_does_not_bind_changes_nothing(void **state)
{
    (void)state;
    static const char *const units[] = {"the house  \xc3\xa9t\xc3\xa9 <mask> \xe2\x98\x83. ",
                                        "abcabcde", "\xe6\x97\xa5\xe6\x9c\xac", "\x01z\t"};
    static const char *const paths[] = {GOLDEN "xlmr", GOLDEN "words", GOLDEN "whole",
                                        GOLDEN "steps"};
    for (size_t p = 0; p < 4; p++)
        for (size_t u = 0; u < 4; u++)
            check_limits(paths[p], units[u], 4000);
}

/* A text is cut into segments; where they end must not show. */
static void segments_do_not_show(void **state)
{
    (void)state;
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "xlmr");
    char text[1400];
    for (size_t shift = 0; shift < 40; shift++) {
        assay_tokens whole = {0}, parts = {0};
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = "one \xc3\xa9 two  \t three, \xc2\xa0x "[(i + shift) % 25];
        text[0] = 'b';
        assert_int_equal(assay_tokenizer_encode(tokenizer, (assay_text){text, sizeof text},
                                                &whole, NULL), ASSAY_OK);
        /* Words begin at spaces, so the text may be cut before one by hand. */
        for (size_t at = 0, end; at < sizeof text; at = end) {
            end = at + 1;
            while (end < sizeof text && !(text[end] == ' ' && text[end - 1] == 'e'))
                end++;
            size_t first = parts.count;
            assert_int_equal(assay_tokenizer_encode(tokenizer, (assay_text){text + at, end - at},
                                                    &parts, NULL), ASSAY_OK);
            for (size_t i = first; i < parts.count; i++) {
                parts.begins[i] += (uint32_t)at;
                parts.ends[i] += (uint32_t)at;
            }
        }
        assert_int_equal(whole.count, parts.count);
        assert_memory_equal(whole.ids, parts.ids, whole.count * sizeof *whole.ids);
        assert_memory_equal(whole.begins, parts.begins, whole.count * sizeof *whole.begins);
        assert_memory_equal(whole.ends, parts.ends, whole.count * sizeof *whole.ends);
        assay_tokens_free(&whole);
        assay_tokens_free(&parts);
    }
    assay_tokenizer_close(tokenizer);
}

/* ------------------------------------------------------------------- lattice */

static const char *const names[] = {"<unk>", "a", "b", "aa", "aba", "bb", "abab", "baaab", "c "};
#define NAMES (sizeof names / sizeof *names)

static void make_unigram(assay_unigram *model, const double scores[NAMES])
{
    assay_piece pieces[NAMES];
    *model = (assay_unigram){.unknown = 0, .unknown_score = -40};
    model->scores = malloc(NAMES * sizeof *scores);
    assert_non_null(model->scores);
    memcpy(model->scores, scores, NAMES * sizeof *scores);
    for (size_t i = 0; i < NAMES; i++)
        pieces[i] = (assay_piece){(const uint8_t *)names[i], (uint32_t)strlen(names[i]),
                                  (int32_t)i};
    assert_int_equal(assay_piece_trie_build(&model->trie, pieces, NAMES, NULL), ASSAY_OK);
}

/* Viterbi with all of the lattice; texts of ASCII. */
static size_t plain_cut(const assay_unigram *model, const char *text, size_t length,
                        int32_t *ids, uint32_t *ends)
{
    double *best = malloc((length + 1) * sizeof *best);
    uint32_t *from = malloc((length + 1) * sizeof *from);
    int32_t *last = malloc((length + 1) * sizeof *last);
    assert_true(best != NULL && from != NULL && last != NULL);
    for (size_t i = 0; i <= length; i++)
        from[i] = UINT32_MAX;
    best[0] = 0;
    for (size_t i = 0; i < length; i++) {
        bool single = false;
        for (size_t k = 0; k < NAMES; k++) {
            size_t n = strlen(names[k]);
            if (n > length - i || memcmp(text + i, names[k], n) != 0)
                continue;
            single = single || n == 1;
            double score = best[i] + model->scores[k];
            if (from[i + n] == UINT32_MAX || score > best[i + n]) {
                best[i + n] = score;
                from[i + n] = (uint32_t)i;
                last[i + n] = (int32_t)k;
            }
        }
        double score = best[i] + model->unknown_score;
        if (!single && (from[i + 1] == UINT32_MAX || score > best[i + 1])) {
            best[i + 1] = score;
            from[i + 1] = (uint32_t)i;
            last[i + 1] = 0;
        }
    }
    size_t count = 0;
    for (size_t at = length; at > 0; at = from[at]) {
        if (last[at] == 0 && count > 0 && ids[count - 1] == 0)
            continue; /* unknowns in a row are one */
        ids[count] = last[at];
        ends[count++] = (uint32_t)at;
    }
    free(best);
    free(from);
    free(last);
    return count;
}

static void check_cut(const assay_unigram *model, assay_lattice *lattice, const char *text,
                      size_t length)
{
    int32_t *ids = malloc(length * sizeof *ids);
    uint32_t *ends = malloc(length * sizeof *ends);
    assert_true(ids != NULL && ends != NULL);
    size_t count = plain_cut(model, text, length, ids, ends);
    assay_tokens tokens = {0};
    assay_unigram_text given = {false, (const uint8_t *)text, length};
    assert_int_equal(assay_unigram_encode(model, lattice, given, SIZE_MAX, &tokens, NULL),
                     ASSAY_OK);
    assert_int_equal(tokens.count, count);
    for (size_t i = 0; i < count; i++)
        if (tokens.ids[i] != ids[count - 1 - i] || tokens.ends[i] != ends[count - 1 - i])
            fail_msg("token %zu of %zu", i, count);
    assay_tokens_free(&tokens);
    free(ids);
    free(ends);
}

static void a_mebibyte_without_a_space_is_cut_as_by_a_plain_lattice(void **state)
{
    (void)state;
    static const double scores[][NAMES] = {
        {0, -2, -2.5, -3.5, -3, -4, -5, -6, -1},
        {0, -2, -2, -4, -6, -4, -8, -10, -1},       /* every cut has the same sum */
        {0, -30, -30, -3, -90, -3, -90, -90, -1}, /* of pairs: paths run side by side */
    };
    static const size_t length = 1 << 20;
    char *text = malloc(length);
    assert_non_null(text);
    for (size_t s = 0; s < 3; s++) {
        assay_unigram model;
        assay_lattice lattice = {0};
        make_unigram(&model, scores[s]);
        uint32_t random = 7;
        for (size_t i = 0; i < length; i++) {
            random = random * 1664525 + 1013904223;
            text[i] = "aabbabac?b"[random >> 24 & 7];
        }
        check_cut(&model, &lattice, text, length);
        assert_true(lattice.capacity < 20000);
        memset(text, 'a', length);
        text[length - 1] = 'b';
        check_cut(&model, &lattice, text, length);
        assay_lattice_free(&lattice);
        memset(text, '?', length);
        check_cut(&model, &lattice, text, length);
        assert_true(lattice.capacity < 20000);
        assay_lattice_free(&lattice);
        assay_unigram_free(&model);
    }
    free(text);
}

/* As the library has it: which piece they are is asked of the text alone. */
static void unknown_characters_may_be_a_piece_together(void **state)
{
    (void)state;
    static const double scores[NAMES] = {30, 30, 30, 30, 30, 30, 30, 30, 30};
    assay_unigram model;
    assay_lattice lattice = {0};
    assay_tokens tokens = {0};
    make_unigram(&model, scores);
    model.unknown_score = 20;
    assay_unigram_text text = {false, (const uint8_t *)"c bc", 4};
    assert_int_equal(assay_unigram_encode(&model, &lattice, text, SIZE_MAX, &tokens, NULL),
                     ASSAY_OK);
    assert_int_equal(tokens.count, 3);
    assert_int_equal(tokens.ids[0], 8); /* "c ", by two unknown characters */
    assert_int_equal(tokens.ids[2], 0);
    assay_tokens_free(&tokens);
    assay_lattice_free(&lattice);
    assay_unigram_free(&model);
}

/* The trie against looking at every piece. */
static void pieces_are_found_and_no_others(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static char texts[COUNT][12];
    static assay_piece pieces[COUNT];
    uint32_t random = 1;
    for (int32_t i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        snprintf(texts[i], sizeof texts[i], "%x", random >> (random >> 28));
        for (char *c = texts[i]; *c != '\0'; c++)
            *c = (char)(*c * 37 % 251 + 1); /* all over the bytes */
        pieces[i] = (assay_piece){(const uint8_t *)texts[i], (uint32_t)strlen(texts[i]), i};
    }
    assay_piece_trie trie = {0};
    assert_int_equal(assay_piece_trie_build(&trie, pieces, COUNT, NULL), ASSAY_OK);
    for (int32_t i = 0; i < COUNT; i++) {
        int32_t found = assay_piece_trie_find(&trie, texts[i], strlen(texts[i]));
        assert_true(found >= i); /* an equal one may come later */
        assert_string_equal(texts[found], texts[i]);
        char other[16];
        snprintf(other, sizeof other, "%.14s\xff", texts[i]);
        assert_int_equal(assay_piece_trie_find(&trie, other, strlen(other)), -1);
    }
    assert_int_equal(assay_piece_trie_find(&trie, "", 0), -1);
    assay_piece_trie_free(&trie);
}

/* -------------------------------------------------------------------- scores */

static void scores_are_read_as_serde_json_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0", 0},
        {"-3", -3},
        {"-0.0", -0.0},
        {"1e2", 100},
        {"-25e-1", -2.5},
        {"-13.120699882507324", -(13120699882507324.0 / 1e15)},
        {"-9.87654321E+2", -987.654321},
        {"12345678901234567890123.5", 12345678901234567890.0 * 1e3},
        {"-3.14159265358979323846264338327950288", -(3141592653589793238.0 / 1e18)},
        {"1e-400", 0},
        {"0e99999999999", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        int length = snprintf(text, sizeof text, "[ [\"a\" , %s ] ]", cases[i].text);
        assay_vocabulary words = {0};
        double *scores = NULL;
        assay_json_span span = {0, (size_t)length};
        assert_int_equal(assay_vocabulary_json_read_scored(text, &span, "f", &words, &scores,
                                                           NULL), ASSAY_OK);
        if (memcmp(scores, &cases[i].value, sizeof *scores) != 0)
            fail_msg("%s is %.17g, not %.17g", cases[i].text, scores[0], cases[i].value);
        assay_vocabulary_free(&words);
        free(scores);
    }
}

/* ------------------------------------------------------------------ graphemes */

static void clusters_end_where_the_annex_says(void **state)
{
    (void)state;
    static const struct {
        uint32_t points[6];
        size_t length; /* of the first cluster */
    } cases[] = {
        {{'a', 0x301, 'b'}, 2},        {{'\r', '\n', 'x'}, 2},
        {{'\n', '\r'}, 1},             {{0x301, 0x301}, 2},
        {{0x200B, 0x301}, 1},          {{'a', 0x903, 'b'}, 2},
        {{0x600, 'a', 'b'}, 2},        {{0x600, '\n'}, 1},
        {{0x1100, 0x1161, 0x11A8, 0x1100}, 3},
        {{0xAC00, 0x11A8, 0x1161}, 2}, {{0xAC01, 0x1161}, 1},
        {{0x1F1E9, 0x1F1EA, 0x1F1EB}, 2},
        {{0x1F469, 0x200D, 0x1F469, 0x1F469}, 3},
        {{0x1F469, 0x301, 0x200D, 0x1F469}, 4},
        {{'a', 0x200D, 0x1F469}, 2},   {{0x915, 0x94D, 0x937, 0x915}, 3},
        {{0x915, 0x937}, 1},           {{0x915, 0x200C, 0x94D, 0x937}, 3},
        {{0x915, 0x94D, 0x200D, 0x937}, 4},
        {{'a', 0xE0100, 'b'}, 2},
    };
    assay_grapheme_table *table = malloc(sizeof *table);
    assert_non_null(table);
    assay_grapheme_table_fill(table);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_grapheme cluster = {0};
        size_t length = 0;
        while (length < 6 && cases[i].points[length] != 0 &&
               assay_grapheme_take(&cluster, table, cases[i].points[length]))
            length++;
        if (length != cases[i].length)
            fail_msg("case %zu: %zu, not %zu", i, length, cases[i].length);
    }
    free(table);
}

/* -------------------------------------------------------------------- charsmaps */

static void encode_base64(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (i + 1 < length ? bytes[i + 1] << 8 : 0) |
                        (i + 2 < length ? bytes[i + 2] : 0u);
        for (int k = 0; k < 4; k++)
            *out++ = (int)(length - i) < k ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    *out = '\0';
}

typedef struct map_case {
    uint32_t bytes;     /* of the trie, as said; 0: as it is */
    size_t unit_count;
    struct {
        uint32_t at, unit;
    } units[6];
    const char *strings;
    size_t string_bytes;
    const char *message; /* NULL: the map is fine */
} map_case;

#define CHILDREN (256u << 10)                          /* a root's, at 256 */
#define LETTER(c, offset) ((c) | (uint32_t)(offset) << 10) /* a child */
#define ENDS (1u << 8)
#define VALUE(v) ((v) | 1u << 31)

static const map_case map_cases[] = {
    {.unit_count = 512, .strings = "X\0", .string_bytes = 2},
    {.unit_count = 512, .strings = "X\0", .string_bytes = 2,
     .units = {{0, CHILDREN}, {256 ^ 'a', LETTER('a', 1) | ENDS}, {256 ^ 'a' ^ 1, VALUE(0)}}},
    {.unit_count = 512, .strings = "X\0", .string_bytes = 2,
     .message = "no string begins at byte 2",
     .units = {{0, CHILDREN}, {256 ^ 'a', LETTER('a', 1) | ENDS}, {256 ^ 'a' ^ 1, VALUE(2)}}},
    {.unit_count = 512, .strings = "\xc3\xa9\0", .string_bytes = 3,
     .message = "no string begins at byte 1",
     .units = {{0, CHILDREN}, {256 ^ 'a', LETTER('a', 1) | ENDS}, {256 ^ 'a' ^ 1, VALUE(1)}}},
    {.unit_count = 512, .strings = "\xc3\0", .string_bytes = 2, .message = "UTF-8"},
    {.unit_count = 512, .strings = "", .units = {{0, CHILDREN}, {256 ^ 'a', LETTER('a', 'a')}},
     .message = "circle"},
    {.unit_count = 512, .strings = "", .units = {{0, CHILDREN}, {256 ^ 'a', LETTER('a', 4096)}},
     .message = "unit 4607, it has 512"},
    {.unit_count = 512, .strings = "", .units = {{0, 512u << 10}}, .message = "unit 767"},
    {.unit_count = 512, .strings = "", .units = {{0, 1u << 9 | 2u << 10}}, .message = "unit 767"},
    {.unit_count = 100, .strings = "", .message = "unit 255, it has 100"},
    {.bytes = 4000, .unit_count = 512, .strings = "", .message = "does not fit"},
    {.bytes = 2047, .unit_count = 512, .strings = "", .message = "does not fit"},
    {.unit_count = 0, .strings = "X", .string_bytes = 1, .message = "the trie is empty"},
};

/* The map of a case, as base64. */
static void make_map(const map_case *m, char out[4096])
{
    uint8_t blob[4 + 512 * 4 + 8] = {0};
    uint32_t bytes = m->bytes > 0 ? m->bytes : (uint32_t)m->unit_count * 4;
    size_t length = 4 + 4 * m->unit_count;
    memcpy(blob, &bytes, 4);
    for (size_t i = 0; i < 6 && m->units[i].unit != 0; i++)
        memcpy(blob + 4 + 4 * m->units[i].at, &m->units[i].unit, 4);
    memcpy(blob + length, m->strings, m->string_bytes);
    encode_base64(blob, length + m->string_bytes, out);
}

static void wrong_charsmaps_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof map_cases / sizeof *map_cases; i++) {
        char text[4096];
        make_map(&map_cases[i], text);
        assay_charsmap map = {0};
        assay_error error = {0};
        assay_status got = assay_charsmap_read(&map, text, strlen(text), "f: m", &error);
        const char *message = map_cases[i].message;
        if ((got == ASSAY_OK) != (message == NULL) ||
            (message != NULL && strstr(error.message, message) == NULL))
            fail_msg("case %zu: %s", i, error.message);
        if (message != NULL)
            assert_string_equal(error.where, "f: m");
        if (i == 1) {
            assert_string_equal(assay_charsmap_find(&map, (const uint8_t *)"ab", 2), "X");
            assert_null(assay_charsmap_find(&map, (const uint8_t *)"ba", 2));
        }
        assay_charsmap_free(&map);
    }
}

/* --------------------------------------------------------------------- files */

#define GOOD_VOCAB "[[\"<s>\",0],[\"</s>\",0.0],[\"<unk>\",-1],[\"\xe2\x96\x81\x61\",-2.5]]"
#define GOOD_MODEL "{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":" GOOD_VOCAB "}"
#define GOOD_SPLIT "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\"}"
#define GOOD_POST \
    "{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",1],\"cls\":[\"<s>\",0]," \
    "\"trim_offsets\":false}"
#define WITH(vocab) "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":" vocab "}"
#define LIST(items) "{\"type\":\"Sequence\",\"normalizers\":[" items "]}"

typedef struct wrong_file {
    const char *model, *normalizer, *split, *post, *rest;
    assay_status status;
    const char *where, *message;
} wrong_file;

static void write_json(const wrong_file *w)
{
    char text[8192];
    int length = snprintf(text, sizeof text,
                          "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,%s\n"
                          "\"model\":%s}",
                          w->normalizer != NULL ? w->normalizer : "null",
                          w->split != NULL ? w->split : GOOD_SPLIT,
                          w->post != NULL ? w->post : GOOD_POST, w->rest != NULL ? w->rest : "",
                          w->model != NULL ? w->model : GOOD_MODEL);
    assert_true(length < (int)sizeof text);
    write_file("tokenizer.json", text, (size_t)length);
}

static const wrong_file wrong_files[] = {
    {.model = WITH("[[\"a\",\"1\"]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "finite number"},
    {.model = WITH("[[\"a\",NaN]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "finite number"},
    {.model = WITH("[[\"a\",-Infinity]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "finite number"},
    {.model = WITH("[[\"a\",1e999]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "finite number"},
    {.model = WITH("[[\"a\",01]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("[[\"a\",1.]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("[[\"a\",-]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("[[\"a\",1e]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("[[\"a\",null]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("[[\"a\"]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "',' after a piece"},
    {.model = WITH("[[\"a\",1,2]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "']' after a score"},
    {.model = WITH("[\n[3,1]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "line 3"},
    {.model = WITH("[[\"a\",1] [\"b\",1]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "',' or ']'"},
    {.model = WITH("[[\"\xff\",1]]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "UTF-8"},
    {.model = WITH("[]"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "not empty"},
    {.model = WITH("{\"a\":0}"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "list of pieces"},
    {.model = "{\"type\":\"WordPiece\",\"vocab\":" GOOD_VOCAB "}", .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "object of tokens"},
    {.model = "{\"type\":\"Unigram\",\"vocab\":" GOOD_VOCAB "}", .status = ASSAY_E_FORMAT,
     .where = "model.unk_id", .message = "unknown characters, below 4"},
    {.model = "{\"type\":\"Unigram\",\"unk_id\":null,\"vocab\":" GOOD_VOCAB "}",
     .status = ASSAY_E_FORMAT, .where = "model.unk_id"},
    {.model = "{\"type\":\"Unigram\",\"unk_id\":4,\"vocab\":" GOOD_VOCAB "}",
     .status = ASSAY_E_FORMAT, .where = "unk_id", .message = "between"},
    {.model = "{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":1,\"vocab\":" GOOD_VOCAB "}",
     .status = ASSAY_E_FORMAT, .where = "byte_fallback", .message = "true or false"},
    {.normalizer = "{\"type\":\"NFKC\"}", .status = ASSAY_E_UNSUPPORTED, .where = "normalizer",
     .message = "NFKC is not supported, Precompiled"},
    {.normalizer = "3", .status = ASSAY_E_UNSUPPORTED, .where = "normalizer",
     .message = "without type"},
    {.normalizer = LIST("{\"type\":\"Strip\"},{\"type\":\"Lowercase\"}"),
     .status = ASSAY_E_UNSUPPORTED, .where = "normalizer.normalizers[1]",
     .message = "Lowercase"},
    {.normalizer = LIST(LIST("")), .status = ASSAY_E_UNSUPPORTED,
     .where = "normalizer.normalizers[0]", .message = "Sequence"},
    {.normalizer = LIST("{\"type\":\"Strip\",\"strip_left\":1}"), .status = ASSAY_E_FORMAT,
     .where = "strip_left"},
    {.normalizer = LIST("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},"
                        "\"content\":\" \"}"),
     .status = ASSAY_E_UNSUPPORTED, .where = "normalizer.normalizers[0]", .message = "\\s+"},
    {.normalizer = LIST("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\" \"}"),
     .status = ASSAY_E_FORMAT, .where = "normalizer.normalizers[0]", .message = "String"},
    {.normalizer = LIST("{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}"),
     .status = ASSAY_E_FORMAT, .where = "normalizer.normalizers[0]", .message = "content"},
    {.normalizer = LIST("{\"type\":\"Prepend\"}"), .status = ASSAY_E_FORMAT,
     .where = "normalizer.normalizers[0]", .message = "prepend"},
    {.normalizer = "{\"type\":\"Precompiled\"}", .status = ASSAY_E_FORMAT,
     .where = "normalizer.precompiled_charsmap", .message = "string"},
    {.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}",
     .status = ASSAY_E_FORMAT, .where = "normalizer.precompiled_charsmap"},
    {.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA\"}",
     .status = ASSAY_E_FORMAT, .where = "normalizer.precompiled_charsmap",
     .message = "multiple of 4"},
    {.normalizer = LIST("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA*A\"}"),
     .status = ASSAY_E_FORMAT, .where = "normalizer.normalizers[0].precompiled_charsmap",
     .message = "character 2"},
    {.normalizer = LIST("{\"type\":\"Strip\"},{\"type\":\"Precompiled\","
                        "\"precompiled_charsmap\":\"AAAA\"}"),
     .status = ASSAY_E_UNSUPPORTED, .where = "normalizer.normalizers[1]",
     .message = "after another"},
    {.split = "null", .status = ASSAY_E_UNSUPPORTED, .where = "pre_tokenizer",
     .message = "Metaspace"},
    {.split = "{\"type\":\"ByteLevel\"}", .status = ASSAY_E_UNSUPPORTED,
     .where = "pre_tokenizer", .message = "ByteLevel"},
    {.split = "{\"type\":\"Metaspace\",\"replacement\":\"_\"}", .status = ASSAY_E_UNSUPPORTED,
     .where = "pre_tokenizer", .message = "\"_\""},
    {.split = "{\"type\":\"Metaspace\",\"prepend_scheme\":\"last\"}", .status = ASSAY_E_FORMAT,
     .where = "pre_tokenizer", .message = "\"last\""},
    {.split = "{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}",
     .status = ASSAY_E_FORMAT, .where = "pre_tokenizer", .message = "add_prefix_space"},
    {.split = "{\"type\":\"Metaspace\",\"split\":\"no\"}", .status = ASSAY_E_FORMAT,
     .where = "split"},
    {.split = "{\"type\":\"Sequence\",\"pretokenizers\":[]}", .status = ASSAY_E_UNSUPPORTED,
     .where = "pre_tokenizer", .message = "none"},
    {.split = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"}," GOOD_SPLIT "]}",
     .status = ASSAY_E_UNSUPPORTED, .where = "pretokenizers[0]", .message = "Digits"},
    {.post = "{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",1],\"cls\":[\"<s>\",0]}",
     .status = ASSAY_E_UNSUPPORTED, .where = "post_processor", .message = "trim_offsets"},
    {.post = "{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",9],\"cls\":[\"<s>\",0],"
             "\"trim_offsets\":false}",
     .status = ASSAY_E_FORMAT, .where = "post_processor", .message = "below 4"},
    {.rest = "\"added_tokens\":[{\"id\":9,\"content\":\"z\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "next free id is 4"},
    {.rest = "\"added_tokens\":[{\"id\":4,\"content\":\"<s>\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "in the vocabulary it is 0"},
    {.rest = "\"added_tokens\":[{\"id\":3,\"content\":\" a\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "next free id is 4"},
    {.rest = "oops", .status = ASSAY_E_FORMAT, .where = "tokenizer.json", .message = "line 1"},
};

static void wrong_files_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_files / sizeof *wrong_files; i++) {
        const wrong_file *w = &wrong_files[i];
        write_json(w);
        expect_error(w->status, w->where != NULL ? w->where : "tokenizer.json",
                     w->message != NULL ? w->message : "");
    }
    write_json(&(wrong_file){0});
    assay_tokenizer_close(open_or_fail(folder));
}

static void a_charsmap_in_a_file_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof map_cases / sizeof *map_cases; i++) {
        char text[4096], normalizer[4200];
        make_map(&map_cases[i], text);
        snprintf(normalizer, sizeof normalizer,
                 "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%s\"}", text);
        write_json(&(wrong_file){.normalizer = normalizer});
        if (map_cases[i].message != NULL)
            expect_error(ASSAY_E_FORMAT, "tokenizer.json: normalizer.precompiled_charsmap",
                         map_cases[i].message);
        else
            assay_tokenizer_close(open_or_fail(folder));
    }
}

static void a_sentencepiece_file_alone_is_refused(void **state)
{
    (void)state;
    drop_file("tokenizer.json");
    write_file("sentencepiece.bpe.model", "x", 1);
    expect_error(ASSAY_E_UNSUPPORTED, "sentencepiece.bpe.model", "tokenizer.json is needed");
    drop_file("sentencepiece.bpe.model");
}

/* The digest covers scores and charsmap, not templates. */
static void the_digest_follows_what_ids_depend_on(void **state)
{
    (void)state;
    static const wrong_file files[] = {
        {0},
        {.post = "{\"type\":\"BertProcessing\",\"sep\":[\"</s>\",1],\"cls\":[\"<s>\",0]}"},
        {.model = "{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":[[\"<s>\",0],[\"</s>\",0.0],"
                  "[\"<unk>\",-1],[\"\xe2\x96\x81\x61\",-2.25]]}"},
        {.normalizer = "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}"},
    };
    assay_digest digests[4];
    for (size_t i = 0; i < 4; i++) {
        write_json(&files[i]);
        assay_tokenizer *tokenizer = open_or_fail(folder);
        digests[i] = assay_tokenizer_digest(tokenizer);
        assay_tokenizer_close(tokenizer);
    }
    assert_memory_equal(&digests[0], &digests[1], sizeof digests[0]);
    assert_memory_not_equal(&digests[0], &digests[2], sizeof digests[0]);
    assert_memory_not_equal(&digests[0], &digests[3], sizeof digests[0]);
}

static void cut_short_anywhere_is_an_error(void **state)
{
    (void)state;
    assay_buffer text;
    assay_buffer_init(&text, 0);
    assert_int_equal(assay_file_read(GOLDEN "words/tokenizer.json", &text, NULL), ASSAY_OK);
    size_t length = text.length;
    while (length > 0 && text.data[length - 1] != '}')
        length--;
    for (size_t cut = 1; cut < length; cut += 1 + cut / 40) {
        assay_tokenizer *tokenizer = NULL;
        assay_error error = {0};
        write_file("tokenizer.json", text.data, length - cut);
        if (assay_tokenizer_open(folder, &tokenizer, &error) == ASSAY_OK)
            fail_msg("%zu bytes less are not missed", cut);
        assert_true(error.message[0] != '\0' && error.where[0] != '\0');
    }
    assay_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_xlm_roberta_is_converted),
        cmocka_unit_test(words_then_marks_as_the_library),
        cmocka_unit_test(whole_texts_and_bytes_as_the_library),
        cmocka_unit_test(every_step_as_the_library),
        cmocka_unit_test(special_tokens_and_templates_are_told),
        cmocka_unit_test(a_limit_that_does_not_bind_changes_nothing),
        cmocka_unit_test(segments_do_not_show),
        cmocka_unit_test(a_mebibyte_without_a_space_is_cut_as_by_a_plain_lattice),
        cmocka_unit_test(unknown_characters_may_be_a_piece_together),
        cmocka_unit_test(pieces_are_found_and_no_others),
        cmocka_unit_test(scores_are_read_as_serde_json_reads_them),
        cmocka_unit_test(clusters_end_where_the_annex_says),
        cmocka_unit_test(wrong_charsmaps_are_named),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(a_charsmap_in_a_file_is_named),
        cmocka_unit_test(a_sentencepiece_file_alone_is_refused),
        cmocka_unit_test(the_digest_follows_what_ids_depend_on),
        cmocka_unit_test(cut_short_anywhere_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
