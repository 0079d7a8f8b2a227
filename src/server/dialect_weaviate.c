/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_weaviate.c: what Weaviate's reranker-transformers module asks of its
 * inference container (weaviate/reranker-transformers: app.py, crossencoder.py): /rerank
 * with {query, documents}, answered with the scores in the documents' order, or with one
 * text as "property"; /meta, and the two probes. tests/golden/dialects/weaviate.json has
 * its answers. The module's client writes "property" beside documents, too, and empty.
 *
 * Departs: a body of the wrong shape is told in {"error"}, which that client shows, and
 * not as FastAPI does.
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
    json_t *property = json_object_get(call->json, "property");
    call->single = json_is_string(property) &&
                   !json_is_array(json_object_get(call->json, "documents"));
    if (call->single)
        json_object_set_new(call->json, "documents", json_pack("[O]", property));
    return assay_ranking_begin(call, &form);
}

static void write_property(assay_call *call)
{
    assay_writer *out = &call->out;
    assay_write(out, ",\"scores\":null,\"property\":");
    assay_write_text(out, assay_ranking_text(call, 0));
    assay_write_name(out, "score");
    assay_write_float(out, assay_ranking_score(call, 0));
}

static void write_documents(assay_call *call)
{
    assay_writer *out = &call->out;
    assay_write(out, ",\"scores\":[");
    for (size_t i = 0; i < call->ranking.count; i++) {
        assay_write_mark(out, '{');
        assay_write_name(out, "document");
        assay_write_text(out, assay_ranking_text(call, i));
        assay_write_name(out, "score");
        assay_write_float(out, assay_ranking_score(call, i));
        assay_write_mark(out, '}');
    }
    assay_write(out, "],\"property\":null,\"score\":null");
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "query");
    assay_write_text(out, call->pairs[0].query);
    (call->single ? write_property : write_documents)(call);
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
