/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trained_encoder.c: see trained_encoder.h.
 *
 * Work is cut into blocks of rows, heads of sequences and groups of outputs, by sizes
 * alone; the threads take these one by one. Each sum has one item that does it, or
 * (gradients by the norms' weights) is added up block by block in order: so the bits do
 * not depend on the number of threads.
 *
 * Departs from PyTorch in one thing: a padding token that stands in a text learns as others
 * do.
 */
#include "learn/trained_encoder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/threads.h"

enum {
    BLOCK = 64,           /* rows of an item; divides ASSAY_INPUT_ROWS */
    COLUMNS = 64,         /* of embeddings' gradients, an item */
    HUGE_PAGE = 2 << 20,
};

/* The linear layers of a layer, as its low_panels are numbered. */
enum { QUERY, KEY_VALUE, OUTPUT, UP, DOWN, LINEARS };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t blocks_of(size_t rows)
{
    return (rows + BLOCK - 1) / BLOCK;
}

/* ---- Memory ---------------------------------------------------------------------- */

typedef struct sizes {
    size_t tokens, sequences, longest;
    bool keep;
} sizes;

static bool first_only(const assay_model_config *config, size_t layer)
{
    return config->pooling == ASSAY_POOLING_CLS && layer + 1 == config->layers;
}

static uint32_t worker_count(const assay_trained_encoder *encoder)
{
    uint32_t threads = encoder->threads, cores = assay_cores();
    if (threads == 0 || threads > cores)
        threads = cores;
    return threads < ASSAY_TRAINED_THREADS ? threads : ASSAY_TRAINED_THREADS;
}

/* Of a layer, all but what goes in. */
static void lay_out_inside(const assay_model_config *config, const sizes *s, float *base,
                           size_t *used, assay_kept_layer *kept)
{
    size_t hidden = config->hidden, rows = kept->rows;
    kept->query = assay_space_take(base, used, rows * hidden);
    kept->key_value = assay_space_take(base, used, s->tokens * 2 * hidden);
    kept->context = assay_space_take(base, used, rows * hidden);
    kept->output_normal = assay_space_take(base, used, rows * hidden);
    kept->output_inverse = assay_space_take(base, used, rows);
    kept->up = assay_space_take(base, used, rows * config->intermediate);
    kept->down_normal = assay_space_take(base, used, rows * hidden);
    kept->down_inverse = assay_space_take(base, used, rows);
}

/* Layers that keep nothing, or will be computed again, have one inside between them. */
static void lay_out_layers(const assay_trained_encoder *encoder, const sizes *s, float *base,
                           size_t *used, assay_kept_layer *layers)
{
    const assay_model_config *config = encoder->config;
    bool shared = !s->keep || encoder->recompute;
    assay_kept_layer inside = {.rows = s->tokens};
    float *x = NULL;
    if (shared)
        lay_out_inside(config, s, base, used, &inside);
    for (size_t i = 0; i < config->layers; i++) {
        assay_kept_layer kept = inside;
        kept.firsts = first_only(config, i);
        kept.rows = kept.firsts ? s->sequences : s->tokens;
        if (s->keep || i == 0)
            x = assay_space_take(base, used, s->tokens * config->hidden);
        kept.x = kept.going = x;
        if (kept.firsts)
            kept.going = assay_space_take(base, used, kept.rows * config->hidden);
        if (!shared)
            lay_out_inside(config, s, base, used, &kept);
        if (layers != NULL)
            layers[i] = kept;
    }
}

static void lay_out_back(const assay_trained_encoder *encoder, const sizes *s, float *base,
                         size_t *used, assay_back_space *back)
{
    const assay_model_config *config = encoder->config;
    size_t hidden = config->hidden, intermediate = config->intermediate, rows = s->tokens;
    bool bf16 = encoder->bf16;
    size_t inputs = assay_inputs_size(rows, hidden, bf16);
    back->tokens = assay_space_take(base, used, rows * hidden);
    back->going = back->tokens;
    if (config->pooling == ASSAY_POOLING_CLS)
        back->going = assay_space_take(base, used, s->sequences * hidden);
    back->query = assay_space_take(base, used, rows * hidden);
    back->key_value = assay_space_take(base, used, rows * 2 * hidden);
    back->context = assay_space_take(base, used, rows * hidden);
    back->output = assay_space_take(base, used, rows * hidden);
    back->up = assay_space_take(base, used, rows * intermediate);
    back->down = assay_space_take(base, used, rows * hidden);
    back->input_panels = assay_space_take(base, used, inputs);
    back->going_panels =
        assay_space_take(base, used, assay_inputs_size(s->sequences, hidden, bf16));
    back->context_panels = assay_space_take(base, used, inputs);
    back->up_panels = assay_space_take(base, used, inputs);
    back->down_panels =
        assay_space_take(base, used, assay_inputs_size(rows, intermediate, bf16));
    for (size_t i = 0; i < LINEARS; i++)
        back->low_panels[i] =
            assay_space_take(base, used, assay_inputs_size(rows, encoder->rank, bf16));
    back->norms = assay_space_take(base, used, blocks_of(rows) * 4 * hidden);
}

/* Elements that a worker's products of bfloat16 want, of any layer. */
static size_t rounded_size(const assay_trained_encoder *encoder)
{
    size_t width = 2 * encoder->config->hidden; /* keys and values are the widest, or up */
    if (!encoder->bf16)
        return 0;
    if (encoder->config->intermediate > width)
        width = encoder->config->intermediate;
    size_t forth = assay_rounded_size(BLOCK, width);
    size_t weights = assay_rounded_size(ASSAY_OUTPUT_GROUP, ASSAY_INPUT_ROWS);
    return forth > weights ? forth : weights;
}

static void lay_out_workers(const assay_trained_encoder *encoder, const sizes *s, float *base,
                            size_t *used, assay_worker_space *workers)
{
    const assay_model_config *config = encoder->config;
    for (size_t i = 0; i < worker_count(encoder); i++) {
        assay_worker_space space = {0};
        space.hidden = assay_space_take(base, used, (size_t)BLOCK * config->hidden);
        space.feed = assay_space_take(base, used, (size_t)BLOCK * config->intermediate);
        space.turned = assay_space_take(base, used, ASSAY_TURNED_SIZE);
        space.narrow = assay_space_take(base, used, encoder->rank > 0 ? ASSAY_NARROW_SIZE : 0);
        space.rounded = (void *)assay_space_take(base, used, (rounded_size(encoder) + 1) / 2);
        *used += assay_attention_space(base != NULL ? base + *used : NULL,
                                       config->hidden / config->heads, s->longest, s->keep,
                                       &space);
        if (workers != NULL)
            workers[i] = space;
    }
}

static void lay_out_head(const assay_trained_encoder *encoder, const sizes *s, float *base,
                         size_t *used, assay_trained_pass *pass)
{
    const assay_model_config *config = encoder->config;
    bool tokens = config->pooling == ASSAY_POOLING_TOKENS;
    size_t rows = tokens ? s->tokens : s->sequences;
    size_t width = tokens ? assay_trained_dimensions(encoder) : config->hidden;
    size_t inside = tokens ? 0 : rows * config->hidden; /* of a cross-encoder */
    pass->pooled = assay_space_take(base, used, rows * width);
    pass->head = assay_space_take(base, used, inside);
    pass->dropped = assay_space_take(base, used, inside);
    pass->head_gradient = assay_space_take(base, used, rows * width);
    pass->head_panels =
        assay_space_take(base, used, assay_inputs_size(rows, config->hidden, false));
    pass->lengths = assay_space_take(base, used, rows);
}

/* Places everything in memory from `base` on; returns its floats. layers may be NULL. */
static size_t lay_out(const assay_trained_encoder *encoder, const sizes *s, float *base,
                      assay_kept_layer *layers, assay_trained_pass *pass)
{
    const assay_model_config *config = encoder->config;
    size_t used = 0, starts = (s->sequences + 1) * (sizeof(size_t) / sizeof(float));
    pass->starts = (void *)assay_space_take(base, &used, starts);
    pass->ids = (void *)assay_space_take(base, &used, s->tokens);
    pass->positions = (void *)assay_space_take(base, &used, s->tokens);
    pass->types = (void *)assay_space_take(base, &used, s->tokens);
    pass->embedded_normal = assay_space_take(base, &used, s->tokens * config->hidden);
    pass->embedded_inverse = assay_space_take(base, &used, s->tokens);
    lay_out_layers(encoder, s, base, &used, layers);
    pass->states = assay_space_take(base, &used, s->tokens * config->hidden);
    lay_out_head(encoder, s, base, &used, pass);
    if (s->keep)
        lay_out_back(encoder, s, base, &used, &pass->back);
    lay_out_workers(encoder, s, base, &used, base != NULL ? pass->workers : NULL);
    return used;
}

size_t assay_trained_pass_bytes(const assay_trained_encoder *encoder, size_t tokens,
                                size_t sequences, size_t longest, bool keep)
{
    assay_trained_pass pass; /* only its places are written */
    sizes s = {tokens, sequences, longest, keep};
    return lay_out(encoder, &s, NULL, NULL, &pass) * sizeof(float);
}

/* Pages of 2 MiB where the system gives them. */
static assay_status make_room(assay_trained_pass *pass, size_t bytes, assay_error *error)
{
    if (bytes <= pass->capacity)
        return ASSAY_OK;
    free(pass->memory);
    pass->capacity = 0;
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    pass->memory = aligned_alloc(HUGE_PAGE, whole);
    if (pass->memory == NULL)
        return assay_fail_memory(error, whole);
    madvise(pass->memory, whole, MADV_HUGEPAGE);
    pass->capacity = whole;
    return ASSAY_OK;
}

/* ---- Tokens ---------------------------------------------------------------------- */

static assay_status check_sequence(const assay_model_config *config, const assay_sequence *s,
                                   size_t number, assay_error *error)
{
    if (s->count == 0 || s->count > config->longest || s->unseen >= s->count)
        return assay_fail(error, ASSAY_E_ARGUMENT, "sequences",
                          "number %zu has %u tokens, %u of them unseen, expected 1 to %u",
                          number, s->count, s->unseen, config->longest);
    if (config->split > 0 && s->second < s->count &&
        s->count - s->second > assay_split_room(config))
        return assay_fail(error, ASSAY_E_ARGUMENT, "sequences",
                          "number %zu has %u tokens of the second text, expected at most %u",
                          number, s->count - s->second, assay_split_room(config));
    for (uint32_t t = 0; t < s->count; t++)
        if (s->ids[t] < 0 || (uint32_t)s->ids[t] >= config->vocabulary)
            return assay_fail(error, ASSAY_E_ARGUMENT, "sequences",
                              "number %zu has token %d, the model embeds %u", number, s->ids[t],
                              config->vocabulary);
    return ASSAY_OK;
}

static assay_status measure(const assay_model_config *config, const assay_sequence *sequences,
                            size_t count, sizes *out, assay_error *error)
{
    out->sequences = count;
    for (size_t i = 0; i < count; i++) {
        ASSAY_TRY(check_sequence(config, &sequences[i], i, error));
        out->tokens += sequences[i].count;
        out->longest = sequences[i].count > out->longest ? sequences[i].count : out->longest;
    }
    return ASSAY_OK;
}

/* Positions and types as encoder.c has them. */
static void number_tokens(assay_trained_pass *pass)
{
    const assay_model_config *config = pass->encoder->config;
    size_t row = 0;
    for (size_t i = 0; i < pass->count; i++) {
        const assay_sequence *s = &pass->sequences[i];
        int32_t last = config->padding;
        pass->starts[i] = row;
        for (uint32_t t = 0; t < s->count; t++, row++) {
            int32_t id = s->ids[t];
            if (config->split > 0 && t == s->second)
                last = config->padding + (int32_t)config->second_position;
            pass->ids[row] = (uint32_t)id;
            pass->positions[row] = (uint32_t)(id == config->padding ? id : ++last);
            pass->types[row] = t >= s->second && config->types > 1 ? 1 : 0;
        }
    }
    pass->starts[pass->count] = row;
}

assay_status assay_trained_pass_begin(assay_trained_pass *pass,
                                      const assay_trained_encoder *encoder,
                                      const assay_sequence *sequences, size_t count, bool keep,
                                      uint64_t draw, assay_error *error)
{
    sizes s = {.keep = keep};
    ASSAY_TRY(measure(encoder->config, sequences, count, &s, error));
    size_t bytes = assay_trained_pass_bytes(encoder, s.tokens, count, s.longest, keep);
    ASSAY_TRY(make_room(pass, bytes, error));
    pass->encoder = encoder;
    pass->sequences = sequences;
    pass->count = count;
    pass->tokens = s.tokens;
    pass->longest = s.longest;
    pass->keep = keep;
    pass->draw = draw;
    lay_out(encoder, &s, pass->memory, pass->layers, pass);
    number_tokens(pass);
    return ASSAY_OK;
}

/* ---- Forth ----------------------------------------------------------------------- */

/* Rows of an item. */
typedef struct span {
    size_t first, count;
} span;

static span block_at(size_t item, size_t rows)
{
    size_t first = item * BLOCK;
    return (span){first, least(BLOCK, rows - first)};
}

static void drop_rows(const assay_dropout *dropout, size_t first, size_t rows, size_t n, float *x)
{
    for (size_t i = 0; i < rows; i++)
        assay_dropout_row(dropout, first + i, x + i * n, n);
}

static void table_row(const assay_trained_table *table, size_t row, size_t n, float *out)
{
    if (table->values != NULL)
        memcpy(out, table->values + row * n, n * sizeof *out);
    else
        assay_table_row(&table->frozen, row, out);
}

static assay_dropout embeddings_dropout(const assay_trained_pass *pass)
{
    const assay_trained_encoder *encoder = pass->encoder;
    return assay_dropout_at(encoder->dropout, encoder->seed, pass->draw, ASSAY_PLACE_EMBEDDINGS);
}

/* word + type + position, in that order, as transformers adds them. */
static void embed(const assay_trained_pass *pass, size_t item, const assay_worker_space *space)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden;
    span s = block_at(item, pass->tokens);
    float *x = pass->layers[0].x + s.first * n, *other = space->hidden;
    for (size_t i = 0; i < s.count; i++) {
        size_t row = s.first + i;
        table_row(&encoder->words, pass->ids[row], n, x + i * n);
        table_row(&encoder->types, pass->types[row], n, other);
        assay_add_row(x + i * n, other, n);
        table_row(&encoder->positions, pass->positions[row], n, other);
        assay_add_row(x + i * n, other, n);
    }
    assay_norm_forth(x, s.count, n, encoder->norm.gamma, encoder->norm.beta,
                     encoder->config->epsilon, pass->embedded_normal + s.first * n,
                     pass->embedded_inverse + s.first, x);
    assay_dropout dropout = embeddings_dropout(pass);
    drop_rows(&dropout, s.first, s.count, n, x);
}

static void find_queries(const assay_trained_pass *pass, size_t layer, span s,
                         const assay_worker_space *space)
{
    const assay_kept_layer *kept = &pass->layers[layer];
    size_t n = pass->encoder->config->hidden;
    if (kept->firsts)
        for (size_t i = s.first; i < s.first + s.count; i++)
            memcpy(kept->going + i * n, kept->x + pass->starts[i] * n, n * sizeof(float));
    assay_trained_forth(&pass->encoder->layers[layer].query, kept->going + s.first * n, n,
                        s.count, ASSAY_ACTIVATION_NONE, kept->query + s.first * n, n,
                        space->rounded);
}

/* Keys and values of a block of all rows, or queries of one of those that go on. */
static void project(const assay_trained_pass *pass, size_t layer, size_t item,
                    const assay_worker_space *space)
{
    const assay_kept_layer *kept = &pass->layers[layer];
    size_t n = pass->encoder->config->hidden, blocks = blocks_of(pass->tokens);
    if (item >= blocks) {
        find_queries(pass, layer, block_at(item - blocks, kept->rows), space);
        return;
    }
    span s = block_at(item, pass->tokens);
    assay_trained_forth(&pass->encoder->layers[layer].key_value, kept->x + s.first * n, n,
                        s.count, ASSAY_ACTIVATION_NONE, kept->key_value + s.first * 2 * n,
                        2 * n, space->rounded);
}

/* y = activation(x), and what the gradient by y becomes by x. */
static void activate(assay_activation activation, const float *x, size_t n, float *y,
                     float *gradient)
{
    if (activation == ASSAY_ACTIVATION_GELU) {
        assay_kernels_active()->gelu_f32(x, n, y, gradient);
        return;
    }
    for (size_t i = 0; i < n; i++) { /* ReLU; a NaN stays one */
        if (gradient != NULL && x[i] <= 0)
            gradient[i] = 0;
        y[i] = x[i] < 0 ? 0 : x[i];
    }
}

/* Where the rows that come out of a layer go. */
static float *comes_out(const assay_trained_pass *pass, size_t layer)
{
    return layer + 1 < pass->encoder->config->layers ? pass->layers[layer + 1].x : pass->states;
}

/* What follows attention, on a block of the rows that go on. */
static void finish(const assay_trained_pass *pass, size_t index, size_t item,
                   const assay_worker_space *space)
{
    const assay_model_config *config = pass->encoder->config;
    const assay_trained_layer *layer = &pass->encoder->layers[index];
    const assay_kept_layer *kept = &pass->layers[index];
    size_t n = config->hidden, wide = config->intermediate;
    span s = block_at(item, kept->rows);
    size_t at = s.first * n;
    assay_dropout output = assay_layer_dropout(pass, index, ASSAY_PLACE_OUTPUT);
    assay_dropout down = assay_layer_dropout(pass, index, ASSAY_PLACE_DOWN);
    float *x = space->hidden, *up = kept->up + s.first * wide, *y = comes_out(pass, index) + at;

    assay_trained_forth(&layer->output, kept->context + at, n, s.count, ASSAY_ACTIVATION_NONE,
                        x, n, space->rounded);
    drop_rows(&output, s.first, s.count, n, x);
    assay_add_row(x, kept->going + at, s.count * n);
    assay_norm_forth(x, s.count, n, layer->output_norm.gamma, layer->output_norm.beta,
                     config->epsilon, kept->output_normal + at, kept->output_inverse + s.first,
                     x);
    assay_trained_forth(&layer->up, x, n, s.count, ASSAY_ACTIVATION_NONE, up, wide,
                        space->rounded);
    activate(config->activation, up, s.count * wide, space->feed, NULL);
    assay_trained_forth(&layer->down, space->feed, wide, s.count, ASSAY_ACTIVATION_NONE, y, n,
                        space->rounded);
    drop_rows(&down, s.first, s.count, n, y);
    assay_add_row(y, x, s.count * n);
    assay_norm_forth(y, s.count, n, layer->down_norm.gamma, layer->down_norm.beta,
                     config->epsilon, kept->down_normal + at, kept->down_inverse + s.first, y);
}

/* Steps of a layer. */
enum { PROJECT, ATTEND, FINISH, FORTH_STEPS };

static size_t forth_items(const assay_trained_pass *pass, size_t layer, size_t step)
{
    size_t going = blocks_of(pass->layers[layer].rows);
    if (step == PROJECT)
        return blocks_of(pass->tokens) + going;
    return step == ATTEND ? pass->count * pass->encoder->config->heads : going;
}

static void forth_item(const assay_trained_pass *pass, size_t layer, size_t step, size_t item,
                       const assay_worker_space *space)
{
    size_t heads = pass->encoder->config->heads;
    if (step == PROJECT)
        project(pass, layer, item, space);
    else if (step == ATTEND)
        assay_attention_forth(pass, layer, item / heads, item % heads, space);
    else
        finish(pass, layer, item, space);
}

/* Step 0 embeds, FORTH_STEPS for each layer follow. */
static void forth_step(void *context, size_t step, size_t item, uint32_t worker)
{
    const assay_trained_pass *pass = context;
    const assay_worker_space *space = &pass->workers[worker];
    if (step == 0)
        embed(pass, item, space);
    else
        forth_item(pass, (step - 1) / FORTH_STEPS, (step - 1) % FORTH_STEPS, item, space);
}

enum { MOST_STEPS = 8, MOST_LAYERS = 256 };

void assay_trained_encoder_forth(assay_trained_pass *pass)
{
    size_t counts[1 + FORTH_STEPS * MOST_LAYERS], steps = 0;
    counts[steps++] = blocks_of(pass->tokens);
    for (size_t i = 0; i < pass->encoder->config->layers; i++)
        for (size_t step = 0; step < FORTH_STEPS; step++)
            counts[steps++] = forth_items(pass, i, step);
    assay_loop_steps(counts, steps, worker_count(pass->encoder), forth_step, pass);
}

/* ---- Back ------------------------------------------------------------------------ */

/* The gradients by gamma and beta that a block has of its own. */
static float *block_norms(const assay_trained_pass *pass, size_t item, size_t norm)
{
    size_t n = pass->encoder->config->hidden;
    return pass->back.norms + (item * 2 + norm) * 2 * n;
}

static void norm_back(const assay_trained_pass *pass, size_t item, size_t which,
                      const assay_trained_norm *norm, const float *normal, const float *inverse,
                      size_t rows, float *gradient)
{
    size_t n = pass->encoder->config->hidden;
    float *sums = block_norms(pass, item, which);
    memset(sums, 0, 2 * n * sizeof *sums);
    assay_norm_back(gradient, normal, inverse, norm->gamma, rows, n, sums, sums + n);
}

/* Adds the blocks' up. */
static void add_norms(const assay_trained_pass *pass, size_t blocks, size_t which,
                      const assay_trained_norm *norm)
{
    size_t n = pass->encoder->config->hidden;
    for (size_t i = 0; i < blocks; i++) {
        assay_add_row(norm->gamma_gradient, block_norms(pass, i, which), n);
        assay_add_row(norm->beta_gradient, block_norms(pass, i, which) + n, n);
    }
}

/* Rows that enter a linear layer, for the gradients of its weights. */
static void put_inputs(const assay_trained_pass *pass, const assay_trained_linear *linear,
                       int which, const float *x, span s, size_t rows, float *panels,
                       const assay_worker_space *space)
{
    assay_inputs_put(linear, x, linear->depth, s.first, s.count, rows, panels);
    if (linear->low.rank > 0)
        assay_low_inputs_put(linear, x, linear->depth, s.first, s.count, rows, space->narrow,
                             pass->back.low_panels[which]);
}

/* The gradient by a layer's result, on a block of the rows that go on, to that by the
 * context and, beside attention, by what went in. */
static void finish_back(const assay_trained_pass *pass, size_t index, size_t item,
                        const assay_worker_space *space)
{
    const assay_model_config *config = pass->encoder->config;
    const assay_trained_layer *layer = &pass->encoder->layers[index];
    const assay_kept_layer *kept = &pass->layers[index];
    const assay_back_space *back = &pass->back;
    size_t n = config->hidden, wide = config->intermediate;
    span s = block_at(item, kept->rows);
    size_t at = s.first * n, size = s.count * n;
    assay_dropout output = assay_layer_dropout(pass, index, ASSAY_PLACE_OUTPUT);
    assay_dropout down = assay_layer_dropout(pass, index, ASSAY_PLACE_DOWN);
    float *going = (kept->firsts ? back->going : back->tokens) + at;
    float *up = kept->up + s.first * wide, *up_back = back->up + s.first * wide;

    norm_back(pass, item, 1, &layer->down_norm, kept->down_normal + at,
              kept->down_inverse + s.first, s.count, going);
    memcpy(back->down + at, going, size * sizeof *going);
    drop_rows(&down, s.first, s.count, n, back->down + at);
    assay_trained_back(&layer->down, back->down + at, n, s.count, false, up_back, wide,
                       space->rounded);
    activate(config->activation, up, s.count * wide, space->feed, up_back);
    put_inputs(pass, &layer->down, DOWN, space->feed, s, kept->rows, back->down_panels, space);

    assay_norm_apply(kept->output_normal + at, s.count, n, layer->output_norm.gamma,
                     layer->output_norm.beta, space->hidden);
    put_inputs(pass, &layer->up, UP, space->hidden, s, kept->rows, back->up_panels, space);
    assay_trained_back(&layer->up, up_back, wide, s.count, true, going, n,
                       space->rounded);

    norm_back(pass, item, 0, &layer->output_norm, kept->output_normal + at,
              kept->output_inverse + s.first, s.count, going);
    memcpy(back->output + at, going, size * sizeof *going);
    drop_rows(&output, s.first, s.count, n, back->output + at);
    assay_trained_back(&layer->output, back->output + at, n, s.count, false, back->context + at,
                       n, space->rounded);
    put_inputs(pass, &layer->output, OUTPUT, kept->context + at, s, kept->rows,
               back->context_panels, space);
}

/* Through queries, and through keys and values, to what went in. */
static void project_back(const assay_trained_pass *pass, size_t index, size_t item,
                         const assay_worker_space *space)
{
    const assay_trained_layer *layer = &pass->encoder->layers[index];
    const assay_kept_layer *kept = &pass->layers[index];
    const assay_back_space *back = &pass->back;
    size_t n = pass->encoder->config->hidden, blocks = blocks_of(pass->tokens);
    if (item >= blocks) { /* first rows, by themselves */
        span s = block_at(item - blocks, kept->rows);
        size_t at = s.first * n;
        assay_trained_back(&layer->query, back->query + at, n, s.count, true, back->going + at,
                           n, space->rounded);
        put_inputs(pass, &layer->query, QUERY, kept->going + at, s, kept->rows,
                   back->going_panels, space);
        return;
    }
    span s = block_at(item, pass->tokens);
    size_t at = s.first * n;
    if (!kept->firsts)
        assay_trained_back(&layer->query, back->query + at, n, s.count, true, back->tokens + at,
                           n, space->rounded);
    assay_trained_back(&layer->key_value, back->key_value + 2 * at, 2 * n, s.count,
                       !kept->firsts, back->tokens + at, n, space->rounded);
    put_inputs(pass, &layer->key_value, KEY_VALUE, kept->x + at, s, pass->tokens,
               back->input_panels, space);
    if (!kept->firsts && layer->query.low.rank > 0)
        assay_low_inputs_put(&layer->query, kept->x + at, n, s.first, s.count, pass->tokens,
                             space->narrow, back->low_panels[QUERY]);
}

/* A product of weights' gradients. */
typedef struct weights_work {
    const assay_trained_linear *linear;
    const float *gradient;
    size_t ld, rows;
    const float *inputs, *low_inputs;
} weights_work;

/* Those of a layer, the longest items first. */
static void list_weights(const assay_trained_pass *pass, size_t index,
                         weights_work out[LINEARS])
{
    const assay_trained_layer *layer = &pass->encoder->layers[index];
    const assay_kept_layer *kept = &pass->layers[index];
    const assay_back_space *b = &pass->back;
    size_t n = pass->encoder->config->hidden, wide = pass->encoder->config->intermediate;
    const float *queried = kept->firsts ? b->going_panels : b->input_panels;
    out[0] = (weights_work){&layer->down, b->down, n, kept->rows, b->down_panels,
                            b->low_panels[DOWN]};
    out[1] = (weights_work){&layer->up, b->up, wide, kept->rows, b->up_panels,
                            b->low_panels[UP]};
    out[2] = (weights_work){&layer->key_value, b->key_value, 2 * n, pass->tokens,
                            b->input_panels, b->low_panels[KEY_VALUE]};
    out[3] = (weights_work){&layer->query, b->query, n, kept->rows, queried,
                            b->low_panels[QUERY]};
    out[4] = (weights_work){&layer->output, b->output, n, kept->rows, b->context_panels,
                            b->low_panels[OUTPUT]};
}

/* The first rows' own part. */
static void add_firsts(const assay_trained_pass *pass)
{
    size_t n = pass->encoder->config->hidden;
    for (size_t i = 0; i < pass->count; i++)
        assay_add_row(pass->back.tokens + pass->starts[i] * n, pass->back.going + i * n, n);
}

/* Item 0: what is little; then groups of weights. */
static void weights_back(const assay_trained_pass *pass, size_t index, size_t item,
                         const assay_worker_space *space)
{
    const assay_trained_layer *layer = &pass->encoder->layers[index];
    const assay_kept_layer *kept = &pass->layers[index];
    if (item == 0) {
        add_norms(pass, blocks_of(kept->rows), 0, &layer->output_norm);
        add_norms(pass, blocks_of(kept->rows), 1, &layer->down_norm);
        if (kept->firsts)
            add_firsts(pass);
        return;
    }
    weights_work work[LINEARS], *w = work;
    list_weights(pass, index, work);
    for (item--; item >= assay_trained_groups(w->linear); w++)
        item -= assay_trained_groups(w->linear);
    assay_trained_weights(w->linear, item, w->gradient, w->ld, w->rows, w->inputs,
                          w->low_inputs, space->narrow, space->turned, space->rounded);
}

static size_t weights_items(const assay_trained_pass *pass, size_t index)
{
    weights_work work[LINEARS];
    size_t items = 1;
    list_weights(pass, index, work);
    for (size_t i = 0; i < LINEARS; i++)
        items += assay_trained_groups(work[i].linear);
    return items;
}

/* Steps of a layer on the way back, after those forth where it is computed again. */
enum { BACK_FINISH, BACK_ATTEND, BACK_PROJECT, BACK_WEIGHTS, BACK_STEPS };

static size_t back_items(const assay_trained_pass *pass, size_t layer, size_t step)
{
    const assay_kept_layer *kept = &pass->layers[layer];
    switch (step) {
    case BACK_FINISH:
        return blocks_of(kept->rows);
    case BACK_ATTEND:
        return pass->count * pass->encoder->config->heads;
    case BACK_PROJECT:
        return blocks_of(pass->tokens) + (kept->firsts ? blocks_of(kept->rows) : 0);
    }
    return weights_items(pass, layer);
}

static void back_item(const assay_trained_pass *pass, size_t layer, size_t step, size_t item,
                      const assay_worker_space *space)
{
    size_t heads = pass->encoder->config->heads;
    if (step == BACK_FINISH)
        finish_back(pass, layer, item, space);
    else if (step == BACK_ATTEND)
        assay_attention_back(pass, layer, item / heads, item % heads, space);
    else if (step == BACK_PROJECT)
        project_back(pass, layer, item, space);
    else
        weights_back(pass, layer, item, space);
}

/* ---- Back through the embeddings ------------------------------------------------- */

static void embedded_back(const assay_trained_pass *pass, size_t item)
{
    const assay_trained_encoder *encoder = pass->encoder;
    size_t n = encoder->config->hidden;
    span s = block_at(item, pass->tokens);
    float *gradient = pass->back.tokens + s.first * n;
    assay_dropout dropout = embeddings_dropout(pass);
    drop_rows(&dropout, s.first, s.count, n, gradient);
    norm_back(pass, item, 0, &encoder->norm, pass->embedded_normal + s.first * n,
              pass->embedded_inverse + s.first, s.count, gradient);
}

/* Some columns of the gradients by a table's rows, token after token. */
static void table_back(const assay_trained_table *table, const uint32_t *rows,
                       const assay_trained_pass *pass, size_t first, size_t count)
{
    size_t n = pass->encoder->config->hidden;
    if (table->values == NULL)
        return;
    for (size_t t = 0; t < pass->tokens; t++)
        assay_add_row(table->gradient + rows[t] * n + first, pass->back.tokens + t * n + first,
                      count);
}

static void tables_back(const assay_trained_pass *pass, size_t item)
{
    const assay_trained_encoder *encoder = pass->encoder;
    if (item == 0) {
        add_norms(pass, blocks_of(pass->tokens), 0, &encoder->norm);
        return;
    }
    size_t first = (item - 1) * COLUMNS;
    size_t count = least(COLUMNS, encoder->config->hidden - first);
    table_back(&encoder->words, pass->ids, pass, first, count);
    table_back(&encoder->positions, pass->positions, pass, first, count);
    table_back(&encoder->types, pass->types, pass, first, count);
}

/* ---- All of it ------------------------------------------------------------------- */

static size_t steps_again(const assay_trained_pass *pass)
{
    return pass->encoder->recompute ? FORTH_STEPS : 0;
}

/* Steps of the last layer, of the one before, ... then two of the embeddings. */
static void back_step(void *context, size_t step, size_t item, uint32_t worker)
{
    const assay_trained_pass *pass = context;
    const assay_worker_space *space = &pass->workers[worker];
    size_t again = steps_again(pass), each = again + BACK_STEPS;
    size_t layers = pass->encoder->config->layers;
    if (step == layers * each)
        embedded_back(pass, item);
    else if (step > layers * each)
        tables_back(pass, item);
    else if (step % each < again)
        forth_item(pass, layers - 1 - step / each, step % each, item, space);
    else
        back_item(pass, layers - 1 - step / each, step % each - again, item, space);
}

void assay_trained_encoder_back(assay_trained_pass *pass)
{
    size_t counts[MOST_STEPS * MOST_LAYERS], steps = 0, again = steps_again(pass);
    const assay_model_config *config = pass->encoder->config;
    for (size_t i = config->layers; i-- > 0;) {
        for (size_t step = 0; step < again; step++)
            counts[steps++] = forth_items(pass, i, step);
        for (size_t step = 0; step < BACK_STEPS; step++)
            counts[steps++] = back_items(pass, i, step);
    }
    counts[steps++] = blocks_of(pass->tokens);
    counts[steps++] = 1 + (config->hidden + COLUMNS - 1) / COLUMNS;
    assay_loop_steps(counts, steps, worker_count(pass->encoder), back_step, pass);
}
