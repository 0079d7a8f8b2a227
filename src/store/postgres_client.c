/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_client.c: libpq, loaded when the first PostgreSQL store is opened:
 * connections, statements with their values, results, transactions, COPY.
 *
 * Values of what is bytes go in binary (bytea, vectors, arrays), the rest as text; all
 * results come in binary. Constant statements are prepared once a connection. Whatever
 * the URL or libpq's own variables (PGHOST, PGSSLMODE, PGPASSFILE ...) say holds; where
 * they say nothing of it, connecting takes at most 10 s, and a peer that has gone
 * silent is given up after 30.
 */
#include <endian.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/library.h"
#include "store/postgres.h"

#define LIBRARY "libpq.so.5"
#define FUNCTIONS(F)                                                                          \
    F(PQconnectdbParams) F(PQconninfoParse) F(PQconninfoFree) F(PQfreemem) F(PQfinish)        \
    F(PQstatus) F(PQtransactionStatus) F(PQerrorMessage) F(PQserverVersion) F(PQexec)         \
    F(PQexecParams) F(PQprepare) F(PQexecPrepared) F(PQresultStatus) F(PQresultErrorField)    \
    F(PQresultErrorMessage) F(PQclear) F(PQntuples) F(PQgetisnull) F(PQgetvalue)              \
    F(PQgetlength) F(PQcmdStatus) F(PQputCopyData) F(PQputCopyEnd) F(PQgetResult)             \
    F(PQsetNoticeProcessor) F(PQparameterStatus)

static struct {
    FUNCTIONS(ASSAY_LATE_FIELD)
} late;
static pthread_once_t late_once = PTHREAD_ONCE_INIT;
static assay_error late_missing; /* code ASSAY_OK: it is there */

static void load(void)
{
    static const char *const names[] = {FUNCTIONS(ASSAY_LATE_NAME)};
    assay_library_load(LIBRARY, names, sizeof names / sizeof *names, &late, &late_missing);
}

/* ---- Failures -------------------------------------------------------------------- */

static const struct {
    const char *state; /* SQLSTATE, or the class it begins with */
    assay_status status;
    const char *advice;
} states[] = {
    {"08", ASSAY_E_NETWORK, ""},
    {"57P", ASSAY_E_NETWORK, ""},
    {"28", ASSAY_E_NETWORK, "; see user, password (PGPASSFILE) and pg_hba.conf"},
    {"3D000", ASSAY_E_NETWORK, ""},
    {"55P03", ASSAY_E_BUSY, "; another process is writing, try again when it is done"},
    {"40", ASSAY_E_BUSY, "; another process was writing, try again"},
    {"53300", ASSAY_E_BUSY, ""},
    {"57014", ASSAY_E_BUSY, ""},
    {"53100", ASSAY_E_FULL, "; make room and try again, nothing committed is lost"},
    {"53200", ASSAY_E_MEMORY, ""},
    {"42501", ASSAY_E_IO, "; the user needs more rights on the schema assay"},
    {"25006", ASSAY_E_IO, "; this server only reads: it may be a replica"},
    {"22021", ASSAY_E_FORMAT, ""},
    {"54", ASSAY_E_LIMIT, ""},
    {"XX001", ASSAY_E_CORRUPT, ""},
    {"XX002", ASSAY_E_CORRUPT, ""},
};

/* Without the "ERROR: " that libpq begins with and the line ends that it ends with. */
static const char *tidy(const char *message, char text[320])
{
    while (strncmp(message, "ERROR:", 6) == 0 || strncmp(message, "FATAL:", 6) == 0)
        message += 6;
    message += strspn(message, " ");
    snprintf(text, 320, "%s", message);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = c[1] == '\0' ? '\0' : ' ';
    return text;
}

static assay_status fail(const char *name, const assay_pg_link *link, const PGresult *result,
                         const char *action, assay_error *error)
{
    char text[320];
    const char *state = result != NULL ? late.PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message =
        state != NULL ? late.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (message == NULL)
        message = late.PQerrorMessage(link->conn);
    for (size_t i = 0; state != NULL && i < sizeof states / sizeof *states; i++)
        if (strncmp(state, states[i].state, strlen(states[i].state)) == 0)
            return assay_fail(error, states[i].status, name, "%s: %s%s", action,
                              tidy(message, text), states[i].advice);
    if (state == NULL || late.PQstatus(link->conn) != CONNECTION_OK)
        return assay_fail(error, ASSAY_E_NETWORK, name, "%s: %s", action, tidy(message, text));
    return assay_fail(error, ASSAY_E_INTERNAL, name, "%s: %s (%s)", action, tidy(message, text),
                      state);
}

/* ---- Connections ----------------------------------------------------------------- */

static const char *option_of(const PQconninfoOption *options, const char *keyword,
                             const char *variable)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val != NULL)
            return o->val;
    const char *value = getenv(variable);
    return value != NULL ? value : "";
}

assay_status assay_pg_describe(const char *url, char name[512], assay_error *error)
{
    pthread_once(&late_once, load);
    if (late_missing.code != ASSAY_OK) {
        if (error != NULL)
            *error = late_missing;
        return late_missing.code;
    }
    char *reason = NULL;
    PQconninfoOption *options = late.PQconninfoParse(url, &reason);
    late.PQfreemem(reason); /* may have the password in it */
    if (options == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "store",
                          "not a URL as libpq reads them: "
                          "postgresql://[user@]host[:port]/database[?option=value&...], with "
                          "special characters written %%XX");
    const char *host = option_of(options, "host", "PGHOST");
    const char *port = option_of(options, "port", "PGPORT");
    const char *database = option_of(options, "dbname", "PGDATABASE");
    snprintf(name, 512, "postgresql://%s%s%s/%s", host, port[0] != '\0' ? ":" : "", port,
             database);
    late.PQconninfoFree(options);
    return ASSAY_OK;
}

static void say_nothing(void *user, const char *message)
{
    (void)user;
    (void)message;
}

static assay_status check_server(const assay_pg_link *link, const char *name, assay_error *error)
{
    const char *encoding = late.PQparameterStatus(link->conn, "server_encoding");
    if (late.PQserverVersion(link->conn) < 130000)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, name,
                          "PostgreSQL %d is too old: assay needs 13 or newer",
                          late.PQserverVersion(link->conn) / 10000);
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, name,
                          "the database's encoding is %s, and must be UTF8",
                          encoding != NULL ? encoding : "unknown");
    return ASSAY_OK;
}

assay_status assay_pg_connect(const char *url, const char *name, assay_pg_link **out,
                              assay_error *error)
{
    /* What stands later holds: "dbname" is taken apart where it stands. */
    const char *keys[8], *values[8];
    size_t n = 0;
    keys[n] = "client_encoding", values[n++] = "UTF8";
    keys[n] = "fallback_application_name", values[n++] = "assay";
    keys[n] = "tcp_user_timeout", values[n++] = "30000";
    if (getenv("PGCONNECT_TIMEOUT") == NULL)
        keys[n] = "connect_timeout", values[n++] = "10";
    keys[n] = "dbname", values[n++] = url;
    keys[n] = NULL, values[n] = NULL;
    assay_pg_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return assay_fail_memory(error, sizeof *link);
    link->conn = late.PQconnectdbParams(keys, values, 1);
    assay_status status = ASSAY_OK;
    if (link->conn == NULL)
        status = assay_fail_memory(error, 1024);
    else if (late.PQstatus(link->conn) != CONNECTION_OK)
        status = fail(name, link, NULL, "cannot connect", error);
    else
        status = check_server(link, name, error);
    if (status != ASSAY_OK) {
        assay_pg_disconnect(link);
        return status;
    }
    late.PQsetNoticeProcessor(link->conn, say_nothing, NULL);
    *out = link;
    return ASSAY_OK;
}

bool assay_pg_alive(assay_pg_link *link, bool ask)
{
    if (late.PQstatus(link->conn) != CONNECTION_OK ||
        late.PQtransactionStatus(link->conn) != PQTRANS_IDLE)
        return false;
    if (!ask)
        return true;
    PGresult *result = late.PQexec(link->conn, "");
    bool alive = late.PQresultStatus(result) == PGRES_EMPTY_QUERY;
    late.PQclear(result);
    return alive;
}

void assay_pg_disconnect(assay_pg_link *link)
{
    late.PQfinish(link->conn);
    free(link);
}

/* ---- Values ---------------------------------------------------------------------- */

assay_pg_query assay_pg_query_of(const char *constant)
{
    assay_pg_query q = {.sql = constant};
    assay_buffer_init(&q.bytes, INT32_MAX);
    assay_buffer_init(&q.values, 65535 * sizeof(assay_pg_value));
    return q;
}

assay_pg_query assay_pg_query_once(const char *sql)
{
    assay_pg_query q = assay_pg_query_of(sql);
    q.once = true;
    return q;
}

size_t assay_pg_count(const assay_pg_query *q)
{
    return q->values.length / sizeof(assay_pg_value);
}

/* A value whose bytes begin at `offset` and end with what has been appended. */
static void end_value(assay_pg_query *q, size_t offset, int binary)
{
    assay_pg_value value = {.offset = offset, .length = (int)(q->bytes.length - offset),
                            .binary = binary};
    assay_buffer_byte(&q->bytes, '\0');
    assay_buffer_append(&q->values, &value, sizeof value);
}

void assay_pg_string(assay_pg_query *q, assay_text text)
{
    size_t offset = q->bytes.length;
    assay_buffer_append(&q->bytes, text.data, text.length);
    end_value(q, offset, 0);
}

void assay_pg_text(assay_pg_query *q, const char *text)
{
    assay_pg_string(q, (assay_text){text != NULL ? text : "", text != NULL ? strlen(text) : 0});
}

void assay_pg_int(assay_pg_query *q, int64_t value)
{
    size_t offset = q->bytes.length;
    assay_buffer_format(&q->bytes, "%lld", (long long)value);
    end_value(q, offset, 0);
}

void assay_pg_real(assay_pg_query *q, double value)
{
    size_t offset = q->bytes.length;
    assay_buffer_format(&q->bytes, "%.17g", value);
    end_value(q, offset, 0);
}

void assay_pg_bytes(assay_pg_query *q, const void *bytes, size_t length)
{
    size_t offset = q->bytes.length;
    assay_buffer_append(&q->bytes, bytes, length);
    end_value(q, offset, 1);
}

static void append_be16(assay_buffer *out, uint16_t value)
{
    value = htobe16(value);
    assay_buffer_append(out, &value, sizeof value);
}

static void append_be32(assay_buffer *out, uint32_t value)
{
    value = htobe32(value);
    assay_buffer_append(out, &value, sizeof value);
}

static void append_be64(assay_buffer *out, uint64_t value)
{
    value = htobe64(value);
    assay_buffer_append(out, &value, sizeof value);
}

/* pgvector's binary form: how many, 0, and the floats. */
static void append_vector(assay_buffer *out, const float *vector, uint32_t dimensions)
{
    append_be16(out, (uint16_t)dimensions);
    append_be16(out, 0);
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i], sizeof bits);
        append_be32(out, bits);
    }
}

void assay_pg_vector(assay_pg_query *q, const float *vector, uint32_t dimensions)
{
    size_t offset = q->bytes.length;
    append_vector(&q->bytes, vector, dimensions);
    end_value(q, offset, 1);
}

/* An array's binary form: one dimension, no NULLs, the kind, how many, from 1. */
static void begin_array(assay_buffer *out, uint32_t kind, size_t count)
{
    append_be32(out, 1);
    append_be32(out, 0);
    append_be32(out, kind);
    append_be32(out, (uint32_t)count);
    append_be32(out, 1);
}

enum { KIND_BYTEA = 17, KIND_BIGINT = 20, KIND_TEXT = 25 };

void assay_pg_ints(assay_pg_query *q, const int64_t *values, size_t count)
{
    size_t offset = q->bytes.length;
    begin_array(&q->bytes, KIND_BIGINT, count);
    for (size_t i = 0; i < count; i++) {
        append_be32(&q->bytes, 8);
        append_be64(&q->bytes, (uint64_t)values[i]);
    }
    end_value(q, offset, 1);
}

void assay_pg_pieces(assay_pg_query *q, const assay_text *pieces, size_t count, bool text)
{
    size_t offset = q->bytes.length;
    begin_array(&q->bytes, text ? KIND_TEXT : KIND_BYTEA, count);
    for (size_t i = 0; i < count; i++) {
        append_be32(&q->bytes, (uint32_t)pieces[i].length);
        assay_buffer_append(&q->bytes, pieces[i].data, pieces[i].length);
    }
    end_value(q, offset, 1);
}

/* ---- Running --------------------------------------------------------------------- */

typedef struct call {
    int count;
    const char **values;
    int *lengths, *formats;
} call;

void assay_pg_query_free(assay_pg_query *q)
{
    assay_buffer_free(&q->bytes);
    assay_buffer_free(&q->values);
}

static void call_free(call *c)
{
    free(c->values);
    free(c->lengths);
    free(c->formats);
}

static assay_status call_of(const assay_pg_query *q, call *c, assay_error *error)
{
    ASSAY_TRY(assay_buffer_status(&q->bytes, "statement", error));
    ASSAY_TRY(assay_buffer_status(&q->values, "statement", error));
    const assay_pg_value *values = (const void *)q->values.data;
    size_t n = assay_pg_count(q);
    *c = (call){.count = (int)n, .values = malloc((n + 1) * sizeof *c->values),
                .lengths = malloc((n + 1) * sizeof *c->lengths),
                .formats = malloc((n + 1) * sizeof *c->formats)};
    if (c->values == NULL || c->lengths == NULL || c->formats == NULL) {
        call_free(c);
        return assay_fail_memory(error, n * 16);
    }
    for (size_t i = 0; i < n; i++) {
        c->values[i] = q->bytes.data + values[i].offset;
        c->lengths[i] = values[i].length;
        c->formats[i] = values[i].binary;
    }
    return ASSAY_OK;
}

/* The name of a constant statement on this connection; "" when it has no room, or the
 * statement cannot be prepared: then running it tells why. */
static void prepare(assay_pg_link *link, const char *sql, char name[16])
{
    size_t i = 0;
    name[0] = '\0';
    while (i < link->prepared_count && link->prepared[i] != sql)
        i++;
    if (i == ASSAY_PG_STATEMENTS)
        return;
    snprintf(name, 16, "assay_%zu", i);
    if (i < link->prepared_count)
        return;
    PGresult *result = late.PQprepare(link->conn, name, sql, 0, NULL);
    if (late.PQresultStatus(result) == PGRES_COMMAND_OK)
        link->prepared[link->prepared_count++] = sql;
    else
        name[0] = '\0';
    late.PQclear(result);
}

static assay_status run_on(assay_pg_link *link, const char *name, const assay_pg_query *q,
                           const call *c, const char *action, PGresult **out, assay_error *error)
{
    char statement[16] = "";
    if (!q->once)
        prepare(link, q->sql, statement);
    PGresult *result =
        statement[0] != '\0'
            ? late.PQexecPrepared(link->conn, statement, c->count, c->values, c->lengths,
                                  c->formats, 1)
            : late.PQexecParams(link->conn, q->sql, c->count, NULL, c->values, c->lengths,
                                c->formats, 1);
    ExecStatusType code = late.PQresultStatus(result);
    if (code == PGRES_TUPLES_OK || code == PGRES_COMMAND_OK) {
        *out = result;
        return ASSAY_OK;
    }
    assay_status status = fail(name, link, result, action, error);
    late.PQclear(result);
    return status;
}

/* Outside a transaction, with a connection for this statement alone. */
static assay_status run_alone(assay_store *store, const assay_pg_query *q, const call *c,
                              const char *action, PGresult **out, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    assay_status status = ASSAY_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        assay_pg_link *link;
        ASSAY_TRY(assay_pg_pool_take(pg->pool, store->busy_ms, &link, error));
        status = run_on(link, store->path, q, c, action, out, error);
        bool lost = !assay_pg_alive(link, false);
        assay_pg_pool_give(pg->pool, link);
        if (status == ASSAY_OK || !lost)
            break;
    }
    return status;
}

assay_status assay_pg_run(assay_store *store, assay_pg_query *q, const char *action,
                          PGresult **out, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    PGresult *result = NULL;
    call c = {0};
    assay_status status =
        pg->held != NULL && !q->early ? assay_pg_flush(store, error) : ASSAY_OK;
    if (status == ASSAY_OK)
        status = call_of(q, &c, error);
    if (status == ASSAY_OK) {
        status = pg->held != NULL
                     ? run_on(pg->held, store->path, q, &c, action, &result, error)
                     : run_alone(store, q, &c, action, &result, error);
        call_free(&c);
    }
    assay_pg_query_free(q);
    if (out != NULL)
        *out = result;
    else
        late.PQclear(result);
    return status;
}

assay_status assay_pg_command(assay_store *store, const char *action, assay_error *error,
                              const char *format, ...)
{
    char *sql = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&sql, format, arguments);
    va_end(arguments);
    if (length < 0)
        return assay_fail_memory(error, strlen(format));
    assay_pg_query q = assay_pg_query_once(sql);
    assay_status status = assay_pg_run(store, &q, action, NULL, error);
    free(sql);
    return status;
}

/* ---- Results --------------------------------------------------------------------- */

void assay_pg_free(PGresult *rows)
{
    if (rows != NULL)
        late.PQclear(rows);
}

size_t assay_pg_rows_count(const PGresult *rows)
{
    return (size_t)late.PQntuples(rows);
}

bool assay_pg_is_null(const PGresult *rows, size_t row, int column)
{
    return late.PQgetisnull(rows, (int)row, column) != 0;
}

assay_text assay_pg_get(const PGresult *rows, size_t row, int column)
{
    return (assay_text){late.PQgetvalue(rows, (int)row, column),
                        (size_t)late.PQgetlength(rows, (int)row, column)};
}

int64_t assay_pg_get_int(const PGresult *rows, size_t row, int column)
{
    assay_text value = assay_pg_get(rows, row, column);
    int64_t number = 0;
    for (size_t i = 0; i < value.length && i < 8; i++)
        number = (int64_t)((uint64_t)number << 8 | (uint8_t)value.data[i]);
    if (value.length == 4)
        number = (int32_t)(uint32_t)number;
    return value.length == 2 ? (int16_t)(uint16_t)number : number;
}

double assay_pg_get_real(const PGresult *rows, size_t row, int column)
{
    double number;
    int64_t bits = assay_pg_get_int(rows, row, column);
    memcpy(&number, &bits, sizeof number);
    return number;
}

bool assay_pg_copy_text(const PGresult *rows, size_t row, int column, char *target, size_t size)
{
    assay_text value = assay_pg_get(rows, row, column);
    if (value.length >= size)
        return false;
    memcpy(target, value.data, value.length);
    target[value.length] = '\0';
    return true;
}

/* ---- Transactions ---------------------------------------------------------------- */

static void end_transaction(assay_store *store)
{
    assay_postgres *pg = store->postgres;
    assay_pg_pool_give(pg->pool, pg->held);
    pg->held = NULL;
    assay_pg_forget(pg);
}

/* A statement of the transaction, which asks for nothing to be written before. */
static assay_status control(assay_store *store, const char *sql, const char *action,
                            const char *tag, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    PGresult *result = late.PQexec(pg->held->conn, sql);
    assay_status status = ASSAY_OK;
    if (late.PQresultStatus(result) != PGRES_COMMAND_OK)
        status = fail(store->path, pg->held, result, action, error);
    else if (strcmp(late.PQcmdStatus(result), tag) != 0) /* COMMIT after a failure: ROLLBACK */
        status = assay_fail(error, ASSAY_E_INTERNAL, store->path,
                            "%s: a statement before it had failed", action);
    late.PQclear(result);
    return status;
}

/* Begins with a setting that holds until the end. */
static assay_status begin_with(assay_store *store, const char *begin, const char *setting,
                               int64_t value, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    static const char *const action = "cannot begin a transaction";
    ASSAY_TRY(assay_pg_pool_take(pg->pool, store->busy_ms, &pg->held, error));
    assay_status status = control(store, begin, action, "BEGIN", error);
    if (status == ASSAY_OK) {
        assay_pg_query q = assay_pg_query_of("SELECT set_config($1, $2, true)");
        assay_pg_text(&q, setting);
        assay_pg_int(&q, value);
        status = assay_pg_run(store, &q, action, NULL, error);
    }
    if (status != ASSAY_OK)
        assay_pg_rollback(store);
    return status;
}

assay_status assay_pg_begin(assay_store *store, assay_error *error)
{
    assay_postgres *pg = store->postgres;
    if (store->read_only)
        return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                          "the store is open for reading only; open it for writing");
    if (pg->held != NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                          "a transaction is open already; commit it or roll it back");
    return begin_with(store, "BEGIN", "lock_timeout", store->busy_ms, error);
}

assay_status assay_pg_read_begin(assay_store *store, const char *setting, int64_t value,
                                 assay_error *error)
{
    return begin_with(store, "BEGIN READ ONLY", setting, value, error);
}

assay_status assay_pg_inside(assay_store *store, const char *function, assay_error *error)
{
    if (store->postgres->held != NULL)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, store->path,
                      "%s needs a transaction: call assay_store_begin first (a failed write "
                      "may have ended it)", function);
}

assay_status assay_pg_commit(assay_store *store, assay_error *error)
{
    ASSAY_TRY(assay_pg_inside(store, "assay_store_commit", error));
    ASSAY_TRY(assay_pg_flush(store, error));
    ASSAY_TRY(control(store, "COMMIT", "cannot commit", "COMMIT", error));
    end_transaction(store);
    return ASSAY_OK;
}

void assay_pg_rollback(assay_store *store)
{
    if (store->postgres->held == NULL)
        return;
    control(store, "ROLLBACK", "cannot roll back", "ROLLBACK", NULL);
    end_transaction(store);
}

assay_status assay_pg_enter(assay_store *store, bool *own, assay_error *error)
{
    *own = store->postgres->held == NULL;
    return *own ? assay_pg_begin(store, error) : ASSAY_OK;
}

assay_status assay_pg_leave(assay_store *store, bool own, assay_status status,
                            assay_error *error)
{
    if (!own)
        return status;
    if (status == ASSAY_OK)
        status = assay_pg_commit(store, error);
    if (status != ASSAY_OK)
        assay_pg_rollback(store);
    return status;
}

/* ---- COPY ------------------------------------------------------------------------ */

static const char signature[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and its NUL */

void assay_pg_row(assay_pg_rows *rows, int columns)
{
    if (rows->bytes.length == 0)
        assay_buffer_append(&rows->bytes, signature, sizeof signature);
    append_be16(&rows->bytes, (uint16_t)columns);
}

void assay_pg_put_int(assay_pg_rows *rows, int64_t value)
{
    append_be32(&rows->bytes, 8);
    append_be64(&rows->bytes, (uint64_t)value);
}

void assay_pg_put_bytes(assay_pg_rows *rows, const void *bytes, size_t length)
{
    append_be32(&rows->bytes, (uint32_t)length);
    assay_buffer_append(&rows->bytes, bytes, length);
}

void assay_pg_put_null(assay_pg_rows *rows)
{
    append_be32(&rows->bytes, UINT32_MAX);
}

void assay_pg_put_vector(assay_pg_rows *rows, const float *vector, uint32_t dimensions)
{
    append_be32(&rows->bytes, 4 + 4 * dimensions);
    append_vector(&rows->bytes, vector, dimensions);
}

static assay_status send_bytes(assay_store *store, const assay_buffer *bytes, const char *action,
                               assay_error *error)
{
    enum { PIECE = 1 << 20 };
    assay_pg_link *link = store->postgres->held;
    for (size_t at = 0; at < bytes->length; at += PIECE) {
        size_t rest = bytes->length - at;
        if (late.PQputCopyData(link->conn, bytes->data + at, (int)(rest < PIECE ? rest : PIECE)) !=
            1)
            return fail(store->path, link, NULL, action, error);
    }
    if (late.PQputCopyEnd(link->conn, NULL) != 1)
        return fail(store->path, link, NULL, action, error);
    return ASSAY_OK;
}

/* What the server said of it, to the last. */
static assay_status take_answers(assay_store *store, const char *action, assay_error *error)
{
    assay_pg_link *link = store->postgres->held;
    assay_status status = ASSAY_OK;
    PGresult *result;
    while ((result = late.PQgetResult(link->conn)) != NULL) {
        ExecStatusType code = late.PQresultStatus(result);
        if (status == ASSAY_OK && code != PGRES_COMMAND_OK)
            status = fail(store->path, link, result, action, error);
        late.PQclear(result);
        if (code == PGRES_COPY_IN || late.PQstatus(link->conn) != CONNECTION_OK)
            break;
    }
    return status;
}

assay_status assay_pg_send(assay_store *store, assay_pg_rows *rows, assay_error *error)
{
    static const char *const action = "cannot write";
    assay_pg_link *link = store->postgres->held;
    if (rows->bytes.length == 0)
        return ASSAY_OK;
    if (!rows->text)
        append_be16(&rows->bytes, UINT16_MAX);
    ASSAY_TRY(assay_buffer_status(&rows->bytes, "rows", error));
    PGresult *result = late.PQexec(link->conn, rows->into);
    bool ready = late.PQresultStatus(result) == PGRES_COPY_IN;
    assay_status status = ready ? ASSAY_OK : fail(store->path, link, result, action, error);
    late.PQclear(result);
    if (ready) {
        status = send_bytes(store, &rows->bytes, action, error);
        if (status == ASSAY_OK)
            status = take_answers(store, action, error);
    }
    assay_buffer_clear(&rows->bytes);
    return status;
}
