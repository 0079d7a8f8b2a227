/* SPDX-License-Identifier: Apache-2.0 */
/*
 * piece_trie.c: see piece_trie.h.
 *
 * The pieces are sorted, so that those below one node follow each other, and the
 * nodes are placed depth first, which puts a chain of only children side by side.
 */
#include "text/piece_trie.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 256u
#define OPEN_BLOCKS 16 /* with room in them: where children are tried to be put */
#define PATIENCE 32    /* a block in which this many families did not fit is given up */

void assay_piece_trie_free(assay_piece_trie *trie)
{
    free(trie->units);
    *trie = (assay_piece_trie){0};
}

int32_t assay_piece_trie_find(const assay_piece_trie *trie, const void *bytes, size_t length)
{
    uint32_t node = 0;
    for (size_t i = 0; i < length && node != ASSAY_PIECE_NONE; i++)
        node = assay_piece_trie_step(trie, node, ((const uint8_t *)bytes)[i]);
    return node != ASSAY_PIECE_NONE && length > 0 ? trie->units[node].id : -1;
}

/* ------------------------------------------------------------------- sorting */

/* A piece's first eight bytes as a number that sorts as they do. */
static uint64_t head_of(const assay_piece *piece)
{
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < piece->length ? piece->bytes[i] : 0);
    return head;
}

typedef struct keyed {
    uint64_t head;
    assay_piece piece;
} keyed;

/* Least significant byte first; keeps the order of equals. */
static void sort_heads(keyed *items, keyed *spare, size_t count)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t starts[257] = {0};
        for (size_t i = 0; i < count; i++)
            starts[(items[i].head >> shift & 0xFF) + 1]++;
        for (size_t k = 1; k < 257; k++)
            starts[k] += starts[k - 1];
        for (size_t i = 0; i < count; i++)
            spare[starts[items[i].head >> shift & 0xFF]++] = items[i];
        keyed *swap = items;
        items = spare;
        spare = swap;
    }
}

static int compare_tails(const void *left, const void *right)
{
    const assay_piece *a = &((const keyed *)left)->piece, *b = &((const keyed *)right)->piece;
    uint32_t shorter = a->length < b->length ? a->length : b->length;
    int order = shorter > 8 ? memcmp(a->bytes + 8, b->bytes + 8, shorter - 8) : 0;
    if (order == 0)
        order = (a->length > b->length) - (a->length < b->length);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

static assay_status sort_pieces(keyed *items, size_t count, assay_error *error)
{
    keyed *spare = malloc((count + 1) * sizeof *spare);
    if (spare == NULL)
        return assay_fail_memory(error, count * sizeof *spare);
    sort_heads(items, spare, count);
    free(spare);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && items[end].head == items[i].head; end++)
            continue;
        if (end - i > 1)
            qsort(items + i, end - i, sizeof *items, compare_tails);
    }
    return ASSAY_OK;
}

/* ------------------------------------------------------------------- placing */

typedef struct free_block {
    uint32_t first;     /* unit */
    uint64_t taken[4];  /* a bit a unit */
    uint32_t misses;    /* families that did not fit */
} free_block;

/* Pieces [low, high) have `depth` bytes in common, which lead to `node`. */
typedef struct family {
    uint32_t low, high, depth, node;
} family;

typedef struct builder {
    assay_piece_trie *trie;
    const keyed *items;
    size_t capacity; /* of the trie's units */
    free_block open[OPEN_BLOCKS];
    size_t open_count;
    family *stack;
    size_t stack_count, stack_capacity;
    assay_error *error;
} builder;

static uint8_t byte_at(const keyed *item, uint32_t depth)
{
    return depth < 8 ? (uint8_t)(item->head >> (56 - 8 * depth)) : item->piece.bytes[depth];
}

static bool is_taken(const free_block *block, uint32_t unit)
{
    return (block->taken[unit / 64] >> unit % 64 & 1) != 0;
}

static void drop_block(builder *b, size_t which)
{
    b->open_count--;
    memmove(&b->open[which], &b->open[which + 1], (b->open_count - which) * sizeof b->open[0]);
}

static assay_status add_block(builder *b)
{
    assay_piece_trie *trie = b->trie;
    if (trie->count + BLOCK > b->capacity) {
        size_t capacity = b->capacity > 0 ? 2 * b->capacity : 16 * BLOCK;
        assay_piece_unit *units = capacity < UINT32_MAX
                                      ? realloc(trie->units, capacity * sizeof *units)
                                      : NULL;
        if (units == NULL)
            return assay_fail_memory(b->error, capacity * sizeof *units);
        trie->units = units;
        b->capacity = capacity;
    }
    for (size_t i = trie->count; i < trie->count + BLOCK; i++)
        trie->units[i] = (assay_piece_unit){.parent = ASSAY_PIECE_NONE, .id = -1};
    if (b->open_count == OPEN_BLOCKS)
        drop_block(b, 0);
    b->open[b->open_count++] = (free_block){.first = (uint32_t)trie->count};
    trie->count += BLOCK;
    return ASSAY_OK;
}

/* Finds a number in [0, 256) that takes all labels to free units of a block. */
static bool fits(const free_block *block, const uint8_t *labels, size_t count, uint32_t *out)
{
    for (size_t word = 0; word < 4; word++)
        for (uint64_t free_bits = ~block->taken[word]; free_bits != 0;
             free_bits &= free_bits - 1) {
            uint32_t unit = (uint32_t)(64 * word) + (uint32_t)__builtin_ctzll(free_bits);
            uint32_t base = unit ^ labels[0];
            size_t k = 1;
            while (k < count && !is_taken(block, base ^ labels[k]))
                k++;
            if (k == count) {
                *out = base;
                return true;
            }
        }
    return false;
}

/* Takes units for the children of a node. */
static assay_status place(builder *b, uint32_t node, const uint8_t *labels, size_t count)
{
    uint32_t base = 0;
    size_t which = 0;
    while (which < b->open_count && !fits(&b->open[which], labels, count, &base)) {
        if (++b->open[which].misses >= PATIENCE || count == 1)
            drop_block(b, which);
        else
            which++;
    }
    if (which == b->open_count) {
        ASSAY_TRY(add_block(b));
        which = b->open_count - 1;
        fits(&b->open[which], labels, count, &base);
    }
    free_block *block = &b->open[which];
    b->trie->units[node].base = block->first | base;
    for (size_t k = 0; k < count; k++) {
        uint32_t unit = base ^ labels[k];
        block->taken[unit / 64] |= (uint64_t)1 << unit % 64;
        b->trie->units[block->first | unit].parent = node;
    }
    return ASSAY_OK;
}

static assay_status push(builder *b, family f)
{
    if (b->stack_count == b->stack_capacity) {
        size_t capacity = b->stack_capacity > 0 ? 2 * b->stack_capacity : 1024;
        family *stack = realloc(b->stack, capacity * sizeof *stack);
        if (stack == NULL)
            return assay_fail_memory(b->error, capacity * sizeof *stack);
        b->stack = stack;
        b->stack_capacity = capacity;
    }
    b->stack[b->stack_count++] = f;
    return ASSAY_OK;
}

/* Gives a node its id and its children. */
static assay_status settle(builder *b, family f)
{
    while (f.low < f.high && b->items[f.low].piece.length == f.depth)
        b->trie->units[f.node].id = b->items[f.low++].piece.id;
    if (f.low == f.high)
        return ASSAY_OK;
    uint8_t labels[256];
    uint32_t lows[257];
    size_t count = 0;
    for (uint32_t i = f.low; i < f.high; i++) {
        uint8_t byte = byte_at(&b->items[i], f.depth);
        if (count == 0 || labels[count - 1] != byte) {
            lows[count] = i;
            labels[count++] = byte;
        }
    }
    lows[count] = f.high;
    ASSAY_TRY(place(b, f.node, labels, count));
    uint32_t base = b->trie->units[f.node].base;
    for (size_t k = count; k > 0; k--)
        ASSAY_TRY(push(b, (family){.low = lows[k - 1], .high = lows[k], .depth = f.depth + 1,
                                   .node = base ^ labels[k - 1]}));
    return ASSAY_OK;
}

static assay_status place_all(builder *b, size_t count)
{
    ASSAY_TRY(add_block(b));
    b->open[0].taken[0] = 1; /* the root */
    ASSAY_TRY(push(b, (family){.high = (uint32_t)count}));
    while (b->stack_count > 0)
        ASSAY_TRY(settle(b, b->stack[--b->stack_count]));
    return ASSAY_OK;
}

assay_status assay_piece_trie_build(assay_piece_trie *trie, const assay_piece *pieces,
                                    size_t count, assay_error *error)
{
    keyed *items = malloc((count + 1) * sizeof *items);
    if (items == NULL)
        return assay_fail_memory(error, count * sizeof *items);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (pieces[i].length > 0)
            items[kept++] = (keyed){.head = head_of(&pieces[i]), .piece = pieces[i]};
    builder b = {.trie = trie, .items = items, .error = error};
    assay_status status = sort_pieces(items, kept, error);
    if (status == ASSAY_OK)
        status = place_all(&b, kept);
    free(items);
    free(b.stack);
    return status;
}
