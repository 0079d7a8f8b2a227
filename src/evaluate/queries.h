/* SPDX-License-Identifier: Apache-2.0 */
/* queries.h: reading queries from memory; the rest is in assay.h. */
#ifndef ASSAY_QUERIES_H
#define ASSAY_QUERIES_H

#include "base/status.h"

/* `name` is what errors call the file. */
assay_status assay_queries_parse(const char *data, size_t length, const char *name,
                                 assay_queries *out, assay_error *error);

#endif
