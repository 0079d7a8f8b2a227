/* SPDX-License-Identifier: Apache-2.0 */
/* verb_check.c: `assay check`, whether the data directory, or a model, is whole. */
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"

typedef struct check_settings {
    assay_common common;
} check_settings;

typedef struct problem_list {
    assay_bar bar;
    assay_answer *answer; /* NULL: for people */
    json_t *problems;
    uint64_t count;
} problem_list;

/* Problems are what this verb is asked for: its output, not its errors. */
static bool take_problem(const assay_progress *progress, void *user)
{
    problem_list *list = user;
    assay_progress plain = *progress;
    const assay_error *problem = progress->problem;
    plain.problem = NULL;
    list->count += problem != NULL;
    if (problem && list->answer) {
        json_t *one = assay_answer_object(list->answer, list->problems, NULL);
        assay_answer_set(list->answer, one, "where", assay_json_name(problem->where));
        assay_answer_set(list->answer, one, "message", assay_json_name(problem->message));
    } else if (problem) {
        assay_bar_clear(&list->bar);
        assay_print_text(stdout, problem->where, strlen(problem->where));
        fputs(*problem->where ? ": " : "", stdout);
        assay_print_text(stdout, problem->message, strlen(problem->message));
        putchar('\n');
    }
    return assay_bar_update(&plain, &list->bar);
}

/* Checks the model, or else the store. */
static int check(const check_settings *settings, assay_store *store, const char *model)
{
    assay_error error;
    uint64_t counted = 0;
    char digits[32];
    assay_answer answer = settings->common.json ? assay_answer_new() : (assay_answer){0};
    problem_list list = {.bar = assay_bar_new(NULL, NULL), .answer = answer.root ? &answer : NULL};
    if (list.answer)
        list.problems = assay_answer_array(&answer, answer.root, "problems");
    assay_interrupt_arm();
    assay_status status =
        model ? assay_model_check(model, take_problem, &list, &counted, &error)
              : assay_store_check(store, take_problem, &list, &counted, &error);
    assay_bar_clear(&list.bar);
    if (status != ASSAY_OK && status != ASSAY_E_CORRUPT) {
        json_decref(answer.root);
        return assay_report(&error);
    }
    int code = status == ASSAY_OK ? ASSAY_EXIT_OK : ASSAY_EXIT_ERROR;
    if (settings->common.json) {
        assay_answer_set(&answer, answer.root, "whole", json_boolean(status == ASSAY_OK));
        int printed = assay_answer_print(&answer);
        return printed != ASSAY_EXIT_OK ? printed : code;
    }
    if (status == ASSAY_OK)
        printf("Everything is whole.\n");
    else
        printf("%s problem%s.\n", assay_print_count(digits, list.count),
               list.count == 1 ? "" : "s");
    return code;
}

static int run(const void *given, char **arguments, size_t count)
{
    assay_error error;
    if (count > 0)
        return check(given, NULL, arguments[0]);
    assay_store *store;
    if (assay_store_open(NULL, &(assay_store_options){.read_only = true}, &store, &error) !=
        ASSAY_OK)
        return assay_report(&error);
    int code = check(given, store, NULL);
    assay_store_close(store);
    return code;
}

static const assay_example examples[] = {
    {"assay check", "Says 'Everything is whole.', or a line for each problem"},
    {"assay check cross", "A model: every value of its weights, and whether it opens"},
    {"assay check --json", "{\"problems\":[{\"where\":..,\"message\":..}],\"whole\":false}"},
    {NULL, NULL},
};

const assay_verb assay_verb_check = {
    .name = "check",
    .arguments = "[MODEL]",
    .summary = "check that the data directory, or a model, is whole",
    .description = "Checks the database, what refers to what, the vectors and token ids, the "
                   "index files and the score cache; or, with MODEL (a folder or a name), that "
                   "the model opens and no weight is NaN or infinite. "
                   "Exits with 1 when there is a problem. Nothing is changed.",
    .examples = examples,
    .settings_size = sizeof(check_settings),
    .arguments_max = 1,
    .run = run,
};
