/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h: the server as the command sees it.
 *
 * One process, one port: models and collections opened once, an HTTP server that
 * speaks the rerank and embedding interfaces of others (dialect_*.c) and assay's
 * own, a queue in between (engine.h).
 */
#ifndef ASSAY_SERVER_SERVE_H
#define ASSAY_SERVER_SERVE_H

#include <assay.h>
#include <stdio.h>

typedef struct assay_serve_names {
    size_t count;
    const char *const *items;
} assay_serve_names;

/* Zero is the default everywhere. */
typedef struct assay_serve_options {
    const char *host;            /* NULL: 127.0.0.1 */
    uint32_t port;               /* 0: 7700; ignored when a socket was handed over */
    const char *socket;          /* path of a Unix socket, besides; NULL: none */
    assay_serve_names models;    /* "NAME" or "NAME=FOLDER"; none: cross and dense */
    assay_serve_names collections; /* to be searched; none: all that are there */
    const char *reranker;        /* of the pipeline "default"; NULL: cross; "none" */
    assay_serve_names pipelines; /* "NAME=FILE|PRESET": further ones, of every collection */
    const char *trial;           /* "A,B": pipelines that searches compare; NULL: none */
    bool split;                  /* by sessions; else by interleaving */
    double record;               /* share of the searches that are recorded; 0: none */
    bool record_text;            /* with the text of their questions */
    uint32_t record_days;        /* for so long; 0: 90 */
    const char *traces;          /* URL of an OTLP collector; NULL: none */
    bool writable;               /* documents may be put and deleted */
    assay_precision precision;
    const char *keys;            /* file of API keys; NULL: everyone may ask */
    const char *certificate, *private_key; /* PEM files; both or none */
    uint32_t threads;            /* cores for the models; 0: all */
    uint32_t workers, batch_tokens, queue; /* see engine.h */
    uint32_t max_body;           /* bytes; 0: 16 MiB */
    uint32_t max_documents;      /* a request; 0: 1000 */
    uint32_t connections;        /* at one time; 0: 1024 */
    uint32_t timeout_ms;         /* of a request, unless it asks for less; 0: 60000 */
    uint32_t drain_ms;           /* for what is under way at SIGTERM; 0: 30000 */
    bool quiet;                  /* no access log */
    /* Reads the configuration anew, on SIGHUP; false after saying why not. Texts stay
     * until the server ends, lists until it is called again. NULL: there is none, the options stay. */
    bool (*again)(void *context, struct assay_serve_options *out);
    void *context;
} assay_serve_options;

/* Serves until SIGTERM or SIGINT, then finishes what is under way. The address is
 * told on standard error when requests are answered, the access log follows
 * there: a line of JSON a request, without any text of it. SIGHUP reads the keys
 * and the configuration again, opens models and pipelines anew, serves collections that came
 * since, and says what takes a restart. */
assay_status assay_serve(const assay_serve_options *options, assay_error *error);

/* Makes a new key, adds its hash under `name` to the file, and writes the key,
 * which is kept nowhere, to key[64]. */
assay_status assay_serve_add_key(const char *file, const char *name, char key[64],
                                 assay_error *error);

/* A page that shows a report (assay_feedback_report_json) with charts, and needs nothing
 * else. */
void assay_serve_report_page(FILE *file, const char *json);

#endif
