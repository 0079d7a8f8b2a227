/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_training.c: ten steps of training beside PyTorch's (tests/golden/training): losses,
 * gradient norms, every tensor's first gradient and last values. And what is saved opens,
 * gives the same results, and goes on to the same bits.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden_model.h"
#include "learn/maxsim_gradient.h"
#include "learn/optimizer.h"
#include "learn/sequences.h"
#include "model/model.h"

enum { SEQUENCES = 16, TOKENS = 2000, DIMENSIONS = 64, PLACES = 16 };

typedef struct batch {
    assay_sequence sequences[SEQUENCES];
    int32_t ids[TOKENS];
    double labels[SEQUENCES];
    size_t count;
} batch;

static double number_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static json_t *golden(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/training/%s.json", name);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    return root;
}

static void read_batch(const json_t *step, batch *b)
{
    const json_t *list = json_object_get(step, "batch"), *labels = json_object_get(step, "labels");
    size_t at = 0;
    b->count = json_array_size(list);
    assert_true(b->count > 0 && b->count <= SEQUENCES);
    for (size_t i = 0; i < b->count; i++) {
        const json_t *one = json_array_get(list, i), *ids = json_object_get(one, "ids");
        size_t count = json_array_size(ids);
        assert_true(at + count <= TOKENS);
        b->sequences[i] = (assay_sequence){.ids = b->ids + at,
                                           .count = (uint32_t)count,
                                           .second = (uint32_t)number_of(one, "second")};
        for (size_t t = 0; t < count; t++)
            b->ids[at++] = (int32_t)json_integer_value(json_array_get(ids, t));
        b->labels[i] = json_number_value(json_array_get(labels, i));
    }
}

static assay_trainable *open_at(const char *path, assay_model_kind kind, uint32_t threads)
{
    assay_trainable *model = NULL;
    assay_error error;
    assay_trainable_options options = {
        .kind = kind, .threads = threads, .seed = 9, .dropout = 0.1f, .attention_dropout = 0.1f};
    if (assay_trainable_open(path, &options, &model, NULL, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return model;
}

static assay_trainable *open_golden(const char *name, assay_model_kind kind)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_MODELS "%s", name);
    return open_at(path, kind, 2);
}

/* ---- Losses ----------------------------------------------------------------------- */

static double cross_loss(const batch *b, const float *logits, float *gradients)
{
    double loss = 0, share = 1 / (double)b->count;
    for (size_t i = 0; i < b->count; i++) {
        double z = (double)logits[i], y = b->labels[i];
        loss += share * (fmax(z, 0) - z * y + log1p(exp(-fabs(z))));
        gradients[i] = (float)(share * (1 / (1 + exp(-z)) - y));
    }
    return loss;
}

/* Softmax over the second half's vectors, for each of the first. */
static double bi_loss(const batch *b, const float *vectors, size_t n, double scale,
                      float *gradients)
{
    size_t half = b->count / 2;
    double loss = 0;
    memset(gradients, 0, b->count * n * sizeof *gradients);
    for (size_t i = 0; i < half; i++) {
        double scores[SEQUENCES], most = -INFINITY, sum = 0;
        for (size_t j = 0; j < half; j++) {
            scores[j] = 0;
            for (size_t k = 0; k < n; k++)
                scores[j] += scale * (double)vectors[i * n + k] *
                             (double)vectors[(half + j) * n + k];
            most = fmax(most, scores[j]);
        }
        for (size_t j = 0; j < half; j++)
            sum += exp(scores[j] - most);
        loss += (most + log(sum) - scores[i]) / (double)half;
        for (size_t j = 0; j < half; j++) {
            double p = exp(scores[j] - most) / sum, by = scale * (p - (i == j)) / (double)half;
            for (size_t k = 0; k < n; k++) {
                gradients[i * n + k] += (float)(by * (double)vectors[(half + j) * n + k]);
                gradients[(half + j) * n + k] += (float)(by * (double)vectors[i * n + k]);
            }
        }
    }
    return loss;
}

/* Forth and back; returns the loss. */
static double learn(assay_trainable *model, const batch *b, double scale, uint64_t draw)
{
    static float outputs[SEQUENCES * DIMENSIONS], gradients[SEQUENCES * DIMENSIONS];
    size_t n = assay_trainable_dimensions(model);
    assert_true(n <= DIMENSIONS);
    assay_forward pass = {.draw = draw, .keep = true};
    assert_int_equal(assay_trainable_forward(model, b->sequences, b->count, &pass, outputs, NULL),
                     ASSAY_OK);
    double loss = assay_trainable_config(model)->kind == ASSAY_MODEL_CROSS_ENCODER
                      ? cross_loss(b, outputs, gradients)
                      : bi_loss(b, outputs, n, scale, gradients);
    assert_int_equal(assay_trainable_backward(model, gradients, NULL), ASSAY_OK);
    return loss;
}

/* ---- Beside PyTorch --------------------------------------------------------------- */

static double near(const char *name, const char *what, double found, double expected, double size,
                   double bound)
{
    double off = fabs(found - expected) / size;
    if (!(off <= bound))
        fail_msg("%s: %s: %.9g, PyTorch has %.9g: %.2g off, expected at most %.2g", name, what,
                 found, expected, off, bound);
    return off;
}

/* The same places as in the script, by the largest value of the tensor. */
static double expect_sample(const char *name, const char *what, const float *x, size_t size,
                            const json_t *expected, double bound)
{
    double squares = 0, largest = number_of(expected, "largest"), worst = 0;
    const json_t *at = json_object_get(expected, "at");
    for (size_t i = 0; i < PLACES; i++) {
        double value = (double)x[(i * 7919 + 3) % size];
        double off = near(name, what, value, json_number_value(json_array_get(at, i)), largest,
                          bound);
        worst = fmax(worst, off);
    }
    for (size_t i = 0; i < size; i++)
        squares += (double)x[i] * (double)x[i];
    near(name, what, sqrt(squares), sqrt(number_of(expected, "squares")),
         sqrt(number_of(expected, "squares")), bound);
    return worst;
}

/* Adding the same to all scores of a softmax changes nothing: the gradient by the keys'
 * bias is 0 but for rounding, which AdamW would blow up to full steps. */
static bool has_no_gradient(const char *name)
{
    return strstr(name, "key.bias") != NULL;
}

static void expect_tensors(assay_trainable *model, const json_t *tensors, const char *what,
                           double bound)
{
    size_t count;
    const assay_parameter *p = assay_trainable_parameters(model, &count);
    double worst = 0;
    assert_int_equal(count, json_object_size(tensors));
    for (size_t i = 0; i < count; i++) {
        const json_t *both = json_object_get(tensors, p[i].name);
        if (both == NULL)
            fail_msg("PyTorch has no parameter %s", p[i].name);
        if (has_no_gradient(p[i].name))
            continue;
        const float *x = strcmp(what, "gradient") == 0 ? p[i].gradient : p[i].values;
        double off = expect_sample(p[i].name, what, x, p[i].rows * p[i].columns,
                                   json_object_get(both, what), bound);
        worst = fmax(worst, off);
    }
    printf("    %s: %zu tensors, at most %.2g of their largest value off\n", what, count, worst);
}

static void train_beside(const char *name)
{
    json_t *root = golden(name);
    bool cross = strcmp(json_string_value(json_object_get(root, "kind")), "cross") == 0;
    assay_trainable *model =
        open_golden(name, cross ? ASSAY_MODEL_CROSS_ENCODER : ASSAY_MODEL_BI_ENCODER);
    assay_optimizer_options options = {.epsilon = (float)number_of(root, "epsilon"),
                                       .decay = (float)number_of(root, "decay"),
                                       .clip = (float)number_of(root, "clip")};
    assay_optimizer *optimizer;
    assert_int_equal(assay_optimizer_open(model, &options, &optimizer, NULL), ASSAY_OK);
    const json_t *steps = json_object_get(root, "steps");
    const json_t *tensors = json_object_get(root, "tensors");
    printf("  %s\n", name);
    static batch b;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        double norm, expected = number_of(step, "norm");
        read_batch(step, &b);
        double loss = learn(model, &b, number_of(root, "scale"), 0);
        near(name, "loss", loss, number_of(step, "loss"), fabs(number_of(step, "loss")), 1e-5);
        if (i == 0)
            expect_tensors(model, tensors, "gradient", 1e-5);
        assert_int_equal(assay_optimizer_step(optimizer, (float)number_of(root, "rate"), 1, &norm,
                                              NULL), ASSAY_OK);
        near(name, "norm", norm, expected, expected, 1e-5);
    }
    expect_tensors(model, tensors, "values", 1e-5);
    assay_optimizer_close(optimizer);
    assay_trainable_close(model);
    json_decref(root);
}

static void ten_steps_are_those_of_pytorch(void **state)
{
    (void)state;
    train_beside("cross-f32");
    train_beside("cross-xlmr");
    train_beside("cross-roberta");
    train_beside("cross-split");
    train_beside("dense-mean");
    train_beside("dense-cls");
}

/* ---- bfloat16 --------------------------------------------------------------------- */

static assay_trainable *open_bf16(const char *name, assay_model_kind kind, uint32_t threads,
                                  uint32_t rank)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_MODELS "%s", name);
    assay_trainable_options options = {.kind = kind, .threads = threads, .seed = 9,
                                       .dropout = 0.1f, .attention_dropout = 0.1f,
                                       .precision = ASSAY_PRECISION_BF16, .lora_rank = rank};
    assay_trainable *model = NULL;
    assert_int_equal(assay_trainable_open(path, &options, &model, NULL, NULL), ASSAY_OK);
    return model;
}

/* Of all gradients beside those at fp32: how long the difference is, as a share. */
static double gradients_off(assay_trainable *model, assay_trainable *exact)
{
    size_t count;
    const assay_parameter *p = assay_trainable_parameters(model, &count);
    const assay_parameter *q = assay_trainable_parameters(exact, &count);
    double off = 0, size = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < p[i].rows * p[i].columns; k++) {
            double g = (double)q[i].gradient[k], d = (double)p[i].gradient[k] - g;
            off += d * d;
            size += g * g;
        }
    return sqrt(off / size);
}

static void check_bf16(const char *name, assay_model_kind kind)
{
    json_t *root = golden(name);
    double scale = number_of(root, "scale");
    static batch b;
    read_batch(json_array_get(json_object_get(root, "steps"), 0), &b);
    assay_trainable *exact = open_golden(name, kind), *model = open_bf16(name, kind, 1, 0);
    assay_trainable *wide = open_bf16(name, kind, 3, 0);
    double expected = learn(exact, &b, scale, 0), loss = learn(model, &b, scale, 0);
    double off = gradients_off(model, exact);
    printf("  %s: loss %.6g, at bf16 %.6g, gradients %.2g off\n", name, expected, loss, off);
    assert_true(fabs(loss - expected) < 0.02 * fabs(expected));
    assert_true(off > 1e-5 && off < 0.03); /* rounding to 8 bits, and not none */
    assert_true(learn(wide, &b, scale, 0) == loss);
    assert_true(gradients_off(wide, model) == 0);
    assay_trainable_close(exact);
    assay_trainable_close(model);
    assay_trainable_close(wide);
    json_decref(root);
}

static void bf16_gradients_are_near_those_of_floats(void **state)
{
    (void)state;
    assay_trainable_options options = {.kind = ASSAY_MODEL_CROSS_ENCODER,
                                       .precision = ASSAY_PRECISION_INT8};
    assay_trainable *model;
    assay_error error;
    assert_int_equal(assay_trainable_open(GOLDEN_MODELS "cross-f32", &options, &model, NULL,
                                          &error), ASSAY_E_ARGUMENT);
    options.precision = ASSAY_PRECISION_BF16;
    if (!assay_kernels_active()->has_bf16) {
        assert_int_equal(assay_trainable_open(GOLDEN_MODELS "cross-f32", &options, &model, NULL,
                                              &error), ASSAY_E_UNSUPPORTED);
        skip();
    }
    check_bf16("cross-f32", ASSAY_MODEL_CROSS_ENCODER);
    check_bf16("cross-xlmr", ASSAY_MODEL_CROSS_ENCODER);
    check_bf16("cross-split", ASSAY_MODEL_CROSS_ENCODER);
    check_bf16("dense-mean", ASSAY_MODEL_BI_ENCODER);
    check_bf16("dense-cls", ASSAY_MODEL_BI_ENCODER);
}

/* With a rank, dropout and several steps: the loss falls as it does at fp32. */
static void bf16_learns(void **state)
{
    (void)state;
    if (!assay_kernels_active()->has_bf16)
        skip();
    json_t *root = golden("cross-f32");
    static batch b;
    read_batch(json_array_get(json_object_get(root, "steps"), 0), &b);
    for (uint32_t rank = 0; rank <= 4; rank += 4) {
        assay_trainable *model = open_bf16("cross-f32", ASSAY_MODEL_CROSS_ENCODER, 2, rank);
        assay_optimizer *optimizer;
        assert_int_equal(assay_optimizer_open(model, &(assay_optimizer_options){0}, &optimizer,
                                              NULL), ASSAY_OK);
        double first = learn(model, &b, 1, 0), loss = first, norm;
        for (uint64_t step = 1; step <= 60; step++) {
            assert_int_equal(assay_optimizer_step(optimizer, 0.002f, 1, &norm, NULL), ASSAY_OK);
            loss = learn(model, &b, 1, step % 2);
        }
        printf("  rank %u: %.4g, then %.4g\n", rank, first, loss);
        assert_true(loss < 0.5 * first);
        assay_optimizer_close(optimizer);
        assay_trainable_close(model);
    }
    json_decref(root);
}

/* ---- Saving ----------------------------------------------------------------------- */

static char folder[] = "/tmp/assay-test-training-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[sizeof folder + 16];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *inside(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

static void save(assay_trainable *model, const char *path)
{
    assay_error error;
    assert_int_equal(mkdir(path, 0777), 0);
    if (assay_trainable_save(model, path, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
}

static void some_steps(assay_trainable *model, assay_optimizer *optimizer, const json_t *root,
                       size_t first, size_t end)
{
    static batch b;
    const json_t *steps = json_object_get(root, "steps");
    for (size_t i = first; i < end; i++) {
        read_batch(json_array_get(steps, i), &b);
        learn(model, &b, number_of(root, "scale"), i + 1);
        assert_int_equal(assay_optimizer_step(optimizer, 1e-3f, 1, NULL, NULL), ASSAY_OK);
    }
}

/* Weights and moments on disk, and on: as if there had been no interruption. */
static void check_resume(const char *name, assay_model_kind kind)
{
    char base[256], middle[256], moments[256], text[64];
    json_t *root = golden(name);
    assay_optimizer_options options = {.decay = 0.01f, .layer_rate = 0.9f};
    snprintf(base, sizeof base, GOLDEN_MODELS "%s", name);
    snprintf(text, sizeof text, "middle-%s", name);
    inside(text, middle);
    snprintf(text, sizeof text, "moments-%s", name);
    inside(text, moments);

    assay_trainable *whole = open_at(base, kind, 1), *part = open_at(base, kind, 1);
    assay_optimizer *one, *other;
    assert_int_equal(assay_optimizer_open(whole, &options, &one, NULL), ASSAY_OK);
    some_steps(whole, one, root, 0, 6);

    assert_int_equal(assay_optimizer_open(part, &options, &other, NULL), ASSAY_OK);
    some_steps(part, other, root, 0, 3);
    save(part, middle);
    assert_int_equal(assay_optimizer_save(other, moments, NULL), ASSAY_OK);
    assay_optimizer_close(other);
    assay_trainable_close(part);
    part = open_at(middle, kind, 2);
    assert_int_equal(assay_optimizer_open(part, &options, &other, NULL), ASSAY_OK);
    assert_int_equal(assay_optimizer_load(other, moments, NULL), ASSAY_OK);
    assert_int_equal(assay_optimizer_steps(other), 3);
    some_steps(part, other, root, 3, 6);

    size_t count, again;
    const assay_parameter *p = assay_trainable_parameters(whole, &count);
    const assay_parameter *q = assay_trainable_parameters(part, &again);
    assert_int_equal(count, again);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(p[i].name, q[i].name);
        assert_memory_equal(p[i].values, q[i].values,
                            p[i].rows * p[i].columns * sizeof(float));
    }
    assay_optimizer_close(one);
    assay_optimizer_close(other);
    assay_trainable_close(whole);
    assay_trainable_close(part);
    json_decref(root);
}

static void training_resumes_to_the_same_bits(void **state)
{
    (void)state;
    check_resume("cross-f32", ASSAY_MODEL_CROSS_ENCODER);
    check_resume("dense-mean", ASSAY_MODEL_BI_ENCODER);
}

/* With LoRA the moments' file holds what has moved, and the base is opened again. */
static void low_rank_resumes_to_the_same_bits(void **state)
{
    (void)state;
    char moments[256];
    json_t *root = golden("cross-f32");
    inside("moments-low", moments);
    assay_trainable_options low = {.kind = ASSAY_MODEL_CROSS_ENCODER, .threads = 1, .seed = 9,
                                   .dropout = 0.1f, .lora_rank = 4};
    assay_trainable *models[2];
    assay_optimizer *optimizers[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(assay_trainable_open(GOLDEN_MODELS "cross-f32", &low, &models[i], NULL,
                                              NULL), ASSAY_OK);
        assert_int_equal(assay_optimizer_open(models[i], &(assay_optimizer_options){0},
                                              &optimizers[i], NULL), ASSAY_OK);
    }
    some_steps(models[0], optimizers[0], root, 0, 3);
    assert_int_equal(assay_optimizer_save(optimizers[0], moments, NULL), ASSAY_OK);
    some_steps(models[0], optimizers[0], root, 3, 6);
    assert_int_equal(assay_optimizer_load(optimizers[1], moments, NULL), ASSAY_OK);
    some_steps(models[1], optimizers[1], root, 3, 6);
    size_t count, moved = 0;
    const assay_parameter *p = assay_trainable_parameters(models[0], &count);
    const assay_parameter *q = assay_trainable_parameters(models[1], &count);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(p[i].values, q[i].values, p[i].rows * p[i].columns * sizeof(float));
        moved += strstr(p[i].name, "lora_B") != NULL && p[i].values[0] != 0;
    }
    assert_int_equal(moved, 2 * 5);
    for (size_t i = 0; i < 2; i++) {
        assay_optimizer_close(optimizers[i]);
        assay_trainable_close(models[i]);
    }
    json_decref(root);
}

/* What training computes is what the saved model answers. */
static void check_saved(const char *base, const char *name, assay_model_kind kind, bool freeze,
                        uint32_t rank)
{
    static const char *const passages[] = {"ten days of leave", "sick pay, 26 weeks", "rain"};
    char from[256], path[256];
    snprintf(from, sizeof from, GOLDEN_MODELS "%s", base);
    inside(name, path);
    assay_trainable *model;
    bool drawn;
    assay_trainable_options options = {.kind = kind, .freeze_embeddings = freeze,
                                       .lora_rank = rank};
    assert_int_equal(assay_trainable_open(from, &options, &model, &drawn, NULL), ASSAY_OK);
    size_t count;
    assay_parameter *p = assay_trainable_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        p[i].values[0] += 0.05f;
    assay_trainable_changed(model);
    save(model, path);

    assay_model *saved = golden_open_path(path, ASSAY_PRECISION_FP32);
    assay_model_info info;
    assay_model_describe(saved, &info);
    assert_int_equal(info.kind, kind);
    assert_string_equal(info.stored, "F32");
    assay_session *session = golden_session(saved, 1);
    for (size_t i = 0; i < 3; i++) {
        assay_text text = golden_text(passages[i]);
        float ours[DIMENSIONS], theirs[DIMENSIONS];
        size_t n = assay_trainable_dimensions(model);
        assay_encoding encoding;
        assay_text query = golden_text("how many days");
        bool cross = kind == ASSAY_MODEL_CROSS_ENCODER;
        assert_int_equal(assay_tokenize(assay_trainable_tokenizer(model), cross ? query : text,
                                        cross ? &text : NULL,
                                        &(assay_tokenize_options){.special = true}, &encoding,
                                        NULL), ASSAY_OK);
        assay_sequence s = {.ids = encoding.ids, .count = (uint32_t)encoding.count};
        while (s.second < s.count && encoding.types[s.second] == 0)
            s.second++;
        assert_int_equal(assay_trainable_forward(model, &s, 1, &(assay_forward){0}, ours, NULL),
                         ASSAY_OK);
        assay_encoding_free(&encoding);
        if (cross) {
            assay_score score;
            assert_int_equal(assay_rerank(session, query, &text, 1, &score, NULL), ASSAY_OK);
            theirs[0] = score.logit;
        } else {
            assert_int_equal(assay_embed(session, &text, 1, theirs, NULL, NULL), ASSAY_OK);
        }
        for (size_t j = 0; j < n; j++)
            near(name, "output", (double)ours[j], (double)theirs[j], 1, 1e-5);
    }
    assay_session_close(session);
    assay_model_close(saved);
    assay_trainable_close(model);
}

/* Token vectors: what the saved model's encoder makes of the same tokens. */
static void check_saved_late(const char *base, const char *name)
{
    enum { COUNT = 24 };
    char from[256], path[256];
    snprintf(from, sizeof from, GOLDEN_MODELS "%s", base);
    inside(name, path);
    assay_trainable *model = open_at(from, ASSAY_MODEL_LATE, 1);
    size_t n = assay_trainable_dimensions(model), count;
    assay_parameter *p = assay_trainable_parameters(model, &count);
    p[count - 1].values[0] += 0.5f;
    assay_trainable_changed(model);
    save(model, path);
    assay_model *saved = golden_open_path(path, ASSAY_PRECISION_FP32);
    assert_int_equal(saved->config.kind, ASSAY_MODEL_LATE);
    const assay_late_config *late = &assay_trainable_config(model)->late;
    assert_memory_equal(&saved->config.late.skipped, &late->skipped, sizeof late->skipped);
    assert_string_equal(saved->config.late.query_marker, late->query_marker);
    assert_int_equal(saved->config.late.query_length, late->query_length);

    int32_t ids[COUNT];
    for (size_t t = 0; t < COUNT; t++)
        ids[t] = (int32_t)(t * 5 % saved->config.vocabulary);
    assay_sequence s = {.ids = ids, .count = COUNT, .second = COUNT, .unseen = 7};
    float *ours = calloc(COUNT * n, sizeof *ours);
    assert_int_equal(assay_trainable_forward(model, &s, 1, &(assay_forward){0}, ours, NULL),
                     ASSAY_OK);
    float *scratch = calloc(assay_encoder_scratch(&saved->encoder, COUNT, 1, COUNT), sizeof *ours);
    float states[DIMENSIONS];
    assay_encoder_run(&saved->encoder, ASSAY_STRETCH_ALL, &s, 1, scratch, states, NULL, NULL);
    float *theirs = assay_encoder_tokens(&saved->encoder, &s, 1, scratch);
    assert_int_equal(assay_encoder_dimensions(&saved->encoder), n);
    for (size_t t = 0; t < COUNT; t++) {
        double length = 0;
        for (size_t j = 0; j < n; j++)
            length += pow((double)theirs[t * n + j], 2);
        for (size_t j = 0; j < n; j++)
            near(name, "vector", (double)ours[t * n + j], (double)theirs[t * n + j] / sqrt(length),
                 1, 1e-5);
    }
    free(ours);
    free(scratch);
    assay_model_close(saved);
    assay_trainable_close(model);
}

/* The score of the last sequence for the first one, by training's own means. */
static double late_score(assay_trainable *model, const assay_sequences *all)
{
    const assay_sequence *query = &all->list[0], *passage = &all->list[1];
    size_t n = assay_trainable_dimensions(model), count = query->count + passage->count;
    float *vectors = calloc(count * n, sizeof *vectors), *values = calloc(count, sizeof *values);
    float *scratch = aligned_alloc(64, (assay_maxsim_scratch(passage->count, n) * 4 + 63) / 64 * 64);
    uint32_t *best = calloc(count, sizeof *best);
    uint8_t *skipped = calloc(passage->count, 1);
    double sum = 0;
    assert_int_equal(assay_trainable_forward(model, all->list, 2, &(assay_forward){0}, vectors,
                                             NULL), ASSAY_OK);
    for (uint32_t i = 0; i < passage->count; i++)
        skipped[i] = assay_late_marks_skip(&all->late, passage->ids[i]);
    assay_maxsim_forth(vectors, query->count, vectors + query->count * n, skipped, passage->count,
                       n, scratch, values, best);
    for (uint32_t i = 0; i < query->count; i++)
        sum += (double)values[i];
    free(vectors);
    free(values);
    free(scratch);
    free(best);
    free(skipped);
    return sum;
}

/* Markers, fillers, lengths and what is passed over: texts that a model for late
 * interaction learns from score as the reranker scores them. */
static void late_texts_are_laid_out_as_by_the_reranker(void **state)
{
    (void)state;
    static const char *const models[] = {"late-colbert", "late-pylate", "late-pylate-attend",
                                         "late-pylate-plain"};
    static const char *const passages[] = {"Rain, water; cell?", "", "ten days of leave",
                                           "sick pay is paid when the contract says so, and when "
                                           "may an employee carry over the days of the year"};
    static const char *const queries[] = {"how many days", "what is the notice period, and when "
                                          "may sick pay be paid to a parent of the contract"};
    for (size_t m = 0; m < 4; m++) {
        char path[256];
        snprintf(path, sizeof path, GOLDEN_MODELS "%s", models[m]);
        assay_trainable *model = open_at(path, ASSAY_MODEL_LATE, 1);
        assay_model *same = golden_open_path(path, ASSAY_PRECISION_FP32);
        assay_session *session = golden_session(same, 1);
        assay_sequences all;
        assert_int_equal(assay_sequences_open(&all, assay_trainable_tokenizer(model),
                                              assay_trainable_config(model), 0, NULL), ASSAY_OK);
        for (size_t i = 0; i < 8; i++) {
            assay_score score;
            assay_text passage = golden_text(passages[i % 4]);
            assay_sequences_clear(&all);
            assert_int_equal(assay_sequences_text(&all, queries[i / 4], ASSAY_ROLE_QUERY, NULL),
                             ASSAY_OK);
            assert_int_equal(assay_sequences_text(&all, passages[i % 4], ASSAY_ROLE_PASSAGE, NULL),
                             ASSAY_OK);
            assay_sequences_ready(&all);
            assert_int_equal(assay_rerank(session, golden_text(queries[i / 4]), &passage, 1, &score,
                                          NULL), ASSAY_OK);
            near(models[m], "score", late_score(model, &all), (double)score.logit, 1, 1e-4);
        }
        assay_sequences_free(&all);
        assay_session_close(session);
        assay_model_close(same);
        assay_trainable_close(model);
    }
}

static void what_is_saved_answers_alike(void **state)
{
    (void)state;
    check_saved("cross-f32", "cross", ASSAY_MODEL_CROSS_ENCODER, false, 0);
    check_saved("cross-f16", "cross-f16", ASSAY_MODEL_CROSS_ENCODER, false, 0);
    check_saved("cross-int8", "cross-int8", ASSAY_MODEL_CROSS_ENCODER, true, 0);
    check_saved("cross-old-names", "cross-old", ASSAY_MODEL_CROSS_ENCODER, false, 0);
    check_saved("cross-roberta", "roberta", ASSAY_MODEL_CROSS_ENCODER, true, 0);
    check_saved("dense-mean", "dense", ASSAY_MODEL_BI_ENCODER, false, 0);
    check_saved("dense-cls", "dense-cls", ASSAY_MODEL_BI_ENCODER, true, 0);
    check_saved("dense-mean", "cross-of-dense", ASSAY_MODEL_CROSS_ENCODER, false, 0);
    check_saved("dense-xlmr", "cross-of-xlmr", ASSAY_MODEL_CROSS_ENCODER, true, 0);
    check_saved("cross-f32", "cross-low", ASSAY_MODEL_CROSS_ENCODER, false, 4);
    check_saved("dense-mean", "dense-low", ASSAY_MODEL_BI_ENCODER, false, 3);
    check_saved_late("late-colbert", "colbert");
    check_saved_late("late-pylate", "pylate");
    check_saved_late("dense-mean", "late-of-dense");
}

/* ---- What must not be taken ------------------------------------------------------- */

static void a_gradient_that_is_no_number_moves_nothing(void **state)
{
    (void)state;
    assay_trainable *model = open_golden("cross-f32", ASSAY_MODEL_CROSS_ENCODER);
    assay_optimizer *optimizer;
    assay_error error;
    assert_int_equal(assay_optimizer_open(model, &(assay_optimizer_options){0}, &optimizer, NULL),
                     ASSAY_OK);
    size_t count;
    assay_parameter *p = assay_trainable_parameters(model, &count);
    float before = p[5].values[0];
    double norm;
    p[5].gradient[0] = NAN;
    assert_int_equal(assay_optimizer_step(optimizer, 1, 1, &norm, &error), ASSAY_E_CORRUPT);
    assert_true(isnan(norm) && p[5].values[0] == before && p[5].gradient[0] == 0);
    assert_int_equal(assay_optimizer_steps(optimizer), 0);
    assay_optimizer_close(optimizer);
    assert_int_equal(assay_optimizer_open(model, &(assay_optimizer_options){.beta1 = 2}, &optimizer,
                                          &error), ASSAY_E_ARGUMENT);
    assay_trainable_close(model);
}

static void damaged_moments_are_refused(void **state)
{
    (void)state;
    char path[256];
    inside("moments", path);
    assay_trainable *model = open_golden("cross-f32", ASSAY_MODEL_CROSS_ENCODER);
    assay_trainable *another = open_golden("cross-roberta", ASSAY_MODEL_CROSS_ENCODER);
    assay_optimizer *optimizer, *strange;
    assay_error error;
    assert_int_equal(assay_optimizer_open(model, &(assay_optimizer_options){0}, &optimizer, NULL),
                     ASSAY_OK);
    assert_int_equal(assay_optimizer_open(another, &(assay_optimizer_options){0}, &strange, NULL),
                     ASSAY_OK);
    assert_int_equal(assay_optimizer_save(optimizer, path, NULL), ASSAY_OK);
    assert_int_equal(assay_optimizer_load(strange, path, &error), ASSAY_E_FORMAT);
    assert_non_null(strstr(error.message, "another model"));
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 1000, SEEK_SET);
    fputc('x', file);
    fclose(file);
    assert_int_equal(assay_optimizer_load(optimizer, path, &error), ASSAY_E_CORRUPT);
    assert_int_equal(truncate(path, 500), 0);
    assert_int_equal(assay_optimizer_load(optimizer, path, &error), ASSAY_E_CORRUPT);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(assay_optimizer_load(optimizer, path, &error), ASSAY_E_FORMAT);
    assay_optimizer_close(optimizer);
    assay_optimizer_close(strange);
    assay_trainable_close(model);
    assay_trainable_close(another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_steps_are_those_of_pytorch),
        cmocka_unit_test(bf16_gradients_are_near_those_of_floats),
        cmocka_unit_test(bf16_learns),
        cmocka_unit_test(training_resumes_to_the_same_bits),
        cmocka_unit_test(low_rank_resumes_to_the_same_bits),
        cmocka_unit_test(what_is_saved_answers_alike),
        cmocka_unit_test(late_texts_are_laid_out_as_by_the_reranker),
        cmocka_unit_test(a_gradient_that_is_no_number_moves_nothing),
        cmocka_unit_test(damaged_moments_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
