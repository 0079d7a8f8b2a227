/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_jsonl.c: hostile records, a line each; the first byte is the budget of a
 * passage. */
#include "fuzz_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(assay_extract *extract, assay_text line, uint32_t max_tokens)
{
    assay_error error = {0};
    const char *id = NULL;
    assay_extract_reset(extract);
    assay_reader_options options = {0};
    if (assay_extract_record(extract, line, &options, "fuzz:1", &id, &error) != ASSAY_OK) {
        fuzz_demand(error.message[0] != '\0');
        return;
    }
    fuzz_demand(id != NULL && id[0] != '\0');
    fuzz_check_utf8(id, strlen(id));
    fuzz_check_document(extract, max_tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    assay_extract extract;
    fuzz_demand(assay_extract_init(&extract, NULL) == ASSAY_OK);
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        check_record(&extract, (assay_text){at, (size_t)(stop - at)}, 1u + data[0]);
        at = stop + 1;
    }
    assay_extract_free(&extract);
    return 0;
}
