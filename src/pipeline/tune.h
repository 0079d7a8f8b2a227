/* SPDX-License-Identifier: Apache-2.0 */
/* tune.h: what was measured of a vector index, put to use. */
#ifndef ASSAY_TUNE_H
#define ASSAY_TUNE_H

#include "store/store.h"

/* Fills in the effort of a search, where none was asked for, by what was measured of the
 * collection's index; leaves it where nothing was. */
void assay_tune_apply(assay_store *store, const assay_collection *collection,
                      assay_pipeline_options *options);

#endif
