/* SPDX-License-Identifier: Apache-2.0 */
/* run.h: what measures need to know of a run; the rest is in assay.h. */
#ifndef ASSAY_RUN_H
#define ASSAY_RUN_H

#include "base/status.h"

/* Reads a run from memory; `name` is what errors call the file. */
assay_status assay_run_parse(const char *data, size_t length, const char *name,
                             assay_run **out, assay_error *error);

/* Entries first .. first + count - 1 are the hits of the query (see
 * assay_run_at); count is 0 for a query that the run lacks. */
void assay_run_find(const assay_run *run, const char *query, size_t *first, size_t *count);

#endif
