/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_write.c: a language model writes queries that a passage answers (InPars, Bonifacio
 * et al. 2022). What it wrote is as good as the model: who wants to learn from it filters
 * it first (learn/synth.c).
 */
#include <math.h>

#include "rank/llm.h"
#include "rank/llm_answer.h"
#include "rank/llm_prompt.h"

static assay_status ask_about(assay_llm *llm, uint32_t each, const assay_llm_wish *wish,
                              assay_arena *arena, assay_llm_question *q, assay_llm_usage *usage,
                              assay_error *error)
{
    assay_llm_passage shown;
    ASSAY_TRY(assay_llm_show(llm, wish->passage, arena, &shown, error));
    usage->cut += shown.cut;
    assay_llm_prompt_write(wish->kind, each, &shown, q);
    return ASSAY_OK;
}

/* What became of a question; an answer of use is kept. */
static void settle(const assay_llm_call *call, assay_llm_question *q, assay_arena *arena,
                   assay_llm_wish *wish, assay_llm_usage *usage)
{
    assay_llm_verdict verdict = ASSAY_LLM_FAILED;
    if (q->status == ASSAY_OK) {
        verdict = assay_llm_read_queries(q->reply.text, q->items, arena, wish->queries,
                                         &wish->count);
        if (verdict == ASSAY_LLM_FAILED)
            q->status = assay_fail(&q->error, ASSAY_E_FORMAT, "answer", "no query in it: %.120s",
                                   q->reply.text.data);
    }
    wish->status = q->status;
    wish->error = q->error;
    usage->ok += verdict == ASSAY_LLM_OK;
    usage->repaired += verdict == ASSAY_LLM_REPAIRED;
    usage->failed += verdict == ASSAY_LLM_FAILED;
    if (verdict != ASSAY_LLM_FAILED)
        assay_llm_keep(call, q);
}

assay_status assay_llm_write(assay_llm *llm, const assay_llm_cache *cache, uint32_t each,
                             assay_llm_wish *wishes, size_t count, assay_arena *arena,
                             assay_llm_usage *usage, assay_error *error)
{
    const assay_llm_call call = {.deadline = INFINITY, .cache = cache};
    assay_llm_question *list = assay_arena_small(arena, count * sizeof *list);
    if (list == NULL)
        return assay_fail_memory(error, count * sizeof *list);
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < count; i++) {
        list[i] = (assay_llm_question){0};
        assay_buffer_init(&list[i].text, 0);
        assay_buffer_init(&list[i].raw, 0);
        wishes[i].count = 0;
        wishes[i].queries = assay_arena_small(arena, each * sizeof *wishes[i].queries);
        if (status == ASSAY_OK && wishes[i].queries == NULL)
            status = assay_fail_memory(error, each * sizeof *wishes[i].queries);
        if (status == ASSAY_OK)
            status = ask_about(llm, each, &wishes[i], arena, &list[i], usage, error);
    }
    if (status == ASSAY_OK)
        status = assay_llm_ask(llm, &call, list, count, usage, error);
    for (size_t i = 0; i < count; i++) {
        if (status == ASSAY_OK)
            settle(&call, &list[i], arena, &wishes[i], usage);
        assay_llm_question_free(&list[i]);
    }
    return status;
}
