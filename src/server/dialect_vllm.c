/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_vllm.c: vLLM's /rerank (also under /v1 and /v2) and /score, as its
 * OpenAI-compatible server has them. /score takes one text or a list on either side:
 * one against all, or pairs in order. Written after vLLM's entrypoints/pooling/scoring/
 * protocol.py of 2026; tests/golden/dialects/vllm.json has what it says of answers.
 *
 * Departs: truncate_prompt_tokens is not heeded; inputs are cut at what the model takes.
 * Inputs are texts only.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/call.h"

static void fail(assay_call *call)
{
    assay_writer *out = &call->out;
    if (call->status == 422)
        call->status = 400;
    if (call->status == 401) {
        assay_write(out, "{\"error\":\"Unauthorized\"}");
        return;
    }
    const char *type = call->status == 404   ? "NotFoundError"
                       : call->status == 429 ? "RateLimitError"
                       : call->status >= 500 ? "InternalServerError"
                                             : "BadRequestError";
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
    assay_write_count(out, call->status);
    assay_write_mark(out, '}');
    assay_write_mark(out, '}');
}

/* Scores are probabilities unless the request says otherwise; the name was changed twice. */
static bool read_activation(assay_call *call)
{
    static const char *const names[] = {"softmax", "activation", "use_activation"};
    bool activation = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!assay_call_flag(call, call->json, names[i], &activation))
            return false;
    }
    call->raw = !activation;
    return true;
}

static bool rerank_begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents",
                                            .top = "top_n", .zero = ASSAY_TOP_ALL,
                                            .objects = true};
    json_t *documents = json_object_get(call->json, "documents");
    if (json_is_string(documents)) /* one */
        json_object_set_new(call->json, "documents", json_pack("[O]", documents));
    return read_activation(call) && assay_ranking_begin(call, &form);
}

static bool rerank_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "id");
    assay_write_uuid(out, "rerank-");
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_usage(call);
    assay_write_name(out, "results");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "document");
        assay_write_mark(out, '{');
        assay_write_name(out, "text");
        assay_write_text(out, assay_ranking_text(call, document));
        assay_write_name(out, "multi_modal");
        assay_write_null(out);
        assay_write_mark(out, '}');
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
    return true;
}

/* ------------------------------------------------------------------ /score */

/* The name that the request uses for one side: it has several. */
static const char *side(const assay_call *call, const char *const names[4])
{
    for (size_t i = 1; i < 4; i++) {
        if (json_object_get(call->json, names[i]) != NULL)
            return names[i];
    }
    return names[0];
}

/* Texts of a side: one that counts as many, or a list. NULL: fault. */
static const json_t *read_side(assay_call *call, const char *name, size_t *count)
{
    const json_t *value = json_object_get(call->json, name);
    *count = 1;
    if (json_is_string(value))
        return value;
    value = assay_call_list(call, name);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_string(json_array_get(value, i))) {
            assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s[%zu]: expected a string", name, i);
            return NULL;
        }
    }
    *count = json_array_size(value);
    return value;
}

static assay_text side_text(const json_t *texts, size_t i, size_t count)
{
    if (json_is_string(texts))
        return assay_json_text_of(texts);
    return assay_json_text_of(json_array_get(texts, count == 1 ? 0 : i));
}

static bool score_begin(assay_call *call)
{
    static const char *const left[] = {"text_1", "data_1", "queries", "queries"};
    static const char *const right[] = {"text_2", "data_2", "documents", "items"};
    const char *names[2] = {side(call, left), side(call, right)};
    size_t first_count, second_count;
    const json_t *first = read_side(call, names[0], &first_count);
    const json_t *second = first != NULL ? read_side(call, names[1], &second_count) : NULL;
    if (second == NULL || !read_activation(call) || !assay_call_model(call, false))
        return false;
    if (first_count != 1 && first_count != second_count)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, names[0],
                               "Input lengths must be either 1:1, 1:N or N:N");
    call->pairs = calloc(second_count, sizeof *call->pairs);
    if (call->pairs == NULL)
        return assay_call_fail_memory(call);
    for (size_t i = 0; i < second_count; i++)
        call->pairs[i] = (assay_pair){side_text(first, i, first_count),
                                      side_text(second, i, second_count)};
    return assay_call_score(call, second_count);
}

static bool score_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_call_check(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "id");
    assay_write_uuid(out, "score-");
    assay_write_name(out, "object");
    assay_write_string(out, "list");
    assay_write_name(out, "created");
    assay_write_count(out, (uint64_t)time(NULL));
    assay_write_name(out, "model");
    assay_write_string(out, call->model->name);
    assay_write_name(out, "data");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->job.count; i++) {
        if (call->job.scores[i].status != ASSAY_OK)
            return assay_call_fail(call, ASSAY_FAULT_TOO_LONG, "text_1",
                                   "text_1[%zu] is empty, or leaves no room for the other text", i);
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, i);
        assay_write_name(out, "object");
        assay_write_string(out, "score");
        assay_write_name(out, "score");
        assay_write_float(out, assay_ranking_score(call, i));
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_name(out, "usage");
    assay_write_format(out, "{\"prompt_tokens\":%llu,\"total_tokens\":%llu,"
                       "\"completion_tokens\":0,\"prompt_tokens_details\":null}",
                       (unsigned long long)call->job.tokens, (unsigned long long)call->job.tokens);
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/rerank", rerank_begin, rerank_finish, 0},
    {"POST", "/v1/rerank", rerank_begin, rerank_finish, 0},
    {"POST", "/v2/rerank", rerank_begin, rerank_finish, 0},
    {"POST", "/score", score_begin, score_finish, 0},
    {"POST", "/v1/score", score_begin, score_finish, 0},
    {0},
};

const assay_dialect assay_dialect_vllm = {"vllm", fail, routes};
