/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measures.c: how good a ranking is, as trec_eval 9 computes it.
 *
 * Averages are over the judged queries (trec_eval -c). A document is relevant
 * when its grade is at least 1; one that was not judged is not. nDCG is
 * Järvelin & Kekäläinen (2002) with the grade as gain and a discount of
 * log2(1 + rank), the ideal ranking being that of all judged documents. AP@k
 * divides by all relevant documents, P@k by k even when there are fewer hits.
 * RR@k, which trec_eval lacks, is RR of the first k hits. Sums are taken in the
 * order of trec_eval, so results are equal to the last bits.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "evaluate/measures.h"
#include "evaluate/qrels.h"
#include "evaluate/run.h"

/* One query as a measure sees it. */
typedef struct ranking {
    const int32_t *grades; /* [count] of the hits, best first, cut at the cutoff */
    size_t count;
    const int32_t *ideal; /* [relevant] grades of the relevant, best first */
    size_t relevant;
    size_t cutoff; /* SIZE_MAX: none */
} ranking;

static size_t relevant_hits(const ranking *r)
{
    size_t relevant = 0;
    for (size_t i = 0; i < r->count; i++)
        relevant += r->grades[i] > 0;
    return relevant;
}

static double gain_sum(const int32_t *grades, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        if (grades[i] > 0)
            sum += grades[i] / log2((double)(i + 2));
    return sum;
}

static double measure_ndcg(const ranking *r)
{
    double ideal = gain_sum(r->ideal, r->relevant < r->cutoff ? r->relevant : r->cutoff);
    return ideal > 0 ? gain_sum(r->grades, r->count) / ideal : 0;
}

double assay_ndcg(const int32_t *grades, size_t count, const int32_t *ideal, size_t relevant,
                  size_t cutoff)
{
    return measure_ndcg(&(ranking){.grades = grades,
                                   .count = count < cutoff ? count : cutoff,
                                   .ideal = ideal,
                                   .relevant = relevant,
                                   .cutoff = cutoff});
}

static double measure_rr(const ranking *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->grades[i] > 0)
            return 1.0 / (double)(i + 1);
    return 0;
}

static double measure_ap(const ranking *r)
{
    double sum = 0;
    size_t relevant = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->grades[i] > 0)
            sum += (double)++relevant / (double)(i + 1);
    return r->relevant > 0 ? sum / (double)r->relevant : 0;
}

static double measure_recall(const ranking *r)
{
    return r->relevant > 0 ? (double)relevant_hits(r) / (double)r->relevant : 0;
}

static double measure_precision(const ranking *r)
{
    return (double)relevant_hits(r) / (double)r->cutoff;
}

static double measure_success(const ranking *r)
{
    return relevant_hits(r) > 0 ? 1 : 0;
}

/* ------------------------------------------------------------------- names */

typedef struct measure {
    const char *name;
    double (*compute)(const ranking *r);
    bool needs_cutoff;
} measure;

static const measure measures[] = {
    {"nDCG", measure_ndcg, false},     {"RR", measure_rr, false},
    {"MRR", measure_rr, false},        {"AP", measure_ap, false},
    {"MAP", measure_ap, false},        {"R", measure_recall, true},
    {"P", measure_precision, true},    {"Success", measure_success, true},
};

#define KNOWN "nDCG@k, nDCG, RR@k, RR (MRR), AP@k, AP (MAP), R@k, P@k, Success@k"

static assay_status find_measure(const char *name, const measure **out, size_t *cutoff,
                                 assay_error *error)
{
    size_t length = strcspn(name, "@");
    const measure *found = NULL;
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
        if (strlen(measures[i].name) == length &&
            strncasecmp(measures[i].name, name, length) == 0)
            found = &measures[i];
    if (found == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "unknown measure; known are " KNOWN);
    *out = found;
    *cutoff = SIZE_MAX;
    if (name[length] == '\0' && found->needs_cutoff)
        return assay_fail(error, ASSAY_E_ARGUMENT, name,
                          "needs a cutoff, as in %s@10; known are " KNOWN, found->name);
    if (name[length] == '\0')
        return ASSAY_OK;
    const char *digits = name + length + 1;
    int64_t k;
    if (!assay_number_whole(digits, strlen(digits), &k) || k < 1 || k > UINT32_MAX)
        return assay_fail(error, ASSAY_E_ARGUMENT, name,
                          "cutoff \"%s\": expected a whole number from 1, as in %s@10", digits,
                          found->name);
    *cutoff = (size_t)k;
    return ASSAY_OK;
}

/* --------------------------------------------------------------- computing */

static int compare_grades(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (right > left) - (right < left);
}

/* Values of one query; scratch has room for its hits and its judgments. */
static double measure_query(const assay_qrels *qrels, const assay_run *run, size_t query,
                            const measure *what, size_t cutoff, int32_t *scratch)
{
    size_t first, count;
    assay_run_find(run, assay_qrels_query(qrels, query), &first, &count);
    if (count > cutoff)
        count = cutoff;
    for (size_t i = 0; i < count; i++)
        scratch[i] = assay_qrels_grade(qrels, query, assay_run_at(run, first + i).document);
    int32_t *ideal = scratch + count;
    size_t relevant = 0;
    for (size_t i = 0; i < assay_qrels_depth(qrels, query); i++) {
        int32_t grade = assay_qrels_grade_at(qrels, query, i);
        if (grade > 0)
            ideal[relevant++] = grade;
    }
    qsort(ideal, relevant, sizeof *ideal, compare_grades);
    return what->compute(&(ranking){.grades = scratch,
                                    .count = count,
                                    .ideal = ideal,
                                    .relevant = relevant,
                                    .cutoff = cutoff});
}

/* Most hits plus judgments that a query has. */
static size_t scratch_size(const assay_qrels *qrels, const assay_run *run)
{
    size_t most = 1;
    for (size_t q = 0; q < assay_qrels_queries(qrels); q++) {
        size_t first, count;
        assay_run_find(run, assay_qrels_query(qrels, q), &first, &count);
        count += assay_qrels_depth(qrels, q);
        most = count > most ? count : most;
    }
    return most;
}

assay_status assay_measure(const assay_qrels *qrels, const assay_run *run, const char *name,
                           double *mean, double *per_query, assay_error *error)
{
    const measure *what = NULL;
    size_t cutoff;
    ASSAY_TRY(find_measure(name, &what, &cutoff, error));
    size_t size = scratch_size(qrels, run) * sizeof(int32_t);
    int32_t *scratch = malloc(size);
    if (scratch == NULL)
        return assay_fail_memory(error, size);
    double sum = 0;
    size_t queries = assay_qrels_queries(qrels);
    for (size_t q = 0; q < queries; q++) {
        double value = measure_query(qrels, run, q, what, cutoff, scratch);
        if (per_query != NULL)
            per_query[q] = value;
        sum += value;
    }
    free(scratch);
    *mean = sum / (double)queries;
    return ASSAY_OK;
}
