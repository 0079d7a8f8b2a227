/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration.h: which inputs of the int8 layers get more bytes than one
 * (assay_i8_inputs in kernels.h).
 *
 * A quantised folder says so in tensors of its own, X.input_bytes, a number for
 * each input of layer X. For any other folder it is found by sending some short
 * texts through the model at fp32 and looking at how large each input becomes.
 * Rows get their scales when they come, so an input that later grows larger
 * than it did costs precision and is never cut off.
 */
#ifndef ASSAY_CALIBRATION_H
#define ASSAY_CALIBRATION_H

#include "model/encoder.h"
#include "text/tokenizer.h"

#define ASSAY_INPUT_BYTES ".input_bytes"

/* A place where rows are quantised, and the layers that read them there. */
typedef struct assay_site {
    assay_linear *layers[2];
    size_t count;
} assay_site;

#define ASSAY_LAYER_SITES 4
#define ASSAY_SITE_DOWN 3 /* the last of them */

/* The sites of a layer: before attention, after it, before and after the
 * activation. */
void assay_layer_sites(assay_layer *layer, assay_site sites[ASSAY_LAYER_SITES]);

/* From now on every site's inputs are told to its own of observed[count], with
 * products or without; until they are forgotten. False, and nothing is told, when
 * there is no memory. */
bool assay_sites_observe(const assay_site *sites, size_t count, bool products,
                         assay_observed *observed);
void assay_sites_forget(const assay_site *sites, size_t count, assay_observed *observed);

/* The name of a site's tensor; false when it does not fit. */
bool assay_site_name(const assay_site *site, char *name, size_t size);

/* Sets the layers' inputs from the folder's tensors. *found is false when it has
 * none of them; some only, or senseless ones, are FORMAT. */
assay_status assay_calibration_load(const assay_safetensors *tensors, assay_encoder *encoder,
                                    assay_arena *arena, bool *found, assay_error *error);

/* Shares a site's bytes out by its inputs' largest values. */
assay_status assay_calibration_share(const assay_site *site, const float *largest,
                                     assay_arena *arena, assay_error *error);

/* Sends all texts through the encoder, which is packed at fp32; what tick returns
 * before each but OK ends it. */
assay_status assay_calibration_send(const assay_encoder *encoder,
                                    const assay_tokenizer *tokenizer,
                                    assay_status (*tick)(void *), void *context,
                                    assay_error *error);

/* Sets the layers' inputs by running the encoder, which is packed at fp32. */
assay_status assay_calibration_run(assay_encoder *encoder, const assay_tokenizer *tokenizer,
                                   assay_arena *arena, assay_error *error);

#endif
