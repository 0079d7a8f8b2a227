/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acceptor.h: a thread that takes the connections of one listening socket and hands
 * them to libmicrohttpd.
 *
 * libmicrohttpd could take them itself, but not cease to: MHD_quiesce_daemon races
 * with its own threads over who removes the socket from their epoll sets, and the
 * process aborts where it loses (0.9.75).
 */
#ifndef ASSAY_SERVER_ACCEPTOR_H
#define ASSAY_SERVER_ACCEPTOR_H

#include "server/microhttp.h"

typedef struct assay_acceptor assay_acceptor;

/* The listening socket is the acceptor's from then on; at `limit`
 * connections it lets further ones wait. NULL: out of memory, files or threads. */
assay_acceptor *assay_acceptor_start(struct MHD_Daemon *daemon, int socket, unsigned limit);
/* Takes no more; those that were taken are with the daemon, others wait for the next
 * process that has the socket. NULL does nothing. */
void assay_acceptor_stop(assay_acceptor *acceptor);

#endif
