/* SPDX-License-Identifier: Apache-2.0 */
/* beir.h: a BEIR folder (Thakur et al. 2021) and its collection, which `eval`, `mine` and
 * `train` work on; or one without corpus.jsonl, as `synth` writes, whose queries are of a
 * collection that is there. Functions return an exit code, after saying what is wrong. */
#ifndef ASSAY_CLI_BEIR_H
#define ASSAY_CLI_BEIR_H

#include "cli/output.h"

typedef struct assay_beir {
    char *folder;     /* as it was given, less a '/' at its end: what `index` stores as source */
    char *collection; /* its name, else the one in synth.json, else that of the folder */
    bool sentences;   /* queries are sentences of the passages, as synth.json says */
    assay_qrels *qrels;
    assay_queries queries;
} assay_beir;

/* Reads the judgments of a split. collection may be NULL. Close it in any case. */
int assay_beir_open(const char *folder, const char *collection, const char *split,
                    assay_beir *out);
int assay_beir_queries(assay_beir *beir);
void assay_beir_close(assay_beir *beir);

/* Brings the collection up to date, if the folder has documents. model is the bi-encoder to make it with; NULL: the
 * default, or none where there is none or the retriever is BM25. */
int assay_beir_index(const assay_beir *beir, assay_store *store, const char *model,
                     assay_retriever retriever, uint32_t threads);

#endif
