/* SPDX-License-Identifier: Apache-2.0 */
/* test_page_image.c: images of pages: what is read, what is sent on, and what never is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "rank/page_image.h"

static char root[] = "/tmp/assay-pages-XXXXXX";
static assay_error error;

static void write_file(const char *name, const char *data, size_t length)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* root: pages/{a.png,b.jpg,c.gif,d.webp,text,large,sub/e.png,out,in,pipe,empty}, pages2/f.png */
static int make_files(void **state)
{
    (void)state;
    static const char png[] = "\x89PNG\r\n\x1A\nrest";
    if (mkdtemp(root) == NULL || chdir(root) != 0 || mkdir("pages", 0777) != 0 ||
        mkdir("pages/sub", 0777) != 0 || mkdir("pages2", 0777) != 0)
        return -1;
    write_file("pages/a.png", png, sizeof png - 1);
    write_file("pages/sub/e.png", png, sizeof png - 1);
    write_file("pages2/f.png", png, sizeof png - 1);
    write_file("pages/b.jpg", "\xFF\xD8\xFF\xE0", 4);
    write_file("pages/c.gif", "GIF89a", 6);
    write_file("pages/d.webp", "RIFF\0\0\0\0WEBP", 12);
    write_file("pages/text", "root:x:0:0", 10);
    write_file("pages/large", "GIF87a                                            ", 50);
    write_file("pages/empty", "", 0);
    return symlink("../pages2/f.png", "pages/out") | symlink("sub/e.png", "pages/in") |
           mkfifo("pages/pipe", 0600);
}

static int remove_files(void **state)
{
    (void)state;
    assay_folder_remove(root);
    return chdir("/");
}

/* The URL of an image, or the status' name. */
static const char *image(const assay_page_options *options, const char *place)
{
    static char text[512];
    assay_page_source source;
    assay_buffer url;
    assay_buffer_init(&url, 0);
    assert_int_equal(assay_page_source_open(options, &source, &error), ASSAY_OK);
    assay_status status = assay_page_image(&source, place, &url, &error);
    snprintf(text, sizeof text, "%s", status == ASSAY_OK ? url.data : assay_status_name(status));
    if (status != ASSAY_OK) {
        assert_string_equal(error.where, place);
        assert_null(strstr(error.message, root));
    }
    assay_buffer_free(&url);
    assay_page_source_close(&source);
    return text;
}

static void files_below_the_folder_are_read(void **state)
{
    (void)state;
    char inside[256];
    const assay_page_options options = {.image_folder = "pages", .image_bytes = 40};
    assert_string_equal(image(&options, "a.png"), "data:image/png;base64,iVBORw0KGgpyZXN0");
    assert_string_equal(image(&options, "b.jpg"), "data:image/jpeg;base64,/9j/4A==");
    assert_string_equal(image(&options, "c.gif"), "data:image/gif;base64,R0lGODlh");
    assert_string_equal(image(&options, "d.webp"), "data:image/webp;base64,UklGRgAAAABXRUJQ");
    assert_string_equal(image(&options, "sub/../sub/e.png"), "data:image/png;base64,iVBORw0KGgpyZXN0");
    assert_string_equal(image(&options, "in"), "data:image/png;base64,iVBORw0KGgpyZXN0");
    snprintf(inside, sizeof inside, "%s/pages/c.gif", root);
    assert_string_equal(image(&options, inside), "data:image/gif;base64,R0lGODlh");
    assert_string_equal(image(&options, "text"), "format");
    assert_string_equal(image(&options, "empty"), "format");
    assert_string_equal(image(&options, "large"), "limit");
    assert_string_equal(image(&options, "sub"), "io");
    assert_string_equal(image(&options, "pipe"), "io");
}

/* Neither by name nor by link, nor to a folder whose name begins the same; and none can be
 * told from one that is not there. */
static void no_other_file_is_read(void **state)
{
    (void)state;
    char outside[256];
    const assay_page_options options = {.image_folder = "pages"};
    static const char *const places[] = {"../pages2/f.png", "out", "/etc/passwd", "nothing", "",
                                         "sub/../../pages2/f.png", "file:///etc/passwd"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_string_equal(image(&options, places[i]), "not_found");
        assert_string_equal(error.message, "there is no such file in image_folder");
    }
    snprintf(outside, sizeof outside, "%s/pages2/f.png", root);
    assert_string_equal(image(&options, outside), "not_found");
    const assay_page_options urls = {.image_urls = "http://pages.example/"};
    assert_string_equal(image(&urls, "a.png"), "argument");
}

static void urls_begin_as_they_are_to(void **state)
{
    (void)state;
    const assay_page_options options = {.image_urls = "https://pages.example/scans/"};
    static const char *const good = "https://pages.example/scans/a%20b.png?size=1&x=2";
    assert_string_equal(image(&options, good), good);
    static const char *const places[] = {
        "https://pages.example/other/a.png", "http://pages.example/scans/a.png",
        "https://pages.example.evil/scans/a.png", "https://pages.example/scans",
        "https://pages.example/scans/../other/a.png", "https://pages.example/scans/%2E%2e/a.png",
        "https://pages.example/scans/..%2fa.png", "https://pages.example/scans/\\..\\a.png",
        "https://pages.example/scans/a b.png", "https://pages.example/scans/a\r\nHost: x",
        "https://pages.example/scans/\xC3\xA4.png", "http://169.254.169.254/latest/meta-data/",
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        assert_string_equal(image(&options, places[i]), "argument");
    const assay_page_options files = {.image_folder = "pages"};
    assert_string_equal(image(&files, good), "argument");
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    assay_page_source source;
    static const char *const urls[] = {"", "https://", "https:///", "https://pages.example",
                                       "ftp://pages.example/", "https://user@pages.example/",
                                       "https://pages.example/scans", "https://pages.example/?a/",
                                       "pages.example/", "https://pages.example/../"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        const assay_page_options options = {.image_urls = urls[i]};
        assert_int_equal(assay_page_source_open(&options, &source, &error), ASSAY_E_ARGUMENT);
        assert_string_equal(error.where, "image_urls");
    }
    static const char *const folders[] = {"nowhere", "pages/a.png", ""};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const assay_page_options options = {.image_folder = folders[i]};
        assert_int_equal(assay_page_source_open(&options, &source, &error), ASSAY_E_NOT_FOUND);
        assert_string_equal(error.where, "image_folder");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_below_the_folder_are_read),
        cmocka_unit_test(no_other_file_is_read),
        cmocka_unit_test(urls_begin_as_they_are_to),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
