/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.c: see encoder.h.
 *
 * Post-norm BERT. No padding exists, so there is no attention mask: sequences
 * are ragged, and attention runs sequence by sequence, head by head, in blocks
 * of query rows whose scores stay in the cache. All else runs on blocks of ROWS
 * rows: enough to be worth the weights' way to the cache. Every product is row by
 * row the same chain of operations (kernels.h), so neither kind of block shows in
 * the bits.
 *
 * At int8 the rows that enter a linear layer are quantised one by one, with
 * several bytes for inputs that were found to grow large (calibration.h), and
 * queries, keys, values and probabilities of a head to 16 bits (kernels.h);
 * LayerNorm, residuals, pooling and the classification head stay fp32.
 *
 * With [CLS] pooling the last layer computes, after keys and values, the first
 * row of each sequence only: nothing else can reach the result.
 *
 * In the lower layers of a model that is split (encoder.h) each text of a pair is
 * attended to as if it were a sequence by itself. All else works on rows, so a pair's
 * way through all layers gives the bits of both texts' ways to the split, and from there.
 */
#include "model/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504f

enum {
    ROWS = 288,             /* rows of an item, at most, */
    ROWS_SHARED = 64,       /* and where threads share a block, so that all have some */
    ROWS_LEAST = 8,
    QUERY_ROWS = 48,        /* rows of scores at a time, at most ... */
    QUERY_ROWS_LEAST = 12,  /* ... and at least, */
    SCORES = 24 * 1024,     /* of so many floats */
};

/* Places in scratch. */
typedef struct scratch {
    /* One for a block: */
    float *x;       /* [tokens][hidden] */
    float *qkv;     /* [tokens][3 hidden] */
    float *context; /* [tokens][hidden] */
    float *first;   /* [sequences][hidden]: queries of the first tokens */
    /* One for a thread: */
    float *feed;    /* [ROWS][intermediate] */
    float *keys;    /* panels of one head's keys */
    float *values;  /* panels of one head's values */
    float *scores;  /* [query rows][scores_stride] */
    /* Of int8 only: */
    void *quantized;   /* rows that enter a linear layer */
    assay_i8_row *steps; /* of those rows */
    int16_t *head;     /* one head's rows of queries, keys or values */
    int16_t *weights;  /* probabilities, in the place of scores */
} scratch;

/* Rows on their way into linear layers. */
typedef struct operand {
    const void *rows;          /* floats, or a set's own form of integers */
    const float *floats;       /* what the rows were made of */
    size_t ld;                 /* of floats */
    const assay_i8_row *steps; /* of integers */
} operand;

typedef struct run {
    const assay_pass *pass;
    const assay_encoder *encoder;
    const assay_kernels *kernels;
    size_t hidden, head_size;
    float scale; /* of scores: 1 / sqrt(head_size) */
    assay_audit *audit; /* NULL: none */
    assay_stopwatch *watch;
    scratch s;
} run;

static size_t query_rows(size_t length)
{
    size_t rows = SCORES / assay_whole_panels(length);
    if (rows < QUERY_ROWS_LEAST)
        return QUERY_ROWS_LEAST;
    return rows < QUERY_ROWS ? rows : QUERY_ROWS;
}

/* Floats of scores, for any length up to `longest`: not the longest's alone,
 * because shorter ones take more rows. */
static size_t scores_size(size_t longest)
{
    size_t most = QUERY_ROWS_LEAST * assay_whole_panels(longest);
    return most > SCORES ? most : SCORES;
}

/* Takes `floats` from *at (NULL when only the size is wanted). */
static float *slice(float *base, size_t *used, size_t floats)
{
    float *place = base != NULL ? base + *used : NULL;
    *used += assay_whole_panels(floats);
    return place;
}

/* Of a row that enters this layer. */
static size_t row_bytes(const assay_linear *layer)
{
    return layer->bytes ? assay_i8_row_size(layer->inputs)
                        : assay_bf16_row_size(layer->depth) * sizeof(uint16_t);
}

/* Of an item's rows that enter a linear layer, whichever takes most. */
static size_t quantized_bytes(const assay_encoder *encoder, size_t rows)
{
    size_t most = 0;
    for (uint32_t i = 0; i < encoder->config->layers; i++) {
        const assay_layer *layer = &encoder->layers[i];
        size_t sizes[] = {rows * row_bytes(&layer->query), rows * row_bytes(&layer->output),
                          rows * row_bytes(&layer->up), rows * row_bytes(&layer->down)};
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            most = sizes[s] > most ? sizes[s] : most;
    }
    return most;
}

static size_t lay_out(const assay_encoder *encoder, size_t tokens, size_t sequences,
                      size_t longest, float *base, scratch *s)
{
    size_t used = 0, hidden = encoder->config->hidden;
    size_t head_size = hidden / encoder->config->heads, rows = tokens < ROWS ? tokens : ROWS;
    s->x = slice(base, &used, tokens * hidden);
    s->qkv = slice(base, &used, tokens * 3 * hidden);
    s->context = slice(base, &used, tokens * hidden);
    s->first = slice(base, &used, sequences * hidden);
    s->feed = slice(base, &used, rows * encoder->config->intermediate);
    s->keys = slice(base, &used, assay_panels_size(longest, head_size));
    s->values = slice(base, &used, assay_panels_size(head_size, longest));
    s->scores = slice(base, &used, scores_size(longest));
    if (!encoder->bytes && !encoder->halves)
        return used;
    s->quantized = slice(base, &used, quantized_bytes(encoder, rows) / sizeof(float) + 1);
    s->steps = (void *)slice(base, &used, 2 * rows);
    s->head = (void *)slice(base, &used, longest * (head_size + 1) / 2 + 1);
    s->weights = (void *)slice(base, &used, scores_size(longest) / 2);
    return used;
}

size_t assay_encoder_scratch(const assay_encoder *encoder, size_t tokens, size_t sequences,
                             size_t longest)
{
    scratch s;
    return lay_out(encoder, tokens, sequences, longest, NULL, &s);
}

/* x's rows as the layer, and those beside it, want them. There is place for one
 * operand: the next call ends the last one. */
static operand operand_of(const run *r, const assay_linear *layer, const float *x, size_t ldx,
                          size_t rows)
{
    if (layer->observed != NULL)
        assay_observe(layer->observed, x, ldx, rows);
    if (layer->halves) {
        r->kernels->round_bf16(x, ldx, rows, layer->depth, r->s.quantized);
        assay_stopwatch_read(r->watch, ASSAY_OPERATION_QUANTIZE);
        return (operand){.rows = r->s.quantized, .floats = x, .ld = ldx};
    }
    if (!layer->bytes)
        return (operand){.rows = x, .floats = x, .ld = ldx};
    r->kernels->quantize_i8(x, ldx, rows, layer->inputs, r->s.quantized, r->s.steps);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_QUANTIZE);
    return (operand){.rows = r->s.quantized, .floats = x, .ld = ldx, .steps = r->s.steps};
}

/* Adds what int8 left of a layer's refined rows. Only `down` has any (bert.c): no
 * activation comes between, there are ROWS rows at most, and scores are not wanted. */
static void add_rests(const run *r, const assay_linear *layer, const operand *a, size_t rows,
                      float *c, size_t ldc)
{
    const assay_refined *refined = layer->parts[0].refined;
    const assay_linear *rests = layer->rests;
    float *more = r->s.scores;
    r->kernels->gemm_i8(a->rows, a->steps, rows, rests->panels, rests->scales, rests->columns,
                        rests->inputs, NULL, more, ASSAY_PANEL);
    for (size_t i = 0; i < rows; i++, c += ldc, more += ASSAY_PANEL)
        for (size_t k = 0; k < refined->count; k++)
            c[refined->rows[k]] += more[k];
}

static void linear(const run *r, const assay_linear *layer, const operand *a, size_t rows,
                   assay_activation activation, const float *residual, float *c, size_t ldc)
{
    assay_epilogue epilogue = {.bias = layer->bias,
                               .residual = residual,
                               .ld_residual = ldc,
                               .activation = activation};
    if (r->audit != NULL)
        assay_audit_expect(r->audit, layer, a->floats, a->ld, rows, &epilogue);
    if (layer->bytes)
        r->kernels->gemm_i8(a->rows, a->steps, rows, layer->panels, layer->scales,
                            layer->columns, layer->inputs, &epilogue, c, ldc);
    else if (layer->halves)
        r->kernels->gemm_bf16(a->rows, rows, layer->panels, layer->columns, layer->depth,
                              &epilogue, c, ldc);
    else
        r->kernels->gemm_f32(a->rows, a->ld, rows, layer->panels, layer->columns, layer->depth,
                             &epilogue, c, ldc);
    if (layer->bytes && layer->rests != NULL)
        add_rests(r, layer, a, rows, c, ldc);
    if (r->audit != NULL)
        assay_audit_compare(r->audit, layer, rows, c, ldc);
}

static void normalise(const run *r, const assay_norm *norm, float *x, size_t rows)
{
    r->kernels->layer_norm_f32(x, r->hidden, rows, r->hidden, norm->gamma, norm->beta,
                               r->encoder->config->epsilon, x, r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_NORM);
}

/* x += y, in whole panels as long as there are some: compilers make vectors of these. */
static void add(float *restrict x, const float *restrict y, size_t n)
{
    size_t i = 0;
    for (; i + ASSAY_PANEL <= n; i += ASSAY_PANEL)
        for (size_t l = 0; l < ASSAY_PANEL; l++)
            x[i + l] += y[i + l];
    for (; i < n; i++)
        x[i] += y[i];
}

/* word + type + position, added in that order, as transformers does. */
static void embed_token(const run *r, int32_t id, size_t type, size_t position, float *x,
                        float *other)
{
    const assay_encoder *encoder = r->encoder;
    assay_table_row(&encoder->words, (size_t)id, x);
    assay_table_row(&encoder->types, type < encoder->types.rows ? type : 0, other);
    add(x, other, r->hidden);
    assay_table_row(&encoder->positions, position, other);
    add(x, other, r->hidden);
}

/* A padding token that stands in a text has a position of its own and is not
 * counted, as in transformers. */
static void embed(const run *r, size_t first, size_t end)
{
    const int32_t padding = r->encoder->config->padding;
    size_t row = 0;
    for (size_t i = 0; i < r->pass->count && row < end; i++) {
        const assay_sequence *sequence = &r->pass->sequences[i];
        int32_t last = padding; /* position so far */
        for (size_t t = 0; t < sequence->count && row < end; t++, row++) {
            if (r->encoder->config->split > 0 && t == sequence->second)
                last = padding + (int32_t)r->encoder->config->second_position;
            int32_t id = sequence->ids[t];
            size_t position = (size_t)(id == padding ? padding : ++last), at = row * r->hidden;
            if (row >= first)
                embed_token(r, id, t >= sequence->second, position, r->s.x + at,
                            r->s.context + at);
        }
    }
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_EMBED);
    normalise(r, &r->encoder->norm, r->s.x + first * r->hidden, end - first);
}

/* Some rows of what the lower layers made of a text. */
static void load_states(const run *r, const assay_states *states, size_t first, size_t count,
                        float *x)
{
    if (states->floats != NULL) {
        memcpy(x, states->floats + first * r->hidden, count * r->hidden * sizeof *x);
        return;
    }
    for (size_t t = first; t < first + count; t++, x += r->hidden) {
        const int8_t *row = states->bytes + t * r->hidden;
        for (size_t i = 0; i < r->hidden; i++)
            x[i] = (float)row[i] * states->steps[t];
    }
}

/* In the place of embeddings and lower layers. */
static void load(const run *r, size_t first, size_t end)
{
    size_t row = 0;
    for (size_t i = 0; i < r->pass->count && row < end; i++) {
        const assay_sequence *s = &r->pass->sequences[i];
        const size_t counts[] = {s->second, s->count - s->second};
        for (size_t text = 0; text < 2; row += counts[text++]) {
            size_t from = row < first ? first - row : 0;
            size_t to = row + counts[text] > end ? (end > row ? end - row : 0) : counts[text];
            if (from < to)
                load_states(r, &s->below[text], from, to - from,
                            r->s.x + (row + from) * r->hidden);
        }
    }
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_EMBED);
}

/* One head of one sequence: the rows [first, end) of its `rows` queries over its
 * `length` keys and values. */
typedef struct head {
    const float *q;    /* [rows][ldq] */
    const float *k;    /* [length][3 hidden], the values being hidden floats on */
    float *out;        /* [rows][hidden] */
    size_t ldq, rows, first, end, length;
} head;

static void attend_head(const run *r, const head *h)
{
    size_t length = h->length, rows = h->end - h->first, ldq = h->ldq;
    const float *k = h->k, *q = h->q + h->first * ldq;
    float *out = h->out + h->first * r->hidden;
    size_t ld = assay_whole_panels(length), step = query_rows(length), ldk = 3 * r->hidden;
    const float *v = k + r->hidden;
    r->kernels->pack_f32(k, ldk, length, r->head_size, r->s.keys);
    r->kernels->pack_transposed_f32(v, ldk, r->head_size, length, r->s.values);
    for (size_t at = 0; at < rows; at += step) {
        size_t part = rows - at < step ? rows - at : step;
        r->kernels->gemm_f32(q + at * ldq, ldq, part, r->s.keys, length, r->head_size, NULL,
                             r->s.scores, ld);
        r->kernels->softmax_f32(r->s.scores, ld, part, length, r->scale);
        r->kernels->gemm_f32(r->s.scores, ld, part, r->s.values, r->head_size, length, NULL,
                             out + at * r->hidden, r->hidden);
    }
}

/* Queries and keys may be as large as this without a sum of their products
 * leaving 32 bits. */
static int32_t score_limit(size_t head_size)
{
    return (int32_t)__builtin_sqrt(2147483647.0 / (double)head_size);
}

/* The same on 16 bits. */
static void attend_head_i16(const run *r, const head *h)
{
    const assay_kernels *kernels = r->kernels;
    const float *k = h->k, *v = k + r->hidden;
    size_t length = h->length;
    size_t ldk = 3 * r->hidden, size = r->head_size, even = size + size % 2;
    size_t ld = assay_whole_panels(length), step = query_rows(length);
    int16_t *keys = (void *)r->s.keys, *values = (void *)r->s.values;
    float k_scale, v_scale, q_scale;
    kernels->quantize_i16(k, ldk, length, size, score_limit(size), r->s.head, &k_scale);
    kernels->pack_i16(r->s.head, even, length, size, keys);
    kernels->quantize_i16(v, ldk, length, size, (int32_t)ASSAY_I16_ONE, r->s.head, &v_scale);
    kernels->pack_transposed_i16(r->s.head, even, size, length, values);
    kernels->quantize_i16(h->q, h->ldq, h->rows, size, score_limit(size), r->s.head, &q_scale);
    float scale = q_scale * k_scale * r->scale * LOG2E;
    /* Without valid scores no result is. */
    float unit = isfinite(scale) ? v_scale / ASSAY_I16_ONE : NAN;
    for (size_t at = h->first; at < h->end; at += step) {
        size_t part = h->end - at < step ? h->end - at : step;
        kernels->sums_i16(r->s.head + at * even, even, part, keys, length, size,
                          (int32_t *)(void *)r->s.scores, ld);
        kernels->softmax_i16(r->s.scores, ld, part, length, scale, r->s.weights, ld);
        kernels->gemm_i16(r->s.weights, ld, part, values, size, length, unit,
                          h->out + at * r->hidden, r->hidden);
    }
}

/* Whether this layer, and what follows, is for the first rows alone. */
static bool first_only(const run *r, size_t layer)
{
    const assay_model_config *config = r->encoder->config;
    return config->pooling == ASSAY_POOLING_CLS && layer + 1 == config->layers;
}

/* A part of a head's queries. */
static void attend_part(const run *r, head *h, size_t part)
{
    h->first = h->rows * part / r->pass->parts;
    h->end = h->rows * (part + 1) / r->pass->parts;
    if (h->first < h->end)
        (r->encoder->bytes || r->encoder->halves ? attend_head_i16 : attend_head)(r, h);
}

/* The head of `count` rows from `row` on, which begins in this column. */
static head head_at(const run *r, size_t row, size_t count, size_t column)
{
    return (head){.q = r->s.qkv + row * 3 * r->hidden + column,
                  .k = r->s.qkv + (row * 3 + 1) * r->hidden + column,
                  .out = r->s.context + row * r->hidden + column,
                  .ldq = 3 * r->hidden,
                  .rows = count,
                  .length = count};
}

/* Of a sequence whose texts see each other. */
static void attend_joined(const run *r, bool first, size_t sequence, size_t row, size_t column,
                          size_t part)
{
    const assay_sequence *s = &r->pass->sequences[sequence];
    head h = head_at(r, row, s->count, column);
    h.length -= s->unseen;
    if (first) {
        h.q = r->s.first + sequence * r->hidden + column;
        h.out = r->s.context + sequence * r->hidden + column;
        h.ldq = r->hidden;
        h.rows = 1;
    }
    attend_part(r, &h, part);
}

/* Of each text by itself. */
static void attend_apart(const run *r, size_t sequence, size_t row, size_t column, size_t part)
{
    const assay_sequence *s = &r->pass->sequences[sequence];
    head first = head_at(r, row, s->second, column);
    head second = head_at(r, row + s->second, s->count - s->second, column);
    attend_part(r, &first, part);
    attend_part(r, &second, part);
}

/* A sequence, a head of it, or a part of that. */
static void attend(const run *r, size_t layer, size_t item)
{
    const assay_pass *pass = r->pass;
    size_t groups = r->encoder->config->heads / pass->heads, part = item % pass->parts;
    size_t from = item / pass->parts % groups * pass->heads;
    size_t sequence = item / pass->parts / groups, row = 0;
    for (size_t i = 0; i < sequence; i++)
        row += pass->sequences[i].count;
    bool apart = layer < r->encoder->config->split;
    for (size_t i = from; i < from + pass->heads; i++)
        if (apart)
            attend_apart(r, sequence, row, i * r->head_size, part);
        else
            attend_joined(r, first_only(r, layer), sequence, row, i * r->head_size, part);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_ATTENTION);
}

/* The rest of a layer, after attention, on `rows` rows of x. */
static void finish_layer(const run *r, size_t index, const float *attended, float *x, size_t rows)
{
    const assay_layer *layer = &r->encoder->layers[index];
    operand context = operand_of(r, &layer->output, attended, r->hidden, rows);
    linear(r, &layer->output, &context, rows, ASSAY_ACTIVATION_NONE, x, x, r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_OUTPUT);
    normalise(r, &layer->output_norm, x, rows);
    size_t intermediate = r->encoder->config->intermediate;
    operand in = operand_of(r, &layer->up, x, r->hidden, rows);
    linear(r, &layer->up, &in, rows, r->encoder->config->activation, NULL, r->s.feed,
           intermediate);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_UP);
    operand feed = operand_of(r, &layer->down, r->s.feed, intermediate, rows);
    linear(r, &layer->down, &feed, rows, ASSAY_ACTIVATION_NONE, x, x, r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_DOWN);
    normalise(r, &layer->down_norm, x, rows);
}

/* Queries, and what goes on, of the sequences that begin among these rows. */
static void project_firsts(const run *r, const assay_layer *layer, size_t first, size_t end)
{
    const assay_pass *pass = r->pass;
    size_t row = 0, from = 0, count = 0;
    for (size_t i = 0; i < pass->count && row < end; row += pass->sequences[i++].count) {
        if (row < first)
            continue;
        from = count++ == 0 ? i : from;
        memcpy(pass->states + i * r->hidden, r->s.x + row * r->hidden, r->hidden * sizeof(float));
    }
    operand firsts = operand_of(r, &layer->query, pass->states + from * r->hidden, r->hidden,
                                count);
    linear(r, &layer->query, &firsts, count, ASSAY_ACTIVATION_NONE, NULL,
           r->s.first + from * r->hidden, r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_QUERY);
}

/* Queries, keys and values. */
static void project(const run *r, size_t index, size_t first, size_t end)
{
    const assay_layer *layer = &r->encoder->layers[index];
    size_t ld = 3 * r->hidden, rows = end - first;
    float *qkv = r->s.qkv + first * ld;
    operand x = operand_of(r, &layer->query, r->s.x + first * r->hidden, r->hidden, rows);
    if (!first_only(r, index)) {
        linear(r, &layer->query, &x, rows, ASSAY_ACTIVATION_NONE, NULL, qkv, ld);
        assay_stopwatch_read(r->watch, ASSAY_OPERATION_QUERY);
    }
    linear(r, &layer->key_value, &x, rows, ASSAY_ACTIVATION_NONE, NULL, qkv + r->hidden, ld);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_KEY_VALUE);
    if (first_only(r, index))
        project_firsts(r, layer, first, end);
}

/* Token after token, so that the sum's order is fixed. */
static void pool_mean(const run *r, float *states)
{
    const float *x = r->s.x;
    for (size_t i = 0; i < r->pass->count; i++, states += r->hidden) {
        size_t length = r->pass->sequences[i].count;
        memset(states, 0, r->hidden * sizeof *states);
        for (size_t t = 0; t < length; t++, x += r->hidden)
            for (size_t j = 0; j < r->hidden; j++)
                states[j] += x[j];
        for (size_t j = 0; j < r->hidden; j++)
            states[j] /= (float)length;
    }
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_HEAD);
}

static float *tokens_of(const run *r)
{
    return r->encoder->projection.columns > 0 ? r->s.qkv : r->s.x;
}

/* In the place of queries, keys and values, which is large enough. */
static void project_tokens(const run *r)
{
    const assay_linear *projection = &r->encoder->projection;
    operand x = {.rows = r->s.x, .floats = r->s.x, .ld = r->hidden};
    if (projection->columns > 0)
        linear(r, projection, &x, r->pass->tokens, ASSAY_ACTIVATION_NONE, NULL, tokens_of(r),
               projection->columns);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_HEAD);
}

/* ---- A pass ------------------------------------------------------------------- */

/*
 * Steps of layer i, counted from the pass's first:
 *                   2 i      rows: the rest of layer i - 1, or embeddings; q, k, v
 *                   2 i + 1  heads
 * then, of L layers 2 L      the rest of the last one: the first rows, or all,
 *                   2 L + 1  and, of the model's last one, their mean, or projection.
 */
size_t assay_pass_steps(const assay_pass *pass)
{
    const assay_model_config *config = pass->encoder->config;
    bool more = pass->end == config->layers && config->pooling != ASSAY_POOLING_CLS;
    return 2 * ((size_t)pass->end - pass->begin) + (more ? 2 : 1);
}

size_t assay_pass_most_steps(const assay_encoder *encoder)
{
    return 2 * (size_t)encoder->config->layers + 2;
}

assay_pass assay_pass_of(const assay_encoder *encoder, assay_stretch stretch,
                         const assay_sequence *sequences, size_t count, uint32_t threads,
                         float *memory, float *states)
{
    const assay_model_config *config = encoder->config;
    assay_pass pass = {.encoder = encoder,
                       .begin = stretch == ASSAY_STRETCH_JOINED ? config->split : 0,
                       .end = stretch == ASSAY_STRETCH_APART ? config->split : config->layers,
                       .sequences = sequences, .count = count, .rows = ROWS,
                       .heads = config->heads, .parts = 1, .memory = memory, .states = states};
    for (size_t i = 0; i < count; i++) {
        pass.tokens += sequences[i].count;
        pass.longest = sequences[i].count > pass.longest ? sequences[i].count : pass.longest;
    }
    if (threads < 2)
        return pass;
    size_t turns = (pass.tokens + threads * ROWS_SHARED - 1) / (threads * ROWS_SHARED);
    pass.rows = (pass.tokens + turns * threads - 1) / (turns * threads);
    if (pass.rows < ROWS_LEAST)
        pass.rows = ROWS_LEAST;
    size_t heads = config->heads * count;
    pass.heads = 1;
    pass.parts = heads < 2 * threads ? (2 * threads + heads - 1) / heads : 1;
    return pass;
}

size_t assay_pass_items(const assay_pass *pass, size_t step)
{
    const assay_model_config *config = pass->encoder->config;
    size_t layer = pass->begin + step / 2;
    if (layer < pass->end && step % 2 == 1)
        return pass->count * (config->heads / pass->heads) * pass->parts;
    if (layer == config->layers && (step % 2 == 1 || config->pooling == ASSAY_POOLING_CLS))
        return 1;
    return (pass->tokens + pass->rows - 1) / pass->rows;
}

static void run_rows(const run *r, size_t layer, size_t item)
{
    size_t first = item * r->pass->rows, end = first + r->pass->rows;
    if (end > r->pass->tokens)
        end = r->pass->tokens;
    size_t at = first * r->hidden;
    if (layer > r->pass->begin)
        finish_layer(r, layer - 1, r->s.context + at, r->s.x + at, end - first);
    else if (layer > 0)
        load(r, first, end);
    else
        embed(r, first, end);
    if (layer < r->pass->end)
        project(r, layer, first, end);
}

/* Scratch of the block and of this thread. */
static void find_scratch(const assay_pass *pass, float *own, scratch *s)
{
    scratch shared;
    lay_out(pass->encoder, pass->tokens, pass->count, pass->longest, pass->memory, &shared);
    lay_out(pass->encoder, pass->tokens, pass->count, pass->longest, own, s);
    s->x = shared.x;
    s->qkv = shared.qkv;
    s->context = shared.context;
    s->first = shared.first;
}

void assay_pass_item(const assay_pass *pass, size_t step, size_t item, float *memory,
                     assay_audit *audit, assay_stopwatch *watch)
{
    const assay_model_config *config = pass->encoder->config;
    run r = {
        .pass = pass,
        .encoder = pass->encoder,
        .kernels = assay_kernels_active(),
        .audit = audit,
        .watch = watch,
        .hidden = config->hidden,
        .head_size = config->hidden / config->heads,
    };
    r.scale = 1.0f / __builtin_sqrtf((float)r.head_size);
    find_scratch(pass, memory, &r.s);
    assay_stopwatch_start(watch);
    size_t layer = pass->begin + step / 2, layers = config->layers;
    if (layer < layers && step % 2 == 1)
        attend(&r, layer, item);
    else if (layer == layers && step % 2 == 1 && config->pooling == ASSAY_POOLING_TOKENS)
        project_tokens(&r);
    else if (layer == layers && step % 2 == 1)
        pool_mean(&r, pass->states);
    else if (layer == layers && config->pooling == ASSAY_POOLING_CLS)
        finish_layer(&r, layers - 1, r.s.context, pass->states, pass->count);
    else
        run_rows(&r, layer, item);
}

void assay_encoder_run(const assay_encoder *encoder, assay_stretch stretch,
                       const assay_sequence *sequences, size_t count, float *memory,
                       float *states, assay_audit *audit, assay_stopwatch *watch)
{
    assay_pass pass = assay_pass_of(encoder, stretch, sequences, count, 1, memory, states);
    for (size_t step = 0; step < assay_pass_steps(&pass); step++)
        for (size_t item = 0; item < assay_pass_items(&pass, step); item++)
            assay_pass_item(&pass, step, item, memory, audit, watch);
}

size_t assay_encoder_dimensions(const assay_encoder *encoder)
{
    size_t columns = encoder->projection.columns;
    return columns > 0 ? columns : encoder->config->hidden;
}

float *assay_encoder_tokens(const assay_encoder *encoder, const assay_sequence *sequences,
                            size_t count, float *memory)
{
    assay_pass pass = assay_pass_of(encoder, ASSAY_STRETCH_ALL, sequences, count, 1, memory, NULL);
    run r = {.pass = &pass, .encoder = encoder};
    find_scratch(&pass, memory, &r.s);
    return tokens_of(&r);
}

assay_status assay_encoder_try(const assay_encoder *encoder, const assay_encoding *text,
                               assay_audit *audit, assay_error *error)
{
    assay_sequence sequence = {.ids = text->ids, .count = (uint32_t)text->count};
    if (encoder->config->split > 0 && sequence.count > assay_split_room(encoder->config))
        sequence.count = assay_split_room(encoder->config);
    while (sequence.second < sequence.count && text->types[sequence.second] == 0)
        sequence.second++;
    size_t floats = assay_encoder_scratch(encoder, text->count, 1, text->count);
    size_t bytes = assay_arena_need((floats + encoder->config->hidden) * sizeof(float));
    float *memory = aligned_alloc(ASSAY_ALIGNMENT, bytes);
    if (memory == NULL)
        return assay_fail_memory(error, bytes);
    assay_encoder_run(encoder, ASSAY_STRETCH_ALL, &sequence, 1, memory, memory + floats, audit,
                      NULL);
    free(memory);
    return ASSAY_OK;
}

void assay_encoder_classify(const assay_encoder *encoder, const float *states, size_t count,
                            float *memory, float *logits)
{
    size_t hidden = encoder->config->hidden;
    run r = {.encoder = encoder, .kernels = assay_kernels_active(), .hidden = hidden};
    operand pooled = {.rows = states, .ld = hidden}, hidden_state = {.rows = memory, .ld = hidden};
    linear(&r, &encoder->pooler, &pooled, count, ASSAY_ACTIVATION_TANH, NULL, memory, hidden);
    linear(&r, &encoder->classifier, &hidden_state, count, ASSAY_ACTIVATION_NONE, NULL, logits,
           1);
}
