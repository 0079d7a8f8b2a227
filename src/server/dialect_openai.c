/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_openai.c: OpenAI's embeddings and list of models, which TEI, infinity, vLLM
 * and llama.cpp have too: /v1/embeddings, /embeddings, /v1/models.
 *
 * Departs: input as token ids is refused; a model other than those served is the one
 * that is there, as long as it is the only one.
 */
#include <stdlib.h>
#include <string.h>

#include "server/call.h"

static void fail(assay_call *call)
{
    assay_writer *out = &call->out;
    const char *type = call->status == 401   ? "invalid_request_error"
                       : call->status == 429 ? "rate_limit_exceeded"
                       : call->status >= 500 ? "server_error"
                                             : "invalid_request_error";
    if (call->status == 422)
        call->status = 400;
    assay_write_mark(out, '{');
    assay_write_name(out, "error");
    assay_write_mark(out, '{');
    assay_write_name(out, "message");
    assay_write_string(out, call->message);
    assay_write_name(out, "type");
    assay_write_string(out, type);
    assay_write_name(out, "param");
    assay_write_string(out, call->field[0] != '\0' ? call->field : NULL);
    assay_write_name(out, "code");
    assay_write_string(out, call->fault == ASSAY_FAULT_KEY     ? "invalid_api_key"
                            : call->fault == ASSAY_FAULT_MODEL ? "model_not_found"
                                                               : NULL);
    assay_write_mark(out, '}');
    assay_write_mark(out, '}');
}

static bool embeddings_begin(assay_call *call)
{
    assay_text format = {"float", 5};
    if (!assay_call_model(call, true) ||
        !assay_call_text(call, "encoding_format", false, &format))
        return false;
    call->base64 = strcmp(format.data, "base64") == 0;
    if (!call->base64 && strcmp(format.data, "float") != 0)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "encoding_format",
                               "encoding_format: '%.50s' is neither float nor base64",
                               format.data);
    call->number = call->model->info.dimensions;
    return assay_call_count(call, call->json, "dimensions", 1, call->number, &call->number) &&
           assay_call_embed(call, "input", ASSAY_ROLE_NONE);
}

static void write_embedding(assay_call *call, size_t i)
{
    assay_writer *out = &call->out;
    const float *vector = assay_embedding_of(call, i, true);
    assay_write_mark(out, '{');
    assay_write_name(out, "object");
    assay_write_string(out, "embedding");
    assay_write_name(out, "embedding");
    if (call->base64) {
        assay_write_base64(out, vector, call->number);
    } else {
        assay_write_mark(out, '[');
        for (size_t d = 0; d < call->number; d++)
            assay_write_float(out, vector[d]);
        assay_write_mark(out, ']');
    }
    assay_write_name(out, "index");
    assay_write_count(out, i);
    assay_write_mark(out, '}');
}

static bool embeddings_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_call_check(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_name(out, "data");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->job.count; i++)
        write_embedding(call, i);
    assay_write_mark(out, ']');
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_usage(call);
    assay_write_mark(out, '}');
    return true;
}

static void write_model(assay_writer *out, const assay_server *server, const assay_served *served)
{
    assay_write_mark(out, '{');
    assay_write_name(out, "id");
    assay_write_string(out, served->name);
    assay_write_name(out, "object");
    assay_write_string(out, "model");
    assay_write_name(out, "created");
    assay_write_count(out, (uint64_t)server->started_at);
    assay_write_name(out, "owned_by");
    assay_write_string(out, "assay");
    assay_write_mark(out, '}');
}

static bool models_begin(assay_call *call)
{
    assay_writer *out = &call->out;
    assay_write(out, "{\"object\":\"list\",\"data\":[");
    const assay_models *models = assay_call_models(call);
    for (size_t i = 0; i < models->count; i++)
        write_model(out, call->server, &models->list[i]);
    assay_write(out, "]}");
    return true;
}

static bool model_begin(assay_call *call)
{
    const assay_models *models = assay_call_models(call);
    for (size_t i = 0; i < models->count; i++) {
        if (strcmp(models->list[i].name, call->rest) == 0) {
            write_model(&call->out, call->server, &models->list[i]);
            return true;
        }
    }
    return assay_call_fail(call, ASSAY_FAULT_MODEL, "model", "model '%.200s' is not served here",
                           call->rest);
}

static const assay_route routes[] = {
    {"POST", "/v1/embeddings", embeddings_begin, embeddings_finish, 0},
    {"POST", "/embeddings", embeddings_begin, embeddings_finish, 0},
    {"GET", "/v1/models", models_begin, NULL, 0},
    {"GET", "/models", models_begin, NULL, 0},
    {"GET", "/v1/models/*", model_begin, NULL, 0},
    {0},
};

const assay_dialect assay_dialect_openai = {"openai", fail, routes};
