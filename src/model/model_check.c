/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_check.c: assay_model_check: every value of a model's files.
 *
 * Opening a model reads its layers, but leaves embedding tables, most of the
 * bytes, in the file. Here they are read too. What keeps a model from being
 * opened is a problem like another, unless damage found before explains it.
 */
#include "model/weights.h"
#include "model/model_config.h"

typedef struct check {
    assay_progress_fn progress;
    void *user;
    uint64_t done, total, found;
    assay_error *error;
} check;

static assay_status tell(check *c, const char *item, uint64_t bytes, assay_status result,
                         const assay_error *problem)
{
    bool bad = result != ASSAY_OK;
    c->done += bytes;
    c->found += bad;
    const assay_progress step = {.phase = ASSAY_PHASE_CHECK, .done = c->done, .total = c->total,
                                 .item = item, .problem = bad ? problem : NULL};
    if (bad && c->error != NULL)
        *c->error = *problem;
    if (c->progress != NULL && !c->progress(&step, c->user))
        return assay_fail(c->error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return ASSAY_OK;
}

static assay_status check_tensors(check *c, const assay_safetensors *tensors)
{
    assay_error problem;
    c->total = assay_safetensors_bytes(tensors);
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(tensors, i);
        assay_status result = assay_tensor_check(tensor, &problem);
        ASSAY_TRY(tell(c, tensor->name, tensor->bytes, result, &problem));
    }
    return ASSAY_OK;
}

/* Files that cannot be read as tensors are what opening tells of. */
static assay_status check_files(check *c, const char *path)
{
    assay_model_config config;
    assay_safetensors *tensors;
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(c->error, 1024);
    bool readable = assay_model_config_read(path, hasher, &config, NULL) == ASSAY_OK &&
                    assay_safetensors_open(config.weights, &tensors, NULL) == ASSAY_OK;
    assay_hasher_finish(hasher);
    if (!readable)
        return ASSAY_OK;
    assay_status status = check_tensors(c, tensors);
    assay_safetensors_close(tensors);
    return status;
}

assay_status assay_model_check(const char *name, assay_progress_fn progress, void *user,
                               uint64_t *problems, assay_error *error)
{
    if (name == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "model", "expected a name");
    check c = {.progress = progress, .user = user, .error = error};
    char path[sizeof((assay_model_info *)0)->path];
    ASSAY_TRY(assay_model_find(name, path, sizeof path, error));
    ASSAY_TRY(check_files(&c, path));
    assay_model *model = NULL;
    assay_error problem;
    assay_status status = assay_model_open(path, NULL, &model, &problem);
    assay_model_close(model);
    if (status == ASSAY_E_MEMORY || status == ASSAY_E_IO) {
        if (error != NULL)
            *error = problem;
        return status;
    }
    if (c.found == 0)
        ASSAY_TRY(tell(&c, path, 0, status, &problem));
    if (problems != NULL)
        *problems = c.found;
    return c.found > 0 ? ASSAY_E_CORRUPT : ASSAY_OK;
}
