/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback.h: what the files of this floor share.
 *
 *     feedback.c      searches and events in
 *     gather.c        out again: rows with their hits read, clicks beside them
 *     click_model.c   how likely a user looks at each place, and clicks what is there
 *     report.c        what reranking was worth; report_json.c the same as JSON
 *     trials.c        which of two pipelines users preferred
 *     judgments.c     clicks as qrels
 *     interleave.c    two rankings as one
 */
#ifndef ASSAY_FEEDBACK_H
#define ASSAY_FEEDBACK_H

#include "base/arena.h"
#include "base/string_map.h"
#include "store/event_log.h"

enum {
    ASSAY_FEEDBACK_HITS = 1000, /* kept of one search */
    ASSAY_RECENT = 256,         /* searches remembered, to know reformulations by */
    ASSAY_WORDS = 32,           /* of each */
};

/* A search of a session, to be compared with that session's next. */
typedef struct assay_recent {
    assay_digest session;
    int64_t key, at;       /* key 0: an empty place */
    size_t count;
    uint64_t words[ASSAY_WORDS]; /* hashes; in memory only */
} assay_recent;

struct assay_feedback {
    assay_event_log *log;
    assay_feedback_options options;
    int64_t pruned; /* when, in milliseconds */
    assay_recent recent[ASSAY_RECENT];
    size_t next; /* place in `recent` */
    assay_buffer text;
};

/* Milliseconds since 1970. */
int64_t assay_feedback_now(void);

/* ---- gather.c */

/* A candidate of a search, and what happened to it. */
typedef struct assay_seen_hit {
    uint32_t document;   /* number in the gathering's map */
    uint32_t rank_first;
    bool second, clicked;
} assay_seen_hit;

typedef struct assay_seen {
    int64_t at;
    uint32_t query;      /* number in the map of queries */
    uint32_t trial, shown, scored, truncated, changed;
    uint32_t pipeline, rival; /* numbers in the map of pipelines */
    uint64_t session;    /* hash; 0: none */
    bool degraded, reformulated, known_session;
    double correlation, first_ms, rerank_ms;
    uint32_t clicks;     /* documents clicked that were candidates */
    size_t hit_count;
    assay_seen_hit *hits; /* [hit_count]; those of searches with a click have all that was
                             kept, the others what was shown */
} assay_seen;

typedef struct assay_gathering {
    assay_arena *arena;
    assay_string_map *documents, *queries, *pipelines;
    assay_text *texts;   /* [queries], length 0 where they were not kept */
    size_t text_capacity;
    assay_seen *seen;    /* [count], the newest first */
    size_t count, capacity;
    uint64_t *unseen;    /* [documents] clicks on what was no candidate */
    size_t unseen_capacity;
    uint64_t unseen_clicks, up, down;
    double *dwells;      /* [dwell_count] seconds */
    size_t dwell_count, dwell_capacity;
    uint64_t searches, sessions; /* in the file, the limit of those read apart */
} assay_gathering;

assay_status assay_gather(assay_feedback *feedback, const assay_report_options *options,
                          assay_gathering *out, assay_error *error);
void assay_gathering_free(assay_gathering *gathering);

/* A hash of 16 bytes, kept as a key of the map of queries, in hex. */
void assay_gathering_query(const assay_gathering *gathering, uint32_t query, char hex[33]);

/* ---- trials.c */

/* The trials among the searches, in the arena. */
assay_status assay_trials_sum(const assay_gathering *gathering, assay_arena *arena,
                              const assay_feedback_trial **out, size_t *count,
                              assay_error *error);

/* ---- report.c */

/* Mean and interval of values[count]. */
assay_interval assay_interval_of(const double *values, size_t count);

/* Reciprocal ranks of the best placed clicked document, before and after. */
void assay_seen_reciprocal(const assay_seen *seen, double *before, double *after);

#endif
