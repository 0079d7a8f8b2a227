/* SPDX-License-Identifier: Apache-2.0 */
/* llm_reply.h: the answer of a chat API (OpenAI's chat.completion object), read. */
#ifndef ASSAY_LLM_REPLY_H
#define ASSAY_LLM_REPLY_H

#include <jansson.h>

#include "base/status.h"

typedef struct assay_llm_reply {
    json_t *json;     /* owns what text points to */
    assay_text text;  /* what the model said */
    uint64_t input_tokens, output_tokens; /* 0: not told */
    bool has_odds;
    double odds;      /* log of P(yes) / P(no) of the answer's first such token */
} assay_llm_reply;

/* FORMAT when it is no such object, or the model said nothing: the reason, a
 * refusal or the length, is in the error. */
assay_status assay_llm_reply_read(const char *data, size_t length, assay_llm_reply *out,
                                  assay_error *error);
void assay_llm_reply_free(assay_llm_reply *reply);

#endif
