/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounding.c: see rounding.h.
 *
 * GPTQ (Frantar et al. 2022) in the form LDLQ (Chee et al. 2023, QuIP, who prove
 * that both give the same integers). An output is off by e·x for inputs x and
 * errors e of its weights; the mean of its square is e C e', C being the inputs'
 * covariance. With C = (U + I) D (U + I)', U strictly upper triangular, weights are
 * rounded one after the other, each after the errors made so far were added to it
 * times its column of U: what is left is a sum of D times squared rounding errors,
 * of numbers most of which are small when inputs go together. That needs no
 * inverse, unlike GPTQ.
 *
 * Departures: C is of inputs less their means, since the bias takes up what errors
 * do to the mean; inputs that vary most go first (act-order); C is damped ten times
 * as much, as the texts are few. A row's scale stays its largest weight's: smaller
 * ones left no less.
 */
#include "model/rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_ABSOLUTE 1e-12f /* of a row's largest value: no scale is zero */
#define DAMPING 0.1           /* of the mean variance, added to each: for what was not observed */
#define LIMIT 127.0f

struct assay_rounding {
    size_t depth;
    uint32_t *order; /* in which inputs are rounded */
    float *mean;     /* of them, in that order; this and what follows is 0 if nothing was learnt */
    float *feedback; /* [depth][depth], rows and columns in that order: U */
};

/* ---- Factors ------------------------------------------------------------------------ */

typedef struct ranked {
    double variance;
    uint32_t input;
} ranked;

static int by_variance(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->variance != y->variance)
        return x->variance > y->variance ? -1 : 1;
    return x->input < y->input ? -1 : 1;
}

static double covariance(const assay_observed *o, size_t i, size_t j)
{
    double rows = (double)o->rows;
    return (double)o->products[i * o->depth + j] / rows - o->sums[i] / rows * (o->sums[j] / rows);
}

/* Puts inputs into order; returns the mean variance, NaN when one is no number. */
static double rank_inputs(const assay_observed *o, assay_rounding *r, ranked *list)
{
    double sum = 0;
    for (size_t k = 0; k < o->depth; k++) {
        double variance = o->rows > 0 ? covariance(o, k, k) : 0;
        if (!isfinite(variance))
            return NAN;
        list[k] = (ranked){variance > 0 ? variance : 0, (uint32_t)k};
        sum += list[k].variance;
    }
    qsort(list, o->depth, sizeof *list, by_variance);
    for (size_t k = 0; k < o->depth; k++) {
        r->order[k] = list[k].input;
        r->mean[k] = o->rows > 0 ? (float)(o->sums[list[k].input] / (double)o->rows) : 0;
    }
    return sum / (double)o->depth;
}

/* The upper half of the covariances, damped. */
static void fill(const assay_observed *o, const assay_rounding *r, double damping, double *c)
{
    size_t n = o->depth;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            c[i * n + j] = covariance(o, r->order[i], r->order[j]) + (i == j ? damping : 0);
}

/* c = (U + I) D (U + I)', from the last column on; c is used up. A variance that
 * arithmetic left at or below the damping's share is what no input before it can
 * make good. */
static void factor(double *c, double least, assay_rounding *r, double *column)
{
    size_t n = r->depth;
    for (size_t k = n; k-- > 0;) {
        double d = c[k * n + k] > least ? c[k * n + k] : least;
        for (size_t i = 0; i < k; i++) {
            column[i] = c[i * n + k];
            r->feedback[i * n + k] = (float)(column[i] / d);
        }
        for (size_t i = 0; i < k; i++) {
            double f = column[i] / d, *row = c + i * n;
            for (size_t j = i; j < k; j++)
                row[j] -= f * column[j];
        }
    }
}

static assay_status learn(const assay_observed *o, assay_rounding *r, assay_error *error)
{
    size_t n = o->depth;
    double *c = calloc(n, n * sizeof *c), *column = calloc(n, sizeof *column);
    ranked *list = calloc(n, sizeof *list);
    assay_status status = ASSAY_OK;
    if (c == NULL || column == NULL || list == NULL) {
        status = assay_fail_memory(error, n * n * sizeof *c);
    } else {
        double mean = rank_inputs(o, r, list);
        if (mean > 0) {
            fill(o, r, DAMPING * mean, c);
            factor(c, DAMPING * mean / 2, r, column);
        } else {
            memset(r->mean, 0, n * sizeof *r->mean);
            for (size_t k = 0; k < n; k++)
                r->order[k] = (uint32_t)k;
        }
    }
    free(c);
    free(column);
    free(list);
    return status;
}

assay_status assay_rounding_open(const assay_observed *observed, assay_rounding **out,
                                 assay_error *error)
{
    size_t n = observed->depth;
    assay_rounding *r = calloc(1, sizeof *r);
    if (r == NULL)
        return assay_fail_memory(error, sizeof *r);
    *r = (assay_rounding){.depth = n, .order = calloc(n, sizeof *r->order),
                          .mean = calloc(n, sizeof *r->mean),
                          .feedback = calloc(n, n * sizeof *r->feedback)};
    assay_status status = ASSAY_OK;
    if (!r->order || !r->mean || !r->feedback)
        status = assay_fail_memory(error, n * n * sizeof *r->feedback);
    else
        status = learn(observed, r, error);
    if (status != ASSAY_OK) {
        assay_rounding_close(r);
        return status;
    }
    *out = r;
    return ASSAY_OK;
}

void assay_rounding_close(assay_rounding *rounding)
{
    if (rounding == NULL)
        return;
    free(rounding->order);
    free(rounding->mean);
    free(rounding->feedback);
    free(rounding);
}

/* ---- Rows ---------------------------------------------------------------------------- */

static float nearest(float value, float scale)
{
    return fminf(fmaxf(rintf(value / scale), -LIMIT), LIMIT);
}

static void round_with(const assay_rounding *r, const float *weights, float scale,
                       int8_t *integers, float *rest)
{
    size_t n = r->depth;
    for (size_t k = 0; k < n; k++)
        rest[k] = weights[r->order[k]];
    for (size_t k = 0; k < n; k++) {
        float integer = nearest(rest[k], scale);
        float error = weights[r->order[k]] - integer * scale;
        const float *feedback = r->feedback + k * n;
        integers[r->order[k]] = (int8_t)integer;
        for (size_t j = k + 1; j < n; j++)
            rest[j] += error * feedback[j];
    }
}

static float shift_of(const assay_rounding *r, const float *weights, const int8_t *integers,
                      float scale)
{
    double shift = 0;
    for (size_t k = 0; k < r->depth; k++) {
        uint32_t input = r->order[k];
        shift += ((double)weights[input] - (double)(integers[input] * scale)) * (double)r->mean[k];
    }
    return (float)shift;
}

void assay_round_row(const assay_rounding *rounding, const float *weights, int8_t *integers,
                     float *scale, float *shift, float *scratch)
{
    float largest = LEAST_ABSOLUTE;
    for (size_t k = 0; k < rounding->depth; k++)
        largest = fmaxf(largest, fabsf(weights[k]));
    *scale = largest / LIMIT;
    round_with(rounding, weights, *scale, integers, scratch);
    *shift = shift_of(rounding, weights, integers, *scale);
}
