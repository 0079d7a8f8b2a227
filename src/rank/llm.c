/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm.c: the client of a chat API.
 *
 * The request is that of OpenAI's chat completions, which llama.cpp, vLLM, Ollama
 * and the large services all answer, with temperature 0 and a seed. What an API
 * does not know (structured output, probabilities, the names that newer models
 * take) it answers with 400 or 422, or with 500 and the name of the field: that is left
 * out then, and remembered.
 */
#include "rank/llm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/http_client.h"
#include "base/json.h"
#include "rank/llm_prompt.h"

enum {
    ANSWER_BYTES = 4 << 20,
    KEY_BYTES = 4096,
    BYTES_A_TOKEN = 4, /* without a tokenizer */
    DIALECTS = 5,      /* rounds in which something may be left out */
    TOP_LOGPROBS = 10,
};

/* How an answer's form is asked for besides in words. */
typedef enum form {
    FORM_SCHEMA, /* response_format json_schema, as OpenAI has it */
    FORM_OBJECT, /* json_object with a schema, as llama.cpp had it first; others read "JSON" */
    FORM_WORDS,
} form;

static const char form_field[] = "response_format";

struct assay_llm {
    assay_llm_options options; /* in force */
    assay_arena *arena;        /* their strings */
    assay_http *http;
    assay_tokenizer *tokenizer; /* NULL: bytes are counted */
    assay_tokens tokens;
    assay_buffer scratch;
    /* What the API understands, as far as it is known. */
    form form;
    bool odds, newer;
};

/* ---- Opening -------------------------------------------------------------------- */

static assay_status range(uint32_t *value, const char *name, uint32_t otherwise, uint32_t low,
                          uint32_t high, assay_error *error)
{
    if (*value == 0)
        *value = otherwise;
    if (*value < low || *value > high)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "%u is not between %u and %u", *value,
                          low, high);
    return ASSAY_OK;
}

static assay_status settle(assay_llm_options *o, assay_error *error)
{
    if (o->url == NULL)
        o->url = getenv("ASSAY_LLM_URL");
    if (o->model == NULL)
        o->model = getenv("ASSAY_LLM_MODEL");
    if (o->url == NULL || o->url[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, "llm", "its url is missing: the chat API up "
                          "to and with /v1, as http://127.0.0.1:8080/v1 (or $ASSAY_LLM_URL)");
    if (o->model == NULL || o->model[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, "llm", "its model is missing: its name as the "
                          "API calls it (or $ASSAY_LLM_MODEL)");
    if ((unsigned)o->mode > ASSAY_LLM_PAIRWISE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "mode", "there is no mode %d", (int)o->mode);
    ASSAY_TRY(range(&o->passage_tokens, "passage_tokens", 300, 8, 100000, error));
    ASSAY_TRY(range(&o->window, "window", 20, 2, 1000, error));
    ASSAY_TRY(range(&o->step, "step", (o->window + 1) / 2, 1, o->window, error));
    ASSAY_TRY(range(&o->parallel, "parallel", 4, 1, 256, error));
    ASSAY_TRY(range(&o->timeout_ms, "timeout_ms", 60000, 1, 3600000, error));
    ASSAY_TRY(range(&o->attempts, "attempts", 4, 1, 20, error));
    for (int i = 0; i < 2; i++) {
        double price = i == 0 ? o->price_input.value : o->price_output.value;
        if (!(price >= 0 && price <= 1e9))
            return assay_fail(error, ASSAY_E_ARGUMENT, i == 0 ? "price_input" : "price_output",
                              "%g is not between 0 and 1e9", price);
    }
    return ASSAY_OK;
}

static assay_status copy(assay_arena *arena, const char **text, assay_error *error)
{
    if (*text == NULL)
        return ASSAY_OK;
    *text = assay_arena_copy(arena, *text, strlen(*text));
    return *text != NULL ? ASSAY_OK : assay_fail_memory(error, 1024);
}

/* ".../v1" or ".../v1/" or the whole address. */
static assay_status chat_url(const char *url, assay_buffer *out, assay_error *error)
{
    static const char place[] = "/chat/completions";
    size_t length = strlen(url), end = sizeof place - 1;
    while (length > 0 && url[length - 1] == '/')
        length--;
    assay_buffer_append(out, url, length);
    if (length < end || memcmp(url + length - end, place, end) != 0)
        assay_buffer_string(out, place);
    return assay_buffer_status(out, "url", error);
}

/* The key into *out, which wipes nothing by itself. */
static assay_status read_key(const assay_llm_options *o, assay_buffer *out, assay_error *error)
{
    const char *name = o->key_env != NULL ? o->key_env : "ASSAY_LLM_KEY";
    if (o->key_file != NULL) {
        ASSAY_TRY(assay_file_read(o->key_file, out, error));
    } else {
        const char *value = getenv(name);
        if (value == NULL && o->key_env != NULL)
            return assay_fail(error, ASSAY_E_ARGUMENT, "key_env", "the environment has no "
                              "variable %.100s", name);
        assay_buffer_string(out, value != NULL ? value : "");
    }
    while (out->length > 0 && strchr(" \t\r\n", out->data[out->length - 1]) != NULL)
        out->data[--out->length] = '\0';
    return assay_buffer_status(out, "key", error);
}

static assay_status open_http(assay_llm *llm, assay_error *error)
{
    const assay_llm_options *o = &llm->options;
    const assay_http_limits limits = {
        .parallel = o->parallel,
        .attempts = o->attempts,
        .timeout = o->timeout_ms / 1e3,
        .answer_bytes = ANSWER_BYTES,
    };
    assay_buffer url, key;
    assay_buffer_init(&url, 4096);
    assay_buffer_init(&key, KEY_BYTES);
    assay_status status = chat_url(o->url, &url, error);
    if (status == ASSAY_OK)
        status = read_key(o, &key, error);
    if (status == ASSAY_OK)
        status = assay_http_open(url.data, key.data != NULL ? key.data : "", limits, &llm->http,
                                 error);
    if (key.data != NULL)
        explicit_bzero(key.data, key.capacity);
    assay_buffer_free(&key);
    assay_buffer_free(&url);
    return status;
}

/* One that is named must be there; the default one need not. */
static assay_status open_tokenizer(assay_llm *llm, assay_error *error)
{
    char path[4096];
    const char *name = llm->options.tokenizer;
    assay_status status = assay_model_find(name != NULL ? name : "cross", path, sizeof path,
                                           error);
    if (status == ASSAY_OK)
        status = assay_tokenizer_open(path, &llm->tokenizer, error);
    return name != NULL ? status : ASSAY_OK;
}

static assay_status open_parts(assay_llm *llm, assay_error *error)
{
    assay_llm_options *o = &llm->options;
    ASSAY_TRY(settle(o, error));
    llm->arena = assay_arena_new(0);
    if (llm->arena == NULL)
        return assay_fail_memory(error, 1024);
    const char **strings[] = {&o->url, &o->model, &o->key_env, &o->key_file, &o->tokenizer};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        ASSAY_TRY(copy(llm->arena, strings[i], error));
    ASSAY_TRY(open_http(llm, error));
    return open_tokenizer(llm, error);
}

assay_status assay_llm_open(const assay_llm_options *options, assay_llm **out, assay_error *error)
{
    assay_llm *llm = calloc(1, sizeof *llm);
    if (llm == NULL)
        return assay_fail_memory(error, sizeof *llm);
    if (options != NULL)
        llm->options = *options;
    llm->form = llm->options.plain ? FORM_WORDS : FORM_SCHEMA;
    llm->odds = true;
    assay_buffer_init(&llm->scratch, 0);
    assay_status status = open_parts(llm, error);
    if (status != ASSAY_OK) {
        assay_llm_close(llm);
        return status;
    }
    *out = llm;
    return ASSAY_OK;
}

void assay_llm_close(assay_llm *llm)
{
    if (llm == NULL)
        return;
    assay_http_close(llm->http);
    assay_tokenizer_close(llm->tokenizer);
    assay_tokens_free(&llm->tokens);
    assay_buffer_free(&llm->scratch);
    assay_arena_free(llm->arena);
    free(llm);
}

const assay_llm_options *assay_llm_settings(const assay_llm *llm)
{
    return &llm->options;
}

/* ---- Passages ------------------------------------------------------------------- */

/* How many bytes of the text its first tokens are. */
static assay_status cut(assay_llm *llm, assay_text text, size_t *bytes, uint32_t *tokens,
                        assay_error *error)
{
    size_t most = llm->options.passage_tokens;
    *bytes = text.length;
    if (llm->tokenizer == NULL) {
        if (text.length > most * BYTES_A_TOKEN) /* a character cut in two is put right when shown */
            *bytes = most * BYTES_A_TOKEN;
        *tokens = (uint32_t)((*bytes + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN);
        return ASSAY_OK;
    }
    llm->tokens.count = 0;
    ASSAY_TRY(assay_tokenizer_encode_first(llm->tokenizer, text, most + 1, &llm->tokens, error));
    if (llm->tokens.count > most)
        *bytes = llm->tokens.ends[most - 1];
    *tokens = (uint32_t)(llm->tokens.count > most ? most : llm->tokens.count);
    return ASSAY_OK;
}

assay_status assay_llm_show(assay_llm *llm, assay_text passage, assay_arena *arena,
                            assay_llm_passage *out, assay_error *error)
{
    size_t bytes;
    *out = (assay_llm_passage){0};
    ASSAY_TRY(cut(llm, passage, &bytes, &out->tokens, error));
    out->cut = bytes < passage.length;
    assay_buffer_clear(&llm->scratch);
    assay_llm_defuse((assay_text){passage.data, bytes}, &llm->scratch);
    ASSAY_TRY(assay_buffer_status(&llm->scratch, "passage", error));
    const char *shown = llm->scratch.length > 0 ? llm->scratch.data : "";
    char *kept = assay_arena_copy(arena, shown, llm->scratch.length);
    if (kept == NULL)
        return assay_fail_memory(error, llm->scratch.length);
    out->text = (assay_text){kept, llm->scratch.length};
    return ASSAY_OK;
}

/* ---- Requests -------------------------------------------------------------------- */

/* Text, or text and an image beside it. */
static json_t *content_of(const assay_llm_question *q, const assay_buffer *text)
{
    if (q->image.length == 0)
        return json_stringn(text->data, text->length);
    return json_pack("[{s:s, s:s%}, {s:s, s:{s:s%}}]", "type", "text", "text", text->data,
                     text->length, "type", "image_url", "image_url", "url", q->image.data,
                     q->image.length);
}

static void add_message(json_t *list, const char *role, json_t *content)
{
    json_array_append_new(list, json_pack("{s:s, s:o}", "role", role, "content", content));
}

/* What is asked, and in which form the answer is wanted. */
static void ask_in(const assay_llm *llm, assay_llm_shape shape, assay_text asked,
                   assay_buffer *out)
{
    assay_buffer_clear(out);
    assay_buffer_append(out, asked.data, asked.length);
    assay_buffer_format(out, " %s", assay_llm_form(shape, llm->form != FORM_WORDS));
}

/* An example's answer, in the form that is asked for. */
static json_t *answer_of(const assay_llm *llm, const assay_llm_turn *turn)
{
    json_t *queries = json_array(), *content;
    assay_buffer lines;
    assay_buffer_init(&lines, 0);
    for (size_t i = 0; i < turn->count; i++) {
        const assay_text *query = &turn->queries[i];
        json_array_append_new(queries, json_stringn(query->data, query->length));
        assay_buffer_format(&lines, "%s%.*s", i > 0 ? "\n" : "", (int)query->length, query->data);
    }
    json_t *object = json_pack("{s:o}", "queries", queries);
    char *text = json_dumps(object, 0);
    content = llm->form != FORM_WORDS ? json_string(text)
                                      : json_stringn(lines.data, lines.length);
    free(text);
    json_decref(object);
    assay_buffer_free(&lines);
    return content;
}

/* NULL: memory. */
static json_t *messages(const assay_llm *llm, const assay_llm_question *q)
{
    json_t *list = json_array();
    assay_buffer text;
    assay_buffer_init(&text, 0);
    add_message(list, "system", json_string(assay_llm_system(q->shape)));
    for (size_t i = 0; i < q->turn_count; i++) {
        ask_in(llm, q->shape, q->turns[i].asked, &text);
        add_message(list, "user", json_stringn(text.data, text.length));
        add_message(list, "assistant", answer_of(llm, &q->turns[i]));
    }
    ask_in(llm, q->shape, (assay_text){q->text.data, q->text.length}, &text);
    add_message(list, "user", content_of(q, &text));
    bool whole = text.failed == ASSAY_OK && json_array_size(list) == 2 + 2 * q->turn_count;
    assay_buffer_free(&text);
    if (whole)
        return list;
    json_decref(list);
    return NULL;
}

/* As long as an answer of that shape is, with room for some words around it. */
static json_int_t answer_tokens(const assay_llm *llm, const assay_llm_question *q)
{
    if (llm->options.answer_tokens > 0)
        return llm->options.answer_tokens;
    json_int_t item = q->shape == ASSAY_LLM_SHAPE_ORDER     ? 8
                      : q->shape == ASSAY_LLM_SHAPE_QUERIES ? 80
                      : q->shape == ASSAY_LLM_SHAPE_PAGE    ? 200
                                                            : 0;
    return 32 + item * (json_int_t)q->items;
}

static json_t *response_format(const assay_llm *llm, assay_llm_shape shape)
{
    json_t *schema = assay_llm_schema(shape);
    if (llm->form == FORM_SCHEMA)
        return schema;
    const json_t *of = json_object_get(json_object_get(schema, "json_schema"), "schema");
    json_t *object = json_pack("{s:s, s:O}", "type", "json_object", "schema", of);
    json_decref(schema);
    return object;
}

/* The body of a request; NULL: memory. */
static char *body_of(const assay_llm *llm, const assay_llm_question *q)
{
    json_t *root = json_pack("{s:s, s:o*, s:i, s:b}", "model", llm->options.model, "messages",
                             messages(llm, q), "seed", (int)llm->options.seed, "stream", 0);
    const char *limit = llm->newer ? "max_completion_tokens" : "max_tokens";
    json_object_set_new(root, limit, json_integer(answer_tokens(llm, q)));
    if (!llm->newer)
        json_object_set_new(root, "temperature", json_integer(0));
    if (llm->form != FORM_WORDS && q->shape != ASSAY_LLM_SHAPE_YES)
        json_object_set_new(root, form_field, response_format(llm, q->shape));
    if (llm->odds && q->shape == ASSAY_LLM_SHAPE_YES) {
        json_object_set_new(root, "logprobs", json_true());
        json_object_set_new(root, "top_logprobs", json_integer(TOP_LOGPROBS));
    }
    bool whole = json_object_get(root, "messages") != NULL;
    char *text = whole ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* Learns from a refusal what to leave out; false: nothing is left to try. */
static bool adapt(assay_llm *llm, const assay_llm_question *q, const assay_buffer *answer)
{
    const char *said = answer->data != NULL ? answer->data : "";
    bool odds = llm->odds && q->shape == ASSAY_LLM_SHAPE_YES;
    bool structured = llm->form != FORM_WORDS && q->shape != ASSAY_LLM_SHAPE_YES;
    if (!llm->newer && (strstr(said, "max_completion_tokens") || strstr(said, "temperature")))
        return llm->newer = true;
    if (structured)
        llm->form++;
    else if (odds)
        llm->odds = false;
    return structured || odds;
}

/* A batch of requests and the questions they are of. */
typedef struct batch {
    assay_http_request *requests; /* [count] */
    assay_llm_question **of;      /* [count] */
    size_t count;
} batch;

static void free_batch(batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free((char *)b->requests[i].body);
        assay_buffer_free(&b->requests[i].answer);
    }
    free(b->requests);
    free(b->of);
    *b = (batch){0};
}

/* Requests for the questions that have neither an answer nor a failure yet. */
static assay_status make_batch(const assay_llm *llm, assay_llm_question *questions, size_t count,
                               batch *out, assay_error *error)
{
    *out = (batch){
        .requests = calloc(count + 1, sizeof *out->requests),
        .of = calloc(count + 1, sizeof *out->of),
    };
    if (out->requests == NULL || out->of == NULL)
        return assay_fail_memory(error, count * sizeof *out->requests);
    for (size_t i = 0; i < count; i++) {
        assay_llm_question *q = &questions[i];
        if (q->reply.json != NULL || q->status != ASSAY_OK)
            continue;
        char *body = body_of(llm, q);
        if (body == NULL)
            return assay_fail_memory(error, q->text.length * 2);
        out->of[out->count] = q;
        out->requests[out->count++] =
            (assay_http_request){.body = body, .body_length = strlen(body),
                                 .refusal = form_field};
    }
    return ASSAY_OK;
}

static void take_answer(const assay_llm *llm, assay_http_request *request, assay_llm_question *q,
                        assay_llm_usage *usage)
{
    const assay_buffer *answer = &request->answer;
    q->status = assay_llm_reply_read(answer->data != NULL ? answer->data : "", answer->length,
                                     &q->reply, &q->error);
    usage->requests++;
    usage->input_tokens += q->reply.input_tokens;
    usage->output_tokens += q->reply.output_tokens;
    usage->cost += ((double)q->reply.input_tokens * llm->options.price_input.value +
                    (double)q->reply.output_tokens * llm->options.price_output.value) / 1e6;
    q->raw = *answer; /* it is the question's now */
    assay_buffer_init(&request->answer, 0);
}

static bool refuses(const assay_http_request *request)
{
    return request->code == 400 || request->code == 422 || request->refused;
}

/* Whether the round is to be repeated: the API refused a form that can be left out. */
static bool take_answers(assay_llm *llm, batch *b, assay_llm_usage *usage)
{
    bool again = false;
    for (size_t i = 0; i < b->count; i++) {
        assay_http_request *request = &b->requests[i];
        assay_llm_question *q = b->of[i];
        usage->retries += request->attempts > 1 ? request->attempts - 1 : 0;
        if (request->status == ASSAY_OK) {
            take_answer(llm, request, q, usage);
        } else if (refuses(request) && (again || adapt(llm, q, &request->answer))) {
            again = true;
        } else {
            q->status = request->status;
            q->error = request->error;
        }
    }
    return again;
}

static assay_status send_all(assay_llm *llm, const assay_llm_call *call,
                             assay_llm_question *questions, size_t count, assay_llm_usage *usage,
                             assay_error *error)
{
    bool again = true;
    for (int round = 0; round < DIALECTS && again; round++) {
        batch b;
        assay_status status = make_batch(llm, questions, count, &b, error);
        if (status == ASSAY_OK)
            status = assay_http_post(llm->http, b.requests, b.count, call->deadline, error);
        again = status == ASSAY_OK && b.count > 0 && take_answers(llm, &b, usage);
        free_batch(&b);
        ASSAY_TRY(status);
    }
    for (size_t i = 0; i < count; i++)
        if (questions[i].reply.json == NULL && questions[i].status == ASSAY_OK)
            questions[i].status = assay_fail(&questions[i].error, ASSAY_E_NETWORK, "answer",
                                             "the API refuses every form of the question");
    return ASSAY_OK;
}

/* ---- The cache -------------------------------------------------------------------- */

static assay_status make_key(const assay_llm *llm, assay_llm_question *q, assay_error *error)
{
    const assay_llm_options *o = &llm->options;
    const char *system = assay_llm_system(q->shape);
    const int32_t numbers[] = {(int32_t)q->shape, (int32_t)o->seed, (int32_t)o->answer_tokens};
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_add(hasher, o->url, strlen(o->url));
    assay_hasher_add(hasher, o->model, strlen(o->model));
    assay_hasher_add(hasher, system, strlen(system));
    assay_hasher_add(hasher, numbers, sizeof numbers);
    assay_hasher_add(hasher, q->text.data, q->text.length);
    if (q->image.length > 0)
        assay_hasher_add(hasher, q->image.data, q->image.length);
    for (size_t i = 0; i < q->turn_count; i++) {
        const assay_llm_turn *turn = &q->turns[i];
        assay_hasher_add(hasher, turn->asked.data, turn->asked.length);
        for (size_t j = 0; j < turn->count; j++)
            assay_hasher_add(hasher, turn->queries[j].data, turn->queries[j].length);
    }
    q->key = assay_hasher_finish(hasher);
    return ASSAY_OK;
}

static assay_status look_up(assay_llm *llm, const assay_llm_call *call, assay_llm_question *q,
                            assay_llm_usage *usage, assay_error *error)
{
    if (call->cache == NULL)
        return ASSAY_OK;
    ASSAY_TRY(make_key(llm, q, error));
    assay_buffer_clear(&llm->scratch);
    if (!call->cache->get(call->cache->user, &q->key, &llm->scratch) || llm->scratch.length == 0)
        return ASSAY_OK;
    q->cached = assay_llm_reply_read(llm->scratch.data, llm->scratch.length, &q->reply, NULL) ==
                ASSAY_OK;
    usage->cached += q->cached;
    if (!q->cached)
        assay_llm_reply_free(&q->reply);
    return ASSAY_OK;
}

void assay_llm_keep(const assay_llm_call *call, const assay_llm_question *q)
{
    if (call->cache != NULL && !q->cached && q->raw.length > 0)
        call->cache->put(call->cache->user, &q->key, q->raw.data, q->raw.length);
}

assay_status assay_llm_ask(assay_llm *llm, const assay_llm_call *call,
                           assay_llm_question *questions, size_t count, assay_llm_usage *usage,
                           assay_error *error)
{
    for (size_t i = 0; i < count; i++) {
        ASSAY_TRY(assay_buffer_status(&questions[i].text, "prompt", error));
        ASSAY_TRY(look_up(llm, call, &questions[i], usage, error));
    }
    return send_all(llm, call, questions, count, usage, error);
}

void assay_llm_question_free(assay_llm_question *q)
{
    assay_buffer_free(&q->text);
    assay_buffer_free(&q->raw);
    assay_llm_reply_free(&q->reply);
}
