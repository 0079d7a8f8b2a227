/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_help.c: `assay help`, and the same tables as a manual page and as a
 * completion for bash (docs/assay.1 and tools/completion.bash are its output).
 */
#include <string.h>

#include "cli/output.h"

typedef struct help_settings {
    assay_common common;
    bool man, completion;
} help_settings;

#define HELP_COLUMNS 79
#define OPTION_INDENT 26

/* Prints text wrapped at HELP_COLUMNS; the cursor stands at `column`. */
static void print_paragraph(const char *text, unsigned indent, unsigned column)
{
    bool first = true;
    for (const char *at = text; *at; at += strspn(at, " ")) {
        if (at[0] == '\n' && at[1] == '\n') {
            printf("\n\n%*s", (int)indent, "");
            column = indent;
            first = true;
            at += 2;
            continue;
        }
        size_t size = strcspn(at, " \n");
        if (!first && column + 1 + size > HELP_COLUMNS) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)size, at);
        column += (unsigned)size;
        first = false;
        at += size;
    }
    putchar('\n');
}

static void print_option(const assay_option *option)
{
    char head[128];
    int length = snprintf(head, sizeof head, "  --%s%s%s", option->name,
                          option->value ? " " : "", option->value ? option->value : "");
    printf("%s", head);
    if (length + 2 > OPTION_INDENT) {
        putchar('\n');
        length = 0;
    }
    printf("%*s", OPTION_INDENT - length, "");
    print_paragraph(option->help, OPTION_INDENT, OPTION_INDENT);
}

static const char *const exit_codes[][2] = {
    {"0", "done"},
    {"1", "an error; it is told on standard error"},
    {"2", "the command line makes no sense"},
    {"3", "some items failed, the rest is done"},
    {"4", "nothing answers: no hit has the probability that was asked for, or no page does"},
    {"130", "interrupted; what was finished is kept"},
};

static void print_exit_codes(void)
{
    printf("\nExit codes:\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        printf("  %-5s%s\n", exit_codes[i][0], exit_codes[i][1]);
}

void assay_show_help(const assay_verb *verb)
{
    printf("Usage: assay %s%s%s [OPTION...]\n\n", verb->name, *verb->arguments ? " " : "",
           verb->arguments);
    print_paragraph(verb->description, 0, 0);
    printf("\nOptions:\n");
    for (size_t i = 0; i < verb->option_count; i++)
        print_option(&verb->options[i]);
    for (size_t i = 0; i < assay_common_option_count; i++)
        print_option(&assay_common_options[i]);
    printf("\nExamples:\n");
    for (const assay_example *example = verb->examples; example->command; example++) {
        printf("  %s\n      ", example->command);
        print_paragraph(example->comment, 6, 6);
    }
    print_exit_codes();
}

void assay_show_overview(FILE *stream)
{
    fprintf(stream, "Usage: assay COMMAND [ARGUMENT...] [OPTION...]\n\n"
                    "assay %s finds the passages that answer a question.\n\nCommands:\n",
            assay_version());
    for (size_t i = 0; i < assay_verb_count; i++)
        fprintf(stream, "  %-10s %s\n", assay_verbs[i]->name, assay_verbs[i]->summary);
    fprintf(stream, "\n'assay help COMMAND' tells its options, with examples. "
                    "'assay --version' tells the version.\n");
}

/* ------------------------------------------------------------ manual page */

/* Text with what troff would read as its own escaped. */
static void print_troff(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            printf("\\&");
        line_start = *text == '\n';
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else if (text[0] == '\n' && text[1] == '\n') {
            printf("\n.PP\n");
            text++;
            line_start = true;
        } else
            putchar(*text);
    }
}

static void print_troff_option(const assay_option *option)
{
    printf(".TP\n\\fB\\-\\-");
    print_troff(option->name);
    printf("\\fR");
    if (option->value) {
        printf(" \\fI");
        print_troff(option->value);
        printf("\\fR");
    }
    putchar('\n');
    print_troff(option->help);
    printf(".\n");
}

static void print_troff_verb(const assay_verb *verb)
{
    printf(".SS assay %s", verb->name);
    if (*verb->arguments) {
        putchar(' ');
        print_troff(verb->arguments);
    }
    printf(" [OPTION...]\n");
    print_troff(verb->description);
    putchar('\n');
    for (size_t i = 0; i < verb->option_count; i++)
        print_troff_option(&verb->options[i]);
    for (const assay_example *example = verb->examples; example->command; example++) {
        printf(".PP\n");
        print_troff(example->comment);
        printf(":\n.PP\n.nf\n.RS\n");
        print_troff(example->command);
        printf("\n.RE\n.fi\n");
    }
}

static void print_man(void)
{
    printf(".\\\" SPDX-License-Identifier: Apache-2.0\n"
           ".\\\" Made by `assay help --man`; do not edit.\n"
           ".TH ASSAY 1 \"\" \"assay %s\" \"User Commands\"\n"
           ".SH NAME\nassay \\- find the passages that answer a question\n"
           ".SH SYNOPSIS\n.B assay\n.I COMMAND\n[\\fIARGUMENT\\fR...] [\\fIOPTION\\fR...]\n"
           ".SH DESCRIPTION\n", assay_version());
    print_troff("assay keeps collections of documents, retrieves candidate passages (BM25, dense "
                "vectors or both), reranks them with a cross-encoder, and measures what that "
                "was worth. Results are for people unless --json is given; progress is shown "
                "on a terminal only.\n");
    printf(".SH COMMANDS\n");
    for (size_t i = 0; i < assay_verb_count; i++)
        print_troff_verb(assay_verbs[i]);
    printf(".SH OPTIONS OF EVERY COMMAND\n");
    for (size_t i = 0; i < assay_common_option_count; i++)
        print_troff_option(&assay_common_options[i]);
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        printf(".TP\n.B %s\n%s.\n", exit_codes[i][0], exit_codes[i][1]);
    printf(".SH ENVIRONMENT\n"
           ".TP\n.B ASSAY_HOME\nThe data directory.\n"
           ".TP\n.B ASSAY_STORE\nWhere the collections are, when not there: a directory, or a PostgreSQL database by its URL.\n"
           ".TP\n.B ASSAY_MODELS\nA folder of models, looked into first.\n"
           ".TP\n.B ASSAY_CPU\nThe best instruction set to use: scalar, avx2, avxvnni, avx512, avx512vnni, avx512bf16, amx, neon or neondot.\n"
           ".TP\n.B HF_ENDPOINT, HF_TOKEN\nWhere \\fBpull\\fR downloads from, and as whom.\n"
           ".TP\n.B ASSAY_LLM_URL, ASSAY_LLM_MODEL, ASSAY_LLM_KEY\nThe chat API, the model and the key of \\fBllm\\fR rerankers.\n"
           ".TP\n.B NO_COLOR\nNo colours, when set.\n");
}

/* ------------------------------------------------------------- completion */

static void print_completion_verb(const assay_verb *verb)
{
    printf("    %s) words=\"", verb->name);
    for (size_t i = 0; i < verb->option_count; i++)
        printf("--%s ", verb->options[i].name);
    for (size_t i = 0; i < assay_common_option_count; i++)
        printf("%s--%s", i ? " " : "", assay_common_options[i].name);
    printf("\" ;;\n");
}

static void print_completion_choices(void)
{
    for (size_t v = 0; v < assay_verb_count; v++) {
        for (size_t i = 0; i < assay_verbs[v]->option_count; i++) {
            const assay_option *option = &assay_verbs[v]->options[i];
            if (option->kind != ASSAY_OPTION_CHOICE)
                continue;
            printf("    %s:--%s) words=\"", assay_verbs[v]->name, option->name);
            for (const char *at = option->value; *at; at++)
                putchar(*at == '|' ? ' ' : *at);
            printf("\" ;;\n");
        }
    }
}

static void print_completion(void)
{
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# Completion of assay for bash. Made by `assay help --completion`; do not edit.\n"
           "_assay() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local verb=${COMP_WORDS[1]} words=\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        words=\"");
    for (size_t i = 0; i < assay_verb_count; i++)
        printf("%s ", assay_verbs[i]->name);
    printf("--help --version\"\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    case $verb:$before in\n");
    print_completion_choices();
    printf("    esac\n"
           "    if [ -n \"$words\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    [[ $word == -* ]] || return\n"
           "    case $verb in\n");
    for (size_t i = 0; i < assay_verb_count; i++)
        print_completion_verb(assay_verbs[i]);
    printf("    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -o default -F _assay assay\n");
}

/* ------------------------------------------------------------------- verb */

static int run(const void *given, char **arguments, size_t count)
{
    const help_settings *settings = given;
    if (settings->man) {
        print_man();
    } else if (settings->completion) {
        print_completion();
    } else if (count == 0) {
        assay_show_overview(stdout);
    } else {
        const assay_verb *verb = assay_verb_find(arguments[0]);
        if (!verb)
            return assay_verb_unknown(arguments[0]);
        assay_show_help(verb);
    }
    return ASSAY_EXIT_OK;
}

static const assay_option options[] = {
    {"man", ASSAY_OPTION_FLAG, offsetof(help_settings, man), NULL,
     "print the manual page (troff)", 0, 0},
    {"completion", ASSAY_OPTION_FLAG, offsetof(help_settings, completion), NULL,
     "print the completion script for bash", 0, 0},
};

static const assay_example examples[] = {
    {"assay help search", "Options and examples of one command"},
    {"assay help --man | man -l -", "The manual page"},
    {"source <(assay help --completion)", "Completion in this shell"},
    {NULL, NULL},
};

const assay_verb assay_verb_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "tell what a command does and takes",
    .description = "Lists the commands, or tells the options of one, with examples.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(help_settings),
    .arguments_max = 1,
    .run = run,
};
