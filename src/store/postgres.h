/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres.h: PostgreSQL as the files postgres_*.c see it.
 *
 * A statement's text is a constant, or put together from constants and numbers; what
 * comes from outside is always a parameter. Results come in binary, and a failure
 * becomes an assay_status in one place. All tables lie in the schema "assay".
 */
#ifndef ASSAY_POSTGRES_H
#define ASSAY_POSTGRES_H

#include "base/string_map.h"
#include "store/database.h"

/* ---- Connections: postgres_pool.c over postgres_client.c ------------------------ */

enum {
    ASSAY_PG_STATEMENTS = 96,   /* kept prepared, a connection */
    ASSAY_PG_KEYS = 1024,       /* a step of the sequence */
    ASSAY_PG_DIMENSIONS = 16000, /* most that pgvector takes, */
    ASSAY_PG_INDEX_DIMENSIONS = 2000, /* and its indexes */
    ASSAY_PG_NO_INDEX = -1,     /* of ASSAY_PG_LISTS */
    ASSAY_PG_TERM = 200,        /* bytes of a word; of longer ones the beginning counts */
};

/* One connection to a server. */
typedef struct assay_pg_link {
    struct pg_conn *conn;
    const char *prepared[ASSAY_PG_STATEMENTS]; /* constants, by address */
    size_t prepared_count;
    double idle_since;
    struct assay_pg_link *next;
} assay_pg_link;

/* What messages call the database, never with a password. ARGUMENT, when it is no URL
 * that libpq understands; UNSUPPORTED without libpq. */
assay_status assay_pg_describe(const char *url, char name[512], assay_error *error);
assay_status assay_pg_connect(const char *url, const char *name, assay_pg_link **out,
                              assay_error *error);
bool assay_pg_alive(assay_pg_link *link, bool ask);
void assay_pg_disconnect(assay_pg_link *link);

/* The connections of this process to one URL, shared by its stores. */
typedef struct assay_pg_pool assay_pg_pool;
assay_status assay_pg_pool_open(const char *url, assay_pg_pool **out, assay_error *error);
void assay_pg_pool_close(assay_pg_pool *pool); /* the last one closes the connections */
const char *assay_pg_pool_name(const assay_pg_pool *pool);
/* One that answers, at the latest after so many milliseconds: BUSY. */
assay_status assay_pg_pool_take(assay_pg_pool *pool, uint32_t milliseconds, assay_pg_link **out,
                                assay_error *error);
void assay_pg_pool_give(assay_pg_pool *pool, assay_pg_link *link);

/* ---- The store ------------------------------------------------------------------- */

/* Rows on their way to a table: COPY's binary or text format. */
typedef struct assay_pg_rows {
    const char *into; /* "COPY ... FROM STDIN ..." */
    bool text;
    assay_buffer bytes;
} assay_pg_rows;

enum {
    ASSAY_PG_DOCUMENTS, ASSAY_PG_PASSAGES, ASSAY_PG_WORDS, ASSAY_PG_VECTORS, ASSAY_PG_TOKENS,
    ASSAY_PG_ATTRIBUTES, ASSAY_PG_TABLES,
};

typedef struct assay_postgres {
    assay_pg_pool *pool;
    assay_pg_link *held;   /* while there is a transaction */
    /* What is being written. */
    int64_t collection;    /* whose row is locked; 0: none */
    uint64_t generation;
    int64_t passages, words; /* that came, less those that went */
    bool touched;
    assay_pg_rows rows[ASSAY_PG_TABLES];
    assay_string_map *pending; /* ids of documents among the rows */
    int64_t next_key, last_key; /* given out by the database, not yet used */
    /* Of the collection opened last. */
    int64_t opened;
    int64_t lists;         /* of its index, see ASSAY_PG_LISTS */
    struct pg_result *expected; /* passages by key, see assay_passages_expect */
    struct pg_result *expected_vectors; /* see assay_token_vectors_expect */
} assay_postgres;

/* ---- Statements ------------------------------------------------------------------ */

typedef struct assay_pg_value {
    size_t offset; /* into bytes */
    int length;
    int binary;
    bool null;
} assay_pg_value;

typedef struct assay_pg_query {
    const char *sql;
    bool once;           /* the text is not a constant: not kept prepared */
    bool early;          /* it asks for nothing that has been put and not sent yet */
    assay_buffer bytes;  /* values, each with a NUL behind it */
    assay_buffer values; /* assay_pg_value */
} assay_pg_query;

assay_pg_query assay_pg_query_of(const char *constant);
assay_pg_query assay_pg_query_once(const char *sql); /* which outlives the query */
void assay_pg_query_free(assay_pg_query *q);         /* of one that is not run */
size_t assay_pg_count(const assay_pg_query *q);      /* of values: the last is $count */
void assay_pg_int(assay_pg_query *q, int64_t value);
void assay_pg_real(assay_pg_query *q, double value);
void assay_pg_text(assay_pg_query *q, const char *text); /* NULL: "" */
void assay_pg_string(assay_pg_query *q, assay_text text);
void assay_pg_bytes(assay_pg_query *q, const void *bytes, size_t length);
void assay_pg_vector(assay_pg_query *q, const float *vector, uint32_t dimensions);
/* Arrays: bigint[], bytea[], text[] */
void assay_pg_ints(assay_pg_query *q, const int64_t *values, size_t count);
void assay_pg_pieces(assay_pg_query *q, const assay_text *pieces, size_t count, bool text);

/* Runs it and frees it. *out may be NULL where no rows are of interest. What was put
 * and not yet written is written first. Outside a transaction it is tried again, once,
 * on another connection, when this one is lost. */
assay_status assay_pg_run(assay_store *store, assay_pg_query *q, const char *action,
                          struct pg_result **out, assay_error *error);
void assay_pg_free(struct pg_result *rows);
size_t assay_pg_rows_count(const struct pg_result *rows);
bool assay_pg_is_null(const struct pg_result *rows, size_t row, int column);
int64_t assay_pg_get_int(const struct pg_result *rows, size_t row, int column);
double assay_pg_get_real(const struct pg_result *rows, size_t row, int column);
assay_text assay_pg_get(const struct pg_result *rows, size_t row, int column);
/* Into target[size], false when it does not fit. */
bool assay_pg_copy_text(const struct pg_result *rows, size_t row, int column, char *target,
                        size_t size);

/* A statement without values and rows that is no constant; outside of preparation. */
assay_status assay_pg_command(assay_store *store, const char *action, assay_error *error,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Transactions: the table's begin, commit and rollback; see database.h for enter,
 * leave and inside. */
assay_status assay_pg_begin(assay_store *store, assay_error *error);
/* A transaction that only reads, with a setting that holds until it is rolled back. */
assay_status assay_pg_read_begin(assay_store *store, const char *setting, int64_t value,
                                 assay_error *error);
assay_status assay_pg_commit(assay_store *store, assay_error *error);
void assay_pg_rollback(assay_store *store);
assay_status assay_pg_enter(assay_store *store, bool *own, assay_error *error);
assay_status assay_pg_leave(assay_store *store, bool own, assay_status status,
                            assay_error *error);
assay_status assay_pg_inside(assay_store *store, const char *function, assay_error *error);

/* ---- COPY ------------------------------------------------------------------------ */

void assay_pg_row(assay_pg_rows *rows, int columns); /* begins one, of so many fields */
void assay_pg_put_int(assay_pg_rows *rows, int64_t value); /* bigint */
void assay_pg_put_bytes(assay_pg_rows *rows, const void *bytes, size_t length);
void assay_pg_put_null(assay_pg_rows *rows);
void assay_pg_put_vector(assay_pg_rows *rows, const float *vector, uint32_t dimensions);
/* Sends all rows that have gathered. */
assay_status assay_pg_send(assay_store *store, assay_pg_rows *rows, assay_error *error);

/* ---- Between the files ------------------------------------------------------------ */

assay_status assay_postgres_open(assay_store *store, const char *url, bool create,
                                 assay_error *error);
assay_status assay_pg_schema_open(assay_store *store, bool create, assay_error *error);

/* postgres_documents.c: locks the collection's row for this transaction: one writes. */
assay_status assay_pg_lock(assay_store *store, const assay_collection *collection,
                           assay_error *error);
/* Writes what has been put, and the collection's counts. */
assay_status assay_pg_flush(assay_store *store, assay_error *error);
void assay_pg_forget(assay_postgres *pg); /* what has been put, after a rollback */

/* How many lists the index of the vectors of a collection, c, has: 0 is HNSW's, and
 * ASSAY_PG_NO_INDEX where there is none that is whole. */
#define ASSAY_PG_LISTS                                                                      \
    "coalesce((SELECT CASE WHEN a.amname = 'ivfflat' THEN coalesce((SELECT"                 \
    " o.option_value::bigint FROM pg_options_to_table(x.reloptions) o WHERE o.option_name"  \
    " = 'lists'), 100) ELSE 0 END FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"  \
    " JOIN pg_am a ON a.oid = x.relam WHERE i.indexrelid = to_regclass('assay.vectors_' ||" \
    " c.key) AND i.indisvalid), -1)"

/* postgres_search.c: " AND <document> IN (those that the selection lets through)", $1
 * being the collection; nothing where allowed is NULL. */
assay_status assay_pg_allowed_write(const char *document, const assay_selection *allowed,
                                    assay_pg_query *q, assay_buffer *sql, assay_error *error);
/* Runs a search, whose rows are passages with their scores; frees q and sql. */
assay_status assay_pg_find(assay_store *store, assay_pg_query *q, assay_buffer *sql, size_t k,
                           assay_candidate *out, size_t *count, assay_error *error);

/* postgres_filter.c: appends to the text the documents that a filter lets through, as a
 * query in parentheses, and to q what it compares with; $1 is the collection. */
assay_status assay_pg_filter_write(const assay_filter *filter, assay_pg_query *q,
                                   assay_buffer *sql, assay_error *error);

/* ---- What backend.h asks for -------------------------------------------------------- */

assay_status assay_pg_collection_open(assay_store *store, const char *name,
                                      assay_collection *out, assay_error *error);
assay_status assay_pg_collection_create(assay_store *store, const char *name,
                                        const assay_collection_config *config,
                                        assay_collection *out, assay_error *error);
assay_status assay_pg_collection_describe(assay_store *store, const char *name,
                                          assay_collection_info *out, assay_error *error);
assay_status assay_pg_collection_list(assay_store *store, assay_collection_info **out,
                                      size_t *count, assay_error *error);
assay_status assay_pg_collection_drop(assay_store *store, const char *name,
                                      assay_error *error);
assay_status assay_pg_check(assay_store *store, assay_progress_fn progress, void *user,
                            uint64_t *problems, assay_error *error);
assay_status assay_pg_document_digest(assay_store *store, const assay_collection *collection,
                                      const char *id, bool *found, assay_digest *digest,
                                      assay_error *error);
assay_status assay_pg_document_put(assay_store *store, assay_collection *collection,
                                   const assay_stored_document *document, assay_error *error);
assay_status assay_pg_document_delete(assay_store *store, assay_collection *collection,
                                      const char *id, bool *found, assay_error *error);
assay_status assay_pg_document_text(assay_store *store, const char *collection,
                                    const char *document, assay_text *title, assay_text *text,
                                    assay_error *error);
assay_status assay_pg_document_list(assay_store *store, const char *collection,
                                    const char *after, size_t most, assay_documents *out,
                                    assay_error *error);
assay_status assay_pg_document_get(assay_store *store, const char *collection, const char *id,
                                   assay_documents *out, assay_error *error);
assay_status assay_pg_scan_finish(assay_store *store, const assay_collection *collection,
                                  assay_error *error);
assay_status assay_pg_scan_prune(assay_store *store, assay_collection *collection,
                                 const char *path, uint64_t *removed, assay_error *error);
assay_status assay_pg_filter_keys(assay_store *store, const assay_collection *collection,
                                  assay_selection *selection, assay_error *error);
assay_status assay_pg_filter(assay_store *store, const assay_collection *collection,
                             const assay_filter *filter, assay_selection *out,
                             assay_error *missing, assay_error *error);
assay_status assay_pg_bm25(assay_store *store, const assay_collection *collection,
                           assay_text question, double k1, double b,
                           const assay_selection *allowed, size_t k, assay_candidate *out,
                           size_t *count, assay_error *error);
assay_status assay_pg_passage_get(assay_store *store, uint64_t passage, assay_arena *arena,
                                  assay_passage_view *out, assay_error *error);
assay_status assay_pg_passage_keys(assay_store *store, const assay_collection *collection,
                                   uint64_t after, uint64_t *passages, size_t most,
                                   size_t *count, assay_error *error);
assay_status assay_pg_tokens_get(assay_store *store, uint64_t passage,
                                 const assay_digest *tokenizer, assay_arena *arena,
                                 assay_token_ids *out, assay_error *error);
assay_status assay_pg_tokens_put(assay_store *store, uint64_t passage,
                                 const assay_digest *tokenizer, const int32_t *ids,
                                 size_t count, assay_error *error);
assay_status assay_pg_tokens_missing(assay_store *store, const assay_collection *collection,
                                     const assay_digest *tokenizer, uint64_t after,
                                     uint64_t *passages, size_t most, size_t *count,
                                     assay_error *error);
assay_status assay_pg_late_get(assay_store *store, const assay_collection *collection,
                               assay_late_model *out, assay_error *error);
assay_status assay_pg_late_set(assay_store *store, const assay_collection *collection,
                               const assay_late_model *model, const void *book,
                               size_t length, assay_error *error);
assay_status assay_pg_late_book(assay_store *store, const assay_collection *collection,
                                assay_buffer *out, assay_error *error);
assay_status assay_pg_token_vectors_expect(assay_store *store,
                                           const assay_collection *collection,
                                           const int64_t *passages, size_t count,
                                           assay_error *error);
assay_status assay_pg_token_vectors_read(assay_store *store, uint64_t passage,
                                         void (*fn)(void *user, const assay_token_rows *rows),
                                         void *user, assay_error *error);
assay_status assay_pg_token_vectors_put(assay_store *store, uint64_t passage,
                                        const assay_token_rows *rows, assay_error *error);
assay_status assay_pg_token_vectors_missing(assay_store *store,
                                            const assay_collection *collection, uint64_t after,
                                            uint64_t *passages, size_t most, size_t *count,
                                            assay_error *error);
assay_status assay_pg_vectors(assay_store *store, const assay_collection *collection,
                              assay_vector_fn fn, void *user, assay_error *error);
assay_status assay_pg_vector_count(assay_store *store, const assay_collection *collection,
                                   uint64_t *count, assay_error *error);
assay_status assay_pg_passages_expect(assay_store *store, const assay_collection *collection,
                                      const int64_t *passages, size_t count,
                                      assay_error *error);
assay_status assay_pg_nearest(assay_store *store, const assay_collection *collection,
                              const float *vector, const assay_store_find *options,
                              assay_candidate *out, size_t *count, assay_vector_index *kind,
                              assay_error *error);
assay_status assay_pg_vector_index_update(assay_store *store,
                                          const assay_collection *collection,
                                          const assay_vector_index *choice,
                                          assay_vector_index *kind, bool *by_size,
                                          assay_error *error);
assay_status assay_pg_vector_index_describe(assay_store *store,
                                            const assay_collection *collection,
                                            assay_vector_index_info *out, assay_error *error);
assay_status assay_pg_vector_note_get(assay_store *store, const assay_collection *collection,
                                      assay_buffer *out, assay_error *error);
assay_status assay_pg_vector_note_set(assay_store *store, const assay_collection *collection,
                                      const char *note, assay_error *error);

extern const assay_backend assay_postgresql;

#endif
