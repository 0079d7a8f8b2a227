/* SPDX-License-Identifier: Apache-2.0 */
/* acceptor.c: see acceptor.h. */
#include "server/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FULL_MS = 10 }; /* until it looks again whether there is room */

struct assay_acceptor {
    struct MHD_Daemon *daemon;
    unsigned limit;
    int socket;
    int stop[2]; /* a pipe: its end wakes the thread */
    pthread_t thread;
};

static bool is_full(const assay_acceptor *a)
{
    const union MHD_DaemonInfo *info =
        assay_http.MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL && info->num_connections >= a->limit;
}

/* Errors are those of single connections, or of a full table of files, which
 * passes. */
static void take_one(assay_acceptor *a)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int connection = accept4(a->socket, (struct sockaddr *)&address, &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection >= 0)
        assay_http.MHD_add_connection(a->daemon, connection, (struct sockaddr *)&address, size);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        poll(NULL, 0, FULL_MS);
}

static void *run(void *argument)
{
    assay_acceptor *a = argument;
    struct pollfd wait[2] = {{.fd = a->stop[0]}, {.fd = a->socket, .events = POLLIN}};
    while (wait[0].revents == 0) {
        bool full = is_full(a);
        int ready = poll(wait, full ? 1 : 2, full ? FULL_MS : -1);
        if (ready > 0 && wait[0].revents == 0 && !full)
            take_one(a);
    }
    return NULL;
}

assay_acceptor *assay_acceptor_start(struct MHD_Daemon *daemon, int socket, unsigned limit)
{
    assay_acceptor *a = malloc(sizeof *a);
    if (a == NULL)
        return NULL;
    *a = (assay_acceptor){.daemon = daemon, .limit = limit, .socket = socket};
    int flags = fcntl(socket, F_GETFL); /* another process may take what poll saw */
    if (fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0 || pipe2(a->stop, O_CLOEXEC) != 0) {
        free(a);
        return NULL;
    }
    if (pthread_create(&a->thread, NULL, run, a) != 0) {
        close(a->stop[0]);
        close(a->stop[1]);
        free(a);
        return NULL;
    }
    return a;
}

void assay_acceptor_stop(assay_acceptor *a)
{
    if (a == NULL)
        return;
    close(a->stop[1]);
    pthread_join(a->thread, NULL);
    close(a->stop[0]);
    close(a->socket);
    free(a);
}
