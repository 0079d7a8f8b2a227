/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_elastic.c: Elasticsearch's POST /_inference/rerank/{id}: `input` (a text or a
 * list) against `query`; return_documents and top_n at the top or in task_settings. Written
 * after InferenceAction and RankedDocsResults of 8.17 to 9.x; tests/golden/dialects/
 * elastic.json has what they say. Its clients want to be told whom they talk to.
 */
#include <string.h>

#include "server/call.h"

#define INVALID "Validation Failed: "

static void write_cause(assay_writer *out, const char *type, const char *reason)
{
    assay_write_name(out, "type");
    assay_write_string(out, type);
    assay_write_name(out, "reason");
    assay_write_string(out, reason);
}

static void fail(assay_call *call)
{
    assay_writer *out = &call->out;
    if (call->status == 422)
        call->status = 400;
    const char *type = call->status == 401   ? "security_exception"
                       : call->status == 404 ? "resource_not_found_exception"
                       : call->status == 429 ? "es_rejected_execution_exception"
                       : call->status != 400 ? "status_exception"
                       : strncmp(call->message, INVALID, strlen(INVALID)) == 0
                           ? "action_request_validation_exception"
                           : "x_content_parse_exception";
    assay_call_header(call, "X-elastic-product", "Elasticsearch");
    assay_write(out, "{\"error\":{\"root_cause\":[{");
    write_cause(out, type, call->message);
    assay_write(out, "}],");
    out->length--; /* the writer puts the comma */
    write_cause(out, type, call->message);
    assay_write_mark(out, '}');
    assay_write_name(out, "status");
    assay_write_count(out, call->status);
    assay_write_mark(out, '}');
}

static bool invalid(assay_call *call, const char *field, const char *why)
{
    return assay_call_fail(call, ASSAY_FAULT_FIELD, field, INVALID "1: Field [%s] cannot be %s;",
                           field, why);
}

/* In its order and words. */
static bool check(assay_call *call)
{
    const json_t *input = json_object_get(call->json, "input");
    const json_t *query = json_object_get(call->json, "query");
    if (input == NULL || json_is_null(input))
        return invalid(call, "input", "null");
    if (json_is_array(input) && json_array_size(input) == 0)
        return invalid(call, "input", "an empty array");
    if (query == NULL || json_is_null(query))
        return invalid(call, "query", "null for task type [rerank]");
    if (json_is_string(query) && json_string_length(query) == 0)
        return invalid(call, "query", "empty for task type [rerank]");
    return true;
}

static bool begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "input"};
    const json_t *settings = json_object_get(call->json, "task_settings");
    const json_t *places[] = {settings, call->json}; /* the request's own count more */
    call->number = UINT32_MAX;
    for (size_t i = 0; i < 2; i++) {
        if (!assay_call_flag(call, places[i], "return_documents", &call->echo) ||
            !assay_call_count(call, places[i], "top_n", 1, UINT32_MAX, &call->number))
            return false;
    }
    if (!check(call))
        return false;
    json_t *input = json_object_get(call->json, "input");
    if (json_is_string(input))
        json_object_set_new(call->json, "input", json_pack("[O]", input));
    return assay_ranking_begin(call, &form);
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_call_header(call, "X-elastic-product", "Elasticsearch");
    assay_write(out, "{\"rerank\":[");
    for (size_t i = 0; i < call->ranking.shown && i < call->number; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        if (call->echo) {
            assay_write_name(out, "text");
            assay_write_text(out, assay_ranking_text(call, document));
        }
        assay_write_mark(out, '}');
    }
    assay_write(out, "]}");
    return true;
}

static const assay_route routes[] = {
    {"POST", "/_inference/rerank/*", begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_elastic = {"elastic", fail, routes};
