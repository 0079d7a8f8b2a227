/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_schema.c: opening a PostgreSQL store, and its tables as a list of migrations.
 *
 * The tables lie in a schema of their own, "assay"; about.version counts the migrations
 * that it has seen. A migration is never edited after a release: a change is a new one
 * at the end. pgvector, whose types are in whatever schema it was put into, is found by
 * the search path, "public" by default.
 *
 *   collections  one row each; `generation` (store.h) grows with every change; how many
 *                passages and words there are, for BM25; what was measured of the index
 *                of its vectors; the model of the token vectors and the book of their codes
 *   documents    id, origin and the text, once, as bytes
 *   passages     begin and length in the document's text; `words`: how many it has
 *   words        BM25's index: a row per term of a passage, with how often it is there,
 *                and once more the passage's length, so that a search reads one index
 *   vectors      pgvector's, of any number of dimensions; a collection that is searched by
 *                HNSW or IVFFlat has an index of its own over its rows, vectors_<key>
 *   tokens       the token ids of what a cross-encoder reads of a passage, and whose
 *   token_vectors  as in SQLite, the same bytes (token_vectors.c)
 *   attributes   a row per value of a field of a document (text/metadata.h)
 *
 * A document's key is made of its id, so that the key says all that must be unique;
 * passages' keys come from one sequence, a thousand a step, and are never given again.
 * Every table has the collection and the document in its key: distributed relatives of
 * PostgreSQL can spread it by either.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "store/postgres.h"

static const char *const cannot_open = "cannot open the store";

static const char *const migrations[] = {
    "CREATE SEQUENCE assay.keys INCREMENT BY 1024;"
    "CREATE TABLE assay.collections("
    " key bigint PRIMARY KEY DEFAULT nextval('assay.keys'),"
    " name text COLLATE \"C\" NOT NULL UNIQUE,"
    " model text NOT NULL,"
    " model_digest text NOT NULL,"
    " dimensions bigint NOT NULL,"
    " passage_tokens bigint NOT NULL,"
    " overlap_tokens bigint NOT NULL,"
    " generation bigint NOT NULL,"
    " created text NOT NULL,"
    " changed text NOT NULL,"
    " passages bigint NOT NULL DEFAULT 0,"
    " words bigint NOT NULL DEFAULT 0,"
    " vector_index bigint NOT NULL DEFAULT 0,"
    " vector_note text,"
    " late_model text,"
    " late_digest bytea,"
    " late_bits bigint NOT NULL DEFAULT 0,"
    " late_sum bigint NOT NULL DEFAULT 0,"
    " late_book bytea,"
    " late_pool bigint NOT NULL DEFAULT 1);"
    "CREATE TABLE assay.documents("
    " collection bigint NOT NULL REFERENCES assay.collections ON DELETE CASCADE,"
    " key bigint NOT NULL,"
    " id text COLLATE \"C\" NOT NULL,"
    " digest bytea NOT NULL,"
    " source text COLLATE \"C\" NOT NULL,"
    " title text NOT NULL,"
    " metadata text,"
    " text bytea NOT NULL,"
    " PRIMARY KEY(collection, key));"
    "CREATE INDEX documents_by_id ON assay.documents(collection, id);"
    "CREATE INDEX documents_by_source ON assay.documents(collection, source);"
    "CREATE TABLE assay.passages("
    " collection bigint NOT NULL,"
    " key bigint NOT NULL,"
    " document bigint NOT NULL,"
    " begin bigint NOT NULL,"
    " length bigint NOT NULL,"
    " tokens bigint NOT NULL,"
    " truncated bigint NOT NULL,"
    " words bigint NOT NULL,"
    " heading text NOT NULL,"
    " PRIMARY KEY(collection, document, key),"
    " FOREIGN KEY(collection, document) REFERENCES assay.documents ON DELETE CASCADE);"
    "CREATE INDEX passages_by_key ON assay.passages(collection, key);"
    "CREATE TABLE assay.words("
    " collection bigint NOT NULL,"
    " term bytea NOT NULL,"
    " document bigint NOT NULL,"
    " passage bigint NOT NULL,"
    " times bigint NOT NULL,"
    " length bigint NOT NULL,"
    " PRIMARY KEY(collection, document, passage, term));"
    "CREATE INDEX words_by_term ON assay.words(collection, term)"
    " INCLUDE(document, passage, times, length);"
    "CREATE TABLE assay.vectors("
    " collection bigint NOT NULL,"
    " document bigint NOT NULL,"
    " passage bigint NOT NULL,"
    " vector vector NOT NULL,"
    " PRIMARY KEY(collection, document, passage),"
    " FOREIGN KEY(collection, document, passage) REFERENCES assay.passages ON DELETE CASCADE);"
    "CREATE INDEX vectors_by_passage ON assay.vectors(collection, passage);"
    "CREATE TABLE assay.tokens("
    " collection bigint NOT NULL,"
    " document bigint NOT NULL,"
    " passage bigint NOT NULL,"
    " tokenizer bytea NOT NULL,"
    " ids bytea NOT NULL,"
    " PRIMARY KEY(collection, document, passage),"
    " FOREIGN KEY(collection, document, passage) REFERENCES assay.passages ON DELETE CASCADE);"
    "CREATE TABLE assay.token_vectors("
    " collection bigint NOT NULL,"
    " document bigint NOT NULL,"
    " passage bigint NOT NULL,"
    " vectors bytea NOT NULL,"
    " PRIMARY KEY(collection, document, passage),"
    " FOREIGN KEY(collection, document, passage) REFERENCES assay.passages ON DELETE CASCADE);"
    "CREATE TABLE assay.attributes("
    " collection bigint NOT NULL,"
    " document bigint NOT NULL,"
    " field text COLLATE \"C\" NOT NULL,"
    " kind bigint NOT NULL,"
    " value text COLLATE \"C\" NOT NULL,"
    " number numeric,"
    " PRIMARY KEY(collection, document, field, kind, value),"
    " FOREIGN KEY(collection, document) REFERENCES assay.documents ON DELETE CASCADE);"
    "CREATE INDEX attributes_by_number ON assay.attributes(collection, field, kind, number);"
    "CREATE INDEX attributes_by_value ON assay.attributes(collection, field, kind, value)",
};

enum { KNOWN = sizeof migrations / sizeof *migrations };

/* ---- The schema ------------------------------------------------------------------ */

static assay_status number_of(assay_store *store, const char *constant, int64_t *out,
                              assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(constant);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_open, &rows, error));
    *out = assay_pg_rows_count(rows) > 0 ? assay_pg_get_int(rows, 0, 0) : 0;
    assay_pg_free(rows);
    return ASSAY_OK;
}

/* How many migrations the schema has seen; 0: it is not there. */
static assay_status read_version(assay_store *store, int64_t *version, assay_error *error)
{
    int64_t tables, known;
    *version = 0;
    ASSAY_TRY(number_of(store, "SELECT count(*) FROM pg_tables WHERE schemaname = 'assay'",
                        &tables, error));
    ASSAY_TRY(number_of(store, "SELECT count(*) FROM pg_tables WHERE schemaname = 'assay'"
                               " AND tablename = 'about'", &known, error));
    if (tables > 0 && known == 0)
        return assay_fail(error, ASSAY_E_FORMAT, store->path,
                          "has a schema \"assay\" of another program; choose another database");
    if (known == 0)
        return ASSAY_OK;
    ASSAY_TRY(number_of(store, "SELECT version FROM assay.about", version, error));
    if (*version > KNOWN)
        return assay_fail(error, ASSAY_E_VERSION, store->path,
                          "written by a newer assay (schema %lld, this one knows %d)",
                          (long long)*version, (int)KNOWN);
    return ASSAY_OK;
}

static assay_status have_vectors(assay_store *store, assay_error *error)
{
    int64_t there;
    assay_error problem;
    ASSAY_TRY(number_of(store, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'",
                        &there, error));
    if (there > 0)
        return ASSAY_OK;
    if (assay_pg_command(store, "cannot set up pgvector", &problem, "CREATE EXTENSION vector") ==
        ASSAY_OK)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                      "%s; assay needs the extension pgvector: install it, and let a superuser run "
                      "CREATE EXTENSION vector in this database", problem.message);
}

/* A migration is several statements, and a statement with values is one. */
static assay_status apply(assay_store *store, const char *migration, assay_error *error)
{
    char *copy = strdup(migration), *rest = copy, *sql;
    assay_status status = copy != NULL ? ASSAY_OK : assay_fail_memory(error, strlen(migration));
    while (status == ASSAY_OK && (sql = strsep(&rest, ";")) != NULL)
        status = assay_pg_command(store, "cannot make the tables", error, "%s", sql);
    free(copy);
    return status;
}

static assay_status migrate(assay_store *store, assay_error *error)
{
    int64_t version;
    /* One at a time: a lock of this schema's own, until the transaction's end. */
    ASSAY_TRY(assay_pg_command(store, cannot_open, error,
                               "SELECT pg_advisory_xact_lock(hashtext('assay.schema'))"));
    ASSAY_TRY(read_version(store, &version, error));
    if (version == KNOWN)
        return ASSAY_OK;
    if (version == 0) {
        ASSAY_TRY(have_vectors(store, error));
        ASSAY_TRY(apply(store, "CREATE SCHEMA IF NOT EXISTS assay;"
                               "CREATE TABLE assay.about(version bigint NOT NULL,"
                               " id text NOT NULL);"
                               "INSERT INTO assay.about VALUES(0, md5(random()::text ||"
                               " clock_timestamp()::text || pg_backend_pid()::text))", error));
    }
    for (; version < KNOWN; version++)
        ASSAY_TRY(apply(store, migrations[version], error));
    return assay_pg_command(store, cannot_open, error, "UPDATE assay.about SET version = %d",
                            (int)KNOWN);
}

assay_status assay_pg_schema_open(assay_store *store, bool create, assay_error *error)
{
    int64_t version;
    bool own;
    ASSAY_TRY(read_version(store, &version, error));
    if (version == KNOWN)
        return ASSAY_OK;
    if (version == 0 && !create)
        return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                          "the database has no schema \"assay\"; index something into it first");
    if (store->read_only)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                          "was written by an older assay; 'assay index' brings it up to date");
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    return assay_pg_leave(store, own, migrate(store, error), error);
}

/* ---- Opening --------------------------------------------------------------------- */

/* Where this machine keeps what it derives: <data directory>/postgresql/<id of the
 * store>, so that two databases are never taken for each other. */
static assay_status find_home(assay_store *store, assay_error *error)
{
    char home[4096], name[128], path[4300];
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of("SELECT id FROM assay.about");
    ASSAY_TRY(assay_pg_run(store, &q, cannot_open, &rows, error));
    char id[64] = "";
    bool good = assay_pg_rows_count(rows) == 1 && assay_pg_copy_text(rows, 0, 0, id, sizeof id) &&
                strspn(id, "0123456789abcdef") == strlen(id) && id[0] != '\0';
    assay_pg_free(rows);
    if (!good)
        return assay_store_damaged(store, error, "assay.about has not one row with an id");
    ASSAY_TRY(assay_home(home, sizeof home, error));
    snprintf(name, sizeof name, "postgresql/%s", id);
    ASSAY_TRY(assay_path_join(path, sizeof path, home, name, error));
    store->home = strdup(path);
    if (store->home == NULL)
        return assay_fail_memory(error, strlen(path));
    assay_folder_make(path, NULL); /* without it nothing is kept */
    return ASSAY_OK;
}

/* SQLite in memory: its tokenizer cuts passages and questions into the same words as in
 * the other kind of store, and a scan's marks are a table of it. */
static assay_status open_words(assay_store *store, assay_error *error)
{
    int code = sqlite3_open(":memory:", &store->db);
    if (code != SQLITE_OK)
        return assay_sql_fail(store, code, cannot_open, error);
    return assay_bm25_register(store, error);
}

assay_status assay_postgres_open(assay_store *store, const char *url, bool create,
                                 assay_error *error)
{
    static const char *const into[] = {
        [ASSAY_PG_DOCUMENTS] = "COPY assay.documents(collection, key, id, digest, source, title,"
                               " metadata, text) FROM STDIN (FORMAT binary)",
        [ASSAY_PG_PASSAGES] = "COPY assay.passages(collection, key, document, begin, length,"
                              " tokens, truncated, words, heading) FROM STDIN (FORMAT binary)",
        [ASSAY_PG_WORDS] = "COPY assay.words(collection, term, document, passage, times,"
                           " length) FROM STDIN (FORMAT binary)",
        [ASSAY_PG_VECTORS] = "COPY assay.vectors(collection, document, passage, vector)"
                             " FROM STDIN (FORMAT binary)",
        [ASSAY_PG_TOKENS] = "COPY assay.tokens(collection, document, passage, tokenizer, ids)"
                            " FROM STDIN (FORMAT binary)",
        [ASSAY_PG_ATTRIBUTES] = "COPY assay.attributes(collection, document, field, kind, value,"
                                " number) FROM STDIN",
    };
    assay_postgres *pg = calloc(1, sizeof *pg);
    if (pg == NULL)
        return assay_fail_memory(error, sizeof *pg);
    store->postgres = pg;
    for (size_t i = 0; i < ASSAY_PG_TABLES; i++) {
        pg->rows[i] = (assay_pg_rows){.into = into[i], .text = i == ASSAY_PG_ATTRIBUTES};
        assay_buffer_init(&pg->rows[i].bytes, 0);
    }
    ASSAY_TRY(assay_pg_pool_open(url, &pg->pool, error));
    store->path = strdup(assay_pg_pool_name(pg->pool));
    if (store->path == NULL)
        return assay_fail_memory(error, 512);
    ASSAY_TRY(open_words(store, error));
    ASSAY_TRY(assay_pg_schema_open(store, create, error));
    return find_home(store, error);
}

static void close_store(assay_store *store)
{
    assay_postgres *pg = store->postgres;
    if (pg == NULL)
        return;
    if (pg->pool != NULL)
        assay_pg_rollback(store);
    assay_pg_free(pg->expected);
    assay_pg_free(pg->expected_vectors);
    assay_pg_pool_close(pg->pool);
    for (size_t i = 0; i < ASSAY_PG_TABLES; i++)
        assay_buffer_free(&pg->rows[i].bytes);
    assay_string_map_free(pg->pending);
    free(pg);
    assay_bm25_release(store);
    assay_sql_forget(store);
    sqlite3_close(store->db);
}

const assay_backend assay_postgresql = {
    .close = close_store,
    .collection_open = assay_pg_collection_open,
    .collection_create = assay_pg_collection_create,
    .collection_describe = assay_pg_collection_describe,
    .collection_list = assay_pg_collection_list,
    .collection_drop = assay_pg_collection_drop,
    .begin = assay_pg_begin,
    .commit = assay_pg_commit,
    .rollback = assay_pg_rollback,
    .check = assay_pg_check,
    .document_digest = assay_pg_document_digest,
    .document_put = assay_pg_document_put,
    .document_delete = assay_pg_document_delete,
    .document_text = assay_pg_document_text,
    .document_list = assay_pg_document_list,
    .document_get = assay_pg_document_get,
    .scan_finish = assay_pg_scan_finish,
    .scan_prune = assay_pg_scan_prune,
    .filter = assay_pg_filter,
    .filter_keys = assay_pg_filter_keys,
    .bm25 = assay_pg_bm25,
    .passage_get = assay_pg_passage_get,
    .passage_keys = assay_pg_passage_keys,
    .tokens_get = assay_pg_tokens_get,
    .tokens_put = assay_pg_tokens_put,
    .tokens_missing = assay_pg_tokens_missing,
    .late_get = assay_pg_late_get,
    .late_set = assay_pg_late_set,
    .late_book = assay_pg_late_book,
    .token_vectors_expect = assay_pg_token_vectors_expect,
    .token_vectors_read = assay_pg_token_vectors_read,
    .token_vectors_put = assay_pg_token_vectors_put,
    .token_vectors_missing = assay_pg_token_vectors_missing,
    .vectors = assay_pg_vectors,
    .vector_count = assay_pg_vector_count,
    .passages_expect = assay_pg_passages_expect,
    .nearest = assay_pg_nearest,
    .vector_index_update = assay_pg_vector_index_update,
    .vector_index_describe = assay_pg_vector_index_describe,
    .vector_note_get = assay_pg_vector_note_get,
    .vector_note_set = assay_pg_vector_note_set,
};
