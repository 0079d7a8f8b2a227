/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_index.c: token vectors of a collection's passages, computed and kept; see
 * late.h. A batch is encoded, then written in one transaction, so that an interrupted
 * call is resumed by the next: it finds what is missing.
 *
 * Codes need a book first (index/token_codes.h): a sample of the passages is encoded for
 * it. It stays until the collection has become many times as large.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "index/token_codes.h"
#include "pipeline/late.h"

enum { BATCH = 32 }; /* passages */

typedef struct indexing {
    assay_late late;
    const assay_collection *collection;
    const assay_index_options *options;
    assay_progress_fn progress;
    void *user;
    uint64_t *done, total;
    assay_arena *arena;
    assay_token_book *book; /* NULL: bytes */
    uint32_t tag;
    /* The batch, in the arena. */
    size_t count;
    uint64_t passages[BATCH];
    assay_token_ids ids[BATCH];
    float *room[BATCH];     /* of each, one behind the other: [most][dimensions] */
    size_t most[BATCH];
    size_t vectors[BATCH];  /* SIZE_MAX: they are not finite */
} indexing;

const char *assay_late_codes_name(assay_late_codes codes)
{
    static const char *const names[] = {"auto", "i8", "b4", "b2", "b1", "f16"};
    return (size_t)codes < sizeof names / sizeof *names ? names[codes] : names[0];
}

uint32_t assay_late_bits(assay_late_codes codes)
{
    return codes == ASSAY_LATE_CODES_B4    ? 4
           : codes == ASSAY_LATE_CODES_B2  ? 2
           : codes == ASSAY_LATE_CODES_B1  ? 1
           : codes == ASSAY_LATE_CODES_F16 ? ASSAY_TOKEN_HALVES
                                           : 0;
}

static size_t dimensions_of(const indexing *in)
{
    const assay_model *model = in->late.model;
    return in->late.split ? model->config.hidden : model->info.dimensions;
}

static assay_status tell(indexing *in, assay_error *error)
{
    assay_progress step = {.phase = ASSAY_PHASE_TOKENS, .done = *in->done, .total = in->total};
    if (in->progress == NULL || in->progress(&step, in->user))
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_INTERRUPTED, in->collection->name,
                      "interrupted; what is finished is kept, and the same call resumes");
}

/* ---- A batch encoded ------------------------------------------------------------- */

static void take(void *user, size_t item, float *vectors, size_t count)
{
    indexing *in = user;
    in->vectors[item] = vectors != NULL ? count : SIZE_MAX;
    if (count > 0)
        memcpy(in->room[item], vectors, count * dimensions_of(in) * sizeof *vectors);
}

/* The ids of the batch, and room for its vectors. Passages deleted meanwhile are left
 * out. */
static assay_status read_batch(indexing *in, assay_error *error)
{
    size_t count = 0, all = 0;
    for (size_t i = 0; i < in->count; i++) {
        assay_passage_view view;
        bool made;
        assay_status status =
            assay_passage_get(in->late.store, in->passages[i], in->arena, &view, error);
        if (status == ASSAY_E_NOT_FOUND)
            continue;
        ASSAY_TRY(status);
        ASSAY_TRY(assay_late_ids(&in->late, &view, in->arena, &in->ids[count], &made, error));
        in->most[count] = (in->late.split ? assay_split_tokens : assay_late_tokens)(
            in->late.session, &in->ids[count]);
        all += in->most[count];
        in->passages[count++] = in->passages[i];
    }
    in->count = count;
    size_t d = dimensions_of(in);
    float *room = assay_arena_take(in->arena, all * d * sizeof *room);
    if (room == NULL)
        return assay_fail_memory(error, all * d * sizeof *room);
    for (size_t i = 0; i < count; room += in->most[i++] * d)
        in->room[i] = room;
    return ASSAY_OK;
}

static assay_status encode_batch(indexing *in, assay_error *error)
{
    ASSAY_TRY(read_batch(in, error));
    ASSAY_TRY((in->late.split ? assay_split_encode : assay_late_encode)(
        in->late.session, in->ids, in->count, take, in, error));
    for (size_t i = 0; i < in->count; i++)
        if (in->vectors[i] == SIZE_MAX)
            return assay_fail(error, ASSAY_E_CORRUPT, in->late.session->model->info.path,
                              "token vectors are not finite: the weights may be damaged (assay "
                              "check MODEL)");
    return ASSAY_OK;
}

/* ---- A batch written ------------------------------------------------------------- */

static assay_token_rows rows_of(const indexing *in, size_t i)
{
    return (assay_token_rows){
        .count = in->vectors[i],
        .tokens = (uint32_t)in->most[i],
        .truncated = in->ids[i].total > assay_late_limit(&in->late),
    };
}

static assay_status put_bytes(indexing *in, size_t i, assay_error *error)
{
    size_t d = dimensions_of(in);
    assay_token_rows rows = rows_of(in, i);
    float *steps = assay_arena_take(in->arena, rows.count * sizeof *steps);
    int8_t *bytes = assay_arena_take(in->arena, rows.count * d);
    if (steps == NULL || bytes == NULL)
        return assay_fail_memory(error, rows.count * d);
    for (size_t j = 0; j < rows.count; j++)
        steps[j] = assay_late_quantize(in->room[i] + j * d, d, bytes + j * d);
    rows.steps = steps;
    rows.rows = bytes;
    rows.row_bytes = d;
    return assay_token_vectors_put(in->late.store, in->passages[i], &rows, error);
}

static assay_status put_halves(indexing *in, size_t i, assay_error *error)
{
    assay_token_rows rows = rows_of(in, i);
    size_t all = rows.count * dimensions_of(in);
    uint16_t *halves = assay_arena_take(in->arena, all * sizeof *halves);
    if (halves == NULL)
        return assay_fail_memory(error, all * sizeof *halves);
    for (size_t j = 0; j < all; j++)
        halves[j] = assay_half_of(in->room[i][j]);
    rows.bits = ASSAY_TOKEN_HALVES;
    rows.rows = halves;
    rows.row_bytes = dimensions_of(in) * sizeof *halves;
    return assay_token_vectors_put(in->late.store, in->passages[i], &rows, error);
}

static assay_status put_codes(indexing *in, size_t i, assay_error *error)
{
    assay_token_rows rows = rows_of(in, i);
    rows.bits = in->book->bits;
    rows.book = in->tag;
    rows.row_bytes = assay_token_code_bytes(rows.bits, in->book->dimensions);
    uint16_t *halves = assay_arena_take(in->arena, 2 * rows.count * sizeof *halves);
    uint8_t *codes = assay_arena_take(in->arena, rows.count * rows.row_bytes);
    if (halves == NULL || codes == NULL)
        return assay_fail_memory(error, rows.count * rows.row_bytes);
    ASSAY_TRY(assay_token_encode(in->book, in->room[i], rows.count, in->options->threads, halves,
                                 halves + rows.count, codes, error));
    rows.centres = halves;
    rows.steps = halves + rows.count;
    rows.rows = codes;
    return assay_token_vectors_put(in->late.store, in->passages[i], &rows, error);
}

static assay_status write_batch(indexing *in, assay_error *error)
{
    ASSAY_TRY(assay_store_begin(in->late.store, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < in->count && status == ASSAY_OK; i++)
        status = (in->book == NULL                  ? put_bytes
                  : assay_token_book_coded(in->book) ? put_codes
                                                     : put_halves)(in, i, error);
    if (status == ASSAY_OK)
        status = assay_store_commit(in->late.store, error);
    if (status != ASSAY_OK)
        assay_store_rollback(in->late.store);
    return status;
}

static assay_status complete(indexing *in, assay_error *error)
{
    uint64_t last = 0;
    for (;;) {
        assay_arena_reset(in->arena);
        ASSAY_TRY(assay_token_vectors_missing(in->late.store, in->collection, last, in->passages,
                                              BATCH, &in->count, error));
        if (in->count == 0)
            return ASSAY_OK;
        last = in->passages[in->count - 1];
        ASSAY_TRY(encode_batch(in, error));
        ASSAY_TRY(write_batch(in, error));
        *in->done += in->count;
        ASSAY_TRY(tell(in, error));
    }
}

/* ---- The book -------------------------------------------------------------------- */

/* What is gathered of passages spread over the collection. */
typedef struct sample {
    uint64_t *keys; /* [count] of all passages */
    uint64_t count, wanted;
    float *vectors; /* [taken][dimensions] */
    size_t taken, seen, capacity, every;
} sample;

/* Every n-th vector of the batch. */
static void sample_batch(indexing *in, sample *s)
{
    size_t d = dimensions_of(in);
    for (size_t i = 0; i < in->count; i++)
        for (size_t j = 0; j < in->vectors[i]; j++)
            if (s->seen++ % s->every == 0 && s->taken < s->capacity)
                memcpy(s->vectors + s->taken++ * d, in->room[i] + j * d, d * sizeof(float));
}

static assay_status gather(indexing *in, sample *s, assay_error *error)
{
    for (uint64_t next = 0; next < s->wanted;) {
        assay_arena_reset(in->arena);
        for (in->count = 0; in->count < BATCH && next < s->wanted; next++)
            in->passages[in->count++] =
                s->keys[(uint64_t)((double)next * (double)s->count / (double)s->wanted)];
        ASSAY_TRY(encode_batch(in, error));
        sample_batch(in, s);
        ASSAY_TRY(tell(in, error));
    }
    return ASSAY_OK;
}

static assay_status make_book(indexing *in, uint32_t bits, uint64_t passages, sample *s,
                              assay_error *error)
{
    uint32_t d = (uint32_t)dimensions_of(in);
    size_t found = 0, longest = in->late.session->max_tokens;
    size_t most = assay_token_book_most(d);
    s->wanted = assay_token_book_sample(passages);
    s->every = (size_t)(s->wanted * longest / most) + 1;
    s->capacity = s->wanted * longest / s->every + 1;
    s->keys = calloc(passages + 1, sizeof *s->keys);
    s->vectors = malloc(s->capacity * d * sizeof *s->vectors);
    if (s->keys == NULL || s->vectors == NULL)
        return assay_fail_memory(error, s->capacity * d * sizeof *s->vectors);
    ASSAY_TRY(assay_passage_keys(in->late.store, in->collection, 0, s->keys, passages, &found,
                                 error));
    s->count = found;
    s->wanted = s->wanted < s->count ? s->wanted : s->count;
    ASSAY_TRY(gather(in, s, error));
    double share = (double)s->wanted / fmax(1, (double)s->count) / (double)s->every;
    return assay_token_book_make(d, bits, passages, share > 0 ? share : 1, s->vectors, s->taken,
                                 in->options->threads, &in->book, error);
}

static assay_status sample_and_make(indexing *in, uint32_t bits, uint64_t passages,
                                    assay_error *error)
{
    sample s = {0};
    assay_status status = make_book(in, bits, passages, &s, error);
    free(s.keys);
    free(s.vectors);
    return status;
}

/* That of the collection, into in->book; left NULL when it is damaged. */
static assay_status read_book(indexing *in, assay_error *error)
{
    assay_buffer bytes;
    assay_buffer_init(&bytes, 0);
    assay_status status = assay_late_book(in->late.store, in->collection, &bytes, error);
    if (status == ASSAY_OK &&
        assay_token_book_read(bytes.data, bytes.length, in->collection->name, &in->book, NULL) !=
            ASSAY_OK)
        in->book = NULL;
    assay_buffer_free(&bytes);
    return status;
}

/* ---- All of it ------------------------------------------------------------------- */

/* Gives the collection a new setting, of vectors that are all still to come. */
static assay_status begin_anew(indexing *in, const char *model, uint32_t bits, uint64_t passages,
                               assay_error *error)
{
    assay_buffer book;
    assay_late_model now = {.digest = in->late.digest, .pool = in->late.session->pool,
                            .bits = bits};
    snprintf(now.model, sizeof now.model, "%s", model);
    assay_token_book_free(in->book);
    in->book = NULL;
    if (bits == ASSAY_TOKEN_HALVES)
        ASSAY_TRY(assay_token_book_plain((uint32_t)dimensions_of(in), passages, &in->book, error));
    else if (bits > 0)
        ASSAY_TRY(sample_and_make(in, bits, passages, error));
    assay_buffer_init(&book, 0);
    if (bits > 0)
        assay_token_book_write(in->book, &book);
    assay_status status = assay_buffer_status(&book, in->collection->name, error);
    if (status == ASSAY_OK)
        status = assay_late_set(in->late.store, in->collection, &now,
                                bits > 0 ? book.data : NULL, book.length, error);
    in->tag = now.book;
    assay_buffer_free(&book);
    return status;
}

/* Whether the vectors that there are can stay. */
static bool fits(const indexing *in, const assay_late_model *set, uint32_t bits,
                 uint64_t passages)
{
    return memcmp(set->digest.bytes, in->late.digest.bytes, sizeof set->digest.bytes) == 0 &&
           set->bits == bits && set->pool == in->late.session->pool &&
           (bits == 0 || (in->book != NULL && !assay_token_book_outgrown(in->book, passages)));
}

static assay_status run(indexing *in, assay_store *store, const assay_late_model *set,
                        const char *model, assay_error *error)
{
    const assay_index_options *o = in->options;
    const assay_late_options options = {.model = model,
                                        .wanted = o->split != NULL  ? ASSAY_LATE_SPLIT
                                                  : o->late != NULL ? ASSAY_LATE_INTERACTION
                                                                    : ASSAY_LATE_EITHER,
                                        .threads = o->threads};
    uint32_t bits = o->late_codes == ASSAY_LATE_CODES_AUTO ? set->bits
                                                           : assay_late_bits(o->late_codes);
    assay_collection_info info;
    ASSAY_TRY(assay_late_begin(&in->late, store, &options, error));
    if (in->late.split && o->late_codes == ASSAY_LATE_CODES_AUTO)
        bits = 0; /* whatever was there before */
    if (in->late.split && o->late_pool > 1)
        return assay_fail(error, ASSAY_E_ARGUMENT, "late_pool",
                          "is for late interaction; all states of a cross-encoder are kept");
    if (in->late.split && bits > 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "late_codes",
                          "%s is for late interaction; states of a cross-encoder are kept as "
                          "bytes", assay_late_codes_name(o->late_codes));
    ASSAY_TRY(assay_collection_describe(store, in->collection->name, &info, error));
    in->late.session->pool = o->late_pool > 0                      ? o->late_pool
                             : set->pool > 0 && !in->late.split ? set->pool
                                                                : 1;
    in->total = info.passages;
    in->tag = set->book;
    if (set->bits > 0)
        ASSAY_TRY(read_book(in, error));
    if (o->rebuild || !fits(in, set, bits, info.passages))
        ASSAY_TRY(begin_anew(in, model, bits, info.passages, error));
    else /* how many passages lack vectors, for the progress */
        in->total -= info.late_vectors < info.passages ? info.late_vectors : info.passages;
    return complete(in, error);
}

assay_status assay_late_complete(assay_store *store, const assay_collection *collection,
                                 const assay_index_options *options, assay_progress_fn progress,
                                 void *user, uint64_t *done, assay_error *error)
{
    assay_late_model set;
    const char *model = options->split != NULL ? options->split : options->late;
    *done = 0;
    if (options->split != NULL && options->late != NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "split",
                          "late is given, too: a collection keeps the vectors of one model");
    ASSAY_TRY(assay_late_get(store, collection, &set, error));
    if (model == NULL)
        model = set.model;
    if (strlen(model) >= sizeof set.model)
        return assay_fail(error, ASSAY_E_LIMIT, "late", "a name of %zu bytes, expected at most %zu",
                          strlen(model), sizeof set.model - 1);
    if (strcmp(model, "none") == 0)
        return set.model[0] != '\0'
                   ? assay_late_set(store, collection, &(assay_late_model){0}, NULL, 0, error)
                   : ASSAY_OK;
    if (model[0] == '\0')
        return options->late_codes == ASSAY_LATE_CODES_AUTO && options->late_pool == 0
                   ? ASSAY_OK
                   : assay_fail(error, ASSAY_E_ARGUMENT,
                                options->late_pool > 0 ? "late_pool" : "late_codes",
                                "the collection keeps no token vectors; say of which model with "
                                "late");
    indexing in = {.collection = collection, .options = options, .progress = progress,
                   .user = user, .done = done, .arena = assay_arena_new(0)};
    if (in.arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    assay_status status = run(&in, store, &set, model, error);
    assay_late_end(&in.late);
    assay_token_book_free(in.book);
    assay_arena_free(in.arena);
    return status;
}
