/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passage_tokens.h: what a cross-encoder reads of a passage, as token ids.
 *
 * They are made when a document is indexed, and kept; a search then tokenises
 * its query alone. By which tokenizer, is asked before a reranker is named: it is
 * the one of the collection's bi-encoder, which is open at that moment and fixed
 * for the collection. A reranker mostly shares it: the two default models do, as
 * do all of BERT's uncased vocabulary, and those of XLM-RoBERTa's. A collection
 * without a bi-encoder gets the ids of the default reranker, if that is there.
 *
 * What the ids depend on, tokenizer and way of joining the parts of a passage,
 * is in their digest. A reranker with another one finds none and tokenises.
 */
#ifndef ASSAY_PASSAGE_TOKENS_H
#define ASSAY_PASSAGE_TOKENS_H

#include "text/context.h"
#include "text/token_ids.h"
#include "text/tokenizer.h"

typedef struct assay_passage_tokenizer {
    const assay_tokenizer *tokenizer; /* NULL: there is none to be had */
    assay_digest digest;
    assay_tokenizer *own; /* opened here */
    assay_tokens tokens;  /* scratch, as is context */
    assay_buffer context;
} assay_passage_tokenizer;

/* With this tokenizer, which must outlive it; NULL: with the default reranker's,
 * where it can be opened. One thread. */
void assay_passage_tokenizer_open(assay_passage_tokenizer *maker, const assay_tokenizer *tokenizer);
/* Takes one that is all zeros, too. */
void assay_passage_tokenizer_close(assay_passage_tokenizer *maker);

/* The first tokens of "Title. Heading. text", as many as are ever read, in the
 * arena. */
assay_status assay_passage_tokenizer_encode(assay_passage_tokenizer *maker, const char *title,
                                    const char *heading, assay_text text, assay_arena *arena,
                                    assay_token_ids *out, assay_error *error);

#endif
