/* SPDX-License-Identifier: Apache-2.0 */
/* test_flat.c: the k best, the flat index file and its search. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "index/flat.h"

enum { COUNT = 3000, DIMENSIONS = 37, LIMIT = 50 };

static char path[] = "/tmp/assay-flat-XXXXXX";
static float vectors[COUNT][DIMENSIONS];
static const assay_flat_stamp stamp = {.collection = 7, .generation = 9, .dimensions = DIMENSIONS};

static float next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) / 2147483648.0f;
}

static uint64_t key_of(size_t i)
{
    return 10 * i + 3;
}

static int write_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    uint64_t seed = 1;
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < DIMENSIONS; j++)
            vectors[i][j] = i % 5 == 4 ? vectors[i - 1][j] : next_random(&seed);
    assay_flat_writer *writer;
    assay_error error;
    if (assay_flat_create(path, &stamp, &writer, &error) != ASSAY_OK)
        return -1;
    for (size_t i = 0; i < COUNT; i++)
        if (assay_flat_append(writer, key_of(i), vectors[i], &error) != ASSAY_OK)
            return -1;
    return assay_flat_commit(writer, &error) == ASSAY_OK ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void best_keeps_the_first_in_order(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 20; limit++) {
        assay_candidate kept[20], all[200];
        assay_best best = {.items = kept, .limit = limit};
        uint64_t seed = limit + 1;
        for (size_t i = 0; i < 200; i++) {
            all[i] = (assay_candidate){i * 7919 % 200, floorf(10 * next_random(&seed))};
            assay_best_add(&best, all[i]);
        }
        assay_best_add(&best, (assay_candidate){1, NAN});
        assay_best_sort(&best);
        assay_candidates_sort(all, 200);
        assert_int_equal(best.count, limit);
        for (size_t i = 0; i < limit; i++) {
            assert_int_equal(best.items[i].passage, all[i].passage);
            assert_true(best.items[i].score == all[i].score);
        }
    }
}

/* Equal vectors stand in key order; the number of threads changes nothing. */
static void search_is_exact_whatever_the_threads(void **state)
{
    (void)state;
    assay_flat *flat;
    assay_error error;
    assert_int_equal(assay_flat_open(path, &flat, &error), ASSAY_OK);
    assert_int_equal(assay_flat_verify(flat, &error), ASSAY_OK);
    assert_int_equal(assay_flat_count(flat), COUNT);
    assert_int_equal(assay_flat_stamp_of(flat).generation, stamp.generation);
    assay_candidate found[2][LIMIT];
    for (uint32_t workers = 1; workers <= 2; workers++) {
        assay_flat_scratch *scratch = assay_flat_scratch_new(LIMIT, workers);
        for (int repeat = 0; repeat < 2; repeat++)
            assert_int_equal(assay_flat_search(flat, vectors[17], NULL, scratch, found[workers - 1]),
                             LIMIT);
        assay_flat_scratch_free(scratch);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    for (size_t i = 0; i < LIMIT; i++) {
        double exact = 0, better = 0;
        size_t at = (size_t)(found[0][i].passage - 3) / 10;
        for (size_t j = 0; j < DIMENSIONS; j++)
            exact += (double)vectors[17][j] * vectors[at][j];
        assert_true(fabs(exact - found[0][i].score) < 1e-4);
        for (size_t other = 0; other < COUNT; other++) {
            double dot = 0;
            for (size_t j = 0; j < DIMENSIONS; j++)
                dot += (double)vectors[17][j] * vectors[other][j];
            better += dot > exact + 1e-4;
        }
        assert_true(better <= (double)i);
        if (i > 0)
            assert_true(assay_candidate_before(found[0][i - 1], found[0][i]));
    }
    assay_flat_close(flat);
}

/* By codes as without them, to the bit: also of vectors that bytes cannot tell apart. */
static void codes_change_nothing(void **state)
{
    (void)state;
    static float many[COUNT][DIMENSIONS], scales[COUNT];
    static uint64_t keys[COUNT];
    size_t bytes = assay_code_bytes(ASSAY_CODE_I8, DIMENSIONS);
    void *rows = aligned_alloc(64, COUNT * bytes);
    assay_codes codes = assay_codes_over(ASSAY_CODE_I8, DIMENSIONS, rows, scales);
    uint64_t seed = 5;
    for (uint32_t i = 0; i < COUNT; i++) {
        keys[i] = i % 11 == 5 ? 0 : key_of(i);
        for (size_t j = 0; j < DIMENSIONS; j++)
            many[i][j] = i % 3 == 0 ? next_random(&seed)
                                    : vectors[17][j] * (float)(1 + i % 7) + 1e-3f * next_random(&seed);
        assay_codes_put(&codes, i, many[i], NULL);
    }
    assay_flat *with = assay_flat_over(many[0], &codes, keys, COUNT, &stamp);
    assay_flat *without = assay_flat_over(many[0], NULL, keys, COUNT, &stamp);
    for (uint32_t limit = 0; limit <= LIMIT; limit += 10) {
        assay_flat_scratch *scratch = assay_flat_scratch_new(limit, 1 + limit / 10 % 2);
        for (size_t q = 0; q < 40; q++) {
            assay_candidate found[2][LIMIT];
            size_t count = assay_flat_search(with, many[q * 7], NULL, scratch, found[0]);
            assert_int_equal(assay_flat_search(without, many[q * 7], NULL, scratch, found[1]), count);
            assert_int_equal(count, limit);
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(found[0][i].passage, found[1][i].passage);
                assert_true(found[0][i].score == found[1][i].score);
            }
        }
        assay_flat_scratch_free(scratch);
    }
    assay_flat_close(with);
    assay_flat_close(without);
    free(rows);
}

static void empty_index_finds_nothing(void **state)
{
    (void)state;
    char empty[] = "/tmp/assay-flat-XXXXXX";
    close(mkstemp(empty));
    assay_flat_writer *writer;
    assay_flat *flat;
    assay_error error;
    assay_candidate found[LIMIT];
    assert_int_equal(assay_flat_create(empty, &stamp, &writer, &error), ASSAY_OK);
    assert_int_equal(assay_flat_commit(writer, &error), ASSAY_OK);
    assert_int_equal(assay_flat_open(empty, &flat, &error), ASSAY_OK);
    assert_int_equal(assay_flat_verify(flat, &error), ASSAY_OK);
    assay_flat_scratch *scratch = assay_flat_scratch_new(LIMIT, 0);
    assert_int_equal(assay_flat_search(flat, vectors[0], NULL, scratch, found), 0);
    assay_flat_scratch_free(scratch);
    assay_flat_close(flat);
    unlink(empty);
}

/* Writes data[size] to a new file and tries to open and verify it. */
static assay_status open_bytes(const void *data, size_t size, assay_error *error)
{
    char copy[] = "/tmp/assay-flat-XXXXXX";
    int fd = mkstemp(copy);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    close(fd);
    assay_flat *flat;
    assay_status status = assay_flat_open(copy, &flat, error);
    if (status == ASSAY_OK) {
        status = assay_flat_verify(flat, error);
        assay_flat_close(flat);
    }
    unlink(copy);
    return status;
}

static void damage_is_told(void **state)
{
    (void)state;
    assay_mapping file;
    assay_error error;
    assert_int_equal(assay_map_open(path, &file, &error), ASSAY_OK);
    uint8_t *bytes = malloc(file.size);
    assert_non_null(bytes);
    const size_t cuts[] = {0, 1, 63, 64, 1000, file.size - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        assert_int_equal(open_bytes(file.data, cuts[i], &error), ASSAY_E_CORRUPT);
    const size_t flips[] = {0, 9, 12, 16, 24, 40, 56, 64, 5000, file.size - 1};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        memcpy(bytes, file.data, file.size);
        bytes[flips[i]] ^= 1;
        assay_status status = open_bytes(bytes, file.size, &error);
        assert_true(status == ASSAY_E_CORRUPT || (flips[i] == 9 && status == ASSAY_E_VERSION));
    }
    /* A header that lies about its size, with a checksum that agrees. */
    memcpy(bytes, file.data, file.size);
    uint64_t huge = UINT64_MAX / DIMENSIONS / 4 + 1;
    memcpy(bytes + 16, &huge, sizeof huge);
    uint64_t checksum = assay_hash64(bytes, 56);
    memcpy(bytes + 56, &checksum, sizeof checksum);
    assert_int_equal(open_bytes(bytes, file.size, &error), ASSAY_E_CORRUPT);
    assert_non_null(strstr(error.message, "do not hold"));
    free(bytes);
    assay_map_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_keeps_the_first_in_order),
        cmocka_unit_test(search_is_exact_whatever_the_threads),
        cmocka_unit_test(codes_change_nothing),
        cmocka_unit_test(empty_index_finds_nothing),
        cmocka_unit_test(damage_is_told),
    };
    return cmocka_run_group_tests(tests, write_file, remove_file);
}
