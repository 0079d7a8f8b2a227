/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rerank_run.c: see rerank_run.h.
 *
 * A model reads a document as "Title. Text", as it does in `search` where a
 * document is one passage; the model's limit cuts long ones.
 */
#include "cli/rerank_run.h"

#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"

typedef struct work {
    const assay_rerank_run *settings;
    assay_session *session;
    assay_store *store;
    assay_queries queries;
    assay_run *in, *out;
    assay_text *texts;   /* [capacity]; data is owned, NULL when it is missing */
    assay_score *scores; /* [capacity] */
    size_t capacity;
    uint64_t failed, unknown; /* documents; queries */
} work;

static const assay_text *find_query(const work *w, const char *id)
{
    for (size_t i = 0; i < w->queries.count; i++) {
        if (strcmp(w->queries.ids[i], id) == 0)
            return &w->queries.texts[i];
    }
    return NULL;
}

static bool make_room(work *w, size_t count)
{
    if (count <= w->capacity)
        return true;
    assay_text *texts = realloc(w->texts, count * sizeof *texts);
    if (texts)
        w->texts = texts;
    assay_score *scores = realloc(w->scores, count * sizeof *scores);
    if (scores)
        w->scores = scores;
    if (!texts || !scores)
        return false;
    w->capacity = count;
    return true;
}

static void free_texts(work *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assay_free((char *)w->texts[i].data);
}

/* Fills w->texts with the documents of entries first .. first + count - 1;
 * what is missing is told and left without data. */
static assay_status read_documents(work *w, size_t first, size_t count, assay_bar *bar,
                                   assay_error *error)
{
    memset(w->texts, 0, count * sizeof *w->texts);
    for (size_t i = 0; i < count; i++) {
        assay_run_entry entry = assay_run_at(w->in, first + i);
        assay_status status = assay_document_context(w->store, w->settings->collection,
                                                     entry.document, &w->texts[i], error);
        if (status == ASSAY_E_NOT_FOUND) {
            assay_bar_clear(bar);
            assay_report(error);
            w->failed++;
        } else if (status != ASSAY_OK) {
            free_texts(w, i);
            return status;
        }
    }
    return ASSAY_OK;
}

/* Adds the entries to the new run: scored ones by logit, the others below in
 * the order they had. */
static assay_status add_entries(work *w, size_t first, size_t count, assay_error *error)
{
    double least = 0;
    for (size_t i = 0; i < count; i++) {
        if (w->texts[i].data && w->scores[i].status == ASSAY_OK && (double)w->scores[i].logit < least)
            least = (double)w->scores[i].logit;
    }
    size_t below = 0;
    for (size_t i = 0; i < count; i++) {
        assay_run_entry entry = assay_run_at(w->in, first + i);
        bool scored = w->texts[i].data && w->scores[i].status == ASSAY_OK;
        double score = scored ? (double)w->scores[i].logit : least - (double)++below;
        assay_status status = assay_run_add(w->out, entry.query, entry.document, score, error);
        if (status != ASSAY_OK)
            return status;
    }
    return ASSAY_OK;
}

static assay_status rerank_query(work *w, size_t first, size_t count, assay_bar *bar,
                                 assay_error *error)
{
    const char *id = assay_run_at(w->in, first).query;
    const assay_text *query = find_query(w, id);
    if (!make_room(w, count)) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    if (!query) {
        assay_bar_clear(bar);
        assay_warn("%s: has no query '%s', which the run has; it stays as it was",
                   w->settings->queries, id);
        w->unknown++;
        memset(w->texts, 0, count * sizeof *w->texts);
        return add_entries(w, first, count, error);
    }
    assay_status status = read_documents(w, first, count, bar, error);
    if (status != ASSAY_OK)
        return status;
    status = assay_rerank(w->session, *query, w->texts, count, w->scores, error);
    if (status == ASSAY_OK)
        status = add_entries(w, first, count, error);
    free_texts(w, count);
    return status;
}

static assay_status rerank_all(work *w, assay_bar *bar, assay_error *error)
{
    size_t entries = assay_run_count(w->in);
    assay_status status = ASSAY_OK;
    for (size_t first = 0, next; first < entries && status == ASSAY_OK; first = next) {
        const char *query = assay_run_at(w->in, first).query;
        for (next = first; next < entries; next++) {
            if (strcmp(assay_run_at(w->in, next).query, query) != 0)
                break;
        }
        assay_progress progress = {.phase = ASSAY_PHASE_INDEX, .done = first, .total = entries};
        if (!assay_bar_update(&progress, bar))
            return ASSAY_E_INTERRUPTED;
        size_t count = next - first, top = w->settings->top;
        status = rerank_query(w, first, top && top < count ? top : count, bar, error);
    }
    return status;
}

static assay_status open_inputs(work *w, assay_error *error)
{
    const assay_rerank_run *s = w->settings;
    assay_status status = assay_run_read(s->run, &w->in, error);
    if (status == ASSAY_OK)
        status = assay_queries_read(s->queries, &w->queries, error);
    if (status == ASSAY_OK)
        status = assay_store_open(NULL, &(assay_store_options){.read_only = true}, &w->store,
                                  error);
    assay_collection_info info;
    if (status == ASSAY_OK)
        status = assay_collection_describe(w->store, s->collection, &info, error);
    if (status == ASSAY_OK)
        status = assay_run_new("assay", &w->out, error);
    return status;
}

static int finish(const work *w, assay_status status, assay_error *error)
{
    if (status == ASSAY_E_INTERRUPTED) {
        assay_warn("interrupted; nothing was written");
        return ASSAY_EXIT_INTERRUPTED;
    }
    if (status == ASSAY_OK)
        status = assay_run_write(w->out, w->settings->output ? w->settings->output : "-", error);
    if (status != ASSAY_OK)
        return assay_report(error);
    return w->failed + w->unknown > 0 ? ASSAY_EXIT_PARTLY : ASSAY_EXIT_OK;
}

int assay_rerank_run_do(const assay_rerank_run *settings, assay_session *session)
{
    assay_error error;
    assay_bar bar = assay_bar_new("Reranking", "documents");
    work w = {.settings = settings, .session = session};
    assay_interrupt_arm();
    assay_status status = open_inputs(&w, &error);
    if (status == ASSAY_OK)
        status = rerank_all(&w, &bar, &error);
    assay_bar_clear(&bar);
    int code = finish(&w, status, &error);
    assay_run_free(w.out);
    assay_run_free(w.in);
    assay_queries_free(&w.queries);
    assay_store_close(w.store);
    free(w.texts);
    free(w.scores);
    return code;
}
