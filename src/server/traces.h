/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traces.h: spans of requests, sent to an OpenTelemetry collector.
 *
 * OTLP over HTTP in its JSON encoding (OTLP 1.x), attributes after OpenTelemetry's HTTP
 * conventions and OpenInference's of retrievers and rerankers. A request's trace goes on
 * from its `traceparent` (W3C Trace Context). Spans wait in memory, bounded, for a thread
 * that sends them: nobody waits for a collector.
 */
#ifndef ASSAY_SERVER_TRACES_H
#define ASSAY_SERVER_TRACES_H

#include "server/call.h"

/* url: "http://HOST[:PORT][/path]"; without a path that of OTLP, /v1/traces. */
assay_status assay_traces_open(const char *url, assay_traces **out, assay_error *error);
/* Sends what waits. */
void assay_traces_close(assay_traces *traces);

/* At the end of a call. */
void assay_traces_take(assay_traces *traces, const assay_call *call);

typedef struct assay_traces_counts {
    uint64_t sent, dropped; /* requests */
} assay_traces_counts;
void assay_traces_look(assay_traces *traces, assay_traces_counts *out);

#endif
