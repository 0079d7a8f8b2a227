/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_search.c: what PostgreSQL answers of a search: BM25, vectors, filters.
 *
 * BM25 is the formula of bm25.c, over the rows of assay.words: PostgreSQL's own ranking
 * of tsvectors knows no document frequency, and an extension would have to be there. The
 * words are those of SQLite's tokenizer in both kinds of store, so the scores are the same
 * but for the order in which a sum is added up.
 *
 * Vectors have length 1, so the inner product, pgvector's <#> with its sign turned, is the
 * cosine. Exactly: all rows of the collection are compared. By HNSW: pgvector's index over
 * vector::vector(n), which hands out its ef_search nearest before a filter is looked at. So
 * with a filter more are asked for; few passages are compared exactly; and what finds less
 * than there is to find is asked again, exactly.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/postgres.h"

enum {
    MOST_EF = 1000,     /* that pgvector takes */
    FEW = 20000,        /* passages let through by a filter, compared exactly */
    GRAPH_M = 16,       /* pgvector's own defaults */
    GRAPH_EF = 64,
};

static const char *const cannot_search = "cannot search";

/* ---- Filters ---------------------------------------------------------------------- */

/* " AND <key> IN (passages that the filter lets through)", $1 being the collection. */
static assay_status write_allowed(const char *key, const assay_selection *allowed,
                                  assay_pg_query *q, assay_buffer *sql, assay_error *error)
{
    if (allowed == NULL)
        return ASSAY_OK;
    assay_buffer_format(sql, " AND %s IN (SELECT f.key FROM assay.passages f WHERE f.collection ="
                        " $1 AND f.document IN ", key);
    ASSAY_TRY(assay_pg_filter_write(allowed->filter, q, sql, error));
    assay_buffer_string(sql, ")");
    return ASSAY_OK;
}

/* The first field of the filter that no document has, or NULL. */
static assay_status find_missing(assay_store *store, const assay_collection *collection,
                                 const assay_filter *filter, const char **out,
                                 assay_error *error)
{
    size_t count;
    const assay_filter_step *steps = assay_filter_steps(filter, &count);
    const char *before = "";
    *out = NULL;
    for (size_t i = 0; i < count && *out == NULL; i++) {
        struct pg_result *rows;
        if (steps[i].field == NULL || strcmp(steps[i].field, before) == 0)
            continue;
        before = steps[i].field;
        assay_pg_query q = assay_pg_query_of("SELECT 1::bigint FROM assay.attributes WHERE"
                                             " collection = $1 AND field = $2 LIMIT 1");
        assay_pg_int(&q, collection->key);
        assay_pg_text(&q, before);
        ASSAY_TRY(assay_pg_run(store, &q, cannot_search, &rows, error));
        if (assay_pg_rows_count(rows) == 0)
            *out = before;
        assay_pg_free(rows);
    }
    return ASSAY_OK;
}

/* Names of the fields there are, each found from the one before it. */
static assay_status tell_missing(assay_store *store, const assay_collection *collection,
                                 const char *field, assay_error *missing, assay_error *error)
{
    struct pg_result *rows;
    char names[1024] = "";
    assay_pg_query q = assay_pg_query_of(
        "WITH RECURSIVE f(field) AS ((SELECT field FROM assay.attributes WHERE collection = $1"
        " ORDER BY field LIMIT 1) UNION ALL SELECT (SELECT a.field FROM assay.attributes a"
        " WHERE a.collection = $1 AND a.field > f.field ORDER BY a.field LIMIT 1) FROM f"
        " WHERE f.field IS NOT NULL) SELECT string_agg(field, ', ') FROM (SELECT field FROM f"
        " WHERE field IS NOT NULL LIMIT 20) g");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_search, &rows, error));
    assay_text list = assay_pg_get(rows, 0, 0);
    snprintf(names, sizeof names, "%.*s", (int)list.length, list.data);
    assay_pg_free(rows);
    assay_fail(missing, ASSAY_E_NOT_FOUND, "filter", "no document has a field '%s'%s%s", field,
               names[0] != '\0' ? "; there are: " : ", nor any other", names);
    return ASSAY_OK;
}

static assay_status count_allowed(assay_store *store, const assay_collection *collection,
                                  const assay_selection *allowed, uint64_t *count,
                                  assay_error *error)
{
    struct pg_result *rows;
    assay_buffer sql;
    assay_buffer_init(&sql, 0);
    assay_buffer_string(&sql, "SELECT count(*) FROM assay.passages p WHERE p.collection = $1");
    assay_pg_query q = assay_pg_query_once(NULL);
    assay_pg_int(&q, collection->key);
    assay_status status = write_allowed("p.key", allowed, &q, &sql, error);
    if (status == ASSAY_OK)
        status = assay_buffer_status(&sql, "filter", error);
    q.sql = sql.data;
    if (status == ASSAY_OK)
        status = assay_pg_run(store, &q, cannot_search, &rows, error);
    else
        assay_pg_query_free(&q);
    assay_buffer_free(&sql);
    ASSAY_TRY(status);
    *count = (uint64_t)assay_pg_get_int(rows, 0, 0);
    assay_pg_free(rows);
    return ASSAY_OK;
}

assay_status assay_pg_filter(assay_store *store, const assay_collection *collection,
                             const assay_filter *filter, assay_selection *out,
                             assay_error *missing, assay_error *error)
{
    assay_selection selection = {.filter = filter};
    const char *field;
    *missing = (assay_error){0};
    ASSAY_TRY(find_missing(store, collection, filter, &field, error));
    if (field != NULL)
        ASSAY_TRY(tell_missing(store, collection, field, missing, error));
    ASSAY_TRY(count_allowed(store, collection, &selection, &selection.count, error));
    *out = selection;
    return ASSAY_OK;
}

/* ---- Candidates -------------------------------------------------------------------- */

/* Runs a search, whose rows are passages with their scores; frees what it is given. */
static assay_status find(assay_store *store, assay_pg_query *q, assay_buffer *sql, size_t k,
                         assay_candidate *out, size_t *count, assay_error *error)
{
    struct pg_result *rows;
    assay_status status = assay_buffer_status(sql, "statement", error);
    q->sql = sql->data;
    if (status == ASSAY_OK)
        status = assay_pg_run(store, q, cannot_search, &rows, error);
    else
        assay_pg_query_free(q);
    assay_buffer_free(sql);
    ASSAY_TRY(status);
    *count = assay_pg_rows_count(rows);
    if (*count > k)
        *count = k;
    for (size_t i = 0; i < *count; i++)
        out[i] = (assay_candidate){.passage = (uint64_t)assay_pg_get_int(rows, i, 0),
                                   .score = (float)assay_pg_get_real(rows, i, 1)};
    assay_pg_free(rows);
    return ASSAY_OK;
}

/* ---- BM25 -------------------------------------------------------------------------- */

/* Of the terms, $2, and how often each stands in the question, $3; k1 and b are $4 and $5. */
static const char hits[] =
    "WITH hit AS MATERIALIZED (SELECT term, passage, times, length FROM assay.words"
    "  WHERE collection = $1 AND term = ANY($2::bytea[])),"
    " whole AS (SELECT passages::float8 AS n,"
    "  CASE WHEN words > 0 THEN words::float8 / passages ELSE 1 END AS average"
    "  FROM assay.collections WHERE key = $1),"
    " weight AS (SELECT h.term, q.times * ln(1 + (greatest(w.n - h.n, 0) + 0.5) / (h.n + 0.5))"
    "  AS weight, w.average FROM (SELECT term, count(*)::float8 AS n FROM hit GROUP BY term) h"
    "  JOIN unnest($2::bytea[], $3::bigint[]) AS q(term, times) ON q.term = h.term, whole w)"
    " SELECT passage, sum(w.weight * h.times / (h.times + $4::float8 * (1 - $5::float8"
    "  + $5::float8 * h.length / w.average)))::float4::float8 AS score"
    " FROM hit h JOIN weight w ON w.term = h.term WHERE true";

static assay_status rank(assay_store *store, const assay_collection *collection,
                         const assay_term *terms, size_t term_count, double k1, double b,
                         const assay_selection *allowed, size_t k, assay_candidate *out,
                         size_t *count, assay_error *error)
{
    assay_text *pieces = malloc(term_count * sizeof *pieces);
    int64_t *times = malloc(term_count * sizeof *times);
    assay_pg_query q = assay_pg_query_once(NULL);
    assay_buffer sql;
    assay_buffer_init(&sql, 0);
    assay_status status = pieces != NULL && times != NULL ? ASSAY_OK
                                                          : assay_fail_memory(error, term_count);
    for (size_t i = 0; i < term_count && status == ASSAY_OK; i++) {
        pieces[i] = terms[i].text;
        pieces[i].length = pieces[i].length < ASSAY_PG_TERM ? pieces[i].length : ASSAY_PG_TERM;
        times[i] = terms[i].count;
    }
    if (status == ASSAY_OK) {
        assay_pg_int(&q, collection->key);
        assay_pg_pieces(&q, pieces, term_count, false);
        assay_pg_ints(&q, times, term_count);
        assay_pg_real(&q, k1);
        assay_pg_real(&q, b);
        assay_buffer_string(&sql, hits);
        status = write_allowed("h.passage", allowed, &q, &sql, error);
    }
    free(pieces);
    free(times);
    if (status != ASSAY_OK) {
        assay_pg_query_free(&q);
        assay_buffer_free(&sql);
        return status;
    }
    /* Ties are of scores as they are given back, 32 bits wide. */
    assay_buffer_format(&sql, " GROUP BY passage ORDER BY score DESC, passage LIMIT %zu", k);
    return find(store, &q, &sql, k, out, count, error);
}

assay_status assay_pg_bm25(assay_store *store, const assay_collection *collection,
                           assay_text question, double k1, double b,
                           const assay_selection *allowed, size_t k, assay_candidate *out,
                           size_t *count, assay_error *error)
{
    const assay_term *terms;
    size_t term_count;
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_store_terms(store, question, arena, &terms, &term_count, error);
    *count = 0;
    if (status == ASSAY_OK && term_count > 0 && k > 0)
        status = rank(store, collection, terms, term_count, k1, b, allowed, k, out, count, error);
    assay_arena_free(arena);
    return status;
}

/* ---- Vectors ------------------------------------------------------------------------ */

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
    assay_status status = write_allowed("v.passage", options->allowed, &q, &sql, error);
    if (status != ASSAY_OK) {
        assay_pg_query_free(&q);
        assay_buffer_free(&sql);
        return status;
    }
    assay_buffer_format(&sql, " ORDER BY score DESC, v.passage LIMIT %zu", options->k);
    return find(store, &q, &sql, options->k, out, count, error);
}

/* The graph's ef_search holds for a transaction. */
static assay_status walk(assay_store *store, const assay_collection *collection,
                         const float *vector, const assay_store_find *options, size_t ef,
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
    assay_status status = write_allowed("v.passage", options->allowed, &q, &sql, error);
    if (status == ASSAY_OK)
        status = assay_pg_read_begin(store, "hnsw.ef_search", (int64_t)ef, error);
    if (status != ASSAY_OK) {
        assay_pg_query_free(&q);
        assay_buffer_free(&sql);
        return status;
    }
    assay_buffer_format(&sql, " ORDER BY v.vector::vector(%u) <#> $2::vector(%u) LIMIT %zu", n, n,
                        options->k);
    status = find(store, &q, &sql, options->k, out, count, error);
    assay_pg_rollback(store);
    return status;
}

/* Once more on another connection, when one is lost on the way. */
static assay_status walk_twice(assay_store *store, const assay_collection *collection,
                               const float *vector, const assay_store_find *options, size_t ef,
                               assay_candidate *out, size_t *count, assay_error *error)
{
    assay_status status = walk(store, collection, vector, options, ef, out, count, error);
    if (status == ASSAY_E_NETWORK)
        status = walk(store, collection, vector, options, ef, out, count, error);
    return status;
}

static int best_first(const void *a, const void *b)
{
    const assay_candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->passage < y->passage ? -1 : x->passage > y->passage;
}

assay_status assay_pg_nearest(assay_store *store, const assay_collection *collection,
                              const float *vector, const assay_store_find *options,
                              assay_candidate *out, size_t *count, assay_vector_index *kind,
                              assay_error *error)
{
    assay_postgres *pg = store->postgres;
    size_t k = options->k, ef = options->ef > k ? options->ef : k;
    bool graph = pg->opened == collection->key && pg->graph && pg->held == NULL &&
                 !options->exact && k <= MOST_EF;
    uint64_t allowed = UINT64_MAX;
    if (options->allowed != NULL) {
        allowed = options->allowed->count;
        graph = graph && allowed > FEW;
        ef = MOST_EF;
    }
    *kind = graph ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT;
    if (graph) {
        ASSAY_TRY(walk_twice(store, collection, vector, options, ef < MOST_EF ? ef : MOST_EF, out,
                             count, error));
        qsort(out, *count, sizeof *out, best_first);
        if (*count == k || options->allowed == NULL)
            return ASSAY_OK;
    }
    return compare_all(store, collection, vector, options, out, count, error);
}

/* ---- The index of vectors ------------------------------------------------------------ */

typedef struct index_state {
    assay_vector_index wanted; /* as chosen */
    bool exists, valid;
    uint64_t vectors, bytes;
} index_state;

static assay_status read_state(assay_store *store, const assay_collection *collection,
                               index_state *out, assay_error *error)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(
        "SELECT c.vector_index, (SELECT count(*) FROM assay.vectors WHERE collection = $1),"
        " coalesce((SELECT CASE WHEN i.indisvalid THEN 2 ELSE 1 END::bigint FROM pg_index i"
        "  WHERE i.indexrelid = to_regclass('assay.vectors_' || c.key)), 0),"
        " coalesce(pg_relation_size(to_regclass('assay.vectors_' || c.key)), 0)"
        " FROM assay.collections c WHERE c.key = $1");
    *out = (index_state){0};
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, "cannot read the collection", &rows, error));
    if (assay_pg_rows_count(rows) > 0) {
        int64_t wanted = assay_pg_get_int(rows, 0, 0), state = assay_pg_get_int(rows, 0, 2);
        out->wanted = wanted == ASSAY_VECTORS_FLAT || wanted == ASSAY_VECTORS_HNSW
                          ? (assay_vector_index)wanted : ASSAY_VECTORS_AUTO;
        out->vectors = (uint64_t)assay_pg_get_int(rows, 0, 1);
        out->exists = state > 0;
        out->valid = state == 2;
        out->bytes = (uint64_t)assay_pg_get_int(rows, 0, 3);
    }
    assay_pg_free(rows);
    return ASSAY_OK;
}

static assay_status choose(assay_store *store, const assay_collection *collection,
                           assay_vector_index wanted, assay_error *error)
{
    bool own;
    if (wanted == ASSAY_VECTORS_IVF)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                          "a store in PostgreSQL has no index of the kind ivf; take hnsw, flat or "
                          "auto");
    if (wanted == ASSAY_VECTORS_HNSW &&
        collection->config.dimensions > ASSAY_PG_GRAPH_DIMENSIONS)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                          "pgvector's HNSW takes vectors of at most %d dimensions, and these have "
                          "%u; take flat", ASSAY_PG_GRAPH_DIMENSIONS,
                          collection->config.dimensions);
    ASSAY_TRY(assay_pg_enter(store, &own, error));
    assay_pg_query q = assay_pg_query_of("UPDATE assay.collections SET vector_index = $2"
                                         " WHERE key = $1");
    assay_pg_int(&q, collection->key);
    assay_pg_int(&q, wanted);
    assay_status status = assay_pg_run(store, &q, "cannot write to the collection", NULL, error);
    return assay_pg_leave(store, own, status, error);
}

/* While others go on writing; what an interrupted one has left is removed first. */
static assay_status make_graph(assay_store *store, const assay_collection *collection,
                               const index_state *state, assay_error *error)
{
    const char *action = "cannot make the index of the vectors";
    int64_t key = collection->key;
    if (state->valid)
        return ASSAY_OK;
    if (state->exists)
        ASSAY_TRY(assay_pg_command(store, action, error,
                                   "DROP INDEX CONCURRENTLY IF EXISTS assay.vectors_%" PRId64,
                                   key));
    return assay_pg_command(store, action, error,
                            "CREATE INDEX CONCURRENTLY IF NOT EXISTS vectors_%" PRId64 " ON"
                            " assay.vectors USING hnsw ((vector::vector(%u)) vector_ip_ops)"
                            " WHERE collection = %" PRId64, key, collection->config.dimensions,
                            key);
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
                        collection->config.dimensions <= ASSAY_PG_GRAPH_DIMENSIONS
                    ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT;
    if (*kind == ASSAY_VECTORS_HNSW)
        return make_graph(store, collection, &state, error);
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
        .kind = state.valid ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT,
        .current = true,
        .vectors = state.vectors,
        .dimensions = collection->config.dimensions,
        .codes = "",
        .memory_bytes = state.vectors * collection->config.dimensions * sizeof(float),
    };
    if (!state.valid)
        return ASSAY_OK;
    out->m = GRAPH_M;
    out->ef_construction = GRAPH_EF;
    out->codes = "f32";
    out->file_bytes = out->graph_bytes = out->memory_bytes = state.bytes;
    return ASSAY_OK;
}
