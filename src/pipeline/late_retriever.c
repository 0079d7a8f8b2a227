/* SPDX-License-Identifier: Apache-2.0 */
/* late_retriever.c: see late_retriever.h. */
#include "pipeline/late_retriever.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "pipeline/vector_choice.h"

enum { KEYS = 256 }; /* read at a time, with their vectors */

/* ---- Opening --------------------------------------------------------------------- */

assay_status assay_late_retriever_open(assay_late_retriever *r, assay_store *store,
                                       const assay_collection *collection, uint32_t threads,
                                       assay_error *error)
{
    assay_late_model set;
    ASSAY_TRY(assay_late_get(store, collection, &set, error));
    if (set.model[0] == '\0')
        return assay_fail(error, ASSAY_E_ARGUMENT, collection->name,
                          "keeps no token vectors, which the retriever late searches; 'assay "
                          "index --late late --late-codes b4' makes some");
    const assay_late_options options = {.model = set.model,
                                        .wanted = ASSAY_LATE_EITHER,
                                        .threads = threads};
    ASSAY_TRY(assay_late_begin(&r->late, store, &options, error));
    if (!r->late.split)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, collection->name,
                      "keeps what '%.200s' makes of passages, for the reranker cross-split; the "
                      "retriever late searches token vectors of late interaction", set.model);
}

void assay_late_retriever_close(assay_late_retriever *r)
{
    assay_late_kept_free(&r->kept);
    assay_late_end(&r->late);
    assay_token_lists_free(r->lists);
    free(r->near);
    *r = (assay_late_retriever){0};
}

/* ---- The file -------------------------------------------------------------------- */

static assay_token_stamp stamp_for(const assay_late_retriever *r,
                                   const assay_collection *collection)
{
    return (assay_token_stamp){(uint64_t)collection->key, collection->generation, r->kept.tag,
                               r->kept.book->count};
}

static bool same_book(assay_token_stamp a, assay_token_stamp b)
{
    return a.collection == b.collection && a.book == b.book && a.centres == b.centres;
}

static bool is_current(const assay_late_retriever *r, const assay_token_lists *lists,
                       const assay_collection *collection)
{
    assay_token_stamp want = stamp_for(r, collection);
    if (lists == NULL)
        return false;
    assay_token_stamp is = assay_token_lists_stamp(lists);
    return same_book(is, want) && is.generation == want.generation;
}

typedef struct adding {
    assay_token_lists *lists;
    uint64_t passage;
    uint32_t book;
    assay_status status;
    assay_error *error;
} adding;

/* Vectors that are missing, damaged or of another book are found by no search. */
static void add_rows(void *user, const assay_token_rows *rows)
{
    adding *a = user;
    if (rows->count > 0 && !rows->damaged && rows->centres != NULL &&
        rows->book == a->book)
        a->status = assay_token_lists_add(a->lists, a->passage, rows->centres, rows->count,
                                          a->error);
}

/* Whether the old lists have a passage. Both are gone over in the order of keys; *at is
 * where in the old ones. */
static bool is_old(const assay_token_lists *old, uint32_t *at, uint64_t passage)
{
    uint32_t there = old != NULL ? assay_token_lists_count(old) : 0;
    while (*at < there && assay_token_lists_key(old, *at) < passage)
        ++*at;
    return *at < there && assay_token_lists_key(old, *at) == passage;
}

/* One passage: as the old lists have it, or else as the store does. */
static assay_status add_passage(assay_late_retriever *r, const assay_token_lists *old,
                                uint32_t *at, adding *a)
{
    if (is_old(old, at, a->passage)) {
        size_t count;
        const uint16_t *centres = assay_token_lists_centres(old, *at, &count);
        return assay_token_lists_add(a->lists, a->passage, centres, count, a->error);
    }
    ASSAY_TRY(assay_token_vectors_read(r->late.store, a->passage, add_rows, a, a->error));
    return a->status;
}

/* Tells the store which of the passages will be read. */
static assay_status expect_new(assay_late_retriever *r, const assay_collection *collection,
                               const assay_token_lists *old, uint32_t at, const uint64_t *keys,
                               size_t count, assay_error *error)
{
    int64_t new[KEYS];
    size_t some = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_old(old, &at, keys[i]))
            new[some++] = (int64_t)keys[i];
    return assay_token_vectors_expect(r->late.store, collection, new, some, error);
}

static assay_status fill(assay_late_retriever *r, const assay_collection *collection,
                         const assay_token_lists *old, assay_token_lists *lists,
                         assay_error *error)
{
    uint64_t keys[KEYS], last = 0;
    size_t count;
    uint32_t at = 0;
    adding a = {.lists = lists, .book = r->kept.tag, .error = error};
    for (;;) {
        ASSAY_TRY(assay_passage_keys(r->late.store, collection, last, keys, KEYS, &count, error));
        if (count == 0)
            return assay_token_lists_finish(lists, error);
        ASSAY_TRY(expect_new(r, collection, old, at, keys, count, error));
        for (size_t i = 0; i < count; i++) {
            a.passage = keys[i];
            ASSAY_TRY(add_passage(r, old, &at, &a));
        }
        last = keys[count - 1];
    }
}

static assay_status make(assay_late_retriever *r, const assay_collection *collection,
                         const assay_token_lists *old, assay_token_lists **out,
                         assay_error *error)
{
    assay_token_stamp stamp = stamp_for(r, collection);
    ASSAY_TRY(assay_token_lists_new(&stamp, out, error));
    assay_status status = fill(r, collection, old, *out, error);
    if (status == ASSAY_OK)
        return ASSAY_OK;
    assay_token_lists_free(*out);
    *out = NULL;
    return status;
}

static void take(assay_late_retriever *r, assay_token_lists *lists)
{
    assay_token_lists_free(r->lists);
    r->lists = lists;
}

/* Makes r->lists those of the collection as it is now. A file that cannot be written is
 * done without. */
static assay_status open_lists(assay_late_retriever *r, const assay_collection *collection,
                               assay_error *error)
{
    char name[64], path[1024];
    assay_token_lists *made;
    if (is_current(r, r->lists, collection))
        return ASSAY_OK;
    snprintf(name, sizeof name, "index/%" PRId64 ".tokens", collection->key);
    ASSAY_TRY(assay_path_join(path, sizeof path, assay_store_home(r->late.store), name, error));
    if (assay_token_lists_open(path, &made, NULL) == ASSAY_OK) {
        if (is_current(r, made, collection)) {
            take(r, made);
            return ASSAY_OK;
        }
        assay_token_lists_free(made);
    }
    bool old = r->lists != NULL &&
               same_book(assay_token_lists_stamp(r->lists), stamp_for(r, collection));
    ASSAY_TRY(make(r, collection, old ? r->lists : NULL, &made, error));
    take(r, made);
    if (assay_vector_folder_make(r->late.store, NULL) == ASSAY_OK)
        assay_token_lists_save(made, path, NULL);
    return ASSAY_OK;
}

/* ---- Searching ------------------------------------------------------------------- */

/* Those of [KEYS] passages that have vectors. */
static assay_status score_some(assay_late_retriever *r, const assay_collection *collection,
                               const int64_t *passages, size_t count, assay_best *best,
                               assay_error *error)
{
    ASSAY_TRY(assay_token_vectors_expect(r->late.store, collection, passages, count, error));
    for (size_t i = 0; i < count; i++) {
        assay_score score;
        bool found, damaged;
        uint64_t passage = (uint64_t)passages[i];
        ASSAY_TRY(assay_late_kept_score(&r->kept, passage, &score, &found, &damaged, error));
        if (found)
            assay_best_add(best, (assay_candidate){passage, score.logit});
    }
    return ASSAY_OK;
}

static assay_status score_all(assay_late_retriever *r, const assay_collection *collection,
                              const assay_bits *allowed, assay_best *best, assay_error *error)
{
    uint64_t keys[KEYS], last = 0;
    int64_t some[KEYS];
    size_t count;
    for (;;) {
        ASSAY_TRY(assay_passage_keys(r->late.store, collection, last, keys, KEYS, &count, error));
        if (count == 0)
            return ASSAY_OK;
        size_t chosen = 0;
        for (size_t i = 0; i < count; i++)
            if (allowed == NULL || assay_bits_has(allowed, keys[i]))
                some[chosen++] = (int64_t)keys[i];
        ASSAY_TRY(score_some(r, collection, some, chosen, best, error));
        last = keys[count - 1];
    }
}

static assay_status score_near(assay_late_retriever *r, const assay_collection *collection,
                               const assay_late_search *search, assay_best *best,
                               assay_error *error)
{
    size_t most = search->scored > search->k ? search->scored : search->k;
    if (most > r->near_room) {
        free(r->near);
        r->near = calloc(most, sizeof *r->near);
        r->near_room = r->near != NULL ? most : 0;
    }
    if (r->near == NULL)
        return assay_fail_memory(error, most * sizeof *r->near);
    ASSAY_TRY(open_lists(r, collection, error));
    assay_best near = {.items = r->near, .limit = most};
    const assay_token_probing find = {search->nprobe, search->allowed};
    ASSAY_TRY(assay_token_lists_search(r->lists, &r->kept.query, &find, &near, error));
    for (size_t i = 0; i < near.count; i += KEYS) {
        int64_t some[KEYS];
        size_t count = near.count - i < KEYS ? near.count - i : KEYS;
        for (size_t j = 0; j < count; j++)
            some[j] = (int64_t)near.items[i + j].passage;
        ASSAY_TRY(score_some(r, collection, some, count, best, error));
    }
    return ASSAY_OK;
}

assay_status assay_late_retrieve(assay_late_retriever *r, const assay_collection *collection,
                                 assay_text query, const assay_late_search *search,
                                 assay_candidate *out, size_t *count, bool *truncated,
                                 assay_error *error)
{
    assay_best best = {.items = out, .limit = search->k};
    ASSAY_TRY(assay_late_query(r->late.session, query, error));
    *truncated = r->late.session->question.truncated;
    ASSAY_TRY(assay_late_kept_begin(&r->kept, &r->late, collection, error));
    if (r->kept.damaged)
        return assay_fail(error, ASSAY_E_CORRUPT, collection->name,
                          "what its token codes mean is damaged; 'assay index' makes them anew");
    if (!r->kept.usable)
        return assay_fail(error, ASSAY_E_ARGUMENT, collection->name,
                          "keeps token vectors of another model than when the search was opened");
    bool all = search->exact || !r->kept.coded;
    ASSAY_TRY(all ? score_all(r, collection, search->allowed, &best, error)
                  : score_near(r, collection, search, &best, error));
    assay_best_sort(&best);
    *count = best.count;
    return ASSAY_OK;
}
