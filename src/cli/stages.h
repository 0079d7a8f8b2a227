/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stages.h: the options of a pipeline, which `search` and `eval` share.
 */
#ifndef ASSAY_CLI_STAGES_H
#define ASSAY_CLI_STAGES_H

#include "cli/output.h"

/* A member `stages` of the verb's settings. */
typedef struct assay_stages {
    uint32_t retriever, fusion, retrieve, rerank, precision, threads;
    bool rerank_long;
    const char *reranker;
    assay_setting weight_bm25, weight_dense, weight_first, weight_rerank, k1, b;
} assay_stages;

#define ASSAY_STAGE_FIELD(settings, field) offsetof(settings, stages.field)

/* Rows of the option table; RERANKER says what the default is. */
#define ASSAY_STAGE_OPTIONS(settings, reranker_default)                                          \
    {"retriever", ASSAY_OPTION_CHOICE, ASSAY_STAGE_FIELD(settings, retriever),                   \
     "auto|bm25|dense|hybrid", "first stage (default: auto, hybrid where there are vectors)", 0, \
     0},                                                                                         \
    {"fusion", ASSAY_OPTION_CHOICE, ASSAY_STAGE_FIELD(settings, fusion), "zscore|rrf",           \
     "how hybrid joins its two lists (default: zscore)", 0, 0},                                  \
    {"retrieve", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, retrieve), "N",                 \
     "candidate passages of the first stage (default: 100)", 1, 100000},                         \
    {"rerank", ASSAY_OPTION_TEXT, ASSAY_STAGE_FIELD(settings, reranker), "NAME",                 \
     "cross-encoder that reorders the candidates, 'none' for none (default: " reranker_default   \
     ")", 0, 0},                                                                                 \
    {"rerank-top", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, rerank), "N",                 \
     "rerank only the first N candidates (default: 30)", 1, 100000},                             \
    {"rerank-long", ASSAY_OPTION_FLAG, ASSAY_STAGE_FIELD(settings, rerank_long), NULL,           \
     "rerank also for questions longer than the reranker was trained on", 0, 0},                 \
    {"precision", ASSAY_OPTION_CHOICE, ASSAY_STAGE_FIELD(settings, precision),                   \
     ASSAY_PRECISIONS,                                                                      \
     "arithmetic of the reranker (default: auto, the fastest that keeps rankings)", 0, 0},  \
    {"weight-bm25", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, weight_bm25), "X",          \
     "weight of BM25 in hybrid", 0, 1e6},                                                        \
    {"weight-dense", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, weight_dense), "X",        \
     "weight of the vectors in hybrid", 0, 1e6},                                                 \
    {"weight-first", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, weight_first), "X",        \
     "weight of the first stage in the final order", 0, 1e6},                                    \
    {"weight-rerank", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, weight_rerank), "X",      \
     "weight of the reranker in the final order", 0, 1e6},                                       \
    {"k1", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, k1), "X",                            \
     "BM25: how soon repeated words stop counting (default: 0.9)", 0, 1000},                     \
    {"b", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, b), "X",                              \
     "BM25: how much long passages are held back (default: 0.4)", 0, 1},                         \
    {"threads", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, threads), "N",                   \
     "threads (default: as many as the machine allows)", 1, 1024}

/* `reranker` is what is taken when --rerank was not given; NULL: none. */
assay_pipeline_options assay_stages_options(const assay_stages *stages, const char *reranker);

/* The settings in force as a JSON object under `name`. */
void assay_stages_json(assay_answer *answer, json_t *object, const char *name,
                       const assay_pipeline *pipeline);

/* The reranker's notice, if it has one. */
void assay_stages_warn(const assay_pipeline *pipeline);

/* "hybrid, 100 candidates, reranked by cross": into text[256]; returns it. */
const char *assay_stages_words(char text[256], const assay_pipeline *pipeline);

const char *assay_retriever_name(assay_retriever retriever);

#endif
