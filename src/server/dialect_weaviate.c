/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_weaviate.c: what Weaviate's reranker-transformers module asks of its
 * inference container: /rerank with {query, documents}, answered with the scores in
 * the documents' order, /meta, and the two probes.
 */
#include "server/call.h"

static void fail(assay_call *call)
{
    assay_write_mark(&call->out, '{');
    assay_write_name(&call->out, "error");
    assay_write_string(&call->out, call->message);
    assay_write_mark(&call->out, '}');
}

static bool begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents"};
    return assay_ranking_begin(call, &form);
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "query");
    assay_write_text(out, call->pairs[0].query);
    assay_write_name(out, "scores");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.count; i++) {
        assay_write_mark(out, '{');
        assay_write_name(out, "document");
        assay_write_text(out, assay_ranking_text(call, i));
        assay_write_name(out, "score");
        assay_write_float(out, assay_ranking_score(call, i));
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
    return true;
}

static bool meta_begin(assay_call *call)
{
    assay_writer *out = &call->out;
    assay_write_mark(out, '{');
    const assay_models *models = assay_call_models(call);
    for (size_t i = 0; i < models->count; i++) {
        assay_write_name(out, models->list[i].name);
        assay_write_mark(out, '{');
        assay_write_name(out, "architecture");
        assay_write_string(out, models->list[i].info.architecture);
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, '}');
    return true;
}

static bool probe_begin(assay_call *call)
{
    call->status = atomic_load(&call->server->draining) ? 503 : 204;
    return true;
}

static const assay_route routes[] = {
    {"POST", "/rerank", begin, finish, 0},
    {"GET", "/meta", meta_begin, NULL, 0},
    {"GET", "/.well-known/live", probe_begin, NULL, ASSAY_ROUTE_OPEN},
    {"GET", "/.well-known/ready", probe_begin, NULL, ASSAY_ROUTE_OPEN},
    {0},
};

const assay_dialect assay_dialect_weaviate = {"weaviate", fail, routes};
