/* SPDX-License-Identifier: Apache-2.0 */
/* late_config.c: see late_config.h. */
#include "model/late_config.h"

#include <string.h>

#include "base/json.h"

enum { MAX_LENGTH = 1 << 17 };

static assay_status refuse(const char *where, const char *field, const char *found,
                           const char *expected, assay_error *error)
{
    return assay_fail(error, ASSAY_E_UNSUPPORTED, where, "%s: %.100s is not supported, expected %s",
                      field, found, expected);
}

static assay_status copy_token(const char *token, const char *field, const char *where,
                               char out[ASSAY_LATE_TOKEN_SIZE], assay_error *error)
{
    size_t length = strlen(token);
    if (length >= ASSAY_LATE_TOKEN_SIZE)
        return assay_fail(error, ASSAY_E_LIMIT, where, "%s: a token of %zu bytes, expected at most %u",
                          field, length, ASSAY_LATE_TOKEN_SIZE - 1);
    memcpy(out, token, length + 1);
    return ASSAY_OK;
}

static assay_status read_token(const json_t *root, const char *field, const char *where,
                               char out[ASSAY_LATE_TOKEN_SIZE], assay_error *error)
{
    const char *token = NULL;
    ASSAY_TRY(assay_json_string(root, field, where, &token, error));
    return token == NULL ? ASSAY_OK : copy_token(token, field, where, out, error);
}

/* The least holds the special tokens, the marker and a token of the text. */
static assay_status read_length(const json_t *root, const char *field, const char *where,
                                uint32_t *out, assay_error *error)
{
    uint64_t length = *out;
    ASSAY_TRY(assay_json_uint(root, field, where, 4, MAX_LENGTH, &length, error));
    *out = (uint32_t)length;
    return ASSAY_OK;
}

static void skip_punctuation(assay_late_config *out)
{
    out->skipped_count = 0;
    for (char c = '!'; c <= '~'; c++) {
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter)
            out->skipped[out->skipped_count++][0] = c;
    }
}

void assay_late_config_default(assay_late_config *out)
{
    *out = (assay_late_config){.query_length = 32, .document_length = 180, .expand = true};
    skip_punctuation(out);
}

assay_status assay_late_config_metadata(const json_t *root, const char *where,
                                        assay_late_config *out, assay_error *error)
{
    memcpy(out->query_marker, "[unused0]", sizeof "[unused0]");
    memcpy(out->document_marker, "[unused1]", sizeof "[unused1]");
    ASSAY_TRY(read_token(root, "query_token_id", where, out->query_marker, error));
    ASSAY_TRY(read_token(root, "doc_token_id", where, out->document_marker, error));
    ASSAY_TRY(read_length(root, "query_maxlen", where, &out->query_length, error));
    ASSAY_TRY(read_length(root, "doc_maxlen", where, &out->document_length, error));
    ASSAY_TRY(assay_json_bool(root, "attend_to_mask_tokens", where, &out->attend, error));
    uint64_t dimensions = 0;
    ASSAY_TRY(assay_json_uint(root, "dim", where, 1, ASSAY_LATE_DIMENSIONS, &dimensions, error));
    out->dimensions = (uint32_t)dimensions;
    bool punctuation = true;
    ASSAY_TRY(assay_json_bool(root, "mask_punctuation", where, &punctuation, error));
    if (!punctuation)
        out->skipped_count = 0;
    const char *similarity = "cosine";
    ASSAY_TRY(assay_json_string(root, "similarity", where, &similarity, error));
    if (strcmp(similarity, "cosine") != 0)
        return refuse(where, "similarity", similarity, "cosine", error);
    return ASSAY_OK;
}

static assay_status read_skipped(const json_t *root, const char *where, assay_late_config *out,
                                 assay_error *error)
{
    const json_t *words = json_object_get(root, "skiplist_words");
    if (words == NULL || json_is_null(words))
        return ASSAY_OK;
    size_t count = json_array_size(words);
    if (!json_is_array(words) || count > ASSAY_LATE_SKIPPED_MAX)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "skiplist_words: expected a list of at most %u tokens",
                          ASSAY_LATE_SKIPPED_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (word == NULL)
            return assay_fail(error, ASSAY_E_FORMAT, where,
                              "skiplist_words: entry %zu is no string", i);
        ASSAY_TRY(copy_token(word, "skiplist_words", where, out->skipped[i], error));
    }
    out->skipped_count = (uint32_t)count;
    return ASSAY_OK;
}

assay_status assay_late_config_sentence(const json_t *root, const char *where,
                                        assay_late_config *out, assay_error *error)
{
    memcpy(out->query_marker, "[Q] ", sizeof "[Q] ");
    memcpy(out->document_marker, "[D] ", sizeof "[D] ");
    ASSAY_TRY(read_token(root, "query_prefix", where, out->query_marker, error));
    ASSAY_TRY(read_token(root, "document_prefix", where, out->document_marker, error));
    ASSAY_TRY(read_length(root, "query_length", where, &out->query_length, error));
    ASSAY_TRY(read_length(root, "document_length", where, &out->document_length, error));
    ASSAY_TRY(assay_json_bool(root, "do_query_expansion", where, &out->expand, error));
    ASSAY_TRY(assay_json_bool(root, "attend_to_expansion_tokens", where, &out->attend, error));
    out->attend = out->attend && out->expand;
    return read_skipped(root, where, out, error);
}

assay_status assay_late_config_dense(const json_t *root, const char *where, uint32_t hidden,
                                     assay_late_config *out, assay_error *error)
{
    uint64_t in = hidden, width = 0;
    bool residual = false;
    out->bias = true; /* as in sentence-transformers */
    ASSAY_TRY(assay_json_uint(root, "in_features", where, 1, UINT32_MAX, &in, error));
    ASSAY_TRY(assay_json_uint(root, "out_features", where, 1, ASSAY_LATE_DIMENSIONS, &width, error));
    ASSAY_TRY(assay_json_bool(root, "bias", where, &out->bias, error));
    ASSAY_TRY(assay_json_bool(root, "use_residual", where, &residual, error));
    if (in != hidden || width == 0)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "in_features %llu and out_features %llu, expected hidden_size %u and at "
                          "least 1", (unsigned long long)in, (unsigned long long)width, hidden);
    if (residual)
        return refuse(where, "use_residual", "true", "false", error);
    const char *activation = "torch.nn.modules.linear.Identity";
    ASSAY_TRY(assay_json_string(root, "activation_function", where, &activation, error));
    const char *dot = strrchr(activation, '.');
    if (strcmp(dot != NULL ? dot + 1 : activation, "Identity") != 0)
        return refuse(where, "activation_function", activation, "Identity", error);
    out->dimensions = (uint32_t)width;
    return ASSAY_OK;
}

/* ---- Tokens ---------------------------------------------------------------------- */

static assay_status find_marker(const assay_tokenizer *tokenizer, const char *text,
                                const char *where, int32_t *id, assay_error *error)
{
    *id = text[0] != '\0' ? assay_token_find(tokenizer, text) : -1;
    if (*id >= 0 || text[0] == '\0')
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_FORMAT, where,
                      "the tokenizer lacks the marker \"%s\" that the model's settings put "
                      "before texts", text);
}

static void find_skipped(const assay_late_config *config, const assay_tokenizer *tokenizer,
                         assay_late_marks *out)
{
    for (uint32_t i = 0; i < config->skipped_count; i++) {
        int32_t id = assay_token_find(tokenizer, config->skipped[i]);
        if (id < 0) /* as in transformers */
            id = assay_tokenizer_special(tokenizer).unk;
        if (id >= 0)
            out->skipped[out->skipped_count++] = id;
    }
}

assay_status assay_late_marks_find(const assay_late_config *config,
                                    const assay_tokenizer *tokenizer, const char *where,
                                    assay_late_marks *out, assay_error *error)
{
    *out = (assay_late_marks){.filler = -1};
    ASSAY_TRY(find_marker(tokenizer, config->query_marker, where, &out->query_marker, error));
    ASSAY_TRY(find_marker(tokenizer, config->document_marker, where, &out->document_marker, error));
    if (config->expand)
        out->filler = assay_tokenizer_special(tokenizer).mask;
    if (config->expand && out->filler < 0)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, where,
                          "queries are to be filled up with mask tokens, and the tokenizer has "
                          "none");
    find_skipped(config, tokenizer, out);
    return ASSAY_OK;
}

bool assay_late_marks_skip(const assay_late_marks *tokens, int32_t id)
{
    for (uint32_t i = 0; i < tokens->skipped_count; i++)
        if (tokens->skipped[i] == id)
            return true;
    return false;
}
