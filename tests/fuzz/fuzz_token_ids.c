/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_token_ids.c: any bytes as stored token ids: refused, or the same bytes
 * when they are written again. The check is put right, so that the fuzzer gets
 * past it. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "text/token_ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ids may be written with more bytes than they need; not by encode. */
static void write_again(const assay_token_ids *ids, assay_arena *arena)
{
    assay_buffer bytes;
    assay_token_ids again;
    assay_buffer_init(&bytes, 0);
    assay_token_ids_encode(ids->ids, ids->count, &bytes);
    if (assay_token_ids_decode(bytes.data, bytes.length, arena, &again, NULL) != ASSAY_OK ||
        again.count != ids->count || again.total != ids->count ||
        memcmp(again.ids, ids->ids, ids->count * sizeof *ids->ids) != 0)
        abort();
    assay_buffer_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_arena *arena = assay_arena_new(0);
    uint8_t *bytes = malloc(size + 4);
    assay_token_ids ids;
    uint64_t check = assay_hash64(data, size);
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(check >> (8 * i));
    if (size > 0)
        memcpy(bytes + 4, data, size);
    if (assay_token_ids_decode(bytes, size + 4, arena, &ids, NULL) == ASSAY_OK)
        write_again(&ids, arena);
    free(bytes);
    assay_arena_free(arena);
    return 0;
}
