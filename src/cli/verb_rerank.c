/* SPDX-License-Identifier: Apache-2.0 */
/* verb_rerank.c: `assay rerank`, passages from anywhere ordered by how well
 * they answer a query. Needs no index. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/llm_options.h"
#include "cli/rerank_run.h"
#include "cli/texts.h"

typedef struct rerank_settings {
    assay_common common;
    const char *query, *model, *text_field, *id_field;
    const char *run, *collection, *queries, *output;
    uint32_t top, precision, max_tokens, threads, reranker;
    assay_llm_settings llm;
    bool jsonl;
} rerank_settings;

/* What scores the passages: one of the two. */
typedef struct scorer {
    assay_session *session;
    const assay_model_info *info; /* of its model */
    assay_llm *llm;               /* NULL: the session */
} scorer;

/* The passages as they came and as they are scored. */
typedef struct rerank_job {
    const rerank_settings *settings;
    assay_texts input;
    json_t **records;    /* [count] of --jsonl; NULL entries: blank lines */
    assay_text *texts;   /* [count] into input or records */
    json_t **ids;        /* [count] borrowed, NULL where there is none */
    size_t count;
    assay_score *scores; /* [count] */
    size_t *order;       /* [count] best first */
    assay_llm_usage usage;
} rerank_job;

/* ------------------------------------------------------------------- JSONL */

static int record_fault(size_t line, const char *what, const char *field)
{
    assay_warn("standard input:%zu: %s%s%s", line, what, field ? " " : "", field ? field : "");
    return ASSAY_EXIT_ERROR;
}

static int read_record(rerank_job *job, size_t line, json_t *record)
{
    const rerank_settings *s = job->settings;
    if (json_is_string(record)) { /* a bare string is a passage, too */
        job->texts[job->count] =
            (assay_text){json_string_value(record), json_string_length(record)};
    } else {
        const char *field = s->text_field ? s->text_field : "text";
        const json_t *text = json_object_get(record, field);
        if (!json_is_object(record))
            return record_fault(line, "is not a JSON object with a field", field);
        if (!json_is_string(text))
            return record_fault(line, text ? "not a string: field" : "lacks the field", field);
        job->texts[job->count] = (assay_text){json_string_value(text), json_string_length(text)};
        json_t *id = json_object_get(record, s->id_field ? s->id_field : "_id");
        job->ids[job->count] = id || s->id_field ? id : json_object_get(record, "id");
    }
    job->records[job->count++] = record;
    return ASSAY_EXIT_OK;
}

static bool is_blank(assay_text line)
{
    return strspn(line.data, " \t\r") >= line.length;
}

/* Turns the lines into records; blank ones are passed over. */
static int read_records(rerank_job *job)
{
    for (size_t i = 0; i < job->input.count; i++) {
        assay_text line = job->input.items[i];
        json_error_t fault;
        if (line.length == 0 || is_blank(line))
            continue;
        json_t *record =
            json_loadb(line.data, line.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
        if (!record) {
            assay_warn("standard input:%zu:%d: %s", i + 1, fault.column, fault.text);
            return ASSAY_EXIT_ERROR;
        }
        int code = read_record(job, i + 1, record);
        if (code != ASSAY_EXIT_OK) {
            json_decref(record);
            return code;
        }
    }
    return ASSAY_EXIT_OK;
}

static int read_passages(rerank_job *job, char **arguments, size_t count)
{
    int code = assay_texts_gather(arguments, count, "passages", &job->input);
    if (code != ASSAY_EXIT_OK)
        return code;
    size_t room = job->input.count + 1;
    job->records = calloc(room, sizeof *job->records);
    job->texts = calloc(room, sizeof *job->texts);
    job->ids = calloc(room, sizeof *job->ids);
    job->scores = calloc(room, sizeof *job->scores);
    job->order = calloc(room, sizeof *job->order);
    if (!job->records || !job->texts || !job->ids || !job->scores || !job->order)
        return assay_report_memory();
    if (job->settings->jsonl)
        return read_records(job);
    memcpy(job->texts, job->input.items, job->input.count * sizeof *job->texts);
    job->count = job->input.count;
    return ASSAY_EXIT_OK;
}

static void free_job(rerank_job *job)
{
    for (size_t i = 0; job->records && i < job->count; i++)
        json_decref(job->records[i]);
    free(job->records);
    free(job->texts);
    free(job->ids);
    free(job->scores);
    free(job->order);
    assay_texts_free(&job->input);
}

/* ------------------------------------------------------------------ output */

static int by_score(const void *left, const void *right, void *context)
{
    const assay_score *scores = context;
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    bool a_fine = isfinite(scores[a].logit), b_fine = isfinite(scores[b].logit);
    if (a_fine != b_fine)
        return a_fine ? -1 : 1; /* those that failed come last */
    if (a_fine && scores[a].logit != scores[b].logit)
        return scores[a].logit > scores[b].logit ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void add_result(assay_answer *answer, json_t *results, const rerank_job *job, size_t rank)
{
    size_t index = job->order[rank];
    const assay_score *score = &job->scores[index];
    json_t *one = assay_answer_object(answer, results, NULL);
    bool fine = score->status == ASSAY_OK;
    assay_answer_set(answer, one, "index", assay_json_count(index));
    if (job->ids[index])
        assay_answer_set(answer, one, "id", json_incref(job->ids[index]));
    assay_answer_set(answer, one, "rank", assay_json_count(rank + 1));
    assay_answer_set(answer, one, "logit",
                     fine ? assay_json_number((double)score->logit) : json_null());
    assay_answer_set(answer, one, "probability",
                     fine ? assay_json_number((double)score->probability) : json_null());
    assay_answer_set(answer, one, "tokens", assay_json_count(score->tokens));
    assay_answer_set(answer, one, "truncated", json_boolean(score->truncated));
    if (!fine)
        assay_answer_set(answer, one, "error", json_string(assay_status_name(score->status)));
}

static int print_json(const rerank_job *job, size_t shown, const scorer *by)
{
    assay_answer answer = assay_answer_new();
    json_t *results = assay_answer_array(&answer, answer.root, "results");
    for (size_t i = 0; i < shown; i++)
        add_result(&answer, results, job, i);
    assay_llm_json(&answer, answer.root, &job->usage);
    if (by->info)
        assay_answer_model(&answer, by->info);
    return assay_answer_print(&answer);
}

static void print_people(const rerank_job *job, size_t shown)
{
    for (size_t i = 0; i < shown; i++) {
        size_t index = job->order[i];
        const assay_score *score = &job->scores[index];
        printf("%2zu. %s", i + 1, assay_style_code(ASSAY_STYLE_DIM));
        if (score->status == ASSAY_OK)
            printf("[%zu]  %s %.3f", index, isnan(score->probability) ? "score" : "logit",
                   (double)score->logit);
        else
            printf("[%zu]  not scored: %s", index, assay_status_name(score->status));
        if (score->status == ASSAY_OK && isfinite(score->probability))
            printf(", probability %.3f", (double)score->probability);
        if (score->truncated)
            printf("; cut at %u tokens, its end was not seen", score->tokens);
        printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
        assay_print_wrapped(job->texts[index].data, job->texts[index].length, 4);
    }
}

/* ------------------------------------------------------------------- verb */

static assay_status score(rerank_job *job, const scorer *by, assay_error *error)
{
    const rerank_settings *s = job->settings;
    assay_text query = {s->query, strlen(s->query)};
    if (by->llm)
        return assay_llm_rerank(by->llm, query, job->texts, job->count, s->top, job->scores,
                                &job->usage, error);
    return assay_rerank(by->session, query, job->texts, job->count, job->scores, error);
}

/* Orders what is scored, and prints the best. */
static int show(rerank_job *job, const scorer *by)
{
    const rerank_settings *s = job->settings;
    bool failed = false;
    int code = ASSAY_EXIT_OK;
    if (by->info && job->count > 0 && job->scores[0].query_truncated)
        assay_warn("the query is longer than the %u tokens that %s reads; its end was not seen",
                   by->info->query_tokens, by->info->name);
    for (size_t i = 0; i < job->count; i++) {
        job->order[i] = i;
        failed |= job->scores[i].status != ASSAY_OK;
    }
    qsort_r(job->order, job->count, sizeof *job->order, by_score, job->scores);
    size_t shown = s->top && s->top < job->count ? s->top : job->count;
    if (s->common.json)
        code = print_json(job, shown, by);
    else
        print_people(job, shown);
    return failed && code == ASSAY_EXIT_OK ? ASSAY_EXIT_PARTLY : code;
}

static int rerank_passages(const rerank_settings *settings, const scorer *by, char **arguments,
                           size_t count)
{
    assay_error error;
    rerank_job job = {.settings = settings};
    int code = read_passages(&job, arguments, count);
    if (code == ASSAY_EXIT_OK && score(&job, by, &error) != ASSAY_OK)
        code = assay_report(&error);
    else if (code == ASSAY_EXIT_OK)
        code = show(&job, by);
    free_job(&job);
    return code;
}

static int rerank_by_llm(const rerank_settings *settings, char **arguments, size_t count)
{
    assay_error error;
    scorer by = {0};
    assay_llm_options options = {0};
    assay_llm_overlay(&settings->llm, &options, &options.model);
    if (assay_llm_open(&options, &by.llm, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = rerank_passages(settings, &by, arguments, count);
    assay_llm_close(by.llm);
    return code;
}

static int rerank_with(const rerank_settings *settings, assay_model *model, char **arguments,
                       size_t count)
{
    assay_error error;
    assay_session *session;
    assay_model_info info;
    assay_model_describe(model, &info);
    if (info.kind == ASSAY_MODEL_BI_ENCODER) {
        assay_warn("%s: holds a bi-encoder (%s), which makes embeddings; reranking needs a "
                   "cross-encoder, or late interaction: --model late:NAME", info.path,
                   info.architecture);
        return ASSAY_EXIT_ERROR;
    }
    assay_warn_of_model(&info);
    const assay_session_options options = {
        .threads = settings->threads,
        .max_tokens = settings->max_tokens,
    };
    if (assay_session_open(model, &options, &session, &error) != ASSAY_OK)
        return assay_report(&error);
    const assay_rerank_run run = {
        .run = settings->run,
        .queries = settings->queries,
        .collection = settings->collection ? settings->collection : "default",
        .output = settings->output,
        .top = settings->top,
    };
    const scorer by = {.session = session, .info = &info};
    int code = settings->run ? assay_rerank_run_do(&run, session)
                             : rerank_passages(settings, &by, arguments, count);
    assay_session_close(session);
    return code;
}

/* Which of the two forms it is, and whether it is all there. */
static int check_form(const rerank_settings *s, size_t count)
{
    const assay_verb *verb = &assay_verb_rerank;
    if (s->run && (s->query || count > 0))
        return assay_usage(verb, "--run takes its queries from --queries and its documents from "
                           "--collection, not from the command line");
    if (s->run && !s->queries)
        return assay_usage(verb, "--run needs --queries FILE");
    if (s->run && s->common.json)
        return assay_usage(verb, "--run writes a TREC run; there is no JSON of it");
    if (!s->run && (s->queries || s->output || s->collection))
        return assay_usage(verb, "--queries, --collection and --output belong to --run FILE");
    if (!s->run && !s->query)
        return assay_usage(verb, "--query TEXT is missing");
    if (s->reranker && (s->run || s->model || s->precision || s->max_tokens))
        return assay_usage(verb, "--run, --model, --precision and --max-tokens belong to a "
                           "cross-encoder, not to --rerank llm");
    if (s->jsonl && count > 0)
        return assay_usage(verb, "--jsonl is read from standard input, not from arguments");
    return ASSAY_EXIT_OK;
}

static int run(const void *given, char **arguments, size_t count)
{
    const rerank_settings *settings = given;
    int code = check_form(settings, count);
    if (code != ASSAY_EXIT_OK)
        return code;
    if (settings->reranker)
        return rerank_by_llm(settings, arguments, count);
    assay_error error;
    assay_model *model;
    const assay_model_options options = {.precision = (assay_precision)settings->precision};
    if (assay_model_open(settings->model ? settings->model : "cross", &options, &model,
                         &error) != ASSAY_OK)
        return assay_report(&error);
    code = rerank_with(settings, model, arguments, count);
    assay_model_close(model);
    return code;
}

static const assay_option options[] = {
    {"query", ASSAY_OPTION_TEXT, offsetof(rerank_settings, query), "TEXT",
     "what the passages are to answer", 0, 0},
    {"rerank", ASSAY_OPTION_CHOICE, offsetof(rerank_settings, reranker), "cross|llm",
     "by what: a cross-encoder, or a language model behind an API (default: cross)", 0, 0},
    {"model", ASSAY_OPTION_TEXT, offsetof(rerank_settings, model), "NAME",
     "cross-encoder or ColBERT: a folder in Hugging Face layout, or a name; late:NAME reads a "
     "bi-encoder for late interaction (default: cross)", 0, 0},
    {"top", ASSAY_OPTION_COUNT, offsetof(rerank_settings, top), "N",
     "keep only the N best (default: all); with --run, of each query's documents the first N "
     "are reranked and kept", 1, 10000000},
    {"jsonl", ASSAY_OPTION_FLAG, offsetof(rerank_settings, jsonl), NULL,
     "standard input is a JSON object a line, with a text and maybe an id", 0, 0},
    {"text-field", ASSAY_OPTION_TEXT, offsetof(rerank_settings, text_field), "NAME",
     "of --jsonl (default: text)", 0, 0},
    {"id-field", ASSAY_OPTION_TEXT, offsetof(rerank_settings, id_field), "NAME",
     "of --jsonl (default: _id, else id)", 0, 0},
    {"precision", ASSAY_OPTION_CHOICE, offsetof(rerank_settings, precision), ASSAY_PRECISIONS,
     "arithmetic (default: auto, the fastest that keeps rankings)", 0, 0},
    {"max-tokens", ASSAY_OPTION_COUNT, offsetof(rerank_settings, max_tokens), "N",
     "cut passages earlier than the model does; query and special tokens are counted", 5,
     1000000},
    {"threads", ASSAY_OPTION_COUNT, offsetof(rerank_settings, threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
    {"run", ASSAY_OPTION_TEXT, offsetof(rerank_settings, run), "FILE",
     "rerank a TREC run instead, and write one", 0, 0},
    {"collection", ASSAY_OPTION_TEXT, offsetof(rerank_settings, collection), "NAME",
     "where the documents of --run are (default: default)", 0, 0},
    {"queries", ASSAY_OPTION_TEXT, offsetof(rerank_settings, queries), "FILE",
     "queries of --run: queries.jsonl, or id, tab and text a line", 0, 0},
    {"output", ASSAY_OPTION_TEXT, offsetof(rerank_settings, output), "FILE",
     "where --run writes to (default: standard output)", 0, 0},
    ASSAY_LLM_OPTIONS(rerank_settings, llm),
};

static const assay_example examples[] = {
    {"assay rerank --query 'how tall is it' 'It is 8 m tall.' 'It is blue.'",
     "Passages from the command line"},
    {"assay rerank --query \"...\" --json < passages.txt",
     "A passage a line; {\"results\":[{\"index\":1,\"rank\":1,\"logit\":..,\"probability\":..,"
     "\"tokens\":..,\"truncated\":false},..],\"model\":..}, index from 0 in input order"},
    {"assay rerank --model DIR --precision fp32 --query \"...\" --json < passages.txt",
     "With another model, in exact arithmetic"},
    {"assay rerank --model late --query \"...\" < passages.txt",
     "By late interaction: every token of the query against every token of a passage"},
    {"assay rerank --rerank llm --llm-url http://127.0.0.1:8080/v1 --llm-model NAME --query "
     "\"...\" < passages.txt", "By a language model: docs/pipelines.md"},
    {"assay rerank --run bm25.run --collection scifact --queries scifact/queries.jsonl "
     "> reranked.run", "What another search engine found, reranked"},
    {NULL, NULL},
};

const assay_verb assay_verb_rerank = {
    .name = "rerank",
    .arguments = "[PASSAGE...]",
    .summary = "order passages by how well they answer a query",
    .description =
        "Scores each PASSAGE, or each line of standard input (an empty line is a passage too), "
        "against the query with a cross-encoder, or with late interaction where the model is of "
        "that kind (late is the default bi-encoder read so), and prints them best first. Order is "
        "by logit, which of late interaction is a sum of cosines and has no probability, "
        "ties by input order. A passage that cannot be scored comes last and says why; the exit "
        "code is then 3.\n\n"
        "With --run, the documents of a TREC run are read from a collection, scored, and "
        "written as a TREC run. Documents that are missing stay behind the others.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(rerank_settings),
    .arguments_max = SIZE_MAX,
    .run = run,
};
