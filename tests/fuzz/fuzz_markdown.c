/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_markdown.c: hostile Markdown and front matter; the first byte is the budget of a passage. */
#include "fuzz_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_format(assay_extract_markdown, data, size);
    return 0;
}
