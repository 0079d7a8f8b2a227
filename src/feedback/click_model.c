/* SPDX-License-Identifier: Apache-2.0 */
/*
 * click_model.c: see click_model.h.
 *
 * Fitted by expectation maximisation. Propensities can be told from attraction only by
 * documents that were seen at several ranks for the same question, so these alone are
 * what the propensities are fitted to (the idea of intervention harvesting, Agarwal et
 * al. 2019), and where there are fewer than TELLING of them, 1 / rank is taken. Then the
 * attraction of every pair is fitted with the propensities as they are, and drawn to the
 * mean by a prior worth PRIOR looks: a click on what was shown once says little.
 */
#include "feedback/click_model.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 100, TELLING = 100 };
#define PRIOR 2.0
#define LEAST 0.01 /* propensity; a weight of 1/p is at most a hundred */
#define SURE 0.999 /* attraction at most: a model that excludes nothing */

typedef struct look {
    uint32_t pair;
    uint16_t place; /* of the rank among the propensities */
    bool clicked;
} look;

typedef struct fitting {
    assay_click_model *model;
    look *looks;
    size_t count;
    uint8_t *several; /* [pairs] seen at more than one place */
    int16_t *first;   /* [pairs] place of the first look; -1: none yet */
    double *sums;     /* [pairs] */
    double *numbers;  /* [pairs] looks */
    double prior;     /* mean attraction */
} fitting;

static size_t place_of(uint32_t rank)
{
    return rank < ASSAY_FEEDBACK_RANKS ? rank - 1 : ASSAY_FEEDBACK_RANKS - 1;
}

double assay_click_propensity(const assay_click_model *model, uint32_t rank)
{
    return model->propensities[place_of(rank)];
}

/* ---- Looks -------------------------------------------------------------------------- */

static assay_status pair_of(assay_string_map *map, fitting *f, uint32_t query, uint32_t document,
                            uint32_t *out, assay_error *error)
{
    uint32_t both[2] = {query, document};
    bool added;
    ASSAY_TRY(assay_string_map_add(map, both, sizeof both, out, &added, error));
    if (added)
        f->model->pairs[*out] = (assay_click_pair){.query = query, .document = document};
    return ASSAY_OK;
}

static assay_status read_looks(const assay_gathering *g, assay_string_map *map, fitting *f,
                               assay_error *error)
{
    for (size_t i = 0; i < g->count; i++) {
        const assay_seen *seen = &g->seen[i];
        for (uint32_t k = 0; k < seen->shown && k < seen->hit_count; k++) {
            look *l = &f->looks[f->count++];
            l->place = (uint16_t)place_of(k + 1);
            l->clicked = seen->hits[k].clicked;
            ASSAY_TRY(pair_of(map, f, seen->query, seen->hits[k].document, &l->pair, error));
        }
    }
    f->model->pair_count = assay_string_map_count(map);
    return ASSAY_OK;
}

static void find_telling(fitting *f)
{
    size_t pairs = f->model->pair_count;
    for (size_t i = 0; i < pairs; i++)
        f->first[i] = -1;
    for (size_t i = 0; i < f->count; i++) {
        const look *l = &f->looks[i];
        if (f->first[l->pair] < 0)
            f->first[l->pair] = (int16_t)l->place;
        else if (f->first[l->pair] != (int16_t)l->place)
            f->several[l->pair] = 1;
        f->numbers[l->pair]++;
        f->model->pairs[l->pair].clicks += l->clicked;
    }
    for (size_t i = 0; i < pairs; i++)
        f->model->telling += f->several[i];
}

/* ---- Expectation maximisation ---------------------------------------------------------- */

/* How probable it is that the user looked, and that the document attracts. */
static void expect(const look *l, double p, double a, double *looked, double *attracts)
{
    double neither = 1 - p * a;
    *looked = l->clicked ? 1 : p * (1 - a) / neither;
    *attracts = l->clicked ? 1 : (1 - p) * a / neither;
}

static void set_attractions(fitting *f)
{
    for (size_t i = 0; i < f->model->pair_count; i++) {
        double a = (f->sums[i] + PRIOR * f->prior) / (f->numbers[i] + PRIOR);
        f->model->pairs[i].attraction = a < SURE ? a : SURE;
    }
}

static void set_propensities(fitting *f, const double *looked, const double *looks)
{
    for (size_t k = 1; k < ASSAY_FEEDBACK_RANKS; k++) /* the first is 1: only ratios can be told */
        if (looks[k] > 0)
            f->model->propensities[k] = fmax(looked[k] / looks[k], LEAST);
}

/* One round; the propensities are fitted to the pairs that tell, or left. */
static void round_once(fitting *f, bool propensities)
{
    double looked[ASSAY_FEEDBACK_RANKS] = {0}, looks[ASSAY_FEEDBACK_RANKS] = {0};
    for (size_t i = 0; i < f->model->pair_count; i++)
        f->sums[i] = 0;
    for (size_t i = 0; i < f->count; i++) {
        const look *l = &f->looks[i];
        double saw, attracts;
        expect(l, f->model->propensities[l->place], f->model->pairs[l->pair].attraction, &saw,
               &attracts);
        f->sums[l->pair] += attracts;
        looked[l->place] += f->several[l->pair] ? saw : 0;
        looks[l->place] += f->several[l->pair];
    }
    set_attractions(f);
    if (propensities)
        set_propensities(f, looked, looks);
}

/* Clicks for each look, places weighed by the propensities. */
static double mean_attraction(const fitting *f)
{
    double clicks = 0, looks = 0;
    for (size_t i = 0; i < f->count; i++) {
        clicks += f->looks[i].clicked;
        looks += f->model->propensities[f->looks[i].place];
    }
    double mean = looks > 0 ? clicks / looks : 0;
    return mean < 0.5 ? mean : 0.5;
}

static void run(fitting *f)
{
    assay_click_model *m = f->model;
    for (size_t k = 0; k < ASSAY_FEEDBACK_RANKS; k++)
        m->propensities[k] = 1.0 / (double)(k + 1);
    m->estimated = m->telling >= TELLING;
    f->prior = mean_attraction(f);
    for (size_t i = 0; i < m->pair_count; i++)
        m->pairs[i].attraction = f->prior;
    for (int i = 0; i < ROUNDS; i++)
        round_once(f, m->estimated);
    for (size_t i = 0; i < f->count; i++)
        m->pairs[f->looks[i].pair].examined += m->propensities[f->looks[i].place];
}

static size_t count_looks(const assay_gathering *g)
{
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++)
        count += g->seen[i].shown < g->seen[i].hit_count ? g->seen[i].shown
                                                         : g->seen[i].hit_count;
    return count;
}

assay_status assay_click_model_fit(const assay_gathering *gathering, assay_click_model *out,
                                   assay_error *error)
{
    size_t most = count_looks(gathering) + 1; /* looks, and pairs */
    assay_click_model model = {.pairs = calloc(most, sizeof *model.pairs)};
    fitting f = {
        .model = &model,
        .looks = calloc(most, sizeof *f.looks),
        .several = calloc(most, sizeof *f.several),
        .first = calloc(most, sizeof *f.first),
        .sums = calloc(most, sizeof *f.sums),
        .numbers = calloc(most, sizeof *f.numbers),
    };
    assay_string_map *map = assay_string_map_new();
    assay_status status = ASSAY_OK;
    if (model.pairs == NULL || f.looks == NULL || f.several == NULL || f.first == NULL ||
        f.sums == NULL || f.numbers == NULL || map == NULL)
        status = assay_fail_memory(error, most * 64);
    if (status == ASSAY_OK)
        status = read_looks(gathering, map, &f, error);
    if (status == ASSAY_OK) {
        find_telling(&f);
        run(&f);
        *out = model;
    } else {
        free(model.pairs);
    }
    assay_string_map_free(map);
    free(f.looks);
    free(f.several);
    free(f.first);
    free(f.sums);
    free(f.numbers);
    return status;
}

void assay_click_model_free(assay_click_model *model)
{
    free(model->pairs);
    *model = (assay_click_model){0};
}
