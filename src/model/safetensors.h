/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors.h: tensors of a model folder, mapped and never copied.
 *
 * Opened from <folder>/model.safetensors, or from the files that
 * <folder>/model.safetensors.index.json names. All of the header is checked
 * when it is opened; a tensor that is handed out lies inside its file.
 * Immutable after opening; shared between threads.
 */
#ifndef ASSAY_SAFETENSORS_H
#define ASSAY_SAFETENSORS_H

#include "base/hash.h"
#include "base/status.h"

#define ASSAY_TENSOR_RANK 8

typedef enum assay_dtype {
    ASSAY_DTYPE_F32,
    ASSAY_DTYPE_F16,
    ASSAY_DTYPE_BF16,
    ASSAY_DTYPE_I8,
    ASSAY_DTYPE_OTHER, /* known to the format, of no use to an encoder */
} assay_dtype;

typedef struct assay_tensor {
    const char *name;
    const char *file;       /* path of the file it lies in, for errors */
    const char *dtype_name; /* as written: "F32" */
    assay_dtype dtype;
    uint32_t rank;
    uint64_t shape[ASSAY_TENSOR_RANK];
    uint64_t elements;
    const uint8_t *data; /* not aligned to more than a byte */
    uint64_t bytes;
} assay_tensor;

typedef struct assay_safetensors assay_safetensors;

/* NOT_FOUND when the folder has no safetensors, UNSUPPORTED when it has weights
 * of another kind only, FORMAT naming file and tensor. */
assay_status assay_safetensors_open(const char *folder, assay_safetensors **out,
                                    assay_error *error);
/* One file that is in memory already (tests, fuzzing). `data` must outlive it. */
assay_status assay_safetensors_parse(const uint8_t *data, size_t size, const char *file,
                                     assay_safetensors **out, assay_error *error);
void assay_safetensors_close(assay_safetensors *tensors);

size_t assay_safetensors_count(const assay_safetensors *tensors);
/* Tensor i in name order. */
const assay_tensor *assay_safetensors_at(const assay_safetensors *tensors, size_t i);
/* NULL when there is none. */
const assay_tensor *assay_safetensors_find(const assay_safetensors *tensors, const char *name);
uint64_t assay_safetensors_bytes(const assay_safetensors *tensors);

/* Adds to the digest: every tensor's name, type, shape and first 4 KiB. */
void assay_safetensors_digest(const assay_safetensors *tensors, assay_hasher *hasher);

/* Tells the system that the pages touched so far may go. */
void assay_safetensors_forget(const assay_safetensors *tensors);

/* Whether a file of a model folder is weights, in any format that there is, or only
 * describes some. */
bool assay_is_weights_file(const char *name);

/* "[2,3]" into text[size]. */
void assay_shape_text(const uint64_t *shape, uint32_t rank, char *text, size_t size);

#endif
