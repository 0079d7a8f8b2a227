/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_queries.c: queries as JSON lines and as TSV; each has an id and a text. */
#include "evaluate/queries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_queries queries;
    assay_error error;
    if (assay_queries_parse((const char *)data, size, "fuzz", &queries, &error) != ASSAY_OK)
        return 0;
    for (size_t i = 0; i < queries.count; i++)
        if (queries.ids[i][0] == '\0' || queries.texts[i].length == 0)
            __builtin_trap();
    assay_queries_free(&queries);
    return 0;
}
