/* SPDX-License-Identifier: Apache-2.0 */
/* verb_pull.c: `assay pull`, a model downloaded from a hub. */
#include "cli/output.h"
#include "cli/progress.h"

typedef struct pull_settings {
    assay_common common;
    const char *revision, *endpoint, *to;
} pull_settings;

static int run(const void *given, char **arguments, size_t count)
{
    (void)count;
    const pull_settings *settings = given;
    const assay_pull_options options = {
        .revision = settings->revision,
        .endpoint = settings->endpoint,
        .directory = settings->to,
    };
    char path[4096];
    assay_error error;
    assay_bar bar = assay_bar_new(NULL, NULL);
    assay_interrupt_arm();
    assay_status status =
        assay_pull(arguments[0], &options, assay_bar_update, &bar, path, sizeof path, &error);
    assay_bar_clear(&bar);
    if (status == ASSAY_E_INTERRUPTED) {
        assay_warn("interrupted; the same command goes on where this one stopped");
        return ASSAY_EXIT_INTERRUPTED;
    }
    if (status != ASSAY_OK)
        return assay_report(&error);
    if (!settings->common.json) {
        printf("%s\n", path);
        return ASSAY_EXIT_OK;
    }
    assay_answer answer = assay_answer_new();
    assay_answer_set(&answer, answer.root, "model", assay_json_name(arguments[0]));
    assay_answer_set(&answer, answer.root, "path", assay_json_name(path));
    return assay_answer_print(&answer);
}

static const assay_option options[] = {
    {"revision", ASSAY_OPTION_TEXT, offsetof(pull_settings, revision), "NAME",
     "branch, tag or commit (default: main)", 0, 0},
    {"endpoint", ASSAY_OPTION_TEXT, offsetof(pull_settings, endpoint), "URL",
     "the hub (default: $HF_ENDPOINT, else https://huggingface.co)", 0, 0},
    {"to", ASSAY_OPTION_TEXT, offsetof(pull_settings, to), "DIR",
     "folder to put the model in (default: models/ of the data directory)", 0, 0},
};

static const assay_example examples[] = {
    {"assay pull cross-encoder/ms-marco-MiniLM-L-6-v2",
     "From then on: assay rerank --model cross-encoder/ms-marco-MiniLM-L-6-v2"},
    {"assay pull BAAI/bge-small-en-v1.5 --to models/bge", "Into a folder of your own"},
    {NULL, NULL},
};

const assay_verb assay_verb_pull = {
    .name = "pull",
    .arguments = "REPO",
    .summary = "download a model in Hugging Face layout",
    .description = "Downloads what assay needs of the model repository REPO (\"owner/name\") and "
                   "prints the folder. Partial files are resumed; sizes and checksums are "
                   "verified before a file takes its name. $HF_TOKEN is sent where it is set.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(pull_settings),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run,
};
