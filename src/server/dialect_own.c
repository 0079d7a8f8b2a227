/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_own.c: assay's own interface: search, collections, feedback, health, metrics; its
 * parts are in own_*.c and recording.c. Described in OpenAPI by web/openapi.json, which
 * GET /openapi.json answers.
 *
 * Errors: {"error": {"code", "message", "field"}}; code is one word for programs.
 */
#include <string.h>

#include "server/own.h"
#include "server/recording.h"

static void fail(assay_call *call)
{
    static const char *const codes[ASSAY_FAULTS] = {
        [ASSAY_FAULT_JSON] = "json",           [ASSAY_FAULT_FIELD] = "field",
        [ASSAY_FAULT_EMPTY] = "empty",         [ASSAY_FAULT_TOO_MANY] = "too_many",
        [ASSAY_FAULT_TOO_LONG] = "too_long",   [ASSAY_FAULT_TOO_LARGE] = "too_large",
        [ASSAY_FAULT_MEDIA] = "media_type",    [ASSAY_FAULT_KEY] = "key",
        [ASSAY_FAULT_RATE] = "rate",           [ASSAY_FAULT_PATH] = "path",
        [ASSAY_FAULT_FORBIDDEN] = "forbidden",
        [ASSAY_FAULT_METHOD] = "method",       [ASSAY_FAULT_MODEL] = "not_found",
        [ASSAY_FAULT_OVERLOADED] = "overloaded", [ASSAY_FAULT_EXPIRED] = "expired",
        [ASSAY_FAULT_DRAINING] = "draining",   [ASSAY_FAULT_INTERNAL] = "internal",
    };
    assay_writer *out = &call->out;
    assay_write_mark(out, '{');
    assay_write_name(out, "error");
    assay_write_mark(out, '{');
    assay_write_name(out, "code");
    assay_write_string(out, codes[call->fault]);
    assay_write_name(out, "message");
    assay_write_string(out, call->message);
    assay_write_name(out, "field");
    assay_write_string(out, call->field[0] != '\0' ? call->field : NULL);
    assay_write_mark(out, '}');
    assay_write_mark(out, '}');
}

/* ------------------------------------------------------------------- health */

static bool live_begin(assay_call *call)
{
    assay_write(&call->out, "{\"status\":\"ok\"}");
    return true;
}

static bool ready_begin(assay_call *call)
{
    if (!atomic_load(&call->server->draining))
        return live_begin(call);
    call->status = 503;
    assay_write(&call->out, "{\"status\":\"draining\"}");
    return true;
}

static bool metrics_begin(assay_call *call)
{
    call->type = "text/plain; version=0.0.4; charset=utf-8";
    assay_metrics_write(call->server, &call->out);
    return true;
}

/* -------------------------------------------------------------- collections */

static void write_pipelines(assay_shelf *shelf, assay_writer *out)
{
    assay_pipelines pipelines;
    assay_shelf_pipelines(shelf, &pipelines);
    assay_write_name(out, "pipelines");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < pipelines.count; i++)
        assay_write_string(out, pipelines.names[i]);
    assay_write_mark(out, ']');
    assay_write_name(out, "trial");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < 2 && pipelines.contest.any; i++)
        assay_write_string(out, pipelines.names[pipelines.contest.both[i]]);
    assay_write_mark(out, ']');
}

static bool collections_begin(assay_call *call)
{
    assay_shelf *shelf = call->server->shelf;
    assay_writer *out = &call->out;
    assay_write(out, "{\"collections\":[");
    for (size_t i = 0; i < assay_shelf_count(shelf); i++) {
        char name[ASSAY_SHELVED_NAME];
        if (!assay_shelf_name(shelf, i, name))
            continue;
        assay_write_mark(out, '{');
        assay_write_name(out, "name");
        assay_write_string(out, name);
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    write_pipelines(shelf, out);
    assay_write_name(out, "recorded");
    assay_write_double(out, call->server->options.record);
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"GET", "/", assay_page_html_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/page.css", assay_page_css_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/page.js", assay_page_js_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/report.js", assay_page_report_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/openapi.json", assay_page_openapi_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/health", ready_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/health/live", live_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/health/ready", ready_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/metrics", metrics_begin, NULL, 0},
    {"POST", "/v1/search", assay_search_begin, assay_search_finish, 0},
    {"GET", "/v1/collections", collections_begin, NULL, 0},
    {"GET", "/v1/collections/*", assay_collection_get_begin, assay_collection_finish, 0},
    {"POST", "/v1/collections/*", assay_collection_post_begin, assay_collection_finish, 0},
    {"DELETE", "/v1/collections/*", assay_collection_delete_begin, assay_collection_finish, 0},
    {"POST", "/v1/events", assay_events_begin, assay_recording_finish, ASSAY_ROUTE_LIST},
    {"GET", "/v1/report", assay_report_begin, assay_recording_finish, ASSAY_ROUTE_REPORT},
    {0},
};

const assay_dialect assay_dialect_own = {"assay", fail, routes};
