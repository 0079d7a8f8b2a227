/* SPDX-License-Identifier: Apache-2.0 */
/* models.c: see models.h. */
#include "server/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static assay_status fail(assay_error *error, assay_status code, const char *where,
                         const char *message)
{
    *error = (assay_error){.code = code};
    snprintf(error->where, sizeof error->where, "%.250s", where);
    snprintf(error->message, sizeof error->message, "%s", message);
    return code;
}

/* "NAME" or "NAME=FOLDER". */
static assay_status open_model(assay_models *models, const char *words, assay_precision precision,
                               assay_error *error)
{
    assay_served *served = &models->list[models->count];
    const char *equals = strchr(words, '=');
    size_t length = equals != NULL ? (size_t)(equals - words) : strlen(words);
    assay_model_options options = {.precision = precision};
    if (length == 0 || length >= sizeof served->name)
        return fail(error, ASSAY_E_ARGUMENT, words, "expected NAME or NAME=FOLDER");
    memcpy(served->name, words, length);
    for (size_t i = 0; i < models->count; i++) {
        if (strcmp(models->list[i].name, served->name) == 0)
            return fail(error, ASSAY_E_ARGUMENT, words, "this name is served already");
    }
    assay_status status = assay_model_open(equals != NULL ? equals + 1 : words, &options,
                                           &served->model, error);
    if (status != ASSAY_OK)
        return status;
    assay_model_describe(served->model, &served->info);
    if (served->info.notice[0] != '\0')
        fprintf(stderr, "assay: %s: %s\n", served->name, served->info.notice);
    models->count++;
    return ASSAY_OK;
}

static assay_status open_all(assay_models *models, const assay_serve_options *options,
                             assay_error *error)
{
    static const char *const defaults[] = {"cross", "dense"};
    assay_serve_names names = options->models;
    bool given = names.count > 0;
    if (!given)
        names = (assay_serve_names){2, defaults};
    models->list = calloc(names.count, sizeof *models->list);
    if (models->list == NULL)
        return fail(error, ASSAY_E_MEMORY, "models", "out of memory");
    for (size_t i = 0; i < names.count; i++) {
        assay_status status = open_model(models, names.items[i], options->precision, error);
        if (status == ASSAY_E_NOT_FOUND && !given)
            continue; /* one of the two is enough */
        if (status != ASSAY_OK)
            return status;
    }
    return ASSAY_OK;
}

/* One for a reranker, three for an embedding model. */
static assay_status make_lanes(assay_models *models, assay_error *error)
{
    models->lanes = calloc(3 * models->count + 1, sizeof *models->lanes);
    if (models->lanes == NULL)
        return fail(error, ASSAY_E_MEMORY, "lanes", "out of memory");
    assay_lane *lane = models->lanes;
    for (size_t i = 0; i < models->count; i++) {
        assay_served *served = &models->list[i];
        bool reranks = served->info.kind != ASSAY_MODEL_BI_ENCODER;
        for (int role = ASSAY_ROLE_NONE; role <= (reranks ? 0 : ASSAY_ROLE_PASSAGE); role++) {
            *lane = (assay_lane){.kind = reranks ? ASSAY_JOB_RERANK : ASSAY_JOB_EMBED,
                                 .model = served->model, .role = (assay_role)role};
            served->lanes[role] = lane++;
        }
    }
    models->lane_count = (size_t)(lane - models->lanes);
    return ASSAY_OK;
}

static void models_free(assay_models *models)
{
    for (size_t i = 0; i < models->lane_count; i++)
        assay_lane_close(&models->lanes[i]);
    for (size_t i = 0; i < models->count; i++)
        assay_model_close(models->list[i].model);
    free(models->lanes);
    free(models->list);
    free(models);
}

assay_status assay_models_open(const assay_serve_options *options, assay_models **out,
                               assay_error *error)
{
    assay_models *models = calloc(1, sizeof *models);
    if (models == NULL)
        return fail(error, ASSAY_E_MEMORY, "models", "out of memory");
    models->users = 1; /* who opened it */
    assay_status status = open_all(models, options, error);
    if (status == ASSAY_OK)
        status = make_lanes(models, error);
    if (status != ASSAY_OK)
        models_free(models);
    else
        *out = models;
    return status;
}

void assay_models_serve(assay_models_place *place, assay_models *models)
{
    pthread_mutex_lock(&place->lock);
    assay_models *before = place->now;
    place->now = models;
    pthread_mutex_unlock(&place->lock);
    assay_models_release(place, before);
}

assay_models *assay_models_take(assay_models_place *place)
{
    pthread_mutex_lock(&place->lock);
    assay_models *models = place->now;
    models->users++;
    pthread_mutex_unlock(&place->lock);
    return models;
}

void assay_models_release(assay_models_place *place, assay_models *models)
{
    if (models == NULL)
        return;
    pthread_mutex_lock(&place->lock);
    bool last = --models->users == 0;
    pthread_mutex_unlock(&place->lock);
    if (last)
        models_free(models);
}
