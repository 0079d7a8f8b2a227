/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_listing.c: which files of a repository assay needs, after the Hugging Face
 * hub's model API. Of the weights, safetensors are taken: model.safetensors, else
 * its shards, else whatever else there is; other formats (pickle, ONNX) never.
 */
#include "model/hub.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { MOST_FILES = 100000 };

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool assay_hub_safe_name(const char *name)
{
    if (strlen(name) >= ASSAY_HUB_NAME || ends_with(name, "/"))
        return false;
    for (const char *part = name; part != NULL;) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        for (size_t i = 0; i < length; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == 0x7F || part[i] == '\\')
                return false;
        part = part[length] == '/' ? part + length + 1 : NULL;
    }
    return true;
}

/* "1_Pooling/x" gives "x": the folder of a sentence-transformers module. A file
 * in any other folder gives NULL; one at the top gives itself. */
static const char *name_in_module(const char *name)
{
    const char *slash = strchr(name, '/');
    if (slash == NULL)
        return name;
    const char *at = name;
    while (isdigit((unsigned char)*at))
        at++;
    if (at == name || *at != '_' || strchr(slash + 1, '/') != NULL)
        return NULL;
    return slash + 1;
}

static bool is_weights(const char *name)
{
    const char *file = name_in_module(name);
    return file != NULL && ends_with(file, ".safetensors");
}

static bool is_needed(const char *name)
{
    static const char *const needed[] = {
        "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
        "special_tokens_map.json", "modules.json", "sentence_bert_config.json",
        "config_sentence_transformers.json", "model.safetensors.index.json",
    };
    const char *file = name_in_module(name);
    for (size_t i = 0; file != NULL && i < sizeof needed / sizeof *needed; i++)
        if (strcmp(file, needed[i]) == 0)
            return true;
    return is_weights(name);
}

/* ------------------------------------------------------------ reading JSON */

static assay_status field_error(assay_error *error, const char *repository, const char *field,
                                const char *expected)
{
    assay_fail(error, ASSAY_E_FORMAT, field, "the hub's answer: expected %s", expected);
    assay_error_prefix(error, repository);
    return ASSAY_E_FORMAT;
}

/* Copies a lower-case hex string of exactly `length` digits; else leaves "". */
static void take_hex(const json_t *value, size_t length, char *hex)
{
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != length ||
        strspn(text, "0123456789abcdef") != length)
        return;
    memcpy(hex, text, length + 1);
}

static void take_size(const json_t *value, uint64_t *size)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        *size = (uint64_t)json_integer_value(value);
}

static void take_file(const json_t *sibling, const char *name, assay_hub_file *file)
{
    *file = (assay_hub_file){.size = UINT64_MAX};
    memcpy(file->name, name, strlen(name) + 1);
    take_size(json_object_get(sibling, "size"), &file->size);
    const json_t *lfs = json_object_get(sibling, "lfs");
    if (json_is_object(lfs)) {
        /* blobId is then that of the pointer, not of the content. */
        take_size(json_object_get(lfs, "size"), &file->size);
        take_hex(json_object_get(lfs, "sha256"), 64, file->sha256);
    } else {
        take_hex(json_object_get(sibling, "blobId"), 40, file->blob);
    }
}

static assay_status take_siblings(const json_t *siblings, const char *repository,
                                  assay_hub_listing *listing, assay_error *error)
{
    size_t i;
    const json_t *sibling;
    json_array_foreach (siblings, i, sibling) {
        const char *name = json_string_value(json_object_get(sibling, "rfilename"));
        if (name == NULL)
            return field_error(error, repository, "siblings",
                               "objects with a string rfilename");
        if (!assay_hub_safe_name(name))
            return assay_fail(error, ASSAY_E_FORMAT, repository,
                              "the hub lists a file \"%.100s\", whose name is not safe: expected "
                              "a relative path without \"..\"",
                              name);
        if (is_needed(name))
            take_file(sibling, name, &listing->files[listing->count++]);
    }
    return ASSAY_OK;
}

static assay_status take_revision(const json_t *answer, const char *repository,
                                  const char *asked, assay_hub_listing *listing,
                                  assay_error *error)
{
    const char *sha = NULL;
    ASSAY_TRY(assay_json_string(answer, "sha", repository, &sha, error));
    if (sha == NULL)
        sha = asked;
    else if (strlen(sha) < 7 || strlen(sha) > 64 ||
             strspn(sha, "0123456789abcdef") != strlen(sha))
        return field_error(error, repository, "sha", "a commit in hexadecimal");
    snprintf(listing->revision, sizeof listing->revision, "%s", sha);
    return ASSAY_OK;
}

/* ----------------------------------------------------------- what is taken */

static bool is_shard(const char *name)
{
    const char *file = name_in_module(name);
    return file != NULL && strncmp(file, "model-", 6) == 0 && strstr(file, "-of-") != NULL;
}

static bool has_file(const assay_hub_listing *listing, const char *name)
{
    for (size_t i = 0; i < listing->count; i++)
        if (strcmp(listing->files[i].name, name) == 0)
            return true;
    return false;
}

/* Leaves out copies of the weights at the top that the model does not need. */
static void drop_copies(assay_hub_listing *listing)
{
    bool whole = has_file(listing, "model.safetensors");
    bool shards = !whole && has_file(listing, "model.safetensors.index.json");
    size_t kept = 0;
    for (size_t i = 0; i < listing->count; i++) {
        const char *name = listing->files[i].name;
        bool top = strchr(name, '/') == NULL;
        bool copy = top && ((whole && is_weights(name) && strcmp(name, "model.safetensors") != 0) ||
                            (whole && strcmp(name, "model.safetensors.index.json") == 0) ||
                            (shards && is_weights(name) && !is_shard(name)));
        if (!copy)
            listing->files[kept++] = listing->files[i];
    }
    listing->count = kept;
}

static assay_status check_complete(const assay_hub_listing *listing, const json_t *siblings,
                                   const char *repository, assay_error *error)
{
    bool weights = false, config = false;
    for (size_t i = 0; i < listing->count; i++) {
        const char *file = name_in_module(listing->files[i].name);
        weights = weights || is_weights(listing->files[i].name);
        config = config || (file != NULL && strcmp(file, "config.json") == 0);
    }
    if (json_array_size(siblings) == 0)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, repository, "the repository is empty");
    if (!weights)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, repository,
                          "no .safetensors among its %zu files; assay reads no other weights "
                          "(pytorch_model.bin, ONNX): choose a revision or a copy that has them",
                          json_array_size(siblings));
    if (!config)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, repository,
                          "no config.json among its files: not a transformers model");
    return ASSAY_OK;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const assay_hub_file *)a)->name, ((const assay_hub_file *)b)->name);
}

/* Sorts, and refuses a name that is there twice. */
static assay_status sort_files(assay_hub_listing *listing, const char *repository,
                               assay_error *error)
{
    qsort(listing->files, listing->count, sizeof *listing->files, compare_files);
    for (size_t i = 1; i < listing->count; i++)
        if (strcmp(listing->files[i - 1].name, listing->files[i].name) == 0)
            return assay_fail(error, ASSAY_E_FORMAT, repository,
                              "the hub lists %s twice; expected once", listing->files[i].name);
    return ASSAY_OK;
}

static assay_status take_answer(const json_t *answer, const char *repository, const char *asked,
                                assay_hub_listing *listing, assay_error *error)
{
    const json_t *siblings = json_object_get(answer, "siblings");
    if (!json_is_array(siblings) || json_array_size(siblings) > MOST_FILES)
        return field_error(error, repository, "siblings", "a list of at most 100000 files");
    listing->files = calloc(json_array_size(siblings) + 1, sizeof *listing->files);
    if (listing->files == NULL)
        return assay_fail_memory(error, json_array_size(siblings) * sizeof *listing->files);
    ASSAY_TRY(take_revision(answer, repository, asked, listing, error));
    ASSAY_TRY(take_siblings(siblings, repository, listing, error));
    drop_copies(listing);
    ASSAY_TRY(check_complete(listing, siblings, repository, error));
    return sort_files(listing, repository, error);
}

assay_status assay_hub_listing_parse(const char *data, size_t length, const char *repository,
                                     const char *asked, assay_hub_listing *out,
                                     assay_error *error)
{
    json_t *answer;
    assay_hub_listing listing = {0};
    ASSAY_TRY(assay_json_parse(data, length, repository, &answer, error));
    assay_status status = take_answer(answer, repository, asked, &listing, error);
    json_decref(answer);
    if (status != ASSAY_OK) {
        assay_hub_listing_free(&listing);
        return status;
    }
    *out = listing;
    return ASSAY_OK;
}

void assay_hub_listing_free(assay_hub_listing *listing)
{
    free(listing->files);
    *listing = (assay_hub_listing){0};
}
