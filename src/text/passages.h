/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passages.h: a document cut into passages.
 *
 * Passages end at sentence ends and hold at most a budget of model tokens; a
 * sentence longer than the budget is cut at the last word boundary that fits,
 * a word longer than that at a token boundary. Never inside a UTF-8 sequence.
 * Passages begin and end at non-space characters and, overlap aside, together
 * cover every non-space byte of the document exactly once.
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
    assay_tokens tokens;  /* scratch, kept between documents */
} assay_passage_list;

void assay_passage_list_free(assay_passage_list *list);

/* Replaces the list's content by the passages of the document. max_tokens is
 * ASSAY_WHOLE_DOCUMENT for one passage that is all of the document. overlap is
 * less than max_tokens: whole sentences of at most that many tokens from the
 * end of a passage begin the next. A document without text has no passages. */
assay_status assay_split_passages(const assay_tokenizer *tokenizer,
                                  const assay_document *document, uint32_t max_tokens,
                                  uint32_t overlap, assay_passage_list *list,
                                  assay_error *error);

#endif
