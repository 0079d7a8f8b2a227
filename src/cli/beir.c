/* SPDX-License-Identifier: Apache-2.0 */
/* beir.c: see beir.h. */
#include "cli/beir.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"

static char *joined(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* Names what is there instead of the split that was asked for. */
static int missing_split(const char *folder, const char *path)
{
    char names[256] = "";
    char *qrels = joined(folder, "qrels");
    DIR *listing = qrels ? opendir(qrels) : NULL;
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        size_t length = strlen(entry->d_name), used = strlen(names);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".tsv") == 0)
            snprintf(names + used, sizeof names - used, "%s%.*s", used ? ", " : "",
                     (int)length - 4, entry->d_name);
    }
    if (listing)
        closedir(listing);
    free(qrels);
    if (*names)
        assay_warn("%s: does not exist; --split can be %s", path, names);
    else
        assay_warn("%s: does not exist; a BEIR folder has corpus.jsonl, queries.jsonl and "
                   "qrels/test.tsv", path);
    return ASSAY_EXIT_ERROR;
}

static int read_judgments(assay_beir *beir, const char *split)
{
    assay_error error;
    char name[64];
    snprintf(name, sizeof name, "qrels/%s.tsv", split);
    char *path = joined(beir->folder, name);
    if (!path)
        return assay_report_memory();
    int code = ASSAY_EXIT_OK;
    if (access(path, F_OK) != 0)
        code = missing_split(beir->folder, path);
    else if (assay_qrels_read(path, &beir->qrels, &error) != ASSAY_OK)
        code = assay_report(&error);
    free(path);
    return code;
}

/* What `assay synth` says of queries that it wrote; nothing where it did not. */
static int read_synth(assay_beir *beir, bool named)
{
    json_error_t reason;
    char *path = joined(beir->folder, "synth.json");
    if (!path)
        return assay_report_memory();
    int code = ASSAY_EXIT_OK;
    json_t *root = access(path, F_OK) == 0 ? json_load_file(path, 0, &reason) : json_null();
    const char *collection = json_string_value(json_object_get(root, "collection"));
    if (!root) {
        assay_warn("%s: line %d: %s", path, reason.line, reason.text);
        code = ASSAY_EXIT_ERROR;
    } else if (collection && !named) {
        free(beir->collection);
        beir->collection = strdup(collection);
    }
    const char *kind = json_string_value(json_array_get(json_object_get(root, "kinds"), 0));
    beir->sentences = kind && strcmp(kind, assay_query_kind_name(ASSAY_QUERY_SENTENCE)) == 0;
    json_decref(root);
    free(path);
    return code == ASSAY_EXIT_OK && !beir->collection ? assay_report_memory() : code;
}

/* Only the collection's name comes from where the folder lies. */
int assay_beir_open(const char *folder, const char *collection, const char *split,
                    assay_beir *out)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    char *whole = realpath(folder, NULL);
    if (!whole) {
        assay_warn("%s: %s", folder, strerror(errno));
        return ASSAY_EXIT_ERROR;
    }
    out->folder = strndup(folder, length);
    out->collection = strdup(collection ? collection : strrchr(whole, '/') + 1);
    free(whole);
    if (!out->folder || !out->collection)
        return assay_report_memory();
    int code = read_synth(out, collection != NULL);
    return code == ASSAY_EXIT_OK ? read_judgments(out, split) : code;
}

int assay_beir_queries(assay_beir *beir)
{
    assay_error error;
    char *path = joined(beir->folder, "queries.jsonl");
    if (!path)
        return assay_report_memory();
    int code = ASSAY_EXIT_OK;
    if (assay_queries_read(path, &beir->queries, &error) != ASSAY_OK)
        code = assay_report(&error);
    free(path);
    return code;
}

void assay_beir_close(assay_beir *beir)
{
    assay_queries_free(&beir->queries);
    assay_qrels_free(beir->qrels);
    free(beir->collection);
    free(beir->folder);
    *beir = (assay_beir){0};
}

/* The bi-encoder to make the collection with: a BM25 run on a machine without
 * models needs none. NULL: what the collection has, else the default. */
static const char *model_to_use(const assay_beir *beir, assay_store *store, const char *model,
                                assay_retriever retriever)
{
    char path[4096];
    assay_collection_info info;
    bool exists = assay_collection_describe(store, beir->collection, &info, NULL) == ASSAY_OK;
    if (model || exists || retriever != ASSAY_RETRIEVER_BM25 ||
        assay_model_find("dense", path, sizeof path, NULL) == ASSAY_OK)
        return model;
    assay_warn("the model 'dense' is not there; '%s' is indexed for BM25 only", beir->collection);
    return "none";
}

static bool has_documents(const assay_beir *beir)
{
    char *path = joined(beir->folder, "corpus.jsonl");
    bool found = path && access(path, F_OK) == 0;
    free(path);
    return found;
}

int assay_beir_index(const assay_beir *beir, assay_store *store, const char *model,
                     assay_retriever retriever, uint32_t threads)
{
    assay_error error;
    assay_index_report report;
    assay_bar bar = assay_bar_new(NULL, NULL);
    const assay_index_options options = {
        .model = model_to_use(beir, store, model, retriever),
        .threads = threads,
    };
    const char *folder = beir->folder;
    assay_collection_info info;
    if (!has_documents(beir)) {
        if (assay_collection_describe(store, beir->collection, &info, &error) == ASSAY_OK)
            return ASSAY_EXIT_OK;
        assay_warn("%s: has no corpus.jsonl, and so judges a collection", folder);
        return assay_report(&error);
    }
    assay_status status = assay_index(store, beir->collection, &folder, 1, &options,
                                      assay_bar_update, &bar, &report, &error);
    assay_bar_clear(&bar);
    if (status == ASSAY_E_INTERRUPTED) {
        assay_warn("interrupted; what is indexed is kept, and the same command goes on from "
                   "there");
        return ASSAY_EXIT_INTERRUPTED;
    }
    return status == ASSAY_OK ? ASSAY_EXIT_OK : assay_report(&error);
}
