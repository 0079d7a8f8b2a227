/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors_writer.c: see safetensors_writer.h, and safetensors.c for the format.
 *
 * The format allows no holes between tensors, so alignment is a matter of
 * order: tensors whose size is divisible by a larger power of two come first.
 * The first begins at a multiple of 64, the header being padded with spaces.
 */
#include "model/safetensors_writer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static uint64_t alignment_of(const assay_tensor_plan *tensor)
{
    uint64_t bytes = tensor->bytes | ALIGNMENT;
    return bytes & (~bytes + 1);
}

static int by_alignment(const void *left, const void *right)
{
    const assay_tensor_plan *a = left, *b = right;
    uint64_t first = alignment_of(a), second = alignment_of(b);
    return first != second ? (first < second) - (first > second) : strcmp(a->name, b->name);
}

static json_t *describe(const assay_tensor_plan *tensor, uint64_t offset)
{
    json_t *shape = json_array();
    for (uint32_t i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype_name, "shape", shape,
                     "data_offsets", (json_int_t)offset, (json_int_t)(offset + tensor->bytes));
}

/* The header's text, to be freed; NULL when memory is short. */
static char *header_text(const assay_tensor_plan *tensors, size_t count, const char *provenance)
{
    json_t *root = json_pack("{s:{s:s, s:s}}", "__metadata__", "format", "pt", "made_by",
                             provenance);
    uint64_t offset = 0;
    int failed = root == NULL;
    for (size_t i = 0; i < count; i++) {
        failed |= json_object_set_new(root, tensors[i].name, describe(&tensors[i], offset)) != 0;
        offset += tensors[i].bytes;
    }
    char *text = failed ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

assay_status assay_safetensors_begin(assay_tensor_plan *tensors, size_t count,
                                     const char *provenance, FILE *stream, assay_error *error)
{
    qsort(tensors, count, sizeof *tensors, by_alignment);
    char *text = header_text(tensors, count, provenance);
    if (text == NULL)
        return assay_fail_memory(error, 256 * (count + 1));
    size_t length = strlen(text);
    size_t padded = (8 + length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - 8;
    for (int i = 0; i < 8; i++)
        putc((int)((uint64_t)padded >> (8 * i) & 0xFF), stream);
    fprintf(stream, "%s%*s", text, (int)(padded - length), "");
    free(text);
    return ASSAY_OK;
}
