/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c: command lines sorted into settings.
 *
 * GNU conventions: --name value or --name=value, options and arguments in any
 * order, "--" ends the options. Names are not abbreviated: a script must not
 * change its meaning when an option is added. Numbers are read whole or not at
 * all, and an error names what would be right.
 */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

const assay_option assay_common_options[] = {
    {"home", ASSAY_OPTION_TEXT, offsetof(assay_common, home), "DIR",
     "data directory (default: $ASSAY_HOME, else $XDG_DATA_HOME/assay, else "
     "~/.local/share/assay)", 0, 0},
    {"store", ASSAY_OPTION_TEXT, offsetof(assay_common, store), "URL",
     "where the collections are, postgresql://[user@]host[:port]/database or a directory (default: "
     "$ASSAY_STORE, else the data directory)", 0, 0},
    {"json", ASSAY_OPTION_FLAG, offsetof(assay_common, json), NULL,
     "print one line of JSON for programs; errors stay text on standard error", 0, 0},
    {"help", ASSAY_OPTION_FLAG, offsetof(assay_common, help), NULL, "print this help", 0, 0},
};
const size_t assay_common_option_count =
    sizeof assay_common_options / sizeof *assay_common_options;

#define NAME_MAX_LENGTH 63 /* of words that suggestions are made for */

/* Edits between two words: insert, delete, replace, swap of neighbours
 * (Damerau 1964, optimal string alignment). Both at most NAME_MAX_LENGTH. */
static unsigned edits(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][NAME_MAX_LENGTH + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

const char *assay_nearest_name(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    if (length == 0 || length > NAME_MAX_LENGTH)
        return NULL;
    const char *nearest = NULL;
    unsigned least = (unsigned)(length / 3 + 2); /* one more than is still alike */
    for (size_t i = 0; i < count; i++) {
        unsigned distance = edits(word, names[i]);
        if (length >= 3 && strncmp(names[i], word, length) == 0)
            distance = 1; /* an abbreviation */
        if (distance < least) {
            least = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

const assay_verb *assay_verb_find(const char *name)
{
    for (size_t i = 0; i < assay_verb_count; i++) {
        if (strcmp(assay_verbs[i]->name, name) == 0)
            return assay_verbs[i];
    }
    return NULL;
}

int assay_verb_unknown(const char *name)
{
    const char *names[32];
    size_t count = 0;
    for (; count < assay_verb_count && count < 32; count++)
        names[count] = assay_verbs[count]->name;
    const char *nearest = assay_nearest_name(name, names, count);
    if (nearest)
        return assay_usage(NULL, "there is no command '%s'; did you mean '%s'?", name, nearest);
    return assay_usage(NULL, "there is no command '%s'", name);
}

static const assay_option *option_at(const assay_verb *verb, size_t i)
{
    if (i < verb->option_count)
        return &verb->options[i];
    i -= verb->option_count;
    return i < assay_common_option_count ? &assay_common_options[i] : NULL;
}

static const assay_option *find_option(const assay_verb *verb, const char *name, size_t length)
{
    const assay_option *option;
    for (size_t i = 0; (option = option_at(verb, i)); i++) {
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

static bool unknown_option(const assay_verb *verb, const char *name, size_t length)
{
    char word[NAME_MAX_LENGTH + 1] = "";
    if (length <= NAME_MAX_LENGTH)
        memcpy(word, name, length);
    const char *names[64];
    size_t count = 0;
    const assay_option *option;
    for (; count < 64 && (option = option_at(verb, count)); count++)
        names[count] = option->name;
    const char *nearest = assay_nearest_name(word, names, count);
    if (nearest)
        assay_usage(verb, "there is no option '--%.*s'; did you mean '--%s'?", (int)length, name,
                    nearest);
    else
        assay_usage(verb, "there is no option '--%.*s'", (int)length, name);
    return false;
}

static bool read_count(const assay_verb *verb, const assay_option *option, const char *word,
                       uint32_t *value)
{
    bool all = option->kind == ASSAY_OPTION_COUNT_OR_ALL;
    if (all && strcmp(word, "all") == 0) {
        *value = UINT32_MAX;
        return true;
    }
    char *end;
    errno = 0;
    unsigned long long number = strtoull(word, &end, 10);
    if (*word < '0' || *word > '9' || *end || errno || (double)number < option->low ||
        (double)number > option->high) {
        assay_usage(verb, "--%s: '%s' is not a whole number from %.0f to %.0f%s", option->name,
                    word, option->low, option->high, all ? ", nor 'all'" : "");
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

static bool read_number(const assay_verb *verb, const assay_option *option, const char *word,
                        assay_setting *setting)
{
    char *end;
    double number = strtod(word, &end);
    bool plain = *word && strspn(word, "+-.0123456789eE") == strlen(word);
    if (!plain || *end || !isfinite(number) || number < option->low || number > option->high) {
        assay_usage(verb, "--%s: '%s' is not a number from %g to %g", option->name, word,
                    option->low, option->high);
        return false;
    }
    *setting = (assay_setting){.set = true, .value = number};
    return true;
}

static bool read_choice(const assay_verb *verb, const assay_option *option, const char *word,
                        uint32_t *value)
{
    size_t length = strlen(word);
    uint32_t place = 0;
    for (const char *name = option->value; name; place++) {
        size_t size = strcspn(name, "|");
        if (size == length && memcmp(name, word, length) == 0) {
            *value = place;
            return true;
        }
        name = name[size] ? name + size + 1 : NULL;
    }
    assay_usage(verb, "--%s: '%s' is not one of %s", option->name, word, option->value);
    return false;
}

static bool store_value(const assay_verb *verb, const assay_option *option, const char *word,
                        void *settings)
{
    void *field = (char *)settings + option->offset;
    assay_option_list *list = field;
    switch (option->kind) {
    case ASSAY_OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case ASSAY_OPTION_TEXT:
        *(const char **)field = word;
        return true;
    case ASSAY_OPTION_LIST:
        if (list->count == ASSAY_OPTION_LIST_MAX) {
            assay_usage(verb, "--%s is given more than %d times", option->name,
                        ASSAY_OPTION_LIST_MAX);
            return false;
        }
        list->items[list->count++] = word;
        return true;
    case ASSAY_OPTION_COUNT:
    case ASSAY_OPTION_COUNT_OR_ALL:
        return read_count(verb, option, word, field);
    case ASSAY_OPTION_NUMBER:
        return read_number(verb, option, word, field);
    case ASSAY_OPTION_CHOICE:
        return read_choice(verb, option, word, field);
    }
    return false;
}

/* Reads the option at argv[*i] ("--name...") and moves *i to its last word. */
static bool read_option(const assay_verb *verb, char **argv, size_t count, size_t *i,
                        void *settings)
{
    const char *name = argv[*i] + 2;
    size_t length = strcspn(name, "=");
    const assay_option *option = find_option(verb, name, length);
    if (!option)
        return unknown_option(verb, name, length);
    const char *word = name[length] ? name + length + 1 : NULL;
    if (option->kind == ASSAY_OPTION_FLAG) {
        if (word) {
            assay_usage(verb, "--%s takes no value", option->name);
            return false;
        }
    } else if (!word) {
        if (*i + 1 == count) {
            assay_usage(verb, "--%s needs a value: %s", option->name, option->value);
            return false;
        }
        word = argv[++*i];
    }
    return store_value(verb, option, word, settings);
}

bool assay_options_parse(const assay_verb *verb, char **argv, size_t count, void *settings,
                         size_t *arguments)
{
    memset(settings, 0, verb->settings_size);
    assay_common *common = settings;
    size_t kept = 0;
    bool options = true;
    for (size_t i = 0; i < count; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "-h") == 0) {
            common->help = true;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!read_option(verb, argv, count, &i, settings))
                return false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            assay_usage(verb, "there is no option '%s'; options begin with '--', and '--' alone "
                        "ends them", argv[i]);
            return false;
        } else {
            argv[kept++] = argv[i];
        }
    }
    *arguments = kept;
    if (common->help)
        return true;
    if (kept < verb->arguments_min) {
        assay_usage(verb, "%s is missing", verb->arguments);
        return false;
    }
    if (kept > verb->arguments_max) {
        assay_usage(verb, "'%s' is one argument too many", argv[verb->arguments_max]);
        return false;
    }
    return true;
}

bool assay_options_given(const assay_verb *verb, const char *name, const char *word,
                         void *settings)
{
    const assay_option *option = find_option(verb, name, strlen(name));
    if (!option)
        return unknown_option(verb, name, strlen(name));
    if (option->kind == ASSAY_OPTION_FLAG && strcmp(word, "true") != 0) {
        assay_usage(verb, "--%s takes no value", option->name);
        return false;
    }
    return store_value(verb, option, word, settings);
}
