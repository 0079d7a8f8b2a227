/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c: see clock.h. */
#include "base/clock.h"

#include <time.h>

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static _Atomic double skipped;

double assay_seconds(void)
{
    return read_clock(CLOCK_MONOTONIC) + skipped;
}

void assay_clock_skip(double seconds)
{
    skipped = skipped + seconds;
}

double assay_thread_seconds(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t assay_date(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void assay_timestamp(char text[21])
{
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, 21, "%Y-%m-%dT%H:%M:%SZ", &parts);
}
