/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare.c: paired randomisation test (Smucker, Allan & Carterette 2007).
 *
 * If two pipelines were the same, each query's difference could as well have
 * had the other sign. p is the part of sign flips whose mean difference is at
 * least as far from 0 as the one seen. Up to EXACT_QUERIES differing queries all
 * 2^n flips are counted; beyond, DRAWS are drawn (splitmix64, fixed seed) and
 * the one seen is counted among them, so that p is never 0. Queries without a
 * difference do not matter and are left out first.
 */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/status.h"

enum { EXACT_QUERIES = 16, DRAWS = 100000 };

/* Sum of up to 64 differences, those whose bit is set negated. */
static double flipped_sum(const double *differences, size_t count, uint64_t bits)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (bits >> i & 1) ? -differences[i] : differences[i];
    return sum;
}

static double exact_p(const double *differences, size_t count, double bound)
{
    uint64_t flips = UINT64_C(1) << count, extreme = 0;
    for (uint64_t bits = 0; bits < flips; bits++)
        extreme += fabs(flipped_sum(differences, count, bits)) >= bound;
    return (double)extreme / (double)flips;
}

static double drawn_p(const double *differences, size_t count, double bound)
{
    uint64_t state = 1, extreme = 1;
    for (int draw = 0; draw < DRAWS; draw++) {
        double sum = 0;
        for (size_t i = 0; i < count; i += 64)
            sum += flipped_sum(differences + i, count - i < 64 ? count - i : 64,
                               assay_random_next(&state));
        extreme += fabs(sum) >= bound;
    }
    return (double)extreme / (double)(DRAWS + 1);
}

assay_status assay_compare(const double *a, const double *b, size_t count, double *difference,
                           double *p_value, assay_error *error)
{
    if (count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "count", "no queries to compare");
    double *differences = calloc(count, sizeof *differences);
    if (differences == NULL)
        return assay_fail_memory(error, count * sizeof *differences);
    size_t differing = 0;
    double sum = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double delta = a[i] - b[i];
        if (!isfinite(delta)) {
            free(differences);
            return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                              "value %zu: %g and %g are not both finite", i, a[i], b[i]);
        }
        sum += delta;
        size += fabs(delta);
        if (delta != 0)
            differences[differing++] = delta;
    }
    /* Flips that are equal on paper differ in the last bits: they count. */
    double bound = fabs(sum) - 1e-12 * size;
    *difference = sum / (double)count;
    *p_value = differing <= EXACT_QUERIES ? exact_p(differences, differing, bound)
                                          : drawn_p(differences, differing, bound);
    free(differences);
    return ASSAY_OK;
}
