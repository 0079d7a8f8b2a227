/* SPDX-License-Identifier: Apache-2.0 */
/*
 * architectures.h: the checkpoints that the one encoder runs, and what sets one
 * kind apart from another.
 */
#ifndef ASSAY_ARCHITECTURES_H
#define ASSAY_ARCHITECTURES_H

#include <assay.h>

typedef struct assay_architecture {
    const char *type;       /* model_type of config.json */
    const char *classes;    /* how the names of its classes begin */
    const char *prefix;     /* of the trunk's tensors in its task models */
    const char *dense;      /* classification head: its hidden layer ... */
    bool dense_in_trunk;    /* ... whose name has the prefix, too ... */
    const char *classifier; /* ... and the layer that gives the logit */
    bool after_padding;     /* positions count from behind the padding token's id */
    bool types;             /* the second text of a pair is told by its token type */
} assay_architecture;

/* NULL when assay has none of this model_type. */
const assay_architecture *assay_architecture_find(const char *type);

/* What a class of it is, by its name; false when assay has no use for it. */
bool assay_architecture_kind(const assay_architecture *architecture, const char *class_name,
                             assay_model_kind *kind);

/* Those that there are, for errors: "bert, roberta or xlm-roberta". */
#define ASSAY_ARCHITECTURES "bert, roberta or xlm-roberta"

#endif
