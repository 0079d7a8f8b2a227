/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passages.h: a document cut into passages.
 *
 * Passages end at sentence ends and hold at most a budget of model tokens; a
 * sentence longer than the budget is cut at the last word boundary that fits,
 * a word longer than that at a token boundary. Never inside a UTF-8 sequence: a
 * single character of more tokens than the budget exceeds it.
 * A heading line counts as the beginning of the sentence below it. The last two
 * passages of a section are evened out when the last would be tiny.
 * Passages begin and end at characters that are not white space (Unicode) and,
 * overlap aside, together cover every such byte of the document exactly once.
 */
#ifndef ASSAY_PASSAGES_H
#define ASSAY_PASSAGES_H

#include "text/reader.h"
#include "text/tokenizer.h"

typedef struct assay_passage {
    size_t offset;       /* into document->text, bytes */
    size_t length;
    const char *heading; /* of the section it lies in; "" when there is none */
    uint32_t tokens;     /* without special tokens */
} assay_passage;

typedef struct assay_passage_list {
    assay_passage *items; /* [count] */
    size_t count, capacity;
    assay_tokens tokens;  /* scratch, kept between documents, as are pieces */
    struct assay_piece *pieces;
    size_t piece_count, piece_capacity;
} assay_passage_list;

void assay_passage_list_free(assay_passage_list *list);

/* A list begins as {0}; one thread. */

/* Replaces the list's content by the passages of the document. max_tokens is
 * ASSAY_WHOLE_DOCUMENT for one passage that is all of the document. overlap is
 * less than max_tokens: whole sentences (or parts of cut ones) of at most that
 * many tokens from the end of a passage begin the next, within a section and as
 * far as the next sentence leaves room. A document without text has no
 * passages. Without a tokenizer (NULL: collections without a model) a token is a
 * word, that is, a run of characters that are not white space.
 * Headings live as long as the document. Errors: ARGUMENT for max_tokens 0 or an
 * overlap that is not less; LIMIT for a section over UINT32_MAX bytes. */
assay_status assay_split_passages(const assay_tokenizer *tokenizer,
                                  const assay_document *document, uint32_t max_tokens,
                                  uint32_t overlap, assay_passage_list *list,
                                  assay_error *error);

/* As above, with any function that appends tokens (assay_tokenizer_encode's
 * contract); offsets must not decrease. */
typedef assay_status (*assay_encode_fn)(const void *context, assay_text text,
                                        assay_tokens *tokens, assay_error *error);
assay_status assay_split_with(assay_encode_fn encode, const void *context,
                              const assay_document *document, uint32_t max_tokens,
                              uint32_t overlap, assay_passage_list *list, assay_error *error);

#endif
