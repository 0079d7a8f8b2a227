/* SPDX-License-Identifier: Apache-2.0 */
/* event_log.c: see event_log.h. */
#include "store/event_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "store/database.h"

#define FILE_NAME "feedback.sqlite"

enum {
    APPLICATION_ID = 0x61737366, /* "assf" */
    SCHEMA = 1,
    BUSY_MS = 5000,
    MOST_EVENTS = 1000, /* of one search that a scan hands over */
};

struct assay_event_log {
    char path[4096];
    sqlite3 *db;
    uint8_t secret[ASSAY_LOG_KEY];
};

/* ---- SQLite --------------------------------------------------------------------- */

static assay_status fail(assay_event_log *log, const char *action, assay_error *error)
{
    int code = sqlite3_extended_errcode(log->db), kind = code & 0xff;
    int reason =
        kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN ? sqlite3_system_errno(log->db) : 0;
    return assay_fail(error, assay_sql_status(code, reason), log->path, "%s: %s", action,
                      sqlite3_errmsg(log->db));
}

static assay_status run(assay_event_log *log, const char *sql, const char *action,
                        assay_error *error)
{
    return sqlite3_exec(log->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ASSAY_OK
                                                                     : fail(log, action, error);
}

static assay_status prepare(assay_event_log *log, const char *sql, sqlite3_stmt **out,
                            assay_error *error)
{
    return sqlite3_prepare_v2(log->db, sql, -1, out, NULL) == SQLITE_OK
               ? ASSAY_OK
               : fail(log, "cannot use the record of searches", error);
}

/* Runs a statement to its end and frees it. */
static assay_status finish(assay_event_log *log, sqlite3_stmt *statement, const char *action,
                           assay_error *error)
{
    int code = sqlite3_step(statement);
    assay_status status =
        code == SQLITE_DONE || code == SQLITE_ROW ? ASSAY_OK : fail(log, action, error);
    sqlite3_finalize(statement);
    return status;
}

static assay_status number(assay_event_log *log, const char *sql, int64_t *out,
                           assay_error *error)
{
    sqlite3_stmt *select;
    ASSAY_TRY(prepare(log, sql, &select, error));
    assay_status status = ASSAY_OK;
    if (sqlite3_step(select) == SQLITE_ROW)
        *out = sqlite3_column_int64(select, 0);
    else
        status = fail(log, "cannot read the record of searches", error);
    sqlite3_finalize(select);
    return status;
}

/* ---- Opening --------------------------------------------------------------------- */

static assay_status make_tables(assay_event_log *log, assay_error *error)
{
    char sql[2048], hex[2 * ASSAY_LOG_KEY + 1];
    uint8_t secret[ASSAY_LOG_KEY];
    if (getrandom(secret, sizeof secret, 0) != sizeof secret)
        return assay_fail(error, ASSAY_E_IO, log->path, "no random bytes to be had");
    for (size_t i = 0; i < sizeof secret; i++)
        snprintf(hex + 2 * i, 3, "%02x", secret[i]);
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "CREATE TABLE IF NOT EXISTS secrets(key INTEGER PRIMARY KEY, bytes BLOB NOT NULL)"
             " STRICT;"
             "INSERT OR IGNORE INTO secrets VALUES(1, x'%s');"
             "CREATE TABLE IF NOT EXISTS searches("
             " key INTEGER PRIMARY KEY AUTOINCREMENT,"
             " id TEXT NOT NULL UNIQUE,"
             " at INTEGER NOT NULL,"
             " collection TEXT NOT NULL,"
             " pipeline TEXT NOT NULL,"
             " rival TEXT NOT NULL,"
             " trial INTEGER NOT NULL,"
             " session BLOB,"
             " query BLOB NOT NULL,"
             " text TEXT,"
             " shown INTEGER NOT NULL,"
             " scored INTEGER NOT NULL,"
             " truncated INTEGER NOT NULL,"
             " changed INTEGER NOT NULL,"
             " degraded INTEGER NOT NULL,"
             " reformulated INTEGER NOT NULL,"
             " correlation REAL,"
             " first_ms REAL NOT NULL,"
             " rerank_ms REAL NOT NULL,"
             " hits TEXT NOT NULL) STRICT;"
             "CREATE INDEX IF NOT EXISTS searches_by_time ON searches(at);"
             "CREATE TABLE IF NOT EXISTS events("
             " search INTEGER NOT NULL REFERENCES searches ON DELETE CASCADE,"
             " at INTEGER NOT NULL,"
             " kind INTEGER NOT NULL,"
             " document TEXT NOT NULL,"
             " value REAL NOT NULL) STRICT;"
             "CREATE INDEX IF NOT EXISTS events_by_search ON events(search);"
             "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             hex, APPLICATION_ID, SCHEMA);
    assay_status status = run(log, sql, "cannot make the record of searches", error);
    if (status != ASSAY_OK)
        sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static assay_status read_secret(assay_event_log *log, assay_error *error)
{
    sqlite3_stmt *select;
    assay_status status = ASSAY_OK;
    ASSAY_TRY(prepare(log, "SELECT bytes FROM secrets WHERE key = 1", &select, error));
    if (sqlite3_step(select) == SQLITE_ROW &&
        sqlite3_column_bytes(select, 0) == ASSAY_LOG_KEY)
        memcpy(log->secret, sqlite3_column_blob(select, 0), ASSAY_LOG_KEY);
    else
        status = assay_fail(error, ASSAY_E_CORRUPT, log->path,
                            "the key of its hashes is missing; move the file away");
    sqlite3_finalize(select);
    return status;
}

static assay_status set_up(assay_event_log *log, bool read_only, assay_error *error)
{
    int64_t application = 0, schema = 0, objects = 0;
    ASSAY_TRY(number(log, "SELECT count(*) FROM sqlite_schema", &objects, error));
    ASSAY_TRY(number(log, "PRAGMA application_id", &application, error));
    ASSAY_TRY(number(log, "PRAGMA user_version", &schema, error));
    bool empty = application == 0 && objects == 0;
    if (empty && read_only)
        return assay_fail(error, ASSAY_E_NOT_FOUND, log->path, "nothing was recorded yet");
    if (!empty && application != APPLICATION_ID)
        return assay_fail(error, ASSAY_E_FORMAT, log->path,
                          "an SQLite database of another program, not a record of searches; "
                          "move it away");
    if (!empty && schema != SCHEMA)
        return assay_fail(error, ASSAY_E_VERSION, log->path,
                          "written by a newer assay (schema %lld, this one knows %d)",
                          (long long)schema, SCHEMA);
    if (!read_only)
        ASSAY_TRY(run(log, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                      "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON",
                      "cannot open the record of searches", error));
    if (empty)
        ASSAY_TRY(make_tables(log, error));
    return read_secret(log, error);
}

assay_status assay_event_log_open(const char *home, bool read_only, assay_event_log **out,
                                  assay_error *error)
{
    assay_event_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return assay_fail_memory(error, sizeof *log);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    assay_status status = assay_path_join(log->path, sizeof log->path, home, FILE_NAME, error);
    if (status == ASSAY_OK && read_only && !assay_is_file(log->path))
        status = assay_fail(error, ASSAY_E_NOT_FOUND, log->path,
                            "nothing was recorded yet; 'assay serve --record 1' does");
    if (status == ASSAY_OK && sqlite3_open_v2(log->path, &log->db, flags, NULL) != SQLITE_OK)
        status = fail(log, "cannot open the record of searches", error);
    if (status == ASSAY_OK) {
        sqlite3_busy_timeout(log->db, BUSY_MS);
        sqlite3_db_config(log->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(log->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        status = set_up(log, read_only, error);
    }
    if (status != ASSAY_OK) {
        assay_event_log_close(log);
        return status;
    }
    *out = log;
    return ASSAY_OK;
}

void assay_event_log_close(assay_event_log *log)
{
    if (log == NULL)
        return;
    sqlite3_close(log->db);
    free(log);
}

const uint8_t *assay_event_log_secret(const assay_event_log *log)
{
    return log->secret;
}

/* ---- Writing ---------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *statement, int parameter, const char *text)
{
    sqlite3_bind_text(statement, parameter, text != NULL ? text : "", -1, SQLITE_STATIC);
}

/* A number that SQLite cannot hold is none. */
static void bind_real(sqlite3_stmt *statement, int parameter, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(statement, parameter, value);
    else
        sqlite3_bind_null(statement, parameter);
}

assay_status assay_event_log_search(assay_event_log *log, const assay_log_search *search,
                                    int64_t *key, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(prepare(log, "INSERT INTO searches(id, at, collection, pipeline, rival, trial,"
                      " session, query, text, shown, scored, truncated, changed, degraded,"
                      " reformulated, correlation, first_ms, rerank_ms, hits) VALUES(?1, ?2, ?3,"
                      " ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
                      " ?19) ON CONFLICT(id) DO NOTHING", &insert, error));
    bind_text(insert, 1, search->id);
    sqlite3_bind_int64(insert, 2, search->at);
    bind_text(insert, 3, search->collection);
    bind_text(insert, 4, search->pipeline);
    bind_text(insert, 5, search->rival);
    sqlite3_bind_int64(insert, 6, search->trial);
    if (search->session != NULL)
        assay_sql_bind_bytes(insert, 7, search->session->bytes, sizeof search->session->bytes);
    assay_sql_bind_bytes(insert, 8, search->query.bytes, sizeof search->query.bytes);
    if (search->text.length > 0)
        sqlite3_bind_text64(insert, 9, search->text.data, search->text.length, SQLITE_STATIC,
                            SQLITE_UTF8);
    const int64_t counts[] = {search->shown,    search->scored,   search->truncated,
                              search->changed, search->degraded, search->reformulated};
    for (int i = 0; i < 6; i++)
        sqlite3_bind_int64(insert, 10 + i, counts[i]);
    bind_real(insert, 16, search->correlation);
    sqlite3_bind_double(insert, 17, search->first_ms);
    sqlite3_bind_double(insert, 18, search->rerank_ms);
    sqlite3_bind_text64(insert, 19, search->hits.data, search->hits.length, SQLITE_STATIC,
                        SQLITE_UTF8);
    ASSAY_TRY(finish(log, insert, "cannot record a search", error));
    *key = sqlite3_changes(log->db) > 0 ? sqlite3_last_insert_rowid(log->db) : 0;
    return ASSAY_OK;
}

assay_status assay_event_log_find(assay_event_log *log, const char *id, int64_t *key,
                                  assay_buffer *hits, assay_error *error)
{
    sqlite3_stmt *select;
    *key = 0;
    ASSAY_TRY(prepare(log, "SELECT key, hits FROM searches WHERE id = ?1", &select, error));
    bind_text(select, 1, id);
    int code = sqlite3_step(select);
    assay_status status = ASSAY_OK;
    if (code == SQLITE_ROW) {
        *key = sqlite3_column_int64(select, 0);
        const void *text = sqlite3_column_text(select, 1);
        assay_buffer_append(hits, text, (size_t)sqlite3_column_bytes(select, 1));
        status = assay_buffer_status(hits, log->path, error);
    } else if (code != SQLITE_DONE) {
        status = fail(log, "cannot read the record of searches", error);
    }
    sqlite3_finalize(select);
    return status;
}

assay_status assay_event_log_event(assay_event_log *log, int64_t search,
                                   const assay_log_event *event, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(prepare(log, "INSERT INTO events(search, at, kind, document, value)"
                      " VALUES(?1, ?2, ?3, ?4, ?5)", &insert, error));
    sqlite3_bind_int64(insert, 1, search);
    sqlite3_bind_int64(insert, 2, event->at);
    sqlite3_bind_int64(insert, 3, event->kind);
    bind_text(insert, 4, event->document);
    sqlite3_bind_double(insert, 5, event->value);
    return finish(log, insert, "cannot record an event", error);
}

assay_status assay_event_log_begin(assay_event_log *log, assay_error *error)
{
    return run(log, "BEGIN IMMEDIATE", "cannot write the record of searches", error);
}

assay_status assay_event_log_end(assay_event_log *log, assay_status status, assay_error *error)
{
    if (status == ASSAY_OK)
        status = run(log, "COMMIT", "cannot write the record of searches", error);
    if (status != ASSAY_OK)
        sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

assay_status assay_event_log_reformulated(assay_event_log *log, int64_t search,
                                          assay_error *error)
{
    sqlite3_stmt *update;
    ASSAY_TRY(prepare(log, "UPDATE searches SET reformulated = 1 WHERE key = ?1", &update,
                      error));
    sqlite3_bind_int64(update, 1, search);
    return finish(log, update, "cannot record a reformulation", error);
}

assay_status assay_event_log_prune(assay_event_log *log, int64_t at, assay_error *error)
{
    sqlite3_stmt *delete;
    ASSAY_TRY(prepare(log, "DELETE FROM searches WHERE at < ?1", &delete, error));
    sqlite3_bind_int64(delete, 1, at);
    return finish(log, delete, "cannot remove old searches", error);
}

/* ---- Reading ----------------------------------------------------------------------- */

#define WHERE " WHERE at >= ?1 AND (?2 IS NULL OR collection = ?2)" \
              " AND (?3 IS NULL OR pipeline = ?3 OR rival = ?3)"

static void bind_filter(sqlite3_stmt *statement, const assay_log_filter *filter)
{
    sqlite3_bind_int64(statement, 1, filter->since);
    if (filter->collection != NULL)
        bind_text(statement, 2, filter->collection);
    if (filter->pipeline != NULL)
        bind_text(statement, 3, filter->pipeline);
}

static uint32_t count_at(sqlite3_stmt *row, int column)
{
    int64_t value = sqlite3_column_int64(row, column);
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static assay_text text_at(sqlite3_stmt *row, int column)
{
    const char *data = (const char *)sqlite3_column_text(row, column);
    return (assay_text){data, data != NULL ? (size_t)sqlite3_column_bytes(row, column) : 0};
}

static bool digest_at(sqlite3_stmt *row, int column, assay_digest *out)
{
    bool whole = sqlite3_column_bytes(row, column) == (int)sizeof out->bytes;
    if (whole)
        memcpy(out->bytes, sqlite3_column_blob(row, column), sizeof out->bytes);
    return whole;
}

static bool read_row(sqlite3_stmt *row, assay_digest *session, assay_log_search *out)
{
    *out = (assay_log_search){
        .key = sqlite3_column_int64(row, 0),
        .id = assay_sql_text(row, 1),
        .at = sqlite3_column_int64(row, 2),
        .collection = assay_sql_text(row, 3),
        .pipeline = assay_sql_text(row, 4),
        .rival = assay_sql_text(row, 5),
        .trial = count_at(row, 6),
        .text = text_at(row, 9),
        .shown = count_at(row, 10),
        .scored = count_at(row, 11),
        .truncated = count_at(row, 12),
        .changed = count_at(row, 13),
        .degraded = sqlite3_column_int(row, 14) != 0,
        .reformulated = sqlite3_column_int(row, 15) != 0,
        .correlation = sqlite3_column_type(row, 16) == SQLITE_NULL ? (double)NAN
                                                                  : sqlite3_column_double(row, 16),
        .first_ms = sqlite3_column_double(row, 17),
        .rerank_ms = sqlite3_column_double(row, 18),
        .hits = text_at(row, 19),
    };
    if (digest_at(row, 7, session))
        out->session = session;
    return digest_at(row, 8, &out->query);
}

/* The events of one search, names in `names`. */
static assay_status read_events(assay_event_log *log, sqlite3_stmt *select, int64_t search,
                                assay_log_event events[MOST_EVENTS], assay_buffer *names,
                                size_t *count, assay_error *error)
{
    size_t places[MOST_EVENTS];
    int code;
    *count = 0;
    assay_buffer_clear(names);
    sqlite3_reset(select);
    sqlite3_bind_int64(select, 1, search);
    while ((code = sqlite3_step(select)) == SQLITE_ROW && *count < MOST_EVENTS) {
        events[*count] = (assay_log_event){.kind = count_at(select, 0),
                                           .value = sqlite3_column_double(select, 2),
                                           .at = sqlite3_column_int64(select, 3)};
        places[(*count)++] = names->length;
        assay_buffer_string(names, assay_sql_text(select, 1));
        assay_buffer_byte(names, '\0');
    }
    sqlite3_reset(select);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail(log, "cannot read the record of searches", error);
    for (size_t i = 0; i < *count && names->failed == ASSAY_OK; i++)
        events[i].document = names->data + places[i];
    return assay_buffer_status(names, log->path, error);
}

typedef struct scan {
    sqlite3_stmt *searches, *events;
    assay_log_event list[MOST_EVENTS];
    assay_buffer names;
} scan;

static assay_status scan_rows(assay_event_log *log, scan *s, assay_log_fn fn, void *user,
                              assay_error *error)
{
    int code;
    while ((code = sqlite3_step(s->searches)) == SQLITE_ROW) {
        assay_log_search search;
        assay_digest session;
        size_t count;
        if (!read_row(s->searches, &session, &search))
            return assay_fail(error, ASSAY_E_CORRUPT, log->path, "search %lld: its hash is not "
                              "16 bytes long", (long long)search.key);
        ASSAY_TRY(read_events(log, s->events, search.key, s->list, &s->names, &count, error));
        ASSAY_TRY(fn(user, &search, s->list, count, error));
    }
    return code == SQLITE_DONE ? ASSAY_OK
                               : fail(log, "cannot read the record of searches", error);
}

assay_status assay_event_log_scan(assay_event_log *log, const assay_log_filter *filter,
                                  assay_log_fn fn, void *user, assay_error *error)
{
    scan *s = calloc(1, sizeof *s);
    if (s == NULL)
        return assay_fail_memory(error, sizeof *s);
    assay_buffer_init(&s->names, 0);
    assay_status status =
        prepare(log, "SELECT key, id, at, collection, pipeline, rival, trial, session, query,"
                " text, shown, scored, truncated, changed, degraded, reformulated, correlation,"
                " first_ms, rerank_ms, hits FROM searches" WHERE " ORDER BY key DESC LIMIT ?4",
                &s->searches, error);
    if (status == ASSAY_OK)
        status = prepare(log, "SELECT kind, document, value, at FROM events WHERE search = ?1"
                         " ORDER BY rowid", &s->events, error);
    if (status == ASSAY_OK) {
        bind_filter(s->searches, filter);
        sqlite3_bind_int64(s->searches, 4, filter->limit);
        status = scan_rows(log, s, fn, user, error);
    }
    sqlite3_finalize(s->searches);
    sqlite3_finalize(s->events);
    assay_buffer_free(&s->names);
    free(s);
    return status;
}

assay_status assay_event_log_count(assay_event_log *log, const assay_log_filter *filter,
                                   uint64_t *searches, uint64_t *sessions, assay_error *error)
{
    sqlite3_stmt *select;
    assay_status status = ASSAY_OK;
    ASSAY_TRY(prepare(log, "SELECT count(*), count(DISTINCT session) FROM searches" WHERE,
                      &select, error));
    bind_filter(select, filter);
    if (sqlite3_step(select) == SQLITE_ROW) {
        *searches = (uint64_t)sqlite3_column_int64(select, 0);
        *sessions = (uint64_t)sqlite3_column_int64(select, 1);
    } else {
        status = fail(log, "cannot read the record of searches", error);
    }
    sqlite3_finalize(select);
    return status;
}
