/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_voyage.c: Voyage AI's /v1/rerank (docs.voyageai.com/reference/reranker-api):
 * top_k, return_documents, and truncation, which false makes a text that is too long
 * an error.
 */
#include "server/call.h"

static void fail(assay_call *call)
{
    if (call->status == 422)
        call->status = 400;
    assay_write_mark(&call->out, '{');
    assay_write_name(&call->out, "detail");
    assay_write_string(&call->out, call->message);
    assay_write_mark(&call->out, '}');
}

static bool begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents",
                                            .top = "top_k", .echo = "return_documents"};
    return assay_call_flag(call, call->json, "truncation", &call->truncate) &&
           assay_ranking_begin(call, &form);
}

static bool check_truncation(assay_call *call)
{
    if (!call->truncate && call->job.truncated > 0)
        return assay_call_fail(call, ASSAY_FAULT_TOO_LONG, "documents",
                               "%u of the documents are longer than the model takes with this "
                               "query (%u tokens), and truncation is false",
                               call->job.truncated, call->model->info.max_tokens);
    return true;
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call) || !check_truncation(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_name(out, "data");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_name(out, "index");
        assay_write_count(out, document);
        if (call->echo) {
            assay_write_name(out, "document");
            assay_write_text(out, assay_ranking_text(call, document));
        }
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_name(out, "usage");
    assay_write_format(out, "{\"total_tokens\":%llu}", (unsigned long long)call->job.tokens);
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/v1/rerank", begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_voyage = {"voyage", fail, routes};
