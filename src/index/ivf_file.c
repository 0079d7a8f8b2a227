/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ivf_file.c: an IVF index as a file.
 *
 * All numbers little-endian. With n vectors, l lists, d dimensions:
 *
 *   offset  bytes
 *        0      8  magic "ASSAYIVF"
 *        8      4  format version, 1
 *       12      4  dimensions d
 *       16      8  collection key
 *       24      8  generation of the collection
 *       32      4  kind of code: 1 f32, 2 f16, 3 i8, 4 b1
 *       36      4  lists l
 *       40      4  vectors n
 *       44      4  vectors when the centres were found
 *       48      8  seed
 *       56      4  vectors of the longest list then
 *       60      4  mean product of vectors with their centres then, binary32
 *       64      4  and now
 *       68      4  zeros
 *       72   8*6   XXH3-64 of each section below, filler left out
 *      120      8  XXH3-64 of bytes 0 to 119
 *
 * Then the sections, each filled up with zeros to a multiple of 64:
 *
 *    4*d*l  centres, binary32
 *  4*(l+1)  the first slot of each list, and n
 *      8*n  keys; slots are in the order of the lists
 *      w*n  codes, as in hnsw_file.c
 *      4*n  scales, binary32, of bytes; of b1 4*d, the centre of all
 *    4*d*n  vectors, binary32; not where the codes are these already
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index/derived_file.h"
#include "index/ivf_lists.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sections are mapped as they lie in the file, which is little-endian"
#endif

static const char magic[8] = "ASSAYIVF";

enum { FORMAT_VERSION = 1, HEADER_SIZE = 128 };

typedef struct header {
    char magic[8];
    uint32_t version;
    uint32_t dimensions;
    uint64_t collection;
    uint64_t generation;
    uint32_t codes;
    uint32_t lists;
    uint32_t count;
    uint32_t trained;
    uint64_t seed;
    uint32_t trained_longest;
    float trained_near;
    float near;
    uint32_t zeros;
    uint64_t checksums[IVF_SECTIONS];
    uint64_t checksum;
} header;

_Static_assert(sizeof(header) == HEADER_SIZE, "the header is laid out as documented");

static void sizes_of(const assay_ivf *ivf, uint64_t bytes[IVF_SECTIONS])
{
    for (assay_ivf_section s = 0; s < IVF_SECTIONS; s++)
        bytes[s] = assay_ivf_section_bytes(ivf, s);
}

/* ----------------------------------------------------------------- writing */

/* But for checksums. */
static header header_of(const assay_ivf *ivf, uint64_t collection, uint64_t generation)
{
    header head = {
        .version = FORMAT_VERSION,
        .dimensions = ivf->options.dimensions,
        .collection = collection,
        .generation = generation,
        .codes = ivf->options.codes,
        .lists = ivf->options.lists,
        .count = ivf->count,
        .trained = ivf->trained,
        .seed = ivf->options.seed,
        .trained_longest = ivf->trained_longest,
        .trained_near = ivf->trained_near,
        .near = ivf->near,
    };
    memcpy(head.magic, magic, sizeof magic);
    return head;
}

assay_status assay_ivf_save(const assay_ivf *ivf, const char *path, uint64_t collection,
                            uint64_t generation, assay_error *error)
{
    uint64_t bytes[IVF_SECTIONS];
    header head = header_of(ivf, collection, generation);
    sizes_of(ivf, bytes);
    assay_derived_sections_sum(ivf->sections, bytes, IVF_SECTIONS, head.checksums);
    assay_derived_header_seal(&head, sizeof head);
    return assay_derived_save(path, &head, sizeof head, ivf->sections, bytes, IVF_SECTIONS,
                              error);
}

/* ----------------------------------------------------------------- reading */

/* Fills in what the header says, and the sections, which lie in the mapping. */
static assay_status arrange(assay_ivf *ivf, const header *head, assay_error *error)
{
    ivf->options = (assay_ivf_options){head->dimensions, head->lists, head->codes, head->seed};
    if (head->count > ASSAY_IVF_SLOTS ||
        assay_ivf_check_options(&ivf->options, NULL) != ASSAY_OK)
        return assay_fail(error, ASSAY_E_CORRUPT, ivf->path,
                          "the header's numbers are impossible");
    ivf->collection = head->collection;
    ivf->generation = head->generation;
    ivf->count = head->count;
    ivf->trained = head->trained;
    ivf->trained_longest = head->trained_longest;
    ivf->trained_near = head->trained_near;
    ivf->near = head->near;
    memcpy(ivf->checksums, head->checksums, sizeof ivf->checksums);
    uint64_t bytes[IVF_SECTIONS];
    sizes_of(ivf, bytes);
    if (!assay_derived_sections_place(&ivf->mapping, HEADER_SIZE, bytes, IVF_SECTIONS,
                                      ivf->sections))
        return assay_fail(error, ASSAY_E_CORRUPT, ivf->path,
                          "%zu bytes do not hold %" PRIu32 " vectors of %" PRIu32 " dimensions",
                          ivf->mapping.size, head->count, head->dimensions);
    assay_ivf_arrange(ivf);
    return ASSAY_OK;
}

/* Lists must lie within the slots, one after another: a search trusts that. */
static assay_status check_starts(const assay_ivf *ivf, assay_error *error)
{
    bool fine = ivf->starts[0] == 0 && ivf->starts[ivf->options.lists] == ivf->count;
    for (uint32_t l = 0; fine && l < ivf->options.lists; l++)
        fine = ivf->starts[l] <= ivf->starts[l + 1];
    return fine ? ASSAY_OK : assay_fail(error, ASSAY_E_CORRUPT, ivf->path,
                                        "where its lists begin is impossible");
}

assay_status assay_ivf_open(const char *path, assay_ivf **out, assay_error *error)
{
    header head;
    assay_ivf *ivf = calloc(1, sizeof *ivf);
    if (ivf == NULL)
        return assay_fail_memory(error, sizeof *ivf);
    ivf->mapped = true;
    snprintf(ivf->path, sizeof ivf->path, "%s", path);
    assay_status status = assay_map_open(path, &ivf->mapping, error);
    if (status == ASSAY_OK)
        status = assay_derived_header_read(&ivf->mapping, path, magic, FORMAT_VERSION, &head,
                                           sizeof head, error);
    if (status == ASSAY_OK)
        status = arrange(ivf, &head, error);
    if (status == ASSAY_OK)
        status = check_starts(ivf, error);
    if (status == ASSAY_OK)
        status = assay_ivf_make_routes(ivf, error);
    if (status != ASSAY_OK) {
        assay_ivf_free(ivf);
        return status;
    }
    *out = ivf;
    return ASSAY_OK;
}

assay_status assay_ivf_verify(const assay_ivf *ivf, assay_error *error)
{
    static const char *const names[IVF_SECTIONS] = {"centres", "lists", "keys",
                                                    "codes", "codes' scales", "vectors"};
    uint64_t bytes[IVF_SECTIONS];
    sizes_of(ivf, bytes);
    return assay_derived_sections_verify(ivf->path, ivf->sections, bytes, ivf->checksums, names,
                                         IVF_SECTIONS, error);
}
