/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_after.c: what is measured when the weights are there.
 *
 * Whether the gain on the development queries is more than luck (evaluate/compare.c),
 * whether what else was given to measure by is ranked as before, what a score means as a
 * probability (evaluate/platt.h), and whether int8 weights rank as those in fp32 do. The
 * models are opened as their users open them, not as they are trained.
 *
 * What a score means goes into pipeline.json beside the weights, since it belongs to the
 * passages that it was fitted to: the best of each development query.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "evaluate/platt.h"
#include "learn/trainer.h"
#include "pipeline/reranker.h"

enum { CALIBRATED = 10 }; /* best passages of a query */

/* A model as its users open it. */
typedef struct judge {
    const assay_trainer *t;
    assay_model *model;
    assay_session *session;
    assay_session *queries;      /* of a bi-encoder, whose queries may have a prompt */
    size_t dimensions;           /* likewise */
    assay_judged_score *judged;  /* gets the best of each query; NULL: none is asked for */
    size_t judged_count;
} judge;

/* ---- Scores ---------------------------------------------------------------------- */

/* A query that leaves no room for a passage tells nothing of them. */
static bool is_querys_fault(assay_status status)
{
    return status == ASSAY_E_ARGUMENT || status == ASSAY_E_LIMIT;
}

static assay_status rerank(judge *j, assay_text query, const assay_text *texts, size_t count,
                           float *scores, assay_error *error)
{
    assay_score found[ASSAY_DEVELOPMENT_LIST];
    assay_error reason;
    assay_status status = assay_rerank(j->session, query, texts, count, found, &reason);
    if (status != ASSAY_OK && !is_querys_fault(status))
        return assay_fail(error, status, reason.where, "%s", reason.message);
    for (size_t i = 0; i < count; i++) {
        bool scored = status == ASSAY_OK && found[i].status == ASSAY_OK;
        scores[i] = scored ? found[i].logit : -FLT_MAX;
    }
    return ASSAY_OK;
}

static assay_status embed(judge *j, assay_text query, const assay_text *texts, size_t count,
                          float *scores, assay_error *error)
{
    size_t n = j->dimensions;
    float *vectors = calloc((count + 1) * n, sizeof *vectors);
    if (vectors == NULL)
        return assay_fail_memory(error, (count + 1) * n * sizeof *vectors);
    assay_status status = assay_embed(j->queries, &query, 1, vectors, NULL, error);
    if (status == ASSAY_OK)
        status = assay_embed(j->session, texts, count, vectors + n, NULL, error);
    assay_unit_vectors(vectors, count + 1, n, NULL);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        scores[i] = 0;
        for (size_t k = 0; k < n; k++)
            scores[i] += vectors[k] * vectors[(i + 1) * n + k];
    }
    free(vectors);
    return status;
}

static int highest_first(const void *left, const void *right)
{
    double a = ((const assay_judged_score *)left)->score;
    double b = ((const assay_judged_score *)right)->score;
    return (a < b) - (a > b);
}

static void keep_judged(judge *j, const assay_list *list, const float *scores)
{
    assay_judged_score all[ASSAY_DEVELOPMENT_LIST];
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (scores[i] > -FLT_MAX)
            all[count++] = (assay_judged_score){(double)scores[i], list->grades[i] > 0};
    qsort(all, count, sizeof *all, highest_first);
    for (size_t i = 0; i < count && i < CALIBRATED; i++)
        j->judged[j->judged_count++] = all[i];
}

static assay_status scores_of(void *context, const assay_examples *examples,
                              const assay_list *list, float *scores, assay_error *error)
{
    judge *j = context;
    assay_text texts[ASSAY_DEVELOPMENT_LIST];
    const char *query = examples->list[list->example].query;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = assay_examples_text(examples, list->texts[i]);
        texts[i] = (assay_text){text, strlen(text)};
    }
    bool bi = j->t->o.kind == ASSAY_MODEL_BI_ENCODER;
    ASSAY_TRY((bi ? embed : rerank)(j, (assay_text){query, strlen(query)}, texts, list->count,
                                    scores, error));
    if (j->judged != NULL)
        keep_judged(j, list, scores);
    return ASSAY_OK;
}

/* ---- Models ---------------------------------------------------------------------- */

static void close_judge(judge *j)
{
    assay_session_close(j->session);
    assay_session_close(j->queries);
    assay_model_close(j->model);
    j->session = j->queries = NULL;
    j->model = NULL;
}

static assay_status open_sessions(judge *j, assay_error *error)
{
    assay_model_info info;
    assay_model_describe(j->model, &info);
    bool bi = info.kind == ASSAY_MODEL_BI_ENCODER;
    uint32_t most = j->t->sequences.max_tokens;
    assay_session_options options = {.threads = j->t->o.threads,
                                     .max_tokens = most < info.max_tokens ? most : 0,
                                     .role = bi ? ASSAY_ROLE_PASSAGE : ASSAY_ROLE_NONE};
    j->dimensions = info.dimensions;
    ASSAY_TRY(assay_session_open(j->model, &options, &j->session, error));
    options.role = ASSAY_ROLE_QUERY;
    return bi ? assay_session_open(j->model, &options, &j->queries, error) : ASSAY_OK;
}

/* nDCG@10 of each query of the plan by the model of a folder. */
static assay_status judge_folder(assay_trainer *t, const char *folder, assay_precision precision,
                                 const assay_plan *plan, double *ndcg, judge *j,
                                 assay_error *error)
{
    j->t = t;
    ASSAY_TRY(assay_model_open(folder, &(assay_model_options){precision}, &j->model, error));
    assay_status status = open_sessions(j, error);
    if (status == ASSAY_OK)
        status = assay_develop(t, plan, scores_of, j, ndcg, error);
    close_judge(j);
    return status;
}

/* ---- What is told ---------------------------------------------------------------- */

/* before NULL: there is nothing to compare with. */
static assay_status tell(const double *before, const double *after, size_t count,
                         assay_train_measure *out, assay_error *error)
{
    double difference;
    *out = (assay_train_measure){count, NAN, assay_mean_of(after, count), NAN};
    if (before == NULL)
        return ASSAY_OK;
    out->before = assay_mean_of(before, count);
    return assay_compare(after, before, count, &difference, &out->p_value, error);
}

/* ---- Calibration ----------------------------------------------------------------- */

/* Into a folder, for the model that will be at `model`. */
static assay_status write_pipeline(const assay_trainer *t, const char *folder, const char *model,
                                   assay_error *error)
{
    char *text, path[4096];
    bool cross = t->o.kind == ASSAY_MODEL_CROSS_ENCODER;
    double slope = t->report->probability_slope, offset = t->report->probability_offset;
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "pipeline.json", error));
    const assay_stage_options stage = {
        .kind = cross ? ASSAY_RERANKER_CROSS : ASSAY_RERANKER_LATE,
        .model = model,
        .probability_slope = {true, slope},
        .probability_offset = {true, offset},
    };
    const assay_pipeline_options options = {.stages = &stage, .stage_count = 1};
    ASSAY_TRY(assay_pipeline_text(&options, &text, error));
    assay_status status = assay_file_write(path, text, strlen(text), error);
    assay_free(text);
    return status;
}

static assay_status calibrate(assay_trainer *t, const judge *j, const char *folder,
                              assay_error *error)
{
    assay_train_report *r = t->report;
    double slope, offset;
    if (t->o.kind == ASSAY_MODEL_CROSS_ENCODER)
        r->log_loss_before = assay_log_loss(j->judged, j->judged_count, 1, 0);
    if (!assay_platt_fit(j->judged, j->judged_count, &slope, &offset))
        return ASSAY_OK;
    r->probability_slope = slope;
    r->probability_offset = offset;
    r->log_loss = assay_log_loss(j->judged, j->judged_count, slope, offset);
    char *model = realpath(t->part, NULL); /* which will have that name but for its end */
    if (model == NULL)
        return assay_fail_memory(error, sizeof t->part);
    model[strlen(model) - strlen(".part")] = '\0';
    assay_status status = write_pipeline(t, folder, model, error);
    free(model);
    return status;
}

/* ---- All ------------------------------------------------------------------------- */

static assay_status judge_development(assay_trainer *t, const char *folder, assay_error *error)
{
    size_t count = t->measured.count;
    bool bi = t->o.kind == ASSAY_MODEL_BI_ENCODER;
    judge j = {0};
    if (!bi && (j.judged = calloc(CALIBRATED * count + 1, sizeof *j.judged)) == NULL)
        return assay_fail_memory(error, CALIBRATED * count * sizeof *j.judged);
    assay_status status = judge_folder(t, folder, ASSAY_PRECISION_FP32, &t->measured,
                                       t->ndcg_saved, &j, error);
    if (status == ASSAY_OK && !bi)
        status = calibrate(t, &j, folder, error);
    free(j.judged);
    return status;
}

static assay_status judge_also(assay_trainer *t, size_t i, const char *folder, assay_error *error)
{
    const assay_plan *plan = &t->also_plans[i];
    double *before = calloc(plan->count + 1, sizeof *before);
    double *after = calloc(plan->count + 1, sizeof *after);
    assay_status status = ASSAY_OK;
    judge j = {0};
    if (before == NULL || after == NULL)
        status = assay_fail_memory(error, 2 * plan->count * sizeof *after);
    if (status == ASSAY_OK && t->same_kind)
        status = judge_folder(t, t->base, ASSAY_PRECISION_FP32, plan, before, &j, error);
    if (status == ASSAY_OK)
        status = judge_folder(t, folder, ASSAY_PRECISION_FP32, plan, after, &j, error);
    if (status == ASSAY_OK)
        status = tell(t->same_kind ? before : NULL, after, plan->count, &t->report->also[i],
                      error);
    free(before);
    free(after);
    return status;
}

assay_status assay_after(assay_trainer *t, const char *folder, assay_error *error)
{
    ASSAY_TRY(tell(t->ndcg_before, t->ndcg_best, t->measured.count, &t->report->gain, error));
    ASSAY_TRY(judge_development(t, folder, error));
    for (size_t i = 0; i < t->o.also_count; i++)
        ASSAY_TRY(judge_also(t, i, folder, error));
    return ASSAY_OK;
}

/* The copy that came with the other files is of the model in fp32. */
static assay_status point_to_int8(const assay_trainer *t, assay_error *error)
{
    if (isnan(t->report->probability_slope))
        return ASSAY_OK;
    char *model = realpath(t->o.int8, NULL);
    if (model == NULL)
        return assay_fail_memory(error, sizeof t->part);
    assay_status status = write_pipeline(t, t->o.int8, model, error);
    free(model);
    return status;
}

assay_status assay_after_int8(assay_trainer *t, assay_error *error)
{
    assay_train_report *r = t->report;
    assay_quantize_report quantized;
    judge j = {0};
    if (t->o.int8 == NULL)
        return ASSAY_OK;
    ASSAY_TRY(assay_quantize(t->target, t->o.int8, &(assay_quantize_options){t->o.replace}, NULL,
                             NULL, &quantized, error));
    r->bytes = quantized.bytes_before;
    r->int8_bytes = quantized.bytes_after;
    ASSAY_TRY(point_to_int8(t, error));
    double *ndcg = calloc(t->measured.count + 1, sizeof *ndcg);
    if (ndcg == NULL)
        return assay_fail_memory(error, t->measured.count * sizeof *ndcg);
    assay_status status = judge_folder(t, t->o.int8, ASSAY_PRECISION_AUTO, &t->measured, ndcg, &j,
                                       error);
    if (status == ASSAY_OK)
        status = tell(t->ndcg_saved, ndcg, t->measured.count, &r->int8, error);
    free(ndcg);
    return status;
}
