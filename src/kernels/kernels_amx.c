/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels_amx.c: the product of bfloat16 on tiles (Intel AMX). A tile is sixteen
 * rows of 64 bytes; one instruction multiplies two of them and adds the product to
 * a third, which holds 16 x 16 sums. Rows and panels have the form that avx512bf16
 * gives them: sixteen pairs of depths of a panel are a tile as the instruction
 * wants it. The set's other kernels are those of that set.
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

#include "kernels/vector_epilogue.inc"

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

/* What is multiplied: rows are `steps` tiles wide, panels as many deep. */
typedef struct operands {
    const uint8_t *a, *panels;
    size_t rows, columns, steps;
} operands;

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
 * two panels at j. Where there is no second one the first is taken twice. */
static void multiply(const operands *o, size_t rows, size_t i, size_t j, uint8_t *sums)
{
    size_t stride = o->steps * ROW_BYTES, panel = o->steps * TILE_BYTES;
    const uint8_t *a = o->a + i * stride, *left = o->panels + j / LANES * panel;
    const uint8_t *right = o->columns - j > LANES ? left + panel : left;
    begin(rows > HEIGHT);
    for (size_t at = 0; at < panel; at += TILE_BYTES, a += ROW_BYTES) {
        LOAD(UPPER, a, stride);
        LOAD(LEFT, left + at, ROW_BYTES);
        DOT("tdpbf16ps", UPPER_LEFT, UPPER, LEFT);
        LOAD(RIGHT, right + at, ROW_BYTES);
        DOT("tdpbf16ps", UPPER_RIGHT, UPPER, RIGHT);
        if (rows <= HEIGHT)
            continue;
        LOAD(LOWER, a + HEIGHT * stride, stride);
        DOT("tdpbf16ps", LOWER_LEFT, LOWER, LEFT);
        DOT("tdpbf16ps", LOWER_RIGHT, LOWER, RIGHT);
    }
    store(sums, rows > HEIGHT);
}

/* First all rows but those that do not fill the tiles, then these: so tiles are
 * configured twice at most. */
void assay_gemm_bf16_amx(const uint16_t *a, size_t rows, const uint16_t *panels, size_t columns,
                         size_t depth, const assay_epilogue *epilogue, float *c, size_t ldc)
{
    float sums[MOST_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
    operands o = {(const uint8_t *)a, (const uint8_t *)panels, rows, columns,
                  assay_bf16_row_size(depth) * sizeof *a / ROW_BYTES};
    for (size_t i = 0, end; i < rows; i = end) {
        size_t height = MIN(MOST_ROWS, rows - i);
        end = i + (rows - i) / height * height;
        configure(height);
        for (size_t j = 0; j < columns; j += TILE_COLUMNS)
            for (size_t row = i; row < end; row += height) {
                multiply(&o, height, row, j, (uint8_t *)sums);
                finish(epilogue_or_none(epilogue), sums, row, j, height,
                       MIN(TILE_COLUMNS, columns - j), c, ldc);
            }
    }
    __asm__ volatile("tilerelease" : :);
}
