/* SPDX-License-Identifier: Apache-2.0 */
/* llm_cache.h: answers of language models, kept in the score cache of a data directory. */
#ifndef ASSAY_LLM_CACHE_H
#define ASSAY_LLM_CACHE_H

#include "rank/llm.h"
#include "store/score_cache.h"

typedef struct assay_llm_answers {
    assay_score_cache *scores; /* NULL: there is none */
    assay_error error;         /* why there is none, or it could not be used */
} assay_llm_answers;

/* Where nothing can be written there is none, and no error. */
void assay_llm_answers_open(const char *home, assay_llm_answers *out);
void assay_llm_answers_close(assay_llm_answers *answers);
/* What llm.h asks; `answers` must stay where it is. */
assay_llm_cache assay_llm_answers_cache(assay_llm_answers *answers);

#endif
