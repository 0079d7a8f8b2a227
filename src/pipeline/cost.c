/* SPDX-License-Identifier: Apache-2.0 */
/* cost.c: see cost.h. */
#include "pipeline/cost.h"

#include <math.h>

#define KEEP 0.8  /* of the past, beside each new piece of work */
#define FADE 0.9
#define DOUBT 0.5 /* of the first seconds: so far off, for all that is known */
#define LATE 0.02 /* of the searches that are cut short, at most */
#define STEP 0.01 /* of a search's time */
#define MOST 0.1  /* what takes longer still comes from outside, and no reserve foresees it */

bool assay_cost_known(const assay_cost *cost)
{
    return cost->work > 0;
}

void assay_cost_learn(assay_cost *cost, double work, double seconds)
{
    if (!(work > 0) || !(seconds >= 0))
        return;
    double expected = assay_cost_known(cost) ? cost->seconds / cost->work * work
                                             : seconds * (1 - DOUBT);
    cost->off = KEEP * cost->off + fmax(0, seconds - expected);
    cost->seconds = KEEP * cost->seconds + seconds;
    cost->work = KEEP * cost->work + work;
}

void assay_cost_learn_query(assay_cost *cost, double seconds, double each)
{
    cost->begin = cost->begin > 0 ? KEEP * cost->begin + (1 - KEEP) * seconds : seconds;
    if (each > 0)
        cost->each = cost->each > 0 ? KEEP * cost->each + (1 - KEEP) * each : each;
}

void assay_cost_fade(assay_cost *cost)
{
    cost->seconds *= FADE;
    cost->off *= FADE;
    cost->begin *= FADE;
}

double assay_cost_of(const assay_cost *cost, double work)
{
    return assay_cost_known(cost) ? (cost->seconds + cost->off) / cost->work * work : 0;
}

double assay_cost_of_query(const assay_cost *cost, size_t passages)
{
    if (!assay_cost_known(cost))
        return NAN;
    return cost->begin + assay_cost_of(cost, cost->each * (double)passages);
}

double assay_time_share(const assay_demand *stages, size_t count, double left)
{
    double rest = left, sum = 0;
    size_t parts = 0, unknown = 0;
    if (count == 0 || (stages[0].whole && !isnan(stages[0].seconds)))
        return left;
    for (size_t i = 0; i < count; i++) {
        const assay_demand *stage = &stages[i];
        if (isnan(stage->seconds)) {
            unknown++;
            parts++;
        } else if (!stage->whole) {
            sum += stage->seconds;
            parts++;
        } else if (stage->seconds <= rest) {
            rest -= stage->seconds;
        }
    }
    if (unknown > 0)
        return rest / (double)parts;
    return sum <= rest ? rest - (sum - stages[0].seconds) : rest * stages[0].seconds / sum;
}

double assay_reserve_learn(double reserve, bool late)
{
    return fmin(fmax(reserve + STEP * (late ? 1 - LATE : -LATE), 0), MOST);
}
