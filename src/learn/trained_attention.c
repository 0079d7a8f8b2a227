/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trained_attention.c: softmax attention and its gradient (trained_encoder.h).
 *
 * Probabilities are not kept: the way back makes them again from queries and keys,
 * block of query rows by block, as Dao et al. 2022 do for GPUs. With P the
 * probabilities, D what dropout leaves of them, and dC the gradient by the context:
 *
 *     dV = D' dC      dP = dropout(dC V')      dS = P (dP - sum(P dP)) scale
 *     dQ = dS K       dK = dS' Q
 *
 * In the lower layers of a model that is split (model/encoder.h) the two texts of a pair
 * are heads of their own.
 */
#include "learn/trained_encoder.h"

#include <math.h>
#include <string.h>

enum {
    QUERY_ROWS = 48,       /* of a block, at most ... */
    QUERY_ROWS_LEAST = 12, /* ... and at least, */
    SCORES = 24 * 1024,    /* of so many floats */
    ROWS_LD = 64,          /* floats between rows of a block that is turned */
};

static size_t query_rows(size_t length)
{
    size_t rows = SCORES / assay_whole_panels(length);
    if (rows < QUERY_ROWS_LEAST)
        return QUERY_ROWS_LEAST;
    return rows < QUERY_ROWS ? rows : QUERY_ROWS;
}

size_t assay_attention_space(float *base, size_t head_size, size_t longest, bool keep,
                             assay_worker_space *space)
{
    size_t used = 0, least = QUERY_ROWS_LEAST * assay_whole_panels(longest);
    size_t scores = least > SCORES ? least : SCORES;
    size_t tall = assay_panels_size(longest, head_size);
    size_t wide = assay_panels_size(head_size, longest);
    space->panels[0] = assay_space_take(base, &used, tall);
    space->panels[1] = assay_space_take(base, &used, wide);
    space->scores = assay_space_take(base, &used, scores);
    if (!keep)
        return used;
    space->panels[2] = assay_space_take(base, &used, tall);
    space->score_gradients = assay_space_take(base, &used, scores);
    space->turned_scores = assay_space_take(base, &used, longest * ROWS_LD);
    space->query_panels =
        assay_space_take(base, &used, assay_panels_size(head_size, QUERY_ROWS));
    return used;
}

/* One head of some rows that see each other: where they are. */
typedef struct head {
    const float *q, *k, *v; /* [rows][hidden], [length][2 hidden] */
    size_t at;              /* of these in q's rows, in floats */
    size_t rows, length;    /* queries, and the keys that they see */
    size_t size, hidden;
    size_t ld;              /* of scores */
    float scale;
    assay_dropout dropout;
    uint64_t first_row;     /* of dropout */
    size_t heads;
} head;

/* A sequence, or one of its texts. */
typedef struct extent {
    size_t sequence, row, count, unseen;
} extent;

static size_t find_extents(const assay_trained_pass *pass, size_t layer, size_t sequence,
                           extent out[2])
{
    const assay_sequence *s = &pass->sequences[sequence];
    size_t row = pass->starts[sequence];
    out[0] = (extent){sequence, row, s->count, s->unseen};
    if (layer >= pass->encoder->config->split || s->second == 0 || s->second >= s->count)
        return 1;
    out[0] = (extent){sequence, row, s->second, 0};
    out[1] = (extent){sequence, row + s->second, s->count - s->second, s->unseen};
    return 2;
}

static head find_head(const assay_trained_pass *pass, size_t layer, const extent *e, size_t number)
{
    const assay_kept_layer *kept = &pass->layers[layer];
    const assay_model_config *config = pass->encoder->config;
    size_t hidden = config->hidden, size = hidden / config->heads;
    size_t row = e->row, going = kept->firsts ? e->sequence : row;
    head h = {.at = going * hidden + number * size,
              .k = kept->key_value + row * 2 * hidden + number * size,
              .rows = kept->firsts ? 1 : e->count,
              .length = e->count - e->unseen,
              .size = size,
              .hidden = hidden,
              .scale = 1.0f / sqrtf((float)size),
              .dropout = assay_layer_dropout(pass, layer, ASSAY_PLACE_ATTENTION),
              .first_row = row * config->heads + number,
              .heads = config->heads};
    h.q = kept->query + h.at;
    h.v = h.k + hidden;
    h.ld = assay_whole_panels(h.length);
    return h;
}

/* Probabilities of `rows` queries from `first` on. */
static void find_probabilities(const head *h, size_t first, size_t rows, const float *keys,
                               float *scores)
{
    const assay_kernels *kernels = assay_kernels_active();
    kernels->gemm_f32(h->q + first * h->hidden, h->hidden, rows, keys, h->length, h->size, NULL,
                      scores, h->ld);
    kernels->softmax_f32(scores, h->ld, rows, h->length, h->scale);
}

static void drop(const head *h, size_t first, size_t rows, float *scores)
{
    for (size_t i = 0; i < rows; i++)
        assay_dropout_row(&h->dropout, h->first_row + (first + i) * h->heads,
                          scores + i * h->ld, h->length);
}

static void extent_forth(const assay_trained_pass *pass, size_t layer, const extent *e,
                         size_t number, const assay_worker_space *space)
{
    const assay_kernels *kernels = assay_kernels_active();
    head h = find_head(pass, layer, e, number);
    float *context = pass->layers[layer].context + h.at;
    size_t ld = 2 * h.hidden, step = query_rows(h.length);
    kernels->pack_f32(h.k, ld, h.length, h.size, space->panels[0]);
    kernels->pack_transposed_f32(h.v, ld, h.size, h.length, space->panels[1]);
    for (size_t first = 0; first < h.rows; first += step) {
        size_t rows = h.rows - first < step ? h.rows - first : step;
        find_probabilities(&h, first, rows, space->panels[0], space->scores);
        drop(&h, first, rows, space->scores);
        kernels->gemm_f32(space->scores, h.ld, rows, space->panels[1], h.size, h.length, NULL,
                          context + first * h.hidden, h.hidden);
    }
}

void assay_attention_forth(const assay_trained_pass *pass, size_t layer, size_t sequence,
                           size_t number, const assay_worker_space *space)
{
    extent extents[2];
    size_t count = find_extents(pass, layer, sequence, extents);
    for (size_t i = 0; i < count; i++)
        extent_forth(pass, layer, &extents[i], number, space);
}

/* sums[length][2 hidden] (+)= scores' rows: the part of a block of queries in the
 * gradient by keys or values. `rows` are [count] rows of a head, hidden apart. */
static void add_turned(const head *h, const float *scores, const float *rows, size_t count,
                       bool add, float *sums, const assay_worker_space *space)
{
    const assay_kernels *kernels = assay_kernels_active();
    assay_epilogue epilogue = {.residual = sums, .ld_residual = 2 * h->hidden};
    kernels->transpose_f32(scores, h->ld, count, h->length, space->turned_scores, ROWS_LD);
    kernels->pack_transposed_f32(rows, h->hidden, h->size, count, space->query_panels);
    kernels->gemm_f32(space->turned_scores, ROWS_LD, h->length, space->query_panels, h->size,
                      count, add ? &epilogue : NULL, sums, 2 * h->hidden);
}

/* The gradient by a block's scores into space->score_gradients; space->scores becomes
 * what dropout leaves of the probabilities. */
static void scores_back(const head *h, size_t first, size_t rows, const float *context_gradient,
                        const assay_worker_space *space)
{
    find_probabilities(h, first, rows, space->panels[0], space->scores);
    assay_kernels_active()->gemm_f32(context_gradient, h->hidden, rows, space->panels[2],
                                     h->length, h->size, NULL, space->score_gradients, h->ld);
    drop(h, first, rows, space->score_gradients);
    assay_softmax_back(space->score_gradients, space->scores, h->ld, rows, h->length, h->scale);
    drop(h, first, rows, space->scores);
}

/* Tokens that none sees get nothing back. */
static void clear_unseen(const extent *e, const head *h, float *keys)
{
    for (size_t t = h->length; t < e->count; t++) {
        memset(keys + t * 2 * h->hidden, 0, h->size * sizeof *keys);
        memset(keys + (t * 2 + 1) * h->hidden, 0, h->size * sizeof *keys);
    }
}

static void extent_back(const assay_trained_pass *pass, size_t layer, const extent *e,
                        size_t number, const assay_worker_space *space)
{
    const assay_kernels *kernels = assay_kernels_active();
    head h = find_head(pass, layer, e, number);
    const float *context = pass->back.context + h.at;
    float *queries = pass->back.query + h.at;
    float *keys = pass->back.key_value + (h.k - pass->layers[layer].key_value);
    size_t ld = 2 * h.hidden, step = query_rows(h.length);
    kernels->pack_f32(h.k, ld, h.length, h.size, space->panels[0]);
    kernels->pack_transposed_f32(h.k, ld, h.size, h.length, space->panels[1]);
    kernels->pack_f32(h.v, ld, h.length, h.size, space->panels[2]);
    for (size_t first = 0; first < h.rows; first += step) {
        size_t rows = h.rows - first < step ? h.rows - first : step, at = first * h.hidden;
        scores_back(&h, first, rows, context + at, space);
        kernels->gemm_f32(space->score_gradients, h.ld, rows, space->panels[1], h.size,
                          h.length, NULL, queries + at, h.hidden);
        add_turned(&h, space->scores, context + at, rows, first > 0, keys + h.hidden, space);
        add_turned(&h, space->score_gradients, h.q + at, rows, first > 0, keys, space);
    }
    clear_unseen(e, &h, keys);
}

void assay_attention_back(const assay_trained_pass *pass, size_t layer, size_t sequence,
                          size_t number, const assay_worker_space *space)
{
    extent extents[2];
    size_t count = find_extents(pass, layer, sequence, extents);
    for (size_t i = 0; i < count; i++)
        extent_back(pass, layer, &extents[i], number, space);
}
