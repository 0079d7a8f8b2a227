/* SPDX-License-Identifier: Apache-2.0 */
/* cut_query.h: a sentence of a passage as a query, and the passage without it. */
#ifndef ASSAY_CUT_QUERY_H
#define ASSAY_CUT_QUERY_H

#include "base/arena.h"

/* A passage of fewer words says too little to be learned from. */
#define ASSAY_FEWEST_WORDS 12u

/* The passage less the query where that stands in it, word for word, any white space
 * being as good as any other, the stop behind it taken, too. *cut says whether it does; the
 * result then lies in the arena, else it is the passage. */
assay_status assay_cut_query(assay_text query, assay_text passage, assay_arena *arena,
                             assay_text *out, bool *cut, assay_error *error);

#endif
