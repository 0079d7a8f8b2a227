/* SPDX-License-Identifier: Apache-2.0 */
/* test_token_lists.c: candidates of late interaction by centres, against all passages
 * compared, and the file that they lie in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "index/token_lists.h"

#include "clustered.h"

enum { ASKED = 7, PASSAGE = 20, PASSAGES = COUNT / PASSAGE };

typedef struct fixture {
    assay_token_book *book;
    uint16_t centres[COUNT], factors[COUNT];
    uint8_t codes[COUNT * 64];
    assay_token_query query;
    assay_token_lists *lists;
} fixture;

static const assay_token_stamp stamp = {.collection = 3, .generation = 5, .book = 7};

static uint64_t key_of(size_t passage)
{
    return 10 * passage + 3;
}

static assay_token_lists *lists_of(const fixture *f, size_t passages)
{
    assay_token_lists *lists;
    assay_token_stamp own = stamp;
    own.centres = f->book->count;
    assert_int_equal(assay_token_lists_new(&own, &lists, &error), ASSAY_OK);
    for (size_t p = 0; p < passages; p++)
        assert_int_equal(assay_token_lists_add(lists, key_of(p), f->centres + p * PASSAGE,
                                               p % 10 == 9 ? 0 : PASSAGE, &error),
                         ASSAY_OK);
    assert_int_equal(assay_token_lists_finish(lists, &error), ASSAY_OK);
    return lists;
}

static fixture *fixture_new(void)
{
    fixture *f = calloc(1, sizeof *f);
    const assay_question question = {.count = ASKED, .vectors = queries[0]};
    assert_non_null(f);
    assert_int_equal(assay_token_book_make(DIMENSIONS, 4, PASSAGES, 1, vectors[0], COUNT, 1,
                                           &f->book, &error),
                     ASSAY_OK);
    assert_int_equal(assay_token_encode(f->book, vectors[0], COUNT, 1, f->centres, f->factors,
                                        f->codes, &error),
                     ASSAY_OK);
    assert_int_equal(assay_token_ask(&f->query, f->book, &question, &error), ASSAY_OK);
    f->lists = lists_of(f, PASSAGES);
    return f;
}

static void fixture_free(fixture *f)
{
    assay_token_query_free(&f->query);
    assay_token_book_free(f->book);
    assay_token_lists_free(f->lists);
    free(f);
}

/* The best `most`; returns how many. */
static size_t search(const fixture *f, const assay_token_lists *lists, uint32_t nprobe,
                     const assay_bits *allowed, size_t most, assay_candidate *out)
{
    assay_best best = {.items = out, .limit = most};
    const assay_token_probing find = {nprobe, allowed};
    assert_int_equal(assay_token_lists_search(lists, &f->query, &find, &best, &error), ASSAY_OK);
    assay_best_sort(&best);
    return best.count;
}

/* A passage's score by centres, the slow way. */
static float slow(const fixture *f, size_t passage)
{
    double sum = 0;
    for (size_t q = 0; q < ASKED; q++) {
        float most = -INFINITY;
        for (size_t i = 0; i < PASSAGE; i++) {
            const float *centre =
                f->book->centres + f->centres[passage * PASSAGE + i] * (size_t)DIMENSIONS;
            most = fmaxf(most, dot(queries[q], centre));
        }
        sum += (double)most;
    }
    return (float)sum;
}

static void all_centres_find_all(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    assay_candidate found[PASSAGES];
    assert_true(f->book->count <= 256);
    size_t count = search(f, f->lists, 256, NULL, PASSAGES, found);
    assert_int_equal(count, PASSAGES - PASSAGES / 10); /* the others have no token */
    for (size_t i = 0; i < count; i++) {
        size_t passage = (found[i].passage - 3) / 10;
        assert_true(fabsf(found[i].score - slow(f, passage)) < 1e-4f);
        assert_true(i == 0 || !(found[i].score > found[i - 1].score));
    }
    fixture_free(f);
}

static void few_centres_find_the_best(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    assay_candidate all[PASSAGES], found[PASSAGES];
    search(f, f->lists, 256, NULL, PASSAGES, all);
    size_t count = search(f, f->lists, 4, NULL, 10, found);
    assert_int_equal(count, 10);
    assert_memory_equal(all, found, sizeof *all);
    size_t few = search(f, f->lists, 1, NULL, PASSAGES, found);
    assert_true(few > 0 && few < PASSAGES - PASSAGES / 10);
    fixture_free(f);
}

static void a_filter_is_kept_to(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    assay_candidate found[PASSAGES];
    assay_bits allowed;
    assert_int_equal(assay_bits_new(&allowed, 50, &error), ASSAY_OK);
    assay_bits_add(&allowed, key_of(2));
    assay_bits_add(&allowed, key_of(4));
    assay_bits_add(&allowed, 44);
    assert_int_equal(search(f, f->lists, 256, &allowed, PASSAGES, found), 2);
    assay_bits_free(&allowed);
    fixture_free(f);
}

static void the_file_says_the_same(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    assay_candidate before[PASSAGES], after[PASSAGES];
    assay_token_lists *again;
    assert_int_equal(assay_token_lists_save(f->lists, path, &error), ASSAY_OK);
    assert_int_equal(assay_token_lists_open(path, &again, &error), ASSAY_OK);
    assay_token_stamp is = assay_token_lists_stamp(again);
    assert_true(is.collection == 3 && is.generation == 5 && is.book == 7 &&
                is.centres == f->book->count);
    size_t count = search(f, f->lists, 3, NULL, 50, before);
    assert_int_equal(search(f, again, 3, NULL, 50, after), count);
    assert_memory_equal(before, after, count * sizeof *before);
    assay_token_lists_free(again);
    fixture_free(f);
}

static void a_damaged_file_is_refused(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    size_t size;
    assay_token_lists *lists = lists_of(f, 12), *again;
    assert_int_equal(assay_token_lists_save(lists, path, &error), ASSAY_OK);
    uint8_t *bytes = read_all(&size);
    for (size_t i = 0; i < size; i += 1 + i / 40) {
        bytes[i] ^= 1;
        write_all(bytes, size);
        bytes[i] ^= 1;
        assay_status status = assay_token_lists_open(path, &again, &error);
        if (status == ASSAY_OK) { /* filler between sections */
            assert_int_equal(bytes[i], 0);
            assay_token_lists_free(again);
        } else {
            assert_true(status == ASSAY_E_CORRUPT || status == ASSAY_E_VERSION);
        }
    }
    for (size_t length = 0; length < size; length += 1 + length / 8) {
        write_all(bytes, length);
        assert_int_equal(assay_token_lists_open(path, &again, &error), ASSAY_E_CORRUPT);
    }
    free(bytes);
    assay_token_lists_free(lists);
    fixture_free(f);
}

static void nothing_is_found_in_nothing(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    assay_candidate found[1];
    assay_token_lists *none = lists_of(f, 0), *again;
    const uint16_t wrong = (uint16_t)f->book->count;
    assert_int_equal(search(f, none, 0, NULL, 1, found), 0);
    assert_int_equal(assay_token_lists_save(none, path, &error), ASSAY_OK);
    assert_int_equal(assay_token_lists_open(path, &again, &error), ASSAY_OK);
    assert_int_equal(search(f, again, 0, NULL, 1, found), 0);
    assert_int_equal(assay_token_lists_add(none, 1, &wrong, 1, &error), ASSAY_E_ARGUMENT);
    assay_token_lists_free(none);
    assay_token_lists_free(again);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_centres_find_all),
        cmocka_unit_test(few_centres_find_the_best),
        cmocka_unit_test(a_filter_is_kept_to),
        cmocka_unit_test(the_file_says_the_same),
        cmocka_unit_test(a_damaged_file_is_refused),
        cmocka_unit_test(nothing_is_found_in_nothing),
    };
    return cmocka_run_group_tests(tests, make_vectors, remove_file);
}
