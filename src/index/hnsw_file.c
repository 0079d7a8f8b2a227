/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw_file.c: an HNSW index as a file.
 *
 * All numbers little-endian. With n slots, u upper lists, d dimensions:
 *
 *   offset  bytes
 *        0      8  magic "ASSAYHNS"
 *        8      4  format version, 1
 *       12      4  dimensions d
 *       16      8  collection key
 *       24      8  generation of the collection
 *       32      4  kind of code: 1 f32, 2 f16, 3 i8, 4 b1
 *       36      4  m, neighbours of an upper list
 *       40      4  ef of the construction
 *       44      4  slots n
 *       48      8  seed
 *       56      4  slots with a vector
 *       60      4  upper lists u
 *       64      4  entry: slot, 0xffffffff when there is none
 *       68      4  entry: its level
 *       72   8*8   XXH3-64 of each section below, filler left out
 *      136     48  zeros
 *      184      8  XXH3-64 of bytes 0 to 183
 *
 * Then the sections, each filled up with zeros to a multiple of 64:
 *
 *      8*n  keys, 0 for a free slot
 *        n  levels, one byte each
 *      4*n  number of each slot's first upper list
 *    8*m*n  neighbours on the ground: 2m slots each, ended by 0xffffffff
 *    4*m*u  upper lists: m slots each; a slot's lists from level 1 on follow each other
 *      w*n  codes: binary32 [d]; binary16 [d up to a multiple of 16];
 *           bytes [d up to a multiple of 64]; or of b1 bits [d up to a multiple of 64],
 *           bit i of a byte for its coordinate i, then scale, addend and reach (codes.c),
 *           binary32, and zeros up to a multiple of 64 bytes
 *      4*n  scales, binary32, of bytes; of b1 4*d, the centre
 *    4*d*n  vectors, binary32; not where the codes are these already
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index/derived_file.h"
#include "index/hnsw_graph.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sections are mapped as they lie in the file, which is little-endian"
#endif

static const char magic[8] = "ASSAYHNS";

enum { FORMAT_VERSION = 1, HEADER_SIZE = 192 };

typedef struct header {
    char magic[8];
    uint32_t version;
    uint32_t dimensions;
    uint64_t collection;
    uint64_t generation;
    uint32_t codes;
    uint32_t m;
    uint32_t ef_construction;
    uint32_t slots;
    uint64_t seed;
    uint32_t live;
    uint32_t upper_lists;
    uint32_t entry_slot;
    uint32_t entry_level;
    uint64_t checksums[HNSW_SECTIONS];
    uint8_t zeros[48];
    uint64_t checksum;
} header;

_Static_assert(sizeof(header) == HEADER_SIZE, "the header is laid out as documented");

static void sizes_of(const assay_hnsw *h, uint32_t slots, uint32_t upper_lists,
                     uint64_t bytes[HNSW_SECTIONS])
{
    for (assay_hnsw_section s = 0; s < HNSW_SECTIONS; s++)
        bytes[s] = assay_hnsw_section_bytes(h, s, slots, upper_lists);
}

/* ----------------------------------------------------------------- writing */

/* But for checksums. */
static header header_of(const assay_hnsw *h, uint64_t collection, uint64_t generation)
{
    uint64_t entry = atomic_load(&h->entry);
    header head = {
        .version = FORMAT_VERSION,
        .dimensions = h->options.dimensions,
        .collection = collection,
        .generation = generation,
        .codes = h->options.codes,
        .m = h->options.m,
        .ef_construction = h->options.ef_construction,
        .slots = atomic_load(&h->slots),
        .seed = h->options.seed,
        .live = h->live,
        .upper_lists = h->upper_lists,
        .entry_slot = (uint32_t)entry,
        .entry_level = (uint32_t)(entry >> 32),
    };
    memcpy(head.magic, magic, sizeof magic);
    return head;
}

assay_status assay_hnsw_save(const assay_hnsw *h, const char *path, uint64_t collection,
                             uint64_t generation, assay_error *error)
{
    uint64_t bytes[HNSW_SECTIONS];
    header head = header_of(h, collection, generation);
    sizes_of(h, head.slots, head.upper_lists, bytes);
    assay_derived_sections_sum(h->sections, bytes, HNSW_SECTIONS, head.checksums);
    assay_derived_header_seal(&head, sizeof head);
    return assay_derived_save(path, &head, sizeof head, h->sections, bytes, HNSW_SECTIONS, error);
}

/* ----------------------------------------------------------------- reading */

static assay_status check_header(const assay_mapping *mapping, const char *path, header *h,
                                 assay_error *error)
{
    ASSAY_TRY(assay_derived_header_read(mapping, path, magic, FORMAT_VERSION, h, sizeof *h,
                                        error));
    if (h->slots > ASSAY_HNSW_SLOTS || h->live > h->slots || h->upper_lists > ASSAY_HNSW_SLOTS ||
        h->entry_level > ASSAY_HNSW_MOST_LEVEL ||
        (h->entry_slot >= h->slots && h->entry_slot != ASSAY_HNSW_NONE))
        return assay_fail(error, ASSAY_E_CORRUPT, path, "the header's numbers are impossible");
    return ASSAY_OK;
}

/* Fills in what the header says, and the sections, which lie in the mapping. */
static assay_status arrange(assay_hnsw *h, const header *head, assay_error *error)
{
    h->options = (assay_hnsw_options){head->dimensions, head->m, head->ef_construction,
                                      head->codes, head->seed};
    if (head->m == 0 || head->ef_construction == 0 || head->codes == 0 ||
        assay_hnsw_check_options(&h->options, NULL) != ASSAY_OK)
        return assay_fail(error, ASSAY_E_CORRUPT, h->path, "the header's options are impossible");
    h->collection = head->collection;
    h->generation = head->generation;
    h->capacity = head->slots;
    h->upper_capacity = h->upper_lists = head->upper_lists;
    h->live = head->live;
    atomic_init(&h->slots, head->slots);
    atomic_init(&h->entry, (uint64_t)head->entry_level << 32 | head->entry_slot);
    memcpy(h->checksums, head->checksums, sizeof h->checksums);
    uint64_t bytes[HNSW_SECTIONS];
    sizes_of(h, head->slots, head->upper_lists, bytes);
    if (!assay_derived_sections_place(&h->mapping, HEADER_SIZE, bytes, HNSW_SECTIONS,
                                      h->sections))
        return assay_fail(error, ASSAY_E_CORRUPT, h->path,
                          "%zu bytes do not hold %" PRIu32 " slots of %" PRIu32 " dimensions",
                          h->mapping.size, head->slots, head->dimensions);
    assay_hnsw_arrange(h);
    return ASSAY_OK;
}

assay_status assay_hnsw_open(const char *path, assay_hnsw **out, assay_error *error)
{
    header head;
    assay_hnsw *h = calloc(1, sizeof *h);
    if (h == NULL)
        return assay_fail_memory(error, sizeof *h);
    h->mapped = true;
    snprintf(h->path, sizeof h->path, "%s", path);
    assay_status status = assay_map_open(path, &h->mapping, error);
    if (status == ASSAY_OK)
        status = check_header(&h->mapping, path, &head, error);
    if (status == ASSAY_OK)
        status = arrange(h, &head, error);
    if (status != ASSAY_OK) {
        assay_hnsw_free(h);
        return status;
    }
    *out = h;
    return ASSAY_OK;
}

assay_status assay_hnsw_verify(const assay_hnsw *h, assay_error *error)
{
    static const char *const names[HNSW_SECTIONS] = {"keys",        "levels", "upper lists",
                                                     "ground",      "upper",  "codes",
                                                     "codes' scales", "vectors"};
    uint64_t bytes[HNSW_SECTIONS];
    sizes_of(h, h->capacity, h->upper_lists, bytes);
    return assay_derived_sections_verify(h->path, h->sections, bytes, h->checksums, names,
                                         HNSW_SECTIONS, error);
}

/* A copy in memory. */
static assay_status copy(const assay_hnsw *from, uint32_t more, assay_hnsw **out,
                         assay_error *error)
{
    if (more > ASSAY_HNSW_SLOTS - from->capacity)
        return assay_fail(error, ASSAY_E_LIMIT, from->path, "would hold more than %d vectors",
                          ASSAY_HNSW_SLOTS);
    assay_hnsw *h = calloc(1, sizeof *h);
    if (h == NULL)
        return assay_fail_memory(error, sizeof *h);
    h->options = from->options;
    h->collection = from->collection;
    h->generation = from->generation;
    h->live = from->live;
    h->upper_lists = from->upper_lists;
    atomic_init(&h->slots, from->capacity);
    atomic_init(&h->entry, atomic_load(&from->entry));
    assay_status status = assay_hnsw_allocate(h, from->capacity + more, error);
    if (status != ASSAY_OK) {
        assay_hnsw_free(h);
        return status;
    }
    for (assay_hnsw_section s = 0; s < HNSW_SECTIONS; s++)
        memcpy(h->sections[s], from->sections[s],
               assay_hnsw_section_bytes(from, s, from->capacity, from->upper_lists));
    for (uint32_t slot = from->capacity; slot-- > 0;) {
        if (assay_hnsw_key(h, slot) == 0)
            h->free_slots[h->free_count++] = slot;
        if (h->builder.rows != h->codes.rows)
            assay_codes_put(&h->builder, slot, assay_hnsw_vector(h, slot), NULL);
    }
    *out = h;
    return ASSAY_OK;
}

assay_status assay_hnsw_load(const char *path, uint32_t more, assay_hnsw **out,
                             assay_error *error)
{
    assay_hnsw *mapped;
    ASSAY_TRY(assay_hnsw_open(path, &mapped, error));
    assay_status status = assay_hnsw_verify(mapped, error);
    if (status == ASSAY_OK)
        status = copy(mapped, more, out, error);
    assay_hnsw_free(mapped);
    return status;
}
