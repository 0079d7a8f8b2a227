/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_test.h: what tests of tokenizers share: goldens, and a folder of files
 * that are wrong. */
#ifndef ASSAY_TOKENIZER_TEST_H
#define ASSAY_TOKENIZER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

static assay_tokenizer *open_or_fail(const char *path)
{
    assay_tokenizer *tokenizer = NULL;
    assay_error error;
    if (assay_tokenizer_open(path, &tokenizer, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return tokenizer;
}

/* ------------------------------------------------------------------ goldens */

/* The field as bytes: "first", or "first_hex" where JSON cannot hold it. */
static bool text_of(const json_t *item, const char *field, assay_buffer *out)
{
    char hex_field[32];
    snprintf(hex_field, sizeof hex_field, "%s_hex", field);
    const json_t *plain = json_object_get(item, field), *hex = json_object_get(item, hex_field);
    assay_buffer_clear(out);
    if (plain != NULL)
        assay_buffer_append(out, json_string_value(plain), json_string_length(plain));
    for (size_t i = 0; hex != NULL && i < json_string_length(hex); i += 2) {
        char digits[3] = {json_string_value(hex)[i], json_string_value(hex)[i + 1], '\0'};
        assay_buffer_byte(out, (char)strtol(digits, NULL, 16));
    }
    return plain != NULL || hex != NULL;
}

static bool equal(const assay_encoding *got, const json_t *item)
{
    const json_t *ids = json_object_get(item, "ids"), *offsets = json_object_get(item, "offsets");
    const char *types = json_string_value(json_object_get(item, "types"));
    bool same = got->count == json_array_size(ids) && got->count == strlen(types) &&
                2 * got->count == json_array_size(offsets);
    for (size_t i = 0; same && i < got->count; i++)
        same = got->ids[i] == json_integer_value(json_array_get(ids, i)) &&
               got->types[i] == types[i] - '0' &&
               got->begins[i] == json_integer_value(json_array_get(offsets, 2 * i)) &&
               got->ends[i] == json_integer_value(json_array_get(offsets, 2 * i + 1));
    return same;
}

static void check_case(const assay_tokenizer *tokenizer, const json_t *item, size_t number)
{
    assay_buffer first, second;
    assay_buffer_init(&first, 0);
    assay_buffer_init(&second, 0);
    text_of(item, "first", &first);
    bool pair = text_of(item, "second", &second);
    const char *truncation = json_string_value(json_object_get(item, "truncation"));
    assay_tokenize_options options = {
        .special = true,
        .max_tokens = (uint32_t)json_integer_value(json_object_get(item, "limit")),
        .truncation = truncation != NULL && strcmp(truncation, "longest_first") == 0
                          ? ASSAY_TRUNCATE_LONGEST_FIRST
                          : ASSAY_TRUNCATE_ONLY_SECOND};
    assay_text one = {first.data, first.length}, two = {second.data, second.length};
    assay_encoding encoding;
    assay_error error;
    if (assay_tokenize(tokenizer, one, pair ? &two : NULL, &options, &encoding, &error) !=
        ASSAY_OK)
        fail_msg("case %zu: %s", number, error.message);
    if (!equal(&encoding, item))
        fail_msg("case %zu differs: %s", number, first.data != NULL ? first.data : "");
    assay_encoding_free(&encoding);
    assay_buffer_free(&first);
    assay_buffer_free(&second);
}

static void check_goldens(const char *tokenizer_path, const char *cases_path)
{
    assay_tokenizer *tokenizer = open_or_fail(tokenizer_path);
    json_t *root, *item;
    assay_error error;
    assay_buffer text;
    assay_buffer_init(&text, 0);
    assert_int_equal(assay_file_read(cases_path, &text, &error), ASSAY_OK);
    assert_int_equal(assay_json_parse(text.data, text.length, cases_path, &root, &error),
                     ASSAY_OK);
    const json_t *cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) > 300);
    size_t i;
    json_array_foreach(cases, i, item)
        check_case(tokenizer, item, i);
    json_decref(root);
    assay_buffer_free(&text);
    assay_tokenizer_close(tokenizer);
}

/* ------------------------------------------------------------ files of tests */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/assay-test-XXXXXX", 23);
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json", "vocab.txt", "tokenizer_config.json",
                                        "modules.json", "special_tokens_map.json",
                                        "sentencepiece.bpe.model"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static inline void write_file(const char *name, const char *content, size_t length)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static inline void drop_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static inline void expect_error(assay_status status, const char *where, const char *message)
{
    assay_tokenizer *tokenizer = NULL;
    assay_error error = {0};
    assay_status got = assay_tokenizer_open(folder, &tokenizer, &error);
    if (got != status || strstr(error.where, where) == NULL ||
        strstr(error.message, message) == NULL)
        fail_msg("expected %s (%s: %s), got %s (%s: %s)", assay_status_name(status), where,
                 message, assay_status_name(got), error.where, error.message);
    assert_null(tokenizer);
}

#endif
