/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stages.h: the options of a pipeline, which `search` and `eval` share.
 */
#ifndef ASSAY_CLI_STAGES_H
#define ASSAY_CLI_STAGES_H

#include "cli/llm_options.h"

/* A member `stages` of the verb's settings. */
typedef struct assay_stages {
    uint32_t retriever, fusion, retrieve, rerank, precision, threads, ef, nprobe, deadline_ms;
    bool rerank_long, exact;
    const char *reranker, *pipeline;
    assay_setting weight_bm25, weight_dense, weight_first, weight_rerank, k1, b, min_probability;
    assay_llm_settings llm;
} assay_stages;

#define ASSAY_STAGE_FIELD(settings, field) offsetof(settings, stages.field)

/* Rows of the option table; RERANKER says what the default is. */
#define ASSAY_STAGE_OPTIONS(settings, reranker_default)                                          \
    {"pipeline", ASSAY_OPTION_TEXT, ASSAY_STAGE_FIELD(settings, pipeline), "FILE|PRESET",        \
     "stages from a pipeline file or a preset (assay pipeline show lists them); options of "     \
     "retrieval, --rerank-top, --llm-* and --threads count before what it says", 0, 0},          \
    {"retriever", ASSAY_OPTION_CHOICE, ASSAY_STAGE_FIELD(settings, retriever),                   \
     "auto|bm25|dense|hybrid|late", "first stage; late takes the collection's token vectors "    \
     "(assay index --late) (default: auto, hybrid where there are vectors)", 0, 0},              \
    {"fusion", ASSAY_OPTION_CHOICE, ASSAY_STAGE_FIELD(settings, fusion), "zscore|rrf|minmax",    \
     "how hybrid joins its two lists (default: zscore)", 0, 0},                                  \
    {"retrieve", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, retrieve), "N",                 \
     "candidate passages of the first stage (default: 100)", 1, 100000},                         \
    {"rerank", ASSAY_OPTION_TEXT, ASSAY_STAGE_FIELD(settings, reranker), "NAME",                 \
     "what reorders the candidates: a cross-encoder, 'late' or late:NAME for late interaction, " \
     "cross-split:NAME for a cross-encoder of which the collection keeps a part, 'llm' for a language model behind an API, 'none' for nothing (default: "                   \
     reranker_default ")", 0, 0},                                                                \
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
     "weight of the reranker in the final order (default: 1, of late 0.4)", 0, 1e6},             \
    {"k1", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, k1), "X",                            \
     "BM25: how soon repeated words stop counting (default: 0.9)", 0, 1000},                     \
    {"b", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, b), "X",                              \
     "BM25: how much long passages are held back (default: 0.4)", 0, 1},                         \
    {"ef", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, ef), "N",                             \
     "vectors that a search of an hnsw index keeps on its way: more find more and take "        \
     "longer; late looks at the codes of eight times as many passages (default: as tuned, else "  \
     "candidates + 100)", 1, 65536},                                                             \
    {"nprobe", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, nprobe), "N",                     \
     "lists of an ivf index that a search looks into (default: as tuned, else one in 24, at "    \
     "least 128 and those of 4,096 vectors), or centres that late looks at for each token of "   \
     "the query (default: 8)", 1, 65536},                                                        \
    {"exact", ASSAY_OPTION_FLAG, ASSAY_STAGE_FIELD(settings, exact), NULL,                       \
     "compare with all vectors, whatever index there is", 0, 0},                                 \
    {"deadline-ms", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, deadline_ms), "N",           \
     "time of a search: stages are shortened or left out so that it is kept, and the answer "    \
     "says so (default: none)", 1, 3600000},                                                     \
    {"min-probability", ASSAY_OPTION_NUMBER, ASSAY_STAGE_FIELD(settings, min_probability), "P",  \
     "withhold hits that are less probable than this; 'assay pipeline tune' fits what "          \
     "probabilities mean (default: none)", 0, 1},                                                \
    {"threads", ASSAY_OPTION_COUNT, ASSAY_STAGE_FIELD(settings, threads), "N",                   \
     "threads (default: as many as the machine allows)", 1, 1024},                               \
    ASSAY_LLM_OPTIONS(settings, stages.llm)

/* A pipeline as the command line asks for it. The file must stay open while the
 * options are used; NULL: there is none. */
typedef struct assay_stages_pipeline {
    assay_pipeline_options options;
    assay_stage_options stages[ASSAY_STAGES_MAX]; /* what options point to */
    assay_pipeline_file *file;
} assay_stages_pipeline;

/* `reranker` is what is taken when neither --rerank nor --pipeline was given;
 * NULL: none. Returns an exit code, after saying what is wrong. */
int assay_stages_read(const assay_stages *stages, const assay_verb *verb, const char *reranker,
                      assay_stages_pipeline *out);

/* The settings in force as a JSON object under `name`. */
void assay_stages_json(assay_answer *answer, json_t *object, const char *name,
                       const assay_pipeline *pipeline);

/* The rerankers' notices, where they have one. */
void assay_stages_warn(const assay_pipeline *pipeline);

/* "hybrid, 100 candidates, the first 30 reranked by cross": into text[512];
 * returns it. */
const char *assay_stages_words(char text[512], const assay_pipeline_options *options);

const char *assay_retriever_name(assay_retriever retriever);

#endif
