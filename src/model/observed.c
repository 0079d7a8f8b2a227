/* SPDX-License-Identifier: Apache-2.0 */
/* observed.c: see observed.h. Products are one more product of matrices, of some
 * rows transposed and the same rows. */
#include "model/observed.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "kernels/kernels.h"

enum { ROWS = 64 }; /* at a time */

bool assay_observed_open(assay_observed *observed, size_t depth, bool products)
{
    *observed = (assay_observed){.depth = depth, .largest = calloc(depth, sizeof(float))};
    if (observed->largest == NULL)
        return false;
    if (!products)
        return true;
    size_t scratch = ROWS * depth + assay_panels_size(depth, ROWS);
    observed->sums = calloc(depth, sizeof *observed->sums);
    observed->products = calloc(depth * depth, sizeof *observed->products);
    observed->scratch = aligned_alloc(64, (scratch * sizeof(float) + 63) / 64 * 64);
    if (observed->sums && observed->products && observed->scratch)
        return true;
    assay_observed_close(observed);
    return false;
}

void assay_observed_close(assay_observed *observed)
{
    free(observed->largest);
    free(observed->sums);
    free(observed->products);
    free(observed->scratch);
    *observed = (assay_observed){0};
}

static void add_products(assay_observed *observed, const float *x, size_t ldx, size_t rows)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t depth = observed->depth;
    float *transposed = observed->scratch, *panels = transposed + ROWS * depth;
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < depth; k++) {
            transposed[k * rows + i] = x[i * ldx + k];
            observed->sums[k] += (double)x[i * ldx + k];
        }
    kernels->pack_transposed_f32(x, ldx, depth, rows, panels);
    const assay_epilogue add = {.residual = observed->products, .ld_residual = depth};
    kernels->gemm_f32(transposed, rows, depth, panels, depth, rows, &add, observed->products,
                      depth);
    observed->rows += rows;
}

void assay_observe(assay_observed *observed, const float *x, size_t ldx, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < observed->depth; k++) {
            float size = fabsf(x[i * ldx + k]);
            if (!(size <= observed->largest[k]))
                observed->largest[k] = isfinite(size) ? size : FLT_MAX;
        }
    if (observed->products == NULL)
        return;
    for (size_t at = 0; at < rows; at += ROWS)
        add_products(observed, x + at * ldx, ldx, rows - at < ROWS ? rows - at : ROWS);
}
