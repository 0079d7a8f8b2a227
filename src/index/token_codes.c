/* SPDX-License-Identifier: Apache-2.0 */
/* token_codes.c: see token_codes.h. */
#include "index/token_codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/hash.h"
#include "base/threads.h"
#include "index/ivf_lists.h"
#include "index/rotation.h"
#include "kernels/kernels.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a book's header is written as it lies in memory"
#endif

enum {
    VERSION = 1,
    PLAIN_VERSION = 2, /* of a book without centres */
    ROOT = 3,          /* centres are so many times the root of all vectors ... */
    A_CENTRE = 24,     /* ... but have so many of the sample's, at least */
    SAMPLE_ROOT = 8,   /* passages of a sample, times the root of all, ... */
    SAMPLE_LEAST = 64, /* ... and at least */
    SAMPLE_BYTES = 256 << 20,
    OUTGROWN = 10,     /* times as many passages */
    MOST_CENTRES = 1 << 16,
    MOST_DIMENSIONS = ASSAY_MAXSIM_DEPTH,
    GROUP = ASSAY_ROTATION_STEP, /* coordinates whose codes lie together */
    WORDS = GROUP / 8,           /* of 8 bytes each */
    ROWS = 48,                   /* expanded at a time */
};

static const char magic[8] = "assaybk";

typedef struct book_header {
    char magic[8];
    uint32_t version, dimensions, bits, count;
    uint64_t passages;
} book_header;

static uint32_t version_for(uint32_t bits)
{
    return bits == ASSAY_TOKEN_HALVES ? PLAIN_VERSION : VERSION;
}

static size_t width_of(uint32_t dimensions)
{
    return ((size_t)dimensions + GROUP - 1) / GROUP * GROUP;
}

size_t assay_token_code_bytes(uint32_t bits, uint32_t dimensions)
{
    return width_of(dimensions) * bits / 8;
}

/* ---- The book ------------------------------------------------------------------- */

uint64_t assay_token_book_sample(uint64_t passages)
{
    uint64_t some = (uint64_t)(SAMPLE_ROOT * sqrt((double)passages));
    some = some > SAMPLE_LEAST ? some : SAMPLE_LEAST;
    return some < passages ? some : passages;
}

size_t assay_token_book_most(uint32_t dimensions)
{
    return SAMPLE_BYTES / (dimensions * sizeof(float));
}

bool assay_token_book_outgrown(const assay_token_book *book, uint64_t passages)
{
    return assay_token_book_coded(book) && passages / OUTGROWN > book->passages;
}

static uint32_t centres_for(double share, size_t count)
{
    double wanted = fmin(ROOT * sqrt((double)count / share), (double)count / A_CENTRE);
    return (uint32_t)fmax(1, fmin(wanted, MOST_CENTRES));
}

static assay_token_book *book_new(uint32_t dimensions, uint32_t bits, uint32_t count,
                                  uint64_t passages)
{
    assay_token_book *book = calloc(1, sizeof *book);
    if (book == NULL)
        return NULL;
    *book = (assay_token_book){dimensions, bits, count, passages, NULL};
    book->centres = calloc((size_t)count * dimensions + 1, sizeof *book->centres);
    if (book->centres != NULL)
        return book;
    free(book);
    return NULL;
}

void assay_token_book_free(assay_token_book *book)
{
    if (book == NULL)
        return;
    free(book->centres);
    free(book);
}

/* Centres as the book's bytes hold them, so that codes mean the same before and after. */
static void round_centres(assay_token_book *book)
{
    for (size_t i = 0; i < book->count; i++) {
        float *centre = book->centres + i * book->dimensions;
        for (size_t j = 0; j < book->dimensions; j++) {
            uint16_t half = assay_half_of(centre[j]);
            assay_kernels_active()->f16_to_f32(&half, 1, &centre[j]);
        }
    }
}

static assay_ivf lists_of(const assay_token_book *book)
{
    return (assay_ivf){.options = {.dimensions = book->dimensions, .lists = book->count},
                       .centres = book->centres};
}

assay_status assay_token_book_make(uint32_t dimensions, uint32_t bits, uint64_t passages,
                                   double share, const float *vectors, size_t count,
                                   uint32_t threads, assay_token_book **out,
                                   assay_error *error)
{
    uint32_t centres = centres_for(share, count);
    assay_token_book *book = book_new(dimensions, bits, centres, passages);
    if (book == NULL)
        return assay_fail_memory(error, (size_t)centres * dimensions * sizeof(float));
    assay_ivf lists = lists_of(book);
    assay_ivf_work work = {0};
    assay_status status =
        count > 0 ? assay_ivf_train(&lists, vectors, count, threads, &work, error) : ASSAY_OK;
    if (status != ASSAY_OK) {
        assay_token_book_free(book);
        return status;
    }
    round_centres(book);
    *out = book;
    return ASSAY_OK;
}

assay_status assay_token_book_plain(uint32_t dimensions, uint64_t passages,
                                    assay_token_book **out, assay_error *error)
{
    *out = book_new(dimensions, ASSAY_TOKEN_HALVES, 0, passages);
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, sizeof **out);
}

bool assay_token_book_coded(const assay_token_book *book)
{
    return book->bits != ASSAY_TOKEN_HALVES;
}

void assay_token_book_write(const assay_token_book *book, assay_buffer *out)
{
    size_t begin = out->length, n = (size_t)book->count * book->dimensions;
    book_header header = {.version = version_for(book->bits), .dimensions = book->dimensions,
                          .bits = book->bits, .count = book->count,
                          .passages = book->passages};
    memcpy(header.magic, magic, sizeof magic);
    assay_buffer_append(out, &header, sizeof header);
    for (size_t i = 0; i < n; i++) {
        uint16_t half = assay_half_of(book->centres[i]);
        assay_buffer_append(out, &half, sizeof half);
    }
    if (out->failed != ASSAY_OK)
        return;
    uint64_t sum = assay_hash64(out->data + begin, out->length - begin);
    assay_buffer_append(out, &sum, sizeof sum);
}

static bool header_is_good(const book_header *header, size_t length)
{
    bool plain = header->bits == ASSAY_TOKEN_HALVES;
    bool coded = header->bits == 1 || header->bits == 2 || header->bits == 4;
    return (plain ? header->count == 0 : coded && header->count > 0) &&
           header->version == version_for(header->bits) && header->dimensions > 0 &&
           header->dimensions <= MOST_DIMENSIONS && header->count <= MOST_CENTRES &&
           length == sizeof *header + sizeof(uint64_t) +
                         2 * (size_t)header->count * header->dimensions;
}

assay_status assay_token_book_read(const void *bytes, size_t length, const char *where,
                                   assay_token_book **out, assay_error *error)
{
    book_header header;
    uint64_t sum;
    if (length < sizeof header + sizeof sum)
        return assay_fail(error, ASSAY_E_CORRUPT, where, "a book of %zu bytes is none", length);
    memcpy(&header, bytes, sizeof header);
    memcpy(&sum, (const char *)bytes + length - sizeof sum, sizeof sum);
    if (memcmp(header.magic, magic, sizeof magic) != 0 ||
        sum != assay_hash64(bytes, length - sizeof sum))
        return assay_fail(error, ASSAY_E_CORRUPT, where, "the book of token codes is damaged");
    if (header.version > PLAIN_VERSION)
        return assay_fail(error, ASSAY_E_VERSION, where,
                          "token codes of version %u, this assay knows %d", header.version,
                          PLAIN_VERSION);
    if (!header_is_good(&header, length))
        return assay_fail(error, ASSAY_E_CORRUPT, where,
                          "the book of token codes says what cannot be");
    assay_token_book *book =
        book_new(header.dimensions, header.bits, header.count, header.passages);
    if (book == NULL)
        return assay_fail_memory(error, length);
    uint16_t halves[MOST_DIMENSIONS];
    const char *centres = (const char *)bytes + sizeof header;
    size_t d = header.dimensions;
    for (size_t i = 0; i < header.count; i++) {
        memcpy(halves, centres + i * d * sizeof *halves, d * sizeof *halves);
        assay_kernels_active()->f16_to_f32(halves, d, book->centres + i * d);
    }
    *out = book;
    return ASSAY_OK;
}

/* ---- Codes ---------------------------------------------------------------------- */

/* A vector, turned, filled up with 0. */
static void turn(const float *vector, size_t n, size_t width, float *turned)
{
    memcpy(turned, vector, n * sizeof *turned);
    memset(turned + n, 0, (width - n) * sizeof *turned);
    assay_rotate(turned, width);
}

/* The step of the best even grid for a normal distribution of deviation 1 (Max 1960). */
static float grid_step(uint32_t bits)
{
    return bits == 1 ? 1.5958f : bits == 2 ? 0.9957f : 0.3352f;
}

/* Coordinate i of a group is field i / (8 * bits) of byte i % (8 * bits). */
static void put_field(uint8_t *codes, size_t i, uint32_t bits, uint32_t value)
{
    size_t group = 8 * bits;
    codes[i / GROUP * group + i % GROUP % group] |= (uint8_t)(value << i % GROUP / group * bits);
}

/* Codes of what is left; returns the factor for them, with which products are without
 * bias (as RaBitQ's, Gao & Long 2024): |x|^2 over the product of x and its place. */
static uint16_t put_code(const float *turned, size_t width, uint32_t bits, uint8_t *codes)
{
    float squares;
    assay_kernels_active()->dots_f32(turned, turned, 1, width, &squares);
    int32_t most = (1 << bits) - 1, half = 1 << (bits - 1);
    double along = 0;
    float scale = 1 / (grid_step(bits) * sqrtf(squares / (float)width));
    memset(codes, 0, width * bits / 8);
    if (!(scale < INFINITY) || !(scale > 0))
        return 0;
    for (size_t i = 0; i < width; i++) {
        float place = floorf(turned[i] * scale) + (float)half;
        int32_t k = (int32_t)fmaxf(0, fminf(place, (float)most));
        put_field(codes, i, bits, (uint32_t)k);
        along += (double)turned[i] * (2 * k - most);
    }
    return assay_half_of((float)fmin((double)squares / along, 1));
}

typedef struct encoding {
    const assay_token_book *book;
    const float *vectors;
    const uint32_t *lists;
    uint16_t *centres, *factors;
    uint8_t *codes;
} encoding;

static void encode_one(void *context, size_t item, uint32_t worker)
{
    (void)worker;
    const encoding *e = context;
    size_t d = e->book->dimensions, width = width_of(e->book->dimensions);
    const float *vector = e->vectors + item * d;
    const float *centre = e->book->centres + e->lists[item] * d;
    float rest[MOST_DIMENSIONS];
    for (size_t i = 0; i < d; i++)
        rest[i] = vector[i] - centre[i];
    turn(rest, d, width, rest);
    e->centres[item] = (uint16_t)e->lists[item];
    e->factors[item] = put_code(rest, width, e->book->bits,
                                e->codes + item * (width * e->book->bits / 8));
}

assay_status assay_token_encode(const assay_token_book *book, const float *vectors, size_t count,
                                uint32_t threads, uint16_t *centres, uint16_t *factors,
                                uint8_t *codes, assay_error *error)
{
    uint32_t *lists = calloc(count + 1, sizeof *lists);
    if (lists == NULL)
        return assay_fail_memory(error, count * sizeof *lists);
    const assay_ivf by_centre = lists_of(book);
    assay_status status =
        assay_ivf_assign(&by_centre, vectors, NULL, count, threads, lists, NULL, error);
    encoding e = {book, vectors, lists, centres, factors, codes};
    if (status == ASSAY_OK)
        assay_loop(count, threads, encode_one, &e);
    free(lists);
    return status;
}

/* ---- Questions ------------------------------------------------------------------- */

static assay_status take_room(assay_token_query *q, size_t count, assay_error *error)
{
    size_t d = q->book->dimensions, width = width_of(q->book->dimensions);
    const assay_i8_inputs inputs = {.depth = width};
    const size_t sizes[] = {
        q->book->count * assay_whole_panels(count) * sizeof(float),
        assay_i8_panels_size(count, &inputs),
        count * sizeof(float),
        count * d * sizeof(float),
        assay_panels_size(count, d) * sizeof(float),
        width * sizeof(float),
        count * width,
        ROWS * width,
    };
    enum { PARTS = sizeof sizes / sizeof *sizes };
    char *places[PARTS];
    size_t need = 0;
    for (size_t i = 0; i < PARTS; i++)
        need += assay_arena_need(sizes[i]);
    if (need > q->block_bytes) {
        free(q->block);
        q->block = aligned_alloc(ASSAY_ALIGNMENT, need);
        q->block_bytes = q->block != NULL ? need : 0;
    }
    if (q->block == NULL)
        return assay_fail_memory(error, need);
    need = 0;
    for (size_t i = 0; i < PARTS; i++) {
        places[i] = (char *)q->block + need;
        need += assay_arena_need(sizes[i]);
    }
    q->products = (float *)places[0];
    q->panels = (int8_t *)places[1];
    q->steps = (float *)places[2];
    q->scaled = (float *)places[3];
    q->scaled_panels = (float *)places[4];
    q->turned = (float *)places[5];
    q->bytes = (int8_t *)places[6];
    q->rows = (int8_t *)places[7];
    return ASSAY_OK;
}

assay_status assay_token_ask(assay_token_query *q, const assay_token_book *book,
                             const assay_question *question, assay_error *error)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t d = book->dimensions, width = width_of(book->dimensions), count = question->count;
    size_t columns = assay_whole_panels(count);
    const assay_i8_inputs inputs = {.depth = width};
    q->book = book;
    q->count = count;
    ASSAY_TRY(take_room(q, count, error));
    for (size_t i = 0; i < count; i++) {
        const float *vector = question->vectors + i * d;
        turn(vector, d, width, q->turned);
        q->steps[i] = assay_late_quantize(q->turned, width, q->bytes + i * width);
        for (size_t j = 0; j < d; j++)
            q->scaled[i * d + j] = q->steps[i] > 0 ? vector[j] / q->steps[i] : 0;
    }
    kernels->pack_i8(q->bytes, width, count, &inputs, q->panels);
    kernels->pack_f32(q->scaled, d, count, d, q->scaled_panels);
    kernels->gemm_f32(book->centres, d, book->count, q->scaled_panels, columns, d, NULL,
                      q->products, columns);
    return ASSAY_OK;
}

void assay_token_query_free(assay_token_query *q)
{
    free(q->block);
    *q = (assay_token_query){0};
}

/* ---- MaxSim ---------------------------------------------------------------------- */

/* Fields as odd integers, eight coordinates at a time: each byte of a word becomes
 * 2 * field - most, without carrying into the next. */
static void expand(const uint8_t *codes, size_t groups, uint32_t bits, int8_t *rows)
{
    const uint64_t each = 0x0101010101010101u, high = 0x80 * each;
    const uint64_t most = ((1u << bits) - 1) * each;
    for (size_t g = 0; g < groups; g++, codes += 8 * bits, rows += GROUP)
        for (size_t w = 0; w < bits; w++) {
            uint64_t word;
            memcpy(&word, codes + 8 * w, sizeof word);
            for (size_t field = 0; field < WORDS / bits; field++) {
                uint64_t levels =
                    (((word >> field * bits & most) << 1 | high) - most) ^ high;
                memcpy(rows + 8 * (field * bits + w), &levels, sizeof levels);
            }
        }
}

/* Some of a passage's vectors, which stay in the level-1 cache. */
static void take_some(const assay_token_query *q, const assay_token_codes *passage,
                      size_t first, size_t count, float *best)
{
    const assay_kernels *kernels = assay_kernels_active();
    size_t width = width_of(q->book->dimensions);
    float factors[ROWS];
    expand(passage->codes + first * (width * q->book->bits / 8), count * width / GROUP,
           q->book->bits, q->rows);
    kernels->f16_to_f32(passage->factors + first, count, factors);
    kernels->maxsim_residual_i8(q->rows, factors, passage->centres + first, count, q->panels,
                                q->products, q->count, width, best);
}

static void begin_best(const assay_token_query *q, float *best)
{
    for (size_t i = 0; i < q->count; i++)
        best[i] = -INFINITY;
}

/* Of products in steps. */
static float add_up(const assay_token_query *q, const float *best)
{
    double sum = 0;
    for (size_t i = 0; i < q->count; i++)
        sum += (double)(best[i] * q->steps[i]);
    return (float)sum;
}

float assay_token_maxsim(const assay_token_query *q, const assay_token_codes *passage)
{
    float best[ASSAY_LATE_QUERY_MAX];
    for (size_t i = 0; i < passage->count; i++)
        if (passage->centres[i] >= q->book->count)
            return NAN;
    begin_best(q, best);
    for (size_t i = 0; i < passage->count; i += ROWS)
        take_some(q, passage, i, passage->count - i < ROWS ? passage->count - i : ROWS, best);
    return add_up(q, best);
}

float assay_token_maxsim_centres(const assay_token_query *q, const uint16_t *centres,
                                 size_t count)
{
    float best[ASSAY_LATE_QUERY_MAX];
    begin_best(q, best);
    assay_kernels_active()->maxsim_centres(centres, count, q->products, q->count, best);
    return add_up(q, best);
}
