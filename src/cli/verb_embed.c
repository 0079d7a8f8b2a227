/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_embed.c: `assay embed`, texts as vectors.
 *
 * All texts are embedded before the first is printed, so that an error leaves
 * nothing half said on standard output.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/texts.h"
#include "cli/output.h"
#include "cli/progress.h"

#define EMBED_BATCH 32 /* texts between two looks at the bar */

typedef struct embed_settings {
    assay_common common;
    const char *model;
    uint32_t precision, role, max_tokens, threads;
} embed_settings;

typedef struct embedding_job {
    assay_model_info info;
    assay_texts texts;
    float *vectors;             /* [texts.count][info.dimensions] */
    assay_embedding_info *each; /* [texts.count] */
} embedding_job;

static int embed_lines(embedding_job *job, assay_session *session)
{
    assay_error error;
    assay_bar bar = assay_bar_new("Embedding", "texts");
    size_t count = job->texts.count;
    assay_interrupt_arm();
    for (size_t i = 0; i < count; i += EMBED_BATCH) {
        assay_progress progress = {.phase = ASSAY_PHASE_INDEX, .done = i, .total = count};
        if (count > EMBED_BATCH && !assay_bar_update(&progress, &bar))
            break;
        size_t batch = count - i < EMBED_BATCH ? count - i : EMBED_BATCH;
        if (assay_embed(session, job->texts.items + i, batch,
                        job->vectors + i * job->info.dimensions, job->each + i,
                        &error) != ASSAY_OK) {
            assay_bar_clear(&bar);
            return assay_report(&error);
        }
    }
    assay_bar_clear(&bar);
    return assay_interrupted() ? ASSAY_EXIT_INTERRUPTED : ASSAY_EXIT_OK;
}

static int print_json(const embedding_job *job)
{
    assay_answer answer = assay_answer_new();
    json_t *embeddings = assay_answer_array(&answer, answer.root, "embeddings");
    json_t *tokens = assay_answer_array(&answer, answer.root, "tokens");
    json_t *truncated = assay_answer_array(&answer, answer.root, "truncated");
    for (size_t i = 0; i < job->texts.count; i++) {
        json_t *vector = assay_answer_array(&answer, embeddings, NULL);
        const float *row = job->vectors + i * job->info.dimensions;
        for (uint32_t d = 0; d < job->info.dimensions; d++)
            assay_answer_append(&answer, vector, assay_json_number((double)row[d]));
        assay_answer_append(&answer, tokens, assay_json_count(job->each[i].tokens));
        assay_answer_append(&answer, truncated, json_boolean(job->each[i].truncated));
    }
    assay_answer_set(&answer, answer.root, "dimensions", assay_json_count(job->info.dimensions));
    assay_answer_model(&answer, &job->info);
    return assay_answer_print(&answer);
}

static void print_plain(const embedding_job *job)
{
    size_t cut = 0;
    for (size_t i = 0; i < job->texts.count && !ferror(stdout); i++) {
        const float *row = job->vectors + i * job->info.dimensions;
        for (uint32_t d = 0; d < job->info.dimensions; d++)
            printf("%s%.9g", d ? " " : "", (double)row[d]);
        putchar('\n');
        cut += job->each[i].truncated;
    }
    if (cut > 0)
        assay_warn("%zu of %zu texts are longer than %u tokens; their ends were not seen", cut,
                   job->texts.count, job->info.max_tokens);
}

static int embed_with(const embed_settings *settings, embedding_job *job, assay_model *model)
{
    assay_error error;
    assay_session *session;
    assay_model_describe(model, &job->info);
    if (job->info.kind != ASSAY_MODEL_BI_ENCODER) {
        assay_warn("%s: is a reranker (%s: %s), which scores pairs; a bi-encoder makes "
                   "embeddings", job->info.path, assay_kind_name(job->info.kind),
                   job->info.architecture);
        return ASSAY_EXIT_ERROR;
    }
    assay_warn_of_model(&job->info);
    const assay_session_options options = {
        .threads = settings->threads,
        .max_tokens = settings->max_tokens,
        .role = (assay_role)settings->role,
    };
    if (assay_session_open(model, &options, &session, &error) != ASSAY_OK)
        return assay_report(&error);
    if (settings->max_tokens && settings->max_tokens < job->info.max_tokens)
        job->info.max_tokens = settings->max_tokens;
    job->vectors = calloc(job->texts.count + 1, job->info.dimensions * sizeof *job->vectors);
    job->each = calloc(job->texts.count + 1, sizeof *job->each);
    int code = job->vectors && job->each ? embed_lines(job, session) : assay_report_memory();
    if (code == ASSAY_EXIT_OK && settings->common.json)
        code = print_json(job);
    else if (code == ASSAY_EXIT_OK)
        print_plain(job);
    free(job->each);
    free(job->vectors);
    assay_session_close(session);
    return code;
}

static int run(const void *given, char **arguments, size_t count)
{
    const embed_settings *settings = given;
    assay_error error;
    assay_model *model;
    const assay_model_options options = {.precision = (assay_precision)settings->precision};
    if (assay_model_open(settings->model ? settings->model : "dense", &options, &model,
                         &error) != ASSAY_OK)
        return assay_report(&error);
    embedding_job job = {0};
    int code = assay_texts_gather(arguments, count, "texts", &job.texts);
    if (code == ASSAY_EXIT_OK)
        code = embed_with(settings, &job, model);
    assay_texts_free(&job.texts);
    assay_model_close(model);
    return code;
}

static const assay_option options[] = {
    {"model", ASSAY_OPTION_TEXT, offsetof(embed_settings, model), "NAME",
     "bi-encoder: a folder in Hugging Face or sentence-transformers layout, or a name "
     "(default: dense)", 0, 0},
    {"precision", ASSAY_OPTION_CHOICE, offsetof(embed_settings, precision), ASSAY_PRECISIONS,
     "arithmetic (default: auto, which is fp32 for vectors)", 0, 0},
    {"role", ASSAY_OPTION_CHOICE, offsetof(embed_settings, role), "none|query|passage",
     "what the texts are: models that were trained with a prompt before each, such as "
     "\"query: \", get theirs (default: none)", 0, 0},
    {"max-tokens", ASSAY_OPTION_COUNT, offsetof(embed_settings, max_tokens), "N",
     "cut texts earlier than the model does, special tokens counted", 5, 1000000},
    {"threads", ASSAY_OPTION_COUNT, offsetof(embed_settings, threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
};

static const assay_example examples[] = {
    {"assay embed 'a text' 'another'", "One vector a line"},
    {"printf '%s\\n' \"a text\" | assay embed --model DIR --json",
     "{\"embeddings\":[[..]],\"tokens\":[4],\"truncated\":[false],\"dimensions\":384,"
     "\"model\":..}"},
    {NULL, NULL},
};

const assay_verb assay_verb_embed = {
    .name = "embed",
    .arguments = "[TEXT...]",
    .summary = "turn texts into vectors",
    .description = "Embeds each TEXT, or each line of standard input, with a bi-encoder, and "
                   "prints a vector for each, in input order; numbers have the nine digits "
                   "that carry a float.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(embed_settings),
    .arguments_max = SIZE_MAX,
    .run = run,
};
