/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_rerank.c: how long reranking takes, from opening the model to scores.
 *
 *   bench_rerank MODEL PRECISION PAIRS.jsonl [THREADS] [REPEATS]
 *   bench_rerank MODEL PRECISION - [THREADS]
 *
 * A line of PAIRS is {"query": "...", "passages": ["...", ...]}. Printed: cold
 * start in steps, then for each repeat the seconds that all queries took, end
 * to end with tokenisation. With "-" it answers lines of standard input, as
 * bench/rerank says them to assay and its peers alike (bench/peers/engine.py);
 * "tokens" is answered with the tokens of each pair.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/status.h"

typedef struct job {
    assay_text query;
    assay_text *passages;
    assay_score *scores;
    size_t count;
} job;

typedef struct job_set {
    char name[32];
    job *jobs;
    size_t count;
} job_set;

enum { MAX_JOBS = 10000, MAX_SETS = 16 };

static int fail(const assay_error *error)
{
    fprintf(stderr, "bench_rerank: %s: %s\n", error->where, error->message);
    return 1;
}

static assay_text text_of(const json_t *string)
{
    return (assay_text){json_string_value(string), json_string_length(string)};
}

/* The JSON stays in memory: the texts point into it. */
static bool read_jobs(const char *path, job_set *set)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return false;
    }
    set->count = 0;
    set->jobs = calloc(MAX_JOBS, sizeof *set->jobs);
    json_t *line;
    while (set->jobs && set->count < MAX_JOBS &&
           (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        const json_t *passages = json_object_get(line, "passages");
        job *j = &set->jobs[set->count++];
        j->query = text_of(json_object_get(line, "query"));
        j->count = json_array_size(passages);
        j->passages = calloc(j->count, sizeof *j->passages);
        j->scores = calloc(j->count, sizeof *j->scores);
        for (size_t i = 0; i < j->count; i++)
            j->passages[i] = text_of(json_array_get(passages, i));
    }
    fclose(file);
    if (set->count == 0)
        fprintf(stderr, "bench_rerank: %s: no line of {\"query\", \"passages\"}\n", path);
    return set->count > 0;
}

/* Seconds for all jobs; negative on failure. */
static double run(assay_session *session, const job_set *set, assay_error *error)
{
    double start = assay_seconds();
    for (size_t i = 0; i < set->count; i++) {
        const job *j = &set->jobs[i];
        if (assay_rerank(session, j->query, j->passages, j->count, j->scores, error) != ASSAY_OK)
            return -1;
    }
    return assay_seconds() - start;
}

static void count(const job_set *set, uint64_t *pairs, uint64_t *tokens)
{
    *pairs = *tokens = 0;
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < set->jobs[i].count; j++, ++*pairs)
            *tokens += set->jobs[i].scores[j].tokens;
}

/* ------------------------------------------------------------------ answers */

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of the last run, as JSON: a list for each query. */
static void print_list(const job_set *set, bool tokens)
{
    for (size_t i = 0; i < set->count; i++) {
        printf(i > 0 ? ", [" : "[[");
        for (size_t j = 0; j < set->jobs[i].count; j++) {
            const assay_score *score = &set->jobs[i].scores[j];
            printf("%s%.9g", j > 0 ? ", " : "", tokens ? (double)score->tokens : (double)score->logit);
        }
        putchar(']');
    }
    puts("]");
}

static job_set *find_set(job_set *sets, const char *name)
{
    for (size_t i = 0; i < MAX_SETS; i++)
        if (strcmp(sets[i].name, name) == 0 || sets[i].name[0] == '\0') {
            snprintf(sets[i].name, sizeof sets[i].name, "%s", name);
            return &sets[i];
        }
    return NULL;
}

static int answer(assay_session *session, const char *precision)
{
    static job_set sets[MAX_SETS];
    job_set *last = &sets[0];
    char line[4096], name[32], path[4000];
    assay_error error;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "load %31s %3999[^\n]", name, path) == 2) {
            job_set *set = find_set(sets, name);
            if (set == NULL || !read_jobs(path, set))
                return 1;
            printf("%zu\n", set->count);
        } else if (sscanf(line, "run %31s", name) == 1 && (last = find_set(sets, name)) != NULL) {
            double before = cpu_seconds();
            if (run(session, last, &error) < 0)
                return fail(&error);
            printf("%.6f\n", cpu_seconds() - before);
        } else if (strcmp(line, "version\n") == 0) {
            printf("assay %s (%s, %s)\n", assay_version(), precision, assay_cpu());
        } else {
            print_list(last, strcmp(line, "tokens\n") == 0);
        }
        fflush(stdout);
    }
    return 0;
}

/* --------------------------------------------------------------------- main */

static const struct {
    const char *name;
    assay_precision precision;
} precisions[] = {{"auto", ASSAY_PRECISION_AUTO},
                  {"fp32", ASSAY_PRECISION_FP32},
                  {"bf16", ASSAY_PRECISION_BF16},
                  {"int8", ASSAY_PRECISION_INT8}};

static bool find_precision(const char *name, assay_precision *out)
{
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        if (strcmp(name, precisions[i].name) == 0) {
            *out = precisions[i].precision;
            return true;
        }
    return false;
}

static int report(assay_session *session, const char *path, long repeats, double open_ms,
                  double session_ms)
{
    job_set set;
    assay_error error;
    if (!read_jobs(path, &set))
        return 1;
    double first = run(session, &set, &error);
    if (first < 0)
        return fail(&error);
    uint64_t pairs, tokens;
    count(&set, &pairs, &tokens);
    printf("%s: open %.1f ms, session %.1f ms, first run %.1f ms\n", assay_cpu(), open_ms,
           session_ms, first * 1e3);
    printf("%llu pairs, %llu tokens\n", (unsigned long long)pairs, (unsigned long long)tokens);
    for (long i = 0; i < repeats; i++) {
        double seconds = run(session, &set, &error);
        printf("%.4f s, %.0f tokens/s\n", seconds, (double)tokens / seconds);
    }
    return 0;
}

int main(int argc, char **argv)
{
    assay_model_options options = {0};
    if (argc < 4 || !find_precision(argv[2], &options.precision)) {
        fprintf(stderr, "usage: bench_rerank MODEL auto|fp32|bf16|int8 PAIRS.jsonl|- [THREADS] "
                        "[REPEATS]\n");
        return 2;
    }
    long threads = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    long repeats = argc > 5 ? strtol(argv[5], NULL, 10) : 3;
    assay_error error;
    assay_model *model;
    assay_session *session;
    double t0 = assay_seconds();
    if (assay_model_open(argv[1], &options, &model, &error) != ASSAY_OK)
        return fail(&error);
    double t1 = assay_seconds();
    if (assay_session_open(model, &(assay_session_options){.threads = (uint32_t)threads},
                           &session, &error) != ASSAY_OK)
        return fail(&error);
    double t2 = assay_seconds();
    assay_model_info info;
    assay_model_describe(model, &info);
    if (info.notice[0] != '\0')
        fprintf(stderr, "bench_rerank: %s\n", info.notice);
    int status = strcmp(argv[3], "-") == 0
                     ? answer(session, info.precision)
                     : report(session, argv[3], repeats, (t1 - t0) * 1e3, (t2 - t1) * 1e3);
    assay_session_close(session);
    assay_model_close(model);
    return status;
}
