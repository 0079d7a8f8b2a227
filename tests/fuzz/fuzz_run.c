/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_run.c: TREC runs; what is read must be in order. */
#include "evaluate/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_run *run;
    assay_error error;
    if (assay_run_parse((const char *)data, size, "fuzz", &run, &error) != ASSAY_OK)
        return 0;
    float last = 0;
    for (size_t i = 0; i < assay_run_count(run); i++) {
        assay_run_entry entry = assay_run_at(run, i);
        if (entry.rank > 1 && (float)entry.score > last)
            __builtin_trap();
        last = (float)entry.score;
    }
    assay_run_free(run);
    return 0;
}
