/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_modes.c: the ways to ask a language model about passages.
 *
 * listwise: Sun et al. 2023, "Is ChatGPT good at search?" (RankGPT): windows of 20
 * that slide by 10 from the last passages to the first, so that a good one can be
 * carried all the way up in one pass. pairwise: Qin et al. 2023, "Large language
 * models are effective text rankers with pairwise ranking prompting": all pairs of
 * at most ten; of more, passes of bubble sort from the last to the first, one for
 * each of the best that are wanted. Both orders of a pair are asked, and answers
 * that contradict each other count as equal, which cancels a liking for a place.
 *
 * No answer can lose a passage: an order is a permutation (llm_answer.h), and what
 * was not answered stays where it was.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rank/llm.h"
#include "rank/llm_answer.h"
#include "rank/llm_prompt.h"

enum { ALL_PAIRS = 10, MOST_PASSES = 10 };

/* A call on its way. */
typedef struct task {
    assay_llm *llm;
    const assay_llm_call *call;
    assay_arena *arena;
    assay_llm_passage *shown; /* [count] */
    size_t *order;            /* [count] places of the call's passages, best first */
    assay_score *scores;      /* [count] */
    assay_llm_usage *usage;
    uint64_t useful;          /* answers */
    assay_error first;        /* why the first question without a useful one has none */
} task;

/* ---- Questions ---------------------------------------------------------------- */

static assay_llm_question *new_questions(task *t, size_t count, assay_error *error)
{
    assay_llm_question *list = assay_arena_small(t->arena, count * sizeof *list);
    if (list == NULL) {
        assay_fail_memory(error, count * sizeof *list);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = (assay_llm_question){0};
        assay_buffer_init(&list[i].text, 0);
        assay_buffer_init(&list[i].raw, 0);
    }
    return list;
}

static void free_questions(assay_llm_question *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assay_llm_question_free(&list[i]);
}

/* Counts what became of a question whose answer was read as `verdict`. */
static bool settle(task *t, assay_llm_question *q, assay_llm_verdict verdict)
{
    if (q->status == ASSAY_OK && verdict == ASSAY_LLM_FAILED)
        q->status = assay_fail(&q->error, ASSAY_E_FORMAT, "answer", "nothing in it can be used: "
                               "%.120s", q->reply.text.data);
    if (q->status != ASSAY_OK) {
        t->usage->failed++;
        if (t->first.code == ASSAY_OK)
            t->first = q->error;
        return false;
    }
    t->useful++;
    if (verdict == ASSAY_LLM_OK)
        t->usage->ok++;
    else
        t->usage->repaired++;
    assay_llm_keep(t->call, q);
    return true;
}

/* The score counts the places above the last. */
static void score_by_order(task *t)
{
    for (size_t i = 0; i < t->call->count; i++)
        t->scores[t->order[i]].logit = (float)(t->call->count - 1 - i);
}

/* ---- Listwise ------------------------------------------------------------------ */

/* Asks for the order of order[begin..end). *lost: no answer came, nor will one to
 * another question. */
static assay_status ask_window(task *t, size_t begin, size_t end, bool *lost, assay_error *error)
{
    size_t count = end - begin;
    size_t *list = assay_arena_small(t->arena, 2 * count * sizeof *list);
    bool *seen = assay_arena_small(t->arena, count * sizeof *seen);
    const assay_llm_passage **views = assay_arena_small(t->arena, count * sizeof *views);
    assay_llm_question *q = new_questions(t, 1, error);
    if (list == NULL || seen == NULL || views == NULL || q == NULL)
        return assay_fail_memory(error, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        views[i] = &t->shown[t->order[begin + i]];
    assay_llm_prompt(ASSAY_LLM_LISTWISE, t->call->query, views, count, q);
    assay_status status = assay_llm_ask(t->llm, t->call, q, 1, t->usage, error);
    assay_llm_verdict verdict = ASSAY_LLM_FAILED;
    if (status == ASSAY_OK && q->status == ASSAY_OK)
        verdict = assay_llm_read_order(q->reply.text, count, list, seen);
    if (status == ASSAY_OK && settle(t, q, verdict)) {
        size_t *before = list + count;
        memcpy(before, t->order + begin, count * sizeof *before);
        for (size_t i = 0; i < count; i++)
            t->order[begin + i] = before[list[i]];
    }
    *lost = q->status == ASSAY_E_NETWORK;
    free_questions(q, 1);
    return status;
}

static assay_status rank_listwise(task *t, assay_error *error)
{
    const assay_llm_options *o = assay_llm_settings(t->llm);
    size_t end = t->call->count;
    bool lost = false;
    while (!lost) {
        size_t begin = end > o->window ? end - o->window : 0;
        ASSAY_TRY(ask_window(t, begin, end, &lost, error));
        if (begin == 0)
            break;
        end -= o->step;
    }
    score_by_order(t);
    return ASSAY_OK;
}

/* ---- Pointwise ----------------------------------------------------------------- */

/* The score of one answer into *score. */
static assay_llm_verdict read_point(const assay_llm_question *q, assay_score *score)
{
    double grade;
    bool yes;
    if (q->shape == ASSAY_LLM_SHAPE_GRADE) {
        assay_llm_verdict verdict = assay_llm_read_grade(q->reply.text, &grade);
        if (verdict != ASSAY_LLM_FAILED)
            score->logit = (float)grade;
        return verdict;
    }
    assay_llm_verdict verdict = assay_llm_read_yes(q->reply.text, &yes);
    if (verdict != ASSAY_LLM_FAILED)
        score->logit = yes ? 1 : -1;
    if (!q->reply.has_odds)
        return verdict;
    score->logit = (float)q->reply.odds;
    score->probability = (float)(1 / (1 + exp(-q->reply.odds)));
    return verdict == ASSAY_LLM_FAILED ? ASSAY_LLM_REPAIRED : verdict;
}

/* What was not graded stays behind the one before it; the first ones before the
 * first that was. */
static void fill_in(assay_score *scores, size_t count)
{
    size_t first = 0;
    while (first < count && scores[first].status != ASSAY_OK)
        first++;
    for (size_t i = 0; i < count && first < count; i++)
        if (scores[i].status != ASSAY_OK)
            scores[i].logit = i < first ? scores[first].logit : scores[i - 1].logit;
}

static assay_status rank_pointwise(task *t, assay_error *error)
{
    assay_llm_mode mode = assay_llm_settings(t->llm)->mode;
    size_t count = t->call->count;
    assay_llm_question *list = new_questions(t, count, error);
    if (list == NULL)
        return ASSAY_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const assay_llm_passage *one = &t->shown[i];
        assay_llm_prompt(mode, t->call->query, &one, 1, &list[i]);
    }
    assay_status status = assay_llm_ask(t->llm, t->call, list, count, t->usage, error);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        assay_llm_verdict verdict = ASSAY_LLM_FAILED;
        if (list[i].status == ASSAY_OK)
            verdict = read_point(&list[i], &t->scores[i]);
        if (!settle(t, &list[i], verdict))
            t->scores[i].status = list[i].status;
    }
    fill_in(t->scores, count);
    free_questions(list, count);
    return status;
}

/* ---- Pairwise ------------------------------------------------------------------ */

/* A pair of passages, and which the model likes better. */
typedef struct pair {
    size_t a, b; /* places of the call's passages */
    int better;  /* 1: a, -1: b, 0: neither, or not known */
} pair;

static void ask_for(task *t, size_t a, size_t b, assay_llm_question *q)
{
    const assay_llm_passage *both[] = {&t->shown[a], &t->shown[b]};
    assay_llm_prompt(ASSAY_LLM_PAIRWISE, t->call->query, both, 2, q);
}

/* What is said when a stands first, and when b does. */
static int choice_of(task *t, assay_llm_question *q)
{
    int choice = 0;
    assay_llm_verdict verdict = ASSAY_LLM_FAILED;
    if (q->status == ASSAY_OK)
        verdict = assay_llm_read_choice(q->reply.text, &choice);
    return settle(t, q, verdict) ? choice : 0;
}

/* Compares pairs[count], each in both orders. */
static assay_status compare(task *t, pair *pairs, size_t count, bool *lost, assay_error *error)
{
    assay_llm_question *list = new_questions(t, 2 * count, error);
    if (list == NULL)
        return ASSAY_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        ask_for(t, pairs[i].a, pairs[i].b, &list[2 * i]);
        ask_for(t, pairs[i].b, pairs[i].a, &list[2 * i + 1]);
    }
    assay_status status = assay_llm_ask(t->llm, t->call, list, 2 * count, t->usage, error);
    *lost = status == ASSAY_OK;
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        int sum = choice_of(t, &list[2 * i]) - choice_of(t, &list[2 * i + 1]);
        pairs[i].better = (sum > 0) - (sum < 0);
        *lost = *lost && list[2 * i].status == ASSAY_E_NETWORK;
    }
    free_questions(list, 2 * count);
    return status;
}

/* Every pair; the score counts comparisons won, a draw as half. */
static assay_status rank_all_pairs(task *t, assay_error *error)
{
    size_t count = t->call->count, taken = 0;
    bool lost;
    pair *pairs = assay_arena_small(t->arena, count * count * sizeof *pairs);
    if (pairs == NULL)
        return assay_fail_memory(error, count * count * sizeof *pairs);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            pairs[taken++] = (pair){i, j, 0};
    ASSAY_TRY(compare(t, pairs, taken, &lost, error));
    for (size_t i = 0; i < taken; i++) {
        t->scores[pairs[i].a].logit += 0.5f * (float)(1 + pairs[i].better);
        t->scores[pairs[i].b].logit += 0.5f * (float)(1 - pairs[i].better);
    }
    return ASSAY_OK;
}

/* One pass: the best of order[top..] comes to order[top]. */
static assay_status carry_up(task *t, size_t top, bool *lost, assay_error *error)
{
    for (size_t i = t->call->count - 1; i > top && !*lost; i--) {
        pair one = {t->order[i - 1], t->order[i], 0};
        ASSAY_TRY(compare(t, &one, 1, lost, error));
        if (one.better < 0) {
            t->order[i - 1] = one.b;
            t->order[i] = one.a;
        }
    }
    return ASSAY_OK;
}

static assay_status rank_pairwise(task *t, assay_error *error)
{
    size_t count = t->call->count, top = t->call->top;
    bool lost = false;
    if (count <= ALL_PAIRS)
        return rank_all_pairs(t, error);
    if (top == 0 || top > MOST_PASSES)
        top = MOST_PASSES;
    for (size_t i = 0; i < top && !lost; i++)
        ASSAY_TRY(carry_up(t, i, &lost, error));
    score_by_order(t);
    return ASSAY_OK;
}

/* ---- The whole ------------------------------------------------------------------ */

static assay_status prepare(task *t, assay_error *error)
{
    size_t count = t->call->count;
    t->shown = assay_arena_small(t->arena, count * sizeof *t->shown);
    t->order = assay_arena_small(t->arena, count * sizeof *t->order);
    if (t->shown == NULL || t->order == NULL)
        return assay_fail_memory(error, count * sizeof *t->shown);
    for (size_t i = 0; i < count; i++) {
        ASSAY_TRY(assay_llm_show(t->llm, t->call->passages[i], t->arena, &t->shown[i], error));
        t->order[i] = i;
        t->usage->cut += t->shown[i].cut;
        t->scores[i] = (assay_score){.probability = NAN,
                                     .tokens = t->shown[i].tokens,
                                     .truncated = t->shown[i].cut};
    }
    return ASSAY_OK;
}

static assay_status rank(task *t, assay_error *error)
{
    ASSAY_TRY(prepare(t, error));
    switch (assay_llm_settings(t->llm)->mode) {
    case ASSAY_LLM_LISTWISE:
        ASSAY_TRY(rank_listwise(t, error));
        break;
    case ASSAY_LLM_POINTWISE:
    case ASSAY_LLM_YESNO:
        ASSAY_TRY(rank_pointwise(t, error));
        break;
    case ASSAY_LLM_PAIRWISE:
        ASSAY_TRY(rank_pairwise(t, error));
        break;
    }
    if (t->useful == 0 && t->first.code != ASSAY_OK)
        return assay_fail(error, ASSAY_E_NETWORK, t->first.where, "%s", t->first.message);
    return ASSAY_OK;
}

assay_status assay_llm_rank(assay_llm *llm, const assay_llm_call *call, assay_score *scores,
                            assay_llm_usage *usage, assay_error *error)
{
    if (call->query.length == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "query", "is empty");
    task t = {.llm = llm, .call = call, .scores = scores, .usage = usage,
              .arena = assay_arena_new(0)};
    if (t.arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_status status = call->count > 0 ? rank(&t, error) : ASSAY_OK;
    assay_arena_free(t.arena);
    return status;
}

assay_status assay_llm_rerank(assay_llm *llm, assay_text query, const assay_text *passages,
                              size_t count, size_t top, assay_score *scores,
                              assay_llm_usage *usage, assay_error *error)
{
    assay_llm_usage unused = {0};
    const assay_llm_call call = {.query = query, .passages = passages, .count = count,
                                 .top = top, .deadline = INFINITY};
    return assay_llm_rank(llm, &call, scores, usage != NULL ? usage : &unused, error);
}
