/* SPDX-License-Identifier: Apache-2.0 */
/* test_ivf.c: lists around centres: what they promise, and their file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bits.h"
#include "index/ivf_lists.h"

#include "clustered.h" /* last: it has names of its own */

static assay_ivf *build(assay_code_kind codes, size_t count, uint32_t threads)
{
    assay_ivf *ivf;
    assay_ivf_options options = {.dimensions = DIMENSIONS, .codes = codes, .seed = 5};
    if (assay_ivf_build(&options, keys, vectors[0], count, threads, NULL, NULL, &ivf, &error) !=
        ASSAY_OK)
        fail_msg("%s", error.message);
    return ivf;
}

/* ------------------------------------------------------------------ promises */

/* Each vector is there once, as it was given, in the list of the nearest centre. */
static void expect_sound(const assay_ivf *ivf, size_t count)
{
    uint32_t lists = ivf->options.lists;
    assert_int_equal(ivf->count, count);
    assert_int_equal(ivf->starts[0], 0);
    assert_int_equal(ivf->starts[lists], count);
    for (uint32_t l = 0; l < lists; l++)
        for (uint32_t slot = ivf->starts[l]; slot < ivf->starts[l + 1]; slot++) {
            const float *x = ivf->vectors + (size_t)slot * DIMENSIONS;
            float own = dot(x, ivf->centres + l * DIMENSIONS);
            for (uint32_t other = 0; other < lists; other++)
                assert_true(dot(x, ivf->centres + other * DIMENSIONS) <= own + 1e-5f);
            assert_true(ivf->keys[slot] != 0);
        }
}

static double recall(const assay_ivf *ivf, const uint64_t *allowed, uint32_t nprobe, uint32_t ef)
{
    assay_ivf_scratch *scratch = assay_ivf_scratch_new(ivf, ef);
    uint32_t hits = 0, wanted = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        assay_candidate best[K], found[K];
        assay_best exact = {.items = best, .limit = K};
        for (uint32_t slot = 0; slot < ivf->count; slot++)
            if (allowed == NULL || allowed[slot / 64] >> slot % 64 & 1)
                assay_best_add(&exact, (assay_candidate){ivf->keys[slot],
                               dot(queries[q], ivf->vectors + (size_t)slot * DIMENSIONS)});
        assay_best_sort(&exact);
        assay_ivf_find find = {.k = K, .nprobe = nprobe, .ef = ef, .allowed = allowed};
        size_t count = assay_ivf_search(ivf, queries[q], &find, scratch, found);
        wanted += (uint32_t)exact.count;
        for (size_t i = 0; i < count; i++) {
            hits += found[i].score >= best[exact.count - 1].score - 1e-5f;
            assert_true(i == 0 || assay_candidate_before(found[i - 1], found[i]));
        }
    }
    assay_ivf_scratch_free(scratch);
    return wanted > 0 ? (double)hits / wanted : 1;
}

static void finds_what_is_near(void **state)
{
    (void)state;
    for (assay_code_kind codes = ASSAY_CODE_F32; codes <= ASSAY_CODE_B1; codes++) {
        assay_ivf *ivf = build(codes, COUNT, 0);
        expect_sound(ivf, COUNT);
        double found = recall(ivf, NULL, 60, 4 * EF);
        if (found < 0.95)
            fail_msg("%s: recall %.3f in 60 lists", assay_code_name(codes), found);
        found = recall(ivf, NULL, ivf->options.lists, 10 * EF);
        if (found < 0.995)
            fail_msg("%s: recall %.3f in all lists", assay_code_name(codes), found);
        assay_ivf_free(ivf);
    }
}

static void lists_are_balanced(void **state)
{
    (void)state;
    assay_ivf *ivf = build(ASSAY_CODE_F32, COUNT, 0);
    double mean = (double)COUNT / ivf->options.lists, squares = 0;
    for (uint32_t l = 0; l < ivf->options.lists; l++) {
        double size = ivf->starts[l + 1] - ivf->starts[l];
        squares += size * size / (mean * mean);
    }
    squares /= ivf->options.lists; /* 1 when all are equal; by so much a probe is dearer */
    if (squares > 1.8 || assay_ivf_longest(ivf) > 6 * mean)
        fail_msg("imbalance %.2f, longest %u, mean %.1f", squares, assay_ivf_longest(ivf), mean);
    assay_ivf_free(ivf);
}

static void is_the_same_with_any_threads(void **state)
{
    (void)state;
    assay_ivf *one = build(ASSAY_CODE_B1, COUNT, 1), *all = build(ASSAY_CODE_B1, COUNT, 0);
    for (assay_ivf_section s = 0; s < IVF_SECTIONS; s++)
        assert_memory_equal(one->sections[s], all->sections[s], assay_ivf_section_bytes(one, s));
    assert_memory_equal(&one->near, &all->near, sizeof one->near);
    assay_ivf_free(one);
    assay_ivf_free(all);
}

static void keeps_recall_under_a_filter(void **state)
{
    (void)state;
    assay_ivf *ivf = build(ASSAY_CODE_I8, COUNT, 0);
    static const double shares[] = {0.5, 0.1, 0.01, 0.001, 0};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t allowed[COUNT / 64 + 1] = {0};
        for (uint32_t slot = 0; slot < COUNT; slot++)
            if (uniform() < shares[i])
                allowed[slot / 64] |= (uint64_t)1 << slot % 64;
        double found = recall(ivf, allowed, 60, EF);
        if (found < 0.95)
            fail_msg("%g let through: recall %.3f", shares[i], found);
    }
    assay_ivf_free(ivf);
}

/* However few lists are looked into at first. */
static void gives_as_many_as_are_wanted(void **state)
{
    (void)state;
    enum { MANY = 700 };
    assay_ivf *ivf = build(ASSAY_CODE_I8, COUNT, 0);
    assay_ivf_scratch *scratch = assay_ivf_scratch_new(ivf, MANY);
    uint64_t allowed[COUNT / 64 + 1] = {0};
    assay_candidate found[MANY];
    assay_ivf_find find = {.k = MANY, .nprobe = 1};
    assert_int_equal(assay_ivf_search(ivf, queries[0], &find, scratch, found), MANY);
    for (size_t i = 1; i < MANY; i++)
        assert_true(assay_candidate_before(found[i - 1], found[i]));
    allowed[0] = 7;
    allowed[COUNT / 64 - 1] = 1;
    find.allowed = allowed;
    assert_int_equal(assay_ivf_search(ivf, queries[0], &find, scratch, found), 4);
    assay_ivf_scratch_free(scratch);
    assay_ivf_free(ivf);
}

/* ------------------------------------------------------------------- change */

static void vectors_come_and_go(void **state)
{
    (void)state;
    uint64_t gone[COUNT / 2];
    size_t gone_count = 0;
    for (size_t i = 0; i < COUNT / 2; i += 3)
        gone[gone_count++] = keys[i];
    for (assay_code_kind codes = ASSAY_CODE_F32; codes <= ASSAY_CODE_B1; codes++) {
        assay_ivf *half = build(codes, COUNT / 2, 0), *ivf;
        assert_int_equal(assay_ivf_change(half, gone, gone_count, keys + COUNT / 2,
                                          vectors[COUNT / 2], COUNT / 2, 0, &ivf, &error),
                         ASSAY_OK);
        assay_ivf_free(half);
        expect_sound(ivf, COUNT - gone_count);
        for (uint32_t slot = 0; slot < ivf->count; slot++) {
            size_t i = (ivf->keys[slot] - 3) / 10;
            assert_true(i >= COUNT / 2 || i % 3 != 0);
            assert_memory_equal(ivf->vectors + (size_t)slot * DIMENSIONS, vectors[i],
                                sizeof vectors[i]);
        }
        double found = recall(ivf, NULL, 60, 4 * EF);
        if (found < 0.95)
            fail_msg("%s: recall %.3f after changes", assay_code_name(codes), found);
        assay_ivf_free(ivf);
    }
}

/* Lists that vectors of another kind came into, or too many of them, want new centres. */
static void drift_is_seen(void **state)
{
    (void)state;
    enum { MORE = 400 };
    static float other[MORE][DIMENSIONS];
    assay_ivf *ivf = build(ASSAY_CODE_I8, 1000, 0), *changed;
    assert_false(assay_ivf_drifted(ivf));
    assert_int_equal(assay_ivf_change(ivf, NULL, 0, keys + 1000, vectors[1000], 300, 0, &changed,
                                      &error), ASSAY_OK);
    assert_false(assay_ivf_drifted(changed));
    assay_ivf_free(changed);
    assert_int_equal(assay_ivf_change(ivf, NULL, 0, keys + 1000, vectors[1000], 1500, 0, &changed,
                                      &error), ASSAY_OK);
    assert_true(assay_ivf_drifted(changed));
    assay_ivf_free(changed);
    for (size_t i = 0; i < MORE; i++) {
        for (size_t j = 0; j < DIMENSIONS; j++)
            other[i][j] = gauss();
        normalise(other[i]);
    }
    assert_int_equal(assay_ivf_change(ivf, NULL, 0, keys + 1000, other[0], MORE, 0, &changed,
                                      &error), ASSAY_OK);
    assert_true(assay_ivf_drifted(changed));
    assay_ivf_free(changed);
    assert_int_equal(assay_ivf_change(ivf, keys, 1000, NULL, NULL, 0, 0, &changed, &error),
                     ASSAY_OK);
    assert_int_equal(changed->count, 0);
    assert_true(assay_ivf_drifted(changed));
    assert_true(recall(changed, NULL, 5, 5) == 1); /* of nothing */
    assay_ivf_free(changed);
    assay_ivf_free(ivf);
}

/* ------------------------------------------------------------------ the file */

static void a_file_gives_the_same_answers(void **state)
{
    (void)state;
    for (assay_code_kind codes = ASSAY_CODE_F32; codes <= ASSAY_CODE_B1; codes++) {
        assay_ivf *ivf = build(codes, COUNT, 0), *mapped;
        assert_int_equal(assay_ivf_save(ivf, path, 7, 9, &error), ASSAY_OK);
        assert_int_equal(assay_ivf_open(path, &mapped, &error), ASSAY_OK);
        assert_int_equal(assay_ivf_verify(mapped, &error), ASSAY_OK);
        assay_ivf_info info;
        assay_ivf_describe(mapped, &info);
        assert_int_equal(info.collection, 7);
        assert_int_equal(info.generation, 9);
        assert_int_equal(info.count, COUNT);
        assert_int_equal(info.trained, COUNT);
        assay_ivf_scratch *a = assay_ivf_scratch_new(ivf, EF);
        assay_ivf_scratch *b = assay_ivf_scratch_new(mapped, EF);
        for (size_t q = 0; q < QUERIES; q++) {
            assay_candidate one[K], two[K];
            assay_ivf_find find = {.k = K, .ef = EF};
            assert_int_equal(assay_ivf_search(ivf, queries[q], &find, a, one), K);
            assert_int_equal(assay_ivf_search(mapped, queries[q], &find, b, two), K);
            assert_memory_equal(one, two, sizeof one);
        }
        assay_ivf_scratch_free(a);
        assay_ivf_scratch_free(b);
        assay_ivf_free(ivf);
        assay_ivf_free(mapped);
    }
}

static void expect_safe(assay_ivf *read)
{
    assay_ivf_scratch *scratch = assay_ivf_scratch_new(read, EF);
    assay_candidate found[K];
    assay_ivf_find find = {.k = K, .ef = EF};
    assay_ivf_search(read, queries[0], &find, scratch, found);
    assay_ivf_scratch_free(scratch);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    assay_ivf *ivf = build(ASSAY_CODE_B1, 500, 0), *read;
    size_t size;
    assert_int_equal(assay_ivf_save(ivf, path, 7, 9, &error), ASSAY_OK);
    assay_ivf_free(ivf);
    uint8_t *bytes = read_all(&size);
    for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
        write_all(bytes, cut);
        assert_int_equal(assay_ivf_open(path, &read, &error), ASSAY_E_CORRUPT);
        assert_true(error.message[0] != '\0');
    }
    for (size_t at = 0; at < size; at += at < 128 ? 1 : 499) {
        bytes[at] ^= 0x55;
        write_all(bytes, size);
        assay_status status = assay_ivf_open(path, &read, &error);
        if (status == ASSAY_OK) {
            status = assay_ivf_verify(read, &error);
            assert_true(status == ASSAY_E_CORRUPT || (at >= 128 && (bytes[at] ^ 0x55) == 0));
            expect_safe(read);
            assay_ivf_free(read);
        } else {
            assert_true(status == ASSAY_E_CORRUPT || (status == ASSAY_E_VERSION && at < 12));
        }
        bytes[at] ^= 0x55;
    }
    free(bytes);
    assert_int_equal(assay_ivf_open("/nonexistent/file", &read, &error), ASSAY_E_NOT_FOUND);
}

/* ------------------------------------------------------------------ bad input */

static bool stop(uint64_t done, uint64_t total, void *user)
{
    (void)done, (void)total, (void)user;
    return false;
}

static bool follow(uint64_t done, uint64_t total, void *user)
{
    uint64_t *seen = user;
    assert_true(done > seen[0] && done <= total && (seen[1] == 0 || total == seen[1]));
    seen[0] = done;
    seen[1] = total;
    return true;
}

static void progress_comes_to_its_end(void **state)
{
    (void)state;
    uint64_t seen[2] = {0};
    assay_ivf *ivf;
    assay_ivf_options options = {.dimensions = DIMENSIONS};
    assert_int_equal(assay_ivf_build(&options, keys, vectors[0], COUNT, 0, follow, seen, &ivf,
                                     &error), ASSAY_OK);
    assert_true(seen[0] == seen[1] && seen[0] > COUNT);
    assay_ivf_free(ivf);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    assay_ivf *ivf;
    assay_ivf_options bad[] = {{.dimensions = 0},
                               {.dimensions = 1 << 17},
                               {.dimensions = DIMENSIONS, .lists = 1 << 20},
                               {.dimensions = DIMENSIONS, .codes = 77}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(assay_ivf_build(&bad[i], keys, vectors[0], 0, 0, NULL, NULL, &ivf, &error),
                         ASSAY_E_ARGUMENT);
    assay_ivf_options options = {.dimensions = DIMENSIONS};
    float odd[2][DIMENSIONS] = {{NAN}, {0}};
    assert_int_equal(assay_ivf_build(&options, keys, odd[0], 1, 0, NULL, NULL, &ivf, &error),
                     ASSAY_E_ARGUMENT);
    odd[0][0] = INFINITY;
    assert_int_equal(assay_ivf_build(&options, keys, odd[0], 1, 0, NULL, NULL, &ivf, &error),
                     ASSAY_E_ARGUMENT);
    odd[0][0] = 0; /* vectors of nothing are vectors, near to nothing */
    assert_int_equal(assay_ivf_build(&options, keys, odd[0], 2, 0, NULL, NULL, &ivf, &error),
                     ASSAY_OK);
    assay_ivf_scratch *scratch = assay_ivf_scratch_new(ivf, 5);
    assay_candidate found[20];
    assay_ivf_find find = {.k = 20, .ef = 1}; /* more than there are, less than wanted */
    assert_int_equal(assay_ivf_search(ivf, queries[0], &find, scratch, found), 2);
    odd[0][3] = NAN;
    assert_true(assay_ivf_search(ivf, odd[0], &find, scratch, found) <= 2);
    assay_ivf_scratch_free(scratch);
    assay_ivf_free(ivf);
    uint64_t none = 0;
    assert_int_equal(assay_ivf_build(&options, &none, vectors[0], 1, 0, NULL, NULL, &ivf, &error),
                     ASSAY_E_ARGUMENT);
    assert_int_equal(assay_ivf_build(&options, keys, vectors[0], COUNT, 0, stop, NULL, &ivf,
                                     &error), ASSAY_E_INTERRUPTED);
    assert_int_equal(assay_ivf_build(&options, keys, vectors[0], 0, 0, NULL, NULL, &ivf, &error),
                     ASSAY_OK);
    scratch = assay_ivf_scratch_new(ivf, 5);
    assert_int_equal(assay_ivf_search(ivf, queries[0], &find, scratch, found), 0);
    assay_ivf_scratch_free(scratch);
    assay_ivf_free(ivf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_near),
        cmocka_unit_test(lists_are_balanced),
        cmocka_unit_test(is_the_same_with_any_threads),
        cmocka_unit_test(keeps_recall_under_a_filter),
        cmocka_unit_test(gives_as_many_as_are_wanted),
        cmocka_unit_test(vectors_come_and_go),
        cmocka_unit_test(drift_is_seen),
        cmocka_unit_test(a_file_gives_the_same_answers),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(progress_comes_to_its_end),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, make_vectors, remove_file);
}
