/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h: the queue between the clients and the models.
 *
 * A job is what one request asks: pairs to score, texts to embed, a collection to
 * search. Engine threads take work from the queue in turns: of every waiting job
 * a slice of at most SLICE tokens, until a batch is full, all of one lane (a
 * model, or a collection). So requests of many clients go through a model
 * together, a short one waits for a batch and not for the long ones before it,
 * and bulk jobs get what interactive ones leave, but at least every eighth batch.
 *
 * The queue is bounded, in jobs and in tokens; what cannot be done before its
 * deadline is refused at once. A job whose deadline passes or whose client leaves
 * is dropped at the next slice.
 */
#ifndef ASSAY_SERVER_ENGINE_H
#define ASSAY_SERVER_ENGINE_H

#include <assay.h>

typedef enum assay_job_kind {
    ASSAY_JOB_RERANK,
    ASSAY_JOB_EMBED,
    ASSAY_JOB_SEARCH,
} assay_job_kind;

typedef enum assay_outcome {
    ASSAY_OUTCOME_DONE,
    ASSAY_OUTCOME_FAILED,  /* see error */
    ASSAY_OUTCOME_EXPIRED, /* the deadline passed */
    ASSAY_OUTCOME_LEFT,    /* the client did */
} assay_outcome;

enum { ASSAY_MOST_WORKERS = 64 };

/* Where jobs run: one search at a time, any number of pairs and texts. */
typedef struct assay_lane {
    assay_job_kind kind;
    assay_model *model;       /* RERANK, EMBED */
    assay_role role;          /* EMBED */
    assay_pipeline *pipelines[2]; /* SEARCH: by the second, where there is one, too */
    /* Fills in the pipelines when they are first needed; NULL: they are there. */
    assay_status (*open)(struct assay_lane *lane, assay_error *error);
    void *owner;              /* open's */
    bool busy;                /* the engine's */
    assay_session *sessions[ASSAY_MOST_WORKERS]; /* and so are these, one a thread */
} assay_lane;

typedef struct assay_job {
    /* What is asked; belongs to the request and stays until done is called. */
    assay_lane *lane;
    const assay_pair *pairs;  /* RERANK [count] */
    const assay_text *texts;  /* EMBED [count] */
    size_t count;             /* SEARCH: 1 */
    assay_text query;         /* SEARCH */
    const char *filter;       /* of it; NULL: none */
    assay_setting least;      /* probability of its hits; not set: as the pipeline has it */
    uint32_t top;
    uint32_t explain;         /* so many hits of the first result; 0: none */
    double deadline;          /* assay_now() then; 0: none */
    int client;               /* socket to watch; -1: none */
    bool bulk;
    void (*done)(struct assay_job *job); /* from the thread that did it, once */
    void *user;

    /* The answer, in memory of the request's. */
    assay_score *scores;        /* [count] */
    float *vectors;             /* [count][dimensions] */
    assay_embedding_info *infos; /* [count] */
    assay_result results[2];    /* by each of the lane's pipelines */
    assay_explanation *explanations; /* [explain], or as many as there are hits; to be freed */
    assay_outcome outcome;
    assay_error error;
    double queued_at, begun_at, done_at;
    uint64_t tokens;            /* of the texts as the models saw them */
    uint32_t truncated;

    /* The engine's own. */
    struct assay_job *next;
    size_t taken, out; /* items given out; slices under way */
    bool waiting;      /* in the queue */
    uint64_t cost;              /* estimated tokens not given out yet */
} assay_job;

typedef struct assay_engine_options {
    uint32_t threads;      /* cores used by models; 0: all */
    uint32_t workers;      /* engine threads, at most ASSAY_MOST_WORKERS; 0: two */
    uint32_t batch_tokens; /* of a batch; 0: 2048 */
    uint32_t queue;        /* most jobs waiting; 0: 512 */
} assay_engine_options;

typedef struct assay_engine_state {
    uint64_t batches, batch_tokens, batch_slices;
    uint64_t waiting, waiting_tokens, running;
    double tokens_per_second;  /* of late; 0: not known yet */
    double busy_seconds;
} assay_engine_state;

typedef struct assay_engine assay_engine;

assay_status assay_engine_open(const assay_engine_options *options, assay_engine **out,
                               assay_error *error);
/* Lanes are the caller's, and may come and go; one that goes has no jobs any more. */
void assay_lane_close(assay_lane *lane);
/* The time is over for all jobs: those that wait end as if their deadline had passed. */
void assay_engine_hurry(assay_engine *engine);
/* Waits until no job is left, and ends the threads: none is taken from then on. */
void assay_engine_end(assay_engine *engine);
/* Ends it; nobody may know it any more. */
void assay_engine_close(assay_engine *engine);

/* Does the job on the caller's thread, which spares it two changes of threads, where nothing
 * else is to be done and it takes a few milliseconds at most, as far as that can be told:
 * scoring and embedding, once the speed of that is known. False: it did nothing. */
bool assay_engine_do(assay_engine *engine, assay_job *job);
/* Puts a job in. False when the queue is full or the job could not be done before
 * its deadline; *retry_after then says in how many seconds it may be. */
bool assay_engine_submit(assay_engine *engine, assay_job *job, unsigned *retry_after);

/* Other limits from now on. */
void assay_engine_limit(assay_engine *engine, uint32_t batch_tokens, uint32_t queue);

void assay_engine_look(assay_engine *engine, assay_engine_state *state);

/* Seconds that only go forward. */
double assay_now(void);

#endif
