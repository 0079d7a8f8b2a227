/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flat.c: see flat.h.
 *
 * File, all numbers little-endian:
 *
 *   offset  bytes
 *        0      8  magic "ASSAYFLT"
 *        8      4  format version, 1
 *       12      4  dimensions d
 *       16      8  number of vectors n
 *       24      8  collection key
 *       32      8  generation of the collection
 *       40     16  XXH3-128 of the vectors and the keys, as the writer hashed them
 *       56      8  XXH3-64 of bytes 0 to 55
 *       64  4*d*n  vectors, binary32, one after another
 *        +     pad  zeros up to a multiple of 8
 *        +    8*n  passage keys, in the order of the vectors
 */
#include "index/flat.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/threads.h"
#include "index/derived_file.h"
#include "kernels/kernels.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "vectors are mapped as they lie in the file, which is little-endian"
#endif

static const char magic[8] = "ASSAYFLT";

enum { FORMAT_VERSION = 1, HEADER_SIZE = 64, MAX_DIMENSIONS = 1 << 16 };

typedef struct header {
    char magic[8];
    uint32_t version;
    uint32_t dimensions;
    uint64_t count;
    uint64_t collection;
    uint64_t generation;
    assay_digest content;
    uint64_t checksum;
} header;

_Static_assert(sizeof(header) == HEADER_SIZE, "the header is laid out as documented");

/* Where the keys begin, for n vectors of d dimensions. */
static uint64_t keys_offset(uint64_t n, uint32_t d)
{
    return (HEADER_SIZE + n * d * sizeof(float) + 7) / 8 * 8;
}

/* ---------------------------------------------------------------- writing */

struct assay_flat_writer {
    assay_new_file file;
    header header;
    assay_hasher *hasher;
    uint64_t *keys; /* [capacity] */
    uint64_t capacity;
};

void assay_flat_abort(assay_flat_writer *writer)
{
    if (writer == NULL)
        return;
    assay_new_file_abort(&writer->file);
    if (writer->hasher != NULL)
        assay_hasher_finish(writer->hasher);
    free(writer->keys);
    free(writer);
}

assay_status assay_flat_create(const char *path, const assay_flat_stamp *stamp,
                               assay_flat_writer **out, assay_error *error)
{
    if (stamp->dimensions == 0 || stamp->dimensions > MAX_DIMENSIONS)
        return assay_fail(error, ASSAY_E_ARGUMENT, path, "%" PRIu32 " dimensions, expected 1..%d",
                          stamp->dimensions, MAX_DIMENSIONS);
    assay_flat_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return assay_fail_memory(error, sizeof *writer);
    writer->hasher = assay_hasher_new();
    assay_status status = writer->hasher != NULL ? ASSAY_OK : assay_fail_memory(error, 1024);
    if (status == ASSAY_OK)
        status = assay_new_file_open(path, &writer->file, error);
    if (status == ASSAY_OK) {
        memcpy(writer->header.magic, magic, sizeof magic);
        writer->header.version = FORMAT_VERSION;
        writer->header.dimensions = stamp->dimensions;
        writer->header.collection = stamp->collection;
        writer->header.generation = stamp->generation;
        status = assay_new_file_write(&writer->file, &writer->header, sizeof writer->header,
                                      error);
    }
    if (status != ASSAY_OK) {
        assay_flat_abort(writer);
        return status;
    }
    *out = writer;
    return ASSAY_OK;
}

assay_status assay_flat_append(assay_flat_writer *writer, uint64_t passage, const float *vector,
                               assay_error *error)
{
    uint64_t n = writer->header.count;
    if (n == writer->capacity) {
        uint64_t capacity = n > 0 ? 2 * n : 1024;
        uint64_t *keys = realloc(writer->keys, capacity * sizeof *keys);
        if (keys == NULL)
            return assay_fail_memory(error, capacity * sizeof *keys);
        writer->keys = keys;
        writer->capacity = capacity;
    }
    size_t size = writer->header.dimensions * sizeof *vector;
    ASSAY_TRY(assay_new_file_write(&writer->file, vector, size, error));
    assay_hasher_add(writer->hasher, vector, size);
    writer->keys[n] = passage;
    writer->header.count++;
    return ASSAY_OK;
}

static assay_status write_tail(assay_flat_writer *writer, assay_error *error)
{
    static const char zeros[8];
    header *h = &writer->header;
    uint64_t vectors_end = HEADER_SIZE + h->count * h->dimensions * sizeof(float);
    ASSAY_TRY(assay_new_file_write(&writer->file, zeros,
                                   keys_offset(h->count, h->dimensions) - vectors_end, error));
    ASSAY_TRY(assay_new_file_write(&writer->file, writer->keys, h->count * sizeof *writer->keys,
                                   error));
    assay_hasher_add(writer->hasher, writer->keys, h->count * sizeof *writer->keys);
    h->content = assay_hasher_finish(writer->hasher);
    writer->hasher = NULL;
    return assay_derived_header_finish(&writer->file, h, sizeof *h, error);
}

assay_status assay_flat_commit(assay_flat_writer *writer, assay_error *error)
{
    assay_status status = write_tail(writer, error);
    if (status == ASSAY_OK)
        status = assay_new_file_commit(&writer->file, error);
    assay_flat_abort(writer);
    return status;
}

/* ---------------------------------------------------------------- reading */

struct assay_flat {
    assay_mapping mapping;
    char path[512];
    header header;
    const float *vectors;  /* [count][dimensions] */
    assay_codes codes;     /* of them, bytes; rows is NULL: there are none */
    const uint64_t *keys;  /* [count] */
};

static assay_status check_header(const assay_mapping *mapping, const char *path, header *h,
                                 assay_error *error)
{
    ASSAY_TRY(assay_derived_header_read(mapping, path, magic, FORMAT_VERSION, h, sizeof *h,
                                        error));
    if (h->dimensions == 0 || h->dimensions > MAX_DIMENSIONS ||
        h->count > UINT64_MAX / 16 / h->dimensions ||
        keys_offset(h->count, h->dimensions) + 8 * h->count != mapping->size)
        return assay_fail(error, ASSAY_E_CORRUPT, path,
                          "%zu bytes do not hold %" PRIu64 " vectors of %" PRIu32 " dimensions",
                          mapping->size, h->count, h->dimensions);
    return ASSAY_OK;
}

assay_status assay_flat_open(const char *path, assay_flat **out, assay_error *error)
{
    assay_flat *flat = calloc(1, sizeof *flat);
    if (flat == NULL)
        return assay_fail_memory(error, sizeof *flat);
    assay_status status = assay_map_open(path, &flat->mapping, error);
    if (status == ASSAY_OK)
        status = check_header(&flat->mapping, path, &flat->header, error);
    if (status != ASSAY_OK) {
        assay_flat_close(flat);
        return status;
    }
    snprintf(flat->path, sizeof flat->path, "%s", path);
    const uint8_t *data = flat->mapping.data;
    flat->vectors = (const float *)(const void *)(data + HEADER_SIZE);
    flat->keys = (const uint64_t *)(const void *)(data + keys_offset(flat->header.count,
                                                                     flat->header.dimensions));
    *out = flat;
    return ASSAY_OK;
}

assay_flat *assay_flat_over(const float *vectors, const assay_codes *codes, const uint64_t *keys,
                            uint64_t count, const assay_flat_stamp *stamp)
{
    assay_flat *flat = calloc(1, sizeof *flat);
    if (flat == NULL)
        return NULL;
    flat->header = (header){.count = count,
                            .dimensions = stamp->dimensions,
                            .collection = stamp->collection,
                            .generation = stamp->generation};
    flat->vectors = vectors;
    flat->keys = keys;
    if (codes != NULL && codes->kind == ASSAY_CODE_I8)
        flat->codes = *codes;
    return flat;
}

void assay_flat_close(assay_flat *flat)
{
    if (flat == NULL)
        return;
    assay_map_close(&flat->mapping);
    free(flat);
}

assay_flat_stamp assay_flat_stamp_of(const assay_flat *flat)
{
    return (assay_flat_stamp){
        .collection = flat->header.collection,
        .generation = flat->header.generation,
        .dimensions = flat->header.dimensions,
    };
}

uint64_t assay_flat_count(const assay_flat *flat)
{
    return flat->header.count;
}

uint64_t assay_flat_key(const assay_flat *flat, uint64_t slot)
{
    return flat->keys[slot];
}

const float *assay_flat_vector(const assay_flat *flat, uint64_t passage)
{
    for (uint64_t slot = 0; slot < flat->header.count; slot++)
        if (flat->keys[slot] == passage)
            return flat->vectors + slot * flat->header.dimensions;
    return NULL;
}

assay_status assay_flat_verify(const assay_flat *flat, assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    size_t d = flat->header.dimensions;
    for (uint64_t i = 0; i < flat->header.count; i++)
        assay_hasher_add(hasher, flat->vectors + i * d, d * sizeof *flat->vectors);
    assay_hasher_add(hasher, flat->keys, flat->header.count * sizeof *flat->keys);
    assay_digest digest = assay_hasher_finish(hasher);
    if (memcmp(digest.bytes, flat->header.content.bytes, sizeof digest.bytes) != 0)
        return assay_fail(error, ASSAY_E_CORRUPT, flat->path, "the vectors' checksum is wrong");
    return ASSAY_OK;
}

assay_status assay_flat_slots(const assay_flat *flat, const assay_bits *passages,
                              assay_bits *slots, uint64_t *count, assay_error *error)
{
    ASSAY_TRY(assay_bits_new(slots, flat->header.count, error));
    for (uint64_t i = 0; i < flat->header.count; i++)
        if (flat->keys[i] != 0 && assay_bits_has(passages, flat->keys[i]))
            assay_bits_add(slots, i);
    *count = assay_bits_count(slots);
    return ASSAY_OK;
}

/* -------------------------------------------------------------- searching */

enum { CHUNK = 512 }; /* vectors that a worker scores at a time */

typedef struct worker {
    assay_best best;
    float dots[CHUNK];
    uint32_t at[CHUNK]; /* slots */
} worker;

struct assay_flat_scratch {
    uint32_t limit, workers;
    worker *each;           /* [workers] */
    assay_candidate *items; /* [workers][limit] */
    void *room;             /* of the query as bytes */
};

assay_flat_scratch *assay_flat_scratch_new(uint32_t limit, uint32_t workers)
{
    assay_flat_scratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL)
        return NULL;
    if (workers == 0 || workers > assay_cores())
        workers = assay_cores();
    scratch->limit = limit;
    scratch->workers = workers;
    scratch->each = calloc(workers, sizeof *scratch->each);
    scratch->items = calloc((size_t)workers * limit + 1, sizeof *scratch->items);
    scratch->room = aligned_alloc(64, assay_code_query_bytes(ASSAY_CODE_I8, MAX_DIMENSIONS));
    if (scratch->each == NULL || scratch->items == NULL || scratch->room == NULL) {
        assay_flat_scratch_free(scratch);
        return NULL;
    }
    for (uint32_t i = 0; i < workers; i++) {
        scratch->each[i].best.items = scratch->items + (size_t)i * limit;
        scratch->each[i].best.limit = limit;
    }
    return scratch;
}

void assay_flat_scratch_free(assay_flat_scratch *scratch)
{
    if (scratch == NULL)
        return;
    free(scratch->each);
    free(scratch->items);
    free(scratch->room);
    free(scratch);
}

typedef struct scan {
    const assay_flat *flat;
    const float *query;
    const assay_bits *slots; /* NULL: all */
    assay_flat_scratch *scratch;
    const assay_kernels *kernels;
    assay_code_query coded; /* the query, where there are codes */
    float far;              /* how far a product may lie from that of the codes, for each
                               unit of the vector's scale */
} scan;

/* With q and x and the bytes q' and x' made of them, q x - q' x' = (q - q') x + q' (x - x'). A
 * coordinate is rounded by at most half its vector's scale, and is at most 127 scales; to which
 * comes what the sum of the product itself is rounded by. */
static void ask_codes(scan *s)
{
    float n = (float)s->flat->header.dimensions, length;
    if (s->flat->codes.rows == NULL || s->slots != NULL)
        return;
    s->coded = assay_codes_ask(&s->flat->codes, s->query, s->scratch->room);
    s->kernels->dots_f32(s->query, s->query, 1, s->flat->header.dimensions, &length);
    length = sqrtf(length);
    float rounded = s->coded.scale / 2 * sqrtf(n), most = ASSAY_I8_LIMIT + 1;
    s->far = sqrtf(n) * (most * rounded + (length + rounded) / 2 + most * length * n * 0x1p-23f);
}

/* Scores those of a chunk whose product may be among the best. */
static void scan_codes(const scan *s, worker *w, uint64_t first, size_t count)
{
    const assay_flat *flat = s->flat;
    size_t some = 0;
    for (size_t i = 0; i < count; i++)
        w->at[i] = (uint32_t)(first + i);
    assay_codes_score(&s->coded, w->at, count, w->dots);
    float least = w->best.count == w->best.limit ? w->best.items[0].score : -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (!(w->dots[i] + s->far * flat->codes.scales[first + i] < least) &&
            flat->keys[first + i] != 0)
            w->at[some++] = (uint32_t)(first + i);
    s->kernels->dots_at_f32(s->query, flat->vectors, w->at, some, flat->header.dimensions, w->dots);
    for (size_t i = 0; i < some; i++)
        assay_best_add(&w->best, (assay_candidate){flat->keys[w->at[i]], w->dots[i]});
}

/* Where less than a quarter of a chunk is wanted, its vectors one by one; else all
 * of them at once, which reads memory at its full speed. */
static bool score_chunk(const scan *s, uint64_t first, size_t count, float *dots)
{
    const float *vectors = s->flat->vectors + first * s->flat->header.dimensions;
    size_t d = s->flat->header.dimensions, wanted = 0;
    for (size_t i = 0; i < count; i++)
        wanted += s->slots == NULL || assay_bits_has(s->slots, first + i);
    if (4 * wanted >= count)
        s->kernels->dots_f32(s->query, vectors, count, d, dots);
    else
        for (size_t i = 0; i < count && wanted > 0; i++)
            if (assay_bits_has(s->slots, first + i))
                s->kernels->dots_f32(s->query, vectors + i * d, 1, d, dots + i);
    return wanted > 0;
}

static void scan_chunk(void *context, size_t item, uint32_t index)
{
    const scan *s = context;
    const header *h = &s->flat->header;
    worker *w = &s->scratch->each[index];
    uint64_t first = (uint64_t)item * CHUNK;
    size_t count = h->count - first < CHUNK ? (size_t)(h->count - first) : CHUNK;
    if (s->coded.row != NULL && w->best.limit > 0) {
        scan_codes(s, w, first, count);
        return;
    }
    if (!score_chunk(s, first, count, w->dots))
        return;
    for (size_t i = 0; i < count; i++)
        if (s->flat->keys[first + i] != 0 &&
            (s->slots == NULL || assay_bits_has(s->slots, first + i)))
            assay_best_add(&w->best, (assay_candidate){s->flat->keys[first + i], w->dots[i]});
}

size_t assay_flat_search(const assay_flat *flat, const float *query, const assay_bits *slots,
                         assay_flat_scratch *scratch, assay_candidate *out)
{
    scan s = {.flat = flat, .query = query, .slots = slots, .scratch = scratch,
              .kernels = assay_kernels_active()};
    ask_codes(&s);
    for (uint32_t i = 0; i < scratch->workers; i++)
        scratch->each[i].best.count = 0;
    size_t chunks = (size_t)((flat->header.count + CHUNK - 1) / CHUNK);
    assay_loop(chunks, scratch->workers, scan_chunk, &s);

    assay_best all = {.items = out, .limit = scratch->limit};
    for (uint32_t i = 0; i < scratch->workers; i++)
        for (size_t j = 0; j < scratch->each[i].best.count; j++)
            assay_best_add(&all, scratch->each[i].best.items[j]);
    assay_best_sort(&all);
    return all.count;
}
