/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_infinity.c: infinity's /rerank (infinity_emb/fastapi_schemas/pymodels.py).
 * A body of the wrong shape is answered as FastAPI and pydantic do, anything else in
 * OpenAI's form. tests/golden/dialects/infinity.json has its answers.
 *
 * Departs: of several things that are wrong the first is told; what is no JSON, or too
 * much of it, is told in words of ours; a string is neither a number nor true or false.
 */
#include "server/call.h"

#include <stdlib.h>
#include <time.h>

/* What pydantic would have against a member of the body. */
typedef struct detail {
    const char *type, *message, *field, *context; /* context: JSON, or NULL */
    const json_t *input;
    int item; /* of the list; -1: the field itself */
} detail;

static bool find_string(const json_t *body, const char *field, bool required, detail *out)
{
    const json_t *value = json_object_get(body, field);
    *out = (detail){.field = field, .item = -1, .input = value != NULL ? value : body};
    if (value == NULL) {
        out->type = "missing";
        out->message = "Field required";
        return required;
    }
    out->type = "string_type";
    out->message = "Input should be a valid string";
    return !json_is_string(value);
}

static bool find_list(const json_t *body, detail *out)
{
    const json_t *list = json_object_get(body, "documents");
    *out = (detail){.field = "documents", .item = -1, .input = list != NULL ? list : body};
    out->type = list == NULL ? "missing" : !json_is_array(list) ? "list_type" : "too_short";
    out->message = list == NULL            ? "Field required"
                   : !json_is_array(list) ? "Input should be a valid list"
                                           : "List should have at least 1 item after validation, "
                                             "not 0";
    if (json_array_size(list) == 0) {
        if (json_is_array(list))
            out->context = "{\"field_type\":\"List\",\"min_length\":1,\"actual_length\":0}";
        return true;
    }
    out->type = "string_type";
    out->message = "Input should be a valid string";
    for (size_t i = 0; i < json_array_size(list); i++) {
        out->item = (int)i;
        out->input = json_array_get(list, i);
        if (!json_is_string(out->input))
            return true;
    }
    return false;
}

static bool find_flag(const json_t *body, const char *field, detail *out)
{
    const json_t *value = json_object_get(body, field);
    bool read = json_is_string(value); /* it tries to make sense of those */
    *out = (detail){.field = field, .item = -1, .input = value,
                    .type = read ? "bool_parsing" : "bool_type",
                    .message = read ? "Input should be a valid boolean, unable to interpret input"
                                    : "Input should be a valid boolean"};
    return value != NULL && !json_is_boolean(value);
}

static bool find_count(const json_t *body, detail *out)
{
    const json_t *value = json_object_get(body, "top_n");
    bool number = json_is_number(value);
    *out = (detail){.field = "top_n", .item = -1, .input = value,
                    .type = number ? "greater_than" : "int_type",
                    .message = number ? "Input should be greater than 0"
                                      : "Input should be a valid integer",
                    .context = number ? "{\"gt\":0}" : NULL};
    return value != NULL && !json_is_null(value) && !(number && json_number_value(value) > 0);
}

static bool find_detail(const json_t *body, detail *out)
{
    return json_is_object(body) &&
           (find_string(body, "query", true, out) || find_list(body, out) ||
            find_flag(body, "return_documents", out) || find_flag(body, "raw_scores", out) ||
            find_string(body, "model", false, out) || find_count(body, out));
}

static void write_input(assay_writer *out, const json_t *input)
{
    char *text = json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY);
    assay_write_name(out, "input");
    assay_write(out, text != NULL ? text : "null");
    free(text);
}

static void write_detail(assay_call *call)
{
    assay_writer *out = &call->out;
    detail found;
    if (!find_detail(call->json, &found)) /* ours alone */
        found = (detail){.type = call->fault == ASSAY_FAULT_JSON ? "json_invalid" : "value_error",
                         .message = call->message, .field = call->field, .item = -1};
    call->status = 422;
    assay_write(out, "{\"detail\":[{");
    assay_write_name(out, "type");
    assay_write_string(out, found.type);
    assay_write_name(out, "loc");
    assay_write_mark(out, '[');
    assay_write_string(out, "body");
    if (found.field[0] != '\0')
        assay_write_string(out, found.field);
    if (found.item >= 0)
        assay_write_count(out, (uint64_t)found.item);
    assay_write_mark(out, ']');
    assay_write_name(out, "msg");
    assay_write_string(out, found.message);
    if (found.input != NULL)
        write_input(out, found.input);
    if (found.context != NULL) {
        assay_write_name(out, "ctx");
        assay_write(out, found.context);
    }
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
