/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_own.c: assay's own interface: search in collections, what is there, health,
 * metrics. Described in OpenAPI by web/openapi.json, which GET /openapi.json answers.
 *
 * Errors: {"error": {"code", "message", "field"}}; code is one word for programs.
 */
#include <math.h>
#include <string.h>

#include "server/call.h"

static void fail(assay_call *call)
{
    static const char *const codes[ASSAY_FAULTS] = {
        [ASSAY_FAULT_JSON] = "json",           [ASSAY_FAULT_FIELD] = "field",
        [ASSAY_FAULT_EMPTY] = "empty",         [ASSAY_FAULT_TOO_MANY] = "too_many",
        [ASSAY_FAULT_TOO_LONG] = "too_long",   [ASSAY_FAULT_TOO_LARGE] = "too_large",
        [ASSAY_FAULT_MEDIA] = "media_type",    [ASSAY_FAULT_KEY] = "key",
        [ASSAY_FAULT_RATE] = "rate",           [ASSAY_FAULT_PATH] = "path",
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

static const assay_served_collection *find_collection(assay_call *call, const char *name)
{
    const assay_server *server = call->server;
    for (size_t i = 0; i < server->collection_count; i++) {
        if (strcmp(server->collections[i].name, name) == 0)
            return &server->collections[i];
    }
    assay_call_fail(call, ASSAY_FAULT_MODEL, "collection",
                    "there is no collection '%.100s' here; GET /v1/collections lists those "
                    "there are", name);
    return NULL;
}

static bool collections_begin(assay_call *call)
{
    assay_writer *out = &call->out;
    assay_write(out, "{\"collections\":[");
    for (size_t i = 0; i < call->server->collection_count; i++) {
        assay_write_mark(out, '{');
        assay_write_name(out, "name");
        assay_write_string(out, call->server->collections[i].name);
        assay_write_mark(out, '}');
    }
    assay_write(out, "]}");
    return true;
}

/* ------------------------------------------------------------------- search */

static bool search_in(assay_call *call, const char *name)
{
    uint64_t top = 5;
    assay_text filter = {0};
    const assay_served_collection *collection;
    if (!assay_call_text(call, "query", true, &call->job.query) ||
        !assay_call_count(call, call->json, "top", 1, 10000, &top) ||
        !assay_call_text(call, "filter", false, &filter) ||
        (collection = find_collection(call, name)) == NULL)
        return false;
    if (call->job.query.length == 0)
        return assay_call_fail(call, ASSAY_FAULT_EMPTY, "query", "`query` cannot be empty");
    call->job.top = (uint32_t)top;
    call->job.filter = filter.data;
    call->job.count = 1;
    call->job.lane = collection->lane;
    return assay_call_submit(call);
}

static bool search_begin(assay_call *call)
{
    assay_text name = {"default", 7};
    return assay_call_text(call, "collection", false, &name) && search_in(call, name.data);
}

/* /v1/collections/NAME/search */
static bool collection_search_begin(assay_call *call)
{
    char name[128] = "";
    const char *slash = strchr(call->rest, '/');
    size_t length = slash != NULL ? (size_t)(slash - call->rest) : 0;
    if (slash == NULL || length >= sizeof name || strcmp(slash, "/search") != 0)
        return assay_call_fail(call, ASSAY_FAULT_PATH, NULL, "there is nothing at %.200s",
                               call->path);
    memcpy(name, call->rest, length);
    return search_in(call, name);
}

static void write_rank(assay_writer *out, const char *rank_name, uint32_t rank,
                       const char *score_name, float score)
{
    assay_write_name(out, rank_name);
    if (rank > 0)
        assay_write_count(out, rank);
    else
        assay_write_null(out);
    assay_write_name(out, score_name);
    assay_write_float(out, score);
}

static void write_reranked(assay_writer *out, const assay_hit *hit)
{
    assay_write_name(out, "reranked");
    assay_write_bool(out, hit->reranked);
    assay_write_name(out, "logit");
    assay_write_float(out, hit->reranked ? hit->logit : NAN);
    assay_write_name(out, "probability");
    assay_write_float(out, hit->reranked ? hit->probability : NAN);
    assay_write_name(out, "truncated");
    assay_write_bool(out, hit->reranked && hit->truncated);
}

static void write_hit(assay_writer *out, const assay_hit *hit)
{
    const struct {
        const char *name, *value;
    } names[] = {{"document", hit->document}, {"title", hit->title},
                 {"heading", hit->heading}, {"source", hit->source}};
    assay_write_mark(out, '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assay_write_name(out, names[i].name);
        assay_write_string(out, names[i].value);
    }
    assay_write_name(out, "text");
    assay_write_text(out, hit->text);
    assay_write_name(out, "offset");
    assay_write_count(out, hit->offset);
    assay_write_name(out, "passage");
    assay_write_count(out, hit->passage);
    write_rank(out, "rank", hit->rank, "score", hit->score);
    write_rank(out, "rank_first", hit->rank_first, "score_first", hit->score_first);
    write_rank(out, "rank_bm25", hit->rank_bm25, "score_bm25", hit->score_bm25);
    write_rank(out, "rank_dense", hit->rank_dense, "score_dense", hit->score_dense);
    write_reranked(out, hit);
    assay_write_mark(out, '}');
}

static void write_reason(assay_writer *out, const char *name, const assay_error *reason)
{
    assay_write_name(out, name);
    assay_write_string(out, reason->code != ASSAY_OK ? reason->message : NULL);
}

static bool search_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    const assay_result *result = &call->job.result;
    if (call->job.outcome == ASSAY_OUTCOME_FAILED && call->job.error.code == ASSAY_E_FORMAT)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "filter", "%s: %s",
                               call->job.error.where, call->job.error.message);
    if (!assay_call_check(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "hits");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < result->count; i++)
        write_hit(out, &result->hits[i]);
    assay_write_mark(out, ']');
    assay_write_name(out, "candidates");
    assay_write_count(out, result->candidates);
    assay_write_name(out, "allowed");
    if (result->filtered)
        assay_write_count(out, result->allowed);
    else
        assay_write_null(out);
    write_reason(out, "filter_missing", &result->missing);
    assay_write_name(out, "query_truncated");
    assay_write_bool(out, result->query_truncated);
    write_reason(out, "degraded", &result->degraded);
    write_reason(out, "rerank_skipped", &result->skipped);
    assay_write_name(out, "scored");
    assay_write_count(out, result->scored);
    assay_write_name(out, "cached");
    assay_write_count(out, result->cached);
    assay_write_name(out, "latency_ms");
    assay_write_mark(out, '{');
    assay_write_name(out, "queue");
    assay_write_double(out, (call->job.begun_at - call->job.queued_at) * 1e3);
    assay_write_name(out, "first");
    assay_write_double(out, result->first_seconds * 1e3);
    assay_write_name(out, "rerank");
    assay_write_double(out, result->rerank_seconds * 1e3);
    assay_write_mark(out, '}');
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"GET", "/", assay_page_html_begin, NULL, true},
    {"GET", "/page.css", assay_page_css_begin, NULL, true},
    {"GET", "/page.js", assay_page_js_begin, NULL, true},
    {"GET", "/openapi.json", assay_page_openapi_begin, NULL, true},
    {"GET", "/health", ready_begin, NULL, true},
    {"GET", "/health/live", live_begin, NULL, true},
    {"GET", "/health/ready", ready_begin, NULL, true},
    {"GET", "/metrics", metrics_begin, NULL, false},
    {"POST", "/v1/search", search_begin, search_finish, false},
    {"GET", "/v1/collections", collections_begin, NULL, false},
    {"POST", "/v1/collections/*", collection_search_begin, search_finish, false},
    {0},
};

const assay_dialect assay_dialect_own = {"assay", fail, routes};
