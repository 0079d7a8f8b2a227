/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: the `assay` command: finds the verb, reads its options, runs it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

const assay_verb *const assay_verbs[] = {
    &assay_verb_index,    &assay_verb_search, &assay_verb_rerank, &assay_verb_embed,
    &assay_verb_tokenize, &assay_verb_eval,   &assay_verb_synth,    &assay_verb_mine,     &assay_verb_train,
    &assay_verb_pipeline, &assay_verb_info,
    &assay_verb_check,    &assay_verb_pull,     &assay_verb_quantize, &assay_verb_bench,
    &assay_verb_serve,    &assay_verb_report, &assay_verb_doctor, &assay_verb_help,
};
const size_t assay_verb_count = sizeof assay_verbs / sizeof *assay_verbs;

/* A program started with a standard stream closed would get its number for the
 * first file it opens, and print results into that. Reading /dev/null where one
 * writes, and the other way round, fails as a closed stream should. */
static void fill_closed_streams(void)
{
    for (int stream = 0; stream < 3; stream++) {
        if (fcntl(stream, F_GETFD) == -1 &&
            open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY) != stream)
            abort();
    }
}

static int run_verb(const assay_verb *verb, char **argv, size_t count)
{
    _Alignas(max_align_t) char settings[ASSAY_SETTINGS_MAX];
    size_t arguments;
    if (!assay_options_parse(verb, argv, count, settings, &arguments))
        return ASSAY_EXIT_USAGE;
    const assay_common *common = (const assay_common *)settings;
    if (common->help) {
        assay_show_help(verb);
        return ASSAY_EXIT_OK;
    }
    /* One data directory for all: where the library looks for models, too. */
    if (common->home && setenv("ASSAY_HOME", common->home, 1) != 0)
        return assay_report_memory();
    if (common->store && setenv("ASSAY_STORE", common->store, 1) != 0)
        return assay_report_memory();
    return verb->run(settings, argv, arguments);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        assay_show_overview(stderr);
        return ASSAY_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("assay %s\n", assay_version());
        return ASSAY_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        assay_show_overview(stdout);
        return ASSAY_EXIT_OK;
    }
    if (word[0] == '-')
        return assay_usage(NULL, "a command comes first, then its options; '%s' is none", word);
    const assay_verb *verb = assay_verb_find(word);
    if (!verb)
        return assay_verb_unknown(word);
    return run_verb(verb, argv + 2, (size_t)argc - 2);
}

int main(int argc, char **argv)
{
    fill_closed_streams();
    return assay_output_finish(run(argc, argv));
}
