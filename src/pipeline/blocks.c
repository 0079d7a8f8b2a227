/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.c: see blocks.h. */
#include "pipeline/blocks.h"

#include <math.h>

#include "base/clock.h"

enum {
    FIRST = 2, /* passages that tell what the others will take */
    LEAST = 4, /* of a block: smaller ones take longer a passage */
};

/* How many passages, from the next on, can be done in so many seconds. */
static size_t fitting(const assay_blocks *b, double seconds)
{
    double work = 0;
    size_t i = b->done;
    for (; i < b->call->count; i++) {
        work += b->work[i];
        if (work > 0 && (!assay_cost_known(b->cost) || assay_cost_of(b->cost, work) > seconds))
            break;
    }
    return i - b->done;
}

static double sum_of(const assay_blocks *b, size_t count)
{
    double work = 0;
    for (size_t i = b->done; i < b->done + count; i++)
        work += b->work[i];
    return work;
}

static size_t next_step(const assay_blocks *b)
{
    size_t rest = b->call->count - b->done;
    return b->settled == NULL || b->class->whole || b->step > rest ? rest : b->step;
}

/* How many to score now; 0: there is no time. */
static size_t next_block(const assay_blocks *b)
{
    size_t rest = next_step(b);
    if (!(b->call->deadline < INFINITY))
        return rest;
    double left = b->call->deadline - assay_seconds();
    if (b->class->whole)
        return left > 0 && assay_cost_of(b->cost, sum_of(b, rest)) <= left ? rest : 0;
    if (left <= 0)
        return fitting(b, 0);
    if (!assay_cost_known(b->cost))
        return rest < FIRST ? rest : FIRST;
    size_t most = fitting(b, left), half = fitting(b, left / 2);
    if (most >= rest || most < LEAST)
        return most < rest ? most : rest;
    return half > LEAST ? half : LEAST;
}

static assay_status score_block(assay_blocks *b, size_t count, assay_error *error)
{
    double begun = assay_seconds();
    assay_status status = b->class->score(b->reranker, b->call, b->done, count, b->scores,
                                          b->result, error);
    double seconds = assay_seconds() - begun;
    /* One that was cut off would have taken longer, and nobody knows how much. */
    bool cut = b->class->whole && assay_seconds() >= b->call->deadline;
    if (status == ASSAY_OK || cut)
        assay_cost_learn(b->cost, sum_of(b, count), cut ? 2 * seconds : seconds);
    b->late = b->late || cut;
    if (status == ASSAY_OK)
        b->done += count;
    return status;
}

/* Where there was some time, and what is expected is too long for it. */
static void left_out(const assay_blocks *b)
{
    if (b->late && b->done == 0 && assay_seconds() < b->call->deadline)
        assay_cost_fade(b->cost);
}

static assay_status score_blocks(assay_blocks *b, assay_error *error)
{
    while (b->done < b->call->count) {
        size_t count = next_block(b);
        b->late = count == 0;
        if (b->late)
            break;
        ASSAY_TRY(score_block(b, count, error));
        if (b->settled != NULL && b->done < b->call->count && b->settled(b->user, b->done))
            break;
    }
    left_out(b);
    return ASSAY_OK;
}

/* The mean work of passages that are any. */
static double mean_work(const assay_blocks *b)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < b->call->count; i++) {
        sum += b->work[i];
        count += b->work[i] > 0;
    }
    return count > 0 ? sum / (double)count : 0;
}

assay_status assay_blocks_score(assay_blocks *b, assay_error *error)
{
    double begun = assay_seconds();
    b->done = 0;
    b->late = begun + b->cost->begin >= b->call->deadline;
    left_out(b);
    if (b->late)
        return ASSAY_OK;
    ASSAY_TRY(b->class->begin(b->reranker, b->call, b->scores, b->work, b->result, error));
    if (b->result->skipped.code != ASSAY_OK)
        return ASSAY_OK;
    assay_cost_learn_query(b->cost, assay_seconds() - begun, mean_work(b));
    assay_status status = score_blocks(b, error);
    if (b->class->end != NULL)
        b->class->end(b->reranker, b->call, b->done, b->scores, b->result);
    return status;
}
