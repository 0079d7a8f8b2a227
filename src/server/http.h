/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h: connections, through GNU libmicrohttpd.
 *
 * A request's body is gathered up to its limit, its route found, its dialect asked
 * to begin. While the engine works the connection is suspended, so a handful of
 * HTTP threads serve any number of clients; what is brief they do themselves. Each
 * listening socket has a daemon.
 */
#ifndef ASSAY_SERVER_HTTP_H
#define ASSAY_SERVER_HTTP_H

#include "server/call.h"

/* Starts to answer on a listening socket, which is the server's from then on. */
assay_status assay_http_listen(assay_server *server, int socket, assay_error *error);
/* No new connections; on those there are, each further request is answered, the last
 * with "Connection: close". */
void assay_http_drain(assay_server *server);
/* Requests under way. */
size_t assay_http_active(const assay_server *server);
/* Closes connections that have taken too long to send or to read. Call it every
 * second or so. */
void assay_http_sweep(assay_server *server);
/* Closes everything; no job may be under way. */
void assay_http_stop(assay_server *server);

/* The life of a call: made when the header is there, begun when the body is (fault or
 * not suspended: it is answered already), finished before it is sent, freed after. */
assay_call *assay_http_call(assay_server *server, void *connection, const char *method,
                            const char *path); /* NULL: memory */
void assay_http_begin(assay_call *call);
void assay_http_finish(assay_call *call);
void assay_http_free(assay_call *call);

/* For calls. */
void assay_http_suspend(assay_call *call);
void assay_http_resume(assay_call *call);
int assay_http_socket(const assay_call *call);

/* The route of the call's method and path, into call->route and call->dialect. False
 * when there is none; call->dialect is then that of the path with another method
 * (call->allowed), or that whose name the path begins with, or NULL. (routes.c) */
bool assay_route_find(assay_call *call);
/* Turns to the dialect that the body is of, where several share the path. */
void assay_route_choose(assay_call *call);

#endif
