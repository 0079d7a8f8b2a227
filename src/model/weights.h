/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weights.h: tensors of a file turned into what the kernels want.
 *
 * A table stays in the file (mapped, as F32, F16, BF16 or int8 rows with one
 * scale each) and is converted a row at a time. A linear layer is converted and
 * packed once. A vector is converted once. All immutable after loading.
 */
#ifndef ASSAY_WEIGHTS_H
#define ASSAY_WEIGHTS_H

#include "base/arena.h"
#include "kernels/kernels.h"
#include "model/observed.h"
#include "model/safetensors.h"

/* CORRUPT, naming the tensor and the place, when a float of it is NaN or infinite. */
assay_status assay_tensor_check(const assay_tensor *tensor, assay_error *error);

/* A matrix in the file. scale: NULL, or one factor a row (int8 rows). refined: NULL,
 * or what is to be added to some of these rows. */
typedef struct assay_table {
    const assay_tensor *weight;
    const assay_tensor *scale;
    size_t rows, columns;
    const struct assay_refined *refined;
} assay_table;

/* What int8 left of some rows, in another eight bits: rows with one weight that is much
 * larger than the others, whose steps are therefore coarse. */
typedef struct assay_refined {
    assay_table table;    /* int8, [count][columns] */
    size_t count;         /* from 1 to ASSAY_PANEL */
    const uint32_t *rows; /* [count], ascending: whose rest each is */
    const float *bias;    /* [count] of these rows, in the place of the layer's */
} assay_refined;

/* Row `row` (< rows) as floats into out[columns]. */
void assay_table_row(const assay_table *table, size_t row, float *out);

/* Finds the tensor called `name` and, when it is int8, name + "_scale"
 * ([rows,1] or [rows]). Missing, or another shape: FORMAT naming it. */
assay_status assay_table_find(const assay_safetensors *tensors, const char *name, size_t rows,
                              size_t columns, assay_table *out, assay_error *error);

/* Sets table->refined from the tensors beside X.weight, the name of the table, where the
 * folder has them (weights.c says which); they outlive it. Errors as for a table. */
assay_status assay_refined_find(const assay_safetensors *tensors, const char *name,
                                assay_arena *arena, assay_table *table, assay_error *error);

/* A vector of `count` floats, converted into the arena. */
assay_status assay_vector_load(const assay_safetensors *tensors, const char *name, size_t count,
                               assay_arena *arena, const float **out, assay_error *error);

/* y = x·W' + bias. The weight's rows come from up to two tables, one after the
 * other (key and value are one product). */
typedef struct assay_linear {
    assay_table parts[2];
    size_t part_count;
    size_t columns, depth; /* output and input features */
    const float *bias;     /* [columns] */
    bool halves;           /* wanted as bfloat16, */
    bool bytes;            /* or as int8, one scale an output feature */
    const void *panels;    /* after assay_linears_pack: floats, bfloat16, or bytes ... */
    const float *scales;   /* ... and then [columns], */
    const assay_i8_inputs *inputs; /* set before packing */
    assay_observed *observed; /* told of all inputs; NULL: nothing is */
    struct assay_linear *rests; /* at int8: what is added to the refined rows; or NULL */
} assay_linear;

/* Weights of output feature `row`, as floats into out[depth]. */
void assay_linear_row(const assay_linear *linear, size_t row, float *out);

/* Packs all the layers into one block, on all cores; `first` runs beside it, as
 * one more item of the loop. *block is freed with free(). */
assay_status assay_linears_pack(assay_linear *const *linears, size_t count,
                                void (*first)(void *), void *context, void **block,
                                assay_error *error);

#endif
