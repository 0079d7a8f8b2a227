/* SPDX-License-Identifier: Apache-2.0 */
/* postgres_collections.c: collections in PostgreSQL; see backend.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres.h"

static const char *const cannot_read = "cannot read the collection";

/* The last: which index its vectors have. */
#define COLUMNS                                                                      \
    "SELECT c.key, c.name, c.model, c.model_digest, c.dimensions, c.passage_tokens," \
    " c.overlap_tokens, c.generation, c.created, c.changed, " ASSAY_PG_LISTS         \
    " FROM assay.collections c"

static assay_status read_collection(assay_store *store, const struct pg_result *rows, size_t row,
                                    assay_collection *out, assay_error *error)
{
    assay_collection found = {.key = assay_pg_get_int(rows, row, 0)};
    assay_collection_config *config = &found.config;
    bool good = assay_pg_copy_text(rows, row, 1, found.name, sizeof found.name);
    good &= assay_pg_copy_text(rows, row, 2, config->model, sizeof config->model);
    good &= assay_pg_copy_text(rows, row, 3, config->model_digest, sizeof config->model_digest);
    uint32_t *const numbers[] = {&config->dimensions, &config->passage_tokens,
                                 &config->overlap_tokens};
    for (int i = 0; i < 3; i++) {
        int64_t value = assay_pg_get_int(rows, row, 4 + i);
        good &= value >= 0 && value <= UINT32_MAX;
        *numbers[i] = (uint32_t)value;
    }
    good &= config->dimensions <= ASSAY_DIMENSIONS_MAX;
    found.generation = (uint64_t)assay_pg_get_int(rows, row, 7);
    if (!good)
        return assay_store_damaged(store, error,
                                   "collection %" PRId64 " has a field out of its bounds",
                                   found.key);
    *out = found;
    return ASSAY_OK;
}

static assay_status not_found(assay_store *store, const char *name, assay_error *error)
{
    struct pg_result *rows;
    char names[1024] = "";
    assay_pg_query q = assay_pg_query_of("SELECT string_agg(name, ', ' ORDER BY name) FROM (SELECT"
                                         " name FROM assay.collections ORDER BY name LIMIT 20) c");
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, &rows, error));
    assay_text list = assay_pg_get(rows, 0, 0);
    snprintf(names, sizeof names, "%.*s", (int)list.length, list.data);
    assay_pg_free(rows);
    return assay_store_no_collection(store, name, names, error);
}

/* The row of a collection. */
static assay_status find(assay_store *store, const char *name, struct pg_result **out,
                         assay_error *error)
{
    assay_pg_query q = assay_pg_query_of(COLUMNS " WHERE c.name = $1");
    assay_pg_text(&q, name);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, out, error));
    if (assay_pg_rows_count(*out) > 0)
        return ASSAY_OK;
    assay_pg_free(*out);
    return not_found(store, name, error);
}

assay_status assay_pg_collection_open(assay_store *store, const char *name,
                                      assay_collection *out, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    struct pg_result *rows;
    assay_pg_free(pg->expected);
    assay_pg_free(pg->expected_vectors);
    pg->expected = pg->expected_vectors = NULL;
    ASSAY_TRY(find(store, name, &rows, error));
    assay_status status = read_collection(store, rows, 0, out, error);
    if (status == ASSAY_OK) {
        pg->opened = out->key;
        pg->lists = assay_pg_get_int(rows, 0, 10);
    }
    assay_pg_free(rows);
    return status;
}

static assay_status insert_collection(assay_store *store, const char *name,
                                      const assay_collection_config *config, assay_error *error)
{
    struct pg_result *rows;
    char now[21];
    assay_timestamp(now);
    assay_pg_query q = assay_pg_query_of(
        "INSERT INTO assay.collections(name, model, model_digest, dimensions, passage_tokens,"
        " overlap_tokens, generation, created, changed) VALUES($1, $2, $3, $4, $5, $6, $8, $7, $7)"
        " ON CONFLICT (name) DO NOTHING RETURNING key");
    assay_pg_text(&q, name);
    assay_pg_text(&q, config->model);
    assay_pg_text(&q, config->model_digest);
    assay_pg_int(&q, config->dimensions);
    assay_pg_int(&q, config->passage_tokens);
    assay_pg_int(&q, config->overlap_tokens);
    assay_pg_text(&q, now);
    assay_pg_int(&q, (int64_t)assay_generation_after(0));
    ASSAY_TRY(assay_pg_run(store, &q, "cannot make the collection", &rows, error));
    bool made = assay_pg_rows_count(rows) > 0;
    assay_pg_free(rows);
    if (made)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                      "there is a collection '%s' already", name);
}

assay_status assay_pg_collection_create(assay_store *store, const char *name,
                                        const assay_collection_config *config,
                                        assay_collection *out, assay_error *error)
{
    bool own;
    if (config->dimensions > ASSAY_PG_DIMENSIONS)
        return assay_fail(error, ASSAY_E_LIMIT, name,
                          "%u dimensions; pgvector takes at most %d", config->dimensions,
                          ASSAY_PG_DIMENSIONS);
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    assay_status status = insert_collection(store, name, config, error);
    ASSAY_TRY(assay_pg_leave(store, own, status, error));
    return assay_pg_collection_open(store, name, out, error);
}

static assay_status drop(assay_store *store, const char *name, assay_error *error)
{
    assay_collection collection;
    const char *action = "cannot remove the collection";
    ASSAY_TRY(assay_pg_collection_open(store, name, &collection, error));
    ASSAY_TRY(assay_pg_lock(store, &collection, error));
    ASSAY_TRY(assay_pg_command(store, action, error, "DROP INDEX IF EXISTS assay.vectors_%" PRId64,
                               collection.key));
    assay_pg_query q = assay_pg_query_of("DELETE FROM assay.words WHERE collection = $1");
    assay_pg_int(&q, collection.key);
    ASSAY_TRY(assay_pg_run(store, &q, action, NULL, error));
    q = assay_pg_query_of("DELETE FROM assay.collections WHERE key = $1");
    assay_pg_int(&q, collection.key);
    return assay_pg_run(store, &q, action, NULL, error);
}

assay_status assay_pg_collection_drop(assay_store *store, const char *name, assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    return assay_pg_leave(store, own, drop(store, name, error), error);
}

/* ---- Describing ------------------------------------------------------------------ */

static assay_status count_into(assay_store *store, int64_t key, assay_collection_info *out,
                               assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(
        "SELECT (SELECT count(*) FROM assay.documents WHERE collection = $1),"
        " (SELECT coalesce(sum(length(text)), 0)::bigint FROM assay.documents"
        "  WHERE collection = $1),"
        " (SELECT count(*) FROM assay.passages WHERE collection = $1),"
        " (SELECT coalesce(sum(truncated), 0)::bigint FROM assay.passages WHERE collection = $1),"
        " (SELECT count(*) FROM assay.vectors WHERE collection = $1),"
        " (SELECT count(*) FROM assay.tokens WHERE collection = $1),"
        " (SELECT count(*) FROM assay.token_vectors WHERE collection = $1),"
        " (SELECT coalesce(sum(length(vectors)), 0)::bigint FROM assay.token_vectors"
        "  WHERE collection = $1),"
        " (SELECT late_model FROM assay.collections WHERE key = $1),"
        " (SELECT late_bits FROM assay.collections WHERE key = $1),"
        " (SELECT late_pool FROM assay.collections WHERE key = $1)");
    assay_pg_int(&q, key);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot count the collection", &rows, error));
    uint64_t *const counts[] = {&out->documents, &out->text_bytes, &out->passages, &out->truncated,
                                &out->vectors, &out->tokenized, &out->late_vectors,
                                &out->late_bytes};
    for (int i = 0; i < 8; i++)
        *counts[i] = (uint64_t)assay_pg_get_int(rows, 0, i);
    bool good = assay_pg_copy_text(rows, 0, 8, out->late_model, sizeof out->late_model);
    out->late_codes = assay_late_codes_of(out->late_model, (uint32_t)assay_pg_get_int(rows, 0, 9));
    out->late_pool = out->late_model[0] != '\0' ? (uint32_t)assay_pg_get_int(rows, 0, 10) : 0;
    assay_pg_free(rows);
    return good ? ASSAY_OK
                : assay_store_damaged(store, error, "collection '%s' has a field out of its bounds",
                                      out->name);
}

static assay_status describe_row(assay_store *store, const struct pg_result *rows, size_t row,
                                 assay_collection_info *out, assay_error *error)
{
    assay_collection collection;
    ASSAY_TRY(read_collection(store, rows, row, &collection, error));
    *out = (assay_collection_info){.dimensions = collection.config.dimensions,
                                   .passage_tokens = collection.config.passage_tokens,
                                   .overlap_tokens = collection.config.overlap_tokens};
    if (out->passage_tokens == ASSAY_WHOLE_DOCUMENT)
        out->passage_tokens = 0; /* as assay_collection_info writes it */
    memcpy(out->name, collection.name, sizeof out->name);
    memcpy(out->model, collection.config.model, sizeof out->model);
    memcpy(out->model_digest, collection.config.model_digest, sizeof out->model_digest);
    if (!assay_pg_copy_text(rows, row, 8, out->created, sizeof out->created) ||
        !assay_pg_copy_text(rows, row, 9, out->changed, sizeof out->changed))
        return assay_store_damaged(store, error, "collection '%s' has a date out of its bounds",
                                   out->name);
    return count_into(store, collection.key, out, error);
}

assay_status assay_pg_collection_describe(assay_store *store, const char *name,
                                          assay_collection_info *out, assay_error *error)
{
    struct pg_result *rows;
    assay_collection_info info;
    ASSAY_TRY(find(store, name, &rows, error));
    assay_status status = describe_row(store, rows, 0, &info, error);
    assay_pg_free(rows);
    if (status == ASSAY_OK)
        *out = info;
    return status;
}

assay_status assay_pg_collection_list(assay_store *store, assay_collection_info **out,
                                      size_t *count, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(COLUMNS " ORDER BY c.name");
    ASSAY_TRY(assay_pg_run(store, &q, "cannot list the collections", &rows, error));
    size_t found = assay_pg_rows_count(rows);
    assay_collection_info *list = calloc(found + 1, sizeof *list);
    assay_status status = list != NULL ? ASSAY_OK
                                       : assay_fail_memory(error, (found + 1) * sizeof *list);
    for (size_t i = 0; i < found && status == ASSAY_OK; i++)
        status = describe_row(store, rows, i, &list[i], error);
    assay_pg_free(rows);
    if (status != ASSAY_OK) {
        free(list);
        return status;
    }
    *out = list;
    *count = found;
    return ASSAY_OK;
}

/* ---- The model of the token vectors ---------------------------------------------- */

assay_status assay_pg_late_get(assay_store *store, const assay_collection *collection,
                               assay_late_model *out, assay_error *error)
{
    struct pg_result *rows;
    *out = (assay_late_model){0};
    assay_pg_query q = assay_pg_query_of("SELECT late_model, late_digest, late_bits, late_sum,"
                                         " late_pool FROM assay.collections"
                                         " WHERE key = $1 AND late_model IS NOT NULL");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, &rows, error));
    bool good = true;
    if (assay_pg_rows_count(rows) > 0) {
        assay_text digest = assay_pg_get(rows, 0, 1);
        good = assay_pg_copy_text(rows, 0, 0, out->model, sizeof out->model) &&
               digest.length == sizeof out->digest.bytes;
        if (good)
            memcpy(out->digest.bytes, digest.data, sizeof out->digest.bytes);
        out->bits = (uint32_t)assay_pg_get_int(rows, 0, 2);
        out->book = (uint32_t)assay_pg_get_int(rows, 0, 3);
        out->pool = (uint32_t)assay_pg_get_int(rows, 0, 4);
    }
    assay_pg_free(rows);
    return good ? ASSAY_OK
                : assay_store_damaged(store, error, "collection %s: its late model is damaged",
                                      collection->name);
}

static assay_status set_late(assay_store *store, const assay_collection *collection,
                             const assay_late_model *model, const void *book, size_t length,
                             assay_error *error)
{
    const char *action = "cannot write token vectors";
    ASSAY_TRY(assay_pg_lock(store, collection, error));
    assay_pg_query q = assay_pg_query_of("DELETE FROM assay.token_vectors WHERE collection = $1");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, action, NULL, error));
    q = assay_pg_query_of("UPDATE assay.collections SET late_model = nullif($2, ''),"
                          " late_digest = $3, late_bits = $4, late_sum = $5, late_book = $6,"
                          " late_pool = $7 WHERE key = $1");
    assay_pg_int(&q, collection->key);
    assay_pg_text(&q, model->model);
    assay_pg_bytes(&q, model->digest.bytes, sizeof model->digest.bytes);
    assay_pg_int(&q, model->bits);
    assay_pg_int(&q, model->book);
    assay_pg_bytes(&q, book, length);
    assay_pg_int(&q, model->pool);
    return assay_pg_run(store, &q, action, NULL, error);
}

assay_status assay_pg_late_set(assay_store *store, const assay_collection *collection,
                               const assay_late_model *model, const void *book,
                               size_t length, assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    return assay_pg_leave(store, own, set_late(store, collection, model, book, length, error),
                          error);
}

assay_status assay_pg_late_book(assay_store *store, const assay_collection *collection,
                                assay_buffer *out, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of("SELECT late_book FROM assay.collections WHERE key = $1");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_read, &rows, error));
    if (assay_pg_rows_count(rows) > 0) {
        assay_text book = assay_pg_get(rows, 0, 0);
        assay_buffer_append(out, book.data, book.length);
    }
    assay_pg_free(rows);
    return assay_buffer_status(out, collection->name, error);
}
