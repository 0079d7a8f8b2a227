/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c: the server's queue: many jobs at once get the scores that each has
 * alone, in turns; deadlines, clients that leave, and a queue that is full. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden_model.h"
#include "server/engine.h"
#include "server/writer.h"

enum { TEXTS = 40, LONG = 3000 };

typedef struct bench {
    assay_model *model;
    assay_lane lane;
    assay_engine *engine;
} bench;

static void bench_open(bench *b, assay_engine_options options)
{
    assay_error error;
    b->model = golden_open("cross-f32");
    b->lane = (assay_lane){.kind = ASSAY_JOB_RERANK, .model = b->model};
    assert_int_equal(assay_engine_open(&options, &b->engine, &error), ASSAY_OK);
}

static void bench_close(bench *b)
{
    assay_engine_close(b->engine);
    assay_lane_close(&b->lane);
    assay_model_close(b->model);
}

/* A job of pairs, with what it is answered. */
typedef struct ask {
    assay_job job;
    assay_pair *pairs;
    assay_score *scores;
    char (*texts)[64];
    atomic_int ended; /* which one it was to end; 0: not yet */
} ask;

static atomic_int ended;

static void on_done(assay_job *job)
{
    ask *a = job->user;
    atomic_store(&a->ended, atomic_fetch_add(&ended, 1) + 1);
}

/* Passages that differ, but for one in four: equal ones of a batch are scored once. */
static void ask_make(ask *a, bench *b, size_t count, const char *query)
{
    static const char *const texts[] = {"It is blue.", "It is 8 m tall and stands on a hill.",
                                        "", "The purser opens the lockers at nine."};
    a->pairs = calloc(count, sizeof *a->pairs);
    a->scores = calloc(count, sizeof *a->scores);
    a->texts = calloc(count, sizeof *a->texts);
    for (size_t i = 0; i < count; i++) {
        const char *text = texts[i % 4];
        if (text[0] != '\0')
            snprintf(a->texts[i], sizeof *a->texts, "%zu: %s", i, text);
        a->pairs[i] = (assay_pair){golden_text(query), golden_text(a->texts[i])};
    }
    a->job = (assay_job){.lane = &b->lane, .pairs = a->pairs, .count = count, .client = -1,
                         .done = on_done, .user = a, .scores = a->scores};
    atomic_store(&a->ended, 0);
}

static void ask_free(ask *a)
{
    free(a->pairs);
    free(a->scores);
    free(a->texts);
}

static void ask_wait(ask *a)
{
    for (int i = 0; i < 60000 && atomic_load(&a->ended) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_not_equal(atomic_load(&a->ended), 0);
}

static void jobs_together_score_as_alone(void **state)
{
    (void)state;
    static ask asks[TEXTS];
    char queries[TEXTS][32];
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 3, .batch_tokens = 300});
    for (size_t i = 0; i < TEXTS; i++) {
        snprintf(queries[i], sizeof queries[i], "question number %zu", i);
        ask_make(&asks[i], &b, 1 + i * 7 % 90, queries[i]);
        asks[i].job.bulk = i % 5 == 0;
        assert_true(assay_engine_submit(b.engine, &asks[i].job, &retry));
    }
    assay_session *session = golden_session(b.model, 1);
    for (size_t i = 0; i < TEXTS; i++) {
        ask *a = &asks[i];
        ask_wait(a);
        assert_int_equal(a->job.outcome, ASSAY_OUTCOME_DONE);
        assay_score *alone = calloc(a->job.count, sizeof *alone);
        assert_int_equal(assay_score_pairs(session, a->pairs, a->job.count, alone, NULL),
                         ASSAY_OK);
        for (size_t j = 0; j < a->job.count; j++)
            assert_memory_equal(&alone[j].logit, &a->scores[j].logit, sizeof(float));
        free(alone);
        ask_free(a);
    }
    assay_session_close(session);
    bench_close(&b);
}

/* Not before the speed is known, nothing long, and as good as an engine thread does it. */
static void brief_jobs_are_done_by_who_asks(void **state)
{
    (void)state;
    static ask first, brief, later, large;
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1});
    ask_make(&first, &b, 20, "how tall");
    ask_make(&brief, &b, 1, "how tall");
    ask_make(&later, &b, 1, "how tall");
    ask_make(&large, &b, LONG, "how tall");
    assert_false(assay_engine_do(b.engine, &brief.job));
    assert_true(assay_engine_submit(b.engine, &first.job, &retry));
    ask_wait(&first);
    bool done = false; /* as soon as the engine thread sleeps */
    for (int i = 0; i < 10000 && !done; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        done = assay_engine_do(b.engine, &brief.job);
    }
    assert_true(done);
    assert_int_not_equal(atomic_load(&brief.ended), 0);
    assert_int_equal(brief.job.outcome, ASSAY_OUTCOME_DONE);
    assert_true(brief.job.tokens > 0);
    assert_memory_equal(&brief.scores[0].logit, &first.scores[0].logit, sizeof(float));
    assert_false(assay_engine_do(b.engine, &large.job));
    assert_true(assay_engine_submit(b.engine, &later.job, &retry));
    ask_wait(&later);
    bench_close(&b);
    ask_free(&first);
    ask_free(&brief);
    ask_free(&later);
    ask_free(&large);
}

static atomic_int done_by_asker;

static void *ask_often(void *context)
{
    bench *b = context;
    unsigned retry;
    for (size_t i = 0; i < 300; i++) {
        ask one;
        ask_make(&one, b, 1 + i % 3, "how tall");
        if (assay_engine_do(b->engine, &one.job))
            atomic_fetch_add(&done_by_asker, 1);
        else
            while (!assay_engine_submit(b->engine, &one.job, &retry))
                nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        ask_wait(&one);
        if (one.job.outcome != ASSAY_OUTCOME_DONE || one.scores[0].tokens == 0)
            return context; /* wrong */
        ask_free(&one);
    }
    return NULL;
}

/* Askers and engine threads at the same work: none is forgotten. */
static void many_ask_for_brief_jobs(void **state)
{
    (void)state;
    pthread_t threads[4];
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 2});
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &b), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_true(atomic_load(&done_by_asker) > 0);
    bench_close(&b);
}

/* What waits is done; what comes afterwards, as from connections that stay, is refused. */
static void an_ended_engine_takes_nothing(void **state)
{
    (void)state;
    static ask first, late;
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1});
    ask_make(&first, &b, 20, "in time");
    ask_make(&late, &b, 1, "too late");
    assert_true(assay_engine_submit(b.engine, &first.job, &retry));
    assay_engine_end(b.engine);
    assert_int_not_equal(atomic_load(&first.ended), 0);
    assert_false(assay_engine_submit(b.engine, &late.job, &retry));
    assert_true(retry >= 1);
    bench_close(&b);
    ask_free(&first);
    ask_free(&late);
}

/* A short job that comes after a long one ends before it. */
static void short_jobs_do_not_wait_for_long_ones(void **state)
{
    (void)state;
    static ask first, second;
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1, .batch_tokens = 256});
    ask_make(&first, &b, LONG, "a long one");
    ask_make(&second, &b, 2, "a short one");
    assert_true(assay_engine_submit(b.engine, &first.job, &retry));
    assert_true(assay_engine_submit(b.engine, &second.job, &retry));
    ask_wait(&second);
    ask_wait(&first);
    assert_true(atomic_load(&second.ended) < atomic_load(&first.ended));
    assert_int_equal(first.job.outcome, ASSAY_OUTCOME_DONE);
    bench_close(&b);
    ask_free(&first);
    ask_free(&second);
}

static void jobs_end_at_their_deadline(void **state)
{
    (void)state;
    static ask first;
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1, .batch_tokens = 64});
    ask_make(&first, &b, 30 * LONG, "a long one");
    first.job.deadline = assay_now() + 0.1;
    assert_true(assay_engine_submit(b.engine, &first.job, &retry));
    ask_wait(&first);
    assert_int_equal(first.job.outcome, ASSAY_OUTCOME_EXPIRED);
    bench_close(&b);
    ask_free(&first);
}

static void jobs_end_when_their_client_leaves(void **state)
{
    (void)state;
    static ask first;
    int ends[2];
    unsigned retry;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1, .batch_tokens = 64});
    ask_make(&first, &b, 30 * LONG, "a long one");
    first.job.client = ends[0];
    assert_true(assay_engine_submit(b.engine, &first.job, &retry));
    close(ends[1]);
    ask_wait(&first);
    assert_int_equal(first.job.outcome, ASSAY_OUTCOME_LEFT);
    close(ends[0]);
    bench_close(&b);
    ask_free(&first);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    static ask asks[4];
    unsigned retry = 0;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1, .batch_tokens = 64, .queue = 2});
    for (size_t i = 0; i < 4; i++)
        ask_make(&asks[i], &b, LONG, "a long one");
    size_t taken = 0;
    for (size_t i = 0; i < 4; i++)
        taken += assay_engine_submit(b.engine, &asks[i].job, &retry);
    assert_true(taken >= 1 && taken < 4);
    assert_true(retry >= 1);
    for (size_t i = 0; i < taken; i++)
        ask_wait(&asks[i]);
    bench_close(&b);
    for (size_t i = 0; i < 4; i++)
        ask_free(&asks[i]);
}

/* Closing waits for what was taken. */
static void closing_finishes(void **state)
{
    (void)state;
    static ask asks[8];
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 2});
    for (size_t i = 0; i < 8; i++) {
        ask_make(&asks[i], &b, 50, "a question");
        assert_true(assay_engine_submit(b.engine, &asks[i].job, &retry));
    }
    bench_close(&b);
    for (size_t i = 0; i < 8; i++) {
        assert_int_not_equal(atomic_load(&asks[i].ended), 0);
        assert_int_equal(asks[i].job.outcome, ASSAY_OUTCOME_DONE);
        ask_free(&asks[i]);
    }
}

/* But for those whose time is over. */
static void hurried_jobs_expire(void **state)
{
    (void)state;
    static ask asks[8];
    unsigned retry;
    bench b;
    bench_open(&b, (assay_engine_options){.workers = 1});
    for (size_t i = 0; i < 8; i++) {
        ask_make(&asks[i], &b, 400, "a question");
        assert_true(assay_engine_submit(b.engine, &asks[i].job, &retry));
    }
    assay_engine_hurry(b.engine);
    bench_close(&b);
    for (size_t i = 0; i < 8; i++) {
        assert_int_not_equal(atomic_load(&asks[i].ended), 0);
        assert_true(i < 4 || asks[i].job.outcome == ASSAY_OUTCOME_EXPIRED);
        ask_free(&asks[i]);
    }
}

static void writer_writes_json(void **state)
{
    (void)state;
    assay_writer w = {0};
    assay_write_mark(&w, '{');
    assay_write_name(&w, "a");
    assay_write_mark(&w, '[');
    assay_write_float(&w, 1);
    assay_write_float(&w, 0.1f);
    assay_write_count(&w, 7);
    assay_write_bool(&w, true);
    assay_write_null(&w);
    assay_write_mark(&w, ']');
    assay_write_name(&w, "b\n");
    assay_write_text(&w, (assay_text){"q\"\\\0\x7F\xC3\xA4\xFF\xE2\x82", 10});
    assay_write_mark(&w, '}');
    assert_false(w.failed);
    assay_write_bytes(&w, "", 1);
    assert_string_equal(w.data, "{\"a\":[1.0,0.100000001,7,true,null],\"b\\n\":\"q\\\"\\\\\\u0000"
                                "\\u007f\xC3\xA4\xEF\xBF\xBD\xEF\xBF\xBD\"}");
    assay_writer_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ended_engine_takes_nothing),
        cmocka_unit_test(brief_jobs_are_done_by_who_asks),
        cmocka_unit_test(many_ask_for_brief_jobs),
        cmocka_unit_test(jobs_together_score_as_alone),
        cmocka_unit_test(short_jobs_do_not_wait_for_long_ones),
        cmocka_unit_test(jobs_end_at_their_deadline),
        cmocka_unit_test(jobs_end_when_their_client_leaves),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(closing_finishes),
        cmocka_unit_test(hurried_jobs_expire),
        cmocka_unit_test(writer_writes_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
