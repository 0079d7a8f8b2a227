/* SPDX-License-Identifier: Apache-2.0 */
/*
 * develop.c: how well a model ranks the development queries: nDCG@10 of the passages
 * that each has, reranked.
 *
 * Ranked is what a retriever found (of mined data: not the relevant passages that it
 * missed, which count in the ideal ranking all the same), filled up with drawn passages
 * to at least 20. Of equal scores the less relevant passage comes first, so that a
 * model which scores all the same gains nothing by it.
 */
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "evaluate/measures.h"
#include "learn/maxsim_gradient.h"
#include "learn/trainer.h"

enum { CUTOFF = 10, LEAST = 20, BETWEEN = 8 };

/* ---------------------------------------------------------------------- scores */

assay_status assay_trainer_outputs(assay_trainer *t, float *outputs, assay_error *error)
{
    const assay_sequences *all = &t->sequences;
    size_t n = assay_trainable_dimensions(t->model);
    bool late = t->o.kind == ASSAY_MODEL_LATE;
    for (size_t first = 0, end; first < all->count; first = end) {
        size_t tokens = 0;
        for (end = first; end < all->count; end++) {
            if (end > first && tokens + all->list[end].count > t->o.part_tokens)
                break;
            tokens += all->list[end].count;
        }
        ASSAY_TRY(assay_trainable_forward(t->model, all->list + first, end - first,
                                          &(assay_forward){0}, outputs, error));
        outputs += (late ? tokens : end - first) * n;
    }
    return ASSAY_OK;
}

static assay_status cross_scores(assay_trainer *t, const assay_examples *examples,
                                 const assay_list *list, float *scores, assay_error *error)
{
    for (uint32_t i = 0; i < list->count; i++)
        ASSAY_TRY(assay_sequences_pair(&t->sequences, examples->list[list->example].query,
                                       assay_examples_text(examples, list->texts[i]), error));
    assay_sequences_ready(&t->sequences);
    return assay_trainer_outputs(t, scores, error);
}

/* The query's sequence, and after it the passages'. */
static assay_status lay_out(assay_trainer *t, const assay_examples *examples,
                            const assay_list *list, assay_error *error)
{
    ASSAY_TRY(assay_sequences_text(&t->sequences, examples->list[list->example].query,
                                   ASSAY_ROLE_QUERY, error));
    for (uint32_t i = 0; i < list->count; i++)
        ASSAY_TRY(assay_sequences_text(&t->sequences,
                                       assay_examples_text(examples, list->texts[i]),
                                       ASSAY_ROLE_PASSAGE, error));
    assay_sequences_ready(&t->sequences);
    return ASSAY_OK;
}

static assay_status bi_scores(assay_trainer *t, const assay_examples *examples,
                              const assay_list *list, float *scores, assay_error *error)
{
    size_t n = assay_trainable_dimensions(t->model), count = list->count + (size_t)1;
    float *vectors = calloc(count * n, sizeof *vectors);
    if (vectors == NULL)
        return assay_fail_memory(error, count * n * sizeof *vectors);
    assay_status status = lay_out(t, examples, list, error);
    if (status == ASSAY_OK)
        status = assay_trainer_outputs(t, vectors, error);
    assay_unit_vectors(vectors, count, n, NULL);
    for (size_t i = 1; i < count; i++) {
        scores[i - 1] = 0;
        for (size_t k = 0; k < n; k++)
            scores[i - 1] += vectors[k] * vectors[i * n + k];
    }
    free(vectors);
    return status;
}

/* MaxSim of a query and a passage, whose vectors stand one after another. */
static float maxsim(const assay_sequences *all, const assay_sequence *query,
                    const assay_sequence *passage, size_t n, const float *query_vectors,
                    const float *vectors, uint8_t *skipped, float *scratch)
{
    float values[ASSAY_LATE_QUERY_MAX];
    uint32_t best[ASSAY_LATE_QUERY_MAX];
    double sum = 0;
    for (uint32_t i = 0; i < passage->count; i++)
        skipped[i] = assay_late_marks_skip(&all->late, passage->ids[i]);
    assay_maxsim_forth(query_vectors, query->count, vectors, skipped, passage->count, n, scratch,
                       values, best);
    for (uint32_t i = 0; i < query->count; i++)
        sum += (double)values[i];
    return (float)sum;
}

static assay_status late_scores(assay_trainer *t, const assay_examples *examples,
                                const assay_list *list, float *scores, assay_error *error)
{
    const assay_sequences *all = &t->sequences;
    size_t n = assay_trainable_dimensions(t->model);
    ASSAY_TRY(lay_out(t, examples, list, error));
    size_t bytes = assay_maxsim_scratch(all->max_tokens, n) * sizeof(float);
    float *vectors = calloc(all->id_count * n, sizeof *vectors);
    float *scratch = aligned_alloc(ASSAY_ALIGNMENT, assay_arena_need(bytes));
    uint8_t *skipped = calloc(all->max_tokens, sizeof *skipped);
    assay_status status = ASSAY_OK;
    if (vectors == NULL || scratch == NULL || skipped == NULL)
        status = assay_fail_memory(error, all->id_count * n * sizeof *vectors + bytes);
    if (status == ASSAY_OK)
        status = assay_trainer_outputs(t, vectors, error);
    const float *at = vectors;
    for (size_t i = 0; i < list->count && status == ASSAY_OK; i++) {
        at += all->list[i].count * n;
        scores[i] = maxsim(all, &all->list[0], &all->list[i + 1], n, vectors, at, skipped,
                           scratch);
    }
    free(vectors);
    free(scratch);
    free(skipped);
    return status;
}

assay_status assay_trainer_scores(void *trainer, const assay_examples *examples,
                                  const assay_list *list, float *scores, assay_error *error)
{
    assay_trainer *t = trainer;
    assay_sequences_clear(&t->sequences);
    if (t->o.kind == ASSAY_MODEL_CROSS_ENCODER)
        return cross_scores(t, examples, list, scores, error);
    return (t->o.kind == ASSAY_MODEL_LATE ? late_scores : bi_scores)(t, examples, list, scores,
                                                                    error);
}

/* --------------------------------------------------------------------- measure */

typedef struct scored {
    float score;
    int32_t grade;
} scored;

static int best_first(const void *left, const void *right)
{
    const scored *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->grade > b->grade) - (a->grade < b->grade);
}

static int highest_first(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a < b) - (a > b);
}

typedef struct development {
    assay_trainer *t;
    const assay_plan *plan;
    float *scores;   /* [capacity of t->all] */
    scored *ranking; /* likewise */
    int32_t *grades;
    int32_t *ideal;  /* [positives of any example] */
} development;

static double ndcg_of(development *d, const assay_list *list)
{
    const assay_examples *examples = d->plan->examples;
    const assay_example *example = &examples->list[list->example];
    for (uint32_t i = 0; i < list->count; i++)
        d->ranking[i] = (scored){d->scores[i], list->grades[i]};
    qsort(d->ranking, list->count, sizeof *d->ranking, best_first);
    for (uint32_t i = 0; i < list->count; i++)
        d->grades[i] = d->ranking[i].grade;
    for (uint32_t i = 0; i < example->positives; i++)
        d->ideal[i] = examples->labelled[example->first + i].grade;
    qsort(d->ideal, example->positives, sizeof *d->ideal, highest_first);
    return assay_ndcg(d->grades, list->count, d->ideal, example->positives, CUTOFF);
}

static assay_status measure(development *d, assay_scores_fn fn, void *context, double *ndcg,
                            assay_error *error)
{
    assay_trainer *t = d->t;
    for (size_t i = 0; i < d->plan->count; i++) {
        if (i % BETWEEN == 0)
            ASSAY_TRY(assay_trainer_tell(t, ASSAY_TRAIN_EVALUATING, false, error));
        assay_plan_all(d->plan, i, LEAST, &t->all);
        ASSAY_TRY(fn(context, d->plan->examples, &t->all, d->scores, error));
        for (uint32_t k = 0; k < t->all.count; k++)
            if (!isfinite(d->scores[k]))
                return assay_fail(error, ASSAY_E_CORRUPT, "development",
                                  "a score is no number after step %llu: a lower rate may help; "
                                  "the checkpoint before it is kept",
                                  (unsigned long long)t->state.step);
        ndcg[i] = ndcg_of(d, &t->all);
    }
    return ASSAY_OK;
}

assay_status assay_develop(assay_trainer *t, const assay_plan *plan, assay_scores_fn fn,
                           void *context, double *ndcg, assay_error *error)
{
    const assay_examples *examples = plan->examples;
    size_t most = t->all.capacity, positives = 1;
    for (size_t i = 0; i < examples->count; i++)
        if (examples->list[i].positives > positives)
            positives = examples->list[i].positives;
    development d = {
        .t = t,
        .plan = plan,
        .scores = calloc(most, sizeof *d.scores),
        .ranking = calloc(most, sizeof *d.ranking),
        .grades = calloc(most, sizeof *d.grades),
        .ideal = calloc(positives, sizeof *d.ideal),
    };
    assay_status status;
    if (d.scores == NULL || d.ranking == NULL || d.grades == NULL || d.ideal == NULL)
        status = assay_fail_memory(error, most * sizeof *d.ranking);
    else
        status = measure(&d, fn, context, ndcg, error);
    free(d.scores);
    free(d.ranking);
    free(d.grades);
    free(d.ideal);
    return status;
}

double assay_mean_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}
