/* SPDX-License-Identifier: Apache-2.0 */
/* test_token_ids.c: token ids as bytes: the same back, and any damage noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "text/token_ids.h"

static assay_buffer bytes;
static assay_arena *arena;

static int set_up(void **state)
{
    (void)state;
    assay_buffer_init(&bytes, 0);
    arena = assay_arena_new(0);
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    assay_buffer_free(&bytes);
    assay_arena_free(arena);
    return 0;
}

static assay_status decode(size_t length, assay_token_ids *out)
{
    assay_arena_reset(arena);
    return assay_token_ids_decode(bytes.data, length, arena, out, NULL);
}

static void ids_come_back(void **state)
{
    (void)state;
    static const int32_t ids[] = {0, 1, 127, 128, 16383, 16384, 30521, 250001, INT32_MAX};
    for (size_t count = 0; count <= sizeof ids / sizeof *ids; count++) {
        assay_token_ids found;
        assay_buffer_clear(&bytes);
        assay_token_ids_encode(ids, count, &bytes);
        assert_int_equal(assay_buffer_status(&bytes, NULL, NULL), ASSAY_OK);
        assert_int_equal(decode(bytes.length, &found), ASSAY_OK);
        assert_non_null(found.ids);
        assert_int_equal(found.count, count);
        assert_int_equal(found.total, count);
        if (count > 0)
            assert_memory_equal(found.ids, ids, count * sizeof *ids);
    }
}

static void no_more_than_any_model_reads_is_kept(void **state)
{
    (void)state;
    enum { MANY = ASSAY_TOKEN_IDS_MAX + 5 };
    static int32_t ids[MANY];
    for (int i = 0; i < MANY; i++)
        ids[i] = i;
    for (size_t count = ASSAY_TOKEN_IDS_MAX - 1; count <= MANY; count++) {
        assay_token_ids found;
        assay_buffer_clear(&bytes);
        assay_token_ids_encode(ids, count, &bytes);
        assert_int_equal(decode(bytes.length, &found), ASSAY_OK);
        assert_int_equal(found.total, count);
        assert_int_equal(found.count,
                         count < ASSAY_TOKEN_IDS_MAX ? count : ASSAY_TOKEN_IDS_MAX);
        assert_memory_equal(found.ids, ids, found.count * sizeof *ids);
    }
}

static void damage_is_noticed(void **state)
{
    (void)state;
    static const int32_t ids[] = {101, 2054, 2003, 29999, 5, 102};
    assay_token_ids found;
    assay_buffer_append(&bytes, "before", 6); /* encode appends */
    assay_token_ids_encode(ids, 6, &bytes);
    memmove(bytes.data, bytes.data + 6, bytes.length -= 6);
    for (size_t length = 0; length < bytes.length; length++)
        assert_int_equal(decode(length, &found), ASSAY_E_CORRUPT);
    for (size_t bit = 0; bit < 8 * bytes.length; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(decode(bytes.length, &found), ASSAY_E_CORRUPT);
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(decode(bytes.length, &found), ASSAY_OK);
    assert_int_equal(assay_token_ids_decode(NULL, 0, arena, &found, NULL), ASSAY_E_CORRUPT);
}

/* Bytes with a right check that are none of encode's. */
static void numbers_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *numbers;
        size_t length;
        assay_status status;
    } cases[] = {
        {"\x01\x07", 2, ASSAY_OK},
        {"\x00", 1, ASSAY_OK},
        {"\x02\x07", 2, ASSAY_E_CORRUPT},         /* fewer ids than said */
        {"\x01\x07\x07", 3, ASSAY_E_CORRUPT},     /* more */
        {"\x80", 1, ASSAY_E_CORRUPT},             /* no end */
        {"\x01\x87", 2, ASSAY_E_CORRUPT},
        {"\x01\x80\x80\x80\x80\x08", 6, ASSAY_E_CORRUPT}, /* 2^31 */
        {"\x01\xff\xff\xff\xff\x07", 6, ASSAY_OK},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, ASSAY_E_CORRUPT},
        {"\xff\xff\xff\xff\x7f\x01", 6, ASSAY_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_token_ids found;
        uint64_t hash = assay_hash64(cases[i].numbers, cases[i].length);
        assay_buffer_clear(&bytes);
        for (int byte = 0; byte < 4; byte++)
            assay_buffer_byte(&bytes, (char)(hash >> (8 * byte)));
        assay_buffer_append(&bytes, cases[i].numbers, cases[i].length);
        assert_int_equal(decode(bytes.length, &found), cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_than_any_model_reads_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_that_make_no_sense_are_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
