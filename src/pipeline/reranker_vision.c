/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reranker_vision.c: a vision model as a stage: it looks at the image of each candidate's
 * page, named in the document's metadata, and says whether it answers the query.
 *
 * A page is looked at once, however many passages of its document come. Those that are
 * found not to answer score -1, all others 1, so that these keep their order: no answer and
 * no image is no reason to move a candidate. Images are read for as many pages at a time as
 * are asked about at a time; no more are in memory.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/llm_cache.h"
#include "pipeline/reranker.h"
#include "rank/page_image.h"
#include "text/metadata.h"

/* A candidate's page. */
typedef struct page {
    size_t same;       /* the first candidate of its document */
    const char *place; /* of its image; NULL: it has none */
    assay_llm_page seen;
} page;

typedef struct stage {
    assay_store *store;
    assay_llm *llm;
    assay_llm_answers answers;
    assay_page_source source;
    const char *field; /* of the metadata */
    page *pages;       /* of the query at hand */
} stage;

/* ---- Opening -------------------------------------------------------------------- */

static void close_vision(void *state)
{
    stage *s = state;
    if (s == NULL)
        return;
    assay_page_source_close(&s->source);
    assay_llm_answers_close(&s->answers);
    assay_llm_close(s->llm);
    free(s);
}

static assay_status open_vision(assay_store *store, const assay_stage_options *options,
                                const assay_pipeline_options *pipeline, void **out,
                                assay_error *error)
{
    stage *s = calloc(1, sizeof *s);
    if (s == NULL)
        return assay_fail_memory(error, sizeof *s);
    s->store = store;
    s->field = options->page.image_field;
    assay_llm_options asked = options->llm;
    asked.model = options->model;
    assay_status status = assay_page_source_open(&options->page, &s->source, error);
    if (status == ASSAY_OK)
        status = assay_llm_open(&asked, &s->llm, error);
    if (status != ASSAY_OK) {
        close_vision(s);
        return status;
    }
    if (!pipeline->no_cache)
        assay_llm_answers_open(assay_store_home(store), &s->answers);
    *out = s;
    return ASSAY_OK;
}

/* ---- Where the images are --------------------------------------------------------- */

typedef struct search {
    const char *field;
    assay_arena *arena;
    const char *place;
} search;

static assay_status find_place(void *user, const char *field, const assay_value *value,
                               assay_error *error)
{
    search *s = user;
    if (s->place != NULL || value->kind != ASSAY_VALUE_TEXT || strcmp(field, s->field) != 0)
        return ASSAY_OK;
    s->place = assay_arena_copy(s->arena, value->text.data, value->text.length);
    return s->place != NULL ? ASSAY_OK : assay_fail_memory(error, value->text.length);
}

/* What the document's metadata says. */
static assay_status read_place(const stage *s, const assay_rerank_call *call, const char *id,
                               const char **place, assay_error *error)
{
    assay_documents documents;
    search wanted = {.field = s->field, .arena = call->arena};
    assay_status status = assay_document_get(s->store, call->collection->name, id, &documents,
                                             error);
    if (status == ASSAY_E_NOT_FOUND) /* deleted meanwhile */
        return ASSAY_OK;
    ASSAY_TRY(status);
    if (documents.items[0].metadata != NULL)
        status = assay_metadata_each(documents.items[0].metadata, find_place, &wanted, error);
    assay_documents_free(&documents);
    *place = wanted.place;
    return status;
}

static assay_status begin_vision(void *state, const assay_rerank_call *call, assay_score *scores,
                                 double *work, assay_stage_result *result, assay_error *error)
{
    (void)scores, (void)result;
    stage *s = state;
    s->pages = assay_arena_small(call->arena, call->count * sizeof *s->pages);
    if (s->pages == NULL)
        return assay_fail_memory(error, call->count * sizeof *s->pages);
    for (size_t i = 0; i < call->count; i++) {
        s->pages[i] = (page){.same = 0};
        while (call->passages[s->pages[i].same]->document != call->passages[i]->document)
            s->pages[i].same++;
        if (s->pages[i].same == i)
            ASSAY_TRY(read_place(s, call, call->passages[i]->id, &s->pages[i].place, error));
        work[i] = s->pages[i].place != NULL;
    }
    return ASSAY_OK;
}

/* ---- Looking ---------------------------------------------------------------------- */

/* A few pages that are asked about together. */
typedef struct group {
    page *pages[256];
    assay_buffer images[256];
    size_t count;
} group;

/* The next pages whose images can be had, from *next on, at most `most`. */
static void load(const stage *s, size_t count, size_t most, size_t *next, group *g)
{
    g->count = 0;
    for (; *next < count && g->count < most; ++*next) {
        page *p = &s->pages[*next];
        assay_buffer *image = &g->images[g->count];
        if (p->place == NULL)
            continue;
        assay_buffer_init(image, 0);
        p->seen.verdict = ASSAY_VERDICT_FAILED;
        p->seen.status = assay_page_image(&s->source, p->place, image, &p->seen.error);
        if (p->seen.status != ASSAY_OK) {
            assay_buffer_free(image);
            continue;
        }
        p->seen.image = (assay_text){image->data, image->length};
        g->pages[g->count++] = p;
    }
}

static assay_status look(stage *s, const assay_rerank_call *call, group *g,
                         assay_stage_result *result, assay_error *error)
{
    const assay_llm_cache cache = assay_llm_answers_cache(&s->answers);
    const assay_llm_call asked = {.query = call->query, .deadline = call->deadline,
                                  .cache = s->answers.scores != NULL ? &cache : NULL};
    assay_llm_page *list = assay_arena_small(call->arena, g->count * sizeof *list);
    if (list == NULL)
        return assay_fail_memory(error, g->count * sizeof *list);
    for (size_t i = 0; i < g->count; i++)
        list[i] = g->pages[i]->seen;
    ASSAY_TRY(assay_llm_look(s->llm, &asked, list, g->count, call->arena, &result->llm, error));
    for (size_t i = 0; i < g->count; i++)
        g->pages[i]->seen = list[i];
    return ASSAY_OK;
}

static assay_status look_at_all(stage *s, const assay_rerank_call *call,
                                assay_stage_result *result, assay_error *error)
{
    size_t next = 0, most = assay_llm_settings(s->llm)->parallel;
    assay_status status = ASSAY_OK;
    group *g = calloc(1, sizeof *g);
    if (g == NULL)
        return assay_fail_memory(error, sizeof *g);
    while (status == ASSAY_OK && next < call->count) {
        load(s, call->count, most, &next, g);
        if (g->count > 0)
            status = look(s, call, g, result, error);
        for (size_t i = 0; i < g->count; i++)
            assay_buffer_free(&g->images[i]);
    }
    free(g);
    return status;
}

/* ---- Telling ---------------------------------------------------------------------- */

static float probability_of(const assay_llm_page *seen)
{
    return seen->verdict == ASSAY_VERDICT_YES ? seen->confidence : 1 - seen->confidence;
}

static assay_score score_of(const page *p)
{
    const assay_llm_page *seen = &p->seen;
    bool told = seen->verdict == ASSAY_VERDICT_YES || seen->verdict == ASSAY_VERDICT_NO;
    return (assay_score){
        .logit = seen->verdict == ASSAY_VERDICT_NO ? -1 : 1,
        .probability = told ? probability_of(seen) : NAN,
        .status = told ? ASSAY_OK : p->place == NULL ? ASSAY_E_NOT_FOUND : seen->status,
    };
}

static assay_status tell_reason(const page *p, assay_arena *arena, assay_validation *out,
                                assay_error *error)
{
    out->verdict = p->seen.verdict;
    out->reason = p->seen.reason;
    if (p->seen.verdict != ASSAY_VERDICT_FAILED)
        return ASSAY_OK;
    out->reason = assay_arena_copy(arena, p->seen.error.message, strlen(p->seen.error.message));
    return out->reason != NULL ? ASSAY_OK : assay_fail_memory(error, sizeof(assay_error));
}

/* Pages without an answer are told; where no page has one because nobody could be asked,
 * that is the outcome. */
static assay_status tell_failures(const stage *s, size_t count, assay_stage_result *result,
                                  assay_error *error)
{
    size_t pages = 0, failed = 0;
    const page *first = NULL;
    bool network = false;
    for (size_t i = 0; i < count; i++) {
        const page *p = &s->pages[i];
        pages += p->place != NULL;
        if (p->place == NULL || p->seen.verdict != ASSAY_VERDICT_FAILED)
            continue;
        failed++;
        if (first == NULL || (!network && p->seen.status == ASSAY_E_NETWORK))
            first = p; /* of the network's, where there is one: it says more */
        network = first->seen.status == ASSAY_E_NETWORK;
    }
    if (failed == 0)
        return ASSAY_OK;
    assay_fail(&result->degraded, first->seen.status, "page",
               "%zu of %zu pages could not be looked at, and stay: %.100s: %.300s", failed, pages,
               first->seen.error.where, first->seen.error.message);
    if (failed < pages || !network)
        return ASSAY_OK;
    if (error != NULL)
        *error = result->degraded;
    return ASSAY_E_NETWORK;
}

static assay_status score_vision(void *state, const assay_rerank_call *call, size_t first,
                                 size_t count, assay_score *scores, assay_stage_result *result,
                                 assay_error *error)
{
    (void)first; /* 0, and count is all */
    stage *s = state;
    ASSAY_TRY(look_at_all(s, call, result, error));
    result->cache = s->answers.error;
    result->tokens = result->llm.input_tokens;
    for (size_t i = 0; i < count; i++) {
        const page *p = &s->pages[s->pages[i].same];
        scores[i] = score_of(p);
        ASSAY_TRY(tell_reason(p, call->arena, &call->validations[i], error));
        result->accepted += p->seen.verdict == ASSAY_VERDICT_YES;
        result->rejected += p->seen.verdict == ASSAY_VERDICT_NO;
    }
    return tell_failures(s, count, result, error);
}

const assay_reranker_class assay_reranker_vision = {
    .name = "vision",
    .weight = 1.0,
    .weight_before = 0.0,
    .open = open_vision,
    .close = close_vision,
    .whole = true,
    .validates = true,
    .begin = begin_vision,
    .score = score_vision,
};
