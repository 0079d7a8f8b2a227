/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c: see reader.h. Walks twice: once to sum up sizes for the progress
 * bar, once to read. Files are read whole, within stated limits, one at a time;
 * JSONL is streamed line by line.
 */
#include "text/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "text/charset.h"
#include "text/extract.h"
#include "text/scan.h"
#include "text/walk.h"

#define CHUNK 65536 /* bytes asked of a JSONL stream at a time */

/* A JSONL file that is being read. */
typedef struct line_stream {
    int fd; /* -1: none is open */
    char *path;
    uint64_t number; /* of the line last returned, from 1 */
    char chunk[CHUNK];
    size_t begin, end; /* of what is left in the chunk */
    assay_buffer line;
    bool at_end;
} line_stream;

struct assay_reader {
    assay_reader_options options;
    assay_walk *walk;
    assay_extract extract;
    line_stream lines;
    uint64_t done, total, skipped;
    uint64_t pending; /* bytes of the file whose document was handed out */
};

bool assay_is_beir_folder(const char *path)
{
    char corpus[4096];
    return assay_path_join(corpus, sizeof corpus, path, "corpus.jsonl", NULL) == ASSAY_OK &&
           assay_is_file(corpus);
}

/* -------------------------------------------------------- open and close */

/* Sums up what the walk will read. */
static assay_status survey(const char *const *paths, size_t count, assay_reader *reader,
                           assay_error *error)
{
    assay_walk *walk;
    ASSAY_TRY(assay_walk_open(paths, count, &walk, error));
    bool endless = false;
    assay_walked file;
    assay_walking found;
    while ((found = assay_walk_next(walk, &file, NULL)) != ASSAY_WALK_END) {
        if (found != ASSAY_WALK_FILE)
            continue;
        reader->total += file.size;
        endless = endless || strcmp(file.path, "-") == 0;
    }
    if (endless)
        reader->total = 0;
    reader->skipped = assay_walk_skipped(walk);
    assay_walk_close(walk);
    return ASSAY_OK;
}

static assay_status check_paths(const char *const *paths, size_t count, assay_error *error)
{
    if (count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, NULL, "no path to read was given");
    for (size_t i = 0; i < count; i++) {
        struct stat status;
        if (paths[i][0] == '\0')
            return assay_fail(error, ASSAY_E_ARGUMENT, NULL, "path %zu is empty", i + 1);
        if (strcmp(paths[i], "-") != 0 && stat(paths[i], &status) != 0)
            return assay_fail_errno(error, errno, paths[i], "cannot open");
    }
    return ASSAY_OK;
}

assay_status assay_reader_open(const char *const *paths, size_t count,
                               const assay_reader_options *options, assay_reader **out,
                               assay_error *error)
{
    ASSAY_TRY(check_paths(paths, count, error));
    assay_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return assay_fail_memory(error, sizeof *reader);
    if (options != NULL)
        reader->options = *options;
    reader->lines.fd = -1;
    assay_buffer_init(&reader->lines.line, ASSAY_LINE_LIMIT);
    assay_status status = assay_extract_init(&reader->extract, error);
    if (status == ASSAY_OK)
        status = survey(paths, count, reader, error);
    if (status == ASSAY_OK)
        status = assay_walk_open(paths, count, &reader->walk, error);
    if (status != ASSAY_OK) {
        assay_reader_close(reader);
        return status;
    }
    *out = reader;
    return ASSAY_OK;
}

static void close_lines(line_stream *lines)
{
    if (lines->fd >= 0)
        close(lines->fd);
    lines->fd = -1;
    free(lines->path);
    lines->path = NULL;
}

void assay_reader_close(assay_reader *reader)
{
    if (reader == NULL)
        return;
    close_lines(&reader->lines);
    assay_buffer_free(&reader->lines.line);
    assay_extract_free(&reader->extract);
    assay_walk_close(reader->walk);
    free(reader);
}

void assay_reader_progress(const assay_reader *reader, uint64_t *done, uint64_t *total)
{
    *done = reader->done;
    *total = reader->total;
}

uint64_t assay_reader_skipped(const assay_reader *reader)
{
    return reader->skipped;
}

/* ----------------------------------------------------------------- JSONL */

static assay_status open_lines(line_stream *lines, const char *path, int input,
                               assay_error *error)
{
    lines->number = 0;
    lines->begin = lines->end = 0;
    lines->at_end = false;
    lines->path = strdup(path);
    if (lines->path == NULL)
        return assay_fail_memory(error, strlen(path) + 1);
    lines->fd = strcmp(path, "-") == 0 ? fcntl(input, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                                       : open(path, O_RDONLY | O_CLOEXEC);
    int reason = errno;
    if (lines->fd >= 0)
        return ASSAY_OK;
    close_lines(lines);
    return assay_fail_errno(error, reason, path, "cannot open");
}

/* Fills the chunk; false at the end or on an error, which *status tells. */
static bool fill_chunk(line_stream *lines, assay_status *status, assay_error *error)
{
    ssize_t got;
    do
        got = read(lines->fd, lines->chunk, CHUNK);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        *status = assay_fail_errno(error, errno, lines->path, "cannot read");
    lines->at_end = got <= 0;
    lines->begin = 0;
    lines->end = got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* The next line into lines->line, without its newline; one over the limit is
 * read to its end and refused. False at the end of the stream; *status tells
 * whether it could be read. */
static bool next_line(line_stream *lines, uint64_t *done, assay_status *status, assay_error *error)
{
    *status = ASSAY_OK;
    if (lines->line.capacity > (size_t)1 << 20)
        assay_buffer_free(&lines->line);
    assay_buffer_clear(&lines->line);
    lines->number++;
    bool any = false;
    for (;;) {
        if (lines->begin == lines->end && (lines->at_end || !fill_chunk(lines, status, error)))
            break;
        any = true;
        const char *from = lines->chunk + lines->begin;
        const char *newline = memchr(from, '\n', lines->end - lines->begin);
        size_t length = newline != NULL ? (size_t)(newline - from) : lines->end - lines->begin;
        assay_buffer_append(&lines->line, from, length);
        size_t used = length + (newline != NULL);
        lines->begin += used;
        *done += used;
        if (newline != NULL)
            break;
    }
    if (*status == ASSAY_OK)
        *status = assay_buffer_status(&lines->line, lines->path, error);
    return any || *status != ASSAY_OK;
}

static assay_status read_record(assay_reader *reader, assay_text line, const char *where,
                                assay_document *document, assay_error *error)
{
    assay_extract *extract = &reader->extract;
    const char *id = NULL;
    ASSAY_TRY(assay_extract_record(extract, line, &reader->options, where, &id, error));
    *document = (assay_document){
        .id = id,
        .title = extract->title != NULL ? extract->title : "",
        .source = reader->lines.path,
        .metadata = extract->metadata,
        .text = extract->text,
    };
    return ASSAY_OK;
}

/* Says which line a failure of the stream is about. */
static void relocate(assay_error *error, const char *where)
{
    assay_error told = *error;
    assay_fail(error, told.code, where, "%s", told.message);
}

/* The next record of the open stream; false when it has ended. */
static bool next_record(assay_reader *reader, assay_document *document, assay_status *status,
                        assay_error *error)
{
    line_stream *lines = &reader->lines;
    while (next_line(lines, &reader->done, status, error)) {
        char where[600];
        snprintf(where, sizeof where, "%s:%llu", lines->path,
                 (unsigned long long)lines->number);
        if (*status != ASSAY_OK) {
            relocate(error, where);
            return true;
        }
        assay_text line = {lines->line.data, lines->line.length};
        if (lines->number == 1 && line.length >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0)
            line = (assay_text){line.data + 3, line.length - 3};
        if (assay_skip_space(line.data, 0, line.length) == line.length)
            continue;
        *status = read_record(reader, line, where, document, error);
        return true;
    }
    return false;
}

/* ----------------------------------------------------------------- files */

static assay_extract_fn extractor_of(assay_file_kind kind)
{
    switch (kind) {
    case ASSAY_FILE_MARKDOWN:
        return assay_extract_markdown;
    case ASSAY_FILE_HTML:
        return assay_extract_html;
    case ASSAY_FILE_PDF:
        return assay_extract_pdf;
    default:
        return assay_extract_text;
    }
}

/* The path becomes an id, and ids are text. */
static assay_status check_name(const char *path, assay_error *error)
{
    size_t bad;
    bool ascii;
    if (assay_utf8_valid(path, strlen(path), &bad, &ascii))
        return ASSAY_OK;
    char shown[256];
    size_t length = 0;
    for (; path[length] != '\0' && length + 1 < sizeof shown; length++)
        shown[length] = (unsigned char)path[length] < 0x80 ? path[length] : '?';
    shown[length] = '\0';
    return assay_fail(error, ASSAY_E_FORMAT, shown,
                      "the file's name is not UTF-8 (byte 0x%02X at offset %zu); rename it",
                      (unsigned char)path[bad], bad);
}

static assay_status read_file(assay_reader *reader, const assay_walked *file,
                              assay_document *document, assay_error *error)
{
    assay_extract *extract = &reader->extract;
    ASSAY_TRY(check_name(file->path, error));
    extract->path = file->path;
    extract->raw.limit = file->kind == ASSAY_FILE_HTML ? ASSAY_HTML_LIMIT : ASSAY_FILE_LIMIT;
    ASSAY_TRY(assay_file_read(file->path, &extract->raw, error));
    if (extract->raw.length > 0)
        ASSAY_TRY(extractor_of(file->kind)(extract, error));
    if (assay_skip_space(extract->text.data, 0, extract->text.length) == extract->text.length)
        return assay_fail(error, ASSAY_E_FORMAT, file->path, "no text in it");
    *document = (assay_document){
        .id = file->path,
        .title = extract->title != NULL ? extract->title : assay_path_name(file->path),
        .source = file->path,
        .metadata = extract->metadata,
        .text = extract->text,
        .headings = extract->headings,
        .heading_count = extract->heading_count,
    };
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ next */

assay_reading assay_reader_next(assay_reader *reader, assay_document *document,
                                assay_error *error)
{
    assay_error unwanted;
    if (error == NULL)
        error = &unwanted;
    reader->done += reader->pending;
    reader->pending = 0;
    for (;;) {
        assay_extract_reset(&reader->extract);
        assay_status status = ASSAY_OK;
        if (reader->lines.fd >= 0) {
            if (next_record(reader, document, &status, error))
                return status == ASSAY_OK ? ASSAY_READ_DOCUMENT : ASSAY_READ_FAILURE;
            close_lines(&reader->lines);
        }
        assay_walked file;
        assay_walking found = assay_walk_next(reader->walk, &file, error);
        if (found == ASSAY_WALK_END)
            return ASSAY_READ_END;
        if (found == ASSAY_WALK_FAILURE)
            return ASSAY_READ_FAILURE;
        if (file.kind == ASSAY_FILE_JSONL) {
            if (open_lines(&reader->lines, file.path, reader->options.input, error) == ASSAY_OK)
                continue;
            reader->pending = file.size;
            return ASSAY_READ_FAILURE;
        }
        reader->pending = file.size;
        status = read_file(reader, &file, document, error);
        return status == ASSAY_OK ? ASSAY_READ_DOCUMENT : ASSAY_READ_FAILURE;
    }
}
