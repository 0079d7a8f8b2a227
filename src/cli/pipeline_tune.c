/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline_tune.c: see pipeline_tune.h. */
#include "cli/pipeline_tune.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/beir.h"
#include "cli/output.h"
#include "cli/progress.h"

static const char *const split_names[] = {"train", "dev", "test"};

/* All that is opened. */
typedef struct tune_job {
    const assay_tune_settings *settings;
    assay_beir beir;
    assay_pipeline_file *file;
    assay_store *store;
    assay_pipeline_tune_report report;
    char *tuned;
} tune_job;

static int run_tuning(tune_job *job)
{
    assay_error error;
    assay_pipeline_options options;
    const assay_pipeline_tune_options how = {.limit = job->settings->limit,
                                             .seed = job->settings->seed,
                                             .tolerance = job->settings->tolerance};
    assay_bar bar = assay_bar_new("Searching", "queries");
    assay_pipeline_file_options(job->file, &options);
    assay_interrupt_arm();
    assay_status status = assay_pipeline_tune(job->store, job->beir.collection, &options,
                                              &job->beir.queries, job->beir.qrels, &how,
                                              assay_bar_update, &bar, &job->report, &job->tuned,
                                              &error);
    assay_bar_clear(&bar);
    if (status == ASSAY_E_INTERRUPTED)
        return ASSAY_EXIT_INTERRUPTED;
    return status == ASSAY_OK ? ASSAY_EXIT_OK : assay_report(&error);
}

static int write_file(const tune_job *job)
{
    FILE *stream = fopen(job->settings->output, "w");
    bool whole = stream && fputs(job->tuned, stream) >= 0 && fputs("\n", stream) >= 0;
    if (stream)
        whole = fclose(stream) == 0 && whole;
    if (whole)
        return ASSAY_EXIT_OK;
    assay_warn("%s: %s", job->settings->output, strerror(errno));
    return ASSAY_EXIT_ERROR;
}

/* ---- Telling ------------------------------------------------------------------ */

static int print_json(const tune_job *job)
{
    const assay_pipeline_tune_report *r = &job->report;
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"first", r->first},
        {"fused", r->fused},
        {"fused_error", r->fused_error},
        {"weight_bm25", r->bm25_weight},
        {"weight_dense", r->dense_weight},
        {"given", r->given},
        {"weighted", r->weighted},
        {"weighted_error", r->weighted_error},
        {"spared", r->spared},
        {"spared_error", r->spared_error},
        {"given_scored", r->given_scored},
        {"spared_scored", r->spared_scored},
        {"given_ms", r->given_ms},
        {"spared_ms", r->spared_ms},
        {"log_loss_given", r->log_loss_given},
        {"log_loss", r->log_loss},
    };
    assay_answer answer = assay_answer_new();
    assay_answer_set(&answer, answer.root, "collection", assay_json_name(job->beir.collection));
    assay_answer_set(&answer, answer.root, "fitted", assay_json_count(r->fitted));
    assay_answer_set(&answer, answer.root, "held", assay_json_count(r->held));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assay_answer_set(&answer, answer.root, numbers[i].name,
                         assay_json_number(numbers[i].value));
    return assay_answer_print(&answer);
}

static int print_people(const tune_job *job)
{
    const assay_pipeline_tune_report *r = &job->report;
    printf("%s (%s): fitted to %zu queries, told of %zu others\n\n", job->beir.collection,
           split_names[job->settings->split], r->fitted, r->held);
    printf("  %-16s %8s %20s %16s %8s\n", "", "nDCG@10", "", "passages a query", "ms");
    printf("  %-16s %8.4f\n", "retrieval alone", r->first);
    if (r->fused_error > 0)
        printf("  %-16s %8.4f   %+8.4f ± %6.4f   BM25 %.3g, vectors %.3g\n", "fitted fusion",
               r->fused, r->fused - r->first, r->fused_error, r->bm25_weight, r->dense_weight);
    if (r->given_scored == 0) /* no stage */
        return ASSAY_EXIT_OK;
    printf("  %-16s %8.4f %20s %16.1f %8.1f\n", "as given", r->given, "", r->given_scored,
           r->given_ms);
    printf("  %-16s %8.4f   %+8.4f ± %6.4f\n", "fitted weights", r->weighted,
           r->weighted - r->given, r->weighted_error);
    printf("  %-16s %8.4f   %+8.4f ± %6.4f %16.1f %8.1f\n", "and thresholds", r->spared,
           r->spared - r->weighted, r->spared_error, r->spared_scored, r->spared_ms);
    if (isfinite(r->log_loss))
        printf("\n  log loss of the probabilities: %.4f, fitted %.4f\n", r->log_loss_given,
               r->log_loss);
    return ASSAY_EXIT_OK;
}

/* ---- The whole ------------------------------------------------------------------ */

static int open_all(tune_job *job, const char *folder, const char *name)
{
    assay_error error;
    int code = assay_beir_open(folder, job->settings->collection,
                               split_names[job->settings->split], &job->beir);
    if (code == ASSAY_EXIT_OK)
        code = assay_beir_queries(&job->beir);
    if (code == ASSAY_EXIT_OK && (assay_pipeline_file_open(name, &job->file, &error) != ASSAY_OK ||
                                  assay_store_open(NULL, &(assay_store_options){.read_only = true},
                                                   &job->store, &error) != ASSAY_OK))
        code = assay_report(&error);
    return code;
}

int assay_pipeline_tune_run(const assay_tune_settings *settings, const char *folder,
                            const char *name, bool json)
{
    tune_job job = {.settings = settings};
    int code = open_all(&job, folder, name);
    if (code == ASSAY_EXIT_OK)
        code = run_tuning(&job);
    if (code == ASSAY_EXIT_OK)
        code = write_file(&job);
    if (code == ASSAY_EXIT_OK)
        code = json ? print_json(&job) : print_people(&job);
    assay_free(job.tuned);
    assay_store_close(job.store);
    assay_pipeline_file_close(job.file);
    assay_beir_close(&job.beir);
    return code;
}
