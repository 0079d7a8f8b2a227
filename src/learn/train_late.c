/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_late.c: how late interaction compares texts: MaxSim of their token vectors
 * (maxsim_gradient.h), which have length 1.
 *
 * Of a query all vectors count, of markers and of the masks that fill it up, too (Khattab &
 * Zaharia 2020, query augmentation); of a passage those of the skip list do not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/threads.h"
#include "learn/maxsim_gradient.h"
#include "learn/train_batch.h"

/* ---- One passage and some queries ------------------------------------------------ */

static float *rows_of(const assay_batch_step *s, float *vectors, size_t sequence)
{
    return vectors + s->rows[sequence] * s->dimensions;
}

static size_t count_of(const assay_batch_step *s, size_t sequence)
{
    return s->rows[sequence + 1] - s->rows[sequence];
}

/* The queries that are compared with a passage: begin .. end - 1. */
static void queries_of(const assay_batch_step *s, size_t passage, size_t *begin, size_t *end)
{
    *begin = 0;
    *end = s->queries;
    if (s->all)
        return;
    while (s->own[*begin + 1] <= passage)
        (*begin)++;
    *end = *begin + 1;
}

static uint32_t *best_of(const assay_batch_step *s, size_t passage, size_t query)
{
    return s->best + passage * s->rows[s->queries] + s->rows[query];
}

/* ---- All ------------------------------------------------------------------------- */

typedef struct comparison {
    assay_batch_step *step;
    size_t scratch_size, values_size; /* floats of each worker */
    float *scratch, *values;
    uint8_t *skipped; /* [rows] */
} comparison;

static void compare_passage(void *context, size_t p, uint32_t worker)
{
    const comparison *c = context;
    const assay_batch_step *s = c->step;
    size_t begin, end, sequence = s->queries + p;
    float *values = c->values + worker * c->values_size;
    queries_of(s, p, &begin, &end);
    assay_maxsim_forth(rows_of(s, s->vectors, begin), s->rows[end] - s->rows[begin],
                       rows_of(s, s->vectors, sequence), c->skipped + s->rows[sequence],
                       count_of(s, sequence), s->dimensions,
                       c->scratch + worker * c->scratch_size, values, best_of(s, p, begin));
    for (size_t q = begin; q < end; q++) {
        double sum = 0;
        for (size_t i = s->rows[q]; i < s->rows[q + 1]; i++)
            sum += (double)values[i - s->rows[begin]];
        s->similarity[q * s->passages + p] = (float)sum;
    }
}

static void mark_skipped(const assay_batch_step *s, uint8_t *skipped)
{
    const assay_sequences *all = &s->t->sequences;
    for (size_t i = s->queries; i < all->count; i++)
        for (uint32_t k = 0; k < all->list[i].count; k++)
            skipped[s->rows[i] + k] = assay_late_marks_skip(&all->late, all->list[i].ids[k]);
}

assay_status assay_late_compare(assay_batch_step *s, assay_error *error)
{
    uint32_t workers = assay_cores();
    size_t rows = s->rows[s->t->sequences.count], queries = s->rows[s->queries], longest = 0;
    for (size_t p = 0; p < s->passages; p++)
        longest = count_of(s, s->queries + p) > longest ? count_of(s, s->queries + p) : longest;
    comparison c = {.step = s,
                    .scratch_size = assay_maxsim_scratch(longest, s->dimensions),
                    .values_size = queries,
                    .skipped = calloc(rows, 1)};
    size_t panels = workers * c.scratch_size * sizeof *c.scratch;
    c.scratch = aligned_alloc(ASSAY_ALIGNMENT, assay_arena_need(panels));
    c.values = calloc(workers * queries, sizeof *c.values);
    s->best = calloc(s->passages * queries, sizeof *s->best);
    bool fine = c.scratch != NULL && c.values != NULL && c.skipped != NULL && s->best != NULL;
    if (fine) {
        mark_skipped(s, c.skipped);
        assay_loop(s->passages, s->t->o.threads, compare_passage, &c);
    }
    free(c.scratch);
    free(c.values);
    free(c.skipped);
    return fine ? ASSAY_OK
                : assay_fail_memory(error, panels + s->passages * queries * sizeof *s->best);
}

void assay_late_take_apart(assay_batch_step *s)
{
    const assay_sequences *all = &s->t->sequences;
    float by_value[ASSAY_LATE_QUERY_MAX];
    for (size_t p = 0; p < s->passages; p++) {
        size_t begin, end, sequence = s->queries + p;
        queries_of(s, p, &begin, &end);
        for (size_t q = begin; q < end; q++) {
            float slope = s->slopes[q * s->passages + p];
            for (size_t i = 0; i < all->list[q].count; i++)
                by_value[i] = slope;
            if (slope != 0)
                assay_maxsim_back(rows_of(s, s->vectors, q), count_of(s, q),
                                  rows_of(s, s->vectors, sequence), s->dimensions,
                                  best_of(s, p, q), by_value, rows_of(s, s->gradients, q),
                                  rows_of(s, s->gradients, sequence));
        }
    }
}
