/* SPDX-License-Identifier: Apache-2.0 */
/* test_quantize.c: what assay_quantize writes, how near its results are to the
 * original's, and that it leaves a whole folder or none. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden_model.h"
#include "kernels/kernels.h"
#include "model/safetensors.h"

static char folder[64];

static char *in_folder(const char *name)
{
    static char paths[4][200];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[600];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/assay-quantize-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    shell("chmod -R u+rwX '%s'; rm -rf '%s'", folder, folder);
    return 0;
}

static int empty_folder(void **state)
{
    (void)state;
    shell("chmod -R u+rwX '%s'; rm -rf '%s'/*", folder, folder);
    return 0;
}

/* A copy of a golden model as "source" in the temporary folder. */
static void copy_source(const char *name)
{
    shell("cp -R " GOLDEN_MODELS "%s '%s/source'", name, folder);
}

static size_t entries(void)
{
    size_t count = 0;
    DIR *listing = opendir(folder);
    while (readdir(listing) != NULL)
        count++;
    closedir(listing);
    return count - 2;
}

static void quantizes_to(const char *source, const char *target, assay_quantize_report *report)
{
    assay_error error = {0};
    if (assay_quantize(source, target, NULL, NULL, NULL, report, &error) != ASSAY_OK)
        fail_msg("%s: %s: %s", source, error.where, error.message);
}

static void fails(const char *source, const char *target, bool replace, assay_status status,
                  const char *named)
{
    assay_quantize_report report;
    assay_error error = {0};
    size_t before = entries();
    assay_status found = assay_quantize(source, target,
                                        &(assay_quantize_options){.replace = replace}, NULL, NULL,
                                        &report, &error);
    char all[800];
    snprintf(all, sizeof all, "%s: %s", error.where, error.message);
    if (found != status || strstr(all, named) == NULL)
        fail_msg("status %d, \"%s\"; expected %d, \"%s\"", found, all, status, named);
    assert_int_equal(entries(), before);
}

static assay_model *open_target(const char *path, assay_precision precision)
{
    assay_model *model;
    assay_error error = {0};
    if (assay_model_open(path, &(assay_model_options){precision}, &model, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return model;
}

/* ---- Results ------------------------------------------------------------------ */

static size_t results_of(assay_model *model, const json_t *expected, float *out)
{
    assay_text texts[GOLDEN_TEXTS];
    assay_model_info info;
    assay_model_describe(model, &info);
    assay_session *session = golden_session(model, 1);
    size_t count;
    if (info.kind == ASSAY_MODEL_CROSS_ENCODER) {
        assay_score scores[GOLDEN_TEXTS];
        count = golden_texts(json_object_get(expected, "passages"), texts);
        assay_text query = golden_text(json_string_value(json_object_get(expected, "query")));
        assert_int_equal(assay_rerank(session, query, texts, count, scores, NULL), ASSAY_OK);
        for (size_t i = 0; i < count; i++)
            out[i] = scores[i].logit;
    } else {
        count = golden_texts(json_object_get(expected, "texts"), texts);
        assert_int_equal(assay_embed(session, texts, count, out, NULL, NULL), ASSAY_OK);
        count *= info.dimensions;
    }
    assay_session_close(session);
    return count;
}

enum { MOST = GOLDEN_TEXTS * 64 };

/* Root of the mean squared difference, over that of the original's results. */
static double distance(const float *a, const float *b, size_t count)
{
    double difference = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        difference += pow((double)(a[i] - b[i]), 2);
        sum += pow((double)a[i], 2);
    }
    return sqrt(difference / sum);
}

static void results_stay_near(void **state)
{
    (void)state;
    static const char *const names[] = {"cross-f32", "cross-f16",  "cross-old-names",
                                        "cross-roberta", "dense-cls", "dense-mean",
                                        "dense-plain"};
    static float original[MOST], found[MOST];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char source[128];
        snprintf(source, sizeof source, GOLDEN_MODELS "%s", names[i]);
        assay_quantize_report report;
        quantizes_to(source, in_folder(names[i]), &report);
        assert_true(report.kinds[ASSAY_TENSOR_LINEAR].error > 0.001 &&
                    report.kinds[ASSAY_TENSOR_LINEAR].error < 0.02);
        assert_true(report.bytes_after < report.bytes_before);
        json_t *expected = golden_expected(names[i]);
        assay_model *model = golden_open(names[i]);
        size_t count = results_of(model, expected, original);
        assay_model_close(model);
        for (int precision = ASSAY_PRECISION_FP32; precision <= ASSAY_PRECISION_INT8;
             precision++) {
            model = open_target(in_folder(names[i]), (assay_precision)precision);
            assay_model_info info;
            assay_model_describe(model, &info);
            assert_string_equal(info.stored, "I8");
            assert_int_equal(results_of(model, expected, found), count);
            double off = distance(original, found, count);
            if (off > 0.2 || off == 0) /* random weights forgive little */
                fail_msg("%s: %s is %g off", names[i], info.precision, off);
            assay_model_close(model);
        }
        json_decref(expected);
    }
}

/* ---- The file ------------------------------------------------------------------ */

static assay_safetensors *tensors_of(const char *path)
{
    assay_safetensors *tensors;
    assay_error error = {0};
    if (assay_safetensors_open(path, &tensors, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return tensors;
}

/* Each input has a byte, and a sixteenth more are shared out, rounded up to four. */
static void inputs_have_their_bytes(void **state)
{
    (void)state;
    assay_quantize_report report;
    quantizes_to(GOLDEN_MODELS "cross-f32", in_folder("x"), &report);
    assay_safetensors *tensors = tensors_of(in_folder("x"));
    size_t sites = 0;
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(tensors, i);
        if (strstr(tensor->name, ".input_bytes") == NULL)
            continue;
        size_t sum = 0;
        for (size_t k = 0; k < tensor->elements; k++) {
            assert_true(tensor->data[k] >= 1);
            sum += tensor->data[k];
        }
        assert_int_equal(sum, tensor->elements + (tensor->elements / 16 + 3) / 4 * 4);
        sites++;
    }
    assay_safetensors_close(tensors);
    assay_model *model = open_target(in_folder("x"), ASSAY_PRECISION_INT8);
    assay_model_info info;
    assay_model_describe(model, &info);
    assert_int_equal(sites, 4 * info.layers);
    assay_model_close(model);
}

static void senseless_bytes_are_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {"s/query.input_bytes/query.other_bytes/", "s/\"U8\"/\"I8\"/"};
    static const char *const named[] = {"input_bytes, expected", "expected U8 of shape"};
    assay_quantize_report report;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        assay_model *model;
        assay_error error;
        quantizes_to(GOLDEN_MODELS "cross-f32", in_folder("x"), &report);
        shell("sed -i '%s' '%s/x/model.safetensors'", edits[i], folder);
        const assay_model_options int8 = {.precision = ASSAY_PRECISION_INT8};
        assert_int_equal(assay_model_open(in_folder("x"), &int8, &model, &error), ASSAY_E_FORMAT);
        assert_non_null(strstr(error.message, named[i]));
        assay_model_close(open_target(in_folder("x"), ASSAY_PRECISION_FP32)); /* needs none */
        shell("rm -r '%s/x'%s", folder, "");
    }
}

static size_t element_size(const assay_tensor *tensor)
{
    return tensor->elements > 0 ? tensor->bytes / tensor->elements : 1;
}

/* A mapping begins at a page, so addresses tell how the file is aligned. */
static void tensors_are_aligned(void **state)
{
    (void)state;
    assay_quantize_report report;
    quantizes_to(GOLDEN_MODELS "cross-f32", in_folder("int8"), &report);
    assay_safetensors *tensors = tensors_of(in_folder("int8"));
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *tensor = assay_safetensors_at(tensors, i);
        assert_int_equal((uintptr_t)tensor->data % element_size(tensor), 0);
        if (tensor->bytes % 64 == 0)
            assert_int_equal((uintptr_t)tensor->data % 64, 0);
    }
    assay_safetensors_close(tensors);
}

/* Overwrites the first bytes of a tensor of a model in the temporary folder. */
static void put_bytes(const char *model, const char *name, const void *bytes, size_t size)
{
    char path[100];
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    assay_safetensors *tensors = tensors_of(in_folder(model));
    const assay_tensor *tensor = assay_safetensors_find(tensors, name);
    assert_non_null(tensor);
    assert_true(tensor->bytes >= size);
    const uint8_t *begin = tensor->data - (uintptr_t)tensor->data % 4096; /* of the mapping: */
    struct stat status;
    assert_int_equal(stat(in_folder(path), &status), 0);
    /* the last tensor in the file ends where the file does */
    for (size_t i = 0; i < assay_safetensors_count(tensors); i++) {
        const assay_tensor *other = assay_safetensors_at(tensors, i);
        const uint8_t *end = other->data + other->bytes;
        begin = end - status.st_size > begin || i == 0 ? end - status.st_size : begin;
    }
    FILE *file = fopen(in_folder(path), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)(tensor->data - begin), SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    assay_safetensors_close(tensors);
}

/* The first values of a tensor of floats of "source". */
static void put_floats(const char *name, const float *values, size_t count)
{
    put_bytes("source", name, values, count * sizeof *values);
}

#define POSITIONS "bert.embeddings.position_embeddings.weight"

/* The float16 nearest to each value, ties to even, by trying all of them. */
static void floats_become_the_nearest_half(void **state)
{
    (void)state;
    enum { COUNT = 36 * 96 };
    static float values[COUNT], halves[65536];
    static uint16_t codes[65536];
    for (uint32_t i = 0; i < 65536; i++)
        codes[i] = (uint16_t)i;
    assay_kernels_active()->f16_to_f32(codes, 65536, halves);
    static const float edges[] = {0.0f, -0.0f, 65504.0f, -65504.0f, 0x1p-24f, 0x1p-25f,
                                  0x1.000002p-25f, 0x1.8p-24f, 0x1p-14f, 0x1.ffcp-15f,
                                  0x1.ffep-15f, 0x1.ffep0f, 1.00048828125f, 1.00146484375f,
                                  1e-40f, 0.1f, 3.14159274f};
    size_t count = sizeof edges / sizeof *edges;
    memcpy(values, edges, sizeof edges);
    for (uint32_t seed = 7; count < COUNT; seed = seed * 1664525u + 1013904223u)
        values[count++] = ldexpf((float)(int32_t)seed, -(int)(seed >> 3 & 31) - 28);
    copy_source("cross-f32");
    put_floats(POSITIONS, values, COUNT);
    assay_quantize_report report;
    quantizes_to(in_folder("source"), in_folder("int8"), &report);
    assay_safetensors *tensors = tensors_of(in_folder("int8"));
    const assay_tensor *tensor = assay_safetensors_find(tensors, POSITIONS);
    assert_int_equal(tensor->dtype, ASSAY_DTYPE_F16);
    for (size_t i = 0; i < COUNT; i += i < 64 ? 1 : 97) {
        uint16_t best = 0, found;
        for (uint32_t code = 0; code < 0x7C00; code++) {
            float off = fabsf(halves[code] - fabsf(values[i]));
            float least = fabsf(halves[best] - fabsf(values[i]));
            if (off < least || (off == least && code % 2 == 0))
                best = (uint16_t)code;
        }
        memcpy(&found, tensor->data + 2 * i, 2);
        assert_int_equal(found, best | (signbit(values[i]) ? 0x8000 : 0));
    }
    assay_safetensors_close(tensors);
}

/* What float16 cannot hold stays as it is. */
static void large_positions_stay_float32(void **state)
{
    (void)state;
    copy_source("cross-f32");
    put_floats(POSITIONS, (const float[]){65520.0f}, 1);
    assay_quantize_report report;
    quantizes_to(in_folder("source"), in_folder("int8"), &report);
    assay_safetensors *tensors = tensors_of(in_folder("int8"));
    assert_int_equal(assay_safetensors_find(tensors, POSITIONS)->dtype, ASSAY_DTYPE_F32);
    assay_safetensors_close(tensors);
}

/* A row of zeros has a scale, and a row's largest value is kept to the bit. */
static void rows_are_scaled_by_their_largest(void **state)
{
    (void)state;
    static const char name[] = "bert.encoder.layer.0.attention.self.query.weight";
    float values[72] = {0};
    values[36] = -2.54f;
    values[37] = 1.0f;
    copy_source("cross-f32");
    put_floats(name, values, 72);
    assay_quantize_report report;
    quantizes_to(in_folder("source"), in_folder("int8"), &report);
    assay_safetensors *tensors = tensors_of(in_folder("int8"));
    const assay_tensor *tensor = assay_safetensors_find(tensors, name);
    const assay_tensor *scales =
        assay_safetensors_find(tensors, "bert.encoder.layer.0.attention.self.query.weight_scale");
    const int8_t *bytes = (const int8_t *)tensor->data;
    float scale[2];
    memcpy(scale, scales->data, sizeof scale);
    assert_true(scale[0] > 0 && scale[1] == 2.54f / 127);
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[36], -127);
    assert_int_equal(bytes[37], 50);
    assay_safetensors_close(tensors);
}

#define DOWN "bert.encoder.layer.0.output.dense.weight"
#define BIAS "bert.encoder.layer.0.output.dense.bias"

enum { INPUTS = 53, LARGE = 7 }; /* of DOWN; the one whose first weight is large */

/* The large weight's input is GELU(-30): what it does to the others is all it does. */
static void quantize_coarse_row(float values[INPUTS])
{
    float silent[LARGE + 1] = {0};
    for (size_t i = 0; i < INPUTS; i++)
        values[i] = 0.9f * sinf((float)i);
    values[LARGE] = 200.0f;
    silent[LARGE] = -30.0f;
    copy_source("cross-f32");
    put_floats("bert.encoder.layer.0.intermediate.dense.bias", silent, LARGE + 1);
    put_floats(DOWN, values, INPUTS);
    assay_quantize_report report;
    quantizes_to(in_folder("source"), in_folder("x"), &report);
}

static const assay_tensor *tensor_of(const assay_safetensors *tensors, const char *name,
                                     const char *dtype, size_t elements)
{
    const assay_tensor *tensor = assay_safetensors_find(tensors, name);
    assert_non_null(tensor);
    assert_string_equal(tensor->dtype_name, dtype);
    assert_true(tensor->elements >= elements);
    return tensor;
}

/* The row and its rest are the weights to within half a step of the rest's. */
static void a_row_with_one_large_weight_is_refined(void **state)
{
    (void)state;
    float values[INPUTS], scale, rest_scale;
    double coarse = 0, fine = 0;
    quantize_coarse_row(values);
    assay_safetensors *tensors = tensors_of(in_folder("x"));
    const int8_t *row = (const int8_t *)tensor_of(tensors, DOWN, "I8", INPUTS)->data;
    const int8_t *rest = (const int8_t *)tensor_of(tensors, DOWN "_refined", "I8", INPUTS)->data;
    const uint8_t *number = tensor_of(tensors, DOWN "_refined_rows", "I32", 1)->data;
    assert_int_equal(number[0] | number[1] | number[2] | number[3], 0);
    memcpy(&scale, tensor_of(tensors, DOWN "_scale", "F32", 1)->data, sizeof scale);
    memcpy(&rest_scale, tensor_of(tensors, DOWN "_refined_scale", "F32", 1)->data, sizeof scale);
    for (size_t i = 0; i < INPUTS; i++) {
        double off = (double)row[i] * (double)scale - (double)values[i];
        coarse = fmax(coarse, fabs(off));
        fine = fmax(fine, fabs(off + (double)rest[i] * (double)rest_scale));
    }
    assert_true(coarse > 0.5);
    assert_true(fine < 0.51 * (double)rest_scale && rest_scale < scale / 100);
    assay_safetensors_close(tensors);
}

/* Nearer to the original than the same file is without. */
static void rests_are_added_at_every_precision(void **state)
{
    (void)state;
    static float original[MOST], with[MOST], without[MOST];
    float values[INPUTS];
    json_t *expected = golden_expected("cross-f32");
    quantize_coarse_row(values);
    assay_model *model = open_target(in_folder("source"), ASSAY_PRECISION_FP32);
    size_t count = results_of(model, expected, original);
    assay_model_close(model);
    shell("cp -R '%s/x' '%s/y'", folder, folder);
    shell("sed -i 's/weight_refined\"/weight_removed\"/' '%s/y/model.safetensors'%s", folder, "");
    static const assay_precision precisions[] = {ASSAY_PRECISION_FP32, ASSAY_PRECISION_INT8,
                                                 ASSAY_PRECISION_BF16};
    for (size_t i = 0; i < (assay_kernels_active()->has_bf16 ? 3 : 2); i++) {
        model = open_target(in_folder("x"), precisions[i]);
        results_of(model, expected, with);
        assay_model_close(model);
        model = open_target(in_folder("y"), precisions[i]);
        results_of(model, expected, without);
        assay_model_close(model);
        double near = distance(original, with, count), far = distance(original, without, count);
        if (!(near < far / 2))
            fail_msg("precision %d: %g off with rests, %g without", precisions[i], near, far);
    }
    json_decref(expected);
}

static void refined_are_refused(const char *named)
{
    assay_model *model;
    assay_error error;
    assert_int_equal(assay_model_open(in_folder("x"), NULL, &model, &error), ASSAY_E_FORMAT);
    if (strstr(error.message, named) == NULL)
        fail_msg("%s: %s", error.where, error.message);
    shell("rm -r '%s/x' '%s/source'", folder, folder);
}

static void senseless_rests_are_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {"s/\"I32\"/\"F32\"/", "s/refined_rows/refined_rose/",
                                        "s/refined_scale/refined_scabs/",
                                        "s/refined_bias/refined_bios/"};
    static const char *const named[] = {"F32 of shape [1], expected I32", "missing", "missing",
                                        "missing"};
    float values[INPUTS];
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        quantize_coarse_row(values);
        shell("sed -i '%s' '%s/x/model.safetensors'", edits[i], folder);
        refined_are_refused(named[i]);
    }
    quantize_coarse_row(values);
    put_bytes("x", DOWN "_refined_rows", (const uint32_t[]){36}, sizeof(uint32_t));
    refined_are_refused("a row that is not there");
}

/* The parameters are the original's, and those who do not know of rests keep the bias that
 * goes with the row alone. */
static void rests_are_nothing_new(void **state)
{
    (void)state;
    float values[INPUTS], bias, refined;
    assay_model_info source, found;
    quantize_coarse_row(values);
    assay_model *model = open_target(in_folder("source"), ASSAY_PRECISION_FP32);
    assay_model_describe(model, &source);
    assay_model_close(model);
    model = open_target(in_folder("x"), ASSAY_PRECISION_INT8);
    assay_model_describe(model, &found);
    assay_model_close(model);
    assert_int_equal(found.parameters, source.parameters);
    assay_safetensors *before = tensors_of(in_folder("source"));
    assay_safetensors *after = tensors_of(in_folder("x"));
    const assay_tensor *original = assay_safetensors_find(before, BIAS);
    memcpy(&refined, tensor_of(after, DOWN "_refined_bias", "F32", 1)->data, sizeof refined);
    memcpy(&bias, original->data, sizeof bias);
    assert_true(refined == bias);
    memcpy(&bias, tensor_of(after, BIAS, "F32", 1)->data, sizeof bias);
    assert_true(refined != bias);
    assay_safetensors_close(before);
    assay_safetensors_close(after);
}

/* ---- The folder ------------------------------------------------------------------ */

static json_t *read_json(const char *name)
{
    json_t *root = json_load_file(in_folder(name), 0, NULL);
    assert_non_null(root);
    return root;
}

static void files_are_copied_but_for_weights(void **state)
{
    (void)state;
    copy_source("dense-cls");
    shell("cd '%s/source' && mkdir onnx .cache && touch onnx/model.onnx pytorch_model.bin "
          ".cache/x LICENSE && printf '# card' >README.md%s", folder, "");
    assay_quantize_report report;
    quantizes_to(in_folder("source"), in_folder("a/int8/"), &report);
    shell("cd '%s/a/int8' && ls -A1 | grep -v '^expected.json$' | tr '\\n' ' ' >'%s/listing'",
          folder, folder);
    shell("grep -q '^1_Pooling LICENSE README.md config.json model.safetensors modules.json "
          "tokenizer.json tokenizer_config.json $' '%s/listing'%s", folder, "");
    shell("grep -q '^# card' '%s/a/int8/README.md' && grep -q 'Quantised by assay .* from "
          "source:' '%s/a/int8/README.md'", folder, folder);
    json_t *config = read_json("a/int8/config.json");
    json_t *original = read_json("source/config.json");
    assert_int_equal(json_object_del(config, "quantization_config"), 0);
    assert_true(json_equal(config, original));
    json_decref(config);
    json_decref(original);
}

static void folders_are_not_overwritten(void **state)
{
    (void)state;
    assay_quantize_report report;
    static const char golden[] = GOLDEN_MODELS "cross-f32";
    copy_source("cross-f32");
    fails(in_folder("source"), in_folder("source"), true, ASSAY_E_ARGUMENT, "one folder");
    fails(in_folder("source"), in_folder("source/int8"), false, ASSAY_E_ARGUMENT, "inside");
    fails(in_folder("source"), in_folder(""), true, ASSAY_E_ARGUMENT, "inside");
    shell("mkdir '%s/there' && touch '%s/there/x'", folder, folder);
    fails(golden, in_folder("there"), false, ASSAY_E_ARGUMENT, "there: is there already");
    fails(golden, in_folder("there"), true, ASSAY_E_ARGUMENT, "not a model folder");
    fails(golden, in_folder("there/x"), true, ASSAY_E_ARGUMENT, "x: is not a folder");
    fails(golden, "", false, ASSAY_E_ARGUMENT, "expected the path");
    shell("touch '%s/there/config.json'%s", folder, "");
    size_t before = entries();
    assert_int_equal(assay_quantize(golden, in_folder("there"),
                                    &(assay_quantize_options){.replace = true}, NULL, NULL,
                                    &report, NULL), ASSAY_OK);
    assert_int_equal(entries(), before);
    assert_int_not_equal(access(in_folder("there/x"), F_OK), 0);
    assay_model_close(open_target(in_folder("there"), ASSAY_PRECISION_INT8));
}

static void what_cannot_be_quantised_is_told(void **state)
{
    (void)state;
    fails(GOLDEN_MODELS "cross-int8", in_folder("x"), false, ASSAY_E_UNSUPPORTED,
          "int8 already");
    fails("/nowhere", in_folder("x"), false, ASSAY_E_NOT_FOUND, "nowhere");
    copy_source("cross-f32");
    put_floats("bert.encoder.layer.1.output.dense.weight", (const float[]){0, NAN}, 2);
    fails(in_folder("source"), in_folder("x"), false, ASSAY_E_CORRUPT,
          "tensor bert.encoder.layer.1.output.dense.weight: value 1 is NaN");
    copy_source("cross-f16/.");
    shell("sed -i 's/\"bert\"/\"gpt2\"/' '%s/source/config.json'%s", folder, "");
    fails(in_folder("source"), in_folder("x"), false, ASSAY_E_UNSUPPORTED, "model_type");
}

/* What keeps the source from being opened is found before anything is written. */
static void a_folder_that_does_not_open_is_not_left(void **state)
{
    (void)state;
    copy_source("cross-f32");
    shell("rm '%s/source/tokenizer.json'%s", folder, "");
    fails(in_folder("source"), in_folder("x"), false, ASSAY_E_NOT_FOUND,
          "source: neither tokenizer.json");
    shell("sed -i 's/bert.encoder.layer.1.output.dense.weight/bert.encoder.layer.1.output.dense."
          "wrong_/' '%s/source/model.safetensors'%s", folder, "");
    fails(in_folder("source"), in_folder("x"), false, ASSAY_E_FORMAT, "source/model.safetensors");
}

static bool stop_after(const assay_progress *progress, void *left)
{
    assert_int_equal(progress->phase, ASSAY_PHASE_QUANTIZE);
    assert_true(progress->done <= progress->total);
    return (*(int *)left)-- > 0;
}

static void an_interruption_leaves_nothing(void **state)
{
    (void)state;
    assay_quantize_report report;
    int calls = 0;
    for (;; calls++) {
        int left = calls;
        assay_status status = assay_quantize(GOLDEN_MODELS "dense-mean", in_folder("x"), NULL,
                                             stop_after, &left, &report, NULL);
        if (status == ASSAY_OK)
            break;
        assert_int_equal(status, ASSAY_E_INTERRUPTED);
        assert_int_equal(entries(), 0);
    }
    assert_true(calls > 20);
}

/* As on a full disk: a write fails. */
static void a_failed_write_leaves_nothing(void **state)
{
    (void)state;
    struct rlimit old, low = {4096, 4096};
    getrlimit(RLIMIT_FSIZE, &old);
    low.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &low);
    fails(GOLDEN_MODELS "cross-f32", in_folder("x"), false, ASSAY_E_IO, "/x/model.safetensors");
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(results_stay_near, empty_folder),
        cmocka_unit_test_teardown(tensors_are_aligned, empty_folder),
        cmocka_unit_test_teardown(inputs_have_their_bytes, empty_folder),
        cmocka_unit_test_teardown(senseless_bytes_are_refused, empty_folder),
        cmocka_unit_test_teardown(floats_become_the_nearest_half, empty_folder),
        cmocka_unit_test_teardown(large_positions_stay_float32, empty_folder),
        cmocka_unit_test_teardown(rows_are_scaled_by_their_largest, empty_folder),
        cmocka_unit_test_teardown(a_row_with_one_large_weight_is_refined, empty_folder),
        cmocka_unit_test_teardown(rests_are_added_at_every_precision, empty_folder),
        cmocka_unit_test_teardown(senseless_rests_are_refused, empty_folder),
        cmocka_unit_test_teardown(rests_are_nothing_new, empty_folder),
        cmocka_unit_test_teardown(files_are_copied_but_for_weights, empty_folder),
        cmocka_unit_test_teardown(folders_are_not_overwritten, empty_folder),
        cmocka_unit_test_teardown(what_cannot_be_quantised_is_told, empty_folder),
        cmocka_unit_test_teardown(a_folder_that_does_not_open_is_not_left, empty_folder),
        cmocka_unit_test_teardown(an_interruption_leaves_nothing, empty_folder),
        cmocka_unit_test_teardown(a_failed_write_leaves_nothing, empty_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
