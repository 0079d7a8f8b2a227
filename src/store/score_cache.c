/* SPDX-License-Identifier: Apache-2.0 */
/*
 * score_cache.c: see score_cache.h.
 *
 * A row is a question: when it was asked last, and an entry of 20 bytes for each
 * passage, sorted: digest, then the logit's bits, little-endian. A check over
 * them (XXH3-64) is what makes it safe not to wait for the disk (synchronous is
 * OFF): a row that a power failure left half written is as good as none. A killed
 * process leaves whole rows; SQLite's rollback journal sees to that. Not a
 * write-ahead log, which cannot be read where nothing can be written.
 *
 * The row of a language model's question holds its answer in place of entries,
 * filled up with NULs to a whole number of them: age, size and damage are the same.
 *
 * `used` is written at most once an hour, so that a question asked again and
 * again writes nothing.
 */
#include "store/score_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "store/database.h"

#define FILE_NAME "scores.sqlite"

enum {
    APPLICATION_ID = 0x61737363, /* "assc" */
    SCHEMA = 1,
    BUSY_MS = 200,       /* computing takes longer than others hold the file, but not much */
    CACHE_KIB = 2048,
    DIGEST_BYTES = 16,
    ENTRY_BYTES = 20,
    MOST_ENTRIES = 4096, /* of one question */
    HOUR = 3600,
};

struct assay_score_cache {
    char path[4096];
    char home[4096];
    uint64_t limit;
    sqlite3 *db; /* NULL: it cannot be used any more */
    bool read_only;
    bool stale;           /* `used` of the question looked up last is old */
    assay_buffer entries; /* scratch */
};

/* ---- SQLite --------------------------------------------------------------------- */

static assay_status fail(assay_score_cache *cache, int code, const char *action,
                         assay_error *error)
{
    int kind = code & 0xff;
    int reason = kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN
                     ? sqlite3_system_errno(cache->db) : 0;
    return assay_fail(error, assay_sql_status(code, reason), cache->path, "%s: %s", action,
                      sqlite3_errmsg(cache->db));
}

static assay_status run(assay_score_cache *cache, const char *sql, const char *action,
                        assay_error *error)
{
    int code = sqlite3_exec(cache->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? ASSAY_OK
                             : fail(cache, sqlite3_extended_errcode(cache->db), action, error);
}

static assay_status number(assay_score_cache *cache, const char *sql, int64_t *out,
                           assay_error *error)
{
    sqlite3_stmt *select = NULL;
    int code = sqlite3_prepare_v2(cache->db, sql, -1, &select, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(select);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(select, 0);
    assay_status status = ASSAY_OK;
    if (code != SQLITE_ROW)
        status = fail(cache, sqlite3_extended_errcode(cache->db), "cannot read the score cache",
                      error);
    sqlite3_finalize(select);
    return status;
}

/* ---- Opening --------------------------------------------------------------------- */

static assay_status make_table(assay_score_cache *cache, assay_error *error)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "CREATE TABLE IF NOT EXISTS questions("
             " key INTEGER PRIMARY KEY,"
             " digest BLOB NOT NULL UNIQUE,"
             " used INTEGER NOT NULL,"
             " sum INTEGER NOT NULL,"
             " entries BLOB NOT NULL) STRICT;"
             "CREATE INDEX IF NOT EXISTS questions_by_use ON questions(used);"
             "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, SCHEMA);
    assay_status status = run(cache, sql, "cannot make the score cache", error);
    if (status != ASSAY_OK)
        sqlite3_exec(cache->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static assay_status set_up(assay_score_cache *cache, assay_error *error)
{
    char sql[128];
    int64_t application = 0, schema = 0, objects = 0;
    snprintf(sql, sizeof sql, "PRAGMA synchronous = OFF; PRAGMA cell_size_check = ON;"
             "PRAGMA cache_size = -%d", CACHE_KIB);
    ASSAY_TRY(run(cache, sql, "cannot open the score cache", error));
    /* In this order, for another process may be making the tables. */
    ASSAY_TRY(number(cache, "SELECT count(*) FROM sqlite_schema", &objects, error));
    ASSAY_TRY(number(cache, "PRAGMA application_id", &application, error));
    ASSAY_TRY(number(cache, "PRAGMA user_version", &schema, error));
    if (application == 0 && objects == 0 && cache->read_only)
        return assay_fail(error, ASSAY_E_NOT_FOUND, cache->path, "the score cache is empty");
    if (application == 0 && objects == 0)
        return make_table(cache, error);
    if (application != APPLICATION_ID)
        return assay_fail(error, ASSAY_E_FORMAT, cache->path,
                          "an SQLite database of another program, not a score cache; move it "
                          "away");
    if (schema != SCHEMA)
        return assay_fail(error, ASSAY_E_VERSION, cache->path,
                          "written by a newer assay (schema %lld, this one knows %d)",
                          (long long)schema, SCHEMA);
    return ASSAY_OK;
}

static assay_status open_database(assay_score_cache *cache, assay_error *error)
{
    cache->read_only = access(cache->home, W_OK) != 0;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= cache->read_only ? SQLITE_OPEN_READONLY
                              : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int code = sqlite3_open_v2(cache->path, &cache->db, flags, NULL);
    if (code != SQLITE_OK)
        return fail(cache, code, "cannot open the score cache", error);
    /* A file of somebody else's is opened for reading where it was asked for more. */
    cache->read_only = sqlite3_db_readonly(cache->db, "main") != 0;
    sqlite3_busy_timeout(cache->db, BUSY_MS);
    sqlite3_db_config(cache->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(cache->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return set_up(cache, error);
}

static void close_database(assay_score_cache *cache)
{
    sqlite3_close(cache->db);
    cache->db = NULL;
}

/* After damage: without the file, whose content is no loss. */
static assay_status begin_anew(assay_score_cache *cache, assay_error *error)
{
    char journal[sizeof cache->path + 16];
    close_database(cache);
    snprintf(journal, sizeof journal, "%s-journal", cache->path);
    unlink(cache->path);
    unlink(journal);
    assay_status status = open_database(cache, error);
    if (status != ASSAY_OK)
        close_database(cache);
    return status;
}

static bool damaged(assay_status status)
{
    return status == ASSAY_E_CORRUPT;
}

assay_status assay_score_cache_open(const char *home, uint64_t limit, assay_score_cache **out,
                                    assay_error *error)
{
    assay_score_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return assay_fail_memory(error, sizeof *cache);
    cache->limit = limit;
    assay_buffer_init(&cache->entries, 0);
    snprintf(cache->home, sizeof cache->home, "%s", home);
    assay_status status = assay_path_join(cache->path, sizeof cache->path, home, FILE_NAME, error);
    if (status == ASSAY_OK)
        status = open_database(cache, error);
    if (damaged(status) && !cache->read_only)
        status = begin_anew(cache, error);
    if (status != ASSAY_OK) {
        assay_score_cache_close(cache);
        return status;
    }
    *out = cache;
    return ASSAY_OK;
}

void assay_score_cache_close(assay_score_cache *cache)
{
    if (cache == NULL)
        return;
    close_database(cache);
    assay_buffer_free(&cache->entries);
    free(cache);
}

/* ---- Entries ----------------------------------------------------------------------- */

static int64_t sum_of(const assay_digest *question, const void *entries, size_t length)
{
    return (int64_t)(assay_hash64(entries, length) ^
                     assay_hash64(question->bytes, sizeof question->bytes));
}

static int by_passage(const void *left, const void *right)
{
    return memcmp(left, right, DIGEST_BYTES);
}

static float logit_of(const uint8_t *entry)
{
    uint32_t bits = 0;
    float logit;
    for (int i = 0; i < 4; i++)
        bits |= (uint32_t)entry[DIGEST_BYTES + i] << (8 * i);
    memcpy(&logit, &bits, sizeof logit);
    return logit;
}

static void add_entry(assay_buffer *entries, const assay_digest *passage, float logit)
{
    uint32_t bits;
    memcpy(&bits, &logit, sizeof bits);
    assay_buffer_append(entries, passage->bytes, sizeof passage->bytes);
    for (int i = 0; i < 4; i++)
        assay_buffer_byte(entries, (char)(bits >> (8 * i)));
}

/* Appends the question's entries to cache->entries: none when there is no such
 * row, or not a whole one. */
static assay_status read_entries(assay_score_cache *cache, const assay_digest *question,
                                 int64_t *used, assay_error *error)
{
    sqlite3_stmt *select = NULL;
    int code = sqlite3_prepare_v2(cache->db, "SELECT used, sum, entries FROM questions"
                                  " WHERE digest = ?1", -1, &select, NULL);
    if (code == SQLITE_OK) {
        assay_sql_bind_bytes(select, 1, question->bytes, sizeof question->bytes);
        code = sqlite3_step(select);
    }
    if (code == SQLITE_ROW) {
        const void *entries = sqlite3_column_blob(select, 2);
        size_t length = (size_t)sqlite3_column_bytes(select, 2);
        *used = sqlite3_column_int64(select, 0);
        if (length > 0 && length % ENTRY_BYTES == 0 && length / ENTRY_BYTES <= MOST_ENTRIES &&
            sqlite3_column_int64(select, 1) == sum_of(question, entries, length))
            assay_buffer_append(&cache->entries, entries, length);
    }
    assay_status status = assay_buffer_status(&cache->entries, cache->path, error);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = fail(cache, sqlite3_extended_errcode(cache->db), "cannot read the score cache",
                      error);
    sqlite3_finalize(select);
    return status;
}

/* What a call that found damage returns. */
static assay_status recover(assay_score_cache *cache, assay_status status, assay_error *error)
{
    if (!damaged(status) || cache->read_only)
        return status;
    assay_status anew = begin_anew(cache, NULL);
    return assay_fail(error, ASSAY_E_CORRUPT, cache->path, "the score cache was damaged%s",
                      anew == ASSAY_OK ? "; it has been begun anew" : "; remove the file");
}

assay_status assay_score_cache_get(assay_score_cache *cache, const assay_digest *question,
                                   const assay_digest *passages, size_t count, float *logits,
                                   bool *known, assay_error *error)
{
    int64_t used = time(NULL), now = used;
    memset(known, 0, count * sizeof *known);
    assay_buffer_clear(&cache->entries);
    if (cache->db == NULL)
        return ASSAY_OK;
    assay_status status = read_entries(cache, question, &used, error);
    if (status != ASSAY_OK)
        return recover(cache, status, error);
    cache->stale = used + HOUR <= now || used > now + HOUR;
    const char *entries = cache->entries.data;
    size_t entry_count = cache->entries.length / ENTRY_BYTES;
    for (size_t i = 0; i < count && entry_count > 0; i++) {
        const uint8_t *entry =
            bsearch(passages[i].bytes, entries, entry_count, ENTRY_BYTES, by_passage);
        known[i] = entry != NULL;
        if (entry != NULL)
            logits[i] = logit_of(entry);
    }
    return ASSAY_OK;
}

/* ---- Writing ------------------------------------------------------------------------ */

/* Sorts the entries and drops those that are there twice. */
static void sort_entries(assay_buffer *entries)
{
    size_t count = entries->length / ENTRY_BYTES, kept = 0;
    if (count == 0)
        return;
    qsort(entries->data, count, ENTRY_BYTES, by_passage);
    for (size_t i = 1; i < count; i++) {
        char *last = entries->data + kept * ENTRY_BYTES, *next = entries->data + i * ENTRY_BYTES;
        if (memcmp(last, next, DIGEST_BYTES) != 0)
            memmove(entries->data + ++kept * ENTRY_BYTES, next, ENTRY_BYTES);
    }
    entries->length = (kept + 1) * ENTRY_BYTES;
}

/* Gathers the new entries and, as far as there is room, those that are there. */
static assay_status gather(assay_score_cache *cache, const assay_digest *question,
                           const assay_digest *passages, const float *logits, size_t count,
                           assay_error *error)
{
    int64_t used;
    assay_buffer *entries = &cache->entries;
    if (count > MOST_ENTRIES)
        count = MOST_ENTRIES;
    assay_buffer_clear(entries);
    for (size_t i = 0; i < count; i++)
        add_entry(entries, &passages[i], logits[i]);
    ASSAY_TRY(read_entries(cache, question, &used, error));
    if (entries->length > (size_t)MOST_ENTRIES * ENTRY_BYTES)
        entries->length = count * ENTRY_BYTES;
    sort_entries(entries);
    return ASSAY_OK;
}

static assay_status write_row(assay_score_cache *cache, const assay_digest *question,
                              assay_error *error)
{
    sqlite3_stmt *insert = NULL;
    const assay_buffer *entries = &cache->entries;
    int code = sqlite3_prepare_v2(cache->db,
                                  "INSERT INTO questions(digest, used, sum, entries)"
                                  " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(digest) DO UPDATE SET"
                                  " used = ?2, sum = ?3, entries = ?4", -1, &insert, NULL);
    if (code == SQLITE_OK) {
        assay_sql_bind_bytes(insert, 1, question->bytes, sizeof question->bytes);
        sqlite3_bind_int64(insert, 2, time(NULL));
        sqlite3_bind_int64(insert, 3, sum_of(question, entries->data, entries->length));
        assay_sql_bind_bytes(insert, 4, entries->data, entries->length);
        code = sqlite3_step(insert);
    }
    assay_status status = ASSAY_OK;
    if (code != SQLITE_DONE)
        status = fail(cache, sqlite3_extended_errcode(cache->db), "cannot write the score cache",
                      error);
    sqlite3_finalize(insert);
    return status;
}

/* Bytes of the file that hold something; the rest is written anew first. */
static assay_status bytes_used(assay_score_cache *cache, uint64_t *bytes, assay_error *error)
{
    int64_t size, pages, free_pages;
    ASSAY_TRY(number(cache, "PRAGMA page_size", &size, error));
    ASSAY_TRY(number(cache, "PRAGMA page_count", &pages, error));
    ASSAY_TRY(number(cache, "PRAGMA freelist_count", &free_pages, error));
    *bytes = (uint64_t)(size * (pages - free_pages));
    return ASSAY_OK;
}

/* An eighth at a time, so that it is seldom needed. */
static assay_status make_room(assay_score_cache *cache, assay_error *error)
{
    for (;;) {
        uint64_t bytes;
        ASSAY_TRY(bytes_used(cache, &bytes, error));
        if (bytes <= cache->limit)
            return ASSAY_OK;
        ASSAY_TRY(run(cache, "DELETE FROM questions WHERE key IN (SELECT key FROM questions"
                      " ORDER BY used, key LIMIT (SELECT 1 + count(*) / 8 FROM questions))",
                      "cannot write the score cache", error));
        if (sqlite3_changes(cache->db) == 0)
            return ASSAY_OK;
    }
}

/* Writes cache->entries as the question's row, and ends the transaction. */
static assay_status write_entries(assay_score_cache *cache, const assay_digest *question,
                                  assay_error *error)
{
    assay_status status = ASSAY_OK;
    if (cache->entries.length > 0)
        status = write_row(cache, question, error);
    if (status == ASSAY_OK)
        status = make_room(cache, error);
    if (status == ASSAY_OK)
        status = run(cache, "COMMIT", "cannot write the score cache", error);
    return status;
}

static void roll_back(assay_score_cache *cache)
{
    sqlite3_exec(cache->db, "ROLLBACK", NULL, NULL, NULL);
}

static assay_status put(assay_score_cache *cache, const assay_digest *question,
                        const assay_digest *passages, const float *logits, size_t count,
                        assay_error *error)
{
    ASSAY_TRY(run(cache, "BEGIN IMMEDIATE", "cannot write the score cache", error));
    assay_status status = gather(cache, question, passages, logits, count, error);
    if (status == ASSAY_OK)
        status = write_entries(cache, question, error);
    if (status != ASSAY_OK)
        roll_back(cache);
    return status;
}

assay_status assay_score_cache_put(assay_score_cache *cache, const assay_digest *question,
                                   const assay_digest *passages, const float *logits,
                                   size_t count, assay_error *error)
{
    if (cache->db == NULL || cache->read_only || (count == 0 && !cache->stale))
        return ASSAY_OK;
    return recover(cache, put(cache, question, passages, logits, count, error), error);
}

/* ---- Answers ------------------------------------------------------------------------ */

assay_status assay_score_cache_get_answer(assay_score_cache *cache, const assay_digest *question,
                                          assay_buffer *out, assay_error *error)
{
    int64_t used;
    assay_buffer *entries = &cache->entries;
    assay_buffer_clear(entries);
    if (cache->db == NULL)
        return ASSAY_OK;
    assay_status status = read_entries(cache, question, &used, error);
    if (status != ASSAY_OK)
        return recover(cache, status, error);
    while (entries->length > 0 && entries->data[entries->length - 1] == '\0')
        entries->length--;
    assay_buffer_append(out, entries->data, entries->length);
    return assay_buffer_status(out, cache->path, error);
}

static assay_status put_answer(assay_score_cache *cache, const assay_digest *question,
                               const char *answer, size_t length, assay_error *error)
{
    assay_buffer_clear(&cache->entries);
    assay_buffer_append(&cache->entries, answer, length);
    while (cache->entries.length % ENTRY_BYTES != 0)
        assay_buffer_byte(&cache->entries, '\0');
    ASSAY_TRY(assay_buffer_status(&cache->entries, cache->path, error));
    ASSAY_TRY(run(cache, "BEGIN IMMEDIATE", "cannot write the score cache", error));
    assay_status status = write_entries(cache, question, error);
    if (status != ASSAY_OK)
        roll_back(cache);
    return status;
}

assay_status assay_score_cache_put_answer(assay_score_cache *cache, const assay_digest *question,
                                          const char *answer, size_t length, assay_error *error)
{
    bool fits = length > 0 && length <= (size_t)(MOST_ENTRIES - 1) * ENTRY_BYTES;
    if (cache->db == NULL || cache->read_only || !fits || answer[length - 1] == '\0')
        return ASSAY_OK;
    return recover(cache, put_answer(cache, question, answer, length, error), error);
}

/* ---- Checking ------------------------------------------------------------------------ */

static assay_status check_rows(assay_score_cache *cache, assay_error *error)
{
    sqlite3_stmt *select = NULL;
    int code = sqlite3_prepare_v2(cache->db, "SELECT digest, sum, entries FROM questions", -1,
                                  &select, NULL);
    assay_status status = ASSAY_OK;
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(select);
        if (code != SQLITE_ROW)
            break;
        assay_digest question;
        size_t length = (size_t)sqlite3_column_bytes(select, 2);
        bool whole = sqlite3_column_bytes(select, 0) == (int)sizeof question.bytes;
        if (whole)
            memcpy(question.bytes, sqlite3_column_blob(select, 0), sizeof question.bytes);
        if (!whole || length % ENTRY_BYTES != 0 ||
            sqlite3_column_int64(select, 1) !=
                sum_of(&question, sqlite3_column_blob(select, 2), length)) {
            status = assay_fail(error, ASSAY_E_CORRUPT, cache->path,
                                "a row of the score cache is damaged");
            break;
        }
    }
    if (status == ASSAY_OK && code != SQLITE_DONE)
        status = fail(cache, sqlite3_extended_errcode(cache->db), "cannot read the score cache",
                      error);
    sqlite3_finalize(select);
    return status;
}

static assay_status check_database(assay_score_cache *cache, assay_error *error)
{
    int64_t problems;
    ASSAY_TRY(set_up(cache, error));
    ASSAY_TRY(number(cache, "SELECT count(*) FROM pragma_integrity_check(1)"
                     " WHERE integrity_check <> 'ok'", &problems, error));
    if (problems > 0)
        return assay_fail(error, ASSAY_E_CORRUPT, cache->path, "the score cache is damaged");
    return check_rows(cache, error);
}

assay_status assay_score_cache_check(const char *home, assay_error *error)
{
    assay_score_cache cache = {.read_only = true};
    ASSAY_TRY(assay_path_join(cache.path, sizeof cache.path, home, FILE_NAME, error));
    if (!assay_is_file(cache.path))
        return ASSAY_OK;
    int code = sqlite3_open_v2(cache.path, &cache.db,
                               SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READONLY,
                               NULL);
    sqlite3_busy_timeout(cache.db, BUSY_MS);
    assay_status status = code == SQLITE_OK
                              ? check_database(&cache, error)
                              : fail(&cache, code, "cannot open the score cache", error);
    close_database(&cache);
    return status == ASSAY_E_NOT_FOUND ? ASSAY_OK : status;
}
