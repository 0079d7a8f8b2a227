/* SPDX-License-Identifier: Apache-2.0 */
/* clustered.h: vectors in clusters, as embeddings are, for tests of indexes; and files
 * as bytes. Included after cmocka.h. */
#ifndef CLUSTERED_H
#define CLUSTERED_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <assay.h>

enum { COUNT = 4000, DIMENSIONS = 48, CLUSTERS = 60, QUERIES = 100, K = 10, EF = 100 };

static char path[] = "/tmp/assay-vectors-XXXXXX";
static float vectors[COUNT][DIMENSIONS], queries[QUERIES][DIMENSIONS];
static uint64_t keys[COUNT];
static assay_error error;

static uint64_t state_of_random = 1;

static double uniform(void)
{
    state_of_random += 0x9e3779b97f4a7c15u; /* SplitMix64 */
    uint64_t z = state_of_random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static float gauss(void)
{
    return (float)(sqrt(-2 * log(uniform() + 1e-12)) * cos(6.283185307 * uniform()));
}

static void normalise(float *x)
{
    double squares = 0;
    for (size_t i = 0; i < DIMENSIONS; i++)
        squares += (double)x[i] * x[i];
    for (size_t i = 0; i < DIMENSIONS; i++)
        x[i] /= (float)sqrt(squares);
}

/* Clustered as embeddings are, every fiftieth vector equal to the one before. */
static int make_vectors(void **state)
{
    (void)state;
    static float centres[CLUSTERS][DIMENSIONS];
    for (size_t c = 0; c < CLUSTERS; c++)
        for (size_t j = 0; j < DIMENSIONS; j++)
            centres[c][j] = gauss();
    for (size_t i = 0; i < COUNT + QUERIES; i++) {
        float *x = i < COUNT ? vectors[i] : queries[i - COUNT];
        size_t c = (size_t)(uniform() * CLUSTERS);
        for (size_t j = 0; j < DIMENSIONS; j++)
            x[j] = centres[c][j] + 0.6f * gauss();
        normalise(x);
        if (i > 0 && i < COUNT && i % 50 == 0)
            memcpy(x, vectors[i - 1], sizeof vectors[0]);
    }
    for (size_t i = 0; i < COUNT; i++)
        keys[i] = 10 * i + 3;
    int fd = mkstemp(path);
    close(fd);
    return fd < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static inline float dot(const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < DIMENSIONS; i++)
        sum += (double)a[i] * b[i];
    return (float)sum;
}

static inline uint8_t *read_all(size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static inline void write_all(const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

#endif
