/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_infinity.c: infinity's /rerank (infinity_emb/fastapi_schemas/pymodels.py).
 * A body of the wrong shape is answered as FastAPI does, anything else in OpenAI's form.
 */
#include "server/call.h"

#include <time.h>

static void write_detail(assay_call *call)
{
    assay_writer *out = &call->out;
    bool missing = call->fault == ASSAY_FAULT_FIELD && call->field[0] != '\0' &&
                   call->message[0] == 'm';
    call->status = 422;
    assay_write(out, "{\"detail\":[{");
    assay_write_name(out, "type");
    assay_write_string(out, missing ? "missing" : "value_error");
    assay_write_name(out, "loc");
    assay_write_mark(out, '[');
    assay_write_string(out, "body");
    if (call->field[0] != '\0')
        assay_write_string(out, call->field);
    assay_write_mark(out, ']');
    assay_write_name(out, "msg");
    assay_write_string(out, missing ? "Field required" : call->message);
    assay_write(out, "}]}");
}

static void fail(assay_call *call)
{
    assay_writer *out = &call->out;
    if (call->status == 422 || call->fault == ASSAY_FAULT_JSON ||
        call->fault == ASSAY_FAULT_EMPTY) {
        write_detail(call);
        return;
    }
    assay_write(out, "{\"error\":{");
    assay_write_name(out, "message");
    assay_write_string(out, call->message);
    assay_write_name(out, "type");
    assay_write_null(out);
    assay_write_name(out, "param");
    assay_write_null(out);
    assay_write_name(out, "code");
    assay_write_count(out, call->status);
    assay_write(out, "}}");
}

static bool begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents",
                                            .top = "top_n", .echo = "return_documents"};
    return assay_call_flag(call, call->json, "raw_scores", &call->raw) &&
           assay_ranking_begin(call, &form);
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "object");
    assay_write_string(out, "rerank");
    assay_write_name(out, "results");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "document");
        if (call->echo)
            assay_write_text(out, assay_ranking_text(call, document));
        else
            assay_write_null(out);
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_usage(call);
    assay_write_name(out, "id");
    assay_write_uuid(out, "infinity-");
    assay_write_name(out, "created");
    assay_write_count(out, (uint64_t)time(NULL));
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/rerank", begin, finish, 0},
    {"POST", "/v1/rerank", begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_infinity = {"infinity", fail, routes};
