/* SPDX-License-Identifier: Apache-2.0 */
/* allowed.c: see allowed.h. */
#include "pipeline/allowed.h"

void assay_allowed_free(assay_allowed *a)
{
    assay_filter_free(a->filter);
    assay_bits_free(&a->selection.passages);
    assay_bits_free(&a->slots);
    assay_bits_free(&a->words);
    *a = (assay_allowed){0};
}

assay_status assay_allowed_set(assay_allowed *a, const char *expression, assay_error *error)
{
    assay_filter *filter = NULL;
    if (expression != NULL && expression[0] != '\0')
        ASSAY_TRY(assay_filter_parse(expression, &filter, error));
    assay_allowed_free(a);
    a->filter = filter;
    return ASSAY_OK;
}

assay_status assay_allowed_passages(assay_allowed *a, assay_store *store,
                                    const assay_collection *collection, assay_error *error)
{
    if (a->filter == NULL || a->passages_generation == collection->generation)
        return ASSAY_OK;
    assay_selection selection;
    ASSAY_TRY(assay_store_filter(store, collection, a->filter, &selection, &a->missing, error));
    assay_bits_free(&a->selection.passages);
    a->selection = selection;
    a->passages_generation = collection->generation;
    return ASSAY_OK;
}

assay_status assay_allowed_keys(assay_allowed *a, assay_store *store,
                                const assay_collection *collection, assay_error *error)
{
    if (a->filter == NULL || a->keys_generation == collection->generation)
        return ASSAY_OK;
    ASSAY_TRY(assay_store_filter_keys(store, collection, &a->selection, error));
    a->keys_generation = collection->generation;
    return ASSAY_OK;
}

assay_status assay_allowed_slots(assay_allowed *a, const assay_flat *flat,
                                 const assay_collection *collection, assay_error *error)
{
    uint64_t count;
    if (a->filter == NULL || a->slots_generation == collection->generation)
        return ASSAY_OK;
    assay_bits slots;
    ASSAY_TRY(assay_flat_slots(flat, &a->selection.passages, &slots, &count, error));
    assay_bits_free(&a->slots);
    a->slots = slots;
    a->slots_generation = collection->generation;
    return ASSAY_OK;
}

assay_status assay_allowed_words(assay_allowed *a, const assay_postings *postings,
                                 const assay_collection *collection, assay_error *error)
{
    if (a->filter == NULL || a->words_generation == collection->generation)
        return ASSAY_OK;
    assay_bits words;
    ASSAY_TRY(assay_postings_slots(postings, &a->selection.passages, &words, error));
    assay_bits_free(&a->words);
    a->words = words;
    a->words_generation = collection->generation;
    return ASSAY_OK;
}
