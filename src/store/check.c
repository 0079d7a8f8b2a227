/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c: the database's own integrity, and what its schema cannot say.
 *
 * A list of checks, each a query whose rows are problems in words. FTS5's own
 * check compares an index with the passages it was made of; it is an INSERT to
 * SQLite, so a store that only reads does without it.
 */
#include "store/database.h"

#include <stdio.h>
#include <string.h>

typedef struct check {
    assay_store *store;
    assay_progress_fn progress;
    void *user;
    uint64_t done, total, problems;
    const char *item;
    assay_error *error;
} check;

static assay_status tell(check *c, const assay_error *problem)
{
    assay_progress progress = {.phase = ASSAY_PHASE_CHECK, .done = c->done, .total = c->total,
                               .item = c->item, .problem = problem};
    if (c->progress == NULL || c->progress(&progress, c->user))
        return ASSAY_OK;
    return assay_fail(c->error, ASSAY_E_INTERRUPTED, c->store->path, "the check was stopped");
}

static assay_status problem(check *c, const char *text)
{
    assay_error found;
    c->problems++;
    assay_fail(&found, ASSAY_E_CORRUPT, c->store->path, "%s", text);
    return tell(c, &found);
}

/* A query whose rows are problems in words; "ok" is none. */
static assay_status look(check *c, const char *sql)
{
    sqlite3_stmt *select;
    assay_error failure;
    bool row = true;
    assay_status status = assay_sql_prepare(c->store, &select, &failure, "%s", sql);
    while (status == ASSAY_OK) {
        status = assay_sql_step(c->store, select, "cannot check", &row, &failure);
        if (status != ASSAY_OK || !row)
            break;
        const char *text = assay_sql_text(select, 0);
        if (strcmp(text, "ok") == 0)
            continue;
        assay_status told = problem(c, text);
        if (told != ASSAY_OK) {
            sqlite3_reset(select);
            return told;
        }
    }
    if (status == ASSAY_E_CORRUPT)
        return problem(c, failure.message);
    if (status != ASSAY_OK && c->error != NULL)
        *c->error = failure;
    return status;
}

static const struct {
    const char *item, *sql;
} checks[] = {
    {"database", "SELECT 'integrity: ' || integrity_check FROM pragma_integrity_check(100)"
                 " WHERE integrity_check <> 'ok'"},
    {"foreign keys", "SELECT 'a row of ' || \"table\" || ' (' || coalesce(rowid, '?') ||"
                     " ') refers to a row of ' || parent || ' that is not there'"
                     " FROM pragma_foreign_key_check LIMIT 100"},
    {"collections", "SELECT 'collection ' || name || ' has a field out of its bounds'"
                    " FROM collections WHERE length(name) NOT BETWEEN 1 AND 127"
                    " OR length(CAST(model AS BLOB)) > 1023 OR length(model_digest) > 32"
                    " OR dimensions NOT BETWEEN 0 AND 65536"
                    " OR passage_tokens NOT BETWEEN 0 AND 4294967295"
                    " OR overlap_tokens NOT BETWEEN 0 AND 4294967295 OR generation < 1"},
    {"documents", "SELECT 'document ' || id || ' has a digest of ' || length(digest) ||"
                  " ' bytes, expected 16' FROM documents WHERE length(digest) <> 16 LIMIT 100"},
    {"passages", "SELECT 'passage ' || p.key || ' does not lie in the text of its document at"
                 " character boundaries' FROM documents d JOIN passages p ON p.document = d.key"
                 " WHERE p.offset < 0 OR p.length < 0 OR p.offset + p.length > length(d.text)"
                 " OR p.collection <> d.collection"
                 " OR substr(d.text, p.offset + 1, 1) BETWEEN x'80' AND x'BF'"
                 " OR substr(d.text, p.offset + p.length + 1, 1) BETWEEN x'80' AND x'BF'"
                 " LIMIT 100"},
    {"vectors", "SELECT 'passage ' || p.key || ' has a vector of ' || length(v.vector) ||"
                " ' bytes, expected ' || (4 * c.dimensions) FROM vectors v"
                " JOIN passages p ON p.key = v.passage JOIN collections c ON c.key = p.collection"
                " WHERE length(v.vector) <> 4 * c.dimensions LIMIT 100"},
};

enum { CHECKS = sizeof checks / sizeof *checks };

/* Keys of all collections, as text rows would be too long a way round. */
static assay_status next_collection(check *c, int64_t after, bool *found, int64_t *key)
{
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(c->store, &select, c->error,
                                "SELECT key FROM collections WHERE key > ?1 ORDER BY key LIMIT 1"));
    sqlite3_bind_int64(select, 1, after);
    ASSAY_TRY(assay_sql_step(c->store, select, "cannot check", found, c->error));
    *key = *found ? sqlite3_column_int64(select, 0) : after;
    sqlite3_reset(select);
    return ASSAY_OK;
}

static assay_status check_entries(check *c, long long key)
{
    char sql[ASSAY_SQL_SIZE];
    sqlite3_snprintf(sizeof sql, sql,
                     "SELECT 'BM25 index %lld has no entry for passage ' || key FROM"
                     " passages WHERE collection = %lld AND key NOT IN"
                     " (SELECT id FROM fts_%lld_docsize) UNION ALL"
                     " SELECT 'BM25 index %lld has an entry for passage ' || id || ', which is"
                     " gone' FROM fts_%lld_docsize WHERE id NOT IN"
                     " (SELECT key FROM passages WHERE collection = %lld) LIMIT 100",
                     key, key, key, key, key, key);
    return look(c, sql);
}

static assay_status damaged_tokens(void *user, int64_t passage)
{
    char text[128];
    snprintf(text, sizeof text, "passage %lld has damaged token ids; 'index --rebuild' makes "
             "them anew", (long long)passage);
    return problem(user, text);
}

static assay_status damaged_vectors(void *user, int64_t passage)
{
    char text[160];
    snprintf(text, sizeof text, "passage %lld has damaged token vectors; they are computed when "
             "they are asked for, and 'index --rebuild' makes them anew", (long long)passage);
    return problem(user, text);
}

static assay_status damaged_book(void *user, int64_t collection)
{
    char text[224];
    snprintf(text, sizeof text,
             "the token codes of collection number %lld have a damaged book; vectors are computed "
             "when they are asked for, and 'index' makes all anew", (long long)collection);
    return problem(user, text);
}

static assay_status check_token_vectors(check *c)
{
    assay_error failure;
    c->item = "token vectors";
    assay_status status = assay_token_vectors_verify(c->store, damaged_vectors, c, &failure);
    if (status == ASSAY_OK)
        status = assay_late_books_verify(c->store, damaged_book, c, &failure);
    if (status == ASSAY_E_CORRUPT)
        return problem(c, failure.message);
    if (status != ASSAY_OK && status != ASSAY_E_INTERRUPTED && c->error != NULL)
        *c->error = failure;
    return status;
}

static assay_status check_tokens(check *c)
{
    assay_error failure;
    c->item = "token ids";
    assay_status status = assay_tokens_verify(c->store, damaged_tokens, c, &failure);
    if (status == ASSAY_E_CORRUPT)
        return problem(c, failure.message);
    if (status != ASSAY_OK && status != ASSAY_E_INTERRUPTED && c->error != NULL)
        *c->error = failure;
    return status;
}

static assay_status check_attributes(check *c)
{
    assay_error failure;
    uint64_t expected, found, stored;
    char text[192];
    c->item = "metadata";
    assay_status status = assay_attributes_verify(c->store, &expected, &found, &stored, &failure);
    if (status == ASSAY_E_CORRUPT || status == ASSAY_E_FORMAT)
        return problem(c, failure.message);
    if (status != ASSAY_OK) {
        if (c->error != NULL)
            *c->error = failure;
        return status;
    }
    if (expected == found && found == stored)
        return ASSAY_OK;
    snprintf(text, sizeof text, "the documents' metadata has %llu values, of which %llu are among "
             "the %llu that filters look at", (unsigned long long)expected,
             (unsigned long long)found, (unsigned long long)stored);
    return problem(c, text);
}

/* FTS5's check, against the passages too (rank = 1). */
static assay_status check_index(check *c, long long key)
{
    sqlite3_stmt *insert;
    assay_error failure;
    if (c->store->read_only)
        return ASSAY_OK;
    assay_status status = assay_sql_prepare(c->store, &insert, &failure,
                                            "INSERT INTO fts_%lld(fts_%lld, rank)"
                                            " VALUES('integrity-check', 1)", key, key);
    if (status == ASSAY_OK)
        status = assay_sql_run(c->store, insert, "the BM25 index does not match the passages",
                               &failure);
    if (status == ASSAY_E_CORRUPT)
        return problem(c, failure.message);
    if (status != ASSAY_OK && c->error != NULL)
        *c->error = failure;
    return status;
}

static assay_status check_collections(check *c)
{
    int64_t key = 0;
    bool found;
    c->item = "BM25 index";
    for (;;) {
        ASSAY_TRY(next_collection(c, key, &found, &key));
        if (!found)
            return ASSAY_OK;
        ASSAY_TRY(check_entries(c, key));
        ASSAY_TRY(check_index(c, key));
    }
}

assay_status assay_sqlite_check(assay_store *store, assay_progress_fn progress, void *user,
                                uint64_t *problems, assay_error *error)
{
    check c = {.store = store, .progress = progress, .user = user, .total = CHECKS + 4,
               .error = error};
    for (size_t i = 0; i < CHECKS; i++) {
        c.item = checks[i].item;
        ASSAY_TRY(look(&c, checks[i].sql));
        c.done++;
        ASSAY_TRY(tell(&c, NULL));
    }
    assay_status (*const more[])(check *) = {check_tokens, check_token_vectors, check_attributes,
                                                 check_collections};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        ASSAY_TRY(more[i](&c));
        c.done++;
        ASSAY_TRY(tell(&c, NULL));
    }
    *problems = c.problems;
    if (c.problems == 0)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_CORRUPT, store->path,
                      "%llu problems found; restore the file or index again into a new data "
                      "directory", (unsigned long long)c.problems);
}
