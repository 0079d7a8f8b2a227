/* SPDX-License-Identifier: Apache-2.0 */
/* trainable.c: see trainable.h. */
#include "learn/trainable_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

assay_status assay_trainable_open(const char *folder, const assay_trainable_options *options,
                                  assay_trainable **out, bool *drawn, assay_error *error)
{
    assay_trainable *model = calloc(1, sizeof *model);
    bool any = false;
    if (model == NULL || (model->arena = assay_arena_new(0)) == NULL) {
        free(model);
        return assay_fail_memory(error, sizeof *model);
    }
    model->options = *options;
    assay_status status = assay_trainable_load(model, folder, &any, error);
    if (status != ASSAY_OK) {
        assay_trainable_close(model);
        return status;
    }
    model->encoder.threads = options->threads;
    model->encoder.seed = options->seed;
    model->encoder.recompute = options->recompute;
    model->stale = true;
    if (drawn != NULL)
        *drawn = any;
    *out = model;
    return ASSAY_OK;
}

void assay_trainable_close(assay_trainable *model)
{
    if (model == NULL)
        return;
    assay_tokenizer_close(model->tokenizer);
    assay_safetensors_close(model->tensors);
    assay_safetensors_close(model->projection);
    assay_arena_free(model->arena);
    free(model->parameters);
    free(model->sources);
    free(model->linears);
    free(model->linear_sources);
    free(model->linear_names);
    free(model->low_memory);
    free(model->encoder.layers);
    free(model->pass.layers);
    free(model->pass.memory);
    free(model->values);
    free(model->gradients);
    free(model->panels);
    free(model);
}

const assay_model_config *assay_trainable_config(const assay_trainable *model)
{
    return &model->config;
}

const assay_tokenizer *assay_trainable_tokenizer(const assay_trainable *model)
{
    return model->tokenizer;
}

assay_parameter *assay_trainable_parameters(assay_trainable *model, size_t *count)
{
    *count = model->parameter_count;
    return model->parameters;
}

size_t assay_trainable_dimensions(const assay_trainable *model)
{
    return assay_trained_dimensions(&model->encoder);
}

/* Values, gradients, two moments; panels; a pass. */
size_t assay_trainable_memory(const assay_trainable *model, size_t tokens, size_t sequences,
                              size_t longest)
{
    return (4 * model->floats + model->panel_floats + model->low_floats) * sizeof(float) +
           assay_trained_pass_bytes(&model->encoder, tokens, sequences, longest, true);
}

void assay_trainable_changed(assay_trainable *model)
{
    model->stale = true;
    model->kept = false;
}

void assay_trainable_clear(assay_trainable *model)
{
    memset(model->gradients, 0, model->floats * sizeof(float));
    for (size_t i = 0; i < model->parameter_count; i++) {
        assay_parameter *p = &model->parameters[i];
        for (size_t row = 0; p->touched != NULL && row < p->rows; row++)
            p->touched[row] &= (uint8_t)~ASSAY_ROW_TOUCHED;
    }
}

static void pack_item(void *context, size_t item, uint32_t worker)
{
    (void)worker;
    const assay_trainable *model = context;
    assay_trained_pack(model->linears[item]);
}

void assay_trainable_pack(assay_trainable *model)
{
    if (model->stale)
        assay_loop(model->linear_count, model->options.threads, pack_item, model);
    model->stale = false;
}

assay_status assay_trainable_forward(assay_trainable *model, const assay_sequence *sequences,
                                     size_t count, const assay_forward *pass, float *outputs,
                                     assay_error *error)
{
    model->kept = false;
    if (count == 0)
        return ASSAY_OK;
    ASSAY_TRY(assay_trained_pass_begin(&model->pass, &model->encoder, sequences, count,
                                       pass->keep, pass->draw, error));
    assay_trainable_pack(model);
    assay_trained_encoder_forth(&model->pass);
    assay_trained_head_forth(&model->pass, outputs);
    model->kept = pass->keep;
    return ASSAY_OK;
}

/* The rows of the table of words that this pass gave gradients. */
static void touch_words(assay_trainable *model)
{
    for (size_t i = 0; i < model->parameter_count; i++)
        if (model->parameters[i].touched != NULL)
            for (size_t t = 0; t < model->pass.tokens; t++)
                model->parameters[i].touched[model->pass.ids[t]] =
                    ASSAY_ROW_TOUCHED | ASSAY_ROW_MOVED;
}

assay_status assay_trainable_backward(assay_trainable *model, const float *gradients,
                                      assay_error *error)
{
    if (!model->kept)
        return assay_fail(error, ASSAY_E_ARGUMENT, "backward",
                          "no pass to go back through: expected a forward that keeps, and "
                          "weights as they were then");
    assay_trained_head_back(&model->pass, gradients);
    assay_trained_encoder_back(&model->pass);
    touch_words(model);
    model->kept = false;
    return ASSAY_OK;
}
