/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_vectors.c: the nearest vectors, as PostgreSQL finds them, and pgvector's indexes.
 *
 * Vectors have length 1, so the inner product, pgvector's <#> with its sign turned, is the
 * cosine. Exactly: all rows of the collection are compared. By HNSW or IVFFlat: an index
 * over vector::vector(n), which hands out its ef_search nearest, or what lies in the lists
 * it probes, before a filter is looked at. So with a filter more are asked for; few passages
 * are compared exactly; and what finds less than there is to find is asked again, exactly.
 *
 * IVFFlat has the lists that pgvector's documentation advises: a thousand vectors each up to
 * a million, the square root of their number from there on; by default the square root of
 * the lists is probed. Its centres are made of the vectors there are when it is made, so it
 * is made anew once the advice has become half or twice of what it has.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/postgres.h"

enum {
    FEW = 20000,        /* passages let through by a filter, compared exactly */
    GRAPH_M = 16,       /* pgvector's own defaults */
    GRAPH_EF = 64,
    OF_A_LIST = 1000,   /* vectors, up to a million of them */
};

/* ---- Searching -------------------------------------------------------------------- */

static assay_status compare_all(assay_store *store, const assay_collection *collection,
                                const float *vector, const assay_store_find *options,
                                assay_candidate *out, size_t *count, assay_error *error)
{
    assay_pg_query q = assay_pg_query_once(NULL);
    assay_buffer sql;
    assay_buffer_init(&sql, 0);
    assay_pg_int(&q, collection->key);
    assay_pg_vector(&q, vector, collection->config.dimensions);
    assay_buffer_string(&sql, "SELECT v.passage, (-(v.vector <#> $2::vector))::float4::float8 AS"
                              " score FROM assay.vectors v WHERE v.collection = $1");
    assay_status status =
        assay_pg_allowed_write("v.document", options->allowed, &q, &sql, error);
    if (status != ASSAY_OK) {
        assay_pg_query_free(&q);
        assay_buffer_free(&sql);
        return status;
    }
    assay_buffer_format(&sql, " ORDER BY score DESC, v.passage LIMIT %zu", options->k);
    return assay_pg_find(store, &q, &sql, options->k, out, count, error);
}

/* How wide an index looks, which holds for a transaction. */
typedef struct effort {
    const char *setting;
    int64_t value;
} effort;

static assay_status look(assay_store *store, const assay_collection *collection,
                         const float *vector, const assay_store_find *options, effort wide,
                         assay_candidate *out, size_t *count, assay_error *error)
{
    assay_pg_query q = assay_pg_query_once(NULL);
    assay_buffer sql;
    uint32_t n = collection->config.dimensions;
    assay_buffer_init(&sql, 0);
    assay_pg_int(&q, collection->key);
    assay_pg_vector(&q, vector, n);
    assay_buffer_format(&sql, "SELECT v.passage, -(v.vector::vector(%u) <#> $2::vector(%u)) AS"
                        " score FROM assay.vectors v WHERE v.collection = %" PRId64
                        " AND $1::bigint IS NOT NULL", n, n, collection->key);
    assay_status status =
        assay_pg_allowed_write("v.document", options->allowed, &q, &sql, error);
    if (status == ASSAY_OK)
        status = assay_pg_read_begin(store, wide.setting, wide.value, error);
    if (status != ASSAY_OK) {
        assay_pg_query_free(&q);
        assay_buffer_free(&sql);
        return status;
    }
    assay_buffer_format(&sql, " ORDER BY v.vector::vector(%u) <#> $2::vector(%u) LIMIT %zu", n, n,
                        options->k);
    status = assay_pg_find(store, &q, &sql, options->k, out, count, error);
    assay_pg_rollback(store);
    return status;
}

/* Once more on another connection, when one is lost on the way. */
static assay_status look_twice(assay_store *store, const assay_collection *collection,
                               const float *vector, const assay_store_find *options, effort wide,
                               assay_candidate *out, size_t *count, assay_error *error)
{
    assay_status status = look(store, collection, vector, options, wide, out, count, error);
    if (status == ASSAY_E_NETWORK)
        status = look(store, collection, vector, options, wide, out, count, error);
    return status;
}

static int best_first(const void *a, const void *b)
{
    const assay_candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->passage < y->passage ? -1 : x->passage > y->passage;
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

static effort effort_of(const assay_store_find *options, int64_t lists)
{
    if (lists > 0) {
        int64_t probes = options->nprobe > 0 ? options->nprobe : (int64_t)ceil(sqrt(lists));
        return (effort){"ivfflat.probes", at_most(probes, lists)};
    }
    int64_t ef = options->ef > options->k ? options->ef : (int64_t)options->k;
    if (options->allowed != NULL)
        ef = ASSAY_STORE_EF;
    return (effort){"hnsw.ef_search", at_most(ef, ASSAY_STORE_EF)};
}

assay_status assay_pg_nearest(assay_store *store, const assay_collection *collection,
                              const float *vector, const assay_store_find *options,
                              assay_candidate *out, size_t *count, assay_vector_index *kind,
                              assay_error *error)
{
    const assay_postgres *pg = store->postgres;
    int64_t lists = pg->opened == collection->key ? pg->lists : ASSAY_PG_NO_INDEX;
    bool exact = options->exact || pg->held != NULL || lists == ASSAY_PG_NO_INDEX ||
                 (lists == 0 && options->k > ASSAY_STORE_EF) ||
                 (options->allowed != NULL && options->allowed->count <= FEW);
    *kind = exact ? ASSAY_VECTORS_FLAT : lists > 0 ? ASSAY_VECTORS_IVF : ASSAY_VECTORS_HNSW;
    if (!exact) {
        ASSAY_TRY(look_twice(store, collection, vector, options, effort_of(options, lists), out,
                             count, error));
        qsort(out, *count, sizeof *out, best_first);
        if (*count == options->k || options->allowed == NULL)
            return ASSAY_OK;
    }
    return compare_all(store, collection, vector, options, out, count, error);
}

/* ---- The index -------------------------------------------------------------------- */

typedef struct index_state {
    assay_vector_index wanted; /* as chosen */
    int64_t lists;             /* of the one that is whole, see ASSAY_PG_LISTS */
    bool exists;               /* whole or not */
    uint64_t vectors, bytes;
} index_state;

static assay_status read_state(assay_store *store, const assay_collection *collection,
                               index_state *out, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(
        "SELECT c.vector_index, (SELECT count(*) FROM assay.vectors WHERE collection = $1),"
        " " ASSAY_PG_LISTS ", (to_regclass('assay.vectors_' || c.key) IS NOT NULL)::int::bigint,"
        " coalesce(pg_relation_size(to_regclass('assay.vectors_' || c.key)), 0)"
        " FROM assay.collections c WHERE c.key = $1");
    *out = (index_state){.lists = ASSAY_PG_NO_INDEX};
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read the collection", &rows, error));
    if (assay_pg_rows_count(rows) > 0) {
        int64_t wanted = assay_pg_get_int(rows, 0, 0);
        out->wanted = wanted >= ASSAY_VECTORS_AUTO && wanted <= ASSAY_VECTORS_IVF
                          ? (assay_vector_index)wanted : ASSAY_VECTORS_AUTO;
        out->vectors = (uint64_t)assay_pg_get_int(rows, 0, 1);
        out->lists = assay_pg_get_int(rows, 0, 2);
        out->exists = assay_pg_get_int(rows, 0, 3) != 0;
        out->bytes = (uint64_t)assay_pg_get_int(rows, 0, 4);
    }
    assay_pg_free(rows);
    return ASSAY_OK;
}

static assay_status write_choice(assay_store *store, const assay_collection *collection,
                                 assay_vector_index wanted, assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    assay_pg_query q = assay_pg_query_of(
        "UPDATE assay.collections SET vector_index = $2, vector_note = CASE WHEN vector_index = $2"
        " THEN vector_note END WHERE key = $1");
    assay_pg_int(&q, collection->key);
    assay_pg_int(&q, wanted);
    assay_status status = assay_pg_run(store, &q, "cannot write to the collection", NULL, error);
    return assay_pg_leave(store, own, status, error);
}

static assay_status choose(assay_store *store, const assay_collection *collection,
                           assay_vector_index wanted, assay_error *error)
{
    uint32_t n = collection->config.dimensions;
    if ((wanted == ASSAY_VECTORS_HNSW || wanted == ASSAY_VECTORS_IVF) &&
        n > ASSAY_PG_INDEX_DIMENSIONS)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                          "pgvector's indexes take vectors of at most %d dimensions, and these "
                          "have %u; take flat", ASSAY_PG_INDEX_DIMENSIONS, n);
    return write_choice(store, collection, wanted, error);
}

static int64_t lists_for(uint64_t vectors)
{
    uint64_t lists = vectors <= 1000 * OF_A_LIST ? vectors / OF_A_LIST
                                                 : (uint64_t)sqrt((double)vectors);
    return lists > 0 ? (int64_t)lists : 1;
}

static bool is_good(const index_state *state, assay_vector_index kind)
{
    int64_t wanted = lists_for(state->vectors);
    if (kind == ASSAY_VECTORS_HNSW)
        return state->lists == 0;
    return state->lists > 0 && wanted < 2 * state->lists && state->lists < 2 * wanted;
}

/* While others go on writing; what there is, or an interrupted one has left, is removed
 * first. */
static assay_status make_index(assay_store *store, const assay_collection *collection,
                               const index_state *state, assay_vector_index kind,
                               assay_error *error)
{
    const char *action = "cannot make the index of the vectors";
    int64_t key = collection->key;
    char with[64] = "";
    if (state->exists)
        ASSAY_TRY(assay_pg_command(store, action, error,
                                   "DROP INDEX CONCURRENTLY IF EXISTS assay.vectors_%" PRId64,
                                   key));
    if (kind == ASSAY_VECTORS_IVF)
        snprintf(with, sizeof with, " WITH (lists = %" PRId64 ")", lists_for(state->vectors));
    return assay_pg_command(store, action, error,
                            "CREATE INDEX CONCURRENTLY IF NOT EXISTS vectors_%" PRId64 " ON"
                            " assay.vectors USING %s ((vector::vector(%u)) vector_ip_ops)%s"
                            " WHERE collection = %" PRId64, key,
                            kind == ASSAY_VECTORS_IVF ? "ivfflat" : "hnsw",
                            collection->config.dimensions, with, key);
}

assay_status assay_pg_vector_index_update(assay_store *store,
                                          const assay_collection *collection,
                                          const assay_vector_index *choice,
                                          assay_vector_index *kind, bool *by_size,
                                          assay_error *error)
{
    index_state state;
    if (choice != NULL)
        ASSAY_TRY(choose(store, collection, *choice, error));
    ASSAY_TRY(read_state(store, collection, &state, error));
    *by_size = state.wanted == ASSAY_VECTORS_AUTO;
    *kind = state.wanted;
    if (*by_size)
        *kind = state.vectors >= ASSAY_VECTORS_HNSW_FROM &&
                        collection->config.dimensions <= ASSAY_PG_INDEX_DIMENSIONS
                    ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT;
    if (*kind != ASSAY_VECTORS_FLAT)
        return is_good(&state, *kind) ? ASSAY_OK
                                      : make_index(store, collection, &state, *kind, error);
    if (!state.exists)
        return ASSAY_OK;
    return assay_pg_command(store, "cannot remove the index of the vectors", error,
                            "DROP INDEX CONCURRENTLY IF EXISTS assay.vectors_%" PRId64,
                            collection->key);
}

assay_status assay_pg_vector_index_describe(assay_store *store,
                                            const assay_collection *collection,
                                            assay_vector_index_info *out, assay_error *error)
{
    index_state state;
    ASSAY_TRY(read_state(store, collection, &state, error));
    *out = (assay_vector_index_info){
        .wanted = state.wanted,
        .kind = ASSAY_VECTORS_FLAT,
        .current = true,
        .vectors = state.vectors,
        .dimensions = collection->config.dimensions,
        .codes = "",
        .memory_bytes = state.vectors * collection->config.dimensions * sizeof(float),
    };
    if (state.lists == ASSAY_PG_NO_INDEX)
        return ASSAY_OK;
    out->kind = state.lists > 0 ? ASSAY_VECTORS_IVF : ASSAY_VECTORS_HNSW;
    out->lists = (uint32_t)state.lists;
    if (state.lists == 0) {
        out->m = GRAPH_M;
        out->ef_construction = GRAPH_EF;
    }
    out->codes = "f32";
    out->file_bytes = out->graph_bytes = out->memory_bytes = state.bytes;
    return ASSAY_OK;
}

/* ---- What was measured of it --------------------------------------------------------- */

assay_status assay_pg_vector_note_get(assay_store *store, const assay_collection *collection,
                                      assay_buffer *out, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of("SELECT vector_note FROM assay.collections"
                                         " WHERE key = $1");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read the collection", &rows, error));
    if (assay_pg_rows_count(rows) > 0) {
        assay_text note = assay_pg_get(rows, 0, 0);
        assay_buffer_append(out, note.data, note.length);
    }
    assay_pg_free(rows);
    return assay_buffer_status(out, "vector_note", error);
}

assay_status assay_pg_vector_note_set(assay_store *store, const assay_collection *collection,
                                      const char *note, assay_error *error)
{
    bool own;
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    assay_pg_query q = assay_pg_query_of("UPDATE assay.collections SET vector_note = $2"
                                         " WHERE key = $1");
    assay_pg_int(&q, collection->key);
    assay_pg_text(&q, note);
    assay_status status = assay_pg_run(store, &q, "cannot write to the collection", NULL, error);
    return assay_pg_leave(store, own, status, error);
}
