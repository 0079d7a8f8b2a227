/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_postings.c: any bytes as a word index file: refused, or safe to search. The
 * header is made to fit the size, so that the fuzzer gets past it: the input is a
 * count of passages, one of terms, sizes of the lists and the names, and these. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index/postings_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 17 };
static uint8_t file[MOST];

static size_t round_up(size_t n)
{
    return (n + 7) / 8 * 8;
}

/* A file whose parts have the sizes that the first bytes say, filled from the rest,
 * again and again. Returns its size. */
static size_t make_file(const uint8_t *data, size_t size)
{
    assay_postings_header h = {.magic = "ASSAYPST", .version = 1, .k1 = 0.9, .b = 0.4};
    h.passages = data[0] + 256u * (data[1] % 16);
    h.terms = data[2] % 64;
    h.data_bytes = data[3] + 256u * (data[4] % 32);
    h.names_bytes = data[5] + 256u * (data[6] % 4);
    h.tokens = data[7] * h.passages;
    h.groups = (h.terms + ASSAY_POSTINGS_GROUP - 1) / ASSAY_POSTINGS_GROUP;
    h.data = sizeof h + 8 * h.passages + round_up(4 * h.passages);
    h.names = h.data + round_up(h.data_bytes);
    size_t all = h.names + round_up(h.names_bytes) + 16 * h.groups;
    if (all > MOST)
        return 0;
    h.checksum = assay_hash64(&h, offsetof(assay_postings_header, checksum));
    memcpy(file, &h, sizeof h);
    for (size_t i = h.data, j = 8; i < h.names + h.names_bytes; i++, j++)
        file[i] = data[j < size ? j : 8 + (j - 8) % (size - 8)];
    memset(file + h.names + round_up(h.names_bytes), 0, 16 * h.groups);
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/assay-fuzz-XXXXXX";
    size_t length = size > 16 ? make_file(data, size) : 0;
    int fd = length > 0 ? mkstemp(path) : -1;
    if (fd < 0)
        return 0;
    assay_postings *postings;
    if (write(fd, file, length) == (ssize_t)length &&
        assay_postings_open(path, &postings, NULL) == ASSAY_OK) {
        assay_term terms[] = {{{"a", 1}, 1}, {{"ab", 2}, 2}, {{"b", 1}, 1}, {{"", 0}, 1}};
        assay_candidate found[20];
        size_t count;
        for (size_t i = 0; i < 3; i++)
            (void)assay_postings_search(postings, terms, 4, i == 2 ? 1.2 : 0.9, 0.4, NULL,
                                        i == 0 ? 1 : 20, found, &count, NULL);
        assay_postings_verify(postings, NULL);
        assay_postings_close(postings);
    }
    close(fd);
    unlink(path);
    return 0;
}
