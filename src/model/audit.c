/* SPDX-License-Identifier: Apache-2.0 */
/* audit.c: see audit.h. */
#include "model/audit.h"

#include <math.h>
#include <stdlib.h>

enum {
    SAMPLES = 2, /* panels of a layer that are looked at, evenly spaced */
    WIDTH = SAMPLES * ASSAY_PANEL,
};

bool assay_audit_open(assay_audit *audit, size_t tokens, size_t deepest)
{
    size_t panel = assay_arena_need(ASSAY_PANEL * deepest * sizeof(float));
    float *block = aligned_alloc(ASSAY_ALIGNMENT, 2 * panel + tokens * WIDTH * sizeof(float));
    *audit = (assay_audit){.where = "", .weights = block};
    if (block == NULL)
        return false;
    audit->panel = block + panel / sizeof(float);
    audit->exact = audit->panel + panel / sizeof(float);
    return true;
}

void assay_audit_close(assay_audit *audit)
{
    free(audit->weights);
    audit->weights = NULL;
}

/* First output of a sample; ASSAY_PANEL follow, or fewer at the end. */
static size_t sample_at(const assay_linear *layer, size_t sample)
{
    size_t panels = (layer->columns + ASSAY_PANEL - 1) / ASSAY_PANEL;
    return panels * sample / SAMPLES * ASSAY_PANEL;
}

static size_t sample_size(const assay_linear *layer, size_t at)
{
    return layer->columns - at < ASSAY_PANEL ? layer->columns - at : ASSAY_PANEL;
}

void assay_audit_expect(assay_audit *audit, const assay_linear *layer, const float *x, size_t ldx,
                        size_t rows, const assay_epilogue *epilogue)
{
    const assay_kernels *kernels = assay_kernels_active();
    for (size_t sample = 0; sample < SAMPLES; sample++) {
        size_t at = sample_at(layer, sample), count = sample_size(layer, at);
        assay_epilogue part = *epilogue;
        part.bias = epilogue->bias != NULL ? epilogue->bias + at : NULL;
        part.residual = epilogue->residual != NULL ? epilogue->residual + at : NULL;
        for (size_t i = 0; i < count; i++)
            assay_linear_row(layer, at + i, audit->weights + i * layer->depth);
        kernels->pack_f32(audit->weights, layer->depth, count, layer->depth, audit->panel);
        kernels->gemm_f32(x, ldx, rows, audit->panel, count, layer->depth, &part,
                          audit->exact + sample * ASSAY_PANEL, WIDTH);
    }
}

void assay_audit_compare(assay_audit *audit, const assay_linear *layer, size_t rows,
                         const float *c, size_t ldc)
{
    double difference = 0, square = 0;
    for (size_t sample = 0; sample < SAMPLES; sample++) {
        size_t at = sample_at(layer, sample), count = sample_size(layer, at);
        for (size_t i = 0; i < rows * count; i++) {
            size_t row = i / count, column = i % count;
            double exact = (double)audit->exact[row * WIDTH + sample * ASSAY_PANEL + column];
            double off = (double)c[row * ldc + at + column] - exact;
            difference += off * off;
            square += exact * exact;
        }
    }
    double error = difference > 0 ? sqrt(difference / square) : difference;
    if (!(error <= audit->error) && !isnan(audit->error)) {
        audit->error = error;
        audit->where = layer->parts[0].weight->name;
    }
}
