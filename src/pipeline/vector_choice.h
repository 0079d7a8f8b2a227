/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_choice.h: which vector index a collection is to have, and what was measured
 * of it: <home>/index/<collection key>.json, beside the index; or, where the database
 * has the index and knows the choice itself, what was measured, kept by the database.
 *
 *   {"index": "hnsw", "codes": "i8", "tuned": {"index": "hnsw", "wanted": 0.95, "recall": 0.9531,
 *    "k": 100, "queries": 200, "ef": 140, "vectors": 50000}}
 *
 * A file that is missing or cannot be understood says nothing: the choice is auto, and
 * nothing was measured.
 */
#ifndef ASSAY_VECTOR_CHOICE_H
#define ASSAY_VECTOR_CHOICE_H

#include "index/codes.h"
#include "store/store.h"

typedef struct assay_vector_choice {
    assay_vector_index kind;
    assay_code_kind codes;     /* 0: nobody has chosen */
    assay_vector_tuning tuned; /* its kind is AUTO: nothing was measured */
} assay_vector_choice;

assay_vector_choice assay_vector_choice_read(assay_store *store,
                                             const assay_collection *collection);
assay_status assay_vector_choice_write(assay_store *store, const assay_collection *collection,
                                       const assay_vector_choice *choice, assay_error *error);

/* Makes the folder of the indexes, where it is not there; IO when it cannot be written. */
assay_status assay_vector_folder_make(const assay_store *store, assay_error *error);

#endif
