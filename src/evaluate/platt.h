/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platt.h: what a score means, as a probability: 1 / (1 + exp(-slope * score - offset)),
 * fitted to judgments by maximum likelihood (Platt 1999, with his smoothed targets; Lin,
 * Lin & Weng 2007 say how to do it safely).
 */
#ifndef ASSAY_PLATT_H
#define ASSAY_PLATT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct assay_judged_score {
    double score;
    bool relevant;
} assay_judged_score;

/* False when there are not both kinds, or higher scores do not mean more. */
bool assay_platt_fit(const assay_judged_score *list, size_t count, double *slope,
                     double *offset);

double assay_platt(double score, double slope, double offset);

/* Mean -log of the probability given to what is true (0 is best). */
double assay_log_loss(const assay_judged_score *list, size_t count, double slope,
                      double offset);

#endif
