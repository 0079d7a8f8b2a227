/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unigram_file.c: a Unigram tokenizer out of tokenizer.json.
 *
 * As XLM-RoBERTa models have it, whichever release of transformers wrote it: the
 * normalizer is Precompiled, or a Sequence that begins with it and goes on with
 * Strip, Replace (of a string, or of the runs of spaces " {2,}") and Prepend; the
 * pre_tokenizer is Metaspace, with add_prefix_space or with prepend_scheme, alone
 * or after WhitespaceSplit. Everything else is refused by name.
 */
#include <math.h>
#include <stdlib.h>

#include "text/tokenizer_file.h"

#define UNKNOWN_PENALTY 10.0 /* below the worst piece */

static const char mark[] = "\xE2\x96\x81"; /* U+2581, a space in the trie */

/* --------------------------------------------------------------------- model */

/* Writes a piece as the trie has it, which is no longer, and returns its length;
 * 0 when no text can hold it: a space would have become a mark. */
static size_t write_key(char *out, const char *text, size_t length)
{
    size_t written = 0;
    for (size_t at = 0; at < length; at++) {
        if (text[at] == ' ')
            return 0;
        bool is_mark = length - at >= 3 && memcmp(text + at, mark, 3) == 0;
        out[written++] = is_mark ? ' ' : text[at];
        at += is_mark ? 2 : 0;
    }
    return written;
}

static assay_status build_trie(assay_tokenizer *tokenizer, assay_error *error)
{
    const assay_vocabulary *words = &tokenizer->vocabulary;
    assay_piece *pieces = malloc(words->count * sizeof *pieces);
    char *keys = malloc(words->text.length);
    assay_status status = pieces != NULL && keys != NULL
                              ? ASSAY_OK
                              : assay_fail_memory(error, words->count * sizeof *pieces);
    char *key = keys;
    for (size_t i = 0; i < words->count && status == ASSAY_OK; i++) {
        const char *text = assay_vocabulary_text(words, (int32_t)i);
        size_t length = write_key(key, text, strlen(text));
        pieces[i] = (assay_piece){(const uint8_t *)key, (uint32_t)length, (int32_t)i};
        key += length;
    }
    if (status == ASSAY_OK)
        status = assay_piece_trie_build(&tokenizer->unigram.trie, pieces, words->count, error);
    free(keys);
    free(pieces);
    return status;
}

assay_status assay_unigram_find(assay_tokenizer *tokenizer, const char *content, size_t length,
                                const char *where, int32_t *id, assay_error *error)
{
    assay_vocabulary *words = &tokenizer->vocabulary;
    char key[ASSAY_TOKEN_BYTES];
    *id = -1;
    if (length > sizeof key)
        return ASSAY_OK;
    size_t written = write_key(key, content, length);
    if (written > 0) {
        *id = assay_piece_trie_find(&tokenizer->unigram.trie, key, written);
        return ASSAY_OK;
    }
    if (words->slots == NULL)
        ASSAY_TRY(assay_vocabulary_index(words, true, where, error));
    *id = assay_vocabulary_find(words, content, length);
    return ASSAY_OK;
}

static void find_bytes(assay_unigram *model)
{
    for (unsigned c = 0; c < 256; c++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", c);
        model->bytes[c] = assay_piece_trie_find(&model->trie, name, 6);
    }
}

static assay_status read_model(assay_tokenizer *tokenizer, const json_t *root, const char *path,
                               assay_error *error)
{
    const json_t *model = json_object_get(root, "model");
    assay_unigram *unigram = &tokenizer->unigram;
    assay_place where = assay_place_of(path, "model");
    uint64_t unknown = UINT64_MAX;
    size_t count = tokenizer->vocabulary.count;
    ASSAY_TRY(assay_json_uint(model, "unk_id", where.text, 0, count - 1, &unknown, error));
    if (unknown == UINT64_MAX)
        return assay_fail(error, ASSAY_E_FORMAT, assay_place_of(path, "model.unk_id").text,
                          "expected the id of the piece for unknown characters, below %zu",
                          count);
    ASSAY_TRY(assay_json_bool(model, "byte_fallback", where.text, &unigram->byte_fallback,
                              error));
    unigram->unknown = (int32_t)unknown;
    unigram->unknown_score = HUGE_VAL;
    for (size_t i = 0; i < count; i++)
        if (unigram->scores[i] < unigram->unknown_score)
            unigram->unknown_score = unigram->scores[i];
    unigram->unknown_score -= UNKNOWN_PENALTY;
    ASSAY_TRY(build_trie(tokenizer, error));
    find_bytes(unigram);
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- normalizer */

/* One component and the name of its place, "normalizer.normalizers[1]". */
typedef struct part {
    const json_t *json;
    const char *path;
    char field[64];
} part;

static part part_of(const json_t *list, size_t index, const char *path, const char *field)
{
    part p = {.json = json_array_get(list, index), .path = path};
    snprintf(p.field, sizeof p.field, "%s[%zu]", field, index);
    return p;
}

static assay_status read_charsmap(assay_spm_normalizer *spm, const part *p, assay_error *error)
{
    char field[96];
    snprintf(field, sizeof field, "%s.precompiled_charsmap", p->field);
    assay_place where = assay_place_of(p->path, field);
    const json_t *map = json_object_get(p->json, "precompiled_charsmap");
    if (!json_is_string(map))
        return assay_fail(error, ASSAY_E_FORMAT, where.text, "expected a string");
    if (spm->count > 0 || spm->map.unit_count > 0)
        return assay_refuse(p->path, p->field, "Precompiled after another normalizer",
                            "one that is the first", error);
    return assay_charsmap_read(&spm->map, json_string_value(map), json_string_length(map),
                               where.text, error);
}

/* A string of a step, which must be there. */
static assay_status read_string(const json_t *object, const char *field, const char *where,
                                bool empty, char out[ASSAY_SPM_STRING], assay_error *error)
{
    const char *text = NULL;
    ASSAY_TRY(assay_json_string(object, field, where, &text, error));
    size_t length = text != NULL ? strlen(text) : 0;
    if (text == NULL || length >= ASSAY_SPM_STRING || (length == 0 && !empty))
        return assay_fail(error, ASSAY_E_FORMAT, where, "%s: expected a string of %d to %d bytes",
                          field, empty ? 0 : 1, ASSAY_SPM_STRING - 1);
    memcpy(out, text, length + 1);
    return ASSAY_OK;
}

static assay_status read_replace(assay_spm_step *step, const part *p, const char *where,
                                 assay_error *error)
{
    const json_t *pattern = json_object_get(p->json, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    ASSAY_TRY(read_string(p->json, "content", where, true, step->content, error));
    if (regex == NULL) {
        step->kind = ASSAY_SPM_REPLACE;
        return read_string(pattern, "String", where, false, step->pattern, error);
    }
    step->kind = ASSAY_SPM_RUNS;
    if (strcmp(regex, " {2,}") == 0)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_UNSUPPORTED, where,
                      "Replace of the expression \"%.60s\" is not supported, \" {2,}\" is", regex);
}

static assay_status read_step(assay_spm_normalizer *spm, const part *p, assay_error *error)
{
    const char *type = assay_type_of(p->json);
    assay_place where = assay_place_of(p->path, p->field);
    if (strcmp(type, "Precompiled") == 0)
        return read_charsmap(spm, p, error);
    if (spm->count == ASSAY_SPM_STEPS)
        return assay_fail(error, ASSAY_E_LIMIT, where.text, "more than %d normalizers",
                          ASSAY_SPM_STEPS);
    assay_spm_step *step = &spm->steps[spm->count++];
    if (strcmp(type, "Replace") == 0)
        return read_replace(step, p, where.text, error);
    if (strcmp(type, "Prepend") == 0) {
        step->kind = ASSAY_SPM_PREPEND;
        return read_string(p->json, "prepend", where.text, true, step->content, error);
    }
    if (strcmp(type, "Strip") != 0)
        return assay_refuse(p->path, p->field, type, "Precompiled, Strip, Replace or Prepend",
                            error);
    step->kind = ASSAY_SPM_STRIP;
    ASSAY_TRY(assay_json_bool(p->json, "strip_left", where.text, &step->left, error));
    return assay_json_bool(p->json, "strip_right", where.text, &step->right, error);
}

static assay_status read_normalizer(assay_tokenizer *tokenizer, const json_t *root,
                                    const char *path, assay_error *error)
{
    const json_t *found = json_object_get(root, "normalizer");
    assay_spm_normalizer *spm = &tokenizer->spm;
    if (strcmp(assay_type_of(found), "Sequence") == 0) {
        const json_t *list = json_object_get(found, "normalizers");
        for (size_t i = 0; i < json_array_size(list); i++) {
            part p = part_of(list, i, path, "normalizer.normalizers");
            ASSAY_TRY(read_step(spm, &p, error));
        }
    } else if (found != NULL && !json_is_null(found)) {
        part p = {.json = found, .path = path, .field = "normalizer"};
        ASSAY_TRY(read_step(spm, &p, error));
    }
    return assay_spm_normalizer_ready(spm, &tokenizer->classes, error);
}

/* -------------------------------------------------------------- pre_tokenizer */

static assay_status read_scheme(assay_metaspace *out, const part *p, const char *where,
                                assay_error *error)
{
    static const char *const names[] = {"always", "first", "never"}; /* in the enum's order */
    const char *scheme = NULL;
    bool prefix = true;
    ASSAY_TRY(assay_json_bool(p->json, "add_prefix_space", where, &prefix, error));
    ASSAY_TRY(assay_json_string(p->json, "prepend_scheme", where, &scheme, error));
    if (scheme == NULL)
        scheme = prefix ? "always" : "never";
    if (!prefix && strcmp(scheme, "never") != 0)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "add_prefix_space is false, but prepend_scheme \"%.20s\"", scheme);
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(scheme, names[i]) == 0) {
            out->prepend = (assay_metaspace_prepend)i;
            return ASSAY_OK;
        }
    return assay_fail(error, ASSAY_E_FORMAT, where,
                      "prepend_scheme: expected always, first or never, not \"%.20s\"", scheme);
}

static assay_status read_metaspace(assay_metaspace *out, const part *p, assay_error *error)
{
    assay_place where = assay_place_of(p->path, p->field);
    const char *replacement = mark;
    if (strcmp(assay_type_of(p->json), "Metaspace") != 0)
        return assay_refuse(p->path, p->field, assay_type_of(p->json),
                            "Metaspace, alone or after WhitespaceSplit,", error);
    ASSAY_TRY(assay_json_string(p->json, "replacement", where.text, &replacement, error));
    if (strcmp(replacement, mark) != 0)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, where.text,
                          "replacement \"%.20s\" is not supported, \"%s\" (U+2581) is",
                          replacement, mark);
    out->split = true;
    ASSAY_TRY(assay_json_bool(p->json, "split", where.text, &out->split, error));
    return read_scheme(out, p, where.text, error);
}

static assay_status read_pre_tokenizer(assay_metaspace *out, const json_t *root,
                                       const char *path, assay_error *error)
{
    const json_t *found = json_object_get(root, "pre_tokenizer");
    if (strcmp(assay_type_of(found), "Sequence") != 0) {
        part p = {.json = found, .path = path, .field = "pre_tokenizer"};
        return read_metaspace(out, &p, error);
    }
    const json_t *list = json_object_get(found, "pretokenizers");
    size_t count = json_array_size(list), last = count > 0 ? count - 1 : 0;
    if (count == 2) {
        const char *type = assay_type_of(json_array_get(list, 0));
        out->words = strcmp(type, "WhitespaceSplit") == 0;
        if (!out->words)
            return assay_refuse(path, "pre_tokenizer.pretokenizers[0]", type, "WhitespaceSplit",
                                error);
    }
    if (count != 1 && count != 2)
        return assay_refuse(path, "pre_tokenizer", "a Sequence of none or of more than two",
                            "WhitespaceSplit and Metaspace", error);
    part p = part_of(list, last, path, "pre_tokenizer.pretokenizers");
    return read_metaspace(out, &p, error);
}

assay_status assay_unigram_read(assay_tokenizer *tokenizer, const json_t *root, const char *path,
                                assay_error *error)
{
    ASSAY_TRY(read_normalizer(tokenizer, root, path, error));
    ASSAY_TRY(read_pre_tokenizer(&tokenizer->metaspace, root, path, error));
    return read_model(tokenizer, root, path, error);
}

/* Whether an added token that is looked for in normalised text may hold what a
 * space becomes. */
static bool holds_space(const assay_tokenizer *tokenizer, const char *token)
{
    size_t length = strlen(token);
    for (size_t at = 0; at < length;) {
        uint32_t point = assay_utf8_next((const uint8_t *)token, length, &at);
        if (point == 0x2581 || (assay_char_class(&tokenizer->classes, point) & ASSAY_CHAR_SPACE))
            return true;
    }
    return false;
}

void assay_unigram_allow_segments(assay_tokenizer *tokenizer)
{
    const assay_vocabulary *tokens = &tokenizer->normalized.contents;
    bool cut = tokenizer->spm.simple && (tokenizer->metaspace.split || tokenizer->metaspace.words);
    for (size_t i = 0; i < tokens->count && cut; i++)
        cut = !holds_space(tokenizer, assay_vocabulary_text(tokens, (int32_t)i));
    tokenizer->spm.in_segments = cut;
}
