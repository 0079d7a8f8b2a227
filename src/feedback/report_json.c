/* SPDX-License-Identifier: Apache-2.0 */
/* report_json.c: a report as JSON, field names as in assay.h; what is not a number is
 * null. */
#include <jansson.h>
#include <math.h>

#include "feedback/feedback.h"

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *whole(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *text(assay_text t)
{
    return t.length > 0 ? json_stringn(t.data, t.length) : json_null();
}

static json_t *interval(const assay_interval *i)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "count", whole(i->count), "mean", real(i->mean),
                     "low", real(i->low), "high", real(i->high));
}

static json_t *wholes(const uint64_t *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, whole(values[i]));
    return list;
}

static json_t *reals(const double *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, real(values[i]));
    return list;
}

static json_t *unseen_list(const assay_feedback_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->unseen_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:o}", "document", r->unseen[i].document,
                                              "clicks", whole(r->unseen[i].clicks)));
    return list;
}

static json_t *hurt_list(const assay_feedback_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->hurt_count; i++) {
        const assay_feedback_query *q = &r->hurt[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o}", "id", q->id, "text",
                                              text(q->text), "searches", whole(q->searches),
                                              "clicks", whole(q->clicks), "lift",
                                              real(q->lift)));
    }
    return list;
}

static json_t *day_list(const assay_feedback_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->day_count; i++) {
        const assay_feedback_day *d = &r->days[i];
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "date", d->date, "searches",
                            whole(d->searches), "clicked", whole(d->clicked), "mrr_before",
                            real(d->mrr_before), "mrr_after", real(d->mrr_after), "rerank_ms",
                            real(d->rerank_ms)));
    }
    return list;
}

static json_t *trial_json(const assay_feedback_trial *t)
{
    bool split = t->trial == ASSAY_TRIAL_SPLIT;
    json_t *one = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "trial",
                            split ? "split" : "interleaved", "first", t->first, "second",
                            t->second, split ? "sessions" : "searches", whole(t->searches),
                            "p_value", real(t->p_value), "better",
                            t->better == 1 ? "first" : t->better == 2 ? "second" : "none");
    if (split) {
        json_object_set_new(one, "mrr_first", interval(&t->mrr_first));
        json_object_set_new(one, "mrr_second", interval(&t->mrr_second));
        return one;
    }
    json_object_set_new(one, "wins_first", whole(t->wins_first));
    json_object_set_new(one, "wins_second", whole(t->wins_second));
    json_object_set_new(one, "ties", whole(t->ties));
    return one;
}

static json_t *trial_list(const assay_feedback_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->trial_count; i++)
        json_array_append_new(list, trial_json(&r->trials[i]));
    return list;
}

assay_status assay_feedback_report_json(const assay_feedback_report *r, char **out,
                                        assay_error *error)
{
    const struct {
        const char *name;
        json_t *value;
    } members[] = {
        {"searches", whole(r->searches)},
        {"sessions", whole(r->sessions)},
        {"read", whole(r->read)},
        {"clicked", whole(r->clicked)},
        {"clicks", whole(r->clicks)},
        {"from", whole((uint64_t)r->from)},
        {"until", whole((uint64_t)r->until)},
        {"lift", interval(&r->lift)},
        {"lift_weighted", interval(&r->lift_weighted)},
        {"mrr_before", interval(&r->mrr_before)},
        {"mrr_after", interval(&r->mrr_after)},
        {"mrr_gain", interval(&r->mrr_gain)},
        {"mrr_p_value", real(r->mrr_p_value)},
        {"top", whole(r->top)},
        {"top_changed", real(r->top_changed)},
        {"first_changed", real(r->first_changed)},
        {"correlation", interval(&r->correlation)},
        {"reformulated", real(r->reformulated)},
        {"first_ms", real(r->first_ms)},
        {"rerank_ms", real(r->rerank_ms)},
        {"rerank_ms_median", real(r->rerank_ms_median)},
        {"rerank_ms_95", real(r->rerank_ms_95)},
        {"truncated", real(r->truncated)},
        {"degraded", real(r->degraded)},
        {"up", whole(r->up)},
        {"down", whole(r->down)},
        {"dwells", whole(r->dwells)},
        {"dwell_median", real(r->dwell_median)},
        {"satisfied", real(r->satisfied)},
        {"click_counts", wholes(r->click_counts, ASSAY_FEEDBACK_RANKS)},
        {"shown_counts", wholes(r->shown_counts, ASSAY_FEEDBACK_RANKS)},
        {"propensities", reals(r->propensities, ASSAY_FEEDBACK_RANKS)},
        {"estimated", json_boolean(r->estimated)},
        {"telling", whole(r->telling)},
        {"moves", wholes(r->moves, ASSAY_FEEDBACK_MOVES)},
        {"unseen_clicks", whole(r->unseen_clicks)},
        {"unseen", unseen_list(r)},
        {"hurt", hurt_list(r)},
        {"days", day_list(r)},
        {"trials", trial_list(r)},
    };
    json_t *root = json_object();
    int failed = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        failed |= json_object_set_new(root, members[i].name, members[i].value);
    *out = failed ? NULL : json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(root);
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, 4096);
}
