/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traces.c: see traces.h.
 *
 * A request is one to three spans: that of the request, and below it those of retrieval
 * and of reranking, as long as their work took. Documents are told by their ids and
 * scores, without their text or the question's. The HTTP is plain and by hand: a
 * collector stands on the same machine or in the same pod, and TLS would bring a library.
 */
#include "server/traces.h"

#include <math.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    WAITING_BYTES = 8 << 20, /* most that waits */
    BATCH_MS = 1000,
    SEND_SECONDS = 5,        /* from the first packet to the last, however they drip */
    ANSWER_BYTES = 64 << 10, /* that are read of an answer */
    DOCUMENTS = 20,          /* that a span tells */
};

struct assay_traces {
    char host[256], port[16], path[256];
    pthread_mutex_t lock;
    pthread_cond_t some;
    pthread_t thread;
    bool started, closing, complained;
    assay_writer waiting;   /* spans, parted by commas */
    uint64_t requests;      /* that these are of */
    assay_traces_counts counts;
};

/* ---- The address --------------------------------------------------------------------- */

static assay_status bad_url(assay_error *error, const char *url)
{
    *error = (assay_error){.code = ASSAY_E_ARGUMENT};
    snprintf(error->where, sizeof error->where, "%.200s", url);
    snprintf(error->message, sizeof error->message, "expected http://HOST[:PORT][/path], where a "
             "collector takes OTLP over HTTP; TLS is not spoken here");
    return ASSAY_E_ARGUMENT;
}

static assay_status read_url(assay_traces *t, const char *url, assay_error *error)
{
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : "";
    size_t whole = strcspn(host, "/"), length = strcspn(host, ":/");
    const char *port = host[length] == ':' ? host + length + 1 : "4318";
    size_t digits = host[length] == ':' ? whole - length - 1 : 4;
    const char *path = host[whole] == '/' && host[whole + 1] != '\0' ? host + whole
                                                                     : "/v1/traces";
    if (length == 0 || length >= sizeof t->host || digits == 0 || digits >= sizeof t->port ||
        strspn(port, "0123456789") < digits || strlen(path) >= sizeof t->path ||
        strpbrk(url, " \r\n\t") != NULL)
        return bad_url(error, url);
    memcpy(t->host, host, length);
    memcpy(t->port, port, digits);
    snprintf(t->path, sizeof t->path, "%s", path);
    return ASSAY_OK;
}

/* ---- Sending --------------------------------------------------------------------------- */

/* Lets the next call on the socket take what is left until `end`; false: nothing is. */
static bool limit_time(int fd, int option, double end)
{
    double left = end - assay_now();
    if (left < 0.001)
        return false;
    const struct timeval timeout = {.tv_sec = (time_t)left,
                                    .tv_usec = (suseconds_t)((left - floor(left)) * 1e6)};
    return setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof timeout) == 0;
}

static int connect_to(const assay_traces *t, double end)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1;
    if (getaddrinfo(t->host, t->port, &hints, &list) != 0)
        return -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0)
            continue;
        if (!limit_time(fd, SO_SNDTIMEO, end) ||
            connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static bool send_all(int fd, const char *data, size_t length, double end)
{
    while (length > 0) {
        ssize_t sent = limit_time(fd, SO_SNDTIMEO, end) ? send(fd, data, length, MSG_NOSIGNAL)
                                                        : -1;
        if (sent <= 0)
            return false;
        data += sent;
        length -= (size_t)sent;
    }
    return true;
}

static ssize_t receive(int fd, char *data, size_t length, double end)
{
    return limit_time(fd, SO_RCVTIMEO, end) ? recv(fd, data, length, 0) : -1;
}

/* The first line of the answer says how it went; of the rest some is read, so that closing
 * resets no connection. */
static bool answered_well(int fd, double end)
{
    char text[512], rest[4096];
    size_t length = 0, more = 0;
    ssize_t got;
    while (length < 15 && (got = receive(fd, text + length, sizeof text - 1 - length, end)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    while (more < ANSWER_BYTES && (got = receive(fd, rest, sizeof rest, end)) > 0)
        more += (size_t)got;
    return strncmp(text, "HTTP/1.", 7) == 0 && strncmp(text + 8, " 2", 2) == 0;
}

static void write_resource(assay_writer *out)
{
    assay_write_format(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service."
                       "name\",\"value\":{\"stringValue\":\"assay\"}},{\"key\":\"service.version\","
                       "\"value\":{\"stringValue\":\"%s\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":"
                       "\"assay\"},\"spans\":[", assay_version());
}

static bool send_spans(const assay_traces *t, const assay_writer *spans)
{
    assay_writer body = {0}, head = {0};
    write_resource(&body);
    assay_write_bytes(&body, spans->data, spans->length);
    assay_write(&body, "]}]}]}");
    assay_write_format(&head, "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json"
                       "\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", t->path, t->host,
                       t->port, body.length);
    double end = assay_now() + SEND_SECONDS;
    int fd = body.failed || head.failed ? -1 : connect_to(t, end);
    bool fine = fd >= 0 && send_all(fd, head.data, head.length, end) &&
                send_all(fd, body.data, body.length, end) && answered_well(fd, end);
    if (fd >= 0)
        close(fd);
    assay_writer_free(&head);
    assay_writer_free(&body);
    return fine;
}

/* What waits, taken out. Lock held, let go of while it is sent. */
static void send_waiting(assay_traces *t)
{
    assay_writer spans = t->waiting;
    uint64_t requests = t->requests;
    t->waiting = (assay_writer){0};
    t->requests = 0;
    pthread_mutex_unlock(&t->lock);
    bool sent = send_spans(t, &spans);
    assay_writer_free(&spans);
    pthread_mutex_lock(&t->lock);
    *(sent ? &t->counts.sent : &t->counts.dropped) += requests;
    if (!sent && !t->complained)
        fprintf(stderr, "assay: spans could not be sent to %s:%s%s; more of this is only "
                "counted (assay_spans_dropped_total)\n", t->host, t->port, t->path);
    t->complained = !sent;
}

static void wait_a_while(assay_traces *t)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += BATCH_MS / 1000;
    pthread_cond_timedwait(&t->some, &t->lock, &until);
}

static void *run(void *context)
{
    assay_traces *t = context;
    pthread_mutex_lock(&t->lock);
    while (!t->closing || t->requests > 0) {
        if (!t->closing)
            wait_a_while(t);
        if (t->requests > 0)
            send_waiting(t);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

assay_status assay_traces_open(const char *url, assay_traces **out, assay_error *error)
{
    sigset_t all, before;
    assay_traces *t = calloc(1, sizeof *t);
    if (t == NULL) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    if (read_url(t, url, error) != ASSAY_OK) {
        free(t);
        return error->code;
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->some, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    t->started = pthread_create(&t->thread, NULL, run, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *out = t;
    return ASSAY_OK;
}

void assay_traces_close(assay_traces *t)
{
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    t->closing = true;
    pthread_cond_signal(&t->some);
    pthread_mutex_unlock(&t->lock);
    if (t->started)
        pthread_join(t->thread, NULL);
    assay_writer_free(&t->waiting);
    free(t);
}

void assay_traces_look(assay_traces *t, assay_traces_counts *out)
{
    pthread_mutex_lock(&t->lock);
    *out = t->counts;
    pthread_mutex_unlock(&t->lock);
}

/* ---- Spans -------------------------------------------------------------------------------- */

typedef struct trace {
    char id[33], parent[17]; /* parent "": none */
    long long zero;          /* nanoseconds since 1970 when assay_now() was 0 */
} trace;

static bool is_hex(const char *text, size_t length)
{
    return strspn(text, "0123456789abcdef") >= length &&
           strspn(text, "0") < length; /* all zeros mean none */
}

static void random_hex(char *out, size_t digits)
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != sizeof bytes)
        memset(bytes, 1, sizeof bytes);
    for (size_t i = 0; i < digits / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* "00-TRACE-PARENT-FLAGS" (W3C Trace Context 1), or a new one. False: not to be traced. */
static bool begin_trace(const assay_call *call, trace *t)
{
    const char *given = call->traceparent;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->zero = (long long)now.tv_sec * 1000000000 + now.tv_nsec - (long long)(assay_now() * 1e9);
    t->parent[0] = '\0';
    if (strlen(given) < 55 || given[2] != '-' || given[35] != '-' || given[52] != '-' ||
        !is_hex(given + 3, 32) || !is_hex(given + 36, 16)) {
        random_hex(t->id, 32);
        return true;
    }
    memcpy(t->id, given + 3, 32);
    t->id[32] = '\0';
    memcpy(t->parent, given + 36, 16);
    t->parent[16] = '\0';
    return (strtoul(given + 53, NULL, 16) & 1) != 0;
}

static void begin_span(assay_writer *out, const trace *t, const char *id, const char *parent,
                       const char *name, int kind, double from, double to)
{
    assay_write_mark(out, '{');
    assay_write_name(out, "traceId");
    assay_write_string(out, t->id);
    assay_write_name(out, "spanId");
    assay_write_string(out, id);
    if (parent[0] != '\0') {
        assay_write_name(out, "parentSpanId");
        assay_write_string(out, parent);
    }
    assay_write_name(out, "name");
    assay_write_string(out, name);
    assay_write_format(out, ",\"kind\":%d,\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld"
                       "\",\"attributes\":[", kind, t->zero + (long long)(from * 1e9),
                       t->zero + (long long)(to * 1e9));
}

static void end_span(assay_writer *out, bool failed, const char *message)
{
    assay_write_mark(out, ']');
    if (failed) {
        assay_write_name(out, "status");
        assay_write(out, "{\"code\":2,\"message\":");
        assay_write_string(out, message);
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, '}');
}

static void begin_attribute(assay_writer *out, const char *key, const char *kind)
{
    assay_write_mark(out, '{');
    assay_write_name(out, "key");
    assay_write_string(out, key);
    assay_write_name(out, "value");
    assay_write_mark(out, '{');
    assay_write_name(out, kind);
}

static void put_text(assay_writer *out, const char *key, const char *value)
{
    begin_attribute(out, key, "stringValue");
    assay_write_string(out, value);
    assay_write(out, "}}");
}

static void put_count(assay_writer *out, const char *key, uint64_t value)
{
    begin_attribute(out, key, "intValue");
    assay_write_format(out, "\"%llu\"", (unsigned long long)value);
    assay_write(out, "}}");
}

/* Document i of a list, as OpenInference flattens it. */
static void put_document(assay_writer *out, const char *list, size_t i, const char *id,
                         float score)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%zu.document.id", list, i);
    put_text(out, key, id);
    if (!isfinite(score))
        return;
    snprintf(key, sizeof key, "%s.%zu.document.score", list, i);
    begin_attribute(out, key, "doubleValue");
    assay_write_float(out, score);
    assay_write(out, "}}");
}

static void span_of_request(assay_writer *out, const trace *t, const char *id,
                            const assay_call *call, double now)
{
    char name[300];
    snprintf(name, sizeof name, "%.20s %.200s", call->method,
             call->route != NULL ? call->route->path : "?");
    begin_span(out, t, id, t->parent, name, 2, call->begun, now);
    put_text(out, "http.request.method", call->method);
    put_text(out, "http.route", call->route != NULL ? call->route->path : "?");
    put_count(out, "http.response.status_code", call->status);
    put_text(out, "assay.dialect", call->dialect->name);
    put_text(out, "assay.request_id", call->id);
    end_span(out, call->status >= 500, call->message);
}

static void span_of_retrieval(assay_writer *out, const trace *t, const char *parent,
                              const assay_call *call)
{
    char id[17];
    const assay_result *result = &call->job.results[0];
    random_hex(id, 16);
    begin_span(out, t, id, parent, "retrieve", 1, call->job.begun_at,
               call->job.begun_at + result->first_seconds);
    put_text(out, "openinference.span.kind", "RETRIEVER");
    put_text(out, "assay.collection", call->collection);
    put_count(out, "assay.candidates", result->candidates);
    for (size_t i = 0; i < result->count && i < DOCUMENTS; i++) {
        const assay_hit *hit = &result->hits[i];
        if (hit->rank_first >= 1 && hit->rank_first <= DOCUMENTS)
            put_document(out, "retrieval.documents", hit->rank_first - 1, hit->document,
                         hit->score_first);
    }
    end_span(out, false, NULL);
}

static void span_of_search(assay_writer *out, const trace *t, const char *parent,
                           const assay_call *call)
{
    char id[17];
    const assay_result *result = &call->job.results[0];
    double from = call->job.begun_at + result->first_seconds;
    random_hex(id, 16);
    begin_span(out, t, id, parent, "rerank", 1, from, from + result->rerank_seconds);
    put_text(out, "openinference.span.kind", "RERANKER");
    put_text(out, "reranker.model_name", call->pipeline);
    put_count(out, "reranker.top_k", call->shown);
    for (size_t i = 0; i < call->hit_count && i < call->shown && i < DOCUMENTS; i++)
        put_document(out, "reranker.output_documents", i, call->hits[i].hit->document,
                     call->hits[i].hit->score);
    end_span(out, result->degraded.code != ASSAY_OK, result->degraded.message);
}

static void span_of_ranking(assay_writer *out, const trace *t, const char *parent,
                            const assay_call *call)
{
    char id[17], name[24];
    random_hex(id, 16);
    begin_span(out, t, id, parent, "rerank", 1, call->job.begun_at, call->job.done_at);
    put_text(out, "openinference.span.kind", "RERANKER");
    put_text(out, "reranker.model_name", call->model->name);
    put_count(out, "reranker.top_k", call->ranking.shown);
    put_count(out, "llm.token_count.total", call->job.tokens);
    for (size_t i = 0; i < call->ranking.count && i < DOCUMENTS; i++) {
        snprintf(name, sizeof name, "%zu", i);
        put_document(out, "reranker.input_documents", i, name, NAN);
    }
    for (size_t i = 0; i < call->ranking.shown && i < DOCUMENTS; i++) {
        size_t document = call->ranking.order[i];
        snprintf(name, sizeof name, "%zu", document);
        put_document(out, "reranker.output_documents", i, name,
                     assay_ranking_score(call, document));
    }
    end_span(out, false, NULL);
}

static void write_spans(assay_writer *out, const assay_call *call)
{
    trace t;
    char id[17];
    if (!begin_trace(call, &t))
        return;
    random_hex(id, 16);
    span_of_request(out, &t, id, call, assay_now());
    if (call->fault != ASSAY_FAULT_NONE || !call->submitted)
        return;
    if (call->hits != NULL) {
        span_of_retrieval(out, &t, id, call);
        if (call->job.results[0].stage_count > 0)
            span_of_search(out, &t, id, call);
    } else if (call->ranking.order != NULL) {
        span_of_ranking(out, &t, id, call);
    }
}

void assay_traces_take(assay_traces *t, const assay_call *call)
{
    assay_writer spans = {0};
    write_spans(&spans, call);
    pthread_mutex_lock(&t->lock);
    bool room = !spans.failed && t->waiting.length + spans.length < WAITING_BYTES;
    if (spans.length > 0 && room) {
        if (t->waiting.length > 0)
            assay_write_bytes(&t->waiting, ",", 1);
        assay_write_bytes(&t->waiting, spans.data, spans.length);
        t->requests++;
    }
    t->counts.dropped += !room;
    pthread_mutex_unlock(&t->lock);
    assay_writer_free(&spans);
}
