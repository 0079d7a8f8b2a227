/* SPDX-License-Identifier: Apache-2.0 */
/* normal.c: see normal.h. */
#include "text/normal.h"

#include <stdlib.h>

void assay_normal_free(assay_normal *normal)
{
    free(normal->bytes);
    free(normal->begins);
    free(normal->ends);
    free(normal->pending);
    free(normal->sorted);
    *normal = (assay_normal){0};
}

static bool resize(void *list, size_t count, size_t item)
{
    void *grown = realloc(*(void **)list, count * item);
    if (grown != NULL)
        *(void **)list = grown;
    return grown != NULL;
}

bool assay_normal_reserve(assay_normal *normal, size_t more)
{
    size_t needed = normal->count + more;
    if (needed <= normal->capacity)
        return true;
    size_t capacity = needed > 2 * normal->capacity ? needed : 2 * normal->capacity;
    if (!resize(&normal->bytes, capacity, 1) ||
        !resize(&normal->begins, capacity, sizeof *normal->begins) ||
        !resize(&normal->ends, capacity, sizeof *normal->ends))
        return false;
    normal->capacity = capacity;
    return true;
}
