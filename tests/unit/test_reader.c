/* SPDX-License-Identifier: Apache-2.0 */
/* test_reader.c: walks, formats, and what is said about files that are bad. */
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

#include "base/buffer.h"
#include "text/reader.h"

/* ------------------------------------------------------- a folder per test */

static char folder[] = "/tmp/assay-reader-XXXXXX";
static char *home;

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    home = getcwd(NULL, 0);
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", folder, folder);
    int failed = chdir(home) != 0 || system(command) != 0;
    free(home);
    return failed;
}

static void write_bytes(const char *path, const char *data, size_t length)
{
    char parent[256];
    snprintf(parent, sizeof parent, "%s", path);
    for (char *slash = strchr(parent, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(parent, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    fclose(file);
}

static void write_file(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

/* Everything that reading `paths` yields, a line each: "id|title|text" with the
 * headings as "@offset path", or "! where: message". */
static char *read_all(const char *const *paths, size_t count,
                      const assay_reader_options *options)
{
    assay_reader *reader;
    assay_error error;
    assert_int_equal(assay_reader_open(paths, count, options, &reader, &error), ASSAY_OK);
    assay_buffer out;
    assay_buffer_init(&out, 0);
    assay_document document;
    assay_reading reading;
    while ((reading = assay_reader_next(reader, &document, &error)) != ASSAY_READ_END) {
        if (reading == ASSAY_READ_FAILURE) {
            assay_buffer_format(&out, "! %s: %s\n", error.where, error.message);
            continue;
        }
        assay_buffer_format(&out, "%s|%s|", document.id, document.title);
        assay_buffer_append(&out, document.text.data, document.text.length);
        for (size_t i = 0; i < document.heading_count; i++)
            assay_buffer_format(&out, " @%zu %s", document.headings[i].offset,
                                document.headings[i].path);
        if (document.metadata != NULL)
            assay_buffer_format(&out, " %s", document.metadata);
        assay_buffer_string(&out, "\n");
    }
    uint64_t done, total;
    assay_reader_progress(reader, &done, &total);
    assert_true(total == 0 || done <= total);
    assay_reader_close(reader);
    return out.data != NULL ? out.data : strdup("");
}

static void check_reading(const char *path, const char *expected)
{
    char *found = read_all(&path, 1, NULL);
    assert_string_equal(found, expected);
    free(found);
}

/* One failure, whose place and message hold these words. */
static void check_failure(const char *path, const char *where, const char *words)
{
    assay_reader *reader;
    assay_error error;
    assay_document document;
    assert_int_equal(assay_reader_open(&path, 1, NULL, &reader, &error), ASSAY_OK);
    assert_int_equal(assay_reader_next(reader, &document, &error), ASSAY_READ_FAILURE);
    if (strstr(error.where, where) == NULL || strstr(error.message, words) == NULL)
        fail_msg("\"%s: %s\" lacks \"%s\" or \"%s\"", error.where, error.message, where, words);
    assert_int_equal(assay_reader_next(reader, &document, &error), ASSAY_READ_END);
    assay_reader_close(reader);
}

/* --------------------------------------------------------------------- walk */

static void folders_are_walked_in_name_order(void **state)
{
    (void)state;
    write_file("d/b.txt", "B");
    write_file("d/a/z.TXT", "Z");
    write_file("d/a.md", "A");
    write_file("d/B.txt", "b");
    write_file("d/.git/config.txt", "hidden");
    write_file("d/.hidden.txt", "hidden");
    write_file("d/program.exe", "left out");
    write_file("d/data.bin", "left out");
    check_reading("d", "d/B.txt|B.txt|b\nd/a/z.TXT|z.TXT|Z\nd/a.md|a.md|A\nd/b.txt|b.txt|B\n");
    check_reading("./d//a/.", "d/a/z.TXT|z.TXT|Z\n");
    assert_int_equal(chdir("d"), 0);
    check_reading(".", "B.txt|B.txt|b\na/z.TXT|z.TXT|Z\na.md|a.md|A\nb.txt|b.txt|B\n");
    check_reading("./a/../a.md", "a/../a.md|a.md|A\n");
    const char *path = ".";
    assay_reader *reader;
    assert_int_equal(assay_reader_open(&path, 1, NULL, &reader, NULL), ASSAY_OK);
    assert_int_equal(assay_reader_skipped(reader), 2);
    uint64_t done, total;
    assay_reader_progress(reader, &done, &total);
    assert_int_equal(total, 4);
    assay_reader_close(reader);
}

static void files_named_by_themselves_are_read_as_text(void **state)
{
    (void)state;
    write_file("NOTES", "some notes");
    check_reading("NOTES", "NOTES|NOTES|some notes\n");
    write_bytes("program", "\x7f" "ELF\0\1", 6);
    check_failure("program", "program", "NUL byte at offset 4");
}

static void links_are_followed_once(void **state)
{
    (void)state;
    write_file("d/a/x.txt", "X");
    assert_int_equal(symlink("..", "d/a/up"), 0);
    assert_int_equal(symlink("../d", "d/again"), 0);
    assert_int_equal(symlink("a", "d/b"), 0);
    assert_int_equal(symlink("a/x.txt", "d/y.txt"), 0);
    assert_int_equal(symlink("nowhere", "d/z.txt"), 0);
    check_reading("d", "d/a/x.txt|x.txt|X\nd/y.txt|y.txt|X\n"
                       "! d/z.txt: cannot open: No such file or directory\n");
}

static void a_beir_folder_is_its_corpus(void **state)
{
    (void)state;
    write_file("beir/corpus.jsonl", "{\"_id\": \"1\", \"title\": \"T\", \"text\": \"x\"}\n");
    write_file("beir/queries.jsonl", "{\"_id\": \"q\", \"text\": \"question\"}\n");
    write_file("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\n");
    write_file("beir/README.md", "not a document");
    assert_true(assay_is_beir_folder("beir"));
    assert_false(assay_is_beir_folder("beir/qrels"));
    check_reading("beir", "1|T|x\n");
    assert_int_equal(chdir("beir"), 0);
    check_reading(".", "1|T|x\n");
}

static void a_path_that_is_not_there_is_refused_at_once(void **state)
{
    (void)state;
    write_file("here.txt", "x");
    const char *paths[] = {"here.txt", "missing.txt"};
    assay_reader *reader = NULL;
    assay_error error;
    assert_int_equal(assay_reader_open(paths, 2, NULL, &reader, &error), ASSAY_E_NOT_FOUND);
    assert_string_equal(error.where, "missing.txt");
    assert_int_equal(assay_reader_open(paths, 0, NULL, &reader, &error), ASSAY_E_ARGUMENT);
    paths[0] = "";
    assert_int_equal(assay_reader_open(paths, 1, NULL, &reader, &error), ASSAY_E_ARGUMENT);
    assert_null(reader);
}

static void what_may_not_be_read_is_a_failure_of_its_own(void **state)
{
    (void)state;
    write_file("d/a.txt", "A");
    write_file("d/locked.txt", "no");
    write_file("d/shut/in.txt", "no");
    write_file("d/z.txt", "Z");
    assert_int_equal(chmod("d/locked.txt", 0), 0);
    assert_int_equal(chmod("d/shut", 0), 0);
    if (access("d/locked.txt", R_OK) == 0) {
        print_message("this user reads everything: permissions are not tested\n");
        return;
    }
    check_reading("d", "d/a.txt|a.txt|A\n! d/locked.txt: cannot open: Permission denied\n"
                       "! d/shut: cannot read folder: Permission denied\nd/z.txt|z.txt|Z\n");
}

static void names_that_are_not_utf8_are_failures(void **state)
{
    (void)state;
    write_file("d/caf\xE9.txt", "x");
    check_failure("d", "d/caf?.txt", "0xE9 at offset 5");
}

/* ------------------------------------------------------------------ charsets */

static void text_is_utf8_or_says_why_not(void **state)
{
    (void)state;
    write_file("bom.txt", "\xEF\xBB\xBFna\xC3\xAFve");
    check_reading("bom.txt", "bom.txt|bom.txt|na\xC3\xAFve\n");
    write_bytes("le.txt", "\xFF\xFEh\0\xE9\0", 6);
    check_reading("le.txt", "le.txt|le.txt|h\xC3\xA9\n");
    write_bytes("be.txt", "\xFE\xFF\0h\0\xE9", 6);
    check_reading("be.txt", "be.txt|be.txt|h\xC3\xA9\n");
    write_file("latin.txt", "one\ntwo caf\xE9 three");
    check_failure("latin.txt", "latin.txt", "0xE9 at offset 11 (line 2)");
    check_failure("latin.txt", "latin.txt", "iconv -f windows-1252");
    write_bytes("cut.txt", "\xFF\xFEh\0\xE9", 5);
    check_failure("cut.txt", "cut.txt", "UTF-16LE");
    write_file("cut8.txt", "abc\xE2\x82");
    check_failure("cut8.txt", "cut8.txt", "0xE2 at offset 3");
}

static void files_without_text_are_failures(void **state)
{
    (void)state;
    write_file("empty.txt", "");
    check_failure("empty.txt", "empty.txt", "no text in it");
    write_file("blank.md", " \n\xC2\xA0\n");
    check_failure("blank.md", "blank.md", "no text in it");
    write_file("empty.html", "<title>x</title><script>y</script>");
    check_failure("empty.html", "empty.html", "no text in it");
    write_file("empty.pdf", "");
    check_failure("empty.pdf", "empty.pdf", "no text in it");
    write_bytes("bom.txt", "\xFF\xFE", 2);
    check_failure("bom.txt", "bom.txt", "no text in it");
}

/* ------------------------------------------------------------------ Markdown */

static void markdown_headings_become_paths(void **state)
{
    (void)state;
    write_file("a.md", "# Book\nText.\n## One ##\nText.\n### Deep\nText.\n## Two\nText.\n");
    check_reading("a.md", "a.md|Book|# Book\nText.\n## One ##\nText.\n### Deep\nText.\n## Two\n"
                          "Text.\n @0  @13 One @29 One > Deep @44 Two\n");
    write_file("b.md", "Big\n===\n\nx\n\nSmall\nline\n---\ny\n");
    check_reading("b.md", "b.md|Big|Big\n===\n\nx\n\nSmall\nline\n---\ny\n @0  @12 Small line\n");
    write_file("c.md", "```\n# not\n```\n\n    # not\n\n#not\n\n- item\n---\n> q\n---\n\n\\# no\n");
    check_reading("c.md", "c.md|c.md|```\n# not\n```\n\n    # not\n\n#not\n\n- item\n---\n> q\n---"
                          "\n\n\\# no\n\n");
    write_file("e.md", "    code\n---\nx");
    check_reading("e.md", "e.md|e.md|    code\n---\nx\n");
    write_file("d.md", "~~~ c\n# not\n```\n~~~\n# Yes\nx\n# Other\ny");
    check_reading("d.md", "d.md|Yes|~~~ c\n# not\n```\n~~~\n# Yes\nx\n# Other\ny @20  @28 Other\n");
}

static void a_heading_alone_joins_the_section_below(void **state)
{
    (void)state;
    write_file("a.md", "# T\n\n## A\n\n### B\n\nText\n\n## C\n## D\n");
    check_reading("a.md", "a.md|T|# T\n\n## A\n\n### B\n\nText\n\n## C\n## D\n"
                          " @0 A > B @24 C @29 D\n");
}

static void front_matter_is_metadata(void **state)
{
    (void)state;
    write_file("a.md", "---\ntitle: \"The title\"\ndate: 2026-01-31\ntags:\n  - x\n  - y\n---\n"
                       "# Head\nText\n");
    check_reading("a.md", "a.md|The title|# Head\nText\n @0 Head "
                          "{\"date\":\"2026-01-31\",\"tags\":\"- x\\n  - y\"}\n");
    write_file("b.md", "---\nJust a ruler\n---\nText\n");
    check_reading("b.md", "b.md|b.md|---\nJust a ruler\n---\nText\n @4 Just a ruler\n");
    write_file("c.md", "---\ntitle: never closed\n");
    check_reading("c.md", "c.md|c.md|---\ntitle: never closed\n\n");
    write_file("e.md", "---\na: 1\n---\n");
    check_failure("e.md", "e.md", "no text in it");
}

/* ---------------------------------------------------------------------- HTML */

static void html_is_reduced_to_what_is_read(void **state)
{
    (void)state;
    write_file("a.html",
               "<!DOCTYPE html><html><head><title> Leave\n policy </title><style>p{}</style></head>"
               "<body><nav>menu</nav><header>banner</header><h1>Leave policy</h1>"
               "<p>You may  carry\n<b>five</b> days.</p><script>evil()</script>"
               "<h2>How&nbsp;many?<a class=headerlink href=#x>&para;</a></h2>"
               "<p>Five.<br>Or six.</p>"
               "<ul><li>one</li><li><p>two</p></li></ul>"
               "<table><tr><th>a<th>b<tr><td>1<td>2</table>"
               "<pre>  x = 1\n    y</pre><p hidden>no</p><div style='color:red; display : none'>no"
               "</div><div aria-hidden=true>no</div><div role=navigation>no</div>"
               "<template><p>no</p></template><form><input value=no><p>no</p></form>"
               "<article><header>By Ann</header>End<footer>2026</footer></article>"
               "<footer>imprint</footer></body></html>");
    check_reading("a.html",
                  "a.html|Leave policy|Leave policy\nYou may carry five days.\n\nHow many?\nFive.\n"
                  "Or six.\n\n- one\n\n- two\n\na\tb\n1\t2\n\n  x = 1\n    y\n\nBy Ann\n\nEnd\n\n"
                  "2026 @0  @39 How many?\n");
}

static void html_forms_and_headers_with_the_page_in_them_stay(void **state)
{
    (void)state;
    write_file("a.htm", "<header><h1>Big</h1></header><form><h2>All</h2>Text<select><option>no"
                        "</select></form>");
    check_reading("a.htm", "a.htm|Big|Big\n\nAll\nText @0 All\n");
}

static void html_charsets_are_honoured(void **state)
{
    (void)state;
    write_file("a.html", "<meta charset='ISO-8859-1'>caf\xE9 \x93q\x94");
    check_reading("a.html", "a.html|a.html|caf\xC3\xA9 \xE2\x80\x9Cq\xE2\x80\x9D\n");
    write_file("b.html",
               "<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\">\xC1");
    check_reading("b.html", "b.html|b.html|\xD0\xB0\n");
    write_file("c.html", "<meta charset=latin1>caf\xC3\xA9");
    check_reading("c.html", "c.html|c.html|caf\xC3\xA9\n");
    write_file("d.html", "<p>caf\xE9");
    check_failure("d.html", "d.html", "not UTF-8");
    write_file("e.html", "<meta charset=klingon-8>caf\xE9");
    check_failure("e.html", "e.html", "'klingon-8'");
}

static void write_repeated(const char *path, const char *part, size_t times, const char *end)
{
    FILE *file = fopen(path, "wb");
    for (size_t i = 0; i < times; i++)
        fputs(part, file);
    fputs(end, file);
    fclose(file);
}

static void html_nesting_is_bounded_by_work_not_by_the_stack(void **state)
{
    (void)state;
    write_repeated("deep.html", "<div>", 20000, "bottom");
    check_reading("deep.html", "deep.html|deep.html|bottom\n");
    write_repeated("deeper.html", "<div>", 1000000, "bottom");
    check_failure("deeper.html", "deeper.html", "nest too deeply");
    write_repeated("flat.html", "<p>x<li>", 20000, "");
    const char *path = "flat.html";
    char *found = read_all(&path, 1, NULL);
    assert_int_equal(strlen(found), strlen("flat.html|flat.html|") + 1 + 1 + 19999 * 5);
    free(found);
    FILE *file = fopen("attributes.html", "wb");
    fputs("<p", file);
    for (int i = 0; i < 100000; i++)
        fprintf(file, " a%d", i);
    fputs(">x", file);
    fclose(file);
    check_failure("attributes.html", "attributes.html", "too many attributes");
}

/* --------------------------------------------------------------------- JSONL */

static void jsonl_records_are_documents(void **state)
{
    (void)state;
    write_file("a.jsonl",
               "\xEF\xBB\xBF{\"_id\": \"x\", \"title\": \"T\", \"text\": \"one\", "
               "\"metadata\": {}}\r\n"
               "\n"
               "{\"id\": 7, \"contents\": \"two\", \"year\": 1999, \"by\": \"Ann\"}\n"
               "{\"_id\": \"e\", \"title\": \"Only a title\", \"text\": \"\"}\n"
               "{\"_id\": \"l\", \"title\": null, \"text\": \"last, no newline\"}");
    check_reading("a.jsonl", "x|T|one\n7||two {\"by\":\"Ann\",\"year\":1999}\n"
                             "e|Only a title|Only a title\nl||last, no newline\n");
}

static void jsonl_fields_can_be_named(void **state)
{
    (void)state;
    write_file("a.ndjson", "{\"key\": 1.5, \"name\": \"N\", \"body\": \"B\", \"_id\": \"kept\"}\n"
                           "{\"_id\": \"1\", \"text\": \"t\"}\n");
    assay_reader_options options = {"key", "name", "body", 0};
    const char *path = "a.ndjson";
    char *found = read_all(&path, 1, &options);
    assert_string_equal(found, "1.5|N|B {\"_id\":\"kept\"}\n"
                               "! a.ndjson:2: field \"key\" is missing\n");
    free(found);
}

static void bad_jsonl_lines_fail_alone(void **state)
{
    (void)state;
    write_file("a.jsonl", "{\"_id\": \"1\", \"text\": \"good\"}\n"
                          "{\"_id\": \"2\", \"text\": \"cut\n"
                          "[1, 2]\n"
                          "{\"text\": \"no id\"}\n"
                          "{\"_id\": \"5\"}\n"
                          "{\"_id\": \"6\", \"text\": [\"a\"]}\n"
                          "{\"_id\": true, \"text\": \"x\"}\n"
                          "{\"_id\": \"8\", \"text\": \"  \"}\n"
                          "{\"_id\": \"\", \"text\": \"x\"}\n"
                          "{\"_id\": \"10\", \"text\": \"caf\xE9\"}\n"
                          "{\"_id\": \"11\", \"text\": \"good\"}\n");
    const char *path = "a.jsonl";
    char *found = read_all(&path, 1, NULL);
    static const char *const expected[] = {
        "1||good\n", "! a.jsonl:2: not JSON", "! a.jsonl:3: expected a JSON object",
        "! a.jsonl:4: field \"_id\" (or \"id\") is missing",
        "! a.jsonl:5: field \"text\" (or \"contents\") is missing",
        "! a.jsonl:6: text: expected a string, found a list",
        "! a.jsonl:7: field \"_id\": expected a string or a number",
        "8||\n", "! a.jsonl:9: field \"_id\": expected an id",
        "! a.jsonl:10: not JSON", "11||good\n",
    };
    const char *at = found;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        if (strncmp(at, expected[i], strlen(expected[i])) != 0)
            fail_msg("expected \"%s\", found \"%s\"", expected[i], at);
        at = strchr(at, '\n') + 1;
    }
    assert_int_equal(*at, '\0');
    free(found);
}

static void a_line_over_the_limit_fails_and_the_next_is_read(void **state)
{
    (void)state;
    write_repeated("a.jsonl", "0123456789abcdef", (64 << 20) / 16,
                   "!\n{\"_id\": \"2\", \"text\": \"good\"}\n");
    check_reading("a.jsonl", "! a.jsonl:1: larger than the limit of 67108864 bytes\n2||good\n");
}

static void standard_input_is_jsonl(void **state)
{
    (void)state;
    write_file("in", "{\"_id\": \"s\", \"text\": \"from stdin\"}\nbad\n");
    int kept = dup(STDIN_FILENO);
    assert_non_null(freopen("in", "rb", stdin));
    const char *path = "-";
    char *found = read_all(&path, 1, NULL);
    dup2(kept, STDIN_FILENO);
    close(kept);
    static const char expected[] = "s||from stdin\n! -:2: not JSON";
    assert_memory_equal(found, expected, sizeof expected - 1);
    free(found);
}

/* ----------------------------------------------------------------------- PDF */

/* A PDF of one line a page, with the cross-reference table left to be rebuilt. */
static void write_pdf(const char *path, const char *const *pages, int count, const char *title)
{
    FILE *file = fopen(path, "wb");
    fprintf(file, "%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
                  "2 0 obj<</Type/Pages/Count %d/Kids[", count);
    for (int i = 0; i < count; i++)
        fprintf(file, "%d 0 R ", 10 + 2 * i);
    fprintf(file, "]>>endobj\n3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
                  "4 0 obj<</Title(%s)>>endobj\n", title);
    for (int i = 0; i < count; i++) {
        char content[256];
        int length = snprintf(content, sizeof content, "BT /F1 12 Tf 20 200 Td (%s) Tj ET",
                              pages[i]);
        fprintf(file, "%d 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]"
                      "/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>endobj\n"
                      "%d 0 obj<</Length %d>>stream\n%s\nendstream endobj\n",
                10 + 2 * i, 11 + 2 * i, 11 + 2 * i, length, content);
    }
    fputs("trailer<</Root 1 0 R/Info 4 0 R>>\n%%EOF\n", file);
    fclose(file);
}

static void pdf_pages_are_sections(void **state)
{
    (void)state;
    const char *pages[] = {"First page.", "", "Third page."};
    write_pdf("a.pdf", pages, 3, "The paper");
#ifdef ASSAY_HAVE_POPPLER
    check_reading("a.pdf", "a.pdf|The paper|First page.\n\nThird page. @0 page 1 @13 page 3\n");
    write_pdf("scan.pdf", pages + 1, 1, "");
    check_failure("scan.pdf", "scan.pdf", "OCR");
    write_file("broken.pdf", "%PDF-1.4\ngarbage");
    check_failure("broken.pdf", "broken.pdf", "not a readable PDF");
#else
    check_failure("a.pdf", "a.pdf", "cannot read PDF");
#endif
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(folders_are_walked_in_name_order),
        IN_FOLDER(files_named_by_themselves_are_read_as_text),
        IN_FOLDER(links_are_followed_once),
        IN_FOLDER(a_beir_folder_is_its_corpus),
        IN_FOLDER(a_path_that_is_not_there_is_refused_at_once),
        IN_FOLDER(what_may_not_be_read_is_a_failure_of_its_own),
        IN_FOLDER(names_that_are_not_utf8_are_failures),
        IN_FOLDER(text_is_utf8_or_says_why_not),
        IN_FOLDER(files_without_text_are_failures),
        IN_FOLDER(markdown_headings_become_paths),
        IN_FOLDER(a_heading_alone_joins_the_section_below),
        IN_FOLDER(front_matter_is_metadata),
        IN_FOLDER(html_is_reduced_to_what_is_read),
        IN_FOLDER(html_forms_and_headers_with_the_page_in_them_stay),
        IN_FOLDER(html_charsets_are_honoured),
        IN_FOLDER(html_nesting_is_bounded_by_work_not_by_the_stack),
        IN_FOLDER(jsonl_records_are_documents),
        IN_FOLDER(jsonl_fields_can_be_named),
        IN_FOLDER(bad_jsonl_lines_fail_alone),
        IN_FOLDER(a_line_over_the_limit_fails_and_the_next_is_read),
        IN_FOLDER(standard_input_is_jsonl),
        IN_FOLDER(pdf_pages_are_sections),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
