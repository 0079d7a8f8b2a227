/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_token_lists.c: any bytes as a file of token lists: refused, or safe to search. The
 * checksums are put right, so that the fuzzer gets past them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "index/token_lists.h"

enum { HEADER = 128, SECTIONS = 5, K = 10, DIMENSIONS = 4, MOST_CENTRES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t padded(uint64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Checksums of what the header says that there is, as far as there is. */
static void put_right(uint8_t *file, size_t size)
{
    uint32_t numbers[2];
    uint64_t sizes[2], offset = HEADER;
    memcpy(file, "ASSAYTOK\1\0\0\0", 12);
    memcpy(&numbers[0], file + 12, 4);
    memcpy(&numbers[1], file + 36, 4);
    memcpy(sizes, file + 40, sizeof sizes);
    const uint64_t bytes[SECTIONS] = {numbers[0] * UINT64_C(8), (numbers[0] + UINT64_C(1)) * 8,
                                      sizes[0] * 2, (numbers[1] + UINT64_C(1)) * 8,
                                      sizes[1] * 4};
    for (size_t i = 0; i < SECTIONS && offset <= size && bytes[i] <= size - offset; i++) {
        uint64_t sum = assay_hash64(file + offset, bytes[i]);
        memcpy(file + 56 + 8 * i, &sum, sizeof sum);
        offset += padded(bytes[i]);
    }
    uint64_t sum = assay_hash64(file, HEADER - 8);
    memcpy(file + HEADER - 8, &sum, sizeof sum);
}

static void search(const assay_token_lists *lists)
{
    static float centres[MOST_CENTRES * DIMENSIONS], vector[DIMENSIONS] = {1};
    const assay_token_book book = {.dimensions = DIMENSIONS, .bits = 1, .centres = centres,
                                   .count = assay_token_lists_stamp(lists).centres};
    const assay_question question = {.count = 1, .vectors = vector};
    assay_candidate found[K];
    assay_best best = {.items = found, .limit = K};
    assay_token_query query = {0};
    if (book.count > 0 && book.count <= MOST_CENTRES &&
        assay_token_ask(&query, &book, &question, NULL) == ASSAY_OK)
        assay_token_lists_search(lists, &query, &(assay_token_probing){.nprobe = 3}, &best, NULL);
    assay_token_query_free(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/assay-fuzz-XXXXXX";
    int fd = mkstemp(path);
    uint8_t *file = malloc(size + 1);
    if (fd < 0 || file == NULL)
        abort();
    memcpy(file, data, size);
    if (size >= HEADER)
        put_right(file, size);
    assay_token_lists *lists;
    if (write(fd, file, size) == (ssize_t)size &&
        assay_token_lists_open(path, &lists, NULL) == ASSAY_OK) {
        search(lists);
        assay_token_lists_free(lists);
    }
    free(file);
    close(fd);
    unlink(path);
    return 0;
}
