/* SPDX-License-Identifier: Apache-2.0 */
/* document_list.c: documents looked at one by one, by id. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "store/database.h"

enum { MOST = 10000 };

typedef struct block {
    assay_arena *arena;
    assay_document_info *items;
} block;

static void block_free(block *b)
{
    if (b != NULL) {
        assay_arena_free(b->arena);
        free(b->items);
    }
    free(b);
}

static block *block_new(size_t count)
{
    block *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->arena = assay_arena_new(0);
    b->items = calloc(count + 1, sizeof *b->items);
    if (b->arena != NULL && b->items != NULL)
        return b;
    block_free(b);
    return NULL;
}

assay_status assay_documents_new(size_t most, assay_documents *out, assay_arena **arena,
                                 assay_error *error)
{
    block *b = block_new(most);
    if (b == NULL)
        return assay_fail_memory(error, most * sizeof *out->items);
    *out = (assay_documents){.items = b->items, .block = b};
    *arena = b->arena;
    return ASSAY_OK;
}

void assay_documents_free(assay_documents *documents)
{
    if (documents == NULL)
        return;
    block_free(documents->block);
    *documents = (assay_documents){0};
}

/* Columns: id, title, source, metadata, bytes, passages, and the text where asked for. */
static assay_status read_row(sqlite3_stmt *row, bool text, assay_arena *arena,
                             assay_document_info *out, assay_error *error)
{
    const char **const names[] = {&out->id, &out->title, &out->source, &out->metadata};
    bool whole = true;
    for (int i = 0; i < 4; i++) {
        const char *name = assay_sql_text(row, i);
        *names[i] = assay_arena_copy(arena, name, strlen(name));
        whole = whole && *names[i] != NULL;
    }
    if (whole && out->metadata[0] == '\0')
        out->metadata = NULL;
    out->bytes = (uint64_t)sqlite3_column_int64(row, 4);
    out->passages = (uint64_t)sqlite3_column_int64(row, 5);
    if (whole && text) {
        const void *bytes = sqlite3_column_blob(row, 6);
        out->text.length = (size_t)sqlite3_column_bytes(row, 6);
        out->text.data = assay_arena_copy(arena, bytes, out->text.length);
        whole = out->text.data != NULL;
    }
    return whole ? ASSAY_OK : assay_fail_memory(error, (size_t)out->bytes);
}

#define COLUMNS "SELECT d.id, d.title, d.source, d.metadata, length(d.text)," \
                " (SELECT count(*) FROM passages p WHERE p.document = d.key)"

static assay_status read_rows(assay_store *store, sqlite3_stmt *select, bool text, block *b,
                              size_t *count, assay_error *error)
{
    for (;;) {
        bool row;
        ASSAY_TRY(assay_sql_step(store, select, "cannot read the documents", &row, error));
        if (!row)
            return ASSAY_OK;
        ASSAY_TRY(read_row(select, text, b->arena, &b->items[*count], error));
        ++*count;
    }
}

/* Takes the rows of a statement that gives at most `most`. */
static assay_status take(assay_store *store, sqlite3_stmt *select, bool text, size_t most,
                         assay_documents *out, assay_error *error)
{
    size_t count = 0;
    block *b = block_new(most);
    assay_status status = b != NULL ? read_rows(store, select, text, b, &count, error)
                                    : assay_fail_memory(error, most * sizeof *out->items);
    sqlite3_reset(select);
    if (status == ASSAY_OK)
        *out = (assay_documents){.count = count, .items = b->items, .block = b};
    else
        block_free(b);
    return status;
}

assay_status assay_sqlite_document_list(assay_store *store, const char *collection,
                                        const char *after, size_t most, assay_documents *out,
                                        assay_error *error)
{
    assay_collection found;
    sqlite3_stmt *select;
    most = most == 0 || most > MOST ? MOST : most;
    ASSAY_TRY(assay_sqlite_collection_open(store, collection, &found, error));
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                COLUMNS " FROM documents d WHERE d.collection = ?1"
                                " AND d.id > ?2 ORDER BY d.id LIMIT ?3"));
    sqlite3_bind_int64(select, 1, found.key);
    assay_sql_bind(select, 2, after);
    sqlite3_bind_int64(select, 3, (int64_t)most);
    return take(store, select, false, most, out, error);
}

assay_status assay_sqlite_document_get(assay_store *store, const char *collection,
                                       const char *id, assay_documents *out,
                                       assay_error *error)
{
    assay_collection found;
    sqlite3_stmt *select;
    assay_documents one;
    ASSAY_TRY(assay_sqlite_collection_open(store, collection, &found, error));
    ASSAY_TRY(assay_sql_prepare(store, &select, error,
                                COLUMNS ", d.text FROM documents d WHERE d.collection = ?1"
                                " AND d.id = ?2"));
    sqlite3_bind_int64(select, 1, found.key);
    assay_sql_bind(select, 2, id);
    ASSAY_TRY(take(store, select, true, 1, &one, error));
    if (one.count == 0) {
        assay_documents_free(&one);
        return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                          "collection '%s' has no document '%s'", collection, id);
    }
    *out = one;
    return ASSAY_OK;
}
