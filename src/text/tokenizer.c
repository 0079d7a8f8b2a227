/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.c: text to tokens, pairs, truncation. See tokenizer.h and assay.h.
 *
 * A text goes through in segments of some hundred bytes that end at white
 * space, where no step of the pipeline looks across: added tokens are taken out,
 * a segment is normalised, cut into words, and each word into pieces. Where a
 * step does look across, as where an added token that may hold white space is to
 * be found in normalised text, a segment is all of the text.
 */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_parts.h"

#define SEGMENT 512 /* bytes; a segment may be longer where there is no space */

/* ------------------------------------------------------------ token lists */

void assay_tokens_free(assay_tokens *tokens)
{
    free(tokens->ids);
    free(tokens->begins);
    free(tokens->ends);
    *tokens = (assay_tokens){0};
}

static bool resize(void *list, size_t count, size_t item)
{
    void *grown = realloc(*(void **)list, count * item);
    if (grown != NULL)
        *(void **)list = grown;
    return grown != NULL;
}

assay_status assay_tokens_grow(assay_tokens *tokens, assay_error *error)
{
    size_t capacity = tokens->capacity > 0 ? 2 * tokens->capacity : 64;
    if (!resize(&tokens->ids, capacity, sizeof *tokens->ids) ||
        !resize(&tokens->begins, capacity, sizeof *tokens->begins) ||
        !resize(&tokens->ends, capacity, sizeof *tokens->ends))
        return assay_fail_memory(error, capacity * 12);
    tokens->capacity = capacity;
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- encoding */

/* One text on its way to tokens. */
typedef struct passage {
    const assay_tokenizer *tokenizer;
    const uint8_t *text;
    size_t enough; /* tokens: what comes after them is not wanted */
    assay_tokens *tokens;
    assay_normal buffers[2];
    assay_normal *normal; /* one of them: the segment */
    assay_lattice lattice;
    assay_error *error;
} passage;

/* Adds the pieces of normalised bytes [from, to), which are one word, and turns
 * their offsets into those of the original text. */
static assay_status encode_word(passage *p, size_t from, size_t to)
{
    assay_tokens *tokens = p->tokens;
    const assay_normal *normal = p->normal;
    size_t first = tokens->count;
    ASSAY_TRY(assay_wordpiece_encode(&p->tokenizer->model, normal->bytes + from, to - from,
                                     from, tokens, p->error));
    for (size_t i = first; i < tokens->count; i++) {
        size_t begin = tokens->begins[i], end = tokens->ends[i];
        tokens->begins[i] = assay_normal_begin(normal, begin);
        tokens->ends[i] = assay_normal_end(normal, end);
    }
    return ASSAY_OK;
}

/* Words of normalised bytes [from, to): runs between white space, punctuation
 * characters each by themselves (BertPreTokenizer). */
static assay_status encode_words(passage *p, size_t from, size_t to)
{
    const assay_char_table *classes = &p->tokenizer->classes;
    const uint8_t *bytes = p->normal->bytes;
    size_t word = from;
    for (size_t at = from; at < to && p->tokens->count < p->enough;) {
        size_t begin = at;
        uint32_t point = bytes[at] < 0x80 ? bytes[at++] : assay_utf8_next(bytes, to, &at);
        uint8_t bits = assay_char_class(classes, point);
        if ((bits & (ASSAY_CHAR_SPACE | ASSAY_CHAR_PUNCTUATION)) == 0)
            continue;
        if (word < begin)
            ASSAY_TRY(encode_word(p, word, begin));
        if ((bits & ASSAY_CHAR_SPACE) == 0)
            ASSAY_TRY(encode_word(p, begin, at));
        word = at;
    }
    if (word < to && p->tokens->count < p->enough)
        ASSAY_TRY(encode_word(p, word, to));
    return ASSAY_OK;
}

/* Adds the pieces of what a Unigram model sees at a time. A mark that stands for
 * nothing has the place of the character after it. */
static assay_status encode_marked(passage *p, assay_metaspace_piece piece)
{
    assay_tokens *tokens = p->tokens;
    const assay_normal *normal = p->normal;
    assay_unigram_text text = {piece.marked, normal->bytes + piece.from, piece.to - piece.from};
    size_t first = tokens->count;
    ASSAY_TRY(assay_unigram_encode(&p->tokenizer->unigram, &p->lattice, text, p->enough, tokens,
                                   p->error));
    for (size_t i = first; i < tokens->count; i++) {
        size_t begin = tokens->begins[i], end = tokens->ends[i];
        begin -= piece.marked && begin > 0;
        end -= piece.marked && end > 1;
        tokens->begins[i] = assay_normal_begin(normal, piece.from + begin);
        tokens->ends[i] = assay_normal_end(normal, piece.from + end);
    }
    return ASSAY_OK;
}

/* Normalised bytes [from, to), in which there is no added token. */
static assay_status encode_between(passage *p, size_t from, size_t to)
{
    const assay_tokenizer *tokenizer = p->tokenizer;
    if (tokenizer->kind == ASSAY_WORDPIECE)
        return encode_words(p, from, to);
    assay_metaspace_walk walk = {.next = from, .to = to};
    assay_metaspace_piece piece;
    while (p->tokens->count < p->enough &&
           assay_metaspace_next(&tokenizer->metaspace, &tokenizer->classes, p->normal, &walk,
                                &piece))
        ASSAY_TRY(encode_marked(p, piece));
    return ASSAY_OK;
}

/* Normalised text, added tokens taken out. */
static assay_status encode_normal(passage *p)
{
    const assay_added_tokens *set = &p->tokenizer->normalized;
    const assay_normal *normal = p->normal;
    assay_added_search search = {0};
    for (;;) {
        assay_added_match match = assay_added_tokens_next(
            set, &p->tokenizer->classes, normal->bytes, 0, normal->count, &search);
        ASSAY_TRY(encode_between(p, match.before, match.begin));
        if (match.id < 0 || p->tokens->count >= p->enough)
            return ASSAY_OK;
        ASSAY_TRY(assay_tokens_add(p->tokens, match.id, assay_normal_begin(normal, match.begin),
                                   assay_normal_end(normal, match.end), p->error));
    }
}

static bool is_ascii_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* Where the segment that begins at `from` ends. */
static size_t segment_end(const passage *p, size_t from, size_t to)
{
    if (p->tokenizer->normalized.contents.count > 0 || to - from <= SEGMENT)
        return to;
    size_t end = from + SEGMENT;
    while (end > from && !is_ascii_space(p->text[end - 1]))
        end--;
    if (end > from)
        return end;
    end = from + SEGMENT;
    while (end < to && !is_ascii_space(p->text[end]))
        end++;
    return end;
}

static assay_status encode_spm(passage *p, size_t from, size_t to)
{
    assay_spm_run run = {.text = p->text, .begin = from, .end = to, .done = from,
                         .cursor = from, .normal = &p->buffers[0], .spare = &p->buffers[1]};
    while (run.done < to && p->tokens->count < p->enough) {
        ASSAY_TRY(assay_spm_segment(&p->tokenizer->spm, &run, p->error));
        p->normal = run.normal;
        ASSAY_TRY(encode_normal(p));
    }
    return ASSAY_OK;
}

/* Original bytes [from, to), in which there is no added token of the plain kind. */
static assay_status encode_plain(passage *p, size_t from, size_t to)
{
    if (p->tokenizer->kind == ASSAY_UNIGRAM)
        return encode_spm(p, from, to);
    while (from < to && p->tokens->count < p->enough) {
        size_t end = segment_end(p, from, to);
        ASSAY_TRY(assay_bert_normalize(&p->tokenizer->normalizer, p->text, from, end,
                                       p->normal, p->error));
        ASSAY_TRY(encode_normal(p));
        from = end;
    }
    return ASSAY_OK;
}

static assay_status encode_text(passage *p, size_t length)
{
    const assay_added_tokens *set = &p->tokenizer->plain;
    assay_added_search search = {0};
    for (;;) {
        assay_added_match match = assay_added_tokens_next(set, &p->tokenizer->classes, p->text,
                                                          0, length, &search);
        ASSAY_TRY(encode_plain(p, match.before, match.begin));
        if (match.id < 0 || p->tokens->count >= p->enough)
            return ASSAY_OK;
        ASSAY_TRY(assay_tokens_add(p->tokens, match.id, match.begin, match.end, p->error));
    }
}

/* Appends the tokens of `text`, at least `wanted` of them if there are as many. */
static assay_status encode(const assay_tokenizer *tokenizer, assay_text text, size_t wanted,
                           assay_tokens *tokens, assay_error *error)
{
    if (text.length > UINT32_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, NULL,
                          "a text of %zu bytes; at most 4294967295 are allowed", text.length);
    passage p = {.tokenizer = tokenizer,
                 .text = (const uint8_t *)text.data,
                 .enough = wanted > SIZE_MAX - tokens->count ? SIZE_MAX
                                                             : tokens->count + wanted,
                 .tokens = tokens,
                 .error = error};
    p.normal = &p.buffers[0];
    assay_status status = encode_text(&p, text.length);
    assay_normal_free(&p.buffers[0]);
    assay_normal_free(&p.buffers[1]);
    assay_lattice_free(&p.lattice);
    return status;
}

assay_status assay_tokenizer_encode(const assay_tokenizer *tokenizer, assay_text text,
                                    assay_tokens *tokens, assay_error *error)
{
    return encode(tokenizer, text, SIZE_MAX, tokens, error);
}

assay_status assay_tokenizer_encode_first(const assay_tokenizer *tokenizer, assay_text text,
                                          size_t wanted, assay_tokens *tokens,
                                          assay_error *error)
{
    return encode(tokenizer, text, wanted, tokens, error);
}

/* --------------------------------------------------------------- truncation */

/* As truncate_encodings of the tokenizers library: the longer text is cut first,
 * and both to the half when both are longer than that. */
static void keep_longest_first(size_t first, size_t second, size_t room, size_t *keep_first,
                               size_t *keep_second)
{
    size_t shorter = first < second ? first : second;
    size_t kept = shorter, rest = shorter;
    if (shorter <= room && room - shorter > shorter)
        rest = room - shorter;
    if (kept > room || rest > room - kept) {
        kept = room / 2;
        rest = room - kept;
    }
    *keep_first = first <= second ? kept : rest;
    *keep_second = first <= second ? rest : kept;
}

assay_status assay_truncate_pair(size_t first, size_t second, size_t room,
                                 assay_truncation truncation, size_t *keep_first,
                                 size_t *keep_second, assay_error *error)
{
    if (first <= room && second <= room - first) {
        *keep_first = first;
        *keep_second = second;
    } else if (truncation == ASSAY_TRUNCATE_LONGEST_FIRST) {
        keep_longest_first(first, second, room, keep_first, keep_second);
    } else if (first < room) {
        *keep_first = first;
        *keep_second = room - first;
    } else {
        return assay_fail(error, ASSAY_E_LIMIT, NULL,
                          "the first text has %zu tokens or more, which leaves no room for the "
                          "second: there is room for %zu in all", first, room);
    }
    return ASSAY_OK;
}

/* --------------------------------------------------------------- public API */

void assay_tokenizer_close(assay_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    assay_vocabulary_free(&tokenizer->vocabulary);
    assay_spm_normalizer_free(&tokenizer->spm);
    assay_unigram_free(&tokenizer->unigram);
    assay_added_tokens_free(&tokenizer->plain);
    assay_added_tokens_free(&tokenizer->normalized);
    free(tokenizer);
}

/* One block for all four arrays; `ids` is its beginning. */
static assay_status encoding_new(size_t count, assay_encoding *out, assay_error *error)
{
    char *block = malloc(count * 13 + 1);
    if (block == NULL)
        return assay_fail_memory(error, count * 13 + 1);
    *out = (assay_encoding){.count = count,
                            .ids = (int32_t *)(void *)block,
                            .begins = (uint32_t *)(void *)(block + 4 * count),
                            .ends = (uint32_t *)(void *)(block + 8 * count),
                            .types = (uint8_t *)block + 12 * count};
    return ASSAY_OK;
}

void assay_encoding_free(assay_encoding *encoding)
{
    if (encoding == NULL)
        return;
    free(encoding->ids);
    *encoding = (assay_encoding){0};
}

/* One side of an encoding: which of the tokens in the common list, and how many
 * of them stay. */
typedef struct side {
    size_t first, count, keep;
} side;

static void fill(const assay_template *template, bool special, const assay_tokens *tokens,
                 const side sides[2], assay_encoding *out)
{
    size_t at = 0;
    for (size_t i = 0; i < template->count; i++) {
        const assay_template_piece *piece = &template->pieces[i];
        if (piece->kind == ASSAY_PIECE_SPECIAL) {
            if (!special)
                continue;
            out->ids[at] = piece->id;
            out->begins[at] = out->ends[at] = 0;
            out->types[at++] = piece->type;
            continue;
        }
        const side *s = &sides[piece->kind == ASSAY_PIECE_SECOND];
        if (s->keep == 0)
            continue;
        memcpy(out->ids + at, tokens->ids + s->first, s->keep * sizeof *out->ids);
        memcpy(out->begins + at, tokens->begins + s->first, s->keep * sizeof *out->begins);
        memcpy(out->ends + at, tokens->ends + s->first, s->keep * sizeof *out->ends);
        memset(out->types + at, piece->type, s->keep);
        at += s->keep;
    }
}

/* Both texts' tokens, at least `wanted` of each if there are as many. */
static assay_status encode_both(const assay_tokenizer *tokenizer, assay_text first,
                                const assay_text *second, size_t wanted, side sides[2],
                                assay_tokens *tokens, assay_error *error)
{
    tokens->count = 0;
    ASSAY_TRY(encode(tokenizer, first, wanted, tokens, error));
    sides[0] = (side){.count = tokens->count};
    if (second != NULL)
        ASSAY_TRY(encode(tokenizer, *second, wanted, tokens, error));
    sides[1] = (side){.first = sides[0].count, .count = tokens->count - sides[0].count};
    return ASSAY_OK;
}

static assay_status encode_sides(const assay_tokenizer *tokenizer, assay_text first,
                                 const assay_text *second,
                                 const assay_tokenize_options *options, assay_tokens *tokens,
                                 assay_encoding *out, assay_error *error)
{
    const assay_template *template = second != NULL ? &tokenizer->pair : &tokenizer->single;
    bool special = options->special || second != NULL;
    size_t added = special ? template->special : 0;
    size_t limit = options->max_tokens > 0 ? options->max_tokens : SIZE_MAX;
    if (limit < added)
        return assay_fail(error, ASSAY_E_LIMIT, "max_tokens",
                          "%zu leaves no room for the %zu special tokens", limit, added);
    size_t room = limit - added;
    size_t wanted = room < SIZE_MAX ? room + 1 : SIZE_MAX; /* one more tells of a cut */
    side sides[2] = {{0}};
    ASSAY_TRY(encode_both(tokenizer, first, second, wanted, sides, tokens, error));
    /* Where both are cut to halves of an odd room, the longer one keeps one more:
     * then their lengths must be known, which is rare. */
    if (second != NULL && options->truncation == ASSAY_TRUNCATE_LONGEST_FIRST &&
        room % 2 == 1 && sides[0].count > room && sides[1].count > room)
        ASSAY_TRY(encode_both(tokenizer, first, second, SIZE_MAX, sides, tokens, error));
    sides[0].keep = sides[0].count < room ? sides[0].count : room;
    if (second != NULL) {
        ASSAY_TRY(assay_truncate_pair(sides[0].count, sides[1].count, room, options->truncation,
                                      &sides[0].keep, &sides[1].keep, error));
    }
    ASSAY_TRY(encoding_new(sides[0].keep + sides[1].keep + added, out, error));
    fill(template, special, tokens, sides, out);
    out->truncated = sides[0].keep < sides[0].count || sides[1].keep < sides[1].count;
    return ASSAY_OK;
}

assay_status assay_tokenize(const assay_tokenizer *tokenizer, assay_text first,
                            const assay_text *second, const assay_tokenize_options *options,
                            assay_encoding *out, assay_error *error)
{
    static const assay_tokenize_options defaults = {0};
    assay_tokens tokens = {0};
    assay_status status = encode_sides(tokenizer, first, second,
                                       options != NULL ? options : &defaults, &tokens, out,
                                       error);
    assay_tokens_free(&tokens);
    return status;
}

const char *assay_token_text(const assay_tokenizer *tokenizer, int32_t id)
{
    return assay_vocabulary_text(&tokenizer->vocabulary, id);
}

int32_t assay_token_find(const assay_tokenizer *tokenizer, const char *text)
{
    size_t count = assay_tokenizer_vocabulary(tokenizer);
    for (size_t i = 0; i < count; i++) {
        const char *token = assay_token_text(tokenizer, (int32_t)i);
        if (token != NULL && token[0] == text[0] && strcmp(token, text) == 0)
            return (int32_t)i;
    }
    return -1;
}

assay_special_tokens assay_tokenizer_special(const assay_tokenizer *tokenizer)
{
    return tokenizer->special;
}

const assay_template *assay_tokenizer_template(const assay_tokenizer *tokenizer, bool pair)
{
    return pair ? &tokenizer->pair : &tokenizer->single;
}

size_t assay_tokenizer_vocabulary(const assay_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.count;
}

assay_digest assay_tokenizer_digest(const assay_tokenizer *tokenizer)
{
    return tokenizer->digest;
}

uint32_t assay_tokenizer_limit(const assay_tokenizer *tokenizer)
{
    return tokenizer->limit;
}
