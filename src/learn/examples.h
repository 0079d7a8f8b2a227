/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples.h: what a model learns from: queries, each with passages that are relevant
 * to it or not.
 *
 *     assay_examples_read(path, &options, &examples, &error)
 *         a BEIR folder        corpus, queries and the judgments of a split
 *         JSON lines           {"query", "positives", "negatives"}, as `assay mine`
 *                              writes them, and the like
 *         TSV                  query, positive, negative between tabs
 *     assay_examples_split     some of them held out, without leakage
 *
 * A passage's text is kept once, however often it comes. Lines that are no good are
 * told through the options' progress, counted and passed over.
 */
#ifndef ASSAY_EXAMPLES_H
#define ASSAY_EXAMPLES_H

#include "base/arena.h"
#include "base/string_map.h"
#include "text/context.h"

/* A passage of one query. */
typedef struct assay_labelled {
    uint32_t text;   /* its number in passages */
    int32_t grade;   /* above 0: relevant */
    float teacher;   /* score that a teacher gave it; NAN: none */
    bool missed;     /* relevant, and the retriever did not find it: not among what is
                        reranked when a ranking is measured */
    uint32_t example;
} assay_labelled;

typedef struct assay_example {
    const char *id;     /* of the query; "" when it has none */
    const char *query;
    uint64_t line;      /* of the file where it came first; 0 of a BEIR folder */
    size_t first;       /* labelled[first .. first + count - 1], the relevant ones first */
    uint32_t count;
    uint32_t positives;
} assay_example;

typedef struct assay_examples {
    assay_example *list; /* [count] in the order in which queries came */
    size_t count;
    assay_labelled *labelled;
    size_t labelled_count;
    assay_string_map *passages; /* texts by number: those of labelled, and all others of
                                   a collection, from which negatives may be drawn */
    bool taught;         /* every labelled passage has a teacher's score */
    assay_example_counts counts;
    assay_arena *strings;
} assay_examples;

typedef struct assay_examples_options {
    const char *split;         /* of a BEIR folder; NULL: "train" */
    assay_context_style style; /* how titles are joined to texts */
    assay_progress_fn progress;
    void *user;
} assay_examples_options;

/* Errors: NOT_FOUND, IO, FORMAT (nothing in it that can be learned from, and why),
 * INTERRUPTED. *out is the caller's: assay_examples_free. */
assay_status assay_examples_read(const char *path, const assay_examples_options *options,
                                 assay_examples *out, assay_error *error);
/* The same from memory, of JSON lines or TSV. */
assay_status assay_examples_parse(const char *data, size_t length, const char *name,
                                  const assay_examples_options *options, assay_examples *out,
                                  assay_error *error);
void assay_examples_free(assay_examples *examples);

/* Text of a passage; NUL-terminated, owned by the examples. */
static inline const char *assay_examples_text(const assay_examples *examples, uint32_t text)
{
    return assay_string_map_key(examples->passages, text);
}

/* Marks in held[count] what is to be held out: about `share` of the examples, at most
 * `most`. Queries of the same words, and those that have a relevant passage in common or
 * two that are nearly the same, stay on one side. FORMAT when that leaves one side
 * without any. */
assay_status assay_examples_split(const assay_examples *examples, double share, size_t most,
                                  uint64_t seed, bool *held, assay_error *error);

#endif
