/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_tokenizer.c: how fast a tokenizer opens, and how fast it reads.
 *
 *   bench_tokenizer MODEL FILE [ROUNDS]
 *
 * Each line of FILE is a text, encoded by assay_tokenize with special tokens on
 * one thread. Prints JSON lines: the fastest opening, then every round's tokens
 * and megabytes a second of CPU time. bench/tokenizer.py runs it against the peer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

/* Of this thread, so that a busy machine does not spoil the comparison. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int fail(const assay_error *error)
{
    fprintf(stderr, "bench_tokenizer: %s: %s\n", error->where, error->message);
    return 1;
}

static int measure_open(const char *model, assay_tokenizer **out)
{
    double best = 1e9;
    assay_error error;
    for (int i = 0; i < 10; i++) {
        assay_tokenizer_close(*out);
        *out = NULL;
        double begin = cpu_seconds();
        if (assay_tokenizer_open(model, out, &error) != ASSAY_OK)
            return fail(&error);
        double took = cpu_seconds() - begin;
        best = took < best ? took : best;
    }
    printf("{\"open_ms\": %.3f}\n", best * 1e3);
    return 0;
}

static int measure_round(const assay_tokenizer *tokenizer, const assay_buffer *text)
{
    static const assay_tokenize_options options = {.special = true};
    size_t tokens = 0;
    assay_error error;
    double begin = cpu_seconds();
    for (size_t at = 0; at < text->length;) {
        const char *line = text->data + at;
        const char *newline = memchr(line, '\n', text->length - at);
        size_t length = newline != NULL ? (size_t)(newline - line) : text->length - at;
        assay_encoding encoding;
        if (assay_tokenize(tokenizer, (assay_text){line, length}, NULL, &options, &encoding,
                           &error) != ASSAY_OK)
            return fail(&error);
        tokens += encoding.count;
        assay_encoding_free(&encoding);
        at += length + 1;
    }
    double seconds = cpu_seconds() - begin;
    printf("{\"tokens\": %zu, \"seconds\": %.4f, \"tokens_per_s\": %.0f, \"mb_per_s\": %.1f}\n",
           tokens, seconds, (double)tokens / seconds, (double)text->length / seconds / 1e6);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenizer MODEL FILE [ROUNDS]\n");
        return 2;
    }
    assay_error error;
    assay_buffer text;
    assay_buffer_init(&text, 0);
    if (assay_file_read(argv[2], &text, &error) != ASSAY_OK)
        return fail(&error);
    assay_tokenizer *tokenizer = NULL;
    int status = measure_open(argv[1], &tokenizer);
    long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 5;
    for (long i = 0; i < rounds && status == 0; i++)
        status = measure_round(tokenizer, &text);
    assay_tokenizer_close(tokenizer);
    assay_buffer_free(&text);
    return status;
}
