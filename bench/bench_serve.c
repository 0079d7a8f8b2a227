/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_serve.c: asks a server as fast as some clients can, each on a connection of its
 * own, one request after another; or does the same work through the library.
 *
 *   bench_serve BODIES http HOST PORT PATH CLIENTS SECONDS
 *   bench_serve BODIES library MODEL SECONDS
 *
 * BODIES has a JSON body a line ({"query", "documents"}). Prints one line of JSON:
 * requests, failures, seconds, the latency in milliseconds at the middle, 95 and 99 of
 * a hundred, and on average, writing and reading on this side counted in; of the library, the processor
 * seconds of all threads as well.
 */
#include <arpa/inet.h>
#include <assay.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BODIES = 4096, MOST_TIMES = 1 << 20, ANSWER = 1 << 20, DOCUMENTS = 1024 };

static char *bodies[MOST_BODIES];
static size_t body_count;
static double end_at;
static const char *host, *path;
static int port;

typedef struct client {
    pthread_t thread;
    size_t number, requests, failures;
    float *times; /* [MOST_TIMES] milliseconds */
} client;

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void read_bodies(const char *name)
{
    static char line[1 << 20];
    FILE *file = fopen(name, "re");
    while (file != NULL && body_count < MOST_BODIES && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        bodies[body_count++] = strdup(line);
    }
    if (file != NULL)
        fclose(file);
    if (body_count == 0) {
        fprintf(stderr, "%s: no bodies\n", name);
        exit(1);
    }
}

static int connect_to_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Reads one answer with a Content-Length; its status, 0 when there is none. */
static int read_answer(int fd, char *text)
{
    size_t length = 0, whole = SIZE_MAX;
    while (length < whole && length < ANSWER - 1) {
        ssize_t got = recv(fd, text + length, ANSWER - 1 - length, 0);
        if (got <= 0)
            return 0;
        length += (size_t)got;
        text[length] = '\0';
        char *end = whole == SIZE_MAX ? strstr(text, "\r\n\r\n") : NULL;
        if (end == NULL)
            continue;
        char *said = strcasestr(text, "content-length:");
        whole = (size_t)(end - text) + 4 + (said != NULL ? strtoul(said + 15, NULL, 10) : 0);
    }
    return (int)strtol(text + 9, NULL, 10);
}

static void *ask(void *context)
{
    client *c = context;
    static const char head[] = "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json"
                               "\r\nContent-Length: %zu\r\n\r\n%s";
    char *answer = malloc(ANSWER), *request = malloc(1 << 20);
    int fd = connect_to_server();
    for (size_t i = c->number * 7; now() < end_at && c->requests < MOST_TIMES; i++) {
        const char *body = bodies[i % body_count];
        int length = snprintf(request, 1 << 20, head, path, strlen(body), body);
        double begun = now();
        bool sent = fd >= 0 && send(fd, request, (size_t)length, MSG_NOSIGNAL) == length;
        int status = sent ? read_answer(fd, answer) : 0;
        if (status == 200) {
            c->times[c->requests++] = (float)((now() - begun) * 1e3);
            continue;
        }
        c->failures++;
        close(fd);
        fd = connect_to_server();
    }
    close(fd);
    free(answer);
    free(request);
    return NULL;
}

static int by_time(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static void print(client *clients, size_t count, double seconds, double cpu)
{
    size_t requests = 0, failures = 0;
    for (size_t i = 0; i < count; i++) {
        requests += clients[i].requests;
        failures += clients[i].failures;
    }
    float *all = malloc((requests + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(all + n, clients[i].times, clients[i].requests * sizeof *all);
        n += clients[i].requests;
    }
    qsort(all, n, sizeof *all, by_time);
    if (n == 0)
        all[n++] = 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)all[i];
    printf("{\"requests\":%zu,\"failures\":%zu,\"seconds\":%.3f,\"p50\":%.3f,\"p95\":%.3f,"
           "\"p99\":%.3f,\"mean\":%.4f,\"cpu\":%.3f}\n", requests, failures, seconds,
           (double)all[n / 2], (double)all[n * 95 / 100], (double)all[n * 99 / 100],
           sum / (double)n, cpu);
    free(all);
}

static void run_clients(size_t count, double seconds)
{
    client *clients = calloc(count, sizeof *clients);
    double begun = now();
    end_at = begun + seconds;
    for (size_t i = 0; i < count; i++) {
        clients[i].number = i;
        clients[i].times = malloc(MOST_TIMES * sizeof(float));
        pthread_create(&clients[i].thread, NULL, ask, &clients[i]);
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(clients[i].thread, NULL);
    print(clients, count, now() - begun, 0);
}

static size_t read_request(const char *body, assay_text *query, assay_text texts[DOCUMENTS])
{
    json_t *root = json_loads(body, 0, NULL); /* kept: the texts point into it */
    json_t *documents = json_object_get(root, "documents");
    size_t count = json_array_size(documents);
    *query = (assay_text){json_string_value(json_object_get(root, "query")),
                          json_string_length(json_object_get(root, "query"))};
    for (size_t i = 0; i < count && i < DOCUMENTS; i++)
        texts[i] = (assay_text){json_string_value(json_array_get(documents, i)),
                                json_string_length(json_array_get(documents, i))};
    return count;
}

static int run_library(const char *name, double seconds)
{
    static assay_text texts[DOCUMENTS];
    static assay_score scores[DOCUMENTS];
    assay_error error;
    assay_model *model;
    assay_session *session;
    client c = {.times = malloc(MOST_TIMES * sizeof(float))};
    if (assay_model_open(name, NULL, &model, &error) != ASSAY_OK ||
        assay_session_open(model, NULL, &session, &error) != ASSAY_OK) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        return 1;
    }
    double start = now(), cpu = 0;
    for (size_t i = 0; now() < start + seconds; i++) {
        assay_text query;
        size_t count = read_request(bodies[i % body_count], &query, texts);
        double begun = now(), spent = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        if (assay_rerank(session, query, texts, count, scores, &error) != ASSAY_OK)
            c.failures++;
        c.times[c.requests++] = (float)((now() - begun) * 1e3);
        cpu += read_clock(CLOCK_PROCESS_CPUTIME_ID) - spent;
    }
    print(&c, 1, now() - start, cpu);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        read_bodies(argv[1]);
    if (argc == 5 && strcmp(argv[2], "library") == 0)
        return run_library(argv[3], strtod(argv[4], NULL));
    if (argc != 8 || strcmp(argv[2], "http") != 0) {
        fprintf(stderr, "usage: bench_serve BODIES http HOST PORT PATH CLIENTS SECONDS\n"
                        "       bench_serve BODIES library MODEL SECONDS\n");
        return 2;
    }
    host = argv[3];
    port = (int)strtol(argv[4], NULL, 10);
    path = argv[5];
    run_clients(strtoul(argv[6], NULL, 10), strtod(argv[7], NULL));
    return 0;
}
