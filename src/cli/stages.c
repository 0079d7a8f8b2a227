/* SPDX-License-Identifier: Apache-2.0 */
/* stages.c: see stages.h. */
#include "cli/stages.h"

#include <string.h>

/* ---- Options ------------------------------------------------------------------ */

/* The one stage that options can say: by its name, or, as it has more to be said, in
 * full. */
static void of_options(const assay_stages *stages, const char *reranker,
                       assay_stages_pipeline *out)
{
    if (stages->reranker)
        reranker = strcmp(stages->reranker, "none") == 0 ? NULL : stages->reranker;
    if (reranker && strcmp(reranker, "llm") == 0) {
        out->options.stage_count = 1;
        out->stages[0] = (assay_stage_options){
            .kind = ASSAY_RERANKER_LLM,
            .weight_before = stages->weight_first,
            .weight = stages->weight_rerank,
        };
        return;
    }
    out->options = (assay_pipeline_options){
        .reranker = reranker,
        .rerank_long = stages->rerank_long,
        .precision = (assay_precision)stages->precision,
        .first_weight = stages->weight_first,
        .rerank_weight = stages->weight_rerank,
    };
}

static void of_file(assay_stages_pipeline *out)
{
    assay_pipeline_file_options(out->file, &out->options);
    for (size_t i = 0; i < out->options.stage_count; i++)
        out->stages[i] = out->options.stages[i];
}

static void set_count(uint32_t *target, uint32_t given)
{
    if (given)
        *target = given;
}

static void set_number(assay_setting *target, assay_setting given)
{
    if (given.set)
        *target = given;
}

/* Options of retrieval and of language models, before what a file says of them. */
static void overlay(const assay_stages *stages, assay_stages_pipeline *asked)
{
    assay_pipeline_options *out = &asked->options;
    for (size_t i = 0; i < out->stage_count; i++) {
        assay_stage_options *stage = &asked->stages[i];
        if (stage->kind == ASSAY_RERANKER_LLM)
            assay_llm_overlay(&stages->llm, &stage->llm, &stage->model);
    }
    out->stages = asked->stages;
    if (stages->retriever)
        out->retriever = (assay_retriever)stages->retriever;
    if (stages->fusion)
        out->fusion = (assay_fusion)stages->fusion;
    set_count(&out->retrieve, stages->retrieve);
    set_count(&out->rerank, stages->rerank);
    set_count(&out->threads, stages->threads);
    set_count(&out->ef, stages->ef);
    set_count(&out->nprobe, stages->nprobe);
    set_count(&out->deadline_ms, stages->deadline_ms);
    out->exact |= stages->exact;
    set_number(&out->bm25_weight, stages->weight_bm25);
    set_number(&out->dense_weight, stages->weight_dense);
    set_number(&out->k1, stages->k1);
    set_number(&out->b, stages->b);
    set_number(&out->min_probability, stages->min_probability);
}

int assay_stages_read(const assay_stages *stages, const assay_verb *verb, const char *reranker,
                      assay_stages_pipeline *out)
{
    assay_error error;
    *out = (assay_stages_pipeline){0};
    if (!stages->pipeline) {
        of_options(stages, reranker, out);
    } else if (stages->reranker || stages->rerank_long || stages->precision ||
               stages->weight_first.set || stages->weight_rerank.set) {
        return assay_usage(verb, "--rerank, --rerank-long, --precision, --weight-first and "
                           "--weight-rerank belong in the stages of --pipeline");
    } else if (assay_pipeline_file_open(stages->pipeline, &out->file, &error) != ASSAY_OK) {
        return assay_report(&error);
    } else {
        of_file(out);
    }
    overlay(stages, out);
    return ASSAY_EXIT_OK;
}

/* ---- Telling ------------------------------------------------------------------ */

const char *assay_retriever_name(assay_retriever retriever)
{
    static const char *const names[] = {"auto", "bm25", "dense", "hybrid", "late"};
    return (unsigned)retriever < 5 ? names[retriever] : "?";
}

static void set_if_given(assay_answer *answer, json_t *object, const char *name,
                         assay_setting setting)
{
    if (setting.set)
        assay_answer_set(answer, object, name, assay_json_number(setting.value));
}

static void add_stage(assay_answer *answer, json_t *stages, const assay_pipeline *pipeline,
                      const assay_stage_options *stage, size_t i)
{
    assay_model_info model;
    json_t *one = assay_answer_object(answer, stages, NULL);
    assay_answer_set(answer, one, "kind", json_string(assay_reranker_name(stage->kind)));
    assay_answer_set(answer, one, "model", assay_json_name(stage->model ? stage->model : ""));
    assay_answer_set(answer, one, "keep", assay_json_count(stage->keep));
    assay_answer_set(answer, one, "weight", assay_json_number(stage->weight.value));
    assay_answer_set(answer, one, "spread", assay_json_number(stage->spread.value));
    assay_answer_set(answer, one, "weight_before",
                     assay_json_number(stage->weight_before.value));
    set_if_given(answer, one, "probability_slope", stage->probability_slope);
    set_if_given(answer, one, "probability_offset", stage->probability_offset);
    set_if_given(answer, one, "within", stage->within);
    set_if_given(answer, one, "within_agreed", stage->within_agreed);
    set_if_given(answer, one, "hope", stage->hope);
    if (assay_pipeline_reranker(pipeline, i, &model)) {
        assay_answer_set(answer, one, "precision", assay_json_name(model.precision));
        if (model.notice[0] != '\0')
            assay_answer_set(answer, one, "notice", assay_json_name(model.notice));
    }
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
        static const char *const fusions[] = {"zscore", "rrf", "minmax"};
        assay_answer_set(answer, out, "fusion",
                         json_string(fusions[o.fusion]));
        assay_answer_set(answer, out, "weight_bm25", assay_json_number(o.bm25_weight.value));
        assay_answer_set(answer, out, "weight_dense", assay_json_number(o.dense_weight.value));
    }
    if (o.deadline_ms)
        assay_answer_set(answer, out, "deadline_ms", assay_json_count(o.deadline_ms));
    set_if_given(answer, out, "min_probability", o.min_probability);
    if (o.stage_count)
        assay_answer_set(answer, out, "keep", assay_json_count(o.rerank));
    json_t *stages = assay_answer_array(answer, out, "stages");
    for (size_t i = 0; i < o.stage_count; i++)
        add_stage(answer, stages, pipeline, &o.stages[i], i);
}

void assay_stages_warn(const assay_pipeline *pipeline)
{
    assay_model_info model;
    for (size_t i = 0; i < ASSAY_STAGES_MAX; i++) {
        if (assay_pipeline_reranker(pipeline, i, &model))
            assay_warn_of_model(&model);
    }
}

const char *assay_stages_words(char text[512], const assay_pipeline_options *o)
{
    FILE *stream = fmemopen(text, 512, "w");
    text[0] = '\0';
    if (!stream)
        return text;
    fprintf(stream, "%s, %u candidates", assay_retriever_name(o->retriever), o->retrieve);
    uint32_t before = o->retrieve, comes = o->rerank;
    for (size_t i = 0; i < o->stage_count; i++) {
        fprintf(stream, i ? ", then " : ", ");
        if (comes < before)
            fprintf(stream, "the first %u ", comes);
        const assay_stage_options *stage = &o->stages[i];
        fprintf(stream, "%s by %.150s",
                stage->kind == ASSAY_RERANKER_VISION ? "looked at" : "reranked",
                stage->model ? stage->model : assay_reranker_name(stage->kind));
        before = comes;
        comes = o->stages[i].keep;
    }
    fclose(stream);
    return text;
}
