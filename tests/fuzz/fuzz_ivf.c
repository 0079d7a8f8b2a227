/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ivf.c: any bytes as an IVF file: refused, or safe to search. The header's
 * checksum is put right, so that the fuzzer gets past it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "index/ivf.h"

enum { HEADER = 128, K = 10, EF = 50 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void search(const assay_ivf *ivf)
{
    assay_ivf_info info;
    assay_ivf_describe(ivf, &info);
    float *query = calloc(info.options.dimensions, sizeof *query);
    uint64_t *allowed = calloc(info.count / 64 + 1, sizeof *allowed);
    assay_ivf_scratch *scratch = assay_ivf_scratch_new(ivf, EF);
    assay_candidate found[K];
    if (query != NULL && allowed != NULL && scratch != NULL) {
        query[0] = 1;
        allowed[0] = 0xf0f0;
        assay_ivf_search(ivf, query, &(assay_ivf_find){.k = K, .ef = EF}, scratch, found);
        assay_ivf_search(ivf, query,
                          &(assay_ivf_find){.k = K, .ef = EF, .allowed = allowed}, scratch, found);
    }
    assay_ivf_scratch_free(scratch);
    free(allowed);
    free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/assay-fuzz-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return 0;
    uint8_t header[HEADER];
    size_t head = size < sizeof header ? size : sizeof header;
    memcpy(header, data, head);
    if (size >= sizeof header) {
        memcpy(header, "ASSAYIVF\1\0\0\0", 12);
        uint64_t checksum = assay_hash64(header, HEADER - 8);
        memcpy(header + HEADER - 8, &checksum, sizeof checksum);
    }
    assay_ivf *ivf;
    if (write(fd, header, head) == (ssize_t)head &&
        write(fd, data + head, size - head) == (ssize_t)(size - head) &&
        assay_ivf_open(path, &ivf, NULL) == ASSAY_OK) {
        assay_ivf_verify(ivf, NULL);
        search(ivf);
        assay_ivf_free(ivf);
    }
    close(fd);
    unlink(path);
    return 0;
}
