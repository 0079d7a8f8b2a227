/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels.h: the contract of the SIMD arithmetic.
 *
 * Every kernel exists for each instruction set (kernels_scalar.c,
 * kernels_avx2.c ...), chosen once by what the processor has and $ASSAY_CPU. The
 * results are the same bits in all of them (but see bfloat16 below), whatever the
 * row a value stands in and however many rows there are, because the order of
 * every sum is part of the contract:
 *
 *  - A product sum over `depth` (gemm) is one chain of fused multiply-adds per
 *    output, k = 0, 1, 2 ... starting from 0.
 *  - A sum or product sum over a vector (dots, layer_norm, softmax) is kept in
 *    16 lanes, element i going to lane i mod 16 by one operation; the lanes are
 *    then added in the tree (l, l+8), (l, l+4), (l, l+2), (l, l+1).
 *  - exp, GELU and tanh are polynomials of fused multiply-adds, the same
 *    coefficients and the same order everywhere; bounds stand by their code
 *    (kernels_math.h).
 *  - A NaN is a NaN: its sign and payload are not part of this, but for the
 *    conversions'.
 *
 * Matrices are row-major with a leading dimension in elements. No pointer needs
 * alignment, aligned ones are faster. Sizes may be 0. Thread-safe.
 *
 * Packed matrix ("panels"): columns in groups of ASSAY_PANEL, the last one
 * filled up with zeros; within a group depth rows of ASSAY_PANEL floats.
 */
#ifndef ASSAY_KERNELS_H
#define ASSAY_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.inc"

#define ASSAY_PANEL 16
#define ASSAY_I8_STEP 64   /* of dots_at_i8, dots_at_bits */
#define ASSAY_MAXSIM_DEPTH 4096 /* of maxsim_i8, maxsim_f16 */
#define ASSAY_BF16_STEP 32 /* depths of bfloat16 are filled up with zeros to this */

/* Largest integer of an int8 weight, and what stands for a probability of 1. */
#define ASSAY_I8_LIMIT 127.0f
#define ASSAY_I16_ONE 32767.0f

/* n up to a multiple of ASSAY_PANEL. */
static inline size_t assay_whole_panels(size_t n)
{
    return (n + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL;
}

/* Floats of a packed matrix. */
static inline size_t assay_panels_size(size_t columns, size_t depth)
{
    return assay_whole_panels(columns) * depth;
}

/* Elements of a row from round_bf16, and of a matrix packed by pack_bf16. */
static inline size_t assay_bf16_row_size(size_t depth)
{
    return (depth + ASSAY_BF16_STEP - 1) / ASSAY_BF16_STEP * ASSAY_BF16_STEP;
}

static inline size_t assay_bf16_panels_size(size_t columns, size_t depth)
{
    return assay_panels_size(columns, assay_bf16_row_size(depth));
}

/* What an int8 product takes of the elements along its depth, its inputs: a byte of
 * each, or several of those that are known to grow large. Their sum counts, so that
 * one large input does not make the steps of all others coarse (Zhao et al. 2019,
 * outlier channel splitting). Immutable, and outlives what was packed with it. */
typedef struct assay_i8_inputs {
    size_t depth;
    size_t extra;          /* bytes beyond one an input */
    const uint16_t *owner; /* [extra] whose byte it is, ascending ... */
    const float *order;    /* [extra] ... and how many bytes of that come before it */
    const float *bytes;    /* [depth] how many an input has, or NULL: one each */
    const float *shares;   /* [depth] 1 / bytes, or NULL */
} assay_i8_inputs;

/* A quantised row: its values are (integer - zero) * scale, 0 <= zero <= 255. */
typedef struct assay_i8_row {
    float scale; /* NaN: the row held NaN or infinity */
    int32_t zero;
} assay_i8_row;

/* Bytes of a matrix packed by pack_i8, and of one row from quantize_i8, at most. */
static inline size_t assay_i8_panels_size(size_t columns, const assay_i8_inputs *inputs)
{
    size_t width = (inputs->depth + inputs->extra + 3) / 4 * 4;
    return (columns + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL * (4 + width);
}

/* Two bytes an element, and multiples of 64, which AMX reads of the last row. */
static inline size_t assay_i8_row_size(const assay_i8_inputs *inputs)
{
    return (inputs->depth + inputs->extra + 63) / 64 * 64 * 2;
}

/* Elements of a matrix packed by pack_i16 or pack_transposed_i16. */
static inline size_t assay_i16_panels_size(size_t columns, size_t depth)
{
    return (columns + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL * ((depth + 1) / 2 * 2);
}

typedef enum assay_activation {
    ASSAY_ACTIVATION_NONE = 0,
    ASSAY_ACTIVATION_GELU, /* exact: x/2 (1 + erf(x / sqrt 2)) */
    ASSAY_ACTIVATION_TANH,
    ASSAY_ACTIVATION_RELU,
} assay_activation;

/* c = activation(a·b + bias) + residual, in that order. */
typedef struct assay_epilogue {
    const float *bias;     /* [columns], or NULL */
    const float *residual; /* [rows][ld_residual], or NULL; may be c itself */
    size_t ld_residual;
    assay_activation activation;
} assay_epilogue;

/*
 * gemm_f32            c[rows][columns] = epilogue(a[rows][depth] · panels).
 *                     epilogue may be NULL. c must not overlap a or panels.
 * pack_f32            panels of w[columns][depth]: a linear layer's weight as
 *                     Hugging Face stores it (output, input).
 * pack_transposed_f32 panels of b[depth][columns].
 * transpose_f32       y[columns][ldy] of x[rows][columns], each row filled up with 0 to
 *                     a multiple of ASSAY_PANEL, which ldy is at least.
 * gelu_f32            y[i] = GELU(x[i]), and gradient[i] times its derivative there;
 *                     gradient may be NULL, y may be x.
 * layer_norm_f32      y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
 *                     a row; variance from a second pass over x - mean. y may
 *                     be x.
 * softmax_f32         each row of x[rows][n] becomes softmax(scale * row). -inf
 *                     gives 0, as do values 87.3 below the largest; a NaN, or
 *                     +inf, or nothing but -inf makes its row NaN.
 * dots_f32            out[i] = query[n] · vectors[i][n].
 * dots_at_f32         out[i] = query[n] · vectors[at[i]][n]: rows here and there.
 * dots_at_f16         the same of vectors in IEEE binary16; n is a multiple of 16.
 * maxsim_f32          best[j] = the largest of itself and rows[i][depth] · column j
 *                     of panels, i < count: what late interaction asks of a document,
 *                     a query's tokens being the columns. Products as gemm_f32's; a
 *                     NaN is passed over.
 * maxsim_f16          the same of rows in IEEE binary16, widened; depth is at most
 *                     ASSAY_MAXSIM_DEPTH.
 * f16_to_f32          IEEE binary16; NaN and infinity kept.
 * bf16_to_f32         the upper half of a binary32.
 * i8_to_f32           y = x * scale.
 *
 * Products of bfloat16, for models that run at it: operands are rounded to 8 bits
 * of mantissa (to nearest, ties to even; what is smaller than the smallest normal
 * float counts as 0, a NaN becomes quiet), products and sums are floats. Rounding
 * and panels are the same bits in every set. Of the product, a sum is one chain of
 * fused multiply-adds per output, k = 1, 0, 3, 2, 5, 4 ... starting from 0: what
 * the instruction vdpbf16ps does, which Zen 4 was found to follow to the bit. So
 * sets agree bit for bit, but for two: with that instruction (avx512bf16) a sum on
 * its way that is smaller than the smallest normal float becomes 0; amx does that
 * too, and adds the even and the odd of every ASSAY_BF16_STEP products up by
 * themselves before they go into the sum. Whatever the set, the bits do not depend
 * on the rows around a row.
 *
 * round_bf16          y[rows][assay_bf16_row_size(n)] of x[rows][n], filled up
 *                     with 0.
 * pack_bf16           panels of w[columns][depth], rounded likewise, in pairs along
 *                     the depth, which is filled up with 0. The panels from column
 *                     j on, a multiple of ASSAY_PANEL, stand at
 *                     assay_bf16_panels_size(j, depth), so packing may be shared.
 * pack_transposed_bf16 the same panels of b[depth][columns].
 * gemm_bf16           c = epilogue(a · panels), a as round_bf16 makes it.
 *
 * Integer products, for models that run at int8. The sums are exact, so sets
 * agree bit for bit here too; exp and GELU are coarser (kernels_math.h). The
 * forms of quantised rows of bytes and of panels of integers are the set's own:
 * read them with the same set only.
 *
 * quantize_i8         each row of x[rows][inputs->depth]: with low and high the
 *                     least and the largest of 0 and the shares x[k] * shares[k],
 *                     scale is (high - low) / 255 and zero is -low / scale rounded.
 *                     An input's integer is x[k] * (255 / (high - low)), rounded to
 *                     even, within bytes[k] times [-zero, 255 - zero]. A row that
 *                     holds NaN or infinity, or spans more than FLT_MAX, has the
 *                     scale NaN.
 * pack_i8             panels of w[columns][depth], each value at least -127. The
 *                     panels from column j on, a multiple of ASSAY_PANEL, stand at
 *                     assay_i8_panels_size(j, inputs), so packing may be shared.
 * gemm_i8             c = epilogue(a · panels), the sum of products of integers of
 *                     row i and column j counting steps[i].scale * scales[j]. The
 *                     activation is not TANH. depth + extra < 65536, so that a sum
 *                     fits 32 bits; an input has at most 128 bytes.
 * dots_at_i8          out[i] = query[n] · vectors[at[i]][n], bytes from -127 to 127
 *                     (-128 gives some number); n is a multiple of ASSAY_I8_STEP,
 *                     at most 65536, so that a sum fits 32 bits.
 * dots_at_bits        out[i] = the sum of query[n], bytes from -127 to 127, each with its
 *                     sign where bit j % 8 of byte j / 8 of the row is 1, else with the
 *                     other. Row i begins at rows + at[i] * stride; n is a multiple of
 *                     ASSAY_I8_STEP, at most 65536. The row is fetched ahead to its end.
 * maxsim_i8           maxsim_f32 of rows[count][depth] of integers as they are kept,
 *                     row i counting steps[i] each, and of panels by pack_i8 without
 *                     extra bytes: the largest of steps[i] * (the sum of products).
 *                     depth <= ASSAY_MAXSIM_DEPTH.
 * maxsim_residual_i8  the same of rows that are what is left of vectors without their
 *                     centres: the largest of products[centres[i]][j] + steps[i] * (the
 *                     sum of products). A row of products holds assay_whole_panels(columns).
 * maxsim_centres      the largest of best[j] and products[centres[i]][j]: what the
 *                     centres alone tell.
 * quantize_i16        x[rows][n] as integers of at most `limit`, with one scale
 *                     for all: q[rows][n rounded up to even], the filler 0.
 * pack_i16            panels of w[columns][depth], in pairs along the depth: ldw
 *                     and lda below are even, filled up with 0 where depth is odd.
 * pack_transposed_i16 panels of b[depth][columns].
 * gemm_i16            c = (a · panels) * scale. The caller sees to it that no sum
 *                     leaves 32 bits.
 * sums_i16            c = a · panels. c's rows have room for whole panels (ldc), and are
 *                     filled up with 0.
 * softmax_i16         of x[rows][n], rows as sums_i16 leaves them, powers of two counting
 *                     `scale` each: probabilities p, ASSAY_I16_ONE meaning 1. Both have
 *                     room for whole panels (ldx, ldp); p is filled up with 0, x is
 *                     overwritten, with floats.
 */
typedef struct assay_kernels {
    const char *name; /* as $ASSAY_CPU takes it */
    int has_bf16;     /* instructions for it: products are faster than those of floats */
#define ASSAY_FIELD(set, name, parameters) void(*name) parameters;
    ASSAY_FLOAT_KERNELS(ASSAY_FIELD, )
    ASSAY_BF16_KERNELS(ASSAY_FIELD, )
    ASSAY_I8_KERNELS(ASSAY_FIELD, )
    ASSAY_I16_KERNELS(ASSAY_FIELD, )
#undef ASSAY_FIELD
} assay_kernels;

/* The set in use. */
const assay_kernels *assay_kernels_active(void);

/* Set number i, best last; NULL past the end, and for sets that this CPU lacks
 * `*usable` is false: for tests and benches that compare them all. */
const assay_kernels *assay_kernels_at(size_t i, int *usable);

#endif
