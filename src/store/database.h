/* SPDX-License-Identifier: Apache-2.0 */
/*
 * database.h: SQLite as the files of this floor see it.
 *
 * A statement is prepared once per text and kept; a failure of SQLite becomes
 * an assay_status in one place (assay_sql_fail). Nothing outside src/store
 * includes this. One thread per store.
 */
#ifndef ASSAY_DATABASE_H
#define ASSAY_DATABASE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/string_map.h"
#include "store/backend.h"

enum {
    ASSAY_STATEMENTS = 48,      /* kept prepared */
    ASSAY_SQL_SIZE = 640,       /* longest statement text, with its NUL */
    ASSAY_DIMENSIONS_MAX = 65536,
    ASSAY_FTS_COLUMNS = 3,      /* title, heading, body */
    ASSAY_SCHEMA_TOKENS = 2,    /* the first with tokenizers and tokens */
    ASSAY_SCHEMA_ATTRIBUTES = 3, /* the first with fields and attributes */
    ASSAY_SCHEMA_LATE = 4,       /* the first with token vectors, */
    ASSAY_SCHEMA_BOOKS = 5,      /* with codes of them, */
    ASSAY_SCHEMA_POOL = 6,       /* and with pooled ones */
};

typedef struct assay_statement {
    char sql[ASSAY_SQL_SIZE];
    sqlite3_stmt *handle;
    uint64_t used; /* when, counted in look-ups */
} assay_statement;

struct assay_store {
    const assay_backend *calls;
    char *home; /* where files derived from it lie */
    char *path; /* of the database, as messages name it */
    char *given; /* what it was opened by: a folder, or an URL */
    uint32_t busy_ms;
    bool read_only;
    assay_buffer text; /* behind assay_document_text */
    struct assay_postgres *postgres; /* NULL: the database is SQLite's */

    sqlite3 *db; /* beside PostgreSQL one in memory, for words and a scan's marks */
    uint32_t schema; /* of the file, see schema.c */
    bool frozen; /* opened as an immutable file: see sqlite.c */
    struct timespec frozen_time;
    off_t frozen_size;
    assay_statement statements[ASSAY_STATEMENTS];
    uint64_t lookups;
    fts5_tokenizer tokenizer_calls;
    Fts5Tokenizer *tokenizer; /* as the FTS5 tables use it, for questions */
};

/* ---- Errors ---------------------------------------------------------------- */

/* SQLite's result code, and the system's when it was that, as a status; never
 * ASSAY_OK. */
assay_status assay_sql_status(int code, int errno_value);

/* The same for this store's database, with its message and what to do. `action`
 * reads like "cannot store document 'x'". Never returns ASSAY_OK. */
assay_status assay_sql_fail(assay_store *store, int code, const char *action,
                            assay_error *error);

/* What the schema or its checks cannot allow, found in the file. */
assay_status assay_store_damaged(assay_store *store, assay_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* There is no collection of this name; `names` lists some that there are, "a, b, c". */
assay_status assay_store_no_collection(const assay_store *store, const char *name,
                                       const char *names, assay_error *error);

/* ---- Statements ------------------------------------------------------------ */

/* The statement of this text, reset and without bindings. It belongs to the
 * store; at most ASSAY_STATEMENTS / 2 may be stepping at a time. */
assay_status assay_sql_prepare(assay_store *store, sqlite3_stmt **out, assay_error *error,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* *row: there is a row to read; else the statement is reset. */
assay_status assay_sql_step(assay_store *store, sqlite3_stmt *statement, const char *action,
                            bool *row, assay_error *error);

/* The first column of all rows, keys; the statement gives at most as many as there is
 * room for. */
assay_status assay_sql_keys(assay_store *store, sqlite3_stmt *statement, const char *action,
                            uint64_t *keys, size_t *count, assay_error *error);

/* Runs a statement that gives no rows, and resets it. */
assay_status assay_sql_run(assay_store *store, sqlite3_stmt *statement, const char *action,
                           assay_error *error);

/* Runs statements that are not worth keeping. */
assay_status assay_sql_exec(assay_store *store, const char *action, assay_error *error,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Drops all statements kept, so that tables may be dropped. */
void assay_sql_forget(assay_store *store);

/* Text of a column, "" for NULL: valid until the statement steps. */
const char *assay_sql_text(sqlite3_stmt *statement, int column);

/* Binds NUL-terminated text, NULL as "", that outlives the statement's run. */
void assay_sql_bind(sqlite3_stmt *statement, int parameter, const char *text);
void assay_sql_bind_bytes(sqlite3_stmt *statement, int parameter, const void *data,
                          size_t length);

/* ---- Transactions ---------------------------------------------------------- */

/* For functions that may be called inside the caller's transaction or outside:
 * begins one when there is none (*own), and ends it as `status` says. */
assay_status assay_sql_enter(assay_store *store, bool *own, assay_error *error);
assay_status assay_sql_leave(assay_store *store, bool own, assay_status status,
                             assay_error *error);
/* ARGUMENT when there is no transaction. `function` is named in the message. */
assay_status assay_sql_inside(assay_store *store, const char *function, assay_error *error);

/* ---- What backend.h asks for ----------------------------------------------- */

/* Opens the store, whose options are set, in a folder, made where that is asked for. */
assay_status assay_sqlite_open(assay_store *store, const char *home, bool create,
                               assay_error *error);
void assay_sqlite_close(assay_store *store);
assay_status assay_sqlite_collection_open(assay_store *store, const char *name,
                                          assay_collection *out, assay_error *error);
assay_status assay_sqlite_collection_create(assay_store *store, const char *name,
                                            const assay_collection_config *config,
                                            assay_collection *out, assay_error *error);
assay_status assay_sqlite_collection_describe(assay_store *store, const char *name,
                                              assay_collection_info *out, assay_error *error);
assay_status assay_sqlite_collection_list(assay_store *store, assay_collection_info **out,
                                          size_t *count, assay_error *error);
assay_status assay_sqlite_collection_drop(assay_store *store, const char *name,
                                          assay_error *error);
assay_status assay_sqlite_begin(assay_store *store, assay_error *error);
assay_status assay_sqlite_commit(assay_store *store, assay_error *error);
void assay_sqlite_rollback(assay_store *store);
assay_status assay_sqlite_check(assay_store *store, assay_progress_fn progress, void *user,
                                uint64_t *problems, assay_error *error);
assay_status assay_sqlite_document_digest(assay_store *store,
                                          const assay_collection *collection, const char *id,
                                          bool *found, assay_digest *digest,
                                          assay_error *error);
assay_status assay_sqlite_document_put(assay_store *store, assay_collection *collection,
                                       const assay_stored_document *document,
                                       assay_error *error);
assay_status assay_sqlite_document_delete(assay_store *store, assay_collection *collection,
                                          const char *id, bool *found, assay_error *error);
assay_status assay_sqlite_document_text(assay_store *store, const char *collection,
                                        const char *document, assay_text *title,
                                        assay_text *text, assay_error *error);
assay_status assay_sqlite_document_list(assay_store *store, const char *collection,
                                        const char *after, size_t most, assay_documents *out,
                                        assay_error *error);
assay_status assay_sqlite_document_get(assay_store *store, const char *collection,
                                       const char *id, assay_documents *out,
                                       assay_error *error);
assay_status assay_sqlite_scan_finish(assay_store *store, const assay_collection *collection,
                                      assay_error *error);
assay_status assay_sqlite_scan_prune(assay_store *store, assay_collection *collection,
                                     const char *path, uint64_t *removed, assay_error *error);
assay_status assay_sqlite_filter(assay_store *store, const assay_collection *collection,
                                 const assay_filter *filter, assay_selection *out,
                                 assay_error *missing, assay_error *error);
assay_status assay_sqlite_bm25(assay_store *store, const assay_collection *collection,
                               assay_text question, double k1, double b,
                               const assay_selection *allowed, size_t k, assay_candidate *out,
                               size_t *count, assay_error *error);
assay_status assay_sqlite_passage_get(assay_store *store, uint64_t passage, assay_arena *arena,
                                      assay_passage_view *out, assay_error *error);
assay_status assay_sqlite_passage_keys(assay_store *store, const assay_collection *collection,
                                       uint64_t after, uint64_t *passages, size_t most,
                                       size_t *count, assay_error *error);
assay_status assay_sqlite_tokens_get(assay_store *store, uint64_t passage,
                                     const assay_digest *tokenizer, assay_arena *arena,
                                     assay_token_ids *out, assay_error *error);
assay_status assay_sqlite_tokens_put(assay_store *store, uint64_t passage,
                                     const assay_digest *tokenizer, const int32_t *ids,
                                     size_t count, assay_error *error);
assay_status assay_sqlite_tokens_missing(assay_store *store,
                                         const assay_collection *collection,
                                         const assay_digest *tokenizer, uint64_t after,
                                         uint64_t *passages, size_t most, size_t *count,
                                         assay_error *error);
assay_status assay_sqlite_late_get(assay_store *store, const assay_collection *collection,
                                   assay_late_model *out, assay_error *error);
assay_status assay_sqlite_late_set(assay_store *store, const assay_collection *collection,
                                   const assay_late_model *model, const void *book,
                                   size_t length,
                                   assay_error *error);
assay_status assay_sqlite_late_book(assay_store *store, const assay_collection *collection,
                                    assay_buffer *out, assay_error *error);
assay_status assay_sqlite_token_vectors_read(assay_store *store, uint64_t passage,
                                             void (*fn)(void *user, const assay_token_rows *rows),
                                             void *user, assay_error *error);
assay_status assay_sqlite_token_vectors_put(assay_store *store, uint64_t passage,
                                            const assay_token_rows *rows, assay_error *error);
assay_status assay_sqlite_token_vectors_missing(assay_store *store,
                                                const assay_collection *collection,
                                                uint64_t after, uint64_t *passages,
                                                size_t most, size_t *count,
                                                assay_error *error);
assay_status assay_sqlite_vectors(assay_store *store, const assay_collection *collection,
                                  assay_vector_fn fn, void *user, assay_error *error);
assay_status assay_sqlite_vector_count(assay_store *store, const assay_collection *collection,
                                       uint64_t *count, assay_error *error);

/* ---- Between the files of this floor ---------------------------------------- */

/* schema.c: which schema the file has (0: it is empty), also in store->schema.
 * Refuses other programs' databases and newer schemas. */
assay_status assay_schema_version(assay_store *store, uint32_t *version, assay_error *error);
/* schema.c: makes the schema, or brings an older one up to date. */
assay_status assay_schema_update(assay_store *store, assay_error *error);
/* schema.c: tables of one collection. */
assay_status assay_schema_add(assay_store *store, int64_t collection, assay_error *error);
assay_status assay_schema_remove(assay_store *store, int64_t collection, assay_error *error);

/* tokens.c: writes the token ids of a passage in place of those it has. */
assay_status assay_tokens_write(assay_store *store, int64_t passage,
                                const assay_digest *tokenizer, const int32_t *ids,
                                size_t count, assay_error *error);
/* tokens.c: passages of a collection that have token ids. */
assay_status assay_tokens_count(assay_store *store, int64_t collection, uint64_t *count,
                                assay_error *error);
/* tokens.c: calls `tell` with each passage whose token ids are damaged, until it
 * fails. */
typedef assay_status (*assay_damaged_fn)(void *user, int64_t passage);
assay_status assay_tokens_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                 assay_error *error);

/* attributes.c: writes the values of a document's metadata (which may be NULL), or
 * takes out those that were written of the same metadata. */
assay_status assay_attributes_write(assay_store *store, int64_t collection, int64_t document,
                                    const char *metadata, assay_error *error);
assay_status assay_attributes_remove(assay_store *store, int64_t collection, int64_t document,
                                     const char *metadata, assay_error *error);
/* attributes.c: writes those of all documents there are. */
assay_status assay_attributes_fill(assay_store *store, assay_error *error);
/* attributes.c: how many values the documents' metadata has, and how many of them
 * are written; *stored counts all that are. */
assay_status assay_attributes_verify(assay_store *store, uint64_t *expected, uint64_t *found,
                                     uint64_t *stored, assay_error *error);

/* term_lists.c: tokens of a passage out of a column of FTS5's docsize table; false
 * when it does not hold that. */
bool assay_docsize_read(sqlite3_stmt *row, int column, uint64_t *tokens);

/* token_vectors.c: a passage's token vectors as a row's bytes; false: damaged. */
bool assay_token_rows_decode(const void *bytes, size_t length, assay_token_rows *out);
void assay_token_rows_encode(const assay_token_rows *rows, assay_buffer *out);
/* collections.c: what the public header calls so many bits a coordinate. */
assay_late_codes assay_late_codes_of(const char *model, uint32_t bits);
/* token_vectors.c: passages of a collection that have token vectors, and the bytes of
 * these; those that are damaged. */
assay_status assay_token_vectors_count(assay_store *store, int64_t collection, uint64_t *count,
                                       uint64_t *bytes, assay_error *error);
assay_status assay_token_vectors_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                        assay_error *error);
/* token_vectors.c: the same of the books of codes, by collection. */
assay_status assay_late_books_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                     assay_error *error);

/* document_list.c: an empty list with room for so many, whose strings lie in the arena. */
assay_status assay_documents_new(size_t most, assay_documents *out, assay_arena **arena,
                                 assay_error *error);

/* bm25.c: the words of a passage as its index has them: stems, each with how often it
 * stands there; of one longer than `most` bytes the beginning. */
typedef struct assay_passage_terms {
    assay_string_map *map;
    assay_buffer times; /* uint32_t, by number in the map */
    uint64_t length;    /* all words */
} assay_passage_terms;
assay_status assay_passage_terms_read(assay_store *store, const assay_text *texts, size_t count,
                                      size_t most, assay_passage_terms *out, assay_error *error);
void assay_passage_terms_free(assay_passage_terms *terms);

/* bm25.c: what this connection needs for ranking. */
assay_status assay_bm25_register(assay_store *store, assay_error *error);
void assay_bm25_release(assay_store *store);

/* sqlite.c: BUSY when a database that was opened as immutable has changed. */
assay_status assay_store_unchanged(assay_store *store, assay_error *error);

/* collections.c: SQLite says only that a table is not there when a collection
 * was dropped by another process. Makes a NOT_FOUND of that; else `status`. */
assay_status assay_collection_gone(assay_store *store, const assay_collection *collection,
                                   assay_status status, assay_error *error);
/* collections.c: a change is about to be committed. */
assay_status assay_collection_touch(assay_store *store, assay_collection *collection,
                                    assay_error *error);

#endif
