/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_report.h: what `assay eval` found out, as a table or as JSON.
 */
#ifndef ASSAY_CLI_EVAL_REPORT_H
#define ASSAY_CLI_EVAL_REPORT_H

#include "cli/stages.h"

/* What was measured. Pointers are borrowed. */
typedef struct assay_eval {
    const assay_qrels *qrels;
    const assay_run *run;
    const bool *chosen; /* [queries of qrels] which count; NULL: all */
    assay_option_list measures; /* none: the default ones */
    bool per_query;
    bool json;

    /* Only where a pipeline was run; collection is NULL else. */
    const char *collection, *split;
    const assay_pipeline *pipeline;
    const char *filter; /* NULL: none */
    uint64_t documents;
    uint32_t limit, seed; /* of a sample; limit 0: all queries */
    uint64_t failed;      /* queries that could not be searched; they count 0 */
    uint64_t skipped;     /* not reranked on purpose: assay_result.skipped */
    uint64_t degraded;    /* of which a deadline left something out */
    uint64_t abstained;   /* without a hit that was probable enough */
    uint64_t scored, left_out, spared, cached, tokenized; /* sums of assay_result's */
    assay_llm_usage llm;  /* sum of its stages */
    double *first_ms, *rerank_ms, *total_ms; /* [timed]; sorted here */
    size_t timed;
    bool together;        /* queries were searched many at a time, so that no latency is that of */
    double seconds;       /* a query; all together took this */
} assay_eval;

/* Computes the measures and prints them; returns an exit code. */
int assay_eval_print(const assay_eval *eval);

#endif
