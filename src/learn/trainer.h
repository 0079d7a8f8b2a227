/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainer.h: what the files of a training share.
 *
 *     train.c         opens everything, takes the steps, says when it ends
 *     train_cross.c   one step of a cross-encoder
 *     train_batch.c   one step of a bi-encoder, or of late interaction, which compare vectors:
 *     train_bi.c, train_late.c
 *     develop.c       how well the development queries are ranked
 *     train_after.c   what is measured when the weights are there
 *     train_state.c   checkpoints, and going on from one
 *     train_log.c     training.csv, training.svg
 *     train_card.c    README.md, and what config.json says of the queries
 */
#ifndef ASSAY_TRAINER_H
#define ASSAY_TRAINER_H

#include "learn/losses.h"
#include "learn/optimizer.h"
#include "learn/plan.h"
#include "learn/sequences.h"

enum { ASSAY_DEVELOPMENT_LIST = 200 }; /* passages of a query that are ranked, at most */

/* What a checkpoint keeps beside weights and moments. */
typedef struct assay_train_state {
    uint64_t step;      /* taken */
    uint64_t steps;     /* to be taken */
    uint64_t warmup;
    uint64_t every;     /* steps between evaluations */
    bool planned;       /* steps are what they will be; false while the first are timed */
    uint64_t evaluated; /* the last step after which the weights were */
    uint64_t best_step;
    double before, best, last; /* nDCG@10; NAN: not evaluated yet */
    double evaluation;  /* seconds that one takes */
    uint64_t stale;     /* evaluations since the best */
    double loss;        /* running mean; NAN: none yet */
    uint64_t tokens;
    double seconds;
} assay_train_state;

typedef struct assay_trainer {
    assay_train_options o; /* defaults filled in */
    const char *data, *target;
    char base[4096], part[4096]; /* where the base lies; TARGET.part */
    int lock;                    /* on the latter */
    assay_train_fn progress;
    void *user;
    assay_train_report *report;

    assay_examples examples, development; /* the second empty where it is held out */
    bool *held;
    assay_plan plan, measured;
    assay_examples also[ASSAY_TRAIN_ALSO];
    assay_plan also_plans[ASSAY_TRAIN_ALSO];
    double *ndcg_last, *ndcg_before, *ndcg_best; /* [measured.count] of the evaluations */
    double *ndcg_saved; /* [measured.count] of the model as it was saved */
    assay_loss loss;
    assay_list *lists; /* [batch] of the step at hand */
    assay_list all;    /* of development */
    size_t query_words; /* of the longest query to learn from */

    assay_trainable *model;
    bool drawn;        /* weights of the head are not the base's */
    bool same_kind;    /* the base is a model of the kind that it becomes */
    assay_optimizer *optimizer;
    assay_sequences sequences;
    char settings[33]; /* digest of all that the result depends on */

    assay_train_state state;
    double begun;      /* of this call, and what the state's seconds were then */
    double seconds;
    double checked;    /* when the last checkpoint was written */
    double first_step; /* when the first step of this call began, for the speed */
    uint64_t first_tokens;
} assay_trainer;

/* Number of a forward pass's dropout masks: part `part` of a step. */
static inline uint64_t assay_trainer_draw(const assay_trainer *t, size_t part)
{
    return (t->state.step << 16 | part) + 1;
}

/* Tells where it stands. INTERRUPTED when that was the wish. */
assay_status assay_trainer_tell(assay_trainer *t, assay_train_stage stage, bool evaluated,
                                assay_error *error);

/* Adds the gradients of the lists of one step to the weights' gradients. */
assay_status assay_step_cross(assay_trainer *t, double *loss, assay_error *error);
assay_status assay_step_batch(assay_trainer *t, double *loss, assay_error *error);

/* What comes out for t->sequences, part by part and without dropout: [count][dimensions],
 * of late interaction [all tokens][dimensions]. */
assay_status assay_trainer_outputs(assay_trainer *t, float *outputs, assay_error *error);
/* Scores of a list of these examples: scores[count]. */
typedef assay_status (*assay_scores_fn)(void *context, const assay_examples *examples,
                                        const assay_list *list, float *scores,
                                        assay_error *error);
/* By the trainer's model as it is. */
assay_status assay_trainer_scores(void *trainer, const assay_examples *examples,
                                  const assay_list *list, float *scores, assay_error *error);
/* nDCG@10 of each query of a plan, whose passages `fn` gives scores: ndcg[plan->count]. */
assay_status assay_develop(assay_trainer *t, const assay_plan *plan, assay_scores_fn fn,
                           void *context, double *ndcg, assay_error *error);
double assay_mean_of(const double *values, size_t count);

/* Measures the model of a folder, and puts pipeline.json into it. */
assay_status assay_after(assay_trainer *t, const char *folder, assay_error *error);
/* Writes the target with int8 weights, and measures that. */
assay_status assay_after_int8(assay_trainer *t, assay_error *error);

/* Scales vectors to length 1; lengths[count] may be NULL. And, on the way back, takes
 * the gradient by the scaled vector to that by the vector. */
void assay_unit_vectors(float *vectors, size_t count, size_t dimensions, float *lengths);
void assay_unit_gradients(const float *vectors, const float *lengths, float *gradients,
                          size_t count, size_t dimensions);

/* Checkpoints, in TARGET.part: step-N (state, weights, moments), best-N (the model of
 * the best evaluation). */
assay_status assay_state_digest(assay_trainer *t, assay_error *error);
/* Goes on from the last checkpoint, if there is one. *found tells. */
assay_status assay_state_resume(assay_trainer *t, bool *found, assay_error *error);
assay_status assay_state_save(assay_trainer *t, assay_error *error);
assay_status assay_state_save_best(assay_trainer *t, assay_error *error);
/* Makes the best model the target, with card and log. */
assay_status assay_state_finish(assay_trainer *t, assay_error *error);

/* The log: a row for a step; those behind the state's step go when it is resumed. */
assay_status assay_log_resume(assay_trainer *t, bool goes_on, assay_error *error);
assay_status assay_log_step(assay_trainer *t, double loss, double rate, double norm,
                            assay_error *error);
assay_status assay_log_metric(assay_trainer *t, assay_error *error);
/* Into the folder of the model: training.csv and a plot of it, training.svg. */
assay_status assay_log_finish(assay_trainer *t, const char *folder, assay_error *error);

assay_status assay_card_write(assay_trainer *t, const char *folder, assay_error *error);
/* Adds what int8 weights cost to the cards of both folders. */
assay_status assay_card_int8(const assay_trainer *t, assay_error *error);
/* Puts the longest query into the folder's config.json, where the base says how long
 * queries it knows. */
assay_status assay_card_config(const assay_trainer *t, const char *folder, assay_error *error);

#endif
