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

/* W = base + (factor B) A. */
static void merge(const assay_trained_linear *linear)
{
    const assay_kernels *kernels = assay_kernels_active();
    const assay_low_rank *low = &linear->low;
    size_t columns = linear->columns, depth = linear->depth, rank = low->rank;
    for (size_t i = 0; i < columns * rank; i++)
        low->b_scaled[i] = low->factor * low->b[i];
    kernels->pack_f32(low->a, depth, rank, depth, low->a_forth);
    kernels->pack_transposed_f32(low->a, depth, depth, rank, low->a_merging);
    kernels->pack_transposed_f32(low->b_scaled, rank, rank, columns, low->b_back);
    assay_epilogue add = {.residual = low->base, .ld_residual = depth};
    kernels->gemm_f32(low->b_scaled, rank, columns, low->a_merging, depth, rank, &add,
                      linear->weight, depth);
}

void assay_trained_pack(const assay_trained_linear *linear)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t columns = linear->columns, depth = linear->depth;
    if (linear->low.rank > 0)
        merge(linear);
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
    return rows * assay_whole_panels(depth);
}

void assay_inputs_put(const float *x, size_t ldx, size_t first, size_t count, size_t rows,
                      size_t depth, float *panels)
{
    size_t piece = first / ASSAY_INPUT_ROWS * ASSAY_INPUT_ROWS;
    size_t height = least(ASSAY_INPUT_ROWS, rows - piece);
    float *at = panels + piece * assay_whole_panels(depth) + (first - piece) * ASSAY_PANEL;
    for (size_t j = 0; j < depth; j += ASSAY_PANEL, at += height * ASSAY_PANEL)
        assay_kernels_active()->pack_transposed_f32(x + j, ldx, least(ASSAY_PANEL, depth - j),
                                                    count, at);
}

static size_t groups_of(size_t columns)
{
    return (columns + ASSAY_OUTPUT_GROUP - 1) / ASSAY_OUTPUT_GROUP;
}

/* Adds dy' x for outputs first .. first + count. */
static void add_product(size_t first, size_t count, const float *dy, size_t ldy, size_t rows,
                        const float *inputs, size_t depth, float *weight_gradient,
                        float *bias_gradient, float *scratch)
{
    const assay_kernels *kernels = assay_kernels_active();
    float *gradient = weight_gradient + first * depth;
    assay_epilogue add = {.residual = gradient, .ld_residual = depth};
    for (size_t at = 0; at < rows; at += ASSAY_INPUT_ROWS) {
        size_t part = least(ASSAY_INPUT_ROWS, rows - at);
        kernels->transpose_f32(dy + at * ldy + first, ldy, part, count, scratch,
                               ASSAY_TURNED_LD);
        if (bias_gradient != NULL)
            assay_add_sums(scratch, ASSAY_TURNED_LD, count, part, bias_gradient + first);
        kernels->gemm_f32(scratch, ASSAY_TURNED_LD, count,
                          inputs + at * assay_whole_panels(depth), depth, part, &add, gradient,
                          depth);
    }
}

/* ---- Low rank -------------------------------------------------------------------- */

size_t assay_low_size(const assay_trained_linear *linear)
{
    size_t columns = linear->columns, depth = linear->depth, rank = linear->low.rank;
    return assay_whole_panels(columns * rank) + assay_panels_size(rank, depth) +
           assay_panels_size(depth, rank) + assay_panels_size(rank, columns);
}

void assay_low_place(assay_trained_linear *linear, float *memory)
{
    size_t columns = linear->columns, depth = linear->depth, rank = linear->low.rank;
    linear->low.b_scaled = memory;
    linear->low.a_forth = linear->low.b_scaled + assay_whole_panels(columns * rank);
    linear->low.a_merging = linear->low.a_forth + assay_panels_size(rank, depth);
    linear->low.b_back = linear->low.a_merging + assay_panels_size(depth, rank);
}

void assay_low_inputs_put(const assay_trained_linear *linear, const float *x, size_t ldx,
                          size_t first, size_t count, size_t rows, float *narrow, float *panels)
{
    const assay_low_rank *low = &linear->low;
    assay_kernels_active()->gemm_f32(x, ldx, count, low->a_forth, low->rank, linear->depth, NULL,
                                     narrow, low->rank);
    for (size_t i = 0; i < count * low->rank; i++)
        narrow[i] *= low->factor;
    assay_inputs_put(narrow, low->rank, first, count, rows, low->rank, panels);
}

/* The gradient by A, a piece of rows after the other. */
static void add_low(const assay_trained_linear *linear, const float *dy, size_t ldy, size_t rows,
                    const float *inputs, float *narrow, float *scratch)
{
    const assay_low_rank *low = &linear->low;
    for (size_t at = 0; at < rows; at += ASSAY_INPUT_ROWS) {
        size_t part = least(ASSAY_INPUT_ROWS, rows - at);
        assay_kernels_active()->gemm_f32(dy + at * ldy, ldy, part, low->b_back, low->rank,
                                         linear->columns, NULL, narrow, low->rank);
        add_product(0, low->rank, narrow, low->rank, part,
                    inputs + at * assay_whole_panels(linear->depth), linear->depth,
                    low->a_gradient, NULL, scratch);
    }
}

/* ---- Items ----------------------------------------------------------------------- */

size_t assay_trained_groups(const assay_trained_linear *linear)
{
    return groups_of(linear->columns) + (linear->low.rank > 0 ? 1 : 0);
}

void assay_trained_weights(const assay_trained_linear *linear, size_t group, const float *dy,
                           size_t ldy, size_t rows, const float *inputs,
                           const float *low_inputs, float *narrow, float *scratch)
{
    const assay_low_rank *low = &linear->low;
    size_t first = group * ASSAY_OUTPUT_GROUP;
    if (group == groups_of(linear->columns)) {
        add_low(linear, dy, ldy, rows, inputs, narrow, scratch);
        return;
    }
    size_t count = least(ASSAY_OUTPUT_GROUP, linear->columns - first);
    if (low->rank > 0)
        add_product(first, count, dy, ldy, rows, low_inputs, low->rank, low->b_gradient,
                    linear->bias_gradient, scratch);
    else
        add_product(first, count, dy, ldy, rows, inputs, linear->depth, linear->weight_gradient,
                    linear->bias_gradient, scratch);
}
