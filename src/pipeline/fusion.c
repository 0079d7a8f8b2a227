/* SPDX-License-Identifier: Apache-2.0 */
/* fusion.c: see fusion.h. */
#include "pipeline/fusion.h"

#include <math.h>
#include <stdlib.h>

enum { RRF_K = 60 };

/* Of min-max: the least, and how far the best lies above it. A list has its best first. */
static assay_moments bounds_of_list(assay_fusion_list list)
{
    if (list.count == 0)
        return (assay_moments){0};
    double least = list.candidates[list.count - 1].score;
    return (assay_moments){least, list.candidates[0].score - least};
}

static assay_moments moments_of_list(assay_fusion kind, assay_fusion_list list)
{
    if (kind == ASSAY_FUSION_MINMAX)
        return bounds_of_list(list);
    double count = list.count > 0 ? (double)list.count : 1, sum = 0, squares = 0;
    for (size_t i = 0; i < list.count; i++)
        sum += list.candidates[i].score;
    for (size_t i = 0; i < list.count; i++)
        squares += pow(list.candidates[i].score - sum / count, 2);
    return (assay_moments){sum / count, sqrt(squares / count)};
}

assay_moments assay_moments_of(const double *values, size_t count)
{
    double n = count > 0 ? (double)count : 1, sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    for (size_t i = 0; i < count; i++)
        squares += pow(values[i] - sum / n, 2);
    return (assay_moments){sum / n, sqrt(squares / n)};
}

double assay_z(double value, assay_moments m)
{
    return m.deviation > 0 ? (value - m.mean) / m.deviation : 0;
}

static int by_passage(const void *left, const void *right)
{
    const assay_fused *a = left, *b = right;
    return (a->passage > b->passage) - (a->passage < b->passage);
}

static int by_score(const void *left, const void *right)
{
    const assay_fused *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return by_passage(left, right);
}

/* Both lists end to end, then those of the same passage made one. */
static size_t merge(assay_fusion_list bm25, assay_fusion_list dense, assay_fused *out)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < bm25.count; i++)
        out[count++] = (assay_fused){.passage = bm25.candidates[i].passage,
                                     .rank_bm25 = (uint32_t)i + 1,
                                     .score_bm25 = bm25.candidates[i].score,
                                     .score_dense = NAN};
    for (size_t i = 0; i < dense.count; i++)
        out[count++] = (assay_fused){.passage = dense.candidates[i].passage,
                                     .rank_dense = (uint32_t)i + 1,
                                     .score_dense = dense.candidates[i].score,
                                     .score_bm25 = NAN};
    if (count > 1)
        qsort(out, count, sizeof *out, by_passage);
    for (size_t i = 0; i < count; i++) {
        assay_fused *last = kept > 0 ? &out[kept - 1] : NULL;
        if (last == NULL || last->passage != out[i].passage) {
            out[kept++] = out[i];
        } else if (out[i].rank_bm25 > 0) {
            last->rank_bm25 = out[i].rank_bm25;
            last->score_bm25 = out[i].score_bm25;
        } else {
            last->rank_dense = out[i].rank_dense;
            last->score_dense = out[i].score_dense;
        }
    }
    return kept;
}

/* What a list adds to the score of a passage that has `rank` and `score` there. */
static double share(assay_fusion kind, assay_fusion_list list, assay_moments m, uint32_t rank,
                    float score)
{
    if (list.count == 0)
        return 0;
    if (kind == ASSAY_FUSION_RRF)
        return rank > 0 ? list.weight / (RRF_K + rank) : 0;
    return list.weight * assay_z(rank > 0 ? score : list.candidates[list.count - 1].score, m);
}

size_t assay_fuse(assay_fusion_list bm25, assay_fusion_list dense, assay_fusion kind,
                  assay_fused *out)
{
    size_t count = merge(bm25, dense, out);
    assay_moments bm25_moments = moments_of_list(kind, bm25);
    assay_moments dense_moments = moments_of_list(kind, dense);
    bool only_bm25 = dense.count == 0 && dense.weight == 0;
    bool only_dense = bm25.count == 0 && bm25.weight == 0;
    for (size_t i = 0; i < count; i++) {
        assay_fused *f = &out[i];
        if (only_bm25)
            f->score = f->score_bm25;
        else if (only_dense)
            f->score = f->score_dense;
        else
            f->score =
                (float)(share(kind, bm25, bm25_moments, f->rank_bm25, f->score_bm25) +
                        share(kind, dense, dense_moments, f->rank_dense, f->score_dense));
    }
    if (count > 1)
        qsort(out, count, sizeof *out, by_score);
    return count;
}
