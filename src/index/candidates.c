/* SPDX-License-Identifier: Apache-2.0 */
/* candidates.c: see candidates.h. */
#include "index/candidates.h"

#include <stdlib.h>

static void swap(assay_candidate *a, assay_candidate *b)
{
    assay_candidate kept = *a;
    *a = *b;
    *b = kept;
}

/* Moves the root down to where neither child is worse than it. */
static void sink(assay_best *best)
{
    size_t at = 0;
    for (;;) {
        size_t worst = at, left = 2 * at + 1;
        for (size_t child = left; child < left + 2 && child < best->count; child++)
            if (assay_candidate_before(best->items[worst], best->items[child]))
                worst = child;
        if (worst == at)
            return;
        swap(&best->items[at], &best->items[worst]);
        at = worst;
    }
}

void assay_best_put(assay_best *best, assay_candidate candidate)
{
    if (candidate.score != candidate.score || best->limit == 0)
        return;
    if (best->count == best->limit) {
        if (!assay_candidate_before(candidate, best->items[0]))
            return;
        best->items[0] = candidate;
        sink(best);
        return;
    }
    size_t at = best->count++;
    best->items[at] = candidate;
    while (at > 0 && assay_candidate_before(best->items[(at - 1) / 2], best->items[at])) {
        swap(&best->items[(at - 1) / 2], &best->items[at]);
        at = (at - 1) / 2;
    }
}

static int compare(const void *left, const void *right)
{
    assay_candidate a = *(const assay_candidate *)left, b = *(const assay_candidate *)right;
    return assay_candidate_before(a, b) ? -1 : assay_candidate_before(b, a);
}

void assay_candidates_sort(assay_candidate *candidates, size_t count)
{
    if (count > 1)
        qsort(candidates, count, sizeof *candidates, compare);
}

/* The worst goes to the end, again and again: qsort may take memory, a search must not. */
void assay_best_sort(assay_best *best)
{
    size_t count = best->count;
    while (best->count > 1) {
        swap(&best->items[0], &best->items[--best->count]);
        sink(best);
    }
    best->count = count;
}
