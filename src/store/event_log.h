/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_log.h: searches as they were answered, and what users did then.
 *
 * A file of the data directory beside the store, <home>/feedback.sqlite, for the
 * reason that the score cache is one: a search only reads the store, and is to be
 * noted without waiting for a writer of documents. It is not derived, though: what
 * is lost here is lost. One transaction a call, unless one is begun; write-ahead log.
 */
#ifndef ASSAY_EVENT_LOG_H
#define ASSAY_EVENT_LOG_H

#include "base/buffer.h"
#include "base/hash.h"

typedef struct assay_event_log assay_event_log; /* one thread */

enum { ASSAY_LOG_KEY = 16 };

/* A row. `hits` is a JSON list of [document, rank before], with a third member 1
 * where the second pipeline of an interleaved answer gave it. */
typedef struct assay_log_search {
    int64_t key, at;
    const char *id, *collection, *pipeline, *rival;
    uint32_t trial;
    const assay_digest *session; /* NULL: not known */
    assay_digest query;
    assay_text text;
    uint32_t shown, scored, truncated;
    uint32_t changed;            /* first place with another document than before; 0: none */
    bool degraded, reformulated;
    double correlation;          /* NAN: not known */
    double first_ms, rerank_ms;
    assay_text hits;
} assay_log_search;

typedef struct assay_log_event {
    uint32_t kind;
    const char *document; /* "" for none */
    double value;
    int64_t at;
} assay_log_event;

/* NOT_FOUND, when it is only to be read and is not there; FORMAT for another program's
 * file, VERSION for that of a newer assay. */
assay_status assay_event_log_open(const char *home, bool read_only, assay_event_log **out,
                                  assay_error *error);
void assay_event_log_close(assay_event_log *log);

/* Sixteen random bytes, made with the file. */
const uint8_t *assay_event_log_secret(const assay_event_log *log);

/* *key is 0 when the id is there already. */
assay_status assay_event_log_search(assay_event_log *log, const assay_log_search *search,
                                    int64_t *key, assay_error *error);
/* The search with this id: *key is 0 when there is none; its hits are appended. */
assay_status assay_event_log_find(assay_event_log *log, const char *id, int64_t *key,
                                  assay_buffer *hits, assay_error *error);
assay_status assay_event_log_event(assay_event_log *log, int64_t search,
                                   const assay_log_event *event, assay_error *error);
/* What is written in between is written whole, or, where status is not OK, not at all.
 * end gives status back, or why it could not be written. */
assay_status assay_event_log_begin(assay_event_log *log, assay_error *error);
assay_status assay_event_log_end(assay_event_log *log, assay_status status, assay_error *error);
assay_status assay_event_log_reformulated(assay_event_log *log, int64_t search,
                                          assay_error *error);
/* Removes searches from before `at`, with their events. */
assay_status assay_event_log_prune(assay_event_log *log, int64_t at, assay_error *error);

typedef struct assay_log_filter {
    const char *collection, *pipeline; /* NULL: any */
    int64_t since;
    uint32_t limit; /* rows, the newest */
} assay_log_filter;

/* Rows from the newest on, each with its events; what is handed over lives as long as
 * the call of fn, which stops the scan by failing. */
typedef assay_status (*assay_log_fn)(void *user, const assay_log_search *search,
                                     const assay_log_event *events, size_t count,
                                     assay_error *error);
assay_status assay_event_log_scan(assay_event_log *log, const assay_log_filter *filter,
                                  assay_log_fn fn, void *user, assay_error *error);
/* How many rows there are, the limit apart, and how many sessions. */
assay_status assay_event_log_count(assay_event_log *log, const assay_log_filter *filter,
                                   uint64_t *searches, uint64_t *sessions, assay_error *error);

#endif
