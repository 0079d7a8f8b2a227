/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c: see session.h.
 *
 * A block has about BLOCK_TOKENS tokens: enough that a layer's weights, which
 * pass through the level-2 cache once a block, are used often; few enough that the
 * block's activations stay in the level-3 cache and that there is a block for every
 * thread. The last ones are smaller, so that threads end at about the same time.
 *
 * Where whole blocks would leave threads idle all the same, as with one long
 * sequence, threads share the longest: they do a block step by step (encoder.h),
 * one after another. How many is what a reckoning finds the shortest.
 */
#include "rank/late_interaction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"

enum {
    BLOCK_TOKENS = 288,
    BLOCK_TOKENS_LEAST = 64,   /* smaller ones waste the weights' way to the cache */
    BLOCKS_A_WORKER = 3,       /* wanted, so that the last to finish is not late */
    BLOCK_SEQUENCES = 64,
    SHARE_COST = 12,           /* tokens that a pass takes longer when threads share it */
    MAX_LOADS = 256,           /* threads of a reckoning */
    MAX_PROMPTED = 1 << 30,    /* bytes */
};

static assay_status take_memory(assay_session *session, bool profile, assay_error *error)
{
    size_t watches = profile ? session->workers : 0;
    size_t steps = assay_pass_most_steps(&session->model->encoder) + 1;
    size_t n = ASSAY_BATCH_SEQUENCES;
    assay_batch *batch = &session->batch;
    size_t bytes = assay_arena_need(n * sizeof *batch->sequences) +
                   assay_arena_need(n * sizeof *batch->offsets) +
                   assay_arena_need((n + 1) * sizeof *batch->blocks) +
                   assay_arena_need(steps * sizeof *batch->items) +
                   assay_arena_need(watches * sizeof *session->watches);
    session->arena = assay_arena_new(bytes);
    if (session->arena == NULL)
        return assay_fail_memory(error, bytes);
    batch->sequences = assay_arena_take(session->arena, n * sizeof *batch->sequences);
    batch->offsets = assay_arena_take(session->arena, n * sizeof *batch->offsets);
    batch->blocks = assay_arena_take(session->arena, (n + 1) * sizeof *batch->blocks);
    batch->items = assay_arena_take(session->arena, steps * sizeof *batch->items);
    if (!profile)
        return ASSAY_OK;
    session->watches = assay_arena_take(session->arena, watches * sizeof *session->watches);
    memset(session->watches, 0, watches * sizeof *session->watches);
    return ASSAY_OK;
}

/* Scratch of all workers, for blocks with sequences of at most `longest` tokens.
 * Models may take 8192 tokens, and almost no text has as many: what is there is
 * enough for those that came. */
static assay_status grow_scratch(assay_session *session, size_t longest, assay_error *error)
{
    if (longest <= session->longest)
        return ASSAY_OK;
    longest += longest / 4;
    if (longest < BLOCK_TOKENS)
        longest = BLOCK_TOKENS;
    if (longest > session->longest_input)
        longest = session->longest_input;
    size_t tokens = longest > BLOCK_TOKENS ? longest : BLOCK_TOKENS;
    size_t floats = assay_encoder_scratch(&session->model->encoder, tokens, BLOCK_SEQUENCES,
                                          longest) +
                    2 * BLOCK_SEQUENCES * session->model->config.hidden;
    floats = (floats + 15) / 16 * 16;
    size_t bytes = session->workers * floats * sizeof(float);
    free(session->scratch);
    session->scratch = assay_memory_take(bytes);
    session->longest = session->scratch != NULL ? longest : 0;
    session->scratch_floats = floats;
    return session->scratch != NULL ? ASSAY_OK : assay_fail_memory(error, bytes);
}

assay_status assay_session_open(assay_model *model, const assay_session_options *options,
                                assay_session **out, assay_error *error)
{
    if (model == NULL || out == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "model", "expected an open model");
    uint32_t threads = options != NULL ? options->threads : 0;
    uint32_t limit = options != NULL ? options->max_tokens : 0;
    /* Late interaction may read more of a passage than it was trained on. */
    uint32_t most = model->config.kind == ASSAY_MODEL_LATE ? model->config.longest
                                                           : model->info.max_tokens;
    if (limit == 0)
        limit = model->info.max_tokens;
    if (limit > most)
        limit = most;
    assay_role role = options != NULL ? options->role : ASSAY_ROLE_NONE;
    if (role > ASSAY_ROLE_PASSAGE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "role", "%d is not known", (int)role);
    const assay_template *pair = assay_tokenizer_template(model->tokenizer, true);
    if (limit < pair->special + 2)
        return assay_fail(error, ASSAY_E_ARGUMENT, "max_tokens",
                          "%u, expected at least %zu: %zu special tokens and two others", limit,
                          pair->special + 2, pair->special);
    assay_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return assay_fail_memory(error, sizeof *session);
    session->model = model;
    session->max_tokens = limit;
    session->longest_input =
        limit > model->info.query_tokens ? limit : model->info.query_tokens;
    if (model->config.split > 0)
        session->longest_input = 2 * limit;
    session->workers = threads == 0 || threads > assay_cores() ? assay_cores() : threads;
    session->single = assay_tokenizer_template(model->tokenizer, false);
    session->pair = pair;
    session->prompt = model->config.prompts[role];
    assay_buffer_init(&session->prompted, MAX_PROMPTED);
    assay_status status = take_memory(session, options != NULL && options->profile, error);
    if (status == ASSAY_OK)
        status = grow_scratch(session, BLOCK_TOKENS, error);
    if (status == ASSAY_OK && model->config.kind == ASSAY_MODEL_LATE)
        status = assay_late_open(session, error);
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
    assay_tokens_free(&session->before_query);
    assay_tokens_free(&session->before_passage);
    free(session->question.block);
    free(session->asked.states);
    assay_buffer_free(&session->prompted);
    assay_repeats_free(&session->repeats);
    free(session->batch.ids);
    free(session->scratch);
    assay_arena_free(session->arena);
    free(session);
}

void assay_session_profile(assay_session *session, assay_profile *out)
{
    for (uint32_t w = 0; session->watches != NULL && w < session->workers; w++)
        for (size_t i = 0; i < ASSAY_OPERATIONS; i++) {
            session->profile.seconds[i] += session->watches[w].spent[i];
            session->watches[w].spent[i] = 0;
        }
    *out = session->profile;
    out->threads = session->workers;
    session->profile = (assay_profile){0};
}

/* ---- A batch --------------------------------------------------------------- */

void assay_batch_begin_stretch(assay_session *session, assay_stretch stretch)
{
    session->batch.count = 0;
    session->batch.id_count = 0;
    session->batch.stretch = stretch;
}

void assay_batch_begin(assay_session *session)
{
    assay_batch_begin_stretch(session, ASSAY_STRETCH_ALL);
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

static void put_ids(assay_batch *batch, const int32_t *ids, size_t count)
{
    if (count > 0)
        memcpy(batch->ids + batch->id_count, ids, count * sizeof *ids);
    batch->id_count += count;
}

#define ALL_TYPES UINT32_MAX

/* Lays out the texts, or what is of one type; returns how many tokens come before those
 * of type 1. */
static size_t lay_out(assay_batch *batch, const assay_template *layout, uint32_t type,
                      const int32_t *ids, size_t count, const int32_t *pair, size_t pair_count)
{
    size_t start = batch->id_count, second = 0;
    for (size_t i = 0; i < layout->count; i++) {
        const assay_template_piece *piece = &layout->pieces[i];
        if (type != ALL_TYPES && piece->type != type)
            continue;
        if (piece->kind == ASSAY_PIECE_SPECIAL)
            put_ids(batch, &piece->id, 1);
        else if (piece->kind == ASSAY_PIECE_FIRST)
            put_ids(batch, ids, count);
        else
            put_ids(batch, pair, pair_count);
        if (piece->type == 0)
            second = batch->id_count - start;
    }
    return second;
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

static assay_status check_full(const assay_batch *batch, assay_error *error)
{
    return batch->count < ASSAY_BATCH_SEQUENCES
               ? ASSAY_OK
               : assay_fail(error, ASSAY_E_INTERNAL, NULL, "a batch is full");
}

static assay_status add_ids(assay_session *session, size_t item, const assay_template *layout,
                            uint32_t type, const int32_t *ids, size_t count, const int32_t *pair,
                            size_t pair_count, assay_error *error)
{
    assay_batch *batch = &session->batch;
    size_t start = batch->id_count, most = count + pair_count + layout->special;
    ASSAY_TRY(check_full(batch, error));
    ASSAY_TRY(make_room(batch, most, error));
    ASSAY_TRY(grow_scratch(session, most, error));
    size_t second = lay_out(batch, layout, type, ids, count, pair, pair_count);
    size_t total = batch->id_count - start;
    if (!session->model->config.family->types)
        second = total;
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

assay_status assay_batch_add(assay_session *session, size_t item, const int32_t *ids,
                             size_t count, const int32_t *pair, size_t pair_count,
                             assay_error *error)
{
    return add_ids(session, item, pair != NULL ? session->pair : session->single, ALL_TYPES, ids,
                   count, pair, pair_count, error);
}

assay_status assay_batch_add_part(assay_session *session, size_t item, uint32_t type,
                                  const int32_t *ids, size_t count, assay_error *error)
{
    bool first = type == 0;
    return add_ids(session, item, session->pair, type, ids, first ? count : 0, ids,
                   first ? 0 : count, error);
}

assay_status assay_batch_add_states(assay_session *session, size_t item,
                                    const assay_states *below, size_t first, size_t second,
                                    assay_error *error)
{
    assay_batch *batch = &session->batch;
    ASSAY_TRY(check_full(batch, error));
    ASSAY_TRY(grow_scratch(session, first + second, error));
    batch->offsets[batch->count] = 0;
    batch->sequences[batch->count++] = (assay_sequence){.count = (uint32_t)(first + second),
                                                        .second = (uint32_t)first,
                                                        .item = item,
                                                        .below = below};
    return ASSAY_OK;
}

assay_status assay_batch_fill(assay_session *session, int32_t id, size_t total, bool seen,
                              assay_error *error)
{
    assay_batch *batch = &session->batch;
    assay_sequence *last = &batch->sequences[batch->count - 1];
    size_t more = total > last->count ? total - last->count : 0;
    ASSAY_TRY(make_room(batch, more, error));
    ASSAY_TRY(grow_scratch(session, last->count + more, error));
    for (size_t i = 0; i < more; i++)
        put_ids(batch, &id, 1);
    if (last->second == last->count) /* they are of the same type as what is there */
        last->second += (uint32_t)more;
    last->count += (uint32_t)more;
    last->unseen = seen ? 0 : (uint32_t)more;
    return ASSAY_OK;
}

bool assay_unit_length(float *vector, size_t n)
{
    float square;
    assay_kernels_active()->dots_f32(vector, vector, 1, n, &square);
    float length = sqrtf(square);
    if (length < 1e-12f)
        length = 1e-12f;
    for (size_t i = 0; i < n; i++)
        vector[i] /= length;
    return isfinite(square);
}

/* Longest first; equal ones in the order they came. */
static int by_length(const void *left, const void *right)
{
    const assay_sequence *a = left, *b = right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

/* Tokens of the next block when so many are left. */
static size_t block_target(const assay_session *session, size_t left)
{
    size_t target = left / ((size_t)session->workers * BLOCKS_A_WORKER);
    if (session->workers == 1 || target > BLOCK_TOKENS)
        return BLOCK_TOKENS;
    return target < BLOCK_TOKENS_LEAST ? BLOCK_TOKENS_LEAST : target;
}

static void cut_blocks(assay_session *session)
{
    assay_batch *batch = &session->batch;
    size_t left = 0, target = 0, tokens = 0, members = 0;
    batch->block_count = 0;
    for (size_t i = 0; i < batch->count; i++)
        left += batch->sequences[i].count;
    for (size_t i = 0; i < batch->count; i++) {
        size_t length = batch->sequences[i].count;
        if (i == 0 || tokens + length > target || members == BLOCK_SEQUENCES) {
            batch->blocks[batch->block_count++] = i;
            target = block_target(session, left);
            tokens = 0;
            members = 0;
        }
        tokens += length;
        left -= length;
        members++;
    }
    batch->blocks[batch->block_count] = batch->count;
}

/* ---- Sharing ---------------------------------------------------------------- */

typedef struct load {
    size_t tokens;
    double work; /* about what it takes, in operations of a layer */
} load;

/* Without attention. */
static double token_work(const assay_session *session)
{
    return 4.0 * session->model->config.hidden + 2.0 * session->model->config.intermediate;
}

static load load_of(const assay_session *session, size_t block)
{
    const assay_batch *batch = &session->batch;
    double token = token_work(session);
    load sum = {0};
    for (size_t i = batch->blocks[block]; i < batch->blocks[block + 1]; i++) {
        double length = batch->sequences[i].count;
        sum.tokens += batch->sequences[i].count;
        sum.work += length * (token + 2 * length);
    }
    return sum;
}

/* When the last thread is done with blocks from `first` on, each taken by the
 * thread that is free first. */
static double end_of(const assay_session *session, size_t first)
{
    double ends[MAX_LOADS] = {0}, last = 0;
    uint32_t workers = session->workers < MAX_LOADS ? session->workers : MAX_LOADS;
    for (size_t i = first; i < session->batch.block_count; i++) {
        uint32_t free = 0;
        for (uint32_t w = 1; w < workers; w++)
            free = ends[w] < ends[free] ? w : free;
        ends[free] += load_of(session, i).work;
        last = ends[free] > last ? ends[free] : last;
    }
    return last;
}

/* The block after those, from `first` on and before `end`, that fit one pass. */
static size_t pass_end(const assay_session *session, size_t first, size_t end)
{
    const size_t *blocks = session->batch.blocks;
    size_t most = session->longest > BLOCK_TOKENS ? session->longest : BLOCK_TOKENS;
    size_t tokens = load_of(session, first).tokens, block = first + 1;
    for (; block < end && blocks[block + 1] - blocks[first] <= BLOCK_SEQUENCES; block++) {
        tokens += load_of(session, block).tokens;
        if (tokens > most)
            break;
    }
    return block;
}

/* When so many blocks, which threads share, are done. */
static double shared_end(const assay_session *session, size_t blocks)
{
    double end = 0;
    for (size_t i = 0; i < blocks; i = pass_end(session, i, blocks)) {
        for (size_t j = i; j < pass_end(session, i, blocks); j++)
            end += load_of(session, j).work / session->workers;
        end += SHARE_COST * token_work(session);
    }
    return end;
}

static void choose_shared(assay_session *session)
{
    assay_batch *batch = &session->batch;
    double best = end_of(session, 0);
    batch->shared = 0;
    for (size_t i = 1; i <= batch->block_count && i <= 2 * (size_t)session->workers; i++) {
        double end = shared_end(session, i) + end_of(session, i);
        if (session->workers > 1 && end < best) {
            best = end;
            batch->shared = i;
        }
    }
}

/* ---- Running ---------------------------------------------------------------- */

/* Scratch of a worker: states, as many floats to spare, and the encoder's. */
typedef struct place {
    float *states, *spare, *scratch;
    assay_stopwatch *watch;
} place;

static place place_of(const assay_session *session, uint32_t worker)
{
    size_t floats = BLOCK_SEQUENCES * (size_t)session->model->config.hidden;
    float *states = session->scratch + worker * session->scratch_floats;
    return (place){states, states + floats, states + 2 * floats,
                   session->watches != NULL ? &session->watches[worker] : NULL};
}

typedef struct block_work {
    const assay_session *session;
    assay_block_fn fn;
    void *user;
    assay_pass pass; /* of a block that is shared */
} block_work;

static void hand_over(const block_work *work, const assay_sequence *sequences, size_t count,
                      const place *at, assay_stopwatch *watch)
{
    const assay_encoder *encoder = &work->session->model->encoder;
    float *states = at->states;
    if (encoder->config->pooling == ASSAY_POOLING_TOKENS ||
        work->session->batch.stretch == ASSAY_STRETCH_APART)
        states = assay_encoder_tokens(encoder, sequences, count, at->scratch);
    assay_stopwatch_start(watch);
    work->fn(work->user, sequences, count, states, at->spare);
    assay_stopwatch_read(watch, ASSAY_OPERATION_HEAD);
}

static void run_block(void *context, size_t item, uint32_t worker)
{
    const block_work *work = context;
    const assay_session *session = work->session;
    const assay_batch *batch = &session->batch;
    size_t block = batch->shared + item, first = batch->blocks[block];
    size_t count = batch->blocks[block + 1] - first;
    place at = place_of(session, worker);
    assay_encoder_run(&session->model->encoder, batch->stretch, batch->sequences + first, count,
                      at.scratch, at.states, NULL, at.watch);
    hand_over(work, batch->sequences + first, count, &at, at.watch);
}

static void run_step(void *context, size_t step, size_t item, uint32_t worker)
{
    const block_work *work = context;
    place at = place_of(work->session, worker), first = place_of(work->session, 0);
    if (step < assay_pass_steps(&work->pass))
        assay_pass_item(&work->pass, step, item, at.scratch, NULL, at.watch);
    else
        hand_over(work, work->pass.sequences, work->pass.count, &first, at.watch);
}

/* The blocks [block, end). */
static void run_shared(block_work *work, size_t block, size_t end)
{
    const assay_session *session = work->session;
    const assay_batch *batch = &session->batch;
    const assay_encoder *encoder = &session->model->encoder;
    size_t first = batch->blocks[block];
    place at = place_of(session, 0);
    work->pass = assay_pass_of(encoder, batch->stretch, batch->sequences + first,
                               batch->blocks[end] - first, session->workers, at.scratch,
                               at.states);
    size_t steps = assay_pass_steps(&work->pass);
    for (size_t step = 0; step < steps; step++)
        batch->items[step] = assay_pass_items(&work->pass, step);
    batch->items[steps] = 1; /* to hand it over */
    assay_loop_steps(batch->items, steps + 1, session->workers, run_step, work);
}

static void count_work(assay_session *session)
{
    const assay_batch *batch = &session->batch;
    assay_pass pass = assay_pass_of(&session->model->encoder, batch->stretch, NULL, 0, 1, NULL,
                                    NULL);
    for (size_t i = 0; i < batch->count; i++)
        assay_profile_count(&session->model->config, pass.begin, pass.end,
                            batch->sequences[i].second,
                            batch->sequences[i].count - batch->sequences[i].second,
                            &session->profile);
}

void assay_batch_run(assay_session *session, assay_block_fn fn, void *user)
{
    assay_batch *batch = &session->batch;
    for (size_t i = 0; i < batch->count && batch->stretch != ASSAY_STRETCH_JOINED; i++)
        batch->sequences[i].ids = batch->ids + batch->offsets[i];
    count_work(session);
    qsort(batch->sequences, batch->count, sizeof *batch->sequences, by_length);
    cut_blocks(session);
    choose_shared(session);
    block_work work = {.session = session, .fn = fn, .user = user};
    for (size_t i = 0, end; i < batch->shared; i = end) {
        end = pass_end(session, i, batch->shared);
        run_shared(&work, i, end);
    }
    assay_loop(batch->block_count - batch->shared, session->workers, run_block, &work);
}
