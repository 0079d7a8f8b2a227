/* SPDX-License-Identifier: Apache-2.0 */
/* rerankers.c: which rerankers there are. */
#include "pipeline/reranker.h"

static const assay_reranker_class *classes[] = {
    [ASSAY_RERANKER_CROSS] = &assay_reranker_cross,
    [ASSAY_RERANKER_LATE] = &assay_reranker_late,
    [ASSAY_RERANKER_LLM] = &assay_reranker_llm,
    [ASSAY_RERANKER_SPLIT] = &assay_reranker_split,
    [ASSAY_RERANKER_VISION] = &assay_reranker_vision,
};

const char assay_reranker_names[] = "cross|late|llm|cross-split|vision";

const assay_reranker_class *assay_reranker_class_of(assay_reranker_kind kind)
{
    size_t i = (size_t)kind;
    return i < sizeof classes / sizeof *classes ? classes[i] : NULL;
}

const assay_reranker_class *assay_reranker_replace(assay_reranker_kind kind,
                                                   const assay_reranker_class *class)
{
    const assay_reranker_class *before = classes[kind];
    classes[kind] = class;
    return before;
}

const char *assay_reranker_name(assay_reranker_kind kind)
{
    const assay_reranker_class *found = assay_reranker_class_of(kind);
    return found != NULL ? found->name : "unknown";
}

const char *assay_verdict_name(assay_verdict verdict)
{
    static const char *const names[] = {"none", "yes", "no", "failed"};
    return (unsigned)verdict < sizeof names / sizeof *names ? names[verdict] : "unknown";
}
