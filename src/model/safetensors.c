/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors.c: the safetensors format (https://github.com/huggingface/safetensors).
 *
 * A file is: u64 little-endian n, n bytes of JSON, data. The JSON maps names to
 * {"dtype", "shape", "data_offsets": [begin, end]} with offsets into the data,
 * and "__metadata__" to strings. As the reference does, this reader refuses a
 * header over 100 MB, a tensor whose size is not shape x dtype, and data with
 * holes, overlaps or bytes that belong to no tensor.
 */
#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"

enum {
    HEADER_LIMIT = 100 * 1000 * 1000,
    SHARD_LIMIT = 1024,
    NAME_LIMIT = 1024,
    DIGEST_SAMPLE = 4096,
};

struct assay_safetensors {
    assay_arena *names;
    assay_mapping *files; /* [file_count] */
    size_t file_count;
    assay_tensor *items; /* [count], by name */
    size_t count;
    uint64_t bytes;
};

static const struct {
    const char *name;
    uint32_t bits;
    assay_dtype dtype;
} dtypes[] = {
    {"F32", 32, ASSAY_DTYPE_F32},      {"F16", 16, ASSAY_DTYPE_F16},
    {"BF16", 16, ASSAY_DTYPE_BF16},    {"I8", 8, ASSAY_DTYPE_I8},
    {"BOOL", 8, ASSAY_DTYPE_OTHER},    {"F4", 4, ASSAY_DTYPE_OTHER},
    {"F6_E2M3", 6, ASSAY_DTYPE_OTHER}, {"F6_E3M2", 6, ASSAY_DTYPE_OTHER},
    {"U8", 8, ASSAY_DTYPE_OTHER},      {"F8_E5M2", 8, ASSAY_DTYPE_OTHER},
    {"F8_E4M3", 8, ASSAY_DTYPE_OTHER}, {"F8_E8M0", 8, ASSAY_DTYPE_OTHER},
    {"I16", 16, ASSAY_DTYPE_OTHER},    {"U16", 16, ASSAY_DTYPE_OTHER},
    {"I32", 32, ASSAY_DTYPE_OTHER},    {"U32", 32, ASSAY_DTYPE_OTHER},
    {"I64", 64, ASSAY_DTYPE_OTHER},    {"U64", 64, ASSAY_DTYPE_OTHER},
    {"F64", 64, ASSAY_DTYPE_OTHER},    {"C64", 64, ASSAY_DTYPE_OTHER},
};

void assay_shape_text(const uint64_t *shape, uint32_t rank, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (uint32_t i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%llu", i > 0 ? "," : "",
                                 (unsigned long long)shape[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
}

/* Puts "file: tensor name" where the error is. */
static assay_status at_tensor(const assay_tensor *tensor, assay_error *error)
{
    char place[300];
    snprintf(place, sizeof place, "tensor %s", tensor->name);
    assay_error_prefix(error, place);
    assay_error_prefix(error, tensor->file);
    return ASSAY_E_FORMAT;
}

static assay_status read_shape(const json_t *shape, assay_tensor *tensor, assay_error *error)
{
    if (!json_is_array(shape) || json_array_size(shape) > ASSAY_TENSOR_RANK)
        return assay_fail(error, ASSAY_E_FORMAT, "shape", "expected a list of at most %d sizes",
                          ASSAY_TENSOR_RANK);
    tensor->rank = (uint32_t)json_array_size(shape);
    tensor->elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return assay_fail(error, ASSAY_E_FORMAT, "shape", "expected whole numbers >= 0");
        tensor->shape[i] = (uint64_t)json_integer_value(size);
        if (__builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements))
            return assay_fail(error, ASSAY_E_FORMAT, "shape",
                              "more elements than 64 bits can count");
    }
    return ASSAY_OK;
}

static assay_status read_dtype(const json_t *dtype, assay_tensor *tensor, uint32_t *bits,
                               assay_error *error)
{
    if (!json_is_string(dtype))
        return assay_fail(error, ASSAY_E_FORMAT, "dtype", "expected a string such as \"F32\"");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(json_string_value(dtype), dtypes[i].name) != 0)
            continue;
        tensor->dtype = dtypes[i].dtype;
        tensor->dtype_name = dtypes[i].name;
        *bits = dtypes[i].bits;
        return ASSAY_OK;
    }
    return assay_fail(error, ASSAY_E_FORMAT, "dtype", "\"%.40s\" is not a type of safetensors",
                      json_string_value(dtype));
}

static assay_status read_offsets(const json_t *offsets, const uint8_t *data, uint64_t size,
                                 uint32_t bits, assay_tensor *tensor, assay_error *error)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return assay_fail(error, ASSAY_E_FORMAT, "data_offsets", "expected [begin, end]");
    uint64_t from = (uint64_t)json_integer_value(begin), to = (uint64_t)json_integer_value(end);
    if (to > size)
        return assay_fail(error, ASSAY_E_FORMAT, "data_offsets",
                          "end %llu lies outside the file's %llu bytes of data",
                          (unsigned long long)to, (unsigned long long)size);
    uint64_t total;
    if (__builtin_mul_overflow(tensor->elements, (uint64_t)bits, &total) || total % 8 != 0 ||
        total / 8 != to - from) {
        char shape[200];
        assay_shape_text(tensor->shape, tensor->rank, shape, sizeof shape);
        return assay_fail(error, ASSAY_E_FORMAT, "data_offsets",
                          "%llu bytes do not hold %s of shape %s",
                          (unsigned long long)(to - from), tensor->dtype_name, shape);
    }
    tensor->data = data + from;
    tensor->bytes = to - from;
    return ASSAY_OK;
}

static assay_status read_tensor(const json_t *entry, const uint8_t *data, uint64_t size,
                                assay_tensor *tensor, assay_error *error)
{
    uint32_t bits = 0;
    assay_status status = ASSAY_OK;
    if (!json_is_object(entry))
        status = assay_fail(error, ASSAY_E_FORMAT, NULL, "expected an object");
    if (status == ASSAY_OK)
        status = read_dtype(json_object_get(entry, "dtype"), tensor, &bits, error);
    if (status == ASSAY_OK)
        status = read_shape(json_object_get(entry, "shape"), tensor, error);
    if (status == ASSAY_OK)
        status = read_offsets(json_object_get(entry, "data_offsets"), data, size, bits, tensor,
                              error);
    return status == ASSAY_OK ? ASSAY_OK : at_tensor(tensor, error);
}

static int by_place(const void *left, const void *right)
{
    const assay_tensor *a = left, *b = right;
    if (a->data != b->data)
        return a->data < b->data ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static int by_name(const void *left, const void *right)
{
    const assay_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* Tensors must lie end to end and fill the data. */
static assay_status check_cover(assay_tensor *items, size_t count, const uint8_t *data,
                                uint64_t size, const char *file, assay_error *error)
{
    qsort(items, count, sizeof *items, by_place);
    const uint8_t *end = data;
    for (size_t i = 0; i < count; i++) {
        if (items[i].data != end) {
            assay_fail(error, ASSAY_E_FORMAT, "data_offsets",
                       "begin %llu, expected %llu: tensors must lie end to end",
                       (unsigned long long)(items[i].data - data),
                       (unsigned long long)(end - data));
            return at_tensor(&items[i], error);
        }
        end += items[i].bytes;
    }
    if ((uint64_t)(end - data) != size)
        return assay_fail(error, ASSAY_E_FORMAT, file,
                          "%llu bytes of data, of which tensors cover %llu",
                          (unsigned long long)size, (unsigned long long)(end - data));
    return ASSAY_OK;
}

static assay_status grow(assay_safetensors *tensors, size_t more, assay_error *error)
{
    size_t bytes = (tensors->count + more + 1) * sizeof *tensors->items;
    assay_tensor *items = realloc(tensors->items, bytes);
    if (items == NULL)
        return assay_fail_memory(error, bytes);
    tensors->items = items;
    return ASSAY_OK;
}

/* Appends the tensors of one parsed header. */
static assay_status add_header(assay_safetensors *tensors, json_t *header, const uint8_t *data,
                               uint64_t size, const char *file, assay_error *error)
{
    if (!json_is_object(header))
        return assay_fail(error, ASSAY_E_FORMAT, file, "the header is not a JSON object");
    ASSAY_TRY(grow(tensors, json_object_size(header), error));
    assay_tensor *added = tensors->items + tensors->count;
    size_t count = 0;
    const char *name;
    json_t *entry;
    json_object_foreach (header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        size_t length = strlen(name);
        if (length > NAME_LIMIT)
            return assay_fail(error, ASSAY_E_LIMIT, file,
                              "a tensor's name has %zu bytes, the limit is %d", length,
                              NAME_LIMIT);
        assay_tensor tensor = {.name = assay_arena_copy(tensors->names, name, length),
                               .file = file};
        if (tensor.name == NULL)
            return assay_fail_memory(error, length + 1);
        ASSAY_TRY(read_tensor(entry, data, size, &tensor, error));
        added[count++] = tensor;
    }
    ASSAY_TRY(check_cover(added, count, data, size, file, error));
    tensors->count += count;
    return ASSAY_OK;
}

static assay_status add_file(assay_safetensors *tensors, const uint8_t *data, size_t size,
                             const char *file, assay_error *error)
{
    uint64_t length = 0;
    if (size < 8)
        return assay_fail(error, ASSAY_E_FORMAT, file,
                          "%zu bytes, too short for a safetensors file", size);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | data[i];
    if (length > HEADER_LIMIT)
        return assay_fail(error, ASSAY_E_LIMIT, file,
                          "a header of %llu bytes, the limit is %d: not a safetensors file?",
                          (unsigned long long)length, HEADER_LIMIT);
    if (length > size - 8)
        return assay_fail(error, ASSAY_E_FORMAT, file,
                          "a header of %llu bytes in a file of %zu: the file is cut off",
                          (unsigned long long)length, size);
    file = assay_arena_copy(tensors->names, file, strlen(file));
    if (file == NULL)
        return assay_fail_memory(error, 1);
    json_t *header;
    ASSAY_TRY(assay_json_parse((const char *)data + 8, length, file, &header, error));
    assay_status status =
        add_header(tensors, header, data + 8 + length, size - 8 - length, file, error);
    json_decref(header);
    if (status == ASSAY_OK)
        tensors->bytes += size;
    return status;
}

static assay_status map_file(assay_safetensors *tensors, const char *folder, const char *name,
                             assay_error *error)
{
    char path[4096];
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, name, error));
    size_t bytes = (tensors->file_count + 1) * sizeof *tensors->files;
    assay_mapping *files = realloc(tensors->files, bytes);
    if (files == NULL)
        return assay_fail_memory(error, bytes);
    tensors->files = files;
    assay_mapping *mapping = &files[tensors->file_count];
    ASSAY_TRY(assay_map_open(path, mapping, error));
    tensors->file_count++;
    return add_file(tensors, mapping->data, mapping->size, path, error);
}

/* Sorts, and refuses a name that stands in two shards. */
static assay_status finish(assay_safetensors *tensors, assay_error *error)
{
    if (tensors->count == 0)
        return ASSAY_OK;
    qsort(tensors->items, tensors->count, sizeof *tensors->items, by_name);
    for (size_t i = 1; i < tensors->count; i++) {
        if (strcmp(tensors->items[i - 1].name, tensors->items[i].name) != 0)
            continue;
        assay_fail(error, ASSAY_E_FORMAT, NULL, "also in %s", tensors->items[i - 1].file);
        return at_tensor(&tensors->items[i], error);
    }
    return ASSAY_OK;
}

static assay_status index_fail(const char *path, assay_error *error, const char *name,
                               const char *reason)
{
    assay_fail(error, ASSAY_E_FORMAT, path, "weight_map: \"%.200s\": %s", name, reason);
    return ASSAY_E_FORMAT;
}

/* Maps every file that the index names, each once. */
static assay_status map_shards(assay_safetensors *tensors, const char *folder, const char *path,
                               const json_t *map, assay_error *error)
{
    json_t *seen = json_object();
    assay_status status = seen != NULL ? ASSAY_OK : assay_fail_memory(error, 64);
    const char *name;
    json_t *file;
    json_object_foreach ((json_t *)(uintptr_t)map, name, file) {
        if (status != ASSAY_OK)
            break;
        const char *shard = json_string_value(file);
        if (shard == NULL || shard[0] == '\0' || shard[0] == '.' || strchr(shard, '/') != NULL)
            status = index_fail(path, error, name, "expected the name of a file beside it");
        else if (json_object_get(seen, shard) != NULL)
            continue;
        else if (json_object_size(seen) >= SHARD_LIMIT)
            status = index_fail(path, error, name, "more than 1024 files");
        else if (json_object_set_new(seen, shard, json_true()) != 0)
            status = assay_fail_memory(error, strlen(shard));
        else
            status = map_file(tensors, folder, shard, error);
    }
    json_decref(seen);
    return status;
}

static assay_status open_shards(assay_safetensors *tensors, const char *folder,
                                const char *path, assay_error *error)
{
    json_t *index;
    ASSAY_TRY(assay_json_read(path, HEADER_LIMIT, &index, error));
    const json_t *map = json_object_get(index, "weight_map");
    assay_status status =
        json_is_object(map)
            ? map_shards(tensors, folder, path, map, error)
            : assay_fail(error, ASSAY_E_FORMAT, path, "weight_map: expected an object");
    if (status == ASSAY_OK)
        status = finish(tensors, error);
    const char *name;
    json_t *file;
    json_object_foreach ((json_t *)(uintptr_t)map, name, file) {
        if (status != ASSAY_OK)
            break;
        const assay_tensor *tensor = assay_safetensors_find(tensors, name);
        if (tensor == NULL ||
            strcmp(assay_path_name(tensor->file), json_string_value(file)) != 0)
            status = index_fail(path, error, name, "not in the file that the index names");
    }
    json_decref(index);
    return status;
}

/* What to say of a folder without safetensors. */
static assay_status no_weights(const char *folder, assay_error *error)
{
    static const char *const others[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                         "tf_model.h5", "flax_model.msgpack"};
    char path[4096];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ASSAY_TRY(assay_path_join(path, sizeof path, folder, others[i], error));
        if (assay_is_file(path))
            return assay_fail(error, ASSAY_E_UNSUPPORTED, path,
                              "weights of this kind are not read: convert them to safetensors "
                              "(in Python: AutoModel.from_pretrained(folder)"
                              ".save_pretrained(folder, safe_serialization=True))");
    }
    return assay_fail(error, ASSAY_E_NOT_FOUND, folder,
                      "no weights: expected model.safetensors or model.safetensors.index.json");
}

static assay_status tensors_new(assay_safetensors **out, assay_error *error)
{
    assay_safetensors *tensors = calloc(1, sizeof *tensors);
    if (tensors == NULL)
        return assay_fail_memory(error, sizeof *tensors);
    tensors->names = assay_arena_new(0);
    if (tensors->names == NULL) {
        free(tensors);
        return assay_fail_memory(error, sizeof *tensors);
    }
    *out = tensors;
    return ASSAY_OK;
}

assay_status assay_safetensors_open(const char *folder, assay_safetensors **out,
                                    assay_error *error)
{
    char single[4096], index[4096];
    ASSAY_TRY(assay_path_join(single, sizeof single, folder, "model.safetensors", error));
    ASSAY_TRY(
        assay_path_join(index, sizeof index, folder, "model.safetensors.index.json", error));
    bool sharded = !assay_is_file(single);
    if (sharded && !assay_is_file(index))
        return no_weights(folder, error);
    assay_safetensors *tensors;
    ASSAY_TRY(tensors_new(&tensors, error));
    assay_status status;
    if (sharded) {
        status = open_shards(tensors, folder, index, error);
    } else {
        status = map_file(tensors, folder, "model.safetensors", error);
        if (status == ASSAY_OK)
            status = finish(tensors, error);
    }
    if (status != ASSAY_OK) {
        assay_safetensors_close(tensors);
        return status;
    }
    *out = tensors;
    return ASSAY_OK;
}

assay_status assay_safetensors_parse(const uint8_t *data, size_t size, const char *file,
                                     assay_safetensors **out, assay_error *error)
{
    assay_safetensors *tensors;
    ASSAY_TRY(tensors_new(&tensors, error));
    assay_status status = add_file(tensors, data, size, file, error);
    if (status == ASSAY_OK)
        status = finish(tensors, error);
    if (status != ASSAY_OK) {
        assay_safetensors_close(tensors);
        return status;
    }
    *out = tensors;
    return ASSAY_OK;
}

void assay_safetensors_close(assay_safetensors *tensors)
{
    if (tensors == NULL)
        return;
    for (size_t i = 0; i < tensors->file_count; i++)
        assay_map_close(&tensors->files[i]);
    free(tensors->files);
    free(tensors->items);
    assay_arena_free(tensors->names);
    free(tensors);
}

size_t assay_safetensors_count(const assay_safetensors *tensors)
{
    return tensors->count;
}

const assay_tensor *assay_safetensors_at(const assay_safetensors *tensors, size_t i)
{
    return &tensors->items[i];
}

const assay_tensor *assay_safetensors_find(const assay_safetensors *tensors, const char *name)
{
    if (tensors->count == 0)
        return NULL;
    assay_tensor key = {.name = name};
    return bsearch(&key, tensors->items, tensors->count, sizeof key, by_name);
}

uint64_t assay_safetensors_bytes(const assay_safetensors *tensors)
{
    return tensors->bytes;
}

void assay_safetensors_digest(const assay_safetensors *tensors, assay_hasher *hasher)
{
    for (size_t i = 0; i < tensors->count; i++) {
        const assay_tensor *tensor = &tensors->items[i];
        assay_hasher_add(hasher, tensor->name, strlen(tensor->name));
        assay_hasher_add(hasher, tensor->dtype_name, strlen(tensor->dtype_name));
        for (uint32_t j = 0; j < tensor->rank; j++) {
            uint8_t size[8];
            for (int k = 0; k < 8; k++)
                size[k] = (uint8_t)(tensor->shape[j] >> (8 * k));
            assay_hasher_add(hasher, size, sizeof size);
        }
        assay_hasher_add(hasher, tensor->data,
                         tensor->bytes < DIGEST_SAMPLE ? tensor->bytes : DIGEST_SAMPLE);
    }
}

void assay_safetensors_forget(const assay_safetensors *tensors)
{
    for (size_t i = 0; i < tensors->file_count; i++)
        if (tensors->files[i].data != NULL)
            madvise((void *)(uintptr_t)tensors->files[i].data, tensors->files[i].size,
                    MADV_DONTNEED);
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), size = strlen(end);
    return length >= size && strcmp(name + length - size, end) == 0;
}

bool assay_is_weights_file(const char *name)
{
    static const char *const ends[] = {".safetensors", ".index.json", ".bin", ".h5",  ".msgpack",
                                       ".onnx",        ".onnx_data",  ".ot",  ".pt",  ".pth",
                                       ".ckpt",        ".gguf",       ".tflite"};
    static const char *const folders[] = {"onnx/", "openvino/", "coreml/"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return true;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(name, folders[i], strlen(folders[i])) == 0)
            return true;
    return false;
}
