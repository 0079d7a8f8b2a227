/* SPDX-License-Identifier: Apache-2.0 */
/* train_batch.h: what the files of a step that compares vectors share; theirs alone. */
#ifndef ASSAY_TRAIN_BATCH_H
#define ASSAY_TRAIN_BATCH_H

#include "learn/trainer.h"

typedef struct assay_batch_step {
    assay_trainer *t;
    bool all;           /* queries are compared with all passages, else with their own list */
    size_t queries, passages, dimensions;
    size_t *begins;     /* [parts + 1] first sequence of each part; queries come first */
    size_t parts;
    size_t *rows;       /* [queries + passages + 1] first vector of each sequence */
    float *vectors, *gradients; /* [rows][dimensions] */
    float *similarity, *slopes; /* [queries][passages], and the loss's gradient by each */
    uint32_t *own;      /* [queries + 1] first passage of each query's list, the relevant one */
    uint32_t *texts;    /* [passages] */
    uint8_t *left_out;  /* [queries][passages] */
    float *scores;      /* of a list */
    double loss;
    float *lengths;     /* of a bi-encoder: [queries + passages] */
    uint32_t *best;     /* of late interaction: [passages][vectors of the queries], which of
                           the passage's vectors is nearest */
} assay_batch_step;

/* Similarities of queries and passages by the vectors, and the gradients by the vectors. */
assay_status assay_bi_compare(assay_batch_step *step, assay_error *error);
void assay_bi_take_apart(assay_batch_step *step);
assay_status assay_late_compare(assay_batch_step *step, assay_error *error);
void assay_late_take_apart(assay_batch_step *step);

#endif
