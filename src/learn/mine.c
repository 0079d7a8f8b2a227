/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mine.c: passages that look relevant and are not.
 *
 * A reranker sees what a retriever lets through, so it learns most from what the
 * retriever ranks high and nobody judged relevant (Karpukhin et al. 2020). Some of that is
 * relevant all the same: nobody judges everything (Qu et al. 2021). Left out is therefore
 * what is nearly the text of a relevant passage (shingles.h), and what scores above a share
 * of the best relevant passage (de Souza P. Moreira et al. 2024, NV-Retriever). Of
 * the rest, half of what is wanted comes from the top and half from below, and some
 * passages of the whole collection are mixed in, so that easy ones are not forgotten.
 *
 * Where the collection has vectors the score is the cosine, which can be compared between
 * passages; that of one which only its words found is computed where it matters, of the vector
 * that the collection has of it.
 *
 * What a query draws depends on the seed and its id alone. Lines are appended to
 * OUTPUT.<settings>.part, which is locked and renamed at the end; an interrupted call is
 * resumed behind the last whole line. The settings' digest is in the name, so that no line
 * of another call is taken up.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/random.h"
#include "base/string_map.h"
#include "evaluate/qrels.h"
#include "index/flat.h"
#include "learn/cut_query.h"
#include "learn/passage_list.h"
#include "learn/shingles.h"
#include "pipeline/pipeline.h"
#include "pipeline/words.h"

enum { DRAWS = 8, MOST_NEGATIVES = 10000 };

/* A passage on its way into a line. Strings live until the next query. */
typedef struct found {
    const char *id, *title, *heading;
    assay_text text;
    const assay_hit *hit; /* NULL: not retrieved */
    int32_t grade;
    float score;          /* the teacher's */
} found;

typedef struct miner {
    assay_store *store;
    const char *collection_name, *output;
    assay_mine_options options;
    size_t hard, random; /* wanted */
    double share;
    const assay_queries *queries;
    const assay_qrels *qrels;
    assay_string_map *query_ids;
    assay_progress_fn progress;
    void *user;
    assay_mine_report *report;
    uint64_t done;

    assay_collection collection;
    assay_pipeline *pipeline;
    bool dense;              /* scores are cosines */
    assay_session *embedder; /* of relevant documents that were not retrieved */
    float *vectors;          /* [2][dimensions] of the query, of such a document */
    const char *embedded;    /* id of the query whose vector is there; NULL: none */
    assay_passage_list all;
    assay_model *teacher;
    assay_session *session;

    char *part;
    int lock;                /* on it */
    FILE *stream;
    char *last;              /* id of the last query in it; NULL: none */

    /* The query at hand: */
    size_t query;            /* number in the qrels */
    const char *id;
    assay_text text;
    uint64_t state;          /* of what is drawn */
    double least_cosine;
    assay_arena *arena;
    assay_result result;
    found *positives, *negatives;
    size_t positive_count, negative_count, positive_capacity, negative_capacity;
    assay_shingles *shingles; /* [shingle_count] of the positives, as they were found */
    size_t shingle_count;
    assay_buffer context;
} miner;

/* ------------------------------------------------------------------- passages */

static assay_status append(found **list, size_t *count, size_t *capacity, found one,
                           assay_error *error)
{
    if (*count == *capacity) {
        size_t more = *capacity > 0 ? *capacity * 2 : 32;
        found *grown = realloc(*list, more * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, more * sizeof *grown);
        *list = grown;
        *capacity = more;
    }
    (*list)[(*count)++] = one;
    return ASSAY_OK;
}

static assay_status add_negative(miner *m, found one, assay_error *error)
{
    return append(&m->negatives, &m->negative_count, &m->negative_capacity, one, error);
}

static found found_of(const assay_hit *hit)
{
    return (found){.id = hit->document,
                   .title = hit->title,
                   .heading = hit->heading,
                   .text = hit->text,
                   .hit = hit};
}

static const assay_hit *hit_of(const miner *m, const char *document)
{
    for (size_t i = 0; i < m->result.count; i++)
        if (strcmp(m->result.hits[i].document, document) == 0)
            return &m->result.hits[i];
    return NULL;
}

static bool taken(const miner *m, const char *document)
{
    for (size_t i = 0; i < m->positive_count; i++)
        if (strcmp(m->positives[i].id, document) == 0)
            return true;
    for (size_t i = 0; i < m->negative_count; i++)
        if (strcmp(m->negatives[i].id, document) == 0)
            return true;
    return false;
}

/* A judged document as it was retrieved, else whole. *there: it has a text. */
static assay_status find_document(miner *m, const char *id, found *out, bool *there,
                                  assay_error *error)
{
    const assay_hit *hit = hit_of(m, id);
    *there = true;
    if (hit != NULL) {
        *out = found_of(hit);
        return ASSAY_OK;
    }
    assay_text title, text;
    assay_error reason;
    assay_status status =
        assay_document_text(m->store, m->collection_name, id, &title, &text, &reason);
    *there = status == ASSAY_OK && !(assay_words_none(title) && assay_words_none(text));
    if (status == ASSAY_E_NOT_FOUND)
        return ASSAY_OK;
    if (status != ASSAY_OK)
        return assay_fail(error, status, reason.where, "%s", reason.message);
    *out = (found){.id = id,
                   .title = assay_arena_copy(m->arena, title.data, title.length),
                   .heading = "",
                   .text = {assay_arena_copy(m->arena, text.data, text.length), text.length}};
    if (out->title == NULL || out->text.data == NULL)
        return assay_fail_memory(error, text.length);
    return ASSAY_OK;
}

static assay_status context_of(miner *m, assay_context_style style, const found *f,
                               assay_text *out, assay_error *error)
{
    assay_buffer_clear(&m->context);
    assay_passage_context(style, f->title, f->heading, f->text, &m->context);
    ASSAY_TRY(assay_buffer_status(&m->context, f->id, error));
    *out = (assay_text){m->context.data != NULL ? m->context.data : "", m->context.length};
    return ASSAY_OK;
}

static assay_status shingles_of(miner *m, const found *f, assay_shingles *out,
                                assay_error *error)
{
    assay_text text;
    *out = (assay_shingles){0};
    ASSAY_TRY(context_of(m, ASSAY_CONTEXT_WORDS, f, &text, error));
    return assay_shingles_of(text, out, error);
}

/* ---------------------------------------------------------------------- telling */

static assay_status tell(miner *m, const assay_error *problem, assay_error *error)
{
    assay_progress progress = {.phase = ASSAY_PHASE_MINE,
                               .done = m->done,
                               .total = assay_qrels_queries(m->qrels),
                               .item = m->id,
                               .problem = problem};
    if (m->progress != NULL && !m->progress(&progress, m->user))
        return assay_fail(error, ASSAY_E_INTERRUPTED, m->output,
                          "interrupted; the same call goes on from there");
    return ASSAY_OK;
}

static assay_status tell_missing(miner *m, const char *document, assay_error *error)
{
    assay_error problem;
    if (document != NULL)
        assay_fail(&problem, ASSAY_E_NOT_FOUND, "judgments",
                   "query \"%.100s\": document \"%.100s\" is not in the collection", m->id,
                   document);
    else
        assay_fail(&problem, ASSAY_E_NOT_FOUND, "judgments",
                   "query \"%.100s\" is not among the queries", m->id);
    return tell(m, &problem, error);
}

/* A query that cannot be searched for. */
static assay_status tell_refused(miner *m, const assay_error *reason, assay_error *error)
{
    assay_error problem;
    assay_fail(&problem, reason->code, "queries", "query \"%.100s\": %.300s", m->id,
               reason->message);
    m->report->refused++;
    return tell(m, &problem, error);
}

/* -------------------------------------------------------------------- positives */

static assay_status add_positives(miner *m, assay_error *error)
{
    for (size_t k = 0; k < assay_qrels_depth(m->qrels, m->query); k++) {
        int32_t grade = assay_qrels_grade_at(m->qrels, m->query, k);
        const char *document = assay_qrels_document_at(m->qrels, m->query, k);
        found one;
        bool there;
        if (grade <= 0)
            continue;
        ASSAY_TRY(find_document(m, document, &one, &there, error));
        if (!there) {
            m->report->missing_documents++;
            ASSAY_TRY(tell_missing(m, document, error));
            continue;
        }
        one.grade = grade;
        ASSAY_TRY(append(&m->positives, &m->positive_count, &m->positive_capacity, one, error));
    }
    return ASSAY_OK;
}

static assay_status make_shingles(miner *m, assay_error *error)
{
    m->shingle_count = m->positive_count;
    m->shingles = calloc(m->positive_count + 1, sizeof *m->shingles);
    if (m->shingles == NULL)
        return assay_fail_memory(error, m->positive_count * sizeof *m->shingles);
    for (size_t i = 0; i < m->positive_count; i++)
        ASSAY_TRY(shingles_of(m, &m->positives[i], &m->shingles[i], error));
    return ASSAY_OK;
}

/* The query's vector, which the search kept to itself. */
static assay_status embed_query(miner *m, assay_error *error)
{
    if (m->embedded == m->id)
        return ASSAY_OK;
    ASSAY_TRY(assay_embed(m->pipeline->retrieval.session, &m->text, 1, m->vectors, NULL, error));
    assay_vector_scale(m->vectors, m->collection.config.dimensions);
    m->embedded = m->id;
    return ASSAY_OK;
}

/* What the collection has of a passage that was retrieved, else made now, into m->vectors. */
static assay_status passage_vector(miner *m, const found *f, const float **out,
                                   assay_error *error)
{
    size_t n = m->collection.config.dimensions;
    const assay_flat *flat = m->pipeline->retrieval.vectors.flat;
    assay_text text;
    *out = f->hit != NULL && flat != NULL ? assay_flat_vector(flat, f->hit->passage) : NULL;
    if (*out != NULL)
        return ASSAY_OK;
    ASSAY_TRY(context_of(m, ASSAY_CONTEXT_WORDS, f, &text, error));
    ASSAY_TRY(assay_embed(m->embedder, &text, 1, m->vectors + n, NULL, error));
    assay_vector_scale(m->vectors + n, n);
    *out = m->vectors + n;
    return ASSAY_OK;
}

/* The cosine of a passage that vectors did not find. */
static assay_status cosine_of(miner *m, const found *f, float *out, assay_error *error)
{
    const float *passage;
    ASSAY_TRY(embed_query(m, error));
    ASSAY_TRY(passage_vector(m, f, &passage, error));
    *out = 0;
    for (size_t i = 0; i < m->collection.config.dimensions; i++)
        *out += m->vectors[i] * passage[i];
    return ASSAY_OK;
}

/* What no negative may score above; INFINITY where nothing is known. */
static assay_status ceiling_of(miner *m, double *ceiling, assay_error *error)
{
    double best = -INFINITY;
    for (size_t i = 0; i < m->positive_count; i++) {
        const found *f = &m->positives[i];
        float score = f->hit == NULL ? NAN : m->dense ? f->hit->score_dense : f->hit->score_bm25;
        if (m->dense && isnan(score))
            ASSAY_TRY(cosine_of(m, f, &score, error));
        if (!isnan(score) && (double)score > best)
            best = (double)score;
    }
    *ceiling = best == -INFINITY ? INFINITY : best > 0 ? m->share * best : best;
    return ASSAY_OK;
}

/* -------------------------------------------------------------------- negatives */

static assay_status is_near(miner *m, const found *f, bool *out, assay_error *error)
{
    assay_shingles shingles;
    *out = false;
    assay_status status = shingles_of(m, f, &shingles, error);
    for (size_t i = 0; i < m->positive_count && status == ASSAY_OK && !*out; i++)
        *out = assay_shingles_overlap(&m->shingles[i], &shingles) > ASSAY_NEAR_DUPLICATE;
    assay_shingles_free(&shingles);
    return status;
}

static assay_status add_judged(miner *m, assay_error *error)
{
    for (size_t k = 0; k < assay_qrels_depth(m->qrels, m->query); k++) {
        found one;
        bool there;
        const char *document = assay_qrels_document_at(m->qrels, m->query, k);
        if (assay_qrels_grade_at(m->qrels, m->query, k) > 0)
            continue;
        ASSAY_TRY(find_document(m, document, &one, &there, error));
        if (!there) {
            m->report->missing_documents++;
            ASSAY_TRY(tell_missing(m, document, error));
            continue;
        }
        ASSAY_TRY(add_negative(m, one, error));
        m->report->judged++;
    }
    return ASSAY_OK;
}

/* The least cosine among what vectors found: what they did not find has none above it. */
static double least_cosine(const miner *m)
{
    double least = INFINITY;
    for (size_t i = 0; m->dense && i < m->result.count; i++)
        least = fmin(least, (double)m->result.hits[i].score_dense); /* passes over NAN */
    return least;
}

/* Whether a hit may be taken for not relevant; counts why not. */
static assay_status may_take(miner *m, const assay_hit *hit, double ceiling, bool *out,
                             assay_error *error)
{
    float score = m->dense ? hit->score_dense : hit->score_bm25;
    found one = found_of(hit);
    bool near;
    *out = false;
    if (taken(m, hit->document))
        return ASSAY_OK;
    if (m->dense && isnan(score) && m->least_cosine > ceiling)
        ASSAY_TRY(cosine_of(m, &one, &score, error));
    if (!isnan(score) && (double)score > ceiling) {
        m->report->suspects++;
        return ASSAY_OK;
    }
    ASSAY_TRY(is_near(m, &one, &near, error));
    m->report->near_duplicates += near;
    *out = !near;
    return ASSAY_OK;
}

/* Of numbers[count] the first half of what is wanted, and others drawn from the rest. */
static size_t choose(miner *m, uint32_t *numbers, size_t count)
{
    size_t top = (m->hard + 1) / 2;
    if (count <= m->hard)
        return count;
    assay_random_shuffle(&m->state, numbers + top, count - top);
    return m->hard;
}

static assay_status add_hard(miner *m, double ceiling, assay_error *error)
{
    uint32_t *numbers = assay_arena_small(m->arena, (m->result.count + 1) * sizeof *numbers);
    size_t count = 0;
    if (numbers == NULL)
        return assay_fail_memory(error, m->result.count * sizeof *numbers);
    m->least_cosine = least_cosine(m);
    for (size_t i = m->options.skip; i < m->result.count && m->hard > 0; i++) {
        bool fine;
        ASSAY_TRY(may_take(m, &m->result.hits[i], ceiling, &fine, error));
        if (fine)
            numbers[count++] = (uint32_t)i;
    }
    count = choose(m, numbers, count);
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(add_negative(m, found_of(&m->result.hits[numbers[i]]), error));
    m->report->hard += count;
    return ASSAY_OK;
}

static assay_status add_random(miner *m, assay_error *error)
{
    size_t wanted = m->negative_count + m->random;
    for (size_t draw = 0; draw < m->random * DRAWS && m->negative_count < wanted; draw++) {
        assay_passage_view view;
        bool near;
        uint64_t key = m->all.keys[assay_random_below(&m->state, m->all.count)];
        assay_status status = assay_passage_get(m->store, key, m->arena, &view, error);
        if (status == ASSAY_E_NOT_FOUND)
            continue;
        ASSAY_TRY(status);
        found one = {.id = view.id, .title = view.title, .heading = view.heading,
                     .text = view.text};
        if (taken(m, view.id) || hit_of(m, view.id) != NULL ||
            (assay_words_none(view.text) && view.title[0] == '\0'))
            continue;
        ASSAY_TRY(is_near(m, &one, &near, error));
        if (near)
            continue;
        ASSAY_TRY(add_negative(m, one, error));
        m->report->random++;
    }
    return ASSAY_OK;
}

/* -------------------------------------------------------- sentences taken as queries */

/* What is too short without the query is left out, now that it cannot be taken for a
 * negative. */
static assay_status cut_positives(miner *m, assay_error *error)
{
    size_t kept = 0;
    if (!m->options.cut_query)
        return ASSAY_OK;
    for (size_t i = 0; i < m->positive_count; i++) {
        found f = m->positives[i];
        bool cut;
        ASSAY_TRY(assay_cut_query(m->text, f.text, m->arena, &f.text, &cut, error));
        m->report->cut += cut;
        if (!cut || assay_words_count(f.text) >= ASSAY_FEWEST_WORDS)
            m->positives[kept++] = f;
    }
    m->positive_count = kept;
    return ASSAY_OK;
}

/* ---------------------------------------------------------------------- teacher */

/* What was not retrieved scores as the last that was. */
static float first_score(const miner *m, const found *f)
{
    size_t count = m->result.count;
    if (f->hit != NULL)
        return f->hit->score_first;
    float least = count > 0 ? m->result.hits[0].score_first : 0;
    for (size_t i = 1; i < count; i++)
        least = fminf(least, m->result.hits[i].score_first);
    return least;
}

static found *nth(miner *m, size_t i)
{
    return i < m->positive_count ? &m->positives[i] : &m->negatives[i - m->positive_count];
}

/* Leaves out of a list what has no score, which is told. */
static assay_status leave_out(miner *m, found *list, size_t *count, assay_error *error)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (!isnan(list[i].score)) {
            list[kept++] = list[i];
            continue;
        }
        assay_error problem;
        assay_fail(&problem, ASSAY_E_CORRUPT, "teacher",
                   "query \"%.100s\": document \"%.100s\" gets no score", m->id, list[i].id);
        m->report->unscored++;
        ASSAY_TRY(tell(m, &problem, error));
    }
    *count = kept;
    return ASSAY_OK;
}

static assay_status rerank_all(miner *m, assay_text *texts, assay_score *scores, size_t count,
                               assay_error *error)
{
    for (size_t i = 0; i < count; i++) {
        assay_text text;
        ASSAY_TRY(context_of(m, ASSAY_CONTEXT_SENTENCES, nth(m, i), &text, error));
        texts[i] = (assay_text){assay_arena_copy(m->arena, text.data, text.length), text.length};
        if (texts[i].data == NULL)
            return assay_fail_memory(error, text.length);
    }
    assay_error reason;
    assay_status status = assay_rerank(m->session, m->text, texts, count, scores, &reason);
    if (status == ASSAY_E_ARGUMENT || status == ASSAY_E_LIMIT) {
        m->positive_count = 0; /* the query's fault */
        return tell_refused(m, &reason, error);
    }
    if (status != ASSAY_OK)
        return assay_fail(error, status, m->id, "%s", reason.message);
    for (size_t i = 0; i < count; i++)
        nth(m, i)->score = scores[i].status == ASSAY_OK ? scores[i].logit : NAN;
    ASSAY_TRY(leave_out(m, m->positives, &m->positive_count, error));
    return leave_out(m, m->negatives, &m->negative_count, error);
}

static assay_status teach(miner *m, assay_error *error)
{
    size_t count = m->positive_count + m->negative_count;
    if (m->options.teacher == NULL)
        return ASSAY_OK;
    for (size_t i = 0; i < count && m->session == NULL; i++)
        nth(m, i)->score = first_score(m, nth(m, i));
    if (m->session == NULL)
        return ASSAY_OK;
    assay_text *texts = calloc(count, sizeof *texts);
    assay_score *scores = calloc(count, sizeof *scores);
    assay_status status = texts != NULL && scores != NULL
                              ? rerank_all(m, texts, scores, count, error)
                              : assay_fail_memory(error, count * sizeof *scores);
    free(texts);
    free(scores);
    return status;
}

/* ----------------------------------------------------------------------- a line */

static json_t *json_of(const miner *m, const found *f)
{
    json_t *object = json_object();
    json_t *text = json_stringn(f->text.data, f->text.length);
    bool failed = object == NULL || text == NULL;
    failed = json_object_set_new(object, "id", json_string(f->id)) != 0 || failed;
    if (f->title[0] != '\0')
        failed = json_object_set_new(object, "title", json_string(f->title)) != 0 || failed;
    if (f->heading[0] != '\0')
        failed = json_object_set_new(object, "heading", json_string(f->heading)) != 0 || failed;
    failed = json_object_set_new(object, "text", text) != 0 || failed;
    if (f->grade > 0)
        failed = json_object_set_new(object, "grade", json_integer(f->grade)) != 0 || failed;
    if (m->options.teacher != NULL)
        failed = json_object_set_new(object, "score", json_real((double)f->score)) != 0 || failed;
    if (f->grade > 0 && f->hit == NULL)
        failed = json_object_set_new(object, "missed", json_true()) != 0 || failed;
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *json_of_all(const miner *m, const found *list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count && array != NULL; i++) {
        if (json_array_append_new(array, json_of(m, &list[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static char *line_of(const miner *m)
{
    json_t *line = json_object();
    bool failed = json_object_set_new(line, "query_id", json_string(m->id)) != 0;
    failed = json_object_set_new(line, "query", json_stringn(m->text.data, m->text.length)) != 0 ||
             failed;
    failed = json_object_set_new(line, "positives",
                                 json_of_all(m, m->positives, m->positive_count)) != 0 || failed;
    failed = json_object_set_new(line, "negatives",
                                 json_of_all(m, m->negatives, m->negative_count)) != 0 || failed;
    char *text = failed ? NULL : json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    return text;
}

static assay_status write_line(miner *m, assay_error *error)
{
    char *line = line_of(m);
    if (line == NULL)
        return assay_fail_memory(error, 4096);
    errno = 0;
    bool failed = fprintf(m->stream, "%s\n", line) < 0 || fflush(m->stream) != 0;
    free(line);
    return failed ? assay_fail_errno(error, errno, m->part, "cannot write") : ASSAY_OK;
}

/* ---------------------------------------------------------------------- a query */

static void forget_query(miner *m)
{
    for (size_t i = 0; m->shingles != NULL && i < m->shingle_count; i++)
        assay_shingles_free(&m->shingles[i]);
    free(m->shingles);
    m->shingles = NULL;
    m->positive_count = m->negative_count = 0;
    assay_result_free(&m->result);
    assay_arena_reset(m->arena);
}

/* The query's line, of its result; `failed`: why it has none, or NULL. */
static assay_status mine_text(miner *m, const assay_error *failed, assay_error *error)
{
    double ceiling;
    assay_status status = failed != NULL ? failed->code : ASSAY_OK;
    if (status == ASSAY_E_ARGUMENT || status == ASSAY_E_LIMIT || status == ASSAY_E_FORMAT)
        return tell_refused(m, failed, error);
    if (status != ASSAY_OK)
        return assay_fail(error, status, failed->where, "%s", failed->message);
    ASSAY_TRY(add_positives(m, error));
    if (m->positive_count == 0) {
        m->report->without_positive++;
        return ASSAY_OK;
    }
    ASSAY_TRY(make_shingles(m, error));
    ASSAY_TRY(ceiling_of(m, &ceiling, error));
    ASSAY_TRY(add_judged(m, error));
    ASSAY_TRY(add_hard(m, ceiling, error));
    ASSAY_TRY(add_random(m, error));
    ASSAY_TRY(cut_positives(m, error));
    uint64_t refused = m->report->refused;
    if (m->positive_count > 0)
        ASSAY_TRY(teach(m, error));
    if (m->positive_count == 0) {
        m->report->without_positive += refused == m->report->refused;
        return ASSAY_OK;
    }
    ASSAY_TRY(write_line(m, error));
    m->report->queries++;
    m->report->positives += m->positive_count;
    for (size_t i = 0; i < m->positive_count; i++)
        m->report->missed += m->positives[i].hit == NULL;
    return ASSAY_OK;
}

/* Turns to a query of the qrels. */
static assay_status begin_query(miner *m, size_t query, assay_error *error)
{
    m->query = query;
    m->id = assay_qrels_query(m->qrels, query);
    m->state = assay_random_stream(m->options.seed, assay_hash64(m->id, strlen(m->id)));
    return tell(m, NULL, error);
}

/* ------------------------------------------------------------------ the part file */

static void add_judgments(const miner *m, size_t q, assay_hasher *hasher)
{
    const char *id = assay_qrels_query(m->qrels, q);
    assay_hasher_add(hasher, id, strlen(id));
    for (size_t k = 0; k < assay_qrels_depth(m->qrels, q); k++) {
        const char *document = assay_qrels_document_at(m->qrels, q, k);
        int32_t grade = assay_qrels_grade_at(m->qrels, q, k);
        assay_hasher_add(hasher, document, strlen(document));
        assay_hasher_add(hasher, &grade, sizeof grade);
    }
}

static assay_status digest_of(const miner *m, char hex[33], assay_error *error)
{
    const assay_mine_options *o = &m->options;
    const char *teacher = o->teacher != NULL ? o->teacher : "";
    uint64_t numbers[] = {m->collection.generation, m->hard,  m->random, o->retriever,
                          o->retrieve,              o->skip,  o->seed,   m->queries->count,
                          assay_qrels_queries(m->qrels), o->cut_query};
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_add(hasher, ASSAY_VERSION, strlen(ASSAY_VERSION));
    assay_hasher_add(hasher, m->collection.name, strlen(m->collection.name));
    assay_hasher_add(hasher, teacher, strlen(teacher));
    assay_hasher_add(hasher, &m->share, sizeof m->share);
    assay_hasher_add(hasher, numbers, sizeof numbers);
    for (size_t q = 0; q < assay_qrels_queries(m->qrels); q++)
        add_judgments(m, q, hasher);
    for (size_t i = 0; i < m->queries->count; i++)
        assay_hasher_add(hasher, m->queries->texts[i].data, m->queries->texts[i].length);
    assay_digest digest = assay_hasher_finish(hasher);
    assay_digest_hex(&digest, hex);
    return ASSAY_OK;
}

/* The id of the query in a line; NULL when it is none of ours. */
static char *query_of(const char *line, size_t length)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const char *id = json_string_value(json_object_get(object, "query_id"));
    char *copy = id != NULL ? strdup(id) : NULL;
    json_decref(object);
    return copy;
}

/* Keeps the whole lines of an interrupted call, and learns the last one's query. */
static assay_status take_up(miner *m, assay_error *error)
{
    assay_buffer text;
    assay_buffer_init(&text, (size_t)8 << 30);
    assay_status status = assay_file_read(m->part, &text, error);
    size_t end = text.length, last = 0;
    while (end > 0 && text.data[end - 1] != '\n')
        end--;
    for (size_t i = 0; i + 1 < end; i++) {
        if (text.data[i] == '\n')
            last = i + 1;
        m->report->resumed += text.data[i] == '\n';
    }
    m->report->resumed += end > 0;
    if (status == ASSAY_OK && end > 0)
        m->last = query_of(text.data + last, end - last);
    assay_buffer_free(&text);
    if (status == ASSAY_OK && m->last == NULL)
        end = 0;
    m->report->resumed = m->last != NULL ? m->report->resumed : 0;
    if (status == ASSAY_OK && truncate(m->part, (off_t)end) != 0)
        status = assay_fail_errno(error, errno, m->part, "cannot write");
    return status;
}

static assay_status open_part(miner *m, assay_error *error)
{
    char hex[33];
    ASSAY_TRY(digest_of(m, hex, error));
    if (asprintf(&m->part, "%s.%.8s.part", m->output, hex) < 0) {
        m->part = NULL;
        return assay_fail_memory(error, strlen(m->output));
    }
    ASSAY_TRY(assay_lock_file(m->part, &m->lock, error));
    ASSAY_TRY(take_up(m, error));
    m->stream = fopen(m->part, "abe");
    return m->stream != NULL ? ASSAY_OK
                             : assay_fail_errno(error, errno, m->part, "cannot create");
}

static assay_status finish_part(miner *m, assay_error *error)
{
    bool failed = fflush(m->stream) != 0 || fsync(fileno(m->stream)) != 0;
    int reason = errno;
    failed = fclose(m->stream) != 0 || failed;
    m->stream = NULL;
    if (!failed && m->report->queries + m->report->resumed == 0) {
        unlink(m->part);
        return assay_fail(error, ASSAY_E_FORMAT, "judgments",
                          "no query has a relevant document in the collection: nothing to "
                          "write");
    }
    if (!failed && rename(m->part, m->output) != 0) {
        failed = true;
        reason = errno;
    }
    return failed ? assay_fail_errno(error, reason, m->output, "cannot write") : ASSAY_OK;
}

/* -------------------------------------------------------------------- the whole */

static assay_status open_search(miner *m, assay_error *error)
{
    const assay_mine_options *o = &m->options;
    assay_pipeline_options options = {.retriever = o->retriever,
                                      .retrieve = o->retrieve,
                                      .threads = o->threads,
                                      .no_cache = true};
    ASSAY_TRY(assay_collection_open(m->store, m->collection_name, &m->collection, error));
    ASSAY_TRY(assay_pipeline_open(m->store, m->collection_name, &options, &m->pipeline, error));
    assay_pipeline_describe(m->pipeline, &options);
    m->options.retriever = options.retriever;
    m->dense = options.retriever & ASSAY_RETRIEVER_DENSE;
    if (!m->dense)
        return ASSAY_OK;
    m->vectors = calloc(2 * m->collection.config.dimensions, sizeof *m->vectors);
    if (m->vectors == NULL)
        return assay_fail_memory(error, 2 * m->collection.config.dimensions * sizeof *m->vectors);
    return assay_session_open(m->pipeline->retrieval.encoder,
                              &(assay_session_options){.threads = o->threads,
                                                       .role = ASSAY_ROLE_PASSAGE},
                              &m->embedder, error);
}

static assay_status open_teacher(miner *m, assay_error *error)
{
    const char *name = m->options.teacher;
    if (name == NULL || strcmp(name, "first") == 0)
        return ASSAY_OK;
    assay_model_info info;
    ASSAY_TRY(assay_model_open(name, NULL, &m->teacher, error));
    assay_model_describe(m->teacher, &info);
    if (info.kind == ASSAY_MODEL_BI_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, "teacher",
                          "%.200s is a bi-encoder; expected \"first\" or a reranker, such as "
                          "late:%.100s", name, name);
    return assay_session_open(m->teacher,
                              &(assay_session_options){.threads = m->options.threads},
                              &m->session, error);
}

static assay_status number_queries(miner *m, assay_error *error)
{
    m->query_ids = assay_string_map_new();
    m->arena = assay_arena_new(0);
    assay_buffer_init(&m->context, (size_t)1 << 30);
    if (m->query_ids == NULL || m->arena == NULL)
        return assay_fail_memory(error, 4096);
    for (size_t i = 0; i < m->queries->count; i++) {
        uint32_t number;
        ASSAY_TRY(assay_string_map_add(m->query_ids, m->queries->ids[i],
                                       strlen(m->queries->ids[i]), &number, NULL, error));
    }
    return ASSAY_OK;
}

/* Queries of the qrels that are searched for, and what became of it. */
typedef struct asked {
    miner *m;
    size_t *queries;   /* [count] numbers in the qrels */
    assay_text *texts; /* [count] */
    size_t count;
    assay_status status;
    assay_error *error;
} asked;

/* Those from `first` on that have a text; the others are told of. */
static assay_status gather_queries(miner *m, size_t first, asked *a, assay_error *error)
{
    size_t all = assay_qrels_queries(m->qrels);
    a->queries = calloc(all + 1, sizeof *a->queries);
    a->texts = calloc(all + 1, sizeof *a->texts);
    if (a->queries == NULL || a->texts == NULL)
        return assay_fail_memory(error, all * sizeof *a->texts);
    for (size_t q = first; q < all; q++) {
        uint32_t place;
        const char *id = assay_qrels_query(m->qrels, q);
        if (assay_string_map_find(m->query_ids, id, strlen(id), &place)) {
            a->queries[a->count] = q;
            a->texts[a->count++] = m->queries->texts[place];
            continue;
        }
        ASSAY_TRY(begin_query(m, q, error));
        m->report->missing_queries++;
        ASSAY_TRY(tell_missing(m, NULL, error));
    }
    return ASSAY_OK;
}

static bool mine_answer(size_t number, assay_result *result, const assay_error *failed, void *user)
{
    asked *a = user;
    miner *m = a->m;
    m->done = a->queries[number];
    m->text = a->texts[number];
    m->result = *result;
    *result = (assay_result){0};
    a->status = begin_query(m, m->done, a->error);
    if (a->status == ASSAY_OK)
        a->status = mine_text(m, failed, a->error);
    forget_query(m);
    return a->status == ASSAY_OK;
}

static assay_status mine_queries(miner *m, size_t first, assay_error *error)
{
    asked a = {.m = m, .error = error};
    assay_error stopped;
    assay_status status = gather_queries(m, first, &a, error);
    if (status == ASSAY_OK) {
        status = assay_search_many(m->pipeline, a.texts, a.count, 0, mine_answer, &a, &stopped);
        if (a.status == ASSAY_OK && status != ASSAY_OK)
            assay_fail(error, status, stopped.where, "%s", stopped.message);
    }
    free(a.queries);
    free(a.texts);
    return a.status != ASSAY_OK ? a.status : status;
}

static assay_status mine_all(miner *m, assay_error *error)
{
    ASSAY_TRY(number_queries(m, error));
    ASSAY_TRY(open_search(m, error));
    ASSAY_TRY(assay_passage_list_read(m->store, &m->collection, &m->all, error));
    ASSAY_TRY(open_teacher(m, error));
    ASSAY_TRY(open_part(m, error));
    size_t first = 0, count = assay_qrels_queries(m->qrels);
    while (m->last != NULL && first < count &&
           strcmp(assay_qrels_query(m->qrels, first), m->last) != 0)
        first++;
    ASSAY_TRY(mine_queries(m, m->last != NULL ? first + 1 : 0, error));
    m->done = count;
    m->id = NULL;
    ASSAY_TRY(tell(m, NULL, error));
    return finish_part(m, error);
}

static void close_all(miner *m)
{
    if (m->stream != NULL)
        fclose(m->stream);
    assay_lock_release(&m->lock);
    if (m->arena != NULL)
        forget_query(m);
    assay_session_close(m->session);
    assay_model_close(m->teacher);
    assay_session_close(m->embedder);
    assay_pipeline_close(m->pipeline);
    assay_string_map_free(m->query_ids);
    assay_arena_free(m->arena);
    assay_buffer_free(&m->context);
    free(m->positives);
    free(m->negatives);
    free(m->vectors);
    free(m->all.keys);
    free(m->part);
    free(m->last);
}

static assay_status check_count(const assay_setting *s, const char *name, assay_error *error)
{
    bool fine = s->value >= 0 && s->value <= MOST_NEGATIVES && s->value == floor(s->value);
    return fine || !s->set ? ASSAY_OK
                           : assay_fail(error, ASSAY_E_ARGUMENT, name,
                                        "%g, expected a whole number from 0 to %d", s->value,
                                        MOST_NEGATIVES);
}

static assay_status check_options(const assay_mine_options *o, assay_error *error)
{
    ASSAY_TRY(check_count(&o->negatives, "negatives", error));
    ASSAY_TRY(check_count(&o->random, "random", error));
    if (o->share.set && !(o->share.value > 0 && o->share.value <= 10))
        return assay_fail(error, ASSAY_E_ARGUMENT, "share",
                          "%g, expected more than 0, at most 10", o->share.value);
    if (o->cut_query && o->teacher != NULL && strcmp(o->teacher, "first") == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "teacher",
                          "\"first\" scored passages with the query in them, which is to be cut "
                          "out; expected a reranker");
    return ASSAY_OK;
}

assay_status assay_mine(assay_store *store, const char *collection,
                        const assay_queries *queries, const assay_qrels *qrels,
                        const char *output, const assay_mine_options *options,
                        assay_progress_fn progress, void *user, assay_mine_report *report,
                        assay_error *error)
{
    static const assay_mine_options none;
    assay_mine_report own;
    double begun = assay_seconds();
    const assay_mine_options *o = options != NULL ? options : &none;
    ASSAY_TRY(check_options(o, error));
    miner m = {
        .store = store,
        .collection_name = collection,
        .output = output,
        .options = *o,
        .hard = o->negatives.set ? (size_t)o->negatives.value : 20,
        .random = o->random.set ? (size_t)o->random.value : 5,
        .share = o->share.set ? o->share.value : 0.95,
        .queries = queries,
        .qrels = qrels,
        .progress = progress,
        .user = user,
        .report = report != NULL ? report : &own,
        .lock = -1,
    };
    *m.report = (assay_mine_report){0};
    assay_status status = mine_all(&m, error);
    m.report->seconds = assay_seconds() - begun;
    close_all(&m);
    return status;
}
