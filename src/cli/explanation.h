/* SPDX-License-Identifier: Apache-2.0 */
/* explanation.h: `search --explain`: which words of a hit a question's words found. */
#ifndef ASSAY_CLI_EXPLANATION_H
#define ASSAY_CLI_EXPLANATION_H

#include "cli/output.h"

/* The passage with the words lit that were found, then what found what. */
void assay_explain_print(const assay_explanation *explanation, assay_text question,
                         assay_text passage, unsigned indent);

/* As the member "explanation" of a hit. */
void assay_explain_json(assay_answer *answer, json_t *hit, const assay_explanation *explanation,
                        assay_text question);

#endif
