/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_examples.c: training data as JSON lines and TSV; what comes out holds together, and
 * can be split. */
#include "learn/examples.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const assay_examples *x)
{
    uint32_t texts = assay_string_map_count(x->passages);
    for (size_t i = 0; i < x->count; i++) {
        const assay_example *e = &x->list[i];
        if (e->query[0] == '\0' || e->positives == 0 || e->positives > e->count ||
            e->first + e->count > x->labelled_count)
            __builtin_trap();
        for (size_t k = 0; k < e->count; k++) {
            const assay_labelled *l = &x->labelled[e->first + k];
            if (l->text >= texts || (l->grade > 0) != (k < e->positives))
                __builtin_trap();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const assay_examples_options options = {.style = ASSAY_CONTEXT_SENTENCES};
    assay_examples examples;
    assay_error error;
    if (assay_examples_parse((const char *)data, size, "fuzz", &options, &examples, &error) !=
        ASSAY_OK)
        return 0;
    check(&examples);
    bool *held = calloc(examples.count, sizeof *held);
    if (held == NULL)
        abort();
    if (assay_examples_split(&examples, 0.3, 10, size, held, &error) == ASSAY_OK) {
        size_t count = 0;
        for (size_t i = 0; i < examples.count; i++)
            count += held[i];
        if (count == 0 || count == examples.count)
            __builtin_trap();
    }
    free(held);
    assay_examples_free(&examples);
    return 0;
}
