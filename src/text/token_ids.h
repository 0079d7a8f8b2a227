/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_ids.h: the tokens of a text as they are kept for later.
 *
 * As bytes: a check of what follows (XXH3-64, its low 32 bits, little-endian),
 * then unsigned LEB128 numbers: how many tokens the text has, or as many as were
 * counted, and the ids of the first of them, at most ASSAY_TOKEN_IDS_MAX. Two
 * bytes a token and a little more, whatever the vocabulary: 3 % more than 16 bits
 * each on Natural Questions and 6 % on SciFact with BERT's 30,522 pieces, which
 * fit into 16 bits, while XLM-RoBERTa's 250,002 do not.
 */
#ifndef ASSAY_TOKEN_IDS_H
#define ASSAY_TOKEN_IDS_H

#include "base/arena.h"
#include "base/buffer.h"

/* No model reads more of a text; whole documents may be longer. */
#define ASSAY_TOKEN_IDS_MAX 8192u

typedef struct assay_token_ids {
    const int32_t *ids; /* [count] none of them special */
    size_t count;
    size_t total; /* more than count when the text has more, though not how many */
} assay_token_ids;

/* Appends the bytes. Ids are not negative. */
void assay_token_ids_encode(const int32_t *ids, size_t count, assay_buffer *out);

/* Reads bytes as encode wrote them; the ids lie in the arena. CORRUPT when they
 * are anything else. */
assay_status assay_token_ids_decode(const void *bytes, size_t length, assay_arena *arena,
                                    assay_token_ids *out, assay_error *error);

#endif
