/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples_beir.c: examples out of a BEIR folder (Thakur et al. 2021): corpus.jsonl,
 * queries.jsonl and qrels/SPLIT.tsv.
 *
 * Every document is kept, since negatives may be drawn from all. Judgments above 0 are
 * positives, others negatives. Judgments of documents or queries that are not there are
 * told, the first of them each by itself, and counted.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "evaluate/qrels.h"
#include "learn/examples_build.h"
#include "text/reader.h"

enum { TOLD = 20, PROGRESS_DOCUMENTS = 256 };

#define BLANK UINT32_MAX /* text number of a document without text */

typedef struct folder {
    assay_examples_builder *builder;
    char corpus[4096], queries_path[4096], qrels_path[4096];
    assay_string_map *documents; /* ids */
    uint32_t *texts;             /* [capacity] by number of id */
    size_t capacity;
    assay_queries queries;
    assay_string_map *query_ids; /* in the order of queries */
    assay_qrels *qrels;
    uint64_t told;
} folder;

static assay_status problem(folder *f, const char *where, const char *format, const char *query,
                            const char *document, assay_error *error)
{
    assay_error reason;
    if (f->told++ >= TOLD)
        return ASSAY_OK;
    char message[400];
    snprintf(message, sizeof message, format, query, document);
    assay_fail(&reason, ASSAY_E_NOT_FOUND, where, "%s", message);
    return assay_builder_problem(f->builder, &reason, error);
}

/* ------------------------------------------------------------------- documents */

static assay_status keep_document(folder *f, const assay_document *document, assay_error *error)
{
    uint32_t number;
    bool added, blank;
    ASSAY_TRY(assay_string_map_add(f->documents, document->id, strlen(document->id), &number,
                                   &added, error));
    if (number >= f->capacity) {
        size_t capacity = f->capacity > 0 ? f->capacity * 2 : 1024;
        uint32_t *texts = realloc(f->texts, capacity * sizeof *texts);
        if (texts == NULL)
            return assay_fail_memory(error, capacity * sizeof *texts);
        f->texts = texts;
        f->capacity = capacity;
    }
    ASSAY_TRY(assay_builder_passage(f->builder, document->title, "", document->text,
                                    &f->texts[number], &blank, error));
    if (blank) {
        f->texts[number] = BLANK;
        f->builder->out->counts.empty++;
    }
    return ASSAY_OK;
}

static assay_status read_documents(folder *f, assay_reader *reader, assay_error *error)
{
    assay_document document;
    assay_error reason;
    uint64_t seen = 0, done;
    for (;;) {
        assay_reading reading = assay_reader_next(reader, &document, &reason);
        if (reading == ASSAY_READ_END)
            return ASSAY_OK;
        if (reading == ASSAY_READ_FAILURE) {
            f->builder->out->counts.bad_lines++;
            ASSAY_TRY(assay_builder_problem(f->builder, &reason, error));
            continue;
        }
        ASSAY_TRY(keep_document(f, &document, error));
        if (++seen % PROGRESS_DOCUMENTS == 0) {
            assay_reader_progress(reader, &done, &f->builder->total);
            ASSAY_TRY(assay_builder_progress(f->builder, done, error));
        }
    }
}

static assay_status read_corpus(folder *f, assay_error *error)
{
    const char *path = f->corpus;
    assay_reader *reader;
    ASSAY_TRY(assay_reader_open(&path, 1, &(assay_reader_options){0}, &reader, error));
    assay_status status = read_documents(f, reader, error);
    assay_reader_close(reader);
    return status;
}

/* ------------------------------------------------------------------- judgments */

static assay_status read_queries(folder *f, assay_error *error)
{
    ASSAY_TRY(assay_queries_read(f->queries_path, &f->queries, error));
    for (size_t i = 0; i < f->queries.count; i++) {
        uint32_t number;
        ASSAY_TRY(assay_string_map_add(f->query_ids, f->queries.ids[i],
                                       strlen(f->queries.ids[i]), &number, NULL, error));
    }
    return ASSAY_OK;
}

static assay_status add_judgment(folder *f, uint32_t example, const char *query,
                                 const char *document, int32_t grade, assay_error *error)
{
    assay_example_counts *counts = &f->builder->out->counts;
    uint32_t number;
    if (!assay_string_map_find(f->documents, document, strlen(document), &number)) {
        counts->missing_documents++;
        return problem(f, f->qrels_path,
                       "query \"%.100s\": document \"%.100s\" is not in the corpus", query,
                       document, error);
    }
    if (f->texts[number] == BLANK)
        return problem(f, f->qrels_path, "query \"%.100s\": document \"%.100s\" has no text",
                       query, document, error);
    return assay_builder_label(f->builder,
                               (assay_labelled){.text = f->texts[number],
                                                .grade = grade > 0 ? grade : 0,
                                                .teacher = NAN,
                                                .example = example},
                               error);
}

static assay_status read_judgments_of(folder *f, size_t q, assay_error *error)
{
    const char *id = assay_qrels_query(f->qrels, q);
    uint32_t place, example;
    if (!assay_string_map_find(f->query_ids, id, strlen(id), &place)) {
        f->builder->out->counts.missing_queries++;
        return problem(f, f->qrels_path, "query \"%.100s\" is not in %.200s", id, f->queries_path,
                       error);
    }
    ASSAY_TRY(assay_builder_query(f->builder, id, f->queries.texts[place], 0, &example, error));
    for (size_t k = 0; k < assay_qrels_depth(f->qrels, q); k++)
        ASSAY_TRY(add_judgment(f, example, id, assay_qrels_document_at(f->qrels, q, k),
                               assay_qrels_grade_at(f->qrels, q, k), error));
    return ASSAY_OK;
}

static assay_status read_judgments(folder *f, assay_error *error)
{
    ASSAY_TRY(assay_qrels_read(f->qrels_path, &f->qrels, error));
    for (size_t q = 0; q < assay_qrels_queries(f->qrels); q++)
        ASSAY_TRY(read_judgments_of(f, q, error));
    if (f->told > TOLD) {
        char more[32];
        snprintf(more, sizeof more, "%llu", (unsigned long long)(f->told - TOLD));
        f->told = 0;
        ASSAY_TRY(problem(f, f->qrels_path, "and %s more judgments like these%s", more, "",
                          error));
    }
    return ASSAY_OK;
}

/* ------------------------------------------------------------------- the whole */

static assay_status find_files(folder *f, const char *path, const char *split,
                               assay_error *error)
{
    char name[256];
    if (strchr(split, '/') != NULL || strlen(split) > 100)
        return assay_fail(error, ASSAY_E_ARGUMENT, "split", "expected a name such as train");
    snprintf(name, sizeof name, "qrels/%s.tsv", split);
    ASSAY_TRY(assay_path_join(f->corpus, sizeof f->corpus, path, "corpus.jsonl", error));
    ASSAY_TRY(assay_path_join(f->queries_path, sizeof f->queries_path, path, "queries.jsonl",
                              error));
    ASSAY_TRY(assay_path_join(f->qrels_path, sizeof f->qrels_path, path, name, error));
    const char *const needed[] = {f->corpus, f->queries_path, f->qrels_path};
    for (size_t i = 0; i < 3; i++)
        if (!assay_is_file(needed[i]))
            return assay_fail(error, ASSAY_E_NOT_FOUND, needed[i],
                              "does not exist; a BEIR folder has corpus.jsonl, queries.jsonl and "
                              "qrels/%s.tsv", split);
    return ASSAY_OK;
}

static assay_status read_all(folder *f, const char *path, assay_error *error)
{
    const char *split = f->builder->options->split;
    ASSAY_TRY(find_files(f, path, split != NULL ? split : "train", error));
    f->documents = assay_string_map_new();
    f->query_ids = assay_string_map_new();
    if (f->documents == NULL || f->query_ids == NULL)
        return assay_fail_memory(error, 4096);
    ASSAY_TRY(read_corpus(f, error));
    ASSAY_TRY(read_queries(f, error));
    ASSAY_TRY(read_judgments(f, error));
    return assay_builder_finish(f->builder, f->qrels_path, error);
}

assay_status assay_examples_read_folder(assay_examples_builder *builder, const char *path,
                                        assay_error *error)
{
    folder *f = calloc(1, sizeof *f);
    if (f == NULL)
        return assay_fail_memory(error, sizeof *f);
    f->builder = builder;
    assay_status status = read_all(f, path, error);
    assay_qrels_free(f->qrels);
    assay_queries_free(&f->queries);
    assay_string_map_free(f->query_ids);
    assay_string_map_free(f->documents);
    free(f->texts);
    free(f);
    return status;
}
