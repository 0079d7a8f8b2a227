/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_llama.c: llama.cpp's server: /reranking, /rerank, /v1/rerank, /v1/reranking.
 * Scores are logits, as there. `texts` in place of `documents` is answered by "tei".
 */
#include "server/call.h"

static void fail(assay_call *call)
{
    assay_writer *out = &call->out;
    if (call->status == 422)
        call->status = 400;
    const char *type = call->status == 404   ? "not_found_error"
                       : call->status == 401 ? "authentication_error"
                       : call->status == 503 || call->status == 429 ? "unavailable_error"
                       : call->status >= 500 ? "server_error"
                                             : "invalid_request_error";
    assay_write_mark(out, '{');
    assay_write_name(out, "error");
    assay_write_mark(out, '{');
    assay_write_name(out, "code");
    assay_write_count(out, call->status);
    assay_write_name(out, "message");
    assay_write_string(out, call->message);
    assay_write_name(out, "type");
    assay_write_string(out, type);
    assay_write_mark(out, '}');
    assay_write_mark(out, '}');
}

static bool begin(assay_call *call)
{
    static const assay_ranking_form form = {
        .query = "query", .documents = "documents", .top = "top_n"};
    call->raw = true;
    return assay_ranking_begin(call, &form);
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_usage(call);
    assay_write_name(out, "results");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/reranking", begin, finish, 0},
    {"POST", "/v1/reranking", begin, finish, 0},
    {"POST", "/rerank", begin, finish, 0},
    {"POST", "/v1/rerank", begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_llama = {"llama", fail, routes};
