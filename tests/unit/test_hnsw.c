/* SPDX-License-Identifier: Apache-2.0 */
/* test_hnsw.c: codes, the graph's promises, and its file. */
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

#include "base/threads.h"
#include "index/hnsw_graph.h"
#include "index/rotation.h"

#include "clustered.h" /* last: it has names of its own */

static assay_hnsw *build(assay_code_kind codes, size_t count, uint32_t capacity, uint32_t threads)
{
    assay_hnsw *h;
    assay_hnsw_options options = {.dimensions = DIMENSIONS, .codes = codes, .seed = 5};
    assert_int_equal(assay_hnsw_new(&options, capacity, &h, &error), ASSAY_OK);
    if (assay_hnsw_insert(h, keys, vectors[0], count, threads, NULL, NULL, &error) != ASSAY_OK)
        fail_msg("%s", error.message);
    return h;
}

/* --------------------------------------------------------------------- codes */

/* Of what is left without the centre, one bit a coordinate tells the product within a
 * bound, and on average the truth. */
static void bits_estimate_without_bias(void **state)
{
    (void)state;
    enum { ALL = 1000 };
    assay_hnsw *h = build(ASSAY_CODE_B1, ALL, ALL, 0);
    void *room = aligned_alloc(64, 4096);
    double bias = 0, squares = 0;
    size_t within = 0, all = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        assay_code_query coded = assay_codes_ask(&h->codes, queries[q], room);
        for (uint32_t slot = 0; slot < ALL; slot += 7, all++) {
            float estimate, truth = dot(queries[q], assay_hnsw_vector(h, slot));
            assay_codes_score(&coded, &slot, 1, &estimate);
            bias += estimate - truth;
            squares += (estimate - truth) * (estimate - truth);
            within += fabsf(estimate - truth) <= assay_codes_reach(&coded, slot);
        }
    }
    bias /= (double)all;
    squares /= (double)all;
    if (fabs(bias) > 0.01 || squares > 0.02 || within < 0.9 * (double)all)
        fail_msg("bias %g, mean square %g, %zu of %zu within the bound", bias, squares, within,
                 all);
    free(room);
    assay_hnsw_free(h);
}

/* Lengths and products stay; the same bits each time. */
static void a_rotation_keeps_products(void **state)
{
    (void)state;
    for (size_t width = ASSAY_ROTATION_STEP; width <= 4096; width = width * 2 + width % 3 * 64) {
        width -= width % ASSAY_ROTATION_STEP;
        float *a = calloc(width, sizeof *a), *b = calloc(width, sizeof *b);
        double before = 0, after = 0, length = 0, turned = 0, largest = 0;
        a[0] = 1; /* one direction becomes all */
        for (size_t i = 0; i < width; i++)
            b[i] = gauss();
        for (size_t i = 0; i < width; i++) {
            before += (double)a[i] * b[i];
            length += (double)b[i] * b[i];
        }
        assay_rotate(a, width);
        assay_rotate(b, width);
        for (size_t i = 0; i < width; i++) {
            after += (double)a[i] * b[i];
            turned += (double)b[i] * b[i];
            largest = fabs(a[i]) > largest ? fabs(a[i]) : largest;
        }
        assert_true(fabs(before - after) < 1e-3);
        assert_true(fabs(length - turned) < 1e-3 * length);
        if (largest > 6 / sqrt((double)width))
            fail_msg("width %zu: a coordinate of %g", width, largest);
        free(a);
        free(b);
    }
}

/* ------------------------------------------------------------------ promises */

/* What must hold of any graph: links in range and to others that are there, no list
 * too long, none twice, all reached from the entry on the ground. */
static void expect_sound(const assay_hnsw *h)
{
    uint32_t slots = atomic_load(&h->slots), links[2 * ASSAY_HNSW_MOST_M], live = 0, reached = 0;
    uint8_t *seen = calloc(slots + 1, 1);
    uint32_t *queue = calloc(slots + 1, sizeof *queue);
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (assay_hnsw_key(h, slot) == 0)
            continue;
        live++;
        for (uint32_t l = 0; l <= h->levels[slot]; l++) {
            uint32_t count = assay_hnsw_read_list(h, slot, l, links);
            assert_true(count <= (l == 0 ? 2 * h->options.m : h->options.m));
            for (uint32_t i = 0; i < count; i++) {
                assert_true(links[i] < slots && links[i] != slot);
                assert_true(assay_hnsw_key(h, links[i]) != 0);
                assert_true(h->levels[links[i]] >= l);
                for (uint32_t j = 0; j < i; j++)
                    assert_true(links[j] != links[i]);
            }
        }
    }
    assert_int_equal(live, h->live);
    uint32_t entry = (uint32_t)atomic_load(&h->entry);
    assert_true(live == 0 || assay_hnsw_key(h, entry) != 0);
    if (live > 0) {
        queue[reached++] = entry;
        seen[entry] = 1;
    }
    for (uint32_t first = 0; first < reached; first++) {
        uint32_t count = assay_hnsw_read_list(h, queue[first], 0, links);
        for (uint32_t i = 0; i < count; i++) {
            if (seen[links[i]])
                continue;
            seen[links[i]] = 1;
            queue[reached++] = links[i];
        }
    }
    assert_int_equal(reached, live);
    free(seen);
    free(queue);
}

/* Share of the K best that are found: as good as the K-th best counts, since equal
 * vectors stand in no order. */
static double recall(const assay_hnsw *h, const uint64_t *allowed, uint32_t ef)
{
    assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(h, 4096);
    uint32_t slots = atomic_load(&h->slots), hits = 0, wanted = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        assay_candidate best[K], found[K];
        assay_best exact = {.items = best, .limit = K};
        for (uint32_t slot = 0; slot < slots; slot++)
            if (assay_hnsw_key(h, slot) != 0 &&
                (allowed == NULL || allowed[slot / 64] >> slot % 64 & 1))
                assay_best_add(&exact, (assay_candidate){assay_hnsw_key(h, slot),
                               dot(queries[q], assay_hnsw_vector(h, slot))});
        assay_best_sort(&exact);
        assay_hnsw_find find = {.k = K, .ef = ef, .allowed = allowed};
        size_t count = assay_hnsw_search(h, queries[q], &find, scratch, found);
        wanted += (uint32_t)exact.count;
        for (size_t i = 0; i < count; i++) {
            hits += found[i].score >= best[exact.count - 1].score - 1e-5f;
            assert_true(i == 0 || assay_candidate_before(found[i - 1], found[i]));
        }
    }
    assay_hnsw_scratch_free(scratch);
    return wanted > 0 ? (double)hits / wanted : 1;
}

static void finds_what_is_near(void **state)
{
    (void)state;
    for (assay_code_kind codes = ASSAY_CODE_F32; codes <= ASSAY_CODE_B1; codes++) {
        assay_hnsw *h = build(codes, COUNT, COUNT, 0);
        expect_sound(h);
        uint32_t ef = codes == ASSAY_CODE_B1 ? 3 * EF : EF; /* of 48 bits little can be told */
        double found = recall(h, NULL, ef);
        if (found < 0.95)
            fail_msg("%s: recall %.3f at ef %u, expected 0.95", assay_code_name(codes), found, ef);
        found = recall(h, NULL, 2000);
        if (found < 0.995)
            fail_msg("%s: recall %.3f at ef 2000", assay_code_name(codes), found);
        assay_hnsw_free(h);
    }
}

/* Many small clusters far from each other: a short pool finds the question's own only where
 * the levels above lead it there. */
static void finds_the_way_to_a_small_cluster(void **state)
{
    (void)state;
    enum { MANY = 1000, OF_EACH = 20, ALL = MANY * OF_EACH, SHORT = 10 };
    static float small[ALL][DIMENSIONS], centres[MANY][DIMENSIONS];
    static uint64_t numbers[ALL];
    for (size_t i = 0; i < ALL; i++) {
        float *centre = centres[i / OF_EACH];
        for (size_t j = 0; j < DIMENSIONS; j++) {
            centre[j] = i % OF_EACH == 0 ? gauss() : centre[j];
            small[i][j] = centre[j] + 0.3f * gauss();
        }
        normalise(small[i]);
        numbers[i] = i + 1;
    }
    assay_hnsw *h;
    assay_hnsw_options options = {.dimensions = DIMENSIONS, .m = 4, .seed = 5};
    assert_int_equal(assay_hnsw_new(&options, ALL, &h, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_insert(h, numbers, small[0], ALL, 0, NULL, NULL, &error), ASSAY_OK);
    assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(h, SHORT);
    size_t there = 0;
    for (size_t c = 0; c < MANY; c++) {
        assay_code_query query = assay_codes_ask(&h->codes, centres[c], scratch->room);
        assay_hnsw_walk(h, &query, 0, SHORT, 8, scratch);
        there += assay_near_slot(scratch->pool[0]) / OF_EACH == c;
    }
    if (there < MANY * 98 / 100)
        fail_msg("of %d clusters %zu were found", MANY, there);
    assay_hnsw_scratch_free(scratch);
    assay_hnsw_free(h);
}

/* The same bytes for the same seed, whatever the number of threads. */
static void is_the_same_with_any_threads(void **state)
{
    (void)state;
    assay_hnsw *one = build(ASSAY_CODE_I8, COUNT, COUNT, 1);
    assay_hnsw *all = build(ASSAY_CODE_I8, COUNT, COUNT, 0);
    for (assay_hnsw_section s = 0; s < HNSW_SECTIONS; s++)
        assert_memory_equal(one->sections[s], all->sections[s],
                            assay_hnsw_section_bytes(one, s, COUNT, one->upper_lists));
    assert_true(atomic_load(&one->entry) == atomic_load(&all->entry));
    assay_hnsw_free(one);
    assay_hnsw_free(all);
}

static void keeps_recall_under_a_filter(void **state)
{
    (void)state;
    assay_hnsw *h = build(ASSAY_CODE_I8, COUNT, COUNT, 0);
    static const double shares[] = {0.5, 0.1, 0.01, 0.001, 0};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t allowed[COUNT / 64 + 1] = {0};
        for (uint32_t slot = 0; slot < COUNT; slot++)
            if (uniform() < shares[i])
                allowed[slot / 64] |= (uint64_t)1 << slot % 64;
        double found = recall(h, allowed, EF);
        if (found < 0.95)
            fail_msg("%g let through: recall %.3f", shares[i], found);
    }
    assay_hnsw_free(h);
}

static void expect_gone(const assay_hnsw *h, size_t first, size_t step)
{
    assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(h, 500);
    assay_candidate found[500];
    for (size_t i = first; i < COUNT; i += 97 * step) {
        assay_hnsw_find find = {.k = 500, .ef = 500};
        size_t count = assay_hnsw_search(h, vectors[i], &find, scratch, found);
        for (size_t j = 0; j < count; j++)
            assert_true((found[j].passage / 10 - first) % step != 0 || found[j].passage / 10 < first);
    }
    assay_hnsw_scratch_free(scratch);
}

static void removed_ones_are_not_found(void **state)
{
    (void)state;
    uint64_t gone[COUNT];
    size_t count = 0;
    for (size_t i = 1; i < COUNT; i += 3)
        gone[count++] = keys[i];
    assay_hnsw *h = build(ASSAY_CODE_I8, COUNT, COUNT, 0);
    assert_int_equal(assay_hnsw_remove(h, gone, count, 0, &error), ASSAY_OK);
    expect_sound(h);
    expect_gone(h, 1, 3);
    assert_true(recall(h, NULL, EF) >= 0.95);
    assert_int_equal(assay_hnsw_remove(h, keys, COUNT, 0, &error), ASSAY_OK);
    assert_int_equal(h->live, 0);
    assert_true(recall(h, NULL, EF) == 1); /* of nothing */
    expect_sound(h);
    assay_hnsw_free(h);
}

/* Removed, saved, loaded, and put in again under new keys: as good as a new one. */
static void expect_churn_keeps_recall(assay_code_kind codes, uint32_t ef)
{
    uint64_t gone[COUNT / 5], again[COUNT / 5];
    static float moved[COUNT / 5][DIMENSIONS];
    for (size_t i = 0; i < COUNT / 5; i++) {
        gone[i] = keys[5 * i];
        again[i] = keys[5 * i] + 1000000;
        memcpy(moved[i], vectors[5 * i], sizeof moved[i]);
    }
    assay_hnsw *h = build(codes, COUNT, COUNT, 0);
    double fresh = recall(h, NULL, ef);
    assert_int_equal(assay_hnsw_remove(h, gone, COUNT / 5, 0, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_save(h, path, 7, 9, &error), ASSAY_OK);
    assay_hnsw_free(h);
    assert_int_equal(assay_hnsw_load(path, 0, &h, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_insert(h, again, moved[0], COUNT / 5, 0, NULL, NULL, &error),
                     ASSAY_OK);
    assert_int_equal(atomic_load(&h->slots), COUNT);
    expect_sound(h);
    double churned = recall(h, NULL, ef);
    if (churned < fresh - 0.01)
        fail_msg("recall %.4f at ef %u, of a fresh build %.4f", churned, ef, fresh);
    assay_hnsw_free(h);
}

static void churn_keeps_recall(void **state)
{
    (void)state;
    expect_churn_keeps_recall(ASSAY_CODE_I8, K); /* where thin lists are felt */
    expect_churn_keeps_recall(ASSAY_CODE_I8, 40);
    expect_churn_keeps_recall(ASSAY_CODE_B1, 300);
}

static void copies_of_one_vector_are_all_found(void **state)
{
    (void)state;
    enum { COPIES = 300 };
    static float same[2 * COPIES][DIMENSIONS];
    for (size_t i = 0; i < 2 * COPIES; i++)
        memcpy(same[i], vectors[i < COPIES ? i : 0], sizeof same[i]);
    assay_hnsw *h;
    assay_hnsw_options options = {.dimensions = DIMENSIONS};
    assert_int_equal(assay_hnsw_new(&options, 2 * COPIES, &h, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_insert(h, keys, same[0], 2 * COPIES, 0, NULL, NULL, &error),
                     ASSAY_OK);
    expect_sound(h);
    assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(h, 2 * COPIES);
    assay_candidate found[2 * COPIES];
    assay_hnsw_find find = {.k = 2 * COPIES, .ef = 2 * COPIES};
    assert_int_equal(assay_hnsw_search(h, vectors[0], &find, scratch, found), 2 * COPIES);
    assay_hnsw_scratch_free(scratch);
    assay_hnsw_free(h);
}

/* ---------------------------------------------------- searching while inserting */

static void search_or_insert(void *context, size_t item, uint32_t worker)
{
    assay_hnsw *h = context;
    (void)worker;
    if (item == 0) { /* on one thread: a loop must not start loops of several */
        assert_int_equal(assay_hnsw_insert(h, keys + COUNT / 2, vectors[COUNT / 2], COUNT / 2, 1,
                                           NULL, NULL, NULL), ASSAY_OK);
        assert_int_equal(assay_hnsw_remove(h, keys, COUNT / 4, 1, NULL), ASSAY_OK);
        return;
    }
    assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(h, EF);
    assay_candidate found[K];
    assay_hnsw_find find = {.k = K, .ef = EF};
    for (size_t q = 0; q < 300; q++) {
        size_t count = assay_hnsw_search(h, queries[q % QUERIES], &find, scratch, found);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++)
            assert_true(found[i].passage % 10 == 3 && found[i].passage < 10 * COUNT);
    }
    assay_hnsw_scratch_free(scratch);
}

static void readers_go_on_while_it_grows(void **state)
{
    (void)state;
    assay_hnsw *h = build(ASSAY_CODE_I8, COUNT / 2, COUNT, 0);
    assay_loop(4, 0, search_or_insert, h);
    expect_sound(h);
    assert_true(recall(h, NULL, EF) >= 0.95);
    assay_hnsw_free(h);
}

/* ------------------------------------------------------------------ the file */

static void expect_file_gives_the_same_answers(assay_code_kind codes)
{
    assay_hnsw *h = build(codes, COUNT, COUNT + 100, 0), *mapped;
    assert_int_equal(assay_hnsw_save(h, path, 7, 9, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_open(path, &mapped, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_verify(mapped, &error), ASSAY_OK);
    assay_hnsw_info info;
    assay_hnsw_describe(mapped, &info);
    assert_int_equal(info.collection, 7);
    assert_int_equal(info.generation, 9);
    assert_int_equal(info.live, COUNT);
    expect_sound(mapped);
    assay_hnsw_scratch *a = assay_hnsw_scratch_new(h, EF), *b = assay_hnsw_scratch_new(mapped, EF);
    for (size_t q = 0; q < QUERIES; q++) {
        assay_candidate one[K], two[K];
        assay_hnsw_find find = {.k = K, .ef = EF};
        assert_int_equal(assay_hnsw_search(h, queries[q], &find, a, one), K);
        assert_int_equal(assay_hnsw_search(mapped, queries[q], &find, b, two), K);
        assert_memory_equal(one, two, sizeof one);
    }
    assay_hnsw_scratch_free(a);
    assay_hnsw_scratch_free(b);
    assay_hnsw_free(h);
    assay_hnsw_free(mapped);
}

static void a_file_gives_the_same_answers(void **state)
{
    (void)state;
    for (assay_code_kind codes = ASSAY_CODE_F32; codes <= ASSAY_CODE_B1; codes++)
        expect_file_gives_the_same_answers(codes);
}

static void expect_damage_is_refused(assay_code_kind codes)
{
    assay_hnsw *h = build(codes, 500, 500, 0), *read;
    size_t size;
    assert_int_equal(assay_hnsw_save(h, path, 7, 9, &error), ASSAY_OK);
    assay_hnsw_free(h);
    uint8_t *bytes = read_all(&size);
    for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
        write_all(bytes, cut);
        assert_int_equal(assay_hnsw_open(path, &read, &error), ASSAY_E_CORRUPT);
        assert_true(error.message[0] != '\0');
    }
    for (size_t at = 0; at < size; at += at < 192 ? 1 : 499) {
        bytes[at] ^= 0x55;
        write_all(bytes, size);
        assay_status status = assay_hnsw_load(path, 0, &read, &error);
        if (status == ASSAY_OK) { /* filler between sections */
            assay_hnsw_free(read);
            assert_true(at >= 192 && (bytes[at] ^ 0x55) == 0);
        } else {
            assert_true(status == ASSAY_E_CORRUPT || (status == ASSAY_E_VERSION && at < 12));
        }
        if (assay_hnsw_open(path, &read, &error) == ASSAY_OK) {
            assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(read, EF);
            assay_candidate found[K];
            assay_hnsw_find find = {.k = K, .ef = EF};
            assay_hnsw_search(read, queries[0], &find, scratch, found);
            assay_hnsw_scratch_free(scratch);
            assay_hnsw_free(read);
        }
        bytes[at] ^= 0x55;
    }
    free(bytes);
    assert_int_equal(assay_hnsw_open("/nonexistent/file", &read, &error), ASSAY_E_NOT_FOUND);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    expect_damage_is_refused(ASSAY_CODE_I8);
    expect_damage_is_refused(ASSAY_CODE_B1);
}

/* ------------------------------------------------------------------ bad input */

static void bad_input_is_refused(void **state)
{
    (void)state;
    assay_hnsw *h;
    assay_hnsw_options bad[] = {{.dimensions = 0},
                                {.dimensions = 1 << 17},
                                {.dimensions = 8, .m = 1},
                                {.dimensions = 8, .m = 1000},
                                {.dimensions = 8, .m = 16, .ef_construction = 8},
                                {.dimensions = 8, .codes = 77}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(assay_hnsw_new(&bad[i], 10, &h, &error), ASSAY_E_ARGUMENT);
    h = build(ASSAY_CODE_I8, 10, 20, 0);
    float odd[DIMENSIONS] = {NAN};
    uint64_t key = 99999;
    assert_int_equal(assay_hnsw_insert(h, &key, odd, 1, 0, NULL, NULL, &error), ASSAY_E_ARGUMENT);
    odd[0] = INFINITY;
    assert_int_equal(assay_hnsw_insert(h, &key, odd, 1, 0, NULL, NULL, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_hnsw_insert(h, keys + 10, vectors[10], 11, 0, NULL, NULL, &error),
                     ASSAY_E_LIMIT);
    memset(odd, 0, sizeof odd); /* is a vector, near to nothing */
    assert_int_equal(assay_hnsw_insert(h, &key, odd, 1, 0, NULL, NULL, &error), ASSAY_OK);
    key = 0;
    assert_int_equal(assay_hnsw_insert(h, &key, odd, 1, 0, NULL, NULL, &error), ASSAY_E_ARGUMENT);
    expect_sound(h);
    assay_hnsw_scratch *scratch = assay_hnsw_scratch_new(h, 5);
    assay_candidate found[20];
    assay_hnsw_find find = {.k = 4, .ef = 1};
    assert_int_equal(assay_hnsw_search(h, queries[0], &find, scratch, found), 4);
    odd[3] = NAN;
    assert_true(assay_hnsw_search(h, odd, &find, scratch, found) <= 4);
    assay_hnsw_scratch_free(scratch);
    assay_hnsw_free(h);
}

static bool stop_soon(uint64_t done, uint64_t total, void *user)
{
    (void)total;
    *(uint64_t *)user = done;
    return done < 2000;
}

static void a_stop_leaves_a_whole_graph(void **state)
{
    (void)state;
    assay_hnsw *h;
    uint64_t done = 0;
    assay_hnsw_options options = {.dimensions = DIMENSIONS};
    assert_int_equal(assay_hnsw_new(&options, COUNT, &h, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_insert(h, keys, vectors[0], COUNT, 0, stop_soon, &done, &error),
                     ASSAY_E_INTERRUPTED);
    assert_true(done >= 2000 && done < COUNT);
    assert_int_equal(h->live, done);
    assert_true(recall(h, NULL, EF) >= 0.95);
    assay_hnsw_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_keeps_products),
        cmocka_unit_test(bits_estimate_without_bias),
        cmocka_unit_test(finds_what_is_near),
        cmocka_unit_test(finds_the_way_to_a_small_cluster),
        cmocka_unit_test(is_the_same_with_any_threads),
        cmocka_unit_test(keeps_recall_under_a_filter),
        cmocka_unit_test(removed_ones_are_not_found),
        cmocka_unit_test(churn_keeps_recall),
        cmocka_unit_test(copies_of_one_vector_are_all_found),
        cmocka_unit_test(readers_go_on_while_it_grows),
        cmocka_unit_test(a_file_gives_the_same_answers),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(a_stop_leaves_a_whole_graph),
    };
    return cmocka_run_group_tests(tests, make_vectors, remove_file);
}
