/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_deadline.c: searches that have little time. Rerankers here are slow by a clock
 * that they set forward themselves: seconds a passage, against which the microseconds
 * that really pass are nothing.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "pipeline/blocks.h"
#include "pipeline/pipeline.h"
#include "assert_ok.h"
#include "fake_reranker.h"

#define DENSE "tests/golden/models/dense-mean"

enum { DOCUMENTS = 24 };

static char home[64];
static assay_store *store;

/* ------------------------------------------------------- rerankers that are slow */

/* What the two of them do next, and what they were asked. */
static struct {
    double seconds;        /* a passage; of the one that is whole, all of it */
    double unsteady;       /* up to so many times that besides */
    uint64_t state;        /* what that is drawn from */
    assay_status fails;
    size_t calls, passages;
} slow, whole;

/* The later a passage was found, the better it likes it. */
static void like_the_last(const assay_rerank_call *call, size_t first, size_t count,
                          assay_score *scores)
{
    (void)call;
    for (size_t i = first; i < first + count; i++)
        scores[i] = (assay_score){.logit = (float)i, .probability = NAN, .tokens = 1};
}

static assay_status score_slow(void *state, const assay_rerank_call *call, size_t first,
                               size_t count, assay_score *scores, assay_stage_result *result,
                               assay_error *problem)
{
    (void)state, (void)result;
    slow.calls++;
    slow.passages += count;
    double drawn = (double)assay_random_below(&slow.state, 1000) / 1000;
    assay_clock_skip(slow.seconds * (double)count * (1 + slow.unsteady * drawn));
    if (slow.fails != ASSAY_OK)
        return assay_fail(problem, slow.fails, "host", "is not there");
    like_the_last(call, first, count, scores);
    return ASSAY_OK;
}

/* Waits no longer than it may. */
static assay_status score_whole(void *state, const assay_rerank_call *call, size_t first,
                                size_t count, assay_score *scores, assay_stage_result *result,
                                assay_error *problem)
{
    (void)state, (void)result;
    double left = call->deadline - assay_seconds();
    whole.calls++;
    whole.passages += count;
    assay_clock_skip(fmin(whole.seconds, left));
    if (whole.seconds > left)
        return assay_fail(problem, ASSAY_E_NETWORK, "host", "no answer came");
    like_the_last(call, first, count, scores);
    return ASSAY_OK;
}

static const assay_reranker_class slow_class = {
    .name = "slow", .weight = 1, .open = open_fake, .close = close_fake,
    .begin = begin_fake, .score = score_slow,
};
static const assay_reranker_class whole_class = {
    .name = "whole", .weight = 1, .whole = true, .open = open_fake, .close = close_fake,
    .begin = begin_fake, .score = score_whole,
};

/* --------------------------------------------------------------------- the store */

static int set_up(void **state)
{
    (void)state;
    char path[96];
    snprintf(home, sizeof home, "/tmp/assay-home-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/d.jsonl", home);
    FILE *file = fopen(path, "w");
    for (int i = 0; file != NULL && i < DOCUMENTS; i++) {
        fprintf(file, "{\"_id\": \"d%02d\", \"text\": \"soup", i);
        for (int j = 0; j < i; j++) /* the later, the longer, the further behind */
            fprintf(file, " water");
        fprintf(file, "\"}\n");
    }
    if (file == NULL || fclose(file) != 0)
        return -1;
    assert_ok(assay_store_open(home, &(assay_store_options){.create = true}, &store, &error));
    const char *paths[] = {path};
    assay_index_report report;
    assert_ok(assay_index(store, "c", paths, 1, &(assay_index_options){.model = DENSE}, NULL,
                          NULL, &report, &error));
    assert_int_equal(report.added, DOCUMENTS);
    assay_reranker_replace(ASSAY_RERANKER_LATE, &slow_class);
    assay_reranker_replace(ASSAY_RERANKER_LLM, &whole_class);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assay_store_close(store);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static int forget(void **state)
{
    (void)state;
    memset(&slow, 0, sizeof slow);
    memset(&whole, 0, sizeof whole);
    slow.seconds = whole.seconds = 1;
    return 0;
}

static const assay_stage_options one_slow[] = {{.kind = ASSAY_RERANKER_LATE}};
static const assay_stage_options then_whole[] = {{.kind = ASSAY_RERANKER_LATE, .keep = 5},
                                                 {.kind = ASSAY_RERANKER_LLM}};

static assay_pipeline *open_pipeline(const assay_stage_options *stages, size_t count,
                                     double seconds)
{
    assay_pipeline *pipeline;
    const assay_pipeline_options options = {.retriever = ASSAY_RETRIEVER_BM25,
                                            .stages = stages,
                                            .stage_count = count,
                                            .deadline_ms = (uint32_t)(seconds * 1e3),
                                            .no_cache = true};
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    return pipeline;
}

/* Searches and tells how long it took. */
static double search(assay_pipeline *pipeline, assay_result *result)
{
    double begun = assay_seconds();
    assert_ok(assay_search(pipeline, (assay_text){"soup", 4}, 0, result, &error));
    assert_int_equal(result->count, DOCUMENTS); /* nobody is ever lost */
    for (size_t i = 1; i < result->count; i++)
        assert_true(result->hits[i].score <= result->hits[i - 1].score);
    return assay_seconds() - begun;
}

/* ------------------------------------------------------------------------- costs */

static void what_is_expected_is_what_was_seen_and_some_doubt(void **state)
{
    (void)state;
    assay_cost cost = {0};
    assert_false(assay_cost_known(&cost));
    assert_true(isnan(assay_cost_of_query(&cost, 5)));
    assay_cost_learn(&cost, 10, 1);
    assert_true(assay_cost_of(&cost, 10) > 1.4 && assay_cost_of(&cost, 10) < 1.6);
    for (int i = 0; i < 40; i++)
        assay_cost_learn(&cost, 10, 1);
    assert_true(fabs(assay_cost_of(&cost, 100) - 10) < 0.1);
    assay_cost slow_start = {0};
    assay_cost_learn(&slow_start, 2, 10);
    for (int i = 0; i < 10; i++)
        assay_cost_learn(&slow_start, 30, 3);
    assert_true(assay_cost_of(&slow_start, 10) < 2);
    for (int i = 0; i < 100; i++)
        assay_cost_fade(&slow_start);
    assert_true(assay_cost_of(&slow_start, 10) < 0.01);
    assay_cost_learn(&cost, 0, 5); /* nothing done says nothing */
    assert_true(fabs(assay_cost_of(&cost, 100) - 10) < 0.1);
}

static void time_is_shared_out(void **state)
{
    (void)state;
    static const struct {
        assay_demand stages[3];
        size_t count;
        double left, share;
    } cases[] = {
        {{{2, false}}, 1, 10, 10},                          /* one has all there is */
        {{{NAN, false}}, 1, 10, 10},
        {{{2, false}, {3, false}}, 2, 10, 7},               /* the next has what it needs */
        {{{8, false}, {12, false}}, 2, 10, 4},              /* too little: as much of it each */
        {{{NAN, false}, {1, false}}, 2, 10, 5},             /* nobody knows: halves */
        {{{8, false}, {4, true}}, 2, 10, 6},                /* set aside */
        {{{8, false}, {40, true}}, 2, 10, 10},              /* it could not be done anyway */
        {{{8, false}, {NAN, true}}, 2, 10, 5},
        {{{40, true}, {1, false}}, 2, 10, 10},
        {{{6, false}, {6, false}, {4, true}}, 3, 10, 3},
        {{{0, false}}, 0, 10, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double share = assay_time_share(cases[i].stages, cases[i].count, cases[i].left);
        if (fabs(share - cases[i].share) > 1e-9)
            fail_msg("case %zu: %g, expected %g", i, share, cases[i].share);
    }
}

/* ---------------------------------------------------------------------- searches */

static void without_a_deadline_all_is_scored_at_once(void **state)
{
    (void)state;
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(one_slow, 1, 0);
    search(pipeline, &result);
    assert_int_equal(slow.calls, 1);
    assert_int_equal(result.scored, DOCUMENTS);
    assert_int_equal(result.left_out, 0);
    assert_int_equal(result.degraded.code, ASSAY_OK);
    assay_result_free(&result);
    assay_pipeline_close(pipeline);
}

/* The first ones are scored, the others follow as they were, and the answer says so;
 * and all is as if fewer had come to the stage. */
static void a_stage_stops_in_time(void **state)
{
    (void)state;
    assay_result result, fewer;
    assay_pipeline *pipeline = open_pipeline(one_slow, 1, 10);
    for (int round = 0; round < 5; round++) {
        assert_true(search(pipeline, &result) < 10);
        assert_int_equal(result.scored + result.left_out, DOCUMENTS);
        assert_in_range(result.scored, 5, 10);
        assert_int_equal(result.degraded.code, ASSAY_E_LIMIT);
        assert_string_equal(result.degraded.where, "deadline");
        assert_non_null(strstr(result.degraded.message, "10000 ms"));
        for (size_t i = 0; i < result.count; i++) {
            const assay_hit *hit = &result.hits[i];
            assert_int_equal(hit->reranked, hit->rank_first <= result.scored);
            if (!hit->reranked)
                assert_int_equal(hit->rank, hit->rank_first);
        }
        if (round < 4)
            assay_result_free(&result);
    }
    assay_pipeline_close(pipeline);
    slow.seconds = 0;
    const assay_pipeline_options options = {.retriever = ASSAY_RETRIEVER_BM25,
                                            .rerank = result.scored, .stages = one_slow,
                                            .stage_count = 1};
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    search(pipeline, &fewer);
    for (size_t i = 0; i < result.count; i++) {
        assert_string_equal(result.hits[i].document, fewer.hits[i].document);
        assert_true(result.hits[i].score == fewer.hits[i].score);
    }
    assay_result_free(&result);
    assay_result_free(&fewer);
    assay_pipeline_close(pipeline);
}

/* Once it is known what a passage takes, time is neither wasted nor exceeded. */
static void what_was_learned_is_kept(void **state)
{
    (void)state;
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(one_slow, 1, 10);
    for (int round = 0; round < 12; round++) {
        search(pipeline, &result);
        if (round == 11)
            assert_in_range(result.scored, 9, 10);
        assay_result_free(&result);
    }
    assay_pipeline_deadline(pipeline, 5000);
    assert_true(search(pipeline, &result) < 5);
    assert_in_range(result.scored, 4, 5);
    assay_result_free(&result);
    assay_pipeline_deadline(pipeline, 60000); /* the options' own is less */
    assert_true(search(pipeline, &result) < 10);
    assert_true(result.left_out > 0);
    assay_result_free(&result);
    slow.seconds = 100; /* slower than anybody could know */
    search(pipeline, &result);
    assay_result_free(&result);
    slow.calls = 0;
    assert_true(search(pipeline, &result) < 1);
    assert_int_equal(slow.calls, 0);
    assert_int_equal(result.scored, 0);
    assert_int_equal(result.left_out, DOCUMENTS);
    for (size_t i = 0; i < result.count; i++)
        assert_int_equal(result.hits[i].rank, result.hits[i].rank_first);
    assay_result_free(&result);
    slow.seconds = 0.01; /* that it is faster now is found out */
    for (int round = 0; round < 400 && slow.calls == 0; round++) {
        search(pipeline, &result);
        assay_result_free(&result);
    }
    assert_true(slow.calls > 0);
    assay_pipeline_close(pipeline);
}

/* What a block takes cannot be known; how often that makes a search late can. */
static void few_searches_are_late(void **state)
{
    (void)state;
    enum { ROUNDS = 500, LEARNING = 100 };
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(one_slow, 1, 10);
    size_t late = 0, scored = 0;
    slow.seconds = 0.7;
    slow.unsteady = 0.8;
    for (int round = 0; round < ROUNDS; round++) {
        double took = search(pipeline, &result);
        late += round >= LEARNING && took > 10;
        scored += round >= LEARNING ? result.scored : 0;
        assay_result_free(&result);
    }
    assert_in_range(late, 1, (ROUNDS - LEARNING) * 3 / 100); /* none: too much in reserve */
    assert_true(scored >= (ROUNDS - LEARNING) * 7); /* of ten in 10 s, were they steady */
    assay_pipeline_close(pipeline);
}

/* The first stage leaves the second its time. */
static void the_next_stage_has_its_time(void **state)
{
    (void)state;
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(then_whole, 2, 20);
    whole.seconds = 5;
    for (int round = 0; round < 8; round++) {
        assert_true(search(pipeline, &result) < 20);
        assert_int_equal(result.stages[1].scored, 5);
        assert_int_equal(result.stages[1].left_out, 0);
        assert_true(result.stages[0].scored >= 5 && result.stages[0].left_out > 0);
        assay_result_free(&result);
    }
    assay_pipeline_close(pipeline);
}

/* One that does not fit is given up at the deadline, then not asked any more, and its
 * time goes to the others. */
static void one_that_cannot_be_done_is_left_out(void **state)
{
    (void)state;
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(then_whole, 2, 10);
    whole.seconds = 300;
    search(pipeline, &result);
    assert_int_equal(whole.calls, 1);
    assert_int_equal(result.stages[1].scored, 0);
    assert_string_equal(result.stages[1].degraded.where, "deadline");
    for (size_t i = 0; i < result.count; i++)
        assert_int_equal(result.hits[i].rank, result.hits[i].stages[0].rank);
    uint32_t before = result.stages[0].scored;
    assay_result_free(&result);
    assert_true(search(pipeline, &result) < 10);
    assert_int_equal(whole.calls, 1);
    assert_int_equal(result.stages[1].left_out, 5);
    assert_true(result.stages[0].scored > before);
    assay_result_free(&result);
    assay_pipeline_close(pipeline);
}

/* What a stage cannot reach leaves the order of the one before it. */
static void a_failure_degrades_to_the_stage_before(void **state)
{
    (void)state;
    static const assay_stage_options stages[] = {{.kind = ASSAY_RERANKER_LLM},
                                                 {.kind = ASSAY_RERANKER_LATE}};
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(stages, 2, 0);
    slow.fails = ASSAY_E_NETWORK;
    search(pipeline, &result);
    assert_int_equal(result.stages[0].scored, DOCUMENTS);
    assert_int_equal(result.stages[1].scored, 0);
    assert_int_equal(result.degraded.code, ASSAY_E_NETWORK);
    assert_string_equal(result.hits[0].document, "d23");
    for (size_t i = 0; i < result.count; i++)
        assert_int_equal(result.hits[i].rank, result.hits[i].stages[0].rank);
    assay_result_free(&result);
    assay_pipeline_close(pipeline);
}

static void vectors_are_left_out_for_want_of_time(void **state)
{
    (void)state;
    assay_result result;
    assay_pipeline *pipeline;
    const assay_pipeline_options options = {.retriever = ASSAY_RETRIEVER_HYBRID,
                                            .deadline_ms = 2000};
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    search(pipeline, &result);
    assert_int_equal(result.degraded.code, ASSAY_OK);
    assert_true(result.hits[0].rank_dense > 0);
    assay_result_free(&result);
    pipeline->dense_cost = (assay_cost){.work = 1, .seconds = 3};
    search(pipeline, &result);
    assert_string_equal(result.degraded.where, "deadline");
    assert_non_null(strstr(result.degraded.message, "vectors"));
    assert_int_equal(result.vectors, ASSAY_VECTORS_AUTO);
    assert_int_equal(result.hits[0].rank_dense, 0);
    assert_string_equal(result.hits[0].document, "d00");
    assay_result_free(&result);
    for (int round = 0; round < 10; round++) { /* they are tried again */
        search(pipeline, &result);
        bool found = result.hits[0].rank_dense > 0;
        assay_result_free(&result);
        if (found)
            break;
        assert_true(round < 9);
    }
    assay_pipeline_close(pipeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_expected_is_what_was_seen_and_some_doubt),
        cmocka_unit_test(time_is_shared_out),
        cmocka_unit_test_setup(without_a_deadline_all_is_scored_at_once, forget),
        cmocka_unit_test_setup(a_stage_stops_in_time, forget),
        cmocka_unit_test_setup(what_was_learned_is_kept, forget),
        cmocka_unit_test_setup(few_searches_are_late, forget),
        cmocka_unit_test_setup(the_next_stage_has_its_time, forget),
        cmocka_unit_test_setup(one_that_cannot_be_done_is_left_out, forget),
        cmocka_unit_test_setup(a_failure_degrades_to_the_stage_before, forget),
        cmocka_unit_test_setup(vectors_are_left_out_for_want_of_time, forget),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
