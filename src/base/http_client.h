/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client.h: many POSTs of JSON to one URL, so many at a time.
 *
 * A request that is lost, or answered 408, 429 or 5xx, is sent again after a wait
 * that doubles each time and is spread at random, or as long as Retry-After asks
 * for. Redirects are not followed: the key goes to the host of the URL alone. A
 * refusal that all would get (401, 403, 404, no such host) ends those not sent
 * yet. One thread.
 */
#ifndef ASSAY_HTTP_CLIENT_H
#define ASSAY_HTTP_CLIENT_H

#include "base/buffer.h"

typedef struct assay_http assay_http;

typedef struct assay_http_limits {
    uint32_t parallel;     /* requests at a time */
    uint32_t attempts;     /* of one request */
    double timeout;        /* seconds for one attempt */
    size_t answer_bytes;   /* longer ones are refused */
} assay_http_limits;

/* key: "" for none; sent as a bearer token, never told. Errors: ARGUMENT for an URL
 * that is none or holds a password, UNSUPPORTED without libcurl. */
assay_status assay_http_open(const char *url, const char *key, assay_http_limits limits,
                             assay_http **out, assay_error *error);
void assay_http_close(assay_http *http);

typedef struct assay_http_request {
    const char *body;    /* JSON */
    size_t body_length;
    const char *refusal; /* a failure of the server (500) whose answer has this in it is not
                            worth another attempt; NULL: none is */
    /* What came of it: */
    assay_buffer answer; /* the caller frees it, whatever the status */
    assay_status status; /* NETWORK: refused, lost, or no time left */
    long code;           /* of the last answer; 0: none */
    uint32_t attempts;   /* 0: it was never sent */
    bool refused;        /* it was such a failure */
    double seconds;      /* of the attempt that succeeded */
    assay_error error;
} assay_http_request;

/* Sends all, until `deadline` (assay_seconds; INFINITY: none), after which what is
 * under way is given up. Fails itself only for want of memory; what came of each
 * request stands in it. */
assay_status assay_http_post(assay_http *http, assay_http_request *requests, size_t count,
                             double deadline, assay_error *error);

#endif
