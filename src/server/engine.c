/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c: see engine.h.
 *
 * One lock guards the two queues. A queue is a ring: a job that has more to give
 * goes to its end after each slice. How many tokens a text has is known only when
 * the model has seen it; for scheduling, a token is taken as four bytes.
 */
#include "server/engine.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SLICE = 512,          /* tokens that a job gives at a time */
    BATCH_ITEMS = 512,    /* most texts or pairs of a batch */
    BATCH_SLICES = 128,
    BULK_TURN = 8,        /* every so many batches begin with bulk */
    TOKEN_BYTES = 4,
    DOUBT = 2,            /* how many times longer than estimated a wait may be: other
                             programs come and go */
    QUEUE_BATCHES = 1,    /* most tokens waiting: so many batches a job of the queue */
    BRIEF = 200,          /* a job is brief that takes less than the so-manieth of a second */
};

typedef struct ring {
    assay_job *last; /* its next is the first */
} ring;

typedef struct slice {
    assay_job *job;
    size_t first, count;
} slice;

/* An engine thread and what it works with. */
typedef struct worker {
    assay_engine *engine;
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *below; /* in the stack of those that sleep */
    bool asleep;
    slice slices[BATCH_SLICES];
    assay_pair pairs[BATCH_ITEMS];
    assay_text texts[BATCH_ITEMS];
    assay_score scores[BATCH_ITEMS];
    assay_embedding_info infos[BATCH_ITEMS];
    float *vectors;
    size_t vector_floats;
} worker;

struct assay_engine {
    assay_engine_options options; /* limits of them: lock held */
    pthread_mutex_t lock;
    worker *sleepers; /* a stack: who slept last has its session in the caches yet */
    bool closing, hurried;
    ring rings[2]; /* interactive, bulk */
    assay_engine_state state;
    worker *workers;
    size_t started, ended;
};

double assay_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ------------------------------------------------------------------- rings */

static void push(ring *r, assay_job *job)
{
    if (r->last != NULL) {
        job->next = r->last->next;
        r->last->next = job;
    } else {
        job->next = job;
    }
    r->last = job;
    job->waiting = true;
}

/* Takes out the job after `before`. */
static assay_job *take_after(ring *r, assay_job *before)
{
    assay_job *job = before->next;
    before->next = job->next;
    if (job == before)
        r->last = NULL;
    else if (job == r->last)
        r->last = before;
    job->waiting = false;
    return job;
}

/* ----------------------------------------------------------------- sleepers */

/* Until there may be work again. Lock held, and let go of meanwhile. */
static void fall_asleep(assay_engine *e, worker *w)
{
    w->below = e->sleepers;
    e->sleepers = w;
    w->asleep = true;
    while (w->asleep)
        pthread_cond_wait(&w->wake, &e->lock);
}

/* Wakes one that sleeps, where one does. Lock held. */
static void wake_one(assay_engine *e)
{
    worker *w = e->sleepers;
    if (w == NULL)
        return;
    e->sleepers = w->below;
    w->asleep = false;
    pthread_cond_signal(&w->wake);
}

/* ------------------------------------------------------------------- costs */

static uint64_t bytes_cost(size_t bytes)
{
    return bytes / TOKEN_BYTES + 3;
}

static uint64_t item_cost(const assay_job *job, size_t i)
{
    switch (job->lane->kind) {
    case ASSAY_JOB_RERANK:
        return bytes_cost(job->pairs[i].query.length + job->pairs[i].passage.length);
    case ASSAY_JOB_EMBED:
        return bytes_cost(job->texts[i].length);
    case ASSAY_JOB_SEARCH:
        break;
    }
    return SLICE; /* thirty passages, mostly; a guess */
}

static uint64_t job_cost(const assay_job *job)
{
    uint64_t cost = 0;
    for (size_t i = 0; i < job->count; i++)
        cost += item_cost(job, i);
    return cost;
}

/* ------------------------------------------------------------- the client */

/* One that closed its side has left: it will not read the answer. */
static bool client_left(const assay_job *job)
{
    struct pollfd look = {.fd = job->client, .events = POLLRDHUP};
    return job->client >= 0 && poll(&look, 1, 0) > 0 &&
           (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Whether the job is not to be gone on with; says why in it. Lock held. */
static bool job_over(const assay_engine *e, assay_job *job, double now)
{
    if (job->outcome != ASSAY_OUTCOME_DONE)
        return true;
    if (e->hurried || (job->deadline > 0 && now > job->deadline))
        job->outcome = ASSAY_OUTCOME_EXPIRED;
    else if (client_left(job))
        job->outcome = ASSAY_OUTCOME_LEFT;
    return job->outcome != ASSAY_OUTCOME_DONE;
}

/* ----------------------------------------------------------------- batches */

typedef struct batch {
    assay_lane *lane;
    size_t slices, items;
    uint64_t tokens;
} batch;

static void finish(assay_job *job)
{
    job->done_at = assay_now();
    job->done(job);
}

/* Takes a slice of the job into the batch. Lock held. */
static void take_slice(assay_engine *e, worker *w, batch *b, assay_job *job)
{
    uint64_t tokens = 0;
    slice *s = &w->slices[b->slices++];
    *s = (slice){.job = job, .first = job->taken};
    while (job->taken < job->count && b->items + s->count < BATCH_ITEMS &&
           (s->count == 0 || tokens < SLICE)) {
        tokens += item_cost(job, job->taken++);
        s->count++;
    }
    if (job->begun_at == 0)
        job->begun_at = assay_now();
    job->out++;
    job->cost -= tokens < job->cost ? tokens : job->cost;
    e->state.waiting_tokens -= tokens < e->state.waiting_tokens ? tokens : e->state.waiting_tokens;
    b->items += s->count;
    b->tokens += tokens;
}

/* Ends a job that was taken from its ring and has no slice under way. */
static void drop(assay_engine *e, assay_job *job)
{
    e->state.waiting--;
    e->state.waiting_tokens -= job->cost < e->state.waiting_tokens ? job->cost
                                                                   : e->state.waiting_tokens;
    if (job->out > 0)
        return; /* the last slice to come back ends it */
    pthread_mutex_unlock(&e->lock);
    finish(job);
    pthread_mutex_lock(&e->lock);
}

/* The job before the first that can go into the batch; NULL when none can. */
static assay_job *before_fitting(const ring *r, const batch *b)
{
    assay_job *before = r->last;
    for (; before != NULL; before = before->next) {
        const assay_lane *lane = before->next->lane;
        if ((b->lane == NULL || lane == b->lane) && !lane->busy)
            return before;
        if (before->next == r->last)
            return NULL;
    }
    return NULL;
}

/* Fills the batch from one ring. Lock held, and let go of while a job is dropped. */
static void fill_from(assay_engine *e, worker *w, batch *b, ring *r)
{
    assay_job *before;
    while (b->tokens < e->options.batch_tokens && b->slices < BATCH_SLICES &&
           b->items < BATCH_ITEMS && (before = before_fitting(r, b)) != NULL) {
        assay_job *job = take_after(r, before);
        if (job_over(e, job, assay_now())) {
            drop(e, job);
            continue;
        }
        b->lane = job->lane;
        take_slice(e, w, b, job);
        if (job->taken < job->count)
            push(r, job);
        else
            e->state.waiting--;
        if (job->lane->kind == ASSAY_JOB_SEARCH)
            break; /* one search is a batch */
    }
}

static batch next_batch(assay_engine *e, worker *w)
{
    batch b = {0};
    bool bulk_first = e->state.batches % BULK_TURN == BULK_TURN - 1;
    fill_from(e, w, &b, &e->rings[bulk_first]);
    if (b.lane == NULL || b.lane->kind != ASSAY_JOB_SEARCH)
        fill_from(e, w, &b, &e->rings[!bulk_first]);
    return b;
}

/* --------------------------------------------------------------- the models */

/* Opened at first use. */
static assay_status session_of(worker *w, assay_lane *lane, assay_session **out,
                               assay_error *error)
{
    assay_session **place = &lane->sessions[w - w->engine->workers];
    assay_session_options options = {.threads = w->engine->options.threads, .role = lane->role};
    assay_status status = ASSAY_OK;
    if (*place == NULL)
        status = assay_session_open(lane->model, &options, place, error);
    *out = *place;
    return status;
}

static assay_status run_rerank(worker *w, const batch *b, assay_error *error)
{
    assay_session *session;
    size_t n = 0;
    for (size_t i = 0; i < b->slices; i++) {
        const slice *s = &w->slices[i];
        memcpy(w->pairs + n, s->job->pairs + s->first, s->count * sizeof *w->pairs);
        n += s->count;
    }
    assay_status status = session_of(w, b->lane, &session, error);
    if (status == ASSAY_OK)
        status = assay_score_pairs(session, w->pairs, n, w->scores, error);
    n = 0;
    for (size_t i = 0; i < b->slices && status == ASSAY_OK; i++) {
        const slice *s = &w->slices[i];
        memcpy(s->job->scores + s->first, w->scores + n, s->count * sizeof *w->scores);
        n += s->count;
    }
    return status;
}

static assay_status make_vectors(worker *w, size_t floats, assay_error *error)
{
    if (floats <= w->vector_floats)
        return ASSAY_OK;
    float *vectors = realloc(w->vectors, floats * sizeof *vectors);
    if (vectors == NULL) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    w->vectors = vectors;
    w->vector_floats = floats;
    return ASSAY_OK;
}

static assay_status run_embed(worker *w, const batch *b, assay_error *error)
{
    assay_session *session;
    assay_model_info info;
    size_t n = 0;
    assay_model_describe(b->lane->model, &info);
    for (size_t i = 0; i < b->slices; i++) {
        const slice *s = &w->slices[i];
        memcpy(w->texts + n, s->job->texts + s->first, s->count * sizeof *w->texts);
        n += s->count;
    }
    assay_status status = session_of(w, b->lane, &session, error);
    if (status == ASSAY_OK)
        status = make_vectors(w, n * info.dimensions, error);
    if (status == ASSAY_OK)
        status = assay_embed(session, w->texts, n, w->vectors, w->infos, error);
    n = 0;
    for (size_t i = 0; i < b->slices && status == ASSAY_OK; i++) {
        const slice *s = &w->slices[i];
        memcpy(s->job->infos + s->first, w->infos + n, s->count * sizeof *w->infos);
        memcpy(s->job->vectors + s->first * info.dimensions, w->vectors + n * info.dimensions,
               s->count * info.dimensions * sizeof *w->vectors);
        n += s->count;
    }
    return status;
}

static assay_status explain(assay_pipeline *pipeline, assay_job *job, assay_error *error)
{
    assay_status status = ASSAY_OK;
    job->explanations = calloc(job->explain, sizeof *job->explanations);
    if (job->explanations == NULL) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    for (size_t i = 0; i < job->results[0].count && i < job->explain && status == ASSAY_OK; i++)
        status = assay_pipeline_explain(pipeline, job->query, &job->results[0].hits[i],
                                        &job->explanations[i], error);
    return status;
}

/* A search has what is left of the request's time, and does as much as fits into it. */
static void set_deadline(assay_pipeline *pipeline, const assay_job *job)
{
    double left = job->deadline > 0 ? (job->deadline - assay_now()) * 1e3 : 0;
    assay_pipeline_deadline(pipeline, job->deadline <= 0 ? 0 : left > 1 ? (uint32_t)left : 1);
}

static assay_status run_search(assay_lane *lane, assay_job *job, assay_error *error)
{
    assay_status status = ASSAY_OK;
    if (lane->pipelines[0] == NULL && lane->open != NULL)
        status = lane->open(lane, error);
    for (int i = 0; i < 2 && status == ASSAY_OK && lane->pipelines[i] != NULL; i++) {
        set_deadline(lane->pipelines[i], job);
        status = assay_pipeline_filter(lane->pipelines[i], job->filter, error);
        if (status == ASSAY_OK)
            status = assay_pipeline_min_probability(lane->pipelines[i], job->least, error);
        if (status == ASSAY_OK)
            status = assay_search(lane->pipelines[i], job->query, job->top, &job->results[i],
                                  error);
    }
    if (status == ASSAY_OK && job->explain > 0)
        status = explain(lane->pipelines[0], job, error);
    return status;
}

static assay_status run_batch(worker *w, const batch *b, assay_error *error)
{
    assay_job *job = w->slices[0].job;
    switch (b->lane->kind) {
    case ASSAY_JOB_RERANK:
        return run_rerank(w, b, error);
    case ASSAY_JOB_EMBED:
        return run_embed(w, b, error);
    case ASSAY_JOB_SEARCH:
        break;
    }
    return run_search(b->lane, job, error);
}

/* Counts what the model saw of a finished job. */
static void sum_up(assay_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->lane->kind == ASSAY_JOB_RERANK) {
            job->tokens += job->scores[i].tokens;
            job->truncated += job->scores[i].truncated;
        } else if (job->lane->kind == ASSAY_JOB_EMBED) {
            job->tokens += job->infos[i].tokens;
            job->truncated += job->infos[i].truncated;
        } else {
            job->tokens += job->results[0].tokens + job->results[1].tokens;
        }
    }
}

/* Gives the slices back; jobs that are whole are ended. Lock held. */
static void return_slices(assay_engine *e, worker *w, const batch *b, assay_status status,
                          const assay_error *error)
{
    for (size_t i = 0; i < b->slices; i++) {
        assay_job *job = w->slices[i].job;
        job->out--;
        if (status != ASSAY_OK && job->outcome == ASSAY_OUTCOME_DONE) {
            job->outcome = ASSAY_OUTCOME_FAILED;
            job->error = *error;
        }
        if (!job->waiting && job->out == 0) { /* one that waits is dropped from its ring */
            pthread_mutex_unlock(&e->lock);
            if (job->outcome == ASSAY_OUTCOME_DONE)
                sum_up(job);
            finish(job);
            pthread_mutex_lock(&e->lock);
        }
    }
}

static void count_batch(assay_engine *e, const batch *b, double seconds)
{
    e->state.batches++;
    e->state.batch_slices += b->slices;
    e->state.batch_tokens += b->tokens;
    e->state.busy_seconds += seconds;
    if (b->lane->kind == ASSAY_JOB_SEARCH || seconds <= 0)
        return;
    double rate = (double)b->tokens / seconds, *known = &e->state.tokens_per_second;
    *known = *known > 0 ? 0.9 * *known + 0.1 * rate : rate;
}

static void do_batch(assay_engine *e, worker *w, batch *b)
{
    assay_error error;
    if (b->lane->kind == ASSAY_JOB_SEARCH)
        b->lane->busy = true;
    e->state.running++;
    pthread_mutex_unlock(&e->lock);
    double begun = assay_now();
    assay_status status = run_batch(w, b, &error);
    double seconds = assay_now() - begun;
    pthread_mutex_lock(&e->lock);
    e->state.running--;
    b->lane->busy = false;
    count_batch(e, b, seconds);
    return_slices(e, w, b, status, &error);
}

static void *work(void *context)
{
    worker *w = context;
    assay_engine *e = w->engine;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        batch b = next_batch(e, w);
        if (b.slices > 0 && e->state.waiting > 0)
            wake_one(e); /* for what this batch left, or a lane that is free by now */
        if (b.slices > 0)
            do_batch(e, w, &b);
        else if (e->closing && e->rings[0].last == NULL && e->rings[1].last == NULL)
            break;
        else
            fall_asleep(e, w);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* -------------------------------------------------------------- the outside */

static bool start_worker(assay_engine *e, worker *w)
{
    sigset_t all, before;
    w->engine = e;
    pthread_cond_init(&w->wake, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&w->thread, NULL, work, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void assay_lane_close(assay_lane *lane)
{
    for (size_t i = 0; i < ASSAY_MOST_WORKERS; i++)
        assay_session_close(lane->sessions[i]);
}

assay_status assay_engine_open(const assay_engine_options *options, assay_engine **out,
                               assay_error *error)
{
    assay_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        goto memory;
    e->options = *options;
    if (e->options.batch_tokens == 0)
        e->options.batch_tokens = 2048;
    if (e->options.queue == 0)
        e->options.queue = 512;
    if (e->options.workers == 0)
        e->options.workers = 2;
    if (e->options.workers > ASSAY_MOST_WORKERS)
        e->options.workers = ASSAY_MOST_WORKERS;
    pthread_mutex_init(&e->lock, NULL);
    e->workers = calloc(e->options.workers, sizeof *e->workers);
    if (e->workers == NULL)
        goto memory;
    while (e->started < e->options.workers && start_worker(e, &e->workers[e->started]))
        e->started++;
    if (e->started == 0)
        goto memory;
    *out = e;
    return ASSAY_OK;
memory:
    assay_engine_close(e);
    *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "no memory for the engine threads"};
    return ASSAY_E_MEMORY;
}

void assay_engine_hurry(assay_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->hurried = true;
    pthread_mutex_unlock(&e->lock);
}

void assay_engine_end(assay_engine *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->closing = true;
    while (e->sleepers != NULL)
        wake_one(e);
    pthread_mutex_unlock(&e->lock);
    for (; e->ended < e->started; e->ended++)
        pthread_join(e->workers[e->ended].thread, NULL);
}

void assay_engine_close(assay_engine *e)
{
    if (e == NULL)
        return;
    assay_engine_end(e);
    for (size_t i = 0; e->workers != NULL && i < e->options.workers; i++)
        free(e->workers[i].vectors);
    free(e->workers);
    free(e);
}

/* Seconds until what waits now is done; 0 as long as the speed is not known. */
static double wait_of(const assay_engine *e)
{
    double rate = e->state.tokens_per_second * (double)e->started;
    return rate > 0 ? (double)e->state.waiting_tokens / rate : 0;
}

/* Lock held. */
static void put_in(assay_engine *e, assay_job *job, uint64_t cost, double now)
{
    job->next = NULL;
    job->taken = job->out = 0;
    job->outcome = ASSAY_OUTCOME_DONE;
    job->queued_at = now;
    job->begun_at = 0;
    job->cost = cost;
    e->state.waiting++;
    e->state.waiting_tokens += cost;
    push(&e->rings[job->bulk], job);
}

/* Whether nobody has to wait for it, and it holds up its caller for a moment only. Lock held. */
static bool can_do_now(const assay_engine *e, const assay_job *job, uint64_t cost)
{
    return !e->closing && e->sleepers != NULL && e->state.waiting == 0 && e->state.running == 0 &&
           job->lane->kind != ASSAY_JOB_SEARCH && cost <= SLICE &&
           (double)cost * BRIEF < e->state.tokens_per_second;
}

bool assay_engine_do(assay_engine *e, assay_job *job)
{
    uint64_t cost = job_cost(job);
    double now = assay_now();
    pthread_mutex_lock(&e->lock);
    bool fits = can_do_now(e, job, cost);
    if (fits) {
        worker *w = e->sleepers; /* which sleeps on; its memory is used */
        e->sleepers = w->below;
        put_in(e, job, cost, now);
        batch b = next_batch(e, w);
        if (b.slices > 0)
            do_batch(e, w, &b);
        w->below = e->sleepers;
        e->sleepers = w;
        if (e->closing || e->state.waiting > 0)
            wake_one(e); /* for what came meanwhile */
    }
    pthread_mutex_unlock(&e->lock);
    return fits;
}

bool assay_engine_submit(assay_engine *e, assay_job *job, unsigned *retry_after)
{
    uint64_t cost = job_cost(job);
    double now = assay_now();
    pthread_mutex_lock(&e->lock);
    double wait = wait_of(e);
    uint64_t most = (uint64_t)e->options.queue * e->options.batch_tokens * QUEUE_BATCHES;
    bool room = !e->closing && e->state.waiting < e->options.queue &&
                (e->state.waiting == 0 || e->state.waiting_tokens + cost <= most) &&
                (job->deadline <= 0 || now + DOUBT * wait <= job->deadline);
    *retry_after = wait < 1 ? 1 : wait > 60 ? 60 : (unsigned)(wait + 0.5);
    if (room) {
        put_in(e, job, cost, now);
        wake_one(e);
    }
    pthread_mutex_unlock(&e->lock);
    return room;
}

void assay_engine_limit(assay_engine *e, uint32_t batch_tokens, uint32_t queue)
{
    pthread_mutex_lock(&e->lock);
    e->options.batch_tokens = batch_tokens;
    e->options.queue = queue;
    pthread_mutex_unlock(&e->lock);
}

void assay_engine_look(assay_engine *e, assay_engine_state *state)
{
    pthread_mutex_lock(&e->lock);
    *state = e->state;
    pthread_mutex_unlock(&e->lock);
}
