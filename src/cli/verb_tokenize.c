/* SPDX-License-Identifier: Apache-2.0 */
/* verb_tokenize.c: `assay tokenize`, the tokens a model sees of texts. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/texts.h"
#include "cli/output.h"

typedef struct tokenize_settings {
    assay_common common;
    const char *model, *pair;
    uint32_t max_tokens;
    bool special;
} tokenize_settings;

static assay_status open_tokenizer(const char *name, assay_tokenizer **out, assay_error *error)
{
    char path[1024];
    struct stat status;
    if (stat(name, &status) == 0) /* a folder with only a tokenizer will do */
        return assay_tokenizer_open(name, out, error);
    assay_status found = assay_model_find(name, path, sizeof path, error);
    return found == ASSAY_OK ? assay_tokenizer_open(path, out, error) : found;
}

static const char *token_text(const assay_tokenizer *tokenizer, int32_t id)
{
    const char *text = assay_token_text(tokenizer, id);
    return text ? text : "";
}

static void add_json(assay_answer *answer, json_t *list, const assay_tokenizer *tokenizer,
                     const assay_encoding *encoding, bool pair)
{
    json_t *one = assay_answer_object(answer, list, NULL);
    json_t *ids = assay_answer_array(answer, one, "ids");
    json_t *offsets = assay_answer_array(answer, one, "offsets");
    json_t *texts = assay_answer_array(answer, one, "texts");
    json_t *types = pair ? assay_answer_array(answer, one, "types") : NULL;
    for (size_t i = 0; i < encoding->count; i++) {
        assay_answer_append(answer, ids, json_integer(encoding->ids[i]));
        json_t *offset = assay_answer_array(answer, offsets, NULL);
        assay_answer_append(answer, offset, assay_json_count(encoding->begins[i]));
        assay_answer_append(answer, offset, assay_json_count(encoding->ends[i]));
        assay_answer_append(answer, texts,
                            assay_json_name(token_text(tokenizer, encoding->ids[i])));
        if (types)
            assay_answer_append(answer, types, json_integer(encoding->types[i]));
    }
    assay_answer_set(answer, one, "truncated", json_boolean(encoding->truncated));
}

static void print_tokens(const assay_tokenizer *tokenizer, const assay_encoding *encoding)
{
    for (size_t i = 0; i < encoding->count; i++) {
        const char *text = token_text(tokenizer, encoding->ids[i]);
        printf("%8d  %5u..%-5u  ", encoding->ids[i], encoding->begins[i], encoding->ends[i]);
        assay_print_text(stdout, text, strlen(text));
        putchar('\n');
    }
    if (encoding->truncated)
        printf("          (cut at %zu tokens)\n", encoding->count);
}

static int tokenize_all(const tokenize_settings *settings, const assay_tokenizer *tokenizer,
                        const assay_texts *texts, assay_answer *answer)
{
    const assay_tokenize_options options = {
        .special = settings->special,
        .max_tokens = settings->max_tokens,
    };
    assay_text second = {settings->pair, settings->pair ? strlen(settings->pair) : 0};
    json_t *list = answer->root ? assay_answer_array(answer, answer->root, "tokens") : NULL;
    for (size_t i = 0; i < texts->count; i++) {
        assay_error error;
        assay_encoding encoding;
        if (assay_tokenize(tokenizer, texts->items[i], settings->pair ? &second : NULL, &options,
                           &encoding, &error) != ASSAY_OK)
            return assay_report(&error);
        if (settings->common.json) {
            add_json(answer, list, tokenizer, &encoding, settings->pair != NULL);
        } else {
            if (i > 0)
                putchar('\n');
            print_tokens(tokenizer, &encoding);
        }
        assay_encoding_free(&encoding);
    }
    return ASSAY_EXIT_OK;
}

static int run(const void *given, char **arguments, size_t count)
{
    const tokenize_settings *settings = given;
    assay_error error;
    assay_tokenizer *tokenizer;
    const char *name = settings->model ? settings->model : "dense";
    if (open_tokenizer(name, &tokenizer, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_texts texts;
    int code = assay_texts_gather(arguments, count, "texts", &texts);
    if (code == ASSAY_EXIT_OK) {
        assay_answer answer = settings->common.json ? assay_answer_new() : (assay_answer){0};
        code = tokenize_all(settings, tokenizer, &texts, &answer);
        if (settings->common.json && code == ASSAY_EXIT_OK)
            code = assay_answer_print(&answer);
        json_decref(answer.root);
        assay_texts_free(&texts);
    }
    assay_tokenizer_close(tokenizer);
    return code;
}

static const assay_option options[] = {
    {"model", ASSAY_OPTION_TEXT, offsetof(tokenize_settings, model), "NAME",
     "folder of a model or a tokenizer, a tokenizer file, or a model's name (default: dense)", 0,
     0},
    {"special", ASSAY_OPTION_FLAG, offsetof(tokenize_settings, special), NULL,
     "add the special tokens that the model is given, such as [CLS] and [SEP]", 0, 0},
    {"pair", ASSAY_OPTION_TEXT, offsetof(tokenize_settings, pair), "TEXT",
     "second text of a pair, the same for every text; special tokens are then added", 0, 0},
    {"max-tokens", ASSAY_OPTION_COUNT, offsetof(tokenize_settings, max_tokens), "N",
     "cut what is longer (default: nothing is cut)", 1, 1000000},
};

static const assay_example examples[] = {
    {"assay tokenize 'unbelievable holidays'", "Tokens, ids and byte offsets, for people"},
    {"printf '%s\\n' \"a text\" | assay tokenize --model DIR --json",
     "{\"tokens\":[{\"ids\":[..],\"offsets\":[[0,1],..],\"texts\":[..],\"truncated\":false}]}"},
    {NULL, NULL},
};

const assay_verb assay_verb_tokenize = {
    .name = "tokenize",
    .arguments = "[TEXT...]",
    .summary = "show the tokens a model sees of texts",
    .description = "Tokenizes each TEXT, or each line of standard input. Offsets are bytes of "
                   "the text as it came in: where the token begins, and one past its end; both "
                   "are 0 for special tokens.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(tokenize_settings),
    .arguments_max = SIZE_MAX,
    .run = run,
};
