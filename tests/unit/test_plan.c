/* SPDX-License-Identifier: Apache-2.0 */
/* test_plan.c: what a step of training is shown, and at what rate: functions of the seed
 * and a number; and how much memory there is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "learn/plan.h"

enum { QUERIES = 12, NEGATIVES = 3 };

/* Query i has i % 3 + 1 relevant passages, i % 5 negatives, and shares one of each. */
static assay_examples make_examples(void)
{
    static char text[16 * 1024];
    static const assay_examples_options options;
    size_t used = 0;
    for (int i = 0; i < QUERIES; i++) {
        for (int p = 0; p <= i % 3; p++)
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "query %d\tgood %d of %d\tbad for all\n", i, p, i);
        for (int n = 0; n < i % 5; n++)
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "query %d\tgood 0 of %d\tbad %d of %d\n", i, i, n, i);
    }
    assay_examples examples;
    assay_error error;
    if (assay_examples_parse(text, used, "data", &options, &examples, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    assert_int_equal(examples.count, QUERIES);
    return examples;
}

static int32_t grade_of(const assay_examples *examples, uint32_t example, uint32_t text)
{
    const assay_example *e = &examples->list[example];
    for (uint32_t i = 0; i < e->count; i++)
        if (examples->labelled[e->first + i].text == text)
            return examples->labelled[e->first + i].grade;
    return 0;
}

static void expect_sound(const assay_examples *examples, const assay_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        assert_int_equal(grade_of(examples, list->example, list->texts[i]), list->grades[i]);
        for (uint32_t k = 0; k < i; k++)
            assert_true(list->texts[k] != list->texts[i]);
    }
}

static void lists(void **state)
{
    (void)state;
    assay_examples examples = make_examples();
    bool held[QUERIES] = {[3] = true, [7] = true};
    assay_plan plan, again;
    assay_list list, other;
    assert_int_equal(assay_list_new(&list, NEGATIVES + 1, NULL), ASSAY_OK);
    assert_int_equal(assay_list_new(&other, NEGATIVES + 1, NULL), ASSAY_OK);
    assert_int_equal(assay_plan_new(&plan, &examples, held, false, NEGATIVES, 5, NULL), ASSAY_OK);
    assert_int_equal(assay_plan_new(&again, &examples, held, false, NEGATIVES, 5, NULL), ASSAY_OK);
    assert_int_equal(plan.count, QUERIES - 2);
    size_t positives_seen[QUERIES] = {0}, differ = 0;
    for (uint64_t epoch = 0; epoch < 20; epoch++) {
        size_t shown[QUERIES] = {0};
        for (uint64_t i = 0; i < plan.count; i++) {
            assay_plan_list(&plan, epoch * plan.count + i, &list);
            expect_sound(&examples, &list);
            assert_int_equal(list.count, NEGATIVES + 1);
            assert_true(list.grades[0] > 0 && list.grades[1] == 0);
            positives_seen[list.example] |= (size_t)1 << (list.texts[0] % 60);
            shown[list.example]++;
            if (epoch == 1)
                differ += plan.order[i] != plan.members[i];
        }
        for (size_t q = 0; q < QUERIES; q++) /* each once an epoch, the held out never */
            assert_int_equal(shown[q], held[q] ? 0 : 1);
    }
    assert_true(differ > 0);
    assert_true(__builtin_popcountll(positives_seen[2]) == 3); /* all are shown in time */
    /* From any number on, the same. */
    for (uint64_t k = 37; k < 60; k++) {
        assay_plan_list(&plan, k, &list);
        assay_plan_list(&again, k, &other);
        assert_int_equal(list.example, other.example);
        assert_memory_equal(list.texts, other.texts, list.count * sizeof *list.texts);
    }
    again.seed = 6;
    again.ordered = false;
    assay_plan_list(&plan, 3, &list);
    assay_plan_list(&again, 3, &other);
    bool same = list.example == other.example &&
                memcmp(list.texts, other.texts, sizeof *list.texts * list.count) == 0;
    assert_false(same);
    assay_plan_free(&plan);
    assay_plan_free(&again);
    assay_list_free(&list);
    assay_list_free(&other);
    assay_examples_free(&examples);
}

static void graded_and_taught(void **state)
{
    (void)state;
    assay_examples examples = make_examples();
    assay_plan plan;
    assay_list list;
    assert_int_equal(assay_list_new(&list, NEGATIVES + 1, NULL), ASSAY_OK);
    assert_int_equal(assay_plan_new(&plan, &examples, NULL, false, NEGATIVES, 1, NULL), ASSAY_OK);
    plan.graded = true; /* up to half of a list is relevant */
    plan.fill = false;  /* and nothing but what the data has is in it */
    for (uint64_t k = 0; k < 3 * plan.count; k++) {
        assay_plan_list(&plan, k, &list);
        expect_sound(&examples, &list);
        const assay_example *e = &examples.list[list.example];
        uint32_t positives = e->positives < 2 ? e->positives : 2;
        uint32_t negatives = e->count - e->positives;
        assert_int_equal(list.count, positives + (negatives < 4 - positives ? negatives
                                                                            : 4 - positives));
    }
    assay_plan_free(&plan);
    assay_list_free(&list);
    assay_examples_free(&examples);
}

static void development(void **state)
{
    (void)state;
    assay_examples examples = make_examples();
    examples.labelled[examples.list[2].first].missed = true;
    assay_plan plan;
    assay_list list;
    assert_int_equal(assay_list_new(&list, 50, NULL), ASSAY_OK);
    assert_int_equal(assay_plan_new(&plan, &examples, NULL, true, 0, 1, NULL), ASSAY_OK);
    assay_plan_all(&plan, 2, 0, &list);
    assert_int_equal(list.count, examples.list[2].count - 1);
    assay_plan_all(&plan, 2, 10, &list);
    expect_sound(&examples, &list);
    assert_int_equal(list.count, 10);
    assay_plan_all(&plan, 2, 1000, &list); /* no more than there are */
    assert_true(list.count <= 50);
    assay_plan_free(&plan);
    assay_list_free(&list);
    assay_examples_free(&examples);
}

static void rates(void **state)
{
    (void)state;
    const assay_schedule all[] = {ASSAY_SCHEDULE_LINEAR, ASSAY_SCHEDULE_COSINE,
                                  ASSAY_SCHEDULE_CONSTANT};
    for (size_t s = 0; s < 3; s++) {
        double before = 0;
        for (uint64_t step = 0; step < 10; step++) {
            double share = assay_schedule_share(all[s], step, 10, 100);
            assert_true(share > before && share < 1);
            before = share;
        }
        assert_true(assay_schedule_share(all[s], 10, 10, 100) == 1);
        for (uint64_t step = 10; step <= 120; step++) {
            double share = assay_schedule_share(all[s], step, 10, 100);
            assert_true(share >= 0 && share <= 1 && share <= fmax(before, 1));
            before = share;
        }
    }
    assert_true(fabs(assay_schedule_share(ASSAY_SCHEDULE_LINEAR, 55, 10, 100) - 0.5) < 1e-12);
    assert_true(fabs(assay_schedule_share(ASSAY_SCHEDULE_COSINE, 55, 10, 100) - 0.5) < 1e-12);
    assert_true(assay_schedule_share(ASSAY_SCHEDULE_LINEAR, 100, 10, 100) == 0);
    assert_true(assay_schedule_share(ASSAY_SCHEDULE_CONSTANT, 100, 10, 100) == 1);
    assert_true(assay_schedule_share(ASSAY_SCHEDULE_LINEAR, 0, 0, 0) == 1);
}

static void memory(void **state)
{
    (void)state;
    uint64_t bytes = assay_memory_available();
    assert_true(bytes > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),   cmocka_unit_test(graded_and_taught),
        cmocka_unit_test(development), cmocka_unit_test(rates),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
