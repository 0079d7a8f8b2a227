/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract.h: the small interface between the reader, which walks, and the
 * formats, each of which makes a document's text, title and headings out of the
 * bytes of one file.
 */
#ifndef ASSAY_EXTRACT_H
#define ASSAY_EXTRACT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"
#include "text/reader.h"

#define ASSAY_FILE_LIMIT ((size_t)512 << 20)   /* bytes of a file read whole */
#define ASSAY_HTML_LIMIT ((size_t)64 << 20)    /* bytes of an HTML page */
#define ASSAY_LINE_LIMIT ((size_t)64 << 20)    /* bytes of a line of JSONL */
#define ASSAY_HEADING_LIMIT ((size_t)64 << 20) /* bytes of all heading paths */
#define ASSAY_HEADING_BYTES 160                /* of one heading in a path */

/* One document being made. Everything it points to is its own and lives until
 * assay_extract_reset. */
typedef struct assay_extract {
    const char *path;     /* of the file, for errors */
    assay_buffer raw;     /* the bytes of the file */
    assay_buffer made;    /* the extracted text, where it is not the file's */
    assay_text text;      /* result: in raw or in made */
    const char *title;    /* result, or NULL */
    const char *metadata; /* result, or NULL */
    assay_heading *headings;
    size_t heading_count, heading_capacity;
    const char *outline[6]; /* the headings in force, by level; NULL or "" */
    size_t path_bytes;
    size_t heading_end; /* where the last heading's own text ends */
    int heading_level;
    assay_arena *strings;
    json_t *record;     /* the line of JSONL that the strings belong to, or NULL */
} assay_extract;

/* Makes an empty one. assay_extract_free takes one that is all zeros too. */
assay_status assay_extract_init(assay_extract *extract, assay_error *error);
void assay_extract_free(assay_extract *extract);
void assay_extract_reset(assay_extract *extract);

/* Begins a section at text[begin], headed by a heading of level 1 to 6 that
 * ends before text[end]; headings come in order. Without a title yet, a first
 * level-1 heading becomes it. The heading that is the title is left out of the
 * paths: every hit shows the title anyway. A heading directly under a higher
 * one, with nothing between, takes that one's line into its own section, so
 * that no passage is a heading alone.
 * `name` is the heading as people read it. */
assay_status assay_extract_heading(assay_extract *extract, int level, assay_text name,
                                   const char *text, size_t begin, size_t end,
                                   assay_error *error);
/* Begins a section at `offset` whose heading path is `path`, outside of any
 * outline (a page). */
assay_status assay_extract_mark(assay_extract *extract, const char *path, size_t offset,
                                assay_error *error);
/* A copy that lives with the document: white space runs become one space, none
 * at the ends, at most `limit` bytes (0: any number), cut at a character. */
assay_status assay_extract_line(assay_extract *extract, assay_text text, size_t limit,
                                const char **out, assay_error *error);

/* The formats. extract->raw holds the file's bytes. */
typedef assay_status (*assay_extract_fn)(assay_extract *extract, assay_error *error);
assay_status assay_extract_text(assay_extract *extract, assay_error *error);
assay_status assay_extract_markdown(assay_extract *extract, assay_error *error);
assay_status assay_extract_html(assay_extract *extract, assay_error *error);
assay_status assay_extract_pdf(assay_extract *extract, assay_error *error);

/* One line of JSONL: id, title and text by the names in `options`, other fields
 * as metadata. Strings live with the document. `where` is "file:line". */
assay_status assay_extract_record(assay_extract *extract, assay_text line,
                                  const assay_reader_options *options, const char *where,
                                  const char **id, assay_error *error);

#endif
