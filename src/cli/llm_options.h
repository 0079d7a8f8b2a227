/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_options.h: the options of a language model that reranks, which `search`, `eval` and
 * `rerank` share, and what asking it came to.
 */
#ifndef ASSAY_LLM_OPTIONS_H
#define ASSAY_LLM_OPTIONS_H

#include <stddef.h>

#include "cli/output.h"

/* A member `llm` of the verb's settings. */
typedef struct assay_llm_settings {
    const char *url, *model;
    uint32_t mode;
} assay_llm_settings;

/* Rows of the option table; `member` is where the settings have it. */
#define ASSAY_LLM_OPTIONS(settings, member)                                                      \
    {"llm-url", ASSAY_OPTION_TEXT, offsetof(settings, member.url), "URL",                                            \
     "of --rerank llm: an OpenAI-compatible chat API, up to and with /v1 (default: "             \
     "$ASSAY_LLM_URL); its key is in $ASSAY_LLM_KEY", 0, 0},                                     \
    {"llm-model", ASSAY_OPTION_TEXT, offsetof(settings, member.model), "NAME",                                       \
     "of --rerank llm: the model as the API calls it (default: $ASSAY_LLM_MODEL)", 0, 0},        \
    {"llm-mode", ASSAY_OPTION_CHOICE, offsetof(settings, member.mode), "listwise|pointwise|yesno|pairwise",          \
     "of --rerank llm: what it is asked for: the order of many, a grade of each, yes or no to "  \
     "each, the better of two (default: listwise)", 0, 0}

/* What was given, before what is there. */
void assay_llm_overlay(const assay_llm_settings *given, assay_llm_options *options,
                       const char **model);

/* Usage as a JSON object "llm" in `object`. */
void assay_llm_json(assay_answer *answer, json_t *object, const assay_llm_usage *usage);
/* ", answers of the model: 3, 1 repaired, 1,200 + 30 tokens": on standard output; nothing when it was not asked. */
void assay_llm_print(const assay_llm_usage *usage);
void assay_llm_add(assay_llm_usage *sum, const assay_llm_usage *one);

#endif
