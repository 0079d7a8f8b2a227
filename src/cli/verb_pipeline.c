/* SPDX-License-Identifier: Apache-2.0 */
/* verb_pipeline.c: `assay pipeline`, what a pipeline file says and whether it can
 * be run. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/pipeline_tune.h"
#include "cli/stages.h"

typedef struct pipeline_settings {
    assay_common common;
    assay_tune_settings tune;
} pipeline_settings;

/* ---- show ------------------------------------------------------------------- */

/* Prints text and frees it. */
static int print_text(char *text)
{
    printf("%s\n", text);
    assay_free(text);
    return ASSAY_EXIT_OK;
}

static int show_schema(void)
{
    assay_error error;
    char *text;
    return assay_pipeline_schema(&text, &error) == ASSAY_OK ? print_text(text)
                                                            : assay_report(&error);
}

static int show_one(const char *name)
{
    assay_error error;
    assay_pipeline_file *file;
    assay_pipeline_options options;
    char *text;
    if (assay_pipeline_file_open(name, &file, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_pipeline_file_options(file, &options);
    int code = assay_pipeline_text(&options, &text, &error) == ASSAY_OK ? print_text(text)
                                                                        : assay_report(&error);
    assay_pipeline_file_close(file);
    return code;
}

static int show_presets(bool as_json)
{
    const char *name, *description;
    assay_answer answer = {0};
    json_t *list = NULL;
    if (as_json) {
        answer = assay_answer_new();
        list = assay_answer_object(&answer, answer.root, "presets");
    }
    for (size_t i = 0; (name = assay_pipeline_preset(i, &description)); i++) {
        if (as_json)
            assay_answer_set(&answer, list, name, assay_json_name(description));
        else
            printf("%-12s %s\n", name, description);
    }
    return as_json ? assay_answer_print(&answer) : ASSAY_EXIT_OK;
}

/* ---- check ------------------------------------------------------------------ */

/* The folder's name of a stage's model: "late" and "late:NAME" read a bi-encoder. */
static const char *folder_of(const assay_stage_options *stage)
{
    char path[4096];
    const char *name = stage->model ? stage->model : assay_reranker_name(stage->kind);
    if (stage->kind != ASSAY_RERANKER_LATE)
        return name;
    if (strncmp(name, "late:", 5) == 0)
        return name + 5;
    bool plain = strcmp(name, "late") == 0;
    return plain && assay_model_find(name, path, sizeof path, NULL) != ASSAY_OK ? "dense" : name;
}

/* Whether the folder of images that a stage names is there. */
static assay_status check_folder(const assay_stage_options *stage, assay_error *error)
{
    struct stat status;
    const char *folder = stage->page.image_folder;
    if (stage->kind != ASSAY_RERANKER_VISION || !folder ||
        (stat(folder, &status) == 0 && S_ISDIR(status.st_mode)))
        return ASSAY_OK;
    *error = (assay_error){.code = ASSAY_E_NOT_FOUND, .where = "image_folder"};
    snprintf(error->message, sizeof error->message, "%.400s is no folder", folder);
    return error->code;
}

/* Whether the model that a stage names is there; a language model is not asked. */
static assay_status check_model(const assay_stage_options *stage, assay_error *error)
{
    char path[4096];
    assay_llm *llm;
    if (stage->kind != ASSAY_RERANKER_LLM && stage->kind != ASSAY_RERANKER_VISION)
        return assay_model_find(folder_of(stage), path, sizeof path, error);
    assay_llm_options options = stage->llm;
    options.model = stage->model;
    assay_status status = assay_llm_open(&options, &llm, error);
    if (status != ASSAY_OK)
        return status;
    assay_llm_close(llm);
    return check_folder(stage, error);
}

static int check_models(const assay_pipeline_options *options)
{
    int code = ASSAY_EXIT_OK;
    for (size_t i = 0; i < options->stage_count; i++) {
        assay_error error;
        if (check_model(&options->stages[i], &error) != ASSAY_OK)
            code = assay_report(&error);
    }
    return code;
}

static int check_one(const char *name)
{
    assay_error error;
    assay_pipeline_file *file;
    assay_pipeline_options options;
    if (assay_pipeline_file_open(name, &file, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_pipeline_file_options(file, &options);
    int code = check_models(&options);
    if (code == ASSAY_EXIT_OK) {
        assay_print_text(stdout, name, strlen(name));
        printf(": can be run\n");
    }
    assay_pipeline_file_close(file);
    return code;
}

/* ---- verb ------------------------------------------------------------------- */

static int each(char **names, size_t count, int (*one)(const char *))
{
    int code = ASSAY_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        int this = one(names[i]);
        code = this == ASSAY_EXIT_OK ? code : this;
    }
    return code;
}

/* tune FOLDER [PIPELINE] */
static int tune(const pipeline_settings *settings, char **arguments, size_t count)
{
    if (count < 2 || count > 3)
        return assay_usage(&assay_verb_pipeline, "tune takes a BEIR folder, and the pipeline to "
                           "begin with");
    if (!settings->tune.output)
        return assay_usage(&assay_verb_pipeline, "tune needs --output FILE");
    const char *name = count > 2 ? arguments[2] : "default";
    return assay_pipeline_tune_run(&settings->tune, arguments[1], name, settings->common.json);
}

static int run(const void *given, char **arguments, size_t count)
{
    const pipeline_settings *settings = given;
    const char *what = arguments[0];
    if (strcmp(what, "tune") == 0)
        return tune(settings, arguments, count);
    if (strcmp(what, "show") == 0)
        return count == 1 ? show_presets(settings->common.json)
                          : each(arguments + 1, count - 1, show_one);
    if (strcmp(what, "schema") == 0)
        return show_schema();
    if (strcmp(what, "check") != 0)
        return assay_usage(&assay_verb_pipeline, "'%s' is not one of check, show, schema, tune",
                           what);
    if (count == 1)
        return assay_usage(&assay_verb_pipeline, "check what? A pipeline file or a preset is "
                           "missing");
    return each(arguments + 1, count - 1, check_one);
}

static const assay_option options[] = {
    ASSAY_TUNE_OPTIONS(pipeline_settings),
};

static const assay_example examples[] = {
    {"assay pipeline show", "The presets, and what they do"},
    {"assay pipeline show default > mine.json",
     "A preset with every default filled in, to be changed and given to --pipeline"},
    {"assay pipeline check mine.json", "Names file, field and what would be right"},
    {"assay pipeline tune scifact/ balanced --output scifact.json",
     "Fits weights, thresholds and probabilities to the collection's judged queries"},
    {"assay pipeline schema > pipeline.schema.json", "The JSON Schema, for editors"},
    {NULL, NULL},
};

const assay_verb assay_verb_pipeline = {
    .name = "pipeline",
    .arguments = "check|show|schema|tune [FILE|PRESET...]",
    .summary = "check, show and tune pipeline files",
    .description =
        "A pipeline is a JSON file that says how candidates are retrieved and which stages "
        "rerank them, how many go on from each to the next, and how their scores are weighed. A "
        "stage is a cross-encoder, late interaction, a language model behind an API, or one that "
        "looks at the images of pages. `search` and `eval` run it with --pipeline. check tells whether files are right and "
        "their models are there; show prints one with every default filled in, or lists the "
        "presets; schema prints the JSON Schema of such files.\n\n"
        "tune FOLDER [FILE|PRESET] fits a pipeline (default: the preset default) to the judged "
        "queries of a BEIR folder that is indexed: the weights of BM25 and vectors, what "
        "probabilities mean, the stages' weights, "
        "and how many passages are worth scoring. One half of the queries is fitted to; what was "
        "gained on the other is told, with its standard error.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(pipeline_settings),
    .arguments_min = 1,
    .arguments_max = SIZE_MAX,
    .run = run,
};
