/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.c: results, errors and text made safe to print.
 *
 * Invalid UTF-8 is replaced by U+FFFD, one for each maximal part of a sequence
 * (Unicode 15, 3.9), as Python and browsers do.
 */
#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

/* ------------------------------------------------------------- characters */

#define REPLACEMENT 0xFFFD

/* Reads one character of text[length > 0]: its code point, or U+FFFD for a
 * broken sequence, of which *used bytes go together. */
static int32_t next_character(const unsigned char *text, size_t length, size_t *used)
{
    unsigned char first = text[0];
    *used = 1;
    if (first < 0x80)
        return first;
    size_t need = first >= 0xC2 && first <= 0xDF   ? 1
                  : first >= 0xE0 && first <= 0xEF ? 2
                  : first >= 0xF0 && first <= 0xF4 ? 3
                                                   : 0;
    if (need == 0)
        return REPLACEMENT;
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    int32_t code = first & (0x3F >> need);
    for (size_t i = 1; i <= need; i++) {
        if (i == length || text[i] < low || text[i] > high)
            return REPLACEMENT;
        code = code << 6 | (text[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
        *used = i + 1;
    }
    return code;
}

/* Whether a terminal would act on it instead of showing it: controls, and the
 * marks that reorder what is around them. */
static bool is_control(int32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0x2028 || code == 0x2029;
}

static void print_character(FILE *stream, int32_t code)
{
    utf8proc_uint8_t bytes[4];
    if (code == '\n' || code == '\r' || code == '\t')
        code = ' ';
    else if (is_control(code))
        code = REPLACEMENT;
    fwrite(bytes, 1, (size_t)utf8proc_encode_char(code, bytes), stream);
}

void assay_print_text(FILE *stream, const char *data, size_t length)
{
    const unsigned char *text = (const unsigned char *)data;
    size_t used;
    for (size_t i = 0; i < length; i += used)
        print_character(stream, next_character(text + i, length - i, &used));
}

/* ----------------------------------------------------------------- errors */

static void print_message(const char *format, va_list arguments)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    fputs("assay: ", stderr);
    assay_print_text(stderr, text, strlen(text));
    fputc('\n', stderr);
}

void assay_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
}

int assay_report(const assay_error *error)
{
    if (error->where[0])
        assay_warn("%s: %s", error->where, error->message);
    else
        assay_warn("%s", error->message);
    switch (error->code) {
    case ASSAY_E_ARGUMENT:
        return ASSAY_EXIT_USAGE;
    case ASSAY_E_INTERRUPTED:
        return ASSAY_EXIT_INTERRUPTED;
    default:
        return ASSAY_EXIT_ERROR;
    }
}

int assay_report_memory(void)
{
    assay_warn("out of memory");
    return ASSAY_EXIT_ERROR;
}

void assay_warn_of_model(const assay_model_info *info)
{
    if (info->notice[0] != '\0')
        assay_warn("%s: %s", info->name, info->notice);
}

const char *assay_kind_name(assay_model_kind kind)
{
    static const char *const names[] = {"bi-encoder", "cross-encoder", "late interaction"};
    return (unsigned)kind < 3 ? names[kind] : "?";
}

int assay_usage(const assay_verb *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    fprintf(stderr, verb ? "Try 'assay help %s'.\n" : "Try 'assay help'.\n",
            verb ? verb->name : "");
    return ASSAY_EXIT_USAGE;
}

int assay_output_finish(int code)
{
    errno = 0;
    bool failed = ferror(stdout);
    if (fflush(stdout) != 0)
        failed = true;
    if (!failed)
        return code;
    if (errno != EPIPE) /* a reader that has seen enough is no error to tell */
        assay_warn("standard output: cannot write%s%s", errno ? ": " : "",
                   errno ? strerror(errno) : "");
    return ASSAY_EXIT_ERROR;
}

/* ------------------------------------------------------------------- JSON */

assay_answer assay_answer_new(void)
{
    json_t *root = json_object();
    return (assay_answer){.root = root, .failed = !root};
}

void assay_answer_set(assay_answer *answer, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        answer->failed = true;
}

void assay_answer_append(assay_answer *answer, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        answer->failed = true;
}

static json_t *add(assay_answer *answer, json_t *parent, const char *name, json_t *value)
{
    if (name)
        assay_answer_set(answer, parent, name, value);
    else
        assay_answer_append(answer, parent, value);
    return value; /* the parent owns it */
}

json_t *assay_answer_object(assay_answer *answer, json_t *parent, const char *name)
{
    return add(answer, parent, name, json_object());
}

json_t *assay_answer_array(assay_answer *answer, json_t *parent, const char *name)
{
    return add(answer, parent, name, json_array());
}

void assay_answer_model(assay_answer *answer, const assay_model_info *info)
{
    assay_answer_set(answer, answer->root, "model", assay_json_name(info->name));
    assay_answer_set(answer, answer->root, "precision", assay_json_name(info->precision));
    if (info->notice[0] != '\0')
        assay_answer_set(answer, answer->root, "notice", assay_json_name(info->notice));
}

void assay_answer_tuning(assay_answer *answer, json_t *object, const assay_vector_tuning *tuned)
{
    json_t *out = assay_answer_object(answer, object, "tuned");
    assay_answer_set(answer, out, "index", json_string(assay_vector_index_name(tuned->kind)));
    assay_answer_set(answer, out, "wanted", assay_json_number(tuned->wanted));
    assay_answer_set(answer, out, "recall", assay_json_number(tuned->recall));
    assay_answer_set(answer, out, "k", assay_json_count(tuned->k));
    assay_answer_set(answer, out, "queries", assay_json_count(tuned->queries));
    assay_answer_set(answer, out, "vectors", assay_json_count(tuned->vectors));
    if (tuned->ef > 0)
        assay_answer_set(answer, out, "ef", assay_json_count(tuned->ef));
    if (tuned->nprobe > 0)
        assay_answer_set(answer, out, "nprobe", assay_json_count(tuned->nprobe));
}

int assay_answer_print(assay_answer *answer)
{
    int code = ASSAY_EXIT_OK;
    if (answer->failed) {
        code = assay_report_memory();
    } else {
        /* Nine digits carry a float; the write error stays with the stream. */
        json_dumpf(answer->root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        fputc('\n', stdout);
    }
    json_decref(answer->root);
    *answer = (assay_answer){0};
    return code;
}

json_t *assay_json_text(const char *data, size_t length)
{
    json_t *whole = json_stringn(data ? data : "", length);
    if (whole)
        return whole;
    char *clean = malloc(length * 3 + 1); /* a broken byte becomes three */
    if (!clean)
        return NULL;
    size_t size = 0, used;
    for (size_t i = 0; i < length; i += used) {
        int32_t code = next_character((const unsigned char *)data + i, length - i, &used);
        size += (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)clean + size);
    }
    json_t *text = json_stringn(clean, size);
    free(clean);
    return text;
}

json_t *assay_json_name(const char *string)
{
    return assay_json_text(string, string ? strlen(string) : 0);
}

json_t *assay_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *assay_json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* -------------------------------------------------------------- for people */

unsigned assay_terminal_columns(FILE *stream)
{
    struct winsize size;
    if (!isatty(fileno(stream)))
        return 0;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/* Reads the word at *text: its bytes and columns. */
static size_t word_at(const unsigned char *text, size_t length, unsigned *columns)
{
    size_t size = 0, used;
    *columns = 0;
    while (size < length && !strchr(" \n\r\t", text[size] ? text[size] : 'x')) {
        int32_t code = next_character(text + size, length - size, &used);
        int wide = utf8proc_charwidth(is_control(code) ? REPLACEMENT : code);
        *columns += wide > 0 ? (unsigned)wide : 0;
        size += used;
    }
    return size;
}

static bool any_lit(const bool *lit, size_t from, size_t to)
{
    for (size_t i = from; lit && i < to; i++)
        if (lit[i])
            return true;
    return false;
}

void assay_print_wrapped(const char *data, size_t length, unsigned indent)
{
    assay_print_lit(data, length, indent, NULL);
}

void assay_print_lit(const char *data, size_t length, unsigned indent, const bool *lit)
{
    const unsigned char *text = (const unsigned char *)data;
    unsigned width = assay_terminal_columns(stdout);
    unsigned column = indent;
    bool first = true;
    printf("%*s", (int)indent, "");
    for (size_t i = 0; i < length;) {
        unsigned columns;
        size_t size = word_at(text + i, length - i, &columns);
        if (size == 0) {
            i++;
            continue;
        }
        if (!first && width && column + 1 + columns > width) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', stdout);
            column++;
        }
        bool shines = any_lit(lit, i, i + size);
        fputs(shines ? assay_style_code(ASSAY_STYLE_STRONG) : "", stdout);
        assay_print_text(stdout, data + i, size);
        fputs(shines ? assay_style_code(ASSAY_STYLE_PLAIN) : "", stdout);
        column += columns;
        first = false;
        i += size;
    }
    fputc('\n', stdout);
}

const char *assay_print_count(char text[32], uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *out = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

static bool has_colours(void)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (no_color && *no_color)
        return false;
    return terminal && strcmp(terminal, "dumb") != 0 && isatty(STDOUT_FILENO);
}

const char *assay_style_code(assay_style style)
{
    static const char *const codes[] = {
        [ASSAY_STYLE_PLAIN] = "\033[0m",  [ASSAY_STYLE_STRONG] = "\033[1m",
        [ASSAY_STYLE_DIM] = "\033[2m",    [ASSAY_STYLE_GOOD] = "\033[32m",
        [ASSAY_STYLE_BAD] = "\033[31m",
    };
    return has_colours() ? codes[style] : "";
}
