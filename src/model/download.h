/* SPDX-License-Identifier: Apache-2.0 */
/*
 * download.h: HTTP GET against a model hub, for hub.c.
 *
 * One handle holds one connection cache. Redirects are followed; the token goes
 * to the host of the URL alone. Connection loss, 429 and 5xx are tried again
 * with growing waits, or after what Retry-After asks for. One thread.
 */
#ifndef ASSAY_DOWNLOAD_H
#define ASSAY_DOWNLOAD_H

#include "base/buffer.h"

#define ASSAY_SIZE_UNKNOWN UINT64_MAX

typedef struct assay_download assay_download;

/* token: "" for none. progress may be NULL; its `false` ends a transfer with
 * ASSAY_E_INTERRUPTED, a wait between attempts too. */
assay_status assay_download_new(const char *token, assay_progress_fn progress, void *user,
                                assay_download **out, assay_error *error);
void assay_download_free(assay_download *download);

/* Appends the body to *out, at most its limit. `item` names what is fetched, in
 * errors and progress: an URL could hold what nobody should see. */
assay_status assay_download_text(assay_download *download, const char *url, const char *item,
                                 assay_buffer *out, assay_error *error);

/* What the hub itself (the first host) said of a file. */
typedef struct assay_download_reply {
    uint64_t size;   /* X-Linked-Size; ASSAY_SIZE_UNKNOWN when not told */
    char sha256[65]; /* X-Linked-ETag or ETag when it is one; else "" */
    bool resumed;    /* bytes of an earlier call were kept */
} assay_download_reply;

/* Fetches into the file at `path`, going on where it ends. Its ETag is kept in
 * "<path>.etag" and asked for (If-Range), so that a file that has changed, or a
 * server that ignores Range, starts over. On failure the file stays, to be
 * resumed. More than `size` bytes are refused (256 GiB where it is unknown): CORRUPT. */
assay_status assay_download_file(assay_download *download, const char *url, const char *item,
                                 const char *path, uint64_t size, assay_download_reply *reply,
                                 assay_error *error);

#endif
