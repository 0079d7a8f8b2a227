/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_passages.c: passages with their token ids and vectors, in PostgreSQL.
 *
 * A search asks for its candidates one by one. It says first which they will be
 * (assay_passages_expect): then all of them, with their token ids, come in one answer,
 * which is kept until the next search begins.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/postgres.h"

enum { PAGE = 1024 }; /* vectors read at a time */

static const char *const cannot_read = "cannot read the passages";

/* ---- Passages --------------------------------------------------------------------- */

/* The passage whose key is $1, which none of another collection has; rows of it in a
 * table t; and what an insertion does with them. */
#define OF_PASSAGE                                                                           \
    " FROM assay.collections c JOIN assay.passages p ON p.collection = c.key AND p.key = $1"
#define ITS "t.collection = p.collection AND t.document = p.document AND t.passage = p.key"
#define REPLACE " ON CONFLICT (collection, document, passage) DO UPDATE SET"

/* Columns 0 to 8. */
#define PASSAGE                                                                              \
    "SELECT p.key, p.document, p.begin, p.length, p.heading, d.id, d.title, d.source,"       \
    " substring(d.text FROM p.begin::int + 1 FOR p.length::int)"

static assay_status copy(assay_text text, assay_arena *arena, const char **out,
                         assay_error *error)
{
    *out = assay_arena_copy(arena, text.data, text.length);
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, text.length);
}

static assay_status read_view(assay_store *store, const struct pg_result *rows, size_t row,
                              assay_arena *arena, assay_passage_view *out, assay_error *error)
{
    out->passage = (uint64_t)assay_pg_get_int(rows, row, 0);
    out->document = assay_pg_get_int(rows, row, 1);
    out->offset = (uint64_t)assay_pg_get_int(rows, row, 2);
    out->text = assay_pg_get(rows, row, 8);
    if (out->text.length != (uint64_t)assay_pg_get_int(rows, row, 3))
        return assay_store_damaged(store, error, "a passage ends after the text of its document "
                                   "(key %" PRId64 ")", out->document);
    const char **const names[] = {&out->heading, &out->id, &out->title, &out->source};
    for (int i = 0; i < 4; i++)
        ASSAY_TRY(copy(assay_pg_get(rows, row, 4 + i), arena, names[i], error));
    return copy(out->text, arena, &out->text.data, error);
}

/* The row of a passage among those expected, which are ordered by their keys. */
static bool find_expected(const struct pg_result *expected, uint64_t passage, size_t *row)
{
    size_t count = expected != NULL ? assay_pg_rows_count(expected) : 0;
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uint64_t)assay_pg_get_int(expected, middle, 0) < passage)
            low = middle + 1;
        else
            high = middle;
    }
    *row = low;
    return low < count && (uint64_t)assay_pg_get_int(expected, low, 0) == passage;
}

assay_status assay_pg_passages_expect(assay_store *store, const assay_collection *collection,
                                      const int64_t *passages, size_t count, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    assay_pg_free(pg->expected);
    pg->expected = NULL;
    if (count == 0)
        return ASSAY_OK;
    assay_pg_query q = assay_pg_query_of(
        PASSAGE ", t.tokenizer, t.ids FROM assay.passages p JOIN assay.documents d"
        " ON d.collection = p.collection AND d.key = p.document LEFT JOIN assay.tokens t"
        " ON t.collection = p.collection AND t.document = p.document AND t.passage = p.key"
        " WHERE p.collection = $1 AND p.key = ANY($2::bigint[]) ORDER BY p.key");
    assay_pg_int(&q, collection->key);
    assay_pg_ints(&q, passages, count);
    return assay_pg_run(store, &q, cannot_read, &pg->expected, error);
}

assay_status assay_pg_passage_get(assay_store *store, uint64_t passage, assay_arena *arena,
                                  assay_passage_view *out, assay_error *error)
{
    struct pg_result *rows;
    assay_passage_view view = {0};
    size_t row;
    if (find_expected(store->postgres->expected, passage, &row)) {
        ASSAY_TRY(read_view(store, store->postgres->expected, row, arena, &view, error));
        *out = view;
        return ASSAY_OK;
    }
    assay_pg_query q = assay_pg_query_of(
        PASSAGE OF_PASSAGE " JOIN assay.documents d ON d.collection = p.collection"
        " AND d.key = p.document");
    assay_pg_int(&q, (int64_t)passage);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read the passage", &rows, error));
    assay_status status;
    if (assay_pg_rows_count(rows) == 0)
        status = assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                            "passage %" PRIu64 " is gone: its document was changed or deleted",
                            passage);
    else
        status = read_view(store, rows, 0, arena, &view, error);
    assay_pg_free(rows);
    if (status == ASSAY_OK)
        *out = view;
    return status;
}

/* Runs a query whose rows are keys, no more than there is room for. */
static assay_status keys_of(assay_store *store, assay_pg_query *q, uint64_t *passages,
                            size_t *count, assay_error *error)
{
    struct pg_result *rows;
    ASSAY_TRY(assay_pg_run(store, q, cannot_read, &rows, error));
    *count = assay_pg_rows_count(rows);
    for (size_t i = 0; i < *count; i++)
        passages[i] = (uint64_t)assay_pg_get_int(rows, i, 0);
    assay_pg_free(rows);
    return ASSAY_OK;
}

assay_status assay_pg_passage_keys(assay_store *store, const assay_collection *collection,
                                   uint64_t after, uint64_t *passages, size_t most,
                                   size_t *count, assay_error *error)
{
    assay_pg_query q = assay_pg_query_of("SELECT key FROM assay.passages WHERE collection = $1"
                                         " AND key > $2 ORDER BY key LIMIT $3");
    assay_pg_int(&q, collection->key);
    assay_pg_int(&q, (int64_t)after);
    assay_pg_int(&q, (int64_t)most);
    return keys_of(store, &q, passages, count, error);
}

/* ---- Token ids -------------------------------------------------------------------- */

static assay_status decode_ids(assay_text ids, assay_arena *arena, assay_token_ids *out,
                               assay_error *error)
{
    assay_status status = assay_token_ids_decode(ids.data, ids.length, arena, out, error);
    return status == ASSAY_E_CORRUPT ? ASSAY_OK : status;
}

assay_status assay_pg_tokens_get(assay_store *store, uint64_t passage,
                                 const assay_digest *tokenizer, assay_arena *arena,
                                 assay_token_ids *out, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    struct pg_result *rows;
    size_t row;
    *out = (assay_token_ids){0};
    if (find_expected(pg->expected, passage, &row)) {
        assay_text digest = assay_pg_get(pg->expected, row, 9);
        if (digest.length != sizeof tokenizer->bytes ||
            memcmp(digest.data, tokenizer->bytes, sizeof tokenizer->bytes) != 0)
            return ASSAY_OK;
        return decode_ids(assay_pg_get(pg->expected, row, 10), arena, out, error);
    }
    assay_pg_query q = assay_pg_query_of(
        "SELECT t.ids" OF_PASSAGE " JOIN assay.tokens t ON " ITS " AND t.tokenizer = $2");
    assay_pg_int(&q, (int64_t)passage);
    assay_pg_bytes(&q, tokenizer->bytes, sizeof tokenizer->bytes);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read the token ids", &rows, error));
    assay_status status = ASSAY_OK;
    if (assay_pg_rows_count(rows) > 0)
        status = decode_ids(assay_pg_get(rows, 0, 0), arena, out, error);
    assay_pg_free(rows);
    return status;
}

/* Keeps bytes of a passage in the place of those there are; $1 is its key. */
static assay_status keep(assay_store *store, assay_pg_query *q, uint64_t passage,
                         const char *function, const assay_digest *digest,
                         const assay_buffer *bytes, assay_error *error)
{
    assay_status status = assay_pg_inside(store, function, error);
    if (status == ASSAY_OK)
        status = assay_buffer_status(bytes, NULL, error);
    assay_pg_int(q, (int64_t)passage);
    assay_pg_bytes(q, bytes->data, bytes->length);
    if (digest != NULL)
        assay_pg_bytes(q, digest->bytes, sizeof digest->bytes);
    if (status == ASSAY_OK)
        return assay_pg_run(store, q, "cannot write to the passage", NULL, error);
    assay_pg_query_free(q);
    return status;
}

assay_status assay_pg_tokens_put(assay_store *store, uint64_t passage,
                                 const assay_digest *tokenizer, const int32_t *ids,
                                 size_t count, assay_error *error)
{
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_token_ids_encode(ids, count, &bytes);
    assay_pg_query q = assay_pg_query_of(
        "INSERT INTO assay.tokens(collection, document, passage, tokenizer, ids)"
        " SELECT p.collection, p.document, p.key, $3::bytea, $2::bytea" OF_PASSAGE REPLACE
        " tokenizer = excluded.tokenizer, ids = excluded.ids");
    assay_status status = keep(store, &q, passage, "assay_tokens_put", tokenizer, &bytes, error);
    assay_buffer_free(&bytes);
    return status;
}

assay_status assay_pg_tokens_missing(assay_store *store, const assay_collection *collection,
                                     const assay_digest *tokenizer, uint64_t after,
                                     uint64_t *passages, size_t most, size_t *count,
                                     assay_error *error)
{
    assay_pg_query q = assay_pg_query_of(
        "SELECT p.key FROM assay.passages p WHERE p.collection = $1 AND p.key > $2"
        " AND NOT EXISTS (SELECT 1 FROM assay.tokens t WHERE " ITS
        " AND t.tokenizer = $3) ORDER BY p.key LIMIT $4");
    assay_pg_int(&q, collection->key);
    assay_pg_int(&q, (int64_t)after);
    assay_pg_bytes(&q, tokenizer->bytes, sizeof tokenizer->bytes);
    assay_pg_int(&q, (int64_t)most);
    return keys_of(store, &q, passages, count, error);
}

/* ---- Token vectors ----------------------------------------------------------------- */

assay_status assay_pg_token_vectors_expect(assay_store *store,
                                           const assay_collection *collection,
                                           const int64_t *passages, size_t count,
                                           assay_error *error)
{
    assay_postgres *pg = store->postgres;
    assay_pg_free(pg->expected_vectors);
    pg->expected_vectors = NULL;
    if (count == 0)
        return ASSAY_OK;
    assay_pg_query q = assay_pg_query_of("SELECT p.key, t.vectors FROM assay.passages p JOIN"
                                         " assay.token_vectors t ON " ITS " WHERE p.collection ="
                                         " $1 AND p.key = ANY($2::bigint[]) ORDER BY p.key");
    assay_pg_int(&q, collection->key);
    assay_pg_ints(&q, passages, count);
    return assay_pg_run(store, &q, "cannot read token vectors", &pg->expected_vectors, error);
}

static void read_rows(const struct pg_result *found, size_t row, int column,
                      assay_token_rows *out)
{
    assay_text bytes = assay_pg_get(found, row, column);
    out->damaged = !assay_token_rows_decode(bytes.data, bytes.length, out);
}

assay_status assay_pg_token_vectors_read(assay_store *store, uint64_t passage,
                                         void (*fn)(void *user, const assay_token_rows *rows),
                                         void *user, assay_error *error)
{
    struct pg_result *found;
    assay_token_rows rows = {0};
    size_t row;
    if (find_expected(store->postgres->expected_vectors, passage, &row)) {
        read_rows(store->postgres->expected_vectors, row, 1, &rows);
        fn(user, &rows);
        return ASSAY_OK;
    }
    assay_pg_query q = assay_pg_query_of("SELECT t.vectors" OF_PASSAGE
                                         " JOIN assay.token_vectors t ON " ITS);
    assay_pg_int(&q, (int64_t)passage);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read token vectors", &found, error));
    if (assay_pg_rows_count(found) > 0)
        read_rows(found, 0, 0, &rows);
    fn(user, &rows);
    assay_pg_free(found);
    return ASSAY_OK;
}

assay_status assay_pg_token_vectors_put(assay_store *store, uint64_t passage,
                                        const assay_token_rows *rows, assay_error *error)
{
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_token_rows_encode(rows, &bytes);
    assay_pg_query q = assay_pg_query_of(
        "INSERT INTO assay.token_vectors(collection, document, passage, vectors)"
        " SELECT p.collection, p.document, p.key, $2::bytea" OF_PASSAGE REPLACE " vectors = excluded.vectors");
    assay_status status =
        keep(store, &q, passage, "assay_token_vectors_put", NULL, &bytes, error);
    assay_buffer_free(&bytes);
    return status;
}

assay_status assay_pg_token_vectors_missing(assay_store *store,
                                            const assay_collection *collection,
                                            uint64_t after, uint64_t *passages, size_t most,
                                            size_t *count, assay_error *error)
{
    assay_pg_query q = assay_pg_query_of(
        "SELECT p.key FROM assay.passages p WHERE p.collection = $1 AND p.key > $2"
        " AND NOT EXISTS (SELECT 1 FROM assay.token_vectors t WHERE " ITS ") ORDER BY p.key LIMIT $3");
    assay_pg_int(&q, collection->key);
    assay_pg_int(&q, (int64_t)after);
    assay_pg_int(&q, (int64_t)most);
    return keys_of(store, &q, passages, count, error);
}

/* ---- Vectors ------------------------------------------------------------------------ */

static float float_at(const char *bytes)
{
    uint32_t bits;
    float value;
    memcpy(&bits, bytes, sizeof bits);
    bits = be32toh(bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Calls fn with the rows of a page; *more: it wants the next. */
static assay_status each_of_page(assay_store *store, const struct pg_result *rows, float *vector,
                                 uint32_t dimensions, assay_vector_fn fn, void *user, bool *more,
                                 assay_error *error)
{
    size_t count = assay_pg_rows_count(rows);
    for (size_t i = 0; i < count && *more; i++) {
        assay_text bytes = assay_pg_get(rows, i, 1);
        uint64_t passage = (uint64_t)assay_pg_get_int(rows, i, 0);
        if (bytes.length != 4 + 4 * (size_t)dimensions)
            return assay_store_damaged(store, error, "passage %" PRIu64 " has a vector of %zu "
                                       "numbers, expected %u", passage, bytes.length / 4 - 1,
                                       dimensions);
        for (uint32_t j = 0; j < dimensions; j++)
            vector[j] = float_at(bytes.data + 4 + 4 * j);
        *more = fn(passage, vector, user);
    }
    return ASSAY_OK;
}

assay_status assay_pg_vectors(assay_store *store, const assay_collection *collection,
                              assay_vector_fn fn, void *user, assay_error *error)
{
    uint32_t dimensions = collection->config.dimensions;
    float *vector = malloc((dimensions + 1) * sizeof *vector);
    assay_status status = vector != NULL ? ASSAY_OK
                                         : assay_fail_memory(error, dimensions * sizeof *vector);
    int64_t after = 0;
    for (bool more = dimensions > 0; more && status == ASSAY_OK;) {
        struct pg_result *rows;
        assay_pg_query q = assay_pg_query_of(
            "SELECT passage, vector FROM assay.vectors WHERE collection = $1 AND passage > $2"
            " ORDER BY passage LIMIT $3");
        assay_pg_int(&q, collection->key);
        assay_pg_int(&q, after);
        assay_pg_int(&q, PAGE);
        status = assay_pg_run(store, &q, "cannot read the vectors", &rows, error);
        if (status != ASSAY_OK)
            break;
        size_t count = assay_pg_rows_count(rows);
        if (count > 0)
            after = assay_pg_get_int(rows, count - 1, 0);
        status = each_of_page(store, rows, vector, dimensions, fn, user, &more, error);
        more = more && count == PAGE;
        assay_pg_free(rows);
    }
    free(vector);
    return status;
}

assay_status assay_pg_vector_count(assay_store *store, const assay_collection *collection,
                                   uint64_t *count, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of("SELECT count(*) FROM assay.vectors"
                                         " WHERE collection = $1");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot count the vectors", &rows, error));
    *count = (uint64_t)assay_pg_get_int(rows, 0, 0);
    assay_pg_free(rows);
    return ASSAY_OK;
}
