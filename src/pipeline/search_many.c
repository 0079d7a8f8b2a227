/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_many.c: many questions at a time.
 *
 * One question is too little for several threads: its few tokens make small products, and
 * what is found is read by one. Here many are embedded together, which also takes half the
 * work, and each is looked up and read by one thread, in a lane: a pipeline of one thread
 * with a connection of its own and no model, that lives as long as the call. Results are
 * those of assay_search, as a vector does not depend on its neighbours in a batch, nor a
 * search on the number of threads.
 *
 * The pipeline itself answers the first question, so that indexes are brought up to date
 * once, and not by every lane.
 */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "pipeline/pipeline.h"

enum {
    TOGETHER = 64,  /* questions, or, of many lanes, */
    OF_A_LANE = 16, /* so many each: few, since their results are held meanwhile */
};

typedef struct answer {
    assay_result result;
    assay_status status;
    assay_error error;
} answer;

typedef struct many {
    assay_pipeline *pipeline;
    const assay_text *queries;
    uint32_t top;
    assay_result_fn tell;
    void *user;
    assay_pipeline **lanes; /* [lane_count] */
    uint32_t lane_count;
    size_t first, room;     /* question of those that are asked at once; how many fit */
    answer *answers;        /* [room] */
    size_t dimensions;
    float *vectors;         /* [room][dimensions] */
    assay_embedding_info *infos; /* [room] */
} many;

/* ------------------------------------------------------------------- lanes */

static assay_status lane_open(const assay_pipeline *of, assay_pipeline **out, assay_error *error)
{
    assay_pipeline *lane = *out = calloc(1, sizeof *lane);
    if (lane == NULL)
        return assay_fail_memory(error, sizeof *lane);
    lane->settings = of->settings;
    lane->settings.options.threads = 1;
    lane->collection = of->collection;
    lane->retrieval.allowed.filter = of->retrieval.allowed.filter;
    ASSAY_TRY(assay_store_open_again(of->store, &lane->store, error));
    return assay_retrieval_lists(lane, error);
}

static void lane_close(assay_pipeline *lane)
{
    if (lane == NULL)
        return;
    assay_store *store = lane->store;
    lane->retrieval.allowed.filter = NULL; /* borrowed */
    assay_pipeline_close(lane);
    assay_store_close(store);
}

static assay_status open_lanes(many *m, size_t count, assay_error *error)
{
    uint32_t threads = m->pipeline->settings.options.threads;
    size_t n = m->dimensions = m->pipeline->collection.config.dimensions;
    if (threads == 0 || threads > assay_cores())
        threads = assay_cores();
    m->room = threads * OF_A_LANE > TOGETHER ? threads * OF_A_LANE : TOGETHER;
    m->room = count < m->room ? count : m->room;
    uint32_t lanes = threads < m->room ? threads : (uint32_t)m->room;
    m->lanes = calloc(lanes, sizeof *m->lanes);
    m->answers = calloc(m->room, sizeof *m->answers);
    m->vectors = calloc(m->room * n + 1, sizeof *m->vectors);
    m->infos = calloc(m->room, sizeof *m->infos);
    if (m->lanes == NULL || m->answers == NULL || m->vectors == NULL || m->infos == NULL)
        return assay_fail_memory(error, m->room * n * sizeof *m->vectors);
    while (m->lane_count < lanes)
        ASSAY_TRY(lane_open(m->pipeline, &m->lanes[m->lane_count++], error));
    return ASSAY_OK;
}

static void close_lanes(many *m)
{
    for (uint32_t i = 0; i < m->lane_count; i++)
        lane_close(m->lanes[i]);
    free(m->lanes);
    free(m->answers);
    free(m->vectors);
    free(m->infos);
}

/* ------------------------------------------------------------------ asking */

static void ask_by(const many *m, assay_pipeline *pipeline, size_t query, answer *a)
{
    a->status = assay_search(pipeline, m->queries[query], m->top, &a->result, &a->error);
}

static void ask(void *context, size_t item, uint32_t worker)
{
    const many *m = context;
    assay_pipeline *lane = m->lanes[worker];
    size_t n = m->dimensions;
    lane->retrieval.query_info = m->infos[item];
    memcpy(lane->retrieval.query_vector, m->vectors + item * n, n * sizeof *m->vectors);
    ask_by(m, lane, m->first + item, &m->answers[item]);
}

/* Where some cannot be embedded, one by one tells which. */
static void ask_together(many *m, size_t some)
{
    assay_session *session = m->pipeline->retrieval.session;
    if (session == NULL || assay_embed(session, m->queries + m->first, some, m->vectors, m->infos,
                                       NULL) == ASSAY_OK) {
        assay_loop(some, m->lane_count, ask, m);
        return;
    }
    for (size_t i = 0; i < some; i++)
        ask_by(m, m->pipeline, m->first + i, &m->answers[i]);
}

/* Hands on one answer; false: there are to be no more. */
static bool tell(const many *m, size_t query, answer *a)
{
    bool more = m->tell(query, &a->result, a->status != ASSAY_OK ? &a->error : NULL, m->user);
    assay_result_free(&a->result);
    return more;
}

static bool tell_together(const many *m, size_t some)
{
    bool more = true;
    for (size_t i = 0; i < some; i++) {
        if (more)
            more = tell(m, m->first + i, &m->answers[i]);
        else
            assay_result_free(&m->answers[i].result);
    }
    return more;
}

/* A reranker and late interaction have all threads work on one question, and a deadline is
 * for one that has them. */
static bool one_by_one(const assay_pipeline *p)
{
    const assay_pipeline_options *o = &p->settings.options;
    return o->stage_count > 0 || o->retriever == ASSAY_RETRIEVER_LATE || p->deadline_ms > 0;
}

assay_status assay_search_many(assay_pipeline *pipeline, const assay_text *queries, size_t count,
                               uint32_t top, assay_result_fn answered, void *user,
                               assay_error *error)
{
    many m = {.pipeline = pipeline, .queries = queries, .top = top, .tell = answered,
              .user = user};
    size_t alone = one_by_one(pipeline) ? count : count > 0;
    assay_status status = ASSAY_OK;
    bool more = true;
    for (; m.first < alone && more; m.first++) {
        answer one = {0};
        ask_by(&m, pipeline, m.first, &one);
        more = tell(&m, m.first, &one);
    }
    if (more && m.first < count)
        status = open_lanes(&m, count - m.first, error);
    while (status == ASSAY_OK && more && m.first < count) {
        size_t some = count - m.first < m.room ? count - m.first : m.room;
        ask_together(&m, some);
        more = tell_together(&m, some);
        m.first += some;
    }
    close_lanes(&m);
    if (status == ASSAY_OK && !more)
        return assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return status;
}
