/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_documents.c: collections and documents over HTTP.
 *
 *   GET    /v1/collections/NAME                   what it is
 *   DELETE /v1/collections/NAME                   drops it
 *   POST   /v1/collections/NAME/search            (own_search.c)
 *   POST   /v1/collections/NAME/documents         puts documents; makes the collection
 *   GET    /v1/collections/NAME/documents         lists them: ?after=ID&limit=N
 *   POST   /v1/collections/NAME/documents/delete  deletes those of a list of ids
 *   GET    /v1/collections/NAME/documents/ID      one, with its text
 *   DELETE /v1/collections/NAME/documents/ID      deletes it
 *
 * Two clerks, each with a store of its own: looking does not wait for what is being
 * embedded. Documents that are put go through assay_index as lines of JSON, so they may
 * have what such a record may have, and one that cannot be read fails alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/clerk.h"
#include "server/http.h"
#include "server/own.h"

enum {
    READING = 256, /* most calls before the clerk that reads */
    WRITING = 64,
    LISTED = 100,
    MOST_LISTED = 1000,
    MOST_PROBLEMS = 100, /* that an answer tells */
    ID_BYTES = 4096,
};

typedef struct assay_desk {
    assay_clerk *reader, *writer; /* writer NULL: documents are only read */
    assay_store *read, *write;    /* opened when they are first needed */
} assay_desk;

/* What a clerk is asked. */
typedef struct errand {
    char name[128];
    const char *id, *after;
    uint64_t limit;
    const char **ids;
    size_t count;
    assay_index_options options;
    int records; /* a file in memory */
    /* While it is put: */
    assay_writer problems;
    size_t told;
} errand;

/* ---- The desk ------------------------------------------------------------------------ */

assay_status assay_desk_open(assay_server *server, assay_error *error)
{
    assay_desk *desk = calloc(1, sizeof *desk);
    server->desk = desk;
    if (desk != NULL)
        desk->reader = assay_clerk_open(READING);
    if (desk != NULL && server->options.writable)
        desk->writer = assay_clerk_open(WRITING);
    if (desk != NULL && desk->reader != NULL &&
        (desk->writer != NULL || !server->options.writable))
        return ASSAY_OK;
    *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
    return ASSAY_E_MEMORY;
}

void assay_desk_end(assay_server *server)
{
    if (server->desk == NULL)
        return;
    assay_clerk_end(server->desk->reader);
    assay_clerk_end(server->desk->writer);
}

void assay_desk_close(assay_server *server)
{
    assay_desk *desk = server->desk;
    if (desk == NULL)
        return;
    assay_clerk_close(desk->reader);
    assay_clerk_close(desk->writer);
    assay_store_close(desk->read);
    assay_store_close(desk->write);
    free(desk);
    server->desk = NULL;
}

/* The store, or NULL after a fault. */
static assay_store *store_of(assay_call *call, assay_store **store, bool writes)
{
    assay_error error;
    const assay_store_options options = {.read_only = !writes, .create = writes};
    if (*store == NULL && assay_store_open(NULL, &options, store, &error) != ASSAY_OK)
        assay_call_fail_error(call, &error);
    return *store;
}

/* ---- What is asked -------------------------------------------------------------------- */

static bool nothing_there(assay_call *call)
{
    return assay_call_fail(call, ASSAY_FAULT_PATH, NULL, "there is nothing at %.200s",
                           call->path);
}

/* "NAME/what": the name into the errand, what is behind it into *what, "" for nothing. */
static errand *read_path(assay_call *call, const char **what)
{
    errand *e = assay_call_keep(call, sizeof *e);
    size_t length = strcspn(call->rest, "/");
    if (e == NULL)
        return NULL;
    memset(e, 0, sizeof *e);
    if (length == 0 || length >= sizeof e->name) {
        nothing_there(call);
        return NULL;
    }
    memcpy(e->name, call->rest, length);
    *what = call->rest[length] == '/' ? call->rest + length + 1 : "";
    call->work = e;
    return e;
}

/* The id behind "documents/"; NULL when that is not the path. */
static const char *id_in(const char *what)
{
    return strncmp(what, "documents/", 10) == 0 && what[10] != '\0' ? what + 10 : NULL;
}

static bool ask_reader(assay_call *call, assay_clerk_work work)
{
    const errand *e = call->work;
    return assay_own_collection(call, e->name) &&
           assay_clerk_ask(call->server->desk->reader, call, work);
}

/* A collection that is to be written may have to be made; where some are named, no other
 * can. */
static bool ask_writer(assay_call *call, bool makes, assay_clerk_work work)
{
    const errand *e = call->work;
    bool any = makes && call->server->options.collections.count == 0;
    if (!any && !assay_own_collection(call, e->name))
        return false;
    if (call->server->desk->writer == NULL)
        return assay_call_fail(call, ASSAY_FAULT_FORBIDDEN, NULL,
                               "documents are only read here; assay serve --write lets them be "
                               "put and deleted");
    if (!call->grant.writes)
        return assay_call_fail(call, ASSAY_FAULT_FORBIDDEN, NULL,
                               "this API key may only read: 'write' on its line lets it put and "
                               "delete");
    return assay_clerk_ask(call->server->desk->writer, call, work);
}

bool assay_collection_finish(assay_call *call)
{
    /* A search's answer is written here, a clerk's was by the clerk. */
    return call->submitted ? assay_search_finish(call) : true;
}

/* ---- Looking ---------------------------------------------------------------------------- */

static void write_names(assay_writer *out, const assay_document_info *d)
{
    const struct {
        const char *name, *value;
    } names[] = {{"id", d->id}, {"title", d->title}, {"source", d->source}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assay_write_name(out, names[i].name);
        assay_write_string(out, names[i].value);
    }
    assay_write_name(out, "bytes");
    assay_write_count(out, d->bytes);
    assay_write_name(out, "passages");
    assay_write_count(out, d->passages);
}

static void list_documents(assay_call *call)
{
    assay_error error;
    assay_documents documents;
    const errand *e = call->work;
    assay_writer *out = &call->out;
    assay_store *store = store_of(call, &call->server->desk->read, false);
    if (store == NULL)
        return;
    if (assay_document_list(store, e->name, e->after, e->limit, &documents, &error) != ASSAY_OK) {
        assay_call_fail_error(call, &error);
        return;
    }
    assay_write(out, "{\"documents\":[");
    for (size_t i = 0; i < documents.count; i++) {
        assay_write_mark(out, '{');
        write_names(out, &documents.items[i]);
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    assay_write_name(out, "after"); /* for the next page; null: this was the last */
    assay_write_string(out, documents.count == e->limit ? documents.items[e->limit - 1].id
                                                        : NULL);
    assay_write_mark(out, '}');
    assay_documents_free(&documents);
}

static void get_document(assay_call *call)
{
    assay_error error;
    assay_documents documents;
    const errand *e = call->work;
    assay_writer *out = &call->out;
    assay_store *store = store_of(call, &call->server->desk->read, false);
    if (store == NULL)
        return;
    if (assay_document_get(store, e->name, e->id, &documents, &error) != ASSAY_OK) {
        assay_call_fail_error(call, &error);
        return;
    }
    assay_write_mark(out, '{');
    write_names(out, &documents.items[0]);
    assay_write_name(out, "metadata");
    assay_write(out, documents.items[0].metadata != NULL ? documents.items[0].metadata : "null");
    assay_write_name(out, "text");
    assay_write_text(out, documents.items[0].text);
    assay_write_mark(out, '}');
    assay_documents_free(&documents);
}

static void describe(assay_call *call)
{
    assay_error error;
    assay_collection_info info;
    const errand *e = call->work;
    assay_writer *out = &call->out;
    assay_store *store = store_of(call, &call->server->desk->read, false);
    if (store == NULL)
        return;
    if (assay_collection_describe(store, e->name, &info, &error) != ASSAY_OK) {
        assay_call_fail_error(call, &error);
        return;
    }
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"documents", info.documents}, {"passages", info.passages},
                  {"vectors", info.vectors},     {"truncated", info.truncated},
                  {"text_bytes", info.text_bytes}};
    assay_write_mark(out, '{');
    assay_write_name(out, "name");
    assay_write_string(out, info.name);
    assay_write_name(out, "model");
    assay_write_string(out, info.model[0] != '\0' ? info.model : NULL);
    assay_write_name(out, "created");
    assay_write_string(out, info.created);
    assay_write_name(out, "changed");
    assay_write_string(out, info.changed);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assay_write_name(out, counts[i].name);
        assay_write_count(out, counts[i].value);
    }
    assay_write_mark(out, '}');
}

static bool begin_list(assay_call *call, errand *e)
{
    const char *limit = assay_call_parameter(call, "limit");
    char *end = NULL;
    e->after = assay_call_parameter(call, "after");
    e->limit = limit != NULL ? strtoull(limit, &end, 10) : LISTED;
    if (limit != NULL && (*limit < '0' || *limit > '9' || *end != '\0'))
        e->limit = 0;
    if (e->limit < 1 || e->limit > MOST_LISTED)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "limit",
                               "limit: expected a whole number from 1 to %d", MOST_LISTED);
    return ask_reader(call, list_documents);
}

bool assay_collection_get_begin(assay_call *call)
{
    const char *what;
    errand *e = read_path(call, &what);
    if (e == NULL)
        return false;
    if (what[0] == '\0')
        return ask_reader(call, describe);
    if (strcmp(what, "documents") == 0)
        return begin_list(call, e);
    if ((e->id = id_in(what)) != NULL)
        return ask_reader(call, get_document);
    return nothing_there(call);
}

/* ---- Putting ------------------------------------------------------------------------------ */

/* "-:3" is the third line, and so the document before. */
static void write_problem(errand *e, const assay_error *problem)
{
    unsigned long long line = 0;
    assay_writer *out = &e->problems;
    if (e->told++ >= MOST_PROBLEMS)
        return;
    assay_write_mark(out, '{');
    assay_write_name(out, "document");
    if (sscanf(problem->where, "-:%llu", &line) == 1 && line > 0)
        assay_write_count(out, line - 1);
    else
        assay_write_null(out);
    assay_write_name(out, "message");
    assay_write_string(out, problem->message);
    assay_write_mark(out, '}');
}

static bool take_progress(const assay_progress *progress, void *user)
{
    if (progress->problem != NULL)
        write_problem(user, progress->problem);
    return true;
}

static void write_put(assay_call *call, const errand *e, const assay_index_report *report)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"seen", report->seen},           {"added", report->added},
                  {"changed", report->changed},     {"unchanged", report->unchanged},
                  {"failed", report->failed},       {"empty", report->empty},
                  {"passages", report->passages},   {"truncated", report->truncated}};
    assay_writer *out = &call->out;
    assay_write_mark(out, '{');
    assay_write_name(out, "collection");
    assay_write_string(out, e->name);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assay_write_name(out, counts[i].name);
        assay_write_count(out, counts[i].value);
    }
    assay_write_name(out, "problems");
    assay_write_mark(out, '[');
    assay_write_bytes(out, e->problems.data, e->problems.length);
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
}

static void put_documents(assay_call *call)
{
    static const char *const input[] = {"-"};
    assay_error error;
    assay_index_report report;
    errand *e = call->work;
    assay_store *store = store_of(call, &call->server->desk->write, true);
    e->options.input = e->records; /* closed by what reads it */
    assay_status status = ASSAY_E_IO;
    if (store == NULL) {
        close(e->records);
        return;
    }
    status = assay_index(store, e->name, input, 1, &e->options, take_progress, e, &report, &error);
    if (status == ASSAY_OK)
        status = assay_shelf_add(call->server->shelf, e->name, &error);
    if (status == ASSAY_OK)
        write_put(call, e, &report);
    else if (status == ASSAY_E_ARGUMENT || status == ASSAY_E_UNSUPPORTED)
        assay_call_fail(call, ASSAY_FAULT_FIELD, NULL, "%s: %s", error.where, error.message);
    else
        assay_call_fail_error(call, &error);
    assay_writer_free(&e->problems);
}

/* The documents as lines of JSON in a file in memory; -1 after a fault. */
static int write_records(assay_call *call, const json_t *documents)
{
    int fd = memfd_create("documents", MFD_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
    bool written = file != NULL;
    for (size_t i = 0; i < json_array_size(documents) && written; i++) {
        const json_t *one = json_array_get(documents, i);
        /* What is no object is refused by its line's number, as any other record. */
        written = json_dumpf(one, file, JSON_COMPACT | JSON_ENCODE_ANY) == 0 &&
                  fputc('\n', file) != EOF;
    }
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (written && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    assay_call_fail(call, ASSAY_FAULT_INTERNAL, NULL, "the documents cannot be kept: %s",
                    strerror(errno));
    return -1;
}

/* Names of collections go into files' names; the store says what they may be, too. */
static bool fit_name(assay_call *call, const char *name)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (name[0] != '.' && strspn(name, fit) == strlen(name))
        return true;
    return assay_call_fail(call, ASSAY_FAULT_FIELD, "collection", "a collection's name has "
                           "letters, digits, '.', '_' and '-', and no '.' first");
}

/* A model by its name; where folders lie on the server is nothing that clients may try. */
static bool fit_model(assay_call *call, const char *name)
{
    if (name == NULL || (name[0] != '/' && name[0] != '.' && strstr(name, "..") == NULL))
        return true;
    return assay_call_fail(call, ASSAY_FAULT_FIELD, "model", "model: expected the name of a model, "
                           "not a folder");
}

static bool begin_put(assay_call *call, errand *e)
{
    const char *model = NULL;
    uint64_t tokens = 0;
    const json_t *documents = assay_call_list(call, "documents");
    if (documents == NULL || !fit_name(call, e->name) ||
        !assay_call_name(call, "model", &model) || !fit_model(call, model) ||
        !assay_call_count(call, call->json, "passage_tokens", 8, 1000000, &tokens))
        return false;
    e->options = (assay_index_options){.model = model, .passage_tokens = (uint32_t)tokens,
                                       .threads = call->server->options.threads};
    if ((e->records = write_records(call, documents)) < 0)
        return false;
    if (ask_writer(call, true, put_documents))
        return true;
    close(e->records);
    return false;
}

/* ---- Deleting ------------------------------------------------------------------------------- */

static void delete_documents(assay_call *call)
{
    assay_error error;
    size_t deleted;
    const errand *e = call->work;
    assay_store *store = store_of(call, &call->server->desk->write, true);
    if (store == NULL)
        return;
    if (assay_documents_delete(store, e->name, e->ids, e->count, &deleted, &error) != ASSAY_OK)
        assay_call_fail_error(call, &error);
    else if (deleted == 0 && e->id != NULL)
        assay_call_fail(call, ASSAY_FAULT_MODEL, NULL, "collection '%s' has no document '%.200s'",
                        e->name, e->id);
    else
        assay_write_format(&call->out, "{\"deleted\":%zu}", deleted);
}

static void drop_collection(assay_call *call)
{
    assay_error error;
    const errand *e = call->work;
    assay_store *store = store_of(call, &call->server->desk->write, true);
    if (store == NULL)
        return;
    if (assay_collection_drop(store, e->name, &error) != ASSAY_OK) {
        assay_call_fail_error(call, &error);
        return;
    }
    assay_shelf_remove(call->server->shelf, e->name);
    assay_write(&call->out, "{\"deleted\":1}");
}

static bool begin_delete_list(assay_call *call, errand *e)
{
    const json_t *ids = assay_call_list(call, "ids");
    if (ids == NULL)
        return false;
    e->count = json_array_size(ids);
    e->ids = assay_call_keep(call, e->count * sizeof *e->ids);
    if (e->ids == NULL)
        return false;
    for (size_t i = 0; i < e->count; i++) {
        e->ids[i] = json_string_value(json_array_get(ids, i));
        if (e->ids[i] == NULL || strlen(e->ids[i]) > ID_BYTES ||
            strlen(e->ids[i]) != json_string_length(json_array_get(ids, i)))
            return assay_call_fail(call, ASSAY_FAULT_FIELD, "ids", "ids[%zu]: expected a string "
                                   "of at most %d bytes, none of them zero", i, ID_BYTES);
    }
    return ask_writer(call, false, delete_documents);
}

bool assay_collection_delete_begin(assay_call *call)
{
    const char *what;
    errand *e = read_path(call, &what);
    if (e == NULL)
        return false;
    if (what[0] == '\0')
        return ask_writer(call, false, drop_collection);
    if ((e->id = id_in(what)) == NULL)
        return nothing_there(call);
    e->ids = &e->id;
    e->count = 1;
    return ask_writer(call, false, delete_documents);
}

bool assay_collection_post_begin(assay_call *call)
{
    const char *what;
    errand *e = read_path(call, &what);
    if (e == NULL)
        return false;
    if (strcmp(what, "search") == 0)
        return assay_search_in(call, e->name);
    if (strcmp(what, "documents") == 0)
        return begin_put(call, e);
    if (strcmp(what, "documents/delete") == 0)
        return begin_delete_list(call, e);
    return nothing_there(call);
}
