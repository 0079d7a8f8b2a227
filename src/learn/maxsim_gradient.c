/* SPDX-License-Identifier: Apache-2.0 */
/* maxsim_gradient.c: see maxsim_gradient.h. */
#include "learn/maxsim_gradient.h"

#include <math.h>

#include "kernels/kernels.h"

enum { ROWS = 32 }; /* of products at a time */

size_t assay_maxsim_scratch(size_t passage_count, size_t dimensions)
{
    return assay_panels_size(passage_count, dimensions) + ROWS * assay_whole_panels(passage_count);
}

static void find_largest(const float *products, const uint8_t *skipped, size_t n, float *value,
                         uint32_t *best)
{
    *value = 0;
    *best = UINT32_MAX;
    for (size_t j = 0; j < n; j++) {
        if (skipped != NULL && skipped[j])
            continue;
        if (*best == UINT32_MAX || products[j] > *value) {
            *value = products[j];
            *best = (uint32_t)j;
        }
    }
}

void assay_maxsim_forth(const float *vectors, size_t count, const float *passage,
                        const uint8_t *skipped, size_t passage_count, size_t dimensions,
                        float *scratch, float *values, uint32_t *best)
{
    const assay_kernels *kernels = assay_kernels_active();
    float *products = scratch + assay_panels_size(passage_count, dimensions);
    size_t ld = assay_whole_panels(passage_count);
    kernels->pack_f32(passage, dimensions, passage_count, dimensions, scratch);
    for (size_t first = 0; first < count; first += ROWS) {
        size_t rows = count - first < ROWS ? count - first : ROWS;
        kernels->gemm_f32(vectors + first * dimensions, dimensions, rows, scratch, passage_count,
                          dimensions, NULL, products, ld);
        for (size_t i = 0; i < rows; i++)
            find_largest(products + i * ld, skipped, passage_count, &values[first + i],
                         &best[first + i]);
    }
}

static void add_scaled(float *restrict sum, float factor, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += factor * x[i];
}

void assay_maxsim_back(const float *vectors, size_t count, const float *passage,
                       size_t dimensions, const uint32_t *best, const float *by_value,
                       float *vectors_gradient, float *passage_gradient)
{
    for (size_t i = 0; i < count; i++) {
        if (best[i] == UINT32_MAX)
            continue;
        size_t row = (size_t)best[i] * dimensions, own = i * dimensions;
        add_scaled(vectors_gradient + own, by_value[i], passage + row, dimensions);
        add_scaled(passage_gradient + row, by_value[i], vectors + own, dimensions);
    }
}
