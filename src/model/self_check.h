/* SPDX-License-Identifier: Apache-2.0 */
/* self_check.h: whether a model bears 8 bits, found out when it is opened. */
#ifndef ASSAY_SELF_CHECK_H
#define ASSAY_SELF_CHECK_H

#include "model/encoder.h"
#include "text/tokenizer.h"

/* The error of a layer (audit.h) above which int8 is not used. */
#define ASSAY_INT8_BOUND 0.15

/* Runs one short text through the layers, packed as bytes, and puts a sentence
 * into notice[size] when a layer's error is above the bound: why int8 must not be
 * used. "" when it may. */
assay_status assay_self_check(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                              char *notice, size_t size, assay_error *error);

#endif
