/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_jina.c: Jina AI's /v1/rerank (api.jina.ai/redoc). Documents are strings or
 * objects with "text"; they come back unless return_documents is false.
 *
 * On the shared path it answers whoever is not recognised, and then adds what clients
 * of Cohere's interface read: "id" and "meta".
 */
#include "server/call.h"

static void fail(assay_call *call)
{
    assay_write_mark(&call->out, '{');
    assay_write_name(&call->out, "detail");
    assay_write_string(&call->out, call->message);
    assay_write_mark(&call->out, '}');
}

static bool begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents",
                                            .top = "top_n", .echo = "return_documents",
                                            .objects = true};
    call->echo = true;
    return assay_ranking_begin(call, &form);
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    if (call->shared) {
        assay_write_name(out, "id");
        assay_write_uuid(out, "");
        assay_write_name(out, "meta");
        assay_write(out, "{\"api_version\":{\"version\":\"1\"}}");
    }
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_name(out, "usage");
    assay_write_format(out, "{\"total_tokens\":%llu}", (unsigned long long)call->job.tokens);
    assay_write_name(out, "results");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        if (call->echo) {
            assay_write_name(out, "document");
            assay_write_document(call, document);
        }
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/v1/rerank", begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_jina = {"jina", fail, routes};
