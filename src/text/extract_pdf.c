/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract_pdf.c: the text of a PDF through poppler, a section a page.
 *
 * Built without poppler (no ASSAY_HAVE_POPPLER) it refuses every PDF and says
 * so. Words that are broken at line ends stay broken, as they stand on the page.
 */
#include "text/extract.h"

#ifdef ASSAY_HAVE_POPPLER

#include <poppler.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/library.h"
#include "text/charset.h"
#include "text/scan.h"

#undef g_free /* a macro in newer versions */

#define LIBRARY "libpoppler-glib.so.8"
#define FUNCTIONS(F)                                                                     \
    F(poppler_document_new_from_bytes) F(poppler_document_get_page)                      \
    F(poppler_document_get_title) F(poppler_document_get_n_pages)                        \
    F(poppler_page_get_text) F(poppler_error_quark) F(g_bytes_new_static)                \
    F(g_bytes_unref) F(g_error_matches) F(g_clear_error) F(g_utf8_make_valid)            \
    F(g_object_unref) F(g_free)

static struct {
    FUNCTIONS(ASSAY_LATE_FIELD)
} late;
static pthread_once_t late_once = PTHREAD_ONCE_INIT;
static assay_error late_missing; /* code ASSAY_OK: it is there */

static void load_poppler(void)
{
    static const char *const names[] = {FUNCTIONS(ASSAY_LATE_NAME)};
    assay_library_load(LIBRARY, names, sizeof names / sizeof *names, &late, &late_missing);
}

static assay_status open_pdf(assay_extract *extract, PopplerDocument **out, assay_error *error)
{
    GError *reason = NULL;
    GBytes *bytes = late.g_bytes_new_static(extract->raw.data, extract->raw.length);
    *out = late.poppler_document_new_from_bytes(bytes, NULL, &reason);
    late.g_bytes_unref(bytes);
    if (*out != NULL)
        return ASSAY_OK;
    bool locked = late.g_error_matches(reason, late.poppler_error_quark(), POPPLER_ERROR_ENCRYPTED);
    assay_status status =
        locked ? assay_fail(error, ASSAY_E_UNSUPPORTED, extract->path,
                            "needs a password; save it without one")
               : assay_fail(error, ASSAY_E_FORMAT, extract->path, "not a readable PDF: %s",
                            reason != NULL ? reason->message : "unknown reason");
    late.g_clear_error(&reason);
    return status;
}

/* Appends a page's text and begins its section. */
static assay_status read_page(assay_extract *extract, PopplerDocument *pdf, int number,
                              assay_error *error)
{
    PopplerPage *page = late.poppler_document_get_page(pdf, number);
    if (page == NULL)
        return assay_fail(error, ASSAY_E_FORMAT, extract->path, "page %d is damaged", number + 1);
    char *raw = late.poppler_page_get_text(page);
    char *text = late.g_utf8_make_valid(raw != NULL ? raw : "", -1);
    late.g_free(raw);
    late.g_object_unref(page);
    size_t length = strlen(text);
    assay_status status = ASSAY_OK;
    if (assay_skip_space(text, 0, length) < length) {
        if (extract->made.length > 0)
            assay_buffer_string(&extract->made, "\n\n");
        char name[32];
        int written = snprintf(name, sizeof name, "page %d", number + 1);
        const char *path = assay_arena_copy(extract->strings, name, (size_t)written);
        status = path != NULL
                     ? assay_extract_mark(extract, path, extract->made.length, error)
                     : assay_fail_memory(error, sizeof name);
        assay_buffer_append(&extract->made, text, length);
    }
    late.g_free(text);
    return status == ASSAY_OK ? assay_buffer_status(&extract->made, extract->path, error)
                              : status;
}

static assay_status read_title(assay_extract *extract, PopplerDocument *pdf, assay_error *error)
{
    char *raw = late.poppler_document_get_title(pdf);
    if (raw == NULL)
        return ASSAY_OK;
    char *title = late.g_utf8_make_valid(raw, -1);
    const char *line;
    assay_status status = assay_extract_line(extract, (assay_text){title, strlen(title)}, 0,
                                             &line, error);
    if (status == ASSAY_OK && line[0] != '\0')
        extract->title = line;
    late.g_free(title);
    late.g_free(raw);
    return status;
}

assay_status assay_extract_pdf(assay_extract *extract, assay_error *error)
{
    PopplerDocument *pdf;
    pthread_once(&late_once, load_poppler);
    if (late_missing.code != ASSAY_OK)
        return assay_fail(error, late_missing.code, extract->path, "PDF is read with %s, which %s",
                          late_missing.where, late_missing.message);
    ASSAY_TRY(open_pdf(extract, &pdf, error));
    assay_status status = read_title(extract, pdf, error);
    int pages = late.poppler_document_get_n_pages(pdf);
    for (int i = 0; i < pages && status == ASSAY_OK; i++)
        status = read_page(extract, pdf, i, error);
    late.g_object_unref(pdf);
    if (status == ASSAY_OK && extract->made.length == 0)
        status = assay_fail(error, ASSAY_E_FORMAT, extract->path,
                            "no text in it; scanned pages need OCR first");
    extract->text = (assay_text){extract->made.data, extract->made.length};
    return status;
}

#else

assay_status assay_extract_pdf(assay_extract *extract, assay_error *error)
{
    return assay_fail(error, ASSAY_E_UNSUPPORTED, extract->path,
                      "this build of assay cannot read PDF; convert it to text, e.g. with "
                      "pdftotext, or build with poppler-glib");
}

#endif
