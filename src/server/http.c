/* SPDX-License-Identifier: Apache-2.0 */
/* http.c: see http.h. HTTP is RFC 9110's and 9112's, as libmicrohttpd speaks it. */
#include "server/http.h"
#include "server/acceptor.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "server/microhttp.h"
#include "server/recording.h"
#include "server/traces.h"

enum {
    HTTP_THREADS = 2,
    SPARE_CONNECTIONS = 4096,
    CONNECTION_MEMORY = 32 * 1024, /* for the header */
    JSON_DEPTH = 32,
    IDLE_SECONDS = 75,     /* a connection without a request, or a request without an end */
    RECEIVE_SECONDS = 30,  /* for a body, and a second more for every */
    RECEIVE_BYTES = 16384, /* so many bytes */
    SEND_SECONDS = 60,
    LEFT_SECONDS = 1,      /* before a connection without a client is closed */
    ENDING_SECONDS = 5,    /* for sending and reading, when the server ends */
};

/* A connection and what it is waiting for. */
typedef enum peer_state {
    PEER_IDLE, /* for the next request */
    PEER_RECEIVING,
    PEER_WORKING,
    PEER_SENDING,
} peer_state;

typedef struct peer {
    struct peer *next, *before;
    int socket;
    peer_state state;
    double since;
    uint64_t bytes; /* expected, while receiving */
} peer;

typedef struct assay_listener {
    struct MHD_Daemon *daemon;
    assay_acceptor *acceptor; /* NULL: takes no more connections */
} assay_listener;

static pthread_mutex_t peers_lock = PTHREAD_MUTEX_INITIALIZER;
static peer *peers; /* of all listeners: one server a process */
static atomic_size_t active;

/* ------------------------------------------------------------------- peers */

static int socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        assay_http.MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

static peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        assay_http.MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void set_state(struct MHD_Connection *connection, peer_state state, uint64_t bytes)
{
    peer *p = peer_of(connection);
    if (p == NULL)
        return;
    pthread_mutex_lock(&peers_lock);
    p->state = state;
    p->since = assay_now();
    p->bytes = bytes;
    pthread_mutex_unlock(&peers_lock);
}

static void on_connection(void *context, struct MHD_Connection *connection,
                          void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    (void)context;
    peer *p = *socket_context;
    pthread_mutex_lock(&peers_lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED && (p = calloc(1, sizeof *p)) != NULL) {
        *p = (peer){.next = peers, .socket = socket_of(connection), .since = assay_now()};
        if (peers != NULL)
            peers->before = p;
        peers = p;
        *socket_context = p;
    } else if (code == MHD_CONNECTION_NOTIFY_CLOSED && p != NULL) {
        if (p->next != NULL)
            p->next->before = p->before;
        *(p->before != NULL ? &p->before->next : &peers) = p->next;
        free(p);
        *socket_context = NULL;
    }
    pthread_mutex_unlock(&peers_lock);
}

static double patience(const peer *p)
{
    switch (p->state) {
    case PEER_RECEIVING:
        return RECEIVE_SECONDS + (double)p->bytes / RECEIVE_BYTES;
    case PEER_SENDING:
        return SEND_SECONDS;
    case PEER_IDLE:
    case PEER_WORKING:
        break;
    }
    return IDLE_SECONDS;
}

/* Whether the other side has closed while a request was awaited. libmicrohttpd
 * (0.9.75, epoll) does not notice where the end came with the last bytes. */
static bool peer_left(const peer *p, double now)
{
    struct pollfd look = {.fd = p->socket, .events = POLLRDHUP};
    bool awaited = p->state == PEER_IDLE || p->state == PEER_RECEIVING;
    return awaited && now - p->since > LEFT_SECONDS && poll(&look, 1, 0) > 0 &&
           (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* A server that ends waits for its own work, not for those who drip. */
static bool peer_delays(const assay_server *server, const peer *p, double now)
{
    return atomic_load(&server->draining) && p->state != PEER_IDLE &&
           now - server->drain_begun > ENDING_SECONDS && now - p->since > ENDING_SECONDS;
}

void assay_http_sweep(assay_server *server)
{
    double now = assay_now();
    pthread_mutex_lock(&peers_lock);
    for (peer *p = peers; p != NULL; p = p->next) {
        if (p->state != PEER_WORKING && (now - p->since > patience(p) || peer_left(p, now) ||
                                         peer_delays(server, p, now)))
            shutdown(p->socket, SHUT_RDWR); /* libmicrohttpd sees the end, and closes it */
    }
    pthread_mutex_unlock(&peers_lock);
}

/* -------------------------------------------------------------------- calls */

/* A request's own id, where it is fit to be repeated in a log, or a new one. */
static void name_call(assay_call *call)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *asked = assay_call_asked(call, "X-Request-Id");
    size_t length = asked != NULL ? strlen(asked) : 0;
    if (length > 0 && length < sizeof call->id && strspn(asked, fit) == length) {
        memcpy(call->id, asked, length + 1);
        return;
    }
    /* By chance: whoever knows one knows no other, to tell events of, and servers that record
     * into the same file do not give the same. */
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = atomic_fetch_add(&call->server->calls, 1);
    snprintf(call->id, sizeof call->id, "%llx-%016llx",
             (unsigned long long)call->server->started_at, (unsigned long long)number);
}

static void name_remote(assay_call *call)
{
    const union MHD_ConnectionInfo *info = assay_http.MHD_get_connection_info(
        call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
    if (address == NULL || address->sa_family == AF_UNIX)
        snprintf(call->remote, sizeof call->remote, "unix");
    else if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                  call->remote, sizeof call->remote);
    else
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                  call->remote, sizeof call->remote);
}

assay_call *assay_http_call(assay_server *server, void *connection, const char *method,
                            const char *path)
{
    assay_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->server = server;
    call->connection = connection;
    call->method = method;
    call->path = path;
    call->begun = assay_now();
    call->status = 200;
    call->type = "application/json";
    call->truncate = true;
    call->grant.writes = call->grant.reports = server->keys == NULL;
    name_call(call);
    name_remote(call);
    const char *parent = server->traces != NULL ? assay_call_asked(call, "traceparent") : NULL;
    snprintf(call->traceparent, sizeof call->traceparent, "%.63s", parent != NULL ? parent : "");
    atomic_fetch_add(&active, 1);
    return call;
}

void assay_http_free(assay_call *call)
{
    for (size_t i = 0; i < call->kept_count; i++)
        free(call->kept[i]);
    free(call->kept);
    free(call->pairs);
    free(call->texts);
    free(call->job.scores);
    free(call->job.vectors);
    free(call->job.infos);
    for (size_t i = 0; call->job.explanations != NULL && i < call->job.explain; i++)
        assay_explanation_free(&call->job.explanations[i]);
    free(call->job.explanations);
    assay_result_free(&call->job.results[0]);
    assay_result_free(&call->job.results[1]);
    assay_shelf_release(call->shelved);
    assay_models_release(&call->server->models, call->models);
    json_decref(call->json);
    free(call->body);
    assay_writer_free(&call->out);
    assay_writer_free(&call->headers);
    free(call);
    atomic_fetch_sub(&active, 1);
}

const char *assay_call_asked(const assay_call *call, const char *name)
{
    return assay_http.MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *assay_call_parameter(const assay_call *call, const char *name)
{
    return assay_http.MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

void assay_http_suspend(assay_call *call)
{
    set_state(call->connection, PEER_WORKING, 0);
    call->suspended = true;
    assay_http.MHD_suspend_connection(call->connection);
}

void assay_http_resume(assay_call *call)
{
    assay_http.MHD_resume_connection(call->connection);
}

int assay_http_socket(const assay_call *call)
{
    return socket_of(call->connection);
}

/* ---------------------------------------------------------------- the answer */

/* The lines of call->headers, onto the response. */
static void add_headers(struct MHD_Response *response, assay_call *call)
{
    char *line = call->headers.data, *end = line != NULL ? line + call->headers.length : line;
    assay_http.MHD_add_response_header(response, "Content-Type", call->type);
    assay_http.MHD_add_response_header(response, "X-Request-Id", call->id);
    assay_http.MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (call->close || atomic_load(&call->server->draining))
        assay_http.MHD_add_response_header(response, "Connection", "close");
    while (line != NULL && line < end) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        char *value = stop != NULL ? memchr(line, ':', (size_t)(stop - line)) : NULL;
        if (value == NULL)
            return;
        *value = *stop = '\0';
        assay_http.MHD_add_response_header(response, line, value + 2);
        line = stop + 1;
    }
}

void assay_http_finish(assay_call *call)
{
    if ((call->suspended || call->submitted) && call->fault == ASSAY_FAULT_NONE)
        call->route->finish(call);
    call->suspended = false;
    if (call->fault == ASSAY_FAULT_NONE && call->out.failed)
        assay_call_fail_memory(call);
    if (call->fault == ASSAY_FAULT_NONE)
        return;
    call->out.length = 0;
    call->type = "application/json";
    call->dialect->fail(call);
}

static enum MHD_Result send_answer(assay_call *call)
{
    assay_http_finish(call);
    if (call->headers.failed || call->out.failed)
        return MHD_NO;
    struct MHD_Response *response = assay_http.MHD_create_response_from_buffer(
        call->out.length, call->out.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        return MHD_NO;
    call->out.data = NULL; /* the response's now; its length is for the log */
    add_headers(response, call);
    set_state(call->connection, PEER_SENDING, 0);
    enum MHD_Result result =
        assay_http.MHD_queue_response(call->connection, call->status, response);
    assay_http.MHD_destroy_response(response);
    return result;
}

/* ---------------------------------------------------------------- the request */

/* The key in one of the places where clients of the dialects put it. */
static const char *key_asked(const assay_call *call)
{
    const char *value = assay_call_asked(call, "Authorization");
    if (value != NULL && strncasecmp(value, "Bearer ", 7) == 0)
        return value + 7;
    if (value != NULL && strncasecmp(value, "ApiKey ", 7) == 0)
        return value + 7;
    if ((value = assay_call_asked(call, "X-Api-Key")) != NULL)
        return value;
    return assay_call_asked(call, "Api-Key");
}

static bool check_key(assay_call *call)
{
    static const char *const limits[] = {
        [ASSAY_KEY_RATE] = "more requests a minute than the key allows",
        [ASSAY_KEY_BUSY] = "more requests at a time than the key allows",
        [ASSAY_KEY_REQUESTS] = "the key's requests of the day are used up",
        [ASSAY_KEY_TOKENS] = "the key's tokens of the day are used up",
    };
    unsigned retry_after = 1;
    if (call->server->keys == NULL || (call->route->flags & ASSAY_ROUTE_OPEN) != 0)
        return true;
    const char *key = key_asked(call);
    assay_key_answer answer = ASSAY_KEY_UNKNOWN;
    if (key != NULL)
        answer = assay_keys_ask(call->server->keys, key, assay_now(), (int64_t)time(NULL),
                                &call->grant, &retry_after);
    if (limits[answer] != NULL) {
        assay_call_header(call, "Retry-After", "%u", retry_after);
        return assay_call_fail(call, ASSAY_FAULT_RATE, NULL, "%s", limits[answer]);
    }
    if (answer == ASSAY_KEY_UNKNOWN) {
        assay_call_header(call, "WWW-Authenticate", "Bearer");
        return assay_call_fail(call, ASSAY_FAULT_KEY, NULL, key != NULL ? "invalid API key"
                                                                        : "no API key given");
    }
    if ((call->route->flags & ASSAY_ROUTE_REPORT) != 0 && !call->grant.reports)
        return assay_call_fail(call, ASSAY_FAULT_FORBIDDEN, NULL,
                               "this API key may not read the report: 'report' on its line lets "
                               "it");
    return true;
}

/* Browsers let a page of any site send a body without asking, where it looks like a form's,
 * and only tell so: it could write documents, or events. */
static bool check_site(assay_call *call)
{
    const char *site = assay_call_asked(call, "Sec-Fetch-Site");
    if (site == NULL || strcmp(site, "cross-site") != 0 || strcmp(call->method, "GET") == 0)
        return true;
    return assay_call_fail(call, ASSAY_FAULT_FORBIDDEN, NULL,
                           "pages of other sites may not ask this server");
}

static bool check_length(assay_call *call)
{
    const char *length = assay_call_asked(call, "Content-Length");
    call->body_expected = length != NULL ? strtoull(length, NULL, 10) : 0;
    size_t most = atomic_load(&call->server->limits.max_body);
    if (call->body_expected > most)
        return assay_call_fail(call, ASSAY_FAULT_TOO_LARGE, NULL,
                               "the body has more than %zu bytes", most);
    return true;
}

/* What can be said before the body is there. */
static bool open_call(assay_call *call)
{
    bool found = assay_route_find(call);
    if (!found && call->allowed[0] != '\0') {
        assay_call_header(call, "Allow", "%s", call->allowed);
        return assay_call_fail(call, ASSAY_FAULT_METHOD, NULL, "%.20s is not a method of %.200s",
                               call->method, call->path);
    }
    if (!found) {
        if (call->dialect == NULL)
            call->dialect = &assay_dialect_own;
        return assay_call_fail(call, ASSAY_FAULT_PATH, NULL, "there is nothing at %.200s",
                               call->path);
    }
    return check_site(call) && check_key(call);
}

/* Nesting of a body: Jansson goes two thousand deep, and no request needs that. */
static bool too_deep(const char *data, size_t length)
{
    size_t depth = 0;
    bool string = false;
    for (size_t i = 0; i < length; i++) {
        char c = data[i];
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static bool check_type(assay_call *call)
{
    const char *type = assay_call_asked(call, "Content-Type");
    if (type == NULL || strncasecmp(type, "application/json", 16) == 0 ||
        strncasecmp(type, "application/vnd.elasticsearch+json", 34) == 0 ||
        strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0) /* curl's default */
        return true;
    return assay_call_fail(call, ASSAY_FAULT_MEDIA, NULL,
                           "Expected request with `Content-Type: application/json`");
}

static bool read_json(assay_call *call)
{
    json_error_t reason;
    if (!check_type(call))
        return false;
    if (call->body_length == 0)
        return assay_call_fail(call, ASSAY_FAULT_JSON, NULL, "the body is empty");
    if (too_deep(call->body, call->body_length))
        return assay_call_fail(call, ASSAY_FAULT_JSON, NULL, "nested more than %d deep",
                               JSON_DEPTH);
    call->json = json_loadb(call->body, call->body_length, JSON_ALLOW_NUL, &reason);
    free(call->body);
    call->body = NULL;
    if (call->json == NULL)
        return assay_call_fail(call, ASSAY_FAULT_JSON, NULL, "line %d column %d: %s",
                               reason.line, reason.column, reason.text);
    bool list = (call->route->flags & ASSAY_ROUTE_LIST) != 0 && json_is_array(call->json);
    if (!json_is_object(call->json) && !list)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, NULL, "expected a JSON object");
    return true;
}

void assay_http_begin(assay_call *call)
{
    if (strcmp(call->method, "POST") == 0) {
        if (!read_json(call))
            return;
        assay_route_choose(call);
    }
    call->route->begin(call);
}

static bool grow_body(assay_call *call, size_t size)
{
    if (call->body_length + size <= call->body_capacity)
        return true;
    size_t capacity = call->body_capacity * 2 + size;
    if (capacity < call->body_expected)
        capacity = call->body_expected; /* at most max_body */
    char *body = realloc(call->body, capacity);
    if (body == NULL)
        return assay_call_fail_memory(call);
    call->body = body;
    call->body_capacity = capacity;
    return true;
}

/* Takes a piece of the body; after a fault it is only counted. False when the
 * connection is to be cut, as more comes and comes. */
static bool take_body(assay_call *call, const char *data, size_t size)
{
    size_t most = atomic_load(&call->server->limits.max_body);
    if (call->fault == ASSAY_FAULT_NONE && call->body_length + size > most)
        assay_call_fail(call, ASSAY_FAULT_TOO_LARGE, NULL, "the body has more than %zu bytes",
                        most);
    if (call->fault == ASSAY_FAULT_NONE && grow_body(call, size))
        memcpy(call->body + call->body_length, data, size);
    call->body_length += size;
    return call->body_length <= 2 * most;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *data, size_t *size, void **place)
{
    (void)version;
    assay_call *call = *place;
    if (call == NULL) {
        *place = call = assay_http_call(context, connection, method, path);
        if (call == NULL)
            return MHD_NO;
        bool fine = open_call(call) && check_length(call);
        set_state(connection, PEER_RECEIVING, call->body_expected);
        if (fine || call->body_expected <= 2ull * atomic_load(&call->server->limits.max_body))
            return MHD_YES; /* most clients hear of a fault only when they have sent all */
        call->close = true;
        return send_answer(call);
    }
    if (*size > 0) {
        bool stays = take_body(call, data, *size);
        *size = 0;
        return stays ? MHD_YES : MHD_NO;
    }
    if (call->suspended) /* no longer: the job is done, or was refused */
        return send_answer(call);
    if (call->fault == ASSAY_FAULT_NONE)
        assay_http_begin(call);
    return call->suspended ? MHD_YES : send_answer(call);
}

/* ---------------------------------------------------------------------- log */

static void write_times(assay_writer *line, const assay_call *call, double now)
{
    const assay_job *job = &call->job;
    assay_write_name(line, "ms");
    assay_write_double(line, (now - call->begun) * 1e3);
    if (!call->submitted)
        return;
    double begun = job->begun_at > 0 ? job->begun_at : job->done_at;
    assay_write_name(line, "queue_ms");
    assay_write_double(line, (begun - job->queued_at) * 1e3);
    assay_write_name(line, "engine_ms");
    assay_write_double(line, (job->done_at - begun) * 1e3);
    assay_write_name(line, "items");
    assay_write_count(line, job->count);
    assay_write_name(line, "tokens");
    assay_write_count(line, job->tokens);
    assay_write_name(line, "truncated");
    assay_write_count(line, job->truncated);
}

/* One line, written at once: lines of several threads do not mix. */
static void log_call(const assay_call *call, double now)
{
    assay_writer line = {0};
    char date[32];
    time_t seconds = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    const struct {
        const char *name, *value;
    } texts[] = {
        {"time", date},
        {"id", call->id},
        {"remote", call->remote},
        {"key", call->grant.name},
        {"method", call->method},
        {"path", call->path},
        {"dialect", call->dialect->name},
        {"model", call->model != NULL ? call->model->name : ""},
        {"fault", call->message},
    };
    assay_write_mark(&line, '{');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].value[0] == '\0')
            continue;
        assay_write_name(&line, texts[i].name);
        assay_write_string(&line, texts[i].value);
    }
    assay_write_name(&line, "status");
    assay_write_count(&line, call->status);
    assay_write_name(&line, "bytes_in");
    assay_write_count(&line, call->body_length);
    assay_write_name(&line, "bytes_out");
    assay_write_count(&line, call->out.length);
    write_times(&line, call, now);
    assay_write(&line, "}\n");
    if (!line.failed && write(STDERR_FILENO, line.data, line.length) < 0)
        line.failed = true; /* a log that nobody reads stops no one */
    assay_writer_free(&line);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **place,
                         enum MHD_RequestTerminationCode code)
{
    bool sent = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    assay_server *server = context;
    assay_call *call = *place;
    if (call == NULL)
        return;
    double now = assay_now();
    set_state(connection, PEER_IDLE, 0);
    assay_metrics_count(server->metrics, call, now - call->begun);
    assay_keys_done(server->keys, &call->grant, call->job.tokens);
    if (!atomic_load(&server->limits.quiet))
        log_call(call, now);
    if (server->traces != NULL)
        assay_traces_take(server->traces, call);
    if (!sent || !assay_recording_take(call)) /* nobody has seen it */
        assay_http_free(call);
    *place = NULL;
}

/* ------------------------------------------------------------------- daemons */

/* libmicrohttpd's messages, of which most are about clients that went away. */
static void on_message(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static char *read_pem(const char *path, assay_error *error)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = text != NULL ? fopen(path, "re") : NULL;
    size_t length = file != NULL ? fread(text, 1, (1 << 16) - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    if (length > 0)
        return text;
    free(text);
    *error = (assay_error){.code = ASSAY_E_IO};
    snprintf(error->where, sizeof error->where, "%.200s", path);
    snprintf(error->message, sizeof error->message, "cannot be read, or is empty");
    return NULL;
}

/* TLS where there is a certificate, but not on a Unix socket. */
static assay_status tls_options(const assay_serve_options *o, bool local,
                                struct MHD_OptionItem items[3], assay_error *error)
{
    items[0] = items[2] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    if (o->certificate == NULL || local)
        return ASSAY_OK;
    char *certificate = read_pem(o->certificate, error);
    char *key = certificate != NULL ? read_pem(o->private_key, error) : NULL;
    if (key == NULL) {
        free(certificate);
        return error->code;
    }
    items[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, certificate};
    items[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
    return ASSAY_OK;
}

static bool is_local(int socket)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    return getsockname(socket, (struct sockaddr *)&address, &size) == 0 &&
           address.ss_family == AF_UNIX;
}

assay_status assay_http_listen(assay_server *server, int socket, assay_error *error)
{
    const assay_serve_options *o = &server->options;
    bool local = is_local(socket);
    struct MHD_OptionItem tls[3];
    assay_status status = tls_options(o, local, tls, error);
    if (status != ASSAY_OK)
        return status;
    assay_listener *listeners =
        realloc(server->listeners, (server->listener_count + 1) * sizeof *listeners);
    if (listeners == NULL) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    server->listeners = listeners;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (tls[0].option != MHD_OPTION_END ? MHD_USE_TLS : 0);
    /* The acceptor keeps the limit. A thread of libmicrohttpd's (0.9.75) that meets one of
     * its own locks a mutex that it holds, and never wakes: no thread ever does. */
    struct MHD_Daemon *daemon = assay_http.MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, HTTP_THREADS * (o->connections + SPARE_CONNECTIONS),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    assay_acceptor *acceptor =
        daemon != NULL ? assay_acceptor_start(daemon, socket, o->connections) : NULL;
    if (acceptor != NULL) {
        server->listeners[server->listener_count++] = (assay_listener){daemon, acceptor};
    } else {
        if (daemon != NULL)
            assay_http.MHD_stop_daemon(daemon);
        *error = (assay_error){.code = ASSAY_E_IO, .where = "HTTP"};
        snprintf(error->message, sizeof error->message, "the HTTP threads cannot be started%s",
                 tls[0].option != MHD_OPTION_END ? "; is the certificate sound, and the key its?"
                                                 : "");
        status = ASSAY_E_IO;
    }
    for (size_t i = 0; i < 2 && tls[0].option != MHD_OPTION_END; i++)
        free(tls[i].ptr_value);
    return status;
}

void assay_http_drain(assay_server *server)
{
    server->drain_begun = assay_now();
    atomic_store(&server->draining, true);
    for (size_t i = 0; i < server->listener_count; i++) {
        assay_acceptor_stop(server->listeners[i].acceptor);
        server->listeners[i].acceptor = NULL;
    }
}

size_t assay_http_active(const assay_server *server)
{
    (void)server;
    return atomic_load(&active);
}

void assay_http_stop(assay_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        assay_acceptor_stop(server->listeners[i].acceptor);
        assay_http.MHD_stop_daemon(server->listeners[i].daemon);
    }
    free(server->listeners);
    server->listeners = NULL;
    server->listener_count = 0;
}
