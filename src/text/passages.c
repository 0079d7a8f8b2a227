/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passages.c: see passages.h. Each section is tokenised once; sentences, and
 * pieces of those too long, are counted in its tokens by their offsets and
 * filled into passages greedily. Linear in the length of the text.
 */
#include "text/passages.h"

#include <stdlib.h>
#include <string.h>

#include "text/scan.h"
#include "text/sentences.h"

/* What passages are made of: a sentence, or a part of one. */
struct assay_piece {
    size_t begin, end; /* bytes of the document */
    uint32_t tokens;
};

/* A section being cut. */
typedef struct section_cut {
    const char *text; /* the document's */
    size_t begin, end;
    const char *heading;
    uint32_t max_tokens, overlap;
} section_cut;

void assay_passage_list_free(assay_passage_list *list)
{
    free(list->items);
    free(list->pieces);
    assay_tokens_free(&list->tokens);
    *list = (assay_passage_list){0};
}

static assay_status add_passage(assay_passage_list *list, const section_cut *section, size_t begin,
                                size_t end, uint32_t tokens, assay_error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 16;
        assay_passage *grown = realloc(list->items, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, capacity * sizeof *grown);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = (assay_passage){
        .offset = begin,
        .length = end - begin,
        .heading = section->heading,
        .tokens = tokens,
    };
    return ASSAY_OK;
}

static assay_status add_piece(assay_passage_list *list, size_t begin, size_t end,
                              uint32_t tokens, assay_error *error)
{
    if (list->piece_count == list->piece_capacity) {
        size_t capacity = list->piece_capacity > 0 ? 2 * list->piece_capacity : 64;
        struct assay_piece *grown = realloc(list->pieces, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, capacity * sizeof *grown);
        list->pieces = grown;
        list->piece_capacity = capacity;
    }
    list->pieces[list->piece_count++] = (struct assay_piece){begin, end, tokens};
    return ASSAY_OK;
}

/* ------------------------------------------------------------------- tokens */

/* Without a tokenizer a token is a word. `context` is not used. */
static assay_status encode_words(const void *context, assay_text text, assay_tokens *tokens,
                                 assay_error *error)
{
    (void)context;
    if (text.length > UINT32_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, NULL, "a text of %zu bytes; at most %u can be cut",
                          text.length, UINT32_MAX);
    size_t at = assay_skip_space(text.data, 0, text.length);
    while (at < text.length) {
        if (tokens->count == tokens->capacity) {
            size_t capacity = tokens->capacity > 0 ? 2 * tokens->capacity : 256;
            int32_t *ids = realloc(tokens->ids, capacity * sizeof *ids);
            tokens->ids = ids != NULL ? ids : tokens->ids;
            uint32_t *begins = realloc(tokens->begins, capacity * sizeof *begins);
            tokens->begins = begins != NULL ? begins : tokens->begins;
            uint32_t *ends = realloc(tokens->ends, capacity * sizeof *ends);
            tokens->ends = ends != NULL ? ends : tokens->ends;
            if (ids == NULL || begins == NULL || ends == NULL)
                return assay_fail_memory(error, capacity * sizeof *ids);
            tokens->capacity = capacity;
        }
        size_t end = at, bytes;
        while (end < text.length && assay_space_at(text.data + end, text.length - end) == 0) {
            assay_char_at(text.data + end, text.length - end, &bytes);
            end += bytes;
        }
        tokens->ids[tokens->count] = 0;
        tokens->begins[tokens->count] = (uint32_t)at;
        tokens->ends[tokens->count++] = (uint32_t)end;
        at = assay_skip_space(text.data, end, text.length);
    }
    return ASSAY_OK;
}

static assay_status encode_model(const void *context, assay_text text, assay_tokens *tokens,
                                 assay_error *error)
{
    return assay_tokenizer_encode(context, text, tokens, error);
}

/* ------------------------------------------------------------------- pieces */

/* Chinese and Japanese are written without spaces: a line may be broken
 * anywhere between such characters. */
static bool is_ideographic(int32_t point)
{
    return (point >= 0x2E80 && point <= 0x9FFF) || (point >= 0xF900 && point <= 0xFAFF) ||
           (point >= 0xFF00 && point <= 0xFFEF) || (point >= 0x20000 && point <= 0x3FFFF);
}

static bool is_char_begin(const char *text, size_t at)
{
    return ((unsigned char)text[at] & 0xC0) != 0x80;
}

/* The character before text[at], at most four bytes back. */
static size_t char_before(const char *text, size_t begin, size_t at)
{
    size_t back = at - 1;
    while (back > begin && at - back < 4 && !is_char_begin(text, back))
        back--;
    return back;
}

/* Whether a piece that began at `begin` may end before text[at] between words. */
static bool is_word_boundary(const char *text, size_t begin, size_t at, size_t end)
{
    if (at <= begin || at >= end || !is_char_begin(text, at))
        return false;
    size_t back = char_before(text, begin, at);
    if (assay_space_at(text + back, at - back) > 0)
        return true;
    size_t bytes;
    return is_ideographic(assay_char_at(text + back, at - back, &bytes)) ||
           is_ideographic(assay_char_at(text + at, end - at, &bytes));
}

/* The byte where a token's text begins. Tokens such as "▁word" hold the space
 * before a word, which is between two pieces and in neither. */
static size_t token_begin(const assay_tokens *tokens, const section_cut *section, size_t i)
{
    return assay_skip_space(section->text, section->begin + tokens->begins[i], section->end);
}

/* How many of the tokens from index `first` on a piece takes that began at
 * `begin`: as many as fit, up to a word boundary; failing that up to the last
 * character that fits; failing that, of a character with more tokens than the
 * budget, all. *cut is the byte where the next piece begins. */
static size_t fit_tokens(const assay_tokens *tokens, const section_cut *section, size_t first,
                         size_t last, size_t begin, size_t end, size_t *cut)
{
    for (size_t k = section->max_tokens; k > 0; k--) {
        *cut = token_begin(tokens, section, first + k);
        if (is_word_boundary(section->text, begin, *cut, end))
            return k;
    }
    for (size_t k = section->max_tokens; k > 0; k--) {
        *cut = token_begin(tokens, section, first + k);
        if (*cut > begin && *cut < end && is_char_begin(section->text, *cut))
            return k;
    }
    for (size_t k = section->max_tokens + 1; first + k < last; k++) {
        *cut = token_begin(tokens, section, first + k);
        if (*cut > begin && *cut < end && is_char_begin(section->text, *cut))
            return k;
    }
    *cut = end;
    return last - first;
}

/* Adds a sentence whose tokens are [first, last), in pieces when it is long. */
static assay_status add_sentence(assay_passage_list *list, const section_cut *section, size_t begin,
                                 size_t end, size_t first, size_t last, assay_error *error)
{
    while (last - first > section->max_tokens) {
        size_t cut;
        size_t taken = fit_tokens(&list->tokens, section, first, last, begin, end, &cut);
        if (cut == end)
            break;
        ASSAY_TRY(add_piece(list, begin, assay_trim_end(section->text, begin, cut),
                            (uint32_t)taken, error));
        begin = assay_skip_space(section->text, cut, end);
        first += taken;
    }
    return add_piece(list, begin, end, (uint32_t)(last - first), error);
}

static assay_status cut_sentences(assay_passage_list *list, const section_cut *section,
                                  assay_error *error)
{
    const assay_tokens *tokens = &list->tokens;
    const char *text = section->text;
    size_t token = 0;
    size_t at = assay_skip_space(text, section->begin, section->end);
    while (at < section->end) {
        size_t end = assay_sentence_end(text, at, section->end);
        size_t next = assay_skip_space(text, end, section->end);
        size_t last = token;
        while (last < tokens->count &&
               (token_begin(tokens, section, last) < next || next == section->end))
            last++;
        ASSAY_TRY(add_sentence(list, section, at, end, token, last, error));
        token = last;
        at = next;
    }
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ passages */

static uint32_t count_tokens(const struct assay_piece *pieces, size_t begin, size_t end)
{
    uint32_t tokens = 0;
    for (size_t i = begin; i < end; i++)
        tokens += pieces[i].tokens;
    return tokens;
}

/* A last passage of a few words is poor company for none: it takes pieces from
 * the one before, whose pieces begin at `before`, until both are about even. */
static size_t balance(const section_cut *section, const struct assay_piece *pieces, size_t before,
                      size_t begin, size_t end)
{
    uint32_t left = count_tokens(pieces, before, begin);
    uint32_t right = count_tokens(pieces, begin, end);
    if (right >= section->max_tokens / 5)
        return begin;
    while (begin - before > 1 && right + pieces[begin - 1].tokens <= section->max_tokens &&
           right + pieces[begin - 1].tokens <= left) {
        begin--;
        left -= pieces[begin].tokens;
        right += pieces[begin].tokens;
    }
    return begin;
}

/* Where the passage after pieces [begin, end) begins: at `end`, or before it by
 * whole pieces of at most `overlap` tokens that leave room for the next one. */
static size_t step_back(const section_cut *section, const struct assay_piece *pieces, size_t begin,
                        size_t end)
{
    uint64_t tokens = 0, next = pieces[end].tokens;
    size_t at = end;
    while (at > begin + 1) {
        tokens += pieces[at - 1].tokens;
        if (tokens > section->overlap || tokens + next > section->max_tokens)
            break;
        at--;
    }
    return at;
}

static assay_status fill_passages(assay_passage_list *list, const section_cut *section,
                                  assay_error *error)
{
    const struct assay_piece *pieces = list->pieces;
    size_t count = list->piece_count;
    size_t begin = 0, before = SIZE_MAX; /* of this passage and the one before */
    while (begin < count) {
        size_t end = begin;
        uint64_t tokens = 0;
        while (end < count && (end == begin || tokens + pieces[end].tokens <= section->max_tokens))
            tokens += pieces[end++].tokens;
        if (end == count && before != SIZE_MAX && section->overlap == 0) {
            size_t even = balance(section, pieces, before, begin, end);
            if (even < begin) {
                assay_passage *last = &list->items[list->count - 1];
                last->length = pieces[even - 1].end - last->offset;
                last->tokens = count_tokens(pieces, before, even);
                begin = even;
                tokens = count_tokens(pieces, begin, end);
            }
        }
        ASSAY_TRY(add_passage(list, section, pieces[begin].begin, pieces[end - 1].end,
                              (uint32_t)tokens, error));
        before = begin;
        begin = end < count && section->overlap > 0 ? step_back(section, pieces, begin, end) : end;
    }
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ sections */

static assay_status split_section(assay_encode_fn encode, const void *context,
                                  const section_cut *section, assay_passage_list *list,
                                  assay_error *error)
{
    size_t begin = assay_skip_space(section->text, section->begin, section->end);
    if (begin == section->end)
        return ASSAY_OK;
    list->tokens.count = 0;
    list->piece_count = 0;
    assay_text text = {section->text + section->begin, section->end - section->begin};
    ASSAY_TRY(encode(context, text, &list->tokens, error));
    if (section->max_tokens != ASSAY_WHOLE_DOCUMENT) {
        ASSAY_TRY(cut_sentences(list, section, error));
        return fill_passages(list, section, error);
    }
    return add_passage(list, section, begin, assay_trim_end(section->text, begin, section->end),
                       (uint32_t)list->tokens.count, error);
}

assay_status assay_split_with(assay_encode_fn encode, const void *context,
                              const assay_document *document, uint32_t max_tokens,
                              uint32_t overlap, assay_passage_list *list, assay_error *error)
{
    list->count = 0;
    bool whole = max_tokens == ASSAY_WHOLE_DOCUMENT;
    if (max_tokens == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "passage_tokens",
                          "0; a passage must have room for a token");
    if (!whole && overlap >= max_tokens)
        return assay_fail(error, ASSAY_E_ARGUMENT, "overlap_tokens",
                          "%u; expected less than the passage's %u tokens", overlap, max_tokens);
    size_t length = document->text.length;
    size_t marks = whole ? 0 : document->heading_count;
    /* Section 0 lies before the first mark. */
    for (size_t i = 0; i <= marks; i++) {
        size_t begin = i == 0 ? 0 : document->headings[i - 1].offset;
        size_t end = i == marks ? length : document->headings[i].offset;
        if (begin >= end || end > length)
            continue;
        section_cut section = {
            .text = document->text.data,
            .begin = begin,
            .end = end,
            .heading = i == 0 ? "" : document->headings[i - 1].path,
            .max_tokens = max_tokens,
            .overlap = overlap,
        };
        ASSAY_TRY(split_section(encode, context, &section, list, error));
    }
    return ASSAY_OK;
}

assay_status assay_split_passages(const assay_tokenizer *tokenizer,
                                  const assay_document *document, uint32_t max_tokens,
                                  uint32_t overlap, assay_passage_list *list,
                                  assay_error *error)
{
    return assay_split_with(tokenizer != NULL ? encode_model : encode_words, tokenizer, document,
                            max_tokens, overlap, list, error);
}
