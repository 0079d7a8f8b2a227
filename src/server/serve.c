/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c: the server's life: models and collections opened, sockets bound or taken
 * over from systemd (sd_listen_fds(3)), signals awaited, what is under way finished.
 */
#include "server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "server/http.h"
#include "server/microhttp.h"
#include "server/own.h"
#include "server/recording.h"
#include "server/traces.h"

enum { BACKLOG = 1024, FIRST_HANDED_SOCKET = 3, MOST_SOCKETS = 8 };
#define LINGER_SECONDS 0.3

static assay_status fail(assay_error *error, assay_status code, const char *where,
                         const char *message)
{
    *error = (assay_error){.code = code};
    snprintf(error->where, sizeof error->where, "%.250s", where);
    snprintf(error->message, sizeof error->message, "%s", message);
    return code;
}

/* ------------------------------------------------------------------ options */

static void fill_defaults(assay_serve_options *o)
{
    o->host = o->host != NULL ? o->host : "127.0.0.1";
    o->port = o->port > 0 ? o->port : 7700;
    o->workers = o->workers > 0 ? o->workers : 2;
    o->batch_tokens = o->batch_tokens > 0 ? o->batch_tokens : 2048;
    o->queue = o->queue > 0 ? o->queue : 512;
    o->max_body = o->max_body > 0 ? o->max_body : 16u << 20;
    o->max_documents = o->max_documents > 0 ? o->max_documents : 1000;
    o->connections = o->connections > 0 ? o->connections : 1024;
    o->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : 60000;
    o->drain_ms = o->drain_ms > 0 ? o->drain_ms : 30000;
    o->reranker = o->reranker != NULL ? o->reranker : "cross";
}

static void set_limits(assay_server *server, const assay_serve_options *o)
{
    assay_limits *l = &server->limits;
    atomic_store(&l->max_body, o->max_body);
    atomic_store(&l->max_documents, o->max_documents);
    atomic_store(&l->timeout_ms, o->timeout_ms);
    atomic_store(&l->drain_ms, o->drain_ms);
    atomic_store(&l->queue, o->queue);
    atomic_store(&l->batch_tokens, o->batch_tokens);
    atomic_store(&l->quiet, o->quiet);
    if (server->engine != NULL)
        assay_engine_limit(server->engine, o->batch_tokens, o->queue);
}

static assay_status open_engine(assay_server *server, assay_error *error)
{
    const assay_serve_options *o = &server->options;
    const assay_engine_options options = {.threads = o->threads, .workers = o->workers,
                                          .batch_tokens = o->batch_tokens, .queue = o->queue};
    return assay_engine_open(&options, &server->engine, error);
}

/* ------------------------------------------------------------------ sockets */

static assay_status bind_one(const struct addrinfo *address, int *out)
{
    int one = 1;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC,
                    address->ai_protocol);
    if (fd < 0)
        return ASSAY_E_IO;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        *out = fd;
        return ASSAY_OK;
    }
    int reason = errno;
    close(fd);
    errno = reason;
    return ASSAY_E_IO;
}

static assay_status bind_port(const assay_serve_options *o, int *out, assay_error *error)
{
    char port[16], where[300];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    snprintf(port, sizeof port, "%u", o->port);
    snprintf(where, sizeof where, "%.200s:%s", o->host, port);
    int code = getaddrinfo(o->host, port, &hints, &list);
    if (code != 0)
        return fail(error, ASSAY_E_ARGUMENT, where, gai_strerror(code));
    assay_status status = ASSAY_E_IO;
    for (struct addrinfo *a = list; a != NULL && status != ASSAY_OK; a = a->ai_next)
        status = bind_one(a, out);
    freeaddrinfo(list);
    return status == ASSAY_OK ? status : fail(error, ASSAY_E_IO, where, strerror(errno));
}

static assay_status bind_local(const char *path, int *out, assay_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;
    if (strlen(path) >= sizeof address.sun_path)
        return fail(error, ASSAY_E_ARGUMENT, path, "too long for a socket's path");
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode))
        unlink(path); /* of a server before this one */
    struct addrinfo info = {.ai_family = AF_UNIX, .ai_socktype = SOCK_STREAM,
                            .ai_addr = (struct sockaddr *)&address,
                            .ai_addrlen = sizeof address};
    assay_status status = bind_one(&info, out);
    return status == ASSAY_OK ? status : fail(error, ASSAY_E_IO, path, strerror(errno));
}

/* How many sockets systemd hands over. */
static int handed_sockets(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid())
        return 0;
    long n = strtol(count, NULL, 10);
    return n < 0 ? 0 : n > MOST_SOCKETS ? MOST_SOCKETS : (int)n;
}

static assay_status check_handed(int fd, assay_error *error)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
        return ASSAY_OK;
    return fail(error, ASSAY_E_ARGUMENT, "LISTEN_FDS",
                "a descriptor that was handed over is not a listening socket");
}

static void say_ready(const assay_server *server, int handed)
{
    const assay_serve_options *o = &server->options;
    const char *scheme = o->certificate != NULL ? "https" : "http";
    if (handed > 0)
        fprintf(stderr, "assay: serving on %d socket%s handed over\n", handed,
                handed > 1 ? "s" : "");
    else
        fprintf(stderr, "assay: serving on %s://%s:%u\n", scheme, o->host, o->port);
    if (o->socket != NULL)
        fprintf(stderr, "assay: serving on %s\n", o->socket);
}

static assay_status listen_all(assay_server *server, assay_error *error)
{
    const assay_serve_options *o = &server->options;
    int sockets[MOST_SOCKETS + 2], count = handed_sockets(), handed = count;
    assay_status status = ASSAY_OK;
    for (int i = 0; i < handed && status == ASSAY_OK; i++) {
        sockets[i] = FIRST_HANDED_SOCKET + i;
        status = check_handed(sockets[i], error);
    }
    if (handed == 0 && (status = bind_port(o, &sockets[count], error)) == ASSAY_OK)
        count++;
    if (status == ASSAY_OK && o->socket != NULL &&
        (status = bind_local(o->socket, &sockets[count], error)) == ASSAY_OK)
        count++;
    for (int i = 0; i < count && status == ASSAY_OK; i++)
        status = assay_http_listen(server, sockets[i], error);
    if (status == ASSAY_OK)
        say_ready(server, handed);
    return status;
}

/* ------------------------------------------------------------------ systemd */

/* sd_notify(3): a datagram to the socket in the environment. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract one */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    close(fd);
}

/* ----------------------------------------------------------------- reloading */

static void say_reloaded(const char *what, assay_status status, const assay_error *error)
{
    if (status == ASSAY_OK)
        fprintf(stderr, "assay: %s read again\n", what);
    else
        fprintf(stderr, "assay: %s%s%s; the %s stay as they were\n", error->where,
                error->where[0] != '\0' ? ": " : "", error->message, what);
}

static bool differ(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0;
}

static bool names_differ(assay_serve_names a, assay_serve_names b)
{
    bool other = a.count != b.count;
    for (size_t i = 0; i < a.count && !other; i++)
        other = differ(a.items[i], b.items[i]);
    return other;
}

/* What is other in the configuration, and takes a restart. */
static void say_fixed(const assay_serve_options *was, const assay_serve_options *is)
{
    const struct {
        const char *name;
        bool other;
    } fixed[] = {
        {"host", differ(was->host, is->host)},
        {"port", was->port != is->port},
        {"socket", differ(was->socket, is->socket)},
        {"collection", names_differ(was->collections, is->collections)},
        {"write", was->writable != is->writable},
        {"record", was->record < is->record || was->record > is->record},
        {"record-text", was->record_text != is->record_text},
        {"record-days", was->record_days != is->record_days},
        {"keys", differ(was->keys, is->keys)},
        {"certificate", differ(was->certificate, is->certificate)},
        {"private-key", differ(was->private_key, is->private_key)},
        {"threads", was->threads != is->threads},
        {"workers", was->workers != is->workers},
        {"connections", was->connections != is->connections},
        {"traces", differ(was->traces, is->traces)},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (fixed[i].other)
            fprintf(stderr, "assay: '%s' is other now, which takes a restart\n", fixed[i].name);
    }
}

static assay_status reload_models(assay_server *server, const assay_serve_options *o,
                                  assay_error *error)
{
    assay_models *models;
    assay_status status = assay_models_open(o, &models, error);
    if (status == ASSAY_OK)
        assay_models_serve(&server->models, models);
    return status;
}

static assay_status reload_pipelines(assay_server *server, const assay_serve_options *o,
                                     assay_error *error)
{
    if (o->trial == NULL || server->recording != NULL)
        return assay_shelf_reload(server->shelf, o, error);
    return fail(error, ASSAY_E_ARGUMENT, "compare", "what is not recorded cannot be compared, and "
                "recording takes a restart");
}

static void reload_options(assay_server *server)
{
    assay_error error;
    assay_serve_options o = server->options;
    if (server->options.again != NULL && !server->options.again(server->options.context, &o)) {
        fprintf(stderr, "assay: all options stay as they were\n");
        return;
    }
    fill_defaults(&o);
    say_fixed(&server->options, &o);
    o.threads = server->options.threads; /* of pipelines, too */
    set_limits(server, &o);
    say_reloaded("models", reload_models(server, &o, &error), &error);
    say_reloaded("pipelines", reload_pipelines(server, &o, &error), &error);
}

static void reload(assay_server *server)
{
    assay_error error;
    if (server->keys != NULL)
        say_reloaded("keys", assay_keys_reload(server->keys, &error), &error);
    reload_options(server);
    say_reloaded("collections", assay_shelf_refresh(server->shelf, &error), &error);
}

/* ------------------------------------------------------------------- life */

/* Until a signal asks to stop. */
static void wait_for_signal(assay_server *server, int signals)
{
    for (;;) {
        struct pollfd look = {.fd = signals, .events = POLLIN};
        struct signalfd_siginfo info;
        int ready = poll(&look, 1, 1000);
        assay_http_sweep(server);
        if (ready <= 0 || read(signals, &info, sizeof info) != sizeof info)
            continue;
        if (info.ssi_signo != SIGHUP)
            return;
        reload(server);
    }
}

/* Connections that were accepted just now get a moment to send their request. */
static void drain(assay_server *server)
{
    double begun = assay_now(), end = begun + (double)atomic_load(&server->limits.drain_ms) / 1e3;
    notify("STOPPING=1");
    assay_http_drain(server);
    while ((assay_http_active(server) > 0 || assay_now() < begun + LINGER_SECONDS) &&
           assay_now() < end) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        assay_http_sweep(server);
    }
}

static assay_status run(assay_server *server, int signals, assay_error *error)
{
    assay_status status = listen_all(server, error);
    if (status == ASSAY_OK) {
        notify("READY=1");
        wait_for_signal(server, signals);
        drain(server);
    }
    /* What waits still has had its time; ending it resumes its calls. Clients that stay are
     * refused. */
    assay_engine_hurry(server->engine);
    assay_engine_end(server->engine);
    assay_desk_end(server);
    assay_recording_end(server->recording);
    return status;
}

assay_status assay_server_open(assay_server *server, assay_error *error)
{
    server->started = assay_now();
    server->started_at = (long long)time(NULL);
    fill_defaults(&server->options);
    pthread_mutex_init(&server->models.lock, NULL);
    set_limits(server, &server->options);
    assay_status status = assay_http_load(error);
    if (status == ASSAY_OK && server->options.keys != NULL)
        status = assay_keys_open(server->options.keys, &server->keys, error);
    assay_models *models = NULL;
    if (status == ASSAY_OK && (status = assay_models_open(&server->options, &models, error)) == ASSAY_OK)
        assay_models_serve(&server->models, models);
    if (status == ASSAY_OK)
        status = assay_shelf_open(&server->options, &server->shelf, error);
    if (status == ASSAY_OK)
        status = assay_desk_open(server, error);
    if (status == ASSAY_OK && server->options.record > 0)
        status = assay_recording_open(server, error);
    if (status == ASSAY_OK && server->options.traces != NULL)
        status = assay_traces_open(server->options.traces, &server->traces, error);
    if (status == ASSAY_OK && models->count + assay_shelf_count(server->shelf) == 0 &&
        !server->options.writable)
        status = fail(error, ASSAY_E_NOT_FOUND, "models",
                      "there is neither a model nor a collection to serve");
    server->metrics = assay_metrics_new();
    if (status == ASSAY_OK && server->metrics == NULL)
        status = fail(error, ASSAY_E_MEMORY, "metrics", "out of memory");
    if (status == ASSAY_OK)
        status = open_engine(server, error);
    return status;
}

void assay_server_close(assay_server *server)
{
    assay_http_stop(server);
    assay_engine_close(server->engine);
    assay_traces_close(server->traces);
    assay_desk_close(server);
    assay_recording_close(server->recording);
    assay_shelf_close(server->shelf);
    assay_models_serve(&server->models, NULL);
    assay_keys_close(server->keys);
    assay_metrics_free(server->metrics);
}

assay_status assay_serve(const assay_serve_options *options, assay_error *error)
{
    sigset_t awaited, before;
    assay_server server = {.options = *options};
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &awaited, &before); /* all threads inherit it */
    int signals = signalfd(-1, &awaited, SFD_CLOEXEC);
    assay_status status = assay_server_open(&server, error);
    if (status == ASSAY_OK)
        status = run(&server, signals, error);
    assay_server_close(&server);
    close(signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}
