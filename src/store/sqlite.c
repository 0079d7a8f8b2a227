/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.c: opening the database, its transactions, statements and errors.
 *
 * SQLite in WAL mode: readers see the last commit while one process writes.
 * synchronous is FULL: a commit that returned survives a killed process and a
 * power loss; commits come one a batch of embedded documents, so the fsync is
 * not felt. The file is treated as somebody else's: DEFENSIVE, an untrusted
 * schema, cell sizes checked, no memory mapping (a truncated file would raise
 * SIGBUS).
 *
 * Reading where nothing can be written: WAL wants a -shm file, which cannot be
 * made on a read-only file system or in a folder of somebody else's. When no
 * -wal file is there, the database is complete in itself and is opened with
 * immutable=1. SQLite then does not look for other writers; so we do, with the
 * file's time and size, each time a collection is opened.
 */
#include "store/database.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define DATABASE_NAME "assay.sqlite"

enum { CACHE_KIB = 16 * 1024, PAGE_SIZE = 8192 };

/* ---- Errors ---------------------------------------------------------------- */

assay_status assay_sql_status(int code, int errno_value)
{
    if (errno_value == EDQUOT || errno_value == EFBIG || errno_value == ENOSPC)
        return ASSAY_E_FULL;
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ASSAY_E_BUSY;
    case SQLITE_FULL:
        return ASSAY_E_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ASSAY_E_CORRUPT;
    case SQLITE_NOMEM:
        return ASSAY_E_MEMORY;
    case SQLITE_CANTOPEN:
        return errno_value == ENOENT ? ASSAY_E_NOT_FOUND : ASSAY_E_IO;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_NOMEM ? ASSAY_E_MEMORY : ASSAY_E_IO;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_PROTOCOL:
        return ASSAY_E_IO;
    case SQLITE_TOOBIG:
        return ASSAY_E_LIMIT;
    case SQLITE_INTERRUPT:
        return ASSAY_E_INTERRUPTED;
    default:
        return ASSAY_E_INTERNAL;
    }
}

static const char *advice(assay_status status, bool read_only)
{
    switch (status) {
    case ASSAY_E_BUSY:
        return "; another process is writing, try again when it is done";
    case ASSAY_E_FULL:
        return "; make room and try again, nothing committed is lost";
    case ASSAY_E_CORRUPT:
        return "; the file is damaged, restore it or index again into a new data directory";
    case ASSAY_E_LIMIT:
        return "; one text may be at most 1000000000 bytes";
    case ASSAY_E_IO:
        return read_only ? "; the store is open for reading only" : "";
    default:
        return "";
    }
}

assay_status assay_sql_fail(assay_store *store, int code, const char *action, assay_error *error)
{
    int reason = 0;
    int kind = code & 0xff;
    if (store->db != NULL && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN))
        reason = sqlite3_system_errno(store->db);
    const char *text = store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
    assay_status status = assay_sql_status(code, reason);
    char system[128] = "";
    const char *why = reason != 0 ? strerror_r(reason, system, sizeof system) : "";
    bool read_only = store->read_only && kind == SQLITE_READONLY;
    return assay_fail(error, status, store->path, "%s: %s%s%s%s", action, text,
                      reason != 0 ? ": " : "", why, advice(status, read_only));
}

assay_status assay_store_damaged(assay_store *store, assay_error *error, const char *format, ...)
{
    char text[384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return assay_fail(error, ASSAY_E_CORRUPT, store->path, "%s%s", text,
                      advice(ASSAY_E_CORRUPT, false));
}

/* ---- Statements ------------------------------------------------------------ */

/* The place for a new statement: a free one, else the one not used longest. */
static assay_statement *place_for_statement(assay_store *store)
{
    assay_statement *oldest = NULL;
    for (size_t i = 0; i < ASSAY_STATEMENTS; i++) {
        assay_statement *s = &store->statements[i];
        if (s->handle == NULL)
            return s;
        if (!sqlite3_stmt_busy(s->handle) && (oldest == NULL || s->used < oldest->used))
            oldest = s;
    }
    if (oldest != NULL) {
        sqlite3_finalize(oldest->handle);
        oldest->handle = NULL;
    }
    return oldest;
}

static assay_statement *find_statement(assay_store *store, const char *sql)
{
    for (size_t i = 0; i < ASSAY_STATEMENTS; i++) {
        assay_statement *s = &store->statements[i];
        if (s->handle != NULL && strcmp(s->sql, sql) == 0)
            return s;
    }
    return NULL;
}

assay_status assay_sql_prepare(assay_store *store, sqlite3_stmt **out, assay_error *error,
                               const char *format, ...)
{
    char sql[ASSAY_SQL_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof sql)
        return assay_fail(error, ASSAY_E_INTERNAL, "database.h",
                          "a statement is longer than %zu bytes", sizeof sql);
    assay_statement *s = find_statement(store, sql);
    if (s == NULL) {
        s = place_for_statement(store);
        if (s == NULL)
            return assay_fail(error, ASSAY_E_INTERNAL, "database.h",
                              "more than %d statements are in use", ASSAY_STATEMENTS);
        int code = sqlite3_prepare_v3(store->db, sql, length + 1, SQLITE_PREPARE_PERSISTENT,
                                      &s->handle, NULL);
        if (code != SQLITE_OK) {
            s->handle = NULL;
            return assay_sql_fail(store, code, "cannot read the database", error);
        }
        memcpy(s->sql, sql, (size_t)length + 1);
    }
    s->used = ++store->lookups;
    sqlite3_reset(s->handle);
    sqlite3_clear_bindings(s->handle);
    *out = s->handle;
    return ASSAY_OK;
}

assay_status assay_sql_step(assay_store *store, sqlite3_stmt *statement, const char *action,
                            bool *row, assay_error *error)
{
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (*row)
        return ASSAY_OK;
    assay_status status = ASSAY_OK;
    if (code != SQLITE_DONE)
        status = assay_sql_fail(store, sqlite3_extended_errcode(store->db), action, error);
    sqlite3_reset(statement);
    return status;
}

assay_status assay_sql_keys(assay_store *store, sqlite3_stmt *statement, const char *action,
                            uint64_t *keys, size_t *count, assay_error *error)
{
    bool row;
    *count = 0;
    for (;;) {
        ASSAY_TRY(assay_sql_step(store, statement, action, &row, error));
        if (!row)
            return ASSAY_OK;
        keys[(*count)++] = (uint64_t)sqlite3_column_int64(statement, 0);
    }
}

assay_status assay_sql_run(assay_store *store, sqlite3_stmt *statement, const char *action,
                           assay_error *error)
{
    bool row;
    assay_status status;
    do
        status = assay_sql_step(store, statement, action, &row, error);
    while (row);
    return status;
}

assay_status assay_sql_exec(assay_store *store, const char *action, assay_error *error,
                            const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (sql == NULL)
        return assay_fail_memory(error, strlen(format));
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    if (code != SQLITE_OK)
        return assay_sql_fail(store, sqlite3_extended_errcode(store->db), action, error);
    return ASSAY_OK;
}

void assay_sql_forget(assay_store *store)
{
    for (size_t i = 0; i < ASSAY_STATEMENTS; i++) {
        sqlite3_finalize(store->statements[i].handle);
        store->statements[i].handle = NULL;
    }
}

const char *assay_sql_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text != NULL ? (const char *)text : "";
}

void assay_sql_bind(sqlite3_stmt *statement, int parameter, const char *text)
{
    sqlite3_bind_text(statement, parameter, text != NULL ? text : "", -1, SQLITE_STATIC);
}

void assay_sql_bind_bytes(sqlite3_stmt *statement, int parameter, const void *data,
                          size_t length)
{
    if (length == 0)
        sqlite3_bind_zeroblob(statement, parameter, 0);
    else
        sqlite3_bind_blob64(statement, parameter, data, length, SQLITE_STATIC);
}

/* ---- Transactions ---------------------------------------------------------- */

assay_status assay_sqlite_begin(assay_store *store, assay_error *error)
{
    if (store->read_only)
        return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                          "the store is open for reading only; open it for writing");
    if (sqlite3_get_autocommit(store->db) == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                          "a transaction is open already; commit it or roll it back");
    sqlite3_stmt *begin;
    ASSAY_TRY(assay_sql_prepare(store, &begin, error, "BEGIN IMMEDIATE"));
    return assay_sql_run(store, begin, "cannot begin to write", error);
}

assay_status assay_sql_inside(assay_store *store, const char *function, assay_error *error)
{
    if (sqlite3_get_autocommit(store->db) == 0)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                      "%s needs a transaction: call assay_store_begin first (a failed write "
                      "may have ended it)", function);
}

assay_status assay_sqlite_commit(assay_store *store, assay_error *error)
{
    ASSAY_TRY(assay_sql_inside(store, "assay_store_commit", error));
    sqlite3_stmt *commit;
    ASSAY_TRY(assay_sql_prepare(store, &commit, error, "COMMIT"));
    return assay_sql_run(store, commit, "cannot commit", error);
}

void assay_sqlite_rollback(assay_store *store)
{
    if (store != NULL && sqlite3_get_autocommit(store->db) == 0)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

assay_status assay_sql_enter(assay_store *store, bool *own, assay_error *error)
{
    *own = sqlite3_get_autocommit(store->db) != 0;
    return *own ? assay_sqlite_begin(store, error) : ASSAY_OK;
}

assay_status assay_sql_leave(assay_store *store, bool own, assay_status status,
                             assay_error *error)
{
    if (!own)
        return status;
    if (status == ASSAY_OK)
        status = assay_sqlite_commit(store, error);
    if (status != ASSAY_OK)
        assay_sqlite_rollback(store);
    return status;
}

/* ---- Opening --------------------------------------------------------------- */

static char *join(const char *folder, const char *name)
{
    char *path = NULL;
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    return asprintf(&path, "%s%s%s", folder, slash, name) < 0 ? NULL : path;
}

/* Takes the folder's name, makes the folder where that was asked for, and sees
 * whether there is a database. */
static assay_status find_home(assay_store *store, const char *home, bool create,
                              assay_error *error)
{
    if (home[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, "home", "the data directory's name is empty");
    store->home = strdup(home);
    store->path = join(home, DATABASE_NAME);
    if (store->home == NULL || store->path == NULL)
        return assay_fail_memory(error, strlen(home));
    if (create)
        return assay_folder_make(home, error);
    struct stat status;
    if (stat(store->path, &status) == 0)
        return ASSAY_OK;
    if (errno != ENOENT && errno != ENOTDIR)
        return assay_fail_errno(error, errno, store->path, "cannot open");
    return assay_fail(error, ASSAY_E_NOT_FOUND, home,
                      "no data directory: it has no " DATABASE_NAME "; index something into it "
                      "first");
}

/* A URI for the file, its name escaped. */
static char *immutable_uri(const char *path)
{
    assay_buffer uri;
    assay_buffer_init(&uri, 0);
    assay_buffer_string(&uri, "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '%' || *p == '?' || *p == '#')
            assay_buffer_format(&uri, "%%%02X", (unsigned char)*p);
        else
            assay_buffer_byte(&uri, *p);
    }
    assay_buffer_string(&uri, "?immutable=1");
    if (uri.failed != ASSAY_OK)
        assay_buffer_free(&uri);
    return uri.data;
}

/* Bytes of a file beside the database, or -1. */
static off_t size_beside(const assay_store *store, const char *suffix)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s", store->path, suffix) < 0)
        return -1;
    struct stat status;
    off_t size = stat(path, &status) == 0 ? status.st_size : -1;
    free(path);
    return size;
}

/* Whether only immutable=1 can read it: nothing may be written here, and no
 * write-ahead log holds a part of it. */
static bool must_be_frozen(const assay_store *store)
{
    return store->read_only && access(store->home, W_OK) != 0 &&
           size_beside(store, "-wal") <= 0 && size_beside(store, "-shm") < 0;
}

assay_status assay_store_unchanged(assay_store *store, assay_error *error)
{
    struct stat status;
    if (!store->frozen)
        return ASSAY_OK;
    if (stat(store->path, &status) == 0 && status.st_size == store->frozen_size &&
        status.st_mtim.tv_sec == store->frozen_time.tv_sec &&
        status.st_mtim.tv_nsec == store->frozen_time.tv_nsec && size_beside(store, "-wal") <= 0)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_BUSY, store->path,
                      "another process writes into this folder, which this one may only read; "
                      "open the store again");
}

static assay_status open_file(assay_store *store, bool create, assay_error *error)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (create)
        flags |= SQLITE_OPEN_CREATE;
    char *uri = NULL;
    struct stat status;
    if (must_be_frozen(store) && stat(store->path, &status) == 0) {
        uri = immutable_uri(store->path);
        if (uri == NULL)
            return assay_fail_memory(error, strlen(store->path) + 32);
        store->frozen = true;
        store->frozen_time = status.st_mtim;
        store->frozen_size = status.st_size;
        flags |= SQLITE_OPEN_URI;
    }
    int code = sqlite3_open_v2(uri != NULL ? uri : store->path, &store->db, flags, NULL);
    free(uri);
    if (code != SQLITE_OK)
        return assay_sql_fail(store, code, "cannot open the database", error);
    sqlite3_busy_timeout(store->db, (int)store->busy_ms);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return ASSAY_OK;
}

/* Turning WAL on needs the file for a moment alone, and SQLite does not always
 * wait for that by itself. */
static assay_status turn_on_wal(assay_store *store, assay_error *error)
{
    double end = assay_seconds() + store->busy_ms / 1000.0;
    for (;;) {
        sqlite3_stmt *wal = NULL;
        int code = sqlite3_prepare_v2(store->db, "PRAGMA journal_mode = WAL", -1, &wal, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_step(wal);
        bool on = code == SQLITE_ROW && strcmp(assay_sql_text(wal, 0), "wal") == 0;
        sqlite3_finalize(wal);
        if (on)
            return ASSAY_OK;
        if (code == SQLITE_ROW)
            return assay_fail(error, ASSAY_E_IO, store->path,
                              "this file system has no shared memory for SQLite's write-ahead "
                              "log; put the data directory on a local one");
        if ((code & 0xff) != SQLITE_BUSY || assay_seconds() >= end)
            return assay_sql_fail(store, code, "cannot open the database", error);
        usleep(2000);
    }
}

static assay_status set_up(assay_store *store, assay_error *error)
{
    const char *action = "cannot open the database";
    ASSAY_TRY(assay_sql_exec(store, action, error,
                             "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"
                             "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                             "PRAGMA cache_size = -%d;", CACHE_KIB));
    if (!store->read_only) {
        ASSAY_TRY(assay_sql_exec(store, action, error, "PRAGMA page_size = %d", PAGE_SIZE));
    }
    uint32_t version;
    ASSAY_TRY(assay_schema_version(store, &version, error));
    if (!store->read_only) {
        ASSAY_TRY(turn_on_wal(store, error));
        ASSAY_TRY(assay_schema_update(store, error));
    }
    return assay_bm25_register(store, error);
}

assay_status assay_sqlite_open(assay_store *store, const char *home, bool create,
                               assay_error *error)
{
    ASSAY_TRY(find_home(store, home, create, error));
    ASSAY_TRY(open_file(store, create, error));
    return set_up(store, error);
}

void assay_sqlite_close(assay_store *store)
{
    assay_bm25_release(store);
    assay_sql_forget(store);
    sqlite3_close(store->db);
}

const assay_backend assay_sqlite = {
    .close = assay_sqlite_close,
    .collection_open = assay_sqlite_collection_open,
    .collection_create = assay_sqlite_collection_create,
    .collection_describe = assay_sqlite_collection_describe,
    .collection_list = assay_sqlite_collection_list,
    .collection_drop = assay_sqlite_collection_drop,
    .begin = assay_sqlite_begin,
    .commit = assay_sqlite_commit,
    .rollback = assay_sqlite_rollback,
    .check = assay_sqlite_check,
    .document_digest = assay_sqlite_document_digest,
    .document_put = assay_sqlite_document_put,
    .document_delete = assay_sqlite_document_delete,
    .document_text = assay_sqlite_document_text,
    .document_list = assay_sqlite_document_list,
    .document_get = assay_sqlite_document_get,
    .scan_finish = assay_sqlite_scan_finish,
    .scan_prune = assay_sqlite_scan_prune,
    .filter = assay_sqlite_filter,
    .bm25 = assay_sqlite_bm25,
    .passage_get = assay_sqlite_passage_get,
    .passage_keys = assay_sqlite_passage_keys,
    .tokens_get = assay_sqlite_tokens_get,
    .tokens_put = assay_sqlite_tokens_put,
    .tokens_missing = assay_sqlite_tokens_missing,
    .late_get = assay_sqlite_late_get,
    .late_set = assay_sqlite_late_set,
    .late_book = assay_sqlite_late_book,
    .token_vectors_read = assay_sqlite_token_vectors_read,
    .token_vectors_put = assay_sqlite_token_vectors_put,
    .token_vectors_missing = assay_sqlite_token_vectors_missing,
    .vectors = assay_sqlite_vectors,
    .vector_count = assay_sqlite_vector_count,
};
