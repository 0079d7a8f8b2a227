/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer_file.c: tokenizers out of files.
 *
 * Reads tokenizer.json of the Hugging Face tokenizers library (version 1.0,
 * model WordPiece with BertNormalizer and BertPreTokenizer, or Unigram with what
 * unigram_file.c reads; TemplateProcessing, BertProcessing or RobertaProcessing),
 * or else vocab.txt with tokenizer_config.json, as BERT checkpoints have had them
 * since 2019. What another kind of tokenizer would need is refused by name. Of
 * tokenizer_config.json, next to either, the length limit is taken too.
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/tokenizer_file.h"
#include "text/vocabulary_json.h"

#define FILE_MAX (64u * 1024 * 1024)
#define CONFIG_MAX (8u * 1024 * 1024)
#define LIMIT_MAX 100000000.0 /* a larger model_max_length means "none" */
#define PATH_SIZE 4096
#define REVISION 1u /* of the digest: raise it when the ids of any text change */

/* The files that say something about one tokenizer. */
typedef struct sources {
    char json[PATH_SIZE];   /* tokenizer.json, or "" */
    char vocabulary[PATH_SIZE]; /* vocab.txt, or "" */
    char config[PATH_SIZE]; /* tokenizer_config.json, or "" */
    char map[PATH_SIZE];    /* special_tokens_map.json, or "" */
} sources;

static assay_status wrong(const char *path, const char *field, const char *expected,
                          assay_error *error)
{
    return assay_fail(error, ASSAY_E_FORMAT, assay_place_of(path, field).text, "expected %s",
                      expected);
}

/* A component that must be of this type; a Sequence of one counts as that one. */
static assay_status component(const json_t *root, const char *field, const char *type,
                              const char *list, const char *path, const json_t **out,
                              assay_error *error)
{
    const json_t *found = json_object_get(root, field);
    if (strcmp(assay_type_of(found), "Sequence") == 0) {
        const json_t *members = json_object_get(found, list);
        if (json_array_size(members) != 1)
            return assay_refuse(path, field, "a Sequence of several", type, error);
        found = json_array_get(members, 0);
    }
    if (strcmp(assay_type_of(found), type) != 0)
        return assay_refuse(path, field, assay_type_of(found), type, error);
    *out = found;
    return ASSAY_OK;
}

/* ------------------------------------------------------------ added tokens */

static assay_status find_token(assay_tokenizer *tokenizer, const char *content, size_t length,
                               const char *where, int32_t *id, assay_error *error)
{
    if (tokenizer->kind == ASSAY_UNIGRAM)
        return assay_unigram_find(tokenizer, content, length, where, id, error);
    *id = assay_vocabulary_find(&tokenizer->vocabulary, content, length);
    return ASSAY_OK;
}

/* Gives an added token its id: that of the vocabulary, or the next one. */
static assay_status place_added(assay_tokenizer *tokenizer, const char *content, size_t length,
                                uint64_t id, const char *where, assay_error *error)
{
    int32_t known;
    ASSAY_TRY(find_token(tokenizer, content, length, where, &known, error));
    uint64_t expected = known >= 0 ? (uint64_t)known : tokenizer->vocabulary.count;
    if (id != expected)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "token \"%.60s\" has id %llu, but %s %llu", content,
                          (unsigned long long)id,
                          known >= 0 ? "in the vocabulary it is" : "the next free id is",
                          (unsigned long long)expected);
    if (known >= 0)
        return ASSAY_OK;
    return assay_vocabulary_add(&tokenizer->vocabulary, content, length, where, error);
}

/* Replaces *normal by the normal form of a token, without its places. */
static assay_status normalize_token(const assay_tokenizer *tokenizer, const char *content,
                                    size_t length, assay_normal *normal, assay_error *error)
{
    const uint8_t *text = (const uint8_t *)content;
    if (tokenizer->kind == ASSAY_WORDPIECE)
        return assay_bert_normalize(&tokenizer->normalizer, text, 0, length, normal, error);
    assay_normal spare = {0};
    assay_spm_run run = {.text = text, .end = length, .normal = normal, .spare = &spare};
    assay_status status = assay_spm_segment(&tokenizer->spm, &run, error);
    assay_normal *other = run.normal == normal ? &spare : normal;
    assay_normal kept = *run.normal;
    assay_normal_free(other);
    *normal = kept;
    return status;
}

/* Makes a token findable in text, in its normal form if it is to be. */
static assay_status match_added(assay_tokenizer *tokenizer, const char *content, size_t length,
                                const assay_added_token *token, bool normalized,
                                const char *where, assay_error *error)
{
    if (!normalized)
        return assay_added_tokens_add(&tokenizer->plain, content, length, token, where, error);
    assay_normal normal = {0};
    assay_status status = normalize_token(tokenizer, content, length, &normal, error);
    if (status == ASSAY_OK && normal.count == 0)
        status = assay_fail(error, ASSAY_E_FORMAT, where,
                            "nothing is left of token \"%.60s\" when it is normalised", content);
    if (status == ASSAY_OK)
        status = assay_added_tokens_add(&tokenizer->normalized, (const char *)normal.bytes,
                                        normal.count, token, where, error);
    assay_normal_free(&normal);
    return status;
}

/* One added token as both tokenizer.json and tokenizer_config.json describe it. */
static assay_status add_described(assay_tokenizer *tokenizer, const json_t *object, uint64_t id,
                                  const char *where, assay_error *error)
{
    const char *content = NULL;
    bool single_word = false, left = false, right = false, special = false;
    ASSAY_TRY(assay_json_bool(object, "special", where, &special, error));
    bool normalized = !special;
    ASSAY_TRY(assay_json_string(object, "content", where, &content, error));
    ASSAY_TRY(assay_json_bool(object, "single_word", where, &single_word, error));
    ASSAY_TRY(assay_json_bool(object, "lstrip", where, &left, error));
    ASSAY_TRY(assay_json_bool(object, "rstrip", where, &right, error));
    ASSAY_TRY(assay_json_bool(object, "normalized", where, &normalized, error));
    if (content == NULL || content[0] == '\0')
        return assay_fail(error, ASSAY_E_FORMAT, where, "an added token without content");
    size_t length = strlen(content);
    ASSAY_TRY(place_added(tokenizer, content, length, id, where, error));
    assay_added_token token = {.id = (int32_t)id, .single_word = single_word,
                               .left_strip = left, .right_strip = right};
    return match_added(tokenizer, content, length, &token, normalized, where, error);
}

static assay_status index_added(assay_tokenizer *tokenizer, const char *where,
                                assay_error *error)
{
    ASSAY_TRY(assay_added_tokens_index(&tokenizer->plain, where, error));
    return assay_added_tokens_index(&tokenizer->normalized, where, error);
}

static assay_status read_added(assay_tokenizer *tokenizer, const json_t *root,
                               const char *path, assay_error *error)
{
    const json_t *list = json_object_get(root, "added_tokens"), *item;
    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return wrong(path, "added_tokens", "a list", error);
    size_t i;
    json_array_foreach(list, i, item) {
        char field[64];
        snprintf(field, sizeof field, "added_tokens[%zu]", i);
        assay_place where = assay_place_of(path, field);
        if (!json_is_object(item))
            return wrong(path, field, "an object", error);
        uint64_t id = UINT64_MAX;
        ASSAY_TRY(assay_json_uint(item, "id", where.text, 0, INT32_MAX, &id, error));
        if (id == UINT64_MAX)
            return assay_fail(error, ASSAY_E_FORMAT, where.text, "an added token without id");
        ASSAY_TRY(add_described(tokenizer, item, id, where.text, error));
    }
    return index_added(tokenizer, assay_place_of(path, "added_tokens").text, error);
}

/* ---------------------------------------------------------------- templates */

static assay_status template_add(assay_template *template, assay_piece_kind kind, uint64_t type,
                                 int32_t id, const char *where, assay_error *error)
{
    if (template->count == ASSAY_TEMPLATE_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, where, "more than %d parts",
                          ASSAY_TEMPLATE_MAX);
    template->special += kind == ASSAY_PIECE_SPECIAL;
    template->pieces[template->count++] =
        (assay_template_piece){.kind = kind, .type = (uint8_t)type, .id = id};
    return ASSAY_OK;
}

/* A special token of a template is a list of ids under a name. */
static assay_status template_special(const assay_tokenizer *tokenizer, const json_t *names,
                                     const char *name, uint64_t type, const char *where,
                                     assay_template *out, assay_error *error)
{
    const json_t *ids = json_object_get(json_object_get(names, name), "ids"), *id;
    if (json_array_size(ids) == 0)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "\"%.60s\" has no ids in special_tokens", name);
    size_t i;
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || (uint64_t)value >= tokenizer->vocabulary.count)
            return assay_fail(error, ASSAY_E_FORMAT, where,
                              "\"%.60s\": its id must be a number below %zu", name,
                              tokenizer->vocabulary.count);
        ASSAY_TRY(template_add(out, ASSAY_PIECE_SPECIAL, type, (int32_t)value, where, error));
    }
    return ASSAY_OK;
}

static assay_status template_piece(const assay_tokenizer *tokenizer, const json_t *names,
                                   const json_t *piece, const char *where, assay_template *out,
                                   assay_error *error)
{
    const json_t *special = json_object_get(piece, "SpecialToken");
    const json_t *sequence = json_object_get(piece, "Sequence");
    const json_t *body = special != NULL ? special : sequence;
    const char *id = NULL;
    uint64_t type = 0;
    ASSAY_TRY(assay_json_string(body, "id", where, &id, error));
    ASSAY_TRY(assay_json_uint(body, "type_id", where, 0, 1, &type, error));
    if (id == NULL)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "expected SpecialToken or Sequence with an id");
    if (special != NULL)
        return template_special(tokenizer, names, id, type, where, out, error);
    if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
        return assay_fail(error, ASSAY_E_FORMAT, where, "Sequence is A or B, not \"%.60s\"", id);
    return template_add(out, id[0] == 'A' ? ASSAY_PIECE_FIRST : ASSAY_PIECE_SECOND, type, -1,
                        where, error);
}

static size_t count_kind(const assay_template *template, assay_piece_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < template->count; i++)
        count += template->pieces[i].kind == kind;
    return count;
}

static assay_status read_template(const assay_tokenizer *tokenizer, const json_t *processor,
                                  const char *field, size_t seconds, const char *path,
                                  assay_template *out, assay_error *error)
{
    const json_t *names = json_object_get(processor, "special_tokens");
    const json_t *list = json_object_get(processor, field), *piece;
    char name[64];
    snprintf(name, sizeof name, "post_processor.%s", field);
    assay_place where = assay_place_of(path, name);
    if (!json_is_array(list))
        return wrong(path, name, "a list", error);
    size_t i;
    json_array_foreach(list, i, piece)
        ASSAY_TRY(template_piece(tokenizer, names, piece, where.text, out, error));
    if (count_kind(out, ASSAY_PIECE_FIRST) != 1 || count_kind(out, ASSAY_PIECE_SECOND) != seconds)
        return assay_fail(error, ASSAY_E_FORMAT, where.text, "expected Sequence A%s once",
                          seconds > 0 ? " and Sequence B" : ", and no other,");
    return ASSAY_OK;
}

/* [CLS] A [SEP] and [CLS] A [SEP] B [SEP], as BERT was trained. */
static assay_status bert_templates(assay_tokenizer *tokenizer, int32_t cls, int32_t sep,
                                   const char *where, assay_error *error)
{
    assay_template *single = &tokenizer->single;
    ASSAY_TRY(template_add(single, ASSAY_PIECE_SPECIAL, 0, cls, where, error));
    ASSAY_TRY(template_add(single, ASSAY_PIECE_FIRST, 0, -1, where, error));
    ASSAY_TRY(template_add(single, ASSAY_PIECE_SPECIAL, 0, sep, where, error));
    tokenizer->pair = *single;
    ASSAY_TRY(template_add(&tokenizer->pair, ASSAY_PIECE_SECOND, 1, -1, where, error));
    return template_add(&tokenizer->pair, ASSAY_PIECE_SPECIAL, 1, sep, where, error);
}

/* <s> A </s> and <s> A </s></s> B </s>, as RoBERTa was trained, of one type. */
static assay_status roberta_templates(assay_tokenizer *tokenizer, int32_t cls, int32_t sep,
                                      const char *where, assay_error *error)
{
    ASSAY_TRY(bert_templates(tokenizer, cls, sep, where, error));
    tokenizer->pair = tokenizer->single;
    ASSAY_TRY(template_add(&tokenizer->pair, ASSAY_PIECE_SPECIAL, 0, sep, where, error));
    ASSAY_TRY(template_add(&tokenizer->pair, ASSAY_PIECE_SECOND, 0, -1, where, error));
    return template_add(&tokenizer->pair, ASSAY_PIECE_SPECIAL, 0, sep, where, error);
}

/* ["[SEP]", 102] */
static assay_status bert_token(const assay_tokenizer *tokenizer, const json_t *processor,
                               const char *field, const char *where, int32_t *out,
                               assay_error *error)
{
    const json_t *id = json_array_get(json_object_get(processor, field), 1);
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || (uint64_t)value >= tokenizer->vocabulary.count)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "%s: expected a token and its id, below %zu", field,
                          tokenizer->vocabulary.count);
    *out = (int32_t)value;
    return ASSAY_OK;
}

static assay_status read_processor(assay_tokenizer *tokenizer, const json_t *root,
                                   const char *path, assay_error *error)
{
    const json_t *processor = json_object_get(root, "post_processor");
    const char *type = assay_type_of(processor);
    bool roberta = strcmp(type, "RobertaProcessing") == 0;
    if (roberta || strcmp(type, "BertProcessing") == 0) {
        int32_t cls, sep;
        bool trim = roberta;
        assay_place where = assay_place_of(path, "post_processor");
        ASSAY_TRY(assay_json_bool(processor, "trim_offsets", where.text, &trim, error));
        if (trim)
            return assay_refuse(path, "post_processor", "RobertaProcessing with trim_offsets",
                                "without", error);
        ASSAY_TRY(bert_token(tokenizer, processor, "cls", where.text, &cls, error));
        ASSAY_TRY(bert_token(tokenizer, processor, "sep", where.text, &sep, error));
        return roberta ? roberta_templates(tokenizer, cls, sep, where.text, error)
                       : bert_templates(tokenizer, cls, sep, where.text, error);
    }
    if (strcmp(type, "TemplateProcessing") != 0)
        return assay_refuse(path, "post_processor", type,
                            "TemplateProcessing, BertProcessing or RobertaProcessing", error);
    ASSAY_TRY(read_template(tokenizer, processor, "single", 0, path, &tokenizer->single, error));
    return read_template(tokenizer, processor, "pair", 1, path, &tokenizer->pair, error);
}

/* What stands first and last around a single text. */
static assay_status find_special(assay_tokenizer *tokenizer, const char *pad, const char *mask,
                                 const char *where, assay_error *error)
{
    const assay_template *single = &tokenizer->single;
    assay_special_tokens *special = &tokenizer->special;
    special->cls = special->sep = -1;
    if (single->count > 0) {
        special->cls = single->pieces[0].id; /* -1 when that is the text itself */
        special->sep = single->pieces[single->count - 1].id;
    }
    special->unk = tokenizer->kind == ASSAY_UNIGRAM ? tokenizer->unigram.unknown
                                                    : tokenizer->model.unknown;
    ASSAY_TRY(find_token(tokenizer, pad, strlen(pad), where, &special->pad, error));
    return find_token(tokenizer, mask, strlen(mask), where, &special->mask, error);
}

/* ------------------------------------------------------- model, normalizer */

static assay_status make_model(assay_tokenizer *tokenizer, const char *unknown,
                               const char *prefix, uint64_t longest_word, const char *where,
                               assay_error *error)
{
    int32_t id = assay_vocabulary_find(&tokenizer->vocabulary, unknown, strlen(unknown));
    if (id < 0)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "the unknown token \"%.60s\" is not in the vocabulary", unknown);
    if (strlen(prefix) >= sizeof tokenizer->prefix)
        return assay_fail(error, ASSAY_E_LIMIT, where,
                          "continuing_subword_prefix is longer than %zu bytes",
                          sizeof tokenizer->prefix - 1);
    memcpy(tokenizer->prefix, prefix, strlen(prefix) + 1);
    assay_wordpiece_init(&tokenizer->model, &tokenizer->vocabulary, tokenizer->prefix,
                         longest_word, id);
    return ASSAY_OK;
}

static assay_status read_model(assay_tokenizer *tokenizer, const json_t *root, const char *path,
                               assay_error *error)
{
    const json_t *model = json_object_get(root, "model");
    const char *unknown = "[UNK]", *prefix = "##";
    uint64_t longest_word = 100;
    assay_place where = assay_place_of(path, "model");
    ASSAY_TRY(assay_json_string(model, "unk_token", where.text, &unknown, error));
    ASSAY_TRY(assay_json_string(model, "continuing_subword_prefix", where.text, &prefix, error));
    ASSAY_TRY(assay_json_uint(model, "max_input_chars_per_word", where.text, 0, UINT32_MAX,
                              &longest_word, error));
    return make_model(tokenizer, unknown, prefix, longest_word, where.text, error);
}

static assay_status read_normalizer(assay_tokenizer *tokenizer, const json_t *root,
                                    const char *path, assay_error *error)
{
    const json_t *found;
    ASSAY_TRY(component(root, "normalizer", "BertNormalizer", "normalizers", path, &found,
                        error));
    assay_bert_options options = {.clean_text = true, .split_ideographs = true,
                                  .lowercase = true};
    assay_place where = assay_place_of(path, "normalizer");
    ASSAY_TRY(assay_json_bool(found, "clean_text", where.text, &options.clean_text, error));
    ASSAY_TRY(assay_json_bool(found, "handle_chinese_chars", where.text,
                              &options.split_ideographs, error));
    ASSAY_TRY(assay_json_bool(found, "lowercase", where.text, &options.lowercase, error));
    options.strip_accents = options.lowercase;
    ASSAY_TRY(assay_json_bool(found, "strip_accents", where.text, &options.strip_accents,
                              error));
    assay_bert_normalizer_init(&tokenizer->normalizer, options, &tokenizer->classes);
    return ASSAY_OK;
}

/* ------------------------------------------------------------ tokenizer.json */

static assay_status read_truncation(assay_tokenizer *tokenizer, const json_t *root,
                                    const char *path, assay_error *error)
{
    const json_t *truncation = json_object_get(root, "truncation");
    assay_place where = assay_place_of(path, "truncation");
    const char *direction = "Right";
    uint64_t length = 0;
    ASSAY_TRY(assay_json_uint(truncation, "max_length", where.text, 0, UINT64_MAX, &length,
                              error));
    ASSAY_TRY(assay_json_string(truncation, "direction", where.text, &direction, error));
    if (strcmp(direction, "Right") != 0)
        return assay_refuse(path, "truncation.direction", direction, "Right", error);
    tokenizer->limit = length <= (uint64_t)LIMIT_MAX ? (uint32_t)length : 0;
    return ASSAY_OK;
}

static assay_status read_wordpiece(assay_tokenizer *tokenizer, const json_t *root,
                                   const char *path, assay_error *error)
{
    const json_t *ignored;
    ASSAY_TRY(assay_vocabulary_index(&tokenizer->vocabulary, false,
                                     assay_place_of(path, "model.vocab").text, error));
    ASSAY_TRY(read_model(tokenizer, root, path, error));
    ASSAY_TRY(read_normalizer(tokenizer, root, path, error));
    return component(root, "pre_tokenizer", "BertPreTokenizer", "pretokenizers", path, &ignored,
                     error);
}

/* The vocabulary is read already, the rest is in `root`. */
static assay_status read_root(assay_tokenizer *tokenizer, const json_t *root, const char *path,
                              assay_error *error)
{
    bool unigram = tokenizer->kind == ASSAY_UNIGRAM;
    ASSAY_TRY(unigram ? assay_unigram_read(tokenizer, root, path, error)
                      : read_wordpiece(tokenizer, root, path, error));
    ASSAY_TRY(read_added(tokenizer, root, path, error));
    if (unigram)
        assay_unigram_allow_segments(tokenizer);
    ASSAY_TRY(read_processor(tokenizer, root, path, error));
    ASSAY_TRY(read_truncation(tokenizer, root, path, error));
    const char *pad = unigram ? "<pad>" : "[PAD]";
    assay_place where = assay_place_of(path, "padding");
    ASSAY_TRY(assay_json_string(json_object_get(root, "padding"), "pad_token", where.text, &pad,
                                error));
    return find_special(tokenizer, pad, unigram ? "<mask>" : "[MASK]", where.text, error);
}

static size_t count_lines(const char *text, size_t length)
{
    enum { STRIDE = 128 }; /* fixed, so that a compiler makes vectors of it */
    size_t lines = 0;
    for (; length >= STRIDE; text += STRIDE, length -= STRIDE) {
        uint8_t here = 0;
        for (size_t i = 0; i < STRIDE; i++)
            here += text[i] == '\n';
        lines += here;
    }
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return lines;
}

/* Empties the vocabulary in the text, so that Jansson parses what remains; line
 * numbers stay as they were. Returns the new length. */
static size_t empty_vocabulary(char *text, size_t length, assay_json_span span)
{
    if (span.begin == span.end)
        return length;
    size_t rest = span.end - 1; /* where the closing bracket is */
    size_t lines = count_lines(text + span.begin, rest - span.begin);
    char *kept = text + span.begin + 1;
    memset(kept, '\n', lines);
    memmove(kept + lines, text + rest, length - rest);
    return span.begin + 1 + lines + (length - rest);
}

/* What no id depends on, unless it is a special token's. */
static const char *const not_of_ids[] = {"version", "truncation", "padding", "post_processor",
                                         "decoder", "model_max_length", "name_or_path"};

/* The digest of a tokenizer is that of its vocabulary as it stands in the file
 * and of all settings but those: tokenizers that differ there alone have one
 * digest, as have those of most models that were made from one. */
static assay_status make_digest(assay_tokenizer *tokenizer, uint64_t vocabulary,
                                const json_t *settings, assay_error *error)
{
    json_t *kept = json_copy((json_t *)(uintptr_t)settings);
    for (size_t i = 0; i < sizeof not_of_ids / sizeof *not_of_ids; i++)
        json_object_del(kept, not_of_ids[i]);
    char *text = json_dumps(kept, JSON_SORT_KEYS | JSON_COMPACT);
    assay_hasher *hasher = assay_hasher_new();
    json_decref(kept);
    if (text != NULL && hasher != NULL) {
        assay_hasher_add(hasher, &(uint32_t){REVISION}, sizeof(uint32_t));
        assay_hasher_add(hasher, &vocabulary, sizeof vocabulary);
        assay_hasher_add(hasher, text, strlen(text));
    }
    bool made = text != NULL && hasher != NULL;
    free(text);
    if (hasher != NULL)
        tokenizer->digest = assay_hasher_finish(hasher);
    return made ? ASSAY_OK : assay_fail_memory(error, 1024);
}

/* A Unigram model has a list, others have an object; those of before 2021 do not
 * say which they are. */
static assay_status read_words(assay_tokenizer *tokenizer, const char *text,
                               assay_json_span *span, const char *path, assay_error *error)
{
    char first = span->begin < span->end ? text[span->begin] : '\0';
    if (first == '[') {
        tokenizer->kind = ASSAY_UNIGRAM;
        return assay_vocabulary_json_read_scored(text, span, path, &tokenizer->vocabulary,
                                                 &tokenizer->unigram.scores, error);
    }
    if (first == '{')
        return assay_vocabulary_json_read(text, span, path, &tokenizer->vocabulary, error);
    span->end = span->begin;
    return ASSAY_OK;
}

static assay_status wrong_words(bool list, const char *path, assay_error *error)
{
    return wrong(path, "model.vocab",
                 list ? "a list of pieces and scores, not empty"
                      : "an object of tokens and ids, not empty", error);
}

static assay_status check_kind(const assay_tokenizer *tokenizer, const json_t *root,
                               const char *path, assay_error *error)
{
    if (!json_is_object(root))
        return assay_fail(error, ASSAY_E_FORMAT, path, "expected an object");
    const json_t *model = json_object_get(root, "model");
    const char *type = assay_type_of(model);
    bool list = tokenizer->kind == ASSAY_UNIGRAM;
    if (list && json_is_object(model) && json_object_get(model, "type") == NULL)
        type = "Unigram";
    if (strcmp(type, "WordPiece") != 0 && strcmp(type, "Unigram") != 0)
        return assay_refuse(path, "model.type", type, "WordPiece or Unigram", error);
    if (list != (strcmp(type, "Unigram") == 0))
        return wrong_words(!list, path, error);
    return ASSAY_OK;
}

static assay_status read_json_text(assay_tokenizer *tokenizer, char *text, size_t length,
                                   const char *path, json_t **root, assay_error *error)
{
    assay_json_span span = assay_vocabulary_json_find(text, length);
    assay_error reason = {0};
    assay_status vocabulary = read_words(tokenizer, text, &span, path, &reason);
    uint64_t words = assay_hash64(text + span.begin, span.end - span.begin);
    if (vocabulary == ASSAY_OK)
        length = empty_vocabulary(text, length, span);
    assay_status rest = assay_json_parse(text, length, path, root, error);
    /* A tokenizer of another kind is told to be that, whatever its vocabulary. */
    if (rest == ASSAY_OK)
        ASSAY_TRY(check_kind(tokenizer, *root, path, error));
    if (vocabulary != ASSAY_OK && error != NULL)
        *error = reason;
    if (vocabulary != ASSAY_OK || rest != ASSAY_OK)
        return vocabulary != ASSAY_OK ? vocabulary : rest;
    if (tokenizer->vocabulary.count == 0)
        return wrong_words(tokenizer->kind == ASSAY_UNIGRAM, path, error);
    ASSAY_TRY(make_digest(tokenizer, words, *root, error));
    return read_root(tokenizer, *root, path, error);
}

static assay_status read_json(assay_tokenizer *tokenizer, const char *path, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, FILE_MAX);
    json_t *root = NULL;
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK && text.length == 0)
        status = assay_fail(error, ASSAY_E_FORMAT, path, "the file is empty");
    if (status == ASSAY_OK)
        status = read_json_text(tokenizer, text.data, text.length, path, &root, error);
    json_decref(root);
    assay_buffer_free(&text);
    return status;
}

/* ------------------------------------------------- tokenizer_config.json */

/* Numbers as reals: model_max_length may be 1000000000000000019884624838656. */
static assay_status read_config(const char *path, json_t **out, assay_error *error)
{
    *out = NULL;
    if (path[0] == '\0')
        return ASSAY_OK;
    assay_buffer text;
    assay_buffer_init(&text, CONFIG_MAX);
    assay_status status = assay_file_read(path, &text, error);
    json_error_t reason;
    if (status == ASSAY_OK) {
        *out = json_loadb(text.data != NULL ? text.data : "", text.length,
                          JSON_DECODE_INT_AS_REAL, &reason);
        if (*out == NULL)
            status = assay_fail(error, ASSAY_E_FORMAT, path, "not JSON: line %d, column %d: %s",
                                reason.line, reason.column, reason.text);
        else if (!json_is_object(*out))
            status = assay_fail(error, ASSAY_E_FORMAT, path, "expected an object");
    }
    assay_buffer_free(&text);
    return status;
}

static assay_status read_limit(assay_tokenizer *tokenizer, const json_t *config,
                               const char *path, assay_error *error)
{
    double length = 0;
    const char *side = "right";
    ASSAY_TRY(assay_json_double(config, "model_max_length", path, 0, 1e300, &length, error));
    ASSAY_TRY(assay_json_string(config, "truncation_side", path, &side, error));
    if (strcmp(side, "right") != 0)
        return assay_refuse(path, "truncation_side", side, "right", error);
    if (length >= 1 && length <= LIMIT_MAX)
        tokenizer->limit = (uint32_t)length;
    return ASSAY_OK;
}

/* A special token's content, given as a string or as an object with one. */
static const char *named(const json_t *config, const json_t *map, const char *field,
                         const char *otherwise)
{
    const json_t *found = json_object_get(config, field);
    if (found == NULL || json_is_null(found))
        found = json_object_get(map, field);
    if (json_is_object(found))
        found = json_object_get(found, "content");
    return json_is_string(found) ? json_string_value(found) : otherwise;
}

/* ------------------------------------------------------------------ vocab.txt */

static assay_status read_lines(assay_vocabulary *vocabulary, const assay_buffer *text,
                               const char *path, assay_error *error)
{
    size_t line = 1;
    for (size_t at = 0; at < text->length; line++) {
        const char *begin = text->data + at;
        const char *newline = memchr(begin, '\n', text->length - at);
        size_t length = newline != NULL ? (size_t)(newline - begin) : text->length - at;
        at += length + 1;
        if (length > 0 && begin[length - 1] == '\r')
            length--;
        if (memchr(begin, '\0', length) != NULL ||
            assay_utf8_check((const uint8_t *)begin, length) < length)
            return assay_fail(error, ASSAY_E_FORMAT, path, "line %zu: not valid UTF-8", line);
        ASSAY_TRY(assay_vocabulary_add(vocabulary, begin, length, path, error));
    }
    if (vocabulary->count == 0)
        return assay_fail(error, ASSAY_E_FORMAT, path, "expected one token per line");
    return assay_vocabulary_index(vocabulary, true, path, error);
}

static assay_status read_vocabulary(assay_vocabulary *vocabulary, const char *path,
                                    assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, FILE_MAX);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK)
        status = read_lines(vocabulary, &text, path, error);
    assay_buffer_free(&text);
    return status;
}

/* {"100": {"content": "[UNK]", ...}, ...}: those of the vocabulary, then, in the
 * order of their ids, those outside it. */
static assay_status read_decoder(assay_tokenizer *tokenizer, const json_t *decoder,
                                 const char *path, assay_error *error)
{
    size_t base = tokenizer->vocabulary.count, inside = 0;
    const char *key;
    json_t *object;
    assay_place where = assay_place_of(path, "added_tokens_decoder");
    json_object_foreach((json_t *)(uintptr_t)decoder, key, object) {
        char *end = NULL;
        unsigned long id = isdigit((unsigned char)key[0]) ? strtoul(key, &end, 10) : ULONG_MAX;
        if (end == NULL || *end != '\0' || id >= INT32_MAX)
            return assay_fail(error, ASSAY_E_FORMAT, where.text, "\"%.60s\" is not a token id",
                              key);
        if (id >= base)
            continue;
        ASSAY_TRY(add_described(tokenizer, object, id, where.text, error));
        inside++;
    }
    for (size_t id = base; id < base + json_object_size(decoder) - inside; id++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", id);
        object = json_object_get(decoder, name);
        if (object == NULL)
            return assay_fail(error, ASSAY_E_FORMAT, where.text,
                              "ids must follow the vocabulary's: %zu is missing", id);
        ASSAY_TRY(add_described(tokenizer, object, id, where.text, error));
    }
    return ASSAY_OK;
}

static const char *const special_fields[][2] = {
    {"unk_token", "[UNK]"},  {"sep_token", "[SEP]"},   {"pad_token", "[PAD]"},
    {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"},
};

/* Special tokens that no added_tokens_decoder describes are taken as they are. */
static assay_status add_named(assay_tokenizer *tokenizer, const json_t *config,
                              const json_t *map, const char *path, assay_error *error)
{
    for (size_t i = 0; i < sizeof special_fields / sizeof *special_fields; i++) {
        const char *content = named(config, map, special_fields[i][0], special_fields[i][1]);
        size_t length = strlen(content);
        assay_added_token token = {
            .id = assay_vocabulary_find(&tokenizer->vocabulary, content, length)};
        bool again = false;
        for (size_t k = 0; k < tokenizer->plain.contents.count; k++)
            again = again || tokenizer->plain.items[k].id == token.id;
        if (token.id >= 0 && !again)
            ASSAY_TRY(assay_added_tokens_add(&tokenizer->plain, content, length, &token, path,
                                             error));
    }
    return ASSAY_OK;
}

static assay_status find_named(const assay_tokenizer *tokenizer, const char *content,
                               const char *path, int32_t *id, assay_error *error)
{
    *id = assay_vocabulary_find(&tokenizer->vocabulary, content, strlen(content));
    if (*id < 0)
        return assay_fail(error, ASSAY_E_FORMAT, path, "there is no token \"%.60s\"", content);
    return ASSAY_OK;
}

/* The classes of tokenizer_config.json whose vocab.txt is WordPiece. */
static assay_status check_class(const json_t *config, const char *path, assay_error *error)
{
    static const char *const known[] = {"BertTokenizer", "BertTokenizerFast",
                                        "DistilBertTokenizer", "DistilBertTokenizerFast",
                                        "ElectraTokenizer", "ElectraTokenizerFast",
                                        "PreTrainedTokenizerFast", "TokenizersBackend"};
    const char *class = "BertTokenizer";
    ASSAY_TRY(assay_json_string(config, "tokenizer_class", path, &class, error));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(class, known[i]) == 0)
            return ASSAY_OK;
    return assay_refuse(path, "tokenizer_class", class, "BertTokenizer", error);
}

/* Fields of the two files count as `named` looks them up. */
static assay_status digest_bert(assay_tokenizer *tokenizer, const json_t *config,
                                const json_t *map, assay_error *error)
{
    const assay_buffer *words = &tokenizer->vocabulary.text;
    json_t *settings = map != NULL ? json_copy((json_t *)(uintptr_t)map) : json_object();
    json_object_update(settings, (json_t *)(uintptr_t)config);
    assay_status status = make_digest(tokenizer, assay_hash64(words->data, words->length),
                                      settings, error);
    json_decref(settings);
    return status;
}

static assay_status read_bert(assay_tokenizer *tokenizer, const sources *from,
                              const json_t *config, const json_t *map, assay_error *error)
{
    assay_bert_options options = {.clean_text = true, .split_ideographs = true,
                                  .lowercase = true};
    ASSAY_TRY(check_class(config, from->config, error));
    ASSAY_TRY(assay_json_bool(config, "do_lower_case", from->config, &options.lowercase, error));
    options.strip_accents = options.lowercase;
    ASSAY_TRY(assay_json_bool(config, "strip_accents", from->config, &options.strip_accents,
                              error));
    ASSAY_TRY(assay_json_bool(config, "tokenize_chinese_chars", from->config,
                              &options.split_ideographs, error));
    assay_bert_normalizer_init(&tokenizer->normalizer, options, &tokenizer->classes);

    const char *path = from->vocabulary;
    ASSAY_TRY(read_vocabulary(&tokenizer->vocabulary, path, error));
    ASSAY_TRY(make_model(tokenizer, named(config, map, "unk_token", "[UNK]"), "##", 100, path,
                         error));
    const json_t *decoder = json_object_get(config, "added_tokens_decoder");
    if (json_object_size(decoder) > 0)
        ASSAY_TRY(read_decoder(tokenizer, decoder, from->config, error));
    ASSAY_TRY(add_named(tokenizer, config, map, path, error));
    ASSAY_TRY(index_added(tokenizer, path, error));
    int32_t cls, sep;
    ASSAY_TRY(find_named(tokenizer, named(config, map, "cls_token", "[CLS]"), path, &cls, error));
    ASSAY_TRY(find_named(tokenizer, named(config, map, "sep_token", "[SEP]"), path, &sep, error));
    ASSAY_TRY(bert_templates(tokenizer, cls, sep, path, error));
    ASSAY_TRY(find_special(tokenizer, named(config, map, "pad_token", "[PAD]"),
                           named(config, map, "mask_token", "[MASK]"), path, error));
    return digest_bert(tokenizer, config, map, error);
}

/* ------------------------------------------------------------------- opening */

/* path = folder/name if there is such a file, else "". */
static assay_status find_file(char *path, const char *folder, const char *name,
                              assay_error *error)
{
    ASSAY_TRY(assay_path_join(path, PATH_SIZE, folder, name, error));
    if (!assay_is_file(path))
        path[0] = '\0';
    return ASSAY_OK;
}

static assay_status find_in_folder(const char *folder, sources *out, assay_error *error)
{
    ASSAY_TRY(find_file(out->json, folder, "tokenizer.json", error));
    ASSAY_TRY(find_file(out->vocabulary, folder, "vocab.txt", error));
    ASSAY_TRY(find_file(out->config, folder, "tokenizer_config.json", error));
    return find_file(out->map, folder, "special_tokens_map.json", error);
}

/* Old sentence-transformers models keep the transformer, and with it the
 * tokenizer, in the folder that modules.json names first. */
static assay_status find_in_module(const char *folder, sources *out, assay_error *error)
{
    char path[PATH_SIZE];
    ASSAY_TRY(find_file(path, folder, "modules.json", error));
    if (path[0] == '\0')
        return ASSAY_OK;
    json_t *modules;
    ASSAY_TRY(assay_json_read(path, CONFIG_MAX, &modules, error));
    const char *name = json_string_value(json_object_get(json_array_get(modules, 0), "path"));
    assay_status status = ASSAY_OK;
    if (name != NULL && name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, "..") != 0) {
        status = assay_path_join(path, sizeof path, folder, name, error);
        if (status == ASSAY_OK)
            status = find_in_folder(path, out, error);
    }
    json_decref(modules);
    return status;
}

static assay_status find_beside(const char *path, sources *out, assay_error *error)
{
    const char *name = assay_path_name(path);
    size_t length = strlen(name), folder_length = (size_t)(name - path);
    if (strlen(path) >= PATH_SIZE)
        return assay_fail(error, ASSAY_E_LIMIT, path, "path longer than %d bytes",
                          PATH_SIZE - 1);
    bool json = length > 5 && strcmp(name + length - 5, ".json") == 0;
    snprintf(json ? out->json : out->vocabulary, PATH_SIZE, "%s", path);
    char folder[PATH_SIZE];
    snprintf(folder, sizeof folder, "%.*s", (int)folder_length, path);
    const char *beside = folder_length > 0 ? folder : ".";
    ASSAY_TRY(find_file(out->config, beside, "tokenizer_config.json", error));
    return find_file(out->map, beside, "special_tokens_map.json", error);
}

/* SentencePiece's own file is another format; transformers makes ours of it. */
static assay_status refuse_sentencepiece(const char *folder, assay_error *error)
{
    static const char *const names[] = {"sentencepiece.bpe.model", "spiece.model",
                                        "tokenizer.model"};
    char path[PATH_SIZE];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ASSAY_TRY(find_file(path, folder, names[i], error));
        if (path[0] != '\0')
            return assay_fail(error, ASSAY_E_UNSUPPORTED, path,
                              "tokenizer.json is needed: transformers' AutoTokenizer writes it by "
                              "save_pretrained");
    }
    return ASSAY_OK;
}

static assay_status find_sources(const char *path, sources *out, assay_error *error)
{
    if (!assay_is_folder(path))
        return find_beside(path, out, error);
    ASSAY_TRY(find_in_folder(path, out, error));
    if (out->json[0] == '\0' && out->vocabulary[0] == '\0')
        ASSAY_TRY(find_in_module(path, out, error));
    if (out->json[0] == '\0' && out->vocabulary[0] == '\0')
        ASSAY_TRY(refuse_sentencepiece(path, error));
    if (out->json[0] == '\0' && out->vocabulary[0] == '\0')
        return assay_fail(error, ASSAY_E_NOT_FOUND, path,
                          "neither tokenizer.json nor vocab.txt is in this folder");
    return ASSAY_OK;
}

static assay_status read_sources(assay_tokenizer *tokenizer, const sources *from,
                                 assay_error *error)
{
    json_t *config = NULL, *map = NULL;
    assay_status status = read_config(from->config, &config, error);
    if (status == ASSAY_OK && from->json[0] != '\0') {
        status = read_json(tokenizer, from->json, error);
    } else if (status == ASSAY_OK) {
        status = read_config(from->map, &map, error);
        if (status == ASSAY_OK)
            status = read_bert(tokenizer, from, config, map, error);
    }
    if (status == ASSAY_OK)
        status = read_limit(tokenizer, config, from->config, error);
    json_decref(config);
    json_decref(map);
    return status;
}

assay_status assay_tokenizer_open(const char *path, assay_tokenizer **out, assay_error *error)
{
    if (path == NULL || path[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, "path", "expected a folder or a file");
    assay_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    sources *from = calloc(1, sizeof *from);
    assay_status status = ASSAY_OK;
    if (tokenizer == NULL || from == NULL)
        status = assay_fail_memory(error, sizeof *tokenizer + sizeof *from);
    if (status == ASSAY_OK)
        status = find_sources(path, from, error);
    if (status == ASSAY_OK) {
        assay_char_table_fill(&tokenizer->classes);
        status = read_sources(tokenizer, from, error);
    }
    free(from);
    if (status != ASSAY_OK) {
        assay_tokenizer_close(tokenizer);
        return status;
    }
    *out = tokenizer;
    return ASSAY_OK;
}
