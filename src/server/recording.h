/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recording.h: searches recorded, events taken, the report of both (assay.h, feedback).
 *
 * The record is a clerk's, so no answer waits for it, and another's, who sums up. What of a call goes into it:
 * collection, pipeline, document ids with their ranks before and after, times; the
 * question and the session as hashes.
 */
#ifndef ASSAY_SERVER_RECORDING_H
#define ASSAY_SERVER_RECORDING_H

#include "server/call.h"

enum { ASSAY_RECORDED_HITS = 100 }; /* that a recorded search asks for at least */

assay_status assay_recording_open(assay_server *server, assay_error *error);
/* Writes what waits; nothing is taken from then on. */
void assay_recording_end(assay_recording *recording);
void assay_recording_close(assay_recording *recording);

/* Whether a search that begins is to be recorded: a share of them is, by chance. */
bool assay_recording_draw(assay_server *server);
/* Any number. */
uint64_t assay_recording_random(assay_server *server);
/* Which of two a session's searches go to, always the same; by chance without one. */
bool assay_recording_side(assay_server *server, const char *session);

/* At the end of a call: true when the record takes it over and frees it. */
bool assay_recording_take(assay_call *call);

typedef struct assay_recording_counts {
    uint64_t recorded, dropped; /* searches; the clerk had no time, or the disk failed */
    uint64_t events[ASSAY_EVENT_KINDS], unknown;
} assay_recording_counts;
void assay_recording_look(assay_recording *recording, assay_recording_counts *out);

/* POST /v1/events, GET /v1/report. */
bool assay_events_begin(assay_call *call);
bool assay_report_begin(assay_call *call);
bool assay_recording_finish(assay_call *call);

#endif
