/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens.c: the token ids of passages; see store.h.
 *
 * A row names the tokenizer that made it, by the digest of the tokenizer and of
 * the way that title, heading and text were joined. A reader asks by digest, so
 * ids of another vocabulary are never taken for its own.
 */
#include "store/database.h"

static const char *const cannot_read = "cannot read the token ids";
static const char *const cannot_write = "cannot write the token ids";

static void bind_digest(sqlite3_stmt *statement, int parameter, const assay_digest *digest)
{
    assay_sql_bind_bytes(statement, parameter, digest->bytes, sizeof digest->bytes);
}

assay_status assay_sqlite_tokens_get(assay_store *store, uint64_t passage,
                                     const assay_digest *tokenizer, assay_arena *arena,
                                     assay_token_ids *out, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *out = (assay_token_ids){0};
    if (store->schema < ASSAY_SCHEMA_TOKENS)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT t.ids FROM tokens t JOIN tokenizers k ON k.key ="
                                " t.tokenizer WHERE t.passage = ?1 AND k.digest = ?2"));
    sqlite3_bind_int64(select, 1, (int64_t)passage);
    bind_digest(select, 2, tokenizer);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (!row)
        return ASSAY_OK;
    const void *bytes = sqlite3_column_blob(select, 0);
    assay_status status = assay_token_ids_decode(bytes, (size_t)sqlite3_column_bytes(select, 0),
                                                 arena, out, error);
    sqlite3_reset(select);
    return status == ASSAY_E_CORRUPT ? ASSAY_OK : status;
}

/* ---- Writing ----------------------------------------------------------------- */

static assay_status write_row(assay_store *store, int64_t passage, const assay_digest *tokenizer,
                              const assay_buffer *bytes, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(assay_buffer_status(bytes, NULL, error));
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT OR IGNORE INTO tokenizers(digest) VALUES(?1)"));
    bind_digest(insert, 1, tokenizer);
    ASSAY_TRY(assay_sql_run(store, insert, cannot_write, error));
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT OR REPLACE INTO tokens(passage, tokenizer, ids)"
                                " SELECT ?1, key, ?3 FROM tokenizers WHERE digest = ?2"));
    sqlite3_bind_int64(insert, 1, passage);
    bind_digest(insert, 2, tokenizer);
    assay_sql_bind_bytes(insert, 3, bytes->data, bytes->length);
    return assay_sql_run(store, insert, cannot_write, error);
}

assay_status assay_tokens_write(assay_store *store, int64_t passage,
                                const assay_digest *tokenizer, const int32_t *ids,
                                size_t count, assay_error *error)
{
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_token_ids_encode(ids, count, &bytes);
    assay_status status = write_row(store, passage, tokenizer, &bytes, error);
    assay_buffer_free(&bytes);
    return status;
}

assay_status assay_sqlite_tokens_put(assay_store *store, uint64_t passage,
                                     const assay_digest *tokenizer, const int32_t *ids,
                                     size_t count, assay_error *error)
{
    ASSAY_TRY(assay_sql_inside(store, "assay_tokens_put", error));
    return assay_tokens_write(store, (int64_t)passage, tokenizer, ids, count, error);
}

/* ---- All of a collection, all of a store --------------------------------------- */

assay_status assay_sqlite_tokens_missing(assay_store *store,
                                         const assay_collection *collection,
                                         const assay_digest *tokenizer, uint64_t after,
                                         uint64_t *passages, size_t most, size_t *count,
                                         assay_error *error)
{
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT p.key FROM passages p WHERE p.collection = ?1"
                                " AND p.key > ?2 AND NOT EXISTS (SELECT 1 FROM tokens t"
                                " JOIN tokenizers k ON k.key = t.tokenizer"
                                " WHERE t.passage = p.key AND k.digest = ?3)"
                                " ORDER BY p.key LIMIT ?4"));
    sqlite3_bind_int64(select, 1, collection->key);
    sqlite3_bind_int64(select, 2, (int64_t)after);
    bind_digest(select, 3, tokenizer);
    sqlite3_bind_int64(select, 4, (int64_t)most);
    return assay_sql_keys(store, select, cannot_read, passages, count, error);
}

assay_status assay_tokens_count(assay_store *store, int64_t collection, uint64_t *count,
                                assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *count = 0;
    if (store->schema < ASSAY_SCHEMA_TOKENS)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT count(*) FROM passages p CROSS JOIN tokens t"
                                " ON t.passage = p.key WHERE p.collection = ?1"));
    sqlite3_bind_int64(select, 1, collection);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    *count = (uint64_t)sqlite3_column_int64(select, 0);
    sqlite3_reset(select);
    return ASSAY_OK;
}

static assay_status verify_row(sqlite3_stmt *row, assay_arena *arena, assay_damaged_fn tell,
                               void *user, assay_error *error)
{
    assay_token_ids ids;
    assay_arena_reset(arena);
    const void *bytes = sqlite3_column_blob(row, 1);
    assay_status status = assay_token_ids_decode(bytes, (size_t)sqlite3_column_bytes(row, 1),
                                                 arena, &ids, error);
    return status == ASSAY_E_CORRUPT ? tell(user, sqlite3_column_int64(row, 0)) : status;
}

assay_status assay_tokens_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                 assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    if (store->schema < ASSAY_SCHEMA_TOKENS)
        return ASSAY_OK;
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_status status = assay_sql_prepare(store, &select, error,
                                            "SELECT passage, ids FROM tokens ORDER BY passage");
    while (status == ASSAY_OK) {
        status = assay_sql_step(store, select, cannot_read, &row, error);
        if (status != ASSAY_OK || !row)
            break;
        status = verify_row(select, arena, tell, user, error);
        if (status != ASSAY_OK)
            sqlite3_reset(select);
    }
    assay_arena_free(arena);
    return status;
}
