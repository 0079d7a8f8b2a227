/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples_build.c: see examples_build.h.
 *
 * Labels come in the order of the files, where a query's may lie far apart (triples).
 * At the end they are sorted to their examples, the relevant first; a passage that one
 * query has twice counts once, as relevant if it was so once.
 */
#include "learn/examples_build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/words.h"

#define TEXT_LIMIT ((size_t)1 << 30)

assay_status assay_builder_start(assay_examples_builder *b, assay_examples *out,
                                 const assay_examples_options *options, assay_error *error)
{
    *out = (assay_examples){.passages = assay_string_map_new(), .strings = assay_arena_new(0)};
    *b = (assay_examples_builder){
        .out = out, .options = options, .queries = assay_string_map_new()};
    assay_buffer_init(&b->text, TEXT_LIMIT);
    if (out->passages == NULL || out->strings == NULL || b->queries == NULL)
        return assay_fail_memory(error, 4096);
    return ASSAY_OK;
}

void assay_builder_free(assay_examples_builder *b)
{
    assay_string_map_free(b->queries);
    assay_buffer_free(&b->text);
}

void assay_examples_free(assay_examples *examples)
{
    if (examples == NULL)
        return;
    free(examples->list);
    free(examples->labelled);
    assay_string_map_free(examples->passages);
    assay_arena_free(examples->strings);
    *examples = (assay_examples){0};
}

/* ------------------------------------------------------------------- telling */

static assay_status tell(assay_examples_builder *b, const assay_error *problem,
                         assay_error *error)
{
    assay_progress progress = {.phase = ASSAY_PHASE_EXAMPLES,
                               .done = b->done,
                               .total = b->total,
                               .problem = problem};
    if (b->options->progress != NULL && !b->options->progress(&progress, b->options->user))
        return assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return ASSAY_OK;
}

assay_status assay_builder_problem(assay_examples_builder *b, const assay_error *problem,
                                   assay_error *error)
{
    return tell(b, problem, error);
}

assay_status assay_builder_progress(assay_examples_builder *b, uint64_t done,
                                    assay_error *error)
{
    b->done = done;
    return tell(b, NULL, error);
}

/* -------------------------------------------------------------------- adding */

/* Room in an array for one element more. */
static assay_status reserve(void **array, size_t *capacity, size_t count, size_t size,
                            assay_error *error)
{
    if (count < *capacity)
        return ASSAY_OK;
    size_t more = *capacity > 0 ? *capacity * 2 : 64;
    void *grown = realloc(*array, more * size);
    if (grown == NULL)
        return assay_fail_memory(error, more * size);
    *array = grown;
    *capacity = more;
    return ASSAY_OK;
}

assay_status assay_builder_query(assay_examples_builder *b, const char *id, assay_text query,
                                 uint64_t line, uint32_t *example, assay_error *error)
{
    assay_examples *out = b->out;
    bool added;
    assay_buffer_clear(&b->text);
    assay_buffer_string(&b->text, id);
    assay_buffer_byte(&b->text, '\0'); /* which neither holds */
    assay_buffer_append(&b->text, query.data, query.length);
    ASSAY_TRY(assay_buffer_status(&b->text, id, error));
    ASSAY_TRY(assay_string_map_add(b->queries, b->text.data, b->text.length, example, &added,
                                   error));
    if (!added)
        return ASSAY_OK;
    void *list = out->list;
    assay_status status = reserve(&list, &b->capacity, out->count, sizeof *out->list, error);
    out->list = list;
    ASSAY_TRY(status);
    const char *key = assay_string_map_key(b->queries, *example);
    const char *name = assay_arena_copy(out->strings, key, strlen(id));
    const char *text = assay_arena_copy(out->strings, query.data, query.length);
    if (name == NULL || text == NULL)
        return assay_fail_memory(error, query.length);
    out->list[out->count++] = (assay_example){.id = name, .query = text, .line = line};
    return ASSAY_OK;
}

assay_status assay_builder_passage(assay_examples_builder *b, const char *title,
                                   const char *heading, assay_text text, uint32_t *number, bool *blank, assay_error *error)
{
    assay_buffer_clear(&b->text);
    assay_passage_context(b->options->style, title, heading, text, &b->text);
    ASSAY_TRY(assay_buffer_status(&b->text, NULL, error));
    *blank = assay_words_none((assay_text){b->text.data, b->text.length});
    if (*blank)
        return ASSAY_OK;
    return assay_string_map_add(b->out->passages, b->text.data, b->text.length, number, NULL,
                                error);
}

assay_status assay_builder_label(assay_examples_builder *b, assay_labelled labelled,
                                 assay_error *error)
{
    assay_examples *out = b->out;
    void *array = out->labelled;
    assay_status status = reserve(&array, &b->labelled_capacity, out->labelled_count,
                                  sizeof *out->labelled, error);
    out->labelled = array;
    ASSAY_TRY(status);
    out->labelled[out->labelled_count++] = labelled;
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ finishing */

/* By example, the relevant first, then by text; what was said of a text most in its
 * favour first. */
static int by_example_and_text(const void *left, const void *right)
{
    const assay_labelled *a = left, *b = right;
    if (a->example != b->example)
        return a->example < b->example ? -1 : 1;
    if (a->text != b->text)
        return a->text < b->text ? -1 : 1;
    if (a->grade != b->grade)
        return a->grade > b->grade ? -1 : 1;
    bool taught = !isnan(a->teacher), taught_b = !isnan(b->teacher);
    if (!taught || !taught_b)
        return taught_b - taught;
    return (a->teacher < b->teacher) - (a->teacher > b->teacher);
}

static int by_relevance(const void *left, const void *right)
{
    const assay_labelled *a = left, *b = right;
    if ((a->grade > 0) != (b->grade > 0))
        return a->grade > 0 ? -1 : 1;
    return (a->text > b->text) - (a->text < b->text);
}

static void drop_repeated(assay_examples *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < out->labelled_count; i++) {
        const assay_labelled *last = kept > 0 ? &out->labelled[kept - 1] : NULL;
        if (last == NULL || last->example != out->labelled[i].example ||
            last->text != out->labelled[i].text)
            out->labelled[kept++] = out->labelled[i];
    }
    out->labelled_count = kept;
}

/* Gives each example its labels; the order of examples stays. */
static void share_out(assay_examples *out)
{
    for (size_t i = 0; i < out->labelled_count;) {
        assay_example *example = &out->list[out->labelled[i].example];
        size_t end = i;
        for (; end < out->labelled_count && out->labelled[end].example == out->labelled[i].example;
             end++)
            example->positives += out->labelled[end].grade > 0;
        qsort(out->labelled + i, end - i, sizeof *out->labelled, by_relevance);
        example->first = i;
        example->count = (uint32_t)(end - i);
        i = end;
    }
}

static void count_up(assay_examples *out)
{
    assay_example_counts *c = &out->counts;
    size_t kept = 0;
    out->taught = true;
    for (size_t i = 0; i < out->count; i++) {
        const assay_example *e = &out->list[i];
        if (e->positives == 0) {
            c->without_positive++;
            continue;
        }
        c->without_negative += e->count == e->positives;
        c->positives += e->positives;
        c->negatives += e->count - e->positives;
        for (size_t k = 0; k < e->count; k++)
            out->taught = out->taught && !isnan(out->labelled[e->first + k].teacher);
        out->list[kept++] = *e;
    }
    out->count = kept;
    c->queries = kept;
    c->passages = assay_string_map_count(out->passages);
}

assay_status assay_builder_finish(assay_examples_builder *b, const char *name,
                                  assay_error *error)
{
    assay_examples *out = b->out;
    if (out->labelled_count > 0)
        qsort(out->labelled, out->labelled_count, sizeof *out->labelled, by_example_and_text);
    drop_repeated(out);
    share_out(out);
    count_up(out);
    if (out->count == 0)
        return assay_fail(error, ASSAY_E_FORMAT, name,
                          "nothing to learn from: no query has a relevant passage (%llu have "
                          "none, %llu lines or judgments are no good)",
                          (unsigned long long)out->counts.without_positive,
                          (unsigned long long)(out->counts.bad_lines +
                                               out->counts.missing_documents +
                                               out->counts.missing_queries));
    return ASSAY_OK;
}
