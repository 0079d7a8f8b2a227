/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_mixedbread.c: Mixedbread's /v1/reranking, as its SDK has it: `input` in
 * place of documents, ten of them answered unless top_k says otherwise.
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
    static const assay_ranking_form form = {.query = "query", .documents = "input",
                                            .top = "top_k", .echo = "return_input",
                                            .objects = true};
    call->number = 10;
    if (!assay_call_count(call, call->json, "top_k", 1, UINT32_MAX, &call->number) ||
        !assay_ranking_begin(call, &form))
        return false;
    return true;
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    size_t shown = call->ranking.count < call->number ? call->ranking.count
                                                      : (size_t)call->number;
    assay_write_mark(out, '{');
    assay_write_name(out, "usage");
    assay_write_format(out, "{\"prompt_tokens\":%llu,\"total_tokens\":%llu,"
                       "\"completion_tokens\":0}",
                       (unsigned long long)call->job.tokens, (unsigned long long)call->job.tokens);
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_name(out, "data");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_name(out, "input");
        if (call->echo)
            assay_write_text(out, assay_ranking_text(call, document));
        else
            assay_write_null(out);
        assay_write_name(out, "object");
        assay_write_string(out, "rank_result");
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_name(out, "top_k");
    assay_write_count(out, call->number);
    assay_write_name(out, "return_input");
    assay_write_bool(out, call->echo);
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/v1/reranking", begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_mixedbread = {"mixedbread", fail, routes};
