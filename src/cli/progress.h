/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h: the progress bar, and Ctrl-C as a wish instead of a death.
 *
 * The bar is drawn on standard error, only on a terminal. Problems that come
 * with the progress are printed as lines above it, terminal or not.
 */
#ifndef ASSAY_CLI_PROGRESS_H
#define ASSAY_CLI_PROGRESS_H

#include <assay.h>

typedef struct assay_bar {
    unsigned columns;  /* of the terminal; 0: no bar */
    bool drawn;        /* a line stands there now */
    bool started;
    assay_phase phase;
    double last_drawn;
    double mark;       /* when `mark_done` was taken, for the rate */
    uint64_t mark_done;
    double rate;       /* smoothed, per second; 0: not known yet */
    uint64_t problems;
    const char *verb;  /* what is done: "Embedding"; NULL: the phase's name */
    const char *noun;  /* what is counted: "texts"; NULL: bytes, or items, by phase */
} assay_bar;

assay_bar assay_bar_new(const char *verb, const char *noun);

/* An assay_progress_fn whose user is an assay_bar. Returns false once
 * interrupted. */
bool assay_bar_update(const assay_progress *progress, void *user);

/* Wipes the bar, so that other lines can be printed. */
void assay_bar_clear(assay_bar *bar);

/* Of a clock that is never set. */
double assay_bar_seconds(void);

/* From here on the first SIGINT, SIGTERM or SIGHUP only sets a flag; a second
 * one ends the program as usual. */
void assay_interrupt_arm(void);
bool assay_interrupted(void);

#endif
