/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_answer.h: what a language model said, read as an order, a grade, a yes or
 * no, a choice of two, a list of queries, or what it thinks of a page.
 *
 * Models were asked for one form and return many. Whatever the text, an order is
 * a permutation of what was asked about: nothing can get lost, or in twice.
 */
#ifndef ASSAY_LLM_ANSWER_H
#define ASSAY_LLM_ANSWER_H

#include "base/arena.h"

typedef enum assay_llm_verdict {
    ASSAY_LLM_OK,       /* as asked for */
    ASSAY_LLM_REPAIRED, /* something was left out, added or doubled */
    ASSAY_LLM_FAILED,   /* nothing that could be used: a refusal, or empty */
} assay_llm_verdict;

/* order[count]: a permutation of 0 .. count - 1, best first, of an answer that
 * numbers them from 1. What the answer left out keeps its order behind the rest;
 * after FAILED order is as it was asked. seen[count] is scratch. */
assay_llm_verdict assay_llm_read_order(assay_text answer, size_t count, size_t *order,
                                       bool *seen);

/* A grade from 0 to 10. Not written after FAILED. */
assay_llm_verdict assay_llm_read_grade(assay_text answer, double *grade);

assay_llm_verdict assay_llm_read_yes(assay_text answer, bool *yes);

/* 1: the first is better, -1: the second, 0: it said that they are equal. */
assay_llm_verdict assay_llm_read_choice(assay_text answer, int *choice);

/* At most `most` queries into queries[], copies in the arena, on one line each: a JSON
 * list, or else one a line without its numbering. FAILED too for want of memory. */
assay_llm_verdict assay_llm_read_queries(assay_text answer, size_t most, assay_arena *arena,
                                         assay_text *queries, size_t *count);

/* Whether a page answers, how sure the model is (0 to 1; NAN: it does not say), and its
 * reason, on one line and in the arena: JSON, or else a yes or no and all that was said. */
assay_llm_verdict assay_llm_read_page(assay_text answer, assay_arena *arena, bool *yes,
                                      double *confidence, assay_text *reason);

#endif
