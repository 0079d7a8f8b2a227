/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_vectors.c: the vectors of passages' tokens, for late interaction; see store.h.
 *
 * A row of token_vectors, all numbers little-endian:
 *
 *   offset  bytes
 *        0      4  XXH3-64 of what follows, its low 32 bits
 *        4      4  number of vectors n
 *        8      4  tokens of the passage as it was encoded
 *       12      4  1 where its end was cut off, else 0
 *       16    4*n  what 1 means in each, binary32
 *        +    d*n  the vectors, bytes of -127 to 127; d is the rest of the row's
 *                  length over n, and the model's
 *
 * What made them, late_models says for a collection, by a digest of all that they
 * depend on: other vectors are never taken for the model's.
 */
#include "store/database.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "steps are taken as they lie in the row, which is little-endian"
#endif

enum { HEADER = 16, VECTORS_MAX = 1 << 20 };

static const char *const cannot_read = "cannot read token vectors";
static const char *const cannot_write = "cannot write token vectors";

/* ---- The collection's model ---------------------------------------------------- */

assay_status assay_sqlite_late_get(assay_store *store, const assay_collection *collection,
                                   assay_late_model *out, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *out = (assay_late_model){0};
    if (store->schema < ASSAY_SCHEMA_LATE)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT model, digest FROM late_models WHERE collection = ?1"));
    sqlite3_bind_int64(select, 1, collection->key);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (!row)
        return ASSAY_OK;
    const char *model = assay_sql_text(select, 0);
    bool good = strlen(model) < sizeof out->model &&
                sqlite3_column_bytes(select, 1) == (int)sizeof out->digest.bytes;
    if (good) {
        memcpy(out->model, model, strlen(model) + 1);
        memcpy(out->digest.bytes, sqlite3_column_blob(select, 1), sizeof out->digest.bytes);
    }
    sqlite3_reset(select);
    return good ? ASSAY_OK
                : assay_store_damaged(store, error, "collection %s: its late model is damaged",
                                      collection->name);
}

static assay_status drop_vectors(assay_store *store, const assay_collection *collection,
                                 assay_error *error)
{
    sqlite3_stmt *delete;
    ASSAY_TRY(assay_sql_prepare(store, &delete, error,
                                "DELETE FROM token_vectors WHERE passage IN"
                                " (SELECT key FROM passages WHERE collection = ?1)"));
    sqlite3_bind_int64(delete, 1, collection->key);
    ASSAY_TRY(assay_sql_run(store, delete, cannot_write, error));
    ASSAY_TRY(assay_sql_prepare(store, &delete, error,
                                "DELETE FROM late_models WHERE collection = ?1"));
    sqlite3_bind_int64(delete, 1, collection->key);
    return assay_sql_run(store, delete, cannot_write, error);
}

static assay_status set_model(assay_store *store, const assay_collection *collection,
                              const assay_late_model *model, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(drop_vectors(store, collection, error));
    if (model->model[0] == '\0')
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO late_models(collection, model, digest)"
                                " VALUES(?1, ?2, ?3)"));
    sqlite3_bind_int64(insert, 1, collection->key);
    assay_sql_bind(insert, 2, model->model);
    assay_sql_bind_bytes(insert, 3, model->digest.bytes, sizeof model->digest.bytes);
    return assay_sql_run(store, insert, cannot_write, error);
}

assay_status assay_sqlite_late_set(assay_store *store, const assay_collection *collection,
                                   const assay_late_model *model, assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_sql_enter(store, &own, error));
    return assay_sql_leave(store, own, set_model(store, collection, model, error), error);
}

/* ---- Rows ------------------------------------------------------------------------ */

static uint32_t check_of(const void *bytes, size_t length)
{
    return (uint32_t)assay_hash64(bytes, length);
}

/* What a row holds; false when it is damaged. */
static bool decode(const void *bytes, size_t length, assay_token_rows *out)
{
    uint32_t header[4];
    *out = (assay_token_rows){0};
    if (bytes == NULL || length < HEADER)
        return false;
    memcpy(header, bytes, sizeof header);
    size_t n = header[1], rest = length - HEADER;
    if (header[0] != check_of((const char *)bytes + 4, length - 4) || n > VECTORS_MAX ||
        (n == 0 ? rest > 0 : rest % n != 0 || rest / n <= 4))
        return false;
    *out = (assay_token_rows){
        .count = n,
        .tokens = header[2],
        .truncated = header[3] != 0,
        .dimensions = n > 0 ? rest / n - 4 : 0,
        .steps = (const char *)bytes + HEADER,
        .rows = (const int8_t *)bytes + HEADER + 4 * n,
    };
    return true;
}

assay_status assay_sqlite_token_vectors_read(assay_store *store, uint64_t passage,
                                             void (*fn)(void *, const assay_token_rows *),
                                             void *user, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    assay_token_rows rows = {0};
    if (store->schema < ASSAY_SCHEMA_LATE) {
        fn(user, &rows);
        return ASSAY_OK;
    }
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT vectors FROM token_vectors WHERE passage = ?1"));
    sqlite3_bind_int64(select, 1, (int64_t)passage);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (row)
        rows.damaged = !decode(sqlite3_column_blob(select, 0),
                               (size_t)sqlite3_column_bytes(select, 0), &rows);
    fn(user, &rows);
    if (row)
        sqlite3_reset(select);
    return ASSAY_OK;
}

assay_status assay_sqlite_token_vectors_put(assay_store *store, uint64_t passage,
                                            const assay_token_rows *rows, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(assay_sql_inside(store, "assay_token_vectors_put", error));
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    size_t count = rows->count;
    uint32_t header[4] = {0, (uint32_t)count, rows->tokens, rows->truncated};
    assay_buffer_append(&bytes, header, sizeof header);
    if (count > 0) {
        assay_buffer_append(&bytes, rows->steps, count * sizeof(float));
        assay_buffer_append(&bytes, rows->rows, count * rows->dimensions);
    }
    assay_status status = assay_buffer_status(&bytes, NULL, error);
    if (status == ASSAY_OK) {
        header[0] = check_of(bytes.data + 4, bytes.length - 4);
        memcpy(bytes.data, header, sizeof header[0]);
        status = assay_sql_prepare(store, &insert, error,
                                   "INSERT OR REPLACE INTO token_vectors(passage, vectors)"
                                   " VALUES(?1, ?2)");
    }
    if (status == ASSAY_OK) {
        sqlite3_bind_int64(insert, 1, (int64_t)passage);
        assay_sql_bind_bytes(insert, 2, bytes.data, bytes.length);
        status = assay_sql_run(store, insert, cannot_write, error);
    }
    assay_buffer_free(&bytes);
    return status;
}

/* ---- All of a collection, all of a store ------------------------------------------ */

assay_status assay_sqlite_token_vectors_missing(assay_store *store,
                                                const assay_collection *collection,
                                                uint64_t after, uint64_t *passages,
                                                size_t most, size_t *count,
                                                assay_error *error)
{
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT p.key FROM passages p WHERE p.collection = ?1"
                                " AND p.key > ?2 AND NOT EXISTS (SELECT 1 FROM token_vectors t"
                                " WHERE t.passage = p.key) ORDER BY p.key LIMIT ?3"));
    sqlite3_bind_int64(select, 1, collection->key);
    sqlite3_bind_int64(select, 2, (int64_t)after);
    sqlite3_bind_int64(select, 3, (int64_t)most);
    return assay_sql_keys(store, select, cannot_read, passages, count, error);
}

assay_status assay_token_vectors_count(assay_store *store, int64_t collection, uint64_t *count,
                                       uint64_t *bytes, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *count = *bytes = 0;
    if (store->schema < ASSAY_SCHEMA_LATE)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT count(*), coalesce(sum(length(t.vectors)), 0)"
                                " FROM passages p CROSS JOIN token_vectors t"
                                " ON t.passage = p.key WHERE p.collection = ?1"));
    sqlite3_bind_int64(select, 1, collection);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    *count = (uint64_t)sqlite3_column_int64(select, 0);
    *bytes = (uint64_t)sqlite3_column_int64(select, 1);
    sqlite3_reset(select);
    return ASSAY_OK;
}

assay_status assay_token_vectors_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                        assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    if (store->schema < ASSAY_SCHEMA_LATE)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT passage, vectors FROM token_vectors ORDER BY passage"));
    for (;;) {
        ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
        if (!row)
            return ASSAY_OK;
        assay_token_rows rows;
        assay_status status = ASSAY_OK;
        if (!decode(sqlite3_column_blob(select, 1), (size_t)sqlite3_column_bytes(select, 1),
                    &rows))
            status = tell(user, sqlite3_column_int64(select, 0));
        if (status != ASSAY_OK) {
            sqlite3_reset(select);
            return status;
        }
    }
}
