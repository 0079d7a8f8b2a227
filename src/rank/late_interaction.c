/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_interaction.c: see late_interaction.h.
 *
 * Input is a text as the tokenizer lays it out, with a marker, or a bi-encoder's
 * prompt, in front of its tokens: [CLS] [Q] query [SEP]. A ColBERT query is filled up
 * with [MASK], whose vectors count as the others do; the other tokens do not attend to
 * them unless the model says so. A document's vectors are those of all its tokens,
 * special ones too, but for those of the model's skip list, mostly punctuation.
 *
 * The sum over the query's tokens is made in double precision, so that its order
 * does not show.
 */
#include "rank/late_interaction.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "rank/token_pool.h"

static size_t dimensions_of(const assay_session *session)
{
    return session->model->info.dimensions;
}

/* ---- Opening -------------------------------------------------------------------- */

static assay_status put_before(const assay_session *session, int32_t marker, assay_role role,
                               assay_tokens *out, assay_error *error)
{
    const char *prompt = session->model->config.prompts[role];
    if (marker >= 0)
        return assay_tokens_add(out, marker, 0, 0, error);
    ASSAY_TRY(assay_tokenizer_encode(session->model->tokenizer,
                                     (assay_text){prompt, strlen(prompt)}, out, error));
    for (size_t i = 0; i < out->count; i++)
        out->begins[i] = out->ends[i] = 0;
    return ASSAY_OK;
}

/* A question's arrays, in one block. */
static assay_status take_question(assay_session *session, assay_error *error)
{
    assay_question *q = &session->question;
    size_t n = session->model->info.query_tokens, d = dimensions_of(session);
    const assay_i8_inputs inputs = {.depth = d};
    size_t sizes[] = {n * d * sizeof(float), assay_panels_size(n, d) * sizeof(float), n * d,
                      assay_i8_panels_size(n, &inputs), n * sizeof(float)};
    void *places[5];
    size_t bytes = 0;
    for (size_t i = 0; i < 5; i++)
        bytes += assay_arena_need(sizes[i]);
    q->block = aligned_alloc(ASSAY_ALIGNMENT, bytes);
    if (q->block == NULL)
        return assay_fail_memory(error, bytes);
    bytes = 0;
    for (size_t i = 0; i < 5; i++) {
        places[i] = (char *)q->block + bytes;
        bytes += assay_arena_need(sizes[i]);
    }
    q->vectors = places[0];
    q->panels = places[1];
    q->bytes = places[2];
    q->byte_panels = places[3];
    q->steps = places[4];
    return ASSAY_OK;
}

assay_status assay_late_open(assay_session *session, assay_error *error)
{
    const assay_model *model = session->model;
    ASSAY_TRY(put_before(session, model->late.query_marker, ASSAY_ROLE_QUERY, &session->before_query,
                         error));
    ASSAY_TRY(put_before(session, model->late.document_marker, ASSAY_ROLE_PASSAGE,
                         &session->before_passage, error));
    size_t special = session->single->special;
    size_t taken = special + session->before_passage.count;
    if (taken >= session->max_tokens)
        return assay_fail(error, ASSAY_E_ARGUMENT, "max_tokens",
                          "%u, expected at least %zu: special tokens, what the model puts before "
                          "a passage, and another", session->max_tokens, taken + 1);
    if (special + session->before_query.count >= model->info.query_tokens)
        return assay_fail(error, ASSAY_E_FORMAT, model->info.path,
                          "a query of %u tokens leaves no room for one of its own",
                          model->info.query_tokens);
    return take_question(session, error);
}

/* ---- Sequences ------------------------------------------------------------------ */

/* Adds before + ids, cut to `room` of the latter. */
static assay_status add_sequence(assay_session *session, const assay_tokens *before,
                                 const int32_t *ids, size_t count, size_t item,
                                 assay_error *error)
{
    assay_tokens *all = &session->second;
    all->count = 0;
    for (size_t i = 0; i < before->count; i++)
        ASSAY_TRY(assay_tokens_add(all, before->ids[i], 0, 0, error));
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(assay_tokens_add(all, ids[i], 0, 0, error));
    return assay_batch_add(session, item, all->ids, all->count, NULL, 0, error);
}

bool assay_late_skips(const assay_model *model, int32_t id)
{
    return assay_late_marks_skip(&model->late, id);
}

/* Gives the vectors length 1 and leaves out what is skipped; SIZE_MAX: they are not
 * finite. */
static size_t keep_vectors(const assay_model *model, const assay_sequence *sequence, bool all,
                           float *vectors)
{
    size_t d = model->info.dimensions, kept = 0;
    for (size_t t = 0; t < sequence->count; t++) {
        if (!all && assay_late_skips(model, sequence->ids[t]))
            continue;
        float *vector = vectors + kept++ * d;
        if (vector != vectors + t * d)
            memcpy(vector, vectors + t * d, d * sizeof *vector);
        if (!assay_unit_length(vector, d))
            return SIZE_MAX;
    }
    return kept;
}

typedef struct encoding {
    const assay_session *session;
    assay_late_fn fn;
    void *user;
    atomic_bool starved; /* there was no memory to pool vectors */
} encoding;

static void take_passages(void *user, const assay_sequence *sequences, size_t count,
                          float *states, float *spare)
{
    (void)spare;
    encoding *work = user;
    size_t d = dimensions_of(work->session);
    for (size_t i = 0; i < count; i++) {
        size_t kept = keep_vectors(work->session->model, &sequences[i], false, states);
        bool finite = kept != SIZE_MAX;
        if (finite && assay_token_pool(states, &kept, d, work->session->pool, NULL) != ASSAY_OK)
            atomic_store(&work->starved, true);
        work->fn(work->user, sequences[i].item, finite ? states : NULL, finite ? kept : 0);
        states += sequences[i].count * d;
    }
}

/* ---- The query ------------------------------------------------------------------ */

static void take_query(void *user, const assay_sequence *sequence, size_t count, float *states,
                       float *spare)
{
    (void)spare, (void)count;
    assay_session *session = user;
    assay_question *q = &session->question;
    q->count = keep_vectors(session->model, sequence, true, states);
    if (q->count == SIZE_MAX)
        return;
    memcpy(q->vectors, states, q->count * dimensions_of(session) * sizeof *states);
}

/* Both forms that the kernels take. */
static void pack_question(const assay_session *session, assay_question *q)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t d = dimensions_of(session);
    const assay_i8_inputs inputs = {.depth = d};
    kernels->pack_f32(q->vectors, d, q->count, d, q->panels);
    for (size_t i = 0; i < q->count; i++)
        q->steps[i] = assay_late_quantize(q->vectors + i * d, d, q->bytes + i * d);
    kernels->pack_i8(q->bytes, d, q->count, &inputs, q->byte_panels);
}

assay_status assay_late_query(assay_session *session, assay_text query, assay_error *error)
{
    const assay_model *model = session->model;
    assay_tokens *tokens = &session->first;
    size_t room = model->info.query_tokens - session->single->special - session->before_query.count;
    tokens->count = 0;
    ASSAY_TRY(assay_tokenizer_encode_first(model->tokenizer, query, room + 1, tokens, error));
    if (tokens->count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "query", "empty: there is nothing to look for");
    session->question.truncated = tokens->count > room;
    if (tokens->count > room)
        tokens->count = room;
    assay_batch_begin(session);
    ASSAY_TRY(add_sequence(session, &session->before_query, tokens->ids, tokens->count, 0, error));
    if (model->late.filler >= 0)
        ASSAY_TRY(assay_batch_fill(session, model->late.filler, model->info.query_tokens,
                                   model->config.late.attend, error));
    assay_batch_run(session, take_query, session);
    if (session->question.count == SIZE_MAX)
        return assay_fail(error, ASSAY_E_CORRUPT, model->info.path,
                          "the query's vectors are not finite: the weights may be damaged "
                          "(assay check MODEL)");
    pack_question(session, &session->question);
    return ASSAY_OK;
}

/* ---- MaxSim --------------------------------------------------------------------- */

float assay_late_quantize(const float *vector, size_t n, int8_t *row)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabsf(vector[i]) > largest ? fabsf(vector[i]) : largest;
    float factor = largest > 0 ? ASSAY_I8_LIMIT / largest : 0;
    for (size_t i = 0; i < n; i++)
        row[i] = (int8_t)rintf(vector[i] * factor);
    return largest / ASSAY_I8_LIMIT;
}

static float add_up(const float *best, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)best[i];
    return (float)sum;
}

static void begin_best(float *best, size_t count)
{
    for (size_t i = 0; i < count; i++)
        best[i] = -INFINITY;
}

float assay_late_maxsim(const assay_session *session, const float *vectors, size_t count,
                        float *best)
{
    float own[ASSAY_LATE_QUERY_MAX];
    const assay_question *q = &session->question;
    best = best != NULL ? best : own;
    begin_best(best, q->count);
    assay_kernels_active()->maxsim_f32(vectors, count, q->panels, q->count,
                                       dimensions_of(session), best);
    return add_up(best, q->count);
}

float assay_late_maxsim_f16(const assay_session *session, const uint16_t *vectors, size_t count,
                            float *best)
{
    float own[ASSAY_LATE_QUERY_MAX];
    const assay_question *q = &session->question;
    best = best != NULL ? best : own;
    begin_best(best, q->count);
    assay_kernels_active()->maxsim_f16(vectors, count, q->panels, q->count,
                                       dimensions_of(session), best);
    return add_up(best, q->count);
}

float assay_late_maxsim_i8(const assay_session *session, assay_late_bytes passage, float *best)
{
    float own[ASSAY_LATE_QUERY_MAX];
    const assay_question *q = &session->question;
    best = best != NULL ? best : own;
    begin_best(best, q->count);
    assay_kernels_active()->maxsim_i8(passage.rows, passage.steps, passage.count, q->byte_panels,
                                      q->count, dimensions_of(session), best);
    for (size_t i = 0; i < q->count; i++)
        best[i] *= q->steps[i];
    return add_up(best, q->count);
}

/* ---- Passages ------------------------------------------------------------------- */

size_t assay_late_room(const assay_session *session)
{
    return session->max_tokens - session->single->special - session->before_passage.count;
}

static size_t cut_to_room(const assay_session *session, const assay_token_ids *passage)
{
    size_t room = assay_late_room(session);
    return passage->count < room ? passage->count : room;
}

size_t assay_late_tokens(const assay_session *session, const assay_token_ids *passage)
{
    return session->single->special + session->before_passage.count +
           cut_to_room(session, passage);
}

assay_status assay_late_encode(assay_session *session, const assay_token_ids *passages,
                               size_t count, assay_late_fn fn, void *user, assay_error *error)
{
    encoding work = {.session = session, .fn = fn, .user = user};
    assay_batch_begin(session);
    for (size_t i = 0; i < count; i++) {
        if (session->batch.count == ASSAY_BATCH_SEQUENCES) {
            assay_batch_run(session, take_passages, &work);
            assay_batch_begin(session);
        }
        ASSAY_TRY(add_sequence(session, &session->before_passage, passages[i].ids,
                               cut_to_room(session, &passages[i]), i, error));
    }
    assay_batch_run(session, take_passages, &work);
    return atomic_load(&work.starved) ? assay_fail_memory(error, session->longest) : ASSAY_OK;
}

typedef struct scoring {
    const assay_session *session;
    assay_score *scores;
} scoring;

static void score_passage(void *user, size_t item, float *vectors, size_t count)
{
    const scoring *work = user;
    assay_score *score = &work->scores[item];
    score->logit = count > 0 ? assay_late_maxsim(work->session, vectors, count, NULL) : 0;
    if (vectors == NULL) { /* weights that are no numbers */
        score->status = ASSAY_E_CORRUPT;
        score->logit = -INFINITY;
    }
}

assay_status assay_late_score(assay_session *session, const assay_token_ids *passages,
                              size_t count, assay_score *scores, assay_error *error)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = (assay_score){
            .probability = NAN,
            .tokens = (uint32_t)assay_late_tokens(session, &passages[i]),
            .truncated = cut_to_room(session, &passages[i]) < passages[i].total,
            .query_truncated = session->question.truncated};
    scoring work = {session, scores};
    return assay_late_encode(session, passages, count, score_passage, &work, error);
}

/* The tokens of texts, as many as are read of each, in the arena. */
static assay_status tokenize(assay_session *session, const assay_text *texts, size_t count,
                             assay_arena *arena, assay_token_ids *out, assay_error *error)
{
    assay_tokens *tokens = &session->second;
    for (size_t i = 0; i < count; i++) {
        tokens->count = 0;
        /* One more than there is room for tells of a cut. */
        ASSAY_TRY(assay_tokenizer_encode_first(session->model->tokenizer, texts[i],
                                               assay_late_room(session) + 1, tokens, error));
        size_t bytes = tokens->count * sizeof *tokens->ids;
        int32_t *ids = assay_arena_small(arena, bytes + 1);
        if (ids == NULL)
            return assay_fail_memory(error, bytes);
        if (bytes > 0)
            memcpy(ids, tokens->ids, bytes);
        out[i] = (assay_token_ids){ids, tokens->count, tokens->count};
    }
    return ASSAY_OK;
}

/* Scores those that are equal to no earlier one, and copies. */
static assay_status rerank(assay_session *session, const assay_text *passages, size_t count,
                           assay_arena *arena, assay_score *scores, assay_error *error)
{
    const size_t *first = session->repeats.first;
    assay_text *texts = assay_arena_small(arena, (count + 1) * sizeof *texts);
    assay_token_ids *ids = assay_arena_small(arena, (count + 1) * sizeof *ids);
    assay_score *found = assay_arena_small(arena, (count + 1) * sizeof *found);
    size_t *place = assay_arena_small(arena, (count + 1) * sizeof *place);
    if (texts == NULL || ids == NULL || found == NULL || place == NULL)
        return assay_fail_memory(error, count * sizeof *found);
    size_t single = 0;
    for (size_t i = 0; i < count; i++) {
        place[i] = first[i] == i ? single : place[first[i]];
        if (first[i] == i)
            texts[single++] = passages[i];
    }
    ASSAY_TRY(tokenize(session, texts, single, arena, ids, error));
    ASSAY_TRY(assay_late_score(session, ids, single, found, error));
    for (size_t i = 0; i < count; i++)
        scores[i] = found[place[i]];
    return ASSAY_OK;
}

assay_status assay_late_rerank(assay_session *session, assay_text query,
                               const assay_text *passages, size_t count, assay_score *scores,
                               assay_error *error)
{
    ASSAY_TRY(assay_late_query(session, query, error));
    ASSAY_TRY(assay_repeats_find(&session->repeats, passages, count, error));
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_status status = rerank(session, passages, count, arena, scores, error);
    assay_arena_free(arena);
    return status;
}
