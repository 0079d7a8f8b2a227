/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_llama.c: llama.cpp's server: /reranking, /rerank, /v1/rerank, /v1/reranking.
 * Scores are logits, as there; `texts` in place of `documents` is answered by a plain list.
 * tests/golden/dialects/llama.json has its answers. Departs: a body that is not JSON is
 * told by 400 (there: 500), and an empty query is refused.
 */
#include "server/call.h"

static void fail(assay_call *call)
{
    assay_writer *out = &call->out;
    if (call->status == 422)
        call->status = 400;
    const char *type = call->status == 404   ? "not_found_error"
                       : call->status == 401 ? "authentication_error"
                       : call->status == 403 ? "permission_error"
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

/* What it says of what is missing, in its words. */
static bool check(assay_call *call)
{
    const json_t *query = json_object_get(call->json, "query");
    const json_t *documents = json_object_get(call->json, "documents");
    size_t strings = 0;
    if (query == NULL)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "query", "\"query\" must be provided");
    if (!json_is_string(query))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "query", "\"query\" must be a string");
    if (documents == NULL)
        documents = json_object_get(call->json, "texts");
    while (strings < json_array_size(documents) &&
           json_is_string(json_array_get(documents, strings)))
        strings++;
    if (strings == 0 || strings < json_array_size(documents))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "documents",
                               "\"documents\" must be a non-empty string array");
    return true;
}

static bool is_plain(const assay_call *call)
{
    return json_object_get(call->json, "documents") == NULL;
}

static bool begin(assay_call *call)
{
    const assay_ranking_form form = {.query = "query",
                                     .documents = is_plain(call) ? "texts" : "documents",
                                     .top = "top_n", .zero = ASSAY_TOP_NONE,
                                     .echo = is_plain(call) ? "return_text" : NULL};
    call->raw = true;
    return check(call) && assay_ranking_begin(call, &form);
}

static void write_results(assay_call *call, const char *score)
{
    assay_writer *out = &call->out;
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, score);
        assay_write_float(out, assay_ranking_score(call, document));
        if (call->echo) {
            assay_write_name(out, "text");
            assay_write_text(out, assay_ranking_text(call, document));
        }
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    if (is_plain(call)) {
        write_results(call, "score");
        return true;
    }
    const char *asked = json_string_value(json_object_get(call->json, "model"));
    assay_write_mark(out, '{');
    assay_write_name(out, "model");
    assay_write_string(out, asked != NULL ? asked : call->model->name);
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_usage(call);
    assay_write_name(out, "results");
    write_results(call, "relevance_score");
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
