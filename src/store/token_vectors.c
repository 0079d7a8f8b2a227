/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_vectors.c: the vectors of passages' tokens, for late interaction; see store.h.
 *
 * A row of token_vectors, all numbers little-endian:
 *
 *   offset  bytes
 *        0      4  XXH3-64 of what follows, its low 32 bits
 *        4      4  number of vectors n
 *        8      4  tokens of the passage as it was encoded
 *       12      4  bit 0: its end was cut off; bits 8 to 15: of codes, the bits of a
 *                  coordinate (1, 2, 4); halves have 16, bytes 0
 *
 * and then of bytes
 *
 *       16    4*n  what 1 means in each, binary32
 *        +    d*n  the vectors, bytes of -127 to 127; d is the rest of the row's
 *                  length over n, and the model's
 *
 * of halves
 *
 *       16  2*d*n  the vectors, binary16; 2*d is the rest of the row's length over n
 *
 * and of codes (index/token_codes.h)
 *
 *       16      4  XXH3-64 of their book, its low 32 bits
 *       20    2*n  centres
 *        +    2*n  factors, binary16
 *        +    c*n  the codes; c is the rest of the row's length over n
 *
 * What made them, late_models says for a collection, by a digest of all that they
 * depend on: other vectors are never taken for the model's.
 */
#include "index/token_codes.h"
#include "store/database.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "steps are taken as they lie in the row, which is little-endian"
#endif

enum {
    HEADER = 16,       /* of bytes, and */
    CODE_HEADER = 20,  /* of codes */
    VECTORS_MAX = 1 << 20,
    BITS_SHIFT = 8,
};

static const char *const cannot_read = "cannot read token vectors";
static const char *const cannot_write = "cannot write token vectors";

/* ---- The collection's model ---------------------------------------------------- */

#define FROM_MODELS                                                                          \
    " FROM late_models m LEFT JOIN late_books b ON b.collection = m.collection"               \
    " WHERE m.collection = ?1"

assay_status assay_sqlite_late_get(assay_store *store, const assay_collection *collection,
                                   assay_late_model *out, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *out = (assay_late_model){0};
    if (store->schema < ASSAY_SCHEMA_LATE)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error, "%s",
                                store->schema < ASSAY_SCHEMA_BOOKS
                                    ? "SELECT model, digest, 0, 0, 1 FROM late_models"
                                      " WHERE collection = ?1"
                                : store->schema < ASSAY_SCHEMA_POOL
                                    ? "SELECT m.model, m.digest, coalesce(b.bits, 0),"
                                      " coalesce(b.sum, 0), 1" FROM_MODELS
                                    : "SELECT m.model, m.digest, coalesce(b.bits, 0),"
                                      " coalesce(b.sum, 0), m.pool" FROM_MODELS));
    sqlite3_bind_int64(select, 1, collection->key);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (!row)
        return ASSAY_OK;
    const char *model = assay_sql_text(select, 0);
    bool good = strlen(model) < sizeof out->model &&
                sqlite3_column_bytes(select, 1) == (int)sizeof out->digest.bytes;
    if (good) {
        memcpy(out->model, model, strlen(model) + 1);
        memcpy(out->digest.bytes, sqlite3_column_blob(select, 1), sizeof out->digest.bytes);
        out->bits = (uint32_t)sqlite3_column_int64(select, 2);
        out->book = (uint32_t)sqlite3_column_int64(select, 3);
        out->pool = (uint32_t)sqlite3_column_int64(select, 4);
    }
    sqlite3_reset(select);
    return good ? ASSAY_OK
                : assay_store_damaged(store, error, "collection %s: its late model is damaged",
                                      collection->name);
}

static assay_status drop_vectors(assay_store *store, const assay_collection *collection,
                                 assay_error *error)
{
    sqlite3_stmt *delete;
    ASSAY_TRY(assay_sql_prepare(store, &delete, error,
                                "DELETE FROM token_vectors WHERE passage IN"
                                " (SELECT key FROM passages WHERE collection = ?1)"));
    sqlite3_bind_int64(delete, 1, collection->key);
    ASSAY_TRY(assay_sql_run(store, delete, cannot_write, error));
    ASSAY_TRY(assay_sql_prepare(store, &delete, error,
                                "DELETE FROM late_models WHERE collection = ?1"));
    sqlite3_bind_int64(delete, 1, collection->key);
    return assay_sql_run(store, delete, cannot_write, error);
}

static assay_status put_book(assay_store *store, const assay_collection *collection,
                             const assay_late_model *model, const void *book, size_t length,
                             assay_error *error)
{
    sqlite3_stmt *insert;
    if (book == NULL)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO late_books(collection, bits, sum, book)"
                                " VALUES(?1, ?2, ?3, ?4)"));
    sqlite3_bind_int64(insert, 1, collection->key);
    sqlite3_bind_int64(insert, 2, model->bits);
    sqlite3_bind_int64(insert, 3, model->book);
    assay_sql_bind_bytes(insert, 4, book, length);
    return assay_sql_run(store, insert, cannot_write, error);
}

static assay_status set_model(assay_store *store, const assay_collection *collection,
                              const assay_late_model *model, const void *book, size_t length,
                              assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(drop_vectors(store, collection, error));
    if (model->model[0] == '\0')
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &insert, error,
                                "INSERT INTO late_models(collection, model, digest, pool)"
                                " VALUES(?1, ?2, ?3, ?4)"));
    sqlite3_bind_int64(insert, 1, collection->key);
    assay_sql_bind(insert, 2, model->model);
    assay_sql_bind_bytes(insert, 3, model->digest.bytes, sizeof model->digest.bytes);
    sqlite3_bind_int64(insert, 4, model->pool);
    ASSAY_TRY(assay_sql_run(store, insert, cannot_write, error));
    return put_book(store, collection, model, book, length, error);
}

assay_status assay_sqlite_late_set(assay_store *store, const assay_collection *collection,
                                   const assay_late_model *model, const void *book,
                                   size_t length,
                                   assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_sql_enter(store, &own, error));
    return assay_sql_leave(store, own, set_model(store, collection, model, book, length, error),
                           error);
}

assay_status assay_sqlite_late_book(assay_store *store, const assay_collection *collection,
                                    assay_buffer *out, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT book FROM late_books WHERE collection = ?1"));
    sqlite3_bind_int64(select, 1, collection->key);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (!row)
        return ASSAY_OK;
    assay_buffer_append(out, sqlite3_column_blob(select, 0),
                        (size_t)sqlite3_column_bytes(select, 0));
    sqlite3_reset(select);
    return assay_buffer_status(out, collection->name, error);
}

/* ---- Rows ------------------------------------------------------------------------ */

static uint32_t check_of(const void *bytes, size_t length)
{
    return (uint32_t)assay_hash64(bytes, length);
}

static bool decode_bytes(const char *rest, size_t length, assay_token_rows *out)
{
    size_t n = out->count;
    out->steps = rest;
    out->rows = rest + 4 * n;
    out->row_bytes = n > 0 ? length / n - 4 : 0;
    return n == 0 ? length == 0 : length % n == 0 && length / n > 4;
}

static bool decode_halves(const char *rest, size_t length, assay_token_rows *out)
{
    size_t n = out->count;
    out->rows = rest;
    out->row_bytes = n > 0 ? length / n : 0;
    return n == 0 ? length == 0 : length % (2 * n) == 0 && length > 0;
}

static bool decode_codes(const char *rest, size_t length, assay_token_rows *out)
{
    size_t n = out->count;
    if (length < CODE_HEADER - HEADER)
        return false;
    memcpy(&out->book, rest, sizeof out->book);
    rest += CODE_HEADER - HEADER;
    length -= CODE_HEADER - HEADER;
    out->centres = rest;
    out->steps = rest + 2 * n;
    out->rows = rest + 4 * n;
    out->row_bytes = n > 0 ? length / n - 4 : 0;
    return n == 0 ? length == 0 : length % n == 0 && length / n > 4;
}

bool assay_token_rows_decode(const void *bytes, size_t length, assay_token_rows *out)
{
    uint32_t header[4];
    *out = (assay_token_rows){0};
    if (bytes == NULL || length < HEADER)
        return false;
    memcpy(header, bytes, sizeof header);
    if (header[0] != check_of((const char *)bytes + 4, length - 4) || header[1] > VECTORS_MAX)
        return false;
    assay_token_rows rows = {.count = header[1],
                             .tokens = header[2],
                             .truncated = header[3] & 1,
                             .bits = header[3] >> BITS_SHIFT};
    const char *rest = (const char *)bytes + HEADER;
    bool good = (rows.bits == 0                    ? decode_bytes
                 : rows.bits == ASSAY_TOKEN_HALVES ? decode_halves
                                                   : decode_codes)(rest, length - HEADER, &rows);
    if (!good)
        return false;
    *out = rows;
    return true;
}

void assay_token_rows_encode(const assay_token_rows *rows, assay_buffer *out)
{
    size_t count = rows->count, begin = out->length;
    bool coded = rows->bits > 0 && rows->bits != ASSAY_TOKEN_HALVES;
    uint32_t header[5] = {0, (uint32_t)count, rows->tokens,
                          rows->truncated | rows->bits << BITS_SHIFT, rows->book};
    assay_buffer_append(out, header, coded ? CODE_HEADER : HEADER);
    if (count > 0 && coded)
        assay_buffer_append(out, rows->centres, count * sizeof(uint16_t));
    if (count > 0 && rows->bits != ASSAY_TOKEN_HALVES)
        assay_buffer_append(out, rows->steps, count * (coded ? sizeof(uint16_t) : sizeof(float)));
    if (count > 0)
        assay_buffer_append(out, rows->rows, count * rows->row_bytes);
    if (out->failed != ASSAY_OK)
        return;
    header[0] = check_of(out->data + begin + 4, out->length - begin - 4);
    memcpy(out->data + begin, header, sizeof header[0]);
}

assay_status assay_sqlite_token_vectors_read(assay_store *store, uint64_t passage,
                                             void (*fn)(void *, const assay_token_rows *),
                                             void *user, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    assay_token_rows rows = {0};
    if (store->schema < ASSAY_SCHEMA_LATE) {
        fn(user, &rows);
        return ASSAY_OK;
    }
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT vectors FROM token_vectors WHERE passage = ?1"));
    sqlite3_bind_int64(select, 1, (int64_t)passage);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    if (row)
        rows.damaged = !assay_token_rows_decode(sqlite3_column_blob(select, 0),
                               (size_t)sqlite3_column_bytes(select, 0), &rows);
    fn(user, &rows);
    if (row)
        sqlite3_reset(select);
    return ASSAY_OK;
}

assay_status assay_sqlite_token_vectors_put(assay_store *store, uint64_t passage,
                                            const assay_token_rows *rows, assay_error *error)
{
    sqlite3_stmt *insert;
    ASSAY_TRY(assay_sql_inside(store, "assay_token_vectors_put", error));
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_token_rows_encode(rows, &bytes);
    assay_status status = assay_buffer_status(&bytes, NULL, error);
    if (status == ASSAY_OK)
        status = assay_sql_prepare(store, &insert, error,
                                   "INSERT OR REPLACE INTO token_vectors(passage, vectors)"
                                   " VALUES(?1, ?2)");
    if (status == ASSAY_OK) {
        sqlite3_bind_int64(insert, 1, (int64_t)passage);
        assay_sql_bind_bytes(insert, 2, bytes.data, bytes.length);
        status = assay_sql_run(store, insert, cannot_write, error);
    }
    assay_buffer_free(&bytes);
    return status;
}

/* ---- All of a collection, all of a store ------------------------------------------ */

assay_status assay_sqlite_token_vectors_missing(assay_store *store,
                                                const assay_collection *collection,
                                                uint64_t after, uint64_t *passages,
                                                size_t most, size_t *count,
                                                assay_error *error)
{
    sqlite3_stmt *select;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT p.key FROM passages p WHERE p.collection = ?1"
                                " AND p.key > ?2 AND NOT EXISTS (SELECT 1 FROM token_vectors t"
                                " WHERE t.passage = p.key) ORDER BY p.key LIMIT ?3"));
    sqlite3_bind_int64(select, 1, collection->key);
    sqlite3_bind_int64(select, 2, (int64_t)after);
    sqlite3_bind_int64(select, 3, (int64_t)most);
    return assay_sql_keys(store, select, cannot_read, passages, count, error);
}

assay_status assay_token_vectors_count(assay_store *store, int64_t collection, uint64_t *count,
                                       uint64_t *bytes, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *count = *bytes = 0;
    if (store->schema < ASSAY_SCHEMA_LATE)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT count(*), coalesce(sum(length(t.vectors)), 0)"
                                " FROM passages p CROSS JOIN token_vectors t"
                                " ON t.passage = p.key WHERE p.collection = ?1"));
    sqlite3_bind_int64(select, 1, collection);
    ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
    *count = (uint64_t)sqlite3_column_int64(select, 0);
    *bytes = (uint64_t)sqlite3_column_int64(select, 1);
    sqlite3_reset(select);
    return ASSAY_OK;
}

typedef bool (*good_fn)(const void *bytes, size_t length);

static bool good_vectors(const void *bytes, size_t length)
{
    assay_token_rows rows;
    return assay_token_rows_decode(bytes, length, &rows);
}

static bool good_book(const void *bytes, size_t length)
{
    assay_token_book *book;
    assay_status status = assay_token_book_read(bytes, length, NULL, &book, NULL);
    if (status == ASSAY_OK)
        assay_token_book_free(book);
    return status != ASSAY_E_CORRUPT;
}

/* Tells of the keys in the first column whose bytes in the second are not good. */
static assay_status verify(assay_store *store, sqlite3_stmt *select, good_fn good,
                           assay_damaged_fn tell, void *user, assay_error *error)
{
    bool row;
    for (;;) {
        ASSAY_TRY(assay_sql_step(store, select, cannot_read, &row, error));
        if (!row)
            return ASSAY_OK;
        assay_status status = ASSAY_OK;
        if (!good(sqlite3_column_blob(select, 1), (size_t)sqlite3_column_bytes(select, 1)))
            status = tell(user, sqlite3_column_int64(select, 0));
        if (status != ASSAY_OK) {
            sqlite3_reset(select);
            return status;
        }
    }
}

assay_status assay_token_vectors_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                        assay_error *error)
{
    sqlite3_stmt *select;
    if (store->schema < ASSAY_SCHEMA_LATE)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT passage, vectors FROM token_vectors ORDER BY passage"));
    return verify(store, select, good_vectors, tell, user, error);
}

assay_status assay_late_books_verify(assay_store *store, assay_damaged_fn tell, void *user,
                                     assay_error *error)
{
    sqlite3_stmt *select;
    if (store->schema < ASSAY_SCHEMA_BOOKS)
        return ASSAY_OK;
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                "SELECT collection, book FROM late_books ORDER BY collection"));
    return verify(store, select, good_book, tell, user, error);
}
