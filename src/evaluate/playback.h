/* SPDX-License-Identifier: Apache-2.0 */
/*
 * playback.h: what every stage of a pipeline says of every candidate of judged queries,
 * so that other settings can be tried without asking a model again.
 *
 * A recording is played through the cascade itself (pipeline/cascade.c), with rerankers
 * that know by heart: what comes of it is, to the bit, what a search would do.
 */
#ifndef ASSAY_PLAYBACK_H
#define ASSAY_PLAYBACK_H

#include "pipeline/pipeline.h"

enum { ASSAY_PLAYBACK_TOP = 10 }; /* of nDCG */

typedef struct assay_recorded {
    size_t query;        /* of the qrels */
    assay_text text;
    size_t count;
    assay_fused *fused;   /* [count] */
    assay_entry *entries; /* [count], as they were retrieved */
    int32_t *grades;      /* [count] of the documents */
    int32_t *ideal;       /* [relevant] grades of all that is relevant, best first */
    size_t relevant;
    uint64_t *passages;   /* [count] keys, ascending, and */
    size_t *places;       /* the entries that they are of */
    assay_score *scores[ASSAY_STAGES_MAX];       /* [count] by entry */
    assay_error skipped[ASSAY_STAGES_MAX];       /* as a stage's result */
    assay_error failed[ASSAY_STAGES_MAX];        /* LIMIT: it cannot work on the query */
} assay_recorded;

typedef struct assay_playback {
    assay_pipeline shell; /* settings to play with, and rerankers that replay */
    assay_arena *arena, *scratch;
    assay_recorded *queries; /* [count] */
    size_t count;
    double seconds[ASSAY_STAGES_MAX]; /* of a passage */
} assay_playback;

/* What a playing came to. */
typedef struct assay_played {
    double ndcg;
    uint32_t scored[ASSAY_STAGES_MAX];
    double seconds; /* that scoring these takes */
} assay_played;

/* Records queries[count] (places in `queries`), which have judgments. */
assay_status assay_playback_record(assay_pipeline *pipeline, const assay_queries *queries,
                          const size_t *picked, size_t count, const assay_qrels *qrels,
                          assay_progress_fn progress, void *user, assay_playback *out,
                          assay_error *error);
void assay_playback_free(assay_playback *recording);

/* What nDCG compares with: the grades above 0 of a query, best first, in the arena. */
assay_status assay_playback_ideal(const assay_qrels *qrels, size_t query, assay_arena *arena,
                                  int32_t **ideal, size_t *relevant, assay_error *error);
/* The number of a judged query. */
size_t assay_playback_number(const assay_qrels *qrels, const char *id);

/* Plays query i with the shell's settings. */
assay_status assay_playback_run(assay_playback *recording, size_t i, assay_played *out,
                        assay_error *error);

#endif
