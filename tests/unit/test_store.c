/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c: collections, documents, passages and vectors; what other
 * processes see, what a killed one leaves, and what damaged, newer, foreign,
 * locked and full databases say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store.h"
#include "assert_ok.h"

/* ---- A data directory of its own for each test -------------------------------- */

typedef struct place {
    char home[64];
    char file[96];
} place;

static place *place_of(void **state)
{
    return *state;
}

static int make_place(void **state)
{
    place *p = calloc(1, sizeof *p);
    snprintf(p->home, sizeof p->home, "/tmp/assay-store-XXXXXX");
    if (p == NULL || mkdtemp(p->home) == NULL)
        return -1;
    snprintf(p->file, sizeof p->file, "%s/assay.sqlite", p->home);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    place *p = *state;
    const char *names[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", p->file, names[i]);
        unlink(path);
    }
    int failed = rmdir(p->home);
    free(p);
    return failed;
}

static void assert_fails(assay_status got, assay_status expected, const char *where,
                         const char *message)
{
    if (got != expected || error.code != expected || strstr(error.where, where) == NULL ||
        strstr(error.message, message) == NULL)
        fail_msg("expected %s at '%s' with '%s', got %s: %s: %s", assay_status_name(expected),
                 where, message, assay_status_name(got), error.where, error.message);
}

static assay_store *open_for_writing(const char *home)
{
    assay_store *store;
    assert_ok(assay_store_open(home, &(assay_store_options){.create = true, .busy_ms = 10000},
                               &store, &error));
    return store;
}

static assay_store *open_for_reading(const char *home)
{
    assay_store *store;
    assert_ok(assay_store_open(home, &(assay_store_options){.read_only = true}, &store, &error));
    return store;
}

static assay_collection make_collection(assay_store *store, const char *name, uint32_t dimensions)
{
    assay_collection collection;
    assay_collection_config config = {.dimensions = dimensions, .passage_tokens = 160};
    if (dimensions > 0) {
        snprintf(config.model, sizeof config.model, "dense");
        snprintf(config.model_digest, sizeof config.model_digest, "0123456789abcdef");
    }
    assert_ok(assay_collection_create(store, name, &config, &collection, &error));
    return collection;
}

/* A document of one passage, which is all of it. */
static assay_status put(assay_store *store, assay_collection *collection, const char *id,
                        const char *title, const char *source, const char *text)
{
    assay_stored_passage passage = {.length = strlen(text), .heading = ""};
    assay_stored_document document = {.id = id, .title = title, .source = source,
                                      .text = {text, strlen(text)}, .passages = &passage,
                                      .passage_count = 1};
    return assay_document_put(store, collection, &document, &error);
}

static size_t find(assay_store *store, const assay_collection *collection, const char *question,
                   assay_candidate best[10])
{
    size_t count = 99;
    assert_ok(assay_store_bm25(store, collection, (assay_text){question, strlen(question)}, 0.9,
                               0.4, NULL, 10, best, &count, &error));
    return count;
}

static uint64_t problems_of(assay_store *store)
{
    uint64_t problems = 99;
    assay_status status = assay_store_check_database(store, NULL, NULL, &problems, &error);
    assert_true(status == (problems > 0 ? ASSAY_E_CORRUPT : ASSAY_OK));
    return problems;
}

typedef struct told_problems {
    uint64_t count;
    bool named, stop;
    const char *expected; /* words of a problem */
    bool found;
} told_problems;

static bool take_problem(const assay_progress *progress, void *user)
{
    told_problems *told = user;
    if (progress->problem != NULL) {
        told->count++;
        told->found |= told->expected != NULL &&
                       strstr(progress->problem->message, told->expected) != NULL;
        told->named |= strstr(progress->problem->where, "assay.sqlite") != NULL;
    }
    return !told->stop;
}

/* Another program's hands on the file. */
static void sql(const char *file, const char *text)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

/* ---- Collections ---------------------------------------------------------------- */

static void collections_are_made_listed_and_dropped(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assert_string_equal(assay_store_home(store), place_of(state)->home);
    assay_collection collection, again;
    assert_fails(assay_collection_open(store, "x", &collection, &error), ASSAY_E_NOT_FOUND,
                 "assay.sqlite", "nor any other");
    make_collection(store, "b", 3);
    collection = make_collection(store, "a", 0);
    assert_string_equal(collection.name, "a");
    assert_fails(assay_collection_open(store, "x", &collection, &error), ASSAY_E_NOT_FOUND,
                 "assay.sqlite", "no collection 'x'; there are: a, b");
    assert_ok(assay_collection_open(store, "b", &collection, &error));
    assert_int_equal(collection.config.dimensions, 3);
    assert_string_equal(collection.config.model_digest, "0123456789abcdef");

    assay_collection_info *list, info;
    size_t count;
    assert_ok(assay_collection_list(store, &list, &count, &error));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name, "a");
    assert_string_equal(list[1].name, "b");
    assert_string_equal(list[1].model, "dense");
    assert_int_equal(list[1].passage_tokens, 160);
    assert_int_equal(strlen(list[1].created), 20);
    assay_free(list);
    assert_ok(assay_collection_describe(store, "b", &info, &error));
    assert_int_equal(info.documents, 0);

    assert_ok(assay_collection_drop(store, "b", &error));
    assert_fails(assay_collection_drop(store, "b", &error), ASSAY_E_NOT_FOUND, "assay.sqlite",
                 "there are: a");
    again = make_collection(store, "b", 0);
    assert_true(again.key > collection.key);
    assert_fails(assay_collection_describe(store, "z", &info, &error), ASSAY_E_NOT_FOUND,
                 "assay.sqlite", "'z'");
    assay_store_close(store);
}

static void collection_names_are_checked(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection;
    assay_collection_config config = {0};
    char longest[128];
    memset(longest, 'n', sizeof longest);
    const char *bad[] = {"", ".hidden", "a/b", "a b", "x'; DROP TABLE documents; --", "\xc3\xa9",
                         longest};
    longest[127] = '\0';
    assert_ok(assay_collection_create(store, longest, &config, &collection, &error));
    char longer[129];
    memset(longer, 'n', 128);
    longer[128] = '\0';
    bad[6] = longer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(assay_collection_create(store, bad[i], &config, &collection, &error),
                     ASSAY_E_ARGUMENT, "collection", "1 to 127 letters");
    assert_ok(assay_collection_create(store, "A-1_b.c", &config, &collection, &error));
    assert_fails(assay_collection_create(store, "A-1_b.c", &config, &collection, &error),
                 ASSAY_E_ARGUMENT, "assay.sqlite", "a collection 'A-1_b.c' already");
    config.dimensions = 65537;
    assert_fails(assay_collection_create(store, "wide", &config, &collection, &error),
                 ASSAY_E_LIMIT, "wide", "at most 65536");
    assay_store_close(store);
}

/* ---- Documents ------------------------------------------------------------------- */

static void a_document_is_stored_with_all_it_has(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 2);
    const char *text = "Holidays may be moved. Caf\xc3\xa9 visits may not.";
    float vectors[2][2] = {{1, 0}, {0.6f, 0.8f}};
    assay_stored_passage passages[] = {
        {.offset = 0, .length = 22, .heading = "Rules", .tokens = 5, .vector = vectors[0]},
        {.offset = 23, .length = 21, .heading = "Rules > Breaks", .tokens = 6, .truncated = true,
         .vector = vectors[1]},
    };
    assay_stored_document document = {.id = "d1", .title = "Handbook", .source = "h/a.md",
                                      .metadata = "{\"year\":2020}",
                                      .text = {text, strlen(text)}, .digest = {.bytes = {7, 8}},
                                      .passages = passages, .passage_count = 2};
    bool found = true;
    assay_digest digest;
    assert_ok(assay_document_digest(store, &collection, "d1", &found, &digest, &error));
    assert_false(found);
    uint64_t before = collection.generation;
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_document_put(store, &collection, &document, &error));
    assert_ok(assay_store_commit(store, &error));
    assert_true(collection.generation > before && before > 1000000); /* times: store.h */
    assert_int_equal(assay_generation_after(UINT64_MAX / 4), UINT64_MAX / 4 + 1);
    assert_ok(assay_document_digest(store, &collection, "d1", &found, &digest, &error));
    assert_true(found);
    assert_memory_equal(digest.bytes, document.digest.bytes, 16);

    assay_candidate best[10];
    assert_int_equal(find(store, &collection, "cafe", best), 1);
    assay_arena *arena = assay_arena_new(0);
    assay_passage_view view;
    assert_ok(assay_passage_get(store, best[0].passage, arena, &view, &error));
    assert_string_equal(view.id, "d1");
    assert_string_equal(view.title, "Handbook");
    assert_string_equal(view.source, "h/a.md");
    assert_string_equal(view.heading, "Rules > Breaks");
    assert_int_equal(view.offset, 23);
    assert_int_equal(view.text.length, 21);
    assert_memory_equal(view.text.data, text + 23, 21);
    assert_int_equal(find(store, &collection, "handbook", best), 2);
    assert_int_equal(find(store, &collection, "breaks", best), 1);
    assert_fails(assay_passage_get(store, 999, arena, &view, &error), ASSAY_E_NOT_FOUND,
                 "assay.sqlite", "passage 999 is gone");
    assay_arena_free(arena);

    assay_text title, whole;
    assert_ok(assay_document_text(store, "c", "d1", &title, &whole, &error));
    assert_int_equal(title.length, 8);
    assert_memory_equal(title.data, "Handbook", 8);
    assert_int_equal(whole.length, strlen(text));
    assert_memory_equal(whole.data, text, whole.length);
    assert_fails(assay_document_text(store, "c", "d2", &title, &whole, &error),
                 ASSAY_E_NOT_FOUND, "assay.sqlite", "'c' has no document 'd2'");

    assay_collection_info info;
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.documents, 1);
    assert_int_equal(info.passages, 2);
    assert_int_equal(info.vectors, 2);
    assert_int_equal(info.truncated, 1);
    assert_int_equal(info.text_bytes, strlen(text));
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);
}

typedef struct seen_vectors {
    size_t count, stop_at;
    uint64_t passages[10];
    float firsts[10];
} seen_vectors;

static bool see_vector(uint64_t passage, const float *vector, void *user)
{
    seen_vectors *seen = user;
    seen->passages[seen->count] = passage;
    seen->firsts[seen->count++] = vector[0];
    return seen->count != seen->stop_at;
}

static void put_vectors(assay_store *store, assay_collection *collection, const char *id,
                        float first, size_t count)
{
    float vector[3] = {first, 0, 0};
    assay_stored_passage passages[5];
    for (size_t i = 0; i < count; i++)
        passages[i] = (assay_stored_passage){.length = 4, .vector = i > 0 ? vector : NULL};
    assay_stored_document document = {.id = id, .text = {"word", 4}, .passages = passages,
                                      .passage_count = count};
    assert_ok(assay_document_put(store, collection, &document, &error));
}

static void vectors_come_in_passage_order(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 3);
    assay_collection other = make_collection(store, "other", 3);
    assert_ok(assay_store_begin(store, &error));
    put_vectors(store, &collection, "a", 1, 3);
    put_vectors(store, &other, "a", 9, 2);
    put_vectors(store, &collection, "b", 2, 2);
    put_vectors(store, &collection, "a", 3, 2); /* replaces: comes last now */
    assert_ok(assay_store_commit(store, &error));
    seen_vectors seen = {0};
    assert_ok(assay_store_vectors(store, &collection, see_vector, &seen, &error));
    assert_int_equal(seen.count, 2);
    assert_true(seen.firsts[0] == 2 && seen.firsts[1] == 3);
    assert_true(seen.passages[0] < seen.passages[1]);
    uint64_t count;
    assert_ok(assay_store_vector_count(store, &collection, &count, &error));
    assert_int_equal(count, 2);
    seen = (seen_vectors){.stop_at = 1};
    assert_ok(assay_store_vectors(store, &collection, see_vector, &seen, &error));
    assert_int_equal(seen.count, 1);

    sql(place_of(state)->file, "UPDATE vectors SET vector = x'00000000' WHERE passage ="
                               " (SELECT max(passage) FROM vectors)");
    seen = (seen_vectors){0};
    assert_fails(assay_store_vectors(store, &collection, see_vector, &seen, &error),
                 ASSAY_E_CORRUPT, "assay.sqlite", "a vector of 4 bytes, expected 12");
    assay_store_close(store);
}

static uint64_t passage_key; /* of the next passage of a new store */

/* Stores a document of one passage with these tokens; returns the passage. */
static uint64_t put_tokens(assay_store *store, assay_collection *collection, const char *id,
                           const assay_digest *tokenizer, const int32_t *ids, size_t count)
{
    assay_stored_passage passage = {.length = 4, .heading = "", .ids = ids, .id_count = count};
    assay_stored_document document = {.id = id, .title = "", .source = "", .text = {"word", 4},
                                      .passages = &passage, .passage_count = 1,
                                      .tokenizer = tokenizer};
    assert_ok(assay_document_put(store, collection, &document, &error));
    return passage_key++;
}

static const assay_digest ours = {{1}}, theirs = {{2}};

static void tokens_belong_to_their_tokenizer(void **state)
{
    static const int32_t ids[] = {30000, 1, 2};
    const char *file = place_of(state)->file;
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    assay_arena *arena = assay_arena_new(0);
    assay_token_ids found;
    uint64_t missing[4];
    size_t count;
    passage_key = 1;
    assert_ok(assay_store_begin(store, &error));
    uint64_t first = put_tokens(store, &collection, "a", &ours, ids, 3);
    uint64_t second = put_tokens(store, &collection, "b", &ours, ids, 0);
    uint64_t third = put_tokens(store, &collection, "c", NULL, NULL, 0);
    assert_ok(assay_store_commit(store, &error));
    assert_ok(assay_tokens_get(store, first, &ours, arena, &found, &error));
    assert_int_equal(found.count, 3);
    assert_memory_equal(found.ids, ids, sizeof ids);
    assert_ok(assay_tokens_get(store, second, &ours, arena, &found, &error));
    assert_true(found.ids != NULL && found.count == 0); /* none, and that is known */
    assert_ok(assay_tokens_get(store, third, &ours, arena, &found, &error));
    assert_null(found.ids);
    assert_ok(assay_tokens_get(store, first, &theirs, arena, &found, &error));
    assert_null(found.ids);
    assert_ok(assay_tokens_missing(store, &collection, &ours, 0, missing, 4, &count, &error));
    assert_true(count == 1 && missing[0] == third);
    assert_ok(assay_tokens_missing(store, &collection, &theirs, first, missing, 4, &count, &error));
    assert_true(count == 2 && missing[0] == second && missing[1] == third);
    assert_ok(assay_tokens_missing(store, &collection, &theirs, 0, missing, 1, &count, &error));
    assert_true(count == 1 && missing[0] == first);

    assert_fails(assay_tokens_put(store, third, &ours, ids, 1, &error), ASSAY_E_ARGUMENT,
                 "assay.sqlite", "needs a transaction");
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_tokens_put(store, third, &ours, ids, 1, &error));
    assert_ok(assay_tokens_put(store, first, &theirs, ids, 2, &error)); /* in place of ours */
    assert_ok(assay_store_commit(store, &error));
    assert_ok(assay_tokens_get(store, third, &ours, arena, &found, &error));
    assert_int_equal(found.count, 1);
    assert_ok(assay_tokens_get(store, first, &theirs, arena, &found, &error));
    assert_int_equal(found.count, 2);
    assert_ok(assay_tokens_get(store, first, &ours, arena, &found, &error));
    assert_null(found.ids);
    assay_collection_info info;
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.tokenized, 3);

    /* Damaged: as if there were none; the check tells. */
    assert_int_equal(problems_of(store), 0);
    sql(file, "UPDATE tokens SET ids = substr(ids, 1, length(ids) - 1) WHERE passage = 1");
    assert_ok(assay_tokens_get(store, first, &theirs, arena, &found, &error));
    assert_null(found.ids);
    told_problems told = {.expected = "passage 1 has damaged token ids"};
    uint64_t problems;
    assert_int_equal(assay_store_check_database(store, take_problem, &told, &problems, &error),
                     ASSAY_E_CORRUPT);
    assert_true(told.found && problems == 1);
    sql(file, "UPDATE tokens SET ids = x'' WHERE passage = 2");
    assert_ok(assay_tokens_get(store, second, &ours, arena, &found, &error));
    assert_null(found.ids);

    /* With its document they go. */
    bool there;
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_document_delete(store, &collection, "a", &there, &error));
    assert_ok(assay_document_delete(store, &collection, "b", &there, &error));
    assert_ok(assay_store_commit(store, &error));
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.tokenized, 1);
    assert_int_equal(problems_of(store), 0);
    assay_arena_free(arena);
    assay_store_close(store);
}

/* As the first release wrote it: read as it is, brought up to date when written. */
static void an_older_schema_is_read_and_updated(void **state)
{
    static const int32_t ids[] = {1, 2, 3};
    const char *home = place_of(state)->home, *file = place_of(state)->file;
    assay_store *store = open_for_writing(home);
    assay_collection collection = make_collection(store, "c", 0);
    assert_ok(assay_store_begin(store, &error));
    assert_ok(put(store, &collection, "a", "", "s", "word"));
    assert_ok(assay_store_commit(store, &error));
    assay_store_close(store);
    sql(file, "DROP TABLE token_vectors; DROP TABLE late_books; DROP TABLE late_models; DROP TABLE attributes; DROP TABLE fields; DROP TABLE tokens; DROP TABLE tokenizers;"
              " PRAGMA user_version = 1");

    assay_arena *arena = assay_arena_new(0);
    assay_token_ids found;
    assay_collection_info info;
    store = open_for_reading(home);
    assert_ok(assay_tokens_get(store, 1, &ours, arena, &found, &error));
    assert_null(found.ids);
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_true(info.passages == 1 && info.tokenized == 0);
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);

    store = open_for_writing(home);
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_tokens_put(store, 1, &ours, ids, 3, &error));
    assert_ok(assay_store_commit(store, &error));
    assert_ok(assay_tokens_get(store, 1, &ours, arena, &found, &error));
    assert_int_equal(found.count, 3);
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);
    assay_arena_free(arena);
}

static void replacing_and_deleting_take_everything(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    assay_candidate best[10];
    assert_ok(assay_store_begin(store, &error));
    assert_ok(put(store, &collection, "a", "Zebra", "s", "horses and donkeys"));
    assert_ok(put(store, &collection, "b", "", "s", "donkeys alone"));
    assert_ok(put(store, &collection, "a", "Lion", "s", "cats"));
    assert_ok(assay_store_commit(store, &error));
    assert_int_equal(find(store, &collection, "zebra", best), 0);
    assert_int_equal(find(store, &collection, "horse", best), 0);
    assert_int_equal(find(store, &collection, "donkey", best), 1);
    assert_int_equal(find(store, &collection, "lions", best), 1);
    assert_int_equal(problems_of(store), 0);

    bool found;
    uint64_t before = collection.generation;
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_document_delete(store, &collection, "none", &found, &error));
    assert_false(found);
    assert_int_equal(collection.generation, before);
    assert_ok(assay_document_delete(store, &collection, "a", &found, &error));
    assert_true(found);
    assert_true(collection.generation > before);
    assert_ok(assay_store_commit(store, &error));
    assert_int_equal(find(store, &collection, "lion cats", best), 0);
    assay_collection_info info;
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.documents, 1);
    assert_int_equal(info.passages, 1);
    assert_int_equal(problems_of(store), 0);

    assert_ok(assay_store_begin(store, &error));
    assert_ok(put(store, &collection, "c", "", "s", "rolled back"));
    assay_store_rollback(store);
    assert_int_equal(find(store, &collection, "rolled", best), 0);
    assay_store_close(store);
}

static void writing_needs_a_transaction(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    bool found;
    assert_fails(put(store, &collection, "a", "", "", "x"), ASSAY_E_ARGUMENT, "assay.sqlite",
                 "assay_store_begin first");
    assert_fails(assay_document_delete(store, &collection, "a", &found, &error),
                 ASSAY_E_ARGUMENT, "assay.sqlite", "assay_store_begin first");
    assert_fails(assay_store_commit(store, &error), ASSAY_E_ARGUMENT, "assay.sqlite",
                 "assay_store_begin first");
    assay_store_rollback(store);
    assert_ok(assay_store_begin(store, &error));
    assert_fails(assay_store_begin(store, &error), ASSAY_E_ARGUMENT, "assay.sqlite",
                 "open already");
    assay_store_rollback(store);
    assay_store_close(store);

    store = open_for_reading(place_of(state)->home);
    assert_fails(assay_store_begin(store, &error), ASSAY_E_ARGUMENT, "assay.sqlite",
                 "for reading only");
    assert_fails(assay_collection_drop(store, "c", &error), ASSAY_E_ARGUMENT, "assay.sqlite",
                 "for reading only");
    assay_store_close(store);
}

static void bad_documents_fail_alone(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection plain = make_collection(store, "plain", 0);
    assay_collection dense = make_collection(store, "dense", 2);
    float vector[2] = {1, NAN};
    struct {
        assay_stored_passage passage;
        const char *message;
    } cases[] = {
        {{.offset = 5, .length = 0}, "passage 0 (offset 5, length 0)"},
        {{.offset = 0, .length = 5}, "text of 4 bytes"},
        {{.offset = UINT64_MAX, .length = 2}, "does not lie"},
        {{.offset = 2, .length = 2}, "character boundaries"},
        {{.offset = 0, .length = 2}, "character boundaries"},
        {{.offset = 0, .length = 4, .vector = vector}, "which has none (BM25 only)"},
    };
    assay_stored_document document = {.id = "bad", .text = {"a\xc3\xa9z", 4},
                                      .passage_count = 1};
    assert_ok(assay_store_begin(store, &error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        document.passages = &cases[i].passage;
        assert_fails(assay_document_put(store, &plain, &document, &error), ASSAY_E_ARGUMENT,
                     "bad", cases[i].message);
    }
    assert_fails(assay_document_put(store, &dense, &document, &error), ASSAY_E_ARGUMENT, "bad",
                 "component 1 of a vector is not a finite number");
    document = (assay_stored_document){.id = "", .source = "file.txt"};
    assert_fails(assay_document_put(store, &plain, &document, &error), ASSAY_E_ARGUMENT,
                 "file.txt", "an id that is not empty");
    assert_ok(put(store, &plain, "good", NULL, NULL, ""));
    assert_ok(put(store, &plain, "good", NULL, NULL, "")); /* takes an empty text out */
    document = (assay_stored_document){.id = "without passages"};
    assert_ok(assay_document_put(store, &plain, &document, &error));
    assert_ok(assay_store_commit(store, &error));
    assay_collection_info info;
    assert_ok(assay_collection_describe(store, "plain", &info, &error));
    assert_int_equal(info.documents, 2);
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);
}

static void bytes_that_are_no_text_are_kept(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    static const char bytes[] = "one\0two \xff\xfe\xc3 \xf0\x9f\x98\x80 three";
    assay_stored_passage passage = {.length = sizeof bytes - 1};
    assay_stored_document document = {.id = "\xff'\"", .text = {bytes, sizeof bytes - 1},
                                      .passages = &passage, .passage_count = 1};
    assay_text title, text;
    for (int i = 0; i < 2; i++) {
        assert_ok(assay_store_begin(store, &error));
        assert_ok(assay_document_put(store, &collection, &document, &error));
        assert_ok(assay_store_commit(store, &error));
    }
    assert_ok(assay_document_text(store, "c", "\xff'\"", &title, &text, &error));
    assert_int_equal(text.length, sizeof bytes - 1);
    assert_memory_equal(text.data, bytes, sizeof bytes - 1);
    assay_candidate best[10];
    assert_int_equal(find(store, &collection, "three", best), 1);
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);
}

static void pruning_takes_what_was_not_marked(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    assay_collection other = make_collection(store, "other", 0);
    const char *sources[] = {"dir", "dir/a", "dir/b", "dir/sub/c", "dir.txt", "dirty/d", "else"};
    uint64_t removed;
    bool again;
    assert_ok(assay_store_begin(store, &error));
    for (size_t i = 0; i < 7; i++)
        assert_ok(put(store, &collection, sources[i], "", sources[i], "word"));
    assert_ok(put(store, &other, "dir/a", "", "dir/a", "word"));
    assert_ok(assay_scan_begin(store, &error));
    assert_ok(assay_scan_mark(store, &collection, "dir/b", "dir/b", &again, &error));
    assert_false(again);
    assert_ok(assay_scan_mark(store, &collection, "dir/b", "dir/b", &again, &error));
    assert_true(again);
    assert_ok(put(store, &collection, "dir/b", "", "dir/b", "replaced after its mark"));
    assert_ok(assay_scan_prune(store, &collection, "dir/", &removed, &error));
    assert_ok(assay_store_commit(store, &error));
    assert_int_equal(removed, 3);
    bool found;
    assay_digest digest;
    const bool kept[] = {false, false, true, false, true, true, true};
    for (size_t i = 0; i < 7; i++) {
        assert_ok(assay_document_digest(store, &collection, sources[i], &found, &digest, &error));
        assert_int_equal(found, kept[i]);
    }
    assert_ok(assay_document_digest(store, &other, "dir/a", &found, &digest, &error));
    assert_true(found);
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_scan_begin(store, &error));
    assert_ok(assay_scan_mark(store, &collection, "dir/b", "dir/b", &again, &error));
    assert_false(again);
    assert_ok(assay_scan_prune(store, &collection, "nowhere", &removed, &error));
    assert_int_equal(removed, 0);

    /* A document seen elsewhere has moved there. */
    assert_ok(assay_scan_mark(store, &collection, "else", "/far/else", &again, &error));
    assert_ok(assay_scan_finish(store, &collection, &error));
    assert_ok(assay_scan_begin(store, &error));
    assert_ok(assay_scan_prune(store, &collection, "/far", &removed, &error));
    assert_int_equal(removed, 1);
    assert_ok(put(store, &collection, "stdin", "", "-", "word"));
    assert_ok(put(store, &collection, "outside", "", "../x", "word"));
    assert_ok(put(store, &collection, "absolute", "", "/x", "word"));
    assert_ok(assay_scan_prune(store, &collection, ".", &removed, &error));
    assert_int_equal(removed, 3);
    assert_ok(assay_store_commit(store, &error));
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);
}

/* ---- Other processes --------------------------------------------------------------- */

/* SQLite's handles must not cross a fork: each process opens its own. A child
 * never returns; its exit status says what went wrong. */
static pid_t start(int (*work)(const char *home, int pipe_end), const char *home, int pipe_end)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(work(home, pipe_end));
    return child;
}

static int end_of(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

enum { BATCHES = 12, BATCH = 10 };

static int write_batches(const char *home, int pipe_end)
{
    assay_store *store;
    assay_collection collection;
    (void)pipe_end;
    if (assay_store_open(home, NULL, &store, &error) != ASSAY_OK ||
        assay_collection_open(store, "c", &collection, &error) != ASSAY_OK)
        return 1;
    for (int batch = 0; batch < BATCHES; batch++) {
        if (assay_store_begin(store, &error) != ASSAY_OK)
            return 2;
        for (int i = 0; i < BATCH; i++) {
            char id[32];
            snprintf(id, sizeof id, "%d-%d", batch, i);
            if (put(store, &collection, id, "", "s", "a word") != ASSAY_OK)
                return 3;
        }
        if (assay_store_commit(store, &error) != ASSAY_OK)
            return 4;
        usleep(1000);
    }
    assay_store_close(store);
    return 0;
}

/* Looks until all batches are there: it must see whole ones only. */
static int watch_batches(const char *home, int pipe_end)
{
    assay_store *store;
    assay_collection collection;
    (void)pipe_end;
    if (assay_store_open(home, &(assay_store_options){.read_only = true}, &store, &error) !=
        ASSAY_OK)
        return 1;
    for (int tries = 0; tries < 20000; tries++) {
        assay_collection_info info;
        static assay_candidate best[BATCHES * BATCH + 10];
        size_t count;
        if (assay_collection_describe(store, "c", &info, &error) != ASSAY_OK ||
            assay_collection_open(store, "c", &collection, &error) != ASSAY_OK ||
            assay_store_bm25(store, &collection, (assay_text){"words", 5}, 0.9, 0.4, NULL,
                             BATCHES * BATCH + 10, best, &count, &error) != ASSAY_OK)
            return 2;
        if (info.documents % BATCH != 0 || info.passages != info.documents || count % BATCH != 0 ||
            count < info.documents)
            return 3;
        if (info.documents == BATCHES * BATCH)
            return 0;
        usleep(500);
    }
    return 4;
}

static void readers_see_whole_commits_while_one_writes(void **state)
{
    const char *home = place_of(state)->home;
    assay_store *store = open_for_writing(home);
    make_collection(store, "c", 0);
    assay_store_close(store);
    pid_t readers[] = {start(watch_batches, home, -1), start(watch_batches, home, -1)};
    pid_t writer = start(write_batches, home, -1);
    assert_int_equal(end_of(writer), 0);
    assert_int_equal(end_of(readers[0]), 0);
    assert_int_equal(end_of(readers[1]), 0);
}

static int create_and_add(const char *home, int number)
{
    assay_store *store;
    assay_collection collection;
    assay_collection_config config = {0};
    char name[16];
    snprintf(name, sizeof name, "c%d", number);
    if (assay_store_open(home, &(assay_store_options){.create = true, .busy_ms = 20000}, &store,
                         &error) != ASSAY_OK ||
        assay_collection_create(store, name, &config, &collection, &error) != ASSAY_OK) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        return 1;
    }
    assay_store_close(store);
    return 0;
}

static void several_processes_may_create_at_once(void **state)
{
    const char *home = place_of(state)->home;
    pid_t children[6];
    for (int i = 0; i < 6; i++)
        children[i] = start(create_and_add, home, i);
    for (int i = 0; i < 6; i++)
        assert_int_equal(end_of(children[i]), 0);
    assay_store *store = open_for_reading(home);
    assay_collection_info *list;
    size_t count;
    assert_ok(assay_collection_list(store, &list, &count, &error));
    assert_int_equal(count, 6);
    assay_free(list);
    assay_store_close(store);
}

enum { ROUND = 20 };

/* Replaces all documents round after round and tells each round's number after
 * its commit; until it is killed. */
static int replace_forever(const char *home, int pipe_end)
{
    assay_store *store;
    assay_collection collection;
    assay_text title, text;
    if (assay_store_open(home, NULL, &store, &error) != ASSAY_OK ||
        assay_collection_open(store, "c", &collection, &error) != ASSAY_OK)
        return 1;
    uint32_t round = 0;
    if (assay_document_text(store, "c", "0", &title, &text, &error) == ASSAY_OK)
        round = (uint32_t)strtoul(title.data, NULL, 10);
    for (;;) {
        char number[16], id[16];
        snprintf(number, sizeof number, "%u", ++round);
        if (assay_store_begin(store, &error) != ASSAY_OK)
            return 2;
        for (int i = 0; i < ROUND; i++) {
            snprintf(id, sizeof id, "%d", i);
            if (put(store, &collection, id, number, "s", "some words to find") != ASSAY_OK)
                return 3;
        }
        if (assay_store_commit(store, &error) != ASSAY_OK)
            return 4;
        if (write(pipe_end, &round, sizeof round) != (ssize_t)sizeof round)
            return 5;
    }
}

/* All documents are of one round, not older than the last one told. */
static void check_rounds(assay_store *store, uint32_t told)
{
    assay_text title, text;
    assay_collection collection;
    assay_candidate best[10];
    if (assay_document_text(store, "c", "0", &title, &text, &error) == ASSAY_E_NOT_FOUND &&
        told == 0)
        return; /* killed before the first commit */
    for (int i = 0; i < ROUND; i++) {
        char id[16], number[16];
        snprintf(id, sizeof id, "%d", i);
        assert_ok(assay_document_text(store, "c", id, &title, &text, &error));
        snprintf(number, sizeof number, "%.*s", (int)title.length, title.data);
        uint32_t round = (uint32_t)strtoul(number, NULL, 10);
        assert_true(round >= told);
        told = i == 0 ? round : told;
        assert_int_equal(round, told);
    }
    assert_ok(assay_collection_open(store, "c", &collection, &error));
    assert_int_equal(find(store, &collection, "words", best), 10);
}

static void a_killed_writer_loses_nothing_acknowledged(void **state)
{
    const char *home = place_of(state)->home;
    assay_store *store = open_for_writing(home);
    make_collection(store, "c", 0);
    assay_store_close(store);
    uint32_t told = 0, round;
    for (int i = 0; i < 12; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = start(replace_forever, home, ends[1]);
        close(ends[1]);
        if (i % 2 == 1 && read(ends[0], &round, sizeof round) == (ssize_t)sizeof round)
            told = round; /* however slow the machine is, something is told */
        usleep(10000 + (useconds_t)(i * 7919 % 50) * 1000);
        kill(child, SIGKILL);
        assert_int_equal(end_of(child), -SIGKILL);
        while (read(ends[0], &round, sizeof round) == (ssize_t)sizeof round)
            told = round;
        close(ends[0]);
        store = open_for_writing(home);
        check_rounds(store, told);
        assert_int_equal(problems_of(store), 0);
        assay_store_close(store);
    }
    assert_true(told > 0);
}

static void a_locked_database_is_busy(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home), *other;
    make_collection(store, "c", 0);
    assert_ok(assay_store_open(place_of(state)->home, &(assay_store_options){.busy_ms = 30},
                               &other, &error));
    assert_ok(assay_store_begin(store, &error));
    assert_fails(assay_store_begin(other, &error), ASSAY_E_BUSY, "assay.sqlite",
                 "database is locked; another process is writing, try again");
    assay_collection collection;
    assert_ok(assay_collection_open(other, "c", &collection, &error));
    assert_fails(assay_collection_drop(other, "c", &error), ASSAY_E_BUSY, "assay.sqlite",
                 "another process is writing");
    assert_ok(assay_store_commit(store, &error));
    assert_ok(assay_store_begin(other, &error));
    assay_store_rollback(other);
    assay_store_close(other);
    assay_store_close(store);
}

static void a_dropped_collection_takes_no_documents(void **state)
{
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    assay_store *other = open_for_writing(place_of(state)->home);
    assert_ok(assay_store_begin(store, &error));
    assert_ok(put(store, &collection, "a", "", "", "word"));
    assert_ok(assay_store_commit(store, &error));
    assay_candidate best[10];
    assert_int_equal(find(store, &collection, "word", best), 1);
    assert_ok(assay_collection_drop(other, "c", &error));
    size_t count;
    assert_fails(assay_store_bm25(store, &collection, (assay_text){"word", 4}, 0.9, 0.4, NULL, 10, best,
                                  &count, &error),
                 ASSAY_E_NOT_FOUND, "assay.sqlite", "collection 'c' was dropped meanwhile");
    assert_ok(assay_store_begin(store, &error));
    assert_fails(put(store, &collection, "a", "", "", "x"), ASSAY_E_NOT_FOUND, "assay.sqlite",
                 "collection 'c' was dropped meanwhile");
    assay_store_rollback(store);
    assert_int_equal(problems_of(store), 0);
    assay_store_close(other);
    assay_store_close(store);
}

/* ---- A folder that may only be read ---------------------------------------------------- */

static int read_without_writing(const char *home, int number)
{
    assay_store *store;
    assay_collection collection;
    assay_candidate best[10];
    size_t count = 0;
    (void)number;
    if (getuid() == 0 && setuid(65534) != 0)
        return 1;
    if (assay_store_open(home, NULL, &store, &error) == ASSAY_OK)
        return 2; /* for writing: must fail */
    assay_status status = assay_store_open(home, &(assay_store_options){.read_only = true},
                                           &store, &error);
    if (status == ASSAY_OK)
        status = assay_collection_open(store, "c", &collection, &error);
    if (status == ASSAY_OK)
        status = assay_store_bm25(store, &collection, (assay_text){"word", 4}, 0.9, 0.4, NULL, 10, best,
                                  &count, &error);
    if (status != ASSAY_OK || count != 1) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        return 3;
    }
    uint64_t problems;
    if (assay_store_check_database(store, NULL, NULL, &problems, &error) != ASSAY_OK)
        return 4;
    assay_store_close(store);
    return 0;
}

static void a_folder_that_may_only_be_read_is_read(void **state)
{
    const char *home = place_of(state)->home;
    assay_store *store = open_for_writing(home);
    assay_collection collection = make_collection(store, "c", 0);
    assert_ok(assay_store_begin(store, &error));
    assert_ok(put(store, &collection, "a", "", "", "word"));
    assert_ok(assay_store_commit(store, &error));
    assay_store_close(store);
    assert_int_equal(chmod(home, 0555), 0);
    assert_int_equal(chmod(place_of(state)->file, 0444), 0);
    assert_int_equal(end_of(start(read_without_writing, home, 0)), 0);
    assert_int_equal(chmod(home, 0755), 0);
}

/* Opened where nothing may be written, then written by somebody who may. */
static int notice_a_writer(const char *home, int pipe_end)
{
    assay_store *store;
    assay_collection collection;
    char byte = 0;
    if (getuid() == 0 && setuid(65534) != 0)
        return 1;
    if (assay_store_open(home, &(assay_store_options){.read_only = true}, &store, &error) !=
            ASSAY_OK ||
        assay_collection_open(store, "c", &collection, &error) != ASSAY_OK)
        return 2;
    if (write(pipe_end, &byte, 1) != 1 || read(pipe_end, &byte, 1) != 1)
        return 3;
    if (assay_collection_open(store, "c", &collection, &error) != ASSAY_E_BUSY ||
        strstr(error.message, "open the store again") == NULL)
        return 4;
    assay_store_close(store);
    return 0;
}

static void a_writer_is_noticed_where_only_reading_is_allowed(void **state)
{
    const char *home = place_of(state)->home;
    if (getuid() != 0)
        skip(); /* needs a second user */
    assay_store *store = open_for_writing(home);
    make_collection(store, "c", 0);
    assay_store_close(store);
    assert_int_equal(chmod(home, 0755), 0);
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid_t child = start(notice_a_writer, home, ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    store = open_for_writing(home);
    make_collection(store, "new", 0);
    assert_int_equal(write(ends[0], &byte, 1), 1);
    assert_int_equal(end_of(child), 0);
    assay_store_close(store);
    close(ends[0]);
    close(ends[1]);
}

/* ---- Files that are not what they should be ---------------------------------------------- */

static void what_is_not_there_is_said(void **state)
{
    char missing[128];
    assay_store *store;
    snprintf(missing, sizeof missing, "%s/none", place_of(state)->home);
    assert_fails(assay_store_open(missing, NULL, &store, &error), ASSAY_E_NOT_FOUND, missing,
                 "no data directory");
    assert_fails(assay_store_open(place_of(state)->home, NULL, &store, &error),
                 ASSAY_E_NOT_FOUND, place_of(state)->home, "it has no assay.sqlite");
    assert_fails(assay_store_open("", NULL, &store, &error), ASSAY_E_ARGUMENT, "home", "empty");
    assay_store_options both = {.read_only = true, .create = true};
    assert_fails(assay_store_open(missing, &both, &store, &error), ASSAY_E_ARGUMENT, "create",
                 "reading only");
    both = (assay_store_options){.busy_ms = UINT32_MAX};
    assert_fails(assay_store_open(missing, &both, &store, &error), ASSAY_E_ARGUMENT, "busy_ms",
                 "at most");
    /* A database without anything in it: a process was killed while making it. */
    int file = open(place_of(state)->file, O_CREAT | O_WRONLY, 0600);
    close(file);
    both = (assay_store_options){.read_only = true};
    assert_fails(assay_store_open(place_of(state)->home, &both, &store, &error),
                 ASSAY_E_NOT_FOUND, "assay.sqlite", "the data directory is empty");
    assert_ok(assay_store_open(place_of(state)->home, NULL, &store, &error));
    assay_store_close(store);
}

static void newer_and_foreign_databases_are_refused(void **state)
{
    const char *home = place_of(state)->home, *file = place_of(state)->file;
    assay_store *store = open_for_writing(home);
    assay_store_close(store);
    sql(file, "PRAGMA user_version = 7");
    assert_fails(assay_store_open(home, NULL, &store, &error), ASSAY_E_VERSION, "assay.sqlite",
                 "written by a newer assay (schema 7, this one knows 6)");
    sql(file, "PRAGMA user_version = 0");
    assert_fails(assay_store_open(home, NULL, &store, &error), ASSAY_E_CORRUPT, "assay.sqlite",
                 "schema number 0 with");
    sql(file, "PRAGMA application_id = 5; PRAGMA user_version = 1");
    assert_fails(assay_store_open(home, NULL, &store, &error), ASSAY_E_FORMAT, "assay.sqlite",
                 "another program (application id 5");
    unlink(file);
    sql(file, "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
    assert_fails(assay_store_open(home, &(assay_store_options){.create = true}, &store, &error),
                 ASSAY_E_FORMAT, "assay.sqlite", "another program");
    sql(file, "SELECT x FROM theirs");
    FILE *text = fopen(file, "w");
    fputs("This is a letter to my aunt, not a database, and long enough to be read as one.\n"
          "It has a second line, for the header of a database has a hundred bytes.\n", text);
    fclose(text);
    assert_fails(assay_store_open(home, NULL, &store, &error), ASSAY_E_CORRUPT, "assay.sqlite",
                 "file is not a database; the file is damaged");
}

static void put_many(assay_store *store, assay_collection *collection, int count)
{
    char id[16], text[900];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_ok(assay_store_begin(store, &error));
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%d", i);
        memcpy(text, "word ", 5);
        assert_ok(put(store, collection, id, "", "s", text));
    }
    assert_ok(assay_store_commit(store, &error));
}

static void damaged_bytes_are_found(void **state)
{
    const char *home = place_of(state)->home;
    assay_store *store = open_for_writing(home);
    assay_collection collection = make_collection(store, "c", 0);
    put_many(store, &collection, 300);
    assay_store_close(store);
    int file = open(place_of(state)->file, O_RDWR);
    off_t size = lseek(file, 0, SEEK_END);
    assert_true(size > 200000);
    char noise[4096];
    memset(noise, 0xA5, sizeof noise);
    for (off_t at = 8192 * 3; at < size; at += 8192)
        assert_int_equal(pwrite(file, noise, sizeof noise, at), sizeof noise);
    close(file);
    assert_ok(assay_store_open(home, NULL, &store, &error));
    told_problems told = {0};
    uint64_t problems = 0;
    assert_fails(assay_store_check_database(store, take_problem, &told, &problems, &error),
                 ASSAY_E_CORRUPT, "assay.sqlite", "problems found");
    assert_true(problems > 0 && told.count == problems && told.named);
    assay_candidate best[10];
    size_t count;
    assay_status status = assay_collection_open(store, "c", &collection, &error);
    if (status == ASSAY_OK)
        status = assay_store_bm25(store, &collection, (assay_text){"word", 4}, 0.9, 0.4, NULL, 10, best,
                                  &count, &error);
    assert_fails(status, ASSAY_E_CORRUPT, "assay.sqlite", "; the file is damaged");
    assay_store_close(store);
}

static void the_check_finds_what_the_schema_cannot_say(void **state)
{
    const char *file = place_of(state)->file;
    static const struct {
        const char *damage, *message, *repair;
    } cases[] = {
        {"UPDATE passages SET offset = 1 WHERE key = 1", "passage 1 does not lie in the text",
         "UPDATE passages SET offset = 0 WHERE key = 1"},
        {"UPDATE passages SET length = 1 WHERE key = 2", "character boundaries",
         "UPDATE passages SET length = 2 WHERE key = 2"},
        {"INSERT INTO vectors VALUES(1, x'00112233')", "passage 1 has a vector of 4 bytes, "
         "expected 0", "DELETE FROM vectors"},
        {"INSERT INTO vectors VALUES(77, x'')", "a row of vectors (77) refers to a row of passages",
         "DELETE FROM vectors"},
        {"UPDATE documents SET digest = x'00' WHERE key = 1", "digest of 1 bytes, expected 16",
         "UPDATE documents SET digest = zeroblob(16) WHERE key = 1"},
        {"UPDATE collections SET dimensions = -1", "collection c has a field out of its bounds",
         "UPDATE collections SET dimensions = 0"},
        {"UPDATE documents SET title = 'other' WHERE key = 1",
         "the BM25 index does not match the passages",
         "UPDATE documents SET title = '' WHERE key = 1"},
        {"DELETE FROM fts_1_docsize WHERE id = 2", "has no entry for passage 2", NULL},
    };
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    assert_ok(assay_store_begin(store, &error));
    assert_ok(put(store, &collection, "a", "", "s", "word"));
    assert_ok(put(store, &collection, "b", "", "s", "\xc3\xa9"));
    assert_ok(assay_store_commit(store, &error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(problems_of(store), 0);
        sql(file, cases[i].damage);
        told_problems told = {.expected = cases[i].message};
        uint64_t problems = 0;
        assert_fails(assay_store_check_database(store, take_problem, &told, &problems, &error),
                     ASSAY_E_CORRUPT, "assay.sqlite", "problems found");
        assert_true(problems > 0);
        if (!told.found)
            fail_msg("not told: '%s'", cases[i].message);
        if (cases[i].repair != NULL)
            sql(file, cases[i].repair);
    }
    told_problems told = {.stop = true};
    uint64_t problems;
    assert_fails(assay_store_check_database(store, take_problem, &told, &problems, &error),
                 ASSAY_E_INTERRUPTED, "assay.sqlite", "stopped");
    sql(file, "UPDATE passages SET offset = 0, length = 500 WHERE key = 1");
    assay_arena *arena = assay_arena_new(0);
    assay_passage_view view;
    assert_fails(assay_passage_get(store, 1, arena, &view, &error), ASSAY_E_CORRUPT,
                 "assay.sqlite", "ends after the text");
    assay_arena_free(arena);
    sql(file, "UPDATE collections SET model = printf('%.2000c', 'x')");
    assert_fails(assay_collection_open(store, "c", &collection, &error), ASSAY_E_CORRUPT,
                 "assay.sqlite", "collection 1 has a field out of its bounds");
    assay_store_close(store);
}

/* ---- A disk that fills up ------------------------------------------------------------------ */

/* SQLite lets its system calls be replaced: writes fail when the room is used
 * up, as on a full disk. */
static off_t room = -1; /* -1: no limit */

static ssize_t limited_pwrite(int file, const void *data, size_t size, off_t offset)
{
    if (room >= 0 && (off_t)size > room) {
        errno = ENOSPC;
        return -1;
    }
    room -= room >= 0 ? (off_t)size : 0;
    return pwrite(file, data, size, offset);
}

static void a_full_disk_keeps_what_was_committed(void **state)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    int replaced = 0;
    static const char *const calls[] = {"pwrite", "pwrite64"};
    for (size_t i = 0; i < 2; i++)
        replaced += vfs->xSetSystemCall(vfs, calls[i], (sqlite3_syscall_ptr)limited_pwrite) ==
                    SQLITE_OK;
    assert_true(replaced > 0);
    assay_store *store = open_for_writing(place_of(state)->home);
    assay_collection collection = make_collection(store, "c", 0);
    put_many(store, &collection, 5);
    room = 100 * 1024;
    assay_status status = assay_store_begin(store, &error);
    char text[2000];
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 5000 && status == ASSAY_OK; i++) {
        char id[16];
        snprintf(id, sizeof id, "new %d", i);
        status = put(store, &collection, id, "", "s", text);
    }
    if (status == ASSAY_OK)
        status = assay_store_commit(store, &error);
    assert_fails(status, ASSAY_E_FULL, "assay.sqlite", "database or disk is full; make room");
    assay_store_rollback(store);
    room = -1;
    assay_collection_info info;
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.documents, 5);
    assert_int_equal(problems_of(store), 0);
    put_many(store, &collection, 8);
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.documents, 8);
    assay_store_close(store);
    for (size_t i = 0; i < 2; i++)
        vfs->xSetSystemCall(vfs, calls[i], NULL);
}

/* ---- main -------------------------------------------------------------------------- */

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(collections_are_made_listed_and_dropped),
        STORE_TEST(collection_names_are_checked),
        STORE_TEST(a_document_is_stored_with_all_it_has),
        STORE_TEST(vectors_come_in_passage_order),
        STORE_TEST(tokens_belong_to_their_tokenizer),
        STORE_TEST(an_older_schema_is_read_and_updated),
        STORE_TEST(replacing_and_deleting_take_everything),
        STORE_TEST(writing_needs_a_transaction),
        STORE_TEST(bad_documents_fail_alone),
        STORE_TEST(bytes_that_are_no_text_are_kept),
        STORE_TEST(pruning_takes_what_was_not_marked),
        STORE_TEST(readers_see_whole_commits_while_one_writes),
        STORE_TEST(several_processes_may_create_at_once),
        STORE_TEST(a_killed_writer_loses_nothing_acknowledged),
        STORE_TEST(a_locked_database_is_busy),
        STORE_TEST(a_dropped_collection_takes_no_documents),
        STORE_TEST(a_folder_that_may_only_be_read_is_read),
        STORE_TEST(a_writer_is_noticed_where_only_reading_is_allowed),
        STORE_TEST(what_is_not_there_is_said),
        STORE_TEST(newer_and_foreign_databases_are_refused),
        STORE_TEST(damaged_bytes_are_found),
        STORE_TEST(the_check_finds_what_the_schema_cannot_say),
        STORE_TEST(a_full_disk_keeps_what_was_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
