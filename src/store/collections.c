/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collections.c: making, finding, describing and dropping collections.
 *
 * What a row holds is checked when it is read: names and numbers are copied
 * into fixed fields, and dimensions size what others allocate.
 */
#include "store/database.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void assay_free(void *block)
{
    free(block);
}

/* ---- Reading a row ---------------------------------------------------------- */

#define COLLECTION_COLUMNS                                                         \
    "key, name, model, model_digest, dimensions, passage_tokens, overlap_tokens, " \
    "generation, created, changed"

static bool copy_column(sqlite3_stmt *row, int column, char *target, size_t size)
{
    const char *text = assay_sql_text(row, column);
    size_t length = strlen(text);
    if (length >= size)
        return false;
    memcpy(target, text, length + 1);
    return true;
}

static bool number_column(sqlite3_stmt *row, int column, uint32_t high, uint32_t *target)
{
    int64_t value = sqlite3_column_int64(row, column);
    *target = (uint32_t)value;
    return value >= 0 && value <= high;
}

static assay_status read_collection(assay_store *store, sqlite3_stmt *row, assay_collection *out,
                                    assay_error *error)
{
    assay_collection found = {.key = sqlite3_column_int64(row, 0)};
    assay_collection_config *config = &found.config;
    bool good = copy_column(row, 1, found.name, sizeof found.name);
    good &= copy_column(row, 2, config->model, sizeof config->model);
    good &= copy_column(row, 3, config->model_digest, sizeof config->model_digest);
    good &= number_column(row, 4, ASSAY_DIMENSIONS_MAX, &config->dimensions);
    good &= number_column(row, 5, UINT32_MAX, &config->passage_tokens);
    good &= number_column(row, 6, UINT32_MAX, &config->overlap_tokens);
    found.generation = (uint64_t)sqlite3_column_int64(row, 7);
    if (!good)
        return assay_store_damaged(store, error,
                                   "collection %" PRId64 " has a field out of its bounds",
                                   found.key);
    *out = found;
    return ASSAY_OK;
}

static assay_status not_found(assay_store *store, const char *name, assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &statement, error,
                                "SELECT group_concat(name, ', ') FROM"
                                " (SELECT name FROM collections ORDER BY name LIMIT 20)"));
    ASSAY_TRY(assay_sql_step(store, statement, "cannot list the collections", &row, error));
    const char *names = row ? assay_sql_text(statement, 0) : "";
    assay_status status = assay_store_no_collection(store, name, names, error);
    sqlite3_reset(statement);
    return status;
}

assay_status assay_sqlite_collection_open(assay_store *store, const char *name,
                                          assay_collection *out, assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    ASSAY_TRY(assay_store_unchanged(store, error));
    ASSAY_TRY(assay_sql_prepare(store, &statement, error, "SELECT " COLLECTION_COLUMNS
                                " FROM collections WHERE name = ?1"));
    assay_sql_bind(statement, 1, name);
    ASSAY_TRY(assay_sql_step(store, statement, "cannot read the collection", &row, error));
    if (!row)
        return not_found(store, name, error);
    assay_status status = read_collection(store, statement, out, error);
    sqlite3_reset(statement);
    return status;
}

/* ---- Making and dropping ----------------------------------------------------- */

static assay_status exists(assay_store *store, const char *name, bool *found, assay_error *error)
{
    sqlite3_stmt *statement;
    ASSAY_TRY(assay_sql_prepare(store, &statement, error,
                                "SELECT 1 FROM collections WHERE name = ?1"));
    assay_sql_bind(statement, 1, name);
    ASSAY_TRY(assay_sql_step(store, statement, "cannot read the collection", found, error));
    sqlite3_reset(statement);
    return ASSAY_OK;
}

static assay_status insert_collection(assay_store *store, const char *name,
                                      const assay_collection_config *config, assay_error *error)
{
    bool found;
    ASSAY_TRY(exists(store, name, &found, error));
    if (found)
        return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                          "there is a collection '%s' already", name);
    sqlite3_stmt *insert;
    char now[21];
    assay_timestamp(now);
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO collections(name, model, model_digest, dimensions,"
                                " passage_tokens, overlap_tokens, generation, created, changed)"
                                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?8, ?7, ?7)"));
    assay_sql_bind(insert, 1, name);
    assay_sql_bind(insert, 2, config->model);
    assay_sql_bind(insert, 3, config->model_digest);
    sqlite3_bind_int64(insert, 4, config->dimensions);
    sqlite3_bind_int64(insert, 5, config->passage_tokens);
    sqlite3_bind_int64(insert, 6, config->overlap_tokens);
    assay_sql_bind(insert, 7, now);
    sqlite3_bind_int64(insert, 8, (int64_t)assay_generation_after(0));
    ASSAY_TRY(assay_sql_run(store, insert, "cannot make the collection", error));
    return assay_schema_add(store, sqlite3_last_insert_rowid(store->db), error);
}

assay_status assay_sqlite_collection_create(assay_store *store, const char *name,
                                            const assay_collection_config *config,
                                            assay_collection *out, assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_sql_enter(store, &own, error));
    assay_status status = insert_collection(store, name, config, error);
    ASSAY_TRY(assay_sql_leave(store, own, status, error));
    return assay_sqlite_collection_open(store, name, out, error);
}

static assay_status drop(assay_store *store, const char *name, assay_error *error)
{
    assay_collection collection;
    ASSAY_TRY(assay_sqlite_collection_open(store, name, &collection, error));
    ASSAY_TRY(assay_schema_remove(store, collection.key, error));
    sqlite3_stmt *statement;
    ASSAY_TRY(assay_sql_prepare(store, &statement, error,
                                "DELETE FROM collections WHERE key = ?1"));
    sqlite3_bind_int64(statement, 1, collection.key);
    return assay_sql_run(store, statement, "cannot remove the collection", error);
}

assay_status assay_sqlite_collection_drop(assay_store *store, const char *name,
                                          assay_error *error)
{
    bool own;
    assay_sql_forget(store);
    ASSAY_TRY(assay_sql_enter(store, &own, error));
    return assay_sql_leave(store, own, drop(store, name, error), error);
}

static assay_status dropped(assay_store *store, const assay_collection *collection,
                            assay_error *error)
{
    return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                      "collection '%s' was dropped meanwhile", collection->name);
}

assay_status assay_collection_gone(assay_store *store, const assay_collection *collection,
                                   assay_status status, assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    if (status != ASSAY_E_INTERNAL)
        return status;
    ASSAY_TRY(assay_sql_prepare(store, &statement, error,
                                "SELECT 1 FROM collections WHERE key = ?1"));
    sqlite3_bind_int64(statement, 1, collection->key);
    ASSAY_TRY(assay_sql_step(store, statement, "cannot read the collection", &row, error));
    sqlite3_reset(statement);
    return row ? status : dropped(store, collection, error);
}

assay_status assay_collection_touch(assay_store *store, assay_collection *collection,
                                    assay_error *error)
{
    sqlite3_stmt *update;
    char now[21];
    assay_timestamp(now);
    ASSAY_TRY(assay_sql_prepare(store, &update, error,
                                "UPDATE collections SET generation = max(generation + 1, ?3),"
                                " changed = ?2 WHERE key = ?1 RETURNING generation"));
    sqlite3_bind_int64(update, 1, collection->key);
    assay_sql_bind(update, 2, now);
    sqlite3_bind_int64(update, 3, (int64_t)assay_generation_after(0));
    bool row;
    const char *action = "cannot write to the collection";
    ASSAY_TRY(assay_sql_step(store, update, action, &row, error));
    if (!row)
        return dropped(store, collection, error);
    uint64_t generation = (uint64_t)sqlite3_column_int64(update, 0);
    ASSAY_TRY(assay_sql_run(store, update, action, error));
    collection->generation = generation;
    return ASSAY_OK;
}

/* ---- Describing -------------------------------------------------------------- */

assay_late_codes assay_late_codes_of(const char *model, uint32_t bits)
{
    return model[0] == '\0' ? ASSAY_LATE_CODES_AUTO
           : bits == 0      ? ASSAY_LATE_CODES_I8
           : bits == 4      ? ASSAY_LATE_CODES_B4
           : bits == 2      ? ASSAY_LATE_CODES_B2
           : bits == 1      ? ASSAY_LATE_CODES_B1
                            : ASSAY_LATE_CODES_F16;
}

static assay_status describe_late(assay_store *store, int64_t key, assay_collection_info *out,
                                  assay_error *error)
{
    const assay_collection collection = {.key = key};
    assay_late_model late;
    ASSAY_TRY(assay_sqlite_late_get(store, &collection, &late, error));
    memcpy(out->late_model, late.model, sizeof out->late_model);
    out->late_codes = assay_late_codes_of(late.model, late.bits);
    out->late_pool = late.pool;
    return assay_token_vectors_count(store, key, &out->late_vectors, &out->late_bytes, error);
}

static assay_status count_into(assay_store *store, int64_t key, assay_collection_info *out,
                               assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    /* length() of a BLOB reads its size, not its bytes. */
    ASSAY_TRY(assay_sql_prepare(
        store, &statement, error,
        "SELECT (SELECT count(*) FROM documents WHERE collection = ?1),"
        " (SELECT coalesce(sum(length(text)), 0) FROM documents WHERE collection = ?1),"
        " (SELECT count(*) FROM passages WHERE collection = ?1),"
        " (SELECT coalesce(sum(truncated), 0) FROM passages WHERE collection = ?1),"
        " (SELECT count(*) FROM passages p JOIN vectors v ON v.passage = p.key"
        "  WHERE p.collection = ?1)"));
    sqlite3_bind_int64(statement, 1, key);
    ASSAY_TRY(assay_sql_step(store, statement, "cannot count the collection", &row, error));
    out->documents = (uint64_t)sqlite3_column_int64(statement, 0);
    out->text_bytes = (uint64_t)sqlite3_column_int64(statement, 1);
    out->passages = (uint64_t)sqlite3_column_int64(statement, 2);
    out->truncated = (uint64_t)sqlite3_column_int64(statement, 3);
    out->vectors = (uint64_t)sqlite3_column_int64(statement, 4);
    sqlite3_reset(statement);
    ASSAY_TRY(assay_tokens_count(store, key, &out->tokenized, error));
    return describe_late(store, key, out, error);
}

/* Of a row with COLLECTION_COLUMNS. */
static assay_status describe_row(assay_store *store, sqlite3_stmt *row,
                                 assay_collection_info *out, assay_error *error)
{
    assay_collection collection;
    ASSAY_TRY(read_collection(store, row, &collection, error));
    *out = (assay_collection_info){.dimensions = collection.config.dimensions,
                                   .passage_tokens = collection.config.passage_tokens,
                                   .overlap_tokens = collection.config.overlap_tokens};
    if (out->passage_tokens == ASSAY_WHOLE_DOCUMENT)
        out->passage_tokens = 0; /* as assay_collection_info writes it */
    memcpy(out->name, collection.name, sizeof out->name);
    memcpy(out->model, collection.config.model, sizeof out->model);
    memcpy(out->model_digest, collection.config.model_digest, sizeof out->model_digest);
    if (!copy_column(row, 8, out->created, sizeof out->created) ||
        !copy_column(row, 9, out->changed, sizeof out->changed))
        return assay_store_damaged(store, error, "collection '%s' has a date out of its bounds",
                                   out->name);
    assay_word_index_describe(store, &collection, &out->word_index_bytes,
                              &out->word_index_current);
    return count_into(store, collection.key, out, error);
}

assay_status assay_sqlite_collection_describe(assay_store *store, const char *name,
                                              assay_collection_info *out, assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    assay_collection_info info;
    ASSAY_TRY(assay_store_unchanged(store, error));
    ASSAY_TRY(assay_sql_prepare(store, &statement, error, "SELECT " COLLECTION_COLUMNS
                                " FROM collections WHERE name = ?1"));
    assay_sql_bind(statement, 1, name);
    ASSAY_TRY(assay_sql_step(store, statement, "cannot read the collection", &row, error));
    if (!row)
        return not_found(store, name, error);
    /* The row is kept open so that the counts are of the same snapshot. */
    assay_status status = describe_row(store, statement, &info, error);
    sqlite3_reset(statement);
    if (status == ASSAY_OK)
        *out = info;
    return status;
}

assay_status assay_sqlite_collection_list(assay_store *store, assay_collection_info **out,
                                          size_t *count, assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    ASSAY_TRY(assay_store_unchanged(store, error));
    ASSAY_TRY(assay_sql_prepare(store, &statement, error, "SELECT " COLLECTION_COLUMNS
                                " FROM collections ORDER BY name"));
    assay_collection_info *list = NULL;
    size_t used = 0;
    assay_status status;
    while ((status = assay_sql_step(store, statement, "cannot list the collections", &row,
                                    error)) == ASSAY_OK && row) {
        assay_collection_info *grown = realloc(list, (used + 1) * sizeof *list);
        if (grown == NULL)
            status = assay_fail_memory(error, (used + 1) * sizeof *list);
        else
            list = grown;
        if (status == ASSAY_OK)
            status = describe_row(store, statement, &list[used++], error);
        if (status != ASSAY_OK)
            break;
    }
    sqlite3_reset(statement);
    if (status != ASSAY_OK) {
        free(list);
        return status;
    }
    *out = list;
    *count = used;
    return ASSAY_OK;
}
