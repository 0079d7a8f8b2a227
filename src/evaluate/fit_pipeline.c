/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fit_pipeline.c: the settings of a pipeline, fitted to a collection's judged queries: the
 * weights of its retrievers (fit_fusion.c), and of its stages what probabilities mean,
 * weights, and how many passages are worth scoring. Other weights of retrievers bring other
 * candidates to the stages, so these are then recorded anew.
 *
 * Everything is chosen on one half of the queries and told of the other. A weight
 * changes only if what is there is beaten by more than two standard errors, since the
 * best of many is partly luck; thresholds are those that save most time among those whose
 * loss is surely within the tolerance: with two standard errors added, and as if there had
 * been one query more, whose answer fell from the first place to the second. For the loss
 * is a few large ones among very many of none, and none seen among a hundred queries does
 * not mean that there are none.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "evaluate/fit_fusion.h"
#include "evaluate/platt.h"
#include "evaluate/qrels.h"
#include "evaluate/playback.h"

enum {
    LIMIT = 500,      /* queries, by default */
    LEAST = 20,
    CALIBRATED = 10,  /* best passages of a query, that probabilities are fitted to */
};
#define TOLERANCE 0.002
#define UNSEEN (1 - 1 / log2(3)) /* what such a query loses */

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const double weights[] = {0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3};
static const double reaches[] = {0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 5, INFINITY};
static const double hopes[] = {0, 0.5, 1, 2, INFINITY};

/* Queries of the recording: those with an even number, or an odd one. */
typedef enum half { FITTED, HELD } half;

/* What settings come to on a half. */
typedef struct trial {
    double *ndcg; /* [count of the half] */
    double mean, seconds, scored;
} trial;

typedef struct tuning {
    assay_pipeline *pipeline;
    const assay_queries *queries;
    const assay_qrels *qrels;
    size_t *picked; /* [counts] of the queries */
    assay_progress_fn progress;
    void *user;
    assay_playback recording;
    assay_stage_options *stages; /* of the recording's shell: what is played */
    size_t stage_count;
    double tolerance;
    size_t counts[2];
    trial now, best; /* scratch */
    assay_judged_score *judged; /* [CALIBRATED * queries] */
} tuning;

/* -------------------------------------------------------------------- trials */

static assay_status try_out(tuning *t, half which, trial *out, assay_error *error)
{
    size_t count = t->counts[which];
    out->mean = out->seconds = out->scored = 0;
    for (size_t i = 0; i < count; i++) {
        assay_played played;
        ASSAY_TRY(assay_playback_run(&t->recording, 2 * i + which, &played, error));
        out->ndcg[i] = played.ndcg;
        out->mean += played.ndcg / (double)count;
        out->seconds += played.seconds / (double)count;
        for (size_t s = 0; s < t->stage_count; s++)
            out->scored += played.scored[s] / (double)count;
    }
    return ASSAY_OK;
}

/* Mean of a less b over the queries, and its standard error. */
static double difference(const trial *a, const trial *b, size_t count, double *standard_error)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        mean += (a->ndcg[i] - b->ndcg[i]) / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += pow(a->ndcg[i] - b->ndcg[i] - mean, 2);
    *standard_error = sqrt(squares) / (double)count;
    return mean;
}

static void swap(trial *a, trial *b)
{
    trial kept = *a;
    *a = *b;
    *b = kept;
}

/* --------------------------------------------------------------- probabilities */

static int by_score(const void *left, const void *right)
{
    double a = ((const assay_judged_score *)left)->score;
    double b = ((const assay_judged_score *)right)->score;
    return (a < b) - (a > b);
}

/* The best passages of a query by a stage's own score, behind list; returns how many. */
static size_t best_passages(const tuning *t, size_t query, size_t stage,
                            assay_judged_score *list)
{
    const assay_recorded *at = &t->recording.queries[query];
    size_t count = t->recording.shell.settings.options.rerank, taken = 0;
    assay_judged_score all[CALIBRATED + 1];
    if (at->failed[stage].code != ASSAY_OK || at->skipped[stage].code != ASSAY_OK)
        return 0;
    for (size_t i = 0; i < at->count && i < count; i++) {
        if (at->scores[stage][i].status != ASSAY_OK)
            continue;
        all[taken++] = (assay_judged_score){at->scores[stage][i].logit, at->grades[i] > 0};
        qsort(all, taken, sizeof *all, by_score);
        taken = taken > CALIBRATED ? CALIBRATED : taken;
    }
    memcpy(list, all, taken * sizeof *all);
    return taken;
}

static size_t judged_of(tuning *t, half which, size_t stage)
{
    size_t count = 0;
    for (size_t i = 0; i < t->counts[which]; i++)
        count += best_passages(t, 2 * i + which, stage, t->judged + count);
    return count;
}

static void calibrate(tuning *t, size_t stage)
{
    assay_stage_options *o = &t->stages[stage];
    double slope, offset;
    size_t count = judged_of(t, FITTED, stage);
    if (!assay_platt_fit(t->judged, count, &slope, &offset))
        return;
    o->probability_slope = (assay_setting){true, slope};
    o->probability_offset = (assay_setting){true, offset};
}

/* --------------------------------------------------------------------- weights */

/* Tries each weight; *best gets the best of them. */
static assay_status try_weights(tuning *t, size_t stage, assay_stage_options *best,
                                assay_error *error)
{
    assay_stage_options *o = &t->stages[stage];
    for (size_t i = 0; i < COUNT_OF(weights); i++) {
        o->weight.value = weights[i];
        ASSAY_TRY(try_out(t, FITTED, &t->now, error));
        if (t->now.mean > t->best.mean) {
            *best = *o;
            swap(&t->now, &t->best);
        }
    }
    return ASSAY_OK;
}

static assay_status fit_weights(tuning *t, size_t stage, assay_error *error)
{
    assay_stage_options given = t->stages[stage], best = given;
    trial *before = &(trial){.ndcg = calloc(t->counts[FITTED] + 1, sizeof(double))};
    double off;
    if (before->ndcg == NULL)
        return assay_fail_memory(error, t->counts[FITTED] * sizeof(double));
    assay_status status = try_out(t, FITTED, before, error);
    if (status == ASSAY_OK) {
        t->best.mean = -1;
        status = try_weights(t, stage, &best, error);
    }
    bool better = status == ASSAY_OK &&
                  difference(&t->best, before, t->counts[FITTED], &off) > 2 * off;
    t->stages[stage] = better ? best : given;
    free(before->ndcg);
    return status;
}

/* ------------------------------------------------------------------ thresholds */

static assay_setting setting_of(double value)
{
    return isfinite(value) ? (assay_setting){true, value} : (assay_setting){0};
}

static void set_thresholds(assay_stage_options *o, double within, double agreed, double hope)
{
    o->within = setting_of(within);
    o->within_agreed = setting_of(agreed < within ? agreed : INFINITY);
    o->hope = setting_of(hope);
}

/* What the thresholds at work lose, at most, against `full`. */
static double loss_of(const tuning *t, const trial *full)
{
    double count = (double)t->counts[FITTED], off;
    double loss = -difference(&t->now, full, t->counts[FITTED], &off);
    return (loss * count + UNSEEN) / (count + 1) + 2 * off;
}

/* Those of one stage that save most within the tolerance, against `full`. */
static assay_status fit_thresholds(tuning *t, size_t stage, const trial *full, assay_error *error)
{
    assay_stage_options *o = &t->stages[stage], best = *o;
    double least = INFINITY;
    size_t all = COUNT_OF(reaches) * COUNT_OF(reaches) * COUNT_OF(hopes);
    for (size_t i = 0; i < all; i++) {
        double within = reaches[i % COUNT_OF(reaches)];
        double agreed = reaches[i / COUNT_OF(reaches) % COUNT_OF(reaches)];
        if (within <= 0 || (agreed >= within && isfinite(agreed)))
            continue;
        set_thresholds(o, within, agreed, hopes[i / COUNT_OF(reaches) / COUNT_OF(reaches)]);
        ASSAY_TRY(try_out(t, FITTED, &t->now, error));
        if (t->now.seconds >= least || loss_of(t, full) > t->tolerance)
            continue;
        least = t->now.seconds;
        best = *o;
    }
    *o = best;
    return ASSAY_OK;
}

/* ------------------------------------------------------------------------- all */

static assay_status make_trial(trial *out, size_t count, assay_error *error)
{
    out->ndcg = calloc(count + 1, sizeof *out->ndcg);
    return out->ndcg != NULL ? ASSAY_OK : assay_fail_memory(error, count * sizeof *out->ndcg);
}

static assay_status make_scratch(tuning *t, assay_error *error)
{
    size_t count = t->recording.count;
    ASSAY_TRY(make_trial(&t->now, t->counts[FITTED], error));
    ASSAY_TRY(make_trial(&t->best, t->counts[FITTED], error));
    t->judged = calloc(CALIBRATED * count + 1, sizeof *t->judged);
    return t->judged != NULL ? ASSAY_OK
                             : assay_fail_memory(error, CALIBRATED * count * sizeof *t->judged);
}

/* Retrieval alone, on those held out. */
static assay_status play_first(tuning *t, trial *out, assay_error *error)
{
    size_t *stages = &t->recording.shell.settings.options.stage_count, count = *stages;
    *stages = 0;
    assay_status status = try_out(t, HELD, out, error);
    *stages = count;
    return status;
}

/* What the last stage's probabilities are worth on those held out: as `given` has them,
 * and now. */
static void tell_loss(tuning *t, const assay_stage_options *given,
                      assay_pipeline_tune_report *report)
{
    report->log_loss_given = report->log_loss = NAN;
    if (t->stage_count == 0)
        return;
    size_t last = t->stage_count - 1, count = judged_of(t, HELD, last);
    const assay_stage_options *o = &t->stages[last];
    if (given[last].probability_slope.set)
        report->log_loss_given = assay_log_loss(t->judged, count,
                                                given[last].probability_slope.value,
                                                given[last].probability_offset.value);
    else if (given[last].kind == ASSAY_RERANKER_CROSS)
        report->log_loss_given = assay_log_loss(t->judged, count, 1, 0);
    if (o->probability_slope.set)
        report->log_loss = assay_log_loss(t->judged, count, o->probability_slope.value,
                                          o->probability_offset.value);
}

static assay_status fit_all_weights(tuning *t, assay_error *error)
{
    for (size_t i = 0; i < t->stage_count; i++) {
        set_thresholds(&t->stages[i], INFINITY, INFINITY, INFINITY);
        calibrate(t, i);
        ASSAY_TRY(fit_weights(t, i, error));
    }
    return ASSAY_OK;
}

static assay_status fit_all_thresholds(tuning *t, assay_error *error)
{
    trial full = {0};
    ASSAY_TRY(make_trial(&full, t->counts[FITTED], error));
    assay_status status = try_out(t, FITTED, &full, error);
    for (size_t i = 0; i < t->stage_count && status == ASSAY_OK; i++)
        status = fit_thresholds(t, i, &full, error);
    free(full.ndcg);
    return status;
}

static assay_status record(tuning *t, assay_error *error)
{
    assay_playback_free(&t->recording);
    ASSAY_TRY(assay_playback_record(t->pipeline, t->queries, t->picked,
                                    t->counts[FITTED] + t->counts[HELD], t->qrels, t->progress,
                                    t->user, &t->recording, error));
    t->stages = t->recording.shell.settings.stages;
    return ASSAY_OK;
}

/* Fits the retrievers' weights; where they change, records what the stages say of the
 * candidates that come now. `first` is retrieval as it was given. */
static assay_status fit_retrievers(tuning *t, trial *first, trial *fused,
                                   assay_pipeline_tune_report *report, assay_error *error)
{
    assay_pipeline_options *o = &t->pipeline->settings.options;
    assay_fusion_fit fit = {.bm25_weight = o->bm25_weight.value,
                            .dense_weight = o->dense_weight.value};
    if (o->retriever == ASSAY_RETRIEVER_HYBRID)
        ASSAY_TRY(assay_fusion_weights(t->pipeline, t->queries, t->picked,
                                       t->counts[FITTED] + t->counts[HELD], t->qrels,
                                       t->progress, t->user, &fit, error));
    report->bm25_weight = o->bm25_weight.value = fit.bm25_weight;
    report->dense_weight = o->dense_weight.value = fit.dense_weight;
    if (fit.better)
        ASSAY_TRY(record(t, error));
    ASSAY_TRY(play_first(t, fused, error));
    report->fused = fused->mean;
    difference(fused, first, t->counts[HELD], &report->fused_error);
    return ASSAY_OK;
}

/* Fits, and plays those held out before, between and after. */
static assay_status fit(tuning *t, trial held[3], assay_pipeline_tune_report *report,
                        assay_error *error)
{
    assay_stage_options given[ASSAY_STAGES_MAX];
    memcpy(given, t->stages, sizeof given);
    ASSAY_TRY(play_first(t, &held[1], error));
    report->first = held[1].mean;
    ASSAY_TRY(try_out(t, HELD, &held[0], error));
    ASSAY_TRY(fit_retrievers(t, &held[1], &held[2], report, error));
    ASSAY_TRY(fit_all_weights(t, error));
    ASSAY_TRY(try_out(t, HELD, &held[1], error));
    ASSAY_TRY(fit_all_thresholds(t, error));
    ASSAY_TRY(try_out(t, HELD, &held[2], error));
    size_t count = t->counts[HELD];
    report->fitted = t->counts[FITTED];
    report->held = count;
    report->given = held[0].mean;
    report->weighted = held[1].mean;
    report->spared = held[2].mean;
    difference(&held[1], &held[0], count, &report->weighted_error);
    difference(&held[2], &held[1], count, &report->spared_error);
    report->given_scored = held[0].scored;
    report->spared_scored = held[2].scored;
    report->given_ms = held[0].seconds * 1e3;
    report->spared_ms = held[2].seconds * 1e3;
    tell_loss(t, given, report);
    return ASSAY_OK;
}

static assay_status tune(tuning *t, assay_pipeline_tune_report *report, char **file,
                         assay_error *error)
{
    trial held[3] = {{0}};
    ASSAY_TRY(make_scratch(t, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < 3 && status == ASSAY_OK; i++)
        status = make_trial(&held[i], t->counts[HELD], error);
    if (status == ASSAY_OK)
        status = fit(t, held, report, error);
    for (size_t i = 0; i < 3; i++)
        free(held[i].ndcg);
    if (status == ASSAY_OK)
        status = assay_pipeline_text(&t->recording.shell.settings.options, file, error);
    return status;
}

/* ---------------------------------------------------------------- the queries */

/* Judged queries in random order, at most `limit`. */
static assay_status pick(const assay_queries *queries, const assay_qrels *qrels, size_t limit,
                         uint64_t seed, size_t **out, size_t *count, assay_error *error)
{
    size_t *list = *out = calloc(queries->count + 1, sizeof *list), found = 0;
    if (list == NULL)
        return assay_fail_memory(error, queries->count * sizeof *list);
    for (size_t i = 0; i < queries->count; i++)
        if (assay_qrels_judged(qrels, queries->ids[i]))
            list[found++] = i;
    for (size_t i = 0; i < found; i++) {
        size_t j = i + assay_random_below(&seed, found - i), kept = list[i];
        list[i] = list[j];
        list[j] = kept;
    }
    *count = found < limit ? found : limit;
    return *count >= LEAST ? ASSAY_OK
                           : assay_fail(error, ASSAY_E_ARGUMENT, "queries",
                                        "%zu of them have judgments, fewer than the %d that tell "
                                        "anything", *count, LEAST);
}

/* A model that has to be paid or waited for is not asked about every candidate. */
static assay_status check_stages(const assay_pipeline *p, assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    if (o->stage_count == 0 && o->retriever != ASSAY_RETRIEVER_HYBRID)
        return assay_fail(error, ASSAY_E_ARGUMENT, "stages", "there are none to tune, and one "
                          "retriever needs no weights");
    for (size_t i = 0; i < o->stage_count; i++)
        if (p->classes[i]->whole)
            return assay_fail(error, ASSAY_E_ARGUMENT, "stages",
                              "stage %zu is a language model, which would have to be asked about "
                              "every passage: tune the stages before it", i + 1);
    return ASSAY_OK;
}

static assay_status record_and_tune(assay_pipeline *p, const assay_queries *queries,
                                    const assay_qrels *qrels,
                                    const assay_pipeline_tune_options *how,
                                    assay_progress_fn progress, void *user,
                                    assay_pipeline_tune_report *report, char **file,
                                    assay_error *error)
{
    const assay_pipeline_tune_options none = {0};
    how = how != NULL ? how : &none;
    tuning t = {.tolerance = how->tolerance.set ? how->tolerance.value : TOLERANCE,
                .pipeline = p, .queries = queries, .qrels = qrels, .progress = progress,
                .user = user, .stage_count = p->settings.options.stage_count};
    size_t count = 0;
    assay_status status = check_stages(p, error);
    if (status == ASSAY_OK)
        status = pick(queries, qrels, how->limit > 0 ? how->limit : LIMIT, how->seed, &t.picked,
                      &count, error);
    t.counts[FITTED] = (count + 1) / 2;
    t.counts[HELD] = count / 2;
    if (status == ASSAY_OK)
        status = record(&t, error);
    if (status == ASSAY_OK)
        status = tune(&t, report, file, error);
    free(t.picked);
    free(t.now.ndcg);
    free(t.best.ndcg);
    free(t.judged);
    assay_playback_free(&t.recording);
    return status;
}

assay_status assay_pipeline_tune(assay_store *store, const char *collection,
                                 const assay_pipeline_options *options,
                                 const assay_queries *queries, const assay_qrels *qrels,
                                 const assay_pipeline_tune_options *how,
                                 assay_progress_fn progress, void *user,
                                 assay_pipeline_tune_report *report, char **file,
                                 assay_error *error)
{
    assay_pipeline *pipeline;
    assay_pipeline_options asked = options != NULL ? *options : (assay_pipeline_options){0};
    asked.no_cache = true; /* what is timed is the work */
    ASSAY_TRY(assay_pipeline_open(store, collection, &asked, &pipeline, error));
    assay_status status = record_and_tune(pipeline, queries, qrels, how, progress, user, report,
                                          file, error);
    assay_pipeline_close(pipeline);
    return status;
}
