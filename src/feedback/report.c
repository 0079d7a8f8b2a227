/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c: what reranking was worth.
 *
 * The unit of every mean is a search, so that one with many clicks counts once, but for
 * the weighted lift; intervals are Student's t over searches. Clicks are made on the order
 * that was shown: what stood above is clicked more, whatever it is worth, so a lift and a
 * gain in MRR say that users clicked what reranking had brought up, not yet that they would
 * not have clicked below. The weighted lift, a mean over clicks, counts one by
 * 1 / propensity of its rank (Joachims, Swaminathan & Schnabel 2017), which takes out how
 * seldom low places are looked at, but not what was never shown. What settles the question
 * is a trial (trials.c). Interleaved answers count for the trial and the click model alone.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "feedback/click_model.h"

enum {
    TOP = 5,
    MOST_LISTED = 10,
    MOST_DAYS = 90,
    DAY_MS = 86400000,
    MOST_DRAWN = 500, /* searches up to which flips of signs are drawn */
};
#define SATISFIED 30.0 /* seconds (Fox et al. 2005) */
#define NORMAL_975 1.959964

/* ---- Means -------------------------------------------------------------------------- */

/* The 97.5% quantile of Student's t (Cornish and Fisher's expansion; 0.7% off at 3). */
static double t_quantile(double freedom)
{
    double z = NORMAL_975, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
    if (freedom < 1.5)
        return 12.706;
    if (freedom < 2.5)
        return 4.303;
    return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

assay_interval assay_interval_of(const double *values, size_t count)
{
    assay_interval out = {.count = count, .mean = NAN, .low = NAN, .high = NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    if (count > 0)
        out.mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - out.mean) * (values[i] - out.mean);
    if (count > 1) {
        double n = (double)count;
        double half = t_quantile(n - 1) * sqrt(squares / (n - 1) / n);
        out.low = out.mean - half;
        out.high = out.mean + half;
    }
    return out;
}

/* Sum of values by sum of weights, and the interval of that ratio (linearised); changes
 * the values. */
static assay_interval interval_of_ratio(double *values, const double *weights, size_t count)
{
    double sum = 0, weight = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
        weight += weights[i];
    }
    for (size_t i = 0; i < count; i++)
        values[i] = sum / weight + (values[i] - sum / weight * weights[i]) * (double)count / weight;
    return assay_interval_of(values, count);
}

/* Of a mean of many being 0, two-sided, by the normal distribution. */
static double normal_p(const assay_interval *interval)
{
    double error = (interval->high - interval->mean) / NORMAL_975;
    return error > 0 ? erfc(fabs(interval->mean) / error / sqrt(2)) : interval->mean != 0 ? 0 : 1;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* The value below which `part` of them lie; sorts. NAN of none. */
static double quantile(double *values, size_t count, double part)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)(part * (double)(count - 1) + 0.5)];
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

/* ---- Of one search --------------------------------------------------------------------- */

void assay_seen_reciprocal(const assay_seen *seen, double *before, double *after)
{
    *before = *after = 0;
    for (size_t i = 0; i < seen->hit_count; i++) {
        if (!seen->hits[i].clicked)
            continue;
        *after = *after > 0 ? *after : 1.0 / (double)(i + 1);
        *before = fmax(*before, 1.0 / (double)seen->hits[i].rank_first);
    }
}

/* Places that the clicked documents were moved up, in sum, clicks weighed or not; and the
 * sum of the weights. */
static double lift_of(const assay_seen *seen, const assay_click_model *model, double *weights)
{
    double sum = 0;
    *weights = 0;
    for (size_t i = 0; i < seen->hit_count; i++) {
        if (!seen->hits[i].clicked)
            continue;
        double weight =
            model != NULL ? 1 / assay_click_propensity(model, (uint32_t)i + 1) : 1;
        sum += weight * ((double)seen->hits[i].rank_first - (double)(i + 1));
        *weights += weight;
    }
    return sum;
}

/* ---- Sums -------------------------------------------------------------------------------- */

/* Columns of numbers, one a search that has them. */
typedef struct columns {
    double *lift, *weighted, *weights, *before, *after, *gain; /* of searches with a click */
    double *correlation, *rerank;
    size_t clicked, correlated, reranked;
} columns;

typedef struct day {
    uint64_t searches, clicked;
    double before, after, rerank;
} day;

/* Of an interleaved answer the ranks before are of two lists. */
static bool one_list(const assay_seen *seen)
{
    return seen->trial != ASSAY_TRIAL_INTERLEAVED;
}

static void count_places(const assay_seen *seen, assay_feedback_report *r)
{
    for (size_t i = 0; i < seen->hit_count; i++) {
        if (i < seen->shown && i < ASSAY_FEEDBACK_RANKS)
            r->shown_counts[i]++;
        if (!seen->hits[i].clicked)
            continue;
        int64_t middle = ASSAY_FEEDBACK_MOVES / 2;
        int64_t move = (int64_t)seen->hits[i].rank_first - (int64_t)(i + 1);
        move = move < -middle ? -middle : move > middle ? middle : move;
        r->moves[move + middle] += one_list(seen);
        r->clicks++;
        if (i < ASSAY_FEEDBACK_RANKS)
            r->click_counts[i]++;
    }
}

static void take_clicked(const assay_seen *seen, const assay_click_model *model, columns *c)
{
    size_t n = c->clicked++;
    assay_seen_reciprocal(seen, &c->before[n], &c->after[n]);
    c->gain[n] = c->after[n] - c->before[n];
    c->lift[n] = lift_of(seen, NULL, &c->weights[n]) / c->weights[n];
    c->weighted[n] = lift_of(seen, model, &c->weights[n]);
}

typedef struct shares {
    uint64_t lists, top, first, sessions, reformulated, scored, truncated, degraded;
    double first_ms, rerank_ms;
} shares;

static void take_shares(const assay_seen *seen, uint32_t top, shares *s)
{
    s->lists += one_list(seen);
    s->top += one_list(seen) && seen->changed > 0 && seen->changed <= top;
    s->first += one_list(seen) && seen->changed == 1;
    s->sessions += seen->known_session;
    s->reformulated += seen->known_session && seen->reformulated;
    s->scored += seen->scored;
    s->truncated += seen->truncated;
    s->degraded += seen->degraded;
    s->first_ms += seen->first_ms;
    s->rerank_ms += seen->rerank_ms;
}

static void take_day(const assay_seen *seen, int64_t last, day days[MOST_DAYS])
{
    int64_t back = last - seen->at / DAY_MS;
    if (back < 0 || back >= MOST_DAYS)
        return;
    day *d = &days[MOST_DAYS - 1 - back];
    double before, after;
    d->searches++;
    d->rerank += seen->rerank_ms;
    if (seen->clicks == 0 || !one_list(seen))
        return;
    assay_seen_reciprocal(seen, &before, &after);
    d->clicked++;
    d->before += before;
    d->after += after;
}

static void take_times(const assay_gathering *g, assay_feedback_report *r)
{
    for (size_t i = 0; i < g->count; i++) {
        r->until = g->seen[i].at > r->until ? g->seen[i].at : r->until;
        r->from = r->from == 0 || g->seen[i].at < r->from ? g->seen[i].at : r->from;
    }
}

static void set_shares(const shares *s, assay_feedback_report *r)
{
    r->top_changed = share(s->top, s->lists);
    r->first_changed = share(s->first, s->lists);
    r->reformulated = share(s->reformulated, s->sessions);
    r->truncated = share(s->truncated, s->scored);
    r->degraded = share(s->degraded, r->read);
    r->first_ms = r->read > 0 ? s->first_ms / (double)r->read : (double)NAN;
    r->rerank_ms = r->read > 0 ? s->rerank_ms / (double)r->read : (double)NAN;
}

/* Of what can be no less and no more: Student's t knows nothing of that. */
static assay_interval within(assay_interval interval, double least, double most)
{
    if (interval.low < least)
        interval.low = least;
    if (interval.high > most)
        interval.high = most;
    return interval;
}

static assay_status set_intervals(columns *c, assay_feedback_report *r, assay_error *error)
{
    double difference;
    r->clicked = c->clicked;
    r->lift = assay_interval_of(c->lift, c->clicked);
    r->lift_weighted = interval_of_ratio(c->weighted, c->weights, c->clicked);
    r->mrr_before = within(assay_interval_of(c->before, c->clicked), 0, 1);
    r->mrr_after = within(assay_interval_of(c->after, c->clicked), 0, 1);
    r->mrr_gain = assay_interval_of(c->gain, c->clicked);
    r->correlation = within(assay_interval_of(c->correlation, c->correlated), -1, 1);
    r->rerank_ms_median = quantile(c->rerank, c->reranked, 0.5);
    r->rerank_ms_95 = quantile(c->rerank, c->reranked, 0.95);
    r->mrr_p_value = NAN;
    if (c->clicked > MOST_DRAWN)
        r->mrr_p_value = normal_p(&r->mrr_gain);
    if (c->clicked == 0 || c->clicked > MOST_DRAWN)
        return ASSAY_OK;
    return assay_compare(c->after, c->before, c->clicked, &difference, &r->mrr_p_value, error);
}

static void set_date(int64_t number, char date[11])
{
    time_t seconds = (time_t)(number * (DAY_MS / 1000));
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || strftime(date, 11, "%Y-%m-%d", &utc) == 0)
        date[0] = '\0';
}

static assay_status set_days(const day days[MOST_DAYS], int64_t last, assay_arena *arena,
                             assay_feedback_report *r, assay_error *error)
{
    assay_feedback_day *out = assay_arena_small(arena, MOST_DAYS * sizeof *out);
    if (out == NULL)
        return assay_fail_memory(error, MOST_DAYS * sizeof *out);
    for (int i = 0; i < MOST_DAYS; i++) {
        const day *d = &days[i];
        if (d->searches == 0)
            continue;
        assay_feedback_day *one = &out[r->day_count++];
        double clicked = d->clicked > 0 ? (double)d->clicked : (double)NAN;
        *one = (assay_feedback_day){.searches = d->searches, .clicked = d->clicked,
                                    .mrr_before = d->before / clicked,
                                    .mrr_after = d->after / clicked,
                                    .rerank_ms = d->rerank / (double)d->searches};
        set_date(last - (MOST_DAYS - 1 - i), one->date);
    }
    r->days = out;
    return ASSAY_OK;
}

/* ---- Lists ------------------------------------------------------------------------------------ */

typedef struct query_sum {
    uint32_t query;
    uint64_t searches, clicks;
    double lift; /* a sum, then its mean */
} query_sum;

static int by_lift(const void *left, const void *right)
{
    const query_sum *a = left, *b = right;
    if (a->lift != b->lift)
        return a->lift < b->lift ? -1 : 1;
    return a->query < b->query ? -1 : a->query > b->query;
}

static void sum_queries(const assay_gathering *g, query_sum *sums)
{
    for (size_t i = 0; i < g->count; i++) {
        const assay_seen *seen = &g->seen[i];
        query_sum *sum = &sums[seen->query];
        sum->query = seen->query;
        sum->searches++;
        for (size_t k = 0; k < seen->hit_count; k++) {
            if (!seen->hits[k].clicked || !one_list(seen))
                continue;
            sum->clicks++;
            sum->lift += (double)seen->hits[k].rank_first - (double)(k + 1);
        }
    }
    for (uint32_t q = 0; q < assay_string_map_count(g->queries); q++)
        if (sums[q].clicks > 0)
            sums[q].lift /= (double)sums[q].clicks;
}

static assay_status copy_query(const assay_gathering *g, const query_sum *sum, assay_arena *arena,
                               assay_feedback_query *out, assay_error *error)
{
    char hex[33];
    assay_gathering_query(g, sum->query, hex);
    assay_text text = g->texts[sum->query];
    *out = (assay_feedback_query){
        .id = assay_arena_copy(arena, hex, 32),
        .text = {assay_arena_copy(arena, text.data, text.length), text.length},
        .searches = sum->searches,
        .clicks = sum->clicks,
        .lift = sum->lift,
    };
    return out->id != NULL && out->text.data != NULL ? ASSAY_OK
                                                     : assay_fail_memory(error, text.length);
}

static assay_status list_hurt(const assay_gathering *g, assay_arena *arena,
                              assay_feedback_report *r, assay_error *error)
{
    uint32_t count = assay_string_map_count(g->queries);
    query_sum *sums = calloc((size_t)count + 1, sizeof *sums);
    assay_feedback_query *out = assay_arena_small(arena, MOST_LISTED * sizeof *out);
    assay_status status =
        sums != NULL && out != NULL ? ASSAY_OK : assay_fail_memory(error, count * sizeof *sums);
    if (status == ASSAY_OK) {
        sum_queries(g, sums);
        qsort(sums, count, sizeof *sums, by_lift);
    }
    for (uint32_t i = 0; i < count && i < MOST_LISTED && status == ASSAY_OK; i++) {
        if (!(sums[i].lift < 0))
            break;
        status = copy_query(g, &sums[i], arena, &out[r->hurt_count], error);
        r->hurt_count++;
    }
    r->hurt = out;
    free(sums);
    return status;
}

/* Puts a document into the list of the most clicked; ties keep the order of numbers. */
static void list_one(const char *document, uint64_t clicks, assay_feedback_document *list,
                     size_t *count)
{
    size_t place = *count;
    while (place > 0 && list[place - 1].clicks < clicks)
        place--;
    if (place == MOST_LISTED)
        return;
    *count += *count < MOST_LISTED;
    memmove(list + place + 1, list + place, (*count - place - 1) * sizeof *list);
    list[place] = (assay_feedback_document){document, clicks};
}

static assay_status list_unseen(const assay_gathering *g, assay_arena *arena,
                                assay_feedback_report *r, assay_error *error)
{
    assay_feedback_document *out = assay_arena_small(arena, MOST_LISTED * sizeof *out);
    if (out == NULL)
        return assay_fail_memory(error, MOST_LISTED * sizeof *out);
    for (size_t i = 0; i < g->unseen_capacity; i++)
        if (g->unseen[i] > 0)
            list_one(assay_string_map_key(g->documents, (uint32_t)i), g->unseen[i], out,
                     &r->unseen_count);
    for (size_t i = 0; i < r->unseen_count; i++) {
        out[i].document = assay_arena_copy(arena, out[i].document, strlen(out[i].document));
        if (out[i].document == NULL)
            return assay_fail_memory(error, 1024);
    }
    r->unseen = out;
    r->unseen_clicks = g->unseen_clicks;
    return ASSAY_OK;
}

/* ---- The whole ---------------------------------------------------------------------------------- */

static bool columns_new(columns *c, size_t count)
{
    double **const all[] = {&c->lift, &c->weighted, &c->weights, &c->before, &c->after,
                            &c->gain, &c->correlation, &c->rerank};
    bool whole = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = calloc(count + 1, sizeof **all[i]);
        whole = whole && *all[i] != NULL;
    }
    return whole;
}

static void columns_free(columns *c)
{
    free(c->lift);
    free(c->weighted);
    free(c->weights);
    free(c->before);
    free(c->after);
    free(c->gain);
    free(c->correlation);
    free(c->rerank);
}

static assay_status sum_searches(const assay_gathering *g, const assay_click_model *model,
                                 assay_arena *arena, columns *c, assay_feedback_report *r,
                                 assay_error *error)
{
    shares s = {0};
    day days[MOST_DAYS] = {{0}};
    take_times(g, r);
    int64_t last = r->until / DAY_MS;
    for (size_t i = 0; i < g->count; i++) {
        const assay_seen *seen = &g->seen[i];
        take_shares(seen, r->top, &s);
        take_day(seen, last, days);
        count_places(seen, r);
        if (seen->clicks > 0 && one_list(seen))
            take_clicked(seen, model, c);
        if (isfinite(seen->correlation) && one_list(seen))
            c->correlation[c->correlated++] = seen->correlation;
        c->rerank[c->reranked++] = seen->rerank_ms;
    }
    set_shares(&s, r);
    ASSAY_TRY(set_intervals(c, r, error));
    return set_days(days, last, arena, r, error);
}

static void set_votes(assay_gathering *g, assay_feedback_report *r)
{
    size_t satisfied = 0;
    for (size_t i = 0; i < g->dwell_count; i++)
        satisfied += g->dwells[i] >= SATISFIED;
    r->up = g->up;
    r->down = g->down;
    r->dwells = g->dwell_count;
    r->satisfied = share(satisfied, g->dwell_count);
    r->dwell_median = quantile(g->dwells, g->dwell_count, 0.5);
}

static assay_status sum_up(assay_gathering *g, const assay_report_options *options,
                           assay_arena *arena, assay_feedback_report *r, assay_error *error)
{
    assay_click_model model = {0};
    columns c = {0};
    *r = (assay_feedback_report){.searches = g->searches, .sessions = g->sessions,
                                 .read = g->count, .top = options->top > 0 ? options->top : TOP};
    ASSAY_TRY(assay_click_model_fit(g, &model, error));
    memcpy(r->propensities, model.propensities, sizeof r->propensities);
    r->estimated = model.estimated;
    r->telling = model.telling;
    assay_status status = columns_new(&c, g->count) ? ASSAY_OK
                                                    : assay_fail_memory(error, 64 * g->count);
    if (status == ASSAY_OK)
        status = sum_searches(g, &model, arena, &c, r, error);
    if (status == ASSAY_OK)
        status = list_hurt(g, arena, r, error);
    if (status == ASSAY_OK)
        status = list_unseen(g, arena, r, error);
    if (status == ASSAY_OK)
        status = assay_trials_sum(g, arena, &r->trials, &r->trial_count, error);
    set_votes(g, r);
    columns_free(&c);
    assay_click_model_free(&model);
    return status;
}

assay_status assay_feedback_sum(assay_feedback *feedback, const assay_report_options *options,
                                assay_feedback_report *out, assay_error *error)
{
    static const assay_report_options defaults;
    assay_gathering gathering;
    assay_feedback_report report;
    options = options != NULL ? options : &defaults;
    ASSAY_TRY(assay_gather(feedback, options, &gathering, error));
    assay_arena *arena = assay_arena_new(0);
    assay_status status = arena != NULL ? ASSAY_OK : assay_fail_memory(error, 4096);
    if (status == ASSAY_OK)
        status = sum_up(&gathering, options, arena, &report, error);
    assay_gathering_free(&gathering);
    if (status != ASSAY_OK) {
        assay_arena_free(arena);
        return status;
    }
    report.block = arena;
    *out = report;
    return ASSAY_OK;
}

void assay_feedback_report_free(assay_feedback_report *report)
{
    if (report == NULL)
        return;
    assay_arena_free(report->block);
    *report = (assay_feedback_report){0};
}
