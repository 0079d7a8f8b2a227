/* SPDX-License-Identifier: Apache-2.0 */
/* llm_cache.c: see llm_cache.h. */
#include "pipeline/llm_cache.h"

void assay_llm_answers_open(const char *home, assay_llm_answers *out)
{
    *out = (assay_llm_answers){0};
    if (assay_score_cache_open(home, ASSAY_SCORE_CACHE_BYTES, &out->scores, &out->error) ==
        ASSAY_E_NOT_FOUND)
        out->error = (assay_error){0};
}

void assay_llm_answers_close(assay_llm_answers *answers)
{
    assay_score_cache_close(answers->scores);
    answers->scores = NULL;
}

static bool get_answer(void *user, const assay_digest *key, assay_buffer *answer)
{
    assay_llm_answers *a = user;
    return a->scores != NULL &&
           assay_score_cache_get_answer(a->scores, key, answer, &a->error) == ASSAY_OK &&
           answer->length > 0;
}

static void put_answer(void *user, const assay_digest *key, const char *answer, size_t length)
{
    assay_llm_answers *a = user;
    if (a->scores != NULL)
        assay_score_cache_put_answer(a->scores, key, answer, length, &a->error);
}

assay_llm_cache assay_llm_answers_cache(assay_llm_answers *answers)
{
    return (assay_llm_cache){answers, get_answer, put_answer};
}
