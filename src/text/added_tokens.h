/* SPDX-License-Identifier: Apache-2.0 */
/*
 * added_tokens.h: tokens that are taken out of a text before the model sees it,
 * such as [MASK], as AddedVocabulary of the Hugging Face tokenizers library does:
 * leftmost, of those the longest, not overlapping.
 */
#ifndef ASSAY_ADDED_TOKENS_H
#define ASSAY_ADDED_TOKENS_H

#include "text/unicode.h"
#include "text/vocabulary.h"

typedef struct assay_added_token {
    int32_t id;
    bool single_word; /* not inside a word */
    bool left_strip;  /* takes the white space before it along */
    bool right_strip; /* and after it */
} assay_added_token;

/* A zeroed struct is an empty set. Immutable once indexed. */
typedef struct assay_added_tokens {
    assay_vocabulary contents; /* its ids are indices into items */
    assay_added_token *items;  /* [contents.count] */
    bool begins[256];          /* bytes that tokens begin with */
    uint64_t seed;
} assay_added_tokens;

void assay_added_tokens_free(assay_added_tokens *set);
assay_status assay_added_tokens_add(assay_added_tokens *set, const char *content,
                                    size_t length, const assay_added_token *token,
                                    const char *where, assay_error *error);
/* FORMAT when two contents are equal. */
assay_status assay_added_tokens_index(assay_added_tokens *set, const char *where,
                                      assay_error *error);

/* Where a search stands: begin with {.at = from, .taken = from}. */
typedef struct assay_added_search {
    size_t at;    /* looked at up to here */
    size_t taken; /* given out up to here */
} assay_added_search;

typedef struct assay_added_match {
    size_t before;     /* the text between matches is [before, begin) */
    size_t begin, end; /* of the match, with the space it takes along */
    int32_t id;        /* -1: there is no further match, and begin == end == to */
} assay_added_match;

/* The next match in text[from, to). */
assay_added_match assay_added_tokens_next(const assay_added_tokens *set,
                                          const assay_char_table *classes,
                                          const uint8_t *text, size_t from, size_t to,
                                          assay_added_search *search);

#endif
