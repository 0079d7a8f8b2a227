/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_text.h: what must be true of every document that a format yields, and of
 * its passages. Traps when it is not. */
#ifndef ASSAY_FUZZ_TEXT_H
#define ASSAY_FUZZ_TEXT_H

#include <string.h>

#include "text/charset.h"
#include "text/extract.h"
#include "text/passages.h"
#include "text/scan.h"

static inline void fuzz_demand(bool truth)
{
    if (!truth)
        __builtin_trap();
}

static inline void fuzz_check_utf8(const char *data, size_t length)
{
    size_t bad;
    bool ascii;
    fuzz_demand(assay_utf8_valid(data, length, &bad, &ascii));
    fuzz_demand(length == 0 || memchr(data, '\0', length) == NULL);
}

/* Cuts the text by words and demands that it is covered once and in order. */
static inline void fuzz_check_document(const assay_extract *extract, uint32_t max_tokens)
{
    const char *text = extract->text.data;
    size_t length = extract->text.length, covered = 0, mark = 0;
    fuzz_check_utf8(text, length);
    for (size_t i = 0; i < extract->heading_count; i++) {
        fuzz_demand(extract->headings[i].offset >= mark);
        mark = extract->headings[i].offset;
        fuzz_demand(mark <= length);
        fuzz_demand(mark == length || ((unsigned char)text[mark] & 0xC0) != 0x80);
        fuzz_check_utf8(extract->headings[i].path, strlen(extract->headings[i].path));
    }
    if (extract->title != NULL)
        fuzz_check_utf8(extract->title, strlen(extract->title));
    if (extract->metadata != NULL)
        fuzz_check_utf8(extract->metadata, strlen(extract->metadata));
    assay_passage_list list = {0};
    assay_document document = {
        .text = extract->text,
        .headings = extract->headings,
        .heading_count = extract->heading_count,
    };
    fuzz_demand(assay_split_passages(NULL, &document, max_tokens, 0, &list, NULL) == ASSAY_OK);
    for (size_t i = 0; i < list.count; i++) {
        const assay_passage *passage = &list.items[i];
        fuzz_demand(assay_skip_space(text, covered, length) == passage->offset);
        fuzz_demand(passage->length > 0 && passage->tokens <= max_tokens);
        covered = passage->offset + passage->length;
        fuzz_check_utf8(text + passage->offset, passage->length);
    }
    fuzz_demand(assay_skip_space(text, covered, length) == length);
    assay_passage_list_free(&list);
}

/* Runs a format on the bytes, twice on one extract, as a walk does. */
static inline void fuzz_format(assay_extract_fn format, const uint8_t *data, size_t size)
{
    if (size < 2)
        return;
    uint32_t max_tokens = 1 + data[0];
    assay_extract extract;
    assay_error error;
    fuzz_demand(assay_extract_init(&extract, &error) == ASSAY_OK);
    for (int round = 0; round < 2; round++) {
        assay_extract_reset(&extract);
        extract.path = "fuzz";
        assay_buffer_append(&extract.raw, data + 1, size - 1);
        error.message[0] = '\0';
        if (format(&extract, &error) == ASSAY_OK)
            fuzz_check_document(&extract, max_tokens);
        else
            fuzz_demand(error.message[0] != '\0');
    }
    assay_extract_free(&extract);
}

#endif
