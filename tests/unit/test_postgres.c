/* SPDX-License-Identifier: Apache-2.0 */
/* test_postgres.c: what is put into a store in PostgreSQL and one in SQLite comes out the
 * same; who writes waits for whoever writes; connections that are lost; what is refused.
 *
 * The server is started by tests/postgres.py with $PYTHON; without one the tests are
 * skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/random.h"
#include "store/store.h"

#ifdef ASSAY_HAVE_LIBPQ

#include "store/postgres.h"

enum { DIMENSIONS = 8, DOCUMENTS = 150 };

static assay_error error;
static char folder[64], url[256];

#define assert_ok(expression)                                                        \
    do {                                                                             \
        assay_status got_ = (expression);                                            \
        if (got_ != ASSAY_OK)                                                        \
            fail_msg("%s: %s: %s: %s", #expression, assay_status_name(got_), error.where, \
                     error.message);                                                 \
    } while (0)

static void assert_fails(assay_status got, assay_status expected, const char *message)
{
    if (got != expected || error.code != expected || strstr(error.message, message) == NULL)
        fail_msg("expected %s with '%s', got %s: %s: %s", assay_status_name(expected), message,
                 assay_status_name(got), error.where, error.message);
}

/* ---- The server ------------------------------------------------------------------- */

static void run_server(const char *what, char *out, size_t size)
{
    char command[256];
    const char *python = getenv("PYTHON");
    snprintf(command, sizeof command, "%s tests/postgres.py %s %s 2>&1",
             python != NULL ? python : "python3", what, folder);
    FILE *answer = popen(command, "r");
    out[0] = '\0';
    size_t length = answer != NULL ? fread(out, 1, size - 1, answer) : 0;
    out[length] = '\0';
    if (answer != NULL)
        pclose(answer);
    out[strcspn(out, "\n")] = '\0';
}

static int start_server(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/assay-postgres-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    setenv("ASSAY_HOME", folder, 1);
    run_server("start", url, sizeof url);
    if (strncmp(url, "postgresql://", 13) != 0)
        printf("%s\n", url);
    return 0;
}

static int stop_server(void **state)
{
    char out[256], command[128];
    (void)state;
    if (strncmp(url, "postgresql://", 13) == 0)
        run_server("stop", out, sizeof out);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void need_server(void)
{
    if (strncmp(url, "postgresql://", 13) != 0)
        skip();
}

static assay_store *open_store(const char *place, bool read_only, uint32_t busy_ms)
{
    assay_store *store;
    assert_ok(assay_store_open(place, &(assay_store_options){.create = !read_only,
                                                             .read_only = read_only,
                                                             .busy_ms = busy_ms},
                               &store, &error));
    return store;
}

/* ---- Two stores with the same documents --------------------------------------------- */

static assay_store *stores[2]; /* SQLite, PostgreSQL */
static assay_collection collections[2];
static uint64_t seed;

static uint64_t pick(uint64_t below)
{
    return assay_random_below(&seed, below);
}

static void open_both(const char *name)
{
    need_server();
    char home[96];
    snprintf(home, sizeof home, "%s/sqlite", folder);
    seed = 7;
    for (int i = 0; i < 2; i++) {
        assay_collection_config config = {.model = "dense", .model_digest = "0123",
                                          .dimensions = DIMENSIONS, .passage_tokens = 160};
        stores[i] = open_store(i == 0 ? home : url, false, 10000);
        assert_ok(assay_collection_create(stores[i], name, &config, &collections[i], &error));
    }
}

static void close_both(void)
{
    for (int i = 0; i < 2; i++)
        assay_store_close(stores[i]);
}

static const char *const vocabulary[] = {
    "harbour", "harbours", "tide", "Tides", "the", "sailing", "sailed", "anchor", "Käse", "caf\u00e9",
    "1987", "ropes", "a", "light-house", "gull", "gulls", "fog", "storm", "of", "quay",
};

static void write_words(char *out, size_t size, size_t words)
{
    out[0] = '\0';
    for (size_t i = 0; i < words; i++) {
        size_t length = strlen(out);
        uint64_t word = pick(20) * pick(20) / 20; /* some more often than others */
        snprintf(out + length, size - length, "%s%s", i > 0 ? " " : "", vocabulary[word]);
    }
}

/* The same document into both stores. */
static void put_document(const char *id)
{
    static const assay_digest tokenizer = {{1, 2, 3}};
    char title[128], text[1024], metadata[160], source[64];
    float vectors[2][DIMENSIONS];
    int32_t ids[2][4];
    write_words(title, sizeof title, pick(4));
    write_words(text, sizeof text, 2 + pick(40));
    snprintf(source, sizeof source, "%s/%s.txt", pick(2) ? "north" : "south", id);
    snprintf(metadata, sizeof metadata,
             "{\"year\":%d,\"lang\":\"%s\",\"price\":%.2f,\"tag\":[\"a\\tb\",\"%llu\"],\"big\":%lld}",
             (int)(1990 + pick(40)), pick(3) ? "en" : "d\\\\e", (double)pick(10000) / 7,
             (unsigned long long)pick(5), (1ll << 60) + (long long)pick(3));
    size_t half = strcspn(text, " ");
    assay_stored_passage passages[2] = {
        {.length = half, .heading = "Part one", .tokens = 3},
        {.offset = half, .length = strlen(text) - half, .heading = "", .tokens = 9,
         .truncated = true},
    };
    for (int p = 0; p < 2; p++) {
        double squares = 0;
        for (int d = 0; d < DIMENSIONS; d++) {
            vectors[p][d] = (float)pick(2001) / 1000 - 1;
            squares += (double)vectors[p][d] * vectors[p][d];
        }
        for (int d = 0; d < DIMENSIONS; d++)
            vectors[p][d] /= (float)sqrt(squares + 1e-9);
        for (int t = 0; t < 4; t++)
            ids[p][t] = (int32_t)pick(30000);
        passages[p].vector = vectors[p];
        passages[p].ids = p == 0 ? ids[p] : NULL;
        passages[p].id_count = p == 0 ? 4 : 0;
    }
    assay_stored_document document = {
        .id = id, .title = title, .source = source, .metadata = pick(5) ? metadata : NULL,
        .text = {text, strlen(text)}, .passages = passages, .passage_count = 2,
        .tokenizer = &tokenizer, .digest = assay_hash128(text, strlen(text))};
    for (int i = 0; i < 2; i++)
        assert_ok(assay_document_put(stores[i], &collections[i], &document, &error));
}

static void begin_both(void)
{
    for (int i = 0; i < 2; i++)
        assert_ok(assay_store_begin(stores[i], &error));
}

static void commit_both(void)
{
    for (int i = 0; i < 2; i++)
        assert_ok(assay_store_commit(stores[i], &error));
}

/* Puts documents, some twice in a transaction and some again later, and deletes some. */
static void fill_both(void)
{
    char id[16];
    for (int batch = 0; batch < DOCUMENTS; batch += 30) {
        begin_both();
        for (int n = 0; n < 30; n++) {
            snprintf(id, sizeof id, "d%d", batch + n);
            put_document(id);
            if (pick(6) == 0)
                put_document(id);
            snprintf(id, sizeof id, "d%d", (int)pick((uint64_t)(batch + n + 1)));
            if (pick(8) == 0)
                put_document(id);
            bool found[2] = {false, false};
            if (pick(8) == 0)
                for (int i = 0; i < 2; i++)
                    assert_ok(assay_document_delete(stores[i], &collections[i], id, &found[i],
                                                    &error));
            assert_int_equal(found[0], found[1]);
        }
        commit_both();
    }
    for (int i = 0; i < 2; i++)
        assert_ok(assay_collection_open(stores[i], collections[i].name, &collections[i], &error));
}

/* "d7:1" for the passage of d7 that does not begin at 0. */
static void name_of(int i, uint64_t passage, assay_arena *arena, char name[32])
{
    assay_passage_view view;
    assert_ok(assay_passage_get(stores[i], passage, arena, &view, &error));
    snprintf(name, 32, "%s:%d", view.id, view.offset > 0);
}

/* Both lists: the same passages with the same scores, but for the order of equals, which
 * are sorted by keys that say nothing of the other store. */
static void assert_same(const assay_candidate *sqlite, const assay_candidate *postgres,
                        size_t count, double close)
{
    char names[60][32], wanted[32];
    assay_arena *arena = assay_arena_new(0);
    int64_t keys[60];
    for (size_t b = 0; b < count; b++)
        keys[b] = (int64_t)postgres[b].passage;
    assert_ok(assay_passages_expect(stores[1], &collections[1], keys, count, &error));
    for (size_t b = 0; b < count; b++)
        name_of(1, postgres[b].passage, arena, names[b]);
    for (size_t a = 0; a < count; a++) {
        bool found = false;
        name_of(0, sqlite[a].passage, arena, wanted);
        if (fabs((double)sqlite[a].score - (double)postgres[a].score) > close)
            fail_msg("place %zu (%s): %.9g, and in PostgreSQL %.9g", a, wanted,
                     (double)sqlite[a].score, (double)postgres[a].score);
        bool last = fabs((double)sqlite[a].score - (double)sqlite[count - 1].score) <= close;
        for (size_t b = 0; b < count && !found && !last; b++)
            found = strcmp(names[b], wanted) == 0;
        if (!found && !last)
            fail_msg("place %zu: %s is not among PostgreSQL's", a, wanted);
    }
    assay_arena_free(arena);
}

/* ---- Tests ------------------------------------------------------------------------- */

static void documents_come_out_the_same(void **state)
{
    (void)state;
    open_both("documents");
    fill_both();
    assay_documents lists[2];
    assay_collection_info infos[2];
    uint64_t problems = 9;
    for (int i = 0; i < 2; i++) {
        assert_ok(assay_document_list(stores[i], "documents", NULL, 0, &lists[i], &error));
        assert_ok(assay_collection_describe(stores[i], "documents", &infos[i], &error));
        assert_ok(assay_store_check(stores[i], NULL, NULL, &problems, &error));
        assert_int_equal(problems, 0);
    }
    assert_int_equal(lists[0].count, lists[1].count);
    assert_int_equal(infos[0].documents, infos[1].documents);
    assert_int_equal(infos[0].passages, infos[1].passages);
    assert_int_equal(infos[0].vectors, infos[1].vectors);
    assert_int_equal(infos[0].tokenized, infos[1].tokenized);
    assert_int_equal(infos[0].truncated, infos[1].truncated);
    assert_int_equal(infos[0].text_bytes, infos[1].text_bytes);
    for (size_t d = 0; d < lists[0].count; d++) {
        assay_document_info *a = &lists[0].items[d], *b = &lists[1].items[d];
        assay_digest digests[2];
        bool found[2];
        assay_text title, texts[2];
        assert_string_equal(a->id, b->id);
        assert_string_equal(a->title, b->title);
        assert_string_equal(a->source, b->source);
        assert_true((a->metadata == NULL) == (b->metadata == NULL));
        if (a->metadata != NULL)
            assert_string_equal(a->metadata, b->metadata);
        assert_int_equal(a->passages, b->passages);
        for (int i = 0; i < 2 && d % 4 == 0; i++) {
            assert_ok(assay_document_digest(stores[i], &collections[i], a->id, &found[i],
                                            &digests[i], &error));
            assert_true(found[i]);
            assert_ok(assay_document_text(stores[i], "documents", a->id, &title, &texts[i], &error));
        }
        if (d % 4 != 0)
            continue;
        assert_memory_equal(&digests[0], &digests[1], sizeof digests[0]);
        assert_int_equal(texts[0].length, texts[1].length);
        assert_memory_equal(texts[0].data, texts[1].data, texts[0].length);
    }
    for (int i = 0; i < 2; i++)
        assay_documents_free(&lists[i]);
    close_both();
}

static void words_score_the_same(void **state)
{
    (void)state;
    open_both("words");
    fill_both();
    static const char *const filters[] = {NULL, "year >= 2005 and not lang = \"en\"",
                                          "tag = \"a\tb\" and (price < 700 or exists(gone))"};
    assay_candidate found[2][60];
    for (int round = 0; round < 30; round++) {
        char question[256];
        size_t counts[2], k = round % 3 == 0 ? 5 : 60;
        write_words(question, sizeof question, 1 + pick(6));
        for (int i = 0; i < 2; i++) {
            assay_filter *filter = NULL;
            assay_selection allowed = {0};
            assay_error missing;
            if (filters[round % 3] != NULL) {
                assert_ok(assay_filter_parse(filters[round % 3], &filter, &error));
                assert_ok(assay_store_filter(stores[i], &collections[i], filter, &allowed, &missing,
                                             &error));
            }
            assert_ok(assay_store_bm25(stores[i], &collections[i],
                                       (assay_text){question, strlen(question)}, 0.9, 0.4,
                                       filter != NULL ? &allowed : NULL, k, found[i], &counts[i],
                                       &error));
            assay_bits_free(&allowed.passages);
            assay_filter_free(filter);
        }
        assert_int_equal(counts[0], counts[1]);
        assert_same(found[0], found[1], counts[0], 2e-6);
    }
    size_t none = 9;
    assert_ok(assay_store_bm25(stores[1], &collections[1], (assay_text){" , ", 3}, 0.9, 0.4, NULL,
                               60, found[1], &none, &error));
    assert_int_equal(none, 0);
    close_both();
}

static void filters_let_the_same_through(void **state)
{
    (void)state;
    open_both("filters");
    fill_both();
    static const char *const expressions[] = {
        "year = 2000", "year > 2000 and year <= 2010", "lang = \"en\"", "lang = 'd\\\\e'",
        "not lang = \"en\"", "price >= 100.5", "price < 1428.4285714285713", "exists(price)",
        "not exists(price)", "tag in (\"1\", \"3\", \"a\tb\")", "tag not in (\"1\", \"2\")",
        "tag = 1", "big = 1152921504606846977", "big > 1152921504606846976", "lang < \"e\"",
        "lang >= \"d\" and lang < \"f\" or year = 1999 and not (price > 3 or tag = \"2\")",
        "not (not (year > 2010) and not lang = \"en\")", "year = 2000.5", "year < -3",
        "nowhere = 3", "published > 2020-01-01 or year > 2020",
    };
    for (size_t e = 0; e < sizeof expressions / sizeof *expressions; e++) {
        assay_filter *filter;
        assay_selection allowed[2];
        assay_error missing[2];
        assert_ok(assay_filter_parse(expressions[e], &filter, &error));
        for (int i = 0; i < 2; i++) {
            assert_ok(assay_store_filter(stores[i], &collections[i], filter, &allowed[i],
                                         &missing[i], &error));
            assay_bits_free(&allowed[i].passages);
        }
        if (allowed[0].count != allowed[1].count)
            fail_msg("%s: %llu, and in PostgreSQL %llu", expressions[e],
                     (unsigned long long)allowed[0].count, (unsigned long long)allowed[1].count);
        assert_int_equal(missing[0].code, missing[1].code);
        assert_string_equal(missing[0].message, missing[1].message);
        assay_filter_free(filter);
    }
    close_both();
}

/* As many alternatives as a filter may have. */
static void long_filters_are_taken(void **state)
{
    (void)state;
    open_both("long");
    fill_both();
    assay_buffer text;
    assay_filter *filter;
    assay_selection allowed[2];
    assay_error missing;
    assay_buffer_init(&text, 0);
    assay_buffer_string(&text, "year in (2001");
    for (int i = 0; i < 1500; i++)
        assay_buffer_format(&text, ", %d", 2002 + i);
    assay_buffer_string(&text, ") and not lang = \"fr\"");
    assert_ok(assay_filter_parse(text.data, &filter, &error));
    for (int i = 0; i < 2; i++) {
        assert_ok(assay_store_filter(stores[i], &collections[i], filter, &allowed[i], &missing,
                                     &error));
        assay_bits_free(&allowed[i].passages);
    }
    assert_int_equal(allowed[0].count, allowed[1].count);
    assert_true(allowed[0].count > 0);
    assay_filter_free(filter);
    assay_buffer_free(&text);
    close_both();
}

typedef struct gathered {
    float vectors[2 * DOCUMENTS][DIMENSIONS];
    uint64_t passages[2 * DOCUMENTS];
    size_t count;
} gathered;

static bool gather(uint64_t passage, const float *vector, void *user)
{
    gathered *g = user;
    g->passages[g->count] = passage;
    memcpy(g->vectors[g->count++], vector, sizeof g->vectors[0]);
    return true;
}

static float dot(const float *a, const float *b)
{
    float sum = 0;
    for (int d = 0; d < DIMENSIONS; d++)
        sum += a[d] * b[d];
    return sum;
}

/* Against all vectors, read through the store: exactly, and by HNSW, whose ef is enough
 * to find all of so few. */
static void the_nearest_vectors_are_found(void **state)
{
    (void)state;
    static gathered all[2];
    open_both("nearest");
    fill_both();
    memset(all, 0, sizeof all);
    for (int i = 0; i < 2; i++)
        assert_ok(assay_store_vectors(stores[i], &collections[i], gather, &all[i], &error));
    assert_int_equal(all[0].count, all[1].count);
    assert_memory_equal(all[0].vectors, all[1].vectors, sizeof all[0].vectors);
    assert_false(assay_store_finds_vectors(stores[0]));
    assert_true(assay_store_finds_vectors(stores[1]));

    assay_vector_index kind;
    bool by_size;
    for (int graph = 0; graph < 2; graph++) {
        assay_vector_index choice = graph ? ASSAY_VECTORS_HNSW : ASSAY_VECTORS_FLAT;
        assert_ok(assay_store_vector_index_update(stores[1], &collections[1], &choice, &kind,
                                                  &by_size, &error));
        assert_int_equal(kind, choice);
        assert_false(by_size);
        assert_ok(assay_collection_open(stores[1], "nearest", &collections[1], &error));
        for (int round = 0; round < 10; round++) {
            assay_candidate found[20];
            size_t count;
            const float *question = all[1].vectors[pick(all[1].count)];
            const assay_store_find options = {.k = 20, .ef = 400};
            assert_ok(assay_store_nearest(stores[1], &collections[1], question, &options, found,
                                          &count, &kind, &error));
            assert_int_equal(kind, choice);
            assert_int_equal(count, 20);
            size_t better = 0;
            for (size_t v = 0; v < all[1].count; v++)
                better += dot(question, all[1].vectors[v]) > found[19].score + 1e-6f;
            assert_true(better <= 19);
            for (size_t f = 0; f + 1 < count; f++)
                assert_true(found[f].score >= found[f + 1].score);
        }
    }
    assay_vector_index_info info;
    assert_ok(assay_vector_index_describe(stores[1], "nearest", &info, &error));
    assert_int_equal(info.kind, ASSAY_VECTORS_HNSW);
    assert_int_equal(info.vectors, all[1].count);
    assert_true(info.file_bytes > 0);
    assay_vector_index own = ASSAY_VECTORS_AUTO;
    assert_ok(assay_store_vector_index_update(stores[1], &collections[1], &own, &kind, &by_size,
                                              &error));
    assert_int_equal(kind, ASSAY_VECTORS_FLAT);
    assert_true(by_size);
    close_both();
}

/* Documents named <prefix>0 ..., of two passages each. */
static void put_many(const char *prefix, int count)
{
    char id[32];
    begin_both();
    for (int n = 0; n < count; n++) {
        snprintf(id, sizeof id, "%s%d", prefix, n);
        put_document(id);
    }
    commit_both();
}

static size_t found_in_lists(uint32_t nprobe, assay_candidate found[20])
{
    size_t count;
    assay_vector_index kind;
    float question[DIMENSIONS] = {1};
    const assay_store_find options = {.k = 20, .nprobe = nprobe};
    assert_ok(assay_store_nearest(stores[1], &collections[1], question, &options, found, &count,
                                  &kind, &error));
    assert_int_equal(kind, ASSAY_VECTORS_IVF);
    return count;
}

static uint32_t make_lists(void)
{
    assay_vector_index kind, choice = ASSAY_VECTORS_IVF;
    assay_vector_index_info info;
    bool by_size;
    assert_ok(assay_store_vector_index_update(stores[1], &collections[1], &choice, &kind, &by_size,
                                              &error));
    assert_ok(assay_vector_index_describe(stores[1], "lists", &info, &error));
    assert_int_equal(info.kind, ASSAY_VECTORS_IVF);
    assert_ok(assay_collection_open(stores[1], "lists", &collections[1], &error));
    return info.lists;
}

/* IVFFlat: all lists give the exact answer, and more vectors get more lists. */
static void lists_are_probed_and_made_anew(void **state)
{
    (void)state;
    assay_candidate exact[20], found[20];
    size_t count;
    assay_vector_index kind;
    float question[DIMENSIONS] = {1};
    open_both("lists");
    put_many("a", 1500);
    assert_int_equal(make_lists(), 3);
    const assay_store_find all = {.k = 20, .exact = true};
    assert_ok(assay_store_nearest(stores[1], &collections[1], question, &all, exact, &count, &kind,
                                  &error));
    assert_int_equal(found_in_lists(3, found), 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(found[i].passage, exact[i].passage);
    found_in_lists(1, found);
    assert_true(found[19].score <= exact[19].score);
    put_many("b", 1000);
    assert_int_equal(make_lists(), 3); /* five would be no more than twice as many */
    put_many("c", 1000);
    assert_int_equal(make_lists(), 7);
    close_both();
}

static void assert_note(const char *expected)
{
    assay_buffer note;
    assay_buffer_init(&note, 0);
    assert_ok(assay_store_vector_note_get(stores[1], &collections[1], &note, &error));
    assert_int_equal(note.length, strlen(expected));
    if (note.length > 0)
        assert_memory_equal(note.data, expected, note.length);
    assay_buffer_free(&note);
}

/* It is of a kind of index, and goes with it. */
static void what_was_measured_is_kept(void **state)
{
    (void)state;
    assay_vector_index kind, hnsw = ASSAY_VECTORS_HNSW, ivf = ASSAY_VECTORS_IVF;
    bool by_size;
    open_both("note");
    fill_both();
    assert_note("");
    assert_ok(assay_store_vector_index_update(stores[1], &collections[1], &hnsw, &kind, &by_size,
                                              &error));
    assert_ok(assay_store_vector_note_set(stores[1], &collections[1], "{\"k\": 10}", &error));
    assert_note("{\"k\": 10}");
    assert_ok(assay_store_vector_index_update(stores[1], &collections[1], &hnsw, &kind, &by_size,
                                              &error));
    assert_note("{\"k\": 10}");
    assert_ok(assay_store_vector_index_update(stores[1], &collections[1], &ivf, &kind, &by_size,
                                              &error));
    assert_note("");
    close_both();
}

/* The answer that was asked for at once, and those one by one, are the same. */
static void expected_passages_are_those_read(void **state)
{
    (void)state;
    open_both("expected");
    fill_both();
    static const assay_digest tokenizer = {{1, 2, 3}}, other = {{9}};
    uint64_t keys[40];
    int64_t ask[41];
    size_t count;
    assert_ok(assay_passage_keys(stores[1], &collections[1], 0, keys, 40, &count, &error));
    assert_int_equal(count, 40);
    for (size_t i = 0; i < count; i++)
        ask[i] = (int64_t)keys[i];
    ask[40] = 1; /* is none */
    assay_arena *arena = assay_arena_new(0);
    for (size_t i = 0; i < count; i += 5) {
        assay_passage_view one, two;
        assay_token_ids a, b;
        assert_ok(assay_passages_expect(stores[1], &collections[1], ask, 0, &error));
        assert_ok(assay_passage_get(stores[1], keys[i], arena, &one, &error));
        assert_ok(assay_tokens_get(stores[1], keys[i], &tokenizer, arena, &a, &error));
        assert_ok(assay_passages_expect(stores[1], &collections[1], ask, 41, &error));
        assert_ok(assay_passage_get(stores[1], keys[i], arena, &two, &error));
        assert_ok(assay_tokens_get(stores[1], keys[i], &tokenizer, arena, &b, &error));
        assert_string_equal(one.id, two.id);
        assert_string_equal(one.heading, two.heading);
        assert_int_equal(one.text.length, two.text.length);
        assert_memory_equal(one.text.data, two.text.data, one.text.length);
        assert_int_equal(a.count, b.count);
        assert_true(a.count == 4 || one.offset > 0);
        if (a.count > 0)
            assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
        assert_ok(assay_tokens_get(stores[1], keys[i], &other, arena, &b, &error));
        assert_null(b.ids);
    }
    assay_passage_view view;
    assert_fails(assay_passage_get(stores[1], 1, arena, &view, &error), ASSAY_E_NOT_FOUND,
                 "is gone");
    assay_arena_free(arena);
    close_both();
}

static void pruning_takes_the_same(void **state)
{
    (void)state;
    static const char *const paths[] = {"south", "north/d1", ".", "/"};
    open_both("pruned");
    fill_both();
    for (size_t p = 0; p < 4; p++) {
        uint64_t removed[2] = {0};
        for (int i = 0; i < 2; i++) {
            assay_documents list;
            bool again;
            assert_ok(assay_document_list(stores[i], "pruned", NULL, 0, &list, &error));
            assert_ok(assay_scan_begin(stores[i], &error));
            for (size_t d = 0; d < list.count; d += 2 + p)
                assert_ok(assay_scan_mark(stores[i], &collections[i], list.items[d].id, "moved.txt",
                                          &again, &error));
            assay_documents_free(&list);
            assert_ok(assay_store_begin(stores[i], &error));
            assert_ok(assay_scan_finish(stores[i], &collections[i], &error));
            assert_ok(assay_scan_prune(stores[i], &collections[i], paths[p], &removed[i], &error));
            assert_ok(assay_store_commit(stores[i], &error));
        }
        assert_int_equal(removed[0], removed[1]);
        assert_true(removed[0] > 0 || p == 1 || p == 3);
    }
    uint64_t problems = 9;
    assay_documents list;
    assert_ok(assay_store_check(stores[1], NULL, NULL, &problems, &error));
    assert_ok(assay_document_list(stores[1], "pruned", NULL, 0, &list, &error));
    assert_true(list.count > 0);
    for (size_t d = 0; d < list.count; d++)
        assert_string_equal(list.items[d].source, "moved.txt");
    assay_documents_free(&list);
    close_both();
}

static void one_writes_to_a_collection(void **state)
{
    (void)state;
    open_both("locked");
    assay_store *other = open_store(url, false, 200);
    assay_collection same = collections[1], free_one;
    assay_collection_config config = {.passage_tokens = 160};
    assay_stored_document document = {.id = "x", .title = "", .source = "", .text = {"t", 1}};
    assert_ok(assay_collection_create(other, "unlocked", &config, &free_one, &error));
    begin_both();
    put_document("a");
    assert_ok(assay_store_begin(other, &error));
    assert_ok(assay_document_put(other, &free_one, &document, &error));
    assert_fails(assay_document_put(other, &same, &document, &error), ASSAY_E_BUSY,
                 "another process is writing");
    assay_store_rollback(other);
    /* What is not committed, nobody sees; what is rolled back, nobody will. */
    assay_documents list;
    assert_ok(assay_document_list(other, "locked", NULL, 0, &list, &error));
    assert_int_equal(list.count, 0);
    assay_documents_free(&list);
    for (int i = 0; i < 2; i++)
        assay_store_rollback(stores[i]);
    assert_ok(assay_document_list(stores[1], "locked", NULL, 0, &list, &error));
    assert_int_equal(list.count, 0);
    assay_documents_free(&list);
    assert_fails(assay_document_put(stores[1], &collections[1], &document, &error),
                 ASSAY_E_ARGUMENT, "needs a transaction");
    /* A collection that is dropped takes nothing more. */
    assert_ok(assay_collection_drop(other, "locked", &error));
    assert_ok(assay_store_begin(stores[1], &error));
    assert_fails(assay_document_put(stores[1], &collections[1], &document, &error),
                 ASSAY_E_NOT_FOUND, "was dropped");
    assay_store_rollback(stores[1]);
    assay_store_close(other);
    assay_store *reader = open_store(url, true, 0);
    assert_fails(assay_store_begin(reader, &error), ASSAY_E_ARGUMENT, "for reading only");
    assay_store_close(reader);
    close_both();
}

static void cut_connections(assay_store *by)
{
    assert_ok(assay_pg_command(by, "cut", &error,
                               "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                               " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"));
}

static void lost_connections_are_made_again(void **state)
{
    (void)state;
    char out[256];
    open_both("lost");
    fill_both();
    /* Another pool: the URL is not the same text. */
    char longer[300];
    snprintf(longer, sizeof longer, "%s?application_name=other", url);
    assay_store *other = open_store(longer, false, 1000);
    assay_documents list;
    for (int i = 0; i < 3; i++) {
        cut_connections(other);
        assert_ok(assay_document_list(stores[1], "lost", NULL, 0, &list, &error));
        assert_true(list.count > 50);
        assay_documents_free(&list);
    }
    /* In a transaction all that it wrote is gone, and the next one is as any other. */
    begin_both();
    put_document("new");
    cut_connections(other);
    assert_fails(assay_store_commit(stores[1], &error), ASSAY_E_NETWORK, "");
    for (int i = 0; i < 2; i++)
        assay_store_rollback(stores[i]);
    begin_both();
    put_document("newer");
    commit_both();
    assay_store_close(other);
    /* The server goes away, and comes back. */
    run_server("stop", out, sizeof out);
    assert_fails(assay_document_list(stores[1], "lost", NULL, 0, &list, &error), ASSAY_E_NETWORK,
                 "");
    assert_fails(assay_store_begin(stores[1], &error), ASSAY_E_NETWORK, "");
    run_server("start", out, sizeof out);
    assert_string_equal(out, url);
    bool found;
    assay_digest digest;
    assert_ok(assay_document_digest(stores[1], &collections[1], "newer", &found, &digest, &error));
    assert_true(found);
    assert_ok(assay_document_digest(stores[1], &collections[1], "new", &found, &digest, &error));
    assert_false(found);
    close_both();
}

static void what_is_refused(void **state)
{
    (void)state;
    need_server();
    assay_store *store;
    assay_store_options reading = {.read_only = true};
    assert_fails(assay_store_open("postgresql://u:secret@[::1/x", &reading, &store, &error),
                 ASSAY_E_ARGUMENT, "not a URL");
    assert_null(strstr(error.message, "secret"));
    assert_fails(assay_store_open("postgresql://u:secret@127.0.0.1:1/x", &reading, &store, &error),
                 ASSAY_E_NETWORK, "cannot connect");
    assert_null(strstr(error.message, "secret"));
    assert_null(strstr(error.where, "secret"));
    assert_non_null(strstr(error.where, "127.0.0.1:1"));

    assay_store *tool = open_store(url, false, 1000);
    char other[300];
    snprintf(other, sizeof other, "%.*salien", (int)(strrchr(url, '/') + 1 - url), url);
    assert_ok(assay_pg_command(tool, "make", &error, "CREATE DATABASE alien"));
    assert_fails(assay_store_open(other, &reading, &store, &error), ASSAY_E_NOT_FOUND,
                 "index something into it first");
    assay_store *made = open_store(other, false, 1000);
    assert_ok(assay_pg_command(made, "age", &error, "UPDATE assay.about SET version = 99"));
    assert_fails(assay_store_open(other, &reading, &store, &error), ASSAY_E_VERSION, "schema 99");
    assert_ok(assay_pg_command(made, "spoil", &error, "DROP TABLE assay.about"));
    assay_store_close(made);
    assert_fails(assay_store_open(other, NULL, &store, &error), ASSAY_E_FORMAT,
                 "of another program");
    assay_store_close(tool);
}

static bool tell(const assay_progress *step, void *user)
{
    char *all = user;
    size_t length = strlen(all);
    if (step->problem != NULL)
        snprintf(all + length, 4096 - length, "%s\n", step->problem->message);
    return true;
}

static void the_check_finds_damage(void **state)
{
    (void)state;
    static const struct {
        const char *damage, *said;
    } cases[] = {
        {"DELETE FROM assay.words WHERE term = 'harbour' AND passage = (SELECT min(passage) FROM"
         " assay.words WHERE term = 'harbour')", "BM25 has"},
        {"UPDATE assay.collections SET passages = passages + 1 WHERE name = 'damage'",
         "says it has"},
        {"UPDATE assay.tokens SET ids = '\\x00010203' WHERE passage = (SELECT min(passage) FROM"
         " assay.tokens)", "damaged token ids"},
        {"UPDATE assay.passages SET length = 100000 WHERE key = (SELECT min(key) FROM"
         " assay.passages)", "character boundaries"},
        {"DELETE FROM assay.attributes WHERE (collection, document, field) = (SELECT collection,"
         " document, field FROM assay.attributes LIMIT 1)", "metadata"},
        {"UPDATE assay.documents SET digest = 'x' WHERE id = (SELECT min(id) FROM assay.documents)",
         "a digest of 1 bytes"},
    };
    open_both("damage");
    fill_both();
    uint64_t problems = 9;
    assert_ok(assay_store_check(stores[1], NULL, NULL, &problems, &error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char said[4096] = "";
        assert_ok(assay_pg_command(stores[1], "damage", &error, "%s", cases[i].damage));
        assert_int_equal(assay_store_check(stores[1], tell, said, &problems, &error),
                         ASSAY_E_CORRUPT);
        if (strstr(said, cases[i].said) == NULL)
            fail_msg("%s: said %s", cases[i].damage, said);
    }
    assert_ok(assay_collection_drop(stores[1], "damage", &error));
    close_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_come_out_the_same),
        cmocka_unit_test(words_score_the_same),
        cmocka_unit_test(filters_let_the_same_through),
        cmocka_unit_test(long_filters_are_taken),
        cmocka_unit_test(the_nearest_vectors_are_found),
        cmocka_unit_test(lists_are_probed_and_made_anew),
        cmocka_unit_test(what_was_measured_is_kept),
        cmocka_unit_test(expected_passages_are_those_read),
        cmocka_unit_test(pruning_takes_the_same),
        cmocka_unit_test(one_writes_to_a_collection),
        cmocka_unit_test(lost_connections_are_made_again),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(the_check_finds_damage),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}

#else

static void without_libpq_it_says_so(void **state)
{
    assay_store *store;
    assay_error error;
    (void)state;
    assert_int_equal(assay_store_open("postgresql://127.0.0.1/x", NULL, &store, &error),
                     ASSAY_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "without libpq"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_libpq_it_says_so)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
