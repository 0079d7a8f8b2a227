/* SPDX-License-Identifier: Apache-2.0 */
/*
 * candidates.h: what a retriever returns, and the k best of many.
 *
 * The order is total (score descending, then passage ascending), so the k best
 * are the same however the candidates are split among threads. NaN scores are
 * never kept. One thread.
 */
#ifndef ASSAY_CANDIDATES_H
#define ASSAY_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct assay_candidate {
    uint64_t passage; /* key in the store */
    float score;
} assay_candidate;

/* Whether a stands before b. */
static inline bool assay_candidate_before(assay_candidate a, assay_candidate b)
{
    return a.score > b.score || (a.score == b.score && a.passage < b.passage);
}

/* The k best so far: a heap whose root is the worst kept. */
typedef struct assay_best {
    assay_candidate *items; /* [limit], the caller's */
    size_t count, limit;
} assay_best;

void assay_best_put(assay_best *best, assay_candidate candidate);

/* Most candidates are worse than all that are kept, which is found out here. */
static inline void assay_best_add(assay_best *best, assay_candidate candidate)
{
    if (best->count < best->limit ||
        (best->count > 0 && candidate.score >= best->items[0].score))
        assay_best_put(best, candidate);
}

/* Sorts items best first; the heap is spent then. */
void assay_best_sort(assay_best *best);

/* Sorts any candidates best first. */
void assay_candidates_sort(assay_candidate *candidates, size_t count);

#endif
