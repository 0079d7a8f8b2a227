/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract_html.c: the readable text of an HTML page, its title and headings.
 *
 * Parsing is gumbo's (HTML5's tree construction). What a reader of the page
 * would not see, or sees on every page of a site, is left out: scripts, styles,
 * templates, hidden elements, navigation, the page's own header and footer,
 * forms. Blocks are set apart by an empty line, list items and table rows by a
 * line end, cells of a row by a tab; white space is collapsed outside <pre>.
 *
 * Two weaknesses of gumbo 0.10 are worked around. It destroys a tree
 * recursively, so deep nesting overflows the stack: here all its memory comes
 * from an arena of our own and gumbo_destroy_output is never called; the same
 * allocator bounds memory, leaving the parser by longjmp at the limit (gumbo
 * does not check for NULL and owns nothing else). And each tag may walk over all
 * open elements, and each attribute over those before it: the work is
 * estimated first and pages that would take minutes are refused.
 */
#include <ctype.h>
#include <gumbo.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/charset.h"
#include "text/extract.h"
#include "text/scan.h"

#define TREE_LIMIT ((size_t)2 << 30)     /* bytes of a parse tree */
#define WORK_LIMIT ((uint64_t)400000000) /* steps, some seconds */
#define META_BYTES 4096                  /* where <meta charset> must stand */

/* ---------------------------------------------------------- gumbo's memory */

typedef struct tree_memory {
    assay_arena *arena;
    size_t used;
    jmp_buf full;
} tree_memory;

static void *take_memory(void *user, size_t size)
{
    tree_memory *memory = user;
    void *taken = NULL;
    if (size <= TREE_LIMIT - memory->used) {
        memory->used += size;
        taken = assay_arena_small(memory->arena, size);
    }
    if (taken == NULL)
        longjmp(memory->full, 1);
    return taken;
}

static void keep_memory(void *user, void *block)
{
    (void)user;
    (void)block;
}

/* Parses into memory->arena; NULL when memory ran out. */
static GumboOutput *parse(tree_memory *memory, const char *data, size_t length)
{
    if (setjmp(memory->full) != 0)
        return NULL;
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = take_memory;
    options.deallocator = keep_memory;
    options.userdata = memory;
    options.max_errors = 0;
    return gumbo_parse_with_options(&options, data, length);
}

/* ------------------------------------------------------------ work estimate */

/* Elements that do not stay open: void ones, and those whose end tag the parser
 * supplies when the next of their kind begins. */
static bool nests(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_AREA: case GUMBO_TAG_BASE: case GUMBO_TAG_BR: case GUMBO_TAG_COL:
    case GUMBO_TAG_EMBED: case GUMBO_TAG_HR: case GUMBO_TAG_IMG: case GUMBO_TAG_INPUT:
    case GUMBO_TAG_KEYGEN: case GUMBO_TAG_LINK: case GUMBO_TAG_META: case GUMBO_TAG_PARAM:
    case GUMBO_TAG_SOURCE: case GUMBO_TAG_TRACK: case GUMBO_TAG_WBR: case GUMBO_TAG_P:
    case GUMBO_TAG_LI: case GUMBO_TAG_DD: case GUMBO_TAG_DT: case GUMBO_TAG_OPTION:
    case GUMBO_TAG_TR: case GUMBO_TAG_TD: case GUMBO_TAG_TH: case GUMBO_TAG_TBODY:
    case GUMBO_TAG_THEAD: case GUMBO_TAG_TFOOT: case GUMBO_TAG_COLGROUP:
    case GUMBO_TAG_OPTGROUP: case GUMBO_TAG_HTML: case GUMBO_TAG_HEAD: case GUMBO_TAG_BODY:
        return false;
    default:
        return true;
    }
}

/* The tag that begins at data[at] == '<': where it ends and how many
 * attributes it may have. Quotes count after "=" only. */
static size_t scan_tag(const char *data, size_t at, size_t length, uint64_t *attributes)
{
    *attributes = 0;
    char before = '<';
    while (++at < length && data[at] != '>') {
        char now = data[at];
        if ((now == '"' || now == '\'') && before == '=') {
            const char *close = memchr(data + at + 1, now, length - at - 1);
            if (close == NULL)
                return length;
            at = (size_t)(close - data);
            ++*attributes;
        } else if (now == ' ' || now == '/' || (now >= '\t' && now <= '\r')) {
            *attributes += before != now;
        }
        if (!(now == ' ' && before == '='))
            before = now;
    }
    return at;
}

/* About how many steps gumbo takes over lists that have no bound: for each tag
 * the elements then open, for each attribute those before it. */
static uint64_t estimate_work(const char *data, size_t length)
{
    uint64_t work = 0, depth = 0;
    size_t at = 0;
    while (at < length && work <= WORK_LIMIT) {
        const char *open = memchr(data + at, '<', length - at);
        if (open == NULL)
            break;
        at = (size_t)(open - data) + 1;
        bool closing = at < length && data[at] == '/';
        size_t name = at + closing, end = name;
        while (end < length && isalnum((unsigned char)data[end]))
            end++;
        if (end == name || isdigit((unsigned char)data[name]))
            continue;
        uint64_t attributes;
        at = scan_tag(data, end - 1, length, &attributes);
        work += depth + attributes * attributes / 2;
        if (!nests(gumbo_tagn_enum(data + name, (unsigned)(end - name))))
            continue;
        if (closing)
            depth -= depth > 0;
        else
            depth++;
    }
    return work;
}

/* --------------------------------------------------------- stack of a walk */

typedef struct visit {
    const GumboNode *node;
    unsigned next; /* child to visit next */
} visit;

typedef struct visit_stack {
    visit *items;
    size_t count, capacity;
} visit_stack;

static bool push(visit_stack *visits, const GumboNode *node)
{
    if (visits->count == visits->capacity) {
        size_t capacity = visits->capacity > 0 ? 2 * visits->capacity : 64;
        visit *grown = realloc(visits->items, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        visits->items = grown;
        visits->capacity = capacity;
    }
    visits->items[visits->count++] = (visit){node, 0};
    return true;
}

/* ------------------------------------------------------------- what to drop */

static const char *attribute(const GumboElement *element, const char *name)
{
    GumboAttribute *found = gumbo_get_attribute(&element->attributes, name);
    return found != NULL ? found->value : NULL;
}

/* Whether `word` is among the space-separated words of `list`. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL && *at != '\0';) {
        at += strspn(at, " \t\n\f\r");
        size_t here = strcspn(at, " \t\n\f\r");
        if (here == length && strncasecmp(at, word, length) == 0)
            return true;
        at += here;
    }
    return false;
}

/* Whether an inline style hides: "display: none" in any spacing and case. */
static bool style_hides(const char *style)
{
    static const char *const hiding[] = {"display:none", "visibility:hidden"};
    for (size_t i = 0; style != NULL && i < sizeof hiding / sizeof *hiding; i++)
        for (const char *at = style; *at != '\0'; at++) {
            const char *want = hiding[i], *have = at;
            while (*want != '\0' && *have != '\0') {
                if (*have == ' ' && have != at)
                    have++;
                else if (tolower((unsigned char)*have) == *want)
                    have++, want++;
                else
                    break;
            }
            if (*want == '\0')
                return true;
        }
    return false;
}

static bool is_hidden(const GumboElement *element)
{
    static const char *const roles[] = {"navigation", "banner",  "contentinfo", "search",
                                        "menu",       "menubar", "dialog",      "alertdialog"};
    if (element->attributes.length == 0)
        return false;
    const char *value = attribute(element, "aria-hidden");
    if (attribute(element, "hidden") != NULL || (value != NULL && strcasecmp(value, "true") == 0) ||
        style_hides(attribute(element, "style")))
        return true;
    if (element->tag == GUMBO_TAG_A && has_word(attribute(element, "class"), "headerlink"))
        return true;
    value = attribute(element, "role");
    for (size_t i = 0; value != NULL && i < sizeof roles / sizeof *roles; i++)
        if (has_word(value, roles[i]))
            return true;
    return false;
}

static bool is_element(const GumboNode *node)
{
    return node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE;
}

/* Inside one of these a header or footer belongs to an article, not the page. */
static bool in_article(const GumboNode *node)
{
    for (node = node->parent; node != NULL && is_element(node); node = node->parent)
        if (node->v.element.tag == GUMBO_TAG_ARTICLE || node->v.element.tag == GUMBO_TAG_SECTION ||
            node->v.element.tag == GUMBO_TAG_MAIN || node->v.element.tag == GUMBO_TAG_BLOCKQUOTE)
            return true;
    return false;
}

static bool is_headline(GumboTag tag)
{
    return tag == GUMBO_TAG_H1 || tag == GUMBO_TAG_H2 || tag == GUMBO_TAG_ARTICLE ||
           tag == GUMBO_TAG_MAIN;
}

/* Some sites put the whole page in a form, or its one headline in the header:
 * whether the subtree has a headline or an article. When memory is short the
 * subtree is kept. */
static bool has_headline(const GumboNode *root)
{
    visit_stack open = {0};
    bool found = !push(&open, root);
    while (!found && open.count > 0) {
        visit *top = &open.items[open.count - 1];
        const GumboVector *children = &top->node->v.element.children;
        if (top->next == children->length) {
            open.count--;
            continue;
        }
        const GumboNode *child = children->data[top->next++];
        if (is_element(child))
            found = is_headline(child->v.element.tag) || !push(&open, child);
    }
    free(open.items);
    return found;
}

static bool is_dropped(const GumboNode *node)
{
    const GumboElement *element = &node->v.element;
    switch (element->tag) {
    case GUMBO_TAG_SCRIPT: case GUMBO_TAG_STYLE: case GUMBO_TAG_TEMPLATE: case GUMBO_TAG_NAV:
    case GUMBO_TAG_NOSCRIPT: case GUMBO_TAG_IFRAME: case GUMBO_TAG_NOFRAMES:
    case GUMBO_TAG_NOEMBED: case GUMBO_TAG_OBJECT: case GUMBO_TAG_CANVAS: case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO: case GUMBO_TAG_SVG: case GUMBO_TAG_BUTTON: case GUMBO_TAG_SELECT:
    case GUMBO_TAG_TEXTAREA: case GUMBO_TAG_INPUT: case GUMBO_TAG_DATALIST:
    case GUMBO_TAG_ANNOTATION_XML:
        return true;
    case GUMBO_TAG_FOOTER:
        return !in_article(node);
    case GUMBO_TAG_HEADER:
        return !in_article(node) && !has_headline(node);
    case GUMBO_TAG_FORM:
        return !has_headline(node);
    default:
        return is_hidden(element);
    }
}

/* ------------------------------------------------------------------ writing */

/* What stands between the text so far and the text to come; the larger of two
 * wins. */
typedef enum gap_kind { GAP_NONE, GAP_SPACE, GAP_TAB, GAP_LINE, GAP_BLANK } gap_kind;

typedef struct page_writer {
    assay_extract *extract;
    gap_kind gap;
    bool bullet;         /* a list item has begun and has no text yet */
    bool after_heading;  /* the line above is a heading: no empty line below it */
    uint32_t pre;        /* open <pre> elements */
    const GumboNode *heading; /* the open heading, or NULL */
    bool heading_text;   /* it has some text, from heading_begin on */
    size_t heading_begin;
    assay_status status;
    assay_error *error;
} page_writer;

static void widen(page_writer *writer, gap_kind gap)
{
    if (gap > writer->gap)
        writer->gap = gap;
}

/* Writes the gap, before text. */
static void write_gap(page_writer *writer)
{
    static const char *const gaps[] = {"", " ", "\t", "\n", "\n\n"};
    assay_buffer *out = &writer->extract->made;
    if (writer->after_heading && writer->gap > GAP_LINE)
        writer->gap = GAP_LINE;
    if (out->length > 0)
        assay_buffer_string(out, gaps[writer->gap]);
    writer->gap = GAP_NONE;
    if (writer->heading != NULL && !writer->heading_text) {
        writer->heading_text = true;
        writer->heading_begin = out->length;
    }
    if (writer->bullet && writer->heading == NULL)
        assay_buffer_string(out, "- ");
    writer->bullet = false;
    writer->after_heading = false;
}

static void write_text(page_writer *writer, const char *text)
{
    assay_buffer *out = &writer->extract->made;
    size_t length = strlen(text), at = 0;
    if (writer->pre > 0) {
        if (writer->gap != GAP_NONE || out->length == 0 || writer->after_heading ||
            writer->bullet || (writer->heading != NULL && !writer->heading_text))
            write_gap(writer);
        assay_buffer_append(out, text, length);
        return;
    }
    while (at < length) {
        if (assay_space_at(text + at, length - at) > 0) {
            widen(writer, GAP_SPACE);
            at = assay_skip_space(text, at, length);
            continue;
        }
        size_t end = at;
        while (end < length && assay_space_at(text + end, length - end) == 0)
            end++;
        write_gap(writer);
        assay_buffer_append(out, text + at, end - at);
        at = end;
    }
}

/* The gap that an element makes before and after itself. */
static gap_kind gap_of(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_LI: case GUMBO_TAG_TR: case GUMBO_TAG_DT: case GUMBO_TAG_DD:
    case GUMBO_TAG_CAPTION: case GUMBO_TAG_OPTION: case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_LEGEND:
        return GAP_LINE;
    case GUMBO_TAG_TD: case GUMBO_TAG_TH:
        return GAP_TAB;
    case GUMBO_TAG_P: case GUMBO_TAG_DIV: case GUMBO_TAG_H1: case GUMBO_TAG_H2:
    case GUMBO_TAG_H3: case GUMBO_TAG_H4: case GUMBO_TAG_H5: case GUMBO_TAG_H6:
    case GUMBO_TAG_UL: case GUMBO_TAG_OL: case GUMBO_TAG_DL: case GUMBO_TAG_TABLE:
    case GUMBO_TAG_PRE: case GUMBO_TAG_LISTING: case GUMBO_TAG_BLOCKQUOTE: case GUMBO_TAG_HR:
    case GUMBO_TAG_ARTICLE: case GUMBO_TAG_SECTION: case GUMBO_TAG_MAIN: case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_HEADER: case GUMBO_TAG_FOOTER: case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_FIGURE: case GUMBO_TAG_FIGCAPTION: case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_FORM: case GUMBO_TAG_FIELDSET: case GUMBO_TAG_CENTER:
    case GUMBO_TAG_HGROUP: case GUMBO_TAG_MENU: case GUMBO_TAG_DIR: case GUMBO_TAG_BODY:
        return GAP_BLANK;
    default:
        return GAP_NONE;
    }
}

static int heading_level(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_H1: return 1;
    case GUMBO_TAG_H2: return 2;
    case GUMBO_TAG_H3: return 3;
    case GUMBO_TAG_H4: return 4;
    case GUMBO_TAG_H5: return 5;
    case GUMBO_TAG_H6: return 6;
    default: return 0;
    }
}

static void break_line(page_writer *writer)
{
    if (writer->pre > 0)
        assay_buffer_byte(&writer->extract->made, '\n');
    else
        widen(writer, writer->gap >= GAP_LINE ? GAP_BLANK : GAP_LINE);
}

/* The page's title: the text of its first <title>. */
static void read_title(page_writer *writer, const GumboElement *element)
{
    if (writer->extract->title != NULL || element->children.length == 0 ||
        element->tag_namespace != GUMBO_NAMESPACE_HTML)
        return;
    const GumboNode *child = element->children.data[0];
    if (child->type != GUMBO_NODE_TEXT)
        return;
    const char *text = child->v.text.text, *line;
    writer->status = assay_extract_line(writer->extract, (assay_text){text, strlen(text)}, 0,
                                        &line, writer->error);
    if (writer->status == ASSAY_OK && line[0] != '\0')
        writer->extract->title = line;
}

/* Begins an element; false when its content is not to be read. */
static bool open_element(page_writer *writer, const GumboNode *node)
{
    const GumboElement *element = &node->v.element;
    if (element->tag == GUMBO_TAG_TITLE) {
        read_title(writer, element);
        return false;
    }
    if (is_dropped(node)) {
        widen(writer, GAP_SPACE);
        return false;
    }
    if (element->tag == GUMBO_TAG_BR)
        break_line(writer);
    widen(writer, gap_of(element->tag));
    if (element->tag == GUMBO_TAG_LI)
        writer->bullet = true;
    if (element->tag == GUMBO_TAG_PRE || element->tag == GUMBO_TAG_LISTING)
        writer->pre++;
    if (heading_level(element->tag) > 0 && writer->heading == NULL) {
        writer->heading = node;
        writer->heading_text = false;
        writer->after_heading = false;
    }
    return true;
}

static void close_heading(page_writer *writer)
{
    assay_extract *extract = writer->extract;
    int level = heading_level(writer->heading->v.element.tag);
    writer->heading = NULL;
    size_t begin = writer->heading_begin, end = extract->made.length;
    if (!writer->heading_text || extract->made.failed != ASSAY_OK)
        return;
    assay_text name = {extract->made.data + begin, end - begin};
    writer->status = assay_extract_heading(extract, level, name, extract->made.data, begin, end,
                                           writer->error);
    writer->after_heading = true;
}

static void close_element(page_writer *writer, const GumboNode *node)
{
    GumboTag tag = node->v.element.tag;
    if (tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_LISTING) {
        assay_buffer *out = &writer->extract->made;
        /* Not into a heading: sections begin there. */
        size_t floor = writer->heading != NULL && writer->heading_text
                           ? writer->heading_begin
                           : writer->extract->heading_end;
        size_t kept = assay_trim_end(out->data, floor, out->length);
        if (writer->gap == GAP_NONE && kept < out->length) {
            out->length = kept;
            out->data[kept] = '\0';
        }
        writer->pre--;
    }
    if (tag == GUMBO_TAG_LI)
        writer->bullet = false;
    widen(writer, gap_of(tag));
    if (node == writer->heading)
        close_heading(writer);
}

/* --------------------------------------------------------------------- walk */

/* Depth first with a stack of its own: pages nest deeper than threads' stacks. */
static assay_status walk_tree(page_writer *writer, const GumboNode *root)
{
    visit_stack open = {0};
    bool whole = push(&open, root);
    while (whole && open.count > 0 && writer->status == ASSAY_OK) {
        visit *top = &open.items[open.count - 1];
        const GumboVector *children = &top->node->v.element.children;
        if (top->next == children->length) {
            close_element(writer, top->node);
            open.count--;
            continue;
        }
        const GumboNode *child = children->data[top->next++];
        if (is_element(child)) {
            if (open_element(writer, child))
                whole = push(&open, child);
        } else if (child->type != GUMBO_NODE_COMMENT) {
            write_text(writer, child->v.text.text);
        }
    }
    free(open.items);
    if (!whole)
        return assay_fail_memory(writer->error, open.capacity * sizeof(visit));
    return writer->status;
}

/* ------------------------------------------------------------------ charset */

/* The charset of a <meta> within the first bytes; "" when there is none. */
static void sniff_charset(const assay_buffer *raw, char charset[48])
{
    charset[0] = '\0';
    size_t length = raw->length < META_BYTES ? raw->length : META_BYTES;
    const char *end = raw->data + length, *at = raw->data;
    while ((at = memchr(at, '<', (size_t)(end - at))) != NULL) {
        at++;
        if (end - at < 5 || strncasecmp(at, "meta", 4) != 0)
            continue;
        const char *close = memchr(at, '>', (size_t)(end - at));
        close = close != NULL ? close : end;
        for (; close - at > 8; at++) {
            if (strncasecmp(at, "charset", 7) != 0)
                continue;
            at += 7;
            while (at < close && (isspace((unsigned char)*at) || strchr("=\"'", *at) != NULL))
                at++;
            size_t n = 0;
            while (at < close && n < 47 &&
                   (isalnum((unsigned char)*at) || *at == '-' || *at == '_' || *at == ':'))
                charset[n++] = *at++;
            charset[n] = '\0';
            return;
        }
    }
}

assay_status assay_extract_html(assay_extract *extract, assay_error *error)
{
    char charset[48];
    size_t skip;
    sniff_charset(&extract->raw, charset);
    ASSAY_TRY(assay_charset_decode(&extract->raw, charset, extract->path, &skip, error));
    const char *data = extract->raw.data + skip;
    size_t length = extract->raw.length - skip;
    if (estimate_work(data, length) > WORK_LIMIT)
        return assay_fail(error, ASSAY_E_LIMIT, extract->path,
                          "its elements nest too deeply, or one has too many attributes");
    tree_memory memory = {.arena = assay_arena_new(0)};
    GumboOutput *page = memory.arena != NULL ? parse(&memory, data, length) : NULL;
    assay_status status;
    if (page != NULL) {
        page_writer writer = {.extract = extract, .error = error};
        status = walk_tree(&writer, page->root);
        if (status == ASSAY_OK)
            status = assay_buffer_status(&extract->made, extract->path, error);
    } else {
        status = assay_fail(error, ASSAY_E_LIMIT, extract->path,
                            "its parse tree takes more than the limit of %zu bytes",
                            TREE_LIMIT);
    }
    assay_arena_free(memory.arena);
    extract->text = (assay_text){extract->made.data, extract->made.length};
    return status;
}
