/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_train.c: steps of training a cross-encoder: forth, back, AdamW.
 *
 *   bench_train MODEL THREADS [recompute] [bf16]
 *
 * MODEL is a folder in Hugging Face layout. Each line of standard input, the lengths of a
 * batch's sequences, is answered by one of JSON: tokens, seconds and processor seconds of
 * one step, and of its parts; the most memory so far, and what the engine says it takes.
 * Tokens and labels are random, dropout is 0.1. bench/train compares it with PyTorch.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "learn/optimizer.h"

enum { MOST = 1024 };

typedef struct bench {
    assay_trainable *model;
    assay_optimizer *optimizer;
    assay_sequence sequences[MOST];
    int32_t *ids;
    size_t count, tokens, longest;
    float logits[MOST], gradients[MOST];
    uint64_t steps;
    double forth, back, moved;
} bench;

static void fail(const assay_error *error)
{
    fprintf(stderr, "bench_train: %s: %s\n", error->where, error->message);
    exit(1);
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_batch(bench *b, char *line)
{
    uint32_t random = 1;
    b->count = b->tokens = b->longest = 0;
    for (char *word = line, *end; b->count < MOST; word = end) {
        unsigned long length = strtoul(word, &end, 10);
        if (end == word)
            break;
        b->sequences[b->count++] =
            (assay_sequence){.count = (uint32_t)length, .second = (uint32_t)length / 8};
        b->tokens += length;
        b->longest = length > b->longest ? length : b->longest;
    }
    b->ids = realloc(b->ids, (b->tokens + 1) * sizeof *b->ids);
    if (b->ids == NULL)
        exit(1);
    for (size_t i = 0; i < b->tokens; i++) {
        random = random * 1664525u + 1013904223u;
        b->ids[i] = 1000 + (int32_t)((random >> 8) % 20000);
    }
    size_t at = 0;
    for (size_t i = 0; i < b->count; i++) {
        b->sequences[i].ids = b->ids + at;
        at += b->sequences[i].count;
    }
}

static void step(bench *b)
{
    assay_error error;
    double begun = assay_seconds();
    assay_forward pass = {.draw = ++b->steps, .keep = true};
    if (assay_trainable_forward(b->model, b->sequences, b->count, &pass, b->logits, &error) !=
        ASSAY_OK)
        fail(&error);
    b->forth = assay_seconds() - begun;
    for (size_t i = 0; i < b->count; i++) {
        float p = 1 / (1 + expf(-b->logits[i]));
        b->gradients[i] = (p - (float)(i % 4 == 0)) / (float)b->count;
    }
    if (assay_trainable_backward(b->model, b->gradients, &error) != ASSAY_OK)
        fail(&error);
    b->back = assay_seconds() - begun - b->forth;
    if (assay_optimizer_step(b->optimizer, 1e-5f, 1, NULL, &error) != ASSAY_OK)
        fail(&error);
    b->moved = assay_seconds() - begun - b->forth - b->back;
}

static void answer(bench *b)
{
    struct rusage usage;
    double begun = assay_seconds(), cpu = processor_seconds();
    step(b);
    double seconds = assay_seconds() - begun;
    cpu = processor_seconds() - cpu;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"tokens\": %zu, \"seconds\": %.6f, \"cpu\": %.6f, \"forth\": %.6f, \"back\": %.6f, "
           "\"optimizer\": %.6f, \"mib\": %ld, \"said_mib\": %zu}\n",
           b->tokens, seconds, cpu, b->forth, b->back, b->moved, usage.ru_maxrss / 1024,
           assay_trainable_memory(b->model, b->tokens, b->count, b->longest) >> 20);
    fflush(stdout);
}

static bool among(const char *word, int argc, char **argv)
{
    for (int i = 3; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static bench b;
    static char line[64 * 1024];
    assay_error error;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_train MODEL THREADS [recompute] [bf16]\n");
        return 2;
    }
    assay_trainable_options options = {.kind = ASSAY_MODEL_CROSS_ENCODER,
                                       .threads = (uint32_t)strtoul(argv[2], NULL, 10),
                                       .dropout = 0.1f,
                                       .attention_dropout = 0.1f,
                                       .seed = 1,
                                       .recompute = among("recompute", argc, argv),
                                       .precision = among("bf16", argc, argv)
                                                        ? ASSAY_PRECISION_BF16
                                                        : ASSAY_PRECISION_FP32};
    if (assay_trainable_open(argv[1], &options, &b.model, NULL, &error) != ASSAY_OK ||
        assay_optimizer_open(b.model, &(assay_optimizer_options){.decay = 0.01f, .clip = 1},
                             &b.optimizer, &error) != ASSAY_OK)
        fail(&error);
    while (fgets(line, sizeof line, stdin) != NULL) {
        read_batch(&b, line);
        answer(&b);
    }
    assay_optimizer_close(b.optimizer);
    assay_trainable_close(b.model);
    free(b.ids);
    return 0;
}
