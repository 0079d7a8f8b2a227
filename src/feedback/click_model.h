/* SPDX-License-Identifier: Apache-2.0 */
/*
 * click_model.h: the position-based model of clicks (Craswell et al. 2008).
 *
 * A user clicks a document at rank k when they look there, which has the propensity
 * of k, and when the document attracts them for their question: P(click) = p(k) a(q, d).
 */
#ifndef ASSAY_CLICK_MODEL_H
#define ASSAY_CLICK_MODEL_H

#include "feedback/feedback.h"

/* A document shown for a question. */
typedef struct assay_click_pair {
    uint32_t query, document;
    double attraction, examined, clicks;
} assay_click_pair;

typedef struct assay_click_model {
    double propensities[ASSAY_FEEDBACK_RANKS]; /* 1 at rank 1; the last holds beyond, too */
    bool estimated;
    uint64_t telling;        /* pairs seen at several ranks */
    assay_click_pair *pairs; /* [pair_count] */
    size_t pair_count;
} assay_click_model;

/* From the searches of which something was shown. */
assay_status assay_click_model_fit(const assay_gathering *gathering, assay_click_model *out,
                                   assay_error *error);
void assay_click_model_free(assay_click_model *model);

double assay_click_propensity(const assay_click_model *model, uint32_t rank);

#endif
