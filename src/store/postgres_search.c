/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_search.c: what PostgreSQL answers of a search: BM25 and filters.
 *
 * BM25 is the formula of bm25.c, over the rows of assay.words: PostgreSQL's own ranking
 * of tsvectors knows no document frequency, and an extension would have to be there. The
 * words are those of SQLite's tokenizer in both kinds of store, so the scores are the same
 * but for the order in which a sum is added up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/postgres.h"

static const char *const cannot_search = "cannot search";

/* ---- Filters ---------------------------------------------------------------------- */

assay_status assay_pg_allowed_write(const char *document, const assay_selection *allowed,
                                    assay_pg_query *q, assay_buffer *sql, assay_error *error)
{
    if (allowed == NULL)
        return ASSAY_OK;
    assay_buffer_format(sql, " AND %s IN ", document);
    return assay_pg_filter_write(allowed->filter, q, sql, error);
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

static assay_status tell_missing(assay_store *store, const assay_collection *collection,
                                 const char *field, assay_error *missing, assay_error *error)
{
    struct pg_result *rows;
    char names[1024] = "";
    assay_pg_query q = assay_pg_query_of(
        "SELECT string_agg(field, ', ' ORDER BY field) FROM (SELECT DISTINCT field FROM assay.attributes"
        " WHERE collection = $1 ORDER BY field LIMIT 20) f");
    assay_pg_int(&q, collection->key);
    ASSAY_TRY(assay_pg_run(store, &q, cannot_search, &rows, error));
    assay_text list = assay_pg_get(rows, 0, 0);
    snprintf(names, sizeof names, "%.*s", (int)list.length, list.data);
    assay_pg_free(rows);
    assay_fail(missing, ASSAY_E_NOT_FOUND, "filter", "no document has a field '%s'%s%s", field,
               names[0] != '\0' ? "; there are: " : ", nor any other", names);
    return ASSAY_OK;
}

/* "count(*)" or "p.key" of the passages that are let through. */
static assay_status select_allowed(assay_store *store, const assay_collection *collection,
                                   const assay_selection *allowed, const char *what,
                                   struct pg_result **rows, assay_error *error)
{
    assay_buffer sql;
    assay_buffer_init(&sql, 0);
    assay_buffer_format(&sql, "SELECT %s FROM assay.passages p WHERE p.collection = $1", what);
    assay_pg_query q = assay_pg_query_once(NULL);
    assay_pg_int(&q, collection->key);
    assay_status status = assay_pg_allowed_write("p.document", allowed, &q, &sql, error);
    if (status == ASSAY_OK)
        status = assay_buffer_status(&sql, "filter", error);
    q.sql = sql.data;
    if (status == ASSAY_OK)
        status = assay_pg_run(store, &q, cannot_search, rows, error);
    else
        assay_pg_query_free(&q);
    assay_buffer_free(&sql);
    return status;
}

assay_status assay_pg_filter(assay_store *store, const assay_collection *collection,
                             const assay_filter *filter, assay_selection *out,
                             assay_error *missing, assay_error *error)
{
    assay_selection selection = {.filter = filter};
    struct pg_result *rows;
    const char *field;
    *missing = (assay_error){0};
    ASSAY_TRY(find_missing(store, collection, filter, &field, error));
    if (field != NULL)
        ASSAY_TRY(tell_missing(store, collection, field, missing, error));
    ASSAY_TRY(select_allowed(store, collection, &selection, "count(*)", &rows, error));
    selection.count = (uint64_t)assay_pg_get_int(rows, 0, 0);
    assay_pg_free(rows);
    *out = selection;
    return ASSAY_OK;
}

assay_status assay_pg_filter_keys(assay_store *store, const assay_collection *collection,
                                  assay_selection *selection, assay_error *error)
{
    struct pg_result *rows;
    uint64_t most = 0;
    ASSAY_TRY(select_allowed(store, collection, selection, "p.key", &rows, error));
    size_t count = assay_pg_rows_count(rows);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = (uint64_t)assay_pg_get_int(rows, i, 0);
        most = key > most ? key : most;
    }
    assay_bits_free(&selection->passages);
    assay_status status = assay_bits_new(&selection->passages, most + 1, error);
    for (size_t i = 0; status == ASSAY_OK && i < count; i++)
        assay_bits_add(&selection->passages, (uint64_t)assay_pg_get_int(rows, i, 0));
    assay_pg_free(rows);
    return status;
}

/* ---- Candidates -------------------------------------------------------------------- */

assay_status assay_pg_find(assay_store *store, assay_pg_query *q, assay_buffer *sql, size_t k,
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
    "WITH hit AS MATERIALIZED (SELECT term, document, passage, times, length FROM assay.words"
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
        status = assay_pg_allowed_write("h.document", allowed, &q, &sql, error);
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
    return assay_pg_find(store, &q, &sql, k, out, count, error);
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
