/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_qrels.c: judgments in every layout; a measure of anything is in 0 .. 1. */
#include "evaluate/qrels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void measure_all(const assay_qrels *qrels)
{
    static const char *const names[] = {"nDCG@10", "nDCG", "AP", "RR", "P@3", "R@3"};
    assay_run *run;
    if (assay_run_new(NULL, &run, NULL) != ASSAY_OK)
        return;
    (void)assay_run_add(run, assay_qrels_query(qrels, 0), "d", 1, NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double mean;
        if (assay_measure(qrels, run, names[i], &mean, NULL, NULL) == ASSAY_OK &&
            !(mean >= 0 && mean <= 1 + 1e-12))
            __builtin_trap();
    }
    assay_run_free(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_qrels *qrels;
    assay_error error;
    if (assay_qrels_parse((const char *)data, size, "fuzz", &qrels, &error) != ASSAY_OK)
        return 0;
    measure_all(qrels);
    assay_qrels_free(qrels);
    return 0;
}
