/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rerank_run.h: the other half of `assay rerank`: a TREC run that another
 * retriever made, its documents taken from a collection and scored again.
 */
#ifndef ASSAY_CLI_RERANK_RUN_H
#define ASSAY_CLI_RERANK_RUN_H

#include "cli/options.h"

typedef struct assay_rerank_run {
    const char *run;        /* file to read; "-" is standard input */
    const char *queries;    /* queries.jsonl or TSV */
    const char *collection; /* where the documents are */
    const char *output;     /* file to write; NULL: standard output */
    uint32_t top;           /* documents a query, best first; 0: all */
} assay_rerank_run;

/* Returns an exit code: ASSAY_EXIT_PARTLY when documents or queries were
 * missing; documents that could not be scored stay, behind those that were. */
int assay_rerank_run_do(const assay_rerank_run *settings, assay_session *session);

#endif
