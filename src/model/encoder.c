/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.c: see encoder.h.
 *
 * Post-norm BERT. No padding exists, so there is no attention mask: sequences
 * are ragged, and attention runs sequence by sequence, head by head, in blocks
 * of query rows whose scores stay in the cache. The feed-forward part runs in
 * blocks of rows for the same reason. Every product is row by row the same
 * chain of operations (kernels.h), so neither kind of block shows in the bits.
 *
 * At int8 the rows that enter a linear layer are quantised one by one, with
 * several bytes for inputs that were found to grow large (calibration.h), and
 * queries, keys, values and probabilities of a head to 16 bits (kernels.h);
 * LayerNorm, residuals, pooling and the classification head stay fp32.
 *
 * With [CLS] pooling the last layer computes, after keys and values, the first
 * row of each sequence only: nothing else can reach the result.
 */
#include "model/encoder.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504f

enum {
    FEED_ROWS = 64,         /* rows of the feed-forward part at a time */
    QUERY_ROWS = 48,        /* rows of scores at a time, at most ... */
    QUERY_ROWS_LEAST = 12,  /* ... and at least, */
    SCORES = 24 * 1024,     /* of so many floats */
};

/* Places in one block's scratch. */
typedef struct scratch {
    float *x;       /* [tokens][hidden] */
    float *qkv;     /* [tokens][3 hidden] */
    float *context; /* [tokens][hidden] */
    float *feed;    /* [FEED_ROWS][intermediate] */
    float *first;   /* [sequences][hidden]: x of the first tokens */
    float *keys;    /* panels of one head's keys */
    float *values;  /* panels of one head's values */
    float *scores;  /* [query rows][scores_stride] */
    /* Of int8 only: */
    void *quantized;   /* rows that enter a linear layer */
    assay_i8_row *steps; /* [tokens] of those rows */
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
    const assay_encoder *encoder;
    const assay_kernels *kernels;
    const assay_sequence *sequences;
    size_t count;
    size_t tokens;
    size_t hidden, head_size;
    float scale; /* of scores: 1 / sqrt(head_size) */
    assay_audit *audit; /* NULL: none */
    assay_stopwatch *watch;
    scratch s;
} run;

static size_t round_up(size_t n)
{
    return (n + ASSAY_PANEL - 1) / ASSAY_PANEL * ASSAY_PANEL;
}

static size_t query_rows(size_t length)
{
    size_t rows = SCORES / round_up(length);
    if (rows < QUERY_ROWS_LEAST)
        return QUERY_ROWS_LEAST;
    return rows < QUERY_ROWS ? rows : QUERY_ROWS;
}

/* Floats of scores, for any length up to `longest`: not the longest's alone,
 * because shorter ones take more rows. */
static size_t scores_size(size_t longest)
{
    size_t most = QUERY_ROWS_LEAST * round_up(longest);
    return most > SCORES ? most : SCORES;
}

/* Takes `floats` from *at (NULL when only the size is wanted). */
static float *slice(float *base, size_t *used, size_t floats)
{
    float *place = base != NULL ? base + *used : NULL;
    *used += round_up(floats);
    return place;
}

/* Of a row that enters this layer. */
static size_t row_bytes(const assay_linear *layer)
{
    return layer->bytes ? assay_i8_row_size(layer->inputs)
                        : assay_bf16_row_size(layer->depth) * sizeof(uint16_t);
}

/* Of the rows that enter a linear layer, whichever takes most. */
static size_t quantized_bytes(const assay_encoder *encoder, size_t tokens)
{
    size_t most = 0;
    for (uint32_t i = 0; i < encoder->config->layers; i++) {
        const assay_layer *layer = &encoder->layers[i];
        size_t sizes[] = {tokens * row_bytes(&layer->query), tokens * row_bytes(&layer->output),
                          FEED_ROWS * row_bytes(&layer->up), FEED_ROWS * row_bytes(&layer->down)};
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            most = sizes[s] > most ? sizes[s] : most;
    }
    return most;
}

static size_t lay_out(const assay_encoder *encoder, size_t tokens, size_t sequences,
                      size_t longest, float *base, scratch *s)
{
    size_t used = 0, hidden = encoder->config->hidden;
    size_t head_size = hidden / encoder->config->heads;
    s->x = slice(base, &used, tokens * hidden);
    s->qkv = slice(base, &used, tokens * 3 * hidden);
    s->context = slice(base, &used, tokens * hidden);
    s->feed = slice(base, &used, (size_t)FEED_ROWS * encoder->config->intermediate);
    s->first = slice(base, &used, sequences * hidden);
    s->keys = slice(base, &used, assay_panels_size(longest, head_size));
    s->values = slice(base, &used, assay_panels_size(head_size, longest));
    s->scores = slice(base, &used, scores_size(longest));
    if (!encoder->bytes && !encoder->halves)
        return used;
    s->quantized = slice(base, &used, quantized_bytes(encoder, tokens) / sizeof(float) + 1);
    s->steps = (void *)slice(base, &used, 2 * (tokens > FEED_ROWS ? tokens : FEED_ROWS));
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

static void note_largest(const assay_linear *layer, const float *x, size_t ldx, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < layer->depth; k++) {
            float size = fabsf(x[i * ldx + k]);
            if (size > layer->largest[k])
                layer->largest[k] = isfinite(size) ? size : FLT_MAX;
        }
}

/* x's rows as the layer, and those beside it, want them. There is place for one
 * operand: the next call ends the last one. */
static operand operand_of(const run *r, const assay_linear *layer, const float *x, size_t ldx,
                          size_t rows)
{
    if (layer->largest != NULL)
        note_largest(layer, x, ldx, rows);
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
    if (r->audit != NULL)
        assay_audit_compare(r->audit, layer, rows, c, ldc);
}

static void normalise(const run *r, const assay_norm *norm, float *x, size_t rows)
{
    r->kernels->layer_norm_f32(x, r->hidden, rows, r->hidden, norm->gamma, norm->beta,
                               r->encoder->config->epsilon, x, r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_NORM);
}

/* word + type + position, added in that order, as transformers does. */
static void embed_token(const run *r, int32_t id, size_t type, size_t position, float *x,
                        float *other)
{
    const assay_encoder *encoder = r->encoder;
    assay_table_row(&encoder->words, (size_t)id, x);
    assay_table_row(&encoder->types, type < encoder->types.rows ? type : 0, other);
    for (size_t i = 0; i < r->hidden; i++)
        x[i] += other[i];
    assay_table_row(&encoder->positions, position, other);
    for (size_t i = 0; i < r->hidden; i++)
        x[i] += other[i];
}

/* A padding token that stands in a text has a position of its own and is not
 * counted, as in transformers. */
static void embed(const run *r)
{
    float *x = r->s.x;
    const int32_t padding = r->encoder->config->padding;
    for (size_t i = 0; i < r->count; i++) {
        const assay_sequence *sequence = &r->sequences[i];
        int32_t last = padding; /* position so far */
        for (size_t t = 0; t < sequence->count; t++, x += r->hidden) {
            int32_t id = sequence->ids[t];
            size_t position = (size_t)(id == padding ? padding : ++last);
            embed_token(r, id, t >= sequence->second, position, x, r->s.context);
        }
    }
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_EMBED);
    normalise(r, &r->encoder->norm, r->s.x, r->tokens);
}

/* One head of one sequence: `rows` queries q (leading dimension ldq) over
 * `length` keys and values; the result goes to out (leading dimension hidden). */
static void attend_head(const run *r, const float *q, size_t ldq, size_t rows, const float *k,
                        size_t length, float *out)
{
    size_t ld = round_up(length), step = query_rows(length), ldk = 3 * r->hidden;
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
static void attend_head_i16(const run *r, const float *q, size_t ldq, size_t rows,
                            const float *k, size_t length, float *out)
{
    const assay_kernels *kernels = r->kernels;
    const float *v = k + r->hidden;
    size_t ldk = 3 * r->hidden, size = r->head_size, even = size + size % 2;
    size_t ld = round_up(length), step = query_rows(length);
    int16_t *keys = (void *)r->s.keys, *values = (void *)r->s.values;
    float k_scale, v_scale, q_scale;
    kernels->quantize_i16(k, ldk, length, size, score_limit(size), r->s.head, &k_scale);
    kernels->pack_i16(r->s.head, even, length, size, keys);
    kernels->quantize_i16(v, ldk, length, size, (int32_t)ASSAY_I16_ONE, r->s.head, &v_scale);
    kernels->pack_transposed_i16(r->s.head, even, size, length, values);
    kernels->quantize_i16(q, ldq, rows, size, score_limit(size), r->s.head, &q_scale);
    float scale = q_scale * k_scale * r->scale * LOG2E;
    /* Without valid scores no result is. */
    float unit = isfinite(scale) ? v_scale / ASSAY_I16_ONE : NAN;
    for (size_t at = 0; at < rows; at += step) {
        size_t part = rows - at < step ? rows - at : step;
        kernels->gemm_i16(r->s.head + at * even, even, part, keys, length, size, scale,
                          r->s.scores, ld);
        kernels->softmax_i16(r->s.scores, ld, part, length, r->s.weights, ld);
        kernels->gemm_i16(r->s.weights, ld, part, values, size, length, unit,
                          out + at * r->hidden, r->hidden);
    }
}

/* Attention of every sequence. q has `ldq` floats a row; with first_only it
 * holds one row a sequence, and so does the context. */
static void attend(const run *r, const float *q, size_t ldq, bool first_only)
{
    const float *k = r->s.qkv + r->hidden;
    float *out = r->s.context;
    bool shorts = r->encoder->bytes || r->encoder->halves;
    for (size_t i = 0; i < r->count; i++) {
        size_t length = r->sequences[i].count, rows = first_only ? 1 : length;
        for (size_t head = 0; head < r->hidden; head += r->head_size)
            (shorts ? attend_head_i16 : attend_head)(r, q + head, ldq, rows, k + head, length,
                                                     out + head);
        q += rows * ldq;
        out += rows * r->hidden;
        k += length * 3 * r->hidden;
    }
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_ATTENTION);
}

/* The rest of a layer, after attention, on `rows` rows of x. */
static void finish_layer(const run *r, const assay_layer *layer, float *x, size_t rows)
{
    operand context = operand_of(r, &layer->output, r->s.context, r->hidden, rows);
    linear(r, &layer->output, &context, rows, ASSAY_ACTIVATION_NONE, x, x, r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_OUTPUT);
    normalise(r, &layer->output_norm, x, rows);
    size_t intermediate = r->encoder->config->intermediate;
    for (size_t at = 0; at < rows; at += FEED_ROWS) {
        size_t part = rows - at < FEED_ROWS ? rows - at : FEED_ROWS;
        float *y = x + at * r->hidden;
        operand in = operand_of(r, &layer->up, y, r->hidden, part);
        linear(r, &layer->up, &in, part, r->encoder->config->activation, NULL, r->s.feed,
               intermediate);
        assay_stopwatch_read(r->watch, ASSAY_OPERATION_UP);
        operand feed = operand_of(r, &layer->down, r->s.feed, intermediate, part);
        linear(r, &layer->down, &feed, part, ASSAY_ACTIVATION_NONE, y, y, r->hidden);
        assay_stopwatch_read(r->watch, ASSAY_OPERATION_DOWN);
    }
    normalise(r, &layer->down_norm, x, rows);
}

static void run_layer(const run *r, const assay_layer *layer)
{
    size_t ld = 3 * r->hidden;
    operand x = operand_of(r, &layer->query, r->s.x, r->hidden, r->tokens);
    linear(r, &layer->query, &x, r->tokens, ASSAY_ACTIVATION_NONE, NULL, r->s.qkv, ld);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_QUERY);
    linear(r, &layer->key_value, &x, r->tokens, ASSAY_ACTIVATION_NONE, NULL,
           r->s.qkv + r->hidden, ld);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_KEY_VALUE);
    attend(r, r->s.qkv, ld, false);
    finish_layer(r, layer, r->s.x, r->tokens);
}

/* The last layer for the first token of every sequence; states is its x. */
static void run_last_layer(const run *r, const assay_layer *layer, float *states)
{
    operand all = operand_of(r, &layer->query, r->s.x, r->hidden, r->tokens);
    linear(r, &layer->key_value, &all, r->tokens, ASSAY_ACTIVATION_NONE, NULL,
           r->s.qkv + r->hidden, 3 * r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_KEY_VALUE);
    const float *x = r->s.x;
    for (size_t i = 0; i < r->count; i++) {
        memcpy(states + i * r->hidden, x, r->hidden * sizeof *x);
        x += r->sequences[i].count * r->hidden;
    }
    operand firsts = operand_of(r, &layer->query, states, r->hidden, r->count);
    linear(r, &layer->query, &firsts, r->count, ASSAY_ACTIVATION_NONE, NULL, r->s.first,
           r->hidden);
    assay_stopwatch_read(r->watch, ASSAY_OPERATION_QUERY);
    attend(r, r->s.first, r->hidden, true);
    finish_layer(r, layer, states, r->count);
}

/* Token after token, so that the sum's order is fixed. */
static void pool_mean(const run *r, float *states)
{
    const float *x = r->s.x;
    for (size_t i = 0; i < r->count; i++, states += r->hidden) {
        size_t length = r->sequences[i].count;
        memset(states, 0, r->hidden * sizeof *states);
        for (size_t t = 0; t < length; t++, x += r->hidden)
            for (size_t j = 0; j < r->hidden; j++)
                states[j] += x[j];
        for (size_t j = 0; j < r->hidden; j++)
            states[j] /= (float)length;
    }
}

void assay_encoder_run(const assay_encoder *encoder, const assay_sequence *sequences,
                       size_t count, float *memory, float *states, assay_audit *audit,
                       assay_stopwatch *watch)
{
    const assay_model_config *config = encoder->config;
    run r = {
        .encoder = encoder,
        .kernels = assay_kernels_active(),
        .audit = audit,
        .watch = watch,
        .sequences = sequences,
        .count = count,
        .hidden = config->hidden,
        .head_size = config->hidden / config->heads,
    };
    r.scale = 1.0f / __builtin_sqrtf((float)r.head_size);
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        r.tokens += sequences[i].count;
        longest = sequences[i].count > longest ? sequences[i].count : longest;
    }
    lay_out(encoder, r.tokens, count, longest, memory, &r.s);
    assay_stopwatch_start(watch);
    embed(&r);
    bool cls = config->pooling == ASSAY_POOLING_CLS;
    uint32_t whole = cls ? config->layers - 1 : config->layers;
    for (uint32_t i = 0; i < whole; i++)
        run_layer(&r, &encoder->layers[i]);
    if (cls)
        run_last_layer(&r, &encoder->layers[whole], states);
    else
        pool_mean(&r, states);
}

assay_status assay_encoder_try(const assay_encoder *encoder, const assay_encoding *text,
                               assay_audit *audit, assay_error *error)
{
    assay_sequence sequence = {.ids = text->ids, .count = (uint32_t)text->count};
    while (sequence.second < sequence.count && text->types[sequence.second] == 0)
        sequence.second++;
    size_t floats = assay_encoder_scratch(encoder, text->count, 1, text->count);
    size_t bytes = assay_arena_need((floats + encoder->config->hidden) * sizeof(float));
    float *memory = aligned_alloc(ASSAY_ALIGNMENT, bytes);
    if (memory == NULL)
        return assay_fail_memory(error, bytes);
    assay_encoder_run(encoder, &sequence, 1, memory, memory + floats, audit, NULL);
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
