/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_log.c: what happened, step by step: training.csv, and a plot of it.
 *
 * A row of the CSV is a step, or an evaluation, which has a metric and no loss. While it
 * goes on the file lies in TARGET.part, with every row in it as soon as it is known.
 * The plot is SVG, drawn from the rows: the running mean of the loss, on the left
 * scale, and the metric's points, on the right one.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "evaluate/lines.h"
#include "learn/trainer.h"

#define LOG_LIMIT ((size_t)1 << 30)
#define HEAD "step,loss,rate,norm,tokens,seconds,ndcg10\n"

enum { COLUMNS = 7, STEP = 0, LOSS = 1, METRIC = 6 };

static assay_status path_of(const assay_trainer *t, char *path, size_t size, assay_error *error)
{
    return assay_path_join(path, size, t->part, "training.csv", error);
}

static size_t columns_of(assay_text line, assay_text *columns)
{
    size_t count = 0;
    for (size_t start = 0; start <= line.length && count < COLUMNS; count++) {
        const char *comma = memchr(line.data + start, ',', line.length - start);
        size_t end = comma != NULL ? (size_t)(comma - line.data) : line.length;
        columns[count] = (assay_text){line.data + start, end - start};
        start = end + 1;
    }
    return count;
}

/* A row's number in a column; false when there is none. */
static bool number_in(assay_text line, size_t column, double *value)
{
    assay_text columns[COLUMNS];
    return columns_of(line, columns) > column &&
           assay_number_read(columns[column].data, columns[column].length, value);
}

static assay_status write_whole(const char *path, const assay_buffer *text, assay_error *error)
{
    ASSAY_TRY(assay_buffer_status(text, path, error));
    return assay_file_write(path, text->data, text->length, error);
}

/* The head, and of a run that goes on the rows up to its step. */
static void keep_rows(const assay_buffer *old, bool goes_on, uint64_t step, assay_buffer *out)
{
    assay_lines lines;
    assay_text line;
    assay_status status;
    double number;
    assay_lines_start(&lines, old->data, old->length, "training.csv");
    assay_buffer_string(out, HEAD);
    while (goes_on && assay_lines_next(&lines, &line, &status, NULL)) {
        if (!number_in(line, STEP, &number) || number > (double)step)
            continue;
        assay_buffer_append(out, line.data, line.length);
        assay_buffer_byte(out, '\n');
    }
}

assay_status assay_log_resume(assay_trainer *t, bool goes_on, assay_error *error)
{
    char path[4096];
    assay_buffer old, text;
    ASSAY_TRY(path_of(t, path, sizeof path, error));
    assay_buffer_init(&old, LOG_LIMIT);
    assay_buffer_init(&text, LOG_LIMIT + sizeof HEAD);
    assay_status status = ASSAY_OK;
    if (assay_is_file(path))
        status = assay_file_read(path, &old, error);
    if (status == ASSAY_OK) {
        keep_rows(&old, goes_on, t->state.step, &text);
        status = write_whole(path, &text, error);
    }
    assay_buffer_free(&old);
    assay_buffer_free(&text);
    return status;
}

static void put_number(char text[ASSAY_NUMBER_SIZE], double value)
{
    text[0] = '\0';
    if (!isnan(value))
        assay_number_write(text, (double)(float)value);
}

static assay_status append_row(assay_trainer *t, double loss, double rate, double norm,
                               double metric, assay_error *error)
{
    char path[4096], numbers[4][ASSAY_NUMBER_SIZE], seconds[ASSAY_NUMBER_SIZE];
    ASSAY_TRY(path_of(t, path, sizeof path, error));
    put_number(numbers[0], loss);
    put_number(numbers[1], rate);
    put_number(numbers[2], norm);
    put_number(numbers[3], metric);
    put_number(seconds, t->seconds + assay_seconds() - t->begun);
    errno = 0;
    FILE *file = fopen(path, "ae");
    bool failed = file == NULL ||
                  fprintf(file, "%llu,%s,%s,%s,%llu,%s,%s\n",
                          (unsigned long long)t->state.step, numbers[0], numbers[1], numbers[2],
                          (unsigned long long)t->state.tokens, seconds, numbers[3]) < 0;
    if (file != NULL && fclose(file) != 0)
        failed = true;
    return failed ? assay_fail_errno(error, errno, path, "cannot write") : ASSAY_OK;
}

assay_status assay_log_step(assay_trainer *t, double loss, double rate, double norm,
                            assay_error *error)
{
    return append_row(t, loss, rate, norm, NAN, error);
}

assay_status assay_log_metric(assay_trainer *t, assay_error *error)
{
    return append_row(t, NAN, NAN, NAN, t->state.last, error);
}

/* ------------------------------------------------------------------------ plot */

enum { WIDTH = 640, HEIGHT = 320, LEFT = 56, RIGHT = 56, TOP = 24, BOTTOM = 40, POINTS = 400 };

typedef struct point {
    double step, value;
} point;

typedef struct curve {
    point *points;
    size_t count, capacity;
    double low, high;
} curve;

static bool add_point(curve *c, double step, double value)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity > 0 ? c->capacity * 2 : 256;
        point *points = realloc(c->points, capacity * sizeof *points);
        if (points == NULL)
            return false;
        c->points = points;
        c->capacity = capacity;
    }
    c->low = c->count == 0 ? value : fmin(c->low, value);
    c->high = c->count == 0 ? value : fmax(c->high, value);
    c->points[c->count++] = (point){step, value};
    return true;
}

/* The curves of a log: the loss as a running mean. */
static bool read_curves(const assay_buffer *log, curve *loss, curve *metric)
{
    assay_lines lines;
    assay_text line;
    assay_status status;
    double step, value, mean = NAN;
    bool fine = true;
    assay_lines_start(&lines, log->data, log->length, "training.csv");
    while (fine && assay_lines_next(&lines, &line, &status, NULL)) {
        if (!number_in(line, STEP, &step))
            continue;
        if (number_in(line, LOSS, &value)) {
            mean = isnan(mean) ? value : 0.95 * mean + 0.05 * value;
            fine = add_point(loss, step, mean);
        }
        if (fine && number_in(line, METRIC, &value))
            fine = add_point(metric, step, value);
    }
    return fine;
}

static double x_of(double step, double last)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (last > 0 ? step / last : 0);
}

static double y_of(const curve *c, double value)
{
    double range = c->high > c->low ? c->high - c->low : 1;
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - c->low) / range;
}

static void draw_point(const curve *c, size_t i, double last, assay_buffer *out)
{
    assay_buffer_format(out, "%.1f,%.1f ", x_of(c->points[i].step, last),
                        y_of(c, c->points[i].value));
}

static void draw_curve(const curve *c, double last, const char *colour, assay_buffer *out)
{
    size_t stride = c->count / POINTS + 1;
    assay_buffer_format(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
                        colour);
    for (size_t i = 0; i + 1 < c->count; i += stride)
        draw_point(c, i, last, out);
    draw_point(c, c->count - 1, last, out);
    assay_buffer_string(out, "\"/>\n");
}

static void draw_scale(const curve *c, int x, const char *anchor, const char *colour,
                       const char *name, assay_buffer *out)
{
    for (int i = 0; i <= 4 && c->count > 0; i++) {
        double value = c->low + (c->high - c->low) * i / 4;
        assay_buffer_format(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%.3g</text>\n",
                            x, y_of(c, value) + 4, anchor, colour, value);
    }
    assay_buffer_format(out, "<text x=\"%d\" y=\"14\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x,
                        anchor, colour, name);
}

static void draw(const curve *loss, const curve *metric, assay_buffer *out)
{
    double last = loss->count > 0 ? loss->points[loss->count - 1].step : 0;
    assay_buffer_format(out,
                        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                        "font-family=\"sans-serif\" font-size=\"12\">\n"
                        "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n"
                        "<path d=\"M%d %dV%dH%dV%d\" fill=\"none\" stroke=\"#888\"/>\n",
                        WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT,
                        TOP);
    draw_scale(loss, LEFT - 6, "end", "#1f77b4", "loss", out);
    draw_scale(metric, WIDTH - RIGHT + 6, "start", "#d62728", "nDCG@10", out);
    if (loss->count > 0)
        draw_curve(loss, last, "#1f77b4", out);
    if (metric->count > 0)
        draw_curve(metric, last, "#d62728", out);
    for (size_t i = 0; i < metric->count; i++)
        assay_buffer_format(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#d62728\"/>\n",
                            x_of(metric->points[i].step, last), y_of(metric, metric->points[i].value));
    assay_buffer_format(out,
                        "<text x=\"%d\" y=\"%d\">0</text>\n"
                        "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">step %.0f</text>\n</svg>\n",
                        LEFT, HEIGHT - BOTTOM + 18, WIDTH - RIGHT, HEIGHT - BOTTOM + 18, last);
}

static assay_status plot(const assay_buffer *log, const char *path, assay_error *error)
{
    curve loss = {0}, metric = {0};
    assay_buffer text;
    assay_buffer_init(&text, LOG_LIMIT);
    assay_status status = ASSAY_OK;
    if (read_curves(log, &loss, &metric)) {
        draw(&loss, &metric, &text);
        status = write_whole(path, &text, error);
    } else {
        status = assay_fail_memory(error, loss.capacity * sizeof *loss.points);
    }
    free(loss.points);
    free(metric.points);
    assay_buffer_free(&text);
    return status;
}

static assay_status finish(const assay_buffer *log, const char *folder, assay_error *error)
{
    char path[4096];
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "training.csv", error));
    ASSAY_TRY(write_whole(path, log, error));
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "training.svg", error));
    return plot(log, path, error);
}

assay_status assay_log_finish(assay_trainer *t, const char *folder, assay_error *error)
{
    char path[4096];
    assay_buffer log;
    ASSAY_TRY(path_of(t, path, sizeof path, error));
    assay_buffer_init(&log, LOG_LIMIT);
    assay_status status = assay_file_read(path, &log, error);
    if (status == ASSAY_OK)
        status = finish(&log, folder, error);
    assay_buffer_free(&log);
    return status;
}
