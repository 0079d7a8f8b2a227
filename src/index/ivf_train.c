/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ivf_train.c: the centres of lists, by k-means on a sample.
 *
 * Spherical k-means (Dhillon & Modha 2001): centres have length 1, a vector belongs to
 * the one with the largest inner product, and a centre becomes the direction of the sum
 * of what belongs to it. Products are those of the engine's GEMM, whose bits do not
 * depend on how the work is cut; each centre sums its own in their order. So the centres
 * do not depend on the number of threads.
 *
 * To keep lists about equally long, after each round but the last centres with less than
 * a quarter of their share are put beside those with the most, which then halve what they
 * had.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/threads.h"
#include "index/ivf_lists.h"
#include "kernels/kernels.h"

enum {
    ROUNDS = 10,
    A_LIST = 96,     /* of the sample, at most */
    ROWS = 64,       /* vectors that a worker takes at a time, ... */
    PIECE = 1 << 14, /* ... and all together before they look up, a multiple of ROWS, ... */
    COLUMNS = 256,   /* ... and centres that it compares them with at a time */
    SMALL = 4,       /* a list is small below one in so many of its share */
};

/* ---------------------------------------------------------------- assigning */

typedef struct assignment {
    const assay_ivf *ivf;
    const float *vectors;
    const uint32_t *at;
    size_t first, end; /* of a piece */
    float *panels; /* the centres, packed */
    float *room;   /* [threads][ROWS][dimensions + COLUMNS] */
    uint32_t *lists;
} assignment;

static assay_status tell(assay_ivf_work *work, size_t more, assay_error *error)
{
    if (work == NULL)
        return ASSAY_OK;
    work->done += more;
    return work->progress == NULL || work->progress(work->done, work->total, work->user)
               ? ASSAY_OK
               : assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
}

static void take_best(const float *products, size_t columns, uint32_t first, uint32_t *list,
                      float *best)
{
    for (size_t j = 0; j < columns; j++)
        if (products[j] > *best) {
            *best = products[j];
            *list = first + (uint32_t)j;
        }
}

static void assign_some(void *context, size_t item, uint32_t worker)
{
    const assignment *a = context;
    size_t d = a->ivf->options.dimensions, lists = a->ivf->options.lists;
    size_t first = a->first + item * ROWS, rows = a->end - first < ROWS ? a->end - first : ROWS;
    float *room = a->room + worker * (size_t)ROWS * (d + COLUMNS), *products = room + ROWS * d;
    float best[ROWS];
    for (size_t i = 0; i < rows; i++) {
        size_t row = a->at != NULL ? a->at[first + i] : first + i;
        memcpy(room + i * d, a->vectors + row * d, d * sizeof *room);
        a->lists[first + i] = 0;
        best[i] = -INFINITY;
    }
    for (size_t j = 0; j < lists; j += COLUMNS) {
        size_t columns = lists - j < COLUMNS ? lists - j : COLUMNS;
        assay_kernels_active()->gemm_f32(room, d, rows, a->panels + j * d, columns, d, NULL,
                                         products, COLUMNS);
        for (size_t i = 0; i < rows; i++)
            take_best(products + i * COLUMNS, columns, (uint32_t)j, &a->lists[first + i],
                      &best[i]);
    }
}

assay_status assay_ivf_assign(const assay_ivf *ivf, const float *vectors, const uint32_t *at,
                              size_t count, uint32_t threads, uint32_t *lists,
                              assay_ivf_work *work, assay_error *error)
{
    size_t d = ivf->options.dimensions;
    if (threads == 0 || threads > assay_cores())
        threads = assay_cores();
    assignment a = {.ivf = ivf, .vectors = vectors, .at = at, .lists = lists};
    size_t panels = assay_panels_size(ivf->options.lists, d);
    size_t room = threads * (size_t)ROWS * (d + COLUMNS);
    a.panels = malloc(panels * sizeof *a.panels);
    a.room = malloc(room * sizeof *a.room);
    assay_status status = a.panels != NULL && a.room != NULL
                              ? ASSAY_OK
                              : assay_fail_memory(error, (panels + room) * sizeof(float));
    if (status == ASSAY_OK)
        assay_kernels_active()->pack_f32(ivf->centres, d, ivf->options.lists, d, a.panels);
    for (; status == ASSAY_OK && a.first < count; a.first = a.end) {
        a.end = count - a.first < PIECE ? count : a.first + PIECE;
        assay_loop((a.end - a.first + ROWS - 1) / ROWS, threads, assign_some, &a);
        status = tell(work, a.end - a.first, error);
    }
    free(a.panels);
    free(a.room);
    return status;
}

/* ----------------------------------------------------------------- k-means */

typedef struct training {
    assay_ivf *ivf;
    const float *vectors;
    uint32_t *sample;    /* [count] numbers of vectors */
    size_t count;
    uint32_t *lists;     /* [count] */
    uint32_t *starts;    /* [lists + 1] of members */
    uint32_t *members;   /* [count] numbers of vectors, by list */
    uint32_t threads;
} training;

/* Evenly spread, at most A_LIST a list. */
static void choose_sample(training *t, size_t count)
{
    for (size_t i = 0; i < t->count; i++)
        t->sample[i] = (uint32_t)((double)i * (double)count / (double)t->count);
}

static void set_length(float *x, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    float scale = squares > 0 ? (float)(1 / sqrt(squares)) : 0;
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
}

/* Centres to begin with: vectors of the sample, no two the same. */
static void begin(training *t)
{
    size_t d = t->ivf->options.dimensions, lists = t->ivf->options.lists;
    for (size_t i = 0; i < t->count; i++)
        t->members[i] = t->sample[i];
    for (size_t l = 0; l < lists; l++) {
        uint64_t draw[2] = {t->ivf->options.seed, l};
        size_t other = l + assay_hash64(draw, sizeof draw) % (t->count - l);
        uint32_t chosen = t->members[other];
        t->members[other] = t->members[l];
        t->members[l] = chosen;
        memcpy(t->ivf->centres + l * d, t->vectors + chosen * d, d * sizeof(float));
        set_length(t->ivf->centres + l * d, d);
    }
}

/* Members of each list, in the order of the sample. */
static void sort_members(training *t)
{
    size_t lists = t->ivf->options.lists;
    memset(t->starts, 0, (lists + 1) * sizeof *t->starts);
    for (size_t i = 0; i < t->count; i++)
        t->starts[t->lists[i] + 1]++;
    for (size_t l = 0; l < lists; l++)
        t->starts[l + 1] += t->starts[l];
    for (size_t i = 0; i < t->count; i++)
        t->members[t->starts[t->lists[i]]++] = t->sample[i];
    for (size_t l = lists; l > 0; l--)
        t->starts[l] = t->starts[l - 1];
    t->starts[0] = 0;
}

/* A centre becomes the direction of the sum of its members; one without keeps its own. */
static void move_centre(void *context, size_t l, uint32_t worker)
{
    training *t = context;
    size_t d = t->ivf->options.dimensions;
    float *centre = t->ivf->centres + l * d;
    (void)worker;
    if (t->starts[l] == t->starts[l + 1])
        return;
    memset(centre, 0, d * sizeof *centre);
    for (uint32_t i = t->starts[l]; i < t->starts[l + 1]; i++) {
        const float *x = t->vectors + t->members[i] * d;
        for (size_t j = 0; j < d; j++)
            centre[j] += x[j];
    }
    set_length(centre, d);
}

/* Two centres on either side of where one was; the direction between them is at random. */
static void part(training *t, size_t from, size_t to, size_t number)
{
    size_t d = t->ivf->options.dimensions;
    float *one = t->ivf->centres + from * d, *other = t->ivf->centres + to * d;
    float step = 0.1f / sqrtf((float)d);
    for (size_t j = 0; j < d; j++) {
        uint64_t draw[3] = {t->ivf->options.seed, number, j};
        float move = assay_hash64(draw, sizeof draw) & 1 ? step : -step;
        other[j] = one[j] - move;
        one[j] += move;
    }
    set_length(one, d);
    set_length(other, d);
}

/* Gives the small lists a half of the largest. */
static void share_out(training *t, size_t round)
{
    size_t lists = t->ivf->options.lists;
    uint32_t *sizes = t->starts; /* from here on */
    for (size_t l = 0; l < lists; l++)
        sizes[l] = t->starts[l + 1] - t->starts[l];
    for (size_t l = 0; l < lists; l++) {
        if ((uint64_t)sizes[l] * lists * SMALL >= t->count)
            continue;
        size_t largest = 0;
        for (size_t other = 1; other < lists; other++)
            if (sizes[other] > sizes[largest])
                largest = other;
        if ((uint64_t)sizes[largest] * lists < 2 * t->count)
            return; /* nothing is large */
        part(t, largest, l, round * lists + l);
        sizes[l] = sizes[largest] / 2;
        sizes[largest] -= sizes[l];
    }
}

static assay_status train(training *t, assay_ivf_work *work, assay_error *error)
{
    begin(t);
    for (size_t round = 0; round < ROUNDS; round++) {
        ASSAY_TRY(assay_ivf_assign(t->ivf, t->vectors, t->sample, t->count, t->threads, t->lists,
                                   work, error));
        sort_members(t);
        assay_loop(t->ivf->options.lists, t->threads, move_centre, t);
        if (round + 1 < ROUNDS)
            share_out(t, round);
    }
    return ASSAY_OK;
}

assay_status assay_ivf_train(assay_ivf *ivf, const float *vectors, size_t count,
                             uint32_t threads, assay_ivf_work *work, assay_error *error)
{
    size_t lists = ivf->options.lists, most = A_LIST * lists;
    training t = {.ivf = ivf, .vectors = vectors, .threads = threads};
    t.count = count < most ? count : most;
    t.sample = calloc(t.count, sizeof *t.sample);
    t.lists = calloc(t.count, sizeof *t.lists);
    t.members = calloc(t.count, sizeof *t.members);
    t.starts = calloc(lists + 1, sizeof *t.starts);
    bool room = t.sample && t.lists && t.members && t.starts;
    work->total = ROUNDS * t.count + count;
    if (room)
        choose_sample(&t, count);
    assay_status status = room ? train(&t, work, error)
                               : assay_fail_memory(error, t.count * 12);
    free(t.sample);
    free(t.lists);
    free(t.members);
    free(t.starts);
    return status;
}
