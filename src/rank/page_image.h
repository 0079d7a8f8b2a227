/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_image.h: the image of a page, as a chat API takes it.
 *
 * Where it is says a document's metadata, which whoever wrote the document may have made
 * up. So a file is read only from below one folder, links followed before that is looked
 * at; it is sent on only if it begins as an image does; and an URL is handed to the API,
 * which fetches it (assay does not), only if it begins with what is allowed.
 */
#ifndef ASSAY_PAGE_IMAGE_H
#define ASSAY_PAGE_IMAGE_H

#include "base/buffer.h"

typedef struct assay_page_source {
    char *folder;     /* its real path, with '/' at the end; NULL: no file is read */
    const char *urls; /* what an URL has to begin with; NULL: none is taken */
    size_t bytes;     /* of a file, at most */
} assay_page_source;

/* ARGUMENT and NOT_FOUND name the option. Strings are the options'. */
assay_status assay_page_source_open(const assay_page_options *options, assay_page_source *out,
                                    assay_error *error);
void assay_page_source_close(assay_page_source *source);

/* Whether `urls` can be what URLs have to begin with: a host and a path that ends in '/'. */
assay_status assay_page_urls_check(const char *urls, assay_error *error);

/* Appends the URL of the image at `place`: itself, or a file as a data URL. ARGUMENT for
 * what is not allowed, NOT_FOUND, LIMIT; FORMAT for a file that is no PNG, JPEG, GIF or
 * WebP. */
assay_status assay_page_image(const assay_page_source *source, const char *place,
                              assay_buffer *out, assay_error *error);

#endif
