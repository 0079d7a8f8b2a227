/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h: counters of the server, written in Prometheus' text format 0.0.4.
 */
#ifndef ASSAY_SERVER_METRICS_H
#define ASSAY_SERVER_METRICS_H

#include "server/writer.h"

struct assay_call;
struct assay_server;
typedef struct assay_metrics assay_metrics; /* shared */

assay_metrics *assay_metrics_new(void); /* NULL: memory */
void assay_metrics_free(assay_metrics *metrics);
/* A request was answered, or its client has left. */
void assay_metrics_count(assay_metrics *metrics, const struct assay_call *call, double seconds);
void assay_metrics_write(const struct assay_server *server, assay_writer *out);

#endif
