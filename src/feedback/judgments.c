/* SPDX-License-Identifier: Apache-2.0 */
/* judgments.c: what clicks say about documents, as grades; the model is click_model.h. */
#include <stdlib.h>
#include <string.h>

#include "feedback/click_model.h"

#define LEAST_EXAMINED 2.0
static const double grades[] = {0.15, 0.35, 0.6}; /* attraction from which on */

typedef struct block {
    assay_arena *arena;
    assay_judgment *items;
} block;

static void block_free(block *b)
{
    if (b != NULL) {
        assay_arena_free(b->arena);
        free(b->items);
    }
    free(b);
}

static uint32_t grade_of(double attraction)
{
    uint32_t grade = 0;
    while (grade < sizeof grades / sizeof *grades && attraction >= grades[grade])
        grade++;
    return grade;
}

static int by_names(const void *left, const void *right)
{
    const assay_judgment *a = left, *b = right;
    int order = strcmp(a->query, b->query);
    return order != 0 ? order : strcmp(a->document, b->document);
}

/* Whether a question has a judgment that is not 0. */
static assay_status mark_useful(const assay_gathering *g, const assay_click_model *model,
                                bool **out, assay_error *error)
{
    size_t count = assay_string_map_count(g->queries);
    bool *useful = calloc(count + 1, sizeof *useful);
    if (useful == NULL)
        return assay_fail_memory(error, count);
    for (size_t i = 0; i < model->pair_count; i++) {
        const assay_click_pair *pair = &model->pairs[i];
        if (pair->examined >= LEAST_EXAMINED && grade_of(pair->attraction) > 0)
            useful[pair->query] = true;
    }
    *out = useful;
    return ASSAY_OK;
}

static assay_status write_one(const assay_gathering *g, const assay_click_pair *pair,
                              assay_arena *arena, assay_judgment *out, assay_error *error)
{
    char hex[33];
    const char *document = assay_string_map_key(g->documents, pair->document);
    assay_text text = g->texts[pair->query];
    assay_gathering_query(g, pair->query, hex);
    *out = (assay_judgment){
        .query = assay_arena_copy(arena, hex, 32),
        .text = {assay_arena_copy(arena, text.data, text.length), text.length},
        .document = assay_arena_copy(arena, document, strlen(document)),
        .attraction = pair->attraction,
        .examined = pair->examined,
        .grade = grade_of(pair->attraction),
    };
    return out->query != NULL && out->text.data != NULL && out->document != NULL
               ? ASSAY_OK
               : assay_fail_memory(error, text.length + 64);
}

static assay_status judge(const assay_gathering *g, const assay_click_model *model, block *b,
                          size_t *count, assay_error *error)
{
    bool *useful = NULL;
    ASSAY_TRY(mark_useful(g, model, &useful, error));
    assay_status status = ASSAY_OK;
    b->items = calloc(model->pair_count + 1, sizeof *b->items);
    b->arena = assay_arena_new(0);
    if (b->items == NULL || b->arena == NULL)
        status = assay_fail_memory(error, model->pair_count * sizeof *b->items);
    for (size_t i = 0; i < model->pair_count && status == ASSAY_OK; i++) {
        const assay_click_pair *pair = &model->pairs[i];
        if (!useful[pair->query] || pair->examined < LEAST_EXAMINED)
            continue;
        status = write_one(g, pair, b->arena, &b->items[*count], error);
        ++*count;
    }
    if (status == ASSAY_OK)
        qsort(b->items, *count, sizeof *b->items, by_names);
    free(useful);
    return status;
}

assay_status assay_feedback_judge(assay_feedback *feedback, const assay_report_options *options,
                                  assay_judgments *out, assay_error *error)
{
    static const assay_report_options defaults;
    assay_gathering gathering;
    assay_click_model model = {0};
    size_t count = 0;
    ASSAY_TRY(assay_gather(feedback, options != NULL ? options : &defaults, &gathering, error));
    block *b = calloc(1, sizeof *b);
    assay_status status = b != NULL ? ASSAY_OK : assay_fail_memory(error, sizeof *b);
    if (status == ASSAY_OK)
        status = assay_click_model_fit(&gathering, &model, error);
    if (status == ASSAY_OK)
        status = judge(&gathering, &model, b, &count, error);
    if (status == ASSAY_OK)
        *out = (assay_judgments){.count = count, .items = b->items,
                                 .estimated = model.estimated, .block = b};
    else
        block_free(b);
    assay_click_model_free(&model);
    assay_gathering_free(&gathering);
    return status;
}

void assay_judgments_free(assay_judgments *judgments)
{
    if (judgments == NULL)
        return;
    block_free(judgments->block);
    *judgments = (assay_judgments){0};
}
