/* SPDX-License-Identifier: Apache-2.0 */
/* hnsw.c: see hnsw.h. Memory, options, lists of neighbours. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "index/hnsw_graph.h"

enum { DEFAULT_M = 16, DEFAULT_EF = 200, LEAST_M = 4, MAX_DIMENSIONS = 1 << 16 };

assay_status assay_hnsw_check_options(assay_hnsw_options *o, assay_error *error)
{
    if (o->m == 0)
        o->m = DEFAULT_M;
    if (o->ef_construction == 0)
        o->ef_construction = DEFAULT_EF;
    if (o->codes == 0)
        o->codes = ASSAY_CODE_I8;
    if (o->dimensions == 0 || o->dimensions > MAX_DIMENSIONS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "dimensions",
                          "%" PRIu32 ", expected 1..%d", o->dimensions, MAX_DIMENSIONS);
    if (o->m < LEAST_M || o->m > ASSAY_HNSW_MOST_M)
        return assay_fail(error, ASSAY_E_ARGUMENT, "m", "%" PRIu32 ", expected %d..%d", o->m,
                          LEAST_M, ASSAY_HNSW_MOST_M);
    if (o->ef_construction < o->m || o->ef_construction > ASSAY_HNSW_MOST_EF)
        return assay_fail(error, ASSAY_E_ARGUMENT, "ef_construction",
                          "%" PRIu32 ", expected from m (%" PRIu32 ") to %d",
                          o->ef_construction, o->m, ASSAY_HNSW_MOST_EF);
    if (assay_code_name(o->codes) == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "codes", "%d is no kind of code",
                          (int)o->codes);
    return ASSAY_OK;
}

uint64_t assay_hnsw_section_bytes(const assay_hnsw *hnsw, assay_hnsw_section section,
                                  uint64_t slots, uint64_t upper_lists)
{
    const assay_hnsw_options *o = &hnsw->options;
    switch (section) {
    case HNSW_KEYS:
        return slots * sizeof *hnsw->keys;
    case HNSW_LEVELS:
        return slots * sizeof *hnsw->levels;
    case HNSW_UPPER:
        return slots * sizeof *hnsw->upper;
    case HNSW_GROUND:
        return slots * 2 * o->m * sizeof(assay_link);
    case HNSW_HIGH:
        return upper_lists * o->m * sizeof(assay_link);
    case HNSW_CODES:
        return slots * assay_code_bytes(o->codes, o->dimensions);
    case HNSW_SCALES:
        return assay_code_scale_count(o->codes, o->dimensions, slots) * sizeof(float);
    case HNSW_VECTORS:
        return o->codes == ASSAY_CODE_F32 ? 0 : slots * o->dimensions * sizeof(float);
    case HNSW_SECTIONS:
        break;
    }
    return 0;
}

void assay_hnsw_arrange(assay_hnsw *h)
{
    void *const *s = h->sections;
    h->keys = s[HNSW_KEYS];
    h->levels = s[HNSW_LEVELS];
    h->upper = s[HNSW_UPPER];
    h->ground = s[HNSW_GROUND];
    h->high = s[HNSW_HIGH];
    h->codes = assay_codes_over(h->options.codes, h->options.dimensions, s[HNSW_CODES],
                                s[HNSW_SCALES]);
    h->vectors = h->options.codes == ASSAY_CODE_F32 ? s[HNSW_CODES] : s[HNSW_VECTORS];
    if (h->options.codes != ASSAY_CODE_B1)
        h->builder = h->codes;
}

/* Bytes for building a graph of bits. */
static assay_status allocate_builder(assay_hnsw *h, assay_error *error)
{
    uint32_t d = h->options.dimensions;
    uint64_t bytes = h->capacity * (uint64_t)assay_code_bytes(ASSAY_CODE_I8, d);
    if (h->options.codes != ASSAY_CODE_B1)
        return ASSAY_OK;
    h->builder = assay_codes_over(ASSAY_CODE_I8, d, assay_memory_take(bytes),
                                  assay_memory_take(h->capacity * sizeof(float)));
    if (h->builder.rows == NULL || h->builder.scales == NULL)
        return assay_fail_memory(error, bytes);
    return ASSAY_OK;
}

/* Upper lists for so many slots: one slot in m has one, one in m * m a second ...
 * Four standard deviations more; beyond that a slot stays on the ground. */
static uint32_t upper_for(uint32_t capacity, uint32_t m)
{
    uint64_t expected = capacity / (m - 1) + 1, spare = 64;
    while (spare * spare < 32 * expected)
        spare += 64;
    return (uint32_t)(expected + spare);
}

assay_status assay_hnsw_allocate(assay_hnsw *h, uint32_t capacity, assay_error *error)
{
    h->capacity = capacity;
    h->upper_capacity = h->upper_lists + upper_for(capacity, h->options.m);
    for (assay_hnsw_section s = 0; s < HNSW_SECTIONS; s++) {
        uint64_t bytes = assay_hnsw_section_bytes(h, s, capacity, h->upper_capacity);
        h->sections[s] = assay_memory_take(bytes);
        if (h->sections[s] == NULL)
            return assay_fail_memory(error, bytes);
    }
    h->free_slots = calloc(capacity + 1u, sizeof *h->free_slots);
    if (h->free_slots == NULL)
        return assay_fail_memory(error, capacity * sizeof *h->free_slots);
    assay_hnsw_arrange(h);
    return allocate_builder(h, error);
}

assay_status assay_hnsw_new(const assay_hnsw_options *options, uint32_t capacity,
                            assay_hnsw **out, assay_error *error)
{
    if (capacity > ASSAY_HNSW_SLOTS)
        return assay_fail(error, ASSAY_E_LIMIT, NULL, "%" PRIu32 " vectors, at most %d",
                          capacity, ASSAY_HNSW_SLOTS);
    assay_hnsw *h = calloc(1, sizeof *h);
    if (h == NULL)
        return assay_fail_memory(error, sizeof *h);
    h->options = *options;
    atomic_init(&h->entry, ASSAY_HNSW_NONE);
    assay_status status = assay_hnsw_check_options(&h->options, error);
    if (status == ASSAY_OK)
        status = assay_hnsw_allocate(h, capacity, error);
    if (status != ASSAY_OK) {
        assay_hnsw_free(h);
        return status;
    }
    *out = h;
    return ASSAY_OK;
}

void assay_hnsw_free(assay_hnsw *h)
{
    if (h == NULL)
        return;
    for (assay_hnsw_section s = 0; !h->mapped && s < HNSW_SECTIONS; s++)
        free(h->sections[s]);
    if (h->options.codes == ASSAY_CODE_B1) {
        free(h->builder.rows);
        free(h->builder.scales);
    }
    free(h->free_slots);
    assay_map_close(&h->mapping);
    free(h);
}

void assay_hnsw_describe(const assay_hnsw *h, assay_hnsw_info *out)
{
    uint64_t sizes[HNSW_SECTIONS], graph = 0;
    uint32_t slots = atomic_load(&h->slots);
    uint64_t entry = atomic_load(&h->entry);
    for (assay_hnsw_section s = 0; s < HNSW_SECTIONS; s++)
        sizes[s] = assay_hnsw_section_bytes(h, s, slots, h->upper_lists);
    for (assay_hnsw_section s = HNSW_KEYS; s <= HNSW_HIGH; s++)
        graph += sizes[s];
    *out = (assay_hnsw_info){
        .options = h->options,
        .collection = h->collection,
        .generation = h->generation,
        .slots = slots,
        .live = h->live,
        .levels = (uint32_t)(entry >> 32),
        .graph_bytes = graph,
        .code_bytes = sizes[HNSW_CODES] + sizes[HNSW_SCALES],
        .vector_bytes = sizes[HNSW_VECTORS],
    };
}

uint64_t assay_hnsw_key(const assay_hnsw *h, uint32_t slot)
{
    return atomic_load_explicit(h->keys + slot, memory_order_relaxed);
}

const float *assay_hnsw_vector(const assay_hnsw *h, uint32_t slot)
{
    return h->vectors + (size_t)slot * h->options.dimensions;
}

assay_flat *assay_hnsw_flat(const assay_hnsw *h)
{
    const assay_flat_stamp stamp = {h->collection, h->generation, h->options.dimensions};
    return assay_flat_over(h->vectors, &h->codes, h->sections[HNSW_KEYS], atomic_load(&h->slots),
                           &stamp);
}

uint32_t assay_hnsw_read_list(const assay_hnsw *h, uint32_t slot, uint32_t level, uint32_t *out)
{
    uint32_t width, count = 0;
    const assay_link *list = assay_hnsw_list(h, slot, level, &width);
    if (list == NULL)
        return 0;
    for (; count < width; count++) {
        out[count] = assay_link_read(list + count);
        if (out[count] >= h->capacity)
            break;
    }
    return count;
}

void assay_hnsw_write_list(assay_hnsw *h, uint32_t slot, uint32_t level, const uint32_t *links,
                           uint32_t count)
{
    uint32_t width;
    assay_link *list = assay_hnsw_list(h, slot, level, &width);
    for (uint32_t i = 0; list != NULL && i < width; i++)
        atomic_store_explicit(list + i, i < count ? links[i] : ASSAY_HNSW_NONE,
                              memory_order_release);
}
