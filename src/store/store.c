/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c: stores of every kind: opening, what may be stored, and the way from each
 * function of store.h to the database's own (backend.h).
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/database.h"
#ifdef ASSAY_HAVE_LIBPQ
#include "store/postgres.h"
#endif
#include "text/context.h"

enum { BUSY_MS = 5000 };

assay_status assay_store_no_collection(const assay_store *store, const char *name,
                                       const char *names, assay_error *error)
{
    if (names[0] == '\0')
        return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                          "there is no collection '%s', nor any other; index something first",
                          name);
    return assay_fail(error, ASSAY_E_NOT_FOUND, store->path,
                      "there is no collection '%s'; there are: %s", name, names);
}

/* ---- Opening ------------------------------------------------------------------ */

static assay_status open_postgres(assay_store *store, const char *url, bool create,
                                  assay_error *error)
{
#ifdef ASSAY_HAVE_LIBPQ
    store->calls = &assay_postgresql;
    return assay_postgres_open(store, url, create, error);
#else
    (void)store, (void)url, (void)create;
    return assay_fail(error, ASSAY_E_UNSUPPORTED, "postgresql",
                      "this assay was built without libpq, which stores in PostgreSQL need");
#endif
}

static assay_status open_store(assay_store *store, const char *home, bool create,
                               assay_error *error)
{
    char place[4096];
    const char *named = home == NULL ? getenv("ASSAY_STORE") : NULL;
    if (named != NULL && named[0] != '\0') {
        home = named;
    } else if (home == NULL) {
        ASSAY_TRY(assay_home(place, sizeof place, error));
        home = place;
    }
    store->given = strdup(home);
    if (store->given == NULL)
        return assay_fail_memory(error, strlen(home));
    if (strncmp(home, "postgresql://", 13) == 0 || strncmp(home, "postgres://", 11) == 0)
        return open_postgres(store, home, create, error);
    store->calls = &assay_sqlite;
    return assay_sqlite_open(store, home, create, error);
}

assay_status assay_store_open(const char *home, const assay_store_options *options,
                              assay_store **out, assay_error *error)
{
    assay_store_options chosen = options != NULL ? *options : (assay_store_options){0};
    if (chosen.read_only && chosen.create)
        return assay_fail(error, ASSAY_E_ARGUMENT, "create",
                          "a data directory cannot be made by opening it for reading only");
    if (chosen.busy_ms > INT32_MAX)
        return assay_fail(error, ASSAY_E_ARGUMENT, "busy_ms", "at most %d milliseconds",
                          INT32_MAX);
    assay_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return assay_fail_memory(error, sizeof *store);
    assay_buffer_init(&store->text, 0);
    store->read_only = chosen.read_only;
    store->busy_ms = chosen.busy_ms > 0 ? chosen.busy_ms : BUSY_MS;
    assay_status status = open_store(store, home, chosen.create, error);
    if (status != ASSAY_OK) {
        assay_store_close(store);
        return status;
    }
    *out = store;
    return ASSAY_OK;
}

assay_status assay_store_open_again(const assay_store *store, assay_store **out,
                                    assay_error *error)
{
    const assay_store_options options = {.read_only = true, .busy_ms = store->busy_ms};
    return assay_store_open(store->given, &options, out, error);
}

void assay_store_close(assay_store *store)
{
    if (store == NULL)
        return;
    if (store->calls != NULL)
        store->calls->close(store);
    assay_buffer_free(&store->text);
    free(store->home);
    free(store->path);
    free(store->given);
    free(store);
}

uint64_t assay_generation_after(uint64_t generation)
{
    uint64_t now = assay_date();
    return now > generation ? now : generation + 1;
}

const char *assay_store_home(const assay_store *store)
{
    return store->home;
}

/* ---- What may be stored: collections ------------------------------------------- */

static bool name_is_good(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof((assay_collection *)0)->name || name[0] == '.')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
           length;
}

static assay_status check_new(const char *name, const assay_collection_config *config,
                              assay_error *error)
{
    if (!name_is_good(name))
        return assay_fail(error, ASSAY_E_ARGUMENT, "collection",
                          "'%s' cannot be a collection's name: 1 to 127 letters, digits, '.', '_' "
                          "and '-', the first not a '.'", name);
    if (config->dimensions > ASSAY_DIMENSIONS_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, name, "%u dimensions; at most %d",
                          config->dimensions, ASSAY_DIMENSIONS_MAX);
    return ASSAY_OK;
}

/* ---- What may be stored: documents --------------------------------------------- */

static bool on_boundary(assay_text text, uint64_t offset)
{
    return offset == text.length || ((unsigned char)text.data[offset] & 0xC0) != 0x80;
}

static bool passage_lies_within(const assay_stored_passage *passage, assay_text text)
{
    return passage->offset <= text.length && passage->length <= text.length - passage->offset &&
           on_boundary(text, passage->offset) &&
           on_boundary(text, passage->offset + passage->length);
}

static assay_status check_vector(const assay_collection *collection, const char *id,
                                 const float *vector, assay_error *error)
{
    if (collection->config.dimensions == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, id,
                          "a vector for collection '%s', which has none (BM25 only)",
                          collection->name);
    for (uint32_t i = 0; i < collection->config.dimensions; i++)
        if (!isfinite(vector[i]))
            return assay_fail(error, ASSAY_E_ARGUMENT, id,
                              "component %u of a vector is not a finite number", i);
    return ASSAY_OK;
}

/* Before anything is written, so that a bad document fails alone. */
static assay_status check_document(const assay_collection *collection,
                                   const assay_stored_document *document, assay_error *error)
{
    if (document->id == NULL || document->id[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, document->source,
                          "a document needs an id that is not empty");
    for (size_t i = 0; i < document->passage_count; i++) {
        const assay_stored_passage *passage = &document->passages[i];
        if (!passage_lies_within(passage, document->text))
            return assay_fail(error, ASSAY_E_ARGUMENT, document->id,
                              "passage %zu (offset %" PRIu64 ", length %" PRIu64 ") does not lie "
                              "in the text of %zu bytes at character boundaries", i,
                              passage->offset, passage->length, document->text.length);
        if (passage->vector != NULL)
            ASSAY_TRY(check_vector(collection, document->id, passage->vector, error));
    }
    return ASSAY_OK;
}

/* ---- The database's own -------------------------------------------------------- */

assay_status assay_collection_open(assay_store *store, const char *name, assay_collection *out,
                                   assay_error *error)
{
    return store->calls->collection_open(store, name, out, error);
}

assay_status assay_collection_create(assay_store *store, const char *name,
                                     const assay_collection_config *config,
                                     assay_collection *out, assay_error *error)
{
    ASSAY_TRY(check_new(name, config, error));
    return store->calls->collection_create(store, name, config, out, error);
}

assay_status assay_collection_describe(assay_store *store, const char *name,
                                       assay_collection_info *out, assay_error *error)
{
    return store->calls->collection_describe(store, name, out, error);
}

assay_status assay_collection_list(assay_store *store, assay_collection_info **out,
                                   size_t *count, assay_error *error)
{
    return store->calls->collection_list(store, out, count, error);
}

assay_status assay_collection_drop(assay_store *store, const char *name, assay_error *error)
{
    return store->calls->collection_drop(store, name, error);
}

assay_status assay_store_begin(assay_store *store, assay_error *error)
{
    return store->calls->begin(store, error);
}

assay_status assay_store_commit(assay_store *store, assay_error *error)
{
    return store->calls->commit(store, error);
}

void assay_store_rollback(assay_store *store)
{
    if (store != NULL)
        store->calls->rollback(store);
}

assay_status assay_store_check_database(assay_store *store, assay_progress_fn progress,
                                        void *user, uint64_t *problems, assay_error *error)
{
    return store->calls->check(store, progress, user, problems, error);
}

assay_status assay_document_digest(assay_store *store, const assay_collection *collection,
                                   const char *id, bool *found, assay_digest *digest,
                                   assay_error *error)
{
    return store->calls->document_digest(store, collection, id, found, digest, error);
}

assay_status assay_document_put(assay_store *store, assay_collection *collection,
                                const assay_stored_document *document, assay_error *error)
{
    ASSAY_TRY(check_document(collection, document, error));
    return store->calls->document_put(store, collection, document, error);
}

assay_status assay_document_delete(assay_store *store, assay_collection *collection,
                                   const char *id, bool *found, assay_error *error)
{
    return store->calls->document_delete(store, collection, id, found, error);
}

assay_status assay_document_text(assay_store *store, const char *collection,
                                 const char *document, assay_text *title, assay_text *text,
                                 assay_error *error)
{
    return store->calls->document_text(store, collection, document, title, text, error);
}

assay_status assay_document_context(assay_store *store, const char *collection,
                                    const char *document, assay_text *out, assay_error *error)
{
    assay_text title, text; /* in one buffer, the title with a NUL behind it */
    assay_buffer context;
    ASSAY_TRY(assay_document_text(store, collection, document, &title, &text, error));
    assay_buffer_init(&context, 0);
    assay_buffer_room(&context, title.length + text.length + 2);
    assay_passage_context(ASSAY_CONTEXT_SENTENCES, title.data, "", text, &context);
    assay_status status = assay_buffer_status(&context, document, error);
    if (status != ASSAY_OK) {
        assay_buffer_free(&context);
        return status;
    }
    *out = (assay_text){context.data, context.length};
    return ASSAY_OK;
}

assay_status assay_document_list(assay_store *store, const char *collection, const char *after,
                                 size_t most, assay_documents *out, assay_error *error)
{
    return store->calls->document_list(store, collection, after, most, out, error);
}

assay_status assay_document_get(assay_store *store, const char *collection, const char *id,
                                assay_documents *out, assay_error *error)
{
    return store->calls->document_get(store, collection, id, out, error);
}

assay_status assay_scan_finish(assay_store *store, const assay_collection *collection,
                               assay_error *error)
{
    return store->calls->scan_finish(store, collection, error);
}

assay_status assay_scan_prune(assay_store *store, assay_collection *collection,
                              const char *path, uint64_t *removed, assay_error *error)
{
    return store->calls->scan_prune(store, collection, path, removed, error);
}

assay_status assay_store_filter(assay_store *store, const assay_collection *collection,
                                const assay_filter *filter, assay_selection *out,
                                assay_error *missing, assay_error *error)
{
    return store->calls->filter(store, collection, filter, out, missing, error);
}

assay_status assay_store_filter_keys(assay_store *store, const assay_collection *collection,
                                     assay_selection *selection, assay_error *error)
{
    return store->calls->filter_keys != NULL
               ? store->calls->filter_keys(store, collection, selection, error)
               : ASSAY_OK;
}

assay_status assay_store_bm25(assay_store *store, const assay_collection *collection,
                              assay_text question, double k1, double b,
                              const assay_selection *allowed, size_t k, assay_candidate *out,
                              size_t *count, assay_error *error)
{
    if (!(k1 >= 0 && k1 <= 1000))
        return assay_fail(error, ASSAY_E_ARGUMENT, "k1", "%g is not from 0 to 1000", k1);
    if (!(b >= 0 && b <= 1))
        return assay_fail(error, ASSAY_E_ARGUMENT, "b", "%g is not from 0 to 1", b);
    return store->calls->bm25(store, collection, question, k1, b, allowed, k, out, count,
                              error);
}

assay_status assay_passage_get(assay_store *store, uint64_t passage, assay_arena *arena,
                               assay_passage_view *out, assay_error *error)
{
    return store->calls->passage_get(store, passage, arena, out, error);
}

assay_status assay_passage_keys(assay_store *store, const assay_collection *collection,
                                uint64_t after, uint64_t *passages, size_t most, size_t *count,
                                assay_error *error)
{
    return store->calls->passage_keys(store, collection, after, passages, most, count, error);
}

assay_status assay_tokens_get(assay_store *store, uint64_t passage,
                              const assay_digest *tokenizer, assay_arena *arena,
                              assay_token_ids *out, assay_error *error)
{
    return store->calls->tokens_get(store, passage, tokenizer, arena, out, error);
}

assay_status assay_tokens_put(assay_store *store, uint64_t passage,
                              const assay_digest *tokenizer, const int32_t *ids, size_t count,
                              assay_error *error)
{
    return store->calls->tokens_put(store, passage, tokenizer, ids, count, error);
}

assay_status assay_tokens_missing(assay_store *store, const assay_collection *collection,
                                  const assay_digest *tokenizer, uint64_t after,
                                  uint64_t *passages, size_t most, size_t *count,
                                  assay_error *error)
{
    return store->calls->tokens_missing(store, collection, tokenizer, after, passages, most,
                                        count, error);
}

assay_status assay_late_get(assay_store *store, const assay_collection *collection,
                            assay_late_model *out, assay_error *error)
{
    return store->calls->late_get(store, collection, out, error);
}

assay_status assay_late_set(assay_store *store, const assay_collection *collection,
                            assay_late_model *model, const void *book, size_t length,
                            assay_error *error)
{
    model->book = book != NULL ? (uint32_t)assay_hash64(book, length) : 0;
    return store->calls->late_set(store, collection, model, book, length, error);
}

assay_status assay_late_book(assay_store *store, const assay_collection *collection,
                             assay_buffer *out, assay_error *error)
{
    return store->calls->late_book(store, collection, out, error);
}

assay_status assay_token_vectors_expect(assay_store *store, const assay_collection *collection,
                                        const int64_t *passages, size_t count,
                                        assay_error *error)
{
    return store->calls->token_vectors_expect != NULL
               ? store->calls->token_vectors_expect(store, collection, passages, count, error)
               : ASSAY_OK;
}

assay_status assay_token_vectors_read(assay_store *store, uint64_t passage,
                                      void (*fn)(void *user, const assay_token_rows *rows),
                                      void *user, assay_error *error)
{
    return store->calls->token_vectors_read(store, passage, fn, user, error);
}

assay_status assay_token_vectors_put(assay_store *store, uint64_t passage,
                                     const assay_token_rows *rows, assay_error *error)
{
    return store->calls->token_vectors_put(store, passage, rows, error);
}

assay_status assay_token_vectors_missing(assay_store *store,
                                         const assay_collection *collection, uint64_t after,
                                         uint64_t *passages, size_t most, size_t *count,
                                         assay_error *error)
{
    return store->calls->token_vectors_missing(store, collection, after, passages, most, count,
                                               error);
}

assay_status assay_store_vectors(assay_store *store, const assay_collection *collection,
                                 assay_vector_fn fn, void *user, assay_error *error)
{
    return store->calls->vectors(store, collection, fn, user, error);
}

assay_status assay_store_vector_count(assay_store *store, const assay_collection *collection,
                                      uint64_t *count, assay_error *error)
{
    return store->calls->vector_count(store, collection, count, error);
}

assay_status assay_passages_expect(assay_store *store, const assay_collection *collection,
                                   const int64_t *passages, size_t count, assay_error *error)
{
    if (store->calls->passages_expect == NULL)
        return ASSAY_OK;
    return store->calls->passages_expect(store, collection, passages, count, error);
}

bool assay_store_finds_vectors(const assay_store *store)
{
    return store->calls->nearest != NULL;
}

assay_status assay_store_nearest(assay_store *store, const assay_collection *collection,
                                 const float *vector, const assay_store_find *options,
                                 assay_candidate *out, size_t *count, assay_vector_index *kind,
                                 assay_error *error)
{
    return store->calls->nearest(store, collection, vector, options, out, count, kind, error);
}

assay_status assay_store_vector_index_update(assay_store *store,
                                             const assay_collection *collection,
                                             const assay_vector_index *choice,
                                             assay_vector_index *kind, bool *by_size,
                                             assay_error *error)
{
    return store->calls->vector_index_update(store, collection, choice, kind, by_size, error);
}

assay_status assay_store_vector_index_describe(assay_store *store,
                                               const assay_collection *collection,
                                               assay_vector_index_info *out,
                                               assay_error *error)
{
    return store->calls->vector_index_describe(store, collection, out, error);
}

assay_status assay_store_vector_note_get(assay_store *store, const assay_collection *collection,
                                         assay_buffer *out, assay_error *error)
{
    return store->calls->vector_note_get(store, collection, out, error);
}

assay_status assay_store_vector_note_set(assay_store *store, const assay_collection *collection,
                                         const char *note, assay_error *error)
{
    return store->calls->vector_note_set(store, collection, note, error);
}

/* ---- Of those ------------------------------------------------------------------ */

assay_status assay_documents_delete(assay_store *store, const char *collection,
                                    const char *const *ids, size_t count, size_t *deleted,
                                    assay_error *error)
{
    assay_collection found;
    size_t gone = 0;
    assay_status status = ASSAY_OK;
    ASSAY_TRY(assay_store_begin(store, error));
    status = assay_collection_open(store, collection, &found, error);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        bool there;
        status = assay_document_delete(store, &found, ids[i], &there, error);
        gone += status == ASSAY_OK && there;
    }
    if (status == ASSAY_OK)
        status = assay_store_commit(store, error);
    if (status != ASSAY_OK) {
        assay_store_rollback(store);
        return status;
    }
    *deleted = gone;
    return ASSAY_OK;
}
