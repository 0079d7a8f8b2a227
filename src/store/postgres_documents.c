/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_documents.c: documents with all that hangs on them, in PostgreSQL.
 *
 * Who writes to a collection locks its row until the transaction ends, so one writes at
 * a time and the counts in that row are right; a lock on a row needs no session of its
 * own and goes with the connection. Documents that are put gather as rows of COPY, a
 * table each, under keys taken from the sequence by the thousand, and are sent when
 * something is asked of the transaction, or it is committed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres.h"
#include "text/token_ids.h"
#include "text/unicode.h"

enum {
    GATHERED = 16 << 20,     /* bytes of one table, before they are sent */
    MARKS = 1000,            /* of a scan, sent at a time */
    MOST = 10000,            /* documents of a list */
};

static const char *const cannot_write = "cannot write the document";
static const char *const cannot_read = "cannot read the document";

/* ---- What has been put ------------------------------------------------------------ */

void assay_pg_forget(assay_postgres *pg)
{
    for (size_t i = 0; i < ASSAY_PG_TABLES; i++)
        assay_buffer_clear(&pg->rows[i].bytes);
    assay_string_map_free(pg->pending);
    pg->pending = NULL;
    pg->collection = pg->passages = pg->words = 0;
    pg->touched = false;
}

static assay_status write_counts(assay_store *store, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    char now[21];
    if (!pg->touched)
        return ASSAY_OK;
    assay_timestamp(now);
    assay_pg_query q = assay_pg_query_of(
        "UPDATE assay.collections SET generation = $2, changed = $3, passages = passages + $4,"
        " words = words + $5 WHERE key = $1");
    assay_pg_int(&q, pg->collection);
    assay_pg_int(&q, (int64_t)pg->generation);
    assay_pg_text(&q, now);
    assay_pg_int(&q, pg->passages);
    assay_pg_int(&q, pg->words);
    pg->passages = pg->words = 0;
    pg->touched = false;
    q.early = true;
    return assay_pg_run(store, &q, "cannot write to the collection", NULL, error);
}

/* The rows go first: running the statement of the counts looks here again. */
assay_status assay_pg_flush(assay_store *store, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    for (size_t i = 0; i < ASSAY_PG_TABLES; i++)
        ASSAY_TRY(assay_pg_send(store, &pg->rows[i], error));
    assay_string_map_free(pg->pending);
    pg->pending = NULL;
    return write_counts(store, error);
}

assay_status assay_pg_lock(assay_store *store, const assay_collection *collection,
                           assay_error *error)
{
    assay_postgres *pg = store->postgres;
    struct pg_result *rows;
    if (pg->collection == collection->key)
        return ASSAY_OK;
    assay_pg_query q = assay_pg_query_of("SELECT generation FROM assay.collections WHERE key = $1"
                                         " FOR NO KEY UPDATE");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot write to the collection", &rows, error));
    bool there = assay_pg_rows_count(rows) > 0;
    if (there) {
        pg->collection = collection->key;
        pg->generation = (uint64_t)assay_pg_get_int(rows, 0, 0);
    }
    assay_pg_free(rows);
    if (there)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                      "collection '%s' was dropped meanwhile", collection->name);
}

/* A change of the locked collection, which becomes another generation. */
static void touch(assay_postgres *pg, assay_collection *collection)
{
    pg->touched = true;
    collection->generation = pg->generation = assay_generation_after(pg->generation);
}

/* A document's key, from 1 on. */
static int64_t key_of(const char *id)
{
    return (int64_t)(assay_hash64(id, strlen(id)) >> 1 | 1);
}

/* Keys for passages. */
static assay_status take_keys(assay_store *store, int64_t *keys, size_t count,
                              assay_error *error)
{
    assay_postgres *pg = store->postgres;
    for (size_t i = 0; i < count; i++) {
        if (pg->next_key == pg->last_key) {
            struct pg_result *rows;
            assay_pg_query q = assay_pg_query_of("SELECT nextval('assay.keys')");
            q.early = true;
            ASSAY_TRY(assay_pg_run(store, &q, cannot_write, &rows, error));
            pg->next_key = assay_pg_get_int(rows, 0, 0);
            pg->last_key = pg->next_key + ASSAY_PG_KEYS;
            assay_pg_free(rows);
        }
        keys[i] = pg->next_key++;
    }
    return ASSAY_OK;
}

/* ---- Deleting --------------------------------------------------------------------- */

static assay_status find_document(assay_store *store, int64_t collection, const char *id,
                                  bool early, bool *found, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of("SELECT id FROM assay.documents"
                                         " WHERE collection = $1 AND key = $2");
    assay_status status = ASSAY_OK;
    q.early = early;
    assay_pg_int(&q, collection);
    assay_pg_int(&q, key_of(id));
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, &rows, error));
    *found = assay_pg_rows_count(rows) > 0;
    assay_text there = *found ? assay_pg_get(rows, 0, 0) : (assay_text){0};
    if (*found && (there.length != strlen(id) || memcmp(there.data, id, there.length) != 0))
        status = assay_fail(error, ASSAY_E_UNSUPPORTED, id,
                            "document '%.*s' has the same key; give one of them another id",
                            (int)(there.length < 200 ? there.length : 200), there.data);
    assay_pg_free(rows);
    return status;
}

/* A statement about documents[count] of the collection: $1 and $2. */
static assay_status about(assay_store *store, const char *constant, int64_t collection,
                          const int64_t *documents, size_t count, struct pg_result **out,
                          assay_error *error)
{
    assay_pg_query q = assay_pg_query_of(constant);
    assay_pg_int(&q, collection);
    assay_pg_ints(&q, documents, count);
    return assay_pg_run(store, &q, "cannot delete the document", out, error);
}

/* Vectors, token ids and token vectors go with their passages, attributes with their
 * documents; words have no foreign key, which would be looked up for every one. */
static assay_status delete_documents(assay_store *store, int64_t collection,
                                     const int64_t *documents, size_t count, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    struct pg_result *rows;
    ASSAY_TRY(about(store,
                    "DELETE FROM assay.words WHERE collection = $1 AND document = ANY($2::bigint[])",
                    collection, documents, count, NULL, error));
    ASSAY_TRY(about(store,
                    "WITH gone AS (DELETE FROM assay.passages WHERE collection = $1"
                    " AND document = ANY($2::bigint[]) RETURNING words)"
                    " SELECT count(*), coalesce(sum(words), 0)::bigint FROM gone",
                    collection, documents, count, &rows, error));
    pg->passages -= assay_pg_get_int(rows, 0, 0);
    pg->words -= assay_pg_get_int(rows, 0, 1);
    assay_pg_free(rows);
    return about(store,
                 "DELETE FROM assay.documents WHERE collection = $1 AND key = ANY($2::bigint[])",
                 collection, documents, count, NULL, error);
}

assay_status assay_pg_document_delete(assay_store *store, assay_collection *collection,
                                      const char *id, bool *found, assay_error *error)
{
    int64_t key = key_of(id);
    ASSAY_TRY(assay_pg_inside(store, "assay_document_delete", error));
    ASSAY_TRY(assay_pg_lock(store, collection, error));
    ASSAY_TRY(find_document(store, collection->key, id, false, found, error));
    if (!*found)
        return ASSAY_OK;
    ASSAY_TRY(delete_documents(store, collection->key, &key, 1, error));
    touch(store->postgres, collection);
    return ASSAY_OK;
}

/* ---- Adding ----------------------------------------------------------------------- */

/* PostgreSQL's text is valid UTF-8; what is not, of a name that a file system gave, is
 * refused before anything is sent. */
static assay_status check_text(const char *what, const char *text, assay_error *error)
{
    size_t length = text != NULL ? strlen(text) : 0;
    if (length == 0 || assay_utf8_check((const uint8_t *)text, length) == length)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_FORMAT, text,
                      "the document's %s is not valid UTF-8, and PostgreSQL takes nothing else",
                      what);
}

static assay_status check_texts(const assay_stored_document *document, assay_error *error)
{
    ASSAY_TRY(check_text("id", document->id, error));
    ASSAY_TRY(check_text("source", document->source, error));
    ASSAY_TRY(check_text("title", document->title, error));
    ASSAY_TRY(check_text("metadata", document->metadata, error));
    for (size_t i = 0; i < document->passage_count; i++)
        ASSAY_TRY(check_text("heading", document->passages[i].heading, error));
    return ASSAY_OK;
}

static void put_text(assay_pg_rows *rows, const char *text)
{
    assay_pg_put_bytes(rows, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

typedef struct attributes {
    assay_pg_rows *rows;
    int64_t collection, document;
    assay_string_map *seen; /* a value that stands there twice is one */
} attributes;

/* COPY's text format. */
static void put_escaped(assay_buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '\\' || c == '\t' || c == '\n' || c == '\r') {
            assay_buffer_byte(out, '\\');
            c = c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c;
        }
        assay_buffer_byte(out, c);
    }
}

static assay_status put_value(void *user, const char *field, const assay_value *value,
                              assay_error *error)
{
    attributes *a = user;
    char number[64] = "\\N";
    uint32_t index;
    bool added;
    assay_buffer *out = &a->rows->bytes, row;
    assay_buffer_init(&row, 0);
    put_escaped(&row, field, strlen(field));
    assay_buffer_format(&row, "\t%d\t", (int)value->kind);
    if (value->kind == ASSAY_VALUE_TEXT)
        put_escaped(&row, value->text.data, value->text.length);
    else if (value->kind == ASSAY_VALUE_NUMBER && !value->is_whole)
        snprintf(number, sizeof number, "%.17g", value->real);
    else if (value->kind != ASSAY_VALUE_OTHER)
        snprintf(number, sizeof number, "%lld", (long long)value->whole);
    assay_buffer_format(&row, "%s\t%s\n", number[0] != '\\' ? number : "", number);
    assay_status status = assay_buffer_status(&row, field, error);
    if (status == ASSAY_OK)
        status = assay_string_map_add(a->seen, row.data, row.length, &index, &added, error);
    if (status == ASSAY_OK && added) {
        assay_buffer_format(out, "%lld\t%lld\t", (long long)a->collection,
                            (long long)a->document);
        assay_buffer_append(out, row.data, row.length);
    }
    assay_buffer_free(&row);
    return status;
}

static assay_status put_attributes(assay_store *store, int64_t collection, int64_t document,
                                   const char *metadata, assay_error *error)
{
    attributes a = {.rows = &store->postgres->rows[ASSAY_PG_ATTRIBUTES],
                    .collection = collection, .document = document};
    if (metadata == NULL || metadata[0] == '\0')
        return ASSAY_OK;
    a.seen = assay_string_map_new();
    if (a.seen == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_metadata_each(metadata, put_value, &a, error);
    assay_string_map_free(a.seen);
    return status;
}

/* The keys of a passage. */
typedef struct passage_place {
    int64_t collection, document, passage;
} passage_place;

static void put_place(assay_pg_rows *rows, const passage_place *at)
{
    assay_pg_put_int(rows, at->collection);
    assay_pg_put_int(rows, at->document);
    assay_pg_put_int(rows, at->passage);
}

/* The passage's terms; *length: all its words. */
static assay_status put_words(assay_store *store, const passage_place *at,
                              const assay_text texts[3], uint64_t *length, assay_error *error)
{
    assay_pg_rows *rows = &store->postgres->rows[ASSAY_PG_WORDS];
    assay_passage_terms terms;
    ASSAY_TRY(assay_passage_terms_read(store, texts, 3, ASSAY_PG_TERM, &terms, error));
    const uint32_t *times = (const void *)terms.times.data;
    for (uint32_t t = 0; t < assay_string_map_count(terms.map); t++) {
        const char *term = assay_string_map_key(terms.map, t);
        assay_pg_row(rows, 6);
        assay_pg_put_int(rows, at->collection);
        assay_pg_put_bytes(rows, term, strlen(term));
        assay_pg_put_int(rows, at->document);
        assay_pg_put_int(rows, at->passage);
        assay_pg_put_int(rows, times[t]);
        assay_pg_put_int(rows, (int64_t)terms.length);
    }
    *length = terms.length;
    assay_passage_terms_free(&terms);
    return ASSAY_OK;
}

static void put_tokens(assay_store *store, const passage_place *at,
                       const assay_digest *tokenizer, const assay_stored_passage *passage)
{
    assay_pg_rows *rows = &store->postgres->rows[ASSAY_PG_TOKENS];
    assay_buffer ids;
    assay_buffer_init(&ids, 0);
    assay_token_ids_encode(passage->ids, passage->id_count, &ids);
    assay_pg_row(rows, 5);
    put_place(rows, at);
    assay_pg_put_bytes(rows, tokenizer->bytes, sizeof tokenizer->bytes);
    assay_pg_put_bytes(rows, ids.data, ids.length);
    if (ids.failed != ASSAY_OK) /* told when they are sent */
        rows->bytes.failed = ids.failed;
    assay_buffer_free(&ids);
}

static assay_status put_passage(assay_store *store, const assay_collection *collection,
                                const assay_stored_document *document, int64_t document_key,
                                const assay_stored_passage *passage, int64_t key,
                                assay_error *error)
{
    const passage_place at = {collection->key, document_key, key};
    assay_postgres *pg = store->postgres;
    assay_pg_rows *rows = &pg->rows[ASSAY_PG_PASSAGES];
    const char *title = document->title, *heading = passage->heading;
    const assay_text texts[3] = {
        {title, title != NULL ? strlen(title) : 0},
        {heading, heading != NULL ? strlen(heading) : 0},
        {passage->length > 0 ? document->text.data + passage->offset : NULL, passage->length},
    };
    uint64_t words;
    ASSAY_TRY(put_words(store, &at, texts, &words, error));
    assay_pg_row(rows, 9);
    assay_pg_put_int(rows, collection->key);
    assay_pg_put_int(rows, key);
    assay_pg_put_int(rows, document_key);
    assay_pg_put_int(rows, (int64_t)passage->offset);
    assay_pg_put_int(rows, (int64_t)passage->length);
    assay_pg_put_int(rows, passage->tokens);
    assay_pg_put_int(rows, passage->truncated);
    assay_pg_put_int(rows, (int64_t)words);
    put_text(rows, heading);
    pg->passages++;
    pg->words += (int64_t)words;
    if (passage->vector != NULL) {
        assay_pg_rows *vectors = &pg->rows[ASSAY_PG_VECTORS];
        assay_pg_row(vectors, 4);
        put_place(vectors, &at);
        assay_pg_put_vector(vectors, passage->vector, collection->config.dimensions);
    }
    if (passage->ids != NULL)
        put_tokens(store, &at, document->tokenizer, passage);
    return ASSAY_OK;
}

static void put_document(assay_store *store, int64_t collection, int64_t key,
                         const assay_stored_document *document)
{
    assay_pg_rows *rows = &store->postgres->rows[ASSAY_PG_DOCUMENTS];
    assay_pg_row(rows, 8);
    assay_pg_put_int(rows, collection);
    assay_pg_put_int(rows, key);
    put_text(rows, document->id);
    assay_pg_put_bytes(rows, document->digest.bytes, sizeof document->digest.bytes);
    put_text(rows, document->source);
    put_text(rows, document->title);
    if (document->metadata != NULL)
        put_text(rows, document->metadata);
    else
        assay_pg_put_null(rows);
    assay_pg_put_bytes(rows, document->text.data, document->text.length);
}

/* Takes out the one with this id, whether it is there or among the rows to be sent. */
static assay_status make_way(assay_store *store, const assay_collection *collection,
                             const char *id, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    int64_t key = key_of(id);
    uint32_t index;
    bool found, waits = pg->pending != NULL &&
                 assay_string_map_find(pg->pending, id, strlen(id), &index);
    ASSAY_TRY(find_document(store, collection->key, id, !waits, &found, error));
    if (found)
        ASSAY_TRY(delete_documents(store, collection->key, &key, 1, error));
    if (pg->pending == NULL && (pg->pending = assay_string_map_new()) == NULL)
        return assay_fail_memory(error, 1024);
    return assay_string_map_add(pg->pending, id, strlen(id), &index, NULL, error);
}

static assay_status put_rows(assay_store *store, const assay_collection *collection,
                             const assay_stored_document *document, const int64_t *passages,
                             assay_error *error)
{
    int64_t key = key_of(document->id);
    put_document(store, collection->key, key, document);
    ASSAY_TRY(put_attributes(store, collection->key, key, document->metadata, error));
    for (size_t i = 0; i < document->passage_count; i++)
        ASSAY_TRY(put_passage(store, collection, document, key, &document->passages[i],
                              passages[i], error));
    return ASSAY_OK;
}

assay_status assay_pg_document_put(assay_store *store, assay_collection *collection,
                                   const assay_stored_document *document, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    ASSAY_TRY(assay_pg_inside(store, "assay_document_put", error));
    ASSAY_TRY(check_texts(document, error));
    ASSAY_TRY(assay_pg_lock(store, collection, error));
    ASSAY_TRY(make_way(store, collection, document->id, error));
    int64_t *keys = malloc((document->passage_count + 1) * sizeof *keys);
    if (keys == NULL)
        return assay_fail_memory(error, document->passage_count * sizeof *keys);
    assay_status status = take_keys(store, keys, document->passage_count, error);
    if (status == ASSAY_OK)
        status = put_rows(store, collection, document, keys, error);
    free(keys);
    ASSAY_TRY(status);
    touch(pg, collection);
    bool many = false;
    for (size_t i = 0; i < ASSAY_PG_TABLES; i++)
        many = many || pg->rows[i].bytes.length > GATHERED;
    return many ? assay_pg_flush(store, error) : ASSAY_OK;
}

assay_status assay_pg_document_digest(assay_store *store, const assay_collection *collection,
                                      const char *id, bool *found, assay_digest *digest,
                                      assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of("SELECT digest FROM assay.documents"
                                         " WHERE collection = $1 AND id = $2");
    assay_pg_int(&q, collection->key);
    assay_pg_text(&q, id);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, &rows, error));
    bool there = assay_pg_rows_count(rows) > 0, good = true;
    if (there) {
        assay_text bytes = assay_pg_get(rows, 0, 0);
        good = bytes.length == sizeof digest->bytes;
        if (good)
            memcpy(digest->bytes, bytes.data, sizeof digest->bytes);
    }
    assay_pg_free(rows);
    if (!good)
        return assay_store_damaged(store, error, "document '%s' has a digest of a wrong size", id);
    *found = there;
    return ASSAY_OK;
}

/* ---- Scans: the marks are a table of SQLite's, see assay_scan_mark ------------------ */

/* Calls fn with the marks of a collection, MARKS at a time: ids, and where each was seen. */
static assay_status each_marks(assay_store *store, int64_t collection,
                               assay_status (*fn)(assay_store *, int64_t, const assay_text *ids,
                                                  const assay_text *sources, size_t count,
                                                  assay_error *),
                               assay_error *error)
{
    assay_text ids[MARKS], sources[MARKS];
    assay_arena *arena = assay_arena_new(0);
    sqlite3_stmt *select;
    bool row = true;
    assay_status status =
        arena != NULL ? assay_sql_prepare(store, &select, error,
                                          "SELECT id, source FROM temp.scan WHERE collection = ?1")
                      : assay_fail_memory(error, 1024);
    if (status == ASSAY_OK)
        sqlite3_bind_int64(select, 1, collection);
    while (status == ASSAY_OK && row) {
        size_t count = 0;
        assay_arena_reset(arena);
        while (count < MARKS && status == ASSAY_OK &&
               (status = assay_sql_step(store, select, cannot_read, &row, error)) == ASSAY_OK &&
               row) {
            assay_text *const to[] = {&ids[count], &sources[count]};
            for (int i = 0; i < 2 && status == ASSAY_OK; i++) {
                const char *text = assay_sql_text(select, i);
                *to[i] = (assay_text){assay_arena_copy(arena, text, strlen(text)), strlen(text)};
                if (to[i]->data == NULL)
                    status = assay_fail_memory(error, to[i]->length);
            }
            count++;
        }
        if (status == ASSAY_OK && count > 0)
            status = fn(store, collection, ids, sources, count, error);
        if (status != ASSAY_OK && row)
            sqlite3_reset(select);
    }
    assay_arena_free(arena);
    return status;
}

static assay_status move_sources(assay_store *store, int64_t collection, const assay_text *ids,
                                 const assay_text *sources, size_t count, assay_error *error)
{
    assay_pg_query q = assay_pg_query_of(
        "UPDATE assay.documents d SET source = s.source"
        " FROM unnest($2::text[], $3::text[]) AS s(id, source)"
        " WHERE d.collection = $1 AND d.id = s.id COLLATE \"C\" AND d.source <> s.source");
    assay_pg_int(&q, collection);
    assay_pg_pieces(&q, ids, count, true);
    assay_pg_pieces(&q, sources, count, true);
    return assay_pg_run(store, &q, "cannot write where documents came from", NULL, error);
}

assay_status assay_pg_scan_finish(assay_store *store, const assay_collection *collection,
                                  assay_error *error)
{
    ASSAY_TRY(assay_pg_inside(store, "assay_scan_finish", error));
    ASSAY_TRY(assay_pg_lock(store, collection, error));
    return each_marks(store, collection->key, move_sources, error);
}

static assay_status is_marked(assay_store *store, int64_t collection, assay_text id, bool *marked,
                              assay_error *error)
{
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT 1 FROM temp.scan WHERE collection = ?1 AND id = ?2"));
    sqlite3_bind_int64(select, 1, collection);
    sqlite3_bind_text64(select, 2, id.data, id.length, SQLITE_TRANSIENT, SQLITE_UTF8);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, marked, error));
    sqlite3_reset(select);
    return ASSAY_OK;
}

/* Deletes those of the rows (key, id) that are not marked. */
static assay_status delete_unmarked(assay_store *store, int64_t collection,
                                    const struct pg_result *rows, uint64_t *removed,
                                    assay_error *error)
{
    int64_t gone[MARKS];
    size_t count = 0;
    for (size_t i = 0; i < assay_pg_rows_count(rows); i++) {
        bool marked;
        ASSAY_TRY(is_marked(store, collection, assay_pg_get(rows, i, 1), &marked, error));
        if (!marked)
            gone[count++] = assay_pg_get_int(rows, i, 0);
    }
    *removed += count;
    return count > 0 ? delete_documents(store, collection, gone, count, error) : ASSAY_OK;
}

/* What lies under a path: as in documents.c. */
static assay_status prune_page(assay_store *store, int64_t collection, assay_text path,
                               int64_t *after, uint64_t *removed, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(
        "SELECT key, id FROM assay.documents WHERE collection = $1 AND key > $2 AND (source = $3"
        " OR (source >= $3 || '/' AND source < $3 || '0') OR ($3 = '.' AND source <> '-'"
        " AND source NOT LIKE '/%' AND source NOT LIKE '../%')) ORDER BY key LIMIT $4");
    assay_pg_int(&q, collection);
    assay_pg_int(&q, *after);
    assay_pg_string(&q, path);
    assay_pg_int(&q, MARKS);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, &rows, error));
    size_t count = assay_pg_rows_count(rows);
    *after = count > 0 ? assay_pg_get_int(rows, count - 1, 0) : -1;
    assay_status status = delete_unmarked(store, collection, rows, removed, error);
    assay_pg_free(rows);
    return status;
}

assay_status assay_pg_scan_prune(assay_store *store, assay_collection *collection,
                                 const char *path, uint64_t *removed, assay_error *error)
{
    assay_text under = {path, strlen(path)};
    uint64_t gone = 0;
    while (under.length > 0 && path[under.length - 1] == '/')
        under.length--;
    ASSAY_TRY(assay_pg_inside(store, "assay_scan_prune", error));
    ASSAY_TRY(assay_pg_lock(store, collection, error));
    for (int64_t after = 0; after >= 0;)
        ASSAY_TRY(prune_page(store, collection->key, under, &after, &gone, error));
    if (gone > 0)
        touch(store->postgres, collection);
    *removed = gone;
    return ASSAY_OK;
}

/* ---- Looking at documents ---------------------------------------------------------- */

static assay_status copy(assay_text text, assay_arena *arena, const char **out,
                         assay_error *error)
{
    *out = assay_arena_copy(arena, text.data, text.length);
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, text.length);
}

#define COLUMNS                                                                    \
    "SELECT d.id, d.title, d.source, d.metadata, length(d.text)::bigint, (SELECT count(*)" \
    " FROM assay.passages p WHERE p.collection = d.collection AND p.document = d.key)"

static assay_status read_row(const struct pg_result *rows, size_t row, bool text,
                             assay_arena *arena, assay_document_info *out, assay_error *error)
{
    const char **const names[] = {&out->id, &out->title, &out->source, &out->metadata};
    for (int i = 0; i < 4; i++)
        ASSAY_TRY(copy(assay_pg_get(rows, row, i), arena, names[i], error));
    if (out->metadata[0] == '\0')
        out->metadata = NULL;
    out->bytes = (uint64_t)assay_pg_get_int(rows, row, 4);
    out->passages = (uint64_t)assay_pg_get_int(rows, row, 5);
    if (!text)
        return ASSAY_OK;
    out->text = assay_pg_get(rows, row, 6);
    return copy(out->text, arena, &out->text.data, error);
}

static assay_status take_rows(const struct pg_result *rows, bool text, assay_documents *out,
                              assay_error *error)
{
    assay_arena *arena;
    assay_documents list;
    size_t count = assay_pg_rows_count(rows);
    ASSAY_TRY(assay_documents_new(count, &list, &arena, error));
    assay_status status = ASSAY_OK;
    for (; list.count < count && status == ASSAY_OK; list.count++)
        status = read_row(rows, list.count, text, arena, &list.items[list.count], error);
    if (status == ASSAY_OK)
        *out = list;
    else
        assay_documents_free(&list);
    return status;
}

assay_status assay_pg_document_list(assay_store *store, const char *collection,
                                    const char *after, size_t most, assay_documents *out,
                                    assay_error *error)
{
    assay_collection found;
    struct pg_result *rows;
    ASSAY_TRY(assay_pg_collection_open(store, collection, &found, error));
    assay_pg_query q = assay_pg_query_of(COLUMNS " FROM assay.documents d WHERE d.collection = $1"
                                                 " AND d.id > $2 ORDER BY d.id LIMIT $3");
    assay_pg_int(&q, found.key);
    assay_pg_text(&q, after);
    assay_pg_int(&q, most == 0 || most > MOST ? MOST : (int64_t)most);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read the documents", &rows, error));
    assay_status status = take_rows(rows, false, out, error);
    assay_pg_free(rows);
    return status;
}

static assay_status find_text(assay_store *store, const char *collection, const char *id,
                              struct pg_result **out, assay_error *error)
{
    assay_collection found;
    ASSAY_TRY(assay_pg_collection_open(store, collection, &found, error));
    assay_pg_query q = assay_pg_query_of(COLUMNS ", d.text FROM assay.documents d"
                                                 " WHERE d.collection = $1 AND d.id = $2");
    assay_pg_int(&q, found.key);
    assay_pg_text(&q, id);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, out, error));
    if (assay_pg_rows_count(*out) > 0)
        return ASSAY_OK;
    assay_pg_free(*out);
    return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                      "collection '%s' has no document '%s'", collection, id);
}

assay_status assay_pg_document_get(assay_store *store, const char *collection, const char *id,
                                   assay_documents *out, assay_error *error)
{
    struct pg_result *rows;
    ASSAY_TRY(find_text(store, collection, id, &rows, error));
    assay_status status = take_rows(rows, true, out, error);
    assay_pg_free(rows);
    return status;
}

assay_status assay_pg_document_text(assay_store *store, const char *collection,
                                    const char *document, assay_text *title, assay_text *text,
                                    assay_error *error)
{
    struct pg_result *rows;
    ASSAY_TRY(find_text(store, collection, document, &rows, error));
    assay_text name = assay_pg_get(rows, 0, 1), body = assay_pg_get(rows, 0, 6);
    assay_buffer_clear(&store->text);
    assay_buffer_append(&store->text, name.data, name.length);
    assay_buffer_byte(&store->text, '\0');
    assay_buffer_append(&store->text, body.data, body.length);
    assay_pg_free(rows);
    ASSAY_TRY(assay_buffer_status(&store->text, document, error));
    *title = (assay_text){store->text.data, name.length};
    *text = (assay_text){store->text.data + name.length + 1, body.length};
    return ASSAY_OK;
}
