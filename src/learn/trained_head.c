/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trained_head.c: what stands on the encoder (trained_encoder.h).
 *
 * Cross-encoder: the layer with tanh (BERT's pooler; RoBERTa's head, which drops values
 * before it too), dropout, the logit. Bi-encoder: the first token's state or the mean of
 * all, made one long where the model's vectors are. Late interaction: every token's state,
 * projected where the model does that, one long. Little beside the layers: the calling
 * thread does it alone, and its products are of floats.
 */
#include <string.h>

#include "learn/trained_encoder.h"

static void drop_rows(const assay_trained_pass *pass, uint64_t place, float *x)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden;
    assay_dropout dropout = assay_dropout_at(encoder->dropout, encoder->seed, pass->draw, place);
    for (size_t i = 0; i < pass->count; i++)
        assay_dropout_row(&dropout, i, x + i * n, n);
}

/* Gradients of a layer's weights, whose inputs are x. */
static void weights_back(const assay_trained_pass *pass, const assay_trained_linear *linear,
                         const float *x, const float *gradient, size_t rows)
{
    for (size_t at = 0; at < rows; at += ASSAY_INPUT_ROWS) {
        size_t part = rows - at < ASSAY_INPUT_ROWS ? rows - at : ASSAY_INPUT_ROWS;
        assay_inputs_put(linear, x + at * linear->depth, linear->depth, at, part, rows,
                         pass->head_panels);
    }
    for (size_t i = 0; i < assay_trained_groups(linear); i++)
        assay_trained_weights(linear, i, gradient, linear->columns, rows, pass->head_panels,
                              NULL, NULL, pass->workers[0].turned, NULL);
}

/* ---- Cross-encoder --------------------------------------------------------------- */

static bool drops_before(const assay_trained_pass *pass)
{
    return !pass->encoder->config->family->dense_in_trunk;
}

static void classify(const assay_trained_pass *pass, float *logits)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden, size = pass->count * n;
    memcpy(pass->pooled, pass->states, size * sizeof(float));
    if (drops_before(pass))
        drop_rows(pass, ASSAY_PLACE_HEAD_IN, pass->pooled);
    assay_trained_forth(&encoder->pooler, pass->pooled, n, pass->count, ASSAY_ACTIVATION_TANH,
                        pass->head, n, NULL);
    memcpy(pass->dropped, pass->head, size * sizeof(float));
    drop_rows(pass, ASSAY_PLACE_HEAD_OUT, pass->dropped);
    assay_trained_forth(&encoder->classifier, pass->dropped, n, pass->count,
                        ASSAY_ACTIVATION_NONE, logits, 1, NULL);
}

static void classify_back(const assay_trained_pass *pass, const float *logits_gradient)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden;
    float *gradient = pass->head_gradient;
    weights_back(pass, &encoder->classifier, pass->dropped, logits_gradient, pass->count);
    assay_trained_back(&encoder->classifier, logits_gradient, 1, pass->count, false, gradient,
                       n, NULL);
    drop_rows(pass, ASSAY_PLACE_HEAD_OUT, gradient);
    assay_tanh_back(gradient, pass->head, pass->count * n);
    weights_back(pass, &encoder->pooler, pass->pooled, gradient, pass->count);
    assay_trained_back(&encoder->pooler, gradient, n, pass->count, false, pass->back.going, n,
                       NULL);
    if (drops_before(pass))
        drop_rows(pass, ASSAY_PLACE_HEAD_IN, pass->back.going);
}

/* ---- Bi-encoder ------------------------------------------------------------------ */

static void pool(const assay_trained_pass *pass, size_t sequence, float *vector)
{
    size_t n = pass->encoder->config->hidden;
    if (pass->encoder->config->pooling == ASSAY_POOLING_CLS) {
        memcpy(vector, pass->states + sequence * n, n * sizeof *vector);
        return;
    }
    size_t first = pass->starts[sequence], count = pass->starts[sequence + 1] - first;
    memset(vector, 0, n * sizeof *vector);
    for (size_t t = 0; t < count; t++)
        assay_add_row(vector, pass->states + (first + t) * n, n);
    for (size_t j = 0; j < n; j++)
        vector[j] /= (float)count;
}

static void embed(const assay_trained_pass *pass, float *vectors)
{
    size_t n = pass->encoder->config->hidden;
    for (size_t i = 0; i < pass->count; i++) {
        float *vector = pass->pooled + i * n;
        pool(pass, i, vector);
        if (pass->encoder->config->normalized)
            pass->lengths[i] = assay_unit_forth(vector, n);
    }
    memcpy(vectors, pass->pooled, pass->count * n * sizeof *vectors);
}

static void pool_back(const assay_trained_pass *pass, size_t sequence, const float *gradient)
{
    size_t n = pass->encoder->config->hidden;
    if (pass->encoder->config->pooling == ASSAY_POOLING_CLS) {
        memcpy(pass->back.going + sequence * n, gradient, n * sizeof *gradient);
        return;
    }
    size_t first = pass->starts[sequence], end = pass->starts[sequence + 1];
    float share = 1.0f / (float)(end - first);
    for (size_t t = first; t < end; t++)
        for (size_t j = 0; j < n; j++)
            pass->back.tokens[t * n + j] = gradient[j] * share;
}

static void embed_back(const assay_trained_pass *pass, const float *vectors_gradient)
{
    size_t n = pass->encoder->config->hidden;
    memcpy(pass->head_gradient, vectors_gradient, pass->count * n * sizeof(float));
    for (size_t i = 0; i < pass->count; i++) {
        float *gradient = pass->head_gradient + i * n;
        if (pass->encoder->config->normalized)
            assay_unit_back(gradient, pass->pooled + i * n, pass->lengths[i], n);
        pool_back(pass, i, gradient);
    }
}

/* ---- Late interaction ------------------------------------------------------------ */

static void project(const assay_trained_pass *pass, float *vectors)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden, d = assay_trained_dimensions(encoder);
    if (encoder->projection.columns > 0)
        assay_trained_forth(&encoder->projection, pass->states, n, pass->tokens,
                            ASSAY_ACTIVATION_NONE, pass->pooled, d, NULL);
    else
        memcpy(pass->pooled, pass->states, pass->tokens * n * sizeof(float));
    for (size_t t = 0; t < pass->tokens; t++)
        pass->lengths[t] = assay_unit_forth(pass->pooled + t * d, d);
    memcpy(vectors, pass->pooled, pass->tokens * d * sizeof *vectors);
}

static void project_back(const assay_trained_pass *pass, const float *vectors_gradient)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden, d = assay_trained_dimensions(encoder);
    bool projected = encoder->projection.columns > 0;
    float *gradient = projected ? pass->head_gradient : pass->back.tokens;
    memcpy(gradient, vectors_gradient, pass->tokens * d * sizeof *gradient);
    for (size_t t = 0; t < pass->tokens; t++)
        assay_unit_back(gradient + t * d, pass->pooled + t * d, pass->lengths[t], d);
    if (!projected)
        return;
    weights_back(pass, &encoder->projection, pass->states, gradient, pass->tokens);
    assay_trained_back(&encoder->projection, gradient, d, pass->tokens, false,
                       pass->back.tokens, n, NULL);
}

/* ---- Any ------------------------------------------------------------------------- */

size_t assay_trained_dimensions(const assay_trained_encoder *encoder)
{
    if (encoder->config->kind == ASSAY_MODEL_CROSS_ENCODER)
        return 1;
    bool projected = encoder->projection.columns > 0;
    return projected ? encoder->projection.columns : encoder->config->hidden;
}

void assay_trained_head_forth(assay_trained_pass *pass, float *outputs)
{
    if (pass->encoder->config->kind == ASSAY_MODEL_CROSS_ENCODER)
        classify(pass, outputs);
    else if (pass->encoder->config->kind == ASSAY_MODEL_LATE)
        project(pass, outputs);
    else
        embed(pass, outputs);
}

void assay_trained_head_back(assay_trained_pass *pass, const float *outputs_gradient)
{
    if (pass->encoder->config->kind == ASSAY_MODEL_CROSS_ENCODER)
        classify_back(pass, outputs_gradient);
    else if (pass->encoder->config->kind == ASSAY_MODEL_LATE)
        project_back(pass, outputs_gradient);
    else
        embed_back(pass, outputs_gradient);
}
