/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trained_linear.c: see trained_linear.h.
 *
 * The rows that a weight's gradient sums over are cut into pieces, of a size whose
 * panels stay in a level-2 cache. An item is some outputs with all of the pieces, in
 * order: so a sum is the same whatever thread does it, and no thread has gradients of
 * its own that would have to be added.
 */
#include "learn/trained_linear.h"

#include "learn/gradient_steps.h"

static size_t round_up(size_t n)
{
    return (n + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t assay_trained_forth_size(const assay_trained_linear *linear)
{
    return assay_panels_size(linear->columns, linear->depth);
}

size_t assay_trained_back_size(const assay_trained_linear *linear)
{
    return assay_panels_size(linear->depth, linear->columns);
}

void assay_trained_pack(const assay_trained_linear *linear)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t columns = linear->columns, depth = linear->depth;
    kernels->pack_f32(linear->weight, depth, columns, depth, linear->forth);
    kernels->pack_transposed_f32(linear->weight, depth, depth, columns, linear->back);
}

void assay_trained_forth(const assay_trained_linear *linear, const float *x, size_t ldx,
                         size_t rows, assay_activation activation, float *y, size_t ldy)
{
    assay_epilogue epilogue = {.bias = linear->bias, .activation = activation};
    assay_kernels_active()->gemm_f32(x, ldx, rows, linear->forth, linear->columns,
                                     linear->depth, &epilogue, y, ldy);
}

void assay_trained_back(const assay_trained_linear *linear, const float *dy, size_t ldy,
                        size_t rows, bool add, float *dx, size_t ldx)
{
    assay_epilogue epilogue = {.residual = dx, .ld_residual = ldx};
    assay_kernels_active()->gemm_f32(dy, ldy, rows, linear->back, linear->depth,
                                     linear->columns, add ? &epilogue : NULL, dx, ldx);
}

/* ---- Gradients of weights -------------------------------------------------------- */

size_t assay_inputs_size(size_t rows, size_t depth)
{
    return rows * round_up(depth);
}

void assay_inputs_put(const float *x, size_t ldx, size_t first, size_t count, size_t rows,
                      size_t depth, float *panels)
{
    size_t piece = first / ASSAY_INPUT_ROWS * ASSAY_INPUT_ROWS;
    size_t height = least(ASSAY_INPUT_ROWS, rows - piece);
    float *at = panels + piece * round_up(depth) + (first - piece) * ASSAY_PANEL;
    for (size_t j = 0; j < depth; j += ASSAY_PANEL, at += height * ASSAY_PANEL)
        assay_kernels_active()->pack_transposed_f32(x + j, ldx, least(ASSAY_PANEL, depth - j),
                                                    count, at);
}

size_t assay_trained_groups(const assay_trained_linear *linear)
{
    return (linear->columns + ASSAY_OUTPUT_GROUP - 1) / ASSAY_OUTPUT_GROUP;
}

void assay_trained_weights(const assay_trained_linear *linear, size_t group, const float *dy,
                           size_t ldy, size_t rows, const float *inputs, float *scratch)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t first = group * ASSAY_OUTPUT_GROUP, depth = linear->depth;
    size_t count = least(ASSAY_OUTPUT_GROUP, linear->columns - first);
    float *gradient = linear->weight_gradient + first * depth;
    assay_epilogue add = {.residual = gradient, .ld_residual = depth};
    for (size_t at = 0; at < rows; at += ASSAY_INPUT_ROWS) {
        size_t part = least(ASSAY_INPUT_ROWS, rows - at);
        kernels->transpose_f32(dy + at * ldy + first, ldy, part, count, scratch,
                               ASSAY_TURNED_LD);
        if (linear->bias_gradient != NULL)
            assay_add_sums(scratch, ASSAY_TURNED_LD, count, part,
                           linear->bias_gradient + first);
        kernels->gemm_f32(scratch, ASSAY_TURNED_LD, count, inputs + at * round_up(depth), depth,
                          part, &add, gradient, depth);
    }
}
