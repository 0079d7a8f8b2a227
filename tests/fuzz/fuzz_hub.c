/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_hub.c: a hub's listing; no name that it keeps may leave the folder. */
#include <string.h>

#include "model/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_hub_listing listing;
    assay_error error;
    if (assay_hub_listing_parse((const char *)data, size, "owner/name", "main", &listing,
                                &error) != ASSAY_OK)
        return 0;
    for (size_t i = 0; i < listing.count; i++) {
        const char *name = listing.files[i].name;
        if (name[0] == '/' || strncmp(name, "../", 3) == 0 || strstr(name, "/../") != NULL)
            __builtin_trap();
    }
    assay_hub_listing_free(&listing);
    return 0;
}
