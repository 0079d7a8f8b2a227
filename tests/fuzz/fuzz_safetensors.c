/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_safetensors.c: a safetensors file, and config.json, of any bytes. Every
 * byte of every tensor that is handed out is touched, so that a sanitizer sees
 * one that lies outside. */
#include <stdlib.h>
#include <string.h>

#include "model/model_config.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tensors(const uint8_t *data, size_t size)
{
    assay_safetensors *tensors;
    assay_error error;
    if (assay_safetensors_parse(data, size, "fuzz", &tensors, &error) != ASSAY_OK)
        return;
    uint64_t covered = 0;
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(tensors, i);
        volatile uint8_t sum = 0;
        for (uint64_t j = 0; j < tensor->bytes; j++)
            sum = (uint8_t)(sum + tensor->data[j]);
        covered += tensor->bytes;
        if (assay_safetensors_find(tensors, tensor->name) != tensor)
            abort();
    }
    if (covered > size)
        abort();
    assay_safetensors_close(tensors);
}

/* The first byte chooses; for tensors the next two are the header's length and
 * the rest follows it, because eight bytes are rarely guessed right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    assay_model_config config;
    assay_error error;
    if (data[0] % 4 == 0) {
        read_tensors(data + 1, size - 1);
    } else if (data[0] % 4 == 1) {
        assay_model_config_parse((const char *)data + 1, size - 1, "fuzz", &config, &error);
    } else {
        uint8_t *file = calloc(1, size - 3 + 8);
        if (file == NULL)
            return 0;
        file[0] = data[1];
        file[1] = data[2];
        memcpy(file + 8, data + 3, size - 3);
        read_tensors(file, size - 3 + 8);
        free(file);
    }
    return 0;
}
