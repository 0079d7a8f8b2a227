/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c: see session.h.
 *
 * A block has about BLOCK_TOKENS tokens: enough that a layer's weights, which
 * pass through the cache once a block, are used often; few enough that the
 * block's activations stay in it and that there is a block for every thread.
 */
#include "rank/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

enum {
    BLOCK_TOKENS = 192,
    BLOCK_TOKENS_LEAST = 64,   /* smaller ones waste the weights' way to the cache */
    BLOCKS_A_WORKER = 3,       /* wanted, so that the last to finish is not late */
    BLOCK_SEQUENCES = 64,
    LEAST_TOKENS = 5,          /* [CLS] a [SEP] b [SEP] */
};

static size_t block_capacity(const assay_session *session)
{
    return session->max_tokens > BLOCK_TOKENS ? session->max_tokens : BLOCK_TOKENS;
}

static assay_status take_memory(assay_session *session, assay_error *error)
{
    size_t hidden = session->model->config.hidden, n = ASSAY_BATCH_SEQUENCES;
    assay_batch *batch = &session->batch;
    session->scratch_floats =
        assay_encoder_scratch(&session->model->encoder, block_capacity(session),
                              BLOCK_SEQUENCES, session->max_tokens) +
        2 * BLOCK_SEQUENCES * hidden;
    session->scratch_floats = (session->scratch_floats + 15) / 16 * 16;
    size_t scratch = session->workers * session->scratch_floats * sizeof(float);
    size_t bytes = assay_arena_need(scratch) +
                   assay_arena_need(n * sizeof *batch->sequences) +
                   assay_arena_need(n * sizeof *batch->offsets) +
                   assay_arena_need((n + 1) * sizeof *batch->blocks);
    session->arena = assay_arena_new(bytes);
    if (session->arena == NULL)
        return assay_fail_memory(error, bytes);
    session->scratch = assay_arena_take(session->arena, scratch);
    batch->sequences = assay_arena_take(session->arena, n * sizeof *batch->sequences);
    batch->offsets = assay_arena_take(session->arena, n * sizeof *batch->offsets);
    batch->blocks = assay_arena_take(session->arena, (n + 1) * sizeof *batch->blocks);
    return ASSAY_OK;
}

assay_status assay_session_open(assay_model *model, const assay_session_options *options,
                                assay_session **out, assay_error *error)
{
    if (model == NULL || out == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "model", "expected an open model");
    uint32_t threads = options != NULL ? options->threads : 0;
    uint32_t limit = options != NULL ? options->max_tokens : 0;
    if (limit == 0 || limit > model->info.max_tokens)
        limit = model->info.max_tokens;
    if (limit < LEAST_TOKENS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "max_tokens", "%u, expected at least %d",
                          limit, LEAST_TOKENS);
    assay_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return assay_fail_memory(error, sizeof *session);
    session->model = model;
    session->max_tokens = limit;
    session->workers = threads == 0 || threads > assay_cores() ? assay_cores() : threads;
    session->special = assay_tokenizer_special(model->tokenizer);
    assay_status status = take_memory(session, error);
    if (status != ASSAY_OK) {
        assay_session_close(session);
        return status;
    }
    *out = session;
    return ASSAY_OK;
}

void assay_session_close(assay_session *session)
{
    if (session == NULL)
        return;
    assay_tokens_free(&session->first);
    assay_tokens_free(&session->second);
    assay_repeats_free(&session->repeats);
    free(session->batch.ids);
    assay_arena_free(session->arena);
    free(session);
}

/* ---- A batch --------------------------------------------------------------- */

void assay_batch_begin(assay_session *session)
{
    session->batch.count = 0;
    session->batch.id_count = 0;
}

static assay_status make_room(assay_batch *batch, size_t more, assay_error *error)
{
    size_t need = batch->id_count + more;
    if (need <= batch->id_capacity)
        return ASSAY_OK;
    size_t capacity = need + need / 2 + 1024;
    int32_t *ids = realloc(batch->ids, capacity * sizeof *ids);
    if (ids == NULL)
        return assay_fail_memory(error, capacity * sizeof *ids);
    batch->ids = ids;
    batch->id_capacity = capacity;
    return ASSAY_OK;
}

static void put_ids(assay_batch *batch, const int32_t *ids, size_t count, int32_t end)
{
    if (count > 0)
        memcpy(batch->ids + batch->id_count, ids, count * sizeof *ids);
    batch->id_count += count;
    batch->ids[batch->id_count++] = end;
}

static assay_status check_ids(const assay_session *session, const int32_t *ids, size_t count,
                              assay_error *error)
{
    uint32_t vocabulary = session->model->config.vocabulary;
    for (size_t i = 0; i < count; i++)
        if ((uint32_t)ids[i] >= vocabulary)
            return assay_fail(error, ASSAY_E_FORMAT, session->model->info.path,
                              "the tokenizer gave token %d, the model embeds %u", ids[i],
                              vocabulary);
    return ASSAY_OK;
}

assay_status assay_batch_add(assay_session *session, size_t item, const int32_t *ids,
                             size_t count, const int32_t *pair, size_t pair_count,
                             assay_error *error)
{
    assay_batch *batch = &session->batch;
    if (batch->count == ASSAY_BATCH_SEQUENCES)
        return assay_fail(error, ASSAY_E_INTERNAL, NULL, "a batch is full");
    ASSAY_TRY(make_room(batch, count + pair_count + 3, error));
    size_t start = batch->id_count;
    batch->ids[batch->id_count++] = session->special.cls;
    put_ids(batch, ids, count, session->special.sep);
    size_t second = batch->id_count - start;
    if (pair != NULL)
        put_ids(batch, pair, pair_count, session->special.sep);
    size_t total = batch->id_count - start;
    assay_status status = check_ids(session, batch->ids + start, total, error);
    if (status != ASSAY_OK) {
        batch->id_count = start;
        return status;
    }
    batch->offsets[batch->count] = start;
    batch->sequences[batch->count++] = (assay_sequence){
        .count = (uint32_t)total, .second = (uint32_t)second, .item = item};
    return ASSAY_OK;
}

/* Longest first; equal ones in the order they came. */
static int by_length(const void *left, const void *right)
{
    const assay_sequence *a = left, *b = right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

static void cut_blocks(assay_session *session)
{
    assay_batch *batch = &session->batch;
    size_t target = batch->id_count / ((size_t)session->workers * BLOCKS_A_WORKER);
    if (session->workers == 1 || target > BLOCK_TOKENS)
        target = BLOCK_TOKENS;
    if (target < BLOCK_TOKENS_LEAST)
        target = BLOCK_TOKENS_LEAST;
    size_t tokens = 0, members = 0;
    batch->block_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (i == 0 || tokens + batch->sequences[i].count > target ||
            members == BLOCK_SEQUENCES) {
            batch->blocks[batch->block_count++] = i;
            tokens = 0;
            members = 0;
        }
        tokens += batch->sequences[i].count;
        members++;
    }
    batch->blocks[batch->block_count] = batch->count;
}

typedef struct block_work {
    assay_session *session;
    assay_block_fn fn;
    void *user;
} block_work;

static void run_block(void *context, size_t item, uint32_t worker)
{
    const block_work *work = context;
    const assay_session *session = work->session;
    const assay_batch *batch = &session->batch;
    size_t first = batch->blocks[item], count = batch->blocks[item + 1] - first;
    float *states = session->scratch + worker * session->scratch_floats;
    float *spare = states + BLOCK_SEQUENCES * session->model->config.hidden;
    float *scratch = spare + BLOCK_SEQUENCES * session->model->config.hidden;
    const assay_sequence *sequences = batch->sequences + first;
    assay_encoder_run(&session->model->encoder, sequences, count, scratch, states);
    work->fn(work->user, sequences, count, states, spare);
}

void assay_batch_run(assay_session *session, assay_block_fn fn, void *user)
{
    assay_batch *batch = &session->batch;
    for (size_t i = 0; i < batch->count; i++)
        batch->sequences[i].ids = batch->ids + batch->offsets[i];
    qsort(batch->sequences, batch->count, sizeof *batch->sequences, by_length);
    cut_blocks(session);
    block_work work = {session, fn, user};
    assay_loop(batch->block_count, session->workers, run_block, &work);
}
