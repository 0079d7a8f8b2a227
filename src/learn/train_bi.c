/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_bi.c: one step of a bi-encoder.
 *
 * Every query of the batch is compared with every passage of it, so the loss needs all
 * vectors at once, while what goes back through the model need not: a first pass keeps
 * the vectors alone, the loss gives the gradient by each, and a second pass with the
 * same dropout goes back part by part (Gao et al. 2021, gradient cache). The memory is
 * that of a part, whatever the batch; a batch of one part goes through once.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learn/trainer.h"

typedef struct step {
    assay_trainer *t;
    size_t queries, passages, dimensions;
    size_t *begins;     /* [parts + 1] first sequence of each */
    size_t parts;
    float *vectors, *gradients, *lengths; /* [queries + passages], queries first */
    float *similarity, *slopes;           /* [queries][passages] */
    uint32_t *own;      /* [queries] */
    uint32_t *texts;    /* [passages] */
    uint8_t *left_out;  /* [queries][passages] */
    float *scores;      /* of a list */
    double loss;
} step;

void assay_unit_vectors(float *vectors, size_t count, size_t n, float *lengths)
{
    for (size_t i = 0; i < count; i++) {
        double squares = 0;
        float *v = vectors + i * n;
        for (size_t k = 0; k < n; k++)
            squares += (double)v[k] * (double)v[k];
        float length = (float)fmax(sqrt(squares), 1e-12);
        for (size_t k = 0; k < n; k++)
            v[k] /= length;
        if (lengths != NULL)
            lengths[i] = length;
    }
}

void assay_unit_gradients(const float *vectors, const float *lengths, float *gradients,
                          size_t count, size_t n)
{
    for (size_t i = 0; i < count; i++) {
        const float *v = vectors + i * n;
        float *g = gradients + i * n;
        double along = 0;
        for (size_t k = 0; k < n; k++)
            along += (double)v[k] * (double)g[k];
        for (size_t k = 0; k < n; k++)
            g[k] = (float)(((double)g[k] - along * (double)v[k]) / (double)lengths[i]);
    }
}

static assay_status tokenize(step *s, assay_error *error)
{
    assay_trainer *t = s->t;
    assay_sequences_clear(&t->sequences);
    s->passages = 0;
    for (uint32_t l = 0; l < s->queries; l++) {
        assay_plan_list(&t->plan, t->state.step * t->o.batch + l, &t->lists[l]);
        ASSAY_TRY(assay_sequences_text(&t->sequences,
                                       t->examples.list[t->lists[l].example].query,
                                       ASSAY_ROLE_QUERY, error));
    }
    for (uint32_t l = 0; l < s->queries; l++) {
        const assay_list *list = &t->lists[l];
        s->own[l] = (uint32_t)s->passages;
        for (uint32_t i = 0; i < list->count; i++) {
            s->texts[s->passages++] = list->texts[i];
            ASSAY_TRY(assay_sequences_text(&t->sequences,
                                           assay_examples_text(&t->examples, list->texts[i]),
                                           ASSAY_ROLE_PASSAGE, error));
        }
    }
    assay_sequences_ready(&t->sequences);
    return ASSAY_OK;
}

static void cut_parts(step *s)
{
    const assay_sequences *all = &s->t->sequences;
    size_t tokens = 0;
    s->parts = 0;
    s->begins[0] = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (tokens > 0 && tokens + all->list[i].count > s->t->o.part_tokens) {
            s->begins[++s->parts] = i;
            tokens = 0;
        }
        tokens += all->list[i].count;
    }
    s->begins[++s->parts] = all->count;
}

static assay_status forward(step *s, size_t part, bool keep, float *out, assay_error *error)
{
    assay_trainer *t = s->t;
    const assay_forward pass = {.draw = assay_trainer_draw(t, part), .keep = keep};
    return assay_trainable_forward(t->model, t->sequences.list + s->begins[part],
                                   s->begins[part + 1] - s->begins[part], &pass, out, error);
}

/* ------------------------------------------------------------------- the loss */

static const float *passage(const step *s, size_t p)
{
    return s->vectors + (s->queries + p) * s->dimensions;
}

static void compare_all(step *s)
{
    for (size_t q = 0; q < s->queries; q++) {
        const float *query = s->vectors + q * s->dimensions;
        for (size_t p = 0; p < s->passages; p++) {
            double sum = 0;
            for (size_t k = 0; k < s->dimensions; k++)
                sum += (double)query[k] * (double)passage(s, p)[k];
            s->similarity[q * s->passages + p] = (float)sum;
        }
    }
}

/* Passages that are relevant to a query, and not its own of this batch, say nothing
 * about it; nor does its own text again. */
static void leave_out(step *s)
{
    const assay_examples *examples = &s->t->examples;
    for (size_t q = 0; q < s->queries; q++) {
        const assay_example *example = &examples->list[s->t->lists[q].example];
        for (size_t p = 0; p < s->passages; p++) {
            bool relevant = false;
            for (size_t i = 0; i < example->positives; i++)
                relevant = relevant ||
                           examples->labelled[example->first + i].text == s->texts[p];
            s->left_out[q * s->passages + p] = relevant && p != s->own[q];
        }
    }
}

/* A loss of each query's own list alone: the teacher's. Scores are similarities over
 * the temperature. */
static double grade_lists(step *s)
{
    const assay_trainer *t = s->t;
    double temperature = t->o.temperature.value, share = 1.0 / (double)s->queries, loss = 0;
    memset(s->slopes, 0, s->queries * s->passages * sizeof *s->slopes);
    for (size_t q = 0; q < s->queries; q++) {
        const assay_list *list = &t->lists[q];
        const float *row = s->similarity + q * s->passages + s->own[q];
        float *slopes = s->slopes + q * s->passages + s->own[q];
        for (size_t i = 0; i < list->count; i++)
            s->scores[i] = (float)((double)row[i] / temperature);
        const assay_loss_list scored = {s->scores, list->grades, list->teacher, list->count};
        loss += share * assay_loss_of_list(&t->loss, &scored, share / temperature, slopes);
    }
    return loss;
}

static assay_status grade(step *s, assay_error *error)
{
    compare_all(s);
    if (s->t->o.loss == ASSAY_LOSS_LISTWISE) {
        leave_out(s);
        s->loss = assay_loss_in_batch(s->similarity, s->queries, s->passages, s->own, s->left_out,
                                      s->t->o.temperature.value, 1, s->slopes);
    } else {
        s->loss = grade_lists(s);
    }
    if (isfinite(s->loss))
        return ASSAY_OK;
    const assay_example *first = &s->t->examples.list[s->t->lists[0].example];
    char where[64];
    snprintf(where, sizeof where, "step %llu", (unsigned long long)s->t->state.step + 1);
    return assay_fail(error, ASSAY_E_CORRUPT, where,
                      "the loss is no number, in the batch that begins with query \"%.60s\" "
                      "(%.80s, line %llu): a lower rate may help; the checkpoint before it is kept",
                      first->query, first->id, (unsigned long long)first->line);
}

/* Gradients by the vectors: each query's is a sum over passages, and the other way round. */
static void take_apart(step *s)
{
    size_t n = s->dimensions;
    memset(s->gradients, 0, (s->queries + s->passages) * n * sizeof *s->gradients);
    for (size_t q = 0; q < s->queries; q++) {
        float *by_query = s->gradients + q * n;
        const float *query = s->vectors + q * n;
        for (size_t p = 0; p < s->passages; p++) {
            float slope = s->slopes[q * s->passages + p];
            float *by_passage = s->gradients + (s->queries + p) * n;
            for (size_t k = 0; k < n && slope != 0; k++) {
                by_query[k] += slope * passage(s, p)[k];
                by_passage[k] += slope * query[k];
            }
        }
    }
    assay_unit_gradients(s->vectors, s->lengths, s->gradients, s->queries + s->passages, n);
}

/* ------------------------------------------------------------------- the step */

static assay_status run(step *s, assay_error *error)
{
    assay_trainer *t = s->t;
    ASSAY_TRY(tokenize(s, error));
    cut_parts(s);
    bool once = s->parts == 1;
    for (size_t part = 0; part < s->parts; part++)
        ASSAY_TRY(forward(s, part, once, s->vectors + s->begins[part] * s->dimensions, error));
    assay_unit_vectors(s->vectors, t->sequences.count, s->dimensions, s->lengths);
    ASSAY_TRY(grade(s, error));
    take_apart(s);
    for (size_t part = 0; part < s->parts; part++) {
        size_t at = s->begins[part] * s->dimensions;
        if (!once) /* the vectors are not needed any more */
            ASSAY_TRY(forward(s, part, true, s->vectors + at, error));
        ASSAY_TRY(assay_trainable_backward(t->model, s->gradients + at, error));
        ASSAY_TRY(assay_trainer_tell(t, ASSAY_TRAIN_STEPPING, false, error));
    }
    return ASSAY_OK;
}

static assay_status take_memory(step *s, assay_error *error)
{
    size_t lists = s->t->o.batch, passages = lists * (s->t->o.negatives + 1);
    size_t all = lists + passages, n = s->dimensions;
    s->begins = calloc(all + 2, sizeof *s->begins);
    s->vectors = calloc(all * n, sizeof *s->vectors);
    s->gradients = calloc(all * n, sizeof *s->gradients);
    s->lengths = calloc(all, sizeof *s->lengths);
    s->similarity = calloc(lists * passages, sizeof *s->similarity);
    s->slopes = calloc(lists * passages, sizeof *s->slopes);
    s->own = calloc(lists, sizeof *s->own);
    s->texts = calloc(passages, sizeof *s->texts);
    s->left_out = calloc(lists * passages, sizeof *s->left_out);
    s->scores = calloc(s->t->o.negatives + 1, sizeof *s->scores);
    if (s->begins != NULL && s->vectors != NULL && s->gradients != NULL && s->lengths != NULL &&
        s->similarity != NULL && s->slopes != NULL && s->own != NULL && s->texts != NULL &&
        s->left_out != NULL && s->scores != NULL)
        return ASSAY_OK;
    return assay_fail_memory(error, all * n * sizeof *s->vectors);
}

assay_status assay_step_bi(assay_trainer *t, double *loss, assay_error *error)
{
    step s = {.t = t,
              .queries = t->o.batch,
              .dimensions = assay_trainable_dimensions(t->model)};
    assay_status status = take_memory(&s, error);
    if (status == ASSAY_OK)
        status = run(&s, error);
    *loss = s.loss;
    free(s.begins);
    free(s.vectors);
    free(s.gradients);
    free(s.lengths);
    free(s.similarity);
    free(s.slopes);
    free(s.own);
    free(s.texts);
    free(s.left_out);
    free(s.scores);
    return status;
}
