/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.c: the tables, as a list of migrations.
 *
 * PRAGMA user_version counts the migrations that a file has seen; PRAGMA
 * application_id ("assy") tells it from other programs' databases. A migration
 * is never edited after a release: a change is a new one at the end.
 *
 *   collections  one row each; `generation` (store.h) grows with every committed
 *                change
 *   documents    id, origin and the text, once, as bytes
 *   passages     offset and length into the document's text
 *   vectors      one row per embedded passage: float32, little-endian
 *   tokenizers   those that tokens are of, by digest
 *   tokens       one row per passage: the token ids of what a cross-encoder reads
 *                of it (text/token_ids.h), by one of the tokenizers
 *   fields       names of metadata fields, per collection
 *   attributes   one row per value of a field of a document (text/metadata.h), in
 *                the order in which a filter looks for them; kept by attributes.c
 *   late_models  of collections that keep token vectors: the model, a digest of all
 *                that they depend on, and how many tokens became one vector
 *   token_vectors  one row per passage of these (token_vectors.c)
 *   late_books   where vectors are kept in codes: what these mean (token_codes.h)
 *   fts_<key>    per collection, FTS5 over its passages, so that BM25's counts
 *                are the collection's own. External content: the text is read
 *                through the view passages_<key>, for FTS5's integrity check
 *                and its 'rebuild'. Entries are kept by documents.c.
 *
 * A store that only reads does without what an older file lacks: store->schema
 * says which it has, and what came later is asked for only then.
 *
 * Keys are AUTOINCREMENT: a key that was deleted is never given again, so a
 * vector index that is behind cannot mistake one passage for another.
 */
#include "store/database.h"

#include <inttypes.h>

enum { APPLICATION_ID = 0x61737379 };

static const char *const migrations[] = {
    "CREATE TABLE collections("
    " key INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " model TEXT NOT NULL,"
    " model_digest TEXT NOT NULL,"
    " dimensions INTEGER NOT NULL,"
    " passage_tokens INTEGER NOT NULL,"
    " overlap_tokens INTEGER NOT NULL,"
    " generation INTEGER NOT NULL,"
    " created TEXT NOT NULL,"
    " changed TEXT NOT NULL) STRICT;"
    "CREATE TABLE documents("
    " key INTEGER PRIMARY KEY AUTOINCREMENT,"
    " collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,"
    " id TEXT NOT NULL,"
    " digest BLOB NOT NULL,"
    " source TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " metadata TEXT,"
    " text BLOB NOT NULL,"
    " UNIQUE(collection, id)) STRICT;"
    "CREATE INDEX documents_by_source ON documents(collection, source);"
    "CREATE TABLE passages("
    " key INTEGER PRIMARY KEY AUTOINCREMENT,"
    " collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,"
    " document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,"
    " offset INTEGER NOT NULL,"
    " length INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL,"
    " truncated INTEGER NOT NULL,"
    " heading TEXT NOT NULL) STRICT;"
    "CREATE INDEX passages_by_document ON passages(document);"
    "CREATE INDEX passages_by_collection ON passages(collection);"
    "CREATE TABLE vectors("
    " passage INTEGER PRIMARY KEY REFERENCES passages ON DELETE CASCADE,"
    " vector BLOB NOT NULL) STRICT;",

    "CREATE TABLE tokenizers("
    " key INTEGER PRIMARY KEY,"
    " digest BLOB NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE tokens("
    " passage INTEGER PRIMARY KEY REFERENCES passages ON DELETE CASCADE,"
    " tokenizer INTEGER NOT NULL REFERENCES tokenizers,"
    " ids BLOB NOT NULL) STRICT;",

    "CREATE TABLE fields("
    " key INTEGER PRIMARY KEY AUTOINCREMENT,"
    " collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,"
    " name TEXT NOT NULL,"
    " UNIQUE(collection, name)) STRICT;"
    "CREATE TABLE attributes("
    " field INTEGER NOT NULL REFERENCES fields ON DELETE CASCADE,"
    " kind INTEGER NOT NULL,"
    " value ANY NOT NULL,"
    " document INTEGER NOT NULL,"
    " PRIMARY KEY(field, kind, value, document)) STRICT, WITHOUT ROWID;",

    "CREATE TABLE late_models("
    " collection INTEGER PRIMARY KEY REFERENCES collections ON DELETE CASCADE,"
    " model TEXT NOT NULL,"
    " digest BLOB NOT NULL) STRICT;"
    "CREATE TABLE token_vectors("
    " passage INTEGER PRIMARY KEY REFERENCES passages ON DELETE CASCADE,"
    " vectors BLOB NOT NULL) STRICT;",

    "CREATE TABLE late_books("
    " collection INTEGER PRIMARY KEY REFERENCES late_models ON DELETE CASCADE,"
    " bits INTEGER NOT NULL,"
    " sum INTEGER NOT NULL,"
    " book BLOB NOT NULL) STRICT;",

    "ALTER TABLE late_models ADD COLUMN pool INTEGER NOT NULL DEFAULT 1;",
};

enum { KNOWN = sizeof migrations / sizeof *migrations };

static assay_status read_number(assay_store *store, const char *sql, int64_t *out,
                                assay_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &statement, error, "%s", sql));
    ASSAY_TRY(assay_sql_step(store, statement, "cannot open the database", &row, error));
    *out = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return ASSAY_OK;
}

static assay_status read_version(assay_store *store, uint32_t *version, assay_error *error)
{
    int64_t application, seen, objects;
    ASSAY_TRY(read_number(store, "PRAGMA application_id", &application, error));
    ASSAY_TRY(read_number(store, "PRAGMA user_version", &seen, error));
    ASSAY_TRY(read_number(store, "SELECT count(*) FROM sqlite_schema", &objects, error));
    bool empty = objects == 0 && seen == 0;
    if (application != APPLICATION_ID && !(empty && application == 0))
        return assay_fail(error, ASSAY_E_FORMAT, store->path,
                          "an SQLite database of another program (application id %" PRId64
                          ", assay's is %d); choose another data directory",
                          application, APPLICATION_ID);
    if (seen > KNOWN)
        return assay_fail(error, ASSAY_E_VERSION, store->path,
                          "written by a newer assay (schema %" PRId64 ", this one knows %d)",
                          seen, (int)KNOWN);
    if (seen < 0 || (objects > 0) != (seen > 0))
        return assay_store_damaged(store, error, "schema number %" PRId64 " with %" PRId64
                                   " tables", seen, objects);
    if (store->read_only && empty)
        return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                          "the data directory is empty; index something into it first");
    store->schema = (uint32_t)seen;
    *version = (uint32_t)seen;
    return ASSAY_OK;
}

/* All of it in one transaction: another process may be making the tables just
 * now, and half of what it did looks like the database of another program. */
assay_status assay_schema_version(assay_store *store, uint32_t *version, assay_error *error)
{
    bool own = sqlite3_get_autocommit(store->db);
    if (own)
        ASSAY_TRY(assay_sql_exec(store, "cannot open the database", error, "BEGIN"));
    assay_status status = read_version(store, version, error);
    if (own)
        assay_sql_exec(store, "cannot open the database", NULL, "COMMIT");
    return status;
}

static assay_status migrate(assay_store *store, assay_error *error)
{
    /* Read again: another process may have been first. */
    uint32_t version;
    ASSAY_TRY(assay_schema_version(store, &version, error));
    for (; version < KNOWN; version++) {
        ASSAY_TRY(assay_sql_exec(store, "cannot make the database's tables", error, "%s",
                                 migrations[version]));
        if (version + 1 == ASSAY_SCHEMA_ATTRIBUTES)
            ASSAY_TRY(assay_attributes_fill(store, error));
    }
    store->schema = KNOWN;
    return assay_sql_exec(store, "cannot make the database's tables", error,
                          "PRAGMA application_id = %d; PRAGMA user_version = %d",
                          APPLICATION_ID, (int)KNOWN);
}

assay_status assay_schema_update(assay_store *store, assay_error *error)
{
    uint32_t version;
    ASSAY_TRY(assay_schema_version(store, &version, error));
    if (version == KNOWN)
        return ASSAY_OK;
    bool own;
    ASSAY_TRY(assay_sql_enter(store, &own, error));
    return assay_sql_leave(store, own, migrate(store, error), error);
}

assay_status assay_schema_add(assay_store *store, int64_t collection, assay_error *error)
{
    const char *action = "cannot make the collection's tables";
    ASSAY_TRY(assay_sql_exec(
        store, action, error,
        "CREATE VIEW passages_%lld AS SELECT p.key AS key, d.title AS title,"
        " p.heading AS heading, CAST(substr(d.text, p.offset + 1, p.length) AS TEXT) AS body"
        " FROM passages p JOIN documents d ON d.key = p.document WHERE p.collection = %lld",
        (long long)collection, (long long)collection));
    return assay_sql_exec(
        store, action, error,
        "CREATE VIRTUAL TABLE fts_%lld USING fts5(title, heading, body,"
        " content = 'passages_%lld', content_rowid = 'key',"
        " tokenize = 'porter unicode61 remove_diacritics 2')",
        (long long)collection, (long long)collection);
}

assay_status assay_schema_remove(assay_store *store, int64_t collection, assay_error *error)
{
    return assay_sql_exec(store, "cannot remove the collection's tables", error,
                          "DROP TABLE fts_%lld; DROP VIEW passages_%lld",
                          (long long)collection, (long long)collection);
}
