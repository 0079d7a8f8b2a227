/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_page.c: a model that sees looks at images of pages: does this page answer the query?
 *
 * An image is sent as a part of the message beside the text, as OpenAI's chat completions
 * have it (image_url) and llama.cpp and vLLM take it. What came of a page is a verdict with
 * the model's own confidence and reason; what that does to an order is the caller's.
 */
#include <math.h>
#include <string.h>

#include "rank/llm.h"
#include "rank/llm_answer.h"
#include "rank/llm_prompt.h"

enum { REASON = 500 }; /* bytes */

/* A model's words as one line that is safe to show. */
static const char *line_of(assay_text text, assay_arena *arena)
{
    assay_buffer line;
    assay_buffer_init(&line, 0);
    text.length = text.length < REASON ? text.length : REASON;
    assay_llm_defuse(text, &line);
    char *kept = assay_arena_copy(arena, line.data != NULL ? line.data : "", line.length);
    assay_buffer_free(&line);
    for (char *c = kept; c != NULL && *c != '\0'; c++)
        *c = *c == '\n' ? ' ' : *c;
    return kept != NULL ? kept : "";
}

/* What became of a question; an answer of use is kept. */
static void settle(const assay_llm_call *call, assay_llm_question *q, assay_arena *arena,
                   assay_llm_page *page, assay_llm_usage *usage)
{
    bool yes;
    double confidence;
    assay_text reason;
    assay_llm_verdict verdict = ASSAY_LLM_FAILED;
    if (q->status == ASSAY_OK) {
        verdict = assay_llm_read_page(q->reply.text, arena, &yes, &confidence, &reason);
        if (verdict == ASSAY_LLM_FAILED)
            q->status = assay_fail(&q->error, ASSAY_E_FORMAT, "answer", "neither yes nor no: "
                                   "%.120s", q->reply.text.data);
    }
    usage->ok += verdict == ASSAY_LLM_OK;
    usage->repaired += verdict == ASSAY_LLM_REPAIRED;
    usage->failed += verdict == ASSAY_LLM_FAILED;
    page->status = q->status;
    page->error = q->error;
    if (verdict == ASSAY_LLM_FAILED)
        return;
    page->verdict = yes ? ASSAY_VERDICT_YES : ASSAY_VERDICT_NO;
    page->confidence = (float)confidence;
    page->reason = line_of(reason, arena);
    assay_llm_keep(call, q);
}

assay_status assay_llm_look(assay_llm *llm, const assay_llm_call *call, assay_llm_page *pages,
                            size_t count, assay_arena *arena, assay_llm_usage *usage,
                            assay_error *error)
{
    assay_llm_question *list = assay_arena_small(arena, count * sizeof *list);
    if (list == NULL)
        return assay_fail_memory(error, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = (assay_llm_question){.image = pages[i].image};
        assay_buffer_init(&list[i].text, 0);
        assay_buffer_init(&list[i].raw, 0);
        pages[i].verdict = ASSAY_VERDICT_FAILED;
        pages[i].confidence = NAN;
        pages[i].reason = "";
        assay_llm_prompt_page(call->query, &list[i]);
    }
    assay_status status = assay_llm_ask(llm, call, list, count, usage, error);
    for (size_t i = 0; i < count; i++) {
        if (status == ASSAY_OK)
            settle(call, &list[i], arena, &pages[i], usage);
        assay_llm_question_free(&list[i]);
    }
    return status;
}
