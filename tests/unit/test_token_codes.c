/* SPDX-License-Identifier: Apache-2.0 */
/* test_token_codes.c: codes of token vectors: how near their scores come to those of the
 * vectors, that books survive being written, and that damaged ones are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "index/token_codes.h"

#include "clustered.h"

enum { ASKED = 7, PASSAGE = 20 };

/* A session's question of vectors that are there. */
static assay_question question_of(float (*rows)[DIMENSIONS])
{
    return (assay_question){.count = ASKED, .vectors = rows[0]};
}

static assay_token_book *book_of(uint32_t bits, uint32_t threads)
{
    assay_token_book *book;
    assert_int_equal(assay_token_book_make(DIMENSIONS, bits, 1000, 0.5, vectors[0], COUNT,
                                           threads, &book, &error),
                     ASSAY_OK);
    return book;
}

typedef struct coded {
    uint16_t centres[COUNT], factors[COUNT];
    uint8_t codes[COUNT * 64];
} coded;

static coded *encode(const assay_token_book *book, uint32_t threads)
{
    coded *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_true(assay_token_code_bytes(book->bits, DIMENSIONS) <= 64);
    assert_int_equal(assay_token_encode(book, vectors[0], COUNT, threads, c->centres, c->factors,
                                        c->codes, &error),
                     ASSAY_OK);
    return c;
}

static assay_token_codes passage_of(const coded *c, const assay_token_book *book, size_t first)
{
    return (assay_token_codes){PASSAGE, c->centres + first, c->factors + first,
                               c->codes + first * assay_token_code_bytes(book->bits, DIMENSIONS)};
}

static float exact(size_t first)
{
    double sum = 0;
    for (size_t q = 0; q < ASKED; q++) {
        double most = -INFINITY;
        for (size_t i = first; i < first + PASSAGE; i++) {
            double product = 0;
            for (size_t j = 0; j < DIMENSIONS; j++)
                product += (double)queries[q][j] * (double)vectors[i][j];
            most = fmax(most, product);
        }
        sum += most;
    }
    return (float)sum;
}

/* Root of the mean square of scores' errors, a query's token. */
static double error_of(uint32_t bits)
{
    assay_token_book *book = book_of(bits, 1);
    coded *c = encode(book, 1);
    assay_token_query query = {0};
    const assay_question question = question_of(queries);
    double squares = 0;
    size_t count = 0;
    assert_int_equal(assay_token_ask(&query, book, &question, &error), ASSAY_OK);
    for (size_t first = 0; first + PASSAGE <= COUNT; first += PASSAGE, count++) {
        const assay_token_codes passage = passage_of(c, book, first);
        double off = (double)(assay_token_maxsim(&query, &passage) - exact(first)) / ASKED;
        squares += off * off;
    }
    assay_token_query_free(&query);
    assay_token_book_free(book);
    free(c);
    return sqrt(squares / (double)count);
}

static void more_bits_are_nearer(void **state)
{
    (void)state;
    double one = error_of(1), two = error_of(2), four = error_of(4);
    if (!(one < 0.05 && two < 0.6 * one && four < 0.4 * two && four < 0.008))
        fail_msg("errors of 1, 2 and 4 bits: %g, %g, %g", one, two, four);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    assay_token_book *one = book_of(2, 1), *many = book_of(2, 3);
    assert_true(one->count > 1);
    assert_int_equal(one->count, many->count);
    assert_memory_equal(one->centres, many->centres,
                        one->count * DIMENSIONS * sizeof *one->centres);
    coded *a = encode(one, 1), *b = encode(many, 3);
    assert_memory_equal(a, b, sizeof *a);
    free(a);
    free(b);
    assay_token_book_free(one);
    assay_token_book_free(many);
}

static void books_are_written_and_read(void **state)
{
    (void)state;
    assay_token_book *book = book_of(4, 1), *again;
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_token_book_write(book, &bytes);
    assert_int_equal(assay_buffer_status(&bytes, NULL, NULL), ASSAY_OK);
    assert_int_equal(assay_token_book_read(bytes.data, bytes.length, "x", &again, &error),
                     ASSAY_OK);
    assert_int_equal(again->bits, 4);
    assert_int_equal(again->passages, 1000);
    assert_int_equal(again->count, book->count);
    assert_memory_equal(again->centres, book->centres,
                        book->count * DIMENSIONS * sizeof *book->centres);
    assay_token_book_free(again);
    for (size_t length = 0; length < bytes.length; length += 1 + length / 3)
        assert_int_equal(assay_token_book_read(bytes.data, length, "x", &again, &error),
                         ASSAY_E_CORRUPT);
    for (size_t i = 0; i < bytes.length; i += 1 + i / 8) {
        bytes.data[i] ^= 4;
        assert_int_equal(assay_token_book_read(bytes.data, bytes.length, "x", &again, &error),
                         ASSAY_E_CORRUPT);
        bytes.data[i] ^= 4;
    }
    assert_false(assay_token_book_outgrown(book, 9999));
    assert_true(assay_token_book_outgrown(book, 20000));
    assay_buffer_free(&bytes);
    assay_token_book_free(book);
}

/* A book that says that vectors are halves: read again, refused when damaged, of another
 * version than those of codes, and never outgrown. */
static void books_of_halves_are_plain(void **state)
{
    (void)state;
    enum { BITS_AT = 16, COUNT_AT = 20, SUM_AT = 32, LENGTH = 40 };
    assay_token_book *book, *again;
    assay_buffer bytes;
    assert_int_equal(assay_token_book_plain(DIMENSIONS, 1000, &book, &error), ASSAY_OK);
    assay_buffer_init(&bytes, 0);
    assay_token_book_write(book, &bytes);
    assert_int_equal(bytes.length, LENGTH);
    assert_int_equal(bytes.data[8], 2);
    assert_int_equal(assay_token_book_read(bytes.data, LENGTH, "x", &again, &error), ASSAY_OK);
    assert_false(assay_token_book_coded(again));
    assert_int_equal(again->dimensions, DIMENSIONS);
    assert_int_equal(again->passages, 1000);
    assert_false(assay_token_book_outgrown(again, 1000000));
    assay_token_book_free(again);
    static const struct { size_t at; char value; assay_status status; } wrong[] = {
        {8, 1, ASSAY_E_CORRUPT},  {8, 3, ASSAY_E_VERSION},        {BITS_AT, 4, ASSAY_E_CORRUPT},
        {BITS_AT, 8, ASSAY_E_CORRUPT}, {COUNT_AT, 1, ASSAY_E_CORRUPT}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char copy[LENGTH];
        memcpy(copy, bytes.data, LENGTH);
        assert_int_equal(copy[wrong[i].at] == wrong[i].value, false);
        copy[wrong[i].at] = wrong[i].value;
        assert_int_equal(assay_token_book_read(copy, LENGTH, "x", &again, &error),
                         ASSAY_E_CORRUPT); /* the checksum */
        uint64_t sum = assay_hash64(copy, SUM_AT);
        memcpy(copy + SUM_AT, &sum, sizeof sum);
        assert_int_equal(assay_token_book_read(copy, LENGTH, "x", &again, &error),
                         wrong[i].status);
    }
    assay_buffer_free(&bytes);
    assay_token_book_free(book);
}

/* A book of nothing, of one vector, of vectors that are all 0; centres that are none. */
static void odd_input_is_borne(void **state)
{
    (void)state;
    static float zeros[3][DIMENSIONS];
    const assay_question question = question_of(queries);
    for (size_t count = 0; count <= 3; count++) {
        assay_token_book *book;
        assay_token_query query = {0};
        coded *c = calloc(1, sizeof *c);
        assert_int_equal(assay_token_book_make(DIMENSIONS, 1, count, 1, zeros[0], count, 1,
                                               &book, &error),
                         ASSAY_OK);
        assert_int_equal(book->count, 1);
        assert_int_equal(assay_token_encode(book, zeros[0], count, 1, c->centres, c->factors,
                                            c->codes, &error),
                         ASSAY_OK);
        assert_int_equal(assay_token_ask(&query, book, &question, &error), ASSAY_OK);
        assay_token_codes passage = passage_of(c, book, 0);
        passage.count = count;
        float score = assay_token_maxsim(&query, &passage);
        assert_true(count == 0 ? isinf(score) : score == 0);
        if (count > 0) {
            c->centres[0] = 1;
            assert_true(isnan(assay_token_maxsim(&query, &passage)));
        }
        assay_token_query_free(&query);
        assay_token_book_free(book);
        free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_bits_are_nearer),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(books_are_written_and_read),
        cmocka_unit_test(books_of_halves_are_plain),
        cmocka_unit_test(odd_input_is_borne),
    };
    return cmocka_run_group_tests(tests, make_vectors, remove_file);
}
