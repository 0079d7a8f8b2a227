/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth.h: queries made up for passages.
 *
 *     synth.c          draws passages, has queries made, filters them, goes on after a kill
 *     synth_filter.c   whether a query is worth keeping
 *     synth_examples.c queries as they are wanted, out of a file
 *     synth_folder.c   the folder that comes out
 *     sentence_query.c a sentence of a passage as its query
 */
#ifndef ASSAY_SYNTH_H
#define ASSAY_SYNTH_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/string_map.h"
#include "rank/llm.h"

/* A sentence of the passage that says something by itself, drawn by *state, at most `most`
 * of them into queries[], in the arena. */
assay_status assay_sentence_queries(assay_text passage, size_t most, uint64_t *state,
                                    assay_arena *arena, assay_text *queries, size_t *count,
                                    assay_error *error);

/* Whether a query is worth searching for; if not, counts why. `seen` knows those that were
 * kept. */
bool assay_synth_fit(assay_query_kind kind, assay_text query, assay_text passage,
                     const assay_string_map *seen, assay_synth_report *report);
/* Makes it known. */
assay_status assay_synth_remember(assay_string_map *seen, assay_text query, assay_error *error);

/* Passages with queries as they are wanted. */
typedef struct assay_synth_examples {
    assay_llm_example *list; /* [count], in the arena */
    size_t count;
    assay_digest digest; /* of the file */
} assay_synth_examples;

/* Reads a file of examples (synth_examples.c). FORMAT names the line, or the kind of
 * `kinds` (bits) of which it has none. */
assay_status assay_synth_examples_read(const char *path, uint32_t kinds, assay_arena *arena,
                                       assay_synth_examples *out, assay_error *error);

/* The report's numbers by name, for files. */
typedef struct assay_synth_count {
    const char *name;
    size_t offset; /* of an uint64_t in assay_synth_report */
} assay_synth_count;
extern const assay_synth_count assay_synth_counts[];
extern const size_t assay_synth_count_count;

/* A query that was kept. */
typedef struct assay_synth_query {
    assay_query_kind kind;
    uint64_t passage;
    const char *document, *text;
} assay_synth_query;

/* Writes queries.jsonl, qrels/train.tsv and synth.json; each appears whole. */
assay_status assay_synth_write(const char *folder, const char *collection,
                               const assay_synth_options *options,
                               const assay_synth_query *queries, size_t count,
                               const assay_synth_report *report, assay_error *error);
/* Makes the folder; ARGUMENT for one with data of others. */
assay_status assay_synth_claim(const char *folder, assay_error *error);

#endif
