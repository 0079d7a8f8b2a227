/* SPDX-License-Identifier: Apache-2.0 */
/* verb_info.c: `assay info`, what there is: collections, models, this program. */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

typedef struct info_settings {
    assay_common common;
    const char *collection;
    uint32_t precision;
} info_settings;

/* One thing told: as a JSON member, or as "name  value". */
typedef struct teller {
    assay_answer *answer; /* NULL: for people */
    json_t *object;
} teller;

static void tell_text(const teller *t, const char *name, const char *value)
{
    if (t->answer) {
        assay_answer_set(t->answer, t->object, name, assay_json_name(value));
    } else if (*value) {
        printf("%-22s", name);
        assay_print_text(stdout, value, strlen(value));
        putchar('\n');
    }
}

static void tell_count(const teller *t, const char *name, uint64_t value)
{
    char digits[32];
    if (t->answer)
        assay_answer_set(t->answer, t->object, name, assay_json_count(value));
    else
        printf("%-22s%s\n", name, assay_print_count(digits, value));
}

static void tell_bool(const teller *t, const char *name, bool value)
{
    if (t->answer)
        assay_answer_set(t->answer, t->object, name, json_boolean(value));
    else
        printf("%-22s%s\n", name, value ? "yes" : "no");
}

/* ------------------------------------------------------------------ models */

static void tell_model(const teller *t, const assay_model_info *info)
{
    bool embeds = info->kind == ASSAY_MODEL_BI_ENCODER;
    tell_text(t, "name", info->name);
    tell_text(t, "path", info->path);
    tell_text(t, "kind", assay_kind_name(info->kind));
    tell_text(t, "architecture", info->architecture);
    tell_count(t, "layers", info->layers);
    tell_count(t, "hidden", info->hidden);
    tell_count(t, "heads", info->heads);
    tell_count(t, "intermediate", info->intermediate);
    tell_count(t, "vocabulary", info->vocabulary);
    tell_count(t, "max_tokens", info->max_tokens);
    if (info->query_words > 0)
        tell_count(t, "query_words", info->query_words);
    if (info->split > 0)
        tell_count(t, "split", info->split);
    if (info->query_tokens > 0) {
        tell_count(t, "query_tokens", info->query_tokens);
        tell_bool(t, "query_filled", info->query_filled);
    }
    if (info->dimensions > 0)
        tell_count(t, "dimensions", info->dimensions);
    if (embeds) {
        tell_text(t, "pooling", info->pooling);
        tell_bool(t, "normalized", info->normalized);
        tell_text(t, "query_prompt", info->query_prompt);
        tell_text(t, "passage_prompt", info->passage_prompt);
    }
    tell_count(t, "parameters", info->parameters);
    tell_count(t, "file_bytes", info->file_bytes);
    tell_text(t, "stored", info->stored);
    tell_text(t, "precision", info->precision);
    if (*info->notice)
        tell_text(t, "notice", info->notice);
    tell_text(t, "digest", info->digest);
}

static int describe_model(const char *name, assay_precision precision, bool json)
{
    assay_error error;
    assay_model *model;
    assay_model_info info;
    const assay_model_options options = {.precision = precision};
    if (assay_model_open(name, &options, &model, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_model_describe(model, &info);
    assay_model_close(model);
    assay_answer answer = json ? assay_answer_new() : (assay_answer){0};
    const teller t = {json ? &answer : NULL, answer.root};
    tell_model(&t, &info);
    return json ? assay_answer_print(&answer) : ASSAY_EXIT_OK;
}

/* ------------------------------------------------------------- collections */

static void tell_collection(const teller *t, const assay_collection_info *info)
{
    tell_text(t, "name", info->name);
    tell_text(t, "model", info->model);
    tell_text(t, "model_digest", info->model_digest);
    tell_count(t, "documents", info->documents);
    tell_count(t, "passages", info->passages);
    tell_count(t, "vectors", info->vectors);
    tell_count(t, "tokenized", info->tokenized);
    tell_count(t, "dimensions", info->dimensions);
    tell_count(t, "truncated", info->truncated);
    if (*info->late_model) {
        tell_text(t, "late_model", info->late_model);
        tell_count(t, "late_vectors", info->late_vectors);
        tell_count(t, "late_bytes", info->late_bytes);
        tell_text(t, "late_codes", assay_late_codes_name(info->late_codes));
        tell_count(t, "late_pool", info->late_pool);
    }
    tell_count(t, "text_bytes", info->text_bytes);
    tell_count(t, "word_index_bytes", info->word_index_bytes);
    if (info->word_index_bytes > 0)
        tell_bool(t, "word_index_used", info->word_index_current);
    tell_count(t, "passage_tokens", info->passage_tokens);
    tell_count(t, "overlap_tokens", info->overlap_tokens);
    tell_text(t, "created", info->created);
    tell_text(t, "changed", info->changed);
}

/* How much of the exact answer the index was found to find. */
static void tell_recall(const teller *t, const assay_vector_tuning *tuned)
{
    if (tuned->kind == ASSAY_VECTORS_AUTO) {
        if (!t->answer)
            printf("%-22snot measured; 'assay index --tune recall=0.95' does that\n",
                   "vector_recall");
        return;
    }
    if (t->answer) {
        assay_answer_tuning(t->answer, t->object, tuned);
        return;
    }
    char digits[32];
    printf("%-22s%.1f%% of the %u nearest", "vector_recall", 100 * tuned->recall, tuned->k);
    if (tuned->nprobe > 0)
        printf(" at nprobe %u", tuned->nprobe);
    if (tuned->ef > 0)
        printf(" %s ef %u", tuned->nprobe > 0 ? "and" : "at", tuned->ef);
    printf(", by %u queries over %s vectors; %g%% were wanted\n", tuned->queries,
           assay_print_count(digits, tuned->vectors), 100 * tuned->wanted);
}

/* How the collection's vectors are searched. */
static void tell_index(const teller *t, const assay_vector_index_info *info)
{
    tell_text(t, "vector_index", info->kind == ASSAY_VECTORS_AUTO
                                     ? "none yet" : assay_vector_index_name(info->kind));
    tell_text(t, "vector_index_wanted", assay_vector_index_name(info->wanted));
    tell_bool(t, "vector_index_current", info->current);
    tell_count(t, "vector_index_bytes", info->file_bytes);
    if (info->kind == ASSAY_VECTORS_AUTO)
        return;
    tell_recall(t, &info->tuned);
    tell_count(t, "vector_index_memory", info->memory_bytes);
    if (info->kind == ASSAY_VECTORS_IVF) {
        tell_count(t, "ivf_lists", info->lists);
        tell_count(t, "ivf_longest", info->longest);
        tell_text(t, "ivf_codes", info->codes);
        tell_count(t, "ivf_code_bytes", info->code_bytes);
    }
    if (info->kind != ASSAY_VECTORS_HNSW)
        return;
    tell_count(t, "hnsw_m", info->m);
    tell_count(t, "hnsw_ef_construction", info->ef_construction);
    tell_text(t, "hnsw_codes", info->codes);
    tell_count(t, "hnsw_graph_bytes", info->graph_bytes);
    tell_count(t, "hnsw_code_bytes", info->code_bytes);
}

static int describe_collection(const char *name, bool json)
{
    assay_error error;
    assay_store *store;
    assay_collection_info info;
    if (assay_store_open(NULL, &(assay_store_options){.read_only = true}, &store, &error) !=
        ASSAY_OK)
        return assay_report(&error);
    assay_vector_index_info index;
    assay_status status = assay_collection_describe(store, name, &info, &error);
    if (status == ASSAY_OK && info.dimensions > 0)
        status = assay_vector_index_describe(store, name, &index, &error);
    assay_store_close(store);
    if (status != ASSAY_OK)
        return assay_report(&error);
    assay_answer answer = json ? assay_answer_new() : (assay_answer){0};
    const teller t = {json ? &answer : NULL, answer.root};
    tell_collection(&t, &info);
    if (info.dimensions > 0)
        tell_index(&t, &index);
    return json ? assay_answer_print(&answer) : ASSAY_EXIT_OK;
}

/* ---------------------------------------------------------------- overview */

static void list_collection(const assay_collection_info *info)
{
    char documents[32], passages[32];
    printf("  %-20s documents %s, passages %s, model %s, changed %s\n", info->name,
           assay_print_count(documents, info->documents),
           assay_print_count(passages, info->passages), *info->model ? info->model : "none",
           info->changed);
}

/* A data directory that is not there yet has no collections: no error. */
static int overview_collections(assay_answer *answer)
{
    assay_error error;
    assay_store *store;
    assay_collection_info *list = NULL;
    size_t count = 0;
    json_t *array = answer ? assay_answer_array(answer, answer->root, "collections") : NULL;
    assay_status status = assay_store_open(NULL, &(assay_store_options){.read_only = true},
                                           &store, &error);
    if (status == ASSAY_OK) {
        status = assay_collection_list(store, &list, &count, &error);
        assay_store_close(store);
    } else if (status == ASSAY_E_NOT_FOUND) {
        status = ASSAY_OK;
    }
    if (status != ASSAY_OK)
        return assay_report(&error);
    if (!answer)
        printf("collections     %s\n", count ? "" : "none; 'assay index' makes one");
    for (size_t i = 0; i < count; i++) {
        if (!answer) {
            list_collection(&list[i]);
            continue;
        }
        const teller t = {answer, assay_answer_object(answer, array, NULL)};
        tell_collection(&t, &list[i]);
    }
    assay_free(list);
    return ASSAY_EXIT_OK;
}

static void list_model(assay_answer *answer, json_t *array, const char *name, const char *path)
{
    if (answer) {
        const teller t = {answer, assay_answer_object(answer, array, NULL)};
        tell_text(&t, "name", name);
        tell_text(&t, "path", path);
    } else {
        printf("  %-20s ", name);
        assay_print_text(stdout, path, strlen(path));
        putchar('\n');
    }
}

static const char *const default_models[] = {"dense", "cross", "late"};
enum { DEFAULT_MODELS = sizeof default_models / sizeof *default_models };

static bool is_default(const char *name)
{
    for (size_t i = 0; i < DEFAULT_MODELS; i++)
        if (strcmp(name, default_models[i]) == 0)
            return true;
    return false;
}

static bool is_model(const char *folder)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/config.json", folder);
    return access(path, R_OK) == 0;
}

/* Models under a folder: folder/name and folder/owner/name. */
static void list_folder(assay_answer *answer, json_t *array, const char *folder,
                        const char *owner, int depth)
{
    DIR *listing = opendir(folder);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        char path[4096 + 256], name[512];
        if (entry->d_name[0] == '.' || (!*owner && is_default(entry->d_name)))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        snprintf(name, sizeof name, "%s%s%s", owner, *owner ? "/" : "", entry->d_name);
        if (is_model(path))
            list_model(answer, array, name, path);
        else if (depth > 0)
            list_folder(answer, array, path, name, depth - 1);
    }
    if (listing)
        closedir(listing);
}

/* The default models, and those that `assay pull` put into the data
 * directory. */
static void overview_models(assay_answer *answer, const char *home)
{
    json_t *array = answer ? assay_answer_array(answer, answer->root, "models") : NULL;
    if (!answer)
        printf("models\n");
    for (size_t i = 0; i < DEFAULT_MODELS; i++) {
        char path[4096];
        if (assay_model_find(default_models[i], path, sizeof path, NULL) == ASSAY_OK)
            list_model(answer, array, default_models[i], path);
        else if (!answer)
            printf("  %-20s not found\n", default_models[i]);
    }
    char folder[4200];
    snprintf(folder, sizeof folder, "%s/models", home);
    list_folder(answer, array, folder, "", 1);
}

static int overview(bool json)
{
    char home[4096];
    assay_error error;
    if (assay_home(home, sizeof home, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_answer answer = json ? assay_answer_new() : (assay_answer){0};
    const teller t = {json ? &answer : NULL, answer.root};
    tell_text(&t, "version", assay_version());
    tell_text(&t, "cpu", assay_cpu());
    tell_text(&t, "home", home);
    int code = overview_collections(t.answer);
    if (code != ASSAY_EXIT_OK) {
        json_decref(answer.root);
        return code;
    }
    overview_models(t.answer, home);
    return json ? assay_answer_print(&answer) : ASSAY_EXIT_OK;
}

static int run(const void *given, char **arguments, size_t count)
{
    const info_settings *settings = given;
    bool json = settings->common.json;
    if (count > 0 && settings->collection)
        return assay_usage(&assay_verb_info, "a model or a collection, one at a time");
    if (count > 0)
        return describe_model(arguments[0], (assay_precision)settings->precision, json);
    if (settings->collection)
        return describe_collection(settings->collection, json);
    return overview(json);
}

static const assay_option options[] = {
    {"collection", ASSAY_OPTION_TEXT, offsetof(info_settings, collection), "NAME",
     "describe a collection", 0, 0},
    {"precision", ASSAY_OPTION_CHOICE, offsetof(info_settings, precision), ASSAY_PRECISIONS,
     "arithmetic to open MODEL with, which tells whether it bears that (default: auto)", 0, 0},
};

static const assay_example examples[] = {
    {"assay info", "Version, instruction set, data directory, collections, models"},
    {"assay info cross", "A model: kind, size, limits"},
    {"assay info ./mine --precision int8", "Whether its activations bear 8 bits: else a notice"},
    {"assay info --collection scifact --json", "A collection, for programs"},
    {NULL, NULL},
};

const assay_verb assay_verb_info = {
    .name = "info",
    .arguments = "[MODEL]",
    .summary = "describe a model, a collection, or what there is",
    .description = "Describes MODEL (a folder or a name), or a collection; without either, this "
                   "program, its data directory, and the collections and models there.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(info_settings),
    .arguments_max = 1,
    .run = run,
};
