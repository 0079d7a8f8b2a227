/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.c: see vocabulary.h. */
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

/* More tokens than this in a row of slots cannot happen by chance: the file was
 * made to make the table slow. */
#define LONGEST_RUN 1024

#define EMPTY_SEED 0x2545F4914F6CDD1Dull

static inline uint64_t mix(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * 0x9E3779B97F4A7C15ull;
}

uint64_t assay_vocabulary_seed(const void *prefix, size_t length)
{
    const uint8_t *bytes = prefix;
    uint64_t hash = EMPTY_SEED;
    for (size_t i = 0; i < length; i++)
        hash = mix(hash, bytes[i]);
    return hash;
}

static inline uint32_t check_of(uint64_t hash)
{
    return (uint32_t)(hash >> 16);
}

void assay_vocabulary_free(assay_vocabulary *vocabulary)
{
    assay_buffer_free(&vocabulary->text);
    free(vocabulary->offsets);
    free(vocabulary->slots);
    *vocabulary = (assay_vocabulary){0};
}

static bool grow(assay_vocabulary *vocabulary)
{
    size_t capacity = vocabulary->capacity > 0 ? 2 * vocabulary->capacity : 1024;
    uint32_t *offsets = realloc(vocabulary->offsets, capacity * sizeof *offsets);
    if (offsets == NULL)
        return false;
    vocabulary->offsets = offsets;
    vocabulary->capacity = capacity;
    return true;
}

assay_status assay_vocabulary_add(assay_vocabulary *vocabulary, const char *token,
                                  size_t length, const char *where, assay_error *error)
{
    if (length > ASSAY_TOKEN_BYTES)
        return assay_fail(error, ASSAY_E_LIMIT, where,
                          "token %zu is %zu bytes long, at most %d are allowed",
                          vocabulary->count, length, ASSAY_TOKEN_BYTES);
    if (vocabulary->count == ASSAY_VOCABULARY_MAX)
        return assay_fail(error, ASSAY_E_LIMIT, where, "more than %u tokens",
                          ASSAY_VOCABULARY_MAX);
    if (vocabulary->count == vocabulary->capacity && !grow(vocabulary))
        return assay_fail_memory(error, 2 * vocabulary->capacity * sizeof(uint32_t));
    if (vocabulary->text.length > UINT32_MAX - length - 1)
        return assay_fail(error, ASSAY_E_LIMIT, where, "more than 4 GiB of tokens");
    vocabulary->offsets[vocabulary->count] = (uint32_t)vocabulary->text.length;
    assay_buffer_append(&vocabulary->text, token, length);
    assay_buffer_byte(&vocabulary->text, '\0');
    ASSAY_TRY(assay_buffer_status(&vocabulary->text, where, error));
    vocabulary->count++;
    return ASSAY_OK;
}

const char *assay_vocabulary_text(const assay_vocabulary *vocabulary, int32_t id)
{
    if (id < 0 || (size_t)id >= vocabulary->count)
        return NULL;
    return vocabulary->text.data + vocabulary->offsets[id];
}

static size_t length_of(const assay_vocabulary *vocabulary, size_t id)
{
    size_t end = id + 1 < vocabulary->count ? vocabulary->offsets[id + 1]
                                            : vocabulary->text.length;
    return end - vocabulary->offsets[id] - 1;
}

/* The slot of a token of `head` and `tail`, or the free one where it would be. */
static inline const assay_vocabulary_slot *
slot_of(const assay_vocabulary *vocabulary, uint64_t hash, const void *head,
        size_t head_length, const void *tail, size_t tail_length)
{
    size_t mask = ((size_t)1 << (64 - vocabulary->shift)) - 1;
    for (size_t i = hash >> vocabulary->shift;; i = (i + 1) & mask) {
        const assay_vocabulary_slot *slot = &vocabulary->slots[i];
        if (slot->length == 0)
            return slot;
        if (slot->check != check_of(hash) || slot->length != head_length + tail_length)
            continue;
        const char *text = vocabulary->text.data + slot->offset;
        if ((head_length == 0 || memcmp(text, head, head_length) == 0) &&
            memcmp(text + head_length, tail, tail_length) == 0)
            return slot;
    }
}

/* Whether the run of taken slots that `hash` falls into is absurdly long. */
static bool crowded(const assay_vocabulary *vocabulary, uint64_t hash)
{
    size_t mask = ((size_t)1 << (64 - vocabulary->shift)) - 1;
    size_t i = hash >> vocabulary->shift;
    for (size_t run = 0; run < LONGEST_RUN; run++, i = (i + 1) & mask)
        if (vocabulary->slots[i].length == 0)
            return false;
    return true;
}

static assay_status insert(assay_vocabulary *vocabulary, size_t id, bool last_wins,
                           const char *where, assay_error *error)
{
    size_t length = length_of(vocabulary, id);
    if (length == 0)
        return ASSAY_OK; /* an empty token is never found in a text */
    const char *text = vocabulary->text.data + vocabulary->offsets[id];
    uint64_t hash = assay_vocabulary_seed(text, length);
    if (crowded(vocabulary, hash))
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "more than %d tokens of the same hash: not a natural vocabulary",
                          LONGEST_RUN);
    size_t at = (size_t)(slot_of(vocabulary, hash, "", 0, text, length) - vocabulary->slots);
    if (vocabulary->slots[at].length > 0 && !last_wins)
        return assay_fail(error, ASSAY_E_FORMAT, where,
                          "the token \"%s\" is there twice, as %d and as %zu", text,
                          vocabulary->slots[at].id, id);
    vocabulary->slots[at] = (assay_vocabulary_slot){.check = check_of(hash),
                                                    .length = (uint32_t)length,
                                                    .offset = vocabulary->offsets[id],
                                                    .id = (int32_t)id};
    if (length > vocabulary->longest)
        vocabulary->longest = (uint32_t)length;
    return ASSAY_OK;
}

assay_status assay_vocabulary_index(assay_vocabulary *vocabulary, bool last_wins,
                                    const char *where, assay_error *error)
{
    unsigned bits = 4;
    while (((size_t)1 << bits) < 2 * vocabulary->count + LONGEST_RUN)
        bits++;
    size_t bytes = sizeof *vocabulary->slots << bits;
    free(vocabulary->slots);
    vocabulary->slots = malloc(bytes);
    if (vocabulary->slots == NULL)
        return assay_fail_memory(error, bytes);
    /* Written, not calloc'd: pages that are read before they are written are
     * mapped twice, and the second time all threads wait. The compiler would
     * make calloc of memset. */
    explicit_bzero(vocabulary->slots, bytes);
    vocabulary->shift = 64 - bits;
    for (size_t id = 0; id < vocabulary->count; id++)
        ASSAY_TRY(insert(vocabulary, id, last_wins, where, error));
    return ASSAY_OK;
}

int32_t assay_vocabulary_find(const assay_vocabulary *vocabulary, const void *token,
                              size_t length)
{
    if (length == 0 || length > vocabulary->longest)
        return -1;
    uint64_t hash = assay_vocabulary_seed(token, length);
    const assay_vocabulary_slot *slot = slot_of(vocabulary, hash, "", 0, token, length);
    return slot->length > 0 ? slot->id : -1;
}

int32_t assay_vocabulary_longest(const assay_vocabulary *vocabulary, const void *prefix,
                                 size_t prefix_length, uint64_t seed, const uint8_t *text,
                                 size_t length, size_t *matched)
{
    if (vocabulary->longest <= prefix_length)
        return -1;
    if (length > vocabulary->longest - prefix_length)
        length = vocabulary->longest - prefix_length;
    uint64_t hashes[ASSAY_TOKEN_BYTES];
    uint64_t hash = seed;
    for (size_t i = 0; i < length; i++)
        hashes[i] = hash = mix(hash, text[i]);
    for (; length > 0; length--) {
        const assay_vocabulary_slot *slot = slot_of(vocabulary, hashes[length - 1], prefix,
                                                    prefix_length, text, length);
        if (slot->length > 0) {
            *matched = length;
            return slot->id;
        }
    }
    return -1;
}
