/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_batch.c: one step of a model that gives texts vectors: a bi-encoder, or late
 * interaction.
 *
 * Every query of the batch is compared with every passage of it, so the loss needs all
 * vectors at once, while what goes back through the model need not: a first pass keeps
 * the vectors alone, the loss gives the gradient by each, and a second pass with the
 * same dropout goes back part by part (Gao et al. 2021, gradient cache). The memory is
 * that of a part and of the vectors, whatever the batch; a batch of one part goes through
 * once. How vectors are compared is train_bi.c and train_late.c.
 */
#include "learn/train_batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static assay_status tokenize(assay_batch_step *s, assay_error *error)
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
    s->own[s->queries] = (uint32_t)s->passages;
    assay_sequences_ready(&t->sequences);
    return ASSAY_OK;
}

static void cut_parts(assay_batch_step *s)
{
    const assay_sequences *all = &s->t->sequences;
    bool late = s->t->o.kind == ASSAY_MODEL_LATE;
    size_t tokens = 0;
    s->parts = 0;
    s->begins[0] = s->rows[0] = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (tokens > 0 && tokens + all->list[i].count > s->t->o.part_tokens) {
            s->begins[++s->parts] = i;
            tokens = 0;
        }
        tokens += all->list[i].count;
        s->rows[i + 1] = s->rows[i] + (late ? all->list[i].count : 1);
    }
    s->begins[++s->parts] = all->count;
}

static float *part_of(const assay_batch_step *s, float *vectors, size_t part)
{
    return vectors + s->rows[s->begins[part]] * s->dimensions;
}

static assay_status forward(assay_batch_step *s, size_t part, bool keep, assay_error *error)
{
    assay_trainer *t = s->t;
    const assay_forward pass = {.draw = assay_trainer_draw(t, part), .keep = keep};
    return assay_trainable_forward(t->model, t->sequences.list + s->begins[part],
                                   s->begins[part + 1] - s->begins[part], &pass,
                                   part_of(s, s->vectors, part), error);
}

/* ------------------------------------------------------------------- the loss */

/* Passages that are relevant to a query, and not its own of this batch, say nothing
 * about it; nor does its own text again. */
static void leave_out(assay_batch_step *s)
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
static double grade_lists(assay_batch_step *s)
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

static assay_status grade(assay_batch_step *s, assay_error *error)
{
    if (s->all) {
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

/* ------------------------------------------------------------------- the step */

static assay_status take_memory(assay_batch_step *s, assay_error *error)
{
    size_t lists = s->t->o.batch, passages = lists * (s->t->o.negatives + 1);
    s->begins = calloc(lists + passages + 2, sizeof *s->begins);
    s->rows = calloc(lists + passages + 2, sizeof *s->rows);
    s->similarity = calloc(lists * passages, sizeof *s->similarity);
    s->slopes = calloc(lists * passages, sizeof *s->slopes);
    s->own = calloc(lists + 1, sizeof *s->own);
    s->texts = calloc(passages, sizeof *s->texts);
    s->left_out = calloc(lists * passages, sizeof *s->left_out);
    s->scores = calloc(s->t->o.negatives + 1, sizeof *s->scores);
    if (s->begins != NULL && s->rows != NULL && s->similarity != NULL && s->slopes != NULL &&
        s->own != NULL && s->texts != NULL && s->left_out != NULL && s->scores != NULL)
        return ASSAY_OK;
    return assay_fail_memory(error, lists * passages * sizeof *s->similarity);
}

static assay_status take_vectors(assay_batch_step *s, assay_error *error)
{
    size_t count = s->rows[s->t->sequences.count], size = count * s->dimensions;
    s->vectors = calloc(size, sizeof *s->vectors);
    s->gradients = calloc(size, sizeof *s->gradients);
    if (s->vectors != NULL && s->gradients != NULL)
        return ASSAY_OK;
    return assay_fail_memory(error, 2 * size * sizeof *s->vectors);
}

static assay_status run(assay_batch_step *s, assay_error *error)
{
    assay_trainer *t = s->t;
    bool late = t->o.kind == ASSAY_MODEL_LATE;
    ASSAY_TRY(take_memory(s, error));
    ASSAY_TRY(tokenize(s, error));
    cut_parts(s);
    ASSAY_TRY(take_vectors(s, error));
    bool once = s->parts == 1;
    for (size_t part = 0; part < s->parts; part++)
        ASSAY_TRY(forward(s, part, once, error));
    ASSAY_TRY((late ? assay_late_compare : assay_bi_compare)(s, error));
    ASSAY_TRY(grade(s, error));
    (late ? assay_late_take_apart : assay_bi_take_apart)(s);
    for (size_t part = 0; part < s->parts; part++) {
        if (!once) /* the vectors are not needed any more */
            ASSAY_TRY(forward(s, part, true, error));
        ASSAY_TRY(assay_trainable_backward(t->model, part_of(s, s->gradients, part), error));
        ASSAY_TRY(assay_trainer_tell(t, ASSAY_TRAIN_STEPPING, false, error));
    }
    return ASSAY_OK;
}

assay_status assay_step_batch(assay_trainer *t, double *loss, assay_error *error)
{
    assay_batch_step s = {.t = t,
                          .all = t->o.loss == ASSAY_LOSS_LISTWISE,
                          .queries = t->o.batch,
                          .dimensions = assay_trainable_dimensions(t->model)};
    assay_status status = run(&s, error);
    *loss = s.loss;
    free(s.begins);
    free(s.rows);
    free(s.vectors);
    free(s.gradients);
    free(s.lengths);
    free(s.best);
    free(s.similarity);
    free(s.slopes);
    free(s.own);
    free(s.texts);
    free(s.left_out);
    free(s.scores);
    return status;
}
