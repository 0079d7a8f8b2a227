/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth_folder.c: what assay_synth leaves: queries.jsonl and qrels/train.tsv as in a BEIR
 * folder (Thakur et al. 2021), the documents staying in the collection, and synth.json,
 * which says in which, and how the queries came about:
 *
 *   {"collection", "kinds": ["question"], "passages", "each", "within", "seed", "model",
 *    "examples", "version", "report": {...}}
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "learn/synth.h"

#define COUNT(name, field) {name, offsetof(assay_synth_report, field)}
const assay_synth_count assay_synth_counts[] = {
    COUNT("queries", queries),       COUNT("passages", passages),
    COUNT("unusable", unusable),     COUNT("written", written),
    COUNT("malformed", malformed),   COUNT("pointing", pointing),
    COUNT("copied", copied),         COUNT("duplicates", duplicates),
    COUNT("lost", lost),             COUNT("requests", llm.requests),
    COUNT("cached", llm.cached),     COUNT("retries", llm.retries),
    COUNT("input_tokens", llm.input_tokens), COUNT("output_tokens", llm.output_tokens),
    COUNT("ok", llm.ok),             COUNT("repaired", llm.repaired),
    COUNT("failed", llm.failed),     COUNT("cut", llm.cut),
};
const size_t assay_synth_count_count = sizeof assay_synth_counts / sizeof *assay_synth_counts;

const char *assay_query_kind_name(assay_query_kind kind)
{
    static const char *const names[] = {
        [ASSAY_QUERY_QUESTION] = "question",
        [ASSAY_QUERY_CLAIM] = "claim",
        [ASSAY_QUERY_KEYWORDS] = "keywords",
        [ASSAY_QUERY_SENTENCE] = "sentence",
    };
    return (unsigned)kind < ASSAY_QUERY_KINDS ? names[kind] : "";
}

/* ------------------------------------------------------------------------- claim */

static bool holds(const char *folder, const char *name)
{
    char path[4096];
    return assay_path_join(path, sizeof path, folder, name, NULL) == ASSAY_OK &&
           assay_is_file(path);
}

assay_status assay_synth_claim(const char *folder, assay_error *error)
{
    char path[4096];
    if (!holds(folder, "synth.json") &&
        (holds(folder, "queries.jsonl") || holds(folder, "corpus.jsonl") ||
         holds(folder, "qrels/train.tsv")))
        return assay_fail(error, ASSAY_E_ARGUMENT, folder,
                          "holds queries or documents that were not made by this; expected an "
                          "empty folder, or none");
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "qrels", error));
    return assay_folder_make(path, error);
}

/* ------------------------------------------------------------------------- files */

static assay_status write_json(assay_new_file *file, json_t *object, size_t flags,
                               assay_error *error)
{
    char *text = object != NULL ? json_dumps(object, flags) : NULL;
    json_decref(object);
    if (text == NULL)
        return assay_fail_memory(error, 1024);
    size_t length = strlen(text);
    text[length] = '\n';
    assay_status status = assay_new_file_write(file, text, length + 1, error);
    free(text);
    return status;
}

static assay_status write_query(assay_new_file *file, size_t number, const assay_synth_query *q,
                                assay_error *error)
{
    char id[32];
    snprintf(id, sizeof id, "s%zu", number);
    return write_json(file,
                      json_pack("{s:s, s:s, s:{s:s, s:I}}", "_id", id, "text", q->text, "metadata",
                                "kind", assay_query_kind_name(q->kind), "passage",
                                (json_int_t)q->passage),
                      JSON_COMPACT, error);
}

static assay_status write_judgment(assay_new_file *file, size_t number,
                                   const assay_synth_query *q, assay_error *error)
{
    assay_buffer line;
    assay_buffer_init(&line, 0);
    if (number == 1)
        assay_buffer_string(&line, "query-id\tcorpus-id\tscore\n");
    assay_buffer_format(&line, "s%zu\t%s\t1\n", number, q->document);
    assay_status status = assay_buffer_status(&line, "qrels", error);
    if (status == ASSAY_OK)
        status = assay_new_file_write(file, line.data, line.length, error);
    assay_buffer_free(&line);
    return status;
}

typedef assay_status (*write_fn)(assay_new_file *file, size_t number,
                                 const assay_synth_query *query, assay_error *error);

static assay_status write_lines(const char *folder, const char *name, write_fn write,
                                const assay_synth_query *queries, size_t count,
                                assay_error *error)
{
    char path[4096];
    assay_new_file file;
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, name, error));
    ASSAY_TRY(assay_new_file_open(path, &file, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < count && status == ASSAY_OK; i++)
        status = write(&file, i + 1, &queries[i], error);
    if (status == ASSAY_OK)
        return assay_new_file_commit(&file, error);
    assay_new_file_abort(&file);
    return status;
}

static json_t *json_of(const char *collection, const assay_synth_options *o,
                       const assay_synth_report *report)
{
    json_t *kinds = json_array(), *counts = json_object();
    for (unsigned kind = 0; kind < ASSAY_QUERY_KINDS; kind++)
        if (o->kinds >> kind & 1)
            json_array_append_new(kinds, json_string(assay_query_kind_name(kind)));
    for (size_t i = 0; i < assay_synth_count_count; i++) {
        const void *field = (const char *)report + assay_synth_counts[i].offset;
        json_object_set_new(counts, assay_synth_counts[i].name,
                            json_integer((json_int_t) * (const uint64_t *)field));
    }
    json_object_set_new(counts, "cost", json_real(report->llm.cost));
    const char *model = o->llm != NULL ? o->llm->model : NULL;
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:s*, s:s*, s:s, s:o}", "collection", collection,
                     "kinds", kinds, "passages", (json_int_t)o->passages, "each",
                     (json_int_t)o->each, "within", (json_int_t)o->within.value, "seed",
                     (json_int_t)o->seed, "model", model, "examples", o->examples, "version",
                     ASSAY_VERSION, "report", counts);
}

assay_status assay_synth_write(const char *folder, const char *collection,
                               const assay_synth_options *options,
                               const assay_synth_query *queries, size_t count,
                               const assay_synth_report *report, assay_error *error)
{
    char path[4096];
    assay_new_file file;
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "synth.json", error));
    ASSAY_TRY(assay_new_file_open(path, &file, error));
    assay_status status = write_json(&file, json_of(collection, options, report),
                                     JSON_INDENT(1), error);
    if (status != ASSAY_OK) {
        assay_new_file_abort(&file);
        return status;
    }
    ASSAY_TRY(assay_new_file_commit(&file, error));
    ASSAY_TRY(write_lines(folder, "queries.jsonl", write_query, queries, count, error));
    return write_lines(folder, "qrels/train.tsv", write_judgment, queries, count, error);
}
