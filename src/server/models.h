/* SPDX-License-Identifier: Apache-2.0 */
/*
 * models.h: the models that are served, by the names they are served under.
 *
 * They are replaced as a whole: a request keeps to those that were there when it came, and
 * the last one to let go of a set closes it.
 */
#ifndef ASSAY_SERVER_MODELS_H
#define ASSAY_SERVER_MODELS_H

#include <pthread.h>

#include "server/engine.h"
#include "server/serve.h"

typedef struct assay_served {
    char name[256];
    assay_model *model;
    assay_model_info info;
    assay_lane *lanes[3]; /* of a bi-encoder by role; of a cross-encoder the first */
} assay_served;

typedef struct assay_models {
    size_t count;
    assay_served *list; /* [count] */
    assay_lane *lanes;
    size_t lane_count;
    size_t users; /* models.c's */
} assay_models;

/* Where the set that is served now is kept. */
typedef struct assay_models_place {
    pthread_mutex_t lock;
    assay_models *now;
} assay_models_place;

/* Opens what the options name, cross and dense where they name none. */
assay_status assay_models_open(const assay_serve_options *options, assay_models **out,
                               assay_error *error);
/* The set is served from now on; the one before goes when nobody uses it. NULL: none. */
void assay_models_serve(assay_models_place *place, assay_models *models);
assay_models *assay_models_take(assay_models_place *place);
void assay_models_release(assay_models_place *place, assay_models *models); /* NULL: nothing */

#endif
