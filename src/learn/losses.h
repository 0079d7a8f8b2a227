/* SPDX-License-Identifier: Apache-2.0 */
/*
 * losses.h: how wrong scores are, and which way each should go.
 *
 * Pure functions of scores. The list losses take what a model said about the
 * passages of one query; batch losses the scores of all queries against all
 * passages of a batch. Sums are taken in double, in the order of the input.
 */
#ifndef ASSAY_LOSSES_H
#define ASSAY_LOSSES_H

#include "base/status.h"

/* Whether it needs a teacher's scores. */
bool assay_loss_has_teacher(assay_loss_kind kind);

typedef struct assay_loss {
    assay_loss_kind kind;
    double binary;      /* weight of ASSAY_LOSS_BINARY added to the kind's own */
    double margin;      /* of MARGIN; 1 */
    double temperature; /* of DISTIL: what both sides' scores are divided by */
    double labels;      /* of DISTIL and MARGIN_MSE: weight of LISTWISE added, which says
                           what the judgments do; lists without a positive add none */
} assay_loss;

/* What is known of one query's passages, [count] each. */
typedef struct assay_loss_list {
    const float *scores;   /* the model's */
    const int32_t *grades; /* judged: above 0 is relevant, and counts */
    const float *teacher;  /* the teacher's scores; NULL where none is asked for */
    size_t count;
} assay_loss_list;

/* The loss of one list; gradient[count] is set to its derivative by each score, times
 * `scale`. A list that a loss can say nothing about (no positive, no negative) is 0. */
double assay_loss_of_list(const assay_loss *loss, const assay_loss_list *list, double scale,
                          float *gradient);

/* Contrastive loss within a batch (van den Oord et al. 2018): each query's own passage
 * against all passages of the batch, softmax cross-entropy of similarity / temperature,
 * mean over the queries. similarity[queries][passages]; own[q] is the passage of query
 * q; left_out[queries][passages], or NULL, is not 0 for passages that say nothing about
 * a query: its other positives. The gradient is set, times scale. */
double assay_loss_in_batch(const float *similarity, size_t queries, size_t passages,
                           const uint32_t *own, const uint8_t *left_out, double temperature,
                           double scale, float *gradient);

#endif
