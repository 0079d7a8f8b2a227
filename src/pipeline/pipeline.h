/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline.h: what the files of a search share.
 *
 *     settings.c   options, with every default filled in and checked
 *     retrieve.c   query -> candidates, fused, best first
 *     cascade.c    candidates -> the same, reordered by stage after stage
 *     blocks.c     a stage's candidates scored as long as there is time
 *     search.c     opens and closes all that, and makes hits of what comes out
 *     search_many.c  the same for many questions, a thread each
 */
#ifndef ASSAY_PIPELINE_H
#define ASSAY_PIPELINE_H

#include "pipeline/allowed.h"
#include "pipeline/cost.h"
#include "pipeline/fusion.h"
#include "pipeline/late_retriever.h"
#include "pipeline/nearest.h"
#include "pipeline/reranker.h"

/* Options in force; options.stages is `stages`. */
typedef struct assay_settings {
    assay_pipeline_options options;
    assay_stage_options stages[ASSAY_STAGES_MAX];
} assay_settings;

/* Fills in defaults and checks values. Strings are copied into the arena. What
 * depends on the collection is assay_settings_fit. */
assay_status assay_settings_fill(const assay_pipeline_options *given, assay_arena *arena,
                                 assay_settings *out, assay_error *error);
/* Whether hits can be asked to be so probable. */
assay_status assay_settings_check_probability(const assay_pipeline_options *options,
                                              assay_setting least, assay_error *error);
assay_status assay_settings_fit(assay_settings *settings, const assay_collection *collection,
                                assay_error *error);

/* What retrieving needs. */
typedef struct assay_retrieval {
    assay_model *encoder;
    assay_session *session; /* NULL: BM25 only, or the two below are filled by the caller */
    float *query_vector;    /* [dimensions] */
    assay_embedding_info query_info;
    assay_vectors vectors;
    assay_vector_index kind; /* how they were searched last */
    assay_nearest nearest;
    assay_postings *postings; /* NULL: FTS5 answers */
    assay_error words;        /* why the word index is of no use, if it is there */
    assay_arena *terms;       /* of the query at hand */
    assay_allowed allowed;
    assay_late_retriever late; /* in place of dense vectors */
    assay_candidate *bm25, *dense; /* [retrieve]; dense: by vectors, of tokens too; of the */
    size_t bm25_count, dense_count; /* query at hand */
    assay_fused *fused;            /* [2 * retrieve] */
} assay_retrieval;

struct assay_pipeline {
    assay_store *store;
    assay_collection collection; /* as it was at the last search */
    assay_arena *arena;          /* strings of the settings */
    assay_settings settings;
    assay_retrieval retrieval;
    const assay_reranker_class *classes[ASSAY_STAGES_MAX]; /* [options.stage_count], and */
    void *rerankers[ASSAY_STAGES_MAX];                     /* their states */
    assay_cost costs[ASSAY_STAGES_MAX]; /* of the stages, */
    assay_cost dense_cost;              /* and of a question's vector and its neighbours */
    uint32_t deadline_ms; /* of the searches that follow; 0: none */
    double deadline;      /* assay_seconds, of the search at hand, the reserve taken off;
                             INFINITY: none */
    double reserve;       /* part of a search's time (cost.h) */
    assay_setting least;  /* probability of hits of the searches that follow */
    assay_late explainer; /* of assay_pipeline_explain, once it is needed */
};

/* Candidates of a search where nobody says how many. */
#define ASSAY_RETRIEVE 100u
/* Vectors that it keeps on its way beyond these. */
#define ASSAY_MORE_EF 100u

/* The model that made the collection's vectors, in a session for queries; the caller
 * closes both, on failure too. */
assay_status assay_query_encoder_open(const assay_collection *collection, uint32_t threads,
                                      assay_model **model, assay_session **session,
                                      assay_error *error);

assay_status assay_retrieval_open(assay_pipeline *pipeline, assay_error *error);
/* The working memory alone, without models. */
assay_status assay_retrieval_lists(assay_pipeline *pipeline, assay_error *error);
void assay_retrieval_close(assay_retrieval *retrieval);
/* Fills retrieval.fused, best first; *count is at most options.retrieve. Tells the
 * result query_truncated, and degraded. */
assay_status assay_retrieve(assay_pipeline *pipeline, assay_text query, size_t *count,
                            assay_result *result, assay_error *error);

/* A candidate on its way through the stages. */
typedef struct assay_entry {
    const assay_fused *fused;
    assay_passage_view view;
    size_t document;   /* number of its document among the entries' */
    size_t place;      /* before the stage at hand */
    double score;      /* what the order is by */
    uint32_t rank_first;     /* of its document after retrieval */
    uint32_t last;           /* stages up to the last that scored it; 0: none */
    assay_hit_stage *stages; /* [options.stage_count] */
} assay_entry;

/* The candidates as entries, without passages deleted meanwhile. */
assay_status assay_entries_read(assay_pipeline *pipeline, size_t candidates, assay_arena *arena,
                                assay_entry **out, size_t *count, assay_error *error);

/* Runs the stages: reorders entries[*count], of which some may be taken out, tells in
 * *result (its stages and sums) what each did. `top` as in assay_search. */
assay_status assay_cascade_run(assay_pipeline *pipeline, assay_text query, assay_entry *entries,
                               size_t *count, uint32_t top, assay_arena *arena,
                               assay_result *result, assay_error *error);

#endif
