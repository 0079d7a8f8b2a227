/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_check.c: what the schema in PostgreSQL cannot say of itself.
 *
 * A list of checks, each a query whose rows are problems in words. The database's own
 * integrity is for its tools: pg_amcheck, data checksums.
 */
#include <stdio.h>

#include "index/token_codes.h"
#include "store/postgres.h"

static const struct {
    const char *item, *sql;
} checks[] = {
    {"collections",
     "SELECT 'collection ' || name || ' has a field out of its bounds' FROM assay.collections"
     " WHERE length(name) NOT BETWEEN 1 AND 127 OR octet_length(model) > 1023"
     " OR length(model_digest) > 32 OR dimensions NOT BETWEEN 0 AND 16000"
     " OR passage_tokens NOT BETWEEN 0 AND 4294967295"
     " OR overlap_tokens NOT BETWEEN 0 AND 4294967295 OR generation < 1"
     " UNION ALL SELECT 'collection ' || c.name || ' says it has ' || c.passages ||"
     " ' passages of ' || c.words || ' words, and has ' || coalesce(p.n, 0) || ' of ' ||"
     " coalesce(p.words, 0) FROM assay.collections c LEFT JOIN (SELECT collection, count(*) AS n,"
     " sum(words) AS words FROM assay.passages GROUP BY collection) p ON p.collection = c.key"
     " WHERE c.passages <> coalesce(p.n, 0) OR c.words <> coalesce(p.words, 0)"},
    {"documents",
     "SELECT 'document ' || id || ' has a digest of ' || length(digest) || ' bytes, expected 16'"
     " FROM assay.documents WHERE length(digest) <> 16 LIMIT 100"},
    {"passages",
     "SELECT 'passage ' || p.key || ' does not lie in the text of its document at character"
     " boundaries' FROM assay.documents d JOIN assay.passages p ON p.collection = d.collection"
     " AND p.document = d.key WHERE p.begin < 0 OR p.length < 0"
     " OR p.begin + p.length > length(d.text)"
     " OR substring(d.text FROM p.begin::int + 1 FOR 1) BETWEEN '\\x80'::bytea AND '\\xbf'::bytea"
     " OR substring(d.text FROM (p.begin + p.length)::int + 1 FOR 1)"
     "  BETWEEN '\\x80'::bytea AND '\\xbf'::bytea LIMIT 100"},
    {"vectors",
     "SELECT 'passage ' || v.passage || ' has a vector of ' || vector_dims(v.vector) ||"
     " ' numbers, expected ' || c.dimensions FROM assay.vectors v JOIN assay.collections c"
     " ON c.key = v.collection WHERE vector_dims(v.vector) <> c.dimensions"
     " UNION ALL SELECT 'the index of vectors ' || x.relname || ' is of no use: index --index hnsw"
     " makes it anew' FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
     " JOIN pg_namespace n ON n.oid = x.relnamespace WHERE n.nspname = 'assay'"
     " AND NOT i.indisvalid LIMIT 100"},
    {"BM25 index",
     "SELECT 'BM25 has ' || coalesce(w.n, 0) || ' words of passage ' || p.key || ', which has ' ||"
     " p.words FROM assay.passages p LEFT JOIN (SELECT collection, document, passage, sum(times) AS n,"
     " min(length) AS low, max(length) AS high FROM assay.words GROUP BY collection, document,"
     " passage) w ON w.collection = p.collection AND w.document = p.document AND w.passage = p.key WHERE coalesce(w.n, 0) <> p.words"
     " OR w.low <> p.words OR w.high <> p.words"
     " UNION ALL SELECT 'BM25 has words of passage ' || w.passage || ', which is gone' FROM (SELECT"
     " DISTINCT collection, document, passage FROM assay.words) w WHERE NOT EXISTS (SELECT 1 FROM"
     " assay.passages p WHERE p.collection = w.collection AND p.document = w.document"
     " AND p.key = w.passage) LIMIT 100"},
};

enum { CHECKS = sizeof checks / sizeof *checks, PAGE = 256 };

typedef struct check {
    assay_store *store;
    assay_progress_fn progress;
    void *user;
    uint64_t done, problems;
    const char *item;
    assay_error *error;
} check;

static assay_status tell(check *c, const assay_error *problem)
{
    assay_progress progress = {.phase = ASSAY_PHASE_CHECK, .done = c->done, .total = CHECKS + 4,
                               .item = c->item, .problem = problem};
    if (c->progress == NULL || c->progress(&progress, c->user))
        return ASSAY_OK;
    return assay_fail(c->error, ASSAY_E_INTERRUPTED, c->store->path, "the check was stopped");
}

static assay_status problem(check *c, const char *text, size_t length)
{
    assay_error found;
    c->problems++;
    assay_fail(&found, ASSAY_E_CORRUPT, c->store->path, "%.*s", (int)length, text);
    return tell(c, &found);
}

static assay_status look(check *c, const char *constant)
{
    struct pg_result *rows;
    assay_pg_query q = assay_pg_query_of(constant);
    ASSAY_TRY(assay_pg_run(c->store, &q, "cannot check", &rows, c->error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < assay_pg_rows_count(rows) && status == ASSAY_OK; i++) {
        assay_text text = assay_pg_get(rows, i, 0);
        status = problem(c, text.data, text.length);
    }
    assay_pg_free(rows);
    return status;
}

/* ---- What only assay can read ------------------------------------------------------ */

static assay_status count_value(void *user, const char *field, const assay_value *value,
                                assay_error *error)
{
    char number[64] = "";
    uint32_t index;
    assay_buffer key;
    assay_buffer_init(&key, 0);
    if (value->kind == ASSAY_VALUE_NUMBER && !value->is_whole)
        snprintf(number, sizeof number, "%.17g", value->real);
    else if (value->kind != ASSAY_VALUE_TEXT && value->kind != ASSAY_VALUE_OTHER)
        snprintf(number, sizeof number, "%lld", (long long)value->whole);
    assay_buffer_format(&key, "%s\n%d\n%s", field, (int)value->kind, number);
    if (value->kind == ASSAY_VALUE_TEXT)
        assay_buffer_append(&key, value->text.data, value->text.length);
    assay_status status = assay_buffer_status(&key, field, error);
    if (status == ASSAY_OK)
        status = assay_string_map_add(user, key.data, key.length, &index, NULL, error);
    assay_buffer_free(&key);
    return status;
}

/* Whether as many values are kept as the metadata has. */
static assay_status look_at_metadata(check *c, const struct pg_result *rows, size_t row)
{
    char text[192];
    assay_text metadata = assay_pg_get(rows, row, 3);
    uint64_t kept = (uint64_t)assay_pg_get_int(rows, row, 4);
    assay_string_map *values = assay_string_map_new();
    if (values == NULL)
        return assay_fail_memory(c->error, 1024);
    assay_status status = assay_metadata_each(metadata.data, count_value, values, c->error);
    uint64_t count = assay_string_map_count(values);
    assay_string_map_free(values);
    if (status == ASSAY_OK && count == kept)
        return ASSAY_OK;
    if (status != ASSAY_OK && status != ASSAY_E_FORMAT)
        return status;
    assay_text id = assay_pg_get(rows, row, 5);
    int length = snprintf(text, sizeof text, "the metadata of document %.*s has %llu values, of "
                          "which filters see %llu", (int)(id.length < 80 ? id.length : 80), id.data,
                          (unsigned long long)count, (unsigned long long)kept);
    return problem(c, text, (size_t)length);
}

static assay_status metadata_page(check *c, const struct pg_result *rows, const void *unused,
                                  assay_arena *arena)
{
    (void)unused, (void)arena;
    for (size_t i = 0; i < assay_pg_rows_count(rows); i++)
        ASSAY_TRY(look_at_metadata(c, rows, i));
    return ASSAY_OK;
}

static bool ids_are_good(assay_text bytes, assay_arena *arena)
{
    assay_token_ids ids;
    return assay_token_ids_decode(bytes.data, bytes.length, arena, &ids, NULL) !=
           ASSAY_E_CORRUPT;
}

static bool book_is_good(assay_text bytes, assay_arena *arena)
{
    assay_token_book *book;
    (void)arena;
    if (assay_token_book_read(bytes.data, bytes.length, NULL, &book, NULL) != ASSAY_OK)
        return false;
    assay_token_book_free(book);
    return true;
}

static bool rows_are_good(assay_text bytes, assay_arena *arena)
{
    assay_token_rows rows;
    (void)arena;
    return assay_token_rows_decode(bytes.data, bytes.length, &rows);
}

/* Bytes: what they are called and belong to, and who can tell that they are whole. */
typedef struct kind {
    const char *name, *of;
    bool (*good)(assay_text, assay_arena *);
} kind;

static assay_status bytes_page(check *c, const struct pg_result *rows, const void *of,
                               assay_arena *arena)
{
    const kind *k = of;
    char text[160];
    for (size_t i = 0; i < assay_pg_rows_count(rows); i++) {
        assay_arena_reset(arena);
        if (k->good(assay_pg_get(rows, i, 3), arena))
            continue;
        int length = snprintf(text, sizeof text, "%s %lld has damaged %s; 'index --rebuild' "
                              "makes them anew", k->of,
                              (long long)assay_pg_get_int(rows, i, 2), k->name);
        ASSAY_TRY(problem(c, text, (size_t)length));
    }
    return ASSAY_OK;
}

typedef assay_status (*page_fn)(check *c, const struct pg_result *rows, const void *of,
                                assay_arena *arena);

/* Rows of a table, a page at a time, by their first three columns: keys. */
static assay_status each_page(check *c, const char *item, const char *constant, page_fn fn,
                              const void *of)
{
    int64_t after[3] = {0};
    c->item = item;
    assay_arena *arena = assay_arena_new(0);
    assay_status status = arena != NULL ? ASSAY_OK : assay_fail_memory(c->error, 1024);
    for (bool more = true; more && status == ASSAY_OK;) {
        struct pg_result *rows;
        assay_pg_query q = assay_pg_query_of(constant);
        for (int i = 0; i < 3; i++)
            assay_pg_int(&q, after[i]);
        assay_pg_int(&q, PAGE);
        status = assay_pg_run(c->store, &q, "cannot check", &rows, c->error);
        if (status != ASSAY_OK)
            break;
        size_t count = assay_pg_rows_count(rows);
        more = count == PAGE;
        for (int i = 0; i < 3 && more; i++)
            after[i] = assay_pg_get_int(rows, count - 1, i);
        status = fn(c, rows, of, arena);
        assay_pg_free(rows);
    }
    assay_arena_free(arena);
    ASSAY_TRY(status);
    c->done++;
    return tell(c, NULL);
}

assay_status assay_pg_check(assay_store *store, assay_progress_fn progress, void *user,
                            uint64_t *problems, assay_error *error)
{
    check c = {.store = store, .progress = progress, .user = user, .error = error};
    for (size_t i = 0; i < CHECKS; i++) {
        c.item = checks[i].item;
        ASSAY_TRY(look(&c, checks[i].sql));
        c.done++;
        ASSAY_TRY(tell(&c, NULL));
    }
    static const kind ids = {"token ids", "passage", ids_are_good},
                      rows = {"token vectors", "passage", rows_are_good},
                      book = {"codes of token vectors", "collection", book_is_good};
    ASSAY_TRY(each_page(&c, ids.name,
                        "SELECT collection, document, passage, ids FROM assay.tokens WHERE"
                        " (collection, document, passage) > ($1, $2, $3)"
                        " ORDER BY collection, document, passage LIMIT $4",
                        bytes_page, &ids));
    ASSAY_TRY(each_page(&c, rows.name,
                        "SELECT collection, document, passage, vectors FROM assay.token_vectors WHERE"
                        " (collection, document, passage) > ($1, $2, $3)"
                        " ORDER BY collection, document, passage LIMIT $4",
                        bytes_page, &rows));
    ASSAY_TRY(each_page(&c, book.name,
                        "SELECT key, key, key, late_book FROM assay.collections WHERE (key, key, key) >"
                        " ($1, $2, $3) AND late_bits > 0 ORDER BY key LIMIT $4",
                        bytes_page, &book));
    ASSAY_TRY(each_page(&c, "metadata",
                        "SELECT collection, key, key, metadata, (SELECT count(*) FROM assay.attributes a"
                        " WHERE a.collection = d.collection AND a.document = d.key), id"
                        " FROM assay.documents d WHERE (collection, key, key) > ($1, $2,"
                        " $3) AND metadata <> '' ORDER BY collection, key LIMIT $4",
                        metadata_page, NULL));
    *problems = c.problems;
    if (c.problems == 0)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_CORRUPT, store->path,
                      "%llu problems found; restore the database or index again into a new one",
                      (unsigned long long)c.problems);
}
