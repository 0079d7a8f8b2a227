/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c: see metrics.h. Names follow Prometheus' conventions: seconds, _total. */
#include "server/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/recording.h"
#include "server/traces.h"

enum {
    MOST_BOUNDS = 14,
    MOST_COUNTERS = 64, /* of (dialect, status) */
};

/* What histograms count by: seconds, probabilities, places risen. */
typedef struct scale {
    size_t count;
    double bounds[MOST_BOUNDS];
} scale;

static const scale durations = {14, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
                                   5, 10, 30}};
static const scale deciles = {10, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1}};
static const scale places = {9, {0, 0.5, 1, 2, 5, 10, 20, 50, 100}};

typedef struct histogram {
    uint64_t counts[MOST_BOUNDS + 1]; /* the last of the scale: above all bounds */
    double sum;
} histogram;

typedef struct counter {
    const char *dialect;
    unsigned status;
    uint64_t value;
} counter;

struct assay_metrics {
    pthread_mutex_t lock;
    counter requests[MOST_COUNTERS];
    size_t request_kinds;
    histogram total, queue, engine, first, rerank;
    uint64_t documents, tokens, truncated, left, expired, refused;
    uint64_t searches, degraded, scored, cached, changed;
    uint64_t answered, failed;
    histogram probability; /* of passages */
    histogram lift;        /* of searches */
};

assay_metrics *assay_metrics_new(void)
{
    assay_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics != NULL)
        pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void assay_metrics_free(assay_metrics *metrics)
{
    free(metrics);
}

static void observe_on(const scale *s, histogram *h, double value)
{
    size_t i = 0;
    while (i < s->count && value > s->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

static void observe(histogram *h, double value)
{
    observe_on(&durations, h, value);
}

static void count_request(assay_metrics *m, const char *dialect, unsigned status)
{
    size_t i = 0;
    while (i < m->request_kinds &&
           (m->requests[i].status != status || strcmp(m->requests[i].dialect, dialect) != 0))
        i++;
    if (i == MOST_COUNTERS)
        return;
    if (i == m->request_kinds)
        m->requests[m->request_kinds++] = (counter){dialect, status, 0};
    m->requests[i].value++;
}

static void observe_probability(assay_metrics *m, float probability)
{
    if (probability >= 0 && probability <= 1) /* late interaction has none */
        observe_on(&deciles, &m->probability, (double)probability);
}

/* How many places reranking raised what is answered, on average. */
static void observe_lift(assay_metrics *m, const assay_result *result)
{
    double sum = 0;
    size_t reranked = 0;
    for (size_t i = 0; i < result->count; i++) {
        const assay_hit *hit = &result->hits[i];
        reranked += hit->reranked;
        sum += (double)hit->rank_first - (double)hit->rank;
    }
    if (reranked > 0)
        observe_on(&places, &m->lift, sum / (double)result->count);
}

/* Whether reranking put another document first. */
static bool first_changed(const assay_result *result)
{
    return result->count > 0 && result->hits[0].rank_first != 1;
}

static void count_search(assay_metrics *m, const assay_result *result)
{
    observe(&m->first, result->first_seconds);
    observe(&m->rerank, result->rerank_seconds);
    m->searches++;
    m->degraded += result->degraded.code != ASSAY_OK;
    m->scored += result->scored;
    m->cached += result->cached;
    m->changed += first_changed(result);
    observe_lift(m, result);
    for (size_t i = 0; i < result->count; i++)
        if (result->hits[i].reranked)
            observe_probability(m, result->hits[i].probability);
}

static void count_job(assay_metrics *m, const assay_job *job)
{
    observe(&m->queue, (job->begun_at > 0 ? job->begun_at : job->done_at) - job->queued_at);
    m->left += job->outcome == ASSAY_OUTCOME_LEFT;
    m->expired += job->outcome == ASSAY_OUTCOME_EXPIRED;
    if (job->outcome != ASSAY_OUTCOME_DONE)
        return;
    observe(&m->engine, job->done_at - job->begun_at);
    m->tokens += job->tokens;
    m->truncated += job->truncated;
    if (job->lane->kind == ASSAY_JOB_SEARCH) {
        count_search(m, &job->results[0]);
        return;
    }
    m->documents += job->count;
    for (size_t i = 0; i < job->count && job->lane->kind == ASSAY_JOB_RERANK; i++)
        observe_probability(m, job->scores[i].probability);
}

void assay_metrics_count(assay_metrics *m, const assay_call *call, double seconds)
{
    pthread_mutex_lock(&m->lock);
    count_request(m, call->dialect->name, call->status);
    observe(&m->total, seconds);
    m->refused += call->fault == ASSAY_FAULT_OVERLOADED;
    m->answered += call->submitted && call->status < 400;
    m->failed += call->status >= 400;
    if (call->submitted)
        count_job(m, &call->job);
    pthread_mutex_unlock(&m->lock);
}

/* ------------------------------------------------------------------ writing */

static void write_head(assay_writer *out, const char *name, const char *kind, const char *help)
{
    assay_write_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void write_on(assay_writer *out, const char *name, const char *help, const scale *s,
                     const histogram *h)
{
    unsigned long long sum = 0;
    write_head(out, name, "histogram", help);
    for (size_t i = 0; i < s->count; i++) {
        sum += h->counts[i];
        assay_write_format(out, "%s_bucket{le=\"%g\"} %llu\n", name, s->bounds[i], sum);
    }
    sum += h->counts[s->count];
    assay_write_format(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", name,
                       sum, name, h->sum, name, sum);
}

static void write_histogram(assay_writer *out, const char *name, const char *help,
                            const histogram *h)
{
    write_on(out, name, help, &durations, h);
}

static void write_number(assay_writer *out, const char *name, const char *kind,
                         const char *help, double value)
{
    write_head(out, name, kind, help);
    assay_write_format(out, "%s %.15g\n", name, value);
}

static void write_counters(const assay_metrics *m, assay_writer *out)
{
    const struct {
        const char *name, *help;
        uint64_t value;
    } all[] = {
        {"assay_documents_total", "Passages scored and texts embedded.", m->documents},
        {"assay_tokens_total", "Tokens that went through a model.", m->tokens},
        {"assay_truncated_total", "Texts whose end the model did not see.", m->truncated},
        {"assay_refused_total", "Requests refused because the queue was full.", m->refused},
        {"assay_expired_total", "Requests dropped at their deadline.", m->expired},
        {"assay_left_total", "Requests dropped because the client left.", m->left},
        {"assay_searches_total", "Searches of collections.", m->searches},
        {"assay_degraded_total", "Searches answered without all that they should have done.", m->degraded},
        {"assay_scored_total", "Passages reranked in searches.", m->scored},
        {"assay_first_changed_total", "Searches whose first hit reranking changed.", m->changed},
        {"assay_cached_total", "Of those, taken from the score cache.", m->cached},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        write_number(out, all[i].name, "counter", all[i].help, (double)all[i].value);
}

/* What dashboards made for TEI look for. */
static void write_tei(const assay_metrics *m, assay_writer *out)
{
    write_number(out, "te_request_success", "counter", "Requests that a model answered.",
                 (double)m->answered);
    write_number(out, "te_request_failure", "counter", "Requests that failed.",
                 (double)m->failed);
    write_histogram(out, "te_request_duration", "As assay_request_seconds.", &m->total);
    write_histogram(out, "te_request_queue_duration", "As assay_queue_seconds.", &m->queue);
    write_histogram(out, "te_request_inference_duration", "As assay_engine_seconds.",
                    &m->engine);
}

static void write_recording(const assay_server *server, assay_writer *out)
{
    assay_recording_counts counts;
    if (server->recording == NULL)
        return;
    assay_recording_look(server->recording, &counts);
    write_number(out, "assay_recorded_total", "counter", "Answers recorded.",
                 (double)counts.recorded);
    write_number(out, "assay_record_dropped_total", "counter",
                 "Answers that should have been recorded.", (double)counts.dropped);
    write_head(out, "assay_events_total", "counter", "Events of recorded searches.");
    for (int kind = 0; kind < ASSAY_EVENT_KINDS; kind++)
        assay_write_format(out, "assay_events_total{kind=\"%s\"} %llu\n",
                           assay_event_name((assay_event_kind)kind),
                           (unsigned long long)counts.events[kind]);
    write_number(out, "assay_events_unknown_total", "counter",
                 "Events of searches that are not recorded.", (double)counts.unknown);
}

static void write_traces(const assay_server *server, assay_writer *out)
{
    assay_traces_counts counts;
    if (server->traces == NULL)
        return;
    assay_traces_look(server->traces, &counts);
    write_number(out, "assay_spans_sent_total", "counter", "Requests whose spans were sent.",
                 (double)counts.sent);
    write_number(out, "assay_spans_dropped_total", "counter", "Requests whose spans were not.",
                 (double)counts.dropped);
}

static void write_engine(const assay_server *server, assay_writer *out)
{
    assay_engine_state s;
    assay_engine_look(server->engine, &s);
    write_number(out, "te_queue_size", "gauge", "As assay_queue_jobs.", (double)s.waiting);
    write_number(out, "assay_queue_jobs", "gauge", "Jobs waiting.", (double)s.waiting);
    write_number(out, "assay_queue_tokens", "gauge", "Estimated tokens waiting.",
                 (double)s.waiting_tokens);
    write_number(out, "assay_batches_running", "gauge", "Batches under way.", (double)s.running);
    write_number(out, "assay_batches_total", "counter", "Batches done.", (double)s.batches);
    write_number(out, "assay_batch_tokens_total", "counter", "Estimated tokens of batches.",
                 (double)s.batch_tokens);
    write_number(out, "assay_batch_slices_total", "counter",
                 "Slices of requests that batches were made of.", (double)s.batch_slices);
    write_number(out, "assay_engine_busy_seconds_total", "counter",
                 "Time of batches, summed over engine threads.", s.busy_seconds);
}

void assay_metrics_write(const assay_server *server, assay_writer *out)
{
    assay_metrics *m = server->metrics;
    write_head(out, "assay_info", "gauge", "Version and instruction set.");
    assay_write_format(out, "assay_info{version=\"%s\",cpu=\"%s\"} 1\n", assay_version(),
                       assay_cpu());
    write_number(out, "assay_uptime_seconds", "gauge", "Since the start.",
                 assay_now() - server->started);
    pthread_mutex_lock(&m->lock);
    write_head(out, "assay_requests_total", "counter", "Requests answered.");
    for (size_t i = 0; i < m->request_kinds; i++)
        assay_write_format(out, "assay_requests_total{dialect=\"%s\",status=\"%u\"} %llu\n",
                           m->requests[i].dialect, m->requests[i].status,
                           (unsigned long long)m->requests[i].value);
    write_histogram(out, "assay_request_seconds", "From the first byte to the answer.", &m->total);
    write_histogram(out, "assay_queue_seconds", "Wait for an engine thread.", &m->queue);
    write_histogram(out, "assay_engine_seconds", "From the first batch to the last.", &m->engine);
    write_histogram(out, "assay_search_first_seconds", "Retrieval and fusion.", &m->first);
    write_histogram(out, "assay_search_rerank_seconds", "Reranking in searches.", &m->rerank);
    write_counters(m, out);
    write_on(out, "assay_probability", "What rerankers said of passages.", &deciles,
             &m->probability);
    write_on(out, "assay_lift_places", "Places that reranking raised the hits of a search by, on "
             "average.", &places, &m->lift);
    write_tei(m, out);
    pthread_mutex_unlock(&m->lock);
    write_recording(server, out);
    write_traces(server, out);
    write_engine(server, out);
}
