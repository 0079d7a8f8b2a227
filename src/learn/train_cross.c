/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_cross.c: one step of a cross-encoder.
 *
 * The step's lists, longest first, are cut into parts of whole lists with at most
 * part_tokens tokens; each part goes through the model and back by itself, and the
 * gradients add up to those of the whole batch.
 */
#include <math.h>
#include <stdlib.h>

#include "learn/trainer.h"

/* Where the sequences of a list lie. */
typedef struct place {
    size_t first, tokens;
    uint32_t list;
} place;

typedef struct step {
    assay_trainer *t;
    place *places;            /* [batch] longest first */
    assay_sequence *sequences; /* [sequences] in the order of places */
    float *outputs, *gradients; /* likewise */
    double loss;
} step;

static int longest_first(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->tokens != b->tokens)
        return a->tokens > b->tokens ? -1 : 1;
    return (a->list > b->list) - (a->list < b->list);
}

static assay_status tokenize(step *s, assay_error *error)
{
    assay_trainer *t = s->t;
    assay_sequences *sequences = &t->sequences;
    assay_sequences_clear(sequences);
    for (uint32_t l = 0; l < t->o.batch; l++) {
        assay_list *list = &t->lists[l];
        assay_plan_list(&t->plan, t->state.step * t->o.batch + l, list);
        size_t first = sequences->count, before = sequences->id_count;
        for (uint32_t i = 0; i < list->count; i++)
            ASSAY_TRY(assay_sequences_pair(sequences, t->examples.list[list->example].query,
                                           assay_examples_text(&t->examples, list->texts[i]),
                                           error));
        s->places[l] = (place){first, sequences->id_count - before, l};
    }
    assay_sequences_ready(sequences);
    qsort(s->places, t->o.batch, sizeof *s->places, longest_first);
    return ASSAY_OK;
}

static assay_status not_a_number(const assay_trainer *t, const assay_list *list,
                                 assay_error *error)
{
    const assay_example *example = &t->examples.list[list->example];
    char where[64];
    snprintf(where, sizeof where, "step %llu", (unsigned long long)t->state.step + 1);
    return assay_fail(error, ASSAY_E_CORRUPT, where,
                      "the loss is no number, at query \"%.60s\" (%.80s, line %llu): a lower rate, "
                      "or clipping, may help; the checkpoint before it is kept",
                      example->query, example->id, (unsigned long long)example->line);
}

/* Loss and gradient of the lists places[0 .. count - 1], whose outputs are there. */
static assay_status grade_part(step *s, const place *places, size_t count, assay_error *error)
{
    const assay_trainer *t = s->t;
    double share = 1.0 / t->o.batch;
    size_t at = 0;
    for (size_t p = 0; p < count; p++) {
        const assay_list *list = &t->lists[places[p].list];
        const assay_loss_list scored = {s->outputs + at, list->grades, list->teacher, list->count};
        double loss = assay_loss_of_list(&t->loss, &scored, share, s->gradients + at);
        if (!isfinite(loss))
            return not_a_number(t, list, error);
        s->loss += loss * share;
        at += list->count;
    }
    return ASSAY_OK;
}

static assay_status do_part(step *s, const place *places, size_t count, size_t part,
                            assay_error *error)
{
    assay_trainer *t = s->t;
    size_t sequences = 0;
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < t->lists[places[p].list].count; i++)
            s->sequences[sequences++] = t->sequences.list[places[p].first + i];
    const assay_forward pass = {.draw = assay_trainer_draw(t, part), .keep = true};
    ASSAY_TRY(assay_trainable_forward(t->model, s->sequences, sequences, &pass, s->outputs,
                                      error));
    ASSAY_TRY(grade_part(s, places, count, error));
    ASSAY_TRY(assay_trainable_backward(t->model, s->gradients, error));
    return assay_trainer_tell(t, ASSAY_TRAIN_STEPPING, false, error);
}

static assay_status do_parts(step *s, assay_error *error)
{
    const assay_trainer *t = s->t;
    size_t part = 0;
    for (size_t first = 0, end; first < t->o.batch; first = end) {
        size_t tokens = 0;
        for (end = first; end < t->o.batch; end++) {
            if (end > first && tokens + s->places[end].tokens > t->o.part_tokens)
                break;
            tokens += s->places[end].tokens;
        }
        ASSAY_TRY(do_part(s, s->places + first, end - first, part++, error));
    }
    return ASSAY_OK;
}

assay_status assay_step_cross(assay_trainer *t, double *loss, assay_error *error)
{
    size_t most = (size_t)t->o.batch * (t->o.negatives + 1);
    step s = {
        .t = t,
        .places = calloc(t->o.batch, sizeof *s.places),
        .sequences = calloc(most, sizeof *s.sequences),
        .outputs = calloc(most, sizeof *s.outputs),
        .gradients = calloc(most, sizeof *s.gradients),
    };
    assay_status status = ASSAY_OK;
    if (s.places == NULL || s.sequences == NULL || s.outputs == NULL || s.gradients == NULL)
        status = assay_fail_memory(error, most * sizeof *s.sequences);
    if (status == ASSAY_OK)
        status = tokenize(&s, error);
    if (status == ASSAY_OK)
        status = do_parts(&s, error);
    *loss = s.loss;
    free(s.places);
    free(s.sequences);
    free(s.outputs);
    free(s.gradients);
    return status;
}
