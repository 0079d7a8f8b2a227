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

/* Floats of a packed matrix. */
static size_t panels_size(size_t columns, size_t depth, bool bf16)
{
    return bf16 ? assay_bf16_panels_size(columns, depth) / 2 : assay_panels_size(columns, depth);
}

size_t assay_trained_forth_size(const assay_trained_linear *linear)
{
    return panels_size(linear->columns, linear->depth, linear->bf16);
}

size_t assay_trained_back_size(const assay_trained_linear *linear)
{
    return panels_size(linear->depth, linear->columns, linear->bf16);
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
    if (linear->bf16) {
        kernels->pack_bf16(linear->weight, depth, columns, depth, linear->forth);
        kernels->pack_transposed_bf16(linear->weight, depth, depth, columns, linear->back);
    } else {
        kernels->pack_f32(linear->weight, depth, columns, depth, linear->forth);
        kernels->pack_transposed_f32(linear->weight, depth, depth, columns, linear->back);
    }
}

/* ---- Products -------------------------------------------------------------------- */

size_t assay_rounded_size(size_t rows, size_t width)
{
    return rows * assay_bf16_row_size(width);
}

/* c[rows][columns] = epilogue(a[rows][depth] · panels). */
static void multiply(bool bf16, const float *a, size_t lda, size_t rows, const void *panels,
                     size_t columns, size_t depth, const assay_epilogue *epilogue, float *c,
                     size_t ldc, uint16_t *rounded)
{
    const assay_kernels *kernels = assay_kernels_active();
    if (!bf16) {
        kernels->gemm_f32(a, lda, rows, panels, columns, depth, epilogue, c, ldc);
        return;
    }
    kernels->round_bf16(a, lda, rows, depth, rounded);
    kernels->gemm_bf16(rounded, rows, panels, columns, depth, epilogue, c, ldc);
}

void assay_trained_forth(const assay_trained_linear *linear, const float *x, size_t ldx,
                         size_t rows, assay_activation activation, float *y, size_t ldy,
                         uint16_t *rounded)
{
    assay_epilogue epilogue = {.bias = linear->bias, .activation = activation};
    multiply(linear->bf16, x, ldx, rows, linear->forth, linear->columns, linear->depth, &epilogue,
             y, ldy, rounded);
}

void assay_trained_back(const assay_trained_linear *linear, const float *dy, size_t ldy,
                        size_t rows, bool add, float *dx, size_t ldx, uint16_t *rounded)
{
    assay_epilogue epilogue = {.residual = dx, .ld_residual = ldx};
    multiply(linear->bf16, dy, ldy, rows, linear->back, linear->depth, linear->columns,
             add ? &epilogue : NULL, dx, ldx, rounded);
}

/* ---- Gradients of weights -------------------------------------------------------- */

/* Rows that a piece of `count` inputs takes of its panels. */
static size_t piece_height(size_t count, bool bf16)
{
    return bf16 ? assay_bf16_row_size(count) : count;
}

/* Floats of the panels before row `first`, where a piece begins. */
static size_t piece_at(size_t first, size_t depth, bool bf16)
{
    return first * assay_whole_panels(depth) / (bf16 ? 2 : 1);
}

size_t assay_inputs_size(size_t rows, size_t depth, bool bf16)
{
    return piece_at(piece_height(rows, bf16), depth, bf16);
}

static void put_inputs(bool bf16, const float *x, size_t ldx, size_t first, size_t count,
                       size_t rows, size_t depth, float *panels)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t piece = first / ASSAY_INPUT_ROWS * ASSAY_INPUT_ROWS;
    size_t height = piece_height(least(ASSAY_INPUT_ROWS, rows - piece), bf16);
    float *at = panels + piece_at(piece, depth, bf16);
    for (size_t j = 0; j < depth; j += ASSAY_PANEL) {
        size_t columns = least(ASSAY_PANEL, depth - j);
        size_t row = j * height + (first - piece) * ASSAY_PANEL;
        if (bf16)
            kernels->pack_transposed_bf16(x + j, ldx, columns, count, (uint16_t *)at + row);
        else
            kernels->pack_transposed_f32(x + j, ldx, columns, count, at + row);
    }
}

void assay_inputs_put(const assay_trained_linear *linear, const float *x, size_t ldx,
                      size_t first, size_t count, size_t rows, float *panels)
{
    put_inputs(linear->bf16, x, ldx, first, count, rows, linear->depth, panels);
}

static size_t groups_of(size_t columns)
{
    return (columns + ASSAY_OUTPUT_GROUP - 1) / ASSAY_OUTPUT_GROUP;
}

/* Adds dy' x for outputs first .. first + count. */
static void add_product(bool bf16, size_t first, size_t count, const float *dy, size_t ldy,
                        size_t rows, const float *inputs, size_t depth, float *weight_gradient,
                        float *bias_gradient, float *scratch, uint16_t *rounded)
{
    float *gradient = weight_gradient + first * depth;
    assay_epilogue add = {.residual = gradient, .ld_residual = depth};
    for (size_t at = 0; at < rows; at += ASSAY_INPUT_ROWS) {
        size_t part = least(ASSAY_INPUT_ROWS, rows - at);
        assay_kernels_active()->transpose_f32(dy + at * ldy + first, ldy, part, count, scratch,
                                              ASSAY_TURNED_LD);
        if (bias_gradient != NULL)
            assay_add_sums(scratch, ASSAY_TURNED_LD, count, part, bias_gradient + first);
        multiply(bf16, scratch, ASSAY_TURNED_LD, count, inputs + piece_at(at, depth, bf16), depth,
                 part, &add, gradient, depth, rounded);
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
    put_inputs(linear->bf16, narrow, low->rank, first, count, rows, low->rank, panels);
}

/* The gradient by A, a piece of rows after the other. */
static void add_low(const assay_trained_linear *linear, const float *dy, size_t ldy, size_t rows,
                    const float *inputs, float *narrow, float *scratch, uint16_t *rounded)
{
    const assay_low_rank *low = &linear->low;
    for (size_t at = 0; at < rows; at += ASSAY_INPUT_ROWS) {
        size_t part = least(ASSAY_INPUT_ROWS, rows - at);
        assay_kernels_active()->gemm_f32(dy + at * ldy, ldy, part, low->b_back, low->rank,
                                         linear->columns, NULL, narrow, low->rank);
        add_product(linear->bf16, 0, low->rank, narrow, low->rank, part,
                    inputs + piece_at(at, linear->depth, linear->bf16), linear->depth,
                    low->a_gradient, NULL, scratch, rounded);
    }
}

/* ---- Items ----------------------------------------------------------------------- */

size_t assay_trained_groups(const assay_trained_linear *linear)
{
    return groups_of(linear->columns) + (linear->low.rank > 0 ? 1 : 0);
}

void assay_trained_weights(const assay_trained_linear *linear, size_t group, const float *dy,
                           size_t ldy, size_t rows, const float *inputs,
                           const float *low_inputs, float *narrow, float *scratch,
                           uint16_t *rounded)
{
    const assay_low_rank *low = &linear->low;
    size_t first = group * ASSAY_OUTPUT_GROUP;
    if (group == groups_of(linear->columns)) {
        add_low(linear, dy, ldy, rows, inputs, narrow, scratch, rounded);
        return;
    }
    size_t count = least(ASSAY_OUTPUT_GROUP, linear->columns - first);
    if (low->rank > 0)
        add_product(linear->bf16, first, count, dy, ldy, rows, low_inputs, low->rank,
                    low->b_gradient, linear->bias_gradient, scratch, rounded);
    else
        add_product(linear->bf16, first, count, dy, ldy, rows, inputs, linear->depth,
                    linear->weight_gradient, linear->bias_gradient, scratch, rounded);
}
