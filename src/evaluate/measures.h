/* SPDX-License-Identifier: Apache-2.0 */
/* measures.h: a measure of one ranking; those of whole runs are in assay.h. */
#ifndef ASSAY_MEASURES_H
#define ASSAY_MEASURES_H

#include "base/status.h"

/* nDCG at `cutoff`: grades[count] best first, ideal[relevant] the grades above 0 of all
 * that is judged, highest first. */
double assay_ndcg(const int32_t *grades, size_t count, const int32_t *ideal, size_t relevant,
                  size_t cutoff);

#endif
