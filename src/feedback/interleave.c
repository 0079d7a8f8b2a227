/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interleave.c: team-draft interleaving (Radlinski, Kurup & Joachims 2008).
 *
 * In every round a coin says which list picks first; then each picks its best document
 * that is not there yet. A list that has none left passes. A click counts for the list
 * that picked the document. Coins are bits of splitmix64, so that a seed gives the
 * same list again.
 */
#include "feedback/feedback.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

typedef struct draft {
    const char *const *lists[2];
    size_t counts[2], next[2];
    assay_string_map *there;
} draft;

/* The list's best that is not there yet. */
static assay_status pick(draft *d, int list, assay_pick *out, bool *picked, assay_error *error)
{
    *picked = false;
    while (!*picked && d->next[list] < d->counts[list]) {
        size_t place = d->next[list]++;
        const char *document = d->lists[list][place];
        uint32_t number;
        ASSAY_TRY(assay_string_map_add(d->there, document, strlen(document), &number, picked,
                                       error));
        *out = (assay_pick){.place = place, .second = list == 1};
    }
    return ASSAY_OK;
}

static assay_status run(draft *d, size_t top, uint64_t seed, assay_pick *picks, size_t *count,
                        assay_error *error)
{
    bool any = true;
    while (any && *count < top) {
        int first = (int)(assay_random_next(&seed) & 1);
        any = false;
        for (int turn = 0; turn < 2 && *count < top; turn++) {
            bool picked;
            ASSAY_TRY(pick(d, turn == 0 ? first : !first, &picks[*count], &picked, error));
            *count += picked;
            any = any || picked;
        }
    }
    return ASSAY_OK;
}

assay_status assay_interleave(const char *const *first, size_t first_count,
                              const char *const *second, size_t second_count, size_t top,
                              uint64_t seed, assay_pick *picks, size_t *count,
                              assay_error *error)
{
    draft d = {.lists = {first, second}, .counts = {first_count, second_count},
               .there = assay_string_map_new()};
    if (d.there == NULL)
        return assay_fail_memory(error, 1024);
    *count = 0;
    assay_status status = run(&d, top, seed, picks, count, error);
    assay_string_map_free(d.there);
    return status;
}
