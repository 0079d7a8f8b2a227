/* SPDX-License-Identifier: Apache-2.0 */
/* eval_report.c: see eval_report.h. Percentiles are by nearest rank. */
#include "cli/eval_report.h"

#include <stdlib.h>
#include <string.h>

typedef struct values {
    const char *name;
    double mean;
    double *each; /* [queries of the qrels] */
} values;

static const char *const default_measures[] = {"nDCG@10", "RR@10", "AP", "R@100", "P@10"};

static size_t counted_queries(const assay_eval *eval)
{
    size_t all = assay_qrels_queries(eval->qrels), count = 0;
    for (size_t i = 0; i < all; i++)
        count += !eval->chosen || eval->chosen[i];
    return count;
}

/* Mean over the chosen queries. */
static double chosen_mean(const assay_eval *eval, const double *each)
{
    size_t all = assay_qrels_queries(eval->qrels), count = 0;
    double sum = 0;
    for (size_t i = 0; i < all; i++) {
        if (eval->chosen[i]) {
            sum += each[i];
            count++;
        }
    }
    return count ? sum / (double)count : 0;
}

static int compute(const assay_eval *eval, values *out, size_t count)
{
    size_t all = assay_qrels_queries(eval->qrels);
    for (size_t i = 0; i < count; i++) {
        assay_error error;
        out[i].name = eval->measures.count ? eval->measures.items[i] : default_measures[i];
        out[i].each = calloc(all + 1, sizeof *out[i].each);
        if (!out[i].each)
            return assay_report_memory();
        if (assay_measure(eval->qrels, eval->run, out[i].name, &out[i].mean, out[i].each,
                          &error) != ASSAY_OK)
            return assay_report(&error);
        if (eval->chosen)
            out[i].mean = chosen_mean(eval, out[i].each);
    }
    return ASSAY_EXIT_OK;
}

/* ----------------------------------------------------------------- latency */

typedef struct summary {
    double mean, p50, p95;
} summary;

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double percentile(const double *sorted, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank ? rank - 1 : 0];
}

static summary summarise(double *ms, size_t count)
{
    summary out = {0};
    if (count == 0)
        return out;
    qsort(ms, count, sizeof *ms, by_value);
    for (size_t i = 0; i < count; i++)
        out.mean += ms[i] / (double)count;
    out.p50 = percentile(ms, count, 50);
    out.p95 = percentile(ms, count, 95);
    return out;
}

static assay_pipeline_options options_of(const assay_eval *eval)
{
    assay_pipeline_options options;
    assay_pipeline_describe(eval->pipeline, &options);
    return options;
}

static bool has_reranker(const assay_eval *eval)
{
    return options_of(eval).stage_count > 0;
}

static uint32_t deadline_of(const assay_eval *eval)
{
    return options_of(eval).deadline_ms;
}

/* Queries that were answered before their deadline. */
static size_t count_met(const assay_eval *eval)
{
    size_t met = 0;
    for (size_t i = 0; i < eval->timed; i++)
        met += eval->total_ms[i] <= deadline_of(eval);
    return met;
}

/* -------------------------------------------------------------------- JSON */

static void add_latency(assay_answer *answer, json_t *object, const char *name, double *ms,
                        size_t count)
{
    summary s = summarise(ms, count);
    json_t *one = assay_answer_object(answer, object, name);
    assay_answer_set(answer, one, "mean", assay_json_number(s.mean));
    assay_answer_set(answer, one, "p50", assay_json_number(s.p50));
    assay_answer_set(answer, one, "p95", assay_json_number(s.p95));
}

static void add_times(assay_answer *answer, const assay_eval *eval)
{
    if (eval->together) {
        assay_answer_set(answer, answer->root, "seconds", assay_json_number(eval->seconds));
        assay_answer_set(answer, answer->root, "queries_per_second",
                         assay_json_number((double)eval->timed / eval->seconds));
        return;
    }
    json_t *latency = assay_answer_object(answer, answer->root, "latency_ms");
    add_latency(answer, latency, "first", eval->first_ms, eval->timed);
    if (has_reranker(eval))
        add_latency(answer, latency, "rerank", eval->rerank_ms, eval->timed);
    add_latency(answer, latency, "total", eval->total_ms, eval->timed);
}

static void add_pipeline(assay_answer *answer, const assay_eval *eval)
{
    json_t *root = answer->root;
    assay_answer_set(answer, root, "failed", assay_json_count(eval->failed));
    assay_answer_set(answer, root, "split", assay_json_name(eval->split));
    assay_answer_set(answer, root, "collection", assay_json_name(eval->collection));
    assay_answer_set(answer, root, "documents", assay_json_count(eval->documents));
    if (eval->limit) {
        json_t *sample = assay_answer_object(answer, root, "sample");
        assay_answer_set(answer, sample, "limit", assay_json_count(eval->limit));
        assay_answer_set(answer, sample, "seed", assay_json_count(eval->seed));
    }
    if (eval->filter)
        assay_answer_set(answer, root, "filter", assay_json_name(eval->filter));
    assay_stages_json(answer, root, "pipeline", eval->pipeline);
    if (options_of(eval).min_probability.set)
        assay_answer_set(answer, root, "abstained", assay_json_count(eval->abstained));
    if (deadline_of(eval)) {
        json_t *deadline = assay_answer_object(answer, root, "deadline");
        assay_answer_set(answer, deadline, "ms", assay_json_count(deadline_of(eval)));
        assay_answer_set(answer, deadline, "met", assay_json_count(count_met(eval)));
        assay_answer_set(answer, deadline, "degraded", assay_json_count(eval->degraded));
        assay_answer_set(answer, deadline, "left_out", assay_json_count(eval->left_out));
    }
    if (has_reranker(eval)) {
        assay_answer_set(answer, root, "rerank_skipped", assay_json_count(eval->skipped));
        json_t *scores = assay_answer_object(answer, root, "scores");
        assay_answer_set(answer, scores, "passages", assay_json_count(eval->scored));
        assay_answer_set(answer, scores, "spared", assay_json_count(eval->spared));
        assay_answer_set(answer, scores, "cached", assay_json_count(eval->cached));
        assay_llm_json(answer, root, &eval->llm);
        assay_answer_set(answer, scores, "tokenized", assay_json_count(eval->tokenized));
    }
    add_times(answer, eval);
    assay_answer_set(answer, root, "cpu", json_string(assay_cpu()));
    assay_answer_set(answer, root, "version", json_string(assay_version()));
}

static int print_json(const assay_eval *eval, const values *list, size_t count)
{
    assay_answer answer = assay_answer_new();
    json_t *metrics = assay_answer_object(&answer, answer.root, "metrics");
    for (size_t i = 0; i < count; i++)
        assay_answer_set(&answer, metrics, list[i].name, assay_json_number(list[i].mean));
    assay_answer_set(&answer, answer.root, "queries", assay_json_count(counted_queries(eval)));
    if (eval->collection)
        add_pipeline(&answer, eval);
    json_t *all = eval->per_query ? assay_answer_object(&answer, answer.root, "per_query") : NULL;
    for (size_t q = 0; all && q < assay_qrels_queries(eval->qrels); q++) {
        if (eval->chosen && !eval->chosen[q])
            continue;
        json_t *one = assay_answer_object(&answer, all, assay_qrels_query(eval->qrels, q));
        for (size_t i = 0; i < count; i++)
            assay_answer_set(&answer, one, list[i].name, assay_json_number(list[i].each[q]));
    }
    return assay_answer_print(&answer);
}

/* -------------------------------------------------------------- for people */

static void print_heading(const assay_eval *eval)
{
    char queries[32], documents[32], words[512];
    assay_pipeline_options options;
    assay_pipeline_describe(eval->pipeline, &options);
    printf("%s (%s): %s queries, %s documents\n%s\n", eval->collection, eval->split,
           assay_print_count(queries, counted_queries(eval)),
           assay_print_count(documents, eval->documents),
           assay_stages_words(words, &options));
    if (eval->skipped)
        printf("Not reranked: %s of the queries, longer than any that the reranker was trained "
               "on (--rerank-long)\n", assay_print_count(queries, eval->skipped));
    if (eval->limit)
        printf("A sample of the judged queries, drawn with seed %u: the numbers are estimates.\n",
               eval->seed);
    putchar('\n');
}

static void print_latency(const char *name, double *ms, size_t count)
{
    summary s = summarise(ms, count);
    printf("  %-12s %9.1f %9.1f %9.1f\n", name, s.mean, s.p50, s.p95);
}

static void print_times(const assay_eval *eval)
{
    if (eval->together) {
        printf("\n  %.1f queries a second, many at a time\n", (double)eval->timed / eval->seconds);
        return;
    }
    printf("\n  %-12s %9s %9s %9s\n", "ms a query", "mean", "p50", "p95");
    print_latency("first stage", eval->first_ms, eval->timed);
    if (has_reranker(eval))
        print_latency("reranking", eval->rerank_ms, eval->timed);
    print_latency("total", eval->total_ms, eval->timed);
}

static void print_deadline(const assay_eval *eval)
{
    if (!deadline_of(eval) || !eval->timed)
        return;
    printf("\nThe deadline of %u ms was met by %.1f%% of the queries; for %.1f%% something was "
           "left out.\n", deadline_of(eval), 100.0 * (double)count_met(eval) / (double)eval->timed,
           100.0 * (double)eval->degraded / (double)eval->timed);
}

static void print_llm(const assay_eval *eval)
{
    if (eval->llm.requests + eval->llm.cached + eval->llm.failed == 0)
        return;
    printf("\nlanguage model");
    assay_llm_print(&eval->llm);
    if (eval->llm.cost > 0 && eval->timed > 0)
        printf(" (%.4g for 1,000 queries)", eval->llm.cost * 1000 / (double)eval->timed);
    putchar('\n');
}

static void print_people(const assay_eval *eval, const values *list, size_t count)
{
    char cached[32], scored[32], spared[32];
    for (size_t q = 0; eval->per_query && q < assay_qrels_queries(eval->qrels); q++) {
        for (size_t i = 0; i < count && (!eval->chosen || eval->chosen[q]); i++)
            printf("%s\t%s\t%.4f\n", list[i].name, assay_qrels_query(eval->qrels, q),
                   list[i].each[q]);
    }
    if (eval->collection)
        print_heading(eval);
    else
        printf("%zu queries\n", counted_queries(eval));
    for (size_t i = 0; i < count; i++)
        printf("  %-12s %9.4f\n", list[i].name, list[i].mean);
    if (!eval->collection)
        return;
    print_times(eval);
    print_deadline(eval);
    if (options_of(eval).min_probability.set)
        printf("\n%zu queries have no answer of that probability; they count 0.\n",
               (size_t)eval->abstained);
    if (eval->spared)
        printf("\n%s passages were scored, %s were not worth it.\n",
               assay_print_count(scored, eval->scored), assay_print_count(spared, eval->spared));
    print_llm(eval);
    if (eval->cached > 0)
        printf("\n%s of %s scores came from the cache: first searches take longer than this.\n",
               assay_print_count(cached, eval->cached), assay_print_count(scored, eval->scored));
}

int assay_eval_print(const assay_eval *eval)
{
    values list[ASSAY_OPTION_LIST_MAX] = {0};
    size_t count = eval->measures.count ? eval->measures.count
                                        : sizeof default_measures / sizeof *default_measures;
    int code = compute(eval, list, count);
    if (code == ASSAY_EXIT_OK && eval->json)
        code = print_json(eval, list, count);
    else if (code == ASSAY_EXIT_OK)
        print_people(eval, list, count);
    for (size_t i = 0; i < count; i++)
        free(list[i].each);
    return code;
}
