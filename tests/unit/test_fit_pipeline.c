/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fit_pipeline.c: how many passages are worth scoring, what probabilities mean, hits that
 * are withheld, and fitting all that to judgments.
 *
 * Two rerankers stand in: one that knows the answers, and says so in a way of its own;
 * one that scores as it pleases, but always the same.
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

#include "base/hash.h"
#include "evaluate/platt.h"
#include "evaluate/playback.h"
#include "assert_ok.h"
#include "fake_reranker.h"

#define DENSE "tests/golden/models/dense-mean"
#define CROSS "tests/golden/models/cross-f32"

enum { DOCUMENTS = 40, QUERIES = 48, WITHOUT = 8 }; /* queries that have no answer */

static char home[64];
static assay_store *store;
static assay_queries queries;
static assay_qrels *qrels;
static size_t asked; /* passages that the stand-ins scored */

/* ------------------------------------------------------------------ rerankers */

/* 0 to 1, of query and passage. */
static float noise(assay_text query, const char *document)
{
    char both[128];
    int length = snprintf(both, sizeof both, "%.*s %s", (int)query.length, query.data, document);
    return (float)assay_hash128(both, (size_t)length).bytes[0] / 255;
}

/* "what of ship 7" is answered by d07. */
static bool answers(assay_text query, const char *document)
{
    char wanted[32];
    const char *number = memrchr(query.data, ' ', query.length);
    snprintf(wanted, sizeof wanted, "d%02d", atoi(number + 1));
    return strcmp(wanted, document) == 0;
}

static assay_status score_knowing(void *state, const assay_rerank_call *call, size_t first,
                                  size_t count, assay_score *scores, assay_stage_result *result,
                                  assay_error *problem)
{
    (void)state, (void)result, (void)problem;
    asked += count;
    for (size_t i = first; i < first + count; i++) {
        const char *id = call->passages[i]->id;
        float logit = noise(call->query, id) + (answers(call->query, id) ? 2.0f : 0);
        scores[i] = (assay_score){.logit = 20 + 5 * logit, .probability = NAN, .tokens = 1};
    }
    return ASSAY_OK;
}

static assay_status score_guessing(void *state, const assay_rerank_call *call, size_t first,
                                   size_t count, assay_score *scores, assay_stage_result *result,
                                   assay_error *problem)
{
    (void)state, (void)result, (void)problem;
    asked += count;
    for (size_t i = first; i < first + count; i++)
        scores[i] = (assay_score){.logit = noise(call->query, call->passages[i]->id),
                                  .probability = 0.5, .tokens = 1};
    return ASSAY_OK;
}

static const assay_reranker_class knowing = {
    .name = "knowing", .weight = 0.2, .weight_before = 1, .open = open_fake, .close = close_fake,
    .begin = begin_fake, .score = score_knowing,
};
static const assay_reranker_class guessing = {
    .name = "guessing", .weight = 3, .weight_before = 1, .open = open_fake,
    .close = close_fake, .begin = begin_fake, .score = score_guessing,
};
#define KNOWING ASSAY_RERANKER_LATE
#define GUESSING ASSAY_RERANKER_LLM

/* ------------------------------------------------------------------- the store */

static FILE *new_file(const char *name, char path[96])
{
    snprintf(path, 96, "%s/%s", home, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    return file;
}

static void write_collection(void)
{
    char path[96];
    FILE *file = new_file("d.jsonl", path);
    for (int i = 0; i < DOCUMENTS; i++)
        fprintf(file, "{\"_id\": \"d%02d\", \"text\": \"Of ship %d: soup on %d days, %d lockers, "
                "what a ship.\"}\n", i, i * 7 % 10, i % 7, 3 * i);
    fclose(file);
    const char *paths[] = {path};
    assay_index_report report;
    assert_ok(assay_index(store, "c", paths, 1, &(assay_index_options){.model = DENSE}, NULL,
                          NULL, &report, &error));
}

static void write_judgments(void)
{
    char path[96], judged[96];
    FILE *file = new_file("queries.tsv", path), *judgments = new_file("qrels.tsv", judged);
    for (int i = 0; i < QUERIES; i++) {
        fprintf(file, "q%d\twhat of ship %d\n", i, i < DOCUMENTS ? i : 1000 + i);
        fprintf(judgments, "q%d\t%s%02d\t1\n", i, i < DOCUMENTS ? "d" : "nothing", i);
    }
    fclose(file);
    fclose(judgments);
    assert_ok(assay_queries_read(path, &queries, &error));
    assert_ok(assay_qrels_read(judged, &qrels, &error));
}

static int set_up(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-home-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    assert_ok(assay_store_open(home, &(assay_store_options){.create = true}, &store, &error));
    write_collection();
    write_judgments();
    assay_reranker_replace(KNOWING, &knowing);
    assay_reranker_replace(GUESSING, &guessing);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assay_queries_free(&queries);
    assay_qrels_free(qrels);
    assay_store_close(store);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static assay_pipeline *open_pipeline(const assay_stage_options *stages, size_t count,
                                     double min_probability)
{
    assay_pipeline *pipeline;
    const assay_pipeline_options options = {
        .stages = stages, .stage_count = count, .rerank = DOCUMENTS, .no_cache = true,
        .min_probability = {min_probability > 0, min_probability}};
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    return pipeline;
}

static assay_result search_once(const assay_stage_options *stages, size_t count,
                                double min_probability, const char *query, uint32_t top)
{
    assay_result result;
    assay_pipeline *pipeline = open_pipeline(stages, count, min_probability);
    asked = 0;
    assert_ok(assay_search(pipeline, (assay_text){query, strlen(query)}, top, &result, &error));
    assay_pipeline_close(pipeline);
    return result;
}

/* ---------------------------------------------------------------------- within */

static void only_what_is_near_the_best_is_scored(void **state)
{
    (void)state;
    assay_stage_options stage = {.kind = GUESSING};
    assay_result all = search_once(&stage, 1, 0, "what of ship 7", 0);
    assert_int_equal(all.scored, DOCUMENTS);
    assert_int_equal(all.spared, 0);
    uint32_t last = DOCUMENTS;
    for (double within = 3; within >= 0.5; within -= 0.5) {
        stage.within = (assay_setting){true, within};
        assay_result some = search_once(&stage, 1, 0, "what of ship 7", 0);
        assert_int_equal(some.scored + some.spared, DOCUMENTS);
        assert_int_equal(some.scored, asked);
        assert_true(some.scored <= last);
        last = some.scored;
        for (size_t i = 0; i < some.count; i++) {
            assert_int_equal(some.hits[i].reranked, some.hits[i].rank_first <= some.scored);
            if (!some.hits[i].reranked)
                assert_int_equal(some.hits[i].rank, some.hits[i].rank_first);
        }
        assay_result_free(&some);
    }
    assert_true(last < DOCUMENTS);
    assay_result_free(&all);
}

/* How far a passage was ahead counts the same, however few the stage scores. */
static void a_lead_is_the_same_among_few(void **state)
{
    (void)state;
    assay_stage_options stage = {.kind = GUESSING, .weight = {true, 0}};
    assay_result all = search_once(&stage, 1, 0, "what of ship 7", 0);
    stage.within = (assay_setting){true, 1};
    assay_result some = search_once(&stage, 1, 0, "what of ship 7", 0);
    assert_in_range(some.scored, 2, DOCUMENTS - 1);
    for (size_t i = 0; i < some.scored; i++) {
        assert_string_equal(some.hits[i].document, all.hits[i].document);
        assert_true(some.hits[i].score == all.hits[i].score);
    }
    assay_result_free(&all);
    assay_result_free(&some);
}

/* The best alone has nobody to be ordered with, but for its probability. */
static void one_alone_is_not_scored(void **state)
{
    (void)state;
    const assay_stage_options stage = {.kind = KNOWING, .within = {true, 0},
                                       .probability_slope = {true, 1}};
    assay_result none = search_once(&stage, 1, 0, "what of ship 7", 0);
    assert_int_equal(none.scored, 0);
    assert_int_equal(none.spared, DOCUMENTS);
    assert_int_equal(none.degraded.code, ASSAY_OK);
    for (size_t i = 0; i < none.count; i++)
        assert_int_equal(none.hits[i].rank, none.hits[i].rank_first);
    assay_result one = search_once(&stage, 1, 0.5, "what of ship 7", 0);
    assert_int_equal(one.scored, 1);
    assay_result_free(&none);
    assay_result_free(&one);
}

/* Where both retrievers have the same passage first, the other reach counts. */
static void agreement_has_a_reach_of_its_own(void **state)
{
    (void)state;
    const assay_stage_options stage = {.kind = GUESSING, .within_agreed = {true, 0}};
    size_t agreed = 0;
    for (size_t i = 0; i < queries.count; i++) {
        assay_result all = search_once(NULL, 0, 0, queries.texts[i].data, 0);
        bool same = all.hits[0].rank_bm25 == 1 && all.hits[0].rank_dense == 1;
        assay_result result = search_once(&stage, 1, 0, queries.texts[i].data, 0);
        assert_int_equal(result.scored, same ? 0 : DOCUMENTS);
        agreed += same;
        assay_result_free(&all);
        assay_result_free(&result);
    }
    assert_true(agreed > 0 && agreed < queries.count);
}

/* ------------------------------------------------------------------------ hope */

/* With more hope than any score can fulfil all is scored; with less, less, and the first
 * places are those of scoring all whenever no later passage is better than hoped. */
static void it_stops_when_the_first_are_settled(void **state)
{
    (void)state;
    assay_stage_options stage = {.kind = GUESSING, .weight = {true, 0.1}};
    size_t spared = 0;
    for (size_t i = 0; i < queries.count; i++) {
        stage.hope = (assay_setting){false, 0};
        assay_result all = search_once(&stage, 1, 0, queries.texts[i].data, 0);
        stage.hope = (assay_setting){true, 1000};
        assay_result hopeful = search_once(&stage, 1, 0, queries.texts[i].data, 0);
        stage.hope = (assay_setting){true, 0};
        assay_result some = search_once(&stage, 1, 0, queries.texts[i].data, 3);
        assert_int_equal(hopeful.scored, DOCUMENTS);
        assert_int_equal(some.scored + some.spared, DOCUMENTS);
        assert_int_equal(some.scored % 8, 0);
        spared += some.spared;
        for (size_t j = 0; j < all.count; j++)
            assert_true(all.hits[j].score == hopeful.hits[j].score);
        assert_int_equal(some.count, 3);
        assay_result_free(&all);
        assay_result_free(&hopeful);
        assay_result_free(&some);
    }
    assert_true(spared > 0);
}

/* ----------------------------------------------------------------- probability */

static void a_question_without_an_answer_has_none(void **state)
{
    (void)state;
    /* Scores of answers are 30 to 35, of others 20 to 25. */
    const assay_stage_options stage = {.kind = KNOWING, .probability_slope = {true, 2},
                                       .probability_offset = {true, -55}};
    assay_result answered = search_once(&stage, 1, 0.5, "what of ship 7", 5);
    assert_int_equal(answered.count, 1);
    assert_string_equal(answered.hits[0].document, "d07");
    assert_true(answered.hits[0].probability > 0.9f);
    assert_true(answered.best_probability == answered.hits[0].probability);
    assert_int_equal(answered.withheld, DOCUMENTS - 1);
    assay_result nothing = search_once(&stage, 1, 0.5, "what of ship 777", 5);
    assert_int_equal(nothing.count, 0);
    assert_int_equal(nothing.withheld, DOCUMENTS);
    assert_true(nothing.best_probability < 0.1f);
    assay_result all = search_once(&stage, 1, 0, "what of ship 777", 5);
    assert_int_equal(all.count, 5);
    assert_int_equal(all.withheld, 0);
    assay_result_free(&answered);
    assay_result_free(&nothing);
    assay_result_free(&all);
}

/* A pipeline that tells no probability is refused; a query that none is told of is not
 * answered with nothing. */
static void what_is_not_known_is_not_withheld(void **state)
{
    (void)state;
    assay_pipeline *pipeline;
    const assay_stage_options stage = {.kind = KNOWING};
    const assay_pipeline_options options = {.stages = &stage, .stage_count = 1,
                                            .min_probability = {true, 0.5}};
    assert_int_equal(assay_pipeline_open(store, "c", &options, &pipeline, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "min_probability");
    const assay_stage_options tight = {.model = CROSS, .max_tokens = 6};
    assay_result result = search_once(&tight, 1, 0.99, "what of ship 7 and of its lockers", 5);
    assert_int_equal(result.degraded.code, ASSAY_E_LIMIT);
    assert_int_equal(result.count, 5);
    assert_true(isnan(result.best_probability));
    assay_result_free(&result);
}

/* ----------------------------------------------------------------------- Platt */

static void a_known_curve_is_found_again(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    assay_judged_score *list = calloc(COUNT, sizeof *list);
    uint64_t random = 1;
    for (size_t i = 0; i < COUNT; i++) {
        double u[2];
        for (int j = 0; j < 2; j++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            u[j] = (double)(random >> 11) / 9007199254740992.0;
        }
        list[i].score = 12 * u[0] - 6;
        list[i].relevant = u[1] < assay_platt(list[i].score, 0.7, -1.5);
    }
    double slope, offset;
    assert_true(assay_platt_fit(list, COUNT, &slope, &offset));
    assert_true(fabs(slope - 0.7) < 0.03 && fabs(offset + 1.5) < 0.06);
    double fitted = assay_log_loss(list, COUNT, slope, offset);
    assert_true(fitted <= assay_log_loss(list, COUNT, 0.7, -1.5) + 1e-6);
    assert_true(fitted < assay_log_loss(list, COUNT, 1, 0));
    for (size_t i = 0; i < COUNT; i++)
        list[i].score = -list[i].score;
    assert_false(assay_platt_fit(list, COUNT, &slope, &offset)); /* more means less */
    for (size_t i = 0; i < COUNT; i++)
        list[i].relevant = true;
    assert_false(assay_platt_fit(list, COUNT, &slope, &offset));
    assert_false(assay_platt_fit(list, 0, &slope, &offset));
    for (size_t i = 0; i < COUNT; i++) { /* told apart without a doubt */
        list[i].score = (double)i;
        list[i].relevant = i > COUNT / 2;
    }
    assert_true(assay_platt_fit(list, COUNT, &slope, &offset));
    assert_true(isfinite(slope) && isfinite(offset));
    free(list);
}

/* ------------------------------------------------------------------- recordings */

static double real_ndcg(const assay_stage_options *stages, size_t count, double *scored)
{
    assay_run *run;
    double mean;
    assay_pipeline *pipeline = open_pipeline(stages, count, 0);
    assert_ok(assay_run_new("t", &run, &error));
    *scored = 0;
    for (size_t i = 0; i < queries.count; i++) {
        assay_result result;
        assert_ok(assay_search(pipeline, queries.texts[i], 10, &result, &error));
        for (size_t j = 0; j < result.count; j++) /* by place: scores may be equal */
            assert_ok(assay_run_add(run, queries.ids[i], result.hits[j].document, -(double)j,
                                    &error));
        *scored += result.scored;
        assay_result_free(&result);
    }
    assert_ok(assay_measure(qrels, run, "nDCG@10", &mean, NULL, &error));
    assay_run_free(run);
    assay_pipeline_close(pipeline);
    return mean;
}

/* What is played with other settings is what a search with them does. */
static void a_recording_plays_what_a_search_would_do(void **state)
{
    (void)state;
    static const assay_stage_options settings[][2] = {
        {{.model = CROSS, .keep = 20}, {.kind = KNOWING, .keep = 5}},
        {{.model = CROSS, .keep = 20, .weight = {true, 2}}, {.kind = KNOWING, .keep = 5}},
        {{.model = CROSS, .keep = 20, .spread = {true, 0}}, {.kind = KNOWING, .weight = {true, 0}}},
        {{.model = CROSS, .keep = 12, .within = {true, 1}}, {.kind = KNOWING, .hope = {true, 0}}},
        {{.model = CROSS, .keep = 12, .hope = {true, 0.5}, .within_agreed = {true, 0.1}},
         {.kind = KNOWING, .within = {true, 0.5}, .probability_slope = {true, 2}}},
    };
    assay_playback recording;
    size_t picked[QUERIES];
    for (size_t i = 0; i < QUERIES; i++)
        picked[i] = i;
    assay_pipeline *pipeline = open_pipeline(settings[0], 2, 0);
    assert_ok(assay_playback_record(pipeline, &queries, picked, QUERIES, qrels, NULL, NULL,
                                    &recording, &error));
    for (size_t c = 0; c < sizeof settings / sizeof *settings; c++) {
        double mean = 0, scored = 0, expected;
        assay_pipeline *other = open_pipeline(settings[c], 2, 0);
        for (size_t s = 0; s < 2; s++)
            recording.shell.settings.stages[s] = other->settings.stages[s];
        for (size_t i = 0; i < QUERIES; i++) {
            assay_played played;
            assert_ok(assay_playback_run(&recording, i, &played, &error));
            mean += played.ndcg / QUERIES;
            scored += played.scored[0] + played.scored[1];
        }
        assert_true(fabs(mean - real_ndcg(settings[c], 2, &expected)) < 1e-12);
        assert_true(scored == expected);
        assay_pipeline_close(other);
    }
    assay_playback_free(&recording);
    assay_pipeline_close(pipeline);
}

/* ----------------------------------------------------------------------- tuning */

static assay_pipeline_file *tune(const assay_stage_options *stage, double tolerance,
                                 assay_pipeline_tune_report *report)
{
    const assay_pipeline_tune_options how = {.tolerance = {true, tolerance}};
    char *text, path[96];
    assay_pipeline_file *file;
    const assay_pipeline_options options = {.stages = stage, .stage_count = 1,
                                            .rerank = DOCUMENTS};
    assert_ok(assay_pipeline_tune(store, "c", &options, &queries, qrels, &how, NULL, NULL, report,
                                  &text, &error));
    FILE *stream = new_file("tuned.json", path);
    fputs(text, stream);
    fclose(stream);
    assay_free(text);
    assert_ok(assay_pipeline_file_open(path, &file, &error));
    assert_int_equal(report->fitted + report->held, QUERIES);
    return file;
}

/* One that knows gets weight, and its scores a meaning: what it says of answers is
 * probable, of others not. */
static void one_that_knows_gets_weight(void **state)
{
    (void)state;
    assay_pipeline_tune_report report;
    assay_pipeline_options tuned;
    const assay_stage_options stage = {.kind = KNOWING, .model = "any"};
    assay_pipeline_file *file = tune(&stage, 0.002, &report);
    assay_pipeline_file_options(file, &tuned);
    assert_true(report.weighted > report.given + 2 * report.weighted_error);
    assert_true(report.spared == report.weighted); /* 24 queries are too few to spare work by */
    assert_true(report.spared_scored == DOCUMENTS);
    assert_true(tuned.stages[0].weight.value > 0.2);
    assert_true(isnan(report.log_loss_given));
    assert_true(report.log_loss < 0.1);
    double slope = tuned.stages[0].probability_slope.value;
    double offset = tuned.stages[0].probability_offset.value;
    assert_true(assay_platt(31, slope, offset) > 0.5 && assay_platt(24, slope, offset) < 0.5);
    size_t answered = 0, refused = 0;
    for (size_t i = 0; i < queries.count; i++) {
        assay_result result = search_once(tuned.stages, 1, 0.5, queries.texts[i].data, 10);
        answered += i < DOCUMENTS && result.count > 0 &&
                    answers(queries.texts[i], result.hits[0].document);
        refused += i >= DOCUMENTS && result.count == 0;
        assay_result_free(&result);
    }
    assert_true(answered >= DOCUMENTS * 9 / 10);
    assert_int_equal(refused, WITHOUT);
    assay_pipeline_file_close(file);
}

/* The more may be lost, the less is scored. */
static void one_that_guesses_is_spared(void **state)
{
    (void)state;
    static const double tolerances[] = {0, 0.05, 1};
    const assay_stage_options stage = {.kind = KNOWING, .model = "any", .weight = {true, 3}};
    const assay_reranker_class *before = assay_reranker_replace(KNOWING, &guessing);
    double last = DOCUMENTS;
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++) {
        assay_pipeline_tune_report report;
        assay_pipeline_options tuned;
        assay_pipeline_file *file = tune(&stage, tolerances[i], &report);
        assay_pipeline_file_options(file, &tuned);
        assert_true(report.weighted >= report.given);
        assert_true(tuned.stages[0].weight.value <= 3);
        assert_true(report.given_scored == DOCUMENTS);
        assert_true(report.spared_scored <= last);
        last = report.spared_scored;
        assay_pipeline_file_close(file);
    }
    assert_true(last <= DOCUMENTS / 2);
    assay_reranker_replace(KNOWING, before);
}

/* Numbers that one document has: words find them. */
static void ask_for_lockers(assay_queries *out, assay_qrels **judged)
{
    char path[96], judgments[96];
    FILE *file = new_file("lockers.tsv", path), *grades = new_file("found.tsv", judgments);
    for (int i = 14; i < DOCUMENTS; i++) {
        fprintf(file, "l%d\t%d lockers\n", i, 3 * i);
        fprintf(grades, "l%d\td%02d\t1\n", i, i);
    }
    fclose(file);
    fclose(grades);
    assert_ok(assay_queries_read(path, out, &error));
    assert_ok(assay_qrels_read(judgments, judged, &error));
}

/* Vectors of a random model tell nothing of numbers: words get the weight, with a stage
 * and without one, and what was given is told as it was. */
static void the_better_retriever_gets_weight(void **state)
{
    (void)state;
    char *text;
    assay_queries asks;
    assay_qrels *found;
    assay_pipeline_tune_report report, staged;
    ask_for_lockers(&asks, &found);
    const assay_pipeline_options options = {.dense_weight = {true, 20}};
    assert_ok(assay_pipeline_tune(store, "c", &options, &asks, found, NULL, NULL, NULL, &report,
                                  &text, &error));
    assert_non_null(strstr(text, "\"weight_bm25\""));
    assay_free(text);
    assert_true(report.bm25_weight > report.dense_weight);
    assert_true(fabs(report.bm25_weight + report.dense_weight - 2) < 1e-9);
    assert_true(report.fused_error > 0);
    assert_true(report.fused > report.first + 2 * report.fused_error);
    assert_true(report.given == report.first && report.weighted == report.fused);
    assert_true(isnan(report.log_loss));
    const assay_reranker_class *before = assay_reranker_replace(KNOWING, &guessing);
    const assay_stage_options guess = {.kind = KNOWING, .model = "any", .weight = {true, 0.2}};
    const assay_pipeline_options both = {.dense_weight = {true, 20}, .stages = &guess,
                                         .stage_count = 1, .rerank = DOCUMENTS};
    assert_ok(assay_pipeline_tune(store, "c", &both, &asks, found, NULL, NULL, NULL, &staged,
                                  &text, &error));
    assay_reranker_replace(KNOWING, before);
    assay_free(text);
    assert_true(staged.first == report.first && staged.fused == report.fused);
    assert_true(staged.given < staged.weighted);
    assert_true(fabs(staged.given_scored - DOCUMENTS) < 1e-6);
    /* What cannot be beaten stays as it is. */
    const assay_pipeline_options fine = {.bm25_weight = {true, report.bm25_weight},
                                         .dense_weight = {true, report.dense_weight}};
    assert_ok(assay_pipeline_tune(store, "c", &fine, &asks, found, NULL, NULL, NULL, &report,
                                  &text, &error));
    assay_free(text);
    assert_true(report.fused == report.first && report.fused_error == 0);
    assert_true(report.dense_weight == fine.dense_weight.value);
    assay_queries_free(&asks);
    assay_qrels_free(found);
}

static void what_cannot_be_tuned_is_refused(void **state)
{
    (void)state;
    char *text, path[96];
    assay_pipeline_tune_report report;
    const assay_pipeline_options words = {.retriever = ASSAY_RETRIEVER_BM25};
    assert_int_equal(assay_pipeline_tune(store, "c", &words, &queries, qrels, NULL, NULL, NULL,
                                         &report, &text, &error), ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "stages");
    FILE *file = new_file("few.tsv", path);
    for (int i = 0; i < 5; i++)
        fprintf(file, "q%d\td%02d\t1\n", i, i);
    fclose(file);
    assay_qrels *few;
    assert_ok(assay_qrels_read(path, &few, &error));
    const assay_stage_options stage = {.kind = KNOWING};
    const assay_pipeline_options options = {.stages = &stage, .stage_count = 1};
    assert_int_equal(assay_pipeline_tune(store, "c", &options, &queries, few, NULL, NULL, NULL,
                                         &report, &text, &error), ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "fewer than"));
    assay_qrels_free(few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_near_the_best_is_scored),
        cmocka_unit_test(a_lead_is_the_same_among_few),
        cmocka_unit_test(one_alone_is_not_scored),
        cmocka_unit_test(agreement_has_a_reach_of_its_own),
        cmocka_unit_test(it_stops_when_the_first_are_settled),
        cmocka_unit_test(a_question_without_an_answer_has_none),
        cmocka_unit_test(what_is_not_known_is_not_withheld),
        cmocka_unit_test(a_known_curve_is_found_again),
        cmocka_unit_test(a_recording_plays_what_a_search_would_do),
        cmocka_unit_test(one_that_knows_gets_weight),
        cmocka_unit_test(one_that_guesses_is_spared),
        cmocka_unit_test(the_better_retriever_gets_weight),
        cmocka_unit_test(what_cannot_be_tuned_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
