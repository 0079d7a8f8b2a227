/* SPDX-License-Identifier: Apache-2.0 */
/* page_image.c: see page_image.h. Base64 is libcrypto's. */
#include "rank/page_image.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "base/file.h"

enum { BYTES = 10 << 20 };

/* ---- Opening -------------------------------------------------------------------- */

static bool is_url(const char *place)
{
    return strncasecmp(place, "http://", 7) == 0 || strncasecmp(place, "https://", 8) == 0;
}

/* Nothing in it that parsers of URLs differ over, or that leads out of a path. */
static bool is_plain(const char *url)
{
    for (const char *c = url; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7F || *c == '\\')
            return false;
    return strstr(url, "..") == NULL && strcasestr(url, "%2e") == NULL &&
           strcasestr(url, "%2f") == NULL && strcasestr(url, "%5c") == NULL;
}

assay_status assay_page_urls_check(const char *urls, assay_error *error)
{
    const char *host = is_url(urls) ? strstr(urls, "://") + 3 : "";
    size_t length = strcspn(host, "/");
    bool whole = length > 0 && host[length] == '/' && urls[strlen(urls) - 1] == '/';
    if (whole && is_plain(urls) && strpbrk(urls, "?#@") == NULL)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, "image_urls", "expected what URLs of images have to "
                      "begin with, host and '/' at the end included, as "
                      "https://pages.example/scans/");
}

assay_status assay_page_source_open(const assay_page_options *options, assay_page_source *out,
                                    assay_error *error)
{
    char path[PATH_MAX];
    *out = (assay_page_source){.urls = options->image_urls,
                               .bytes = options->image_bytes > 0 ? options->image_bytes : BYTES};
    if (out->urls != NULL)
        ASSAY_TRY(assay_page_urls_check(out->urls, error));
    if (options->image_folder == NULL)
        return ASSAY_OK;
    if (realpath(options->image_folder, path) == NULL || !assay_is_folder(path))
        return assay_fail(error, ASSAY_E_NOT_FOUND, "image_folder", "%.400s is no folder",
                          options->image_folder);
    size_t length = strlen(path);
    out->folder = malloc(length + 2);
    if (out->folder == NULL)
        return assay_fail_memory(error, length);
    snprintf(out->folder, length + 2, "%s%s", path, path[length - 1] == '/' ? "" : "/");
    return ASSAY_OK;
}

void assay_page_source_close(assay_page_source *source)
{
    free(source->folder);
    *source = (assay_page_source){0};
}

/* ---- Files ---------------------------------------------------------------------- */

/* The type that the first bytes tell; NULL: none that chat APIs take. */
static const char *type_of(const char *data, size_t length)
{
    static const struct {
        size_t at, length;
        const char *bytes, *type;
    } kinds[] = {
        {0, 8, "\x89PNG\r\n\x1A\n", "image/png"}, {0, 3, "\xFF\xD8\xFF", "image/jpeg"},
        {0, 6, "GIF87a", "image/gif"},            {0, 6, "GIF89a", "image/gif"},
        {8, 4, "WEBP", "image/webp"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (length >= kinds[i].at + kinds[i].length &&
            memcmp(data + kinds[i].at, kinds[i].bytes, kinds[i].length) == 0 &&
            (kinds[i].at == 0 || memcmp(data, "RIFF", 4) == 0))
            return kinds[i].type;
    return NULL;
}

/* The real path of a file in the folder. What is outside and what is not there are told
 * alike: nobody is to learn from it which files there are. */
static assay_status resolve(const assay_page_source *source, const char *place,
                            char path[PATH_MAX], assay_error *error)
{
    char joined[PATH_MAX];
    if (source->folder == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, place, "is a file, and no image_folder is set");
    int length = snprintf(joined, sizeof joined, "%s%s", place[0] == '/' ? "" : source->folder,
                          place);
    if (length < 0 || (size_t)length >= sizeof joined || realpath(joined, path) == NULL ||
        strncmp(path, source->folder, strlen(source->folder)) != 0)
        return assay_fail(error, ASSAY_E_NOT_FOUND, place, "there is no such file in image_folder");
    return ASSAY_OK;
}

static assay_status add_base64(const assay_buffer *file, assay_buffer *out)
{
    size_t length = (file->length + 2) / 3 * 4;
    unsigned char *room = assay_buffer_room(out, length + 1);
    if (room != NULL)
        out->length += (size_t)EVP_EncodeBlock(room, (const unsigned char *)file->data,
                                               (int)file->length);
    return out->failed;
}

static assay_status read_file(const assay_page_source *source, const char *place,
                              assay_buffer *file, assay_buffer *out, assay_error *error)
{
    char path[PATH_MAX];
    ASSAY_TRY(resolve(source, place, path, error));
    assay_error problem;
    assay_status status = assay_file_read(path, file, &problem);
    if (status != ASSAY_OK) /* without the folder */
        return assay_fail(error, status, place, "%s", problem.message);
    const char *type = type_of(file->data != NULL ? file->data : "", file->length);
    if (type == NULL)
        return assay_fail(error, ASSAY_E_FORMAT, place, "is no PNG, JPEG, GIF or WebP");
    assay_buffer_format(out, "data:%s;base64,", type);
    if (add_base64(file, out) != ASSAY_OK)
        return assay_buffer_status(out, place, error);
    return ASSAY_OK;
}

/* ---- All ------------------------------------------------------------------------ */

assay_status assay_page_image(const assay_page_source *source, const char *place,
                              assay_buffer *out, assay_error *error)
{
    if (is_url(place)) {
        if (source->urls == NULL || strncmp(place, source->urls, strlen(source->urls)) != 0 ||
            !is_plain(place))
            return assay_fail(error, ASSAY_E_ARGUMENT, place, "is not an URL that image_urls "
                              "allows");
        assay_buffer_string(out, place);
        return assay_buffer_status(out, place, error);
    }
    assay_buffer file;
    assay_buffer_init(&file, source->bytes);
    assay_status status = read_file(source, place, &file, out, error);
    assay_buffer_free(&file);
    return status;
}
