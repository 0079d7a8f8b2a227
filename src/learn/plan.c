/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c: see plan.h. */
#include "learn/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { DRAWS = 20 }; /* tries for each passage wanted */

#define LISTS UINT64_C(0x6C69737473)      /* streams of lists, */
#define DEVELOPMENT UINT64_C(0x646576656C) /* and of what fills up those of development */

assay_status assay_list_new(assay_list *list, uint32_t capacity, assay_error *error)
{
    *list = (assay_list){
        .texts = calloc(capacity, sizeof *list->texts),
        .grades = calloc(capacity, sizeof *list->grades),
        .teacher = calloc(capacity, sizeof *list->teacher),
        .capacity = capacity,
    };
    if (list->texts != NULL && list->grades != NULL && list->teacher != NULL)
        return ASSAY_OK;
    assay_list_free(list);
    return assay_fail_memory(error, capacity * sizeof *list->texts);
}

void assay_list_free(assay_list *list)
{
    free(list->texts);
    free(list->grades);
    free(list->teacher);
    *list = (assay_list){0};
}

assay_status assay_plan_new(assay_plan *plan, const assay_examples *examples, const bool *held,
                            bool wanted, uint32_t negatives, uint64_t seed, assay_error *error)
{
    *plan = (assay_plan){
        .examples = examples,
        .members = calloc(examples->count + 1, sizeof *plan->members),
        .order = calloc(examples->count + 1, sizeof *plan->order),
        .negatives = negatives,
        .fill = true,
        .seed = seed,
    };
    if (plan->members == NULL || plan->order == NULL) {
        assay_plan_free(plan);
        return assay_fail_memory(error, examples->count * sizeof *plan->members);
    }
    for (uint32_t i = 0; i < examples->count; i++)
        if (held == NULL || held[i] == wanted)
            plan->members[plan->count++] = i;
    return ASSAY_OK;
}

void assay_plan_free(assay_plan *plan)
{
    free(plan->members);
    free(plan->order);
    *plan = (assay_plan){0};
}

static void put(assay_list *list, uint32_t text, int32_t grade, float teacher)
{
    list->texts[list->count] = text;
    list->grades[list->count] = grade;
    list->teacher[list->count++] = teacher;
}

static void put_labelled(assay_list *list, const assay_labelled *labelled)
{
    put(list, labelled->text, labelled->grade, labelled->teacher);
}

/* Puts up to `wanted` of labelled[count] into the list, drawn without replacement: each
 * is taken with the chance that is left for it (Knuth's algorithm S). */
static void draw(assay_list *list, const assay_labelled *labelled, size_t count, size_t wanted,
                 uint64_t *random)
{
    for (size_t i = 0; i < count && wanted > 0; i++) {
        if (assay_random_below(random, count - i) < wanted) {
            put_labelled(list, &labelled[i]);
            wanted--;
        }
    }
}

static bool known(const assay_examples *examples, const assay_example *example, uint32_t text,
                  const assay_list *list)
{
    for (size_t i = 0; i < example->count; i++)
        if (examples->labelled[example->first + i].text == text)
            return true;
    for (size_t i = 0; i < list->count; i++)
        if (list->texts[i] == text)
            return true;
    return false;
}

/* Fills a list up to `wanted` passages with some that nobody said anything about. */
static void fill(const assay_plan *plan, assay_list *list, size_t wanted, uint64_t *random)
{
    const assay_examples *examples = plan->examples;
    const assay_example *example = &examples->list[list->example];
    size_t texts = assay_string_map_count(examples->passages);
    for (size_t i = 0; i < wanted * DRAWS && list->count < wanted; i++) {
        uint32_t text = (uint32_t)assay_random_below(random, texts);
        if (!known(examples, example, text, list))
            put(list, text, 0, NAN);
    }
}

/* The order of an epoch; made again when another is asked for. */
static void order_epoch(assay_plan *plan, uint64_t epoch)
{
    if (plan->ordered && plan->epoch == epoch)
        return;
    uint64_t random = assay_random_stream(plan->seed, epoch);
    memcpy(plan->order, plan->members, plan->count * sizeof *plan->order);
    assay_random_shuffle(&random, plan->order, plan->count);
    plan->epoch = epoch;
    plan->ordered = true;
}

void assay_plan_list(assay_plan *plan, uint64_t k, assay_list *list)
{
    const assay_examples *examples = plan->examples;
    order_epoch(plan, k / plan->count);
    uint64_t random = assay_random_stream(plan->seed ^ LISTS, k);
    list->example = plan->order[k % plan->count];
    list->count = 0;
    const assay_example *example = &examples->list[list->example];
    const assay_labelled *labelled = &examples->labelled[example->first];
    size_t whole = (size_t)plan->negatives + 1;
    draw(list, labelled, example->positives, plan->graded ? (whole + 1) / 2 : 1, &random);
    draw(list, labelled + example->positives, example->count - example->positives,
         whole - list->count, &random);
    if (plan->fill)
        fill(plan, list, whole, &random);
}

void assay_plan_all(const assay_plan *plan, size_t member, uint32_t least, assay_list *list)
{
    const assay_examples *examples = plan->examples;
    list->example = plan->members[member];
    list->count = 0;
    const assay_example *example = &examples->list[list->example];
    for (size_t i = 0; i < example->count && list->count < list->capacity; i++) {
        const assay_labelled *labelled = &examples->labelled[example->first + i];
        if (!labelled->missed)
            put_labelled(list, labelled);
    }
    uint64_t random = assay_random_stream(plan->seed ^ DEVELOPMENT, member);
    if (least > list->capacity)
        least = list->capacity;
    fill(plan, list, least, &random);
}

double assay_schedule_share(assay_schedule schedule, uint64_t step, uint64_t warmup,
                            uint64_t steps)
{
    if (step < warmup)
        return (double)(step + 1) / (double)(warmup + 1);
    if (schedule == ASSAY_SCHEDULE_CONSTANT || steps <= warmup)
        return 1;
    double past = (double)(step - warmup) / (double)(steps - warmup);
    if (past > 1)
        past = 1;
    return schedule == ASSAY_SCHEDULE_COSINE ? 0.5 * (1 + cos(M_PI * past)) : 1 - past;
}
