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

/* One layer in which `rows` of the tokens ask, and go on, and so many pairs of tokens meet. */
static void count_layer(const assay_model_config *config, double tokens, double rows, double pairs,
                        double *work)
{
    double hidden = config->hidden, square = 2 * hidden * hidden;
    work[ASSAY_OPERATION_QUERY] += rows * square;
    work[ASSAY_OPERATION_KEY_VALUE] += tokens * 2 * square;
    work[ASSAY_OPERATION_ATTENTION] += 4 * pairs * hidden;
    work[ASSAY_OPERATION_OUTPUT] += rows * square;
    work[ASSAY_OPERATION_UP] += rows * 2 * hidden * config->intermediate;
    work[ASSAY_OPERATION_DOWN] += rows * 2 * hidden * config->intermediate;
}

void assay_profile_count(const assay_model_config *config, uint32_t begin, uint32_t end,
                         size_t first, size_t second, assay_profile *profile)
{
    size_t tokens = first + second;
    double all = (double)tokens, last = config->pooling == ASSAY_POOLING_CLS ? 1 : all;
    double apart = (double)first * (double)first + (double)second * (double)second;
    for (uint32_t i = begin; i < end; i++) {
        double rows = i + 1 < config->layers ? all : last;
        count_layer(config, all, rows, i < config->split ? apart : rows * all, profile->work);
    }
    if (config->kind == ASSAY_MODEL_CROSS_ENCODER && end == config->layers)
        profile->work[ASSAY_OPERATION_HEAD] +=
            2.0 * config->hidden * (config->hidden + 1.0);
    profile->sequences++;
    profile->tokens += tokens;
}
