/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_pool.c: see token_pool.h.
 *
 * Ward's clusters come from chains of nearest neighbours (Murtagh 1983), as in scipy's
 * linkage: a chain goes from a cluster to the one nearest to it, and on, until two are
 * nearest to each other; these are merged. That finds all merges, though not in the order
 * of their distances; the least of them are then made.
 */
#include "rank/token_pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

typedef struct merge {
    double distance;
    uint32_t into, gone;
} merge;

typedef struct clustering {
    size_t count;
    double *distances; /* [count * (count - 1) / 2] row after row above the diagonal */
    merge *merges;     /* [count - 1] */
    double *sorted;    /* [count - 1] their distances */
    uint32_t *sizes;   /* [count] of clusters, by their last token; 0: merged into another */
    uint32_t *chain;   /* [count] */
    uint32_t *first;   /* [count] of each token a token before it in its cluster, or itself */
    float *products;   /* [count] */
} clustering;

static void clustering_free(clustering *c)
{
    free(c->distances);
    free(c->merges);
    free(c->sorted);
    free(c->sizes);
    free(c->chain);
    free(c->first);
    free(c->products);
}

static assay_status clustering_new(clustering *c, size_t count, assay_error *error)
{
    size_t pairs = count * (count - 1) / 2;
    *c = (clustering){
        .count = count,
        .distances = malloc(pairs * sizeof *c->distances),
        .merges = malloc(count * sizeof *c->merges),
        .sorted = malloc(count * sizeof *c->sorted),
        .sizes = malloc(count * sizeof *c->sizes),
        .chain = malloc(count * sizeof *c->chain),
        .first = malloc(count * sizeof *c->first),
        .products = malloc(count * sizeof *c->products),
    };
    if (c->distances && c->merges && c->sorted && c->sizes && c->chain && c->first && c->products)
        return ASSAY_OK;
    clustering_free(c);
    return assay_fail_memory(error, pairs * sizeof *c->distances);
}

/* ---- Merges ----------------------------------------------------------------------- */

static double *distance(const clustering *c, size_t a, size_t b)
{
    size_t low = a < b ? a : b, high = a < b ? b : a;
    return &c->distances[low * c->count - low * (low + 1) / 2 + high - low - 1];
}

static void measure(clustering *c, const float *vectors, size_t dimensions)
{
    double *next = c->distances;
    for (size_t i = 0; i < c->count; i++) {
        size_t rest = c->count - i - 1;
        assay_kernels_active()->dots_f32(vectors + i * dimensions, vectors + (i + 1) * dimensions,
                                         rest, dimensions, c->products);
        for (size_t j = 0; j < rest; j++)
            *next++ = (double)(1 - c->products[j]);
    }
}

/* The cluster nearest to the chain's last; of equally near ones that before it in the
 * chain, else the first. */
static uint32_t nearest(const clustering *c, size_t length)
{
    uint32_t last = c->chain[length - 1];
    bool any = length > 1;
    uint32_t found = any ? c->chain[length - 2] : last;
    double least = any ? *distance(c, last, found) : INFINITY;
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->sizes[i] == 0 || i == last)
            continue;
        double d = *distance(c, last, i);
        if (d < least || found == last) {
            least = d;
            found = i;
        }
    }
    return found;
}

/* The formula of Lance and Williams for Ward's method. */
static void put_together(clustering *c, merge m)
{
    double gone = c->sizes[m.gone], into = c->sizes[m.into];
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->sizes[i] == 0 || i == m.gone || i == m.into)
            continue;
        double *to = distance(c, i, m.into), from = *distance(c, i, m.gone), size = c->sizes[i];
        double square = ((size + gone) * from * from + (size + into) * *to * *to -
                         size * m.distance * m.distance) / (size + gone + into);
        *to = sqrt(fmax(square, 0));
    }
    c->sizes[m.into] += c->sizes[m.gone];
    c->sizes[m.gone] = 0;
}

/* How many at the chain's beginning are still there: rounding may make a chain come back to
 * one of its own, which then is merged out of its middle. */
static size_t still_there(const clustering *c, size_t length)
{
    size_t i = 0;
    while (i < length && c->sizes[c->chain[i]] > 0)
        i++;
    return i;
}

/* All merges, until one cluster is left. */
static void find_merges(clustering *c)
{
    size_t length = 0;
    uint32_t any = 0;
    for (size_t i = 0; i < c->count; i++)
        c->sizes[i] = 1;
    for (size_t made = 0; made + 1 < c->count;) {
        while (c->sizes[any] == 0)
            any++;
        if (length == 0)
            c->chain[length++] = any;
        uint32_t last = c->chain[length - 1], next = nearest(c, length);
        bool pair = length > 1 && next == c->chain[length - 2];
        if (!pair && length < c->count) {
            c->chain[length++] = next;
            continue;
        }
        merge m = {*distance(c, last, next), last > next ? last : next,
                   last > next ? next : last};
        put_together(c, m);
        c->merges[made++] = m;
        length = still_there(c, pair ? length - 2 : 0);
    }
}

/* ---- Clusters --------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static uint32_t first_of(clustering *c, uint32_t token)
{
    while (c->first[token] != token)
        token = c->first[token] = c->first[c->first[token]];
    return token;
}

/* Makes the least merges, so that no more than `most` clusters are left; those of equal
 * distances all or none. */
static void make_merges(clustering *c, size_t most)
{
    size_t all = c->count - 1;
    for (size_t i = 0; i < all; i++)
        c->sorted[i] = c->merges[i].distance;
    qsort(c->sorted, all, sizeof *c->sorted, compare);
    double limit = c->sorted[c->count - most - 1];
    for (uint32_t i = 0; i < c->count; i++)
        c->first[i] = i;
    for (size_t i = 0; i < all; i++) {
        if (c->merges[i].distance > limit)
            continue;
        uint32_t a = first_of(c, c->merges[i].into), b = first_of(c, c->merges[i].gone);
        c->first[a > b ? a : b] = a < b ? a : b;
    }
}

/* Means of clusters, each first summed up where its first token is; returns how many. */
static size_t take_means(clustering *c, float *vectors, size_t dimensions)
{
    size_t clusters = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t first = first_of(c, i);
        c->sizes[first] = first == i ? 1 : c->sizes[first] + 1;
        for (size_t j = 0; first != i && j < dimensions; j++)
            vectors[first * dimensions + j] += vectors[i * dimensions + j];
    }
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->first[i] != i)
            continue;
        float *mean = vectors + clusters++ * dimensions;
        for (size_t j = 0; j < dimensions; j++)
            mean[j] = vectors[i * dimensions + j] / (float)c->sizes[i];
    }
    return clusters;
}

assay_status assay_token_pool(float *vectors, size_t *count, size_t dimensions, uint32_t factor,
                              assay_error *error)
{
    clustering c;
    size_t some = *count > 0 ? *count - 1 : 0; /* all but the first */
    if (factor < 2 || some < 2)
        return ASSAY_OK;
    size_t most = some / factor > 0 ? some / factor : 1;
    vectors += dimensions;
    ASSAY_TRY(clustering_new(&c, some, error));
    measure(&c, vectors, dimensions);
    find_merges(&c);
    make_merges(&c, most);
    *count = 1 + take_means(&c, vectors, dimensions);
    clustering_free(&c);
    return ASSAY_OK;
}
