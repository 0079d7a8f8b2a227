/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gradients.c: every gradient against differences of its function. Single operations
 * against functions in double precision, written anew here; whole models along a
 * direction for each of their parameters.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden_model.h"
#include "kernel_numbers.h"
#include "learn/maxsim_gradient.h"
#include "learn/trained_encoder.h"
#include "learn/trainable.h"

/* ---- Functions of double ---------------------------------------------------------- */

/* A loss of n doubles, and of what else its context says. */
typedef double (*loss_fn)(const double *x, size_t n, const void *context);

enum { MOST = 4096 };

/* Central differences, better by one step of Richardson's extrapolation. */
static double slope(loss_fn loss, double *x, size_t n, size_t i, const void *context)
{
    double at = x[i], d[2];
    for (int k = 0; k < 2; k++) {
        double step = k == 0 ? 1e-3 : 5e-4;
        x[i] = at + step;
        double up = loss(x, n, context);
        x[i] = at - step;
        d[k] = (up - loss(x, n, context)) / (2 * step);
    }
    x[i] = at;
    return (4 * d[1] - d[0]) / 3;
}

static void expect_slopes(const char *what, loss_fn loss, const float *x, const float *gradient,
                          size_t n, const void *context)
{
    static double copy[MOST];
    assert_true(n <= MOST);
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        copy[i] = (double)x[i];
        largest = fmax(largest, fabs((double)gradient[i]));
    }
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < n; i++) {
        double expected = slope(loss, copy, n, i, context);
        if (!(fabs((double)gradient[i] - expected) <= 2e-6 * (largest + 1)))
            fail_msg("%s: gradient %zu of %zu is %g, differences say %g", what, i, n,
                     (double)gradient[i], expected);
    }
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = tame();
}

/* ---- LayerNorm -------------------------------------------------------------------- */

typedef struct norm_case {
    const float *gamma, *beta, *weights;
    size_t n; /* of a row */
    const float *x; /* where gamma and beta are the variables */
} norm_case;

static double norm_loss_of(const double *x, const double *gamma, const double *beta, size_t rows,
                           const norm_case *c)
{
    double loss = 0;
    for (size_t r = 0; r < rows; r++) {
        double mean = 0, spread = 0;
        for (size_t i = 0; i < c->n; i++)
            mean += x[r * c->n + i] / (double)c->n;
        for (size_t i = 0; i < c->n; i++)
            spread += pow(x[r * c->n + i] - mean, 2) / (double)c->n;
        for (size_t i = 0; i < c->n; i++)
            loss += (double)c->weights[r * c->n + i] *
                    ((x[r * c->n + i] - mean) / sqrt(spread + 1e-5) * gamma[i] + beta[i]);
    }
    return loss;
}

static double norm_loss(const double *x, size_t n, const void *context)
{
    const norm_case *c = context;
    double gamma[64], beta[64];
    for (size_t i = 0; i < c->n; i++) {
        gamma[i] = (double)c->gamma[i];
        beta[i] = (double)c->beta[i];
    }
    return norm_loss_of(x, gamma, beta, n / c->n, c);
}

/* Of gamma, then beta. */
static double norm_weights_loss(const double *w, size_t n, const void *context)
{
    const norm_case *c = context;
    double x[64 * 4];
    for (size_t i = 0; i < 3 * c->n; i++)
        x[i] = (double)c->x[i];
    return norm_loss_of(x, w, w + n / 2, 3, c);
}

static void layer_norm_has_its_gradients(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 5, 16, 17, 48};
    for (size_t s = 1; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s], rows = 3;
        float x[64 * 3], y[64 * 3], normal[64 * 3], inverse[3], gradient[64 * 3];
        float weights[128], sums[128] = {0};
        fill(x, rows * n);
        fill(weights, 2 * n);
        fill(gradient, rows * n);
        float by_y[64 * 3];
        memcpy(by_y, gradient, sizeof by_y);
        norm_case c = {weights, weights + n, by_y, n, x};
        assay_norm_forth(x, rows, n, weights, weights + n, 1e-5f, normal, inverse, y);
        assay_norm_back(gradient, normal, inverse, weights, rows, n, sums, sums + n);
        expect_slopes("norm", norm_loss, x, gradient, rows * n, &c);
        expect_slopes("norm's weights", norm_weights_loss, weights, sums, 2 * n, &c);
        float again[64 * 3];
        assay_norm_apply(normal, rows, n, weights, weights + n, again);
        assert_memory_equal(again, y, rows * n * sizeof *y);
    }
}

/* ---- Rows ------------------------------------------------------------------------- */

static double softmax_loss(const double *x, size_t n, const void *context)
{
    const float *weights = context;
    double most = -INFINITY, sum = 0, loss = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, 0.7 * x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(0.7 * x[i] - most);
    for (size_t i = 0; i < n; i++)
        loss += (double)weights[i] * exp(0.7 * x[i] - most) / sum;
    return loss;
}

static double tanh_loss(const double *x, size_t n, const void *context)
{
    const float *weights = context;
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += (double)weights[i] * tanh(x[i]);
    return loss;
}

static double unit_loss(const double *x, size_t n, const void *context)
{
    const float *weights = context;
    double length = 0, loss = 0;
    for (size_t i = 0; i < n; i++)
        length += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        loss += (double)weights[i] * x[i] / sqrt(length);
    return loss;
}

static double gelu_loss(const double *x, size_t n, const void *context)
{
    const float *weights = context;
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += (double)weights[i] * 0.5 * x[i] * erfc(-x[i] * M_SQRT1_2);
    return loss;
}

static void rows_have_their_gradients(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 15, 16, 33, 100};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s];
        float x[100], y[100], weights[100], gradient[100];
        fill(x, n);
        fill(weights, n);

        memcpy(y, x, sizeof y);
        memcpy(gradient, weights, sizeof gradient);
        assay_kernels_active()->softmax_f32(y, n, 1, n, 0.7f);
        assay_softmax_back(gradient, y, n, 1, n, 0.7f);
        expect_slopes("softmax", softmax_loss, x, gradient, n, weights);

        memcpy(gradient, weights, sizeof gradient);
        for (size_t i = 0; i < n; i++)
            y[i] = tanhf(x[i]);
        assay_tanh_back(gradient, y, n);
        expect_slopes("tanh", tanh_loss, x, gradient, n, weights);

        memcpy(gradient, weights, sizeof gradient);
        memcpy(y, x, sizeof y);
        float length = assay_unit_forth(y, n);
        assay_unit_back(gradient, y, length, n);
        expect_slopes("unit length", unit_loss, x, gradient, n, weights);

        memcpy(gradient, weights, sizeof gradient);
        assay_kernels_active()->gelu_f32(x, n, y, gradient);
        expect_slopes("GELU", gelu_loss, x, gradient, n, weights);
    }
    float zero[4] = {0}, back[4] = {1, 2, 3, 4};
    assay_unit_back(back, zero, assay_unit_forth(zero, 4), 4);
    assert_true(isfinite(zero[0]) && isfinite(back[0]));
}

/* ---- Dropout ---------------------------------------------------------------------- */

static void dropout_drops_its_share_and_the_same_again(void **state)
{
    (void)state;
    enum { N = 1000, ROWS = 200 };
    static float x[N], again[N], other[N];
    assay_dropout dropout = assay_dropout_at(0.1f, 7, 3, 11);
    size_t dropped = 0, both = 0;
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < N; i++)
            x[i] = again[i] = other[i] = 1;
        assay_dropout_row(&dropout, row, x, N);
        assay_dropout_row(&dropout, row, again, N);
        assay_dropout_row(&dropout, row + 1, other, N);
        assert_memory_equal(x, again, sizeof x);
        for (size_t i = 0; i < N; i++) {
            assert_true(x[i] == 0 || fabsf(x[i] - 1 / 0.9f) < 1e-6f);
            dropped += x[i] == 0;
            both += x[i] == 0 && other[i] == 0;
        }
    }
    /* Five deviations of 0.1 and of 0.01. */
    assert_true(fabs((double)dropped / (N * ROWS) - 0.1) < 5 * sqrt(0.09 / (N * ROWS)));
    assert_true(fabs((double)both / (N * ROWS) - 0.01) < 5 * sqrt(0.0099 / (N * ROWS)));
    assay_dropout none = assay_dropout_at(0.1f, 7, 0, 11);
    assay_dropout_row(&none, 0, other, 0);
    assert_int_equal(none.least, 0);
}

/* ---- Products --------------------------------------------------------------------- */

typedef struct product_case {
    size_t rows, columns, depth;
    float *x, *y, *dy, *dx;
    assay_trained_linear linear;
} product_case;

static float *floats(size_t n)
{
    float *x = calloc(n + 1, sizeof *x);
    assert_non_null(x);
    fill(x, n);
    return x;
}

/* Floats that are bfloat16: products of two are exact. */
static void coarsen(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

static product_case product_new(bool bf16, size_t rows, size_t columns, size_t depth)
{
    product_case c = {rows, columns, depth, floats(rows * depth), floats(rows * columns),
                      floats(rows * columns), floats(rows * depth), {.columns = columns,
                      .depth = depth, .bf16 = bf16, .weight = floats(columns * depth),
                      .bias = floats(columns),
                      .weight_gradient = floats(columns * depth),
                      .bias_gradient = floats(columns)}};
    if (bf16) {
        coarsen(c.x, rows * depth);
        coarsen(c.dy, rows * columns);
        coarsen(c.linear.weight, columns * depth);
    }
    c.linear.forth = floats(assay_trained_forth_size(&c.linear));
    c.linear.back = floats(assay_trained_back_size(&c.linear));
    assay_trained_pack(&c.linear);
    return c;
}

static void product_free(product_case *c)
{
    float *all[] = {c->x, c->y, c->dy, c->dx, c->linear.weight, c->linear.bias,
                    c->linear.weight_gradient, c->linear.bias_gradient, c->linear.forth,
                    c->linear.back};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void expect_near(const char *what, float found, double expected, double terms)
{
    if (!(fabs((double)found - expected) <= 4e-7 * (terms + 4)))
        fail_msg("%s: %g, expected %g", what, (double)found, expected);
}

static void check_products(bool bf16, size_t rows, size_t columns, size_t depth)
{
    product_case c = product_new(bf16, rows, columns, depth);
    const assay_trained_linear *l = &c.linear;
    float *weights = floats(columns * depth), *bias = floats(columns), *dx = floats(rows * depth);
    memcpy(weights, l->weight_gradient, columns * depth * sizeof *weights);
    memcpy(bias, l->bias_gradient, columns * sizeof *bias);
    memcpy(dx, c.dx, rows * depth * sizeof *dx);
    float *panels = floats(assay_inputs_size(rows, depth, bf16));
    float *scratch = floats(ASSAY_TURNED_SIZE);
    size_t widest = columns > depth ? columns : depth;
    size_t size = assay_rounded_size(rows, widest) +
                  assay_rounded_size(ASSAY_OUTPUT_GROUP, ASSAY_INPUT_ROWS);
    uint16_t *rounded = bf16 ? malloc(size * sizeof *rounded) : NULL;
    for (size_t at = 0; at < rows; at += 64)
        assay_inputs_put(l, c.x + at * depth, depth, at, rows - at < 64 ? rows - at : 64, rows,
                         panels);
    assay_trained_forth(l, c.x, depth, rows, ASSAY_ACTIVATION_NONE, c.y, columns, rounded);
    assay_trained_back(l, c.dy, columns, rows, true, c.dx, depth, rounded);
    for (size_t i = 0; i < assay_trained_groups(l); i++)
        assay_trained_weights(l, i, c.dy, columns, rows, panels, NULL, NULL, scratch, rounded);

    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < columns; j++) {
            double y = (double)l->bias[j];
            for (size_t k = 0; k < depth; k++)
                y += (double)c.x[r * depth + k] * (double)l->weight[j * depth + k];
            expect_near("y", c.y[r * columns + j], y, 4 * (double)depth);
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < depth; k++) {
            double sum = (double)dx[r * depth + k];
            for (size_t j = 0; j < columns; j++)
                sum += (double)c.dy[r * columns + j] * (double)l->weight[j * depth + k];
            expect_near("dx", c.dx[r * depth + k], sum, 4 * (double)columns);
        }
    for (size_t j = 0; j < columns; j++) {
        double sum = (double)bias[j];
        for (size_t r = 0; r < rows; r++)
            sum += (double)c.dy[r * columns + j];
        expect_near("db", l->bias_gradient[j], sum, 2 * (double)rows);
        for (size_t k = 0; k < depth; k++) {
            double w = (double)weights[j * depth + k];
            for (size_t r = 0; r < rows; r++)
                w += (double)c.dy[r * columns + j] * (double)c.x[r * depth + k];
            expect_near("dW", l->weight_gradient[j * depth + k], w, 4 * (double)rows);
        }
    }
    float *all[] = {weights, bias, dx, panels, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(rounded);
    product_free(&c);
}

static void linear_layers_have_their_products(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1},    {3, 1, 24},   {7, 24, 5},    {64, 96, 32},
                                       {65, 97, 33}, {255, 20, 7}, {256, 17, 18}, {257, 200, 16},
                                       {600, 40, 31}};
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        const size_t *s = shapes[i / 2];
        check_products(i % 2, s[0], s[1], s[2]);
    }
}

/* ---- Attention -------------------------------------------------------------------- */

enum { HEADS = 3, SIZE = 5, WIDTH = HEADS * SIZE, LENGTHS = 3 };

/* Queries, keys and values of all rows, one after another, as the variables. */
typedef struct attention_case {
    const assay_trained_pass *pass;
    const float *weights; /* [queries][WIDTH] of the loss */
    size_t queries;       /* rows of them */
    size_t tokens;
} attention_case;

static double attend_row(const attention_case *c, const double *x, size_t sequence, size_t query,
                         size_t head)
{
    const assay_trained_pass *pass = c->pass;
    const assay_kept_layer *kept = &pass->layers[0];
    const assay_sequence *s = &pass->sequences[sequence];
    size_t first = pass->starts[sequence], length = s->count - s->unseen;
    size_t row = kept->firsts ? sequence : first + query;
    const double *q = x + row * WIDTH + head * SIZE;
    const double *kv = x + c->queries * WIDTH + first * 2 * WIDTH + head * SIZE;
    double p[64], sum = 0, loss = 0;
    float mask[64];
    for (size_t t = 0; t < length; t++) {
        double score = 0;
        for (size_t i = 0; i < SIZE; i++)
            score += q[i] * kv[t * 2 * WIDTH + i];
        p[t] = exp(score / sqrt((double)SIZE));
        sum += p[t];
        mask[t] = 1;
    }
    assay_dropout dropout = assay_layer_dropout(pass, 0, ASSAY_PLACE_ATTENTION);
    assay_dropout_row(&dropout, (first + query) * HEADS + head, mask, length);
    for (size_t i = 0; i < SIZE; i++) {
        double context = 0;
        for (size_t t = 0; t < length; t++)
            context += p[t] / sum * (double)mask[t] * kv[(t * 2 + 1) * WIDTH + i];
        loss += (double)c->weights[row * WIDTH + head * SIZE + i] * context;
    }
    return loss;
}

static double attention_loss(const double *x, size_t n, const void *context)
{
    (void)n;
    const attention_case *c = context;
    double loss = 0;
    for (size_t i = 0; i < c->pass->count; i++) {
        size_t queries = c->pass->layers[0].firsts ? 1 : c->pass->sequences[i].count;
        for (size_t t = 0; t < queries; t++)
            for (size_t h = 0; h < HEADS; h++)
                loss += attend_row(c, x, i, t, h);
    }
    return loss;
}

static void check_attention(bool firsts, float rate)
{
    static int32_t ids[64];
    assay_sequence sequences[LENGTHS] = {{.ids = ids, .count = 7, .second = 7, .unseen = 2},
                                         {.ids = ids, .count = 1, .second = 1},
                                         {.ids = ids, .count = 13, .second = 13}};
    assay_model_config config = {.layers = 1, .hidden = WIDTH, .heads = HEADS,
                                 .intermediate = 8, .vocabulary = 2, .longest = 64,
                                 .positions = 64, .types = 2, .padding = -1,
                                 .pooling = firsts ? ASSAY_POOLING_CLS : ASSAY_POOLING_MEAN};
    assay_trained_encoder encoder = {.config = &config, .threads = 1, .seed = 5,
                                     .attention_dropout = rate};
    assay_kept_layer layers[1];
    assay_trained_pass *pass = calloc(1, sizeof *pass);
    assert_non_null(pass);
    pass->layers = layers;
    assert_int_equal(assay_trained_pass_begin(pass, &encoder, sequences, LENGTHS, true, 1, NULL),
                     ASSAY_OK);
    size_t tokens = pass->tokens, queries = firsts ? LENGTHS : tokens;
    size_t size = queries * WIDTH + tokens * 2 * WIDTH;
    float *x = floats(size), *gradient = floats(size), *weights = floats(queries * WIDTH);
    memcpy(layers[0].query, x, queries * WIDTH * sizeof *x);
    memcpy(layers[0].key_value, x + queries * WIDTH, tokens * 2 * WIDTH * sizeof *x);
    memcpy(pass->back.context, weights, queries * WIDTH * sizeof *x);
    memset(pass->back.key_value, 0xff, tokens * 2 * WIDTH * sizeof *x); /* NaN */
    double loss = 0;
    for (size_t i = 0; i < LENGTHS * HEADS; i++) {
        assay_attention_forth(pass, 0, i / HEADS, i % HEADS, &pass->workers[0]);
        assay_attention_back(pass, 0, i / HEADS, i % HEADS, &pass->workers[0]);
    }
    for (size_t i = 0; i < queries * WIDTH; i++)
        loss += (double)weights[i] * (double)layers[0].context[i];
    memcpy(gradient, pass->back.query, queries * WIDTH * sizeof *x);
    memcpy(gradient + queries * WIDTH, pass->back.key_value, tokens * 2 * WIDTH * sizeof *x);
    attention_case c = {pass, weights, queries, tokens};
    double *exact = calloc(size, sizeof *exact);
    for (size_t i = 0; i < size; i++)
        exact[i] = (double)x[i];
    assert_true(fabs(attention_loss(exact, size, &c) - loss) < 1e-4);
    expect_slopes("attention", attention_loss, x, gradient, size, &c);
    free(exact);
    free(x);
    free(gradient);
    free(weights);
    free(pass->memory);
    free(pass);
}

static void attention_has_its_gradients(void **state)
{
    (void)state;
    check_attention(false, 0);
    check_attention(false, 0.3f);
    check_attention(true, 0);
    check_attention(true, 0.3f);
}

/* ---- MaxSim ----------------------------------------------------------------------- */

enum { QUERY = 37, PASSAGE = 21, WIDE = 9 };

typedef struct maxsim_case {
    const float *by_value;
    const uint8_t *skipped;
} maxsim_case;

/* The query's vectors, then the passage's. */
static double maxsim_loss(const double *x, size_t n, const void *context)
{
    (void)n;
    const maxsim_case *c = context;
    double loss = 0;
    for (size_t i = 0; i < QUERY; i++) {
        double most = -INFINITY;
        for (size_t j = 0; j < PASSAGE; j++) {
            double sum = 0;
            for (size_t k = 0; k < WIDE; k++)
                sum += x[i * WIDE + k] * x[(QUERY + j) * WIDE + k];
            most = c->skipped[j] ? most : fmax(most, sum);
        }
        loss += (double)c->by_value[i] * most;
    }
    return loss;
}

static void maxsim_has_its_gradient(void **state)
{
    (void)state;
    float x[(QUERY + PASSAGE) * WIDE], gradient[(QUERY + PASSAGE) * WIDE] = {0};
    float by_value[QUERY], values[QUERY];
    uint8_t skipped[PASSAGE] = {[3] = 1, [20] = 1};
    uint32_t best[QUERY];
    fill(x, sizeof x / sizeof *x);
    fill(by_value, QUERY);
    float *passage = x + QUERY * WIDE, *scratch = floats(assay_maxsim_scratch(PASSAGE, WIDE));
    assay_maxsim_forth(x, QUERY, passage, skipped, PASSAGE, WIDE, scratch, values, best);
    assay_maxsim_back(x, QUERY, passage, WIDE, best, by_value, gradient,
                      gradient + QUERY * WIDE);
    maxsim_case c = {by_value, skipped};
    expect_slopes("MaxSim", maxsim_loss, x, gradient, sizeof x / sizeof *x, &c);
    memset(skipped, 1, sizeof skipped);
    assay_maxsim_forth(x, 1, passage, skipped, PASSAGE, WIDE, scratch, values, best);
    assert_true(values[0] == 0 && best[0] == UINT32_MAX);
    assay_maxsim_back(x, 1, passage, WIDE, best, by_value, NULL, NULL);
    free(scratch);
}

/* ---- Whole models ----------------------------------------------------------------- */

enum { SEQUENCES = 5, TOKENS = 200 };

typedef struct batch {
    assay_sequence sequences[SEQUENCES];
    int32_t ids[TOKENS];
    size_t count;
    float *weights; /* of the loss: by each output */
    size_t outputs;
} batch;

static void make_batch(const assay_trainable *model, batch *b)
{
    static const uint32_t lengths[SEQUENCES] = {9, 1, 70, 24, 17};
    const assay_model_config *config = assay_trainable_config(model);
    size_t at = 0;
    b->count = 0;
    for (size_t i = 0; i < SEQUENCES; i++) {
        uint32_t count = lengths[i] < config->longest ? lengths[i] : config->longest;
        b->sequences[b->count++] =
            (assay_sequence){.ids = b->ids + at, .count = count, .second = count / 2};
        for (uint32_t t = 0; t < count; t++)
            b->ids[at++] = (int32_t)below(config->vocabulary);
    }
    bool tokens = config->kind == ASSAY_MODEL_LATE;
    if (tokens)
        b->sequences[2].unseen = 5;
    b->outputs = (tokens ? at : b->count) * assay_trainable_dimensions(model);
    b->weights = floats(b->outputs);
}

static double loss_of(assay_trainable *model, const batch *b, assay_forward pass)
{
    float *outputs = floats(b->outputs);
    assay_error error;
    if (assay_trainable_forward(model, b->sequences, b->count, &pass, outputs, &error) !=
        ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    double loss = 0;
    for (size_t i = 0; i < b->outputs; i++)
        loss += (double)b->weights[i] * (double)outputs[i];
    free(outputs);
    return loss;
}

static assay_trainable *open_model(const char *name, assay_trainable_options options)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_MODELS "%s", name);
    assay_trainable *model = NULL;
    assay_error error;
    if (assay_trainable_open(path, &options, &model, NULL, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return model;
}

/* Of a model with these floats, the difference along `direction`. */
static double difference(assay_trainable *model, const batch *b, assay_parameter *p,
                         const float *direction, float step)
{
    size_t size = p->rows * p->columns;
    float *kept = floats(size);
    memcpy(kept, p->values, size * sizeof *kept);
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < size; i++)
            p->values[i] = kept[i] + (side == 0 ? step : -step) * direction[i];
        assay_trainable_changed(model);
        loss[side] = loss_of(model, b, (assay_forward){.draw = 1});
    }
    memcpy(p->values, kept, size * sizeof *kept);
    assay_trainable_changed(model);
    free(kept);
    return (loss[0] - loss[1]) / (2 * (double)step);
}

/* Along the gradient itself, where the difference is largest, a random turn added. */
static void expect_parameter(assay_trainable *model, const batch *b, assay_parameter *p)
{
    size_t size = p->rows * p->columns;
    float *direction = floats(size);
    double length = 0, norm = 0, along = 0;
    for (size_t i = 0; i < size; i++)
        length += pow((double)p->gradient[i], 2);
    length = sqrt(length);
    for (size_t i = 0; i < size; i++) {
        direction[i] = length > 0 ? p->gradient[i] / (float)length : 0;
        direction[i] += 0.5f * tame() / sqrtf((float)size);
        norm += pow((double)direction[i], 2);
    }
    for (size_t i = 0; i < size; i++) {
        direction[i] /= (float)sqrt(norm);
        along += (double)direction[i] * (double)p->gradient[i];
    }
    double large = difference(model, b, p, direction, 4e-2f);
    double small = difference(model, b, p, direction, 2e-2f);
    double expected = (4 * small - large) / 3;
    double bound = 4e-3 * fabs(expected) + 4e-4;
    if (!(fabs(along - expected) <= bound))
        fail_msg("%s: along the gradient %g, differences say %g", p->name, along, expected);
    free(direction);
}

static void check_model(const char *name, assay_model_kind kind, float dropout, uint32_t rank)
{
    assay_trainable *model = open_model(name, (assay_trainable_options){
                                                  .kind = kind, .threads = 1, .seed = 3,
                                                  .dropout = dropout,
                                                  .attention_dropout = dropout,
                                                  .lora_rank = rank});
    size_t count, moved = 0;
    assay_parameter *parameters = assay_trainable_parameters(model, &count);
    for (size_t i = 0; i < count; i++) /* LoRA's B is 0 at first, and A's gradient then */
        for (size_t j = 0; strstr(parameters[i].name, "lora_B") != NULL &&
                           j < parameters[i].rows * parameters[i].columns; j++)
            parameters[i].values[j] = 0.05f * tame();
    assay_trainable_changed(model);
    batch b;
    make_batch(model, &b);
    loss_of(model, &b, (assay_forward){.draw = 1, .keep = true});
    assert_int_equal(assay_trainable_backward(model, b.weights, NULL), ASSAY_OK);
    for (size_t i = 0; i < count; i++) {
        expect_parameter(model, &b, &parameters[i]);
        moved++;
    }
    assert_true(moved >= 16 + 5);
    free(b.weights);
    assay_trainable_close(model);
}

static void models_have_their_gradients(void **state)
{
    (void)state;
    check_model("cross-f32", ASSAY_MODEL_CROSS_ENCODER, 0, 0);
    check_model("cross-f32", ASSAY_MODEL_CROSS_ENCODER, 0.2f, 0);
    check_model("cross-split", ASSAY_MODEL_CROSS_ENCODER, 0.2f, 0);
    check_model("cross-roberta", ASSAY_MODEL_CROSS_ENCODER, 0.2f, 0);
    check_model("dense-mean", ASSAY_MODEL_BI_ENCODER, 0.2f, 0);
    check_model("dense-cls", ASSAY_MODEL_BI_ENCODER, 0, 0);
    check_model("dense-mean", ASSAY_MODEL_CROSS_ENCODER, 0, 0);
    check_model("cross-f32", ASSAY_MODEL_CROSS_ENCODER, 0.2f, 4);
    check_model("dense-mean", ASSAY_MODEL_BI_ENCODER, 0, 20);
    check_model("late-colbert", ASSAY_MODEL_LATE, 0.2f, 0);
    check_model("late-pylate", ASSAY_MODEL_LATE, 0, 0);
    check_model("dense-cls", ASSAY_MODEL_LATE, 0, 0);
}

/* ---- The same bits ---------------------------------------------------------------- */

typedef struct trail {
    float *gradients;
    size_t count;
    double loss;
} trail;

static trail gradients_with(const char *name, assay_model_kind kind, uint32_t threads,
                            bool recompute)
{
    assay_trainable *model = open_model(name, (assay_trainable_options){
                                                  .kind = kind, .threads = threads, .seed = 3,
                                                  .dropout = 0.1f, .attention_dropout = 0.1f,
                                                  .recompute = recompute});
    read_settings();
    batch b;
    make_batch(model, &b);
    trail t = {0};
    for (uint64_t draw = 1; draw < 3; draw++) { /* they add up */
        t.loss += loss_of(model, &b, (assay_forward){.draw = draw, .keep = true});
        assert_int_equal(assay_trainable_backward(model, b.weights, NULL), ASSAY_OK);
    }
    size_t count;
    assay_parameter *p = assay_trainable_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        t.count += p[i].rows * p[i].columns;
    t.gradients = floats(t.count);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(t.gradients + at, p[i].gradient, p[i].rows * p[i].columns * sizeof(float));
        at += p[i].rows * p[i].columns;
    }
    free(b.weights);
    assay_trainable_close(model);
    return t;
}

static void threads_and_recomputation_change_no_bit(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        assay_model_kind kind;
    } models[] = {{"cross-f32", ASSAY_MODEL_CROSS_ENCODER},
                  {"cross-split", ASSAY_MODEL_CROSS_ENCODER},
                  {"dense-mean", ASSAY_MODEL_BI_ENCODER},
                  {"late-pylate", ASSAY_MODEL_LATE}};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        trail one = gradients_with(models[m].name, models[m].kind, 1, false);
        for (uint32_t threads = 1; threads <= 4; threads++) {
            trail other = gradients_with(models[m].name, models[m].kind, threads, true);
            assert_true(other.loss == one.loss);
            assert_int_equal(other.count, one.count);
            assert_memory_equal(other.gradients, one.gradients, one.count * sizeof(float));
            free(other.gradients);
        }
        free(one.gradients);
    }
}

/* ---- Bad input -------------------------------------------------------------------- */

static void bad_passes_are_refused(void **state)
{
    (void)state;
    assay_trainable *model = open_model(
        "cross-f32", (assay_trainable_options){.kind = ASSAY_MODEL_CROSS_ENCODER});
    assay_error error;
    float logit, gradient = 1;
    int32_t ids[] = {2, 1 << 20, 3};
    assay_sequence wrong = {.ids = ids, .count = 3, .second = 3};
    assay_forward pass = {.keep = true};
    assert_int_equal(assay_trainable_forward(model, &wrong, 1, &pass, &logit, &error),
                     ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "number 0 has token 1048576"));
    wrong.count = 0;
    assert_int_equal(assay_trainable_forward(model, &wrong, 1, &pass, &logit, &error),
                     ASSAY_E_ARGUMENT);
    assert_int_equal(assay_trainable_backward(model, &gradient, &error), ASSAY_E_ARGUMENT);
    assay_trainable_close(model);

    assay_trainable_options options = {.kind = ASSAY_MODEL_BI_ENCODER};
    assert_int_equal(assay_trainable_open(GOLDEN_MODELS "cross-f32", &options, &model, NULL,
                                          &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_trainable_open(GOLDEN_MODELS "nothing", &options, &model, NULL, &error),
                     ASSAY_E_NOT_FOUND);
}

int main(void)
{
    read_settings();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norm_has_its_gradients),
        cmocka_unit_test(rows_have_their_gradients),
        cmocka_unit_test(dropout_drops_its_share_and_the_same_again),
        cmocka_unit_test(linear_layers_have_their_products),
        cmocka_unit_test(attention_has_its_gradients),
        cmocka_unit_test(maxsim_has_its_gradient),
        cmocka_unit_test(models_have_their_gradients),
        cmocka_unit_test(threads_and_recomputation_change_no_bit),
        cmocka_unit_test(bad_passes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
