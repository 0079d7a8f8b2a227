/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trials.c: which of two pipelines users preferred.
 *
 * Interleaved: a search is won by the pipeline whose documents had more clicks; the sign
 * test (two-sided, exact) over searches that were won says whether that is chance. Split:
 * sessions went to one pipeline or the other; the value of one is the mean over its
 * searches of 1 / rank of the first click, 0 without one; Welch's test, by the normal
 * distribution, which is why nothing is said of fewer than LEAST sessions a side. Searches
 * without a session stand for themselves.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "feedback/feedback.h"

enum { LEAST = 20, MOST_TRIALS = 32 };
#define SIGNIFICANT 0.05

/* ---- The sign test ---------------------------------------------------------------------- */

/* Probability of a split at least as uneven when both sides are as likely. */
static double sign_test(uint64_t a, uint64_t b)
{
    uint64_t n = a + b, few = a < b ? a : b;
    double sum = 0;
    if (n == 0)
        return NAN;
    for (uint64_t k = 0; k <= few; k++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
                   (double)n * log(2));
    return fmin(1, 2 * sum);
}

/* swapped: what the search calls its second is the trial's first. */
static void count_winner(const assay_seen *seen, bool swapped, assay_feedback_trial *trial)
{
    uint64_t clicks[2] = {0};
    for (size_t i = 0; i < seen->hit_count; i++)
        if (seen->hits[i].clicked)
            clicks[seen->hits[i].second != swapped]++;
    trial->searches++;
    if (clicks[0] + clicks[1] == 0)
        return;
    trial->wins_first += clicks[0] > clicks[1];
    trial->wins_second += clicks[1] > clicks[0];
    trial->ties += clicks[0] == clicks[1];
}

static void judge_interleaved(assay_feedback_trial *trial)
{
    uint64_t won = trial->wins_first + trial->wins_second;
    trial->p_value = sign_test(trial->wins_first, trial->wins_second);
    if (won >= LEAST && trial->p_value < SIGNIFICANT)
        trial->better = trial->wins_first > trial->wins_second ? 1 : 2;
}

/* ---- Welch's test -------------------------------------------------------------------------- */

typedef struct unit {
    uint64_t session;
    double value;
} unit;

static int by_session(const void *left, const void *right)
{
    const unit *a = left, *b = right;
    return a->session < b->session ? -1 : a->session > b->session;
}

/* Means by session, into values; units without a session are ones by themselves. */
static size_t average(unit *units, size_t count, double *values)
{
    size_t sessions = 0;
    qsort(units, count, sizeof *units, by_session);
    for (size_t i = 0; i < count;) {
        size_t begin = i;
        double sum = 0;
        do
            sum += units[i++].value;
        while (i < count && units[i].session != 0 && units[i].session == units[begin].session);
        values[sessions++] = sum / (double)(i - begin);
    }
    return sessions;
}

/* Standard error of the mean, squared, out of its interval's parts. */
static double error_squared(const double *values, const assay_interval *interval)
{
    double n = (double)interval->count, squares = 0;
    for (uint64_t i = 0; i < interval->count; i++)
        squares += (values[i] - interval->mean) * (values[i] - interval->mean);
    return squares / (n - 1) / n;
}

static void judge_split(assay_feedback_trial *trial, unit *units[2], const size_t counts[2],
                        double *values)
{
    assay_interval sides[2];
    double spread = 0;
    for (int side = 0; side < 2; side++) {
        size_t sessions = average(units[side], counts[side], values);
        sides[side] = assay_interval_of(values, sessions);
        spread += sessions > 1 ? error_squared(values, &sides[side]) : (double)NAN;
    }
    trial->mrr_first = sides[0];
    trial->mrr_second = sides[1];
    trial->searches = sides[0].count + sides[1].count;
    double difference = sides[0].mean - sides[1].mean;
    trial->p_value = spread > 0 ? erfc(fabs(difference) / sqrt(2 * spread)) : (double)NAN;
    if (sides[0].count >= LEAST && sides[1].count >= LEAST && trial->p_value < SIGNIFICANT)
        trial->better = difference > 0 ? 1 : 2;
}

/* ---- Trials ---------------------------------------------------------------------------------- */

typedef struct contest {
    uint32_t trial, first, second; /* pipelines by number */
} contest;

/* Whether the search is of it: A,B is B,A. */
static bool is_of(const contest *c, const assay_seen *seen)
{
    return c->trial == seen->trial && ((c->first == seen->pipeline && c->second == seen->rival) ||
                                       (c->first == seen->rival && c->second == seen->pipeline));
}

/* Interleaved, the order is that of the search; split, a search names its own first. */
static contest contest_of(const assay_seen *seen)
{
    bool swapped = seen->trial == ASSAY_TRIAL_SPLIT && seen->rival < seen->pipeline;
    return (contest){seen->trial, swapped ? seen->rival : seen->pipeline,
                     swapped ? seen->pipeline : seen->rival};
}

static size_t list_contests(const assay_gathering *g, contest out[MOST_TRIALS])
{
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        contest c = contest_of(&g->seen[i]);
        size_t j = 0;
        if (c.trial != ASSAY_TRIAL_INTERLEAVED && c.trial != ASSAY_TRIAL_SPLIT)
            continue;
        while (j < count && !is_of(&out[j], &g->seen[i]))
            j++;
        if (j == count && count < MOST_TRIALS)
            out[count++] = c;
    }
    return count;
}

static void sum_interleaved(const assay_gathering *g, contest c, assay_feedback_trial *trial)
{
    for (size_t i = 0; i < g->count; i++) {
        if (is_of(&c, &g->seen[i]))
            count_winner(&g->seen[i], g->seen[i].pipeline != c.first, trial);
    }
    judge_interleaved(trial);
}

static double value_of(const assay_seen *seen)
{
    for (size_t i = 0; i < seen->hit_count; i++)
        if (seen->hits[i].clicked)
            return 1.0 / (double)(i + 1);
    return 0;
}

static assay_status sum_split(const assay_gathering *g, contest c, assay_feedback_trial *trial,
                              assay_error *error)
{
    unit *units[2] = {calloc(g->count + 1, sizeof(unit)), calloc(g->count + 1, sizeof(unit))};
    double *values = calloc(g->count + 1, sizeof *values);
    size_t counts[2] = {0};
    bool room = units[0] != NULL && units[1] != NULL && values != NULL;
    for (size_t i = 0; i < g->count && room; i++) {
        const assay_seen *seen = &g->seen[i];
        int side = seen->pipeline == c.second;
        if (is_of(&c, seen))
            units[side][counts[side]++] = (unit){seen->session, value_of(seen)};
    }
    if (room)
        judge_split(trial, units, counts, values);
    free(units[0]);
    free(units[1]);
    free(values);
    return room ? ASSAY_OK : assay_fail_memory(error, 40 * g->count);
}

static const char *name_of(const assay_gathering *g, uint32_t pipeline, assay_arena *arena)
{
    const char *name = assay_string_map_key(g->pipelines, pipeline);
    return assay_arena_copy(arena, name, strlen(name));
}

assay_status assay_trials_sum(const assay_gathering *gathering, assay_arena *arena,
                              const assay_feedback_trial **out, size_t *count,
                              assay_error *error)
{
    contest contests[MOST_TRIALS];
    size_t n = list_contests(gathering, contests);
    assay_feedback_trial *trials = assay_arena_small(arena, n * sizeof *trials);
    if (trials == NULL)
        return assay_fail_memory(error, n * sizeof *trials);
    for (size_t i = 0; i < n; i++) {
        contest c = contests[i];
        assay_interval none = {0, NAN, NAN, NAN};
        trials[i] = (assay_feedback_trial){
            .trial = (assay_trial)c.trial,
            .first = name_of(gathering, c.first, arena),
            .second = name_of(gathering, c.second, arena),
            .mrr_first = none,
            .mrr_second = none,
        };
        if (trials[i].first == NULL || trials[i].second == NULL)
            return assay_fail_memory(error, 256);
        if (c.trial == ASSAY_TRIAL_INTERLEAVED)
            sum_interleaved(gathering, c, &trials[i]);
        else
            ASSAY_TRY(sum_split(gathering, c, &trials[i], error));
    }
    *out = trials;
    *count = n;
    return ASSAY_OK;
}
