/* SPDX-License-Identifier: Apache-2.0 */
/* test_postings.c: packing there and back; the word index against FTS5, to the bit,
 * on random collections with many settings and filters; files that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "index/postings_file.h"
#include "store/store.h"
#include "assert_ok.h"

enum { PASSAGES = 10000, VOCABULARY = 1500, ASK_MAX = 15000 }; /* three windows */

static assay_store *store;
static assay_collection collection;
static char home[64], path[96];

static uint64_t seed = 11;
static uint32_t pick(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

/* A word by Zipf's law, roughly: half of them are among the first twenty. */
static uint32_t pick_word(void)
{
    uint32_t limit = VOCABULARY >> pick(11);
    return pick(limit > 0 ? limit : 1);
}

static int open_store(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-postings-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/words", home);
    if (assay_store_open(home, &(assay_store_options){.create = true}, &store, &error) != ASSAY_OK)
        return -1;
    return assay_collection_create(store, "c", &(assay_collection_config){0}, &collection,
                                   &error) != ASSAY_OK;
}

static int close_store(void **state)
{
    (void)state;
    char file[96];
    assay_store_close(store);
    snprintf(file, sizeof file, "%s/assay.sqlite", home);
    unlink(file);
    unlink(path);
    return rmdir(home);
}

static void put(uint32_t number)
{
    char id[16], text[4096];
    size_t length = 0, words = pick(10) == 0 ? 0 : 1 + pick(pick(8) == 0 ? 200 : 20);
    for (size_t i = 0; i < words; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "w%u ", pick_word());
    snprintf(id, sizeof id, "%u", number);
    assay_stored_passage passage = {.length = length, .heading = pick(3) == 0 ? "w3 head" : ""};
    assay_stored_document document = {.id = id, .title = pick(2) ? "the w1" : "",
                                      .text = {text, length}, .passages = &passage,
                                      .passage_count = 1};
    assert_ok(assay_document_put(store, &collection, &document, &error));
}

/* Gaps among the keys: some documents are replaced, some deleted. */
static void fill(uint32_t passages)
{
    bool found;
    char id[16];
    assert_ok(assay_store_begin(store, &error));
    for (uint32_t i = 0; i < passages; i++)
        put(i);
    for (uint32_t i = 0; i < passages / 10; i++)
        put(pick(passages));
    for (uint32_t i = 0; i < passages / 20; i++) {
        snprintf(id, sizeof id, "%u", pick(passages));
        assert_ok(assay_document_delete(store, &collection, id, &found, &error));
    }
    assert_ok(assay_store_commit(store, &error));
}

static assay_postings *make_file(void)
{
    assay_postings *postings;
    assert_ok(assay_store_write_postings(store, &collection, path, ASSAY_DEFAULT_K1,
                                         ASSAY_DEFAULT_B, NULL, NULL, &error));
    assert_ok(assay_postings_open(path, &postings, &error));
    assert_ok(assay_postings_verify(postings, &error));
    assert_true(assay_word_index_current(postings, &collection));
    return postings;
}

static assay_candidate expected[ASK_MAX], found[ASK_MAX];

static void compare(assay_postings *postings, const char *question, double k1, double b,
                    const assay_bits *passages, size_t k)
{
    size_t wanted, count, term_count;
    const assay_term *terms;
    assay_bits slots;
    assay_arena *arena = assay_arena_new(0);
    assay_text text = {question, strlen(question)};
    assay_selection allowed = {0};
    if (passages != NULL)
        allowed.passages = *passages;
    assert_ok(assay_store_bm25(store, &collection, text, k1, b,
                               passages != NULL ? &allowed : NULL, k, expected, &wanted, &error));
    assert_ok(assay_store_terms(store, text, arena, &terms, &term_count, &error));
    if (passages != NULL)
        assert_ok(assay_postings_slots(postings, passages, &slots, &error));
    assert_ok(assay_postings_search(postings, terms, term_count, k1, b,
                                    passages != NULL ? &slots : NULL, k, found, &count, &error));
    if (count != wanted)
        fail_msg("'%s', k %zu: %zu instead of %zu", question, k, count, wanted);
    for (size_t i = 0; i < count; i++)
        if (found[i].passage != expected[i].passage || found[i].score != expected[i].score)
            fail_msg("'%s', k %zu, k1 %g, b %g, place %zu: %llu %.9g instead of %llu %.9g",
                     question, k, k1, b, i, (unsigned long long)found[i].passage,
                     (double)found[i].score, (unsigned long long)expected[i].passage,
                     (double)expected[i].score);
    if (passages != NULL)
        assay_bits_free(&slots);
    assay_arena_free(arena);
}

static void question_of(char *text, size_t size, uint32_t words)
{
    size_t length = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < words; i++)
        length += (size_t)snprintf(text + length, size - length, "w%u ",
                                   pick(4) == 0 ? pick(VOCABULARY + 20) : pick_word());
}

static void as_fts5_to_the_bit(void **state)
{
    (void)state;
    static const size_t ks[] = {1, 5, 10, 100, 1000, ASK_MAX};
    static const double settings[][2] = {{0.9, 0.4}, {0.9, 0.4}, {0.9, 0.4}, {1.2, 0.75},
                                         {0, 0},     {1000, 1},  {0.5, 0}};
    char question[8192];
    fill(PASSAGES);
    assay_postings *postings = make_file();
    for (int i = 0; i < 200; i++) {
        assay_bits passages;
        uint32_t rarity = 1 + pick(4) * pick(200);
        const double *setting = settings[pick(7)];
        question_of(question, sizeof question, i % 50 == 0 ? 400 : 1 + pick(9));
        compare(postings, question, setting[0], setting[1], NULL, ks[pick(6)]);
        assert_ok(assay_bits_new(&passages, 2 * PASSAGES, &error));
        for (uint64_t j = 0; j < passages.limit; j++)
            if (pick(rarity) == 0)
                assay_bits_add(&passages, j);
        compare(postings, question, setting[0], setting[1], &passages, ks[pick(6)]);
        assay_bits_free(&passages);
    }
    compare(postings, "the and of", 0.9, 0.4, NULL, 10); /* nothing but stop words */
    compare(postings, "nowhere", 0.9, 0.4, NULL, 10);
    compare(postings, "", 0.9, 0.4, NULL, 10);
    assay_postings_close(postings);
}

/* Passages that are all alike tie, and the first keys win. */
static void ties_go_to_the_first(void **state)
{
    (void)state;
    assert_ok(assay_store_begin(store, &error));
    for (uint32_t i = 0; i < 9000; i++) {
        char id[16];
        snprintf(id, sizeof id, "%u", i);
        assay_stored_passage passage = {.length = 9};
        assay_stored_document document = {.id = id, .text = {"same word", 9},
                                          .passages = &passage, .passage_count = 1};
        assert_ok(assay_document_put(store, &collection, &document, &error));
    }
    assert_ok(assay_store_commit(store, &error));
    assay_postings *postings = make_file();
    compare(postings, "same word", 0.9, 0.4, NULL, 7);
    compare(postings, "word", 0.9, 0.4, NULL, 7000);
    assay_postings_close(postings);
}

static void an_empty_collection_has_a_file(void **state)
{
    (void)state;
    assay_postings *postings = make_file();
    compare(postings, "word", 0.9, 0.4, NULL, 7);
    assert_int_equal(assay_postings_size_of(postings).passages, 0);
    assay_postings_close(postings);
}

static void the_file_follows_the_collection(void **state)
{
    (void)state;
    char index[128], file[160];
    uint64_t bytes;
    bool current;
    assay_postings *postings = NULL;
    fill(50);
    assert_ok(assay_word_index_update(store, &collection, ASSAY_WORD_INDEX_AUTO, 0.9, 0.4, NULL,
                                      NULL, &error));
    assay_word_index_describe(store, &collection, &bytes, &current);
    assert_true(bytes == 0 && !current); /* too small to be worth it */
    assert_ok(assay_word_index_update(store, &collection, ASSAY_WORD_INDEX_YES, 0.9, 0.4, NULL,
                                      NULL, &error));
    assay_word_index_describe(store, &collection, &bytes, &current);
    assert_true(bytes > 0 && current);
    assert_ok(assay_word_index_open(store, &collection, &postings, &error));
    assert_non_null(postings);
    fill(60);
    assert_ok(assay_collection_open(store, "c", &collection, &error));
    assay_word_index_describe(store, &collection, &bytes, &current);
    assert_true(bytes > 0 && !current);
    assert_ok(assay_word_index_open(store, &collection, &postings, &error));
    assert_null(postings); /* behind: FTS5 answers */
    assert_ok(assay_word_index_update(store, &collection, ASSAY_WORD_INDEX_AUTO, 0.9, 0.4, NULL,
                                      NULL, &error));
    assert_ok(assay_word_index_open(store, &collection, &postings, &error));
    assert_non_null(postings);
    compare(postings, "w1 w2 w3", 0.9, 0.4, NULL, 20);
    /* Damaged behind the header: only reading all of it tells. */
    assert_ok(assay_word_index_path(store, &collection, file, sizeof file, &error));
    FILE *stream = fopen(file, "r+");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, -30, SEEK_END), 0);
    int byte = fgetc(stream);
    fseek(stream, -30, SEEK_END);
    fputc(byte ^ 1, stream);
    fclose(stream);
    uint64_t problems;
    assert_int_equal(assay_store_check(store, NULL, NULL, &problems, &error), ASSAY_E_CORRUPT);
    assert_int_equal(problems, 1);
    assert_ok(assay_word_index_update(store, &collection, ASSAY_WORD_INDEX_AUTO, 0.9, 0.4, NULL,
                                      NULL, &error));
    assert_ok(assay_store_check(store, NULL, NULL, &problems, &error));
    assert_ok(assay_word_index_update(store, &collection, ASSAY_WORD_INDEX_NO, 0.9, 0.4, NULL,
                                      NULL, &error));
    assert_int_not_equal(access(file, F_OK), 0);
    assay_postings_close(postings);
    snprintf(index, sizeof index, "%s/index", home);
    assert_int_equal(rmdir(index), 0);
}

static void blocks_come_back(void **state)
{
    (void)state;
    uint32_t slots[ASSAY_POSTINGS_BLOCK], frequencies[ASSAY_POSTINGS_BLOCK];
    uint32_t slots_back[ASSAY_POSTINGS_BLOCK], frequencies_back[ASSAY_POSTINGS_BLOCK];
    uint8_t bytes[ASSAY_POSTINGS_PACKED];
    for (int round = 0; round < 2000; round++) {
        uint32_t gap = 1u << pick(25), most = 1u << pick(20), before = pick(2) ? UINT32_MAX : 77;
        uint32_t slot = before;
        for (size_t i = 0; i < ASSAY_POSTINGS_BLOCK; i++) {
            slot += 1 + (round % 7 == 0 ? 0 : pick(gap));
            slots[i] = slot;
            frequencies[i] = round % 5 == 0 ? 1 : 1 + pick(most);
        }
        size_t size = assay_postings_pack(slots, frequencies, before, bytes);
        uint8_t *exact = malloc(size); /* so that a read behind its end is seen */
        memcpy(exact, bytes, size);
        assert_true(assay_postings_unpack(exact, size, before, slots_back, frequencies_back));
        assert_memory_equal(slots, slots_back, sizeof slots);
        assert_memory_equal(frequencies, frequencies_back, sizeof frequencies);
        assert_false(assay_postings_unpack(exact, size - 1, before, slots_back,
                                           frequencies_back));
        free(exact);
    }
    for (uint32_t i = 0; i < ASSAY_POSTINGS_BLOCK; i++) { /* the widest of all */
        slots[i] = i == 0 ? UINT32_MAX - 200 : slots[i - 1] + 1;
        frequencies[i] = i % 2 ? UINT32_MAX : 1;
    }
    size_t size = assay_postings_pack(slots, frequencies, UINT32_MAX, bytes);
    assert_int_equal(size, ASSAY_POSTINGS_PACKED);
    assert_true(assay_postings_unpack(bytes, size, UINT32_MAX, slots_back, frequencies_back));
    assert_memory_equal(slots, slots_back, sizeof slots);
    assert_memory_equal(frequencies, frequencies_back, sizeof frequencies);
}

/* Cut or with a byte changed: refused, or safe to search. */
static void damage_does_no_harm(void **state)
{
    (void)state;
    char question[512];
    fill(400);
    assay_postings_close(make_file());
    FILE *stream = fopen(path, "r");
    static uint8_t whole[1 << 20];
    size_t size = fread(whole, 1, sizeof whole, stream);
    fclose(stream);
    assert_true(size > 1000 && size < sizeof whole);
    for (int i = 0; i < 1500; i++) {
        size_t cut = i % 3 == 0 ? pick((uint32_t)size) : size;
        uint8_t *copy = malloc(size);
        memcpy(copy, whole, size);
        for (int j = 0; j < 3; j++)
            copy[136 + pick((uint32_t)size - 136)] ^= (uint8_t)(1u << pick(8));
        stream = fopen(path, "w");
        fwrite(copy, 1, cut, stream);
        fclose(stream);
        free(copy);
        assay_postings *postings;
        if (assay_postings_open(path, &postings, &error) != ASSAY_OK) {
            assert_int_equal(error.code, ASSAY_E_CORRUPT);
            continue;
        }
        assert_int_equal(cut, size);
        if (assay_postings_verify(postings, &error) == ASSAY_OK)
            assert_true(i >= 0); /* the same bit twice */
        assay_arena *arena = assay_arena_new(0);
        const assay_term *terms;
        size_t count, term_count;
        question_of(question, sizeof question, 1 + pick(12));
        assert_ok(assay_store_terms(store, (assay_text){question, strlen(question)}, arena, &terms,
                                    &term_count, &error));
        assay_status status = assay_postings_search(postings, terms, term_count, 0.9, 0.4, NULL,
                                                    1 + pick(100), found, &count, &error);
        assert_true(status == ASSAY_OK || status == ASSAY_E_CORRUPT);
        assay_arena_free(arena);
        assay_postings_close(postings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test_setup_teardown(as_fts5_to_the_bit, open_store, close_store),
        cmocka_unit_test_setup_teardown(ties_go_to_the_first, open_store, close_store),
        cmocka_unit_test_setup_teardown(an_empty_collection_has_a_file, open_store, close_store),
        cmocka_unit_test_setup_teardown(the_file_follows_the_collection, open_store, close_store),
        cmocka_unit_test_setup_teardown(damage_does_no_harm, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
