/* SPDX-License-Identifier: Apache-2.0 */
/* ivf.c: see ivf.h. Vectors into lists. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/memory.h"
#include "base/threads.h"
#include "index/ivf_lists.h"
#include "kernels/kernels.h"

enum {
    LISTS_ROOT = 4,   /* lists are so many times the root of the vectors ... */
    LEAST_LIST = 16,  /* ... but hold so many on average, at least */
    PUT_AT_ONCE = 256,
};

uint64_t assay_ivf_section_bytes(const assay_ivf *ivf, assay_ivf_section section)
{
    const assay_ivf_options *o = &ivf->options;
    uint64_t count = ivf->count;
    switch (section) {
    case IVF_CENTRES:
        return (uint64_t)o->lists * o->dimensions * sizeof(float);
    case IVF_STARTS:
        return (o->lists + UINT64_C(1)) * sizeof(uint32_t);
    case IVF_KEYS:
        return count * sizeof(uint64_t);
    case IVF_CODES:
        return count * assay_code_bytes(o->codes, o->dimensions);
    case IVF_SCALES:
        return assay_code_scale_count(o->codes, o->dimensions, count) * sizeof(float);
    case IVF_VECTORS:
        return o->codes == ASSAY_CODE_F32 ? 0 : count * o->dimensions * sizeof(float);
    case IVF_SECTIONS:
        break;
    }
    return 0;
}

void assay_ivf_arrange(assay_ivf *ivf)
{
    void *const *s = ivf->sections;
    ivf->centres = s[IVF_CENTRES];
    ivf->starts = s[IVF_STARTS];
    ivf->keys = s[IVF_KEYS];
    ivf->codes = assay_codes_over(ivf->options.codes, ivf->options.dimensions, s[IVF_CODES],
                                  s[IVF_SCALES]);
    ivf->vectors = ivf->options.codes == ASSAY_CODE_F32 ? s[IVF_CODES] : s[IVF_VECTORS];
}

assay_status assay_ivf_check_options(const assay_ivf_options *o, assay_error *error)
{
    if (o->dimensions == 0 || o->dimensions > ASSAY_IVF_DIMENSIONS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "dimensions", "%" PRIu32 ", expected 1..%d",
                          o->dimensions, ASSAY_IVF_DIMENSIONS);
    if (o->lists == 0 || o->lists > ASSAY_IVF_MOST_LISTS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "lists", "%" PRIu32 ", expected 1..%d",
                          o->lists, ASSAY_IVF_MOST_LISTS);
    if (assay_code_name(o->codes) == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "codes", "%d is no kind of code",
                          (int)o->codes);
    return ASSAY_OK;
}

/* An empty one, with room for `count` vectors. */
static assay_status make(const assay_ivf_options *options, size_t count, assay_ivf **out,
                         assay_error *error)
{
    assay_ivf *ivf = calloc(1, sizeof *ivf);
    if (ivf == NULL)
        return assay_fail_memory(error, sizeof *ivf);
    ivf->options = *options;
    ivf->count = (uint32_t)count;
    assay_status status = assay_ivf_check_options(options, error);
    for (assay_ivf_section s = 0; s < IVF_SECTIONS && status == ASSAY_OK; s++) {
        uint64_t bytes = assay_ivf_section_bytes(ivf, s);
        ivf->sections[s] = assay_memory_take(bytes);
        if (ivf->sections[s] == NULL)
            status = assay_fail_memory(error, bytes);
    }
    if (status != ASSAY_OK) {
        assay_ivf_free(ivf);
        return status;
    }
    assay_ivf_arrange(ivf);
    *out = ivf;
    return ASSAY_OK;
}

void assay_ivf_free(assay_ivf *ivf)
{
    if (ivf == NULL)
        return;
    for (assay_ivf_section s = 0; !ivf->mapped && s < IVF_SECTIONS; s++)
        free(ivf->sections[s]);
    free(ivf->routes.rows);
    free(ivf->routes.scales);
    assay_map_close(&ivf->mapping);
    free(ivf);
}

assay_status assay_ivf_make_routes(assay_ivf *ivf, assay_error *error)
{
    uint32_t d = ivf->options.dimensions, lists = ivf->options.lists;
    uint64_t bytes = lists * (uint64_t)assay_code_bytes(ASSAY_CODE_I8, d);
    ivf->routes = assay_codes_over(ASSAY_CODE_I8, d, assay_memory_take(bytes),
                                   assay_memory_take(lists * sizeof(float)));
    if (ivf->routes.rows == NULL || ivf->routes.scales == NULL)
        return assay_fail_memory(error, bytes);
    for (uint32_t l = 0; l < lists; l++)
        assay_codes_put(&ivf->routes, l, ivf->centres + (size_t)l * d, NULL);
    return ASSAY_OK;
}

uint32_t assay_ivf_longest(const assay_ivf *ivf)
{
    uint32_t longest = 0;
    for (uint32_t l = 0; l < ivf->options.lists; l++)
        if (ivf->starts[l + 1] - ivf->starts[l] > longest)
            longest = ivf->starts[l + 1] - ivf->starts[l];
    return longest;
}

void assay_ivf_describe(const assay_ivf *ivf, assay_ivf_info *out)
{
    uint64_t route = assay_code_bytes(ASSAY_CODE_I8, ivf->options.dimensions) + sizeof(float);
    uint64_t routes = ivf->options.lists * route;
    *out = (assay_ivf_info){
        .options = ivf->options,
        .collection = ivf->collection,
        .generation = ivf->generation,
        .count = ivf->count,
        .longest = assay_ivf_longest(ivf),
        .trained = ivf->trained,
        .list_bytes = assay_ivf_section_bytes(ivf, IVF_CENTRES) +
                      assay_ivf_section_bytes(ivf, IVF_STARTS) +
                      assay_ivf_section_bytes(ivf, IVF_KEYS) + routes,
        .code_bytes = assay_ivf_section_bytes(ivf, IVF_CODES) +
                      assay_ivf_section_bytes(ivf, IVF_SCALES),
        .vector_bytes = assay_ivf_section_bytes(ivf, IVF_VECTORS),
    };
}

uint64_t assay_ivf_key(const assay_ivf *ivf, uint32_t slot)
{
    return ivf->keys[slot];
}

const float *assay_ivf_vector(const assay_ivf *ivf, uint32_t slot)
{
    return ivf->vectors + (size_t)slot * ivf->options.dimensions;
}

assay_flat *assay_ivf_flat(const assay_ivf *ivf)
{
    const assay_flat_stamp stamp = {ivf->collection, ivf->generation, ivf->options.dimensions};
    return assay_flat_over(ivf->vectors, &ivf->codes, ivf->keys, ivf->count, &stamp);
}

/* ----------------------------------------------------------------- filling */

/* What comes into an index: the vectors of another that are not gone, and more. */
typedef struct filling {
    assay_ivf *to;
    const assay_ivf *from;  /* NULL: none */
    assay_bits gone;        /* slots of it */
    const uint64_t *keys;   /* [count] */
    const float *vectors;   /* [count][dimensions] */
    size_t count;
    uint32_t *lists, *slots; /* [count] where they go */
    double *nearness;       /* [lists] sums of products */
    void *rooms;            /* [threads] of codes */
    size_t room_bytes;
    uint32_t threads;
} filling;

static void filling_free(filling *f)
{
    assay_bits_free(&f->gone);
    free(f->lists);
    free(f->slots);
    free(f->nearness);
    free(f->rooms);
}

static assay_status filling_new(filling *f, uint32_t lists, assay_error *error)
{
    if (f->threads == 0 || f->threads > assay_cores())
        f->threads = assay_cores();
    f->lists = calloc(f->count + 1, sizeof *f->lists);
    f->slots = calloc(f->count + 1, sizeof *f->slots);
    f->nearness = calloc(lists, sizeof *f->nearness);
    return f->lists && f->slots && f->nearness ? ASSAY_OK
                                               : assay_fail_memory(error, f->count * 8);
}

static assay_status make_rooms(filling *f, assay_error *error)
{
    size_t bytes = assay_code_query_bytes(f->to->options.codes, f->to->options.dimensions);
    f->room_bytes = (bytes + 63) / 64 * 64;
    f->rooms = aligned_alloc(64, f->threads * f->room_bytes);
    return f->rooms != NULL ? ASSAY_OK : assay_fail_memory(error, f->threads * f->room_bytes);
}

/* Where lists begin, and which slot each of the new vectors gets. */
static void give_slots(filling *f)
{
    assay_ivf *to = f->to;
    uint32_t lists = to->options.lists;
    memset(to->starts, 0, (lists + 1) * sizeof *to->starts);
    for (uint32_t l = 0; f->from != NULL && l < lists; l++)
        for (uint32_t slot = f->from->starts[l]; slot < f->from->starts[l + 1]; slot++)
            to->starts[l + 1] += !assay_bits_has(&f->gone, slot);
    for (size_t i = 0; i < f->count; i++)
        f->slots[i] = to->starts[f->lists[i] + 1]++;
    for (uint32_t l = 0; l < lists; l++)
        to->starts[l + 1] += to->starts[l];
    for (size_t i = 0; i < f->count; i++)
        f->slots[i] += to->starts[f->lists[i]];
}

static void copy_slot(const assay_ivf *from, uint32_t slot, assay_ivf *to, uint32_t target)
{
    size_t d = to->options.dimensions;
    size_t bytes = assay_code_bytes(to->options.codes, to->options.dimensions);
    to->keys[target] = from->keys[slot];
    memcpy((uint8_t *)to->codes.rows + target * bytes,
           (const uint8_t *)from->codes.rows + slot * bytes, bytes);
    if (to->options.codes == ASSAY_CODE_I8)
        to->codes.scales[target] = from->codes.scales[slot];
    if (to->options.codes != ASSAY_CODE_F32)
        memcpy(to->vectors + target * d, from->vectors + slot * d, d * sizeof(float));
}

/* One list's vectors of before. */
static void fill_list(void *context, size_t l, uint32_t worker)
{
    filling *f = context;
    assay_ivf *to = f->to;
    uint32_t target = to->starts[l];
    (void)worker;
    for (uint32_t slot = f->from->starts[l]; slot < f->from->starts[l + 1]; slot++)
        if (!assay_bits_has(&f->gone, slot))
            copy_slot(f->from, slot, to, target++);
}

static void put_some(void *context, size_t item, uint32_t worker)
{
    filling *f = context;
    assay_ivf *to = f->to;
    size_t d = to->options.dimensions;
    for (size_t i = item * PUT_AT_ONCE; i < f->count && i < (item + 1) * PUT_AT_ONCE; i++) {
        to->keys[f->slots[i]] = f->keys[i];
        memcpy(to->vectors + f->slots[i] * d, f->vectors + i * d, d * sizeof(float));
        if (to->options.codes != ASSAY_CODE_F32)
            assay_codes_put(&to->codes, f->slots[i], f->vectors + i * d,
                            (uint8_t *)f->rooms + worker * f->room_bytes);
    }
}

static void measure_list(void *context, size_t l, uint32_t worker)
{
    filling *f = context;
    assay_ivf *to = f->to;
    size_t d = to->options.dimensions;
    float products[64];
    (void)worker;
    for (uint32_t slot = to->starts[l]; slot < to->starts[l + 1]; slot += 64) {
        size_t some = to->starts[l + 1] - slot < 64 ? to->starts[l + 1] - slot : 64;
        assay_kernels_active()->dots_f32(to->centres + l * d, to->vectors + slot * d, some, d,
                                         products);
        for (size_t i = 0; i < some; i++)
            f->nearness[l] += products[i];
    }
}

static assay_status fill(filling *f, assay_error *error)
{
    assay_ivf *to = f->to;
    ASSAY_TRY(make_rooms(f, error));
    give_slots(f);
    if (f->from != NULL)
        assay_loop(to->options.lists, f->threads, fill_list, f);
    assay_loop((f->count + PUT_AT_ONCE - 1) / PUT_AT_ONCE, f->threads, put_some, f);
    assay_loop(to->options.lists, f->threads, measure_list, f);
    double sum = 0;
    for (uint32_t l = 0; l < to->options.lists; l++)
        sum += f->nearness[l];
    to->near = to->count > 0 ? (float)(sum / to->count) : 0;
    return ASSAY_OK;
}

static assay_status check_vectors(uint32_t dimensions, const uint64_t *keys,
                                  const float *vectors, size_t count, assay_error *error)
{
    if (count > ASSAY_IVF_SLOTS)
        return assay_fail(error, ASSAY_E_LIMIT, NULL, "%zu vectors, at most %d", count,
                          ASSAY_IVF_SLOTS);
    for (size_t i = 0; i < count; i++) {
        if (!assay_vector_is_finite(vectors + i * dimensions, dimensions))
            return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                              "the vector of %" PRIu64 " holds what is no number", keys[i]);
        if (keys[i] == 0)
            return assay_fail(error, ASSAY_E_ARGUMENT, NULL, "the key 0 is not allowed");
    }
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- building */

static uint32_t lists_for(size_t count)
{
    size_t lists = (size_t)(LISTS_ROOT * sqrt((double)count));
    if (lists > count / LEAST_LIST)
        lists = count / LEAST_LIST;
    if (lists > ASSAY_IVF_MOST_LISTS)
        lists = ASSAY_IVF_MOST_LISTS;
    return lists > 0 ? (uint32_t)lists : 1;
}

assay_status assay_ivf_build(const assay_ivf_options *options, const uint64_t *keys,
                             const float *vectors, size_t count, uint32_t threads,
                             assay_ivf_progress progress, void *user, assay_ivf **out,
                             assay_error *error)
{
    assay_ivf_options o = *options;
    assay_ivf *ivf = NULL;
    if (o.lists == 0)
        o.lists = lists_for(count);
    if (o.codes == 0)
        o.codes = ASSAY_CODE_I8;
    ASSAY_TRY(check_vectors(o.dimensions, keys, vectors, count, error));
    if (o.lists > count && count > 0)
        o.lists = (uint32_t)count;
    ASSAY_TRY(make(&o, count, &ivf, error));
    filling f = {.to = ivf, .keys = keys, .vectors = vectors, .count = count, .threads = threads};
    assay_ivf_work work = {.progress = progress, .user = user};
    assay_codes_begin(&ivf->codes, vectors, count);
    assay_status status = filling_new(&f, o.lists, error);
    if (status == ASSAY_OK && count > 0)
        status = assay_ivf_train(ivf, vectors, count, threads, &work, error);
    if (status == ASSAY_OK)
        status = assay_ivf_assign(ivf, vectors, NULL, count, threads, f.lists, &work, error);
    if (status == ASSAY_OK)
        status = fill(&f, error);
    if (status == ASSAY_OK)
        status = assay_ivf_make_routes(ivf, error);
    filling_free(&f);
    if (status != ASSAY_OK) {
        assay_ivf_free(ivf);
        return status;
    }
    ivf->trained = ivf->count;
    ivf->trained_near = ivf->near;
    ivf->trained_longest = assay_ivf_longest(ivf);
    *out = ivf;
    return ASSAY_OK;
}

/* ---------------------------------------------------------------- changing */

static bool among(const uint64_t *keys, size_t count, uint64_t key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && keys[low] == key;
}

static assay_status mark_gone(filling *f, const uint64_t *gone, size_t count, assay_error *error)
{
    ASSAY_TRY(assay_bits_new(&f->gone, f->from->count, error));
    for (uint32_t slot = 0; slot < f->from->count; slot++)
        if (among(gone, count, f->from->keys[slot]))
            assay_bits_add(&f->gone, slot);
    return ASSAY_OK;
}

/* Centres and what else stays as it was. */
static void take_over(const assay_ivf *from, assay_ivf *to)
{
    memcpy(to->centres, from->centres, assay_ivf_section_bytes(from, IVF_CENTRES));
    if (to->options.codes == ASSAY_CODE_B1)
        memcpy(to->codes.scales, from->codes.scales, assay_ivf_section_bytes(from, IVF_SCALES));
    to->trained = from->trained;
    to->trained_near = from->trained_near;
    to->trained_longest = from->trained_longest;
}

assay_status assay_ivf_change(const assay_ivf *from, const uint64_t *gone, size_t gone_count,
                              const uint64_t *keys, const float *vectors, size_t count,
                              uint32_t threads, assay_ivf **out, assay_error *error)
{
    assay_ivf *to = NULL;
    filling f = {.from = from, .keys = keys, .vectors = vectors, .count = count,
                 .threads = threads};
    ASSAY_TRY(check_vectors(from->options.dimensions, keys, vectors, count, error));
    assay_status status = filling_new(&f, from->options.lists, error);
    if (status == ASSAY_OK)
        status = mark_gone(&f, gone, gone_count, error);
    if (status == ASSAY_OK)
        status = assay_ivf_assign(from, vectors, NULL, count, threads, f.lists, NULL, error);
    if (status == ASSAY_OK)
        status = make(&from->options, from->count - assay_bits_count(&f.gone) + count, &to,
                      error);
    if (status == ASSAY_OK) {
        f.to = to;
        take_over(from, to);
        status = fill(&f, error);
    }
    if (status == ASSAY_OK)
        status = assay_ivf_make_routes(to, error);
    filling_free(&f);
    if (status != ASSAY_OK) {
        assay_ivf_free(to);
        return status;
    }
    *out = to;
    return ASSAY_OK;
}

bool assay_ivf_drifted(const assay_ivf *ivf)
{
    double count = ivf->count, trained = ivf->trained;
    if (count > 2 * trained || 2 * count < trained)
        return true;
    if (1 - ivf->near > 1.1 * (1 - ivf->trained_near) + 1e-6)
        return true;
    return assay_ivf_longest(ivf) * trained > 3 * ivf->trained_longest * count;
}
