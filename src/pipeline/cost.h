/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost.h: what a stage takes, learned as it runs, and how time is shared out.
 *
 * Work is counted in units of the stage's own: tokens, passages, requests. Seconds and
 * work of late count most, so that one slow start is soon forgotten. How far seconds
 * went beyond what was expected is kept beside them and added to what is expected next,
 * much as TCP does with round trips (Jacobson 1988).
 *
 * That says what to expect, not how far from it the last block of a search may end. So a
 * part of its time is kept in reserve, and how large it is to be is learned from what the
 * reserve is for: it grows with each search that ends late, and shrinks with each that
 * does not, so much less that the two are in balance when one in 50 is late (the quantile
 * of Robbins & Monro 1951, as Gibbs & Candes 2021 follow one that moves).
 */
#ifndef ASSAY_COST_H
#define ASSAY_COST_H

#include <stdbool.h>
#include <stddef.h>

/* {0}: nothing is known. */
typedef struct assay_cost {
    double work, seconds; /* of the past, fading */
    double off;           /* of the seconds: more than was expected */
    double begin;         /* seconds of a query before the first of the work */
    double each;          /* work of a passage */
} assay_cost;

bool assay_cost_known(const assay_cost *cost);
void assay_cost_learn(assay_cost *cost, double work, double seconds);
/* What a query took to begin with, and what its passages are of. */
void assay_cost_learn_query(assay_cost *cost, double seconds, double each);
/* It was left out for want of time: costs a little less next time, so that what has
 * become faster is found out. */
void assay_cost_fade(assay_cost *cost);

/* Seconds that so much work is to be reckoned with. 0 while nothing is known. */
double assay_cost_of(const assay_cost *cost, double work);
/* The same of a query with so many passages; NAN while nothing is known. */
double assay_cost_of_query(const assay_cost *cost, size_t passages);

/* What a stage would take. */
typedef struct assay_demand {
    double seconds; /* NAN: nobody knows */
    bool whole;     /* it cannot be shortened */
} assay_demand;

/* How many of `left` seconds the first of stages[count] may take. One that cannot be
 * shortened has its time set aside, or, where there is not as much, none. The others
 * have what they need, if that is there, and else as much of it each. */
double assay_time_share(const assay_demand *stages, size_t count, double left);

/* Of a search's time, before one was seen. */
#define ASSAY_RESERVE 0.02
/* After a search that the deadline cut short, or that was late. */
double assay_reserve_learn(double reserve, bool late);

#endif
