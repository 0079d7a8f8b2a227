/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h: seconds that only go forward, those that a thread ran, and the date. */
#ifndef ASSAY_CLOCK_H
#define ASSAY_CLOCK_H

#include <stdint.h>

/* Seconds since some fixed moment; monotonic. */
double assay_seconds(void);
/* For tests: as if so many seconds had passed. */
void assay_clock_skip(double seconds);

/* Seconds that the calling thread has run, by its own clock. */
double assay_thread_seconds(void);

/* Microseconds since 1970 began, by the clock that can be set. */
uint64_t assay_date(void);

/* Now in UTC as "2026-01-31T12:00:00Z", into text[21]. */
void assay_timestamp(char text[21]);

#endif
