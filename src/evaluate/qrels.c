/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qrels.c: which documents are relevant for which query, and how much.
 *
 * Two formats, told apart by the first line: TREC qrels, four columns between
 * blanks, "query 0 document grade", of which the second is ignored; and BEIR's
 * TSV, three columns between tabs (ids may hold spaces) or, without tabs,
 * between blanks, with or without a header "query-id corpus-id score".
 * Unlike trec_eval, a judgment that is repeated with the same grade is allowed.
 */
#include "evaluate/qrels.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/number.h"
#include "base/string_map.h"
#include "evaluate/lines.h"

typedef struct judgment {
    uint32_t document; /* number in qrels->documents */
    int32_t grade;
    uint32_t line;
} judgment;

typedef struct judgment_list {
    judgment *judgments; /* [capacity], of which count are used, by document */
    size_t count;
    size_t capacity;
} judgment_list;

struct assay_qrels {
    assay_string_map *queries;
    assay_string_map *documents;
    judgment_list *lists; /* [capacity], one a query */
    size_t capacity;
};

typedef enum layout { LAYOUT_TREC, LAYOUT_TABS, LAYOUT_BLANKS } layout;

void assay_qrels_free(assay_qrels *qrels)
{
    if (qrels == NULL)
        return;
    for (size_t q = 0; qrels->lists != NULL && q < assay_qrels_queries(qrels); q++)
        free(qrels->lists[q].judgments);
    free(qrels->lists);
    assay_string_map_free(qrels->queries);
    assay_string_map_free(qrels->documents);
    free(qrels);
}

static assay_status qrels_new(assay_qrels **out, assay_error *error)
{
    assay_qrels *qrels = calloc(1, sizeof *qrels);
    if (qrels == NULL)
        return assay_fail_memory(error, sizeof *qrels);
    qrels->queries = assay_string_map_new();
    qrels->documents = assay_string_map_new();
    if (qrels->queries == NULL || qrels->documents == NULL) {
        assay_qrels_free(qrels);
        return assay_fail_memory(error, sizeof *qrels);
    }
    *out = qrels;
    return ASSAY_OK;
}

/* ----------------------------------------------------------------- reading */

static assay_status reserve_list(assay_qrels *qrels, assay_error *error)
{
    size_t count = assay_string_map_count(qrels->queries);
    if (count < qrels->capacity)
        return ASSAY_OK;
    size_t capacity = count > 0 ? count * 2 : 16;
    judgment_list *lists = realloc(qrels->lists, capacity * sizeof *lists);
    if (lists == NULL)
        return assay_fail_memory(error, capacity * sizeof *lists);
    qrels->lists = lists;
    qrels->capacity = capacity;
    return ASSAY_OK;
}

static assay_status append_judgment(judgment_list *list, judgment new, assay_error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 4;
        judgment *judgments = realloc(list->judgments, capacity * sizeof *judgments);
        if (judgments == NULL)
            return assay_fail_memory(error, capacity * sizeof *judgments);
        list->judgments = judgments;
        list->capacity = capacity;
    }
    list->judgments[list->count++] = new;
    return ASSAY_OK;
}

static assay_status add_judgment(assay_qrels *qrels, assay_text query, assay_text document,
                                 judgment new, assay_error *error)
{
    uint32_t q;
    bool added;
    ASSAY_TRY(reserve_list(qrels, error));
    ASSAY_TRY(assay_string_map_add(qrels->queries, query.data, query.length, &q, &added,
                                   error));
    if (added)
        qrels->lists[q] = (judgment_list){0};
    ASSAY_TRY(assay_string_map_add(qrels->documents, document.data, document.length,
                                   &new.document, NULL, error));
    return append_judgment(&qrels->lists[q], new, error);
}

static bool is_whole(assay_text text)
{
    int64_t ignored;
    return assay_number_whole(text.data, text.length, &ignored);
}

/* Whether a first line of three columns is a header, not a judgment. */
static bool is_header(const assay_text *columns)
{
    static const char *const names[] = {"query-id", "query_id", "queryid", "qid", "query"};
    if (is_whole(columns[2]))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (columns[0].length == strlen(names[i]) &&
            strncasecmp(columns[0].data, names[i], columns[0].length) == 0)
            return true;
    return false;
}

/* Decides the layout by the first line, and whether that line is a header. */
static layout layout_of(assay_text line, bool *header)
{
    assay_text columns[3];
    *header = false;
    if (assay_columns_tab(line, columns, 3) == 3) {
        *header = is_header(columns);
        if (*header || is_whole(columns[2]) || assay_columns_blank(line, columns, 3) != 4)
            return LAYOUT_TABS;
    }
    if (assay_columns_blank(line, columns, 3) != 3)
        return LAYOUT_TREC;
    *header = is_header(columns);
    return LAYOUT_BLANKS;
}

static assay_status wrong_count(const assay_lines *lines, layout how, size_t found,
                                assay_error *error)
{
    if (how == LAYOUT_TREC)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "%zu columns; expected 4 (query 0 document grade), or 3 in the "
                                "whole file (query, document, grade)",
                                found);
    return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                            "%zu columns%s; expected 3 as in the first line: query, document, "
                            "grade",
                            found, how == LAYOUT_TABS ? " between tabs" : "");
}

static assay_status read_line(assay_qrels *qrels, const assay_lines *lines, layout how,
                              assay_text line, assay_error *error)
{
    assay_text columns[4];
    size_t count = how == LAYOUT_TABS ? assay_columns_tab(line, columns, 4)
                                      : assay_columns_blank(line, columns, 4);
    if (count != (how == LAYOUT_TREC ? 4 : 3))
        return wrong_count(lines, how, count, error);
    assay_text document = columns[how == LAYOUT_TREC ? 2 : 1];
    assay_text text = columns[count - 1];
    if (columns[0].length == 0 || document.length == 0)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error, "empty %s id",
                                columns[0].length == 0 ? "query" : "document");
    int64_t grade;
    if (!assay_number_whole(text.data, text.length, &grade) || grade < INT32_MIN ||
        grade > INT32_MAX)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "grade (column %zu) \"%.*s\" is not a whole number of 32 bits",
                                count, ASSAY_SHOWN(text));
    judgment new = {.grade = (int32_t)grade,
                    .line = lines->number < UINT32_MAX ? (uint32_t)lines->number : UINT32_MAX};
    return add_judgment(qrels, columns[0], document, new, error);
}

static int compare_judgments(const void *a, const void *b)
{
    const judgment *left = a, *right = b;
    if (left->document != right->document)
        return left->document < right->document ? -1 : 1;
    return (left->line > right->line) - (left->line < right->line);
}

/* Sorts a query's judgments by document and drops those repeated. */
static assay_status settle_list(const assay_qrels *qrels, uint32_t q, assay_lines *lines,
                                assay_error *error)
{
    judgment_list *list = &qrels->lists[q];
    qsort(list->judgments, list->count, sizeof *list->judgments, compare_judgments);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        const judgment *last = &list->judgments[kept - 1], *next = &list->judgments[i];
        if (next->document != last->document) {
            list->judgments[kept++] = *next;
        } else if (next->grade != last->grade) {
            lines->number = next->line;
            return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                    "document \"%.150s\" of query \"%.150s\" has grade %d here "
                                    "and %d in line %u; expected one judgment",
                                    assay_string_map_key(qrels->documents, next->document),
                                    assay_string_map_key(qrels->queries, q), next->grade,
                                    last->grade, last->line);
        }
    }
    list->count = kept;
    return ASSAY_OK;
}

static assay_status read_lines(assay_qrels *qrels, assay_lines *lines, assay_error *error)
{
    assay_text line;
    assay_status status;
    layout how = LAYOUT_TREC;
    bool first = true, header = false;
    while (assay_lines_next(lines, &line, &status, error)) {
        if (first)
            how = layout_of(line, &header);
        if (!first || !header)
            ASSAY_TRY(read_line(qrels, lines, how, line, error));
        first = false;
    }
    ASSAY_TRY(status);
    if (assay_qrels_queries(qrels) == 0)
        return assay_fail(error, ASSAY_E_FORMAT, lines->name,
                          "no judgments; expected lines of query, document and grade");
    for (uint32_t q = 0; q < assay_qrels_queries(qrels); q++)
        ASSAY_TRY(settle_list(qrels, q, lines, error));
    return ASSAY_OK;
}

assay_status assay_qrels_parse(const char *data, size_t length, const char *name,
                               assay_qrels **out, assay_error *error)
{
    assay_lines lines;
    assay_qrels *qrels = NULL;
    ASSAY_TRY(qrels_new(&qrels, error));
    assay_lines_start(&lines, data, length, name);
    assay_status status = read_lines(qrels, &lines, error);
    if (status != ASSAY_OK) {
        assay_qrels_free(qrels);
        return status;
    }
    *out = qrels;
    return ASSAY_OK;
}

assay_status assay_qrels_read(const char *path, assay_qrels **out, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, ASSAY_LINES_LIMIT);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK)
        status = assay_qrels_parse(text.data, text.length, path, out, error);
    assay_buffer_free(&text);
    return status;
}

/* ----------------------------------------------------------------- looking */

bool assay_qrels_judged(const assay_qrels *qrels, const char *query)
{
    uint32_t q;
    return assay_string_map_find(qrels->queries, query, strlen(query), &q);
}

size_t assay_qrels_queries(const assay_qrels *qrels)
{
    return assay_string_map_count(qrels->queries);
}

const char *assay_qrels_query(const assay_qrels *qrels, size_t i)
{
    return i < assay_qrels_queries(qrels) ? assay_string_map_key(qrels->queries, (uint32_t)i)
                                          : NULL;
}

int32_t assay_qrels_grade(const assay_qrels *qrels, size_t query, const char *document)
{
    uint32_t number;
    if (!assay_string_map_find(qrels->documents, document, strlen(document), &number))
        return 0;
    const judgment_list *list = &qrels->lists[query];
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->judgments[middle].document < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < list->count && list->judgments[low].document == number;
    return found ? list->judgments[low].grade : 0;
}

size_t assay_qrels_depth(const assay_qrels *qrels, size_t query)
{
    return qrels->lists[query].count;
}

int32_t assay_qrels_grade_at(const assay_qrels *qrels, size_t query, size_t k)
{
    return qrels->lists[query].judgments[k].grade;
}

const char *assay_qrels_document_at(const assay_qrels *qrels, size_t query, size_t k)
{
    return assay_string_map_key(qrels->documents, qrels->lists[query].judgments[k].document);
}
