/* SPDX-License-Identifier: Apache-2.0 */
/* platt.c: see platt.h. Newton's method; a step that does not help is halved. */
#include "evaluate/platt.h"

#include <math.h>

enum { STEPS = 100, HALVINGS = 30 };

#define RIDGE 1e-9 /* keeps the Hessian regular where scores are all but equal */
#define CLOSE 1e-9

typedef struct problem {
    const assay_judged_score *list;
    size_t count;
    double yes, no; /* targets */
} problem;

double assay_platt(double score, double slope, double offset)
{
    return 1 / (1 + exp(-slope * score - offset));
}

/* log(1 + exp(x)) */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double loss(const problem *p, double slope, double offset)
{
    double sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        double x = slope * p->list[i].score + offset;
        sum += softplus(x) - (p->list[i].relevant ? p->yes : p->no) * x;
    }
    return sum;
}

/* The direction to go; false when there is none left. */
static bool newton(const problem *p, double slope, double offset, double *down_slope,
                   double *down_offset)
{
    double g1 = 0, g2 = 0, h11 = RIDGE, h22 = RIDGE, h12 = 0;
    for (size_t i = 0; i < p->count; i++) {
        double x = p->list[i].score, q = assay_platt(x, slope, offset);
        double off = q - (p->list[i].relevant ? p->yes : p->no), curve = q * (1 - q);
        g1 += off * x;
        g2 += off;
        h11 += curve * x * x;
        h12 += curve * x;
        h22 += curve;
    }
    double determinant = h11 * h22 - h12 * h12;
    *down_slope = (h22 * g1 - h12 * g2) / determinant;
    *down_offset = (h11 * g2 - h12 * g1) / determinant;
    return isfinite(*down_slope) && isfinite(*down_offset) && fabs(g1) + fabs(g2) > CLOSE;
}

static bool step(const problem *p, double *slope, double *offset)
{
    double before = loss(p, *slope, *offset), down_slope, down_offset, size = 1;
    if (!newton(p, *slope, *offset, &down_slope, &down_offset))
        return false;
    for (int i = 0; i < HALVINGS; i++, size /= 2) {
        double a = *slope - size * down_slope, b = *offset - size * down_offset;
        if (loss(p, a, b) < before) {
            *slope = a;
            *offset = b;
            return true;
        }
    }
    return false;
}

bool assay_platt_fit(const assay_judged_score *list, size_t count, double *slope,
                     double *offset)
{
    size_t relevant = 0;
    for (size_t i = 0; i < count; i++)
        relevant += list[i].relevant;
    if (relevant == 0 || relevant == count)
        return false;
    problem p = {list, count, (relevant + 1.0) / (relevant + 2.0),
                 1.0 / (double)(count - relevant + 2)};
    double a = 0, b = log((relevant + 1.0) / (double)(count - relevant + 1));
    for (int i = 0; i < STEPS && step(&p, &a, &b); i++)
        ;
    *slope = a;
    *offset = b;
    return a > 0;
}

double assay_log_loss(const assay_judged_score *list, size_t count, double slope,
                      double offset)
{
    const problem p = {list, count, 1, 0};
    return count > 0 ? loss(&p, slope, offset) / (double)count : 0;
}
