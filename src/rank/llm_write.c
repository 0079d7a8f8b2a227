/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_write.c: a language model writes queries that a passage answers (InPars, Bonifacio
 * et al. 2022), shown others before where there are any (Dai et al. 2022). What it wrote is
 * as good as the model: who wants to learn from it filters it first (learn/synth.c).
 */
#include <math.h>

#include "rank/llm.h"
#include "rank/llm_answer.h"
#include "rank/llm_prompt.h"

/* The examples as questions of each kind that were answered before. */
typedef struct turns {
    assay_llm_turn *list[ASSAY_QUERY_KINDS];
    size_t count[ASSAY_QUERY_KINDS];
} turns;

static assay_status make_turn(assay_llm *llm, const assay_llm_example *example,
                              assay_arena *arena, assay_llm_turn *out, assay_error *error)
{
    assay_llm_passage shown;
    assay_llm_question asked = {0};
    ASSAY_TRY(assay_llm_show(llm, example->passage, arena, &shown, error));
    assay_buffer_init(&asked.text, 0);
    assay_llm_prompt_write(example->kind, (uint32_t)example->count, &shown, &asked);
    assay_status status = assay_buffer_status(&asked.text, "example", error);
    if (status == ASSAY_OK) {
        *out = (assay_llm_turn){
            .asked = {assay_arena_copy(arena, asked.text.data, asked.text.length),
                      asked.text.length},
            .queries = example->queries,
            .count = example->count,
        };
        if (out->asked.data == NULL)
            status = assay_fail_memory(error, asked.text.length);
    }
    assay_buffer_free(&asked.text);
    return status;
}

static assay_status make_turns(assay_llm *llm, const assay_llm_example *examples, size_t count,
                               assay_arena *arena, turns *out, assay_error *error)
{
    *out = (turns){0};
    for (size_t i = 0; i < count; i++) {
        assay_query_kind kind = examples[i].kind;
        if (out->list[kind] == NULL)
            out->list[kind] = assay_arena_small(arena, count * sizeof **out->list);
        if (out->list[kind] == NULL)
            return assay_fail_memory(error, count * sizeof **out->list);
        ASSAY_TRY(make_turn(llm, &examples[i], arena, &out->list[kind][out->count[kind]++],
                            error));
    }
    return ASSAY_OK;
}

static assay_status ask_about(assay_llm *llm, uint32_t each, const turns *before,
                              const assay_llm_wish *wish, assay_arena *arena,
                              assay_llm_question *q, assay_llm_usage *usage, assay_error *error)
{
    assay_llm_passage shown;
    ASSAY_TRY(assay_llm_show(llm, wish->passage, arena, &shown, error));
    usage->cut += shown.cut;
    q->turns = before->list[wish->kind];
    q->turn_count = before->count[wish->kind];
    assay_llm_prompt_write(wish->kind, each, &shown, q);
    return ASSAY_OK;
}

/* The wishes by kind: a server that remembers how the last prompt began need not read the
 * examples of its kind again. */
static void by_kind(const assay_llm_wish *wishes, size_t count, size_t *order)
{
    size_t at = 0;
    for (unsigned kind = 0; kind < ASSAY_QUERY_KINDS; kind++)
        for (size_t i = 0; i < count; i++)
            if (wishes[i].kind == kind)
                order[at++] = i;
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
                             const assay_llm_example *examples, size_t example_count,
                             assay_llm_wish *wishes, size_t count, assay_arena *arena,
                             assay_llm_usage *usage, assay_error *error)
{
    const assay_llm_call call = {.deadline = INFINITY, .cache = cache};
    assay_llm_question *list = assay_arena_small(arena, count * sizeof *list);
    size_t *order = assay_arena_small(arena, count * sizeof *order);
    if (list == NULL || order == NULL)
        return assay_fail_memory(error, count * sizeof *list);
    turns before;
    by_kind(wishes, count, order);
    assay_status status = make_turns(llm, examples, example_count, arena, &before, error);
    for (size_t i = 0; i < count; i++) {
        assay_llm_wish *wish = &wishes[order[i]];
        list[i] = (assay_llm_question){0};
        assay_buffer_init(&list[i].text, 0);
        assay_buffer_init(&list[i].raw, 0);
        wish->count = 0;
        wish->queries = assay_arena_small(arena, each * sizeof *wish->queries);
        if (status == ASSAY_OK && wish->queries == NULL)
            status = assay_fail_memory(error, each * sizeof *wish->queries);
        if (status == ASSAY_OK)
            status = ask_about(llm, each, &before, wish, arena, &list[i], usage, error);
    }
    if (status == ASSAY_OK)
        status = assay_llm_ask(llm, &call, list, count, usage, error);
    for (size_t i = 0; i < count; i++) {
        if (status == ASSAY_OK)
            settle(&call, &list[i], arena, &wishes[order[i]], usage);
        assay_llm_question_free(&list[i]);
    }
    return status;
}
