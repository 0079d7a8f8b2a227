/* SPDX-License-Identifier: Apache-2.0 */
/* test_safetensors.c: what the reader takes and, mostly, what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "model/safetensors.h"

/* A file of a header and `data` zero bytes in a block of exactly its size, so
 * that a sanitizer sees every read past it. */
static uint8_t *file_of(const char *header, size_t data, size_t *size)
{
    size_t length = strlen(header);
    *size = 8 + length + data;
    uint8_t *bytes = calloc(1, *size);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    return bytes;
}

static void good_file_is_read(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = file_of("{\"__metadata__\":{\"format\":\"pt\"},"
                             "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
                             "\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                             "\"none\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[8,8]},"
                             "\"one\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[20,21]}}  ",
                             21, &size);
    assay_safetensors *tensors;
    assay_error error;
    assert_int_equal(assay_safetensors_parse(bytes, size, "f", &tensors, &error), ASSAY_OK);
    assert_int_equal(assay_safetensors_count(tensors), 4);
    const assay_tensor *b = assay_safetensors_find(tensors, "b");
    assert_non_null(b);
    assert_int_equal(b->dtype, ASSAY_DTYPE_F16);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->elements, 6);
    assert_ptr_equal(b->data, bytes + size - 21 + 8);
    assert_int_equal(assay_safetensors_find(tensors, "a")->dtype, ASSAY_DTYPE_OTHER);
    assert_int_equal(assay_safetensors_find(tensors, "none")->elements, 0);
    assert_int_equal(assay_safetensors_find(tensors, "one")->elements, 1);
    assert_null(assay_safetensors_find(tensors, "c"));
    assert_string_equal(assay_safetensors_at(tensors, 0)->name, "a");
    assay_safetensors_close(tensors);
    free(bytes);
}

static void refuses(const char *header, size_t data, assay_status status, const char *named)
{
    size_t size;
    uint8_t *bytes = file_of(header, data, &size);
    assay_safetensors *tensors = NULL;
    assay_error error = {0};
    assay_status found = assay_safetensors_parse(bytes, size, "bad.safetensors", &tensors, &error);
    char all[800];
    snprintf(all, sizeof all, "%s: %s", error.where, error.message);
    if (found != status || strstr(all, named) == NULL ||
        strstr(all, "bad.safetensors") == NULL)
        fail_msg("%s\ngave status %d, \"%s\"; expected %d, \"%s\"", header, found, all, status,
                 named);
    assert_null(tensors);
    free(bytes);
}

#define TENSOR(dtype, shape, begin, end)                                                  \
    "\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    refuses("", 0, ASSAY_E_FORMAT, "not JSON");
    refuses("[]", 0, ASSAY_E_FORMAT, "not a JSON object");
    refuses("{\"t\":", 0, ASSAY_E_FORMAT, "line 1");
    refuses("{\"t\":[]}", 0, ASSAY_E_FORMAT, "tensor t");
    refuses("{\"t\":{}}", 0, ASSAY_E_FORMAT, "dtype");
    refuses("{" TENSOR("\"F33\"", "[1]", "0", "4") "}", 4, ASSAY_E_FORMAT, "F33");
    refuses("{" TENSOR("7", "[1]", "0", "4") "}", 4, ASSAY_E_FORMAT, "dtype");
    refuses("{" TENSOR("\"F32\"", "3", "0", "4") "}", 4, ASSAY_E_FORMAT, "shape");
    refuses("{" TENSOR("\"F32\"", "[-1]", "0", "4") "}", 4, ASSAY_E_FORMAT, "shape");
    refuses("{" TENSOR("\"F32\"", "[1.5]", "0", "4") "}", 4, ASSAY_E_FORMAT, "shape");
    refuses("{" TENSOR("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, ASSAY_E_FORMAT,
            "shape");
    refuses("{" TENSOR("\"F32\"", "[4294967296,4294967296]", "0", "4") "}", 4, ASSAY_E_FORMAT,
            "shape");
    refuses("{" TENSOR("\"F32\"", "[4611686018427387904]", "0", "0") "}", 0, ASSAY_E_FORMAT,
            "data_offsets");
    refuses("{" TENSOR("\"F32\"", "[1]", "0", "8") "}", 8, ASSAY_E_FORMAT, "data_offsets");
    refuses("{" TENSOR("\"F4\"", "[3]", "0", "1") "}", 1, ASSAY_E_FORMAT, "data_offsets");
    refuses("{" TENSOR("\"F32\"", "[1]", "4", "8") "}", 4, ASSAY_E_FORMAT, "outside");
    refuses("{" TENSOR("\"F32\"", "[1]", "8", "4") "}", 8, ASSAY_E_FORMAT, "data_offsets");
    refuses("{" TENSOR("\"F32\"", "[1]", "-4", "0") "}", 8, ASSAY_E_FORMAT, "data_offsets");
    refuses("{" TENSOR("\"F32\"", "[1]", "4", "8") "}", 8, ASSAY_E_FORMAT, "end to end");
    refuses("{" TENSOR("\"F32\"", "[1]", "0", "4") "}", 9, ASSAY_E_FORMAT, "cover 4");
    refuses("{" TENSOR("\"F32\"", "[1]", "0", "4") "," TENSOR("\"F32\"", "[1]", "4", "8") "}", 8,
            ASSAY_E_FORMAT, "duplicate");
    refuses("{" TENSOR("\"F32\"", "[1]", "0", "4") ",\"u\":{\"dtype\":\"F32\",\"shape\":[1],"
            "\"data_offsets\":[0,4]}}", 4, ASSAY_E_FORMAT, "end to end");
    refuses("{" TENSOR("\"F32\"", "[1]", "0", "99999999999999999999") "}", 4, ASSAY_E_FORMAT,
            "not JSON");
    refuses("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, ASSAY_E_FORMAT,
            "data_offsets");
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t size;
        assay_status status;
        const char *named;
    } cases[] = {
        {{0}, 0, ASSAY_E_FORMAT, "too short"},
        {{0}, 7, ASSAY_E_FORMAT, "too short"},
        {{5, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, ASSAY_E_FORMAT, "cut off"},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{'}, 9, ASSAY_E_LIMIT, "limit"},
        {{0, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{'}, 9, ASSAY_E_FORMAT, "cut off"}, /* 10^8 */
        {{1, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{'}, 9, ASSAY_E_LIMIT, "limit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_safetensors *tensors;
        assay_error error;
        uint8_t *exact = malloc(cases[i].size + (cases[i].size == 0));
        memcpy(exact, cases[i].bytes, cases[i].size);
        assert_int_equal(
            assay_safetensors_parse(exact, cases[i].size, "bad", &tensors, &error),
            cases[i].status);
        assert_non_null(strstr(error.message, cases[i].named));
        free(exact);
    }
}

/* ---- Folders ---------------------------------------------------------------- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/assay-safetensors-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void put(const char *name, const void *data, size_t size)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void put_tensor(const char *file, const char *tensor)
{
    char header[200];
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", tensor);
    size_t size;
    uint8_t *bytes = file_of(header, 8, &size);
    put(file, bytes, size);
    free(bytes);
}

static assay_status open_it(assay_error *error)
{
    assay_safetensors *tensors;
    assay_status status = assay_safetensors_open(folder, &tensors, error);
    if (status == ASSAY_OK)
        assay_safetensors_close(tensors);
    return status;
}

static void index_is(const char *text, assay_status status, const char *named)
{
    assay_error error = {0};
    put("model.safetensors.index.json", text, strlen(text));
    assert_int_equal(open_it(&error), status);
    if (named != NULL && strstr(error.message, named) == NULL &&
        strstr(error.where, named) == NULL)
        fail_msg("%s: %s: %s does not name %s", text, error.where, error.message, named);
}

static void shards_are_joined_and_checked(void **state)
{
    (void)state;
    put_tensor("one.safetensors", "a");
    put_tensor("two.safetensors", "b");
    put_tensor("again.safetensors", "a");
    index_is("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", ASSAY_OK,
             NULL);
    index_is("{}", ASSAY_E_FORMAT, "weight_map");
    index_is("{\"weight_map\":{\"a\":7}}", ASSAY_E_FORMAT, "\"a\"");
    index_is("{\"weight_map\":{\"a\":\"../one.safetensors\"}}", ASSAY_E_FORMAT, "\"a\"");
    index_is("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ASSAY_E_FORMAT, "\"a\"");
    index_is("{\"weight_map\":{\"a\":\"three.safetensors\"}}", ASSAY_E_NOT_FOUND, "three");
    index_is("{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}",
             ASSAY_E_FORMAT, "\"c\"");
    index_is("{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}",
             ASSAY_E_FORMAT, "index names");
    index_is("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"again.safetensors\"}}",
             ASSAY_E_FORMAT, "also in");
}

static void folders_without_weights_say_so(void **state)
{
    (void)state;
    assay_error error;
    assert_int_equal(open_it(&error), ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "model.safetensors"));
    put("pytorch_model.bin", "x", 1);
    assert_int_equal(open_it(&error), ASSAY_E_UNSUPPORTED);
    assert_non_null(strstr(error.where, "pytorch_model.bin"));
    assert_non_null(strstr(error.message, "convert"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file_is_read),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test_setup_teardown(shards_are_joined_and_checked, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(folders_without_weights_say_so, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
