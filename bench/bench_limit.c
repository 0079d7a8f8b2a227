/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_limit.c: what plain matrix products reach here, the limit that
 * bench/rerank holds whole forward passes against.
 *
 *   bench_limit [THREADS]      (default 1)
 *
 * Every thread multiplies its own 512 x 384 by 384 x 1536 matrices, the
 * feed-forward layer of a 6x384 model without its activation, so that nothing
 * is shared but the clock and the memory. Printed is one line of JSON:
 * operations a second of all threads together, a multiplication and an addition
 * being two, each thread by its best of many short samples; 0 for bf16 without
 * instructions for it.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kernels/kernels.h"

enum { ROWS = 512, COLUMNS = 1536, DEPTH = 384, MAX_THREADS = 256 };

static const double SAMPLE = 0.002, SECONDS = 0.7;

typedef struct bench {
    const assay_kernels *kernels;
    void (*step)(const struct bench *b);
    float *a, *c, *scales, *panels;
    assay_i8_row *steps;
    int16_t *quantised;
    uint16_t *rounded, *halves;
    int8_t *packed;
    double rate;
    pthread_t thread;
} bench;

static void step_f32(const bench *b)
{
    b->kernels->gemm_f32(b->a, DEPTH, ROWS, b->panels, COLUMNS, DEPTH, NULL, b->c, COLUMNS);
}

static const assay_i8_inputs inputs = {.depth = DEPTH};

static void step_i8(const bench *b)
{
    b->kernels->gemm_i8(b->quantised, b->steps, ROWS, b->packed, b->scales, COLUMNS, &inputs, NULL,
                        b->c, COLUMNS);
}

static void step_bf16(const bench *b)
{
    b->kernels->gemm_bf16(b->rounded, ROWS, b->halves, COLUMNS, DEPTH, NULL, b->c, COLUMNS);
}

/* Zeros, aligned as the engine's memory is. */
static void *aligned(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    for (size_t i = 0; memory && i < bytes; i++)
        ((volatile char *)memory)[i] = 0;
    return memory;
}

static bool prepare(bench *b)
{
    b->kernels = assay_kernels_active();
    b->a = aligned(sizeof(float) * ROWS * DEPTH);
    b->c = aligned(sizeof(float) * ROWS * COLUMNS);
    b->scales = aligned(sizeof(float) * COLUMNS);
    b->steps = aligned(sizeof(assay_i8_row) * ROWS);
    b->panels = aligned(sizeof(float) * (COLUMNS + 64) * DEPTH);
    b->quantised = aligned(sizeof(int16_t) * ROWS * (DEPTH + 64));
    b->packed = aligned(assay_i8_panels_size(COLUMNS, &inputs));
    b->rounded = aligned(sizeof(uint16_t) * ROWS * assay_bf16_row_size(DEPTH));
    b->halves = aligned(sizeof(uint16_t) * assay_bf16_panels_size(COLUMNS, DEPTH));
    return b->a && b->c && b->scales && b->steps && b->panels && b->quantised && b->packed && b->rounded &&
           b->halves;
}

static void release(bench *b)
{
    free(b->a);
    free(b->c);
    free(b->scales);
    free(b->steps);
    free(b->panels);
    free(b->quantised);
    free(b->packed);
    free(b->rounded);
    free(b->halves);
}

static void *measure(void *argument)
{
    bench *b = argument;
    double end = assay_seconds() + SECONDS, now;
    b->rate = 0;
    do {
        double start = assay_seconds();
        int count = 0;
        do {
            b->step(b);
            count++;
            now = assay_seconds();
        } while (now - start < SAMPLE);
        double rate = 2.0 * ROWS * COLUMNS * DEPTH * count / (now - start);
        if (rate > b->rate)
            b->rate = rate;
    } while (now < end);
    return NULL;
}

/* Operations a second of all threads at once; 0 when a thread cannot start. */
static double rate_of(void (*step)(const bench *), bench *benches, size_t threads)
{
    size_t started = 0;
    double sum = 0;
    for (; started < threads; started++) {
        benches[started].step = step;
        if (pthread_create(&benches[started].thread, NULL, measure, &benches[started]) != 0)
            break;
    }
    for (size_t i = 0; i < started; i++) {
        pthread_join(benches[i].thread, NULL);
        sum += benches[i].rate;
    }
    return started == threads ? sum : 0;
}

int main(int argc, char **argv)
{
    long threads = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    static bench benches[MAX_THREADS];
    if (threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: bench_limit [THREADS], 1 to %d\n", MAX_THREADS);
        return 2;
    }
    bool ready = true;
    for (long i = 0; i < threads; i++)
        ready = prepare(&benches[i]) && ready;
    size_t count = (size_t)threads;
    if (ready)
        printf("{\"cpu\": \"%s\", \"threads\": %ld, \"fp32\": %.4g, \"bf16\": %.4g, "
               "\"int8\": %.4g}\n",
               assay_kernels_active()->name, threads, rate_of(step_f32, benches, count),
               assay_kernels_active()->has_bf16 ? rate_of(step_bf16, benches, count) : 0,
               rate_of(step_i8, benches, count));
    for (long i = 0; i < threads; i++)
        release(&benches[i]);
    return ready ? 0 : 1;
}
