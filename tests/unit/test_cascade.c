/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cascade.c: several stages after one another, and pipelines as files. What
 * the small random models score is meaningless; who sees what, who stays behind,
 * and which order follows is not.
 */
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
#include <jansson.h>

#include "pipeline/reranker.h"
#include "assert_ok.h"
#include "fake_reranker.h"

#define DENSE "tests/golden/models/dense-mean"
#define CROSS "tests/golden/models/cross-f32"

enum { DOCUMENTS = 24 };

static char home[64], folder[64];
static assay_store *store;

static const char *write_text(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    char text[256], name[32];
    snprintf(home, sizeof home, "/tmp/assay-home-XXXXXX");
    snprintf(folder, sizeof folder, "/tmp/assay-files-XXXXXX");
    if (mkdtemp(home) == NULL || mkdtemp(folder) == NULL)
        return -1;
    for (int i = 0; i < DOCUMENTS; i++) {
        snprintf(text, sizeof text, "Ship number %d has %d lockers, and soup on %d days.\n", i,
                 7 * i % 11, i % 7);
        snprintf(name, sizeof name, "d%02d.txt", i);
        write_text(name, text);
    }
    assert_ok(assay_store_open(home, &(assay_store_options){.create = true}, &store, &error));
    const char *paths[] = {folder};
    assay_index_report report;
    assert_ok(assay_index(store, "c", paths, 1, &(assay_index_options){.model = DENSE}, NULL,
                          NULL, &report, &error));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assay_store_close(store);
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s", home, folder);
    return system(command);
}

static assay_result search(const assay_pipeline_options *options)
{
    assay_pipeline *pipeline;
    assay_result result;
    const char *query = "soup in lockers";
    assert_ok(assay_pipeline_open(store, "c", options, &pipeline, &error));
    assert_ok(assay_search(pipeline, (assay_text){query, strlen(query)}, 0, &result, &error));
    assay_pipeline_close(pipeline);
    return result;
}

static size_t find(const assay_result *result, const char *document)
{
    for (size_t i = 0; i < result->count; i++)
        if (strcmp(result->hits[i].document, document) == 0)
            return i;
    fail_msg("%s was lost", document);
    return 0;
}

/* 20 -> 8 -> 3: each stage sees what the one before kept, in its order, and
 * nobody is lost. */
static void a_stage_sees_what_the_last_one_kept(void **state)
{
    (void)state;
    const assay_stage_options stages[] = {
        {.model = CROSS, .keep = 8, .weight_before = {true, 0}},
        {.model = CROSS, .keep = 3, .weight = {true, 0}},
        {.model = CROSS, .weight = {true, 0}},
    };
    assay_pipeline_options options = {.rerank = 20, .stages = stages, .stage_count = 3,
                                      .no_cache = true};
    assay_result result = search(&options);
    assert_int_equal(result.count, DOCUMENTS);
    assert_int_equal(result.stage_count, 3);
    assert_int_equal(result.stages[0].scored, 20);
    assert_int_equal(result.stages[1].scored, 8);
    assert_int_equal(result.stages[2].scored, 3);
    assert_int_equal(result.scored, 31);
    for (size_t i = 0; i < result.count; i++) {
        const assay_hit *hit = &result.hits[i];
        assert_int_equal(hit->stages[0].scored, hit->rank_first <= 20);
        assert_int_equal(hit->stages[1].scored, hit->stages[0].rank <= 8);
        assert_int_equal(hit->stages[2].scored, hit->stages[1].rank <= 3);
        /* stages 2 and 3 weigh nothing: the order is the first one's */
        assert_int_equal(hit->rank, hit->stages[0].rank);
        assert_int_equal(hit->stages[1].rank, hit->stages[0].rank);
        assert_int_equal(hit->rank, i + 1);
        if (i > 0)
            assert_true(hit->score < hit[-1].score ||
                        (hit->score == hit[-1].score && i < 20));
        if (i > 0 && i < 20)
            assert_true(hit->stages[0].logit <= hit[-1].stages[0].logit);
        if (hit->rank_first > 20)
            assert_int_equal(hit->rank, hit->rank_first);
        assert_true(hit->score == hit->stages[2].score);
    }
    assay_result_free(&result);
}

/* One stage, by name or in the list, is the same to the bit. */
static void the_short_form_is_a_list_of_one(void **state)
{
    (void)state;
    const assay_stage_options stage = {.model = CROSS, .weight = {true, 0.7}};
    assay_pipeline_options shorter = {.reranker = CROSS, .rerank_weight = {true, 0.7},
                                      .rerank = 10};
    assay_pipeline_options longer = {.stages = &stage, .stage_count = 1, .rerank = 10};
    assay_result a = search(&shorter), b = search(&longer);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        assert_string_equal(a.hits[i].document, b.hits[i].document);
        assert_true(a.hits[i].score == b.hits[i].score);
        assert_true(a.hits[i].logit == b.hits[i].logit);
    }
    assay_result_free(&a);
    assay_result_free(&b);
}

/* Scores are divided by their deviation, or by `spread` where that is more. */
static void what_scores_nearly_alike_weighs_little(void **state)
{
    (void)state;
    static const double spreads[] = {0, 1e-9, 1e5};
    float scores[3][DOCUMENTS];
    for (size_t i = 0; i < 3; i++) {
        assay_stage_options stage = {.model = CROSS, .weight_before = {true, 0},
                                     .weight = {true, 1}, .spread = {true, spreads[i]}};
        assay_pipeline_options options = {.stages = &stage, .stage_count = 1};
        assay_result result = search(&options);
        assert_int_equal(result.count, DOCUMENTS);
        for (size_t j = 0; j < result.count; j++)
            scores[i][j] = result.hits[j].score;
        assay_result_free(&result);
    }
    double before = 0, after = 0;
    for (size_t j = 0; j < DOCUMENTS; j++) {
        assert_true(scores[0][j] == scores[1][j]);
        before += (double)scores[0][j] * (double)scores[0][j];
        after += (double)scores[2][j] * (double)scores[2][j];
    }
    assert_true(before > 1);
    assert_true(after > 0 && after < 1e-3 * before);
}

/* A stage that cannot take the query leaves the order alone; the next goes on. */
static void a_stage_that_fails_changes_nothing(void **state)
{
    (void)state;
    assay_stage_options stages[] = {
        {.model = CROSS, .max_tokens = 6, .weight_before = {true, 0}},
        {.model = CROSS, .weight_before = {true, 0}},
    };
    assay_pipeline_options options = {.stages = stages, .stage_count = 1, .no_cache = true};
    assay_result failed = search(&options);
    assert_int_equal(failed.degraded.code, ASSAY_E_LIMIT);
    assert_int_equal(failed.stages[0].scored, 0);
    for (size_t i = 0; i < failed.count; i++) {
        assert_int_equal(failed.hits[i].rank, failed.hits[i].rank_first);
        assert_false(failed.hits[i].reranked);
    }
    options.stage_count = 2;
    assay_result both = search(&options);
    options.stages = stages + 1;
    options.stage_count = 1;
    assay_result second = search(&options);
    assert_int_equal(both.stages[0].degraded.code, ASSAY_E_LIMIT);
    assert_int_equal(both.stages[1].degraded.code, ASSAY_OK);
    assert_int_equal(both.degraded.code, ASSAY_E_LIMIT);
    for (size_t i = 0; i < both.count; i++)
        assert_string_equal(both.hits[i].document, second.hits[i].document);
    assert_int_equal(find(&both, failed.hits[0].document),
                     find(&second, failed.hits[0].document));
    assay_result_free(&failed);
    assay_result_free(&both);
    assay_result_free(&second);
}

/* ---- A stage that says yes or no -------------------------------------------- */

/* Documents d00, d03, ... do not answer, d01, d04, ... had no answer, the others do. */
static assay_verdict verdict_on(const char *document)
{
    static const assay_verdict verdicts[] = {ASSAY_VERDICT_NO, ASSAY_VERDICT_FAILED,
                                             ASSAY_VERDICT_YES};
    return verdicts[atoi(strrchr(document, 'd') + 1) % 3];
}

static assay_status score_judge(void *state, const assay_rerank_call *call, size_t first,
                                size_t count, assay_score *scores, assay_stage_result *result,
                                assay_error *problem)
{
    (void)state, (void)problem;
    for (size_t i = first; i < first + count; i++) {
        assay_verdict verdict = verdict_on(call->passages[i]->id);
        call->validations[i] = (assay_validation){verdict, assay_verdict_name(verdict)};
        scores[i] = (assay_score){
            .logit = verdict == ASSAY_VERDICT_NO ? -1 : 1,
            .probability = verdict == ASSAY_VERDICT_NO ? 0.1f : 0.9f,
            .status = verdict == ASSAY_VERDICT_FAILED ? ASSAY_E_NETWORK : ASSAY_OK,
        };
        result->rejected += verdict == ASSAY_VERDICT_NO;
    }
    return ASSAY_OK;
}

static const assay_reranker_class judge = {
    .name = "judge", .weight = 1, .whole = true, .validates = true, .open = open_fake,
    .close = close_fake, .begin = begin_fake, .score = score_judge,
};

static assay_result search_judged(const assay_stage_options *stages, size_t count,
                                  assay_setting least)
{
    const assay_pipeline_options options = {.rerank = 12, .stages = stages, .stage_count = count,
                                            .no_cache = true, .min_probability = least};
    const assay_reranker_class *before = assay_reranker_replace(ASSAY_RERANKER_VISION, &judge);
    assay_result result = search(&options);
    assay_reranker_replace(ASSAY_RERANKER_VISION, before);
    return result;
}

/* Of 12 that are looked at, those that do not answer go behind the others, which keep their
 * order, and before those that were not looked at. What a reranker said of them stays. */
static void what_does_not_answer_goes_behind(void **state)
{
    (void)state;
    const assay_stage_options stages[] = {
        {.model = CROSS, .weight_before = {true, 0}},
        {.kind = ASSAY_RERANKER_VISION, .page = {.image_folder = "."}},
    };
    assay_result before = search_judged(stages, 1, (assay_setting){0});
    assay_result result = search_judged(stages, 2, (assay_setting){0});
    assert_int_equal(result.count, DOCUMENTS);
    uint32_t rejected = 0;
    for (size_t i = 0; i < 12; i++)
        rejected += verdict_on(before.hits[i].document) == ASSAY_VERDICT_NO;
    assert_true(rejected > 0 && rejected < 12);
    assert_int_equal(result.stages[1].rejected, rejected);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        const assay_hit *hit = &result.hits[i];
        const assay_hit_stage *stage = &hit->stages[1];
        bool looked = hit->stages[0].rank <= 12;
        assert_int_equal(stage->verdict,
                         looked ? verdict_on(hit->document) : ASSAY_VERDICT_NONE);
        assert_int_equal(stage->scored, looked && stage->verdict != ASSAY_VERDICT_FAILED);
        assert_int_equal(stage->verdict == ASSAY_VERDICT_NO, i >= 12 - rejected && i < 12);
        assert_true(looked ? hit->logit == hit->stages[0].logit : !hit->reranked);
        if (looked)
            assert_string_equal(stage->reason, assay_verdict_name(stage->verdict));
        if (i > 0 && i != 12 - rejected)
            assert_true(hit->stages[0].rank > hit[-1].stages[0].rank);
    }
    assay_result_free(&before);
    assay_result_free(&result);
}

/* Or out: the next stage does not see them, and nothing else is lost. */
static void or_out(void **state)
{
    (void)state;
    const assay_page_options page = {.image_folder = ".", .rejected = ASSAY_REJECTED_DROP};
    const assay_stage_options stages[] = {
        {.model = CROSS},
        {.kind = ASSAY_RERANKER_VISION, .page = page},
        {.model = CROSS},
        {.kind = ASSAY_RERANKER_VISION, .page = page},
    };
    assay_result result = search_judged(stages, 4, (assay_setting){0});
    assert_true(result.dropped > 0);
    assert_int_equal(result.count, DOCUMENTS - result.dropped);
    assert_int_equal(result.stages[1].dropped, result.stages[1].rejected);
    assert_int_equal(result.stages[2].scored, 12);
    for (size_t i = 0; i < result.count; i++) {
        assert_int_equal(result.hits[i].rank, i + 1);
        assert_true(result.hits[i].stages[3].rank == i + 1);
        assert_true(result.hits[i].stages[1].verdict != ASSAY_VERDICT_NO &&
                    result.hits[i].stages[3].verdict != ASSAY_VERDICT_NO);
    }
    assay_result_free(&result);
}

/* What a search asks for goes before what the pipeline has, and back. */
static void each_search_may_ask_for_a_probability(void **state)
{
    (void)state;
    assay_pipeline *pipeline;
    assay_result result;
    const assay_text query = {"soup in lockers", 15};
    const assay_pipeline_options options = {.reranker = CROSS, .min_probability = {true, 0}};
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    const struct {
        assay_setting least;
        double in_force;
        size_t hits;
    } cases[] = {{{0}, 0, DOCUMENTS}, {{true, 1}, 1, 0}, {{0}, 0, DOCUMENTS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(assay_pipeline_min_probability(pipeline, cases[i].least, &error));
        assert_ok(assay_search(pipeline, query, 0, &result, &error));
        assert_true(result.least.set && result.least.value == cases[i].in_force);
        assert_int_equal(result.count, cases[i].hits);
        assert_int_equal(result.withheld, DOCUMENTS - cases[i].hits);
        assay_result_free(&result);
    }
    assert_int_equal(assay_pipeline_min_probability(pipeline, (assay_setting){true, 1.5}, &error),
                     ASSAY_E_ARGUMENT);
    assay_pipeline_close(pipeline);
    assert_ok(assay_pipeline_open(store, "c", NULL, &pipeline, &error));
    assert_int_equal(assay_pipeline_min_probability(pipeline, (assay_setting){true, 0.5}, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "min_probability");
    assert_ok(assay_pipeline_min_probability(pipeline, (assay_setting){0}, &error));
    assay_pipeline_close(pipeline);
}

static void expect_refused(const assay_pipeline_options *options, const char *part)
{
    assay_pipeline *pipeline;
    assert_int_equal(assay_pipeline_open(store, "c", options, &pipeline, &error),
                     ASSAY_E_ARGUMENT);
    if (strstr(error.message, part) == NULL && strstr(error.where, part) == NULL)
        fail_msg("\"%s\" is not in \"%s: %s\"", part, error.where, error.message);
}

static void wrong_stages_are_refused(void **state)
{
    (void)state;
    const assay_stage_options stage = {.model = CROSS};
    assay_stage_options many[ASSAY_STAGES_MAX + 1] = {{0}};
    expect_refused(&(assay_pipeline_options){.stages = &stage, .stage_count = 1,
                                             .reranker = CROSS}, "only one of the two");
    expect_refused(&(assay_pipeline_options){.stages = many,
                                             .stage_count = ASSAY_STAGES_MAX + 1}, "more than");
    many[0].kind = (assay_reranker_kind)99;
    expect_refused(&(assay_pipeline_options){.stages = many, .stage_count = 1}, "stage 1");
    many[0] = (assay_stage_options){.model = DENSE};
    expect_refused(&(assay_pipeline_options){.stages = many, .stage_count = 1}, "bi-encoder");
    many[0] = (assay_stage_options){.model = CROSS, .weight = {true, -1}};
    expect_refused(&(assay_pipeline_options){.stages = many, .stage_count = 1}, "weight");
}

/* ------------------------------------------------------------------ files */

static void expect_wrong(const char *json, const char *where, const char *part)
{
    assay_pipeline_file *file;
    char whole[400];
    const char *path = write_text("p.json", json);
    assert_int_equal(assay_pipeline_file_open(path, &file, &error), ASSAY_E_FORMAT);
    snprintf(whole, sizeof whole, "%s%s", path, where);
    assert_string_equal(error.where, whole);
    if (strstr(error.message, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, error.message);
}

static void errors_name_file_field_and_what_is_right(void **state)
{
    (void)state;
    expect_wrong("{", "", "line 1");
    expect_wrong("[]", "", "object");
    expect_wrong("{\"retreive\": 5}", ": retreive", "retriever retrieve");
    expect_wrong("{\"retrieve\": 0}", ": retrieve", "between 1 and 100000");
    expect_wrong("{\"retrieve\": \"5\"}", ": retrieve", "a whole number, found a string");
    expect_wrong("{\"retriever\": \"bm52\"}", ": retriever", "auto|bm25|dense|hybrid");
    expect_wrong("{\"b\": 2}", ": b", "between 0 and 1");
    expect_wrong("{\"stages\": {}}", ": stages", "a list");
    expect_wrong("{\"stages\": [1]}", ": stages[0]", "an object");
    expect_wrong("{\"stages\": [{}]}", ": stages[0]: kind", "missing");
    expect_wrong("{\"stages\": [{\"kind\": \"cross\"}, {\"kind\": \"x\"}]}", ": stages[1]: kind",
                 "is not one of");
    expect_wrong("{\"stages\": [{\"kind\": \"cross\", \"name\": \"x\"}]}", ": stages[0]: name",
                 "kind model");
    expect_wrong("{\"stages\": [{\"kind\": \"cross\", \"keep\": -1}]}", ": stages[0]: keep",
                 "between");
    assay_pipeline_file *file;
    assert_int_equal(assay_pipeline_file_open("nosuch", &file, &error), ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "default"));
    assert_int_equal(assay_pipeline_file_open("./nosuch", &file, &error), ASSAY_E_NOT_FOUND);
}

static char *text_of(const char *name)
{
    assay_pipeline_file *file;
    assay_pipeline_options options;
    char *text;
    assert_ok(assay_pipeline_file_open(name, &file, &error));
    assay_pipeline_file_options(file, &options);
    assert_ok(assay_pipeline_text(&options, &text, &error));
    assay_pipeline_file_close(file);
    return text;
}

/* Every preset, written with its defaults and read again, is what it was. */
static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    const char *name;
    for (size_t i = 0; (name = assay_pipeline_preset(i, NULL)) != NULL; i++) {
        char *first = text_of(name), *second = text_of(write_text("p.json", first));
        assert_string_equal(first, second);
        assay_free(first);
        assay_free(second);
    }
    assert_true(name == NULL);
}

/* What a pipeline file of the default says is what the options' defaults are. */
static void the_default_preset_is_the_default(void **state)
{
    (void)state;
    char *given, *preset = text_of("default");
    assert_ok(assay_pipeline_text(&(assay_pipeline_options){.reranker = "cross"}, &given,
                                  &error));
    assert_string_equal(given, preset);
    assay_free(given);
    assay_free(preset);
}

/* The schema knows every field that is written. */
static void the_schema_knows_every_field(void **state)
{
    (void)state;
    char *schema, *text = text_of("default");
    assert_ok(assay_pipeline_schema(&schema, &error));
    json_t *known = json_loads(schema, 0, NULL), *used = json_loads(text, 0, NULL);
    json_t *properties = json_object_get(known, "properties");
    json_t *stage = json_object_get(
        json_object_get(json_object_get(properties, "stages"), "items"), "properties");
    const char *name;
    json_t *value;
    json_object_foreach(used, name, value)
        assert_non_null(json_object_get(properties, name));
    json_object_foreach(json_array_get(json_object_get(used, "stages"), 0), name, value)
        assert_non_null(json_object_get(stage, name));
    json_decref(known);
    json_decref(used);
    assay_free(schema);
    assay_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_sees_what_the_last_one_kept),
        cmocka_unit_test(the_short_form_is_a_list_of_one),
        cmocka_unit_test(what_scores_nearly_alike_weighs_little),
        cmocka_unit_test(a_stage_that_fails_changes_nothing),
        cmocka_unit_test(what_does_not_answer_goes_behind),
        cmocka_unit_test(or_out),
        cmocka_unit_test(each_search_may_ask_for_a_probability),
        cmocka_unit_test(wrong_stages_are_refused),
        cmocka_unit_test(errors_name_file_field_and_what_is_right),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(the_default_preset_is_the_default),
        cmocka_unit_test(the_schema_knows_every_field),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
