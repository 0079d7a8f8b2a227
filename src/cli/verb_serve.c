/* SPDX-License-Identifier: Apache-2.0 */
/* verb_serve.c: `assay serve`; the server itself is src/server. */
#include <string.h>

#include "cli/output.h"
#include "server/serve.h"

typedef struct serve_settings {
    assay_common common;
    assay_option_list models, collections, pipelines;
    const char *config, *host, *socket, *reranker, *keys, *add_key, *certificate, *private_key;
    uint32_t port, precision, threads, workers, batch_tokens, queue, max_body, max_documents;
    uint32_t connections, timeout, drain, record_days, compare_by;
    const char *compare, *traces;
    assay_setting record;
    bool quiet, record_text, write;
} serve_settings;

_Static_assert(sizeof(serve_settings) <= ASSAY_SETTINGS_MAX, "the parser's room");

static int add_key(const serve_settings *s)
{
    assay_error error;
    char key[64];
    if (assay_serve_add_key(s->keys, s->add_key, key, &error) != ASSAY_OK)
        return assay_report(&error);
    printf("%s\n", key);
    assay_warn("its hash is in %s under '%s'; the key itself is kept nowhere", s->keys,
               s->add_key);
    return ASSAY_EXIT_OK;
}

/* A value of the file as the word that it would be on the command line. */
static const char *word_of(const json_t *value, char number[32])
{
    if (json_is_true(value))
        return "true";
    if (json_is_integer(value))
        snprintf(number, 32, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, 32, "%.17g", json_real_value(value));
    return json_is_number(value) ? number : json_string_value(value);
}

static bool take_field(const char *name, const json_t *value, serve_settings *s)
{
    char number[32];
    const char *word = word_of(value, number);
    if (json_is_false(value))
        return true;
    if (word != NULL)
        return assay_options_given(&assay_verb_serve, name, word, s);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if ((word = word_of(json_array_get(value, i), number)) == NULL ||
            !assay_options_given(&assay_verb_serve, name, word, s))
            return false;
    }
    if (!json_is_array(value))
        assay_usage(&assay_verb_serve, "%s: '%s' must be a string, a number, true, false, or "
                    "a list of strings", s->config, name);
    return json_is_array(value);
}

/* Copies the option's field where it is zero, which is to say, not given. */
static void take_if_unsaid(const assay_option *option, serve_settings *s,
                           const serve_settings *said)
{
    static const char nothing[sizeof(assay_option_list)];
    size_t size = option->kind == ASSAY_OPTION_FLAG     ? sizeof(bool)
                  : option->kind == ASSAY_OPTION_TEXT   ? sizeof(char *)
                  : option->kind == ASSAY_OPTION_LIST   ? sizeof(assay_option_list)
                  : option->kind == ASSAY_OPTION_NUMBER ? sizeof(assay_setting)
                                                        : sizeof(uint32_t);
    if (memcmp((char *)s + option->offset, nothing, size) == 0)
        memcpy((char *)s + option->offset, (const char *)said + option->offset, size);
}

/* Fills in what the command line has not said. What was read goes into `roots`, and stays
 * until the server ends: texts point into it. */
static bool take_config(serve_settings *s, json_t *roots)
{
    json_error_t reason;
    const char *name;
    json_t *value;
    serve_settings said = {.common = s->common, .config = s->config};
    json_t *root = json_load_file(s->config, JSON_REJECT_DUPLICATES, &reason);
    bool fine = json_is_object(root);
    if (!fine)
        assay_warn("%s: %s", s->config, root ? "expected a JSON object of options" : reason.text);
    if (json_array_append_new(roots, root) != 0 || !fine)
        return false;
    json_object_foreach(root, name, value) {
        if (!take_field(name, value, &said))
            return false;
    }
    for (size_t i = 0; i < assay_verb_serve.option_count; i++)
        take_if_unsaid(&assay_verb_serve.options[i], s, &said);
    return true;
}

/* The command line, and the texts that the configuration has had. */
typedef struct origin {
    const serve_settings *given;
    serve_settings now; /* lists of options point into it */
    json_t *roots;
} origin;

/* False, having said what is wrong. */
static bool check(const serve_settings *s)
{
    const char *wrong = NULL;
    if (s->add_key != NULL && s->keys == NULL)
        wrong = "--add-key needs --keys FILE to add it to";
    else if ((s->certificate == NULL) != (s->private_key == NULL))
        wrong = "--certificate and --private-key go together";
    else if (s->add_key == NULL && s->compare != NULL && !(s->record.value > 0))
        wrong = "--compare needs --record: what is not recorded cannot be compared";
    if (wrong != NULL)
        assay_usage(&assay_verb_serve, "%s", wrong);
    return wrong == NULL;
}

static assay_serve_options options_of(const serve_settings *s)
{
    return (assay_serve_options){
        .host = s->host,
        .port = s->port,
        .socket = s->socket,
        .models = {s->models.count, s->models.items},
        .collections = {s->collections.count, s->collections.items},
        .reranker = s->reranker,
        .pipelines = {s->pipelines.count, s->pipelines.items},
        .trial = s->compare,
        .split = s->compare_by == 1,
        .record = s->record.value,
        .record_text = s->record_text,
        .record_days = s->record_days,
        .writable = s->write,
        .traces = s->traces,
        .precision = (assay_precision)s->precision,
        .keys = s->keys,
        .certificate = s->certificate,
        .private_key = s->private_key,
        .threads = s->threads,
        .workers = s->workers,
        .batch_tokens = s->batch_tokens,
        .queue = s->queue,
        .max_body = s->max_body,
        .max_documents = s->max_documents,
        .connections = s->connections,
        .timeout_ms = s->timeout,
        .drain_ms = s->drain,
        .quiet = s->quiet,
    };
}

static bool read_again(void *context, assay_serve_options *out)
{
    origin *o = context;
    o->now = *o->given;
    if (!take_config(&o->now, o->roots) || !check(&o->now))
        return false;
    *out = options_of(&o->now);
    return true;
}

static int serve(const serve_settings *s, origin *from)
{
    assay_error error;
    if (!check(s))
        return ASSAY_EXIT_USAGE;
    if (s->add_key != NULL)
        return add_key(s);
    assay_serve_options options = options_of(s);
    if (s->config != NULL) {
        options.again = read_again;
        options.context = from;
    }
    return assay_serve(&options, &error) == ASSAY_OK ? ASSAY_EXIT_OK : assay_report(&error);
}

static int run(const void *given, char **arguments, size_t count)
{
    (void)arguments;
    (void)count;
    serve_settings s = *(const serve_settings *)given;
    origin from = {.given = given, .roots = json_array()};
    int code = ASSAY_EXIT_USAGE;
    if (s.config == NULL || take_config(&s, from.roots))
        code = serve(&s, &from);
    json_decref(from.roots);
    return code;
}

#define FIELD(name) offsetof(serve_settings, name)

static const assay_option options[] = {
    {"config", ASSAY_OPTION_TEXT, FIELD(config), "FILE",
     "JSON object of these options by name, for those not on the command line", 0, 0},
    {"host", ASSAY_OPTION_TEXT, FIELD(host), "HOST",
     "address to listen on (default: 127.0.0.1)", 0, 0},
    {"port", ASSAY_OPTION_COUNT, FIELD(port), "N", "port (default: 7700)", 1, 65535},
    {"socket", ASSAY_OPTION_TEXT, FIELD(socket), "PATH", "listen on a Unix socket, too", 0, 0},
    {"model", ASSAY_OPTION_LIST, FIELD(models), "NAME[=FOLDER]",
     "model to serve, under a name of one's choice; may be repeated (default: cross and dense)",
     0, 0},
    {"collection", ASSAY_OPTION_LIST, FIELD(collections), "NAME",
     "collection to serve; may be repeated (default: all that are there)", 0, 0},
    {"write", ASSAY_OPTION_FLAG, FIELD(write), NULL,
     "let documents be put and deleted over HTTP (default: they are only read)", 0, 0},
    {"rerank", ASSAY_OPTION_TEXT, FIELD(reranker), "NAME",
     "cross-encoder for searches, 'none' for none (default: cross)", 0, 0},
    {"pipeline", ASSAY_OPTION_LIST, FIELD(pipelines), "NAME=FILE|PRESET",
     "pipeline that searches may name; may be repeated; 'default=...' stands in for --rerank", 0,
     0},
    {"record", ASSAY_OPTION_NUMBER, FIELD(record), "SHARE",
     "share of the answers that is recorded, 0 to 1, for `assay report` (default: 0)", 0, 1},
    {"record-text", ASSAY_OPTION_FLAG, FIELD(record_text), NULL,
     "record the text of questions, too, not only a hash", 0, 0},
    {"record-days", ASSAY_OPTION_COUNT, FIELD(record_days), "N",
     "days that records are kept (default: 90)", 1, 36500},
    {"compare", ASSAY_OPTION_TEXT, FIELD(compare), "A,B",
     "answer recorded searches by both of these pipelines, to see which users prefer", 0, 0},
    {"compare-by", ASSAY_OPTION_CHOICE, FIELD(compare_by), "interleave|split",
     "both in one answer, or each its share of the sessions (default: interleave)", 0, 0},
    {"precision", ASSAY_OPTION_CHOICE, FIELD(precision), ASSAY_PRECISIONS,
     "arithmetic of the models (default: auto, the fastest that keeps rankings)", 0, 0},
    {"keys", ASSAY_OPTION_TEXT, FIELD(keys), "FILE",
     "hashes of the API keys that may ask; read again on SIGHUP (default: everyone may)", 0, 0},
    {"add-key", ASSAY_OPTION_TEXT, FIELD(add_key), "NAME",
     "make a key, add its hash to the file, print it, and end", 0, 0},
    {"certificate", ASSAY_OPTION_TEXT, FIELD(certificate), "FILE",
     "serve HTTPS, with this chain in PEM form", 0, 0},
    {"private-key", ASSAY_OPTION_TEXT, FIELD(private_key), "FILE", "its key, in PEM form", 0, 0},
    {"threads", ASSAY_OPTION_COUNT, FIELD(threads), "N",
     "cores for the models (default: as many as the machine allows)", 1, 1024},
    {"workers", ASSAY_OPTION_COUNT, FIELD(workers), "N",
     "batches at one time (default: 2)", 1, 64},
    {"batch-tokens", ASSAY_OPTION_COUNT, FIELD(batch_tokens), "N",
     "tokens of a batch, about (default: 2048)", 64, 1000000},
    {"queue", ASSAY_OPTION_COUNT, FIELD(queue), "N",
     "requests that may wait; more are refused at once (default: 512)", 1, 1000000},
    {"max-body", ASSAY_OPTION_COUNT, FIELD(max_body), "N",
     "most bytes of a request (default: 16777216)", 1024, 1073741824},
    {"max-documents", ASSAY_OPTION_COUNT, FIELD(max_documents), "N",
     "most documents of a request (default: 1000)", 1, 1000000},
    {"connections", ASSAY_OPTION_COUNT, FIELD(connections), "N",
     "most connections at one time (default: 1024)", 1, 1000000},
    {"timeout", ASSAY_OPTION_COUNT, FIELD(timeout), "MS",
     "time that a request may take, in milliseconds (default: 60000)", 1, 3600000},
    {"drain", ASSAY_OPTION_COUNT, FIELD(drain), "MS",
     "time for what is under way when asked to end (default: 30000)", 1, 3600000},
    {"traces", ASSAY_OPTION_TEXT, FIELD(traces), "URL",
     "send spans to this OpenTelemetry collector, http://HOST:4318 (default: none)", 0, 0},
    {"quiet", ASSAY_OPTION_FLAG, FIELD(quiet), NULL, "no access log on standard error", 0, 0},
};

static const assay_example examples[] = {
    {"assay serve", "The default models and all collections, on http://127.0.0.1:7700"},
    {"assay serve --host 0.0.0.0 --model mine=models/mine --keys keys.txt",
     "One reranker under a name, for those who have a key"},
    {"assay serve --keys keys.txt --add-key alice", "Makes a key; prints it once"},
    {"assay serve --record 1 --pipeline wide=thorough --compare default,wide",
     "Records what users click, and lets two pipelines compete"},
    {NULL, NULL},
};

const assay_verb assay_verb_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "answer the rerank, embedding and search requests of programs",
    .description =
        "Serves models and collections over HTTP until it is told to end (SIGTERM, SIGINT), and "
        "then finishes what is under way. It speaks the rerank and embedding interfaces of TEI, "
        "Cohere, Jina, Voyage, vLLM, llama.cpp, infinity, Mixedbread, Elasticsearch and "
        "Weaviate, so that clients of these work with another base URL, and an interface of its "
        "own for searching, with a page to look at it. Requests of many clients go through a model together. The access "
        "log, a line of JSON a request, holds no text of it.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(serve_settings),
    .arguments_max = 0,
    .run = run,
};
