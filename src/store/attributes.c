/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attributes.c: the values of documents' metadata, and filters over them.
 *
 * Every value is a row of a table that is its own index: a comparison is one
 * range of it, read in a go, and costs as much as it finds. What a filter says is
 * put together outside SQL, from sets of documents, so that the statements are
 * few and constant and everything of a filter is bound to them.
 *
 * Sets hold documents by key, of which no two are ever the same (schema.c); the
 * last step goes over from documents to their passages.
 */
#include "store/database.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const cannot_write = "cannot write the document's metadata";
static const char *const cannot_read = "cannot read the documents' metadata";

/* ---- Rows ----------------------------------------------------------------------- */

static void bind_value(sqlite3_stmt *statement, int parameter, const assay_value *value)
{
    if (value->kind == ASSAY_VALUE_TEXT)
        sqlite3_bind_text64(statement, parameter, value->text.length > 0 ? value->text.data : "",
                            value->text.length, SQLITE_STATIC, SQLITE_UTF8);
    else if (value->kind == ASSAY_VALUE_NUMBER && !value->is_whole)
        sqlite3_bind_double(statement, parameter, value->real);
    else
        sqlite3_bind_int64(statement, parameter, value->whole);
}

/* *field is -1 when the collection has none of this name. */
static assay_status find_field(assay_store *store, int64_t collection, const char *name,
                               int64_t *field, assay_error *error)
{
    sqlite3_stmt *find;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &find, error,
                                "SELECT key FROM fields WHERE collection = ?1 AND name = ?2"));
    sqlite3_bind_int64(find, 1, collection);
    assay_sql_bind(find, 2, name);
    ASSAY_TRY(assay_sql_step(store, find, cannot_read, &row, error));
    *field = row ? sqlite3_column_int64(find, 0) : -1;
    sqlite3_reset(find);
    return ASSAY_OK;
}

static assay_status make_field(assay_store *store, int64_t collection, const char *name,
                               int64_t *field, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(find_field(store, collection, name, field, error));
    if (*field >= 0)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO fields(collection, name) VALUES(?1, ?2)"));
    sqlite3_bind_int64(insert, 1, collection);
    assay_sql_bind(insert, 2, name);
    ASSAY_TRY(assay_sql_run(store, insert, cannot_write, error));
    *field = sqlite3_last_insert_rowid(store->db);
    return ASSAY_OK;
}

typedef struct writing {
    assay_store *store;
    int64_t collection, document;
    uint64_t expected, found; /* while verifying */
} writing;

/* Binds one row to a statement whose parameters are its four columns. */
static void bind_row(sqlite3_stmt *statement, const writing *w, int64_t field,
                     const assay_value *value)
{
    sqlite3_bind_int64(statement, 1, field);
    sqlite3_bind_int(statement, 2, (int)value->kind);
    bind_value(statement, 3, value);
    sqlite3_bind_int64(statement, 4, w->document);
}

static assay_status write_value(void *user, const char *name, const assay_value *value,
                                assay_error *error)
{
    writing *w = user;
    int64_t field;
    sqlite3_stmt *insert;
    ASSAY_TRY(make_field(w->store, w->collection, name, &field, error));
    ASSAY_TRY(assay_sql_prepare(w->store, &insert, error,
                                "INSERT OR IGNORE INTO attributes(field, kind, value, document)"
                                " VALUES(?1, ?2, ?3, ?4)"));
    bind_row(insert, w, field, value);
    return assay_sql_run(w->store, insert, cannot_write, error);
}

static assay_status remove_value(void *user, const char *name, const assay_value *value,
                                 assay_error *error)
{
    writing *w = user;
    int64_t field;
    sqlite3_stmt *delete;
    ASSAY_TRY(find_field(w->store, w->collection, name, &field, error));
    ASSAY_TRY(assay_sql_prepare(w->store, &delete, error,
                                "DELETE FROM attributes WHERE field = ?1 AND kind = ?2"
                                " AND value = ?3 AND document = ?4"));
    bind_row(delete, w, field, value);
    return assay_sql_run(w->store, delete, cannot_write, error);
}

assay_status assay_attributes_write(assay_store *store, int64_t collection, int64_t document,
                                    const char *metadata, assay_error *error)
{
    writing w = {.store = store, .collection = collection, .document = document};
    if (metadata == NULL || metadata[0] == '\0')
        return ASSAY_OK;
    return assay_metadata_each(metadata, write_value, &w, error);
}

assay_status assay_attributes_remove(assay_store *store, int64_t collection, int64_t document,
                                     const char *metadata, assay_error *error)
{
    writing w = {.store = store, .collection = collection, .document = document};
    if (metadata == NULL || metadata[0] == '\0')
        return ASSAY_OK;
    return assay_metadata_each(metadata, remove_value, &w, error);
}

/* Calls fn with each value of each document. */
static assay_status each_value(assay_store *store, writing *w, assay_field_fn fn,
                               assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    assay_status status;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT collection, key, metadata FROM documents"
                                " WHERE metadata IS NOT NULL"));
    while ((status = assay_sql_step(store, select, cannot_read, &row, error)) == ASSAY_OK && row) {
        w->collection = sqlite3_column_int64(select, 0);
        w->document = sqlite3_column_int64(select, 1);
        status = assay_metadata_each(assay_sql_text(select, 2), fn, w, error);
        if (status != ASSAY_OK)
            break;
    }
    sqlite3_reset(select);
    return status;
}

assay_status assay_attributes_fill(assay_store *store, assay_error *error)
{
    writing w = {.store = store};
    return each_value(store, &w, write_value, error);
}

/* ---- Checking ------------------------------------------------------------------- */

static assay_status look_for_value(void *user, const char *name, const assay_value *value,
                                   assay_error *error)
{
    writing *w = user;
    int64_t field;
    bool row = false;
    sqlite3_stmt *find;
    ASSAY_TRY(find_field(w->store, w->collection, name, &field, error));
    ASSAY_TRY(assay_sql_prepare(w->store, &find, error,
                                "SELECT 1 FROM attributes WHERE field = ?1 AND kind = ?2"
                                " AND value = ?3 AND document = ?4"));
    bind_row(find, w, field, value);
    ASSAY_TRY(assay_sql_step(w->store, find, cannot_read, &row, error));
    sqlite3_reset(find);
    w->expected++;
    w->found += row;
    return ASSAY_OK;
}

assay_status assay_attributes_verify(assay_store *store, uint64_t *expected, uint64_t *found,
                                     uint64_t *stored, assay_error *error)
{
    writing w = {.store = store};
    sqlite3_stmt *count;
    bool row;
    *expected = *found = *stored = 0;
    if (store->schema < ASSAY_SCHEMA_ATTRIBUTES)
        return ASSAY_OK;
    ASSAY_TRY(each_value(store, &w, look_for_value, error));
    ASSAY_TRY(assay_sql_prepare(store, &count, error, "SELECT count(*) FROM attributes"));
    ASSAY_TRY(assay_sql_step(store, count, cannot_read, &row, error));
    *stored = row ? (uint64_t)sqlite3_column_int64(count, 0) : 0;
    sqlite3_reset(count);
    *expected = w.expected;
    *found = w.found;
    return ASSAY_OK;
}

/* ---- Filters -------------------------------------------------------------------- */

typedef struct evaluation {
    assay_store *store;
    const assay_collection *collection;
    uint64_t documents, passages; /* one past the largest keys */
    assay_bits stack[ASSAY_FILTER_STACK];
    size_t depth;
    assay_error *missing, *error;
} evaluation;

/* Adds the first column of every row to the set. */
static assay_status collect(evaluation *e, sqlite3_stmt *select, assay_bits *set)
{
    bool row;
    for (;;) {
        ASSAY_TRY(assay_sql_step(e->store, select, cannot_read, &row, e->error));
        if (!row)
            return ASSAY_OK;
        int64_t key = sqlite3_column_int64(select, 0);
        if (key >= 0)
            assay_bits_add(set, (uint64_t)key);
    }
}

/* Names of the fields there are, for the caller to see what it could have meant. */
static assay_status tell_missing(evaluation *e, const char *field)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(e->store, &select, e->error,
                                "SELECT group_concat(name, ', ') FROM (SELECT name FROM fields"
                                " WHERE collection = ?1 ORDER BY name LIMIT 20)"));
    sqlite3_bind_int64(select, 1, e->collection->key);
    ASSAY_TRY(assay_sql_step(e->store, select, cannot_read, &row, e->error));
    const char *names = row ? assay_sql_text(select, 0) : "";
    if (names[0] != '\0')
        assay_fail(e->missing, ASSAY_E_NOT_FOUND, "filter",
                   "no document has a field '%s'; there are: %s", field, names);
    else
        assay_fail(e->missing, ASSAY_E_NOT_FOUND, "filter",
                   "no document has a field '%s', nor any other", field);
    sqlite3_reset(select);
    return ASSAY_OK;
}

/* Binds the ends of a range; what is open on one side ends at the kind's own. */
static void bind_range(sqlite3_stmt *select, const assay_filter_step *step)
{
    assay_value_kind kind = step->has_low ? step->low.kind : step->high.kind;
    sqlite3_bind_int(select, 2, (int)kind);
    if (step->has_low)
        bind_value(select, 3, &step->low);
    else if (kind == ASSAY_VALUE_TEXT)
        sqlite3_bind_text(select, 3, "", 0, SQLITE_STATIC);
    else
        sqlite3_bind_double(select, 3, -INFINITY);
    if (step->has_high)
        bind_value(select, 4, &step->high);
    else if (kind == ASSAY_VALUE_TEXT)
        sqlite3_bind_zeroblob(select, 4, 0); /* behind every text */
    else
        sqlite3_bind_double(select, 4, INFINITY);
}

static assay_status push_range(evaluation *e, const assay_filter_step *step, assay_bits *set)
{
    int64_t field;
    sqlite3_stmt *select;
    ASSAY_TRY(find_field(e->store, e->collection->key, step->field, &field, e->error));
    if (field < 0)
        return e->missing->code == ASSAY_OK ? tell_missing(e, step->field) : ASSAY_OK;
    if (step->op == ASSAY_FILTER_EXISTS)
        ASSAY_TRY(assay_sql_prepare(e->store, &select, e->error,
                                    "SELECT document FROM attributes WHERE field = ?1"));
    else
        ASSAY_TRY(assay_sql_prepare(e->store, &select, e->error,
                                    "SELECT document FROM attributes WHERE field = ?1"
                                    " AND kind = ?2 AND value %s ?3 AND value %s ?4",
                                    step->low_open ? ">" : ">=", step->high_open ? "<" : "<="));
    sqlite3_bind_int64(select, 1, field);
    if (step->op == ASSAY_FILTER_RANGE)
        bind_range(select, step);
    assay_status status = collect(e, select, set);
    sqlite3_reset(select);
    sqlite3_clear_bindings(select);
    return status;
}

/* All documents of the collection that are not in the set. */
static assay_status negate(evaluation *e, assay_bits *set)
{
    assay_bits all;
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(e->store, &select, e->error,
                                "SELECT key FROM documents WHERE collection = ?1"));
    ASSAY_TRY(assay_bits_new(&all, e->documents, e->error));
    sqlite3_bind_int64(select, 1, e->collection->key);
    assay_status status = collect(e, select, &all);
    sqlite3_reset(select);
    for (size_t i = 0; i < assay_bits_words(set); i++)
        set->words[i] = all.words[i] & ~set->words[i];
    assay_bits_free(&all);
    return status;
}

static assay_status run_step(evaluation *e, const assay_filter_step *step)
{
    if (step->op == ASSAY_FILTER_RANGE || step->op == ASSAY_FILTER_EXISTS) {
        assay_bits *set = &e->stack[e->depth];
        ASSAY_TRY(assay_bits_new(set, e->documents, e->error));
        e->depth++;
        return push_range(e, step, set);
    }
    assay_bits *top = &e->stack[e->depth - 1];
    if (step->op == ASSAY_FILTER_NOT)
        return negate(e, top);
    assay_bits *under = top - 1;
    for (size_t i = 0; i < assay_bits_words(top); i++)
        under->words[i] = step->op == ASSAY_FILTER_AND ? under->words[i] & top->words[i]
                                                       : under->words[i] | top->words[i];
    assay_bits_free(top);
    e->depth--;
    return ASSAY_OK;
}

/* Few documents are looked up one by one; of many, all passages in their range are
 * read past, in the order of the index by document. */
static assay_status collect_passages(evaluation *e, const assay_bits *documents, assay_bits *out)
{
    bool few = assay_bits_count(documents) < e->documents / 16;
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(e->store, &select, e->error,
                                "SELECT key, document FROM passages"
                                " WHERE document >= ?1 AND document <= ?2"));
    assay_status status = ASSAY_OK;
    for (uint64_t d = 0; few && d < e->documents && status == ASSAY_OK; d++) {
        if (documents->words[d / 64] == 0)
            d |= 63;
        if (!assay_bits_has(documents, d))
            continue;
        sqlite3_bind_int64(select, 1, (int64_t)d);
        sqlite3_bind_int64(select, 2, (int64_t)d);
        status = collect(e, select, out);
        sqlite3_reset(select);
    }
    sqlite3_bind_int64(select, 1, 0);
    sqlite3_bind_int64(select, 2, INT64_MAX);
    while (!few && status == ASSAY_OK &&
           (status = assay_sql_step(e->store, select, cannot_read, &row, e->error)) == ASSAY_OK &&
           row)
        if (assay_bits_has(documents, (uint64_t)sqlite3_column_int64(select, 1)))
            assay_bits_add(out, (uint64_t)sqlite3_column_int64(select, 0));
    sqlite3_reset(select);
    return status;
}

static assay_status evaluate(evaluation *e, const assay_filter *filter, assay_bits *out)
{
    size_t count;
    const assay_filter_step *steps = assay_filter_steps(filter, &count);
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(run_step(e, &steps[i]));
    return collect_passages(e, &e->stack[0], out);
}

assay_status assay_sqlite_filter(assay_store *store, const assay_collection *collection,
                                 const assay_filter *filter, assay_selection *out,
                                 assay_error *missing, assay_error *error)
{
    evaluation e = {.store = store, .collection = collection, .missing = missing, .error = error};
    sqlite3_stmt *limits;
    bool row;
    *missing = (assay_error){0};
    if (store->schema < ASSAY_SCHEMA_ATTRIBUTES)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                          "was written by an older assay, without what filters look at; 'assay "
                          "index' brings it up to date");
    ASSAY_TRY(assay_sql_prepare(store, &limits, error,
                                "SELECT (SELECT max(key) FROM documents),"
                                " (SELECT max(key) FROM passages)"));
    ASSAY_TRY(assay_sql_step(store, limits, cannot_read, &row, error));
    /* The row is kept open so that all that follows is of the same snapshot. */
    e.documents = row ? (uint64_t)sqlite3_column_int64(limits, 0) + 1 : 0;
    e.passages = row ? (uint64_t)sqlite3_column_int64(limits, 1) + 1 : 0;
    assay_bits passages;
    assay_status status = assay_bits_new(&passages, e.passages, error);
    if (status == ASSAY_OK)
        status = evaluate(&e, filter, &passages);
    sqlite3_reset(limits);
    for (size_t i = 0; i < e.depth; i++)
        assay_bits_free(&e.stack[i]);
    if (status == ASSAY_OK)
        *out = (assay_selection){filter, passages, assay_bits_count(&passages)};
    else
        assay_bits_free(&passages);
    return status;
}
