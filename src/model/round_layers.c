/* SPDX-License-Identifier: Apache-2.0 */
/*
 * round_layers.c: see round_layers.h.
 *
 * All texts are sent through the original model, as many of whose layers are
 * observed at a time as there is room for; then the rows of those are rounded on
 * all cores. Which core rounds a row changes nothing of it.
 *
 * A layer's output that has one weight much larger than the others, as the dimensions
 * have into which BERT's feed-forward layers put very large values, rounds all others
 * in coarse steps, and what comes of that is most of what a model loses at int8. The
 * rests of such rows are kept, too (assay_refined in weights.h); a few are enough.
 */
#include "model/round_layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "model/rounding.h"

enum {
    ROWS_AN_ITEM = 16,
    COARSE = 2,          /* times the median step: a row that is refined */
    OBSERVED_BYTES = 1 << 30, /* of products held at a time, but a layer's at least */
    PARTS = 6,                /* weights of a layer: query, key, value, output, up, down */
};

typedef struct job {
    assay_encoder *encoder;
    const assay_tokenizer *tokenizer;
    assay_arena *arena;
    assay_status (*tick)(void *);
    void *context;
    assay_rounded *rounded; /* [PARTS * layers] */
    size_t count;           /* so far */
    assay_error *error;
} job;

/* The rows of one weight. */
typedef struct part_work {
    const assay_rounding *rounding;
    const assay_linear *layer;
    size_t first, rows; /* in the layer */
    const assay_rounded *out;
    float *scratch;     /* [workers][2 * ROWS_AN_ITEM][depth] */
} part_work;

static void round_rows(void *context, size_t item, uint32_t worker)
{
    const part_work *work = context;
    size_t depth = work->layer->depth, first = item * ROWS_AN_ITEM;
    size_t rows = work->rows - first < ROWS_AN_ITEM ? work->rows - first : ROWS_AN_ITEM;
    float *weights = work->scratch + worker * 2 * ROWS_AN_ITEM * depth;
    float shifts[ROWS_AN_ITEM];
    for (size_t i = 0; i < rows; i++)
        assay_linear_row(work->layer, work->first + first + i, weights + i * depth);
    assay_round_rows(work->rounding, weights, rows, work->out->integers + first * depth,
                     work->out->scales + first, shifts, weights + ROWS_AN_ITEM * depth);
    for (size_t i = 0; i < rows; i++)
        work->out->bias[first + i] = work->layer->bias[work->first + first + i] + shifts[i];
}

/* ---- Refined rows --------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The step beyond which a row is refined: no more than ASSAY_PANEL are. */
static float coarse_step(const float *scales, size_t count, float *sorted)
{
    memcpy(sorted, scales, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    float coarse = COARSE * sorted[count / 2];
    return count > ASSAY_PANEL ? fmaxf(coarse, sorted[count - ASSAY_PANEL - 1]) : coarse;
}

static void choose_refined(assay_rounded *out, size_t rows, float coarse)
{
    for (size_t row = 0; row < rows; row++)
        if (out->scales[row] > coarse)
            out->refined_rows[out->refined++] = (uint32_t)row;
}

/* What is left of a row, to the nearest; with it the bias need not make good for it. */
static void refine_row(const assay_linear *layer, assay_rounded *out, size_t at, float *rest)
{
    size_t row = out->refined_rows[at], depth = layer->depth;
    assay_linear_row(layer, row, rest);
    for (size_t i = 0; i < depth; i++)
        rest[i] -= (float)out->integers[row * depth + i] * out->scales[row];
    float scale = assay_row_scale(rest, depth);
    for (size_t i = 0; i < depth; i++)
        out->refined_integers[at * depth + i] = (int8_t)rintf(rest[i] / scale);
    out->refined_scales[at] = scale;
    out->refined_bias[at] = layer->bias[row];
}

static assay_status refine(job *j, const assay_linear *layer, assay_rounded *out)
{
    size_t rows = layer->columns, depth = layer->depth;
    out->refined_rows = assay_arena_take(j->arena, ASSAY_PANEL * sizeof *out->refined_rows);
    out->refined_integers = assay_arena_take(j->arena, ASSAY_PANEL * depth);
    out->refined_scales = assay_arena_take(j->arena, ASSAY_PANEL * sizeof *out->refined_scales);
    out->refined_bias = assay_arena_take(j->arena, ASSAY_PANEL * sizeof *out->refined_bias);
    float *scratch = malloc((rows + depth) * sizeof *scratch);
    if (!out->refined_rows || !out->refined_integers || !out->refined_scales ||
        !out->refined_bias || !scratch) {
        free(scratch);
        return assay_fail_memory(j->error, (rows + ASSAY_PANEL * depth) * sizeof *scratch);
    }
    choose_refined(out, rows, coarse_step(out->scales, rows, scratch));
    for (size_t i = 0; i < out->refined; i++)
        refine_row(layer, out, i, scratch + rows);
    free(scratch);
    return ASSAY_OK;
}

static assay_status round_part(job *j, part_work *work, const assay_table *part)
{
    assay_rounded *out = &j->rounded[j->count++];
    *out = (assay_rounded){
        .weight = part->weight,
        .integers = assay_arena_take(j->arena, part->rows * part->columns),
        .scales = assay_arena_take(j->arena, part->rows * sizeof *out->scales),
        .bias = assay_arena_take(j->arena, part->rows * sizeof *out->bias),
    };
    if (!out->integers || !out->scales || !out->bias)
        return assay_fail_memory(j->error, part->rows * part->columns);
    ASSAY_TRY(j->tick(j->context));
    work->rows = part->rows;
    work->out = out;
    assay_loop((part->rows + ROWS_AN_ITEM - 1) / ROWS_AN_ITEM, 0, round_rows, work);
    work->first += part->rows;
    return ASSAY_OK;
}

static assay_status round_parts(job *j, const assay_site *site, part_work *work)
{
    for (size_t i = 0; i < site->count; i++) {
        work->layer = site->layers[i];
        work->first = 0;
        for (size_t p = 0; p < work->layer->part_count; p++)
            ASSAY_TRY(round_part(j, work, &work->layer->parts[p]));
    }
    return ASSAY_OK;
}

static assay_status round_site(job *j, const assay_site *site, const assay_observed *observed)
{
    size_t bytes = assay_cores() * 2 * ROWS_AN_ITEM * observed->depth * sizeof(float);
    assay_rounding *rounding;
    ASSAY_TRY(j->tick(j->context));
    ASSAY_TRY(assay_calibration_share(site, observed->largest, j->arena, j->error));
    ASSAY_TRY(assay_rounding_open(observed, &rounding, j->error));
    part_work work = {.rounding = rounding, .scratch = malloc(bytes)};
    assay_status status = work.scratch == NULL ? assay_fail_memory(j->error, bytes)
                                               : round_parts(j, site, &work);
    free(work.scratch);
    assay_rounding_close(rounding);
    return status;
}

/* Observes so many layers, then rounds them. */
static assay_status round_group(job *j, assay_layer *layers, size_t count, assay_site *sites,
                                assay_observed *observed)
{
    size_t site_count = count * ASSAY_LAYER_SITES;
    for (size_t i = 0; i < count; i++)
        assay_layer_sites(&layers[i], sites + i * ASSAY_LAYER_SITES);
    if (!assay_sites_observe(sites, site_count, true, observed))
        return assay_fail_memory(j->error, OBSERVED_BYTES);
    assay_status status = assay_calibration_send(j->encoder, j->tokenizer, j->tick, j->context,
                                                 j->error);
    for (size_t i = 0; i < site_count && status == ASSAY_OK; i++) {
        status = round_site(j, &sites[i], &observed[i]);
        if (status == ASSAY_OK && i % ASSAY_LAYER_SITES == ASSAY_SITE_DOWN)
            status = refine(j, sites[i].layers[0], &j->rounded[j->count - 1]);
    }
    assay_sites_forget(sites, site_count, observed);
    return status;
}

static size_t group_size(const assay_model_config *config)
{
    size_t hidden = config->hidden, inner = config->intermediate;
    size_t layer = sizeof(float) * (3 * hidden * hidden + inner * inner);
    return layer < OBSERVED_BYTES ? OBSERVED_BYTES / layer : 1;
}

static assay_status round_groups(job *j, assay_site *sites, assay_observed *observed)
{
    size_t layers = j->encoder->config->layers, size = group_size(j->encoder->config);
    for (size_t at = 0; at < layers; at += size)
        ASSAY_TRY(round_group(j, j->encoder->layers + at, layers - at < size ? layers - at : size,
                              sites, observed));
    return ASSAY_OK;
}

assay_status assay_round_layers(assay_encoder *encoder, const assay_tokenizer *tokenizer,
                                assay_arena *arena, assay_status (*tick)(void *), void *context,
                                assay_rounded **out, size_t *count, assay_error *error)
{
    size_t layers = encoder->config->layers, site_count = layers * ASSAY_LAYER_SITES;
    job j = {.encoder = encoder, .tokenizer = tokenizer, .arena = arena, .tick = tick,
             .context = context, .error = error};
    j.rounded = assay_arena_take(arena, PARTS * layers * sizeof *j.rounded);
    assay_site *sites = calloc(site_count, sizeof *sites);
    assay_observed *observed = calloc(site_count, sizeof *observed);
    assay_status status = ASSAY_OK;
    if (j.rounded == NULL || sites == NULL || observed == NULL)
        status = assay_fail_memory(error, site_count * sizeof *observed);
    else
        status = round_groups(&j, sites, observed);
    free(sites);
    free(observed);
    *out = j.rounded;
    *count = j.count;
    return status;
}
