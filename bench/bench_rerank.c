/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_rerank.c: how long reranking takes, from opening the model to scores.
 *
 *   bench_rerank MODEL PAIRS.jsonl [THREADS] [REPEATS]
 *   bench_rerank MODEL PAIRS.jsonl [THREADS] -     one measurement a line of stdin
 *
 * A line of PAIRS is {"query": "...", "passages": ["...", ...]}. Printed: cold
 * start in steps, then for each repeat the seconds that all queries took, end
 * to end with tokenisation. With "-" every line of standard input is answered
 * with one such number, so that a script can interleave this with its peers;
 * "scores" is answered with the logits, one query a line.
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

enum { MAX_JOBS = 10000 };

static job jobs[MAX_JOBS];
static size_t job_count;

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
static int read_jobs(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    json_t *line;
    while (job_count < MAX_JOBS &&
           (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        const json_t *passages = json_object_get(line, "passages");
        job *j = &jobs[job_count++];
        j->query = text_of(json_object_get(line, "query"));
        j->count = json_array_size(passages);
        j->passages = calloc(j->count, sizeof *j->passages);
        j->scores = calloc(j->count, sizeof *j->scores);
        for (size_t i = 0; i < j->count; i++)
            j->passages[i] = text_of(json_array_get(passages, i));
    }
    fclose(file);
    return job_count == 0;
}

/* Seconds for all jobs; negative on failure. */
static double run(assay_session *session, assay_error *error)
{
    double start = assay_seconds();
    for (size_t i = 0; i < job_count; i++)
        if (assay_rerank(session, jobs[i].query, jobs[i].passages, jobs[i].count, jobs[i].scores,
                         error) != ASSAY_OK)
            return -1;
    return assay_seconds() - start;
}

static void print_scores(void)
{
    for (size_t i = 0; i < job_count; i++) {
        for (size_t j = 0; j < jobs[i].count; j++)
            printf("%s%.9g", j > 0 ? " " : "", jobs[i].scores[j].logit);
        putchar('\n');
    }
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int answer(assay_session *session)
{
    char line[64];
    assay_error error;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "scores\n") == 0) {
            print_scores();
        } else {
            double before = cpu_seconds(), seconds = run(session, &error);
            if (seconds < 0)
                return fail(&error);
            printf("%.6f %.6f\n", seconds, cpu_seconds() - before);
        }
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_rerank MODEL PAIRS.jsonl [THREADS] [REPEATS|-]\n");
        return 2;
    }
    if (read_jobs(argv[2]) != 0)
        return 1;
    bool asked = argc > 4 && strcmp(argv[4], "-") == 0;
    long threads = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    long repeats = argc > 4 && !asked ? strtol(argv[4], NULL, 10) : 3;
    assay_error error;
    assay_model *model;
    assay_session *session;
    double t0 = assay_seconds();
    if (assay_model_open(argv[1], NULL, &model, &error) != ASSAY_OK)
        return fail(&error);
    double t1 = assay_seconds();
    if (assay_session_open(model, &(assay_session_options){.threads = (uint32_t)threads},
                           &session, &error) != ASSAY_OK)
        return fail(&error);
    double t2 = assay_seconds();
    double first = run(session, &error);
    if (first < 0)
        return fail(&error);
    if (asked)
        return answer(session);
    uint64_t tokens = 0, pairs = 0;
    for (size_t i = 0; i < job_count; i++)
        for (size_t j = 0; j < jobs[i].count; j++, pairs++)
            tokens += jobs[i].scores[j].tokens;
    printf("%s: open %.1f ms, session %.1f ms, first run %.1f ms\n", assay_cpu(),
           (t1 - t0) * 1e3, (t2 - t1) * 1e3, first * 1e3);
    printf("%llu pairs, %llu tokens\n", (unsigned long long)pairs, (unsigned long long)tokens);
    for (long i = 0; i < repeats; i++) {
        double seconds = run(session, &error);
        printf("%.4f s, %.0f tokens/s\n", seconds, (double)tokens / seconds);
    }
    assay_session_close(session);
    assay_model_close(model);
    return 0;
}
