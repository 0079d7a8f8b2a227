/* SPDX-License-Identifier: Apache-2.0 */
/* train_bi.c: how a bi-encoder's texts are compared: the cosine of their vectors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learn/train_batch.h"

void assay_unit_vectors(float *vectors, size_t count, size_t n, float *lengths)
{
    for (size_t i = 0; i < count; i++) {
        double squares = 0;
        float *v = vectors + i * n;
        for (size_t k = 0; k < n; k++)
            squares += (double)v[k] * (double)v[k];
        float length = (float)fmax(sqrt(squares), 1e-12);
        for (size_t k = 0; k < n; k++)
            v[k] /= length;
        if (lengths != NULL)
            lengths[i] = length;
    }
}

void assay_unit_gradients(const float *vectors, const float *lengths, float *gradients,
                          size_t count, size_t n)
{
    for (size_t i = 0; i < count; i++) {
        const float *v = vectors + i * n;
        float *g = gradients + i * n;
        double along = 0;
        for (size_t k = 0; k < n; k++)
            along += (double)v[k] * (double)g[k];
        for (size_t k = 0; k < n; k++)
            g[k] = (float)(((double)g[k] - along * (double)v[k]) / (double)lengths[i]);
    }
}

static const float *passage(const assay_batch_step *s, size_t p)
{
    return s->vectors + (s->queries + p) * s->dimensions;
}

assay_status assay_bi_compare(assay_batch_step *s, assay_error *error)
{
    size_t count = s->queries + s->passages;
    s->lengths = calloc(count, sizeof *s->lengths);
    if (s->lengths == NULL)
        return assay_fail_memory(error, count * sizeof *s->lengths);
    assay_unit_vectors(s->vectors, count, s->dimensions, s->lengths);
    for (size_t q = 0; q < s->queries; q++) {
        const float *query = s->vectors + q * s->dimensions;
        for (size_t p = 0; p < s->passages; p++) {
            double sum = 0;
            for (size_t k = 0; k < s->dimensions; k++)
                sum += (double)query[k] * (double)passage(s, p)[k];
            s->similarity[q * s->passages + p] = (float)sum;
        }
    }
    return ASSAY_OK;
}

/* Each query's gradient is a sum over passages, and the other way round. */
void assay_bi_take_apart(assay_batch_step *s)
{
    size_t n = s->dimensions;
    for (size_t q = 0; q < s->queries; q++) {
        float *by_query = s->gradients + q * n;
        const float *query = s->vectors + q * n;
        for (size_t p = 0; p < s->passages; p++) {
            float slope = s->slopes[q * s->passages + p];
            float *by_passage = s->gradients + (s->queries + p) * n;
            for (size_t k = 0; k < n && slope != 0; k++) {
                by_query[k] += slope * passage(s, p)[k];
                by_passage[k] += slope * query[k];
            }
        }
    }
    assay_unit_gradients(s->vectors, s->lengths, s->gradients, s->queries + s->passages, n);
}
