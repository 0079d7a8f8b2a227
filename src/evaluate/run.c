/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c: ranked hits of many queries, and the TREC format for them.
 *
 * The format and the order are those of trec_eval: six columns between blanks,
 * "query Q0 document rank score tag"; within a query hits are ordered by score,
 * and hits whose scores are equal as float (which is what trec_eval keeps) by
 * document id, descending byte by byte; the rank column is ignored. Unlike
 * trec_eval, a score that is not a finite number is refused, not read as 0.
 *
 * A query's hits lie in one array that is always in order, so that a finished
 * run is immutable and can be shared.
 */
#include "evaluate/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "base/string_map.h"
#include "evaluate/lines.h"

typedef struct hit {
    uint32_t document; /* number in run->documents */
    uint32_t line;     /* of the file it came from; told in errors only */
    double score;
} hit;

typedef struct hit_list {
    hit *hits; /* [capacity], of which count are used, best first */
    size_t count;
    size_t capacity;
    size_t first; /* hits of the queries before this one */
} hit_list;

struct assay_run {
    char *tag;
    assay_string_map *queries;
    assay_string_map *documents;
    hit_list *lists; /* [capacity], one a query */
    size_t capacity;
    size_t count; /* hits of all queries */
};

static bool has_blank(const char *text)
{
    return text[strcspn(text, " \t\r\n\v\f")] != '\0';
}

assay_status assay_run_new(const char *tag, assay_run **out, assay_error *error)
{
    if (tag == NULL)
        tag = "assay";
    if (tag[0] == '\0' || has_blank(tag))
        return assay_fail(error, ASSAY_E_ARGUMENT, "tag",
                          "\"%s\": expected a name without spaces", tag);
    assay_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return assay_fail_memory(error, sizeof *run);
    run->tag = strdup(tag);
    run->queries = assay_string_map_new();
    run->documents = assay_string_map_new();
    if (run->tag == NULL || run->queries == NULL || run->documents == NULL) {
        assay_run_free(run);
        return assay_fail_memory(error, sizeof *run);
    }
    *out = run;
    return ASSAY_OK;
}

void assay_run_free(assay_run *run)
{
    if (run == NULL)
        return;
    for (uint32_t q = 0; run->lists != NULL && q < assay_string_map_count(run->queries); q++)
        free(run->lists[q].hits);
    free(run->lists);
    assay_string_map_free(run->queries);
    assay_string_map_free(run->documents);
    free(run->tag);
    free(run);
}

/* ------------------------------------------------------------------- order */

/* Below 0 when a stands before b. */
static int compare_hits(const void *a, const void *b, void *documents)
{
    const hit *left = a, *right = b;
    float left_score = (float)left->score, right_score = (float)right->score;
    if (left_score != right_score)
        return left_score > right_score ? -1 : 1;
    return strcmp(assay_string_map_key(documents, right->document),
                  assay_string_map_key(documents, left->document));
}

static bool in_order(const assay_run *run, const hit_list *list)
{
    for (size_t i = 1; i < list->count; i++)
        if (compare_hits(&list->hits[i - 1], &list->hits[i], run->documents) > 0)
            return false;
    return true;
}

/* ---------------------------------------------------------------- building */

/* Room for one more query, made before the query is, so that every query of the
 * map has a list. */
static assay_status reserve_list(assay_run *run, assay_error *error)
{
    size_t count = assay_string_map_count(run->queries);
    if (count < run->capacity)
        return ASSAY_OK;
    size_t capacity = count > 0 ? count * 2 : 16;
    hit_list *lists = realloc(run->lists, capacity * sizeof *lists);
    if (lists == NULL)
        return assay_fail_memory(error, capacity * sizeof *lists);
    run->lists = lists;
    run->capacity = capacity;
    return ASSAY_OK;
}

static assay_status query_list(assay_run *run, assay_text query, uint32_t *index,
                               assay_error *error)
{
    bool added;
    ASSAY_TRY(reserve_list(run, error));
    ASSAY_TRY(assay_string_map_add(run->queries, query.data, query.length, index, &added,
                                   error));
    if (added)
        run->lists[*index] = (hit_list){.first = run->count};
    return ASSAY_OK;
}

/* Puts a hit at the end of a list, whatever the order; `first` of the lists
 * behind it is left to the caller. */
static assay_status append_hit(assay_run *run, hit_list *list, hit new, assay_error *error)
{
    if (list->count == UINT32_MAX - 1)
        return assay_fail(error, ASSAY_E_LIMIT, NULL, "more than %u hits for one query",
                          UINT32_MAX - 1);
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
        hit *hits = realloc(list->hits, capacity * sizeof *hits);
        if (hits == NULL)
            return assay_fail_memory(error, capacity * sizeof *hits);
        list->hits = hits;
        list->capacity = capacity;
    }
    list->hits[list->count++] = new;
    run->count++;
    return ASSAY_OK;
}

/* Moves the last hit of a list to where it belongs; the others are in order. */
static void place_last(assay_run *run, hit_list *list)
{
    hit last = list->hits[list->count - 1];
    size_t low = 0, high = list->count - 1;
    if (high > 0 && compare_hits(&list->hits[high - 1], &last, run->documents) < 0)
        return;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_hits(&list->hits[middle], &last, run->documents) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&list->hits[low + 1], &list->hits[low],
            (list->count - 1 - low) * sizeof *list->hits);
    list->hits[low] = last;
}

assay_status assay_run_add(assay_run *run, const char *query, const char *document,
                           double score, assay_error *error)
{
    if (query[0] == '\0' || document[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, query[0] == '\0' ? "query" : "document",
                          "empty id");
    if (!isfinite(score))
        return assay_fail(error, ASSAY_E_ARGUMENT, "score",
                          "document \"%s\" of query \"%s\": %g is not finite", document, query,
                          score);
    uint32_t q;
    hit new = {.score = score};
    ASSAY_TRY(query_list(run, (assay_text){query, strlen(query)}, &q, error));
    ASSAY_TRY(assay_string_map_add(run->documents, document, strlen(document), &new.document,
                                   NULL, error));
    hit_list *list = &run->lists[q];
    for (size_t i = 0; i < list->count; i++)
        if (list->hits[i].document == new.document)
            return assay_fail(error, ASSAY_E_ARGUMENT, "document",
                              "\"%s\" is already among the hits of query \"%s\"", document,
                              query);
    ASSAY_TRY(append_hit(run, list, new, error));
    place_last(run, list);
    for (size_t behind = q + 1; behind < assay_string_map_count(run->queries); behind++)
        run->lists[behind].first++;
    return ASSAY_OK;
}

/* ----------------------------------------------------------------- reading */

enum { QUERY, ITERATION, DOCUMENT, RANK, SCORE, TAG, COLUMNS };

static assay_status read_line(assay_run *run, const assay_lines *lines, assay_text line,
                              assay_error *error)
{
    assay_text columns[COLUMNS];
    size_t count = assay_columns_blank(line, columns, COLUMNS);
    if (count != COLUMNS)
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "%zu columns; expected 6: query Q0 document rank score tag",
                                count);
    hit new = {.line = lines->number < UINT32_MAX ? (uint32_t)lines->number : UINT32_MAX};
    if (!assay_number_read(columns[SCORE].data, columns[SCORE].length, &new.score))
        return assay_lines_fail(lines, ASSAY_E_FORMAT, error,
                                "score (column 5) \"%.*s\" is not a finite number",
                                ASSAY_SHOWN(columns[SCORE]));
    uint32_t q;
    ASSAY_TRY(query_list(run, columns[QUERY], &q, error));
    ASSAY_TRY(assay_string_map_add(run->documents, columns[DOCUMENT].data,
                                   columns[DOCUMENT].length, &new.document, NULL, error));
    return append_hit(run, &run->lists[q], new, error);
}

/* Refuses a document that a query has twice. seen[document] is 1 + the last
 * query that had it. */
static assay_status check_repeats(const assay_run *run, assay_lines *lines, assay_error *error)
{
    size_t documents = assay_string_map_count(run->documents);
    uint32_t *seen = calloc(documents + 1, sizeof *seen);
    if (seen == NULL)
        return assay_fail_memory(error, documents * sizeof *seen);
    assay_status status = ASSAY_OK;
    for (uint32_t q = 0; q < assay_string_map_count(run->queries); q++) {
        const hit_list *list = &run->lists[q];
        for (size_t i = 0; i < list->count && status == ASSAY_OK; i++) {
            uint32_t *last = &seen[list->hits[i].document];
            if (*last == q + 1) {
                lines->number = list->hits[i].line;
                status = assay_lines_fail(
                    lines, ASSAY_E_FORMAT, error,
                    "document \"%.150s\" is there twice for query \"%.150s\"; expected once",
                    assay_string_map_key(run->documents, list->hits[i].document),
                    assay_string_map_key(run->queries, q));
            }
            *last = q + 1;
        }
    }
    free(seen);
    return status;
}

/* Brings what was appended into order. */
static void settle(assay_run *run)
{
    size_t first = 0;
    for (uint32_t q = 0; q < assay_string_map_count(run->queries); q++) {
        hit_list *list = &run->lists[q];
        list->first = first;
        first += list->count;
        if (!in_order(run, list))
            qsort_r(list->hits, list->count, sizeof *list->hits, compare_hits, run->documents);
    }
}

assay_status assay_run_parse(const char *data, size_t length, const char *name,
                             assay_run **out, assay_error *error)
{
    assay_lines lines;
    assay_text line;
    assay_run *run = NULL;
    assay_status status;
    ASSAY_TRY(assay_run_new(NULL, &run, error));
    assay_lines_start(&lines, data, length, name);
    while (assay_lines_next(&lines, &line, &status, error))
        if ((status = read_line(run, &lines, line, error)) != ASSAY_OK)
            break;
    if (status == ASSAY_OK)
        status = check_repeats(run, &lines, error);
    if (status != ASSAY_OK) {
        assay_run_free(run);
        return status;
    }
    settle(run);
    *out = run;
    return ASSAY_OK;
}

assay_status assay_run_read(const char *path, assay_run **out, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, ASSAY_LINES_LIMIT);
    assay_status status = assay_file_read(path, &text, error);
    if (status == ASSAY_OK)
        status = assay_run_parse(text.data, text.length, path, out, error);
    assay_buffer_free(&text);
    return status;
}

/* ----------------------------------------------------------------- writing */

static assay_status check_ids(const assay_string_map *ids, const char *kind, assay_error *error)
{
    for (uint32_t i = 0; i < assay_string_map_count(ids); i++)
        if (has_blank(assay_string_map_key(ids, i)))
            return assay_fail(error, ASSAY_E_ARGUMENT, kind,
                              "id \"%s\" holds a space, which a TREC run cannot",
                              assay_string_map_key(ids, i));
    return ASSAY_OK;
}

static void write_entries(const assay_run *run, FILE *stream)
{
    for (size_t i = 0; i < run->count && !ferror(stream); i++) {
        assay_run_entry entry = assay_run_at(run, i);
        char score[ASSAY_NUMBER_SIZE];
        assay_number_write(score, entry.score);
        fprintf(stream, "%s Q0 %s %u %s %s\n", entry.query, entry.document, entry.rank, score,
                run->tag);
    }
}

assay_status assay_run_write(const assay_run *run, const char *path, assay_error *error)
{
    ASSAY_TRY(check_ids(run->queries, "query", error));
    ASSAY_TRY(check_ids(run->documents, "document", error));
    if (strcmp(path, "-") == 0) {
        write_entries(run, stdout);
        if (fflush(stdout) != 0 || ferror(stdout))
            return assay_fail(error, ASSAY_E_IO, "standard output", "cannot write");
        return ASSAY_OK;
    }
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, error));
    write_entries(run, file.stream);
    return assay_new_file_commit(&file, error);
}

/* ----------------------------------------------------------------- looking */

size_t assay_run_count(const assay_run *run)
{
    return run->count;
}

/* The query whose list holds entry i: the last one that starts at or before it.
 * (A list is never empty, unless adding its first hit failed.) */
static uint32_t query_of(const assay_run *run, size_t i)
{
    uint32_t low = 0, high = assay_string_map_count(run->queries);
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->lists[middle].first <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

assay_run_entry assay_run_at(const assay_run *run, size_t i)
{
    if (i >= run->count)
        return (assay_run_entry){0};
    uint32_t q = query_of(run, i);
    const hit_list *list = &run->lists[q];
    const hit *found = &list->hits[i - list->first];
    return (assay_run_entry){.query = assay_string_map_key(run->queries, q),
                             .document = assay_string_map_key(run->documents, found->document),
                             .rank = (uint32_t)(i - list->first + 1),
                             .score = found->score};
}

void assay_run_find(const assay_run *run, const char *query, size_t *first, size_t *count)
{
    uint32_t q;
    *first = *count = 0;
    if (!assay_string_map_find(run->queries, query, strlen(query), &q))
        return;
    *first = run->lists[q].first;
    *count = run->lists[q].count;
}
