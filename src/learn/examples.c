/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples.c: examples out of files of one record a line.
 *
 * JSON lines: an object with a query and passages that are relevant to it or not,
 *
 *     {"query_id": "q1", "query": "...",
 *      "positives": [{"title": "...", "text": "...", "grade": 2, "score": 3.1}],
 *      "negatives": ["...", "..."]}
 *
 * where a passage is a text or an object with one, and one passage needs no list. What
 * others write is understood: "anchor" for the query and "positive", "negative" for the
 * lists (sentence-transformers), "pos", "neg" with "pos_scores", "neg_scores"
 * (FlagEmbedding).
 *
 * TSV, the columns told apart by the first line: query and positive; query, positive,
 * negative (MS MARCO's triples); the same behind the teacher's scores of positive and
 * negative (Hofstätter et al. 2020).
 */
#include "learn/examples.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "evaluate/lines.h"
#include "learn/examples_build.h"
#include "pipeline/words.h"
#include "text/reader.h"

enum { PROGRESS_LINES = 256 };

typedef struct record {
    assay_examples_builder *builder;
    const assay_lines *lines;
    uint32_t example;
} record;

/* ----------------------------------------------------------------- JSON lines */

/* The first of the names that the object has; *found is then its name. */
static const json_t *field_of(const json_t *object, const char *const *fields, const char **found)
{
    for (; *fields != NULL; fields++) {
        const json_t *value = json_object_get(object, *fields);
        *found = *fields;
        if (value != NULL && !json_is_null(value))
            return value;
    }
    return NULL;
}

static assay_status add_text(const record *r, const char *title, const char *heading,
                             assay_text text, assay_labelled labelled, assay_error *error)
{
    bool is_blank;
    ASSAY_TRY(assay_builder_passage(r->builder, title, heading, text, &labelled.text, &is_blank,
                                    error));
    if (is_blank) {
        r->builder->out->counts.empty++;
        return ASSAY_OK;
    }
    labelled.example = r->example;
    return assay_builder_label(r->builder, labelled, error);
}

/* False for a number that a float cannot be. */
static bool take_score(double value, float *score)
{
    *score = fabs(value) <= (double)FLT_MAX ? (float)value : NAN;
    return !isnan(*score);
}

/* What an object says of a passage besides its text. */
static assay_status read_details(const record *r, const json_t *passage, const char *field,
                                 assay_labelled *labelled, assay_error *error)
{
    const json_t *grade = json_object_get(passage, "grade");
    const json_t *score = json_object_get(passage, "score");
    if (grade != NULL && (!json_is_integer(grade) || json_integer_value(grade) < 0 ||
                          json_integer_value(grade) > 100 ||
                          (json_integer_value(grade) > 0) != (labelled->grade > 0)))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "%s: grade: expected %s", field,
                                labelled->grade > 0 ? "a whole number from 1 to 100" : "0");
    if (grade != NULL)
        labelled->grade = (int32_t)json_integer_value(grade);
    if (score != NULL && (!json_is_number(score) ||
                          !take_score(json_number_value(score), &labelled->teacher)))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "%s: score: expected a number, at most 3e38", field);
    labelled->missed = json_is_true(json_object_get(passage, "missed"));
    return ASSAY_OK;
}

static assay_status read_passage(const record *r, const json_t *passage, const char *field,
                                 assay_labelled labelled, assay_error *error)
{
    const char *title = NULL, *heading = NULL;
    const json_t *text = passage;
    if (json_is_object(passage)) {
        text = json_object_get(passage, "text");
        title = json_string_value(json_object_get(passage, "title"));
        heading = json_string_value(json_object_get(passage, "heading"));
        ASSAY_TRY(read_details(r, passage, field, &labelled, error));
    }
    if (!json_is_string(text))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "%s: expected a text, or an object with \"text\"", field);
    return add_text(r, title != NULL ? title : "", heading != NULL ? heading : "",
                    (assay_text){json_string_value(text), json_string_length(text)}, labelled,
                    error);
}

/* The teacher's score of passage i in a list of scores beside the list of passages. */
static assay_status score_beside(const record *r, const json_t *scores, const char *field,
                                 size_t i, size_t count, float *score, assay_error *error)
{
    if (scores == NULL)
        return ASSAY_OK;
    const json_t *value = json_array_get(scores, i);
    if (!json_is_array(scores) || json_array_size(scores) != count || !json_is_number(value) ||
        !take_score(json_number_value(value), score))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "%s_scores: expected a list of %zu numbers, one a passage, at "
                                "most 3e38", field, count);
    return ASSAY_OK;
}

static assay_status read_passages(const record *r, const json_t *object,
                                  const char *const *fields, int32_t grade, assay_error *error)
{
    const char *field;
    const json_t *list = field_of(object, fields, &field);
    if (list == NULL)
        return ASSAY_OK;
    char beside[32];
    snprintf(beside, sizeof beside, "%s_scores", field);
    const json_t *scores = json_object_get(object, beside);
    bool many = json_is_array(list);
    size_t count = many ? json_array_size(list) : 1;
    for (size_t i = 0; i < count; i++) {
        assay_labelled labelled = {.grade = grade, .teacher = NAN};
        ASSAY_TRY(score_beside(r, scores, field, i, count, &labelled.teacher, error));
        ASSAY_TRY(read_passage(r, many ? json_array_get(list, i) : list, field, labelled, error));
    }
    return ASSAY_OK;
}

static assay_status read_id(const record *r, const json_t *object, char digits[24],
                            const char **id, assay_error *error)
{
    const json_t *value = json_object_get(object, "query_id");
    *id = "";
    if (json_is_string(value)) {
        *id = json_string_value(value);
    } else if (json_is_integer(value)) {
        snprintf(digits, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        *id = digits;
    } else if (value != NULL && !json_is_null(value)) {
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "query_id: expected a string or a whole number");
    }
    return ASSAY_OK;
}

static assay_status read_object(record *r, const json_t *object, assay_error *error)
{
    static const char *const query_names[] = {"query", "anchor", NULL};
    static const char *const positive_names[] = {"positives", "positive", "pos", NULL};
    static const char *const negative_names[] = {"negatives", "negative", "neg", NULL};
    const char *field, *id;
    char digits[24];
    const json_t *query = field_of(object, query_names, &field);
    if (!json_is_string(query))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "query: expected a text, found %s",
                                query == NULL ? "nothing" : "something else");
    assay_text text = {json_string_value(query), json_string_length(query)};
    if (assay_words_none(text))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error, "query: is empty");
    ASSAY_TRY(read_id(r, object, digits, &id, error));
    ASSAY_TRY(assay_builder_query(r->builder, id, text, r->lines->number, &r->example, error));
    ASSAY_TRY(read_passages(r, object, positive_names, 1, error));
    return read_passages(r, object, negative_names, 0, error);
}

static assay_status read_json_line(record *r, assay_text line, assay_error *error)
{
    json_error_t reason;
    json_t *object = json_loadb(line.data, line.length, JSON_REJECT_DUPLICATES, &reason);
    if (object == NULL)
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error, "not JSON: column %d: %s",
                                reason.column, reason.text);
    assay_status status;
    if (json_is_object(object))
        status = read_object(r, object, error);
    else
        status = assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                  "expected an object {\"query\", \"positives\", \"negatives\"}");
    json_decref(object);
    return status;
}

/* ------------------------------------------------------------------------ TSV */

typedef enum layout {
    LAYOUT_JSON,
    LAYOUT_PAIRS = 2,   /* so many columns */
    LAYOUT_TRIPLES = 3,
    LAYOUT_SCORED = 5,
    LAYOUT_NONE,
} layout;

static layout layout_of(assay_text line)
{
    assay_text columns[5];
    size_t at = 0;
    while (at < line.length && (line.data[at] == ' ' || line.data[at] == '\t'))
        at++;
    if (at < line.length && line.data[at] == '{')
        return LAYOUT_JSON;
    size_t count = assay_columns_tab(line, columns, 5);
    return count == 2 || count == 3 || count == 5 ? (layout)count : LAYOUT_NONE;
}

static assay_status read_score(const record *r, assay_text column, float *score,
                               assay_error *error)
{
    double value;
    if (!assay_number_read(column.data, column.length, &value) || !take_score(value, score))
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "\"%.*s\" is no number, or one above 3e38; with 5 columns the "
                                "first two are the teacher's scores of positive and negative",
                                ASSAY_SHOWN(column));
    return ASSAY_OK;
}

static assay_status read_tab_line(record *r, layout how, assay_text line, assay_error *error)
{
    assay_text columns[5];
    size_t count = assay_columns_tab(line, columns, 5), query = how == LAYOUT_SCORED ? 2 : 0;
    assay_labelled positive = {.grade = 1, .teacher = NAN}, negative = {.teacher = NAN};
    if (count != (size_t)how)
        return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error,
                                "%zu columns between tabs; expected %d as in the first line",
                                count, (int)how);
    for (size_t i = query; i < count; i++)
        if (assay_words_none(columns[i]))
            return assay_lines_fail(r->lines, ASSAY_E_FORMAT, error, "%s is empty",
                                    i == query       ? "the query"
                                    : i == query + 1 ? "the positive passage"
                                                     : "the negative passage");
    if (how == LAYOUT_SCORED) {
        ASSAY_TRY(read_score(r, columns[0], &positive.teacher, error));
        ASSAY_TRY(read_score(r, columns[1], &negative.teacher, error));
    }
    ASSAY_TRY(assay_builder_query(r->builder, "", columns[query], r->lines->number, &r->example,
                                  error));
    ASSAY_TRY(add_text(r, "", "", columns[query + 1], positive, error));
    return how != LAYOUT_PAIRS ? add_text(r, "", "", columns[query + 2], negative, error) : ASSAY_OK;
}

/* --------------------------------------------------------------------- a file */

/* A bad line is told and passed over; what is no fault of the line ends it. */
static assay_status line_read(const record *r, assay_status status, const assay_error *reason,
                              assay_error *error)
{
    if (status == ASSAY_OK)
        return ASSAY_OK;
    if (status != ASSAY_E_FORMAT)
        return assay_fail(error, status, reason->where, "%s", reason->message);
    r->builder->out->counts.bad_lines++;
    return assay_builder_problem(r->builder, reason, error);
}

static assay_status read_lines(assay_examples_builder *builder, assay_lines *lines,
                               const char *begin, assay_error *error)
{
    record r = {.builder = builder, .lines = lines};
    layout how = LAYOUT_NONE;
    assay_text line;
    assay_status status;
    bool first = true;
    while (assay_lines_next(lines, &line, &status, error)) {
        assay_error reason;
        if (first)
            how = layout_of(line);
        if (how == LAYOUT_NONE)
            return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                    "expected JSON, or 2, 3 or 5 columns between tabs: query, "
                                    "positive and negative, or two scores before them");
        first = false;
        size_t labelled = builder->out->labelled_count;
        assay_status read = how == LAYOUT_JSON ? read_json_line(&r, line, &reason)
                                               : read_tab_line(&r, how, line, &reason);
        if (read != ASSAY_OK) /* it gives nothing, not what came before the fault */
            builder->out->labelled_count = labelled;
        ASSAY_TRY(line_read(&r, read, &reason, error));
        if (lines->number % PROGRESS_LINES == 0)
            ASSAY_TRY(assay_builder_progress(builder, (uint64_t)(lines->next - begin), error));
    }
    return status;
}

static assay_status parse(assay_examples_builder *builder, const char *data, size_t length,
                          const char *name, assay_error *error)
{
    assay_lines lines;
    assay_lines_start(&lines, data, length, name);
    builder->total = length;
    ASSAY_TRY(read_lines(builder, &lines, lines.next, error));
    return assay_builder_finish(builder, name, error);
}

static assay_status end(assay_examples_builder *builder, assay_examples *built,
                        assay_status status, assay_examples *out)
{
    assay_builder_free(builder);
    if (status == ASSAY_OK)
        *out = *built;
    else
        assay_examples_free(built);
    return status;
}

assay_status assay_examples_parse(const char *data, size_t length, const char *name,
                                  const assay_examples_options *options, assay_examples *out,
                                  assay_error *error)
{
    assay_examples_builder builder;
    assay_examples built;
    assay_status status = assay_builder_start(&builder, &built, options, error);
    if (status == ASSAY_OK)
        status = parse(&builder, data, length, name, error);
    return end(&builder, &built, status, out);
}

static assay_status read_file(assay_examples_builder *builder, const char *path,
                              assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, ASSAY_LINES_LIMIT);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK)
        status = parse(builder, text.data, text.length, path, error);
    assay_buffer_free(&text);
    return status;
}

assay_status assay_examples_read(const char *path, const assay_examples_options *options,
                                 assay_examples *out, assay_error *error)
{
    assay_examples_builder builder;
    assay_examples built;
    assay_status status = assay_builder_start(&builder, &built, options, error);
    if (status == ASSAY_OK)
        status = assay_is_folder(path) ? assay_examples_read_folder(&builder, path, error)
                                       : read_file(&builder, path, error);
    return end(&builder, &built, status, out);
}
