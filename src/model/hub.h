/* SPDX-License-Identifier: Apache-2.0 */
/* hub.h: what a model hub says of a repository; fetching it is assay_pull. */
#ifndef ASSAY_HUB_H
#define ASSAY_HUB_H

#include "base/status.h"

#define ASSAY_HUB_NAME 256

typedef struct assay_hub_file {
    char name[ASSAY_HUB_NAME]; /* relative, with '/' */
    uint64_t size;             /* UINT64_MAX when not told */
    char sha256[65];           /* "" when not told */
    char blob[41];             /* git's id of the content; "" when not told */
} assay_hub_file;

typedef struct assay_hub_listing {
    char revision[128]; /* the commit; as asked for when the hub tells none */
    assay_hub_file *files; /* [count] those that assay needs, by name */
    size_t count;
} assay_hub_listing;

/* Whether a name from a server may become a path below a folder: relative, no
 * "..", no empty component, no control character or backslash. */
bool assay_hub_safe_name(const char *name);

/* Reads the answer of /api/models/<repository>/revision/<revision>?blobs=true
 * and keeps the files that assay needs. `asked` is the revision asked for.
 * Errors: FORMAT with the field, UNSUPPORTED when a model has no safetensors. */
assay_status assay_hub_listing_parse(const char *data, size_t length, const char *repository,
                                     const char *asked, assay_hub_listing *out,
                                     assay_error *error);
void assay_hub_listing_free(assay_hub_listing *listing);

#endif
