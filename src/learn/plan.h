/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: which passages a step of training learns from, and at what rate.
 *
 * Everything is a function of the seed and of a number, so that training goes on from
 * any step as if it had never stopped: list number k (step k / batch) is of the query at
 * place k modulo the number of queries in an order drawn for each epoch.
 */
#ifndef ASSAY_PLAN_H
#define ASSAY_PLAN_H

#include "learn/examples.h"

/* What a model is shown of a query: one relevant passage (of graded lists: up to half of
 * the list), and others. */
typedef struct assay_list {
    uint32_t example;
    uint32_t count;
    uint32_t *texts;   /* [capacity], the relevant first */
    int32_t *grades;
    float *teacher;    /* NAN where there is none */
    uint32_t capacity;
} assay_list;

assay_status assay_list_new(assay_list *list, uint32_t capacity, assay_error *error);
void assay_list_free(assay_list *list);

typedef struct assay_plan {
    const assay_examples *examples;
    uint32_t *members;  /* [count] of the examples: those that are not held out */
    size_t count;
    uint32_t negatives; /* of a list, at most */
    bool fill;          /* with passages drawn from all where an example has too few */
    bool graded;
    uint64_t seed;
    uint32_t *order;    /* of the epoch at hand */
    uint64_t epoch;
    bool ordered;
} assay_plan;

/* held[examples], or NULL: the members are those that are not (wanted false) or are
 * (true). */
assay_status assay_plan_new(assay_plan *plan, const assay_examples *examples, const bool *held,
                            bool wanted, uint32_t negatives, uint64_t seed, assay_error *error);
void assay_plan_free(assay_plan *plan);

/* List number k; list->capacity must be negatives + 1. */
void assay_plan_list(assay_plan *plan, uint64_t k, assay_list *list);

/* All passages of a member but those that were missed, and drawn ones up to `least` in
 * all (but for the capacity of the list): what development ranks. */
void assay_plan_all(const assay_plan *plan, size_t member, uint32_t least, assay_list *list);

/* The share of the highest rate at a step: it rises over the first `warmup` steps and
 * falls to 0 at the last. */
double assay_schedule_share(assay_schedule schedule, uint64_t step, uint64_t warmup,
                            uint64_t steps);

#endif
