/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_flat.c: any bytes as a vector index file: refused, or safe to search.
 * The header's checksum is put right, so that the fuzzer gets past it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "index/flat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/assay-fuzz-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return 0;
    uint8_t header[64];
    size_t head = size < sizeof header ? size : sizeof header;
    memcpy(header, data, head);
    if (size >= sizeof header) {
        memcpy(header, "ASSAYFLT\1\0\0\0", 12);
        uint64_t checksum = assay_hash64(header, 56);
        memcpy(header + 56, &checksum, sizeof checksum);
    }
    if (write(fd, header, head) == (ssize_t)head &&
        write(fd, data + head, size - head) == (ssize_t)(size - head)) {
        assay_flat *flat;
        if (assay_flat_open(path, &flat, NULL) == ASSAY_OK) {
            assay_flat_verify(flat, NULL);
            float *query = calloc(assay_flat_stamp_of(flat).dimensions, sizeof *query);
            assay_flat_scratch *scratch = assay_flat_scratch_new(10, 1);
            assay_candidate found[10];
            if (query != NULL && scratch != NULL)
                assay_flat_search(flat, query, NULL, scratch, found);
            assay_flat_scratch_free(scratch);
            free(query);
            assay_flat_close(flat);
        }
    }
    close(fd);
    unlink(path);
    return 0;
}
