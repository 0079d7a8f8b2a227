/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postings.c: see postings.h: the file.
 *
 * All numbers little-endian:
 *
 *   offset  bytes
 *        0      8  magic "ASSAYPST"
 *        8      4  format version, 1
 *       12      4  zero
 *       16     16  collection key, generation of the collection
 *       32     24  passages n, terms, tokens in all passages
 *       56     16  k1 and b (binary64) that the bounds below are for
 *       72     16  where the lists lie in the file, and how many bytes they have
 *       88     16  the same of the terms' names
 *      104      8  groups of 16 terms g
 *      112     16  XXH3-128 of all that follows the header, as the writer hashed it
 *      128      8  XXH3-64 of bytes 0 to 127
 *      136    8*n  passage keys, ascending; the place of one is its slot
 *        +    4*n  lengths of the passages in tokens
 *        +     pad  zeros up to a multiple of 8
 *        +          lists, one after another, and zeros up to a multiple of 8
 *        +          names, and zeros up to a multiple of 8
 *        +   16*g  of each group: where in the names, and in the lists, it begins
 *
 * Names are sorted by bytes. One is: bytes shared with the name before it (0 at the
 * begin of a group), further bytes, these bytes, passages in its list, bytes of its
 * list; numbers as in postings_file.h.
 *
 * A list of c postings has c / 128 blocks and a tail. If there are blocks, it begins
 * with assay_postings_list and an assay_postings_block for each; then come the
 * blocks (postings_pack.c), after two bytes for the widths of slots and frequencies.
 * Of the tail each posting is one number, twice the gap to the slot before (less 1),
 * plus 1 when the frequency is more than 1; then that follows, less 2.
 */
#include "index/postings_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/derived_file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "postings are mapped as they lie in the file, which is little-endian"
#endif

static const char magic[8] = "ASSAYPST";

enum {
    FORMAT_VERSION = 1,
    HEADER_SIZE = 136,
    TERM_LIMIT = 1 << 16, /* bytes of a name; FTS5 has none of more than 32768 */
    PASSAGES_LIMIT = 1 << 30,
    STEPS = 4096,
};

_Static_assert(sizeof(assay_postings_header) == HEADER_SIZE &&
                   sizeof(assay_postings_list) == 8 && sizeof(assay_postings_block) == 16,
               "laid out as documented");

static uint64_t round_up(uint64_t n)
{
    return (n + 7) / 8 * 8;
}

/* ---------------------------------------------------------------- writing */

struct assay_postings_writer {
    assay_new_file file;
    assay_postings_header header;
    assay_hasher *hasher;
    const uint64_t *keys;
    const uint32_t *lengths;
    assay_buffer list, names, last; /* of the term at hand; all names; the last one */
    uint64_t *groups;
    uint64_t groups_capacity;
    double *scores; /* saturate() of the list's postings */
    size_t scores_capacity;
    uint32_t steps[STEPS]; /* how many of them lie in each of so many steps to 1 */
};

void assay_postings_abort(assay_postings_writer *w)
{
    if (w == NULL)
        return;
    assay_new_file_abort(&w->file);
    if (w->hasher != NULL)
        assay_hasher_finish(w->hasher);
    assay_buffer_free(&w->list);
    assay_buffer_free(&w->names);
    assay_buffer_free(&w->last);
    free(w->groups);
    free(w->scores);
    free(w);
}

static assay_status write_bytes(assay_postings_writer *w, const void *data, size_t size,
                                assay_error *error)
{
    ASSAY_TRY(assay_new_file_write(&w->file, data, size, error));
    assay_hasher_bytes(w->hasher, data, size);
    return ASSAY_OK;
}

static assay_status write_padding(assay_postings_writer *w, uint64_t size, assay_error *error)
{
    static const char zeros[8];
    return write_bytes(w, zeros, (size_t)(round_up(size) - size), error);
}

static assay_status begin_file(assay_postings_writer *w, const char *path, assay_error *error)
{
    assay_postings_header *h = &w->header;
    size_t n = (size_t)h->passages;
    ASSAY_TRY(assay_new_file_open(path, &w->file, error));
    ASSAY_TRY(assay_new_file_write(&w->file, h, sizeof *h, error));
    ASSAY_TRY(write_bytes(w, w->keys, n * sizeof *w->keys, error));
    ASSAY_TRY(write_bytes(w, w->lengths, n * sizeof *w->lengths, error));
    return write_padding(w, n * sizeof *w->lengths, error);
}

assay_status assay_postings_create(const char *path, const assay_postings_stamp *stamp,
                                   const uint64_t *keys, const uint32_t *lengths,
                                   uint64_t count, double k1, double b,
                                   assay_postings_writer **out, assay_error *error)
{
    if (count > PASSAGES_LIMIT)
        return assay_fail(error, ASSAY_E_LIMIT, path, "%" PRIu64 " passages; at most %d", count,
                          PASSAGES_LIMIT);
    assay_postings_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return assay_fail_memory(error, sizeof *w);
    w->header = (assay_postings_header){
        .version = FORMAT_VERSION, .collection = stamp->collection,
        .generation = stamp->generation, .passages = count, .k1 = k1, .b = b,
        .data = HEADER_SIZE + 8 * count + round_up(4 * count)};
    memcpy(w->header.magic, magic, sizeof magic);
    for (uint64_t i = 0; i < count; i++)
        w->header.tokens += lengths[i];
    w->keys = keys;
    w->lengths = lengths;
    assay_buffer_init(&w->list, 0);
    assay_buffer_init(&w->names, 0);
    assay_buffer_init(&w->last, 0);
    w->hasher = assay_hasher_new();
    assay_status status = w->hasher != NULL ? begin_file(w, path, error)
                                            : assay_fail_memory(error, 1024);
    if (status != ASSAY_OK) {
        assay_postings_abort(w);
        return status;
    }
    *out = w;
    return ASSAY_OK;
}

static uint16_t unit_up(double score)
{
    double units = ceil(score * 65535 * (1 + 1e-9));
    return units < 65535 ? (uint16_t)units : 65535;
}

static uint16_t short_of(uint32_t number)
{
    return number < 65535 ? (uint16_t)number : 65535;
}

/* The bounds of one block, without its place in the file. */
static assay_postings_block describe_block(const assay_postings_writer *w, const uint32_t *slots,
                                           const uint32_t *frequencies, const double *scores)
{
    assay_postings_block block = {.last = slots[ASSAY_POSTINGS_BLOCK - 1]};
    uint32_t frequency = 0, length = UINT32_MAX;
    double best = 0;
    for (size_t i = 0; i < ASSAY_POSTINGS_BLOCK; i++) {
        if (frequencies[i] > frequency)
            frequency = frequencies[i];
        if (w->lengths[slots[i]] < length)
            length = w->lengths[slots[i]];
        if (scores[i] > best)
            best = scores[i];
    }
    block.frequency = short_of(frequency);
    block.length = short_of(length);
    block.best = unit_up(best);
    return block;
}

static assay_status score_list(assay_postings_writer *w, const uint32_t *slots,
                               const uint32_t *frequencies, size_t count, assay_error *error)
{
    const assay_postings_header *h = &w->header;
    double average = assay_postings_average(h);
    if (count > w->scores_capacity) {
        double *grown = realloc(w->scores, 2 * count * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, 2 * count * sizeof *grown);
        w->scores = grown;
        w->scores_capacity = 2 * count;
    }
    for (size_t i = 0; i < count; i++)
        w->scores[i] = assay_saturate(frequencies[i], w->lengths[slots[i]], average, h->k1, h->b);
    return ASSAY_OK;
}

/* Scores are counted by steps, and a rank's is the low end of its step. */
static assay_postings_list describe_list(assay_postings_writer *w, size_t count)
{
    assay_postings_list list = {0};
    double best = 0;
    memset(w->steps, 0, sizeof w->steps);
    for (size_t i = 0; i < count; i++) {
        size_t step = (size_t)(w->scores[i] * (STEPS - 1));
        w->steps[step < STEPS ? step : STEPS - 1]++;
        if (w->scores[i] > best)
            best = w->scores[i];
    }
    list.best = unit_up(best);
    size_t rank = 10, seen = 0, r = 0;
    for (size_t step = STEPS; step-- > 0 && r < ASSAY_POSTINGS_RANKS;)
        for (seen += w->steps[step]; r < ASSAY_POSTINGS_RANKS && seen >= rank; rank *= 10)
            list.ranks[r++] = (uint16_t)((double)step / (STEPS - 1) * 65535 * (1 - 1e-9));
    return list;
}

/* The blocks with what stands before them, to w->list. */
static assay_status write_blocks(assay_postings_writer *w, const uint32_t *slots,
                                 const uint32_t *frequencies, size_t blocks, size_t count,
                                 assay_error *error)
{
    assay_postings_list list = {0};
    size_t places = blocks * sizeof(assay_postings_block);
    ASSAY_TRY(score_list(w, slots, frequencies, count, error));
    assay_buffer_append(&w->list, &list, sizeof list);
    if (assay_buffer_room(&w->list, places) == NULL)
        return assay_buffer_status(&w->list, w->file.path, error);
    w->list.length += places;
    size_t begin = w->list.length;
    for (size_t i = 0; i < blocks; i++) {
        size_t at = i * ASSAY_POSTINGS_BLOCK;
        assay_postings_block block =
            describe_block(w, slots + at, frequencies + at, w->scores + at);
        uint8_t *room = assay_buffer_room(&w->list, ASSAY_POSTINGS_PACKED);
        if (room == NULL)
            return assay_buffer_status(&w->list, w->file.path, error);
        w->list.length += assay_postings_pack(slots + at, frequencies + at,
                                              at > 0 ? slots[at - 1] : UINT32_MAX, room);
        if (w->list.length - begin > UINT32_MAX)
            return assay_fail(error, ASSAY_E_LIMIT, w->file.path, "a list of more than 4 GiB");
        block.end = (uint32_t)(w->list.length - begin);
        memcpy(w->list.data + sizeof list + i * sizeof block, &block, sizeof block);
    }
    list = describe_list(w, count);
    memcpy(w->list.data, &list, sizeof list);
    return ASSAY_OK;
}

static void write_tail(assay_postings_writer *w, const uint32_t *slots,
                       const uint32_t *frequencies, size_t count, uint32_t before)
{
    for (size_t i = 0; i < count; before = slots[i++]) {
        uint8_t bytes[12], *end;
        bool more = frequencies[i] > 1;
        end = assay_varint_write(bytes, 2 * (slots[i] - before - 1) + more);
        if (more)
            end = assay_varint_write(end, frequencies[i] - 2);
        assay_buffer_append(&w->list, bytes, (size_t)(end - bytes));
    }
}

static assay_status begin_group(assay_postings_writer *w, assay_error *error)
{
    uint64_t g = w->header.groups;
    if (g == w->groups_capacity) {
        uint64_t capacity = g > 0 ? 2 * g : 256;
        uint64_t *grown = realloc(w->groups, 2 * capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, 2 * capacity * sizeof *grown);
        w->groups = grown;
        w->groups_capacity = capacity;
    }
    w->groups[2 * g] = w->names.length;
    w->groups[2 * g + 1] = w->header.data_bytes;
    w->header.groups++;
    assay_buffer_clear(&w->last);
    return ASSAY_OK;
}

static void write_name(assay_postings_writer *w, assay_text term, size_t count)
{
    size_t shared = 0;
    while (shared < term.length && shared < w->last.length &&
           term.data[shared] == w->last.data[shared])
        shared++;
    uint8_t bytes[24], *end = assay_varint_write(bytes, (uint32_t)shared);
    end = assay_varint_write(end, (uint32_t)(term.length - shared));
    assay_buffer_append(&w->names, bytes, (size_t)(end - bytes));
    assay_buffer_append(&w->names, term.data + shared, term.length - shared);
    end = assay_varint_write(bytes, (uint32_t)count);
    end = assay_varint_write(end, (uint32_t)w->list.length);
    assay_buffer_append(&w->names, bytes, (size_t)(end - bytes));
    assay_buffer_clear(&w->last);
    assay_buffer_append(&w->last, term.data, term.length);
}

assay_status assay_postings_add(assay_postings_writer *w, assay_text term, const uint32_t *slots,
                                const uint32_t *frequencies, size_t count, assay_error *error)
{
    size_t blocks = count / ASSAY_POSTINGS_BLOCK, packed = blocks * ASSAY_POSTINGS_BLOCK;
    if (term.length == 0 || term.length >= TERM_LIMIT)
        return assay_fail(error, ASSAY_E_LIMIT, w->file.path, "a term of %zu bytes", term.length);
    assay_buffer_clear(&w->list);
    if (blocks > 0)
        ASSAY_TRY(write_blocks(w, slots, frequencies, blocks, count, error));
    write_tail(w, slots + packed, frequencies + packed, count - packed,
               packed > 0 ? slots[packed - 1] : UINT32_MAX);
    ASSAY_TRY(assay_buffer_status(&w->list, w->file.path, error));
    if (w->header.terms % ASSAY_POSTINGS_GROUP == 0)
        ASSAY_TRY(begin_group(w, error));
    write_name(w, term, count);
    ASSAY_TRY(assay_buffer_status(&w->names, w->file.path, error));
    ASSAY_TRY(assay_buffer_status(&w->last, w->file.path, error));
    w->header.terms++;
    w->header.data_bytes += w->list.length;
    return write_bytes(w, w->list.data, w->list.length, error);
}

static assay_status write_end(assay_postings_writer *w, assay_error *error)
{
    assay_postings_header *h = &w->header;
    ASSAY_TRY(write_padding(w, h->data_bytes, error));
    h->names = h->data + round_up(h->data_bytes);
    h->names_bytes = w->names.length;
    ASSAY_TRY(write_bytes(w, w->names.data, w->names.length, error));
    ASSAY_TRY(write_padding(w, h->names_bytes, error));
    ASSAY_TRY(write_bytes(w, w->groups, (size_t)(2 * h->groups) * sizeof *w->groups, error));
    h->content = assay_hasher_finish(w->hasher);
    w->hasher = NULL;
    return assay_derived_header_finish(&w->file, h, sizeof *h, error);
}

assay_status assay_postings_commit(assay_postings_writer *w, assay_error *error)
{
    assay_status status = write_end(w, error);
    if (status == ASSAY_OK)
        status = assay_new_file_commit(&w->file, error);
    assay_postings_abort(w);
    return status;
}

/* ---------------------------------------------------------------- reading */

/* Whether the parts follow one another and fill the file. */
static bool parts_fit(const assay_postings_header *h, uint64_t size)
{
    uint64_t n = h->passages, g = h->groups;
    if (n > PASSAGES_LIMIT || h->terms > size || h->data_bytes > size || h->names_bytes > size ||
        g != (h->terms + ASSAY_POSTINGS_GROUP - 1) / ASSAY_POSTINGS_GROUP)
        return false;
    return h->data == HEADER_SIZE + 8 * n + round_up(4 * n) &&
           h->names == h->data + round_up(h->data_bytes) &&
           h->names + round_up(h->names_bytes) + 16 * g == size;
}

static assay_status check_header(const assay_mapping *mapping, const char *path,
                                 assay_postings_header *h, assay_error *error)
{
    ASSAY_TRY(assay_derived_header_read(mapping, path, magic, FORMAT_VERSION, h, sizeof *h,
                                        error));
    if (!parts_fit(h, mapping->size) || !(h->k1 >= 0 && h->k1 <= 1000) ||
        !(h->b >= 0 && h->b <= 1))
        return assay_fail(error, ASSAY_E_CORRUPT, path,
                          "%zu bytes are not those of %" PRIu64 " passages and %" PRIu64 " terms",
                          mapping->size, h->passages, h->terms);
    return ASSAY_OK;
}

assay_status assay_postings_open(const char *path, assay_postings **out, assay_error *error)
{
    assay_postings *p = calloc(1, sizeof *p);
    if (p == NULL)
        return assay_fail_memory(error, sizeof *p);
    assay_status status = assay_map_open(path, &p->mapping, error);
    if (status == ASSAY_OK)
        status = check_header(&p->mapping, path, &p->header, error);
    if (status != ASSAY_OK) {
        assay_postings_close(p);
        return status;
    }
    snprintf(p->path, sizeof p->path, "%s", path);
    const uint8_t *file = p->mapping.data;
    const assay_postings_header *h = &p->header;
    p->keys = (const uint64_t *)(const void *)(file + HEADER_SIZE);
    p->lengths = (const uint32_t *)(const void *)(file + HEADER_SIZE + 8 * h->passages);
    p->data = file + h->data;
    p->names = file + h->names;
    p->groups = (const uint64_t *)(const void *)(file + h->names + round_up(h->names_bytes));
    *out = p;
    return ASSAY_OK;
}

void assay_postings_close(assay_postings *p)
{
    if (p == NULL)
        return;
    assay_map_close(&p->mapping);
    free(p->norms);
    free(p);
}

assay_postings_stamp assay_postings_stamp_of(const assay_postings *p)
{
    return (assay_postings_stamp){p->header.collection, p->header.generation};
}

assay_postings_size assay_postings_size_of(const assay_postings *p)
{
    return (assay_postings_size){p->header.passages, p->header.terms, p->mapping.size};
}

assay_status assay_postings_damaged(const assay_postings *p, assay_error *error)
{
    return assay_fail(error, ASSAY_E_CORRUPT, p->path, "a list of passages is damaged");
}

assay_status assay_postings_verify(const assay_postings *p, assay_error *error)
{
    const assay_postings_header *h = &p->header;
    assay_digest digest = assay_hash128(p->mapping.data + HEADER_SIZE,
                                        p->mapping.size - HEADER_SIZE);
    if (memcmp(digest.bytes, h->content.bytes, sizeof digest.bytes) != 0)
        return assay_fail(error, ASSAY_E_CORRUPT, p->path, "the postings' checksum is wrong");
    return ASSAY_OK;
}

assay_status assay_postings_slots(const assay_postings *p, const assay_bits *passages,
                                  assay_bits *slots, assay_error *error)
{
    ASSAY_TRY(assay_bits_new(slots, p->header.passages, error));
    for (uint64_t i = 0; i < p->header.passages; i++)
        if (assay_bits_has(passages, p->keys[i]))
            assay_bits_add(slots, i);
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- looking up */

/* A term's entry among the names. */
typedef struct entry {
    const uint8_t *suffix;
    uint32_t shared, length; /* of the suffix */
    uint32_t count, bytes;
} entry;

static const uint8_t *read_entry(const uint8_t *at, const uint8_t *end, entry *e)
{
    at = assay_varint_read(at, end, &e->shared);
    if (at != NULL)
        at = assay_varint_read(at, end, &e->length);
    if (at == NULL || e->length > (size_t)(end - at))
        return NULL;
    e->suffix = at;
    at = assay_varint_read(at + e->length, end, &e->count);
    return at != NULL ? assay_varint_read(at, end, &e->bytes) : NULL;
}

static int compare(const uint8_t *a, size_t a_length, assay_text b)
{
    size_t least = a_length < b.length ? a_length : b.length;
    int order = memcmp(a, b.data, least);
    return order != 0 ? order : a_length < b.length ? -1 : a_length > b.length;
}

static bool group_at(const assay_postings *p, uint64_t group, uint64_t *name, uint64_t *data)
{
    *name = p->groups[2 * group];
    *data = p->groups[2 * group + 1];
    return *name < p->header.names_bytes && *data <= p->header.data_bytes;
}

/* Number of groups that begin with the term or one before it. */
static bool count_groups(const assay_postings *p, assay_text term, uint64_t *out)
{
    uint64_t low = 0, high = p->header.groups, name, data;
    const uint8_t *end = p->names + p->header.names_bytes;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        entry first;
        if (!group_at(p, middle, &name, &data) ||
            read_entry(p->names + name, end, &first) == NULL)
            return false;
        if (compare(first.suffix, first.length, term) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return true;
}

/* Reads a group from its begin. How much of the term the name before has is enough
 * to compare a name with it: names are not put together. */
static assay_status find_in_group(const assay_postings *p, uint64_t group, assay_text term,
                                  assay_postings_found *out, assay_error *error)
{
    uint64_t name, data;
    const uint8_t *end = p->names + p->header.names_bytes;
    if (!group_at(p, group, &name, &data))
        return assay_postings_damaged(p, error);
    const uint8_t *at = p->names + name;
    size_t matched = 0; /* bytes that the last name and the term have in common */
    for (size_t i = 0; i < ASSAY_POSTINGS_GROUP && at < end; i++) {
        entry e;
        at = read_entry(at, end, &e);
        if (at == NULL)
            return assay_postings_damaged(p, error);
        if (e.shared <= matched) {
            assay_text rest = {term.data + e.shared, term.length - e.shared};
            matched = e.shared;
            for (size_t j = 0; j < e.length && j < rest.length; j++, matched++)
                if (e.suffix[j] != (uint8_t)rest.data[j])
                    break;
            if (matched == term.length && e.length == rest.length) {
                if (e.bytes > p->header.data_bytes - data || e.count > p->header.passages)
                    return assay_postings_damaged(p, error);
                *out = (assay_postings_found){p->data + data, e.bytes, e.count};
                return ASSAY_OK;
            }
        }
        if (e.bytes > p->header.data_bytes - data)
            return assay_postings_damaged(p, error);
        data += e.bytes;
    }
    return ASSAY_OK;
}

assay_status assay_postings_find(const assay_postings *p, assay_text term,
                                 assay_postings_found *out, assay_error *error)
{
    uint64_t groups;
    *out = (assay_postings_found){0};
    if (!count_groups(p, term, &groups))
        return assay_postings_damaged(p, error);
    return groups > 0 ? find_in_group(p, groups - 1, term, out, error) : ASSAY_OK;
}
