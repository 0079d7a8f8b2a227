/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm.h: a language model asked about passages.
 *
 *     llm_modes.c   passages -> questions -> scores, for each way of asking
 *     llm_write.c   passages -> questions -> queries that they answer
 *     llm_page.c    images of pages -> questions -> whether they answer
 *     llm_prompt.c  what is asked, in words
 *     llm.c         the client: requests, cache, account
 *     llm_reply.c   an API's answer -> what the model said
 *     llm_answer.c  what the model said -> an order, a grade, ...
 */
#ifndef ASSAY_LLM_H
#define ASSAY_LLM_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "rank/llm_reply.h"
#include "text/tokenizer.h"

/* Answers that were given before. The key is of the question: model, prompt and
 * passages. */
typedef struct assay_llm_cache {
    void *user;
    bool (*get)(void *user, const assay_digest *key, assay_buffer *answer);
    void (*put)(void *user, const assay_digest *key, const char *answer, size_t length);
} assay_llm_cache;

typedef struct assay_llm_call {
    assay_text query;
    const assay_text *passages; /* [count] */
    size_t count;
    size_t top;      /* as assay_llm_rerank's */
    double deadline; /* assay_seconds; INFINITY: none */
    const assay_llm_cache *cache; /* NULL: none */
} assay_llm_call;

/* As assay_llm_rerank, with what a pipeline adds. */
assay_status assay_llm_rank(assay_llm *llm, const assay_llm_call *call, assay_score *scores,
                            assay_llm_usage *usage, assay_error *error);

/* A passage with queries as they are wanted: it is shown as one that was asked about before,
 * and these as the answer. */
typedef struct assay_llm_example {
    assay_query_kind kind;
    assay_text passage;
    const assay_text *queries; /* [count] */
    size_t count;
} assay_llm_example;

/* A passage that queries are wanted for, and what came of it. */
typedef struct assay_llm_wish {
    assay_query_kind kind;
    assay_text passage;
    assay_text *queries;  /* [count], in the call's arena; at most as many as were wanted */
    size_t count;
    assay_status status;  /* not ASSAY_OK: there are none, for this reason: */
    assay_error error;
} assay_llm_wish;

/* Asks for `each` queries that each passage answers, behind the examples of its kind. Fails
 * only for want of memory. */
assay_status assay_llm_write(assay_llm *llm, const assay_llm_cache *cache, uint32_t each,
                             const assay_llm_example *examples, size_t example_count,
                             assay_llm_wish *wishes, size_t count, assay_arena *arena,
                             assay_llm_usage *usage, assay_error *error);

/* A page that is looked at, and what came of it. */
typedef struct assay_llm_page {
    assay_text image;      /* its URL (page_image.h) */
    assay_verdict verdict; /* YES, NO, or FAILED, for this reason: */
    assay_status status;
    assay_error error;
    float confidence;      /* in the verdict, 0 to 1; NAN: not told */
    const char *reason;    /* the model's, on one line; in the arena */
} assay_llm_page;

/* Asks of each page whether it answers the call's query. Fails only for want of memory. */
assay_status assay_llm_look(assay_llm *llm, const assay_llm_call *call, assay_llm_page *pages,
                            size_t count, assay_arena *arena, assay_llm_usage *usage,
                            assay_error *error);

/* ---- Between the files above ------------------------------------------------- */

/* What an answer is to look like, if the API can be told. */
typedef enum assay_llm_shape {
    ASSAY_LLM_SHAPE_ORDER,
    ASSAY_LLM_SHAPE_GRADE,
    ASSAY_LLM_SHAPE_YES, /* a word, and the probability of its tokens */
    ASSAY_LLM_SHAPE_CHOICE,
    ASSAY_LLM_SHAPE_QUERIES,
    ASSAY_LLM_SHAPE_PAGE,
} assay_llm_shape;

/* What was asked and answered before a question: an example of how to. */
typedef struct assay_llm_turn {
    assay_text asked;          /* all of it, but for the form of the answer */
    const assay_text *queries; /* [count], of SHAPE_QUERIES */
    size_t count;
} assay_llm_turn;

typedef struct assay_llm_question {
    assay_llm_shape shape;
    const assay_llm_turn *turns; /* [turn_count] */
    size_t turn_count;
    assay_buffer text;      /* all that is asked, but for the form of the answer */
    size_t items;           /* passages asked about, or queries asked for */
    assay_text image;       /* URL of one that is shown with it; length 0: none */
    /* What came of it: */
    assay_llm_reply reply;
    assay_status status;    /* not ASSAY_OK: there is no reply, for this reason: */
    assay_error error;
    assay_digest key;
    bool cached;
    assay_buffer raw;       /* the API's answer, for the cache */
} assay_llm_question;

/* A passage as it is shown. */
typedef struct assay_llm_passage {
    assay_text text;  /* cut, and made safe */
    uint32_t tokens;  /* shown */
    bool cut;
} assay_llm_passage;

/* Puts the questions to the model, or takes the answers from the cache. Fails only
 * for want of memory. */
assay_status assay_llm_ask(assay_llm *llm, const assay_llm_call *call,
                           assay_llm_question *questions, size_t count, assay_llm_usage *usage,
                           assay_error *error);
/* An answer was of use: it goes into the cache. */
void assay_llm_keep(const assay_llm_call *call, const assay_llm_question *question);
void assay_llm_question_free(assay_llm_question *question);

const assay_llm_options *assay_llm_settings(const assay_llm *llm);
/* Cuts a passage to its tokens and makes it safe to show; lies in the arena. */
assay_status assay_llm_show(assay_llm *llm, assay_text passage, assay_arena *arena,
                            assay_llm_passage *out, assay_error *error);

#endif
