/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_late_config.c: any bytes as the settings of a ColBERT, in each of the files that
 * these stand in: refused, or within what the model counts on. The first byte says in
 * which. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/late_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static assay_status read_as(int kind, const json_t *root, assay_late_config *out)
{
    return kind == 0   ? assay_late_config_metadata(root, "artifact.metadata", out, NULL)
           : kind == 1 ? assay_late_config_sentence(root, "config_sentence_transformers.json",
                                                    out, NULL)
                       : assay_late_config_dense(root, "config.json", 64, out, NULL);
}

static void check(const assay_late_config *config)
{
    if (config->query_length < 4 || config->document_length < 4 ||
        config->dimensions > ASSAY_LATE_DIMENSIONS ||
        config->skipped_count > ASSAY_LATE_SKIPPED_MAX ||
        memchr(config->query_marker, 0, sizeof config->query_marker) == NULL ||
        memchr(config->document_marker, 0, sizeof config->document_marker) == NULL)
        abort();
    for (uint32_t i = 0; i < config->skipped_count; i++)
        if (memchr(config->skipped[i], 0, sizeof config->skipped[i]) == NULL)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    json_t *root = json_loadb((const char *)data + 1, size - 1, 0, NULL);
    assay_late_config config;
    assay_late_config_default(&config);
    if (root != NULL && read_as(data[0] % 3, root, &config) == ASSAY_OK)
        check(&config);
    json_decref(root);
    return 0;
}
