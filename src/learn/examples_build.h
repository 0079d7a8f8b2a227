/* SPDX-License-Identifier: Apache-2.0 */
/* examples_build.h: how the readers of examples put them together. */
#ifndef ASSAY_EXAMPLES_BUILD_H
#define ASSAY_EXAMPLES_BUILD_H

#include "base/buffer.h"
#include "learn/examples.h"

typedef struct assay_examples_builder {
    assay_examples *out;
    const assay_examples_options *options;
    assay_string_map *queries; /* by id where there is one, else by text */
    size_t capacity, labelled_capacity;
    assay_buffer text;         /* a passage with its title */
    uint64_t done, total;      /* bytes, for progress */
} assay_examples_builder;

assay_status assay_builder_start(assay_examples_builder *builder, assay_examples *out,
                                 const assay_examples_options *options, assay_error *error);
/* The example of a query: that of an earlier line with the same id and text, or a new one. */
assay_status assay_builder_query(assay_examples_builder *builder, const char *id,
                                 assay_text query, uint64_t line, uint32_t *example,
                                 assay_error *error);
/* Number of a passage's text, title and heading in front. *blank: it has none, and no number. */
assay_status assay_builder_passage(assay_examples_builder *builder, const char *title,
                                   const char *heading, assay_text text, uint32_t *number,
                                   bool *blank, assay_error *error);
assay_status assay_builder_label(assay_examples_builder *builder, assay_labelled labelled,
                                 assay_error *error);
/* Tells of something that is passed over. INTERRUPTED when progress says so. */
assay_status assay_builder_problem(assay_examples_builder *builder, const assay_error *problem,
                                   assay_error *error);
assay_status assay_builder_progress(assay_examples_builder *builder, uint64_t done,
                                    assay_error *error);
/* Sorts labels to their examples and drops examples that teach nothing. */
assay_status assay_builder_finish(assay_examples_builder *builder, const char *name,
                                  assay_error *error);
void assay_builder_free(assay_examples_builder *builder);

/* A BEIR folder, into a builder. */
assay_status assay_examples_read_folder(assay_examples_builder *builder, const char *folder,
                                        assay_error *error);

#endif
