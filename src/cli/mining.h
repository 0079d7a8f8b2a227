/* SPDX-License-Identifier: Apache-2.0 */
/* mining.h: what a call of assay_mine says about itself, for `mine` and `train`. */
#ifndef ASSAY_CLI_MINING_H
#define ASSAY_CLI_MINING_H

#include "cli/output.h"

/* Mines with a progress bar. Returns an exit code, after saying what is wrong. */
int assay_mining_run(assay_store *store, const char *collection, const assay_queries *queries,
                     const assay_qrels *qrels, const char *output,
                     const assay_mine_options *options, assay_mine_report *report);

/* Whether something was told and passed over. */
bool assay_mining_partly(const assay_mine_report *report);

/* The report, for people. */
void assay_mining_print(FILE *stream, const char *output, const assay_mine_report *report);

#endif
