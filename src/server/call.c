/* SPDX-License-Identifier: Apache-2.0 */
/* call.c: see call.h. */
#include "server/call.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/http.h"

/* ------------------------------------------------------------------ faults */

/* What most services say. */
static const unsigned fault_status[ASSAY_FAULTS] = {
    [ASSAY_FAULT_NONE] = 200,      [ASSAY_FAULT_JSON] = 400,     [ASSAY_FAULT_FIELD] = 422,
    [ASSAY_FAULT_EMPTY] = 400,     [ASSAY_FAULT_TOO_MANY] = 422, [ASSAY_FAULT_TOO_LONG] = 422,
    [ASSAY_FAULT_TOO_LARGE] = 413, [ASSAY_FAULT_MEDIA] = 415,    [ASSAY_FAULT_KEY] = 401,
    [ASSAY_FAULT_FORBIDDEN] = 403,
    [ASSAY_FAULT_RATE] = 429,      [ASSAY_FAULT_PATH] = 404,     [ASSAY_FAULT_METHOD] = 405,
    [ASSAY_FAULT_MODEL] = 404,     [ASSAY_FAULT_OVERLOADED] = 429,
    [ASSAY_FAULT_EXPIRED] = 504,   [ASSAY_FAULT_DRAINING] = 503, [ASSAY_FAULT_INTERNAL] = 500,
};

bool assay_call_fail(assay_call *call, assay_fault fault, const char *field,
                     const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->message, sizeof call->message, format, arguments);
    va_end(arguments);
    snprintf(call->field, sizeof call->field, "%s", field != NULL ? field : "");
    call->fault = fault;
    call->status = fault_status[fault];
    return false;
}

bool assay_call_fail_memory(assay_call *call)
{
    return assay_call_fail(call, ASSAY_FAULT_INTERNAL, NULL, "out of memory");
}

bool assay_call_fail_error(assay_call *call, const assay_error *error)
{
    assay_fault fault = error->code == ASSAY_E_LIMIT      ? ASSAY_FAULT_TOO_LONG
                        : error->code == ASSAY_E_ARGUMENT ? ASSAY_FAULT_EMPTY
                        : error->code == ASSAY_E_NOT_FOUND ? ASSAY_FAULT_MODEL
                                                          : ASSAY_FAULT_INTERNAL;
    return assay_call_fail(call, fault, NULL, "%s%s%s", error->where,
                           error->where[0] != '\0' ? ": " : "", error->message);
}

/* ------------------------------------------------------------------ fields */

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "a string", "a number",
                                        "a number",  "true",   "false",    "null"};
    return names[json_typeof(value)];
}

static const json_t *field_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

assay_text assay_json_text_of(const json_t *string)
{
    return (assay_text){json_string_value(string), json_string_length(string)};
}

bool assay_call_text(assay_call *call, const char *name, bool required, assay_text *out)
{
    const json_t *value = field_of(call->json, name);
    if (value == NULL && !required)
        return true;
    if (value == NULL)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "missing field `%s`", name);
    if (!json_is_string(value))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: expected a string, found %s",
                               name, type_name(value));
    *out = assay_json_text_of(value);
    return true;
}

bool assay_call_name(assay_call *call, const char *name, const char **out)
{
    assay_text text = {0};
    if (!assay_call_text(call, name, false, &text))
        return false;
    if (text.data != NULL && strlen(text.data) != text.length)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: has a zero in it", name);
    *out = text.data != NULL ? text.data : *out;
    return true;
}

bool assay_call_flag(assay_call *call, const json_t *object, const char *name, bool *out)
{
    const json_t *value = field_of(object, name);
    if (value != NULL && !json_is_boolean(value))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name,
                               "%s: expected true or false, found %s", name, type_name(value));
    if (value != NULL)
        *out = json_is_true(value);
    return true;
}

bool assay_call_count(assay_call *call, const json_t *object, const char *name, uint64_t low,
                      uint64_t high, uint64_t *out)
{
    const json_t *value = field_of(object, name);
    if (value == NULL)
        return true;
    double real = json_number_value(value);
    if (!json_is_integer(value) && !(json_is_real(value) && real == floor(real)))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name,
                               "%s: expected a whole number, found %s", name, type_name(value));
    if (!(real >= (double)low && real <= (double)high))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name,
                               "%s: %.17g is not between %llu and %llu", name, real,
                               (unsigned long long)low, (unsigned long long)high);
    *out = (uint64_t)real; /* limits are far below 2^53 */
    return true;
}

bool assay_call_number(assay_call *call, const char *name, double low, double high,
                       assay_setting *out)
{
    const json_t *value = field_of(call->json, name);
    if (value == NULL)
        return true;
    if (!json_is_number(value))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: expected a number, found %s",
                               name, type_name(value));
    *out = (assay_setting){true, json_number_value(value)};
    if (out->value >= low && out->value <= high)
        return true;
    return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: %.17g is not between %g and %g",
                           name, out->value, low, high);
}

const json_t *assay_call_list(assay_call *call, const char *name)
{
    const json_t *value = field_of(call->json, name);
    size_t most = atomic_load(&call->server->limits.max_documents);
    if (value == NULL)
        assay_call_fail(call, ASSAY_FAULT_FIELD, name, "missing field `%s`", name);
    else if (!json_is_array(value))
        assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: expected a list, found %s", name,
                        type_name(value));
    else if (json_array_size(value) == 0)
        assay_call_fail(call, ASSAY_FAULT_EMPTY, name, "`%s` cannot be empty", name);
    else if (json_array_size(value) > most)
        assay_call_fail(call, ASSAY_FAULT_TOO_MANY, name,
                        "batch size %zu > maximum allowed batch size %zu",
                        json_array_size(value), most);
    else
        return value;
    return NULL;
}

void *assay_call_keep(assay_call *call, size_t bytes)
{
    void **kept = realloc(call->kept, (call->kept_count + 1) * sizeof *kept);
    void *block = kept != NULL ? malloc(bytes > 0 ? bytes : 1) : NULL;
    if (kept != NULL)
        call->kept = kept;
    if (block == NULL) {
        assay_call_fail_memory(call);
        return NULL;
    }
    call->kept[call->kept_count++] = block;
    return block;
}

/* ------------------------------------------------------------------- models */

static bool is_called(const assay_served *served, const char *name)
{
    return strcmp(served->name, name) == 0 || strcmp(served->info.name, name) == 0;
}

const assay_models *assay_call_models(assay_call *call)
{
    if (call->models == NULL)
        call->models = assay_models_take(&call->server->models);
    return call->models;
}

bool assay_call_model(assay_call *call, bool embeds)
{
    const assay_models *models = assay_call_models(call);
    const json_t *value = field_of(call->json, "model");
    const char *name = json_string_value(value);
    size_t of_kind = 0;
    if (value != NULL && name == NULL)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "model",
                               "model: expected a string, found %s", type_name(value));
    call->model = NULL;
    for (size_t i = 0; i < models->count; i++) {
        const assay_served *served = &models->list[i];
        if ((served->info.kind == ASSAY_MODEL_BI_ENCODER) != embeds)
            continue;
        if (++of_kind == 1 || (name != NULL && is_called(served, name)))
            call->model = served;
    }
    bool known = call->model != NULL && name != NULL && is_called(call->model, name);
    if (of_kind == 0)
        return assay_call_fail(call, ASSAY_FAULT_MODEL, "model", "no %s is served here",
                               embeds ? "embedding model" : "reranker");
    if (of_kind > 1 && name != NULL && !known)
        return assay_call_fail(call, ASSAY_FAULT_MODEL, "model", "model '%.200s' is not served "
                               "here; GET /v1/models lists those that are", name);
    return true;
}

/* --------------------------------------------------------------------- work */

static void job_done_here(assay_job *job)
{
    (void)job;
}

static void job_done(assay_job *job)
{
    assay_http_resume(job->user);
}

/* The time a request may take: the server's, or less if its header says so. */
static bool set_deadline(assay_call *call)
{
    unsigned long most = atomic_load(&call->server->limits.timeout_ms);
    const char *asked = assay_call_asked(call, "X-Assay-Deadline-Ms");
    unsigned long wanted = most;
    if (asked != NULL) {
        char *end;
        wanted = strtoul(asked, &end, 10);
        if (*asked < '0' || *asked > '9' || *end != '\0' || wanted == 0)
            return assay_call_fail(call, ASSAY_FAULT_FIELD, "X-Assay-Deadline-Ms",
                                   "X-Assay-Deadline-Ms: expected milliseconds, at least 1");
    }
    if (wanted > most)
        wanted = most;
    call->job.deadline = call->begun + (double)wanted / 1e3;
    return true;
}

bool assay_call_submit(assay_call *call)
{
    unsigned retry_after;
    const char *priority = assay_call_asked(call, "X-Assay-Priority");
    if (!set_deadline(call))
        return false;
    call->job.bulk = priority != NULL && strcmp(priority, "bulk") == 0;
    call->job.done = job_done_here;
    call->job.user = call;
    call->job.client = assay_http_socket(call);
    call->submitted = true;
    if (assay_engine_do(call->server->engine, &call->job))
        return true;
    call->job.done = job_done;
    assay_http_suspend(call); /* before: the answer may be there at once */
    if (assay_engine_submit(call->server->engine, &call->job, &retry_after))
        return true;
    call->submitted = false;
    assay_call_header(call, "Retry-After", "%u", retry_after);
    assay_call_fail(call, ASSAY_FAULT_OVERLOADED, NULL, "Model is overloaded");
    assay_http_resume(call);
    return false;
}

bool assay_call_check(assay_call *call)
{
    const assay_job *job = &call->job;
    switch (job->outcome) {
    case ASSAY_OUTCOME_DONE:
        break;
    case ASSAY_OUTCOME_FAILED:
        return assay_call_fail_error(call, &job->error);
    case ASSAY_OUTCOME_EXPIRED:
        return assay_call_fail(call, ASSAY_FAULT_EXPIRED, NULL,
                               "the request was not answered in the time it had");
    case ASSAY_OUTCOME_LEFT:
        call->close = true;
        assay_call_fail(call, ASSAY_FAULT_EXPIRED, NULL, "the client left");
        call->status = 499; /* for the log; nobody reads it */
        return false;
    }
    return true;
}

static bool job_memory(assay_call *call, size_t item_size, size_t count, void **out)
{
    *out = calloc(count > 0 ? count : 1, item_size);
    return *out != NULL || assay_call_fail_memory(call);
}

bool assay_call_score(assay_call *call, size_t count)
{
    void *scores;
    if (!job_memory(call, sizeof *call->job.scores, count, &scores))
        return false;
    call->job.lane = call->model->lanes[0];
    call->job.pairs = call->pairs;
    call->job.scores = scores;
    call->job.count = count;
    return assay_call_submit(call);
}

static bool read_texts(assay_call *call, const char *field, size_t *count)
{
    const json_t *value = field_of(call->json, field);
    void *texts;
    call->single = json_is_string(value);
    if (!call->single && (value = assay_call_list(call, field)) == NULL)
        return false;
    *count = call->single ? 1 : json_array_size(value);
    if (!job_memory(call, sizeof *call->texts, *count, &texts))
        return false;
    call->texts = texts;
    for (size_t i = 0; i < *count; i++) {
        const json_t *one = call->single ? value : json_array_get(value, i);
        if (!json_is_string(one))
            return assay_call_fail(call, ASSAY_FAULT_FIELD, field,
                                   "%s[%zu]: expected a string, found %s", field, i,
                                   type_name(one));
        call->texts[i] = assay_json_text_of(one);
    }
    return true;
}

bool assay_call_embed(assay_call *call, const char *field, assay_role role)
{
    size_t count;
    void *vectors, *infos;
    if (!read_texts(call, field, &count))
        return false;
    if (!job_memory(call, sizeof(assay_embedding_info), count, &infos))
        return false;
    call->job.infos = infos;
    if (!job_memory(call, call->model->info.dimensions * sizeof(float), count, &vectors))
        return false;
    call->job.vectors = vectors;
    call->job.texts = call->texts;
    call->job.lane = call->model->lanes[role];
    call->job.count = count;
    return assay_call_submit(call);
}

/* ------------------------------------------------------------------ ranking */

/* The fields that are to be ranked, as "name: value" lines: how Cohere documents
 * that it reads them. */
static bool join_fields(assay_call *call, const json_t *document, const json_t *fields,
                        assay_text *out)
{
    assay_writer text = {0};
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *name = json_string_value(json_array_get(fields, i));
        const json_t *value = name != NULL ? json_object_get(document, name) : NULL;
        if (!json_is_string(value))
            continue;
        assay_write_format(&text, "%s%.200s: ", text.length > 0 ? "\n" : "", name);
        assay_write_bytes(&text, json_string_value(value), json_string_length(value));
    }
    char *kept = text.failed ? NULL : assay_call_keep(call, text.length);
    if (kept != NULL && text.length > 0)
        memcpy(kept, text.data, text.length);
    *out = (assay_text){kept, text.length};
    assay_writer_free(&text);
    return kept != NULL || assay_call_fail_memory(call);
}

static bool read_document(assay_call *call, const assay_ranking_form *form, size_t i,
                          assay_text *out)
{
    const json_t *document = json_array_get(call->ranking.documents, i);
    const json_t *fields = form->objects ? field_of(call->json, "rank_fields") : NULL;
    if (json_is_string(document)) {
        *out = assay_json_text_of(document);
        return true;
    }
    if (!form->objects || !json_is_object(document))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, form->documents,
                               "%s[%zu]: expected a string%s, found %s", form->documents, i,
                               form->objects ? " or an object with \"text\"" : "",
                               type_name(document));
    if (json_array_size(fields) > 0)
        return join_fields(call, document, fields, out);
    const json_t *text = json_object_get(document, "text");
    if (!json_is_string(text))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, form->documents,
                               "%s[%zu]: an object needs a string \"text\", or the request "
                               "\"rank_fields\"", form->documents, i);
    *out = assay_json_text_of(text);
    return true;
}

bool assay_call_cut(assay_call *call, const char *field)
{
    return assay_call_count(call, call->json, field, 1, UINT32_MAX, &call->cut);
}

/* The part of the text that its first `most` tokens cover. */
static assay_text cut_text(const assay_call *call, assay_text text, uint32_t most)
{
    const assay_tokenize_options options = {.max_tokens = most};
    assay_encoding encoding;
    if (assay_tokenize(assay_model_tokenizer(call->model->model), text, NULL, &options,
                       &encoding, NULL) != ASSAY_OK)
        return text;
    if (encoding.truncated && encoding.count > 0)
        text.length = encoding.ends[encoding.count - 1];
    assay_encoding_free(&encoding);
    return text;
}

bool assay_ranking_begin(assay_call *call, const assay_ranking_form *form)
{
    assay_ranking *ranking = &call->ranking;
    assay_text query;
    uint64_t top = UINT32_MAX;
    void *pairs;
    if (!assay_call_text(call, form->query, true, &query))
        return false;
    if ((ranking->documents = assay_call_list(call, form->documents)) == NULL)
        return false;
    if (form->top != NULL && !assay_call_count(call, call->json, form->top,
                                               form->zero == ASSAY_TOP_ONE, UINT32_MAX, &top))
        return false;
    if (top == 0 && form->zero == ASSAY_TOP_ALL)
        top = UINT32_MAX;
    if (form->echo != NULL && !assay_call_flag(call, call->json, form->echo, &call->echo))
        return false;
    if (!assay_call_model(call, false))
        return false;
    ranking->count = json_array_size(ranking->documents);
    ranking->shown = top < ranking->count ? (size_t)top : ranking->count;
    if (!job_memory(call, sizeof *call->pairs, ranking->count, &pairs))
        return false;
    call->pairs = pairs;
    for (size_t i = 0; i < ranking->count; i++) {
        call->pairs[i].query = query;
        if (!read_document(call, form, i, &call->pairs[i].passage))
            return false;
        if (call->cut > 0 && call->cut < call->model->info.max_tokens)
            call->pairs[i].passage =
                cut_text(call, call->pairs[i].passage, (uint32_t)call->cut);
    }
    return assay_call_score(call, ranking->count);
}

static int by_logit(const void *left, const void *right, void *context)
{
    const assay_score *scores = context;
    size_t i = *(const size_t *)left, j = *(const size_t *)right;
    if (scores[i].logit != scores[j].logit)
        return scores[i].logit > scores[j].logit ? -1 : 1;
    return i < j ? -1 : i > j;
}

bool assay_ranking_finish(assay_call *call)
{
    assay_ranking *ranking = &call->ranking;
    const assay_score *scores = call->job.scores;
    if (!assay_call_check(call))
        return false;
    if (scores[0].status == ASSAY_E_LIMIT)
        return assay_call_fail(call, ASSAY_FAULT_TOO_LONG, "query",
                               "the query has %u tokens, which leave no room for a document: the "
                               "model takes %u", scores[0].tokens, call->model->info.max_tokens);
    if (scores[0].status == ASSAY_E_ARGUMENT)
        return assay_call_fail(call, ASSAY_FAULT_EMPTY, "query", "`query` cannot be empty");
    ranking->order = assay_call_keep(call, ranking->count * sizeof *ranking->order);
    if (ranking->order == NULL)
        return false;
    for (size_t i = 0; i < ranking->count; i++)
        ranking->order[i] = i;
    qsort_r(ranking->order, ranking->count, sizeof *ranking->order, by_logit,
            call->job.scores);
    return true;
}

float assay_ranking_score(const assay_call *call, size_t document)
{
    const assay_score *score = &call->job.scores[document];
    bool logit = call->raw || isnan(score->probability); /* late interaction has none */
    return logit ? score->logit : score->probability;
}

assay_text assay_ranking_text(const assay_call *call, size_t document)
{
    return call->pairs[document].passage;
}

void assay_write_usage(assay_call *call)
{
    unsigned long long tokens = call->job.tokens;
    assay_write_name(&call->out, "usage");
    assay_write_format(&call->out, "{\"prompt_tokens\":%llu,\"total_tokens\":%llu}", tokens,
                       tokens);
}

void assay_write_document(assay_call *call, size_t document)
{
    const json_t *one = json_array_get(call->ranking.documents, document);
    char *text = json_is_object(one) ? json_dumps(one, JSON_COMPACT) : NULL;
    if (text != NULL) {
        assay_write(&call->out, text);
    } else {
        assay_write_mark(&call->out, '{');
        assay_write_name(&call->out, "text");
        assay_write_text(&call->out, json_is_string(one) ? assay_json_text_of(one)
                                                         : assay_ranking_text(call, document));
        assay_write_mark(&call->out, '}');
    }
    free(text);
}

const float *assay_embedding_of(assay_call *call, size_t i, bool unit)
{
    const assay_model_info *info = &call->model->info;
    float *vector = call->job.vectors + i * info->dimensions;
    if (!unit || (info->normalized && call->number == info->dimensions))
        return vector;
    double square = 0;
    for (size_t d = 0; d < call->number; d++)
        square += (double)vector[d] * (double)vector[d];
    for (size_t d = 0; d < call->number && square > 0; d++)
        vector[d] = (float)((double)vector[d] / sqrt(square));
    return vector;
}

/* ------------------------------------------------------------------ headers */

void assay_call_header(assay_call *call, const char *name, const char *format, ...)
{
    char value[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    assay_write_format(&call->headers, "%s: %s\n", name, value);
}

void assay_write_uuid(assay_writer *out, const char *prefix)
{
    unsigned char b[16] = {0};
    char text[96];
    if (getrandom(b, sizeof b, GRND_NONBLOCK) < 0)
        memset(b, 0, sizeof b); /* an id, no secret */
    b[6] = (b[6] & 0x0F) | 0x40;
    b[8] = (b[8] & 0x3F) | 0x80;
    snprintf(text, sizeof text,
             "%s%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", prefix,
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
             b[13], b[14], b[15]);
    assay_write_string(out, text);
}
