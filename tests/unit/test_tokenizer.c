/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokenizer.c: goldens of the Hugging Face tokenizers library (made by
 * tools/golden/tokenizer.py), truncation, and every way a file can be wrong. */
#include "tokenizer_test.h"

#include "text/unicode.h"
#include "text/vocabulary.h"

#define GOLDEN "tests/golden/tokenizer/"

static void uncased_as_the_library(void **state)
{
    (void)state;
    check_goldens(GOLDEN "cut", GOLDEN "cut/cases.json");
}

static void cased_with_added_tokens_as_the_library(void **state)
{
    (void)state;
    check_goldens(GOLDEN "small/tokenizer.json", GOLDEN "small/cases.json");
}

static void vocabulary_file_as_the_library(void **state)
{
    (void)state;
    check_goldens(GOLDEN "vocab", GOLDEN "vocab/cases.json");
    check_goldens(GOLDEN "vocab/vocab.txt", GOLDEN "vocab/cases.json");
}

/* --------------------------------------------------------------- properties */

static void special_tokens_and_texts_are_known(void **state)
{
    (void)state;
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "small");
    assay_special_tokens special = assay_tokenizer_special(tokenizer);
    assert_int_equal(special.pad, 0);
    assert_int_equal(special.unk, 1);
    assert_int_equal(special.cls, 2);
    assert_int_equal(special.sep, 3);
    assert_int_equal(special.mask, 4);
    assert_string_equal(assay_token_text(tokenizer, 6), "##aff");
    int32_t last = (int32_t)assay_tokenizer_vocabulary(tokenizer) - 1;
    assert_string_equal(assay_token_text(tokenizer, last), "<x>");
    assert_null(assay_token_text(tokenizer, last + 1));
    assert_null(assay_token_text(tokenizer, -1));
    assert_int_equal(assay_tokenizer_limit(tokenizer), 0);
    assay_tokenizer_close(tokenizer);
    assay_tokenizer_close(NULL);
    assay_encoding_free(NULL);
}

static void templates_are_told(void **state)
{
    (void)state;
    static const assay_template_piece expected[] = {
        {ASSAY_PIECE_SPECIAL, 0, 2}, {ASSAY_PIECE_FIRST, 0, -1},  {ASSAY_PIECE_SPECIAL, 0, 3},
        {ASSAY_PIECE_SECOND, 1, -1}, {ASSAY_PIECE_SPECIAL, 1, 3},
    };
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "small");
    for (int pair = 0; pair < 2; pair++) {
        const assay_template *found = assay_tokenizer_template(tokenizer, pair);
        assert_int_equal(found->count, pair ? 5 : 3);
        assert_int_equal(found->special, pair ? 3 : 2);
        for (size_t i = 0; i < found->count; i++) {
            assert_int_equal(found->pieces[i].kind, expected[i].kind);
            assert_int_equal(found->pieces[i].type, expected[i].type);
            assert_int_equal(found->pieces[i].id, expected[i].id);
        }
    }
    assay_tokenizer_close(tokenizer);
}

static void special_tokens_only_when_asked(void **state)
{
    (void)state;
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "small");
    assay_encoding encoding;
    assay_text text = {"unaffable", 9}, empty = {NULL, 0};
    assert_int_equal(assay_tokenize(tokenizer, text, NULL, NULL, &encoding, NULL), ASSAY_OK);
    assert_int_equal(encoding.count, 3); /* un ##aff ##able */
    assert_false(encoding.truncated);
    assay_encoding_free(&encoding);
    assert_int_equal(assay_tokenize(tokenizer, empty, &empty, NULL, &encoding, NULL), ASSAY_OK);
    assert_int_equal(encoding.count, 3);
    assay_encoding_free(&encoding);
    assay_tokenizer_close(tokenizer);
}

static void truncation_is_told(void **state)
{
    (void)state;
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "small");
    assay_encoding encoding;
    assay_error error;
    assay_text a = {"a a a a", 7}, b = {"e e e", 5};
    struct {
        uint32_t limit;
        size_t count;
        bool cut;
    } cases[] = {{6, 6, false}, {5, 5, true}, {2, 2, true}, {0, 6, false}};
    for (size_t i = 0; i < 4; i++) {
        assay_tokenize_options options = {.special = true, .max_tokens = cases[i].limit};
        assert_int_equal(assay_tokenize(tokenizer, a, NULL, &options, &encoding, &error),
                         ASSAY_OK);
        assert_int_equal(encoding.count, cases[i].count);
        assert_int_equal(encoding.truncated, cases[i].cut);
        assay_encoding_free(&encoding);
    }
    /* Three special tokens and four of the first: seven leave none for the second. */
    assay_tokenize_options options = {.max_tokens = 7};
    assert_int_equal(assay_tokenize(tokenizer, a, &b, &options, &encoding, &error),
                     ASSAY_E_LIMIT);
    assert_non_null(strstr(error.message, "first text"));
    options.max_tokens = 8;
    assert_int_equal(assay_tokenize(tokenizer, a, &b, &options, &encoding, &error), ASSAY_OK);
    assert_int_equal(encoding.count, 8);
    assert_true(encoding.truncated);
    assay_encoding_free(&encoding);
    options.max_tokens = 2;
    assert_int_equal(assay_tokenize(tokenizer, a, &b, &options, &encoding, &error),
                     ASSAY_E_LIMIT);
    assert_string_equal(error.where, "max_tokens");
    assay_tokenizer_close(tokenizer);
}

static void pairs_are_cut_as_the_library_cuts(void **state)
{
    (void)state;
    static const struct {
        size_t first, second, room, keep_first, keep_second;
    } cases[] = {{3, 4, 7, 3, 4},  {3, 9, 8, 3, 5}, {9, 3, 8, 5, 3}, {9, 9, 7, 3, 4},
                 {10, 9, 7, 4, 3}, {1, 9, 1, 0, 1}, {5, 5, 0, 0, 0}, {0, 9, 4, 0, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t first, second;
        assert_int_equal(assay_truncate_pair(cases[i].first, cases[i].second, cases[i].room,
                                             ASSAY_TRUNCATE_LONGEST_FIRST, &first, &second,
                                             NULL), ASSAY_OK);
        assert_int_equal(first, cases[i].keep_first);
        assert_int_equal(second, cases[i].keep_second);
    }
    size_t first, second;
    assert_int_equal(assay_truncate_pair(7, 0, 7, ASSAY_TRUNCATE_ONLY_SECOND, &first, &second,
                                         NULL), ASSAY_OK);
    assert_int_equal(assay_truncate_pair(7, 1, 7, ASSAY_TRUNCATE_ONLY_SECOND, &first, &second,
                                         NULL), ASSAY_E_LIMIT);
}

static void a_limit_that_does_not_bind_changes_nothing(void **state)
{
    (void)state;
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "cut");
    char text[6000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "the fox \xc3\xa9. "[i % 12];
    assay_tokens all = {0};
    assert_int_equal(assay_tokenizer_encode(tokenizer, (assay_text){text, sizeof text}, &all,
                                            NULL), ASSAY_OK);
    for (uint32_t limit = 1; limit < all.count + 3; limit += 97) {
        assay_encoding encoding;
        assay_tokenize_options options = {.max_tokens = limit};
        assert_int_equal(assay_tokenize(tokenizer, (assay_text){text, sizeof text}, NULL,
                                        &options, &encoding, NULL), ASSAY_OK);
        assert_int_equal(encoding.count, limit < all.count ? limit : all.count);
        assert_int_equal(encoding.truncated, limit < all.count);
        assert_memory_equal(encoding.ids, all.ids, encoding.count * sizeof *all.ids);
        assay_encoding_free(&encoding);
    }
    assay_tokens_free(&all);
    assay_tokenizer_close(tokenizer);
}

static void a_mebibyte_without_a_space_is_one_unknown(void **state)
{
    (void)state;
    assay_tokenizer *tokenizer = open_or_fail(GOLDEN "cut");
    size_t length = 1 << 20;
    char *text = malloc(length);
    assert_non_null(text);
    memset(text, 'a', length);
    assay_tokens tokens = {0};
    assert_int_equal(assay_tokenizer_encode(tokenizer, (assay_text){text, length}, &tokens, NULL),
                     ASSAY_OK);
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.ids[0], assay_tokenizer_special(tokenizer).unk);
    assert_int_equal(tokens.ends[0], length);
    for (size_t i = 0; i < length; i += 2) /* U+0301: one run of marks */
        memcpy(text + i, "\xcc\x81", 2);
    tokens.count = 0;
    assert_int_equal(assay_tokenizer_encode(tokenizer, (assay_text){text, length}, &tokens, NULL),
                     ASSAY_OK);
    assert_int_equal(tokens.count, 0);
    free(text);
    assay_tokens_free(&tokens);
    assay_tokenizer_close(tokenizer);
}

static void invalid_utf8_reads_as_replacement(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t lengths[5];
    } cases[] = {{"\xe2\x82", {2}}, {"\xf0\x9f\x98", {3}}, {"\xed\xa0\x80", {1, 1, 1}},
                 {"\xc0\xaf", {1, 1}}, {"\xf4\x90\x80", {1, 1, 1}}, {"\xe0\x80", {1, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = 0, length = strlen(cases[i].bytes);
        for (size_t k = 0; at < length; k++) {
            size_t begin = at;
            assert_int_equal(assay_utf8_next((const uint8_t *)cases[i].bytes, length, &at),
                             ASSAY_REPLACEMENT);
            assert_int_equal(at - begin, cases[i].lengths[k]);
        }
        assert_int_equal(assay_utf8_check((const uint8_t *)cases[i].bytes, length), 0);
    }
}

static void every_point_survives_utf8(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x110000; point++) {
        if (point >= 0xD800 && point < 0xE000)
            continue;
        uint8_t bytes[4];
        size_t length = assay_utf8_put(point, bytes), at = 0, back = length;
        if (assay_utf8_next(bytes, length, &at) != point || at != length ||
            assay_utf8_previous(bytes, &back) != point || back != 0)
            fail_msg("U+%04X", point);
    }
}

/* ------------------------------------------------------------------- errors */

#define GOOD_NORMALIZER "{\"type\":\"BertNormalizer\",\"lowercase\":true}"
#define GOOD_SPLIT "{\"type\":\"BertPreTokenizer\"}"
#define GOOD_POST "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\",1]}"
#define GOOD_VOCAB "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3}"
#define GOOD_MODEL "{\"type\":\"WordPiece\",\"vocab\":" GOOD_VOCAB "}"
#define WITH(vocab) "{\"type\":\"WordPiece\",\"vocab\":" vocab "}"

typedef struct wrong_file {
    const char *model, *normalizer, *split, *post, *rest;
    assay_status status;
    const char *where, *message;
} wrong_file;

static void write_json(const wrong_file *w)
{
    char text[4096];
    int length = snprintf(text, sizeof text,
                          "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,%s\n"
                          "\"model\":%s}",
                          w->normalizer != NULL ? w->normalizer : GOOD_NORMALIZER,
                          w->split != NULL ? w->split : GOOD_SPLIT,
                          w->post != NULL ? w->post : GOOD_POST, w->rest != NULL ? w->rest : "",
                          w->model != NULL ? w->model : GOOD_MODEL);
    write_file("tokenizer.json", text, (size_t)length);
}

static const wrong_file wrong_files[] = {
    {.model = "{\"type\":\"BPE\",\"vocab\":{\"a\":7}}", .status = ASSAY_E_UNSUPPORTED,
     .where = "model.type", .message = "BPE"},
    {.model = "{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1.5],[\"b\",-2]]}",
     .status = ASSAY_E_UNSUPPORTED, .where = "normalizer", .message = "BertNormalizer"},
    {.model = "{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}", .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "list of pieces"},
    {.model = "3", .status = ASSAY_E_UNSUPPORTED, .where = "model.type"},
    {.model = WITH("{}"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("[]"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("7"), .status = ASSAY_E_FORMAT, .where = "model.vocab"},
    {.model = WITH("{\"[UNK]\":0,\"a\":-1}"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "line 2"},
    {.model = WITH("{\"[UNK]\":0,\"a\":1.5}"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "whole number"},
    {.model = WITH("{\"[UNK]\":0,\"a\":\"1\"}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "whole number"},
    {.model = WITH("{\"[UNK]\":0,\"a\":99999999999999999999}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "whole number"},
    {.model = WITH("{\"[UNK]\":0,\"a\":2}"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "id 2 is too large"},
    {.model = WITH("{\"[UNK]\":0,\"a\":0}"), .status = ASSAY_E_FORMAT, .where = "model.vocab",
     .message = "id 0 is taken"},
    {.model = WITH("{\"[UNK]\":0,\"a\":1,\"a\":2}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "twice"},
    {.model = WITH("{\"[UNK]\":0,\"\\ud800\":1}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "surrogates"},
    {.model = WITH("{\"[UNK]\":0,\"a\\u0000\":1}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "\\u"},
    {.model = WITH("{\"[UNK]\":0,\"\xff\":1}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "UTF-8"},
    {.model = WITH("{\"[UNK]\":0,\"a\\x\":1}"), .status = ASSAY_E_FORMAT,
     .where = "model.vocab", .message = "backslash"},
    {.model = WITH("{\"[UNK]\" 0}"), .status = ASSAY_E_FORMAT, .message = "':'"},
    {.model = WITH("{\"a\":0}"), .status = ASSAY_E_FORMAT, .where = "model",
     .message = "\"[UNK]\" is not in the vocabulary"},
    {.model = "{\"type\":\"WordPiece\",\"unk_token\":3,\"vocab\":" GOOD_VOCAB "}",
     .status = ASSAY_E_FORMAT, .where = "unk_token", .message = "string"},
    {.model = "{\"type\":\"WordPiece\",\"max_input_chars_per_word\":-5,\"vocab\":" GOOD_VOCAB "}",
     .status = ASSAY_E_FORMAT, .where = "max_input_chars_per_word"},
    {.normalizer = "null", .status = ASSAY_E_UNSUPPORTED, .where = "normalizer",
     .message = "BertNormalizer"},
    {.normalizer = "{\"type\":\"NFKC\"}", .status = ASSAY_E_UNSUPPORTED, .where = "normalizer",
     .message = "NFKC"},
    {.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{}]}",
     .status = ASSAY_E_UNSUPPORTED, .where = "normalizer", .message = "Sequence"},
    {.normalizer = "{\"type\":\"BertNormalizer\",\"lowercase\":\"yes\"}",
     .status = ASSAY_E_FORMAT, .where = "lowercase", .message = "true or false"},
    {.split = "{\"type\":\"Whitespace\"}", .status = ASSAY_E_UNSUPPORTED,
     .where = "pre_tokenizer", .message = "Whitespace"},
    {.post = "null", .status = ASSAY_E_UNSUPPORTED, .where = "post_processor"},
    {.post = "{\"type\":\"RobertaProcessing\"}", .status = ASSAY_E_UNSUPPORTED,
     .where = "post_processor", .message = "RobertaProcessing"},
    {.post = "{\"type\":\"BertProcessing\",\"sep\":[\"x\",4],\"cls\":[\"y\",1]}",
     .status = ASSAY_E_FORMAT, .where = "post_processor", .message = "below 4"},
    {.post = "{\"type\":\"TemplateProcessing\"}", .status = ASSAY_E_FORMAT,
     .where = "post_processor.single", .message = "list"},
    {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"C\"}}]}",
     .status = ASSAY_E_FORMAT, .where = "post_processor.single", .message = "\"C\""},
    {.post = "{\"type\":\"TemplateProcessing\",\"single\":[]}", .status = ASSAY_E_FORMAT,
     .where = "post_processor.single", .message = "Sequence A"},
    {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"Q\"}}]}",
     .status = ASSAY_E_FORMAT, .where = "post_processor.single", .message = "\"Q\""},
    {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\","
             "\"type_id\":2}}]}",
     .status = ASSAY_E_FORMAT, .where = "type_id", .message = "between"},
    {.rest = "\"added_tokens\":{},", .status = ASSAY_E_FORMAT, .where = "added_tokens"},
    {.rest = "\"added_tokens\":[3],", .status = ASSAY_E_FORMAT, .where = "added_tokens[0]"},
    {.rest = "\"added_tokens\":[{\"content\":\"z\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "without id"},
    {.rest = "\"added_tokens\":[{\"id\":4}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "content"},
    {.rest = "\"added_tokens\":[{\"id\":-4,\"content\":\"z\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]: id"},
    {.rest = "\"added_tokens\":[{\"id\":9,\"content\":\"z\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "next free id is 4"},
    {.rest = "\"added_tokens\":[{\"id\":2,\"content\":\"a\"}],", .status = ASSAY_E_FORMAT,
     .where = "added_tokens[0]", .message = "in the vocabulary it is 3"},
    {.rest = "\"added_tokens\":[{\"id\":4,\"content\":\"z\",\"lstrip\":1}],",
     .status = ASSAY_E_FORMAT, .where = "lstrip"},
    {.rest = "\"added_tokens\":[{\"id\":4,\"content\":\"\xcc\x81\"}],",
     .status = ASSAY_E_FORMAT, .where = "added_tokens[0]", .message = "nothing is left"},
    {.rest = "\"added_tokens\":[{\"id\":3,\"content\":\"a\"},{\"id\":3,\"content\":\"a\"}],",
     .status = ASSAY_E_FORMAT, .where = "added_tokens", .message = "twice"},
    {.rest = "\"truncation\":{\"direction\":\"Left\"},", .status = ASSAY_E_UNSUPPORTED,
     .where = "truncation.direction", .message = "Left"},
    {.rest = "\"truncation\":{\"max_length\":-1},", .status = ASSAY_E_FORMAT,
     .where = "max_length"},
    {.rest = "oops", .status = ASSAY_E_FORMAT, .where = "tokenizer.json", .message = "line 1"},
    {.model = WITH("{\"[UNK]\":0,\n\n\n\"a\":1}") " oops", .status = ASSAY_E_FORMAT,
     .where = "tokenizer.json", .message = "line 5"},
};

static void wrong_tokenizer_json_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_files / sizeof *wrong_files; i++) {
        const wrong_file *w = &wrong_files[i];
        write_json(w);
        expect_error(w->status, w->where != NULL ? w->where : "",
                     w->message != NULL ? w->message : "");
    }
    write_json(&(wrong_file){0});
    assay_tokenizer_close(open_or_fail(folder));
}

static assay_digest digest_of_folder(void)
{
    assay_tokenizer *tokenizer = open_or_fail(folder);
    assay_digest digest = assay_tokenizer_digest(tokenizer);
    assay_tokenizer_close(tokenizer);
    return digest;
}

/* Equal digests, equal ids: what ids do not depend on is left out. */
static void the_digest_follows_what_ids_depend_on(void **state)
{
    (void)state;
    const wrong_file same[] = {
        {.rest = "\"truncation\":{\"max_length\":77,\"direction\":\"Right\"},"},
        {.rest = "\"version\":\"1.0\",\"padding\":{\"pad_token\":\"[PAD]\"},"},
        {.post = "{\"type\":\"BertProcessing\",\"sep\":[\"x\",1],\"cls\":[\"y\",1]}"},
    };
    const wrong_file other[] = {
        {.model = WITH("{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"b\":3}")},
        {.model = WITH("{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"b\":4}")},
        {.normalizer = "{\"type\":\"BertNormalizer\",\"lowercase\":false}"},
        {.rest = "\"added_tokens\":[{\"id\":4,\"content\":\"z\"}],"},
    };
    write_json(&(wrong_file){0});
    assay_digest first = digest_of_folder(), found;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        write_json(&same[i]);
        found = digest_of_folder();
        assert_memory_equal(&found, &first, sizeof first);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        write_json(&other[i]);
        found = digest_of_folder();
        assert_memory_not_equal(&found, &first, sizeof first);
    }
    write_json(&(wrong_file){0});
}

static void cut_short_anywhere_is_an_error(void **state)
{
    (void)state;
    write_json(&(wrong_file){.rest = "\"added_tokens\":[{\"id\":4,\"content\":\"z\"}],"});
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assay_buffer text;
    assay_buffer_init(&text, 0);
    assert_int_equal(assay_file_read(path, &text, NULL), ASSAY_OK);
    for (size_t length = 0; length < text.length; length++) {
        write_file("tokenizer.json", text.data, length);
        expect_error(ASSAY_E_FORMAT, "tokenizer.json", "");
    }
    assay_buffer_free(&text);
}

static void missing_files_are_named(void **state)
{
    (void)state;
    drop_file("tokenizer.json");
    expect_error(ASSAY_E_NOT_FOUND, folder, "tokenizer.json");
    assay_tokenizer *tokenizer;
    assay_error error;
    assert_int_equal(assay_tokenizer_open("/nowhere/tokenizer.json", &tokenizer, &error),
                     ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.where, "/nowhere"));
    assert_int_equal(assay_tokenizer_open("", &tokenizer, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_tokenizer_open(NULL, &tokenizer, NULL), ASSAY_E_ARGUMENT);
    write_file("modules.json", "[{\"path\":\"..\"}]", 15);
    expect_error(ASSAY_E_NOT_FOUND, folder, "tokenizer.json");
    drop_file("modules.json");
}

#define WORDS "[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\n##c\n"

static void vocabulary_files_have_their_ways(void **state)
{
    (void)state;
    /* Line ends of two kinds, a token twice (the later one counts), no newline at the end. */
    static const char words[] = "[PAD]\r\n[UNK]\r\n[CLS]\n[SEP]\nab\nab";
    write_file("vocab.txt", words, sizeof words - 1);
    assay_tokenizer *tokenizer = open_or_fail(folder);
    assert_int_equal(assay_tokenizer_vocabulary(tokenizer), 6);
    assert_string_equal(assay_token_text(tokenizer, 4), "ab");
    assay_tokens tokens = {0};
    assert_int_equal(assay_tokenizer_encode(tokenizer, (assay_text){"AB", 2}, &tokens, NULL),
                     ASSAY_OK);
    assert_int_equal(tokens.ids[0], 5);
    assay_tokens_free(&tokens);
    assay_tokenizer_close(tokenizer);
    assay_digest first = digest_of_folder(), found;
    write_file("tokenizer_config.json", "{\"model_max_length\":9}", 22);
    found = digest_of_folder();
    assert_memory_equal(&found, &first, sizeof first);
    write_file("tokenizer_config.json", "{\"do_lower_case\":false}", 23);
    found = digest_of_folder();
    assert_memory_not_equal(&found, &first, sizeof first);
    drop_file("tokenizer_config.json");
    write_file("vocab.txt", WORDS, sizeof WORDS - 1);
    found = digest_of_folder();
    assert_memory_not_equal(&found, &first, sizeof first);
    write_file("vocab.txt", "a\xff\n", 3);
    expect_error(ASSAY_E_FORMAT, "vocab.txt", "line 1");
    write_file("vocab.txt", "", 0);
    expect_error(ASSAY_E_FORMAT, "vocab.txt", "one token per line");
    write_file("vocab.txt", "ab\n", 3);
    expect_error(ASSAY_E_FORMAT, "vocab.txt", "[UNK]");
    write_file("vocab.txt", "[UNK]\n[SEP]\n", 12);
    expect_error(ASSAY_E_FORMAT, "vocab.txt", "[CLS]");
    write_file("vocab.txt", WORDS, sizeof WORDS - 1);
}

static void a_module_folder_is_looked_into(void **state)
{
    (void)state;
    drop_file("vocab.txt");
    char module[128];
    snprintf(module, sizeof module, "%s/0_Transformer", folder);
    assert_int_equal(mkdir(module, 0700), 0);
    write_file("0_Transformer/vocab.txt", WORDS, sizeof WORDS - 1);
    static const char modules[] = "[{\"idx\":0,\"path\":\"0_Transformer\"},{\"path\":\"1\"}]";
    write_file("modules.json", modules, sizeof modules - 1);
    assay_tokenizer *tokenizer = open_or_fail(folder);
    assert_int_equal(assay_tokenizer_vocabulary(tokenizer), 6);
    assay_tokenizer_close(tokenizer);
    drop_file("modules.json");
    drop_file("0_Transformer/vocab.txt");
    assert_int_equal(rmdir(module), 0);
    write_file("vocab.txt", WORDS, sizeof WORDS - 1);
}

static void configurations_are_heeded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        assay_status status;
        const char *where, *message;
        uint32_t limit;
    } cases[] = {
        {"{}", ASSAY_OK, NULL, NULL, 0},
        {"{\"model_max_length\":512}", ASSAY_OK, NULL, NULL, 512},
        {"{\"model_max_length\":1e30}", ASSAY_OK, NULL, NULL, 0},
        {"{\"model_max_length\":1000000000000000019884624838656}", ASSAY_OK, NULL, NULL, 0},
        {"{\"added_tokens_decoder\":{\"6\":{\"content\":\"<e>\"},\"1\":{\"content\":\"[UNK]\"}}}",
         ASSAY_OK, NULL, NULL, 0},
        {"{\"added_tokens_decoder\":{\"7\":{\"content\":\"<e>\"}}}", ASSAY_E_FORMAT,
         "added_tokens_decoder", "6 is missing", 0},
        {"{\"added_tokens_decoder\":{\"x\":{\"content\":\"<e>\"}}}", ASSAY_E_FORMAT,
         "added_tokens_decoder", "\"x\"", 0},
        {"{\"model_max_length\":-1}", ASSAY_E_FORMAT, "model_max_length", "", 0},
        {"{\"model_max_length\":\"512\"}", ASSAY_E_FORMAT, "model_max_length", "number", 0},
        {"{\"do_lower_case\":1}", ASSAY_E_FORMAT, "do_lower_case", "true or false", 0},
        {"{\"truncation_side\":\"left\"}", ASSAY_E_UNSUPPORTED, "truncation_side", "left", 0},
        {"{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", ASSAY_E_UNSUPPORTED, "tokenizer_class",
         "XLMRoberta", 0},
        {"{\"cls_token\":\"<s>\"}", ASSAY_E_FORMAT, "vocab.txt", "<s>", 0},
        {"[]", ASSAY_E_FORMAT, "tokenizer_config.json", "object", 0},
        {"{", ASSAY_E_FORMAT, "tokenizer_config.json", "line 1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("tokenizer_config.json", cases[i].text, strlen(cases[i].text));
        if (cases[i].status != ASSAY_OK) {
            expect_error(cases[i].status, cases[i].where, cases[i].message);
            continue;
        }
        assay_tokenizer *tokenizer = open_or_fail(folder);
        assert_int_equal(assay_tokenizer_limit(tokenizer), cases[i].limit);
        assay_tokenizer_close(tokenizer);
    }
    drop_file("tokenizer_config.json");
}

static void too_long_a_token_is_refused(void **state)
{
    (void)state;
    assay_vocabulary vocabulary = {0};
    char token[ASSAY_TOKEN_BYTES + 1];
    memset(token, 'x', sizeof token);
    assay_error error;
    assert_int_equal(assay_vocabulary_add(&vocabulary, token, sizeof token, "v", &error),
                     ASSAY_E_LIMIT);
    assert_int_equal(assay_vocabulary_add(&vocabulary, token, sizeof token - 1, "v", &error),
                     ASSAY_OK);
    assert_int_equal(assay_vocabulary_index(&vocabulary, false, "v", &error), ASSAY_OK);
    assert_int_equal(assay_vocabulary_find(&vocabulary, token, sizeof token - 1), 0);
    assert_int_equal(assay_vocabulary_find(&vocabulary, token, sizeof token - 2), -1);
    assay_vocabulary_free(&vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uncased_as_the_library),
        cmocka_unit_test(cased_with_added_tokens_as_the_library),
        cmocka_unit_test(vocabulary_file_as_the_library),
        cmocka_unit_test(special_tokens_and_texts_are_known),
        cmocka_unit_test(templates_are_told),
        cmocka_unit_test(special_tokens_only_when_asked),
        cmocka_unit_test(truncation_is_told),
        cmocka_unit_test(pairs_are_cut_as_the_library_cuts),
        cmocka_unit_test(a_limit_that_does_not_bind_changes_nothing),
        cmocka_unit_test(a_mebibyte_without_a_space_is_one_unknown),
        cmocka_unit_test(invalid_utf8_reads_as_replacement),
        cmocka_unit_test(every_point_survives_utf8),
        cmocka_unit_test(wrong_tokenizer_json_is_named),
        cmocka_unit_test(the_digest_follows_what_ids_depend_on),
        cmocka_unit_test(cut_short_anywhere_is_an_error),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(vocabulary_files_have_their_ways),
        cmocka_unit_test(a_module_folder_is_looked_into),
        cmocka_unit_test(configurations_are_heeded),
        cmocka_unit_test(too_long_a_token_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
