/* SPDX-License-Identifier: Apache-2.0 */
/*
 * term_lists.c: a collection's FTS5 table, written as postings (index/postings.h).
 *
 * FTS5's own vocabulary table gives the terms in the order of their bytes, each with
 * its places in the order of the passages, so a list is written when it has been
 * read, and no more than one is kept. Terms are the table's: nothing is cut into
 * words a second time.
 */
#include "store/database.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index/postings.h"

static const char *const cannot_read = "cannot read the words";

typedef struct inversion {
    assay_store *store;
    const assay_collection *collection;
    assay_postings_writer *writer;
    uint64_t *keys;    /* of the passages, ascending */
    uint32_t *lengths; /* [count] */
    size_t count;
    assay_buffer term; /* the list at hand */
    uint32_t *slots, *frequencies; /* [count]: no term has more */
    size_t used;
    uint64_t done, total; /* tokens */
    uint64_t terms;
    assay_progress_fn progress;
    void *user;
    assay_error *error;
} inversion;

/* Tokens of a row: FTS5 keeps one SQLite varint a column. */
bool assay_docsize_read(sqlite3_stmt *row, int column, uint64_t *tokens)
{
    const unsigned char *bytes = sqlite3_column_blob(row, column);
    int size = sqlite3_column_bytes(row, column), columns = 0;
    uint64_t total = 0, value = 0;
    for (int i = 0; i < size && columns < ASSAY_FTS_COLUMNS; i++) {
        value = value << 7 | (bytes[i] & 0x7F);
        if (bytes[i] < 0x80) {
            total += value;
            value = 0;
            columns++;
        }
    }
    *tokens = total;
    return columns == ASSAY_FTS_COLUMNS;
}

static assay_status count_rows(inversion *v, size_t *count)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(v->store, &select, v->error,
                                "SELECT count(*) FROM fts_%lld_docsize",
                                (long long)v->collection->key));
    ASSAY_TRY(assay_sql_step(v->store, select, cannot_read, &row, v->error));
    *count = row ? (size_t)sqlite3_column_int64(select, 0) : 0;
    sqlite3_reset(select);
    return ASSAY_OK;
}

static assay_status take_length(inversion *v, sqlite3_stmt *select)
{
    uint64_t tokens;
    if (!assay_docsize_read(select, 1, &tokens) || tokens > UINT32_MAX)
        return assay_store_damaged(v->store, v->error, "passage %" PRId64 " has a length that is "
                                   "none in the BM25 index", (int64_t)sqlite3_column_int64(select, 0));
    v->keys[v->count] = (uint64_t)sqlite3_column_int64(select, 0);
    v->lengths[v->count++] = (uint32_t)tokens;
    v->total += tokens;
    return ASSAY_OK;
}

static assay_status read_lengths(inversion *v)
{
    sqlite3_stmt *select;
    size_t rows;
    bool row;
    ASSAY_TRY(count_rows(v, &rows));
    v->keys = malloc((rows + 1) * sizeof *v->keys);
    v->lengths = malloc((rows + 1) * sizeof *v->lengths);
    v->slots = malloc((rows + 1) * sizeof *v->slots);
    v->frequencies = malloc((rows + 1) * sizeof *v->frequencies);
    if (v->keys == NULL || v->lengths == NULL || v->slots == NULL || v->frequencies == NULL)
        return assay_fail_memory(v->error, rows * 20);
    ASSAY_TRY(assay_sql_prepare(v->store, &select, v->error,
                                "SELECT id, sz FROM fts_%lld_docsize ORDER BY id",
                                (long long)v->collection->key));
    assay_status status;
    while ((status = assay_sql_step(v->store, select, cannot_read, &row, v->error)) == ASSAY_OK &&
           row && v->count < rows)
        if ((status = take_length(v, select)) != ASSAY_OK)
            break;
    sqlite3_reset(select);
    return status;
}

static assay_status finish_term(inversion *v)
{
    if (v->used == 0)
        return ASSAY_OK;
    ASSAY_TRY(assay_buffer_status(&v->term, "term", v->error));
    assay_text term = {v->term.data, v->term.length};
    ASSAY_TRY(assay_postings_add(v->writer, term, v->slots, v->frequencies, v->used, v->error));
    assay_progress step = {.phase = ASSAY_PHASE_WORDS, .done = v->done, .total = v->total};
    v->used = 0;
    if (++v->terms % 1024 == 0 && v->progress != NULL && !v->progress(&step, v->user))
        return assay_fail(v->error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return ASSAY_OK;
}

/* The slot of a passage at or behind `from`: most are near. */
static bool find_slot(const inversion *v, uint64_t key, size_t from, size_t *slot)
{
    /* Keys mostly follow one another without a gap. */
    uint64_t far = v->count > 0 ? key - v->keys[from] : 0;
    if (far < v->count - from && v->keys[from + far] == key) {
        *slot = from + (size_t)far;
        return true;
    }
    size_t step = 1, low = from, high = from;
    while (high < v->count && v->keys[high] < key) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    if (high > v->count)
        high = v->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    *slot = low;
    return low < v->count && v->keys[low] == key;
}

/* One place of one term. */
static assay_status take_place(inversion *v, sqlite3_stmt *select)
{
    const char *text = (const char *)sqlite3_column_text(select, 0);
    size_t length = (size_t)sqlite3_column_bytes(select, 0), slot;
    uint64_t key = (uint64_t)sqlite3_column_int64(select, 1);
    v->done++;
    bool same = v->used > 0 && v->term.length == length &&
                memcmp(v->term.data, text, length) == 0;
    if (!same) {
        ASSAY_TRY(finish_term(v));
        assay_buffer_clear(&v->term);
        assay_buffer_append(&v->term, text, length);
    }
    size_t last = v->used > 0 ? v->slots[v->used - 1] : 0;
    if (!find_slot(v, key, last, &slot))
        return assay_store_damaged(v->store, v->error,
                                   "the BM25 index has a word of passage %" PRIu64 ", which is gone",
                                   key);
    if (v->used > 0 && slot == last) {
        v->frequencies[v->used - 1]++;
    } else {
        v->slots[v->used] = (uint32_t)slot;
        v->frequencies[v->used++] = 1;
    }
    return ASSAY_OK;
}

static assay_status read_places(inversion *v)
{
    sqlite3_stmt *select;
    bool row;
    assay_status status;
    ASSAY_TRY(assay_sql_prepare(v->store, &select, v->error, "SELECT term, doc FROM temp.terms_%lld",
                                (long long)v->collection->key));
    while ((status = assay_sql_step(v->store, select, cannot_read, &row, v->error)) == ASSAY_OK &&
           row)
        if ((status = take_place(v, select)) != ASSAY_OK)
            break;
    sqlite3_reset(select);
    return status == ASSAY_OK ? finish_term(v) : status;
}

static assay_status write_lists(inversion *v, const char *path, double k1, double b)
{
    ASSAY_TRY(read_lengths(v));
    assay_postings_stamp stamp = {(uint64_t)v->collection->key, v->collection->generation};
    ASSAY_TRY(assay_postings_create(path, &stamp, v->keys, v->lengths, v->count, k1, b, &v->writer,
                                    v->error));
    assay_status status = read_places(v);
    if (status == ASSAY_OK)
        return assay_postings_commit(v->writer, v->error);
    assay_postings_abort(v->writer);
    return status;
}

/* Reads all of it in one transaction, so that it is of one moment. */
static assay_status write_snapshot(inversion *v, assay_collection *collection, const char *path,
                                   double k1, double b)
{
    bool own = sqlite3_get_autocommit(v->store->db) != 0;
    if (own)
        ASSAY_TRY(assay_sql_exec(v->store, cannot_read, v->error, "BEGIN"));
    assay_status status =
        assay_sqlite_collection_open(v->store, collection->name, collection, v->error);
    if (status == ASSAY_OK)
        status = write_lists(v, path, k1, b);
    if (own)
        assay_sql_exec(v->store, cannot_read, NULL, "COMMIT");
    return status;
}

assay_status assay_store_write_postings(assay_store *store, assay_collection *collection,
                                        const char *path, double k1, double b,
                                        assay_progress_fn progress, void *user,
                                        assay_error *error)
{
    inversion v = {.store = store, .collection = collection, .progress = progress, .user = user,
                   .error = error};
    long long key = collection->key;
    ASSAY_TRY(assay_sql_exec(store, cannot_read, error,
                             "CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms_%lld"
                             " USING fts5vocab(main, fts_%lld, instance)", key, key));
    assay_buffer_init(&v.term, 0);
    assay_status status = write_snapshot(&v, collection, path, k1, b);
    assay_buffer_free(&v.term);
    free(v.keys);
    free(v.lengths);
    free(v.slots);
    free(v.frequencies);
    return assay_collection_gone(store, collection, status, error);
}
