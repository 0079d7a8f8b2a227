/* SPDX-License-Identifier: Apache-2.0 */
/* verb_quantize.c: `assay quantize`, a model written again with int8 weights. */
#include "cli/output.h"
#include "cli/progress.h"

typedef struct quantize_settings {
    assay_common common;
    bool force;
} quantize_settings;

static const char *const kind_names[ASSAY_TENSOR_KINDS] = {
    [ASSAY_TENSOR_LINEAR] = "linear",
    [ASSAY_TENSOR_EMBEDDING] = "embedding",
    [ASSAY_TENSOR_POSITION] = "position",
    [ASSAY_TENSOR_KEPT] = "kept",
};

static int print_json(const char *source, const char *target, const assay_quantize_report *report)
{
    assay_answer answer = assay_answer_new();
    assay_answer_set(&answer, answer.root, "source", assay_json_name(source));
    assay_answer_set(&answer, answer.root, "path", assay_json_name(target));
    assay_answer_set(&answer, answer.root, "bytes_before",
                     assay_json_count(report->bytes_before));
    assay_answer_set(&answer, answer.root, "bytes_after", assay_json_count(report->bytes_after));
    assay_answer_set(&answer, answer.root, "dropped", assay_json_count(report->dropped));
    assay_answer_set(&answer, answer.root, "files", assay_json_count(report->files));
    assay_answer_set(&answer, answer.root, "seconds", json_real(report->seconds));
    if (report->notice[0] != '\0')
        assay_answer_set(&answer, answer.root, "notice", assay_json_name(report->notice));
    json_t *kinds = assay_answer_object(&answer, answer.root, "kinds");
    for (size_t i = 0; i < ASSAY_TENSOR_KINDS; i++) {
        const assay_quantized *kind = &report->kinds[i];
        json_t *object = assay_answer_object(&answer, kinds, kind_names[i]);
        assay_answer_set(&answer, object, "tensors", assay_json_count(kind->tensors));
        assay_answer_set(&answer, object, "bytes_before", assay_json_count(kind->bytes_before));
        assay_answer_set(&answer, object, "bytes_after", assay_json_count(kind->bytes_after));
        assay_answer_set(&answer, object, "error", assay_json_number(kind->error));
        if (kind->worst[0] != '\0')
            assay_answer_set(&answer, object, "worst", assay_json_name(kind->worst));
    }
    return assay_answer_print(&answer);
}

static void print_table(const char *target, const assay_quantize_report *report)
{
    char before[32], after[32];
    printf("%-10s %8s %15s %15s  %s\n", "", "tensors", "bytes before", "bytes after",
           "relative error");
    for (size_t i = 0; i < ASSAY_TENSOR_KINDS; i++) {
        const assay_quantized *kind = &report->kinds[i];
        printf("%-10s %8llu %15s %15s  %.4f\n", kind_names[i], (unsigned long long)kind->tensors,
               assay_print_count(before, kind->bytes_before),
               assay_print_count(after, kind->bytes_after), kind->error);
    }
    printf("%-10s %8s %15s %15s\n%s\n", "all", "",
           assay_print_count(before, report->bytes_before),
           assay_print_count(after, report->bytes_after), target);
}

static int run(const void *given, char **arguments, size_t count)
{
    (void)count;
    const quantize_settings *settings = given;
    assay_error error;
    assay_quantize_report report;
    assay_bar bar = assay_bar_new(NULL, NULL);
    assay_interrupt_arm();
    assay_status status =
        assay_quantize(arguments[0], arguments[1],
                       &(assay_quantize_options){.replace = settings->force}, assay_bar_update,
                       &bar, &report, &error);
    assay_bar_clear(&bar);
    if (status == ASSAY_E_INTERRUPTED) {
        assay_warn("interrupted; nothing was written");
        return ASSAY_EXIT_INTERRUPTED;
    }
    if (status != ASSAY_OK)
        return assay_report(&error);
    if (report.notice[0] != '\0')
        assay_warn("%s: %s", arguments[1], report.notice);
    if (settings->common.json)
        return print_json(arguments[0], arguments[1], &report);
    print_table(arguments[1], &report);
    return ASSAY_EXIT_OK;
}

static const assay_option options[] = {
    {"force", ASSAY_OPTION_FLAG, offsetof(quantize_settings, force), NULL,
     "replace the model folder that is at TARGET already", 0, 0},
};

static const assay_example examples[] = {
    {"assay quantize cross-encoder/ms-marco-MiniLM-L-6-v2 models/ms-marco-int8",
     "A quarter of the bytes; then: assay rerank --model models/ms-marco-int8 --precision int8"},
    {"assay quantize ./mine ./mine-int8 --force --json | jq .kinds.linear.error",
     "Again, and how far the layers' weights are off"},
    {NULL, NULL},
};

const assay_verb assay_verb_quantize = {
    .name = "quantize",
    .arguments = "SOURCE TARGET",
    .summary = "write a model again with int8 weights",
    .description =
        "Reads the model SOURCE (a folder or a name, with weights in float32, float16 or "
        "bfloat16) and writes the folder TARGET with int8 weights, in the compressed-tensors "
        "convention: layers and word embeddings int8 with one scale a row, position embeddings "
        "float16, head and norms as they were; tokenizer, settings and cards are copied. Some "
        "texts that come with assay are sent through the model, and its layers rounded so "
        "that what they put out for those stays near.\n\nWhat is printed: bytes, and for each kind of tensor the largest relative "
        "error of one (root of the sum of squared differences over that of squares). TARGET "
        "is written aside and renamed when it is whole.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(quantize_settings),
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run,
};
