/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c: the web page and the description of the interface, from web/, which the
 * assembler puts into the program as they are (.incbin: paths are from where make
 * runs). The page asks nothing of any other host, and its policy forbids it to.
 */
#include <stdio.h>
#include <string.h>

#include "server/call.h"

#define FILE_IN(name, path)                                                                    \
    __asm__(".pushsection .rodata\n"                                                           \
            ".global assay_page_" #name "\n.hidden assay_page_" #name "\n"                     \
            "assay_page_" #name ":\n.incbin \"" path "\"\n"                                    \
            ".global assay_page_" #name "_end\n.hidden assay_page_" #name "_end\n"             \
            "assay_page_" #name "_end:\n.byte 0\n.popsection\n");                              \
    extern const char assay_page_##name[], assay_page_##name##_end[]

FILE_IN(html, "web/index.html");
FILE_IN(css, "web/page.css");
FILE_IN(js, "web/page.js");
FILE_IN(report, "web/report.js");
FILE_IN(openapi, "web/openapi.json");

static bool answer(assay_call *call, const char *type, const char *begin, const char *end)
{
    call->type = type;
    assay_call_header(call, "Content-Security-Policy",
                      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
                      "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    assay_call_header(call, "Referrer-Policy", "no-referrer");
    assay_call_header(call, "Cache-Control", "no-cache");
    assay_write_bytes(&call->out, begin, (size_t)(end - begin));
    return true;
}

bool assay_page_html_begin(assay_call *call)
{
    return answer(call, "text/html; charset=utf-8", assay_page_html, assay_page_html_end);
}

bool assay_page_css_begin(assay_call *call)
{
    return answer(call, "text/css; charset=utf-8", assay_page_css, assay_page_css_end);
}

bool assay_page_js_begin(assay_call *call)
{
    return answer(call, "text/javascript; charset=utf-8", assay_page_js, assay_page_js_end);
}

bool assay_page_report_begin(assay_call *call)
{
    return answer(call, "text/javascript; charset=utf-8", assay_page_report,
                  assay_page_report_end);
}

bool assay_page_openapi_begin(assay_call *call)
{
    return answer(call, "application/json", assay_page_openapi, assay_page_openapi_end);
}

static void put(FILE *file, const char *begin, const char *end)
{
    fwrite(begin, 1, (size_t)(end - begin), file);
}

void assay_serve_report_page(FILE *file, const char *json)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<title>assay report</title>\n<style>\n", file);
    put(file, assay_page_css, assay_page_css_end);
    fputs("</style>\n<main><h1>assay <span>what reranking was worth</span></h1>"
          "<div id=\"report\"></div></main>\n<script>\n", file);
    put(file, assay_page_report, assay_page_report_end);
    fputs("Report.show(document.getElementById(\"report\"), ", file);
    for (const char *c = json; *c != '\0'; c++) { /* no "</script>" out of a question */
        if (*c == '<')
            fputs("\\u003c", file);
        else
            fputc(*c, file);
    }
    fputs(");\n</script>\n</html>\n", file);
}
