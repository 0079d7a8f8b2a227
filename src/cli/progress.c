/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.c: one line that tells how far, how fast and how long still.
 *
 * The rate is an exponential average over about ten seconds: a resumed index
 * rushes through what is unchanged, and the time left must not believe that.
 */
#include "cli/progress.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"

#define REDRAW_SECONDS 0.1
#define RATE_SECONDS 10.0

/* The one thing a signal handler can tell the rest by. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void assay_interrupt_arm(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction old;
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &action, NULL);
}

bool assay_interrupted(void)
{
    return interrupted != 0;
}

double assay_bar_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

assay_bar assay_bar_new(const char *verb, const char *noun)
{
    return (assay_bar){
        .columns = assay_terminal_columns(stderr),
        .verb = verb,
        .noun = noun,
    };
}

void assay_bar_clear(assay_bar *bar)
{
    if (bar->drawn)
        fputs("\r\033[K", stderr);
    bar->drawn = false;
}

static void update_rate(assay_bar *bar, double now, uint64_t done)
{
    double elapsed = now - bar->mark;
    if (elapsed < REDRAW_SECONDS)
        return;
    double rate = done > bar->mark_done ? (double)(done - bar->mark_done) / elapsed : 0;
    double weight = bar->rate > 0 ? 1 - exp(-elapsed / RATE_SECONDS) : 1;
    bar->rate += weight * (rate - bar->rate);
    bar->mark = now;
    bar->mark_done = done;
}

static void format_bytes(char text[32], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1000;
    snprintf(text, 32, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static bool counts_bytes(const assay_bar *bar)
{
    return !bar->noun && bar->phase != ASSAY_PHASE_VECTORS && bar->phase != ASSAY_PHASE_TOKENS &&
           bar->phase != ASSAY_PHASE_CHECK && bar->phase != ASSAY_PHASE_WORDS &&
           bar->phase != ASSAY_PHASE_MINE && bar->phase != ASSAY_PHASE_SYNTH && bar->phase != ASSAY_PHASE_TUNE;
}

static void format_amount(char text[32], const assay_bar *bar, double amount)
{
    if (counts_bytes(bar))
        format_bytes(text, amount);
    else
        assay_print_count(text, (uint64_t)(amount + 0.5));
}

static void format_left(char text[48], const assay_bar *bar, const assay_progress *progress)
{
    text[0] = '\0';
    if (bar->rate <= 0 || progress->total <= progress->done)
        return;
    double left = (double)(progress->total - progress->done) / bar->rate;
    if (left >= 360000)
        return; /* over a hundred hours: the rate is not settled */
    unsigned whole = (unsigned)(left + 0.5);
    if (whole >= 3600)
        snprintf(text, 48, ", %u:%02u:%02u left", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, 48, ", %u:%02u left", whole / 60, whole % 60);
}

static const char *phase_name(const assay_bar *bar)
{
    if (bar->verb)
        return bar->verb;
    switch (bar->phase) {
    case ASSAY_PHASE_INDEX:
        return "Indexing";
    case ASSAY_PHASE_VECTORS:
        return "Vectors";
    case ASSAY_PHASE_TOKENS:
        return "Token vectors";
    case ASSAY_PHASE_CHECK:
        return "Checking";
    case ASSAY_PHASE_DOWNLOAD:
        return "Downloading";
    case ASSAY_PHASE_QUANTIZE:
        return "Quantising";
    case ASSAY_PHASE_WORDS:
        return "Words";
    case ASSAY_PHASE_EXAMPLES:
        return "Reading";
    case ASSAY_PHASE_MINE:
        return "Mining";
    case ASSAY_PHASE_SYNTH:
        return "Writing queries";
    case ASSAY_PHASE_TUNE:
        return "Measuring";
    }
    return "Working";
}

/* "  45% [#########...........] " at most; nothing when the total is unknown. */
static void format_gauge(char text[64], const assay_progress *progress)
{
    text[0] = '\0';
    if (progress->total == 0)
        return;
    double part = fmin(1.0, (double)progress->done / (double)progress->total);
    char gauge[21];
    for (unsigned i = 0; i < 20; i++)
        gauge[i] = i < (unsigned)(part * 20) ? '#' : '.';
    gauge[20] = '\0';
    snprintf(text, 64, "[%s] %3.0f%% ", gauge, floor(part * 100));
}

static void draw(assay_bar *bar, const assay_progress *progress)
{
    char done[32], total[32], rate[32], left[48], gauge[64], line[512];
    format_amount(done, bar, (double)progress->done);
    format_amount(total, bar, (double)progress->total);
    format_amount(rate, bar, bar->rate);
    format_left(left, bar, progress);
    format_gauge(gauge, progress);
    const char *noun = bar->noun ? bar->noun : "";
    int length = snprintf(line, sizeof line, "%s %s%s%s%s%s%s", phase_name(bar), gauge,
                          done, progress->total ? "/" : "", progress->total ? total : "",
                          *noun ? " " : "", noun);
    if (bar->rate > 0 && length > 0 && (size_t)length < sizeof line)
        snprintf(line + length, sizeof line - (size_t)length, ", %s/s%s", rate, left);
    /* One column stays free: a full line would wrap and could not be wiped. */
    fprintf(stderr, "\r%.*s\033[K", (int)bar->columns - 1, line);
    fflush(stderr);
    bar->drawn = true;
}

static void start_phase(assay_bar *bar, const assay_progress *progress, double now)
{
    bar->started = true;
    bar->phase = progress->phase;
    bar->mark = now;
    bar->mark_done = progress->done;
    bar->rate = 0;
    bar->last_drawn = 0;
}

bool assay_bar_update(const assay_progress *progress, void *user)
{
    assay_bar *bar = user;
    if (progress->problem) {
        assay_bar_clear(bar);
        bar->problems++;
        assay_report(progress->problem);
    }
    if (bar->columns) {
        double now = assay_bar_seconds();
        if (!bar->started || bar->phase != progress->phase || progress->done < bar->mark_done)
            start_phase(bar, progress, now);
        update_rate(bar, now, progress->done);
        if (now - bar->last_drawn >= REDRAW_SECONDS || !bar->drawn) {
            draw(bar, progress);
            bar->last_drawn = now;
        }
    }
    return !interrupted;
}
