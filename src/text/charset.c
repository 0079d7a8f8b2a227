/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset.c: see charset.h. Byte-order marks first, then UTF-8, then what the
 * file declares, in the spirit of the WHATWG encoding standard: "iso-8859-1"
 * and "us-ascii" mean windows-1252, a declared "utf-16" without a byte-order
 * mark means UTF-8. It departs from it in refusing what does not decode
 * instead of putting U+FFFD there, and in not guessing from the content.
 */
#include "text/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "text/scan.h"

/* Eight bytes at a time for as long as they are ASCII. */
static size_t skip_ascii(const char *data, size_t from, size_t length)
{
    while (length - from >= 8) {
        uint64_t word;
        memcpy(&word, data + from, 8);
        if (word & UINT64_C(0x8080808080808080))
            break;
        from += 8;
    }
    while (from < length && (unsigned char)data[from] < 0x80)
        from++;
    return from;
}

bool assay_utf8_valid(const char *data, size_t length, size_t *bad, bool *ascii)
{
    size_t i = skip_ascii(data, 0, length);
    *ascii = i == length;
    while (i < length) {
        utf8proc_int32_t point;
        utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)data + i,
                                                length - i > 4 ? 4 : (utf8proc_ssize_t)(length - i),
                                                &point);
        if (got <= 0) {
            *bad = i;
            return false;
        }
        i += (size_t)got;
        if (i < length && (unsigned char)data[i] < 0x80)
            i = skip_ascii(data, i, length);
    }
    return true;
}

static size_t line_of(const char *data, size_t offset)
{
    size_t line = 1;
    const char *end = data + offset;
    for (const char *at = data; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        line++;
    return line;
}

static assay_status convert(assay_buffer *buffer, const char *from, size_t skip,
                            const char *path, assay_error *error)
{
    iconv_t converter = iconv_open("UTF-8", from);
    if (converter == (iconv_t)-1)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, path,
                          "charset '%s' is not known here; convert the file to UTF-8", from);
    assay_buffer out;
    assay_buffer_init(&out, buffer->limit > 0 ? buffer->limit * 3 : 0);
    char *input = buffer->data + skip;
    size_t left = buffer->length - skip;
    assay_status status = ASSAY_OK;
    bool flushed = false;
    while (!flushed) {
        flushed = left == 0; /* the last call writes out a pending state */
        size_t room = left + left / 2 + 64;
        char *output = assay_buffer_room(&out, room), *begin = output;
        if (output == NULL)
            break;
        size_t done = iconv(converter, flushed ? NULL : &input, &left, &output, &room);
        int reason = errno;
        out.length += (size_t)(output - begin);
        out.data[out.length] = '\0';
        if (done == (size_t)-1 && reason != E2BIG) {
            status = assay_fail(error, ASSAY_E_FORMAT, path,
                                "byte 0x%02X at offset %zu is not %s; convert the file to UTF-8",
                                (unsigned char)*input, (size_t)(input - buffer->data), from);
            break;
        }
        if (done == (size_t)-1)
            flushed = false;
    }
    iconv_close(converter);
    if (status == ASSAY_OK)
        status = assay_buffer_status(&out, path, error);
    if (status != ASSAY_OK) {
        assay_buffer_free(&out);
        return status;
    }
    out.limit = buffer->limit;
    assay_buffer_free(buffer);
    *buffer = out;
    return ASSAY_OK;
}

/* The charset that a byte-order mark names; NULL when there is none. */
static const char *marked_charset(const assay_buffer *buffer, size_t *skip)
{
    static const struct {
        const char *mark;
        size_t length;
        const char *charset;
    } marks[] = {
        {"\xEF\xBB\xBF", 3, "UTF-8"},
        {"\xFF\xFE\0\0", 4, "UTF-32LE"},
        {"\0\0\xFE\xFF", 4, "UTF-32BE"},
        {"\xFF\xFE", 2, "UTF-16LE"},
        {"\xFE\xFF", 2, "UTF-16BE"},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        *skip = marks[i].length;
        if (buffer->length >= *skip && memcmp(buffer->data, marks[i].mark, *skip) == 0)
            return marks[i].charset;
    }
    *skip = 0;
    return NULL;
}

/* The charset to convert from; NULL when the text must be UTF-8. */
static const char *declared_charset(const char *declared)
{
    static const char *const latin[] = {"iso-8859-1", "iso8859-1", "latin1", "l1", "us-ascii",
                                        "ascii",      "cp1252",    "x-cp1252"};
    if (declared == NULL || declared[0] == '\0' || strncasecmp(declared, "utf-16", 6) == 0 ||
        strcasecmp(declared, "utf-8") == 0 || strcasecmp(declared, "utf8") == 0)
        return NULL;
    for (size_t i = 0; i < sizeof latin / sizeof *latin; i++)
        if (strcasecmp(declared, latin[i]) == 0)
            return "WINDOWS-1252";
    return declared;
}

static assay_status refuse_nul(const assay_buffer *buffer, const char *path, assay_error *error)
{
    const char *nul = memchr(buffer->data, '\0', buffer->length);
    if (nul == NULL)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_FORMAT, path,
                      "a binary file: NUL byte at offset %zu; expected text",
                      (size_t)(nul - buffer->data));
}

assay_status assay_charset_decode(assay_buffer *buffer, const char *declared, const char *path,
                                  size_t *skip, assay_error *error)
{
    *skip = 0;
    if (buffer->length == 0)
        return ASSAY_OK;
    const char *marked = marked_charset(buffer, skip);
    if (marked != NULL && strcmp(marked, "UTF-8") != 0) {
        ASSAY_TRY(convert(buffer, marked, *skip, path, error));
        *skip = 0;
        return buffer->length > 0 ? refuse_nul(buffer, path, error) : ASSAY_OK;
    }
    ASSAY_TRY(refuse_nul(buffer, path, error));
    size_t bad = 0;
    bool ascii;
    bool valid = assay_utf8_valid(buffer->data, buffer->length, &bad, &ascii);
    const char *from = marked == NULL ? declared_charset(declared) : NULL;
    if (from != NULL && (!valid || ascii)) {
        ASSAY_TRY(convert(buffer, from, 0, path, error));
        return buffer->length > 0 ? refuse_nul(buffer, path, error) : ASSAY_OK;
    }
    if (valid)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_FORMAT, path,
                      "byte 0x%02X at offset %zu (line %zu) is not UTF-8; if it is Latin-1, "
                      "convert it: iconv -f windows-1252 -t utf-8 FILE",
                      (unsigned char)buffer->data[bad], bad, line_of(buffer->data, bad));
}
