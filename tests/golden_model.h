/* SPDX-License-Identifier: Apache-2.0 */
/* golden_model.h: tests' way to the models under tests/golden/models. Include
 * after cmocka.h. */
#ifndef GOLDEN_MODEL_H
#define GOLDEN_MODEL_H

#include <assay.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_MODELS "tests/golden/models/"
#define GOLDEN_TEXTS 64

static inline json_t *golden_expected(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_MODELS "%s/expected.json", name);
    json_t *expected = json_load_file(path, 0, NULL);
    assert_non_null(expected);
    return expected;
}

static inline assay_text golden_text(const char *string)
{
    return (assay_text){string, strlen(string)};
}

/* The strings of a list; how many there are. */
static inline size_t golden_texts(const json_t *list, assay_text texts[GOLDEN_TEXTS])
{
    size_t count = json_array_size(list);
    assert_true(count > 0 && count <= GOLDEN_TEXTS);
    for (size_t i = 0; i < count; i++)
        texts[i] = golden_text(json_string_value(json_array_get(list, i)));
    return count;
}

static inline assay_model *golden_open_path(const char *path, assay_precision precision)
{
    assay_model *model = NULL;
    assay_error error = {0};
    if (assay_model_open(path, &(assay_model_options){.precision = precision}, &model,
                         &error) != ASSAY_OK)
        fail_msg("%s: %s: %s", path, error.where, error.message);
    return model;
}

static inline assay_model *golden_open_at(const char *name, assay_precision precision)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN_MODELS "%s", name);
    return golden_open_path(path, precision);
}

/* Whether the instruction set in use has instructions for bf16; says so if not. */
static inline bool golden_has_bf16(void)
{
    assay_model *model = NULL;
    assay_error error = {0};
    assay_status status =
        assay_model_open(GOLDEN_MODELS "cross-f32",
                         &(assay_model_options){.precision = ASSAY_PRECISION_BF16}, &model, &error);
    assay_model_close(model);
    if (status == ASSAY_OK)
        return true;
    assert_int_equal(status, ASSAY_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "fp32 or int8"));
    printf("SKIP bf16: %s\n", error.message);
    return false;
}

static inline assay_model *golden_open(const char *name)
{
    return golden_open_at(name, ASSAY_PRECISION_FP32);
}

static inline assay_session *golden_session(assay_model *model, uint32_t threads)
{
    assay_session *session = NULL;
    assay_error error = {0};
    if (assay_session_open(model, &(assay_session_options){.threads = threads}, &session,
                           &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    return session;
}

static inline assay_session *golden_session_for(assay_model *model, assay_role role)
{
    assay_session *session = NULL;
    assert_int_equal(assay_session_open(model, &(assay_session_options){.role = role}, &session,
                                        NULL), ASSAY_OK);
    return session;
}

#endif
