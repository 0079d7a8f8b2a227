/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_state.c: checkpoints, and going on from one.
 *
 * TARGET.part holds
 *
 *     step-N/     after step N: state.json, weights, optimizer
 *     best-N/     the model as the evaluation after step N found it, the best so far
 *     training.csv
 *
 * Both folders appear whole or not at all (base/folder.h), and the older one goes only
 * then, so that whenever the process is killed there is one to go on from. A step's
 * checkpoint says which best it belongs to; another, written just before the end, is
 * made again by the same steps. weights: the magic, then of each tensor that moves its
 * number of values and the values, then XXH3-128 of all that, in the machine's order of
 * bytes; they are read by the machine that wrote them.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/lock.h"
#include "learn/trainer.h"

#define MAGIC "assay training 1"
#define STATE_LIMIT ((size_t)1 << 28)

/* ---------------------------------------------------------------------- digest */

static void add_setting(assay_hasher *hasher, const assay_setting *setting)
{
    double value = setting->set ? setting->value : NAN;
    assay_hasher_add(hasher, &value, sizeof value);
}

static void add_options(assay_hasher *hasher, const assay_train_options *o)
{
    const uint64_t numbers[] = {
        (uint64_t)o->kind, (uint64_t)o->loss, o->development_queries, o->negatives, o->batch,
        o->max_tokens, o->part_tokens, o->steps, (uint64_t)o->schedule, o->train_embeddings,
        o->lora_rank, o->dimensions, o->evaluations, o->seed,
        o->precision == ASSAY_PRECISION_BF16};
    const assay_setting *const settings[] = {
        &o->binary, &o->margin, &o->temperature, &o->labels, &o->share, &o->epochs, &o->rate,
        &o->warmup, &o->decay, &o->clip, &o->dropout, &o->layer_rate, &o->patience};
    assay_hasher_add(hasher, numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        add_setting(hasher, settings[i]);
    assay_hasher_add(hasher, &o->minutes, sizeof o->minutes);
}

static void add_examples(assay_hasher *hasher, const assay_examples *examples)
{
    for (size_t i = 0; i < examples->count; i++) {
        const assay_example *e = &examples->list[i];
        assay_hasher_add(hasher, e->query, strlen(e->query));
        for (size_t k = 0; k < e->count; k++) {
            const assay_labelled *l = &examples->labelled[e->first + k];
            assay_hasher_add(hasher, &l->text, sizeof l->text);
            assay_hasher_add(hasher, &l->grade, sizeof l->grade);
            assay_hasher_add(hasher, &l->teacher, sizeof l->teacher);
        }
    }
    uint32_t texts = examples->passages != NULL ? assay_string_map_count(examples->passages) : 0;
    for (uint32_t i = 0; i < texts; i++) {
        const char *text = assay_examples_text(examples, i);
        assay_hasher_add(hasher, text, strlen(text));
    }
}

assay_status assay_state_digest(assay_trainer *t, assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_add(hasher, ASSAY_VERSION, strlen(ASSAY_VERSION));
    add_options(hasher, &t->o);
    uint32_t split = assay_trainable_config(t->model)->split;
    if (split > 0)
        assay_hasher_add(hasher, &split, sizeof split);
    add_examples(hasher, &t->examples);
    add_examples(hasher, &t->development);
    size_t count;
    const assay_parameter *parameters = assay_trainable_parameters(t->model, &count);
    for (size_t i = 0; i < count; i++)
        assay_hasher_add(hasher, parameters[i].values,
                         parameters[i].rows * parameters[i].columns * sizeof(float));
    assay_digest digest = assay_hasher_finish(hasher);
    assay_digest_hex(&digest, t->settings);
    return ASSAY_OK;
}

/* ---------------------------------------------------------------------- weights */

static assay_status put(assay_new_file *file, assay_hasher *hasher, const void *data, size_t size,
                        assay_error *error)
{
    assay_hasher_bytes(hasher, data, size);
    return assay_new_file_write(file, data, size, error);
}

static assay_status put_weights(assay_trainer *t, assay_new_file *file, assay_hasher *hasher,
                                assay_error *error)
{
    size_t count;
    const assay_parameter *parameters = assay_trainable_parameters(t->model, &count);
    ASSAY_TRY(put(file, hasher, MAGIC, sizeof MAGIC, error));
    for (size_t i = 0; i < count; i++) {
        uint64_t size = parameters[i].rows * parameters[i].columns;
        ASSAY_TRY(put(file, hasher, &size, sizeof size, error));
        ASSAY_TRY(put(file, hasher, parameters[i].values, size * sizeof(float), error));
    }
    return ASSAY_OK;
}

static assay_status save_weights(assay_trainer *t, const char *path, assay_error *error)
{
    assay_new_file file;
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_new_file_open(path, &file, error);
    if (status != ASSAY_OK) {
        assay_hasher_finish(hasher);
        return status;
    }
    status = put_weights(t, &file, hasher, error);
    assay_digest digest = assay_hasher_finish(hasher);
    if (status == ASSAY_OK)
        status = assay_new_file_write(&file, digest.bytes, sizeof digest.bytes, error);
    if (status == ASSAY_OK)
        return assay_new_file_commit(&file, error);
    assay_new_file_abort(&file);
    return status;
}

static assay_status damaged(const char *path, assay_error *error)
{
    return assay_fail(error, ASSAY_E_CORRUPT, path,
                      "is damaged; remove the folder above it, or start again (--restart)");
}

/* Takes the weights out of a file's bytes, whose checksum is right. */
static assay_status take_weights(assay_trainer *t, const uint8_t *data, size_t size,
                                 const char *path, assay_error *error)
{
    size_t count, at = sizeof MAGIC;
    assay_parameter *parameters = assay_trainable_parameters(t->model, &count);
    for (size_t i = 0; i < count; i++) {
        uint64_t wanted = parameters[i].rows * parameters[i].columns, found = 0;
        if (size - at >= sizeof found)
            memcpy(&found, data + at, sizeof found);
        at += sizeof found;
        if (found != wanted || size < at || size - at < wanted * sizeof(float))
            return damaged(path, error);
        memcpy(parameters[i].values, data + at, wanted * sizeof(float));
        at += wanted * sizeof(float);
    }
    if (at != size)
        return damaged(path, error);
    assay_trainable_changed(t->model);
    return ASSAY_OK;
}

static assay_status load_weights(assay_trainer *t, const char *path, assay_error *error)
{
    assay_mapping file;
    ASSAY_TRY(assay_map_open(path, &file, error));
    assay_digest digest;
    assay_status status = ASSAY_OK;
    size_t size = file.size > sizeof digest.bytes ? file.size - sizeof digest.bytes : 0;
    if (size < sizeof MAGIC || memcmp(file.data, MAGIC, sizeof MAGIC) != 0)
        status = damaged(path, error);
    if (status == ASSAY_OK) {
        digest = assay_hash128(file.data, size);
        if (memcmp(digest.bytes, file.data + size, sizeof digest.bytes) != 0)
            status = damaged(path, error);
    }
    if (status == ASSAY_OK)
        status = take_weights(t, file.data, size, path, error);
    assay_map_close(&file);
    return status;
}

/* ------------------------------------------------------------------ state.json */

/* Numbers of the state by name: counts, and those that may be NaN. */
#define COUNTS(F) F(step) F(steps) F(warmup) F(every) F(evaluated) F(best_step) F(stale) F(tokens)
#define VALUES(F) F(before) F(best) F(last) F(evaluation) F(loss) F(seconds)

/* nDCG@10 of each development query. */
static json_t *numbers(const double *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_real(values[i]));
    return list;
}

static bool read_numbers(const json_t *root, const char *name, double *values, size_t count)
{
    const json_t *list = json_object_get(root, name);
    if (json_array_size(list) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        values[i] = json_number_value(json_array_get(list, i));
    return true;
}

static assay_status save_state(const assay_trainer *t, const char *path, assay_error *error)
{
    const assay_train_state *s = &t->state;
    json_t *root = json_object();
    bool failed = json_object_set_new(root, "settings", json_string(t->settings)) != 0;
    failed = json_object_set_new(root, "planned", json_boolean(s->planned)) != 0 || failed;
#define PUT_COUNT(name) \
    failed = json_object_set_new(root, #name, json_integer((json_int_t)s->name)) != 0 || failed;
#define PUT_VALUE(name)                                                                     \
    failed = json_object_set_new(root, #name,                                               \
                                 isnan(s->name) ? json_null() : json_real(s->name)) != 0 || \
             failed;
    COUNTS(PUT_COUNT)
    VALUES(PUT_VALUE)
    size_t queries = t->measured.count;
    failed = json_object_set_new(root, "queries_before", numbers(t->ndcg_before, queries)) != 0 ||
             json_object_set_new(root, "queries_best", numbers(t->ndcg_best, queries)) != 0 ||
             failed;
    char *text = failed ? NULL : json_dumps(root, JSON_REAL_PRECISION(17) | JSON_INDENT(1));
    json_decref(root);
    if (text == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

static assay_status read_state(assay_trainer *t, const json_t *root, const char *path,
                               assay_error *error)
{
    assay_train_state *s = &t->state;
    const char *settings = json_string_value(json_object_get(root, "settings"));
    if (settings == NULL)
        return damaged(path, error);
    if (strcmp(settings, t->settings) != 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, t->part,
                          "was left by a training with other data, base or settings; give these "
                          "again, or throw it away (--restart)");
    ASSAY_TRY(assay_json_bool(root, "planned", path, &s->planned, error));
#define GET_COUNT(name) \
    ASSAY_TRY(assay_json_uint(root, #name, path, 0, INT64_MAX, &s->name, error));
#define GET_VALUE(name) \
    s->name = NAN;      \
    ASSAY_TRY(assay_json_double(root, #name, path, -1e300, 1e300, &s->name, error));
    COUNTS(GET_COUNT)
    VALUES(GET_VALUE)
    return read_numbers(root, "queries_before", t->ndcg_before, t->measured.count) &&
                   read_numbers(root, "queries_best", t->ndcg_best, t->measured.count)
               ? ASSAY_OK
               : damaged(path, error);
}

static assay_status load_state(assay_trainer *t, const char *path, assay_error *error)
{
    json_t *root;
    ASSAY_TRY(assay_json_read(path, STATE_LIMIT, &root, error));
    assay_status status = read_state(t, root, path, error);
    json_decref(root);
    return status;
}

/* --------------------------------------------------------------------- folders */

static assay_status folder_of(const assay_trainer *t, const char *kind, uint64_t step, char *path,
                              size_t size, assay_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%llu", kind, (unsigned long long)step);
    return assay_path_join(path, size, t->part, name, error);
}

/* "step-12" is step 12; false for anything else, what was being written included. */
static bool step_of(const char *name, const char *kind, uint64_t *step)
{
    size_t length = strlen(kind);
    if (strncmp(name, kind, length) != 0 || name[length] != '-')
        return false;
    char *end;
    errno = 0;
    *step = strtoull(name + length + 1, &end, 10);
    return errno == 0 && end != name + length + 1 && *end == '\0';
}

/* Removes all folders of TARGET.part but those of these two steps. */
static void sweep(const assay_trainer *t, uint64_t step, uint64_t best)
{
    DIR *listing = opendir(t->part);
    const struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        uint64_t number;
        char path[4096];
        const char *name = entry->d_name;
        bool kept = (step_of(name, "step", &number) && number == step) ||
                    (step_of(name, "best", &number) && number == best);
        if (name[0] == '.' || kept ||
            assay_path_join(path, sizeof path, t->part, name, NULL) != ASSAY_OK)
            continue;
        if (assay_is_folder(path))
            assay_folder_remove(path);
    }
    if (listing != NULL)
        closedir(listing);
}

static assay_status fill_checkpoint(assay_trainer *t, const char *folder, assay_error *error)
{
    char path[4096];
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "weights", error));
    ASSAY_TRY(save_weights(t, path, error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "optimizer", error));
    ASSAY_TRY(assay_optimizer_save(t->optimizer, path, error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "state.json", error));
    return save_state(t, path, error);
}

assay_status assay_state_save(assay_trainer *t, assay_error *error)
{
    char path[4096];
    assay_new_folder folder;
    t->state.seconds = t->seconds + assay_seconds() - t->begun;
    ASSAY_TRY(folder_of(t, "step", t->state.step, path, sizeof path, error));
    ASSAY_TRY(assay_new_folder_open(path, true, &folder, error));
    assay_status status = fill_checkpoint(t, folder.temporary, error);
    if (status != ASSAY_OK) {
        assay_new_folder_abort(&folder);
        return status;
    }
    ASSAY_TRY(assay_new_folder_commit(&folder, error));
    sweep(t, t->state.step, t->state.best_step);
    t->checked = assay_seconds();
    return ASSAY_OK;
}

assay_status assay_state_save_best(assay_trainer *t, assay_error *error)
{
    char path[4096];
    assay_new_folder folder;
    ASSAY_TRY(folder_of(t, "best", t->state.step, path, sizeof path, error));
    ASSAY_TRY(assay_new_folder_open(path, true, &folder, error));
    assay_status status = assay_trainable_save(t->model, folder.temporary, error);
    if (status == ASSAY_OK)
        status = assay_card_config(t, folder.temporary, error);
    if (status == ASSAY_OK)
        return assay_new_folder_commit(&folder, error);
    assay_new_folder_abort(&folder);
    return status;
}

/* The last step that has a checkpoint. */
static bool last_step(const assay_trainer *t, uint64_t *step)
{
    bool found = false;
    DIR *listing = opendir(t->part);
    const struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        uint64_t number;
        if (step_of(entry->d_name, "step", &number) && (!found || number > *step)) {
            *step = number;
            found = true;
        }
    }
    if (listing != NULL)
        closedir(listing);
    return found;
}

static assay_status resume(assay_trainer *t, uint64_t step, assay_error *error)
{
    char folder[4096], path[4096];
    ASSAY_TRY(folder_of(t, "step", step, folder, sizeof folder, error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "state.json", error));
    ASSAY_TRY(load_state(t, path, error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "weights", error));
    ASSAY_TRY(load_weights(t, path, error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "optimizer", error));
    ASSAY_TRY(assay_optimizer_load(t->optimizer, path, error));
    ASSAY_TRY(folder_of(t, "best", t->state.best_step, path, sizeof path, error));
    if (t->state.step != step || !assay_is_folder(path))
        return damaged(folder, error);
    sweep(t, step, t->state.best_step);
    return ASSAY_OK;
}

assay_status assay_state_resume(assay_trainer *t, bool *found, assay_error *error)
{
    uint64_t step;
    *found = false;
    ASSAY_TRY(assay_lock_folder(t->part, &t->lock, error));
    if (t->o.restart) {
        assay_folder_remove(t->part);
        assay_lock_release(&t->lock);
        ASSAY_TRY(assay_lock_folder(t->part, &t->lock, error));
    }
    if (!last_step(t, &step))
        return ASSAY_OK;
    ASSAY_TRY(resume(t, step, error));
    *found = true;
    return ASSAY_OK;
}

assay_status assay_state_finish(assay_trainer *t, assay_error *error)
{
    char path[4096];
    t->state.seconds = t->seconds + assay_seconds() - t->begun;
    ASSAY_TRY(folder_of(t, "best", t->state.best_step, path, sizeof path, error));
    ASSAY_TRY(assay_after(t, path, error));
    ASSAY_TRY(assay_log_finish(t, path, error));
    ASSAY_TRY(assay_card_write(t, path, error));
    ASSAY_TRY(assay_folder_rename(path, t->target, t->o.replace, error));
    assay_folder_remove(t->part);
    ASSAY_TRY(assay_after_int8(t, error));
    return assay_card_int8(t, error);
}
