/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word_index.c: a collection's postings file, kept equal to the store.
 *
 * <home>/index/<collection key>.words is made from the collection's FTS5 table and
 * stamped with its generation. A search never waits for it: one that finds it
 * missing, damaged or behind is answered by FTS5, as exactly and slower.
 */
#include "store/database.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

enum {
    WORTHWHILE = 20000, /* passages; fewer are answered by FTS5 in a millisecond or two */
};

assay_status assay_word_index_path(const assay_store *store, const assay_collection *collection,
                                   char *path, size_t size, assay_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "index/%" PRId64 ".words", collection->key);
    return assay_path_join(path, size, store->home, name, error);
}

bool assay_word_index_current(const assay_postings *postings, const assay_collection *collection)
{
    assay_postings_stamp is = assay_postings_stamp_of(postings);
    return is.collection == (uint64_t)collection->key && is.generation == collection->generation;
}

assay_status assay_word_index_open(assay_store *store, const assay_collection *collection,
                                   assay_postings **postings, assay_error *error)
{
    char path[1024];
    if (assay_store_finds_vectors(store))
        return ASSAY_OK; /* and words */
    if (*postings != NULL && assay_word_index_current(*postings, collection))
        return ASSAY_OK;
    assay_postings_close(*postings);
    *postings = NULL;
    ASSAY_TRY(assay_word_index_path(store, collection, path, sizeof path, error));
    if (!assay_is_file(path))
        return ASSAY_OK;
    ASSAY_TRY(assay_postings_open(path, postings, error));
    if (!assay_word_index_current(*postings, collection)) {
        assay_postings_close(*postings);
        *postings = NULL;
    }
    return ASSAY_OK;
}

static assay_status count_passages(assay_store *store, const assay_collection *collection,
                                   uint64_t *count, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    ASSAY_TRY(assay_sql_prepare(store, &select, error, "SELECT count(*) FROM fts_%lld_docsize",
                                (long long)collection->key));
    ASSAY_TRY(assay_sql_step(store, select, "cannot count the passages", &row, error));
    *count = row ? (uint64_t)sqlite3_column_int64(select, 0) : 0;
    sqlite3_reset(select);
    return ASSAY_OK;
}

/* Whether the file is there, whole, and of the collection as it is. */
static bool is_good(assay_store *store, const assay_collection *collection)
{
    assay_postings *postings = NULL;
    bool good = assay_word_index_open(store, collection, &postings, NULL) == ASSAY_OK &&
                postings != NULL && assay_postings_verify(postings, NULL) == ASSAY_OK;
    assay_postings_close(postings);
    return good;
}

assay_status assay_word_index_update(assay_store *store, assay_collection *collection,
                                     assay_word_index wanted, double k1, double b,
                                     assay_progress_fn progress, void *user, assay_error *error)
{
    char path[1024], folder[1024];
    uint64_t passages;
    if (assay_store_finds_vectors(store))
        return wanted != ASSAY_WORD_INDEX_YES
                   ? ASSAY_OK
                   : assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                                "this database answers BM25 by itself: there is no word index "
                                "beside it");
    ASSAY_TRY(assay_word_index_path(store, collection, path, sizeof path, error));
    if (wanted == ASSAY_WORD_INDEX_NO) {
        unlink(path);
        return ASSAY_OK;
    }
    ASSAY_TRY(count_passages(store, collection, &passages, error));
    if (wanted == ASSAY_WORD_INDEX_AUTO && passages < WORTHWHILE && !assay_is_file(path))
        return ASSAY_OK;
    if (is_good(store, collection))
        return ASSAY_OK;
    ASSAY_TRY(assay_path_join(folder, sizeof folder, store->home, "index", error));
    ASSAY_TRY(assay_folder_make(folder, error));
    return assay_store_write_postings(store, collection, path, k1, b, progress, user, error);
}

void assay_word_index_describe(assay_store *store, const assay_collection *collection,
                               uint64_t *bytes, bool *current)
{
    char path[1024];
    assay_postings *postings;
    *bytes = 0;
    *current = false;
    if (assay_store_finds_vectors(store))
        return;
    if (assay_word_index_path(store, collection, path, sizeof path, NULL) != ASSAY_OK ||
        assay_postings_open(path, &postings, NULL) != ASSAY_OK)
        return;
    *bytes = assay_postings_size_of(postings).bytes;
    *current = assay_word_index_current(postings, collection);
    assay_postings_close(postings);
}
