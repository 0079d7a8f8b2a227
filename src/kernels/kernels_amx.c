/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_amx.c: the products of bytes and of bfloat16 on tiles (Intel AMX). A
 * tile is sixteen rows of 64 bytes; one instruction multiplies two of them and
 * adds the product to a third, which holds 16 x 16 sums. Rows and panels have the
 * form that avx512vnni and avx512bf16 give them: sixteen groups of 4 bytes along
 * the depth of a panel are a tile as the instructions want it. The set's other
 * kernels are those of these sets.
 *
 * Two by two tiles of sums are in use, two of rows and two of panels, all eight.
 *
 * Tiles are configured and released in every call, so that nothing need be known
 * of a thread before or after it: a thread that keeps tiles has 8 KiB more to be
 * saved when it is switched away from, and keeps its core from sleeping deeply.
 * That is some hundred cycles beside the thousands of the smallest layer.
 */
#include "kernels/kernels_sets.h"
#include "kernels/vector_avx512.h"

#define TILE_PANELS 2

#define BYTE_OFFSET 128 /* as in kernels_avx512vnni.c */

#include "kernels/vector_epilogue.inc"

#include "kernels/integer_epilogue.inc"

enum {
    HEIGHT = 16,            /* rows of a tile */
    ROW_BYTES = 64,         /* of a tile */
    TILE_BYTES = HEIGHT * ROW_BYTES,
    MOST_ROWS = 2 * HEIGHT, /* rows of sums at a time */
};

/* The tiles: sums [upper|lower][left|right], two of rows, two of panels. */
#define UPPER_LEFT "%%tmm0"
#define UPPER_RIGHT "%%tmm1"
#define LOWER_LEFT "%%tmm2"
#define LOWER_RIGHT "%%tmm3"
#define UPPER "%%tmm4"
#define LOWER "%%tmm5"
#define LEFT "%%tmm6"
#define RIGHT "%%tmm7"

/* Not the intrinsics: those of gcc 12 do not tell it that memory is read. */
#define LOAD(tile, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), " tile : : "r"(from), "r"((size_t)(stride)) : "memory")
#define STORE(tile, to, stride) \
    __asm__ volatile("tilestored " tile ", (%0,%1,1)" : : "r"(to), "r"((size_t)(stride)) : "memory")
#define DOT(instruction, sums, rows, panel) \
    __asm__ volatile(instruction " " panel ", " rows ", " sums : :)

/* What ldtilecfg reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* For `rows` rows of sums, at most MOST_ROWS. A tile without rows is none. */
static void configure(size_t rows)
{
    uint8_t upper = (uint8_t)MIN(rows, HEIGHT), lower = (uint8_t)(rows - upper);
    tile_config config = {.palette = 1,
                          .rows = {upper, upper, lower, lower, upper, lower, HEIGHT, HEIGHT}};
    for (size_t t = 0; t < 8; t++)
        config.row_bytes[t] = config.rows[t] ? ROW_BYTES : 0;
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

/* What is multiplied, of either type. Rows lie end to end. */
typedef struct operands {
    const uint8_t *a, *panels;
    size_t rows, columns;
    size_t width;  /* bytes of a row, and a sixteenth of a panel's without its header */
    size_t header; /* bytes */
} operands;

static size_t panel_bytes(const operands *o)
{
    return o->header + HEIGHT * o->width;
}

/* The panel at column j, behind its header. */
static const uint8_t *panel_at(const operands *o, size_t j)
{
    return o->panels + j / LANES * panel_bytes(o) + o->header;
}

/* The panel beside it; where there is none, the same one once more. */
static const uint8_t *panel_after(const operands *o, size_t j)
{
    return panel_at(o, j) + (o->columns - j > LANES ? panel_bytes(o) : 0);
}

/* Where rows are no whole tiles wide, the last tile of a panel is filled up with
 * zeros, two of them at j here. A row's last one then goes on into what stands
 * behind it, which the zeros undo: bytes hold no NaN (kernels.h has place behind
 * the last row). */
static void fill_last(const operands *o, size_t j, uint8_t last[2 * TILE_BYTES])
{
    size_t rest = o->width % ROW_BYTES, at = (o->width - rest) * HEIGHT;
    if (rest == 0)
        return;
    memset(last, 0, 2 * TILE_BYTES);
    memcpy(last, panel_at(o, j) + at, rest * HEIGHT);
    memcpy(last + TILE_BYTES, panel_after(o, j) + at, rest * HEIGHT);
}

static void begin(bool lower)
{
    __asm__ volatile("tilezero " UPPER_LEFT : :);
    __asm__ volatile("tilezero " UPPER_RIGHT : :);
    if (lower) {
        __asm__ volatile("tilezero " LOWER_LEFT : :);
        __asm__ volatile("tilezero " LOWER_RIGHT : :);
    }
}

static void store(uint8_t *sums, bool lower)
{
    const size_t stride = TILE_PANELS * ROW_BYTES;
    STORE(UPPER_LEFT, sums, stride);
    STORE(UPPER_RIGHT, sums + ROW_BYTES, stride);
    if (lower) {
        STORE(LOWER_LEFT, sums + HEIGHT * stride, stride);
        STORE(LOWER_RIGHT, sums + HEIGHT * stride + ROW_BYTES, stride);
    }
}

/* sums[MOST_ROWS][TILE_COLUMNS] of the configured number of rows at i and of the
 * two panels at j. */
#define MULTIPLY(name, instruction)                                                          \
    static void name(const operands *o, const uint8_t *last, size_t rows, size_t i, size_t j, \
                     uint8_t *sums)                                                          \
    {                                                                                        \
        const uint8_t *a = o->a + i * o->width;                                              \
        const uint8_t *left = panel_at(o, j), *right = panel_after(o, j);                    \
        begin(rows > HEIGHT);                                                                \
        for (size_t k = 0; k < o->width; k += ROW_BYTES) {                                   \
            bool whole = o->width - k >= ROW_BYTES;                                          \
            LOAD(UPPER, a + k, o->width);                                                    \
            LOAD(LEFT, whole ? left + k * HEIGHT : last, ROW_BYTES);                         \
            DOT(instruction, UPPER_LEFT, UPPER, LEFT);                                       \
            LOAD(RIGHT, whole ? right + k * HEIGHT : last + TILE_BYTES, ROW_BYTES);          \
            DOT(instruction, UPPER_RIGHT, UPPER, RIGHT);                                     \
            if (rows <= HEIGHT)                                                              \
                continue;                                                                    \
            LOAD(LOWER, a + HEIGHT * o->width + k, o->width);                                \
            DOT(instruction, LOWER_LEFT, LOWER, LEFT);                                       \
            DOT(instruction, LOWER_RIGHT, LOWER, RIGHT);                                     \
        }                                                                                    \
        store(sums, rows > HEIGHT);                                                          \
    }

MULTIPLY(multiply_i8, "tdpbusd")
MULTIPLY(multiply_signed, "tdpbssd")
MULTIPLY(multiply_bf16, "tdpbf16ps")

typedef void (*multiply_fn)(const operands *o, const uint8_t *last, size_t rows, size_t i,
                            size_t j, uint8_t *sums);

/* Makes results of the sums of `rows` rows at i and the panels at j. */
typedef void (*finish_fn)(const void *product, size_t rows, const void *sums, size_t i,
                          size_t j);

/* First all rows but those that do not fill the tiles, then these: so tiles are
 * configured twice at most. */
static void multiply_all(const operands *o, multiply_fn multiply, finish_fn finish_at,
                         const void *product)
{
    uint8_t sums[MOST_ROWS * TILE_PANELS * ROW_BYTES] __attribute__((aligned(64)));
    uint8_t last[2 * TILE_BYTES] __attribute__((aligned(64)));
    for (size_t i = 0, end; i < o->rows; i = end) {
        size_t height = MIN(MOST_ROWS, o->rows - i);
        end = i + (o->rows - i) / height * height;
        configure(height);
        for (size_t j = 0; j < o->columns; j += TILE_COLUMNS) {
            fill_last(o, j, last);
            for (size_t row = i; row < end; row += height) {
                multiply(o, last, height, row, j, sums);
                finish_at(product, height, sums, row, j);
            }
        }
    }
    __asm__ volatile("tilerelease" : :);
}

static void finish_bytes(const void *product, size_t rows, const void *sums, size_t i, size_t j)
{
    finish_i8(product, rows, sums, i, j);
}

void assay_gemm_i8_amx(const void *a, const assay_i8_row *steps, size_t rows,
                       const int8_t *panels, const float *scales, size_t columns,
                       const assay_i8_inputs *inputs, const assay_epilogue *epilogue, float *c,
                       size_t ldc)
{
    size_t panel = assay_i8_panels_size(LANES, inputs), header = LANES * sizeof(int32_t);
    operands o = {a, (const uint8_t *)panels, rows, columns, (panel - header) / HEIGHT, header};
    product_i8 p = {.steps = steps,
                    .panels = panels,
                    .scales = scales,
                    .columns = columns,
                    .panel_bytes = panel,
                    .epilogue = epilogue_or_none(epilogue),
                    .c = c,
                    .ldc = ldc};
    multiply_all(&o, multiply_i8, finish_bytes, &p);
}

/* ------------------------------------------------------------------ maxsim */

typedef struct product_maxsim {
    const float *steps;
    const uint16_t *centres; /* what rows are the rest of; NULL: of nothing */
    const float *products;   /* of centres, and the length of a row */
    size_t ld;
    size_t columns;
    float *best;
} product_maxsim;

static void finish_maxsim(const void *product, size_t rows, const void *sums, size_t i, size_t j)
{
    const product_maxsim *p = product;
    for (size_t l = j, end = MIN(j + TILE_COLUMNS, p->columns); l < end; l += LANES) {
        const int32_t *column = (const int32_t *)sums + (l - j);
        vector most = load_first(p->best + l, end - l);
        for (size_t r = 0; r < rows; r++) {
            vector value = v_mul(v_of_integers(i_load(column + r * TILE_COLUMNS)),
                                 v_all(p->steps[i + r]));
            if (p->centres != NULL)
                value = v_add(value, v_load(p->products + p->centres[i + r] * p->ld + l));
            most = v_max(value, most);
        }
        store_first(p->best + l, end - l, most);
    }
}

/* Rows are signed, so they are taken where they lie; but those that are no whole tiles wide
 * are copied to where there is place behind the last one. */
static void maxsim(const int8_t *rows, size_t count, const int8_t *panels, size_t depth,
                   product_maxsim p)
{
    const assay_i8_inputs inputs = {.depth = depth};
    size_t header = LANES * sizeof(int32_t);
    operands o = {(const uint8_t *)rows, (const uint8_t *)panels, count, p.columns,
                  (assay_i8_panels_size(LANES, &inputs) - header) / HEIGHT, header};
    if (depth % ROW_BYTES == 0) {
        multiply_all(&o, multiply_signed, finish_maxsim, &p);
        return;
    }
    uint8_t block[MOST_ROWS * ASSAY_MAXSIM_DEPTH + ROW_BYTES];
    o.a = block;
    for (size_t i = 0; i < count; i += MOST_ROWS) {
        o.rows = MIN(MOST_ROWS, count - i);
        memset(block, 0, o.rows * o.width);
        for (size_t r = 0; r < o.rows; r++)
            memcpy(block + r * o.width, rows + (i + r) * depth, depth);
        multiply_all(&o, multiply_signed, finish_maxsim, &p);
        p.steps += o.rows;
        p.centres = p.centres != NULL ? p.centres + o.rows : NULL;
    }
}

void assay_maxsim_i8_amx(const int8_t *rows, const float *steps, size_t count,
                         const int8_t *panels, size_t columns, size_t depth, float *best)
{
    maxsim(rows, count, panels, depth,
           (product_maxsim){.steps = steps, .columns = columns, .best = best});
}

void assay_maxsim_residual_i8_amx(const int8_t *rows, const float *steps,
                                  const uint16_t *centres, size_t count, const int8_t *panels,
                                  const float *products, size_t columns, size_t depth,
                                  float *best)
{
    maxsim(rows, count, panels, depth,
           (product_maxsim){steps, centres, products, assay_whole_panels(columns), columns, best});
}

/* ---------------------------------------------------------------- bfloat16 */

typedef struct product_bf16 {
    const assay_epilogue *epilogue;
    size_t columns;
    float *c;
    size_t ldc;
} product_bf16;

static void finish_bf16(const void *product, size_t rows, const void *sums, size_t i, size_t j)
{
    const product_bf16 *p = product;
    finish(p->epilogue, sums, i, j, rows, MIN(TILE_COLUMNS, p->columns - j), p->c, p->ldc);
}

void assay_gemm_bf16_amx(const uint16_t *a, size_t rows, const uint16_t *panels, size_t columns,
                         size_t depth, const assay_epilogue *epilogue, float *c, size_t ldc)
{
    operands o = {(const uint8_t *)a, (const uint8_t *)panels, rows, columns,
                  assay_bf16_row_size(depth) * sizeof *a, 0};
    product_bf16 p = {epilogue_or_none(epilogue), columns, c, ldc};
    multiply_all(&o, multiply_bf16, finish_bf16, &p);
}
