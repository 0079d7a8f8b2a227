/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocabulary.h: strings with ids, and the longest of them that begins a text.
 *
 * A flat hash table (open addressing, linear probing, at most half full) whose
 * hash grows byte by byte, so that one pass over a text gives the hashes of all
 * its prefixes. Built by one thread, then immutable and shared.
 */
#ifndef ASSAY_VOCABULARY_H
#define ASSAY_VOCABULARY_H

#include "base/buffer.h"

#define ASSAY_TOKEN_BYTES 1024  /* a longer token is refused */
#define ASSAY_VOCABULARY_MAX (8u * 1024 * 1024) /* tokens */

typedef struct assay_vocabulary_slot {
    uint32_t check;  /* more bits of the hash */
    uint32_t length; /* of the token, bytes; 0: the slot is free */
    uint32_t offset; /* into text.data */
    int32_t id;
} assay_vocabulary_slot;

typedef struct assay_vocabulary {
    assay_buffer text;  /* tokens one after another, each with a NUL */
    uint32_t *offsets;  /* [count] by id */
    size_t count, capacity;
    assay_vocabulary_slot *slots; /* [1 << (64 - shift)] */
    unsigned shift;
    uint32_t longest; /* bytes of the longest token in the table */
} assay_vocabulary;

/* A zeroed struct is an empty vocabulary. */
void assay_vocabulary_free(assay_vocabulary *vocabulary);

/* Gives the next id to a token; its text is kept, but not found before
 * assay_vocabulary_index. LIMIT when it is longer than
 * ASSAY_TOKEN_BYTES or there are too many. `where` goes into errors. */
assay_status assay_vocabulary_add(assay_vocabulary *vocabulary, const char *token,
                                  size_t length, const char *where, assay_error *error);

/* Makes all tokens findable. Of equal tokens the last one counts when `last_wins`,
 * else they are FORMAT. */
assay_status assay_vocabulary_index(assay_vocabulary *vocabulary, bool last_wins,
                                    const char *where, assay_error *error);

/* NUL-terminated; NULL outside [0, count). */
const char *assay_vocabulary_text(const assay_vocabulary *vocabulary, int32_t id);

/* The id of exactly this token; -1 when there is none. */
int32_t assay_vocabulary_find(const assay_vocabulary *vocabulary, const void *token,
                              size_t length);

/* The state of the hash after these bytes: what a prefix of every token looked
 * up costs once instead of every time. */
uint64_t assay_vocabulary_seed(const void *prefix, size_t length);

/* The longest token that is `prefix` followed by a beginning (not empty) of
 * text[length]: its id, and in *matched the bytes of `text` it took; -1 when
 * there is none. `seed` is assay_vocabulary_seed(prefix, prefix_length). */
int32_t assay_vocabulary_longest(const assay_vocabulary *vocabulary, const void *prefix,
                                 size_t prefix_length, uint64_t seed, const uint8_t *text,
                                 size_t length, size_t *matched);

#endif
