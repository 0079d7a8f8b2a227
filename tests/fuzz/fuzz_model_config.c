/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_model_config.c: any bytes as config.json: refused, or sizes that keep
 * what the encoder counts on. */
#include <stdlib.h>

#include "model/model_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_model_config config;
    if (assay_model_config_parse((const char *)data, size, "config.json", &config, NULL) !=
        ASSAY_OK)
        return 0;
    if (config.family == NULL || config.layers == 0 || config.heads == 0 ||
        config.hidden % config.heads != 0 || config.vocabulary == 0 || config.types == 0 ||
        config.longest == 0 || config.padding < -1 ||
        config.longest + (uint32_t)(config.padding + 1) != config.positions)
        abort();
    return 0;
}
