/* SPDX-License-Identifier: Apache-2.0 */
/* filter_parts.h: a filter as its two readers, filter.c and filter_json.c, make it. */
#ifndef ASSAY_FILTER_PARTS_H
#define ASSAY_FILTER_PARTS_H

#include "base/arena.h"
#include "text/filter.h"

struct assay_filter {
    assay_arena *arena; /* of names and texts */
    assay_filter_step *steps;
    size_t count, capacity;
};

assay_status assay_filter_add(assay_filter *filter, assay_filter_step step, assay_error *error);
assay_status assay_filter_add_op(assay_filter *filter, assay_filter_op op, assay_error *error);

/* A step that takes what is equal to a value, or in the span [from, to) of a date. */
assay_filter_step assay_filter_equal(assay_value value);
assay_filter_step assay_filter_span(int64_t from, int64_t to);
/* Such a step becomes one that takes what lies beside it: sign is '<' or '>'. */
void assay_filter_order(assay_filter_step *range, char sign, bool or_equal);

/* The JSON form, which begins with '{', into an empty filter. *everything: it says nothing,
 * and there are no steps. */
assay_status assay_filter_parse_json(const char *text, size_t length, assay_filter *filter,
                                     bool *everything, assay_error *error);

#endif
