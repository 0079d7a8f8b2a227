/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h: what the command prints: results on standard output, for people or
 * as one line of JSON; everything else on standard error.
 *
 * Text that came from outside is made safe first: invalid UTF-8 becomes U+FFFD,
 * and for people control characters too, so that no passage can steer a
 * terminal. Write errors are kept and told at the end (assay_output_finish).
 */
#ifndef ASSAY_CLI_OUTPUT_H
#define ASSAY_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "cli/options.h"

/* ---- Errors, on standard error. Each returns the exit code that fits. */

/* "assay: where: message". */
int assay_report(const assay_error *error);
/* "assay: ..." for something that concerns one item or is good to know. */
void assay_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What is to be known of a model that was opened: its notice, if it has one. */
void assay_warn_of_model(const assay_model_info *info);
/* "bi-encoder", "cross-encoder", "late interaction". */
const char *assay_kind_name(assay_model_kind kind);
/* "assay: ..." and where help is; verb may be NULL. ASSAY_EXIT_USAGE. */
int assay_usage(const assay_verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "assay: out of memory". */
int assay_report_memory(void);

/* Flushes standard output; a write that failed turns `code` into an error. */
int assay_output_finish(int code);

/* ---- JSON. Constructors return NULL when memory is short; adding NULL fails
 * and is seen by assay_json_print through `complete`. */

typedef struct assay_answer {
    json_t *root; /* an object */
    bool failed;  /* something could not be added: memory */
} assay_answer;

assay_answer assay_answer_new(void);
/* Both own `value` from then on. */
void assay_answer_set(assay_answer *answer, json_t *object, const char *name, json_t *value);
void assay_answer_append(assay_answer *answer, json_t *array, json_t *value);
/* Makes an empty object or array inside `object` (or at the end of an array). */
json_t *assay_answer_object(assay_answer *answer, json_t *parent, const char *name);
json_t *assay_answer_array(assay_answer *answer, json_t *parent, const char *name);
/* Prints it as one line and frees it; returns an exit code. */
int assay_answer_print(assay_answer *answer);

/* "model", "precision" and, where there is one, "notice". */
void assay_answer_model(assay_answer *answer, const assay_model_info *info);
/* "tuned": what was measured of a vector index. */
void assay_answer_tuning(assay_answer *answer, json_t *object, const assay_vector_tuning *tuned);

/* A JSON string of any bytes. */
json_t *assay_json_text(const char *data, size_t length);
json_t *assay_json_name(const char *string);
/* A JSON number with the digits of a float; null when it is not finite. */
json_t *assay_json_number(double value);
json_t *assay_json_count(uint64_t value);

/* ---- Text for people, on standard output. */

/* Bytes of text as people may see them. One line: newlines become spaces. */
void assay_print_text(FILE *stream, const char *data, size_t length);
/* The same, wrapped to the terminal, every line after `indent` spaces. Where
 * standard output is no terminal it is one line. */
void assay_print_wrapped(const char *data, size_t length, unsigned indent);
/* The same with words lit that hold a byte of lit[length]; NULL: none. */
void assay_print_lit(const char *data, size_t length, unsigned indent, const bool *lit);
/* 1234567 as "1,234,567". Returns text. */
const char *assay_print_count(char text[32], uint64_t value);

typedef enum assay_style {
    ASSAY_STYLE_PLAIN,
    ASSAY_STYLE_STRONG,
    ASSAY_STYLE_DIM,
    ASSAY_STYLE_GOOD,
    ASSAY_STYLE_BAD,
} assay_style;

/* The escape sequence, or "" where there are no colours: standard output is no
 * terminal, $NO_COLOR is set (no-color.org), or $TERM is dumb. */
const char *assay_style_code(assay_style style);
/* Columns of the terminal behind a stream; 0 when it is none. */
unsigned assay_terminal_columns(FILE *stream);

#endif
