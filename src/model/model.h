/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: what the rank floor sees of an open model. Opening, closing and
 * describing are public (assay.h). Immutable; shared between threads. */
#ifndef ASSAY_MODEL_H
#define ASSAY_MODEL_H

#include "model/encoder.h"
#include "text/tokenizer.h"

struct assay_model {
    assay_model_config config;
    assay_encoder encoder;
    assay_model_info info;
    assay_tokenizer *tokenizer;
    assay_safetensors *tensors;
    assay_arena *arena;  /* layers and vectors */
    void *panels;        /* packed layers */
};

#endif
