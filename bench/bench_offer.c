/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_offer.c: offers a server so many requests a second, whether it keeps up or not.
 *
 *   bench_offer BODIES HOST PORT PATH RATE SECONDS
 *
 * bench_serve's clients wait for an answer before they ask again, so they never overload.
 * Here a request is sent when its time has come, on a connection that is free or a new one,
 * and times are counted from when it was due. BODIES has a JSON body a line. Prints one line
 * of JSON: requests offered, answered (200), refused (429, 503), expired (504), lost (anything
 * else, or nothing), those for which there was no connection, and the milliseconds of
 * those answered and refused at the middle and 99 of a hundred.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BODIES = 4096, MOST_LINES = 8192, ANSWER = 16384, MOST_TIMES = 1 << 22,
       PATIENCE = 120 };

/* A connection; busy with one request, or free. */
typedef struct line {
    int fd; /* -1: none */
    bool busy;
    double due;
    size_t length, whole; /* of the answer: read, and expected (0: not known yet) */
    char answer[ANSWER];
} line;

typedef struct times {
    size_t count;
    float ms[MOST_TIMES];
} times;

static char *bodies[MOST_BODIES];
static size_t body_count;
static line *lines[MOST_LINES];
static size_t line_count, free_count, waiting;
static line *unused[MOST_LINES]; /* those free, the last used first */
static times answered, refused;
static size_t offered, expired, lost, unsent;
static struct sockaddr_in address = {.sin_family = AF_INET};
static const char *path;
static int events;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_bodies(const char *name)
{
    char *text = NULL;
    size_t room = 0;
    FILE *file = fopen(name, "re");
    while (file != NULL && body_count < MOST_BODIES && getline(&text, &room, file) > 0) {
        text[strcspn(text, "\n")] = '\0';
        bodies[body_count++] = strdup(text);
    }
    free(text);
    if (file != NULL)
        fclose(file);
    if (body_count == 0) {
        fprintf(stderr, "%s: no bodies\n", name);
        exit(1);
    }
}

static bool connect_line(line *l)
{
    int one = 1;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = l};
    if (connect(l->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        epoll_ctl(events, EPOLL_CTL_ADD, l->fd, &wanted) == 0)
        return true;
    close(l->fd);
    l->fd = -1;
    return false;
}

static line *take_line(void)
{
    while (free_count > 0) {
        line *l = unused[--free_count];
        if (l->fd >= 0)
            return l;
        if (connect_line(l))
            return l;
    }
    line *l = line_count < MOST_LINES ? calloc(1, sizeof *l) : NULL;
    if (l == NULL || !connect_line(l)) {
        free(l);
        return NULL;
    }
    return lines[line_count++] = l;
}

static void give_line(line *l)
{
    l->busy = false;
    l->length = l->whole = 0;
    unused[free_count++] = l;
}

static void hang_up(line *l)
{
    close(l->fd);
    l->fd = -1;
    if (!l->busy)
        return; /* it is among the unused already */
    lost++;
    waiting--;
    give_line(l);
}

static void offer(double due)
{
    static char request[1 << 20];
    const char *body = bodies[offered++ % body_count];
    int length = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: "
                          "application/json\r\nContent-Length: %zu\r\n\r\n%s", path, strlen(body),
                          body);
    line *l = take_line();
    if (l == NULL) {
        unsent++;
        return;
    }
    l->busy = true;
    l->due = due;
    waiting++;
    if (send(l->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        hang_up(l);
}

static void note(times *t, double ms)
{
    if (t->count < MOST_TIMES)
        t->ms[t->count++] = (float)ms;
}

static void finish(line *l)
{
    long status = strtol(l->answer + 9, NULL, 10);
    double ms = (now() - l->due) * 1e3;
    waiting--;
    if (status == 200)
        note(&answered, ms);
    else if (status == 429 || status == 503)
        note(&refused, ms);
    else if (status == 504)
        expired++;
    else
        lost++;
    give_line(l);
}

/* What came; an answer's end is told by its Content-Length. */
static void take(line *l)
{
    ssize_t got = recv(l->fd, l->answer + l->length, ANSWER - 1 - l->length, 0);
    if (got <= 0 || !l->busy) {
        hang_up(l);
        return;
    }
    l->length += (size_t)got;
    l->answer[l->length] = '\0';
    char *end = l->whole == 0 ? strstr(l->answer, "\r\n\r\n") : NULL;
    if (end != NULL) {
        char *said = strcasestr(l->answer, "content-length:");
        l->whole = (size_t)(end - l->answer) + 4 + (said != NULL ? strtoul(said + 15, NULL, 10) : 0);
    }
    if (l->whole >= ANSWER - 1)
        hang_up(l); /* longer than any that is asked for here */
    else if (l->whole > 0 && l->length >= l->whole)
        finish(l);
}

static void wait_until(double at)
{
    struct epoll_event ready[256];
    double left = at - now();
    int count = epoll_wait(events, ready, 256, left > 0 ? (int)(left * 1e3) : 0);
    for (int i = 0; i < count; i++)
        take(ready[i].data.ptr);
}

static int by_time(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static void print_times(const char *name, times *t)
{
    qsort(t->ms, t->count, sizeof *t->ms, by_time);
    printf(",\"%s\":%zu,\"%s_p50\":%.3f,\"%s_p99\":%.3f", name, t->count, name,
           (double)t->ms[t->count / 2], name, (double)t->ms[t->count * 99 / 100]);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: bench_offer BODIES HOST PORT PATH RATE SECONDS\n");
        return 2;
    }
    read_bodies(argv[1]);
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    address.sin_port = htons((uint16_t)strtol(argv[3], NULL, 10));
    path = argv[4];
    double rate = strtod(argv[5], NULL), begun = now(), due = begun;
    double end = begun + strtod(argv[6], NULL);
    events = epoll_create1(EPOLL_CLOEXEC);
    while (due < end) {
        while (due < end && now() >= due) {
            offer(due);
            due += 1 / rate;
        }
        wait_until(due);
    }
    while (waiting > 0 && now() < end + PATIENCE)
        wait_until(now() + 1);
    printf("{\"offered\":%zu", offered);
    print_times("answered", &answered);
    print_times("refused", &refused);
    printf(",\"expired\":%zu,\"lost\":%zu,\"unsent\":%zu,\"seconds\":%.3f}\n", expired,
           lost + waiting, unsent, end - begun);
    return 0;
}
