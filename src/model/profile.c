/* SPDX-License-Identifier: Apache-2.0 */
/* profile.c: see profile.h. */
#include "model/profile.h"

static const char *const names[ASSAY_OPERATIONS] = {
    [ASSAY_OPERATION_TOKENIZE] = "tokenize",   [ASSAY_OPERATION_EMBED] = "embed",
    [ASSAY_OPERATION_QUANTIZE] = "quantize",   [ASSAY_OPERATION_QUERY] = "query",
    [ASSAY_OPERATION_KEY_VALUE] = "key_value", [ASSAY_OPERATION_ATTENTION] = "attention",
    [ASSAY_OPERATION_OUTPUT] = "output",       [ASSAY_OPERATION_UP] = "up",
    [ASSAY_OPERATION_DOWN] = "down",           [ASSAY_OPERATION_NORM] = "norm",
    [ASSAY_OPERATION_HEAD] = "head",
};

const char *assay_operation_name(assay_operation operation)
{
    return (unsigned)operation < ASSAY_OPERATIONS ? names[operation] : "unknown";
}

/* One layer in which `rows` of the tokens ask, and go on. */
static void count_layer(const assay_model_config *config, double tokens, double rows, double *work)
{
    double hidden = config->hidden, square = 2 * hidden * hidden;
    work[ASSAY_OPERATION_QUERY] += rows * square;
    work[ASSAY_OPERATION_KEY_VALUE] += tokens * 2 * square;
    work[ASSAY_OPERATION_ATTENTION] += 4 * rows * tokens * hidden;
    work[ASSAY_OPERATION_OUTPUT] += rows * square;
    work[ASSAY_OPERATION_UP] += rows * 2 * hidden * config->intermediate;
    work[ASSAY_OPERATION_DOWN] += rows * 2 * hidden * config->intermediate;
}

void assay_profile_count(const assay_model_config *config, size_t tokens, assay_profile *profile)
{
    double all = (double)tokens, last = config->pooling == ASSAY_POOLING_CLS ? 1 : all;
    for (uint32_t i = 0; i < config->layers; i++)
        count_layer(config, all, i + 1 < config->layers ? all : last, profile->work);
    if (config->kind == ASSAY_MODEL_CROSS_ENCODER)
        profile->work[ASSAY_OPERATION_HEAD] +=
            2.0 * config->hidden * (config->hidden + 1.0);
    profile->sequences++;
    profile->tokens += tokens;
}
