/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents.c: documents with their passages, BM25 entries and vectors.
 *
 * A document is replaced by deleting it and adding it anew, under new keys. The
 * FTS5 table reads external content, so an entry is taken out by handing FTS5
 * the very values it was made of: the document's title, the passage's heading
 * and its piece of the text, which are still there at that moment. So are the
 * document's attributes, by its metadata.
 */
#include "store/database.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const cannot_write = "cannot write the document";
static const char *const cannot_read = "cannot read the document";

/* ---- BM25 entries ------------------------------------------------------------- */

static assay_status prepare_entry(assay_store *store, int64_t collection, bool add,
                                  sqlite3_stmt **out, assay_error *error)
{
    long long key = collection;
    if (add)
        return assay_sql_prepare(store, out, error,
                                 "INSERT INTO fts_%lld(rowid, title, heading, body)"
                                 " VALUES(?1, ?2, ?3, ?4)", key);
    return assay_sql_prepare(store, out, error,
                             "INSERT INTO fts_%lld(fts_%lld, rowid, title, heading, body)"
                             " VALUES('delete', ?1, ?2, ?3, ?4)", key, key);
}

static assay_status write_entry(assay_store *store, int64_t collection, bool add, int64_t passage,
                                const char *title, const char *heading, assay_text body,
                                assay_error *error)
{
    sqlite3_stmt *entry;
    ASSAY_TRY(prepare_entry(store, collection, add, &entry, error));
    sqlite3_bind_int64(entry, 1, passage);
    assay_sql_bind(entry, 2, title);
    assay_sql_bind(entry, 3, heading);
    sqlite3_bind_text64(entry, 4, body.length > 0 ? body.data : "", body.length, SQLITE_STATIC,
                        SQLITE_UTF8);
    return assay_sql_run(store, entry, cannot_write, error);
}

/* ---- Deleting ------------------------------------------------------------------ */

static assay_status find_document(assay_store *store, int64_t collection, const char *id,
                                  bool *found, int64_t *key, assay_error *error)
{
    sqlite3_stmt *find;
    ASSAY_TRY(assay_sql_prepare(store, &find, error,
                                "SELECT key FROM documents WHERE collection = ?1 AND id = ?2"));
    sqlite3_bind_int64(find, 1, collection);
    assay_sql_bind(find, 2, id);
    ASSAY_TRY(assay_sql_step(store, find, cannot_read, found, error));
    *key = *found ? sqlite3_column_int64(find, 0) : -1;
    sqlite3_reset(find);
    return ASSAY_OK;
}

/* Takes out the entries of a document whose row is at hand. */
static assay_status remove_entries(assay_store *store, const assay_collection *collection,
                                   int64_t document, const char *title, assay_text text,
                                   assay_error *error)
{
    sqlite3_stmt *passages;
    bool row;
    assay_status status;
    ASSAY_TRY(assay_sql_prepare(store, &passages, error,
                                "SELECT key, offset, length, heading FROM passages"
                                " WHERE document = ?1 ORDER BY key"));
    sqlite3_bind_int64(passages, 1, document);
    while ((status = assay_sql_step(store, passages, cannot_read, &row, error)) == ASSAY_OK &&
           row) {
        int64_t key = sqlite3_column_int64(passages, 0);
        uint64_t offset = (uint64_t)sqlite3_column_int64(passages, 1);
        uint64_t length = (uint64_t)sqlite3_column_int64(passages, 2);
        if (offset > text.length || length > text.length - offset)
            status = assay_store_damaged(store, error, "passage %" PRId64 " ends after the text "
                                         "of its document", key);
        else
            status = write_entry(store, collection->key, false, key, title,
                                 assay_sql_text(passages, 3),
                                 (assay_text){text.data + offset, length}, error);
        if (status != ASSAY_OK)
            break;
    }
    sqlite3_reset(passages);
    return status;
}

static assay_status delete_document(assay_store *store, const assay_collection *collection,
                                    int64_t key, assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &statement, error,
                                "SELECT title, text, metadata FROM documents WHERE key = ?1"));
    sqlite3_bind_int64(statement, 1, key);
    ASSAY_TRY(assay_sql_step(store, statement, cannot_read, &row, error));
    if (row) {
        /* An empty BLOB is NULL to SQLite, and NULL + 0 is not C. */
        const void *bytes = sqlite3_column_blob(statement, 1);
        assay_text text = {.data = bytes != NULL ? bytes : "",
                           .length = (size_t)sqlite3_column_bytes(statement, 1)};
        assay_status status = remove_entries(store, collection, key, assay_sql_text(statement, 0),
                                             text, error);
        if (status == ASSAY_OK)
            status = assay_attributes_remove(store, collection->key, key,
                                             assay_sql_text(statement, 2), error);
        sqlite3_reset(statement);
        ASSAY_TRY(status);
    }
    /* Passages, vectors and tokens go with it: ON DELETE CASCADE. */
    ASSAY_TRY(assay_sql_prepare(store, &statement, error, "DELETE FROM documents WHERE key = ?1"));
    sqlite3_bind_int64(statement, 1, key);
    return assay_sql_run(store, statement, "cannot delete the document", error);
}

assay_status assay_sqlite_document_delete(assay_store *store, assay_collection *collection,
                                          const char *id, bool *found, assay_error *error)
{
    int64_t key;
    bool there;
    ASSAY_TRY(assay_sql_inside(store, "assay_document_delete", error));
    ASSAY_TRY(find_document(store, collection->key, id, &there, &key, error));
    if (there) {
        ASSAY_TRY(delete_document(store, collection, key, error));
        ASSAY_TRY(assay_collection_touch(store, collection, error));
    }
    *found = there;
    return ASSAY_OK;
}

/* ---- Adding --------------------------------------------------------------------- */

static assay_status insert_document(assay_store *store, const assay_collection *collection,
                                    const assay_stored_document *document, int64_t *key,
                                    assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO documents(collection, id, digest, source, title,"
                                " metadata, text) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
    sqlite3_bind_int64(insert, 1, collection->key);
    assay_sql_bind(insert, 2, document->id);
    assay_sql_bind_bytes(insert, 3, document->digest.bytes, sizeof document->digest.bytes);
    assay_sql_bind(insert, 4, document->source);
    assay_sql_bind(insert, 5, document->title);
    if (document->metadata != NULL)
        assay_sql_bind(insert, 6, document->metadata);
    assay_sql_bind_bytes(insert, 7, document->text.data, document->text.length);
    ASSAY_TRY(assay_sql_run(store, insert, cannot_write, error));
    *key = sqlite3_last_insert_rowid(store->db);
    return assay_attributes_write(store, collection->key, *key, document->metadata, error);
}

static assay_status insert_vector(assay_store *store, int64_t passage, const float *vector,
                                  uint32_t dimensions, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO vectors(passage, vector) VALUES(?1, ?2)"));
    sqlite3_bind_int64(insert, 1, passage);
    assay_sql_bind_bytes(insert, 2, vector, dimensions * sizeof *vector);
    return assay_sql_run(store, insert, cannot_write, error);
}

static assay_status insert_passage(assay_store *store, const assay_collection *collection,
                                   const assay_stored_document *document, int64_t key,
                                   const assay_stored_passage *passage, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO passages(collection, document, offset, length,"
                                " tokens, truncated, heading) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
    sqlite3_bind_int64(insert, 1, collection->key);
    sqlite3_bind_int64(insert, 2, key);
    sqlite3_bind_int64(insert, 3, (int64_t)passage->offset);
    sqlite3_bind_int64(insert, 4, (int64_t)passage->length);
    sqlite3_bind_int64(insert, 5, passage->tokens);
    sqlite3_bind_int(insert, 6, passage->truncated);
    assay_sql_bind(insert, 7, passage->heading);
    ASSAY_TRY(assay_sql_run(store, insert, cannot_write, error));
    int64_t row = sqlite3_last_insert_rowid(store->db);
    if (passage->vector != NULL)
        ASSAY_TRY(insert_vector(store, row, passage->vector, collection->config.dimensions,
                                error));
    if (passage->ids != NULL)
        ASSAY_TRY(assay_tokens_write(store, row, document->tokenizer, passage->ids,
                                     passage->id_count, error));
    assay_text body = {NULL, passage->length};
    if (passage->length > 0)
        body.data = document->text.data + passage->offset;
    return write_entry(store, collection->key, true, row, document->title, passage->heading, body,
                       error);
}

assay_status assay_sqlite_document_put(assay_store *store, assay_collection *collection,
                                       const assay_stored_document *document,
                                       assay_error *error)
{
    int64_t key;
    bool found;
    ASSAY_TRY(assay_sql_inside(store, "assay_document_put", error));
    ASSAY_TRY(find_document(store, collection->key, document->id, &found, &key, error));
    if (found)
        ASSAY_TRY(delete_document(store, collection, key, error));
    /* First, for it tells when the collection is gone. */
    ASSAY_TRY(assay_collection_touch(store, collection, error));
    ASSAY_TRY(insert_document(store, collection, document, &key, error));
    for (size_t i = 0; i < document->passage_count; i++)
        ASSAY_TRY(insert_passage(store, collection, document, key, &document->passages[i],
                                 error));
    return ASSAY_OK;
}

assay_status assay_sqlite_document_digest(assay_store *store,
                                          const assay_collection *collection, const char *id,
                                          bool *found, assay_digest *digest,
                                          assay_error *error)
{
    sqlite3_stmt *find;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &find, error,
                                "SELECT digest FROM documents WHERE collection = ?1 AND id = ?2"));
    sqlite3_bind_int64(find, 1, collection->key);
    assay_sql_bind(find, 2, id);
    ASSAY_TRY(assay_sql_step(store, find, cannot_read, &row, error));
    if (row) {
        const void *bytes = sqlite3_column_blob(find, 0);
        if (sqlite3_column_bytes(find, 0) != (int)sizeof digest->bytes) {
            sqlite3_reset(find);
            return assay_store_damaged(store, error, "document '%s' has a digest of a wrong size",
                                       id);
        }
        memcpy(digest->bytes, bytes, sizeof digest->bytes);
        sqlite3_reset(find);
    }
    *found = row;
    return ASSAY_OK;
}

/* ---- Pruning --------------------------------------------------------------------- */

assay_status assay_scan_begin(assay_store *store, assay_error *error)
{
    /* By id, not by key: a document marked may be replaced afterwards. */
    return assay_sql_exec(store, "cannot begin a scan", error,
                          "CREATE TEMP TABLE IF NOT EXISTS scan(collection INTEGER, id TEXT,"
                          " source TEXT, PRIMARY KEY(collection, id)) WITHOUT ROWID; DELETE FROM temp.scan");
}

assay_status assay_scan_mark(assay_store *store, const assay_collection *collection,
                             const char *id, const char *source, bool *again,
                             assay_error *error)
{
    sqlite3_stmt *mark;
    ASSAY_TRY(assay_sql_prepare(store, &mark, error,
                                "INSERT OR IGNORE INTO temp.scan VALUES(?1, ?2, ?3)"));
    sqlite3_bind_int64(mark, 1, collection->key);
    assay_sql_bind(mark, 2, id);
    assay_sql_bind(mark, 3, source);
    ASSAY_TRY(assay_sql_run(store, mark, "cannot mark a document", error));
    *again = sqlite3_changes(store->db) == 0;
    return ASSAY_OK;
}

assay_status assay_sqlite_scan_finish(assay_store *store, const assay_collection *collection,
                                      assay_error *error)
{
    sqlite3_stmt *move;
    ASSAY_TRY(assay_sql_inside(store, "assay_scan_finish", error));
    ASSAY_TRY(assay_sql_prepare(store, &move, error,
                                "UPDATE documents SET source = s.source FROM temp.scan s"
                                " WHERE s.collection = ?1 AND documents.collection = ?1"
                                " AND documents.id = s.id AND documents.source <> s.source"));
    sqlite3_bind_int64(move, 1, collection->key);
    return assay_sql_run(store, move, "cannot write where documents came from", error);
}

typedef struct keys {
    int64_t *items;
    size_t count, capacity;
} keys;

static assay_status keys_add(keys *list, int64_t key, assay_error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 256;
        int64_t *grown = realloc(list->items, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, capacity * sizeof *grown);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = key;
    return ASSAY_OK;
}

/* Documents not marked whose source is `path` or below: as bytes, path + "/" up
 * to path + "0", the next byte. Below "." is what neither begins with "/" nor
 * leads out by "..", nor came from standard input. */
static assay_status unmarked_under(assay_store *store, int64_t collection, const char *path,
                                   size_t length, keys *list, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT d.key FROM documents d WHERE d.collection = ?1"
                                " AND (d.source = ?2 OR"
                                " (d.source >= ?2 || '/' AND d.source < ?2 || '0') OR"
                                " (?2 = '.' AND d.source NOT GLOB '/*' AND d.source <> '-'"
                                " AND d.source NOT GLOB '../*'))"
                                " AND NOT EXISTS (SELECT 1 FROM temp.scan s"
                                " WHERE s.collection = ?1 AND s.id = d.id)"));
    sqlite3_bind_int64(select, 1, collection);
    sqlite3_bind_text64(select, 2, path, length, SQLITE_STATIC, SQLITE_UTF8);
    assay_status status;
    while ((status = assay_sql_step(store, select, cannot_read, &row, error)) == ASSAY_OK && row)
        if ((status = keys_add(list, sqlite3_column_int64(select, 0), error)) != ASSAY_OK)
            break;
    sqlite3_reset(select);
    return status;
}

assay_status assay_sqlite_scan_prune(assay_store *store, assay_collection *collection,
                                     const char *path, uint64_t *removed, assay_error *error)
{
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    keys list = {0};
    ASSAY_TRY(assay_sql_inside(store, "assay_scan_prune", error));
    assay_status status = unmarked_under(store, collection->key, path, length, &list, error);
    for (size_t i = 0; i < list.count && status == ASSAY_OK; i++)
        status = delete_document(store, collection, list.items[i], error);
    if (status == ASSAY_OK && list.count > 0)
        status = assay_collection_touch(store, collection, error);
    if (status == ASSAY_OK)
        *removed = list.count;
    free(list.items);
    return status;
}

/* ---- Reading ----------------------------------------------------------------------- */

/* Reads a piece of a document's text, without the rest of it, as a text of the
 * arena. A statement holds the snapshot open meanwhile. */
static assay_status read_piece(assay_store *store, int64_t document, uint64_t offset,
                               uint64_t length, assay_arena *arena, assay_text *out,
                               assay_error *error)
{
    sqlite3_blob *blob = NULL;
    int code = sqlite3_blob_open(store->db, "main", "documents", "text", document, 0, &blob);
    assay_status status = ASSAY_OK;
    if (code != SQLITE_OK) {
        status = assay_sql_fail(store, code, cannot_read, error);
    } else {
        uint64_t size = (uint64_t)sqlite3_blob_bytes(blob);
        char *copy = NULL;
        if (offset > size || length > size - offset)
            status = assay_store_damaged(store, error, "a passage ends after the text of its "
                                         "document (key %" PRId64 ")", document);
        else if ((copy = assay_arena_small(arena, length + 1)) == NULL)
            status = assay_fail_memory(error, length + 1);
        else if ((code = sqlite3_blob_read(blob, copy, (int)length, (int)offset)) != SQLITE_OK)
            status = assay_sql_fail(store, code, cannot_read, error);
        if (status == ASSAY_OK) {
            copy[length] = '\0';
            *out = (assay_text){copy, length};
        }
    }
    sqlite3_blob_close(blob);
    return status;
}

static assay_status copy_text(sqlite3_stmt *row, int column, assay_arena *arena,
                              const char **out, assay_error *error)
{
    const char *text = assay_sql_text(row, column);
    *out = assay_arena_copy(arena, text, strlen(text));
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, strlen(text));
}

static assay_status copy_passage(assay_store *store, sqlite3_stmt *row, assay_arena *arena,
                                 assay_passage_view *out, assay_error *error)
{
    out->document = sqlite3_column_int64(row, 0);
    out->offset = (uint64_t)sqlite3_column_int64(row, 1);
    uint64_t length = (uint64_t)sqlite3_column_int64(row, 2);
    ASSAY_TRY(copy_text(row, 3, arena, &out->heading, error));
    ASSAY_TRY(copy_text(row, 4, arena, &out->id, error));
    ASSAY_TRY(copy_text(row, 5, arena, &out->title, error));
    ASSAY_TRY(copy_text(row, 6, arena, &out->source, error));
    return read_piece(store, out->document, out->offset, length, arena, &out->text, error);
}

assay_status assay_sqlite_passage_get(assay_store *store, uint64_t passage, assay_arena *arena,
                                      assay_passage_view *out, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT p.document, p.offset, p.length, p.heading, d.id, d.title,"
                                " d.source FROM passages p JOIN documents d ON d.key = p.document"
                                " WHERE p.key = ?1"));
    sqlite3_bind_int64(select, 1, (int64_t)passage);
    ASSAY_TRY(assay_sql_step(store, select, "cannot read the passage", &row, error));
    if (!row)
        return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                          "passage %" PRIu64 " is gone: its document was changed or deleted",
                          passage);
    assay_passage_view view = {.passage = passage};
    assay_status status = copy_passage(store, select, arena, &view, error);
    sqlite3_reset(select);
    if (status == ASSAY_OK)
        *out = view;
    return status;
}

assay_status assay_sqlite_passage_keys(assay_store *store, const assay_collection *collection,
                                       uint64_t after, uint64_t *passages, size_t most,
                                       size_t *count, assay_error *error)
{
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT key FROM passages WHERE collection = ?1 AND key > ?2"
                                " ORDER BY key LIMIT ?3"));
    sqlite3_bind_int64(select, 1, collection->key);
    sqlite3_bind_int64(select, 2, (int64_t)after);
    sqlite3_bind_int64(select, 3, (int64_t)most);
    return assay_sql_keys(store, select, cannot_read, passages, count, error);
}

assay_status assay_sqlite_document_text(assay_store *store, const char *collection,
                                        const char *document, assay_text *title,
                                        assay_text *text, assay_error *error)
{
    assay_collection found;
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sqlite_collection_open(store, collection, &found, error));
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT title, text FROM documents"
                                " WHERE collection = ?1 AND id = ?2"));
    sqlite3_bind_int64(select, 1, found.key);
    assay_sql_bind(select, 2, document);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (!row)
        return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                          "collection '%s' has no document '%s'", collection, document);
    const char *name = assay_sql_text(select, 0);
    size_t name_length = strlen(name);
    const void *bytes = sqlite3_column_blob(select, 1);
    size_t length = (size_t)sqlite3_column_bytes(select, 1);
    assay_buffer_clear(&store->text);
    assay_buffer_append(&store->text, name, name_length);
    assay_buffer_byte(&store->text, '\0');
    assay_buffer_append(&store->text, bytes, length);
    sqlite3_reset(select);
    ASSAY_TRY(assay_buffer_status(&store->text, document, error));
    *title = (assay_text){store->text.data, name_length};
    *text = (assay_text){store->text.data + name_length + 1, length};
    return ASSAY_OK;
}

/* ---- Vectors ------------------------------------------------------------------------ */

static assay_status each_vector(assay_store *store, sqlite3_stmt *select, float *vector,
                                uint32_t dimensions, assay_vector_fn fn, void *user,
                                assay_error *error)
{
    for (;;) {
        bool row;
        ASSAY_TRY(assay_sql_step(store, select, "cannot read the vectors", &row, error));
        if (!row)
            return ASSAY_OK;
        int64_t passage = sqlite3_column_int64(select, 0);
        const void *bytes = sqlite3_column_blob(select, 1);
        size_t size = (size_t)sqlite3_column_bytes(select, 1);
        if (bytes == NULL || size != dimensions * sizeof *vector)
            return assay_store_damaged(store, error, "passage %" PRId64 " has a vector of %zu "
                                       "bytes, expected %zu", passage, size,
                                       dimensions * sizeof *vector);
        /* SQLite's bytes need not be aligned. */
        memcpy(vector, bytes, size);
        if (!fn((uint64_t)passage, vector, user))
            return ASSAY_OK;
    }
}

assay_status assay_sqlite_vectors(assay_store *store, const assay_collection *collection,
                                  assay_vector_fn fn, void *user, assay_error *error)
{
    uint32_t dimensions = collection->config.dimensions;
    if (dimensions == 0)
        return ASSAY_OK;
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT v.passage, v.vector FROM passages p"
                                " CROSS JOIN vectors v ON v.passage = p.key"
                                " WHERE p.collection = ?1 ORDER BY p.key"));
    float *vector = malloc(dimensions * sizeof *vector);
    if (vector == NULL)
        return assay_fail_memory(error, dimensions * sizeof *vector);
    sqlite3_bind_int64(select, 1, collection->key);
    assay_status status = each_vector(store, select, vector, dimensions, fn, user, error);
    sqlite3_reset(select);
    free(vector);
    return status;
}

assay_status assay_sqlite_vector_count(assay_store *store, const assay_collection *collection,
                                       uint64_t *count, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT count(*) FROM passages p"
                                " CROSS JOIN vectors v ON v.passage = p.key"
                                " WHERE p.collection = ?1"));
    sqlite3_bind_int64(select, 1, collection->key);
    ASSAY_TRY(assay_sql_step(store, select, "cannot count the vectors", &row, error));
    *count = row ? (uint64_t)sqlite3_column_int64(select, 0) : 0;
    sqlite3_reset(select);
    return ASSAY_OK;
}
