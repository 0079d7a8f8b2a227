/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_eval.c: `assay eval`, what a pipeline is worth on judged queries.
 *
 * A BEIR folder (Thakur et al. 2021) is brought up to date in its collection,
 * its judged queries are searched, and the run is measured as trec_eval -c
 * would: a judged query without a result counts 0.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/beir.h"
#include "cli/eval_report.h"
#include "cli/progress.h"

typedef struct eval_settings {
    assay_common common;
    assay_stages stages;
    const char *collection, *model, *output, *qrels, *run, *filter;
    uint32_t split, limit, seed;
    assay_option_list measures;
    bool per_query, cache, batch;
} eval_settings;

static const char *const split_names[] = {"test", "dev", "train"};

/* Everything that evaluating a folder opens. */
typedef struct eval_job {
    const eval_settings *settings;
    assay_beir beir;
    size_t *picked; /* [count] places in queries, in their order */
    assay_text *texts; /* [count] of these */
    size_t count;
    bool *chosen;   /* [queries of qrels]; NULL: all */
    assay_store *store;
    assay_stages_pipeline asked;
    assay_pipeline *pipeline;
    assay_run *run;
    assay_eval eval;
} eval_job;

/* ------------------------------------------------------------------- input */

/* An unknown measure should be told before an hour of searching. */
static int check_measures(eval_job *job)
{
    assay_error error;
    assay_run *empty;
    const assay_option_list *measures = &job->settings->measures;
    if (assay_run_new("assay", &empty, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = ASSAY_EXIT_OK;
    double value;
    for (size_t i = 0; i < measures->count && code == ASSAY_EXIT_OK; i++) {
        if (assay_measure(job->beir.qrels, empty, measures->items[i], &value, NULL, &error) != ASSAY_OK)
            code = assay_report(&error);
    }
    assay_run_free(empty);
    return code;
}

static int read_queries(eval_job *job)
{
    return assay_beir_queries(&job->beir);
}

/* SplitMix64 (Steele et al. 2014): the same sample on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static int by_place(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    return (a > b) - (a < b);
}

/* Keeps `limit` of the picked queries, drawn without replacement. */
static void draw_sample(eval_job *job)
{
    uint64_t state = job->settings->seed;
    for (size_t i = 0; i < job->settings->limit; i++) {
        size_t j = i + (size_t)(next_random(&state) % (job->count - i));
        size_t swapped = job->picked[i];
        job->picked[i] = job->picked[j];
        job->picked[j] = swapped;
    }
    job->count = job->settings->limit;
    qsort(job->picked, job->count, sizeof *job->picked, by_place);
}

static void mark_chosen(eval_job *job)
{
    size_t all = assay_qrels_queries(job->beir.qrels);
    for (size_t q = 0; q < all; q++) {
        for (size_t i = 0; i < job->count && !job->chosen[q]; i++)
            job->chosen[q] =
                strcmp(job->beir.queries.ids[job->picked[i]], assay_qrels_query(job->beir.qrels, q)) == 0;
    }
}

static int pick_queries(eval_job *job)
{
    size_t judged = assay_qrels_queries(job->beir.qrels);
    job->picked = calloc(job->beir.queries.count + 1, sizeof *job->picked);
    job->chosen = calloc(judged + 1, sizeof *job->chosen);
    if (!job->picked || !job->chosen)
        return assay_report_memory();
    for (size_t i = 0; i < job->beir.queries.count; i++) {
        if (assay_qrels_judged(job->beir.qrels, job->beir.queries.ids[i]))
            job->picked[job->count++] = i;
    }
    if (job->count < judged)
        assay_warn("%s/queries.jsonl: lacks %zu of the %zu judged queries; %s", job->beir.folder,
                   judged - job->count, judged,
                   job->settings->limit ? "the sample is of the others" : "they count 0");
    if (job->settings->limit && job->settings->limit < job->count) {
        draw_sample(job);
        mark_chosen(job);
        job->eval.chosen = job->chosen;
        job->eval.limit = job->settings->limit;
        job->eval.seed = job->settings->seed;
    }
    return ASSAY_EXIT_OK;
}

/* ---------------------------------------------------------------- indexing */

static int index_folder(eval_job *job)
{
    assay_error error;
    assay_collection_info info;
    int code = assay_beir_index(&job->beir, job->store, job->settings->model,
                                job->asked.options.retriever, job->settings->stages.threads);
    if (code != ASSAY_EXIT_OK)
        return code;
    if (assay_collection_describe(job->store, job->beir.collection, &info, &error) != ASSAY_OK)
        return assay_report(&error);
    job->eval.documents = info.documents;
    return ASSAY_EXIT_OK;
}

/* --------------------------------------------------------------- searching */

static assay_status add_result(eval_job *job, const char *query, const assay_result *result,
                               assay_error *error)
{
    for (size_t i = 0; i < result->count; i++) {
        assay_status status = assay_run_add(job->run, query, result->hits[i].document,
                                            (double)result->hits[i].score, error);
        if (status != ASSAY_OK)
            return status;
    }
    size_t timed = job->eval.timed++;
    job->eval.first_ms[timed] = result->first_seconds * 1e3;
    job->eval.rerank_ms[timed] = result->rerank_seconds * 1e3;
    job->eval.total_ms[timed] = (result->first_seconds + result->rerank_seconds) * 1e3;
    return ASSAY_OK;
}

/* The judged queries on their way. */
typedef struct searching {
    eval_job *job;
    assay_bar bar;
    size_t done;
    assay_status status; /* not ASSAY_OK: no query more is worth it, for this reason */
    assay_error error;
} searching;

/* False once interrupted. */
static bool show_progress(searching *s)
{
    assay_progress progress = {.phase = ASSAY_PHASE_INDEX, .done = s->done,
                               .total = s->job->count};
    return assay_bar_update(&progress, &s->bar);
}

static void count_result(eval_job *job, const char *id, const assay_result *result,
                         assay_bar *bar)
{
    bool late = strcmp(result->degraded.where, "deadline") == 0;
    if (result->missing.code != ASSAY_OK && job->eval.timed == 0) {
        assay_bar_clear(bar);
        assay_warn("%s: %s", result->missing.where, result->missing.message);
    }
    job->eval.degraded += late;
    job->eval.left_out += result->left_out;
    job->eval.spared += result->spared;
    job->eval.abstained += result->count == 0 && result->withheld + result->dropped > 0;
    if (result->degraded.code != ASSAY_OK && !late) {
        assay_bar_clear(bar);
        assay_warn("query %s: not reranked: %s: %s", id, result->degraded.where,
                   result->degraded.message);
        job->eval.failed++;
    }
    job->eval.skipped += result->skipped.code != ASSAY_OK;
    for (size_t i = 0; i < result->stage_count; i++)
        assay_llm_add(&job->eval.llm, &result->stages[i].llm);
    job->eval.scored += result->scored;
    job->eval.cached += result->cached;
    job->eval.tokenized += result->tokenized;
    if (result->cache.code != ASSAY_OK) {
        assay_bar_clear(bar);
        assay_warn("query %s: %s: %s; its scores were computed without it", id,
                   result->cache.where, result->cache.message);
    }
}

/* Takes the answer to a query; false: it was the last. */
static bool take_answer(size_t i, assay_result *result, const assay_error *failed, void *user)
{
    searching *s = user;
    eval_job *job = s->job;
    const char *id = job->beir.queries.ids[job->picked[i]];
    s->done = i + 1;
    if (failed == NULL) {
        count_result(job, id, result, &s->bar);
        s->status = add_result(job, id, result, &s->error);
    } else if (failed->code == ASSAY_E_ARGUMENT || failed->code == ASSAY_E_LIMIT ||
               failed->code == ASSAY_E_FORMAT) {
        assay_bar_clear(&s->bar);
        assay_warn("query %s: %s; it counts 0", id, failed->message);
        job->eval.failed++;
    } else {
        assay_bar_clear(&s->bar);
        assay_warn("query %s could not be answered", id);
        s->error = *failed;
        s->status = failed->code;
    }
    return s->status == ASSAY_OK && (s->done == job->count || show_progress(s));
}

/* Each by itself, so that what it takes can be told. */
static void search_each(searching *s)
{
    bool more = true;
    for (size_t i = 0; i < s->job->count && more; i++) {
        assay_error failed;
        assay_result result = {0};
        assay_status status = assay_search(s->job->pipeline, s->job->texts[i], 0, &result, &failed);
        more = take_answer(i, &result, status != ASSAY_OK ? &failed : NULL, s);
        assay_result_free(&result);
    }
}

static void search_together(searching *s)
{
    eval_job *job = s->job;
    assay_error error;
    double begun = assay_bar_seconds();
    assay_status status = assay_search_many(job->pipeline, job->texts, job->count, 0, take_answer,
                                            s, &error);
    job->eval.seconds = assay_bar_seconds() - begun;
    if (status == ASSAY_OK || status == ASSAY_E_INTERRUPTED)
        return;
    s->status = status;
    s->error = error;
}

static int search_all(eval_job *job)
{
    searching s = {.job = job, .bar = assay_bar_new("Searching", "queries")};
    if (assay_run_new("assay", &job->run, &s.error) != ASSAY_OK)
        return assay_report(&s.error);
    if (show_progress(&s))
        (job->settings->batch ? search_together : search_each)(&s);
    assay_bar_clear(&s.bar);
    if (s.status != ASSAY_OK)
        return assay_report(&s.error);
    if (s.done == job->count)
        return ASSAY_EXIT_OK;
    assay_warn("interrupted after %zu of %zu queries; nothing was measured", s.done, job->count);
    return ASSAY_EXIT_INTERRUPTED;
}

static int open_pipeline(eval_job *job)
{
    assay_error error;
    assay_eval *eval = &job->eval;
    /* Off unless asked for: what is timed here should be the work. */
    job->asked.options.no_cache = !job->settings->cache;
    if (assay_pipeline_open(job->store, job->beir.collection, &job->asked.options, &job->pipeline,
                            &error) != ASSAY_OK)
        return assay_report(&error);
    if (assay_pipeline_filter(job->pipeline, job->settings->filter, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_stages_warn(job->pipeline);
    eval->first_ms = calloc(job->count + 1, sizeof(double));
    eval->rerank_ms = calloc(job->count + 1, sizeof(double));
    eval->total_ms = calloc(job->count + 1, sizeof(double));
    job->texts = calloc(job->count + 1, sizeof *job->texts);
    if (!eval->first_ms || !eval->rerank_ms || !eval->total_ms || !job->texts)
        return assay_report_memory();
    for (size_t i = 0; i < job->count; i++)
        job->texts[i] = job->beir.queries.texts[job->picked[i]];
    return ASSAY_EXIT_OK;
}

/* ------------------------------------------------------------------- verb */

static int open_store(eval_job *job)
{
    assay_error error;
    if (assay_store_open(NULL, &(assay_store_options){.create = true}, &job->store, &error) !=
        ASSAY_OK)
        return assay_report(&error);
    return ASSAY_EXIT_OK;
}

static int finish(eval_job *job)
{
    assay_error error;
    const eval_settings *s = job->settings;
    assay_eval *eval = &job->eval;
    eval->qrels = job->beir.qrels;
    eval->run = job->run;
    eval->measures = s->measures;
    eval->per_query = s->per_query;
    eval->json = s->common.json;
    eval->collection = job->beir.collection;
    eval->split = split_names[s->split];
    eval->pipeline = job->pipeline;
    eval->filter = s->filter;
    eval->together = s->batch;
    if (s->output && assay_run_write(job->run, s->output, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = assay_eval_print(eval);
    return code == ASSAY_EXIT_OK && eval->failed > 0 ? ASSAY_EXIT_PARTLY : code;
}

static int eval_folder(const eval_settings *settings, const char *folder)
{
    eval_job job = {.settings = settings};
    int code = assay_stages_read(&settings->stages, &assay_verb_eval, NULL, &job.asked);
    if (code == ASSAY_EXIT_OK)
        code = assay_beir_open(folder, settings->collection, split_names[settings->split],
                               &job.beir);
    int (*const steps[])(eval_job *) = {
        check_measures, read_queries, pick_queries, open_store,
        index_folder,   open_pipeline,      search_all,   finish,
    };
    assay_interrupt_arm();
    for (size_t i = 0; i < sizeof steps / sizeof *steps && code == ASSAY_EXIT_OK; i++)
        code = steps[i](&job);
    free(job.eval.first_ms);
    free(job.eval.rerank_ms);
    free(job.eval.total_ms);
    assay_run_free(job.run);
    assay_pipeline_close(job.pipeline);
    assay_pipeline_file_close(job.asked.file);
    assay_store_close(job.store);
    free(job.texts);
    free(job.chosen);
    free(job.picked);
    assay_beir_close(&job.beir);
    return code;
}

static int eval_files(const eval_settings *settings)
{
    assay_error error;
    assay_qrels *qrels = NULL;
    assay_run *run_read = NULL;
    int code;
    if (assay_qrels_read(settings->qrels, &qrels, &error) != ASSAY_OK ||
        assay_run_read(settings->run, &run_read, &error) != ASSAY_OK) {
        code = assay_report(&error);
    } else {
        const assay_eval eval = {
            .qrels = qrels,
            .run = run_read,
            .measures = settings->measures,
            .per_query = settings->per_query,
            .json = settings->common.json,
        };
        code = assay_eval_print(&eval);
    }
    assay_run_free(run_read);
    assay_qrels_free(qrels);
    return code;
}

static int run(const void *given, char **arguments, size_t count)
{
    const eval_settings *settings = given;
    bool files = settings->qrels || settings->run;
    if (files && count > 0)
        return assay_usage(&assay_verb_eval, "a BEIR folder, or --qrels and --run: not both");
    if (!files && count == 0)
        return assay_usage(&assay_verb_eval, "a BEIR folder is missing, or --qrels and --run");
    if (files && (!settings->qrels || !settings->run))
        return assay_usage(&assay_verb_eval, "--qrels and --run go together");
    return files ? eval_files(settings) : eval_folder(settings, arguments[0]);
}

static const assay_option options[] = {
    {"collection", ASSAY_OPTION_TEXT, offsetof(eval_settings, collection), "NAME",
     "collection that the folder is indexed into (default: the folder's name)", 0, 0},
    {"model", ASSAY_OPTION_TEXT, offsetof(eval_settings, model), "NAME",
     "bi-encoder to index with, 'none' for BM25 only (default: dense)", 0, 0},
    {"split", ASSAY_OPTION_CHOICE, offsetof(eval_settings, split), "test|dev|train",
     "which judgments (default: test)", 0, 0},
    {"limit", ASSAY_OPTION_COUNT, offsetof(eval_settings, limit), "N",
     "only a random sample of N judged queries", 1, 100000000},
    {"seed", ASSAY_OPTION_COUNT, offsetof(eval_settings, seed), "N",
     "of the sample (default: 0)", 0, 4294967295.0},
    {"measure", ASSAY_OPTION_LIST, offsetof(eval_settings, measures), "NAME",
     "nDCG@k, nDCG, RR@k, RR, AP@k, AP, R@k, P@k or Success@k; may be repeated (default: "
     "nDCG@10, RR@10, AP, R@100, P@10)", 0, 0},
    {"filter", ASSAY_OPTION_TEXT, offsetof(eval_settings, filter), "EXPRESSION",
     "search only documents whose metadata fulfils this, as `assay search` does; judged ones that "
     "do not still count", 0, 0},
    {"per-query", ASSAY_OPTION_FLAG, offsetof(eval_settings, per_query), NULL,
     "tell the measures of each query, too", 0, 0},
    {"cache", ASSAY_OPTION_FLAG, offsetof(eval_settings, cache), NULL,
     "take scores of the reranker that earlier searches kept, and keep these: the same measures "
     "sooner, but latencies that no first search has", 0, 0},
    {"batch", ASSAY_OPTION_FLAG, offsetof(eval_settings, batch), NULL,
     "retrieve for many queries at a time, a thread each: the same measures sooner, and queries a "
     "second in place of latencies; what reranks has all threads for one query in any case", 0, 0},
    {"output", ASSAY_OPTION_TEXT, offsetof(eval_settings, output), "FILE",
     "write the run in TREC format", 0, 0},
    {"qrels", ASSAY_OPTION_TEXT, offsetof(eval_settings, qrels), "FILE",
     "judgments (TREC or BEIR) to measure --run with, instead of a folder", 0, 0},
    {"run", ASSAY_OPTION_TEXT, offsetof(eval_settings, run), "FILE",
     "a TREC run to measure, made by anything", 0, 0},
    ASSAY_STAGE_OPTIONS(eval_settings, "none"),
};

static const assay_example examples[] = {
    {"assay eval scifact/ --retriever bm25 --json",
     "{\"metrics\":{\"nDCG@10\":..,\"R@100\":..,..},\"queries\":300,..}"},
    {"assay eval scifact/ --retriever dense --json", "Vectors alone"},
    {"assay eval scifact/ --retriever hybrid --rerank cross --json",
     "Both, reranked by the cross-encoder"},
    {"assay eval --qrels scifact/qrels/test.tsv --run other.run",
     "What another engine's run is worth"},
    {NULL, NULL},
};

const assay_verb assay_verb_eval = {
    .name = "eval",
    .arguments = "[BEIR_FOLDER]",
    .summary = "measure a pipeline on judged queries",
    .description =
        "Indexes a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv) into its collection "
        "as far as it is not yet, searches the judged queries, and tells how good the answers "
        "are and how long they took. Measures are those of trec_eval; a judged query without a "
        "result counts 0. 100 passages are retrieved, so R@100 is what reranking could reach at "
        "best. Nothing is reranked unless --rerank says by what.\n\n"
        "With --qrels and --run, it measures a run that is there already.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(eval_settings),
    .arguments_max = 1,
    .run = run,
};
