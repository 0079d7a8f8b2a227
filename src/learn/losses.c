/* SPDX-License-Identifier: Apache-2.0 */
/*
 * losses.c: see losses.h.
 *
 * Each equals PyTorch's loss of that name over the same numbers (tests/golden/losses.json,
 * made by tools/golden/losses.py): cross_entropy, binary_cross_entropy_with_logits,
 * softplus, margin_ranking_loss, mse_loss, and kl_div times the temperature's square,
 * all with the mean over what they compare.
 */
#include "learn/losses.h"

#include <math.h>

static const char *const names[ASSAY_LOSS_KINDS] = {
    "listwise", "binary", "pairwise", "margin", "graded", "margin-mse", "distil",
};

const char *assay_loss_name(assay_loss_kind kind)
{
    return (unsigned)kind < ASSAY_LOSS_KINDS ? names[kind] : "?";
}

bool assay_loss_has_teacher(assay_loss_kind kind)
{
    return kind == ASSAY_LOSS_MARGIN_MSE || kind == ASSAY_LOSS_DISTIL;
}

static size_t positives_of(const assay_loss_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->grades[i] > 0;
    return count;
}

/* log(1 + e^x) */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* Adds to a gradient in float, whose sums come of few terms. */
static void add(float *gradient, double value)
{
    *gradient = (float)((double)*gradient + value);
}

/* log(sum of e^(score/temperature)) over those of the list that are not relevant, and
 * over number `also`; SIZE_MAX: over all. */
static double log_sum(const assay_loss_list *list, size_t also)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < list->count; i++)
        if (also == SIZE_MAX || i == also || list->grades[i] <= 0)
            most = fmax(most, (double)list->scores[i]);
    for (size_t i = 0; i < list->count; i++)
        if (also == SIZE_MAX || i == also || list->grades[i] <= 0)
            sum += exp((double)list->scores[i] - most);
    return most + log(sum);
}

static double listwise(const assay_loss_list *list, double scale, float *gradient)
{
    size_t positives = positives_of(list);
    double loss = 0;
    if (positives == list->count)
        return 0;
    for (size_t p = 0; p < list->count; p++) {
        if (list->grades[p] <= 0)
            continue;
        double all = log_sum(list, p), share = scale / (double)positives;
        loss += (all - (double)list->scores[p]) / (double)positives;
        for (size_t i = 0; i < list->count; i++)
            if (i == p || list->grades[i] <= 0)
                add(&gradient[i], share * (exp((double)list->scores[i] - all) - (i == p)));
    }
    return loss;
}

static double binary(const assay_loss_list *list, double scale, float *gradient)
{
    double loss = 0, n = (double)list->count;
    for (size_t i = 0; i < list->count; i++) {
        double score = (double)list->scores[i], target = list->grades[i] > 0;
        loss += (softplus(score) - target * score) / n;
        add(&gradient[i], scale * (sigmoid(score) - target) / n);
    }
    return loss;
}

/* The mean over pairs of a positive and a negative of a function of how far the first
 * is ahead, and of how far the teacher has it ahead. */
typedef double (*pair_fn)(double ahead, double teacher, double margin, double *slope);

static double logistic_pair(double ahead, double teacher, double margin, double *slope)
{
    (void)teacher, (void)margin;
    *slope = -sigmoid(-ahead);
    return softplus(-ahead);
}

static double hinge_pair(double ahead, double teacher, double margin, double *slope)
{
    (void)teacher;
    *slope = ahead < margin ? -1 : 0;
    return fmax(0, margin - ahead);
}

static double teacher_pair(double ahead, double teacher, double margin, double *slope)
{
    (void)margin;
    *slope = 2 * (ahead - teacher);
    return (ahead - teacher) * (ahead - teacher);
}

static double pairs(const assay_loss_list *list, pair_fn fn, double margin, double scale,
                    float *gradient)
{
    size_t positives = positives_of(list), negatives = list->count - positives;
    double loss = 0, n = (double)positives * (double)negatives;
    for (size_t p = 0; p < list->count; p++) {
        for (size_t i = 0; list->grades[p] > 0 && i < list->count; i++) {
            if (list->grades[i] > 0)
                continue;
            double ahead = (double)list->scores[p] - (double)list->scores[i], slope;
            double teacher = list->teacher != NULL
                                 ? (double)list->teacher[p] - (double)list->teacher[i]
                                 : 0;
            loss += fn(ahead, teacher, margin, &slope) / n;
            add(&gradient[p], scale * slope / n);
            add(&gradient[i], -scale * slope / n);
        }
    }
    return loss;
}

/* 2^grade - 1; a grade above 30 counts as 30. */
static double gain_of(int32_t grade)
{
    return grade > 0 ? exp2(grade < 30 ? grade : 30) - 1 : 0;
}

static double graded(const assay_loss_list *list, double scale, float *gradient)
{
    double gains = 0, all = log_sum(list, SIZE_MAX), loss = 0;
    if (positives_of(list) == 0)
        return 0;
    for (size_t i = 0; i < list->count; i++)
        gains += gain_of(list->grades[i]);
    for (size_t i = 0; i < list->count; i++) {
        double target = gain_of(list->grades[i]) / gains;
        double log_share = (double)list->scores[i] - all;
        loss -= target * log_share;
        add(&gradient[i], scale * (exp(log_share) - target));
    }
    return loss;
}

/* log-softmax of values / temperature: what to take off each. */
static double log_total(const float *values, size_t count, double temperature)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, (double)values[i] / temperature);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)values[i] / temperature - most);
    return most + log(sum);
}

static double distil(const assay_loss_list *list, double temperature, double scale,
                     float *gradient)
{
    double mine = log_total(list->scores, list->count, temperature), loss = 0;
    double theirs = log_total(list->teacher, list->count, temperature);
    for (size_t i = 0; i < list->count; i++) {
        double log_share = (double)list->scores[i] / temperature - mine;
        double log_target = (double)list->teacher[i] / temperature - theirs;
        loss += exp(log_target) * (log_target - log_share);
        add(&gradient[i], scale * temperature * (exp(log_share) - exp(log_target)));
    }
    return loss * temperature * temperature;
}

static double kind_of_list(const assay_loss *loss, const assay_loss_list *list, double scale,
                           float *gradient)
{
    switch (loss->kind) {
    case ASSAY_LOSS_LISTWISE:
        return listwise(list, scale, gradient);
    case ASSAY_LOSS_BINARY:
        return binary(list, scale, gradient);
    case ASSAY_LOSS_PAIRWISE:
        return pairs(list, logistic_pair, 0, scale, gradient);
    case ASSAY_LOSS_MARGIN:
        return pairs(list, hinge_pair, loss->margin, scale, gradient);
    case ASSAY_LOSS_GRADED:
        return graded(list, scale, gradient);
    case ASSAY_LOSS_MARGIN_MSE:
        return pairs(list, teacher_pair, 0, scale, gradient);
    case ASSAY_LOSS_DISTIL:
        return distil(list, loss->temperature, scale, gradient);
    default:
        return 0;
    }
}

double assay_loss_of_list(const assay_loss *loss, const assay_loss_list *list, double scale,
                          float *gradient)
{
    for (size_t i = 0; i < list->count; i++)
        gradient[i] = 0;
    if (list->count == 0)
        return 0;
    double sum = kind_of_list(loss, list, scale, gradient);
    if (assay_loss_has_teacher(loss->kind) && loss->labels > 0)
        sum += loss->labels * listwise(list, scale * loss->labels, gradient);
    if (loss->binary > 0)
        sum += loss->binary * binary(list, scale * loss->binary, gradient);
    return sum;
}

/* One query's row of assay_loss_in_batch. */
static double batch_row(const float *row, size_t passages, uint32_t own, const uint8_t *left_out,
                        double temperature, double scale, float *gradient)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < passages; i++)
        if (left_out == NULL || !left_out[i])
            most = fmax(most, (double)row[i] / temperature);
    for (size_t i = 0; i < passages; i++)
        if (left_out == NULL || !left_out[i])
            sum += exp((double)row[i] / temperature - most);
    for (size_t i = 0; i < passages; i++) {
        bool counts = left_out == NULL || !left_out[i];
        double share = counts ? exp((double)row[i] / temperature - most) / sum : 0;
        gradient[i] = (float)(scale * (share - (i == own)) / temperature);
    }
    return most + log(sum) - (double)row[own] / temperature;
}

double assay_loss_in_batch(const float *similarity, size_t queries, size_t passages,
                           const uint32_t *own, const uint8_t *left_out, double temperature,
                           double scale, float *gradient)
{
    double loss = 0, n = (double)queries;
    for (size_t q = 0; q < queries; q++)
        loss += batch_row(similarity + q * passages, passages, own[q],
                          left_out != NULL ? left_out + q * passages : NULL, temperature,
                          scale / n, gradient + q * passages) /
                n;
    return loss;
}
