/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth.c: queries for passages that nobody asked about.
 *
 * Passages are drawn in an order that the seed decides. A language model writes queries for
 * some at a time, or sentences are taken out of them; synth_filter.c says which are fit, and
 * of those are kept the ones that find their document again. Lines are appended to
 * OUTPUT/synth.<settings>.part: the queries that were kept, and after each batch one with
 * what everything has come to, up to which an interrupted call is taken up. What the model
 * was paid for lies in the score cache as well, so that the batch that was lost costs
 * nothing again.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/random.h"
#include "learn/cut_query.h"
#include "learn/passage_list.h"
#include "learn/synth.h"
#include "pipeline/llm_cache.h"
#include "pipeline/pipeline.h"
#include "pipeline/words.h"
#include "text/context.h"

enum { SENTENCE_BATCH = 64, MOST_EACH = 100, HOPELESS = 32 };

typedef struct synthesis {
    assay_store *store;
    const char *collection_name, *output;
    assay_synth_options options; /* in force */
    assay_progress_fn progress;
    void *user;
    assay_synth_report *report;

    assay_collection collection;
    assay_pipeline *pipeline;
    assay_passage_list all;
    uint32_t *order; /* [all.count] as drawn */
    size_t draw;     /* the next */
    assay_query_kind kinds[ASSAY_QUERY_KINDS];
    size_t kind_count;
    assay_llm *llm;  /* NULL: sentences */
    assay_synth_examples examples; /* in kept_texts */
    assay_llm_answers answers;
    assay_error first; /* why the first request without a query had none */

    assay_string_map *seen;
    assay_arena *kept_texts;
    assay_synth_query *kept; /* [report->queries] */
    size_t capacity;

    char *part;
    int lock; /* on it */
    FILE *stream;

    /* The batch at hand: */
    assay_arena *arena;
    assay_passage_view *views; /* [batch] */
    assay_llm_wish *wishes;    /* [batch] */
    size_t batch, count;
} synthesis;

/* -------------------------------------------------------------------------- queries */

static assay_status keep(synthesis *s, assay_query_kind kind, uint64_t passage,
                         const char *document, assay_text text, assay_error *error)
{
    size_t count = s->report->queries;
    if (count == s->capacity) {
        size_t more = s->capacity > 0 ? s->capacity * 2 : 1024;
        assay_synth_query *grown = realloc(s->kept, more * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, more * sizeof *grown);
        s->kept = grown;
        s->capacity = more;
    }
    s->kept[count] = (assay_synth_query){
        .kind = kind,
        .passage = passage,
        .document = assay_arena_copy(s->kept_texts, document, strlen(document)),
        .text = assay_arena_copy(s->kept_texts, text.data, text.length),
    };
    if (s->kept[count].document == NULL || s->kept[count].text == NULL)
        return assay_fail_memory(error, text.length);
    s->report->queries++;
    return assay_synth_remember(s->seen, text, error);
}

/* Whether the query finds the document again. One that cannot be searched for does not. */
static assay_status finds(synthesis *s, assay_text query, const char *document, bool *out,
                          assay_error *error)
{
    assay_result result;
    assay_error reason;
    uint32_t within = (uint32_t)s->options.within.value;
    *out = within == 0;
    if (within == 0)
        return ASSAY_OK;
    assay_status status = assay_search(s->pipeline, query, within, &result, &reason);
    if (status == ASSAY_E_ARGUMENT || status == ASSAY_E_LIMIT || status == ASSAY_E_FORMAT)
        return ASSAY_OK;
    if (status != ASSAY_OK)
        return assay_fail(error, status, reason.where, "%s", reason.message);
    for (size_t i = 0; i < result.count && !*out; i++)
        *out = strcmp(result.hits[i].document, document) == 0;
    assay_result_free(&result);
    return ASSAY_OK;
}

static assay_status sift(synthesis *s, const assay_passage_view *view, const assay_llm_wish *wish,
                         assay_error *error)
{
    s->report->written += wish->count;
    for (size_t i = 0; i < wish->count; i++) {
        assay_text query = wish->queries[i];
        bool found;
        if (!assay_synth_fit(wish->kind, query, view->text, s->seen, s->report))
            continue;
        ASSAY_TRY(finds(s, query, view->id, &found, error));
        s->report->lost += !found;
        if (found)
            ASSAY_TRY(keep(s, wish->kind, view->passage, view->id, query, error));
    }
    return ASSAY_OK;
}

/* -------------------------------------------------------------------------- passages */

/* Of enough words, and with a name that a file of judgments can hold. */
static bool usable(const assay_passage_view *view)
{
    return assay_words_count(view->text) >= ASSAY_FEWEST_WORDS &&
           view->id[strcspn(view->id, "\t\r\n")] == '\0';
}

static assay_status context_of(synthesis *s, const assay_passage_view *view, assay_text *out,
                               assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, 0);
    assay_passage_context(ASSAY_CONTEXT_SENTENCES, view->title, view->heading, view->text, &text);
    assay_status status = assay_buffer_status(&text, view->id, error);
    if (status == ASSAY_OK) {
        *out = (assay_text){assay_arena_copy(s->arena, text.data, text.length), text.length};
        if (out->data == NULL)
            status = assay_fail_memory(error, text.length);
    }
    assay_buffer_free(&text);
    return status;
}

/* Takes the next passage drawn into the batch, if it is of use. */
static assay_status draw_one(synthesis *s, assay_error *error)
{
    uint64_t key = s->all.keys[s->order[s->draw++]];
    assay_passage_view *view = &s->views[s->count];
    assay_llm_wish *wish = &s->wishes[s->count];
    assay_status status = assay_passage_get(s->store, key, s->arena, view, error);
    if (status == ASSAY_E_NOT_FOUND)
        return ASSAY_OK;
    ASSAY_TRY(status);
    *wish = (assay_llm_wish){.kind = s->kinds[(s->report->passages + s->count) % s->kind_count]};
    bool fine = usable(view);
    if (fine && s->llm == NULL) {
        uint64_t state = assay_random_stream(s->options.seed, key);
        wish->queries = assay_arena_small(s->arena, s->options.each * sizeof *wish->queries);
        if (wish->queries == NULL)
            return assay_fail_memory(error, s->options.each * sizeof *wish->queries);
        ASSAY_TRY(assay_sentence_queries(view->text, s->options.each, &state, s->arena,
                                         wish->queries, &wish->count, error));
        fine = wish->count > 0;
    } else if (fine) {
        ASSAY_TRY(context_of(s, view, &wish->passage, error));
    }
    s->report->unusable += !fine;
    s->count += fine;
    return ASSAY_OK;
}

static bool finished(const synthesis *s)
{
    return s->report->passages >= s->options.passages || s->draw >= s->all.count;
}

static assay_status draw_batch(synthesis *s, assay_error *error)
{
    assay_arena_reset(s->arena);
    s->count = 0;
    while (s->count < s->batch && s->draw < s->all.count &&
           s->report->passages + s->count < s->options.passages)
        ASSAY_TRY(draw_one(s, error));
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ the language model */

/* An API that answers nothing ends the call, before more is asked; so does a model that
 * has said nothing of use so often. */
static assay_status check_answers(synthesis *s, assay_error *error)
{
    size_t failed = 0;
    bool network = false;
    for (size_t i = 0; i < s->count; i++) {
        failed += s->wishes[i].status != ASSAY_OK;
        network = network || s->wishes[i].status == ASSAY_E_NETWORK;
        if (s->wishes[i].status != ASSAY_OK && s->first.code == ASSAY_OK)
            s->first = s->wishes[i].error;
    }
    bool none = failed == s->count && s->count > 0;
    if (none && network)
        return assay_fail(error, ASSAY_E_NETWORK, s->first.where,
                          "%s; what was kept until now is there, and the same call goes on",
                          s->first.message);
    const assay_llm_usage *u = &s->report->llm;
    if (none && u->ok + u->repaired == 0 && s->report->passages + s->count >= HOPELESS)
        return assay_fail(error, ASSAY_E_FORMAT, s->first.where,
                          "no query in %llu answers of the model; the first: %s",
                          (unsigned long long)(s->report->passages + s->count), s->first.message);
    return ASSAY_OK;
}

static assay_status write_queries(synthesis *s, assay_error *error)
{
    if (s->llm == NULL || s->count == 0)
        return ASSAY_OK;
    const assay_llm_cache cache = assay_llm_answers_cache(&s->answers);
    ASSAY_TRY(assay_llm_write(s->llm, &cache, s->options.each, s->examples.list,
                              s->examples.count, s->wishes, s->count, s->arena,
                              &s->report->llm, error));
    return check_answers(s, error);
}

/* ---------------------------------------------------------------------- the part file */

static uint64_t *count_at(assay_synth_report *report, size_t i)
{
    return (uint64_t *)(void *)((char *)report + assay_synth_counts[i].offset);
}

static assay_status append_line(synthesis *s, json_t *object, assay_error *error)
{
    bool failed = object == NULL ||
                  json_dumpf(object, s->stream, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0 ||
                  fputc('\n', s->stream) == EOF;
    int reason = errno;
    json_decref(object);
    return failed ? assay_fail_errno(error, reason, s->part, "cannot write") : ASSAY_OK;
}

/* Appends the queries from `from` on, and what all has come to. */
static assay_status append_batch(synthesis *s, size_t from, assay_error *error)
{
    for (size_t i = from; i < s->report->queries; i++) {
        const assay_synth_query *q = &s->kept[i];
        ASSAY_TRY(append_line(s, json_pack("{s:i, s:I, s:s, s:s}", "kind", (int)q->kind,
                                           "passage", (json_int_t)q->passage, "document",
                                           q->document, "text", q->text),
                              error));
    }
    json_t *totals = json_pack("{s:I, s:f}", "draw", (json_int_t)s->draw, "cost",
                               s->report->llm.cost);
    for (size_t i = 0; i < assay_synth_count_count; i++)
        json_object_set_new(totals, assay_synth_counts[i].name,
                            json_integer((json_int_t)*count_at(s->report, i)));
    ASSAY_TRY(append_line(s, totals, error));
    return fflush(s->stream) == 0 ? ASSAY_OK
                                  : assay_fail_errno(error, errno, s->part, "cannot write");
}

/* A line of the part file. *whole: it is one of totals. False: it is none of ours. */
static bool take_line(synthesis *s, const char *line, size_t length, bool *whole)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const json_t *draw = json_object_get(object, "draw");
    const char *document = json_string_value(json_object_get(object, "document"));
    const json_t *text = json_object_get(object, "text");
    json_int_t kind = json_integer_value(json_object_get(object, "kind"));
    bool fine = true;
    *whole = json_is_integer(draw);
    if (*whole) {
        s->draw = (size_t)json_integer_value(draw);
        for (size_t i = 0; i < assay_synth_count_count; i++)
            *count_at(s->report, i) = (uint64_t)json_integer_value(
                json_object_get(object, assay_synth_counts[i].name));
        s->report->llm.cost = json_number_value(json_object_get(object, "cost"));
        fine = s->draw <= s->all.count;
    } else {
        fine = document != NULL && json_is_string(text) && kind >= 0 && kind < ASSAY_QUERY_KINDS &&
               keep(s, (assay_query_kind)kind,
                    (uint64_t)json_integer_value(json_object_get(object, "passage")), document,
                    (assay_text){json_string_value(text), json_string_length(text)}, NULL) ==
                   ASSAY_OK;
    }
    json_decref(object);
    return fine;
}

static size_t whole_part(const assay_buffer *text)
{
    static const char mark[] = "{\"draw\":";
    size_t end = text->length;
    while (end > 0) {
        if (text->data[end - 1] != '\n') {
            end--;
            continue;
        }
        size_t begin = end - 1;
        while (begin > 0 && text->data[begin - 1] != '\n')
            begin--;
        if (end - begin > sizeof mark && memcmp(text->data + begin, mark, sizeof mark - 1) == 0)
            return end;
        end = begin;
    }
    return 0;
}

/* Takes up an interrupted call behind its last whole batch. */
static assay_status take_up(synthesis *s, assay_error *error)
{
    assay_buffer text;
    if (access(s->part, F_OK) != 0)
        return ASSAY_OK;
    assay_buffer_init(&text, (size_t)1 << 30);
    assay_status status = assay_file_read(s->part, &text, error);
    size_t end = status == ASSAY_OK ? whole_part(&text) : 0;
    bool fine = true, whole;
    for (size_t at = 0; at < end && fine;) {
        const char *newline = memchr(text.data + at, '\n', end - at);
        size_t length = (size_t)(newline - text.data) - at;
        fine = take_line(s, text.data + at, length, &whole);
        at += length + 1;
    }
    assay_buffer_free(&text);
    if (status == ASSAY_OK && !fine)
        return assay_fail(error, ASSAY_E_CORRUPT, s->part,
                          "is damaged; remove it to begin anew");
    s->report->resumed = s->report->passages;
    if (status == ASSAY_OK && truncate(s->part, (off_t)end) != 0)
        status = assay_fail_errno(error, errno, s->part, "cannot write");
    return status;
}

static assay_status open_part(synthesis *s, assay_error *error)
{
    char hex[33];
    const assay_synth_options *o = &s->options;
    const char *model = o->llm != NULL && o->llm->model != NULL ? o->llm->model : "";
    const uint64_t numbers[] = {s->collection.generation, o->kinds, o->passages, o->each,
                                (uint64_t)o->within.value, o->retriever, o->seed};
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_add(hasher, ASSAY_VERSION, strlen(ASSAY_VERSION));
    assay_hasher_add(hasher, s->collection.name, strlen(s->collection.name));
    assay_hasher_add(hasher, model, strlen(model));
    assay_hasher_add(hasher, numbers, sizeof numbers);
    assay_hasher_add(hasher, &s->examples.digest, sizeof s->examples.digest);
    assay_digest digest = assay_hasher_finish(hasher);
    assay_digest_hex(&digest, hex);
    if (asprintf(&s->part, "%s/synth.%.8s.part", s->output, hex) < 0) {
        s->part = NULL;
        return assay_fail_memory(error, strlen(s->output));
    }
    ASSAY_TRY(assay_lock_file(s->part, &s->lock, error));
    ASSAY_TRY(take_up(s, error));
    s->stream = fopen(s->part, "abe");
    return s->stream != NULL ? ASSAY_OK
                             : assay_fail_errno(error, errno, s->part, "cannot create");
}

/* --------------------------------------------------------------------------- the whole */

static assay_status tell(synthesis *s, assay_error *error)
{
    uint64_t most = s->all.count < s->options.passages ? s->all.count : s->options.passages;
    assay_progress progress = {.phase = ASSAY_PHASE_SYNTH,
                               .done = finished(s) ? most : s->report->passages,
                               .total = most,
                               .item = s->output};
    if (s->progress != NULL && !s->progress(&progress, s->user))
        return assay_fail(error, ASSAY_E_INTERRUPTED, s->output,
                          "interrupted; the same call goes on from there");
    return ASSAY_OK;
}

static assay_status run_batch(synthesis *s, assay_error *error)
{
    size_t from = s->report->queries;
    ASSAY_TRY(draw_batch(s, error));
    ASSAY_TRY(write_queries(s, error));
    for (size_t i = 0; i < s->count; i++)
        ASSAY_TRY(sift(s, &s->views[i], &s->wishes[i], error));
    s->report->passages += s->count;
    ASSAY_TRY(append_batch(s, from, error));
    return tell(s, error);
}

/* Nothing was kept: what became of all that was written. */
static assay_status fail_empty(synthesis *s, assay_error *error)
{
    const assay_synth_report *r = s->report;
    const struct {
        uint64_t count;
        const char *name;
    } reasons[] = {
        {r->malformed, "malformed"}, {r->pointing, "point at the passage"},
        {r->copied, "copied"},       {r->duplicates, "doubled"},
        {r->lost, "did not find their document"},
    };
    assay_buffer text;
    assay_buffer_init(&text, 0);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].count > 0)
            assay_buffer_format(&text, "%s%llu %s", text.length > 0 ? ", " : ": ",
                                (unsigned long long)reasons[i].count, reasons[i].name);
    bool shown = s->examples.count > 0 || s->llm == NULL || r->written == 0;
    assay_status status = assay_fail(
        error, ASSAY_E_FORMAT, s->collection_name,
        "no query comes out of %llu passages (%llu drawn are too short), %llu were written%s%s%s%s",
        (unsigned long long)r->passages, (unsigned long long)r->unusable,
        (unsigned long long)r->written, text.length > 0 ? text.data : "",
        shown ? "" : "; a small model needs examples",
        s->first.code != ASSAY_OK ? "; first failure: " : "",
        s->first.code != ASSAY_OK ? s->first.message : "");
    assay_buffer_free(&text);
    return status;
}

static assay_status finish(synthesis *s, assay_error *error)
{
    if (s->report->queries == 0) {
        unlink(s->part);
        return fail_empty(s, error);
    }
    ASSAY_TRY(assay_synth_write(s->output, s->collection.name, &s->options, s->kept,
                                s->report->queries, s->report, error));
    unlink(s->part);
    return ASSAY_OK;
}

static assay_status draw_order(synthesis *s, assay_error *error)
{
    uint64_t state = assay_random_stream(s->options.seed, 1);
    ASSAY_TRY(assay_passage_list_read(s->store, &s->collection, &s->all, error));
    if (s->all.count > UINT32_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, s->collection_name, "has too many passages");
    s->order = malloc(s->all.count * sizeof *s->order);
    if (s->order == NULL)
        return assay_fail_memory(error, s->all.count * sizeof *s->order);
    for (size_t i = 0; i < s->all.count; i++)
        s->order[i] = (uint32_t)i;
    assay_random_shuffle(&state, s->order, s->all.count);
    return ASSAY_OK;
}

static assay_status open_all(synthesis *s, assay_error *error)
{
    const assay_synth_options *o = &s->options;
    const assay_pipeline_options options = {
        .retriever = o->retriever,
        .retrieve = o->within.value > 100 ? (uint32_t)o->within.value : 0,
        .threads = o->threads,
        .no_cache = true,
    };
    s->batch = SENTENCE_BATCH;
    if (!(o->kinds >> ASSAY_QUERY_SENTENCE & 1)) {
        ASSAY_TRY(assay_llm_open(o->llm, &s->llm, error));
        s->options.llm = assay_llm_settings(s->llm);
        s->batch = 2 * (size_t)s->options.llm->parallel;
        assay_llm_answers_open(assay_store_home(s->store), &s->answers);
    }
    s->seen = assay_string_map_new();
    s->kept_texts = assay_arena_new(0);
    s->arena = assay_arena_new(0);
    s->views = calloc(s->batch, sizeof *s->views);
    s->wishes = calloc(s->batch, sizeof *s->wishes);
    if (s->seen == NULL || s->kept_texts == NULL || s->arena == NULL || s->views == NULL ||
        s->wishes == NULL)
        return assay_fail_memory(error, s->batch * sizeof *s->wishes);
    if (o->examples != NULL)
        ASSAY_TRY(assay_synth_examples_read(o->examples, o->kinds, s->kept_texts, &s->examples,
                                            error));
    ASSAY_TRY(assay_collection_open(s->store, s->collection_name, &s->collection, error));
    ASSAY_TRY(assay_pipeline_open(s->store, s->collection_name, &options, &s->pipeline, error));
    ASSAY_TRY(draw_order(s, error));
    ASSAY_TRY(assay_synth_claim(s->output, error));
    return open_part(s, error);
}

static void close_all(synthesis *s)
{
    if (s->stream != NULL)
        fclose(s->stream);
    assay_lock_release(&s->lock);
    assay_pipeline_close(s->pipeline);
    assay_llm_close(s->llm);
    assay_llm_answers_close(&s->answers);
    assay_string_map_free(s->seen);
    assay_arena_free(s->kept_texts);
    assay_arena_free(s->arena);
    free(s->views);
    free(s->wishes);
    free(s->kept);
    free(s->order);
    free(s->all.keys);
    free(s->part);
}

/* Fills in defaults. */
static assay_status settle(synthesis *s, assay_error *error)
{
    assay_synth_options *o = &s->options;
    const uint32_t sentence = 1u << ASSAY_QUERY_SENTENCE;
    if (o->kinds == 0)
        o->kinds = 1u << ASSAY_QUERY_QUESTION;
    if (o->kinds >> ASSAY_QUERY_KINDS != 0 || ((o->kinds & sentence) && o->kinds != sentence))
        return assay_fail(error, ASSAY_E_ARGUMENT, "kinds",
                          "expected question, claim and keywords, any of them, or sentence alone");
    if (o->passages == 0)
        o->passages = 1000;
    if (o->each == 0)
        o->each = o->kinds == sentence ? 1 : 2;
    if (o->each > MOST_EACH)
        return assay_fail(error, ASSAY_E_ARGUMENT, "each", "%u, expected at most %d", o->each,
                          MOST_EACH);
    if (!o->within.set)
        o->within = (assay_setting){true, 10};
    double within = o->within.value;
    if (!(within >= 0 && within <= 10000 && within == floor(within)))
        return assay_fail(error, ASSAY_E_ARGUMENT, "within",
                          "%g, expected a whole number from 0 to 10000", within);
    for (unsigned kind = 0; kind < ASSAY_QUERY_KINDS; kind++)
        if (o->kinds >> kind & 1)
            s->kinds[s->kind_count++] = (assay_query_kind)kind;
    return ASSAY_OK;
}

assay_status assay_synth(assay_store *store, const char *collection, const char *output,
                         const assay_synth_options *options, assay_progress_fn progress,
                         void *user, assay_synth_report *report, assay_error *error)
{
    assay_synth_report own;
    double begun = assay_seconds();
    synthesis s = {
        .store = store,
        .collection_name = collection,
        .output = output,
        .progress = progress,
        .user = user,
        .report = report != NULL ? report : &own,
        .lock = -1,
    };
    if (options != NULL)
        s.options = *options;
    *s.report = (assay_synth_report){0};
    assay_status status = settle(&s, error);
    if (status == ASSAY_OK)
        status = open_all(&s, error);
    while (status == ASSAY_OK && !finished(&s))
        status = run_batch(&s, error);
    if (status == ASSAY_OK)
        status = finish(&s, error);
    s.report->seconds = assay_seconds() - begun;
    close_all(&s);
    return status;
}
