/* SPDX-License-Identifier: Apache-2.0 */
/* bert.h: the tensors of checkpoints of BERT and its kin (architectures.h), mapped
 * onto the encoder. */
#ifndef ASSAY_BERT_H
#define ASSAY_BERT_H

#include "model/encoder.h"

/* Finds and checks every tensor that the encoder needs. Small vectors and the
 * layers' list go into the arena; linear layers are left to be packed. projection:
 * where that of late interaction is. */
assay_status assay_bert_load(const assay_safetensors *tensors, const assay_model_config *config,
                             const assay_safetensors *projection, assay_arena *arena,
                             assay_encoder *out, assay_error *error);

/* Where the projection of late interaction lies: in a folder of its own, which is then
 * opened and *own to be closed, or among the trunk's tensors: then its shape is asked,
 * too, where artifact.metadata does not say the dimensions. */
assay_status assay_bert_find_projection(const char *folder, const assay_safetensors *tensors,
                                        assay_model_config *config, assay_safetensors **own,
                                        const assay_safetensors **out, assay_error *error);

#endif
