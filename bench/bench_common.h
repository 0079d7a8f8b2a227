/* SPDX-License-Identifier: Apache-2.0 */
/* bench_common.h: what benches of many passages share: memory that is there or ends the
 * bench, and how far it is, on standard error. */
#ifndef ASSAY_BENCH_COMMON_H
#define ASSAY_BENCH_COMMON_H

#include <stdio.h>
#include <stdlib.h>

static inline void *take(size_t bytes)
{
    void *p = aligned_alloc(64, bytes / 64 * 64 + 64);
    if (p == NULL)
        abort();
    return p;
}

static inline void say(const char *what, size_t done, size_t all)
{
    fprintf(stderr, "\r%s: %zu of %zu ", what, done, all);
    if (done == all)
        fputc('\n', stderr);
}

#endif
