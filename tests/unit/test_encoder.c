/* SPDX-License-Identifier: Apache-2.0 */
/* test_encoder.c: a block's way through the layers, cut for any number of threads
 * and done in any order, ends in the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/threads.h"
#include "golden_model.h"
#include "rank/session.h"

enum { SEQUENCES = 9, MOST = 1000, THREADS = 5 };

/* Blocks as lengths, ending in 0; those longer than a model takes are passed over. */
static const size_t blocks[][SEQUENCES + 1] = {
    {1}, {2}, {7}, {16}, {33}, {61}, {64}, {131}, {385}, {777}, {1000},
    {31, 29, 5, 1}, {64, 17, 17, 17, 2, 1, 1, 1, 1}, {200, 3, 190},
};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

typedef struct block {
    assay_sequence sequences[SEQUENCES];
    size_t count, tokens, longest;
    int32_t ids[SEQUENCES * MOST];
} block;

static bool make_block(const assay_model *model, const size_t *lengths, block *out)
{
    uint32_t random = 7;
    out->count = out->tokens = out->longest = 0;
    for (; lengths[out->count] > 0; out->count++) {
        size_t length = lengths[out->count];
        if (length > assay_split_room(&model->config))
            return false;
        out->sequences[out->count] = (assay_sequence){.ids = out->ids + out->tokens,
                                                      .count = (uint32_t)length,
                                                      .second = (uint32_t)length / 3};
        for (size_t i = 0; i < length; i++) {
            random = random * 1664525u + 1013904223u;
            out->ids[out->tokens++] = (int32_t)((random >> 8) % model->config.vocabulary);
        }
        out->longest = length > out->longest ? length : out->longest;
    }
    return true;
}

/* Every other item first, the rest backwards; each on the next thread's scratch. */
static void run_cut(const assay_model *model, const block *b, uint32_t threads, float *scratch,
                    size_t floats, float *states)
{
    assay_pass pass = assay_pass_of(&model->encoder, ASSAY_STRETCH_ALL, b->sequences, b->count,
                                    threads, scratch, states);
    uint32_t thread = 0;
    for (size_t step = 0; step < assay_pass_steps(&pass); step++) {
        size_t items = assay_pass_items(&pass, step), odd = items / 2, even = items - odd;
        for (size_t i = 0; i < items; i++) {
            size_t item = i < even ? 2 * i : 2 * (items - 1 - i) + 1;
            assay_pass_item(&pass, step, item, scratch + thread * floats, NULL, NULL);
            thread = (thread + 1) % threads;
        }
    }
}

static void expect_same_bits(const assay_model *model, const block *b)
{
    const assay_encoder *encoder = &model->encoder;
    size_t hidden = model->config.hidden, size = b->count * hidden;
    size_t floats = assay_encoder_scratch(encoder, b->tokens, b->count, b->longest);
    float *scratch = malloc(THREADS * floats * sizeof *scratch);
    float *whole = calloc(size, sizeof *whole), *cut = calloc(size, sizeof *cut);
    assay_encoder_run(encoder, ASSAY_STRETCH_ALL, b->sequences, b->count, scratch, whole, NULL,
                      NULL);
    for (uint32_t threads = 2; threads <= THREADS; threads++) {
        memset(scratch, 0xff, THREADS * floats * sizeof *scratch); /* NaN */
        run_cut(model, b, threads, scratch, floats, cut);
        if (memcmp(whole, cut, size * sizeof *cut) != 0)
            fail_msg("%s, %zu tokens, longest %zu: other bits with %u threads",
                     model->info.name, b->tokens, b->longest, threads);
    }
    free(scratch);
    free(whole);
    free(cut);
}

static const char *const names[] = {"cross-f32", "cross-xlmr", "cross-long", "dense-mean",
                                    "dense-cls",   "cross-split"};

static void expect_any_cut(assay_precision precision)
{
    static block b;
    size_t checked = 0;
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        assay_model *model = golden_open_at(names[m], precision);
        for (size_t i = 0; i < BLOCKS; i++)
            if (make_block(model, blocks[i], &b)) {
                expect_same_bits(model, &b);
                checked++;
            }
        assay_model_close(model);
    }
    assert_true(checked >= 5 * 5 + BLOCKS);
}

static void a_pass_may_be_cut_in_any_way(void **state)
{
    (void)state;
    expect_any_cut(ASSAY_PRECISION_FP32);
    expect_any_cut(ASSAY_PRECISION_INT8);
    if (golden_has_bf16())
        expect_any_cut(ASSAY_PRECISION_BF16);
}

/* Words in another order each time, so that no text is like another. */
static assay_text long_text(char *text, size_t size, size_t words, uint32_t random)
{
    static const char *const of[] = {"days", "of", "leave", "sick", "a", "the", "carried"};
    size_t length = 0;
    for (size_t i = 0; i < words && length + 10 < size; i++) {
        random = random * 1664525u + 1013904223u;
        length += (size_t)snprintf(text + length, size - length, "%s ", of[(random >> 8) % 7]);
    }
    return (assay_text){text, length};
}

/* One long passage, or fewer than there are threads for: threads share blocks, and
 * the scores are those of one thread. */
static void threads_share_what_is_long(void **state)
{
    (void)state;
    enum { TEXTS = 7, SIZE = 8000 };
    static char texts[TEXTS][SIZE];
    static const size_t words[TEXTS] = {700, 3, 250, 120, 611, 1, 60};
    assay_text passages[TEXTS];
    for (size_t i = 0; i < TEXTS; i++)
        passages[i] = long_text(texts[i], SIZE, words[i], (uint32_t)i + 1);
    assay_model *model = golden_open_at("cross-long", ASSAY_PRECISION_INT8);
    assay_session *one = golden_session(model, 1);
    assay_text query = golden_text("leave");
    for (uint32_t threads = 2; threads <= 4; threads++) {
        assay_session *session = golden_session(model, threads);
        for (size_t first = 0; first < TEXTS; first++)
            for (size_t count = 1; first + count <= TEXTS; count++) {
                assay_score alone[TEXTS], found[TEXTS];
                assert_int_equal(assay_rerank(one, query, passages + first, count, alone, NULL),
                                 ASSAY_OK);
                assert_int_equal(one->batch.shared, 0);
                assert_int_equal(
                    assay_rerank(session, query, passages + first, count, found, NULL), ASSAY_OK);
                if (count == 1 && words[first] > 50)
                    assert_int_equal(session->batch.shared, assay_cores() > 1 ? 1 : 0);
                for (size_t i = 0; i < count; i++)
                    assert_memory_equal(&alone[i].logit, &found[i].logit, sizeof(float));
            }
        assay_session_close(session);
    }
    assay_session_close(one);
    assay_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_may_be_cut_in_any_way),
        cmocka_unit_test(threads_share_what_is_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
