/* SPDX-License-Identifier: Apache-2.0 */
/* trainable_parts.h: what assay_trainable is made of; for its own files alone. */
#ifndef ASSAY_TRAINABLE_PARTS_H
#define ASSAY_TRAINABLE_PARTS_H

#include "base/arena.h"
#include "learn/trainable.h"
#include "learn/trained_encoder.h"

/* Where a parameter's first values come from: a matrix of the base, a vector, or, when
 * both are NULL, a draw. */
typedef struct assay_parameter_source {
    const assay_table *table;
    const float *vector;
    float **values, **gradient; /* places that want to know where it lies; may be NULL */
    bool joined;                /* the next one follows without a gap: key and value */
    bool zero;                  /* not drawn but 0 */
} assay_parameter_source;

struct assay_trainable {
    assay_trainable_options options;
    assay_model_config config; /* of what it becomes */
    assay_model_kind base_kind;
    char folder[2048];         /* of the base, */
    char weights[2048];        /* and of its weights */
    assay_tokenizer *tokenizer;
    assay_safetensors *tensors;
    assay_safetensors *projection; /* of a base for late interaction, in a folder of its own */
    assay_encoder base;        /* where its tensors are */
    assay_trained_encoder encoder;
    assay_parameter *parameters;
    assay_parameter_source *sources;
    size_t parameter_count;
    size_t floats;             /* of all values, gaps counted */
    float *values, *gradients;
    float *panels;
    size_t panel_floats;
    assay_trained_linear **linears;
    const assay_linear **linear_sources; /* of these, in the base, */
    const char **linear_names;           /* and their names without ".weight" */
    size_t linear_count;
    float *low_memory;         /* weights of layers with a rank, and what packing them wants */
    size_t low_floats;
    bool stale;                /* panels are behind the weights */
    assay_trained_pass pass;
    bool kept;                 /* it can be gone back through */
    assay_arena *arena;
};

/* Everything up to the parameters' values. */
assay_status assay_trainable_load(assay_trainable *model, const char *folder, bool *drawn,
                                  assay_error *error);

/* Brings what is made of the weights up to date: panels, and weights of layers with a
 * rank. */
void assay_trainable_pack(assay_trainable *model);

/* Before the names of the trunk's tensors: "bert." or "". */
const char *assay_trainable_prefix(const assay_trainable *model);

#endif
