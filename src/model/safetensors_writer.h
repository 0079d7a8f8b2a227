/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors_writer.h: the head of a safetensors file; the caller writes the
 * tensors' bytes after it, one tensor after the other.
 */
#ifndef ASSAY_SAFETENSORS_WRITER_H
#define ASSAY_SAFETENSORS_WRITER_H

#include <stdio.h>

#include "model/safetensors.h"

typedef struct assay_tensor_plan {
    const char *name;
    const char *dtype_name; /* "I8" */
    uint32_t rank;
    uint64_t shape[ASSAY_TENSOR_RANK];
    uint64_t bytes;
    const assay_tensor *source; /* the caller's own, */
    const uint8_t *data;        /* and this */
} assay_tensor_plan;

/* Puts the tensors into the order in which their bytes must be written, and
 * writes everything that comes before them. Whoever maps the file finds each
 * tensor aligned to its elements, and to 64 bytes if its size is a multiple of
 * that. Errors: MEMORY; what the stream refused is found by ferror. */
assay_status assay_safetensors_begin(assay_tensor_plan *tensors, size_t count,
                                     const char *provenance, FILE *stream, assay_error *error);

#endif
