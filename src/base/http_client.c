/* SPDX-License-Identifier: Apache-2.0 */
/* http_client.c: see http_client.h. HTTP is libcurl's, and so is waiting for several sockets at
 * once (its multi interface); what is here is when to send what again. */
#include "base/http_client.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/curl.h"
#include "base/hash.h"

static const double first_wait = 0.5;    /* seconds; doubled each time */
static const double longest_wait = 30;   /* of ours */
static const double longest_asked = 120; /* that Retry-After may ask for */
static const double glance = 1;          /* seconds between looks at the clock */

struct assay_http {
    char *url;
    char *key;
    char host[256];
    assay_http_limits limits;
    CURLM *multi;              /* keeps connections */
    struct curl_slist *headers;
    CURL **handles;            /* [parallel] */
    bool reached;              /* some request was answered */
};

/* A request on its way. */
typedef enum phase { TO_SEND, SENT, DONE } phase;

typedef struct flight {
    assay_http *http;
    assay_http_request *request;
    phase phase;
    double after;  /* TO_SEND: not before */
    double begun;  /* SENT */
    CURL *handle;  /* SENT */
    bool too_long; /* the answer */
} flight;

/* ---------------------------------------------------------------- opening */

/* A key is printable and without spaces; what is wrong with it is not shown. */
static assay_status check_key(const char *key, assay_error *error)
{
    for (const char *c = key; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7F)
            return assay_fail(error, ASSAY_E_ARGUMENT, "key",
                              "holds characters that no key has");
    return ASSAY_OK;
}

static assay_status check_url(const char *url, assay_error *error)
{
    bool web = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    const char *host = web ? strstr(url, "://") + 3 : url;
    bool good = web && *host != '\0' && *host != '/' && strpbrk(host, "?#") == NULL;
    for (const char *c = url; good && *c != '\0'; c++)
        good = *c > 0x20 && *c < 0x7F;
    if (!good) /* not shown: it may hold a password */
        return assay_fail(error, ASSAY_E_ARGUMENT, "url",
                          "expected http:// or https:// and a host, as http://127.0.0.1:8080/v1");
    if (memchr(host, '@', strcspn(host, "/")) != NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "url",
                          "holds a password; a key is taken from the environment or a file");
    return ASSAY_OK;
}

static assay_status open_handles(assay_http *http, const char *url, const char *key,
                                 assay_error *error)
{
    http->url = strdup(url);
    http->key = strdup(key);
    http->multi = assay_curl.curl_multi_init();
    http->handles = calloc(http->limits.parallel, sizeof *http->handles);
    http->headers = assay_curl.curl_slist_append(NULL, "Content-Type: application/json");
    bool whole = http->url && http->key && http->multi && http->handles && http->headers;
    for (uint32_t i = 0; whole && i < http->limits.parallel; i++)
        whole = (http->handles[i] = assay_curl.curl_easy_init()) != NULL;
    return whole ? ASSAY_OK : assay_fail_memory(error, sizeof *http);
}

assay_status assay_http_open(const char *url, const char *key, assay_http_limits limits,
                             assay_http **out, assay_error *error)
{
    ASSAY_TRY(check_url(url, error));
    ASSAY_TRY(check_key(key, error));
    ASSAY_TRY(assay_curl_start(error));
    assay_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return assay_fail_memory(error, sizeof *http);
    http->limits = limits;
    assay_curl_host(url, http->host);
    assay_status status = open_handles(http, url, key, error);
    if (status != ASSAY_OK) {
        assay_http_close(http);
        return status;
    }
    *out = http;
    return ASSAY_OK;
}

void assay_http_close(assay_http *http)
{
    if (http == NULL)
        return;
    for (uint32_t i = 0; http->handles != NULL && i < http->limits.parallel; i++)
        if (http->handles[i] != NULL)
            assay_curl.curl_easy_cleanup(http->handles[i]);
    if (http->multi != NULL)
        assay_curl.curl_multi_cleanup(http->multi);
    assay_curl.curl_slist_free_all(http->headers);
    if (http->key != NULL)
        explicit_bzero(http->key, strlen(http->key));
    free(http->handles);
    free(http->key);
    free(http->url);
    free(http);
}

/* ---------------------------------------------------------------- sending */

static size_t on_body(char *data, size_t unit, size_t count, void *context)
{
    flight *f = context;
    size_t length = unit * count;
    assay_buffer_append(&f->request->answer, data, length);
    f->too_long = f->request->answer.failed != ASSAY_OK;
    return f->too_long ? length + 1 : length;
}

static CURL *free_handle(assay_http *http, const flight *flights, size_t count)
{
    for (uint32_t i = 0; i < http->limits.parallel; i++) {
        bool used = false;
        for (size_t j = 0; j < count && !used; j++)
            used = flights[j].handle == http->handles[i];
        if (!used)
            return http->handles[i];
    }
    return NULL;
}

static void send_one(flight *f, CURL *handle, double now)
{
    assay_http *http = f->http;
    assay_http_request *r = f->request;
    assay_buffer_clear(&r->answer);
    f->handle = handle;
    f->phase = SENT;
    f->begun = now;
    f->too_long = false;
    r->attempts++;
    r->code = 0;
    assay_curl_prepare(handle, http->url);
    assay_curl.curl_easy_setopt(handle, CURLOPT_PRIVATE, f);
    assay_curl.curl_easy_setopt(handle, CURLOPT_HTTPHEADER, http->headers);
    assay_curl.curl_easy_setopt(handle, CURLOPT_POSTFIELDS, r->body);
    assay_curl.curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_length);
    assay_curl.curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    assay_curl.curl_easy_setopt(handle, CURLOPT_WRITEDATA, f);
    /* Of the attempt alone. Deadlines are the loop's: libcurl counts whole milliseconds, and may
     * end one that is given to it before it is reached. */
    assay_curl.curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
                                (long)fmax(1, ceil(http->limits.timeout * 1e3)));
    if (http->key[0] != '\0') {
        assay_curl.curl_easy_setopt(handle, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        assay_curl.curl_easy_setopt(handle, CURLOPT_XOAUTH2_BEARER, http->key);
    }
    assay_curl.curl_multi_add_handle(http->multi, handle);
}

/* --------------------------------------------------------------- verdicts */

/* The first words of an answer that is no success: services say there why. */
static void excerpt(const assay_buffer *answer, char text[161])
{
    size_t length = 0;
    for (size_t i = 0; i < answer->length && length < 160; i++) {
        char c = answer->data[i];
        bool space = c == ' ' || (c >= '\t' && c <= '\r');
        if (space && length > 0 && text[length - 1] == ' ')
            continue;
        if (!space && (c < 0x20 || c >= 0x7F))
            continue;
        text[length++] = space ? ' ' : c;
    }
    text[length] = '\0';
}

static assay_status fail_one(flight *f, const char *reason)
{
    return f->request->status =
               assay_fail(&f->request->error, ASSAY_E_NETWORK, f->http->host, "%s", reason);
}

/* What all others would get, too. */
static bool is_final(long code)
{
    return code == 401 || code == 403 || code == 404;
}

static void judge_code(flight *f)
{
    char said[161];
    assay_http_request *r = f->request;
    excerpt(&r->answer, said);
    const char *hint = r->code == 401 || r->code == 403 ? " (is the key right?)"
                       : r->code == 404 ? " (is the URL right? it ends with /v1 mostly)"
                                        : "";
    r->status = assay_fail(&r->error, ASSAY_E_NETWORK, f->http->host, "HTTP %ld%s: %s", r->code,
                           hint, said);
}

/* Decides on the transfer that has ended. *again: it is worth another attempt.
 * *final: so is none of the others. */
static void judge(flight *f, CURLcode result, bool *again, bool *final)
{
    assay_http *http = f->http;
    assay_http_request *r = f->request;
    assay_curl.curl_easy_getinfo(f->handle, CURLINFO_RESPONSE_CODE, &r->code);
    http->reached = http->reached || r->code > 0;
    *again = *final = false;
    if (f->too_long) {
        fail_one(f, "the answer is longer than any should be");
    } else if (result != CURLE_OK) {
        *again = assay_curl_passing_failure(result, http->reached);
        *final = !*again && !http->reached;
        fail_one(f, assay_curl.curl_easy_strerror(result));
    } else if (r->code >= 200 && r->code < 300) {
        r->status = ASSAY_OK;
    } else {
        r->refused = r->code == 500 && r->refusal != NULL && r->answer.data != NULL &&
                     strstr(r->answer.data, r->refusal) != NULL;
        *again = assay_curl_passing_code(r->code) && !r->refused;
        *final = is_final(r->code);
        judge_code(f);
    }
}

/* 0.5 .. 1, so that those who failed together do not come back together. */
static double spread(const flight *f, double now)
{
    const double seed[] = {now, (double)(uintptr_t)f};
    return 0.5 + 0.5 * (double)(assay_hash64(seed, sizeof seed) >> 11) / 9007199254740992.0;
}

/* Seconds until the next attempt; negative: not worth the wait. */
static double next_wait(const flight *f, double now, double deadline)
{
    curl_off_t asked = 0;
    double wait = fmin(first_wait * (double)(1u << (f->request->attempts - 1)), longest_wait);
    wait *= spread(f, now);
    if (assay_curl_passing_code(f->request->code))
        assay_curl.curl_easy_getinfo(f->handle, CURLINFO_RETRY_AFTER, &asked);
    if (asked > 0)
        wait = (double)asked;
    return wait > longest_asked || now + wait >= deadline ? -1 : wait;
}

static void finish(flight *f, double now)
{
    if (f->handle != NULL)
        assay_curl.curl_multi_remove_handle(f->http->multi, f->handle);
    f->handle = NULL;
    f->phase = DONE;
    f->request->seconds = now - f->begun;
}

/* ---------------------------------------------------------------- the loop */

typedef struct traffic {
    assay_http *http;
    flight *flights; /* [count] */
    size_t count;
    double deadline;
} traffic;

static void give_up(traffic *t, double now, const char *reason, bool those_sent)
{
    for (size_t i = 0; i < t->count; i++) {
        flight *f = &t->flights[i];
        if (f->phase == DONE || (f->phase == SENT && !those_sent))
            continue;
        if (f->request->attempts == 0 || those_sent)
            fail_one(f, reason);
        finish(f, now);
    }
}

/* Whether there was one. */
static bool take_ended(traffic *t)
{
    CURLMsg *message;
    bool some = false;
    int left;
    while ((message = assay_curl.curl_multi_info_read(t->http->multi, &left)) != NULL) {
        flight *f = NULL;
        bool again, final;
        double now = assay_seconds();
        if (message->msg != CURLMSG_DONE)
            continue;
        some = true;
        assay_curl.curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        judge(f, message->data.result, &again, &final);
        double wait = again && f->request->attempts < t->http->limits.attempts
                          ? next_wait(f, now, t->deadline) : -1;
        finish(f, now);
        if (wait >= 0) {
            f->phase = TO_SEND;
            f->after = now + wait;
        }
        if (final)
            give_up(t, now, f->request->error.message, false);
    }
    return some;
}

/* Sends what is due and there is room for; *next is when something will be. */
static size_t send_due(traffic *t, double now, double *next)
{
    size_t open = 0, sent = 0;
    *next = now + glance;
    for (size_t i = 0; i < t->count; i++)
        sent += t->flights[i].phase == SENT;
    for (size_t i = 0; i < t->count; i++) {
        flight *f = &t->flights[i];
        open += f->phase != DONE;
        if (f->phase != TO_SEND || sent >= t->http->limits.parallel)
            continue;
        if (f->after > now) {
            *next = fmin(*next, f->after);
            continue;
        }
        send_one(f, free_handle(t->http, t->flights, t->count), now);
        sent++;
    }
    *next = fmin(*next, t->deadline);
    return open;
}

static void run(traffic *t)
{
    int running;
    double next;
    assay_quiet quiet;
    assay_quiet_begin(&quiet);
    for (;;) {
        double now = assay_seconds();
        if (now >= t->deadline)
            give_up(t, now, "no time was left for an answer", true);
        if (send_due(t, now, &next) == 0)
            break;
        if (assay_curl.curl_multi_perform(t->http->multi, &running) != CURLM_OK)
            give_up(t, now, "libcurl cannot go on", true);
        if (take_ended(t))
            continue;
        int wait = (int)fmax(0, ceil((next - assay_seconds()) * 1e3));
        assay_curl.curl_multi_poll(t->http->multi, NULL, 0, wait, NULL);
    }
    assay_quiet_end(&quiet);
}

assay_status assay_http_post(assay_http *http, assay_http_request *requests, size_t count,
                             double deadline, assay_error *error)
{
    traffic t = {.http = http, .count = count, .deadline = deadline};
    t.flights = calloc(count + 1, sizeof *t.flights);
    if (t.flights == NULL)
        return assay_fail_memory(error, count * sizeof *t.flights);
    for (size_t i = 0; i < count; i++) {
        t.flights[i] = (flight){.http = http, .request = &requests[i]};
        assay_buffer_init(&requests[i].answer, http->limits.answer_bytes);
        requests[i].status = ASSAY_E_NETWORK;
        requests[i].attempts = 0;
        requests[i].code = 0;
        requests[i].refused = false;
        requests[i].error = (assay_error){0};
    }
    run(&t);
    free(t.flights);
    return ASSAY_OK;
}
