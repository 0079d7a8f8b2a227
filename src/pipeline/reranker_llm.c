/* SPDX-License-Identifier: Apache-2.0 */
/* reranker_llm.c: a language model as a stage. It reads passages with title and
 * headings in front, and its answers are kept in the score cache. */
#include <stdlib.h>

#include "pipeline/llm_cache.h"
#include "pipeline/reranker.h"
#include "text/context.h"

typedef struct stage {
    assay_llm *llm;
    assay_llm_answers answers;
    assay_text *texts; /* of the query at hand */
} stage;

static void close_llm(void *state)
{
    stage *s = state;
    if (s == NULL)
        return;
    assay_llm_answers_close(&s->answers);
    assay_llm_close(s->llm);
    free(s);
}

static assay_status open_llm(assay_store *store, const assay_stage_options *options,
                             const assay_pipeline_options *pipeline, void **out,
                             assay_error *error)
{
    stage *s = calloc(1, sizeof *s);
    if (s == NULL)
        return assay_fail_memory(error, sizeof *s);
    assay_llm_options asked = options->llm;
    asked.model = options->model;
    assay_status status = assay_llm_open(&asked, &s->llm, error);
    if (status != ASSAY_OK) {
        close_llm(s);
        return status;
    }
    if (!pipeline->no_cache)
        assay_llm_answers_open(assay_store_home(store), &s->answers);
    *out = s;
    return ASSAY_OK;
}

/* "Title. Heading. passage", in the arena. */
static assay_status read_passage(const assay_passage_view *view, assay_arena *arena,
                                 assay_text *out, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, 0);
    assay_passage_context(ASSAY_CONTEXT_SENTENCES, view->title, view->heading, view->text, &text);
    assay_status status = assay_buffer_status(&text, "passage", error);
    char *kept = NULL;
    if (status == ASSAY_OK)
        kept = assay_arena_copy(arena, text.data != NULL ? text.data : "", text.length);
    if (status == ASSAY_OK && kept == NULL)
        status = assay_fail_memory(error, text.length);
    *out = (assay_text){kept, text.length};
    assay_buffer_free(&text);
    return status;
}

static assay_status begin_llm(void *state, const assay_rerank_call *call, assay_score *scores,
                              double *work, assay_stage_result *result, assay_error *error)
{
    (void)scores, (void)result;
    stage *s = state;
    s->texts = assay_arena_small(call->arena, call->count * sizeof *s->texts);
    if (s->texts == NULL)
        return assay_fail_memory(error, call->count * sizeof *s->texts);
    for (size_t i = 0; i < call->count; i++) {
        ASSAY_TRY(read_passage(call->passages[i], call->arena, &s->texts[i], error));
        work[i] = 1;
    }
    return ASSAY_OK;
}

/* All at once: an order is one of all. */
static assay_status score_llm(void *state, const assay_rerank_call *call, size_t first,
                              size_t count, assay_score *scores, assay_stage_result *result,
                              assay_error *error)
{
    stage *s = state;
    const assay_llm_cache cache = assay_llm_answers_cache(&s->answers);
    const assay_llm_call asked = {
        .query = call->query,
        .passages = s->texts + first,
        .count = count,
        .top = call->keep < count ? call->keep : 0,
        .deadline = call->deadline,
        .cache = s->answers.scores != NULL ? &cache : NULL,
    };
    assay_status status = assay_llm_rank(s->llm, &asked, scores + first, &result->llm, error);
    result->cache = s->answers.error;
    return status;
}

/* Its order is taken as it is. */
const assay_reranker_class assay_reranker_llm = {
    .name = "llm",
    .weight = 1.0,
    .weight_before = 0.0,
    .open = open_llm,
    .close = close_llm,
    .whole = true,
    .begin = begin_llm,
    .score = score_llm,
};
