/* SPDX-License-Identifier: Apache-2.0 */
/* late.c: see late.h. */
#include "pipeline/late.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/words.h"

/* The form of kept vectors, with a number that grows when it becomes another. */
#define FORM "bytes 1"
#define SPLIT_FORM "split bytes 1"

static assay_status digest_of(assay_late *late, assay_error *error)
{
    assay_model_info info;
    assay_model_describe(late->model, &info);
    uint32_t room = (uint32_t)assay_late_limit(late);
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    if (late->split)
        assay_hasher_add(hasher, SPLIT_FORM, sizeof SPLIT_FORM);
    else
        assay_hasher_add(hasher, FORM, sizeof FORM);
    assay_hasher_add(hasher, info.digest, sizeof info.digest);
    assay_hasher_add(hasher, info.precision, strlen(info.precision));
    assay_hasher_add(hasher, &room, sizeof room);
    assay_hasher_add(hasher, late->maker.digest.bytes, sizeof late->maker.digest.bytes);
    late->digest = assay_hasher_finish(hasher);
    return ASSAY_OK;
}

static assay_status not_split(const assay_model_info *info, assay_error *error)
{
    return assay_fail(error, ASSAY_E_ARGUMENT, info->path,
                      "is %s, expected a cross-encoder that is split (assay train cross --split)",
                      info->kind == ASSAY_MODEL_CROSS_ENCODER
                          ? "a cross-encoder whose texts meet from the first layer on"
                          : "no cross-encoder");
}

/* A bi-encoder by its plain name is meant as late interaction here. */
static assay_status open_model(assay_late *late, const assay_late_options *options,
                               assay_error *error)
{
    const assay_model_options at = {.precision = options->precision};
    ASSAY_TRY(assay_model_open(options->model, &at, &late->model, error));
    assay_model_info info;
    assay_model_describe(late->model, &info);
    late->split = info.split > 0 && options->wanted != ASSAY_LATE_INTERACTION;
    if (options->wanted == ASSAY_LATE_SPLIT && !late->split)
        return not_split(&info, error);
    if (info.kind == ASSAY_MODEL_LATE || late->split)
        return ASSAY_OK;
    if (info.kind == ASSAY_MODEL_CROSS_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, info.path,
                          "is a cross-encoder, expected a ColBERT or a bi-encoder for late "
                          "interaction");
    char name[sizeof info.path + 8];
    snprintf(name, sizeof name, "late:%s", info.path);
    assay_model_close(late->model);
    late->model = NULL;
    return assay_model_open(name, &at, &late->model, error);
}

static assay_status begin(assay_late *late, const assay_late_options *options, assay_error *error)
{
    ASSAY_TRY(open_model(late, options, error));
    const assay_session_options limits = {.threads = options->threads,
                                          .max_tokens = options->max_tokens,
                                          .role = ASSAY_ROLE_PASSAGE};
    ASSAY_TRY(assay_session_open(late->model, &limits, &late->session, error));
    assay_passage_tokenizer_open(&late->maker, assay_model_tokenizer(late->model));
    return digest_of(late, error);
}

assay_status assay_late_begin(assay_late *late, assay_store *store,
                              const assay_late_options *options, assay_error *error)
{
    *late = (assay_late){.store = store};
    assay_status status = begin(late, options, error);
    if (status != ASSAY_OK)
        assay_late_end(late);
    return status;
}

void assay_late_end(assay_late *late)
{
    assay_passage_tokenizer_close(&late->maker);
    assay_session_close(late->session);
    assay_model_close(late->model);
    *late = (assay_late){0};
}

size_t assay_late_limit(const assay_late *late)
{
    return late->split ? assay_cross_room(late->session) : assay_late_room(late->session);
}

assay_status assay_late_ids(assay_late *late, const assay_passage_view *view,
                            assay_arena *arena, assay_token_ids *out, bool *made,
                            assay_error *error)
{
    ASSAY_TRY(assay_tokens_get(late->store, view->passage, &late->maker.digest, arena, out,
                               error));
    *made = out->ids == NULL ||
            (out->count < out->total && out->count < assay_late_limit(late));
    if (!*made)
        return ASSAY_OK;
    return assay_passage_tokenizer_encode(&late->maker, view->title, view->heading, view->text,
                                          arena, out, error);
}
