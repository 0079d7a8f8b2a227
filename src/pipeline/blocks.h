/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks.h: one stage's passages scored from the best on, block by block, as long as
 * there is time and a reason to.
 *
 * A score does not depend on the block it was made in, so those of a stage that stops
 * early are, to the bit, the ones it would have given with all the time there is. Blocks
 * are large where nothing can stop it, and small where the end of the time is near: half
 * of what is left at a time, since every block tells more about what the next will take.
 */
#ifndef ASSAY_BLOCKS_H
#define ASSAY_BLOCKS_H

#include "pipeline/cost.h"
#include "pipeline/reranker.h"

typedef struct assay_blocks {
    const assay_reranker_class *class;
    void *reranker;
    const assay_rerank_call *call;
    assay_cost *cost;   /* of the stage; learns */
    assay_score *scores; /* [call->count] */
    double *work;       /* [call->count] */
    assay_stage_result *result;
    /* Whether the rest need not be scored, asked after every `step` passages; NULL: it is
     * not asked. */
    bool (*settled)(void *user, size_t done);
    void *user;
    size_t step;
    size_t done;        /* out: scores[done] are made */
    bool late;          /* out: it was time that ended it */
} assay_blocks;

/* Status is the reranker's (reranker.h says which degrade); scores[done] hold even then. */
assay_status assay_blocks_score(assay_blocks *blocks, assay_error *error);

#endif
