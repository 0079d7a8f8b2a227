/* SPDX-License-Identifier: Apache-2.0 */
/* vector_choice.c: see vector_choice.h. */
#include "pipeline/vector_choice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

static const char *const names[] = {"auto", "flat", "hnsw", "ivf"};

enum { KINDS = sizeof names / sizeof *names, FILE_LIMIT = 4096 };

const char *assay_vector_index_name(assay_vector_index kind)
{
    return (size_t)kind < KINDS ? names[kind] : "unknown";
}

static assay_status path_of(const assay_store *store, const assay_collection *collection,
                            char path[1024], assay_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "index/%" PRId64 ".json", collection->key);
    return assay_path_join(path, 1024, assay_store_home(store), name, error);
}

/* AUTO where the word is missing or none of the names. */
static assay_vector_index read_kind(const json_t *object)
{
    const char *name = NULL;
    if (assay_json_string(object, "index", "", &name, NULL) == ASSAY_OK && name != NULL)
        for (size_t k = 0; k < KINDS; k++)
            if (strcmp(name, names[k]) == 0)
                return (assay_vector_index)k;
    return ASSAY_VECTORS_AUTO;
}

/* All of it, or nothing. */
static assay_vector_tuning read_tuned(const json_t *object)
{
    uint64_t k = 0, queries = 0, ef = 0, nprobe = 0, vectors = 0;
    double wanted = 0, recall = 0;
    bool fine = assay_json_uint(object, "k", "", 1, UINT32_MAX, &k, NULL) == ASSAY_OK &&
                assay_json_uint(object, "queries", "", 1, UINT32_MAX, &queries, NULL) == ASSAY_OK &&
                assay_json_uint(object, "ef", "", 0, UINT32_MAX, &ef, NULL) == ASSAY_OK &&
                assay_json_uint(object, "nprobe", "", 0, UINT32_MAX, &nprobe, NULL) == ASSAY_OK &&
                assay_json_uint(object, "vectors", "", 0, INT64_MAX, &vectors, NULL) == ASSAY_OK &&
                assay_json_double(object, "wanted", "", 0, 1, &wanted, NULL) == ASSAY_OK &&
                assay_json_double(object, "recall", "", 0, 1, &recall, NULL) == ASSAY_OK;
    if (!fine || k == 0 || queries == 0)
        return (assay_vector_tuning){0};
    return (assay_vector_tuning){
        .kind = read_kind(object),
        .wanted = wanted,
        .recall = recall,
        .k = (uint32_t)k,
        .queries = (uint32_t)queries,
        .ef = (uint32_t)ef,
        .nprobe = (uint32_t)nprobe,
        .vectors = vectors,
    };
}

static assay_status read_note(assay_store *store, const assay_collection *collection,
                              json_t **out)
{
    assay_buffer note;
    assay_buffer_init(&note, FILE_LIMIT);
    assay_status status = assay_store_vector_note_get(store, collection, &note, NULL);
    if (status == ASSAY_OK)
        status = assay_json_parse(note.data, note.length, "", out, NULL);
    assay_buffer_free(&note);
    return status;
}

static assay_status read_json(assay_store *store, const assay_collection *collection,
                              json_t **out)
{
    char path[1024];
    if (assay_store_finds_vectors(store))
        return read_note(store, collection, out);
    ASSAY_TRY(path_of(store, collection, path, NULL));
    return assay_json_read(path, FILE_LIMIT, out, NULL);
}

assay_vector_choice assay_vector_choice_read(assay_store *store,
                                             const assay_collection *collection)
{
    json_t *json;
    const char *codes = NULL;
    assay_vector_choice choice = {0};
    if (read_json(store, collection, &json) != ASSAY_OK)
        return choice;
    choice.kind = read_kind(json);
    if (assay_json_string(json, "codes", "", &codes, NULL) == ASSAY_OK && codes != NULL)
        assay_code_named(codes, &choice.codes);
    choice.tuned = read_tuned(json_object_get(json, "tuned"));
    json_decref(json);
    return choice;
}

assay_status assay_vector_folder_make(const assay_store *store, assay_error *error)
{
    char folder[1024];
    ASSAY_TRY(assay_path_join(folder, sizeof folder, assay_store_home(store), "index", error));
    ASSAY_TRY(assay_folder_make(folder, error));
    if (access(folder, W_OK) != 0)
        return assay_fail_errno(error, errno, folder, "cannot write to");
    return ASSAY_OK;
}

static json_t *json_of(const assay_vector_choice *choice)
{
    const assay_vector_tuning *t = &choice->tuned;
    json_t *json = json_pack("{s:s}", "index", names[choice->kind]);
    if (json != NULL && choice->codes != 0)
        json_object_set_new(json, "codes", json_string(assay_code_name(choice->codes)));
    if (json != NULL && t->kind != ASSAY_VECTORS_AUTO)
        json_object_set_new(json, "tuned",
                            json_pack("{s:s, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "index",
                                      names[t->kind], "wanted", t->wanted, "recall", t->recall,
                                      "k", (json_int_t)t->k, "queries", (json_int_t)t->queries,
                                      "ef", (json_int_t)t->ef, "nprobe",
                                      (json_int_t)t->nprobe, "vectors",
                                      (json_int_t)t->vectors));
    return json;
}

static assay_status write_note(assay_store *store, const assay_collection *collection,
                               const json_t *json, assay_error *error)
{
    char *note = json_dumps(json, JSON_REAL_PRECISION(9));
    if (note == NULL)
        return assay_fail_memory(error, FILE_LIMIT);
    assay_status status = assay_store_vector_note_set(store, collection, note, error);
    free(note);
    return status;
}

static assay_status write_file(const assay_store *store, const assay_collection *collection,
                               const json_t *json, assay_error *error)
{
    char path[1024];
    assay_new_file file;
    ASSAY_TRY(assay_vector_folder_make(store, error));
    ASSAY_TRY(path_of(store, collection, path, error));
    assay_status status = assay_new_file_open(path, &file, error);
    if (status == ASSAY_OK) {
        if (json_dumpf(json, file.stream, JSON_REAL_PRECISION(9)) != 0 ||
            fputc('\n', file.stream) == EOF)
            status = assay_fail_errno(error, errno, path, "cannot write");
        if (status == ASSAY_OK)
            status = assay_new_file_commit(&file, error);
        assay_new_file_abort(&file);
    }
    return status;
}

assay_status assay_vector_choice_write(assay_store *store, const assay_collection *collection,
                                       const assay_vector_choice *choice, assay_error *error)
{
    json_t *json = json_of(choice);
    if (json == NULL)
        return assay_fail_memory(error, FILE_LIMIT);
    assay_status status = assay_store_finds_vectors(store)
                              ? write_note(store, collection, json, error)
                              : write_file(store, collection, json, error);
    json_decref(json);
    return status;
}
