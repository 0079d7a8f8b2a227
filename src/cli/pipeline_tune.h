/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline_tune.h: `assay pipeline tune`, a pipeline fitted to judged queries. */
#ifndef ASSAY_CLI_PIPELINE_TUNE_H
#define ASSAY_CLI_PIPELINE_TUNE_H

#include "cli/options.h"

/* A member `tune` of the verb's settings. */
typedef struct assay_tune_settings {
    const char *collection, *output;
    uint32_t split, limit, seed;
    assay_setting tolerance;
} assay_tune_settings;

#define ASSAY_TUNE_FIELD(settings, field) offsetof(settings, tune.field)

/* Rows of the option table. */
#define ASSAY_TUNE_OPTIONS(settings)                                                             \
    {"output", ASSAY_OPTION_TEXT, ASSAY_TUNE_FIELD(settings, output), "FILE",                    \
     "of tune: where the pipeline goes that comes out", 0, 0},                                   \
    {"collection", ASSAY_OPTION_TEXT, ASSAY_TUNE_FIELD(settings, collection), "NAME",            \
     "of tune: the collection that the folder was indexed into (default: the folder's name)", 0, \
     0},                                                                                         \
    {"split", ASSAY_OPTION_CHOICE, ASSAY_TUNE_FIELD(settings, split), "train|dev|test",          \
     "of tune: which judgments (default: train)", 0, 0},                                         \
    {"limit", ASSAY_OPTION_COUNT, ASSAY_TUNE_FIELD(settings, limit), "N",                        \
     "of tune: judged queries, drawn by chance (default: 500)", 20, 1000000},                    \
    {"seed", ASSAY_OPTION_COUNT, ASSAY_TUNE_FIELD(settings, seed), "N",                          \
     "of tune: of the drawing (default: 0)", 0, 4294967295.0},                                   \
    {"tolerance", ASSAY_OPTION_NUMBER, ASSAY_TUNE_FIELD(settings, tolerance), "X",               \
     "of tune: nDCG@10 that may be lost for fewer passages (default: 0.002)", 0, 1}

/* Tunes the pipeline `name` on the BEIR folder; returns an exit code. */
int assay_pipeline_tune_run(const assay_tune_settings *settings, const char *folder,
                            const char *name, bool json);

#endif
