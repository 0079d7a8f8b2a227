/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pipeline.c: from files to hits: indexing, resuming, pruning, searching,
 * reranking. Models are the small random ones under tests/golden/models: what
 * they find is meaningless, that it is found consistently is not.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include <assay.h>

#include "assert_ok.h"

#define DENSE "tests/golden/models/dense-mean"
#define CROSS "tests/golden/models/cross-f32"

static char home[64], files[64];
static assay_store *store;

static void write_text(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", files, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_text(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", files, name);
    assert_int_equal(unlink(path), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-home-XXXXXX");
    snprintf(files, sizeof files, "/tmp/assay-files-XXXXXX");
    if (mkdtemp(home) == NULL || mkdtemp(files) == NULL)
        return -1;
    write_text("leave.txt", "Unused holidays lapse in March. They may be carried over when "
                            "the ship was at sea.\n");
    write_text("fire.md", "# Fire\n\nLeave the cabin at once.\n\n## Alarm\n\nThe alarm is a "
                          "long ring. Holidays are no excuse.\n");
    write_text("cook.txt", "The cook charges nothing for soup.\n");
    return assay_store_open(home, &(assay_store_options){.create = true}, &store, &error) ==
                   ASSAY_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    assay_store_close(store);
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s %s.cross", home, files, home);
    return system(command);
}

static assay_index_report index_files(const assay_index_options *options)
{
    const char *paths[] = {files};
    assay_index_report report;
    assert_ok(assay_index(store, "c", paths, 1, options, NULL, NULL, &report, &error));
    return report;
}

static assay_text text_of(const char *string)
{
    return (assay_text){string, strlen(string)};
}

static const assay_index_options with_model = {.model = DENSE};
static const assay_index_options without_model = {.model = "none"};

/* Searches collection "c" once; the caller frees the result. */
static assay_result search(const assay_pipeline_options *options, const char *query,
                           uint32_t top)
{
    assay_pipeline *pipeline;
    assay_result result;
    assert_ok(assay_pipeline_open(store, "c", options, &pipeline, &error));
    assert_ok(assay_search(pipeline, text_of(query), top, &result, &error));
    assay_pipeline_close(pipeline);
    return result;
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static void second_run_takes_only_what_changed(void **state)
{
    (void)state;
    assay_index_report report = index_files(&with_model);
    assert_int_equal(report.seen, 3);
    assert_int_equal(report.added, 3);
    assert_int_equal(report.failed, 0);
    assert_true(report.passages >= 4);

    report = index_files(NULL);
    assert_int_equal(report.unchanged, 3);
    assert_int_equal(report.passages, 0);

    write_text("cook.txt", "The cook charges two crowns for soup.\n");
    remove_text("leave.txt");
    report = index_files(NULL);
    assert_int_equal(report.changed, 1);
    assert_int_equal(report.unchanged, 1);
    assert_int_equal(report.removed, 0);

    report = index_files(&(assay_index_options){.prune = true});
    assert_int_equal(report.removed, 1);
    report = index_files(&(assay_index_options){.rebuild = true});
    assert_int_equal(report.changed, 2);

    assay_collection_info info;
    uint64_t problems;
    assert_ok(assay_collection_describe(store, "c", &info, &error));
    assert_int_equal(info.documents, 2);
    assert_int_equal(info.vectors, info.passages);
    assert_ok(assay_store_check(store, NULL, NULL, &problems, &error));
    assert_int_equal(problems, 0);
}

typedef struct problems {
    int count;
    char last[1024];
    int stop_after; /* calls; 0: never */
    int calls;
} problems;

static bool note(const assay_progress *progress, void *user)
{
    problems *p = user;
    if (progress->problem != NULL) {
        p->count++;
        snprintf(p->last, sizeof p->last, "%s: %s", progress->problem->where,
                 progress->problem->message);
    }
    return p->stop_after == 0 || ++p->calls < p->stop_after;
}

static void bad_files_do_not_stop_the_others(void **state)
{
    (void)state;
    write_text("bad.txt", "caf\xe9 is not UTF-8\n");
    write_text("records.jsonl", "{\"_id\": \"a\", \"text\": \"one\"}\n"
                                "{\"_id\": \"b\", \"text\": }\n"
                                "{\"_id\": \"a\", \"text\": \"one again\"}\n"
                                "{\"_id\": \"e\", \"text\": \"\"}\n");
    const char *paths[] = {files};
    assay_index_report report;
    problems p = {0};
    assert_ok(assay_index(store, "c", paths, 1,
                          &(assay_index_options){.model = "none", .prune = true}, note, &p,
                          &report, &error));
    assert_int_equal(report.failed, 3);
    assert_int_equal(p.count, 4); /* and that nothing was pruned */
    assert_non_null(strstr(p.last, "pruned"));
    assert_int_equal(report.added, 5);
    assert_int_equal(report.empty, 1);
}

static void interrupted_indexing_resumes(void **state)
{
    (void)state;
    char text[8192] = "", name[32];
    for (int i = 0; i < 200; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "Sentence number %d. ", i);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "long%02d.txt", i);
        write_text(name, text);
    }
    const char *paths[] = {files};
    assay_index_report report;
    problems p = {.stop_after = 12};
    assert_int_equal(assay_index(store, "c", paths, 1, &with_model, note, &p, &report, &error),
                     ASSAY_E_INTERRUPTED);
    assert_true(report.added > 0 && report.added < 33);
    uint64_t before = report.added, found;
    assert_ok(assay_store_check(store, NULL, NULL, &found, &error));
    report = index_files(NULL);
    assert_int_equal(report.unchanged, before);
    assert_int_equal(report.added, 33 - before);
}

static void bm25_finds_and_tells_where(void **state)
{
    (void)state;
    index_files(&without_model);
    assay_result result = search(NULL, "May holidays be carried over?", 5);
    assert_int_equal(result.count, 2);
    const assay_hit *hit = &result.hits[0];
    assert_true(ends_with(hit->document, "leave.txt"));
    assert_int_equal(hit->rank, 1);
    assert_int_equal(hit->rank_first, 1);
    assert_int_equal(hit->rank_bm25, 1);
    assert_int_equal(hit->rank_dense, 0);
    assert_true(isnan(hit->score_dense) && hit->score == hit->score_bm25);
    assert_false(hit->reranked);
    assert_int_equal(hit->offset, 0);
    assert_int_equal(memcmp(hit->text.data, "Unused", 6), 0);
    hit = &result.hits[1];
    assert_true(ends_with(hit->document, "fire.md"));
    assert_string_equal(hit->heading, "Alarm");
    assert_string_equal(hit->title, "Fire");
    assay_result_free(&result);

    result = search(NULL, "zebra", 5);
    assert_int_equal(result.count, 0);
    assay_result_free(&result);
    result = search(NULL, "\xff\xfe \"NEAR( OR *", 5);
    assert_int_equal(result.count, 0);
    assay_result_free(&result);
}

/* Cosines stay within 1 for a model whose vectors have other lengths, and a
 * text's own is 1. */
static void cosines_whatever_the_model(void **state)
{
    (void)state;
    write_text("only.txt", "soup\n");
    index_files(&(assay_index_options){.model = "tests/golden/models/dense-plain"});
    assay_result result =
        search(&(assay_pipeline_options){.retriever = ASSAY_RETRIEVER_DENSE}, "only.txt soup", 0);
    assert_true(result.count > 0);
    assert_true(fabsf(result.hits[0].score_dense - 1) < 1e-5f);
    assay_result_free(&result);
}

static void embed_as(assay_model *model, assay_role role, const char *text, float *vector)
{
    assay_session *session;
    assay_text one = text_of(text);
    assert_ok(assay_session_open(model, &(assay_session_options){.role = role}, &session, &error));
    assert_ok(assay_embed(session, &one, 1, vector, NULL, &error));
    assay_session_close(session);
}

/* A passage's vector is made with the passage's prompt, a query's with its own. */
static void prompts_follow_the_role(void **state)
{
    (void)state;
    const char *name = "tests/golden/models/dense-prompts";
    write_text("only.txt", "soup\n");
    index_files(&(assay_index_options){.model = name});
    assay_result result =
        search(&(assay_pipeline_options){.retriever = ASSAY_RETRIEVER_DENSE}, "holidays", 0);
    size_t only = 0;
    while (only < result.count && !ends_with(result.hits[only].document, "only.txt"))
        only++;
    assert_true(only < result.count);
    assay_model *model;
    float query[28], passage[28], cosine = 0;
    assert_ok(assay_model_open(name, NULL, &model, &error));
    embed_as(model, ASSAY_ROLE_QUERY, "holidays", query);
    embed_as(model, ASSAY_ROLE_PASSAGE, "only.txt soup", passage);
    for (int i = 0; i < 28; i++)
        cosine += query[i] * passage[i];
    assert_true(fabsf(result.hits[only].score_dense - cosine) < 1e-5f);
    embed_as(model, ASSAY_ROLE_NONE, "only.txt soup", passage);
    cosine = 0;
    for (int i = 0; i < 28; i++)
        cosine += query[i] * passage[i];
    assert_true(fabsf(result.hits[only].score_dense - cosine) > 1e-3f);
    assay_model_close(model);
    assay_result_free(&result);
}

/* Every passage is found by its vector; the order does not depend on threads. */
static void dense_and_hybrid_search(void **state)
{
    (void)state;
    index_files(&with_model);
    assay_pipeline_options dense = {.retriever = ASSAY_RETRIEVER_DENSE, .threads = 1};
    assay_result one = search(&dense, "holidays", 0);
    assert_int_equal(one.count, 3);
    assert_true(one.hits[0].score_dense >= one.hits[1].score_dense);
    dense.threads = 2;
    assay_result two = search(&dense, "holidays", 0);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(one.hits[i].document, two.hits[i].document);
        assert_true(one.hits[i].score == two.hits[i].score);
    }
    assay_result_free(&one);
    assay_result_free(&two);
    one = search(NULL, "holidays", 0);
    assert_int_equal(one.count, 3);
    assert_true(one.hits[0].rank_bm25 > 0 || one.hits[1].rank_bm25 > 0);
    assay_result_free(&one);
}

static int by_logit(const void *left, const void *right)
{
    float a = ((const assay_hit *)left)->logit, b = ((const assay_hit *)right)->logit;
    return (a < b) - (a > b);
}

static void weights_set_the_final_order(void **state)
{
    (void)state;
    index_files(&with_model);
    assay_pipeline_options options = {.reranker = CROSS, .first_weight = {true, 0}};
    assay_result by_reranker = search(&options, "holidays at sea", 0);
    for (size_t i = 0; i < by_reranker.count; i++) {
        const assay_hit *hit = &by_reranker.hits[i];
        assert_true(hit->reranked && hit->tokens > 0 && hit->status == ASSAY_OK);
        assert_true(fabsf(hit->probability - 1 / (1 + expf(-hit->logit))) < 1e-6f);
        if (i > 0)
            assert_true(by_logit(hit - 1, hit) <= 0);
    }
    options.first_weight = (assay_setting){true, 1};
    options.rerank_weight = (assay_setting){true, 0};
    assay_result by_first = search(&options, "holidays at sea", 0);
    for (size_t i = 0; i < by_first.count; i++)
        assert_int_equal(by_first.hits[i].rank, by_first.hits[i].rank_first);
    assay_result_free(&by_reranker);
    assay_result_free(&by_first);

    /* One candidate is reranked: it stays first, and the scores go on falling. */
    options = (assay_pipeline_options){.reranker = CROSS, .rerank = 1};
    assay_result some = search(&options, "holidays at sea", 0);
    assert_true(some.hits[0].reranked && some.hits[0].rank_first == 1);
    for (size_t i = 1; i < some.count; i++) {
        assert_false(some.hits[i].reranked);
        assert_true(some.hits[i].score < some.hits[i - 1].score);
    }
    assay_result_free(&some);
}

static void index_file_is_made_again_when_missing_behind_or_damaged(void **state)
{
    (void)state;
    index_files(&with_model);
    assay_pipeline_options dense = {.retriever = ASSAY_RETRIEVER_DENSE};
    assay_pipeline *pipeline;
    assay_result result;
    assert_ok(assay_pipeline_open(store, "c", &dense, &pipeline, &error));
    assert_ok(assay_search(pipeline, text_of("soup"), 0, &result, &error));
    assert_int_equal(result.count, 3);
    assay_result_free(&result);

    write_text("new.txt", "A new document about soup.\n");
    index_files(NULL);
    assert_ok(assay_search(pipeline, text_of("soup"), 0, &result, &error));
    assert_int_equal(result.count, 4);
    assay_result_free(&result);
    assay_pipeline_close(pipeline);

    char path[128];
    snprintf(path, sizeof path, "%s/index/1.flat", home);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 100, SEEK_SET);
    fputc('x', file);
    fclose(file);
    uint64_t found;
    assert_int_equal(assay_store_check(store, NULL, NULL, &found, &error), ASSAY_E_CORRUPT);
    assert_int_equal(found, 1);
    assert_non_null(strstr(error.where, "1.flat"));
    unlink(path);
    assert_ok(assay_store_check(store, NULL, NULL, &found, &error));
    result = search(&dense, "soup", 0);
    assert_int_equal(result.count, 4);
    assay_result_free(&result);
}

/* Who has searched by the file of centres catches it up, and finds what one who makes it anew
 * does. */
static void token_lists_follow_the_collection(void **state)
{
    (void)state;
    const assay_index_options kept = {.model = DENSE, .late = "tests/golden/models/late-pylate",
                                      .late_codes = ASSAY_LATE_CODES_B4};
    const assay_pipeline_options late = {.retriever = ASSAY_RETRIEVER_LATE};
    assay_pipeline *pipeline;
    assay_result result;
    index_files(&kept);
    assert_ok(assay_pipeline_open(store, "c", &late, &pipeline, &error));
    assert_ok(assay_search(pipeline, text_of("soup"), 0, &result, &error));
    assert_int_equal(result.count, 3);
    assay_result_free(&result);

    write_text("new.txt", "A new document about soup.\n");
    remove_text("cook.txt");
    index_files(&(assay_index_options){.prune = true});
    assert_ok(assay_search(pipeline, text_of("soup"), 0, &result, &error));
    assay_pipeline_close(pipeline);
    char command[128];
    snprintf(command, sizeof command, "rm %s/index/1.tokens", home);
    assert_int_equal(system(command), 0);
    assay_result anew = search(&late, "soup", 0);
    assert_int_equal(result.count, 3);
    assert_int_equal(anew.count, 3);
    for (size_t i = 0; i < anew.count; i++) {
        assert_string_equal(anew.hits[i].document, result.hits[i].document);
        assert_true(anew.hits[i].score_dense == result.hits[i].score_dense);
    }
    assay_result_free(&anew);
    assay_result_free(&result);
}

static void expect_open(const assay_pipeline_options *options, const char *collection,
                        assay_status status, const char *part)
{
    assay_pipeline *pipeline;
    assert_int_equal(assay_pipeline_open(store, collection, options, &pipeline, &error), status);
    if (strstr(error.message, part) == NULL && strstr(error.where, part) == NULL)
        fail_msg("\"%s\" is not in \"%s: %s\"", part, error.where, error.message);
}

static void wrong_settings_are_refused(void **state)
{
    (void)state;
    index_files(&without_model);
    expect_open(NULL, "d", ASSAY_E_NOT_FOUND, "c");
    expect_open(&(assay_pipeline_options){.retriever = ASSAY_RETRIEVER_DENSE}, "c",
                ASSAY_E_ARGUMENT, "without a model");
    expect_open(&(assay_pipeline_options){.reranker = DENSE}, "c", ASSAY_E_ARGUMENT,
                "bi-encoder");
    expect_open(&(assay_pipeline_options){.b = {true, 2}}, "c", ASSAY_E_ARGUMENT, "b");
    expect_open(&(assay_pipeline_options){.k1 = {true, NAN}}, "c", ASSAY_E_ARGUMENT, "k1");
    expect_open(&(assay_pipeline_options){.retrieve = 1000000}, "c", ASSAY_E_ARGUMENT,
                "retrieve");
    expect_open(&(assay_pipeline_options){.reranker = CROSS,
                                          .first_weight = {true, 0},
                                          .rerank_weight = {true, 0}},
                "c", ASSAY_E_ARGUMENT, "both are 0");
    assay_pipeline *pipeline;
    assay_result result;
    assert_ok(assay_pipeline_open(store, "c", NULL, &pipeline, &error));
    assert_int_equal(assay_search(pipeline, text_of(" \n"), 5, &result, &error),
                     ASSAY_E_ARGUMENT);
    assay_pipeline_close(pipeline);

    const char *paths[] = {files}, *missing[] = {"/nowhere"};
    assert_int_equal(assay_index(store, "c", paths, 1, &with_model, NULL, NULL, NULL, &error),
                     ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "model"));
    assert_int_equal(assay_index(store, "c", paths, 1,
                                 &(assay_index_options){.passage_tokens = ASSAY_WHOLE_DOCUMENT},
                                 NULL, NULL, NULL, &error),
                     ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "160, not all"));
    assert_int_equal(assay_index(store, "c", missing, 1, NULL, NULL, NULL, NULL, &error),
                     ASSAY_E_NOT_FOUND);
    assert_int_equal(assay_index(store, "e", paths, 1, &(assay_index_options){.model = CROSS},
                                 NULL, NULL, NULL, &error),
                     ASSAY_E_ARGUMENT);
    assert_int_equal(assay_index(store, "e", paths, 1,
                                 &(assay_index_options){.model = "none", .passage_tokens = 10,
                                                        .overlap_tokens = 10},
                                 NULL, NULL, NULL, &error),
                     ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "overlap_tokens");
    const assay_index_options unknown[] = {
        {.model = "none", .choose_vectors = true, .vectors = (assay_vector_index)77},
        {.model = "none", .codes = (assay_vector_codes)77},
    };
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(assay_index(store, "e", paths, 1, &unknown[i], NULL, NULL, NULL, &error),
                         ASSAY_E_ARGUMENT);
}

static void empty_collection_finds_nothing(void **state)
{
    (void)state;
    char empty[128];
    snprintf(empty, sizeof empty, "%s/empty", files);
    assert_int_equal(mkdir(empty, 0777), 0);
    const char *paths[] = {empty};
    assay_index_report report;
    assert_ok(assay_index(store, "c", paths, 1, &with_model, NULL, NULL, &report, &error));
    assert_int_equal(report.seen, 0);
    assay_result result = search(&(assay_pipeline_options){.reranker = CROSS}, "soup", 5);
    assert_int_equal(result.count, 0);
    assay_result_free(&result);
}

/* The reranker cannot take a query that fills its input: the hits stay in the
 * first stage's order, and the result says so. */
static void too_long_a_query_degrades_visibly(void **state)
{
    (void)state;
    index_files(&with_model);
    char query[8000] = "";
    for (int i = 0; i < 1500; i++)
        strcat(query, "soup ");
    assay_result result = search(&(assay_pipeline_options){.reranker = CROSS}, query, 5);
    assert_int_equal(result.degraded.code, ASSAY_E_LIMIT);
    assert_true(result.query_truncated);
    assert_true(result.count > 0);
    for (size_t i = 0; i < result.count; i++) {
        assert_false(result.hits[i].reranked);
        assert_int_equal(result.hits[i].rank, result.hits[i].rank_first);
    }
    assay_result_free(&result);
}

/* A copy of the reranker, beside the data directory; `change` is run in it. */
static const char *changed_reranker(const char *change)
{
    static char path[128];
    char command[512];
    snprintf(path, sizeof path, "%s.cross", home);
    snprintf(command, sizeof command, "rm -rf %s && cp -R " CROSS " %s && cd %s && %s", path,
             path, path, change);
    assert_int_equal(system(command), 0);
    return path;
}

static void queries_longer_than_any_trained_on_are_not_reranked(void **state)
{
    (void)state;
    index_files(&with_model);
    assay_pipeline_options options = {
        .reranker =
            changed_reranker("sed -i '1s/{/{\"assay_query_words\": 3,/' config.json")};
    assay_result result = search(&options, " holidays at\nsea ", 5);
    assert_int_equal(result.skipped.code, ASSAY_OK);
    assert_true(result.hits[0].reranked);
    assay_result_free(&result);
    result = search(&options, "holidays at the sea", 5);
    assert_int_equal(result.skipped.code, ASSAY_E_LIMIT);
    assert_int_equal(result.degraded.code, ASSAY_OK);
    assert_non_null(strstr(result.skipped.message, "4 words"));
    assert_non_null(strstr(result.skipped.message, "at most 3"));
    assert_true(result.count > 0 && result.rerank_seconds == 0);
    for (size_t i = 0; i < result.count; i++) {
        assert_false(result.hits[i].reranked);
        assert_int_equal(result.hits[i].rank, result.hits[i].rank_first);
    }
    assay_result_free(&result);
    options.rerank_long = true;
    result = search(&options, "holidays at the sea", 5);
    assert_int_equal(result.skipped.code, ASSAY_OK);
    assert_true(result.hits[0].reranked);
    assay_result_free(&result);
}

/* Another program's hands on a database of the data directory. */
static void sql(const char *name, const char *text)
{
    char path[128], *message = NULL;
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s", home, name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

static void assert_same_hits(const assay_result *a, const assay_result *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const assay_hit *x = &a->hits[i], *y = &b->hits[i];
        assert_string_equal(x->document, y->document);
        assert_int_equal(x->passage, y->passage);
        assert_memory_equal(&x->score, &y->score, sizeof x->score);
        assert_memory_equal(&x->score_dense, &y->score_dense, sizeof x->score_dense);
        assert_memory_equal(&x->logit, &y->logit, sizeof x->logit);
        assert_memory_equal(&x->probability, &y->probability, sizeof x->probability);
        assert_true(x->tokens == y->tokens && x->truncated == y->truncated &&
                    x->status == y->status && x->reranked == y->reranked);
    }
}

/* Searches with this reranker, expects as many passages tokenised anew, and hits
 * that are those of `expected` to the bit. */
static void expect_tokenized(const char *reranker, uint32_t tokenized,
                             const assay_result *expected)
{
    assay_result found = search(&(assay_pipeline_options){.reranker = reranker}, "may holidays "
                                "be carried over", 0);
    assert_int_equal(found.tokenized, tokenized);
    assert_int_equal(found.scored, found.candidates);
    if (expected != NULL)
        assert_same_hits(&found, expected);
    assay_result_free(&found);
}

static void stored_tokens_change_no_bit(void **state)
{
    (void)state;
    char text[4096] = "# Long\n\n";
    for (int i = 0; i < 120; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "Holidays lapse %d. ", i);
    write_text("long.md", text); /* its passages are longer than the reranker reads */
    assay_index_report report = index_files(&with_model);
    uint32_t passages = (uint32_t)report.passages;
    assay_result first = search(&(assay_pipeline_options){.reranker = CROSS}, "may holidays be "
                                "carried over", 0);
    bool cut = false;
    for (size_t i = 0; i < first.count; i++)
        cut |= first.hits[i].truncated;
    assert_true(cut);
    assert_int_equal(first.tokenized, 0);
    assert_int_equal(first.scored, passages);

    /* As an older assay left it; then the same index command completes it. */
    sql("assay.sqlite", "DELETE FROM tokens");
    expect_tokenized(CROSS, passages, &first);
    report = index_files(NULL);
    assert_int_equal(report.passages, 0);
    assert_int_equal(report.tokenized, passages);
    expect_tokenized(CROSS, 0, &first);
    report = index_files(NULL);
    assert_int_equal(report.tokenized, 0);

    /* Damaged ones, and those of another tokenizer, are not used. */
    sql("assay.sqlite", "UPDATE tokens SET ids = x'0011223344' WHERE passage = 2");
    expect_tokenized(CROSS, 1, &first);
    uint64_t found;
    assert_int_equal(assay_store_check(store, NULL, NULL, &found, &error), ASSAY_E_CORRUPT);
    report = index_files(&(assay_index_options){.rebuild = true});
    assert_int_equal(report.tokenized, 0);
    assert_ok(assay_store_check(store, NULL, NULL, &found, &error));
    assay_result_free(&first);
    const char *other =
        changed_reranker("sed -i 's/\"lowercase\": *true/\"lowercase\": false/' tokenizer.json");
    expect_tokenized(other, passages, NULL);
    sql("assay.sqlite", "UPDATE tokenizers SET digest = zeroblob(16)");
    expect_tokenized(CROSS, passages, NULL);
    report = index_files(NULL);
    assert_int_equal(report.tokenized, passages);
    expect_tokenized(CROSS, 0, NULL);
}

/* XLM-RoBERTa's kin share a tokenizer, too: ids that were kept at indexing, and
 * logits that were kept at searching, change no bit. */
static void xlm_roberta_keeps_tokens_and_scores(void **state)
{
    (void)state;
    const char *cross = "tests/golden/models/cross-xlmr";
    index_files(&(assay_index_options){.model = "tests/golden/models/dense-xlmr",
                                       .passage_tokens = 30});
    assay_pipeline_options options = {.reranker = cross, .no_cache = true};
    const char *query = "may holidays be carried over";
    assay_result first = search(&options, query, 0);
    assert_int_equal(first.tokenized, 0);
    assert_true(first.hits[0].reranked);
    sql("assay.sqlite", "DELETE FROM tokens");
    expect_tokenized(cross, first.scored, &first);
    options.no_cache = false;
    assay_result again = search(&options, query, 0);
    assert_int_equal(again.cached, first.scored);
    assert_same_hits(&again, &first);
    assay_result_free(&again);
    assay_result_free(&first);
}

/* Searches and expects so many logits from the cache; the hits are those of
 * `expected` to the bit. */
static void expect_cached(assay_pipeline_options options, uint32_t cached, uint32_t scored,
                          const assay_result *expected)
{
    assay_result found = search(&options, "may holidays be carried over", 0);
    assert_int_equal(found.cache.code, ASSAY_OK);
    assert_int_equal(found.cached, cached);
    assert_int_equal(found.scored, scored);
    assert_int_equal(found.stages[0].tokens == 0, cached == scored); /* known is not read */
    if (expected != NULL)
        assert_same_hits(&found, expected);
    assay_result_free(&found);
}

static void cached_scores_change_no_bit(void **state)
{
    (void)state;
    write_text("same.txt", "The cook charges nothing for soup.\n");
    write_text("too.txt", "The cook charges nothing for soup.\n");
    index_files(&with_model);
    assay_pipeline_options options = {.reranker = CROSS, .no_cache = true};
    assay_result first = search(&options, "may holidays be carried over", 0);
    uint32_t all = first.scored;
    assert_true(all >= 6 && first.cached == 0);
    assert_true(first.stages[0].tokens > 6 * all && first.tokens > first.stages[0].tokens);
    expect_cached(options, 0, all, &first); /* off: neither kept nor taken */
    options.no_cache = false;
    options.rerank = 2;
    expect_cached(options, 0, 2, NULL);
    options.rerank = 0;
    expect_cached(options, 2, all, &first);
    expect_cached(options, all, all, &first);
    sql("assay.sqlite", "DELETE FROM tokens"); /* the key is of what is read, not of a row */
    expect_cached(options, all, all, &first);
    options.no_cache = true;
    expect_cached(options, 0, all, NULL);
    options.no_cache = false;
    assay_result other = search(&options, "may holidays be carried", 0);
    assert_int_equal(other.cached, 0);
    assay_result_free(&other);

    /* Other settings are another model, though these change no score. */
    options.reranker = changed_reranker("sed -i '1s/{/{\"assay_query_words\": 9,/' config.json");
    expect_cached(options, 0, all, &first);
    expect_cached(options, all, all, &first);
    index_files(&(assay_index_options){.rebuild = true}); /* under new keys */
    expect_cached(options, all, all, NULL);
    assay_result_free(&first);
}

/* Whatever happens to the cache, a search finds the same, and says what happened. */
static void a_cache_that_cannot_be_used_is_told(void **state)
{
    (void)state;
    index_files(&with_model);
    assay_pipeline_options options = {.reranker = CROSS};
    assay_result first = search(&options, "may holidays be carried over", 0), found;
    assert_int_equal(first.cache.code, ASSAY_OK);
    sql("scores.sqlite", "PRAGMA user_version = 9");
    found = search(&options, "may holidays be carried over", 0);
    assert_int_equal(found.cache.code, ASSAY_E_VERSION);
    assert_non_null(strstr(found.cache.where, "scores.sqlite"));
    assert_int_equal(found.cached, 0);
    assert_same_hits(&found, &first);
    assay_result_free(&found);
    sql("scores.sqlite", "PRAGMA user_version = 1; UPDATE questions SET sum = 0");
    uint64_t wrong;
    assert_int_equal(assay_store_check(store, NULL, NULL, &wrong, &error), ASSAY_E_CORRUPT);
    assert_int_equal(wrong, 1);
    assert_non_null(strstr(error.where, "scores.sqlite"));
    assert_non_null(strstr(error.message, "remove the file"));
    expect_cached(options, 0, first.scored, &first);
    expect_cached(options, first.scored, first.scored, &first);
    assert_ok(assay_store_check(store, NULL, NULL, &wrong, &error));

    /* Locked while a pipeline is open: each search computes, and the next does not
     * when the lock is gone. */
    char path[128];
    sqlite3 *other;
    assay_pipeline *pipeline;
    snprintf(path, sizeof path, "%s/scores.sqlite", home);
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assay_text query = text_of("may holidays be carried over");
    assert_ok(assay_search(pipeline, query, 0, &found, &error));
    assert_int_equal(found.cache.code, ASSAY_E_BUSY);
    assert_int_equal(found.cached, 0);
    assert_same_hits(&found, &first);
    assay_result_free(&found);
    sqlite3_close(other);
    assert_ok(assay_search(pipeline, query, 0, &found, &error));
    assert_int_equal(found.cache.code, ASSAY_OK);
    assert_int_equal(found.cached, found.scored);
    assert_same_hits(&found, &first);
    assay_result_free(&found);
    assay_pipeline_close(pipeline);
    assay_result_free(&first);
}

/* A collection without a bi-encoder gets the ids of the default reranker, and
 * none where there is none. */
static void tokens_without_a_bi_encoder(void **state)
{
    (void)state;
    char models[160], command[512];
    index_files(&without_model);
    expect_tokenized(CROSS, 2, NULL);
    snprintf(models, sizeof models, "%s/models", files);
    snprintf(command, sizeof command, "mkdir %s && cp -R " CROSS " %s/cross", models, models);
    assert_int_equal(system(command), 0);
    setenv("ASSAY_MODELS", models, 1);
    assay_index_report report = index_files(NULL);
    unsetenv("ASSAY_MODELS");
    assert_int_equal(report.tokenized, 4);
    expect_tokenized(CROSS, 0, NULL);
}

/* The open pipeline has the old model, whose vectors are shorter. */
static void collection_made_anew_with_another_model_is_refused(void **state)
{
    (void)state;
    const assay_pipeline_options options[] = {{.retriever = ASSAY_RETRIEVER_BM25},
                                              {.retriever = ASSAY_RETRIEVER_DENSE}};
    assay_pipeline *pipelines[2];
    assay_result result;
    index_files(&with_model);
    for (int i = 0; i < 2; i++)
        assert_ok(assay_pipeline_open(store, "c", &options[i], &pipelines[i], &error));
    assert_ok(assay_collection_drop(store, "c", &error));
    index_files(&(assay_index_options){.model = "tests/golden/models/dense-plain"});
    assert_ok(assay_search(pipelines[0], text_of("soup"), 0, &result, &error));
    assay_result_free(&result);
    for (int i = 0; i < 2; i++) /* it stays so */
        assert_int_equal(assay_search(pipelines[1], text_of("soup"), 0, &result, &error),
                         ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "another model"));
    for (int i = 0; i < 2; i++)
        assay_pipeline_close(pipelines[i]);
}

/* ---- Many questions ---------------------------------------------------------- */

enum { MANY = 150, EMPTY = 70 }; /* more than are asked at once */

typedef struct asked {
    assay_pipeline *alone; /* that answers one at a time */
    const assay_text *queries;
    size_t next, most, failed, found;
    assay_result kept;
} asked;

static bool compare_answer(size_t query, assay_result *result, const assay_error *failed,
                           void *user)
{
    asked *a = user;
    assay_result own = {0};
    assert_int_equal(query, a->next++);
    assay_status status = assay_search(a->alone, a->queries[query], 2, &own, &error);
    assert_int_equal(status, failed != NULL ? failed->code : ASSAY_OK);
    assert_same_hits(result, &own);
    assert_true(result->tokens == own.tokens && result->allowed == own.allowed);
    a->failed += failed != NULL;
    a->found += result->count > 0;
    assay_result_free(&own);
    if (query == 1) {
        a->kept = *result;
        *result = (assay_result){0};
    }
    return a->next < a->most;
}

/* What many come to, by so many threads, beside one at a time by all. */
static asked ask_many(assay_pipeline_options options, const char *filter,
                      const assay_text *queries, size_t count, size_t most, assay_status expected)
{
    asked a = {.queries = queries, .most = most};
    assay_pipeline *pipeline;
    assert_ok(assay_pipeline_open(store, "c", &options, &pipeline, &error));
    options.threads = 0;
    assert_ok(assay_pipeline_open(store, "c", &options, &a.alone, &error));
    assert_ok(assay_pipeline_filter(pipeline, filter, &error));
    assert_ok(assay_pipeline_filter(a.alone, filter, &error));
    assert_int_equal(assay_search_many(pipeline, queries, count, 2, compare_answer, &a, &error),
                     expected);
    assay_pipeline_close(a.alone);
    assay_pipeline_close(pipeline);
    return a;
}

static void many_are_answered_as_one(void **state)
{
    (void)state;
    static const char *const words[] = {"holidays", "cook", "soup at sea", "alarm", "cabin ring"};
    static char texts[MANY][64];
    assay_text queries[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%s %zu %s", words[i % 5], i % 13, words[i % 3]);
        queries[i] = text_of(i == EMPTY ? " " : texts[i]);
    }
    index_files(&with_model);
    for (int retriever = ASSAY_RETRIEVER_BM25; retriever <= ASSAY_RETRIEVER_HYBRID; retriever++)
        for (uint32_t threads = 0; threads < 4; threads++) {
            asked a = ask_many((assay_pipeline_options){.retriever = (assay_retriever)retriever,
                                                        .threads = threads},
                               threads == 2 ? "not exists(year)" : NULL, queries, MANY, MANY + 1,
                               ASSAY_OK);
            assert_int_equal(a.next, MANY);
            assert_int_equal(a.failed, 1);
            assert_true(a.found > MANY / 2);
            assert_true(a.kept.count > 0 && a.kept.hits[0].rank == 1);
            assay_result_free(&a.kept);
        }
}

static void few_and_reranked_are_answered_likewise(void **state)
{
    (void)state;
    const assay_text queries[] = {text_of("soup"), text_of("the alarm"), text_of("")};
    const assay_pipeline_options cross = {.reranker = CROSS, .no_cache = true}, none = {0},
                                 hurried = {.deadline_ms = 100000};
    index_files(&with_model);
    assert_int_equal(ask_many(none, NULL, NULL, 0, 1, ASSAY_OK).next, 0);
    assert_int_equal(ask_many(none, NULL, queries, 1, 2, ASSAY_OK).next, 1);
    for (int i = 0; i < 3; i++) {
        asked a = ask_many(i == 0 ? none : i == 1 ? cross : hurried, NULL, queries, 3, 4, ASSAY_OK);
        assert_int_equal(a.next, 3);
        assert_int_equal(a.failed, 1);
        assay_result_free(&a.kept);
    }
}

/* No more is told once that is not wanted, whether or not it was found already. */
static void many_can_be_stopped(void **state)
{
    (void)state;
    assay_text queries[MANY];
    for (size_t i = 0; i < MANY; i++)
        queries[i] = text_of("soup");
    index_files(&with_model);
    for (size_t most = 1; most <= 81; most += 40) {
        asked a = ask_many((assay_pipeline_options){0}, NULL, queries, MANY, most,
                           ASSAY_E_INTERRUPTED);
        assert_int_equal(a.next, most);
        assay_result_free(&a.kept);
    }
}

/* A lane cannot be opened: the folder is gone. */
static void lanes_that_cannot_be_opened_are_told(void **state)
{
    (void)state;
    const assay_text queries[] = {text_of("soup"), text_of("the alarm")};
    char moved[80];
    index_files(&without_model);
    assay_pipeline *pipeline;
    asked a = {.queries = queries, .most = 3};
    assert_ok(assay_pipeline_open(store, "c", NULL, &pipeline, &error));
    assert_ok(assay_pipeline_open(store, "c", NULL, &a.alone, &error));
    snprintf(moved, sizeof moved, "%s.moved", home);
    assert_int_equal(rename(home, moved), 0);
    assert_int_equal(assay_search_many(pipeline, queries, 2, 2, compare_answer, &a, &error),
                     ASSAY_E_NOT_FOUND);
    assert_int_equal(a.next, 1);
    assert_int_equal(rename(moved, home), 0);
    assay_pipeline_close(a.alone);
    assay_pipeline_close(pipeline);
}

#define with_files(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_files(second_run_takes_only_what_changed),
        with_files(bad_files_do_not_stop_the_others),
        with_files(interrupted_indexing_resumes),
        with_files(bm25_finds_and_tells_where),
        with_files(cosines_whatever_the_model),
        with_files(prompts_follow_the_role),
        with_files(dense_and_hybrid_search),
        with_files(weights_set_the_final_order),
        with_files(index_file_is_made_again_when_missing_behind_or_damaged),
        with_files(token_lists_follow_the_collection),
        with_files(wrong_settings_are_refused),
        with_files(empty_collection_finds_nothing),
        with_files(too_long_a_query_degrades_visibly),
        with_files(stored_tokens_change_no_bit),
        with_files(xlm_roberta_keeps_tokens_and_scores),
        with_files(cached_scores_change_no_bit),
        with_files(a_cache_that_cannot_be_used_is_told),
        with_files(tokens_without_a_bi_encoder),
        with_files(queries_longer_than_any_trained_on_are_not_reranked),
        with_files(collection_made_anew_with_another_model_is_refused),
        with_files(many_are_answered_as_one),
        with_files(few_and_reranked_are_answered_likewise),
        with_files(many_can_be_stopped),
        with_files(lanes_that_cannot_be_opened_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
