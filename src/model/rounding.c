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

#include "base/threads.h"

#define LEAST_ABSOLUTE 1e-12f /* of a row's largest value: no scale is zero */
#define DAMPING 0.1           /* of the mean variance, added to each: for what was not observed */
#define LIMIT 127.0f

enum {
    BLOCK = 32,        /* columns factored together */
    ROWS_AN_ITEM = 16, /* of one thread's turn */
    TILE = 512,        /* columns, of which a block's stay in the cache */
};

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

/* A factorisation under way, by blocks of columns from the last on, so that what is left
 * of the matrix goes through memory once a block and not once a column. Every element
 * gets the same subtractions in the same order as column by column. */
typedef struct factoring {
    double *c;        /* [n][n] covariances, of which the upper half is used up */
    double *columns;  /* [BLOCK][n] of the block, as they were when their turn came */
    double d[BLOCK];  /* their D */
    double least;
    size_t n, begin, end; /* of the block */
    assay_rounding *rounding;
} factoring;

/* The block's own columns in its own rows: from the last on, each takes itself off those
 * before it. A variance that arithmetic left at or below the damping's share is what no
 * input before it can make good. */
static void factor_corner(factoring *f)
{
    for (size_t k = f->end; k-- > f->begin;) {
        double *column = f->columns + (k - f->begin) * f->n;
        double variance = f->c[k * f->n + k], d = variance > f->least ? variance : f->least;
        f->d[k - f->begin] = d;
        for (size_t i = f->begin; i < k; i++) {
            column[i] = f->c[i * f->n + k];
            f->rounding->feedback[i * f->n + k] = (float)(column[i] / d);
        }
        for (size_t i = f->begin; i < k; i++)
            for (size_t j = i; j < k; j++)
                f->c[i * f->n + j] -= column[i] / d * column[j];
    }
}

/* The block's columns in the rows before it. */
static void factor_rows(void *context, size_t item, uint32_t worker)
{
    const factoring *f = context;
    size_t end = (item + 1) * ROWS_AN_ITEM < f->begin ? (item + 1) * ROWS_AN_ITEM : f->begin;
    (void)worker;
    for (size_t i = item * ROWS_AN_ITEM; i < end; i++) {
        double *row = f->c + i * f->n;
        for (size_t k = f->end; k-- > f->begin;) {
            double *column = f->columns + (k - f->begin) * f->n, share = row[k] / f->d[k - f->begin];
            column[i] = row[k];
            f->rounding->feedback[i * f->n + k] = (float)share;
            for (size_t j = f->begin; j < k; j++)
                row[j] -= share * column[j];
        }
    }
}

/* Takes the block off what is before it, in rows and columns. */
static void take_off(void *context, size_t item, uint32_t worker)
{
    const factoring *f = context;
    size_t end = (item + 1) * ROWS_AN_ITEM < f->begin ? (item + 1) * ROWS_AN_ITEM : f->begin;
    (void)worker;
    for (size_t tile = item * ROWS_AN_ITEM; tile < f->begin; tile += TILE) {
        size_t stop = tile + TILE < f->begin ? tile + TILE : f->begin;
        for (size_t i = item * ROWS_AN_ITEM; i < end; i++) {
            double *row = f->c + i * f->n;
            for (size_t k = f->end; k-- > f->begin;) {
                const double *column = f->columns + (k - f->begin) * f->n;
                double share = column[i] / f->d[k - f->begin];
                for (size_t j = tile > i ? tile : i; j < stop; j++)
                    row[j] -= share * column[j];
            }
        }
    }
}

/* c = (U + I) D (U + I)'; c is used up. */
static void factor(factoring *f)
{
    for (f->end = f->n; f->end > 0; f->end = f->begin) {
        f->begin = (f->end - 1) / BLOCK * BLOCK;
        size_t items = (f->begin + ROWS_AN_ITEM - 1) / ROWS_AN_ITEM;
        factor_corner(f);
        assay_loop(items, 0, factor_rows, f);
        assay_loop(items, 0, take_off, f);
    }
}

static assay_status learn(const assay_observed *o, assay_rounding *r, assay_error *error)
{
    size_t n = o->depth;
    factoring f = {.n = n, .rounding = r, .c = calloc(n, n * sizeof *f.c),
                   .columns = calloc(n, BLOCK * sizeof *f.columns)};
    ranked *list = calloc(n, sizeof *list);
    assay_status status = ASSAY_OK;
    if (f.c == NULL || f.columns == NULL || list == NULL) {
        status = assay_fail_memory(error, n * n * sizeof *f.c);
    } else {
        double mean = rank_inputs(o, r, list);
        if (mean > 0) {
            f.least = DAMPING * mean / 2;
            fill(o, r, DAMPING * mean, f.c);
            factor(&f);
        } else {
            memset(r->mean, 0, n * sizeof *r->mean);
            for (size_t k = 0; k < n; k++)
                r->order[k] = (uint32_t)k;
        }
    }
    free(f.c);
    free(f.columns);
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

/* rest[rows][depth], in order: weights with the errors made so far added. */
static void round_with(const assay_rounding *r, const float *weights, size_t rows,
                       const float *scales, int8_t *integers, float *rest)
{
    size_t n = r->depth;
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < n; k++)
            rest[i * n + k] = weights[i * n + r->order[k]];
    for (size_t k = 0; k < n; k++) {
        const float *feedback = r->feedback + k * n;
        for (size_t i = 0; i < rows; i++) {
            size_t at = i * n + r->order[k];
            float integer = nearest(rest[i * n + k], scales[i]);
            float error = weights[at] - integer * scales[i];
            integers[at] = (int8_t)integer;
            for (size_t j = k + 1; j < n; j++)
                rest[i * n + j] += error * feedback[j];
        }
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

float assay_row_scale(const float *values, size_t count)
{
    float largest = LEAST_ABSOLUTE;
    for (size_t k = 0; k < count; k++)
        largest = fmaxf(largest, fabsf(values[k]));
    return largest / LIMIT;
}

void assay_round_rows(const assay_rounding *rounding, const float *weights, size_t rows,
                      int8_t *integers, float *scales, float *shifts, float *scratch)
{
    size_t n = rounding->depth;
    for (size_t i = 0; i < rows; i++)
        scales[i] = assay_row_scale(weights + i * n, n);
    round_with(rounding, weights, rows, scales, integers, scratch);
    for (size_t i = 0; i < rows; i++)
        shifts[i] = shift_of(rounding, weights + i * n, integers + i * n, scales[i]);
}
