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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store.h"

static assay_error error;

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

/* Fails the test with the library's own words. */
#define assert_ok(expression)                                                        \
    do {                                                                             \
        assay_status got_ = (expression);                                            \
        if (got_ != ASSAY_OK)                                                        \
            fail_msg("%s: %s: %s: %s", #expression, assay_status_name(got_), error.where, \
                     error.message);                                                 \
    } while (0)

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
                               0.4, 10, best, &count, &error));
    return count;
}

static uint64_t problems_of(assay_store *store)
{
    uint64_t problems = 99;
    assay_status status = assay_store_check_database(store, NULL, NULL, &problems, &error);
    assert_true(status == (problems > 0 ? ASSAY_E_CORRUPT : ASSAY_OK));
    return problems;
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
    assert_true(collection.generation > before);
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
    int64_t documents[2];
    assert_ok(assay_passage_documents(store, (uint64_t[]){best[0].passage, 999}, 2, documents,
                                      &error));
    assert_int_equal(documents[0], view.document);
    assert_int_equal(documents[1], -1);
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
    assert_ok(assay_scan_mark(store, &collection, "dir/b", &again, &error));
    assert_false(again);
    assert_ok(assay_scan_mark(store, &collection, "dir/b", &again, &error));
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
    assert_ok(assay_scan_mark(store, &collection, "dir/b", &again, &error));
    assert_false(again);
    assert_ok(assay_scan_prune(store, &collection, "nowhere", &removed, &error));
    assert_ok(assay_store_commit(store, &error));
    assert_int_equal(removed, 0);
    assert_int_equal(problems_of(store), 0);
    assay_store_close(store);
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
        STORE_TEST(replacing_and_deleting_take_everything),
        STORE_TEST(writing_needs_a_transaction),
        STORE_TEST(bad_documents_fail_alone),
        STORE_TEST(bytes_that_are_no_text_are_kept),
        STORE_TEST(pruning_takes_what_was_not_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
