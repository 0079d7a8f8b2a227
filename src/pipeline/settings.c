/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c: options of a pipeline, with every default filled in.
 *
 * Weights of retrieval were fitted on training splits (docs/evaluation.md); those
 * of a stage are its reranker's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/pipeline.h"
#include "rank/page_image.h"

enum { DEFAULT_RERANK = 30, MAX_RETRIEVE = 100000 };

#define DEFAULT_BM25_WEIGHT 1.0
#define DEFAULT_DENSE_WEIGHT 1.0

static assay_status settle(assay_setting *setting, const char *name, double value, double high,
                           assay_error *error)
{
    if (!setting->set)
        *setting = (assay_setting){true, value};
    if (!(setting->value >= 0 && setting->value <= high))
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "%g is not between 0 and %g",
                          setting->value, high);
    return ASSAY_OK;
}

/* One that has no default. */
static assay_status check(const assay_setting *setting, const char *name, double low, double high,
                          assay_error *error)
{
    if (setting->set && !(setting->value >= low && setting->value <= high))
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "%g is not between %g and %g",
                          setting->value, low, high);
    return ASSAY_OK;
}

static assay_status settle_retrieval(assay_pipeline_options *o, assay_error *error)
{
    if (o->retrieve == 0)
        o->retrieve = ASSAY_RETRIEVE;
    if (o->retrieve > MAX_RETRIEVE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "retrieve",
                          "%" PRIu32 " is more than the limit of %d", o->retrieve, MAX_RETRIEVE);
    if (o->ef == 0)
        o->ef = o->retrieve + ASSAY_MORE_EF;
    if (o->ef < o->retrieve)
        o->ef = o->retrieve;
    if (o->ef > ASSAY_HNSW_MOST_EF)
        o->ef = o->retrieve < ASSAY_HNSW_MOST_EF ? ASSAY_HNSW_MOST_EF : o->retrieve;
    if (o->rerank == 0)
        o->rerank = DEFAULT_RERANK;
    if (o->rerank > o->retrieve)
        o->rerank = o->retrieve;
    ASSAY_TRY(settle(&o->bm25_weight, "bm25_weight", DEFAULT_BM25_WEIGHT, 1e6, error));
    ASSAY_TRY(settle(&o->dense_weight, "dense_weight", DEFAULT_DENSE_WEIGHT, 1e6, error));
    ASSAY_TRY(settle(&o->k1, "k1", ASSAY_DEFAULT_K1, 1e3, error));
    return settle(&o->b, "b", ASSAY_DEFAULT_B, 1, error);
}

static assay_status copy(assay_arena *arena, const char **text, assay_error *error)
{
    if (*text == NULL)
        return ASSAY_OK;
    *text = assay_arena_copy(arena, *text, strlen(*text));
    return *text != NULL ? ASSAY_OK : assay_fail_memory(error, 1024);
}

static assay_status copy_strings(assay_arena *arena, assay_stage_options *stage,
                                 assay_error *error)
{
    ASSAY_TRY(copy(arena, &stage->model, error));
    ASSAY_TRY(copy(arena, &stage->llm.url, error));
    ASSAY_TRY(copy(arena, &stage->llm.key_env, error));
    ASSAY_TRY(copy(arena, &stage->llm.key_file, error));
    ASSAY_TRY(copy(arena, &stage->page.image_field, error));
    ASSAY_TRY(copy(arena, &stage->page.image_folder, error));
    ASSAY_TRY(copy(arena, &stage->page.image_urls, error));
    return copy(arena, &stage->llm.tokenizer, error);
}

static assay_status settle_pages(assay_page_options *page, assay_error *error)
{
    if (page->image_field == NULL)
        page->image_field = "image";
    if (page->image_folder == NULL && page->image_urls == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "image_folder, image_urls",
                          "neither is given: a stage of the kind vision looks at files below a "
                          "folder, or at URLs that begin as it is told");
    return page->image_urls != NULL ? assay_page_urls_check(page->image_urls, error) : ASSAY_OK;
}

/* One stage. `comes` is how many passages come to it, then how many go on. */
static assay_status settle_stage(assay_stage_options *stage, size_t number, uint32_t *comes,
                                 assay_arena *arena, assay_error *error)
{
    char where[32];
    snprintf(where, sizeof where, "stage %zu", number);
    const assay_reranker_class *class = assay_reranker_class_of(stage->kind);
    if (class == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, where, "there is no reranker of that kind (%d)",
                          (int)stage->kind);
    if (stage->model == NULL)
        stage->model = class->model;
    if (stage->kind == ASSAY_RERANKER_VISION)
        ASSAY_TRY(settle_pages(&stage->page, error));
    ASSAY_TRY(copy_strings(arena, stage, error));
    if (stage->keep == 0 || stage->keep > *comes)
        stage->keep = *comes;
    *comes = stage->keep;
    ASSAY_TRY(settle(&stage->weight, "weight", class->weight, 1e6, error));
    ASSAY_TRY(settle(&stage->spread, "spread", class->spread, 1e6, error));
    ASSAY_TRY(settle(&stage->weight_before, "weight_before", class->weight_before, 1e6, error));
    ASSAY_TRY(check(&stage->probability_slope, "probability_slope", 0, 1e3, error));
    ASSAY_TRY(check(&stage->probability_offset, "probability_offset", -1e3, 1e3, error));
    ASSAY_TRY(check(&stage->within, "within", 0, 1e6, error));
    ASSAY_TRY(check(&stage->within_agreed, "within_agreed", 0, 1e6, error));
    ASSAY_TRY(check(&stage->hope, "hope", 0, 1e3, error));
    if (stage->weight_before.value <= 0 && stage->weight.value <= 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "weight, weight_before",
                          "both are 0; at least one must be more");
    return ASSAY_OK;
}

/* Whether the stage tells probabilities. */
static bool tells_probability(const assay_stage_options *stage)
{
    return stage->kind == ASSAY_RERANKER_CROSS || stage->kind == ASSAY_RERANKER_SPLIT ||
           stage->kind == ASSAY_RERANKER_VISION || stage->probability_slope.set ||
           (stage->kind == ASSAY_RERANKER_LLM && stage->llm.mode == ASSAY_LLM_YESNO);
}

assay_status assay_settings_check_probability(const assay_pipeline_options *o,
                                              assay_setting least, assay_error *error)
{
    ASSAY_TRY(check(&least, "min_probability", 0, 1, error));
    bool told = !least.set;
    for (size_t i = 0; i < o->stage_count && !told; i++)
        told = tells_probability(&o->stages[i]);
    return told ? ASSAY_OK
                : assay_fail(error, ASSAY_E_ARGUMENT, "min_probability",
                             "no stage tells probabilities: cross does, vision, llm with the mode "
                             "yesno, and any with a probability_slope");
}

/* "late", "late:NAME", which is a model's name, too; "cross-split", "cross-split:NAME";
 * else that of a cross-encoder. */
static assay_reranker_kind kind_called(const char *name, const char **model)
{
    const char *rest = strchr(name, ':');
    size_t length = rest != NULL ? (size_t)(rest - name) : strlen(name);
    *model = name;
    if (length == strlen("late") && strncmp(name, "late", length) == 0)
        return ASSAY_RERANKER_LATE;
    if (length != strlen("cross-split") || strncmp(name, "cross-split", length) != 0)
        return ASSAY_RERANKER_CROSS;
    *model = rest != NULL ? rest + 1 : NULL;
    return ASSAY_RERANKER_SPLIT;
}

/* The stages, however they were given. */
static assay_status take_stages(assay_settings *s, assay_error *error)
{
    assay_pipeline_options *o = &s->options;
    if (o->stage_count > ASSAY_STAGES_MAX)
        return assay_fail(error, ASSAY_E_ARGUMENT, "stages", "%zu stages are more than %u",
                          o->stage_count, ASSAY_STAGES_MAX);
    if (o->stage_count > 0 && o->reranker != NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "reranker",
                          "stages are given, too: only one of the two may be");
    for (size_t i = 0; i < o->stage_count; i++)
        s->stages[i] = o->stages[i];
    if (o->reranker != NULL) {
        o->stage_count = 1;
        const char *model;
        assay_reranker_kind kind = kind_called(o->reranker, &model);
        s->stages[0] = (assay_stage_options){
            .kind = kind,
            .model = model,
            .precision = o->precision,
            .rerank_long = o->rerank_long,
            .weight = o->rerank_weight,
            .weight_before = o->first_weight,
        };
        o->reranker = NULL;
    }
    o->stages = s->stages;
    return ASSAY_OK;
}

assay_status assay_settings_fill(const assay_pipeline_options *given, assay_arena *arena,
                                 assay_settings *out, assay_error *error)
{
    *out = (assay_settings){0};
    if (given != NULL)
        out->options = *given;
    assay_pipeline_options *o = &out->options;
    ASSAY_TRY(settle_retrieval(o, error));
    ASSAY_TRY(take_stages(out, error));
    uint32_t comes = o->rerank;
    for (size_t i = 0; i < o->stage_count; i++)
        ASSAY_TRY(settle_stage(&out->stages[i], i + 1, &comes, arena, error));
    return assay_settings_check_probability(o, o->min_probability, error);
}

assay_status assay_settings_fit(assay_settings *settings, const assay_collection *collection,
                                assay_error *error)
{
    assay_pipeline_options *o = &settings->options;
    bool vectors = collection->config.dimensions > 0;
    if (o->retriever == ASSAY_RETRIEVER_AUTO)
        o->retriever = vectors ? ASSAY_RETRIEVER_HYBRID : ASSAY_RETRIEVER_BM25;
    if ((unsigned)o->retriever > ASSAY_RETRIEVER_LATE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "retriever", "there is none of that kind (%d)",
                          (int)o->retriever);
    if ((o->retriever & ASSAY_RETRIEVER_DENSE) && !vectors)
        return assay_fail(error, ASSAY_E_ARGUMENT, collection->name,
                          "the collection was indexed without a model, so only the retriever "
                          "bm25 can search it");
    if (o->retriever == ASSAY_RETRIEVER_HYBRID && o->bm25_weight.value + o->dense_weight.value <= 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "bm25_weight, dense_weight",
                          "both are 0; at least one must be more");
    return ASSAY_OK;
}
