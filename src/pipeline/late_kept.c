/* SPDX-License-Identifier: Apache-2.0 */
/* late_kept.c: see late_kept.h. */
#include "pipeline/late_kept.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The book -------------------------------------------------------------------- */

static assay_status open_book(assay_late_kept *k, const assay_collection *collection,
                              const assay_late_model *set, assay_error *error)
{
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_token_book_free(k->book);
    k->book = NULL;
    assay_status status = assay_late_book(k->late->store, collection, &bytes, error);
    if (status == ASSAY_OK)
        status = assay_token_book_read(bytes.data, bytes.length, collection->name, &k->book,
                                       error);
    assay_buffer_free(&bytes);
    k->collection = collection->key;
    k->tag = set->book;
    return status;
}

/* That of the collection, if it has one; one that is damaged is as none at all. */
static assay_status find_book(assay_late_kept *k, const assay_collection *collection,
                              const assay_late_model *set, assay_error *error)
{
    if (k->book != NULL && k->collection == collection->key && k->tag == set->book)
        return ASSAY_OK;
    assay_status status = open_book(k, collection, set, error);
    if (status == ASSAY_OK && k->book->dimensions == k->late->session->model->info.dimensions)
        return ASSAY_OK;
    assay_token_book_free(k->book);
    k->book = NULL;
    k->usable = false;
    k->damaged = true;
    return status == ASSAY_E_CORRUPT || status == ASSAY_E_VERSION ? ASSAY_OK : status;
}

assay_status assay_late_kept_begin(assay_late_kept *k, assay_late *late,
                                   const assay_collection *collection, assay_error *error)
{
    assay_late_model set;
    k->late = late;
    ASSAY_TRY(assay_late_get(late->store, collection, &set, error));
    k->damaged = false;
    k->usable = set.model[0] != '\0' &&
                memcmp(set.digest.bytes, late->digest.bytes, sizeof set.digest.bytes) == 0;
    late->session->pool = k->usable ? set.pool : 1; /* of what is missing */
    if (k->usable && set.bits > 0)
        ASSAY_TRY(find_book(k, collection, &set, error));
    k->coded = k->usable && set.bits > 0 && assay_token_book_coded(k->book);
    if (k->coded)
        return assay_token_ask(&k->query, k->book, &late->session->question, error);
    return ASSAY_OK;
}

/* ---- One passage ----------------------------------------------------------------- */

typedef struct reading {
    assay_late_kept *kept;
    assay_score *score;
    bool found, damaged;
    assay_status status;
} reading;

/* Of `count` vectors. */
static bool make_room(assay_late_kept *k, size_t count)
{
    size_t d = k->late->session->model->info.dimensions;
    if (count <= k->capacity)
        return true;
    free(k->steps);
    free(k->halves);
    k->steps = malloc(count * sizeof *k->steps);
    k->halves = malloc(count * (d > 2 ? d : 2) * sizeof *k->halves);
    k->capacity = k->steps != NULL && k->halves != NULL ? count : 0;
    return k->capacity > 0;
}

static float score_bytes(assay_late_kept *k, const assay_token_rows *rows)
{
    memcpy(k->steps, rows->steps, rows->count * sizeof *k->steps);
    return assay_late_maxsim_i8(k->late->session,
                                (assay_late_bytes){k->steps, rows->rows, rows->count}, NULL);
}

static float score_halves(assay_late_kept *k, const assay_token_rows *rows)
{
    const void *halves = rows->rows;
    if ((uintptr_t)halves % sizeof(uint16_t) != 0)
        halves = memcpy(k->halves, halves, rows->count * rows->row_bytes);
    return assay_late_maxsim_f16(k->late->session, halves, rows->count, NULL);
}

static float score_codes(assay_late_kept *k, const assay_token_rows *rows)
{
    memcpy(k->halves, rows->centres, rows->count * sizeof *k->halves);
    memcpy(k->halves + rows->count, rows->steps, rows->count * sizeof *k->halves);
    const assay_token_codes codes = {rows->count, k->halves, k->halves + rows->count,
                                     rows->rows};
    return assay_token_maxsim(&k->query, &codes);
}

static bool fits(const assay_late_kept *k, const assay_token_rows *rows)
{
    size_t dimensions = k->late->session->model->info.dimensions;
    if (rows->bits == 0)
        return rows->row_bytes == dimensions;
    if (rows->bits == ASSAY_TOKEN_HALVES)
        return rows->row_bytes == dimensions * sizeof(uint16_t);
    return k->book != NULL && rows->bits == k->book->bits && rows->book == k->tag &&
           rows->row_bytes == assay_token_code_bytes(rows->bits, k->book->dimensions);
}

static void score_rows(void *user, const assay_token_rows *rows)
{
    reading *r = user;
    assay_late_kept *k = r->kept;
    r->damaged = rows->damaged || (rows->count > 0 && !fits(k, rows));
    if (rows->count == 0 || r->damaged)
        return;
    if (!make_room(k, rows->count)) {
        r->status = ASSAY_E_MEMORY;
        return;
    }
    float logit = (rows->bits == 0                    ? score_bytes
                   : rows->bits == ASSAY_TOKEN_HALVES ? score_halves
                                                      : score_codes)(k, rows);
    r->damaged = isnan(logit);
    r->found = !r->damaged;
    *r->score = (assay_score){.logit = logit,
                              .probability = NAN,
                              .tokens = rows->tokens,
                              .truncated = rows->truncated,
                              .query_truncated = k->late->session->question.truncated};
}

assay_status assay_late_kept_score(assay_late_kept *k, uint64_t passage, assay_score *score,
                                   bool *found, bool *damaged, assay_error *error)
{
    reading r = {.kept = k, .score = score, .damaged = k->damaged};
    if (k->usable)
        ASSAY_TRY(assay_token_vectors_read(k->late->store, passage, score_rows, &r, error));
    if (r.status != ASSAY_OK)
        return assay_fail_memory(error, k->capacity * sizeof(float));
    *found = r.found;
    *damaged = r.damaged;
    return ASSAY_OK;
}

void assay_late_kept_free(assay_late_kept *k)
{
    assay_token_book_free(k->book);
    assay_token_query_free(&k->query);
    free(k->steps);
    free(k->halves);
    *k = (assay_late_kept){0};
}
