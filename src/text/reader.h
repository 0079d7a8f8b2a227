/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h: documents out of files, one at a time.
 *
 * A reader walks paths (files, folders in byte order of names, JSONL, BEIR
 * folders, "-" for JSONL on standard input) and yields documents whose text is
 * valid UTF-8 without NUL. For plain text and Markdown the text is the file byte
 * for byte, less a byte-order mark and Markdown's front matter (which becomes
 * metadata); for the others passage offsets lie in the extracted text. UTF-16
 * and UTF-32 with a byte-order mark are converted.
 * What cannot be read is yielded as a failure and the walk goes on.
 *
 * Inside folders only these endings are read (in any case): .txt .text .rst as
 * plain text, .md .markdown, .html .htm .xhtml, .jsonl .ndjson, .pdf. Files of
 * other kinds are left out and counted (assay_reader_skipped), hidden ones (a
 * dot first) are left out. Of a BEIR folder only corpus.jsonl is read. A file
 * named by itself is read whatever its ending: an unknown one as plain text.
 * Symbolic links are followed; a folder that was walked already is not walked
 * again through a link.
 */
#ifndef ASSAY_READER_H
#define ASSAY_READER_H

#include "base/status.h"

/* Where a heading's section begins: from `offset` on (until the next mark) the
 * heading path is `path` ("Chapter > Section"). A passage never crosses a mark. */
typedef struct assay_heading {
    size_t offset;
    const char *path;
} assay_heading;

typedef struct assay_document {
    const char *id;       /* from the record; for a file its path as walked */
    const char *title;    /* of a file without one its name; "" when none */
    const char *source;   /* path of the file it came from; "-" for stdin */
    const char *metadata; /* remaining JSON fields as one JSON object, or NULL */
    assay_text text;      /* of a file: has a non-space character; of a record:
                             its title when it has no text, blank without both
                             (collections are published with such records) */
    const assay_heading *headings; /* [heading_count], by offset */
    size_t heading_count;
} assay_document;

typedef struct assay_reader_options {
    const char *id_field, *title_field, *text_field; /* as assay_index_options, and: */
    int input;
} assay_reader_options;

typedef struct assay_reader assay_reader; /* one thread */

/* Checks that every path exists (NOT_FOUND names the one that does not) and
 * walks the folders once to learn how much there is to read. The strings of
 * `options` must outlive the reader; `paths` need not. */
assay_status assay_reader_open(const char *const *paths, size_t count,
                               const assay_reader_options *options, assay_reader **out,
                               assay_error *error);
void assay_reader_close(assay_reader *reader);

typedef enum assay_reading {
    ASSAY_READ_DOCUMENT, /* *document is filled in, valid until the next call */
    ASSAY_READ_FAILURE,  /* *error says which file or line and why; go on */
    ASSAY_READ_END,
} assay_reading;

assay_reading assay_reader_next(assay_reader *reader, assay_document *document,
                                assay_error *error);

/* Bytes read so far and bytes to read in all (0 when unknown, as for "-"), for
 * a progress bar. */
void assay_reader_progress(const assay_reader *reader, uint64_t *done, uint64_t *total);

/* Files in folders that were left out because their kind is unknown, in the
 * whole walk; known from the start. */
uint64_t assay_reader_skipped(const assay_reader *reader);

/* A folder with corpus.jsonl in it (BEIR layout). */
bool assay_is_beir_folder(const char *path);

#endif
