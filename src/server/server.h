/* SPDX-License-Identifier: Apache-2.0 */
/* server.h: what all requests share. */
#ifndef ASSAY_SERVER_SERVER_H
#define ASSAY_SERVER_SERVER_H

#include <stdatomic.h>

#include "server/engine.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/serve.h"
#include "server/shelf.h"

/* What recording and trials keep; recording.c's. */
typedef struct assay_recording assay_recording;
typedef struct assay_traces assay_traces; /* traces.c's */

/* Read by all threads while they may be set anew. */
typedef struct assay_limits {
    atomic_uint_fast32_t max_body, max_documents, timeout_ms, drain_ms, queue, batch_tokens;
    atomic_bool quiet;
} assay_limits;

typedef struct assay_server {
    assay_serve_options options; /* defaults filled in */
    assay_limits limits;        /* of these, what SIGHUP may change */
    assay_models_place models;
    assay_shelf *shelf;         /* collections and pipelines; NULL: there is no data directory */
    assay_recording *recording; /* NULL: searches are not recorded */
    assay_traces *traces;       /* NULL: no spans are sent */
    struct assay_desk *desk;    /* own_documents.c's */
    assay_engine *engine;
    assay_keys *keys;
    assay_metrics *metrics;
    atomic_bool draining;
    double drain_begun;         /* before draining is set */
    atomic_uint_fast64_t calls; /* numbers them where there is no chance */
    double started;
    long long started_at;       /* seconds since 1970 */
    struct assay_listener *listeners; /* http.c's */
    size_t listener_count;
} assay_server;

/* Opens all that the options name, but no socket; to be closed even where that fails. serve.c's. */
assay_status assay_server_open(assay_server *server, assay_error *error);
void assay_server_close(assay_server *server);

#endif
