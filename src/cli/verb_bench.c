/* SPDX-License-Identifier: Apache-2.0 */
/* verb_bench.c: `assay bench`, how fast a cross-encoder reranks on this machine,
 * and by which operations the time goes. Pairs are its own or given. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"
#include "cli/texts.h"

enum { OWN_PASSAGES = 50, REPEATS = 5 };

typedef struct bench_settings {
    assay_common common;
    uint32_t precision, threads, repeats, max_tokens;
    bool jsonl, profile;
} bench_settings;

typedef struct bench_query {
    assay_text query;
    assay_text *passages; /* [count] */
    size_t count;
    json_t *record; /* owns the texts; NULL: `own` does */
} bench_query;

typedef struct bench_job {
    const bench_settings *settings;
    bench_query *queries; /* [count] */
    size_t count;
    char *own;
    assay_score *scores; /* of one query at a time */
    double *seconds;     /* [repeats] ascending */
    uint32_t repeats;
    assay_profile profile; /* of all repeats */
    assay_model_info info;
} bench_job;

/* ---------------------------------------------------------------- own pairs */

static const char own_query[] = "how many days of leave may be carried over to next year?";

/* Passage i has 1 to 9 of these, from number i on: 20 to 230 tokens or so, which
 * is how long passages are that people search. */
static const char *const own_sentences[] = {
    "Up to five days of leave may be carried over, and are lost at the end of March.",
    "The kitchen on the third floor is open from eight in the morning until six.",
    "Whoever falls ill on holiday gets those days back with a note from a doctor.",
    "Travel by train is booked in second class unless a journey takes four hours or more.",
    "Machines are switched off at the main switch before anyone opens their housing.",
    "An invoice above 500 euros needs two signatures, one of them from accounting.",
    "New colleagues find a list of names, numbers and keys on their desk on the first day.",
    "Data of customers is kept for ten years and is then deleted from every copy.",
    "The lift carries eight people or 630 kilograms and is inspected twice a year.",
    "Overtime is written down by the week and is given back as time, not as money.",
    "In case of fire leave by the stairs and meet at the car park behind the building.",
};

static size_t own_length(size_t i)
{
    return 1 + i * 5 % 9;
}

static bool write_own(bench_job *job)
{
    size_t kinds = sizeof own_sentences / sizeof *own_sentences, size = 0;
    FILE *out = open_memstream(&job->own, &size);
    if (!out)
        return false;
    for (size_t i = 0; i < OWN_PASSAGES; i++) {
        fprintf(out, "%zu.", i + 1); /* equal ones would be scored once */
        for (size_t s = 0; s < own_length(i); s++)
            fprintf(out, " %s", own_sentences[(i + s) % kinds]);
        fputc('\0', out);
    }
    return fclose(out) == 0;
}

static int make_own(bench_job *job)
{
    bench_query *query = job->queries = calloc(1, sizeof *job->queries);
    if (!query || !write_own(job))
        return assay_report_memory();
    job->count = 1;
    query->passages = calloc(OWN_PASSAGES, sizeof *query->passages);
    if (!query->passages)
        return assay_report_memory();
    query->query = (assay_text){own_query, sizeof own_query - 1};
    query->count = OWN_PASSAGES;
    const char *at = job->own;
    for (size_t i = 0; i < OWN_PASSAGES; i++) {
        query->passages[i] = (assay_text){at, strlen(at)};
        at += query->passages[i].length + 1;
    }
    return ASSAY_EXIT_OK;
}

/* -------------------------------------------------------------- given pairs */

static assay_text text_of(const json_t *string)
{
    return (assay_text){json_string_value(string), json_string_length(string)};
}

static int fault(size_t line, const char *what)
{
    assay_warn("standard input:%zu: %s; expected {\"query\": \"...\", \"passages\": [\"...\"]}",
               line, what);
    return ASSAY_EXIT_ERROR;
}

static int read_query(const json_t *record, size_t line, bench_query *out)
{
    const json_t *query = json_object_get(record, "query");
    const json_t *passages = json_object_get(record, "passages");
    if (!json_is_string(query))
        return fault(line, "no string \"query\"");
    if (!json_is_array(passages) || json_array_size(passages) == 0)
        return fault(line, "no list \"passages\" that holds one");
    out->query = text_of(query);
    out->count = json_array_size(passages);
    out->passages = calloc(out->count, sizeof *out->passages);
    if (!out->passages)
        return assay_report_memory();
    for (size_t i = 0; i < out->count; i++) {
        const json_t *passage = json_array_get(passages, i);
        if (!json_is_string(passage))
            return fault(line, "a passage that is no string");
        out->passages[i] = text_of(passage);
    }
    return ASSAY_EXIT_OK;
}

static int read_lines(bench_job *job, const assay_texts *lines)
{
    job->queries = calloc(lines->count + 1, sizeof *job->queries);
    if (!job->queries)
        return assay_report_memory();
    for (size_t i = 0; i < lines->count; i++) {
        assay_text line = lines->items[i];
        json_error_t problem;
        if (strspn(line.data, " \t\r") >= line.length)
            continue;
        bench_query *query = &job->queries[job->count++];
        query->record = json_loadb(line.data, line.length, JSON_ALLOW_NUL, &problem);
        if (!query->record)
            return fault(i + 1, problem.text);
        int code = read_query(query->record, i + 1, query);
        if (code != ASSAY_EXIT_OK)
            return code;
    }
    if (job->count > 0)
        return ASSAY_EXIT_OK;
    assay_warn("standard input holds no pairs");
    return ASSAY_EXIT_ERROR;
}

static int read_given(bench_job *job)
{
    assay_texts lines;
    int code = assay_texts_gather(NULL, 0, "queries with passages, as JSON", &lines);
    if (code != ASSAY_EXIT_OK)
        return code;
    code = read_lines(job, &lines);
    assay_texts_free(&lines);
    return code;
}

static void free_job(bench_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        free(job->queries[i].passages);
        json_decref(job->queries[i].record);
    }
    free(job->queries);
    free(job->own);
    free(job->scores);
    free(job->seconds);
}

/* ---------------------------------------------------------------- measuring */

static int make_room(bench_job *job)
{
    size_t most = 0;
    for (size_t i = 0; i < job->count; i++)
        most = job->queries[i].count > most ? job->queries[i].count : most;
    job->repeats = job->settings->repeats ? job->settings->repeats : REPEATS;
    job->scores = calloc(most, sizeof *job->scores);
    job->seconds = calloc(job->repeats, sizeof *job->seconds);
    return job->scores && job->seconds ? ASSAY_EXIT_OK : assay_report_memory();
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static assay_status rerank_all(bench_job *job, assay_session *session, double *seconds,
                               assay_error *error)
{
    double start = now();
    for (size_t i = 0; i < job->count; i++) {
        const bench_query *q = &job->queries[i];
        assay_status status =
            assay_rerank(session, q->query, q->passages, q->count, job->scores, error);
        if (status != ASSAY_OK)
            return status;
    }
    *seconds = now() - start;
    return ASSAY_OK;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Once for the caches, and then as often as asked. */
static int measure(bench_job *job, assay_session *session)
{
    assay_error error;
    double first;
    assay_status status = rerank_all(job, session, &first, &error);
    assay_session_profile(session, &job->profile);
    for (uint32_t i = 0; status == ASSAY_OK && i < job->repeats; i++)
        status = rerank_all(job, session, &job->seconds[i], &error);
    if (status != ASSAY_OK)
        return assay_report(&error);
    assay_session_profile(session, &job->profile);
    qsort(job->seconds, job->repeats, sizeof *job->seconds, ascending);
    return ASSAY_EXIT_OK;
}

/* ----------------------------------------------------------------- results */

static double sum_of(const double values[ASSAY_OPERATIONS])
{
    double sum = 0;
    for (size_t i = 0; i < ASSAY_OPERATIONS; i++)
        sum += values[i];
    return sum;
}

static double median(const bench_job *job)
{
    uint32_t n = job->repeats;
    return (job->seconds[(n - 1) / 2] + job->seconds[n / 2]) / 2;
}

/* Seconds of a repeat in which threads that were there did not run. */
static double waiting(const bench_job *job)
{
    double sum = 0;
    for (uint32_t i = 0; i < job->repeats; i++)
        sum += job->seconds[i];
    return (sum * job->profile.threads - sum_of(job->profile.seconds)) / job->repeats;
}

typedef struct bench_rates {
    double pairs, tokens, gops; /* a second, by the median */
} bench_rates;

static bench_rates rates_of(const bench_job *job)
{
    double all = median(job) * job->repeats;
    return (bench_rates){(double)job->profile.sequences / all, (double)job->profile.tokens / all,
                         sum_of(job->profile.work) / all * 1e-9};
}

static void add_profile(assay_answer *answer, const bench_job *job)
{
    const double *seconds = job->profile.seconds, *work = job->profile.work;
    json_t *list = assay_answer_array(answer, answer->root, "profile");
    for (size_t i = 0; i < ASSAY_OPERATIONS; i++) {
        if (seconds[i] <= 0)
            continue;
        json_t *one = assay_answer_object(answer, list, NULL);
        const char *name = assay_operation_name((assay_operation)i);
        assay_answer_set(answer, one, "operation", assay_json_name(name));
        assay_answer_set(answer, one, "seconds", json_real(seconds[i] / job->repeats));
        assay_answer_set(answer, one, "share", json_real(seconds[i] / sum_of(seconds)));
        if (work[i] > 0)
            assay_answer_set(answer, one, "gops", json_real(work[i] / seconds[i] * 1e-9));
    }
    assay_answer_set(answer, answer->root, "waiting", json_real(waiting(job)));
}

static int print_json(const bench_job *job)
{
    assay_answer answer = assay_answer_new();
    bench_rates rates = rates_of(job);
    assay_answer_model(&answer, &job->info);
    assay_answer_set(&answer, answer.root, "cpu", assay_json_name(assay_cpu()));
    assay_answer_set(&answer, answer.root, "threads", assay_json_count(job->profile.threads));
    assay_answer_set(&answer, answer.root, "repeats", assay_json_count(job->repeats));
    assay_answer_set(&answer, answer.root, "pairs",
                     assay_json_count(job->profile.sequences / job->repeats));
    assay_answer_set(&answer, answer.root, "tokens",
                     assay_json_count(job->profile.tokens / job->repeats));
    json_t *seconds = assay_answer_object(&answer, answer.root, "seconds");
    assay_answer_set(&answer, seconds, "median", json_real(median(job)));
    assay_answer_set(&answer, seconds, "least", json_real(job->seconds[0]));
    assay_answer_set(&answer, seconds, "most", json_real(job->seconds[job->repeats - 1]));
    assay_answer_set(&answer, answer.root, "pairs_per_second", json_real(rates.pairs));
    assay_answer_set(&answer, answer.root, "tokens_per_second", json_real(rates.tokens));
    assay_answer_set(&answer, answer.root, "gops", json_real(rates.gops));
    if (job->settings->profile)
        add_profile(&answer, job);
    return assay_answer_print(&answer);
}

static void print_operation(const char *name, double seconds, double work, const bench_job *job)
{
    printf("%-12s %9.2f ms %5.1f %%", name, seconds / job->repeats * 1e3,
           seconds / sum_of(job->profile.seconds) * 100);
    if (work > 0)
        printf(" %8.1f", work / seconds * 1e-9);
    putchar('\n');
}

static void print_profile(const bench_job *job)
{
    const assay_profile *profile = &job->profile;
    printf("\n%-12s %12s %7s %8s\n", "operation", "processors", "share", "GOP/s");
    for (size_t i = 0; i < ASSAY_OPERATIONS; i++)
        if (profile->seconds[i] > 0)
            print_operation(assay_operation_name((assay_operation)i), profile->seconds[i],
                            profile->work[i], job);
    print_operation("all", sum_of(profile->seconds), sum_of(profile->work), job);
    printf("%-12s %9.2f ms\n", "waiting", waiting(job) * 1e3);
}

static void print_people(const bench_job *job)
{
    char pairs[32], tokens[32], rate[32];
    bench_rates rates = rates_of(job);
    printf("%s, %s, %s, threads %u\n%s pairs, %s tokens: %.1f ms (%.1f to %.1f of %u)\n"
           "pairs/s   %s\n", job->info.name, job->info.precision, assay_cpu(),
           job->profile.threads,
           assay_print_count(pairs, job->profile.sequences / job->repeats),
           assay_print_count(tokens, job->profile.tokens / job->repeats), median(job) * 1e3,
           job->seconds[0] * 1e3, job->seconds[job->repeats - 1] * 1e3, job->repeats,
           assay_print_count(rate, (uint64_t)(rates.pairs + 0.5)));
    printf("tokens/s  %s\n", assay_print_count(rate, (uint64_t)(rates.tokens + 0.5)));
    printf("GOP/s     %.1f\n", rates.gops);
    if (job->settings->profile)
        print_profile(job);
}

/* -------------------------------------------------------------------- verb */

static int bench_session(bench_job *job, assay_model *model)
{
    assay_error error;
    assay_session *session;
    const assay_session_options options = {.threads = job->settings->threads,
                                           .max_tokens = job->settings->max_tokens,
                                           .profile = job->settings->profile};
    if (assay_session_open(model, &options, &session, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = measure(job, session);
    assay_session_close(session);
    return code;
}

static int bench_model(bench_job *job, const char *name)
{
    assay_error error;
    assay_model *model;
    const assay_model_options options = {.precision = (assay_precision)job->settings->precision};
    if (assay_model_open(name, &options, &model, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_model_describe(model, &job->info);
    assay_warn_of_model(&job->info);
    int code = bench_session(job, model);
    assay_model_close(model);
    return code;
}

static int run(const void *given, char **arguments, size_t count)
{
    const bench_settings *settings = given;
    bench_job job = {.settings = settings};
    int code = settings->jsonl ? read_given(&job) : make_own(&job);
    if (code == ASSAY_EXIT_OK)
        code = make_room(&job);
    if (code == ASSAY_EXIT_OK)
        code = bench_model(&job, count > 0 ? arguments[0] : "cross");
    if (code == ASSAY_EXIT_OK && settings->common.json)
        code = print_json(&job);
    else if (code == ASSAY_EXIT_OK)
        print_people(&job);
    free_job(&job);
    return code;
}

static const assay_option options[] = {
    {"profile", ASSAY_OPTION_FLAG, offsetof(bench_settings, profile), NULL,
     "show by which operations the time goes", 0, 0},
    {"repeats", ASSAY_OPTION_COUNT, offsetof(bench_settings, repeats), "N",
     "times that all is reranked, after once for the caches (default: 5)", 1, 100000},
    {"jsonl", ASSAY_OPTION_FLAG, offsetof(bench_settings, jsonl), NULL,
     "rerank what standard input holds, a query with its passages a line, instead of texts of "
     "its own", 0, 0},
    {"precision", ASSAY_OPTION_CHOICE, offsetof(bench_settings, precision), ASSAY_PRECISIONS,
     "arithmetic (default: auto, the fastest that keeps rankings)", 0, 0},
    {"max-tokens", ASSAY_OPTION_COUNT, offsetof(bench_settings, max_tokens), "N",
     "cut passages earlier than the model does; query and special tokens are counted", 5,
     1000000},
    {"threads", ASSAY_OPTION_COUNT, offsetof(bench_settings, threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
};

static const assay_example examples[] = {
    {"assay bench --profile", "The model that search uses, with 50 passages of its own"},
    {"assay bench cross --precision fp32 --threads 1 --json",
     "{\"model\":..,\"precision\":..,\"cpu\":..,\"threads\":1,\"repeats\":5,\"pairs\":50,"
     "\"tokens\":..,\"seconds\":{\"median\":..,\"least\":..,\"most\":..},"
     "\"pairs_per_second\":..,\"tokens_per_second\":..,\"gops\":..}; with --profile "
     "\"profile\":[{\"operation\":..,\"seconds\":..,\"share\":..,\"gops\":..},..] and \"waiting\""},
    {"assay bench ./mine --jsonl < pairs.jsonl",
     "Lines {\"query\":\"...\",\"passages\":[\"...\",..]}, as bench/make_pairs writes them"},
    {NULL, NULL},
};

const assay_verb assay_verb_bench = {
    .name = "bench",
    .arguments = "[MODEL]",
    .summary = "measure how fast a cross-encoder reranks here",
    .description =
        "Reranks passages with MODEL (a folder or a name; default: cross), end to end with "
        "tokenisation, and prints the median time, pairs and tokens a second, and GOP/s: "
        "multiplications and additions of the matrix products that the scores depend on, in "
        "billions a second. Equal passages of a query are scored, and counted, once.\n\n"
        "--profile adds for each operation the time that processors spent on it in all threads, "
        "its share, and GOP/s of one of them. Linear layers (query, key_value, output, up, "
        "down) include what is done to their results, as up its activation; quantize is what "
        "rows go through before a layer of int8 or bf16; head includes pooling. waiting is the "
        "time of threads that had nothing to do, or whose processor did other work.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(bench_settings),
    .arguments_max = 1,
    .run = run,
};
