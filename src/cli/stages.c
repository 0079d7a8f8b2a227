/* SPDX-License-Identifier: Apache-2.0 */
/* stages.c: see stages.h. */
#include "cli/stages.h"

#include <string.h>

assay_pipeline_options assay_stages_options(const assay_stages *stages, const char *reranker)
{
    if (stages->reranker)
        reranker = strcmp(stages->reranker, "none") == 0 ? NULL : stages->reranker;
    return (assay_pipeline_options){
        .retriever = (assay_retriever)stages->retriever,
        .fusion = (assay_fusion)stages->fusion,
        .retrieve = stages->retrieve,
        .reranker = reranker,
        .rerank = stages->rerank,
        .rerank_long = stages->rerank_long,
        .precision = (assay_precision)stages->precision,
        .bm25_weight = stages->weight_bm25,
        .dense_weight = stages->weight_dense,
        .first_weight = stages->weight_first,
        .rerank_weight = stages->weight_rerank,
        .k1 = stages->k1,
        .b = stages->b,
        .threads = stages->threads,
    };
}

const char *assay_retriever_name(assay_retriever retriever)
{
    static const char *const names[] = {"auto", "bm25", "dense", "hybrid"};
    return (unsigned)retriever < 4 ? names[retriever] : "?";
}

void assay_stages_json(assay_answer *answer, json_t *object, const char *name,
                       const assay_pipeline *pipeline)
{
    assay_pipeline_options o;
    assay_pipeline_describe(pipeline, &o);
    json_t *out = assay_answer_object(answer, object, name);
    assay_answer_set(answer, out, "retriever", json_string(assay_retriever_name(o.retriever)));
    assay_answer_set(answer, out, "retrieve", assay_json_count(o.retrieve));
    if (o.retriever & ASSAY_RETRIEVER_BM25) {
        assay_answer_set(answer, out, "k1", assay_json_number(o.k1.value));
        assay_answer_set(answer, out, "b", assay_json_number(o.b.value));
    }
    if (o.retriever == ASSAY_RETRIEVER_HYBRID) {
        assay_answer_set(answer, out, "fusion",
                         json_string(o.fusion == ASSAY_FUSION_RRF ? "rrf" : "zscore"));
        assay_answer_set(answer, out, "weight_bm25", assay_json_number(o.bm25_weight.value));
        assay_answer_set(answer, out, "weight_dense", assay_json_number(o.dense_weight.value));
    }
    assay_answer_set(answer, out, "reranker",
                     o.reranker ? assay_json_name(o.reranker) : json_null());
    if (o.reranker) {
        assay_answer_set(answer, out, "rerank", assay_json_count(o.rerank));
        assay_answer_set(answer, out, "weight_first", assay_json_number(o.first_weight.value));
        assay_answer_set(answer, out, "weight_rerank", assay_json_number(o.rerank_weight.value));
    }
    assay_model_info model;
    if (assay_pipeline_reranker(pipeline, &model)) {
        assay_answer_set(answer, out, "precision", assay_json_name(model.precision));
        if (model.notice[0] != '\0')
            assay_answer_set(answer, out, "notice", assay_json_name(model.notice));
    }
}

void assay_stages_warn(const assay_pipeline *pipeline)
{
    assay_model_info model;
    if (assay_pipeline_reranker(pipeline, &model))
        assay_warn_of_model(&model);
}

const char *assay_stages_words(char text[256], const assay_pipeline *pipeline)
{
    assay_pipeline_options o;
    assay_pipeline_describe(pipeline, &o);
    int length = snprintf(text, 256, "%s, %u candidates", assay_retriever_name(o.retriever),
                          o.retrieve);
    if (o.reranker && length > 0) {
        char most[32] = "";
        if (o.rerank < o.retrieve)
            snprintf(most, sizeof most, "the first %u ", o.rerank);
        snprintf(text + length, 256 - (size_t)length, ", %sreranked by %.150s", most, o.reranker);
    }
    return text;
}
