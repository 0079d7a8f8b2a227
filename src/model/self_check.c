/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_check.c: see self_check.h. The text is ordinary English of a few tokens:
 * outliers belong to channels of a model, not to texts, and to the first and the
 * separating tokens before others. Every instruction set comes to the same
 * verdict, as all compute the same bits.
 */
#include "model/self_check.h"

#include <stdio.h>

enum { TOKENS = 20 };

static assay_status encode(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                           assay_encoding *out, assay_error *error)
{
    static const char first[] = "how many days may be carried over?";
    static const char second[] = "At most 5 of them, until the end of March.";
    const assay_text passage = {second, sizeof second - 1};
    uint32_t longest = encoder->config->longest;
    const assay_tokenize_options options = {
        .special = true,
        .max_tokens = longest < TOKENS ? longest : TOKENS,
        .truncation = ASSAY_TRUNCATE_LONGEST_FIRST,
    };
    bool pair = encoder->config->kind == ASSAY_MODEL_CROSS_ENCODER;
    return assay_tokenize(tokenizer, (assay_text){first, sizeof first - 1},
                          pair ? &passage : NULL, &options, out, error);
}

static assay_status run(const assay_encoder *encoder, const assay_encoding *text,
                        assay_audit *audit, assay_error *error)
{
    const assay_model_config *config = encoder->config;
    size_t deepest = config->hidden > config->intermediate ? config->hidden
                                                           : config->intermediate;
    if (!assay_audit_open(audit, text->count, deepest))
        return assay_fail_memory(error, deepest * sizeof(float));
    assay_status status = assay_encoder_try(encoder, text, audit, error);
    assay_audit_close(audit);
    return status;
}

assay_status assay_self_check(const assay_encoder *encoder, const assay_tokenizer *tokenizer,
                              char *notice, size_t size, assay_error *error)
{
    assay_encoding text;
    assay_audit audit;
    notice[0] = '\0';
    ASSAY_TRY(encode(encoder, tokenizer, &text, error));
    assay_status status = run(encoder, &text, &audit, error);
    assay_encoding_free(&text);
    ASSAY_TRY(status);
    if (!(audit.error <= ASSAY_INT8_BOUND))
        snprintf(notice, size,
                 "fp32 is used instead of int8, which loses too much of the activations that "
                 "enter %s: its output is %.2f off, where %.2f is allowed", audit.where, audit.error,
                 ASSAY_INT8_BOUND);
    return ASSAY_OK;
}
