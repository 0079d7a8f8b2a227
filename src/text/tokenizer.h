/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.h: what the floors below ask of a tokenizer, whatever its kind.
 * The public half (open, tokenize a text or a pair) is in assay.h.
 */
#ifndef ASSAY_TOKENIZER_H
#define ASSAY_TOKENIZER_H

#include "base/hash.h"
#include "base/status.h"

/* Tokens of one text, without special ones. Grows as needed; reuse it. */
typedef struct assay_tokens {
    int32_t *ids;     /* [count] */
    uint32_t *begins; /* [count] byte offsets into the text */
    uint32_t *ends;   /* [count] */
    size_t count;
    size_t capacity;
} assay_tokens;

void assay_tokens_free(assay_tokens *tokens);

/* Room for at least one token more. */
assay_status assay_tokens_grow(assay_tokens *tokens, assay_error *error);

static inline assay_status assay_tokens_add(assay_tokens *tokens, int32_t id, size_t begin,
                                            size_t end, assay_error *error)
{
    if (tokens->count == tokens->capacity)
        ASSAY_TRY(assay_tokens_grow(tokens, error));
    tokens->ids[tokens->count] = id;
    tokens->begins[tokens->count] = (uint32_t)begin;
    tokens->ends[tokens->count++] = (uint32_t)end;
    return ASSAY_OK;
}

/* Appends the tokens of `text`. Thread-safe on the tokenizer. A text may be at
 * most UINT32_MAX bytes (ASSAY_E_LIMIT). */
assay_status assay_tokenizer_encode(const assay_tokenizer *tokenizer, assay_text text,
                                    assay_tokens *tokens, assay_error *error);

/* As above, but what comes after the first `wanted` tokens may be left out. */
assay_status assay_tokenizer_encode_first(const assay_tokenizer *tokenizer, assay_text text,
                                          size_t wanted, assay_tokens *tokens,
                                          assay_error *error);

#define ASSAY_TEMPLATE_MAX 32

/* How the tokens of the texts and the special ones lie in an encoding. */
typedef enum assay_piece_kind {
    ASSAY_PIECE_SPECIAL,
    ASSAY_PIECE_FIRST, /* all tokens of the first text */
    ASSAY_PIECE_SECOND,
} assay_piece_kind;

typedef struct assay_template_piece {
    assay_piece_kind kind;
    uint8_t type; /* token type */
    int32_t id;   /* of a special token */
} assay_template_piece;

typedef struct assay_template {
    assay_template_piece pieces[ASSAY_TEMPLATE_MAX];
    size_t count;
    size_t special; /* pieces that are special tokens */
} assay_template;

/* The layout that the tokenizer's post-processor gives to one text, or to a
 * pair. FIRST is there exactly once, and SECOND in a pair's. Owned by the
 * tokenizer. */
const assay_template *assay_tokenizer_template(const assay_tokenizer *tokenizer, bool pair);

typedef struct assay_special_tokens {
    int32_t cls, sep, pad, unk, mask; /* -1 when the vocabulary lacks it */
} assay_special_tokens;

assay_special_tokens assay_tokenizer_special(const assay_tokenizer *tokenizer);
size_t assay_tokenizer_vocabulary(const assay_tokenizer *tokenizer);

/* The id of a token by its text, whatever the kind of tokenizer; -1 when there is none.
 * Looks through all of them. */
int32_t assay_token_find(const assay_tokenizer *tokenizer, const char *text);

/* The longest input that the tokenizer's own settings allow (model_max_length,
 * else truncation.max_length); 0 when they say nothing. */
uint32_t assay_tokenizer_limit(const assay_tokenizer *tokenizer);

/* Tokenizers with one digest give every text the same ids (special tokens and
 * limits aside), so that ids may be kept for another model. Those with two may,
 * too: how a file is written counts. */
assay_digest assay_tokenizer_digest(const assay_tokenizer *tokenizer);

/* How many of each side's tokens stay when a pair must fit `room` tokens (the
 * special ones already taken off). ASSAY_E_LIMIT with ONLY_SECOND when the
 * first leaves no room for one token of a second that has any. */
assay_status assay_truncate_pair(size_t first, size_t second, size_t room,
                                 assay_truncation truncation, size_t *keep_first,
                                 size_t *keep_second, assay_error *error);

#endif
