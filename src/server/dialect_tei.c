/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_tei.c: Hugging Face's text-embeddings-inference (router/src/http/server.rs
 * and types.rs): /rerank, /predict, /embed, / for any of them, /info, with its x-*
 * headers. Errors that its JSON reader finds are plain text, those of its own are JSON,
 * paths and methods that it does not have get nothing. Written after its sources of July
 * 2026; tests/golden/dialects/tei.json has what they say.
 *
 * Departs: `truncate: false` is judged after the model has seen the text; texts are cut
 * at their end, so `truncation_direction` left is refused where one was cut; scores are
 * of one label, as rerankers of assay's have; normalize false is refused for a model
 * whose vectors come with length 1; ties stay in the order of the texts.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/call.h"

static void write_plain(assay_call *call, const char *before)
{
    call->type = "text/plain; charset=utf-8";
    assay_write(&call->out, before);
    assay_write(&call->out, call->message);
}

static void fail(assay_call *call)
{
    static const char *const types[ASSAY_FAULTS] = {
        [ASSAY_FAULT_EMPTY] = "Empty",         [ASSAY_FAULT_TOO_MANY] = "Validation",
        [ASSAY_FAULT_TOO_LONG] = "Validation", [ASSAY_FAULT_OVERLOADED] = "Overloaded",
        [ASSAY_FAULT_RATE] = "Overloaded",     [ASSAY_FAULT_DRAINING] = "Unhealthy",
    };
    switch (call->fault) {
    case ASSAY_FAULT_KEY:
        return;
    case ASSAY_FAULT_PATH:
    case ASSAY_FAULT_METHOD:
        if (!call->shared)
            return;
        break;
    case ASSAY_FAULT_JSON:
        write_plain(call, "Failed to parse the request body as JSON: ");
        return;
    case ASSAY_FAULT_FIELD:
        write_plain(call, "Failed to deserialize the JSON body into the target type: ");
        return;
    case ASSAY_FAULT_MEDIA:
        write_plain(call, "");
        return;
    case ASSAY_FAULT_TOO_LARGE:
        write_plain(call, "Failed to buffer the request body: length limit exceeded; ");
        return;
    case ASSAY_FAULT_INTERNAL:
    case ASSAY_FAULT_MODEL:
        call->status = 424;
        break;
    default:
        break;
    }
    const char *type = types[call->fault];
    assay_write_mark(&call->out, '{');
    assay_write_name(&call->out, "error");
    assay_write_string(&call->out, call->message);
    assay_write_name(&call->out, "error_type");
    assay_write_string(&call->out, type != NULL ? type : "Backend");
    assay_write_mark(&call->out, '}');
}

/* --------------------------------------------------------------- what is common */

static bool read_direction(assay_call *call)
{
    const char *direction = "Right";
    if (!assay_call_name(call, "truncation_direction", &direction))
        return false;
    call->left = strcasecmp(direction, "left") == 0;
    return call->left || strcasecmp(direction, "right") == 0 ||
           assay_call_fail(call, ASSAY_FAULT_FIELD, "truncation_direction",
                           "truncation_direction: unknown variant `%.50s`, expected `Left` or "
                           "`Right`", direction);
}

static bool read_common(assay_call *call)
{
    return read_direction(call) &&
           assay_call_flag(call, call->json, "truncate", &call->truncate) &&
           assay_call_flag(call, call->json, "raw_scores", &call->raw);
}

static uint64_t milliseconds(double seconds)
{
    return seconds > 0 ? (uint64_t)(seconds * 1e3) : 0;
}

static uint64_t characters(assay_text text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

static void add_headers(assay_call *call)
{
    const assay_job *job = &call->job;
    uint64_t count = 0;
    for (size_t i = 0; i < job->count; i++)
        count += job->pairs != NULL
                     ? characters(job->pairs[i].query) + characters(job->pairs[i].passage)
                     : characters(job->texts[i]);
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
        {"x-compute-time", milliseconds(assay_now() - call->begun)},
        {"x-compute-characters", count},
        {"x-compute-tokens", job->tokens},
        {"x-total-time", milliseconds(assay_now() - call->begun)},
        {"x-tokenization-time", 0},
        {"x-queue-time", milliseconds(job->begun_at - job->queued_at)},
        {"x-inference-time", milliseconds(job->done_at - job->begun_at)},
    };
    assay_call_header(call, "x-compute-type", "cpu");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assay_call_header(call, all[i].name, "%llu", (unsigned long long)all[i].value);
}

/* Tokens of an input as it was sent. */
static size_t count_tokens(const assay_call *call, size_t i)
{
    const assay_job *job = &call->job;
    const assay_tokenizer *tokenizer = assay_model_tokenizer(call->model->model);
    const assay_tokenize_options options = {.special = true};
    assay_encoding encoding;
    const assay_text *second = job->pairs != NULL ? &job->pairs[i].passage : NULL;
    assay_text first = second != NULL ? job->pairs[i].query : job->texts[i];
    if (assay_tokenize(tokenizer, first, second, &options, &encoding, NULL) != ASSAY_OK)
        return call->model->info.max_tokens + 1;
    size_t count = encoding.count;
    assay_encoding_free(&encoding);
    return count;
}

/* Refuses texts that were cut where the request wants none to be, or not there. */
static bool check_truncation(assay_call *call)
{
    const assay_job *job = &call->job;
    for (size_t i = 0; (!call->truncate || call->left) && i < job->count; i++) {
        bool cut = job->pairs != NULL ? job->scores[i].truncated : job->infos[i].truncated;
        if (cut && !call->truncate)
            return assay_call_fail(call, ASSAY_FAULT_TOO_LONG, "inputs",
                                   "Input validation error: `inputs` must have less than %u "
                                   "tokens. Given: %zu",
                                   call->model->info.max_tokens, count_tokens(call, i));
        if (cut)
            return assay_call_fail(call, ASSAY_FAULT_TOO_LONG, "truncation_direction",
                                   "Input validation error: `truncation_direction`: a text of more "
                                   "than %u tokens can only be cut at its end",
                                   call->model->info.max_tokens);
    }
    return true;
}

/* ----------------------------------------------------------------- /rerank */

static bool rerank_begin(assay_call *call)
{
    static const assay_ranking_form form = {
        .query = "query", .documents = "texts", .echo = "return_text"};
    return read_common(call) && assay_ranking_begin(call, &form);
}

static bool rerank_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call) || !check_truncation(call))
        return false;
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        assay_write_name(out, "index");
        assay_write_count(out, document);
        if (call->echo) {
            assay_write_name(out, "text");
            assay_write_text(out, assay_ranking_text(call, document));
        }
        assay_write_name(out, "score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    add_headers(call);
    return true;
}

/* ---------------------------------------------------------------- /predict */

static bool read_pair(assay_call *call, const json_t *pair, assay_pair *out)
{
    const json_t *first = json_array_get(pair, 0), *second = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_string(first) || !json_is_string(second))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "inputs",
                               "inputs: a cross-encoder takes a pair of strings "
                               "[string, string] or a batch of pairs");
    *out = (assay_pair){assay_json_text_of(first), assay_json_text_of(second)};
    return true;
}

static bool predict_begin(assay_call *call)
{
    if (!read_common(call) || !assay_call_model(call, false))
        return false;
    const json_t *inputs = assay_call_list(call, "inputs");
    if (inputs == NULL)
        return false;
    call->single = json_is_string(json_array_get(inputs, 0));
    size_t count = call->single ? 1 : json_array_size(inputs);
    call->pairs = calloc(count, sizeof *call->pairs);
    if (call->pairs == NULL)
        return assay_call_fail_memory(call);
    for (size_t i = 0; i < count; i++) {
        if (!read_pair(call, call->single ? inputs : json_array_get(inputs, i), &call->pairs[i]))
            return false;
    }
    return assay_call_score(call, count);
}

static bool predict_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_call_check(call) || !check_truncation(call))
        return false;
    if (!call->single)
        assay_write_mark(out, '[');
    for (size_t i = 0; i < call->job.count; i++) {
        if (call->job.scores[i].status != ASSAY_OK)
            return assay_call_fail(call, ASSAY_FAULT_TOO_LONG, "inputs",
                                   "inputs[%zu]: the first text is empty, or leaves no room for "
                                   "the second", i);
        assay_write_mark(out, '[');
        assay_write_mark(out, '{');
        assay_write_name(out, "score");
        assay_write_float(out, assay_ranking_score(call, i));
        assay_write_name(out, "label");
        assay_write_string(out, "LABEL_0");
        assay_write_mark(out, '}');
        assay_write_mark(out, ']');
    }
    if (!call->single)
        assay_write_mark(out, ']');
    add_headers(call);
    return true;
}

/* ------------------------------------------------------------------ /embed */

static bool read_prompt(assay_call *call, assay_role *role)
{
    assay_text name = {0};
    if (!assay_call_text(call, "prompt_name", false, &name))
        return false;
    static const struct {
        const char *name;
        assay_role role;
    } roles[] = {{"query", ASSAY_ROLE_QUERY},
                 {"passage", ASSAY_ROLE_PASSAGE},
                 {"document", ASSAY_ROLE_PASSAGE}};
    *role = ASSAY_ROLE_NONE;
    for (size_t i = 0; name.data != NULL && i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(name.data, roles[i].name) == 0) {
            *role = roles[i].role;
            return true;
        }
    }
    return name.data == NULL ||
           assay_call_fail(call, ASSAY_FAULT_FIELD, "prompt_name",
                           "prompt_name: '%.100s' is none of query, passage, document", name.data);
}

static bool embed_begin(assay_call *call)
{
    assay_role role;
    bool normalize = true;
    if (!read_common(call) || !read_prompt(call, &role) ||
        !assay_call_model(call, true) ||
        !assay_call_flag(call, call->json, "normalize", &normalize))
        return false;
    call->number = call->model->info.dimensions;
    if (!assay_call_count(call, call->json, "dimensions", 1, call->number, &call->number))
        return false;
    if (!normalize && call->model->info.normalized)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "normalize",
                               "normalize: the vectors of this model have length 1");
    call->raw = !normalize;
    return assay_call_embed(call, "inputs", role);
}

static bool embed_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_call_check(call) || !check_truncation(call))
        return false;
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->job.count; i++) {
        const float *vector = assay_embedding_of(call, i, !call->raw);
        assay_write_mark(out, '[');
        for (size_t d = 0; d < call->number; d++)
            assay_write_float(out, vector[d]);
        assay_write_mark(out, ']');
    }
    assay_write_mark(out, ']');
    add_headers(call);
    return true;
}

/* ------------------------------------------------------------------- /info */

static void write_type(assay_writer *out, const assay_served *served)
{
    assay_write_name(out, "model_type");
    assay_write_mark(out, '{');
    if (served->info.kind != ASSAY_MODEL_BI_ENCODER)
        assay_write(out, "\"reranker\":{\"id2label\":{\"0\":\"LABEL_0\"},"
                         "\"label2id\":{\"LABEL_0\":0}}");
    else
        assay_write_format(out, "\"embedding\":{\"pooling\":\"%s\"}", served->info.pooling);
    assay_write_mark(out, '}');
}

static bool info_begin(assay_call *call)
{
    assay_writer *out = &call->out;
    const assay_serve_options *o = &call->server->options;
    const assay_models *models = assay_call_models(call);
    const assay_limits *limits = &call->server->limits;
    const assay_served *served = &models->list[0];
    if (models->count == 0)
        return assay_call_fail(call, ASSAY_FAULT_MODEL, NULL, "no model is served here");
    assay_write_mark(out, '{');
    assay_write_name(out, "model_id");
    assay_write_string(out, served->info.name);
    assay_write_name(out, "model_sha");
    assay_write_string(out, served->info.digest);
    assay_write_name(out, "model_dtype");
    assay_write_string(out, served->info.precision);
    assay_write_name(out, "served_model_name");
    assay_write_string(out, served->name);
    write_type(out, served);
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"max_concurrent_requests", atomic_load(&limits->queue)},
        {"max_input_length", served->info.max_tokens},
        {"max_batch_tokens", atomic_load(&limits->batch_tokens)},
        {"max_client_batch_size", atomic_load(&limits->max_documents)},
        {"tokenization_workers", o->workers},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assay_write_name(out, counts[i].name);
        assay_write_count(out, counts[i].value);
    }
    assay_write_name(out, "max_batch_requests");
    assay_write_null(out);
    assay_write_name(out, "auto_truncate");
    assay_write_bool(out, true);
    assay_write_name(out, "version");
    assay_write_string(out, assay_version());
    assay_write_name(out, "sha");
    assay_write_null(out);
    assay_write_name(out, "docker_label");
    assay_write_null(out);
    assay_write_mark(out, '}');
    return true;
}

/* ------------------------------------------------------------------- POST / */

/* There it does what its model is for; here the body tells. */
static bool root_begin(assay_call *call)
{
    if (json_object_get(call->json, "texts") != NULL)
        return rerank_begin(call);
    const json_t *inputs = json_object_get(call->json, "inputs");
    bool pairs = json_is_array(json_array_get(inputs, 0));
    return pairs ? predict_begin(call) : embed_begin(call);
}

static bool root_finish(assay_call *call)
{
    if (call->ranking.documents != NULL)
        return rerank_finish(call);
    return call->job.pairs != NULL ? predict_finish(call) : embed_finish(call);
}

static const assay_route routes[] = {
    {"POST", "/", root_begin, root_finish, 0},
    {"POST", "/rerank", rerank_begin, rerank_finish, 0},
    {"POST", "/predict", predict_begin, predict_finish, 0},
    {"POST", "/embed", embed_begin, embed_finish, 0},
    {"GET", "/info", info_begin, NULL, 0},
    {0},
};

const assay_dialect assay_dialect_tei = {"tei", fail, routes};
