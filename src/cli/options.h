/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h: what a verb is called, takes and says about itself.
 *
 * A verb is one table. The parser, --help, the manual page and the shell
 * completion all read it, so they cannot disagree. Settings land in a struct
 * of the verb's own, whose first member is assay_common; a setting that was
 * not given is zero, which the library reads as "the default".
 */
#ifndef ASSAY_CLI_OPTIONS_H
#define ASSAY_CLI_OPTIONS_H

#include <assay.h>
#include <stdio.h>

/* Exit codes of the command, documented in help and manual. */
enum {
    ASSAY_EXIT_OK = 0,
    ASSAY_EXIT_ERROR = 1,
    ASSAY_EXIT_USAGE = 2,
    ASSAY_EXIT_PARTLY = 3,        /* some items failed, the rest is done */
    ASSAY_EXIT_NO_ANSWER = 4,     /* nothing is as probable as was asked for */
    ASSAY_EXIT_INTERRUPTED = 130, /* as shells say it of SIGINT */
};

typedef enum assay_option_kind {
    ASSAY_OPTION_FLAG,   /* bool */
    ASSAY_OPTION_TEXT,   /* const char *: into argv */
    ASSAY_OPTION_LIST,   /* assay_option_list: may be given several times */
    ASSAY_OPTION_COUNT,  /* uint32_t within [low, high] */
    ASSAY_OPTION_COUNT_OR_ALL, /* as COUNT; "all" is UINT32_MAX */
    ASSAY_OPTION_NUMBER, /* assay_setting within [low, high] */
    ASSAY_OPTION_CHOICE, /* uint32_t: place of the word in `value`, "a|b|c" */
} assay_option_kind;

#define ASSAY_OPTION_LIST_MAX 32

/* Words of a CHOICE, in the order of assay_precision. */
#define ASSAY_PRECISIONS "auto|fp32|int8|bf16"

typedef struct assay_option_list {
    size_t count;
    const char *items[ASSAY_OPTION_LIST_MAX];
} assay_option_list;

typedef struct assay_option {
    const char *name; /* without "--" */
    assay_option_kind kind;
    size_t offset;     /* of the field in the verb's settings */
    const char *value; /* what help calls it: "N", "NAME"; the words of a CHOICE */
    const char *help;  /* one sentence without a stop; says the default */
    double low, high;  /* of COUNT and NUMBER */
} assay_option;

/* First member of every verb's settings. */
typedef struct assay_common {
    const char *home;
    const char *store;
    bool json;
    bool help;
} assay_common;

typedef struct assay_example {
    const char *command;
    const char *comment;
} assay_example;

typedef struct assay_verb {
    const char *name;
    const char *arguments;   /* "PATH..."; "" when it takes none */
    const char *summary;     /* one line, for the list of verbs */
    const char *description; /* paragraphs parted by "\n\n" */
    const assay_option *options;
    size_t option_count;
    const assay_example *examples; /* ends with {NULL, NULL} */
    size_t settings_size;
    size_t arguments_min, arguments_max;
    /* Does it; returns an exit code. `arguments` are the words that are not
     * options, in their order. */
    int (*run)(const void *settings, char **arguments, size_t count);
} assay_verb;

/* Largest settings struct a verb may have. */
#define ASSAY_SETTINGS_MAX 1536

/* Sorts argv[count] into settings (cleared first) and arguments: these are
 * moved to the front of argv, their number goes to *arguments. False, after
 * saying on stderr what is wrong, when a word cannot be understood. */
bool assay_options_parse(const assay_verb *verb, char **argv, size_t count, void *settings,
                         size_t *arguments);

/* As if "--name word" stood on the command line; of a flag, the word is "true". */
bool assay_options_given(const assay_verb *verb, const char *name, const char *word,
                         void *settings);

/* The options that every verb has, after its own. */
extern const assay_option assay_common_options[];
extern const size_t assay_common_option_count;

/* The name among names[count] most like `word`; NULL when none is near. */
const char *assay_nearest_name(const char *word, const char *const *names, size_t count);

/* All verbs, in the order in which help lists them. */
extern const assay_verb *const assay_verbs[];
extern const size_t assay_verb_count;
const assay_verb *assay_verb_find(const char *name);

/* "assay: there is no command 'x'; did you mean 'y'?" Returns the exit code. */
int assay_verb_unknown(const char *name);

/* Help on standard output (the overview where it is asked for). */
void assay_show_overview(FILE *stream);
void assay_show_help(const assay_verb *verb);

extern const assay_verb assay_verb_index, assay_verb_search, assay_verb_rerank, assay_verb_embed,
    assay_verb_tokenize, assay_verb_eval, assay_verb_synth, assay_verb_mine, assay_verb_train, assay_verb_pipeline,
    assay_verb_info, assay_verb_check, assay_verb_pull, assay_verb_quantize, assay_verb_bench, assay_verb_serve,
    assay_verb_report, assay_verb_doctor, assay_verb_help;

#endif
